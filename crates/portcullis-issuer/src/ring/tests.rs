//! The schedule over random histories: instances and verifiers with clocks of their own, that read late, or not at all
//! for a while.
use core::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

use super::keys::signing;
use super::*;
use crate::time::StoreTime;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn at(now: i64) -> StoreTime {
    StoreTime::from_millis(now)
}

/// Where all histories begin, so that clocks may be behind.
const START: i64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Times {
    stale: u64,
    cache: u64,
    skew: u64,
    ahead: u64,
    interval: u64,
    leeway: u64,
    lifetime: u64,
}

impl Times {
    fn schedule(self) -> Schedule {
        let ahead = self.stale + self.cache + 2 * self.skew + self.ahead;
        Schedule::new()
            .stale(millis(self.stale))
            .reload(millis(self.stale))
            .verifier_cache(millis(self.cache))
            .skew(millis(self.skew))
            .publish_ahead(millis(ahead))
            .interval(millis(2 * ahead + self.interval))
            .leeway(millis(2 * self.skew + self.leeway))
            .margin(Duration::ZERO)
    }
}

fn times() -> impl Strategy<Value = Times> {
    let all = (1..50_u64, 0..200_u64, 1..20_u64, 1..100_u64, 0..500_u64, 0..50_u64, 1..300_u64);
    all.prop_map(|(stale, cache, skew, ahead, interval, leeway, lifetime)| Times {
        stale,
        cache,
        skew,
        ahead,
        interval,
        leeway,
        lifetime,
    })
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Read,
    Turn,
    Compromised(Index),
    AllCompromised,
}

/// After how many milliseconds what happens.
fn events() -> impl Strategy<Value = Vec<(u32, Event)>> {
    let gap = prop_oneof![8 => 0..40_u32, 2 => 0..400_u32, 1 => 0..5_000_u32];
    let event = prop_oneof![
        30 => Just(Event::Read),
        2 => Just(Event::Turn),
        1 => any::<Index>().prop_map(Event::Compromised),
        1 => Just(Event::AllCompromised),
    ];
    prop::collection::vec((gap, event), 1..120)
}

/// What was read, and when.
struct Read {
    at: i64,
    keys: Vec<KeyTimes>,
}

/// Goes through a history; each schedule holds for whoever reads.
fn history(schedules: &[Schedule], lifetime: Duration, events: &[(u32, Event)]) -> Vec<Read> {
    let mut now = START;
    let mut keys = Vec::new();
    let mut reads = Vec::new();
    for (number, (gap, event)) in events.iter().enumerate() {
        now += i64::from(*gap);
        let schedule = &schedules[number % schedules.len()];
        let withdrawn = match event {
            Event::Read | Event::Turn => Vec::new(),
            Event::Compromised(_) if keys.is_empty() => Vec::new(),
            Event::Compromised(index) => vec![index.index(keys.len())],
            Event::AllCompromised => (0..keys.len()).collect(),
        };
        let asked = Asked { withdrawn: &withdrawn, turns: matches!(event, Event::Turn) };
        let Plan { kept, made } = Plan::of(&keys, asked, schedule, lifetime, at(now));
        keys = [kept, made].concat();
        let again = Plan::of(&keys, Asked::default(), schedule, lifetime, at(now));
        assert!(again.is_nothing(&keys), "nothing is due twice: {keys:#?} {again:#?}");
        reads.push(Read { at: now, keys: keys.clone() });
    }
    reads
}

fn signing_at(keys: &[KeyTimes], now: i64) -> usize {
    let all = keys.iter().filter(|key| key.phase(at(now)) == Phase::Signing).count();
    assert_eq!(all, 1, "one key signs at {now}: {keys:#?}");
    signing(keys, at(now)).expect("and it can")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_defaults_and_every_schedule_here_keep_the_inequalities(times in times()) {
        prop_assert_eq!(times.schedule().faults(), []);
        prop_assert_eq!(Schedule::default().faults(), []);
    }

    #[test]
    fn one_key_signs_at_any_time_and_another_stands_by_published(
        times in times(),
        other in times(),
        events in events(),
        later in 0..100_000_i64,
    ) {
        let schedules = [times.schedule(), other.schedule()];
        for Read { at: now, keys } in history(&schedules, millis(times.lifetime), &events) {
            signing_at(&keys, now);
            signing_at(&keys, now + later);
            // Before a turn there are two of one schedule: the next, and the one that an emergency after it would need.
            let next = |key: &&KeyTimes| key.phase(at(now)) == Phase::Standby;
            prop_assert!((1..=4).contains(&keys.iter().filter(next).count()), "{:#?}", keys);
        }
    }

    /// A verifier that keeps a key set for as long as it was said, of an instance that goes without its store for as
    /// long as it may, each with a clock that is off, knows the key of whatever another instance signs.
    #[test]
    fn no_instance_signs_with_a_key_that_a_verifier_cannot_have(
        times in times(),
        events in events(),
        samples in prop::collection::vec(
            (any::<Index>(), 0..50_i64, any::<Index>(), -20..20_i64, -20..20_i64),
            40,
        ),
    ) {
        let schedule = times.schedule();
        let (stale, cache, skew) = (times.stale as i64, times.cache as i64, times.skew as i64);
        let reads = history(&[schedule], millis(times.lifetime), &events);
        for (own, age, theirs, ahead, behind) in samples {
            // An instance signs by what it read `age` ago.
            let own = &reads[own.index(reads.len())];
            let now = own.at + age.min(stale);
            let index = signing_at(&own.keys, now + ahead.clamp(-skew, skew));
            let key = own.keys[index];
            // Another published what it had read before, and that was kept.
            let theirs = &reads[theirs.index(reads.len())];
            let published = (now - cache).max(theirs.at);
            if published > now || published - theirs.at > stale {
                continue;
            }
            // The first key of a ring, and what came of an emergency, was not published ahead.
            let was_ahead = key.signs_from.since(key.published_at) >= millis(
                times.stale + times.cache + 2 * times.skew,
            );
            let set = &theirs.keys;
            let has_it = set.get(index).is_some_and(|it| {
                it.is_published(at(published + behind.clamp(-skew, skew)))
            });
            let is_withdrawn = set.get(index).is_some_and(|it| it.withdrawn_at.is_some());
            prop_assert!(has_it || is_withdrawn || !was_ahead, "{now} {key:?} of {set:#?}");
        }
    }

    #[test]
    fn no_token_outlives_its_key_in_the_key_set(
        times in times(),
        events in events(),
        samples in prop::collection::vec(
            (any::<Index>(), 0..50_i64, any::<Index>(), -20..20_i64, -20..20_i64, -20..20_i64),
            40,
        ),
    ) {
        let (stale, skew) = (times.stale as i64, times.skew as i64);
        let leeway = (2 * times.skew + times.leeway) as i64;
        let lifetime = times.lifetime as i64;
        let reads = history(&[times.schedule()], millis(times.lifetime), &events);
        for (own, age, theirs, signs, verifies, publishes) in samples {
            let own = &reads[own.index(reads.len())];
            let issued_at = own.at + age.min(stale) + signs.clamp(-skew, skew);
            let index = signing_at(&own.keys, issued_at);
            // The last instant at which it passes.
            let last = issued_at + lifetime + leeway - 1 - verifies.clamp(-skew, skew);
            let theirs = &reads[theirs.index(reads.len())];
            if theirs.at > last || last - theirs.at > stale || theirs.at < own.at {
                continue;
            }
            let key = theirs.keys[index];
            let is_there = key.is_published(at(last + publishes.clamp(-skew, skew)));
            prop_assert!(is_there || key.withdrawn_at.is_some(), "{issued_at} {last} {key:?}");
        }
    }

    #[test]
    fn a_private_part_is_there_while_it_may_sign_and_erased_after(
        times in times(),
        events in events(),
    ) {
        let slack = millis(2 * times.skew + times.stale);
        for Read { at: now, keys } in history(&[times.schedule()], millis(times.lifetime), &events) {
            for key in &keys {
                let is_over = key.signs_until.is_some_and(|end| end.after(slack) <= at(now));
                let is_withdrawn = key.withdrawn_at.is_some();
                let is_kept = !is_over && !is_withdrawn;
                prop_assert_eq!(key.is_private_kept, is_kept, "{} {:?}", now, key);
            }
        }
    }
}

/// 2027-01-15, in milliseconds.
const NOW: i64 = 1_800_000_000_000;
const DAY: i64 = 24 * 60 * 60 * 1000;
const LIFETIME: Duration = Duration::from_secs(15 * 60);

fn changed(keys: &[KeyTimes], withdrawn: &[usize], now: i64) -> Vec<KeyTimes> {
    let asked = Asked { withdrawn, turns: false };
    let plan = Plan::of(keys, asked, &Schedule::default(), LIFETIME, at(now));
    [plan.kept, plan.made].concat()
}

fn phases(keys: &[KeyTimes], now: i64) -> Vec<Phase> {
    keys.iter().map(|key| key.phase(at(now))).collect()
}

#[test]
fn a_new_ring_signs_at_once_and_has_its_next_key_published() {
    let keys = changed(&[], &[], NOW);
    assert_eq!(phases(&keys, NOW), [Phase::Signing, Phase::Standby]);
    assert_eq!(keys[1].signs_from, at(NOW + 30 * DAY - 30_000), "on a clock that is behind, too");
    assert_eq!(keys[0].signs_until, Some(keys[1].signs_from));
    // Lifetime, leeway, twice the skew, and the margin.
    let last = keys[1].signs_from.after(LIFETIME + Duration::from_secs(30 + 30 + 60));
    assert_eq!(keys[0].verifies_until, Some(last));
}

#[test]
fn a_key_signs_its_time_then_verifies_then_is_gone() {
    let mut keys = changed(&[], &[], NOW);
    let turn = NOW + 30 * DAY - 30_000;
    keys = changed(&keys, &[], turn);
    assert_eq!(phases(&keys, turn), [Phase::Retired, Phase::Signing, Phase::Standby]);
    assert!(keys[0].is_private_kept, "an instance may be behind");
    keys = changed(&keys, &[], turn + 90 * 1000);
    assert!(!keys[0].is_private_kept);
    let end = turn + (15 * 60 + 120) * 1000;
    assert_eq!(keys[0].phase(at(end - 1)), Phase::Retired);
    assert_eq!(keys[0].phase(at(end)), Phase::Gone);
}

#[test]
fn after_a_year_without_anybody_the_next_key_signs_and_another_stands_by() {
    let keys = changed(&[], &[], NOW);
    let now = NOW + 365 * DAY;
    assert_eq!(phases(&keys, now), [Phase::Gone, Phase::Signing], "nobody has to be there");
    let keys = changed(&keys, &[], now);
    assert_eq!(phases(&keys, now), [Phase::Gone, Phase::Signing, Phase::Standby]);
    assert_eq!(keys[2].signs_from, at(now + DAY), "not before verifiers have it");
}

#[test]
fn in_an_emergency_the_key_that_verifiers_have_signs_at_once() {
    let keys = changed(&[], &[], NOW);
    let now = NOW + DAY;
    let keys = changed(&keys, &[0], now);
    assert_eq!(phases(&keys, now), [Phase::Withdrawn, Phase::Signing, Phase::Standby]);
    assert!(!keys[0].is_private_kept);
    assert_eq!((keys[1].published_at, keys[1].signs_from), (at(NOW), at(now - 30_000)));
}

#[test]
fn a_key_that_leaks_while_it_stands_by_never_signs() {
    let keys = changed(&[], &[], NOW);
    let now = NOW + 28 * DAY;
    let keys = changed(&keys, &[1], now);
    assert_eq!(phases(&keys, now), [Phase::Signing, Phase::Withdrawn, Phase::Standby]);
    assert_eq!(keys[2].signs_from, at(NOW + 30 * DAY - 30_000), "then as before");
    assert_eq!(keys[0].signs_until, Some(keys[2].signs_from));
}

#[test]
fn where_all_are_compromised_nothing_of_before_signs_or_verifies() {
    let keys = changed(&[], &[], NOW);
    let keys = changed(&keys, &[0, 1], NOW + DAY);
    let withdrawn = [Phase::Withdrawn, Phase::Withdrawn, Phase::Signing, Phase::Standby];
    assert_eq!(phases(&keys, NOW + DAY), withdrawn);
}

#[test]
fn a_key_that_is_not_there_changes_nothing() {
    let keys = changed(&[], &[], NOW);
    assert_eq!(changed(&keys, &[9], NOW), keys);
    let withdrawn = changed(&keys, &[0], NOW);
    assert_eq!(changed(&withdrawn, &[0], NOW), withdrawn, "twice is once");
}

/// Another interval holds for keys that are made from then on.
#[test]
fn other_settings_change_nothing_of_keys_that_are_there() {
    let keys = changed(&[], &[], NOW);
    let other = Schedule::default().interval(Duration::from_secs(3 * 24 * 60 * 60));
    let plan = Plan::of(&keys, Asked::default(), &other, LIFETIME, at(NOW + DAY));
    assert!(plan.is_nothing(&keys));
}

#[test]
fn a_longer_lifetime_keeps_a_key_for_longer_and_a_shorter_one_never_for_less() {
    let keys = changed(&[], &[], NOW);
    let end = |lifetime| {
        let plan = Plan::of(&keys, Asked::default(), &Schedule::default(), lifetime, at(NOW));
        plan.kept[0].verifies_until.expect("there is a successor")
    };
    assert_eq!(end(4 * LIFETIME).since(end(LIFETIME)), 3 * LIFETIME);
    assert_eq!(end(LIFETIME / 3), end(LIFETIME));
}

#[test]
fn each_inequality_that_does_not_hold_is_a_fault() {
    let day = Duration::from_secs(24 * 60 * 60);
    for (schedule, says) in [
        (Schedule::new().publish_ahead(day / 2), "`publish_ahead` is"),
        (Schedule::new().verifier_cache(day), "`publish_ahead` is"),
        (Schedule::new().interval(day), "`interval` is"),
        (Schedule::new().skew(Duration::from_secs(16)), "`leeway` is"),
        (Schedule::new().leeway(Duration::from_secs(29)), "`leeway` is"),
        (Schedule::new().skew(Duration::ZERO), "`skew` is 0"),
        (Schedule::new().reload(Duration::ZERO), "`reload` is"),
        (Schedule::new().reload(day), "`reload` is"),
    ] {
        let faults: Vec<_> = schedule.faults().iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(says), "{faults:?}");
    }
    let all = Schedule::new().stale(2 * day).interval(day).reload(Duration::ZERO).faults();
    assert_eq!(all.len(), 4, "{all:?}");
    let huge = Schedule::new().skew(Duration::MAX).faults();
    assert!(huge.iter().any(|fault| matches!(fault, ScheduleFault::Leeway { .. })), "{huge:?}");
}

/// Whenever it happens: the key that takes over has been published for as long as any verifier keeps a key set.
#[test]
fn an_emergency_at_any_moment_finds_a_key_that_verifiers_have() {
    let mut keys = changed(&[], &[], NOW);
    let known = Schedule::default().stale_after() + Duration::from_secs(12 * 60 * 60 + 30);
    for step in 24..24 * 100 {
        let now = NOW + step * DAY / 24;
        keys = changed(&keys, &[], now);
        let signing = keys.iter().position(|key| key.phase(at(now)) == Phase::Signing);
        let after = changed(&keys, &[signing.expect("one signs")], now);
        let signing = after.iter().find(|key| key.phase(at(now)) == Phase::Signing);
        let published_at = signing.expect("one signs").published_at;
        assert!(at(now).since(published_at) >= known, "{step} {after:#?}");
    }
}

#[test]
fn a_turn_by_hand_waits_until_every_instance_has_read_it_and_every_verifier_has_the_key() {
    let keys = changed(&[], &[], NOW);
    let turn = |keys: &[KeyTimes], now| {
        let asked = Asked { withdrawn: &[], turns: true };
        let plan = Plan::of(keys, asked, &Schedule::default(), LIFETIME, at(now));
        [plan.kept, plan.made].concat()
    };
    // The one that stands by is known: ten minutes without the store, and two clocks.
    let now = NOW + 10 * DAY;
    let turned = turn(&keys, now);
    let signs_from = at(now + 630 * 1000);
    assert_eq!(phases(&turned, now), [Phase::Signing, Phase::Standby, Phase::Standby]);
    assert_eq!((turned[0].signs_until, turned[1].signs_from), (Some(signs_from), signs_from));
    let end = signs_from.after(LIFETIME + Duration::from_secs(120));
    assert_eq!(turned[0].verifies_until, Some(end), "and no longer");
    // Said again, it is the same one, not the next.
    assert_eq!(turn(&turned, now + 1000), turned);
    // A young one waits for its day.
    let young = turn(&keys, NOW + 1000);
    assert_eq!(young[1].signs_from, at(NOW + DAY));
    // One that signs soon anyhow is not put off.
    let soon = NOW + 30 * DAY - 60_000;
    assert_eq!(turn(&changed(&keys, &[], soon), soon), changed(&keys, &[], soon));
}
