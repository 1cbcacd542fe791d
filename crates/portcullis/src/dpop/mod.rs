//! Tokens that only the holder of a key can use (RFC 9449).
mod check;
mod endpoint;
mod error;
#[cfg(feature = "explain")]
mod explained;
mod known;
mod nonces;
mod proof;
mod replays;
mod settings;
mod target;

pub(crate) use self::check::{Checked, OfToken, Proven, Sent};
pub use self::endpoint::{GoodProof, TokenEndpointProofs};
pub use self::error::{DpopError, NonceFault, ProofFault, ReplaysUnavailable, ServiceAddresses};
pub(crate) use self::known::{KNOWN_SENDER, KnownSender};
pub(crate) use self::nonces::Nonce;
pub use self::nonces::Nonces;
pub use self::replays::{InProcessReplays, MadeWith, ProofUse, Replays, Spent, SpentAnswer};
#[cfg(feature = "config")]
pub(crate) use self::settings::MAX_WINDOW;
pub use self::settings::{Dpop, DpopFault, DpopFaults};
pub(crate) use self::settings::{DpopRules, GivenNonces, Purpose};
pub use self::target::{TargetFault, TargetPart};
