use core::fmt;
use core::time::Duration;

use portcullis::revocation::RevokeError;

use crate::debug_as_displayed::debug_as_displayed;
use crate::key::KeyError;
use crate::ring::MAX_KEYS;
use crate::row::{ForeignRing, ForeignRow};
use crate::seal::SealError;
use crate::signer::SignerError;
use crate::store::StoreError;

/// Why an instance cannot go by the ring that it holds: a 503.
#[non_exhaustive]
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum IssuerNotReady {
    /// It was not read yet.
    Unread,
    /// The machine's clock was off when it was read last: it publishes, and does not sign.
    Clock {
        /// By how much.
        off: Duration,
    },
    /// It was not read for too long: since then, a key may have been withdrawn.
    Stale {
        /// How long ago it was read.
        age: Duration,
        /// For how long it may be gone by.
        limit: Duration,
    },
}

impl fmt::Display for IssuerNotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread => f.write_str("the ring of signing keys was not read yet"),
            Self::Clock { off } => write!(
                f,
                "the clock of this machine is off by {off:?} from that of the store of signing keys: set it, by NTP"
            ),
            Self::Stale { age, limit } => write!(
                f,
                "the ring of signing keys was read {age:?} ago, and may be used for {limit:?}: its store cannot be asked"
            ),
        }
    }
}

impl core::error::Error for IssuerNotReady {}

debug_as_displayed!(IssuerNotReady);

/// Why an instance cannot have its ring.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum RingError {
    /// The store cannot be asked.
    Store(StoreError),
    /// A row is not of who has the root secrets.
    Foreign(ForeignRow),
    /// A private part cannot be sealed, or had.
    Seal(SealError),
    /// A signer cannot make a key.
    Signer(SignerError),
    /// A key is at a signer, and this instance has none.
    NoSigner {
        /// The id of the key.
        key_id: String,
    },
    /// A key was withdrawn, and could not be revoked.
    NotRevoked {
        /// The id of the key.
        key_id: String,
        /// Why.
        error: RevokeError,
    },
    /// There is a ring, and its keys are gone.
    NoKeys,
    /// There was a ring, and the store has none.
    Gone,
    /// There is no key of this id.
    UnknownKey {
        /// The id.
        key_id: String,
    },
    /// The keys are not those that the ring was written with.
    ForeignRing(ForeignRing),
    /// The store took too long: by what it said then, nothing can be decided now.
    Slow {
        /// How long.
        took: Duration,
    },
    /// There are more keys than a ring can come to.
    TooManyKeys {
        /// How many.
        found: usize,
    },
    /// A key cannot be made or read.
    Key(KeyError),
    /// A public part is not that of its private part, or not a key.
    PublicPart {
        /// The id of the key.
        key_id: String,
    },
    /// A key signs with something that this release does not know.
    NewerAlgorithm {
        /// The id of the key.
        key_id: String,
        /// The name of its algorithm.
        algorithm: String,
    },
    /// The machine's clock is not the store's.
    Clock {
        /// By how much it is off.
        off: Duration,
        /// By how much it may be.
        skew: Duration,
    },
    /// Others changed the ring each time.
    Contended,
    /// The reading ended in the middle: the runtime ended, or a store, a seal or a signer of the program's own panicked.
    Interrupted,
}

impl RingError {
    /// All that [`reason`](Self::reason) may say.
    pub const REASONS: [&str; 7] =
        ["store", "clock", "seal", "signer", "foreign", "keys", "revocation"];

    /// What kind of trouble it is, in a word that stays the same: for metrics.
    ///
    /// | reason | |
    /// | --- | --- |
    /// | `store` | the store cannot be asked, or takes too long |
    /// | `clock` | the machine's clock is not the store's |
    /// | `seal` | a private key cannot be sealed, or does not open |
    /// | `signer` | a signer cannot be asked, or is not there |
    /// | `foreign` | who wrote a row, or the ring, has not the root secrets, or changed it |
    /// | `keys` | keys are gone, too many, unknown, or cannot be made or read |
    /// | `revocation` | a withdrawn key could not be revoked |
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Store(_) | Self::Slow { .. } | Self::Contended | Self::Interrupted => "store",
            Self::Clock { .. } => "clock",
            Self::Seal(_) => "seal",
            Self::Signer(_) | Self::NoSigner { .. } => "signer",
            Self::Foreign(_) | Self::ForeignRing(_) | Self::PublicPart { .. } => "foreign",
            Self::NoKeys
            | Self::Gone
            | Self::UnknownKey { .. }
            | Self::TooManyKeys { .. }
            | Self::Key(_)
            | Self::NewerAlgorithm { .. } => "keys",
            Self::NotRevoked { .. } => "revocation",
        }
    }
}

impl From<StoreError> for RingError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ForeignRow> for RingError {
    fn from(error: ForeignRow) -> Self {
        Self::Foreign(error)
    }
}

impl From<ForeignRing> for RingError {
    fn from(error: ForeignRing) -> Self {
        Self::ForeignRing(error)
    }
}

impl From<SealError> for RingError {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl From<KeyError> for RingError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Foreign(error) => error.fmt(f),
            Self::Seal(error) => error.fmt(f),
            Self::Signer(error) => error.fmt(f),
            Self::NoSigner { key_id } => write!(
                f,
                "the private part of the signing key `{key_id}` is at a signer, and this instance has none: give it the one that made the key (`TokenIssuerBuilder::signer`)"
            ),
            Self::NotRevoked { key_id, error } => write!(
                f,
                "the signing key `{key_id}` is withdrawn from the ring, and could not be revoked, which each instance tries again with each reading: {error}"
            ),
            Self::NoKeys => f.write_str(
                "the ring of the issuer is there, and its keys are gone: restore them from a backup; to begin anew, delete the ring as well, and every token is refused",
            ),
            Self::Gone => f.write_str(
                "the ring of the issuer was there, and the store has none now: it is empty, or another one; a new ring is made by an instance that starts",
            ),
            Self::UnknownKey { key_id } => write!(f, "the ring has no key `{key_id}`: nothing was withdrawn"),
            Self::ForeignRing(error) => error.fmt(f),
            Self::Slow { took } => write!(f, "the store took {took:?} to answer: try again"),
            Self::TooManyKeys { found } => {
                write!(f, "the ring has {found} keys or more, and at most {MAX_KEYS} are read: keys follow each other, or are withdrawn, too often, or somebody else writes to the store")
            }
            Self::Key(error) => write!(f, "a signing key: {error}"),
            Self::PublicPart { key_id } => write!(
                f,
                "the public part of the signing key `{key_id}` is not that of its private part: its row was changed by somebody who has the root secret; call `TokenIssuer::withdraw_all` on an instance that runs, as its documentation says, and replace the root secret"
            ),
            Self::NewerAlgorithm { key_id, algorithm } => write!(
                f,
                "the key `{key_id}` signs with {algorithm}, which this release does not: run the release that made it, or a later one"
            ),
            Self::Clock { off, skew } => write!(
                f,
                "the clock of this machine is off by {off:?} from that of the store, and {skew:?} are allowed: set it, by NTP"
            ),
            Self::Interrupted => f.write_str(
                "the reading of the ring ended in the middle: a store, a seal or a signer of the program's own panicked, or the runtime ended",
            ),
            Self::Contended => f.write_str("other instances changed the ring each time that this one tried: try again"),
        }
    }
}

impl core::error::Error for RingError {}

debug_as_displayed!(RingError);
