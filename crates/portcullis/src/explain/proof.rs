//! What stands in a proof of who has a key, check by check (RFC 9449 §4.3), and the same of the token that it goes with.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::words::{instant, listed};
use super::{ProofFacts, SenderCheck, TokenFacts, reconcile};
use crate::dpop::{DpopError, DpopRules, OfToken, ProofFault, Sent};
use crate::keys::{VerificationKey, read_jwk};
use crate::signature::{Algorithm, sha256};
use crate::time::{InWords, UnixTime, numeric_date};
use crate::token::{Decoded, SignatureBuffer};

/// Members of a header that change how it is read, or name a key elsewhere.
const ELSEWHERE: [&str; 5] = ["crit", "b64", "jku", "x5u", "x5c"];

/// The names of the checks, in the order in which they are told.
mod name {
    pub(super) const SCHEME: &str = "scheme";
    pub(super) const BINDING: &str = "cnf";
    pub(super) const HEADERS: &str = "headers";
    pub(super) const FORM: &str = "form";
    pub(super) const TYPE: &str = "typ";
    pub(super) const ALGORITHM: &str = "alg";
    pub(super) const KEY: &str = "jwk";
    pub(super) const MEMBERS: &str = "header";
    pub(super) const SIGNATURE: &str = "signature";
    pub(super) const ID: &str = "jti";
    pub(super) const METHOD: &str = "htm";
    pub(super) const TARGET: &str = "htu";
    pub(super) const TOKEN_HASH: &str = "ath";
    pub(super) const THUMBPRINT: &str = "jkt";
    pub(super) const NONCE: &str = "nonce";
    pub(super) const ISSUED_AT: &str = "iat";
    pub(super) const NOT_BEFORE: &str = "nbf";
    pub(super) const EXPIRES_AT: &str = "exp";
    pub(super) const USE: &str = "use";
}

impl ProofFacts {
    /// Of how a token came. It need not be one that holds.
    pub(super) fn of(
        rules: &DpopRules,
        token: &OfToken<'_>,
        sent: &Sent<'_>,
        now: UnixTime,
    ) -> Self {
        let (text, count) = sent.proof();
        let mut looked = Look { rules, token, sent, now, checks: Vec::new() };
        looked.check_binding(count);
        let seen = text.map(|text| without_private(TokenFacts::of(text, rules.limits.proof)));
        if let (Some(text), Some(seen)) = (text, &seen) {
            looked.check_header(text, seen);
            looked.check_claims(seen);
        }
        let error = rules.check_unused(token, sent, now).err();
        let refused = error.as_ref().map(|error| (check_of(error), error));
        reconcile(&mut looked.checks, refused);
        Self { proof: seen, checks: looked.checks }
    }
}

/// A look at a proof. What it finds is told, and decides nothing.
struct Look<'l> {
    rules: &'l DpopRules,
    token: &'l OfToken<'l>,
    sent: &'l Sent<'l>,
    now: UnixTime,
    checks: Vec<SenderCheck>,
}

impl Look<'_> {
    fn say(&mut self, check: &'static str, needs: String, has: Option<String>, met: Option<bool>) {
        self.checks.push(SenderCheck::new(check, needs, has, met));
    }

    /// Whether token, scheme and proof go together (RFC 9449 §7.1, §7.2).
    fn check_binding(&mut self, count: usize) {
        let is_dpop = self.sent.is_dpop();
        let is_bound = self.token.bound_to.is_some();
        let scheme = if is_bound {
            "`DPoP`: the token is bound to a key"
        } else {
            "another than `DPoP`: the token is bound to no key"
        };
        let has = if is_dpop { "`DPoP`" } else { "another" };
        self.say(name::SCHEME, scheme.to_owned(), Some(has.to_owned()), Some(is_dpop == is_bound));
        let (needs, has, met) = match self.token.bound_to {
            None if self.rules.is_required => ("`jkt`: the policy requires a binding", None, false),
            None => ("nothing, or `jkt`", None, true),
            Some(thumbprint) => {
                ("nothing, or `jkt`", Some(format!("jkt {}", encoded(&thumbprint))), true)
            }
        };
        self.say(name::BINDING, needs.to_owned(), has, Some(met));
        let needs = if is_bound { "one `DPoP`" } else { "no `DPoP`: there is no key to prove" };
        let has = ["none", "one", "several"][count.min(2)];
        let met = count == usize::from(is_bound);
        self.say(name::HEADERS, needs.to_owned(), Some(has.to_owned()), Some(met));
    }

    /// Form, header, key and signature.
    fn check_header(&mut self, text: &[u8], seen: &TokenFacts) {
        let is_formed = !matches!(
            self.rules.fault_of_proof(text),
            Some(
                ProofFault::TooLong { .. }
                    | ProofFault::Form(_)
                    | ProofFault::Utf8
                    | ProofFault::Json(_)
            )
        );
        let has = format!("{} bytes, {} parts", seen.bytes, seen.parts);
        let needs = format!("a JWT of 3 parts, and at most {} bytes", self.rules.limits.proof);
        self.say(name::FORM, needs, Some(has), Some(is_formed));
        let member = |name: &str| seen.header.as_ref().and_then(|header| header.get(name));
        let typ = member("typ");
        let is_proof = typ.is_some_and(|typ| typ == "dpop+jwt");
        self.say(name::TYPE, "\"dpop+jwt\"".to_owned(), typ.map(Value::to_string), Some(is_proof));

        let named = member("alg").and_then(Value::as_str).and_then(Algorithm::from_name);
        let listed_ones = listed(self.rules.algorithms.iter().map(|one| one.name()));
        let is_listed = named.is_some_and(|named| self.rules.algorithms.contains(&named));
        self.say(
            name::ALGORITHM,
            listed_ones,
            member("alg").map(Value::to_string),
            Some(is_listed),
        );

        let found: Vec<_> = ELSEWHERE.into_iter().filter(|name| member(name).is_some()).collect();
        let has = (!found.is_empty()).then(|| found.join(", "));
        let needs = "none of `crit`, `b64`, `jku`, `x5u`, `x5c`";
        self.say(name::MEMBERS, needs.to_owned(), has, Some(found.is_empty()));
        self.check_key(text, member("jwk"), named);
    }

    /// The key that it brings, its signature, and whether it is the key of the token.
    fn check_key(&mut self, text: &[u8], jwk: Option<&Value>, named: Option<Algorithm>) {
        let key = jwk.map(|jwk| read_jwk(jwk.to_string().as_bytes()));
        let (has, keys) = match key {
            None => (None, None),
            Some(Err(fault)) => (Some(fault.to_string()), None),
            Some(Ok(keys)) => (kind_of(jwk), Some(keys)),
        };
        let is_of =
            |key: &VerificationKey| Some(key.algorithm()) == named && key.thumbprint().is_some();
        let key = keys.and_then(|keys| keys.into_iter().find(is_of));
        let needs = "a public key of this algorithm, not weak";
        self.say(name::KEY, needs.to_owned(), has, Some(key.is_some()));

        let mut room = SignatureBuffer::new();
        let decoded = Decoded::read(text, self.rules.limits.proof, &mut room).ok();
        let signed = key
            .as_ref()
            .zip(decoded.as_ref())
            .map(|(key, decoded)| key.verifier().verify(decoded.signing_input, decoded.signature));
        let has = match signed {
            None => "cannot be told",
            Some(true) => "by this key",
            Some(false) => "by another, or of another text",
        };
        let needs = "by the key in `jwk`";
        self.say(name::SIGNATURE, needs.to_owned(), Some(has.to_owned()), signed);
        let (needs, has, met) = match (self.token.bound_to, &key) {
            (Some(expected), Some(key)) => {
                let met = key.thumbprint_bytes() == Some(expected);
                (encoded(&expected), key.thumbprint().map(str::to_owned), Some(met))
            }
            (_, key) => {
                let has = key.as_ref().and_then(|key| key.thumbprint()).map(str::to_owned);
                ("the key that the token is bound to".to_owned(), has, None)
            }
        };
        self.say(name::THUMBPRINT, needs, has, met);
    }

    fn check_claims(&mut self, seen: &TokenFacts) {
        let claim = |name: &str| seen.claims.as_ref().and_then(|claims| claims.get(name));
        let text = |name: &str| claim(name).and_then(Value::as_str);
        let shown = |name: &str| claim(name).map(Value::to_string);
        let (rules, now) = (self.rules, self.now);

        let id = text("jti");
        let is_fit = id.is_some_and(|id| (1..=256).contains(&id.len()));
        let has = id.map(|id| format!("{} bytes", id.len())).or(shown("jti"));
        self.say(name::ID, "a text of 1 to 256 bytes".to_owned(), has, Some(is_fit));
        // In its case (RFC 9110 §9.1).
        let is_method = text("htm") == Some(self.sent.method());
        self.say(name::METHOD, format!("{:?}", self.sent.method()), shown("htm"), Some(is_method));
        self.check_target(text("htu"), shown("htu"));
        let hash = encoded(&sha256(self.token.text));
        let is_of_token = text("ath") == Some(hash.as_str());
        self.say(name::TOKEN_HASH, format!("{hash:?}"), shown("ath"), Some(is_of_token));

        if rules.nonces.is_some() {
            let fault = rules.check_nonce(text("nonce"), now).err();
            let needs = "one that the service gave out in the last minutes".to_owned();
            let has = match (shown("nonce"), fault) {
                (Some(nonce), Some(fault)) => Some(format!("{nonce}: {fault}")),
                (nonce, _) => nonce,
            };
            self.say(name::NONCE, needs, has, Some(fault.is_none()));
        }
        self.check_times(&claim);
        self.say(name::USE, "that it was not used before".to_owned(), None, None);
    }

    /// Both sides: what it says, and what the service is called.
    fn check_target(&mut self, claimed: Option<&str>, shown: Option<String>) {
        let path = self.sent.path();
        let targets = path.and_then(|path| self.rules.targets_of(path));
        let needs = match &targets {
            Some(targets) => listed(targets),
            None => "the path of the request, which cannot be compared".to_owned(),
        };
        let compared = claimed.map(|claimed| (claimed, self.rules.compare_target(claimed, path)));
        let (has, met) = match compared {
            None => (shown, false),
            Some((_, Err(fault))) => (shown.map(|shown| format!("{shown}: {fault}")), false),
            Some((claimed, Ok((normal, differs)))) => {
                let spelt = (normal != claimed).then(|| format!(", compared as {normal}"));
                let differs = differs.map(|part| format!(": another {part}"));
                let met = differs.is_none();
                let notes = [spelt, differs].into_iter().flatten().collect::<String>();
                (shown.map(|shown| format!("{shown}{notes}")), met)
            }
        };
        self.say(name::TARGET, needs, has, Some(met));
    }

    fn check_times<'v>(&mut self, claim: &impl Fn(&str) -> Option<&'v Value>) {
        let (past, future) = self.rules.window();
        let now = self.now;
        let time = |name: &str| claim(name).and_then(time_of);
        let has = |name: &str| match time(name) {
            Some(time) => Some(instant(time, now)),
            None => claim(name).map(Value::to_string),
        };
        let issued_at = time("iat");
        let (needs, met) = if self.rules.nonces.is_some() {
            ("a time, for which the nonce stands in".to_owned(), issued_at.is_some())
        } else {
            let is_timely = |at: UnixTime| self.rules.is_in_window(at, now);
            let needs =
                format!("at most {} ago, and at most {} ahead", InWords(past), InWords(future));
            (needs, issued_at.is_some_and(is_timely))
        };
        self.say(name::ISSUED_AT, needs, has("iat"), Some(met));
        if claim("nbf").is_some() {
            let met = time("nbf").is_some_and(|from| from <= now.saturating_add(future));
            let needs = format!("at most {} ahead", InWords(future));
            self.say(name::NOT_BEFORE, needs, has("nbf"), Some(met));
        }
        if claim("exp").is_some() {
            let met = time("exp").is_some_and(|end| now < end);
            self.say(name::EXPIRES_AT, "later than now".to_owned(), has("exp"), Some(met));
        }
    }
}

/// The check that an error is of.
fn check_of(error: &DpopError) -> Option<&'static str> {
    Some(match error {
        DpopError::ProofMissing | DpopError::SeveralProofs | DpopError::ProofBesideBearer => {
            name::HEADERS
        }
        DpopError::Proof(fault) => match fault {
            ProofFault::TooLong { .. }
            | ProofFault::Form(_)
            | ProofFault::Utf8
            | ProofFault::Json(_) => name::FORM,
            ProofFault::Type => name::TYPE,
            ProofFault::Algorithm => name::ALGORITHM,
            ProofFault::Header => name::MEMBERS,
            ProofFault::KeyMissing | ProofFault::Key(_) | ProofFault::KeyCost => name::KEY,
            ProofFault::Claim { claim } => claim,
            ProofFault::Target(_) => name::TARGET,
        },
        DpopError::Method => name::METHOD,
        DpopError::Target { .. } | DpopError::RequestTarget => name::TARGET,
        DpopError::TokenHash => name::TOKEN_HASH,
        DpopError::Window { .. } => name::ISSUED_AT,
        DpopError::Signature => name::SIGNATURE,
        DpopError::Nonce(_) => name::NONCE,
        DpopError::OtherKey => name::THUMBPRINT,
        DpopError::BoundAsBearer | DpopError::NotBound => name::SCHEME,
        DpopError::BindingRequired => name::BINDING,
        // That it may have been used before the policy began.
        DpopError::Replayed | DpopError::Unavailable(_) => name::USE,
        // Which of both, its times say.
        DpopError::NotNow => return None,
    })
}

/// A client that sends its private key is told so, and the key is not shown.
fn without_private(mut seen: TokenFacts) -> TokenFacts {
    const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];
    let jwk = seen.header.as_mut().and_then(|header| header.get_mut("jwk"));
    for (name, value) in jwk.and_then(Value::as_object_mut).into_iter().flatten() {
        if PRIVATE.contains(&name.as_str()) {
            *value = Value::from("[private]");
        }
    }
    seen
}

/// The type of a key, and its curve.
fn kind_of(jwk: Option<&Value>) -> Option<String> {
    let member = |name: &str| jwk?.get(name)?.as_str();
    let curve = member("crv").map(|curve| format!(" {curve}")).unwrap_or_default();
    member("kty").map(|kind| format!("{kind}{curve}"))
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn time_of(value: &Value) -> Option<UnixTime> {
    if value.is_number() { numeric_date(&value.to_string()) } else { None }
}
