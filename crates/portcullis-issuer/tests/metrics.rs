//! What is told through the `metrics` facade.
#![cfg(feature = "metrics")]
use std::collections::BTreeMap;
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use portcullis::{Algorithm, Secret};
use portcullis_issuer::store::{MemoryRing, StoreError};
use portcullis_issuer::{AccessToken, RingError, TokenIssuer};

/// What an issuer records, by name and reason. All of it has the issuer's name.
fn recorded(issuer: &TokenIssuer<MemoryRing>) -> BTreeMap<String, f64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || issuer.record_metrics());
    let all = snapshotter.snapshot().into_vec().into_iter().map(|(key, _, _, value)| {
        let labels: BTreeMap<_, _> =
            key.key().labels().map(|label| (label.key(), label.value())).collect();
        assert_eq!(labels["issuer"], "https://id.example");
        let name = key.key().name().strip_prefix("portcullis_issuer_").expect("a prefix");
        let reason = labels.get("reason").map(|reason| format!(" {reason}"));
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => panic!("{values:?}"),
        };
        (format!("{name}{}", reason.unwrap_or_default()), value)
    });
    all.collect()
}

#[tokio::test]
async fn what_an_issuer_does_and_how_its_ring_does_is_told() {
    let store = MemoryRing::new();
    let issuer = TokenIssuer::builder("https://id.example")
        .algorithm(Algorithm::ES256)
        .audiences(["https://orders.example"])
        .lifetime(Duration::from_secs(15 * 60))
        .root_secrets([Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old")])
        .ring(store.clone())
        .refreshed_by_hand();
    let issuer = issuer.build().await.expect("an issuer");
    for _ in 0..3 {
        issuer.mint(&AccessToken::of_user("alice", "web")).await.expect("a token");
    }
    store.set_fault(Some(StoreError::new("connection refused")));
    for _ in 0..2 {
        assert!(issuer.refresh().await.is_err());
    }
    let told = recorded(&issuer);
    let month = 30.0 * 24.0 * 60.0 * 60.0;
    assert_eq!(told["ready"], 1.0);
    assert_eq!(told["tokens_total"], 3.0);
    assert_eq!(told["ring_version"], 1.0);
    assert_eq!(told["keys_under_old_secret"], 0.0);
    assert!((0.0..60.0).contains(&told["ring_age_seconds"]));
    assert!((-15.0..15.0).contains(&told["clock_offset_seconds"]));
    // The first key of a ring signs at once on every clock, so also on one that is behind.
    assert!((30.0..90.0).contains(&told["signing_key_age_seconds"]));
    assert!((month - 120.0..month).contains(&told["next_change_seconds"]));
    for reason in RingError::REASONS {
        let count = if reason == "store" { 2.0 } else { 0.0 };
        assert_eq!(told[&format!("ring_failures_total {reason}")], count, "{reason}");
    }
    assert_eq!(told.len(), 8 + RingError::REASONS.len());
}
