//! Tests of an axum app. **For tests only.** Feature `axum`.
//!
//! # Example: a handler
//!
//! ```
//! use axum::{Router, body::Body, http::{Request, StatusCode}, routing::get};
//! use portcullis::Algorithm;
//! use portcullis_axum::{Policy, Verified, VerifyLayer};
//! use portcullis_testkit::TestIssuer;
//! use tower::ServiceExt;
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
//! fn app(policy: Policy) -> Router {
//!     Router::new().route("/orders", get(orders)).layer(VerifyLayer::new(policy))
//! }
//!
//! // Its test:
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = TestIssuer::new("https://id.example");
//! let token = issuer.token(Algorithm::ES256).subject("bob").mint();
//!
//! let request = Request::get("/orders").header("authorization", format!("Bearer {token}"));
//! let response = app(issuer.policy()).oneshot(request.body(Body::empty())?).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! # Ok(()) }
//! ```
use core::fmt::Display;

use axum_core::body::Body;
use http::{Request, Response};
use tower_service::Service;

/// Asks each route of an axum app, a method and a path, once without a token and once with one that
/// is none, with an empty body.
///
/// In axum, routes added after `.layer` are open, and nothing says so but this. A path may be
/// written as in the router: `/orders/{id}`. A misspelt path is found only where the layer does not
/// cover the fallback: where it does, the app answers 401 there, too.
///
/// # Panics
///
/// If a route answers anything but 401 with a challenge for `Bearer`: one message names all such
/// routes. Also if the list is empty, or an entry is no method or path.
///
/// ```should_panic
/// use axum::{Router, routing::get};
/// use portcullis_axum::VerifyLayer;
/// use portcullis_testkit::{TestIssuer, axum::assert_protected};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let policy = TestIssuer::new("https://id.example").policy();
/// let app = Router::new()
///     .route("/orders", get(|| async { "orders" }))
///     .layer(VerifyLayer::new(policy))
///     .route("/admin", get(|| async { "secrets" })); // Open!
/// assert_protected(&app, &[("GET", "/orders"), ("GET", "/admin")]).await;
/// # }
/// ```
pub async fn assert_protected<S, R>(app: &S, routes: &[(&str, &str)])
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    let hint = "In axum, `.layer` covers only the routes that were added before it: put it last.";
    crate::tower::walk::<S, Body, R>(app, routes, hint).await;
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::{delete, get, post};
    use axum::{Json, Router};
    use portcullis_axum::{Caller, VerifyLayer};

    use super::*;
    use crate::TestIssuer;

    async fn name(caller: Caller) -> String {
        caller.subject().unwrap_or_default().to_owned()
    }

    fn layer() -> VerifyLayer {
        VerifyLayer::new(TestIssuer::new("https://axum.example").policy())
    }

    #[tokio::test]
    async fn protected_routes_pass_whatever_their_method_and_parameters() {
        let app = Router::new()
            .route("/name", get(name))
            .route("/orders/{id}", delete(name))
            .route("/orders", post(async |_: Json<serde_json::Value>| "created"))
            .layer(layer());
        let routes = [
            ("GET", "/name"),
            ("HEAD", "/name"),
            ("DELETE", "/orders/{id}"),
            ("DELETE", "/orders/7?force=1"),
            ("POST", "/orders"),
        ];
        assert_protected(&app, &routes).await;
    }

    #[tokio::test]
    #[should_panic(expected = "5 of 6 routes are not protected:
  - GET /late: without a token it answered 200
  - GET /optional: without a token it answered 200
  - GET /unchecked: with `Authorization: Bearer not-a-token` it answered 200
  - GET /bare: without a token it answered 500: no policy stands in front of this route: add `VerifyLayer` (tower, axum) or `Verify` (actix-web) around it; in axum, routes added after `.layer` are not covered
  - GET /nowhere: without a token it answered 404: is there such a route?
A protected route answers 401 with `WWW-Authenticate: Bearer`. In axum, `.layer` covers only the routes that were added before it: put it last.")]
    async fn one_message_names_every_offender() {
        let anonymous =
            VerifyLayer::new(TestIssuer::new("https://axum.example").policy().allow_anonymous());
        // Somebody checks that there is a token, and never looks at it.
        let unchecked = async |headers: HeaderMap| {
            if headers.contains_key("authorization") {
                (StatusCode::OK, [("www-authenticate", "-")])
            } else {
                (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")])
            }
        };
        let app = Router::new()
            .route("/name", get(name).layer(layer()))
            .route("/late", get(async || "open"))
            .route("/optional", get(async || "open").layer(anonymous))
            .route("/unchecked", get(unchecked))
            .route("/bare", get(name));
        let routes = ["/name", "/late", "/optional", "/unchecked", "/bare", "/nowhere"];
        assert_protected(&app, &routes.map(|path| ("GET", path))).await;
    }
}
