//! Peers that are not ours: what Portcullis fetches and verifies here was made by others, or others verify what it made.
//!
//! [`Provider`] is a real OpenID Provider in a process of its own, [`Mint`] a library that signs,
//! [`Verifier`] one that verifies, [`DpopClient`] one that sends tokens with proofs, [`Judge`] one
//! that receives them. All need a [`Tool`], and a test leaves out what it cannot do without one.
mod browser;
mod dpop_client;
mod judge;
mod mint;
mod peer;
mod provider;
mod tool;
mod verify;

pub use self::browser::Browser;
pub use self::dpop_client::{Answered, DpopClient, DpopLibrary, Exchange};
pub use self::judge::{Judge, JudgedRequest};
pub use self::mint::{Mint, Minted};
pub use self::provider::{Hits, JwksMode, Logouts, OldKeys, Provider};
pub use self::tool::Tool;
pub use self::verify::{Refused, Verifier};

use core::time::Duration;
use std::path::PathBuf;

/// A peer that takes longer than this is broken. Starting one takes a second.
const DEADLINE: Duration = Duration::from_secs(60);

/// Something in this crate's folder.
fn path(relative: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), relative].iter().collect()
}
