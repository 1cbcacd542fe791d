//! Signing keys and sessions of [an issuer](portcullis_issuer) in PostgreSQL or SQLite, over sqlx.
//!
//! 1. All instances of an issuer share one ring of keys and all sessions, in a database that the service has already. None
//!    leads.
//! 2. The pool is yours, and so are its TLS and its size. Rings need a connection for some milliseconds once a minute; each
//!    login and each refresh needs one for as long as it takes.
//! 3. A call has [a deadline](PostgresRing::deadline) for all that it does. A database that hangs does not hang the
//!    service: instances sign by what they read last, for [ten minutes](portcullis_issuer::ring::Schedule::stale).
//! 4. A change is whole, or did not happen, and is on the disk when it is done.
//! 5. Tables are made by `migrate`, or by SQL of your own, and a release says of tables that it does not know what is to be
//!    done.
//!
//! The database sees no private key: they are [sealed](portcullis_issuer::RootSecrets). Nor does it see a refresh token, of
//! which it has hashes. Who can write to it cannot add a key or take over a session, and can delete all of them.
//!
//! # Example
//!
#![cfg_attr(feature = "sqlite", doc = "```")]
#![cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
//! use std::time::Duration;
//!
//! use portcullis::{Algorithm, Encoding, Secret};
//! use portcullis_issuer::{AccessToken, TokenIssuer};
//! use portcullis_sqlx::SqliteRing;
//! use sqlx::sqlite::SqlitePoolOptions;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let text = "b4Yq0YHhV0cW8g2mJm7Xn1dKzR5sT9uLpE3fQaC6iwo";
//! let pool = SqlitePoolOptions::new()
//!     .max_connections(1) // each would have a memory of its own
//!     .connect("sqlite::memory:") // in production, a file
//!     .await?;
//! let ring = SqliteRing::new(pool);
//! ring.migrate().await?;
//!
//! let issuer = TokenIssuer::builder("https://id.example")
//!     .algorithm(Algorithm::ES256)
//!     .audiences(["https://orders.example"])
//!     .lifetime(Duration::from_secs(15 * 60))
//!     .root_secrets([Secret::encoded(text, Encoding::Base64url)])
//!     .ring(ring)
//!     .build()
//!     .await?;
//! let minted = issuer.mint_now(&AccessToken::of_user("alice", "web"))?;
//!
//! let policy = issuer.policy_builder().build()?;
//! assert!(policy.verify_token_now(&minted.token).is_ok());
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! None is on by default, and without any the crate is empty.
//!
//! | feature | what it gives, and what it adds |
//! | --- | --- |
//! | `postgres` | [`PostgresRing`] and [`PostgresSessions`]. Adds `sqlx-postgres` |
//! | `sqlite` | [`SqliteRing`] and [`SqliteSessions`]. Adds `sqlx-sqlite`, and builds SQLite, which is C |
//!
//! sqlx runs on tokio here. Its TLS is a feature of sqlx that your service turns on.
//!
//! # When something goes wrong
//!
//! | what | what happens |
//! | --- | --- |
//! | the database is away or hangs, or the pool is exhausted | each call fails within its deadline; instances sign and publish for ten minutes more; one that starts does not |
//! | an instance is killed during a change | all of the change is there, or nothing |
//! | the answer to a commit is lost | the call fails, and the change may be there: the next reading shows it |
//! | a backup is restored | an instance that runs withdraws again what it knows to be withdrawn, and so does each that has a [list of revocations](portcullis_issuer::TokenIssuerBuilder::revocations) which names the key. Another that starts afterwards knows nothing of it: withdraw such keys again, by [`TokenIssuer::withdraw`](portcullis_issuer::TokenIssuer::withdraw) |
//! | a failover or a backup lost rotations and ends of sessions | who comes with a token that is newer than the store knows loses the session; what the list of revocations names stays ended. What neither shows goes on: end all sessions of the issuer, if in doubt |
//! | keys were deleted, and the row of their ring was not | [`RingError::NoKeys`](portcullis_issuer::RingError::NoKeys): nothing is made in their place |
//! | somebody edits a row | it is a fault, and its key is not published |
//! | somebody writes very long rows, or very many | it is a fault. At most 65 rows are read, and no value that is longer than what this crate writes |
//! | the tables are of another release | a [`StoreError`](portcullis_issuer::store::StoreError) that says which version is there, which is needed, and what to do |
//!
//! # Releases side by side
//!
//! The tables have a version. A release that only adds to them says which earlier releases may go on, so that a fleet is
//! upgraded one by one: call `migrate` of the new release first, or have each instance call it when it starts.
// The pages on the web say of each item which feature it needs (`make docs-rs`).
#![cfg_attr(docsrs, feature(doc_cfg))]
// Without a feature, nothing is there to be linked to.
#![cfg_attr(
    not(all(feature = "postgres", feature = "sqlite")),
    allow(rustdoc::broken_intra_doc_links, reason = "what it leads to needs both features")
)]

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod bounded;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod call;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod columns;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod load;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod names;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod ring;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod schema;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod sessions;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod told;

#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::names::NameFault;
#[cfg(feature = "postgres")]
pub use self::postgres::{PostgresRing, PostgresSessions};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use self::schema::SCHEMA_VERSION;
#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteRing, SqliteSessions};
