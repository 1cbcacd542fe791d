//! Sessions of browsers, in cookies.
use core::fmt;
use std::sync::Arc;

use portcullis::error::SourceError;
use portcullis::routes::{BoundedBody, Reply};
use portcullis::source::{AllowedOrigins, CookieError, OriginFault, SameSite};
use portcullis::{RequestView, TokenCookie};

use super::client::{self, ClientFault};
use super::cookies::{CookiePair, SessionCookies};
use super::error::{self, SessionRouteError};
use crate::session::EndReason;
use crate::sessions::{
    Begun, Login, LoginAttempt, RefreshError, RefreshRequest, Refreshed, Sessions,
};

/// The largest body. There need be none; some clients send `{}` or a form with nothing in it.
const BODY: usize = 1024;

/// The sessions of browsers: tokens in cookies that no script reads.
///
/// | cookie | holds | goes along |
/// | --- | --- | --- |
/// | `__Host-Http-access` | the access token, for policies: see [`access_cookie`](Self::access_cookie) | to pages of the service, and where a user follows a link from elsewhere (`SameSite=Lax`) |
/// | `__Host-Http-refresh` | the refresh token, for these routes | to pages of the same site (`SameSite=Strict`) |
///
/// Both are `Secure`, `HttpOnly`, for `/` and without `Domain` (RFC 10017 §6.1.3.2). Where the user is to be
/// [remembered](crate::Login::remember), browsers keep both until the session ends (`Max-Age`); else until they are closed.
/// Each has at most 4096 bytes. An access token that does not fit is a fault of the program: no session begins or goes on with
/// it, and nothing is consumed.
///
/// | request | answer |
/// | --- | --- |
/// | [refresh](Self::refresh) | 204 and the access cookie; the refresh cookie as well, where the token rotated |
/// | [logout](Self::log_out) | 204, and both cookies are cleared; also without a session |
/// | [logout everywhere](Self::log_out_everywhere) | 204, and both cookies are cleared: all sessions of the user ended |
///
/// | refused | answer |
/// | --- | --- |
/// | another method than POST | 405 |
/// | a request that another site may have caused, whether or not a cookie came: the [core's check](AllowedOrigins::check) for unsafe methods. One with neither `Sec-Fetch-Site` nor `Origin` is refused, since no browser sends it | 403 `cross-site-request` |
/// | a body of more than 1 KiB, or one that broke off. What it says is not looked at | 413, 400 |
/// | two refresh cookies | 400 `request-invalid` |
/// | no refresh cookie, or one whose session does not go on; logout is done all the same | 401 `session-over` |
/// | something is away | 503 `sessions-unavailable` with `Retry-After: 1`: the same request is right later |
/// | claims that cannot stand in a token, or not in the cookie | 500 `misconfigured` |
///
/// Refusals are problem details (RFC 9457), write no cookie, and are `Cache-Control: no-store`, as every answer is.
///
/// The login is a route of your own. Each of its errors has a [reply](SessionRouteError::reply), and so have the cookies:
///
/// ```
/// # use portcullis::RequestView;
/// # use portcullis::routes::Reply;
/// # use portcullis_issuer::Sessions;
/// use portcullis_issuer::BrowserSessions;
/// use portcullis_issuer::routes::{SessionCookies, SessionRouteError};
///
/// # async fn check_password(_: &str, _: &str) -> Option<()> { None }
/// async fn login(
///     sessions: &Sessions,
///     browser: &BrowserSessions,
///     request: &impl RequestView,
///     (id, password): (&str, &str),
/// ) -> Result<Option<SessionCookies>, SessionRouteError> {
///     // Not from another site, which would log the user into its own account.
///     let login = browser.check_login(request)?;
///     let attempt = sessions.attempt(id).await?;
///     if check_password(id, password).await.is_none() {
///         return Ok(None); // an answer of yours
///     }
///     let login_of_user = login.succeeded(attempt).remember(true);
///     let begun = sessions.begin(login_of_user).await?;
///     Ok(Some(login.cookies(&begun)?))
/// }
/// # let _ = |sessions: Sessions| BrowserSessions::new(sessions, "web");
/// ```
///
/// Under a policy that takes the access cookie, leave [`BadCookie`](portcullis::policy::BadCookie) at `Reject`: a refusal
/// that cleared the cookie could arrive after the answer that set a new one.
#[derive(Clone)]
#[must_use]
pub struct BrowserSessions {
    sessions: Sessions,
    client: Arc<str>,
    cookies: CookiePair,
    origins: AllowedOrigins,
}

impl BrowserSessions {
    /// Sessions of this client: what names the program in the browser (`client_id`), such as `web`. Refresh tokens of other
    /// clients are refused.
    ///
    /// # Errors
    ///
    /// The name is empty or has more than 1024 bytes.
    pub fn new(sessions: Sessions, client: impl Into<String>) -> Result<Self, ClientFault> {
        Ok(Self {
            sessions,
            client: client::checked(client.into())?.into(),
            cookies: CookiePair::new(SameSite::Strict),
            origins: AllowedOrigins::default(),
        })
    }

    /// Origins besides the service's own whose pages may log in, refresh and log out: `https://app.example`. They have to be
    /// of the same site, since other sites' requests do not carry the refresh cookie.
    ///
    /// Called again, the origins of all calls count. If you do not call it: only the service's own pages.
    ///
    /// # Errors
    ///
    /// One is not written as browsers write an origin.
    pub fn allowed_origins<O: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, OriginFault> {
        self.origins = self.origins.allow(origins)?;
        Ok(self)
    }

    /// Sends the refresh cookie where a user follows a link from another site as well (`SameSite=Lax`): for a layer that
    /// refreshes while a page is served.
    ///
    /// If you do not call it: to pages of the same site alone (`SameSite=Strict`).
    pub fn lax_refresh_cookie(mut self) -> Self {
        self.cookies = CookiePair::new(SameSite::Lax);
        self
    }

    /// The cookie with the access token: the source of a policy, `TokenSource::from(browser.access_cookie())`.
    pub fn access_cookie(&self) -> TokenCookie {
        self.cookies.access.clone()
    }

    /// Where a request's body is read into, before it is answered.
    pub fn body(&self) -> BoundedBody {
        BoundedBody::new(BODY)
    }

    /// Looks whether a page of the service wants to log in, before anything else of the login is looked at. Else another site
    /// could log a user into its own account.
    ///
    /// # Errors
    ///
    /// It is not a POST, another site may have caused it, or it carries two refresh cookies: a
    /// [`reply`](SessionRouteError::reply) says so.
    pub fn check_login(
        &self,
        request: &impl RequestView,
    ) -> Result<BrowserLogin, SessionRouteError> {
        if request.method() != "POST" {
            return Err(SessionRouteError::Method);
        }
        self.check_origin(request)?;
        self.login(request)
    }

    /// A login by a link, whose request another site may cause: back from an identity provider, or out of a mail. Call it when
    /// you have checked that the user's own browser asked for it, by `state` (RFC 6749 §10.12) in a cookie of yours. Else anybody
    /// who sends a user such a link logs them into an account that is not theirs.
    ///
    /// Browsers do not send the refresh cookie along then, unless it is [lax](Self::lax_refresh_cookie): the session that it is
    /// of does not end, and its cookie is replaced.
    ///
    /// # Errors
    ///
    /// The request carries two refresh cookies.
    pub fn login_by_link(
        &self,
        request: &impl RequestView,
    ) -> Result<BrowserLogin, SessionRouteError> {
        self.login(request)
    }

    fn login(&self, request: &impl RequestView) -> Result<BrowserLogin, SessionRouteError> {
        let replaces = self.token(request)?.map(str::to_owned);
        let (client, cookies) = (Arc::clone(&self.client), self.cookies.clone());
        Ok(BrowserLogin { client, cookies, replaces })
    }

    /// Goes on with the session of the refresh cookie.
    ///
    /// The refresh cookie is set where the token rotated, or a retry is told the token after it. Where the token that came is
    /// good for some more time it is not: the answer may arrive after that to another tab, whose token is newer.
    pub async fn refresh(
        &self,
        request: &impl RequestView,
        body: BoundedBody,
    ) -> Reply<SessionRouteError> {
        let refreshed = async {
            let token = self.check(request, &body)?.ok_or(SessionRouteError::NO_COOKIE)?;
            let refreshed = self.go_on(token).await?;
            Ok(self.cookies_of(&refreshed)?)
        };
        answer(refreshed.await, request)
    }

    /// Ends the session of the refresh cookie, and clears both cookies. Any refresh token that was ever written for the session
    /// ends it. Without one there is nothing to end, and the cookies are cleared all the same.
    ///
    /// 503 where the session may not be over for everybody. The cookies stay, so that the user can try again.
    pub async fn log_out(
        &self,
        request: &impl RequestView,
        body: BoundedBody,
    ) -> Reply<SessionRouteError> {
        let logged_out = async {
            if let Some(token) = self.check(request, &body)? {
                self.sessions.sign_out(&self.request(token)).await?;
            }
            Ok(self.cookies.clear())
        };
        answer(logged_out.await, request)
    }

    /// Ends all sessions of the user whose session the refresh cookie is of, and clears both cookies. Access tokens of policies
    /// that enforce [`Revocable::Version`](portcullis::Revocable::Version) are refused from then on.
    ///
    /// The refresh token must be one that the session [goes on with](Sessions::session_of). Who has an old one from a log, or an
    /// access token, logs nobody out everywhere. Nothing is issued for it, so that it works where the signer is away.
    ///
    /// 503 where something is away, and the cookies stay. Where the sessions had ended by then, the same request is answered 401
    /// the next time, and access tokens that are not revoked yet are revoked in the background.
    pub async fn log_out_everywhere(
        &self,
        request: &impl RequestView,
        body: BoundedBody,
    ) -> Reply<SessionRouteError> {
        let logged_out = async {
            let token = self.check(request, &body)?.ok_or(SessionRouteError::NO_COOKIE)?;
            let session = self.sessions.session_of(&self.request(token)).await?;
            let reason = EndReason::SignedOutEverywhere;
            self.sessions.end_all(session.subject(), None, reason).await?;
            Ok(self.cookies.clear())
        };
        answer(logged_out.await, request)
    }

    /// The refresh token of a request that may be answered. `None`: it carries none.
    fn check<'r>(
        &'r self,
        request: &'r impl RequestView,
        body: &BoundedBody,
    ) -> Result<Option<&'r str>, SessionRouteError> {
        if request.method() != "POST" {
            return Err(SessionRouteError::Method);
        }
        self.check_origin(request)?;
        body.read().map_err(SessionRouteError::Body)?;
        self.token(request)
    }

    /// Also of a request without a cookie: its answer may set one.
    fn check_origin(&self, request: &impl RequestView) -> Result<(), SessionRouteError> {
        let checked = self.origins.check(request, &self.cookies.refresh);
        checked.map_err(SessionRouteError::CrossSite)
    }

    fn token<'r>(
        &'r self,
        request: &'r impl RequestView,
    ) -> Result<Option<&'r str>, SessionRouteError> {
        match self.cookies.refresh.token_in(request) {
            // What is no text is no token of ours, nor is an empty one.
            Ok(token) => Ok(Some(core::str::from_utf8(token).unwrap_or_default())),
            Err(SourceError::Missing) => Ok(None),
            Err(error) => Err(SessionRouteError::Cookie(error)),
        }
    }

    /// The names of both cookies.
    pub(super) fn cookie_names(&self) -> [&str; 2] {
        [self.cookies.access.name(), self.cookies.refresh.name()]
    }

    /// The access token of a request, if there is one.
    pub(super) fn access_token_in<'r>(
        &'r self,
        request: &'r impl RequestView,
    ) -> Result<Option<&'r [u8]>, ()> {
        match self.cookies.access.token_in(request) {
            Ok(token) => Ok(Some(token)),
            Err(SourceError::Missing) => Ok(None),
            Err(_) => Err(()),
        }
    }

    /// The refresh token of a request, if there is one and no more.
    pub(super) fn refresh_token_in<'r>(&'r self, request: &'r impl RequestView) -> Option<&'r str> {
        self.token(request).ok().flatten()
    }

    pub(super) async fn go_on(&self, token: &str) -> Result<Refreshed, RefreshError> {
        self.sessions.refresh(&self.request(token)).await
    }

    /// The same, with a refresh token that stays as it is for now.
    pub(super) async fn go_on_for_now(&self, token: &str) -> Result<Refreshed, RefreshError> {
        self.sessions.refresh(&self.request(token).defer_rotation()).await
    }

    pub(super) fn cookies_of(&self, refreshed: &Refreshed) -> Result<SessionCookies, CookieError> {
        let (access, refresh) = (&refreshed.access, refreshed.refresh.as_ref());
        self.cookies.set(&refreshed.session, access, refresh)
    }

    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    fn request<'r>(&'r self, token: &'r str) -> RefreshRequest<'r> {
        RefreshRequest::new(token, &self.client).token_limit(self.cookies.access.capacity())
    }
}

impl fmt::Debug for BrowserSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrowserSessions")
            .field("sessions", &self.sessions)
            .field("client", &self.client)
            .field("cookies", &self.cookies)
            .field("origins", &self.origins)
            .finish()
    }
}

fn answer(
    done: Result<SessionCookies, SessionRouteError>,
    request: &impl RequestView,
) -> Reply<SessionRouteError> {
    match done {
        Ok(cookies) => cookies.reply(),
        Err(SessionRouteError::Method) => {
            error::as_asked(SessionRouteError::Method.reply().allowing("POST"), request)
        }
        Err(error) => error.reply(),
    }
}

/// A login that a page of the service asked for. Only [`BrowserSessions::check_login`] and
/// [`login_by_link`](BrowserSessions::login_by_link) make one. `Debug` does not show the
/// token that came along.
#[derive(Clone)]
#[must_use]
pub struct BrowserLogin {
    client: Arc<str>,
    cookies: CookiePair,
    replaces: Option<String>,
}

impl BrowserLogin {
    /// The user authenticated: what a session of the browser [begins](Sessions::begin) with. The session whose refresh cookie
    /// came along ends then, whoever put it there.
    pub fn succeeded(&self, attempt: LoginAttempt) -> Login {
        let login = attempt.succeeded(&*self.client).token_limit(self.cookies.access.capacity());
        match &self.replaces {
            Some(token) => login.replaces(token),
            None => login,
        }
    }

    /// What the answer to the login needs: both cookies, and no cache.
    ///
    /// # Errors
    ///
    /// The access token is longer than a cookie can be. A login of [`succeeded`](Self::succeeded) does not come this far then.
    pub fn cookies(&self, begun: &Begun) -> Result<SessionCookies, CookieError> {
        self.cookies.set(&begun.session, &begun.access, Some(&begun.refresh))
    }
}

impl fmt::Debug for BrowserLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrowserLogin").field("client", &self.client).finish_non_exhaustive()
    }
}
