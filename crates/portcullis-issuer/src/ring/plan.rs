//! What has to be changed about a ring.
use core::time::Duration;

use super::keys::{KeyTimes, signing};
use super::schedule::Schedule;
use crate::time::StoreTime;

/// What is asked for besides what is due.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The places of keys that are in other hands.
    pub withdrawn: &'a [usize],
    /// Whether the key that stands by is to sign as soon as it safely can: when every instance has read that it will, and
    /// every verifier has it.
    pub turns: bool,
}

/// What a ring becomes by one change: all of it, or nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// The keys that there are, in their order, with their times.
    pub kept: Vec<KeyTimes>,
    /// The keys that have to be made.
    pub made: Vec<KeyTimes>,
}

impl Plan {
    /// What is due of `keys` at `now`, and what is asked for besides. `lifetime` is the longest of an access token of any
    /// instance.
    ///
    /// A ring without keys is a new one: its first key signs at once, since no verifier has a key set of it.
    #[must_use]
    pub fn of(
        keys: &[KeyTimes],
        asked: Asked<'_>,
        schedule: &Schedule,
        lifetime: Duration,
        now: StoreTime,
    ) -> Self {
        let mut plan = Self { kept: keys.to_vec(), made: Vec::new() };
        for index in asked.withdrawn {
            plan.kept.get_mut(*index).into_iter().for_each(|key| withdraw(key, now));
        }
        if asked.turns
            && let Some(next) = plan.standby(now)
        {
            let next = &mut plan.kept[next];
            let safe = schedule.read_at(now).max(schedule.known_at(next.published_at));
            next.signs_from = next.signs_from.min(safe);
        }
        plan.complete(schedule, lifetime, now);
        plan.end(schedule, lifetime, now);
        plan
    }

    /// The same, where of the keys that have to be made these could be: nothing ends for what does not begin.
    #[must_use]
    pub(crate) fn with(
        mut self,
        made: impl Iterator<Item = KeyTimes>,
        schedule: &Schedule,
        lifetime: Duration,
        now: StoreTime,
    ) -> Self {
        self.made = made.collect();
        self.end(schedule, lifetime, now);
        self
    }

    /// Whether it changes nothing of `keys`.
    pub fn is_nothing(&self, keys: &[KeyTimes]) -> bool {
        self.made.is_empty() && self.kept == keys
    }

    /// The key that signs next.
    fn standby(&self, now: StoreTime) -> Option<usize> {
        let stands_by = |(_, key): &(usize, &KeyTimes)| {
            key.withdrawn_at.is_none() && key.is_private_kept && key.signs_from > now
        };
        let standbys = self.kept.iter().enumerate().filter(stands_by);
        standbys.min_by_key(|(_, key)| key.signs_from).map(|(at, _)| at)
    }

    /// Sees to it that one key signs, on the clock of every instance, and another stands by.
    fn complete(&mut self, schedule: &Schedule, lifetime: Duration, now: StoreTime) {
        // What was made by a clock that was ahead, and is right again: it is in the ring now.
        for key in self.kept.iter_mut().filter(|key| key.published_at > now) {
            key.published_at = now;
        }
        let begin = schedule.on_every_clock(now);
        if signing(&self.kept, now).is_none() {
            // The one that stands by, since verifiers have it; after what was before, where that was just now.
            let ends = self.kept.iter().filter(|key| key.withdrawn_at.is_none());
            let ends = ends.filter_map(|key| key.signs_until).filter(|end| *end <= now);
            let signs_from = ends.max().map_or(begin, |end| end.max(begin));
            match self.standby(now) {
                Some(next) => advance(&mut self.kept[next], signs_from),
                None => self.made.push(KeyTimes::new(signs_from, signs_from)),
            }
        }
        let signs_on = |key: &&mut KeyTimes| {
            let is_over = key.signs_until.is_some_and(|end| end <= begin);
            key.withdrawn_at.is_none() && key.is_private_kept && !is_over
        };
        let all = self.kept.iter_mut().chain(&mut self.made);
        if let Some(first) = all.filter(signs_on).min_by_key(|key| key.signs_from)
            && first.signs_from > begin
        {
            advance(first, begin);
        }
        // After the next turn, too, an emergency has to find a key that verifiers know: one stands by that signs no sooner
        // than they all have it.
        let soon = schedule.known_at(now);
        let all = self.kept.iter().chain(&self.made).filter(|key| key.withdrawn_at.is_none());
        let last = all.map(|key| key.signs_from).max().unwrap_or(now);
        if last < soon {
            let signs_from = schedule.successor_signs_from(last, now, lifetime);
            self.made.push(KeyTimes::new(now, signs_from));
        }
    }

    /// Has each key end with what comes after it, and its private part be erased in time.
    fn end(&mut self, schedule: &Schedule, lifetime: Duration, now: StoreTime) {
        let mut begins: Vec<_> = self.kept.iter().chain(&self.made).copied().collect();
        begins.retain(|key| key.withdrawn_at.is_none());
        for key in self.kept.iter_mut().chain(&mut self.made) {
            if key.withdrawn_at.is_some() {
                continue;
            }
            let after = begins.iter().map(|other| other.signs_from);
            let next = after.filter(|begin| *begin > key.signs_from).min();
            // What was over stays over.
            if key.signs_until.is_none_or(|until| until > now) && key.signs_until != next {
                (key.signs_until, key.verifies_until) = (next, None);
            }
            if let Some(until) = key.signs_until {
                let verifies = schedule.verifies_until(until, lifetime);
                let is_over = key.verifies_until.is_some_and(|end| end <= now);
                if !is_over {
                    key.verifies_until = key.verifies_until.max(Some(verifies));
                }
                key.is_private_kept &= now < schedule.erased_at(until);
            } else {
                key.verifies_until = None;
            }
        }
    }
}

/// Nobody signs with it any more, or verifies; also of one that is over, which a clock that goes back would bring back.
fn withdraw(key: &mut KeyTimes, now: StoreTime) {
    key.withdrawn_at.get_or_insert(now);
    key.is_private_kept = false;
}

/// Has it sign sooner than was said.
fn advance(key: &mut KeyTimes, signs_from: StoreTime) {
    key.signs_from = signs_from;
    key.published_at = key.published_at.min(signs_from);
}
