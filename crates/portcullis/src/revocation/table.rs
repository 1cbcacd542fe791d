//! Digests and what is said of them, for look-ups that wait for nobody who does more than write one
//! entry.
use core::hash::{BuildHasherDefault, Hash, Hasher};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, PoisonError, RwLock};

use super::digest::Digest;
use super::quota::Tally;

/// Shards of a table. Each grows for itself, so that growth takes one shard's memory more, and
/// look-ups on other cores seldom meet at one lock.
const SHARDS: usize = 64;

/// What is said of a digest.
pub(super) trait Fact: Copy {
    /// Until when it holds: the last second, of those since 1970. `u32::MAX`: for ever.
    fn ends(&self) -> u32;

    /// Says both. Whether that is more than before.
    fn merge(&mut self, other: Self) -> bool;
}

/// That it is taken back, until then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Until(pub(super) u32);

/// That what is up to a mark, or below it, is taken back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Mark {
    /// In two halves, so that an entry has no gaps.
    value: [u32; 2],
    ends: u32,
}

/// How often what has the name was lifted, for ever, and the [code](super::kind::Revocable::code) of its kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Lifts {
    pub(super) count: u16,
    pub(super) kind: u8,
}

impl Fact for Lifts {
    fn ends(&self) -> u32 {
        u32::MAX
    }

    fn merge(&mut self, other: Self) -> bool {
        let before = self.count;
        self.count = before.max(other.count);
        self.count != before
    }
}

impl Fact for Until {
    fn ends(&self) -> u32 {
        self.0
    }

    fn merge(&mut self, other: Self) -> bool {
        let before = self.0;
        self.0 = before.max(other.0);
        self.0 != before
    }
}

impl Mark {
    pub(super) fn new(value: u64, ends: u32) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "its two halves")]
        let value = [value as u32, (value >> 32) as u32];
        Self { value, ends }
    }

    pub(super) fn value(self) -> u64 {
        u64::from(self.value[0]) | u64::from(self.value[1]) << 32
    }
}

impl Fact for Mark {
    fn ends(&self) -> u32 {
        self.ends
    }

    fn merge(&mut self, other: Self) -> bool {
        let before = *self;
        *self = Self::new(self.value().max(other.value()), self.ends.max(other.ends));
        *self != before
    }
}

pub(super) struct Table<S> {
    shards: Box<[Shard<S>]>,
}

type Map<S> = HashMap<Digest, S, BuildHasherDefault<AsItIs>>;

struct Shard<S> {
    /// Held for writing while one entry is written, or one map put in place of another.
    map: RwLock<Map<S>>,
    /// Held by who changes the map. Growth, which takes longer, is done beside the readers.
    writing: Mutex<()>,
}

/// There is no room for another entry.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct NoRoom;

impl<S: Fact> Table<S> {
    pub(super) fn new() -> Self {
        let shard = |_| Shard { map: RwLock::default(), writing: Mutex::default() };
        Self { shards: (0..SHARDS).map(shard).collect() }
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<S> {
        self.shard(digest).map.read().unwrap_or_else(PoisonError::into_inner).get(digest).copied()
    }

    /// Says `said`, beside what was said before. Whether that changed anything.
    ///
    /// `tally` counts those of several tables, and goes no higher than `capacity`. What was over at
    /// `now` may be dropped.
    pub(super) fn merge(
        &self,
        digest: Digest,
        said: S,
        tally: &Tally,
        capacity: usize,
        now: u32,
    ) -> Result<bool, NoRoom> {
        let shard = self.shard(&digest);
        let _writing = shard.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_new, is_full) = {
            let map = shard.map.read().unwrap_or_else(PoisonError::into_inner);
            let is_new = !map.contains_key(&digest);
            (is_new, is_new && map.len() == map.capacity())
        };
        if is_new {
            tally.add(&digest, capacity)?;
        }
        if is_full {
            shard.rebuild(now, tally);
        }
        let mut map = shard.map.write().unwrap_or_else(PoisonError::into_inner);
        Ok(match map.entry(digest) {
            // What is over says nothing more.
            Entry::Occupied(mut entry) if entry.get().ends() < now => {
                entry.insert(said);
                true
            }
            Entry::Occupied(mut entry) => entry.get_mut().merge(said),
            Entry::Vacant(entry) => {
                entry.insert(said);
                true
            }
        })
    }

    /// Drops what was over at `now`.
    pub(super) fn sweep(&self, now: u32, tally: &Tally) {
        for shard in &self.shards {
            let _writing = shard.writing.lock().unwrap_or_else(PoisonError::into_inner);
            shard.rebuild(now, tally);
        }
    }

    /// Drops all.
    pub(super) fn clear(&self, tally: &Tally) {
        for shard in &self.shards {
            let _writing = shard.writing.lock().unwrap_or_else(PoisonError::into_inner);
            let mut map = shard.map.write().unwrap_or_else(PoisonError::into_inner);
            let old = core::mem::take(&mut *map);
            drop(map);
            old.keys().for_each(|digest| tally.remove(digest));
        }
    }

    pub(super) fn len(&self) -> usize {
        let len = |shard: &Shard<S>| shard.map.read().unwrap_or_else(PoisonError::into_inner).len();
        self.shards.iter().map(len).sum()
    }

    /// All that is said. Nobody waits for `tell`.
    pub(super) fn for_each(&self, mut tell: impl FnMut(Digest, S)) {
        for shard in &self.shards {
            let map = shard.map.read().unwrap_or_else(PoisonError::into_inner);
            let entries: Vec<_> = map.iter().map(|(digest, said)| (*digest, *said)).collect();
            drop(map);
            entries.into_iter().for_each(|(digest, said)| tell(digest, said));
        }
    }

    fn shard(&self, digest: &Digest) -> &Shard<S> {
        // Not the bytes that place it within the shard.
        &self.shards[usize::from(digest.0[15]) % SHARDS]
    }
}

impl<S: Fact> Shard<S> {
    /// Puts a map without what was over at `now`, and with room for more, in place of this one. Under
    /// `writing`.
    fn rebuild(&self, now: u32, tally: &Tally) {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let live = || map.iter().filter(|(_, said)| said.ends() >= now);
        let count = live().count();
        // A quarter more than there are, so that a map is not rebuilt for each of the next.
        let room = if count == 0 { 0 } else { count + count / 4 + 1 };
        let mut next = Map::with_capacity_and_hasher(room, BuildHasherDefault::default());
        next.extend(live().map(|(digest, said)| (*digest, *said)));
        drop(map);
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        // The old one is freed once nobody waits.
        let old = core::mem::replace(&mut *map, next);
        drop(map);
        let over = old.iter().filter(|(_, said)| said.ends() < now);
        over.for_each(|(digest, _)| tally.remove(digest));
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

/// A digest is as good as random: its first bytes are its hash.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u64) -> Digest {
        // Spread over tables and shards as digests are.
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&mixed.to_le_bytes());
        bytes[8..].copy_from_slice(&mixed.rotate_left(17).to_le_bytes());
        Digest(bytes)
    }

    #[test]
    fn an_entry_takes_no_more_than_its_parts() {
        assert_eq!(size_of::<(Digest, Until)>(), 20);
        assert_eq!(size_of::<(Digest, Lifts)>(), 20);
        assert_eq!(size_of::<(Digest, Mark)>(), 28);
    }

    #[test]
    fn what_is_said_later_never_says_less() {
        let mut until = Until(10);
        assert!(!until.merge(Until(9)));
        assert!(until.merge(Until(11)));
        assert_eq!(until, Until(11));

        let mut mark = Mark::new(1 << 40, 10);
        assert!(!mark.merge(Mark::new(5, 10)));
        assert!(mark.merge(Mark::new(5, 11)));
        assert!(mark.merge(Mark::new(u64::MAX, 0)));
        assert_eq!((mark.value(), mark.ends()), (u64::MAX, 11));
    }

    #[test]
    fn entries_stay_through_growth_and_only_what_is_over_goes() {
        const COUNT: u32 = 20_000;
        let (table, entries) = (Table::new(), Tally::new());
        for number in 0..COUNT {
            let merged = table.merge(digest(number.into()), Until(number), &entries, 1 << 20, 0);
            assert_eq!(merged, Ok(true));
        }
        assert_eq!((table.len(), entries.len()), (20_000, 20_000));
        table.sweep(5_000, &entries);
        assert_eq!((table.len(), entries.len()), (15_000, 15_000));
        for number in 0..COUNT {
            let expected = (number >= 5_000).then_some(Until(number));
            assert_eq!(table.get(&digest(number.into())), expected, "{number}");
        }
        let mut told = 0;
        table.for_each(|_, _| told += 1);
        assert_eq!(told, 15_000);
        table.clear(&entries);
        assert_eq!((table.len(), entries.len()), (0, 0));
    }

    #[test]
    fn growth_drops_what_is_over_and_gives_its_room_back() {
        let (table, entries) = (Table::new(), Tally::new());
        for number in 0..50_000_u32 {
            // Each is over when the next thousand has come.
            let said = Until(number + 1_000);
            table.merge(digest(number.into()), said, &entries, 50_000, number).unwrap();
        }
        let left = entries.len();
        assert_eq!(left, table.len());
        assert!((1_000..6_000).contains(&left), "{left}");
    }

    #[test]
    fn what_is_over_and_not_yet_swept_adds_nothing_to_what_is_said_anew() {
        let (table, entries) = (Table::new(), Tally::new());
        for (said, now, expected) in [
            (Mark::new(9, 5), 0, Mark::new(9, 5)),
            (Mark::new(1, 8), 5, Mark::new(9, 8)),
            (Mark::new(2, 12), 9, Mark::new(2, 12)),
        ] {
            assert_eq!(table.merge(digest(1), said, &entries, 10, now), Ok(true));
            assert_eq!(table.get(&digest(1)), Some(expected));
        }
    }

    #[test]
    fn without_room_nothing_is_taken_in_and_nothing_lost() {
        let (table, entries) = (Table::new(), Tally::new());
        for number in 0..3 {
            table.merge(digest(number), Until(5), &entries, 3, 0).unwrap();
        }
        assert_eq!(table.merge(digest(3), Until(5), &entries, 3, 0), Err(NoRoom));
        assert_eq!(table.merge(digest(2), Until(6), &entries, 3, 0), Ok(true));
        assert_eq!((table.len(), entries.len()), (3, 3));
    }
}
