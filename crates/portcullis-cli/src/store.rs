//! Where a ring is kept. A store of another kind is plugged in here: a variant, how it is told by its address, and how it
//! is opened.
use std::path::Path;

use portcullis_issuer::RingError;
use portcullis_issuer::store::{
    FileRing, FileRingError, LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap,
};
#[cfg(feature = "store")]
use portcullis_sqlx::{NameFault, PostgresRing, SqliteRing};
#[cfg(feature = "store")]
use sqlx::{
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

use crate::Exit;
use crate::output::{Failure, shown};

/// Where a ring is kept, as the command line says.
#[derive(clap::Args)]
pub(crate) struct StoreOptions {
    /// Where the ring is kept: a file, postgres://… or sqlite:FILE, or env:NAME for an environment variable that says it. An
    /// address with a password belongs into a variable
    #[arg(long, value_name = "RING")]
    ring: String,

    /// What the names of the tables begin with, if the service says so [default: `portcullis_`]
    #[arg(long, value_name = "PREFIX")]
    table_prefix: Option<String>,

    /// The schema of the tables, if the service says so (PostgreSQL)
    #[arg(long, value_name = "SCHEMA")]
    table_schema: Option<String>,
}

/// What stands in front of the name of a variable.
const VARIABLE: &str = "env:";

impl StoreOptions {
    /// What messages call the place of the ring. What a variable says is not shown, and neither is a password.
    pub(crate) fn place(&self) -> String {
        if has_password(&self.ring) {
            return "(not shown, as it looks like an address with a password)".to_owned();
        }
        match self.ring.strip_prefix(VARIABLE) {
            Some(name) => format!("{VARIABLE}{}", shown(name)),
            None => self.ring.clone(),
        }
    }
}

/// Whether it looks like an address with a password: `user:password@host`, or `password=` as libpq and others write it.
/// Rather once too often: what is hidden is only the name of a file.
fn has_password(address: &str) -> bool {
    let has_user_part = address.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    let address = address.to_ascii_lowercase();
    let is_assigned = |name: &str| {
        let mut found = address.match_indices(name);
        found.any(|(at, _)| address[at + name.len()..].trim_start().starts_with('='))
    };
    has_user_part || ["password", "passwd", "pwd"].into_iter().any(is_assigned)
}

/// A store of rings, by what `--ring` says.
#[derive(Clone)]
pub(crate) enum Store {
    File(FileRing),
    #[cfg(feature = "store")]
    Postgres(PostgresRing),
    #[cfg(feature = "store")]
    Sqlite(SqliteRing),
}

/// What a store is opened for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Access {
    Read,
    Change,
}

/// What `--ring` names.
enum Address {
    Path(String),
    Postgres(String),
    Sqlite(String),
}

impl Address {
    /// An address may have a password in it, and so may stand in a variable.
    fn of(options: &StoreOptions) -> Result<Self, Failure> {
        let variable = options.ring.strip_prefix(VARIABLE);
        let text = match variable {
            Some(name) => std::env::var(name).map_err(|_| {
                let place = options.place();
                Failure::fault(format!("--ring {place}: the variable is not set, or is not text"))
            })?,
            None => options.ring.clone(),
        };
        Ok(if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Self::Postgres(text)
        } else if text.starts_with("sqlite:") {
            Self::Sqlite(text)
        } else if let Some((scheme, _)) = text.split_once("://") {
            // Another text than a scheme may be the part of a connection string with the password.
            let is_scheme = scheme.chars().all(|char| char.is_ascii_alphanumeric());
            let what = if variable.is_none() && is_scheme {
                format!("`{}://`", shown(scheme))
            } else {
                "such an address".to_owned()
            };
            return Err(Failure::fault(format!(
                "--ring {}: there is no store for {what}: give a file, postgres://… or sqlite:FILE",
                options.place()
            )));
        } else {
            Self::Path(text)
        })
    }
}

/// Opens the store that `--ring` names. A database is asked with the first reading.
pub(crate) fn open(options: &StoreOptions, access: Access) -> Result<Store, Failure> {
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

/// The longest that a connection is waited for: as long as a store may take.
#[cfg(feature = "store")]
const LONGEST: core::time::Duration = core::time::Duration::from_secs(10);

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

#[cfg(feature = "store")]
fn not_a_name(what: &str, fault: &NameFault) -> Failure {
    Failure::fault(format!("--table-{what}: {fault}"))
}

/// It may have a password in it, and so is not shown.
#[cfg(feature = "store")]
fn not_an_address(database: &str) -> Failure {
    Failure::fault(format!("--ring: this is not an address of {database}"))
}

#[cfg(not(feature = "store"))]
fn open_postgres(_: &str, _: &StoreOptions) -> Result<Store, Failure> {
    Err(without_feature("PostgreSQL"))
}

#[cfg(not(feature = "store"))]
fn open_sqlite(_: &str, _: &StoreOptions, _: Access) -> Result<Store, Failure> {
    Err(without_feature("SQLite"))
}

#[cfg(not(feature = "store"))]
fn without_feature(database: &str) -> Failure {
    Failure::fault(format!(
        "--ring: this command was built without the feature `store`, which a ring in {database} needs: install it with `cargo install --path crates/portcullis-cli --features store`, by Rust 1.94 or later"
    ))
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
    pub(crate) fn issuer(&self, place: &str, named: Option<&str>) -> Result<String, Failure> {
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
    pub(crate) fn is_for_one_process(&self) -> bool {
        match self {
            Self::File(_) => true,
            #[cfg(feature = "store")]
            Self::Postgres(_) | Self::Sqlite(_) => false,
        }
    }

    /// How the command ends where the ring cannot be had.
    pub(crate) fn failure(&self, place: &str, error: &RingError) -> Failure {
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
