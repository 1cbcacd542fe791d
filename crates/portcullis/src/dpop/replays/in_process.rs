//! Proofs that were used at one process.
use core::fmt;
use core::hash::{BuildHasherDefault, Hash, Hasher};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::{ProofUse, Replays, ReplaysUnavailable, Spent};
use crate::signature::random_bytes;
use crate::time::UnixTime;

/// How many proofs are remembered at once, unless it is said otherwise: with a window of 70 s, those of 12,900 requests a
/// second, in 19 to 38 MiB.
const CAPACITY: usize = 1_000_000;

/// So many parts have a lock each.
const SHARDS: usize = 16;

/// For how many seconds proofs end together.
const SLOT: i64 = 8;

/// One holder of tokens may take this part of the room.
const HOLDER: usize = 16;

/// How many times as many proofs as there is room left the holders of one issuer's tokens may have: the dynamic threshold of
/// shared buffers. One issuer alone gets three quarters.
const ISSUER: usize = 3;

/// Remembers used proofs in the memory of **one process**.
///
/// Another process does not know of them, nor does the next one after a restart. So it refuses a proof that was made before this
/// process began, or so soon after that its client's clock may have been ahead. The client makes another one. Of
/// several instances of a service each would take a proof once: they need a store that they share.
///
/// It is bounded: by the number of proofs, of which each takes 20 to 39 bytes; by a sixteenth for each holder of tokens (their
/// issuer and subject), whatever keys they have; and by three times what is left for each issuer. Beyond that a request is
/// answered with 503.
///
/// A proof is forgotten when it could not be used any more by the policy's clock, and as much time has gone by. What was
/// forgotten is never fresh again: not after a clock that jumps ahead and back, either.
///
/// A clock that is ahead when the first policy begins makes all proofs old until that time has come: [the policy is not
/// ready](crate::Policy::is_ready).
///
/// Clones are one store.
#[derive(Clone)]
pub struct InProcessReplays(Arc<Inner>);

struct Inner {
    key: [u8; 16],
    /// No other has the same.
    epoch: u64,
    capacity: usize,
    born: OnceLock<UnixTime>,
    shards: [Mutex<Shard>; SHARDS],
    tally: Tally,
}

#[derive(Default)]
struct Shard {
    /// Proofs that end later, by when.
    slots: Vec<Slot>,
    /// What ends until then was forgotten.
    forgotten: i64,
}

impl Shard {
    /// Whether a proof was used, or may have been.
    fn may_have(&self, entry: &Entry, ends: i64) -> bool {
        ends <= self.forgotten || self.slots.iter().any(|slot| slot.entries.contains(entry))
    }
}

struct Slot {
    /// The time of the policy's clock at which all of it is over.
    ends: i64,
    /// The same by the machine's other clock.
    ends_at: Instant,
    entries: HashSet<Entry, BuildHasherDefault<FirstBytes>>,
}

/// A keyed hash of a proof, whose last four bytes stand for its holder and its issuer: not for which proof it is.
#[derive(Clone, Copy)]
struct Entry([u8; 16]);

impl Entry {
    fn of_proof(&self) -> &[u8] {
        &self.0[..12]
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.of_proof() == other.of_proof()
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.of_proof());
    }
}

impl InProcessReplays {
    /// Room for a million proofs. Nothing is remembered yet.
    pub fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    /// Room for so many: as many as requests come in the time for which a proof may be used. That is the sum of both sides of the
    /// window, and up to 180 s with [nonces](crate::dpop::Nonces).
    ///
    /// A proof of the usual window of 70 s is remembered for up to 77 s. So room for a million is for 810 requests a second of one
    /// holder of tokens, and for 9,700 of one issuer's. Twelve who send as much as they can fill their issuer's part.
    pub fn with_capacity(proofs: usize) -> Self {
        Self(Arc::new(Inner {
            key: random_bytes(),
            epoch: u64::from_le_bytes(random_bytes()),
            capacity: proofs,
            born: OnceLock::new(),
            shards: Default::default(),
            tally: Tally::new(),
        }))
    }

    /// Has begun at this time, if it has not begun yet: for tests with a clock that stands still, in which proofs are made before
    /// the first request.
    #[must_use]
    pub fn started_at(self, time: UnixTime) -> Self {
        self.start(time);
        self
    }

    /// How many proofs it remembers.
    pub fn len(&self) -> usize {
        self.0.tally.all.load(Ordering::Relaxed)
    }

    /// Whether it remembers none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For how many there is room.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }
}

impl Default for InProcessReplays {
    fn default() -> Self {
        Self::new()
    }
}

impl Replays for InProcessReplays {
    fn start(&self, now: UnixTime) {
        let _ = self.0.born.set(now);
    }

    fn spend(&self, proof: &ProofUse) -> Spent {
        let now = proof.now();
        let born = *self.0.born.get_or_init(|| now);
        // Whoever was here before may have taken it.
        if proof.may_be_from_before(born, self.0.epoch) {
            return Spent::Seen;
        }
        self.0.spend(proof, Instant::now())
    }

    fn epoch(&self) -> u64 {
        self.0.epoch
    }

    fn birth(&self) -> Option<UnixTime> {
        self.0.born.get().copied()
    }

    fn is_shared(&self) -> bool {
        false
    }
}

impl Inner {
    fn spend(&self, proof: &ProofUse, instant: Instant) -> Spent {
        let entry = self.entry(proof);
        let left = proof.until().saturating_since(proof.now());
        let ends = proof.until().0.div_euclid(SLOT).saturating_add(1).saturating_mul(SLOT);
        // As much longer as the slot is.
        let ends_at = instant + left + Duration::from_secs(SLOT.unsigned_abs());
        // By a byte that the sets do not go by.
        let shard_of_it = &self.shards[usize::from(entry.0[11]) % SHARDS];
        let mut shard = locked(shard_of_it);
        self.sweep(&mut shard, proof.now(), instant);
        if shard.may_have(&entry, ends) {
            return Spent::Seen;
        }
        if !self.tally.has_room(&entry, self.capacity) {
            drop(shard);
            // Others' parts may have what is over.
            for shard in &self.shards {
                self.sweep(&mut locked(shard), proof.now(), instant);
            }
            let retry_after = Some(Duration::from_secs(1));
            let full = Spent::Unavailable(ReplaysUnavailable { retry_after });
            if !self.tally.has_room(&entry, self.capacity) {
                return full;
            }
            shard = locked(shard_of_it);
            if shard.may_have(&entry, ends) {
                return Spent::Seen;
            }
        }
        if !self.tally.add(&entry, self.capacity) {
            return Spent::Unavailable(ReplaysUnavailable::default());
        }
        match shard.slots.iter_mut().find(|slot| slot.ends == ends) {
            Some(slot) => {
                slot.ends_at = slot.ends_at.max(ends_at);
                slot.entries.insert(entry);
            }
            None => {
                let entries = HashSet::from_iter([entry]);
                shard.slots.push(Slot { ends, ends_at, entries });
            }
        }
        Spent::Fresh
    }

    /// Takes away what is over by both clocks.
    fn sweep(&self, shard: &mut Shard, now: UnixTime, instant: Instant) {
        let Shard { slots, forgotten } = shard;
        slots.retain(|slot| {
            let is_over = slot.ends <= now.0 && slot.ends_at <= instant;
            if is_over {
                *forgotten = slot.ends.max(*forgotten);
                slot.entries.iter().for_each(|entry| self.tally.remove(entry));
            }
            !is_over
        });
    }

    fn entry(&self, proof: &ProofUse) -> Entry {
        let hash = |bytes: &[u8; 32]| {
            let mut hasher = SipHasher24::new_with_key(&self.key);
            hasher.write(bytes);
            hasher.finish128().as_bytes()
        };
        let mut entry = hash(proof.digest());
        entry[12..14].copy_from_slice(&hash(proof.holder())[..2]);
        entry[14..].copy_from_slice(&hash(proof.issuer())[..2]);
        Entry(entry)
    }
}

impl fmt::Debug for InProcessReplays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcessReplays")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many proofs there are: of all, of each holder and of each issuer, by two bytes that stand for them. Of 65,536 holders,
/// few share those bytes with one who takes all they can.
struct Tally {
    all: AtomicUsize,
    of_holders: Box<[AtomicU32]>,
    of_issuers: Box<[AtomicU32]>,
}

impl Tally {
    fn new() -> Self {
        let none = || (0..=u16::MAX).map(|_| AtomicU32::new(0)).collect();
        Self { all: AtomicUsize::new(0), of_holders: none(), of_issuers: none() }
    }

    fn has_room(&self, entry: &Entry, capacity: usize) -> bool {
        let left = capacity.saturating_sub(self.all.load(Ordering::Relaxed));
        let of_holder = self.holder(entry).load(Ordering::Relaxed) as usize;
        let of_issuer = self.issuer(entry).load(Ordering::Relaxed) as usize;
        left > 0
            && of_holder < (capacity / HOLDER).max(1)
            && of_issuer < left.saturating_mul(ISSUER)
    }

    /// Counts one more, unless there are as many as there may be.
    fn add(&self, entry: &Entry, capacity: usize) -> bool {
        let more = |count| (count < capacity).then_some(count + 1);
        let is_counted = self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if is_counted {
            self.holder(entry).fetch_add(1, Ordering::Relaxed);
            self.issuer(entry).fetch_add(1, Ordering::Relaxed);
        }
        is_counted
    }

    fn remove(&self, entry: &Entry) {
        self.all.fetch_sub(1, Ordering::Relaxed);
        self.holder(entry).fetch_sub(1, Ordering::Relaxed);
        self.issuer(entry).fetch_sub(1, Ordering::Relaxed);
    }

    fn holder(&self, entry: &Entry) -> &AtomicU32 {
        &self.of_holders[usize::from(u16::from_le_bytes([entry.0[12], entry.0[13]]))]
    }

    fn issuer(&self, entry: &Entry) -> &AtomicU32 {
        &self.of_issuers[usize::from(u16::from_le_bytes([entry.0[14], entry.0[15]]))]
    }
}

/// Of a keyed hash, the first bytes are as good as any.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::super::{Holder, MadeWith};
    use super::*;
    use crate::signature::sha256_of;

    const NOW: i64 = 1_800_000_000;
    const PAST: Duration = Duration::from_secs(60);
    const AHEAD: Duration = Duration::from_secs(10);

    fn of<'p>(id: &'p str, holder: &'p str, issuer: &'p str, now: i64) -> ProofUse {
        ProofUse {
            digest: sha256_of(&[id]),
            holder: Holder::new(issuer, holder),
            issued_at: UnixTime(NOW),
            ahead: AHEAD,
            made_with: MadeWith::Clock,
            until: UnixTime(NOW).saturating_add(PAST),
            now: UnixTime(now),
        }
    }

    fn proof(id: &str) -> ProofUse {
        of(id, "alice", "https://id.example", NOW)
    }

    /// One that began an hour ago.
    fn replays(capacity: usize) -> InProcessReplays {
        InProcessReplays::with_capacity(capacity).started_at(UnixTime(NOW - 3600))
    }

    fn is_fresh(spent: &Spent) -> bool {
        matches!(spent, Spent::Fresh)
    }

    #[test]
    fn of_64_who_come_with_one_proof_at_once_one_is_first() {
        let replays = replays(1000);
        for round in 0..50 {
            let (proof, start) = (proof(&round.to_string()), Barrier::new(64));
            let fresh: usize = thread::scope(|scope| {
                let spend = || {
                    start.wait();
                    usize::from(is_fresh(&replays.spend(&proof)))
                };
                let threads: Vec<_> = (0..64).map(|_| scope.spawn(spend)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(fresh, 1, "round {round}");
        }
        assert_eq!(replays.len(), 50);
    }

    #[test]
    fn what_was_made_before_it_began_may_have_been_used() {
        for (born, expected) in [
            (NOW - 3600, true),
            (NOW - 11, true),
            (NOW - 10, false),
            (NOW, false),
            (NOW + 60, false),
        ] {
            let replays = InProcessReplays::with_capacity(10).started_at(UnixTime(born));
            // Whoever begins with it later changes nothing.
            replays.start(UnixTime(NOW - 3600));
            assert_eq!(is_fresh(&replays.spend(&proof("1"))), expected, "{born}");
            assert_eq!(replays.len(), usize::from(expected));
        }
    }

    #[test]
    fn a_proof_is_forgotten_when_it_is_over_by_both_clocks() {
        let replays = replays(10);
        let begin = Instant::now();
        let later = |seconds| begin + Duration::from_secs(seconds);
        assert!(is_fresh(&replays.0.spend(&proof("1"), begin)));
        // A clock that jumps ahead, and back.
        let ahead = of("2", "alice", "https://id.example", NOW + 86_400);
        let _ = replays.0.spend(&ahead, later(1));
        assert!(!is_fresh(&replays.0.spend(&proof("1"), later(2))));
        // One that stands.
        assert!(!is_fresh(&replays.0.spend(&proof("1"), later(86_400))));
        // Both, and another proof of its part.
        let part = |proof: &ProofUse| replays.0.entry(proof).0[11] % 16;
        let mut others = (0..).map(|id| of(&format!("other {id}"), "bob", "", NOW + 76));
        let other = others.find(|other| part(other) == part(&proof("1"))).unwrap();
        let other = ProofUse { until: UnixTime(NOW + 136), ..other };
        assert!(is_fresh(&replays.0.spend(&other, later(86_400))));
        let shard = &replays.0.shards[usize::from(part(&other))];
        assert_eq!(locked(shard).slots.iter().map(|slot| slot.entries.len()).sum::<usize>(), 1);
        // It is forgotten, and a clock that is set back does not make it fresh, nor another one of its time.
        assert!(!is_fresh(&replays.0.spend(&proof("1"), later(86_401))));
    }

    #[test]
    fn a_proof_is_fresh_once_whoever_holds_the_token() {
        let replays = replays(100);
        let of = |holder, issuer| of("1", holder, issuer, NOW);
        assert!(is_fresh(&replays.spend(&of("alice", "https://one.example"))));
        for (holder, issuer) in
            [("bob", "https://one.example"), ("alice", "https://two.example"), ("", "")]
        {
            assert!(!is_fresh(&replays.spend(&of(holder, issuer))), "{holder} {issuer}");
        }
        assert_eq!(replays.len(), 1);
    }

    #[test]
    fn who_has_many_proofs_has_a_sixteenth_of_the_room_and_an_issuer_three_quarters() {
        let replays = replays(1600);
        let fill = |holder: &str, issuer: &str| {
            let mut count = 0;
            while is_fresh(&replays.spend(&of(
                &format!("{holder} {issuer} {count}"),
                holder,
                issuer,
                NOW,
            ))) {
                count += 1;
            }
            count
        };
        assert_eq!(fill("alice", "https://one.example"), 100);
        let of_others: usize =
            (0..40).map(|user| fill(&user.to_string(), "https://one.example")).sum();
        assert_eq!(100 + of_others, 1200);
        assert_eq!(fill("alice", "https://two.example"), 100);
    }

    #[test]
    fn what_has_no_room_is_not_used_and_is_fresh_once_there_is() {
        let replays = replays(2);
        let (begin, proofs) = (Instant::now(), ["1", "2", "3"]);
        let spend = |id: &str, now: i64, at: u64| {
            let proof = of(id, id, "https://id.example", now);
            let proof = ProofUse { until: UnixTime(now + 60), ..proof };
            replays.0.spend(&proof, begin + Duration::from_secs(at))
        };
        let first: Vec<_> = proofs.iter().map(|id| spend(id, NOW, 0)).collect();
        assert!(is_fresh(&first[0]), "{first:?}");
        assert!(matches!(first[2], Spent::Unavailable(_)), "{first:?}");
        assert!(is_fresh(&spend("3", NOW + 80, 80)));
    }
}
