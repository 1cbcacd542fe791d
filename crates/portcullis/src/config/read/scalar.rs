//! Values that stand for one thing: a duration, a time, a number of bytes.
use core::time::Duration;

use jiff::Timestamp;
use jiff::civil;
use jiff::fmt::friendly::SpanParser;

use crate::config::fault::Problem;
use crate::config::reader::{Faults, Value};
use crate::time::UnixTime;

/// RFC 3339, fractions of a second dropped.
pub(super) fn read_time(value: Value, faults: &mut Faults) -> Option<UnixTime> {
    let place = value.place.clone();
    let text = value.time("a date and time: 2026-12-31T00:00:00Z", faults)?;
    // In brackets stands the time zone of RFC 9557, which may contradict the offset.
    let time = if text.contains('[') { None } else { text.parse::<Timestamp>().ok() };
    match time {
        Some(time) => return Some(UnixTime(time.as_second())),
        None if text.parse::<civil::DateTime>().is_ok() && !text.contains('[') => {
            faults.add(place, Problem::NoOffset);
        }
        None => faults.add(place, Problem::Time),
    }
    None
}

pub(super) fn read_duration(value: Value, faults: &mut Faults) -> Option<Duration> {
    read_duration_in(value, Duration::from_secs(1), Problem::Duration, faults)
}

/// A duration that may have a part of a second.
#[cfg(feature = "remote-jwks")]
pub(super) fn read_fine_duration(value: Value, faults: &mut Faults) -> Option<Duration> {
    read_duration_in(value, Duration::from_millis(1), Problem::FineDuration, faults)
}

fn read_duration_in(
    value: Value,
    unit: Duration,
    otherwise: Problem,
    faults: &mut Faults,
) -> Option<Duration> {
    const PARSER: SpanParser = SpanParser::new();
    let place = value.place.clone();
    let text = value.string("a duration with its unit: \"15m\"", faults)?;
    let duration = PARSER.parse_unsigned_duration(&text).ok();
    let duration = duration.filter(|duration| duration.as_nanos() % unit.as_nanos() == 0);
    if duration.is_none() {
        faults.add(place, otherwise);
    }
    duration
}

pub(super) fn read_bytes(
    value: Value,
    expected: &'static str,
    faults: &mut Faults,
) -> Option<usize> {
    let place = value.place.clone();
    let bytes = value.integer("a number of bytes", faults)?;
    let bytes = usize::try_from(bytes).ok();
    if bytes.is_none() {
        faults.add(place, Problem::OutOfRange { expected });
    }
    bytes
}

pub(super) fn read_strings(
    value: Option<Value>,
    expected: &'static str,
    faults: &mut Faults,
) -> Option<Vec<String>> {
    let strings = value?.strings(expected, faults)?;
    Some(strings.into_iter().map(|(_, text)| text).collect())
}

pub(super) fn is_on(value: Option<Value>, faults: &mut Faults) -> bool {
    value.and_then(|value| value.boolean(faults)).unwrap_or(false)
}
