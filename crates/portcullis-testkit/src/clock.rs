use core::sync::atomic::{AtomicI64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use portcullis::{Clock, UnixTime};

/// A clock that stands still until it is told to move. **For tests only.**
///
/// Clones show the same time: give one to the policy, one to the [`TestIssuer`](crate::TestIssuer),
/// and move the third.
///
/// # Example: a day passes
///
/// ```
/// use std::time::Duration;
/// use portcullis::{Clock, UnixTime};
/// use portcullis_testkit::FixedClock;
///
/// let clock = FixedClock::at(1_800_000_000);
/// let of_the_policy = clock.clone();
/// clock.advance(Duration::from_secs(86_400));
/// assert_eq!(of_the_policy.now(), UnixTime(1_800_086_400));
/// ```
#[derive(Clone, Debug)]
pub struct FixedClock(Arc<AtomicI64>);

impl FixedClock {
    /// A clock that shows `seconds` since the Unix epoch.
    pub fn at(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds)))
    }

    /// Moves this clock and its clones forward, by whole seconds: a fraction is dropped.
    pub fn advance(&self, duration: Duration) {
        let later = |now| Some(UnixTime(now).saturating_add(duration).0);
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, later)
            .expect("`later` always has an answer");
    }

    /// Moves this clock and its clones to `seconds` since the Unix epoch, be it forward or back.
    pub fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_moves_with_its_original() {
        let clock = FixedClock::at(100);
        let clone = clock.clone();
        clock.advance(Duration::from_millis(2_900));
        assert_eq!(clone.now(), UnixTime(102));
        clone.set(-5);
        assert_eq!(clock.now(), UnixTime(-5));
    }

    #[test]
    fn the_end_of_time_is_not_passed() {
        let clock = FixedClock::at(i64::MAX - 1);
        clock.advance(Duration::MAX);
        assert_eq!(clock.now(), UnixTime(i64::MAX));
    }
}
