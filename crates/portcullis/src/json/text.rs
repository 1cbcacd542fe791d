//! JSON that the reader took, read again where it stands.
//!
//! What is asked of a token's claims after it was read - by rules, revocation, requirements - is found in
//! the text of the payload: a tree of it would take several times its bytes, for as long as the token is
//! remembered. The reader has checked all of the text, so that this passes over values without a second
//! look. It stays within the text whatever the text is.
use std::borrow::Cow;

use super::{Json, escape, length_of_plain, length_of_word};

/// A value: the text from its first byte on. Where it ends is found out when it matters.
#[derive(Clone, Copy)]
pub(crate) struct JsonText<'t>(&'t str);

impl<'t> JsonText<'t> {
    /// A text of which all was checked by [`read_object`](super::read_object).
    pub(crate) fn of_checked(text: &'t str) -> Self {
        Self(text.trim_ascii_start())
    }

    /// The text as it was written.
    pub(crate) fn as_written(self) -> &'t str {
        self.0.get(..end_of_value(self.0.as_bytes(), 0)).unwrap_or_default()
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    pub(crate) fn is_list(self) -> bool {
        self.0.starts_with('[')
    }

    /// The members of an object; of another value none.
    pub(crate) fn members(self) -> impl Iterator<Item = (Quoted<'t>, Self)> + Clone {
        let mut scan = Scan::inside(self.0, b'{');
        let mut value = None;
        core::iter::from_fn(move || {
            if let Some(before) = value.take() {
                scan.pass(before);
            }
            let name = scan.start()?;
            let name = scan.quoted(name);
            let start = scan.start()?;
            value = Some(start);
            Some((name, Self(scan.text.get(start..)?)))
        })
    }

    /// The member of this name.
    pub(crate) fn get(self, name: &str) -> Option<Self> {
        self.members().find_map(|(own, value)| own.is(name).then_some(value))
    }

    /// What a string says. `None`: it is not a string.
    pub(crate) fn string(self) -> Option<Cow<'t, str>> {
        self.0.starts_with('"').then(|| Scan { text: self.0, at: 0 }.quoted(0).decoded())
    }

    /// Whether it is a string in which this word stands between single spaces, in front of any escape. For words that
    /// need none: it looks no further than to the word.
    pub(crate) fn has_word(self, word: &str) -> bool {
        let Some(mut rest) = self.0.as_bytes().strip_prefix(b"\"") else { return false };
        loop {
            // The border first: most words are of another length.
            if matches!(rest.get(word.len()), Some(b' ' | b'"'))
                && rest.starts_with(word.as_bytes())
            {
                return true;
            }
            let Some((b' ', behind)) = rest[length_of_word(rest)..].split_first() else {
                return false;
            };
            rest = behind;
        }
    }

    /// The items of a list; of another value nothing. `None` for one that is not a string.
    pub(crate) fn strings(self) -> impl Iterator<Item = Option<Quoted<'t>>> + Clone {
        let mut scan = Scan::inside(self.0, b'[');
        core::iter::from_fn(move || {
            let start = scan.start()?;
            if scan.text.as_bytes()[start] == b'"' {
                return Some(Some(scan.quoted(start)));
            }
            scan.pass(start);
            Some(None)
        })
    }

    /// A number, word or string. Of a container, what it is, without what it holds.
    pub(crate) fn scalar(self) -> Json<'t> {
        match self.0.as_bytes().first() {
            Some(b'{') => Json::Object(Vec::new()),
            Some(b'[') => Json::Array(Vec::new()),
            Some(b'"') => self.string().map_or(Json::Null, Json::String),
            Some(b't') => Json::Bool(true),
            Some(b'f') => Json::Bool(false),
            Some(b'n') | None => Json::Null,
            Some(_) => Json::from_number(self.as_written()).unwrap_or(Json::Null),
        }
    }
}

/// A string as it is written, without its quotes.
#[derive(Clone, Copy)]
pub(crate) struct Quoted<'t> {
    raw: &'t str,
    /// It has no escapes, so that it says what is written.
    is_plain: bool,
}

impl<'t> Quoted<'t> {
    /// Whether it says `text`, in whatever spelling.
    pub(crate) fn is(self, text: &str) -> bool {
        if self.is_plain { self.raw == text } else { self.decoded() == text }
    }

    /// What it says.
    pub(crate) fn decoded(self) -> Cow<'t, str> {
        if self.is_plain { Cow::Borrowed(self.raw) } else { Cow::Owned(unescaped(self.raw)) }
    }
}

/// What is written with escapes.
#[cold]
fn unescaped(mut raw: &str) -> String {
    let mut text = String::new();
    loop {
        let (plain, escaped) = raw.split_at(length_of_plain(raw.as_bytes()));
        text.push_str(plain);
        let Some((char, length)) = escape(escaped) else { return text };
        text.push(char);
        raw = &escaped[length..];
    }
}

/// Goes through a container, value by value: those of an object are its names and what they name.
#[derive(Clone)]
struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    /// Inside of a container that begins with `open`; else at the end.
    fn inside(text: &'t str, open: u8) -> Self {
        let is_it = text.as_bytes().first() == Some(&open);
        Self { text, at: if is_it { 1 } else { text.len() } }
    }

    /// Where the next value starts; nothing at the end.
    fn start(&mut self) -> Option<usize> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at)?, b' ' | b'\n' | b'\r' | b'\t' | b',' | b':') {
            self.at += 1;
        }
        (!matches!(bytes[self.at], b'}' | b']')).then_some(self.at)
    }

    /// The string that starts there.
    fn quoted(&mut self, start: usize) -> Quoted<'t> {
        let (end, is_plain) = end_of_string(self.text.as_bytes(), start);
        self.at = end;
        Quoted { raw: self.text.get(start + 1..end - 1).unwrap_or_default(), is_plain }
    }

    /// Passes over the value that starts there.
    fn pass(&mut self, start: usize) {
        self.at = end_of_value(self.text.as_bytes(), start);
    }
}

/// Where the value that begins at `start` is over.
fn end_of_value(bytes: &[u8], start: usize) -> usize {
    match bytes.get(start) {
        Some(b'"') => end_of_string(bytes, start).0,
        Some(b'{' | b'[') => end_of_container(bytes, start),
        Some(_) => {
            let is_end =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            bytes[start..].iter().position(is_end).map_or(bytes.len(), |length| start + length)
        }
        None => bytes.len(),
    }
}

/// Where the string that begins at `start` is over, and whether it has no escapes.
fn end_of_string(bytes: &[u8], start: usize) -> (usize, bool) {
    let mut at = start + 1;
    let mut is_plain = true;
    loop {
        at += length_of_plain(bytes.get(at..).unwrap_or_default());
        match bytes.get(at) {
            Some(b'"') => return (at + 1, is_plain),
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return (bytes.len(), false),
        }
        is_plain = false;
    }
}

/// Where the container that begins at `at` is over.
fn end_of_container(bytes: &[u8], mut at: usize) -> usize {
    let mut open = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at).0;
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => {}
        }
        at += 1;
        if open == 0 {
            return at;
        }
    }
    bytes.len()
}

/// Where the members of an object stand in its text.
pub(crate) struct Index {
    places: Box<[MemberSpan]>,
    /// Whether a name is written with escapes.
    has_escapes: bool,
}

/// Tokens are at most 64 KiB, of which the payload is less.
struct MemberSpan {
    mark: Mark,
    /// Where its name is, without the quote.
    name: u16,
    value: u16,
}

/// How long a name is, and how it begins: of a short one all that there is.
type Mark = [u8; 8];

/// What an [`Index`] takes for each member.
pub(crate) const BYTES_A_MEMBER: usize = size_of::<MemberSpan>();

fn mark(name: &str) -> Mark {
    let length: u8 = name.len().try_into().unwrap_or(u8::MAX);
    let start = match name.as_bytes().first_chunk() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => name.bytes().rev().fold(0, |start, byte| (start << 8) | u64::from(byte)),
    };
    ((start << 8) | u64::from(length)).to_le_bytes()
}

impl Index {
    pub(crate) fn of(text: &str) -> Self {
        let start = |part: &str| {
            let start = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
            u16::try_from(start).unwrap_or_default()
        };
        let mut has_escapes = false;
        let places = JsonText::of_checked(text).members().map(|(name, value)| {
            has_escapes |= !name.is_plain;
            let mark = mark(&name.decoded());
            MemberSpan { mark, name: start(name.raw), value: start(value.0) }
        });
        let places = places.collect();
        Self { places, has_escapes }
    }

    /// The member of this name. `text` is the one that was indexed.
    pub(crate) fn find<'t>(&self, text: &'t str, name: &str) -> Option<JsonText<'t>> {
        let wanted = mark(name);
        let is_it = |place: &&MemberSpan| place.mark == wanted && self.is_named(place, text, name);
        let place = self.places.iter().find(is_it)?;
        text.get(usize::from(place.value)..).map(JsonText)
    }

    fn is_named(&self, place: &MemberSpan, text: &str, name: &str) -> bool {
        if name.len() < size_of::<Mark>() {
            return true;
        }
        let start = usize::from(place.name);
        if self.has_escapes {
            return Scan { text, at: 0 }.quoted(start - 1).is(name);
        }
        let rest = text.as_bytes().get(start..).and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&b'"'))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::super::read_object;
    use super::*;

    /// What `serde_json` reads of it.
    fn tree(text: &str) -> Value {
        serde_json::from_str(text).expect(text)
    }

    /// Whether it reads as that.
    fn reads_as(text: JsonText<'_>, value: &Value) {
        assert_eq!(tree(text.as_written()), *value);
        assert_eq!(text.string().as_deref(), value.as_str());
        if let Some(said) = value.as_str() {
            for word in ["a", "ab", "z"] {
                let is_there = said.split(' ').any(|own| own == word);
                let is_plain = !text.as_written().contains('\\');
                assert!(is_there || !text.has_word(word), "{said:?} {word}");
                assert!(!is_there || !is_plain || text.has_word(word), "{said:?} {word}");
            }
        }
        assert_eq!((text.is_object(), text.is_list()), (value.is_object(), value.is_array()));
        match (text.scalar(), value) {
            (Json::Null, Value::Null)
            | (Json::Array(_), Value::Array(_))
            | (Json::Object(_), Value::Object(_)) => {}
            (Json::Bool(own), Value::Bool(theirs)) => assert_eq!(own, *theirs),
            (Json::String(own), Value::String(theirs)) => assert_eq!(own, *theirs),
            (Json::Integer(own), Value::Number(theirs)) => assert_eq!(Some(own), theirs.as_i128()),
            (Json::Float(own), Value::Number(theirs)) => assert_eq!(Some(own), theirs.as_f64()),
            (own, theirs) => panic!("{own:?} {theirs}"),
        }
        let none = Map::new();
        let members = value.as_object().unwrap_or(&none);
        assert_eq!(text.members().count(), members.len());
        for (name, value) in members {
            reads_as(text.get(name).expect(name), value);
        }
        assert!(text.get("not there").is_none());
        let items = value.as_array().into_iter().flatten().map(Value::as_str);
        let own: Vec<_> = text.strings().map(|own| own.map(Quoted::decoded)).collect();
        assert!(own.iter().map(|own| own.as_deref()).eq(items), "{value}");
    }

    /// Any JSON, spelled in any way: white space, escapes, numbers.
    fn json() -> impl Strategy<Value = String> {
        let space = || prop::sample::select(&["", " ", "\n\t", "\r "][..]);
        let string = || {
            let part = prop_oneof![
                "[a-z{}\\[\\],: ]{0,6}",
                "[abz ]{0,4}",
                prop::sample::select(
                    &[r"\u0061", r#"\""#, r"\\", r"\n", r"\ud83d\ude00", "é", "\u{10348}"][..]
                )
                .prop_map(str::to_owned),
            ];
            prop::collection::vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()))
        };
        let leaf = prop_oneof![
            prop::sample::select(
                &[
                    "null",
                    "true",
                    "false",
                    "0",
                    "-0",
                    "-1.5",
                    "1e3",
                    "18446744073709551615",
                    "9007199254740993.0"
                ][..]
            )
            .prop_map(str::to_owned),
            string(),
        ];
        let join = move |parts: Vec<String>, open: char, close: char, space: &str| {
            format!("{open}{space}{}{space}{close}", parts.join(&format!("{space},{space}")))
        };
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                (prop::collection::vec(inner.clone(), 0..6), space())
                    .prop_map(move |(items, space)| join(items, '[', ']', space)),
                (prop::collection::vec((string(), inner), 0..6), space()).prop_map(
                    move |(members, space)| {
                        let mut seen = std::collections::HashSet::new();
                        let members = members.into_iter().filter(|(name, _)| {
                            seen.insert(serde_json::from_str::<String>(name).expect(name))
                        });
                        let members =
                            members.map(|(name, value)| format!("{name}{space}:{space}{value}"));
                        join(members.collect(), '{', '}', space)
                    }
                ),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

        #[test]
        fn what_was_checked_reads_again_as_serde_json_reads_it(value in json()) {
            let text = format!(" {{\"\\u0061\" : {value} ,\"b\":{value}}}\n");
            read_object(&text, |_, value| value.skip()).expect("an object");
            let expected = tree(&text);
            reads_as(JsonText::of_checked(&text), &expected);
            let index = Index::of(&text);
            for name in ["a", "b"] {
                reads_as(index.find(&text, name).expect(name), &expected[name]);
            }
            for name in ["", "c", "\\u0061", "aa"] {
                prop_assert!(index.find(&text, name).is_none(), "{name}");
            }
        }

        #[test]
        fn a_text_that_nobody_checked_is_passed_over_without_harm(text in "[{}\\[\\]\",:a0\\\\ é]{0,24}") {
            let value = JsonText::of_checked(&text);
            let (_, _, _) = (value.string(), value.strings().count(), value.scalar());
            let _ = (value.as_written(), value.has_word("a"));
            for (name, member) in value.members() {
                let _ = (name.decoded(), member.get("a"));
            }
            let _ = Index::of(&text).find(&text, "a");
        }
    }
}
