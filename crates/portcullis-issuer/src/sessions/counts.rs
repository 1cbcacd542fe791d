//! What operators count of sessions.
use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::{RefreshError, RefreshRefusal, SessionsUnavailable};
use crate::session::EndReason;

/// How a session went on.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Kept,
    Again,
    Rotated,
    Forked,
}

impl Outcome {
    const NAMES: [&'static str; 4] = ["kept", "retry", "rotated", "late_retry"];
}

/// What happened to the sessions of a process since it started.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) begun: AtomicU64,
    outcomes: [AtomicU64; Outcome::NAMES.len()],
    refused: [AtomicU64; RefreshRefusal::NAMES.len()],
    ended: [AtomicU64; EndReason::ALL.len()],
    unavailable: [AtomicU64; SessionsUnavailable::REASONS.len()],
    /// Since when something that ended is not revoked, by the machine's time.
    behind_since: Mutex<Option<Duration>>,
}

impl Counts {
    pub(super) fn went_on(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, error: &RefreshError) {
        if let RefreshError::Refused(refusal) = error {
            count(&RefreshRefusal::NAMES, &self.refused, refusal.kind());
        }
    }

    pub(super) fn ended(&self, reason: EndReason) {
        if let Some(at) = EndReason::ALL.iter().position(|it| *it == reason) {
            self.ended[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn unavailable(&self, error: &SessionsUnavailable) {
        count(&SessionsUnavailable::REASONS, &self.unavailable, error.reason());
    }

    /// Whether it was not so before.
    pub(super) fn fall_behind(&self, now: Duration) -> bool {
        let mut since = self.behind_since.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = since.is_none();
        since.get_or_insert(now);
        is_news
    }

    /// Whether it was behind before.
    pub(super) fn catch_up(&self) -> bool {
        let mut since = self.behind_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.take().is_some()
    }

    /// For how long something that ended is not revoked. `None`: all is.
    pub(super) fn lag(&self, now: Duration) -> Option<Duration> {
        let since = *self.behind_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map(|since| now.saturating_sub(since))
    }
}

fn count(names: &[&str], counts: &[AtomicU64], name: &str) {
    if let Some(at) = names.iter().position(|it| *it == name) {
        counts[at].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(feature = "metrics")]
mod recorded {
    use metrics::{counter, gauge};

    use super::*;
    use crate::sessions::Sessions;

    impl Sessions {
        /// Records how sessions do, with the recorder of the `metrics` crate: call it before each scrape.
        ///
        /// | name | kind | what it says |
        /// |---|---|---|
        /// | `portcullis_sessions_begun_total` | counter | logins that this process began a session for |
        /// | `portcullis_sessions_refreshes_total` | counter | refreshes that went on, by `outcome`: `rotated`, `kept` (the token was young), `retry`, `late_retry` |
        /// | `portcullis_sessions_refused_total` | counter | refreshes that were refused, by `reason`: see [`RefreshRefusal::kind`](crate::RefreshRefusal::kind) |
        /// | `portcullis_sessions_ended_total` | counter | sessions that this process ended, by `reason`: see [`EndReason::name`](crate::EndReason::name) |
        /// | `portcullis_sessions_unavailable_total` | counter | how often something was away, by `reason`: see [`SessionsUnavailable::reason`](crate::SessionsUnavailable::reason) |
        /// | `portcullis_sessions_revocation_lag_seconds` | gauge | for how long something that ended is not revoked: 0 as a rule |
        ///
        /// Each has the label `issuer`. What to alert on stands in the guide.
        pub fn record_metrics(&self) {
            let (counts, issuer) = (&self.0.counts, || self.issuer().to_owned());
            let begun = counts.begun.load(Ordering::Relaxed);
            counter!("portcullis_sessions_begun_total", "issuer" => issuer()).absolute(begun);
            let of = |name: &'static str,
                      label: &'static str,
                      names: &[&'static str],
                      all: &[AtomicU64]| {
                for (value, count) in names.iter().zip(all) {
                    let count = count.load(Ordering::Relaxed);
                    counter!(name, "issuer" => issuer(), label => *value).absolute(count);
                }
            };
            let refreshes = "portcullis_sessions_refreshes_total";
            of(refreshes, "outcome", &Outcome::NAMES, &counts.outcomes);
            let refused = "portcullis_sessions_refused_total";
            of(refused, "reason", &RefreshRefusal::NAMES, &counts.refused);
            let reasons = EndReason::ALL.map(EndReason::name);
            of("portcullis_sessions_ended_total", "reason", &reasons, &counts.ended);
            let unavailable = "portcullis_sessions_unavailable_total";
            of(unavailable, "reason", &SessionsUnavailable::REASONS, &counts.unavailable);
            let lag = counts.lag(self.0.time.elapsed()).unwrap_or_default().as_secs_f64();
            gauge!("portcullis_sessions_revocation_lag_seconds", "issuer" => issuer()).set(lag);
        }
    }
}
