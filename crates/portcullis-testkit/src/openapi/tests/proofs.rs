//! Proofs beside tokens.
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use portcullis::UnixTime;
use portcullis::dpop::{Dpop, InProcessReplays, Nonces, ProofUse, Replays, Spent};
use portcullis::mtls::Mtls;

use super::certificates::{client, found_of};
use super::*;

const NOW: i64 = 1_800_000_000;

/// What proofs are for.
const BASE: &str = "https://api.example";

fn dpop() -> Dpop {
    dpop_of(InProcessReplays::new().started_at(UnixTime(NOW - 3600)))
}

fn dpop_of(replays: impl Replays) -> Dpop {
    Dpop::new(replays).at(BASE)
}

fn with_dpop(dpop: Dpop) -> Router {
    let policy = issuer().at(NOW).policy_builder().dpop(dpop).build().expect("a policy");
    let orders = get(async |_: Authorized<Read>| "orders");
    Router::new().route("/orders", orders).layer(VerifyLayer::new(policy))
}

fn proving() -> DpopClient {
    DpopClient::new(&issuer().at(NOW), &SigningKey::generate(Algorithm::ES256))
}

/// Bound to all that is wanted.
fn bound_as_wanted(wanted: &WantedToken<'_>) -> String {
    let token = issuer().at(NOW).token(Algorithm::ES256).scope(wanted.scope());
    let token = match wanted.certificate() {
        Some(der) => token.bound_to_certificate(der),
        None => token,
    };
    match wanted.key() {
        Some(key) => token.bound_to(key).mint(),
        None => token.mint(),
    }
}

/// What is found of a client that makes proofs.
async fn found_with_proofs(app: &Router, security: &Value) -> Vec<String> {
    found_with_proofs_for(BASE, app, security).await
}

async fn found_with_proofs_for(base: &str, app: &Router, security: &Value) -> Vec<String> {
    let (document, client) = (at("/orders", security), proving());
    let api = OpenApi::new(&document, bound_as_wanted).dpop_client(&client, base);
    lines(ask_with(app, api).await)
}

#[tokio::test]
async fn a_bound_token_goes_with_a_new_proof_and_passes_in_no_other_way() {
    let proof = json!([{ "proof": ["orders:read"] }]);
    let either = json!([{ "token": ["orders:read"] }, { "proof": ["orders:read"] }]);
    let nonces = || dpop().nonces(Nonces::of_this_process());
    assert_eq!(found_with_proofs(&with_dpop(dpop().required()), &proof).await, [""; 0]);
    assert_eq!(found_with_proofs(&with_dpop(dpop()), &either).await, [""; 0]);
    assert_eq!(found_with_proofs(&with_dpop(nonces().required()), &proof).await, [""; 0]);
    assert_eq!(found_with_proofs(&with_dpop(nonces()), &either).await, [""; 0]);
    // A proxy takes a part of the path away, and the query does not count.
    let app = with_dpop(Dpop::at(dpop(), "https://shop.example/api").required());
    let mut document = at("/orders", &proof);
    document["servers"] = json!([{ "url": "https://shop.example/api" }]);
    document["paths"]["/orders"]["parameters"] =
        json!([{ "name": "page", "in": "query", "required": true, "example": 1 }]);
    let client = proving();
    let api = OpenApi::new(&document, bound_as_wanted).base("");
    let api = api.dpop_client(&client, "https://shop.example/api/");
    assert_eq!(ask_with(&app, api).await, None);
}

#[tokio::test]
async fn without_the_error_a_challenge_for_proofs_says_that_portcullis_refused() {
    let strip = map_response(async |mut response: Response| {
        response.extensions_mut().remove::<Error>();
        response
    });
    let app = with_dpop(dpop().required()).layer(strip);
    assert_eq!(found_with_proofs(&app, &json!([{ "proof": ["orders:read"] }])).await, [""; 0]);
    let fault =
        "GET /orders: without a token it answered 401, though the document says that it needs none";
    assert_eq!(found_with_proofs(&app, &json!([])).await, [fault]);
}

#[tokio::test]
async fn an_alternative_with_proofs_has_its_scopes_asked_for_as_others_have() {
    let too_many = json!([{ "proof": ["orders:read", "orders:list"] }]);
    assert_eq!(
        found_with_proofs(&with_dpop(dpop().required()), &too_many).await,
        [
            "GET /orders: without the scope `orders:read` in `proof` it answered 403 with a challenge for `orders:read`, and the document asks for `orders:read orders:list`",
            "GET /orders: without the scope `orders:list` in `proof` it answered 200, and not as a requirement does",
        ]
    );
    // Which alternative lets it in, tells which token it is.
    let either = json!([{ "token": ["orders:read"] }, { "proof": ["orders:read", "orders:list"] }]);
    assert_eq!(
        found_with_proofs(&with_dpop(dpop()), &either).await,
        [
            "GET /orders: without the scope `orders:list` in `proof` it answered 200, and not as a requirement does",
        ]
    );
}

#[tokio::test]
async fn a_proof_that_the_document_leaves_out_is_found() {
    assert_eq!(
        found_with_proofs(&with_dpop(dpop().required()), &json!([{ "token": ["orders:read"] }]))
            .await,
        [
            "GET /orders: with `orders:read` in `token` it answered 401: the token is bound to no key, and the policy takes only tokens that are: the document does not say that it takes a proof as well"
        ]
    );
}

#[tokio::test]
async fn a_token_that_is_bound_to_no_key_passes_only_where_the_document_says_so() {
    let unbound = "GET /orders: with a bearer token that is bound to no key it answered 200, though its `security` asks for a new proof";
    for security in [
        json!([{ "proof": ["orders:read"] }]),
        json!([{ "proof": ["orders:read"] }, { "token": ["orders:read", "admin"] }]),
        json!([{ "proof": ["orders:read"] }, { "session": ["orders:read"] }]),
    ] {
        let faults = found_with_proofs(&with_dpop(dpop()), &security).await;
        assert!(faults.contains(&unbound.to_owned()), "{security}: {faults:?}");
    }
    for security in [
        json!([{ "proof": ["orders:read"] }, { "token": ["orders:read"] }]),
        json!([{ "proof": ["orders:read"] }, { "login": ["orders:read"] }]),
    ] {
        assert_eq!(found_with_proofs(&with_dpop(dpop()), &security).await, [""; 0], "{security}");
    }
}

/// An app that lets in what `is_let_in` says, of authorization and proof, and asks its policy of all else.
fn lax(is_let_in: fn(&str, bool) -> bool) -> Router {
    let lax = move |request: Request, next: Next| async move {
        let headers = request.headers();
        let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
        let has_proof = headers.contains_key("dpop");
        match authorization {
            Some(value) if is_let_in(value, has_proof) => "orders".into_response(),
            _ => next.run(request).await,
        }
    };
    with_dpop(dpop().required()).layer(from_fn(lax))
}

#[tokio::test]
async fn a_bound_token_that_passes_in_another_way_is_found() {
    let proof = json!([{ "proof": ["orders:read"] }]);
    let fault = |how| {
        format!("GET /orders: {how} it answered 200, though its `security` asks for a new proof")
    };
    let without = lax(|authorization, has_proof| authorization.starts_with("DPoP ") && !has_proof);
    assert_eq!(found_with_proofs(&without, &proof).await, [fault("without a proof")]);
    // Of a token that is bound, the document says by no alternative that it is a bearer token.
    let bearer = lax(|authorization, _| authorization.starts_with("Bearer "));
    let as_bearer = fault("with its bound token as a bearer token");
    let unbound = fault("with a bearer token that is bound to no key");
    assert_eq!(found_with_proofs(&bearer, &proof).await, [as_bearer.clone(), unbound]);
    let either = json!([{ "proof": ["orders:read"] }, { "token": [] }]);
    assert_eq!(found_with_proofs(&bearer, &either).await, [as_bearer]);
    let forgetful = with_dpop(dpop_of(Forgetful).required());
    assert_eq!(found_with_proofs(&forgetful, &proof).await, [fault("with the same proof again")]);
    let nonces = with_dpop(dpop_of(Forgetful).nonces(Nonces::of_this_process()).required());
    assert_eq!(found_with_proofs(&nonces, &proof).await, [fault("with the same proof again")]);
    // Nobody is turned away there.
    let open = json!([{}, { "proof": [] }]);
    assert_eq!(found_with_proofs(&Router::new().route("/orders", get("")), &open).await, [""; 0]);
}

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

/// A refusal for another reason says nothing about proofs.
#[tokio::test]
async fn a_refusal_that_has_nothing_to_do_with_proofs_is_found() {
    let document = at("/orders", &json!([{ "proof": ["orders:read"] }]));
    let client = proving();
    let expired_as_bearer = |wanted: &WantedToken<'_>| match wanted.key() {
        Some(_) => bound_as_wanted(wanted),
        None => issuer().at(NOW - 86_400).token(Algorithm::ES256).mint(),
    };
    let api = OpenApi::new(&document, expired_as_bearer).dpop_client(&client, BASE);
    let faults = lines(ask_with(&with_dpop(dpop().required()), api).await);
    assert_eq!(faults.len(), 1, "{faults:?}");
    let fault = "GET /orders: with a bearer token that is bound to no key it answered 401: the token expired";
    assert!(faults[0].starts_with(fault), "{faults:?}");
}

#[tokio::test]
async fn a_good_proof_that_is_refused_is_told_with_the_way_out() {
    let proof = json!([{ "proof": ["orders:read"] }]);
    let told = async |base: &str, app: Router| {
        let faults = found_with_proofs_for(base, &app, &proof).await;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0].contains("with `orders:read` in `proof` it answered 401: "),
            "{faults:?}"
        );
        faults[0].clone()
    };
    let other = told("https://other.example", with_dpop(dpop())).await;
    assert!(other.ends_with(". The proof was for `https://other.example/orders`: `Dpop::at` has to say that address, as clients write it"), "{other}");
    let young = told(BASE, with_dpop(dpop_of(InProcessReplays::new()))).await;
    assert!(young.contains("`InProcessReplays::new().started_at(…)`"), "{young}");
    let none = told(BASE, Router::new().route("/orders", get(async |_: Caller| "")).layer(layer()));
    let none = none.await;
    assert!(none.ends_with("Does the policy in front of this route have `.dpop(…)`?"), "{none}");

    let (document, client) = (at("/orders", &proof), proving());
    let unbound = |wanted: &WantedToken<'_>| {
        issuer().at(NOW).token(Algorithm::ES256).scope(wanted.scope()).mint()
    };
    let api = OpenApi::new(&document, unbound).dpop_client(&client, BASE);
    let faults = lines(ask_with(&with_dpop(dpop()), api).await);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].ends_with(". Bind the token to `WantedToken::key`"), "{faults:?}");
}

#[tokio::test]
async fn proofs_that_nobody_makes_are_named_as_untested() {
    let proof = json!([{ "proof": ["orders:read"] }]);
    let app = with_dpop(dpop().required());
    let fault = "GET /orders: asks for a proof by `proof`: give a client that makes them, by `OpenApi::dpop_client`";
    assert_eq!(found(&app, &at("/orders", &proof)).await, [fault]);
    let both = json!([{ "certificate": [], "proof": ["orders:read"] }]);
    let certificate = "GET /orders: asks for a certificate beside `proof`: give a client that has one, by `OpenApi::mtls_client`";
    assert_eq!(found(&app, &at("/orders", &both)).await, [certificate, fault]);
    assert_eq!(found_with_proofs(&app, &both).await, [certificate]);
    assert_eq!(found_of(&app, &both, &client()).await, [fault]);
}

#[tokio::test]
async fn a_proof_and_a_certificate_in_one_alternative_are_both_needed() {
    let both = json!([{ "certificate": [], "proof": ["orders:read"] }]);
    let app = |dpop: Dpop, mtls: Mtls| {
        let policy = issuer().at(NOW).policy_builder().dpop(dpop).mtls(mtls);
        let orders = get(async |_: Authorized<Read>| "orders");
        let layer = VerifyLayer::new(policy.build().expect("a policy"));
        Router::new().route("/orders", orders).layer(layer)
    };
    let found = async |app: Router, security: &Value| {
        let (document, key, certificate) = (at("/orders", security), proving(), client());
        let api = OpenApi::new(&document, bound_as_wanted).mtls_client(&certificate);
        lines(ask_with(&app, api.dpop_client(&key, BASE)).await)
    };
    let required = || Mtls::from_tls().required();
    assert_eq!(found(app(dpop().required(), required()), &both).await, [""; 0]);
    let bearer = json!([
        { "certificate": [], "proof": ["orders:read"] },
        { "certificate": [], "token": ["orders:read"] },
    ]);
    assert_eq!(found(app(dpop(), required()), &bearer).await, [""; 0]);
    // A bearer token that comes with a certificate is no leave for one that comes without.
    let either = json!([
        { "proof": ["orders:read"] },
        { "certificate": [], "token": ["orders:read"] },
    ]);
    assert_eq!(
        found(app(dpop(), Mtls::from_tls()), &either).await,
        [
            "GET /orders: with a bearer token that is bound to no key it answered 200, though its `security` asks for a new proof",
            "GET /orders: with a token that is bound to no certificate, and without one, it answered 200, though its `security` asks for one",
        ]
    );
    // What only one of them has to be bound to.
    assert_eq!(
        found(app(dpop(), required()), &both).await,
        [
            "GET /orders: with a bearer token that is bound to no key it answered 200, though its `security` asks for a new proof"
        ]
    );
    assert_eq!(
        found(app(dpop().required(), Mtls::from_tls()), &both).await,
        [
            "GET /orders: with a token that is bound to no certificate, and without one, it answered 200, though its `security` asks for one"
        ]
    );
    assert_eq!(
        found(app(dpop().required(), Mtls::from_tls()), &json!([{ "proof": ["orders:read"] }]))
            .await,
        [""; 0]
    );
}
