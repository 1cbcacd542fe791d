//! The clocks of the machine that an instance runs on.
use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use portcullis::{Clock, UnixTime};

use crate::time::StoreTime;

/// The clocks of the machine. Replaced in tests.
pub(crate) trait MachineTime: fmt::Debug + Send + Sync {
    /// What has gone by since some moment, whatever becomes of the wall clock.
    fn elapsed(&self) -> Duration;
    /// The wall clock.
    fn wall(&self) -> StoreTime;
}

/// The clocks of this machine.
#[derive(Debug)]
pub(crate) struct Machine(Instant);

impl Machine {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl MachineTime for Machine {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn wall(&self) -> StoreTime {
        SystemTime::now().into()
    }
}

/// The clock of a test, in the place of both.
#[derive(Debug)]
pub(crate) struct Clocked {
    clock: Arc<dyn Clock>,
    since: UnixTime,
}

impl Clocked {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { since: clock.now(), clock }
    }
}

impl MachineTime for Clocked {
    fn elapsed(&self) -> Duration {
        self.clock.now().saturating_since(self.since)
    }

    fn wall(&self) -> StoreTime {
        self.clock.now().into()
    }
}

/// The clock of a store in memory: the machine's, that of a test, or one that stands.
#[derive(Debug, Default)]
pub(crate) struct MemoryClock {
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) stands_at: Option<StoreTime>,
}

impl MemoryClock {
    pub(crate) fn now(&self) -> StoreTime {
        match (self.stands_at, &self.clock) {
            (Some(now), _) => now,
            (None, Some(clock)) => clock.now().into(),
            (None, None) => SystemTime::now().into(),
        }
    }
}
