//! Three instances over one store, in every order: each loads the ring, offers what is due, and may end between any two
//! steps. One clock is ahead by the skew, one is behind. A key may be withdrawn, and a turn asked for, at any moment.
//!
//! The decisions are those of [`Plan`] and [`KeyTimes`]; the model has the store, which takes one change for a version, and
//! time. Every world that can come of the first is looked at.
use core::time::Duration;
use std::collections::{HashMap, HashSet};

use super::keys::signing;
use super::*;
use crate::time::StoreTime;

/// By how much the clock of each instance is off.
const OFF: [i64; 3] = [-SKEW, 0, SKEW];
const SKEW: i64 = 1;
/// For how long an instance goes by what it read.
const STALE: i64 = 2;
/// For how long a verifier keeps a key set.
const CACHE: i64 = 1;
const AHEAD: i64 = STALE + CACHE + 2 * SKEW;
const LIFETIME: i64 = 2;
const LEEWAY: i64 = 2 * SKEW;

/// Where the model begins.
const START: i64 = 1_000;

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).expect("positive"))
}

fn at(now: i64) -> StoreTime {
    StoreTime::from_millis(now)
}

/// As tight as the inequalities allow.
fn schedule() -> Schedule {
    Schedule::new()
        .stale(millis(STALE))
        .reload(millis(1))
        .verifier_cache(millis(CACHE))
        .skew(millis(SKEW))
        .publish_ahead(millis(AHEAD))
        .interval(millis(2 * AHEAD))
        .leeway(millis(LEEWAY))
        .margin(Duration::ZERO)
}

/// A ring, by its place among all that were seen. A key is its place in the ring: rows are never taken away here.
type Ring = u16;

/// Keys, as bits at their places.
type Keys = u16;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Wants {
    Due,
    Turn,
    Withdraw(u8),
}

/// An instance. One that has just started has neither.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
struct Instance {
    /// What it signs and publishes by, and when that was read. Not what is too old.
    held: Option<(Ring, i64)>,
    /// What it loaded, and when; what it will offer; and whether the store still has it.
    loaded: Option<(Ring, i64, Wants, bool)>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct World {
    now: i64,
    store: Ring,
    instances: [Instance; 3],
    /// Key sets that verifiers may have: when each was fetched, and what is in it.
    fetched: Vec<(i64, Keys)>,
    /// Until when a token of each key may pass; 0: none may.
    tokens: Vec<i64>,
    /// How many keys may still be withdrawn, and how many turns asked for.
    emergencies: u8,
    turns: u8,
}

/// What a ring says at a time.
#[derive(Clone, Copy)]
struct Says {
    signing: u8,
    published: Keys,
}

/// Rings, and what was decided about them, once for each question.
#[derive(Default)]
struct Decided {
    rings: Vec<Vec<KeyTimes>>,
    places: HashMap<String, Ring>,
    plans: HashMap<(Ring, Wants, i64), Option<Ring>>,
    says: HashMap<(Ring, i64), Says>,
}

impl Decided {
    fn ring(&mut self, keys: Vec<KeyTimes>) -> Ring {
        let place = Ring::try_from(self.rings.len()).expect("few rings");
        let place = *self.places.entry(format!("{keys:?}")).or_insert(place);
        if usize::from(place) == self.rings.len() {
            self.rings.push(keys);
        }
        place
    }

    fn keys(&self, ring: Ring) -> &[KeyTimes] {
        &self.rings[usize::from(ring)]
    }

    /// What a ring becomes. `None`: it is as it should be.
    fn plan(&mut self, ring: Ring, wants: Wants, now: i64) -> Option<Ring> {
        if let Some(known) = self.plans.get(&(ring, wants, now)) {
            return *known;
        }
        let keys = self.keys(ring).to_vec();
        let withdrawn = match wants {
            Wants::Withdraw(key) => vec![usize::from(key)],
            Wants::Due | Wants::Turn => Vec::new(),
        };
        let asked = Asked { withdrawn: &withdrawn, turns: wants == Wants::Turn };
        let plan = Plan::of(&keys, asked, &schedule(), millis(LIFETIME), at(now));
        let change = !plan.is_nothing(&keys);
        let change = change.then(|| self.ring([plan.kept, plan.made].concat()));
        self.plans.insert((ring, wants, now), change);
        change
    }

    fn says(&mut self, ring: Ring, clock: i64) -> Says {
        if let Some(known) = self.says.get(&(ring, clock)) {
            return *known;
        }
        let keys = self.keys(ring);
        let all = keys.iter().filter(|key| key.phase(at(clock)) == Phase::Signing).count();
        assert_eq!(all, 1, "one key signs at {clock}: {keys:#?}");
        let signing = signing(keys, at(clock)).expect("and it can");
        let is_published = |(_, key): &(usize, &KeyTimes)| key.is_published(at(clock));
        let published = keys.iter().enumerate().filter(is_published);
        let published = published.fold(0, |bits, (place, _)| bits | 1 << place);
        let signing = u8::try_from(signing).expect("few keys");
        let says = Says { signing, published };
        self.says.insert((ring, clock), says);
        says
    }
}

impl World {
    /// A ring as it is so long before a turn, which all instances have just read.
    fn new(decided: &mut Decided, before_turn: i64, emergencies: u8, turns: u8) -> Self {
        let plan = |keys: &[KeyTimes], now: i64| {
            let plan = Plan::of(keys, Asked::default(), &schedule(), millis(LIFETIME), at(now));
            [plan.kept, plan.made].concat()
        };
        assert_eq!(schedule().faults(), []);
        let made_at = START + before_turn - 2 * AHEAD + 2 * SKEW;
        let ring = plan(&plan(&[], made_at), START);
        assert_eq!(ring[1].signs_from, at(START + before_turn));
        let tokens = vec![0; ring.len()];
        let store = decided.ring(ring);
        let instances = [Instance { held: Some((store, START)), loaded: None }; 3];
        Self { now: START, store, instances, fetched: Vec::new(), tokens, emergencies, turns }
    }

    /// Whatever can happen next.
    fn next(&self, decided: &mut Decided) -> Vec<Self> {
        let mut next = vec![self.later()];
        for (number, instance) in self.instances.iter().enumerate() {
            let with = |change: Instance| {
                let mut world = self.clone();
                world.instances[number] = change;
                world
            };
            match instance.loaded {
                // The store's clock was read at any moment since.
                Some(loaded) => next.extend(
                    (loaded.1..=self.now).map(|clock| self.offered(number, loaded, clock, decided)),
                ),
                None => {
                    let loads = |wants| {
                        let loaded = Some((self.store, self.now, wants, true));
                        with(Instance { loaded, ..*instance })
                    };
                    next.push(loads(Wants::Due));
                    if let Some(turns) = self.turns.checked_sub(1) {
                        next.push(Self { turns, ..loads(Wants::Turn) });
                    }
                    if let Some(emergencies) = self.emergencies.checked_sub(1) {
                        let keys = decided.keys(self.store).len();
                        let keys = 0..u8::try_from(keys).expect("few keys");
                        let worlds = keys.map(|key| loads(Wants::Withdraw(key)));
                        next.extend(worlds.map(|world| Self { emergencies, ..world }));
                    }
                }
            }
            // It ends between two steps, and another is started in its place. One that ends while it only signs does less
            // than one that goes on.
            if instance.loaded.is_some() {
                next.push(with(Instance::default()));
            }
        }
        next
    }

    fn later(&self) -> Self {
        let mut world = self.clone();
        world.now += 1;
        world.fetched.retain(|(fetched, _)| world.now - fetched <= CACHE);
        for instance in &mut world.instances {
            instance.held = instance.held.filter(|(_, read)| world.now - read <= STALE);
            // A store that takes longer is not believed.
            instance.loaded = instance.loaded.filter(|(_, at, ..)| world.now - at <= 1);
        }
        world
    }

    /// What an instance decided by what it loaded, by the store's clock of that moment or of one after it; and whether that is
    /// taken.
    fn offered(
        &self,
        number: usize,
        (ring, loaded_at, wants, is_current): (Ring, i64, Wants, bool),
        clock: i64,
        decided: &mut Decided,
    ) -> Self {
        let mut world = self.clone();
        world.instances[number].loaded = None;
        match decided.plan(ring, wants, clock) {
            None => {
                let held = &mut world.instances[number].held;
                if held.is_none_or(|(_, read)| read <= loaded_at) {
                    *held = Some((ring, loaded_at));
                }
            }
            Some(change) if is_current => {
                world.store = change;
                world.tokens.resize(decided.keys(change).len(), 0);
                for (_, _, _, is_current) in
                    world.instances.iter_mut().filter_map(|other| other.loaded.as_mut())
                {
                    *is_current = false;
                }
            }
            Some(_) => {}
        }
        world
    }

    /// What has to hold of what each instance signs and publishes now. What it does is noted.
    fn check(&mut self, decided: &mut Decided) {
        let store = decided.keys(self.store).to_vec();
        let is_withdrawn = |key: usize| store[key].withdrawn_at.is_some();
        let held: Vec<_> = (self.instances.iter().zip(OFF))
            .filter_map(|(instance, off)| Some((instance.held?.0, self.now + off)))
            .collect();
        for &(ring, clock) in &held {
            let signing = usize::from(decided.says(ring, clock).signing);
            let key = decided.keys(ring)[signing];
            // Every verifier has it, but for one that came out of nothing, or is withdrawn by now.
            let is_ahead = key.signs_from.since(key.published_at) >= millis(AHEAD);
            for (_, set) in self.fetched.iter().filter(|_| is_ahead && !is_withdrawn(signing)) {
                assert_ne!(set & 1 << signing, 0, "{signing} of {set:b}: {self:#?} {store:#?}");
            }
            let passes = clock + LIFETIME + LEEWAY + SKEW;
            self.tokens[signing] = self.tokens[signing].max(passes);
        }
        for &(ring, clock) in &held {
            let set = decided.says(ring, clock).published;
            for (place, end) in self.tokens.iter().enumerate() {
                // Who has not heard of a key yet is looked at above.
                let is_known = place < decided.keys(ring).len();
                if is_known && self.now < *end && !is_withdrawn(place) {
                    assert_ne!(set & 1 << place, 0, "{place} of {set:b}: {self:#?} {store:#?}");
                }
            }
            self.fetched.push((self.now, set));
        }
        self.fetched.sort_unstable();
        self.fetched.dedup();
        // What is over is over, whenever it was: fewer worlds differ.
        let now = self.now;
        self.tokens.iter_mut().filter(|end| **end <= now).for_each(|end| *end = 0);
    }
}

/// Looks at every world that can come of `first` within so long. How many there are.
fn explore(first: World, mut decided: Decided, length: i64) -> usize {
    let mut seen = HashSet::new();
    let mut todo = vec![first];
    while let Some(mut world) = todo.pop() {
        if world.now > START + length || !seen.insert(world.clone()) {
            continue;
        }
        world.check(&mut decided);
        todo.extend(world.next(&mut decided));
    }
    seen.len()
}

#[test]
fn at_a_turn_no_order_of_steps_breaks_a_promise() {
    let mut decided = Decided::default();
    let first = World::new(&mut decided, 2, 0, 0);
    assert!(explore(first, decided, 10) > 100_000);
}

#[test]
fn in_an_emergency_at_a_turn_no_order_of_steps_breaks_a_promise() {
    let mut decided = Decided::default();
    let first = World::new(&mut decided, 1, 1, 0);
    assert!(explore(first, decided, 3) > 200_000);
}

#[test]
fn while_a_turn_by_hand_is_asked_for_no_order_of_steps_breaks_a_promise() {
    let mut decided = Decided::default();
    let first = World::new(&mut decided, 8, 0, 1);
    assert!(explore(first, decided, 3) > 50_000);
}

/// Which nobody has read but the one that asked.
#[test]
fn after_a_turn_by_hand_no_order_of_steps_breaks_a_promise() {
    let mut decided = Decided::default();
    let mut first = World::new(&mut decided, 5, 0, 0);
    let turned = decided.plan(first.store, Wants::Turn, START).expect("a turn");
    first.store = turned;
    first.tokens.resize(decided.keys(turned).len(), 0);
    assert!(explore(first, decided, 10) > 100_000);
}
