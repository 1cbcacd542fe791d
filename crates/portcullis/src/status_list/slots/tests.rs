use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::fetch::{FetchError, FetchFault};

const START: i64 = 1_800_000_000;
const SECOND: Duration = Duration::from_secs(1);
const LISTS: usize = 6;

/// Slots and a model of them, which checks all that they do.
struct Harness {
    slots: Slots,
    now: Now,
    /// What is remembered of each list, by its key.
    known: BTreeMap<String, Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    issuer: String,
    is_in_flight: bool,
    failures: u32,
    retry_at: Moment,
    newest: Option<UnixTime>,
}

#[derive(Clone, Debug)]
enum Step {
    Ask {
        issuer: u8,
        list: u8,
    },
    /// Asks anew for one that is here.
    Refresh {
        which: Index,
    },
    /// A fetch ends with a list that was issued so many seconds from the start, and serves for so long.
    Loaded {
        which: Index,
        issued: i64,
        lasts: u64,
    },
    Failed {
        which: Index,
        retry_after: Option<u64>,
    },
    Sweep,
    Wait {
        seconds: u64,
    },
}

fn failure(retry_after: Option<Duration>) -> StatusListFault {
    let (url, fault) = (String::new(), FetchFault::Status { status: 503 });
    StatusListFault::Fetch(FetchError { url, fault, retry_after })
}

impl Harness {
    fn new() -> Self {
        let settings = Settings { max_lists: LISTS, ..Settings::default() };
        let now = Now { time: UnixTime(START), moment: Moment::ZERO };
        Self { slots: Slots::new(settings), now, known: BTreeMap::new() }
    }

    fn take(&mut self, step: &Step) {
        let before = self.slots.snapshot();
        match step {
            Step::Ask { issuer, list } => {
                let issuer = format!("issuer-{issuer}");
                self.ask(&format!("{issuer}\n{list}"), &issuer, None);
            }
            Step::Refresh { which } => {
                let mut here: Vec<_> = before.lists.iter().collect();
                here.sort_by_key(|(key, _)| Arc::clone(key));
                if !here.is_empty() {
                    let (key, list) = *which.get(&here);
                    let issuer = self.known[&**key].issuer.clone();
                    self.ask(key, &issuer, Some(list));
                }
            }
            Step::Loaded { which, issued, lasts } => {
                let until = Duration::from_secs(*lasts);
                let list = List::serving(
                    UnixTime(START + issued),
                    self.now.time.saturating_add(until),
                    self.now.moment + until,
                );
                self.land(*which, Ok(list));
            }
            Step::Failed { which, retry_after } => {
                self.land(*which, Err(failure(retry_after.map(Duration::from_secs))));
            }
            Step::Sweep => {
                self.slots.sweep(self.now);
                assert!(self.slots.snapshot().lists.values().all(|it| it.serves(self.now)));
            }
            Step::Wait { seconds } => {
                let passed = Duration::from_secs(*seconds);
                self.now.time = self.now.time.saturating_add(passed);
                self.now.moment += passed;
            }
        }
        self.check(&before);
    }

    fn ask(&mut self, key: &str, issuer: &str, old: Option<&List>) {
        let counts = |known: &BTreeMap<String, Known>, issuer: &str| {
            known.values().filter(|it| it.issuer == issuer).count()
        };
        let in_flight =
            self.known.values().filter(|it| it.is_in_flight && it.issuer == issuer).count();
        let known = self.known.get(key).cloned();
        match self.slots.ask(key, issuer, self.now, old) {
            Answer::Here(list) => {
                assert!(list.serves(self.now));
                assert!(old.is_none_or(|old| !core::ptr::eq(old, &*list)));
            }
            Answer::InFlight => assert!(known.expect("a slot").is_in_flight),
            Answer::Resting(wait) => {
                let known = known.expect("a slot");
                assert!(!known.is_in_flight && !wait.is_zero());
                assert_eq!(self.now.moment + wait, known.retry_at);
            }
            Answer::NoRoom => {
                let is_full =
                    self.known.len() == LISTS && self.known.values().all(|it| it.is_in_flight);
                assert!(in_flight == LISTS / 2 || is_full);
            }
            Answer::Fetch => {
                assert!(in_flight < LISTS / 2);
                if let Some(known) = &known {
                    assert!(!known.is_in_flight && known.retry_at <= self.now.moment);
                }
                let gone: Vec<_> = self
                    .known
                    .keys()
                    .filter(|key| !self.slots.slots.contains_key(&***key))
                    .cloned()
                    .collect();
                // One gives way where there is no room: an idle one of whoever then has the most.
                assert_eq!(gone.len(), usize::from(known.is_none() && self.known.len() == LISTS));
                for key in gone {
                    let idle: BTreeSet<_> = self
                        .known
                        .values()
                        .filter(|it| !it.is_in_flight)
                        .map(|it| it.issuer.clone())
                        .collect();
                    let with_newcomer =
                        |it: &str| counts(&self.known, it) + usize::from(it == issuer);
                    let most = idle.iter().map(|it| with_newcomer(it)).max();
                    let lost = self.known.remove(&key).expect("it was there");
                    assert!(!lost.is_in_flight);
                    let had =
                        counts(&self.known, &lost.issuer) + 1 + usize::from(lost.issuer == issuer);
                    assert_eq!(Some(had), most);
                }
                let known = self.known.entry(key.to_owned()).or_default();
                (known.issuer, known.is_in_flight) = (issuer.to_owned(), true);
            }
        }
    }

    fn land(&mut self, which: Index, result: Result<List, StatusListFault>) {
        let in_flight: Vec<_> = self
            .known
            .iter()
            .filter(|(_, it)| it.is_in_flight)
            .map(|(key, _)| key.clone())
            .collect();
        if in_flight.is_empty() {
            return;
        }
        let key = which.get(&in_flight);
        let settings = Settings::default();
        let known = self.known.get_mut(key).expect("it is known");
        known.is_in_flight = false;
        let fails = match &result {
            Ok(list) if known.newest.is_some_and(|newest| list.issued_at < newest) => {
                Some(StatusListFault::Older)
            }
            Ok(_) => None,
            Err(fault) => Some(fault.clone()),
        };
        match self.slots.landed(key, self.now.moment, result) {
            Ok(list) => {
                assert_eq!(fails, None);
                (known.newest, known.failures) = (Some(list.issued_at), 0);
            }
            Err((wait, fault)) => {
                known.failures += 1;
                let asked = fault.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER);
                assert_eq!(wait, settings.retry_after(known.failures).max(asked));
                known.retry_at = self.now.moment + wait;
                assert_eq!(Some(fault), fails);
            }
        }
    }

    fn check(&self, before: &Snapshot) {
        assert!(self.slots.slots.len() <= LISTS);
        assert_eq!(self.slots.slots.len(), self.known.len());
        for (key, known) in &self.known {
            assert_eq!(self.slots.slots[&**key].is_in_flight, known.is_in_flight);
        }
        // Whoever holds on to an answer hears of each change, and of nothing else.
        let after = self.slots.snapshot();
        let lists = |it: &Snapshot| -> BTreeSet<(Arc<str>, usize)> {
            let lists = it.lists.iter();
            lists.map(|(key, list)| (Arc::clone(key), Arc::as_ptr(list).addr())).collect()
        };
        assert_eq!(lists(before) == lists(&after), before.generation == after.generation);
        assert!(before.generation <= after.generation);
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    let which = any::<Index>;
    prop_oneof![
        4 => (0..4_u8, 0..5_u8).prop_map(|(issuer, list)| Step::Ask { issuer, list }),
        2 => which().prop_map(|which| Step::Refresh { which }),
        3 => (which(), -3..4_i64, 0..400_u64)
            .prop_map(|(which, issued, lasts)| Step::Loaded { which, issued, lasts }),
        2 => (which(), prop::option::of(0..900_u64))
            .prop_map(|(which, retry_after)| Step::Failed { which, retry_after }),
        1 => Just(Step::Sweep),
        2 => (0..120_u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

proptest! {
    // For a second or so.
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_happens_the_slots_keep_their_promises(
        steps in prop::collection::vec(any_step(), 0..100),
    ) {
        let mut harness = Harness::new();
        steps.iter().for_each(|step| harness.take(step));
    }
}

#[test]
fn a_list_is_fetched_once_for_all_who_ask_and_rests_after_a_failure() {
    let Harness { mut slots, mut now, .. } = Harness::new();
    assert!(matches!(slots.ask("a\n1", "a", now, None), Answer::Fetch));
    assert!(matches!(slots.ask("a\n1", "a", now, None), Answer::InFlight));
    let failed = slots.landed("a\n1", now.moment, Err(failure(None)));
    assert!(matches!(failed, Err((wait, _)) if wait == SECOND));
    assert!(matches!(slots.ask("a\n1", "a", now, None), Answer::Resting(SECOND)));
    now.moment += SECOND;
    assert!(matches!(slots.ask("a\n1", "a", now, None), Answer::Fetch));
    let until = now.time.saturating_add(SECOND);
    let list = List::serving(now.time, until, now.moment + SECOND);
    assert!(slots.landed("a\n1", now.moment, Ok(list)).is_ok());
    assert!(matches!(slots.ask("a\n1", "a", now, None), Answer::Here(_)));
    // By either clock.
    now.moment += SECOND;
    assert!(matches!(slots.ask("a\n1", "a", now, None), Answer::Fetch));
}
