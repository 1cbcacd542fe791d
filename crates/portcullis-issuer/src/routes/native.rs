//! Sessions of programs that keep their tokens themselves.
use core::fmt;
use std::sync::Arc;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, StatusCode};
use portcullis::RequestView;
use portcullis::dpop::{DpopError, GoodProof, TokenEndpointProofs};
use portcullis::mtls::{CertificateError, PresentedCertificate, TokenEndpointCertificates};
use portcullis::routes::{BoundedBody, Form, Reply};
use serde::Serialize;

use super::client::{self, ClientFault};
use super::error::SessionRouteError;
use crate::refresh::RefreshToken;
use crate::sessions::{
    BeginError, Begun, Login, LoginAttempt, RefreshError, RefreshRefusal, RefreshRequest, Session,
    Sessions, SessionsUnavailable,
};
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
/// | a client without the certificate that its session is bound to, or without one where [certificates](Self::mtls) are required | 400 `invalid_grant`; the refresh token is as good as before, and no session ends |
/// | a header with a certificate that does not count or cannot be read | 400 `invalid_request`, and likewise |
/// | a scope that was not granted | 400 `invalid_scope`; the refresh token is as good as before |
/// | a proof of a key (RFC 9449 §5) that does not hold or was used, or none where one is needed | 400 `invalid_dpop_proof`; the refresh token is as good as before, and no session ends |
/// | a proof without a nonce that was given out lately, where [proofs](Self::dpop) need one | 400 `use_dpop_nonce` with the header `DPoP-Nonce`, and likewise |
/// | something is away, or nobody says which certificate the client presented | 503 `temporarily_unavailable` with `Retry-After`: 1 s, or what the store of used proofs says. The same request is right then, with a new proof |
/// | claims that cannot stand in a token | 500 `server_error` |
///
/// Only the body is read: credentials in the query are none. There is no cross-site check, since nothing goes along that
/// the client did not put into the form, and no page of another origin reads the answer. Every answer is `Cache-Control:
/// no-store`.
///
/// # Sessions that are bound to a key
///
/// With [`dpop`](Self::dpop), a login that came with a proof begins a session whose tokens are bound to the proof's key: see
/// [`check_login`](Self::check_login). Its tokens are of the type `DPoP`. It goes on with a proof of the same key, and in no
/// other way: for whoever has a copy of its refresh token alone, nothing rotates and nothing ends. A client that comes back
/// late with the token before is [taken for what it is](crate::SessionsBuilder::late_retry), since nobody else has its key.
///
/// A revocation needs no proof (RFC 7009 §2.1): whoever found a token somewhere may end what it is good for.
///
/// # Sessions that are bound to a certificate
///
/// With [`mtls`](Self::mtls), a login whose client presented a certificate in its TLS handshake begins a session whose tokens are
/// bound to that certificate (RFC 8705 §3, §4). They stay of the type `Bearer`. It goes on with the same certificate, and in no
/// other way: after a renewal, the client logs in again. A login that came with a proof as well is bound to both, and each
/// request needs both. A revocation needs neither.
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
    /// What checks proofs of keys.
    proofs: Option<TokenEndpointProofs>,
    /// What says which certificate a client presented.
    certificates: Option<TokenEndpointCertificates>,
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
        if clients.is_empty() {
            return Err(ClientFault::None);
        }
        Ok(Self { sessions, clients, proofs: None, certificates: None })
    }

    /// Takes sessions that are bound to a key of their client (RFC 9449 §5): `Dpop::new(replays).at(issuer)` and so on, [made for a
    /// token endpoint](portcullis::dpop::Dpop::for_token_endpoint). Its address is the issuer's, or that under which clients know
    /// these routes. A proof's `htu` is compared with that address and the path of the request.
    ///
    /// Where proofs are [required](portcullis::dpop::Dpop::required), [`check_login`](Self::check_login) refuses a login without
    /// one, and a session that is bound to no key does not go on. Elsewhere such a session goes on without a proof. With one it is
    /// refused, and the client logs in again.
    ///
    /// If you do not call it: a header `DPoP` is not looked at, and a session that is bound to a key does not go on here.
    pub fn dpop(mut self, proofs: TokenEndpointProofs) -> Self {
        proofs.start(self.sessions.wall());
        self.proofs = Some(proofs);
        self
    }

    /// Takes sessions that are bound to a certificate of their client (RFC 8705 §4): `Mtls::from_tls()` and so on, [made for a token
    /// endpoint](portcullis::mtls::Mtls::for_token_endpoint). Who issued the certificate is not looked at: have your TLS or your proxy
    /// do that, if it matters. What counts is that the client which comes back has the same one.
    ///
    /// Where certificates are [required](portcullis::mtls::Mtls::required), [`check_login`](Self::check_login) refuses a login without
    /// one, and a session that is bound to none does not go on. Elsewhere such a session goes on as before, whatever certificate
    /// its client presents.
    ///
    /// If you do not call it: certificates are not looked at, and a session that is bound to one does not go on here.
    pub fn mtls(mut self, certificates: TokenEndpointCertificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// Looks at the login of this client, before its password is looked at: with a proof of a key in the header `DPoP`, its
    /// session will be bound to that key, and with a certificate of its client, where these are [taken](Self::mtls), to the
    /// certificate. Answer an error by [`refuse`](Self::refuse).
    ///
    /// ```
    /// # use portcullis::RequestView;
    /// # use portcullis::routes::Reply;
    /// # use portcullis_issuer::routes::SessionRouteError;
    /// # use portcullis_issuer::{NativeSessions, Sessions};
    /// # async fn check_password(_: &str, _: &str) -> Option<()> { None }
    /// async fn login(
    ///     sessions: &Sessions,
    ///     native: &NativeSessions,
    ///     request: &impl RequestView,
    ///     (id, password): (&str, &str),
    /// ) -> Result<Option<Reply<SessionRouteError>>, SessionRouteError> {
    ///     let login = native.check_login(request, "app")?;
    ///     let attempt = sessions.attempt(id).await?;
    ///     if check_password(id, password).await.is_none() {
    ///         return Ok(None); // an answer of yours
    ///     }
    ///     let begun = sessions.begin(login.succeeded(attempt)).await?;
    ///     Ok(Some(native.answer_login(&begun)))
    /// }
    /// # let _ = |sessions: Sessions| NativeSessions::new(sessions, ["app"]);
    /// ```
    ///
    /// # Errors
    ///
    /// The client is not listed; its proof does not hold, or there is none and proofs are required. The same goes for certificates, and
    /// nobody says which one the client presented.
    pub fn check_login(
        &self,
        request: &impl RequestView,
        client: &str,
    ) -> Result<NativeLogin, SessionRouteError> {
        let client = self.client(Some(client), request)?.to_owned();
        let certificate = self.check_certificate(request)?;
        Ok(NativeLogin { client, proof: self.check_proof(request)?, certificate })
    }

    /// The proof of a request. `None`: it has none, and needs none.
    fn check_proof(
        &self,
        request: &impl RequestView,
    ) -> Result<Option<GoodProof>, SessionRouteError> {
        let Some(proofs) = &self.proofs else { return Ok(None) };
        match proofs.check(request, self.sessions.wall()) {
            Ok(None) if proofs.are_required() => {
                Err(SessionRouteError::Proof(DpopError::ProofMissing))
            }
            Ok(proof) => Ok(proof),
            Err(error) => Err(SessionRouteError::Proof(error)),
        }
    }

    /// The certificate of who sent a request. `None`: there is none, and none is needed, or none is looked at.
    fn check_certificate(
        &self,
        request: &impl RequestView,
    ) -> Result<Option<PresentedCertificate>, SessionRouteError> {
        let Some(certificates) = &self.certificates else { return Ok(None) };
        match certificates.of(request) {
            Ok(None) if certificates.are_required() => {
                Err(SessionRouteError::Certificate(CertificateError::Missing))
            }
            Ok(certificate) => Ok(certificate),
            Err(error) => Err(SessionRouteError::Certificate(error)),
        }
    }

    /// The answer to a request about a session that failed, as the [token](Self::token) endpoint gives it (RFC 6749 §5.2, RFC 9449
    /// §8): for a login in a route of your own.
    pub fn refuse(
        &self,
        error: SessionRouteError,
        request: &impl RequestView,
    ) -> Reply<SessionRouteError> {
        let (_, code, _) = texts(&error);
        // Another proof could help.
        let takes_nonce = matches!(code, "use_dpop_nonce" | "invalid_dpop_proof");
        let reply = refuse(error, request);
        let proofs = self.proofs.as_ref().filter(|_| takes_nonce);
        with_nonce(reply, proofs.and_then(|proofs| proofs.nonce(self.sessions.wall())).as_deref())
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
            Err(error) => self.refuse(error, request),
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
        let token = required(token, "refresh_token")?;
        // No signature is checked for who has no token of ours, and the store is not asked for who has a proof that does not hold.
        let (certificate, proof) = if self.sessions.wrote(token) {
            (self.check_certificate(request)?, self.check_proof(request)?)
        } else {
            (None, None)
        };
        let mut wanted = RefreshRequest::new(token, client);
        if let Some(proof) = &proof {
            wanted = wanted.proof(proof);
        }
        if self.proofs.as_ref().is_some_and(TokenEndpointProofs::are_required) {
            wanted = wanted.bound_only();
        }
        if let Some(certificate) = &certificate {
            wanted = wanted.certificate(certificate);
        }
        if self.certificates.as_ref().is_some_and(TokenEndpointCertificates::are_required) {
            wanted = wanted.certificate_bound_only();
        }
        let scopes = scope.map(|scope| scope.split(' ').map(str::to_owned).collect::<Vec<_>>());
        if let Some(scopes) = &scopes {
            wanted = wanted.scopes(scopes);
        }
        let refreshed = self.sessions.refresh(&wanted).await?;
        let scopes = scopes.as_deref().unwrap_or(refreshed.session.scopes());
        let reply =
            tokens(&refreshed.session, &refreshed.access, refreshed.refresh.as_ref(), scopes);
        Ok(with_nonce(reply, proof.as_ref().and_then(GoodProof::next_nonce)))
    }

    /// Ends the session of a refresh token, and with it all its tokens (RFC 7009 §2.1): of any that was ever written for it.
    pub async fn revoke(
        &self,
        request: &impl RequestView,
        body: BoundedBody,
    ) -> Reply<SessionRouteError> {
        match self.end(request, &body).await {
            Ok(()) => Reply::new(StatusCode::OK),
            Err(error) => self.refuse(error, request),
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
        let Begun { access, refresh, session, next_nonce } = begun;
        let reply = tokens(session, access, Some(refresh), session.scopes());
        with_nonce(reply, next_nonce.as_deref())
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
            .field("proofs", &self.proofs)
            .field("certificates", &self.certificates)
            .finish()
    }
}

/// A login of a native client that was looked at. Only [`NativeSessions::check_login`] makes one.
#[must_use]
pub struct NativeLogin {
    client: String,
    proof: Option<GoodProof>,
    certificate: Option<PresentedCertificate>,
}

impl NativeLogin {
    /// The user authenticated: what a session of the client [begins](Sessions::begin) with, bound to what it showed.
    pub fn succeeded(self, attempt: LoginAttempt) -> Login {
        let login = attempt.succeeded(self.client);
        let login = self.proof.into_iter().fold(login, Login::bound_to);
        self.certificate.into_iter().fold(login, Login::bound_to_certificate)
    }

    /// The thumbprint of the key that its session will be bound to (RFC 7638). `None`: it came without a proof.
    pub fn key_thumbprint(&self) -> Option<&str> {
        self.proof.as_ref().map(GoodProof::thumbprint)
    }

    /// SHA-256 in base64url of the certificate that its session will be bound to (RFC 8705 §3.1). `None`: it came without one, or none
    /// is looked at.
    pub fn certificate_thumbprint(&self) -> Option<String> {
        self.certificate.as_ref().map(PresentedCertificate::thumbprint)
    }
}

impl fmt::Debug for NativeLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeLogin").field("client", &self.client).finish_non_exhaustive()
    }
}

/// RFC 9449 §8.2: never more than one.
fn with_nonce(reply: Reply<SessionRouteError>, nonce: Option<&str>) -> Reply<SessionRouteError> {
    match nonce.map(HeaderValue::from_str) {
        Some(Ok(nonce)) => reply.with_another_header(DPOP_NONCE, nonce),
        Some(Err(_)) | None => reply,
    }
}

const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

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
    session: &Session,
    access: &Minted,
    refresh: Option<&RefreshToken>,
    scopes: &[String],
) -> Reply<SessionRouteError> {
    let body = Tokens {
        access_token: &access.token,
        // RFC 9449 §5; a certificate changes nothing of it (RFC 8705 §3).
        token_type: if session.has_key() { "DPoP" } else { "Bearer" },
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
        Error::Proof(DpopError::Nonce(_)) => (
            StatusCode::BAD_REQUEST,
            "use_dpop_nonce",
            "The proof must have the nonce that the header DPoP-Nonce says.",
        ),
        Error::Proof(DpopError::Unavailable(_))
        | Error::Begin(BeginError::Unavailable(SessionsUnavailable::Replays(_)))
        | Error::Refresh(RefreshError::Unavailable(SessionsUnavailable::Replays(_))) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "Proofs cannot be checked at the moment: try again with another one.",
        ),
        Error::Proof(_)
        | Error::Begin(BeginError::Proof(_))
        | Error::Refresh(RefreshError::Refused(
            RefreshRefusal::Bound | RefreshRefusal::ProofReplayed,
        )) => (
            StatusCode::BAD_REQUEST,
            "invalid_dpop_proof",
            "The request has no good proof of a key, or one that was used before.",
        ),
        Error::Certificate(error) if error.is_unavailable() => (
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            "Certificates of clients cannot be told at the moment: try again.",
        ),
        // RFC 8705 names no error for it. The client authenticates by nothing, so that it is the grant which is not its own (RFC 6749 §5.2).
        Error::Certificate(CertificateError::Missing)
        | Error::Refresh(RefreshError::Refused(
            RefreshRefusal::CertificateMissing
            | RefreshRefusal::OtherCertificate
            | RefreshRefusal::CertificateUnbound,
        )) => (
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            "The client does not present the certificate that is needed.",
        ),
        Error::Certificate(_) => invalid("The request shows no certificate that counts."),
        Error::Refresh(RefreshError::Refused(_)) => (
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            "The refresh token is not valid for this client.",
        ),
        Error::Begin(BeginError::LoggedOut | BeginError::TooOld | BeginError::Refused(_)) => {
            (StatusCode::BAD_REQUEST, "invalid_grant", "Nobody is logged in by that.")
        }
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
        | Error::NoSuchSession => invalid("The request is not a POST of a form."),
    }
}
