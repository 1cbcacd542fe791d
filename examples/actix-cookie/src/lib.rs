//! The service that `main.rs` starts: a policy, and the routes in front of it and behind it.
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpResponse, web};
use portcullis_actix::portcullis::{BuildError, PolicyBuilder, TokenCookie, TokenSource};
use portcullis_actix::{Policy, Verified, Verify};
use serde::Deserialize;

/// The cookie that the token is in.
pub const COOKIE: &str = "__Host-token";

/// Whose tokens are accepted is said in `main`; where they are, and who may send them, here.
///
/// # Errors
///
/// What was said of the issuers makes no policy.
pub fn policy(builder: PolicyBuilder) -> Result<Policy, BuildError> {
    builder
        .sources([TokenSource::cookie(COOKIE)])
        // Pages of this origin may write, too. Those of the service itself always may.
        .allowed_origins(["https://app.example"])
        .build()
}

#[derive(Deserialize)]
struct User {
    sub: String,
}

async fn read(Verified(user): Verified<User>) -> String {
    format!("notes of {}\n", user.sub)
}

async fn write(Verified(user): Verified<User>) -> String {
    format!("noted for {}\n", user.sub)
}

#[derive(Deserialize)]
struct Login {
    token: String,
}

/// Takes JSON, which no form of another site can send, lest it log you in as somebody else.
async fn login(
    policy: web::Data<Policy>,
    cookie: web::Data<TokenCookie>,
    login: web::Json<Login>,
) -> HttpResponse {
    let Ok(verified) = policy.verify_token(&login.token).await else {
        return HttpResponse::Forbidden().finish();
    };
    match cookie.set_cookie(&login.token, &verified, &policy) {
        Ok(cookie) => HttpResponse::NoContent().append_header((SET_COOKIE, cookie)).finish(),
        Err(error) => HttpResponse::Forbidden().body(error.to_string()),
    }
}

/// Behind the policy, so that another site cannot log you out.
async fn logout(cookie: web::Data<TokenCookie>) -> HttpResponse {
    HttpResponse::NoContent().append_header((SET_COOKIE, cookie.removal_cookie())).finish()
}

/// The routes: a login that anybody may send, and what is behind the policy.
pub fn api(policy: Policy, cookie: TokenCookie) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(web::Data::new(policy.clone()))
            .app_data(web::Data::new(cookie))
            .route("/login", web::post().to(login))
            .service(
                web::scope("/me")
                    .wrap(Verify::new(policy))
                    .route("/notes", web::get().to(read))
                    .route("/notes", web::post().to(write))
                    .route("/logout", web::post().to(logout)),
            );
    }
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::test::{self, TestRequest};
    use portcullis_actix::portcullis::Algorithm;
    use portcullis_testkit::TestIssuer;
    use portcullis_testkit::actix::assert_protected;
    use serde_json::json;

    use super::*;

    fn issuer() -> TestIssuer {
        TestIssuer::new("https://id.example").at(1_800_000_000)
    }

    fn api() -> impl FnOnce(&mut web::ServiceConfig) {
        let policy = policy(issuer().policy_builder()).expect("a policy");
        super::api(policy, TokenCookie::new(COOKIE).expect("a cookie"))
    }

    /// The status and the cookie that is set.
    async fn send(request: TestRequest) -> (u16, Option<String>) {
        let app = test::init_service(App::new().configure(api())).await;
        let response = test::call_service(&app, request.to_request()).await;
        let cookie = response.headers().get(SET_COOKIE);
        let cookie = cookie.map(|value| value.to_str().expect("text").to_owned());
        (response.status().as_u16(), cookie)
    }

    fn post(path: &str) -> TestRequest {
        let cookie = format!("{COOKIE}={}", issuer().token(Algorithm::ES256).mint());
        TestRequest::post().uri(path).insert_header(("cookie", cookie))
    }

    #[actix_web::test]
    async fn every_route_but_the_login_is_protected() {
        let routes = [("GET", "/me/notes"), ("POST", "/me/notes"), ("POST", "/me/logout")];
        assert_protected(App::new().configure(api()), &routes).await;
    }

    #[actix_web::test]
    async fn login_sets_the_cookie() {
        let token = issuer().token(Algorithm::ES256).mint();
        let login = TestRequest::post().uri("/login").set_json(json!({ "token": token }));
        let attributes = "; Max-Age=300; Path=/; Secure; HttpOnly; SameSite=Lax";
        assert_eq!(send(login).await, (204, Some(format!("{COOKIE}={token}{attributes}"))));

        let expired = issuer().token(Algorithm::ES256).expired().mint();
        let login = TestRequest::post().uri("/login").set_json(json!({ "token": expired }));
        assert_eq!(send(login).await, (403, None));
    }

    #[actix_web::test]
    async fn own_pages_and_allowed_origins_write_and_others_do_not() {
        for (status, name, value) in [
            (200, "sec-fetch-site", "same-origin"),
            (200, "origin", "https://app.example"),
            (403, "sec-fetch-site", "cross-site"),
            (403, "origin", "https://evil.example"),
        ] {
            let write = post("/me/notes").insert_header((name, value));
            assert_eq!(send(write).await, (status, None), "{name}: {value}");
        }
    }

    #[actix_web::test]
    async fn logout_takes_the_cookie_away() {
        let logout = post("/me/logout").insert_header(("sec-fetch-site", "same-origin"));
        let cleared = "__Host-token=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax";
        assert_eq!(send(logout).await, (204, Some(cleared.to_owned())));
    }
}
