//! The issuer: what it is made of, and what it does.
mod builder;
#[cfg(feature = "metrics")]
mod metrics;
mod publication;
mod source;
mod status;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis::{Algorithm, Clock, Issuer, Keys, Policy, PolicyBuilder, TokenType};
use serde::Serialize;

pub use self::builder::{
    BuildError, Complete, IssuerFault, TokenIssuerBuilder, WantsAlgorithm, WantsAudiences,
    WantsLifetime, WantsRing, WantsRootSecrets,
};
use self::publication::Publication;
pub use self::publication::PublicationFault;
use self::source::RingKeys;
pub use self::status::{KeyStatus, RingStatus};
use crate::keeper::{
    HeldSigner, IssuerNotReady, PublishedKeys, RingError, RingKeeper, SigningPart, Wanted,
};
use crate::key::SigningKey;
use crate::root::{RootKey, RootSecrets};
use crate::store::RingStore;
use crate::time::StoreTime;
use crate::token::{AccessToken, MintError, Minted, TokenTerms, TokenTimes, Unsigned};

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
/// let minted = issuer.mint(&AccessToken::of_user("alice", "web")).await?;
///
/// let policy = issuer.policy_builder().build()?;
/// let token = policy.verify_token_now(&minted.token)?;
/// assert_eq!(token.subject(), Some("alice"));
/// # Ok(()) }
/// ```
///
/// It reads its ring in the background, about once in a [`reload`](crate::ring::Schedule::reload), on the tokio runtime
/// that it was built in, and for as long as it or a clone of it is there. Clones are one issuer.
pub struct TokenIssuer<S>(Arc<Inner<S>>);

struct Inner<S> {
    keeper: Arc<RingKeeper<S>>,
    session_keys: SessionKeys,
    is_refreshed_by_hand: bool,
    audiences: Vec<String>,
    terms: TokenTerms,
    publication: Publication,
    /// How many tokens it minted.
    minted: AtomicU64,
    /// The one of a test.
    clock: Option<Arc<dyn Clock>>,
}

impl TokenIssuer<()> {
    /// Starts an issuer of this identifier (`iss`), which is its address as a rule: `https://id.example`. A ring belongs to its
    /// identifier: under another one, a store has another ring.
    pub fn builder(issuer: impl Into<String>) -> TokenIssuerBuilder<WantsAlgorithm> {
        TokenIssuerBuilder::new(issuer.into())
    }
}

impl<S: RingStore> TokenIssuer<S> {
    fn new(
        keeper: RingKeeper<S>,
        session_keys: SessionKeys,
        is_refreshed_by_hand: bool,
        audiences: Vec<String>,
        publication: Publication,
        clock: Option<Arc<dyn Clock>>,
    ) -> Self {
        let settings = &keeper.settings;
        let terms = TokenTerms::new(&settings.issuer, &audiences, settings.lifetime);
        let minted = AtomicU64::new(0);
        let keeper = Arc::new(keeper);
        Self(Arc::new(Inner {
            keeper,
            session_keys,
            is_refreshed_by_hand,
            audiences,
            terms,
            publication,
            minted,
            clock,
        }))
    }

    /// Its identifier (`iss`).
    pub fn id(&self) -> &str {
        &self.0.keeper.settings.issuer
    }

    /// Writes and signs an access token. The store is not asked. It waits for a [signer](crate::signer::Signer), up to 5 s,
    /// and otherwise for nothing.
    ///
    /// # Errors
    ///
    /// What is to stand in it cannot, the ring was not read for too long, or the signer cannot be asked:
    /// [`MintError::is_unavailable`] tells the last two, which are a 503.
    pub async fn mint<C: Serialize>(&self, what: &AccessToken<C>) -> Result<Minted, MintError> {
        self.mint_within(what, TokenTimes::default()).await
    }

    /// As [`mint`](Self::mint), with times that are bounded further.
    pub(crate) async fn mint_within<C: Serialize>(
        &self,
        what: &AccessToken<C>,
        times: TokenTimes,
    ) -> Result<Minted, MintError> {
        let (signing, unsigned) = self.unsigned(what, times)?;
        let signature = match &signing.signer {
            HeldSigner::Here(key) => key.sign(unsigned.input())?,
            HeldSigner::AtSigner(key) => self.0.keeper.sign_there(key, unsigned.input()).await?,
        };
        Ok(self.done(unsigned, &signature))
    }

    /// As [`mint`](Self::mint), for who cannot wait.
    ///
    /// # Errors
    ///
    /// Those of `mint`, and [`MintError::Waits`] where the private key is at a [signer](crate::signer::Signer).
    pub fn mint_now<C: Serialize>(&self, what: &AccessToken<C>) -> Result<Minted, MintError> {
        let (signing, unsigned) = self.unsigned(what, TokenTimes::default())?;
        match &signing.signer {
            HeldSigner::Here(key) => {
                let signature = key.sign(unsigned.input())?;
                Ok(self.done(unsigned, &signature))
            }
            HeldSigner::AtSigner(_) => Err(MintError::Waits),
        }
    }

    /// A token up to its second dot, and what signs it.
    fn unsigned<C: Serialize>(
        &self,
        what: &AccessToken<C>,
        times: TokenTimes,
    ) -> Result<(Arc<SigningPart>, Unsigned), MintError> {
        let keeper = &self.0.keeper;
        let ring = keeper.usable_to_sign()?;
        let now = ring.now(&*keeper.time);
        let (row, signing) = ring.signing(now).ok_or(MintError::NoKey)?;
        let end = row.times.verifies_until.map(|end| keeper.settings.schedule.last_expiry(end));
        let not_after = end.map(StoreTime::as_unix).into_iter().chain(times.over_by).min();
        let now = times.issued_by.map_or(now.as_unix(), |by| by.min(now.as_unix()));
        let unsigned = self.0.terms.write(what, &signing.header, now, not_after)?;
        Ok((Arc::clone(signing), unsigned))
    }

    fn done(&self, unsigned: Unsigned, signature: &[u8]) -> Minted {
        self.0.minted.fetch_add(1, Ordering::Relaxed);
        unsigned.signed(signature)
    }

    /// The time that it signs by.
    pub(crate) fn now(&self) -> Result<StoreTime, IssuerNotReady> {
        let keeper = &self.0.keeper;
        Ok(keeper.usable_to_sign()?.now(&*keeper.time))
    }

    /// What sessions are kept with.
    pub(crate) fn session_keys(&self) -> &SessionKeys {
        &self.0.session_keys
    }

    pub(crate) fn keeper(&self) -> &RingKeeper<S> {
        &self.0.keeper
    }

    pub(crate) fn is_refreshed_by_hand(&self) -> bool {
        self.0.is_refreshed_by_hand
    }

    /// The public keys, as verifiers fetch them.
    ///
    /// # Errors
    ///
    /// The ring was not read for too long: a 503. An older set could have a key that was withdrawn since.
    pub fn key_set(&self) -> Result<PublishedKeys, IssuerNotReady> {
        self.0.keeper.usable().map(|ring| ring.published.clone())
    }

    /// Whether it can mint: its ring was read lately enough, by a clock that is right, and a key signs. For a readiness probe.
    pub fn is_ready(&self) -> bool {
        let keeper = &self.0.keeper;
        keeper.usable_to_sign().is_ok_and(|ring| ring.signing(ring.now(&*keeper.time)).is_some())
    }

    /// What was read last, however old it is: for who operates the issuer. `None`: nothing was.
    pub fn status(&self) -> Option<RingStatus> {
        let keeper = &self.0.keeper;
        keeper.held.load().as_ref().map(|ring| RingStatus::of(ring, keeper))
    }

    /// A policy for this issuer's own tokens, in this process: its keys come from the ring, and nothing is fetched.
    ///
    /// It accepts tokens of this issuer for its audiences, signed with a key of its ring, and of the type `at+jwt` alone.
    /// Algorithm and lifetime are what the ring's instances made them with, also before other settings. Add to it what a
    /// service needs besides; maximum lifetime and leeway are said already.
    pub fn policy_builder(&self) -> PolicyBuilder {
        let issuer = Issuer::new(self.id())
            // Each key of the ring says its own, and those of before other settings go on.
            .algorithms(self.algorithms())
            .keys(self.keys())
            .audiences(self.0.audiences.iter().map(String::as_str))
            .token_types([TokenType::AccessToken]);
        let builder = Policy::builder()
            .issuer(issuer)
            .max_lifetime(LONGEST_LIFETIME)
            .leeway(self.0.keeper.settings.schedule.leeway_of_verifiers());
        match &self.0.clock {
            Some(clock) => builder.clock(Arc::clone(clock)),
            None => builder,
        }
    }

    /// This issuer's keys, for a policy of one's own in this process. Shared secrets are among them, where the issuer signs with
    /// one or its ring has any when this is called.
    pub fn keys(&self) -> Keys {
        let ring = || RingKeys::new(Arc::clone(&self.0.keeper));
        let keys = Keys::source(ring());
        if self.has_secrets() { keys.and(Keys::secret_source(ring())) } else { keys }
    }

    /// What its keys sign with, by its settings and what the ring has of before.
    fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        let has_secrets = self.has_secrets();
        let all = SigningKey::ALGORITHMS.into_iter();
        all.filter(move |algorithm| has_secrets || *algorithm != Algorithm::HS256)
    }

    fn has_secrets(&self) -> bool {
        let keeper = &self.0.keeper;
        let held = keeper.held.load();
        keeper.settings.algorithm == Algorithm::HS256
            || held.iter().any(|ring| ring.keys.iter().any(|key| key.row.is_secret()))
    }

    /// Reads the ring and does what is due: publishes the next key in time, and erases what is over. Any instance may,
    /// at any time, and the others take over what it did.
    ///
    /// The issuer does it by itself, unless it was told to be [refreshed by
    /// hand](TokenIssuerBuilder::refreshed_by_hand).
    ///
    /// # Errors
    ///
    /// The ring cannot be had. What was read before serves until it is [too old](crate::ring::Schedule::stale). Or a key is
    /// withdrawn, and could not be [revoked](TokenIssuerBuilder::revocations).
    pub async fn refresh(&self) -> Result<(), RingError> {
        self.read(Wanted::Due).await
    }

    /// Has the next key sign as soon as it safely can: when every instance has read that it will, and every verifier has it.
    /// That is some minutes from now as a rule, and a day at most by the default [`Schedule`](crate::ring::Schedule). The
    /// key that signs now is published until its tokens are over: no token is refused.
    ///
    /// # Errors
    ///
    /// The ring cannot be had. Look at the [status](Self::status) before you say it again: it may have been done.
    pub async fn rotate(&self) -> Result<(), RingError> {
        self.read(Wanted::Turn).await
    }

    /// Takes the key of this id out of the key set, and signs with the one that stands by: verifiers have that, unless the
    /// ring is younger than a day, or this is the second time within one. Then the key is revoked, where the issuer knows a [list of revocations](TokenIssuerBuilder::revocations).
    ///
    /// Nothing happens where it is withdrawn already. Tokens of the key pass until verifiers fetch the keys anew; at those
    /// that enforce the list for [`Revocable::Key`](portcullis::Revocable::Key), with no further request.
    ///
    /// # Errors
    ///
    /// There is no such key ([`RingError::UnknownKey`]). The ring cannot be had: say it again, it may have been done. Or the
    /// key is withdrawn, and not revoked yet ([`RingError::NotRevoked`]).
    pub async fn withdraw(&self, key_id: &str) -> Result<(), RingError> {
        self.read(Wanted::Compromised { key_id: key_id.to_owned() }).await
    }

    /// Takes all keys out of the key set that are there now, and makes new ones: where the store and a root secret are in
    /// other hands. First have every instance list a new root secret in front of the old one, then call this, then have every
    /// instance drop the old one, and then call it once more: until the last dropped it, who has it could write to the ring.
    ///
    /// # Errors
    ///
    /// The ring cannot be had. Look at the [status](Self::status) before you say it again: it may have been done, and
    /// would be done to the new keys. Or the keys are withdrawn, and not revoked yet ([`RingError::NotRevoked`]).
    pub async fn withdraw_all(&self) -> Result<(), RingError> {
        self.read(Wanted::AllCompromised).await
    }

    async fn read(&self, wanted: Wanted) -> Result<(), RingError> {
        self.0.keeper.go_through(wanted).await
    }
}

/// What sessions of an issuer are kept with: keys that come of the root secrets.
pub(crate) struct SessionKeys {
    /// What refresh tokens are authenticated by.
    pub(crate) tokens: Vec<RootKey>,
    /// What rows are authenticated by.
    pub(crate) rows: Vec<RootKey>,
}

impl SessionKeys {
    fn of(root: &RootSecrets, issuer: &str) -> Self {
        Self { tokens: root.keys("refresh", issuer), rows: root.keys("session", issuer) }
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
            .field("issuer", &self.0.keeper.settings.issuer)
            .field("algorithm", &self.0.keeper.settings.algorithm)
            .finish_non_exhaustive()
    }
}

/// The longest that an access token may live: whoever has one uses it for as long.
pub(crate) const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests;
