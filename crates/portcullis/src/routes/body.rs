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
    pub(super) fn new(limit: usize) -> Self {
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

    pub(super) fn read(&self) -> Result<&[u8], BodyFault> {
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
pub(super) fn is_of_type<V: RequestView + ?Sized>(request: &V, expected: &str) -> bool {
    request::single(request, "content-type").is_some_and(|value| {
        let end = value.iter().position(|byte| *byte == b';').unwrap_or(value.len());
        value[..end].trim_ascii().eq_ignore_ascii_case(expected.as_bytes())
    })
}
