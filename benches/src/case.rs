//! Tokens that pass, and the three ways to verify them.
use core::fmt;
use core::future::Future as _;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::LazyLock;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self as aws, ParsedPublicKey};
use base64::prelude::*;
use http::Request;
use jsonwebtoken as jwt;
use portcullis::{
    Algorithm, Issuer, KeySet, Keys, Policy, PolicyBuilder, Revocable, Revocations, Secret,
};
use portcullis_testkit::{SigningKey, TestIssuer, TokenBuilder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// How many different tokens a case goes round, so that nothing learns one by heart.
pub const TOKENS: usize = 8;

const ISSUER: &str = "https://id.example/realms/main";
const AUDIENCE: &str = "https://orders.example";
const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);

/// Nine claims of the usual kind: with a signature of 64 bytes, a token of about 500.
#[allow(missing_docs, reason = "registered claims")]
#[derive(Debug, Deserialize, Serialize)]
pub struct NineClaims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub exp: u64,
    pub nbf: u64,
    pub iat: u64,
    pub jti: String,
    pub client_id: String,
    pub scope: String,
}

/// What a handler would read of an access token of Keycloak.
#[allow(missing_docs, reason = "they are what Keycloak calls them")]
#[derive(Debug, Deserialize, Serialize)]
pub struct KeycloakClaims {
    pub exp: u64,
    pub iat: u64,
    pub jti: String,
    pub iss: String,
    pub aud: Vec<String>,
    pub sub: String,
    pub azp: String,
    pub sid: String,
    pub realm_access: Roles,
    pub resource_access: std::collections::BTreeMap<String, Roles>,
    pub scope: String,
    pub email_verified: bool,
    pub name: String,
    pub preferred_username: String,
    pub email: String,
}

/// Of a realm or of a client.
#[derive(Debug, Deserialize, Serialize)]
pub struct Roles {
    /// Their names.
    pub roles: Vec<String>,
}

/// Which claims the tokens of a case carry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// [`NineClaims`].
    Nine,
    /// [`KeycloakClaims`] and some more.
    Keycloak,
}

/// Tokens of one algorithm and one shape, and all that verifies them, prepared.
pub struct Case {
    algorithm: Algorithm,
    shape: Shape,
    issuer: TestIssuer,
    policy: Policy,
    remembering: Policy,
    revoking: Policy,
    signed: Vec<Signed>,
    raw: Raw,
    /// `None`: jsonwebtoken does not know the algorithm.
    decode: Option<(jwt::DecodingKey, jwt::Validation)>,
}

/// A token and what is at hand before its signature is verified.
pub(crate) struct Signed {
    token: String,
    /// Up to the second dot.
    input: usize,
    signature: Vec<u8>,
}

/// A key, parsed, for the signature and nothing else.
pub(crate) enum Raw {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Case {
    /// The algorithms that are measured. `Ed25519` is `EdDSA` under another name.
    pub const ALGORITHMS: [Algorithm; 16] = [
        Algorithm::HS256,
        Algorithm::HS384,
        Algorithm::HS512,
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::EdDSA,
        Algorithm::ML_DSA_44,
        Algorithm::ML_DSA_65,
        Algorithm::ML_DSA_87,
    ];

    /// The names of [`all`](Self::all): algorithms, and those of the larger tokens.
    pub const NAMES: [&str; 18] = [
        "HS256",
        "HS384",
        "HS512",
        "RS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES384",
        "ES512",
        "EdDSA",
        "ML-DSA-44",
        "ML-DSA-65",
        "ML-DSA-87",
        "ES256 Keycloak",
        "RS256 Keycloak",
    ];

    /// Every case.
    pub fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
            let issuer = TestIssuer::new(ISSUER).audience(AUDIENCE);
            drop(issuer.jwks()); // makes the RSA keys side by side
            let nine = Case::ALGORITHMS.map(|algorithm| (algorithm, Shape::Nine));
            let keycloak =
                [Algorithm::ES256, Algorithm::RS256].map(|algorithm| (algorithm, Shape::Keycloak));
            nine.into_iter()
                .chain(keycloak)
                .map(|(algorithm, shape)| Case::new(&issuer, algorithm, shape))
                .collect()
        });
        &ALL
    }

    /// The case of this name.
    ///
    /// # Panics
    ///
    /// If it is none of [`NAMES`](Self::NAMES).
    pub fn named(name: &str) -> &'static Self {
        Self::all().iter().find(|case| case.to_string() == name).expect("a name of a case")
    }

    fn new(issuer: &TestIssuer, algorithm: Algorithm, shape: Shape) -> Self {
        let key = issuer.key(algorithm);
        let policy = || policy_of(issuer, algorithm);
        let mut case = Self {
            algorithm,
            shape,
            issuer: issuer.clone(),
            policy: policy().token_cache(0).build().expect("a policy"),
            remembering: policy().build().expect("a policy"),
            revoking: policy()
                .revocations(revoked(10_000).enforce([Revocable::Token]))
                .build()
                .expect("a policy"),
            signed: Vec::new(),
            raw: Raw::of(key),
            decode: decoding_key(key),
        };
        case.signed = (0..TOKENS).map(|_| Signed::new(case.good().mint())).collect();
        case.prove();
        case
    }

    /// A fast answer that is wrong would be measured with pride.
    fn prove(&self) {
        for index in 0..TOKENS {
            for policy in [&self.policy, &self.remembering, &self.revoking] {
                policy.verify_token_now(self.token(index)).expect("the policy accepts");
            }
            assert!(self.verify_raw(index), "aws-lc-rs accepts");
            match self.shape {
                Shape::Nine => drop(self.decode::<NineClaims>(index)),
                Shape::Keycloak => drop(self.decode::<KeycloakClaims>(index)),
            }
        }
    }

    /// A token that passes, before it is minted.
    pub fn good(&self) -> TokenBuilder {
        let token = self.issuer.token(self.algorithm).expires_in(LIFETIME);
        match self.shape {
            Shape::Nine => token
                .subject("6f1e5c1e-8f0b-4a7e-9f55-2f8a3d1c7b90")
                .claim("nbf", portcullis::Clock::now(&portcullis::SystemClock).0)
                .claim("client_id", "orders-web")
                .scope("orders:read orders:write profile"),
            Shape::Keycloak => token.typ("JWT").without("client_id").claims(&json!({
                "jti": "onrtac:5e0f7a90-2c53-4b3b-a1a5-6a6a0f7f3b11",
                "aud": [AUDIENCE, "account"],
                "sub": "6f1e5c1e-8f0b-4a7e-9f55-2f8a3d1c7b90",
                "typ": "Bearer",
                "azp": "orders-web",
                "sid": "0a4e4d0f-97a0-4d41-8a53-7e1b5fd0f6c3",
                "acr": "1",
                "allowed-origins": ["https://shop.example"],
                "realm_access": { "roles": ["offline_access", "default-roles-main"] },
                "resource_access": {
                    "orders": { "roles": ["reader"] },
                    "account": { "roles": ["manage-account", "view-profile"] },
                },
                "scope": "openid email profile",
                "email_verified": true,
                "name": "Alice Example",
                "preferred_username": "alice",
                "given_name": "Alice",
                "family_name": "Example",
                "email": "alice@shop.example",
            })),
        }
    }

    /// What is measured.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Which claims the tokens carry.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The issuer of the tokens.
    pub fn issuer(&self) -> &TestIssuer {
        &self.issuer
    }

    /// The policy that accepts the tokens, and no others, and verifies each in full.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The same, as it is where nothing is said of a cache: it has seen all the tokens.
    pub fn remembering(&self) -> &Policy {
        &self.remembering
    }

    /// The same, made anew: it has seen none.
    pub fn unused(&self) -> Policy {
        self.unused_with(|policy| policy)
    }

    /// The same with other settings.
    ///
    /// # Panics
    ///
    /// If they do not make a policy.
    pub fn unused_with(&self, change: impl FnOnce(PolicyBuilder) -> PolicyBuilder) -> Policy {
        change(policy_of(&self.issuer, self.algorithm)).build().expect("a policy")
    }

    /// A policy like [`policy`](Self::policy), which remembers, and asks a list.
    ///
    /// # Panics
    ///
    /// If it cannot.
    pub fn asking(&self, revocations: &Revocations) -> Policy {
        let policy = policy_of(&self.issuer, self.algorithm);
        policy.revocations(revocations.enforce([Revocable::Token])).build().expect("a policy")
    }

    /// The same, where 10,000 other tokens were revoked.
    pub fn revoking(&self) -> &Policy {
        &self.revoking
    }

    /// The `index`th token, round and round.
    pub fn token(&self, index: usize) -> &str {
        &self.signed[index % TOKENS].token
    }

    /// A request with the `index`th token.
    pub fn request(&self, index: usize) -> Request<()> {
        request(Some(self.token(index)))
    }

    /// Verifies the signature of the `index`th token and nothing else: what was signed and the
    /// decoded signature are at hand.
    pub fn verify_raw(&self, index: usize) -> bool {
        self.raw.verify(&self.signed[index % TOKENS])
    }

    /// What jsonwebtoken reads of the `index`th token. `None`: it does not know the algorithm.
    ///
    /// # Panics
    ///
    /// If it refuses the token.
    pub fn decode<T: DeserializeOwned>(&self, index: usize) -> Option<jwt::TokenData<T>> {
        let (key, validation) = self.decode.as_ref()?;
        Some(jwt::decode(self.token(index), key, validation).expect("jsonwebtoken accepts"))
    }
}

/// A list on which so many other tokens stand.
///
/// # Panics
///
/// If they find no room.
pub fn revoked(entries: usize) -> Revocations {
    let revocations = Revocations::options().capacity(entries.max(1)).in_memory();
    for entry in 0..entries {
        revoke(&revocations, &format!("revoked-{entry}"));
    }
    revocations
}

/// Revokes another token.
///
/// # Panics
///
/// If it finds no room.
pub fn revoke(revocations: &Revocations, id: &str) {
    let revoking = pin!(revocations.revoke_token(ISSUER, id, None));
    // In memory there is nothing to wait for.
    let revoked = revoking.poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(revoked, Poll::Ready(Ok(())));
}

impl Signed {
    pub(crate) fn new(token: String) -> Self {
        let (input, signature) = token.rsplit_once('.').expect("a signed token");
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        Self { input: input.len(), signature, token }
    }
}

/// A request as a browser's or a client's: the header with the token is one of four.
pub fn request(token: Option<&str>) -> Request<()> {
    let mut request = Request::builder()
        .uri("/orders/17?page=2")
        .header("host", "orders.example")
        .header("user-agent", "client/1.0")
        .header("accept", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.body(()).expect("a request")
}

impl Raw {
    fn of(key: &SigningKey) -> Self {
        Self::new(key.algorithm(), &raw_key(key))
    }

    /// `key` is a secret, or a public key as DER.
    pub(crate) fn new(algorithm: Algorithm, key: &[u8]) -> Self {
        let hmac = |hash| Self::Hmac(Box::new(hmac::Key::new(hash, key)));
        let algorithm: &'static dyn aws::VerificationAlgorithm = match algorithm {
            Algorithm::HS256 => return hmac(hmac::HMAC_SHA256),
            Algorithm::HS384 => return hmac(hmac::HMAC_SHA384),
            Algorithm::HS512 => return hmac(hmac::HMAC_SHA512),
            Algorithm::RS256 => &aws::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &aws::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &aws::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &aws::RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &aws::RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &aws::RSA_PSS_2048_8192_SHA512,
            Algorithm::ES256 => &aws::ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &aws::ECDSA_P384_SHA384_FIXED,
            Algorithm::ES512 => &aws::ECDSA_P521_SHA512_FIXED,
            Algorithm::EdDSA => &aws::ED25519,
            Algorithm::ML_DSA_44 => &aws::ML_DSA_44,
            Algorithm::ML_DSA_65 => &aws::ML_DSA_65,
            Algorithm::ML_DSA_87 => &aws::ML_DSA_87,
            other => panic!("{other} is not measured"),
        };
        Self::Public(ParsedPublicKey::new(algorithm, key).expect("a public key"))
    }

    pub(crate) fn verify(&self, signed: &Signed) -> bool {
        let Signed { token, input, signature } = signed;
        let message = &token.as_bytes()[..*input];
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// The secret, or the public key as DER.
pub(crate) fn raw_key(key: &SigningKey) -> Vec<u8> {
    key.secret().map_or_else(|| key.public_der().expect("a key pair"), <[u8]>::to_vec)
}

fn policy_of(issuer: &TestIssuer, algorithm: Algorithm) -> PolicyBuilder {
    let key = issuer.key(algorithm);
    let keys = match key.secret() {
        Some(secret) => Keys::from(Secret::new(secret).id(key.id())),
        None => KeySet::from_jwks(issuer.jwks_of(&[algorithm])).expect("keys").into(),
    };
    policy_builder(algorithm, keys)
}

/// A policy that accepts the tokens of `algorithm`.
pub(crate) fn policy_builder(algorithm: Algorithm, keys: Keys) -> PolicyBuilder {
    let trusted = Issuer::new(ISSUER).algorithms([algorithm]).keys(keys).audience(AUDIENCE);
    Policy::builder().issuer(trusted)
}

/// The same checks as the policy's, as far as jsonwebtoken has them.
fn decoding_key(key: &SigningKey) -> Option<(jwt::DecodingKey, jwt::Validation)> {
    let algorithm = key.algorithm().name().parse().ok()?;
    let decoding = match key.secret() {
        Some(secret) => jwt::DecodingKey::from_secret(secret),
        None => {
            let jwk: jwt::jwk::Jwk =
                serde_json::from_value(key.public_jwk()?).expect("a key that it knows");
            jwt::DecodingKey::from_jwk(&jwk).expect("a key that it knows")
        }
    };
    let mut validation = jwt::Validation::new(algorithm);
    validation.leeway = 30;
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    Some((decoding, validation))
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            Shape::Nine => write!(f, "{}", self.algorithm),
            Shape::Keycloak => write!(f, "{} Keycloak", self.algorithm),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({self})")
    }
}
