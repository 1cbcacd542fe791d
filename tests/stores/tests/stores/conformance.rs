//! The public suite of the test kit, for every store that comes with the project.
use std::time::Duration;

use portcullis_issuer::session::MemorySessions;
use portcullis_issuer::store::{FileRing, MemoryRing};
use portcullis_sqlx::{PostgresRing, PostgresSessions, SqliteRing, SqliteSessions};
use portcullis_stores_tests::{Bouncer, Cluster, Database, SessionsIn};
use portcullis_testkit::ring_store::conforms;
use portcullis_testkit::session_store;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteJournalMode, SqlitePoolOptions};

#[tokio::test(flavor = "multi_thread")]
async fn rings_in_memory_conform() {
    let store = MemoryRing::new();
    conforms(async || store.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_in_a_file_conform() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileRing::open(folder.path().join("ring.json")).unwrap();
    conforms(async || store.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_in_sqlite_conform_with_either_journal() {
    for journal in [SqliteJournalMode::Delete, SqliteJournalMode::Wal] {
        let database = Database::sqlite_with(journal).await;
        conforms(async || database.ring().await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_in_the_memory_of_sqlite_conform() {
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let store = SqliteRing::new(pool.connect("sqlite::memory:").await.unwrap());
    let store = store.deadline(Duration::from_secs(60));
    store.migrate().await.unwrap();
    conforms(async || store.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_in_postgresql_conform() {
    let database = Database::postgres().await;
    conforms(async || database.ring().await).await;
}

/// Gives a database settings that a store must not depend on.
async fn with_other_defaults(cluster: &Cluster, name: &str) {
    let owner = cluster.pool(name).await;
    for setting in [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
        "bytea_output = 'escape'",
        "timezone = 'Asia/Kathmandu'",
        "synchronous_commit = off",
    ] {
        let sql = AssertSqlSafe(format!("ALTER DATABASE {name} SET {setting}"));
        sqlx::query(sql).execute(&owner).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_in_a_database_with_other_defaults_conform() {
    let cluster = Cluster::shared().await;
    let name = cluster.database().await;
    with_other_defaults(cluster, &name).await;
    let open =
        async || PostgresRing::new(cluster.pool(&name).await).deadline(Duration::from_secs(60));
    open().await.migrate().await.unwrap();
    conforms(open).await;
}

/// More connections than PgBouncer has to the server, so that every transaction may be of another session.
#[tokio::test(flavor = "multi_thread")]
async fn rings_behind_pgbouncer_in_transaction_mode_conform() {
    let cluster = Cluster::shared().await;
    let (bouncer, name) = (Bouncer::start(cluster).await, cluster.database().await);
    let open = async || {
        // PgBouncer refuses this parameter.
        let options = bouncer.options(&name).extra_float_digits(None);
        let pool = PgPoolOptions::new().max_connections(8).connect_with(options).await.unwrap();
        PostgresRing::new(pool).deadline(Duration::from_secs(60))
    };
    // Tables, too, are made through it.
    open().await.migrate().await.unwrap();
    conforms(open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_under_other_names_conform() {
    let cluster = Cluster::shared().await;
    let pool = cluster.pool(&cluster.database().await).await;
    sqlx::query("CREATE SCHEMA \"user\"").execute(&pool).await.unwrap();
    let open = |prefix: &str| {
        let ring = PostgresRing::new(pool.clone()).schema("user").unwrap();
        ring.table_prefix(prefix).unwrap().deadline(Duration::from_secs(60))
    };
    for prefix in ["acme_", ""] {
        open(prefix).migrate().await.unwrap();
        conforms(async || open(prefix)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_memory_conform() {
    let store = MemorySessions::new();
    session_store::conforms(async || store.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_sqlite_conform_with_either_journal() {
    for journal in [SqliteJournalMode::Delete, SqliteJournalMode::Wal] {
        let database = Database::sqlite_with(journal).await;
        database.ring().await;
        session_store::conforms(async || SessionsIn::open(&database.url).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_the_memory_of_sqlite_conform() {
    let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    let store = SqliteSessions::new(pool.connect("sqlite::memory:").await.unwrap());
    let store = store.deadline(Duration::from_secs(60));
    store.migrate().await.unwrap();
    session_store::conforms(async || store.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_postgresql_conform() {
    let database = Database::postgres().await;
    database.ring().await;
    session_store::conforms(async || SessionsIn::open(&database.url).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_behind_pgbouncer_in_transaction_mode_and_under_other_names_conform() {
    let cluster = Cluster::shared().await;
    let (bouncer, name) = (Bouncer::start(cluster).await, cluster.database().await);
    sqlx::query("CREATE SCHEMA \"user\"").execute(&cluster.pool(&name).await).await.unwrap();
    let open = async || {
        // PgBouncer refuses this parameter.
        let options = bouncer.options(&name).extra_float_digits(None);
        let pool = PgPoolOptions::new().max_connections(8).connect_with(options).await.unwrap();
        let sessions = PostgresSessions::new(pool).schema("user").unwrap();
        sessions.table_prefix("acme_").unwrap().deadline(Duration::from_secs(60))
    };
    open().await.migrate().await.unwrap();
    session_store::conforms(open).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_a_database_with_other_defaults_conform() {
    let cluster = Cluster::shared().await;
    let name = cluster.database().await;
    with_other_defaults(cluster, &name).await;
    let open = async || {
        let sessions = PostgresSessions::new(cluster.pool(&name).await);
        sessions.deadline(Duration::from_secs(60))
    };
    open().await.migrate().await.unwrap();
    session_store::conforms(open).await;
}
