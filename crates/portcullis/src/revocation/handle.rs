//! What revokes.
use core::fmt;
use std::path::Path;
use std::sync::Arc;

use super::enforce::EnforcedRevocations;
use super::event::{RevocationEvent, RevocationStats};
use super::list::RevocationList;
use super::options::RevocationOptions;
use super::snapshot::{self, SnapshotError};
use super::store::{RevocationStore, StoreError};
use super::what::{Revocable, Revocation};
use crate::time::UnixTime;

/// What was revoked, and the way to revoke more: a list in memory, which the policies of this process
/// read, and perhaps a [store](RevocationStore) that a fleet shares.
///
/// A policy asks it for what it [enforces](Self::enforce). What is revoked is refused with the next
/// request, remembered tokens included.
///
/// ```
/// use portcullis::{Algorithm, Error, Revocable, RevocationError, Revocations};
/// use portcullis_testkit::TestIssuer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let provider = TestIssuer::new("https://id.example");
/// let revocations = Revocations::in_memory();
/// let policy = provider
///     .policy_builder()
///     .revocations(revocations.enforce([Revocable::Token, Revocable::Subject]))
///     .build()?;
///
/// let token = provider.token(Algorithm::ES256).subject("alice").mint();
/// assert!(policy.verify_token_now(&token).is_ok());
///
/// // Log out everywhere.
/// revocations.subject("https://id.example", "alice", None).await?;
/// let revoked = Error::Revocation(RevocationError::Revoked);
/// assert_eq!(policy.verify_token_now(&token).err(), Some(revoked));
/// # Ok(()) }
/// ```
///
/// Names are given as they stand in the tokens: the issuer as in `iss`, byte for byte. Nothing checks
/// that such an issuer, token or subject exists.
///
/// An entry outlives every token that it concerns: it is kept for the
/// [longest lifetime](RevocationOptions::max_lifetime) from now, leeway and a minute more, and then
/// dropped. There is no way to take one back.
///
/// [In memory](Self::in_memory), what was revoked is forgotten with the process: see
/// [`save`](Self::save) and [`RevocationOptions::refuse_issued_before_start`]. Cheap to clone: clones
/// are one.
#[derive(Clone)]
pub struct Revocations {
    list: RevocationList,
    store: Option<Arc<dyn RevocationStore>>,
}

impl Revocations {
    /// Of this process alone, with the defaults of [`RevocationOptions`].
    pub fn in_memory() -> Self {
        RevocationOptions::new().in_memory()
    }

    /// Starts [`RevocationOptions`].
    pub fn options() -> RevocationOptions {
        RevocationOptions::new()
    }

    /// Of a list that a follower keeps in step with a store. See [`RevocationStore`].
    pub fn new(list: RevocationList, store: impl RevocationStore) -> Self {
        Self { list, store: Some(Arc::new(store)) }
    }

    pub(super) fn alone(list: RevocationList) -> Self {
        Self { list, store: None }
    }

    pub(crate) fn list(&self) -> &RevocationList {
        &self.list
    }

    /// What a policy asks of it: for [`PolicyBuilder::revocations`](crate::PolicyBuilder::revocations).
    pub fn enforce(&self, kinds: impl IntoIterator<Item = Revocable>) -> EnforcedRevocations {
        EnforcedRevocations::new(self.list.clone(), kinds)
    }

    /// Revokes one token, by its issuer and id. `until` is its `exp`, where that is known; a token of
    /// the longest lifetime is covered without.
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn token(
        &self,
        issuer: impl Into<String>,
        token_id: impl Into<String>,
        until: impl Into<Option<UnixTime>>,
    ) -> Result<(), RevokeError> {
        let (issuer, token_id, until) = (issuer.into(), token_id.into(), until.into());
        self.revoke(&Revocation::Token { issuer, token_id, until }).await
    }

    /// Revokes the tokens of one login, by issuer and `sid`. Those that are issued for it later are
    /// refused for as long, too.
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn session(
        &self,
        issuer: impl Into<String>,
        session: impl Into<String>,
    ) -> Result<(), RevokeError> {
        let (issuer, session) = (issuer.into(), session.into());
        self.revoke(&Revocation::Session { issuer, session, until: None }).await
    }

    /// Logs a subject out everywhere: revokes its tokens with an `iat` up to `issued_until`.
    ///
    /// `None` is now and the leeway: that also covers a token that was just accepted from a fast clock.
    /// It also refuses the tokens of a login within the leeway (30 s) from now. Where that is too
    /// blunt, [versions](Self::version) and [sessions](Self::session) are exact.
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn subject(
        &self,
        issuer: impl Into<String>,
        subject: impl Into<String>,
        issued_until: impl Into<Option<UnixTime>>,
    ) -> Result<(), RevokeError> {
        let (issuer, subject) = (issuer.into(), subject.into());
        let issued_until = issued_until.into();
        self.revoke(&Revocation::Subject { issuer, subject, issued_until }).await
    }

    /// Revokes a subject's tokens whose version claim is below `current`: raise a number with the user
    /// in your database, have the provider write it into tokens, and say it here.
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn version(
        &self,
        issuer: impl Into<String>,
        subject: impl Into<String>,
        current: u64,
    ) -> Result<(), RevokeError> {
        let (issuer, subject) = (issuer.into(), subject.into());
        self.revoke(&Revocation::Version { issuer, subject, current }).await
    }

    /// Revokes a client's tokens with an `iat` up to `issued_until`; `None` as for a
    /// [subject](Self::subject).
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn client(
        &self,
        issuer: impl Into<String>,
        client: impl Into<String>,
        issued_until: impl Into<Option<UnixTime>>,
    ) -> Result<(), RevokeError> {
        let (issuer, client) = (issuer.into(), client.into());
        let issued_until = issued_until.into();
        self.revoke(&Revocation::Client { issuer, client, issued_until }).await
    }

    /// Revokes all of an issuer's tokens with an `iat` up to `issued_until`; `None` as for a
    /// [subject](Self::subject).
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn issuer(
        &self,
        issuer: impl Into<String>,
        issued_until: impl Into<Option<UnixTime>>,
    ) -> Result<(), RevokeError> {
        let (issuer, issued_until) = (issuer.into(), issued_until.into());
        self.revoke(&Revocation::Issuer { issuer, issued_until }).await
    }

    /// Revokes all tokens of an issuer under one key, for ever: who has a stolen key makes new tokens.
    ///
    /// By the id that the key has in the issuer's set or configuration, whatever a token calls it; or by its
    /// [thumbprint](crate::VerificationKey::thumbprint), which finds the key under whatever id, and
    /// without one. Where several keys have one id, all of them are revoked. A shared secret needs an id:
    /// without it, no policy builds that enforces [`Revocable::Key`].
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn key(
        &self,
        issuer: impl Into<String>,
        key_id: impl Into<String>,
    ) -> Result<(), RevokeError> {
        let (issuer, key_id) = (issuer.into(), key_id.into());
        self.revoke(&Revocation::Key { issuer, key_id, until: None }).await
    }

    /// Revokes. When this returns `Ok`, this process refuses what was revoked with the next request,
    /// and a store has acknowledged it.
    ///
    /// # Errors
    ///
    /// There is no room, what is to be revoked is not fully said, or the store did not acknowledge.
    pub async fn revoke(&self, revocation: &Revocation) -> Result<(), RevokeError> {
        let kind = revocation.kind();
        let result = self.write(revocation).await;
        self.list.tell(&match result {
            Ok(()) => RevocationEvent::Revoked { kind },
            Err(_) => RevocationEvent::Failed { kind },
        });
        result
    }

    async fn write(&self, revocation: &Revocation) -> Result<(), RevokeError> {
        let entry = self.list.entry(revocation)?;
        let Some(store) = &self.store else { return self.list.apply(&entry) };
        store.publish(entry).await.map_err(RevokeError::Store)?;
        // What the fleet has is revoked, also where this process has no room: it is stale then.
        let _ = self.list.apply(&entry);
        Ok(())
    }

    /// Writes all entries to a file, for [`RevocationOptions::restore`]. The file is replaced as a
    /// whole, and only its owner can read it. What is revoked later is not in it.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SnapshotError> {
        snapshot::save(&self.list, path.as_ref())
    }

    /// How it does.
    pub fn stats(&self) -> RevocationStats {
        self.list.stats()
    }

    /// Whether policies believe it: for a readiness probe.
    pub fn is_fresh(&self) -> bool {
        self.list.is_fresh()
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.fmt(f)
    }
}

/// Why something was not revoked, or may not have been.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum RevokeError {
    /// There are as many entries as there may be, and none of them is over.
    Full {
        /// How many.
        capacity: usize,
    },
    /// The issuer, or what is to be revoked, is an empty name.
    Nameless(Revocable),
    /// An instant before 1970.
    Instant,
    /// Without a bound on tokens' lifetime, a token is revoked until its `exp`, which has to be said.
    NoEnd(Revocable),
    /// Without a bound on tokens' lifetime, nobody knows how long to remember it.
    NoLifetime(Revocable),
    /// The store did not acknowledge it. It may be revoked all the same: try again.
    Store(StoreError),
}

impl fmt::Display for RevokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { capacity } => write!(
                f,
                "there is no room for another revocation: raise `capacity` ({capacity} entries), or shorten the lifetime of tokens"
            ),
            Self::Nameless(kind) => {
                write!(
                    f,
                    "a revocation of kind `{kind}` names an issuer and what is revoked: one is empty"
                )
            }
            Self::Instant => f.write_str("an instant before 1970 revokes nothing"),
            Self::NoEnd(kind) => write!(
                f,
                "without a bound on the lifetime of tokens, a revocation of kind `{kind}` must say until when it holds"
            ),
            Self::NoLifetime(kind) => write!(
                f,
                "without a bound on the lifetime of tokens, nobody knows how long to remember a revocation of kind `{kind}`: set `max_lifetime`"
            ),
            Self::Store(error) => {
                write!(f, "the store did not acknowledge the revocation, try again: {error}")
            }
        }
    }
}

impl core::error::Error for RevokeError {}
