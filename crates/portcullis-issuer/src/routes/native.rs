//! Sessions of programs that keep their tokens themselves.
use core::fmt;
use std::sync::Arc;

use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use portcullis::RequestView;
use portcullis::routes::{BoundedBody, Form, Reply};
use serde::Serialize;

use super::client::{self, ClientFault};
use super::error::SessionRouteError;
use crate::refresh::RefreshToken;
use crate::sessions::{BeginError, Begun, RefreshError, RefreshRequest, Sessions};
use crate::token::Minted;

/// The largest body. Of a form, the scopes may be long; a refresh token has some hundred bytes.
const BODY: usize = 16 * 1024;

/// The sessions of native clients, such as apps and command lines, which keep their tokens themselves: the token endpoint for
/// `refresh_token` (RFC 6749 §6) and the revocation endpoint (RFC 7009).
///
/// Clients are public: they are listed by name, and authenticate by nothing. A session is one client's, and no other one goes
/// on with it.
///
/// | request | answer |
/// | --- | --- |
/// | [token](Self::token): a form with `grant_type=refresh_token`, `refresh_token`, `client_id` and, for fewer scopes, `scope` | 200, the tokens as JSON (RFC 6749 §5.1). `refresh_token` where it rotated; else the one that came is to be kept |
/// | [revocation](Self::revoke): a form with `token`, a refresh token, and `client_id`; `token_type_hint` is ignored | 200 without a body: its session is over, if it was one of the client's. Also of a token that is unknown (RFC 7009 §2.2) |
///
/// | refused | answer |
/// | --- | --- |
/// | another method than POST | 405 |
/// | no form, or one of more than 16 KiB; a parameter that is missing, empty or repeated | 400 `invalid_request` |
/// | another grant | 400 `unsupported_grant_type` |
/// | a client that is not listed | 400 `invalid_client`; 401 where it tried to authenticate by `Authorization` (RFC 6749 §5.2) |
/// | a refresh token that does not go on, or of another client | 400 `invalid_grant` |
/// | a scope that was not granted | 400 `invalid_scope`; nothing is consumed |
/// | something is away | 503 `temporarily_unavailable` with `Retry-After: 1`: the same request is right later |
/// | claims that cannot stand in a token | 500 `server_error` |
///
/// Only the body is read: credentials in the query are none. There is no cross-site check, since nothing goes along that
/// the client did not put into the form, and no page of another origin reads the answer. Every answer is `Cache-Control:
/// no-store`.
///
/// ```
/// # use portcullis_issuer::Sessions;
/// # use portcullis_issuer::routes::{ClientFault, NativeSessions};
/// # fn routes(sessions: Sessions) -> Result<(), ClientFault> {
/// let native = NativeSessions::new(sessions, ["app", "cli"])?;
/// # let _ = native;
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct NativeSessions {
    sessions: Sessions,
    clients: Arc<[String]>,
}

impl NativeSessions {
    /// Sessions of these clients: what their logins [said](crate::LoginAttempt::succeeded). Leave out that of the
    /// [browser](super::BrowserSessions), whose tokens no script is to have.
    ///
    /// # Errors
    ///
    /// There is none, or a name is empty or has more than 1024 bytes.
    pub fn new<C: Into<String>>(
        sessions: Sessions,
        clients: impl IntoIterator<Item = C>,
    ) -> Result<Self, ClientFault> {
        let clients = clients.into_iter().map(|client| client::checked(client.into()));
        let clients = clients.collect::<Result<Arc<[_]>, _>>()?;
        if clients.is_empty() { Err(ClientFault::None) } else { Ok(Self { sessions, clients }) }
    }

    /// Where a request's body is read into, before it is answered.
    pub fn body(&self) -> BoundedBody {
        BoundedBody::new(BODY)
    }

    /// Goes on with the session of a refresh token.
    pub async fn token(
        &self,
        request: &impl RequestView,
        body: BoundedBody,
    ) -> Reply<SessionRouteError> {
        match self.refresh(request, &body).await {
            Ok(reply) => reply,
            Err(error) => refuse(error, request),
        }
    }

    async fn refresh(
        &self,
        request: &impl RequestView,
        body: &BoundedBody,
    ) -> Result<Reply<SessionRouteError>, SessionRouteError> {
        let form = read(request, body)?;
        let [grant, client, token, scope] =
            parameters(&form, ["grant_type", "client_id", "refresh_token", "scope"])?;
        if required(grant, "grant_type")? != "refresh_token" {
            return Err(SessionRouteError::GrantType);
        }
        let client = self.client(client, request)?;
        let mut wanted = RefreshRequest::new(required(token, "refresh_token")?, client);
        let scopes = scope.map(|scope| scope.split(' ').map(str::to_owned).collect::<Vec<_>>());
        if let Some(scopes) = &scopes {
            wanted = wanted.scopes(scopes);
        }
        let refreshed = self.sessions.refresh(&wanted).await?;
        let scopes = scopes.as_deref().unwrap_or(refreshed.session.scopes());
        Ok(tokens(&refreshed.access, refreshed.refresh.as_ref(), scopes))
    }

    /// Ends the session of a refresh token, and with it all its tokens (RFC 7009 §2.1): of any that was ever written for it.
    pub async fn revoke(
        &self,
        request: &impl RequestView,
        body: BoundedBody,
    ) -> Reply<SessionRouteError> {
        match self.end(request, &body).await {
            Ok(()) => Reply::new(StatusCode::OK),
            Err(error) => refuse(error, request),
        }
    }

    async fn end(
        &self,
        request: &impl RequestView,
        body: &BoundedBody,
    ) -> Result<(), SessionRouteError> {
        let form = read(request, body)?;
        // What kind of token it is, it says itself (RFC 7009 §2.1).
        let [client, token] = parameters(&form, ["client_id", "token"])?;
        let client = self.client(client, request)?;
        let wanted = RefreshRequest::new(required(token, "token")?, client);
        Ok(self.sessions.sign_out(&wanted).await?)
    }

    /// The answer to a login that began, in a route of your own: its tokens, as of the [token](Self::token) endpoint.
    pub fn answer_login(&self, begun: &Begun) -> Reply<SessionRouteError> {
        tokens(&begun.access, Some(&begun.refresh), begun.session.scopes())
    }

    fn client<'f>(
        &self,
        client: Option<&'f str>,
        request: &impl RequestView,
    ) -> Result<&'f str, SessionRouteError> {
        match client {
            Some(client) if self.clients.iter().any(|own| own == client) => Ok(client),
            Some(_) => Err(SessionRouteError::Client),
            None if tries_to_authenticate(request) => Err(SessionRouteError::Client),
            None => Err(SessionRouteError::Missing { parameter: "client_id" }),
        }
    }
}

impl fmt::Debug for NativeSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeSessions")
            .field("sessions", &self.sessions)
            .field("clients", &self.clients)
            .finish()
    }
}

fn read(request: &impl RequestView, body: &BoundedBody) -> Result<Form, SessionRouteError> {
    if request.method() != "POST" {
        return Err(SessionRouteError::Method);
    }
    Ok(Form::read(request, body)?)
}

/// The values of these parameters, of which none may be there twice (RFC 6749 §3.2). One without a value counts as left out.
fn parameters<'f, const N: usize>(
    form: &'f Form,
    names: [&'static str; N],
) -> Result<[Option<&'f str>; N], SessionRouteError> {
    let mut values = [None; N];
    for (value, parameter) in values.iter_mut().zip(names) {
        let found = form.parameter(parameter);
        let found = found.map_err(|_| SessionRouteError::Repeated { parameter })?;
        *value = found.filter(|text| !text.is_empty());
    }
    Ok(values)
}

fn required<'f>(
    value: Option<&'f str>,
    parameter: &'static str,
) -> Result<&'f str, SessionRouteError> {
    value.ok_or(SessionRouteError::Missing { parameter })
}

fn tries_to_authenticate(request: &impl RequestView) -> bool {
    request.header("authorization").next().is_some()
}

/// RFC 6749 §5.1.
#[derive(Serialize)]
struct Tokens<'t> {
    access_token: &'t str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'t str>,
}

fn tokens(
    access: &Minted,
    refresh: Option<&RefreshToken>,
    scopes: &[String],
) -> Reply<SessionRouteError> {
    let body = Tokens {
        access_token: &access.token,
        token_type: "Bearer",
        expires_in: access.expires_in(),
        scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
        refresh_token: refresh.map(RefreshToken::as_str),
    };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    Reply::new(StatusCode::OK).with_body("application/json", body)
}

/// RFC 6749 §5.2, and RFC 7009 §2.2.1, which has it from there.
fn refuse(error: SessionRouteError, request: &impl RequestView) -> Reply<SessionRouteError> {
    #[derive(Serialize)]
    struct Body {
        error: &'static str,
        error_description: &'static str,
    }
    if error == SessionRouteError::Method {
        return error.complete(Reply::new(StatusCode::METHOD_NOT_ALLOWED).allowing("POST"));
    }
    let is_unknown = error == SessionRouteError::Client && tries_to_authenticate(request);
    let (status, error_code, error_description) = texts(&error);
    let body = Body { error: error_code, error_description };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let status = if is_unknown { StatusCode::UNAUTHORIZED } else { status };
    let reply = Reply::new(status).with_body("application/json", body);
    let reply = match is_unknown {
        true => reply.with_header(WWW_AUTHENTICATE, r#"Basic realm="client""#),
        false => reply,
    };
    error.complete(reply)
}

/// `error` and `error_description`.
fn texts(error: &SessionRouteError) -> (StatusCode, &'static str, &'static str) {
    use SessionRouteError as Error;
    let invalid = |detail| (StatusCode::BAD_REQUEST, "invalid_request", detail);
    match error {
        Error::Body(_) => invalid("The body is too large, or broke off."),
        Error::Missing { .. } => invalid("A parameter is missing."),
        Error::Repeated { .. } => invalid("A parameter is there more than once."),
        Error::GrantType => (
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "There is the grant refresh_token alone.",
        ),
        Error::Client => {
            (StatusCode::BAD_REQUEST, "invalid_client", "There is no such client here.")
        }
        Error::Refresh(RefreshError::Refused(_)) => (
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            "The refresh token is not valid for this client.",
        ),
        Error::Refresh(RefreshError::Scope) => {
            (StatusCode::BAD_REQUEST, "invalid_scope", "A scope was not granted.")
        }
        Error::Begin(BeginError::Token(_))
        | Error::Refresh(RefreshError::Token(_))
        | Error::Unwritable(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "No access token can be issued for this session.",
        ),
        Error::Begin(BeginError::Unavailable(_))
        | Error::Refresh(RefreshError::Unavailable(_))
        | Error::List(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "Sessions cannot be asked for at the moment: try again.",
        ),
        Error::End(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "The session may not have ended everywhere: try again.",
        ),
        Error::Method
        | Error::MediaType
        | Error::CrossSite(_)
        | Error::Cookie(_)
        | Error::Page
        | Error::NoSuchSession
        | Error::Begin(_) => invalid("The request is not a POST of a form."),
    }
}
