//! A page of another origin, which sends tokens that are bound to a key of its own (DPoP, RFC 9449).
use axum::Router;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderName, Method};
use axum::routing::get;
use portcullis::dpop::{Dpop, InProcessReplays, Nonces};
use portcullis::{Algorithm, UnixTime};
use portcullis_axum::VerifyLayer;
use portcullis_browser::{API, APP, Service, Stage, issuer};
use serde_json::json;
use tower_http::cors::CorsLayer;

const NOW: i64 = 1_800_000_000;
const ORDERS: &str = "https://api.app.example/orders";
const DPOP: HeaderName = HeaderName::from_static("dpop");
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A service that asks for nonces, behind leave for the pages of [`APP`].
fn app(cors: CorsLayer) -> Router {
    let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
    let dpop = Dpop::new(replays).at(API).nonces(Nonces::of_this_process());
    let policy = issuer().policy_builder().dpop(dpop).build().expect("a policy");
    let orders = Router::new().route("/orders", get(async || "orders"));
    let cors = cors.allow_origin([APP.parse().expect("an origin")]).allow_methods([Method::GET]);
    orders.layer(VerifyLayer::new(policy)).layer(cors)
}

/// A page of another origin, and a token that is bound to its key.
async fn page(cors: CorsLayer) -> Option<(Stage, String)> {
    let stage = Stage::or_leave_out(Service::axum(app(cors)).await).await?;
    stage.open(APP).await;
    let thumbprint = stage.make_key().await;
    let token = issuer().token(Algorithm::ES256).claim("cnf", json!({ "jkt": thumbprint }));
    Some((stage, token.mint()))
}

/// Status and nonce.
fn parts(answer: &str) -> (&str, &str) {
    let mut parts = answer.split(' ');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

#[tokio::test]
async fn a_page_of_another_origin_sends_a_proof_with_the_nonce_that_it_was_given() {
    let cors = CorsLayer::new()
        .allow_headers([AUTHORIZATION, DPOP])
        .expose_headers([WWW_AUTHENTICATE, DPOP_NONCE]);
    let Some((mut stage, token)) = page(cors).await else { return };
    // Its clock is an hour slow: with nonces, it does not count.
    let time = NOW - 3600;
    let refused = stage.fetch_with_proof(ORDERS, &token, time, "").await;
    let (status, nonce) = parts(&refused);
    assert_eq!((status, nonce.len()), ("401", 22), "{refused}");
    let answer = stage.fetch_with_proof(ORDERS, &token, time, nonce).await;
    assert_eq!(answer, "200 null orders");
    let seen = [
        "OPTIONS /orders same-site [] 200",
        "GET /orders same-site [] 401 nonce_missing",
        "GET /orders same-site [] 200",
    ];
    assert_eq!(stage.service.seen(), seen);
}

#[tokio::test]
async fn a_nonce_that_is_not_exposed_is_not_seen_by_a_page_of_another_origin() {
    let cors = CorsLayer::new().allow_headers([AUTHORIZATION, DPOP]);
    let Some((stage, token)) = page(cors).await else { return };
    let refused = stage.fetch_with_proof(ORDERS, &token, NOW, "").await;
    assert_eq!(parts(&refused), ("401", "null"), "{refused}");
}

#[tokio::test]
async fn a_page_of_another_origin_sends_no_proof_without_leave_for_its_header() {
    let cors = CorsLayer::new().allow_headers([AUTHORIZATION]).expose_headers([DPOP_NONCE]);
    let Some((mut stage, token)) = page(cors).await else { return };
    assert_eq!(stage.fetch_with_proof(ORDERS, &token, NOW, "").await, "TypeError");
    assert_eq!(stage.service.seen(), ["OPTIONS /orders same-site [] 200"]);
}
