//! A store of your own, by which several processes share one list of revocations.
//!
//! Only who writes such a store needs this module: [`RevocationStore`] says what it has to do.
//! `portcullis-redis` is one, for Redis. Keys and secrets are arrays of bytes, since a store keeps them as they
//! are.
use core::fmt;
use core::future::Future;
use core::pin::Pin;

pub use super::error::StoreError;
pub use super::list::{
    Moment, RevocationEntry, RevocationList, RevocationReading, WeakRevocationList,
};

/// Where entries are written that every process of a fleet shall have.
///
/// `portcullis-redis` has one for Redis. Of another, these are the parts:
///
/// 1. **The secret of the digests and the lifetime bound** are kept in the store, so that all processes
///    have the same: [`RevocationOptions::shared`](super::RevocationOptions::shared) makes a
///    [`RevocationList`] of them.
/// 2. **The writer** is this trait. What it acknowledges is in the store and in the log that
///    followers read, both or neither. Entries are merged: of two under one
///    [key](RevocationEntry::key), the larger mark and the later end hold. A revocation of a name that was
///    [lifted](super::Revocations::lift) without whoever revokes knowing is not acknowledged: see
///    [`RevocationEntry::counts_with`].
/// 3. **A follower** in each process reads the whole state once, as one [reading](RevocationReading), then the
///    log, and [applies](RevocationList::apply) each entry. It reads all again where an entry found no room, or the
///    list [says so](RevocationList::needs_reading). When it can prove that it has all that was
///    acknowledged before some moment, it says so by [`record_contact`](RevocationList::record_contact), and
///    only then: a log that skips, a store that forgot or that is another one than before proves
///    nothing. While it cannot, it says nothing, and the list goes stale by itself.
/// 4. [`Revocations::new`](super::Revocations::new) makes one handle of list and store.
pub trait RevocationStore: fmt::Debug + Send + Sync + 'static {
    /// Writes an entry, and waits until it is acknowledged.
    fn publish(&self, entry: RevocationEntry) -> PublishFuture;
}

/// The future of [`RevocationStore::publish`].
pub type PublishFuture = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;
