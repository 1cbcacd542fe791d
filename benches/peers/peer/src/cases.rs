use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The `sub` of every token, and what every handler answers.
pub const SUBJECT: &str = "6f1e5c1e-8f0b-4a7e-9f55-2f8a3d1c7b90";

/// What every handler reads of a token.
///
/// What a library may check has a default, so that only the library minds if it is missing.
#[allow(missing_docs, reason = "registered claims")]
#[derive(Clone, Debug, Deserialize)]
pub struct Claims {
    #[serde(default)]
    pub iss: String,
    pub sub: String,
    #[serde(default)]
    pub aud: String,
    #[serde(default)]
    pub exp: u64,
    #[serde(default)]
    pub nbf: u64,
    #[serde(default)]
    pub iat: u64,
    pub jti: String,
    pub client_id: String,
    pub scope: String,
}

/// What the driver writes and every program reads.
#[derive(Debug, Deserialize, Serialize)]
pub struct Cases {
    /// One for each algorithm.
    pub cases: Vec<Case>,
}

/// Tokens of one algorithm and the key that verifies them.
#[derive(Debug, Deserialize, Serialize)]
pub struct Case {
    /// As in `alg`.
    pub algorithm: String,
    /// The `iss` of the tokens.
    pub issuer: String,
    /// The `aud` of the tokens.
    pub audience: String,
    /// The key as a JWK with `kid` and `alg`: a public one, or an `oct` one.
    pub jwk: Value,
    /// The key again, where it is a secret.
    pub secret: Option<Vec<u8>>,
    /// Tokens that pass.
    pub tokens: Vec<String>,
}

impl Case {
    /// The set of the one key, as JSON.
    pub fn jwks(&self) -> String {
        json!({ "keys": [self.jwk] }).to_string()
    }
}
