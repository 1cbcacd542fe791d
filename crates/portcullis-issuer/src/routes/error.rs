//! Why a route of sessions did not do what was asked.
use core::fmt;
use core::time::Duration;

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use portcullis::RequestView;
use portcullis::dpop::DpopError;
use portcullis::error::{CrossSiteError, SourceError};
use portcullis::mtls::CertificateError;
use portcullis::routes::{BodyFault, FormError, Problem, Reply};
use portcullis::source::CookieError;

use crate::debug_as_displayed::debug_as_displayed;
use crate::sessions::{BeginError, EndError, RefreshError, SessionsUnavailable};

/// Why a route of sessions did not do what was asked: for logs, and for the extensions of the response. It names nobody, and
/// shows no token.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum SessionRouteError {
    /// The route does not have this method.
    Method,
    /// The request came from a page of another origin, or nobody says from where.
    CrossSite(CrossSiteError),
    /// There is no refresh cookie, or more than one.
    Cookie(SourceError),
    /// The body is not a form.
    MediaType,
    /// The body is not used.
    Body(BodyFault),
    /// The form does not have a parameter that it must have, or it is empty.
    Missing {
        /// Its name.
        parameter: &'static str,
    },
    /// The form has a parameter more than once.
    Repeated {
        /// Its name.
        parameter: &'static str,
    },
    /// A grant is asked for that is not `refresh_token`.
    GrantType,
    /// The client is not one of those of the route.
    Client,
    /// What the query says of the page is not what a page can be asked for by.
    Page,
    /// There is no such session of the user.
    NoSuchSession,
    /// The request has no proof of a key that holds, where it needs one or has one.
    Proof(DpopError),
    /// The request shows no certificate of its client, where it needs one, or shows it in a way that does not count.
    Certificate(CertificateError),
    /// A login of your own did not begin a session.
    Begin(BeginError),
    /// The session does not go on.
    Refresh(RefreshError),
    /// The session is not over for everybody.
    End(EndError),
    /// Sessions cannot be listed.
    List(SessionsUnavailable),
    /// The cookies cannot be written.
    Unwritable(CookieError),
}

impl SessionRouteError {
    pub(super) const NO_COOKIE: Self = Self::Cookie(SourceError::Missing);

    /// The answer of a route for browsers: problem details (RFC 9457), and never a `Set-Cookie`.
    pub fn reply(self) -> Reply<Self> {
        let problem = self.problem();
        let reply = match problem.status {
            // RFC 9110 §15.5.2 asks for a challenge, and there is none for cookies: what policies answer.
            StatusCode::UNAUTHORIZED => problem.reply().with_header(WWW_AUTHENTICATE, "Bearer"),
            _ => problem.reply(),
        };
        self.complete(reply)
    }

    /// With itself, and with when to try again what is away.
    pub(super) fn complete(self, reply: Reply<Self>) -> Reply<Self> {
        self.trace();
        let is_away = reply.status() == StatusCode::SERVICE_UNAVAILABLE.as_u16();
        let reply = if is_away { reply.retry_after(self.retry_after()) } else { reply };
        reply.because(self)
    }

    /// When to try again what is away.
    fn retry_after(&self) -> Duration {
        let replays = match self {
            Self::Proof(DpopError::Unavailable(replays))
            | Self::Begin(BeginError::Unavailable(SessionsUnavailable::Replays(replays)))
            | Self::Refresh(RefreshError::Unavailable(SessionsUnavailable::Replays(replays))) => {
                replays.retry_after
            }
            _ => None,
        };
        replays.unwrap_or(SOON)
    }

    /// What a browser's script, or who reads over its shoulder, is told.
    pub(super) fn problem(&self) -> Problem {
        let problem = |status, code, title, detail| Problem { status, code, title, detail };
        let invalid =
            |detail| problem(StatusCode::BAD_REQUEST, "request-invalid", "Invalid request", detail);
        match self {
            Self::Method => problem(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
                "The route does not have this method.",
            ),
            // As a policy says it.
            Self::CrossSite(_) => problem(
                StatusCode::FORBIDDEN,
                "cross-site-request",
                "Cross-site request refused",
                "The request did not come from an allowed origin.",
            ),
            Self::Cookie(SourceError::Several) => {
                invalid("The request carries more than one refresh cookie.")
            }
            // Which of them it is helps nobody who may know.
            Self::Cookie(_) | Self::Refresh(RefreshError::Refused(_)) => problem(
                StatusCode::UNAUTHORIZED,
                "session-over",
                "Session over",
                "There is no session that goes on: log in.",
            ),
            Self::MediaType => problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "media-type-unsupported",
                "Unsupported media type",
                "The body must be a form.",
            ),
            Self::Body(BodyFault::TooLarge { .. }) => problem(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body-too-large",
                "Body too large",
                "The route takes no body, or a small one.",
            ),
            Self::Body(_) => invalid("The body broke off."),
            Self::Missing { .. } | Self::Repeated { .. } => {
                invalid("A parameter is missing, or is there more than once.")
            }
            Self::Proof(_) | Self::Begin(BeginError::Proof(_)) => {
                invalid("The request has no good proof of a key.")
            }
            Self::Certificate(error) if error.is_unavailable() => problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "sessions-unavailable",
                "Temporarily unavailable",
                "Certificates of clients cannot be told at the moment: try again.",
            ),
            Self::Certificate(_) => invalid("The request shows no certificate that counts."),
            Self::GrantType => invalid("There is no such grant."),
            Self::Client => invalid("There is no such client."),
            Self::Page => {
                invalid("`limit` is a number from 1 to 100, and `after` the `next` of a page.")
            }
            Self::NoSuchSession => problem(
                StatusCode::NOT_FOUND,
                "session-unknown",
                "No such session",
                "The user has no such session.",
            ),
            // The same for all, and for a password that is wrong: who guesses learns nothing.
            Self::Begin(BeginError::LoggedOut | BeginError::TooOld | BeginError::Refused(_)) => {
                problem(
                    StatusCode::UNAUTHORIZED,
                    "login-refused",
                    "Not logged in",
                    "Nobody is logged in by that: try again.",
                )
            }
            Self::Begin(BeginError::Unavailable(_))
            | Self::Refresh(RefreshError::Unavailable(_))
            | Self::List(_) => problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "sessions-unavailable",
                "Temporarily unavailable",
                "Sessions cannot be asked for at the moment: try again.",
            ),
            Self::End(_) => problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "sessions-unavailable",
                "Temporarily unavailable",
                "The session may not have ended everywhere: try again.",
            ),
            Self::Begin(BeginError::Token(_))
            | Self::Refresh(RefreshError::Scope | RefreshError::Token(_))
            | Self::Unwritable(_) => problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "misconfigured",
                "Server misconfigured",
                "No access token can be issued for this session.",
            ),
        }
    }

    #[cfg(feature = "tracing")]
    fn trace(&self) {
        match self {
            Self::Begin(BeginError::Token(_))
            | Self::Refresh(RefreshError::Token(_))
            | Self::Unwritable(_) => {
                tracing::error!(error = %self, "a session does not go on");
            }
            Self::Certificate(error) if error.is_unavailable() => {
                tracing::error!(error = %self, "a request about a session was not answered");
            }
            // Sessions say so themselves: once, until they go on.
            Self::Begin(BeginError::Unavailable(_))
            | Self::Refresh(RefreshError::Unavailable(_))
            | Self::End(_)
            | Self::List(_) => {
                tracing::debug!(error = %self, "sessions are not available");
            }
            Self::CrossSite(_)
            | Self::Proof(_)
            | Self::Certificate(_)
            | Self::Begin(BeginError::Proof(_)) => {
                tracing::info!(error = %self, "a request about a session was refused");
            }
            // Anybody can cause these, and as often as they like.
            _ => tracing::debug!(error = %self, "a request about a session was refused"),
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn trace(&self) {}
}

/// The answer to a request by HEAD has no body.
pub(super) fn as_asked<E>(reply: Reply<E>, request: &impl RequestView) -> Reply<E> {
    if request.method() == "HEAD" { reply.without_body() } else { reply }
}

/// When to try again what is away: what a retry costs is one reading.
const SOON: Duration = Duration::from_secs(1);

impl fmt::Display for SessionRouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("the route does not have this method"),
            Self::CrossSite(_) => f.write_str(
                "the request did not come from a page of the service: `allowed_origins` names the other origins that may send it, and a program that is no browser says `Sec-Fetch-Site: same-origin`",
            ),
            Self::Cookie(SourceError::Several) => {
                f.write_str("the request carries more than one refresh cookie")
            }
            Self::Cookie(_) => f.write_str("the request carries no refresh cookie"),
            Self::MediaType => FormError::MediaType.fmt(f),
            Self::Body(fault) => fault.fmt(f),
            Self::Missing { parameter } => write!(f, "the form has no `{parameter}`"),
            Self::Repeated { parameter } => write!(f, "the form has `{parameter}` more than once"),
            Self::GrantType => f.write_str("the grant is not `refresh_token`"),
            Self::Client => f.write_str(
                "the client is not one of those that `NativeSessions::new` names, or authenticates in a way that the route does not know",
            ),
            Self::Page => f.write_str("the query does not say which page of the list is asked for"),
            Self::NoSuchSession => f.write_str("the user has no such session"),
            Self::Proof(error) => error.fmt(f),
            Self::Certificate(CertificateError::Missing) => f.write_str(
                "certificates are required, and the client presented none: it has to connect with one",
            ),
            Self::Certificate(error) => error.fmt(f),
            Self::Begin(error) => error.fmt(f),
            Self::Refresh(error) => error.fmt(f),
            Self::End(error) => error.fmt(f),
            Self::List(error) => error.fmt(f),
            Self::Unwritable(error) => write!(f, "a cookie of the session: {error}"),
        }
    }
}

impl core::error::Error for SessionRouteError {}

debug_as_displayed!(SessionRouteError);

impl From<FormError> for SessionRouteError {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Body(fault) => Self::Body(fault),
            _ => Self::MediaType,
        }
    }
}

impl From<BeginError> for SessionRouteError {
    fn from(error: BeginError) -> Self {
        Self::Begin(error)
    }
}

impl From<RefreshError> for SessionRouteError {
    fn from(error: RefreshError) -> Self {
        Self::Refresh(error)
    }
}

impl From<CookieError> for SessionRouteError {
    fn from(error: CookieError) -> Self {
        Self::Unwritable(error)
    }
}

impl From<EndError> for SessionRouteError {
    fn from(error: EndError) -> Self {
        Self::End(error)
    }
}
