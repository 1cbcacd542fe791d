//! Sessions in PostgreSQL: what a refresh costs, replicas, failovers that lose commits, and transactions of one's own.
use std::time::Duration;

use portcullis::Revocations;
use portcullis_issuer::session::SessionStore as _;
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{
    Answer, BeginError, Begun, EndReason, Lifetimes, RefreshError, RefreshRefusal, RefreshRequest,
    RefreshToken, Refreshed, SessionId, Sessions, StoreTime,
};
use portcullis_sqlx::PostgresSessions;
use portcullis_stores_tests::{Cluster, ISSUER, eventually, login_issuer, sessions};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Row as _};

async fn run(pool: &PgPool, sql: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(pool).await.unwrap();
}

async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query(sql).fetch_one(pool).await.unwrap().get(0)
}

/// Sessions in the database of this pool, with this list of revocations.
async fn over(pool: &PgPool, revocations: &Revocations) -> Sessions {
    let issuer = login_issuer(MemoryRing::new(), revocations.clone()).await.unwrap();
    sessions(&issuer, PostgresSessions::new(pool.clone())).await.unwrap()
}

async fn begin(sessions: &Sessions) -> Begun {
    let attempt = sessions.attempt("alice").await.unwrap();
    sessions.begin(attempt.succeeded("web")).await.unwrap()
}

async fn refresh(sessions: &Sessions, token: &RefreshToken) -> Result<Refreshed, RefreshError> {
    sessions.refresh(&RefreshRequest::new(token.as_str(), "web")).await
}

fn ended(reason: EndReason) -> Option<RefreshError> {
    Some(RefreshError::Refused(RefreshRefusal::Ended(reason)))
}

/// A minute later, for every row.
async fn later(pool: &PgPool) {
    run(pool, "UPDATE portcullis_sessions SET rotated_at = rotated_at - 61000").await;
}

/// What PostgreSQL counted of the table, up to now, by the one connection of this pool.
async fn counted(pool: &PgPool, what: &str) -> i64 {
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(pool).await.unwrap();
    let sql =
        format!("SELECT {what} FROM pg_stat_user_tables WHERE relname = 'portcullis_sessions'");
    sqlx::query(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap().get(0)
}

/// A pool of one connection, with tables.
async fn one_connection() -> PgPool {
    let cluster = Cluster::shared().await;
    let options = cluster.options(&cluster.database().await);
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    PostgresSessions::new(pool.clone()).migrate().await.unwrap();
    pool
}

#[tokio::test]
async fn a_refresh_is_one_reading_and_one_change_in_place() {
    let pool = one_connection().await;
    let store = over(&pool, &Revocations::in_memory()).await;
    let mut token = begin(&store).await.refresh;
    let (writes, in_place) = ("n_tup_upd", "n_tup_hot_upd");
    for _ in 0..20 {
        later(&pool).await;
        let before = (
            counted(&pool, writes).await,
            counted(&pool, in_place).await,
            counted(&pool, "idx_scan").await,
            counted(&pool, "seq_scan").await,
        );
        token = refresh(&store, &token).await.unwrap().refresh.expect("another token");
        let after = (
            counted(&pool, writes).await,
            counted(&pool, in_place).await,
            counted(&pool, "idx_scan").await,
            counted(&pool, "seq_scan").await,
        );
        assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1), "writes, and in place");
        // One to read, and one to write.
        assert_eq!((after.2 - before.2, after.3 - before.3), (2, 0), "by index, and by hand");
        // Young, however often it comes.
        for _ in 0..5 {
            refresh(&store, &token).await.unwrap();
        }
        assert_eq!(counted(&pool, writes).await, after.0);
    }
}

/// Among tens of thousands, of which most are somebody else's.
#[tokio::test]
async fn nothing_looks_at_all_sessions() {
    let pool = one_connection().await;
    run(
        &pool,
        format!(
            "INSERT INTO portcullis_sessions SELECT '{ISSUER}', decode(md5(n::text), 'hex'), 'user ' || n / 3, 'web', n, \
             4000000000000, '{{}}', NULL, '', 0, 1, 0, sha256(''), NULL, NULL, n, 4000000000000, \
             CASE WHEN n % 10 = 0 THEN n END, CASE WHEN n % 10 = 0 THEN 1 END FROM generate_series(1, 30000) AS n"
        ),
    )
    .await;
    run(&pool, "INSERT INTO portcullis_subjects SELECT 'https://id.example', 'user ' || n, n, n FROM generate_series(1, 10000) AS n").await;
    run(&pool, "ANALYZE").await;
    let store = PostgresSessions::new(pool.clone());
    let before = counted(&pool, "seq_scan").await;
    let some = SessionId::from_bytes([7; 16]);
    store.list(ISSUER, "user 7", None, 20).await.unwrap();
    store.subject(ISSUER, "user 7").await.unwrap();
    store.end(ISSUER, some, EndReason::Operator).await.unwrap();
    store.end_all(ISSUER, "user 8", None, EndReason::Operator).await.unwrap();
    let since = StoreTime::from_millis(29_900);
    assert_eq!(store.ended(ISSUER, since, None, 1000).await.unwrap().len(), 14);
    store.raised(ISSUER, since, None, 1000).await.unwrap();
    let sessions = over(&pool, &Revocations::in_memory()).await;
    let token = begin(&sessions).await.refresh;
    later(&pool).await;
    refresh(&sessions, &token).await.unwrap();
    let mut after = None;
    let (mut steps, before_all) = (0, StoreTime::from_millis(100));
    loop {
        steps += 1;
        after = store.prune(ISSUER, before_all, after, 100).await.unwrap();
        if after.is_none() {
            break;
        }
    }
    assert_eq!(steps, 301);
    store.erase(ISSUER, "user 9", StoreTime::from_millis(0)).await.unwrap();
    // What this test did itself is one.
    assert_eq!(counted(&pool, "seq_scan").await - before, 1);
}

#[tokio::test]
async fn a_replica_is_refused_at_every_reading() {
    let cluster = Cluster::start().await;
    let primary = PostgresSessions::new(cluster.pool("postgres").await);
    primary.migrate().await.unwrap();
    let standby = cluster.standby().await;
    let replica = PostgresSessions::new(standby.pool("postgres").await);
    let (id, now) = (SessionId::from_bytes([7; 16]), StoreTime::from_millis(0));
    let told = [
        replica.subject(ISSUER, "alice").await.unwrap_err(),
        replica.read(ISSUER, id).await.unwrap_err(),
        replica.list(ISSUER, "alice", None, 9).await.unwrap_err(),
        replica.ended(ISSUER, now, None, 9).await.unwrap_err(),
        replica.raised(ISSUER, now, None, 9).await.unwrap_err(),
    ];
    for error in told {
        assert!(error.reason.contains("is a replica"), "{error}");
    }
    assert!(replica.end(ISSUER, id, EndReason::Operator).await.is_err());
}

/// A session that rotated, and one that ended, since the replica heard of its primary last. Then it takes over.
#[tokio::test]
async fn a_failover_that_loses_commits_brings_back_neither_a_token_nor_a_session() {
    let cluster = Cluster::start().await;
    let pool = cluster.pool("postgres").await;
    PostgresSessions::new(pool.clone()).migrate().await.unwrap();
    let revocations = Revocations::in_memory();
    let before = over(&pool, &revocations).await;
    let kept = begin(&before).await;
    let (rotated, gone) = (begin(&before).await, begin(&before).await);
    let attempt = before.attempt("bob").await.unwrap();
    let everywhere = before.begin(attempt.succeeded("web")).await.unwrap();
    let standby = cluster.standby().await;
    let replica = standby.pool("postgres").await;
    eventually("a replica that has all", async || {
        number(&replica, "SELECT count(*) FROM portcullis_sessions").await == 4
    })
    .await;
    run(&replica, "ALTER SYSTEM SET primary_conninfo = ''").await;
    run(&replica, "SELECT pg_reload_conf()").await;
    eventually("a replica that is cut off", async || {
        number(&replica, "SELECT count(*) FROM pg_stat_wal_receiver").await == 0
    })
    .await;

    later(&pool).await;
    let next = refresh(&before, &rotated.refresh).await.unwrap().refresh.expect("another token");
    before.end(gone.session.id(), EndReason::SignedOut).await.unwrap();
    before.end_all("bob", None, EndReason::CredentialsChanged).await.unwrap();
    run(&replica, "SELECT pg_promote()").await;
    drop(cluster);

    // The same process, and one that has heard of what ended from the shared list.
    let after = over(&replica, &revocations).await;
    later(&replica).await;
    refresh(&after, &kept.refresh).await.expect("goes on");
    assert_eq!(refresh(&after, &next).await.err(), ended(EndReason::LostRotation));
    assert_eq!(refresh(&after, &rotated.refresh).await.err(), ended(EndReason::LostRotation));
    assert_eq!(refresh(&after, &gone.refresh).await.err(), ended(EndReason::Revoked));
    assert_eq!(refresh(&after, &everywhere.refresh).await.err(), ended(EndReason::Revoked));
    let attempt = after.attempt("bob").await.unwrap();
    let begun = after.begin(attempt.succeeded("web")).await.unwrap();
    refresh(&after, &begun.refresh).await.expect("goes on");
}

#[tokio::test]
async fn a_failover_that_loses_nothing_ends_nothing() {
    let cluster = Cluster::start().await;
    let pool = cluster.pool("postgres").await;
    PostgresSessions::new(pool.clone()).migrate().await.unwrap();
    let standby = cluster.standby().await;
    let replica = standby.pool("postgres").await;
    run(&pool, "ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    run(&pool, "ALTER SYSTEM SET synchronous_commit = remote_apply").await;
    run(&pool, "SELECT pg_reload_conf()").await;
    eventually("a synchronous replica", async || {
        let waits = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        number(&pool, waits).await == 1
    })
    .await;
    let revocations = Revocations::in_memory();
    let before = over(&pool, &revocations).await;
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(begin(&before).await.refresh);
    }
    later(&pool).await;
    for token in &mut all {
        *token = refresh(&before, token).await.unwrap().refresh.expect("another token");
    }
    run(&replica, "SELECT pg_promote()").await;
    drop(cluster);
    run(&replica, "ALTER SYSTEM RESET synchronous_standby_names").await;
    run(&replica, "SELECT pg_reload_conf()").await;
    let after = over(&replica, &Revocations::in_memory()).await;
    for token in &all {
        refresh(&after, token).await.expect("goes on");
    }
}

#[tokio::test]
async fn a_new_password_and_the_end_of_all_sessions_are_there_both_or_neither() {
    let pool = Cluster::shared().await;
    let pool = pool.pool(&pool.database().await).await;
    let store = PostgresSessions::new(pool.clone());
    store.migrate().await.unwrap();
    run(&pool, "CREATE TABLE users (name text, password text)").await;
    run(&pool, "INSERT INTO users VALUES ('alice', 'old')").await;
    let sessions = over(&pool, &Revocations::in_memory()).await;
    let begun = begin(&sessions).await;
    for is_committed in [false, true] {
        let attempt = sessions.attempt("alice").await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        let update = "UPDATE users SET password = 'new' WHERE name = 'alice'";
        sqlx::query(update).execute(&mut *transaction).await.unwrap();
        let reason = EndReason::CredentialsChanged;
        let ended_all = store.end_all_in(&mut transaction, ISSUER, "alice", None, reason);
        let ended_all = ended_all.await.unwrap();
        if !is_committed {
            transaction.rollback().await.unwrap();
            refresh(&sessions, &begun.refresh).await.expect("goes on");
            sessions.begin(attempt.succeeded("web")).await.expect("a session");
            continue;
        }
        transaction.commit().await.unwrap();
        sessions.revoke_ended("alice", reason, &ended_all).await.unwrap();
        assert_eq!(refresh(&sessions, &begun.refresh).await.err(), ended(reason));
        let begun = sessions.begin(attempt.succeeded("web")).await;
        assert_eq!(begun.err(), Some(BeginError::LoggedOut), "a login under way");
    }
}

#[tokio::test]
async fn an_account_and_its_first_session_are_there_both_or_neither() {
    let pool = Cluster::shared().await;
    let pool = pool.pool(&pool.database().await).await;
    let store = PostgresSessions::new(pool.clone());
    store.migrate().await.unwrap();
    let sessions = over(&pool, &Revocations::in_memory()).await;
    for is_committed in [false, true] {
        let attempt = sessions.attempt("alice").await.unwrap();
        let prepared = sessions.prepare(attempt.succeeded("web")).await.unwrap();
        let mut transaction = pool.begin().await.unwrap();
        let created = store.create_in(&mut transaction, ISSUER, prepared.new_session());
        let created = created.await.unwrap();
        if is_committed {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        let begun = sessions.finish(prepared, created).await.unwrap();
        assert_eq!(refresh(&sessions, &begun.refresh).await.is_ok(), is_committed);
    }
}

/// Each login takes the place of the other's oldest session, and has one too many itself.
#[tokio::test(flavor = "multi_thread")]
async fn two_who_log_in_over_each_other_do_not_wait_in_a_circle() {
    let cluster = Cluster::shared().await;
    let pool = cluster.pool(&cluster.database().await).await;
    let store = PostgresSessions::new(pool.clone());
    store.migrate().await.unwrap();
    let issuer = login_issuer(MemoryRing::new(), Revocations::in_memory()).await.unwrap();
    let sessions = Sessions::builder(&issuer)
        .store(store)
        .lifetimes(Lifetimes::aal1())
        .ask(async |_| Ok(Answer::go_on()))
        .sessions_per_subject(3);
    let sessions = sessions.build().await.unwrap();
    let log_in = async |sessions: Sessions, user: &'static str, over: Option<RefreshToken>| {
        let login = sessions.attempt(user).await.unwrap().succeeded("web");
        let login = match over {
            Some(token) => login.replaces(token.as_str()),
            None => login,
        };
        sessions.begin(login).await.expect("a session").refresh
    };
    let users = ["alice", "bob"];
    let mut tokens = [Vec::new(), Vec::new()];
    for (user, tokens) in users.into_iter().zip(&mut tokens) {
        for _ in 0..3 {
            tokens.push(log_in(sessions.clone(), user, None).await);
        }
    }
    for _ in 0..40 {
        let [alices, bobs] = tokens.each_mut().map(|tokens| tokens.remove(0));
        let alice = log_in(sessions.clone(), "alice", Some(bobs));
        let bob = log_in(sessions.clone(), "bob", Some(alices));
        let (alice, bob) = tokio::join!(alice, bob);
        tokens[0].push(alice);
        tokens[1].push(bob);
    }
    for user in users {
        assert!(!sessions.list(user, None, 100).await.unwrap().is_empty());
    }
}

/// Who waited for the one, and had the others, could wait for somebody who waits for one of those.
#[tokio::test]
async fn a_session_that_somebody_is_changing_keeps_none_of_the_others_from_ending() {
    let cluster = Cluster::shared().await;
    let pool = cluster.pool(&cluster.database().await).await;
    let store = PostgresSessions::new(pool.clone()).deadline(Duration::from_secs(60));
    store.migrate().await.unwrap();
    let sessions = over(&pool, &Revocations::in_memory()).await;
    for _ in 0..3 {
        begin(&sessions).await;
    }
    let touch = "UPDATE portcullis_sessions SET version = version + 1 WHERE id";
    let mut transaction = pool.begin().await.unwrap();
    let first = format!("{touch} = (SELECT id FROM portcullis_sessions ORDER BY id LIMIT 1)");
    sqlx::query(AssertSqlSafe(first)).execute(&mut *transaction).await.unwrap();

    let ending =
        tokio::spawn(
            async move { store.end_everything(ISSUER, EndReason::Operator).await.unwrap() },
        );
    eventually("the others end", async || {
        let ended = "SELECT count(*) FROM portcullis_sessions WHERE ended_at IS NOT NULL";
        number(&pool, ended).await == 2
    })
    .await;
    // It takes those as well, and waits for nobody.
    let rest = format!("{touch} <> (SELECT id FROM portcullis_sessions ORDER BY id LIMIT 1)");
    sqlx::query(AssertSqlSafe(rest)).execute(&mut *transaction).await.unwrap();
    assert!(!ending.is_finished(), "it waits for the one");
    transaction.commit().await.unwrap();
    assert_eq!(ending.await.unwrap(), 3);
}

/// Who has all tables, as tokens.
#[tokio::test]
async fn nothing_in_the_tables_is_a_token_or_a_secret_of_one() {
    let pool = one_connection().await;
    let store = over(&pool, &Revocations::in_memory()).await;
    let begun = begin(&store).await;
    later(&pool).await;
    let next = refresh(&store, &begun.refresh).await.unwrap().refresh.expect("another token");
    let dump: String =
        sqlx::query("SELECT string_agg(row_to_json(t)::text, '') FROM portcullis_sessions AS t")
            .fetch_one(&pool)
            .await
            .unwrap()
            .get(0);
    for token in [&begun.refresh, &next] {
        let token = token.as_str();
        for part in [token, &token[7..99], &token[40..80]] {
            assert!(!dump.contains(part));
        }
    }
}
