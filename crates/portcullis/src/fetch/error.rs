//! Why nothing was fetched.
use core::fmt;
use core::time::Duration;

use url::Url;

use crate::debug_as_displayed::debug_as_displayed;

/// Why a fetch failed.
#[derive(Clone, Eq, PartialEq)]
pub struct FetchError {
    pub(crate) url: String,
    pub(crate) fault: FetchFault,
    pub(crate) retry_after: Option<Duration>,
}

/// What went wrong with a fetch.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FetchFault {
    /// No connection, or it broke: in the words of the HTTP client.
    Connection(String),
    /// No whole answer in time.
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// An answer of more bytes than allowed, after decompression.
    TooLarge {
        /// How many are.
        allowed: usize,
    },
    /// A redirect, which is not followed.
    Redirect {
        /// The status.
        status: u16,
    },
    /// Another status than 200.
    Status {
        /// The status.
        status: u16,
    },
}

impl FetchError {
    pub(super) fn new(url: &Url, fault: FetchFault) -> Self {
        Self { url: without_query(url), fault, retry_after: None }
    }

    /// The address that was asked, without its query.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What went wrong.
    pub fn fault(&self) -> &FetchFault {
        &self.fault
    }
}

/// An address for a message: a key for an interface may stand in the query.
pub(crate) fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

impl fmt::Display for FetchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(reason) => f.write_str(reason),
            Self::Timeout { after } => write!(f, "no whole answer came within {after:?}"),
            Self::TooLarge { allowed } => {
                write!(f, "the answer has more than the {allowed} bytes allowed")
            }
            Self::Redirect { status } => {
                write!(
                    f,
                    "the server redirects ({status}), which is not followed: configure the address that it redirects to"
                )
            }
            Self::Status { status } => write!(f, "the server answered with status {status}"),
        }
    }
}

impl core::error::Error for FetchFault {}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.fault)
    }
}

debug_as_displayed!(FetchError);

impl core::error::Error for FetchError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(fault: FetchFault) -> FetchError {
        let url = Url::parse("https://id.example/jwks?key=secret").expect("an address");
        FetchError::new(&url, fault)
    }

    #[test]
    fn an_error_names_its_address_without_the_query() {
        let error = error(FetchFault::Status { status: 500 });
        assert_eq!(error.url(), "https://id.example/jwks");
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn an_error_names_the_fault_and_the_way_out() {
        for (fault, text) in [
            (FetchFault::Connection("refused".to_owned()), "refused"),
            (
                FetchFault::Timeout { after: Duration::from_secs(5) },
                "no whole answer came within 5s",
            ),
            (FetchFault::TooLarge { allowed: 7 }, "the answer has more than the 7 bytes allowed"),
            (
                FetchFault::Redirect { status: 302 },
                "the server redirects (302), which is not followed: configure the address that it redirects to",
            ),
            (FetchFault::Status { status: 500 }, "the server answered with status 500"),
        ] {
            assert_eq!(error(fault).to_string(), format!("https://id.example/jwks: {text}"));
        }
    }
}
