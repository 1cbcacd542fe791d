use core::fmt;
use std::sync::Arc;

use crate::signature::{Algorithm, AlgorithmSet};
use crate::time::{InWords, ToTheSecond, UnixTime};
use crate::token::TypeName;

/// A claim does not satisfy the policy.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClaimsError {
    /// There is no `iss`.
    IssuerMissing {
        /// Claims that are not there either, of those that every issuer's tokens need: so that who makes the tokens adds all
        /// of them at once.
        also: &'static [&'static str],
    },
    /// `iss` differs from an issuer that the policy trusts by the slash at its end alone (RFC 8725 §3.8 has them compared
    /// exactly).
    IssuerSlash {
        /// The issuer, as the policy has it.
        trusted: Arc<str>,
    },
    /// `iss` names no issuer that the policy trusts.
    Issuer,
    /// The issuer is not trusted with the algorithm that the token names.
    Algorithm {
        /// What the token names.
        found: Algorithm,
        /// What the issuer is trusted with.
        trusted: AlgorithmSet,
    },
    /// The header carries or points to a key, and the policy refuses such tokens.
    EmbeddedKey,
    /// The `typ` header names another type.
    Type {
        /// What it names.
        found: TypeName,
        /// What is accepted, in words.
        accepted: &'static str,
    },
    /// A claim says that it is another kind of token: an ID token, a logout token.
    NotAnAccessToken {
        /// The claim.
        claim: &'static str,
    },
    /// `sub` or `jti` is a number, and the issuer may not write them so.
    NumericId {
        /// Which of them.
        claim: &'static str,
    },
    /// There is no `aud`, so that the token is for nobody.
    AudienceMissing,
    /// `aud` does not name this service.
    Audience,
    /// It has expired.
    Expired {
        /// Its `exp`.
        at: UnixTime,
        /// When it was checked.
        now: UnixTime,
    },
    /// `nbf` is in the future.
    NotYetValid {
        /// Its `nbf`.
        from: UnixTime,
        /// When it was checked.
        now: UnixTime,
    },
    /// `iat` is in the future.
    IssuedInFuture {
        /// Its `iat`.
        from: UnixTime,
        /// When it was checked.
        now: UnixTime,
    },
    /// It was made to live longer than the policy's maximum lifetime.
    LivesTooLong {
        /// From `iat`, or else from now, to `exp`.
        lifetime: core::time::Duration,
        /// The maximum.
        limit: core::time::Duration,
    },
    /// It was issued longer ago than the policy's maximum age.
    TooOld {
        /// Since `iat`.
        age: core::time::Duration,
        /// The maximum.
        limit: core::time::Duration,
    },
    /// It is bound to a key or a certificate of its sender (`cnf`, RFC 7800), which the policy does not check.
    SenderConstrained,
    /// A claim that verification needs is missing. Of `aud` there is [another](Self::AudienceMissing).
    Missing {
        /// Its name.
        claim: &'static str,
    },
    /// A rule of the policy is not met.
    Rule(ClaimName),
}

impl fmt::Display for ClaimsError {
    #[allow(clippy::too_many_lines, reason = "one match, with an arm for each")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IssuerMissing { also: [] } => {
                f.write_str("the claim `iss` is missing: let whoever makes the tokens write the issuer that the policy trusts")
            }
            Self::IssuerMissing { also } => write!(
                f,
                "the claim `iss` is missing, and so is `{}`: let whoever makes the tokens write all of them, as the policy says",
                also.join("` and `")
            ),
            Self::IssuerSlash { trusted } => write!(
                f,
                "`iss` is the trusted issuer `{trusted}` but for the slash at its end, which counts: write the issuer in the policy as its tokens do"
            ),
            Self::Issuer => f.write_str("`iss` does not name an issuer that the policy trusts"),
            Self::Algorithm { found, trusted } => write!(
                f,
                "the token is signed with {found}, and the policy trusts the issuer with {trusted}: if the issuer signs with {found}, add it to the issuer's algorithms"
            ),
            Self::EmbeddedKey => f.write_str(
                "the header carries or points to a key, and the policy refuses such tokens",
            ),
            Self::Type { found, accepted } => {
                write!(f, "the header's `typ` is {found}, and only {accepted} is accepted")
            }
            Self::NotAnAccessToken { claim } => {
                write!(f, "the claim `{claim}` says that this is not an access token")
            }
            Self::NumericId { claim } => write!(
                f,
                "the claim `{claim}` is a number, and RFC 7519 §4.1 makes it a string: have the issuer write it in quotes, or allow numbers for this issuer by `Issuer::numeric_ids`, in a policy file `numeric_ids = true`"
            ),
            Self::AudienceMissing => f.write_str(
                "the claim `aud` is missing: let whoever makes the tokens write the audience that the policy names",
            ),
            Self::Audience => f.write_str("`aud` does not name this service"),
            Self::Expired { at, now } => {
                write!(f, "the token expired {} ago (`exp` is {at})", since(*at, *now))
            }
            Self::NotYetValid { from, now } => {
                write!(f, "the token becomes valid in {} (`nbf` is {from})", since(*now, *from))
            }
            Self::IssuedInFuture { from, now } => write!(
                f,
                "the token was issued {} in the future (`iat` is {from}): the clocks of the issuer and of this service differ",
                since(*now, *from)
            ),
            Self::LivesTooLong { lifetime, limit } => write!(
                f,
                "the token lives {}, and the policy allows {}: have the issuer shorten it, or raise `max_lifetime`",
                ToTheSecond(*lifetime),
                ToTheSecond(*limit)
            ),
            Self::TooOld { age, limit } => write!(
                f,
                "the token was issued {} ago, and the policy allows {} (`max_age`)",
                ToTheSecond(*age),
                ToTheSecond(*limit)
            ),
            Self::SenderConstrained => f.write_str(
                "the token is bound to a key or a certificate of its sender (`cnf`), which this policy does not check: for DPoP, add `PolicyBuilder::dpop`, or `[dpop]` in a file; for certificates, `PolicyBuilder::mtls`, or `[mtls]`",
            ),
            Self::Missing { claim } => write!(f, "the claim `{claim}` is missing"),
            Self::Rule(claim) => write!(f, "a rule of the policy is not met: {claim}"),
        }
    }
}

fn since(earlier: UnixTime, later: UnixTime) -> InWords {
    InWords(later.saturating_since(earlier))
}

impl core::error::Error for ClaimsError {}

/// The rule about claims that a token does not meet. Names come from the policy, not from the
/// token.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClaimName {
    /// The claim of this name is missing.
    Required(Arc<str>),
    /// The claim of this name must not be there.
    Forbidden(Arc<str>),
    /// The claim of this name is missing or has another value.
    Value(Arc<str>),
    /// The predicate of this name does not hold.
    Predicate(Arc<str>),
}

impl fmt::Display for ClaimName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required(name) => write!(f, "the claim `{name}` is missing"),
            Self::Forbidden(name) => write!(f, "the claim `{name}` is there, and must not be"),
            Self::Value(name) => {
                write!(
                    f,
                    "the claim `{name}` is missing, or has a value that the policy does not allow"
                )
            }
            Self::Predicate(name) => write!(f, "{name}"),
        }
    }
}
