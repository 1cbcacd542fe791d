//! What is of PostgreSQL alone: users, replicas, servers that hang, tables of other releases.
use std::future::Future;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use portcullis_issuer::store::{RingStore, StoreError, StoredRing, Swap};
use portcullis_sqlx::{PostgresRing, SCHEMA_VERSION};
use portcullis_stores_tests::{Cluster, Database, Door, ISSUER, eventually, issuer, mint, signer};
use portcullis_testkit::ring_store::conforms;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::task::JoinSet;

/// How many calls are made at once of a database that does not answer.
const CALLS: usize = 40;

const DEADLINE: Duration = Duration::from_secs(1);

/// A pool in a database of its own, with tables.
async fn pool() -> PgPool {
    let cluster = Cluster::shared().await;
    let pool = cluster.pool(&cluster.database().await).await;
    PostgresRing::new(pool.clone()).migrate().await.unwrap();
    pool
}

async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

async fn refused(ring: &PostgresRing) -> String {
    ring.load(ISSUER).await.expect_err("it cannot be read").reason
}

/// Each of many calls at once fails by itself, within the deadline and a second.
pub(crate) async fn all_fail_in_time<F, T>(call: impl Fn() -> F)
where
    F: Future<Output = Result<T, StoreError>> + Send + 'static,
    T: Send + 'static,
{
    let (start, mut calls) = (Instant::now(), JoinSet::new());
    for _ in 0..CALLS {
        let call = call();
        calls.spawn(async move { (call.await.is_err(), start.elapsed()) });
    }
    for (is_err, took) in calls.join_all().await {
        assert!(is_err);
        assert!(took < DEADLINE + Duration::from_secs(1), "{took:?}");
    }
}

fn load<S: RingStore + Clone>(
    ring: &S,
) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
    let ring = ring.clone();
    async move { ring.load(ISSUER).await.map(drop) }
}

/// The server waits for a lock where it plans the reading: it got the question before the ring is changed, and looks at it
/// after.
#[tokio::test(flavor = "multi_thread")]
async fn the_clock_of_a_reading_is_not_before_what_was_changed_while_it_waited() {
    const WAITS: &str = "\
        CREATE FUNCTION waits() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN \
        PERFORM pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1); RETURN true; END $$; \
        ALTER TABLE portcullis_schema RENAME TO tables; \
        CREATE VIEW portcullis_schema AS SELECT * FROM tables WHERE waits()";
    const IS_WAITING: &str = "\
        SELECT count(*) > 0 FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database \
        WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted";
    const CHANGE: &str = "\
        UPDATE portcullis_keys SET published_at = floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint \
        RETURNING published_at";

    let pool = pool().await;
    let ring = PostgresRing::new(pool.clone());
    issuer(ring.clone()).await.unwrap();
    run(&pool, WAITS).await;
    let mut other = pool.acquire().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_lock(1)").execute(&mut *other).await.unwrap();
    let reading = tokio::spawn(async move { ring.load(ISSUER).await.unwrap() });
    eventually("the reading waits", async || {
        sqlx::query_scalar(IS_WAITING).fetch_one(&pool).await.unwrap()
    })
    .await;
    let changed: i64 = sqlx::query_scalar(CHANGE).fetch_one(&mut *other).await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_unlock(1)").execute(&mut *other).await.unwrap();
    let read = reading.await.unwrap();
    for key in read.ring.unwrap().1.keys {
        let published_at = key.times.published_at;
        assert_eq!(published_at.as_millis(), changed, "it reads what was changed");
        assert!(published_at <= read.now, "{published_at} and {}", read.now);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_what_grants_lists_and_no_more_runs_a_ring() {
    let cluster = Cluster::shared().await;
    let name = cluster.database().await;
    let owner = cluster.pool(&name).await;
    run(&owner, "CREATE ROLE \"token app\" LOGIN; CREATE SCHEMA auth").await;
    let of = |pool: PgPool| PostgresRing::new(pool).schema("auth").unwrap();
    let options = cluster.options(&name).username("token app");
    let user = PgPoolOptions::new().max_connections(8).connect_with(options).await.unwrap();

    // It makes no tables, and is told so.
    let error = of(user.clone()).migrate().await.unwrap_err();
    assert!(error.reason.contains("may not do this: grant"), "{error}");
    of(owner.clone()).migrate().await.unwrap();
    let error = refused(&of(user.clone())).await;
    assert!(error.contains("may not do this: grant"), "{error}");

    let grants = of(owner.clone()).grants("token app");
    sqlx::raw_sql(sqlx::AssertSqlSafe(grants)).execute(&owner).await.unwrap();
    conforms(async || of(user.clone()).deadline(Duration::from_secs(60))).await;
    // Where the tables are there, it needs no more right to say so.
    of(user.clone()).migrate().await.unwrap();
    let running = issuer(of(user.clone())).await.unwrap();
    running.refresh().await.unwrap();
    for sql in [
        "DELETE FROM auth.portcullis_key_ring",
        "UPDATE auth.portcullis_keys SET signs_from = 0",
        "UPDATE auth.portcullis_schema SET version = 2",
        "CREATE TABLE auth.mine (id int)",
    ] {
        let error = sqlx::raw_sql(sql).execute(&user).await.unwrap_err();
        let code = error.as_database_error().and_then(|error| error.code()).unwrap();
        assert_eq!(code, "42501", "{sql}");
    }
}

#[tokio::test]
async fn a_replica_is_refused() {
    let cluster = Cluster::start().await;
    let ring = PostgresRing::new(cluster.pool("postgres").await);
    ring.migrate().await.unwrap();
    let primary = issuer(ring.clone()).await.unwrap();
    let standby = cluster.standby().await;
    let replica = PostgresRing::new(standby.pool("postgres").await);
    let told = refused(&replica).await;
    assert!(told.contains("is a replica") && told.contains("the primary"), "{told}");
    let (version, stored) = ring.load(ISSUER).await.unwrap().ring.unwrap();
    assert!(replica.swap(ISSUER, Some(version), &stored).await.is_err());
    assert!(replica.migrate().await.is_err());
    primary.refresh().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_hangs_nobody_who_asks_it_and_tokens_are_signed_on() {
    let cluster = Cluster::start().await;
    let pool = cluster.pool("postgres").await;
    let ring = PostgresRing::new(pool).deadline(DEADLINE);
    ring.migrate().await.unwrap();
    let issuer = issuer(ring.clone()).await.unwrap();
    let keys = issuer.key_set().unwrap();
    let (version, stored) = ring.load(ISSUER).await.unwrap().ring.unwrap();
    let pause = cluster.pause();
    // With connections of before, and with those that are made anew.
    for _ in 0..2 {
        all_fail_in_time(|| load(&ring)).await;
        all_fail_in_time(|| {
            let (ring, stored) = (ring.clone(), stored.clone());
            async move { ring.swap(ISSUER, Some(version), &stored).await }
        })
        .await;
        assert!(issuer.refresh().await.is_err());
        assert!(mint(&issuer).is_ok());
        assert_eq!(issuer.key_set().unwrap(), keys);
    }
    drop(pause);
    eventually("a ring that is read again", async || issuer.refresh().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_accepts_and_never_answers_hangs_nobody() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port);
    let ring = PostgresRing::new(PgPoolOptions::new().connect_lazy_with(options));
    let ring = ring.deadline(DEADLINE);
    all_fail_in_time(|| load(&ring)).await;
    drop(listener);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_pool_hangs_nobody_and_serves_again_once_it_is_not() {
    let pool = pool().await;
    let ring = PostgresRing::new(pool.clone()).deadline(DEADLINE);
    let issuer = issuer(ring.clone()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..pool.options().get_max_connections() {
        held.push(pool.acquire().await.unwrap());
    }
    all_fail_in_time(|| load(&ring)).await;
    assert!(mint(&issuer).is_ok());
    held.clear();
    issuer.refresh().await.unwrap();
}

/// By a pool of one connection, which would be in a transaction that nobody ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_nobody_waits_for_any_more_leaves_nothing_open() {
    let database = Database::postgres().await;
    let pool = PgPoolOptions::new().max_connections(1).connect(&database.url).await.unwrap();
    let ring = PostgresRing::new(pool);
    ring.migrate().await.unwrap();
    let running = issuer(ring.clone()).await.unwrap();
    let (version, stored) = ring.load(ISSUER).await.unwrap().ring.unwrap();

    let mut holder = PgConnection::connect(&database.url).await.unwrap();
    let mut lock = holder.begin().await.unwrap();
    let sql = "LOCK TABLE portcullis_keys IN SHARE MODE";
    sqlx::query(sql).execute(&mut *lock).await.unwrap();
    let sessions = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'DELETE FROM portcullis_keys%'";
    let waits = format!("SELECT count(*) {sessions} AND wait_event_type = 'Lock'");
    tokio::select! {
        biased;
        swap = ring.swap(ISSUER, Some(version), &stored) => panic!("{swap:?}"),
        () = eventually("a change under way", async || database.number(&waits).await == 1) => {}
    }
    // It is read while the session of the change still waits.
    running.refresh().await.unwrap();
    assert_eq!(running.status().unwrap().version, version);
    lock.rollback().await.unwrap();
    let is_there = format!("SELECT count(*) {sessions}");
    eventually("given up", async || database.number(&is_there).await == 0).await;
    running.refresh().await.unwrap();
    assert_eq!(running.status().unwrap().version, version, "it was not done");
    assert_eq!(ring.swap(ISSUER, Some(version), &stored).await, Ok(Swap::Done));
}

/// As one whose machine is suspended after it changed the row of the ring, and before it said that it is done.
#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_hangs_in_a_change_does_not_keep_others_from_changing() {
    let database = Database::postgres().await;
    let pool = async || PgPool::connect(&database.url).await.unwrap();
    let hanging = PostgresRing::new(pool().await).deadline(DEADLINE);
    let other = PostgresRing::new(pool().await).deadline(Duration::from_secs(60));
    other.migrate().await.unwrap();
    let running = issuer(other.clone()).await.unwrap();
    let (version, stored) = other.load(ISSUER).await.unwrap().ring.unwrap();

    let mut holder = PgConnection::connect(&database.url).await.unwrap();
    let mut lock = holder.begin().await.unwrap();
    let sql = "LOCK TABLE portcullis_keys IN SHARE MODE";
    sqlx::query(sql).execute(&mut *lock).await.unwrap();
    let of = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'DELETE FROM portcullis_keys%'";
    let waits = format!("SELECT count(*) {of} AND wait_event_type = 'Lock'");
    let mut change = core::pin::pin!(hanging.swap(ISSUER, Some(version), &stored));
    tokio::select! {
        biased;
        swap = &mut change => panic!("{swap:?}"),
        () = eventually("a change under way", async || database.number(&waits).await == 1) => {}
    }
    lock.rollback().await.unwrap();
    // From here on, nobody goes on with it.
    running.withdraw(&signer(&running)).await.unwrap();
    change.await.unwrap_err();
    running.refresh().await.unwrap();
    assert_eq!(running.status().unwrap().version.0, version.0 + 1);
}

/// The answer to the commit, and with it the connection: nobody can tell what became of it, until the ring is read.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_an_error_and_the_next_reading_shows_it() {
    let cluster = Cluster::shared().await;
    let (door, name) = (Door::to(cluster), cluster.database().await);
    let pool = PgPoolOptions::new().max_connections(1).connect_with(door.options(&name)).await;
    let ring = PostgresRing::new(pool.unwrap());
    ring.migrate().await.unwrap();
    let running = issuer(ring.clone()).await.unwrap();
    let (stolen, (_, stored)) = (signer(&running), ring.load(ISSUER).await.unwrap().ring.unwrap());
    // Of another issuer, by another way.
    let direct = PostgresRing::new(cluster.pool(&name).await);
    let is_done = async || direct.load("other").await.unwrap().ring.is_some();
    door.lose_commits(true);
    let error = ring.swap("other", None, &stored).await.unwrap_err();
    assert!(error.reason.contains("connection"), "{error}");
    eventually("a change that was done", is_done).await;

    // An issuer goes on by what it read, and does nothing twice.
    door.lose_commits(true);
    assert!(running.withdraw(&stolen).await.is_err());
    assert_eq!(signer(&running), stolen);
    door.lose_commits(false);
    running.withdraw(&stolen).await.unwrap();
    assert_ne!(signer(&running), stolen);
}

#[tokio::test]
async fn what_was_done_is_there_after_the_server_crashed() {
    let cluster = Cluster::start().await;
    let ring = PostgresRing::new(cluster.pool("postgres").await);
    ring.migrate().await.unwrap();
    let running = issuer(ring.clone()).await.unwrap();
    let keys = running.key_set().unwrap();
    let mut session = cluster.connect("postgres").await;
    let row = sqlx::query("SELECT pg_backend_pid()").fetch_one(&mut session).await.unwrap();
    cluster.crash(row.get(0));
    eventually("a session that ended", async || session.ping().await.is_err()).await;
    eventually("a ring that is read again", async || running.refresh().await.is_ok()).await;
    assert_eq!(running.key_set().unwrap(), keys);
}

/// As a database whose administrator gave speed for the last second of changes.
#[tokio::test]
async fn a_change_is_on_the_disk_before_it_counts_also_where_the_database_asks_for_less() {
    let pool = pool().await;
    run(
        &pool,
        "CREATE TABLE seen (setting text);
         CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL;
         END $$;
         CREATE TRIGGER look AFTER INSERT ON portcullis_key_ring EXECUTE FUNCTION look();",
    )
    .await;
    for (set, expected) in [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")] {
        let options = (*pool.connect_options()).clone().options([("synchronous_commit", set)]);
        let other = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let ring = PostgresRing::new(other.clone());
        let (longest_lifetime, keys, mac) = (Duration::ZERO, Vec::new(), Vec::new());
        let stored = StoredRing { longest_lifetime, keys, mac };
        assert_eq!(ring.swap(set, None, &stored).await, Ok(Swap::Done));
        let row = sqlx::query("DELETE FROM seen RETURNING setting").fetch_one(&pool).await.unwrap();
        assert_eq!(row.get::<String, _>(0), expected);
        // What was asked for by others on the same connection is as it was.
        let row = sqlx::query("SHOW synchronous_commit").fetch_one(&other).await.unwrap();
        assert_eq!(row.get::<String, _>(0), set);
    }
}

#[tokio::test]
async fn tables_of_a_later_release_serve_if_they_say_so_and_are_refused_if_not() {
    assert_eq!(SCHEMA_VERSION, 2);
    let pool = pool().await;
    let ring = PostgresRing::new(pool.clone());
    let running = issuer(ring.clone()).await.unwrap();
    let (version, stored) = ring.load(ISSUER).await.unwrap().ring.unwrap();
    run(&pool, "ALTER TABLE portcullis_keys ADD COLUMN newer text").await;
    run(&pool, "UPDATE portcullis_schema SET version = 3").await;
    running.refresh().await.unwrap();
    ring.migrate().await.unwrap();
    assert_eq!(ring.swap(ISSUER, Some(version), &stored).await, Ok(Swap::Done));

    // Also where what this release reads is gone.
    run(&pool, "UPDATE portcullis_schema SET compatible_from = 3").await;
    for _ in 0..2 {
        let told = refused(&ring).await;
        assert!(told.contains("have version 3") && told.contains("run the release"), "{told}");
        assert_eq!(ring.migrate().await.unwrap_err().reason, told);
        let swap = ring.swap(ISSUER, Some(version), &stored).await;
        assert_eq!(swap.unwrap_err().reason, told);
        sqlx::raw_sql("ALTER TABLE portcullis_keys RENAME COLUMN sealed TO private")
            .execute(&pool)
            .await
            .ok();
    }
    assert!(mint(&running).is_ok());
}

#[tokio::test]
async fn tables_that_are_missing_or_older_are_told_with_what_to_do() {
    let cluster = Cluster::shared().await;
    let pool = cluster.pool(&cluster.database().await).await;
    let ring = PostgresRing::new(pool.clone());
    let told = refused(&ring).await;
    assert!(told.contains("not there: call `migrate`"), "{told}");
    let elsewhere = ring.clone().schema("nowhere").unwrap();
    assert!(refused(&elsewhere).await.contains("whether schema and prefix are"));
    ring.migrate().await.unwrap();
    run(&pool, "UPDATE portcullis_schema SET version = 0").await;
    let told = refused(&ring).await;
    assert!(told.contains("have version 0") && told.contains("call `migrate`"), "{told}");
    run(&pool, "DELETE FROM portcullis_schema").await;
    assert!(refused(&ring).await.contains("deleted its row"));
}

#[tokio::test]
async fn the_sql_for_migrations_of_ones_own_makes_what_migrate_makes() {
    let cluster = Cluster::shared().await;
    let pool = cluster.pool(&cluster.database().await).await;
    run(&pool, portcullis_sqlx::postgres::SCHEMA).await;
    let ring = PostgresRing::new(pool.clone());
    issuer(ring.clone()).await.unwrap();
    ring.migrate().await.unwrap();
    let row = sqlx::query("SELECT count(*) FROM portcullis_schema").fetch_one(&pool).await;
    assert_eq!(row.unwrap().get::<i64, _>(0), 1);
}
