//! [`portcullis`] for axum: a layer, extractors for what its policy verified, and routes.
//!
//! An app depends on this crate alone. It exports the core as [`portcullis`], and forwards its features.
//! **Where to start**: the [quick start](portcullis::guide::quick_start), and the [guide](portcullis::guide) for all
//! else.
//!
//! # Example
//!
//! ```
//! use axum::{Router, routing::get};
//! use portcullis_axum::{Caller, Policy, Verified, VerifyLayer};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct User {
//!     sub: String,
//! }
//!
//! async fn orders(Verified(user): Verified<User>) -> String {
//!     format!("orders of {}", user.sub)
//! }
//!
//! async fn home(caller: Option<Caller>) -> String {
//!     let name = caller.as_ref().and_then(|caller| caller.subject());
//!     format!("hello {}", name.unwrap_or("stranger"))
//! }
//!
//! fn app(policy: &Policy) -> Router {
//!     Router::new()
//!         .route(
//!             "/orders",
//!             get(orders).layer(VerifyLayer::new(policy.clone())),
//!         )
//!         .route(
//!             "/",
//!             get(home)
//!                 .layer(VerifyLayer::new(policy.clone().allow_anonymous())),
//!         )
//! }
//! # let _ = app;
//! ```
//!
//! `Router::layer` covers only the routes that were added before it: put it last. A handler that
//! asks for a token on a route without the layer answers 500. The response's extensions say what was
//! forgotten, and the request is never let in.
//!
//! # Find your way
//!
//! | to … | use |
//! | --- | --- |
//! | [put a policy in front of routes](portcullis::guide::quick_start) | [`VerifyLayer`] |
//! | [read the token](portcullis::guide::quick_start#choose-an-extractor) | [`Verified`], [`Caller`] |
//! | [ask for scopes and roles](portcullis::guide::requirements) | [`Authorized`], [`RequireLayer`] |
//! | let [logouts](portcullis::guide::logout) and [administrators](portcullis::guide::revocation) revoke | [`back_channel_logout`], [`revocation_admin`] |
//! | [tell clients where to get a token](portcullis::guide::mcp) | [`protected_resource`] (RFC 9728) |
//! | [tell an orchestrator when it is ready](portcullis::guide::operations) | [`readiness`] |
//! | [test all of it](portcullis::guide::testing) | `portcullis-testkit` |
//!
//! # Features
//!
//! Each is forwarded to the core. [Its front page](portcullis#features) says what each of them costs.
//!
//! | feature | what it gives |
//! | --- | --- |
//! | `tracing` (on by default) | an event for each refusal, and for keys and revocations |
//! | `remote-jwks` | keys that are fetched and rotated, and presets of providers |
//! | `status-list` | the status list that a token names |
//! | `config` | a policy from a file or the environment |
//! | `lookup` | a revocation source of your own that has to be waited for |
//! | `metrics` | counters, a histogram and gauges |
//! | `explain` | why a token is refused, step by step |
//! | `rustls` | [`tls`]: a server that tells each request which certificate its client presented |
//! | `issuer` | the public keys and the metadata of an issuer of your own, and its sessions, as routes |
//!
//! # Other layers
//!
//! The last `.layer` is the outermost. Put outside of [`VerifyLayer`] what all answers need, refusals included: CORS, which
//! answers preflights itself (they carry no token), tracing, compression, catching panics, request ids. A timeout outside
//! also bounds how long a request waits for keys. Put inside what is for callers alone: concurrency and rate limits by
//! caller, bodies that are read or unpacked.
//!
//! ```
//! # use axum::{Router, http::StatusCode}; use portcullis_axum::{Policy, VerifyLayer}; use std::time::Duration;
//! use tower_http::{cors::CorsLayer, timeout::TimeoutLayer};
//!
//! # fn app(routes: Router, policy: Policy) -> Router {
//! routes
//!     .layer(VerifyLayer::new(policy))
//!     .layer(TimeoutLayer::with_status_code(
//!         StatusCode::GATEWAY_TIMEOUT,
//!         Duration::from_secs(10),
//!     ))
//!     .layer(CorsLayer::permissive())
//! # }
//! ```
//!
//! # Testing
//!
//! `portcullis-testkit` mints tokens, has a policy that trusts them, and finds routes that are open:
//!
//! ```
//! use axum::{Router, body::Body, http::{Request, StatusCode}, routing::get};
//! use portcullis_axum::portcullis::Algorithm;
//! use portcullis_axum::{Caller, Policy, VerifyLayer};
//! use portcullis_testkit::{TestIssuer, axum::assert_protected};
//! use tower::ServiceExt;
//!
//! fn app(policy: Policy) -> Router {
//!     let orders = async |_: Caller| "orders";
//!     Router::new().route("/orders", get(orders)).layer(VerifyLayer::new(policy))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = TestIssuer::new("https://id.example");
//! let app = app(issuer.policy());
//! assert_protected(&app, &[("GET", "/orders")]).await;
//!
//! for (token, status) in [
//!     (issuer.token(Algorithm::ES256), StatusCode::OK),
//!     (issuer.token(Algorithm::ES256).expired(), StatusCode::UNAUTHORIZED),
//! ] {
//!     let request = Request::get("/orders")
//!         .header("authorization", format!("Bearer {}", token.mint()))
//!         .body(Body::empty())?;
//!     assert_eq!(app.clone().oneshot(request).await?.status(), status);
//! }
//! # Ok(()) }
//! ```
// Items behind features: the first definition counts, and without the feature it is that of the table.
#![cfg_attr(feature = "rustls", doc = "[`tls`]: mod@crate::tls")]
//! [`tls`]: #features
// The pages on the web say of each item which feature it needs (`make docs-rs`).
#![cfg_attr(docsrs, feature(doc_cfg))]
mod extract;
mod layer;
mod rejection;
mod request;
mod routes;
#[cfg(feature = "issuer")]
mod silent;
#[cfg(feature = "rustls")]
pub mod tls;

pub use self::extract::{Authorized, Caller, Verified};
pub use self::layer::{Require, RequireLayer, ResponseFuture, Verify, VerifyLayer};
pub use self::rejection::Rejection;
pub use self::request::AxumRequest;
pub use self::routes::{
    back_channel_logout, protected_resource, readiness, respond, revocation_admin,
};
#[cfg(feature = "issuer")]
pub use self::routes::{browser_sessions, issuer_documents, native_sessions, own_sessions};
#[cfg(feature = "issuer")]
pub use self::silent::{SilentRefreshLayer, SilentlyRefreshed};
#[doc(no_inline)]
pub use portcullis::{self, Policy};
