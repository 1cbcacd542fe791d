//! Sessions in processes of their own, at once, and killed at every step.
use std::path::Path;
use std::time::Duration;

use portcullis_fleet_tests::Server;
use portcullis_issuer::EndReason;
use portcullis_redis::{RedisRevocations, StoreTerms};
use portcullis_stores_tests::{Database, ISSUER, Process, SessionsIn, eventually};

/// How many tasks of each process do the same at once.
const TASKS: usize = 64;

async fn start(database: &Database) -> Process {
    let program = Path::new(env!("CARGO_BIN_EXE_store_instance"));
    let mut process = Process::start(program, &database.url).await;
    assert_eq!(process.ask("sessions").await, "done");
    process
}

async fn three(database: &Database) -> [Process; 3] {
    [start(database).await, start(database).await, start(database).await]
}

/// A session that began: its refresh token and its access token.
async fn begin(process: &mut Process) -> (String, String) {
    let said = process.ask("begin").await;
    let (refresh, access) = said.split_once(' ').unwrap_or_else(|| panic!("{said}"));
    (refresh.to_owned(), access.to_owned())
}

/// As much later, for every row.
async fn later(database: &Database, seconds: i64) {
    let millis = seconds * 1000;
    database
        .sql(format!("UPDATE portcullis_sessions SET rotated_at = rotated_at - {millis}"))
        .await;
}

/// What so many tasks of each process come to at once, each different outcome once.
async fn all_go_on(processes: &mut [Process], tasks: usize, token: &str) -> Vec<String> {
    for process in &mut *processes {
        process.tell(&format!("go-on {tasks} {token}")).await;
    }
    let mut outcomes = Vec::new();
    for process in processes {
        outcomes.extend(process.hear().await.split(' ').map(str::to_owned));
    }
    outcomes.sort_unstable();
    outcomes.dedup();
    outcomes
}

async fn version(database: &Database) -> i64 {
    database.number("SELECT version FROM portcullis_sessions").await
}

#[tokio::test]
async fn one_token_at_three_processes_with_64_tasks_each_has_one_successor_and_one_write() {
    for database in Database::each().await {
        let mut processes = three(&database).await;
        let (mut token, _) = begin(&mut processes[0]).await;
        assert_eq!(all_go_on(&mut processes, TASKS, &token).await, ["kept"]);
        assert_eq!(version(&database).await, 1);
        for round in 0..3 {
            later(&database, 61).await;
            let outcomes = all_go_on(&mut processes, TASKS, &token).await;
            let [next] = &outcomes[..] else { panic!("{outcomes:?}") };
            assert!(next.starts_with("pcl_rt_") && *next != token, "{next}");
            assert_eq!(version(&database).await, 2 + round, "one write");
            token = next.clone();
        }
    }
}

#[tokio::test]
async fn a_replay_is_found_by_whichever_process_it_comes_to() {
    for database in Database::each().await {
        let mut processes = three(&database).await;
        let (old, access) = begin(&mut processes[0]).await;
        later(&database, 61).await;
        let new = processes[1].ask(&format!("go-on 1 {old}")).await;
        later(&database, 31).await;
        assert_eq!(all_go_on(&mut processes, TASKS, &old).await, ["replay"]);
        assert_eq!(all_go_on(&mut processes, TASKS, &new).await, ["replay"]);
        for process in &mut processes {
            assert_eq!(process.ask("look").await, "done");
            assert_eq!(process.ask(&format!("check {access}")).await, "refused");
        }
        let ended = "SELECT count(*) FROM portcullis_sessions WHERE end_reason = 6";
        assert_eq!(database.number(ended).await, 1);
    }
}

#[tokio::test]
async fn after_signing_out_no_process_lets_the_session_go_on_however_many_try_at_once() {
    for database in Database::each().await {
        for sign_out in ["sign-out TOKEN", "sign-out-everywhere"] {
            let mut processes = three(&database).await;
            let (token, _) = begin(&mut processes[0]).await;
            later(&database, 61).await;
            let (last, others) = processes.split_last_mut().unwrap();
            for process in &mut *others {
                process.tell(&format!("go-on {TASKS} {token}")).await;
            }
            assert_eq!(last.ask(&sign_out.replace("TOKEN", &token)).await, "done");
            let mut tokens = vec![token];
            for process in others {
                let outcomes = process.hear().await;
                let outcomes = outcomes.split(' ').filter(|it| it.starts_with("pcl_rt_"));
                tokens.extend(outcomes.map(str::to_owned));
            }
            let reason = if sign_out.ends_with("everywhere") {
                "signed_out_everywhere"
            } else {
                "signed_out"
            };
            for token in tokens {
                assert_eq!(all_go_on(&mut processes, 8, &token).await, [reason]);
            }
            database.sql("DELETE FROM portcullis_sessions").await;
        }
    }
}

/// Killed at this step of a refresh, its token goes on at another process.
async fn goes_on_after(stop: &str, writes: i64) {
    for database in Database::each().await {
        let mut process = start(&database).await;
        let (token, _) = begin(&mut process).await;
        later(&database, 61).await;
        assert_eq!(process.ask(stop).await, "done");
        assert_eq!(process.ask(&format!("go-on 1 {token}")).await, "stopped", "{stop}");
        process.kill().await;
        assert_eq!(version(&database).await, 1 + writes, "{stop}");

        let mut other = start(&database).await;
        let next = other.ask(&format!("go-on 8 {token}")).await;
        assert!(next.starts_with("pcl_rt_") && !next.contains(' '), "{stop}: {next}");
        assert_eq!(version(&database).await, 2, "{stop}");
        later(&database, 61).await;
        let next = other.ask(&format!("go-on 1 {next}")).await;
        assert!(next.starts_with("pcl_rt_"), "{stop}: {next}");
    }
}

#[tokio::test]
async fn a_process_that_is_killed_before_it_read_consumes_nothing() {
    goes_on_after("stop before read", 0).await;
}

#[tokio::test]
async fn a_process_that_is_killed_between_reading_and_rotating_consumes_nothing() {
    goes_on_after("stop after read", 0).await;
    goes_on_after("stop before rotate", 0).await;
}

#[tokio::test]
async fn a_process_that_is_killed_before_it_answers_leaves_a_retry_that_is_right() {
    goes_on_after("stop after rotate", 1).await;
}

#[tokio::test]
async fn what_a_killed_process_ended_is_revoked_by_the_others() {
    for database in Database::each().await {
        for sign_out in ["sign-out TOKEN", "sign-out-everywhere"] {
            let mut process = start(&database).await;
            let mut other = start(&database).await;
            let (token, access) = begin(&mut process).await;
            assert_eq!(other.ask(&format!("check {access}")).await, "accepted");
            let call = if sign_out.ends_with("everywhere") { "end_all" } else { "end" };
            assert_eq!(process.ask(&format!("stop after {call}")).await, "done");
            assert_eq!(process.ask(&sign_out.replace("TOKEN", &token)).await, "stopped");
            process.kill().await;
            assert_eq!(other.ask("look").await, "done");
            assert_eq!(other.ask(&format!("check {access}")).await, "refused");
            // One that starts knows it before it does anything.
            let mut started = start(&database).await;
            assert_eq!(started.ask(&format!("check {access}")).await, "refused");
            assert!(!started.ask(&format!("go-on 1 {token}")).await.starts_with("pcl_rt_"));
        }
    }
}

/// A Redis that members of a fleet share, and the terms by which tokens here live.
async fn redis() -> Server {
    let server = Server::durable().await;
    let day = Duration::from_secs(24 * 60 * 60);
    let terms = StoreTerms::new(day).recovery(Duration::from_millis(100));
    RedisRevocations::server(&server.url()).unwrap().initialize(terms).await.unwrap();
    server
}

async fn start_with(database: &Database, redis: &Server) -> Process {
    let program = Path::new(env!("CARGO_BIN_EXE_store_instance"));
    let mut process = Process::start(program, &database.url).await;
    assert_eq!(process.ask(&format!("sessions {}", redis.url())).await, "done");
    process
}

async fn eventually_says(process: &mut Process, line: &str, expected: &str) {
    let what = format!("{expected}: {}", line.split(' ').next().unwrap_or_default());
    eventually(&what, async || process.ask(line).await == expected).await;
}

#[tokio::test]
async fn what_ends_at_one_process_of_a_fleet_is_refused_at_the_others() {
    let database = Database::postgres().await;
    database.ring().await;
    for sign_out in ["sign-out TOKEN", "sign-out-everywhere"] {
        let redis = redis().await;
        let mut one = start_with(&database, &redis).await;
        let mut others = [start_with(&database, &redis).await, start_with(&database, &redis).await];
        let (token, access) = begin(&mut one).await;
        let check = format!("check {access}");
        for other in &mut others {
            eventually_says(other, &check, "accepted").await;
        }
        assert_eq!(one.ask(&sign_out.replace("TOKEN", &token)).await, "done");
        assert_eq!(one.ask(&check).await, "refused", "with the next request");
        for other in &mut others {
            eventually_says(other, &check, "refused").await;
        }
    }
}

#[tokio::test]
async fn a_process_that_is_killed_between_row_and_redis_leaves_it_to_the_others() {
    let database = Database::postgres().await;
    database.ring().await;
    let redis = redis().await;
    let mut one = start_with(&database, &redis).await;
    let mut others = [start_with(&database, &redis).await, start_with(&database, &redis).await];
    let (token, access) = begin(&mut one).await;
    let check = format!("check {access}");
    assert_eq!(one.ask("stop after end").await, "done");
    assert_eq!(one.ask(&format!("sign-out {token}")).await, "stopped");
    one.kill().await;
    eventually_says(&mut others[1], &check, "accepted").await;
    // Either of them looks, and both know.
    assert_eq!(others[0].ask("look").await, "done");
    for other in &mut others {
        eventually_says(other, &check, "refused").await;
    }
}

#[tokio::test]
async fn what_ends_while_redis_is_away_is_refused_once_it_is_back() {
    let database = Database::postgres().await;
    database.ring().await;
    let mut redis = redis().await;
    let mut one = start_with(&database, &redis).await;
    let mut other = start_with(&database, &redis).await;
    let (token, access) = begin(&mut one).await;
    redis.kill();
    let said = one.ask(&format!("sign-out {token}")).await;
    assert!(said.contains("ended, and its access tokens are not revoked yet"), "{said}");
    assert_eq!(one.ask(&format!("go-on 1 {token}")).await, "signed_out");
    redis.restart().await;
    eventually_says(&mut other, "look", "done").await;
    for process in [&mut one, &mut other] {
        eventually_says(process, &format!("check {access}"), "refused").await;
    }
}

/// So many sessions of this issuer, each tenth of which was ended before.
async fn fill(database: &Database, issuer: &str, count: u32) {
    let (id, hash) = if database.url.starts_with("postgres:") {
        ("decode(md5(n::text), 'hex')", "decode(repeat('00', 32), 'hex')")
    } else {
        ("randomblob(16)", "zeroblob(32)")
    };
    let sql = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) \
         INSERT INTO portcullis_sessions SELECT '{issuer}', {id}, 'user ' || n / 3, 'web', n, 4000000000000, '{{}}', \
         NULL, {hash}, 0, 1, 0, {hash}, NULL, NULL, n, 4000000000000, CASE WHEN n % 10 = 0 THEN n END, \
         CASE WHEN n % 10 = 0 THEN 1 END FROM numbers"
    );
    database.sql(sql).await;
}

#[tokio::test]
async fn all_sessions_of_an_issuer_end_in_steps_while_instances_go_on() {
    const OTHER: &str = "https://other.example";
    for database in Database::each().await {
        let mut process = start(&database).await;
        let (token, access) = begin(&mut process).await;
        // Three steps: two that are full, and the rest.
        fill(&database, ISSUER, 2500).await;
        fill(&database, OTHER, 10).await;
        let store = SessionsIn::open(&database.url).await;
        let meanwhile = async {
            for _ in 0..10 {
                begin(&mut process).await;
            }
        };
        let ended = store.end_everything(ISSUER, EndReason::Operator);
        let (ended, ()) = tokio::join!(ended, meanwhile);
        let ended = ended.unwrap();
        // Whether those that began meanwhile are among them is not said.
        assert!((2251..=2261).contains(&ended), "{ended}");
        let count = async |what: &str| {
            let sql = format!("SELECT count(*) FROM portcullis_sessions WHERE {what}");
            database.number(sql).await
        };
        let operator = EndReason::Operator.code();
        assert_eq!(count(&format!("end_reason = {operator}")).await, i64::try_from(ended).unwrap());
        assert_eq!(count(&format!("issuer = '{ISSUER}' AND end_reason = 1")).await, 250);
        assert_eq!(count(&format!("issuer = '{OTHER}' AND ended_at IS NULL")).await, 9);
        // Each is changed once.
        assert_eq!(count("version > 2").await, 0);

        assert_eq!(all_go_on(std::slice::from_mut(&mut process), 1, &token).await, ["operator"]);
        assert_eq!(process.ask("look").await, "done");
        assert_eq!(process.ask(&format!("check {access}")).await, "refused");

        let again = store.end_everything(ISSUER, EndReason::Operator).await.unwrap();
        assert_eq!(again, 2261 - ended);
        assert_eq!(store.end_everything(ISSUER, EndReason::Operator).await.unwrap(), 0);
    }
}
