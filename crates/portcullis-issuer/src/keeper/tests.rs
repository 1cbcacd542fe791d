use std::sync::Mutex;

use portcullis::Secret;

use super::*;
use crate::ring::ScheduleFault;
use crate::row::ForeignRing;
use crate::seal::UnsealError;
use crate::store::{MemoryRing, StoreError};

const ISSUER: &str = "https://id.example";
const OLD: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
const NEW: &str = "u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new";
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// 2027-01-15.
const NOW: RingTime = RingTime::from_millis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A machine whose clocks stand still until they are set.
#[derive(Debug, Default)]
struct Stopped(Mutex<(Duration, Duration)>);

impl Stopped {
    fn set(&self, elapsed: Duration, ahead: Duration) {
        *self.0.lock().expect("no panic") = (elapsed, ahead);
    }
}

impl MachineTime for Stopped {
    fn elapsed(&self) -> Duration {
        self.0.lock().expect("no panic").0
    }

    fn wall(&self) -> RingTime {
        let (elapsed, ahead) = *self.0.lock().expect("no panic");
        NOW.after(elapsed).after(ahead)
    }
}

/// A fleet over one store, all at one time.
struct Fleet {
    store: MemoryRing,
    time: Arc<Stopped>,
}

impl Fleet {
    fn new() -> Self {
        let fleet = Self { store: MemoryRing::new(), time: Arc::default() };
        fleet.set_time(Duration::ZERO);
        fleet
    }

    fn set_time(&self, elapsed: Duration) {
        self.time.set(elapsed, Duration::ZERO);
        self.store.set_now(NOW.after(elapsed));
    }

    fn keeper_with(&self, secrets: &[&str], lifetime: Duration) -> RingKeeper<MemoryRing> {
        self.keeper_of(secrets, lifetime, Schedule::default())
    }

    fn keeper_of(
        &self,
        secrets: &[&str],
        lifetime: Duration,
        schedule: Schedule,
    ) -> RingKeeper<MemoryRing> {
        let root = RootSecrets::new(secrets.iter().map(|text| Secret::new(*text)));
        RingKeeper::new(
            ISSUER.to_owned(),
            (Algorithm::ES256, schedule, lifetime),
            &root.expect("good secrets"),
            self.store.clone(),
            self.time.clone(),
        )
    }

    fn keeper(&self) -> RingKeeper<MemoryRing> {
        self.keeper_with(&[OLD], LIFETIME)
    }

    fn stored(&self) -> StoredRing {
        let loaded = now(self.store.load(ISSUER)).expect("a store");
        loaded.ring.expect("a ring").1
    }
}

fn now<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}

fn due(keeper: &RingKeeper<MemoryRing>) -> Result<Arc<ReadRing>, RingError> {
    now(keeper.read(Wanted::First))
}

fn compromised(keeper: &RingKeeper<MemoryRing>, key_id: &str) -> Result<Arc<ReadRing>, RingError> {
    now(keeper.read(Wanted::Compromised { key_ids: vec![key_id.to_owned()] }))
}

fn signs(ring: &ReadRing, at: RingTime) -> String {
    ring.signing(at).expect("a key that signs").0.id.clone()
}

#[test]
fn the_first_instance_makes_a_ring_and_the_others_have_the_same() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.keeper(), fleet.keeper());
    let (one, other) = (due(&one).expect("a ring"), due(&other).expect("a ring"));
    assert_eq!(one.version, RingVersion(1));
    assert_eq!((one.version, &one.published.body), (other.version, &other.published.body));
    assert_eq!(one.key_set.len(), 2, "one signs, and one stands by");
    assert_eq!(signs(&one, NOW), signs(&other, NOW));
    assert!(!one.published.body.contains("\"d\""));
}

#[test]
fn a_reading_of_what_is_there_changes_nothing() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    due(&keeper).expect("a ring");
    let before = fleet.stored();
    for elapsed in [Duration::ZERO, DAY, 28 * DAY] {
        fleet.set_time(elapsed);
        assert_eq!(due(&keeper).expect("a ring").version, RingVersion(1));
    }
    assert_eq!(fleet.stored(), before);
}

#[test]
fn keys_follow_each_other_over_a_year_without_a_gap_and_without_a_leftover() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    let mut signed = Vec::new();
    for days in 0..365 {
        let elapsed = days * DAY;
        fleet.set_time(elapsed);
        let ring = due(&keeper).expect("a ring");
        let id = signs(&ring, NOW.after(elapsed));
        if signed.last() != Some(&id) {
            signed.push(id);
        }
        let private = fleet.stored().keys.iter().filter(|row| row.sealed.is_some()).count();
        assert!((2..=3).contains(&private), "{private}");
    }
    assert_eq!(signed.len(), 13);
    assert!(fleet.stored().keys.len() <= 7, "what is long over is forgotten");
}

/// Of two changes for one version, the store takes one.
#[test]
fn who_loses_a_race_takes_what_the_other_made() {
    let fleet = Fleet::new();
    let keepers = [(); 3].map(|()| fleet.keeper());
    // All read before one writes.
    let loaded = now(fleet.store.load(ISSUER)).expect("a store");
    assert_eq!(loaded.ring, None);
    let empty = StoredRing { longest_lifetime: LIFETIME, keys: Vec::new(), mac: Vec::new() };
    let offers = keepers.each_ref().map(|keeper| {
        keeper.changed(&empty, &mut Wanted::First, None, NOW).expect("good").expect("a change")
    });
    let swaps = offers.each_ref().map(|ring| now(fleet.store.swap(ISSUER, None, ring)));
    assert_eq!(swaps, [Ok(Swap::Done), Ok(Swap::Lost), Ok(Swap::Lost)]);
    let rings =
        keepers.each_ref().map(|keeper| due(keeper).expect("a ring").published.body.clone());
    assert!(rings.iter().all(|jwks| *jwks == rings[0]));
}

#[test]
fn in_an_emergency_the_standby_signs_and_the_compromised_key_is_published_no_longer() {
    let fleet = Fleet::new();
    let (keeper, other) = (fleet.keeper(), fleet.keeper());
    let before = due(&keeper).expect("a ring");
    let id = signs(&before, NOW);
    let after = compromised(&keeper, &id).expect("a ring");
    assert_ne!(signs(&after, NOW), id);
    assert!(before.published.body.contains(&signs(&after, NOW)), "verifiers have it already");
    assert!(!after.published.body.contains(&id));
    let row = fleet.stored().keys.into_iter().find(|row| row.key_id == id).expect("its row");
    assert_eq!(row.sealed, None);
    // Once is enough, whoever says it again.
    let version = after.version;
    assert_eq!(compromised(&other, &id).expect("a ring").version, version);
    let unknown = Some(RingError::UnknownKey { key_id: "no?such?key".to_owned() });
    assert_eq!(compromised(&keeper, "no such key").err(), unknown);
}

#[test]
fn where_all_keys_are_compromised_new_ones_are_made_once() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    let before = due(&keeper).expect("a ring");
    let after = now(keeper.read(Wanted::AllCompromised)).expect("a ring");
    assert_eq!(after.version, RingVersion(2));
    assert_eq!((after.keys.len(), after.key_set.len()), (4, 2));
    assert!(before.keys.iter().all(|key| !after.published.body.contains(&key.id)));
}

#[test]
fn a_ring_whose_keys_are_gone_is_not_a_new_one() {
    let fleet = Fleet::new();
    due(&fleet.keeper()).expect("a ring");
    fleet.store.tamper(ISSUER, |_, ring| ring.keys.clear());
    assert_eq!(due(&fleet.keeper()).err(), Some(RingError::NoKeys));
    assert_eq!(fleet.stored().keys, []);
}

#[test]
fn a_private_part_that_does_not_open_is_a_fault_and_no_reason_to_make_another() {
    let fleet = Fleet::new();
    due(&fleet.keeper()).expect("a ring");
    let before = fleet.stored();
    // Another root secret than the one that was lost.
    let refused = due(&fleet.keeper_with(&[NEW], LIFETIME)).err();
    assert!(matches!(refused, Some(RingError::Foreign(_))), "{refused:?}");
    assert_eq!(fleet.stored(), before);
}

#[test]
fn whoever_writes_to_the_store_adds_no_key_and_moves_no_time() {
    let attacks: [fn(&mut StoredRing); 6] = [
        |ring| ring.keys[1].times.signs_from = RingTime::from_millis(0),
        |ring| ring.keys[0].times.verifies_until = None,
        |ring| ring.keys[0].public_jwk = ring.keys[1].public_jwk.clone(),
        |ring| {
            let sealed = ring.keys[0].sealed.take();
            ring.keys[0].sealed = core::mem::replace(&mut ring.keys[1].sealed, sealed);
        },
        |ring| {
            let key = ring.keys[0].clone();
            ring.keys.push(KeyRow { key_id: "mine".to_owned(), ..key });
        },
        |ring| ring.keys[0].mac.clear(),
    ];
    for (at, attack) in attacks.into_iter().enumerate() {
        let fleet = Fleet::new();
        due(&fleet.keeper()).expect("a ring");
        fleet.store.tamper(ISSUER, |_, ring| attack(ring));
        let refused = due(&fleet.keeper()).err();
        assert!(matches!(refused, Some(RingError::Foreign(_))), "{at} {refused:?}");
    }
    let fleet = Fleet::new();
    due(&fleet.keeper()).expect("a ring");
    fleet.store.tamper(ISSUER, |_, ring| {
        let key = ring.keys[0].clone();
        ring.keys.extend((0..63).map(|_| key.clone()));
    });
    assert_eq!(due(&fleet.keeper()).err(), Some(RingError::TooManyKeys { found: 65 }));
}

/// Writes the ring as one does who has the root secret.
fn rewritten(fleet: &Fleet, change: impl Fn(&mut StoredRing)) {
    let keeper = fleet.keeper();
    fleet.store.tamper(ISSUER, |version, ring| {
        change(ring);
        ring.mac = keeper.rows.authenticate_ring(version.0, ring.longest_lifetime, &mut ring.keys);
    });
}

type Change<'a> = &'a dyn Fn(&mut KeyRow);

#[test]
fn a_key_that_cannot_be_had_is_named() {
    let (fleet, sealing) = (Fleet::new(), Fleet::new().keeper().seal);
    let keeper = fleet.keeper();
    let signing = signs(&due(&keeper).expect("a ring"), NOW);
    let (key_id, algorithm) = (signing.clone(), "ML-DSA-44".to_owned());
    let of_its_key = |ring: &mut StoredRing, change: Change<'_>| {
        change(ring.keys.iter_mut().find(|row| row.key_id == signing).expect("its row"));
    };
    let no_key = |row: &mut KeyRow| row.public_jwk = r#"{"kty":"EC"}"#.to_owned();
    let newer = |row: &mut KeyRow| {
        let whose = whose(ISSUER, &row.key_id, &algorithm);
        (row.sealed, row.algorithm) = (Some(sealing.seal(b"key", whose)), algorithm.clone());
    };
    let broken = |row: &mut KeyRow| row.sealed.as_mut().expect("sealed").bytes[20] ^= 1;
    let erased = |row: &mut KeyRow| {
        no_key(row);
        (row.sealed, row.times.signs_until) = (None, Some(NOW.before(DAY)));
        (row.times.is_private_kept, row.times.verifies_until) = (false, Some(NOW.after(DAY)));
    };
    let whole = fleet.stored();
    let cases: [(Change<'_>, RingError); 4] = [
        (&no_key, RingError::PublicPart { key_id: key_id.clone() }),
        (&erased, RingError::PublicPart { key_id: key_id.clone() }),
        (
            &newer,
            RingError::NewerAlgorithm { key_id: key_id.clone(), algorithm: algorithm.clone() },
        ),
        (&broken, RingError::Unseal(UnsealError::Broken { key_id: key_id.clone() })),
    ];
    for (change, error) in cases {
        rewritten(&fleet, |ring| of_its_key(ring, change));
        let refused = due(&fleet.keeper()).err();
        assert_eq!(refused.as_ref(), Some(&error));
        assert!(error.to_string().contains(&key_id), "{error}");
        // An instance that runs can withdraw it.
        assert!(compromised(&keeper, &key_id).is_ok(), "{error}");
        rewritten(&fleet, |ring| ring.clone_from(&whole));
    }
}

#[test]
fn the_root_secret_is_replaced_while_instances_on_neighbouring_lists_go_on() {
    let fleet = Fleet::new();
    let steps = [&[OLD][..], &[OLD, NEW], &[NEW, OLD], &[NEW]];
    let first = signs(&due(&fleet.keeper()).expect("a ring"), NOW);
    for neighbours in steps.windows(2) {
        let [one, other] = [neighbours[0], neighbours[1]].map(|it| fleet.keeper_with(it, LIFETIME));
        for keeper in [&one, &other, &one, &other] {
            assert_eq!(signs(&due(keeper).expect("a ring"), NOW), first);
        }
        // Nobody undoes what the other did, again and again.
        let version = due(&one).expect("a ring").version;
        assert_eq!(due(&other).expect("a ring").version, version);
        assert_eq!(due(&one).expect("a ring").version, version);
    }
    let row = &fleet.stored().keys[0];
    let seal_id = &row.sealed.as_ref().expect("a private part").seal_id;
    let last = fleet.keeper_with(&[NEW], LIFETIME);
    assert_eq!(seal_id, last.seal.id());
}

#[test]
fn a_store_that_is_away_leaves_what_was_read() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    let id = signs(&due(&keeper).expect("a ring"), NOW);
    let fault = StoreError::new("connection refused");
    fleet.store.set_fault(Some(fault.clone()));
    fleet.time.set(Duration::from_secs(60), Duration::ZERO);
    assert_eq!(due(&keeper).err(), Some(RingError::Store(fault.clone())));
    let held = keeper.held.load_full().expect("what was read");
    assert_eq!(held.age(&*fleet.time), Duration::from_secs(60));
    assert_eq!(held.now(&*fleet.time), NOW.after(Duration::from_secs(60)));
    assert_eq!(signs(&held, NOW), id);
    assert_eq!(due(&fleet.keeper()).err(), Some(RingError::Store(fault)), "nothing of its own");
}

#[test]
fn a_machine_whose_clock_is_off_does_not_take_the_ring() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    fleet.time.set(Duration::ZERO, Duration::from_secs(15));
    assert!(due(&keeper).is_ok());
    fleet.time.set(Duration::ZERO, Duration::from_secs(16));
    let (off, skew) = (Duration::from_secs(16), Duration::from_secs(15));
    assert_eq!(due(&keeper).err(), Some(RingError::Clock { off, skew }));
}

#[test]
fn an_instance_with_longer_tokens_has_all_keys_published_for_longer_before_it_signs() {
    let fleet = Fleet::new();
    due(&fleet.keeper()).expect("a ring");
    let end = |fleet: &Fleet| fleet.stored().keys[0].times.verifies_until.expect("a successor");
    let before = end(&fleet);
    due(&fleet.keeper_with(&[OLD], 4 * LIFETIME)).expect("a ring");
    assert_eq!(end(&fleet).since(before), 3 * LIFETIME);
    due(&fleet.keeper()).expect("a ring");
    assert_eq!(end(&fleet).since(before), 3 * LIFETIME, "and stays so for the others");
}

/// More keys than a ring may have, one after another.
#[test]
fn a_ring_that_turns_often_and_meets_many_emergencies_stays_small() {
    let fleet = Fleet::new();
    let hour = Duration::from_secs(60 * 60);
    let schedule = Schedule::new().verifier_cache(hour).publish_ahead(3 * hour).interval(6 * hour);
    let keeper = fleet.keeper_of(&[OLD], LIFETIME, schedule);
    let mut elapsed = Duration::ZERO;
    for step in 0..400 {
        fleet.set_time(elapsed);
        let ring = due(&keeper).expect("a ring");
        if step % 5 == 0 {
            compromised(&keeper, &signs(&ring, NOW.after(elapsed))).expect("a ring");
        }
        assert!(fleet.stored().keys.len() <= 24, "{}", fleet.stored().keys.len());
        elapsed += hour;
    }
    for _ in 0..100 {
        now(keeper.read(Wanted::AllCompromised)).expect("a ring");
        elapsed += hour;
        fleet.set_time(elapsed);
    }
    assert!(fleet.stored().keys.len() <= 24, "{}", fleet.stored().keys.len());
}

/// As after a failover to a machine with another time.
#[test]
fn a_store_whose_clock_is_off_for_a_moment_changes_nothing() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    due(&keeper).expect("a ring");
    let before = fleet.stored();
    for at in [NOW.after(365 * DAY), NOW.before(365 * DAY), RingTime::from_millis(0)] {
        fleet.store.set_now(at);
        assert!(matches!(due(&keeper), Err(RingError::Clock { .. })));
        assert!(matches!(due(&fleet.keeper()), Err(RingError::Clock { .. })));
        assert_eq!(fleet.stored(), before);
    }
}

#[test]
fn a_store_that_comes_back_empty_gets_no_second_ring_of_who_had_one() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    due(&keeper).expect("a ring");
    fleet.store.set_empty(true);
    assert_eq!(due(&keeper).err(), Some(RingError::Gone));
    assert_eq!(now(keeper.read(Wanted::Due)).err(), Some(RingError::Gone));
    fleet.store.set_empty(false);
    assert_eq!(due(&keeper).expect("a ring").version, RingVersion(1));
}

#[test]
fn a_machine_that_slept_knows_that_what_it_read_is_old() {
    let fleet = Fleet::new();
    let ring = due(&fleet.keeper()).expect("a ring");
    fleet.time.set(Duration::from_secs(1), 2 * DAY);
    assert!(ring.age(&*fleet.time) > DAY);
    assert_eq!(ring.now(&*fleet.time), NOW.after(Duration::from_secs(1)));
}

#[test]
fn of_two_readings_the_later_one_stays() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    let early = due(&keeper).expect("a ring");
    fleet.set_time(Duration::from_secs(1));
    let id = signs(&early, NOW);
    let late = compromised(&keeper, &id).expect("a ring");
    assert_eq!(keeper.hold_newest(early).version, late.version);
    assert!(!keeper.held.load_full().expect("a ring").published.body.contains(&id));
}

#[test]
fn a_backup_does_not_bring_a_compromised_key_back_where_it_is_known_to_be_one() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    let id = signs(&due(&keeper).expect("a ring"), NOW);
    let backup = fleet.stored();
    compromised(&keeper, &id).expect("a ring");
    fleet.store.tamper(ISSUER, |version, ring| (*version, *ring) = (RingVersion(1), backup));
    let ring = due(&keeper).expect("a ring");
    assert!(!ring.published.body.contains(&id));
    let row = fleet.stored().keys.into_iter().find(|row| row.key_id == id).expect("its row");
    assert!(row.times.withdrawn_at.is_some() && row.sealed.is_none());
}

#[test]
fn who_loses_a_race_withdraws_no_key_that_the_other_made() {
    let fleet = Fleet::new();
    let (one, other) = (fleet.keeper(), fleet.keeper());
    due(&one).expect("a ring");
    due(&other).expect("a ring");
    // What the loser meant was what it saw.
    let stored = fleet.stored();
    let mut wanted = Wanted::AllCompromised;
    other
        .changed(&stored, &mut wanted, Some(RingVersion(1)), NOW)
        .expect("good")
        .expect("a change");
    let made = now(one.read(Wanted::AllCompromised)).expect("a ring");
    let after = now(other.read(wanted)).expect("a ring");
    assert_eq!(signs(&after, NOW), signs(&made, NOW));
}

/// Each row is authentic, and the ring is not.
#[test]
fn whoever_writes_to_the_store_takes_no_key_away_and_puts_none_back() {
    type Attack = fn(&StoredRing, &mut RingVersion, &mut StoredRing);
    let attacks: [Attack; 6] = [
        // The key that was withdrawn, as it was before.
        |before, _, ring| ring.keys[0] = before.keys[0].clone(),
        |before, _, ring| *ring = before.clone(),
        |_, _, ring| drop(ring.keys.pop()),
        |_, _, ring| ring.longest_lifetime = 400 * DAY,
        |_, version, _| version.0 += 1,
        |_, _, ring| ring.mac.clear(),
    ];
    for (at, attack) in attacks.into_iter().enumerate() {
        let fleet = Fleet::new();
        let keeper = fleet.keeper();
        let id = signs(&due(&keeper).expect("a ring"), NOW);
        let before = fleet.stored();
        compromised(&keeper, &id).expect("a ring");
        fleet.store.tamper(ISSUER, |version, ring| attack(&before, version, ring));
        let foreign = Some(RingError::ForeignRing(ForeignRing));
        assert_eq!(due(&fleet.keeper()).err(), foreign, "{at}");
        assert_eq!(due(&keeper).err(), foreign, "{at}");
    }
}

/// As where an instance of before goes on while the last ones start.
#[test]
fn what_an_old_instance_writes_is_sealed_anew_in_time() {
    let fleet = Fleet::new();
    let (old, new) =
        (fleet.keeper_with(&[OLD, NEW], LIFETIME), fleet.keeper_with(&[NEW, OLD], LIFETIME));
    let id = signs(&due(&old).expect("a ring"), NOW);
    due(&new).expect("a ring");
    compromised(&old, &id).expect("a ring");
    fleet.set_time(Duration::from_secs(60 * 60));
    due(&new).expect("a ring");
    let last = fleet.keeper_with(&[NEW], LIFETIME);
    assert!(due(&last).is_ok(), "nothing is under the old one");
}

/// Also of an instance whose interval was permitted for shorter tokens than those of another, and with an emergency a day.
#[test]
fn a_ring_has_room_for_the_shortest_interval_that_is_permitted() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let schedule = Schedule::new().publish_ahead(minutes(5)).verifier_cache(minutes(1));
    let schedule = schedule.stale(minutes(2)).interval(minutes(10));
    assert_eq!((schedule.faults(), schedule.fault_for(minutes(120))), (Vec::new(), None));
    let needed = (DAY + minutes(2)) / 16;
    let fault = ScheduleFault::TooManyKeys { is: minutes(10), needed };
    assert_eq!(schedule.fault_for(DAY), Some(fault));
    assert_eq!(schedule.interval(needed).fault_for(DAY), None);

    let fleet = Fleet::new();
    let keeper = fleet.keeper_of(&[OLD], minutes(120), schedule);
    let mut most = 0;
    for minute in 0..4 * 24 * 60 {
        fleet.set_time(minutes(minute));
        due(&keeper).expect("a ring");
        if minute == 24 * 60 {
            due(&fleet.keeper_with(&[OLD], DAY)).expect("a ring");
        }
        if minute % (24 * 60) == 12 * 60 {
            now(keeper.read(Wanted::AllCompromised)).expect("a ring");
        }
        most = most.max(keeper.held.load_full().expect("a ring").key_set.len());
    }
    assert!((15..=20).contains(&most), "{most}");
}
