use core::fmt;
use core::time::Duration;

use crate::debug_as_displayed::debug_as_displayed;
use crate::error::{ClaimsError, Error};
use crate::fetch::{AddressFault, FetchError, SettingFault, shown};
use crate::json::JsonFault;
use crate::token::TokenError;

/// Why a status list could not be asked. For an operator: the client is told 503.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusListError {
    issuer: String,
    uri: String,
    fault: StatusListFault,
}

/// What is wrong with a status list, or with where it is.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StatusListFault {
    /// Nothing is fetched from its address.
    Address(AddressFault),
    /// Its address is neither of the issuer's origin nor of one that was
    /// [allowed](super::StatusLists::allow_origin).
    OtherOrigin,
    /// As many lists as there may be are being fetched, or half as many for this issuer alone.
    NoRoom,
    /// It was not fetched.
    Fetch(FetchError),
    /// What came says that it is something else than `application/statuslist+jwt`.
    ContentType,
    /// It is no token that the issuer signed to be a list and that is good now: its signature, its
    /// `typ`, `iss`, `iat`, `exp`, `nbf` or `ttl`.
    Token(Error),
    /// It is the list of another address: `sub`.
    Subject,
    /// It was issued before the one that is at hand.
    Older,
    /// `status_list` has no `bits` of 1, 2, 4 or 8, or no `lst` that is one whole zlib stream in
    /// base64url.
    Malformed,
    /// The list has more bytes than allowed, decompressed.
    TooLarge {
        /// How many are.
        allowed: usize,
    },
    /// It was not fetched and verified in time.
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// The HTTP client or a source of keys panicked.
    Panicked,
    /// The policy is gone.
    Ended,
}

impl StatusListError {
    pub(super) fn new(issuer: &str, uri: &str, fault: StatusListFault) -> Self {
        Self { issuer: issuer.to_owned(), uri: shown(uri), fault }
    }

    /// Whose list it is.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its address as the token has it, without user, query and fragment.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// What is wrong.
    pub fn fault(&self) -> &StatusListFault {
        &self.fault
    }
}

impl StatusListFault {
    /// When the server wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Fetch(error) => error.retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for StatusListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            // It names the address itself.
            StatusListFault::Fetch(error) => error.fmt(f),
            fault => write!(f, "{}: {fault}", self.uri.escape_debug()),
        }
    }
}

impl core::error::Error for StatusListError {}

impl fmt::Display for StatusListFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(fault) => fault.fmt(f),
            Self::OtherOrigin => {
                f.write_str("this is another origin than the issuer's: if its lists are there, name the origin by `StatusLists::allow_origin`")
            }
            Self::NoRoom => f.write_str("too many lists are being fetched"),
            Self::Fetch(error) => error.fmt(f),
            Self::ContentType => f.write_str("the answer is not `application/statuslist+jwt`"),
            Self::Token(error) => write!(f, "the list was refused: {error}"),
            Self::Subject => f.write_str("this is the list of another address, by its `sub`"),
            Self::Older => f.write_str("the list was issued before the one at hand"),
            Self::Malformed => f.write_str("this is not a list of statuses, or it cannot be read"),
            Self::TooLarge { allowed } => {
                write!(f, "the list has more than the {allowed} bytes allowed")
            }
            Self::Timeout { after } => write!(f, "no list came within {after:?}"),
            Self::Panicked => f.write_str("the HTTP client or a source of keys panicked"),
            Self::Ended => f.write_str("the policy is gone"),
        }
    }
}

impl core::error::Error for StatusListFault {}

impl From<Error> for StatusListFault {
    fn from(error: Error) -> Self {
        Self::Token(error)
    }
}

impl From<ClaimsError> for StatusListFault {
    fn from(error: ClaimsError) -> Self {
        Self::Token(error.into())
    }
}

impl From<TokenError> for StatusListFault {
    fn from(error: TokenError) -> Self {
        Self::Token(error.into())
    }
}

impl From<JsonFault> for StatusListFault {
    fn from(_: JsonFault) -> Self {
        Self::Malformed
    }
}

impl From<FetchError> for StatusListFault {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<AddressFault> for StatusListFault {
    fn from(fault: AddressFault) -> Self {
        Self::Address(fault)
    }
}

/// Why status lists do not start.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum StatusListsError {
    /// A setting is out of its bounds.
    Setting(SettingFault),
    /// An allowed origin that is none, or that has no TLS.
    Origin {
        /// The origin.
        origin: String,
    },
    /// The thread that fetches cannot be had.
    Thread(String),
}

impl fmt::Display for StatusListsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(fault) => fault.fmt(f),
            Self::Origin { origin } => write!(
                f,
                "`{}` is not an origin of lists: write scheme, host and port, `https://status.example`",
                origin.escape_debug()
            ),
            Self::Thread(reason) => {
                write!(f, "the thread that fetches lists cannot be started: {reason}")
            }
        }
    }
}

debug_as_displayed!(StatusListsError);

impl core::error::Error for StatusListsError {}
