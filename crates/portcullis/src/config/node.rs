//! The data of a policy before anything is made of it: a tree that any format can be read into.
use core::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What the `toml` crate calls the only key of the map as which it hands a date and time to a
/// reader that takes anything.
const TOML_DATETIME: &str = "$__toml_private_datetime";
/// The same of a number under `serde_json`'s feature `arbitrary_precision`, which any crate of the
/// program can switch on.
const JSON_NUMBER: &str = "$serde_json::private::Number";

#[derive(Clone)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Integer(i128),
    Float,
    String(String),
    Datetime(String),
    Bytes,
    Array(Vec<Self>),
    /// As they stand: a key that is there twice is there twice.
    Table(Vec<(String, Self)>),
}

impl Node {
    /// What a message calls it. Of its content, a message says nothing: it might be a secret.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float => "a number with a fraction",
            Self::String(_) => "a string",
            Self::Datetime(_) => "a date or time",
            Self::Bytes => "bytes",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    /// No setting is near the end of the range.
    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        Ok(Node::Integer(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Float)
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Node, E> {
        Ok(Node::String(text))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value()?;
            entries.push((key, value));
        }
        Ok(match <[_; 1]>::try_from(entries) {
            Ok([(key, Node::String(text))]) if key == TOML_DATETIME => Node::Datetime(text),
            Ok([(key, Node::String(text))]) if key == JSON_NUMBER => {
                text.parse().map_or(Node::Float, Node::Integer)
            }
            Ok(entry) => Node::Table(entry.into()),
            Err(entries) => Node::Table(entries),
        })
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, data: A) -> Result<Node, A::Error> {
        // Such as a tag of YAML: of no meaning here. What it stands at is a fault of its own.
        data.variant::<IgnoredAny>().map(|_| Node::Null)
    }
}

/// A key as it stands in a place.
pub(super) fn below(place: &str, key: &str) -> String {
    /// No setting has a longer name.
    const SHOWN: usize = 64;
    let dot = if place.is_empty() { "" } else { "." };
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.is_empty() && key.len() <= SHOWN && key.bytes().all(is_bare) {
        format!("{place}{dot}{key}")
    } else {
        let shown: String = key.chars().take(SHOWN).collect();
        let rest = if shown.len() < key.len() { "…" } else { "" };
        format!("{place}{dot}\"{}{rest}\"", shown.escape_debug())
    }
}
