//! How many proofs came in a slot of time: of all, of each holder and of each issuer, at all instances.
//!
//! A process counts what it lets in, and tells the store a little later. The store answers with what all of them let in.
use std::collections::HashMap;

/// One holder of tokens may take this part of the room.
const HOLDER: u64 = 16;

/// How many times as many proofs as there is room left the holders of one issuer's tokens may have: the dynamic threshold of
/// shared buffers. One issuer alone gets three quarters.
const ISSUER: u64 = 3;

/// What is counted for all.
const ALL: u32 = 0;

/// Where a proof is counted, and how much room there is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    /// The number of its slot of time.
    pub(crate) slot: u64,
    holder: u32,
    issuer: u32,
    /// For how many proofs there is room in a slot.
    room: u64,
}

impl Place {
    /// By two bytes that stand for a holder and an issuer. Of 65,536 holders, few share those bytes with one who takes all they can.
    pub(crate) fn new(slot: u64, holder: [u8; 2], issuer: [u8; 2], room: u64) -> Self {
        let number = |bytes| u32::from(u16::from_le_bytes(bytes));
        let holder = ALL + 1 + number(holder);
        Self { slot, holder, issuer: ALL + 1 + (1 << 16) + number(issuer), room }
    }

    fn all(&self) -> [u32; 3] {
        [ALL, self.holder, self.issuer]
    }
}

/// The counts of the present slot.
#[derive(Default)]
pub(crate) struct Shares {
    slot: u64,
    counts: HashMap<u32, Count>,
    /// How many places have something that was not told.
    untold: usize,
}

#[derive(Clone, Copy, Default)]
struct Count {
    /// What the store has heard of, from all.
    told: u64,
    /// What it has not heard of yet.
    own: u64,
    /// Of that, what was fresh.
    fresh: u64,
}

/// What the store is to hear of a slot: how many more there are at each place.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Untold {
    pub(crate) slot: u64,
    pub(crate) more: Vec<(u32, u64)>,
}

impl Shares {
    /// Lets one more in, if there is room. What was not told of a slot before is given back.
    pub(crate) fn admit(&mut self, place: &mut Place) -> (bool, Option<Untold>) {
        let before = if place.slot > self.slot {
            let untold = self.take();
            *self = Self { slot: place.slot, ..Self::default() };
            untold
        } else {
            None
        };
        // A policy's clock that is a little behind another's counts where that one does.
        place.slot = self.slot;
        let count = |at: u32| self.counts.get(&at).map_or(0, |count| count.told + count.own);
        let left = place.room.saturating_sub(count(ALL));
        let has_room = left > 0
            && count(place.holder) < (place.room / HOLDER).max(1)
            && count(place.issuer) < left.saturating_mul(ISSUER);
        if has_room {
            for at in place.all() {
                self.counts.entry(at).or_default().own += 1;
            }
        }
        (has_room, before)
    }

    /// One that was let in was fresh, or was not.
    pub(crate) fn settle(&mut self, place: &Place, is_fresh: bool) {
        // The next slot has room of its own.
        if place.slot != self.slot {
            return;
        }
        for at in place.all() {
            let Some(count) = self.counts.get_mut(&at) else { continue };
            if is_fresh {
                count.fresh += 1;
                self.untold += usize::from(count.fresh == 1);
            } else {
                count.own = count.own.saturating_sub(1);
            }
        }
    }

    /// How many places have something that was not told.
    pub(crate) fn untold(&self) -> usize {
        self.untold
    }

    /// What the store is to hear, once.
    pub(crate) fn take(&mut self) -> Option<Untold> {
        if self.untold == 0 {
            return None;
        }
        self.untold = 0;
        let take = |(at, count): (&u32, &mut Count)| {
            let more = core::mem::take(&mut count.fresh);
            (more > 0).then_some((*at, more))
        };
        let more = self.counts.iter_mut().filter_map(take).collect();
        Some(Untold { slot: self.slot, more })
    }

    /// The store has heard it, and says what there is now at each of those places.
    pub(crate) fn hear(&mut self, heard: &Untold, now: &[u64]) {
        if heard.slot != self.slot {
            return;
        }
        for ((at, more), now) in heard.more.iter().zip(now) {
            if let Some(count) = self.counts.get_mut(at) {
                count.told = *now;
                count.own = count.own.saturating_sub(*more);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(slot: u64, holder: u8, issuer: u8, room: u64) -> Place {
        Place::new(slot, [holder, 0], [issuer, 0], room)
    }

    /// How many of a holder are let in, and turn out fresh.
    fn fill(shares: &mut Shares, of: Place) -> u64 {
        let mut count = 0;
        loop {
            let mut place = of;
            if !shares.admit(&mut place).0 {
                return count;
            }
            shares.settle(&place, true);
            count += 1;
        }
    }

    #[test]
    fn a_holder_has_a_sixteenth_of_the_room_and_an_issuer_three_quarters() {
        let mut shares = Shares::default();
        assert_eq!(fill(&mut shares, place(1, 0, 0, 1600)), 100);
        let of_others: u64 =
            (1..=40).map(|holder| fill(&mut shares, place(1, holder, 0, 1600))).sum();
        assert_eq!(100 + of_others, 1200);
        assert_eq!(fill(&mut shares, place(1, 50, 1, 1600)), 100);
        // All of them together have the room.
        let all: u64 =
            (51..=255).map(|holder| fill(&mut shares, place(1, holder, holder, 1600))).sum();
        assert_eq!(1200 + 100 + all, 1600);
        // The next slot has room of its own.
        assert_eq!(fill(&mut shares, place(2, 0, 0, 1600)), 100);
    }

    #[test]
    fn the_smallest_room_has_room_for_one() {
        let mut shares = Shares::default();
        assert_eq!(fill(&mut shares, place(1, 0, 0, 1)), 1);
    }

    #[test]
    fn what_other_instances_let_in_counts_once_the_store_has_told() {
        let (mut one, mut other) = (Shares::default(), Shares::default());
        let of = place(1, 0, 0, 1600);
        // As the store does.
        let mut stored = HashMap::<u32, u64>::new();
        let mut tell = |shares: &mut Shares| {
            let untold = shares.take().expect("something new");
            let add = |(at, more): &(u32, u64)| {
                let count = stored.entry(*at).or_default();
                *count += more;
                *count
            };
            let now: Vec<_> = untold.more.iter().map(add).collect();
            shares.hear(&untold, &now);
        };
        let let_in = |shares: &mut Shares, count: u64| {
            for _ in 0..count {
                let mut place = of;
                assert!(shares.admit(&mut place).0);
                shares.settle(&place, true);
            }
        };
        let_in(&mut one, 60);
        tell(&mut one);
        let_in(&mut other, 10);
        tell(&mut other);
        assert_eq!(fill(&mut other, of), 30);
        tell(&mut other);
        let_in(&mut one, 1);
        tell(&mut one);
        assert_eq!(fill(&mut one, of), 0);
        assert_eq!(one.take(), None);
    }

    #[test]
    fn what_was_not_fresh_takes_no_room_and_is_not_told() {
        let mut shares = Shares::default();
        let of = place(1, 0, 0, 1600);
        for _ in 0..1000 {
            let mut place = of;
            assert!(shares.admit(&mut place).0);
            shares.settle(&place, false);
        }
        assert_eq!((shares.untold(), shares.take()), (0, None));
        assert_eq!(fill(&mut shares, of), 100);
        assert_eq!(shares.untold(), 3);
    }

    #[test]
    fn the_end_of_a_slot_is_told_and_a_clock_that_is_behind_has_no_slot_of_its_own() {
        let mut shares = Shares::default();
        assert_eq!(fill(&mut shares, place(7, 0, 0, 1600)), 100);
        // Sent before, and answered after.
        let mut late = place(7, 1, 0, 1600);
        assert!(shares.admit(&mut late).0);
        let (has_room, before) = shares.admit(&mut place(8, 0, 0, 1600));
        let before = before.expect("something new");
        let mut more = before.more.clone();
        more.sort_unstable();
        assert_eq!((has_room, before.slot), (true, 7));
        assert_eq!(more, [(0, 100), (1, 100), (1 + (1 << 16), 100)]);
        shares.settle(&late, true);
        shares.hear(&before, &[500, 500, 500]);
        assert_eq!(shares.untold(), 0);
        let mut behind = place(7, 0, 0, 1600);
        assert!(shares.admit(&mut behind).0);
        assert_eq!(behind.slot, 8);
        assert_eq!(fill(&mut shares, place(8, 0, 0, 1600)), 98);
    }
}
