//! Facts as text.
use core::fmt::{self, Write as _};
use core::time::Duration;

use serde::ser::{Serialize as _, SerializeStruct as _, Serializer};

use crate::error::Error;
use crate::time::{InWords, UnixTime};

/// `1800000000, 3 min 20 s ago`.
pub(crate) fn instant(at: UnixTime, now: UnixTime) -> String {
    let (since, until) = (now.saturating_since(at), at.saturating_since(now));
    match (since.is_zero(), until.is_zero()) {
        (true, true) => format!("{at}, now"),
        (false, _) => format!("{at}, {} ago", InWords(since)),
        (true, false) => format!("{at}, in {}", InWords(until)),
    }
}

/// `one of "a", "b"`.
pub(crate) fn listed<T: fmt::Debug>(names: impl IntoIterator<Item = T>) -> String {
    let names: Vec<_> = names.into_iter().map(|name| format!("{name:?}")).collect();
    format!("one of {}", names.join(", "))
}

/// Text of others for one line of a terminal: nothing that moves the cursor or turns the writing.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '"' | '\'' | '\\' => f.write_char(character),
            other => write!(f, "{}", other.escape_debug()),
        })
    }
}

/// What something calls itself, of which only the beginning is asked for: `KeyFile { path: "keys", .. }`.
pub(super) fn name_of(value: &dyn fmt::Debug, most: usize) -> String {
    struct Beginning(String, usize);
    impl fmt::Write for Beginning {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = self.1.saturating_sub(self.0.chars().count());
            self.0.extend(text.chars().take(room));
            if self.0.chars().count() < self.1 { Ok(()) } else { Err(fmt::Error) }
        }
    }
    let mut beginning = Beginning(String::new(), most);
    // Stops where there is enough.
    let _ = write!(beginning, "{value:?}");
    beginning.0
}

/// The same without what is in it.
pub(super) fn type_of(value: &dyn fmt::Debug) -> String {
    let name = name_of(value, 64);
    let end = name.find(|character: char| !character.is_alphanumeric()).unwrap_or(name.len());
    name[..end].to_owned()
}

pub(super) fn error<S: Serializer>(
    error: &Option<Error>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(error) = error else { return serializer.serialize_none() };
    let mut shape = serializer.serialize_struct("Error", 2)?;
    shape.serialize_field("reason", error.reason())?;
    shape.serialize_field("message", &error.to_string())?;
    shape.end()
}

pub(super) fn seconds<S: Serializer>(time: &UnixTime, serializer: S) -> Result<S::Ok, S::Error> {
    time.0.serialize(serializer)
}

pub(super) fn micros<S: Serializer>(
    took: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    took.map(in_micros).serialize(serializer)
}

pub(super) fn micros_of<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    in_micros(*took).serialize(serializer)
}

/// With one digit behind the point: a malformed token takes less than one.
fn in_micros(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000_000.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_says_how_far_it_is() {
        let now = UnixTime(1000);
        for (at, text) in
            [(800, "800, 3 min 20 s ago"), (1000, "1000, now"), (1060, "1060, in 1 min")]
        {
            assert_eq!(instant(UnixTime(at), now), text);
        }
    }

    #[test]
    fn nothing_of_others_reaches_a_terminal_raw() {
        let text = "a\u{1b}[2J\u{202e}\r\n\u{7f}\u{200b}\"é\\";
        let shown = Shown(text).to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\u{202e}\\r\\n\\u{7f}\\u{200b}\"é\\");
    }

    #[test]
    fn only_the_beginning_of_a_name_is_asked_for() {
        assert_eq!(name_of(&vec![0_u8; 1_000_000], 8), "[0, 0, 0");
        assert_eq!(type_of(&Some(1)), "Some");
    }
}
