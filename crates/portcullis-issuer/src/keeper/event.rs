//! What operators see of an issuer.
use core::fmt;
use core::mem::{discriminant, replace};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis::revocation::RevokeError;

use super::{ReadRing, RingError};
use crate::ring::Phase;
use crate::signer::SignerError;
use crate::store::RingVersion;
use crate::time::StoreTime;

/// What happened to an issuer, as one instance sees it. It names keys by their public ids, and nobody.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IssuerEvent {
    /// A key is in the ring that was not.
    KeyAppeared {
        /// Its id.
        key_id: String,
        /// When it signs.
        signs_from: StoreTime,
    },
    /// Another key signs than before.
    KeySigns {
        /// Its id.
        key_id: String,
    },
    /// A key was withdrawn, by whichever instance.
    KeyWithdrawn {
        /// Its id.
        key_id: String,
    },
    /// The ring cannot be read. Said once, until it can be, or for another reason.
    Failed(RingError),
    /// The ring can be read again.
    Recovered,
    /// A key was withdrawn, and could not be revoked: it is tried again with each reading.
    NotRevoked {
        /// Its id.
        key_id: String,
        /// Why.
        error: RevokeError,
    },
    /// A key that is due could not be made, or one not be sealed anew. The ring is as good as without, also in an emergency, and
    /// the next reading tries again.
    NotMade {
        /// Why.
        error: RingError,
    },
    /// The store has an older ring than it had, or another one: a backup was restored, or somebody put it there.
    WentBack {
        /// How often the ring was changed that this instance knew.
        from: RingVersion,
        /// How often the one was changed that is there now.
        to: RingVersion,
    },
    /// A signer did not delete a key that signs no longer: delete it there.
    LeftAtSigner {
        /// What the signer calls it.
        name: String,
        /// Why.
        error: SignerError,
    },
    /// The existing key that the program names is not in the ring, which was there already.
    NotTakenOver {
        /// Its id.
        key_id: String,
    },
}

impl fmt::Display for IssuerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyAppeared { key_id, signs_from } => {
                write!(f, "the signing key `{key_id}` is published, and signs from {signs_from} on")
            }
            Self::KeySigns { key_id } => write!(f, "the key `{key_id}` signs from now on"),
            Self::KeyWithdrawn { key_id } => write!(f, "the signing key `{key_id}` was withdrawn"),
            Self::Failed(error) => write!(f, "the ring of signing keys cannot be read: {error}"),
            Self::Recovered => f.write_str("the ring of signing keys can be read again"),
            Self::NotRevoked { key_id, error } => write!(
                f,
                "the signing key `{key_id}` was withdrawn and is not revoked yet, which is tried again: {error}"
            ),
            Self::NotMade { error } => {
                write!(
                    f,
                    "a signing key that is due could not be made, or not be sealed anew, which is tried again: {error}"
                )
            }
            Self::WentBack { from: RingVersion(from), to: RingVersion(to) } => write!(
                f,
                "the store has the ring of change {to}, and had that of change {from}: a backup was restored, or somebody put it there; withdraw again what was withdrawn since"
            ),
            Self::LeftAtSigner { name, error } => write!(
                f,
                "the signer still has the key `{name}`, which signs no longer: delete it there ({error})"
            ),
            Self::NotTakenOver { key_id } => write!(
                f,
                "the existing key `{key_id}` is not in the ring, which was there before: its time is over, or the ring was made without it; in the first case, take it out of the program"
            ),
        }
    }
}

impl IssuerEvent {
    #[cfg(feature = "tracing")]
    fn trace(&self) {
        match self {
            Self::KeyAppeared { .. } | Self::KeySigns { .. } | Self::Recovered => {
                tracing::info!("{self}");
            }
            Self::KeyWithdrawn { .. } | Self::LeftAtSigner { .. } | Self::NotTakenOver { .. } => {
                tracing::warn!("{self}");
            }
            Self::Failed(_)
            | Self::NotMade { .. }
            | Self::WentBack { .. }
            | Self::NotRevoked { .. } => tracing::error!("{self}"),
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn trace(&self) {}
}

type Observer = dyn Fn(&IssuerEvent) + Send + Sync;

/// Who is told, and what was told last.
#[derive(Default)]
pub(crate) struct Observers {
    all: Vec<Arc<Observer>>,
    /// Why the ring could not be read last, if it could not.
    failed: Mutex<Option<RingError>>,
    /// How often the ring could not be read, for each [reason](RingError::REASONS).
    failures: [AtomicU64; RingError::REASONS.len()],
}

impl Observers {
    pub(crate) fn add(&mut self, observer: impl Fn(&IssuerEvent) + Send + Sync + 'static) {
        self.all.push(Arc::new(observer));
    }

    pub(crate) fn notify(&self, event: &IssuerEvent) {
        event.trace();
        for observer in &self.all {
            // It is not ours: a panic ends neither the others nor the reading. The panic hook has said so.
            let _ = catch_unwind(AssertUnwindSafe(|| observer(event)));
        }
    }

    pub(super) fn tell_failed(&self, error: &RingError) {
        let mut reasons = RingError::REASONS.iter().zip(&self.failures);
        if let Some((_, count)) = reasons.find(|(reason, _)| **reason == error.reason()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let before = self.set_failed(Some(error.clone()));
        // The same in other words, such as another time that the store took, is no news.
        if before.as_ref().map(discriminant) != Some(discriminant(error)) {
            self.notify(&IssuerEvent::Failed(error.clone()));
        }
    }

    fn set_failed(&self, failed: Option<RingError>) -> Option<RingError> {
        replace(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner), failed)
    }

    /// What differs from before.
    pub(super) fn tell_read(&self, before: Option<&ReadRing>, read: &ReadRing, is_made: bool) {
        if self.set_failed(None).is_some() {
            self.notify(&IssuerEvent::Recovered);
        }
        if let Some(before) = before.filter(|before| read.version < before.version) {
            let (from, to) = (before.version, read.version);
            self.notify(&IssuerEvent::WentBack { from, to });
        }
        // What an instance finds when it starts is not news.
        let is_start = before.is_none() && !is_made;
        let signing =
            |ring: &ReadRing| ring.signing(ring.at.now).map(|(row, _)| row.key_id.clone());
        for key in &read.keys {
            let (key_id, times) = (&key.row.key_id, &key.row.times);
            let known =
                before.and_then(|before| before.keys.iter().find(|it| it.row.key_id == *key_id));
            let was_withdrawn = known.is_some_and(|known| known.row.times.withdrawn_at.is_some());
            if times.withdrawn_at.is_some() {
                if before.is_some() && !was_withdrawn {
                    self.notify(&IssuerEvent::KeyWithdrawn { key_id: key_id.clone() });
                }
            } else if known.is_none() && !is_start && times.phase(read.at.now) != Phase::Gone {
                let (key_id, signs_from) = (key_id.clone(), times.signs_from);
                self.notify(&IssuerEvent::KeyAppeared { key_id, signs_from });
            }
        }
        let now = signing(read);
        if !is_start
            && now != before.and_then(signing)
            && let Some(key_id) = now
        {
            self.notify(&IssuerEvent::KeySigns { key_id });
        }
    }

    /// How often the ring could not be read, by reason.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.failures.iter().map(|count| count.load(Ordering::Relaxed));
        RingError::REASONS.into_iter().zip(counts)
    }
}
