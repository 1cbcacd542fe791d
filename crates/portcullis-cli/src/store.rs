//! Where something is kept, as an option says it, and how a database is opened there.
use core::fmt;

#[cfg(feature = "store")]
use portcullis_sqlx::NameFault;
#[cfg(feature = "store")]
use sqlx::{
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions},
};

use crate::output::{Failure, shown};

/// What is kept, and which option says where.
pub(crate) struct Kept {
    /// `--ring`.
    pub(crate) option: &'static str,
    /// `a ring`.
    pub(crate) what: &'static str,
    /// Where it can be kept, as the option says it.
    pub(crate) forms: &'static str,
}

/// What the tables of a database are called, as the command line says.
#[derive(clap::Args)]
pub(crate) struct TableOptions {
    /// What the names of the tables begin with, if the service says so [default: `portcullis_`]
    #[arg(long, value_name = "PREFIX")]
    table_prefix: Option<String>,

    /// The schema of the tables, if the service says so (PostgreSQL)
    #[arg(long, value_name = "SCHEMA")]
    table_schema: Option<String>,
}

/// What stands in front of the name of a variable.
const VARIABLE: &str = "env:";

/// Where something is kept, as an option says it. An address may have a password in it, and so may stand in a variable.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    kept: &'static Kept,
    said: &'p str,
}

/// The option, and what it says. What a variable says is not shown, and neither is a password.
impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kept.option)?;
        if has_password(self.said) {
            return f.write_str("(not shown, as it looks like an address with a password)");
        }
        match self.said.strip_prefix(VARIABLE) {
            Some(name) => write!(f, "{VARIABLE}{}", shown(name)),
            None => f.write_str(self.said),
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

/// What a store is opened for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Access {
    Read,
    Change,
}

/// What an option names.
pub(crate) enum Address {
    Path(String),
    Postgres(String),
    Sqlite(String),
}

impl<'p> Place<'p> {
    pub(crate) const fn new(kept: &'static Kept, said: &'p str) -> Self {
        Self { kept, said }
    }

    /// What is wrong there.
    pub(crate) fn fault(&self, text: impl fmt::Display) -> Failure {
        Failure::fault(format!("{self}: {text}"))
    }

    /// What is said there, by the variable if it names one.
    pub(crate) fn address(&self) -> Result<Address, Failure> {
        let variable = self.said.strip_prefix(VARIABLE);
        let text = match variable {
            Some(name) => std::env::var(name)
                .map_err(|_| self.fault("the variable is not set, or is not text"))?,
            None => self.said.to_owned(),
        };
        Ok(if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            Address::Postgres(text)
        } else if text.starts_with("sqlite:") {
            Address::Sqlite(text)
        } else if let Some((scheme, _)) = text.split_once("://") {
            // Another text than a scheme may be the part of a connection string with the password.
            let is_scheme = scheme.chars().all(|char| char.is_ascii_alphanumeric());
            let what = if variable.is_none() && is_scheme {
                format!("`{}://`", shown(scheme))
            } else {
                "such an address".to_owned()
            };
            let forms = self.kept.forms;
            return Err(self.fault(format_args!("there is no store for {what}: give {forms}")));
        } else {
            Address::Path(text)
        })
    }

    /// What is wrong with what is said there, which may have a password in it, and so is not shown.
    #[cfg(feature = "store")]
    fn not_an_address(&self, database: &str) -> Failure {
        let option = self.kept.option;
        Failure::fault(format!("{option}: this is not an address of {database}"))
    }

    /// A connection to PostgreSQL, which is made when it is needed.
    #[cfg(feature = "store")]
    pub(crate) fn postgres(&self, address: &str) -> Result<PgPool, Failure> {
        let options: PgConnectOptions =
            address.parse().map_err(|_| self.not_an_address("PostgreSQL"))?;
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(LONGEST);
        Ok(pool.connect_lazy_with(options))
    }

    /// A file of SQLite, which is opened when it is needed, and is not made.
    #[cfg(feature = "store")]
    pub(crate) fn sqlite(&self, address: &str, access: Access) -> Result<SqlitePool, Failure> {
        let options: SqliteConnectOptions =
            address.parse().map_err(|_| self.not_an_address("SQLite"))?;
        let options = options.create_if_missing(false).read_only(access == Access::Read);
        let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(LONGEST);
        Ok(pool.connect_lazy_with(options))
    }
}

/// The longest that a connection is waited for: as long as a store may take.
#[cfg(feature = "store")]
const LONGEST: core::time::Duration = core::time::Duration::from_secs(10);

impl TableOptions {
    /// Refuses names of tables that the store of this address does not have.
    pub(crate) fn check(&self, address: &Address, kept: &Kept) -> Result<(), Failure> {
        let what = kept.what;
        match address {
            Address::Path(_) if self.table_prefix.is_some() || self.table_schema.is_some() => {
                Err(Failure::fault(format!(
                    "--table-prefix and --table-schema are for {what} in a database"
                )))
            }
            Address::Sqlite(_) if self.table_schema.is_some() => {
                Err(Failure::fault(format!("--table-schema is for {what} in PostgreSQL")))
            }
            _ => Ok(()),
        }
    }

    /// The store, whose tables begin with the prefix that was said.
    #[cfg(feature = "store")]
    pub(crate) fn prefixed<S>(
        &self,
        store: S,
        prefixed: impl FnOnce(S, &str) -> Result<S, NameFault>,
    ) -> Result<S, Failure> {
        named("--table-prefix", self.table_prefix.as_deref(), store, prefixed)
    }

    /// The store, whose tables stand in the schema that was said.
    #[cfg(feature = "store")]
    pub(crate) fn in_schema<S>(
        &self,
        store: S,
        in_schema: impl FnOnce(S, &str) -> Result<S, NameFault>,
    ) -> Result<S, Failure> {
        named("--table-schema", self.table_schema.as_deref(), store, in_schema)
    }
}

#[cfg(feature = "store")]
fn named<S>(
    option: &str,
    said: Option<&str>,
    store: S,
    named: impl FnOnce(S, &str) -> Result<S, NameFault>,
) -> Result<S, Failure> {
    match said {
        Some(name) => {
            named(store, name).map_err(|fault| Failure::fault(format!("{option}: {fault}")))
        }
        None => Ok(store),
    }
}

/// `what` needs databases, which are not built in.
#[cfg(not(feature = "store"))]
pub(crate) fn without_feature(option: &str, what: &str) -> Failure {
    Failure::fault(format!(
        "{option}: this command was built without the feature `store`, which {what} needs: install it with `cargo install --path crates/portcullis-cli --features store`, by Rust 1.94 or later"
    ))
}
