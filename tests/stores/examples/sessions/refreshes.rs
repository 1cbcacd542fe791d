//! How many refreshes a second a database takes, beside what it takes of the bare statements.
//!
//! A refresh here is a whole one: the token is read, its session is read, an access token is signed (ES256), and another refresh
//! token takes the place of the first, on the disk. Sessions are made old between rounds. The bare statements are the reading and
//! the change of a refresh, as the store does them, in the same database, in between: by `pgbench` on PostgreSQL, by sqlx on
//! SQLite, which has no such program.
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis::Revocations;
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{RefreshRequest, RefreshToken, Sessions};
use portcullis_stores_tests::{Cluster, Database, SessionsIn, login_issuer, sessions};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::task::JoinSet;

use crate::{LATER, ROUNDS, SESSIONS, median};

const AT_ONCE: [usize; 2] = [1, 8];

/// A reading and a change, as the store does them.
const BARE: &str = "\
\\set n random(1, 400)
BEGIN READ ONLY;
SELECT s.version, t.*, coalesce(v.version, 0) FROM portcullis_schema AS s \
LEFT JOIN portcullis_sessions AS t ON t.issuer = 'bare' AND t.id = decode(md5(:n::text), 'hex') \
LEFT JOIN portcullis_subjects AS v ON v.issuer = 'bare' AND v.subject = t.subject;
COMMIT;
BEGIN;
UPDATE portcullis_sessions SET version = version + 1, generation = generation + 1, current_hash = sha256('a'), \
previous_hash = current_hash, salt = decode(md5('a'), 'hex'), rotated_at = 1, idle_until = 4000000000000, mac = sha256('b') \
WHERE issuer = 'bare' AND id = decode(md5(:n::text), 'hex') AND ended_at IS NULL;
COMMIT;
";

const ROWS: &str = "\
INSERT INTO portcullis_sessions SELECT 'bare', decode(md5(n::text), 'hex'), 'user ' || n, 'web', n, 4000000000000, '{}', \
NULL, sha256(''), 0, 1, 0, sha256(''), NULL, NULL, n, 4000000000000, NULL, NULL FROM generate_series(1, 400) AS n";

const SQLITE_ROWS: &str = "\
WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 399) \
INSERT INTO portcullis_sessions SELECT 'bare', CAST(printf('%016d', n) AS BLOB), 'user ' || n, 'web', n, \
4000000000000, '{}', NULL, zeroblob(32), 0, 1, 0, zeroblob(32), NULL, NULL, n, 4000000000000, NULL, NULL FROM numbers";

async fn begin(sessions: &Sessions) -> Vec<RefreshToken> {
    let mut tokens = Vec::new();
    for user in 0..SESSIONS {
        let attempt = sessions.attempt(format!("user {user}")).await.expect("an attempt");
        tokens.push(sessions.begin(attempt.succeeded("web")).await.expect("a session").refresh);
    }
    tokens
}

/// Refreshes each session once, so many at a time. How long that took.
async fn round(sessions: &Sessions, tokens: &mut [RefreshToken], at_once: usize) -> Duration {
    let share = tokens.len().div_ceil(at_once);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for (at, part) in tokens.chunks(share).enumerate() {
        let (sessions, mut part) = (sessions.clone(), part.to_vec());
        tasks.spawn(async move {
            for token in &mut part {
                let request = RefreshRequest::new(token.as_str(), "web");
                let refreshed = sessions.refresh(&request).await.expect("goes on");
                let next = refreshed.refresh.expect("another token");
                *token = next;
            }
            (at, part)
        });
    }
    let parts = tasks.join_all().await;
    let took = start.elapsed();
    for (at, part) in parts {
        for (place, token) in tokens[at * share..].iter_mut().zip(part) {
            *place = token;
        }
    }
    took
}

/// Transactions a second of the bare statements.
fn bare(socket: &Path, database: &str, at_once: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("bare.sql");
    std::fs::write(&script, BARE).expect("room");
    let programs = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL");
    let mut programs: Vec<_> = programs.filter_map(Result::ok).map(|it| it.path()).collect();
    programs.sort();
    let program = programs.last().expect("PostgreSQL").join("bin/pgbench");
    let count = (SESSIONS / at_once).to_string();
    let clients = at_once.to_string();
    let done = Command::new(program)
        .args(["-n", "-M", "extended", "-c", &clients, "-j", "1", "-t", &count, "-U", "postgres"])
        .arg("-h")
        .arg(socket.parent().expect("a folder"))
        .arg("-f")
        .arg(&script)
        .arg(database)
        .output()
        .expect("pgbench");
    let said = String::from_utf8_lossy(&done.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let number = line.and_then(|line| line.split(' ').next()).and_then(|it| it.parse().ok());
    number.unwrap_or_else(|| panic!("{said}{}", String::from_utf8_lossy(&done.stderr)))
}

/// The same in SQLite, for each row once.
async fn sqlite_bare(pool: &SqlitePool, at_once: usize) -> Duration {
    let numbers: Vec<usize> = (0..SESSIONS).collect();
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for part in numbers.chunks(SESSIONS.div_ceil(at_once)) {
        let (pool, part) = (pool.clone(), part.to_vec());
        tasks.spawn(async move {
            for number in part {
                let id = format!("{number:016}").into_bytes();
                sqlite_statements(&pool, &id).await.expect("good SQL");
            }
        });
    }
    tasks.join_all().await;
    start.elapsed()
}

async fn sqlite_statements(pool: &SqlitePool, id: &[u8]) -> Result<(), sqlx::Error> {
    let read = "SELECT s.version, t.*, coalesce(v.version, 0) FROM portcullis_schema AS s \
        LEFT JOIN portcullis_sessions AS t ON t.issuer = 'bare' AND t.id = ?1 \
        LEFT JOIN portcullis_subjects AS v ON v.issuer = 'bare' AND v.subject = t.subject";
    sqlx::query(read).bind(id).fetch_one(pool).await?;
    let change = "UPDATE portcullis_sessions SET version = version + 1, generation = generation + 1, \
        current_hash = ?2, previous_hash = current_hash, salt = ?3, rotated_at = 1, idle_until = 4000000000000, mac = ?2 \
        WHERE issuer = 'bare' AND id = ?1 AND ended_at IS NULL";
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let change = sqlx::query(change).bind(id).bind(&[7; 32][..]).bind(&[7; 16][..]);
    let changed = change.execute(&mut *transaction).await?;
    assert_eq!(changed.rows_affected(), 1);
    transaction.commit().await
}

#[expect(clippy::cast_precision_loss, reason = "hundreds")]
fn a_second(took: Duration) -> f64 {
    SESSIONS as f64 / took.as_secs_f64()
}

async fn over(database: &Database) -> Sessions {
    database.ring().await;
    let issuer = login_issuer(MemoryRing::new(), Revocations::in_memory()).await;
    let store = SessionsIn::open(&database.url).await;
    sessions(&issuer.expect("an issuer"), store).await.expect("sessions")
}

/// Prints the table.
pub(crate) async fn print() {
    println!("| database | at once | refreshes a second | bare statements a second | of these |");
    println!("|---|---:|---:|---:|---:|");
    let postgres = Database::postgres().await;
    let sessions = over(&postgres).await;
    postgres.sql(ROWS).await;
    let mut tokens = begin(&sessions).await;
    let name = postgres.url.trim_start_matches("postgres:///");
    let name = name.split('?').next().expect("a name").to_owned();
    let socket = Cluster::shared().await.socket();
    for at_once in AT_ONCE {
        let (mut ours, mut bares) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            postgres.sql(LATER).await;
            ours.push(a_second(round(&sessions, &mut tokens, at_once).await));
            bares.push(bare(&socket, &name, at_once));
        }
        row("PostgreSQL", at_once, ours, bares);
    }
    let sqlite = Database::sqlite_with(sqlx::sqlite::SqliteJournalMode::Wal).await;
    let sessions = over(&sqlite).await;
    sqlite.sql(SQLITE_ROWS).await;
    let mut tokens = begin(&sessions).await;
    let options: SqliteConnectOptions = sqlite.url.parse().expect("a URL");
    let options = options.busy_timeout(Duration::from_secs(60));
    let pool = SqlitePoolOptions::new().max_connections(8).connect_with(options).await;
    let pool = pool.expect("a file");
    for at_once in AT_ONCE {
        let (mut ours, mut bares) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            sqlite.sql(LATER).await;
            ours.push(a_second(round(&sessions, &mut tokens, at_once).await));
            bares.push(a_second(sqlite_bare(&pool, at_once).await));
        }
        row("SQLite (WAL, FULL)", at_once, ours, bares);
    }
}

fn row(database: &str, at_once: usize, ours: Vec<f64>, bares: Vec<f64>) {
    let (ours, bares) = (median(ours), median(bares));
    let share = 100.0 * ours / bares;
    println!("| {database} | {at_once} | {ours:.0} | {bares:.0} | {share:.0} % |");
}
