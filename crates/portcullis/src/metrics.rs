//! Metrics, through the [`metrics`](https://github.com/metrics-rs/metrics) facade: whatever recorder a program installs gets them.
//!
//! | name | kind | labels | what |
//! | --- | --- | --- | --- |
//! | `portcullis_accepted_total` | counter | `caller`: `token` or `anonymous` | requests that a policy let in |
//! | `portcullis_refused_total` | counter | `reason`: of [`Error::REASONS`] | requests that were turned away, by a policy or by what a route asks for besides |
//! | `portcullis_unavailable_total` | counter | `reason` | the same, where the server could not tell (503): these are no client's fault |
//! | `portcullis_decision_seconds` | histogram, s | `outcome`: `accepted`, `refused` or `unavailable` | how long a policy took to decide about a request, keys that it waited for included |
//! | `portcullis_token_cache_hits_total` | counter | `policy` | tokens that were remembered, and held |
//! | `portcullis_token_cache_misses_total` | counter | `policy` | tokens that were verified in full, or refused |
//! | `portcullis_token_cache_bytes` | gauge, bytes | `policy` | what remembered tokens take |
//! | `portcullis_key_set_age_seconds` | gauge, s | `policy`, `issuer` | since the keys of a named issuer were fetched (feature `remote-jwks`) |
//! | `portcullis_revocation_lag` | gauge, entries | `policy` | how much of the store's log is yet to be read, of the list that has most |
//! | `portcullis_revocation_age_seconds` | gauge, s | `policy` | since the news of revocations was asked for that came last, of the list with the oldest |
//! | `portcullis_revocation_entries` | gauge, entries | `policy` | what stands on the lists |
//! | `portcullis_ready` | gauge | `policy` | 1 where the policy can decide about tokens, else 0 ([`Policy::is_ready`](crate::Policy::is_ready)) |
//!
//! No label has anything of a request in it. The first four are counted as requests come. The others are taken by
//! [`Policy::record_metrics`](crate::Policy::record_metrics): call it before each scrape.
//!
//! ```
//! use portcullis_testkit::TestIssuer;
//!
//! let policy = TestIssuer::new("https://id.example").policy();
//! // In the handler of `/metrics`, before the exporter renders:
//! policy.record_metrics("orders");
//! ```
//!
//! Install the recorder before the first policy is built, so that it learns what the metrics mean, and has each reason
//! at zero before the first refusal: of a counter that was not there, no rate can be told. Tokens that are
//! checked by hand ([`Policy::verify_token`](crate::Policy::verify_token)) are no requests, and not counted.
use core::time::Duration;
use std::collections::HashMap;
use std::sync::LazyLock;

use metrics::{
    Key, Label, Level, Metadata, Unit, counter, describe_counter, describe_gauge,
    describe_histogram, histogram,
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

/// Tells the recorder what they mean, and begins to count.
pub(crate) fn describe() {
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

    // Rates are taken between two samples: a first burst shows only where there was a zero before it.
    for &reason in Error::REASONS {
        let unavailable = ["keys_unavailable", "revocation_unavailable"].contains(&reason);
        add_refusals(if unavailable { UNAVAILABLE } else { REFUSED }, reason, 0);
    }
}

pub(crate) fn count_refusal(error: &Error) {
    let name = if error.unavailable().is_some() { UNAVAILABLE } else { REFUSED };
    add_refusals(name, error.reason(), 1);
}

/// A label that is no literal would be allocated for each request.
fn add_refusals(name: &'static str, reason: &str, count: u64) {
    static LABELS: LazyLock<HashMap<&str, [Label; 1]>> = LazyLock::new(|| {
        let labels = |reason| (reason, [Label::from_static_parts("reason", reason)]);
        Error::REASONS.iter().copied().map(labels).collect()
    });
    if let Some(labels) = LABELS.get(reason) {
        let key = Key::from_static_labels(name, labels);
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        metrics::with_recorder(|recorder| {
            recorder.register_counter(&key, &metadata).increment(count);
        });
    }
}

/// Of a request that was let in, `decision` says whether it has a token.
pub(crate) fn count_decision(decision: Result<bool, &Error>, took: Duration) {
    let duration = match decision {
        Ok(has_token) => {
            match has_token {
                true => counter!(ACCEPTED, "caller" => "token"),
                false => counter!(ACCEPTED, "caller" => "anonymous"),
            }
            .increment(1);
            histogram!(DECISION, "outcome" => "accepted")
        }
        Err(error) if error.unavailable().is_some() => {
            histogram!(DECISION, "outcome" => "unavailable")
        }
        Err(_) => histogram!(DECISION, "outcome" => "refused"),
    };
    duration.record(took);
}
