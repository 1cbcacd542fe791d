//! Whether who sent a request has the key of its token.
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use super::error::{DpopError, ProofFault};
use super::known::{Known, KnownKey, KnownSender};
use super::nonces::{Nonce, Taken};
use super::proof::{ProofClaims, ProofRoom, UnverifiedProof};
use super::replays::{Holder, MadeWith, ProofUse, Spent, SpentAnswer};
use super::settings::DpopRules;
use super::target::{NormalPath, Target, TargetPart};
use crate::request::{RequestView, UsedProof};
use crate::signature::sha256_of;
use crate::time::UnixTime;

/// How a token came, and with what.
pub(crate) struct Sent<'r> {
    /// With the scheme `DPoP`, in the header for it.
    pub(super) is_dpop: bool,
    pub(super) method: Cow<'r, str>,
    pub(super) path: Option<Cow<'r, str>>,
    pub(super) proof: ProofText<'r>,
    /// What a layer further out used for this request.
    used: Option<UsedProof>,
}

pub(super) enum ProofText<'r> {
    None,
    One(Cow<'r, [u8]>),
    Several,
}

/// Of a token, what a proof is held against.
pub(crate) struct OfToken<'t> {
    pub(crate) text: &'t [u8],
    /// The thumbprint of the key that it is bound to.
    pub(crate) bound_to: Option<[u8; 32]>,
    pub(crate) issuer: &'t str,
    /// Its subject, or its client.
    pub(crate) holder: &'t str,
    pub(crate) known: &'t KnownSender,
}

/// The text of a proof, and the key that its token is bound to.
struct BoundBy<'s> {
    text: &'s [u8],
    thumbprint: [u8; 32],
}

/// What comes of it.
#[must_use]
pub(crate) enum Checked {
    /// The token is bound to nothing, and may be.
    Unbound,
    Proven(Proven),
    /// The same, if the proof is fresh.
    Later(Proven, SpentAnswer),
}

/// The sender of a request has the key of its token.
#[derive(Clone)]
pub(crate) struct Proven {
    pub(crate) used: UsedProof,
    /// The nonce for the client's next proof, where it does not have it.
    pub(crate) next_nonce: Option<Arc<Nonce>>,
}

impl<'r> Sent<'r> {
    pub(crate) fn of(request: &'r impl RequestView, is_dpop: bool) -> Self {
        Self {
            is_dpop,
            method: Cow::Borrowed(request.method()),
            path: request.path().map(Cow::Borrowed),
            proof: ProofText::of(request),
            used: if is_dpop { request.used_proof() } else { None },
        }
    }

    pub(crate) fn into_owned(self) -> Sent<'static> {
        Sent {
            is_dpop: self.is_dpop,
            method: Cow::Owned(self.method.into_owned()),
            path: self.path.map(|path| Cow::Owned(path.into_owned())),
            proof: match self.proof {
                ProofText::None => ProofText::None,
                ProofText::One(proof) => ProofText::One(Cow::Owned(proof.into_owned())),
                ProofText::Several => ProofText::Several,
            },
            used: self.used,
        }
    }
}

impl<'r> ProofText<'r> {
    pub(super) fn of(request: &'r impl RequestView) -> Self {
        let mut proofs = request.header("dpop");
        match (proofs.next(), proofs.next()) {
            (None, _) => Self::None,
            (Some(proof), None) => Self::One(Cow::Borrowed(proof)),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}

impl DpopRules {
    /// Holds a token, of which all else was checked, against how it came. What is cheap comes first, and what is written last.
    pub(crate) fn check(
        &self,
        token: &OfToken<'_>,
        sent: &Sent<'_>,
        now: UnixTime,
    ) -> Result<Checked, DpopError> {
        let Some(BoundBy { text, thumbprint }) = self.check_binding(token, sent)? else {
            return Ok(Checked::Unbound);
        };
        let known = token.known.of(token.text, || Holder::new(token.issuer, token.holder));
        let used = sent.used.as_ref().filter(|used| used.is_of(known.token_hash, text));
        if let Some(used) = used.filter(|used| used.rules == self.number) {
            return Ok(Checked::Proven(Proven { used: used.clone(), next_nonce: None }));
        }
        let mut room = ProofRoom::new();
        let proof = self.read(text, &mut room, known.key.get())?;
        let (timely, next_nonce) = self.check_proof(&proof, known, thumbprint, sent, now)?;
        known.remember(&proof);
        let number = (self.number, self.store);
        let proven = Proven { used: UsedProof::new(number, known.token_hash, text), next_nonce };
        // For this very request, by another policy that remembers in the same place.
        if used.is_some_and(|used| used.store == self.store) {
            return Ok(Checked::Proven(proven));
        }
        let thumbprint = proof.key.thumbprint().unwrap_or_default();
        match self.spend(thumbprint, &proof.claims.id, known.holder, timely) {
            Spent::Fresh => Ok(Checked::Proven(proven)),
            Spent::Seen => Err(DpopError::Replayed),
            Spent::Unavailable(unavailable) => Err(DpopError::Unavailable(unavailable)),
            Spent::Later(answer) => Ok(Checked::Later(proven, answer)),
        }
    }

    /// As [`check`](Self::check), for explanations. It does not ask whether the proof was used, and uses none.
    #[cfg(feature = "explain")]
    pub(crate) fn check_unused(
        &self,
        token: &OfToken<'_>,
        sent: &Sent<'_>,
        now: UnixTime,
    ) -> Result<(), DpopError> {
        let Some(BoundBy { text, thumbprint }) = self.check_binding(token, sent)? else {
            return Ok(());
        };
        let mut room = ProofRoom::new();
        let known = token.known.of(token.text, || Holder::new(token.issuer, token.holder));
        let proof = self.read(text, &mut room, known.key.get())?;
        self.check_proof(&proof, known, thumbprint, sent, now).map(drop)
    }

    /// The proof of a token that is bound to a key. Nothing: the token is bound to nothing, and may be.
    fn check_binding<'s>(
        &self,
        token: &OfToken<'_>,
        sent: &'s Sent<'_>,
    ) -> Result<Option<BoundBy<'s>>, DpopError> {
        let Some(thumbprint) = token.bound_to else {
            return self.check_unbound(sent).map(|()| None);
        };
        if !sent.is_dpop {
            return Err(DpopError::BoundAsBearer);
        }
        match &sent.proof {
            ProofText::None => Err(DpopError::ProofMissing),
            ProofText::Several => Err(DpopError::SeveralProofs),
            ProofText::One(text) => Ok(Some(BoundBy { text, thumbprint })),
        }
    }

    fn check_unbound(&self, sent: &Sent<'_>) -> Result<(), DpopError> {
        match (&sent.proof, sent.is_dpop) {
            (_, true) => Err(DpopError::NotBound),
            _ if self.is_required => Err(DpopError::BindingRequired),
            (ProofText::None, false) => Ok(()),
            // One side is wrong about the other.
            (_, false) => Err(DpopError::ProofBesideBearer),
        }
    }

    /// Everything about a proof of this token in this request but whether it is new.
    fn check_proof(
        &self,
        proof: &UnverifiedProof<'_>,
        known: &Known,
        thumbprint: [u8; 32],
        sent: &Sent<'_>,
        now: UnixTime,
    ) -> Result<(Timely, Option<Arc<Nonce>>), DpopError> {
        self.check_target(&proof.claims, &sent.method, sent.path.as_deref())?;
        if proof.claims.token_hash != Some(known.token_hash) {
            return Err(DpopError::TokenHash);
        }
        if proof.key.thumbprint_bytes() != Some(thumbprint) {
            return Err(DpopError::OtherKey);
        }
        let timely = self.check_time(&proof.claims, now)?;
        if !proof.is_signed() {
            return Err(DpopError::Signature);
        }
        Ok(timely)
    }

    /// A proof with an algorithm that is listed.
    pub(super) fn read<'p>(
        &self,
        text: &'p [u8],
        room: &'p mut ProofRoom,
        known: Option<&KnownKey>,
    ) -> Result<UnverifiedProof<'p>, DpopError> {
        let proof =
            UnverifiedProof::read(text, self.limits, room, known).map_err(DpopError::Proof)?;
        if self.algorithms.contains(&proof.key.algorithm()) {
            Ok(proof)
        } else {
            Err(DpopError::Proof(ProofFault::Algorithm))
        }
    }

    /// Whether it is for this request.
    pub(super) fn check_target(
        &self,
        claims: &ProofClaims<'_>,
        method: &str,
        path: Option<&str>,
    ) -> Result<(), DpopError> {
        // RFC 9110 §9.1: in its case.
        if claims.method != method {
            return Err(DpopError::Method);
        }
        let path = path.ok_or(DpopError::RequestTarget)?;
        let path = NormalPath::read(path).map_err(|_| DpopError::RequestTarget)?;
        self.match_target(&claims.target, &path)
            .map_err(|differs| DpopError::Target { differs, service: self.service.clone() })
    }

    /// Whether a claimed address is one of the service with this path. If it is none: in what it differs from the first.
    pub(super) fn match_target(
        &self,
        claimed: &Target,
        path: &NormalPath,
    ) -> Result<(), TargetPart> {
        let mut first = None;
        for base in &self.targets {
            let Some(part) = base.differs_from(claimed, path) else { return Ok(()) };
            first = first.or(Some(part));
        }
        // There is one: `compile` asks for it.
        Err(first.unwrap_or(TargetPart::Host))
    }

    /// Whether a proof that was made then is neither too old nor too far ahead.
    pub(crate) fn is_in_window(&self, issued_at: UnixTime, now: UnixTime) -> bool {
        now <= issued_at.saturating_add(self.past) && issued_at <= now.saturating_add(self.future)
    }

    /// Whether it was made lately, and from when on it cannot be used again. With it, the nonce for the next proof.
    pub(super) fn check_time(
        &self,
        claims: &ProofClaims<'_>,
        now: UnixTime,
    ) -> Result<(Timely, Option<Arc<Nonce>>), DpopError> {
        let issued_at = claims.issued_at;
        let (timely, next_nonce) = match &self.nonces {
            Some(nonces) => {
                let taken = nonces.take(claims.nonce.as_ref(), now).map_err(DpopError::Nonce)?;
                let (Taken { until, next }, epoch) = taken;
                (Timely { now, issued_at, until, made_with: MadeWith::Nonce { epoch } }, next)
            }
            None => {
                if !self.is_in_window(issued_at, now) {
                    let age = now.0.saturating_sub(issued_at.0);
                    return Err(DpopError::Window { age, past: self.past, future: self.future });
                }
                let since = UnixTime(self.since.load(Ordering::Relaxed));
                if issued_at <= since.saturating_add(self.future) {
                    return Err(DpopError::Replayed);
                }
                // In the last second of the window, it is still taken.
                let until = issued_at.saturating_add(self.past + Duration::from_secs(1));
                (Timely { now, issued_at, until, made_with: MadeWith::Clock }, None)
            }
        };
        let is_early = claims.not_before.is_some_and(|from| now.saturating_add(self.future) < from);
        if is_early || claims.expires_at.is_some_and(|end| now >= end) {
            return Err(DpopError::NotNow);
        }
        Ok((timely, next_nonce))
    }

    /// Uses a proof of the key with this thumbprint.
    pub(super) fn spend(
        &self,
        thumbprint: &str,
        id: &str,
        holder: Holder,
        timely: Timely,
    ) -> Spent {
        let Timely { now, issued_at, until, made_with } = timely;
        self.replays.spend(&ProofUse {
            digest: sha256_of(&[self.purpose.name(), thumbprint, id]),
            holder,
            issued_at,
            ahead: self.future,
            made_with,
            until,
            now,
        })
    }
}

/// A proof was made lately.
#[derive(Clone, Copy)]
pub(super) struct Timely {
    pub(super) now: UnixTime,
    /// By its client's clock.
    pub(super) issued_at: UnixTime,
    /// From then on, it cannot be used again.
    pub(super) until: UnixTime,
    pub(super) made_with: MadeWith,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;
    use crate::dpop::settings::Purpose;
    use crate::dpop::{Dpop, DpopFault, GoodProof, InProcessReplays, NonceFault, Nonces};
    use crate::signature::sha256;

    const NOW: i64 = 1_800_000_000;
    const TOKEN: &[u8] = b"header.payload.signature";

    struct Client(EcdsaKeyPair);

    impl Client {
        fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
        }

        fn jwk(&self) -> Value {
            let point = self.0.public_key().as_ref();
            let [x, y] = [&point[1..33], &point[33..]].map(|part| URL_SAFE_NO_PAD.encode(part));
            json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
        }

        fn thumbprint(&self) -> [u8; 32] {
            let keys = crate::keys::read_jwk(self.jwk().to_string().as_bytes()).expect("a key");
            keys[0].thumbprint_bytes().expect("a public key")
        }

        fn sign(&self, header: &Value, payload: &Value) -> String {
            let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
            let input = format!("{}.{}", encode(header), encode(payload));
            let signature =
                self.0.sign(&SystemRandom::new(), input.as_bytes()).expect("a signature");
            format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }

        fn prove(&self, change: impl FnOnce(&mut Value)) -> String {
            let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() });
            let mut payload = json!({
                "jti": "1", "htm": "GET", "htu": "https://api.example/orders", "iat": NOW,
                "ath": URL_SAFE_NO_PAD.encode(sha256(TOKEN)),
            });
            change(&mut payload);
            self.sign(&header, &payload)
        }
    }

    fn rules(change: impl FnOnce(Dpop) -> Dpop) -> DpopRules {
        let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
        let dpop = Dpop::new(replays).at("https://api.example");
        change(dpop).compile(Purpose::Resource).expect("good settings")
    }

    fn request(method: &str, target: &str, proofs: &[&str]) -> http::Request<()> {
        let mut request = http::Request::builder().method(method).uri(target);
        for proof in proofs {
            request = request.header("DPoP", *proof);
        }
        request.body(()).expect("a request")
    }

    fn of_token(bound_to: Option<[u8; 32]>, known: &KnownSender) -> OfToken<'_> {
        let issuer = "https://id.example";
        OfToken { text: TOKEN, bound_to, issuer, holder: "alice", known }
    }

    /// What comes of a token that is bound to this key and came so.
    fn check(
        rules: &DpopRules,
        bound_to: Option<[u8; 32]>,
        is_dpop: bool,
        request: &http::Request<()>,
    ) -> Result<(), DpopError> {
        let known = KnownSender::default();
        let token = of_token(bound_to, &known);
        match rules.check(&token, &Sent::of(request, is_dpop), UnixTime(NOW))? {
            Checked::Unbound | Checked::Proven(_) => Ok(()),
            Checked::Later(..) => panic!("it is at hand"),
        }
    }

    #[test]
    fn each_scheme_token_and_proof_has_one_answer() {
        let (client, other) = (Client::new(), Client::new());
        let bound = Some(client.thumbprint());
        let proof =
            |own: &Client, id: usize| own.prove(|claims| claims["jti"] = json!(id.to_string()));
        let (allowed, required) = (rules(|it| it), rules(Dpop::required));
        let mut id = 0;
        for (bound_to, is_dpop, sent, of_allowed, of_required) in [
            (None, false, "none", Ok(()), Err(DpopError::BindingRequired)),
            (
                None,
                false,
                "good",
                Err(DpopError::ProofBesideBearer),
                Err(DpopError::BindingRequired),
            ),
            (None, true, "none", Err(DpopError::NotBound), Err(DpopError::NotBound)),
            (None, true, "good", Err(DpopError::NotBound), Err(DpopError::NotBound)),
            (bound, false, "none", Err(DpopError::BoundAsBearer), Err(DpopError::BoundAsBearer)),
            (bound, false, "good", Err(DpopError::BoundAsBearer), Err(DpopError::BoundAsBearer)),
            (bound, true, "none", Err(DpopError::ProofMissing), Err(DpopError::ProofMissing)),
            (bound, true, "two", Err(DpopError::SeveralProofs), Err(DpopError::SeveralProofs)),
            (bound, true, "other", Err(DpopError::OtherKey), Err(DpopError::OtherKey)),
            (bound, true, "good", Ok(()), Ok(())),
        ] {
            for (rules, expected) in [(&allowed, &of_allowed), (&required, &of_required)] {
                id += 1;
                let (good, foreign) = (proof(&client, id), proof(&other, id));
                let proofs = match sent {
                    "none" => &[][..],
                    "two" => &[&*good, &*good][..],
                    "other" => &[&*foreign][..],
                    _ => &[&*good][..],
                };
                let found = check(rules, bound_to, is_dpop, &request("GET", "/orders", proofs));
                assert_eq!(&found, expected, "{bound_to:?} {is_dpop} {sent}");
            }
        }
    }

    #[test]
    fn a_proof_is_for_this_request_this_token_and_this_moment() {
        let client = Client::new();
        let bound = Some(client.thumbprint());
        let service = rules(|it| it).service;
        assert_eq!(service.to_string(), "`https://api.example`");
        let target = |differs| DpopError::Target { differs, service: service.clone() };
        let window = |age| DpopError::Window {
            age,
            past: Duration::from_secs(60),
            future: Duration::from_secs(10),
        };
        for (claim, value, expected) in [
            ("htm", json!("POST"), Some(DpopError::Method)),
            ("htm", json!("get"), Some(DpopError::Method)),
            ("htu", json!("https://api.example/orders?x=1#y"), None),
            ("htu", json!("HTTPS://API.EXAMPLE:443/%6frders"), None),
            ("htu", json!("https://api.example/orders/"), Some(target(TargetPart::Path))),
            ("htu", json!("https://api.example/Orders"), Some(target(TargetPart::Path))),
            ("htu", json!("https://api.example//orders"), Some(target(TargetPart::Path))),
            ("htu", json!("https://api.example/a/%2forders"), Some(target(TargetPart::Path))),
            ("htu", json!("https://evil.example/orders"), Some(target(TargetPart::Host))),
            ("htu", json!("http://api.example:443/orders"), Some(target(TargetPart::Scheme))),
            ("htu", json!("https://api.example:8443/orders"), Some(target(TargetPart::Port))),
            ("ath", json!(URL_SAFE_NO_PAD.encode(sha256(b"another"))), Some(DpopError::TokenHash)),
            ("iat", json!(NOW - 60), None),
            ("iat", json!(NOW - 61), Some(window(61))),
            ("iat", json!(NOW + 10), None),
            ("iat", json!(NOW + 11), Some(window(-11))),
            ("nbf", json!(NOW + 10), None),
            ("nbf", json!(NOW + 11), Some(DpopError::NotNow)),
            ("exp", json!(NOW + 1), None),
            ("exp", json!(NOW), Some(DpopError::NotNow)),
            ("anything", json!({ "else": 1 }), None),
        ] {
            let proof = client.prove(|claims| claims[claim] = value.clone());
            let request = request("GET", "/orders?page=2", &[&proof]);
            let found = check(&rules(|it| it), bound, true, &request);
            assert_eq!(found.err(), expected, "{claim}: {value}");
        }
        let without_hash =
            client.prove(|claims| drop(claims.as_object_mut().unwrap().remove("ath")));
        let found =
            check(&rules(|it| it), bound, true, &request("GET", "/orders", &[&without_hash]));
        assert_eq!(found, Err(DpopError::TokenHash));
    }

    #[test]
    fn nothing_that_a_request_says_of_its_host_counts() {
        let client = Client::new();
        let bound = Some(client.thumbprint());
        let evil = client.prove(|claims| claims["htu"] = json!("https://evil.example/orders"));
        let mut request = request("GET", "https://evil.example/orders", &[&evil]);
        for name in ["host", "x-forwarded-host", "forwarded"] {
            request.headers_mut().insert(name, "evil.example".parse().unwrap());
        }
        let rules_of_api = rules(|it| it);
        let found = check(&rules_of_api, bound, true, &request);
        let service = rules_of_api.service.clone();
        assert_eq!(found, Err(DpopError::Target { differs: TargetPart::Host, service }));
        // Each of several that are listed, with the path that a proxy takes away.
        let rules = rules(|it| it.at("https://example/api"));
        for (id, htu) in
            ["https://api.example/orders", "https://example/api/orders"].iter().enumerate()
        {
            let proof = client.prove(|claims| {
                claims["htu"] = json!(htu);
                claims["jti"] = json!(id.to_string());
            });
            let request = request_of(&proof);
            assert_eq!(check(&rules, bound, true, &request), Ok(()), "{htu}");
        }
    }

    fn request_of(proof: &str) -> http::Request<()> {
        request("GET", "/orders", &[proof])
    }

    #[test]
    fn what_was_signed_by_nobody_or_changed_spends_nothing_and_a_good_one_is_used_once() {
        let client = Client::new();
        let bound = Some(client.thumbprint());
        let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
        let own = replays.clone();
        let dpop = Dpop::new(replays.clone()).at("https://api.example");
        let rules = dpop.compile(Purpose::Resource).expect("good settings");
        let proof = client.prove(|_| ());
        // Another's signature, or of something else.
        let (input, _) = proof.rsplit_once('.').expect("three parts");
        let forged =
            format!("{input}.{}", Client::new().prove(|_| ()).rsplit_once('.').expect("three").1);
        assert_eq!(check(&rules, bound, true, &request_of(&forged)), Err(DpopError::Signature));
        assert!(own.is_empty());
        assert_eq!(check(&rules, bound, true, &request_of(&proof)), Ok(()));
        assert_eq!(check(&rules, bound, true, &request_of(&proof)), Err(DpopError::Replayed));
        // Signed anew, it is the same one.
        let again = client.prove(|_| ());
        assert_ne!(again, proof);
        assert_eq!(check(&rules, bound, true, &request_of(&again)), Err(DpopError::Replayed));
        assert_eq!(own.len(), 1);
    }

    /// Nonces of this process, and what of them is given out now.
    fn with_nonces(client: &Client) -> (DpopRules, impl Fn(i64) -> String, Option<[u8; 32]>) {
        let rules = rules(|dpop| dpop.nonces(Nonces::of_this_process()));
        let nonces = Arc::clone(rules.nonces.as_ref().expect("nonces"));
        let current = move |at| nonces.current(UnixTime(at)).as_str().to_owned();
        (rules, current, Some(client.thumbprint()))
    }

    #[test]
    fn where_nonces_are_asked_for_they_are_the_clock() {
        let client = Client::new();
        let (rules, current, bound) = with_nonces(&client);
        let mut id = 0;
        let mut sent = |change: &dyn Fn(&mut Value)| {
            id += 1;
            let proof = client.prove(|claims| {
                claims["jti"] = json!(id.to_string());
                change(claims);
            });
            check(&rules, bound, true, &request_of(&proof))
        };
        let nonce = |fault| Err(DpopError::Nonce(fault));
        assert_eq!(sent(&|_| ()), nonce(NonceFault::Missing));
        assert_eq!(sent(&|claims| claims["nonce"] = json!("")), nonce(NonceFault::Foreign));
        let of = |at: i64| {
            let text = current(at);
            move |claims: &mut Value| claims["nonce"] = json!(text)
        };
        assert_eq!(sent(&of(NOW)), Ok(()));
        assert_eq!(sent(&of(NOW - 60)), Ok(()));
        assert_eq!(sent(&of(NOW + 60)), Ok(()));
        assert_eq!(sent(&of(NOW - 120)), nonce(NonceFault::Old));
        assert_eq!(sent(&of(NOW - 86_400)), nonce(NonceFault::Foreign));
        assert_eq!(sent(&of(NOW + 120)), nonce(NonceFault::Foreign));
        // A client whose clock is wrong by a year.
        let good = of(NOW);
        let far = |claims: &mut Value| {
            good(claims);
            claims["iat"] = json!(NOW - 31_536_000);
        };
        assert_eq!(sent(&far), Ok(()));
        let number = |claims: &mut Value| claims["nonce"] = json!(1);
        let fault = ProofFault::Claim { claim: "nonce" };
        assert_eq!(sent(&number), Err(DpopError::Proof(fault)));
    }

    #[test]
    fn a_proof_with_a_nonce_is_used_once_for_as_long_as_its_nonce_is_taken() {
        let client = Client::new();
        let (rules, current, bound) = with_nonces(&client);
        let text = current(NOW);
        let proof = client.prove(|claims| claims["nonce"] = json!(text));
        let at = |seconds: i64| {
            let known = KnownSender::default();
            let token = of_token(bound, &known);
            let request = request_of(&proof);
            rules.check(&token, &Sent::of(&request, true), UnixTime(NOW + seconds)).map(|_| ())
        };
        assert_eq!(at(0), Ok(()));
        for seconds in [0, 59, 60, 100, 119] {
            assert_eq!(at(seconds), Err(DpopError::Replayed), "{seconds}");
        }
        assert_eq!(at(120), Err(DpopError::Nonce(NonceFault::Old)));
        // A clock that was set back.
        assert_eq!(at(0), Err(DpopError::Replayed));
    }

    #[test]
    fn a_store_that_forgot_takes_no_nonce_of_the_time_before() {
        let client = Client::new();
        let bound = Some(client.thumbprint());
        let nonces = Nonces::of_this_process();
        let rules = || rules(|dpop| dpop.nonces(nonces.clone()));
        let (before, after) = (rules(), rules());
        let text = before.nonces.as_ref().expect("nonces").current(UnixTime(NOW));
        let proof = client.prove(|claims| claims["nonce"] = json!(text.as_str()));
        assert_eq!(check(&before, bound, true, &request_of(&proof)), Ok(()));
        let found = check(&after, bound, true, &request_of(&proof));
        assert_eq!(found, Err(DpopError::Nonce(NonceFault::Foreign)));
    }

    #[test]
    fn a_request_that_a_layer_let_in_passes_the_next_one_and_no_other_request_does() {
        let client = Client::new();
        let bound = Some(client.thumbprint());
        let dpop = Dpop::new(InProcessReplays::new().started_at(UnixTime(NOW - 3600)))
            .at("https://api.example");
        let compile = |dpop: &Dpop| dpop.clone().compile(Purpose::Resource).expect("good settings");
        // A policy, one that takes its place, and one that remembers elsewhere.
        let (outer, replaced, elsewhere) = (compile(&dpop), compile(&dpop), rules(|it| it));
        let proof = client.prove(|_| ());
        let mut request = request_of(&proof);
        let known = KnownSender::default();
        let token = of_token(bound, &known);
        let sent = Sent::of(&request, true);
        let Ok(Checked::Proven(proven)) = outer.check(&token, &sent, UnixTime(NOW)) else {
            panic!("it is good");
        };
        request.extensions_mut().insert(proven.used.clone());
        for inner in [&outer, &replaced, &elsewhere] {
            assert_eq!(check(inner, bound, true, &request), Ok(()));
        }
        // Used elsewhere, it is used there.
        assert_eq!(check(&elsewhere, bound, true, &request_of(&proof)), Err(DpopError::Replayed));
        assert_eq!(check(&outer, bound, true, &request_of(&proof)), Err(DpopError::Replayed));
        // Another proof, or another token, is another request.
        let mut other = request_of(&client.prove(|claims| claims["htm"] = json!("POST")));
        other.extensions_mut().insert(proven.used);
        assert_eq!(check(&outer, bound, true, &other), Err(DpopError::Method));
        let other = KnownSender::default();
        let token = OfToken { text: b"another.token.text", known: &other, ..token };
        let found = outer.check(&token, &Sent::of(&request, true), UnixTime(NOW)).map(|_| ());
        assert_eq!(found, Err(DpopError::TokenHash));
    }

    /// For each ECDSA signature `(r, s)`, `(r, n - s)` is one as well, which anybody can make (SEC 1 §4.1.4).
    fn twin(proof: &str) -> String {
        const ORDER: [u8; 32] = [
            0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2,
            0xfc, 0x63, 0x25, 0x51,
        ];
        let (input, signature) = proof.rsplit_once('.').expect("three parts");
        let mut signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let mut borrow = 0;
        for (own, of_order) in signature[32..].iter_mut().zip(ORDER).rev() {
            let difference = i16::from(of_order) - i16::from(*own) - borrow;
            borrow = i16::from(difference < 0);
            *own = difference.rem_euclid(256) as u8;
        }
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn the_other_signature_of_a_used_proof_does_not_make_it_new() {
        let client = Client::new();
        let bound = Some(client.thumbprint());
        for is_first in [true, false] {
            let rules = rules(|it| it);
            let proof = client.prove(|_| ());
            let twin = twin(&proof);
            assert_ne!(twin, proof);
            let (first, second) = if is_first { (&proof, &twin) } else { (&twin, &proof) };
            assert_eq!(check(&rules, bound, true, &request_of(first)), Ok(()));
            let found = check(&rules, bound, true, &request_of(second));
            assert_eq!(found, Err(DpopError::Replayed));
        }
    }

    #[test]
    fn a_public_key_is_never_the_secret_of_a_proof() {
        use aws_lc_rs::hmac;

        let client = Client::new();
        let bound = Some(client.thumbprint());
        let jwk = client.jwk();
        let point = client.0.public_key().as_ref();
        let secret = json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode(point) });
        for (own, secret_bytes) in [
            (&jwk, point.to_vec()),
            (&jwk, point[1..].to_vec()),
            (&jwk, jwk.to_string().into_bytes()),
            (&jwk, vec![]),
            (&secret, point.to_vec()),
        ] {
            let header = json!({ "typ": "dpop+jwt", "alg": "HS256", "jwk": own });
            let signed = client.prove(|_| ());
            let payload = signed.split('.').nth(1).expect("three parts");
            let input = format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret_bytes);
            let tag = hmac::sign(&key, input.as_bytes());
            let proof = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
            let found = check(&rules(|it| it), bound, true, &request_of(&proof));
            let is_refused =
                matches!(found, Err(DpopError::Proof(ProofFault::Algorithm | ProofFault::Key(_))));
            assert!(is_refused, "{found:?}");
        }
    }

    #[test]
    fn a_header_that_is_known_stands_for_its_key_and_for_nothing_else() {
        let (client, other) = (Client::new(), Client::new());
        let bound = Some(client.thumbprint());
        let rules = rules(|it| it);
        let known = KnownSender::default();
        let ask = |proof: &str| {
            let request = request_of(proof);
            rules.check(&of_token(bound, &known), &Sent::of(&request, true), UnixTime(NOW))
        };
        let with = |client: &Client, id: &str| client.prove(|claims| claims["jti"] = json!(id));
        // What fails is not remembered.
        assert_eq!(ask(&with(&other, "1")).err(), Some(DpopError::OtherKey));
        for id in ["2", "3"] {
            assert!(ask(&with(&client, id)).is_ok());
        }
        assert_eq!(ask(&with(&other, "4")).err(), Some(DpopError::OtherKey));
        // The known header, and a signature that is not of its key.
        let (good, foreign) = (with(&client, "5"), with(&other, "5"));
        let input = good.rsplit_once('.').expect("three parts").0;
        let signature = foreign.rsplit_once('.').expect("three parts").1;
        assert_eq!(ask(&format!("{input}.{signature}")).err(), Some(DpopError::Signature));
        // Another header with the same key.
        let header = json!({ "alg": "ES256", "typ": "dpop+jwt", "kid": "1", "jwk": client.jwk() });
        let payload = json!({
            "jti": "6", "htm": "GET", "htu": "https://api.example/orders", "iat": NOW,
            "ath": URL_SAFE_NO_PAD.encode(sha256(TOKEN)),
        });
        assert!(ask(&client.sign(&header, &payload)).is_ok());
        assert_eq!(ask(&client.sign(&header, &payload)).err(), Some(DpopError::Replayed));
    }

    #[test]
    fn the_token_endpoint_takes_proofs_without_a_token_and_remembers_for_itself() {
        let client = Client::new();
        let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
        let dpop = Dpop::new(replays.clone()).at("https://api.example");
        let endpoint = dpop.clone().for_token_endpoint().expect("good settings");
        let proof = client.prove(|claims| drop(claims.as_object_mut().unwrap().remove("ath")));
        let ask =
            |proofs: &[&str]| endpoint.check(&request("GET", "/orders", proofs), UnixTime(NOW));
        assert!(ask(&[]).expect("no proof").is_none());
        assert_eq!(ask(&[&proof, &proof]).err(), Some(DpopError::SeveralProofs));
        let good = ask(&[&proof]).expect("it holds").expect("a proof");
        let thumbprint = URL_SAFE_NO_PAD.encode(client.thumbprint());
        assert_eq!(good.thumbprint(), thumbprint);
        // Nothing is used yet.
        assert!(replays.is_empty());
        let spend =
            |good: &GoodProof, now| good.spend("https://id.example", "session", UnixTime(now));
        // It may have been used in the meantime, and be forgotten.
        assert!(matches!(spend(&good, NOW + 61), Spent::Seen));
        assert!(matches!(spend(&good, NOW + 60), Spent::Fresh));
        let again = ask(&[&proof]).expect("it holds").expect("a proof");
        assert!(matches!(spend(&again, NOW), Spent::Seen));
        // With the same id, for a resource.
        let rules = dpop.compile(Purpose::Resource).expect("good settings");
        let bound = Some(client.thumbprint());
        assert_eq!(check(&rules, bound, true, &request_of(&client.prove(|_| ()))), Ok(()));
        let other = client.prove(|claims| claims["htu"] = json!("https://api.example/token"));
        let found = ask(&[&other]).err();
        let service = rules.service.clone();
        assert_eq!(found, Some(DpopError::Target { differs: TargetPart::Path, service }));
    }

    #[test]
    fn every_fault_of_the_settings_is_told_at_once() {
        let dpop = Dpop::new(InProcessReplays::new())
            .at("http://api.example")
            .at("https://api.example?x")
            .algorithms([crate::Algorithm::HS256])
            .window(Duration::from_secs(301), Duration::ZERO)
            .nonces(Nonces::shared([]));
        let faults = dpop.compile(Purpose::Resource).err().expect("refused");
        let told: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 6, "{told:#?}");
        let at = |count: usize| {
            let dpop = Dpop::new(InProcessReplays::new());
            (0..count).fold(dpop, |dpop, at| dpop.at(format!("https://{at}.example")))
        };
        let faults = |dpop: Dpop| dpop.compile(Purpose::Resource).err().unwrap_or_default();
        assert_eq!(faults(at(16)), []);
        assert_eq!(faults(at(17)), [DpopFault::Bases { found: 17 }]);
        let [five, more] = [300, 301].map(Duration::from_secs);
        assert_eq!(faults(at(1).window(five, five)), []);
        for (past, future) in [(more, five), (five, more), (Duration::ZERO, five)] {
            let fault = DpopFault::Window { past, future };
            assert_eq!(faults(at(1).window(past, future)), [fault]);
        }
        let none =
            Dpop::new(InProcessReplays::new()).compile(Purpose::Resource).err().expect("refused");
        assert!(none[0].to_string().contains(".at(\"https://api.example\")"), "{none:?}");
    }
}
