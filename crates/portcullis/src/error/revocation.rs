use core::fmt;
use core::time::Duration;

/// Which tokens were taken back cannot be told at the moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct RevocationUnavailable {
    /// How long a client should wait, where that is known. Rounded up to whole seconds.
    pub retry_after: Option<Duration>,
}

impl RevocationUnavailable {
    /// It cannot be told. Without [`with_retry_after`](Self::with_retry_after), a client is told to wait five seconds.
    pub const fn new() -> Self {
        Self { retry_after: None }
    }

    /// How long a client should wait. `None`: nobody knows.
    pub const fn with_retry_after(self, wait: Option<Duration>) -> Self {
        Self { retry_after: wait }
    }
}

impl fmt::Display for RevocationUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not known at the moment which tokens were revoked")
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
