use portcullis::Algorithm::ES256;
use portcullis_testkit::TestIssuer;
use portcullis_testkit::axum::{assert_accepted, assert_refused};
use serde_json::json;

use super::*;

/// Customers see their orders, and staff pays back.
fn app(customers: Policy, staff: Policy) -> Router {
    let shop = Router::new().route("/orders", get(orders)).layer(VerifyLayer::new(customers));
    let office = Router::new().route("/refunds", post(pay_back)).layer(VerifyLayer::new(staff));
    shop.merge(office)
}

#[tokio::test]
async fn each_route_stands_behind_its_own_policy() {
    let [customers, staff] = ["https://id.example", "https://staff.example"].map(TestIssuer::new);
    let policy = |issuer: &TestIssuer| policy(issuer.policy_builder()).expect("a policy");
    let app = app(policy(&customers), policy(&staff));
    // With all that any route asks for: nothing but who issued it tells one from the other.
    let token = |issuer: &TestIssuer| {
        let token = issuer.token(ES256).claim("tenant", "acme").scope("orders:read");
        token.claim("realm_access", json!({ "roles": ["accountant"] })).mint()
    };
    for (own, other, route) in
        [(&customers, &staff, ("GET", "/orders")), (&staff, &customers, ("POST", "/refunds"))]
    {
        assert_accepted(&app, &token(own), &[route]).await;
        assert_refused(&app, &token(other), &[route]).await;
    }
}
