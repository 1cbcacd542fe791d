//! One proof on its way.
use core::sync::atomic::{AtomicUsize, Ordering};

use base64::prelude::*;
use serde_json::{Map, Value, json};

use crate::{SigningKey, TestIssuer, TokenBuilder};

/// A proof of who has a key on its way (DPoP, RFC 9449 §4.2), from [`TestIssuer::proof`]. **For tests only.**
///
/// Until told otherwise it is a good one, made now by the issuer's clock, with an id that no other has. Nothing is checked: a
/// proof that must be refused is as welcome.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{SigningKey, TestIssuer};
///
/// let issuer = TestIssuer::new("https://id.example");
/// let key = SigningKey::generate(Algorithm::ES256);
/// let token = issuer.token(Algorithm::ES256).bound_to(&key).mint();
/// let proof = issuer
///     .proof(&key, "GET", "https://api.example/orders")
///     .token(&token)
///     .mint();
/// # _ = proof;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ProofBuilder {
    pub(super) key: SigningKey,
    pub(super) header: Map<String, Value>,
    pub(super) payload: Map<String, Value>,
}

/// No two proofs of a process have one id.
static PROOFS: AtomicUsize = AtomicUsize::new(1);

impl TestIssuer {
    /// A proof that its sender has this key, for a request.
    ///
    /// # Panics
    ///
    /// If the key is a secret, which proves nothing.
    pub fn proof(
        &self,
        key: &SigningKey,
        method: impl Into<String>,
        url: impl Into<String>,
    ) -> ProofBuilder {
        let jwk = public_part(key);
        let header = json!({ "typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": jwk });
        let payload = json!({
            "jti": format!("proof-{}", PROOFS.fetch_add(1, Ordering::Relaxed)),
            "htm": method.into(), "htu": url.into(), "iat": self.clock.now().0,
        });
        let object = |value| if let Value::Object(members) = value { members } else { Map::new() };
        ProofBuilder { key: key.clone(), header: object(header), payload: object(payload) }
    }
}

impl ProofBuilder {
    /// Goes with this access token (`ath`).
    pub fn token(self, token: &str) -> Self {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
        self.claim("ath", base64url(hash))
    }

    /// Sets a claim, whatever it is.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.payload.insert(name.into(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.payload.remove(name);
        self
    }

    /// Sets a header member, whatever it is.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Leaves a header member out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Signed by another key than the one that it brings.
    pub fn signed_by(mut self, key: &SigningKey) -> Self {
        self.key = key.clone();
        self
    }

    /// The proof: the value of the header `DPoP`.
    ///
    /// A builder that mints twice makes two proofs of one id, of which the second is a replay.
    pub fn mint(&self) -> String {
        let input = self.input();
        let signature = base64url(self.key.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    /// What is signed.
    pub(super) fn input(&self) -> String {
        format!("{}.{}", base64url(text(&self.header)), base64url(text(&self.payload)))
    }
}

pub(super) fn text(members: &Map<String, Value>) -> String {
    Value::Object(members.clone()).to_string()
}

pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The members of a public key that its thumbprint is made of.
pub(super) fn public_part(key: &SigningKey) -> Value {
    let mut jwk = key.public_jwk().expect("a key pair");
    // Of ML-DSA, `alg` is one of them (RFC 9964 §6).
    let others: &[&str] =
        if jwk["kty"] == "AKP" { &["kid", "use"] } else { &["kid", "alg", "use"] };
    for member in others {
        jwk.as_object_mut().expect("an object").remove(*member);
    }
    jwk
}

impl TokenBuilder {
    /// Bound to this key (`cnf.jkt`, RFC 9449 §6.1): who has no proof of it may not use the token.
    ///
    /// # Panics
    ///
    /// If the key is a secret.
    pub fn bound_to(self, key: &SigningKey) -> Self {
        self.confirmed_by("jkt", key.thumbprint().expect("a key pair"))
    }
}
