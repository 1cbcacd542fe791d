//! The steps of [`verify`], one by one. What passes here passes nowhere: the verdict is another.
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::claims::{Claims, explain_predicates};
use super::words::type_of;
use super::{
    Answer, CertificateFacts, ClaimCheck, Facts, IssuerFacts, KeyFacts, KeyRole, Outcome,
    ProofFacts, SourceAnswer, Stage, Step, TokenFacts, Trust,
};
use crate::claims;
use crate::dpop::{KnownSender, OfToken};
use crate::error::Error;
use crate::issuers::TrustedIssuer;
use crate::keys::VerificationKey;
use crate::revocation::RevocationStatus;
use crate::signature::{Algorithm, Family};
use crate::time::UnixTime;
use crate::token::{Binding, SignatureBuffer, Unverified};
use crate::verified::VerifiedToken;
use crate::verifier::Rules;
use crate::verify::{self, AnySender, Incomplete, KeyLookup, Sender};

/// Takes all steps that can be taken. Sources are not told to look for a key.
pub(super) fn take(
    rules: &Arc<Rules>,
    text: &[u8],
    sender: Option<&Sender<'static>>,
    now: UnixTime,
    lookup: KeyLookup<'_>,
) -> Facts {
    let mut steps = Steps(Vec::new());
    let mut facts = Facts {
        now,
        took: core::time::Duration::ZERO,
        trust: Trust::Unverified,
        steps: Vec::new(),
        token: TokenFacts::of(text, rules.limits.token),
        issuer: None,
        checks: Vec::new(),
        revocation: Vec::new(),
        proof: None,
        certificate: None,
    };
    // Leaves off where there is nothing to go on with.
    let _ = take_each(&mut steps, &mut facts, rules, (text, sender), now, lookup);
    facts.steps = steps.all();
    facts
}

fn take_each(
    steps: &mut Steps,
    facts: &mut Facts,
    rules: &Arc<Rules>,
    (text, sender): (&[u8], Option<&Sender<'static>>),
    now: UnixTime,
    lookup: KeyLookup<'_>,
) -> Option<()> {
    let mut signature = SignatureBuffer::new();
    let token = steps.take(Stage::Token, || {
        Unverified::parse(text, rules.limits, &rules.headers, &mut signature)
    })?;
    let parts = &token.parts;
    let binding = parts.payload.binding.as_deref();
    look_at_sender(facts, rules, (text, binding), sender, now);
    if let Some(known) = parts.issuer().and_then(|id| rules.issuers.find(id)) {
        facts.issuer = Some(IssuerFacts::of(known.trusted(), &token, now));
        let claims = Claims {
            parts,
            header: facts.token.header.as_ref(),
            claims: facts.token.claims.as_ref(),
            rules: known.rules(),
            now,
        };
        facts.checks = claims.explain();
    }
    let issuer = steps.take(Stage::Issuer, || verify::find_issuer(rules, parts, None))?;
    steps.take(Stage::Screen, || claims::screen(parts, issuer.rules(), now));
    if steps.is_over() && !issuer.is_resolved() {
        // No issuer is made for a token that was turned away.
        return None;
    }
    let (candidates, issuer) = steps.take(Stage::Key, || {
        verify::find_keys(parts, issuer, now, lookup).map_err(Incomplete::into_error)
    })?;
    let terms = issuer.trusted();
    facts.issuer = Some(IssuerFacts::of(terms, &token, now));
    let authentic = steps.take(Stage::Signature, || {
        verify::check_signature(token, &candidates, terms, lookup).map_err(Incomplete::into_error)
    })?;
    if let Some(issuer) = &mut facts.issuer {
        let signed = all_keys(terms).position(|key| Arc::ptr_eq(&key, &authentic.key));
        if let Some(key) = signed.and_then(|at| issuer.keys.get_mut(at)) {
            key.role = KeyRole::Signed;
        }
    }
    if steps.is_over() {
        return None;
    }
    let checked = steps.take(Stage::Claims, || claims::check(authentic, &terms.rules, now));
    let failed = steps.last_error();
    facts.checks.extend(explain_predicates(&terms.rules.claims, checked.is_some(), failed));
    let token = checked?.0;
    steps.take(Stage::Revocation, || {
        rules.revocations.check_needs(&token)?;
        #[cfg(feature = "status-list")]
        rules.status.check(&token)?;
        facts.revocation = answers(rules, &token);
        rules.revocations.ask(&token).map(drop).map_err(Error::from)
    });
    let token = AnySender::of_explanation(token);
    steps.take(Stage::Sender, || token.explained(rules, text, sender, now).map(drop))
}

/// How the token came, whatever becomes of it.
fn look_at_sender(
    facts: &mut Facts,
    rules: &Rules,
    (text, binding): (&[u8], Option<&Binding>),
    sender: Option<&Sender<'static>>,
    now: UnixTime,
) {
    let proof = sender.and_then(|sender| sender.proof.as_ref());
    if let (Some(dpop), Some(sent)) = (&rules.dpop, proof) {
        let bound_to = binding.and_then(|binding| binding.key);
        // Whose token it is counts where a proof is used, and here none is.
        let known = KnownSender::default();
        let token = OfToken { text, bound_to, issuer: "", holder: "", known: &known };
        facts.proof = Some(ProofFacts::of(dpop, &token, sent, now));
    }
    let shown = sender.and_then(|sender| sender.certificate.as_ref());
    if let (Some(mtls), Some(shown)) = (&rules.mtls, shown) {
        facts.certificate = Some(CertificateFacts::of(mtls, binding, shown));
    }
}

/// What each source says.
fn answers(rules: &Rules, token: &VerifiedToken) -> Vec<SourceAnswer> {
    let sources = rules.revocations.all.iter();
    let ask = sources.map(|source| SourceAnswer {
        source: type_of(source),
        answer: match source.status(token) {
            RevocationStatus::Active => Answer::Active,
            RevocationStatus::Revoked => Answer::Revoked,
            RevocationStatus::Unavailable(_) => Answer::Unavailable,
            RevocationStatus::Later(_) => Answer::Later,
        },
    });
    ask.collect()
}

/// The steps so far.
struct Steps(Vec<Step>);

impl Steps {
    /// Takes one. `None`: it refuses the token, or would.
    fn take<T, E: Into<Error>>(
        &mut self,
        stage: Stage,
        step: impl FnOnce() -> Result<T, E>,
    ) -> Option<T> {
        let is_over = self.is_over();
        let start = Instant::now();
        let result = step().map_err(Into::into);
        let took = Some(start.elapsed());
        let outcome = match (&result, is_over) {
            (Ok(_), false) => Outcome::Passed,
            (Ok(_), true) => Outcome::WouldPass,
            (Err(_), false) => Outcome::Refused,
            (Err(_), true) => Outcome::WouldRefuse,
        };
        let (found, error) = match result {
            Ok(found) => (Some(found), None),
            Err(error) => (None, Some(error)),
        };
        self.0.push(Step { stage, outcome, error, took });
        found
    }

    fn is_over(&self) -> bool {
        self.0.iter().any(|step| step.outcome == Outcome::Refused)
    }

    fn last_error(&self) -> Option<&Error> {
        self.0.last()?.error.as_ref()
    }

    /// One for each stage.
    fn all(mut self) -> Vec<Step> {
        for stage in Stage::ALL.iter().copied().skip(self.0.len()) {
            let outcome = Outcome::NotReached;
            self.0.push(Step { stage, outcome, error: None, took: None });
        }
        self.0
    }
}

impl TokenFacts {
    /// Read for the reader's sake, and not strictly. The third part is never looked at, nor what is no JSON
    /// object: where a part is missing, the second could be a signature.
    pub(super) fn of(text: &[u8], limit: usize) -> Self {
        let parts: Vec<_> = text.split(|byte| *byte == b'.').take(6).collect();
        let object = |at: usize| -> Option<Map<String, Value>> {
            let part = parts.get(at).filter(|_| text.len() <= limit)?;
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
        };
        Self { bytes: text.len(), parts: parts.len(), header: object(0), claims: object(1) }
    }
}

fn all_keys(issuer: &TrustedIssuer) -> impl Iterator<Item = Arc<VerificationKey>> {
    let sets = issuer.keys.iter().map(|source| source.keys());
    sets.flat_map(|set| set.iter().cloned().collect::<Vec<_>>())
}

impl IssuerFacts {
    fn of(issuer: &TrustedIssuer, token: &Unverified<'_>, now: UnixTime) -> Self {
        let query = token.parts.key_query();
        let key_facts = |key: Arc<VerificationKey>| KeyFacts {
            id: key.id().map(str::to_owned),
            kind: kind(key.algorithm()),
            algorithm: key.algorithm().name(),
            role: if key.algorithm() != query.algorithm {
                KeyRole::OtherAlgorithm
            } else if !key.serves(&query) {
                KeyRole::OtherId
            } else if key.is_live(now) {
                KeyRole::Candidate
            } else {
                KeyRole::Over
            },
        };
        Self {
            id: issuer.rules.id.to_string(),
            algorithms: issuer.algorithms.iter().map(|algorithm| algorithm.name()).collect(),
            requires_key_id: issuer.requires_key_id,
            keys: all_keys(issuer).map(key_facts).collect(),
            #[cfg(feature = "remote-jwks")]
            remote: issuer.remotes.iter().map(super::RemoteFacts::of).collect(),
            #[cfg(not(feature = "remote-jwks"))]
            remote: Vec::new(),
        }
    }
}

#[cfg(feature = "remote-jwks")]
impl super::RemoteFacts {
    fn of(remote: &crate::keys::remote::RemoteJwks) -> Self {
        let health = remote.health();
        Self {
            address: remote.address(),
            serves: health.serves,
            age_s: health.age.map(|age| age.as_secs()),
            last_error: health.last_error.map(|error| error.to_string()),
            skipped: health.skipped.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The type of a key (RFC 7518 §6.1, RFC 8037 §2, RFC 9964 §3).
pub(super) fn kind(algorithm: Algorithm) -> &'static str {
    match algorithm.family() {
        Family::Hmac => "oct",
        Family::Rsa => "RSA",
        Family::Ec => "EC",
        Family::Ed25519 => "OKP",
        Family::MlDsa => "AKP",
    }
}

impl ClaimCheck {
    pub(crate) fn new(rule: &str, needs: String, has: Option<String>, met: Option<bool>) -> Self {
        /// A claim of a megabyte helps nobody.
        const MOST: usize = 256;
        let has = has.map(|has| match has.char_indices().nth(MOST) {
            Some((at, _)) => format!("{}…", &has[..at]),
            None => has,
        });
        Self { rule: rule.to_owned(), needs, has, met }
    }
}
