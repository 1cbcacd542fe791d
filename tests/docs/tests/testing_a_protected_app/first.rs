use axum::{Router, routing::get};
use portcullis_axum::{Caller, Policy, VerifyLayer};
use portcullis_testkit::TestIssuer;
use portcullis_testkit::axum::assert_protected;

fn app(policy: Policy) -> Router {
    Router::new().route("/orders", get(async |_: Caller| "orders")).layer(VerifyLayer::new(policy))
}

#[tokio::test]
async fn each_route_asks_for_a_token() {
    let issuer = TestIssuer::new("https://id.example");
    let app = app(issuer.policy());
    assert_protected(&app, &[("GET", "/orders")]).await;
}
