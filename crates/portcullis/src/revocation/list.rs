//! The picture of what was taken back, in memory.
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;

use super::digest::{Digest, DigestKey, LIFT, Of};
use super::error::RevokeError;
use super::event::{Observer, RevocationEvent, RevocationStats};
use super::kind::{Revocable, Revocation, RevokedUntil, Scope};
use super::quota::{Tally, Writer};
use super::table::{Fact, Lifts, Mark, NoRoom, Table, Until};
use crate::error::RevocationUnavailable;
use crate::listeners::{Listeners, guarded};
use crate::time::{Clock, UnixTime};

/// How much longer an entry lives than any token that it concerns: clocks of processes differ.
const MARGIN: Duration = Duration::from_secs(60);

/// How long a client should wait while a list is stale: about what it takes to reach a store again.
const RETRY: Duration = Duration::from_secs(5);

/// The latest end of a token where tokens live for ever: in the year 2100. Entries can say 2106 at most, and
/// milliseconds since 1970 are far beyond it.
const LAST: UnixTime = UnixTime(4_102_444_800);

/// How many entries that found no room a list with a store tries again by itself. Of more, all is to be read
/// anew: some 64 KiB.
const MISSING: usize = 1024;

/// How long tokens live at most, by which entries are kept long enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ListBounds {
    /// `None`: nobody knows, so that each revocation has to say until when.
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) leeway: Duration,
}

/// What was revoked, in memory: what [`Revocations`](super::Revocations) writes and policies read.
///
/// Only who builds a [`RevocationStore`](super::store::RevocationStore) meets it: its follower brings
/// entries in by [`apply`](Self::apply), and tells by [`record_contact`](Self::record_contact) how fresh they are. Cheap
/// to clone: clones are one list.
#[derive(Clone)]
pub struct RevocationList(Arc<Inner>);

struct Inner {
    key: ArcSwap<DigestKey>,
    bounds: ListBounds,
    capacity: usize,
    clock: Arc<dyn Clock>,
    observers: Listeners<Observer>,
    /// Tokens issued before are refused, whoever issued them: they may be older than the list.
    start: Option<UnixTime>,
    tokens: Table<Until>,
    sessions: Table<Until>,
    keys: Table<Until>,
    subjects: Table<Mark>,
    versions: Table<Mark>,
    clients: Table<Mark>,
    issuers: Table<Mark>,
    lifts: Table<Lifts>,
    /// Whether there ever was an entry of the kind: a look-up is spared while there was none.
    is_used: [AtomicBool; Revocable::ALL.len()],
    /// Whether there ever was a lift.
    has_lifts: AtomicBool,
    tally: Tally,
    generation: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    /// When all was last swept for room.
    swept: AtomicI64,
    /// `None`: nobody else writes, so that it is always fresh.
    contact: Option<Contact>,
}

/// How fresh a list is that others write to as well.
struct Contact {
    max_staleness: Duration,
    /// What `record_contact` counts from.
    start: Moment,
    /// When the last news was asked for, in milliseconds since the start by both clocks, and 1. 0:
    /// never.
    heard: AtomicU64,
    heard_wall: AtomicU64,
    lag: AtomicU64,
    /// What found no room.
    missing: Mutex<Missing>,
    /// Whether there is something missing: what `missing` says, for who does not wait for it.
    is_incomplete: AtomicBool,
    /// Whether it was last said to be stale.
    is_stale: AtomicBool,
}

/// What a list lacks of what its store has.
#[derive(Default)]
struct Missing {
    /// The first that found no room.
    entries: Vec<RevocationEntry>,
    /// How many more there were.
    more: u64,
    /// How many of those were made good, since all was read from a moment after them on.
    made_good: u64,
}

impl Missing {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.more == self.made_good
    }
}

/// A moment on two clocks: one stops while a machine sleeps, the other may be set.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    steady: Instant,
    wall: SystemTime,
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// Since an earlier moment, on each clock. Nothing for one that was set back.
    fn since(&self, earlier: &Self) -> [Duration; 2] {
        [
            self.steady.saturating_duration_since(earlier.steady),
            self.wall.duration_since(earlier.wall).unwrap_or_default(),
        ]
    }
}

/// One entry of a [`RevocationList`], as stores and followers pass it on. It shows nobody's name: the
/// digest is keyed. Which entries are of one issuer does show.
///
/// It says what is revoked, or [that](Self::is_lift) a name was lifted. Both are facts that only grow: two entries
/// under one [key](Self::key) say together the larger mark and the later end, so that entries may be told twice,
/// in any order, by anybody who has them. What is revoked after a lift of the same name has another key.
#[derive(Clone, Copy)]
pub struct RevocationEntry {
    /// Of the secret of its digest.
    fingerprint: u64,
    kind: Revocable,
    is_lift: bool,
    digest: Digest,
    mark: u64,
    ends: u32,
    /// Where it was made: the digest of the name's lifts, and how many of them were known.
    made_after: Option<(Digest, u16)>,
}

impl RevocationEntry {
    /// What is revoked, or of what a revocation was lifted.
    pub fn kind(&self) -> Revocable {
        self.kind
    }

    /// Whether it says that a name was [lifted](super::Revocations::lift), and how often, by its
    /// [mark](Self::mark).
    pub fn is_lift(&self) -> bool {
        self.is_lift
    }

    /// What it is stored under: its kind's [code](Revocable::code), with `0x80` added where it is a
    /// [lift](Self::is_lift), and its digest. Two entries under one key say together the larger mark, and the later end.
    pub fn key(&self) -> [u8; 17] {
        key(self.kind, self.is_lift, &self.digest)
    }

    /// Up to which instant of issue, or below which version; of a lift, how many there were. 0 where the kind has
    /// no such mark.
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// The last second in which it holds. `u32::MAX`: it holds for ever.
    pub fn ends(&self) -> u32 {
        self.ends
    }

    /// Under which secret its digest was made: the [list's](RevocationList::fingerprint) at that time.
    /// In a store whose secret is another one by now, it would mean nothing, and must be refused.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// What a store has to look at before it acknowledges a revocation that was just made: under which key it may
    /// have a lift of the same name, and the largest mark there under which this entry counts. Where the mark is larger,
    /// whoever revokes did not know of the lift yet, and nobody who does would go by the entry: the store must
    /// not acknowledge it. To try again, once the list has followed, is right.
    ///
    /// `None`: it was not made here, but stored before. It is a fact, and is taken as it is.
    pub fn counts_with(&self) -> Option<([u8; 17], u64)> {
        let (digest, lifts) = self.made_after?;
        Some((key(self.kind, true, &digest), lifts.into()))
    }

    /// An entry that was stored. `None`: no entry has such a key, or such a mark.
    pub fn from_stored(fingerprint: u64, key: &[u8], mark: u64, ends: u32) -> Option<Self> {
        let (code, digest) = key.split_first()?;
        let digest = Digest(digest.try_into().ok()?);
        let kind = Revocable::from_code(*code & !LIFT)?;
        let is_lift = *code & LIFT != 0;
        if is_lift && u16::try_from(mark).is_err() {
            return None;
        }
        Some(Self { fingerprint, kind, is_lift, digest, mark, ends, made_after: None })
    }
}

fn key(kind: Revocable, is_lift: bool, digest: &Digest) -> [u8; 17] {
    let mut key = [kind.code() | if is_lift { LIFT } else { 0 }; 17];
    key[1..].copy_from_slice(&digest.0);
    key
}

impl PartialEq for RevocationEntry {
    /// Whether both say the same, wherever they were made.
    fn eq(&self, other: &Self) -> bool {
        let said = |it: &Self| (it.fingerprint, it.key(), it.mark, it.ends);
        said(self) == said(other)
    }
}

impl Eq for RevocationEntry {}

impl fmt::Debug for RevocationEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationEntry")
            .field("kind", &self.kind)
            .field("is_lift", &self.is_lift)
            .finish_non_exhaustive()
    }
}

/// A reading of all that a store has, by [`RevocationList::begin_reading`].
///
/// The list lacks what it lacked until [`finish`](Self::finish): one that is dropped before changes nothing.
#[derive(Debug)]
#[must_use = "the list is as it was before it is finished"]
pub struct RevocationReading {
    list: RevocationList,
    /// How many entries were missing beyond those that are tried again, when it began.
    more: u64,
}

impl RevocationReading {
    /// Takes an entry of the store in, as [`RevocationList::apply`] does.
    ///
    /// # Errors
    ///
    /// Those of [`RevocationList::apply`].
    pub fn apply(&self, entry: &RevocationEntry) -> Result<(), RevokeError> {
        self.list.apply(entry)
    }

    /// All that the store had when this reading began was [applied](Self::apply).
    ///
    /// # Errors
    ///
    /// Not all of it found [room](RevokeError::Full), or something else did not meanwhile: the list is not believed,
    /// and all has to be read again.
    pub fn finish(self) -> Result<(), RevokeError> {
        let inner = &*self.list.0;
        let Some(contact) = &inner.contact else { return Ok(()) };
        let mut missing = contact.missing();
        missing.made_good = missing.made_good.max(self.more);
        inner.try_missing(contact, &mut missing, |_| true);
        if missing.is_empty() {
            Ok(())
        } else {
            Err(RevokeError::Full { capacity: inner.capacity })
        }
    }
}

/// A [`RevocationList`] that is there as long as somebody else has it.
#[derive(Clone)]
pub struct WeakRevocationList(Weak<Inner>);

impl fmt::Debug for WeakRevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakRevocationList(..)")
    }
}

impl WeakRevocationList {
    /// `None`: no policy and no handle has it any more.
    pub fn upgrade(&self) -> Option<RevocationList> {
        self.0.upgrade().map(RevocationList)
    }
}

/// What a list is made of.
pub(super) struct ListSettings {
    pub(super) key: DigestKey,
    pub(super) bounds: ListBounds,
    pub(super) capacity: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observers: Listeners<Observer>,
    /// Whether tokens that may be from before now are refused.
    pub(super) start: bool,
    pub(super) max_staleness: Option<Duration>,
}

impl RevocationList {
    pub(super) fn new(settings: ListSettings) -> Self {
        let ListSettings { key, bounds, capacity, clock, observers, start, max_staleness } =
            settings;
        // A clock that is fast by the leeway issues tokens from then.
        let start = start.then(|| clock.now().saturating_add(bounds.leeway));
        let contact = max_staleness.map(|max_staleness| Contact {
            max_staleness,
            start: Moment::now(),
            heard: AtomicU64::new(0),
            heard_wall: AtomicU64::new(0),
            lag: AtomicU64::new(0),
            missing: Mutex::default(),
            is_incomplete: AtomicBool::new(false),
            is_stale: AtomicBool::new(true),
        });
        Self(Arc::new(Inner {
            key: ArcSwap::from_pointee(key),
            bounds,
            capacity,
            clock,
            observers,
            start,
            tokens: Table::new(),
            sessions: Table::new(),
            keys: Table::new(),
            subjects: Table::new(),
            versions: Table::new(),
            clients: Table::new(),
            issuers: Table::new(),
            lifts: Table::new(),
            is_used: Default::default(),
            has_lifts: AtomicBool::new(false),
            tally: Tally::new(),
            generation: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            swept: AtomicI64::new(i64::MIN),
            contact,
        }))
    }

    /// The entry that says what `revocation` does.
    pub(super) fn entry(&self, revocation: &Revocation) -> Result<RevocationEntry, RevokeError> {
        let inner = &*self.0;
        let (kind, (issuer, name, scope)) = (revocation.kind(), revocation.parts());
        if issuer.is_empty() || name.is_empty() {
            return Err(RevokeError::Nameless(kind));
        }
        let (mark, ends) = inner.bounds.extent(kind, scope, inner.clock.now())?;
        let key = inner.key.load();
        let lifts = inner.lifts(&key, kind, issuer, name);
        Ok(RevocationEntry {
            fingerprint: key.fingerprint(),
            kind,
            is_lift: false,
            digest: key.tagged(Of::Name { lifts }, kind, issuer, name),
            mark,
            ends,
            made_after: Some((key.tagged(Of::Lift, kind, issuer, name), lifts)),
        })
    }

    /// Whether there is an entry for what `revocation` names, which is not over.
    pub(super) fn is_revoked(&self, revocation: &Revocation) -> bool {
        let inner = &*self.0;
        let (kind, (issuer, name, _)) = (revocation.kind(), revocation.parts());
        let key = inner.key.load();
        let lifts = inner.lifts(&key, kind, issuer, name);
        inner.is_said(&key.digest(Of::Name { lifts }, kind, issuer, name), kind)
    }

    /// The version that a subject's tokens need, if an entry says so that is not over.
    pub(super) fn version_needed(&self, issuer: &str, subject: &str) -> Option<u64> {
        let inner = &*self.0;
        let (kind, key) = (Revocable::Version, inner.key.load());
        let lifts = inner.lifts(&key, kind, issuer, subject);
        let said = inner.said(kind, &key.digest(Of::Name { lifts }, kind, issuer, subject));
        said.filter(|(_, ends)| *ends >= inner.now()).map(|(version, _)| version)
    }

    /// The entry that says that what `revocation` names is no longer revoked.
    pub(super) fn lift(&self, revocation: &Revocation) -> Result<RevocationEntry, RevokeError> {
        let inner = &*self.0;
        let (kind, (issuer, name, _)) = (revocation.kind(), revocation.parts());
        let key = inner.key.load();
        let lifts = inner.lifts(&key, kind, issuer, name);
        let is_revoked = inner.is_said(&key.digest(Of::Name { lifts }, kind, issuer, name), kind);
        let lifts = match (is_revoked, lifts) {
            (true, lifts) => lifts.checked_add(1).ok_or(RevokeError::LiftedTooOften(kind))?,
            (false, 0) => return Err(RevokeError::NotRevoked(kind)),
            // It was lifted already, and perhaps nobody was told so: the same once more.
            (false, lifts) => lifts,
        };
        Ok(RevocationEntry {
            fingerprint: key.fingerprint(),
            kind,
            is_lift: true,
            digest: key.tagged(Of::Lift, kind, issuer, name),
            mark: lifts.into(),
            // What it lifts may be for ever, and may come again from whoever still has it.
            ends: u32::MAX,
            made_after: None,
        })
    }

    /// Whether an entry may be made on this word: see [`Writer`].
    pub(super) fn check_room(
        &self,
        entry: &RevocationEntry,
        writer: Writer,
    ) -> Result<(), RevokeError> {
        let inner = &*self.0;
        let has_room = || {
            // What is there already takes no more.
            inner.tally.has_room(&entry.digest, writer, inner.capacity)
                || match entry.is_lift {
                    true => inner.lifts.get(&entry.digest).is_some(),
                    false => inner.said(entry.kind, &entry.digest).is_some(),
                }
        };
        if has_room() {
            return Ok(());
        }
        inner.sweep(inner.now());
        if has_room() {
            return Ok(());
        }
        let capacity = inner.capacity;
        inner.refused.fetch_add(1, Ordering::Relaxed);
        if inner.tally.is_full(capacity) {
            inner.notify(&RevocationEvent::Full { capacity });
            return Err(RevokeError::Full { capacity });
        }
        inner.notify(&RevocationEvent::ShareUsedUp { capacity });
        Err(RevokeError::ShareUsedUp { capacity })
    }

    /// Takes an entry in, made under the list's secret. It counts with the next look-up. One that says
    /// less than what is there already changes nothing.
    ///
    /// # Errors
    ///
    /// The list is [full](RevokeError::Full). A list with a store is not believed from then on, until the entry
    /// found room: it is tried again with each [`record_contact`](Self::record_contact), and all is read anew by
    /// [`begin_reading`](Self::begin_reading) where there were too many for that.
    pub fn apply(&self, entry: &RevocationEntry) -> Result<(), RevokeError> {
        let inner = &*self.0;
        let result = inner.take_in(entry);
        if let Some(contact) = &inner.contact {
            match result {
                // Perhaps the one that found no room before.
                Ok(()) if contact.is_incomplete.load(Ordering::Acquire) => {
                    let key = entry.key();
                    inner.try_missing(contact, &mut contact.missing(), |own| own.key() == key);
                }
                Ok(()) => {}
                Err(NoRoom) => {
                    contact.miss(entry);
                    inner.notice_stale(contact);
                }
            }
        }
        result.map_err(|NoRoom| {
            inner.refused.fetch_add(1, Ordering::Relaxed);
            inner.notify(&RevocationEvent::Full { capacity: inner.capacity });
            RevokeError::Full { capacity: inner.capacity }
        })
    }

    /// Counts an entry that [`RevocationEntry::from_stored`] cannot read: of a kind that a later version knows, and that no policy
    /// here could enforce.
    pub fn record_unknown_entry(&self) {
        self.0.unknown.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "tracing")]
        tracing::warn!("a revocation of a kind that this version does not know");
    }

    /// Begins to read all that the store has. What the list lacks is held against it until the reading is
    /// [finished](RevocationReading::finish).
    pub fn begin_reading(&self) -> RevocationReading {
        let more = self.0.contact.as_ref().map_or(0, |contact| contact.missing().more);
        RevocationReading { list: self.clone(), more }
    }

    /// Whether more entries found no room than are tried again by themselves: all has to be read anew, by
    /// [`begin_reading`](Self::begin_reading).
    pub fn needs_reading(&self) -> bool {
        let of = |contact: &Contact| {
            let missing = contact.missing();
            missing.more > missing.made_good
        };
        self.0.contact.as_ref().is_some_and(of)
    }

    /// The list has every entry that the store acknowledged before `asked`: when the request was sent
    /// that was answered so. Entries first, then this.
    ///
    /// From then on, and for the longest staleness, policies believe the list.
    pub fn record_contact(&self, asked: Moment) {
        let Some(contact) = &self.0.contact else { return };
        let [steady, wall] = asked.since(&contact.start).map(|since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX - 1).saturating_add(1)
        });
        if contact.is_incomplete.load(Ordering::Acquire) {
            self.0.try_missing(contact, &mut contact.missing(), |_| true);
        }
        contact.heard_wall.store(wall, Ordering::Release);
        contact.heard.store(steady, Ordering::Release);
        if contact.is_fresh() && contact.is_stale.swap(false, Ordering::AcqRel) {
            self.0.notify(&RevocationEvent::Fresh);
        }
    }

    /// The list is known to lack entries, or not known to have them: it is stale at once, until the
    /// next [`record_contact`](Self::record_contact).
    pub fn record_loss(&self) {
        if let Some(contact) = &self.0.contact {
            contact.heard.store(0, Ordering::Release);
            self.0.notice_stale(contact);
        }
    }

    /// The list gave back to the store what it holds, since the store may have lost some: for
    /// [`RevocationEvent::Republished`].
    pub fn record_republished(&self, entries: usize) {
        self.0.notify(&RevocationEvent::Republished { entries });
    }

    /// How many entries of the store's log the list has yet to read: for [`RevocationStats::lag`].
    pub fn set_lag(&self, entries: u64) {
        if let Some(contact) = &self.0.contact {
            contact.lag.store(entries, Ordering::Relaxed);
        }
    }

    /// Every entry, lifts included. Those that come meanwhile may be missing.
    pub fn entries(&self) -> Vec<RevocationEntry> {
        let inner = &*self.0;
        let now = inner.now();
        let fingerprint = self.fingerprint();
        let mut entries = Vec::new();
        let mut add = |kind, digest, mark, ends| {
            if ends >= now {
                let (is_lift, made_after) = (false, None);
                let entry =
                    RevocationEntry { fingerprint, kind, is_lift, digest, mark, ends, made_after };
                entries.push(entry);
            }
        };
        for (kind, table) in inner.sets() {
            table.for_each(|digest, until| add(kind, digest, 0, until.0));
        }
        for (kind, table) in inner.marks() {
            table.for_each(|digest, mark| add(kind, digest, mark.value(), mark.ends()));
        }
        inner.lifts.for_each(|digest, lifts| {
            let key = [&[lifts.kind | LIFT], &digest.0[..]].concat();
            let mark = lifts.count.into();
            entries.extend(RevocationEntry::from_stored(fingerprint, &key, mark, lifts.ends()));
        });
        entries
    }

    /// Of the secret that digests are made with.
    pub fn fingerprint(&self) -> u64 {
        self.0.key.load().fingerprint()
    }

    /// The secret that digests are made with: for a store that lost it.
    pub fn key(&self) -> [u8; 16] {
        self.0.key.load().0
    }

    /// Forgets all, and makes digests with another secret from now on: the store was made anew, and
    /// nobody who had the old one was there. The list is stale until the next [`record_contact`](Self::record_contact).
    pub fn restart(&self, key: [u8; 16]) {
        let inner = &*self.0;
        self.record_loss();
        inner.key.store(Arc::new(DigestKey(key)));
        inner.sets().into_iter().for_each(|(_, table)| table.clear(&inner.tally));
        inner.marks().into_iter().for_each(|(_, table)| table.clear(&inner.tally));
        inner.lifts.clear(&inner.tally);
        if let Some(contact) = &inner.contact {
            // What was missing was made under the old secret, and stands for nothing.
            let mut missing = contact.missing();
            *missing =
                Missing { more: missing.more, made_good: missing.more, ..Missing::default() };
            contact.is_incomplete.store(false, Ordering::Release);
        }
        inner.generation.fetch_add(1, Ordering::Release);
    }

    /// The same list, for a follower that ends with it.
    pub fn downgrade(&self) -> WeakRevocationList {
        WeakRevocationList(Arc::downgrade(&self.0))
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn bounds(&self) -> ListBounds {
        self.0.bounds
    }

    pub(super) fn refuses_issued_before(&self) -> Option<UnixTime> {
        self.0.start
    }

    /// Whether an entry takes it back. `against`: when it was issued, or its version.
    pub(super) fn has(&self, kind: Revocable, issuer: &str, name: &str, against: u64) -> bool {
        let inner = &*self.0;
        if !inner.is_used[kind.index()].load(Ordering::Acquire) {
            return false;
        }
        let key = inner.key.load();
        let lifts = inner.lifts(&key, kind, issuer, name);
        let digest = key.digest(Of::Name { lifts }, kind, issuer, name);
        let Some((mark, ends)) = inner.said(kind, &digest) else { return false };
        let holds = match kind {
            Revocable::Token | Revocable::Session | Revocable::Key => true,
            Revocable::Subject | Revocable::Client | Revocable::Issuer => against <= mark,
            Revocable::Version => against < mark,
        };
        // The time is asked for only where there is an entry.
        holds && ends >= inner.now()
    }

    /// `None`: it is stale.
    pub(super) fn generation(&self) -> Option<u64> {
        self.is_fresh().then(|| self.0.generation.load(Ordering::Acquire))
    }

    /// Whether it can be believed.
    pub(super) fn check_fresh(&self) -> Result<(), RevocationUnavailable> {
        match &self.0.contact {
            Some(contact) if !contact.is_fresh() => {
                self.0.notice_stale(contact);
                Err(RevocationUnavailable { retry_after: Some(RETRY) })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.0.contact.as_ref().is_none_or(Contact::is_fresh)
    }

    pub(super) fn stats(&self) -> RevocationStats {
        let inner = &*self.0;
        let mut entries = [0; Revocable::ALL.len()];
        for (kind, table) in inner.sets() {
            entries[kind.index()] = table.len();
        }
        for (kind, table) in inner.marks() {
            entries[kind.index()] = table.len();
        }
        RevocationStats {
            entries,
            lifts: inner.lifts.len(),
            capacity: inner.capacity,
            changes: inner.generation.load(Ordering::Acquire),
            refused: inner.refused.load(Ordering::Relaxed),
            unknown: inner.unknown.load(Ordering::Relaxed),
            is_fresh: self.is_fresh(),
            last_contact: inner.contact.as_ref().and_then(Contact::age),
            lag: inner.contact.as_ref().map(|contact| contact.lag.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn notify(&self, event: &RevocationEvent) {
        self.0.notify(event);
    }
}

impl ListBounds {
    /// How far a revocation goes: its mark, and the last second in which its entry holds.
    fn extent(
        &self,
        kind: Revocable,
        scope: Scope,
        now: UnixTime,
    ) -> Result<(u64, u32), RevokeError> {
        let Self { max_lifetime, leeway } = *self;
        // A clock that is fast by the leeway issues tokens from then.
        let latest = now.saturating_add(leeway);
        let until = |until: UnixTime, latest: UnixTime| {
            if until > latest { Err(RevokeError::EndsTooLate { until, latest }) } else { Ok(until) }
        };
        let (mark, ends) = match (scope, max_lifetime) {
            (Scope::All { until: None }, _) if kind == Revocable::Key => return Ok((0, u32::MAX)),
            (Scope::All { until: Some(RevokedUntil::ForEver) }, _) => return Ok((0, u32::MAX)),
            // Of one token it can be said when it ends; not of all that a session or a key has.
            (Scope::All { until: end }, None) if kind == Revocable::Token => {
                let Some(RevokedUntil::Time(end)) = end else {
                    return Err(RevokeError::NoEnd(kind));
                };
                (0, until(end, LAST)?)
            }
            (_, None) => return Err(RevokeError::NoLifetime(kind)),
            (Scope::All { until: end }, Some(lifetime)) => {
                let longest = latest.saturating_add(lifetime);
                let end = match end {
                    Some(RevokedUntil::Time(end)) => until(end, longest.saturating_add(MARGIN))?,
                    _ => now,
                };
                (0, longest.max(end))
            }
            (Scope::IssuedUntil(instant), Some(lifetime)) => {
                let instant = instant.unwrap_or(latest);
                if instant > latest {
                    return Err(RevokeError::IssuedTooLate { instant, latest });
                }
                let mark = u64::try_from(instant.0).map_err(|_| RevokeError::Instant)?;
                (mark, latest.saturating_add(lifetime))
            }
            (Scope::Below(version), Some(lifetime)) => (version, latest.saturating_add(lifetime)),
        };
        let ends = ends.saturating_add(leeway).saturating_add(MARGIN);
        Ok((mark, u32::try_from(ends.0.max(0)).unwrap_or(u32::MAX)))
    }
}

impl Inner {
    fn sets(&self) -> [(Revocable, &Table<Until>); 3] {
        [
            (Revocable::Token, &self.tokens),
            (Revocable::Session, &self.sessions),
            (Revocable::Key, &self.keys),
        ]
    }

    fn marks(&self) -> [(Revocable, &Table<Mark>); 4] {
        [
            (Revocable::Subject, &self.subjects),
            (Revocable::Version, &self.versions),
            (Revocable::Client, &self.clients),
            (Revocable::Issuer, &self.issuers),
        ]
    }

    /// How often what has this name was lifted.
    fn lifts(&self, key: &DigestKey, kind: Revocable, issuer: &str, name: &str) -> u16 {
        if !self.has_lifts.load(Ordering::Acquire) {
            return 0;
        }
        let lifts = self.lifts.get(&key.digest(Of::Lift, kind, issuer, name));
        lifts.map_or(0, |lifts| lifts.count)
    }

    /// Whether there is an entry that is not over.
    fn is_said(&self, digest: &Digest, kind: Revocable) -> bool {
        let now = self.now();
        self.said(kind, digest).is_some_and(|(_, ends)| ends >= now)
    }

    /// The mark and the end of an entry, over or not.
    fn said(&self, kind: Revocable, digest: &Digest) -> Option<(u64, u32)> {
        let until = |table: &Table<Until>| table.get(digest).map(|until| (0, until.0));
        let mark = |table: &Table<Mark>| table.get(digest).map(|mark| (mark.value(), mark.ends()));
        match kind {
            Revocable::Token => until(&self.tokens),
            Revocable::Session => until(&self.sessions),
            Revocable::Key => until(&self.keys),
            Revocable::Subject => mark(&self.subjects),
            Revocable::Version => mark(&self.versions),
            Revocable::Client => mark(&self.clients),
            Revocable::Issuer => mark(&self.issuers),
        }
    }

    fn take_in(&self, entry: &RevocationEntry) -> Result<(), NoRoom> {
        let now = self.now();
        if entry.ends < now {
            return Ok(());
        }
        let is_news = self.merge(entry, now).or_else(|NoRoom| {
            self.sweep(now);
            self.merge(entry, now)
        })?;
        let is_used =
            if entry.is_lift { &self.has_lifts } else { &self.is_used[entry.kind.index()] };
        is_used.store(true, Ordering::Release);
        if is_news {
            // After the entry is there: who reads the number then finds it.
            self.generation.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    /// Tries what is missing once more, as far as it is meant.
    fn try_missing(
        &self,
        contact: &Contact,
        missing: &mut Missing,
        is_meant: impl Fn(&RevocationEntry) -> bool,
    ) {
        missing.entries.retain(|entry| !is_meant(entry) || self.take_in(entry).is_err());
        contact.is_incomplete.store(!missing.is_empty(), Ordering::Release);
    }

    fn merge(&self, entry: &RevocationEntry, now: u32) -> Result<bool, NoRoom> {
        let RevocationEntry { kind, digest, mark, ends, .. } = *entry;
        let (entries, capacity) = (&self.tally, self.capacity);
        if entry.is_lift {
            let lifts = Lifts { count: mark.try_into().unwrap_or(u16::MAX), kind: kind.code() };
            return self.lifts.merge(digest, lifts, entries, capacity, now);
        }
        let (until, mark) = (Until(ends), Mark::new(mark, ends));
        match kind {
            Revocable::Token => self.tokens.merge(digest, until, entries, capacity, now),
            Revocable::Session => self.sessions.merge(digest, until, entries, capacity, now),
            Revocable::Key => self.keys.merge(digest, until, entries, capacity, now),
            Revocable::Subject => self.subjects.merge(digest, mark, entries, capacity, now),
            Revocable::Version => self.versions.merge(digest, mark, entries, capacity, now),
            Revocable::Client => self.clients.merge(digest, mark, entries, capacity, now),
            Revocable::Issuer => self.issuers.merge(digest, mark, entries, capacity, now),
        }
    }

    /// Drops what is over, at most once a second: who fills the list shall not keep it busy.
    fn sweep(&self, now: u32) {
        let now_wide = i64::from(now);
        if self.swept.swap(now_wide, Ordering::AcqRel) == now_wide {
            return;
        }
        self.sets().into_iter().for_each(|(_, table)| table.sweep(now, &self.tally));
        self.marks().into_iter().for_each(|(_, table)| table.sweep(now, &self.tally));
    }

    fn now(&self) -> u32 {
        u32::try_from(self.clock.now().0.max(0)).unwrap_or(u32::MAX)
    }

    fn notice_stale(&self, contact: &Contact) {
        if !contact.is_stale.swap(true, Ordering::AcqRel) {
            self.notify(&RevocationEvent::Stale);
        }
    }

    fn notify(&self, event: &RevocationEvent) {
        guarded(|| event.trace());
        self.observers.notify(|observer| observer(event));
    }
}

impl Contact {
    fn missing(&self) -> MutexGuard<'_, Missing> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps in mind that the list lacks this.
    fn miss(&self, entry: &RevocationEntry) {
        let mut missing = self.missing();
        if missing.entries.len() == MISSING {
            missing.more += 1;
        } else if !missing.entries.contains(entry) {
            missing.entries.push(*entry);
        }
        self.is_incomplete.store(true, Ordering::Release);
    }

    fn is_fresh(&self) -> bool {
        !self.is_incomplete.load(Ordering::Acquire)
            && self.age().is_some_and(|age| age <= self.max_staleness)
    }

    /// Since the last news was asked for, by the clock on which it is longer. `None`: there was none.
    fn age(&self) -> Option<Duration> {
        let heard = self.heard.load(Ordering::Acquire).checked_sub(1)?;
        let heard_wall = self.heard_wall.load(Ordering::Acquire).saturating_sub(1);
        let [steady, wall] = Moment::now().since(&self.start);
        let since = |now: Duration, heard| now.saturating_sub(Duration::from_millis(heard));
        Some(since(steady, heard).max(since(wall, heard_wall)))
    }
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::RevocationOptions;

    #[test]
    fn freshness_ends_by_whichever_clock_says_that_more_time_has_passed() {
        let hour = Duration::from_secs(3_600);
        let before = |moment: Moment, by| Moment { wall: moment.wall - by, ..moment };
        let mut list = RevocationOptions::new().shared([0; 16], hour);
        let inner = Arc::get_mut(&mut list.0).expect("nobody else has it");
        let contact = inner.contact.as_mut().expect("it is shared");
        // It was made ten hours ago by the clock that may be set, or that goes on while the machine sleeps.
        contact.start = before(contact.start, 10 * hour);
        list.record_contact(before(Moment::now(), 2 * hour));
        assert!(!list.is_fresh());
        list.record_contact(before(Moment::now(), hour / 2));
        assert!(list.is_fresh());
    }

    #[test]
    fn how_far_it_is_behind_the_log_is_counted() {
        let list = RevocationOptions::new().shared([0; 16], Duration::from_secs(60));
        assert_eq!(list.stats().lag, Some(0));
        list.set_lag(7);
        assert_eq!(list.stats().lag, Some(7));
    }
}
