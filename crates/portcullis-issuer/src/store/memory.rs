use core::future::{Future, ready};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis::Clock;

use super::{LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap};
use crate::machine::MemoryClock;
use crate::time::StoreTime;

/// Rings in memory: for tests. Clones share them, as the instances of a fleet share a database.
///
/// When the process ends, its keys are gone, and so are all tokens: in production, take a store that is kept.
#[derive(Clone, Debug, Default)]
pub struct MemoryRing(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    rings: HashMap<String, (RingVersion, StoredRing)>,
    clock: MemoryClock,
    fault: Option<StoreError>,
    is_empty: bool,
}

impl MemoryRing {
    /// No ring yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes by this clock, for tests: give the issuer [the same](crate::TokenIssuerBuilder::clock).
    ///
    /// If you do not call it: by the machine's.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|inner| inner.clock.clock = Some(Arc::new(clock)));
        self
    }

    /// Stops the store's clock at this time, for tests of what becomes of a wrong one.
    pub fn set_now(&self, now: StoreTime) {
        self.with(|inner| inner.clock.stands_at = Some(now));
    }

    /// Fails from now on, or works again, for tests.
    pub fn set_fault(&self, fault: Option<StoreError>) {
        self.with(|inner| inner.fault = fault);
    }

    /// Has it say that there is no ring, as an empty replica does, for tests.
    pub fn set_empty(&self, is_empty: bool) {
        self.with(|inner| inner.is_empty = is_empty);
    }

    /// Changes what is kept as somebody with access to the store could, for tests.
    pub fn tamper(&self, issuer: &str, change: impl FnOnce(&mut RingVersion, &mut StoredRing)) {
        self.with(|inner| inner.rings.get_mut(issuer).map(|(version, ring)| change(version, ring)));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl RingStore for MemoryRing {
    fn load(&self, issuer: &str) -> impl Future<Output = Result<LoadedRing, StoreError>> + Send {
        ready(self.with(|inner| match &inner.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(LoadedRing {
                now: inner.clock.now(),
                ring: inner.rings.get(issuer).filter(|_| !inner.is_empty).cloned(),
            }),
        }))
    }

    fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send {
        ready(self.with(|inner| {
            if let Some(fault) = &inner.fault {
                return Err(fault.clone());
            }
            let current = inner.rings.get(issuer).map(|(version, _)| *version);
            if current != from {
                return Ok(Swap::Lost);
            }
            let next = RingVersion(current.map_or(1, |version| version.0.saturating_add(1)));
            inner.rings.insert(issuer.to_owned(), (next, ring.clone()));
            Ok(Swap::Done)
        }))
    }
}
