//! Time as tokens tell it.
use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted (RFC 7519 §2, `NumericDate`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// This instant and `duration` more, fractions of a second dropped.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(duration.as_secs()))
    }

    /// How long after `earlier` this instant is; nothing where it is not after it.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_secs(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl From<SystemTime> for UnixTime {
    /// Whole seconds, rounded down. A time that no token can name saturates.
    fn from(time: SystemTime) -> Self {
        Self(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(before) => {
                let before = before.duration();
                let up = u64::from(before.subsec_nanos() > 0);
                i64::try_from(before.as_secs().saturating_add(up)).map_or(i64::MIN, |s| -s)
            }
        })
    }
}

/// The current time, as a policy sees it. Replace it in tests.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> UnixTime;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> UnixTime {
        (**self).now()
    }
}

/// The clock of the machine: what a policy uses when it is given no other.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        SystemTime::now().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_a_second_is_rounded_down_on_both_sides_of_the_epoch() {
        let half = Duration::from_millis(1500);
        assert_eq!(UnixTime::from(SystemTime::UNIX_EPOCH + half), UnixTime(1));
        assert_eq!(UnixTime::from(SystemTime::UNIX_EPOCH - half), UnixTime(-2));
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(UnixTime(i64::MAX).saturating_add(Duration::MAX), UnixTime(i64::MAX));
        assert_eq!(UnixTime(i64::MIN).saturating_since(UnixTime(i64::MAX)), Duration::ZERO);
    }
}
