//! Where sessions are kept.
use core::fmt;
use core::future::Future;
use core::time::Duration;

use super::id::SessionId;
use super::reason::EndReason;
use super::row::{Previous, SessionRow, SessionVersion};
use crate::store::{StoreError, Swap};
use crate::time::StoreTime;

/// A session that begins.
#[derive(Clone, Copy, Debug)]
pub struct NewSession<'s> {
    /// Its row, which is kept as it is. That of a login has version 1.
    pub row: &'s SessionRow,
    /// The session that it takes the place of, of this subject or another, which ends for [`NewLogin`](EndReason::NewLogin).
    /// One whose time is over may stay as it is. `None`: of none.
    pub replaces: Option<SessionId>,
    /// How many sessions its subject may have, this one included. The oldest of those beyond end for
    /// [`TooMany`](EndReason::TooMany).
    pub most: usize,
}

/// What became of a session that was to begin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Created {
    /// It is there.
    Done {
        /// The sessions that ended for it.
        ended: Vec<SessionId>,
    },
    /// Its subject is of another version than the row: it was logged out everywhere meanwhile. Nothing happened.
    Outdated,
}

/// A session as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SessionRead {
    /// The store's clock.
    pub now: StoreTime,
    /// `None`: there is no such session.
    pub row: Option<SessionRow>,
    /// The version of its subject. 0 where it was never raised.
    pub subject_version: u64,
}

/// A subject as it was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SubjectRead {
    /// The store's clock.
    pub now: StoreTime,
    /// Its version. 0 where it was never raised.
    pub version: u64,
}

/// Another refresh token in the place of the current one.
#[derive(Clone, Eq, PartialEq)]
pub struct Rotation {
    /// How often the session rotated then.
    pub generation: u32,
    /// The hash of the new secret.
    pub current_hash: [u8; 32],
    /// The token that it follows.
    pub previous: Previous,
    /// For how long the session goes on without use, from now on by the store's clock; no longer than it lasts.
    pub idle: Duration,
    /// Whether the time of the last rotation stays: this one takes its place.
    pub keeps_time: bool,
    /// The row's MAC, under the first root secret.
    pub mac: Vec<u8>,
}

/// Shows no hash.
impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation")
            .field("generation", &self.generation)
            .field("idle", &self.idle)
            .field("keeps_time", &self.keeps_time)
            .finish_non_exhaustive()
    }
}

/// What logging out everywhere came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndedAll {
    /// The subject's version from now on.
    pub version: u64,
    /// The sessions that ended.
    pub sessions: Vec<SessionId>,
}

/// A session that was ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EndedSession {
    /// Which.
    pub id: SessionId,
    /// When.
    pub at: StoreTime,
}

/// A subject whose version was raised.
#[derive(Clone, Eq, PartialEq)]
pub struct RaisedSubject {
    /// Which.
    pub subject: String,
    /// Its version from then on.
    pub version: u64,
    /// When.
    pub at: StoreTime,
}

/// Does not show which.
impl fmt::Debug for RaisedSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaisedSubject").field("at", &self.at).finish_non_exhaustive()
    }
}

/// The session after which a page of a list begins: the last one of the page before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ListedAfter {
    /// When it began.
    pub created_at: StoreTime,
    /// Which it is.
    pub id: SessionId,
}

/// Keeps sessions. Implement it for a store of your own, and hold it to this by `session_store::conforms` of
/// `portcullis-testkit`.
///
/// 1. A change is whole or did not happen, is there after a crash once it is done, and the next reading sees it, whichever
///    instance reads: a replica that may be behind is not read.
/// 2. Of two changes that are made for one version of a session, one at most is done; and none of a session that is over: that
///    was [ended](SessionRow::ended), or whose [`idle_until`](SessionRow::idle_until) or [`ends_at`](SessionRow::ends_at)
///    is not after the store's clock. Every change makes the version one more.
/// 3. To begin a session, and to log its subject out everywhere, happen one after the other, never at once.
/// 4. Times are by the store's own clock.
/// 5. Each method answers within a few seconds, or fails.
///
/// Every method is told the issuer: sessions of two do not meet.
pub trait SessionStore: Send + Sync + 'static {
    /// Reads a subject's version.
    ///
    /// # Errors
    ///
    /// The store cannot be asked.
    fn subject(
        &self,
        issuer: &str,
        subject: &str,
    ) -> impl Future<Output = Result<SubjectRead, StoreError>> + Send;

    /// Begins a session, and ends those that it takes the place of, all or nothing.
    ///
    /// # Errors
    ///
    /// The store cannot be asked. The session may have begun all the same.
    fn create(
        &self,
        issuer: &str,
        new: NewSession<'_>,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// Reads a session, the version of its subject, and the store's clock, all of one moment.
    ///
    /// # Errors
    ///
    /// The store cannot be asked, or the row cannot be what was written.
    fn read(
        &self,
        issuer: &str,
        id: SessionId,
    ) -> impl Future<Output = Result<SessionRead, StoreError>> + Send;

    /// Puts another refresh token in the place of that of version `from`.
    ///
    /// # Errors
    ///
    /// The store cannot be asked. It may have been done all the same.
    fn rotate(
        &self,
        issuer: &str,
        id: SessionId,
        from: SessionVersion,
        to: &Rotation,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send;

    /// Ends a session. One that was ended stays as it is, and one whose time is over may. Whether this ended it.
    ///
    /// # Errors
    ///
    /// The store cannot be asked. It may have been done all the same.
    fn end(
        &self,
        issuer: &str,
        id: SessionId,
        reason: EndReason,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Logs a subject out everywhere: raises its version to the store's clock in milliseconds, or to one more than it is
    /// where that is higher, and ends its sessions. `but` is spared, if it is of this subject and not ended: it becomes
    /// of the new version. A session whose time is over may stay as it is.
    ///
    /// By the clock, no version comes again, not after a backup was restored and not after the subject was erased.
    ///
    /// # Errors
    ///
    /// The store cannot be asked. It may have been done all the same.
    fn end_all(
        &self,
        issuer: &str,
        subject: &str,
        but: Option<SessionId>,
        reason: EndReason,
    ) -> impl Future<Output = Result<EndedAll, StoreError>> + Send;

    /// The sessions of a subject that are not over, the newest first, of those that began at one time the one with the higher
    /// id: up to `limit` of them.
    ///
    /// # Errors
    ///
    /// The store cannot be asked.
    fn list(
        &self,
        issuer: &str,
        subject: &str,
        after: Option<ListedAfter>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<SessionRow>, StoreError>> + Send;

    /// The sessions that were ended at `since` or later, in the order of time and id, after this one: up to `limit`.
    ///
    /// # Errors
    ///
    /// The store cannot be asked.
    fn ended(
        &self,
        issuer: &str,
        since: StoreTime,
        after: Option<EndedSession>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<EndedSession>, StoreError>> + Send;

    /// The subjects whose version was raised at `since` or later, in the order of time and name, after this one: up to
    /// `limit`.
    ///
    /// # Errors
    ///
    /// The store cannot be asked.
    fn raised(
        &self,
        issuer: &str,
        since: StoreTime,
        after: Option<&RaisedSubject>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<RaisedSubject>, StoreError>> + Send;

    /// Looks at `limit` sessions after this one, in the order of their ids, and deletes those that were over before `before`.
    /// One that is not over stays, though `before` may be a time to come. The last that it looked at; `None`: there are no
    /// more.
    ///
    /// # Errors
    ///
    /// The store cannot be asked.
    fn prune(
        &self,
        issuer: &str,
        before: StoreTime,
        after: Option<SessionId>,
        limit: usize,
    ) -> impl Future<Output = Result<Option<SessionId>, StoreError>> + Send;

    /// Deletes what there is of a subject: its sessions that were over before `before`, and, where that is all of them and its
    /// version was not raised at `before` or later, that. A session that is not over stays, though `before` may be a time to
    /// come. Whether nothing is left.
    ///
    /// # Errors
    ///
    /// The store cannot be asked.
    fn erase(
        &self,
        issuer: &str,
        subject: &str,
        before: StoreTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}
