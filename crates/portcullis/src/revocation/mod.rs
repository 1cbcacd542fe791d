//! Whether a token was revoked.
//!
//! The step after the claims, and the last. A remembered token is asked about again whenever an
//! answer may have changed.
//!
//! - A [`RevocationSource`] answers; a policy may ask several.
//! - [`Revocations`] is the one that comes with this crate: what was revoked ([`Revocation`]) is kept
//!   in memory by digests, in sharded tables, as one picture, with room for all who write. What a policy asks of it, [`EnforcedRevocations`] says.
//! - A [`RevocationStore`](store::RevocationStore) shares one picture among the processes of a fleet.
mod digest;
mod enforce;
mod error;
mod event;
mod handle;
mod kind;
mod list;
#[cfg(feature = "lookup")]
mod lookup;
mod options;
mod quota;
mod snapshot;
mod source;
pub mod store;
mod table;

pub(crate) use self::enforce::IssuerRule;
pub use self::enforce::{EnforcedRevocations, RevocationFault};
pub use self::error::RevokeError;
pub use self::event::{RevocationEvent, RevocationStats};
pub use self::handle::Revocations;
pub use self::kind::{Revocable, Revocation, RevokedUntil};
#[cfg(feature = "lookup")]
pub use self::lookup::RevocationLookup;
pub use self::options::RevocationOptions;
pub(crate) use self::quota::Writer;
pub use self::snapshot::SnapshotError;
pub(crate) use self::source::{PendingAnswers, RevocationOutcome, Sources};
pub use self::source::{RevocationAnswer, RevocationSource, RevocationStatus, UnknownRevocation};
