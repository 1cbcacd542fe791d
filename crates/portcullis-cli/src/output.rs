//! What is printed, and that it is safe to.
use std::io::{IsTerminal as _, Result, Write, stdout};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::Serialize;
use serde_json::{Value, json};
use terminal_size::{Width, terminal_size_of};

use crate::{Exit, table};

/// How wide text is that nobody reads in a terminal.
const WIDTH: usize = 80;

/// The widest paragraph: longer lines are hard to read.
pub(crate) const WIDEST_PARAGRAPH: usize = 100;

/// A line of which nothing fits helps nobody.
const NARROWEST: usize = 20;

/// How wide lines may be: as the terminal is, and else as `COLUMNS` says, or 80.
pub(crate) fn width() -> usize {
    let of_terminal = terminal_size_of(stdout()).map(|(Width(columns), _)| usize::from(columns));
    let of_variable = || std::env::var("COLUMNS").ok()?.parse().ok();
    of_terminal.or_else(of_variable).unwrap_or(WIDTH).max(NARROWEST)
}

/// The most characters of a text of strangers.
const LONGEST: usize = 300;

/// The most characters of a text of strangers that was asked for, such as a claim of a decoded token.
const LONGEST_WHOLE: usize = 4096;

/// The byte order mark that editors and shells on Windows put in front of text.
pub(crate) const MARK: &[u8] = "\u{feff}".as_bytes();

/// Why there is no result.
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) faults: Vec<Fault>,
}

/// A fault of a policy file.
#[derive(Serialize)]
pub(crate) struct Fault {
    pub(crate) line: Option<usize>,
    pub(crate) place: String,
    pub(crate) message: String,
    /// Whether it is the file that cannot be read.
    #[serde(skip)]
    pub(crate) is_of_file: bool,
}

impl Failure {
    /// Whether the policy file could be read, so that its faults are those of the policy.
    pub(crate) fn is_readable(&self) -> bool {
        !self.faults.is_empty() && !self.faults.iter().any(|fault| fault.is_of_file)
    }

    pub(crate) fn fault(message: impl Into<String>) -> Self {
        Self { exit: Exit::Fault, message: message.into(), faults: Vec::new() }
    }
}

pub(crate) struct Output {
    pub(crate) json: bool,
    has_colours: bool,
    width: usize,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let asks_for_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let has_colours = stdout().is_terminal() && !asks_for_none;
        Self { json, has_colours, width: width() }
    }

    /// JSON without tokens, in ASCII: what a terminal would act on stays an escape.
    pub(crate) fn json(&self, value: &impl Serialize) {
        let mut value = serde_json::to_value(value).unwrap_or_default();
        leave_tokens_out(&mut value);
        self.made(&ascii(&value));
    }

    /// JSON with what was made here: a token for tests.
    pub(crate) fn made_json(&self, value: &Value) {
        self.made(&ascii(value));
    }

    /// A line that was made here: a token for tests.
    pub(crate) fn made(&self, text: &str) {
        // Whoever closed it does not want to read on.
        let _ = writeln!(stdout().lock(), "{text}");
    }

    /// Text that was made here, as it is.
    pub(crate) fn whole(&self, text: &[u8]) {
        let _ = stdout().lock().write_all(text);
    }

    /// A line of our own, or of what was made fit by [`shown`].
    pub(crate) fn line(&self, text: &str) {
        self.made(&without_tokens(text));
    }

    pub(crate) fn verdict(&self, is_good: bool, text: &str) {
        let wrapped = self.wrapped(text);
        match (self.has_colours, is_good) {
            (false, _) => self.line(&wrapped),
            (true, true) => self.line(&format!("\u{1b}[1;32m{wrapped}\u{1b}[0m")),
            (true, false) => self.line(&format!("\u{1b}[1;31m{wrapped}\u{1b}[0m")),
        }
    }

    /// A paragraph of our own, or of what was made fit by [`shown`].
    pub(crate) fn paragraph(&self, text: &str) {
        self.line(&self.wrapped(text));
    }

    /// Columns under a heading. Cells may be anybody's text.
    pub(crate) fn table<const N: usize>(
        &self,
        head: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) {
        self.columns(head, rows, LONGEST);
    }

    /// As [`table`](Self::table), of texts that may be longer.
    pub(crate) fn long_table<const N: usize>(
        &self,
        head: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) {
        self.columns(head, rows, LONGEST_WHOLE);
    }

    fn columns<const N: usize>(
        &self,
        head: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
        longest: usize,
    ) {
        let rows: Vec<_> =
            rows.into_iter().map(|row| row.map(|cell| shown_within(&cell, longest))).collect();
        for line in table::lines(head, &rows, self.width) {
            self.line(&line);
        }
    }

    pub(crate) fn failure(&self, message: &str, faults: &[Fault]) {
        if self.json {
            return self.json(&json!({ "error": { "message": message, "faults": faults } }));
        }
        let mut text = self.wrapped(&shown(message));
        for Fault { line, place, message, .. } in faults {
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
            let fault = shown(&format!("  {line}{place}{message}"));
            text.push_str(&format!("\n{}", self.wrapped(&fault)));
        }
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// What is neither result nor failure.
    pub(crate) fn remark(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}", self.wrapped(&without_tokens(text)));
    }

    fn wrapped(&self, text: &str) -> String {
        wrapped(text, self.width.min(WIDEST_PARAGRAPH))
    }
}

/// Text of strangers for a terminal: one line, nothing that moves the cursor or turns the writing, and no
/// more than is read.
pub(crate) fn shown(text: &str) -> String {
    shown_within(text, LONGEST)
}

fn shown_within(text: &str, longest: usize) -> String {
    let escape = |character: char| match character {
        '"' | '\'' | '\\' => character.to_string(),
        other => other.escape_debug().to_string(),
    };
    let text = without_tokens(text);
    let cut = if text.chars().nth(longest).is_some() { "…" } else { "" };
    text.chars().take(longest).map(escape).collect::<String>() + cut
}

/// JSON in one line that wraps between its values.
pub(crate) fn json_text(value: &Value) -> String {
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, Spaced);
    // Values that were read can be written.
    let _ = value.serialize(&mut serializer);
    String::from_utf8_lossy(&text).into_owned()
}

/// A space behind each comma and colon.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(b": ")
    }
}

/// Leaves tokens out, whole or a part of one: somebody gave one where a file belongs.
pub(crate) fn without_tokens(text: &str) -> String {
    let (mut kept, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(is_of_token) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|character| !is_of_token(character)).unwrap_or(from.len());
        // Padding within a token.
        let padded = from[end..].trim_start_matches('=');
        let is_padded = padded.len() < from.len() - end && padded.starts_with('.');
        let (run, after) =
            if is_padded { from.split_at(from.len() - padded.len()) } else { from.split_at(end) };
        kept.push_str(before);
        if is_padded || holds_token(run) {
            kept.push_str("[token]");
            // What it goes on with in another alphabet.
            let is_more =
                |character| is_of_token(character) || matches!(character, '+' | '/' | '=' | '~');
            rest = after.trim_start_matches(is_more);
        } else {
            kept.push_str(run);
            rest = after;
        }
    }
    kept + rest
}

fn is_of_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '%')
}

fn holds_token(run: &str) -> bool {
    let decoded = percent_decoded(run);
    let is_other = |character| !is_of_token(character);
    decoded.split(is_other).any(|text| {
        let parts = || text.split('.').filter(|part| !part.is_empty());
        // With its header or claims, or as long as a signature is: no name of a host or file has such parts.
        match parts().count() {
            0 | 1 => false,
            2 => parts().any(is_object),
            _ => parts().any(|part| is_object(part) || part.len() >= SHORTEST_SIGNATURE),
        }
    })
}

/// 256 bits, in base64 (RFC 7518 §3.2).
const SHORTEST_SIGNATURE: usize = 43;

/// Whether it has a JSON object in it, and perhaps the letters of an escape in front: `\n`, `\u00e9`.
fn is_object(part: &str) -> bool {
    (0..6).filter_map(|skipped| part.as_bytes().get(skipped..)).any(begins_object)
}

/// Whether it is base64 of what begins as a JSON object does (RFC 7515 §3.1).
pub(crate) fn begins_object(part: &[u8]) -> bool {
    let whole = &part[..part.len() / 4 * 4];
    BASE64_URL_SAFE_NO_PAD.decode(whole).is_ok_and(|text| {
        let object = text.trim_ascii_start().strip_prefix(b"{");
        object.is_some_and(|members| members.trim_ascii_start().starts_with(b"\""))
    })
}

/// However often it was encoded: `%252E` is a point as well.
pub(crate) fn percent_decoded(text: &str) -> String {
    let byte = |text: &str| u8::from_str_radix(text.get(..2)?, 16).ok();
    let (mut decoded, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, mut after)) = rest.split_once('%') {
        while let Some(inner) = after.strip_prefix("25").filter(|inner| byte(inner).is_some()) {
            after = inner;
        }
        decoded.push_str(before);
        decoded.push(byte(after).map_or('%', char::from));
        rest = if byte(after).is_some() { &after[2..] } else { after };
    }
    decoded + rest
}

fn leave_tokens_out(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_tokens(text),
        Value::Array(items) => items.iter_mut().for_each(leave_tokens_out),
        Value::Object(members) => {
            let cleaned = core::mem::take(members).into_iter().map(|(name, mut value)| {
                leave_tokens_out(&mut value);
                (without_tokens(&name), value)
            });
            *members = cleaned.collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn ascii(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || matches!(character, ' '..='~') {
            ascii.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

/// At words. Each line has the spaces in front that the text has.
fn wrapped(text: &str, width: usize) -> String {
    let indent = &text[..text.len() - text.trim_start_matches(' ').len()];
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines = table::wrapped(&words, width.saturating_sub(indent.len()));
    lines.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n")
}

/// `1 key`, `2 keys`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_strangers_reaches_a_terminal_raw() {
        assert_eq!(shown("\u{1b}[2J\u{202e}\n\u{9b}é\"\\"), "\\u{1b}[2J\\u{202e}\\n\\u{9b}é\"\\");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_token_is_left_out_wherever_it_stands() {
        for (text, left) in [
            ("the file ./eyJhIjoxfQ.e30.c2ln_-x: no", "the file ./[token]: no"),
            ("eyJhIjoxfQ.c2ln eyJhIjoxfQ.e30.", "[token] [token]"),
            ("eyJ and eyJhIjoxfQ", "eyJ and eyJhIjoxfQ"),
            // With a space, a newline or a mark before the first name.
            ("eyAiYWxnIjogIkhTMjU2In0.e30.c2ln", "[token]"),
            ("ewogICJhbGciOiAiSFMyNTYifQ.e30.c2ln", "[token]"),
            ("IHsiYWxnIjoiSFMyNTYifQ.e30.c2ln", "[token]"),
            (
                "https://a.example/cb?token=eyJhIjoxfQ.e30.c2ln&x=1",
                "https://a.example/cb?token=[token]&x=1",
            ),
            ("__Host-token=eyJhIjoxfQ.e30.c2ln; a=b", "__Host-token=[token]; a=b"),
            ("%65yJhIjoxfQ%2Ee30%2Ec2ln", "[token]"),
            ("?next=%2Fcb%3Ftoken%3DeyJhIjoxfQ%252Ee30%252Ec2ln", "?next=[token]"),
            ("eyJhIjoxfQ%25252525252Ee30%25252525252Ec2ln", "[token]"),
            ("eyJhIjoxfQ==.e30=.c2ln/+9==", "[token]"),
            ("x.eyJhIjoxfQ.c2ln", "[token]"),
            (r"\neyJhIjoxfQ.e30.c2ln \u00e9eyJhIjoxfQ.e30.c2ln", r"\[token] \[token]"),
        ] {
            assert_eq!(without_tokens(text), left);
        }
        let header = "A".repeat(30);
        let part = "b".repeat(SHORTEST_SIGNATURE);
        assert_eq!(without_tokens(&format!("{header}.e30.{part}")), "[token]");
        assert_eq!(without_tokens(&format!("{header}..iv.{part}.tag")), "[token]");
    }

    #[test]
    fn json_wraps_between_its_values() {
        let value = json!({ "a": [1, "x,y:z"], "b": { "c": null } });
        assert_eq!(json_text(&value), r#"{"a": [1, "x,y:z"], "b": {"c": null}}"#);
    }

    #[test]
    fn what_only_looks_like_a_token_stays() {
        for text in [
            "https://login.microsoftonline.com/common/v2.0",
            "orders-service.production.svc.cluster.local",
            "127.0.0.1:8080, version 0.1.0, e30.example.com",
            "/etc/orders/policy.2026.toml is 100% good, 100%25, %2525, %",
            "the key NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs of key.pem",
        ] {
            assert_eq!(without_tokens(text), text);
        }
    }

    #[test]
    fn lines_end_at_words() {
        let text = wrapped(&format!("  {}", "word ".repeat(50)), 50);
        assert!(text.lines().all(|line| line.len() <= 50 && line.starts_with("  w")), "{text}");
        assert_eq!(wrapped(&"x".repeat(200), 50), "x".repeat(200));
    }
}
