//! Rings in PostgreSQL.
//!
//! # What the server has to be
//!
//! Tested with PostgreSQL 15.
//!
//! - **The primary.** A replica is refused at each reading: what it says is old, and it takes no change.
//! - **Behind PgBouncer, in any of its modes but *statement*.** Each call is one transaction, with settings of its own
//!   transaction alone and without named statements. sqlx asks for a startup parameter that PgBouncer refuses: leave it out
//!   by `PgConnectOptions::extra_float_digits(None)`, or list `extra_float_digits` in `ignore_startup_parameters`.
//!
//! An instance that hangs in the middle of a change is cut off by the server after the [deadline](PostgresRing::deadline), so
//! that others can change the ring.
//!
//! Each change is on the disk of the server before it counts, also where `synchronous_commit` is `off`. A failover to a replica that
//! lacks the last changes brings back keys that were withdrawn: with `synchronous_commit = remote_apply` and a synchronous
//! replica, none is lost.
//!
//! # Rights
//!
//! [`migrate`](PostgresRing::migrate) creates tables, and needs the rights to. A service needs what [`GRANTS`] lists.
//!
//! # Migrations of one's own
//!
//! [`SCHEMA`] is what `migrate` runs, for who keeps all SQL in one place. A test that calls `migrate` as a user without the
//! right to create tables fails where a release needs another [version](crate::SCHEMA_VERSION) of them.
use core::fmt;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

use portcullis_issuer::StoreTime;
use portcullis_issuer::store::{LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, Row as _};

use crate::call::{DEADLINE, Failure, within};
use crate::columns::{self, KeyColumns, kept_version, lifetime_millis};
use crate::load;
use crate::names::{NameFault, Names};
use crate::schema::Present;

/// The tables, as SQL, for migrations of one's own.
///
/// Put a schema of yours in front of the names, or another prefix into them, and tell [`PostgresRing`] the same.
pub const SCHEMA: &str = include_str!("schema.sql");

/// What the user of a service has to be granted, as SQL, for a user `token_issuer`.
///
/// Where the tables stand in a schema of their own, it needs `USAGE` of that as well. See
/// [`PostgresRing::grants`] for other names.
pub const GRANTS: &str = include_str!("grants.sql");

/// The steps from one version of the tables to the next. Each writes the version that it comes to, and from which one on
/// releases may go on.
const STEPS: [&str; 1] = [SCHEMA];

/// Taken by who changes the tables, until it is done. The letters `portcull`.
const LOCK: i64 = i64::from_be_bytes(*b"portcull");

/// READ COMMITTED, whatever the database's own default: a change is for a version that it names, and so loses rather
/// than fails.
const BEGIN_CHANGE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// What is read beside a ring.
const MORE: &str = "\
    pg_is_in_recovery() AS is_replica, \
    floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint AS now, ";

const VERSIONS: &str =
    "SELECT s.version AS schema_version, s.compatible_from FROM portcullis_schema AS s";

/// The same, where a change begins. One that is not on the disk yet when it is acknowledged is gone after a crash. And an
/// instance that hangs before its change is over, as when its machine is suspended, would keep all others from changing.
/// Both settings end with the transaction.
const VERSIONS_AND_SETTINGS: &str = "\
    SELECT s.version AS schema_version, s.compatible_from, CASE current_setting('synchronous_commit') \
    WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END, \
    set_config('idle_in_transaction_session_timeout', $1, true) FROM portcullis_schema AS s";

const FIRST: &str = "\
    INSERT INTO portcullis_key_ring (issuer, version, longest_lifetime_ms, mac) VALUES ($1, 1, $2, $3) \
    ON CONFLICT DO NOTHING";

const NEXT: &str = "\
    UPDATE portcullis_key_ring SET version = version + 1, longest_lifetime_ms = $2, mac = $3 \
    WHERE issuer = $1 AND version = $4";

const DELETE_KEYS: &str = "DELETE FROM portcullis_keys WHERE issuer = $1";

/// All keys at once: a round trip for each would add up where the database is far.
const INSERT_KEYS: &str = "\
    INSERT INTO portcullis_keys (issuer, key_id, algorithm, public_jwk, seal_id, sealed, signer_key, published_at, \
    signs_from, signs_until, verifies_until, withdrawn_at, is_private_kept, mac) \
    SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::bigint[], \
    $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::boolean[], $14::bytea[])";

/// Rings in PostgreSQL, for any number of instances.
///
/// ```no_run
/// use portcullis_sqlx::PostgresRing;
/// use sqlx::postgres::PgPoolOptions;
///
/// # async fn open() -> Result<PostgresRing, Box<dyn std::error::Error>> {
/// let pool = PgPoolOptions::new()
///     .connect("postgres://orders@db.internal/orders")
///     .await?;
/// let ring = PostgresRing::new(pool).schema("auth")?;
/// ring.migrate().await?; // or SQL of your own: see `postgres::SCHEMA`
/// # Ok(ring) }
/// ```
///
/// Clones are one store. A call that is cut short, by its deadline or because nobody waits for it any more, takes its
/// connection with it: the pool makes another.
#[derive(Clone)]
pub struct PostgresRing {
    pool: PgPool,
    names: Names,
    deadline: Duration,
}

impl PostgresRing {
    /// Keeps rings in the database of this pool. Nothing is asked yet.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, names: Names::default(), deadline: DEADLINE }
    }

    /// The schema that the tables stand in, which has to be there: `auth`.
    ///
    /// If you do not call it: where the connection looks first (`search_path`), which is `public` as a rule.
    ///
    /// # Errors
    ///
    /// It is empty or longer than 63 bytes, has another character than lower-case letters, digits and `_`, or begins with a
    /// digit.
    pub fn schema(mut self, schema: &str) -> Result<Self, NameFault> {
        self.names = self.names.in_schema(schema)?;
        Ok(self)
    }

    /// What the names of the tables begin with: `key_ring`, `keys` and `schema` follow.
    ///
    /// If you do not call it: `portcullis_`.
    ///
    /// # Errors
    ///
    /// It is longer than 32 bytes, has another character than lower-case letters, digits and `_`, or begins with a digit.
    pub fn table_prefix(mut self, prefix: &str) -> Result<Self, NameFault> {
        self.names = self.names.with_prefix(prefix)?;
        Ok(self)
    }

    /// How long a call may take in all: waiting for a connection, making one, and each statement. Then it fails, whatever
    /// the pool and the server do.
    ///
    /// If you do not call it: 5 s. An instance reads its ring once a minute and goes by what it read for ten, so it can
    /// wait for the next time. What took over 10 s is not gone by, so more than that is of no use.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Makes the tables, or changes those of an earlier release. Where they are as they should be, nothing is done, and no
    /// right to create any is needed.
    ///
    /// Any number of processes may call it at once, as when they start. Instances of the release before go on with the new
    /// tables as long as these say that they may.
    ///
    /// # Errors
    ///
    /// The database cannot be asked, the user may not create tables, or the tables are of a later release that this one cannot
    /// go by. Nothing was changed, unless the deadline was over.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        within(self.deadline, async {
            let mut lease = Lease::of(&self.pool).await?;
            self.migrate_on(&mut lease).await?;
            lease.give_back();
            Ok(())
        })
        .await
    }

    /// [`GRANTS`] for this user, with the names of this store.
    pub fn grants(&self, user: &str) -> String {
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

    /// In a transaction, though it is one statement: behind PgBouncer, a statement and its preparation could else reach two
    /// sessions of the server.
    async fn load_on(
        &self,
        connection: &mut PgConnection,
        issuer: &str,
    ) -> Result<LoadedRing, Failure> {
        let mut transaction = connection.begin_with("BEGIN READ ONLY").await?;
        let rows = self
            .query(&load::statement(|column| format!("{column} = $1"), MORE))
            .bind(issuer)
            .fetch_all(&mut *transaction)
            .await;
        let rows = match rows.map_err(Failure::from) {
            Err(failure) if failure.is_of_tables() => {
                transaction.rollback().await?;
                return Err(self.explained(connection, failure).await);
            }
            rows => rows?,
        };
        transaction.commit().await?;
        let first = columns::checked(&rows)?;
        if first.try_get("is_replica")? {
            return Err(StoreError::new(
                "the server is a replica, which may be behind and takes no change: have the pool connect to the primary",
            )
            .into());
        }
        let now = StoreTime::from_millis(first.try_get("now")?);
        load::ring(&rows, now)
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

    async fn swap_on(
        &self,
        connection: &mut PgConnection,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, Failure> {
        let Ok(from) = from.map(kept_version).transpose() else { return Ok(Swap::Lost) };
        let lifetime = lifetime_millis(ring.longest_lifetime)?;
        let keys: Vec<_> = ring.keys.iter().map(KeyColumns::of).collect();
        load::check_written(&ring.mac, &keys)?;
        let mut transaction = connection.begin_with(BEGIN_CHANGE).await?;
        // Not 0, which is for ever.
        let idle = self.deadline.as_millis().clamp(1, 1_000_000).to_string();
        let rows = self.query(VERSIONS_AND_SETTINGS).bind(idle);
        let rows = rows.fetch_all(&mut *transaction).await?;
        columns::checked(&rows)?;
        let change = match from {
            None => self.query(FIRST).bind(issuer).bind(lifetime).bind(&ring.mac),
            Some(version) => {
                self.query(NEXT).bind(issuer).bind(lifetime).bind(&ring.mac).bind(version)
            }
        };
        if change.execute(&mut *transaction).await?.rows_affected() == 0 {
            transaction.rollback().await?;
            return Ok(Swap::Lost);
        }
        self.query(DELETE_KEYS).bind(issuer).execute(&mut *transaction).await?;
        self.insert(issuer, &keys).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(Swap::Done)
    }

    fn insert<'q>(&self, issuer: &'q str, keys: &[KeyColumns]) -> Query<'q> {
        fn column<T>(keys: &[KeyColumns], of: impl Fn(&KeyColumns) -> T) -> Vec<T> {
            keys.iter().map(of).collect()
        }
        self.query(INSERT_KEYS)
            .bind(issuer)
            .bind(column(keys, |key| key.key_id.clone()))
            .bind(column(keys, |key| key.algorithm.clone()))
            .bind(column(keys, |key| key.public_jwk.clone()))
            .bind(column(keys, |key| key.seal_id.clone()))
            .bind(column(keys, |key| key.sealed.clone()))
            .bind(column(keys, |key| key.signer_key.clone()))
            .bind(column(keys, |key| key.published_at))
            .bind(column(keys, |key| key.signs_from))
            .bind(column(keys, |key| key.signs_until))
            .bind(column(keys, |key| key.verifies_until))
            .bind(column(keys, |key| key.withdrawn_at))
            .bind(column(keys, |key| key.is_private_kept))
            .bind(column(keys, |key| key.mac.clone()))
    }

    fn query<'q>(&self, sql: &str) -> Query<'q> {
        query(self.names.put_into(sql))
    }
}

type Query<'q> = sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments>;

/// A text of this crate, whose names were checked. The statement has no name: behind PgBouncer, another session of the
/// server would not know it, or know another by it.
fn query<'q>(sql: impl Into<String>) -> Query<'q> {
    sqlx::query(AssertSqlSafe(sql.into())).persistent(false)
}

impl RingStore for PostgresRing {
    async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        within(self.deadline, async {
            let mut lease = Lease::of(&self.pool).await?;
            let loaded = self.load_on(&mut lease, issuer).await?;
            lease.give_back();
            Ok(loaded)
        })
        .await
    }

    async fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, StoreError> {
        within(self.deadline, async {
            let mut lease = Lease::of(&self.pool).await?;
            let swap = self.swap_on(&mut lease, issuer, from, ring).await?;
            lease.give_back();
            Ok(swap)
        })
        .await
    }
}

impl fmt::Debug for PostgresRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresRing")
            .field("names", &self.names)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// A connection for one call. Where that fails, or is cut short, the connection may be in the middle of an answer or a
/// transaction, or its server may hang: it is closed, and not given back.
struct Lease(Option<PoolConnection<Postgres>>);

impl Lease {
    async fn of(pool: &PgPool) -> Result<Self, Failure> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    fn give_back(mut self) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn grants_name_the_tables_and_the_user_as_they_are_called() {
        let pool = PgPool::connect_lazy("postgres://nobody@localhost/none").expect("an address");
        let ring = PostgresRing::new(pool);
        assert_eq!(ring.grants("token_issuer"), GRANTS.replace("token_issuer", "\"token_issuer\""));
        let ring = ring.schema("auth").and_then(|ring| ring.table_prefix("acme_"));
        let grants = ring.expect("names").grants("web\" app");
        assert_eq!(
            grants.lines().collect::<Vec<_>>(),
            [
                "GRANT USAGE ON SCHEMA \"auth\" TO \"web\"\" app\";",
                "GRANT SELECT ON \"auth\".acme_schema TO \"web\"\" app\";",
                "GRANT SELECT, INSERT, UPDATE ON \"auth\".acme_key_ring TO \"web\"\" app\";",
                "GRANT SELECT, INSERT, DELETE ON \"auth\".acme_keys TO \"web\"\" app\";",
            ]
        );
    }

    /// sqlx goes on trying to connect, until the deadline.
    #[tokio::test(start_paused = true)]
    async fn debug_and_errors_show_no_password() {
        let pool = PgPool::connect_lazy("postgres://nobody:hidden@127.0.0.1:1/none");
        let ring = PostgresRing::new(pool.expect("an address"));
        let error = ring.load("https://id.example").await.expect_err("nobody is there");
        let told = format!("{ring:?} {error} {error:?}");
        assert!(!told.contains("hidden") && told.contains("within 5s"), "{told}");
    }
}
