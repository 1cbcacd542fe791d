//! Where a ring is kept. A store of another kind is plugged in here: a variant, how it is told by its address, and how it
//! is opened.
use std::path::Path;

use portcullis_issuer::RingError;
use portcullis_issuer::store::{
    FileRing, FileRingError, LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap,
};
#[cfg(feature = "store")]
use portcullis_sqlx::{PostgresRing, SqliteRing};

use crate::Exit;
use crate::output::Failure;
#[cfg(not(feature = "store"))]
use crate::store::without_feature;
use crate::store::{Access, Address, Kept, Place, TableOptions};

/// What `--ring` says the place of.
const RING: Kept =
    Kept { option: "--ring", what: "a ring", forms: "a file, postgres://… or sqlite:FILE" };

/// Where a ring is kept, as the command line says.
#[derive(clap::Args)]
pub(super) struct StoreOptions {
    /// Where the ring is kept: a file, postgres://… or sqlite:FILE, or env:NAME for an environment variable that says it. An
    /// address with a password belongs into a variable
    #[arg(long, value_name = "RING")]
    ring: String,

    #[command(flatten)]
    tables: TableOptions,
}

impl StoreOptions {
    pub(super) fn place(&self) -> Place<'_> {
        Place::new(&RING, &self.ring)
    }
}

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
    let place = options.place();
    let address = place.address()?;
    options.tables.check(&address, &RING)?;
    match address {
        Address::Path(path) => open_file(&path, &place, access).map(Store::File),
        Address::Postgres(address) => open_postgres(&address, options),
        Address::Sqlite(address) => open_sqlite(&address, options, access),
    }
}

#[cfg(feature = "store")]
fn open_postgres(address: &str, options: &StoreOptions) -> Result<Store, Failure> {
    let ring = PostgresRing::new(options.place().postgres(address)?);
    let ring = options.tables.prefixed(ring, PostgresRing::table_prefix)?;
    options.tables.in_schema(ring, PostgresRing::schema).map(Store::Postgres)
}

#[cfg(feature = "store")]
fn open_sqlite(address: &str, options: &StoreOptions, access: Access) -> Result<Store, Failure> {
    let ring = SqliteRing::new(options.place().sqlite(address, access)?);
    options.tables.prefixed(ring, SqliteRing::table_prefix).map(Store::Sqlite)
}

#[cfg(not(feature = "store"))]
fn open_postgres(_: &str, _: &StoreOptions) -> Result<Store, Failure> {
    Err(without_feature(RING.option, "a ring in PostgreSQL"))
}

#[cfg(not(feature = "store"))]
fn open_sqlite(_: &str, _: &StoreOptions, _: Access) -> Result<Store, Failure> {
    Err(without_feature(RING.option, "a ring in SQLite"))
}

/// The path may be what a variable says, and is not shown.
fn open_file(path: &str, place: &Place<'_>, access: Access) -> Result<FileRing, Failure> {
    let fault = |text: String| place.fault(text);
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
    pub(super) fn issuer(&self, place: &Place<'_>, named: Option<&str>) -> Result<String, Failure> {
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
            place.fault(format_args!("{text}: {}", list.join(", ")))
        };
        match (named, issuers.as_slice()) {
            (_, []) => Err(place.fault("the file has no ring")),
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
    pub(super) fn failure(&self, place: &Place<'_>, error: &RingError) -> Failure {
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
        let place = if self.is_for_one_process() { format!("{place}: ") } else { String::new() };
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
