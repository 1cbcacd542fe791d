//! What clients are called.
use core::fmt;

use crate::debug_as_displayed::debug_as_displayed;
use crate::token::MAX_TEXT;

/// A client by whose name no session could begin.
#[non_exhaustive]
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum ClientFault {
    /// There is none.
    None,
    /// Its name is empty, or longer than access tokens take.
    Name {
        /// How many bytes it has.
        length: usize,
    },
}

/// A name that `client_id` can have.
pub(super) fn checked(client: String) -> Result<String, ClientFault> {
    let length = client.len();
    if (1..=MAX_TEXT).contains(&length) { Ok(client) } else { Err(ClientFault::Name { length }) }
}

impl fmt::Display for ClientFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => {
                f.write_str("no client is named: name each whose sessions may refresh here")
            }
            Self::Name { length } => write!(
                f,
                "the name of a client has {length} bytes, and 1 to {MAX_TEXT} are accepted: take what its logins say, such as `web`"
            ),
        }
    }
}

impl core::error::Error for ClientFault {}

debug_as_displayed!(ClientFault);
