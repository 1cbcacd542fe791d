//! Metrics, through the [`metrics`](https://github.com/metrics-rs/metrics) facade: whatever recorder a program installs gets them.
//!
//! | name | kind | labels | what |
//! | --- | --- | --- | --- |
//! | `portcullis_accepted_total` | counter | `policy`, `caller`: `token` or `anonymous` | requests that a policy let in |
//! | `portcullis_refused_total` | counter | `policy`, `reason`: of [`Error::REASONS`] | requests that were turned away, by a policy or by what a route asks for besides |
//! | `portcullis_unavailable_total` | counter | `policy`, `reason` | the same, where the server could not tell (503): these are no client's fault |
//! | `portcullis_decision_seconds` | histogram, s | `policy`, `outcome`: `accepted`, `refused` or `unavailable` | how long a policy took to decide about a request, keys that it waited for included |
//! | `portcullis_token_cache_hits_total` | counter | `policy` | tokens that were remembered, and held |
//! | `portcullis_token_cache_misses_total` | counter | `policy` | tokens that were verified in full, or refused |
//! | `portcullis_token_cache_bytes` | gauge, bytes | `policy` | what remembered tokens take |
//! | `portcullis_key_set_age_seconds` | gauge, s | `policy`, `issuer` | since the keys of a named issuer were fetched (feature `remote-jwks`) |
//! | `portcullis_revocation_lag` | gauge, entries | `policy` | how much of the store's log is yet to be read, of the list that has most |
//! | `portcullis_revocation_age_seconds` | gauge, s | `policy` | since the news of revocations was asked for that came last, of the list with the oldest |
//! | `portcullis_revocation_entries` | gauge, entries | `policy` | what stands on the lists |
//! | `portcullis_ready` | gauge | `policy` | 1 where the policy can decide about tokens, else 0 ([`Policy::is_ready`](crate::Policy::is_ready)) |
//!
//! The label `policy` is the [name](crate::PolicyBuilder::name) of the policy: `default` of one without a name, and empty
//! where a route has no policy in front of it (reason `not_installed`). No label has anything of a request in it. The
//! first four are counted as requests come. The others are taken by
//! [`Policy::record_metrics`](crate::Policy::record_metrics): call it before each scrape.
//!
//! ```
//! use portcullis_testkit::TestIssuer;
//!
//! let issuer = TestIssuer::new("https://id.example");
//! let policy = issuer.policy_builder().name("orders").build()?;
//! // In the handler of `/metrics`, before the exporter renders:
//! policy.record_metrics();
//! # Ok::<_, portcullis::policy::BuildError>(())
//! ```
//!
//! Install the recorder before the first policy is built, so that it learns what the metrics mean, and has each reason
//! at zero before the first refusal: of a counter that was not there, no rate can be told. Tokens that are
//! checked by hand ([`Policy::verify_token`](crate::Policy::verify_token)) are no requests, and not counted.
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use metrics::{
    Key, Label, Level, Metadata, SharedString, Unit, describe_counter, describe_gauge,
    describe_histogram,
};

use crate::error::Error;

/// Every name, in the order of the [table](self).
pub const NAMES: &[&str] = &[
    ACCEPTED,
    REFUSED,
    UNAVAILABLE,
    DECISION,
    CACHE_HITS,
    CACHE_MISSES,
    CACHE_BYTES,
    KEY_SET_AGE,
    REVOCATION_LAG,
    REVOCATION_AGE,
    REVOCATION_ENTRIES,
    READY,
];

const ACCEPTED: &str = "portcullis_accepted_total";
const REFUSED: &str = "portcullis_refused_total";
const UNAVAILABLE: &str = "portcullis_unavailable_total";
const DECISION: &str = "portcullis_decision_seconds";
pub(crate) const CACHE_HITS: &str = "portcullis_token_cache_hits_total";
pub(crate) const CACHE_MISSES: &str = "portcullis_token_cache_misses_total";
pub(crate) const CACHE_BYTES: &str = "portcullis_token_cache_bytes";
pub(crate) const KEY_SET_AGE: &str = "portcullis_key_set_age_seconds";
pub(crate) const REVOCATION_LAG: &str = "portcullis_revocation_lag";
pub(crate) const REVOCATION_AGE: &str = "portcullis_revocation_age_seconds";
pub(crate) const REVOCATION_ENTRIES: &str = "portcullis_revocation_entries";
pub(crate) const READY: &str = "portcullis_ready";

/// What one policy counts, under its name.
pub(crate) struct PolicyCounters {
    policy: Arc<str>,
    with_token: Key,
    anonymous: Key,
    refusals: HashMap<&'static str, Key>,
    accepted: Key,
    refused: Key,
    unavailable: Key,
}

impl PolicyCounters {
    /// Those of the policy of this name.
    pub(crate) fn of(name: Option<&str>) -> Self {
        Self::under(name.unwrap_or("default"))
    }

    /// Keys are made once: their labels would be allocated for each request.
    fn under(policy: &str) -> Self {
        let policy = Arc::<str>::from(policy);
        let key = |name, label, value| {
            let policy = Label::new("policy", SharedString::from(Arc::clone(&policy)));
            Key::from_parts(name, vec![policy, Label::from_static_parts(label, value)])
        };
        let refusals = Error::REASONS.iter().map(|&reason| {
            let name = if UNTOLD.contains(&reason) { UNAVAILABLE } else { REFUSED };
            (reason, key(name, "reason", reason))
        });
        Self {
            with_token: key(ACCEPTED, "caller", "token"),
            anonymous: key(ACCEPTED, "caller", "anonymous"),
            refusals: refusals.collect(),
            accepted: key(DECISION, "outcome", "accepted"),
            refused: key(DECISION, "outcome", "refused"),
            unavailable: key(DECISION, "outcome", "unavailable"),
            policy,
        }
    }

    /// The value of the label.
    pub(crate) fn policy(&self) -> SharedString {
        SharedString::from(Arc::clone(&self.policy))
    }

    /// Tells the recorder what the metrics mean, and has each reason at zero: rates are taken between two samples, so that
    /// a first burst shows only where there was a zero before it.
    pub(crate) fn begin(&self) {
        describe();
        for (&reason, key) in &self.refusals {
            if reason != NO_POLICY {
                add(key, 0);
            }
        }
        count_without_policy(NO_POLICY, 0);
    }

    /// Of a request that was let in, `decision` says whether it has a token.
    pub(crate) fn count_decision(&self, decision: Result<bool, &Error>, took: Duration) {
        let outcome = match decision {
            Ok(has_token) => {
                add(if has_token { &self.with_token } else { &self.anonymous }, 1);
                &self.accepted
            }
            Err(error) if error.unavailable().is_some() => &self.unavailable,
            Err(_) => &self.refused,
        };
        metrics::with_recorder(|recorder| {
            recorder.register_histogram(outcome, &METADATA).record(took);
        });
    }

    fn count(&self, reason: &str, count: u64) {
        if let Some(key) = self.refusals.get(reason) {
            add(key, count);
        }
    }
}

/// Reasons of which nobody can tell whether the token is good, or who sent it.
const UNTOLD: [&str; 4] = [
    "keys_unavailable",
    "revocation_unavailable",
    "replays_unavailable",
    "certificate_unavailable",
];

/// The reason of a route without a policy in front.
const NO_POLICY: &str = "not_installed";

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// `counters` are those of the policy in front of the route, if there is one.
pub(crate) fn count_refusal(error: &Error, counters: Option<&PolicyCounters>) {
    debug_assert_eq!(UNTOLD.contains(&error.reason()), error.unavailable().is_some());
    match counters {
        Some(counters) => counters.count(error.reason(), 1),
        None => count_without_policy(error.reason(), 1),
    }
}

fn count_without_policy(reason: &str, count: u64) {
    static COUNTERS: LazyLock<PolicyCounters> = LazyLock::new(|| PolicyCounters::under(""));
    COUNTERS.count(reason, count);
}

fn add(key: &Key, count: u64) {
    metrics::with_recorder(|recorder| {
        recorder.register_counter(key, &METADATA).increment(count);
    });
}

/// Tells the recorder what they mean.
fn describe() {
    describe_counter!(ACCEPTED, Unit::Count, "Requests that a policy let in");
    describe_counter!(REFUSED, Unit::Count, "Requests that were turned away");
    describe_counter!(
        UNAVAILABLE,
        Unit::Count,
        "Requests turned away since the server could not tell"
    );
    describe_histogram!(DECISION, Unit::Seconds, "How long a policy took to decide");
    describe_counter!(CACHE_HITS, Unit::Count, "Tokens that were remembered, and held");
    describe_counter!(CACHE_MISSES, Unit::Count, "Tokens that were verified in full, or refused");
    describe_gauge!(CACHE_BYTES, Unit::Bytes, "What remembered tokens take");
    describe_gauge!(KEY_SET_AGE, Unit::Seconds, "Since an issuer's keys were fetched");
    describe_gauge!(REVOCATION_LAG, Unit::Count, "Entries of the store's log yet to be read");
    describe_gauge!(
        REVOCATION_AGE,
        Unit::Seconds,
        "Since the last news of revocations was asked for"
    );
    describe_gauge!(REVOCATION_ENTRIES, Unit::Count, "Entries on the lists of revocations");
    describe_gauge!(READY, "1 where the policy can decide about tokens");
}
