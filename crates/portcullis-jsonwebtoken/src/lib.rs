//! The way over from [`jsonwebtoken`](https://docs.rs/jsonwebtoken) to [`portcullis`].
//!
//! Keys and a `Validation` of that crate become an [`Issuer`](portcullis::Issuer), if they say
//! enough: `jsonwebtoken` checks `iss` and `aud` only where it is told to, and only where the token
//! has them. What a `Validation` leaves open, or turns off, is refused here by name.
//!
//! **Where to start**: the guide's page on [migrating](portcullis::guide::migrating) takes a whole app over.
//!
//! # Features
//!
//! There is a module for each version of `jsonwebtoken`, behind a feature of the same name. All have the same
//! functions. None is on by default.
//!
//! | feature | what it gives, and what it adds |
//! | --- | --- |
//! | `v10` | the module `v10`, for jsonwebtoken 10. Adds 4 crates: `jsonwebtoken`, without a crypto backend |
//! | `v11` | the module `v11`, for jsonwebtoken 11. Adds the same of that version |
//! | `v12` | the module `v12`, for jsonwebtoken 12. Adds the same of that version |
//!
//! # Example
//!
#![cfg_attr(feature = "v12", doc = "```")]
#![cfg_attr(not(feature = "v12"), doc = "```ignore")]
//! use jsonwebtoken::{Algorithm, DecodingKey, Validation};
//! use portcullis::Policy;
//! use portcullis_jsonwebtoken::v12::issuer;
//! # use jsonwebtoken_12 as jsonwebtoken;
//!
//! # const SECRET: &[u8] = b"\x8f\x1b\x93\xd0\x62\xa7\x3c\xee\x05\x48\xf9\x7d\x21\xb6\xc4\x0e\x9a\x57\xe3\x6c\x10\xd8\x2f\x84\xbb\x4e\x71\xa9\x36\xfd\xc2\x15";
//! let key = DecodingKey::from_secret(SECRET)?;
//! let mut validation = Validation::new(Algorithm::HS256);
//! // Whose tokens, and for whom?
//! assert!(issuer(&validation, &[key.clone()]).is_err());
//!
//! validation.set_issuer(&["https://id.example"]);
//! validation.set_audience(&["https://orders.example"]);
//! let policy = Policy::builder().issuer(issuer(&validation, &[key])?).build()?;
//! # let _ = policy;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing of `jsonwebtoken` verifies a token here, and its process-wide crypto provider is neither
//! read nor set: no feature of it needs to be on.
// The pages on the web say of each item which feature it needs (`make docs-rs`).
#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(clippy::duplicate_mod, reason = "one text, compiled for each version of jsonwebtoken")]

mod error;
#[cfg(feature = "v10")]
pub mod v10;
#[cfg(feature = "v11")]
pub mod v11;
#[cfg(feature = "v12")]
pub mod v12;

pub use self::error::ConversionError;
