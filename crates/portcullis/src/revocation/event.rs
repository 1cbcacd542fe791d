//! What operators see of revocation.
use core::fmt;
use core::time::Duration;

use super::kind::Revocable;

pub(super) type Observer = dyn Fn(&RevocationEvent) + Send + Sync;

/// What happened to [`Revocations`](super::Revocations). It names nobody.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RevocationEvent {
    /// Something was revoked through this handle.
    Revoked {
        /// What kind of thing.
        kind: Revocable,
    },
    /// A name was lifted through this handle: what was revoked under it up to then no longer is.
    Lifted {
        /// What kind of thing it names.
        kind: Revocable,
    },
    /// Something could not be revoked or lifted, or nobody can tell whether it was.
    Failed {
        /// What kind of thing.
        kind: Revocable,
    },
    /// There is no room: nothing more is taken in until entries are over.
    Full {
        /// For how many entries there is room.
        capacity: usize,
    },
    /// An issuer has its share of the room, and its logout token, or its administrator, revoked nothing. Others
    /// find room.
    ShareUsedUp {
        /// For how many entries there is room.
        capacity: usize,
    },
    /// The list is believed: it has all that its store acknowledged.
    Fresh,
    /// The list is no longer believed. Said with the first request that meets it so.
    Stale,
    /// The store lost what it had, or may have: this process has given back what it holds.
    Republished {
        /// How many entries.
        entries: usize,
    },
}

impl fmt::Display for RevocationEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked { kind } => write!(f, "a revocation was added (kind: {kind})"),
            Self::Lifted { kind } => write!(f, "a revocation was lifted (kind: {kind})"),
            Self::Failed { kind } => write!(
                f,
                "a revocation or the lifting of one failed, or its outcome is not known (kind: {kind})"
            ),
            Self::Full { capacity } => write!(
                f,
                "the list of revocations is full ({capacity} entries): nothing more can be revoked until entries expire; raise `capacity`"
            ),
            Self::ShareUsedUp { capacity } => write!(
                f,
                "an issuer has used up its share of the list of revocations ({capacity} entries in all), and nothing was revoked for it: raise `capacity`"
            ),
            Self::Fresh => f.write_str("the list of revocations is up to date"),
            Self::Stale => f.write_str("the list of revocations is out of date"),
            Self::Republished { entries } => write!(
                f,
                "the store of revocations may have lost some: this process wrote its {entries} entries back"
            ),
        }
    }
}

impl RevocationEvent {
    #[cfg(feature = "tracing")]
    pub(super) fn trace(&self) {
        match self {
            Self::Revoked { kind } => tracing::info!(kind = kind.name(), "revoked"),
            Self::Lifted { kind } => tracing::warn!(kind = kind.name(), "a revocation was lifted"),
            Self::Failed { kind } => tracing::warn!(kind = kind.name(), "not revoked"),
            Self::Full { capacity } => {
                tracing::error!(capacity, "no room for another revocation");
            }
            Self::ShareUsedUp { capacity } => {
                tracing::error!(
                    capacity,
                    "an issuer has used up its share of the room for revocations"
                );
            }
            Self::Fresh => tracing::info!("revocations are fresh"),
            Self::Stale => tracing::warn!("revocations are stale"),
            Self::Republished { entries } => {
                tracing::warn!(
                    entries,
                    "the store of revocations may have lost some: this process wrote its own back"
                );
            }
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn trace(&self) {}
}

/// How [`Revocations`](super::Revocations) do.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RevocationStats {
    pub(super) entries: [usize; Revocable::ALL.len()],
    /// How many names were lifted. They stay, and take room.
    pub lifts: usize,
    /// For how many entries there is room.
    pub capacity: usize,
    /// How many entries came or changed since the start.
    pub changes: u64,
    /// How many entries found no room, or not within the share of their issuer.
    pub refused: u64,
    /// How often an entry was met in the store of a kind that this version does not know: while a fleet is
    /// brought to a later one.
    pub unknown: u64,
    /// Whether policies believe the list. Where nobody else writes to it, always.
    pub is_fresh: bool,
    /// How long ago the news was asked for that came last. `None`: it never came, or there is no store.
    pub last_contact: Option<Duration>,
    /// How many entries of the store's log are yet to be read. `None`: there is no store.
    pub lag: Option<u64>,
}

impl RevocationStats {
    /// How many entries there are of a kind, those that are over and not yet dropped included.
    pub fn entries(&self, kind: Revocable) -> usize {
        self.entries[kind.index()]
    }

    /// How many there are of all kinds, lifts included.
    pub fn total(&self) -> usize {
        self.entries.iter().sum::<usize>() + self.lifts
    }
}
