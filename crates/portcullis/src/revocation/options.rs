//! How revocations are kept.
use core::fmt;
use core::time::Duration;
use std::path::Path;
use std::sync::Arc;

use super::digest::DigestKey;
use super::event::{Observer, RevocationEvent};
use super::handle::Revocations;
use super::list::{ListBounds, ListSettings, RevocationList};
use super::snapshot::{self, SnapshotError};
use crate::claims::{DEFAULT_LEEWAY, DEFAULT_MAX_LIFETIME, MaxLifetime};
use crate::listeners::Listeners;
use crate::time::{Clock, SystemClock};

/// As many as 45 MiB hold at most, and more than a service revokes within the life of its tokens.
const CAPACITY: usize = 1_000_000;

/// How [`Revocations`] are kept.
///
/// ```
/// use std::time::Duration;
///
/// use portcullis::Revocations;
///
/// let revocations = Revocations::options()
///     .max_lifetime(Duration::from_secs(15 * 60)) // as the policy says
///     .capacity(100_000)
///     .in_memory();
/// # let _ = revocations;
/// ```
#[derive(Clone)]
#[must_use]
pub struct RevocationOptions {
    max_lifetime: Option<MaxLifetime>,
    leeway: Option<Duration>,
    capacity: Option<usize>,
    refuses_issued_before_start: bool,
    clock: Arc<dyn Clock>,
    observers: Listeners<Observer>,
}

impl Default for RevocationOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl RevocationOptions {
    /// The defaults of the setters.
    pub fn new() -> Self {
        Self {
            max_lifetime: None,
            leeway: None,
            capacity: None,
            refuses_issued_before_start: false,
            clock: Arc::new(SystemClock),
            observers: Listeners::default(),
        }
    }

    /// The longest that a token lives: entries are kept for as long. A policy that accepts tokens of a
    /// longer life does not build.
    ///
    /// Called again, the longest. If you do not call it: 24 h, as for policies. With
    /// [`dangerous::unlimited_lifetime`](crate::dangerous::unlimited_lifetime), only single tokens can be
    /// revoked, each until its `exp`, and keys, for ever.
    pub fn max_lifetime(mut self, limit: impl Into<MaxLifetime>) -> Self {
        let limit = limit.into();
        self.max_lifetime = Some(self.max_lifetime.map_or(limit, |before| before.longer(limit)));
        self
    }

    /// The largest leeway of the policies that ask, in whole seconds. One with a larger one does not
    /// build.
    ///
    /// Called again, the largest. If you do not call it: 30 s, as for policies.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = self.leeway.max(Some(leeway));
        self
    }

    /// For how many entries there is room. At the bound, to revoke more fails, and nothing that still
    /// holds is dropped.
    ///
    /// An entry takes 24 to 48 bytes; one with an instant or a version, 33 to 66. Besides, 256 KiB count the entries of
    /// each issuer, so that none [takes all of the room](super::Revocations). Processes that share a
    /// store have the same capacity.
    ///
    /// Called again, the smallest. If you do not call it: 1,000,000.
    pub fn capacity(mut self, entries: usize) -> Self {
        self.capacity = Some(self.capacity.map_or(entries, |before| before.min(entries)));
        self
    }

    /// Refuses all tokens that were issued before now, of every issuer of which a policy enforces some kind, since
    /// nobody remembers which of them were revoked: for [`in_memory`](Self::in_memory) where revocations must survive a restart, at the
    /// price of a new login or refresh for everybody. An issuer's clock may be fast by the
    /// [leeway](Self::leeway): tokens from before now and the leeway (30 s) are refused. What is
    /// issued within that time after the start is not let in later either: let clients refresh their token again.
    ///
    /// If you do not call it: what was revoked before the start is forgotten, but for what is
    /// [restored](Self::restore).
    pub fn refuse_issued_before_start(mut self) -> Self {
        self.refuses_issued_before_start = true;
        self
    }

    /// The clock by which entries are made, and are over: that of the policies.
    ///
    /// Called again, the last. If you do not call it: the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Tells of what happens. Called by whoever meets it, a request perhaps: it must not wait.
    ///
    /// Called again, all are told. If you do not call it: nobody is, but for `tracing`.
    pub fn on_event(mut self, observer: impl Fn(&RevocationEvent) + Send + Sync + 'static) -> Self {
        self.observers.add(Arc::new(observer));
        self
    }

    /// Revocations of this process alone. They are forgotten with it.
    pub fn in_memory(self) -> Revocations {
        Revocations::alone(self.list(DigestKey::random(), None))
    }

    /// As [`in_memory`](Self::in_memory), with what [`Revocations::save`] wrote.
    ///
    /// A file knows for which tokens it was kept. With a longer [`max_lifetime`](Self::max_lifetime) or a larger
    /// [`leeway`](Self::leeway) than those it was saved under, it is refused: entries were dropped by then that the tokens
    /// which are now accepted would need. [`refuse_issued_before_start`](Self::refuse_issued_before_start) refuses all such
    /// tokens, and with it, the file is taken.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not whole, is of shorter bounds, or has more entries than there is room for.
    pub fn restore(self, path: impl AsRef<Path>) -> Result<Revocations, SnapshotError> {
        let path = path.as_ref();
        snapshot::restore(path, |key| self.list(key, None)).map(Revocations::alone)
    }

    /// A list for a store that a fleet shares; see [`RevocationStore`](super::store::RevocationStore). Its
    /// digests are keyed with the store's `key`, and it is believed for `max_staleness` after each
    /// [`record_contact`](RevocationList::record_contact): not yet, to begin with.
    pub fn shared(self, key: [u8; 16], max_staleness: Duration) -> RevocationList {
        self.list(DigestKey(key), Some(max_staleness))
    }

    fn list(self, key: DigestKey, max_staleness: Option<Duration>) -> RevocationList {
        RevocationList::new(ListSettings {
            key,
            bounds: ListBounds {
                max_lifetime: self.max_lifetime.map_or(Some(DEFAULT_MAX_LIFETIME), |max| max.limit),
                leeway: self.leeway.unwrap_or(DEFAULT_LEEWAY),
            },
            capacity: self.capacity.unwrap_or(CAPACITY),
            start: self.refuses_issued_before_start,
            clock: self.clock,
            observers: self.observers,
            max_staleness,
        })
    }
}

impl fmt::Debug for RevocationOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationOptions")
            .field("max_lifetime", &self.max_lifetime)
            .field("leeway", &self.leeway)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
