//! What is printed, and that it is safe to.
use std::io::{IsTerminal as _, Write as _, stdout};

use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::json;

use crate::Exit;

/// No line is wider, unless a word is.
const WIDTH: u16 = 100;

/// The most characters of a text of strangers.
const LONGEST: usize = 300;

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
}

impl Failure {
    pub(crate) fn fault(message: impl Into<String>) -> Self {
        Self { exit: Exit::Fault, message: message.into(), faults: Vec::new() }
    }
}

pub(crate) struct Output {
    pub(crate) json: bool,
    has_colours: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let asks_for_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, has_colours: stdout().is_terminal() && !asks_for_none }
    }

    /// JSON in ASCII: what a terminal would act on stays an escape.
    pub(crate) fn json(&self, value: &impl Serialize) {
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
        self.line(&ascii);
    }

    /// A line of our own, or of what was made fit by [`shown`].
    pub(crate) fn line(&self, text: &str) {
        // Whoever closed it does not want to read on.
        let _ = writeln!(stdout().lock(), "{text}");
    }

    pub(crate) fn verdict(&self, is_good: bool, text: &str) {
        let wrapped = wrapped(text);
        match (self.has_colours, is_good) {
            (false, _) => self.line(&wrapped),
            (true, true) => self.line(&format!("\u{1b}[1;32m{wrapped}\u{1b}[0m")),
            (true, false) => self.line(&format!("\u{1b}[1;31m{wrapped}\u{1b}[0m")),
        }
    }

    /// A paragraph of our own, or of what was made fit by [`shown`].
    pub(crate) fn paragraph(&self, text: &str) {
        self.line(&wrapped(text));
    }

    /// Columns under a heading. Cells may be anybody's text.
    pub(crate) fn table<const N: usize>(
        &self,
        head: [&str; N],
        rows: impl IntoIterator<Item = [String; N]>,
    ) {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
        if head.iter().any(|name| !name.is_empty()) {
            table.set_header(head);
        }
        for row in rows {
            table.add_row(row.iter().map(|cell| Cell::new(shown(cell))));
        }
        let text = table.to_string();
        for line in text.lines() {
            self.line(line.trim_end());
        }
    }

    pub(crate) fn failure(&self, message: &str, faults: &[Fault]) {
        if self.json {
            let message = without_tokens(message);
            return self.json(&json!({ "error": { "message": message, "faults": faults } }));
        }
        let mut text = wrapped(&shown(message));
        for Fault { line, place, message } in faults {
            let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
            text.push_str(&format!("\n{}", wrapped(&shown(&format!("  {line}{place}{message}")))));
        }
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }

    /// What is neither result nor failure.
    pub(crate) fn remark(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}", wrapped(text));
    }
}

/// Text of strangers for a terminal: one line, nothing that moves the cursor or turns the writing, and no
/// more than is read.
pub(crate) fn shown(text: &str) -> String {
    let escape = |character: char| match character {
        '"' | '\'' | '\\' => character.to_string(),
        other => other.escape_debug().to_string(),
    };
    let text = without_tokens(text);
    let cut = if text.chars().nth(LONGEST).is_some() { "…" } else { "" };
    text.chars().take(LONGEST).map(escape).collect::<String>() + cut
}

/// Leaves tokens out: somebody gave one where a file belongs.
pub(crate) fn without_tokens(text: &str) -> String {
    // RFC 7515 §3.1: a header is a JSON object, of which `{"` makes `eyJ`.
    const BEGIN: &str = "eyJ";
    let is_of_token =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let mut rest = text;
    let mut kept = String::new();
    while let Some(at) = rest.find(BEGIN) {
        let (before, token) = rest.split_at(at);
        let end = token.find(|character| !is_of_token(character)).unwrap_or(token.len());
        kept.push_str(before);
        kept.push_str(if token[..end].contains('.') { "[token]" } else { &token[..end] });
        rest = &token[end..];
    }
    kept + rest
}

/// At words.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    let indent: String = text.chars().take_while(|character| *character == ' ').collect();
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line + 1 + word.chars().count() > usize::from(WIDTH) && line > indent.len() {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if line.is_empty() { &indent } else { " " });
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// `1 h 30 min`: at most two units.
pub(crate) fn duration(seconds: u64) -> String {
    let parts = [
        ("d", seconds / 86_400),
        ("h", seconds / 3600 % 24),
        ("min", seconds / 60 % 60),
        ("s", seconds % 60),
    ];
    let parts = parts.into_iter().filter(|(_, count)| *count > 0).take(2);
    let text = parts.map(|(unit, count)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ");
    if text.is_empty() { "0 s".to_owned() } else { text }
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
        ] {
            assert_eq!(without_tokens(text), left);
        }
    }

    #[test]
    fn lines_end_at_words() {
        let text = wrapped(&format!("  {}", "word ".repeat(50)));
        assert!(text.lines().all(|line| line.len() <= 100 && line.starts_with("  w")), "{text}");
        assert_eq!(wrapped(&"x".repeat(200)), "x".repeat(200));
    }
}
