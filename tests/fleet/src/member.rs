use core::time::Duration;

use portcullis::error::RevocationError;
use portcullis::revocation::UnknownRevocation;
use portcullis::{Algorithm, Error, Issuer, KeySet, Policy, Revocable, Revocations, dangerous};
use portcullis_redis::{RedisError, RedisRevocations, StoreTerms};
use portcullis_testkit::TestIssuer;

/// The provider of all tokens.
pub const ISSUER: &str = "https://id.example";

/// A process of a fleet: its revocations, and a policy that enforces them.
#[derive(Debug)]
pub struct Member {
    /// What it revokes with.
    pub revocations: Revocations,
    /// What it answers by.
    pub policy: Policy,
    /// The same, but it lets in what nobody can tell about.
    pub open: Policy,
}

/// What a policy says of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It passes.
    Active,
    /// It was revoked.
    Revoked,
    /// Nobody can tell.
    Unavailable,
}

impl Member {
    /// How soon a member notices things here.
    pub fn settings(redis: RedisRevocations) -> RedisRevocations {
        redis
            .heartbeat(Duration::from_millis(50))
            .timeout(Duration::from_millis(500))
            .max_staleness(Duration::from_secs(20))
    }

    /// The terms of the stores here.
    pub fn terms() -> StoreTerms {
        StoreTerms::new(Duration::from_secs(900)).recovery(Duration::from_millis(1000))
    }

    /// Makes the store.
    ///
    /// # Errors
    ///
    /// Those of [`RedisRevocations::initialize`].
    pub async fn initialize(url: &str) -> Result<bool, RedisError> {
        RedisRevocations::server(url)?.initialize(Self::terms()).await
    }

    /// Starts one.
    ///
    /// # Errors
    ///
    /// Those of [`RedisRevocations::connect`].
    pub async fn start(url: &str) -> Result<Self, RedisError> {
        Self::with(Self::settings(RedisRevocations::server(url)?)).await
    }

    /// Starts one with settings of its own.
    ///
    /// # Errors
    ///
    /// Those of [`RedisRevocations::connect`].
    pub async fn with(redis: RedisRevocations) -> Result<Self, RedisError> {
        let keys = KeySet::from_jwks(TestIssuer::new(ISSUER).jwks_of(&[Algorithm::ES256]));
        Self::with_keys(redis, keys.expect("the provider's keys")).await
    }

    /// Starts one that is told the provider's keys.
    ///
    /// # Errors
    ///
    /// Those of [`RedisRevocations::connect`].
    ///
    /// # Panics
    ///
    /// They are no keys for ES256.
    pub async fn with_keys(redis: RedisRevocations, keys: KeySet) -> Result<Self, RedisError> {
        let revocations = redis.connect().await?;
        let policy = |unknown| {
            let issuer = Issuer::new(ISSUER)
                .algorithms([Algorithm::ES256])
                .keys(keys.clone())
                .audience(TestIssuer::AUDIENCE);
            Policy::builder()
                .issuer(issuer)
                .max_lifetime(Duration::from_secs(900))
                .revocations(revocations.enforce([Revocable::Token, Revocable::Subject]))
                .unknown_revocation(unknown)
                .build()
                .expect("a policy")
        };
        let open = policy(dangerous::accept_unknown_revocation());
        Ok(Self { policy: policy(UnknownRevocation::default()), open, revocations })
    }

    /// What it says of a token.
    ///
    /// # Panics
    ///
    /// The token does not verify, for another reason.
    pub fn verdict(&self, token: &str) -> Verdict {
        verdict(&self.policy, token)
    }

    /// What it says of a token where nobody can tell.
    pub fn open_verdict(&self, token: &str) -> Verdict {
        verdict(&self.open, token)
    }

    /// Revokes the token of that id.
    ///
    /// # Panics
    ///
    /// It is not acknowledged.
    pub async fn revoke(&self, id: &str) {
        self.revocations.revoke_token(ISSUER, id, None).await.expect("acknowledged");
    }
}

fn verdict(policy: &Policy, token: &str) -> Verdict {
    match policy.verify_token_now(token) {
        Ok(_) => Verdict::Active,
        Err(Error::Revocation(RevocationError::Revoked)) => Verdict::Revoked,
        Err(Error::Revocation(RevocationError::Unavailable(_))) => Verdict::Unavailable,
        Err(error) => panic!("{error}"),
    }
}

/// A token of an id.
pub fn token(id: &str) -> String {
    let lifetime = Duration::from_secs(600);
    TestIssuer::new(ISSUER).token(Algorithm::ES256).claim("jti", id).expires_in(lifetime).mint()
}
