//! What an operator sees of a ring.
use core::time::Duration;
use std::time::SystemTime;

use crate::keeper::{ReadRing, RingError, RingKeeper, load};
use crate::ring::{KeyTimes, MAX_KEYS, Phase};
use crate::root::RootSecrets;
use crate::row::{KeyRow, MadeBy, RowAuthenticator, in_order};
use crate::store::{LoadedRing, RingStore, RingVersion, StoredRing};
use crate::time::StoreTime;

/// A ring as an instance holds it, or as it stands in its store.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RingStatus {
    /// How often it was changed.
    pub version: RingVersion,
    /// The ring's clock.
    pub now: StoreTime,
    /// How long ago it was read.
    pub age: Duration,
    /// By how many milliseconds this machine's clock was behind the ring's when it was read; below 0 where it was ahead.
    pub clock_offset: i64,
    /// How often this instance could not read it.
    pub failures: u64,
    /// The longest that an access token of any instance lives: for so long keys are published after they signed.
    pub longest_lifetime: Duration,
    /// Whether root secrets showed that nobody else wrote it. `false`: it was read without any, and may say anything.
    pub is_authentic: bool,
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
    /// Whether that is the one that new keys are sealed with: one under an old root secret is not. Where the ring was read
    /// [from its store](RingStatus::read): whether it is that of the first root secret.
    pub is_sealed_anew: bool,
    /// The root secret that authenticated its row, by its place in their list, from 0. `None`: the ring was read without root
    /// secrets.
    pub row_root: Option<usize>,
    /// The root secret that its private part is sealed with, by its place in their list, from 0. `None`: it is sealed with
    /// none of them, or not sealed here, or the ring was read without root secrets.
    pub seal_root: Option<usize>,
}

impl KeyStatus {
    fn of(row: &KeyRow, now: StoreTime, seal_id: Option<&str>, roots: [Option<usize>; 2]) -> Self {
        let [row_root, seal_root] = roots;
        let own_seal = row.sealed().map(|sealed| sealed.seal_id.clone());
        Self {
            key_id: row.key_id.clone(),
            algorithm: row.algorithm.clone(),
            phase: row.times.phase(now),
            times: row.times,
            is_sealed_anew: own_seal.as_deref().is_none_or(|id| Some(id) == seal_id),
            seal_id: own_seal,
            row_root,
            seal_root,
        }
    }

    /// Whether its private part is at a [signer](crate::signer::Signer).
    pub fn is_at_signer(&self) -> bool {
        self.seal_id.is_none() && self.times.is_private_kept
    }

    /// Whether it takes a root secret behind the first: as long as one does, the old secret has to stay in the list.
    pub fn is_under_old_root(&self) -> bool {
        [self.row_root, self.seal_root].into_iter().flatten().any(|at| at > 0)
    }
}

impl RingStatus {
    pub(super) fn of<S: RingStore>(ring: &ReadRing, keeper: &RingKeeper<S>) -> Self {
        let now = ring.now(&*keeper.time);
        let status = |row: &KeyRow| {
            // It was checked when it was read.
            let made_by = keeper.rows.check(row).ok().map(|MadeBy(at)| at);
            KeyStatus::of(row, now, Some(keeper.seal_id()), [made_by, keeper.rows.sealed_by(row)])
        };
        Self {
            version: ring.version,
            now,
            age: ring.age(&*keeper.time),
            clock_offset: ring.clock_offset(),
            failures: keeper.observers.failures().map(|(_, count)| count).sum(),
            longest_lifetime: ring.longest_lifetime,
            is_authentic: true,
            keys: ring.keys.iter().map(|key| status(&key.row)).collect(),
        }
    }

    /// Reads the ring of an issuer from its store, and changes nothing there: for who operates the issuer. It needs none of
    /// the issuer's settings. `None`: there is no ring of this issuer.
    ///
    /// With the issuer's root secrets, the rows are checked as an instance checks them, but private parts are not opened.
    /// Without, they are shown as they stand there, and [`is_authentic`](Self::is_authentic) is `false`: whoever can write
    /// to the store may have written them.
    ///
    /// ```
    /// use portcullis_issuer::RingStatus;
    /// use portcullis_issuer::store::MemoryRing;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let store = MemoryRing::new(); // the store of the service
    /// let status = RingStatus::read(&store, "https://id.example", None).await?;
    /// assert_eq!(status, None, "no instance has started yet");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// The store cannot be asked, the ring has no keys or too many, or a row or the ring is not of who has the root secrets.
    pub async fn read<S: RingStore>(
        store: &S,
        issuer: &str,
        root: Option<&RootSecrets>,
    ) -> Result<Option<Self>, RingError> {
        let LoadedRing { now, ring } = load(store, issuer).await?;
        let wall = StoreTime::from(SystemTime::now());
        let Some((version, mut stored)) = ring else { return Ok(None) };
        if stored.keys.is_empty() {
            return Err(RingError::NoKeys);
        }
        if stored.keys.len() > MAX_KEYS {
            return Err(RingError::TooManyKeys { found: stored.keys.len() });
        }
        let rows = root.map(|root| RowAuthenticator::new(root, issuer));
        if let Some(rows) = &rows {
            rows.check_all(&stored, Some(version))?;
        }
        in_order(&mut stored.keys);
        let seal_id = rows.as_ref().and_then(RowAuthenticator::seal_id);
        let status = |row: &KeyRow| {
            let made_by = rows.as_ref().and_then(|rows| rows.check(row).ok());
            let sealed_by = rows.as_ref().and_then(|rows| rows.sealed_by(row));
            KeyStatus::of(row, now, seal_id, [made_by.map(|MadeBy(at)| at), sealed_by])
        };
        let keys = stored.keys.iter().map(status).collect();
        let (StoredRing { longest_lifetime, .. }, age) = (stored, Duration::ZERO);
        let is_authentic = rows.is_some();
        let clock_offset = now.as_millis() - wall.as_millis();
        Ok(Some(Self {
            version,
            now,
            age,
            clock_offset,
            failures: 0,
            longest_lifetime,
            is_authentic,
            keys,
        }))
    }

    /// The key that signs now.
    pub fn signing(&self) -> Option<&KeyStatus> {
        self.keys.iter().find(|key| key.phase == Phase::Signing)
    }

    /// When the ring changes next by itself: the next time of any of its keys that is yet to come.
    pub fn next_change(&self) -> Option<StoreTime> {
        let times =
            self.keys.iter().filter(|key| key.times.withdrawn_at.is_none()).flat_map(|key| {
                let KeyTimes { signs_from, signs_until, verifies_until, .. } = key.times;
                [Some(signs_from), signs_until, verifies_until]
            });
        times.flatten().filter(|time| *time > self.now).min()
    }
}
