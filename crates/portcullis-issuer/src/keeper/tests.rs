use std::sync::Mutex;

use portcullis::{Revocable, Secret};

use super::*;
use crate::ring::{Phase, ScheduleFault};
use crate::row::{ForeignRing, PrivatePart};
use crate::seal::{Seal, SealError, Sealed, SealedFor};
use crate::store::{MemoryRing, RingVersion, StoreError};
use crate::time::StoreTime;

const ISSUER: &str = "https://id.example";
const OLD: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
const NEW: &str = "u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new";
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// 2027-01-15.
const NOW: StoreTime = StoreTime::from_millis(1_800_000_000_000);
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

    fn wall(&self) -> StoreTime {
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
        self.keeper_beside(secrets, lifetime, schedule, Parties::default())
    }

    fn keeper_beside(
        &self,
        secrets: &[&str],
        lifetime: Duration,
        schedule: Schedule,
        parties: Parties,
    ) -> RingKeeper<MemoryRing> {
        let root = RootSecrets::new(secrets.iter().map(|text| Secret::new(*text)));
        let (issuer, algorithm) = (ISSUER.to_owned(), Algorithm::ES256);
        let settings = Settings { issuer, algorithm, schedule, lifetime };
        let (store, time) = (self.store.clone(), self.time.clone());
        RingKeeper::new(settings, &root.expect("good secrets"), store, parties, time)
    }

    /// One that does something besides.
    fn keeper_with_parties(&self, parties: Parties) -> RingKeeper<MemoryRing> {
        self.keeper_beside(&[OLD], LIFETIME, Schedule::default(), parties)
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
    now(keeper.read(Wanted::Compromised { key_id: key_id.to_owned() }))
}

fn changed(
    keeper: &RingKeeper<MemoryRing>,
    stored: &StoredRing,
    wanted: &mut Wanted,
    version: Option<RingVersion>,
) -> change::Change {
    now(keeper.change(stored, wanted, version, NOW)).expect("good").expect("a change")
}

fn sealed(row: &mut KeyRow) -> &mut Sealed {
    match &mut row.private {
        Some(PrivatePart::Sealed(sealed)) => sealed,
        other => panic!("{other:?}"),
    }
}

fn signs(ring: &ReadRing, at: StoreTime) -> String {
    ring.signing(at).expect("a key that signs").0.key_id.clone()
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
        let private = fleet.stored().keys.iter().filter(|row| row.private.is_some()).count();
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
    let offers =
        keepers.each_ref().map(|keeper| changed(keeper, &empty, &mut Wanted::First, None).ring);
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
    assert_eq!(row.private, None);
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
    assert!(before.keys.iter().all(|key| !after.published.body.contains(&key.row.key_id)));
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
        |ring| ring.keys[1].times.signs_from = StoreTime::from_millis(0),
        |ring| ring.keys[0].times.verifies_until = None,
        |ring| ring.keys[0].public_jwk = ring.keys[1].public_jwk.clone(),
        |ring| {
            let private = ring.keys[0].private.take();
            ring.keys[0].private = core::mem::replace(&mut ring.keys[1].private, private);
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
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    let signing = signs(&due(&keeper).expect("a ring"), NOW);
    let (key_id, algorithm) = (signing.clone(), "SLH-DSA-SHA2-128s".to_owned());
    let of_its_key = |ring: &mut StoredRing, change: Change<'_>| {
        change(ring.keys.iter_mut().find(|row| row.key_id == signing).expect("its row"));
    };
    let no_key = |row: &mut KeyRow| row.public_jwk = r#"{"kty":"EC"}"#.to_owned();
    let newer = |row: &mut KeyRow| {
        let whose = SealedFor { issuer: ISSUER, key_id: &row.key_id, algorithm: &algorithm };
        let bytes = now(keeper.seal().sealed(b"key", whose)).expect("sealed");
        sealed(row).bytes = bytes;
        row.algorithm.clone_from(&algorithm);
    };
    let broken = |row: &mut KeyRow| sealed(row).bytes[20] ^= 1;
    let erased = |row: &mut KeyRow| {
        no_key(row);
        (row.private, row.times.signs_until) = (None, Some(NOW.before(DAY)));
        (row.times.is_private_kept, row.times.verifies_until) = (false, Some(NOW.after(DAY)));
    };
    let whole = fleet.stored();
    // Its public part, too, is of a kind that this release does not know.
    let newer_in_whole = |row: &mut KeyRow| {
        newer(row);
        row.public_jwk = r#"{"kty":"AKP","alg":"SLH-DSA-SHA2-128s","pub":"AAAA"}"#.to_owned();
    };
    let cases: [(Change<'_>, RingError); 5] = [
        (
            &newer_in_whole,
            RingError::NewerAlgorithm { key_id: key_id.clone(), algorithm: algorithm.clone() },
        ),
        (&no_key, RingError::PublicPart { key_id: key_id.clone() }),
        (&erased, RingError::PublicPart { key_id: key_id.clone() }),
        (
            &newer,
            RingError::NewerAlgorithm { key_id: key_id.clone(), algorithm: algorithm.clone() },
        ),
        (&broken, RingError::Seal(SealError::Broken { key_id: key_id.clone() })),
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
    let mut ring = fleet.stored();
    let last = fleet.keeper_with(&[NEW], LIFETIME);
    assert_eq!(sealed(&mut ring.keys[0]).seal_id, last.seal_id());
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
    for at in [NOW.after(365 * DAY), NOW.before(365 * DAY), StoreTime::from_millis(0)] {
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
    assert!(row.times.withdrawn_at.is_some() && row.private.is_none());
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
    changed(&other, &stored, &mut wanted, Some(RingVersion(1)));
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

/// Revokes, and lets everything of this kind pass or fail as it is told.
fn beside_a_list() -> (Revocations, Parties) {
    let revocations = Revocations::in_memory();
    let parties = Parties { revocations: Some(revocations.clone()), ..Parties::default() };
    (revocations, parties)
}

fn key(key_id: &str) -> portcullis::Revocation {
    let (issuer, key_id) = (ISSUER.to_owned(), key_id.to_owned());
    portcullis::Revocation::Key { issuer, key_id, until: None }
}

/// As where the process ends between the two.
#[test]
fn a_key_that_was_withdrawn_is_revoked_by_whoever_reads_the_ring_next() {
    let fleet = Fleet::new();
    let (revocations, parties) = beside_a_list();
    let (ends, goes_on) = (fleet.keeper(), fleet.keeper_with_parties(parties));
    let id = signs(&due(&ends).expect("a ring"), NOW);
    due(&goes_on).expect("a ring");
    // Withdrawn, and nothing more.
    compromised(&ends, &id).expect("a ring");
    assert!(!revocations.is_revoked(&key(&id)));
    let ring = now(goes_on.read(Wanted::Due)).expect("a ring");
    now(goes_on.revoke_withdrawn(&ring)).expect("revoked");
    assert!(revocations.is_revoked(&key(&id)));
    assert_eq!(revocations.stats().entries(Revocable::Key), 1);
    // A list that lost what it had is told again.
    let (lost, parties) = beside_a_list();
    let other = fleet.keeper_with_parties(parties);
    now(other.revoke_withdrawn(&due(&other).expect("a ring"))).expect("revoked");
    assert!(lost.is_revoked(&key(&id)));
}

#[test]
fn a_key_that_the_list_names_is_withdrawn_whatever_a_backup_says() {
    let fleet = Fleet::new();
    let (revocations, parties) = beside_a_list();
    let id = signs(&due(&fleet.keeper()).expect("a ring"), NOW);
    now(revocations.revoke(&key(&id))).expect("revoked");
    // It never saw that the key was withdrawn.
    let ring = due(&fleet.keeper_with_parties(parties)).expect("a ring");
    assert!(!ring.published.body.contains(&id));
    assert_ne!(signs(&ring, NOW), id);
}

/// Seals in no way that keeps anything secret, and may fail.
struct Plain {
    id: &'static str,
    is_away: Arc<Mutex<bool>>,
    unsealed: Arc<Mutex<usize>>,
}

impl Seal for Plain {
    fn id(&self) -> &str {
        self.id
    }

    async fn seal(&self, private: &[u8], whose: SealedFor<'_>) -> Result<Vec<u8>, SealError> {
        if *self.is_away.lock().expect("no panic") {
            return Err(SealError::unavailable(whose, "the KMS is away"));
        }
        Ok([private, self.id.as_bytes()].concat())
    }

    async fn unseal(
        &self,
        sealed: &Sealed,
        whose: SealedFor<'_>,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, SealError> {
        *self.unsealed.lock().expect("no panic") += 1;
        if *self.is_away.lock().expect("no panic") {
            return Err(SealError::unavailable(whose, "the KMS is away"));
        }
        let private = sealed.bytes.strip_suffix(sealed.seal_id.as_bytes());
        Ok(private.ok_or_else(|| SealError::broken(whose))?.to_vec().into())
    }
}

#[test]
fn a_seal_of_the_programs_own_is_asked_once_for_each_key_and_its_keys_are_sealed_anew() {
    let fleet = Fleet::new();
    let (is_away, unsealed) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new(0)));
    let keeper = |id| {
        let seal = Plain { id, is_away: is_away.clone(), unsealed: unsealed.clone() };
        fleet.keeper_with_parties(Parties { seal: Some(Box::new(seal)), ..Parties::default() })
    };
    let old = keeper("projects/p/keys/1");
    let first = signs(&due(&old).expect("a ring"), NOW);
    assert!(fleet.stored().keys.iter_mut().all(|row| sealed(row).seal_id == "projects/p/keys/1"));
    for _ in 0..10 {
        due(&old).expect("a ring");
    }
    assert_eq!(*unsealed.lock().expect("no panic"), 2, "two keys");
    // Away: what was opened serves on, and an instance that starts says why it cannot.
    *is_away.lock().expect("no panic") = true;
    assert_eq!(signs(&due(&old).expect("a ring"), NOW), first);
    let refused = due(&keeper("projects/p/keys/1")).err();
    assert!(matches!(refused, Some(RingError::Seal(SealError::Unavailable { .. }))), "{refused:?}");
    *is_away.lock().expect("no panic") = false;
    due(&keeper("projects/p/keys/2")).expect("a ring");
    assert!(fleet.stored().keys.iter_mut().all(|row| sealed(row).seal_id == "projects/p/keys/2"));
}

#[test]
fn what_happens_to_a_ring_is_told_once_for_each_instance() {
    let fleet = Fleet::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut parties = Parties::default();
    let list = Arc::clone(&told);
    parties.observers.add(move |event| list.lock().expect("no panic").push(event.clone()));
    let keeper = fleet.keeper_with_parties(parties);
    let told = || std::mem::take(&mut *told.lock().expect("no panic"));
    let ring = due(&keeper).expect("a ring");
    let [first, second] = [0, 1].map(|at| ring.keys[at].row.key_id.clone());
    let appeared = |key_id: &String, signs_from| {
        let key_id = key_id.clone();
        IssuerEvent::KeyAppeared { key_id, signs_from }
    };
    let begin = NOW.before(Duration::from_secs(30));
    let events = [
        appeared(&first, begin),
        appeared(&second, begin.after(30 * DAY)),
        IssuerEvent::KeySigns { key_id: first.clone() },
    ];
    assert_eq!(told(), events);
    due(&keeper).expect("a ring");
    assert_eq!(told(), []);
    // By another instance.
    compromised(&fleet.keeper(), &first).expect("a ring");
    let ring = due(&keeper).expect("a ring");
    let third = ring.keys.last().expect("a key").row.clone();
    let events = told();
    assert!(events.contains(&IssuerEvent::KeyWithdrawn { key_id: first }), "{events:?}");
    assert!(events.contains(&IssuerEvent::KeySigns { key_id: second }), "{events:?}");
    assert!(events.contains(&appeared(&third.key_id, third.times.signs_from)), "{events:?}");
    assert_eq!(events.len(), 3, "{events:?}");
    let fault = StoreError::new("connection refused");
    fleet.store.set_fault(Some(fault.clone()));
    for _ in 0..3 {
        assert!(due(&keeper).is_err());
    }
    assert_eq!(told(), [IssuerEvent::Failed(RingError::Store(fault))], "once");
    fleet.store.set_fault(None);
    fleet.store.set_now(NOW.after(DAY));
    for _ in 0..2 {
        assert!(due(&keeper).is_err());
    }
    let events = told();
    assert!(matches!(events[..], [IssuerEvent::Failed(RingError::Clock { .. })]), "{events:?}");
    fleet.store.set_now(NOW);
    due(&keeper).expect("a ring");
    assert_eq!(told(), [IssuerEvent::Recovered]);
    let failures: Vec<_> = keeper.observers.failures().filter(|(_, count)| *count > 0).collect();
    assert_eq!(failures, [("store", 3), ("clock", 2)]);
}

/// Rauthy: where a key signed for over 90 days, the one that signs was cleaned up.
#[test]
fn what_is_forgotten_cannot_sign_or_verify_however_long_keys_sign() {
    for days in [2, 45, 100, 400] {
        let fleet = Fleet::new();
        let keeper = fleet.keeper_of(&[OLD], LIFETIME, Schedule::new().interval(days * DAY));
        let mut forgotten = 0;
        for step in 0..60 * 20_u32 {
            let elapsed = days * DAY / 20 * step;
            let now = NOW.after(elapsed);
            let before = step.checked_sub(1).map(|_| fleet.stored().keys).unwrap_or_default();
            fleet.set_time(elapsed);
            let ring = due(&keeper).expect("a ring");
            if step % 170 == 0 {
                compromised(&keeper, &signs(&ring, now)).expect("a ring");
            }
            let after = fleet.stored().keys;
            for row in before {
                if after.iter().any(|it| it.key_id == row.key_id) {
                    continue;
                }
                forgotten += 1;
                let phase = row.times.phase(now);
                assert!(matches!(phase, Phase::Gone | Phase::Withdrawn), "{days} {step} {row:?}");
                // No token of it passes where nobody heard that it was withdrawn.
                let end = keeper.ends(&row.times, LIFETIME).expect("it ended");
                assert!(end <= now, "{days} {step} {row:?}");
            }
            signs(&keeper.held.load_full().expect("a ring"), now);
        }
        assert!(forgotten > 30, "{days}: {forgotten} of 60 keys");
    }
}

/// A store may give rows in any order, and another one to the next instance.
#[test]
fn the_order_of_rows_in_a_store_changes_no_byte_of_the_key_set() {
    let fleet = Fleet::new();
    let one = due(&fleet.keeper()).expect("a ring");
    compromised(&fleet.keeper(), &signs(&one, NOW)).expect("a ring");
    let one = due(&fleet.keeper()).expect("a ring");
    for turn in 0..3 {
        fleet.store.tamper(ISSUER, |_, ring| {
            ring.keys.rotate_left(1);
            if turn == 1 {
                ring.keys.reverse();
            }
        });
        let other = due(&fleet.keeper()).expect("a ring");
        assert_eq!((&other.published, other.version), (&one.published, one.version), "{turn}");
    }
}

/// For longer than a key signs, too.
#[test]
fn while_no_key_can_be_made_the_one_that_signs_goes_on_and_nothing_is_written() {
    let fleet = Fleet::new();
    let is_away = Arc::new(Mutex::new(false));
    let seal =
        Plain { id: "projects/p/keys/1", is_away: is_away.clone(), unsealed: Arc::default() };
    let not_made = Arc::new(Mutex::new(0));
    let mut parties = Parties { seal: Some(Box::new(seal)), ..Parties::default() };
    let count = Arc::clone(&not_made);
    parties.observers.add(move |event| {
        if matches!(event, IssuerEvent::NotMade { .. }) {
            *count.lock().expect("no panic") += 1;
        }
    });
    let keeper = fleet.keeper_with_parties(parties);
    let ring = due(&keeper).expect("a ring");
    let second = ring.keys[1].row.key_id.clone();
    *is_away.lock().expect("no panic") = true;
    for days in 1..100 {
        fleet.set_time(days * DAY);
        let ring = due(&keeper).expect("a ring");
        let now = NOW.after(days * DAY);
        // The key that was there took over, and has no end.
        assert_eq!(signs(&ring, now) == second, days >= 30, "{days}");
        assert!(ring.version <= RingVersion(4), "{days} {:?}", ring.version);
    }
    assert!(*not_made.lock().expect("no panic") > 60);
    *is_away.lock().expect("no panic") = false;
    let ring = due(&keeper).expect("a ring");
    assert_eq!(signs(&ring, NOW.after(99 * DAY)), second);
    fleet.set_time(100 * DAY);
    let ring = due(&keeper).expect("a ring");
    assert_ne!(signs(&ring, NOW.after(100 * DAY)), second, "the next one, after its day");
}

#[test]
fn a_ring_without_room_forgets_what_was_withdrawn_first() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper_with(&[OLD], DAY);
    due(&keeper).expect("a ring");
    // Within a day, so that the tokens of none are over.
    for minute in 1..=100 {
        fleet.set_time(Duration::from_secs(60 * minute));
        now(keeper.read(Wanted::AllCompromised)).expect("a ring");
        assert!(fleet.stored().keys.len() <= 64, "{minute}");
    }
    let ring = due(&keeper).expect("a ring");
    assert_eq!(ring.key_set.len(), 2);
}

/// As where the machine that keeps the ring itself sets its clock, and sets it back.
#[test]
fn a_clock_that_jumps_for_one_reading_moves_nothing() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    let before = due(&keeper).expect("a ring");
    let stored = fleet.stored();
    let jump = |elapsed: u64, ahead| {
        let elapsed = Duration::from_secs(elapsed);
        fleet.time.set(elapsed, ahead);
        fleet.store.set_now(NOW.after(elapsed).after(ahead));
        due(&keeper)
    };
    assert!(matches!(jump(60, 365 * DAY), Err(RingError::Clock { .. })));
    assert_eq!(fleet.stored(), stored);
    assert_eq!(jump(120, Duration::ZERO).expect("right again").version, before.version);
    assert!(matches!(jump(180, 365 * DAY), Err(RingError::Clock { .. })));
    assert!(matches!(jump(240, 40 * DAY), Err(RingError::Clock { .. })), "another jump");
    // A machine that slept: the second reading agrees.
    let ring = jump(300, 40 * DAY).expect("it is so");
    assert_eq!(signs(&ring, ring.at.now), before.keys[1].row.key_id);
}

/// The clock is read at some moment while the store is asked, and that may take long under load.
#[test]
fn a_store_that_answers_late_has_not_jumped() {
    #[derive(Clone)]
    struct Late(MemoryRing, Arc<Stopped>);
    impl RingStore for Late {
        async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
            let elapsed = self.1.elapsed() + Duration::from_secs(8);
            self.1.set(elapsed, Duration::ZERO);
            self.0.set_now(NOW.after(elapsed));
            let loaded = self.0.load(issuer).await;
            self.1.set(elapsed + Duration::from_secs(1), Duration::ZERO);
            loaded
        }
        async fn swap(
            &self,
            issuer: &str,
            from: Option<RingVersion>,
            ring: &StoredRing,
        ) -> Result<Swap, StoreError> {
            self.0.swap(issuer, from, ring).await
        }
    }
    let fleet = Fleet::new();
    let root = RootSecrets::new([Secret::new(OLD)]).expect("a good secret");
    let schedule = Schedule::default().skew(Duration::from_secs(2));
    let (issuer, algorithm) = (ISSUER.to_owned(), Algorithm::ES256);
    let settings = Settings { issuer, algorithm, schedule, lifetime: LIFETIME };
    let store = Late(fleet.store.clone(), fleet.time.clone());
    let keeper = RingKeeper::new(settings, &root, store, Parties::default(), fleet.time.clone());
    now(keeper.read(Wanted::First)).expect("a ring");
    for _ in 0..3 {
        now(keeper.read(Wanted::Due)).expect("the same");
    }
}

/// The clocks are compared when the store answers, and what seals is asked after that.
#[test]
fn a_seal_that_answers_late_is_no_offset_of_the_clock() {
    struct LateSeal(Arc<Stopped>);
    impl Seal for LateSeal {
        fn id(&self) -> &str {
            "late"
        }

        async fn seal(&self, private: &[u8], _: SealedFor<'_>) -> Result<Vec<u8>, SealError> {
            Ok(private.to_vec())
        }

        async fn unseal(
            &self,
            sealed: &Sealed,
            _: SealedFor<'_>,
        ) -> Result<zeroize::Zeroizing<Vec<u8>>, SealError> {
            self.0.set(self.0.elapsed() + Duration::from_secs(8), Duration::ZERO);
            Ok(sealed.bytes.clone().into())
        }
    }
    let fleet = Fleet::new();
    let keeper = || {
        let seal = LateSeal(fleet.time.clone());
        fleet.keeper_with_parties(Parties { seal: Some(Box::new(seal)), ..Parties::default() })
    };
    due(&keeper()).expect("a ring");
    fleet.set_time(Duration::ZERO);
    let ring = due(&keeper()).expect("the same");
    assert!(ring.age(&*fleet.time) >= Duration::from_secs(16), "two keys were opened");
    assert_eq!(ring.clock_offset(), 0);
}

/// Why a store reads its clock after the ring, and not before: another instance may have made the ring in between.
#[test]
fn a_clock_of_before_the_ring_has_it_changed_once_more_and_one_of_after_does_not() {
    const BETWEEN: Duration = Duration::from_millis(40);
    for (clock, version) in [(NOW.before(BETWEEN), 2), (NOW.after(BETWEEN), 1)] {
        let fleet = Fleet::new();
        let made = due(&fleet.keeper()).expect("a ring");
        fleet.store.set_now(clock);
        let read = due(&fleet.keeper()).expect("the same");
        assert_eq!((made.version, read.version), (RingVersion(1), RingVersion(version)));
    }
}

/// Made by a clock that was ahead for long enough to be believed.
#[test]
fn a_ring_that_was_made_in_the_future_is_of_today() {
    let fleet = Fleet::new();
    let keeper = fleet.keeper();
    due(&keeper).expect("a ring");
    fleet.set_time(40 * DAY);
    due(&fleet.keeper()).expect("a ring");
    fleet.set_time(Duration::ZERO);
    let ring = due(&fleet.keeper()).expect("a ring");
    signs(&ring, NOW);
    let standby = ring.keys.iter().filter(|key| key.row.times.phase(NOW) == Phase::Standby);
    assert!(standby.count() >= 1, "one stands by that verifiers can fetch");
}

#[test]
fn a_key_that_verifiers_know_by_another_name_is_revoked_by_its_thumbprint_too() {
    let fleet = Fleet::new();
    let (revocations, mut parties) = beside_a_list();
    let pem = include_str!("../../tests/keys/p256-pkcs8.pem");
    let existing = ExistingKey::from_pem(Algorithm::ES256, pem).expect("a key");
    parties.existing = Some(existing.clone().with_key_id("2019-07"));
    let thumbprint = existing.read().expect("a key").0.id().to_owned();
    let keeper = fleet.keeper_with_parties(parties);
    assert_eq!(signs(&due(&keeper).expect("a ring"), NOW), "2019-07");
    let ring = compromised(&keeper, "2019-07").expect("a ring");
    now(keeper.revoke_withdrawn(&ring)).expect("revoked");
    assert!(revocations.is_revoked(&key("2019-07")) && revocations.is_revoked(&key(&thumbprint)));
    // And the other way: who revokes by thumbprint withdraws it.
    let fleet = Fleet::new();
    let (revocations, mut parties) = beside_a_list();
    parties.existing = Some(existing.with_key_id("2019-07"));
    let keeper = fleet.keeper_with_parties(parties);
    due(&keeper).expect("a ring");
    now(revocations.revoke(&key(&thumbprint))).expect("revoked");
    assert_ne!(signs(&due(&keeper).expect("a ring"), NOW), "2019-07");
}

#[test]
fn a_seal_that_is_new_to_a_ring_takes_over_what_the_root_secrets_sealed() {
    let fleet = Fleet::new();
    let first = signs(&due(&fleet.keeper()).expect("a ring"), NOW);
    let seal = Plain { id: "projects/p/keys/1", is_away: Arc::default(), unsealed: Arc::default() };
    let keeper =
        fleet.keeper_with_parties(Parties { seal: Some(Box::new(seal)), ..Parties::default() });
    assert_eq!(signs(&due(&keeper).expect("a ring"), NOW), first);
    assert!(fleet.stored().keys.iter_mut().all(|row| sealed(row).seal_id == "projects/p/keys/1"));
}

#[test]
fn a_store_that_goes_back_is_told() {
    let fleet = Fleet::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut parties = Parties::default();
    let list = Arc::clone(&told);
    parties.observers.add(move |event| list.lock().expect("no panic").push(event.clone()));
    let keeper = fleet.keeper_with_parties(parties);
    let id = signs(&due(&keeper).expect("a ring"), NOW);
    let backup = fleet.stored();
    compromised(&keeper, &id).expect("a ring");
    compromised(&keeper, &signs(&due(&keeper).expect("a ring"), NOW)).expect("a ring");
    fleet.store.tamper(ISSUER, |version, ring| (*version, *ring) = (RingVersion(1), backup));
    due(&keeper).expect("a ring");
    let (from, to) = (RingVersion(3), RingVersion(2));
    assert!(told.lock().expect("no panic").contains(&IssuerEvent::WentBack { from, to }));
}
