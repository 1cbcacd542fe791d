//! Why something was not revoked.
use core::fmt;

use super::kind::Revocable;
use crate::debug_as_displayed::debug_as_displayed;
use crate::time::UnixTime;

/// Why something was not revoked, or may not have been.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum RevokeError {
    /// There are as many entries as there may be, and none of them is over.
    Full {
        /// How many.
        capacity: usize,
    },
    /// The issuer has its share of the room. Its logout tokens and administrators revoke no more until some of its
    /// entries are over; others do, and so does code.
    ShareUsedUp {
        /// For how many entries there is room.
        capacity: usize,
    },
    /// The issuer, or what is to be revoked, is an empty name.
    Nameless(Revocable),
    /// An instant before 1970.
    Instant,
    /// An instant that is yet to come. All who log in until then would be refused.
    IssuedTooLate {
        /// The instant.
        instant: UnixTime,
        /// Now and the leeway: the latest that a token is accepted from.
        latest: UnixTime,
    },
    /// An end beyond that of all tokens.
    EndsTooLate {
        /// The end.
        until: UnixTime,
        /// The latest that a token can end that is made now, and a minute.
        latest: UnixTime,
    },
    /// What is to be lifted is neither revoked nor lifted already, as far as this process knows.
    NotRevoked(Revocable),
    /// It was lifted 65,535 times, which is as often as can be counted.
    LiftedTooOften(Revocable),
    /// Without a bound on tokens' lifetime, a token is revoked until its `exp`, which has to be said.
    NoEnd(Revocable),
    /// Without a bound on tokens' lifetime, nobody knows how long to remember it.
    NoLifetime(Revocable),
    /// The store did not acknowledge it. It may be revoked all the same: try again.
    Store(StoreError),
}

impl fmt::Display for RevokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { capacity } => write!(
                f,
                "there is no room for another revocation: raise `capacity` ({capacity} entries), or shorten the lifetime of tokens"
            ),
            Self::Nameless(kind) => {
                write!(
                    f,
                    "a revocation of kind `{kind}` names an issuer and what is revoked: one is empty"
                )
            }
            Self::ShareUsedUp { capacity } => write!(
                f,
                "the issuer has used up its share of the room for revocations: raise `capacity` ({capacity} entries), or shorten the lifetime of tokens"
            ),
            Self::IssuedTooLate { instant, latest } => write!(
                f,
                "`issued_until` is {instant}, and the latest that a token can be issued is {latest}: are these milliseconds? Times are seconds since 1970"
            ),
            Self::EndsTooLate { until, latest } => write!(
                f,
                "`until` is {until}, and the latest that a token can end is {latest}: are these milliseconds? Times are seconds since 1970, and for ever is the word `forever`"
            ),
            Self::NotRevoked(kind) => {
                write!(
                    f,
                    "a revocation of kind `{kind}` like this is not known here, so that nothing was lifted"
                )
            }
            Self::LiftedTooOften(kind) => {
                write!(
                    f,
                    "this revocation of kind `{kind}` was lifted 65,535 times, and cannot be lifted again"
                )
            }
            Self::Instant => {
                f.write_str("the instant is before 1970, so that nothing would be revoked")
            }
            Self::NoEnd(kind) => write!(
                f,
                "without a bound on the lifetime of tokens, a revocation of kind `{kind}` must say until when it holds"
            ),
            Self::NoLifetime(kind) => write!(
                f,
                "without a bound on the lifetime of tokens, nobody knows how long to remember a revocation of kind `{kind}`: set `max_lifetime`"
            ),
            Self::Store(error) => {
                write!(f, "the store did not acknowledge the revocation, try again: {error}")
            }
        }
    }
}

debug_as_displayed!(RevokeError);

impl core::error::Error for RevokeError {}

/// A store did not acknowledge an entry. It may have it all the same: to try again does no harm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreError {
    reason: String,
}

impl StoreError {
    /// For the log of whoever revokes. It must name nobody.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl core::error::Error for StoreError {}
