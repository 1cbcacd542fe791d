//! Instances in processes of their own, at once, and killed at every step.
use std::fs;
use std::path::Path;

use portcullis_stores_tests::{Database, Process, eventually};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

/// How many tasks of each process do the same at once.
const TASKS: usize = 64;

async fn start(database: &Database) -> Process {
    Process::start(Path::new(env!("CARGO_BIN_EXE_store_instance")), &database.url).await
}

async fn three(database: &Database) -> [Process; 3] {
    [start(database).await, start(database).await, start(database).await]
}

/// Has all do it at once.
async fn all(processes: &mut [Process], line: &str) {
    for process in &mut *processes {
        process.tell(line).await;
    }
    for process in processes {
        assert_eq!(process.hear().await, "done", "{line}");
    }
}

async fn show(process: &mut Process) -> Value {
    let shown = process.ask("show").await;
    serde_json::from_str(&shown).unwrap_or_else(|_| panic!("{shown}"))
}

async fn shown(processes: &mut [Process]) -> Vec<Value> {
    let mut all = Vec::new();
    for process in processes {
        all.push(show(process).await);
    }
    all
}

/// What all of them have.
async fn agreed(processes: &mut [Process]) -> Value {
    let mut all = shown(processes).await;
    let last = all.pop().unwrap();
    for other in all {
        assert_eq!(other, last);
    }
    last
}

fn text<'v>(shown: &'v Value, name: &str) -> &'v str {
    shown[name].as_str().unwrap()
}

#[tokio::test]
async fn three_processes_make_the_tables_at_once() {
    for database in [Database::sqlite().await, Database::postgres().await] {
        let mut processes = three(&database).await;
        all(&mut processes, "migrate 8").await;
        assert_eq!(database.number("SELECT count(*) FROM portcullis_schema").await, 1);
        all(&mut processes, "build 1").await;
    }
}

#[tokio::test]
async fn three_processes_with_64_tasks_each_have_one_ring_and_one_signer() {
    for database in Database::each().await {
        let mut processes = three(&database).await;
        all(&mut processes, &format!("build {TASKS}")).await;
        let made = agreed(&mut processes).await;
        assert_eq!((&made["version"], made["keys"].as_array().unwrap().len()), (&1.into(), 2));

        let stolen = text(&made, "signer");
        all(&mut processes, &format!("withdraw {TASKS} {stolen}")).await;
        all(&mut processes, &format!("refresh {TASKS}")).await;
        let after = agreed(&mut processes).await;
        assert_eq!(after["version"], 2, "it was withdrawn once");
        assert_ne!(text(&after, "signer"), stolen);
        assert!(text(&made, "jwks").contains(text(&after, "signer")), "it stood by before");
        assert!(!text(&after, "jwks").contains(stolen));
    }
}

#[tokio::test]
async fn three_processes_rotate_one_ring_in_which_keys_follow_each_other_without_a_gap() {
    for database in Database::each().await {
        let mut processes = three(&database).await;
        all(&mut processes, &format!("build quick {TASKS}")).await;
        let first = show(&mut processes[0]).await;
        // Two turns, with what is erased in between.
        all(&mut processes, &format!("until 6 {TASKS}")).await;
        let mut last = Value::Null;
        eventually("three processes of one reading", async || {
            all(&mut processes, "refresh 1").await;
            let mut shown = Vec::new();
            for process in &mut processes {
                // What was read is too old to be shown after a second.
                shown.push(serde_json::from_str(&process.ask("show").await).unwrap_or(Value::Null));
            }
            last = shown[0].clone();
            !last.is_null() && shown.iter().all(|other| *other == last)
        })
        .await;
        assert_ne!(text(&last, "signer"), text(&first, "signer"));
        let keys = last["keys"].as_array().unwrap();
        assert!(keys.len() >= 3, "{keys:?}");
        for neighbours in keys.windows(2) {
            assert_eq!(neighbours[0]["until"], neighbours[1]["from"], "{keys:?}");
        }
        let [signer, others @ ..] = processes.as_mut_slice() else { panic!("there are three") };
        for process in others {
            // Just before, since it lives for a second or two.
            let token = signer.ask("mint").await;
            all(core::slice::from_mut(process), "refresh 1").await;
            assert_eq!(process.ask(&format!("verify {token}")).await, "accepted");
        }
    }
}

/// A ring of version 1, the key that signs, and an instance that is about to withdraw it.
async fn about_to_withdraw(database: &Database) -> (Process, String) {
    let mut process = start(database).await;
    assert_eq!(process.ask("build 1").await, "done");
    let signer = text(&show(&mut process).await, "signer").to_owned();
    (process, signer)
}

/// Another instance finds a whole ring of this version, and can change it.
async fn is_whole(database: &Database, version: u64, stolen: &str) {
    let mut process = start(database).await;
    assert_eq!(process.ask("build 1").await, "done");
    let found = show(&mut process).await;
    assert_eq!(found["version"], version);
    assert_eq!(text(&found, "signer") == stolen, version == 1);
    assert_eq!(process.ask(&format!("withdraw 1 {stolen}")).await, "done");
    let after = show(&mut process).await;
    assert_eq!(after["version"], 2);
    assert_ne!(text(&after, "signer"), stolen);
}

#[tokio::test]
async fn an_instance_that_is_killed_between_reading_and_changing_changes_nothing() {
    for database in Database::each().await {
        let (mut process, stolen) = about_to_withdraw(&database).await;
        assert_eq!(process.ask("stop read").await, "done");
        assert_eq!(process.ask(&format!("withdraw 1 {stolen}")).await, "stopped");
        process.kill().await;
        is_whole(&database, 1, &stolen).await;
    }
}

#[tokio::test]
async fn a_change_that_was_done_before_its_instance_was_killed_is_there() {
    for database in Database::each().await {
        let (mut process, stolen) = about_to_withdraw(&database).await;
        assert_eq!(process.ask("stop changed").await, "done");
        assert_eq!(process.ask(&format!("withdraw 1 {stolen}")).await, "stopped");
        process.kill().await;
        is_whole(&database, 2, &stolen).await;
    }
}

#[tokio::test]
async fn an_instance_that_is_killed_in_a_transaction_of_postgresql_changes_nothing() {
    let database = Database::postgres().await;
    database.ring().await;
    let (mut process, stolen) = about_to_withdraw(&database).await;
    // The row of the ring can be written, and those of keys cannot.
    let mut holder = sqlx::PgConnection::connect(&database.url).await.unwrap();
    let mut lock = holder.begin().await.unwrap();
    sqlx::query("LOCK TABLE portcullis_keys IN SHARE MODE").execute(&mut *lock).await.unwrap();
    process.tell(&format!("withdraw 1 {stolen}")).await;
    let of_session = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'DELETE FROM portcullis_keys%'";
    let waits = format!("SELECT count(*) {of_session} AND wait_event_type = 'Lock'");
    eventually("in the transaction", async || database.number(&waits).await == 1).await;
    process.kill().await;
    lock.rollback().await.unwrap();
    let is_there = format!("SELECT count(*) {of_session}");
    eventually("given up", async || database.number(&is_there).await == 0).await;
    is_whole(&database, 1, &stolen).await;
}

#[tokio::test]
async fn an_instance_that_is_killed_in_a_commit_of_sqlite_changes_nothing() {
    let database = Database::sqlite().await;
    database.ring().await;
    let (mut process, stolen) = about_to_withdraw(&database).await;
    // Who reads holds up a commit.
    let options: SqliteConnectOptions = database.url.parse().unwrap();
    let mut reader = options.connect().await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    let read = "SELECT count(*) FROM portcullis_keys";
    sqlx::query(read).execute(&mut *reading).await.unwrap();
    process.tell(&format!("withdraw 1 {stolen}")).await;
    // The lock of who has written all, and waits for those who read: `PENDING_BYTE` of the file's format.
    let id = process.id().to_string();
    eventually("in the commit", async || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            matches!(fields[..], [_, "POSIX", _, "WRITE", of, _, "1073741824", _] if of == id)
        })
    })
    .await;
    process.kill().await;
    reading.rollback().await.unwrap();
    is_whole(&database, 1, &stolen).await;
}
