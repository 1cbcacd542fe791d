//! What a process knows of the memory of used proofs, and what it makes of that. Nothing here asks a server.
use core::time::Duration;
use std::time::Instant;

use portcullis::UnixTime;
use portcullis::dpop::{MadeWith, ProofUse};

use crate::error::RedisError;

/// How far the server's clock may be from a policy's: so much longer a proof is remembered than it can be used.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// For how many seconds proofs are counted together: a share is a share of what may come in that time.
pub(crate) const SLOT: u64 = 8;

/// The longest that a proof with a nonce can be used.
const NONCE_LIFETIME: u64 = 180;

/// By how much the server's clock may run ahead of ours between two looks. More is a jump, and good proofs may be gone. A process
/// whose machine stood still sees one, too.
const JUMP: Duration = CLOCK_TOLERANCE;

/// What the server's clock said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// In milliseconds since 1970.
    pub(crate) time: u64,
    /// It was read between these.
    pub(crate) sent: Instant,
    pub(crate) received: Instant,
}

impl Heard {
    /// The latest time that the server's clock can say at this instant.
    fn latest(&self, instant: Instant) -> i64 {
        millis(self.time, instant.saturating_duration_since(self.sent))
    }

    fn earliest(&self, instant: Instant) -> i64 {
        millis(self.time, instant.saturating_duration_since(self.received))
    }

    /// Whether the clock was put forward in between: the server has dropped what was not over.
    fn has_jumped_since(&self, before: &Self) -> bool {
        let most = before.latest(self.received).saturating_add(millis(0, JUMP));
        signed(self.time) > most
    }
}

/// The memory of used proofs, as it was heard of last.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// Drawn at random when it began.
    pub(crate) epoch: u64,
    /// Of the digests in it.
    pub(crate) key: [u8; 16],
    /// When it began, by the server's clock, in milliseconds since 1970.
    pub(crate) birth: u64,
    pub(crate) heard: Heard,
}

impl Memory {
    /// Whether a policy's clock is near the server's: a proof is over by the one, and forgotten by the other.
    pub(crate) fn agrees_with(&self, now: UnixTime, instant: Instant) -> bool {
        let (first, last) = of_second(now);
        let tolerance = millis(0, CLOCK_TOLERANCE);
        let is_behind = self.heard.latest(instant).saturating_sub(first) > tolerance;
        let is_ahead = last.saturating_sub(self.heard.earliest(instant)) > tolerance;
        !is_behind && !is_ahead
    }

    /// Whether a proof may have been used before this memory began.
    pub(crate) fn may_have_forgotten(&self, proof: &ProofUse) -> bool {
        proof.may_be_from_before(self.birth_by_any_clock(), self.epoch)
    }

    /// A moment by which it had begun whatever policy's clock is asked that is near enough to the server's.
    pub(crate) fn birth_by_any_clock(&self) -> UnixTime {
        UnixTime(signed(self.birth.div_ceil(1000))).saturating_add(CLOCK_TOLERANCE)
    }

    pub(crate) fn age(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.heard.received)
    }
}

/// What a server says of its memory.
pub(crate) struct Looked {
    pub(crate) heard: Heard,
    /// Epoch, key and birth. An error: its clock is too far off.
    pub(crate) found: Result<(u64, [u8; 16], u64), RedisError>,
}

/// What one process notices from one look to the next.
#[derive(Default)]
pub(crate) struct Watch {
    last: Option<Memory>,
    lost: Option<u64>,
}

impl Watch {
    /// The epoch whose memory lacks proofs, as this process saw, and nobody noted yet.
    pub(crate) fn lost(&self) -> Option<u64> {
        self.lost
    }

    pub(crate) fn take(&mut self, looked: Looked) -> Result<Memory, RedisError> {
        let Looked { heard, found } = looked;
        if let Some(last) = &self.last
            && heard.has_jumped_since(&last.heard)
        {
            self.lost = Some(last.epoch);
        }
        let (epoch, key, birth) = found?;
        // One that goes back to before the other was asked last does not continue it: what the other was told, it never was.
        if let Some(last) = &self.last
            && last.epoch != epoch
            && birth < last.heard.time
        {
            self.lost = Some(epoch);
        }
        if self.lost == Some(epoch) {
            // To be looked at again, so that another one begins.
            return Err(RedisError::Forgotten);
        }
        self.lost = None;
        let memory = Memory { epoch, key, birth, heard };
        self.last = Some(memory);
        Ok(memory)
    }
}

/// When a proof is forgotten, by the server's clock in milliseconds: once it is over by any clock that is near it.
pub(crate) fn forgotten_at(until: UnixTime) -> i64 {
    of_second(until.saturating_add(CLOCK_TOLERANCE)).0
}

/// For how many proofs there is room in one slot, where a store has so much room in all.
///
/// A proof is remembered for its lifetime, and for the rounding of its end, the tolerance, and twice what two clocks may differ by. Those
/// that are remembered at once were counted in slots of that time, and in two that are cut off.
pub(crate) fn room_in_slot(capacity: u64, proof: &ProofUse) -> u64 {
    let lifetime = match proof.made_with() {
        MadeWith::Clock => {
            (proof.until().saturating_since(proof.issued_at()) + proof.ahead()).as_secs()
        }
        MadeWith::Nonce { .. } => {
            proof.until().saturating_since(proof.now()).as_secs().max(NONCE_LIFETIME)
        }
    };
    room(capacity, lifetime)
}

fn room(capacity: u64, lifetime: u64) -> u64 {
    let remembered = lifetime.saturating_add(1 + 4 * CLOCK_TOLERANCE.as_secs());
    (capacity / (remembered.div_ceil(SLOT) + 2)).max(1)
}

/// The first and the last millisecond of a second.
fn of_second(time: UnixTime) -> (i64, i64) {
    let first = time.0.saturating_mul(1000);
    (first, first.saturating_add(999))
}

fn millis(time: u64, more: Duration) -> i64 {
    signed(time).saturating_add(i64::try_from(more.as_millis()).unwrap_or(i64::MAX))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn heard(time: u64, sent: Instant, received: Instant) -> Heard {
        Heard { time, sent, received }
    }

    fn looked(time: u64, at: Instant, found: Option<(u64, u64)>) -> Looked {
        Looked {
            heard: heard(time, at, at),
            found: found
                .map(|(epoch, birth)| (epoch, [0; 16], birth))
                .ok_or(RedisError::Clock { is_ahead: true, by: Duration::from_secs(60) }),
        }
    }

    /// What the documentation says of a million proofs.
    #[test]
    fn a_million_proofs_are_those_of_8900_requests_a_second_and_with_nonces_of_half_as_many() {
        // The usual window, and the second in which the last is still taken.
        let by_clock = room(1_000_000, 60 + 1 + 10);
        assert_eq!(by_clock / SLOT, 8_928);
        assert_eq!((by_clock * 3 / 4 / SLOT, by_clock / 16 / SLOT), (6_696, 558));
        assert_eq!(room(1_000_000, NONCE_LIFETIME), by_clock / 2);
    }

    #[test]
    fn a_policys_clock_that_is_5_s_from_the_servers_is_not_believed() {
        let (sent, second) = (Instant::now(), Duration::from_secs(1));
        let received = sent + second / 2;
        let key = [0; 16];
        let birth = 0;
        let memory =
            Memory { epoch: 1, key, birth, heard: heard(NOW * 1000 + 500, sent, received) };
        let at = |seconds: i64, later: Duration| {
            memory.agrees_with(UnixTime(NOW as i64 + seconds), received + later)
        };
        for (seconds, expected) in
            [(-3600, false), (-5, false), (-4, true), (0, true), (4, true), (5, false), (90, false)]
        {
            assert_eq!(at(seconds, Duration::ZERO), expected, "{seconds}");
        }
        // The server's goes on, and is not asked for each proof.
        assert!(at(7, 4 * second));
        assert!(!at(-1, 4 * second));
        // What was on its way for long says little.
        let slow = Memory { heard: heard(NOW * 1000, sent, sent + 5 * second), ..memory };
        assert!(!slow.agrees_with(UnixTime(NOW as i64), sent + 6 * second));
    }

    #[test]
    fn a_memory_began_later_by_any_clock_than_by_its_own() {
        let at = Instant::now();
        for (birth, expected) in [(NOW * 1000, NOW + 5), (NOW * 1000 + 1, NOW + 6)] {
            let memory = Memory { epoch: 1, key: [0; 16], birth, heard: heard(birth, at, at) };
            assert_eq!(memory.birth_by_any_clock(), UnixTime(expected as i64));
        }
    }

    #[test]
    fn a_clock_that_is_put_forward_ends_the_memory() {
        let (begin, time) = (Instant::now(), NOW * 1000);
        let later = |seconds: u64| begin + Duration::from_secs(seconds);
        let is_lost = |next: Looked| {
            let mut watch = Watch::default();
            watch.take(looked(time, begin, Some((1, 0)))).expect("the first look");
            let taken = watch.take(next).map(|memory| memory.epoch);
            (taken, watch.lost())
        };
        // As much as went by, a little more, less, and backwards.
        for said in [10_000, 15_000, 9_000, 0] {
            let next = looked(time + said, later(10), Some((1, 0)));
            assert_eq!(is_lost(next), (Ok(1), None), "{said}");
        }
        let back = looked(time - 60_000, later(10), Some((1, 0)));
        assert_eq!(is_lost(back), (Ok(1), None));
        for said in [15_001, 3_600_000] {
            let next = looked(time + said, later(10), Some((1, 0)));
            assert_eq!(is_lost(next), (Err(RedisError::Forgotten), Some(1)), "{said}");
        }
    }

    #[test]
    fn what_was_lost_is_not_forgotten_while_the_clock_is_off() {
        let (begin, time) = (Instant::now(), NOW * 1000);
        let later = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut watch = Watch::default();
        let mut take = |next| (watch.take(next).map(|memory| memory.epoch), watch.lost());
        assert_eq!(take(looked(time, begin, Some((1, 0)))), (Ok(1), None));
        let (off, lost) = take(looked(time + 3_600_000, later(1), None));
        assert!(matches!(off, Err(RedisError::Clock { .. })), "{off:?}");
        assert_eq!(lost, Some(1));
        // Back again, as if nothing had been.
        let forgotten = (Err(RedisError::Forgotten), Some(1));
        assert_eq!(take(looked(time + 2000, later(2), Some((1, 0)))), forgotten);
        assert_eq!(take(looked(time + 3000, later(3), Some((2, time + 3000)))), (Ok(2), None));
    }

    #[test]
    fn a_memory_that_does_not_continue_the_one_before_is_ended() {
        let (begin, time) = (Instant::now(), NOW * 1000);
        for (birth, expected) in
            [(time - 1, Err(RedisError::Forgotten)), (time, Ok(2)), (time + 1000, Ok(2))]
        {
            let mut watch = Watch::default();
            watch.take(looked(time, begin, Some((1, 0)))).expect("the first look");
            let next = looked(time + 1000, begin + Duration::from_secs(1), Some((2, birth)));
            assert_eq!(watch.take(next).map(|memory| memory.epoch), expected, "{birth}");
        }
    }

    #[test]
    fn a_proof_is_forgotten_after_it_is_over_by_any_clock() {
        assert_eq!(forgotten_at(UnixTime(NOW as i64)), (NOW as i64 + 5) * 1000);
        assert_eq!(forgotten_at(UnixTime(i64::MAX)), i64::MAX);
    }

    #[test]
    fn all_slots_in_which_proofs_are_remembered_at_once_have_room_together() {
        for lifetime in [1_u64, 60, 70, 180, 310, 600] {
            for capacity in [1000, 50_000, 1_000_000] {
                // As long as an entry lives, and as far as two clocks may be apart.
                let remembered = lifetime + 1 + 4 * 5;
                let slots = remembered.div_ceil(SLOT) + 2;
                let room = room(capacity, lifetime);
                assert!(room * slots <= capacity, "{lifetime} {capacity}");
                assert!((room + 1) * slots > capacity, "{lifetime} {capacity}");
            }
        }
        assert_eq!(room(1_000_000, 70), 71_428);
        assert_eq!(room(1, u64::MAX), 1);
    }
}
