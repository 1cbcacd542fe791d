use core::fmt;
use core::time::Duration;

/// Which tokens were taken back cannot be told at the moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RevocationUnavailable {
    /// How long a client should wait, where that is known. Rounded up to whole seconds.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for RevocationUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("which tokens were revoked cannot be told at the moment")
    }
}

impl core::error::Error for RevocationUnavailable {}

/// A token was taken back, or may have been.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RevocationError {
    /// It was taken back.
    Revoked,
    /// It cannot be told. Never the client's fault.
    Unavailable(RevocationUnavailable),
}

impl fmt::Display for RevocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked => f.write_str("the token was revoked"),
            Self::Unavailable(unavailable) => unavailable.fmt(f),
        }
    }
}

impl core::error::Error for RevocationError {}
