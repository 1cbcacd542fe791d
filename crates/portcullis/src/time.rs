//! Time as tokens tell it.
use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::SystemTime;

use serde::de::{Deserialize, Deserializer, Error};

use crate::json::Json;

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted (RFC 7519 §2, `NumericDate`).
///
/// Read by serde, it takes every number that verification takes for a time, and no other: `1800000000`,
/// `1800000000.0`, `1.8e9`. A fraction is dropped. A negative number, or one beyond what can be counted
/// exactly, is an error.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
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

impl<'de> Deserialize<'de> for UnixTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Knows in which form each feature of `serde_json` hands a number over.
        let number = serde_json::Number::deserialize(deserializer)?;
        numeric_date(&number.to_string())
            .ok_or_else(|| Error::custom("not a time in seconds since 1970: out of range"))
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

/// A duration in words, in whole seconds: `1 h 30 min`. Its two largest units.
pub(crate) struct InWords(pub(crate) Duration);

/// The same to the second: `1 h 30 min 1 s`. For durations of which one is just longer than the other.
pub(crate) struct ToTheSecond(pub(crate) Duration);

impl fmt::Display for InWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_units(self.0, 2, f)
    }
}

impl fmt::Display for ToTheSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_units(self.0, usize::MAX, f)
    }
}

fn write_units(duration: Duration, most: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let seconds = duration.as_secs();
    let units = [
        ("d", seconds / 86_400),
        ("h", seconds / 3600 % 24),
        ("min", seconds / 60 % 60),
        ("s", seconds % 60),
    ];
    if seconds == 0 {
        return f.write_str("0 s");
    }
    let mut shown = units.iter().filter(|(_, count)| *count > 0).take(most).enumerate();
    shown.try_for_each(|(at, (unit, count))| {
        write!(f, "{}{count} {unit}", if at == 0 { "" } else { " " })
    })
}

/// The current time, as a policy sees it. Replace it in tests.
///
/// `portcullis-testkit` has a `FixedClock` that moves when it is told to. A clock of your own:
///
/// ```
/// use portcullis::{Clock, UnixTime};
/// use portcullis_testkit::TestIssuer;
///
/// #[derive(Debug)]
/// struct Stopped;
///
/// impl Clock for Stopped {
///     fn now(&self) -> UnixTime {
///         UnixTime(1_800_000_000)
///     }
/// }
///
/// let issuer = TestIssuer::new("https://id.example").clock(Stopped);
/// # let _ = issuer;
/// ```
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

/// RFC 7519 §2: a number of seconds, perhaps with a fraction, which is dropped. Before 1970, and beyond
/// what a double counts exactly, there are no tokens.
///
/// Every time is rounded down, as the clock is. A fraction then never lengthens a token's life, makes it
/// no younger for [`max_age`](crate::ClaimRules::max_age) and revocation, and does not keep a token that was
/// issued within this second waiting for the next one.
pub(crate) fn numeric_date(text: &str) -> Option<UnixTime> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    let seconds = match Json::from_number(text)? {
        Json::Integer(seconds) => i64::try_from(seconds).ok()?,
        Json::Float(seconds) => {
            let seconds = seconds.floor();
            if !(0.0..EXACT).contains(&seconds) {
                return None;
            }
            #[expect(clippy::cast_possible_truncation, reason = "a whole number under 2^53")]
            let seconds = seconds as i64;
            seconds
        }
        _ => return None,
    };
    (seconds >= 0).then_some(UnixTime(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_str, from_value};

    use super::*;

    #[test]
    fn a_fraction_of_a_second_is_rounded_down_on_both_sides_of_the_epoch() {
        let half = Duration::from_millis(1500);
        assert_eq!(UnixTime::from(SystemTime::UNIX_EPOCH + half), UnixTime(1));
        assert_eq!(UnixTime::from(SystemTime::UNIX_EPOCH - half), UnixTime(-2));
    }

    #[test]
    fn a_time_is_read_from_json_as_verification_reads_it() {
        #[derive(serde::Deserialize)]
        struct Claims {
            #[serde(flatten)]
            times: std::collections::HashMap<String, UnixTime>,
        }
        for text in [
            "0",
            "-0",
            "0.5",
            "1.5",
            "1800000000",
            "1800000000.0",
            "1800000000.999",
            "1.8e9",
            "18E8",
            "9007199254740991",
            "9007199254740993",
            "9007199254740992.0",
            "9223372036854775807",
            "-1",
            "-0.5",
            "1e18",
            "9223372036854775808",
            "18446744073709551616",
            "1e309",
            "null",
            "true",
            "[]",
            "{}",
            r#""1800000000""#,
        ] {
            let expected = numeric_date(text);
            assert_eq!(from_str(text).ok(), expected, "{text}");
            let claims = from_str(&format!(r#"{{"exp":{text}}}"#)).ok();
            assert_eq!(claims.map(|it: Claims| it.times["exp"]), expected, "{text}");
            let value = from_str::<Value>(text).ok();
            assert_eq!(value.and_then(|value| from_value(value).ok()), expected, "{text}");
        }
    }

    #[test]
    fn a_duration_is_told_in_two_units_or_to_the_second() {
        for (seconds, short, whole) in [
            (0, "0 s", "0 s"),
            (30, "30 s", "30 s"),
            (200, "3 min 20 s", "3 min 20 s"),
            (3600, "1 h", "1 h"),
            (3601, "1 h 1 s", "1 h 1 s"),
            (5400, "1 h 30 min", "1 h 30 min"),
            (5401, "1 h 30 min", "1 h 30 min 1 s"),
            (86_700, "1 d 5 min", "1 d 5 min"),
            (90_000, "1 d 1 h", "1 d 1 h"),
            (2_592_000, "30 d", "30 d"),
        ] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(InWords(duration).to_string(), short);
            assert_eq!(ToTheSecond(duration).to_string(), whole);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(UnixTime(i64::MAX).saturating_add(Duration::MAX), UnixTime(i64::MAX));
        assert_eq!(UnixTime(i64::MIN).saturating_since(UnixTime(i64::MAX)), Duration::ZERO);
    }
}
