//! The database of a store: its tables, its connections, and how a call begins and ends.
use core::ops::{Deref, DerefMut};
use core::time::Duration;

use portcullis_issuer::store::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, Row as _, Transaction};

use super::GRANTS;
use crate::call::{DEADLINE, Failure};
use crate::columns;
use crate::names::Names;
use crate::schema::Present;

/// The steps from one version of the tables to the next. Each writes the version that it comes to, and from which one on
/// releases may go on.
const STEPS: [&str; 2] = [include_str!("schema.sql"), include_str!("sessions.sql")];

/// Taken by who changes the tables, until it is done. The letters `portcull`.
const LOCK: i64 = i64::from_be_bytes(*b"portcull");

/// READ COMMITTED, whatever the database's own default: a change is for a version that it names, and so loses rather
/// than fails.
const BEGIN_CHANGE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// What every reading begins with: the version of the tables, whether the server is a replica, and its clock. That is of when the
/// server was told to execute what it had prepared and bound, and so of no time before the moment that the reading shows.
pub(super) const SEEN: &str = "\
    s.version AS schema_version, s.compatible_from, pg_is_in_recovery() AS is_replica, \
    floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint AS now, ";

const VERSIONS: &str =
    "SELECT s.version AS schema_version, s.compatible_from FROM portcullis_schema AS s";

/// The same, where a change begins. One that is not on the disk yet when it is acknowledged is gone after a crash. And an
/// instance that hangs before its change is over, as when its machine is suspended, would keep all others from changing.
/// Both settings end with the transaction.
const VERSIONS_AND_SETTINGS: &str = "\
    SELECT s.version AS schema_version, s.compatible_from, CASE current_setting('synchronous_commit') \
    WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END, \
    set_config('idle_in_transaction_session_timeout', \
    coalesce($1, current_setting('idle_in_transaction_session_timeout')), true) FROM portcullis_schema AS s";

/// What `$work` comes to, with a connection of its own, within the deadline.
macro_rules! call {
    ($database:expr, |$connection:ident| $work:expr) => {{
        let database = $database;
        $crate::call::within(database.deadline, async {
            let mut lease = $crate::postgres::database::Lease::of(&database.pool).await?;
            let $connection: &mut sqlx::PgConnection = &mut lease;
            let done = $work;
            lease.give_back();
            Ok(done)
        })
        .await
    }};
}

pub(super) use call;

/// The database of a store. Clones are one.
#[derive(Clone)]
pub(super) struct Database {
    pub(super) pool: PgPool,
    pub(super) names: Names,
    pub(super) deadline: Duration,
}

impl Database {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool, names: Names::default(), deadline: DEADLINE }
    }

    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        call!(self, |connection| self.migrate_on(connection).await?)
    }

    /// [`GRANTS`] for this user, with the names of this store.
    pub(super) fn grants(&self, user: &str) -> String {
        let user = format!("\"{}\"", user.replace('"', "\"\""));
        let usage = self.names.schema();
        let usage = usage.map(|schema| format!("GRANT USAGE ON SCHEMA \"{schema}\" TO {user};\n"));
        let grants = GRANTS.replace("token_issuer", &user);
        format!("{}{}", usage.unwrap_or_default(), self.names.put_into(&grants))
    }

    async fn migrate_on(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let mut transaction = connection.begin_with(BEGIN_CHANGE).await?;
        // Until the transaction ends, so that it is of no session, and no crash leaves it behind.
        query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
        let table = self.names.put_into("portcullis_schema");
        let is_there = query("SELECT to_regclass($1) IS NOT NULL AS is_there").bind(table);
        let present = if is_there.fetch_one(&mut *transaction).await?.try_get("is_there")? {
            let rows = self.query(VERSIONS).fetch_all(&mut *transaction).await?;
            columns::present(columns::first(&rows)?)?
        } else {
            Present::NONE
        };
        for step in present.missing(&STEPS) {
            // Statements one after another, which only the simple protocol takes.
            let sql = AssertSqlSafe(self.names.put_into(step));
            sqlx::raw_sql(sql).execute(&mut *transaction).await?;
        }
        let rows = self.query(VERSIONS).fetch_all(&mut *transaction).await?;
        columns::checked(&rows)?;
        transaction.commit().await?;
        Ok(())
    }

    /// What a reading comes to, whose first row says that this release can go by the tables, and that the server is the
    /// primary.
    ///
    /// In a transaction, though it is one statement: behind PgBouncer, a statement and its preparation could else reach two
    /// sessions of the server.
    pub(super) async fn read(
        &self,
        connection: &mut PgConnection,
        reading: Query<'_>,
    ) -> Result<Vec<PgRow>, Failure> {
        let mut transaction = connection.begin_with("BEGIN READ ONLY").await?;
        let rows = match reading.fetch_all(&mut *transaction).await.map_err(Failure::from) {
            Err(failure) if failure.is_of_tables() => {
                transaction.rollback().await?;
                return Err(self.explained(connection, failure).await);
            }
            rows => rows?,
        };
        transaction.commit().await?;
        if columns::checked(&rows)?.try_get("is_replica")? {
            return Err(StoreError::new(
                "the server is a replica, which may be behind and takes no change: have the pool connect to the primary",
            )
            .into());
        }
        Ok(rows)
    }

    /// Begins a change of tables that this release can go by.
    pub(super) async fn change<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, Failure> {
        let mut transaction = connection.begin_with(BEGIN_CHANGE).await?;
        self.prepare(&mut transaction, Some(self.idle())).await?;
        Ok(transaction)
    }

    /// Begins a change that is one statement. It has the settings of a change itself: each costs a round trip. What it is made
    /// for was read just now, by tables that this release can go by.
    pub(super) async fn change_at_once<'c>(
        &self,
        connection: &'c mut PgConnection,
    ) -> Result<Transaction<'c, Postgres>, Failure> {
        Ok(connection.begin_with(BEGIN_CHANGE).await?)
    }

    /// Looks whether this release can go by the tables, and has the transaction be on the disk before it counts. `idle` is
    /// how long it may hang; `None`: as long as whoever began it said.
    async fn prepare(
        &self,
        connection: &mut PgConnection,
        idle: Option<String>,
    ) -> Result<(), Failure> {
        let rows = self.query(VERSIONS_AND_SETTINGS).bind(idle).fetch_all(connection).await?;
        columns::checked(&rows)?;
        Ok(())
    }

    /// Goes on in a transaction that somebody else began.
    pub(super) async fn enter(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        self.prepare(connection, None).await
    }

    /// How long a transaction of this store may hang, in milliseconds. Not 0, which is for ever.
    fn idle(&self) -> String {
        self.deadline.as_millis().clamp(1, 1_000_000).to_string()
    }

    pub(super) fn query<'q>(&self, sql: &str) -> Query<'q> {
        query(self.names.put_into(sql))
    }

    /// Tables that lack what this release knows: their version says why.
    async fn explained(&self, connection: &mut PgConnection, failure: Failure) -> Failure {
        let Ok(mut transaction) = connection.begin_with("BEGIN READ ONLY").await else {
            return failure;
        };
        let rows = self.query(VERSIONS).fetch_all(&mut *transaction).await;
        let Ok(rows) = rows else { return failure };
        match columns::checked(&rows) {
            Err(why @ Failure::Store(_)) => why,
            Ok(_) | Err(Failure::Sqlx(_)) => failure,
        }
    }
}

pub(super) type Query<'q> = sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments>;

/// A text of this crate, whose names were checked. The statement has no name: behind PgBouncer, another session of the
/// server would not know it, or know another by it.
pub(super) fn query<'q>(sql: impl Into<String>) -> Query<'q> {
    sqlx::query(AssertSqlSafe(sql.into())).persistent(false)
}

/// A connection for one call. Where that fails, or is cut short, the connection may be in the middle of an answer or a
/// transaction, or its server may hang: it is closed, and not given back.
pub(super) struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    pub(super) async fn of(pool: &PgPool) -> Result<Self, Failure> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    pub(super) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("it is taken only by who takes the lease as well")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("it is taken only by who takes the lease as well")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}
