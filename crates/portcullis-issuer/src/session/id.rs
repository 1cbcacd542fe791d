//! What names a session.
use core::fmt;
use core::str::FromStr;

use aws_lc_rs::rand;
use base64::prelude::*;
use portcullis::VerifiedToken;
use serde::Deserialize;

use crate::key::KeyError;

/// Names a session: 16 random bytes. Access tokens call it `sid`, in base64url: 22 characters.
///
/// It is not a secret. Who knows it can look the session up, and neither goes on with it nor ends it.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SessionId([u8; Self::LENGTH]);

impl SessionId {
    /// How many bytes it has.
    pub const LENGTH: usize = 16;

    /// The session of these bytes, as a store keeps them.
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The session that an access token is of (`sid`). `None`: it is of none, as the token of a service, or of somebody else's.
    pub fn of(token: &VerifiedToken) -> Option<Self> {
        #[derive(Deserialize)]
        struct Claims {
            sid: String,
        }
        let claims: Claims = serde_json::from_str(token.claims_json()).ok()?;
        claims.sid.parse().ok()
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    pub(crate) fn random() -> Result<Self, KeyError> {
        let mut bytes = [0; Self::LENGTH];
        rand::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

/// As access tokens call it.
impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

impl FromStr for SessionId {
    type Err = NotASessionId;

    fn from_str(text: &str) -> Result<Self, NotASessionId> {
        // One text for each: a last character with bits that do not count is refused.
        let mut bytes = [0; Self::LENGTH];
        match BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(Self::LENGTH) => Ok(Self(bytes)),
            Ok(_) | Err(_) => Err(NotASessionId),
        }
    }
}

/// A text that does not name a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotASessionId;

impl fmt::Display for NotASessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this does not name a session: a `sid` of an access token does, 22 characters of base64url")
    }
}

impl core::error::Error for NotASessionId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_one_text() {
        let id = SessionId::random().expect("random bytes");
        let text = id.to_string();
        assert_eq!((text.len(), text.parse()), (22, Ok(id)));
        let first = SessionId::from_bytes([0; 16]).to_string();
        assert_eq!(first, "AAAAAAAAAAAAAAAAAAAAAA");
        let same_bits = "AAAAAAAAAAAAAAAAAAAAAB";
        let mut refused = vec![same_bits.to_owned(), String::new(), format!("{first}==")];
        refused.extend([&text[1..], &format!("{text}A"), &"é".repeat(11), "é"].map(str::to_owned));
        for text in refused {
            assert_eq!(text.parse::<SessionId>(), Err(NotASessionId), "{text}");
        }
    }
}
