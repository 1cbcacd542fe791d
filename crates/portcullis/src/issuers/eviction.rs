//! Which new tenant comes in, and which gives way to it: rules without a clock and without I/O, so that any history
//! can be tried.
//!
//! Whoever can send a request can invent tenants, and nothing tells an invented one from a real one before its keys
//! were asked for. So there is a budget, and where it is short, who was asked for most often goes first: to outdo
//! one who asks ten times a second, each invented name has to be sent as often.
use core::time::Duration;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

/// Time since some start, which never goes backwards.
pub(super) type Moment = Duration;

/// What stands for an issuer: a keyed digest, so that nobody can make two that are alike.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Name(pub(super) u64);

/// How many come in at once, and after that, how long it takes from one to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) burst: usize,
    pub(super) interval: Duration,
}

/// How many names are remembered that wait, in some 100 bytes each. With 2,000 invented names a second, one that is
/// asked for once every four seconds is still there when it is asked for again.
const MAX_WAITING: usize = 8192;

/// For how long a name waits that nobody asks for any more. Clients that were told to come again in a second do so
/// long before.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who may come in.
#[derive(Debug)]
pub(super) struct Newcomers {
    budget: Budget,
    waiting: Waiting,
    granted: Granted,
    /// Those that were here before have a budget of their own, which no invented name touches.
    returning: Budget,
    verified: Verified,
}

impl Newcomers {
    /// `most`: how many tenants there are at a time.
    pub(super) fn new(pace: Pace, most: usize, verified: Verified) -> Self {
        Self {
            budget: Budget::new(pace),
            waiting: Waiting::default(),
            granted: Granted::default(),
            returning: Budget::new(Pace { burst: most, ..pace }),
            verified,
        }
    }

    /// Whether the tenant of this name comes in now.
    pub(super) fn ask(&mut self, now: Moment, name: Name) -> bool {
        if self.verified.has(name) && self.returning.take(now) {
            self.waiting.leave(name);
            return true;
        }
        self.waiting.forget_until(now);
        self.granted.forget_until(now);
        if self.granted.leave(name) {
            return true;
        }
        self.waiting.come(now, name);
        while self.budget.take(now) {
            let first = self.waiting.first(name);
            self.waiting.leave(first);
            if first == name {
                return true;
            }
            // It is not here, but its place is kept for it: else it could keep others from theirs by staying away.
            self.granted.add(now, first);
        }
        false
    }

    /// One of whose tokens verified has given way: it comes in at once when it comes again.
    pub(super) fn remember(&mut self, name: Name) {
        self.verified.add(name);
    }

    pub(super) fn verified(&self) -> &Verified {
        &self.verified
    }
}

/// A number of slots that fills up again with time.
#[derive(Debug)]
struct Budget {
    pace: Pace,
    /// When it is full again.
    full_at: Moment,
}

impl Budget {
    fn new(pace: Pace) -> Self {
        Self { pace, full_at: Moment::ZERO }
    }

    fn has(&self, now: Moment) -> bool {
        let Pace { burst, interval } = self.pace;
        let others = u32::try_from(burst.saturating_sub(1)).unwrap_or(u32::MAX);
        self.full_at.saturating_sub(now) <= interval.saturating_mul(others)
    }

    fn take(&mut self, now: Moment) -> bool {
        let has_one = self.has(now);
        if has_one {
            self.full_at = self.full_at.max(now).saturating_add(self.pace.interval);
        }
        has_one
    }
}

/// Names that found no slot, and how often each was asked for.
#[derive(Debug, Default)]
struct Waiting {
    names: HashMap<Name, (u32, Moment)>,
    by_number: BTreeSet<(u32, Name)>,
    /// Who was not asked for the longest goes first, however often before: else names that were repeated once would
    /// leave no room for another to be.
    by_time: BTreeSet<(Moment, Name)>,
}

impl Waiting {
    fn come(&mut self, now: Moment, name: Name) {
        let asked = self.leave(name).unwrap_or(0).saturating_add(1);
        if self.names.len() >= MAX_WAITING {
            self.leave_first();
        }
        self.names.insert(name, (asked, now));
        self.by_number.insert((asked, name));
        self.by_time.insert((now, name));
    }

    fn leave(&mut self, name: Name) -> Option<u32> {
        let (asked, last) = self.names.remove(&name)?;
        self.by_number.remove(&(asked, name));
        self.by_time.remove(&(last, name));
        Some(asked)
    }

    fn leave_first(&mut self) {
        if let Some((_, name)) = self.by_time.first().copied() {
            self.leave(name);
        }
    }

    fn forget_until(&mut self, now: Moment) {
        while self.by_time.first().is_some_and(|(last, _)| !is_patient(*last, now)) {
            self.leave_first();
        }
    }

    /// Who comes in if one may, of whom `name` is one: who was asked for most often, and among those `name`.
    fn first(&self, name: Name) -> Name {
        let asked = self.names.get(&name).map(|(asked, _)| *asked);
        let most = self.by_number.last().copied();
        most.filter(|(most, _)| Some(*most) > asked).map_or(name, |(_, first)| first)
    }
}

fn is_patient(last: Moment, now: Moment) -> bool {
    now.saturating_sub(last) < PATIENCE
}

/// Names that have a slot and were not there when it came.
#[derive(Debug, Default)]
struct Granted {
    names: HashSet<Name>,
    order: VecDeque<(Moment, Name)>,
}

impl Granted {
    fn add(&mut self, now: Moment, name: Name) {
        if self.order.len() >= MAX_WAITING {
            self.forget_first();
        }
        self.names.insert(name);
        self.order.push_back((now, name));
    }

    fn leave(&mut self, name: Name) -> bool {
        let had_one = self.names.remove(&name);
        if had_one {
            self.order.retain(|(_, other)| *other != name);
        }
        had_one
    }

    fn forget_until(&mut self, now: Moment) {
        while self.order.front().is_some_and(|(at, _)| !is_patient(*at, now)) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, name)) = self.order.pop_front() {
            self.names.remove(&name);
        }
    }
}

/// Names of which a token verified, here or as an operator says, as many as fit.
#[derive(Clone, Debug, Default)]
pub(super) struct Verified {
    most: usize,
    names: HashSet<Name>,
    order: VecDeque<Name>,
}

impl Verified {
    /// For four times as many as there are at a time: who is away for longer comes in as a new one.
    pub(super) fn for_tenants(most: usize) -> Self {
        Self { most: most.saturating_mul(4), ..Self::default() }
    }

    pub(super) fn add(&mut self, name: Name) {
        if !self.names.insert(name) {
            return;
        }
        if self.order.len() >= self.most
            && let Some(first) = self.order.pop_front()
        {
            self.names.remove(&first);
        }
        self.order.push_back(name);
    }

    fn has(&self, name: Name) -> bool {
        self.names.contains(&name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Name> {
        self.order.iter().copied()
    }
}

/// What decides whether a tenant gives way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) made: Moment,
    /// When a token of it last verified.
    pub(super) used: Moment,
    /// One of its tokens verified.
    pub(super) has_verified: bool,
    pub(super) has_keys: bool,
}

/// How long the first keys of a tenant may take: three documents and a set, by their default time-outs.
const FIRST_FETCH: Duration = Duration::from_secs(15);

/// One of whose tokens verified stays while another did within this time. One that gave way too early costs a
/// fetch, and none of its requests.
const IN_USE: Duration = Duration::from_secs(60);

/// For each so many places, one in which a new tenant can show that it is real, though others verified before it.
const PLACES_FOR_ONE_TRIAL: usize = 16;

/// Which of them gives way to a new one, where all places are taken.
///
/// 1. One of which no token ever verified, and that had the time for it. The oldest first.
/// 2. One whose keys have been out of reach for so long that no token could verify.
/// 3. One that verified before and of which no token did in a minute, the longest ago first. But only while few
///    are there on trial, so that invented ones do not drive out the others.
/// 4. One of which no token ever verified. The oldest first.
pub(super) fn who_gives_way<K: Clone>(
    now: Moment,
    all: impl Iterator<Item = (K, Standing)>,
) -> Option<K> {
    let all: Vec<_> = all.collect();
    let on_trial = all.iter().filter(|(_, one)| !one.has_verified).count();
    let has_trial = on_trial < (all.len() / PLACES_FOR_ONE_TRIAL).max(1);
    let rank = |one: &Standing| {
        let had_time = now.saturating_sub(one.made) >= FIRST_FETCH;
        let is_idle = now.saturating_sub(one.used) >= IN_USE;
        match (one.has_verified, one.has_keys) {
            (false, _) if had_time => Some((1, one.made)),
            (false, _) => Some((4, one.made)),
            (true, false) => Some((2, one.used)),
            (true, true) if is_idle && has_trial => Some((3, one.used)),
            (true, true) => None,
        }
    };
    let ranked = all.iter().filter_map(|(key, one)| Some((rank(one)?, key)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, key)| key.clone())
}

#[cfg(test)]
mod tests;
