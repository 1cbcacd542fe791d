//! Why a request was turned away, a variant for each step.
mod claims;
mod forbidden;
mod revocation;
mod shape;
mod source;

use core::fmt;
use core::time::Duration;

pub use self::claims::{ClaimName, ClaimsError};
pub(crate) use self::forbidden::Remedy;
pub use self::forbidden::{Forbidden, RequirementFault};
pub use self::revocation::{RevocationError, RevocationUnavailable};
pub use self::shape::ShapeError;
pub use self::source::{CrossSiteError, SourceError};
use crate::dpop::DpopError;
pub use crate::json::JsonFault;
use crate::keys::KeyError;
use crate::mtls::CertificateError;
pub use crate::signature::{AlgorithmSet, SignatureError, UnknownAlgorithm};
pub use crate::text::TextFault;
pub use crate::token::{Part, TokenError, TypeName};

/// Why a request was turned away.
///
/// For logs and hooks: it stands in the extensions of the response. The client learns only what
/// the challenge says. Nothing in it came from the token, but for times, the algorithm and type that its header names,
/// in a [`ShapeError`] the names of claims, and where a tenant's keys are not available, their address.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Error {
    /// No single token could be taken from the request.
    Source(SourceError),
    /// It came in a cookie, with an unsafe request of another origin.
    CrossSite(CrossSiteError),
    /// It is not a token.
    Token(TokenError),
    /// No key is known that it could be signed with.
    Key(KeyError),
    /// Its signature does not verify.
    Signature(SignatureError),
    /// Its claims do not satisfy the policy.
    Claims(ClaimsError),
    /// It was taken back, or may have been.
    Revocation(RevocationError),
    /// Who sent it does not show that they have the key that it is bound to.
    Dpop(DpopError),
    /// Who sent it does not show that they have the certificate that it is bound to.
    Certificate(CertificateError),
    /// It verified, but its claims do not have the shape that a handler asks for.
    Shape(ShapeError),
    /// It verified, but the route asks for more.
    Forbidden(Forbidden),
    /// The route asks for what nobody can have.
    Requirement(RequirementFault),
    /// A handler asks for a token on a route that no policy stands in front of.
    NotInstalled,
    /// The route stands behind a [`RouteTable`](crate::RouteTable) that does not have it.
    RouteUncovered,
}

/// The longest that a client is told to wait for keys. A key server may ask this program to stay away for an hour, and
/// have keys again, or this program others, long before: a client that comes once a minute costs neither much.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Error {
    /// A short name for logs and metrics, one of [`REASONS`](Self::REASONS).
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Source(SourceError::Missing | SourceError::DpopScheme) => "token_missing",
            Self::Source(SourceError::Several) => "several_tokens",
            Self::CrossSite(CrossSiteError) => "cross_site",
            Self::Token(
                TokenError::TooLong { .. } | TokenError::PartTooLong { part: Part::Header, .. },
            ) => "too_large",
            Self::Token(TokenError::AlgorithmUnknown) => "unknown_algorithm",
            Self::Token(_) => "malformed",
            Self::Key(KeyError::Unknown) => "unknown_key",
            Self::Key(KeyError::TooMany | KeyError::IdMissing) => "ambiguous_key",
            Self::Key(KeyError::Withdrawn) => "key_withdrawn",
            Self::Key(KeyError::Unavailable(_)) => "keys_unavailable",
            Self::Signature(SignatureError) => "bad_signature",
            Self::Claims(error) => match error {
                ClaimsError::IssuerMissing { .. }
                | ClaimsError::IssuerSlash { .. }
                | ClaimsError::Issuer => "unknown_issuer",
                ClaimsError::Algorithm { .. } => "wrong_algorithm",
                ClaimsError::EmbeddedKey => "embedded_key",
                ClaimsError::Type { .. } | ClaimsError::NotAnAccessToken { .. } => "wrong_type",
                ClaimsError::Audience => "wrong_audience",
                ClaimsError::Expired { .. } => "expired",
                ClaimsError::NotYetValid { .. } => "not_yet_valid",
                ClaimsError::IssuedInFuture { .. } => "issued_in_future",
                ClaimsError::LivesTooLong { .. } => "lives_too_long",
                ClaimsError::TooOld { .. } => "too_old",
                ClaimsError::SenderConstrained => "sender_constrained",
                ClaimsError::AudienceMissing
                | ClaimsError::Missing { .. }
                | ClaimsError::Rule(ClaimName::Required(_)) => "claim_missing",
                ClaimsError::NumericId { .. } | ClaimsError::Rule(_) => "claim_rule",
            },
            Self::Revocation(RevocationError::Revoked) => "revoked",
            Self::Revocation(RevocationError::Unavailable(_)) => "revocation_unavailable",
            Self::Dpop(error) => error.reason(),
            Self::Certificate(error) => error.reason(),
            Self::Shape(_) => "claims_shape",
            Self::Forbidden(error) if error.needs_authentication() => "insufficient_authentication",
            Self::Forbidden(_) => "forbidden",
            Self::Requirement(_) => "requirement_fault",
            Self::NotInstalled => "not_installed",
            Self::RouteUncovered => "route_uncovered",
        }
    }

    /// Where the server could not tell, which is never the client's fault: how long a client should
    /// wait, if that is known.
    pub(crate) fn unavailable(&self) -> Option<Option<Duration>> {
        match self {
            Self::Key(KeyError::Unavailable(keys)) => {
                Some(keys.retry_after.map(|wait| wait.min(LONGEST_WAIT)))
            }
            Self::Revocation(RevocationError::Unavailable(revocation)) => {
                Some(revocation.retry_after)
            }
            Self::Dpop(DpopError::Unavailable(replays)) => Some(replays.retry_after),
            Self::Certificate(error) => error.is_unavailable().then_some(None),
            _ => None,
        }
    }

    /// Every [`reason`](Self::reason) there is.
    pub const REASONS: &'static [&'static str] = &[
        "token_missing",
        "several_tokens",
        "cross_site",
        "too_large",
        "unknown_algorithm",
        "malformed",
        "unknown_key",
        "ambiguous_key",
        "key_withdrawn",
        "keys_unavailable",
        "bad_signature",
        "unknown_issuer",
        "wrong_algorithm",
        "embedded_key",
        "wrong_type",
        "wrong_audience",
        "expired",
        "not_yet_valid",
        "issued_in_future",
        "lives_too_long",
        "too_old",
        "sender_constrained",
        "claim_missing",
        "claim_rule",
        "revoked",
        "revocation_unavailable",
        "proof_missing",
        "bad_proof",
        "nonce_missing",
        "nonce_old",
        "nonce_foreign",
        "proof_replayed",
        "replays_unavailable",
        "wrong_binding",
        "certificate_missing",
        "certificate_other",
        "bad_certificate_header",
        "untrusted_proxy",
        "certificate_unavailable",
        "claims_shape",
        "insufficient_authentication",
        "forbidden",
        "requirement_fault",
        "not_installed",
        "route_uncovered",
    ];
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(error) => error.fmt(f),
            Self::CrossSite(error) => error.fmt(f),
            Self::Token(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
            Self::Signature(error) => error.fmt(f),
            Self::Claims(error) => error.fmt(f),
            Self::Revocation(error) => error.fmt(f),
            Self::Dpop(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::Shape(error) => error.fmt(f),
            Self::Forbidden(error) => error.fmt(f),
            Self::Requirement(fault) => fault.fmt(f),
            Self::RouteUncovered => f.write_str(
                "the table of routes does not have this one: name it there, by `require`, `any_caller` or `anyone`",
            ),
            Self::NotInstalled => f.write_str(
                "no policy stands in front of this route: add `VerifyLayer` (tower, axum) or `Verify` (actix-web) around it; in axum, routes added after `.layer` are not covered",
            ),
        }
    }
}

impl core::error::Error for Error {}

macro_rules! from_step {
    ($($variant:ident: $error:ty),* $(,)?) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}
from_step!(
    Source: SourceError,
    CrossSite: CrossSiteError,
    Token: TokenError,
    Key: KeyError,
    Signature: SignatureError,
    Claims: ClaimsError,
    Revocation: RevocationError,
    Dpop: DpopError,
    Certificate: CertificateError,
    Shape: ShapeError,
    Forbidden: Forbidden,
    Requirement: RequirementFault,
);
