//! What several processes share.
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use super::list::RevocationEntry;

/// Where entries are written that every process of a fleet shall have.
///
/// `portcullis-redis` has one for Redis. Of another, these are the parts:
///
/// 1. **The secret of the digests and the lifetime bound** are kept in the store, so that all processes
///    have the same: [`RevocationOptions::shared`](super::RevocationOptions::shared) makes a
///    [`RevocationList`](super::RevocationList) of them.
/// 2. **The writer** is this trait. What it acknowledges is in the store and in the log that
///    followers read, both or neither. Entries are merged: of two under one
///    [key](RevocationEntry::key), the larger mark and the later end hold. A revocation of a name that was
///    [lifted](super::Revocations::lift) without whoever revokes knowing is not acknowledged: see
///    [`RevocationEntry::counts_with`].
/// 3. **A follower** in each process reads the whole state once, as one [reading](super::RevocationReading), then the
///    log, and [applies](super::RevocationList::apply) each entry. It reads all again where an entry found no room, or the
///    list [says so](super::RevocationList::needs_reading). When it can prove that it has all that was
///    acknowledged before some moment, it says so by [`heard`](super::RevocationList::heard), and
///    only then: a log that skips, a store that forgot or that is another one than before proves
///    nothing. While it cannot, it says nothing, and the list goes stale by itself.
/// 4. [`Revocations::new`](super::Revocations::new) makes one handle of list and store.
pub trait RevocationStore: fmt::Debug + Send + Sync + 'static {
    /// Writes an entry, and waits until it is acknowledged.
    fn publish(&self, entry: RevocationEntry) -> PublishFuture;
}

/// The future of [`RevocationStore::publish`].
pub type PublishFuture = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// A store did not acknowledge an entry. It may have it all the same: to try again does no harm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreError {
    reason: String,
}

impl StoreError {
    /// For the log of whoever revokes. It must name nobody.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl core::error::Error for StoreError {}
