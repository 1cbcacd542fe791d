//! Keys and tokens for testing what [Portcullis](portcullis) protects.
//!
//! <div class="warning">
//!
//! **For tests only, never for production.** This crate signs whatever it is asked to sign, hands
//! out secrets, shares keys between issuers of one name, and half of it exists to make forgeries.
//! List it under `[dev-dependencies]` and nowhere else.
//!
//! </div>
//!
//! **Where to start**: the guide's page on [testing](portcullis::guide::testing).
//!
//! # What is in it
//!
//! - [`TestIssuer`] is an issuer in memory: a key for each [`Algorithm`](portcullis::Algorithm),
//!   its key set, rotation, tokens, and a [policy](TestIssuer::policy) that trusts it.
//! - [`TokenBuilder`] is one token on its way: a good access token (RFC 9068) until told otherwise.
//! - [`SigningKey`] is one private key, for whoever wants to hold it: the configured secret of an
//!   application, or the key of an attacker.
//! - [`FixedClock`] is a time that moves when told to.
//! - [`hostile`] turns a good token into one that must be refused.
//! - `assert_protected`, `assert_forbidden` and `assert_refused` walk the routes of an app and fail
//!   on each that lets in whom it should not: anybody without a token, a token that may do nothing, a token of
//!   another policy; `assert_accepted` is their counterpart. They stand in the modules of the features
//!   `axum`, `actix` and `tower`, all off by default.
//! - [`DpopClient`] is a client whose tokens are bound to its key (DPoP, RFC 9449): it makes proofs and follows nonces.
//!   [`ProofBuilder`] is one proof on its way, and [`BadProof`] what can be wrong with it.
//! - `assert_dpop` asks an app whether it takes such a token with a good proof, and in no other way. `send_with_proof` sends
//!   a request as such a client. They stand in the same modules.
//! - [`MtlsClient`] is a client whose tokens are bound to its certificate (RFC 8705), and [`BadBinding`] what can be wrong with
//!   that. `assert_mtls` asks an app whether it takes such a token from that client alone, and `assert_mtls_over` does over
//!   real connections.
//! - `assert_openapi` asks an app whether it does what its OpenAPI document says of security, and `assert_covered`
//!   whether a table of routes has the app's. They stand in the same modules.
//! - `key_server` has a key server on loopback, honest until told to fail in one of the many ways
//!   that key servers do: the feature `key-server`, off by default.
//! - `ring_store` holds a store of your own for an issuer's keys to what such a store promises: the feature
//!   `ring-store`, off by default. `session_store` does the same for a store of sessions: the feature `session-store`.
//!
//! Nothing here sleeps or opens a connection, but for the key server, which listens on loopback and
//! is slow if told to. All but the keys (and with them the signatures), and the server's ports and
//! certificates, is the same in every run: token ids are counted, claims are sorted, and with a
//! fixed clock so are the times.
//!
//! # Example: a good token and a forgery of it
//!
//! ```
//! use std::time::Duration;
//! use portcullis::Algorithm;
//! use portcullis_testkit::{FixedClock, TestIssuer, hostile};
//!
//! let clock = FixedClock::at(1_800_000_000);
//! let issuer = TestIssuer::new("https://id.example")
//!     .audience("orders-api")
//!     .clock(clock.clone());
//! let policy = issuer.policy();
//!
//! let token = issuer
//!     .token(Algorithm::ES256)
//!     .subject("alice")
//!     .scope("orders:read")
//!     .mint();
//! assert!(policy.verify_token_now(&token).is_ok());
//! assert!(policy.verify_token_now(hostile::none(&token, "none")).is_err());
//!
//! clock.advance(Duration::from_secs(600));
//! assert!(policy.verify_token_now(&token).is_err());
//! ```
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | what it gives, and what it adds |
//! | --- | --- |
//! | `axum` | `axum::assert_protected` and its like. Adds 5 crates: `axum-core` |
//! | `actix` | `actix::assert_protected` and its like. Adds 79 crates: `actix-web` |
//! | `tower` | `tower::assert_protected` and its like. Adds none |
//! | `key-server` | `key_server::KeyServer`, which answers as it is told. Adds 28 crates: `hyper`, `tokio`, `rustls`, `rcgen`, `flate2` |
//! | `ring-store` | `ring_store::conforms`, for a store of signing keys. Adds 37 crates: `portcullis-issuer`, `tokio` |
//! | `session-store` | `session_store::conforms`, for a store of sessions. Adds 37 crates: `portcullis-issuer`, `tokio` |
//!
//! # What a key costs
//!
//! An RSA key of 2048 bits takes long enough to make that a test suite would notice; all others are
//! made in no time. So the keys of a [`TestIssuer`] are made when they are first asked for, and
//! once in a process: [issuers of one name have the same keys](TestIssuer#keys). Where every test
//! is a process of its own, as under cargo-nextest, each pays for the RSA keys that it asks for;
//! ask for few, by [`jwks_of`](TestIssuer::jwks_of) rather than [`jwks`](TestIssuer::jwks).
// The pages on the web say of each item which feature it needs (`make docs-rs`).
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "ring-store", feature = "session-store"))]
mod alike;
mod clock;
#[cfg(any(feature = "actix", feature = "axum"))]
mod covered;
mod dpop;
pub mod hostile;
mod issuer;
mod key;
mod keyring;
mod mtls;
#[cfg(any(feature = "actix", feature = "tower"))]
mod openapi;
#[cfg(test)]
mod oracle;
mod policy;
mod token;

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "key-server")]
pub mod key_server;
#[cfg(any(feature = "actix", feature = "tower"))]
mod protected;
#[cfg(feature = "ring-store")]
pub mod ring_store;
#[cfg(any(feature = "actix", feature = "tower"))]
mod routes;
#[cfg(feature = "session-store")]
pub mod session_store;
#[cfg(feature = "tower")]
pub mod tower;

pub use crate::clock::FixedClock;
pub use crate::dpop::{BadProof, DpopClient, ProofBuilder};
pub use crate::issuer::TestIssuer;
pub use crate::key::SigningKey;
pub use crate::mtls::{BadBinding, MtlsClient};
#[cfg(any(feature = "actix", feature = "tower"))]
pub use crate::mtls::{MtlsRequest, PresentedCertificate, assert_mtls_over};
#[cfg(any(feature = "actix", feature = "tower"))]
pub use crate::openapi::{OpenApi, Parameter, WantedToken};
#[cfg(any(feature = "actix", feature = "tower"))]
pub use crate::routes::{Credentials, Routes};
pub use crate::token::TokenBuilder;
