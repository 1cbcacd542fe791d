//! Times and durations, as they are given and as they are told.
use core::time::Duration;

use jiff::fmt::friendly::SpanParser;
use jiff::{SignedDuration, SpanRelativeTo, Timestamp};
use portcullis::explain::in_words;

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
