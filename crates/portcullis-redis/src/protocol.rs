//! What a member of the fleet knows of the store, and what follows from what it hears: the protocol without the
//! network.
//!
//! Of a store that may go back to any earlier state, three things are believed:
//!
//! - **Its recovery's name** ([`Origin`]) was drawn at random by whoever found the server to be another one than
//!   before. It never comes twice, so that a member which knows it by name has not missed a recovery.
//! - **Its history**: each entry of the log names its writing and the one before it. Who finds its own last writing under
//!   its own last number has the same history up to there.
//! - **Nothing else.** Numbers may come again, and clocks may jump.
//!
//! What a member holds is in the history up to its position, or it is one of its own revocations that it has not met
//! in the log yet ([`Own`]). Where neither can be shown of the store as it is, the member gives back what it holds.
use std::collections::BTreeMap;

use crate::error::RedisError;
use crate::own_revocations::{Own, Unmet};
use crate::store::Beat;

/// A store, from one recovery to the next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Origin {
    epoch: String,
    recovery: String,
}

impl Origin {
    fn of(beat: &Beat) -> Self {
        Self { epoch: beat.epoch.clone(), recovery: beat.recovery.clone() }
    }

    fn is_of(&self, beat: &Beat) -> bool {
        self.epoch == beat.epoch && self.recovery == beat.recovery
    }
}

impl Beat {
    /// Whether both are of one store, and no recovery lies between them.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        Origin::of(self).is_of(other)
    }
}

/// What to do after a heartbeat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    /// The list is of this store: the log goes on where it was read last.
    Follow,
    /// It is perhaps of this store: [`Member::compared`] with what its log has at the member's position.
    Compare,
    /// It is of another one, or lacks something.
    Read {
        /// The digests of the store are made with another key: what the list has says nothing here.
        restart: Option<[u8; 16]>,
        /// The store may lack what the list has.
        gives_back: bool,
    },
}

/// What a member knows.
#[derive(Debug)]
pub(crate) struct Member {
    /// Which store the list was brought in step with.
    origin: Option<Origin>,
    /// The log cannot be continued: all is read anew.
    is_behind: bool,
    /// The store's history is not the list's, though it calls itself the same.
    diverged: Option<String>,
    /// The number of the last entry that the list has.
    position: u64,
    /// Of which writing that entry is.
    head: String,
    /// When the list's key was chosen.
    stamp: Option<u64>,
    /// What heartbeats said of numbers that the list has yet to reach: of which writing they are.
    told: BTreeMap<u64, String>,
}

impl Member {
    pub(crate) fn new() -> Self {
        Self {
            origin: None,
            is_behind: true,
            diverged: None,
            position: 0,
            head: String::new(),
            stamp: None,
            told: BTreeMap::new(),
        }
    }

    /// One that has what this has, and does not know any more from where.
    pub(crate) fn anew(&self) -> Self {
        let origin = Origin { epoch: String::new(), recovery: String::new() };
        Self { origin: Some(origin), stamp: self.stamp, ..Self::new() }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Since when entries are made with the list's key, if any are.
    pub(crate) fn stamp(&self) -> Option<u64> {
        self.stamp
    }

    /// Whether it may hold what the store has lost.
    pub(crate) fn is_survivor(&self) -> bool {
        self.origin.is_some()
    }

    /// The recovery whose history is not the list's, for the next heartbeat to say.
    pub(crate) fn diverged(&self) -> Option<&str> {
        self.diverged.as_deref()
    }

    /// Whether the store's history can begin with the list's.
    fn may_be_of(&self, beat: &Beat) -> bool {
        beat.sequence > self.position || (beat.sequence == self.position && beat.head == self.head)
    }

    /// A heartbeat of some store came back. `key`: that of the list's digests; `unmet`: the own
    /// revocations that were acknowledged when it was sent ([`Own::unmet`]).
    pub(crate) fn hear(
        &mut self,
        beat: &Beat,
        key: [u8; 16],
        unmet: Option<Unmet>,
    ) -> Result<Next, RedisError> {
        // A store that was just made has no key until somebody chose one.
        let stored = beat.key.ok_or(RedisError::Uninitialized)?;
        if stored != key {
            return Ok(Next::Read { restart: Some(stored), gives_back: false });
        }
        // What the log should have shown by now, or what the store does not have: it was another one that took them.
        let is_overdue = unmet.is_some_and(|unmet| unmet.first <= self.position);
        let was_told = self.told.range(beat.sequence..).next();
        let is_other = was_told.is_some_and(|told| told != (&beat.sequence, &beat.head));
        let went_back = is_overdue || is_other || lacks(beat, unmet) || !self.may_be_of(beat);
        let Some(origin) = &self.origin else {
            return Ok(Next::Read { restart: None, gives_back: false });
        };
        let is_same = origin.is_of(beat);
        if is_same && !self.is_behind && !went_back {
            self.is_told(beat);
            return Ok(Next::Follow);
        }
        if self.diverged.as_ref() != Some(&beat.recovery) {
            // Somebody has begun another recovery.
            self.diverged = None;
        }
        if went_back {
            self.is_behind = true;
            if is_same {
                // It went back, and nobody has noticed yet: they are told by this.
                self.diverged = Some(beat.recovery.clone());
            }
        }
        if self.diverged.is_some() {
            return Err(RedisError::OtherHistory);
        }
        if self.is_behind {
            return Ok(Next::Read { restart: None, gives_back: true });
        }
        Ok(Next::Compare)
    }

    /// The log has this writing at the member's position. Whether the list is of the store, and lacks nothing but
    /// what the log has yet to say.
    pub(crate) fn compared(&mut self, beat: &Beat, found: Option<&str>, own: &Own) -> bool {
        let is_prefix = self.position == 0 || found == Some(&*self.head);
        let is_of = is_prefix && own.adopt();
        self.told.clear();
        if is_of {
            self.origin = Some(Origin::of(beat));
            self.is_told(beat);
        } else {
            self.is_behind = true;
        }
        is_of
    }

    /// The list has all that the store had when it began to read, and the store all that the list had. What came in
    /// between may be in the list already, so that the log has yet to show what it was when that was over.
    ///
    /// `unmet`: as in [`hear`](Self::hear), when that was over.
    ///
    /// # Errors
    ///
    /// It was another store by then.
    pub(crate) fn has_read(
        &mut self,
        begun: &Beat,
        over: &Beat,
        own: &Own,
        unmet: Option<Unmet>,
    ) -> Result<(), RedisError> {
        let is_same = over.sequence > begun.sequence
            || (over.sequence == begun.sequence && over.head == begun.head);
        // What was written since it began has later numbers, or another store took it.
        let is_elsewhere = unmet.is_some_and(|unmet| unmet.first <= begun.sequence);
        if !begun.is_beside(over) || !is_same || is_elsewhere || lacks(over, unmet) {
            return Err(RedisError::OtherHistory);
        }
        if over.sequence > begun.sequence {
            own.expects(&over.head, over.sequence);
        }
        self.origin = Some(Origin::of(begun));
        self.position = begun.sequence;
        self.head.clone_from(&begun.head);
        self.stamp = begun.stamp;
        self.is_behind = false;
        self.diverged = None;
        self.told.clear();
        Ok(())
    }

    /// The list forgot all, since the store of this heartbeat has another key. What is read from now on may be lost before
    /// all is read.
    pub(crate) fn has_restarted(&mut self, beat: &Beat) {
        *self = Self { stamp: beat.stamp, ..self.anew() };
    }

    fn is_told(&mut self, beat: &Beat) {
        if beat.sequence > self.position {
            self.told.insert(beat.sequence, beat.head.clone());
        }
        // A few would do: the later ones hold for what comes before them as well.
        if self.told.len() > MOST_TOLD {
            self.told.pop_first();
        }
    }

    /// The log's next entry. `false`: the list has it.
    ///
    /// # Errors
    ///
    /// The log does not continue where the list is.
    pub(crate) fn meets(&mut self, entry: &Logged<'_>) -> Result<bool, RedisError> {
        if entry.number <= self.position {
            return Ok(false);
        }
        if entry.number != self.position + 1 {
            self.is_behind = true;
            return Err(RedisError::Gap);
        }
        if entry.before == self.head { Ok(true) } else { Err(self.diverge()) }
    }

    /// The list has taken in that entry.
    ///
    /// # Errors
    ///
    /// The log has another in the place of one of the own revocations.
    pub(crate) fn has_taken(&mut self, entry: &Logged<'_>, own: &Own) -> Result<(), RedisError> {
        self.position = entry.number;
        entry.writing.clone_into(&mut self.head);
        let is_as_told = self.told.remove(&entry.number).is_none_or(|told| told == entry.writing);
        let is_as_held = own.met(entry.writing, entry.number);
        if is_as_told && is_as_held { Ok(()) } else { Err(self.diverge()) }
    }

    /// The log is of another history, and nobody has noticed yet: the next heartbeat tells.
    fn diverge(&mut self) -> RedisError {
        self.is_behind = true;
        self.diverged = self.origin.as_ref().map(|origin| origin.recovery.clone());
        RedisError::OtherHistory
    }

    /// The list found no room, or the log lacks what comes next.
    pub(crate) fn is_lacking(&mut self) {
        self.is_behind = true;
    }
}

/// Whether the store lacks one of the own revocations that it acknowledged.
fn lacks(beat: &Beat, unmet: Option<Unmet>) -> bool {
    unmet.is_some_and(|unmet| unmet.last > beat.sequence)
}

/// Where an entry of the log stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logged<'l> {
    pub(crate) number: u64,
    pub(crate) writing: &'l str,
    pub(crate) before: &'l str,
}

/// How many heartbeats are remembered until the log is as far: as many as may wait for it.
pub(crate) const MOST_TOLD: usize = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis::revocation::store::Moment;

    use super::*;
    use crate::store::Terms;

    const KEY: [u8; 16] = [7; 16];

    fn beat(recovery: &str, sequence: u64, head: &str) -> Beat {
        Beat {
            sent: Moment::now(),
            epoch: "epoch".to_owned(),
            recovery: recovery.to_owned(),
            is_recovering: false,
            sequence,
            head: head.to_owned(),
            key: Some(KEY),
            stamp: Some(1),
            terms: Terms::new(Duration::from_secs(900), Duration::from_secs(30)),
            time: 0,
        }
    }

    fn logged<'l>(number: u64, writing: &'l str, before: &'l str) -> Logged<'l> {
        Logged { number, writing, before }
    }

    /// In step with a store whose last entry is the seventh.
    fn member(own: &Own) -> Member {
        let (mut member, store) = (Member::new(), beat("one", 7, "seventh"));
        assert_eq!(
            member.hear(&store, KEY, None),
            Ok(Next::Read { restart: None, gives_back: false })
        );
        member.has_read(&store, &store, own, None).unwrap();
        assert_eq!(member.hear(&store, KEY, None), Ok(Next::Follow));
        member
    }

    #[test]
    fn an_entry_that_does_not_follow_the_last_is_of_another_history() {
        let own = Own::default();
        let mut good = member(&own);
        assert_eq!(good.meets(&logged(7, "seventh", "sixth")), Ok(false));
        let next = logged(8, "eighth", "seventh");
        assert_eq!(good.meets(&next), Ok(true));
        good.has_taken(&next, &own).unwrap();
        assert_eq!((good.position(), good.diverged()), (8, None));

        let mut other = member(&own);
        let next = logged(8, "eighth", "another seventh");
        assert_eq!(other.meets(&next), Err(RedisError::OtherHistory));
        // The next heartbeat says so, and reads anew once a recovery was begun for it.
        assert_eq!(other.diverged(), Some("one"));
        let same = other.hear(&beat("one", 9, "ninth"), KEY, None);
        assert_eq!(same, Err(RedisError::OtherHistory));
        let begun = other.hear(&beat("two", 9, "ninth"), KEY, None);
        assert_eq!(begun, Ok(Next::Read { restart: None, gives_back: true }));

        let mut behind = member(&own);
        assert_eq!(behind.meets(&logged(9, "ninth", "eighth")), Err(RedisError::Gap));
    }

    #[test]
    fn a_store_that_went_back_is_not_followed_whatever_its_number() {
        for (sequence, head) in [(6, "sixth"), (7, "another seventh"), (0, "")] {
            let mut member = member(&Own::default());
            let next = member.hear(&beat("one", sequence, head), KEY, None);
            assert_eq!(next, Err(RedisError::OtherHistory), "{sequence} {head}");
            assert_eq!(member.diverged(), Some("one"));
        }
        // What a heartbeat said of a number is not what the log has there.
        let own = Own::default();
        let mut told = member(&own);
        assert_eq!(told.hear(&beat("one", 8, "eighth"), KEY, None), Ok(Next::Follow));
        let other = logged(8, "another eighth", "seventh");
        assert_eq!(told.meets(&other), Ok(true));
        assert_eq!(told.has_taken(&other, &own), Err(RedisError::OtherHistory));
    }

    #[test]
    fn after_a_recovery_only_who_finds_its_last_writing_and_owes_nothing_goes_on() {
        let goes_on = |found: Option<&str>, owes: bool| {
            let own = Own::default();
            let mut member = member(&own);
            if owes {
                let generation = own.begins("mine");
                assert!(own.acknowledged("mine", generation, 8, || {}));
            }
            let store = beat("two", 9, "ninth");
            assert_eq!(member.hear(&store, KEY, None), Ok(Next::Compare));
            member.compared(&store, found, &own)
        };
        assert!(goes_on(Some("seventh"), false));
        assert!(!goes_on(Some("another seventh"), false));
        assert!(!goes_on(None, false));
        assert!(!goes_on(Some("seventh"), true));
    }

    #[test]
    fn what_is_acknowledged_while_another_store_takes_the_place_is_written_again() {
        let own = Own::default();
        let generation = own.begins("mine");
        own.give_back(|| ());
        let mut is_held = false;
        assert!(!own.acknowledged("mine", generation, 8, || is_held = true));
        assert!(!is_held && own.unmet().is_none());
    }
}
