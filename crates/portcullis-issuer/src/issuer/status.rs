//! What an operator sees of a ring.
use core::time::Duration;

use crate::keeper::{ReadRing, RingKeeper};
use crate::ring::{KeyTimes, Phase, RingTime};
use crate::row::PrivatePart;
use crate::store::{RingStore, RingVersion};

/// A ring as an instance holds it.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RingStatus {
    /// How often it was changed.
    pub version: RingVersion,
    /// The ring's clock.
    pub now: RingTime,
    /// How long ago it was read.
    pub age: Duration,
    /// By how many milliseconds this machine's clock was behind the ring's when it was read; below 0 where it was ahead.
    pub clock_offset: i64,
    /// How often this instance could not read it.
    pub failures: u64,
    /// Its keys, in the order in which they sign.
    pub keys: Vec<KeyStatus>,
}

/// What a key of a ring does.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyStatus {
    /// Its id.
    pub key_id: String,
    /// What it signs with, by its name in a header (RFC 7518 §3.1).
    pub algorithm: String,
    /// What it does now.
    pub phase: Phase,
    /// What it does when.
    pub times: KeyTimes,
    /// Which sealing key its private part is sealed with. `None`: it is erased, or at a signer.
    pub seal_id: Option<String>,
    /// Whether that is the one that new keys are sealed with: one under an old root secret is not.
    pub is_sealed_anew: bool,
}

impl RingStatus {
    pub(super) fn of<S: RingStore>(ring: &ReadRing, keeper: &RingKeeper<S>) -> Self {
        let now = ring.now(&*keeper.time);
        let status = |key: &crate::row::KeyRow| {
            let seal_id = match &key.private {
                Some(PrivatePart::Sealed(sealed)) => Some(sealed.seal_id.clone()),
                Some(PrivatePart::AtSigner { .. }) | None => None,
            };
            KeyStatus {
                key_id: key.key_id.clone(),
                algorithm: key.algorithm.clone(),
                phase: key.times.phase(now),
                times: key.times,
                is_sealed_anew: seal_id.as_ref().is_none_or(|id| id == keeper.seal_id()),
                seal_id,
            }
        };
        let keys = ring.keys.iter().map(|key| status(&key.row)).collect();
        Self {
            version: ring.version,
            now,
            age: ring.age(&*keeper.time),
            clock_offset: ring.clock_offset(),
            failures: keeper.observers.failures(),
            keys,
        }
    }

    /// The key that signs now.
    pub fn signing(&self) -> Option<&KeyStatus> {
        self.keys.iter().find(|key| key.phase == Phase::Signing)
    }

    /// When the ring changes next by itself: the next time of any of its keys that is yet to come.
    pub fn next_change(&self) -> Option<RingTime> {
        let times =
            self.keys.iter().filter(|key| key.times.withdrawn_at.is_none()).flat_map(|key| {
                let KeyTimes { signs_from, signs_until, verifies_until, .. } = key.times;
                [Some(signs_from), signs_until, verifies_until]
            });
        times.flatten().filter(|time| *time > self.now).min()
    }
}
