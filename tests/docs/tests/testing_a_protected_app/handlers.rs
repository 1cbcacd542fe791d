use axum::body::Body;
use axum::http::{Request, StatusCode};
use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_testkit::axum::assert_forbidden;
use portcullis_testkit::{TestIssuer, hostile};
use tower::ServiceExt;

use super::*;

const HOUR: Duration = Duration::from_secs(60 * 60);

fn issuer() -> TestIssuer {
    let issuer = TestIssuer::new("https://id.example");
    issuer.audience("https://orders.example")
}

fn app() -> Router {
    super::app(policy(issuer().policy_builder()).expect("a policy"))
}

async fn orders(token: &str) -> StatusCode {
    let request = Request::get("/orders")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .expect("a request");
    app().oneshot(request).await.expect("a response").status()
}

#[tokio::test]
async fn a_token_that_may_do_nothing_does_nothing() {
    let routes = [("GET", "/orders"), ("POST", "/refunds")];
    let token = issuer().token(ES256).claim("tenant", "acme").mint();
    assert_forbidden(&app(), &token, &routes).await;
}

#[tokio::test]
async fn orders_are_for_whom_they_should_be() {
    let issuer = issuer();
    let good = || {
        let token = issuer.token(ES256).claim("tenant", "acme");
        token.scope("orders:read")
    };
    let forged = good().signed_by(issuer.impostor().key(ES256)).mint();
    let foreign = good().claim("iss", "https://evil.example").mint();
    let changed = hostile::with_payload(&good().mint(), r#"{"sub":"root"}"#);
    let unsigned = hostile::none(&good().mint(), "none");
    let elsewhere = good().audience("https://bills.example").mint();
    let unscoped = good().claim("scope", "orders:write").mint();
    for (what, token, status) in [
        ("good", good().mint(), 200),
        ("expired", good().expired().mint(), 401),
        ("signed with somebody else's key", forged, 401),
        ("of another issuer", foreign, 401),
        ("changed", changed, 401),
        ("without a signature", unsigned, 401),
        ("for another service", elsewhere, 401),
        ("living for too long", good().expires_in(HOUR).mint(), 401),
        ("without a tenant", good().without("tenant").mint(), 401),
        ("without the scope", unscoped, 403),
    ] {
        assert_eq!(orders(&token).await.as_u16(), status, "{what}");
    }
}
