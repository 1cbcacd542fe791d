//! What `portcullis-redis` promises, with real servers and what happens to them.
//!
//! The promise, as `portcullis-redis` has it:
//!
//! 1. While Redis keeps its data, a process that is fresh as of a moment refuses everything whose
//!    revocation was acknowledged before it, and not lifted since.
//! 2. After a loss of data or a failover, every process notices. None is fresh as of a later moment until
//!    the survivors have given back what they hold, and only what no survivor held is lost.
//! 3. With `durability`, an acknowledged revocation is in so many replicas, and so is every heartbeat.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use portcullis::policy::PolicyFault;
use portcullis::revocation::{RevocationEvent, RevocationFault, RevokeError};
use portcullis::{Algorithm, BuildError, Clock, Revocable, Revocation, UnixTime};
use portcullis_fleet_tests::{
    Door, ISSUER, Member, Process, Server, Setup, Verdict, eventually, token,
};
use portcullis_redis::{RedisError, RedisRevocations, StoreTerms};
use portcullis_testkit::TestIssuer;

async fn store() -> Server {
    made(Server::start().await).await
}

async fn made(server: Server) -> Server {
    assert!(Member::initialize(&server.url()).await.unwrap());
    server
}

/// A member that is fresh.
async fn fresh(url: &str) -> Member {
    let member = Member::start(url).await.unwrap();
    is_fresh(&member).await;
    member
}

async fn is_fresh(member: &Member) {
    eventually("fresh", async || member.revocations.is_fresh()).await;
}

/// Waits until a member has news that was asked for from now on.
async fn has_news(member: &Member) {
    let start = Instant::now();
    let is_news = |age: Duration| age < start.elapsed();
    eventually("news", async || member.revocations.stats().last_contact.is_some_and(is_news)).await;
}

/// A replica with all that its master has.
async fn replica_of(port: u16) -> Server {
    let replica = Server::configured([format!("replicaof 127.0.0.1 {port}")]).await;
    eventually("linked", async || replica.info("master_link_status").await == "up").await;
    replica
}

/// The number of the last entry that a server has.
async fn sequence(server: &Server) -> u64 {
    server.ask(&["HGET", "{portcullis}:revocations:meta", "sequence"]).await
}

async fn refuses(member: &Member, id: &str) {
    let token = token(id);
    eventually(id, async || member.verdict(&token) == Verdict::Revoked).await;
}

async fn revoke(member: &Member, range: core::ops::Range<u32>) -> Vec<String> {
    let ids: Vec<_> = range.map(|number| format!("token {number}")).collect();
    for id in &ids {
        member.revoke(id).await;
    }
    ids
}

async fn all_refuse(members: &[&Member], ids: &[String]) {
    for member in members {
        for id in ids {
            refuses(member, id).await;
        }
    }
}

mod while_redis_keeps_its_data {
    use super::*;

    #[tokio::test]
    async fn what_one_member_revokes_the_others_refuse() {
        let server = store().await;
        let (one, other) = (fresh(&server.url()).await, fresh(&server.url()).await);
        let (first, second) = (token("first"), token("second"));
        assert_eq!(other.verdict(&first), Verdict::Active);

        one.revoke("first").await;
        assert_eq!(one.verdict(&first), Verdict::Revoked);
        refuses(&other, "first").await;
        assert_eq!(other.verdict(&second), Verdict::Active);
    }

    #[tokio::test]
    async fn who_revokes_what_another_lifted_meanwhile_is_told_so_or_obeyed() {
        let server = store().await;
        let one = fresh(&server.url()).await;
        let door = Door::to(server.port()).await;
        let other = fresh(&door.url()).await;
        let id = "mistaken";
        let revocation =
            Revocation::Token { issuer: ISSUER.to_owned(), token_id: id.to_owned(), until: None };
        one.revoke(id).await;
        refuses(&other, id).await;
        door.lead_to(None);
        one.revocations.lift(&revocation).await.unwrap();
        assert_eq!(one.verdict(&token(id)), Verdict::Active);

        door.lead_to(Some(server.port()));
        let mut faults = Vec::new();
        eventually("revoked again", async || {
            let result = other.revocations.revoke(&revocation).await;
            faults.extend(result.as_ref().err().map(ToString::to_string));
            result.is_ok()
        })
        .await;
        refuses(&one, id).await;
        refuses(&other, id).await;
        let is_expected =
            |fault: &String| fault.contains("revoke again") || fault.contains("reached");
        assert!(faults.iter().all(is_expected), "{faults:?}");
    }

    #[tokio::test]
    async fn what_one_of_three_processes_revokes_the_others_refuse() {
        const PROGRAM: &str = env!("CARGO_BIN_EXE_member");
        let server = store().await;
        let mut members = Vec::new();
        for _ in 0..3 {
            members.push(Process::start(PROGRAM.as_ref(), &server.url()).await);
        }
        for round in 0..30 {
            let (id, other) = (format!("token {round}"), token("another"));
            let token = token(&id);
            for member in &mut members {
                assert_eq!(member.ask(&format!("check {token}")).await, "Active");
            }
            let told = members[round % 3].ask(&format!("revoke {id}")).await;
            assert!(told.starts_with("acknowledged "), "{told}");
            for member in &mut members {
                let told = member.ask(&format!("await {token}")).await;
                assert!(told.starts_with("refused "), "{told}");
                assert_eq!(member.ask(&format!("check {other}")).await, "Active");
            }
        }
        // One that was killed and comes back has all of it.
        members[0].kill().await;
        members[0] = Process::start(PROGRAM.as_ref(), &server.url()).await;
        let first = token("token 0");
        assert_eq!(members[0].ask(&format!("check {first}")).await, "Revoked");
    }

    #[tokio::test]
    async fn a_member_with_news_of_a_later_moment_has_every_acknowledged_revocation() {
        let server = store().await;
        let (one, other) = (fresh(&server.url()).await, fresh(&server.url()).await);
        for number in 0..20 {
            let id = format!("token {number}");
            let token = token(&id);
            one.revoke(&id).await;
            has_news(&other).await;
            assert_eq!(other.verdict(&token), Verdict::Revoked, "{id}");
        }
    }

    #[tokio::test]
    async fn what_other_members_revoked_counts_towards_an_issuers_share() {
        use portcullis::BackChannelLogout;
        use portcullis::routes::LogoutError;

        const CAPACITY: usize = 160;
        let server = store().await;
        let settings = Member::settings(RedisRevocations::server(&server.url()).unwrap());
        let events = Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let one = Member::with(settings.clone().capacity(CAPACITY)).await.unwrap();
        let settings = settings.capacity(CAPACITY);
        let settings = settings.on_event(move |event| told.lock().unwrap().push(*event));
        let other = Member::with(settings).await.unwrap();
        for member in [&one, &other] {
            is_fresh(member).await;
        }
        // One takes what the issuer's logout tokens may take, by code, which may take more.
        for number in 0..CAPACITY * 9 / 16 {
            one.revoke(&format!("share {number}")).await;
        }
        refuses(&other, &format!("share {}", CAPACITY * 9 / 16 - 1)).await;
        let logout =
            BackChannelLogout::new(other.policy.clone(), other.revocations.clone(), ["web"]);
        let logout = logout.unwrap();
        let token = TestIssuer::new(ISSUER).token(Algorithm::ES256);
        let token = token
            .typ("logout+jwt")
            .audience("web")
            .subject("alice")
            .expires_in(Duration::from_secs(60));
        let event = "http://schemas.openid.net/event/backchannel-logout";
        let token = token.claim("events", serde_json::json!({ event: {} })).mint();
        let request = http::Request::post("/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(())
            .unwrap();
        let mut body = logout.body();
        body.push(format!("logout_token={token}").as_bytes());
        let reply = logout.receive(&request, body).await;
        let used_up = RevokeError::ShareUsedUp { capacity: CAPACITY };
        assert_eq!(reply.into_error(), Some(LogoutError::Revoke(used_up)));
        let used_up = RevocationEvent::ShareUsedUp { capacity: CAPACITY };
        assert!(events.lock().unwrap().contains(&used_up));
        // The operator's word still counts, and reaches everybody.
        other.revoke("by an operator").await;
        refuses(&one, "by an operator").await;
    }

    #[tokio::test]
    async fn a_member_that_starts_in_the_middle_has_all() {
        let server = store().await;
        let one = fresh(&server.url()).await;
        let mut late = Vec::new();
        for number in 0..300 {
            one.revoke(&format!("token {number}")).await;
            if number % 100 == 50 {
                late.push(fresh(&server.url()).await);
            }
        }
        for member in &late {
            has_news(member).await;
            for number in 0..300 {
                let token = token(&format!("token {number}"));
                assert_eq!(member.verdict(&token), Verdict::Revoked, "{number}");
            }
        }
    }

    #[tokio::test]
    async fn a_log_that_was_trimmed_behind_a_follower_is_noticed() {
        let server = store().await;
        let door = Door::to(server.port()).await;
        let (one, other) = (fresh(&server.url()).await, fresh(&door.url()).await);
        door.lead_to(None);
        for number in 0..10 {
            one.revoke(&format!("token {number}")).await;
        }
        let _: u64 = server.ask(&["XTRIM", "{portcullis}:revocations:log", "MAXLEN", "1"]).await;
        door.lead_to(Some(server.port()));
        has_news(&other).await;
        for number in 0..10 {
            let token = token(&format!("token {number}"));
            assert_eq!(other.verdict(&token), Verdict::Revoked, "{number}");
        }
    }

    #[tokio::test]
    async fn a_log_that_is_dropped_under_a_follower_is_noticed() {
        let server = store().await;
        let (one, other) = (fresh(&server.url()).await, fresh(&server.url()).await);
        one.revoke("before").await;
        refuses(&other, "before").await;
        let door = Door::to(server.port()).await;
        let late = fresh(&door.url()).await;
        door.lead_to(None);
        one.revoke("between").await;
        let _: u64 = server.ask(&["DEL", "{portcullis}:revocations:log"]).await;
        door.lead_to(Some(server.port()));
        has_news(&late).await;
        assert_eq!(late.verdict(&token("between")), Verdict::Revoked);
        one.revoke("after").await;
        for member in [&other, &late] {
            has_news(member).await;
            assert_eq!(member.verdict(&token("after")), Verdict::Revoked);
        }
    }

    #[tokio::test]
    async fn a_server_that_is_killed_and_comes_back_with_its_data_loses_nothing() {
        let mut server = made(Server::durable().await).await;
        let (one, other) = (fresh(&server.url()).await, fresh(&server.url()).await);
        one.revoke("before").await;
        refuses(&other, "before").await;
        server.kill();
        // Both go on with what they have.
        assert_eq!(one.verdict(&token("before")), Verdict::Revoked);
        assert_eq!(other.verdict(&token("another")), Verdict::Active);
        let refused = one.revocations.revoke_token(ISSUER, "meanwhile", None).await;
        assert!(matches!(refused, Err(RevokeError::Store(_))), "{refused:?}");
        server.restart().await;

        has_news(&one).await;
        has_news(&other).await;
        one.revoke("after").await;
        let new = fresh(&server.url()).await;
        for id in ["before", "after"] {
            for member in [&one, &other, &new] {
                refuses(member, id).await;
            }
        }
    }

    #[tokio::test]
    async fn a_hundred_thousand_revocations_reach_everybody_while_requests_run() {
        const WRITERS: usize = 64;
        const EACH: usize = 100_000 / WRITERS + 1;
        let server = store().await;
        let (one, other) = (fresh(&server.url()).await, fresh(&server.url()).await);
        let (active, doomed) = (token("active"), token("doomed"));
        let policy = other.policy.clone();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let requests = std::thread::spawn(move || {
            let mut count = 0_u64;
            let mut was_refused = false;
            while !over.load(Ordering::Relaxed) {
                assert!(policy.verify_token_now(&active).is_ok());
                let is_refused = policy.verify_token_now(&doomed).is_err();
                assert!(is_refused || !was_refused, "it came back to life");
                was_refused = is_refused;
                count += 2;
            }
            (count, was_refused)
        });
        one.revoke("doomed").await;
        let one = Arc::new(one);
        let writers = (0..WRITERS).map(|writer| {
            let one = Arc::clone(&one);
            tokio::spawn(async move {
                for number in 0..EACH {
                    one.revoke(&format!("{writer}-{number}")).await;
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        has_news(&other).await;
        is_over.store(true, Ordering::Relaxed);
        let (count, was_refused) = requests.join().unwrap();
        assert!(count > 1_000 && was_refused, "{count}");
        assert_eq!(other.revocations.stats().entries(Revocable::Token), WRITERS * EACH + 1);
        for writer in [0, WRITERS / 2, WRITERS - 1] {
            for number in [0, EACH / 2, EACH - 1] {
                let token = token(&format!("{writer}-{number}"));
                assert_eq!(other.verdict(&token), Verdict::Revoked);
            }
        }
    }
}

mod after_a_loss {
    use super::*;

    #[tokio::test]
    async fn a_server_that_lost_its_data_is_not_ready_and_makes_nobody_fresh() {
        let mut server = store().await;
        let member = Member::with(
            Member::settings(RedisRevocations::server(&server.url()).unwrap())
                .max_staleness(Duration::from_millis(1500)),
        );
        let member = member.await.unwrap();
        is_fresh(&member).await;
        member.revoke("held").await;
        server.restart().await;

        eventually("stale", async || !member.revocations.is_fresh()).await;
        assert_eq!(member.verdict(&token("any")), Verdict::Unavailable);
        assert_eq!(member.verdict(&token("held")), Verdict::Revoked);
        let started = Member::start(&server.url()).await;
        assert_eq!(started.err(), Some(RedisError::Uninitialized));
        let refused = member.revocations.revoke_token(ISSUER, "another", None).await;
        assert!(matches!(refused, Err(RevokeError::Store(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn survivors_give_back_what_they_hold_before_anybody_is_fresh() {
        let mut server = store().await;
        let (one, other) = (fresh(&server.url()).await, fresh(&server.url()).await);
        one.revoke("held by both").await;
        refuses(&other, "held by both").await;
        one.revocations.revoke_subject(ISSUER, "mallory", None).await.unwrap();
        server.restart().await;
        assert!(Member::initialize(&server.url()).await.unwrap());
        let start = Instant::now();

        // It waits for the survivors' key, and for what they hold.
        let new = Member::start(&server.url()).await.unwrap();
        let id = "held by both";
        while !new.revocations.is_fresh() {
            assert!(start.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // The recovery of these stores is a second.
        assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
        assert_eq!(new.verdict(&token(id)), Verdict::Revoked);
        assert_eq!(new.revocations.stats().entries(Revocable::Subject), 1);
        has_news(&one).await;
        has_news(&other).await;
        other.revoke("later").await;
        refuses(&one, "later").await;
        refuses(&new, "later").await;
    }

    #[tokio::test]
    async fn a_promoted_replica_that_lacks_the_last_writes_gets_them_back() {
        let mut master = store().await;
        let link = Door::to(master.port()).await;
        let replica = replica_of(link.port()).await;
        let door = Door::to(master.port()).await;
        let (one, other) = (fresh(&door.url()).await, fresh(&door.url()).await);
        let doomed = fresh(&door.url()).await;
        one.revoke("replicated").await;
        eventually("replicated", async || {
            let offset = master.info("master_repl_offset").await;
            replica.info("slave_repl_offset").await == offset
        })
        .await;

        link.lead_to(None);
        one.revoke("unreplicated").await;
        for member in [&other, &doomed] {
            refuses(member, "unreplicated").await;
        }
        master.kill();
        let _: String = replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
        assert_eq!(sequence(&replica).await, 1);
        drop(doomed);
        door.lead_to(Some(replica.port()));

        let new = fresh(&door.url()).await;
        for id in ["replicated", "unreplicated"] {
            assert_eq!(new.verdict(&token(id)), Verdict::Revoked, "{id}");
        }
        has_news(&one).await;
        has_news(&other).await;
        // Numbers that the old master gave are given anew, and nobody takes one for the other.
        new.revoke("later").await;
        new.revoke("latest").await;
        for member in [&one, &other] {
            for id in ["replicated", "unreplicated", "later", "latest"] {
                refuses(member, id).await;
            }
        }
    }

    #[tokio::test]
    async fn only_what_no_survivor_held_is_lost() {
        let mut master = store().await;
        let link = Door::to(master.port()).await;
        let replica = replica_of(link.port()).await;
        let door = Door::to(master.port()).await;
        let survivor = fresh(&door.url()).await;
        let own = Door::to(master.port()).await;
        let doomed = fresh(&own.url()).await;
        doomed.revoke("held by all").await;
        refuses(&survivor, "held by all").await;
        eventually("replicated", async || {
            replica.info("slave_repl_offset").await == master.info("master_repl_offset").await
        })
        .await;

        link.lead_to(None);
        door.lead_to(None);
        doomed.revoke("held by nobody else").await;
        drop(doomed);
        master.kill();
        let _: String = replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
        door.lead_to(Some(replica.port()));
        has_news(&survivor).await;
        assert_eq!(survivor.verdict(&token("held by all")), Verdict::Revoked);
        assert_eq!(survivor.verdict(&token("held by nobody else")), Verdict::Active);
    }

    #[tokio::test]
    async fn data_that_is_flushed_under_a_running_server_is_noticed() {
        let server = store().await;
        let one = fresh(&server.url()).await;
        one.revoke("held").await;
        let _: String = server.ask(&["FLUSHALL"]).await;
        assert!(Member::initialize(&server.url()).await.unwrap());
        let new = fresh(&server.url()).await;
        assert_eq!(new.verdict(&token("held")), Verdict::Revoked);
    }

    #[tokio::test]
    async fn a_store_made_anew_with_other_terms_makes_nobody_fresh_who_was_built_for_the_old() {
        let mut server = store().await;
        let settings = Member::settings(RedisRevocations::server(&server.url()).unwrap());
        let old = Member::with(settings.clone().max_staleness(Duration::from_secs(2))).await;
        let old = old.unwrap();
        is_fresh(&old).await;
        server.restart().await;
        let longer = StoreTerms::new(Duration::from_secs(1800)).recovery(Duration::ZERO);
        assert!(settings.initialize(longer).await.unwrap());
        let new = fresh(&server.url()).await;
        eventually("stale", async || !old.revocations.is_fresh()).await;
        // The old one asks as often as the new one does.
        for _ in 0..20 {
            has_news(&new).await;
            assert!(!old.revocations.is_fresh());
        }
    }

    #[tokio::test]
    async fn what_a_new_store_could_not_understand_is_not_acknowledged() {
        let server = store().await;
        // It is not to notice in time.
        let settings = RedisRevocations::server(&server.url()).unwrap();
        let settings = settings.heartbeat(Duration::from_secs(15));
        let unaware = Member::with(settings).await.unwrap();
        let _: String = server.ask(&["FLUSHALL"]).await;
        assert!(Member::initialize(&server.url()).await.unwrap());
        let new = fresh(&server.url()).await;
        let refused = unaware.revocations.revoke_token(ISSUER, "id", None).await;
        assert!(matches!(refused, Err(RevokeError::Store(_))), "{refused:?}");
        assert_eq!(new.verdict(&token("id")), Verdict::Active);
    }

    #[tokio::test]
    async fn a_store_that_lost_its_head_alone_is_made_anew() {
        let server = store().await;
        let one = fresh(&server.url()).await;
        for id in ["first", "second"] {
            one.revoke(id).await;
        }
        let _: u64 = server.ask(&["DEL", "{portcullis}:revocations:meta"]).await;
        assert!(Member::initialize(&server.url()).await.unwrap());
        has_news(&one).await;
        one.revoke("third").await;
        let new = fresh(&server.url()).await;
        for id in ["first", "second", "third"] {
            assert_eq!(new.verdict(&token(id)), Verdict::Revoked, "{id}");
        }
    }

    #[tokio::test]
    async fn who_comes_back_too_late_takes_over_what_the_store_has() {
        let mut server = store().await;
        let door = Door::to(server.port()).await;
        let late = fresh(&door.url()).await;
        late.revoke("lost").await;
        door.lead_to(None);
        server.restart().await;
        assert!(Member::initialize(&server.url()).await.unwrap());
        // Nobody came in time: the store has another key by now.
        let new = fresh(&server.url()).await;
        new.revoke("new").await;
        door.lead_to(Some(server.port()));
        has_news(&late).await;
        assert_eq!(late.verdict(&token("new")), Verdict::Revoked);
        late.revoke("newer").await;
        refuses(&new, "newer").await;
    }
}

mod after_one_loss_too_many {
    use super::*;

    /// What everybody holds, and those who start; and what is revoked afterwards reaches everybody.
    async fn nothing_is_lost(url: &str, members: &[&Member], ids: &[String]) {
        for member in members {
            has_news(member).await;
        }
        let new = fresh(url).await;
        for id in ids {
            assert_eq!(new.verdict(&token(id)), Verdict::Revoked, "a new one, {id}");
        }
        for number in 0..10 {
            let id = format!("later {number}");
            new.revoke(&id).await;
            for member in members {
                has_news(member).await;
                assert_eq!(member.verdict(&token(&id)), Verdict::Revoked, "a survivor, {id}");
            }
        }
        all_refuse(members, ids).await;
    }

    #[tokio::test]
    async fn a_server_that_goes_back_to_one_snapshot_twice_and_thrice_gets_all_back() {
        // As `redis-server` comes, but that the snapshot is taken when it is asked for.
        let mut server = store().await;
        let url = server.url();
        let (one, other) = (fresh(&url).await, fresh(&url).await);
        let mut ids = revoke(&one, 0..1).await;
        let _: String = server.ask(&["SAVE"]).await;
        ids.extend(revoke(&one, 1..21).await);
        all_refuse(&[&other], &ids).await;
        for round in 0..3 {
            server.restart().await;
            nothing_is_lost(&url, &[&one, &other], &ids).await;
            ids.extend((0..10).map(|number| format!("later {number}")));
            ids.extend(revoke(&other, 100 + round * 10..105 + round * 10).await);
            ids.dedup();
            all_refuse(&[&one], &ids).await;
        }
    }

    #[tokio::test]
    async fn a_restart_between_two_that_nobody_noticed_changes_nothing() {
        let mut server = store().await;
        let door = Door::to(server.port()).await;
        let (one, other) = (fresh(&door.url()).await, fresh(&door.url()).await);
        let _: String = server.ask(&["SAVE"]).await;
        let ids = revoke(&one, 0..20).await;
        all_refuse(&[&other], &ids).await;
        door.lead_to(None);
        server.restart().await;
        server.restart().await;
        door.lead_to(Some(server.port()));
        nothing_is_lost(&door.url(), &[&one, &other], &ids).await;
    }

    #[tokio::test]
    async fn two_failovers_to_replicas_that_lack_the_same_lose_nothing() {
        let mut first = store().await;
        let links = [Door::to(first.port()).await, Door::to(first.port()).await];
        let mut second = replica_of(links[0].port()).await;
        let third = replica_of(links[1].port()).await;
        let door = Door::to(first.port()).await;
        let (one, other) = (fresh(&door.url()).await, fresh(&door.url()).await);
        let mut ids = revoke(&one, 0..1).await;
        for replica in [&second, &third] {
            eventually("replicated", async || {
                replica.info("slave_repl_offset").await == first.info("master_repl_offset").await
            })
            .await;
        }
        // The third is cut off for good, the second has what comes next, and dies.
        links[1].lead_to(None);
        first.kill();
        let _: String = second.ask(&["REPLICAOF", "NO", "ONE"]).await;
        door.lead_to(Some(second.port()));
        has_news(&one).await;
        ids.extend(revoke(&one, 1..21).await);
        all_refuse(&[&other], &ids).await;
        second.kill();
        let _: String = third.ask(&["REPLICAOF", "NO", "ONE"]).await;
        door.lead_to(Some(third.port()));
        nothing_is_lost(&door.url(), &[&one, &other], &ids).await;
    }

    #[tokio::test]
    async fn data_that_are_put_back_under_a_running_server_are_noticed_by_who_holds_more() {
        let server = store().await;
        let (one, other) = (fresh(&server.url()).await, fresh(&server.url()).await);
        let mut ids = revoke(&one, 0..1).await;
        all_refuse(&[&other], &ids).await;
        let keys: Vec<String> = server.ask(&["KEYS", "*"]).await;
        let mut dumps = Vec::new();
        for key in &keys {
            let dump: Vec<u8> = server.ask(&["DUMP", key]).await;
            dumps.push(dump);
        }
        ids.extend(revoke(&one, 1..21).await);
        all_refuse(&[&other], &ids).await;
        for (key, dump) in keys.iter().zip(&dumps) {
            let words: [&[u8]; 5] = [b"RESTORE", key.as_bytes(), b"0", dump, b"REPLACE"];
            let _: String = server.ask_bytes(&words).await;
        }
        nothing_is_lost(&server.url(), &[&one, &other], &ids).await;
    }

    #[tokio::test]
    async fn a_restart_that_lost_nothing_is_not_answered_by_everything_that_everybody_has() {
        let mut server = made(Server::durable().await).await;
        let events = Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let settings = Member::settings(RedisRevocations::server(&server.url()).unwrap());
        let settings = settings.on_event(move |event| told.lock().unwrap().push(*event));
        let member = Member::with(settings).await.unwrap();
        is_fresh(&member).await;
        let ids = revoke(&member, 0..20).await;
        has_news(&member).await;
        server.restart().await;
        has_news(&member).await;
        let is_given_back = |event: &RevocationEvent| {
            matches!(event, RevocationEvent::Republished { entries: 1.. })
        };
        assert!(!events.lock().unwrap().iter().any(is_given_back));
        nothing_is_lost(&server.url(), &[&member], &ids).await;
    }
}

mod out_of_reach {
    use super::*;

    #[tokio::test]
    async fn forty_revocations_at_a_server_that_hangs_are_all_answered_within_one_deadline() {
        let server = store().await;
        let member = Arc::new(fresh(&server.url()).await);
        member.revoke("before").await;
        server.pause();
        let start = Instant::now();
        let waiting = (0..40).map(|number| {
            let member = Arc::clone(&member);
            tokio::spawn(async move {
                member.revocations.revoke_token(ISSUER, format!("token {number}"), None).await
            })
        });
        for answer in waiting.collect::<Vec<_>>() {
            let answer = answer.await.unwrap();
            assert!(matches!(answer, Err(RevokeError::Store(_))), "{answer:?}");
        }
        // The time-out of these members is half a second: one after the other, it would be twenty.
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        server.resume();
        eventually("revoked", async || {
            member.revocations.revoke_token(ISSUER, "after", None).await.is_ok()
        })
        .await;
    }

    #[tokio::test]
    async fn a_list_is_followed_whatever_becomes_of_the_runtime_that_it_was_made_in() {
        let server = store().await;
        let url = server.url();
        let made = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(Member::start(&url)).unwrap()
        });
        let member = tokio::task::spawn_blocking(|| made.join().unwrap()).await.unwrap();
        is_fresh(&member).await;
        let other = fresh(&server.url()).await;
        other.revoke("later").await;
        refuses(&member, "later").await;
        member.revoke("by it").await;
        refuses(&other, "by it").await;
    }

    #[tokio::test]
    async fn an_observer_that_panics_ends_nothing() {
        let server = store().await;
        let settings = Member::settings(RedisRevocations::server(&server.url()).unwrap());
        let settings = settings
            .max_staleness(Duration::from_millis(1500))
            .on_event(|event| panic!("an observer that panics: {event:?}"));
        let member = Member::with(settings).await.unwrap();
        is_fresh(&member).await;
        server.pause();
        eventually("stale", async || member.verdict(&token("any")) == Verdict::Unavailable).await;
        server.resume();
        is_fresh(&member).await;
        let other = fresh(&server.url()).await;
        other.revoke("later").await;
        refuses(&member, "later").await;
    }

    /// The clock of the machine, which panics while it is told to, and counts how often.
    #[derive(Clone, Debug, Default)]
    struct Panicking(Arc<(AtomicBool, AtomicUsize)>);

    impl Panicking {
        /// Panics while this happens, and until it has.
        async fn during(&self, something: impl Future<Output = ()>) {
            self.0.0.store(true, Ordering::Relaxed);
            something.await;
            eventually("a panic", async || self.0.1.load(Ordering::Relaxed) > 0).await;
            self.0.0.store(false, Ordering::Relaxed);
        }
    }

    impl Clock for Panicking {
        fn now(&self) -> UnixTime {
            if self.0.0.load(Ordering::Relaxed) {
                self.0.1.fetch_add(1, Ordering::Relaxed);
                panic!("a clock that panics");
            }
            SystemTime::now().into()
        }
    }

    #[tokio::test]
    async fn a_follower_that_panics_begins_anew_and_gives_back_what_it_holds() {
        let mut server = store().await;
        let (clock, url) = (Panicking::default(), server.url());
        let settings = Member::settings(RedisRevocations::server(&url).unwrap());
        let member = Member::with(settings.clock(clock.clone())).await.unwrap();
        is_fresh(&member).await;
        let other = fresh(&url).await;
        other.revoke("saved").await;
        refuses(&member, "saved").await;
        let _: String = server.ask(&["SAVE"]).await;
        member.revoke("held").await;
        other.revoke("read").await;
        refuses(&member, "read").await;
        drop(other);
        // It reads the state that was saved, and panics: what it knew of the store is gone, and what it holds is not.
        clock.during(server.restart()).await;
        let new = fresh(&url).await;
        for id in ["saved", "held", "read"] {
            refuses(&new, id).await;
        }
    }

    #[tokio::test]
    async fn an_entry_of_a_kind_that_is_not_known_is_passed_over() {
        let server = store().await;
        let (one, other) = (fresh(&server.url()).await, fresh(&server.url()).await);
        one.revoke("first").await;
        refuses(&other, "first").await;
        // What a later version could write: its script is the same, and the kind is not.
        const WRITE: &str = "
            local at = function(name) return '{portcullis}:revocations:' .. name end
            local number = redis.call('HINCRBY', at('meta'), 'sequence', 1)
            local before = redis.call('HGET', at('meta'), 'head')
            redis.call('HSET', at('meta'), 'head', 'later version')
            redis.call('XADD', at('log'), number .. '-0', 'k', ARGV[1], 'm', '0', 'e', '4000000000',
                'n', 'later version', 'b', before)
            redis.call('HSET', at('until:4000000000'), ARGV[1], string.rep('0', 20) .. '4000000000')
            redis.call('ZADD', at('buckets'), 4000000000, at('until:4000000000'))
            return number";
        let key = [&[99][..], &[7; 16]].concat();
        let _: u64 = server.ask_bytes(&[b"EVAL", WRITE.as_bytes(), b"0", &key]).await;
        for member in [&one, &other] {
            has_news(member).await;
        }
        other.revoke("second").await;
        refuses(&one, "second").await;
        let new = fresh(&server.url()).await;
        // Told by the log, or met where all is read.
        for member in [&one, &other, &new] {
            assert_eq!(member.revocations.stats().unknown, 1);
        }
        for id in ["first", "second"] {
            assert_eq!(new.verdict(&token(id)), Verdict::Revoked, "{id}");
        }
    }

    #[tokio::test]
    async fn a_server_whose_memory_is_full_is_told_as_what_it_is() {
        let server = store().await;
        let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
        let refused = Member::start(&server.url()).await.err();
        assert_eq!(refused, Some(RedisError::Memory));
    }

    #[tokio::test]
    async fn a_server_whose_memory_fills_up_makes_members_stale_until_there_is_room() {
        let server = store().await;
        let settings = Member::settings(RedisRevocations::server(&server.url()).unwrap());
        let member = Member::with(settings.max_staleness(Duration::from_millis(1500))).await;
        let member = member.unwrap();
        is_fresh(&member).await;
        member.revoke("before").await;
        let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
        eventually("stale", async || !member.revocations.is_fresh()).await;
        assert_eq!(member.verdict(&token("active")), Verdict::Unavailable);
        assert_eq!(member.verdict(&token("before")), Verdict::Revoked);
        let refused = member.revocations.revoke_token(ISSUER, "full", None).await;
        assert!(matches!(refused, Err(RevokeError::Store(_))), "{refused:?}");
        let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
        is_fresh(&member).await;
        assert_eq!(member.verdict(&token("active")), Verdict::Active);
        member.revoke("after").await;
    }

    #[tokio::test]
    async fn a_server_that_hangs_beyond_the_bound_makes_members_stale_until_it_goes_on() {
        let server = store().await;
        let events = Arc::new(std::sync::Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let member = Member::with(
            Member::settings(RedisRevocations::server(&server.url()).unwrap())
                .max_staleness(Duration::from_millis(1500))
                .on_event(move |event| told.lock().unwrap().push(*event)),
        );
        let member = member.await.unwrap();
        is_fresh(&member).await;
        member.revoke("revoked").await;
        server.pause();
        // Within the bound it goes on with what it has.
        assert_eq!(member.verdict(&token("active")), Verdict::Active);
        eventually("stale", async || !member.revocations.is_fresh()).await;
        assert_eq!(member.verdict(&token("active")), Verdict::Unavailable);
        assert_eq!(member.verdict(&token("revoked")), Verdict::Revoked);
        assert!(!member.policy.is_ready());
        // Where the policy says so by name, it goes on.
        assert_eq!(member.open_verdict(&token("active")), Verdict::Active);
        assert_eq!(member.open_verdict(&token("revoked")), Verdict::Revoked);
        let refused = member.revocations.revoke_token(ISSUER, "another", None).await;
        assert!(matches!(refused, Err(RevokeError::Store(_))), "{refused:?}");

        server.resume();
        is_fresh(&member).await;
        assert_eq!(member.verdict(&token("active")), Verdict::Active);
        assert!(member.policy.is_ready());
        let events = events.lock().unwrap();
        let stale = events.iter().position(|event| *event == RevocationEvent::Stale).unwrap();
        assert!(events[..stale].contains(&RevocationEvent::Fresh));
        assert!(events[stale..].contains(&RevocationEvent::Fresh));
    }

    #[tokio::test]
    async fn a_member_without_room_for_all_is_not_fresh() {
        let server = store().await;
        let one = fresh(&server.url()).await;
        let settings = Member::settings(RedisRevocations::server(&server.url()).unwrap());
        let small = Member::with(settings.clone().capacity(2)).await.unwrap();
        is_fresh(&small).await;
        for id in ["first", "second"] {
            one.revoke(id).await;
            refuses(&small, id).await;
        }
        one.revoke("third").await;
        eventually("stale", async || !small.revocations.is_fresh()).await;
        assert_eq!(small.verdict(&token("third")), Verdict::Unavailable);
        assert_eq!(small.verdict(&token("first")), Verdict::Revoked);
        assert_eq!(small.revocations.stats().refused, 1);
        let refused = Member::with(settings.capacity(2)).await;
        assert_eq!(refused.err(), Some(RedisError::Full));
    }

    #[tokio::test]
    async fn without_enough_replicas_nothing_is_acknowledged_and_nobody_fresh() {
        let server = store().await;
        let settings = Member::settings(RedisRevocations::server(&server.url()).unwrap());
        let refused = Member::with(settings.clone().durability(1)).await;
        assert_eq!(refused.err(), Some(RedisError::Durability { have: 0 }));

        let replica = replica_of(server.port()).await;
        // A master takes a moment to count a replica that has just come.
        let settings = settings.durability(1).max_staleness(Duration::from_secs(2));
        let mut member = None;
        eventually("durable", async || {
            member = Member::with(settings.clone()).await.ok();
            member.is_some()
        })
        .await;
        let member = member.unwrap();
        is_fresh(&member).await;
        member.revoke("in both").await;

        drop(replica);
        let refused = member.revocations.revoke_token(ISSUER, "in one", None).await;
        assert!(matches!(refused, Err(RevokeError::Store(_))), "{refused:?}");
        eventually("stale", async || !member.revocations.is_fresh()).await;
    }

    #[tokio::test]
    async fn what_was_acknowledged_by_a_replica_outlives_the_master_and_every_member() {
        let mut master = store().await;
        let replica = replica_of(master.port()).await;
        let settings = Member::settings(RedisRevocations::server(&master.url()).unwrap());
        let mut member = None;
        eventually("durable", async || {
            member = Member::with(settings.clone().durability(1)).await.ok();
            member.is_some()
        })
        .await;
        let member = member.unwrap();
        is_fresh(&member).await;
        let ids = revoke(&member, 0..20).await;
        drop(member);
        master.kill();
        let _: String = replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
        let new = fresh(&replica.url()).await;
        all_refuse(&[&new], &ids).await;
    }
}

mod at_the_start {
    use super::*;

    async fn refused(url: &str) -> RedisError {
        Member::start(url).await.err().unwrap()
    }

    #[tokio::test]
    async fn a_server_without_the_store_is_not_ready() {
        let server = Server::start().await;
        assert_eq!(refused(&server.url()).await, RedisError::Uninitialized);
    }

    #[tokio::test]
    async fn a_server_that_evicts_is_refused() {
        for policy in ["allkeys-lru", "volatile-ttl", "allkeys-random"] {
            let server = Server::configured([format!("maxmemory-policy {policy}")]).await;
            let expected = RedisError::Evicts { policy: policy.to_owned() };
            assert_eq!(refused(&server.url()).await, expected);
            assert_eq!(Member::initialize(&server.url()).await.err(), Some(expected));
        }
    }

    #[tokio::test]
    async fn a_replica_is_refused() {
        let server = store().await;
        let replica = Server::configured([format!("replicaof 127.0.0.1 {}", server.port())]).await;
        assert_eq!(refused(&replica.url()).await, RedisError::Replica);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_or_wants_a_password_is_told() {
        let mut server = Server::configured(["requirepass hidden"]).await;
        let error = refused(&server.url()).await;
        assert!(
            matches!(&error, RedisError::Connection { reason } if reason.contains("NOAUTH")),
            "{error}"
        );
        let wrong = refused(&format!("redis://:wrong@127.0.0.1:{}", server.port())).await;
        assert!(!format!("{wrong} {wrong:?}").contains(":wrong"), "{wrong}");
        let right = format!("redis://:hidden@127.0.0.1:{}", server.port());
        assert!(Member::initialize(&right).await.unwrap());
        fresh(&right).await;
        server.kill();
        assert!(matches!(refused(&right).await, RedisError::Connection { .. }));
    }

    #[tokio::test]
    async fn a_store_with_other_terms_is_not_made_over() {
        let server = store().await;
        let redis = RedisRevocations::server(&server.url()).unwrap();
        let longer = StoreTerms::new(Duration::from_secs(901));
        let (max_lifetime, leeway) = (Duration::from_secs(900), Duration::from_secs(30));
        let expected = RedisError::OtherTerms { max_lifetime, leeway };
        assert_eq!(redis.initialize(longer).await, Err(expected));
        // Under another name it is another store.
        assert_eq!(redis.prefix("other").initialize(longer).await, Ok(true));
    }

    #[tokio::test]
    async fn a_policy_with_a_longer_lifetime_than_the_store_does_not_build() {
        let server = store().await;
        let member = fresh(&server.url()).await;
        let longer = TestIssuer::new(ISSUER)
            .policy_builder()
            .max_lifetime(Duration::from_secs(901))
            .revocations(member.revocations.enforce([Revocable::Token]));
        let error: BuildError = longer.build().err().unwrap();
        let [PolicyFault::Revocations { fault, .. }] = error.faults() else { panic!("{error}") };
        let (lifetime, longest) = (Some(Duration::from_secs(901)), Duration::from_secs(900));
        assert_eq!(*fault, RevocationFault::Lifetime { lifetime, longest });
    }

    #[tokio::test]
    async fn two_prefixes_are_two_stores() {
        let server = store().await;
        let redis = RedisRevocations::server(&server.url()).unwrap().prefix("other");
        assert!(redis.initialize(Member::terms()).await.unwrap());
        let (one, other) =
            (fresh(&server.url()).await, Member::with(Member::settings(redis)).await.unwrap());
        is_fresh(&other).await;
        one.revoke("revoked").await;
        has_news(&other).await;
        assert_eq!(other.verdict(&token("revoked")), Verdict::Active);
    }
}

mod ways_to_a_server {
    use std::fs;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer as Authority, KeyPair};

    use super::*;

    /// Files of a certificate for this host, and the authority that signed it, as PEM.
    fn certificate(folder: &std::path::Path) -> String {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let root = authority.self_signed(&authority_key).unwrap().pem();
        let authority = Authority::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let mut certificate = CertificateParams::new(names).unwrap();
        // Of the authority's name, it would be taken for one that signed itself.
        certificate.distinguished_name.push(DnType::CommonName, "localhost");
        let certificate = certificate.signed_by(&key, &authority).unwrap();
        fs::write(folder.join("certificate.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        root
    }

    /// One with the certificate of this folder, and one more line; and its URL.
    async fn tls_server(folder: &std::path::Path, line: &str) -> (Server, String) {
        let port = Server::start().await.port();
        let lines = [
            format!("tls-port {port}"),
            format!("tls-cert-file {}", folder.join("certificate.pem").display()),
            format!("tls-key-file {}", folder.join("key.pem").display()),
            line.to_owned(),
        ];
        (Server::configured(lines).await, format!("rediss://localhost:{port}"))
    }

    #[tokio::test]
    async fn over_tls_only_a_server_with_a_trusted_certificate_is_talked_to() {
        let folder = tempfile::tempdir().unwrap();
        let root = certificate(folder.path());
        let (_server, url) = tls_server(folder.path(), "tls-auth-clients no").await;
        let redis = RedisRevocations::server(&url).unwrap();
        let trusting = redis.clone().root_certificates(root);
        assert!(trusting.initialize(Member::terms()).await.unwrap());
        let one = Member::with(Member::settings(trusting.clone())).await.unwrap();
        let other = Member::with(Member::settings(trusting)).await.unwrap();
        is_fresh(&one).await;
        is_fresh(&other).await;
        one.revoke("revoked").await;
        refuses(&other, "revoked").await;

        let another = certificate(tempfile::tempdir().unwrap().path());
        for redis in [redis.clone(), redis.clone().root_certificates(another)] {
            let refused = redis.initialize(Member::terms()).await;
            assert!(matches!(refused, Err(RedisError::Connection { .. })), "{refused:?}");
        }
        let refused = redis.root_certificates("no certificate").initialize(Member::terms()).await;
        assert_eq!(refused, Err(RedisError::Certificates));
    }

    #[tokio::test]
    async fn a_server_that_asks_for_a_certificate_gets_the_one_that_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let root = certificate(folder.path());
        let trusted = folder.path().join("root.pem");
        fs::write(&trusted, &root).unwrap();
        // As TLS comes in Redis: clients are asked for a certificate.
        let line = format!("tls-ca-cert-file {}", trusted.display());
        let (_server, url) = tls_server(folder.path(), &line).await;
        let redis = RedisRevocations::server(&url).unwrap();
        let redis = redis.root_certificates(root.clone());
        let refused = redis.initialize(Member::terms()).await;
        assert!(matches!(refused, Err(RedisError::Connection { .. })), "{refused:?}");
        let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
        let known = redis.clone().client_certificate(file("certificate.pem"), file("key.pem"));
        assert!(known.initialize(Member::terms()).await.unwrap());
        let member = Member::with(Member::settings(known)).await.unwrap();
        is_fresh(&member).await;
        for (chain, key) in [(root, file("certificate.pem")), (String::new(), file("key.pem"))] {
            let refused = redis.clone().client_certificate(chain, key);
            let refused = refused.initialize(Member::terms()).await;
            assert_eq!(refused, Err(RedisError::ClientCertificate));
        }
    }

    /// What the docs say that a user of Redis has to be allowed.
    fn what_a_user_needs() -> String {
        let docs = include_str!("../../../crates/portcullis-redis/src/lib.rs");
        let (_, list) = docs.split_once("//! ```text\n//! ").unwrap();
        let (list, _) = list.split_once("\n//! ```").unwrap();
        list.replace("\n//! ", " ")
    }

    #[tokio::test]
    async fn a_user_who_may_do_what_the_docs_list_and_nothing_else_is_enough() {
        let user = format!("user portcullis on >hidden {}", what_a_user_needs());
        let server = Server::configured([user]).await;
        let url = format!("redis://portcullis:hidden@127.0.0.1:{}", server.port());
        assert!(Member::initialize(&url).await.unwrap());
        let (one, other) = (fresh(&url).await, fresh(&url).await);
        one.revoke("revoked").await;
        refuses(&other, "revoked").await;
        let log: Vec<redis::Value> = server.ask(&["ACL", "LOG"]).await;
        assert!(log.is_empty(), "{log:?}");
    }

    #[tokio::test]
    async fn over_sentinel_the_promoted_master_is_found() {
        let mut master = Server::start().await;
        let replica = Server::configured([format!("replicaof 127.0.0.1 {}", master.port())]).await;
        let sentinel = Server::sentinel_of(&master).await;
        let sentinels = [sentinel.url()];
        let redis = || {
            let sentinels = sentinels.iter().map(String::as_str);
            RedisRevocations::sentinel(sentinels, "main", "redis://unused").unwrap()
        };
        assert!(redis().initialize(Member::terms()).await.unwrap());
        eventually("replicated", async || {
            sentinel.ask::<Vec<Vec<String>>>(&["SENTINEL", "REPLICAS", "main"]).await.len() == 1
                && replica.info("master_link_status").await == "up"
        })
        .await;
        let member = Member::with(Member::settings(redis())).await.unwrap();
        is_fresh(&member).await;
        member.revoke("before").await;
        master.kill();
        has_news(&member).await;
        member.revoke("after").await;
        let new = Member::with(Member::settings(redis())).await.unwrap();
        is_fresh(&new).await;
        for id in ["before", "after"] {
            assert_eq!(new.verdict(&token(id)), Verdict::Revoked, "{id}");
        }
        assert_eq!(replica.info("role").await, "master");
    }

    #[tokio::test]
    async fn over_sentinel_user_and_tls_are_those_of_the_master() {
        let folder = tempfile::tempdir().unwrap();
        let root = certificate(folder.path());
        fs::write(folder.path().join("root.pem"), &root).unwrap();
        let user = format!("user portcullis on >hidden {}", what_a_user_needs());
        let (master, url) =
            tls_server(folder.path(), &format!("tls-auth-clients no\n{user}")).await;
        let tls_port = url.rsplit_once(':').unwrap().1;
        let file = |name: &str| folder.path().join(name).display().to_string();
        let sentinel = Server::with(Setup {
            is_sentinel: true,
            lines: vec![
                "tls-replication yes".to_owned(),
                format!("tls-cert-file {}", file("certificate.pem")),
                format!("tls-key-file {}", file("key.pem")),
                format!("tls-ca-cert-file {}", file("root.pem")),
                format!("sentinel monitor main 127.0.0.1 {tls_port} 1"),
            ],
            ..Setup::default()
        })
        .await;
        let sentinels = sentinel.url();
        let redis = |server: &str| {
            RedisRevocations::sentinel([sentinels.as_str()], "main", server)
                .unwrap()
                .root_certificates(root.clone())
        };
        let known = redis("rediss://portcullis:hidden@unused");
        assert!(known.initialize(Member::terms()).await.unwrap());
        let one = Member::with(Member::settings(known.clone())).await.unwrap();
        let other = Member::with(Member::settings(known)).await.unwrap();
        is_fresh(&one).await;
        is_fresh(&other).await;
        one.revoke("revoked").await;
        refuses(&other, "revoked").await;
        let users: String = master.ask(&["CLIENT", "LIST"]).await;
        assert!(users.contains("user=portcullis"), "{users}");
        for server in ["rediss://portcullis:guessed@unused", "redis://portcullis:hidden@unused"] {
            let refused = redis(server).initialize(Member::terms()).await;
            assert!(matches!(refused, Err(RedisError::Connection { .. })), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn in_a_cluster_the_node_of_the_slot_is_found_by_a_user_who_may_ask_for_it() {
        let user = format!(
            "user portcullis on >hidden {} +cluster|keyslot +cluster|slots",
            what_a_user_needs()
        );
        let node = || {
            Server::configured(["cluster-enabled yes", "cluster-require-full-coverage no", &user])
        };
        let nodes = [node().await, node().await];
        // Only one of them serves our slot, and the other knows which.
        let slot: u64 = nodes[0].ask(&["CLUSTER", "KEYSLOT", "{portcullis}"]).await;
        let slot = slot.to_string();
        let _: String = nodes[1].ask(&["CLUSTER", "ADDSLOTS", &slot]).await;
        let port = nodes[1].port().to_string();
        let _: String = nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port]).await;
        eventually("met", async || {
            let slots: Vec<redis::Value> = nodes[0].ask(&["CLUSTER", "SLOTS"]).await;
            !slots.is_empty()
                && nodes[0].ask::<String>(&["CLUSTER", "INFO"]).await.contains("cluster_state:ok")
        })
        .await;
        let url = format!("redis://portcullis:hidden@127.0.0.1:{}", nodes[0].port());
        let redis = RedisRevocations::cluster([url.as_str()]).unwrap();
        eventually("made", async || redis.initialize(Member::terms()).await.is_ok()).await;
        let one = Member::with(Member::settings(redis.clone())).await.unwrap();
        let other = Member::with(Member::settings(redis)).await.unwrap();
        is_fresh(&one).await;
        is_fresh(&other).await;
        one.revoke("revoked").await;
        refuses(&other, "revoked").await;
    }
}
