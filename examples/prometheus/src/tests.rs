use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_axum::portcullis::Error;
use portcullis_axum::portcullis::metrics::NAMES;
use portcullis_axum::portcullis::revocation::store::{
    Moment, PublishFuture, RevocationEntry, RevocationList, RevocationStore,
};
use portcullis_testkit::{TestIssuer, hostile};
use regex::Regex;
use serde_json::Value;
use tower::ServiceExt;

use super::*;

const DASHBOARD: &str = include_str!("../dashboard.json");
const ALERTS: &str = include_str!("../alerts.yml");

/// Stands in for a shared store: its list is told by hand what Redis would tell it.
#[derive(Debug)]
struct Store;

impl RevocationStore for Store {
    fn publish(&self, _: RevocationEntry) -> PublishFuture {
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Service {
    provider: KeyServer,
    issuer: TestIssuer,
    list: RevocationList,
    app: Router,
    operations: Router,
}

impl Service {
    /// Ready, and told that it has all that was revoked.
    async fn start(metrics: PrometheusHandle) -> Self {
        let provider = KeyServer::start();
        let issuer = provider.issuer(&[Algorithm::ES256]).audience(AUDIENCE);
        let list = Revocations::options().max_lifetime(MAX_LIFETIME);
        let list = list.shared([0; 16], Duration::from_secs(60));
        list.record_contact(Moment::now());
        let policy = policy(issuer.name(), &Revocations::new(list.clone(), Store));
        let policy = policy.expect("a policy");
        policy.keys_ready().await;
        let (app, operations) = (app(policy.clone()), operations(policy, metrics));
        Self { provider, issuer, list, app, operations }
    }

    async fn orders(&self, token: Option<&str>) -> StatusCode {
        let mut request = Request::get("/orders");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).expect("a request");
        self.app.clone().oneshot(request).await.expect("a response").status()
    }

    async fn ask(&self, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let response = self.operations.clone().oneshot(request).await.expect("a response");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.into()).expect("text"))
    }

    /// Two requests with a good token, one of each kind without, one that nobody can decide.
    async fn requests(&self, good: &str) {
        let expired = self.issuer.token(Algorithm::ES256).expired().mint();
        let forged = hostile::flip_signature_bit(good);
        for (token, expected) in [
            (Some(good), StatusCode::OK),
            (Some(good), StatusCode::OK),
            (Some(&*expired), StatusCode::UNAUTHORIZED),
            (Some(&*forged), StatusCode::UNAUTHORIZED),
            (None, StatusCode::UNAUTHORIZED),
        ] {
            assert_eq!(self.orders(token).await, expected, "{token:?}");
        }
        self.list.record_loss();
        assert_eq!(self.orders(Some(good)).await, StatusCode::SERVICE_UNAVAILABLE);
        self.list.record_contact(Moment::now());
    }
}

/// What `/metrics` says after requests of every outcome, and the token that was good.
async fn scrape() -> (String, String) {
    let recorder = exporter().expect("an exporter").build_recorder();
    let _this_thread = metrics::set_default_local_recorder(&recorder);
    let service = Service::start(recorder.handle()).await;
    let good = service.issuer.token(Algorithm::ES256).subject("LEAK").key_id("es256-1").mint();
    service.requests(&good).await;
    let (status, text) = service.ask("/metrics").await;
    assert_eq!(status, StatusCode::OK);
    drop(service.provider);
    (text, good)
}

/// The names of all samples, with the names of their labels.
fn samples(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let label = Regex::new(r#"(\w+)=""#).expect("a pattern");
    let mut samples = BTreeMap::<_, BTreeSet<_>>::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap_or_default().to_owned();
        let labels = label.captures_iter(line).map(|found| found[1].to_owned());
        samples.entry(name).or_default().extend(labels);
    }
    samples
}

#[tokio::test]
async fn the_metrics_are_those_of_the_documentation_with_help_and_type() {
    let (text, _) = scrape().await;
    let kind = |name: &str| match name {
        _ if name.ends_with("_total") => "counter",
        "portcullis_decision_seconds" => "histogram",
        _ => "gauge",
    };
    let types: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let expected: BTreeSet<_> = NAMES.iter().map(|name| format!("{name} {}", kind(name))).collect();
    assert_eq!(types, expected.iter().map(String::as_str).collect());
    for name in NAMES {
        let help = format!("# HELP {name} ");
        let help = text.lines().find_map(|line| line.strip_prefix(&help));
        assert!(help.is_some_and(|help| !help.is_empty()), "{name} of {text}");
    }
    let histogram =
        ["_bucket", "_sum", "_count"].map(|part| format!("portcullis_decision_seconds{part}"));
    for sample in samples(&text).keys() {
        assert!(NAMES.contains(&&**sample) || histogram.contains(sample), "{sample}");
    }
    for bound in BUCKETS.map(|bound| bound.to_string()).iter().map(String::as_str).chain(["+Inf"]) {
        assert!(text.contains(&format!(r#"le="{bound}""#)), "{bound} of {text}");
    }
}

#[tokio::test]
async fn each_outcome_is_counted() {
    let (text, _) = scrape().await;
    for sample in [
        r#"portcullis_accepted_total{policy="orders",caller="token"} 2"#,
        r#"portcullis_refused_total{policy="orders",reason="expired"} 1"#,
        r#"portcullis_refused_total{policy="orders",reason="bad_signature"} 1"#,
        r#"portcullis_refused_total{policy="orders",reason="token_missing"} 1"#,
        r#"portcullis_unavailable_total{policy="orders",reason="revocation_unavailable"} 1"#,
        r#"portcullis_decision_seconds_count{policy="orders",outcome="accepted"} 2"#,
        r#"portcullis_decision_seconds_count{policy="orders",outcome="refused"} 3"#,
        r#"portcullis_decision_seconds_count{policy="orders",outcome="unavailable"} 1"#,
        r#"portcullis_ready{policy="orders"} 1"#,
    ] {
        assert!(text.lines().any(|line| line == sample), "{sample} of {text}");
    }
}

#[tokio::test]
async fn the_metrics_have_nothing_of_a_token() {
    let (text, good) = scrape().await;
    for part in good.split('.').chain(["LEAK", "token-1", "es256-1", "testkit"]) {
        assert!(!text.contains(part), "{part} of {text}");
    }
}

#[tokio::test]
async fn the_probe_says_what_is_missing_and_the_metrics_say_so_too() {
    let recorder = exporter().expect("an exporter").build_recorder();
    let _this_thread = metrics::set_default_local_recorder(&recorder);
    let service = Service::start(recorder.handle()).await;
    let ready = r#"{"ready":true,"keys":true,"revocation":true,"proofs":true}"#.to_owned();
    assert_eq!(service.ask("/ready").await, (StatusCode::OK, ready));
    service.list.record_loss();
    let not_ready = r#"{"ready":false,"keys":true,"revocation":false,"proofs":true}"#.to_owned();
    assert_eq!(service.ask("/ready").await, (StatusCode::SERVICE_UNAVAILABLE, not_ready));
    let (_, text) = service.ask("/metrics").await;
    assert!(text.contains(r#"portcullis_ready{policy="orders"} 0"#), "{text}");
}

#[tokio::test]
async fn the_world_does_not_get_what_operators_do() {
    let recorder = exporter().expect("an exporter").build_recorder();
    let service = Service::start(recorder.handle()).await;
    let token = service.issuer.token(Algorithm::ES256).mint();
    for path in ["/metrics", "/ready"] {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).expect("a request");
        let response = service.app.clone().oneshot(request).await.expect("a response");
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

/// What a query asks for is there, and so are the labels that it goes by: those of the exporter, and those that
/// Prometheus adds.
fn assert_answerable(query: &str, samples: &BTreeMap<String, BTreeSet<String>>) {
    let all = |pattern| {
        let pattern = Regex::new(pattern).expect("a pattern");
        let found = pattern.captures_iter(query).map(|found| found[1].to_owned());
        found.collect::<BTreeSet<_>>()
    };
    let names = all(r"(portcullis_\w+)");
    assert!(!names.is_empty(), "{query}");
    let mut known = BTreeSet::from(["job".to_owned(), "instance".to_owned()]);
    for name in &names {
        let labels = samples.get(name).unwrap_or_else(|| panic!("no {name}, of {query}"));
        known.extend(labels.iter().cloned());
    }
    let mut used = all(r"[{,]\s*(\w+)\s*(?:=|!=|=~|!~)\s*\x22");
    for list in all(r"\b(?:by|without|on)\s*\(([^)]*)\)") {
        used.extend(list.split(',').map(|label| label.trim().to_owned()));
    }
    assert!(used.is_subset(&known), "{used:?} of {query}");
    for reason in all(r"reason=\x22(\w+)\x22") {
        assert!(Error::REASONS.contains(&&*reason), "{reason} of {query}");
    }
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().expect("panels")
}

fn queries(panel: &Value) -> impl Iterator<Item = &str> {
    let targets = panel["targets"].as_array().expect("targets");
    targets.iter().map(|target| target["expr"].as_str().expect("a query"))
}

#[test]
fn each_panel_has_a_title_a_unit_a_place_of_its_own_and_a_query_of_the_chosen_source() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let (mut taken, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().expect("a title");
        assert!(!title.is_empty());
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{title}");
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(unit.is_some_and(|unit| !unit.is_empty()), "{title}");
        assert!(queries(panel).count() > 0, "{title}");
        for target in panel["targets"].as_array().expect("targets").iter().chain([panel]) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }

        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{title}: the grid has 24 columns");
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{title} lies over another panel");
        }
    }
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let names: Vec<_> = variables.iter().map(|variable| &variable["name"]).collect();
    assert_eq!(names, ["datasource", "job"]);
    assert_eq!(variables[1]["datasource"]["uid"], "${datasource}");
    assert_eq!(variables[1]["query"]["query"], "label_values(portcullis_ready, job)");
}

#[tokio::test]
async fn the_dashboard_asks_for_what_is_exported_and_leaves_nothing_out() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("JSON");
    let samples = samples(&scrape().await.0);
    let queries: Vec<_> = panels(&dashboard).iter().flat_map(queries).collect();
    for query in &queries {
        assert_answerable(query, &samples);
    }
    for name in NAMES {
        assert!(queries.iter().any(|query| query.contains(name)), "{name}");
    }
}

#[tokio::test]
async fn each_alert_asks_for_what_is_exported_and_says_why() {
    let samples = samples(&scrape().await.0);
    let rules: Vec<_> = ALERTS.split("\n\n").collect();
    assert!(!rules.is_empty());
    for rule in rules {
        let line = |key: &str| rule.lines().find_map(|line| line.trim().strip_prefix(key));
        assert!(line("- alert: Portcullis").is_some() && line("# ").is_some(), "{rule}");
        assert_answerable(line("expr: ").expect("a query"), &samples);
        for key in ["labels: { severity: ", "summary: ", "description: "] {
            assert!(line(key).is_some(), "{key} of {rule}");
        }
    }
}
