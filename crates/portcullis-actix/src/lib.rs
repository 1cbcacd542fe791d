//! [`portcullis`] for actix-web: middleware, extractors for what its policy verified, and routes.
//!
//! An app depends on this crate alone. It exports the core as [`portcullis`], and forwards its features.
//! **Where to start**: the [quick start](portcullis::guide::quick_start#in-actix-web), and the
//! [guide](portcullis::guide) for all else.
//!
//! # Example
//!
//! ```
//! use actix_web::{App, Responder, web};
//! use portcullis_actix::{Caller, Optional, Policy, Verified, Verify};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! struct User {
//!     sub: String,
//! }
//!
//! async fn orders(Verified(user): Verified<User>) -> impl Responder {
//!     format!("orders of {}", user.sub)
//! }
//!
//! async fn home(Optional(caller): Optional<Caller>) -> impl Responder {
//!     let name = caller.as_ref().and_then(|caller| caller.subject());
//!     format!("hello {}", name.unwrap_or("stranger"))
//! }
//!
//! # fn app(policy: Policy) {
//! let app = App::new()
//!     .service(
//!         web::resource("/orders")
//!             .wrap(Verify::new(policy.clone()))
//!             .get(orders),
//!     )
//!     .service(
//!         web::resource("/")
//!             .wrap(Verify::new(policy.allow_anonymous()))
//!             .get(home),
//!     );
//! # let _ = app; }
//! ```
//!
//! Take [`Optional`] rather than `Option` for an extractor that can do without a token. actix-web's
//! own `Option` swallows every error, also that of a route that nothing protects.
//!
//! # Find your way
//!
//! | to … | use |
//! | --- | --- |
//! | [put a policy in front of routes](portcullis::guide::quick_start) | [`Verify`] |
//! | [read the token](portcullis::guide::quick_start#choose-an-extractor) | [`Verified`], [`Caller`], [`Optional`] |
//! | [ask for scopes and roles](portcullis::guide::requirements) | [`Authorized`], [`Require`] |
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
//! # Other middleware
//!
//! The last `.wrap` is the outermost. Put outside of [`Verify`] what all answers need, refusals included: CORS, which
//! answers preflights itself (they carry no token), logging, compression. Put inside what is for callers alone.
//!
//! # Testing
//!
//! `portcullis-testkit` mints tokens, has a policy that trusts them, and finds routes that are open:
//!
//! ```
//! use actix_web::{App, http::StatusCode, test, web};
//! use portcullis_actix::portcullis::Algorithm;
//! use portcullis_actix::{Caller, Policy, Verify};
//! use portcullis_testkit::{TestIssuer, actix::assert_protected};
//!
//! fn api(policy: Policy) -> impl FnOnce(&mut web::ServiceConfig) {
//!     let orders = async |_: Caller| "orders";
//!     let orders = web::resource("/orders").wrap(Verify::new(policy)).get(orders);
//!     |config| _ = config.service(orders)
//! }
//!
//! # #[actix_web::main]
//! # async fn main() {
//! let issuer = TestIssuer::new("https://id.example");
//! assert_protected(
//!     App::new().configure(api(issuer.policy())),
//!     &[("GET", "/orders")],
//! )
//! .await;
//!
//! let app =
//!     test::init_service(App::new().configure(api(issuer.policy()))).await;
//! for (token, status) in [
//!     (issuer.token(Algorithm::ES256), StatusCode::OK),
//!     (issuer.token(Algorithm::ES256).expired(), StatusCode::UNAUTHORIZED),
//! ] {
//!     let token = ("authorization", format!("Bearer {}", token.mint()));
//!     let request = test::TestRequest::with_uri("/orders")
//!         .insert_header(token)
//!         .to_request();
//!     assert_eq!(test::call_service(&app, request).await.status(), status);
//! }
//! # }
//! ```
// Items behind features: the first definition counts, and without the feature it is that of the table.
#![cfg_attr(feature = "rustls", doc = "[`tls`]: mod@crate::tls")]
//! [`tls`]: #features
// The pages on the web say of each item which feature it needs (`make docs-rs`).
#![cfg_attr(docsrs, feature(doc_cfg))]
mod extract;
mod middleware;
mod rejection;
mod request;
mod response;
mod routes;
#[cfg(feature = "issuer")]
mod silent;
#[cfg(feature = "rustls")]
pub mod tls;

pub use self::extract::{Authorized, Caller, Extraction, Optional, Verified};
pub use self::middleware::{Require, RequireService, ResponseFuture, Verify, VerifyService};
pub use self::rejection::Rejection;
pub use self::request::ActixRequest;
#[cfg(feature = "issuer")]
pub use self::routes::{
    add_session_cookies, browser_sessions, issuer_documents, native_sessions, own_sessions,
};
pub use self::routes::{
    back_channel_logout, protected_resource, readiness, respond, revocation_admin,
};
#[cfg(feature = "issuer")]
pub use self::silent::silent_refresh;
#[doc(no_inline)]
pub use portcullis::{self, Policy};
