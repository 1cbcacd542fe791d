//! One pass over a JSON object that parses it, finds duplicate members and counts depth.
//!
//! `serde_json` does the reading; the visitors here only watch. What they see must not change when
//! another crate of the program switches on `serde_json/arbitrary_precision` (numbers then arrive
//! as maps with one magic member) or `raw_value` (which gives another member name a meaning).
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

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

    /// How many bytes an owned one holds elsewhere.
    pub(super) fn heap_size(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => 0,
            Self::String(text) => text.len(),
            Self::Array(items) => {
                items.iter().map(|item| size_of::<Self>() + item.heap_size()).sum()
            }
            Self::Object(members) => {
                let member = |(name, value): &(Cow<'_, str>, Self)| {
                    size_of::<(Cow<'_, str>, Self)>() + name.len() + value.heap_size()
                };
                members.iter().map(member).sum()
            }
        }
    }

    pub(crate) fn into_owned(self) -> Json<'static> {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(value),
            Self::Integer(value) => Json::Integer(value),
            Self::Float(value) => Json::Float(value),
            Self::String(text) => Json::String(Cow::Owned(text.into_owned())),
            Self::Array(items) => Json::Array(items.into_iter().map(Json::into_owned).collect()),
            Self::Object(members) => Json::Object(
                members
                    .into_iter()
                    .map(|(k, v)| (Cow::Owned(k.into_owned()), v.into_owned()))
                    .collect(),
            ),
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

/// Takes the members of the outermost object as they are read.
pub(crate) trait Sink<'de> {
    /// Takes one member. `value` must be consumed.
    ///
    /// # Errors
    ///
    /// Those of reading the value, or one made to stop: the sink then knows why.
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: Value<'_, 'de, A>,
    ) -> Result<(), A::Error>;
}

/// Reads `input`, which must be one object, into `sink`.
pub(crate) fn read_object<'de>(
    input: &'de str,
    sink: &mut impl Sink<'de>,
) -> Result<(), JsonFault> {
    let mut scan = Scan { input, names: Vec::with_capacity(16), fault: JsonFault::NotAnObject };
    let mut deserializer = serde_json::Deserializer::from_str(input);
    deserializer
        .deserialize_map(Outermost { scan: &mut scan, sink })
        // Nothing but white space may follow.
        .and_then(|()| deserializer.end())
        .map_err(|_| scan.fault)
}

/// Reads `input`, which must be one object, into a tree.
pub(crate) fn read_tree(input: &str) -> Result<Vec<(Cow<'_, str>, Json<'_>)>, JsonFault> {
    struct Tree<'de>(Vec<(Cow<'de, str>, Json<'de>)>);
    impl<'de> Sink<'de> for Tree<'de> {
        fn member<A: MapAccess<'de>>(
            &mut self,
            _: &str,
            value: Value<'_, 'de, A>,
        ) -> Result<(), A::Error> {
            let name = value.name.clone();
            self.0.push((name, value.read()?));
            Ok(())
        }
    }
    let mut tree = Tree(Vec::new());
    read_object(input, &mut tree)?;
    Ok(tree.0)
}

/// The value of a member, not read yet.
pub(crate) struct Value<'a, 'de, A> {
    name: &'a Cow<'de, str>,
    scan: &'a mut Scan<'de>,
    map: &'a mut A,
}

impl<'de, A: MapAccess<'de>> Value<'_, 'de, A> {
    /// Reads it.
    pub(crate) fn read(self) -> Result<Json<'de>, A::Error> {
        self.map.next_value_seed(Walk::<true> { scan: self.scan, depth: 1, is_deep: true })
    }

    /// Reads it, with the same checks, but keeps nothing of what a container holds: a list of tiny
    /// numbers takes 24 times its text.
    pub(crate) fn read_shallow(self) -> Result<Json<'de>, A::Error> {
        self.map.next_value_seed(Walk::<true> { scan: self.scan, depth: 1, is_deep: false })
    }

    /// Reads past it, with the same checks.
    pub(crate) fn skip(self) -> Result<(), A::Error> {
        let walk = Walk::<false> { scan: self.scan, depth: 1, is_deep: false };
        self.map.next_value_seed(walk).map(drop)
    }

    /// Its text as it was written. What a container holds stays unchecked: take scalars only.
    pub(crate) fn raw(self) -> Result<&'de str, A::Error> {
        self.map.next_value::<&'de RawValue>().map(RawValue::get)
    }
}

struct Scan<'de> {
    input: &'de str,
    /// Names seen in the objects that are open, the outermost object's first.
    names: Vec<Cow<'de, str>>,
    /// What to answer if reading fails.
    fault: JsonFault,
}

impl<'de> Scan<'de> {
    fn fail<E: serde::de::Error>(&mut self, fault: JsonFault) -> E {
        self.fault = fault;
        E::custom("")
    }

    /// Whether `name` is `serde_json`'s own way to say "a number follows", not a name of the input.
    #[expect(clippy::ptr_arg, reason = "whether it was borrowed is the point")]
    fn announces_number(&self, name: &Cow<'de, str>) -> bool {
        let Cow::Borrowed(name) = name else { return false };
        *name == "$serde_json::private::Number"
            && !self.input.as_bytes().as_ptr_range().contains(&name.as_ptr())
    }

    /// Reads the members of an object of which the first name, if any, was read.
    fn members<A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        mut next: Option<Cow<'de, str>>,
        mut take: impl FnMut(Value<'_, 'de, A>) -> Result<(), A::Error>,
    ) -> Result<(), A::Error> {
        let start = self.names.len();
        let mut many: Option<HashSet<_>> = None;
        // A bit for each name seen: where a name's bit is new, so is the name.
        let mut marks = 0;
        while let Some(name) = next {
            // An object with such a member means something else to `serde_json::Value` once
            // `arbitrary_precision` or `raw_value` is on: a handler must not read what we did not.
            if name.starts_with("$serde_json::private::") {
                return Err(self.fail(JsonFault::ReservedMember));
            }
            let seen = &self.names[start..];
            let mark = mark(&name);
            let duplicate = if seen.len() < MANY {
                marks & mark != 0 && seen.contains(&name)
            } else {
                !many.get_or_insert_with(|| seen.iter().cloned().collect()).insert(name.clone())
            };
            if duplicate {
                return Err(self.fail(JsonFault::DuplicateMember));
            }
            marks |= mark;
            take(Value { name: &name, scan: self, map })?;
            if many.is_none() {
                self.names.push(name);
            }
            next = map.next_key_seed(Name)?;
        }
        self.names.truncate(start);
        Ok(())
    }
}

/// One of 64 bits, by what mostly tells names apart: their ends and their lengths.
fn mark(name: &str) -> u64 {
    let end = name.bytes().rev().take(3);
    1 << (end.fold(name.len(), |sum, byte| sum * 7 + usize::from(byte)) % 64)
}

/// Visits the outermost object.
struct Outermost<'s, 'de, S> {
    scan: &'s mut Scan<'de>,
    sink: &'s mut S,
}

impl<'de, S: Sink<'de>> Visitor<'de> for Outermost<'_, 'de, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { scan, sink } = self;
        let first = map.next_key_seed(Name)?;
        scan.members(&mut map, first, |value| sink.member(value.name, value))
    }
}

/// Visits any value inside the outermost object, and keeps it or not.
struct Walk<'s, 'de, const KEEP: bool> {
    scan: &'s mut Scan<'de>,
    /// How many containers are open.
    depth: u8,
    /// Keep what containers hold, too.
    is_deep: bool,
}

impl<'de, const KEEP: bool> Walk<'_, 'de, KEEP> {
    fn enter<E: serde::de::Error>(&mut self) -> Result<u8, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.scan.fail(JsonFault::TooDeep));
        }
        Ok(self.depth + 1)
    }
}

impl<'de, const KEEP: bool> DeserializeSeed<'de> for Walk<'_, 'de, KEEP> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, const KEEP: bool> Visitor<'de> for Walk<'_, 'de, KEEP> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(if KEEP { Cow::Owned(text.to_owned()) } else { Cow::Borrowed("") }))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let depth = self.enter()?;
        let Self { scan, is_deep, .. } = self;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Walk::<KEEP> { scan, depth, is_deep })? {
            if is_deep {
                items.push(item);
            }
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Json<'de>, A::Error> {
        let first = map.next_key_seed(Name)?;
        if first.as_ref().is_some_and(|name| self.scan.announces_number(name)) {
            let text: String = map.next_value()?;
            return Json::from_number(&text).ok_or_else(|| A::Error::custom(""));
        }
        let depth = self.enter()?;
        let Self { scan, is_deep, .. } = self;
        let mut members = Vec::new();
        scan.members(&mut map, first, |value| {
            let walk = Walk::<KEEP> { scan: value.scan, depth, is_deep };
            let json = value.map.next_value_seed(walk)?;
            if is_deep {
                members.push((value.name.clone(), json));
            }
            Ok(())
        })?;
        Ok(Json::Object(members))
    }
}

/// Reads a member's name, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let many: Vec<_> = (0..200).map(|i| format!(r#""n{i}":{{"n{i}":0}}"#)).collect();
        assert!(read_tree(&format!("{{{}}}", many.join(","))).is_ok());
        let twice = format!(r#"{{{},"n7":0}}"#, many.join(","));
        assert_eq!(read_tree(&twice), Err(JsonFault::DuplicateMember));
    }

    #[test]
    fn sixteen_levels_pass_and_seventeen_do_not() {
        assert!(read_tree(&nested(16)).is_ok());
        assert_eq!(read_tree(&nested(17)), Err(JsonFault::TooDeep));
        assert_eq!(read_tree(&nested(10_000)), Err(JsonFault::TooDeep));
        let arrays = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(read_tree(&arrays), Err(JsonFault::TooDeep));
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
