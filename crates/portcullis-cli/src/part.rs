//! A part of a token, read for whoever wants to know what it says: not as strictly as where it counts.
use core::fmt;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A part that is a JSON object.
pub(crate) struct Part {
    pub(crate) members: Map<String, Value>,
    /// Names that are there more than once. The last value is the one of [`members`](Self::members).
    pub(crate) repeated: Vec<String>,
    /// Whether it is base64url without padding, as it must be (RFC 7515 §2).
    pub(crate) is_base64url: bool,
}

/// Why a part cannot be read.
pub(crate) enum Unreadable {
    Missing,
    Base64,
    /// It is text, but not a JSON object.
    Text(String),
    Bytes,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Base64 => "cannot be read: it is not base64url",
            Self::Text(_) => "cannot be read: it is not a JSON object",
            Self::Bytes => "cannot be read: it is not text",
        })
    }
}

pub(crate) fn read(part: &str) -> Result<Part, Unreadable> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let strict = BASE64_URL_SAFE_NO_PAD.decode(part).ok();
    let is_base64url = strict.is_some();
    let lenient = || LENIENT.decode(part.replace('+', "-").replace('/', "_")).ok();
    let bytes = strict.or_else(lenient).ok_or(Unreadable::Base64)?;
    let text = String::from_utf8(bytes).map_err(|_| Unreadable::Bytes)?;
    let Ok(Members { members, repeated }) = serde_json::from_str(&text) else {
        return Err(Unreadable::Text(text));
    };
    Ok(Part { members, repeated, is_base64url })
}

/// The members of a part that is a JSON object.
pub(crate) fn object(part: &str) -> Option<Map<String, Value>> {
    read(part).ok().map(|part| part.members)
}

struct Members {
    members: Map<String, Value>,
    repeated: Vec<String>,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let (mut members, mut repeated) = (Map::new(), Vec::new());
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name.clone(), value).is_some() && !repeated.contains(&name) {
                        repeated.push(name);
                    }
                }
                Ok(Members { members, repeated })
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(part: &str) -> Result<(String, bool), String> {
        let part = read(part).map_err(|fault| fault.to_string())?;
        Ok((Value::Object(part.members).to_string(), part.is_base64url))
    }

    #[test]
    fn a_part_that_is_written_another_way_is_read_and_told_apart() {
        let text = r#"{"a":"b?~"}"#.to_owned();
        assert_eq!(members("eyJhIjoiYj9-In0"), Ok((text.clone(), true)));
        for other in ["eyJhIjoiYj9-In0=", "eyJhIjoiYj9+In0", "eyJhIjoiYj9-In1"] {
            assert_eq!(members(other), Ok((text.clone(), false)), "{other}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (part, why) in [
            ("e", "base64url"),
            ("e 3 0", "base64url"),
            ("W10", "JSON object"),
            ("aGVsbG8", "JSON object"),
            ("_w", "not text"),
        ] {
            assert!(members(part).unwrap_err().contains(why), "{part}");
        }
    }

    #[test]
    fn names_that_are_there_twice_are_told_once() {
        let part = BASE64_URL_SAFE_NO_PAD.encode(r#"{"a":1,"b":2,"a":3,"a":4}"#);
        let part = read(&part).ok().expect("an object");
        assert_eq!((part.repeated, &part.members["a"]), (vec!["a".to_owned()], &4.into()));
    }
}
