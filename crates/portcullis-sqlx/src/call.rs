//! One call of a store: its deadline, and why it failed.
use core::future::Future;
use core::time::Duration;

use portcullis_issuer::store::StoreError;
use tokio::time::timeout;

/// How long a call may take where nobody said otherwise.
///
/// An instance reads its ring once a minute and goes by what it read for ten, so that a database that answers in seconds
/// is as good as one that is away. What is not answered after ten seconds is not believed anyway.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database, or the way to it.
    Sqlx(sqlx::Error),
    /// What it said.
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sqlx(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sqlx(error) => Self::new(reason(&error)),
            Failure::Store(error) => error,
        }
    }
}

impl Failure {
    /// Whether the tables are not there, or not those that this release knows.
    pub(crate) fn is_of_tables(&self) -> bool {
        match self {
            Self::Sqlx(sqlx::Error::Database(error)) => {
                is_no_table(&**error) || is_no_column(&**error)
            }
            Self::Sqlx(_) | Self::Store(_) => false,
        }
    }
}

/// Waits for `work` as long as a call may take, for a connection as well.
pub(crate) async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, Failure>> + Send,
) -> Result<T, StoreError> {
    match timeout(deadline, work).await {
        Ok(done) => done.map_err(StoreError::from),
        Err(_) => Err(StoreError::new(format!(
            "the database did not answer within {deadline:?}, or the pool had no connection free: look whether it is up, and what holds its connections; what was to be changed may have been"
        ))),
    }
}

/// What logs say. The database's own words are shown: its messages name tables and constraints; values stand in the
/// details, which are left out.
fn reason(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(error) if is_no_table(&**error) => format!(
            "the tables are not there: call `migrate` once, or run the SQL of `SCHEMA`, and look whether schema and prefix are those of the tables ({})",
            error.message()
        ),
        sqlx::Error::Database(error) if error.code().as_deref() == Some("3F000") => {
            format!("the schema is not there: create it first ({})", error.message())
        }
        sqlx::Error::Database(error) if is_no_column(&**error) => format!(
            "the tables are not those of this release: call `migrate` once ({})",
            error.message()
        ),
        sqlx::Error::Database(error) if error.code().as_deref() == Some("42501") => format!(
            "the database user may not do this: grant what `GRANTS` lists ({})",
            error.message()
        ),
        sqlx::Error::Database(error) => match error.code() {
            Some(code) => format!("the database says {code}: {}", error.message()),
            None => format!("the database says: {}", error.message()),
        },
        sqlx::Error::PoolTimedOut => {
            "the pool had no connection free in its own time: give it more connections, or look why they are held".to_owned()
        }
        sqlx::Error::PoolClosed => "the pool was closed".to_owned(),
        sqlx::Error::Io(error) => format!("the connection to the database: {error}"),
        sqlx::Error::ColumnDecode { index, .. } | sqlx::Error::ColumnNotFound(index) => format!(
            "the column {index} is not as this release writes it: look who else changed the tables"
        ),
        // Others may have what was in an address, such as a password.
        _ => "the pool cannot connect, or does not understand the database: look at its options".to_owned(),
    }
}

/// PostgreSQL's `undefined_table`. SQLite has one code for all errors of SQL, and a text.
fn is_no_table(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().as_deref() == Some("42P01") || error.message().starts_with("no such table")
}

/// PostgreSQL's `undefined_column`.
fn is_no_column(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().as_deref() == Some("42703") || error.message().starts_with("no such column")
}
