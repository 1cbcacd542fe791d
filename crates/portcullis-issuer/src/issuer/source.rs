use core::fmt;
use core::future::ready;
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis::KeySet;
use portcullis::keys::{KeyFuture, KeyQuery, KeySource, KeysUnavailable, SecretSet, SecretSource};

use crate::keeper::{RingError, RingKeeper, Wanted};
use crate::store::RingStore;

/// How often the store is asked at most for a key that is not there: anybody can send a token that names one.
const COOL_DOWN: Duration = Duration::from_secs(5);

/// The keys of a ring, for a policy in the same process: those that have a public part, and shared secrets.
pub(super) struct RingKeys<S> {
    keeper: Arc<RingKeeper<S>>,
    asked: Arc<Mutex<Asked>>,
}

/// What became of the last time that the store was asked for a key.
#[derive(Clone, Copy, Default)]
struct Asked {
    /// By the machine's time. `None`: never.
    at: Option<Duration>,
    /// It was read, or is not to be told yet.
    is_read: bool,
}

impl<S> RingKeys<S> {
    pub(super) fn new(keeper: Arc<RingKeeper<S>>) -> Self {
        Self { keeper, asked: Arc::default() }
    }
}

impl<S: RingStore> RingKeys<S> {
    fn description(&self) -> String {
        format!("the ring of the issuer {}", self.keeper.settings.issuer)
    }

    fn is_stale(&self) -> bool {
        self.keeper.usable().is_err()
    }
}

impl<S: RingStore> KeySource for RingKeys<S> {
    /// What is too old is not used: a key may have been withdrawn since.
    fn keys(&self) -> KeySet {
        self.keeper.usable().map_or_else(|_| KeySet::empty(), |ring| ring.key_set.clone())
    }

    fn seek(&self, _: &KeyQuery<'_>) -> Option<KeyFuture> {
        let now = self.keeper.time.elapsed();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.at.is_some_and(|at| now.saturating_sub(at) < COOL_DOWN) {
            // Read a moment ago, it did not have the key. What nobody could tell, or cannot yet, is not a no.
            let is_known = asked.is_read && !self.is_stale();
            return (!is_known).then(|| Box::pin(ready(Err(unavailable()))) as _);
        }
        *asked = Asked { at: Some(now), is_read: false };
        let (keeper, asked) = (Arc::clone(&self.keeper), Arc::clone(&self.asked));
        Some(Box::pin(async move {
            match keeper.go_through(Wanted::Due).await {
                // It was read.
                Ok(()) | Err(RingError::NotRevoked { .. }) => {}
                Err(_) => return Err(unavailable()),
            }
            asked.lock().unwrap_or_else(PoisonError::into_inner).is_read = true;
            Ok(())
        }))
    }

    fn describe(&self) -> String {
        self.description()
    }
}

impl<S: RingStore> SecretSource for RingKeys<S> {
    /// What is too old is not used: a secret may have been withdrawn since.
    fn secrets(&self) -> SecretSet {
        self.keeper.usable().map_or_else(|_| SecretSet::empty(), |ring| ring.secrets.clone())
    }

    fn seek(&self, query: &KeyQuery<'_>) -> Option<KeyFuture> {
        KeySource::seek(self, query)
    }

    fn describe(&self) -> String {
        self.description()
    }
}

fn unavailable() -> KeysUnavailable {
    KeysUnavailable::new().with_reason("the ring of signing keys cannot be read, or is being read")
}

impl<S> fmt::Debug for RingKeys<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingKeys")
            .field("issuer", &self.keeper.settings.issuer)
            .finish_non_exhaustive()
    }
}
