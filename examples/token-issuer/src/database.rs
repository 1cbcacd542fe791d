//! Where the keys are kept.
use std::env;
use std::fmt;
use std::fs::OpenOptions;
use std::path::PathBuf;

use portcullis_issuer::store::StoreError;
use portcullis_sqlx::{PostgresRing, SqliteRing};
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

/// A database, as the command line names it.
pub(crate) enum Database {
    Sqlite(SqliteConnectOptions),
    Postgres { address: PgConnectOptions, named: String },
}

impl Database {
    /// Of `sqlite:FILE`, `postgres://…`, or `env:NAME` for a variable that says one of them. No error shows an address: it
    /// may have a password in it.
    pub(crate) fn of(named: &str) -> Result<Self, String> {
        let text = match named.strip_prefix("env:") {
            Some(name) => env::var(name).map_err(|_| {
                format!("--database: the variable {name} is not set, or is not text")
            })?,
            None => named.to_owned(),
        };
        if text.contains(":memory:") {
            return Err("--database: keys in memory end with the process: give sqlite:FILE".into());
        }
        if text.starts_with("sqlite:") {
            let file = text.parse().map_err(|_| "--database: this is not sqlite:FILE")?;
            return Ok(Self::Sqlite(file));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let address =
                text.parse().map_err(|_| "--database: this is not an address of PostgreSQL")?;
            // What follows may be a password.
            let named = if named == text { "postgres://…" } else { named };
            return Ok(Self::Postgres { address, named: named.to_owned() });
        }
        Err("--database: give sqlite:FILE or postgres://…, or env:NAME".into())
    }

    /// Where the root secret is, if nobody says it.
    pub(crate) fn root_secret(&self) -> PathBuf {
        match self {
            Self::Sqlite(file) => file.get_filename().with_extension("root"),
            Self::Postgres { .. } => PathBuf::from("token-issuer.root"),
        }
    }
}

/// As `portcullis ring` takes it, and without a password.
impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.get_filename().display()),
            Self::Postgres { named, .. } => f.write_str(named),
        }
    }
}

/// A ring in a file, with its tables. The file is made if it is missing, for its owner alone.
pub(crate) async fn sqlite(file: SqliteConnectOptions) -> Result<SqliteRing, String> {
    let path = file.get_filename();
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // An empty file is an empty database.
    options.open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let ring = SqliteRing::new(SqlitePool::connect_lazy_with(file));
    ring.migrate().await.map_err(|error| error.to_string())?;
    Ok(ring)
}

/// A ring in a PostgreSQL, with its tables.
pub(crate) async fn postgres(address: PgConnectOptions) -> Result<PostgresRing, StoreError> {
    // Lazy: the deadline of the ring counts, 5 s, and not that of a pool that connects, 30 s.
    let ring = PostgresRing::new(PgPool::connect_lazy_with(address));
    ring.migrate().await?;
    Ok(ring)
}
