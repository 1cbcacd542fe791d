use core::time::Duration;

use portcullis_sqlx::{PostgresRing, SqliteRing};
use sqlx::postgres::PgPool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row as _};
use tempfile::TempDir;

use crate::{Cluster, Ring};

/// What a busy machine takes for a call at most.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

/// A database of a test's own.
#[derive(Debug)]
pub struct Database {
    /// Its URL.
    pub url: String,
    pool: Pool,
    _folder: Option<TempDir>,
}

#[derive(Debug)]
enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Database {
    /// In PostgreSQL, without tables.
    pub async fn postgres() -> Self {
        let cluster = Cluster::shared().await;
        let name = cluster.database().await;
        let pool = Pool::Postgres(cluster.pool(&name).await);
        Self { url: cluster.url(&name), pool, _folder: None }
    }

    /// A file of SQLite, without tables.
    pub async fn sqlite() -> Self {
        Self::sqlite_with(SqliteJournalMode::Delete).await
    }

    /// A file of SQLite with this journal, without tables.
    ///
    /// # Panics
    ///
    /// It cannot be made.
    pub async fn sqlite_with(journal: SqliteJournalMode) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rings.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let pool = SqlitePool::connect_with(options.journal_mode(journal)).await.expect("a file");
        let url = format!("sqlite://{}", file.display());
        Self { url, pool: Pool::Sqlite(pool), _folder: Some(folder) }
    }

    /// One of each, with tables.
    pub async fn each() -> [Self; 2] {
        let databases = [Self::sqlite().await, Self::postgres().await];
        for database in &databases {
            database.ring().await;
        }
        databases
    }

    /// The store of another instance, with connections of its own. It makes the tables where they are missing.
    ///
    /// # Panics
    ///
    /// The tables cannot be made.
    pub async fn ring(&self) -> Ring {
        let ring = Ring::open(&self.url).await;
        ring.migrate().await.expect("tables");
        ring
    }

    /// Has the database do this, as somebody with all rights could.
    ///
    /// # Panics
    ///
    /// It refuses.
    pub async fn sql(&self, text: impl Into<String>) {
        self.try_sql(text).await.expect("good SQL");
    }

    /// Has the database do this.
    ///
    /// # Errors
    ///
    /// It refuses.
    pub async fn try_sql(&self, text: impl Into<String>) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(text.into());
        match &self.pool {
            Pool::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()),
            Pool::Sqlite(pool) => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()),
        }
    }

    /// A number that the database has.
    ///
    /// # Panics
    ///
    /// It has none.
    pub async fn number(&self, text: impl Into<String>) -> i64 {
        let sql = AssertSqlSafe(text.into());
        let number = match &self.pool {
            Pool::Postgres(pool) => sqlx::query(sql).fetch_one(pool).await.map(|row| row.get(0)),
            Pool::Sqlite(pool) => sqlx::query(sql).fetch_one(pool).await.map(|row| row.get(0)),
        };
        number.expect("good SQL")
    }
}

impl Ring {
    /// The ring in the database of this URL, by connections of its own.
    ///
    /// # Panics
    ///
    /// It cannot be connected to.
    pub async fn open(url: &str) -> Self {
        if url.starts_with("postgres:") {
            let pool = sqlx::postgres::PgPoolOptions::new().max_connections(8).connect(url).await;
            return Self::Postgres(PostgresRing::new(pool.expect("a server")).deadline(PATIENT));
        }
        let options: SqliteConnectOptions = url.parse().expect("a URL");
        let pool = SqlitePoolOptions::new().max_connections(8);
        let pool = pool.connect_with(options.busy_timeout(PATIENT)).await.expect("a file");
        Self::Sqlite(SqliteRing::new(pool).deadline(PATIENT))
    }

    /// Makes the tables.
    ///
    /// # Errors
    ///
    /// They cannot be made.
    pub async fn migrate(&self) -> Result<(), portcullis_issuer::store::StoreError> {
        match self {
            Self::Postgres(ring) => ring.migrate().await,
            Self::Sqlite(ring) => ring.migrate().await,
            Self::Memory(_) | Self::File(_) => Ok(()),
        }
    }
}
