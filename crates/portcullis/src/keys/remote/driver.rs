//! Does what the schedule says: fetches, takes keys over, wakes those who wait.
use core::fmt;
use core::mem;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

use super::caching::Caching;
use super::fetch::{Fetched, KeyFetchError, KeyFetchFault, Memory, Source};
use super::schedule::{Action, Input, KeyAnswer, Moment, Report, Schedule, WaiterId};
use super::settings::Settings;
use super::watch::{RemoteKeysEvent, RemoteKeysHealth};
use crate::fetch::FetchFault;
use crate::keys::set::Inner;
use crate::keys::{KeyQuery, KeySet, KeysUnavailable};
use crate::listeners::Listeners;
#[cfg(feature = "tracing")]
use crate::listeners::guarded;
use crate::signature::Algorithm;

pub(super) type Observer = dyn Fn(&str, &RemoteKeysEvent) + Send + Sync;

/// What a key set's handles, the requests that wait for it and its driver have in common.
pub(super) struct Shared {
    pub(super) source: Source,
    observers: Listeners<Observer>,
    /// Read by every request, without a lock.
    current: ArcSwap<Inner>,
    /// Until when the keys at hand serve, in milliseconds. The driver takes them away then; this is for when it does
    /// not come to it: its thread is blocked, or not there in a process that was forked.
    serves_until: AtomicU64,
    /// Held for moments, never across I/O, and only where a key is not known.
    engine: Mutex<Engine>,
    /// Wakes the driver.
    work: Notify,
    /// Whether there are keys to serve.
    serves: watch::Sender<bool>,
    start: Instant,
}

struct Engine {
    schedule: Schedule,
    /// What the driver has to do yet.
    pending: Vec<Action>,
    /// Since when the driver has something to do.
    pending_since: Option<Moment>,
    waiting: HashMap<WaiterId, oneshot::Sender<KeyAnswer>>,
    last_waiter: u64,
    generation: u64,
    fresh_for: Option<Duration>,
    /// Ids of keys that the last good fetch took away.
    doubtful: Vec<Box<str>>,
    last_error: Option<KeyFetchError>,
    /// The same in words, for each request that it costs its key.
    reason: Option<Arc<str>>,
    is_over: bool,
}

impl Shared {
    pub(super) fn new(source: Source, observers: Listeners<Observer>) -> Self {
        let engine = Engine {
            schedule: Schedule::new(source.settings.clone()),
            pending: Vec::new(),
            pending_since: None,
            waiting: HashMap::new(),
            last_waiter: 0,
            generation: 0,
            fresh_for: None,
            doubtful: Vec::new(),
            last_error: None,
            reason: None,
            is_over: false,
        };
        Self {
            source,
            observers,
            current: ArcSwap::new(KeySet::empty().0),
            serves_until: AtomicU64::new(u64::MAX),
            engine: Mutex::new(engine),
            work: Notify::new(),
            serves: watch::Sender::new(false),
            start: Instant::now(),
        }
    }

    /// The keys that serve now.
    pub(super) fn keys(&self) -> KeySet {
        if self.is_overdue() { KeySet::empty() } else { self.held() }
    }

    /// The keys that are there, however old.
    fn held(&self) -> KeySet {
        KeySet(self.current.load_full())
    }

    /// Whether the keys at hand are too old to serve, and the driver did not take them away.
    pub(super) fn is_overdue(&self) -> bool {
        let until = self.serves_until.load(Ordering::Acquire);
        until != u64::MAX && self.now() >= Moment::from_millis(until)
    }

    /// Whether the key that a token names is there, or for a token that names none, any.
    fn has(&self, query: &KeyQuery<'_>) -> bool {
        let is_meant = |id: Option<&str>| query.key_id.is_none() || id == query.key_id;
        self.keys().iter().any(|key| key.algorithm() == query.algorithm && is_meant(key.id()))
    }

    fn now(&self) -> Moment {
        Instant::now().saturating_duration_since(self.start)
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, engine: &mut Engine, input: Input) {
        let now = self.now();
        let woke_at = engine.schedule.wake_at(now);
        let mut actions = Vec::new();
        engine.schedule.handle(now, input, &mut actions);
        for action in actions {
            match action {
                Action::Answer { waiter, answer } => {
                    if let Some(waiter) = engine.waiting.remove(&waiter) {
                        // Whoever no longer waits does not mind.
                        let _ = waiter.send(answer);
                    }
                }
                action => {
                    engine.pending_since.get_or_insert(now);
                    engine.pending.push(action);
                }
            }
        }
        // Most tokens with an unknown key id change nothing, and wake nobody.
        let wakes_at = engine.schedule.wake_at(now);
        let is_sooner = wakes_at.is_some_and(|at| woke_at.is_none_or(|before| at < before));
        if is_sooner || !engine.pending.is_empty() {
            self.work.notify_one();
        }
    }

    /// Somebody wants keys, without waiting for them here.
    pub(super) fn want(&self) -> watch::Receiver<bool> {
        self.step(&mut self.engine(), Input::Wanted);
        self.serves.subscribe()
    }

    /// Fetches whatever the schedule says.
    pub(super) async fn refresh(self: Arc<Self>) -> Result<(), KeyFetchError> {
        let waiter = {
            let mut engine = self.engine();
            if engine.is_over {
                return Err(KeyFetchError::new(self.source.address(), KeyFetchFault::Ended));
            }
            let (waiter, answer) = engine.add_waiter();
            self.step(&mut engine, Input::Refresh { waiter });
            Waiter { shared: Arc::clone(&self), id: waiter, answer }
        };
        match waiter.answer().await {
            Some(KeyAnswer::Look { .. }) => Ok(()),
            _ => match &self.engine().last_error {
                Some(error) => Err(error.clone()),
                None => Err(KeyFetchError::new(self.source.address(), KeyFetchFault::Ended)),
            },
        }
    }

    /// Looks for the key of a token. `None`: there is no such key.
    pub(super) fn seek(self: &Arc<Self>, query: &KeyQuery<'_>) -> Option<Seeking> {
        let until = self.now().saturating_add(self.source.settings.max_wait);
        match self.ask(query, until) {
            Lookup::Answered(KeyAnswer::Unknown) => None,
            asked => {
                let key_id = query.key_id.map(Box::from);
                let algorithm = query.algorithm;
                Some(Seeking { shared: Arc::clone(self), key_id, algorithm, until, asked })
            }
        }
    }

    fn ask(self: &Arc<Self>, query: &KeyQuery<'_>, until: Moment) -> Lookup {
        let mut engine = self.engine();
        if engine.is_over {
            return Lookup::Answered(KeyAnswer::Unavailable { retry_after: None });
        }
        // Nobody waits for a driver that does not come to its work: it may never do so.
        let is_away = |since| self.now().saturating_sub(since) > LONGEST_ABSENCE;
        if engine.pending_since.is_some_and(is_away) {
            return Lookup::Answered(KeyAnswer::Unavailable { retry_after: None });
        }
        if self.is_overdue() {
            // Else it would take what it has for keys.
            self.step(&mut engine, Input::Tick);
        }
        // It may have come since the request looked; keys are taken over under this lock.
        if self.has(query) {
            return Lookup::Answered(KeyAnswer::Look { began_before: false });
        }
        let (id, mut answer) = engine.add_waiter();
        self.step(&mut engine, Input::Missed { waiter: id, until });
        match answer.try_recv() {
            // A server that is behind the others may have answered. The key does not serve meanwhile, but whether it
            // is gone, the next fetch has to say.
            Ok(KeyAnswer::Unknown) if engine.doubts(query) => {
                let now = self.now();
                let until = engine.schedule.cools_down_until(now);
                let retry_after = until.map(|until| until.saturating_sub(now));
                Lookup::Answered(KeyAnswer::Unavailable { retry_after })
            }
            Ok(answer) => Lookup::Answered(answer),
            Err(_) => Lookup::Waits(Waiter { shared: Arc::clone(self), id, answer }),
        }
    }

    /// What a request is told that found no key since none could be fetched, or none in time.
    fn unavailable(&self, retry_after: Option<Duration>) -> KeysUnavailable {
        let unavailable = KeysUnavailable::new().with_retry_after(retry_after);
        match &self.engine().reason {
            Some(reason) => unavailable.with_reason(Arc::clone(reason)),
            None => unavailable,
        }
    }

    /// Whether the next request would have what never came fetched once more.
    pub(super) fn would_try_again(&self) -> bool {
        self.engine().schedule.would_try_again()
    }

    pub(super) fn health(&self) -> RemoteKeysHealth {
        let engine = self.engine();
        let keys = self.keys();
        let (now, wall) = (self.now(), std::time::SystemTime::now());
        let schedule = &engine.schedule;
        let age = schedule.loaded_at().map(|at| now.saturating_sub(at));
        let cools_down = schedule.cools_down_until(now).map(|until| until.saturating_sub(now));
        RemoteKeysHealth {
            serves: schedule.serves() && !self.is_overdue(),
            keys: keys.len(),
            skipped: keys.skipped().to_vec(),
            generation: engine.generation,
            age,
            last_success: age.and_then(|age| wall.checked_sub(age)),
            fresh_for: engine.fresh_for,
            last_error: engine.last_error.clone(),
            failures: schedule.failures(),
            cooling_down_until: cools_down.and_then(|rest| wall.checked_add(rest)),
            throttled: schedule.throttled(),
        }
    }

    /// Puts `new` in the place of the keys at hand.
    fn take_over(&self, new: KeySet) -> KeySet {
        let old = self.held();
        let new = new.succeeding(&old);
        // In this order: a key that stays is never missing.
        self.current.store(Arc::clone(&new.0));
        old.give_way_to(&new);
        new
    }

    fn announce(&self, event: &RemoteKeysEvent) {
        let issuer = &*self.source.issuer;
        #[cfg(feature = "tracing")]
        guarded(|| super::watch::trace(issuer, event));
        self.observers.notify(|observer| observer(issuer, event));
    }

    /// Takes in how a fetch ended.
    fn ended(&self, result: Result<Fetched, KeyFetchError>) {
        let jitter = jitter();
        let mut engine = self.engine();
        let event = match result {
            Ok(Fetched { keys, caching }) => {
                let fresh_for = fresh_for(&self.source.settings, caching);
                engine.doubtful.clear();
                let event = keys.and_then(|keys| {
                    let old = self.held();
                    let keys = self.take_over(keys);
                    engine.doubtful = old.ids_missing_in(&keys);
                    let is_same = old.has_same_keys(&keys);
                    engine.generation += u64::from(!is_same);
                    let generation = engine.generation;
                    (!is_same).then_some(RemoteKeysEvent::Refreshed { generation, keys })
                });
                engine.fresh_for = Some(fresh_for);
                engine.last_error = None;
                engine.reason = None;
                self.step(&mut engine, Input::Loaded { fresh_for, jitter });
                let until = engine.schedule.expires_at().map(|at| at.as_millis());
                let until = until.and_then(|until| u64::try_from(until).ok());
                self.serves_until.store(until.unwrap_or(u64::MAX), Ordering::Release);
                Some(event.unwrap_or(RemoteKeysEvent::Unchanged))
            }
            Err(error) => {
                let retry_after = error.retry_after();
                engine.reason = Some(error.to_string().into());
                engine.last_error = Some(error);
                self.step(&mut engine, Input::Failed { retry_after, jitter });
                None
            }
        };
        self.serves.send_replace(engine.schedule.serves());
        drop(engine);
        if let Some(event) = event {
            self.announce(&event);
        }
    }

    fn event(&self, report: Report) -> Option<RemoteKeysEvent> {
        Some(match report {
            Report::UnknownKey => RemoteKeysEvent::UnknownKey,
            Report::Throttled { ends_in } => RemoteKeysEvent::Throttled { ends_in },
            Report::Failed { retry_in } => {
                RemoteKeysEvent::Failed { error: self.engine().last_error.clone()?, retry_in }
            }
            Report::StaleServed { age, ends_in } => RemoteKeysEvent::StaleServed { age, ends_in },
            Report::Expired => RemoteKeysEvent::Expired,
        })
    }
}

impl Engine {
    /// Whether the key that a token names was there before the last fetch.
    fn doubts(&self, query: &KeyQuery<'_>) -> bool {
        query.key_id.is_some_and(|id| self.doubtful.iter().any(|lost| **lost == *id))
    }

    fn add_waiter(&mut self) -> (WaiterId, oneshot::Receiver<KeyAnswer>) {
        self.last_waiter += 1;
        let id = WaiterId(self.last_waiter);
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(id, sender);
        (id, receiver)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("source", &self.source).finish_non_exhaustive()
    }
}

enum Lookup {
    Answered(KeyAnswer),
    Waits(Waiter),
}

/// A request that may have to wait for a fetch: for which key, and for how long.
pub(super) struct Seeking {
    shared: Arc<Shared>,
    key_id: Option<Box<str>>,
    algorithm: Algorithm,
    until: Moment,
    asked: Lookup,
}

impl Seeking {
    pub(super) async fn wait(self) -> Result<(), KeysUnavailable> {
        let Self { shared, key_id, algorithm, until, mut asked } = self;
        let query = KeyQuery { key_id: key_id.as_deref(), algorithm };
        loop {
            let answer = match asked {
                Lookup::Answered(answer) => Some(answer),
                Lookup::Waits(waiter) => waiter.answer().await,
            };
            match answer {
                // The fetch may have been answered before the key was published.
                Some(KeyAnswer::Look { began_before: true }) if !shared.has(&query) => {
                    asked = shared.ask(&query, until);
                }
                Some(KeyAnswer::Look { .. } | KeyAnswer::Unknown) => return Ok(()),
                Some(KeyAnswer::Unavailable { retry_after }) => {
                    return Err(shared.unavailable(retry_after));
                }
                None => return Err(KeysUnavailable::default()),
            }
        }
    }
}

/// Somebody who waits. Gives the place free when dropped.
struct Waiter {
    shared: Arc<Shared>,
    id: WaiterId,
    answer: oneshot::Receiver<KeyAnswer>,
}

impl Waiter {
    /// Nothing if the driver is gone.
    async fn answer(mut self) -> Option<KeyAnswer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut engine = self.shared.engine();
        if engine.waiting.remove(&self.id).is_some() {
            self.shared.step(&mut engine, Input::Left { waiter: self.id });
        }
    }
}

impl Shared {
    /// Serves no more keys, unless others have come since.
    fn expire(&self, memory: &mut Memory) {
        let engine = self.engine();
        if !engine.schedule.serves() {
            self.take_over(KeySet::empty());
            self.serves.send_replace(false);
            memory.forget_set();
        }
    }

    /// What a fetch came to, which hands back what is remembered of the server.
    fn result_of(
        &self,
        ended: Result<(Memory, Result<Fetched, KeyFetchError>), JoinError>,
        memory: &mut Memory,
    ) -> Result<Fetched, KeyFetchError> {
        let failed = |fault| Err(KeyFetchError::new(self.source.address(), fault));
        let Ok((kept, result)) = ended else { return failed(KeyFetchFault::Panicked) };
        *memory = kept;
        match result {
            // A set that expired meanwhile has to come whole.
            Ok(Fetched { keys: None, .. }) if self.keys().is_empty() => {
                memory.forget_set();
                failed(KeyFetchFault::Fetch(FetchFault::Status { status: 304 }))
            }
            result => result,
        }
    }
}

/// Runs until `stop` is closed.
pub(super) async fn drive(shared: Arc<Shared>, mut stop: oneshot::Receiver<()>) {
    let _end = End(Arc::clone(&shared));
    let mut memory = Memory::default();
    // Never more than one.
    let mut fetches = JoinSet::new();
    loop {
        let (actions, wake_at) = {
            let mut engine = shared.engine();
            engine.pending_since = None;
            (mem::take(&mut engine.pending), engine.schedule.wake_at(shared.now()))
        };
        for action in actions {
            match action {
                Action::Fetch => {
                    let (shared, mut memory) = (Arc::clone(&shared), mem::take(&mut memory));
                    fetches.spawn(async move {
                        let result = shared.source.fetch(&mut memory, shared.now()).await;
                        (memory, result)
                    });
                }
                Action::Expire => shared.expire(&mut memory),
                Action::Report(report) => {
                    if let Some(event) = shared.event(report) {
                        shared.announce(&event);
                    }
                }
                Action::Answer { .. } => {}
            }
        }
        let wake = async {
            match wake_at {
                Some(at) => tokio::time::sleep_until(shared.start + at).await,
                None => core::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = &mut stop => return,
            Some(ended) = fetches.join_next() => {
                let result = shared.result_of(ended, &mut memory);
                shared.ended(result);
            }
            () = shared.work.notified() => {}
            () = wake => shared.step(&mut shared.engine(), Input::Tick),
        }
    }
}

/// The end of a driver, be it by a panic: keys that nobody keeps current are not served.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let Self(shared) = self;
        let mut engine = shared.engine();
        engine.is_over = true;
        engine.waiting.clear();
        shared.take_over(KeySet::empty());
        shared.serves.send_replace(false);
    }
}

/// How long the thread may leave its work undone before requests no longer wait for it: as long as they wait for a
/// fetch.
const LONGEST_ABSENCE: Duration = Duration::from_secs(2);

/// For how long a set that came with `caching` is fresh.
fn fresh_for(settings: &Settings, caching: Caching) -> Duration {
    let Settings { fresh_for, min_fresh, max_fresh, .. } = *settings;
    match caching {
        Caching { no_store: true, .. } => min_fresh,
        Caching { max_age: Some(max_age), .. } => max_age.clamp(min_fresh, max_fresh),
        Caching { max_age: None, .. } => fresh_for,
    }
}

/// A random number from 0 to 1.
fn jitter() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness there is no jitter, and no harm.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}
