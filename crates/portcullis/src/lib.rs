//! One JWT validation policy for every Rust web framework.
//!
//! Libraries verify signatures. This one enforces a policy that refuses to be weak, and gives the same answer
//! everywhere: through tower ([`tower::VerifyLayer`]), axum (`portcullis-axum`) and actix-web (`portcullis-actix`). In
//! an app of axum or actix-web, depend on the crate of that framework. It brings this one with it.
//!
//! **Where to start**: the [quick start](guide::quick_start) puts a policy in front of a service. The [`guide`] has a page
//! for everything else.
//!
//! # Example
//!
//! ```
//! use portcullis::error::ClaimsError;
//! use portcullis::{Algorithm, Error, Issuer, KeySet, Policy};
//! use portcullis_testkit::TestIssuer; // stands in for an identity provider
//!
//! let provider = TestIssuer::new("https://id.example");
//! let keys = KeySet::from_jwks(provider.jwks_of(&[Algorithm::ES256]))?;
//! let policy = Policy::builder()
//!     .issuer(
//!         Issuer::new("https://id.example") // exactly as in `iss`
//!             .algorithms([Algorithm::ES256]) // the token does not choose
//!             .keys(keys)
//!             .audience("https://api.example"), // this service, as in `aud`
//!     )
//!     .build()?; // lists every fault at once
//!
//! let token = provider.token(Algorithm::ES256).subject("alice").mint();
//! assert_eq!(policy.verify_token_now(&token)?.subject(), Some("alice"));
//!
//! let foreign = provider.token(Algorithm::ES256).audience("https://b.example");
//! let refused = policy.verify_token_now(foreign.mint()).unwrap_err();
//! assert_eq!(refused, Error::Claims(ClaimsError::Audience));
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What passes a policy
//!
//! 1. A request with exactly one token, in a place that the policy looks at ([`TokenSource`]).
//! 2. The token is a compact JWS, strictly spelled and within limits ([`error::TokenError`] says what is not).
//! 3. It is from an [`Issuer`] that the policy trusts, under an [`Algorithm`] that it lists for that issuer.
//! 4. One of that issuer's keys signed it ([`KeySet`], [`Secret`], [`KeyFile`], [`KeySource`]; with the feature
//!    `remote-jwks`, [`RemoteJwks`] fetches them).
//! 5. Its claims say that it is an access token, for this service, now ([`ClaimRules`]).
//! 6. It was not revoked, where the policy asks for that ([`Revocations`], [`revocation::RevocationSource`]; with the
//!    feature `status-list`, [`StatusLists`] asks the list that the token names).
//!
//! A token that passed is [remembered](PolicyBuilder::token_cache). What can change about it is asked again for every
//! request. The [security model](guide::security_model) says what is promised, and what is not.
//!
//! <div class="warning">
//!
//! A stolen token works until it expires: keep lifetimes short. ID tokens mostly look like access tokens: never list a
//! client's id as an audience.
//!
//! </div>
//!
//! # Find your way
//!
//! | to … | use |
//! | --- | --- |
//! | [say whose tokens are accepted](guide::quick_start) | [`Policy`], [`PolicyBuilder`], [`Issuer`], [`ClaimRules`] |
//! | [say where keys come from](guide::keys) | [`KeySet`], [`Secret`], [`KeyFile`], [`KeySource`], [`RemoteJwks`] |
//! | [accept the tokens of a known provider](guide::providers) | the module [`provider`] |
//! | [read the token in a handler](guide::quick_start#choose-an-extractor) | [`VerifiedToken`], [`Admission`], [`claims::RegisteredClaims`], [`claims::OpenIdProfile`] |
//! | [ask for scopes and roles](guide::requirements) | [`Requirement`], [`RouteTable`] |
//! | [change how refusals look](guide::errors) | [`Presentation`], [`Rejection`] |
//! | [take the token from a cookie](guide::cookies) | [`TokenCookie`] |
//! | [end tokens early](guide::revocation) | [`Revocations`], [`RevocationAdmin`], [`BackChannelLogout`], [`StatusLists`] |
//! | [change the policy while it serves](guide::reload) | [`ReplaceablePolicy`], [`config::PolicyFile`] |
//! | [tell clients where to get a token](guide::mcp) | [`ProtectedResource`] |
//! | know which certificate a client presented | the module [`tls`] |
//! | [run it](guide::operations) | [`Readiness`], [`metrics`], [`explain`] |
//! | [weaken it on purpose](guide::security_model#how-to-weaken-a-policy-on-purpose) | [`dangerous`] |
//!
//! # Features
//!
//! No feature makes a given policy accept more. The core alone depends on 52 crates on Linux. An app of axum or actix-web
//! has many of them already, and of those that the features add.
//!
//! | feature | what it gives, and what it adds |
//! | --- | --- |
//! | `tracing` (on by default) | an event for each refusal, and for keys and revocations that change or cannot be had. Adds 2 crates: `tracing` |
//! | `remote-jwks` | [`RemoteJwks`] (keys from JWKS endpoints and by discovery), the presets of [`provider`], [`fetch`]. Adds 73 crates: `reqwest` with rustls, `tokio` |
//! | `status-list` | [`StatusLists`]: asks the status list that a token names whether it was revoked. Adds the same 73, once for both |
//! | `config` | the module [`config`]: a policy from TOML, another serde format or the environment. Adds 7 crates: `toml`, `jiff` |
//! | `lookup` | [`RevocationLookup`]: a source of your own that has to be waited for. Adds 2 crates: `tokio` |
//! | `metrics` | the module [`metrics`]: counters, a histogram and gauges through the `metrics` facade. Adds 2 crates: `metrics` |
//! | `explain` | the module [`explain`]: why a token is refused, step by step, and what a policy accepts, as data. Adds none |
//! | `rustls` | the module [`tls`]: certificates of clients over TLS of your own. Adds 6 crates: `rustls` without a provider, which `remote-jwks` has as well |
//!
//! The module [`architecture`] is the map of the code.
//!
// Items behind features: the first definition counts, and without the feature it is that of the table.
#![cfg_attr(feature = "config", doc = "[`config`]: mod@crate::config")]
#![cfg_attr(feature = "config", doc = "[`config::PolicyFile`]: crate::config::PolicyFile")]
#![cfg_attr(feature = "explain", doc = "[`explain`]: mod@crate::explain")]
#![cfg_attr(feature = "lookup", doc = "[`RevocationLookup`]: revocation::RevocationLookup")]
#![cfg_attr(feature = "metrics", doc = "[`metrics`]: mod@crate::metrics")]
#![cfg_attr(feature = "remote-jwks", doc = "[`fetch`]: mod@crate::fetch")]
#![cfg_attr(feature = "remote-jwks", doc = "[`provider`]: mod@crate::provider")]
#![cfg_attr(feature = "remote-jwks", doc = "[`RemoteJwks`]: crate::RemoteJwks")]
#![cfg_attr(feature = "status-list", doc = "[`StatusLists`]: crate::StatusLists")]
#![cfg_attr(feature = "rustls", doc = "[`tls`]: mod@crate::tls")]
//! [`config`]: #features
//! [`config::PolicyFile`]: #features
//! [`explain`]: #features
//! [`fetch`]: #features
//! [`metrics`]: #features
//! [`provider`]: #features
//! [`RemoteJwks`]: #features
//! [`RevocationLookup`]: #features
//! [`StatusLists`]: #features
//! [`tls`]: #features
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
pub mod dpop;
pub mod error;
mod issuers;
pub mod mtls;
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
#[cfg(feature = "rustls")]
pub mod tls;

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

pub mod guide;

/// The map of the code.
pub mod architecture {
    // Of two definitions the first counts: these are for rustdoc, and those of the page for a forge.
    #![doc = ""]
    #![doc = "[guide]: crate::guide"]
    #![doc = "[caching]: crate::guide::caching"]
    #![doc = include_str!("../ARCHITECTURE.md")]
}
