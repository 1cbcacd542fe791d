//! Conversions from the types of `jsonwebtoken` 12.
use jsonwebtoken_12 as jsonwebtoken;

#[path = "convert.rs"]
mod convert;

pub use self::convert::{algorithm, issuer, jwk, jwks, keys};
