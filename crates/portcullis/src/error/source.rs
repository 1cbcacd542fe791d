use core::fmt;

/// No single token could be taken from the request.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SourceError {
    /// There is none: an empty value, and a scheme that is not `Bearer`, are none.
    Missing,
    /// There is none but one with the scheme `DPoP`, which a policy without [`dpop`](crate::PolicyBuilder::dpop) does not take: to
    /// it, that is none.
    DpopScheme,
    /// There are several, in one place or in two.
    Several,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request carries no token",
            Self::DpopScheme => {
                "the request carries no bearer token, but one with the scheme `DPoP`, which this policy does not take: add `PolicyBuilder::dpop`, or `[dpop]` in a file"
            }
            Self::Several => "the request carries more than one token",
        })
    }
}

impl core::error::Error for SourceError {}

/// A cookie came with a request that another site may have caused.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CrossSiteError;

impl CrossSiteError {
    /// The error, for a comparison in a test.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for CrossSiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token in a cookie came with an unsafe request of another origin")
    }
}

impl core::error::Error for CrossSiteError {}
