//! The routes of an issuer's sessions.
use actix_web::dev::HttpServiceFactory;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, ResponseError, web};
use portcullis_issuer::routes::SessionCookies;
use portcullis_issuer::{BrowserSessions, NativeSessions, OwnSessions};

use super::{read, respond};
use crate::rejection::Rejection;
use crate::request::ActixRequest;

/// The routes of browsers' sessions in a scope at `path`: `/refresh`, `/logout` and `/logout-everywhere`. See
/// [`BrowserSessions`].
///
/// They need no access token: leave them outside the middleware. Why one did not do what was asked, a
/// [`SessionRouteError`](portcullis_issuer::routes::SessionRouteError), stands in the response's extensions.
///
/// ```
/// use actix_web::web::{self, Data};
/// use actix_web::{App, HttpRequest, HttpResponse};
/// use portcullis_actix::ActixRequest;
/// use portcullis_issuer::routes::SessionRouteError;
/// use portcullis_issuer::{BrowserSessions, Sessions};
///
/// async fn login(
///     sessions: Data<Sessions>,
///     browser: Data<BrowserSessions>,
///     request: HttpRequest,
/// ) -> HttpResponse {
///     let cookies = async {
///         // Not from another site.
///         let login = browser.check_login(&ActixRequest(&request))?;
///         let attempt = sessions.attempt("alice").await?;
///         // Look at the password here.
///         let begun = sessions.begin(login.succeeded(attempt)).await?;
///         Ok::<_, SessionRouteError>(login.cookies(&begun)?)
///     };
///     match cookies.await {
///         Ok(cookies) => {
///             let mut response = HttpResponse::Ok().body("Welcome, Alice.");
///             let headers = response.headers_mut();
///             portcullis_actix::add_session_cookies(&cookies, headers);
///             response
///         }
///         Err(error) => portcullis_actix::respond(error.reply()),
///     }
/// }
///
/// # fn app(sessions: Sessions, browser: BrowserSessions) {
/// let app = App::new()
///     .app_data(Data::new(sessions.clone()))
///     .app_data(Data::new(browser.clone()))
///     .route("/login", web::post().to(login))
///     .service(portcullis_actix::browser_sessions("/session", browser.clone()));
/// # let _ = app; }
/// ```
pub fn browser_sessions(path: &str, browser: BrowserSessions) -> impl HttpServiceFactory + 'static {
    let (refresh, logout) = (browser.clone(), browser.clone());
    let refresh =
        web::resource("/refresh").to(move |request: HttpRequest, payload: web::Payload| {
            let browser = refresh.clone();
            async move {
                let body = read(payload, browser.body()).await;
                respond(browser.refresh(&ActixRequest(&request), body).await)
            }
        });
    let logout = web::resource("/logout").to(move |request: HttpRequest, payload: web::Payload| {
        let browser = logout.clone();
        async move {
            let body = read(payload, browser.body()).await;
            respond(browser.log_out(&ActixRequest(&request), body).await)
        }
    });
    let everywhere = web::resource("/logout-everywhere").to(
        move |request: HttpRequest, payload: web::Payload| {
            let browser = browser.clone();
            async move {
                let body = read(payload, browser.body()).await;
                respond(browser.log_out_everywhere(&ActixRequest(&request), body).await)
            }
        },
    );
    web::scope(path).service((refresh, logout, everywhere))
}

/// The routes of native clients' sessions in a scope at `path`: `/token` (RFC 6749) and `/revoke` (RFC 7009). See
/// [`NativeSessions`].
///
/// They need no access token: leave them outside the middleware. Why one did not do what was asked, a
/// [`SessionRouteError`](portcullis_issuer::routes::SessionRouteError), stands in the response's extensions.
///
/// ```
/// use actix_web::App;
/// use portcullis_issuer::NativeSessions;
///
/// # fn app(native: NativeSessions) {
/// let app = App::new()
///     .service(portcullis_actix::native_sessions("/oauth", native.clone()));
/// # let _ = app; }
/// ```
pub fn native_sessions(path: &str, native: NativeSessions) -> impl HttpServiceFactory + 'static {
    let revocation = native.clone();
    let token = web::resource("/token").to(move |request: HttpRequest, payload: web::Payload| {
        let native = native.clone();
        async move {
            let body = read(payload, native.body()).await;
            respond(native.token(&ActixRequest(&request), body).await)
        }
    });
    let revoke = web::resource("/revoke").to(move |request: HttpRequest, payload: web::Payload| {
        let native = revocation.clone();
        async move {
            let body = read(payload, native.body()).await;
            respond(native.revoke(&ActixRequest(&request), body).await)
        }
    });
    web::scope(path).service((token, revoke))
}

/// The routes by which users see their sessions and end them in a scope at `path`: the path itself, and `/{id}`. They are behind
/// the policy of [`OwnSessions`].
///
/// Why one did not do what was asked, a [`SessionRouteError`](portcullis_issuer::routes::SessionRouteError), stands in the
/// response's extensions.
///
/// ```
/// use actix_web::App;
/// use portcullis_issuer::OwnSessions;
///
/// # fn app(own: OwnSessions) {
/// let app = App::new()
///     .service(portcullis_actix::own_sessions("/sessions", own.clone()));
/// # let _ = app; }
/// ```
pub fn own_sessions(path: &str, own: OwnSessions) -> impl HttpServiceFactory + 'static {
    let ending = own.clone();
    let list = web::resource("").to(move |request: HttpRequest| {
        let own = own.clone();
        async move {
            let view = ActixRequest(&request);
            match own.admit(&view).await {
                Ok(owner) => respond(owner.list(&view).await),
                Err(rejection) => Rejection::from(rejection).error_response(),
            }
        }
    });
    let end = web::resource("/{id}").to(move |request: HttpRequest| {
        let own = ending.clone();
        async move {
            let view = ActixRequest(&request);
            match own.admit(&view).await {
                Ok(owner) => respond(owner.end(&view).await),
                Err(rejection) => Rejection::from(rejection).error_response(),
            }
        }
    });
    web::scope(path).service((list, end))
}

/// Adds the cookies of a session that began to the response of a login: see
/// [`BrowserLogin::cookies`](portcullis_issuer::routes::BrowserLogin::cookies). What the response says of caches
/// [gives way](SessionCookies::gives_way).
pub fn add_session_cookies(cookies: &SessionCookies, headers: &mut HeaderMap) {
    headers.retain(|name, _| !SessionCookies::gives_way(name.as_str()));
    for (name, value) in cookies.headers() {
        // Both versions of the `http` crate take the same names and values.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
}
