//! Keys, tokens and a time that never change, so that verification takes the same path every time.
//!
//! They are in `vectors.json`; `counts --vectors` makes others.
use core::fmt;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::prelude::*;
use http::Request;
use portcullis::{Algorithm, Clock, KeySet, Keys, Policy, PolicyBuilder, Secret, SystemClock};
use portcullis_testkit::FixedClock;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::case::{self, Case, Raw, Signed};
use crate::refusal::{self, Refused};

/// Some of [`Case::NAMES`].
pub const ACCEPTED: [&str; 5] = ["HS256", "RS256", "ES256", "EdDSA", "RS256 Keycloak"];

/// What `vectors.json` holds.
#[derive(Debug, Deserialize, Serialize)]
pub struct Vectors {
    /// When the tokens were minted, in seconds since the Unix epoch.
    now: i64,
    /// By the names of algorithms.
    keys: BTreeMap<String, Key>,
    /// Tokens by the names of [`ACCEPTED`].
    accepted: BTreeMap<String, String>,
    /// Tokens by the names of [`Refused::NAMES`]. `None`: the request has none.
    refused: BTreeMap<String, Option<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Key {
    id: String,
    /// The secret, or the public key as DER, in base64url.
    raw: String,
    /// `None`: it is a secret.
    jwk: Option<Value>,
}

impl Vectors {
    /// New keys, and new tokens at the time it is now.
    pub fn generate() -> Self {
        let now = SystemClock.now().0;
        let accepted = ACCEPTED.map(Case::named);
        let key = |case: &&Case| {
            let key = case.issuer().key(case.algorithm());
            let raw = BASE64_URL_SAFE_NO_PAD.encode(case::raw_key(key));
            let key = Key { id: key.id().to_owned(), raw, jwk: key.public_jwk() };
            (case.algorithm().to_string(), key)
        };
        Self {
            now,
            keys: accepted.iter().map(key).collect(),
            accepted: accepted.map(|case| (case.to_string(), case.token(0).to_owned())).into(),
            refused: Refused::all()
                .iter()
                .map(|refused| (refused.to_string(), refused.token().map(str::to_owned)))
                .collect(),
        }
    }

    fn read() -> &'static Self {
        static READ: LazyLock<Vectors> = LazyLock::new(|| {
            serde_json::from_str(include_str!("../vectors.json")).expect("what `generate` made")
        });
        &READ
    }
}

/// A request of [`Vectors`], and what verifies it.
pub struct Vector {
    policy: Policy,
    token: Option<String>,
    raw: Raw,
}

impl Vector {
    /// The one of this name, which passes and is not remembered.
    ///
    /// # Panics
    ///
    /// If the name is none of [`ACCEPTED`], or the policy refuses the token.
    pub fn accepted(name: &str) -> Self {
        Self::passing(name, |policy| policy.token_cache(0))
    }

    /// The one of this name, which passes and is remembered.
    ///
    /// # Panics
    ///
    /// As [`accepted`](Self::accepted).
    pub fn remembered(name: &str) -> Self {
        Self::passing(name, |policy| policy)
    }

    fn passing(name: &str, set: fn(PolicyBuilder) -> PolicyBuilder) -> Self {
        let algorithm = name.split(' ').next().unwrap_or_default();
        let token = &Vectors::read().accepted[name];
        let vector = Self::new(algorithm, Some(token.clone()), set);
        vector.policy.verify_token_now(token).expect("the policy accepts");
        vector
    }

    /// The one of this name, which is turned away.
    ///
    /// # Panics
    ///
    /// If the name is none of [`Refused::NAMES`], or the policy accepts the request.
    pub fn refused(name: &str) -> Self {
        let token = Vectors::read().refused[name].clone();
        let vector = Self::new("ES256", token, |policy| policy.token_cache(0));
        drop(refusal::decide(&vector.policy, &vector.request()));
        vector
    }

    fn new(
        algorithm: &str,
        token: Option<String>,
        set: fn(PolicyBuilder) -> PolicyBuilder,
    ) -> Self {
        let vectors = Vectors::read();
        let key = &vectors.keys[algorithm];
        let algorithm: Algorithm = algorithm.parse().expect("the name of an algorithm");
        let raw = BASE64_URL_SAFE_NO_PAD.decode(&key.raw).expect("base64url");
        let policy = case::policy_builder(algorithm, key.keys(&raw));
        let policy = set(policy.clock(FixedClock::at(vectors.now))).build().expect("a policy");
        Self { policy, token, raw: Raw::new(algorithm, &raw) }
    }

    /// The policy that verifies.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// A request with the token.
    pub fn request(&self) -> Request<()> {
        case::request(self.token.as_deref())
    }

    /// Verifies the signature and nothing else: what was signed and the decoded signature are at
    /// hand.
    ///
    /// # Panics
    ///
    /// If there is no token, or its signature is no base64url.
    pub fn into_raw(self) -> impl Fn() -> bool {
        let signed = Signed::new(self.token.expect("a token"));
        move || self.raw.verify(&signed)
    }
}

impl Key {
    fn keys(&self, raw: &[u8]) -> Keys {
        match &self.jwk {
            Some(jwk) => {
                KeySet::from_jwks(json!({ "keys": [jwk] }).to_string()).expect("keys").into()
            }
            None => Secret::new(raw).id(&*self.id).into(),
        }
    }
}

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vector({:?})", self.token)
    }
}
