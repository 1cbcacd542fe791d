//! Holds a [store of rings](RingStore) of your own to what such a store promises.
//!
//! ```
//! use portcullis_issuer::store::MemoryRing;
//! use portcullis_testkit::ring_store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let store = MemoryRing::new(); // yours, without any ring
//! ring_store::conforms(async || store.clone()).await;
//! # }
//! ```
//!
//! What is asked, in this order:
//!
//! 1. The store's clock is the machine's within a minute, and does not go back.
//! 2. Where there is no ring, none is read, and only a change for *no ring* makes one, of version 1.
//! 3. Each change makes the version one more. One for any other version is lost, and changes nothing.
//! 4. What was written is read back, byte for byte: what is there and what is empty, times from 0 to the last millisecond that
//!    there is, texts that could be taken for SQL, 64 keys.
//! 5. A change replaces all keys. A ring without keys is a ring.
//! 6. The rings of two issuers do not meet, however alike the issuers are spelled.
//! 7. What one instance wrote, another reads.
//! 8. Of 64 changes at once for one version, one is done. All of it is there, and the others are lost.
//! 9. Who reads during changes reads the ring of one moment.
//!
//! What cannot be seen from outside is not asked: that a change is there after a crash, that nothing of a change is there which
//! was cut short, and that a store which is out of reach fails within seconds. Try those with the real thing.
use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use portcullis_issuer::StoreTime;
use portcullis_issuer::ring::KeyTimes;
use portcullis_issuer::seal::Sealed;
use portcullis_issuer::store::{RingStore, RingVersion, StoredRing, Swap};
use portcullis_issuer::{KeyRow, PrivatePart};
use tokio::task::JoinSet;

use crate::alike;

/// How many changes are offered at once.
const AT_ONCE: usize = 64;

/// How many instances offer them.
const INSTANCES: usize = 4;

/// How far the store's clock may be off. An issuer asks for less; here, a slow machine is not to be taken for a wrong clock.
const OFF: Duration = Duration::from_secs(60);

/// Asks a store for all that [`RingStore`] promises, and this module lists.
///
/// `open` gives one instance's access to the store, each time to the same store: a clone of a handle, or another
/// connection. It has no rings of issuers below `https://ring-store.example`; those that are made here stay.
///
/// It needs a runtime of tokio, of any flavour. With one of several threads, changes are at once in earnest.
///
/// # Panics
///
/// A promise is broken, and the message says which; or the store fails.
pub async fn conforms<S: RingStore>(open: impl AsyncFn() -> S) {
    let mut instances = Vec::new();
    for _ in 0..INSTANCES {
        instances.push(Arc::new(open().await));
    }
    let store = &*instances[0];
    clock(store).await;
    first_ring(store).await;
    versions(store).await;
    bytes(store).await;
    whole_replacement(store).await;
    issuers(store).await;
    other_instances(&instances).await;
    changes_at_once(&instances).await;
    reading_during_changes(&instances).await;
}

/// A test with a store that answers.
struct Case<'s, S> {
    store: &'s S,
    issuer: String,
    /// What is promised, for the message.
    promise: &'static str,
}

impl<'s, S: RingStore> Case<'s, S> {
    fn new(store: &'s S, name: &str, promise: &'static str) -> Self {
        Self { store, issuer: issuer(name), promise }
    }

    async fn kept(&self) -> Option<(RingVersion, StoredRing)> {
        kept(self.store, &self.issuer).await
    }

    async fn swap(&self, from: Option<u64>, ring: &StoredRing) -> Swap {
        swap(self.store, &self.issuer, from, ring).await
    }

    async fn has(&self, version: u64, ring: &StoredRing) {
        let Some((found, kept)) = self.kept().await else {
            panic!("{}: there is no ring, and version {version} was made", self.promise);
        };
        assert_eq!(found.0, version, "{}: another version than that which was made", self.promise);
        same(&kept, ring, self.promise);
    }

    async fn is(&self, from: Option<u64>, ring: &StoredRing, expected: Swap) {
        let swap = self.swap(from, ring).await;
        assert_eq!(swap, expected, "{}: a change from {from:?}", self.promise);
    }
}

fn issuer(name: &str) -> String {
    format!("https://ring-store.example/{name}")
}

async fn kept<S: RingStore>(store: &S, issuer: &str) -> Option<(RingVersion, StoredRing)> {
    store.load(issuer).await.unwrap_or_else(|error| panic!("`load` fails: {error}")).ring
}

async fn swap<S: RingStore>(store: &S, issuer: &str, from: Option<u64>, ring: &StoredRing) -> Swap {
    let swap = store.swap(issuer, from.map(RingVersion), ring).await;
    swap.unwrap_or_else(|error| panic!("`swap` fails: {error}"))
}

/// Stores give keys in any order.
fn same(kept: &StoredRing, written: &StoredRing, promise: &str) {
    let (lifetime, mac) = (kept.longest_lifetime, &kept.mac);
    assert_eq!(lifetime, written.longest_lifetime, "{promise}: the longest lifetime");
    assert!(*mac == written.mac, "{promise}: the MAC of the ring is another");
    assert_eq!(kept.keys.len(), written.keys.len(), "{promise}: the number of keys");
    for row in &written.keys {
        let found = kept.keys.iter().find(|kept| kept.key_id == row.key_id);
        let Some(found) = found else {
            panic!("{promise}: the key {:?} is not there", row.key_id);
        };
        // Each by its name: `Debug` shows neither private part nor MAC.
        assert_eq!(found.algorithm, row.algorithm, "{promise}: `algorithm`");
        assert_eq!(found.public_jwk, row.public_jwk, "{promise}: `public_jwk`");
        assert_eq!(found.times, row.times, "{promise}: `times`");
        assert!(
            found.private == row.private,
            "{promise}: `private` of {:?} is another",
            row.key_id
        );
        assert!(found.mac == row.mac, "{promise}: `mac` of {:?} is another", row.key_id);
    }
}

/// A ring that shows, in all of its parts, which one it is.
fn marked(mark: usize, keys: usize) -> StoredRing {
    let byte = mark.to_be_bytes()[size_of::<usize>() - 1];
    let at = |more: i64| StoreTime::from_millis(1_800_000_000_000 + more);
    let key = |number: usize| KeyRow {
        key_id: format!("key {number} of {mark}"),
        algorithm: "ES256".to_owned(),
        public_jwk: format!("{{\"kid\":\"{mark}\"}}"),
        private: Some(PrivatePart::Sealed(Sealed {
            seal_id: format!("seal {mark}"),
            bytes: vec![byte; 64],
        })),
        times: KeyTimes {
            published_at: at(0),
            signs_from: at(1),
            signs_until: None,
            verifies_until: None,
            withdrawn_at: None,
            is_private_kept: true,
        },
        mac: vec![byte; 32],
    };
    StoredRing {
        longest_lifetime: Duration::from_secs(900),
        keys: (0..keys).map(key).collect(),
        mac: vec![byte; 32],
    }
}

async fn clock<S: RingStore>(store: &S) {
    let promise = "the store's clock is that of the moment at which a ring is read";
    let mut last = StoreTime::from_millis(0);
    for _ in 0..3 {
        let loaded = store.load(&issuer("clock")).await;
        let now = loaded.unwrap_or_else(|error| panic!("`load` fails: {error}")).now;
        let machine = StoreTime::from(SystemTime::now());
        let off = now.since(machine).max(machine.since(now));
        assert!(off < OFF, "{promise}: it is off by {off:?} from the machine's");
        assert!(now >= last, "{promise}: it went back from {last} to {now}");
        last = now;
    }
}

async fn first_ring<S: RingStore>(store: &S) {
    let promise = "a first ring is made where there is none, and only there";
    let case = Case::new(store, "first", promise);
    assert!(case.kept().await.is_none(), "the store is not empty: give it one without rings");
    case.is(Some(0), &marked(1, 1), Swap::Lost).await;
    case.is(Some(1), &marked(1, 1), Swap::Lost).await;
    assert!(case.kept().await.is_none(), "{promise}: a change that was lost made one");
    case.is(None, &marked(2, 2), Swap::Done).await;
    case.has(1, &marked(2, 2)).await;
    case.is(None, &marked(3, 1), Swap::Lost).await;
    case.has(1, &marked(2, 2)).await;
}

async fn versions<S: RingStore>(store: &S) {
    let promise = "a change is done for the version that is there, and makes it one more";
    let case = Case::new(store, "versions", promise);
    case.is(None, &marked(1, 1), Swap::Done).await;
    for version in 1..5_u64 {
        let ring = marked(version as usize, 2);
        case.is(Some(version), &ring, Swap::Done).await;
        case.has(version + 1, &ring).await;
        let others = [0, version, version + 2, i64::MAX as u64, u64::MAX];
        for other in others.map(Some).into_iter().chain([None]) {
            case.is(other, &marked(99, 3), Swap::Lost).await;
            case.has(version + 1, &ring).await;
        }
    }
}

async fn bytes<S: RingStore>(store: &S) {
    let promise = "what was written is read back, byte for byte";
    let case = Case::new(store, "bytes", promise);
    let mut version = None;
    for ring in rings() {
        case.is(version, &ring, Swap::Done).await;
        let next = version.unwrap_or(0) + 1;
        case.has(next, &ring).await;
        version = Some(next);
    }
}

/// Rings of every form of key.
fn rings() -> Vec<StoredRing> {
    let time = StoreTime::from_millis;
    let (epoch, last) = (time(0), time(i64::MAX));
    let now = time(1_800_000_000_123);
    let long = "x".repeat(500);
    let texts =
        ["", "k", "\"'`;--\\%_\r\n\t", "\u{fe}\u{1f511}\u{65e5}", &long, "NULL", " a ", "0"];
    let sealed = |seal_id: &str, bytes: Vec<u8>| {
        Some(PrivatePart::Sealed(Sealed { seal_id: seal_id.to_owned(), bytes }))
    };
    let privates = [
        None,
        sealed("", Vec::new()),
        sealed("s", (0..=255).collect()),
        sealed(texts[2], vec![0; 4096]),
        Some(PrivatePart::AtSigner { name: String::new() }),
        Some(PrivatePart::AtSigner { name: texts[3].to_owned() }),
    ];
    let ends = [None, Some(epoch), Some(now), Some(last)];
    let mut keys = Vec::new();
    for (at, private) in privates.iter().enumerate() {
        for (signs_until, verifies_until) in ends.iter().zip(ends.iter().cycle().skip(at)) {
            for is_private_kept in [false, true] {
                let number = keys.len();
                keys.push(KeyRow {
                    key_id: format!("{number}{}", texts[number % texts.len()]),
                    algorithm: texts[(number + 1) % texts.len()].to_owned(),
                    public_jwk: texts[(number + 2) % texts.len()].to_owned(),
                    private: private.clone(),
                    times: KeyTimes {
                        published_at: [epoch, now, last][number % 3],
                        signs_from: [last, epoch, now][number % 3],
                        signs_until: *signs_until,
                        verifies_until: *verifies_until,
                        withdrawn_at: ends[number % 4],
                        is_private_kept,
                    },
                    mac: [vec![], vec![0], vec![255; 32]][number % 3].clone(),
                });
            }
        }
    }
    assert!(keys.len() <= 64, "a ring has 64 keys at most");
    let lifetime = |millis: u64| Duration::from_millis(millis);
    let ring = |millis: u64, keys: Vec<KeyRow>, mac: Vec<u8>| StoredRing {
        longest_lifetime: lifetime(millis),
        keys,
        mac,
    };
    vec![
        ring(900_000, keys.clone(), vec![1; 32]),
        ring(1, keys.iter().take(1).cloned().collect(), Vec::new()),
        ring(0, keys.into_iter().rev().collect(), (0..=255).collect()),
        ring(400 * 24 * 60 * 60 * 1000 + 1, marked(7, 64).keys, vec![0]),
    ]
}

async fn whole_replacement<S: RingStore>(store: &S) {
    let promise = "a change replaces all keys of a ring";
    let case = Case::new(store, "whole", promise);
    let mut version = None;
    // Other keys, the same keys, more, fewer, none, and some again.
    for (mark, keys) in [(1, 3), (2, 3), (2, 3), (2, 64), (2, 1), (2, 0), (3, 2)] {
        let ring = marked(mark, keys);
        case.is(version, &ring, Swap::Done).await;
        let next = version.unwrap_or(0) + 1;
        case.has(next, &ring).await;
        version = Some(next);
    }
    // A key of before, changed.
    let mut ring = marked(3, 2);
    ring.keys[0].private = None;
    ring.keys[0].times.withdrawn_at = Some(StoreTime::from_millis(1_800_000_000_000));
    case.is(version, &ring, Swap::Done).await;
    case.has(8, &ring).await;
}

async fn issuers<S: RingStore>(store: &S) {
    let promise = "the rings of two issuers do not meet";
    let alike = alike::issuers();
    let cases: Vec<_> = alike.iter().map(|name| Case::new(store, name, promise)).collect();
    for (mark, case) in cases.iter().enumerate() {
        assert!(case.kept().await.is_none(), "{promise}: {:?} has another's ring", case.issuer);
        // Keys of the same ids, too.
        let mut ring = marked(mark, 2);
        ring.keys[0].key_id = "the same".to_owned();
        case.is(None, &ring, Swap::Done).await;
    }
    for (mark, case) in cases.iter().enumerate().step_by(2) {
        case.is(Some(1), &marked(mark + 100, 1), Swap::Done).await;
    }
    for (mark, case) in cases.iter().enumerate() {
        let mut ring = marked(mark, 2);
        ring.keys[0].key_id = "the same".to_owned();
        match mark % 2 {
            0 => case.has(2, &marked(mark + 100, 1)).await,
            _ => case.has(1, &ring).await,
        }
    }
}

async fn other_instances<S: RingStore>(instances: &[Arc<S>]) {
    let promise = "what one instance wrote, another reads";
    let mut version = None;
    for (mark, store) in instances.iter().enumerate() {
        Case::new(&**store, "shared", promise).is(version, &marked(mark, 1), Swap::Done).await;
        let next = version.unwrap_or(0) + 1;
        for other in instances {
            Case::new(&**other, "shared", promise).has(next, &marked(mark, 1)).await;
        }
        version = Some(next);
    }
}

async fn changes_at_once<S: RingStore>(instances: &[Arc<S>]) {
    let promise = "of changes at once for one version, one is done";
    let issuer = issuer("at once");
    for from in [None, Some(1), Some(2)] {
        let mut tasks = JoinSet::new();
        for mark in 0..AT_ONCE {
            let (store, issuer) = (Arc::clone(&instances[mark % INSTANCES]), issuer.clone());
            let ring = marked(mark, 3);
            tasks.spawn(async move { (mark, swap(&*store, &issuer, from, &ring).await) });
        }
        let mut done = tasks.join_all().await;
        done.retain(|(_, swap)| *swap == Swap::Done);
        let [(mark, _)] = done[..] else {
            panic!("{promise}: {} of {AT_ONCE} were, from {from:?}", done.len());
        };
        let case = Case { store: &*instances[0], issuer: issuer.clone(), promise };
        case.has(from.unwrap_or(0) + 1, &marked(mark, 3)).await;
    }
}

async fn reading_during_changes<S: RingStore>(instances: &[Arc<S>]) {
    const CHANGES: u64 = 32;
    let promise = "who reads during changes reads the ring of one moment";
    let issuer = issuer("moments");
    let is_over = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for store in &instances[1..] {
        let (store, issuer, is_over) = (Arc::clone(store), issuer.clone(), Arc::clone(&is_over));
        readers.spawn(async move {
            let mut last = 0;
            while !is_over.load(Ordering::Relaxed) {
                if let Some((version, ring)) = kept(&*store, &issuer).await {
                    let mark = usize::try_from(version.0).unwrap_or_default();
                    same(&ring, &marked(mark, 1 + mark % 3), promise);
                    assert!(
                        version.0 >= last,
                        "{promise}: it went back from {last} to {version:?}"
                    );
                    last = version.0;
                }
                tokio::task::yield_now().await;
            }
        });
    }
    let case = Case { store: &*instances[0], issuer, promise };
    for version in 0..CHANGES {
        let (from, mark) = ((version > 0).then_some(version), version as usize + 1);
        case.is(from, &marked(mark, 1 + mark % 3), Swap::Done).await;
        tokio::task::yield_now().await;
    }
    is_over.store(true, Ordering::Relaxed);
    readers.join_all().await;
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::thread;

    use portcullis_issuer::store::{LoadedRing, MemoryRing, StoreError};

    use super::*;

    /// What somebody else's store does wrong.
    #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
    enum Wrong {
        Nothing,
        Clock,
        LastWriterWins,
        FirstTwice,
        VersionStays,
        KeepsKeys,
        LostWrites,
        Case,
        Seconds,
        EmptyIsNothing,
        EmptyRing,
        Apart,
        ReadThenWrite,
        TwoMoments,
    }

    type Rings = HashMap<String, (u64, StoredRing)>;

    #[derive(Clone)]
    struct Store(Wrong, Arc<Mutex<Rings>>);

    impl Store {
        fn with<T>(&self, act: impl FnOnce(&mut Rings) -> T) -> T {
            act(&mut self.1.lock().expect("no panic"))
        }

        fn name(&self, issuer: &str) -> String {
            if self.0 == Wrong::Case { issuer.to_lowercase() } else { issuer.to_owned() }
        }

        fn write(&self, issuer: &str, version: u64, ring: &StoredRing) {
            let mut ring = ring.clone();
            for key in &mut ring.keys {
                if self.0 == Wrong::Seconds {
                    let millis = key.times.published_at.as_millis();
                    key.times.published_at = StoreTime::from_millis(millis / 1000 * 1000);
                }
                if self.0 == Wrong::EmptyIsNothing {
                    key.private.take_if(|private| {
                        *private == PrivatePart::AtSigner { name: String::new() }
                    });
                }
            }
            self.with(|rings| {
                let before = rings.insert(issuer.to_owned(), (version, ring));
                if let (Wrong::KeepsKeys, Some((_, before))) = (self.0, before) {
                    let keys = &mut rings.get_mut(issuer).expect("just written").1.keys;
                    keys.extend(before.keys);
                }
            });
        }
    }

    impl RingStore for Store {
        async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
            let issuer = self.name(issuer);
            let mut now = StoreTime::from(SystemTime::now());
            if self.0 == Wrong::Clock {
                now = now.before(Duration::from_secs(3600));
            }
            let mut found = self.with(|rings| rings.get(&issuer).cloned());
            if self.0 == Wrong::TwoMoments {
                tokio::task::yield_now().await;
                let later = self.with(|rings| rings.get(&issuer).cloned());
                if let (Some(found), Some((_, ring))) = (&mut found, later) {
                    found.1.keys = ring.keys;
                }
            }
            if self.0 == Wrong::EmptyRing {
                found.take_if(|(_, ring)| ring.keys.is_empty());
            }
            Ok(LoadedRing { now, ring: found.map(|(version, ring)| (RingVersion(version), ring)) })
        }

        async fn swap(
            &self,
            issuer: &str,
            from: Option<RingVersion>,
            ring: &StoredRing,
        ) -> Result<Swap, StoreError> {
            let issuer = self.name(issuer);
            let found = self.with(|rings| rings.get(&issuer).map(|(version, _)| *version));
            if self.0 == Wrong::ReadThenWrite {
                tokio::task::yield_now().await;
            }
            let from = from.map(|version| version.0);
            let is_lost = match self.0 {
                Wrong::LastWriterWins => found.is_some() != from.is_some(),
                Wrong::FirstTwice => from.is_some() && found != from,
                _ => found != from,
            };
            let version =
                found.unwrap_or(0) + u64::from(self.0 != Wrong::VersionStays || found.is_none());
            if !is_lost || self.0 == Wrong::LostWrites && found.is_some() {
                self.write(&issuer, if is_lost { found.unwrap_or(0) } else { version }, ring);
            }
            Ok(if is_lost { Swap::Lost } else { Swap::Done })
        }
    }

    /// What the suite says of it. `None`: it conforms.
    fn verdict(wrong: Wrong) -> Option<String> {
        let of_a_process = Store(wrong, Arc::default());
        let tried = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.expect("a runtime").block_on(conforms(async || match wrong {
                Wrong::Apart => Store(wrong, Arc::default()),
                _ => of_a_process.clone(),
            }));
        });
        let payload = tried.join().err()?;
        let text = payload.downcast_ref::<String>().map(String::as_str);
        Some(text.or(payload.downcast_ref::<&str>().copied()).unwrap_or_default().to_owned())
    }

    #[test]
    fn a_store_that_breaks_a_promise_is_told_which() {
        let cases = [
            (Wrong::Clock, "it is off by"),
            (Wrong::LastWriterWins, "for the version that is there"),
            (Wrong::FirstTwice, "a first ring is made where there is none"),
            (Wrong::VersionStays, "another version"),
            (Wrong::KeepsKeys, "the number of keys"),
            (Wrong::LostWrites, "a first ring is made"),
            (Wrong::Case, "do not meet"),
            (Wrong::Seconds, "`times`"),
            (Wrong::EmptyIsNothing, "`private`"),
            (Wrong::EmptyRing, "there is no ring"),
            (Wrong::Apart, "another reads"),
            (Wrong::ReadThenWrite, "one is done"),
            (Wrong::TwoMoments, "of one moment"),
        ];
        for (wrong, told) in cases {
            let verdict = verdict(wrong).unwrap_or_default();
            assert!(verdict.contains(told), "{wrong:?}: {verdict}");
        }
        assert_eq!(verdict(Wrong::Nothing), None);
    }

    #[tokio::test]
    async fn rings_in_memory_conform() {
        let store = MemoryRing::new();
        conforms(async || store.clone()).await;
    }
}
