//! Which lists are here, which are being fetched, which rest after a failure, and which give way: a state
//! machine without I/O and without a clock. What happens and the time go in, what is to be done comes out.
use core::cmp::Reverse;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use super::fault::StatusListFault;
use super::list::{List, Moment};
use super::settings::Settings;
use crate::time::UnixTime;

/// For how long a server's `Retry-After` counts: meanwhile, no token of its list passes.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// When something happens, by the policy's clock and by one that only goes forward.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    pub(super) time: UnixTime,
    pub(super) moment: Moment,
}

/// The state.
#[derive(Debug)]
pub(super) struct Slots {
    settings: Settings,
    slots: HashMap<Arc<str>, Slot>,
    generation: u64,
}

/// What is known of one list.
#[derive(Debug)]
struct Slot {
    issuer: Arc<str>,
    list: Option<Arc<List>>,
    /// When the newest list was issued that was here.
    newest: Option<UnixTime>,
    is_in_flight: bool,
    /// In a row.
    failures: u32,
    /// It is not fetched before.
    retry_at: Moment,
    /// When it was last asked for while it was not here, on the policy's clock.
    wanted_at: UnixTime,
}

/// What comes of a question for a list.
#[derive(Debug)]
pub(super) enum Answer {
    Here(Arc<List>),
    /// Fetch it, and say how it ended. It counts as in flight from now on.
    Fetch,
    InFlight,
    /// It was tried, and is tried again after so long.
    Resting(Duration),
    NoRoom,
}

/// The lists that are here.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) lists: HashMap<Arc<str>, Arc<List>>,
    pub(super) generation: u64,
    /// When the first of them ends, by either clock.
    pub(super) until: UnixTime,
    pub(super) until_moment: Moment,
    /// When the first of them is to be fetched anew.
    pub(super) refresh_at: Moment,
}

impl Slots {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, slots: HashMap::new(), generation: 0 }
    }

    /// Goes up with each list that comes or goes.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let lists = self
            .slots
            .iter()
            .filter_map(|(key, slot)| Some((Arc::clone(key), Arc::clone(slot.list.as_ref()?))));
        let lists: HashMap<_, _> = lists.collect();
        let first = |of: fn(&List) -> Moment| {
            lists.values().map(|list| of(list)).min().unwrap_or(Moment::MAX)
        };
        Snapshot {
            generation: self.generation,
            until: lists.values().map(|list| list.until).min().unwrap_or(UnixTime(i64::MAX)),
            until_moment: first(|list| list.until_moment),
            refresh_at: first(List::refresh_at),
            lists,
        }
    }

    /// Somebody asks for a list of this issuer; for another one than `old`, where that is to be fetched anew.
    pub(super) fn ask(&mut self, key: &str, issuer: &str, now: Now, old: Option<&List>) -> Answer {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.wanted_at = now.time;
            let is_old = |list: &List| old.is_some_and(|old| core::ptr::eq(old, list));
            let here = slot.list.as_ref().filter(|list| !is_old(list));
            if let Some(list) = here.filter(|list| list.serves(now)) {
                return Answer::Here(Arc::clone(list));
            }
            if slot.is_in_flight {
                return Answer::InFlight;
            }
            if now.moment < slot.retry_at {
                return Answer::Resting(slot.retry_at - now.moment);
            }
        }
        let most = self.settings.max_lists;
        let is_of_issuer = |slot: &&Slot| slot.is_in_flight && *slot.issuer == *issuer;
        if self.slots.values().filter(is_of_issuer).count() >= (most / 2).max(1) {
            return Answer::NoRoom;
        }
        if !self.slots.contains_key(key) && self.slots.len() >= most {
            let Some(key) = self.giving_way(issuer) else { return Answer::NoRoom };
            if self.slots.remove(&key).is_some_and(|slot| slot.list.is_some()) {
                // Those who hold on to what it said have to ask again.
                self.generation += 1;
            }
        }
        let slot = self.slots.entry(key.into()).or_insert_with(|| Slot {
            issuer: issuer.into(),
            list: None,
            newest: None,
            is_in_flight: false,
            failures: 0,
            retry_at: Moment::ZERO,
            wanted_at: now.time,
        });
        slot.is_in_flight = true;
        Answer::Fetch
    }

    /// Takes in how a fetch ended. `Err`: in how long it is tried again, and why it failed.
    pub(super) fn landed(
        &mut self,
        key: &str,
        moment: Moment,
        result: Result<List, StatusListFault>,
    ) -> Result<Arc<List>, (Duration, StatusListFault)> {
        let Some(slot) = self.slots.get_mut(key) else {
            // Never so: one that is in flight does not give way.
            return Err((self.settings.first_retry, StatusListFault::NoRoom));
        };
        slot.is_in_flight = false;
        let result = result.and_then(|list| {
            // An old one may say that a token is good which was revoked since.
            let is_older = slot.newest.is_some_and(|newest| list.issued_at < newest);
            if is_older { Err(StatusListFault::Older) } else { Ok(Arc::new(list)) }
        });
        match result {
            Ok(list) => {
                slot.newest = Some(list.issued_at);
                slot.failures = 0;
                slot.list = Some(Arc::clone(&list));
                self.generation += 1;
                Ok(list)
            }
            Err(fault) => {
                slot.failures = slot.failures.saturating_add(1);
                let asked = fault.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER);
                let wait = self.settings.retry_after(slot.failures).max(asked);
                slot.retry_at = moment.saturating_add(wait);
                if let Some(list) = &slot.list {
                    list.set_refresh_at(slot.retry_at);
                }
                Err((wait, fault))
            }
        }
    }

    /// Lets go of lists that are over.
    pub(super) fn sweep(&mut self, now: Now) {
        for slot in self.slots.values_mut() {
            if slot.list.as_ref().is_some_and(|list| !list.serves(now)) {
                slot.list = None;
                self.generation += 1;
            }
        }
    }

    /// The list that makes room for one of `newcomer`: of the issuer that has the most of them, the
    /// one that was not asked for the longest time. None that is being fetched.
    fn giving_way(&self, newcomer: &str) -> Option<Arc<str>> {
        let mut counts = HashMap::from([(newcomer, 1_usize)]);
        for slot in self.slots.values() {
            *counts.entry(&slot.issuer).or_default() += 1;
        }
        let idle = self.slots.iter().filter(|(_, slot)| !slot.is_in_flight);
        let last = idle
            .max_by_key(|(_, slot)| (counts.get(&*slot.issuer).copied(), Reverse(slot.used_at())));
        last.map(|(key, _)| Arc::clone(key))
    }
}

impl Slot {
    fn used_at(&self) -> UnixTime {
        let used = self.list.as_ref().map(|list| list.used_at());
        used.map_or(self.wanted_at, |used| used.max(self.wanted_at))
    }
}

#[cfg(test)]
mod tests;
