//! Conversions from the types of `jsonwebtoken` 11.
use jsonwebtoken_11 as jsonwebtoken;

#[path = "convert.rs"]
mod convert;

pub use self::convert::{algorithm, issuer, jwk, jwks, keys};
