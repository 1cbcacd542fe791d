//! Typed claims from a bearer token, in axum.
//!
//! ```console
//! cargo run -p example-axum-bearer
//! ```
//!
//! prints two `curl` lines, with a token, to paste. Leave the token out, or change a letter of it,
//! and see what comes back.
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use portcullis_axum::portcullis::{Algorithm, Issuer, KeySet};
use portcullis_axum::{Caller, Policy, Verified, VerifyLayer};
use portcullis_testkit::TestIssuer;
use serde::Deserialize;
use tokio::net::TcpListener;

/// Tokens of one issuer, for this service, made to live for 15 minutes at most.
fn policy(jwks: &str) -> Result<Policy, Box<dyn Error>> {
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(KeySet::from_jwks(jwks)?)
        .audience("https://orders.example");
    Ok(Policy::builder().issuer(issuer).max_lifetime(Duration::from_secs(15 * 60)).build()?)
}

/// The claims that this service goes by. A token without them gets 403.
#[derive(Deserialize)]
struct User {
    sub: String,
    tenant: String,
}

async fn orders(Verified(user): Verified<User>) -> String {
    format!("orders of {} at {}\n", user.sub, user.tenant)
}

/// Where no claims of your own are asked for, `Caller` has those that every token has.
async fn session(caller: Caller) -> String {
    format!("until {}\n", caller.expires_at())
}

fn app(policy: Policy) -> Router {
    Router::new()
        .route("/orders", get(orders))
        .route("/session", get(session))
        .layer(VerifyLayer::new(policy)) // last: routes added after it are open
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    // For the demonstration only. Yours are the keys of a real issuer.
    let issuer = TestIssuer::new("https://id.example").audience("https://orders.example");
    let token = issuer.token(Algorithm::ES256).claim("tenant", "acme").mint();

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("TOKEN='{token}'");
    for path in ["/orders", "/session"] {
        println!("curl -i http://{address}{path} -H \"Authorization: Bearer $TOKEN\"");
    }
    Ok(axum::serve(listener, app(policy(&issuer.jwks_of(&[Algorithm::ES256]))?)).await?)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use http_body_util::BodyExt;
    use portcullis_testkit::{TokenBuilder, axum::assert_protected};
    use tower::ServiceExt;

    use super::*;

    fn issuer() -> TestIssuer {
        TestIssuer::new("https://id.example").audience("https://orders.example")
    }

    fn app() -> Router {
        super::app(policy(&issuer().jwks_of(&[Algorithm::ES256])).expect("a policy"))
    }

    async fn get(path: &str, token: &TokenBuilder) -> (StatusCode, String) {
        let request =
            Request::get(path).header("authorization", format!("Bearer {}", token.mint()));
        let request = request.body(Body::empty()).expect("a request");
        let response = app().oneshot(request).await.expect("a response");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.into()).expect("text"))
    }

    #[tokio::test]
    async fn every_route_is_protected() {
        assert_protected(&app(), &[("GET", "/orders"), ("GET", "/session")]).await;
    }

    #[tokio::test]
    async fn a_good_token_gets_its_orders() {
        let token = issuer().token(Algorithm::ES256).claim("tenant", "acme");
        let orders = (StatusCode::OK, "orders of alice at acme\n".to_owned());
        assert_eq!(get("/orders", &token).await, orders);
    }

    #[tokio::test]
    async fn a_token_without_tenant_is_unsuitable_for_orders_only() {
        let token = issuer().token(Algorithm::ES256);
        assert_eq!(get("/orders", &token).await.0, StatusCode::FORBIDDEN);
        assert_eq!(get("/session", &token).await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_token_made_for_longer_than_15_minutes_is_refused() {
        let token = issuer().token(Algorithm::ES256).expires_in(Duration::from_secs(16 * 60));
        assert_eq!(get("/session", &token).await.0, StatusCode::UNAUTHORIZED);
    }
}
