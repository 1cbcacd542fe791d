//! Where a ring is kept, so that all instances of an issuer have the same.
mod file;
mod memory;

use core::fmt;
use core::future::Future;
use core::time::Duration;

pub use self::file::{FileRing, FileRingError};
pub use self::memory::MemoryRing;
use crate::debug_as_displayed::debug_as_displayed;
use crate::row::KeyRow;
use crate::time::StoreTime;

/// How often a ring was changed. Whoever offers a change says which version it is made for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RingVersion(pub u64);

/// All that is kept of an issuer's ring.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredRing {
    /// The longest that an access token of any instance lives: for so long keys are published after they signed.
    pub longest_lifetime: Duration,
    /// The keys, in any order.
    pub keys: Vec<KeyRow>,
    /// What shows that these keys, and no others, are those of this version, and that who wrote it has the root secret.
    pub mac: Vec<u8>,
}

/// A ring as it was read, with the store's clock at that moment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoadedRing {
    /// The store's clock. Instances go by it, so that none decides by a clock of its own.
    pub now: StoreTime,
    /// `None`: there never was a ring of this issuer. One whose keys were deleted is there, without keys.
    pub ring: Option<(RingVersion, StoredRing)>,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Swap {
    /// The ring is as it was offered, and its version is one more. That of a first ring is 1.
    Done,
    /// Somebody else changed the ring first. Nothing happened.
    Lost,
}

/// Keeps rings. Implement it for a store of your own, and hold it to this by `ring_store::conforms` of `portcullis-testkit`.
///
/// 1. `load` reads the ring of one moment, and the store's clock of the same, or of just after it. Not of before: a key that
///    another instance makes in between would seem to be of the future, and the ring would be changed once more.
/// 2. `swap` changes all of a ring, or nothing; and of two that are made for one version, one at most is done.
/// 3. What was done is there after a crash.
/// 4. Both answer within a few seconds, or fail.
pub trait RingStore: Send + Sync + 'static {
    /// Reads the ring of an issuer.
    ///
    /// # Errors
    ///
    /// It cannot be told whether there is one, or what it is.
    fn load(&self, issuer: &str) -> impl Future<Output = Result<LoadedRing, StoreError>> + Send;

    /// Puts `ring` in the place of the ring of version `from`; `None`: where there is none.
    ///
    /// # Errors
    ///
    /// The store is out of reach. The change may have been done all the same.
    fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send;
}

/// A store cannot be asked.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub struct StoreError {
    /// Why, for logs. No secret, and no data.
    pub reason: String,
}

impl StoreError {
    /// The store did not answer in time.
    pub(crate) fn late(limit: Duration) -> Self {
        Self::new(format!("it did not answer within {limit:?}"))
    }

    /// The store cannot be asked, for this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store cannot be asked: {}", self.reason)
    }
}

impl core::error::Error for StoreError {}

debug_as_displayed!(StoreError);
