//! The routes of an issuer's sessions.
use axum::Router;
use axum::routing::any;
use axum_core::body::Body;
use axum_core::extract::Request;
use portcullis_issuer::{BrowserSessions, NativeSessions, OwnSessions};

use super::{read, respond};
use crate::request::AxumRequest;

/// The routes of browsers' sessions, `/refresh`, `/logout` and `/logout-everywhere`: a router to nest. See
/// [`BrowserSessions`].
///
/// They need no access token: leave them outside the layer. Why one did not do what was asked, a
/// [`SessionRouteError`](portcullis_issuer::routes::SessionRouteError), stands in the response's extensions.
///
/// ```
/// use axum::Router;
/// use axum::extract::{Request, State};
/// use axum::response::{IntoResponse, Response};
/// use axum::routing::post;
/// use portcullis_axum::AxumRequest;
/// use portcullis_issuer::routes::SessionRouteError;
/// use portcullis_issuer::{BrowserSessions, Sessions};
///
/// async fn login(
///     State((sessions, browser)): State<(Sessions, BrowserSessions)>,
///     request: Request,
/// ) -> Response {
///     let cookies = async move {
///         // Not from another site.
///         let login = browser.check_login(&AxumRequest::from(&request))?;
///         let attempt = sessions.attempt("alice").await?;
///         // Look at the password here.
///         let begun = sessions.begin(login.succeeded(attempt)).await?;
///         Ok::<_, SessionRouteError>(login.cookies(&begun)?)
///     };
///     match cookies.await {
///         Ok(cookies) => {
///             let mut response = "Welcome, Alice.".into_response();
///             cookies.add_to(response.headers_mut());
///             response
///         }
///         Err(error) => portcullis_axum::respond(error.reply()),
///     }
/// }
///
/// fn app(sessions: Sessions, browser: BrowserSessions) -> Router {
///     Router::new()
///         .route("/login", post(login))
///         .with_state((sessions, browser.clone()))
///         .nest("/session", portcullis_axum::browser_sessions(browser))
/// }
/// # let _ = app;
/// ```
pub fn browser_sessions<S>(browser: BrowserSessions) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let (refresh, logout) = (browser.clone(), browser.clone());
    let refresh = any(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let body = read(body, refresh.body()).await;
        respond(refresh.refresh(&AxumRequest::from(&head), body).await)
    });
    let logout = any(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let body = read(body, logout.body()).await;
        respond(logout.log_out(&AxumRequest::from(&head), body).await)
    });
    let everywhere = any(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let body = read(body, browser.body()).await;
        respond(browser.log_out_everywhere(&AxumRequest::from(&head), body).await)
    });
    Router::new()
        .route("/refresh", refresh)
        .route("/logout", logout)
        .route("/logout-everywhere", everywhere)
}

/// The routes of native clients' sessions, `/token` (RFC 6749) and `/revoke` (RFC 7009): a router to nest. See
/// [`NativeSessions`].
///
/// They need no access token: leave them outside the layer. Why one did not do what was asked, a
/// [`SessionRouteError`](portcullis_issuer::routes::SessionRouteError), stands in the response's extensions.
///
/// ```
/// use axum::Router;
/// use portcullis_issuer::NativeSessions;
///
/// fn app(native: NativeSessions) -> Router {
///     Router::new().nest("/oauth", portcullis_axum::native_sessions(native))
/// }
/// # let _ = app;
/// ```
pub fn native_sessions<S>(native: NativeSessions) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let revocation = native.clone();
    let token = any(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let body = read(body, native.body()).await;
        respond(native.token(&AxumRequest::from(&head), body).await)
    });
    let revoke = any(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let body = read(body, revocation.body()).await;
        respond(revocation.revoke(&AxumRequest::from(&head), body).await)
    });
    Router::new().route("/token", token).route("/revoke", revoke)
}

/// The routes by which users see their sessions and end them, `/` and `/{id}`, behind the policy of [`OwnSessions`]: a router to
/// nest.
///
/// Why one did not do what was asked, a [`SessionRouteError`](portcullis_issuer::routes::SessionRouteError), stands in the
/// response's extensions.
///
/// ```
/// use axum::Router;
/// use portcullis_issuer::OwnSessions;
///
/// fn app(own: OwnSessions) -> Router {
///     Router::new().nest("/sessions", portcullis_axum::own_sessions(own))
/// }
/// # let _ = app;
/// ```
pub fn own_sessions<S>(own: OwnSessions) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let ending = own.clone();
    let list = any(async move |request: Request| {
        let (head, _) = request.into_parts();
        let view = AxumRequest::from(&head);
        match own.admit(&view).await {
            Ok(owner) => respond(owner.list(&view).await),
            Err(rejection) => rejection.into_response::<Body>(),
        }
    });
    let end = any(async move |request: Request| {
        let (head, _) = request.into_parts();
        let view = AxumRequest::from(&head);
        match ending.admit(&view).await {
            Ok(owner) => respond(owner.end(&view).await),
            Err(rejection) => rejection.into_response::<Body>(),
        }
    });
    Router::new().route("/", list).route("/{id}", end)
}
