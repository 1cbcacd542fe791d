//! Which revocations of this process are acknowledged, and whether the store still has them.
use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The numbers of what the list holds and the log has yet to show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unmet {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// How many own revocations are remembered until the log has them.
const MOST: usize = 10_000;

/// What the list holds beyond its position, and the follower has yet to meet in the log: revocations of this process, and
/// what it read of the state. Where the store went back, it may lack them, and no number says so.
#[derive(Debug, Default)]
pub(crate) struct Own(Mutex<Writings>);

#[derive(Debug, Default)]
struct Writings {
    /// Goes up when another store is taken for the one that the list is of.
    generation: u64,
    /// Written, and not answered yet.
    under_way: HashSet<String>,
    /// What is held, by its number.
    held: BTreeSet<(u64, String)>,
    /// More is held than is remembered.
    are_many: bool,
}

impl Own {
    fn lock(&self) -> MutexGuard<'_, Writings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A revocation is about to be written under this name.
    pub(crate) fn begins(&self, writing: &str) -> u64 {
        let mut own = self.lock();
        own.under_way.insert(writing.to_owned());
        own.generation
    }

    /// It was acknowledged under this number: `hold` takes it into the list. `false`: another store took the place
    /// meanwhile. That may lack it, so it has to be written once more.
    pub(crate) fn acknowledged(
        &self,
        writing: &str,
        generation: u64,
        number: u64,
        hold: impl FnOnce(),
    ) -> bool {
        let mut own = self.lock();
        let is_unmet = own.under_way.remove(writing);
        if own.generation != generation {
            return false;
        }
        hold();
        // Else the log had shown it before the answer came.
        if is_unmet {
            own.held.insert((number, writing.to_owned()));
        }
        if own.held.len() > MOST {
            own.are_many = true;
            own.held.clear();
        }
        true
    }

    /// It was not acknowledged. The store may have it all the same.
    pub(crate) fn failed(&self, writing: &str) {
        self.lock().under_way.remove(writing);
    }

    /// The store has this writing under this number, and the list perhaps all up to there.
    pub(crate) fn expects(&self, writing: &str, number: u64) {
        self.lock().held.insert((number, writing.to_owned()));
    }

    /// The log has this writing under this number. Whether it has none in the place of one that was acknowledged.
    pub(crate) fn met(&self, writing: &str, number: u64) -> bool {
        let mut own = self.lock();
        own.under_way.remove(writing);
        own.held.remove(&(number, writing.to_owned()));
        own.held.first().is_none_or(|(first, _)| *first > number)
    }

    /// What is held, and the log has yet to show.
    pub(crate) fn unmet(&self) -> Option<Unmet> {
        let own = self.lock();
        let ((first, _), (last, _)) = (own.held.first()?, own.held.last()?);
        Some(Unmet { first: *first, last: *last })
    }

    /// Takes another store for the one that the list is of, unless there is something to give back to it.
    pub(crate) fn adopt(&self) -> bool {
        let mut own = self.lock();
        let owes_nothing = own.held.is_empty() && !own.are_many;
        own.generation += u64::from(owes_nothing);
        owes_nothing
    }

    /// All is read anew. What is acknowledged from now on belongs to what is read.
    pub(crate) fn begin_anew(&self) {
        self.lock().generation += 1;
    }

    /// As [`begin_anew`](Self::begin_anew); the store gets what it lacks of what `held` gives.
    pub(crate) fn give_back<H>(&self, held: impl FnOnce() -> H) -> H {
        let mut own = self.lock();
        own.generation += 1;
        own.held.clear();
        own.are_many = false;
        held()
    }
}
