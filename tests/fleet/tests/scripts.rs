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
    Beat {
        server: u8,
        key: u8,
        stamp: Option<u64>,
        publisher: Option<u8>,
        is_diverged: bool,
    },
    Publish {
        key: u8,
        publisher: Option<u8>,
        is_seen: bool,
        counts_with: Option<(u8, u64)>,
        entries: Vec<(u8, u64, u32)>,
    },
    Published {
        publisher: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let publisher = || proptest::option::weighted(0.3, 0..3_u8);
    let entries = prop::collection::vec((0..4_u8, 0..3_u64, 0..3_u32), 1..4);
    let lift = proptest::option::weighted(0.5, (0..4_u8, 0..2_u64));
    let beat = (0..2_u8, 0..2_u8, proptest::option::of(0..5_u64), publisher(), any::<bool>());
    let step = prop_oneof![
        2 => prop_oneof![Just(0), Just(5), Just(1_000_000)].prop_map(|window| Step::Initialize { window }),
        1 => Just(Step::Lose),
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
}

fn name(publisher: Option<u8>) -> (String, u64) {
    publisher.map_or_else(Default::default, |it| (format!("publisher {it}"), 1_000_000))
}

/// What the server has, as the model has it; times aside, which pass as they do.
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
    let publishing: Vec<String> =
        redis::cmd("ZRANGE").arg(PUBLISHING).arg(0).arg(-1).query_async(redis).await.unwrap();
    Store {
        meta: None,
        log: log.collect(),
        state: state.collect(),
        publishing: publishing.into_iter().map(|name| (name, 0)).collect(),
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
            Step::Beat { server, key, stamp, publisher, is_diverged } => {
                let incarnation = format!("server {server}");
                let (key, (publisher, lease)) = (format!("key {key}"), name(publisher));
                let known = model.meta.as_ref().map(|meta| meta.recovery.clone());
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
                let (publisher, _) = name(Some(publisher));
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
        expected.meta = None;
        expected.publishing.values_mut().for_each(|until| *until = 0);
        assert_eq!(stored(redis).await, expected);
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
    let Met { beats, begun, lifted } = met.get();
    assert!(beats > 300 && begun > 100 && lifted > 5, "{:?}", met.get());
}
