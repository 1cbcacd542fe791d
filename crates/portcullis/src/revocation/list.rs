//! The picture of what was taken back, in memory.
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;

use super::digest::{Digest, DigestKey};
use super::event::{Observer, RevocationEvent, RevocationStats};
use super::handle::RevokeError;
use super::source::RevocationUnavailable;
use super::table::{Mark, NoRoom, Said, Table, Until};
use super::what::{Revocable, Revocation, Scope};
use crate::observers::{Observers, guarded};
use crate::time::{Clock, UnixTime};

/// How much longer an entry lives than any token that it concerns: clocks of processes differ.
const MARGIN: Duration = Duration::from_secs(60);

/// How long a client should wait while a list is stale: about what it takes to reach a store again.
const RETRY: Duration = Duration::from_secs(5);

/// How long tokens live at most, by which entries are kept long enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bounds {
    /// `None`: nobody knows, so that each revocation has to say until when.
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) leeway: Duration,
}

/// What was revoked, in memory: what [`Revocations`](super::Revocations) writes and policies read.
///
/// Only who builds a [`RevocationStore`](super::RevocationStore) meets it: its follower brings
/// entries in by [`apply`](Self::apply), and tells by [`heard`](Self::heard) how fresh they are. Cheap
/// to clone: clones are one list.
#[derive(Clone)]
pub struct RevocationList(Arc<Inner>);

struct Inner {
    key: ArcSwap<DigestKey>,
    bounds: Bounds,
    capacity: usize,
    clock: Arc<dyn Clock>,
    observers: Observers<Observer>,
    /// Tokens issued before are refused, whoever issued them.
    start: Option<UnixTime>,
    tokens: Table<Until>,
    sessions: Table<Until>,
    keys: Table<Until>,
    subjects: Table<Mark>,
    versions: Table<Mark>,
    clients: Table<Mark>,
    issuers: Table<Mark>,
    /// Whether there ever was an entry of the kind: a look-up is spared while there was none.
    is_used: [AtomicBool; Revocable::ALL.len()],
    entries: AtomicUsize,
    generation: AtomicU64,
    refused: AtomicU64,
    /// When all was last swept for room.
    swept: AtomicI64,
    /// `None`: nobody else writes, so that it is always fresh.
    contact: Option<Contact>,
}

/// How fresh a list is that others write to as well.
struct Contact {
    max_staleness: Duration,
    /// What `heard` counts from.
    start: Moment,
    /// When the last news was asked for, in milliseconds since the start by both clocks, and 1. 0:
    /// never.
    heard: AtomicU64,
    heard_wall: AtomicU64,
    lag: AtomicU64,
    /// An entry found no room since all was last read.
    is_incomplete: AtomicBool,
    /// Whether it was last said to be stale.
    is_stale: AtomicBool,
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
/// digest is keyed.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct RevocationEntry {
    /// Of the secret of its digest.
    fingerprint: u64,
    kind: Revocable,
    digest: Digest,
    mark: u64,
    ends: u32,
}

impl RevocationEntry {
    /// What is revoked.
    pub fn kind(&self) -> Revocable {
        self.kind
    }

    /// What it is stored under: its kind's [code](Revocable::code), and its digest. Two entries under
    /// one key say together the larger mark, and the later end.
    pub fn key(&self) -> [u8; 17] {
        let mut key = [self.kind.code(); 17];
        key[1..].copy_from_slice(&self.digest.0);
        key
    }

    /// Up to which instant of issue, or below which version. 0 where the kind has no such mark.
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

    /// An entry that was stored. `None`: no entry has such a key.
    pub fn stored(fingerprint: u64, key: &[u8], mark: u64, ends: u32) -> Option<Self> {
        let (code, digest) = key.split_first()?;
        let digest = Digest(digest.try_into().ok()?);
        Some(Self { fingerprint, kind: Revocable::of_code(*code)?, digest, mark, ends })
    }
}

impl fmt::Debug for RevocationEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationEntry").field("kind", &self.kind).finish_non_exhaustive()
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
    pub(super) bounds: Bounds,
    pub(super) capacity: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observers: Observers<Observer>,
    pub(super) start: Option<UnixTime>,
    pub(super) max_staleness: Option<Duration>,
}

impl RevocationList {
    pub(super) fn new(settings: ListSettings) -> Self {
        let ListSettings { key, bounds, capacity, clock, observers, start, max_staleness } =
            settings;
        let contact = max_staleness.map(|max_staleness| Contact {
            max_staleness,
            start: Moment::now(),
            heard: AtomicU64::new(0),
            heard_wall: AtomicU64::new(0),
            lag: AtomicU64::new(0),
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
            is_used: Default::default(),
            entries: AtomicUsize::new(0),
            generation: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            swept: AtomicI64::new(i64::MIN),
            contact,
        }))
    }

    /// The entry that says what `revocation` does.
    pub(super) fn entry(&self, revocation: &Revocation) -> Result<RevocationEntry, RevokeError> {
        let Inner { key, bounds, clock, .. } = &*self.0;
        let (kind, (issuer, name, scope)) = (revocation.kind(), revocation.parts());
        if issuer.is_empty() || name.is_empty() {
            return Err(RevokeError::Nameless(kind));
        }
        let now = clock.now();
        let Bounds { max_lifetime, leeway } = *bounds;
        // A clock that is fast by the leeway issues tokens from then.
        let latest = now.saturating_add(leeway);
        let (mark, ends) = match (scope, max_lifetime) {
            (Scope::All { until: None }, _) if kind == Revocable::Key => (0, None),
            // Of one token it can be said when it ends; not of all that a session or a key has.
            (Scope::All { until }, None) if kind == Revocable::Token => {
                (0, Some(until.ok_or(RevokeError::NoEnd(kind))?))
            }
            (_, None) => return Err(RevokeError::NoLifetime(kind)),
            (Scope::All { until }, Some(lifetime)) => {
                (0, Some(latest.saturating_add(lifetime).max(until.unwrap_or(now))))
            }
            (Scope::IssuedUntil(instant), Some(lifetime)) => {
                let instant = instant.unwrap_or(latest);
                let mark = u64::try_from(instant.0).map_err(|_| RevokeError::Instant)?;
                (mark, Some(instant.max(latest).saturating_add(lifetime)))
            }
            (Scope::Below(version), Some(lifetime)) => {
                (version, Some(latest.saturating_add(lifetime)))
            }
        };
        let ends = ends.map_or(u32::MAX, |ends| {
            let ends = ends.saturating_add(leeway).saturating_add(MARGIN);
            u32::try_from(ends.0.max(0)).unwrap_or(u32::MAX)
        });
        let key = key.load();
        let (fingerprint, digest) = (key.fingerprint(), key.digest(kind, issuer, name));
        Ok(RevocationEntry { fingerprint, kind, digest, mark, ends })
    }

    /// Takes an entry in, made under the list's secret. It counts with the next look-up. One that says
    /// less than what is there already changes nothing.
    ///
    /// # Errors
    ///
    /// The list is [full](RevokeError::Full). A list with a store is stale from then on, until
    /// [all was read anew](Self::is_whole_again) and found room.
    pub fn apply(&self, entry: &RevocationEntry) -> Result<(), RevokeError> {
        let inner = &*self.0;
        let now = inner.now();
        if entry.ends < now {
            return Ok(());
        }
        let merged = inner.merge(entry, now).or_else(|NoRoom| {
            inner.sweep(now);
            inner.merge(entry, now)
        });
        match merged {
            Ok(is_news) => {
                inner.is_used[entry.kind.index()].store(true, Ordering::Release);
                if is_news {
                    // After the entry is there: who reads the number then finds it.
                    inner.generation.fetch_add(1, Ordering::Release);
                }
                Ok(())
            }
            Err(NoRoom) => {
                inner.refused.fetch_add(1, Ordering::Relaxed);
                if let Some(contact) = &inner.contact {
                    contact.is_incomplete.store(true, Ordering::Release);
                    inner.notice_stale(contact);
                }
                inner.tell(&RevocationEvent::Full { capacity: inner.capacity });
                Err(RevokeError::Full { capacity: inner.capacity })
            }
        }
    }

    /// All of the store's state was read, and found room: entries that found none before are no longer held
    /// against the list. Not sooner: a list that lacks what it was told is not to be believed meanwhile.
    pub fn is_whole_again(&self) {
        if let Some(contact) = &self.0.contact {
            contact.is_incomplete.store(false, Ordering::Release);
        }
    }

    /// Whether no entry was turned away since all was read: else all has to be read anew.
    pub fn is_whole(&self) -> bool {
        let is_incomplete = |contact: &Contact| contact.is_incomplete.load(Ordering::Acquire);
        !self.0.contact.as_ref().is_some_and(is_incomplete)
    }

    /// The list has every entry that the store acknowledged before `asked`: when the request was sent
    /// that was answered so. Entries first, then this.
    ///
    /// From then on, and for the longest staleness, policies believe the list.
    pub fn heard(&self, asked: Moment) {
        let Some(contact) = &self.0.contact else { return };
        let [steady, wall] = asked.since(&contact.start).map(|since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX - 1).saturating_add(1)
        });
        contact.heard_wall.store(wall, Ordering::Release);
        contact.heard.store(steady, Ordering::Release);
        if contact.is_fresh() && contact.is_stale.swap(false, Ordering::AcqRel) {
            self.0.tell(&RevocationEvent::Fresh);
        }
    }

    /// The list is known to lack entries, or not known to have them: it is stale at once, until the
    /// next [`heard`](Self::heard).
    pub fn lost(&self) {
        if let Some(contact) = &self.0.contact {
            contact.heard.store(0, Ordering::Release);
            self.0.notice_stale(contact);
        }
    }

    /// The list gave back to the store what it holds, since the store may have lost some: for
    /// [`RevocationEvent::Republished`].
    pub fn gave_back(&self, entries: usize) {
        self.0.tell(&RevocationEvent::Republished { entries });
    }

    /// How many entries of the store's log the list has yet to read: for [`RevocationStats::lag`].
    pub fn set_lag(&self, entries: u64) {
        if let Some(contact) = &self.0.contact {
            contact.lag.store(entries, Ordering::Relaxed);
        }
    }

    /// Every entry. Those that come meanwhile may be missing.
    pub fn entries(&self) -> Vec<RevocationEntry> {
        let inner = &*self.0;
        let now = inner.now();
        let fingerprint = self.fingerprint();
        let mut entries = Vec::new();
        let mut add = |kind, digest, mark, ends| {
            if ends >= now {
                entries.push(RevocationEntry { fingerprint, kind, digest, mark, ends });
            }
        };
        for (kind, table) in inner.sets() {
            table.for_each(|digest, until| add(kind, digest, 0, until.0));
        }
        for (kind, table) in inner.marks() {
            table.for_each(|digest, mark| add(kind, digest, mark.value(), mark.ends()));
        }
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
    /// nobody who had the old one was there. The list is stale until the next [`heard`](Self::heard).
    pub fn restart(&self, key: [u8; 16]) {
        let inner = &*self.0;
        self.lost();
        inner.key.store(Arc::new(DigestKey(key)));
        let sets = inner.sets().map(|(_, table)| table.clear());
        let marks = inner.marks().map(|(_, table)| table.clear());
        let cleared = sets.into_iter().chain(marks).sum();
        inner.entries.fetch_sub(cleared, Ordering::Relaxed);
        inner.generation.fetch_add(1, Ordering::Release);
    }

    /// The same list, for a follower that ends with it.
    pub fn downgrade(&self) -> WeakRevocationList {
        WeakRevocationList(Arc::downgrade(&self.0))
    }

    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn bounds(&self) -> Bounds {
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
        let digest = inner.key.load().digest(kind, issuer, name);
        let (holds, ends) = match kind {
            Revocable::Token => (true, inner.tokens.get(&digest).map(|until| until.0)),
            Revocable::Session => (true, inner.sessions.get(&digest).map(|until| until.0)),
            Revocable::Key => (true, inner.keys.get(&digest).map(|until| until.0)),
            Revocable::Subject => issued(inner.subjects.get(&digest), against),
            Revocable::Client => issued(inner.clients.get(&digest), against),
            Revocable::Issuer => issued(inner.issuers.get(&digest), against),
            Revocable::Version => {
                let mark = inner.versions.get(&digest);
                (mark.is_some_and(|mark| against < mark.value()), mark.map(|mark| mark.ends()))
            }
        };
        // The time is asked for only where there is an entry.
        holds && ends.is_some_and(|ends| ends >= inner.now())
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
            capacity: inner.capacity,
            changes: inner.generation.load(Ordering::Acquire),
            refused: inner.refused.load(Ordering::Relaxed),
            is_fresh: self.is_fresh(),
            last_contact: inner.contact.as_ref().and_then(Contact::age),
            lag: inner.contact.as_ref().map(|contact| contact.lag.load(Ordering::Relaxed)),
        }
    }

    pub(super) fn tell(&self, event: &RevocationEvent) {
        self.0.tell(event);
    }
}

/// Whether a mark covers what was issued then, and until when it holds.
fn issued(mark: Option<Mark>, at: u64) -> (bool, Option<u32>) {
    (mark.is_some_and(|mark| at <= mark.value()), mark.map(|mark| mark.ends()))
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

    fn merge(&self, entry: &RevocationEntry, now: u32) -> Result<bool, NoRoom> {
        let RevocationEntry { kind, digest, mark, ends, .. } = *entry;
        let (until, mark) = (Until(ends), Mark::new(mark, ends));
        let (entries, capacity) = (&self.entries, self.capacity);
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
        let sets = self.sets().into_iter().map(|(_, table)| table.sweep(now));
        let marks = self.marks().into_iter().map(|(_, table)| table.sweep(now));
        self.entries.fetch_sub(sets.chain(marks).sum(), Ordering::Relaxed);
    }

    fn now(&self) -> u32 {
        u32::try_from(self.clock.now().0.max(0)).unwrap_or(u32::MAX)
    }

    fn notice_stale(&self, contact: &Contact) {
        if !contact.is_stale.swap(true, Ordering::AcqRel) {
            self.tell(&RevocationEvent::Stale);
        }
    }

    fn tell(&self, event: &RevocationEvent) {
        guarded(|| event.trace());
        self.observers.tell(|observer| observer(event));
    }
}

impl Contact {
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
