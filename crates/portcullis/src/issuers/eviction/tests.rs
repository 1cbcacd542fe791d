use proptest::prelude::*;

use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// The defaults.
const PACE: Pace = Pace { burst: 50, interval: Duration::from_millis(100) };

fn newcomers() -> Newcomers {
    Newcomers::new(PACE, 1000, Verified::for_tenants(1000))
}

/// The real tenant. All others are invented.
const REAL: Name = Name(u64::MAX);

/// What one who invents tenants sends next, told how often the real one was asked for, and whether the last one came in.
type Attack = Box<dyn FnMut(u32, bool) -> Name>;

/// When the real tenant comes in that asks ten times a second from `start` on, while 2,000 invented ones are asked for in
/// a second.
fn comes_in_after(start: Duration, mut attack: Attack) -> Duration {
    let mut newcomers = newcomers();
    let (mut asked, mut came) = (0, false);
    for sent in 0.. {
        let now = SECOND / 2000 * sent;
        let next = start + 100 * MILLISECOND * asked;
        if now >= next {
            asked += 1;
            if newcomers.ask(now, REAL) {
                return now - start;
            }
        }
        came = newcomers.ask(now, attack(asked, came));
        assert!(newcomers.waiting.names.len() <= MAX_WAITING);
        assert!(now < start + 100 * SECOND, "never");
    }
    unreachable!("it does not end")
}

/// Each name so many times in a row.
fn in_a_row(times: u64) -> Attack {
    let mut sent = 0;
    Box::new(move |_, _| {
        sent += 1;
        Name(sent / times)
    })
}

/// So many names in turn, until the real one comes. Then always the one that it takes the least to put before it.
fn hoarding(names: u64) -> Attack {
    let mut hoard: BTreeSet<(u32, u64)> = (0..names).map(|name| (0, name)).collect();
    let (mut next, mut last) = (names, (0, 0));
    Box::new(move |asked, came| {
        if came {
            hoard.remove(&last);
            hoard.insert((0, next));
            next += 1;
        }
        let least = hoard.first().copied();
        let below = hoard.range(..=(asked, u64::MAX)).next_back().copied();
        let (times, name) = if asked == 0 { least } else { below.or(least) }.expect("a name");
        hoard.remove(&(times, name));
        last = (times + 1, name);
        hoard.insert(last);
        Name(name)
    })
}

#[test]
fn as_many_come_in_at_once_as_the_burst_has_and_then_one_in_each_interval() {
    let mut newcomers = newcomers();
    let mut names = (0..).map(Name);
    let mut come = |now: Moment, many: usize| {
        names.by_ref().take(many).filter(|name| newcomers.ask(now, *name)).count()
    };
    assert_eq!(come(SECOND, 60), 50);
    for tenths in 1..20 {
        let now = SECOND + 100 * MILLISECOND * tenths;
        assert_eq!(come(now - MILLISECOND, 5), 0);
        assert_eq!(come(now, 5), 1);
    }
    assert_eq!(come(60 * SECOND, 60), 50);
}

#[test]
fn while_2000_are_invented_a_second_one_that_asks_ten_times_a_second_comes_in_within_300_ms() {
    for start in [1037, 3000, 10_099, 30_012] {
        let after = comes_in_after(MILLISECOND * start, in_a_row(1));
        assert!(after <= 300 * MILLISECOND, "{after:?} from {start} ms");
    }
}

/// 2,000 a second, ten of which come in: each has to be sent over 200 times to be before one that was asked for as often,
/// which takes it 20 s; and what was saved up before, as much again.
#[test]
fn names_that_are_repeated_hold_up_one_that_asks_ten_times_a_second_for_40_s_at_most() {
    let start = 30 * SECOND + 37 * MILLISECOND;
    let rows = [10, 100, 400].map(|times| (times, comes_in_after(start, in_a_row(times))));
    let hoards = [100, 400, 2000].map(|names| (names, comes_in_after(start, hoarding(names))));
    eprintln!("{rows:?} {hoards:?}");
    for (number, after) in rows.into_iter().chain(hoards) {
        assert!(after <= 40 * SECOND, "{number}: {after:?}");
    }
    assert!(hoards.iter().any(|(_, after)| *after > 10 * SECOND), "not much of an attack");
}

#[test]
fn a_name_that_was_asked_for_often_and_stays_away_keeps_nobody_out() {
    let mut newcomers = newcomers();
    let now = SECOND;
    for name in 0..50 {
        assert!(newcomers.ask(now, Name(name)));
    }
    for _ in 0..1000 {
        assert!(!newcomers.ask(now, Name(100)));
    }
    assert!(!newcomers.ask(now + 100 * MILLISECOND, REAL), "the slot is of the other");
    assert!(newcomers.ask(now + 200 * MILLISECOND, REAL));
    // Its place was kept for it, for a while.
    assert!(newcomers.ask(now + 201 * MILLISECOND, Name(100)));
}

#[test]
fn a_place_is_kept_for_10_s() {
    for (later, is_kept) in [(10 * SECOND - MILLISECOND, true), (10 * SECOND, false)] {
        let mut newcomers = newcomers();
        (0..50).for_each(|name| assert!(newcomers.ask(SECOND, Name(name))));
        (0..2).for_each(|_| assert!(!newcomers.ask(SECOND, Name(100))));
        let granted = SECOND + 100 * MILLISECOND;
        assert!(!newcomers.ask(granted, REAL));
        newcomers.budget.full_at = Moment::MAX;
        assert_eq!(newcomers.ask(granted + later, Name(100)), is_kept);
        assert!(newcomers.granted.names.is_empty() && newcomers.granted.order.is_empty());
    }
}

#[test]
fn one_that_verified_before_comes_in_at_once_whoever_is_invented() {
    let mut newcomers = newcomers();
    newcomers.remember(REAL);
    for name in 0..10_000 {
        newcomers.ask(SECOND, Name(name));
    }
    assert!(newcomers.ask(SECOND, REAL));
    // As many at once as there is room for, and then as fast as others.
    let again = (0..1100).filter(|_| newcomers.ask(SECOND, REAL)).count();
    assert_eq!(again, 999);
}

#[test]
fn no_more_are_remembered_than_there_is_room_for() {
    let mut newcomers = Newcomers::new(PACE, 2, Verified::for_tenants(2));
    for name in 0..100 {
        newcomers.remember(Name(name));
        newcomers.remember(Name(name));
    }
    assert_eq!(
        newcomers.verified().iter().collect::<Vec<_>>(),
        (92..100).map(Name).collect::<Vec<_>>()
    );
    for name in 0..100_000 {
        newcomers.ask(SECOND, Name(name));
    }
    let Waiting { names, by_number, by_time } = &newcomers.waiting;
    assert_eq!([names.len(), by_number.len(), by_time.len()], [MAX_WAITING; 3]);
}

/// One that stands so. Times in seconds.
fn standing(made: u64, used: u64, has_verified: bool, has_keys: bool) -> Standing {
    let [made, used] = [made, used].map(Moment::from_secs);
    Standing { made, used, has_verified, has_keys }
}

#[test]
fn who_gives_way_is_the_one_that_would_be_missed_least() {
    let now = 1000 * SECOND;
    let (invented, fresh) = (standing(100, 990, false, false), standing(990, 995, false, false));
    let (dead, idle) = (standing(0, 999, true, false), standing(0, 900, true, true));
    let (used, real) = (standing(0, 950, true, true), standing(0, 1000, true, true));
    let older = standing(99, 999, false, true);
    for (all, gone, why) in [
        (&[real, idle, dead, fresh, invented, older][..], Some(5), "the oldest that had its time"),
        (&[real, idle, dead, fresh], Some(2), "without keys"),
        (&[real, idle, fresh], Some(2), "one place is on trial already"),
        (&[real, idle, used], Some(1), "nobody asked for it in a minute"),
        (&[real, used], None, "all are in use"),
        (&[fresh, standing(991, 991, false, false)], Some(0), "the oldest of those on trial"),
        (&[idle, standing(0, 939, true, true), used], Some(0), "the longest ago"),
    ] {
        assert_eq!(who_gives_way(now, all.iter().copied().enumerate()), gone, "{why}");
    }
    // Of 64 places, four are for trials.
    for (on_trial, gives_way) in [(3, true), (4, false)] {
        let all = core::iter::repeat_n(fresh, on_trial);
        let all = all.chain(core::iter::repeat_n(idle, 64 - on_trial)).enumerate();
        let gone = who_gives_way(now, all).expect("there is one");
        assert_eq!(gone >= on_trial, gives_way, "{on_trial}");
    }
}

fn any_step() -> impl Strategy<Value = (Duration, u64)> {
    let time = prop_oneof![
        4 => Just(Duration::ZERO),
        4 => (0..200_u64).prop_map(Duration::from_millis),
        1 => (0..20_u64).prop_map(Duration::from_secs),
    ];
    (time, prop_oneof![0..5_u64, 0..1000_u64])
}

proptest! {
    #[test]
    fn whatever_is_asked_no_more_come_in_than_the_budget_has_and_whoever_keeps_asking_does(
        burst in 1..20_usize,
        interval in 1..2000_u64,
        remembered in prop::collection::vec(0..10_u64, 0..5),
        steps in prop::collection::vec(any_step(), 0..300),
    ) {
        let pace = Pace { burst, interval: Duration::from_millis(interval) };
        let most = 3;
        let mut newcomers = Newcomers::new(pace, most, Verified::for_tenants(most));
        remembered.iter().for_each(|name| newcomers.remember(Name(*name)));
        let mut now = SECOND;
        let mut entries = Vec::new();
        for (time, name) in steps {
            now += time;
            if newcomers.ask(now, Name(name)) {
                entries.push(now);
            }
            prop_assert!(newcomers.granted.order.len() == newcomers.granted.names.len());
        }
        // Those whose place was kept for 10 s may come late; those that come again have a budget of their own.
        let bound = |window: Duration| {
            let slots = |window: Duration| window.as_millis() / u128::from(interval) + 1;
            let kept = window + PATIENCE;
            (burst as u128 + slots(kept)) + (most as u128 + slots(window))
        };
        for (at, first) in entries.iter().enumerate() {
            for (further, last) in entries[at..].iter().enumerate() {
                prop_assert!((further as u128) < bound(*last - *first), "{further} in {:?}", *last - *first);
            }
        }
        // Nobody else asks now: at the latest when all those before it had theirs.
        let end = now + PATIENCE + pace.interval * 2;
        let came = (0..10_u32).any(|tenth| newcomers.ask(end + pace.interval * tenth, REAL));
        prop_assert!(came);
    }
}
