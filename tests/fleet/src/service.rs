use core::time::Duration;
use std::time::SystemTime;

use portcullis::dpop::{Dpop, DpopError, Nonces, Replays};
use portcullis::{Algorithm, Clock, Error, Issuer, KeySet, Policy, Secret, UnixTime};
use portcullis_redis::{RedisError, RedisReplays, UsedProofs};
use portcullis_testkit::{ProofBuilder, SigningKey, TestIssuer};

use crate::member::ISSUER;

/// The address of all instances.
const ADDRESS: &str = "https://api.example";

/// An instance of a service that takes tokens which are bound to a key.
#[derive(Debug)]
pub struct Service {
    /// What it remembers used proofs in.
    pub used: UsedProofs,
    /// What it answers by: proofs are judged by their clients' clocks.
    pub policy: Policy,
    /// The same, but proofs need a nonce, which all instances give out alike.
    pub nonces: Policy,
}

/// What it says of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Told {
    /// It passes.
    Passes,
    /// Its proof was used, or may have been.
    Seen,
    /// It cannot be told whether it was.
    Unavailable,
    /// It was not made within the last minute.
    NotNow,
    /// Its proof needs this nonce.
    Nonce(String),
}

/// The time of this machine and so much more.
#[derive(Clone, Debug)]
pub struct Ahead(pub i64);

impl Clock for Ahead {
    fn now(&self) -> UnixTime {
        UnixTime(UnixTime::from(SystemTime::now()).0 + self.0)
    }
}

impl Service {
    /// How the store is reached here.
    ///
    /// # Errors
    ///
    /// It is no address.
    pub fn settings(url: &str) -> Result<RedisReplays, RedisError> {
        Ok(RedisReplays::server(url)?.timeout(Duration::from_millis(500)))
    }

    /// Starts one with the clock of the machine.
    ///
    /// # Errors
    ///
    /// Those of [`RedisReplays::connect`].
    pub async fn start(url: &str) -> Result<Self, RedisError> {
        Self::with(Self::settings(url)?, Ahead(0)).await
    }

    /// Starts one with settings and a clock of its own.
    ///
    /// # Errors
    ///
    /// Those of [`RedisReplays::connect`].
    ///
    /// # Panics
    ///
    /// A policy is not built.
    pub async fn with(
        settings: RedisReplays,
        clock: impl Clock + Clone,
    ) -> Result<Self, RedisError> {
        let keys = TestIssuer::new(ISSUER).jwks_of(&[Algorithm::ES256]);
        Self::with_keys(settings, clock, &keys).await
    }

    /// Starts one that is told the provider's keys.
    ///
    /// # Errors
    ///
    /// Those of [`RedisReplays::connect`].
    ///
    /// # Panics
    ///
    /// They are no keys for ES256.
    pub async fn with_keys(
        settings: RedisReplays,
        clock: impl Clock + Clone,
        keys: &str,
    ) -> Result<Self, RedisError> {
        let used = settings.connect().await?;
        let keys = KeySet::from_jwks(keys).expect("the provider's keys");
        let policy = |change: &dyn Fn(Dpop) -> Dpop| {
            policy(used.clone(), keys.clone(), clock.clone(), change)
        };
        let secret: Vec<_> = (0..32_u8).map(|at| at.wrapping_mul(37)).collect();
        let nonces = policy(&|dpop| dpop.nonces(Nonces::shared([Secret::new(secret.clone())])));
        Ok(Self { policy: policy(&|dpop| dpop), nonces, used })
    }

    /// What comes of a request with a proof that is judged by its client's clock.
    ///
    /// # Panics
    ///
    /// The token or the proof is not a good one.
    pub async fn ask(&self, token: &str, proof: &str) -> Told {
        told(&self.policy, token, proof).await
    }

    /// What comes of a request with a proof that needs a nonce.
    ///
    /// # Panics
    ///
    /// The token or the proof is not a good one.
    pub async fn ask_with_nonce(&self, token: &str, proof: &str) -> Told {
        told(&self.nonces, token, proof).await
    }
}

/// A policy for proofs of which the used ones are remembered there. Their clients' clocks may be 10 s ahead.
///
/// # Panics
///
/// It is not built.
pub fn policy(
    replays: impl Replays,
    keys: KeySet,
    clock: impl Clock,
    change: impl FnOnce(Dpop) -> Dpop,
) -> Policy {
    let issuer = Issuer::new(ISSUER)
        .algorithms([Algorithm::ES256])
        .keys(keys)
        .audience(TestIssuer::AUDIENCE);
    let dpop = change(Dpop::new(replays).at(ADDRESS));
    let builder = Policy::builder().issuer(issuer).max_lifetime(Duration::from_secs(900));
    builder.clock(clock).dpop(dpop).build().expect("a policy")
}

/// A request to a service.
///
/// # Panics
///
/// Token or proof are not fit for a header.
pub fn request(token: &str, proof: &str) -> http::Request<()> {
    let request = http::Request::get("/orders").header("authorization", format!("DPoP {token}"));
    request.header("dpop", proof).body(()).expect("a request")
}

async fn told(policy: &Policy, token: &str, proof: &str) -> Told {
    let request = request(token, proof);
    let Err(rejection) = policy.verify(&request).await else { return Told::Passes };
    let refusal = rejection.refusal();
    let nonce = refusal.headers().find(|(name, _)| *name == "dpop-nonce");
    match rejection.error() {
        Error::Dpop(DpopError::Replayed) => Told::Seen,
        Error::Dpop(DpopError::Unavailable(_)) => {
            assert_eq!(rejection.status(), 503);
            Told::Unavailable
        }
        Error::Dpop(DpopError::Window { .. }) => Told::NotNow,
        Error::Dpop(DpopError::Nonce(_)) => {
            let (_, nonce) = nonce.expect("a nonce");
            Told::Nonce(String::from_utf8(nonce.to_vec()).expect("a text"))
        }
        error => panic!("{error}"),
    }
}

/// Who has a token that is bound to a key, and makes proofs.
#[derive(Clone, Debug)]
pub struct Client {
    issuer: TestIssuer,
    key: SigningKey,
    /// Its token.
    pub token: String,
}

impl Client {
    /// One of this name, by the clock of the machine.
    pub fn new(subject: &str) -> Self {
        Self::with(subject, &SigningKey::generate(Algorithm::ES256), Ahead(0))
    }

    /// One of this name with a key and a clock of its own.
    pub fn with(subject: &str, key: &SigningKey, clock: impl Clock) -> Self {
        let issuer = TestIssuer::new(ISSUER).clock(clock);
        let token = issuer.token(Algorithm::ES256).subject(subject).bound_to(key);
        let token = token.expires_in(Duration::from_secs(600)).mint();
        Self { issuer, key: key.clone(), token }
    }

    /// A proof for a request, which is made now.
    pub fn proof(&self) -> ProofBuilder {
        self.issuer.proof(&self.key, "GET", format!("{ADDRESS}/orders")).token(&self.token)
    }

    /// The same, of so many seconds ago.
    pub fn proof_of(&self, seconds: i64) -> String {
        let now = UnixTime::from(SystemTime::now()).0;
        self.proof().claim("iat", now - seconds).mint()
    }
}
