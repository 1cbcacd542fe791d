use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;
use std::time::SystemTime;

use portcullis_issuer::session::{Ended, MemorySessions, SubjectRead};

use super::*;

/// What somebody else's store does wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wrong {
    Nothing,
    // Reading.
    Clock,
    ClockGoesBack,
    ClockStands,
    EmptyIsNothing,
    Unbinds,
    CutsBinding,
    Trims,
    Seconds,
    WritesJsonAnew,
    SmallVersion,
    SmallGeneration,
    // Logins.
    AnyVersion,
    HigherVersions,
    EndsForNothing,
    ReplacesNothing,
    ReplacesOwnOnly,
    ReplacesAgain,
    TellsUnknown,
    NoMost,
    OneMore,
    NewestEnd,
    LowestIdEnds,
    CountsReplaced,
    CountsOver,
    // Rotations.
    AnyRotation,
    RotationKeepsVersion,
    NeverKeepsTime,
    AlwaysKeepsTime,
    IdleBeyondEnd,
    IdleFromBefore,
    KeepsMac,
    RotationUnbinds,
    RotatesEnded,
    RotatesIdle,
    RotatesExpired,
    RotatesUnknown,
    // Ends.
    EndsTwice,
    LastReason,
    LastTime,
    OneReason,
    EndKeepsVersion,
    EndUnbinds,
    NotRaised,
    RaisedByOne,
    RaisedToClock,
    SparesNone,
    SparesAnybody,
    SparedStaysBehind,
    SparedUnbinds,
    SparesEnded,
    EndsAllAgain,
    TellsEnded,
    EndsEverybody,
    // Lists.
    ListsEnded,
    ListsIdle,
    OldestFirst,
    LowerIdFirst,
    ListAfterTime,
    SinceIsExclusive,
    EndedById,
    EndedAfterTime,
    RaisedSinceIsExclusive,
    RaisedAfterTime,
    // Deleting.
    PrunesAtOnce,
    PrunesNothing,
    PrunesWhatGoesOn,
    PrunesEnded,
    PrunesFirstStep,
    PrunesBeyondStep,
    PrunesForEver,
    PrunesVersions,
    ErasesWhatGoesOn,
    ErasesVersions,
    ErasesNoVersion,
    SaysErased,
    VersionComesAgain,
    // Who it is.
    IssuersOfAnyCase,
    OneIssuer,
    SubjectsOfAnyCase,
    SubjectsPadded,
    SubjectsCut,
    // At once.
    Apart,
    RotationsApart,
    EndsApart,
    RotationUndoesEnd,
    LoginAfterLogout,
    LoginsApart,
    LogoutsApart,
    TwoMoments,
}

#[derive(Default)]
struct Kept {
    sessions: BTreeMap<(String, SessionId), SessionRow>,
    /// Versions, and when they were raised.
    subjects: BTreeMap<(String, String), (u64, StoreTime)>,
    erased: BTreeSet<(String, String)>,
    /// When the clock was asked for the first time, and how often.
    first_asked: Option<StoreTime>,
    asked: u64,
}

#[derive(Clone)]
struct Store {
    wrong: Wrong,
    kept: Arc<Mutex<Kept>>,
    rotating: Arc<tokio::sync::Mutex<()>>,
}

impl Store {
    fn new(wrong: Wrong) -> Self {
        Self { wrong, kept: Arc::default(), rotating: Arc::default() }
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == wrong
    }

    fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.kept.lock().expect("no panic"))
    }

    /// Where this is what is wrong, others have their turn here.
    async fn others_first(&self, wrong: Wrong) {
        if self.is(wrong) {
            yield_now().await;
        }
    }

    fn now(&self) -> StoreTime {
        let now = StoreTime::from(SystemTime::now());
        let (first, asked) = self.with(|kept| {
            kept.asked += 1;
            (*kept.first_asked.get_or_insert(now), kept.asked)
        });
        match self.wrong {
            Wrong::ClockStands => first,
            Wrong::Clock => now.before(HOUR),
            Wrong::ClockGoesBack => now.before(Duration::from_secs(asked.min(30))),
            _ => now,
        }
    }

    fn issuer(&self, issuer: &str) -> String {
        match self.wrong {
            Wrong::IssuersOfAnyCase => issuer.to_lowercase(),
            _ => issuer.to_owned(),
        }
    }

    fn key(&self, issuer: &str, id: SessionId) -> (String, SessionId) {
        match self.wrong {
            Wrong::OneIssuer => (String::new(), id),
            _ => (self.issuer(issuer), id),
        }
    }

    fn subject_key(&self, issuer: &str, subject: &str) -> (String, String) {
        let subject = match self.wrong {
            Wrong::SubjectsOfAnyCase => subject.to_lowercase(),
            Wrong::SubjectsPadded => subject.trim_end_matches(' ').to_owned(),
            Wrong::SubjectsCut => subject.chars().take(1023).collect(),
            _ => subject.to_owned(),
        };
        (self.issuer(issuer), subject)
    }

    fn version(&self, issuer: &str, subject: &str) -> u64 {
        let key = self.subject_key(issuer, subject);
        self.with(|kept| kept.subjects.get(&key).map_or(0, |(version, _)| *version))
    }

    fn row(&self, issuer: &str, id: SessionId) -> Option<SessionRow> {
        let key = self.key(issuer, id);
        self.with(|kept| kept.sessions.get(&key).cloned())
    }

    fn write(&self, issuer: &str, row: SessionRow) {
        let key = self.key(issuer, row.id);
        self.with(|kept| kept.sessions.insert(key, row));
    }

    /// All of an issuer, in the order of their ids.
    fn rows(&self, issuer: &str) -> Vec<SessionRow> {
        let (issuer, _) = self.key(issuer, id(0));
        self.with(|kept| {
            let all = kept.sessions.iter().filter(|((of, _), _)| *of == issuer);
            all.map(|(_, row)| row.clone()).collect()
        })
    }

    fn rows_of(&self, issuer: &str, subject: &str) -> Vec<SessionRow> {
        let key = self.subject_key(issuer, subject);
        let mut rows = self.rows(issuer);
        rows.retain(|row| self.subject_key(issuer, &row.subject) == key);
        rows
    }

    fn has_ended(&self, issuer: &str, id: SessionId, reason: EndReason, at: StoreTime) -> bool {
        let Some(mut row) = self.row(issuer, id) else { return false };
        if row.ended.is_some() {
            match self.wrong {
                Wrong::LastReason => row.ended = row.ended.map(|it| Ended { reason, ..it }),
                Wrong::LastTime => row.ended = row.ended.map(|it| Ended { at, ..it }),
                _ => {}
            }
            self.write(issuer, row);
            return self.is(Wrong::EndsTwice);
        }
        self.ends(issuer, row, reason, at);
        true
    }

    fn ends(&self, issuer: &str, mut row: SessionRow, reason: EndReason, at: StoreTime) {
        let reason = if self.is(Wrong::OneReason) { EndReason::SignedOut } else { reason };
        row.ended = Some(Ended { at, reason });
        row.version.0 += u64::from(!self.is(Wrong::EndKeepsVersion));
        row.binding.take_if(|_| self.is(Wrong::EndUnbinds));
        self.write(issuer, row);
    }

    /// A row as it is kept.
    fn kept(&self, row: &SessionRow) -> SessionRow {
        let mut row = row.clone();
        match self.wrong {
            Wrong::EmptyIsNothing => {
                row.binding.take_if(|binding| binding.is_empty());
            }
            Wrong::Unbinds => row.binding = None,
            Wrong::CutsBinding => {
                row.binding.iter_mut().for_each(|binding| binding.truncate(32));
            }
            Wrong::Trims => row.subject = row.subject.trim().to_owned(),
            Wrong::Seconds => {
                row.created_at = StoreTime::from_millis(row.created_at.as_millis() / 1000 * 1000);
            }
            Wrong::WritesJsonAnew => {
                let details: serde_json::Value = serde_json::from_str(&row.details).expect("JSON");
                row.details = details.to_string();
            }
            Wrong::SmallVersion => row.version.0 = row.version.0.min(u64::from(u32::MAX)),
            Wrong::SmallGeneration => row.generation = row.generation.min(i32::MAX as u32),
            _ => {}
        }
        row
    }

    /// The sessions beyond as many as there may be.
    fn too_many(&self, issuer: &str, subject: &str, most: usize, now: StoreTime) -> Vec<SessionId> {
        let mut rows = self.rows_of(issuer, subject);
        rows.retain(|row| !is_over(row, now) || self.is(Wrong::CountsOver) && row.ended.is_none());
        match self.wrong {
            Wrong::NoMost => rows.clear(),
            Wrong::LowestIdEnds => rows.reverse(),
            Wrong::NewestEnd => rows.sort_by_key(|row| (row.created_at, row.id)),
            _ => rows.sort_by_key(|row| core::cmp::Reverse((row.created_at, row.id))),
        }
        let most = most - usize::from(!self.is(Wrong::OneMore));
        rows.iter().skip(most).map(|row| row.id).collect()
    }

    /// Deletes those of these that were over before this time, where that is looked at.
    fn delete(&self, issuer: &str, rows: &[SessionRow], before: StoreTime, now: StoreTime) {
        let goes_on = matches!(self.wrong, Wrong::PrunesWhatGoesOn | Wrong::ErasesWhatGoesOn);
        for row in rows {
            let by_time = row.idle_until.min(row.ends_at);
            let is_gone = (goes_on || is_over(row, now))
                && (by_time < before
                    || self.is(Wrong::PrunesAtOnce) && by_time == before
                    || row.ended.is_some_and(|it| it.at < before || self.is(Wrong::PrunesEnded)));
            if is_gone && !self.is(Wrong::PrunesNothing) {
                let key = self.key(issuer, row.id);
                self.with(|kept| kept.sessions.remove(&key));
            }
        }
    }
}

fn is_over(row: &SessionRow, now: StoreTime) -> bool {
    row.ended.is_some() || now >= row.idle_until || now >= row.ends_at
}

impl SessionStore for Store {
    async fn subject(&self, issuer: &str, subject: &str) -> Result<SubjectRead, StoreError> {
        Ok(SubjectRead { now: self.now(), version: self.version(issuer, subject) })
    }

    async fn create(&self, issuer: &str, new: NewSession<'_>) -> Result<Created, StoreError> {
        let now = self.now();
        let NewSession { row, replaces, most } = new;
        let mut ended = Vec::new();
        let replace = |ended: &mut Vec<SessionId>| {
            let Some(id) = replaces.filter(|_| !self.is(Wrong::ReplacesNothing)) else { return };
            let found = self.row(issuer, id);
            if self.is(Wrong::ReplacesOwnOnly)
                && found.as_ref().is_some_and(|it| it.subject != row.subject)
            {
                return;
            }
            if self.is(Wrong::TellsUnknown) && found.is_none() {
                ended.push(id);
            }
            if let (Wrong::ReplacesAgain, Some(mut found)) = (self.wrong, found) {
                found.ended = None;
                self.write(issuer, found);
            }
            if self.has_ended(issuer, id, EndReason::NewLogin, now) {
                ended.push(id);
            }
        };
        let version = self.version(issuer, &row.subject);
        let is_outdated = match self.wrong {
            Wrong::AnyVersion => false,
            Wrong::HigherVersions => row.subject_version < version,
            _ => row.subject_version != version,
        };
        if self.is(Wrong::EndsForNothing) || !self.is(Wrong::CountsReplaced) && !is_outdated {
            replace(&mut ended);
        }
        self.others_first(Wrong::LoginAfterLogout).await;
        if is_outdated {
            return Ok(Created::Outdated);
        }
        for id in self.too_many(issuer, &row.subject, most, now) {
            if self.has_ended(issuer, id, EndReason::TooMany, now) {
                ended.push(id);
            }
        }
        if self.is(Wrong::CountsReplaced) {
            replace(&mut ended);
        }
        self.others_first(Wrong::LoginsApart).await;
        if self.is(Wrong::LoginsApart) && self.version(issuer, &row.subject) != version {
            return Ok(Created::Outdated);
        }
        self.write(issuer, self.kept(row));
        Ok(Created::Done { ended })
    }

    async fn read(&self, issuer: &str, id: SessionId) -> Result<SessionRead, StoreError> {
        let row = self.row(issuer, id);
        self.others_first(Wrong::TwoMoments).await;
        let subject_version = row.as_ref().map_or(0, |row| self.version(issuer, &row.subject));
        Ok(SessionRead { now: self.now(), row, subject_version })
    }

    async fn rotate(
        &self,
        issuer: &str,
        id: SessionId,
        from: SessionVersion,
        to: &Rotation,
    ) -> Result<Swap, StoreError> {
        let _one_by_one = match self.wrong {
            Wrong::RotationUndoesEnd => Some(self.rotating.lock().await),
            _ => None,
        };
        let now = self.now();
        let Some(mut row) = self.row(issuer, id) else {
            return Ok(if self.is(Wrong::RotatesUnknown) { Swap::Done } else { Swap::Lost });
        };
        let is_over = row.ended.is_some() && !self.is(Wrong::RotatesEnded)
            || now >= row.idle_until && !self.is(Wrong::RotatesIdle)
            || now >= row.ends_at && !self.is(Wrong::RotatesExpired);
        if is_over || row.version != from && !self.is(Wrong::AnyRotation) {
            return Ok(Swap::Lost);
        }
        self.others_first(Wrong::RotationsApart).await;
        self.others_first(Wrong::RotationUndoesEnd).await;
        row.version.0 += u64::from(!self.is(Wrong::RotationKeepsVersion));
        row.generation = to.generation;
        row.current_hash = to.current_hash;
        row.previous = Some(to.previous);
        let keeps_time = match self.wrong {
            Wrong::NeverKeepsTime => false,
            Wrong::AlwaysKeepsTime => true,
            _ => to.keeps_time,
        };
        if !keeps_time {
            row.rotated_at = now;
        }
        row.idle_until = match self.wrong {
            Wrong::IdleBeyondEnd => now.after(to.idle),
            Wrong::IdleFromBefore => row.idle_until.after(to.idle).min(row.ends_at),
            _ => now.after(to.idle).min(row.ends_at),
        };
        if !self.is(Wrong::KeepsMac) {
            row.mac.clone_from(&to.mac);
        }
        row.binding.take_if(|_| self.is(Wrong::RotationUnbinds));
        self.write(issuer, row);
        Ok(Swap::Done)
    }

    async fn end(
        &self,
        issuer: &str,
        id: SessionId,
        reason: EndReason,
    ) -> Result<bool, StoreError> {
        let now = self.now();
        if self.is(Wrong::EndsApart) {
            let Some(row) = self.row(issuer, id).filter(|row| row.ended.is_none()) else {
                return Ok(false);
            };
            yield_now().await;
            self.ends(issuer, row, reason, now);
            return Ok(true);
        }
        Ok(self.has_ended(issuer, id, reason, now))
    }

    async fn end_all(
        &self,
        issuer: &str,
        subject: &str,
        but: Option<SessionId>,
        reason: EndReason,
    ) -> Result<EndedAll, StoreError> {
        let now = self.now();
        let (was, clock) = (self.version(issuer, subject), now.as_millis() as u64);
        let key = self.subject_key(issuer, subject);
        let was_erased = self.with(|kept| kept.erased.contains(&key));
        let version = match self.wrong {
            Wrong::NotRaised => was,
            Wrong::RaisedByOne => was + 1,
            Wrong::RaisedToClock => clock.max(was),
            Wrong::VersionComesAgain if was_erased => was + 1,
            _ => clock.max(was + 1),
        };
        self.others_first(Wrong::LogoutsApart).await;
        self.with(|kept| kept.subjects.insert(key, (version, now)));
        let mut sessions = Vec::new();
        let rows = match self.wrong {
            Wrong::EndsEverybody => self.rows(issuer),
            Wrong::SparesAnybody => {
                let mut rows = self.rows_of(issuer, subject);
                rows.extend(but.and_then(|id| self.row(issuer, id)));
                rows.dedup_by_key(|row| row.id);
                rows
            }
            _ => self.rows_of(issuer, subject),
        };
        for mut row in rows {
            let is_spared = Some(row.id) == but && !self.is(Wrong::SparesNone);
            let was_ended = row.ended.is_some();
            if is_spared && (!was_ended || self.is(Wrong::SparesEnded)) {
                row.version.0 += 1;
                if !self.is(Wrong::SparedStaysBehind) {
                    row.subject_version = version;
                }
                row.binding.take_if(|_| self.is(Wrong::SparedUnbinds));
                self.write(issuer, row);
                continue;
            }
            if was_ended && self.is(Wrong::TellsEnded) {
                sessions.push(row.id);
            }
            if !was_ended || self.is(Wrong::EndsAllAgain) {
                if !was_ended {
                    sessions.push(row.id);
                }
                self.ends(issuer, row, reason, now);
            }
        }
        Ok(EndedAll { version, sessions })
    }

    async fn list(
        &self,
        issuer: &str,
        subject: &str,
        after: Option<ListedAfter>,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let now = self.now();
        let mut rows = self.rows_of(issuer, subject);
        rows.retain(|row| match self.wrong {
            Wrong::ListsEnded => row.ended.is_some() || !is_over(row, now),
            Wrong::ListsIdle => row.ended.is_none() && now < row.ends_at,
            _ => !is_over(row, now),
        });
        rows.sort_by_key(|row| core::cmp::Reverse((row.created_at, row.id)));
        match self.wrong {
            Wrong::OldestFirst => rows.reverse(),
            Wrong::LowerIdFirst => {
                rows.sort_by_key(|row| (core::cmp::Reverse(row.created_at), row.id));
            }
            _ => {}
        }
        if let Some(after) = after {
            rows.retain(|row| {
                row.created_at < after.created_at
                    || row.created_at == after.created_at
                        && row.id < after.id
                        && !self.is(Wrong::ListAfterTime)
            });
        }
        rows.truncate(limit);
        Ok(rows)
    }

    async fn ended(
        &self,
        issuer: &str,
        since: StoreTime,
        after: Option<EndedSession>,
        limit: usize,
    ) -> Result<Vec<EndedSession>, StoreError> {
        let rows = self.rows(issuer);
        let all =
            rows.iter().filter_map(|row| Some(EndedSession { id: row.id, at: row.ended?.at }));
        let is_exclusive = self.is(Wrong::SinceIsExclusive);
        let mut all: Vec<_> =
            all.filter(|it| it.at > since || it.at == since && !is_exclusive).collect();
        if !self.is(Wrong::EndedById) {
            all.sort_by_key(|it| (it.at, it.id));
        }
        if let Some(after) = after {
            all.retain(|it| match self.wrong {
                Wrong::EndedAfterTime => it.at > after.at,
                _ => (it.at, it.id) > (after.at, after.id),
            });
        }
        all.truncate(limit);
        Ok(all)
    }

    async fn raised(
        &self,
        issuer: &str,
        since: StoreTime,
        after: Option<&RaisedSubject>,
        limit: usize,
    ) -> Result<Vec<RaisedSubject>, StoreError> {
        let issuer = self.issuer(issuer);
        let mut all: Vec<_> = self.with(|kept| {
            let all = kept.subjects.iter().filter(|((of, _), _)| *of == issuer);
            let raised = |((_, subject), (version, at)): (&(String, String), &(u64, StoreTime))| {
                RaisedSubject { subject: subject.clone(), version: *version, at: *at }
            };
            all.map(raised).collect()
        });
        let is_exclusive = self.is(Wrong::RaisedSinceIsExclusive);
        all.retain(|it| it.at > since || it.at == since && !is_exclusive);
        all.sort_by_key(|it| (it.at, it.subject.clone()));
        if let Some(after) = after {
            all.retain(|it| match self.wrong {
                Wrong::RaisedAfterTime => it.at > after.at,
                _ => (it.at, &it.subject) > (after.at, &after.subject),
            });
        }
        all.truncate(limit);
        Ok(all)
    }

    async fn prune(
        &self,
        issuer: &str,
        before: StoreTime,
        after: Option<SessionId>,
        limit: usize,
    ) -> Result<Option<SessionId>, StoreError> {
        let mut rows = self.rows(issuer);
        if let Some(after) = after {
            rows.retain(|row| row.id > after);
        }
        let step = &rows[..limit.min(rows.len())];
        let is_whole = self.is(Wrong::PrunesBeyondStep);
        self.delete(issuer, if is_whole { &rows } else { step }, before, self.now());
        if self.is(Wrong::PrunesVersions) {
            let issuer = self.issuer(issuer);
            self.with(|kept| kept.subjects.retain(|(of, _), _| *of != issuer));
        }
        Ok(match self.wrong {
            Wrong::PrunesForEver => step.last().map(|row| row.id).or(after),
            Wrong::PrunesFirstStep => step.last().map(|row| row.id).filter(|_| after.is_none()),
            _ => step.last().map(|row| row.id).filter(|_| step.len() == limit),
        })
    }

    async fn erase(
        &self,
        issuer: &str,
        subject: &str,
        before: StoreTime,
    ) -> Result<bool, StoreError> {
        self.delete(issuer, &self.rows_of(issuer, subject), before, self.now());
        let is_empty = self.rows_of(issuer, subject).is_empty();
        let key = self.subject_key(issuer, subject);
        let is_nothing_left = self.with(|kept| {
            kept.erased.insert(key.clone());
            let is_old =
                |(_, at): &(u64, StoreTime)| *at < before || self.is(Wrong::ErasesVersions);
            if is_empty
                && !self.is(Wrong::ErasesNoVersion)
                && kept.subjects.get(&key).is_some_and(is_old)
            {
                kept.subjects.remove(&key);
            }
            is_empty && !kept.subjects.contains_key(&key)
        });
        Ok(is_nothing_left || self.is(Wrong::SaysErased))
    }
}

/// What the suite says of it. `None`: it conforms.
fn verdict(wrong: Wrong) -> Option<String> {
    let of_a_process = Store::new(wrong);
    let tried = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(conforms(async || match wrong {
            Wrong::Apart => Store::new(wrong),
            _ => of_a_process.clone(),
        }));
    });
    let payload = tried.join().err()?;
    let text = payload.downcast_ref::<String>().map(String::as_str);
    Some(text.or(payload.downcast_ref::<&str>().copied()).unwrap_or_default().to_owned())
}

#[test]
fn a_store_that_breaks_a_promise_is_told_which() {
    let cases = [
        (Wrong::Clock, "it is off by"),
        (
            Wrong::ClockGoesBack,
            "the store's clock is that of the moment at which it is asked: it went back",
        ),
        (
            Wrong::ClockStands,
            "the store's clock is that of the moment at which it is asked: it stands still",
        ),
        (Wrong::EmptyIsNothing, "read back, byte for byte: `binding`"),
        (Wrong::Unbinds, "read back, byte for byte: `binding`"),
        (Wrong::CutsBinding, "read back, byte for byte: `binding`"),
        (Wrong::RotationUnbinds, "and writes what it says: `binding`"),
        (Wrong::EndUnbinds, "`binding`"),
        (Wrong::Trims, "read back, byte for byte: `subject`"),
        (Wrong::Seconds, "`created_at`"),
        (Wrong::WritesJsonAnew, "read back, byte for byte: `details`"),
        (Wrong::SmallVersion, "read back, byte for byte: `version`"),
        (Wrong::SmallGeneration, "read back, byte for byte: `generation`"),
        (Wrong::AnyVersion, "a login begins only for the version that its subject has"),
        (Wrong::HigherVersions, "a login begins only for the version that its subject has"),
        (Wrong::EndsForNothing, "nothing ends for a login that does not begin"),
        (Wrong::ReplacesNothing, "a login ends the session that it replaces"),
        (Wrong::ReplacesOwnOnly, "a login ends the session that it replaces"),
        (Wrong::ReplacesAgain, "a login does not end again what was ended"),
        (Wrong::TellsUnknown, "a login ends no session that is not its issuer's"),
        (Wrong::NoMost, "the oldest sessions beyond"),
        (Wrong::OneMore, "the oldest sessions beyond"),
        (Wrong::NewestEnd, "the oldest sessions beyond"),
        (Wrong::LowestIdEnds, "the oldest sessions beyond"),
        (Wrong::CountsReplaced, "that a login replaces does not count"),
        (Wrong::CountsOver, "that is over does not count"),
        (Wrong::AnyRotation, "a rotation is done for the version that is there"),
        (Wrong::RotationKeepsVersion, "and writes what it says: `version`"),
        (Wrong::NeverKeepsTime, "and writes what it says: `rotated_at`"),
        (Wrong::AlwaysKeepsTime, "and writes what it says: `rotated_at`"),
        (Wrong::IdleBeyondEnd, "and writes what it says: `idle_until`"),
        (Wrong::IdleFromBefore, "and writes what it says: `idle_until`"),
        (Wrong::KeepsMac, "and writes what it says: `mac`"),
        (Wrong::RotatesEnded, "no rotation is done of a session that is over: it was ended"),
        (Wrong::RotatesIdle, "no rotation is done of a session that is over: nobody came back"),
        (Wrong::RotatesExpired, "no rotation is done of a session that is over: its end"),
        (Wrong::RotatesUnknown, "what is not there is not read: `rotate`"),
        (Wrong::EndsTwice, "does not end again what was ended"),
        (
            Wrong::LastReason,
            "a session ends once, and keeps the first reason and its time: `ended`",
        ),
        (Wrong::LastTime, "a login does not end again what was ended: `ended`"),
        (Wrong::OneReason, "was ended for another reason"),
        (Wrong::EndKeepsVersion, "`version`"),
        (Wrong::NotRaised, "raises the version"),
        (Wrong::RaisedByOne, "to the store's clock in milliseconds"),
        (Wrong::RaisedToClock, "or above what it was"),
        (Wrong::SparesNone, "all sessions of the subject but the one that is spared"),
        (Wrong::SparesAnybody, "only a session of the subject that was not ended is spared"),
        (Wrong::SparedStaysBehind, "the session that is spared becomes of the new version"),
        (Wrong::SparedUnbinds, "`binding`"),
        (Wrong::SparesEnded, "only a session of the subject that was not ended is spared"),
        (Wrong::EndsAllAgain, "what was ended keeps the first reason and its time"),
        (
            Wrong::TellsEnded,
            "ends all sessions of the subject but the one that is spared: these are told",
        ),
        (Wrong::EndsEverybody, "to log out everywhere ends nothing of another subject"),
        (Wrong::ListsEnded, "that are not over, the newest first"),
        (Wrong::ListsIdle, "in the list"),
        (Wrong::OldestFirst, "that are not over, the newest first"),
        (Wrong::LowerIdFirst, "that are not over, the newest first"),
        (Wrong::ListAfterTime, "the pages of a list have each session once"),
        (Wrong::SinceIsExclusive, "what was ended at a time or later is found"),
        (Wrong::EndedById, "in the order of time and id"),
        (Wrong::EndedAfterTime, "the pages of what was ended have each session once"),
        (Wrong::RaisedSinceIsExclusive, "whose version was raised at a time or later is found"),
        (Wrong::RaisedAfterTime, "the pages of whose version was raised have each subject once"),
        (Wrong::PrunesAtOnce, "what was over before a time is deleted, and nothing else"),
        (Wrong::PrunesNothing, "what was over before a time is deleted, and nothing else"),
        (Wrong::PrunesWhatGoesOn, "a session that is not over is not deleted"),
        (Wrong::PrunesEnded, "what was over before a time is deleted, and nothing else"),
        (Wrong::PrunesFirstStep, "step by step, all sessions are looked at"),
        (Wrong::PrunesBeyondStep, "a step looks at as many sessions as it is told"),
        (Wrong::PrunesForEver, "step by step, all sessions are looked at, each once"),
        (Wrong::PrunesVersions, "what was over before a time is deleted, and nothing else"),
        (Wrong::ErasesWhatGoesOn, "a session that is not over is not deleted"),
        (
            Wrong::ErasesVersions,
            "a version that was raised at a time or later is not deleted before",
        ),
        (Wrong::ErasesNoVersion, "and its version where nothing else is left"),
        (Wrong::SaysErased, "sessions are left, and it says none"),
        (Wrong::VersionComesAgain, "no version comes again"),
        (Wrong::IssuersOfAnyCase, "the sessions of two issuers do not meet"),
        (Wrong::OneIssuer, "is there, and should not be"),
        (Wrong::SubjectsOfAnyCase, "the sessions of two subjects do not meet"),
        (Wrong::SubjectsPadded, "the sessions of two subjects do not meet"),
        (Wrong::SubjectsCut, "the sessions of two subjects do not meet"),
        (Wrong::Apart, "what one instance wrote, another reads"),
        (Wrong::RotationsApart, "of rotations at once for one version, one is done"),
        (Wrong::EndsApart, "of all that end one session at once, one ends it"),
        (Wrong::RotationUndoesEnd, "once a session was ended, no rotation of it is done"),
        (Wrong::LoginAfterLogout, "after a logout everywhere, no login of before goes on"),
        (Wrong::LoginsApart, "logins at once leave no more sessions than there may be"),
        (Wrong::LogoutsApart, "raises the version, also those at once"),
        (Wrong::TwoMoments, "of one moment"),
    ];
    for (wrong, told) in cases {
        let verdict = verdict(wrong).unwrap_or_default();
        assert!(verdict.contains(told), "{wrong:?}: {verdict}");
    }
    assert_eq!(verdict(Wrong::Nothing), None);
}

#[tokio::test]
async fn sessions_in_memory_conform() {
    let store = MemorySessions::new();
    conforms(async || store.clone()).await;
}
