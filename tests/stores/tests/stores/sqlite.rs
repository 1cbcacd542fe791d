//! What is of SQLite alone: what a file has to be like, and who holds it.
use std::time::Duration;

use portcullis_issuer::store::RingStore as _;
use portcullis_sqlx::SqliteRing;
use portcullis_stores_tests::{ISSUER, issuer, mint};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::postgres::all_fail_in_time;

const DEADLINE: Duration = Duration::from_secs(1);

/// A file with tables.
struct File {
    folder: TempDir,
}

impl File {
    async fn new() -> Self {
        let file = Self { folder: tempfile::tempdir().unwrap() };
        SqliteRing::new(file.pool(file.options()).await).migrate().await.unwrap();
        file
    }

    fn options(&self) -> SqliteConnectOptions {
        let file = self.folder.path().join("rings.db");
        SqliteConnectOptions::new().filename(file).create_if_missing(true)
    }

    async fn pool(&self, options: SqliteConnectOptions) -> SqlitePool {
        SqlitePoolOptions::new().max_connections(4).connect_with(options).await.unwrap()
    }
}

#[tokio::test]
async fn a_connection_that_would_lose_a_change_with_the_power_is_refused() {
    use SqliteSynchronous::{Extra, Full, Normal, Off};

    let file = File::new().await;
    let ring = SqliteRing::new(file.pool(file.options()).await);
    issuer(ring.clone()).await.unwrap();
    let (version, stored) = ring.load(ISSUER).await.unwrap().ring.unwrap();
    for (synchronous, is_refused) in [(Off, true), (Normal, true), (Full, false), (Extra, false)] {
        let pool = file.pool(file.options().synchronous(synchronous)).await;
        let other = SqliteRing::new(pool);
        let error = other.load(ISSUER).await.err().map(|error| error.reason);
        assert_eq!(error.is_some(), is_refused);
        if let Some(told) = error {
            assert!(told.contains("SqliteSynchronous::Full"), "{told}");
            let swap = other.swap(ISSUER, Some(version), &stored).await;
            assert_eq!(swap.unwrap_err().reason, told);
        }
    }
}

#[tokio::test]
async fn a_connection_that_would_leave_half_of_a_change_is_refused() {
    use SqliteJournalMode::{Delete, Memory, Off, Persist, Truncate, Wal};

    for (journal, is_refused) in [
        (Delete, false),
        (Persist, false),
        (Truncate, false),
        (Wal, false),
        (Memory, true),
        (Off, true),
    ] {
        let file = File::new().await;
        let ring = SqliteRing::new(file.pool(file.options().journal_mode(journal)).await);
        let loaded = ring.load(ISSUER).await;
        assert_eq!(loaded.is_err(), is_refused, "{journal:?}");
        if let Err(error) = loaded {
            assert!(error.reason.contains("SqliteJournalMode::Wal"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_somebody_holds_hangs_nobody_and_tokens_are_signed_on() {
    let file = File::new().await;
    let ring = SqliteRing::new(file.pool(file.options()).await).deadline(DEADLINE);
    let running = issuer(ring.clone()).await.unwrap();
    let (version, stored) = ring.load(ISSUER).await.unwrap().ring.unwrap();
    let mut holder = file.options().connect().await.unwrap();
    let held = holder.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    all_fail_in_time(|| {
        let ring = ring.clone();
        async move { ring.load(ISSUER).await }
    })
    .await;
    all_fail_in_time(|| {
        let (ring, stored) = (ring.clone(), stored.clone());
        async move { ring.swap(ISSUER, Some(version), &stored).await }
    })
    .await;
    assert!(mint(&running).is_ok());
    held.rollback().await.unwrap();
    portcullis_stores_tests::eventually("read again", async || running.refresh().await.is_ok())
        .await;
    assert_eq!(running.status().unwrap().version, version, "no change was done late");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_pool_hangs_nobody_and_serves_again_once_it_is_not() {
    let file = File::new().await;
    let pool = file.pool(file.options()).await;
    let ring = SqliteRing::new(pool.clone()).deadline(DEADLINE);
    let running = issuer(ring.clone()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.acquire().await.unwrap());
    }
    all_fail_in_time(|| {
        let ring = ring.clone();
        async move { ring.load(ISSUER).await }
    })
    .await;
    assert!(mint(&running).is_ok());
    held.clear();
    running.refresh().await.unwrap();
}

#[tokio::test]
async fn tables_of_another_release_are_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = File { folder };
    let pool = file.pool(file.options()).await;
    let ring = SqliteRing::new(pool.clone());
    let refused = async || ring.load(ISSUER).await.expect_err("it cannot be read").reason;
    let run = async |sql: &'static str| sqlx::raw_sql(sql).execute(&pool).await.map(drop).unwrap();
    assert!(refused().await.contains("not there: call `migrate`"));
    ring.migrate().await.unwrap();
    ring.migrate().await.unwrap();
    let running = issuer(ring.clone()).await.unwrap();
    let (version, stored) = ring.load(ISSUER).await.unwrap().ring.unwrap();

    run("ALTER TABLE portcullis_keys ADD COLUMN newer TEXT").await;
    run("UPDATE portcullis_schema SET version = 3").await;
    running.refresh().await.unwrap();
    ring.migrate().await.unwrap();
    run("UPDATE portcullis_schema SET compatible_from = 3").await;
    let told = refused().await;
    assert!(told.contains("have version 3") && told.contains("run the release"), "{told}");
    assert_eq!(ring.migrate().await.unwrap_err().reason, told);
    assert_eq!(ring.swap(ISSUER, Some(version), &stored).await.unwrap_err().reason, told);
    run("ALTER TABLE portcullis_keys RENAME COLUMN sealed TO private").await;
    assert_eq!(refused().await, told);
    run("UPDATE portcullis_schema SET version = 0, compatible_from = 0").await;
    assert!(refused().await.contains("have version 0"));
    run("DELETE FROM portcullis_schema").await;
    assert!(refused().await.contains("deleted its row"));
}

#[tokio::test]
async fn the_sql_for_migrations_of_ones_own_makes_what_migrate_makes() {
    let file = File { folder: tempfile::tempdir().unwrap() };
    let pool = file.pool(file.options()).await;
    sqlx::raw_sql(portcullis_sqlx::sqlite::SCHEMA).execute(&pool).await.unwrap();
    let ring = SqliteRing::new(pool.clone());
    ring.migrate().await.unwrap();
    issuer(ring).await.unwrap();
}

#[tokio::test]
async fn two_prefixes_are_two_stores_in_one_file() {
    let file = File { folder: tempfile::tempdir().unwrap() };
    let pool = file.pool(file.options()).await;
    let of = |prefix: &str| SqliteRing::new(pool.clone()).table_prefix(prefix).unwrap();
    for prefix in ["one_", "two_"] {
        of(prefix).migrate().await.unwrap();
    }
    let one = issuer(of("one_")).await.unwrap();
    assert!(of("two_").load(ISSUER).await.unwrap().ring.is_none());
    let two = issuer(of("two_")).await.unwrap();
    assert_ne!(one.key_set().unwrap(), two.key_set().unwrap());
}

/// The file is locked when the reading begins, so that the ring is changed before it is read.
#[tokio::test]
async fn the_clock_of_a_reading_is_not_before_what_was_changed_while_it_waited() {
    let file = File::new().await;
    let pool = file.pool(file.options()).await;
    issuer(SqliteRing::new(pool.clone())).await.unwrap();
    let ring = SqliteRing::new(file.pool(file.options()).await);
    ring.load(ISSUER).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut *connection).await.unwrap();
    let waiting = ring.clone();
    let reading = tokio::spawn(async move { waiting.load(ISSUER).await.unwrap() });
    // A file does not tell who waits for it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!reading.is_finished());
    let later =
        "UPDATE portcullis_keys SET published_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    sqlx::raw_sql(later).execute(&mut *connection).await.unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut *connection).await.unwrap();
    let read = reading.await.unwrap();
    for key in read.ring.unwrap().1.keys {
        assert!(key.times.published_at <= read.now, "{} and {}", key.times.published_at, read.now);
    }
}
