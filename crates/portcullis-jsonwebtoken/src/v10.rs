//! Conversions from the types of `jsonwebtoken` 10.
use jsonwebtoken_10 as jsonwebtoken;

#[path = "convert.rs"]
mod convert;

pub use self::convert::{algorithm, issuer, jwk, jwks, keys};
