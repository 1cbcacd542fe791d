use core::fmt;
use core::time::Duration;

use portcullis::UnixTime;

/// An instant of a store's clock, by which all instances go: milliseconds since 1970.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StoreTime(i64);

impl StoreTime {
    /// The instant that this many milliseconds after 1970 began is. One before 1970 counts as its beginning.
    pub const fn from_millis(millis: i64) -> Self {
        Self(if millis < 0 { 0 } else { millis })
    }

    /// Milliseconds since 1970 began.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// In whole seconds, rounded down, as a token has it.
    pub(crate) const fn as_unix(self) -> UnixTime {
        UnixTime(self.0 / 1000)
    }

    /// This instant and `duration` more, rounded up to a whole millisecond.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = duration.as_nanos().div_ceil(1_000_000);
        Self(self.0.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)))
    }

    /// This instant and `duration` less, rounded down to a whole millisecond; at the earliest the beginning of 1970.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let millis = duration.as_nanos().div_ceil(1_000_000);
        Self::from_millis(self.0.saturating_sub(i64::try_from(millis).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; nothing where it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// As in RFC 3339, in UTC: `2027-01-15T08:00:00Z`. Beyond the year 9999, in seconds since 1970.
impl fmt::Display for StoreTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000),
        }
    }
}

impl From<UnixTime> for StoreTime {
    /// The moment at which that second begins.
    fn from(time: UnixTime) -> Self {
        Self::from_millis(time.0.saturating_mul(1000))
    }
}

impl From<std::time::SystemTime> for StoreTime {
    /// Whole milliseconds, rounded down. A time before 1970 counts as its beginning.
    fn from(time: std::time::SystemTime) -> Self {
        let since = time.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
