//! The issuer: what it is made of, and what it does.
mod builder;
mod source;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use portcullis::{Issuer, Keys, Policy, PolicyBuilder, TokenType, UnixTime};
use serde::Serialize;

pub use self::builder::{
    BuildError, Complete, IssuerFault, TokenIssuerBuilder, WantsAlgorithm, WantsAudiences,
    WantsLifetime, WantsRing, WantsRootSecrets,
};
use self::source::RingKeys;
use crate::keeper::{PublishedKeys, ReadRing, RingError, RingKeeper, Wanted};
use crate::key::SigningKey;
use crate::ring::{KeyTimes, Phase, RingTime};
use crate::store::{RingStore, RingVersion};
use crate::token::{AccessToken, MintError, Minted, TokenTerms};

/// Issues access tokens, with keys that follow each other by themselves.
///
/// ```
/// use std::time::Duration;
///
/// use portcullis::{Algorithm, Encoding, Secret};
/// use portcullis_issuer::store::MemoryRing;
/// use portcullis_issuer::{AccessToken, TokenIssuer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let text = "b4Yq0YHhV0cW8g2mJm7Xn1dKzR5sT9uLpE3fQaC6iwo";
/// let issuer = TokenIssuer::builder("https://id.example")
///     .algorithm(Algorithm::ES256)
///     .audiences(["https://orders.example"])
///     .lifetime(Duration::from_secs(15 * 60))
///     .root_secrets([Secret::encoded(text, Encoding::Base64url)])
///     .ring(MemoryRing::new()) // in production, a store that is kept
///     .build()
///     .await?;
/// let minted = issuer.mint(&AccessToken::of_user("alice", "web"))?;
///
/// let policy = issuer.policy_builder().build()?;
/// let token = policy.verify_token_now(&minted.token)?;
/// assert_eq!(token.subject(), Some("alice"));
/// # Ok(()) }
/// ```
///
/// Clones are one issuer.
pub struct TokenIssuer<S>(Arc<Inner<S>>);

struct Inner<S> {
    keeper: Arc<RingKeeper<S>>,
    audiences: Vec<String>,
    terms: TokenTerms,
}

impl TokenIssuer<()> {
    /// Starts an issuer of this identifier (`iss`), which is its address as a rule: `https://id.example`.
    pub fn builder(issuer: impl Into<String>) -> TokenIssuerBuilder<WantsAlgorithm> {
        TokenIssuerBuilder::new(issuer.into())
    }
}

impl<S: RingStore> TokenIssuer<S> {
    fn new(keeper: RingKeeper<S>, audiences: Vec<String>) -> Self {
        let terms = TokenTerms::new(&keeper.issuer, &audiences, keeper.lifetime);
        Self(Arc::new(Inner { keeper: Arc::new(keeper), audiences, terms }))
    }

    /// Writes and signs an access token. It does not wait: the store is not asked.
    ///
    /// # Errors
    ///
    /// What is to stand in it cannot, or the ring was not read for too long: [`MintError::is_unavailable`] tells the
    /// second, which is a 503.
    pub fn mint<C: Serialize>(&self, what: &AccessToken<C>) -> Result<Minted, MintError> {
        let keeper = &self.0.keeper;
        let ring = self.held()?;
        let now = ring.now(&*keeper.time);
        let (held, key, header) = ring.signing(now).ok_or(MintError::NoKey)?;
        let not_after = held.times.verifies_until.map(|end| keeper.schedule.last_expiry(end));
        let not_after = not_after.map(|end| UnixTime(end.as_millis() / 1000));
        let now = UnixTime(now.as_millis() / 1000);
        self.0.terms.mint(what, key, header, now, not_after)
    }

    /// The public keys, as verifiers fetch them.
    ///
    /// # Errors
    ///
    /// The ring was not read for too long: a 503. An older set could have a key that was withdrawn since.
    pub fn key_set(&self) -> Result<PublishedKeys, MintError> {
        self.held().map(|ring| ring.published.clone())
    }

    /// What was read last, however old it is: for who operates the issuer. `None`: nothing was.
    pub fn status(&self) -> Option<RingStatus> {
        let keeper = &self.0.keeper;
        let ring = keeper.held.load_full()?;
        let now = ring.now(&*keeper.time);
        let keys = ring.keys.iter().map(|key| KeyStatus {
            key_id: key.id.clone(),
            phase: key.times.phase(now),
            times: key.times,
        });
        let age = ring.age(&*keeper.time);
        Some(RingStatus { version: ring.version, now, age, keys: keys.collect() })
    }

    /// What was read last, if it is not too old to go by.
    fn held(&self) -> Result<Arc<ReadRing>, MintError> {
        let keeper = &self.0.keeper;
        let ring = keeper.held.load_full().ok_or(MintError::NoKey)?;
        let (age, limit) = (ring.age(&*keeper.time), keeper.schedule.stale_after());
        if age > limit { Err(MintError::Stale { age, limit }) } else { Ok(ring) }
    }

    /// A policy for this issuer's own tokens, in this process: its keys come from the ring, and nothing is fetched.
    ///
    /// It accepts tokens of this issuer for its audiences, signed with a key of its ring, and of the type `at+jwt` alone.
    /// Algorithm and lifetime are what the ring's instances made them with, also before other settings. Add to it what a
    /// service needs besides; maximum lifetime and leeway are said already.
    pub fn policy_builder(&self) -> PolicyBuilder {
        let keeper = &self.0.keeper;
        let issuer = Issuer::new(keeper.issuer.as_str())
            // Each key of the ring says its own, and those of before other settings go on.
            .algorithms(SigningKey::published_algorithms())
            .keys(self.keys())
            .audiences(self.0.audiences.iter().map(String::as_str))
            .token_types([TokenType::AccessToken]);
        Policy::builder()
            .issuer(issuer)
            .max_lifetime(LONGEST_LIFETIME)
            .leeway(keeper.schedule.leeway_of_verifiers())
    }

    /// This issuer's keys, for a policy of one's own in this process.
    pub fn keys(&self) -> Keys {
        Keys::source(RingKeys::new(Arc::clone(&self.0.keeper)))
    }

    /// Reads the ring and does what is due: publishes the next key in time, and erases what is over. Any instance may,
    /// at any time, and the others take over what it did.
    ///
    /// Call it once in a [`Schedule::reload`](crate::ring::Schedule::reload).
    ///
    /// # Errors
    ///
    /// The ring cannot be had. What was read before serves until it is [too old](crate::ring::Schedule::stale).
    pub async fn refresh(&self) -> Result<(), RingError> {
        self.0.keeper.read(Wanted::Due).await.map(drop)
    }

    /// Takes the key of this id out of the key set, and signs with the one that stands by: verifiers have that.
    ///
    /// Nothing happens where it is withdrawn already. Tokens of the key pass at verifiers until they fetch the keys anew.
    ///
    /// # Errors
    ///
    /// There is no such key ([`RingError::UnknownKey`]). Or the ring cannot be had: say it again. It may have been done.
    pub async fn withdraw(&self, key_id: &str) -> Result<(), RingError> {
        let wanted = Wanted::Compromised { key_ids: vec![key_id.to_owned()] };
        self.0.keeper.read(wanted).await.map(drop)
    }

    /// Takes all keys out of the key set that are there now, and makes new ones: where the store and a root secret are in
    /// other hands. First have every instance list a new root secret in front of the old one, then call this, and then
    /// drop the old one.
    ///
    /// # Errors
    ///
    /// The ring cannot be had. Look at the [status](Self::status) before you say it again: it may have been done, and
    /// would be done to the new keys.
    pub async fn withdraw_all(&self) -> Result<(), RingError> {
        self.0.keeper.read(Wanted::AllCompromised).await.map(drop)
    }
}

impl<S> Clone for TokenIssuer<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for TokenIssuer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenIssuer")
            .field("issuer", &self.0.keeper.issuer)
            .field("algorithm", &self.0.keeper.algorithm)
            .finish_non_exhaustive()
    }
}

/// A ring as an instance holds it.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RingStatus {
    /// How often it was changed.
    pub version: RingVersion,
    /// The ring's clock.
    pub now: RingTime,
    /// How long ago it was read.
    pub age: Duration,
    /// Its keys, in the order in which they sign.
    pub keys: Vec<KeyStatus>,
}

/// What a key of a ring does.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyStatus {
    /// Its id.
    pub key_id: String,
    /// What it does now.
    pub phase: Phase,
    /// What it does when.
    pub times: KeyTimes,
}

/// The longest that an access token may live: whoever has one uses it for as long.
pub(crate) const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests;
