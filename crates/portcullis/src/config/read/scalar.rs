//! Values that stand for one thing: a duration, a time, a number of bytes.
use core::time::Duration;

use jiff::civil;
use jiff::fmt::friendly::SpanParser;
use jiff::{SpanRelativeTo, Timestamp};

use crate::config::fault::ConfigProblem;
use crate::config::node::Node;
use crate::config::reader::Value;
use crate::time::UnixTime;

impl Value<'_> {
    pub(super) fn duration(&self) -> Option<Duration> {
        self.duration_in(Duration::from_secs(1), ConfigProblem::Duration)
    }

    /// A duration that may have a part of a second.
    #[cfg(feature = "remote-jwks")]
    pub(super) fn fine_duration(&self) -> Option<Duration> {
        self.duration_in(Duration::from_millis(1), ConfigProblem::FineDuration)
    }

    fn duration_in(&self, unit: Duration, otherwise: ConfigProblem) -> Option<Duration> {
        let text = self.string("a duration with its unit: \"15m\"")?;
        let duration = duration_of(text);
        let duration = duration.filter(|duration| duration.as_nanos() % unit.as_nanos() == 0);
        if duration.is_none() {
            self.refuse(otherwise);
        }
        duration
    }

    /// RFC 3339, fractions of a second dropped. Only some formats have a notation of their own for it.
    pub(super) fn time(&self) -> Option<UnixTime> {
        let (Node::Datetime(text) | Node::String(text)) = self.node else {
            return self.wrong("a date and time: 2026-12-31T00:00:00Z");
        };
        // In brackets stands the time zone of RFC 9557, which may contradict the offset.
        let is_plain = !text.contains('[');
        match text.parse::<Timestamp>() {
            Ok(time) if is_plain => return Some(UnixTime(time.as_second())),
            _ if is_plain && text.parse::<civil::DateTime>().is_ok() => {
                self.refuse(ConfigProblem::NoOffset);
            }
            _ => self.refuse(ConfigProblem::Time),
        }
        None
    }

    pub(super) fn bytes(&self, expected: &'static str) -> Option<usize> {
        let bytes = usize::try_from(self.integer("a number of bytes")?).ok();
        if bytes.is_none() {
            self.refuse(ConfigProblem::OutOfRange { expected });
        }
        bytes
    }
}

/// A day has 24 hours here. Months and years differ in length, so they are not read.
fn duration_of(text: &str) -> Option<Duration> {
    const PARSER: SpanParser = SpanParser::new();
    // Reads hours and what is shorter, without a bound.
    if let Ok(duration) = PARSER.parse_unsigned_duration(text) {
        return Some(duration);
    }
    // None of either is the length of nothing, yet who writes it expects the unit to be known.
    let mut words = text.split(|letter: char| !letter.is_alphabetic());
    if words.any(|word| word.starts_with('y') || word.starts_with("mo")) {
        return None;
    }
    let span = PARSER.parse_span(text).ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
}
