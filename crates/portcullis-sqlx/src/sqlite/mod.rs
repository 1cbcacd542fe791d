//! Rings in SQLite.
//!
//! For the instances of one machine, in any number of processes. A file on a network disk is not supported: locks do not
//! hold there, and two changes at once break it.
//!
//! - **Each change is on the disk before it counts.** A connection with `PRAGMA synchronous` below `FULL` is refused, and one
//!   whose `journal_mode` is `OFF`, or `MEMORY` on a file: a crash would lose what was said to be done. sqlx leaves both as they
//!   are, which is `FULL` and `DELETE`. `WAL` suits as well.
//! - **A change waits for another** as long as `SqliteConnectOptions::busy_timeout` says, 5 s if nobody said it, and no longer than
//!   the [deadline](SqliteRing::deadline).
//! - **The file is for its owner alone**: private keys in it are sealed, but who writes to it can do as if a key were
//!   gone. Set the rights of its folder.
//! - **In memory** (`sqlite::memory:`), the database ends with its connection. For tests, make a pool of one connection that
//!   is never closed: `max_connections(1)`, `idle_timeout(None)`, `max_lifetime(None)`.
use core::fmt;
use core::time::Duration;
use std::time::SystemTime;

use portcullis_issuer::store::{LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap};
use sqlx::{AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection, SqlitePool};

use crate::call::{DEADLINE, Failure, within};
use crate::columns::{self, KeyColumns, kept_version, lifetime_millis};
use crate::load;
use crate::names::{NameFault, Names};
use crate::schema::Present;

/// The tables, as SQL, for migrations of one's own.
///
/// Put another prefix into the names, and tell [`SqliteRing`] the same.
pub const SCHEMA: &str = include_str!("schema.sql");

/// The steps from one version of the tables to the next. Each writes the version that it comes to, and from which one on
/// releases may go on.
const STEPS: [&str; 1] = [SCHEMA];

/// What `PRAGMA synchronous` is at least.
const FULL: i64 = 2;

const VERSIONS: &str =
    "SELECT s.version AS schema_version, s.compatible_from FROM portcullis_schema AS s";

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
pub struct SqliteRing {
    pool: SqlitePool,
    names: Names,
    deadline: Duration,
}

impl SqliteRing {
    /// Keeps rings in the database of this pool. Nothing is asked yet.
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool, names: Names::default(), deadline: DEADLINE }
    }

    /// What the names of the tables begin with: `key_ring`, `keys` and `schema` follow.
    ///
    /// If you do not call it: `portcullis_`.
    ///
    /// # Errors
    ///
    /// It is longer than 32 bytes, has another character than lower-case letters, digits and `_`, or begins with a digit.
    pub fn table_prefix(mut self, prefix: &str) -> Result<Self, NameFault> {
        self.names = self.names.with_prefix(prefix)?;
        Ok(self)
    }

    /// How long a call may take in all: waiting for a connection, for others' changes, and each statement. Then it fails.
    ///
    /// If you do not call it: 5 s. An instance reads its ring once a minute and goes by what it read for ten, so it can
    /// wait for the next time. What took over 10 s is not gone by, so more than that is of no use.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Makes the tables, or changes those of an earlier release. Where they are as they should be, nothing is done.
    ///
    /// Any number of processes may call it at once, as when they start. Instances of the release before go on with the new
    /// tables as long as these say that they may.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or written to, or the tables are of a later release that this one cannot go by. Nothing was
    /// changed, unless the deadline was over.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        within(self.deadline, async {
            let mut connection = self.pool.acquire().await?;
            self.migrate_on(&mut connection).await
        })
        .await
    }

    async fn migrate_on(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let table = self.names.put_into("portcullis_schema");
        let found = query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1");
        let found = found.bind(table).fetch_optional(&mut *transaction).await?;
        let present = if found.is_some() {
            let rows = self.query(VERSIONS).fetch_all(&mut *transaction).await?;
            columns::present(columns::first(&rows)?)?
        } else {
            Present::NONE
        };
        for step in present.missing(&STEPS) {
            let sql = AssertSqlSafe(self.names.put_into(step));
            sqlx::raw_sql(sql).execute(&mut *transaction).await?;
        }
        let rows = self.query(VERSIONS).fetch_all(&mut *transaction).await?;
        columns::checked(&rows)?;
        transaction.commit().await?;
        Ok(())
    }

    async fn load_on(
        &self,
        connection: &mut SqliteConnection,
        issuer: &str,
    ) -> Result<LoadedRing, Failure> {
        check_durability(connection).await?;
        // Before the rows are read: what is decided by a ring is not decided for later than it.
        let now = SystemTime::now().into();
        let rows = self
            .query(&load::statement(is_issuer, ""))
            .bind(issuer)
            .fetch_all(&mut *connection)
            .await;
        let rows = match rows.map_err(Failure::from) {
            Err(failure) if failure.is_of_tables() => {
                return Err(self.explained(connection, failure).await);
            }
            rows => rows?,
        };
        columns::checked(&rows)?;
        load::ring(&rows, now)
    }

    /// Tables that lack what this release knows: their version says why.
    async fn explained(&self, connection: &mut SqliteConnection, failure: Failure) -> Failure {
        let rows = self.query(VERSIONS).fetch_all(&mut *connection).await;
        let Ok(rows) = rows else { return failure };
        match columns::checked(&rows) {
            Err(why @ Failure::Store(_)) => why,
            Ok(_) | Err(Failure::Sqlx(_)) => failure,
        }
    }

    async fn swap_on(
        &self,
        connection: &mut SqliteConnection,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, Failure> {
        let Ok(from) = from.map(kept_version).transpose() else { return Ok(Swap::Lost) };
        let lifetime = lifetime_millis(ring.longest_lifetime)?;
        let keys: Vec<_> = ring.keys.iter().map(KeyColumns::of).collect();
        load::check_written(&ring.mac, &keys)?;
        check_durability(connection).await?;
        // At once the one who writes: who becomes it later than it read fails, however long it waits.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let rows = self.query(VERSIONS).fetch_all(&mut *transaction).await?;
        columns::checked(&rows)?;
        let change = match from {
            None => self.query(FIRST).bind(issuer).bind(lifetime).bind(&ring.mac),
            Some(version) => {
                self.query(NEXT).bind(issuer).bind(lifetime).bind(&ring.mac).bind(version)
            }
        };
        if change.execute(&mut *transaction).await?.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(Swap::Lost);
        }
        self.query(DELETE_KEYS).bind(issuer).execute(&mut *transaction).await?;
        for key in keys {
            self.insert(issuer, key).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(Swap::Done)
    }

    fn insert<'q>(&self, issuer: &'q str, key: KeyColumns) -> Query<'q> {
        self.query(INSERT_KEY)
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

    fn query<'q>(&self, sql: &str) -> Query<'q> {
        query(self.names.put_into(sql))
    }
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

/// A text of this crate, whose names were checked.
fn query<'q>(sql: impl Into<String>) -> Query<'q> {
    sqlx::query(AssertSqlSafe(sql.into()))
}

/// The rows of these tables are entries of their index, and to seek among them reads each that is met as a whole, however
/// long it is. So that none is, all rows are looked at, of which there are few.
fn is_issuer(column: &str) -> String {
    format!("CASE WHEN octet_length({column}) = octet_length(?1) THEN {column} END = ?1")
}

/// Whether what is done on this connection is there after a crash: another one of the pool may have other settings.
async fn check_durability(connection: &mut SqliteConnection) -> Result<(), Failure> {
    let row = query("PRAGMA main.synchronous").fetch_one(&mut *connection).await?;
    if row.try_get::<i64, _>(0)? < FULL {
        return Err(StoreError::new(
            "`PRAGMA synchronous` is below FULL, and a change would be gone after a loss of power: open the pool with `SqliteSynchronous::Full`",
        )
        .into());
    }
    let row = query("PRAGMA main.journal_mode").fetch_one(&mut *connection).await?;
    let mode: String = row.try_get(0)?;
    let files = query("SELECT file FROM pragma_database_list WHERE name = 'main' AND file <> ''");
    let is_file = files.fetch_optional(&mut *connection).await?.is_some();
    if mode == "off" || (mode == "memory" && is_file) {
        return Err(StoreError::new(format!(
            "`PRAGMA journal_mode` is {mode}, and a crash would leave half of a change: open the pool with `SqliteJournalMode::Wal`"
        ))
        .into());
    }
    Ok(())
}

impl RingStore for SqliteRing {
    async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        within(self.deadline, async {
            let mut connection = self.pool.acquire().await?;
            self.load_on(&mut connection, issuer).await
        })
        .await
    }

    async fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, StoreError> {
        within(self.deadline, async {
            let mut connection = self.pool.acquire().await?;
            self.swap_on(&mut connection, issuer, from, ring).await
        })
        .await
    }
}

impl fmt::Debug for SqliteRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteRing")
            .field("names", &self.names)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
