//! One JWT validation policy for every Rust web framework.
//!
//! Libraries verify signatures; this one enforces a policy that refuses to be weak, and gives the
//! same answer through tower ([`tower::VerifyLayer`]), axum (`portcullis-axum`) and actix-web
//! (`portcullis-actix`).
//!
//! What passes a [`Policy`]:
//!
//! 1. a request with exactly one token, in a place that the policy looks at ([`TokenSource`]);
//! 2. that is a compact JWS, strictly spelled and within limits ([`error::TokenError`] says what is not);
//! 3. from an [`Issuer`] that the policy trusts, under an [`Algorithm`] that it lists for it;
//! 4. signed by one of the keys of that issuer ([`KeySet`], [`Secret`], [`KeyFile`], [`KeySource`];
//!    with the feature `remote-jwks`, `RemoteJwks` fetches them);
//! 5. whose claims say that it is an access token, for this service, now ([`ClaimRules`]);
//! 6. that was not taken back ([`Revocations`] and [`revocation::RevocationSource`], where the policy has one; with the feature
//!    `status-list`, `StatusLists` asks the list that the token names).
//!
//! A token that passed is [remembered](PolicyBuilder::token_cache); what can change about it is asked
//! again for every request.
//!
//! ```
//! use portcullis::error::ClaimsError;
//! use portcullis::{Algorithm, Error, Issuer, KeySet, Policy};
//! use portcullis_testkit::TestIssuer; // stands in for an identity provider
//!
//! let provider = TestIssuer::new("https://id.example");
//! let policy = Policy::builder()
//!     .issuer(
//!         Issuer::new("https://id.example")
//!             .algorithms([Algorithm::ES256])
//!             .keys(KeySet::from_jwks(provider.jwks_of(&[Algorithm::ES256]))?)
//!             .audience("https://api.example"),
//!     )
//!     .build()?;
//!
//! let token = provider.token(Algorithm::ES256).subject("alice").mint();
//! assert_eq!(policy.verify_token_now(&token)?.subject(), Some("alice"));
//!
//! let foreign = provider.token(Algorithm::ES256).audience("https://other.example").mint();
//! assert_eq!(policy.verify_token_now(&foreign).err(), Some(Error::Claims(ClaimsError::Audience)));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! What takes tokens back: [`Revocations`], and through them a provider's logout tokens
//! ([`BackChannelLogout`]) and administrators ([`RevocationAdmin`]). What tells clients where to get them:
//! [`ProtectedResource`].
//!
//! A stolen token works until it expires: keep lifetimes short. ID tokens mostly look like access
//! tokens: never list a client's id as an audience.
//!
//! The [`guide`] shows, page by page, how to protect a service. The module [`dangerous`] has every way to weaken a policy.
//! [`architecture`] is the map of the code.
// The pages on the web say of each item which feature it needs (`make docs-rs`).
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(test), warn(clippy::too_many_lines))]
// ARCHITECTURE.md says which imports which, and `tests/modules.rs` holds it.
mod authentic;
pub mod claims;
pub mod keys;
pub mod request;
mod signature;
pub mod source;
mod terms;
mod token;
mod verified;

mod admission;
pub mod authorize;
mod cache;
pub mod error;
mod issuers;
pub mod policy;
pub mod revocation;
#[cfg(feature = "status-list")]
pub mod status_list;
mod verifier;
mod verify;

#[cfg(feature = "metrics")]
pub mod metrics;
mod observe;
pub mod refusal;
mod resource;
pub mod response;
mod route_table;
pub mod routes;
pub mod tower;

#[cfg(feature = "config")]
pub mod config;
pub mod dangerous;
mod debug_as_displayed;
#[cfg(feature = "explain")]
pub mod explain;
#[cfg(any(feature = "remote-jwks", feature = "status-list"))]
pub mod fetch;
mod file;
mod json;
mod listeners;
#[cfg(feature = "openapi")]
pub mod openapi;
#[cfg(feature = "remote-jwks")]
pub mod provider;
mod setting;
mod text;
mod time;

#[cfg(feature = "remote-jwks")]
#[doc(inline)]
pub use crate::keys::remote::RemoteJwks;
#[cfg(feature = "status-list")]
#[doc(inline)]
pub use crate::status_list::StatusLists;
#[doc(inline)]
pub use crate::{
    admission::{Admission, Rejection},
    authorize::{ClaimPath, Requirement},
    claims::{ClaimRules, ClaimValue, TokenType},
    error::Error,
    keys::{Encoding, KeyFile, KeySet, KeySource, Secret},
    policy::{BuildError, Issuer, Keys, Policy, PolicyBuilder, ReplaceablePolicy},
    refusal::{Presentation, grpc},
    request::RequestView,
    revocation::{Revocable, Revocation, Revocations},
    route_table::RouteTable,
    routes::{BackChannelLogout, ProtectedResource, Readiness, RevocationAdmin},
    signature::Algorithm,
    source::{TokenCookie, TokenSource},
    time::{Clock, SystemClock, UnixTime},
    verified::VerifiedToken,
};

#[cfg(all(doc, not(doctest)))]
pub mod guide;

/// The map of the code.
pub mod architecture {
    #![doc = include_str!("../ARCHITECTURE.md")]
}
