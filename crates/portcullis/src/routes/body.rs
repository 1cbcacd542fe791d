use core::fmt;

use crate::request::{self, RequestView};

/// The body of a request on its way, of which no more is kept than the route takes.
///
/// How long a client may take to send it, the server has to bound.
#[derive(Clone)]
pub struct BoundedBody {
    bytes: Vec<u8>,
    limit: usize,
    fault: Option<BodyFault>,
}

impl BoundedBody {
    /// A body of at most so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit, fault: None }
    }

    /// Takes the next piece. `false`: it is too large already, and need not be read any further.
    pub fn push(&mut self, piece: &[u8]) -> bool {
        if self.bytes.len().saturating_add(piece.len()) > self.limit {
            self.fault.get_or_insert(BodyFault::TooLarge { limit: self.limit });
            self.bytes = Vec::new();
        }
        if self.fault.is_none() {
            self.bytes.extend_from_slice(piece);
        }
        self.fault.is_none()
    }

    /// It broke off. What came of it is not used.
    pub fn break_off(&mut self) {
        self.fault.get_or_insert(BodyFault::Broken);
    }

    /// All of it.
    ///
    /// # Errors
    ///
    /// It was too large, or broke off.
    pub fn read(&self) -> Result<&[u8], BodyFault> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(&self.bytes),
        }
    }
}

impl fmt::Debug for BoundedBody {
    /// Shows nothing that was sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedBody").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// The body of a request is not used.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BodyFault {
    /// It has more bytes than the route takes.
    TooLarge {
        /// How many that are.
        limit: usize,
    },
    /// It broke off.
    Broken,
}

impl fmt::Display for BodyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(f, "the body is larger than {limit} bytes"),
            Self::Broken => f.write_str("the body broke off"),
        }
    }
}

impl core::error::Error for BodyFault {}

/// Whether the request says, once, that its body is of this media type. Parameters do not matter, nor
/// does case (RFC 9110 §8.3.1).
pub(super) fn is_of_type(request: &impl RequestView, expected: &str) -> bool {
    request::single(request, "content-type").is_some_and(|value| {
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        value[..end].trim_ascii().eq_ignore_ascii_case(expected.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_up_to_the_limit_and_nothing_of_it_beyond() {
        let mut body = BoundedBody::new(4);
        assert!(body.push(b"ab"));
        assert!(body.push(b""));
        assert!(body.push(b"cd"));
        assert_eq!(body.read(), Ok(&b"abcd"[..]));
        assert!(!body.push(b"e"));
        assert_eq!(body.read(), Err(BodyFault::TooLarge { limit: 4 }));
        assert_eq!(body.bytes.capacity(), 0);
        // What comes later does not make it whole.
        assert!(!body.push(b""));
        body.break_off();
        assert_eq!(body.read(), Err(BodyFault::TooLarge { limit: 4 }));
    }

    #[test]
    fn a_body_that_broke_off_is_not_used() {
        let mut body = BoundedBody::new(4);
        body.push(b"ab");
        body.break_off();
        assert!(!body.push(b"cd"));
        assert_eq!(body.read(), Err(BodyFault::Broken));
    }

    #[test]
    fn a_media_type_is_said_once_in_any_case_and_with_any_parameters() {
        let is_json = |values: &[&str]| {
            let mut request = http::Request::new(());
            for value in values {
                let value = value.parse().expect("a header");
                request.headers_mut().append("content-type", value);
            }
            is_of_type(&request, "application/json")
        };
        for values in [
            "application/json",
            "APPLICATION/Json",
            "application/json;a=b",
            " application/json ; x",
        ] {
            assert!(is_json(&[values]), "{values}");
        }
        for values in [
            &[][..],
            &[""],
            &["application/json5"],
            &["text/application/json"],
            &["application/json, text/plain"],
            &["text/plain; application/json"],
            &["application/json", "application/json"],
        ] {
            assert!(!is_json(values), "{values:?}");
        }
    }
}
