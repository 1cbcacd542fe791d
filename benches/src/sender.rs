//! A client whose tokens are bound to its key: its proofs, its requests, and what verifies them.
use core::cell::RefCell;
use core::fmt;

use http::{HeaderValue, Request, Response};
use portcullis::dpop::{Dpop, InProcessReplays, ProofUse, Replays, Spent};
use portcullis::{Algorithm, Clock as _, Policy, SystemClock, UnixTime};
use portcullis_testkit::{FixedClock, SigningKey};

use crate::case::{self, Case, Raw, Signed, TOKENS};

/// The address under which clients know the service.
pub const BASE: &str = "https://orders.example";

/// Room for more proofs than a run makes, so that none finds it full.
const ROOM: usize = 1 << 26;

/// A client with a key, and tokens of ES256 that are bound to it.
pub struct Client {
    key: SigningKey,
    raw: Raw,
    tokens: Vec<String>,
    /// The last one that the service gave out.
    nonce: RefCell<Option<HeaderValue>>,
    /// `None`: the machine's.
    clock: Option<FixedClock>,
}

/// A proof and what is at hand before its signature is verified.
pub struct SignedProof(Signed);

/// Remembers no proof, for what is to be counted without the growth of a store.
#[derive(Clone, Copy, Debug)]
pub struct Forgetful;

impl Replays for Forgetful {
    fn spend(&self, _: &ProofUse) -> Spent {
        Spent::Fresh
    }

    fn epoch(&self) -> u64 {
        7
    }

    fn is_shared(&self) -> bool {
        false
    }
}

impl Client {
    /// A client with a new key of this algorithm.
    ///
    /// # Panics
    ///
    /// If proofs of it are not measured.
    pub fn new(algorithm: Algorithm) -> Self {
        let key = SigningKey::generate(algorithm);
        let raw = Raw::new(algorithm, &case::raw_key(&key));
        let token = || Case::named("ES256").good().bound_to(&key).mint();
        let tokens = (0..TOKENS).map(|_| token()).collect();
        Self { key, raw, tokens, nonce: RefCell::new(None), clock: None }
    }

    /// The same, for which time stands still, so that no nonce takes the place of another.
    #[must_use]
    pub fn standing_still(self) -> Self {
        Self { clock: Some(FixedClock::at(SystemClock.now().0)), ..self }
    }

    /// The time, for the client and for its policies.
    pub fn now(&self) -> UnixTime {
        self.clock.as_ref().map_or_else(|| SystemClock.now(), FixedClock::now)
    }

    /// A policy that takes the client's tokens, and with `change` other settings for its proofs. It has seen the tokens.
    ///
    /// # Panics
    ///
    /// If it refuses them.
    pub fn policy(&self, change: impl FnOnce(Dpop) -> Dpop) -> Policy {
        let begin = UnixTime(self.now().0 - 3600);
        self.policy_over(InProcessReplays::with_capacity(ROOM).started_at(begin), change)
    }

    /// The same, where used proofs are remembered elsewhere.
    ///
    /// # Panics
    ///
    /// As [`policy`](Self::policy).
    pub fn policy_over(&self, replays: impl Replays, change: impl FnOnce(Dpop) -> Dpop) -> Policy {
        let dpop = change(Dpop::new(replays).at(BASE));
        let policy = Case::named("ES256").unused_with(|policy| match &self.clock {
            Some(clock) => policy.dpop(dpop).clock(clock.clone()),
            None => policy.dpop(dpop),
        });
        for index in 0..TOKENS {
            // The first one has no nonce yet.
            if let Err(rejection) = policy.verify_now(&self.request(index)) {
                self.hear(&rejection.into_response::<bytes::Bytes>());
                policy.verify_now(&self.request(index)).expect("a good proof");
            }
        }
        policy
    }

    /// A new proof for the `index`th token, with the last nonce.
    pub fn proof(&self, index: usize) -> String {
        self.proof_at(index, self.now())
    }

    fn proof_at(&self, index: usize, time: UnixTime) -> String {
        let token = &self.tokens[index % TOKENS];
        let issuer = Case::named("ES256").issuer();
        let proof = issuer.proof(&self.key, "GET", format!("{BASE}/orders/17")).token(token);
        let proof = proof.claim("iat", time.0);
        match self.nonce.borrow().as_ref().and_then(|nonce| nonce.to_str().ok()) {
            Some(nonce) => proof.claim("nonce", nonce).mint(),
            None => proof.mint(),
        }
    }

    /// A request with the `index`th token and a new proof.
    pub fn request(&self, index: usize) -> Request<()> {
        self.request_at(index, self.now())
    }

    /// The same with a proof that was made at another time.
    pub fn request_at(&self, index: usize, time: UnixTime) -> Request<()> {
        let mut request = case::request(None);
        let token = format!("DPoP {}", self.tokens[index % TOKENS]);
        let value = |text: String| HeaderValue::try_from(text).expect("a header");
        request.headers_mut().insert("authorization", value(token));
        request.headers_mut().insert("dpop", value(self.proof_at(index, time)));
        request
    }

    /// Takes the nonce of a response for the next proof, where there is one.
    pub fn hear<B>(&self, response: &Response<B>) {
        if let Some(nonce) = response.headers().get("dpop-nonce") {
            *self.nonce.borrow_mut() = Some(nonce.clone());
        }
    }

    /// A new proof as [`proof`](Self::proof) makes it.
    pub fn signed_proof(&self, index: usize) -> SignedProof {
        SignedProof(Signed::new(self.proof(index)))
    }

    /// Verifies the signature of a proof and nothing else: the key is parsed, and what was signed and the decoded signature are at
    /// hand.
    pub fn verify_raw(&self, SignedProof(signed): &SignedProof) -> bool {
        self.raw.verify(signed)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.key.algorithm())
    }
}

impl fmt::Debug for SignedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedProof")
    }
}
