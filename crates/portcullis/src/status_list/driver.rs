//! Asks the lists of a policy, and does what the slots say: fetches, and wakes those who wait.
use core::fmt;
use core::sync::atomic::{AtomicI64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::Instant;
use url::{Origin, Url};

use super::fault::{StatusListError, StatusListFault};
use super::list::{self, List, Moment};
use super::settings::Settings;
use super::slots::{Answer, Now, Slots, Snapshot};
use super::{CONNECT_TIMEOUT, StatusLists};
use crate::claims::StatusRule;
use crate::error::RevocationUnavailable;
use crate::fetch::{HttpClient, PlainHosts, Thread, check_status, get};
use crate::listeners::Listeners;
#[cfg(feature = "tracing")]
use crate::listeners::guarded;
use crate::revocation::{RevocationAnswer, RevocationSource, RevocationStatus};
use crate::time::{Clock, UnixTime};
use crate::token::{Reference, StatusClaim};
use crate::verified::VerifiedToken;
use crate::verifier::Rules;

pub(super) type Observer = dyn Fn(&StatusListError) + Send + Sync;

/// The type of a list's content (§8.1, §8.2).
const MEDIA_TYPE: &str = "application/statuslist+jwt";

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
    observers: Listeners<Observer>,
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

struct State {
    slots: Slots,
    /// What those who wait for a list wait on.
    flights: HashMap<Arc<str>, Flight>,
}

/// How a fetch ends. `None` while it has not.
type Flight = watch::Receiver<Option<Fetched>>;

/// The list, or in how long it is fetched again.
type Fetched = Result<Arc<List>, Duration>;

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
        let slots = Slots::new(settings.clone());
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
            current: ArcSwap::from_pointee(slots.snapshot()),
            state: Mutex::new(State { slots, flights: HashMap::new() }),
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
        let now = shared.now();
        if now.time >= current.until || now.moment >= current.until_moment {
            shared.change(|state| state.slots.sweep(now));
            return None;
        }
        (now.moment < current.refresh_at).then_some(current.generation)
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
        let now = shared.now();
        let current = shared.current.load();
        let here = current.lists.get(&*reference.key).filter(|list| list.serves(now));
        if let Some(list) = here {
            list.set_used_at(now.time);
            if now.moment >= list.refresh_at() {
                shared.refresh(reference, list, now);
            }
            return said(list, reference);
        }
        match shared.seek(reference, now, None) {
            Sought::Found(list) => said(&list, reference),
            Sought::Flies(flight) => RevocationStatus::Later(answer(flight, reference.index)),
            Sought::Resting(wait) => unavailable(wait),
            Sought::Refused(fault) => {
                shared.announce_refusal(reference, fault, now.time);
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

    fn now(&self) -> Now {
        Now { time: self.clock.now(), moment: self.moment() }
    }

    /// Changes the state, and makes what has changed seen. Before anybody is answered: an answer by a list
    /// that is gone was given before the generation went up.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.slots.generation();
        let result = change(&mut state);
        if state.slots.generation() != before {
            self.current.store(Arc::new(state.slots.snapshot()));
        }
        result
    }

    /// Has a list that still serves fetched anew.
    fn refresh(self: &Arc<Self>, reference: &Reference, list: &List, now: Now) {
        // Others need not try at the same time; the end of the fetch says when to try again.
        list.set_refresh_at(Moment::MAX);
        match self.seek(reference, now, Some(list)) {
            Sought::Found(_) | Sought::Flies(_) => {}
            Sought::Resting(wait) => list.set_refresh_at(now.moment.saturating_add(wait)),
            Sought::Refused(_) => list.set_refresh_at(now.moment.saturating_add(SOON)),
        }
    }

    /// Has a list fetched, unless it is being fetched or is here: another one than `old`.
    fn seek(self: &Arc<Self>, reference: &Reference, now: Now, old: Option<&List>) -> Sought {
        let url = match self.address(reference) {
            Ok(url) => url,
            Err(fault) => return Sought::Refused(fault),
        };
        let (key, issuer) = (&*reference.key, reference.issuer());
        let answer = self.change(|state| match state.slots.ask(key, issuer, now, old) {
            Answer::Here(list) => Err(Sought::Found(list)),
            Answer::InFlight => {
                let flight = state.flights.get(key).cloned();
                Err(flight.map_or(Sought::Resting(SOON), Sought::Flies))
            }
            Answer::Resting(wait) => Err(Sought::Resting(wait)),
            Answer::NoRoom => Err(Sought::Refused(StatusListFault::NoRoom)),
            Answer::Fetch => {
                let (landing, flight) = watch::channel(None);
                let key = Arc::<str>::from(key);
                state.flights.insert(Arc::clone(&key), flight.clone());
                Ok((key, landing, flight))
            }
        });
        let (key, landing, flight) = match answer {
            Ok(begun) => begun,
            Err(sought) => return sought,
        };
        let task = Fetch {
            shared: Arc::clone(self),
            key,
            issuer: issuer.into(),
            url,
            asked: now,
            landing: Some(landing),
        };
        // Without the lock: a task that cannot start ends here, and takes it.
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
        self.observers.notify(|observer| observer(&error));
    }
}

/// A list on its way. However it ends, be it by a panic, those who wait are told.
struct Fetch {
    shared: Arc<Shared>,
    key: Arc<str>,
    issuer: Arc<str>,
    url: Url,
    asked: Now,
    /// Taken when it ends.
    landing: Option<watch::Sender<Option<Fetched>>>,
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
        let origin = list::Origin { issuer, uri: self.uri(), asked: self.asked };
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
        let moment = self.shared.moment().max(self.asked.moment);
        let landed = self.shared.change(|state| {
            state.flights.remove(&self.key);
            state.slots.landed(&self.key, moment, result)
        });
        let outcome = landed.map_err(|(wait, fault)| {
            // Told first: a request that is answered finds what it caused.
            self.shared.announce(&self.issuer, self.uri(), fault);
            wait
        });
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
