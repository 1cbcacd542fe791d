//! What becomes of a ring.
use core::time::Duration;

use portcullis::{Algorithm, KeySet, Revocation};
use zeroize::Zeroizing;

use super::held::check_published;
use super::{HeldKey, IssuerEvent, KMS_LIMIT, RingError, RingKeeper, Wanted};
use crate::key::{KeyError, RemoteKey, SigningKey};
use crate::ring::{Asked, KeyTimes, MAX_KEYS, Phase, Plan};
use crate::row::{KeyRow, MadeBy, PrivatePart};
use crate::seal::{SealError, Sealed, SealedFor};
use crate::signer::SignerError;
use crate::store::{RingStore, RingVersion, StoredRing};
use crate::time::StoreTime;
use crate::within::within;

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
        now: StoreTime,
    ) -> Result<Option<Change>, RingError> {
        // Before anything else is believed of them.
        let made_by = self.rows.check_all(stored, version)?;
        let times: Vec<_> = stored.keys.iter().map(|row| row.times).collect();
        let longest_lifetime = stored.longest_lifetime.max(self.settings.lifetime);
        let mut withdrawn = wanted.withdrawn(&stored.keys)?;
        withdrawn.extend(self.withdrawn_before(&stored.keys));
        let is_emergency = withdrawn.iter().any(|at| times[*at].withdrawn_at.is_none());
        let asked = Asked { withdrawn: &withdrawn, turns: *wanted == Wanted::Turn };
        let schedule = &self.settings.schedule;
        let plan = Plan::of(&times, asked, schedule, longest_lifetime, now);
        let plan = keeping_secrets(plan, &stored.keys, now);
        let is_behind = |(row, made_by): (&KeyRow, &MadeBy)| {
            *made_by != MadeBy(0) || row.sealed().is_some_and(|it| it.seal_id != self.seal_id())
        };
        let is_behind = stored.keys.iter().zip(&made_by).any(is_behind);
        // An emergency waits for nothing that it can do without.
        let reseals = is_behind && !is_emergency && self.may_reseal();
        let forgotten = self.forgotten(&plan, longest_lifetime, now);
        let is_as_it_should_be = |plan: &Plan| {
            plan.is_nothing(&times)
                && longest_lifetime == stored.longest_lifetime
                && !reseals
                && version.is_some()
                && forgotten.is_empty()
        };
        if is_as_it_should_be(&plan) {
            return Ok(None);
        }
        // Who cannot go by a ring does not change it: what it made of it, others could not go by.
        self.open_all(&stored.keys, &withdrawn, now).await?;
        if reseals {
            *self.locked(&self.resealed_at) = Some(self.time.elapsed());
        }
        let made = self.make_all(&plan, stored, version, now).await?;
        let plan = plan.with(made.iter().map(|row| row.times), schedule, longest_lifetime, now);
        let plan = keeping_secrets(plan, &stored.keys, now);
        if is_as_it_should_be(&plan) {
            return Ok(None);
        }
        let (mut keys, mut erased_at_signer) = (Vec::new(), Vec::new());
        for (at, (row, times)) in stored.keys.iter().zip(&plan.kept).enumerate() {
            if let Some(PrivatePart::AtSigner { name }) = &row.private
                && !times.is_private_kept
            {
                erased_at_signer.push(name.clone());
            }
            if !forgotten.contains(&at) {
                keys.push(self.kept(row, *times, reseals).await);
            }
        }
        let made_at_signer = made.iter().filter_map(KeyRow::name_at_signer).collect();
        keys.extend(made);
        if keys.len() > MAX_KEYS {
            self.locked(&self.to_delete).extend(made_at_signer);
            return Err(RingError::TooManyKeys { found: keys.len() });
        }
        let next = version.map_or(1, |version| version.0.saturating_add(1));
        let mac = self.rows.authenticate_ring(next, longest_lifetime, &mut keys);
        let ring = StoredRing { longest_lifetime, keys, mac };
        Ok(Some(Change { ring, made_at_signer, erased_at_signer }))
    }

    /// The rows of the keys that a plan has made. One that cannot be made is left out, where the ring is good without: the next
    /// reading tries again.
    async fn make_all(
        &self,
        plan: &Plan,
        stored: &StoredRing,
        version: Option<RingVersion>,
        now: StoreTime,
    ) -> Result<Vec<KeyRow>, RingError> {
        // The first key of a new ring is one that signs already, where there is one.
        let mut existing = self.locked(&self.existing).clone().filter(|_| version.is_none());
        let one_signs = plan.kept.iter().any(|key| key.phase(now) == Phase::Signing);
        let mut made: Vec<KeyRow> = Vec::new();
        for times in &plan.made {
            let row = match existing.take() {
                Some(existing) => {
                    let (key, private) = existing.read()?;
                    self.sealed_row(&key, &private, *times).await
                }
                None => self.make(*times, stored.keys.iter().chain(&made)).await,
            };
            match row {
                Ok(row) => made.push(row),
                Err(error) if one_signs => self.observers.notify(&IssuerEvent::NotMade { error }),
                Err(error) => {
                    let names = made.iter().filter_map(KeyRow::name_at_signer);
                    self.locked(&self.to_delete).extend(names);
                    return Err(error);
                }
            }
        }
        Ok(made)
    }

    /// A row that stays, with these times; its private part, where that is kept, sealed anew if it is time and can be done.
    async fn kept(&self, row: &KeyRow, times: KeyTimes, reseals: bool) -> KeyRow {
        let mut private = row.private.clone().filter(|_| times.is_private_kept);
        if let Some(PrivatePart::Sealed(old)) = &private
            && reseals
            && old.seal_id != self.seal_id()
        {
            match self.sealed_anew(old, self.whose(&row.key_id, &row.algorithm)).await {
                Ok(anew) => private = Some(anew),
                Err(error) => self.observers.notify(&IssuerEvent::NotMade { error }),
            }
        }
        KeyRow { private, times, ..row.clone() }
    }

    async fn sealed_anew(
        &self,
        old: &Sealed,
        whose: SealedFor<'_>,
    ) -> Result<PrivatePart, RingError> {
        let opened = self.opened(old, whose).await?;
        self.sealed(&opened, whose).await
    }

    /// Keys that this instance knows to be withdrawn, or revoked, whatever the store says: it may have gone back to a
    /// backup.
    fn withdrawn_before(&self, keys: &[KeyRow]) -> Vec<usize> {
        let held = self.held.load_full();
        let is_withdrawn = |row: &KeyRow| {
            let mut held = held.iter().flat_map(|held| &held.keys);
            let held = held.find(|key| key.row.key_id == row.key_id);
            held.is_some_and(|key| key.row.times.withdrawn_at.is_some())
                || self
                    .revocations
                    .as_ref()
                    .is_some_and(|list| self.names_of(row).iter().any(|name| list.is_revoked(name)))
        };
        (0..keys.len()).filter(|at| is_withdrawn(&keys[*at])).collect()
    }

    /// What revokes a key: by its id, and by its thumbprint, under which verifiers may have it that know it otherwise.
    pub(super) fn names_of(&self, row: &KeyRow) -> Vec<Revocation> {
        let set = KeySet::from_jwk(&row.public_jwk).ok();
        let thumbprint = set.and_then(|set| Some(set.iter().next()?.thumbprint()?.to_owned()));
        let thumbprint = thumbprint.filter(|thumbprint| *thumbprint != row.key_id);
        let names = [row.key_id.clone()].into_iter().chain(thumbprint);
        let issuer = || self.settings.issuer.clone();
        names.map(|key_id| Revocation::Key { issuer: issuer(), key_id, until: None }).collect()
    }

    /// Until when a token of a key may pass at who has not heard that it was withdrawn.
    pub(super) fn ends(&self, times: &KeyTimes, lifetime: Duration) -> Option<StoreTime> {
        match times.withdrawn_at {
            Some(at) => Some(self.settings.schedule.verifies_until(at, lifetime)),
            None => times.verifies_until,
        }
    }

    /// Keys whose rows are dropped: no token of them can pass, and what they were is long ago, or there are many. And where
    /// there is no room else, those that were withdrawn first.
    fn forgotten(&self, plan: &Plan, lifetime: Duration, now: StoreTime) -> Vec<usize> {
        let Plan { kept: keys, made } = plan;
        let end = |times: &KeyTimes| self.ends(times, lifetime);
        let mut over: Vec<_> = keys.iter().enumerate().collect();
        over.retain(|(_, times)| end(times).is_some_and(|end| end <= now));
        over.sort_by_key(|(_, times)| end(times));
        let surplus = over.len().saturating_sub(MAX_HISTORY);
        let is_old = |times: &KeyTimes| end(times).is_some_and(|end| end.after(HISTORY) <= now);
        let dropped = over.iter().enumerate().filter(|(age, (_, it))| *age < surplus || is_old(it));
        let mut dropped: Vec<_> = dropped.map(|(_, (at, _))| *at).collect();
        let many = (keys.len() - dropped.len() + made.len()).saturating_sub(MAX_KEYS);
        let mut withdrawn: Vec<_> = (0..keys.len()).filter(|at| !dropped.contains(at)).collect();
        withdrawn.retain(|at| keys[*at].withdrawn_at.is_some_and(|at| at < now));
        withdrawn.sort_by_key(|at| keys[*at].withdrawn_at);
        dropped.extend(withdrawn.into_iter().take(many));
        dropped
    }

    /// Opens what is sealed, and looks at what is published, but for keys that are withdrawn.
    async fn open_all(
        &self,
        keys: &[KeyRow],
        withdrawn: &[usize],
        now: StoreTime,
    ) -> Result<(), RingError> {
        let left = keys.iter().enumerate().filter(|(at, _)| !withdrawn.contains(at));
        let left: Vec<_> = left.map(|(_, row)| row).collect();
        check_published(&left, now)?;
        let mut opened = Vec::new();
        for row in left {
            opened.push(HeldKey::new(row.clone(), self.signing_once(row).await?));
        }
        *self.locked(&self.opened) = opened;
        Ok(())
    }

    /// A new key with these times.
    async fn make(
        &self,
        times: KeyTimes,
        keys: impl Iterator<Item = &KeyRow> + Clone,
    ) -> Result<KeyRow, RingError> {
        let algorithm = self.settings.algorithm;
        let Some(signer) = &self.signer else {
            let (key, private) = generate(algorithm).await?;
            return self.sealed_row(&key, &private, times).await;
        };
        let made = within(KMS_LIMIT, signer.create(algorithm), SignerError::late).await;
        let made = made.map_err(RingError::Signer)?;
        let private = PrivatePart::AtSigner { name: made.name.clone() };
        // One that it gave before is in use.
        if keys.clone().any(|row| row.private.as_ref() == Some(&private)) {
            return Err(KeyError::GivenBefore.into());
        }
        let key = RemoteKey::of_der(algorithm, made.name.clone(), &made.public_key_der);
        let row = key.map(|key| KeyRow {
            key_id: key.id().to_owned(),
            algorithm: algorithm.name().to_owned(),
            public_jwk: key.public_jwk().to_owned(),
            private: Some(private),
            times,
            mac: Vec::new(),
        });
        // What is not a key for our own verification is for nobody's.
        let is_good = |row: &KeyRow| {
            check_published(&[row], times.published_at).is_ok()
                && keys.clone().all(|other| other.key_id != row.key_id)
        };
        let fault = match row {
            Ok(row) if is_good(&row) => return Ok(row),
            Ok(_) => KeyError::OfSigner { algorithm },
            Err(fault) => fault,
        };
        self.locked(&self.to_delete).push(made.name);
        Err(fault.into())
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
        let sealing = self.seal().sealed(private, whose);
        let bytes = within(KMS_LIMIT, sealing, |limit| SealError::late(whose, limit)).await?;
        Ok(PrivatePart::Sealed(Sealed { seal_id: self.seal_id().to_owned(), bytes }))
    }

    pub(super) async fn opened(
        &self,
        sealed: &Sealed,
        whose: SealedFor<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        // What was sealed before there was another seal opens as ever.
        let is_of_root = self.root_seal.has(&sealed.seal_id);
        let seal = if is_of_root { &self.root_seal } else { self.seal() };
        let opening = seal.opened(sealed, whose);
        within(KMS_LIMIT, opening, |limit| SealError::late(whose, limit)).await
    }

    pub(super) fn whose<'a>(&'a self, key_id: &'a str, algorithm: &'a str) -> SealedFor<'a> {
        SealedFor { issuer: &self.settings.issuer, key_id, algorithm }
    }

    /// Says that an existing key was not taken over, where the ring is there and does not have it. It is not needed any more.
    pub(crate) fn tell_of_existing(&self) {
        let existing = self.locked(&self.existing).take();
        let (Some(existing), Some(held)) = (existing, self.held.load_full()) else { return };
        let Ok((key, _)) = existing.read() else { return };
        if !held.keys.iter().any(|held| held.row.key_id == key.id()) {
            let key_id = key.id().to_owned();
            self.observers.notify(&IssuerEvent::NotTakenOver { key_id });
        }
    }
}

/// The private part of a shared secret is kept for as long as its tokens pass, since it also verifies.
fn keeping_secrets(mut plan: Plan, rows: &[KeyRow], now: StoreTime) -> Plan {
    for (times, row) in plan.kept.iter_mut().zip(rows) {
        let is_needed = row.is_secret() && times.is_published(now);
        times.is_private_kept |= is_needed && row.times.is_private_kept;
    }
    plan
}

/// A new key pair. Where that takes long (RSA: half a second), nobody else waits for it.
async fn generate(algorithm: Algorithm) -> Result<(SigningKey, Zeroizing<Vec<u8>>), KeyError> {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return SigningKey::generate(algorithm);
    };
    let made = runtime.spawn_blocking(move || SigningKey::generate(algorithm)).await;
    made.unwrap_or(Err(KeyError::Crypto))
}
