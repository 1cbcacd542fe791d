//! The users of the service, and the hashes of their passwords.
use std::fmt;
use std::future::Future;

use base64::prelude::*;
use portcullis_issuer::session::EndedAll;
use portcullis_issuer::{EndReason, SessionId};
use sqlx::Row as _;

use crate::database::{Database, PATIENCE};

/// Users stand beside the sessions, so that one transaction changes both.
#[derive(Clone)]
pub(crate) struct Users(Database);

/// `id` is the subject of tokens: a name that stays when the user is renamed, and that nobody has a second time.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS first_party_users (\
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL)";

/// PostgreSQL makes no table twice at once, though it says `IF NOT EXISTS`.
const ONE_AT_A_TIME: &str = "SELECT pg_advisory_xact_lock(1718186598)";

const INSERT: &str = "INSERT INTO first_party_users (id, name, password) VALUES ($1, $2, $3) \
    ON CONFLICT (name) DO NOTHING";
const ID: &str = "SELECT id FROM first_party_users WHERE name = $1";
const NAME: &str = "SELECT name FROM first_party_users WHERE id = $1";
const PASSWORD: &str = "SELECT password FROM first_party_users WHERE id = $1";
const CHANGE: &str = "UPDATE first_party_users SET password = $3 WHERE id = $1 AND password = $2";

/// The users cannot be asked. It has nothing of whom the question was about.
#[derive(Debug)]
pub(crate) struct UsersUnavailable(String);

impl fmt::Display for UsersUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "users cannot be asked for: {}", self.0)
    }
}

impl std::error::Error for UsersUnavailable {}

impl From<sqlx::Error> for UsersUnavailable {
    fn from(error: sqlx::Error) -> Self {
        Self(match error {
            // The server quotes values in its details, and this is its message alone.
            sqlx::Error::Database(error) => error.message().to_owned(),
            other => other.to_string(),
        })
    }
}

impl From<portcullis_issuer::store::StoreError> for UsersUnavailable {
    fn from(error: portcullis_issuer::store::StoreError) -> Self {
        Self(error.reason)
    }
}

/// The same steps in either database: their types differ, and the SQL of this file is common to both.
macro_rules! in_either {
    ($users:expr, |$pool:ident| $steps:expr) => {
        match &$users.0 {
            Database::Sqlite { pool: $pool, .. } => within($steps).await,
            Database::Postgres { pool: $pool, .. } => within($steps).await,
        }
    };
}

async fn within<T>(
    steps: impl Future<Output = Result<T, UsersUnavailable>>,
) -> Result<T, UsersUnavailable> {
    let late = || UsersUnavailable(format!("no answer within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, steps).await.unwrap_or_else(|_| Err(late()))
}

impl Users {
    /// Makes their table, if it is missing.
    pub(crate) async fn open(database: Database) -> Result<Self, UsersUnavailable> {
        let users = Self(database);
        match &users.0 {
            Database::Sqlite { pool, .. } => {
                sqlx::query(TABLE).execute(pool).await?;
            }
            Database::Postgres { pool, .. } => {
                let mut transaction = pool.begin().await?;
                sqlx::query(ONE_AT_A_TIME).execute(&mut *transaction).await?;
                sqlx::query(TABLE).execute(&mut *transaction).await?;
                transaction.commit().await?;
            }
        }
        Ok(users)
    }

    /// Adds a user. Whether the name was free.
    pub(crate) async fn add(&self, name: &str, password: &str) -> Result<bool, UsersUnavailable> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| UsersUnavailable(error.to_string()))?;
        let id = BASE64_URL_SAFE_NO_PAD.encode(id);
        in_either!(self, |pool| async {
            let insert = sqlx::query(INSERT).bind(&id).bind(name).bind(password);
            Ok(insert.execute(pool).await?.rows_affected() > 0)
        })
    }

    /// The id of the user of this name.
    pub(crate) async fn id(&self, name: &str) -> Result<Option<String>, UsersUnavailable> {
        self.text(ID, name).await
    }

    /// The name of the user of this id.
    pub(crate) async fn name(&self, id: &str) -> Result<Option<String>, UsersUnavailable> {
        self.text(NAME, id).await
    }

    /// The hash of the password of the user of this id.
    pub(crate) async fn password(&self, id: &str) -> Result<Option<String>, UsersUnavailable> {
        self.text(PASSWORD, id).await
    }

    async fn text(&self, sql: &'static str, key: &str) -> Result<Option<String>, UsersUnavailable> {
        in_either!(self, |pool| async {
            let row = sqlx::query(sql).bind(key).fetch_optional(pool).await?;
            Ok(row.map(|row| row.try_get(0)).transpose()?)
        })
    }

    /// Puts another password in the place of the one that was checked, and ends all other sessions of the user: both or
    /// neither. `None`: somebody else changed the password first.
    pub(crate) async fn change_password(
        &self,
        issuer: &str,
        id: &str,
        [old, new]: [&str; 2],
        here: SessionId,
    ) -> Result<Option<EndedAll>, UsersUnavailable> {
        const REASON: EndReason = EndReason::CredentialsChanged;
        match &self.0 {
            Database::Sqlite { pool, sessions } => {
                within(async {
                    // It writes after it read: another writer in between would have it fail, and not wait.
                    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                    let change = sqlx::query(CHANGE).bind(id).bind(old).bind(new);
                    if change.execute(&mut *transaction).await?.rows_affected() == 0 {
                        return Ok(None);
                    }
                    let ended =
                        sessions.end_all_in(&mut transaction, issuer, id, Some(here), REASON);
                    let ended = ended.await?;
                    transaction.commit().await?;
                    Ok(Some(ended))
                })
                .await
            }
            Database::Postgres { pool, sessions } => {
                within(async {
                    let mut transaction = pool.begin().await?;
                    let change = sqlx::query(CHANGE).bind(id).bind(old).bind(new);
                    if change.execute(&mut *transaction).await?.rows_affected() == 0 {
                        return Ok(None);
                    }
                    let ended =
                        sessions.end_all_in(&mut transaction, issuer, id, Some(here), REASON);
                    let ended = ended.await?;
                    transaction.commit().await?;
                    Ok(Some(ended))
                })
                .await
            }
        }
    }
}
