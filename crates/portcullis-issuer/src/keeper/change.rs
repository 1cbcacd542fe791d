//! What becomes of a ring.
use core::time::Duration;
use std::sync::PoisonError;

use portcullis::{Algorithm, Revocation};
use zeroize::Zeroizing;

use super::within::within;
use super::{IssuerEvent, KMS_LIMIT, RingError, RingKeeper, Wanted};
use crate::key::{KeyError, RemoteKey, SigningKey};
use crate::ring::{Asked, KeyTimes, MAX_KEYS, Plan, RingTime};
use crate::row::{KeyRow, MadeBy, PrivatePart};
use crate::seal::{SealError, Sealed, SealedFor};
use crate::signer::SignerError;
use crate::store::{RingStore, RingVersion, StoredRing};

/// How long a row is kept after the last token of its key expired.
const HISTORY: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How many keys that are over are kept at most, for who wants to know what was: the latest.
const MAX_HISTORY: usize = 16;

/// How often an instance seals rows anew at most.
pub(super) const RESEAL: Duration = Duration::from_secs(60 * 60);

/// What a ring becomes, and what that means at a signer.
pub(super) struct Change {
    pub(super) ring: StoredRing,
    /// Keys that were made for it: nobody's, if the store does not take it.
    pub(super) made_at_signer: Vec<String>,
    /// Keys that it names no longer.
    pub(super) erased_at_signer: Vec<String>,
}

impl<S: RingStore> RingKeeper<S> {
    /// What the ring has to become. `None`: it is as it should be.
    pub(super) async fn change(
        &self,
        stored: &StoredRing,
        wanted: &mut Wanted,
        version: Option<RingVersion>,
        now: RingTime,
    ) -> Result<Option<Change>, RingError> {
        // Before anything else is believed of them.
        let made_by = self.rows.check_all(stored, version)?;
        let times: Vec<_> = stored.keys.iter().map(|row| row.times).collect();
        let longest_lifetime = stored.longest_lifetime.max(self.settings.lifetime);
        let mut withdrawn = wanted.withdrawn(&stored.keys)?;
        withdrawn.extend(self.withdrawn_before(&stored.keys));
        let asked = Asked { withdrawn: &withdrawn, turns: *wanted == Wanted::Turn };
        let mut plan = Plan::of(&times, asked, &self.settings.schedule, longest_lifetime, now);
        for (times, row) in plan.kept.iter_mut().zip(&stored.keys) {
            // It also verifies.
            let is_needed = row.is_secret() && times.is_published(now);
            times.is_private_kept |= is_needed && row.times.is_private_kept;
        }
        let is_behind = |(row, made_by): (&KeyRow, &MadeBy)| {
            *made_by != MadeBy(0)
                || row.sealed().is_some_and(|it| it.seal_id != self.seal.seal_id())
        };
        let reseals = stored.keys.iter().zip(&made_by).any(is_behind) && self.may_reseal();
        let forgotten = self.forgotten(&plan.kept, longest_lifetime, now);
        if plan.is_nothing(&times)
            && longest_lifetime == stored.longest_lifetime
            && !reseals
            && version.is_some()
            && forgotten.is_empty()
        {
            return Ok(None);
        }
        if reseals {
            let mut resealed_at = self.resealed_at.lock().unwrap_or_else(PoisonError::into_inner);
            *resealed_at = Some(self.time.elapsed());
        }
        let (mut keys, mut erased_at_signer) = (Vec::new(), Vec::new());
        for (at, (row, times)) in stored.keys.iter().zip(&plan.kept).enumerate() {
            if let Some(PrivatePart::AtSigner { name }) = &row.private
                && !times.is_private_kept
            {
                erased_at_signer.push(name.clone());
            }
            if !forgotten.contains(&at) {
                keys.push(self.kept(row, *times, reseals).await?);
            }
        }
        if keys.len() + plan.made.len() > MAX_KEYS {
            return Err(RingError::TooManyKeys { found: keys.len() + plan.made.len() });
        }
        let mut made_at_signer = Vec::new();
        // The first key of a new ring is one that signs already, where there is one.
        let mut existing = self.existing.as_ref().filter(|_| version.is_none());
        for times in plan.made {
            let row = match existing.take() {
                Some(existing) => {
                    let (key, private) = existing.read()?;
                    self.sealed_row(&key, &private, times).await?
                }
                None => self.make(times).await?,
            };
            if let Some(PrivatePart::AtSigner { name }) = &row.private {
                made_at_signer.push(name.clone());
            }
            keys.push(row);
        }
        let next = version.map_or(1, |version| version.0.saturating_add(1));
        let mac = self.rows.authenticate_ring(next, longest_lifetime, &mut keys);
        let ring = StoredRing { longest_lifetime, keys, mac };
        Ok(Some(Change { ring, made_at_signer, erased_at_signer }))
    }

    /// A row that stays, with these times; its private part, where that is kept, sealed anew if it is time.
    async fn kept(
        &self,
        row: &KeyRow,
        times: KeyTimes,
        reseals: bool,
    ) -> Result<KeyRow, RingError> {
        let mut private = row.private.clone().filter(|_| times.is_private_kept);
        if let Some(PrivatePart::Sealed(old)) = &private
            && reseals
            && old.seal_id != self.seal.seal_id()
        {
            let whose = self.whose(&row.key_id, &row.algorithm);
            let opened = self.opened(old, whose).await?;
            private = Some(self.sealed(&opened, whose).await?);
        }
        Ok(KeyRow { private, times, ..row.clone() })
    }

    /// Keys that this instance knows to be withdrawn, or revoked, whatever the store says: it may have gone back to a
    /// backup.
    fn withdrawn_before(&self, keys: &[KeyRow]) -> Vec<usize> {
        let held = self.held.load_full();
        let is_withdrawn = |row: &KeyRow| {
            let mut held = held.iter().flat_map(|held| &held.keys);
            let held = held.find(|key| key.row.key_id == row.key_id);
            held.is_some_and(|key| key.row.times.withdrawn_at.is_some())
                || self.revocations.as_ref().is_some_and(|list| list.is_revoked(&self.of_key(row)))
        };
        (0..keys.len()).filter(|at| is_withdrawn(&keys[*at])).collect()
    }

    /// What revokes a key.
    pub(super) fn of_key(&self, row: &KeyRow) -> Revocation {
        let (issuer, key_id) = (self.settings.issuer.clone(), row.key_id.clone());
        Revocation::Key { issuer, key_id, until: None }
    }

    /// Until when a token of a key may pass at who has not heard that it was withdrawn.
    pub(super) fn ends(&self, times: &KeyTimes, lifetime: Duration) -> Option<RingTime> {
        match times.withdrawn_at {
            Some(at) => Some(self.settings.schedule.verifies_until(at, lifetime)),
            None => times.verifies_until,
        }
    }

    /// Keys whose rows are dropped: no token of them can pass, and what they were is long ago, or there are many.
    fn forgotten(&self, keys: &[KeyTimes], lifetime: Duration, now: RingTime) -> Vec<usize> {
        let end = |times: &KeyTimes| self.ends(times, lifetime);
        let mut over: Vec<_> = keys.iter().enumerate().collect();
        over.retain(|(_, times)| end(times).is_some_and(|end| end <= now));
        over.sort_by_key(|(_, times)| end(times));
        let surplus = over.len().saturating_sub(MAX_HISTORY);
        let is_old = |times: &KeyTimes| end(times).is_some_and(|end| end.after(HISTORY) <= now);
        let dropped = over.iter().enumerate().filter(|(age, (_, it))| *age < surplus || is_old(it));
        dropped.map(|(_, (at, _))| *at).collect()
    }

    /// A new key with these times.
    async fn make(&self, times: KeyTimes) -> Result<KeyRow, RingError> {
        let algorithm = self.settings.algorithm;
        let Some(signer) = &self.signer else {
            let (key, private) = generate(algorithm).await?;
            return self.sealed_row(&key, &private, times).await;
        };
        let made = within(KMS_LIMIT, signer.create(algorithm), SignerError::late).await;
        let made = made.map_err(RingError::Signer)?;
        let key = match RemoteKey::of_der(algorithm, made.name.clone(), &made.public_key_der) {
            Ok(key) => key,
            Err(fault) => {
                self.delete_at_signer(&[made.name]).await;
                return Err(fault.into());
            }
        };
        Ok(KeyRow {
            key_id: key.id().to_owned(),
            algorithm: algorithm.name().to_owned(),
            public_jwk: key.public_jwk().to_owned(),
            private: Some(PrivatePart::AtSigner { name: made.name }),
            times,
            mac: Vec::new(),
        })
    }

    async fn sealed_row(
        &self,
        key: &SigningKey,
        private: &[u8],
        times: KeyTimes,
    ) -> Result<KeyRow, RingError> {
        let (key_id, algorithm) = (key.id().to_owned(), key.algorithm().name().to_owned());
        let sealed = self.sealed(private, self.whose(&key_id, &algorithm)).await?;
        let public_jwk = key.public_jwk().unwrap_or_default().to_owned();
        Ok(KeyRow { key_id, algorithm, public_jwk, private: Some(sealed), times, mac: Vec::new() })
    }

    async fn sealed(&self, private: &[u8], whose: SealedFor<'_>) -> Result<PrivatePart, RingError> {
        let sealing = self.seal.sealed(private, whose);
        let bytes = within(KMS_LIMIT, sealing, |limit| SealError::late(whose, limit)).await?;
        Ok(PrivatePart::Sealed(Sealed { seal_id: self.seal.seal_id().to_owned(), bytes }))
    }

    pub(super) async fn opened(
        &self,
        sealed: &Sealed,
        whose: SealedFor<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let opening = self.seal.opened(sealed, whose);
        within(KMS_LIMIT, opening, |limit| SealError::late(whose, limit)).await
    }

    pub(super) fn whose<'a>(&'a self, key_id: &'a str, algorithm: &'a str) -> SealedFor<'a> {
        SealedFor { issuer: &self.settings.issuer, key_id, algorithm }
    }

    /// Says that an existing key was not taken over, where the ring is there and does not have it.
    pub(crate) fn tell_of_existing(&self) {
        let (Some(existing), Some(held)) = (&self.existing, self.held.load_full()) else { return };
        let Ok((key, _)) = existing.read() else { return };
        if !held.keys.iter().any(|held| held.row.key_id == key.id()) {
            let key_id = key.id().to_owned();
            self.observers.notify(&IssuerEvent::NotTakenOver { key_id });
        }
    }
}

/// A new key pair. Where that takes long (RSA: half a second), nobody else waits for it.
async fn generate(algorithm: Algorithm) -> Result<(SigningKey, Zeroizing<Vec<u8>>), KeyError> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return SigningKey::generate(algorithm);
    };
    let made = runtime.spawn_blocking(move || SigningKey::generate(algorithm)).await;
    made.unwrap_or(Err(KeyError::Crypto))
}
