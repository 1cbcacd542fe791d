//! Times and durations, as they are given and as they are told.
use core::time::Duration;

use jiff::fmt::friendly::SpanParser;
use jiff::{SignedDuration, SpanRelativeTo, Timestamp};
use portcullis::explain::in_words;
use portcullis_issuer::StoreTime;
use serde::Serialize;

/// Seconds since 1970, from a number or a date.
pub(crate) fn time(text: &str) -> Result<i64, String> {
    let seconds = text.parse().ok();
    let time = || text.parse::<Timestamp>().ok().map(Timestamp::as_second);
    seconds.or_else(time).ok_or_else(|| {
        "not a time: write seconds since 1970, or 2026-12-31T12:00:00Z with the offset".to_owned()
    })
}

/// Seconds, from days, hours, minutes and seconds. A day has 24 hours.
pub(crate) fn seconds(text: &str) -> Result<i64, String> {
    let duration = || -> Option<SignedDuration> {
        let span = SpanParser::new().parse_span(text).ok()?;
        span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
    };
    let duration = duration().filter(|duration| duration.subsec_nanos() == 0);
    duration.map(|duration| duration.as_secs()).ok_or_else(|| {
        "not a duration: write days, hours, minutes and seconds, such as 30d or 1h 30m".to_owned()
    })
}

/// `2027-01-15T08:00:00Z`. Nothing for a year that has over four digits.
pub(crate) fn utc(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// `1800000000 (2027-01-15T08:00:00Z)`.
pub(crate) fn instant(seconds: i64) -> String {
    utc(seconds).map_or_else(|| seconds.to_string(), |date| format!("{seconds} ({date})"))
}

/// `2027-01-15T08:00:00.25Z`.
pub(crate) fn utc_of_millis(millis: i64) -> Option<String> {
    Timestamp::from_millisecond(millis).ok().map(|time| time.to_string())
}

/// A time of a store, exactly.
#[derive(Serialize)]
pub(crate) struct Instant {
    ms: i64,
    utc: Option<String>,
}

impl From<StoreTime> for Instant {
    fn from(at: StoreTime) -> Self {
        let ms = at.as_millis();
        Self { ms, utc: utc_of_millis(ms) }
    }
}

/// `18 days`: in the largest unit of which there are two, rounded.
pub(crate) fn about(duration: Duration) -> String {
    const UNITS: [(u128, &str); 3] = [(24 * 60 * 60, "days"), (60 * 60, "h"), (60, "min")];
    let millis = duration.as_millis();
    let rounded = |unit: u128| (millis + unit * 500) / (unit * 1000);
    let unit = UNITS.into_iter().find(|(unit, _)| millis >= unit * 2000);
    let (unit, name) = unit.unwrap_or((1, "s"));
    format!("{} {name}", rounded(unit))
}

/// `1 h 30 min`, as the library says it.
pub(crate) fn duration(seconds: u64) -> String {
    in_words(Duration::from_secs(seconds)).to_string()
}

/// `55.1`.
pub(crate) fn micros(took: Duration) -> String {
    format!("{:.1}", took.as_secs_f64() * 1_000_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_or_a_date_with_its_offset() {
        assert_eq!(time("1800000000"), Ok(1_800_000_000));
        assert_eq!(time("2027-01-15T08:00:00Z"), Ok(1_800_000_000));
        assert_eq!(time("2027-01-15T09:00:00+01:00"), Ok(1_800_000_000));
        assert!(time("2027-01-15T08:00:00").is_err());
    }

    #[test]
    fn about_how_long_is_told_in_one_unit() {
        for (millis, expected) in [
            (0, "0 s"),
            (119_000, "119 s"),
            (120_000, "2 min"),
            (7_199_000, "120 min"),
            (7_200_000, "2 h"),
            (86_399_999, "24 h"),
            (172_800_000, "2 days"),
            (30 * 86_400_000 - 1, "30 days"),
        ] {
            assert_eq!(about(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn a_duration_has_units_and_may_be_negative() {
        for (text, expected) in
            [("5m", 300), ("1h 30m", 5400), ("30d", 2_592_000), ("-10m", -600), ("0s", 0)]
        {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "5", "1mo", "1y", "0.5s", "soon", "99999999999999999999h"] {
            assert!(seconds(text).unwrap_err().contains("30d"), "{text}");
        }
    }
}
