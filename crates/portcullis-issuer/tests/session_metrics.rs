//! What sessions are counted by.
#![cfg(feature = "metrics")]
use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use portcullis::{Algorithm, Revocations, Secret};
use portcullis_issuer::session::MemorySessions;
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{Answer, EndReason, Lifetimes, RefreshRequest, Sessions, TokenIssuer};

#[tokio::test]
async fn sessions_are_counted_by_what_became_of_them() {
    let issuer = TokenIssuer::builder("https://id.example")
        .algorithm(Algorithm::ES256)
        .audiences(["https://orders.example"])
        .lifetime(Duration::from_secs(900))
        .root_secrets([Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old")])
        .ring(MemoryRing::new())
        .revocations(Revocations::in_memory())
        .refreshed_by_hand();
    let sessions = Sessions::builder(&issuer.build().await.expect("an issuer"))
        .store(MemorySessions::new())
        .lifetimes(Lifetimes::aal1())
        .ask(async |_| Ok(Answer::go_on()));
    let sessions = sessions.build().await.expect("sessions");
    let attempt = sessions.attempt("alice").await.expect("an attempt");
    let begun = sessions.begin(attempt.succeeded("web")).await.expect("a session");
    let request = RefreshRequest::new(begun.refresh.as_str(), "web");
    sessions.refresh(&request).await.expect("goes on");
    sessions.end(begun.session.id(), EndReason::Operator).await.expect("ended");
    sessions.refresh(&request).await.expect_err("refused");
    sessions.refresh(&RefreshRequest::new("junk", "web")).await.expect_err("refused");

    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || sessions.record_metrics());
    let mut told: Vec<_> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .filter_map(|(key, _, _, value)| {
            let labels: Vec<_> =
                key.key().labels().map(|it| format!("{}={}", it.key(), it.value())).collect();
            let name = format!("{}{{{}}}", key.key().name(), labels.join(","));
            match value {
                DebugValue::Counter(0) | DebugValue::Histogram(_) => None,
                DebugValue::Counter(count) => Some(format!("{name} {count}")),
                DebugValue::Gauge(value) => Some(format!("{name} {}", value.0)),
            }
        })
        .collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "portcullis_sessions_begun_total{issuer=https://id.example} 1",
            "portcullis_sessions_ended_total{issuer=https://id.example,reason=operator} 1",
            "portcullis_sessions_refreshes_total{issuer=https://id.example,outcome=kept} 1",
            "portcullis_sessions_refused_total{issuer=https://id.example,reason=ended} 1",
            "portcullis_sessions_refused_total{issuer=https://id.example,reason=not_ours} 1",
            "portcullis_sessions_revocation_lag_seconds{issuer=https://id.example} 0",
        ]
    );
}
