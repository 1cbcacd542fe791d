//! When keys are fetched, who waits for it, and how long they are served: a state machine without
//! I/O and without a clock. What happens and the time go in, what is to be done comes out.
use core::time::Duration;

use super::settings::Settings;

/// Time since some start, which never goes backwards.
pub(super) type Moment = Duration;

/// Who waits. Never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct WaiterId(pub(super) u64);

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    /// A token names a key that the keys at hand lack. Its request waits until then, at most.
    Missed { waiter: WaiterId, until: Moment },
    /// Keys are wanted by someone with time. What has been loaded is enough.
    Wanted,
    /// Somebody asks for what is there now, whatever was fetched before.
    Refresh { waiter: WaiterId },
    /// Who waited no longer does.
    Left { waiter: WaiterId },
    /// The fetch brought keys, or word that those at hand are the current ones. They are fresh for
    /// so long. `jitter` is a random number from 0 to 1.
    Loaded { fresh_for: Duration, jitter: f64 },
    /// The fetch brought nothing to use. The server may have said when to ask again.
    Failed { retry_after: Option<Duration>, jitter: f64 },
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    /// Fetch, and say how it ended.
    Fetch,
    /// Tell who waits.
    Answer { waiter: WaiterId, answer: KeyAnswer },
    /// Serve no keys any more.
    Expire,
    /// Say so to whoever watches.
    Report(Report),
}

/// What someone who waits is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeyAnswer {
    /// A fetch has come to a good end. If it began before the question, it may have been answered
    /// before the key was published.
    Look { began_before: bool },
    /// There is no such key, as far as the last good fetch knows.
    Unknown,
    /// It could not be found out. Ask again after so long, where that is known.
    Unavailable { retry_after: Option<Duration> },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Report {
    /// A key id that is not known is looked for, now or when the cool-down is over.
    UnknownKey,
    /// The same within the cool-down, which ends after so long. Said once in each.
    Throttled { ends_in: Duration },
    /// A fetch has failed, the next is due after so long.
    Failed { retry_in: Duration },
    /// After a failure: the keys at hand are of a success so long ago, and serve for so long yet.
    StaleServed { age: Duration, ends_in: Duration },
    /// They are too old to be served.
    Expired,
}

/// The state.
#[derive(Debug)]
pub(super) struct Schedule {
    settings: Settings,
    /// Fetches begun so far.
    attempts: u64,
    /// When the last one began.
    last_attempt: Option<Moment>,
    in_flight: bool,
    loaded: Option<Loaded>,
    /// Fetches that failed since the last that did not.
    failures: u32,
    /// When to try again after a failure.
    retry_at: Moment,
    /// Whether a key that is not known is to be looked for.
    misses: bool,
    /// Whether keys are wanted though no request waits.
    wanted: bool,
    throttle_reported: bool,
    throttled: u64,
    waiting: Vec<Waiter>,
    refreshing: Vec<Refreshing>,
}

#[derive(Debug)]
struct Loaded {
    at: Moment,
    refresh_at: Moment,
    expired: bool,
}

/// A request.
#[derive(Debug)]
struct Waiter {
    id: WaiterId,
    since: Moment,
    until: Moment,
}

/// Someone who asked for a fetch, and the first one that will do.
#[derive(Debug)]
struct Refreshing {
    id: WaiterId,
    attempt: u64,
}

impl Schedule {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            attempts: 0,
            last_attempt: None,
            in_flight: false,
            loaded: None,
            failures: 0,
            retry_at: Moment::ZERO,
            misses: false,
            wanted: false,
            throttle_reported: false,
            throttled: 0,
            waiting: Vec::new(),
            refreshing: Vec::new(),
        }
    }

    /// Takes in what happened at `now`, and adds to `actions` what is to be done about it.
    pub(super) fn handle(&mut self, now: Moment, input: Input, actions: &mut Vec<Action>) {
        match input {
            Input::Missed { waiter, until } => self.missed(now, waiter, until, actions),
            Input::Wanted => self.wanted = self.wanted || !self.serves(),
            Input::Refresh { waiter } => {
                // One that is under way may have been answered already.
                self.refreshing.push(Refreshing { id: waiter, attempt: self.attempts + 1 });
            }
            Input::Left { waiter } => {
                self.waiting.retain(|other| other.id != waiter);
                self.refreshing.retain(|other| other.id != waiter);
            }
            Input::Loaded { fresh_for, jitter } => self.succeeded(now, fresh_for, jitter, actions),
            Input::Failed { retry_after, jitter } => self.failed(now, retry_after, jitter, actions),
            Input::Tick => {}
        }
        self.expire_waiters(now, actions);
        self.expire(now, actions);
        if !self.in_flight && self.due(now).is_some_and(|due| due <= now) {
            self.begin(now, actions);
        }
    }

    /// When [`Input::Tick`] is wanted.
    pub(super) fn wake_at(&self, now: Moment) -> Option<Moment> {
        let due = if self.in_flight { None } else { self.due(now) };
        let expiry = self.expires_at();
        let patience = self.waiting.iter().map(|waiter| waiter.until).min();
        [due, expiry, patience].into_iter().flatten().min()
    }

    /// Whether there are keys to serve.
    pub(super) fn serves(&self) -> bool {
        self.loaded.as_ref().is_some_and(|loaded| !loaded.expired)
    }

    /// When the keys at hand were last the current ones.
    pub(super) fn loaded_at(&self) -> Option<Moment> {
        self.loaded.as_ref().map(|loaded| loaded.at)
    }

    /// When the keys at hand are too old to be served.
    pub(super) fn expires_at(&self) -> Option<Moment> {
        let loaded = self.loaded.as_ref().filter(|loaded| !loaded.expired)?;
        Some(loaded.at.saturating_add(self.settings.max_stale))
    }

    /// Until when an unknown key id causes no fetch.
    pub(super) fn cools_down_until(&self, now: Moment) -> Option<Moment> {
        Some(self.free_at()).filter(|free| *free > now)
    }

    /// Whether no set ever came, though one was fetched, and the next request that wants a key has that done again.
    pub(super) fn would_try_again(&self) -> bool {
        self.loaded.is_none() && self.failures > 0 && !self.in_flight && !self.misses
    }

    /// Fetches that failed since the last that did not.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// How many requests were answered without a fetch, since it was too soon for one.
    pub(super) fn throttled(&self) -> u64 {
        self.throttled
    }

    /// When an unknown key id may cause a fetch.
    fn free_at(&self) -> Moment {
        if self.failures > 0 {
            // Its own budget: failures neither use up that of unknown ids nor the other way round.
            return self.retry_at;
        }
        self.last_attempt.map_or(Moment::ZERO, |last| last.saturating_add(self.settings.cool_down))
    }

    /// When the next fetch is to begin, if none is under way.
    fn due(&self, now: Moment) -> Option<Moment> {
        let refresh = (!self.refreshing.is_empty()).then_some(now);
        // A set that was loaded once is kept current. One that never was may be an invention of
        // whoever sent the token: it is asked for only while somebody wants it.
        let ahead = self.loaded.as_ref().map(|loaded| match self.failures {
            0 => loaded.refresh_at,
            _ => self.retry_at,
        });
        let wanted = self.wanted.then_some(self.retry_at);
        let missing = self.misses.then(|| self.free_at());
        [refresh, ahead, wanted, missing].into_iter().flatten().min()
    }

    fn begin(&mut self, now: Moment, actions: &mut Vec<Action>) {
        self.attempts += 1;
        self.last_attempt = Some(now);
        self.in_flight = true;
        self.misses = false;
        self.throttle_reported = false;
        actions.push(Action::Fetch);
    }

    fn missed(&mut self, now: Moment, waiter: WaiterId, until: Moment, actions: &mut Vec<Action>) {
        if !self.misses && !self.in_flight {
            self.misses = true;
            if self.serves() {
                actions.push(Action::Report(Report::UnknownKey));
            }
        }
        let begins_at = if self.in_flight { now } else { self.due(now).unwrap_or(now).max(now) };
        // A fetch that begins when patience ends is not worth waiting for.
        let answer = if begins_at < until || begins_at == now {
            if self.waiting.len() < self.max_waiting() {
                self.waiting.push(Waiter { id: waiter, since: now, until });
                return;
            }
            // Those before it are being found out; of this one nothing is known.
            KeyAnswer::Unavailable { retry_after: Some(Duration::from_secs(1)) }
        } else if self.serves() && self.failures == 0 {
            KeyAnswer::Unknown
        } else {
            KeyAnswer::Unavailable { retry_after: Some(begins_at.saturating_sub(now)) }
        };
        self.throttled += 1;
        if !self.throttle_reported {
            self.throttle_reported = true;
            let ends_in = begins_at.saturating_sub(now);
            actions.push(Action::Report(Report::Throttled { ends_in }));
        }
        actions.push(Action::Answer { waiter, answer });
    }

    /// How many may wait: while there are no keys, it is not only tokens with an unknown key id that do.
    fn max_waiting(&self) -> usize {
        let Settings { max_waiting, max_waiting_without_keys, .. } = self.settings;
        if self.serves() { max_waiting } else { max_waiting_without_keys }
    }

    fn succeeded(
        &mut self,
        now: Moment,
        fresh_for: Duration,
        jitter: f64,
        actions: &mut Vec<Action>,
    ) {
        self.in_flight = false;
        self.failures = 0;
        self.wanted = false;
        // Where they are not served for as long as they are fresh, before they expire.
        let fresh_for = fresh_for.min(self.settings.max_stale);
        // ±10 %: a fleet that was started together does not ask together.
        let share = f64::from(self.settings.refresh_at_percent) / 100.0 * (0.9 + 0.2 * jitter);
        let refresh_at = now.saturating_add(fresh_for.mul_f64(share));
        self.loaded = Some(Loaded { at: now, refresh_at, expired: false });
        let began = self.last_attempt.unwrap_or(now);
        for waiter in self.waiting.drain(..) {
            let answer = KeyAnswer::Look { began_before: began < waiter.since };
            actions.push(Action::Answer { waiter: waiter.id, answer });
        }
        self.answer_refreshing(KeyAnswer::Look { began_before: false }, actions);
    }

    fn failed(
        &mut self,
        now: Moment,
        retry_after: Option<Duration>,
        jitter: f64,
        actions: &mut Vec<Action>,
    ) {
        self.in_flight = false;
        let Settings { first_retry, max_retry, max_fresh, .. } = self.settings;
        // Not by a retry library: they own the loop and the sleep, and here both belong to events.
        let most = first_retry.saturating_mul(2_u32.saturating_pow(self.failures)).min(max_retry);
        // Full jitter, but never at once.
        let mut retry_in = most.mul_f64(jitter).max(MIN_RETRY);
        if let Some(asked) = retry_after {
            // No server may stop the questions for longer than it may say that keys are fresh; and while there are
            // none, it stops the service.
            let most = if self.serves() { max_fresh } else { max_retry };
            retry_in = retry_in.max(asked.min(most));
        }
        self.failures = self.failures.saturating_add(1);
        self.retry_at = now.saturating_add(retry_in);
        actions.push(Action::Report(Report::Failed { retry_in }));
        if let (Some(at), Some(expiry)) = (self.loaded_at(), self.expires_at())
            && now < expiry
        {
            let (age, ends_in) = (now.saturating_sub(at), expiry - now);
            actions.push(Action::Report(Report::StaleServed { age, ends_in }));
        }
        let answer = KeyAnswer::Unavailable { retry_after: Some(retry_in) };
        let waiting = self.waiting.drain(..);
        actions.extend(waiting.map(|waiter| Action::Answer { waiter: waiter.id, answer }));
        self.answer_refreshing(answer, actions);
    }

    fn answer_refreshing(&mut self, answer: KeyAnswer, actions: &mut Vec<Action>) {
        let attempts = self.attempts;
        self.refreshing.retain(|waiter| {
            let is_answered = waiter.attempt <= attempts;
            if is_answered {
                actions.push(Action::Answer { waiter: waiter.id, answer });
            }
            !is_answered
        });
    }

    /// Tells requests that have waited long enough.
    fn expire_waiters(&mut self, now: Moment, actions: &mut Vec<Action>) {
        let answer = KeyAnswer::Unavailable { retry_after: None };
        self.waiting.retain(|waiter| {
            let is_over = waiter.until <= now;
            if is_over {
                actions.push(Action::Answer { waiter: waiter.id, answer });
            }
            !is_over
        });
    }

    fn expire(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if self.expires_at().is_some_and(|expiry| expiry <= now)
            && let Some(loaded) = &mut self.loaded
        {
            loaded.expired = true;
            // As where there never were keys.
            self.retry_at = self.retry_at.min(now.saturating_add(self.settings.max_retry));
            actions.extend([Action::Expire, Action::Report(Report::Expired)]);
        }
    }
}

/// What full jitter must not go below.
const MIN_RETRY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
