//! JSON that the reader took, read again where it stands.
//!
//! What is asked of a token's claims after it was read - by rules, revocation, requirements - is found in
//! the text of the payload: a tree of it would take several times its bytes, for as long as the token is
//! remembered. The reader has checked all of the text, so that this passes over values without a second
//! look. It stays within the text whatever the text is.
use std::borrow::Cow;

use super::json::{Json, escape, length_of_plain};

/// The text of one value.
#[derive(Clone, Copy)]
pub(crate) struct JsonText<'t>(&'t str);

impl<'t> JsonText<'t> {
    /// A text of which all was checked by [`read_object`](super::json::read_object).
    pub(super) fn of_checked(text: &'t str) -> Self {
        Self(text.trim_ascii())
    }

    /// The text as it was written.
    pub(crate) fn as_written(self) -> &'t str {
        self.0
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    pub(crate) fn is_list(self) -> bool {
        self.0.starts_with('[')
    }

    /// The items of a list; of another value none.
    pub(crate) fn items(self) -> impl Iterator<Item = Self> + Clone {
        let mut scan = Scan::inside(self.0, b'[');
        core::iter::from_fn(move || scan.value().map(Self))
    }

    /// The members of an object; of another value none.
    pub(crate) fn members(self) -> impl Iterator<Item = (Name<'t>, Self)> + Clone {
        let mut scan = Scan::inside(self.0, b'{');
        core::iter::from_fn(move || {
            let name = scan.value()?;
            Some((Name::of(name), Self(scan.value()?)))
        })
    }

    /// The member of this name.
    pub(crate) fn get(self, name: &str) -> Option<Self> {
        self.members().find_map(|(own, value)| own.is(name).then_some(value))
    }

    pub(crate) fn is_string(self) -> bool {
        self.0.starts_with('"')
    }

    /// What a string says. `None`: it is not a string.
    pub(crate) fn string(self) -> Option<Cow<'t, str>> {
        let inside = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Some(Name { raw: inside }.decoded())
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
            Some(_) => Json::from_number(self.0).unwrap_or(Json::Null),
        }
    }
}

/// What stands between the quotes of a string.
#[derive(Clone, Copy)]
pub(crate) struct Name<'t> {
    raw: &'t str,
}

impl<'t> Name<'t> {
    /// Of a string in its quotes.
    fn of(quoted: &'t str) -> Self {
        Self { raw: quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default() }
    }

    /// Whether it says `text`, in whatever spelling.
    pub(crate) fn is(self, text: &str) -> bool {
        // An escape is longer than what it stands for.
        if self.raw.len() == text.len() {
            self.raw == text && !self.raw.contains('\\')
        } else {
            self.raw.len() > text.len() && self.raw.contains('\\') && self.decoded() == text
        }
    }

    /// What it says.
    pub(crate) fn decoded(self) -> Cow<'t, str> {
        let plain = length_of_plain(self.raw.as_bytes());
        if plain == self.raw.len() {
            return Cow::Borrowed(self.raw);
        }
        let (start, mut rest) = self.raw.split_at(plain);
        let mut text = start.to_owned();
        while let Some((char, length)) = escape(rest) {
            text.push(char);
            rest = &rest[length..];
            let (plain, escaped) = rest.split_at(length_of_plain(rest.as_bytes()));
            text.push_str(plain);
            rest = escaped;
        }
        Cow::Owned(text)
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

    /// The text of the next value, and nothing at the end.
    fn value(&mut self) -> Option<&'t str> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at)?, b' ' | b'\n' | b'\r' | b'\t' | b',' | b':') {
            self.at += 1;
        }
        let start = self.at;
        self.at = match bytes[start] {
            b'}' | b']' => return None,
            b'"' => end_of_string(bytes, start),
            b'{' | b'[' => end_of_container(bytes, start),
            _ => {
                let is_end =
                    |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
                bytes[start..].iter().position(is_end).map_or(bytes.len(), |length| start + length)
            }
        };
        self.text.get(start..self.at)
    }
}

/// Where the string that begins at `at` is over.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    loop {
        at += length_of_plain(bytes.get(at..).unwrap_or_default());
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
            None => return bytes.len(),
        }
    }
}

/// Where the container that begins at `at` is over.
fn end_of_container(bytes: &[u8], mut at: usize) -> usize {
    let mut open = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = end_of_string(bytes, at);
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
pub(crate) struct Index(Box<[Place]>);

struct Place {
    /// Its start has the [`ESCAPED`] bit where it is written with escapes.
    name: core::ops::Range<u32>,
    value: core::ops::Range<u32>,
}

/// Tokens are at most 64 KiB, so that no start has it by itself.
const ESCAPED: u32 = 1 << 31;

/// What an [`Index`] takes for each member.
pub(super) const BYTES_A_MEMBER: usize = size_of::<Place>();

impl Index {
    pub(super) fn of(text: &str) -> Self {
        let place = |part: &str| {
            let start = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
            // Tokens are at most 64 KiB.
            Some(u32::try_from(start).ok()?..u32::try_from(start + part.len()).ok()?)
        };
        let members = JsonText::of_checked(text).members();
        let places = members.filter_map(|(name, JsonText(value))| {
            let mut at = place(name.raw)?;
            at.start |= if name.raw.contains('\\') { ESCAPED } else { 0 };
            Some(Place { name: at, value: place(value)? })
        });
        Self(places.collect())
    }

    /// The member of this name. `text` is the one that was indexed.
    pub(super) fn find<'t>(&self, text: &'t str, name: &str) -> Option<JsonText<'t>> {
        let bytes = text.as_bytes();
        let is_it = |place: &&Place| {
            let range = (place.name.start & !ESCAPED) as usize..place.name.end as usize;
            if place.name.start & ESCAPED == 0 {
                return bytes.get(range) == Some(name.as_bytes());
            }
            text.get(range).is_some_and(|raw| Name { raw }.is(name))
        };
        let Place { value, .. } = self.0.iter().find(is_it)?;
        text.get(value.start as usize..value.end as usize).map(JsonText)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::super::json::read_object;
    use super::*;

    /// What `serde_json` reads of it.
    fn tree(text: &str) -> Value {
        serde_json::from_str(text).expect(text)
    }

    /// Whether it reads as that.
    fn reads_as(text: JsonText<'_>, value: &Value) {
        assert_eq!(tree(text.as_written()), *value);
        assert_eq!(text.string().as_deref(), value.as_str());
        assert_eq!((text.is_object(), text.is_list()), (value.is_object(), value.is_array()));
        assert_eq!(text.is_string(), value.is_string());
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
        let items = value.as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(text.items().count(), items.len());
        for (own, item) in text.items().zip(items) {
            reads_as(own, item);
        }
    }

    /// Any JSON, spelled in any way: white space, escapes, numbers.
    fn json() -> impl Strategy<Value = String> {
        let space = || prop::sample::select(&["", " ", "\n\t", "\r "][..]);
        let string = || {
            let part = prop_oneof![
                "[a-z{}\\[\\],: ]{0,6}",
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
            let (_, _, _) = (value.string(), value.items().count(), value.scalar());
            for (name, member) in value.members() {
                let _ = (name.decoded(), member.get("a"));
            }
            let _ = Index::of(&text).find(&text, "a");
        }
    }
}
