use core::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_issuer::store::{
    FileRing, LoadedRing, MemoryRing, RingStore, RingVersion, StoreError, StoredRing, Swap,
};
use portcullis_sqlx::{PostgresRing, SqliteRing};

/// A store of any kind.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is what it is called")]
pub enum Ring {
    Memory(MemoryRing),
    File(FileRing),
    Sqlite(SqliteRing),
    Postgres(PostgresRing),
}

impl RingStore for Ring {
    async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        match self {
            Self::Memory(ring) => ring.load(issuer).await,
            Self::File(ring) => ring.load(issuer).await,
            Self::Sqlite(ring) => ring.load(issuer).await,
            Self::Postgres(ring) => ring.load(issuer).await,
        }
    }

    async fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, StoreError> {
        match self {
            Self::Memory(store) => store.swap(issuer, from, ring).await,
            Self::File(store) => store.swap(issuer, from, ring).await,
            Self::Sqlite(store) => store.swap(issuer, from, ring).await,
            Self::Postgres(store) => store.swap(issuer, from, ring).await,
        }
    }
}

/// Where an instance stops for ever, until it is killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// After it read a ring, before it changes it.
    Read,
    /// After a change is done, before it hears of it.
    Changed,
}

/// A store that an instance stops at when told to.
#[derive(Clone, Debug)]
pub struct Stopping {
    ring: Ring,
    stop: Arc<Mutex<Option<Stop>>>,
}

impl Stopping {
    /// One that does not stop yet.
    pub fn new(ring: Ring) -> Self {
        Self { ring, stop: Arc::default() }
    }

    /// Stops here from now on, and says `stopped` on the standard output.
    pub fn stop(&self, stop: Stop) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop);
    }

    async fn reach(&self, stop: Stop) {
        if *self.stop.lock().unwrap_or_else(PoisonError::into_inner) == Some(stop) {
            println!("stopped");
            pending::<()>().await;
        }
    }
}

impl RingStore for Stopping {
    async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        let loaded = self.ring.load(issuer).await?;
        self.reach(Stop::Read).await;
        Ok(loaded)
    }

    async fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, StoreError> {
        let swap = self.ring.swap(issuer, from, ring).await?;
        self.reach(Stop::Changed).await;
        Ok(swap)
    }
}
