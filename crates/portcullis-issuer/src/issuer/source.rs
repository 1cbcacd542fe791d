use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis::KeySet;
use portcullis::keys::{KeyFuture, KeyQuery, KeySource, KeysUnavailable};

use crate::keeper::{RingKeeper, Wanted};
use crate::store::RingStore;

/// How often the store is asked at most for a key that is not there: anybody can send a token that names one.
const COOL_DOWN: Duration = Duration::from_secs(5);

/// The keys of a ring, for a policy in the same process.
pub(super) struct RingKeys<S> {
    keeper: Arc<RingKeeper<S>>,
    /// Milliseconds of the machine's time, and one more; 0: never.
    asked_at: AtomicU64,
}

impl<S> RingKeys<S> {
    pub(super) fn new(keeper: Arc<RingKeeper<S>>) -> Self {
        Self { keeper, asked_at: AtomicU64::new(0) }
    }
}

impl<S: RingStore> RingKeys<S> {
    fn is_stale(&self) -> bool {
        let limit = self.keeper.schedule.stale_after();
        self.keeper.held.load().as_ref().is_none_or(|it| it.age(&*self.keeper.time) > limit)
    }

    /// Whether the store may be asked now. Of many at once, one may.
    fn may_ask(&self) -> bool {
        let now = u64::try_from(self.keeper.time.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1;
        let asked_at = self.asked_at.load(Ordering::Relaxed);
        let is_over = asked_at == 0 || now - asked_at.min(now) >= COOL_DOWN.as_millis() as u64;
        let swap =
            || self.asked_at.compare_exchange(asked_at, now, Ordering::Relaxed, Ordering::Relaxed);
        is_over && swap().is_ok()
    }
}

impl<S: RingStore> KeySource for RingKeys<S> {
    /// What is too old is not gone by: a key may have been withdrawn since.
    fn keys(&self) -> KeySet {
        match self.keeper.held.load_full() {
            Some(ring) if !self.is_stale() => ring.key_set.clone(),
            _ => KeySet::empty(),
        }
    }

    fn seek(&self, _: &KeyQuery<'_>) -> Option<KeyFuture> {
        let unavailable =
            || KeysUnavailable::new().with_reason("the ring of signing keys cannot be read");
        if !self.may_ask() {
            return self.is_stale().then(|| Box::pin(core::future::ready(Err(unavailable()))) as _);
        }
        let keeper = Arc::clone(&self.keeper);
        Some(Box::pin(async move {
            let read = keeper.read(Wanted::Due).await;
            read.map(drop).map_err(|error| KeysUnavailable::new().with_reason(error.to_string()))
        }))
    }

    fn describe(&self) -> String {
        format!("the ring of the issuer {}", self.keeper.issuer)
    }
}

impl<S> fmt::Debug for RingKeys<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingKeys").field("issuer", &self.keeper.issuer).finish_non_exhaustive()
    }
}
