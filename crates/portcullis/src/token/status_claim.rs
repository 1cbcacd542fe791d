//! What a token says of where its status is (Token Status List §6.1).
use crate::json::{Json, JsonFault, Value, read_object};

/// The longest address, in bytes. Servers take some 8 KiB in all, and it is kept for each list.
const MAX_URI: usize = 2 * 1024;

/// The claim `status`, as far as it is about a list.
#[derive(Debug, PartialEq)]
pub(crate) enum StatusClaim {
    /// There is none, or it names another mechanism alone.
    Absent,
    /// It is not what it must be.
    Malformed,
    /// The token's status is at this place of this list.
    Listed(Reference),
}

/// A place in a list.
#[derive(Eq, PartialEq)]
pub(crate) struct Reference {
    /// Issuer, line feed, address: what a list is looked up by. A list of one issuer never answers
    /// for another's tokens. No address has a line feed in it.
    pub(crate) key: Box<str>,
    issuer_length: usize,
    pub(crate) index: u64,
}

impl Reference {
    pub(crate) fn issuer(&self) -> &str {
        &self.key[..self.issuer_length]
    }

    pub(crate) fn uri(&self) -> &str {
        &self.key[self.issuer_length + 1..]
    }
}

impl core::fmt::Debug for Reference {
    /// Shows neither: what stands in a token must not end up in a log by accident.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reference").finish_non_exhaustive()
    }
}

impl StatusClaim {
    /// Reads the payload of a token that verified.
    pub(crate) fn read(issuer: &str, payload: &str) -> Self {
        Self::find(issuer, payload).unwrap_or(Self::Malformed)
    }

    fn find(issuer: &str, payload: &str) -> Result<Self, JsonFault> {
        let mut claim = Self::Absent;
        read_object(payload, |name, mut value| {
            if name != "status" {
                return value.skip();
            }
            // A claim that says nothing is as good as none.
            if value.peek()? == Json::Null {
                return value.skip();
            }
            let mut listed = Self::Absent;
            let object = value.members(|name, mut value| {
                if name == "status_list" && value.peek()? != Json::Null {
                    listed = Self::place(issuer, value)?;
                    Ok::<_, JsonFault>(())
                } else {
                    value.skip()
                }
            })?;
            claim = object.map_or(Self::Malformed, |()| listed);
            Ok(())
        })?;
        Ok(claim)
    }

    fn place(issuer: &str, value: Value<'_, '_>) -> Result<Self, JsonFault> {
        let (mut index, mut uri) = (None, None);
        let object = value.members(|name, value| {
            match &**name {
                "idx" => index = value.integer()?,
                "uri" => uri = value.string()?,
                _ => value.skip()?,
            }
            Ok::<_, JsonFault>(())
        })?;
        let is_address = |uri: &str| {
            // What stands in an address is visible ASCII (RFC 3986 §2).
            (1..=MAX_URI).contains(&uri.len()) && uri.bytes().all(|byte| byte.is_ascii_graphic())
        };
        Ok(match (object, index, uri) {
            (Some(()), Some(index), Some(uri)) if is_address(&uri) => Self::Listed(Reference {
                key: format!("{issuer}\n{uri}").into(),
                issuer_length: issuer.len(),
                index,
            }),
            _ => Self::Malformed,
        })
    }

    /// How many bytes it holds elsewhere.
    pub(crate) fn heap_size(&self) -> usize {
        match self {
            Self::Listed(reference) => reference.key.len(),
            Self::Absent | Self::Malformed => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://id.example";

    fn read(status: &str) -> StatusClaim {
        StatusClaim::read(ISSUER, &format!(r#"{{"sub":"a","status":{status},"exp":1}}"#))
    }

    fn listed(status_list: &str) -> StatusClaim {
        read(&format!(r#"{{"status_list":{status_list}}}"#))
    }

    #[test]
    fn a_place_in_a_list_is_found_with_whatever_stands_beside_it() {
        for (status, index) in [
            (r#"{"status_list":{"idx":0,"uri":"https://id.example/1"}}"#, 0),
            (r#"{"status_list":{"uri":"https://id.example/1","idx":7}}"#, 7),
            (
                r#"{"other":[{}],"status_list":{"x":{"idx":1},"idx":8,"uri":"https://id.example/1"}}"#,
                8,
            ),
            (
                r#"{"status_list":{"idx":18446744073709551615,"uri":"https:\/\/id.example/1"}}"#,
                u64::MAX,
            ),
        ] {
            let StatusClaim::Listed(reference) = read(status) else { panic!("{status}") };
            let found = (reference.issuer(), reference.uri(), reference.index);
            assert_eq!(found, (ISSUER, "https://id.example/1", index));
        }
    }

    #[test]
    fn a_token_may_say_nothing_of_a_list() {
        assert_eq!(StatusClaim::read(ISSUER, r#"{"sub":"a"}"#), StatusClaim::Absent);
        // It is a claim of the token, not of what a claim holds.
        let nested = r#"{"x":{"status":{"status_list":{"idx":0,"uri":"https://id.example"}}}}"#;
        assert_eq!(StatusClaim::read(ISSUER, nested), StatusClaim::Absent);
        for status in ["null", "{}", r#"{"identifier_list":{"id":"1"}}"#, r#"{"status_list":null}"#]
        {
            assert_eq!(read(status), StatusClaim::Absent, "{status}");
        }
    }

    #[test]
    fn what_is_not_as_it_must_be_is_malformed_and_never_absent() {
        for status in ["true", "1", r#""https://id.example/1""#, "[]", r#"[{"status_list":{}}]"#] {
            assert_eq!(read(status), StatusClaim::Malformed, "{status}");
        }
        for list in ["{}", "1", "[]", "true", r#"[7,"https://id.example/1"]"#] {
            assert_eq!(listed(list), StatusClaim::Malformed, "{list}");
        }
        for index in [
            "-1",
            "-0",
            "1.0",
            "1.5",
            "1e3",
            "1E0",
            "18446744073709551616",
            "1e400",
            "null",
            "true",
            r#""7""#,
            "[7]",
            r#"{"idx":7}"#,
        ] {
            let list = format!(r#"{{"idx":{index},"uri":"https://id.example/1"}}"#);
            assert_eq!(listed(&list), StatusClaim::Malformed, "{index}");
        }
        for uri in [
            "1",
            "null",
            r#"["https://id.example"]"#,
            r#""""#,
            r#""https://a/ b""#,
            r#""a\nb""#,
            r#""https://é/""#,
        ] {
            let list = format!(r#"{{"idx":7,"uri":{uri}}}"#);
            assert_eq!(listed(&list), StatusClaim::Malformed, "{uri}");
        }
        assert_eq!(listed(r#"{"idx":7}"#), StatusClaim::Malformed);
        assert_eq!(listed(r#"{"uri":"https://id.example/1"}"#), StatusClaim::Malformed);
    }

    #[test]
    fn a_member_that_is_there_twice_is_none_that_counts() {
        // The token's own reader refuses it before.
        let twice = r#"{"idx":1,"idx":2,"uri":"https://id.example/1"}"#;
        assert_eq!(listed(twice), StatusClaim::Malformed);
    }

    #[test]
    fn an_address_has_at_most_2_kib() {
        let of = |length: usize| {
            let uri = format!("https://id.example/{}", "a".repeat(length - 19));
            matches!(listed(&format!(r#"{{"idx":7,"uri":"{uri}"}}"#)), StatusClaim::Listed(_))
        };
        assert!(of(2048));
        assert!(!of(2049));
    }

    #[test]
    fn lists_of_two_issuers_are_never_one() {
        let key = |issuer: &str, uri: &str| {
            let payload = format!(r#"{{"status":{{"status_list":{{"idx":0,"uri":"{uri}"}}}}}}"#);
            match StatusClaim::read(issuer, &payload) {
                StatusClaim::Listed(reference) => reference.key,
                other => panic!("{other:?}"),
            }
        };
        assert_ne!(key("https://a", "https://b/1"), key("https://ab", "https://b/1"));
        assert_ne!(key("https://a", "https://b/1"), key("https://a\nhttps://b/1", "x"));
        assert_ne!(key("a", "b"), key("ab", "b"));
    }

    #[test]
    fn nothing_that_a_token_says_is_shown() {
        let claim = listed(r#"{"idx":4711,"uri":"https://id.example/secret"}"#);
        let shown = format!("{claim:?}");
        assert!(!shown.contains("secret") && !shown.contains("4711") && !shown.contains("example"));
    }
}
