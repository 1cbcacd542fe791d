use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_testkit::TestIssuer;
use portcullis_testkit::axum::{assert_accepted, assert_refused};
use serde_json::json;

use super::*;

/// Customers see their orders, and staff pays back.
fn app(customers: Policy, staff: Policy) -> Router {
    let shop = Router::new().route("/orders", get(orders));
    let office = Router::new().route("/refunds", post(pay_back));
    shop.layer(VerifyLayer::new(customers)).merge(office.layer(VerifyLayer::new(staff)))
}

fn policy_of(issuer: &TestIssuer) -> Policy {
    policy(issuer.policy_builder()).expect("a policy")
}

/// Has all that any route asks for: only its issuer tells it from others.
fn token_of(issuer: &TestIssuer) -> String {
    issuer
        .token(ES256)
        .claim("tenant", "acme")
        .scope("orders:read")
        .claim("realm_access", json!({ "roles": ["accountant"] }))
        .mint()
}

#[tokio::test]
async fn each_route_stands_behind_its_own_policy() {
    let customers = TestIssuer::new("https://id.example");
    let staff = TestIssuer::new("https://staff.example");
    let app = app(policy_of(&customers), policy_of(&staff));
    let (customer, clerk) = (token_of(&customers), token_of(&staff));

    let shop = [("GET", "/orders")];
    assert_accepted(&app, &customer, &shop).await;
    assert_refused(&app, &clerk, &shop).await;

    let office = [("POST", "/refunds")];
    assert_accepted(&app, &clerk, &office).await;
    assert_refused(&app, &customer, &office).await;
}
