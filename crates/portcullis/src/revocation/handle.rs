//! What revokes.
use core::fmt;
use std::path::Path;
use std::sync::Arc;

use super::enforce::EnforcedRevocations;
use super::error::RevokeError;
use super::event::{RevocationEvent, RevocationStats};
use super::kind::{Revocable, Revocation};
use super::list::{RevocationEntry, RevocationList};
use super::options::RevocationOptions;
use super::quota::Writer;
use super::snapshot::{self, SnapshotError};
use super::store::RevocationStore;
use crate::time::UnixTime;

/// What was revoked, and the way to revoke more: a list in memory, which the policies of this process
/// read, and perhaps a [store](RevocationStore) that a fleet shares.
///
/// A policy asks it for what it [enforces](Self::enforce). What is revoked is refused with the next
/// request, remembered tokens included.
///
/// ```
/// use portcullis::error::RevocationError;
/// use portcullis::{Algorithm, Error, Revocable, Revocations};
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
/// revocations.revoke_subject("https://id.example", "alice", None).await?;
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
/// dropped. A time that is later than a token could tell is refused, since it is mostly one in milliseconds;
/// *for ever* has a [word of its own](crate::revocation::RevokedUntil::ForEver). What was revoked by mistake is
/// [lifted](Self::lift).
///
/// The room is [bounded](RevocationOptions::capacity), and shared out, so that no issuer's logout tokens take what
/// others need: three quarters of the room are shared, of which one issuer may have three times what it leaves free,
/// and so nine sixteenths of it all. Each of a thousand issuers may have 122 entries of a million whatever the others
/// took; some fifteen of a thousand have one share for two. An issuer's own administrators find an eighth more, and the last sixteenth is for code that calls this, and
/// for administrators who revoke for [other issuers](crate::RevocationAdmin::may_revoke_for) than their own.
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
    pub async fn revoke_token(
        &self,
        issuer: impl Into<String>,
        token_id: impl Into<String>,
        until: impl Into<Option<UnixTime>>,
    ) -> Result<(), RevokeError> {
        let (issuer, token_id) = (issuer.into(), token_id.into());
        let until = until.into().map(Into::into);
        self.revoke(&Revocation::Token { issuer, token_id, until }).await
    }

    /// Revokes the tokens of one login, by issuer and `sid`. Those that are issued for it later are
    /// refused for as long, too.
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn revoke_session(
        &self,
        issuer: impl Into<String>,
        session: impl Into<String>,
    ) -> Result<(), RevokeError> {
        let (issuer, session) = (issuer.into(), session.into());
        self.revoke(&Revocation::Session { issuer, session, until: None }).await
    }

    /// Logs a subject out everywhere: revokes its tokens with an `iat` up to `issued_until`, which is no later than
    /// now and the leeway.
    ///
    /// `None` is now and the leeway: that also covers a token that was just accepted from a fast clock.
    /// Now is by this process's clock: where that is slower than the issuer's by more than the leeway, it misses the
    /// newest tokens. It also refuses the tokens of a login within the leeway (30 s) from now. Where that is too
    /// blunt, [versions](Self::revoke_versions_below) and [sessions](Self::revoke_session) are exact.
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn revoke_subject(
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
    pub async fn revoke_versions_below(
        &self,
        issuer: impl Into<String>,
        subject: impl Into<String>,
        current: u64,
    ) -> Result<(), RevokeError> {
        let (issuer, subject) = (issuer.into(), subject.into());
        self.revoke(&Revocation::Version { issuer, subject, current }).await
    }

    /// Revokes a client's tokens with an `iat` up to `issued_until`; `None` as for a
    /// [subject](Self::revoke_subject).
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn revoke_client(
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
    /// [subject](Self::revoke_subject).
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn revoke_issuer(
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
    /// [thumbprint](crate::keys::VerificationKey::thumbprint), which finds the key under whatever id, and
    /// without one. Where several keys have one id, all of them are revoked. A shared secret needs an id:
    /// without it, no policy builds that enforces [`Revocable::Key`].
    ///
    /// # Errors
    ///
    /// Those of [`revoke`](Self::revoke).
    pub async fn revoke_key(
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
    /// There is no room, what is to be revoked is not fully said, a time is too late, or the store did not
    /// acknowledge.
    pub async fn revoke(&self, revocation: &Revocation) -> Result<(), RevokeError> {
        self.revoke_as(Writer::Operator, revocation).await
    }

    pub(crate) async fn revoke_as(
        &self,
        writer: Writer,
        revocation: &Revocation,
    ) -> Result<(), RevokeError> {
        let kind = revocation.kind();
        let entry = self.list.entry(revocation);
        self.write(writer, entry, RevocationEvent::Revoked { kind }).await
    }

    /// Whether what this names is revoked, as far as this process knows, and not lifted since. Times and versions in
    /// `revocation` do not count: an entry for the name does.
    ///
    /// It is for who keeps what is revoked elsewhere, too. About a token, ask a policy that
    /// [enforces](Self::enforce) the list.
    pub fn is_revoked(&self, revocation: &Revocation) -> bool {
        self.list.is_revoked(revocation)
    }

    /// The version that the tokens of a subject need, as far as this process knows: lower ones [are
    /// revoked](Self::revoke_versions_below). `None`: none are.
    pub fn version_needed(&self, issuer: &str, subject: &str) -> Option<u64> {
        self.list.version_needed(issuer, subject)
    }

    /// Whether other processes write to the list, by [a store](crate::revocation::store::RevocationStore). If not, what is
    /// revoked here is revoked in this process alone.
    pub fn is_shared(&self) -> bool {
        self.store.is_some()
    }

    /// Lifts what was revoked by mistake: everything of this kind, issuer and name that was revoked up to now, as far
    /// as this process knows. It passes again in this process and wherever its store's entries are followed. Times and
    /// versions in `revocation` do not count.
    ///
    /// ```
    /// use portcullis::{Revocable, Revocation, Revocations};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), portcullis::revocation::RevokeError> {
    /// # let revocations = Revocations::in_memory();
    /// // The wrong one, and for ever.
    /// revocations.revoke_key("https://id.example", "2026-11").await?;
    /// let (issuer, key_id) = ("https://id.example".to_owned(), "2026-11".to_owned());
    /// revocations.lift(&Revocation::Key { issuer, key_id, until: None }).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Tokens that this lets in again have all else to pass, other revocations included. The name may be revoked again,
    /// and is from then on. A lift is kept for ever, in the room of an entry: whoever still has the old one, be it
    /// a store or a process that was cut off, then brings nothing back. A [snapshot](Self::save) from before the lift does not know
    /// of it: save one after it. Another process that revokes the same name before it has heard of the lift revokes
    /// what is lifted; with [a store](crate::revocation::store::RevocationEntry::counts_with) that looks, it is told to try again.
    ///
    /// # Errors
    ///
    /// [Nothing](RevokeError::NotRevoked) was ever revoked so, as far as this process knows, there is no room, or the
    /// store did not acknowledge. To lift again what is lifted does no harm.
    pub async fn lift(&self, revocation: &Revocation) -> Result<(), RevokeError> {
        self.lift_as(Writer::Operator, revocation).await
    }

    pub(crate) async fn lift_as(
        &self,
        writer: Writer,
        revocation: &Revocation,
    ) -> Result<(), RevokeError> {
        let kind = revocation.kind();
        let entry = self.list.lift(revocation);
        self.write(writer, entry, RevocationEvent::Lifted { kind }).await
    }

    async fn write(
        &self,
        writer: Writer,
        entry: Result<RevocationEntry, RevokeError>,
        done: RevocationEvent,
    ) -> Result<(), RevokeError> {
        let result = match entry {
            Ok(entry) => self.publish(writer, entry).await,
            Err(error) => Err(error),
        };
        self.list.notify(&match (&result, done) {
            (Err(_), RevocationEvent::Revoked { kind } | RevocationEvent::Lifted { kind }) => {
                RevocationEvent::Failed { kind }
            }
            _ => done,
        });
        result
    }

    async fn publish(&self, writer: Writer, entry: RevocationEntry) -> Result<(), RevokeError> {
        self.list.check_room(&entry, writer)?;
        let Some(store) = &self.store else { return self.list.apply(&entry) };
        store.publish(entry).await.map_err(RevokeError::Store)?;
        // What the fleet has is revoked, also where this process has no room: it is stale then.
        let _ = self.list.apply(&entry);
        Ok(())
    }

    /// Writes all entries to a file, for [`RevocationOptions::restore`]. The file is replaced as a
    /// whole, and only its owner can read it. Several may save at once: the last counts. What is revoked later is not in it.
    ///
    /// It is written beside the file first, under a name with `.new` at its end. One that a crash left behind is not
    /// used, and can be removed.
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
