//! Where a ring is kept. A store of another kind is plugged in here: a variant, how it is told by its address, and how it
//! is opened.
use std::path::Path;

use portcullis_issuer::RingError;
use portcullis_issuer::store::{
    FileRing, FileRingError, LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap,
};
#[cfg(feature = "store")]
use portcullis_sqlx::{PostgresRing, SqliteRing};
#[cfg(feature = "store")]
use sqlx::{
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use crate::Exit;
use crate::output::Failure;
#[cfg(not(feature = "store"))]
use crate::store::without_feature;
use crate::store::{Access, Address, StoreOptions};
#[cfg(feature = "store")]
use crate::store::{LONGEST, not_a_name, not_an_address};

/// A store of rings, by what `--ring` says.
#[derive(Clone)]
pub(super) enum Store {
    File(FileRing),
    #[cfg(feature = "store")]
    Postgres(PostgresRing),
    #[cfg(feature = "store")]
    Sqlite(SqliteRing),
}

/// Opens the store that `--ring` names. A database is asked with the first reading.
pub(super) fn open(options: &StoreOptions, access: Access) -> Result<Store, Failure> {
    let names = [&options.table_prefix, &options.table_schema];
    match Address::of(options)? {
        Address::Path(_) if names.iter().any(|name| name.is_some()) => {
            Err(Failure::fault("--table-prefix and --table-schema are for a ring in a database"))
        }
        Address::Sqlite(_) if options.table_schema.is_some() => {
            Err(Failure::fault("--table-schema is for a ring in PostgreSQL"))
        }
        Address::Path(path) => open_file(&path, &options.place(), access).map(Store::File),
        Address::Postgres(address) => open_postgres(&address, options),
        Address::Sqlite(address) => open_sqlite(&address, options, access),
    }
}

#[cfg(feature = "store")]
fn open_postgres(address: &str, names: &StoreOptions) -> Result<Store, Failure> {
    let options: PgConnectOptions = address.parse().map_err(|_| not_an_address("PostgreSQL"))?;
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(LONGEST);
    let mut ring = PostgresRing::new(pool.connect_lazy_with(options));
    if let Some(prefix) = &names.table_prefix {
        ring = ring.table_prefix(prefix).map_err(|fault| not_a_name("prefix", &fault))?;
    }
    if let Some(schema) = &names.table_schema {
        ring = ring.schema(schema).map_err(|fault| not_a_name("schema", &fault))?;
    }
    Ok(Store::Postgres(ring))
}

#[cfg(feature = "store")]
fn open_sqlite(address: &str, names: &StoreOptions, access: Access) -> Result<Store, Failure> {
    let options: SqliteConnectOptions = address.parse().map_err(|_| not_an_address("SQLite"))?;
    let options = options.create_if_missing(false).read_only(access == Access::Read);
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(LONGEST);
    let mut ring = SqliteRing::new(pool.connect_lazy_with(options));
    if let Some(prefix) = &names.table_prefix {
        ring = ring.table_prefix(prefix).map_err(|fault| not_a_name("prefix", &fault))?;
    }
    Ok(Store::Sqlite(ring))
}

#[cfg(not(feature = "store"))]
fn open_postgres(_: &str, _: &StoreOptions) -> Result<Store, Failure> {
    Err(without_feature("PostgreSQL"))
}

#[cfg(not(feature = "store"))]
fn open_sqlite(_: &str, _: &StoreOptions, _: Access) -> Result<Store, Failure> {
    Err(without_feature("SQLite"))
}

/// The path may be what a variable says, and is not shown.
fn open_file(path: &str, place: &str, access: Access) -> Result<FileRing, Failure> {
    let fault = |text: String| Failure::fault(format!("--ring {place}: {text}"));
    if !Path::new(path).is_file() {
        return Err(fault(
            "there is no such file: give the one that the service opens by `FileRing::open`, or an address that begins with postgres:// or sqlite:"
                .to_owned(),
        ));
    }
    if access == Access::Read {
        return Ok(FileRing::read_only(path));
    }
    #[cfg(unix)]
    check_owner(Path::new(path)).map_err(fault)?;
    FileRing::open(path).map_err(|error| match error {
        FileRingError::Taken { .. } => fault(
            "the service that runs has this file, and it is for one process: stop the service, say this again, and start it; or call `rotate`, `withdraw` or `withdraw_all` of its `TokenIssuer`"
                .to_owned(),
        ),
        FileRingError::Unreadable { kind, .. } => fault(format!(
            "the file, or the `.lock` beside it, cannot be opened: {kind}; see that its folder may be written to"
        )),
        _ => fault("the file cannot be opened".to_owned()),
    })
}

/// A change replaces the file, which then belongs to whoever made it.
#[cfg(unix)]
fn check_owner(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(path).map_err(|error| error.to_string())?.uid();
    // What this process makes belongs to its user.
    let own = tempfile::tempfile().and_then(|file| file.metadata());
    let own = own.map_err(|error| error.to_string())?.uid();
    if owner == own {
        return Ok(());
    }
    Err(format!(
        "the file belongs to the user {owner}, and would belong to the user {own} after a change, so that the service could not read it: say this as the user of the service (`sudo -u '#{owner}' portcullis …`)"
    ))
}

impl Store {
    /// The issuer that is meant: the one that was named, or else the only one of a file.
    pub(super) fn issuer(&self, place: &str, named: Option<&str>) -> Result<String, Failure> {
        let file = match self {
            Self::File(file) => file,
            #[cfg(feature = "store")]
            Self::Postgres(_) | Self::Sqlite(_) => {
                return named.map(str::to_owned).ok_or_else(|| {
                    Failure::fault(
                        "--issuer is missing: a database may have rings of several issuers",
                    )
                });
            }
        };
        let issuers = file.issuers().map_err(|error| self.failure(place, &error.into()))?;
        let fault = |text: &str| {
            let list: Vec<_> = issuers.iter().map(|issuer| format!("`{issuer}`")).collect();
            Failure::fault(format!("--ring {place}: {text}: {}", list.join(", ")))
        };
        match (named, issuers.as_slice()) {
            (_, []) => Err(Failure::fault(format!("--ring {place}: the file has no ring"))),
            (None, [only]) => Ok(only.clone()),
            (None, _) => {
                Err(fault("several issuers have a ring in this file; name one by --issuer"))
            }
            (Some(named), _) if issuers.iter().any(|issuer| issuer == named) => {
                Ok(named.to_owned())
            }
            (Some(named), _) => {
                Err(fault(&format!("`{named}` has no ring in this file, which is for")))
            }
        }
    }

    /// Whether a service that runs has it for itself.
    pub(super) fn is_for_one_process(&self) -> bool {
        match self {
            Self::File(_) => true,
            #[cfg(feature = "store")]
            Self::Postgres(_) | Self::Sqlite(_) => false,
        }
    }

    /// How the command ends where the ring cannot be had.
    pub(super) fn failure(&self, place: &str, error: &RingError) -> Failure {
        let exit = match error {
            RingError::Store(_) if self.is_for_one_process() => Exit::Fault,
            RingError::Store(_)
            | RingError::Slow { .. }
            | RingError::Clock { .. }
            | RingError::Contended => Exit::Unavailable,
            RingError::UnknownKey { .. } => Exit::Fault,
            _ => Exit::Refused,
        };
        let more = match error {
            RingError::Foreign(_) => {
                "; see, too, that --issuer and --root-encoding are those of the service"
            }
            _ => "",
        };
        let place =
            if self.is_for_one_process() { format!("--ring {place}: ") } else { String::new() };
        Failure { exit, ..Failure::fault(format!("{place}{error}{more}")) }
    }
}

impl RingStore for Store {
    async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        match self {
            Self::File(ring) => ring.load(issuer).await,
            #[cfg(feature = "store")]
            Self::Postgres(ring) => ring.load(issuer).await,
            #[cfg(feature = "store")]
            Self::Sqlite(ring) => ring.load(issuer).await,
        }
    }

    async fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, StoreError> {
        match self {
            Self::File(store) => store.swap(issuer, from, ring).await,
            #[cfg(feature = "store")]
            Self::Postgres(store) => store.swap(issuer, from, ring).await,
            #[cfg(feature = "store")]
            Self::Sqlite(store) => store.swap(issuer, from, ring).await,
        }
    }
}
