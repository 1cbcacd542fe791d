//! The lists of a policy: which are here, which are being fetched, and which give way.
use core::fmt;
use core::sync::atomic::{AtomicI64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::Instant;
use url::{Origin, Url};

use super::fault::{StatusListError, StatusListFault};
use super::list::{self, List, Moment};
use super::settings::Settings;
use super::{CONNECT_TIMEOUT, StatusLists};
use crate::claims::StatusRule;
use crate::error::RevocationUnavailable;
use crate::fetch::{HttpClient, PlainHosts, Thread, check_status, get};
use crate::observers::Observers;
#[cfg(feature = "tracing")]
use crate::observers::guarded;
use crate::revocation::{RevocationAnswer, RevocationSource, RevocationStatus};
use crate::rules::Rules;
use crate::time::{Clock, UnixTime};
use crate::token::{Reference, StatusClaim};
use crate::verified::VerifiedToken;

pub(super) type Observer = dyn Fn(&StatusListError) + Send + Sync;

/// The type of a list's content (§8.1, §8.2).
const MEDIA_TYPE: &str = "application/statuslist+jwt";

/// For how long a server's `Retry-After` counts: meanwhile, no token of its list passes.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5 * 60);

/// What a client is told to wait where there is no room to fetch a list, and for how long a refresh
/// that found none is put off.
const SOON: Duration = Duration::from_secs(1);

/// Asks the lists. Clones share them.
#[derive(Clone)]
pub(crate) struct Checker(Arc<Shared>);

struct Shared {
    settings: Settings,
    rule: StatusRule,
    /// Besides each issuer's own.
    origins: Vec<Origin>,
    hosts: PlainHosts,
    client: Arc<dyn HttpClient>,
    observers: Observers<Observer>,
    clock: Arc<dyn Clock>,
    /// Those of the policy that this is part of.
    rules: Weak<Rules>,
    thread: Arc<Thread>,
    start: Instant,
    /// Read by every request, without a lock.
    current: ArcSwap<Snapshot>,
    /// Held for moments, and only where a list is not here or is to be fetched anew.
    state: Mutex<State>,
    /// When it was last said that a list is not fetched.
    refused_at: AtomicI64,
}

/// The lists that are here.
struct Snapshot {
    lists: HashMap<Arc<str>, Arc<List>>,
    generation: u64,
    /// When the first of them ends, by either clock.
    until: UnixTime,
    until_moment: Moment,
    /// When the first of them is to be fetched anew.
    refresh_at: Moment,
}

#[derive(Default)]
struct State {
    slots: HashMap<Arc<str>, Slot>,
    generation: u64,
}

/// What is known of one list.
struct Slot {
    issuer: Arc<str>,
    list: Option<Arc<List>>,
    /// When the newest list was issued that was here.
    newest: Option<UnixTime>,
    /// It is being fetched.
    flight: Option<Flight>,
    /// In a row.
    failures: u32,
    /// It is not fetched before.
    retry_at: Moment,
    /// When it was last asked for while it was not here, on the policy's clock.
    wanted_at: UnixTime,
}

/// How a fetch ends. `None` while it has not.
type Flight = watch::Receiver<Option<Outcome>>;

/// The list, or in how long it is fetched again.
type Outcome = Result<Arc<List>, Duration>;

/// What comes of a list that is not here.
enum Sought {
    Found(Arc<List>),
    Flies(Flight),
    /// It was tried, and is tried again then.
    Resting(Duration),
    Refused(StatusListFault),
}

impl Checker {
    pub(super) fn new(
        lists: StatusLists,
        origins: Vec<Origin>,
        clock: Arc<dyn Clock>,
        thread: Arc<Thread>,
        rules: Weak<Rules>,
    ) -> Self {
        let rule = lists.rule();
        let StatusLists { settings, hosts, client, observers, .. } = lists;
        let client =
            client.map_or_else(|| thread.client(CONNECT_TIMEOUT, None) as _, |client| client.0);
        Self(Arc::new(Shared {
            settings,
            rule,
            origins,
            hosts,
            client,
            observers,
            clock,
            rules,
            thread,
            start: Instant::now(),
            current: ArcSwap::from_pointee(State::default().snapshot()),
            state: Mutex::default(),
            refused_at: AtomicI64::new(i64::MIN),
        }))
    }
}

impl RevocationSource for Checker {
    /// Goes up with each list that comes or goes, so that an answer holds while it stays. None while a
    /// list is over or is to be fetched anew: the requests that ask see to it.
    fn generation(&self) -> Option<u64> {
        let Self(shared) = self;
        let current = shared.current.load();
        let (now, moment) = (shared.clock.now(), shared.moment());
        if now >= current.until || moment >= current.until_moment {
            shared.sweep(now, moment);
            return None;
        }
        (moment < current.refresh_at).then_some(current.generation)
    }

    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        let Self(shared) = self;
        let reference = match token.status() {
            StatusClaim::Listed(reference) => reference,
            StatusClaim::Absent if shared.rule != StatusRule::Required => {
                return RevocationStatus::Active;
            }
            // A policy's own tokens were refused before, for what is wrong: another's are here only
            // to be looked at again.
            StatusClaim::Absent | StatusClaim::Malformed => return RevocationStatus::Revoked,
        };
        let (now, moment) = (shared.clock.now(), shared.moment());
        let current = shared.current.load();
        let here = current.lists.get(&*reference.key).filter(|list| list.serves(now, moment));
        if let Some(list) = here {
            list.set_used_at(now);
            if moment >= list.refresh_at() {
                shared.refresh(reference, list, now, moment);
            }
            return said(list, reference);
        }
        match shared.seek(reference, now, moment, None) {
            Sought::Found(list) => said(&list, reference),
            Sought::Flies(flight) => RevocationStatus::Later(answer(flight, reference.index)),
            Sought::Resting(wait) => unavailable(wait),
            Sought::Refused(fault) => {
                shared.announce_refusal(reference, fault, now);
                unavailable(SOON)
            }
        }
    }
}

fn said(list: &List, reference: &Reference) -> RevocationStatus {
    if list.is_revoked(reference.index) {
        RevocationStatus::Revoked
    } else {
        RevocationStatus::Active
    }
}

fn unavailable(wait: Duration) -> RevocationStatus {
    RevocationStatus::Unavailable(RevocationUnavailable { retry_after: Some(wait) })
}

/// Waits for the list. Whoever stops waiting leaves the others and the fetch as they are.
fn answer(mut flight: Flight, index: u64) -> RevocationAnswer {
    Box::pin(async move {
        // It always ends with an outcome, unless its thread does.
        let ended = flight.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        match ended {
            Ok(Some(Ok(list))) => Ok(list.is_revoked(index)),
            Ok(Some(Err(wait))) => Err(RevocationUnavailable { retry_after: Some(wait) }),
            Ok(None) | Err(_) => Err(RevocationUnavailable::default()),
        }
    })
}

impl Shared {
    fn moment(&self) -> Moment {
        Instant::now().saturating_duration_since(self.start)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes what has changed seen. In this order: an answer by a list that is gone was given before
    /// the generation went up.
    fn publish(&self, state: &mut State) {
        state.generation += 1;
        self.current.store(Arc::new(state.snapshot()));
    }

    /// Lets go of lists that are over.
    fn sweep(&self, now: UnixTime, moment: Moment) {
        let mut state = self.state();
        let mut is_changed = false;
        for slot in state.slots.values_mut() {
            if slot.list.as_ref().is_some_and(|list| !list.serves(now, moment)) {
                slot.list = None;
                is_changed = true;
            }
        }
        if is_changed {
            self.publish(&mut state);
        }
    }

    /// Has a list that still serves fetched anew.
    fn refresh(
        self: &Arc<Self>,
        reference: &Reference,
        list: &List,
        now: UnixTime,
        moment: Moment,
    ) {
        // Others need not try at the same time; the end of the fetch says when to try again.
        list.set_refresh_at(Moment::MAX);
        match self.seek(reference, now, moment, Some(list)) {
            Sought::Found(_) | Sought::Flies(_) => {}
            Sought::Resting(wait) => list.set_refresh_at(moment.saturating_add(wait)),
            Sought::Refused(_) => list.set_refresh_at(moment.saturating_add(SOON)),
        }
    }

    /// Has a list fetched, unless it is being fetched or is here: another one than `old`.
    fn seek(
        self: &Arc<Self>,
        reference: &Reference,
        now: UnixTime,
        moment: Moment,
        old: Option<&List>,
    ) -> Sought {
        let mut state = self.state();
        if let Some(slot) = state.slots.get_mut(&*reference.key) {
            slot.wanted_at = now;
            let is_old = |list: &List| old.is_some_and(|old| core::ptr::eq(old, list));
            let here = slot.list.as_ref().filter(|list| !is_old(list));
            if let Some(list) = here.filter(|list| list.serves(now, moment)) {
                return Sought::Found(Arc::clone(list));
            }
            if let Some(flight) = &slot.flight {
                return Sought::Flies(flight.clone());
            }
            if moment < slot.retry_at {
                return Sought::Resting(slot.retry_at - moment);
            }
        }
        let url = match self.address(reference) {
            Ok(url) => url,
            Err(fault) => return Sought::Refused(fault),
        };
        let most = self.settings.max_lists;
        let flights = state
            .slots
            .values()
            .filter(|slot| slot.flight.is_some() && *slot.issuer == *reference.issuer());
        if flights.count() >= (most / 2).max(1) {
            return Sought::Refused(StatusListFault::NoRoom);
        }
        if !state.slots.contains_key(&*reference.key) && state.slots.len() >= most {
            let Some(key) = state.giving_way(reference.issuer()) else {
                return Sought::Refused(StatusListFault::NoRoom);
            };
            if state.slots.remove(&key).is_some_and(|slot| slot.list.is_some()) {
                // Those who hold on to what it said have to ask again.
                self.publish(&mut state);
            }
        }
        let (landing, flight) = watch::channel(None);
        let key = Arc::<str>::from(&*reference.key);
        let slot = state.slots.entry(Arc::clone(&key)).or_insert_with(|| Slot {
            issuer: reference.issuer().into(),
            list: None,
            newest: None,
            flight: None,
            failures: 0,
            retry_at: Moment::ZERO,
            wanted_at: now,
        });
        slot.flight = Some(flight.clone());
        let task = Fetch {
            shared: Arc::clone(self),
            key,
            issuer: Arc::clone(&slot.issuer),
            url,
            asked_at: now,
            asked_moment: moment,
            landing: Some(landing),
        };
        // One that could not start would end here, and take the lock.
        drop(state);
        self.thread.spawn(task.run());
        Sought::Flies(flight)
    }

    /// Where a list may be fetched from. The token verified, so its issuer says where it is; but that
    /// is not to lead into this network.
    fn address(&self, reference: &Reference) -> Result<Url, StatusListFault> {
        let url = self.hosts.parse(reference.uri())?;
        let origin = url.origin();
        let is_own = || {
            let issuer = self.hosts.parse(reference.issuer());
            issuer.is_ok_and(|issuer| issuer.origin() == origin)
        };
        if self.origins.contains(&origin) || is_own() {
            Ok(url)
        } else {
            Err(StatusListFault::OtherOrigin)
        }
    }

    /// Takes in how a fetch ended that began at `began`.
    fn land(
        &self,
        key: &str,
        began: Moment,
        result: Result<List, StatusListFault>,
    ) -> (Outcome, Option<StatusListFault>) {
        let moment = self.moment().max(began);
        let mut state = self.state();
        // One that is being fetched does not give way.
        let Some(slot) = state.slots.get_mut(key) else { return (Err(SOON), None) };
        slot.flight = None;
        let result = result.and_then(|list| {
            // An old one may say that a token is good which was taken back since.
            let is_older = slot.newest.is_some_and(|newest| list.issued_at < newest);
            if is_older { Err(StatusListFault::Older) } else { Ok(Arc::new(list)) }
        });
        match result {
            Ok(list) => {
                slot.newest = Some(list.issued_at);
                slot.failures = 0;
                slot.list = Some(Arc::clone(&list));
                self.publish(&mut state);
                (Ok(list), None)
            }
            Err(fault) => {
                slot.failures = slot.failures.saturating_add(1);
                let asked = fault.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER);
                let wait = self.settings.retry_after(slot.failures).max(asked);
                slot.retry_at = moment.saturating_add(wait);
                if let Some(list) = &slot.list {
                    list.set_refresh_at(slot.retry_at);
                }
                (Err(wait), Some(fault))
            }
        }
    }

    /// Says that a list is not fetched. Once a second, since it is for every request.
    fn announce_refusal(&self, reference: &Reference, fault: StatusListFault, now: UnixTime) {
        if self.refused_at.swap(now.0, Ordering::Relaxed) != now.0 {
            self.announce(reference.issuer(), reference.uri(), fault);
        }
    }

    fn announce(&self, issuer: &str, uri: &str, fault: StatusListFault) {
        let error = StatusListError::new(issuer, uri, fault);
        #[cfg(feature = "tracing")]
        guarded(|| tracing::warn!(issuer, %error, "a status list cannot be had"));
        self.observers.tell(|observer| observer(&error));
    }
}

impl State {
    fn snapshot(&self) -> Snapshot {
        let lists = self
            .slots
            .iter()
            .filter_map(|(key, slot)| Some((Arc::clone(key), Arc::clone(slot.list.as_ref()?))));
        let lists: HashMap<_, _> = lists.collect();
        let first = |of: fn(&List) -> Moment| {
            lists.values().map(|list| of(list)).min().unwrap_or(Moment::MAX)
        };
        Snapshot {
            generation: self.generation,
            until: lists.values().map(|list| list.until).min().unwrap_or(UnixTime(i64::MAX)),
            until_moment: first(|list| list.until_moment),
            refresh_at: first(List::refresh_at),
            lists,
        }
    }

    /// The list that makes room for one of `newcomer`: of the issuer that has the most of them, the
    /// one that was not asked for the longest time. None that is being fetched.
    fn giving_way(&self, newcomer: &str) -> Option<Arc<str>> {
        let mut counts = HashMap::from([(newcomer, 1_usize)]);
        for slot in self.slots.values() {
            *counts.entry(&slot.issuer).or_default() += 1;
        }
        let idle = self.slots.iter().filter(|(_, slot)| slot.flight.is_none());
        let last = idle.max_by_key(|(_, slot)| {
            (counts.get(&*slot.issuer).copied(), core::cmp::Reverse(slot.used_at()))
        });
        last.map(|(key, _)| Arc::clone(key))
    }
}

impl Slot {
    fn used_at(&self) -> UnixTime {
        let used = self.list.as_ref().map(|list| list.used_at());
        used.map_or(self.wanted_at, |used| used.max(self.wanted_at))
    }
}

/// A list on its way. However it ends, be it by a panic, those who wait are told.
struct Fetch {
    shared: Arc<Shared>,
    key: Arc<str>,
    issuer: Arc<str>,
    url: Url,
    asked_at: UnixTime,
    asked_moment: Moment,
    /// Taken when it ends.
    landing: Option<watch::Sender<Option<Outcome>>>,
}

impl Fetch {
    async fn run(mut self) {
        let after = self.shared.settings.timeout;
        let result = tokio::time::timeout(after, self.load()).await;
        self.end(result.unwrap_or(Err(StatusListFault::Timeout { after })));
    }

    /// §8.1 to §8.3.
    async fn load(&self) -> Result<List, StatusListFault> {
        let Self { shared, issuer, url, .. } = self;
        let settings = &shared.settings;
        let origin = list::Origin {
            issuer,
            uri: self.uri(),
            asked_at: self.asked_at,
            asked_moment: self.asked_moment,
        };
        let accept = vec![("accept", MEDIA_TYPE.to_owned())];
        let response =
            get(&*shared.client, url, accept, settings.max_bytes, settings.timeout).await?;
        check_status(url, &response)?;
        let content_type = response.header("content-type").unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(StatusListFault::ContentType);
        }
        let rules = shared.rules.upgrade().ok_or(StatusListFault::Ended)?;
        List::verify(&rules, &response.body, &origin, settings).await
    }

    fn uri(&self) -> &str {
        // The issuer and a line feed stand in front.
        self.key.get(self.issuer.len() + 1..).unwrap_or_default()
    }

    fn end(&mut self, result: Result<List, StatusListFault>) {
        let Some(landing) = self.landing.take() else { return };
        let (outcome, fault) = self.shared.land(&self.key, self.asked_moment, result);
        // Told first: a request that is answered finds what it caused.
        if let Some(fault) = fault {
            self.shared.announce(&self.issuer, self.uri(), fault);
        }
        landing.send_replace(Some(outcome));
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.end(Err(StatusListFault::Panicked));
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusLists")
            .field("lists", &self.0.current.load().lists.len())
            .finish_non_exhaustive()
    }
}
