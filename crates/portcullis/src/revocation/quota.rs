//! Who may take how much of the room.
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::digest::Digest;
use super::table::NoRoom;

/// How many times as many entries as there is room left one issuer may have: the dynamic threshold of shared
/// buffers (Choudhury and Hahne, *Dynamic queue length thresholds for shared-memory packet switches*, 1998).
/// One issuer alone gets three quarters of what is shared, two that take all they can at once three sevenths each.
const SHARE: usize = 3;

/// The part of the room that every issuer may have whatever others took: of a million entries, 122. There is an
/// eighth of the room for that, and so enough for 1,024 issuers: a policy has 1,000 tenants unless it says
/// otherwise.
const LEAST: usize = 8192;

/// On whose word an entry is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Writer {
    /// A logout token of the issuer: whoever has its keys sends as many as they like.
    Issuer,
    /// An administrator whose token is of the issuer.
    Administrator,
    /// Code, or an administrator who stands above the issuer.
    Operator,
}

impl Writer {
    /// How much of the room is shared with others, and how much there is with what every issuer may have. What is
    /// left is kept for those below it here.
    fn room(self, capacity: usize) -> (usize, usize) {
        let without = |part| capacity - capacity / part;
        match self {
            Self::Issuer => (without(4), without(8)),
            Self::Administrator => (without(8), without(16)),
            Self::Operator => (capacity, capacity),
        }
    }
}

/// How many entries there are in several tables: of all, and of each issuer.
pub(super) struct Tally {
    all: AtomicUsize,
    /// By the issuer's tag.
    of_issuers: Box<[AtomicU32]>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let none = |_| AtomicU32::new(0);
        Self { all: AtomicUsize::new(0), of_issuers: (0..=u16::MAX).map(none).collect() }
    }

    /// Counts one more, unless there are as many as there may be.
    pub(super) fn add(&self, digest: &Digest, capacity: usize) -> Result<(), NoRoom> {
        let more = |count| (count < capacity).then_some(count + 1);
        self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).map_err(|_| NoRoom)?;
        self.of(digest).fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Counts one less.
    pub(super) fn remove(&self, digest: &Digest) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.of(digest).fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there is room for one more of this issuer, on this word.
    pub(super) fn has_room(&self, digest: &Digest, writer: Writer, capacity: usize) -> bool {
        let (shared, whole) = writer.room(capacity);
        let all = self.all.load(Ordering::Relaxed);
        let own = self.of(digest).load(Ordering::Relaxed) as usize;
        let has_share = own < shared.saturating_sub(all).saturating_mul(SHARE);
        let has_least = own < (capacity / LEAST).max(1);
        has_share || (all < whole && (has_least || writer == Writer::Operator))
    }

    pub(super) fn is_full(&self, capacity: usize) -> bool {
        self.all.load(Ordering::Relaxed) >= capacity
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    fn of(&self, digest: &Digest) -> &AtomicU32 {
        &self.of_issuers[usize::from(digest.tag())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A digest of this issuer.
    fn digest(issuer: u8) -> Digest {
        Digest([issuer; 16])
    }

    /// How many entries it can add.
    fn fill(tally: &Tally, issuer: u8, writer: Writer, capacity: usize) -> usize {
        let mut count = 0;
        while !tally.is_full(capacity) && tally.has_room(&digest(issuer), writer, capacity) {
            tally.add(&digest(issuer), capacity).unwrap();
            count += 1;
        }
        count
    }

    #[test]
    fn no_issuer_takes_what_others_need_and_operators_find_room() {
        const CAPACITY: usize = 16_384;
        let tally = Tally::new();
        // Of the 12,288 that are shared, and of the 3,072 that are left.
        assert_eq!(fill(&tally, 1, Writer::Issuer, CAPACITY), 9_216);
        assert_eq!(fill(&tally, 2, Writer::Issuer, CAPACITY), 2_304);
        // However many take what they can.
        for issuer in 3..200 {
            assert!(fill(&tally, issuer, Writer::Issuer, CAPACITY) >= 2, "{issuer}");
        }
        assert_eq!(fill(&tally, 1, Writer::Issuer, CAPACITY), 0);
        assert!(fill(&tally, 201, Writer::Administrator, CAPACITY) >= 2);
        assert!(tally.has_room(&digest(1), Writer::Operator, CAPACITY));
        while tally.add(&digest(1), CAPACITY).is_ok() {}
        assert_eq!((tally.len(), tally.is_full(CAPACITY)), (CAPACITY, true));
        assert!(!tally.has_room(&digest(1), Writer::Operator, CAPACITY));
        tally.remove(&digest(1));
        assert_eq!(tally.add(&digest(4), CAPACITY), Ok(()));
    }

    #[test]
    fn a_thousand_issuers_who_take_all_they_can_leave_the_next_its_least() {
        const CAPACITY: usize = 1 << 20;
        let tally = Tally::new();
        let digest = |issuer: u16| {
            let mut bytes = [0; 16];
            bytes[13..15].copy_from_slice(&issuer.to_le_bytes());
            Digest(bytes)
        };
        for issuer in 0..1_024 {
            let mut count = 0;
            while tally.has_room(&digest(issuer), Writer::Issuer, CAPACITY) {
                tally.add(&digest(issuer), CAPACITY).unwrap();
                count += 1;
            }
            assert!(count >= 128, "{issuer}: {count}");
        }
        assert!(tally.len() <= CAPACITY / 8 * 7);
    }

    #[test]
    fn an_administrator_of_the_only_issuer_finds_room_that_its_logouts_leave() {
        for capacity in [16, 1_000, 1_000_000] {
            let tally = Tally::new();
            fill(&tally, 1, Writer::Issuer, capacity);
            assert!(fill(&tally, 1, Writer::Administrator, capacity) > 0, "{capacity}");
            assert!(!tally.is_full(capacity), "{capacity}");
        }
    }
}
