//! The scripts in Redis, held to the model of them that the simulation of `portcullis-redis` runs on.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

#[path = "../../../crates/portcullis-redis/src/tests/model.rs"]
mod model;

use std::collections::BTreeMap;

use portcullis_fleet_tests::Server;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use redis::Script;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use tokio::runtime::Runtime;

use self::model::{Entry, Heartbeat, Logged, Publication, Store, TERMS};

const INITIALIZE: &str =
    include_str!("../../../crates/portcullis-redis/src/scripts/initialize.lua");
const HEARTBEAT: &str = include_str!("../../../crates/portcullis-redis/src/scripts/heartbeat.lua");
const PUBLISH: &str = include_str!("../../../crates/portcullis-redis/src/scripts/publish.lua");

const META: &str = "{p}:meta";
const LOG: &str = "{p}:log";
const BUCKETS: &str = "{p}:buckets";
const BUCKET: &str = "{p}:until:never";
const PUBLISHING: &str = "{p}:publishing";

#[derive(Clone, Debug)]
enum Step {
    Initialize {
        window: u64,
    },
    Lose,
    /// The server's clock goes on, or back, by so many milliseconds.
    Jump {
        by: i64,
    },
    Beat {
        server: u8,
        key: u8,
        stamp: Option<u64>,
        publisher: Option<(u8, u64)>,
        is_diverged: bool,
    },
    Publish {
        key: u8,
        publisher: Option<(u8, u64)>,
        is_seen: bool,
        counts_with: Option<(u8, u64)>,
        entries: Vec<(u8, u64, u32)>,
    },
    Published {
        publisher: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lease = || prop_oneof![Just(1), Just(1_500), Just(1_000_000)];
    let publisher = || proptest::option::weighted(0.3, (0..3_u8, lease()));
    let jump = prop_oneof![Just(1_000), Just(2_001), Just(60_000), Just(-1_000), Just(-3_600_000)];
    let entries = prop::collection::vec((0..4_u8, 0..3_u64, 0..3_u32), 1..4);
    let lift = proptest::option::weighted(0.5, (0..4_u8, 0..2_u64));
    let beat = (0..2_u8, 0..2_u8, proptest::option::of(0..5_u64), publisher(), any::<bool>());
    let step = prop_oneof![
        2 => prop_oneof![Just(0), Just(1_500), Just(4_000), Just(1_000_000)].prop_map(|window| Step::Initialize { window }),
        1 => Just(Step::Lose),
        4 => jump.prop_map(|by| Step::Jump { by }),
        8 => beat.prop_map(|(server, key, stamp, publisher, is_diverged)| {
            Step::Beat { server, key, stamp, publisher, is_diverged }
        }),
        8 => (0..2_u8, publisher(), any::<bool>(), lift, entries).prop_map(
            |(key, publisher, is_seen, counts_with, entries)| {
                Step::Publish { key, publisher, is_seen, counts_with, entries }
            }
        ),
        1 => (0..3_u8).prop_map(|publisher| Step::Published { publisher }),
    ];
    prop::collection::vec(step, 1..40)
}

fn stored_key(number: u8) -> Vec<u8> {
    vec![number, 0, 255]
}

/// How often it was met.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    beats: u32,
    begun: u32,
    lifted: u32,
    /// A recovery that was over, and a lease.
    over: u32,
}

fn name(publisher: Option<(u8, u64)>) -> (String, u64) {
    publisher.map_or_else(Default::default, |(it, lease)| (format!("publisher {it}"), lease))
}

/// What the store says of time: its age, when its recovery began, and when the last heartbeat came.
async fn times(redis: &mut MultiplexedConnection) -> Vec<Option<i64>> {
    let mut read = redis::cmd("HMGET");
    read.arg(META).arg("age").arg("since").arg("heartbeat").query_async(redis).await.unwrap()
}

/// What the server has, as the model has it.
async fn stored(redis: &mut MultiplexedConnection) -> Store {
    let state: BTreeMap<Vec<u8>, String> =
        redis::cmd("HGETALL").arg(BUCKET).query_async(redis).await.unwrap();
    let state = state.into_iter().map(|(key, value)| {
        let (mark, ends) = value.split_at(20);
        (key, (mark.parse().unwrap(), ends.parse().unwrap()))
    });
    let log: StreamRangeReply =
        redis::cmd("XRANGE").arg(LOG).arg("-").arg("+").query_async(redis).await.unwrap();
    let log = log.ids.iter().map(|id| {
        let text = |name: &str| id.get::<String>(name).unwrap();
        let entry = Entry {
            key: id.get("k").unwrap(),
            mark: text("m").parse().unwrap(),
            ends: text("e").parse().unwrap(),
        };
        let number = id.id.strip_suffix("-0").unwrap().parse().unwrap();
        (number, Logged { entry, writing: text("n"), before: text("b") })
    });
    let mut read = redis::cmd("ZRANGE");
    let read = read.arg(PUBLISHING).arg(0).arg(-1).arg("WITHSCORES");
    let publishing: Vec<(String, u64)> = read.query_async(redis).await.unwrap();
    Store {
        meta: None,
        log: log.collect(),
        state: state.collect(),
        publishing: publishing.into_iter().collect(),
    }
}

async fn run(redis: &mut MultiplexedConnection, steps: Vec<Step>, met: &mut Met) {
    let _: String = redis::cmd("FLUSHALL").query_async(redis).await.unwrap();
    let mut model = Store::default();
    let mut count = 0;
    // The time of the server, which its replies say, for the model.
    let mut time = 0;
    for step in steps {
        count += 1;
        let drawn = format!("drawn {count}");
        match step {
            Step::Initialize { window } => {
                let epoch = format!("epoch {count}");
                let reply: Vec<String> = Script::new(INITIALIZE)
                    .key(META)
                    .key(LOG)
                    .key(BUCKETS)
                    .key(PUBLISHING)
                    .arg(&epoch)
                    .arg(&drawn)
                    .arg(&TERMS)
                    .arg(window)
                    .invoke_async(redis)
                    .await
                    .unwrap();
                if reply.is_empty() {
                    let at: u64 = redis::cmd("HGET")
                        .arg(META)
                        .arg("heartbeat")
                        .query_async(redis)
                        .await
                        .unwrap();
                    time = at;
                }
                assert_eq!(model.initialize(time, &epoch, &drawn, window), reply.is_empty());
            }
            Step::Lose => {
                let _: u64 = redis::cmd("DEL").arg(META).query_async(redis).await.unwrap();
                model.meta = None;
            }
            Step::Jump { by } => {
                if let Some(meta) = &mut model.meta {
                    // The clock of a server is not to be set: the last heartbeat is, by as much the other way.
                    meta.heartbeat = meta.heartbeat.saturating_add_signed(-by);
                    let mut set = redis::cmd("HINCRBY");
                    let set = set.arg(META).arg("heartbeat").arg(-by);
                    let _: i64 = set.query_async(redis).await.unwrap();
                }
            }
            Step::Beat { server, key, stamp, publisher, is_diverged } => {
                let incarnation = format!("server {server}");
                let (key, (publisher, lease)) = (format!("key {key}"), name(publisher));
                let known = model.meta.as_ref().map(|meta| meta.recovery.clone());
                let leases = model.publishing.len();
                let diverged = known.clone().filter(|_| is_diverged).unwrap_or_default();
                let reply: Vec<String> = Script::new(HEARTBEAT)
                    .key(META)
                    .key(LOG)
                    .key(BUCKETS)
                    .key(PUBLISHING)
                    .arg(&incarnation)
                    .arg(&drawn)
                    .arg(&diverged)
                    .arg(&key)
                    .arg(&key)
                    .arg(stamp.map_or_else(String::new, |stamp| stamp.to_string()))
                    .arg(&publisher)
                    .arg(lease)
                    .invoke_async(redis)
                    .await
                    .unwrap();
                if let Some(now) = reply.last() {
                    time = now.parse().unwrap();
                }
                let expected = model.heartbeat(
                    time,
                    &Heartbeat {
                        incarnation: &incarnation,
                        recovery: &drawn,
                        diverged: &diverged,
                        key: &key,
                        fingerprint: &key,
                        stamp,
                        publisher: &publisher,
                        lease,
                    },
                );
                assert_eq!(reply, expected);
                met.beats += 1;
                met.begun += u32::from(known.is_some() && reply.get(2) != known.as_ref());
                met.over += u32::from(model.publishing.len() < leases);
            }
            Step::Publish { key, publisher, is_seen, counts_with, entries } => {
                let (fingerprint, (publisher, lease)) = (format!("key {key}"), name(publisher));
                let entries: Vec<_> = entries
                    .into_iter()
                    .map(|(key, mark, ends)| Entry { key: stored_key(key), mark, ends })
                    .collect();
                let counts_with = counts_with.map(|(key, most)| (stored_key(key), most));
                let (lift, most) = counts_with.clone().unwrap_or_default();
                let script = Script::new(PUBLISH);
                let mut call = script.prepare_invoke();
                call.key(META).key(LOG).key(BUCKETS).key(BUCKET).key(PUBLISHING).key(BUCKET);
                call.arg(&fingerprint).arg(1000).arg("never").arg(&publisher).arg(lease);
                call.arg(&drawn).arg(u8::from(is_seen)).arg(lift).arg(format!("{most:020}"));
                for Entry { key, mark, ends } in &entries {
                    call.arg(key).arg(format!("{mark:020}")).arg(format!("{ends:010}"));
                }
                let reply: Vec<String> = call.invoke_async(redis).await.unwrap();
                let expected = model.publish(&Publication {
                    fingerprint: &fingerprint,
                    publisher: &publisher,
                    lease,
                    writing: &drawn,
                    is_seen,
                    counts_with: counts_with.as_ref().map(|(key, most)| (&key[..], *most)),
                    entries: &entries,
                });
                assert_eq!(reply, expected);
                met.lifted += u32::from(reply == ["lifted"]);
            }
            Step::Published { publisher } => {
                let (publisher, _) = name(Some((publisher, 0)));
                let _: u64 = redis::cmd("ZREM")
                    .arg(PUBLISHING)
                    .arg(&publisher)
                    .query_async(redis)
                    .await
                    .unwrap();
                model.published(&publisher);
            }
        }
        let mut expected = model.clone();
        let meta = expected.meta.take();
        assert_eq!(stored(redis).await, expected);
        let signed = |time: u64| Some(i64::try_from(time).unwrap());
        let expected = meta.map_or([None; 3], |it| [it.age, it.since, it.heartbeat].map(signed));
        assert_eq!(times(redis).await, expected);
    }
}

#[test]
fn the_scripts_do_what_the_model_of_them_does() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let client = redis::Client::open(server.url()).unwrap();
    let connection = runtime.block_on(client.get_multiplexed_async_connection()).unwrap();
    let met = std::cell::Cell::new(Met::default());
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&steps(), |steps| {
        let mut so_far = met.get();
        runtime.block_on(run(&mut connection.clone(), steps, &mut so_far));
        met.set(so_far);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let Met { beats, begun, lifted, over } = met.get();
    assert!(beats > 300 && begun > 100 && lifted > 5 && over > 20, "{:?}", met.get());
}

#[test]
fn a_bucket_goes_when_it_is_over_and_is_listed_until_then() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let server = Server::start().await;
        let client = redis::Client::open(server.url()).unwrap();
        let mut redis = client.get_multiplexed_async_connection().await.unwrap();
        let mut ask = redis::cmd("HSET");
        let ask = ask.arg(META).arg("format").arg("2").arg("fingerprint").arg("key");
        let ask = ask.arg("sequence").arg(0).arg("head").arg("").arg("age").arg(0);
        let _: u64 = ask.query_async(&mut redis).await.unwrap();
        let (now, _): (u64, u64) = redis::cmd("TIME").query_async(&mut redis).await.unwrap();
        let bucket = |over: &str| format!("{{p}}:until:{over}");
        // Two that are over, one of which would not be in a second, and then one that is not, and one for ever.
        let over = [now - 3_600, now - 1, now + 3_600].map(|it| it.to_string());
        for (count, over) in over.iter().map(String::as_str).chain(["never"]).enumerate() {
            let script = Script::new(PUBLISH);
            let mut call = script.prepare_invoke();
            call.key(META).key(LOG).key(BUCKETS).key(bucket(over)).key(PUBLISHING).key(BUCKET);
            call.arg("key").arg(1000).arg(over).arg("").arg(0).arg(format!("drawn {count}"));
            call.arg(0).arg("").arg(format!("{:020}", 0));
            call.arg(stored_key(1)).arg(format!("{:020}", 1)).arg(format!("{:010}", 9));
            let reply: Vec<String> = call.invoke_async(&mut redis).await.unwrap();
            assert_eq!(reply, ["ok", &(count + 1).to_string()]);
        }
        let mut listed = Vec::new();
        let names: Vec<(String, String)> = redis::cmd("ZRANGE")
            .arg(BUCKETS)
            .arg(0)
            .arg(-1)
            .arg("WITHSCORES")
            .query_async(&mut redis)
            .await
            .unwrap();
        for (name, over) in names {
            let left: i64 = redis::cmd("TTL").arg(&name).query_async(&mut redis).await.unwrap();
            listed.push((name, over, (3_500..=3_600).contains(&left)));
            assert!(left > 0 || left == -1, "{left}");
        }
        let later = &over[2];
        assert_eq!(
            listed,
            [(bucket(later), later.clone(), true), (bucket("never"), "inf".to_owned(), false),]
        );
    });
}
