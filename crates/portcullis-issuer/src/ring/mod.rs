//! Which key signs now, which are published, and what has to be made.
//!
//! Each key has absolute times:
//!
//! ```text
//! published_at        signs_from           signs_until    erased       verifies_until
//! ─────●───────────────────●────────────────────●───────────●────────────────●──────▶
//!      stands by           signs                only verifies                gone
//! ```
//!
//! 1. Exactly one key signs at any time: what a key's successor begins with, the key ends with.
//! 2. A key that signs was published for as long as any verifier may keep a key set.
//! 3. A key is published until no token of it can pass.
//! 4. A key that stands by is always published. An emergency switches to a key that verifiers have.
//!
//! The times stand in the keys' rows, not in the settings of whoever reads them: an instance with another schedule
//! makes other keys from then on, and changes nothing of those that are there. No instance leads. Each may see that
//! something is due, and offer the change to the store, which takes it if the ring is the one that it was made for.
mod keys;
mod plan;
mod schedule;

pub use self::keys::{KeyTimes, Phase};
pub use self::plan::{Asked, Plan};
pub use self::schedule::{Schedule, ScheduleFault};

/// The most keys of a ring: the one that signs, up to two that stand by, those that are over or withdrawn and whose tokens
/// may still be about, and the latest of what was before.
pub(crate) const MAX_KEYS: usize = 64;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
