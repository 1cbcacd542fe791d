use axum::body::Body;
use axum::http::{Request, StatusCode};
use portcullis::Algorithm::ES256;
use portcullis_testkit::axum::{assert_forbidden, assert_protected};
use portcullis_testkit::{TestIssuer, hostile};
use tower::ServiceExt;

use super::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example").audience("https://orders.example")
}

fn app() -> Router {
    super::app(policy(issuer().policy_builder()).expect("a policy"))
}

async fn orders(token: &str) -> StatusCode {
    let request = Request::get("/orders").header("authorization", format!("Bearer {token}"));
    let request = request.body(Body::empty()).expect("a request");
    app().oneshot(request).await.expect("a response").status()
}

#[tokio::test]
async fn each_route_asks_for_a_token() {
    assert_protected(&app(), &[("GET", "/orders"), ("POST", "/refunds")]).await;
}

#[tokio::test]
async fn a_token_that_may_do_nothing_does_nothing() {
    let token = issuer().token(ES256).claim("tenant", "acme").mint();
    assert_forbidden(&app(), &token, &[("GET", "/orders"), ("POST", "/refunds")]).await;
}

#[tokio::test]
async fn orders_are_for_whom_they_should_be() {
    let issuer = issuer();
    let good = || issuer.token(ES256).claim("tenant", "acme").scope("orders:read");
    for (what, token, status) in [
        ("a good token", good().mint(), 200),
        ("one that expired", good().expired().mint(), 401),
        ("one of another issuer", good().claim("iss", "https://id.evil.example").mint(), 401),
        ("one by somebody else's key", good().signed_by(issuer.impostor().key(ES256)).mint(), 401),
        ("one that was changed", hostile::with_payload(&good().mint(), r#"{"sub":"root"}"#), 401),
        ("one without a signature", hostile::none(&good().mint(), "none"), 401),
        ("one for another service", good().audience("https://bills.example").mint(), 401),
        ("one that lives for too long", good().expires_in(HOUR).mint(), 401),
        ("one without a tenant", good().without("tenant").mint(), 401),
        ("one without the scope", good().claim("scope", "orders:write").mint(), 403),
    ] {
        assert_eq!(orders(&token).await.as_u16(), status, "{what}");
    }
}
