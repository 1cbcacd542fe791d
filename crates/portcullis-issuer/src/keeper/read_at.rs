//! When a ring was read, by the clocks of store and machine.
use core::time::Duration;

use crate::machine::MachineTime;
use crate::time::StoreTime;

/// When a ring was read. The store's clock was looked at at some moment while the store was asked.
#[derive(Clone, Copy)]
pub(crate) struct ReadAt {
    /// The store's clock.
    pub(super) now: StoreTime,
    /// The machine's time when the store was asked.
    pub(super) elapsed: Duration,
    /// How long it took to answer.
    pub(super) took: Duration,
    /// The machine's clock when it had answered.
    pub(super) wall: StoreTime,
}

impl ReadAt {
    /// The store was asked at `elapsed`, and just answered.
    pub(super) fn new(now: StoreTime, elapsed: Duration, time: &dyn MachineTime) -> Self {
        let took = time.elapsed().saturating_sub(elapsed);
        Self { now, elapsed, took, wall: time.wall() }
    }

    /// By how much the clocks of machine and store differ at least.
    pub(super) fn clock_off(self) -> Duration {
        let Self { now, wall, took, .. } = self;
        wall.before(took).since(now).max(now.since(wall))
    }

    /// By how much the store's clock did not go on as the machine's did, since this earlier reading.
    pub(super) fn jumped_since(self, then: Self) -> Duration {
        let expected = then.now.after(self.elapsed.saturating_sub(then.elapsed));
        let (now, took) = (self.now, self.took);
        expected.before(then.took).since(now).max(now.since(expected.after(took)))
    }
}
