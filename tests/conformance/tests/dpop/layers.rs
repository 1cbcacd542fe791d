//! Several layers around one request, and policies that take each other's place.
use std::net::TcpListener;
use std::time::Duration;

use actix_web::web;
use axum::Router;
use axum::routing::get;
use portcullis::dpop::{Dpop, InProcessReplays, Nonces};
use portcullis::{Policy, ReplaceablePolicy, UnixTime};
use portcullis_axum::VerifyLayer;
use portcullis_conformance::client::{Protocol, send};
use portcullis_conformance::doors::{self, Door, Running};
use portcullis_testkit::TestIssuer;

use super::{NOW, Service};

fn dpop() -> Dpop {
    let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
    Dpop::new(replays).at("https://api.example")
}

/// Apps whose route stands behind these policies, the last of them innermost.
fn behind(policies: &[Policy]) -> [Running; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let [outer, inner] = policies else { panic!("two policies") };
    let (outer, inner) = (outer.clone(), inner.clone());
    let configure = move |app: &mut web::ServiceConfig| {
        let inner = web::scope("")
            .route("/whoami", web::get().to(async || "inside"))
            .wrap(portcullis_actix::Verify::new(inner.clone()));
        let outer = portcullis_actix::Verify::new(outer.clone());
        app.service(web::scope("").service(inner).wrap(outer));
    };
    [in_axum(policies), doors::serve_actix(configure, listener).expect("a server")]
}

fn in_axum(policies: &[Policy]) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let inner = Router::new().route("/whoami", get(async || "inside"));
    let router = policies.iter().rev().fold(inner, |router, policy| {
        Router::new().merge(router).layer(VerifyLayer::new(policy.clone()))
    });
    doors::serve_axum(router, listener).expect("a server")
}

#[tokio::test]
async fn a_request_passes_two_layers_with_one_proof_and_a_second_request_does_not() {
    for nonces in [false, true] {
        let service = Service::new(Door::Tower, |dpop| dpop);
        let dpop = || {
            let dpop = dpop();
            if nonces { dpop.nonces(Nonces::of_this_process()) } else { dpop }
        };
        let build =
            |dpop: Dpop| service.issuer.policy_builder().dpop(dpop).build().expect("a policy");
        let shared = dpop();
        let one = build(shared.clone());
        let store = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
        let own = Nonces::of_this_process();
        let of_one_store = [(); 2].map(|()| {
            let dpop = Dpop::new(store.clone()).at("https://api.example");
            build(if nonces { dpop.nonces(own.clone()) } else { dpop })
        });
        let pairs = [
            ("one policy", [one.clone(), one.clone()], true),
            ("two that remember in one place", [one, build(shared)], true),
            ("two that do not, and whose nonces differ", [build(dpop()), build(dpop())], !nonces),
            // Each counts as a store of its own, and finds that the proof was used.
            ("two made of one store", of_one_store, false),
        ];
        for (what, policies, passes) in pairs {
            for server in behind(&policies) {
                let token = service.token();
                let ask = async |proof: &str| {
                    let request = Service::request("GET", "/whoami", &token, proof);
                    send(server.address(), Protocol::Http1, &request).await.expect("an answer")
                };
                let mut proof = service.proof(&token);
                if nonces {
                    let first = ask(&proof.mint()).await;
                    proof = proof.claim("nonce", super::nonces::nonce(&first));
                }
                let proof = proof.mint();
                let expected = if passes { 200 } else { 401 };
                assert_eq!(ask(&proof).await.status, expected, "{what}, nonces: {nonces}");
                assert_eq!(ask(&proof).await.status, 401, "{what}, nonces: {nonces}");
            }
        }
    }
}

/// A request holds the last use of its proof alone.
#[tokio::test]
async fn of_three_layers_with_two_stores_one_that_comes_back_to_a_store_refuses_the_request() {
    let service = Service::new(Door::Axum, |dpop| dpop);
    let build = |dpop: Dpop| service.issuer.policy_builder().dpop(dpop).build().expect("a policy");
    for (what, order, expected) in [
        ("one after the other", [0, 0, 1], 200),
        ("the same, from the other", [1, 0, 0], 200),
        ("and back", [0, 1, 0], 401),
    ] {
        let stores = [dpop(), dpop()];
        let server = in_axum(&order.map(|store: usize| build(stores[store].clone())));
        let token = service.token();
        let proof = service.proof(&token).mint();
        let request = Service::request("GET", "/whoami", &token, &proof);
        let answer = send(server.address(), Protocol::Http1, &request).await.expect("an answer");
        assert_eq!(answer.status, expected, "{what}");
    }
}

#[tokio::test]
async fn a_policy_that_remembers_elsewhere_refuses_what_was_made_before_it_took_over() {
    for door in Door::ALL {
        let service = Service::new(door, |dpop| dpop);
        let build = || service.issuer.policy_builder().dpop(dpop()).build().expect("a policy");
        let (first, plain) = (build(), service.issuer.policy());
        let replaceable = ReplaceablePolicy::new(&first);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = door.start(&replaceable.policy(), listener).expect("a server");
        let token = service.token();
        let ask = async |proof: &str| {
            let request = Service::request("GET", "/whoami", &token, proof);
            send(server.address(), Protocol::Http1, &request).await.expect("an answer").status
        };
        // Built long before it takes over, through a policy without proofs, and back to the first one.
        let ways = [vec![build()], vec![plain.clone(), build()], vec![build(), first]];
        for way in ways {
            let used = service.proof(&token).mint();
            assert_eq!(ask(&used).await, 200, "{door:?}");
            for next in way {
                replaceable.replace(&next);
                assert_eq!(ask(&used).await, 401, "{door:?}");
            }
            // Clients whose clocks are ahead, and then all.
            assert_eq!(
                ask(&service.proof(&token).claim("iat", service.now() + 10).mint()).await,
                401
            );
            service.clock.advance(Duration::from_secs(11));
            assert_eq!(ask(&used).await, 401, "{door:?}");
            assert_eq!(ask(&service.proof(&token).mint()).await, 200, "{door:?}");
        }
    }
}

#[tokio::test]
async fn a_policy_that_takes_the_place_of_another_remembers_what_was_used() {
    for door in Door::ALL {
        for nonces in [false, true] {
            let service = Service::new(door, |dpop| dpop);
            let dpop = dpop();
            let dpop = if nonces { dpop.nonces(Nonces::of_this_process()) } else { dpop };
            let build = |issuer: &TestIssuer| {
                issuer.policy_builder().dpop(dpop.clone()).build().expect("a policy")
            };
            let replaceable = ReplaceablePolicy::new(&build(&service.issuer));
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let server = door.start(&replaceable.policy(), listener).expect("a server");
            let token = service.token();
            let ask = async |proof: &str| {
                let request = Service::request("GET", "/whoami", &token, proof);
                send(server.address(), Protocol::Http1, &request).await.expect("an answer")
            };
            let mut proof = service.proof(&token);
            if nonces {
                let first = ask(&proof.mint()).await;
                proof = proof.claim("nonce", super::nonces::nonce(&first));
            }
            let used = proof.clone().mint();
            assert_eq!(ask(&used).await.status, 200);
            for _ in 0..2 {
                replaceable.replace(&build(&service.issuer));
                assert_eq!(ask(&used).await.status, 401, "{door:?}, nonces: {nonces}");
                // And takes what the one before gave out.
                let fresh = service.proof(&token);
                let nonce = super::nonces::given(&ask(&fresh.mint()).await).pop();
                let fresh = nonce
                    .into_iter()
                    .fold(service.proof(&token), |proof, nonce| proof.claim("nonce", nonce));
                assert_eq!(ask(&fresh.mint()).await.status, 200, "{door:?}, nonces: {nonces}");
            }
        }
    }
}
