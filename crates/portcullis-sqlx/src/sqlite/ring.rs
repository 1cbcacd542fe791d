use std::time::SystemTime;

use portcullis_issuer::store::{LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap};
use sqlx::SqliteConnection;

use super::database::{Database, Query, SEEN, call};
use crate::call::Failure;
use crate::columns::KeyColumns;
use crate::load;
use crate::ring::ring_store;
use crate::told::told;

const FIRST: &str = "\
    INSERT INTO portcullis_key_ring (issuer, version, longest_lifetime_ms, mac) VALUES (?1, 1, ?2, ?3) \
    ON CONFLICT DO NOTHING";

const NEXT: &str = "\
    UPDATE portcullis_key_ring SET version = version + 1, longest_lifetime_ms = ?2, mac = ?3 \
    WHERE issuer = ?1 AND version = ?4";

const DELETE_KEYS: &str = "DELETE FROM portcullis_keys WHERE issuer = ?1";

const INSERT_KEY: &str = "\
    INSERT INTO portcullis_keys (issuer, key_id, algorithm, public_jwk, seal_id, sealed, signer_key, published_at, \
    signs_from, signs_until, verifies_until, withdrawn_at, is_private_kept, mac) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

/// Rings in SQLite, for the instances of one machine.
///
/// ```
/// use portcullis_sqlx::SqliteRing;
/// use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir();
/// # let file = folder.join(format!("portcullis-{}.db", std::process::id()));
/// let options = SqliteConnectOptions::new()
///     .filename(&file)
///     .create_if_missing(true);
/// let pool = SqlitePoolOptions::new().connect_with(options).await?;
/// let ring = SqliteRing::new(pool);
/// ring.migrate().await?;
/// # std::fs::remove_file(file)?;
/// # Ok(()) }
/// ```
///
/// Clones are one store. The store's clock is the machine's.
#[derive(Clone)]
pub struct SqliteRing(Database);

told!(
    SqliteRing, Database, sqlx::SqlitePool,
    keeps: "Keeps rings in the database of this pool. Nothing is asked yet.",
    deadline: "If you do not call it: 5 s. An instance reads its ring once a minute and goes by what it read for ten, so it can wait for the next time. What took over 10 s is not gone by, so more than that is of no use."
);

ring_store!(SqliteRing, SqliteConnection);

impl SqliteRing {
    async fn load_on(
        &self,
        connection: &mut SqliteConnection,
        issuer: &str,
    ) -> Result<LoadedRing, Failure> {
        let reading = self.0.query(&load::statement(is_issuer, SEEN)).bind(issuer);
        let rows = self.0.read(connection, reading).await?;
        // After the rows: a key that another instance has made meanwhile would seem to be of the future.
        load::ring(&rows, SystemTime::now().into())
    }

    async fn insert_all(
        &self,
        connection: &mut SqliteConnection,
        issuer: &str,
        keys: Vec<KeyColumns>,
    ) -> Result<(), Failure> {
        for key in keys {
            self.insert(issuer, key).execute(&mut *connection).await?;
        }
        Ok(())
    }

    fn insert<'q>(&self, issuer: &'q str, key: KeyColumns) -> Query<'q> {
        self.0
            .query(INSERT_KEY)
            .bind(issuer)
            .bind(key.key_id)
            .bind(key.algorithm)
            .bind(key.public_jwk)
            .bind(key.seal_id)
            .bind(key.sealed)
            .bind(key.signer_key)
            .bind(key.published_at)
            .bind(key.signs_from)
            .bind(key.signs_until)
            .bind(key.verifies_until)
            .bind(key.withdrawn_at)
            .bind(key.is_private_kept)
            .bind(key.mac)
    }
}

/// The rows of these tables are entries of their index, and to seek among them reads each that is met as a whole, however
/// long it is. So that none is, all rows are looked at, of which there are few.
fn is_issuer(column: &str) -> String {
    format!("CASE WHEN octet_length({column}) = octet_length(?1) THEN {column} END = ?1")
}
