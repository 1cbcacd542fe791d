//! The one database in which users, sessions and keys are kept.
use std::fs::OpenOptions;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_issuer::store::{LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap};
use portcullis_sqlx::{PostgresRing, PostgresSessions, SqliteRing, SqliteSessions};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use crate::flags::resolved;

/// The longest that a request waits for the database.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A database, as the command line names it.
pub(crate) enum Address {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
}

impl Address {
    /// Of `sqlite:FILE`, `postgres://…`, or `env:NAME` for a variable that says one of them. No error shows an address: it
    /// may have a password in it.
    pub(crate) fn of(named: &str) -> Result<Self, String> {
        let text = resolved("--database", named)?;
        if text.contains(":memory:") {
            return Err(
                "--database: sessions in memory end with the process: give sqlite:FILE".into()
            );
        }
        if text.starts_with("sqlite:") {
            let file = text.parse().map_err(|_| "--database: this is not sqlite:FILE")?;
            return Ok(Self::Sqlite(file));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let address =
                text.parse().map_err(|_| "--database: this is not an address of PostgreSQL")?;
            return Ok(Self::Postgres(address));
        }
        Err("--database: give sqlite:FILE or postgres://…, or env:NAME".into())
    }

    /// Where the root secret is, if nobody says it.
    pub(crate) fn root_secret(&self) -> PathBuf {
        match self {
            Self::Sqlite(file) => file.get_filename().with_extension("root"),
            Self::Postgres(_) => PathBuf::from("first-party-login.root"),
        }
    }

    /// The database, with the tables of keys and sessions. A file is made if it is missing, for its owner alone.
    pub(crate) async fn open(self) -> Result<Database, String> {
        match self {
            Self::Sqlite(file) => {
                let path = file.get_filename();
                let mut options = OpenOptions::new();
                options.create(true).append(true);
                #[cfg(unix)]
                std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
                // An empty file is an empty database.
                options.open(path).map_err(|error| format!("{}: {error}", path.display()))?;
                let pool = SqlitePoolOptions::new().acquire_timeout(PATIENCE);
                let pool = pool.connect_lazy_with(file);
                let sessions = SqliteSessions::new(pool.clone());
                sessions.migrate().await.map_err(|error| error.to_string())?;
                Ok(Database::Sqlite { pool, sessions })
            }
            Self::Postgres(address) => {
                let pool = PgPoolOptions::new().acquire_timeout(PATIENCE);
                let pool = pool.connect_lazy_with(address);
                let sessions = PostgresSessions::new(pool.clone());
                sessions.migrate().await.map_err(|error| error.to_string())?;
                Ok(Database::Postgres { pool, sessions })
            }
        }
    }
}

/// A database that is open, and where sessions stand in it.
#[derive(Clone)]
pub(crate) enum Database {
    Sqlite { pool: SqlitePool, sessions: SqliteSessions },
    Postgres { pool: PgPool, sessions: PostgresSessions },
}

impl Database {
    pub(crate) fn ring(&self) -> Ring {
        match self {
            Self::Sqlite { pool, .. } => Ring::Sqlite(SqliteRing::new(pool.clone())),
            Self::Postgres { pool, .. } => Ring::Postgres(PostgresRing::new(pool.clone())),
        }
    }
}

/// The ring of signing keys in either: so that the issuer is of one type.
pub(crate) enum Ring {
    Sqlite(SqliteRing),
    Postgres(PostgresRing),
}

impl RingStore for Ring {
    async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        match self {
            Self::Sqlite(ring) => ring.load(issuer).await,
            Self::Postgres(ring) => ring.load(issuer).await,
        }
    }

    async fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        to: &StoredRing,
    ) -> Result<Swap, StoreError> {
        match self {
            Self::Sqlite(ring) => ring.swap(issuer, from, to).await,
            Self::Postgres(ring) => ring.swap(issuer, from, to).await,
        }
    }
}
