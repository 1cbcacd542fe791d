//! Tests of an actix-web app. **For tests only.** Feature `actix`.
//!
//! # Example: a handler
//!
//! ```
//! use actix_web::{App, http::StatusCode, test, web};
//! use portcullis::Algorithm;
//! use portcullis_actix::{Policy, Verified, Verify};
//! use portcullis_testkit::TestIssuer;
//!
//! // The application:
//! #[derive(serde::Deserialize)]
//! struct User {
//!     sub: String,
//! }
//!
//! async fn orders(Verified(user): Verified<User>) -> String {
//!     format!("orders of {}", user.sub)
//! }
//!
//! fn api(policy: Policy) -> impl FnOnce(&mut web::ServiceConfig) {
//!     let orders = web::resource("/orders").wrap(Verify::new(policy)).get(orders);
//!     |config| { config.service(orders); }
//! }
//!
//! // Its test:
//! # #[actix_web::main]
//! # async fn main() {
//! let issuer = TestIssuer::new("https://id.example");
//! let token = issuer.token(Algorithm::ES256).subject("bob").mint();
//!
//! let app = test::init_service(App::new().configure(api(issuer.policy()))).await;
//! let request = test::TestRequest::get().uri("/orders");
//! let request = request.insert_header(("authorization", format!("Bearer {token}")));
//! let response = test::call_service(&app, request.to_request()).await;
//! assert_eq!(response.status(), StatusCode::OK);
//! # }
//! ```
use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use actix_web::{App, Error, HttpResponse, test};

use crate::protected::{Answer, Probe, Report};

/// Asks each route of an actix-web app, a method and a path, once without a token and once with one
/// that is none, with an empty body.
///
/// A path may be written as in the app: `/orders/{id}`. A misspelt path is found only where the
/// middleware does not cover the default service: where it wraps the whole app, the app answers 401
/// there, too.
///
/// # Panics
///
/// If a route answers anything but 401 with a challenge for `Bearer`: one message names all such
/// routes. Also if the list is empty, or an entry is no method or path.
///
/// ```
/// use actix_web::{App, web};
/// use portcullis_actix::Verify;
/// use portcullis_testkit::{TestIssuer, actix::assert_protected};
///
/// # #[actix_web::main]
/// # async fn main() {
/// let policy = TestIssuer::new("https://id.example").policy();
/// let app = App::new()
///     .wrap(Verify::new(policy))
///     .route("/orders", web::get().to(async || "orders"))
///     .route("/orders/{id}", web::delete().to(async || "deleted"));
/// assert_protected(app, &[("GET", "/orders"), ("DELETE", "/orders/{id}")]).await;
/// # }
/// ```
pub async fn assert_protected<T, B>(app: App<T>, routes: &[(&str, &str)])
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let app = test::init_service(app).await;
    let mut report = Report::default();
    for route @ (method, path) in routes {
        report.walks();
        for probe in Probe::ALL {
            let method = Method::from_bytes(method.as_bytes())
                .unwrap_or_else(|error| panic!("{method} {path} is no route: {error}"));
            let mut request = test::TestRequest::with_uri(path).method(method);
            if let Some(value) = probe.authorization() {
                request = request.insert_header((AUTHORIZATION, value));
            }
            let answer = match app.call(request.to_request()).await {
                Ok(response) => answer(response.response()),
                // As the server would.
                Err(error) => answer(&error.error_response()),
            };
            if !report.note(*route, probe, Ok(answer)) {
                break;
            }
        }
    }
    report.conclude("See that `.wrap(Verify::new(policy))` is around each of them.");
}

fn answer<B>(response: &HttpResponse<B>) -> Answer {
    let challenges = response.headers().get_all(WWW_AUTHENTICATE);
    Answer::new(
        response.status().as_u16(),
        challenges.map(|value| value.as_bytes()),
        response.extensions().get(),
    )
}

#[cfg(test)]
mod tests {
    use actix_web::{HttpResponseBuilder, http::StatusCode, web};
    use portcullis_actix::{Caller, Verify};

    use super::*;
    use crate::TestIssuer;

    async fn name(caller: Caller) -> String {
        caller.subject().unwrap_or_default().to_owned()
    }

    fn verify() -> Verify {
        Verify::new(TestIssuer::new("https://actix.example").policy())
    }

    #[actix_web::test]
    async fn protected_routes_pass_whatever_their_method_and_parameters() {
        let app = App::new()
            .wrap(verify())
            .route("/name", web::get().to(name))
            .route("/orders/{id}", web::delete().to(name))
            .route("/orders", web::post().to(async |_: web::Json<serde_json::Value>| "created"));
        let routes = [
            ("GET", "/name"),
            ("DELETE", "/orders/{id}"),
            ("DELETE", "/orders/7?force=1"),
            ("POST", "/orders"),
        ];
        assert_protected(app, &routes).await;
    }

    #[actix_web::test]
    async fn a_refusal_that_is_an_error_counts_as_the_response_it_becomes() {
        let refuse = async || {
            let mut response = HttpResponseBuilder::new(StatusCode::UNAUTHORIZED);
            let response = response.insert_header((WWW_AUTHENTICATE, "Bearer")).finish();
            Err::<String, _>(actix_web::error::InternalError::from_response("refused", response))
        };
        assert_protected(App::new().route("/", web::get().to(refuse)), &[("GET", "/")]).await;
    }

    #[actix_web::test]
    #[should_panic(expected = "2 of 3 routes are not protected:
  - GET /open: without a token it answered 200
  - GET /bare: without a token it answered 500: no policy stands in front of this route: add `VerifyLayer` (tower, axum) or `Verify` (actix-web) around it; in axum, routes added after `.layer` are not covered
A protected route answers 401 with `WWW-Authenticate: Bearer`. See that `.wrap(Verify::new(policy))` is around each of them.")]
    async fn one_message_names_every_offender() {
        let app = App::new()
            .service(web::resource("/name").wrap(verify()).get(name))
            .route("/open", web::get().to(async || "open"))
            .route("/bare", web::get().to(name));
        let routes = ["/name", "/open", "/bare"].map(|path| ("GET", path));
        assert_protected(app, &routes).await;
    }
}
