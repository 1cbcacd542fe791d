//! What changes while servers run: a policy that is replaced, and whether it is ready.
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use portcullis::revocation::store::{Moment, PublishFuture, RevocationEntry, RevocationStore};
use portcullis::{
    Algorithm, Issuer, KeySet, KeySource, Keys, Policy, Readiness, ReplaceablePolicy, Revocable,
    Revocations,
};
use portcullis_conformance::client::{self, Answer, Protocol, Request};
use portcullis_conformance::doors::{Door, Running, serve_actix, serve_axum};
use portcullis_testkit::{FixedClock, TestIssuer};

const NOW: i64 = 1_800_000_000;

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

async fn ask(address: SocketAddr, protocol: Protocol, request: &Request) -> Answer {
    client::send(address, protocol, request).await.expect("an answer")
}

#[tokio::test]
async fn every_door_decides_by_a_new_policy_from_the_next_request_on() {
    let issuers = ["https://a.example", "https://b.example"].map(|id| TestIssuer::new(id).at(NOW));
    let tokens = issuers.each_ref().map(|issuer| issuer.token(Algorithm::ES256).mint());
    let replaceable = ReplaceablePolicy::new(&issuers[0].policy());
    let servers: Vec<Running> = Door::ALL
        .map(|door| door.start(&replaceable.policy(), listener()).expect("a server"))
        .into();
    for round in 0..6 {
        let now = round % 2;
        replaceable.replace(&issuers[now].policy());
        for server in &servers {
            for protocol in Protocol::ALL {
                for (index, token) in tokens.iter().enumerate() {
                    let request = Request::new("GET", "/inside");
                    let request = request.header("authorization", format!("Bearer {token}"));
                    let answer = ask(server.address(), protocol, &request).await;
                    let expected = if index == now { 200 } else { 401 };
                    assert_eq!(answer.status, expected, "{server:?} {protocol:?} {round} {index}");
                }
            }
        }
    }
}

/// Has a key or has none.
#[derive(Clone, Debug)]
struct Sometimes(Arc<Mutex<KeySet>>);

impl KeySource for Sometimes {
    fn keys(&self) -> KeySet {
        self.0.lock().expect("no panic").clone()
    }
}

#[derive(Debug)]
struct Acknowledges;

impl RevocationStore for Acknowledges {
    fn publish(&self, _: RevocationEntry) -> PublishFuture {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn answer(status: u16, body: &str, more: &[(&str, &str)]) -> Answer {
    let length = body.len().to_string();
    let fixed = [("cache-control", "no-store"), ("content-length", length.as_str())];
    let headers = fixed.iter().chain(more).map(|(name, value)| (*name, value.as_bytes()));
    Answer::new(status, headers, body)
}

fn state(status: u16, body: &str) -> Answer {
    let json = ("content-type", "application/json");
    if status == 200 {
        answer(status, body, &[json])
    } else {
        answer(status, body, &[json, ("retry-after", "5")])
    }
}

#[tokio::test]
async fn readiness_covers_keys_and_revocation_and_is_the_same_through_every_door() {
    let keys = Sometimes(Arc::new(Mutex::new(KeySet::empty())));
    let list = Revocations::options().clock(FixedClock::at(NOW));
    let list = list.shared([0; 16], std::time::Duration::from_secs(60));
    let revocations = Revocations::new(list.clone(), Acknowledges);
    let issuer = Issuer::new("https://a.example")
        .algorithms([Algorithm::ES256])
        .keys(Keys::source(keys.clone()))
        .audience(TestIssuer::AUDIENCE);
    let policy = Policy::builder()
        .issuer(issuer)
        .clock(FixedClock::at(NOW))
        .revocations(revocations.enforce([Revocable::Token]))
        .build()
        .expect("a policy");
    let readiness = Readiness::new(policy);
    let router = axum::Router::new().route("/ready", portcullis_axum::readiness(readiness.clone()));
    let axum = serve_axum(router, listener()).expect("a server");
    let actix = serve_actix(
        move |app| {
            app.service(portcullis_actix::readiness("/ready", readiness.clone()));
        },
        listener(),
    )
    .expect("a server");
    let everywhere = async |method: &'static str, expected: &Answer| {
        for server in [&axum, &actix] {
            for protocol in Protocol::ALL {
                let request = Request::new(method, "/ready");
                // Whoever asks needs no token, and a bad one does not matter.
                for request in [request.clone(), request.header("authorization", "Bearer x")] {
                    let answer = ask(server.address(), protocol, &request).await;
                    assert_eq!(answer, *expected, "{server:?} {protocol:?}");
                }
            }
        }
    };

    everywhere(
        "GET",
        &state(503, r#"{"ready":false,"keys":false,"revocation":false,"proofs":true}"#),
    )
    .await;
    let provider = TestIssuer::new("https://a.example");
    let jwks = provider.jwks_of(&[Algorithm::ES256]);
    *keys.0.lock().expect("no panic") = KeySet::from_jwks(jwks).expect("keys");
    let not_fresh = state(503, r#"{"ready":false,"keys":true,"revocation":false,"proofs":true}"#);
    everywhere("GET", &not_fresh).await;
    let mut head = not_fresh;
    head.body.clear();
    everywhere("HEAD", &head).await;
    list.record_contact(Moment::now());
    everywhere("GET", &state(200, r#"{"ready":true,"keys":true,"revocation":true,"proofs":true}"#))
        .await;
    everywhere("POST", &answer(405, "", &[("allow", "GET, HEAD")])).await;
    *keys.0.lock().expect("no panic") = KeySet::empty();
    everywhere(
        "GET",
        &state(503, r#"{"ready":false,"keys":false,"revocation":true,"proofs":true}"#),
    )
    .await;
}

#[tokio::test]
async fn each_route_of_an_app_stands_behind_its_own_policy() {
    let issuers = ["https://a.example", "https://b.example"].map(|id| TestIssuer::new(id).at(NOW));
    let policies = issuers.each_ref().map(TestIssuer::policy);
    let tokens = issuers.each_ref().map(|issuer| issuer.token(Algorithm::ES256).mint());
    let [a, b] =
        policies.each_ref().map(|policy| portcullis_axum::VerifyLayer::new(policy.clone()));
    let router = axum::Router::new()
        .route("/a", axum::routing::get(async || "a").layer(a))
        .route("/b", axum::routing::get(async || "b").layer(b));
    let axum = serve_axum(router, listener()).expect("a server");
    let actix = serve_actix(
        move |app| {
            for (path, policy) in ["/a", "/b"].into_iter().zip(&policies) {
                let verify = portcullis_actix::Verify::new(policy.clone());
                app.service(actix_web::web::resource(path).wrap(verify).to(async || "inside"));
            }
        },
        listener(),
    )
    .expect("a server");
    for server in [&axum, &actix] {
        for (own, token) in tokens.iter().enumerate() {
            for (route, path) in ["/a", "/b"].into_iter().enumerate() {
                let request = Request::new("GET", path);
                let request = request.header("authorization", format!("Bearer {token}"));
                let answer = ask(server.address(), Protocol::Http1, &request).await;
                assert_eq!(
                    answer.status,
                    if own == route { 200 } else { 401 },
                    "{server:?} {path}"
                );
            }
        }
    }
}
