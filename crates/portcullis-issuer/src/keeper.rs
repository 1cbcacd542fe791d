//! Reads the ring, does what is due, and holds what an instance signs and publishes by.
use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwapOption;
use portcullis::{Algorithm, KeySet};

use crate::key::{KeyError, SigningKey};
use crate::ring::{KeyTimes, Phase, Plan, RingTime, Schedule};
use crate::root::RootSecrets;
use crate::row::{ForeignRing, ForeignRow, IsCurrent, KeyRow, RowAuthenticator};
use crate::seal::{RootSeal, SealedFor, UnsealError};
use crate::store::{LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap};
use crate::token::TokenHeader;

/// How often a change is offered anew where others change the ring at the same time. Each time one of them is done.
const ATTEMPTS: usize = 16;

/// The most keys of a ring: two that sign, those of the last emergencies, and what was.
const MAX_KEYS: usize = 64;

/// How long a row is kept after the last token of its key expired.
const HISTORY: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// How many keys that are over are kept at most, for who wants to know what was: the latest.
const MAX_HISTORY: usize = 16;

/// How often an instance seals rows anew at most.
const RESEAL: Duration = Duration::from_secs(60 * 60);

/// The longest that a store may take: what it says is old by then.
const SLOW: Duration = Duration::from_secs(10);

/// The clocks of the machine. Replaced in tests.
pub(crate) trait MachineTime: fmt::Debug + Send + Sync {
    /// What has gone by since some moment, whatever becomes of the wall clock.
    fn elapsed(&self) -> Duration;
    /// The wall clock.
    fn wall(&self) -> RingTime;
}

/// The clocks of this machine.
#[derive(Debug)]
pub(crate) struct Machine(Instant);

impl Machine {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

impl MachineTime for Machine {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn wall(&self) -> RingTime {
        SystemTime::now().into()
    }
}

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

/// A key of a ring that was read.
pub(crate) struct HeldKey {
    pub(crate) id: String,
    pub(crate) times: KeyTimes,
    /// Where its private part is kept.
    pub(crate) signing: Option<(SigningKey, TokenHeader)>,
}

/// A ring as an instance holds it.
pub(crate) struct ReadRing {
    pub(crate) version: RingVersion,
    pub(crate) keys: Vec<HeldKey>,
    /// The public parts of the keys that are published, as they are sent.
    pub(crate) jwks: String,
    pub(crate) key_set: KeySet,
    /// The store's clock, and the machine's at the same moment.
    now: RingTime,
    elapsed: Duration,
    wall: RingTime,
}

impl ReadRing {
    /// The ring's clock.
    pub(crate) fn now(&self, time: &dyn MachineTime) -> RingTime {
        self.now.after(time.elapsed().saturating_sub(self.elapsed))
    }

    /// How long ago it was read. While a machine sleeps, its wall clock alone goes on.
    pub(crate) fn age(&self, time: &dyn MachineTime) -> Duration {
        time.elapsed().saturating_sub(self.elapsed).max(time.wall().since(self.wall))
    }

    /// The key that signs.
    pub(crate) fn signing(&self, now: RingTime) -> Option<(&HeldKey, &SigningKey, &TokenHeader)> {
        let mut signing = self.keys.iter().filter(|key| key.times.phase(now) == Phase::Signing);
        signing.find_map(|held| held.signing.as_ref().map(|(key, header)| (held, key, header)))
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

    /// Whether rows may be sealed anew, under the first root secret.
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
        if stored.keys.len() > MAX_KEYS {
            return Err(RingError::TooManyKeys { found: stored.keys.len() });
        }
        // Before anything else is believed of them.
        let are_current = stored.keys.iter().map(|row| self.rows.check(row));
        let are_current = are_current.collect::<Result<Vec<_>, _>>()?;
        if let Some(version) = version {
            let StoredRing { longest_lifetime, keys, mac } = stored;
            self.rows.check_ring(version.0, *longest_lifetime, keys, mac)?;
        }
        let times: Vec<_> = stored.keys.iter().map(|row| row.times).collect();
        let longest_lifetime = stored.longest_lifetime.max(self.lifetime);
        let mut withdrawn = wanted.withdrawn(&stored.keys)?;
        withdrawn.extend(self.withdrawn_before(&stored.keys));
        let plan = Plan::of(&times, &withdrawn, &self.schedule, longest_lifetime, now);
        // Now and then: instances on neighbouring lists of root secrets would else undo each other's work at each reading.
        let reseals = self.may_reseal()
            && stored.keys.iter().zip(&are_current).any(|(row, is_current)| {
                let is_sealed_so = |sealed: &crate::Sealed| sealed.seal_id == self.seal.id();
                !row.sealed.as_ref().is_none_or(is_sealed_so) || *is_current == IsCurrent(false)
            });
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
        let kept = stored.keys.iter().zip(&plan.kept).enumerate();
        for (_, (row, times)) in kept.filter(|(at, _)| !forgotten.contains(at)) {
            let mut row = KeyRow { times: *times, ..row.clone() };
            row.sealed = row.sealed.take().filter(|_| times.is_private_kept);
            if let Some(sealed) = row.sealed.take() {
                let whose = whose(&self.issuer, &row.key_id, &row.algorithm);
                let is_same = !reseals || sealed.seal_id == self.seal.id();
                let sealed = if is_same {
                    sealed
                } else {
                    self.seal.seal(&self.seal.open(&sealed, whose)?, whose)
                };
                row.sealed = Some(sealed);
            }
            keys.push(row);
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
        let published = rows.iter().filter(|row| row.times.is_published(now));
        let published: Vec<_> = published.map(|row| row.public_jwk.as_str()).collect();
        let jwks = format!(r#"{{"keys":[{}]}}"#, published.join(","));
        let key_set = KeySet::from_jwks(&jwks).map_err(|_| RingError::PublicPart)?;
        if !key_set.skipped().is_empty() {
            return Err(RingError::PublicPart);
        }
        let keys = rows.into_iter().map(|row| self.hold(row)).collect::<Result<_, _>>()?;
        Ok(ReadRing { version, keys, jwks, key_set, now, elapsed, wall: self.time.wall() })
    }

    fn hold(&self, row: &KeyRow) -> Result<HeldKey, RingError> {
        let KeyRow { key_id, algorithm, public_jwk, sealed, times, .. } = row;
        let signing = match sealed {
            None => None,
            Some(sealed) => {
                let private = self.seal.open(sealed, whose(&self.issuer, key_id, algorithm))?;
                let algorithm =
                    SigningKey::ALGORITHMS.into_iter().find(|it| it.name() == algorithm);
                let algorithm = algorithm.ok_or(RingError::PublicPart)?;
                let key = SigningKey::read(algorithm, &private, Some(key_id))?;
                if key.id() != key_id || key.public_jwk() != Some(public_jwk) {
                    return Err(RingError::PublicPart);
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

/// Why an instance cannot have its ring.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RingError {
    /// The store cannot be asked.
    Store(StoreError),
    /// A row is not of who has the root secrets.
    Foreign(ForeignRow),
    /// A private part cannot be had.
    Unseal(UnsealError),
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
    PublicPart,
    /// The machine's clock is not the store's.
    Clock {
        /// By how much it is off.
        off: Duration,
        /// By how much it may be.
        skew: Duration,
    },
    /// Others changed the ring each time.
    Contended,
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

impl From<UnsealError> for RingError {
    fn from(error: UnsealError) -> Self {
        Self::Unseal(error)
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
            Self::Unseal(error) => error.fmt(f),
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
                write!(f, "the ring has {found} keys, and at most {MAX_KEYS} are read: somebody else writes to the store")
            }
            Self::Key(error) => write!(f, "a signing key: {error}"),
            Self::PublicPart => f.write_str(
                "the public part of a signing key is not that of its private part: its row was changed with the root secret at hand; declare the key compromised",
            ),
            Self::Clock { off, skew } => write!(
                f,
                "the clock of this machine is off by {off:?} from that of the store, and {skew:?} are allowed: set it, by NTP"
            ),
            Self::Contended => f.write_str("other instances changed the ring each time that this one tried: try again"),
        }
    }
}

impl core::error::Error for RingError {}

#[cfg(test)]
mod tests;
