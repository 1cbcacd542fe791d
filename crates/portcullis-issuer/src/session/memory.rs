use core::fmt;
use core::future::{Future, Ready, ready};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis::Clock;

use super::id::SessionId;
use super::reason::EndReason;
use super::row::{Ended, SessionRow, SessionVersion};
use super::store::{
    Created, EndedAll, EndedSession, ListedAfter, NewSession, RaisedSubject, Rotation, SessionRead,
    SessionStore, SubjectRead,
};
use crate::machine::MemoryClock;
use crate::store::{StoreError, Swap};
use crate::time::StoreTime;

/// Sessions in memory: for tests. Clones share them, as the instances of a fleet share a database.
///
/// When the process ends, everybody is logged out: in production, take a store that is kept.
#[derive(Clone, Default)]
pub struct MemorySessions(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    issuers: BTreeMap<String, OfIssuer>,
    clock: MemoryClock,
    fault: Option<StoreError>,
}

#[derive(Default)]
struct OfIssuer {
    sessions: BTreeMap<SessionId, SessionRow>,
    subjects: BTreeMap<String, Subject>,
}

struct Subject {
    version: u64,
    raised_at: StoreTime,
}

impl MemorySessions {
    /// No session yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes by this clock, for tests: give the issuer [the same](crate::TokenIssuerBuilder::clock).
    ///
    /// If you do not call it: by the machine's.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|inner| inner.clock.clock = Some(Arc::new(clock)));
        self
    }

    /// Stops the store's clock at this time, for tests of what becomes of a wrong one.
    pub fn set_now(&self, now: StoreTime) {
        self.with(|inner| inner.clock.stands_at = Some(now));
    }

    /// Fails from now on, or works again, for tests.
    pub fn set_fault(&self, fault: Option<StoreError>) {
        self.with(|inner| inner.fault = fault);
    }

    /// Changes what is kept of a session as somebody with access to the store could, for tests.
    pub fn tamper(&self, issuer: &str, id: SessionId, change: impl FnOnce(&mut SessionRow)) {
        self.with(|inner| {
            let of_issuer = inner.issuers.get_mut(issuer);
            of_issuer.and_then(|it| it.sessions.get_mut(&id)).map(change);
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What `act` comes to, with the store's clock, where the store does not fail.
    fn answer<T>(
        &self,
        issuer: &str,
        act: impl FnOnce(&mut OfIssuer, StoreTime) -> T,
    ) -> Ready<Result<T, StoreError>> {
        ready(self.with(|inner| match &inner.fault {
            Some(fault) => Err(fault.clone()),
            None => {
                let now = inner.clock.now();
                Ok(act(inner.issuers.entry(issuer.to_owned()).or_default(), now))
            }
        }))
    }
}

/// Shows no session.
impl fmt::Debug for MemorySessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySessions").finish_non_exhaustive()
    }
}

impl OfIssuer {
    fn version(&self, subject: &str) -> u64 {
        self.subjects.get(subject).map_or(0, |subject| subject.version)
    }

    /// The sessions of a subject that are not over, the newest first.
    fn live(&self, subject: &str, now: StoreTime) -> Vec<&SessionRow> {
        let all = self.sessions.values();
        let mut live: Vec<_> =
            all.filter(|row| row.subject == subject && !is_over(row, now)).collect();
        live.sort_by_key(|row| core::cmp::Reverse((row.created_at, row.id)));
        live
    }

    fn end(&mut self, id: SessionId, reason: EndReason, at: StoreTime) -> bool {
        let Some(row) = self.sessions.get_mut(&id).filter(|row| row.ended.is_none()) else {
            return false;
        };
        row.ended = Some(Ended { at, reason });
        row.version = next(row.version);
        true
    }

    fn create(&mut self, new: NewSession<'_>, now: StoreTime) -> Created {
        let NewSession { row, replaces, most } = new;
        if self.version(&row.subject) != row.subject_version {
            return Created::Outdated;
        }
        let mut ended: Vec<_> = replaces.into_iter().collect();
        ended.retain(|id| self.end(*id, EndReason::NewLogin, now));
        let live = self.live(&row.subject, now);
        let oldest: Vec<_> = live.iter().skip(most.saturating_sub(1)).map(|row| row.id).collect();
        for id in oldest {
            self.end(id, EndReason::TooMany, now);
            ended.push(id);
        }
        self.sessions.insert(row.id, row.clone());
        Created::Done { ended }
    }

    fn rotate(
        &mut self,
        id: SessionId,
        from: SessionVersion,
        to: &Rotation,
        now: StoreTime,
    ) -> Swap {
        let row = self.sessions.get_mut(&id);
        let Some(row) = row.filter(|row| row.version == from && !is_over(row, now)) else {
            return Swap::Lost;
        };
        row.version = next(row.version);
        row.generation = to.generation;
        row.current_hash = to.current_hash;
        row.previous = Some(to.previous);
        if !to.keeps_time {
            row.rotated_at = now;
        }
        row.idle_until = now.after(to.idle).min(row.ends_at);
        row.mac.clone_from(&to.mac);
        Swap::Done
    }

    fn end_all(
        &mut self,
        subject: &str,
        but: Option<SessionId>,
        reason: EndReason,
        now: StoreTime,
    ) -> EndedAll {
        let clock = u64::try_from(now.as_millis()).unwrap_or(0);
        let version = self.version(subject).saturating_add(1).max(clock);
        self.subjects.insert(subject.to_owned(), Subject { version, raised_at: now });
        let live = self.sessions.values_mut();
        let live = live.filter(|row| row.subject == subject && row.ended.is_none());
        let mut sessions = Vec::new();
        for row in live {
            row.version = next(row.version);
            if Some(row.id) == but {
                row.subject_version = version;
            } else {
                row.ended = Some(Ended { at: now, reason });
                sessions.push(row.id);
            }
        }
        EndedAll { version, sessions }
    }

    fn erase(&mut self, subject: &str, before: StoreTime, now: StoreTime) -> bool {
        self.sessions.retain(|_, row| row.subject != subject || !was_over(row, before, now));
        let is_empty = self.sessions.values().all(|row| row.subject != subject);
        if is_empty && self.subjects.get(subject).is_some_and(|it| it.raised_at < before) {
            self.subjects.remove(subject);
        }
        is_empty && !self.subjects.contains_key(subject)
    }
}

fn next(version: SessionVersion) -> SessionVersion {
    SessionVersion(version.0.saturating_add(1))
}

fn is_over(row: &SessionRow, now: StoreTime) -> bool {
    row.ended.is_some() || now >= row.idle_until.min(row.ends_at)
}

/// Whether it was over before this time. One that goes on was not, though it may be over by a time that is to come.
fn was_over(row: &SessionRow, before: StoreTime, now: StoreTime) -> bool {
    let by_time = row.idle_until.min(row.ends_at);
    is_over(row, now) && (row.ended.is_some_and(|ended| ended.at < before) || by_time < before)
}

impl SessionStore for MemorySessions {
    fn subject(
        &self,
        issuer: &str,
        subject: &str,
    ) -> impl Future<Output = Result<SubjectRead, StoreError>> + Send {
        self.answer(issuer, |it, now| SubjectRead { now, version: it.version(subject) })
    }

    fn create(
        &self,
        issuer: &str,
        new: NewSession<'_>,
    ) -> impl Future<Output = Result<Created, StoreError>> + Send {
        self.answer(issuer, |it, now| it.create(new, now))
    }

    fn read(
        &self,
        issuer: &str,
        id: SessionId,
    ) -> impl Future<Output = Result<SessionRead, StoreError>> + Send {
        self.answer(issuer, |it, now| {
            let row = it.sessions.get(&id).cloned();
            let subject_version = row.as_ref().map_or(0, |row| it.version(&row.subject));
            SessionRead { now, row, subject_version }
        })
    }

    fn rotate(
        &self,
        issuer: &str,
        id: SessionId,
        from: SessionVersion,
        to: &Rotation,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send {
        self.answer(issuer, |it, now| it.rotate(id, from, to, now))
    }

    fn end(
        &self,
        issuer: &str,
        id: SessionId,
        reason: EndReason,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        self.answer(issuer, |it, now| it.end(id, reason, now))
    }

    fn end_all(
        &self,
        issuer: &str,
        subject: &str,
        but: Option<SessionId>,
        reason: EndReason,
    ) -> impl Future<Output = Result<EndedAll, StoreError>> + Send {
        self.answer(issuer, |it, now| it.end_all(subject, but, reason, now))
    }

    fn list(
        &self,
        issuer: &str,
        subject: &str,
        after: Option<ListedAfter>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<SessionRow>, StoreError>> + Send {
        self.answer(issuer, |it, now| {
            let is_after = |row: &&SessionRow| {
                after.is_none_or(|it| (row.created_at, row.id) < (it.created_at, it.id))
            };
            it.live(subject, now).into_iter().filter(is_after).take(limit).cloned().collect()
        })
    }

    fn ended(
        &self,
        issuer: &str,
        since: StoreTime,
        after: Option<EndedSession>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<EndedSession>, StoreError>> + Send {
        self.answer(issuer, |it, _| {
            let ended = |row: &SessionRow| row.ended.map(|ended| (ended.at, row.id));
            let all = it.sessions.values().filter_map(ended);
            let after = after.map(|after| (after.at, after.id));
            let mut all: Vec<_> = all
                .filter(|one| one.0 >= since && after.is_none_or(|after| *one > after))
                .collect();
            all.sort_unstable();
            all.truncate(limit);
            all.into_iter().map(|(at, id)| EndedSession { id, at }).collect()
        })
    }

    fn raised(
        &self,
        issuer: &str,
        since: StoreTime,
        after: Option<&RaisedSubject>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<RaisedSubject>, StoreError>> + Send {
        self.answer(issuer, |it, _| {
            let raised = it.subjects.iter().map(|(subject, kept)| RaisedSubject {
                subject: subject.clone(),
                version: kept.version,
                at: kept.raised_at,
            });
            fn place(raised: &RaisedSubject) -> (StoreTime, &str) {
                (raised.at, &raised.subject)
            }
            let mut all: Vec<_> = raised
                .filter(|one| one.at >= since && after.is_none_or(|it| place(one) > place(it)))
                .collect();
            all.sort_by(|a, b| place(a).cmp(&place(b)));
            all.truncate(limit);
            all
        })
    }

    fn prune(
        &self,
        issuer: &str,
        before: StoreTime,
        after: Option<SessionId>,
        limit: usize,
    ) -> impl Future<Output = Result<Option<SessionId>, StoreError>> + Send {
        self.answer(issuer, |it, now| {
            let ids = it.sessions.keys().copied();
            let step: Vec<_> =
                ids.filter(|id| after.is_none_or(|after| *id > after)).take(limit).collect();
            it.sessions.retain(|id, row| !step.contains(id) || !was_over(row, before, now));
            step.last().copied().filter(|_| step.len() == limit)
        })
    }

    fn erase(
        &self,
        issuer: &str,
        subject: &str,
        before: StoreTime,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        self.answer(issuer, |it, now| it.erase(subject, before, now))
    }
}
