//! Reads the ring, does what is due, and holds what an instance signs and publishes by.
mod error;
mod held;

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use portcullis::Algorithm;

pub use self::error::RingError;
pub use self::held::PublishedKeys;
pub(crate) use self::held::{HeldKey, ReadRing};
use crate::key::SigningKey;
use crate::machine::MachineTime;
use crate::ring::{KeyTimes, MAX_KEYS, Plan, RingTime, Schedule};
use crate::root::RootSecrets;
use crate::row::{IsCurrent, KeyRow, RowAuthenticator};
use crate::seal::{RootSeal, SealedFor};
use crate::store::{LoadedRing, RingStore, RingVersion, StoredRing, Swap};
use crate::token::TokenHeader;

/// How often a change is offered anew where others change the ring at the same time. Each time one of them is done.
const ATTEMPTS: usize = 16;

/// How long a row is kept after the last token of its key expired.
const HISTORY: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How many keys that are over are kept at most, for who wants to know what was: the latest.
const MAX_HISTORY: usize = 16;

/// How often an instance seals rows anew at most.
const RESEAL: Duration = Duration::from_secs(60 * 60);

/// The longest that a store may take: what it says is old by then.
const SLOW: Duration = Duration::from_secs(10);

/// What a ring is changed for, by the ids of keys: places differ from one reading to the next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// What is due, and a ring where there never was one.
    First,
    /// What is due.
    Due,
    /// These keys are withdrawn.
    Compromised { key_ids: Vec<String> },
    /// All keys are withdrawn that are there when it is first looked: not those that another made for the same reason.
    AllCompromised,
}

impl Wanted {
    /// The keys that are to be withdrawn, by their places.
    fn withdrawn(&mut self, keys: &[KeyRow]) -> Result<Vec<usize>, RingError> {
        if *self == Self::AllCompromised {
            let key_ids = keys.iter().map(|row| row.key_id.clone()).collect();
            *self = Self::Compromised { key_ids };
        }
        let Self::Compromised { key_ids } = self else { return Ok(Vec::new()) };
        let place = |key_id: &String| {
            let at = keys.iter().position(|row| row.key_id == *key_id);
            at.ok_or_else(|| RingError::UnknownKey { key_id: crate::row::shown(key_id) })
        };
        key_ids.iter().map(place).collect()
    }
}

/// Keeps one issuer's ring.
pub(crate) struct RingKeeper<S> {
    pub(crate) issuer: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) schedule: Schedule,
    pub(crate) lifetime: Duration,
    pub(crate) time: Arc<dyn MachineTime>,
    pub(crate) held: ArcSwapOption<ReadRing>,
    store: S,
    seal: RootSeal,
    rows: RowAuthenticator,
    /// When rows were sealed anew, by the machine's time.
    resealed_at: Mutex<Option<Duration>>,
}

impl<S: RingStore> RingKeeper<S> {
    pub(crate) fn new(
        issuer: String,
        (algorithm, schedule, lifetime): (Algorithm, Schedule, Duration),
        root: &RootSecrets,
        store: S,
        time: Arc<dyn MachineTime>,
    ) -> Self {
        let (seal, rows) = (RootSeal::new(root, &issuer), RowAuthenticator::new(root, &issuer));
        let held = ArcSwapOption::empty();
        let resealed_at = Mutex::new(None);
        Self { issuer, algorithm, schedule, lifetime, time, held, store, seal, rows, resealed_at }
    }

    /// Reads the ring, and does what is wanted and due.
    pub(crate) async fn read(&self, mut wanted: Wanted) -> Result<Arc<ReadRing>, RingError> {
        for _ in 0..ATTEMPTS {
            let elapsed = self.time.elapsed();
            let LoadedRing { now, ring } = self.store.load(&self.issuer).await?;
            // Before anything is decided by it.
            self.check_clock(now, elapsed)?;
            let (version, stored) = match ring {
                // Only an instance that starts makes one: who had a ring knows that there was one.
                None if wanted != Wanted::First || self.held.load().is_some() => {
                    return Err(RingError::Gone);
                }
                None => {
                    let (longest_lifetime, keys, mac) = (self.lifetime, Vec::new(), Vec::new());
                    (None, StoredRing { longest_lifetime, keys, mac })
                }
                // A ring that lost its keys is not a new one.
                Some((_, stored)) if stored.keys.is_empty() => return Err(RingError::NoKeys),
                Some((version, stored)) => (Some(version), stored),
            };
            let Some(changed) = self.changed(&stored, &mut wanted, version, now)? else {
                let version = version.ok_or(RingError::NoKeys)?;
                let read = Arc::new(self.take(version, &stored, now, elapsed)?);
                return Ok(self.hold_newest(read));
            };
            match self.store.swap(&self.issuer, version, &changed).await? {
                // What was wanted is done once.
                Swap::Done => wanted = Wanted::Due,
                Swap::Lost => {}
            }
        }
        Err(RingError::Contended)
    }

    /// Whether rows may be sealed anew, under the first root secret: now and then, since instances on neighbouring lists of
    /// root secrets would else undo each other's work at each reading.
    fn may_reseal(&self) -> bool {
        let resealed_at = *self.resealed_at.lock().unwrap_or_else(PoisonError::into_inner);
        resealed_at.is_none_or(|at| self.time.elapsed().saturating_sub(at) >= RESEAL)
    }

    /// Holds this, unless what is held was read later: of two readings at once, the older may end last.
    fn hold_newest(&self, read: Arc<ReadRing>) -> Arc<ReadRing> {
        self.held.rcu(|held| match held {
            Some(held) if held.elapsed > read.elapsed => Some(Arc::clone(held)),
            _ => Some(Arc::clone(&read)),
        });
        self.held.load_full().unwrap_or(read)
    }

    /// The store's clock was read between `elapsed` and now.
    fn check_clock(&self, now: RingTime, elapsed: Duration) -> Result<(), RingError> {
        let skew = self.schedule.skew_allowed();
        let took = self.time.elapsed().saturating_sub(elapsed);
        if took > SLOW {
            return Err(RingError::Slow { took });
        }
        let wall = self.time.wall();
        let off = wall.before(took).since(now).max(now.since(wall));
        if off > skew { Err(RingError::Clock { off, skew }) } else { Ok(()) }
    }

    /// What the ring has to become. `None`: it is as it should be.
    fn changed(
        &self,
        stored: &StoredRing,
        wanted: &mut Wanted,
        version: Option<RingVersion>,
        now: RingTime,
    ) -> Result<Option<StoredRing>, RingError> {
        // Before anything else is believed of them.
        let are_current = self.authenticated(stored, version)?;
        let times: Vec<_> = stored.keys.iter().map(|row| row.times).collect();
        let longest_lifetime = stored.longest_lifetime.max(self.lifetime);
        let mut withdrawn = wanted.withdrawn(&stored.keys)?;
        withdrawn.extend(self.withdrawn_before(&stored.keys));
        let plan = Plan::of(&times, &withdrawn, &self.schedule, longest_lifetime, now);
        let is_behind = |(row, is_current): (&KeyRow, &IsCurrent)| {
            *is_current == IsCurrent(false)
                || row.sealed.as_ref().is_some_and(|it| it.seal_id != self.seal.id())
        };
        let reseals = stored.keys.iter().zip(&are_current).any(is_behind) && self.may_reseal();
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
        let mut keys = Vec::new();
        for (at, (row, times)) in stored.keys.iter().zip(&plan.kept).enumerate() {
            if !forgotten.contains(&at) {
                keys.push(self.kept(row, *times, reseals)?);
            }
        }
        for times in plan.made {
            keys.push(self.make(times)?);
        }
        if keys.len() > MAX_KEYS {
            return Err(RingError::TooManyKeys { found: keys.len() });
        }
        let next = version.map_or(1, |version| version.0.saturating_add(1));
        let mac = self.rows.authenticate_ring(next, longest_lifetime, &mut keys);
        Ok(Some(StoredRing { longest_lifetime, keys, mac }))
    }

    /// Whether the MAC of each row is made with the first root secret. A ring that is about to be made has no rows.
    fn authenticated(
        &self,
        stored: &StoredRing,
        version: Option<RingVersion>,
    ) -> Result<Vec<IsCurrent>, RingError> {
        let StoredRing { longest_lifetime, keys, mac } = stored;
        if keys.len() > MAX_KEYS {
            return Err(RingError::TooManyKeys { found: keys.len() });
        }
        let are_current = keys.iter().map(|row| self.rows.check(row)).collect::<Result<_, _>>()?;
        if let Some(version) = version {
            self.rows.check_ring(version.0, *longest_lifetime, keys, mac)?;
        }
        Ok(are_current)
    }

    /// A row that stays, with these times; its private part, where that is kept, sealed anew if it is time.
    fn kept(&self, row: &KeyRow, times: KeyTimes, reseals: bool) -> Result<KeyRow, RingError> {
        let mut sealed = row.sealed.clone().filter(|_| times.is_private_kept);
        if let Some(old) = sealed.take_if(|old| reseals && old.seal_id != self.seal.id()) {
            let whose = whose(&self.issuer, &row.key_id, &row.algorithm);
            sealed = Some(self.seal.seal(&self.seal.open(&old, whose)?, whose));
        }
        Ok(KeyRow { sealed, times, ..row.clone() })
    }

    /// Keys that this instance knows to be withdrawn, whatever the store says: it may have gone back to a backup.
    fn withdrawn_before(&self, keys: &[KeyRow]) -> Vec<usize> {
        let Some(held) = self.held.load_full() else { return Vec::new() };
        let is_withdrawn = |row: &KeyRow| {
            let held = held.keys.iter().find(|key| key.id == row.key_id);
            held.is_some_and(|key| key.times.withdrawn_at.is_some())
        };
        (0..keys.len()).filter(|at| is_withdrawn(&keys[*at])).collect()
    }

    /// Keys whose rows are dropped: no token of them can pass, and what they were is long ago, or there are many.
    fn forgotten(&self, keys: &[KeyTimes], lifetime: Duration, now: RingTime) -> Vec<usize> {
        let end = |times: &KeyTimes| match times.withdrawn_at {
            Some(at) => Some(self.schedule.verifies_until(at, lifetime)),
            None => times.verifies_until,
        };
        let mut over: Vec<_> = keys.iter().enumerate().collect();
        over.retain(|(_, times)| end(times).is_some_and(|end| end <= now));
        over.sort_by_key(|(_, times)| end(times));
        let surplus = over.len().saturating_sub(MAX_HISTORY);
        let is_old = |times: &KeyTimes| end(times).is_some_and(|end| end.after(HISTORY) <= now);
        let dropped = over.iter().enumerate().filter(|(age, (_, it))| *age < surplus || is_old(it));
        dropped.map(|(_, (at, _))| *at).collect()
    }

    /// A new key with these times.
    fn make(&self, times: KeyTimes) -> Result<KeyRow, RingError> {
        let (key, private) = SigningKey::generate(self.algorithm)?;
        let (key_id, algorithm) = (key.id().to_owned(), self.algorithm.name().to_owned());
        let sealed = self.seal.seal(&private, whose(&self.issuer, &key_id, &algorithm));
        let public_jwk = key.public_jwk().unwrap_or_default().to_owned();
        Ok(KeyRow { key_id, algorithm, public_jwk, sealed: Some(sealed), times, mac: Vec::new() })
    }

    /// The ring as this instance holds it.
    fn take(
        &self,
        version: RingVersion,
        stored: &StoredRing,
        now: RingTime,
        elapsed: Duration,
    ) -> Result<ReadRing, RingError> {
        let mut rows: Vec<_> = stored.keys.iter().collect();
        // The same order on every instance, so the same bytes.
        rows.sort_by(|a, b| (a.times.signs_from, &a.key_id).cmp(&(b.times.signs_from, &b.key_id)));
        let keys = rows.iter().map(|row| self.hold(row)).collect::<Result<_, _>>()?;
        rows.retain(|row| row.times.is_published(now));
        let published = PublishedKeys::of(rows.iter().map(|row| row.public_jwk.as_str()));
        let key_set = published.key_set().ok_or_else(|| {
            let is_none =
                |row: &&&KeyRow| PublishedKeys::of([&*row.public_jwk]).key_set().is_none();
            let key_id = rows.iter().find(is_none).map(|row| row.key_id.clone());
            RingError::PublicPart { key_id: key_id.unwrap_or_default() }
        })?;
        Ok(ReadRing { version, keys, published, key_set, now, elapsed, wall: self.time.wall() })
    }

    fn hold(&self, row: &KeyRow) -> Result<HeldKey, RingError> {
        let KeyRow { key_id, algorithm, public_jwk, sealed, times, .. } = row;
        let signing = match sealed {
            None => None,
            Some(sealed) => {
                let private = self.seal.open(sealed, whose(&self.issuer, key_id, algorithm))?;
                let known = SigningKey::ALGORITHMS.into_iter().find(|it| it.name() == algorithm);
                let known = known.ok_or_else(|| RingError::NewerAlgorithm {
                    key_id: key_id.clone(),
                    algorithm: algorithm.clone(),
                })?;
                let key = SigningKey::read(known, &private, Some(key_id))?;
                if key.id() != key_id || key.public_jwk() != Some(public_jwk) {
                    return Err(RingError::PublicPart { key_id: key_id.clone() });
                }
                let header = TokenHeader::new(key.algorithm(), key_id);
                Some((key, header))
            }
        };
        Ok(HeldKey { id: key_id.clone(), times: *times, signing })
    }
}

fn whose<'a>(issuer: &'a str, key_id: &'a str, algorithm: &'a str) -> SealedFor<'a> {
    SealedFor { issuer, key_id, algorithm }
}

#[cfg(test)]
mod tests;
