//! Proofs of who has a key (DPoP, RFC 9449): good ones, bad ones, a client that makes them, and whether an app asks for them.
mod bad;
mod client;
mod proof;
#[cfg(all(test, feature = "actix", feature = "axum"))]
mod tests;
#[cfg(any(feature = "actix", feature = "tower"))]
mod walk;

pub use self::bad::BadProof;
pub use self::client::DpopClient;
#[cfg(any(feature = "actix", feature = "tower"))]
pub(crate) use self::client::asks_for_nonce;
pub use self::proof::ProofBuilder;
#[cfg(any(feature = "actix", feature = "tower"))]
pub(crate) use self::walk::{GoodProof, address, walk};
