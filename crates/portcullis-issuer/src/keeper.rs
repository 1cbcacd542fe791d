//! Reads the ring, does what is due, and holds what an instance signs and publishes by.
mod change;
mod error;
mod event;
mod fresh;
mod held;
mod outbox;
mod read_at;

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use portcullis::{Algorithm, Revocations};
use tokio::runtime::Handle;

pub use self::error::{IssuerNotReady, RingError};
pub use self::event::IssuerEvent;
pub(crate) use self::event::Observers;
pub(crate) use self::fresh::keep_fresh;
pub use self::held::PublishedKeys;
pub(crate) use self::held::{HeldKey, HeldSigner, ReadRing, SigningPart};
use self::read_at::ReadAt;
use crate::key::{ExistingKey, RemoteKey};
use crate::machine::MachineTime;
use crate::ring::Schedule;
use crate::root::RootSecrets;
use crate::row::{KeyRow, RowAuthenticator};
use crate::seal::{AnySeal, RootSeal};
use crate::signer::{AnySigner, SignerError};
use crate::store::{LoadedRing, RingStore, StoreError, StoredRing, Swap};
use crate::token::MintError;
use crate::within::within;

/// How often a change is offered anew where others change the ring at the same time. Each time one of them is done.
const ATTEMPTS: usize = 16;

/// The longest that a store may take: what it says is old by then. One that never answers would keep the ring from being
/// read again.
const SLOW: Duration = Duration::from_secs(10);

/// How long a signer may take to sign. A request waits for it.
const SIGNER_LIMIT: Duration = Duration::from_secs(5);

/// How long a seal or a signer may take for anything else. No request waits for it.
const KMS_LIMIT: Duration = Duration::from_secs(10);

/// What a ring is changed for, by the ids of keys: places differ from one reading to the next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// What is due, and a ring where there never was one.
    First,
    /// What is due.
    Due,
    /// The next key signs as soon as it safely can.
    Turn,
    /// This key is withdrawn.
    Compromised { key_id: String },
    /// All keys are withdrawn that are there when it is first looked: not those that another made for the same reason.
    AllCompromised,
    /// Those keys, once it was looked.
    These { key_ids: Vec<String> },
}

impl Wanted {
    /// The keys that are to be withdrawn, by their places.
    fn withdrawn(&mut self, keys: &[KeyRow]) -> Result<Vec<usize>, RingError> {
        if *self == Self::AllCompromised {
            let key_ids = keys.iter().map(|row| row.key_id.clone()).collect();
            *self = Self::These { key_ids };
        }
        let place = |key_id: &String| keys.iter().position(|row| row.key_id == *key_id);
        match self {
            Self::Compromised { key_id } => {
                let unknown = || RingError::UnknownKey { key_id: crate::row::shown(key_id) };
                Ok(vec![place(key_id).ok_or_else(unknown)?])
            }
            // One that was forgotten meanwhile is nobody's.
            Self::These { key_ids } => Ok(key_ids.iter().filter_map(place).collect()),
            Self::First | Self::Due | Self::Turn | Self::AllCompromised => Ok(Vec::new()),
        }
    }
}

/// What an instance is told of its issuer.
pub(crate) struct Settings {
    pub(crate) issuer: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) schedule: Schedule,
    pub(crate) lifetime: Duration,
}

/// Whom a keeper asks besides its store.
#[derive(Default)]
pub(crate) struct Parties {
    /// `None`: private keys are sealed with the root secrets.
    pub(crate) seal: Option<Box<dyn AnySeal>>,
    /// `None`: private keys are here.
    pub(crate) signer: Option<Box<dyn AnySigner>>,
    pub(crate) revocations: Option<Revocations>,
    /// What a new ring begins with.
    pub(crate) existing: Option<ExistingKey>,
    pub(crate) observers: Observers,
}

/// Keeps one issuer's ring.
pub(crate) struct RingKeeper<S> {
    pub(crate) settings: Settings,
    pub(crate) time: Arc<dyn MachineTime>,
    pub(crate) held: ArcSwapOption<ReadRing>,
    pub(crate) observers: Observers,
    store: S,
    root_seal: RootSeal,
    /// `None`: the other.
    seal: Option<Box<dyn AnySeal>>,
    signer: Option<Box<dyn AnySigner>>,
    revocations: Option<Revocations>,
    /// Until the ring is there.
    existing: Mutex<Option<ExistingKey>>,
    /// Keys that were opened before a change, until they are held.
    opened: Mutex<Vec<HeldKey>>,
    /// Keys at the signer that no row names any longer.
    to_delete: Mutex<Vec<String>>,
    /// When the store's clock last said what cannot be.
    jumped: Mutex<Option<ReadAt>>,
    pub(crate) rows: RowAuthenticator,
    /// When rows were sealed anew, by the machine's time.
    resealed_at: Mutex<Option<Duration>>,
    /// By how much the machine's clock was off when the ring was read last, where that is too much.
    clock_off: ArcSwapOption<Duration>,
}

impl<S: RingStore> RingKeeper<S> {
    pub(crate) fn new(
        settings: Settings,
        root: &RootSecrets,
        store: S,
        parties: Parties,
        time: Arc<dyn MachineTime>,
    ) -> Self {
        let rows = RowAuthenticator::new(root, &settings.issuer);
        let Parties { seal, signer, revocations, existing, observers } = parties;
        let root_seal = RootSeal::new(root, &settings.issuer);
        let (held, resealed_at) = (ArcSwapOption::empty(), Mutex::new(None));
        Self {
            settings,
            time,
            held,
            observers,
            store,
            root_seal,
            seal,
            signer,
            revocations,
            existing: Mutex::new(existing),
            opened: Mutex::default(),
            to_delete: Mutex::default(),
            jumped: Mutex::default(),
            rows,
            resealed_at,
            clock_off: ArcSwapOption::empty(),
        }
    }

    /// Reads the ring, does what is wanted and due, revokes what is withdrawn, and has the signer delete what is over: in that
    /// order. Where a tokio runtime runs, it goes on to its end, though nobody waits for it any more: else a key could be left
    /// at a signer, or a withdrawn one not be revoked.
    pub(crate) async fn go_through(self: &Arc<Self>, wanted: Wanted) -> Result<(), RingError> {
        let keeper = Arc::clone(self);
        let all = async move {
            let ring = keeper.read(wanted).await;
            let revoked = match &ring {
                Ok(ring) => keeper.revoke_withdrawn(ring).await,
                Err(_) => Ok(()),
            };
            keeper.delete_at_signer().await;
            ring.and(revoked)
        };
        match Handle::try_current() {
            Err(_) => all.await,
            Ok(runtime) => runtime.spawn(all).await.unwrap_or_else(|_| {
                self.observers.tell_failed(&RingError::Interrupted);
                Err(RingError::Interrupted)
            }),
        }
    }

    /// Reads the ring, and does what is wanted and due.
    pub(crate) async fn read(&self, wanted: Wanted) -> Result<Arc<ReadRing>, RingError> {
        let before = self.held.load_full();
        let mut is_made = false;
        let read = self.try_to_read(wanted, &mut is_made).await;
        match &read {
            Ok(read) => self.observers.tell_read(before.as_deref(), read, is_made),
            // It was read.
            Err(RingError::UnknownKey { .. }) => {}
            Err(error) => self.observers.tell_failed(error),
        }
        read
    }

    /// `is_made`: whether there was no ring, and it made one.
    async fn try_to_read(
        &self,
        mut wanted: Wanted,
        is_made: &mut bool,
    ) -> Result<Arc<ReadRing>, RingError> {
        for _ in 0..ATTEMPTS {
            let elapsed = self.time.elapsed();
            let LoadedRing { now, ring } = load(&self.store, &self.settings.issuer).await?;
            let at = ReadAt::new(now, elapsed, &*self.time);
            // Before anything is decided by it.
            self.check_clock(at)?;
            self.check_jump(at)?;
            let (version, stored) = match ring {
                // Only an instance that starts makes one: who had a ring knows that there was one.
                None if wanted != Wanted::First || self.held.load().is_some() => {
                    return Err(RingError::Gone);
                }
                None => {
                    let (longest_lifetime, keys, mac) =
                        (self.settings.lifetime, Vec::new(), Vec::new());
                    (None, StoredRing { longest_lifetime, keys, mac })
                }
                // A ring that lost its keys is not a new one.
                Some((_, stored)) if stored.keys.is_empty() => return Err(RingError::NoKeys),
                Some((version, stored)) => (Some(version), stored),
            };
            let Some(change) = self.change(&stored, &mut wanted, version, now).await? else {
                let version = version.ok_or(RingError::NoKeys)?;
                let read = Arc::new(self.take(version, stored, at).await?);
                return Ok(self.hold_newest(read));
            };
            let swap = self.store.swap(&self.settings.issuer, version, &change.ring);
            match within(SLOW, swap, StoreError::late).await {
                Ok(Swap::Done) => {
                    *is_made |= version.is_none();
                    // What was wanted is done once.
                    wanted = Wanted::Due;
                    self.locked(&self.to_delete).extend(change.erased_at_signer);
                }
                Ok(Swap::Lost) => self.locked(&self.to_delete).extend(change.made_at_signer),
                Err(error) => {
                    // The ring may have them, or may not.
                    let why = || SignerError::new("nobody knows whether the ring names it");
                    for name in change.made_at_signer.into_iter().chain(change.erased_at_signer) {
                        self.observers.notify(&IssuerEvent::LeftAtSigner { name, error: why() });
                    }
                    return Err(error.into());
                }
            }
        }
        Err(RingError::Contended)
    }

    /// What was read last, if it is not too old to go by.
    pub(crate) fn usable(&self) -> Result<Arc<ReadRing>, IssuerNotReady> {
        let ring = self.held.load_full().ok_or(IssuerNotReady::Unread)?;
        let (age, limit) = (ring.age(&*self.time), self.settings.schedule.stale_after());
        if age > limit { Err(IssuerNotReady::Stale { age, limit }) } else { Ok(ring) }
    }

    /// The same, to sign by: not where the machine's clock was off when the ring was read last.
    pub(crate) fn usable_to_sign(&self) -> Result<Arc<ReadRing>, IssuerNotReady> {
        match self.clock_off.load().as_deref() {
            Some(off) => Err(IssuerNotReady::Clock { off: *off }),
            None => self.usable(),
        }
    }

    /// Where what is withdrawn, or ended, is revoked.
    pub(crate) fn revocations(&self) -> Option<&Revocations> {
        self.revocations.as_ref()
    }

    /// What seals new keys.
    fn seal(&self) -> &dyn AnySeal {
        self.seal.as_deref().unwrap_or(&self.root_seal)
    }

    /// What new keys are sealed with.
    pub(crate) fn seal_id(&self) -> &str {
        self.seal().seal_id()
    }

    fn locked<'m, T>(&self, mutex: &'m Mutex<T>) -> MutexGuard<'m, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the signer sign, and looks at what it answers: what would not verify never leaves.
    pub(crate) async fn sign_there(
        &self,
        key: &RemoteKey,
        input: &[u8],
    ) -> Result<Vec<u8>, MintError> {
        let signer = self.signer.as_ref().ok_or(MintError::NoKey)?;
        let signing = signer.sign(key.name(), key.algorithm(), input);
        let signature = within(SIGNER_LIMIT, signing, SignerError::late).await?;
        let signature = signature.into_jose(key.algorithm());
        signature.filter(|it| key.is_signed(input, it)).ok_or(MintError::NotSigned)
    }

    /// Holds this, unless what is held was read later: of two readings at once, the older may end last.
    fn hold_newest(&self, read: Arc<ReadRing>) -> Arc<ReadRing> {
        self.held.rcu(|held| match held {
            Some(held) if held.at.elapsed > read.at.elapsed => Some(Arc::clone(held)),
            _ => Some(Arc::clone(&read)),
        });
        self.held.load_full().unwrap_or(read)
    }

    /// The store answered in time, and its clock is the machine's.
    fn check_clock(&self, at: ReadAt) -> Result<(), RingError> {
        if at.took > SLOW {
            return Err(RingError::Slow { took: at.took });
        }
        let (off, skew) = (at.clock_off(), self.settings.schedule.skew_allowed());
        // Neither may be trusted then, and verifiers would refuse what is signed by the wrong one.
        let is_off = off > skew;
        self.clock_off.store(is_off.then(|| Arc::new(off)));
        if is_off { Err(RingError::Clock { off, skew }) } else { Ok(()) }
    }

    /// The store's clock goes on as the machine's does, since the ring was read last. A jump is believed when the next reading
    /// agrees with it: so the clock of a machine that keeps the ring itself does not move the ring by a slip, and one that
    /// slept goes on a reading later.
    fn check_jump(&self, at: ReadAt) -> Result<(), RingError> {
        let Some(held) = self.held.load_full() else { return Ok(()) };
        let (off, skew) = (at.jumped_since(held.at), self.settings.schedule.skew_allowed());
        let mut jumped = self.locked(&self.jumped);
        if off <= skew {
            *jumped = None;
            return Ok(());
        }
        // Until a ring is held that was read after the jump.
        if jumped.is_some_and(|jumped| at.jumped_since(jumped) <= skew) {
            return Ok(());
        }
        *jumped = Some(at);
        self.clock_off.store(Some(Arc::new(off)));
        Err(RingError::Clock { off, skew })
    }

    /// Has the signer delete keys that no row names any longer. What fails is left behind there.
    async fn delete_at_signer(&self) {
        let names = core::mem::take(&mut *self.locked(&self.to_delete));
        for name in names {
            let deleted = match &self.signer {
                Some(signer) => within(KMS_LIMIT, signer.delete(&name), SignerError::late).await,
                None => Err(SignerError::new("this instance has no signer")),
            };
            if let Err(error) = deleted {
                self.observers.notify(&IssuerEvent::LeftAtSigner { name, error });
            }
        }
    }

    /// Whether rows may be sealed anew, under the first root secret: now and then, since instances on neighbouring lists of
    /// root secrets would else undo each other's work at each reading.
    fn may_reseal(&self) -> bool {
        let resealed_at = *self.locked(&self.resealed_at);
        resealed_at.is_none_or(|at| self.time.elapsed().saturating_sub(at) >= change::RESEAL)
    }
}

/// What stands in a store, if that answers in time.
pub(crate) async fn load<S: RingStore>(store: &S, issuer: &str) -> Result<LoadedRing, StoreError> {
    within(SLOW, store.load(issuer), StoreError::late).await
}

#[cfg(test)]
mod tests;
