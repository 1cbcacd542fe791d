//! Apps that are wrong in one way each, and what is said of them.
use core::convert::Infallible;
use core::time::Duration;

use actix_web::middleware::NormalizePath;
use actix_web::{App, web};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, Uri};
use axum::middleware::map_response;
use axum::routing::{any, get};
use portcullis::dpop::{Dpop, DpopError, InProcessReplays, Nonces, ProofUse, Replays, Spent};
use portcullis::{Algorithm, Policy, UnixTime};
use portcullis_actix::Verify;
use portcullis_axum::{RequireLayer, VerifyLayer};
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::walk::message;
use super::{BadProof, DpopClient};
use crate::routes::Routes;
use crate::{FixedClock, SigningKey, TestIssuer};

const NOW: i64 = 1_800_000_000;
const BASE: &str = "https://api.example";

struct Test {
    clock: FixedClock,
    issuer: TestIssuer,
    client: DpopClient,
}

impl Test {
    fn new() -> Self {
        let clock = FixedClock::at(NOW);
        let issuer = TestIssuer::new("https://dpop.example").clock(clock.clone());
        let key = SigningKey::generate(Algorithm::ES256);
        let token = issuer.token(Algorithm::ES256).bound_to(&key).mint();
        let client = DpopClient::new(&issuer, &key).token(token);
        Self { clock, issuer, client }
    }

    fn policy(&self, change: impl FnOnce(Dpop) -> Dpop) -> Policy {
        let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
        let dpop = change(Dpop::new(replays).at(BASE));
        self.issuer.policy_builder().dpop(dpop).build().expect("a policy")
    }

    async fn axum_at(&self, base: &str, app: Router, routes: &[(&str, &str)]) -> Vec<String> {
        let hint = crate::axum::PATH_HINT;
        let found = message(&self.client, base, Routes::new(routes), hint, async |question| {
            crate::tower::ask::<_, Body, _>(app.clone(), question).await
        });
        lines(found.await)
    }

    async fn axum(&self, app: Router) -> Vec<String> {
        self.axum_at(BASE, app, &[("GET", "/orders")]).await
    }
}

/// What is found, without the headings.
fn lines(message: Option<String>) -> Vec<String> {
    let message = message.unwrap_or_default();
    message.lines().filter_map(|line| line.strip_prefix("  - ")).map(str::to_owned).collect()
}

/// What is found in an app of actix-web, whose type has no name.
macro_rules! actix {
    ($test:expr, $base:expr, $app:expr, $path:expr) => {{
        let app = actix_web::test::init_service($app).await;
        let (client, routes) = (&$test.client, Routes::new(&[("GET", $path)]));
        let hint = crate::actix::PATH_HINT;
        let found = message(client, $base, routes, hint, async |question| {
            crate::actix::ask(&app, question, actix_web::test::TestRequest::to_request).await
        });
        lines(found.await)
    }};
}

/// What is found in a service of tower.
macro_rules! tower {
    ($test:expr, $base:expr, $service:expr) => {{
        let (client, routes) = (&$test.client, Routes::new(&[("GET", "/orders")]));
        let hint = crate::tower::PATH_HINT;
        let found = message(client, $base, routes, hint, async |question| {
            crate::tower::ask::<_, String, _>($service, question).await
        });
        lines(found.await)
    }};
}

fn orders() -> Router {
    Router::new().route("/orders", get(async || "orders"))
}

fn actix_orders() -> actix_web::Resource {
    web::resource("/orders").get(async || "orders")
}

async fn inner(_: Request<String>) -> Result<Response<String>, Infallible> {
    Ok(Response::new("orders".to_owned()))
}

type Inner = BoxCloneSyncService<Request<String>, Response<String>, Infallible>;

/// A service of tower behind a policy.
fn behind(policy: Policy) -> Inner {
    let layer = portcullis::tower::VerifyLayer::new(policy);
    let service = ServiceBuilder::new().layer(layer).service_fn(inner);
    let text = |response: Response<_>| response.map(|_| String::new());
    BoxCloneSyncService::new(service.map_response(text))
}

#[actix_web::test]
async fn an_app_that_holds_tokens_to_their_keys_passes() {
    for has_nonces in [false, true] {
        let test = Test::new();
        let policy = || {
            test.policy(
                |dpop| {
                    if has_nonces { dpop.nonces(Nonces::of_this_process()) } else { dpop }
                },
            )
        };
        assert_eq!(test.axum(orders().layer(VerifyLayer::new(policy()))).await, [""; 0]);
        let nested = Router::new().nest("/api", orders().layer(VerifyLayer::new(policy())));
        let routes = [("GET", "/api/orders"), ("HEAD", "/api/orders"), ("GET", "/api/orders?x=1")];
        assert_eq!(test.axum_at("https://api.example/", nested, &routes).await, [""; 0]);
        let app = App::new().service(web::scope("/api").service(actix_orders()));
        assert_eq!(actix!(test, BASE, app.wrap(Verify::new(policy())), "/api/orders"), [""; 0]);
        let service = behind(policy());
        assert_eq!(tower!(test, BASE, service.clone()), [""; 0]);
        // What was learned of nonces before counts.
        assert_eq!(tower!(test, BASE, service.clone()), [""; 0]);
    }
}

#[tokio::test]
async fn a_layer_that_sees_what_a_router_left_of_the_path_is_found() {
    let test = Test::new();
    let layer = portcullis::tower::VerifyLayer::new(test.policy(|dpop| dpop));
    let app = Router::new().nest("/api", orders().layer(layer));
    let [found] = &*test.axum_at(BASE, app, &[("GET", "/api/orders")]).await else { panic!("one") };
    assert_eq!(
        found,
        "GET /api/orders: with a good proof it answered 401: the proof is for another address: its `htu` has another path than the service, which is `https://api.example` and then the path of the request. `Dpop::at` (`base_urls` in a file) says the address as clients write it. If the log names a shorter path than the client asked for, the policy stands behind what cut it: within `nest` of axum, take the layer of `portcullis-axum`. The proof was for `https://api.example/api/orders`. If that is the address with what a proxy takes away, then the layer sees another path than the client asked for: within `nest`, use `portcullis_axum::VerifyLayer` and not that of `portcullis::tower`, which sees what the router left of it; and rewrite no path in front of the router"
    );
}

#[actix_web::test]
async fn a_path_that_is_rewritten_before_the_policy_is_found() {
    let test = Test::new();
    let service = behind(test.policy(|dpop| dpop));
    let strip = move |mut request: Request<String>| {
        *request.uri_mut() = Uri::from_static("/");
        service.clone().oneshot(request)
    };
    let [found] = &*tower!(test, BASE, service_fn(strip.clone())) else { panic!("one") };
    assert!(found.ends_with("than the client asked for: put the layer of the policy around whatever rewrites the path"), "{found}");

    let app = App::new().service(actix_orders()).wrap(Verify::new(test.policy(|dpop| dpop)));
    let [found] = &*actix!(test, BASE, app.wrap(NormalizePath::trim()), "/orders/") else {
        panic!("one")
    };
    assert!(
        found.ends_with("such as `NormalizePath`: of two `.wrap` the later one is the outer one"),
        "{found}"
    );
    let app = App::new().service(actix_orders()).wrap(NormalizePath::trim());
    let app = app.wrap(Verify::new(test.policy(|dpop| dpop)));
    assert_eq!(actix!(test, BASE, app, "/orders/"), [""; 0]);
}

#[actix_web::test]
async fn another_address_is_found_and_named() {
    let test = Test::new();
    let policy = || test.policy(|dpop| dpop);
    for (base, differs, way_out) in [
        ("https://www.example", "host", "`Dpop::at` has to say that address, as clients write it"),
        ("http://api.example:443", "scheme", "`Dpop::at` has to say that address"),
        ("https://api.example:8443", "port", "`Dpop::at` has to say that address"),
        ("https://api.example/v1", "path", "If that is the address with what a proxy takes away"),
    ] {
        let app = orders().layer(VerifyLayer::new(policy()));
        let of_axum = test.axum_at(base, app, &[("GET", "/orders")]).await;
        let app = App::new().service(actix_orders()).wrap(Verify::new(policy()));
        let of_actix = actix!(test, base, app, "/orders");
        let service = behind(policy());
        let of_tower = tower!(test, base, service.clone());
        for found in [of_axum, of_actix, of_tower] {
            let [found] = &*found else { panic!("{found:?}") };
            let differs = format!("its `htu` has another {differs} than the service");
            let url = format!("The proof was for `{base}/orders`");
            for part in [&*differs, &*url, way_out] {
                assert!(found.contains(part), "{part}: {found}");
            }
        }
    }
}

#[actix_web::test]
async fn a_policy_without_proofs_is_found() {
    let test = Test::new();
    let policy = || test.issuer.policy();
    let expected = [
        "GET /orders: with a good proof it answered 401: the request carries no bearer token, but one with the scheme `DPoP`, which this policy does not take: add `PolicyBuilder::dpop`, or `[dpop]` in a file. Does the policy in front of this route have `.dpop(…)`?",
    ];
    assert_eq!(test.axum(orders().layer(VerifyLayer::new(policy()))).await, expected);
    let app = App::new().service(actix_orders()).wrap(Verify::new(policy()));
    assert_eq!(actix!(test, BASE, app, "/orders"), expected);
    let service = behind(policy());
    assert_eq!(tower!(test, BASE, service.clone()), expected);
}

#[actix_web::test]
async fn two_policies_that_are_not_clones_of_one_and_use_one_store_are_found() {
    let test = Test::new();
    let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
    let policy = || {
        let dpop = Dpop::new(replays.clone()).at(BASE);
        test.issuer.policy_builder().dpop(dpop).build().expect("a policy")
    };
    let app = orders().layer(VerifyLayer::new(policy())).layer(VerifyLayer::new(policy()));
    let [found] = &*test.axum(app).await else { panic!("one") };
    assert!(found.ends_with("Give both policies clones of one `Dpop`"), "{found}");
}

#[actix_web::test]
async fn a_route_that_lets_everybody_in_is_found() {
    let test = Test::new();
    let bypass = "it answered 200. Something other than the policy with `.dpop(…)` lets it in.";
    let expected = [
        format!("GET /orders: as a bearer token {bypass}"),
        format!("GET /orders: as a bearer token, with a good proof beside it, {bypass}"),
        format!("GET /orders: without a proof {bypass}"),
    ];
    assert_eq!(test.axum(orders()).await, expected);
    assert_eq!(actix!(test, BASE, App::new().service(actix_orders()), "/orders"), expected);
    assert_eq!(tower!(test, BASE, service_fn(inner)), expected);
}

/// Whether a request has a token with the scheme `Bearer`, as those ask who fell for RFC 9449 §7.2.
fn is_bearer(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value.starts_with(b"Bearer "))
}

#[actix_web::test]
async fn a_bound_token_that_gets_in_as_a_bearer_token_is_found() {
    let test = Test::new();
    let of = |found: &[String]| {
        let [plain, beside] = found else { panic!("{found:?}") };
        assert!(plain.starts_with("GET /orders: as a bearer token it answered 200"), "{plain}");
        assert!(
            beside.starts_with("GET /orders: as a bearer token, with a good proof"),
            "{beside}"
        );
    };
    let protected = orders().layer(VerifyLayer::new(test.policy(|dpop| dpop)));
    let choose = async move |request: Request<Body>| {
        let value = request.headers().get("authorization").map(|value| value.as_bytes());
        let router = if is_bearer(value) { orders() } else { protected.clone() };
        router.oneshot(request).await
    };
    of(&test.axum(Router::new().route("/orders", any(choose))).await);

    let to_bearer = guard_fn();
    let app = App::new()
        .service(web::resource("/orders").guard(to_bearer).get(async || "orders"))
        .service(actix_orders().wrap(Verify::new(test.policy(|dpop| dpop))));
    of(&actix!(test, BASE, app, "/orders"));

    let service = behind(test.policy(|dpop| dpop));
    let choose = move |request: Request<String>| {
        let service = service.clone();
        async move {
            let value = request.headers().get("authorization").map(|value| value.as_bytes());
            if is_bearer(value) { inner(request).await } else { service.oneshot(request).await }
        }
    };
    of(&tower!(test, BASE, service_fn(choose.clone())));
}

fn guard_fn() -> impl actix_web::guard::Guard {
    actix_web::guard::fn_guard(|context| {
        is_bearer(context.head().headers().get("authorization").map(|value| value.as_bytes()))
    })
}

/// Forgets at once.
#[derive(Debug)]
struct Forgetful;

impl Replays for Forgetful {
    fn spend(&self, _: &ProofUse) -> Spent {
        Spent::Fresh
    }

    fn epoch(&self) -> u64 {
        7
    }
}

#[actix_web::test]
async fn a_store_that_remembers_nothing_is_found() {
    let test = Test::new();
    let dpop = Dpop::new(Forgetful).at(BASE);
    let policy = || test.issuer.policy_builder().dpop(dpop.clone()).build().expect("a policy");
    let expected = [
        "GET /orders: with the same proof again it answered 200. Does its store remember used proofs, and have all policies of the service clones of one `Dpop`?",
    ];
    assert_eq!(test.axum(orders().layer(VerifyLayer::new(policy()))).await, expected);
    let app = App::new().service(actix_orders()).wrap(Verify::new(policy()));
    assert_eq!(actix!(test, BASE, app, "/orders"), expected);
    let service = behind(policy());
    assert_eq!(tower!(test, BASE, service.clone()), expected);
    // Each request to a policy of its own.
    let each = || behind(test.policy(|dpop| dpop));
    assert_eq!(tower!(test, BASE, each()), expected);
}

#[actix_web::test]
async fn a_policy_that_has_just_begun_is_told_from_one_that_knows_the_proof() {
    let test = Test::new();
    let policy = || {
        let dpop = Dpop::new(InProcessReplays::new()).at(BASE);
        test.issuer.policy_builder().dpop(dpop).build().expect("a policy")
    };
    let app = orders().layer(VerifyLayer::new(policy()));
    let of_axum = test.axum(app.clone()).await;
    let of_actix = {
        let app = App::new().service(actix_orders()).wrap(Verify::new(policy()));
        actix!(test, BASE, app, "/orders")
    };
    let service = behind(policy());
    let of_tower = tower!(test, BASE, service.clone());
    for found in [of_axum, of_actix, of_tower] {
        let [found] = &*found else { panic!("{found:?}") };
        for part in
            ["It was new.", "`InProcessReplays::new().started_at(…)`", "move a `FixedClock` on"]
        {
            assert!(found.contains(part), "{part}: {found}");
        }
    }
    // As it says.
    test.clock.advance(Duration::from_secs(60));
    assert_eq!(test.axum(app).await, [""; 0]);
}

#[tokio::test]
async fn each_other_refusal_of_a_good_proof_says_its_way_out() {
    let test = Test::new();
    let is_told = async |test: &Test, app: Router, part: &str| {
        let found = test.axum(app).await;
        assert!(matches!(&*found, [one] if one.contains(part)), "{part}: {found:?}");
    };
    let protected = |dpop: fn(Dpop) -> Dpop| orders().layer(VerifyLayer::new(test.policy(dpop)));
    let other = |dpop: Dpop| dpop.algorithms([Algorithm::PS256]);
    is_told(&test, protected(other), "The client's key is for ES256: list it").await;
    let scoped = orders().route_layer(RequireLayer::scope("orders:read"));
    let scoped = scoped.layer(VerifyLayer::new(test.policy(|dpop| dpop)));
    is_told(&test, scoped, "give the client a token that may use the route").await;
    is_told(&test, Router::new(), "answered 404: is there such a route?").await;
    let closed = async || StatusCode::UNAUTHORIZED;
    let closed = Router::new().route("/orders", get(closed));
    is_told(&test, closed, "answered 401, and Portcullis did not").await;

    let with = |client: DpopClient| Test {
        client,
        clock: test.clock.clone(),
        issuer: test.issuer.clone(),
    };
    let key = test.client.key();
    let unbound = test.issuer.token(Algorithm::ES256);
    for (token, part) in [
        (unbound.clone().mint(), "Give the client a token that is bound to its key"),
        (
            unbound.clone().bound_to(&SigningKey::generate(Algorithm::ES256)).mint(),
            "bound to its key",
        ),
        (unbound.bound_to(key).expired().mint(), "Give the client a token that the policy accepts"),
    ] {
        let client = DpopClient::new(&test.issuer, key).token(token);
        is_told(&with(client), protected(|dpop| dpop), part).await;
    }
    let late = test.issuer.clone().at(NOW + 120);
    let token = test.issuer.token(Algorithm::ES256).bound_to(key).mint();
    let client = DpopClient::new(&late, key).token(token);
    is_told(&with(client), protected(|dpop| dpop), "the policy one clock").await;
    let client = DpopClient::new(&test.issuer, key);
    let app = protected(|dpop| dpop);
    let found = message(&client, BASE, Routes::new(&[("GET", "/orders")]), "", async |question| {
        crate::tower::ask::<_, Body, _>(app.clone(), question).await
    });
    assert!(found.await.is_some_and(|found| found.starts_with("the client has no token")));
}

#[tokio::test]
async fn nonces_that_nothing_takes_are_followed_once_and_found() {
    let test = Test::new();
    // Two policies in turn, whose nonces differ: instances that share no secret.
    let [one, two] =
        [(); 2].map(|()| behind(test.policy(|dpop| dpop.nonces(Nonces::of_this_process()))));
    let turn = core::cell::Cell::new(0);
    let next = || {
        turn.set(turn.get() + 1);
        if turn.get() % 2 == 0 { one.clone() } else { two.clone() }
    };
    let [found] = &*tower!(test, BASE, next()) else { panic!("one") };
    assert!(found.contains("Do all instances of the service have the same secrets"), "{found}");
    assert!(!found.contains("?."), "{found}");
    assert_eq!(turn.get(), 2);
}

#[tokio::test]
async fn each_check_that_is_left_out_is_found_by_its_proofs() {
    let test = Test::new();
    // A service that looks at nothing but the scheme, the number of proofs, their length and whether one was used.
    let used = std::sync::Mutex::new(std::collections::HashSet::new());
    let service = |request: Request<String>| {
        let header =
            |name: &str| request.headers().get_all(name).iter().cloned().collect::<Vec<_>>();
        let proofs = header("dpop");
        let scheme =
            header("authorization").iter().any(|value| value.as_bytes().starts_with(b"DPoP "));
        let is_new = || used.lock().expect("a lock").insert(proofs[0].clone());
        let is_good = scheme && proofs.len() == 1 && proofs[0].len() < 8192 && is_new();
        let response = if is_good {
            Response::new(String::new())
        } else {
            let response = Response::builder().status(401).header("www-authenticate", "DPoP");
            response.body(String::new()).expect("a response")
        };
        core::future::ready(Ok::<_, Infallible>(response))
    };
    let found = tower!(test, BASE, service_fn(&service));
    let expected = BadProof::ALL.iter().filter(|fault| **fault != BadProof::TooLong);
    let expected: Vec<_> = expected
        .map(|fault| format!("GET /orders: with a proof {fault} it answered 200"))
        .collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_refusal_without_its_challenge_or_with_another_status_is_found() {
    let test = Test::new();
    let app = || orders().layer(VerifyLayer::new(test.policy(|dpop| dpop)));
    let without = async |mut response: Response<Body>| {
        response.headers_mut().remove("www-authenticate");
        response
    };
    let found = test.axum(app().layer(map_response(without))).await;
    let fault = "it answered 401 without `WWW-Authenticate: DPoP`";
    assert_eq!(
        found,
        [
            format!("GET /orders: as a bearer token {fault}"),
            format!("GET /orders: as a bearer token, with a good proof beside it, {fault}"),
            format!("GET /orders: without a proof {fault}"),
        ]
    );
    let other = async |mut response: Response<Body>| {
        if response.status() == 401 {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        response
    };
    let found = test.axum(app().layer(map_response(other))).await;
    assert!(
        found[0].starts_with("GET /orders: as a bearer token it answered 400: ")
            && !found[0].contains("lets it in"),
        "{found:?}"
    );
}

#[actix_web::test]
#[should_panic(expected = "the app does not hold tokens to their keys:
  - GET /orders: with a good proof it answered 401: the request carries no bearer token, but one with the scheme `DPoP`, which this policy does not take: add `PolicyBuilder::dpop`, or `[dpop]` in a file. Does the policy in front of this route have `.dpop(…)`?
A bound token gets in with a new proof of its key. Anything else is answered with 401 and `WWW-Authenticate: DPoP`.")]
async fn one_message_names_the_fault_and_what_is_right() {
    let test = Test::new();
    let app = App::new().service(actix_orders()).wrap(Verify::new(test.issuer.policy()));
    crate::actix::assert_dpop(app, &test.client, BASE, &[("GET", "/orders")]).await;
}

#[actix_web::test]
async fn a_request_is_sent_once_more_with_the_nonce_that_was_told_and_no_more() {
    let test = Test::new();
    let asked = core::cell::Cell::new(0);
    let [one, two] = [(); 2].map(|()| test.policy(|dpop| dpop.nonces(Nonces::of_this_process())));
    let count = |service: Inner| {
        let asked = &asked;
        service_fn(move |request: Request<String>| {
            asked.set(asked.get() + 1);
            service.clone().oneshot(request)
        })
    };
    let finish = |request: http::request::Builder| request.body(String::new()).expect("a request");
    let route = ("GET", "/orders");
    let service = count(behind(one));
    let sent = crate::tower::send_with_proof(&service, &test.client, BASE, route, finish).await;
    assert_eq!((sent.status(), asked.take()), (StatusCode::OK, 2));
    // It has the nonce now.
    let sent = crate::tower::send_with_proof(&service, &test.client, BASE, route, finish).await;
    assert_eq!((sent.status(), asked.take()), (StatusCode::OK, 1));

    let app = App::new().service(actix_orders()).wrap(Verify::new(two.clone()));
    let app = actix_web::test::init_service(app).await;
    let finish = actix_web::test::TestRequest::to_request;
    let sent = crate::actix::send_with_proof(&app, &test.client, BASE, route, finish).await;
    assert_eq!(sent.status(), 200);

    // A server that asks for ever.
    let service = service_fn(|_: Request<String>| {
        asked.set(asked.get() + 1);
        let response = Response::builder().status(401).header("dpop-nonce", "n");
        let response = response.header("www-authenticate", "DPoP error=\"use_dpop_nonce\"");
        core::future::ready(Ok::<_, Infallible>(response.body(()).expect("a response")))
    });
    let finish = |request: http::request::Builder| request.body(String::new()).expect("a request");
    let sent = crate::tower::send_with_proof(&service, &test.client, BASE, route, finish).await;
    assert_eq!((sent.status(), asked.take()), (StatusCode::UNAUTHORIZED, 2));
}

#[tokio::test]
async fn at_a_token_endpoint_a_client_without_a_token_follows_the_nonce_of_a_400() {
    let test = Test::new();
    let client = DpopClient::new(&test.issuer, test.client.key());
    let dpop = Dpop::new(InProcessReplays::new()).at(BASE).nonces(Nonces::of_this_process());
    let proofs = dpop.for_token_endpoint().expect("good settings");
    let asked = core::cell::Cell::new(0);
    // RFC 9449 §8.
    let service = service_fn(|request: Request<String>| {
        asked.set(asked.get() + 1);
        let response = match proofs.check(&request, UnixTime(NOW)) {
            Ok(proof) => {
                let thumbprint = proof.expect("a proof").thumbprint().to_owned();
                Response::builder().body(thumbprint)
            }
            Err(error) => {
                assert!(matches!(error, DpopError::Nonce(_)), "{error}");
                let nonce = proofs.nonce(UnixTime(NOW)).expect("a nonce");
                Response::builder().status(400).header("dpop-nonce", nonce).body(String::new())
            }
        };
        core::future::ready(Ok::<_, Infallible>(response.expect("a response")))
    });
    let finish = |request: http::request::Builder| request.body(String::new()).expect("a request");
    for tries in [2, 1] {
        let route = ("POST", "/oauth/token");
        let sent = crate::tower::send_with_proof(&service, &client, BASE, route, finish).await;
        assert_eq!((sent.status(), asked.take()), (StatusCode::OK, tries));
        assert_eq!(Some(sent.body()), client.key().thumbprint().as_ref());
    }
}

/// A service that asks every request for a nonce, and tells these.
fn asks_for_ever(
    nonces: &'static [&'static str],
) -> impl tower::Service<
    Request<String>,
    Response = Response<String>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static {
    service_fn(move |_: Request<String>| {
        let response = Response::builder().status(401);
        let response = response.header("www-authenticate", "DPoP error=\"use_dpop_nonce\"");
        let response =
            nonces.iter().fold(response, |response, nonce| response.header("dpop-nonce", *nonce));
        core::future::ready(Ok::<_, Infallible>(response.body(String::new()).expect("a response")))
    })
}

#[tokio::test]
async fn a_service_that_is_wrong_about_nonces_is_found() {
    let test = Test::new();
    let found = tower!(test, BASE, asks_for_ever(&["one"]));
    let again = "GET /orders: with a good proof it asked for a nonce again. It was answered with";
    assert!(found.len() == 1 && found[0].starts_with(again), "{found:?}");

    let test = Test::new();
    let found = tower!(test, BASE, asks_for_ever(&["one", "two"]));
    let several = "GET /orders: with a good proof it answered with 2 `DPoP-Nonce`";
    assert!(found.len() == 1 && found[0].starts_with(several), "{found:?}");

    // It asks a client's first request, and no other one.
    let test = Test::new();
    let open = behind(test.policy(|dpop| dpop));
    let asked = std::sync::Arc::new(core::sync::atomic::AtomicBool::new(false));
    let once = service_fn(move |request: Request<String>| {
        let (open, ask) = (open.clone(), asks_for_ever(&["one"]));
        let is_first = !asked.swap(true, core::sync::atomic::Ordering::SeqCst);
        async move { if is_first { ask.oneshot(request).await } else { open.oneshot(request).await } }
    });
    let found = tower!(test, BASE, once.clone());
    let expected = [
        "GET /orders: with a proof without its nonce it answered 200",
        // The same proof was used by then.
        "GET /orders: with a proof with a nonce of another it answered 401 without `error=\"use_dpop_nonce\"`",
    ];
    assert_eq!(found, expected);
}
