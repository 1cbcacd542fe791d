//! What is told through the `metrics` facade.
#![cfg(feature = "metrics")]
use std::collections::BTreeMap;
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use portcullis::mtls::Mtls;
use portcullis::refusal::ResponseForm;
use portcullis::{Admission, Algorithm, Error, Policy, Requirement, Revocable, Revocations};
use portcullis_testkit::{FixedClock, TestIssuer};

const NOW: i64 = 1_800_000_000;

fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example").at(NOW)
}

/// What `act` records, by name and labels. Of a histogram, how many values.
fn recorded(act: impl FnOnce()) -> BTreeMap<String, f64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, act);
    let all = snapshotter.snapshot().into_vec().into_iter().map(|(key, _, _, value)| {
        let labels = key.key().labels().map(|label| format!(",{}={}", label.key(), label.value()));
        let name = format!("{}{}", key.key().name(), labels.collect::<String>());
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => {
                assert!(values.iter().all(|value| (0.0..10.0).contains(&value.into_inner())));
                values.len() as f64
            }
        };
        (name, value)
    });
    all.collect()
}

fn ask(policy: &Policy, token: Option<&str>) {
    let mut request = http::Request::builder();
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(()).expect("a request");
    let decided = pin!(policy.verify(&request)).poll(&mut Context::from_waker(Waker::noop()));
    assert!(decided.is_ready(), "nothing is waited for");
}

#[test]
fn decisions_are_counted_by_outcome_and_refusals_by_reason() {
    let policy = issuer().policy();
    let good = issuer().token(Algorithm::ES256).mint();
    let expired = issuer().token(Algorithm::ES256).expired().mint();
    let told = recorded(|| {
        for token in [Some(good.as_str()), Some(&good), Some(&expired), Some("x"), None] {
            ask(&policy, token);
        }
        ask(&policy.clone().allow_anonymous(), None);
        // By a route, of a request that the policy let in.
        let request = http::Request::builder().header("authorization", format!("Bearer {good}"));
        let portcullis::policy::Verification::Done(Ok(admission)) =
            policy.start_verify(&request.body(()).expect("a request"))
        else {
            panic!("a good token")
        };
        let admin = Requirement::scope("admin");
        drop(Admission::authorize(Some(&admission), &admin, ResponseForm::Full));
        drop(Admission::require(None, ResponseForm::Full));
        // By hand: no request.
        drop(policy.verify_token_now(&expired));
    });
    let expected = [
        ("portcullis_accepted_total,policy=default,caller=anonymous", 1.0),
        ("portcullis_accepted_total,policy=default,caller=token", 3.0),
        ("portcullis_decision_seconds,policy=default,outcome=accepted", 4.0),
        ("portcullis_decision_seconds,policy=default,outcome=refused", 3.0),
        ("portcullis_refused_total,policy=default,reason=expired", 1.0),
        ("portcullis_refused_total,policy=default,reason=forbidden", 1.0),
        ("portcullis_refused_total,policy=default,reason=malformed", 1.0),
        ("portcullis_refused_total,policy=,reason=not_installed", 1.0),
        ("portcullis_refused_total,policy=default,reason=token_missing", 1.0),
    ];
    assert_eq!(told, expected.map(|(name, value)| (name.to_owned(), value)).into());
}

#[test]
fn what_the_server_cannot_tell_is_unavailable_and_not_refused() {
    let list = Revocations::options().clock(FixedClock::at(NOW));
    let list = list.shared([0; 16], std::time::Duration::from_secs(60));
    let revocations = Revocations::new(list, Nobody);
    let policy = issuer().policy_builder().revocations(revocations.enforce([Revocable::Token]));
    let policy = policy.build().expect("a policy");
    let told = recorded(|| {
        ask(&policy, Some(&issuer().token(Algorithm::ES256).mint()));
        policy.record_metrics();
    });
    for (name, value) in [
        ("portcullis_unavailable_total,policy=default,reason=revocation_unavailable", 1.0),
        ("portcullis_decision_seconds,policy=default,outcome=unavailable", 1.0),
        ("portcullis_ready,policy=default", 0.0),
        ("portcullis_revocation_lag,policy=default", 0.0),
        ("portcullis_revocation_entries,policy=default", 0.0),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name} of {told:?}");
    }
    assert!(!told.keys().any(|name| name.starts_with("portcullis_refused")), "{told:?}");
}

/// A rate is taken between two samples, so that the first burst of forgeries would not show in one.
#[test]
fn a_server_that_does_not_say_what_its_handshake_saw_is_not_a_fault_of_the_client() {
    let policy = issuer().policy_builder().mtls(Mtls::from_tls()).build().expect("a policy");
    let token = issuer().token(Algorithm::ES256).bound_to_certificate(b"DER").mint();
    let told = recorded(|| ask(&policy, Some(&token)));
    let counted = "portcullis_unavailable_total,policy=default,reason=certificate_unavailable";
    assert_eq!(told.get(counted), Some(&1.0), "{told:#?}");
}

#[test]
fn each_reason_is_there_at_zero_once_a_policy_is_built_as_what_it_will_count() {
    let told = recorded(|| drop(issuer().policy()));
    let unavailable = [
        "keys_unavailable",
        "revocation_unavailable",
        "replays_unavailable",
        "certificate_unavailable",
    ];
    let expected = Error::REASONS.iter().map(|&reason| {
        let kind = if unavailable.contains(&reason) { "unavailable" } else { "refused" };
        let policy = if reason == "not_installed" { "" } else { "default" };
        (format!("portcullis_{kind}_total,policy={policy},reason={reason}"), 0.0)
    });
    assert_eq!(told, expected.collect());
}

#[derive(Debug)]
struct Nobody;

impl portcullis::revocation::store::RevocationStore for Nobody {
    fn publish(
        &self,
        _: portcullis::revocation::store::RevocationEntry,
    ) -> portcullis::revocation::store::PublishFuture {
        Box::pin(std::future::ready(Ok(())))
    }
}

#[test]
fn the_cache_is_told_when_asked_for() {
    let policy = issuer().policy();
    let good = issuer().token(Algorithm::ES256).mint();
    let told = recorded(|| {
        for _ in 0..3 {
            ask(&policy, Some(&good));
        }
        policy.record_metrics();
    });
    assert_eq!(told["portcullis_token_cache_hits_total,policy=default"], 2.0);
    assert_eq!(told["portcullis_token_cache_misses_total,policy=default"], 1.0);
    assert!(told["portcullis_token_cache_bytes,policy=default"] > 500.0);
    assert_eq!(told["portcullis_ready,policy=default"], 1.0);
    // There is no list, and nothing is fetched.
    assert!(!told.keys().any(|name| name.contains("revocation") || name.contains("key_set")));
}

#[cfg(feature = "remote-jwks")]
#[tokio::test]
async fn the_age_of_fetched_keys_is_told_by_issuer() {
    use portcullis::{Issuer, RemoteJwks};
    use portcullis_testkit::key_server::KeyServer;

    let server = KeyServer::start();
    let issuer = server.issuer(&[Algorithm::ES256]);
    let trusted = Issuer::new(server.origin())
        .algorithms([Algorithm::ES256])
        .keys(RemoteJwks::url(server.url(KeyServer::JWKS_PATH)))
        .audience(TestIssuer::AUDIENCE);
    let policy = Policy::builder().issuer(trusted).build().expect("a policy");
    let name = format!("portcullis_key_set_age_seconds,policy=default,issuer={}", server.origin());
    assert_eq!(recorded(|| policy.record_metrics()).get(&name), None);
    policy.keys_ready().await;
    let told = recorded(|| policy.record_metrics());
    assert!(told.get(&name).is_some_and(|age| (0.0..60.0).contains(age)), "{told:?}");
    drop(issuer);
}

/// The documentation is what operators write their alerts by.
#[test]
fn the_names_are_those_of_the_table_and_each_is_described() {
    let docs = include_str!("../src/metrics.rs");
    let rows = docs.lines().filter_map(|line| line.strip_prefix("//! | `portcullis_"));
    let names: Vec<_> =
        rows.map(|row| format!("portcullis_{}", row.split_once('`').expect("a name").0)).collect();
    assert_eq!(names, portcullis::metrics::NAMES);

    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let policy = issuer().policy();
        for token in [Some(issuer().token(Algorithm::ES256).mint()), Some("x".to_owned())] {
            ask(&policy, token.as_deref());
        }
        policy.record_metrics();
    });
    for (key, _, description, _) in snapshotter.snapshot().into_vec() {
        assert!(portcullis::metrics::NAMES.contains(&key.key().name()), "{key:?}");
        assert!(description.is_some_and(|text| !text.is_empty()), "{key:?}");
    }
}

#[test]
fn no_label_has_anything_of_a_request() {
    let policy = issuer().policy();
    let told = recorded(|| {
        let token = issuer().token(Algorithm::ES256).subject("LEAK").claim("jti", "LEAK");
        for token in [token.clone().mint(), token.clone().expired().mint(), "LEAK".to_owned()] {
            ask(&policy, Some(&token));
        }
        ask(&policy, Some(&token.key_id("LEAK").mint()));
        policy.record_metrics();
    });
    for name in told.keys() {
        assert!(!name.contains("LEAK"), "{name}");
        let reason = name.split_once("reason=").map(|(_, reason)| reason);
        assert!(reason.is_none_or(|reason| Error::REASONS.contains(&reason)), "{name}");
    }
}

#[test]
fn policies_of_different_names_are_counted_apart() {
    let build = |name: &str| issuer().policy_builder().name(name).build().expect("a policy");
    let (orders, billing) = (build("orders"), build("billing"));
    let good = issuer().token(Algorithm::ES256).mint();
    let told = recorded(|| {
        ask(&orders, Some(&good));
        ask(&orders, None);
        ask(&billing, None);
        orders.record_metrics();
        billing.record_metrics();
    });
    for (name, value) in [
        ("portcullis_accepted_total,policy=orders,caller=token", 1.0),
        ("portcullis_refused_total,policy=orders,reason=token_missing", 1.0),
        ("portcullis_refused_total,policy=billing,reason=token_missing", 1.0),
        ("portcullis_decision_seconds,policy=orders,outcome=accepted", 1.0),
        ("portcullis_ready,policy=orders", 1.0),
        ("portcullis_ready,policy=billing", 1.0),
    ] {
        assert_eq!(told.get(name), Some(&value), "{name} of {told:?}");
    }
}
