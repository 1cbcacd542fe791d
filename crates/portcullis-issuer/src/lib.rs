//! The issuing half of Portcullis: access tokens, signed with keys that follow each other by themselves, and sessions of
//! users.
//!
//! 1. A [`TokenIssuer`] mints access tokens (RFC 9068) that a policy of its own accepts.
//! 2. Its [`ring`] says which key signs when: each is published long before it signs, and until no token of it can pass.
//!    One that stands by is always published, so that an emergency switches to a key that verifiers have.
//! 3. Instances share a ring in a [`store`]. None leads: each may do what is due, and the store takes one change at a
//!    time.
//! 4. [`Sessions`] keep users logged in, by refresh tokens that rotate: a copy of one is found out.
//! 5. Private keys are sealed at rest, and rows authenticated, by [root secrets](RootSecrets). A copy of the store signs
//!    nothing, and who can write to it adds no key.
//!
//! # Features
//!
//! | feature | what it gives |
//! | --- | --- |
//! | `tracing` (on by default) | an event for what happens to the ring and to sessions |
//! | `metrics` | `TokenIssuer::record_metrics`, `Sessions::record_metrics` |
// The pages on the web say of each item which feature it needs (`make docs-rs`).
#![cfg_attr(docsrs, feature(doc_cfg))]
pub mod dangerous;
mod debug_as_displayed;
mod issuer;
mod keeper;
mod key;
mod machine;
mod refresh;
pub mod ring;
mod root;
pub mod routes;
mod row;
pub mod seal;
pub mod session;
mod sessions;
pub mod signer;
pub mod store;
mod time;
mod token;
mod within;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use self::issuer::{
    BuildError, Complete, IssuerFault, KeyStatus, PublicationFault, RingStatus, TokenIssuer,
    TokenIssuerBuilder, WantsAlgorithm, WantsAudiences, WantsLifetime, WantsRing, WantsRootSecrets,
};
pub use self::keeper::{IssuerEvent, IssuerNotReady, PublishedKeys, RingError};
pub use self::key::{ExistingKey, ExistingKeyFault, KeyError};
pub use self::refresh::RefreshToken;
pub use self::root::{RootFault, RootSecrets};
pub use self::routes::{BrowserSessions, NativeSessions, OwnSessions};
pub use self::row::{ForeignRing, ForeignRow, KeyRow, PrivatePart};
pub use self::session::{EndReason, LifetimeFault, Lifetimes, SessionId};
pub use self::sessions::{
    Answer, BeginError, Begun, CompleteSessions, EndError, Login, LoginAttempt, PreparedLogin,
    RefreshError, RefreshRefusal, RefreshRequest, Refreshed, RetryWindow, Session, SessionEvent,
    Sessions, SessionsBuildError, SessionsBuilder, SessionsFault, SessionsUnavailable, Unanswered,
    WantsQuestion, WantsSessionLifetimes, WantsSessionStore,
};
pub use self::time::StoreTime;
pub use self::token::{AccessToken, MintError, Minted, NoClaims, RESERVED_CLAIMS};
