//! What the client is told: a table of what each answer says, row by row; and one match over every error,
//! without a `_` arm at any depth, so that a new way to fail does not compile before it has an answer.
use http::StatusCode;

use crate::dpop::DpopError;
use crate::error::{ClaimName, ClaimsError, CrossSiteError, Error, RevocationError, SourceError};
use crate::keys::KeyError;
use crate::signature::SignatureError;
use crate::token::TokenError;

/// All that an answer says.
pub(crate) struct Row {
    pub(crate) status: StatusCode,
    /// The member `code` of the problem details, and the end of its `type`.
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) detail: &'static str,
    pub(crate) challenge: Challenge,
    /// Whether a client should get a token, or another one.
    pub(crate) wants_token: bool,
    #[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "of events"))]
    pub(crate) severity: Severity,
    /// The status code of a gRPC call.
    pub(crate) grpc: GrpcCode,
}

/// The `WWW-Authenticate` header of an answer (RFC 6750 §3).
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Challenge {
    Absent,
    WithoutError,
    /// The `error` (RFC 6750 §3.1), in the challenge of the scheme that was used (RFC 9449 §7.2).
    Error(&'static str),
    /// The same, in that of each scheme: both may have been used.
    ErrorOfEach(&'static str),
}

impl Challenge {
    /// RFC 9449 §9.
    pub(super) const USE_NONCE: Self = Self::Error("use_dpop_nonce");
}

/// Whose trouble a refusal is.
#[derive(Clone, Copy)]
pub(crate) enum Severity {
    /// Nobody's: each visitor's first request.
    Routine,
    Client,
    /// That of a server that this one depends on: of keys or revocations.
    Dependency,
    /// The server's own.
    Fault,
}

/// The status codes of gRPC that an answer may have.
#[derive(Clone, Copy)]
pub(crate) enum GrpcCode {
    InvalidArgument = 3,
    PermissionDenied = 7,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// Makes a list of answers with the row of each into a type, so that none is without a row, or left off
/// [`ALL`](Answer::ALL).
macro_rules! answers {
    ($($answer:ident: $row:expr,)*) => {
        /// A row of the table of answers.
        #[derive(Clone, Copy)]
        pub(crate) enum Answer {
            $($answer,)*
        }

        impl Answer {
            pub(crate) const ALL: [Self; [$(Self::$answer),*].len()] = [$(Self::$answer),*];

            pub(crate) const fn row(self) -> &'static Row {
                match self {
                    $(Self::$answer => const { &$row },)*
                }
            }
        }
    };
}

answers! {
    TokenMissing: Row {
        status: StatusCode::UNAUTHORIZED,
        code: "token-missing",
        title: "Authentication required",
        detail: "This resource needs an access token.",
        // RFC 6750 §3.1: no error information where no credentials were sent.
        challenge: Challenge::WithoutError,
        wants_token: true,
        severity: Severity::Routine,
        grpc: GrpcCode::Unauthenticated,
    },
    SeveralTokens: Row {
        status: StatusCode::BAD_REQUEST,
        code: "request-invalid",
        title: "Invalid request",
        detail: "The request carries more than one access token.",
        challenge: Challenge::ErrorOfEach("invalid_request"),
        wants_token: false,
        severity: Severity::Client,
        grpc: GrpcCode::InvalidArgument,
    },
    Malformed: invalid_token("The access token is malformed."),
    Unverifiable: invalid_token("The access token could not be verified."),
    NotForThisResource: invalid_token("The access token is not meant for this resource."),
    Expired: invalid_token("The access token has expired."),
    NotYetValid: invalid_token("The access token is not valid yet."),
    TooOld: invalid_token("The access token is too old."),
    ClaimMissing: invalid_token("The access token lacks a required claim."),
    ClaimRefused: invalid_token(
        "The claims of the access token are not what this resource accepts.",
    ),
    Revoked: invalid_token("The access token has been revoked."),
    BindingRefused: invalid_token("The access token was not sent as its binding to a key asks for."),
    CertificateRefused: invalid_token(
        "The access token does not go with the client's certificate, as this resource asks for.",
    ),
    ProofRefused: proof("The DPoP proof is missing, or does not hold for this request."),
    NonceNeeded: Row {
        code: "proof-nonce-needed",
        title: "DPoP nonce needed",
        // RFC 9449 §9.
        challenge: Challenge::USE_NONCE,
        // A client's first request has none.
        severity: Severity::Routine,
        ..proof("The DPoP proof needs the nonce that this answer has in `DPoP-Nonce`.")
    },
    ProofUsed: proof("The DPoP proof was used before, or may have been: make another one."),
    Unsuitable: Row {
        status: StatusCode::FORBIDDEN,
        code: "token-unsuitable",
        title: "Unsuitable access token",
        detail: "The access token does not carry what this resource needs.",
        challenge: Challenge::Absent,
        wants_token: false,
        severity: Severity::Client,
        grpc: GrpcCode::PermissionDenied,
    },
    Forbidden: Row {
        status: StatusCode::FORBIDDEN,
        code: "scope-insufficient",
        title: "Insufficient scope",
        detail: "The access token does not allow this request.",
        challenge: Challenge::Error("insufficient_scope"),
        wants_token: false,
        severity: Severity::Client,
        grpc: GrpcCode::PermissionDenied,
    },
    AuthenticationInsufficient: Row {
        // RFC 9470 §3.
        status: StatusCode::UNAUTHORIZED,
        code: "authentication-insufficient",
        title: "Stronger authentication required",
        detail: "A stronger or more recent authentication is needed.",
        challenge: Challenge::Error("insufficient_user_authentication"),
        wants_token: false,
        severity: Severity::Client,
        grpc: GrpcCode::Unauthenticated,
    },
    CrossSite: Row {
        status: StatusCode::FORBIDDEN,
        code: "cross-site-request",
        title: "Cross-site request refused",
        detail: "The request did not come from an allowed origin.",
        challenge: Challenge::Absent,
        wants_token: false,
        severity: Severity::Client,
        grpc: GrpcCode::PermissionDenied,
    },
    Unavailable: Row {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "verification-unavailable",
        title: "Temporarily unavailable",
        detail: "Access tokens cannot be verified at the moment.",
        challenge: Challenge::Absent,
        wants_token: false,
        severity: Severity::Dependency,
        grpc: GrpcCode::Unavailable,
    },
    Misconfigured: Row {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: "misconfigured",
        title: "Server misconfigured",
        detail: "This resource is not protected as it was meant to be.",
        challenge: Challenge::Absent,
        wants_token: false,
        severity: Severity::Fault,
        grpc: GrpcCode::Internal,
    },
}

/// What all answers to a token that does not verify have in common. 401 to malformed credentials too: browsers
/// send `Bearer undefined`, and clients refresh their token on 401 only.
const fn invalid_token(detail: &'static str) -> Row {
    Row {
        status: StatusCode::UNAUTHORIZED,
        code: "token-invalid",
        title: "Invalid access token",
        detail,
        challenge: Challenge::Error("invalid_token"),
        wants_token: true,
        severity: Severity::Client,
        grpc: GrpcCode::Unauthenticated,
    }
}

/// RFC 9449 §7.1, §9.
const fn proof(detail: &'static str) -> Row {
    Row {
        status: StatusCode::UNAUTHORIZED,
        code: "proof-invalid",
        title: "Invalid DPoP proof",
        detail,
        challenge: Challenge::Error("invalid_dpop_proof"),
        wants_token: true,
        severity: Severity::Client,
        grpc: GrpcCode::Unauthenticated,
    }
}

impl Answer {
    #[allow(clippy::too_many_lines, reason = "one match, with an arm for each")]
    pub(crate) fn to(error: &Error) -> Self {
        match error {
            Error::Source(SourceError::Missing | SourceError::DpopScheme) => Self::TokenMissing,
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
                ClaimsError::IssuerMissing { .. }
                | ClaimsError::IssuerSlash { .. }
                | ClaimsError::Issuer
                | ClaimsError::Algorithm { .. }
                | ClaimsError::EmbeddedKey
                | ClaimsError::Type { .. }
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
                ClaimsError::Missing { .. } | ClaimsError::Rule(ClaimName::Required(_)) => {
                    Self::ClaimMissing
                }
                ClaimsError::Rule(
                    ClaimName::Forbidden(_) | ClaimName::Value(_) | ClaimName::Predicate(_),
                ) => Self::ClaimRefused,
            },
            Error::Revocation(RevocationError::Revoked) => Self::Revoked,
            Error::Revocation(RevocationError::Unavailable(_)) => Self::Unavailable,
            Error::Dpop(error) => match error {
                DpopError::ProofMissing
                | DpopError::SeveralProofs
                | DpopError::Proof(_)
                | DpopError::Method
                | DpopError::Target { .. }
                | DpopError::RequestTarget
                | DpopError::TokenHash
                | DpopError::Window { .. }
                | DpopError::NotNow
                | DpopError::Signature => Self::ProofRefused,
                DpopError::Nonce(_) => Self::NonceNeeded,
                DpopError::Replayed => Self::ProofUsed,
                DpopError::Unavailable(_) => Self::Unavailable,
                DpopError::OtherKey
                | DpopError::BoundAsBearer
                | DpopError::NotBound
                | DpopError::ProofBesideBearer
                | DpopError::BindingRequired => Self::BindingRefused,
            },
            Error::Certificate(error) if error.is_unavailable() => Self::Unavailable,
            Error::Certificate(_) => Self::CertificateRefused,
            Error::Shape(_) => Self::Unsuitable,
            Error::Forbidden(error) if error.needs_authentication() => {
                Self::AuthenticationInsufficient
            }
            Error::Forbidden(_) => Self::Forbidden,
            Error::Requirement(_) | Error::NotInstalled | Error::RouteUncovered => {
                Self::Misconfigured
            }
        }
    }
}
