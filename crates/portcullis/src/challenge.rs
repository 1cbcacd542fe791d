//! What the client is told: one match, without a `_` arm at any depth, so that a new way to fail
//! does not compile before it has an answer.
use crate::error::{Claim, ClaimsError, CrossSiteError, Error, RevocationError, SourceError};
use crate::keys::KeyError;
use crate::signature::SignatureError;
use crate::token::TokenError;

/// A row of the table of answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    TokenMissing,
    SeveralTokens,
    Malformed,
    Unverifiable,
    NotForThisResource,
    Expired,
    NotYetValid,
    TooOld,
    ClaimMissing,
    ClaimRefused,
    Revoked,
    Unsuitable,
    Forbidden,
    AuthenticationInsufficient,
    CrossSite,
    Unavailable,
    Misconfigured,
}

impl Answer {
    pub(crate) const ALL: [Self; 17] = [
        Self::TokenMissing,
        Self::SeveralTokens,
        Self::Malformed,
        Self::Unverifiable,
        Self::NotForThisResource,
        Self::Expired,
        Self::NotYetValid,
        Self::TooOld,
        Self::ClaimMissing,
        Self::ClaimRefused,
        Self::Revoked,
        Self::Unsuitable,
        Self::Forbidden,
        Self::AuthenticationInsufficient,
        Self::CrossSite,
        Self::Unavailable,
        Self::Misconfigured,
    ];

    pub(crate) fn to(error: &Error) -> Self {
        match error {
            Error::Source(SourceError::Missing) => Self::TokenMissing,
            Error::Source(SourceError::Several) => Self::SeveralTokens,
            Error::CrossSite(CrossSiteError) => Self::CrossSite,
            Error::Token(error) => match error {
                // Known or not, it is not an algorithm of the policy: the same answer for both.
                TokenError::AlgorithmUnknown => Self::Unverifiable,
                TokenError::TooLong { .. }
                | TokenError::Character
                | TokenError::Padding
                | TokenError::Parts { .. }
                | TokenError::Empty(_)
                | TokenError::Base64(_)
                | TokenError::PartTooLong { .. }
                | TokenError::Json(..)
                | TokenError::AlgorithmMissing
                | TokenError::HeaderType { .. }
                | TokenError::HeaderUnsupported { .. }
                | TokenError::KeyIdTooLong
                | TokenError::ClaimType { .. }
                | TokenError::TooManyAudiences
                | TokenError::TokenIdTooLong => Self::Malformed,
            },
            Error::Key(error) => match error {
                KeyError::Unknown
                | KeyError::TooMany
                | KeyError::IdMissing
                | KeyError::Withdrawn => Self::Unverifiable,
                KeyError::Unavailable(_) => Self::Unavailable,
            },
            Error::Signature(SignatureError) => Self::Unverifiable,
            Error::Claims(error) => match error {
                ClaimsError::Issuer
                | ClaimsError::Algorithm
                | ClaimsError::EmbeddedKey
                | ClaimsError::Type
                | ClaimsError::NotAnAccessToken { .. }
                | ClaimsError::NumericId { .. }
                | ClaimsError::LivesTooLong { .. }
                | ClaimsError::SenderConstrained => Self::Unverifiable,
                ClaimsError::Audience | ClaimsError::AudienceMissing => Self::NotForThisResource,
                ClaimsError::Expired { .. } => Self::Expired,
                ClaimsError::NotYetValid { .. } | ClaimsError::IssuedInFuture { .. } => {
                    Self::NotYetValid
                }
                ClaimsError::TooOld { .. } => Self::TooOld,
                ClaimsError::Missing { .. } | ClaimsError::Rule(Claim::Required(_)) => {
                    Self::ClaimMissing
                }
                ClaimsError::Rule(Claim::Forbidden(_) | Claim::Value(_) | Claim::Predicate(_)) => {
                    Self::ClaimRefused
                }
            },
            Error::Revocation(RevocationError::Revoked) => Self::Revoked,
            Error::Revocation(RevocationError::Unavailable(_)) => Self::Unavailable,
            Error::Shape(_) => Self::Unsuitable,
            Error::Forbidden(error) if error.needs_authentication() => {
                Self::AuthenticationInsufficient
            }
            Error::Forbidden(_) => Self::Forbidden,
            Error::Requirement(_) | Error::NotInstalled => Self::Misconfigured,
        }
    }

    pub(crate) fn status(self) -> http::StatusCode {
        match self {
            // Malformed credentials too: browsers send `Bearer undefined`, and clients refresh
            // their token on 401 only.
            Self::TokenMissing
            | Self::Malformed
            | Self::Unverifiable
            | Self::NotForThisResource
            | Self::Expired
            | Self::NotYetValid
            | Self::TooOld
            | Self::ClaimMissing
            | Self::ClaimRefused
            | Self::Revoked
            // RFC 9470 §3.
            | Self::AuthenticationInsufficient => http::StatusCode::UNAUTHORIZED,
            Self::SeveralTokens => http::StatusCode::BAD_REQUEST,
            Self::Unsuitable | Self::Forbidden | Self::CrossSite => http::StatusCode::FORBIDDEN,
            Self::Unavailable => http::StatusCode::SERVICE_UNAVAILABLE,
            Self::Misconfigured => http::StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::TokenMissing => "token-missing",
            Self::SeveralTokens => "request-invalid",
            Self::Malformed
            | Self::Unverifiable
            | Self::NotForThisResource
            | Self::Expired
            | Self::NotYetValid
            | Self::TooOld
            | Self::ClaimMissing
            | Self::ClaimRefused
            | Self::Revoked => "token-invalid",
            Self::Unsuitable => "token-unsuitable",
            Self::Forbidden => "scope-insufficient",
            Self::AuthenticationInsufficient => "authentication-insufficient",
            Self::CrossSite => "cross-site-request",
            Self::Unavailable => "verification-unavailable",
            Self::Misconfigured => "misconfigured",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::TokenMissing => "Authentication required",
            Self::SeveralTokens => "Invalid request",
            Self::Malformed
            | Self::Unverifiable
            | Self::NotForThisResource
            | Self::Expired
            | Self::NotYetValid
            | Self::TooOld
            | Self::ClaimMissing
            | Self::ClaimRefused
            | Self::Revoked => "Invalid access token",
            Self::Unsuitable => "Unsuitable access token",
            Self::Forbidden => "Insufficient scope",
            Self::AuthenticationInsufficient => "Stronger authentication required",
            Self::CrossSite => "Cross-site request refused",
            Self::Unavailable => "Temporarily unavailable",
            Self::Misconfigured => "Server misconfigured",
        }
    }

    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::TokenMissing => "This resource needs an access token.",
            Self::SeveralTokens => "The request carries more than one access token.",
            Self::Malformed => "The access token is malformed.",
            Self::Unverifiable => "The access token could not be verified.",
            Self::NotForThisResource => "The access token is not meant for this resource.",
            Self::Expired => "The access token has expired.",
            Self::NotYetValid => "The access token is not valid yet.",
            Self::TooOld => "The access token is too old.",
            Self::ClaimMissing => "The access token lacks a required claim.",
            Self::ClaimRefused => {
                "The claims of the access token are not what this resource accepts."
            }
            Self::Revoked => "The access token has been revoked.",
            Self::Unsuitable => "The access token does not carry what this resource needs.",
            Self::Forbidden => "The access token does not allow this request.",
            Self::AuthenticationInsufficient => {
                "A stronger or more recent authentication is needed."
            }
            Self::CrossSite => "The request did not come from an allowed origin.",
            Self::Unavailable => "Access tokens cannot be verified at the moment.",
            Self::Misconfigured => "This resource is not protected as it was meant to be.",
        }
    }

    /// Whether there is a `WWW-Authenticate` header, and its `error` (RFC 6750 §3.1).
    pub(crate) fn challenge(self) -> Option<Option<&'static str>> {
        match self {
            // RFC 6750 §3.1: no error information where no credentials were sent.
            Self::TokenMissing => Some(None),
            Self::SeveralTokens => Some(Some("invalid_request")),
            Self::Forbidden => Some(Some("insufficient_scope")),
            Self::AuthenticationInsufficient => Some(Some("insufficient_user_authentication")),
            Self::Malformed
            | Self::Unverifiable
            | Self::NotForThisResource
            | Self::Expired
            | Self::NotYetValid
            | Self::TooOld
            | Self::ClaimMissing
            | Self::ClaimRefused
            | Self::Revoked => Some(Some("invalid_token")),
            Self::Unsuitable | Self::CrossSite | Self::Unavailable | Self::Misconfigured => None,
        }
    }
    /// Whether a client should get a token, or another one.
    pub(crate) fn wants_token(self) -> bool {
        match self {
            Self::TokenMissing
            | Self::Malformed
            | Self::Unverifiable
            | Self::NotForThisResource
            | Self::Expired
            | Self::NotYetValid
            | Self::TooOld
            | Self::ClaimMissing
            | Self::ClaimRefused
            | Self::Revoked => true,
            Self::SeveralTokens
            | Self::Unsuitable
            | Self::Forbidden
            | Self::AuthenticationInsufficient
            | Self::CrossSite
            | Self::Unavailable
            | Self::Misconfigured => false,
        }
    }

    /// Whose trouble it is.
    #[cfg(feature = "tracing")]
    pub(crate) fn severity(self) -> Severity {
        match self {
            // Each visitor's first request.
            Self::TokenMissing => Severity::Routine,
            Self::SeveralTokens
            | Self::Malformed
            | Self::Unverifiable
            | Self::NotForThisResource
            | Self::Expired
            | Self::NotYetValid
            | Self::TooOld
            | Self::ClaimMissing
            | Self::ClaimRefused
            | Self::Revoked
            | Self::Unsuitable
            | Self::Forbidden
            | Self::AuthenticationInsufficient
            | Self::CrossSite => Severity::Client,
            Self::Unavailable => Severity::Dependency,
            Self::Misconfigured => Severity::Fault,
        }
    }

    /// The status code of a gRPC call.
    pub(crate) fn grpc_code(self) -> GrpcCode {
        match self {
            Self::TokenMissing
            | Self::Malformed
            | Self::Unverifiable
            | Self::NotForThisResource
            | Self::Expired
            | Self::NotYetValid
            | Self::TooOld
            | Self::ClaimMissing
            | Self::ClaimRefused
            | Self::Revoked
            | Self::AuthenticationInsufficient => GrpcCode::Unauthenticated,
            Self::SeveralTokens => GrpcCode::InvalidArgument,
            Self::Unsuitable | Self::Forbidden | Self::CrossSite => GrpcCode::PermissionDenied,
            Self::Unavailable => GrpcCode::Unavailable,
            Self::Misconfigured => GrpcCode::Internal,
        }
    }
}

/// Whose trouble a refusal is.
#[cfg(feature = "tracing")]
pub(crate) enum Severity {
    /// Nobody's.
    Routine,
    Client,
    /// That of whom the server depends on.
    Dependency,
    /// The server's own.
    Fault,
}

/// The status codes of gRPC that an answer may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum GrpcCode {
    InvalidArgument = 3,
    PermissionDenied = 7,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}
