//! One pass over a JSON object that parses it, finds duplicate members and counts depth.
//!
//! The reader is our own, since two bars demand it. Through the visitors of `serde_json` verification
//! adds 2.3 µs to an ES256 signature, where 2.0 may be added, and 1.9 with this reader; and a refusal
//! may allocate nothing but the token's text, where each error of `serde_json` is allocated. Nor does
//! it change with the features that another crate of the program switches on. The tests hold it to
//! taking what `serde_json` takes, and nothing else; `serde_json` is what a handler's claims are read by.
mod text;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde_json::value::RawValue;
use smallvec::SmallVec;

pub(crate) use self::text::{BYTES_A_MEMBER, Index, JsonText, Quoted};

/// Deepest nesting of objects and arrays. Identity providers nest claims 3 to 5 deep (Keycloak's
/// `resource_access.{client}.roles`); the recursion limit of most parsers is 128.
pub(crate) const MAX_DEPTH: u8 = 16;

/// From how many members on an object's names are hashed rather than compared one by one.
const MANY: usize = 24;

/// What is wrong with the JSON of a token or a key set.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JsonFault {
    /// It is not one JSON object in UTF-8 (RFC 7515 §5.2, RFC 8725 §3.7).
    NotAnObject,
    /// A member occurs twice in one object, perhaps spelled with escapes (RFC 7519 §4).
    DuplicateMember,
    /// It nests deeper than 16 levels.
    TooDeep,
    /// A member has a name that `serde_json` reserves for itself.
    ReservedMember,
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "is not one JSON object in UTF-8",
            Self::DuplicateMember => "has a duplicate member",
            Self::TooDeep => "nests deeper than 16 levels",
            Self::ReservedMember => "has a member name reserved by the JSON library",
        })
    }
}

impl core::error::Error for JsonFault {}

/// A JSON value, of which only scalars and their containers matter here.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'de> {
    Null,
    Bool(bool),
    /// Written without fraction and exponent, within the range of `u64` and `i64`.
    Integer(i128),
    Float(f64),
    String(Cow<'de, str>),
    Array(Vec<Self>),
    Object(Vec<(Cow<'de, str>, Self)>),
}

impl Json<'_> {
    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// A number as it was written. `None`: it is none, or out of the range of a double.
    pub(crate) fn from_number(text: &str) -> Option<Self> {
        // `-0` is no integer to serde_json either.
        if text != "-0" {
            if let Ok(integer) = text.parse::<i64>() {
                return Some(Self::Integer(integer.into()));
            }
            if let Ok(integer) = text.parse::<u64>() {
                return Some(Self::Integer(integer.into()));
            }
        }
        // What `f64::from_str` takes beyond JSON's numbers: `inf`, `nan`, `+1`, `.5`, `5.`
        if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) || text.starts_with("-i") {
            return None;
        }
        text.parse().ok().filter(|float: &f64| float.is_finite()).map(Self::Float)
    }
}

/// Reads `input`, which must be one object, and gives each of its members to `take`: a name, and a
/// value that must be consumed.
///
/// # Errors
///
/// What is wrong with the object, or what `take` stops with.
pub(crate) fn read_object<'de, E: From<JsonFault>>(
    input: &'de str,
    take: impl FnMut(&Cow<'de, str>, Value<'_, 'de>) -> Result<(), E>,
) -> Result<(), E> {
    read_and_measure(input, take).map(drop)
}

/// As [`read_object`]. Tells what a tree of `serde_json` values would take for it, its strings aside:
/// [`tree_of_members`] and [`tree_of_items`] of all that is in it.
pub(crate) fn read_and_measure<'de, E: From<JsonFault>>(
    input: &'de str,
    mut take: impl FnMut(&Cow<'de, str>, Value<'_, 'de>) -> Result<(), E>,
) -> Result<usize, E> {
    let mut scan = Scan { input, at: 0, names: SmallVec::new(), tree: 0 };
    if scan.next() != Some(b'{') {
        return Err(JsonFault::NotAnObject.into());
    }
    scan.members(&mut |name, scan| take(name, Value { scan, depth: 1 }))?;
    // Nothing but white space may follow.
    if scan.next().is_some() {
        return Err(JsonFault::NotAnObject.into());
    }
    Ok(scan.tree)
}

/// What an object of so many members takes in a tree of `serde_json` values, its strings aside: a B-tree's
/// nodes of eleven members each, at the least half full; with its feature `preserve_order`, which makes values
/// larger, a table that doubles.
fn tree_of_members(count: usize) -> usize {
    const NODE: usize = 16 + 11 * (size_of::<String>() + size_of::<serde_json::Value>());
    const MEMBER: usize = 32 + size_of::<String>() + size_of::<serde_json::Value>();
    const IS_A_TABLE: bool = size_of::<serde_json::Value>() > 32;
    match count {
        0 => 0,
        _ if IS_A_TABLE => 2 * MEMBER * count.max(2),
        1..=11 => NODE,
        _ => NODE + 2 * MEMBER * count,
    }
}

/// The same of a list: room for four items, which doubles.
fn tree_of_items(count: usize) -> usize {
    let room = if count == 0 { 0 } else { count.next_power_of_two().max(4) };
    room * size_of::<serde_json::Value>()
}

/// Reads `input`, which must be one object, into a tree.
pub(crate) fn read_tree(input: &str) -> Result<Vec<(Cow<'_, str>, Json<'_>)>, JsonFault> {
    let mut tree = Vec::new();
    read_object(input, |name, value| {
        tree.push((name.clone(), value.read()?));
        Ok::<_, JsonFault>(())
    })?;
    Ok(tree)
}

/// What an issuer may write for an id.
pub(crate) enum Id<'de> {
    String(Cow<'de, str>),
    Digits(&'de str),
}

/// The value of a member, not read yet.
pub(crate) struct Value<'a, 'de> {
    scan: &'a mut Scan<'de>,
    /// How many containers are open.
    depth: u8,
}

impl<'de> Value<'_, 'de> {
    /// Reads it.
    pub(crate) fn read(self) -> Result<Json<'de>, JsonFault> {
        self.scan.value(self.depth)
    }

    /// Reads past it, with the same checks.
    pub(crate) fn skip(self) -> Result<(), JsonFault> {
        self.scan.skip(self.depth)
    }

    /// Reads it, with the same checks, and leaves it to be read again. Of a container it keeps
    /// nothing: a list of tiny numbers takes 24 times its text.
    #[cfg(any(test, feature = "status-list"))]
    pub(crate) fn peek(&mut self) -> Result<Json<'de>, JsonFault> {
        let at = self.scan.at;
        let value = match self.scan.next() {
            Some(b'{') => self.scan.skip(self.depth).map(|()| Json::Object(Vec::new())),
            Some(b'[') => self.scan.skip(self.depth).map(|()| Json::Array(Vec::new())),
            _ => self.scan.value(self.depth),
        }?;
        self.scan.at = at;
        Ok(value)
    }

    /// Reads a string. `None`: it is something else, and was read past.
    pub(crate) fn string(self) -> Result<Option<Cow<'de, str>>, JsonFault> {
        if self.scan.next() == Some(b'"') {
            return self.scan.string().map(Some);
        }
        self.skip().map(|()| None)
    }

    /// Reads a string, or a number that is written by digits alone and within the range of `u64`. `None`: it
    /// is something else, and was read past.
    pub(crate) fn id(self) -> Result<Option<Id<'de>>, JsonFault> {
        if !matches!(self.scan.next(), Some(b'0'..=b'9')) {
            return Ok(self.string()?.map(Id::String));
        }
        let digits = self.scan.number()?;
        match Json::from_number(digits) {
            Some(Json::Integer(_)) => Ok(Some(Id::Digits(digits))),
            Some(_) => Ok(None),
            None => Err(JsonFault::NotAnObject),
        }
    }

    /// Reads a string, or an array of strings, and gives each to `take`. `false`: it is or holds
    /// something else.
    pub(crate) fn strings<E: From<JsonFault>>(
        self,
        mut take: impl FnMut(Cow<'de, str>) -> Result<(), E>,
    ) -> Result<bool, E> {
        if self.scan.next() != Some(b'[') {
            return Ok(self.string()?.map(take).transpose()?.is_some());
        }
        let mut are_strings = true;
        self.scan.items(&mut |scan| {
            if scan.next() == Some(b'"') {
                return take(scan.string()?);
            }
            are_strings = false;
            Ok(scan.skip(self.depth + 1)?)
        })?;
        Ok(are_strings)
    }

    /// Reads an object, and gives each of its members to `take`, as [`read_object`] does. `None`: it
    /// is something else, and was read past.
    pub(crate) fn members<E: From<JsonFault>>(
        self,
        mut take: impl FnMut(&Cow<'de, str>, Value<'_, 'de>) -> Result<(), E>,
    ) -> Result<Option<()>, E> {
        if self.scan.next() != Some(b'{') {
            self.skip()?;
            return Ok(None);
        }
        let depth = self.depth + 1;
        self.scan.members(&mut |name, scan| take(name, Value { scan, depth })).map(Some)
    }

    /// Reads a number that is written without sign, fraction and exponent. `None`: it is something
    /// else, and was read past.
    #[cfg(feature = "status-list")]
    pub(crate) fn integer(mut self) -> Result<Option<u64>, JsonFault> {
        let value = self.peek()?;
        self.skip()?;
        Ok(match value {
            Json::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        })
    }

    /// The text of a number. `None`: it is something else, and not read.
    pub(crate) fn number(self) -> Result<Option<&'de str>, JsonFault> {
        match self.scan.next() {
            Some(b'"' | b'{' | b'[' | b't' | b'f' | b'n') => Ok(None),
            _ => self.scan.number().map(Some),
        }
    }

    /// Its text as it was written. What a container holds stays unchecked.
    pub(crate) fn raw(self) -> Result<&'de str, JsonFault> {
        let Scan { input, at, .. } = self.scan;
        let mut values = serde_json::Deserializer::from_str(&input[*at..]).into_iter();
        let Some(Ok(value)) = values.next() else { return Err(JsonFault::NotAnObject) };
        *at += values.byte_offset();
        Ok(RawValue::get(value))
    }
}

/// Where reading stands.
struct Scan<'de> {
    input: &'de str,
    at: usize,
    /// Names seen in the objects that are open, the outermost object's first.
    names: SmallVec<[Cow<'de, str>; MANY]>,
    /// What a tree of the containers that are closed would take.
    tree: usize,
}

impl<'de> Scan<'de> {
    /// The byte that is next, white space aside. It stays.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.input.as_bytes().get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// Takes the next byte if it is one of these.
    fn take_any(&mut self, bytes: &[u8]) -> bool {
        let is_there = self.input.as_bytes().get(self.at).is_some_and(|own| bytes.contains(own));
        self.at += usize::from(is_there);
        is_there
    }

    /// Takes this byte, which must be next, white space aside.
    fn expect(&mut self, byte: u8) -> Result<(), JsonFault> {
        if self.next() != Some(byte) {
            return Err(JsonFault::NotAnObject);
        }
        self.at += 1;
        Ok(())
    }

    /// Reads the members of an object, whose brace is next.
    fn members<E: From<JsonFault>>(
        &mut self,
        take: &mut impl FnMut(&Cow<'de, str>, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.at += 1;
        if self.next() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let start = self.names.len();
        let mut many: Option<HashSet<_>> = None;
        // A bit for each name seen: where a name's bit is new, so is the name.
        let mut marks = 0;
        loop {
            if self.next() != Some(b'"') {
                return Err(JsonFault::NotAnObject.into());
            }
            let name = self.string()?;
            // An object with such a member means something else to `serde_json::Value` once
            // `arbitrary_precision` or `raw_value` is on: a handler must not read what we did not.
            if name.starts_with("$serde_json::private::") {
                return Err(JsonFault::ReservedMember.into());
            }
            let seen = &self.names[start..];
            let mark = mark(&name);
            let duplicate = if seen.len() < MANY {
                marks & mark != 0 && seen.contains(&name)
            } else {
                !many.get_or_insert_with(|| seen.iter().cloned().collect()).insert(name.clone())
            };
            if duplicate {
                return Err(JsonFault::DuplicateMember.into());
            }
            marks |= mark;
            self.expect(b':')?;
            take(&name, self)?;
            if many.is_none() {
                self.names.push(name);
            }
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(JsonFault::NotAnObject.into()),
            }
        }
        self.at += 1;
        self.tree += tree_of_members(many.map_or(self.names.len() - start, |names| names.len()));
        self.names.truncate(start);
        Ok(())
    }

    /// Reads the items of an array, whose bracket is next.
    fn items<E: From<JsonFault>>(
        &mut self,
        take: &mut impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.at += 1;
        if self.next() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        let mut count = 0;
        loop {
            take(self)?;
            count += 1;
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(JsonFault::NotAnObject.into()),
            }
        }
        self.at += 1;
        self.tree += tree_of_items(count);
        Ok(())
    }

    /// Reads any value; `depth` says how many containers are open.
    fn value(&mut self, depth: u8) -> Result<Json<'de>, JsonFault> {
        match self.next() {
            Some(b'"') => self.string().map(Json::String),
            Some(b'{' | b'[') if depth == MAX_DEPTH => Err(JsonFault::TooDeep),
            Some(b'{') => {
                let mut members = Vec::new();
                self.members(&mut |name, scan| {
                    members.push((name.clone(), scan.value(depth + 1)?));
                    Ok::<_, JsonFault>(())
                })?;
                Ok(Json::Object(members))
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.items(&mut |scan| {
                    items.push(scan.value(depth + 1)?);
                    Ok::<_, JsonFault>(())
                })?;
                Ok(Json::Array(items))
            }
            _ => self.scalar(),
        }
    }

    /// As [`value`](Self::value), but keeps nothing.
    fn skip(&mut self, depth: u8) -> Result<(), JsonFault> {
        match self.next() {
            Some(b'"') => self.skip_string(),
            Some(b'{' | b'[') if depth == MAX_DEPTH => Err(JsonFault::TooDeep),
            Some(b'{') => self.members(&mut |_, scan| scan.skip(depth + 1)),
            Some(b'[') => self.items(&mut |scan| scan.skip(depth + 1)),
            _ => self.scalar().map(drop),
        }
    }

    /// Reads what is neither a container nor a string.
    fn scalar(&mut self) -> Result<Json<'de>, JsonFault> {
        match self.next() {
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => Json::from_number(self.number()?).ok_or(JsonFault::NotAnObject),
        }
    }

    fn word(&mut self, word: &str, value: Json<'de>) -> Result<Json<'de>, JsonFault> {
        if !self.input[self.at..].starts_with(word) {
            return Err(JsonFault::NotAnObject);
        }
        self.at += word.len();
        Ok(value)
    }

    /// Reads a string, whose quote is next (RFC 8259 §7).
    fn string(&mut self) -> Result<Cow<'de, str>, JsonFault> {
        let start = self.at + 1;
        let end = start + length_of_plain(&self.input.as_bytes()[start..]);
        if self.input.as_bytes().get(end) != Some(&b'"') {
            return self.string_with_escapes(end).map(Cow::Owned);
        }
        self.at = end + 1;
        Ok(Cow::Borrowed(&self.input[start..end]))
    }

    /// As [`string`](Self::string), but keeps nothing.
    fn skip_string(&mut self) -> Result<(), JsonFault> {
        let start = self.at + 1;
        let end = start + length_of_plain(&self.input.as_bytes()[start..]);
        self.escapes(end, |_, _| {})
    }

    /// As [`string`](Self::string); `end` is where the first escape stands, or what no string has.
    #[cold]
    fn string_with_escapes(&mut self, end: usize) -> Result<String, JsonFault> {
        let mut text = self.input[self.at + 1..end].to_owned();
        self.escapes(end, |char, plain| {
            text.push(char);
            text.push_str(plain);
        })?;
        Ok(text)
    }

    /// Reads the rest of a string from `end` on, where an escape or its quote stands, or what no string has. Gives
    /// `take` the character of each escape, and what follows it.
    fn escapes(
        &mut self,
        mut end: usize,
        mut take: impl FnMut(char, &str),
    ) -> Result<(), JsonFault> {
        let bytes = self.input.as_bytes();
        while bytes.get(end) == Some(&b'\\') {
            let (char, length) = escape(&self.input[end..]).ok_or(JsonFault::NotAnObject)?;
            let start = end + length;
            end = start + length_of_plain(&bytes[start..]);
            take(char, &self.input[start..end]);
        }
        if bytes.get(end) != Some(&b'"') {
            return Err(JsonFault::NotAnObject);
        }
        self.at = end + 1;
        Ok(())
    }

    /// Reads a number (RFC 8259 §6), and gives its text: not all are in range.
    fn number(&mut self) -> Result<&'de str, JsonFault> {
        let start = self.at;
        self.take_any(b"-");
        if !self.take_any(b"0") {
            self.digits()?;
        }
        if self.take_any(b".") {
            self.digits()?;
        }
        if self.take_any(b"eE") {
            self.take_any(b"+-");
            self.digits()?;
        }
        Ok(&self.input[start..self.at])
    }

    /// Takes digits, at least one.
    fn digits(&mut self) -> Result<(), JsonFault> {
        let rest = &self.input.as_bytes()[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits == 0 { Err(JsonFault::NotAnObject) } else { Ok(()) }
    }
}

/// How many bytes stand in front of the first that is a quote, a backslash or a control character.
pub(super) fn length_of_plain(bytes: &[u8]) -> usize {
    length_up_to(bytes, b' ')
}

/// As [`length_of_plain`], but a space ends it as well.
fn length_of_word(bytes: &[u8]) -> usize {
    length_up_to(bytes, b' ' + 1)
}

/// How many bytes stand in front of the first that is a quote, a backslash or smaller than `least`.
#[inline]
fn length_up_to(bytes: &[u8], least: u8) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let (groups, rest) = bytes.as_chunks();
    let mut length = 0;
    for group in groups {
        let group = u64::from_le_bytes(*group);
        // Subtracting borrows into the top bit of the first byte that is smaller, or zero.
        let smaller = |bytes: u64, than: u8| bytes.wrapping_sub(ONES * u64::from(than)) & !bytes;
        let is = |byte: u8| smaller(group ^ (ONES * u64::from(byte)), 1);
        let found = (is(b'"') | is(b'\\') | smaller(group, least)) & (ONES << 7);
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\') && **byte >= least;
    length + rest.iter().take_while(is_plain).count()
}

/// The character that the escape in front of `text` stands for, and the escape's length.
pub(super) fn escape(text: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 4)?;
        // The standard library takes a sign, too.
        let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        are_digits.then(|| u16::from_str_radix(digits, 16).ok())?
    };
    let char = match text.as_bytes().get(1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            // A character beyond U+FFFF is written as two; half of one is none.
            let second = if text.get(6..8) == Some("\\u") { unit(8) } else { None };
            let units = [Some(unit(2)?), second].into_iter().flatten();
            let char = char::decode_utf16(units).next()?.ok()?;
            return Some((char, 6 * char.len_utf16()));
        }
        _ => return None,
    };
    Some((char, 2))
}

/// One of 64 bits, by what mostly tells names apart: their last letters and their lengths.
fn mark(name: &str) -> u64 {
    let last = name.bytes().next_back().unwrap_or_default();
    1 << ((name.len() * 7 + usize::from(last)) % 64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Theirs;

    use super::*;

    /// Any JSON, most of it with few names, so that some come twice.
    fn json() -> impl Strategy<Value = Theirs> {
        let leaf = prop_oneof![
            Just(Theirs::Null),
            any::<bool>().prop_map(Theirs::from),
            any::<i64>().prop_map(Theirs::from),
            any::<u64>().prop_map(Theirs::from),
            any::<f64>().prop_map(Theirs::from),
            any::<String>().prop_map(Theirs::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Theirs::from),
                proptest::collection::btree_map("[a-c\u{e9}\n]{0,9}", inner, 0..6)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    fn is_same(ours: &Json<'_>, theirs: &Theirs) -> bool {
        match (ours, theirs) {
            (Json::Null, Theirs::Null) => true,
            (Json::Bool(ours), Theirs::Bool(theirs)) => ours == theirs,
            (Json::Integer(ours), Theirs::Number(theirs)) => {
                theirs.as_i128().or(theirs.as_u64().map(i128::from)) == Some(*ours)
            }
            (Json::Float(ours), Theirs::Number(theirs)) => {
                theirs.as_f64().is_some_and(|theirs| theirs.to_bits() == ours.to_bits())
            }
            (Json::String(ours), Theirs::String(theirs)) => ours == theirs,
            (Json::Array(ours), Theirs::Array(theirs)) => {
                ours.len() == theirs.len()
                    && ours.iter().zip(theirs).all(|(ours, theirs)| is_same(ours, theirs))
            }
            (Json::Object(ours), Theirs::Object(theirs)) => is_same_object(ours, theirs),
            _ => false,
        }
    }

    fn is_same_object(
        ours: &[(Cow<'_, str>, Json<'_>)],
        theirs: &serde_json::Map<String, Theirs>,
    ) -> bool {
        ours.len() == theirs.len()
            && ours
                .iter()
                .all(|(name, ours)| theirs.get(&**name).is_some_and(|theirs| is_same(ours, theirs)))
    }

    /// That `serde_json` takes the same text for the same value, but for what it is not asked to
    /// find; and that all ways of reading a value check the same.
    fn compare(input: &str) {
        let ours = read_tree(input);
        let theirs = serde_json::from_str::<Theirs>(input);
        match (&ours, &theirs) {
            (Ok(ours), Ok(Theirs::Object(theirs))) => {
                assert!(is_same_object(ours, theirs), "{input:?}");
            }
            (Err(JsonFault::NotAnObject), Ok(theirs)) => assert!(!theirs.is_object(), "{input:?}"),
            (Err(_), _) => {}
            (Ok(_), _) => panic!("only we read {input:?}"),
        }
        let fault = ours.err();
        let skipped = read_object(input, |_, value| value.skip());
        assert_eq!(skipped.err(), fault, "skipped: {input:?}");
        let peeked = read_object(input, |_, mut value| {
            value.peek()?;
            value.string()?;
            Ok::<_, JsonFault>(())
        });
        assert_eq!(peeked.err(), fault, "peeked: {input:?}");
        let as_strings = read_object(input, |_, value| value.strings(ignore).map(drop));
        assert_eq!(as_strings.err(), fault, "as strings: {input:?}");
        let as_ids = read_object(input, |_, value| value.id().map(drop));
        assert_eq!(as_ids.err(), fault, "as ids: {input:?}");
    }

    fn ignore(_: Cow<'_, str>) -> Result<(), JsonFault> {
        Ok(())
    }

    #[test]
    fn escapes_are_read_as_serde_json_reads_them() {
        let mut escapes: Vec<_> =
            (0..=0x7f).map(|byte| format!("\\{}", char::from(byte))).collect();
        let units =
            ["0000", "0041", "00e9", "d7FF", "d800", "DbfF", "dc00", "dfff", "e000", "ffff"];
        for first in units.iter().chain(&["004", "+041", "00g1", "00\u{e9}", ""]) {
            escapes.push(format!("\\u{first}"));
            for second in units.iter().chain(&["-c00", "dc0"]) {
                escapes.push(format!("\\u{first}\\u{second}"));
                escapes.push(format!("\\u{first}\\\\u{second}"));
            }
        }
        for escape in escapes {
            for (before, after) in [("", ""), ("a", "b"), ("\u{e9}", "\u{1f600}\\n")] {
                compare(&format!("{{\"{before}{escape}{after}\":\"{before}{escape}{after}\"}}"));
            }
            compare(&format!("{{\"a\":\"{escape}"));
        }
    }

    /// What makes a difference when it stands at the wrong place.
    const PIECES: [&str; 36] = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\"a\":",
        "\"\\u0061\":",
        "\"\\n\"",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\ude00\\ud83d",
        "\\u+061",
        "\\x",
        "\u{e9}",
        "\u{1f600}",
        "\n",
        "\0",
        "\u{1f}",
        " ",
        "0",
        "-",
        "-0",
        "1",
        ".",
        ".5",
        "e",
        "E+9",
        "1e400",
        "18446744073709551616",
        "true",
        "nul",
        "NaN",
        "//",
    ];

    proptest! {
        #[test]
        fn what_serde_json_wrote_is_read_as_it_reads_it(
            value in json(),
            is_pretty in any::<bool>(),
            pieces in proptest::collection::vec(
                (any::<prop::sample::Index>(), prop::sample::select(&PIECES[..]), any::<bool>()),
                0..3,
            ),
        ) {
            let value = serde_json::json!({ "a": value });
            let mut text = if is_pretty { format!("{value:#}") } else { value.to_string() };
            prop_assert!(read_tree(&text).is_ok());
            compare(&text);
            for (at, piece, replaces) in pieces {
                let mut at = at.index(text.len());
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                let length = text[at..].chars().next().map_or(0, char::len_utf8);
                let end = if replaces { at + length } else { at };
                text.replace_range(at..end, piece);
                compare(&text);
            }
        }

        #[test]
        fn pieces_in_any_order_are_read_as_serde_json_reads_them(
            pieces in proptest::collection::vec(prop::sample::select(&PIECES[..]), 0..8),
        ) {
            compare(&format!("{{\"a\":{}}}", pieces.concat()));
            compare(&format!("{{\"a\":\"{}\"}}", pieces.concat()));
            compare(&pieces.concat());
        }

        #[test]
        fn a_string_ends_where_it_ends_whatever_its_length(
            bytes in proptest::collection::vec(prop::sample::select(&b"a\x7f\x80\xff !#[]\"\\\x1f\0"[..]), 0..40),
            plain in 0..40usize,
        ) {
            let bytes = [vec![b'x'; plain], bytes].concat();
            let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '));
            prop_assert_eq!(length_of_plain(&bytes), end.unwrap_or(bytes.len()));
        }
    }

    #[test]
    fn a_value_that_is_not_taken_stops_the_reading() {
        let taken = read_object(r#"{"a":1}"#, |_, _| Ok::<_, JsonFault>(()));
        assert_eq!(taken, Err(JsonFault::NotAnObject));
    }

    #[test]
    fn the_text_of_a_value_may_hold_what_is_refused_elsewhere() {
        let input = r#"{"a": [{"x":1,"x":"\ud800"}] ,"b":"c"}"#;
        let mut texts = Vec::new();
        let read = read_object(input, |_, value| {
            texts.push(value.raw()?);
            Ok::<_, JsonFault>(())
        });
        assert_eq!((read, &*texts), (Ok(()), &[r#"[{"x":1,"x":"\ud800"}]"#, r#""c""#][..]));
    }

    fn nested(depth: usize) -> String {
        format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth))
    }

    #[test]
    fn a_duplicate_is_found_at_any_depth_and_in_any_spelling() {
        for input in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"x":{"a":1,"b":2,"a":3}}"#,
            r#"{"x":[[{"a":null,"a":null}]]}"#,
            r#"{"x":{"y":{}},"b":{"c":1},"x":0}"#,
        ] {
            assert_eq!(read_tree(input), Err(JsonFault::DuplicateMember), "{input}");
        }
        // One name in several objects is none.
        assert!(
            read_tree(r#"{"a":{"b":1,"c":{"b":2}},"b":{"a":3},"c":[{"b":4},{"b":5}]}"#).is_ok()
        );
        let many: Vec<_> = (0..200).map(|i| format!(r#""n{i}":{{"n{i}":0}}"#)).collect();
        assert!(read_tree(&format!("{{{}}}", many.join(","))).is_ok());
        assert!(read_tree(&format!(r#"{{"x":{{{}}},"n7":{{}}}}"#, many.join(","))).is_ok());
        let twice = format!(r#"{{{},"n7":0}}"#, many.join(","));
        assert_eq!(read_tree(&twice), Err(JsonFault::DuplicateMember));
    }

    #[test]
    fn sixteen_levels_pass_and_seventeen_do_not() {
        assert!(read_tree(&nested(16)).is_ok());
        assert_eq!(read_tree(&nested(17)), Err(JsonFault::TooDeep));
        assert_eq!(read_tree(&nested(10_000)), Err(JsonFault::TooDeep));
        let arrays = |depth| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(read_tree(&arrays(10_000)), Err(JsonFault::TooDeep));
        let as_strings =
            |input: &str| read_object(input, |_, value| value.strings(ignore).map(drop));
        assert_eq!(as_strings(&arrays(15)), Ok(()));
        assert_eq!(as_strings(&arrays(16)), Err(JsonFault::TooDeep));
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for input in [
            "",
            " ",
            "1",
            "[]",
            "null",
            "{} {}",
            "{}x",
            "{",
            r#"{"a":1,}"#,
            "\u{feff}{}",
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\n\"}",
            "{'a':1}",
            r#"{"a":01}"#,
            r#"{"a":NaN}"#,
        ] {
            assert_eq!(read_tree(input), Err(JsonFault::NotAnObject), "{input:?}");
        }
        assert!(read_tree(" {\n\t\"a\" : 1 } \r\n").is_ok());
    }

    #[test]
    fn numbers_are_the_same_whatever_serde_json_was_built_with() {
        let members = read_tree(
            r#"{"a":-0,"b":18446744073709551615,"c":-9223372036854775808,"d":18446744073709551616,"e":1.50,"f":1E3,"g":0}"#,
        )
        .expect("numbers");
        let values: Vec<_> = members.into_iter().map(|(_, value)| value).collect();
        assert_eq!(
            values,
            [
                Json::Float(-0.0),
                Json::Integer(18_446_744_073_709_551_615),
                Json::Integer(-9_223_372_036_854_775_808),
                Json::Float(18_446_744_073_709_551_616.0),
                Json::Float(1.5),
                Json::Float(1000.0),
                Json::Integer(0),
            ]
        );
        for beyond in
            [r#"{"a":1e309}"#, r#"{"a":[{"b":-1e400}]}"#, r#"{"a":1e99999999999999999999}"#]
        {
            assert_eq!(read_tree(beyond), Err(JsonFault::NotAnObject), "{beyond}");
        }
    }

    #[cfg(feature = "status-list")]
    #[test]
    fn an_object_that_is_read_member_by_member_is_held_to_the_same_rules() {
        fn walk(value: Value<'_, '_>) -> Result<(), JsonFault> {
            let mut value = value;
            match value.peek()? {
                Json::Object(_) => value.members(|_, value| walk(value)).map(drop),
                _ => value.skip(),
            }
        }
        let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        for text in [
            nested(16),
            nested(17),
            r#"{"a":{"b":1,"b":2}}"#.to_owned(),
            r#"{"a":{"b":{"\u0063":1,"c":2}}}"#.to_owned(),
            r#"{"a":{"b":1},"c":{"b":1}}"#.to_owned(),
            r#"{"a":{"b":[1,{"c":1}]},"d":{}}"#.to_owned(),
            r#"{"a":{"b":1}"#.to_owned(),
            r#"{"a":{"b":1,}}"#.to_owned(),
            r#"{"a":{"$serde_json::private::Number":"1"}}"#.to_owned(),
        ] {
            let walked = read_object(&text, |_, value| walk(value));
            assert_eq!(walked, read_tree(&text).map(drop), "{text}");
        }
    }

    #[test]
    fn names_reserved_by_serde_json_are_refused_however_spelled() {
        for input in [
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"{"a":{"$serde_json::private::Number":"1"}}"#,
            r#"{"a":{"\u0024serde_json::private::Number":"1"}}"#,
            r#"{"a":[{"$serde_json::private::RawValue":"{}"}]}"#,
            r#"{"a":{"b":1,"$serde_json::private::RawValue":"{}"}}"#,
        ] {
            assert_eq!(read_tree(input), Err(JsonFault::ReservedMember), "{input}");
        }
    }
}
