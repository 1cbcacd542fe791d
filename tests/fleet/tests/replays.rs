//! What `portcullis-redis` promises of used proofs, held to real servers.
//!
//! 1. Of all who come with one proof, at whatever instance, one passes.
//! 2. Where the server lost its data, or may have, no proof passes that was made before.
//! 3. Where it cannot be told whether a proof was used, nothing passes, and the proof is not used.
//! 4. Nobody fills more than a share of the room.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::time::{Duration, Instant, SystemTime};

use portcullis::dpop::Replays as _;
use portcullis::{Algorithm, UnixTime};
use portcullis_fleet_tests::{
    Ahead, Client, Door, Member, Process, Server, Service, Told, eventually, request,
};
use portcullis_redis::{RedisError, RedisReplays};
use portcullis_testkit::{FixedClock, SigningKey};
use tokio::task::JoinSet;

const MEMORY: &str = "{portcullis}:replays:default:memory";

/// Whether a key stands for a used proof.
fn is_proof(key: &[u8]) -> bool {
    key.starts_with(b"{portcullis}:replays:default:=")
}

/// Gives a server's memory an age of an hour, so that proofs of now are not from before it.
async fn age(server: &Server) {
    let birth = millis_now() - 3_600_000;
    let _: i64 = server.ask(&["HSET", MEMORY, "birth", &birth.to_string()]).await;
}

fn millis_now() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()
}

/// A server that has remembered for an hour.
async fn aged(server: Server) -> Server {
    drop(Service::start(&server.url()).await.unwrap());
    age(&server).await;
    server
}

async fn old_server() -> Server {
    aged(Server::start().await).await
}

async fn start(url: &str) -> Service {
    Service::start(url).await.unwrap()
}

async fn passes(service: &Service, client: &Client) -> String {
    let proof = client.proof().mint();
    assert_eq!(service.ask(&client.token, &proof).await, Told::Passes);
    proof
}

/// A proof with a nonce that the service gives out now.
async fn nonce(service: &Service, client: &Client) -> String {
    match service.ask_with_nonce(&client.token, &client.proof().mint()).await {
        Told::Nonce(nonce) => nonce,
        told => panic!("{told:?}"),
    }
}

async fn passes_with_nonce(service: &Service, client: &Client) -> String {
    let proof = client.proof().claim("nonce", nonce(service, client).await).mint();
    assert_eq!(service.ask_with_nonce(&client.token, &proof).await, Told::Passes);
    proof
}

/// Waits until a service has heard of another memory than that of `before`.
async fn is_in_another_epoch(service: &Service, before: u64) {
    eventually("another epoch", async || {
        service.used.epoch() != before && service.used.is_available()
    })
    .await;
}

/// A proof of a service whose memory was lost: not that of before, and a new one.
async fn has_forgotten_safely(service: &Service, client: &Client, used: &Used, epoch: u64) {
    // At the very first moment, and at any other.
    for told in used.again(service, client).await {
        assert!(!matches!(told, Told::Passes), "{told:?}");
    }
    is_in_another_epoch(service, epoch).await;
    let [by_clock, with_nonce] = used.again(service, client).await;
    assert_eq!(by_clock, Told::Seen);
    assert!(matches!(with_nonce, Told::Nonce(_)), "{with_nonce:?}");
    // Nor one of before that nobody has used.
    assert_eq!(service.ask(&client.token, &used.unused).await, Told::Seen);
    passes_with_nonce(service, client).await;
}

/// What was used before a memory is lost.
struct Used {
    by_clock: String,
    with_nonce: String,
    unused: String,
}

impl Used {
    async fn at(service: &Service, client: &Client) -> Self {
        let unused = client.proof().mint();
        let by_clock = passes(service, client).await;
        Self { by_clock, with_nonce: passes_with_nonce(service, client).await, unused }
    }

    async fn again(&self, service: &Service, client: &Client) -> [Told; 2] {
        [
            service.ask(&client.token, &self.by_clock).await,
            service.ask_with_nonce(&client.token, &self.with_nonce).await,
        ]
    }
}

mod while_redis_keeps_its_data {
    use super::*;

    #[tokio::test]
    async fn a_proof_is_taken_once_at_whatever_instance() {
        let server = old_server().await;
        let (one, other) = (start(&server.url()).await, start(&server.url()).await);
        let client = Client::new("alice");
        for (first, second) in [(&one, &other), (&other, &one), (&one, &one)] {
            let used = Used::at(first, &client).await;
            assert_eq!(used.again(second, &client).await, [Told::Seen, Told::Seen]);
            assert_eq!(used.again(first, &client).await, [Told::Seen, Told::Seen]);
        }
        assert_eq!(one.used.epoch(), other.used.epoch());
        assert!(one.used.is_shared());
        // A nonce of the one is taken by the other.
        let proof = client.proof().claim("nonce", nonce(&one, &client).await).mint();
        assert_eq!(other.ask_with_nonce(&client.token, &proof).await, Told::Passes);
        assert_eq!(one.ask_with_nonce(&client.token, &proof).await, Told::Seen);
    }

    #[tokio::test]
    async fn of_64_who_come_with_one_proof_to_two_processes_at_once_one_passes() {
        const PROGRAM: &str = env!("CARGO_BIN_EXE_service");
        let server = old_server().await;
        let client = Client::new("alice");
        let mut one = Process::start(PROGRAM.as_ref(), &server.url()).await;
        let mut other = Process::start(PROGRAM.as_ref(), &server.url()).await;
        for round in 0..30 {
            let line = format!("32 {} {}", client.token, client.proof().mint());
            one.tell(&line).await;
            other.tell(&line).await;
            let mut told = [one.hear().await, other.hear().await];
            told.sort_unstable();
            assert_eq!(told, ["0 32 0", "1 31 0"], "round {round}");
        }
    }

    #[tokio::test]
    async fn what_a_gateway_has_used_the_backend_has_not() {
        let server = Server::start().await;
        let named = async |name: &str| {
            let settings = || Service::settings(&server.url()).unwrap().name(name);
            drop(Service::with(settings(), Ahead(0)).await.unwrap());
            let memory = format!("{{portcullis}}:replays:{name}:memory");
            let birth = (millis_now() - 3_600_000).to_string();
            let _: i64 = server.ask(&["HSET", &memory, "birth", &birth]).await;
            Service::with(settings(), Ahead(0)).await.unwrap()
        };
        let (gateway, backend) = (named("gateway").await, named("backend").await);
        let client = Client::new("alice");
        let proof = passes(&gateway, &client).await;
        assert_eq!(backend.ask(&client.token, &proof).await, Told::Passes);
        for service in [&gateway, &backend] {
            assert_eq!(service.ask(&client.token, &proof).await, Told::Seen);
        }
    }

    #[tokio::test]
    async fn a_proof_is_kept_until_no_clock_takes_it_and_says_nothing_of_itself() {
        let server = old_server().await;
        let (service, client) = (start(&server.url()).await, Client::new("alice"));
        passes(&service, &client).await;
        let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "{portcullis}:replays:default:*"]).await;
        let proofs: Vec<_> = keys.iter().filter(|key| is_proof(key)).collect();
        assert_eq!(proofs.len(), 1, "{keys:?}");
        let left: i64 = server.ask_bytes(&[b"PTTL", proofs[0]]).await;
        // 60 s from its second on, the rest of that second, and 5 s between the clocks.
        assert!((63_000..=66_000).contains(&left), "{left}");
        let value: Vec<u8> = server.ask_bytes(&[b"GET", proofs[0]]).await;
        assert!(value.is_empty());
        // Nothing else stays: the shares are over soon.
        for key in keys.iter().filter(|key| *key != MEMORY.as_bytes()) {
            let left: i64 = server.ask_bytes(&[b"PTTL", key]).await;
            assert!((1..=66_000).contains(&left), "{left}");
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_or_ahead_opens_nothing() {
        let server = old_server().await;
        let now = UnixTime::from(SystemTime::now()).0;
        let clock = FixedClock::at(now);
        let settings = Service::settings(&server.url()).unwrap();
        let service = Service::with(settings, clock.clone()).await.unwrap();
        let client = Client::new("alice");
        let used = Used::at(&service, &client).await;
        for moved in [-25, -7, 7, 25, 59] {
            clock.set(now + moved);
            for told in used.again(&service, &client).await {
                assert!(!matches!(told, Told::Passes | Told::Seen), "{moved}: {told:?}");
            }
            let key = SigningKey::generate(Algorithm::ES256);
            let other = Client::with("bob", &key, clock.clone());
            let told = service.ask(&other.token, &other.proof().mint()).await;
            assert_eq!(told, Told::Unavailable, "{moved}");
        }
        for moved in [-2, 0, 2] {
            clock.set(now + moved);
            assert_eq!(service.ask(&client.token, &used.by_clock).await, Told::Seen, "{moved}");
        }
    }
}

mod where_an_answer_comes_late {
    use super::*;

    /// Redis answers `OK` to a `SET` whose time is over, and keeps nothing.
    #[tokio::test]
    async fn what_was_forgotten_while_the_server_stood_still_does_not_pass_again() {
        let server = old_server().await;
        // A policy that is 3 s behind the server, and a proof in the last second in which it is taken: forgotten within 3 s.
        let now = UnixTime::from(SystemTime::now()).0 - 3;
        let patient = Duration::from_secs(30);
        let settings = RedisReplays::server(&server.url()).unwrap().timeout(patient);
        let service = Service::with(settings, FixedClock::at(now)).await.unwrap();
        let client = Client::new("alice");
        let proof = client.proof().claim("iat", now - 60).mint();
        assert_eq!(service.ask(&client.token, &proof).await, Told::Passes);
        let _: String = server.ask(&["CLIENT", "PAUSE", "4000", "ALL"]).await;
        assert_eq!(service.ask(&client.token, &proof).await, Told::Seen);
    }
}

mod where_redis_may_have_lost_data {
    use super::*;

    #[tokio::test]
    async fn a_server_that_comes_back_without_its_data_takes_nothing_of_before() {
        let mut server = old_server().await;
        let (service, client) = (start(&server.url()).await, Client::new("alice"));
        let (used, epoch) = (Used::at(&service, &client).await, service.used.epoch());
        server.restart().await;
        has_forgotten_safely(&service, &client, &used, epoch).await;
    }

    #[tokio::test]
    async fn a_server_that_comes_back_with_its_log_takes_nothing_of_before() {
        // It may lack the last second of it.
        let mut server = aged(Server::durable().await).await;
        let (service, client) = (start(&server.url()).await, Client::new("alice"));
        let (used, epoch) = (Used::at(&service, &client).await, service.used.epoch());
        server.restart().await;
        let kept: Vec<Vec<u8>> = server.ask(&["KEYS", "*"]).await;
        assert!(kept.len() > 2);
        has_forgotten_safely(&service, &client, &used, epoch).await;
    }

    #[tokio::test]
    async fn a_server_that_is_emptied_is_noticed_by_the_next_proof() {
        for command in ["FLUSHALL", "FLUSHDB"] {
            let server = old_server().await;
            let (service, client) = (start(&server.url()).await, Client::new("alice"));
            for round in 0..5 {
                if round > 0 {
                    age(&server).await;
                    eventually("aged", async || {
                        let proof = client.proof().mint();
                        service.ask(&client.token, &proof).await == Told::Passes
                    })
                    .await;
                }
                let (used, epoch) = (Used::at(&service, &client).await, service.used.epoch());
                let _: String = server.ask(&[command]).await;
                // At once: nobody was told, and nobody has looked again.
                assert_eq!(service.ask(&client.token, &used.by_clock).await, Told::Seen);
                has_forgotten_safely(&service, &client, &used, epoch).await;
            }
        }
    }

    #[tokio::test]
    async fn a_replica_that_lacks_the_last_proofs_takes_none_of_them() {
        let master = Server::start().await;
        let link = Door::to(master.port()).await;
        let replica = Server::configured([format!("replicaof 127.0.0.1 {}", link.port())]).await;
        eventually("linked", async || replica.info("master_link_status").await == "up").await;
        // A master with its first replica calls its data by another name.
        let master = aged(master).await;
        let door = Door::to(master.port()).await;
        let (one, other) = (start(&door.url()).await, start(&door.url()).await);
        let client = Client::new("alice");
        passes(&one, &client).await;
        let epoch = one.used.epoch();
        eventually("it has the memory of before", async || {
            let found: Option<String> = replica.ask(&["HGET", MEMORY, "epoch"]).await;
            found.is_some_and(|found| u64::from_str_radix(&found, 16) == Ok(epoch))
        })
        .await;
        link.lead_to(None);
        let used = Used::at(&one, &client).await;
        let _: String = replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
        door.lead_to(Some(replica.port()));
        for service in [&one, &other] {
            has_forgotten_safely(service, &client, &used, epoch).await;
        }
        assert_eq!(one.used.epoch(), other.used.epoch());
    }

    #[tokio::test]
    async fn an_address_that_leads_to_another_server_takes_nothing_of_before() {
        // One that is empty, and one that has remembered for as long, but other proofs.
        for is_used in [false, true] {
            let first = old_server().await;
            let second = if is_used { old_server().await } else { Server::start().await };
            let door = Door::to(first.port()).await;
            let (service, client) = (start(&door.url()).await, Client::new("alice"));
            let (used, epoch) = (Used::at(&service, &client).await, service.used.epoch());
            door.lead_to(Some(second.port()));
            for told in used.again(&service, &client).await {
                assert!(!matches!(told, Told::Passes), "{told:?}");
            }
            is_in_another_epoch(&service, epoch).await;
            let [by_clock, with_nonce] = used.again(&service, &client).await;
            assert_eq!(by_clock, Told::Seen);
            assert!(matches!(with_nonce, Told::Nonce(_)), "{with_nonce:?}");
        }
    }

    #[tokio::test]
    async fn every_instance_comes_to_the_same_epoch_and_to_another_after_each_loss() {
        let mut server = Server::start().await;
        let mut instances = Vec::new();
        for _ in 0..4 {
            instances.push(start(&server.url()).await);
        }
        let mut epochs = vec![instances[0].used.epoch()];
        for round in 0..4 {
            let before = instances[0].used.epoch();
            if round % 2 == 0 {
                server.restart().await;
            } else {
                let _: String = server.ask(&["FLUSHALL"]).await;
            }
            for instance in &instances {
                is_in_another_epoch(instance, before).await;
            }
            // One that starts now, as well.
            instances.push(start(&server.url()).await);
            let epoch = instances[0].used.epoch();
            for instance in &instances {
                assert_eq!(instance.used.epoch(), epoch, "round {round}");
            }
            assert!(!epochs.contains(&epoch));
            epochs.push(epoch);
        }
    }

    #[tokio::test]
    async fn proofs_that_are_made_later_pass_again_by_their_clocks() {
        let server = Server::start().await;
        // A clock that is ahead by no more than it may be makes it short.
        let clock = Ahead(3);
        let settings = Service::settings(&server.url()).unwrap();
        let service = Service::with(settings, clock.clone()).await.unwrap();
        let client = Client::with("alice", &SigningKey::generate(Algorithm::ES256), clock.clone());
        let told = async || {
            let iat = portcullis::Clock::now(&clock).0 + 10;
            service.ask(&client.token, &client.proof().claim("iat", iat).mint()).await
        };
        assert_eq!(told().await, Told::Seen);
        let start = Instant::now();
        eventually("passes", async || match told().await {
            Told::Passes => true,
            Told::Seen => false,
            other => panic!("{other:?}"),
        })
        .await;
        assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
    }
}

mod where_it_cannot_be_told {
    use super::*;

    #[tokio::test]
    async fn a_proof_is_not_used_while_redis_is_out_of_reach_and_passes_once_it_is_back() {
        let server = old_server().await;
        let door = Door::to(server.port()).await;
        let (service, client) = (start(&door.url()).await, Client::new("alice"));
        passes(&service, &client).await;
        door.lead_to(None);
        eventually("out of reach", async || !service.used.is_available()).await;
        let proof = client.proof().mint();
        let asked = Instant::now();
        assert_eq!(service.ask(&client.token, &proof).await, Told::Unavailable);
        assert!(asked.elapsed() < Duration::from_millis(100), "nobody waits for what is not there");
        let error = service.used.error().unwrap();
        assert!(matches!(error, RedisError::Connection { .. }), "{error}");
        assert!(!service.policy.is_ready());
        door.lead_to(Some(server.port()));
        eventually("back", async || service.used.is_available()).await;
        assert!(service.policy.is_ready());
        assert_eq!(service.used.error(), None);
        assert_eq!(service.ask(&client.token, &proof).await, Told::Passes);
        assert_eq!(service.ask(&client.token, &proof).await, Told::Seen);
    }

    #[tokio::test]
    async fn a_server_that_hangs_is_not_waited_for_and_what_is_unsure_is_not_taken() {
        let server = old_server().await;
        let (service, client) = (start(&server.url()).await, Client::new("alice"));
        passes(&service, &client).await;
        server.pause();
        let proof = client.proof().mint();
        let asked = Instant::now();
        assert_eq!(service.ask(&client.token, &proof).await, Told::Unavailable);
        assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}", asked.elapsed());
        server.resume();
        eventually("back", async || service.used.is_available()).await;
        // The server may have read it once it went on.
        let again = service.ask(&client.token, &proof).await;
        assert!(matches!(again, Told::Seen | Told::Passes), "{again:?}");
        assert_eq!(service.ask(&client.token, &proof).await, Told::Seen);
        passes(&service, &client).await;
    }

    #[tokio::test]
    async fn of_many_questions_to_a_server_that_hangs_none_waits_longer_than_the_docs_say() {
        /// More than go at once: 4 questions of 64 proofs.
        const PROOFS: usize = 400;
        let limit = Duration::from_secs(1);
        let server = old_server().await;
        let settings = RedisReplays::server(&server.url()).unwrap().timeout(limit);
        let (service, client) =
            (Service::with(settings, Ahead(0)).await.unwrap(), Client::new("alice"));
        passes(&service, &client).await;
        let proofs: Vec<_> = (0..PROOFS).map(|_| client.proof().mint()).collect();
        server.pause();
        let mut all = JoinSet::new();
        for proof in proofs {
            let (policy, token) = (service.policy.clone(), client.token.clone());
            all.spawn(async move {
                let request = request(&token, &proof);
                let asked = Instant::now();
                let status = policy.verify(&request).await.err().map(|refused| refused.status());
                (status, asked.elapsed())
            });
        }
        for (status, took) in all.join_all().await {
            assert_eq!(status, Some(503));
            // And what a busy machine takes.
            assert!(took < 2 * limit + limit / 2, "{took:?}");
        }
        server.resume();
        eventually("back", async || service.used.is_available()).await;
        passes(&service, &client).await;
    }

    #[tokio::test]
    async fn a_server_that_cannot_keep_proofs_is_refused_and_says_why() {
        let connect = async |url: &str| Service::start(url).await.err();
        let evicts = Server::configured(["maxmemory-policy allkeys-lru"]).await;
        let refused = connect(&evicts.url()).await.unwrap();
        assert!(refused.to_string().contains("set `noeviction`"), "{refused}");
        let master = Server::start().await;
        let replica = Server::configured([format!("replicaof 127.0.0.1 {}", master.port())]).await;
        assert_eq!(connect(&replica.url()).await, Some(RedisError::Replica));
        let other = Server::start().await;
        let _: i64 = other.ask(&["HSET", MEMORY, "format", "9"]).await;
        assert_eq!(connect(&other.url()).await, Some(RedisError::Format));
        // While it runs, too.
        let service = start(&master.url()).await;
        let _: String = master.ask(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]).await;
        eventually("refused", async || {
            matches!(service.used.error(), Some(RedisError::Evicts { .. }))
        })
        .await;
        let _: String = master.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
        eventually("back", async || service.used.is_available()).await;
        let _: String = master.ask(&["REPLICAOF", "127.0.0.1", &other.port().to_string()]).await;
        eventually("refused", async || service.used.error() == Some(RedisError::Replica)).await;
    }

    #[tokio::test]
    async fn proofs_leave_memory_to_the_revocations_on_the_same_server() {
        let server = old_server().await;
        assert!(Member::initialize(&server.url()).await.unwrap());
        let (service, client) = (start(&server.url()).await, Client::new("alice"));
        let member = Member::start(&server.url()).await.unwrap();
        eventually("fresh", async || member.revocations.is_fresh()).await;
        passes(&service, &client).await;
        // The counts of shares come a little later than the proof, and are what takes most.
        eventually("counted", async || {
            let shares = "{portcullis}:replays:default:shares:*";
            let found: Vec<String> = server.ask(&["KEYS", shares]).await;
            !found.is_empty()
        })
        .await;
        let used: u64 = server.info("used_memory").await.parse().unwrap();
        let _: String =
            server.ask(&["CONFIG", "SET", "maxmemory", &(used * 20 / 19).to_string()]).await;
        eventually("scarce", async || service.used.error() == Some(RedisError::Scarce)).await;
        let told = service.ask(&client.token, &client.proof().mint()).await;
        assert_eq!(told, Told::Unavailable);
        // Heartbeats and revocations go on.
        let start = Instant::now();
        eventually("news", async || {
            let last = member.revocations.stats().last_contact;
            last.is_some_and(|age| age < start.elapsed())
        })
        .await;
        member.revoke("revoked").await;
        let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
        eventually("back", async || service.used.is_available()).await;
        passes(&service, &client).await;
    }
}

mod share {
    use super::*;

    /// A service whose clock stands still, so that all of it is in one slot of time.
    async fn service(server: &Server, capacity: usize) -> Service {
        let now = UnixTime::from(SystemTime::now()).0;
        let settings = Service::settings(&server.url()).unwrap().capacity(capacity);
        Service::with(settings, FixedClock::at(now)).await.unwrap()
    }

    async fn count(server: &Server) -> usize {
        let keys: Vec<Vec<u8>> = server.ask(&["KEYS", "{portcullis}:replays:default:*"]).await;
        keys.iter().filter(|key| is_proof(key)).count()
    }

    #[tokio::test]
    async fn one_subject_with_a_thousand_keys_fills_its_share_and_others_pass() {
        let server = old_server().await;
        let (one, other) = (service(&server, 50_000).await, service(&server, 50_000).await);
        let mut passed = 0;
        for number in 0..1000 {
            let instance = if number % 2 == 0 { &one } else { &other };
            let greedy = Client::new("mallory");
            match instance.ask(&greedy.token, &greedy.proof().mint()).await {
                Told::Passes => passed += 1,
                Told::Unavailable => {}
                told => panic!("{told:?}"),
            }
        }
        // A sixteenth of what comes in 8 s where 50,000 are remembered for 91 s.
        // What the other instance let in is told within milliseconds.
        let share = 50_000 / 14 / 16;
        assert!((share..share + share / 4).contains(&passed), "{passed} of {share}");
        assert_eq!(count(&server).await, passed);
        for name in ["alice", "bob", "carol"] {
            for instance in [&one, &other] {
                passes(instance, &Client::new(name)).await;
            }
        }
        // What had no room was not used: it passes where there is some.
        let greedy = Client::new("mallory");
        let proof = greedy.proof().mint();
        assert_eq!(one.ask(&greedy.token, &proof).await, Told::Unavailable);
        let later = service(&server, 1_000_000).await;
        assert_eq!(later.ask(&greedy.token, &proof).await, Told::Passes);
    }

    #[tokio::test]
    async fn a_proof_takes_some_200_bytes_in_redis_and_the_counts_of_a_slot_13_hundred_kilobytes() {
        /// A little more than a table of keys has room for: each takes the most then.
        const PROOFS: usize = 2100;
        let server = old_server().await;
        let (service, client) = (service(&server, 10_000_000).await, Client::new("alice"));
        let counts = async || {
            let keys: Vec<Vec<u8>> =
                server.ask(&["KEYS", "{portcullis}:replays:default:shares:*"]).await;
            let mut all = Vec::new();
            for key in &keys {
                all.push(server.ask_bytes::<u64>(&[b"MEMORY", b"USAGE", key]).await);
            }
            all
        };
        let used = async || {
            let used: u64 = server.info("used_memory").await.parse().unwrap();
            used - counts().await.iter().sum::<u64>()
        };
        passes(&service, &client).await;
        eventually("counted", async || !counts().await.is_empty()).await;
        let before = used().await;
        for _ in 0..PROOFS {
            passes(&service, &client).await;
        }
        let each = (used().await - before) / PROOFS as u64;
        println!("{each} bytes each, and counts of {:?} bytes", counts().await);
        assert!((150..=230).contains(&each), "{each}");
        assert!(counts().await.iter().all(|bytes| *bytes <= 1_350_000), "{:?}", counts().await);
        // The slot now, and those of the 12 s before: one that ended has so long.
        assert!(counts().await.len() <= 3);
    }

    #[tokio::test]
    async fn all_subjects_of_an_issuer_leave_room_and_all_proofs_have_a_bound() {
        let server = old_server().await;
        let service = service(&server, 1000).await;
        let mut passed = 0;
        for number in 0..100 {
            let client = Client::new(&format!("subject {number}"));
            match service.ask(&client.token, &client.proof().mint()).await {
                Told::Passes => passed += 1,
                Told::Unavailable => {}
                told => panic!("{told:?}"),
            }
        }
        // Three quarters of 71.
        assert_eq!(passed, 54);
        assert_eq!(count(&server).await, passed);
    }
}

mod connection {
    use super::*;

    #[tokio::test]
    async fn a_user_who_may_do_what_the_docs_list_and_nothing_else_is_enough() {
        let docs = include_str!("../../../crates/portcullis-redis/src/replays/mod.rs");
        let (_, list) = docs.split_once("/// ```text\n/// ").unwrap();
        let (list, _) = list.split_once("\n/// ```").unwrap();
        let user = format!("user portcullis on >hidden {}", list.replace("\n/// ", " "));
        let server = aged(Server::configured([user]).await).await;
        let url = format!("redis://portcullis:hidden@127.0.0.1:{}", server.port());
        let (service, client) = (start(&url).await, Client::new("alice"));
        let proof = passes(&service, &client).await;
        assert_eq!(service.ask(&client.token, &proof).await, Told::Seen);
        let log: Vec<redis::Value> = server.ask(&["ACL", "LOG"]).await;
        assert!(log.is_empty(), "{log:?}");
        assert!(!format!("{:?}", service.used).contains("hidden"));
    }

    #[tokio::test]
    async fn in_a_cluster_a_proof_is_taken_once_at_whatever_instance_by_a_user_who_may_ask_for_the_slot()
     {
        let docs = include_str!("../../../crates/portcullis-redis/src/replays/mod.rs");
        let (_, list) = docs.split_once("/// ```text\n/// ").unwrap();
        let (list, rest) = list.split_once("\n/// ```").unwrap();
        let (_, for_cluster) = rest.split_once("it asks for the slot as well: `").unwrap();
        let (for_cluster, _) = for_cluster.split_once('`').unwrap();
        let list = list.replace("\n/// ", " ");
        let user = format!("user portcullis on >hidden {list} {for_cluster}");
        let node = || {
            Server::configured(["cluster-enabled yes", "cluster-require-full-coverage no", &user])
        };
        let nodes = [node().await, node().await];
        // Only one of them serves our slot, and the other knows which.
        let slot: u64 = nodes[0].ask(&["CLUSTER", "KEYSLOT", "{portcullis}"]).await;
        let _: String = nodes[1].ask(&["CLUSTER", "ADDSLOTS", &slot.to_string()]).await;
        let port = nodes[1].port().to_string();
        let _: String = nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port]).await;
        eventually("met", async || {
            let slots: Vec<redis::Value> = nodes[0].ask(&["CLUSTER", "SLOTS"]).await;
            !slots.is_empty()
                && nodes[0].ask::<String>(&["CLUSTER", "INFO"]).await.contains("cluster_state:ok")
        })
        .await;
        let url = format!("redis://portcullis:hidden@127.0.0.1:{}", nodes[0].port());
        let start = async || {
            let settings = RedisReplays::cluster([&*url]).unwrap();
            Service::with(settings.timeout(Duration::from_millis(500)), Ahead(0)).await
        };
        eventually("connected", async || start().await.is_ok()).await;
        age(&nodes[1]).await;
        let (one, other) = (start().await.unwrap(), start().await.unwrap());
        let client = Client::new("alice");
        let used = Used::at(&one, &client).await;
        for service in [&other, &one] {
            assert_eq!(used.again(service, &client).await, [Told::Seen, Told::Seen]);
        }
        let keys: Vec<Vec<u8>> = nodes[1].ask(&["KEYS", "*"]).await;
        assert_eq!(keys.iter().filter(|key| is_proof(key)).count(), 2);
        for node in &nodes {
            let log: Vec<redis::Value> = node.ask(&["ACL", "LOG"]).await;
            assert!(log.is_empty(), "{log:?}");
        }
        // And is lost with its node.
        let epoch = one.used.epoch();
        let _: String = nodes[1].ask(&["FLUSHALL"]).await;
        has_forgotten_safely(&one, &client, &used, epoch).await;
    }

    #[tokio::test]
    async fn over_sentinel_no_proof_of_before_passes_at_the_promoted_master() {
        let master = Server::start().await;
        let replica = Server::configured([format!("replicaof 127.0.0.1 {}", master.port())]).await;
        let sentinel = Server::sentinel_of(&master).await;
        eventually("known", async || {
            let known: Vec<redis::Value> = sentinel.ask(&["SENTINEL", "REPLICAS", "main"]).await;
            !known.is_empty() && replica.info("master_link_status").await == "up"
        })
        .await;
        let mut master = aged(master).await;
        let url = sentinel.url();
        let settings = RedisReplays::sentinel([&*url], "main", "redis://unused").unwrap();
        let settings = settings.timeout(Duration::from_millis(500));
        let service = Service::with(settings, Ahead(0)).await.unwrap();
        let client = Client::new("alice");
        let (used, epoch) = (Used::at(&service, &client).await, service.used.epoch());
        master.kill();
        has_forgotten_safely(&service, &client, &used, epoch).await;
        drop(replica);
    }
}
