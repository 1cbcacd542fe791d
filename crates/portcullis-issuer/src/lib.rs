//! The issuing half of Portcullis: access tokens, signed with keys that follow each other by themselves.
//!
//! 1. A [`TokenIssuer`] mints access tokens (RFC 9068) that a policy of its own accepts.
//! 2. Its [`ring`] says which key signs when: each is published long before it signs, and until no token of it can pass.
//!    One that stands by is always published, so that an emergency switches to a key that verifiers have.
//! 3. Instances share a ring in a [`store`]. None leads: each may do what is due, and the store takes one change at a
//!    time.
//! 4. Private keys are sealed at rest, and rows authenticated, by [root secrets](RootSecrets). A copy of the store signs
//!    nothing, and who can write to it adds no key.
//!
//! **This crate is not complete.** A ring is kept in memory or in a file so far, and no route publishes it.
mod issuer;
mod keeper;
mod key;
mod machine;
pub mod ring;
mod root;
mod row;
mod seal;
pub mod store;
mod token;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

pub use self::issuer::{
    BuildError, Complete, IssuerFault, KeyStatus, RingStatus, TokenIssuer, TokenIssuerBuilder,
    WantsAlgorithm, WantsAudiences, WantsLifetime, WantsRing, WantsRootSecrets,
};
pub use self::keeper::{PublishedKeys, RingError};
pub use self::key::KeyError;
pub use self::root::{RootFault, RootSecrets};
pub use self::row::{ForeignRing, ForeignRow, KeyRow};
pub use self::seal::{Sealed, SealedFor, UnsealError};
pub use self::token::{AccessToken, MintError, Minted, NoClaims, RESERVED_CLAIMS};
