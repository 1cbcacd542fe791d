//! Where a ring is kept, as the command line says it, and what is said of it.
#[cfg(feature = "store")]
use portcullis_sqlx::NameFault;

use crate::output::{Failure, shown};

/// Where a ring is kept, as the command line says.
#[derive(clap::Args)]
pub(crate) struct StoreOptions {
    /// Where the ring is kept: a file, postgres://… or sqlite:FILE, or env:NAME for an environment variable that says it. An
    /// address with a password belongs into a variable
    #[arg(long, value_name = "RING")]
    pub(crate) ring: String,

    /// What the names of the tables begin with, if the service says so [default: `portcullis_`]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) table_prefix: Option<String>,

    /// The schema of the tables, if the service says so (PostgreSQL)
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) table_schema: Option<String>,
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

/// What a store is opened for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Access {
    Read,
    Change,
}

/// What `--ring` names.
pub(crate) enum Address {
    Path(String),
    Postgres(String),
    Sqlite(String),
}

impl Address {
    /// An address may have a password in it, and so may stand in a variable.
    pub(crate) fn of(options: &StoreOptions) -> Result<Self, Failure> {
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

/// The longest that a connection is waited for: as long as a store may take.
#[cfg(feature = "store")]
pub(crate) const LONGEST: core::time::Duration = core::time::Duration::from_secs(10);

#[cfg(feature = "store")]
pub(crate) fn not_a_name(what: &str, fault: &NameFault) -> Failure {
    Failure::fault(format!("--table-{what}: {fault}"))
}

/// It may have a password in it, and so is not shown.
#[cfg(feature = "store")]
pub(crate) fn not_an_address(database: &str) -> Failure {
    Failure::fault(format!("--ring: this is not an address of {database}"))
}

#[cfg(not(feature = "store"))]
pub(crate) fn without_feature(database: &str) -> Failure {
    Failure::fault(format!(
        "--ring: this command was built without the feature `store`, which a ring in {database} needs: install it with `cargo install --path crates/portcullis-cli --features store`, by Rust 1.94 or later"
    ))
}
