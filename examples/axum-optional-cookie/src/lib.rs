//! The service that `main.rs` starts: a policy, and the routes in front of it and behind it.
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use portcullis_axum::portcullis::policy::BadCookie;
use portcullis_axum::portcullis::source::CookieError;
use portcullis_axum::portcullis::{BuildError, PolicyBuilder, TokenCookie, TokenSource};
use portcullis_axum::{Caller, Policy, Verified, VerifyLayer};
use serde::Deserialize;

/// The cookie that the token is in.
pub const COOKIE: &str = "__Host-token";

/// Whose tokens are accepted is said in `main`; where they are, and what a bad one does, here.
///
/// # Errors
///
/// What was said of the issuers makes no policy.
pub fn policy(builder: PolicyBuilder) -> Result<Policy, BuildError> {
    builder
        .sources([TokenSource::cookie(COOKIE)])
        // An expired cookie costs one 401, and is gone: nobody is locked out.
        .bad_cookie(BadCookie::RejectAndClear)
        .allow_anonymous()
        .build()
}

#[derive(Deserialize)]
struct User {
    sub: String,
}

async fn home(user: Option<Verified<User>>) -> String {
    format!("hello {}\n", user.as_ref().map_or("stranger", |user| &user.sub))
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

/// Takes JSON, which no form of another site can send, lest it log you in as somebody else.
async fn login(State(app): State<App>, Json(Login { token }): Json<Login>) -> Response {
    let Ok(verified) = app.policy.verify_token(&token).await else {
        return StatusCode::FORBIDDEN.into_response();
    };
    match app.cookie.set_cookie(&token, &verified, &app.policy) {
        Ok(cookie) => (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response(),
        Err(error) => (StatusCode::FORBIDDEN, error.to_string()).into_response(),
    }
}

/// Behind the policy, so that another site cannot log you out; and only for who is logged in, since its
/// form, sent without the cookie, would take the cookie away all the same.
async fn logout(_: Caller, State(app): State<App>) -> impl IntoResponse {
    (StatusCode::NO_CONTENT, [(SET_COOKIE, app.cookie.removal_cookie())])
}

#[derive(Clone)]
struct App {
    policy: Policy,
    cookie: TokenCookie,
}

/// The routes: a login that anybody may send, and what is behind the policy.
///
/// # Errors
///
/// [`COOKIE`] is no name for a cookie with a token.
pub fn app(policy: Policy) -> Result<Router, CookieError> {
    let app = App { policy: policy.clone(), cookie: TokenCookie::new(COOKIE)? };
    let behind_the_policy = Router::new()
        .route("/", get(home))
        .route("/logout", post(logout))
        .layer(VerifyLayer::new(policy));
    Ok(Router::new().route("/login", post(login)).merge(behind_the_policy).with_state(app))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::http::header::CONTENT_TYPE;
    use axum::http::request::Builder;
    use http_body_util::BodyExt;
    use portcullis_axum::portcullis::Algorithm;
    use portcullis_testkit::TestIssuer;
    use tower::ServiceExt;

    use super::*;

    const CLEARED: &str = "__Host-token=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax";

    fn issuer() -> TestIssuer {
        TestIssuer::new("https://id.example").at(1_800_000_000)
    }

    /// The status, the cookie that is set, and the body.
    async fn send(request: Builder, body: String) -> (u16, Option<String>, String) {
        let app = app(policy(issuer().policy_builder()).expect("a policy")).expect("an app");
        let request = request.body(Body::from(body)).expect("a request");
        let response = app.oneshot(request).await.expect("a response");
        let status = response.status().as_u16();
        let text = |value: &axum::http::HeaderValue| value.to_str().expect("text").to_owned();
        let cookie = response.headers().get(SET_COOKIE).map(text);
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, cookie, String::from_utf8(body.into()).expect("text"))
    }

    #[tokio::test]
    async fn login_sets_the_cookie_that_home_greets_by() {
        let token = issuer().token(Algorithm::ES256).mint();
        let login = Request::post("/login").header(CONTENT_TYPE, "application/json");
        let (status, cookie, _) = send(login, format!(r#"{{"token":"{token}"}}"#)).await;
        let attributes = "; Max-Age=300; Path=/; Secure; HttpOnly; SameSite=Lax";
        assert_eq!((status, cookie), (204, Some(format!("{COOKIE}={token}{attributes}"))));

        let home = Request::get("/").header("cookie", format!("{COOKIE}={token}"));
        assert_eq!(send(home, String::new()).await, (200, None, "hello alice\n".to_owned()));
    }

    #[tokio::test]
    async fn a_form_or_a_bad_token_does_not_log_in() {
        let token = issuer().token(Algorithm::ES256).mint();
        let form = Request::post("/login").header(CONTENT_TYPE, "text/plain");
        assert_eq!(send(form, format!(r#"{{"token":"{token}"}}"#)).await.0, 415);

        let expired = issuer().token(Algorithm::ES256).expired().mint();
        let login = Request::post("/login").header(CONTENT_TYPE, "application/json");
        assert_eq!(send(login, format!(r#"{{"token":"{expired}"}}"#)).await.0, 403);
    }

    #[tokio::test]
    async fn without_a_cookie_home_greets_a_stranger() {
        let stranger = (200, None, "hello stranger\n".to_owned());
        assert_eq!(send(Request::get("/"), String::new()).await, stranger);
    }

    #[tokio::test]
    async fn an_expired_cookie_is_refused_and_taken_away() {
        let expired = issuer().token(Algorithm::ES256).expired().mint();
        let home = Request::get("/").header("cookie", format!("{COOKIE}={expired}"));
        let (status, cookie, _) = send(home, String::new()).await;
        assert_eq!((status, cookie.as_deref()), (401, Some(CLEARED)));
    }

    #[tokio::test]
    async fn logout_takes_the_cookie_away_but_not_for_another_site() {
        let token = issuer().token(Algorithm::ES256).mint();
        let logout = || Request::post("/logout").header("cookie", format!("{COOKIE}={token}"));
        let (status, cookie, _) =
            send(logout().header("sec-fetch-site", "same-origin"), String::new()).await;
        assert_eq!((status, cookie.as_deref()), (204, Some(CLEARED)));
        let (status, cookie, _) =
            send(logout().header("sec-fetch-site", "cross-site"), String::new()).await;
        assert_eq!((status, cookie), (403, None));
        // Another site's form comes without the cookie, and its answer may still set it.
        let form = Request::post("/logout").header("sec-fetch-site", "cross-site");
        let (status, cookie, _) = send(form, String::new()).await;
        assert_eq!((status, cookie), (401, None));
    }
}
