use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::Index;

use super::KeyAnswer::{Look, Unavailable, Unknown};
use super::*;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A schedule and a model of it, which checks all that it does.
struct Harness {
    schedule: Schedule,
    settings: Settings,
    now: Moment,
    /// Whether each tick comes when it is wanted, as under a driver that is not held up.
    is_punctual: bool,
    last_waiter: u64,
    attempts: u64,
    began: Moment,
    in_flight: bool,
    success: Option<Success>,
    failures: u32,
    retry_at: Moment,
    /// Whether a key was missed since the last fetch began.
    missed: bool,
    wanted: bool,
    waiting: BTreeMap<u64, Waits>,
    /// Who waits for the end of which attempt.
    refreshing: BTreeMap<u64, u64>,
    at_once: u64,
    /// Since the last fetch began.
    reported_unknown_key: bool,
    reported_throttled: bool,
}

#[derive(Clone, Copy)]
struct Success {
    at: Moment,
    refresh_at: Moment,
    expires_at: Moment,
    has_expired: bool,
}

#[derive(Clone, Copy)]
struct Waits {
    since: Moment,
    until: Moment,
}

impl Harness {
    fn new(settings: Settings) -> Self {
        assert_eq!(settings.faults(), []);
        Self {
            schedule: Schedule::new(settings.clone()),
            settings,
            now: Moment::ZERO,
            is_punctual: true,
            last_waiter: 0,
            attempts: 0,
            began: Moment::ZERO,
            in_flight: false,
            success: None,
            failures: 0,
            retry_at: Moment::ZERO,
            missed: false,
            wanted: false,
            waiting: BTreeMap::new(),
            refreshing: BTreeMap::new(),
            at_once: 0,
            reported_unknown_key: false,
            reported_throttled: false,
        }
    }

    /// One with keys, which are fresh for five minutes.
    fn with_keys() -> Self {
        let mut harness = Self::new(Settings::default());
        harness.handle(Input::Wanted);
        assert_eq!(harness.loaded(0.5), []);
        harness
    }

    /// Somebody misses a key, and would wait for two seconds.
    fn missed(&mut self) -> Vec<Action> {
        self.missed_for(2 * SECOND)
    }

    fn missed_for(&mut self, patience: Duration) -> Vec<Action> {
        self.last_waiter += 1;
        let waiter = WaiterId(self.last_waiter);
        self.handle(Input::Missed { waiter, until: self.now + patience })
    }

    fn refresh(&mut self) -> Vec<Action> {
        self.last_waiter += 1;
        self.handle(Input::Refresh { waiter: WaiterId(self.last_waiter) })
    }

    fn left(&mut self, waiter: u64) -> Vec<Action> {
        self.handle(Input::Left { waiter: WaiterId(waiter) })
    }

    fn loaded(&mut self, jitter: f64) -> Vec<Action> {
        self.handle(Input::Loaded { fresh_for: 5 * MINUTE, jitter })
    }

    fn failed(&mut self, jitter: f64) -> Vec<Action> {
        self.handle(Input::Failed { retry_after: None, jitter })
    }

    /// Lets time pass. Ticks as a driver would, or being late, only at the end.
    fn pass(&mut self, time: Duration) -> Vec<Action> {
        let end = self.now + time;
        let mut actions = Vec::new();
        while let Some(at) = self.schedule.wake_at(self.now).filter(|at| *at <= end) {
            assert!(at > self.now, "a busy loop");
            self.now = if self.is_punctual { at } else { end };
            actions.extend(self.handle(Input::Tick));
        }
        self.now = end;
        actions
    }

    /// Fails fetch after fetch for so long. Gives how many there were.
    fn fail_for(&mut self, time: Duration, jitter: f64) -> u32 {
        let (end, before) = (self.now + time, self.failures);
        while self.now < end {
            if self.in_flight {
                self.failed(jitter);
            }
            let wake = self.schedule.wake_at(self.now).expect("a retry");
            self.pass(wake.min(end) - self.now);
        }
        self.failures - before
    }

    fn serves(&self) -> bool {
        self.success.is_some_and(|success| self.now < success.expires_at)
    }

    /// Whether there are keys, which may be too old where the driver is late.
    fn holds(&self) -> bool {
        self.success.is_some_and(|success| !success.has_expired)
    }

    /// When the next fetch begins if none is under way.
    fn due(&self) -> Option<Moment> {
        let refresh = (!self.refreshing.is_empty()).then_some(self.now);
        let others = if self.failures > 0 {
            // Whatever is wanted: nothing but an operator's word comes before the back-off's end.
            let is_wanted = self.success.is_some() || self.wanted || self.missed;
            [is_wanted.then_some(self.retry_at), None, None]
        } else {
            let free =
                if self.attempts == 0 { self.now } else { self.began + self.settings.cool_down };
            [
                self.success.map(|success| success.refresh_at),
                self.missed.then_some(free),
                self.wanted.then_some(self.now),
            ]
        };
        others.into_iter().chain([refresh]).flatten().min()
    }

    /// Feeds the schedule, and checks what it does and how it is afterwards.
    fn handle(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        self.schedule.handle(self.now, input, &mut actions);
        let mut reports = Vec::new();
        let mut answer_at_once = None;
        let mut told = BTreeMap::new();
        match input {
            Input::Missed { waiter, until } => {
                if !self.missed && !self.in_flight && self.success.is_some_and(|it| !it.has_expired)
                {
                    reports.push(Report::UnknownKey);
                }
                self.missed |= !self.in_flight;
                answer_at_once = self.answer_at_once(until).map(|answer| (waiter.0, answer));
                if answer_at_once.is_none() {
                    self.waiting.insert(waiter.0, Waits { since: self.now, until });
                }
            }
            Input::Wanted => self.wanted |= self.success.is_none_or(|it| it.has_expired),
            Input::Refresh { waiter } => {
                self.refreshing.insert(waiter.0, self.attempts + 1);
            }
            Input::Left { waiter } => {
                self.waiting.remove(&waiter.0);
                self.refreshing.remove(&waiter.0);
            }
            Input::Loaded { fresh_for, jitter } => {
                self.take_in_success(fresh_for, jitter);
                let answer = |waits: &Waits| Look { began_before: self.began < waits.since };
                told.extend(self.waiting.iter().map(|(id, waits)| (*id, answer(waits))));
                self.waiting.clear();
                told.extend(self.refreshed(Look { began_before: false }));
            }
            Input::Failed { retry_after, jitter } => {
                let retry_in = self.retry_in(retry_after, jitter);
                self.in_flight = false;
                self.failures += 1;
                self.retry_at = self.now + retry_in;
                reports.push(Report::Failed { retry_in });
                if let Some(Success { at, expires_at, has_expired: false, .. }) = self.success
                    && self.now < expires_at
                {
                    let (age, ends_in) = (self.now - at, expires_at - self.now);
                    reports.push(Report::StaleServed { age, ends_in });
                }
                let answer = Unavailable { retry_after: Some(retry_in) };
                told.extend(self.waiting.keys().map(|id| (*id, answer)));
                self.waiting.clear();
                told.extend(self.refreshed(answer));
            }
            Input::Tick => {}
        }
        for action in &actions {
            match *action {
                Action::Fetch => self.check_fetch(),
                Action::Expire => {
                    self.check_expiry();
                    reports.push(Report::Expired);
                }
                Action::Answer { waiter: WaiterId(id), answer } => {
                    if let Some(expected) = told.remove(&id) {
                        assert_eq!(answer, expected);
                    } else if let Some((_, expected)) =
                        answer_at_once.take_if(|(own, _)| *own == id)
                    {
                        assert_eq!(answer, expected);
                        self.at_once += 1;
                    } else {
                        self.check_end_of_patience(id, answer);
                    }
                }
                Action::Report(Report::Throttled { .. }) => {
                    assert!(!self.reported_throttled, "said once before each fetch");
                    self.reported_throttled = true;
                }
                Action::Report(report) => {
                    let at = reports.iter().position(|expected| *expected == report);
                    reports.remove(at.expect("a report that is due"));
                    if report == Report::UnknownKey {
                        assert!(!self.reported_unknown_key, "said once before each fetch");
                        self.reported_unknown_key = true;
                    }
                }
            }
        }
        assert_eq!(reports, [], "left out");
        assert_eq!(told, BTreeMap::new(), "not told");
        assert_eq!(answer_at_once, None, "not answered");
        self.check_state();
        actions
    }

    /// What a request is told that is not to wait until then.
    fn answer_at_once(&self, until: Moment) -> Option<KeyAnswer> {
        let begins_at = if self.in_flight { self.now } else { self.due()?.max(self.now) };
        let Settings { max_waiting, max_waiting_without_keys, .. } = self.settings;
        let most = if self.holds() { max_waiting } else { max_waiting_without_keys };
        let is_full = self.waiting.len() >= most;
        if begins_at < until || begins_at == self.now {
            return is_full.then_some(Unavailable { retry_after: Some(SECOND) });
        }
        if self.failures == 0 {
            // Unknown is not invalid.
            assert!(self.attempts > 0 && self.serves());
            return Some(Unknown);
        }
        Some(Unavailable { retry_after: Some(begins_at - self.now) })
    }

    fn take_in_success(&mut self, fresh_for: Duration, jitter: f64) {
        self.in_flight = false;
        self.failures = 0;
        self.wanted = false;
        let expires_at = self.now + self.settings.max_stale;
        let refresh_at = self.schedule.loaded.as_ref().expect("keys").refresh_at;
        // At the percentage of it, or if they are not served for so long, of that; ±10 %.
        let fresh_for = fresh_for.min(self.settings.max_stale).as_secs_f64();
        let part = f64::from(self.settings.refresh_at_percent) / 100.0 * fresh_for;
        let expected = part * (0.9 + 0.2 * jitter);
        let difference = (refresh_at - self.now).as_secs_f64() - expected;
        assert!(difference.abs() < 0.001, "refreshed {difference} s too late");
        assert!(refresh_at < expires_at);
        self.success = Some(Success { at: self.now, refresh_at, expires_at, has_expired: false });
    }

    /// Exponential, with full jitter, and within reason no less than a server asks for.
    fn retry_in(&self, retry_after: Option<Duration>, jitter: f64) -> Duration {
        let mut most = self.settings.first_retry;
        for _ in 0..self.failures {
            most = (most * 2).min(self.settings.max_retry);
        }
        let Settings { max_fresh, max_retry, .. } = self.settings;
        let bound = if self.holds() { max_fresh } else { max_retry };
        let asked = retry_after.unwrap_or_default().min(bound);
        most.mul_f64(jitter).max(100 * MILLISECOND).max(asked)
    }

    /// Those who asked for the fetch that has ended now, or an earlier one.
    fn refreshed(&mut self, answer: KeyAnswer) -> Vec<(u64, KeyAnswer)> {
        let those: Vec<_> = self.refreshing.iter().map(|(id, attempt)| (*id, *attempt)).collect();
        let told = those.into_iter().filter(|(_, attempt)| *attempt <= self.attempts);
        told.map(|(id, _)| (id, answer))
            .inspect(|(id, _)| {
                self.refreshing.remove(id);
            })
            .collect()
    }

    fn check_fetch(&mut self) {
        assert!(!self.in_flight, "two fetches at a time");
        assert!(self.due().is_some_and(|due| due <= self.now), "for nothing, or too early");
        self.attempts += 1;
        self.began = self.now;
        self.in_flight = true;
        self.missed = false;
        self.reported_unknown_key = false;
        self.reported_throttled = false;
    }

    fn check_expiry(&mut self) {
        let success = self.success.as_mut().expect("keys that expire");
        assert!(!success.has_expired, "twice");
        assert!(self.now >= success.expires_at, "too early");
        if self.is_punctual {
            assert_eq!(self.now, success.expires_at, "too late");
            assert!(self.in_flight || self.failures > 0, "without a try to fetch them anew");
        }
        success.has_expired = true;
        self.retry_at = self.retry_at.min(self.now + self.settings.max_retry);
    }

    fn check_end_of_patience(&mut self, waiter: u64, answer: KeyAnswer) {
        let Waits { until, .. } = self.waiting.remove(&waiter).expect("someone who waits");
        assert!(until <= self.now, "too early");
        if self.is_punctual {
            assert_eq!(until, self.now, "too late");
        }
        assert_eq!(answer, Unavailable { retry_after: None });
    }

    fn check_state(&self) {
        let Self { schedule, success, now, .. } = self;
        assert_eq!(schedule.serves(), self.serves());
        assert_eq!(schedule.loaded_at(), success.map(|success| success.at));
        let live = success.filter(|success| !success.has_expired);
        assert_eq!(schedule.expires_at(), live.map(|success| success.expires_at));
        assert_eq!(schedule.failures(), self.failures);
        assert_eq!(schedule.throttled(), self.at_once);
        let waiting: Vec<_> = schedule.waiting.iter().map(|waiter| waiter.id.0).collect();
        assert_eq!(waiting, self.waiting.keys().copied().collect::<Vec<_>>());
        let Settings { max_waiting, max_waiting_without_keys, .. } = self.settings;
        assert!(waiting.len() <= max_waiting.max(max_waiting_without_keys), "too many wait");
        assert!(self.waiting.values().all(|waits| waits.until > *now), "waits too long");
        assert_eq!(schedule.in_flight, self.in_flight);
        let due = self.due().filter(|_| !self.in_flight);
        assert!(due.is_none_or(|due| due > *now), "a fetch is held up");
        // Nobody asks for what nobody wants, and what was loaded once is kept current.
        assert_eq!(schedule.due(*now).filter(|_| !self.in_flight), due);
        let ends = self.waiting.values().map(|waits| waits.until);
        let next = ends.chain(due).chain(live.map(|success| success.expires_at)).min();
        assert_eq!(schedule.wake_at(*now), next);
        let free = if self.failures > 0 {
            self.retry_at
        } else if self.attempts > 0 {
            self.began + self.settings.cool_down
        } else {
            Moment::ZERO
        };
        assert_eq!(schedule.cools_down_until(*now), (free > *now).then_some(free));
    }
}

fn answer(waiter: u64, answer: KeyAnswer) -> Action {
    Action::Answer { waiter: WaiterId(waiter), answer }
}

fn unavailable_for(time: Duration) -> KeyAnswer {
    Unavailable { retry_after: Some(time) }
}

#[test]
fn nothing_is_fetched_that_nobody_wants() {
    let mut harness = Harness::new(Settings::default());
    assert_eq!(harness.pass(7 * DAY), []);
    assert_eq!(harness.handle(Input::Tick), []);
    // One request wants it, once: after a failure only the next does.
    assert_eq!(harness.missed(), [Action::Fetch]);
    harness.failed(1.0);
    assert_eq!(harness.pass(7 * DAY), []);
    assert_eq!(harness.missed(), [Action::Fetch]);
}

#[test]
fn keys_that_are_wanted_are_fetched_until_they_are_there_and_then_kept_current() {
    let mut harness = Harness::new(Settings::default());
    assert_eq!(harness.handle(Input::Wanted), [Action::Fetch]);
    assert_eq!(harness.handle(Input::Wanted), []);
    for retry_in in [1, 2, 4] {
        let retry_in = retry_in * SECOND;
        assert_eq!(harness.failed(1.0), [Action::Report(Report::Failed { retry_in })]);
        assert_eq!(harness.pass(retry_in - MILLISECOND), []);
        assert_eq!(harness.pass(MILLISECOND), [Action::Fetch]);
    }
    assert_eq!(harness.loaded(0.5), []);
    assert_eq!(harness.handle(Input::Wanted), []);
    assert_eq!(harness.pass(4 * MINUTE - MILLISECOND), []);
    assert_eq!(harness.pass(MILLISECOND), [Action::Fetch]);
}

#[test]
fn a_set_is_refreshed_at_80_percent_of_its_freshness_give_or_take_10() {
    for (jitter, seconds) in [(0.0, 216), (0.5, 240), (1.0, 264)] {
        let mut harness = Harness::new(Settings::default());
        harness.handle(Input::Wanted);
        harness.loaded(jitter);
        assert_eq!(harness.pass(seconds * SECOND - MILLISECOND), [], "{jitter}");
        assert_eq!(harness.pass(2 * MILLISECOND), [Action::Fetch], "{jitter}");
    }
}

#[test]
fn a_set_that_serves_shorter_than_it_is_fresh_is_refreshed_before_it_expires() {
    let settings = Settings { max_stale: 10 * MINUTE, ..Settings::default() };
    let mut harness = Harness::new(settings);
    harness.handle(Input::Wanted);
    harness.handle(Input::Loaded { fresh_for: HOUR, jitter: 0.5 });
    assert_eq!(harness.pass(8 * MINUTE - MILLISECOND), []);
    assert_eq!(harness.pass(MILLISECOND), [Action::Fetch]);
}

#[test]
fn unknown_keys_cause_one_fetch_in_each_cool_down_counted_from_the_last_attempt() {
    let mut harness = Harness::with_keys();
    // The fetch that took ten seconds is counted from where it began.
    harness.refresh();
    harness.pass(10 * SECOND);
    harness.loaded(0.5);
    let throttled = Action::Report(Report::Throttled { ends_in: 20 * SECOND });
    assert_eq!(
        harness.missed(),
        [Action::Report(Report::UnknownKey), throttled, answer(2, Unknown)]
    );
    for waiter in 3..100 {
        assert_eq!(harness.missed(), [answer(waiter, Unknown)]);
    }
    assert_eq!(harness.pass(20 * SECOND - MILLISECOND), []);
    assert_eq!(harness.pass(MILLISECOND), [Action::Fetch]);
}

#[test]
fn a_request_waits_for_a_fetch_that_begins_before_its_patience_ends() {
    let mut harness = Harness::with_keys();
    harness.pass(28 * SECOND);
    let throttled = Report::Throttled { ends_in: 2 * SECOND };
    assert_eq!(
        harness.missed(),
        [Action::Report(Report::UnknownKey), Action::Report(throttled), answer(1, Unknown)]
    );
    harness.pass(MILLISECOND);
    assert_eq!(harness.missed(), []);
    harness.pass(SECOND);
    assert_eq!(harness.missed(), []);
    assert_eq!(harness.pass(SECOND - MILLISECOND), [Action::Fetch]);
    // The first one's patience ends just after the fetch began.
    let too_long = answer(2, Unavailable { retry_after: None });
    assert_eq!(harness.pass(MILLISECOND), [too_long]);
    assert_eq!(harness.missed(), []);
    assert_eq!(
        harness.loaded(0.5),
        [
            // This one was waiting when the fetch began, that one came later.
            answer(3, Look { began_before: false }),
            answer(4, Look { began_before: true }),
        ]
    );
}

#[test]
fn before_the_first_set_2048_requests_wait_and_pass() {
    let mut harness = Harness::new(Settings::default());
    assert_eq!(harness.missed(), [Action::Fetch]);
    for _ in 2..=2048 {
        assert_eq!(harness.missed(), []);
    }
    assert_eq!(harness.missed().last(), Some(&answer(2049, unavailable_for(SECOND))));
    harness.pass(300 * MILLISECOND);
    let told = harness.loaded(0.5);
    let looks = |action: &&Action| matches!(action, Action::Answer { answer: Look { .. }, .. });
    assert_eq!(told.iter().filter(looks).count(), 2048);
}

#[test]
fn a_server_cannot_close_the_service_for_longer_than_the_longest_retry() {
    let asked = Input::Failed { retry_after: Some(HOUR), jitter: 0.5 };
    // Before the first set.
    let mut harness = Harness::new(Settings::default());
    harness.missed();
    assert_eq!(harness.handle(asked)[0], Action::Report(Report::Failed { retry_in: MINUTE }));
    harness.missed();
    assert_eq!(harness.pass(MINUTE - MILLISECOND), []);
    assert_eq!(harness.pass(MILLISECOND), [Action::Fetch]);
    // While there are keys, it may; but not beyond their end.
    let settings = Settings { max_stale: 10 * MINUTE, ..Settings::default() };
    let mut harness = Harness::new(settings);
    harness.handle(Input::Wanted);
    harness.loaded(0.5);
    harness.pass(4 * MINUTE);
    assert_eq!(harness.handle(asked)[0], Action::Report(Report::Failed { retry_in: HOUR }));
    assert_eq!(harness.pass(6 * MINUTE), [Action::Expire, Action::Report(Report::Expired)]);
    assert_eq!(harness.pass(MINUTE - MILLISECOND), []);
    assert_eq!(harness.pass(MILLISECOND), [Action::Fetch]);
}

#[test]
fn at_most_64_requests_wait() {
    let mut harness = Harness::with_keys();
    harness.pass(MINUTE);
    assert_eq!(harness.missed(), [Action::Report(Report::UnknownKey), Action::Fetch]);
    for _ in 2..=64 {
        assert_eq!(harness.missed(), []);
    }
    let throttled = Action::Report(Report::Throttled { ends_in: Duration::ZERO });
    assert_eq!(harness.missed(), [throttled, answer(65, unavailable_for(SECOND))]);
    assert_eq!(harness.missed(), [answer(66, unavailable_for(SECOND))]);
    // Whoever leaves makes room.
    harness.left(7);
    assert_eq!(harness.missed(), []);
    assert_eq!(harness.missed(), [answer(68, unavailable_for(SECOND))]);
    assert_eq!(harness.pass(2 * SECOND).len(), 64);
}

#[test]
fn who_does_not_wait_at_all_still_has_the_key_looked_for() {
    let mut harness = Harness::new(Settings::default());
    let too_long = answer(1, Unavailable { retry_after: None });
    assert_eq!(harness.missed_for(Duration::ZERO), [too_long, Action::Fetch]);
}

#[test]
fn a_refresh_comes_when_it_is_due_however_many_keys_are_missed() {
    // Misses may cause none for an hour.
    let mut harness = Harness::new(Settings { cool_down: HOUR, ..Settings::default() });
    harness.handle(Input::Wanted);
    harness.loaded(0.5);
    for _ in 0..239 {
        assert_eq!(harness.pass(SECOND), []);
        harness.missed_for(SECOND / 2);
    }
    assert_eq!(harness.pass(SECOND), [Action::Fetch]);
}

#[test]
fn an_operator_waits_for_no_cool_down_and_no_back_off() {
    let mut harness = Harness::with_keys();
    assert_eq!(harness.refresh(), [Action::Fetch]);
    // What is under way may have been answered already.
    assert_eq!(harness.refresh(), []);
    assert_eq!(harness.loaded(0.5), [answer(1, Look { began_before: false }), Action::Fetch]);
    let told = harness.failed(1.0);
    assert!(told.contains(&answer(2, unavailable_for(SECOND))));
    assert_eq!(harness.refresh(), [Action::Fetch]);
}

#[test]
fn the_back_off_doubles_from_one_second_to_sixty_and_ends_with_a_success() {
    let mut harness = Harness::with_keys();
    harness.refresh();
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let retry_in = seconds * SECOND;
        assert_eq!(harness.failed(1.0)[0], Action::Report(Report::Failed { retry_in }));
        assert_eq!(harness.pass(retry_in - MILLISECOND), []);
        assert_eq!(harness.pass(MILLISECOND), [Action::Fetch]);
    }
    harness.loaded(0.5);
    harness.refresh();
    assert_eq!(harness.failed(1.0)[0], Action::Report(Report::Failed { retry_in: SECOND }));
}

#[test]
fn the_back_off_is_any_time_up_to_its_bound_but_not_at_once() {
    for (jitter, retry_in) in [(0.0, 100), (0.01, 100), (0.5, 4_000), (0.99, 7_920)] {
        let mut harness = Harness::with_keys();
        harness.refresh();
        for _ in 0..3 {
            harness.failed(0.0);
            harness.pass(100 * MILLISECOND);
        }
        let retry_in = retry_in * MILLISECOND;
        assert_eq!(harness.failed(jitter)[0], Action::Report(Report::Failed { retry_in }));
    }
}

#[test]
fn a_server_that_says_when_to_ask_again_is_not_asked_before_within_reason() {
    for (asked, retry_in) in [
        (Duration::ZERO, SECOND),
        (SECOND / 2, SECOND),
        (90 * SECOND, 90 * SECOND),
        (HOUR, HOUR),
        (HOUR + SECOND, HOUR),
        (Duration::MAX, HOUR),
    ] {
        let mut harness = Harness::with_keys();
        harness.refresh();
        let reports = harness.handle(Input::Failed { retry_after: Some(asked), jitter: 1.0 });
        assert_eq!(reports[0], Action::Report(Report::Failed { retry_in }), "{asked:?}");
        harness.missed();
        assert_eq!(harness.pass(retry_in - MILLISECOND), []);
        assert_eq!(harness.pass(MILLISECOND), [Action::Fetch]);
    }
}

#[test]
fn in_an_outage_unknown_keys_cause_no_fetch_of_their_own() {
    let (mut quiet, mut busy) = (Harness::with_keys(), Harness::with_keys());
    for harness in [&mut quiet, &mut busy] {
        harness.refresh();
    }
    let fetches = quiet.fail_for(HOUR, 1.0);
    let mut fetches_busy = 0;
    while busy.now < quiet.now {
        fetches_busy += busy.fail_for(SECOND, 1.0);
        busy.missed();
    }
    assert_eq!(fetches, fetches_busy);
    // 63 s to the longest back-off, then one a minute.
    assert_eq!(fetches, 6 + 59);
}

#[test]
fn an_unknown_key_is_not_called_unknown_while_fetches_fail() {
    let mut harness = Harness::with_keys();
    harness.refresh();
    for _ in 0..3 {
        harness.failed(1.0);
        harness.refresh();
    }
    harness.failed(1.0);
    harness.pass(SECOND);
    let told = harness.missed();
    assert_eq!(*told.last().expect("an answer"), answer(5, unavailable_for(7 * SECOND)));
    // In time for the next one.
    harness.pass(5 * SECOND + MILLISECOND);
    assert_eq!(harness.missed(), []);
    assert_eq!(harness.pass(2 * SECOND - MILLISECOND), [Action::Fetch]);
}

#[test]
fn keys_serve_for_24_hours_after_the_last_success_and_are_tried_for_ever() {
    let mut harness = Harness::with_keys();
    let expiry = DAY;
    harness.fail_for(expiry - MILLISECOND, 1.0);
    assert!(harness.schedule.serves());
    if harness.in_flight {
        harness.failed(1.0);
    }
    let actions = harness.pass(MILLISECOND);
    assert_eq!(actions[..2], [Action::Expire, Action::Report(Report::Expired)]);
    assert!(!harness.schedule.serves());
    // Still one a minute.
    let fetches = harness.fail_for(DAY, 1.0);
    assert!((1439..=1441).contains(&fetches), "{fetches}");
    // And when they are back, they are served.
    harness.pass(MINUTE);
    harness.loaded(0.5);
    assert!(harness.schedule.serves());
}

#[test]
fn word_that_a_set_is_current_counts_as_a_success() {
    let mut harness = Harness::with_keys();
    harness.fail_for(DAY - HOUR, 1.0);
    harness.pass(MINUTE);
    // 200 and 304 are one to the schedule.
    harness.loaded(0.5);
    harness.pass(4 * MINUTE);
    let last = harness.schedule.loaded_at().expect("keys");
    harness.fail_for(last + DAY - MILLISECOND - harness.now, 1.0);
    assert!(harness.schedule.serves());
}

#[test]
fn keys_expire_while_a_fetch_is_under_way() {
    let settings = Settings { max_stale: 5 * MINUTE, ..Settings::default() };
    let mut harness = Harness::new(settings);
    harness.handle(Input::Wanted);
    harness.loaded(1.0);
    assert_eq!(harness.pass(5 * MINUTE - MILLISECOND), [Action::Fetch]);
    assert_eq!(harness.pass(MILLISECOND), [Action::Expire, Action::Report(Report::Expired)]);
    assert_eq!(harness.loaded(0.5), []);
    assert!(harness.schedule.serves());
}

#[test]
fn what_is_refused_is_said_once_before_each_fetch() {
    let mut harness = Harness::with_keys();
    let reports = |actions: Vec<Action>| {
        let is_report = |action: &Action| matches!(action, Action::Report(_));
        actions.into_iter().filter(is_report).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        let throttled = Report::Throttled { ends_in: 30 * SECOND };
        let first = [Action::Report(Report::UnknownKey), Action::Report(throttled)];
        assert_eq!(reports(harness.missed()), first);
        for _ in 0..25 {
            assert_eq!(reports(harness.missed()), []);
            harness.pass(SECOND);
        }
        assert_eq!(harness.pass(5 * SECOND), [Action::Fetch]);
        assert_eq!(reports(harness.loaded(0.5)), []);
    }
}

/// What happens next to a harness.
#[derive(Clone, Debug)]
enum Step {
    Missed {
        patience: Duration,
    },
    Wanted,
    Refresh,
    /// One of those who wait goes, or someone who does not.
    Left(Index),
    /// The fetch ends, if one is under way.
    Loaded {
        freshness: f64,
        jitter: f64,
    },
    Failed {
        retry_after: Option<Duration>,
        jitter: f64,
    },
    Pass(Duration),
    /// Until exactly when a tick is wanted, or a little before or after.
    PassToWake {
        early: Duration,
        late: Duration,
    },
}

impl Harness {
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Missed { patience } => drop(self.missed_for(patience)),
            Step::Wanted => drop(self.handle(Input::Wanted)),
            Step::Refresh => drop(self.refresh()),
            Step::Left(ref index) => {
                let those: Vec<_> = self.waiting.keys().chain(self.refreshing.keys()).collect();
                let waiter = if those.is_empty() { 0 } else { **index.get(&those) };
                self.left(waiter);
            }
            Step::Loaded { freshness, jitter } if self.in_flight => {
                let Settings { min_fresh, max_fresh, .. } = self.settings;
                let fresh_for = min_fresh + (max_fresh - min_fresh).mul_f64(freshness);
                self.handle(Input::Loaded { fresh_for, jitter });
            }
            Step::Failed { retry_after, jitter } if self.in_flight => {
                self.handle(Input::Failed { retry_after, jitter });
            }
            Step::Loaded { .. } | Step::Failed { .. } => {}
            Step::Pass(time) => drop(self.pass(time)),
            Step::PassToWake { early, late } => {
                if let Some(at) = self.schedule.wake_at(self.now) {
                    self.pass((at + late).saturating_sub(self.now + early));
                }
            }
        }
    }
}

fn any_time() -> impl Strategy<Value = Duration> {
    let within = |most: Duration| (0.0..1.0).prop_map(move |part| most.mul_f64(part));
    prop_oneof![
        Just(Duration::ZERO),
        within(10 * MILLISECOND),
        within(3 * SECOND),
        within(2 * MINUTE),
        within(2 * HOUR),
        within(3 * DAY),
    ]
}

/// From 0 to 1, both of them often.
fn any_part() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..1.0]
}

fn any_step() -> impl Strategy<Value = Step> {
    let near = || prop_oneof![Just(Duration::ZERO), Just(Duration::from_nanos(1)), Just(SECOND)];
    let retry_after = prop::option::weighted(0.3, any_time());
    prop_oneof![
        4 => prop_oneof![Just(2 * SECOND), any_time()].prop_map(|patience| Step::Missed { patience }),
        1 => Just(Step::Wanted),
        1 => Just(Step::Refresh),
        1 => any::<Index>().prop_map(Step::Left),
        2 => (any_part(), any_part()).prop_map(|(freshness, jitter)| Step::Loaded { freshness, jitter }),
        2 => (retry_after, any_part())
            .prop_map(|(retry_after, jitter)| Step::Failed { retry_after, jitter }),
        2 => any_time().prop_map(Step::Pass),
        3 => (near(), near()).prop_map(|(early, late)| Step::PassToWake { early, late }),
    ]
}

prop_compose! {
    /// Within their bounds.
    fn any_settings()(
        parts in prop::array::uniform8(any_part()),
        refresh_at_percent in prop_oneof![Just(80_u8), 1..=90_u8],
        max_waiting in prop_oneof![Just(0), 1..5_usize, Just(64)],
        max_waiting_without_keys in prop_oneof![Just(0), 1..5_usize, Just(2048)],
    ) -> Settings {
        let between = |least: Duration, most: Duration, part: f64| {
            // Small ones as often as large ones.
            least + (most - least).mul_f64(part.powi(4))
        };
        let [a, b, c, d, e, f, g, h] = parts;
        let max_fresh = between(SECOND, DAY, a);
        let fresh_for = between(SECOND, DAY, b);
        let first_retry = between(100 * MILLISECOND, HOUR, c);
        Settings {
            fresh_for,
            min_fresh: between(SECOND, max_fresh, d),
            max_fresh,
            refresh_at_percent,
            cool_down: between(SECOND, HOUR, e),
            max_wait: between(Duration::ZERO, MINUTE, f),
            max_waiting,
            max_waiting_without_keys,
            first_retry,
            max_retry: between(first_retry, HOUR, g),
            max_stale: between(fresh_for, 7 * DAY, h),
            ..Settings::default()
        }
    }
}

proptest! {
    // For a second or so.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_the_schedule_keeps_its_promises(
        settings in any_settings(),
        steps in prop::collection::vec(any_step(), 0..100),
    ) {
        let mut harness = Harness::new(settings);
        steps.iter().for_each(|step| harness.take(step));
    }

    #[test]
    fn a_driver_that_is_held_up_breaks_no_promise_but_those_of_time(
        settings in any_settings(),
        steps in prop::collection::vec(any_step(), 0..100),
    ) {
        let mut harness = Harness { is_punctual: false, ..Harness::new(settings) };
        steps.iter().for_each(|step| harness.take(step));
    }
}
