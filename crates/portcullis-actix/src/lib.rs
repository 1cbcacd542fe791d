//! [`portcullis`] for actix-web: middleware, extractors, and routes.
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
//!     format!("hello {}", caller.as_ref().and_then(|caller| caller.subject()).unwrap_or("stranger"))
//! }
//!
//! # fn app(policy: Policy) {
//! let app = App::new()
//!     .service(web::resource("/orders").wrap(Verify::new(policy.clone())).get(orders))
//!     .service(web::resource("/").wrap(Verify::new(policy.allow_anonymous())).get(home));
//! # let _ = app; }
//! ```
//!
//! Take [`Optional`] rather than `Option` for an extractor that can do without a token: actix-web's
//! own `Option` swallows every error, also that of a route that nothing protects.
//!
//! An app depends on this crate alone: [`portcullis`] is the core, and the features of this crate are forwarded to it.
//!
//! # Other middleware
//!
//! The last `.wrap` is the outermost. Put outside of [`Verify`] what all answers need, refusals included: CORS, which
//! answers preflights itself (they carry no token), logging, compression. Put inside what is for callers alone.
//!
//! # Logout
//!
//! [`back_channel_logout`] receives a provider's logout tokens, [`revocation_admin`] lets
//! administrators revoke.
//!
//! # Discovery
//!
//! [`protected_resource`] tells clients who issues tokens for the service (RFC 9728).
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
//! assert_protected(App::new().configure(api(issuer.policy())), &[("GET", "/orders")]).await;
//!
//! let app = test::init_service(App::new().configure(api(issuer.policy()))).await;
//! for (token, status) in [
//!     (issuer.token(Algorithm::ES256), StatusCode::OK),
//!     (issuer.token(Algorithm::ES256).expired(), StatusCode::UNAUTHORIZED),
//! ] {
//!     let token = ("authorization", format!("Bearer {}", token.mint()));
//!     let request = test::TestRequest::with_uri("/orders").insert_header(token).to_request();
//!     assert_eq!(test::call_service(&app, request).await.status(), status);
//! }
//! # }
//! ```
// The pages on the web say of each item which feature it needs (`make docs-rs`).
#![cfg_attr(docsrs, feature(doc_cfg))]
mod extract;
mod middleware;
mod rejection;
mod request;
mod response;
mod routes;

pub use self::extract::{Authorized, Caller, Extraction, Optional, Verified};
pub use self::middleware::{Require, RequireService, ResponseFuture, Verify, VerifyService};
pub use self::rejection::Rejection;
pub use self::request::ActixRequest;
pub use self::routes::{back_channel_logout, protected_resource, readiness, revocation_admin};
#[doc(no_inline)]
pub use portcullis::{self, Policy};
