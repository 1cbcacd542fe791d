//! The database of a store: its tables, and how a call begins.
use core::time::Duration;

use portcullis_issuer::store::StoreError;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    AssertSqlSafe, Connection as _, Row as _, Sqlite, SqliteConnection, SqlitePool, Transaction,
};

use crate::call::{DEADLINE, Failure};
use crate::columns;
use crate::names::Names;
use crate::schema::Present;

/// The steps from one version of the tables to the next. Each writes the version that it comes to, and from which one on
/// releases may go on.
const STEPS: [&str; 2] = [include_str!("schema.sql"), include_str!("sessions.sql")];

/// What `PRAGMA synchronous` is at least.
const FULL: i64 = 2;

/// What every reading begins with: the version of the tables.
pub(super) const SEEN: &str = "s.version AS schema_version, s.compatible_from, ";

const VERSIONS: &str =
    "SELECT s.version AS schema_version, s.compatible_from FROM portcullis_schema AS s";

/// What `$work` comes to, with a connection of the pool, within the deadline.
macro_rules! call {
    ($database:expr, |$connection:ident| $work:expr) => {{
        let database = $database;
        $crate::call::within(database.deadline, async {
            let mut connection = database.pool.acquire().await?;
            let $connection: &mut sqlx::SqliteConnection = &mut connection;
            Ok($work)
        })
        .await
    }};
}

pub(super) use call;

/// The database of a store. Clones are one.
#[derive(Clone)]
pub(super) struct Database {
    pub(super) pool: SqlitePool,
    pub(super) names: Names,
    pub(super) deadline: Duration,
}

impl Database {
    pub(super) fn new(pool: SqlitePool) -> Self {
        Self { pool, names: Names::default(), deadline: DEADLINE }
    }

    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        call!(self, |connection| self.migrate_on(connection).await?)
    }

    async fn migrate_on(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let table = self.names.put_into("portcullis_schema");
        let found = query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1");
        let found = found.bind(table).fetch_optional(&mut *transaction).await?;
        let present = if found.is_some() {
            let rows = self.query(VERSIONS).fetch_all(&mut *transaction).await?;
            columns::present(columns::first(&rows)?)?
        } else {
            Present::NONE
        };
        for step in present.missing(&STEPS) {
            let sql = AssertSqlSafe(self.names.put_into(step));
            sqlx::raw_sql(sql).execute(&mut *transaction).await?;
        }
        let rows = self.query(VERSIONS).fetch_all(&mut *transaction).await?;
        columns::checked(&rows)?;
        transaction.commit().await?;
        Ok(())
    }

    /// What a reading comes to, whose first row says that this release can go by the tables.
    pub(super) async fn read(
        &self,
        connection: &mut SqliteConnection,
        reading: Query<'_>,
    ) -> Result<Vec<SqliteRow>, Failure> {
        check_durability(connection).await?;
        let rows = match reading.fetch_all(&mut *connection).await.map_err(Failure::from) {
            Err(failure) if failure.is_of_tables() => {
                return Err(self.explained(connection, failure).await);
            }
            rows => rows?,
        };
        columns::checked(&rows)?;
        Ok(rows)
    }

    /// Begins a change of tables that this release can go by. At once the one who writes: who becomes it later than it read
    /// fails, however long it waits.
    pub(super) async fn change<'c>(
        &self,
        connection: &'c mut SqliteConnection,
    ) -> Result<Transaction<'c, Sqlite>, Failure> {
        check_durability(connection).await?;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        self.check_tables(&mut transaction).await?;
        Ok(transaction)
    }

    /// Begins a change that is one statement.
    pub(super) async fn change_at_once<'c>(
        &self,
        connection: &'c mut SqliteConnection,
    ) -> Result<Transaction<'c, Sqlite>, Failure> {
        self.change(connection).await
    }

    /// Goes on in a transaction that somebody else began.
    pub(super) async fn enter(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        self.check_tables(connection).await
    }

    /// Looks whether this release can go by the tables.
    async fn check_tables(&self, connection: &mut SqliteConnection) -> Result<(), Failure> {
        let rows = self.query(VERSIONS).fetch_all(connection).await?;
        columns::checked(&rows)?;
        Ok(())
    }

    /// Tables that lack what this release knows: their version says why.
    async fn explained(&self, connection: &mut SqliteConnection, failure: Failure) -> Failure {
        let rows = self.query(VERSIONS).fetch_all(&mut *connection).await;
        let Ok(rows) = rows else { return failure };
        match columns::checked(&rows) {
            Err(why @ Failure::Store(_)) => why,
            Ok(_) | Err(Failure::Sqlx(_)) => failure,
        }
    }

    pub(super) fn query<'q>(&self, sql: &str) -> Query<'q> {
        query(self.names.put_into(sql))
    }
}

pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

/// A text of this crate, whose names were checked.
pub(super) fn query<'q>(sql: impl Into<String>) -> Query<'q> {
    sqlx::query(AssertSqlSafe(sql.into()))
}

/// Whether what is done on this connection is there after a crash: another one of the pool may have other settings.
pub(super) async fn check_durability(connection: &mut SqliteConnection) -> Result<(), Failure> {
    let row = query("PRAGMA main.synchronous").fetch_one(&mut *connection).await?;
    if row.try_get::<i64, _>(0)? < FULL {
        return Err(StoreError::new(
            "`PRAGMA synchronous` is below FULL, and a change would be gone after a loss of power: open the pool with `SqliteSynchronous::Full`",
        )
        .into());
    }
    let row = query("PRAGMA main.journal_mode").fetch_one(&mut *connection).await?;
    let mode: String = row.try_get(0)?;
    let files = query("SELECT file FROM pragma_database_list WHERE name = 'main' AND file <> ''");
    let is_file = files.fetch_optional(&mut *connection).await?.is_some();
    if mode == "off" || (mode == "memory" && is_file) {
        return Err(StoreError::new(format!(
            "`PRAGMA journal_mode` is {mode}, and a crash would leave half of a change: open the pool with `SqliteJournalMode::Wal`"
        ))
        .into());
    }
    Ok(())
}
