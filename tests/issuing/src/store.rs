use core::time::Duration;
use std::error::Error;
use std::path::Path;

use portcullis_issuer::store::{LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap};
use portcullis_sqlx::SqliteRing;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

/// A ring in a file of SQLite, as every process of a service opens it when it starts.
///
/// # Errors
///
/// The file cannot be had.
pub async fn open(file: &Path) -> Result<SqliteRing, Box<dyn Error>> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let ring = SqliteRing::new(SqlitePool::connect_with(options).await?);
    ring.migrate().await?;
    Ok(ring)
}

/// A store as an instance sees it whose clock is off: it takes the ring's clock for ahead, or behind.
#[derive(Debug)]
pub struct Skewed<S> {
    /// The store.
    pub store: S,
    /// By how many milliseconds its clock seems to be ahead.
    pub ahead_millis: i64,
}

impl<S: RingStore> RingStore for Skewed<S> {
    async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        let LoadedRing { now, ring } = self.store.load(issuer).await?;
        let by = Duration::from_millis(self.ahead_millis.unsigned_abs());
        let now = if self.ahead_millis < 0 { now.before(by) } else { now.after(by) };
        Ok(LoadedRing { now, ring })
    }

    async fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, StoreError> {
        self.store.swap(issuer, from, ring).await
    }
}
