//! Typed claims from a bearer token, in actix-web.
//!
//! ```console
//! cargo run -p example-actix-bearer
//! ```
//!
//! prints two `curl` lines, with a token, to paste. Leave the token out, or change a letter of it,
//! and see what comes back.
use std::error::Error;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use portcullis_actix::portcullis::{Algorithm, Issuer, KeySet};
use portcullis_actix::{Caller, Policy, Verified, Verify};
use portcullis_testkit::TestIssuer;
use serde::Deserialize;

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

fn api(policy: Policy) -> impl FnOnce(&mut web::ServiceConfig) {
    let scope = web::scope("/api")
        .wrap(Verify::new(policy))
        .route("/orders", web::get().to(orders))
        .route("/session", web::get().to(session));
    |config| _ = config.service(scope)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    // For the demonstration only. Yours are the keys of a real issuer.
    let issuer = TestIssuer::new("https://id.example").audience("https://orders.example");
    let token = issuer.token(Algorithm::ES256).claim("tenant", "acme").mint();

    let policy = policy(&issuer.jwks_of(&[Algorithm::ES256]))?;
    let server = HttpServer::new(move || App::new().configure(api(policy.clone())));
    let server = server.bind("127.0.0.1:0")?;
    for path in ["/api/orders", "/api/session"] {
        let address = server.addrs()[0];
        println!("TOKEN='{token}'");
        println!("curl -i http://{address}{path} -H \"Authorization: Bearer $TOKEN\"");
    }
    Ok(server.run().await?)
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::test;
    use portcullis_testkit::{TokenBuilder, actix::assert_protected};

    use super::*;

    fn issuer() -> TestIssuer {
        TestIssuer::new("https://id.example").audience("https://orders.example")
    }

    fn api() -> impl FnOnce(&mut web::ServiceConfig) {
        super::api(policy(&issuer().jwks_of(&[Algorithm::ES256])).expect("a policy"))
    }

    async fn get(path: &str, token: &TokenBuilder) -> (StatusCode, String) {
        let app = test::init_service(App::new().configure(api())).await;
        let token = ("authorization", format!("Bearer {}", token.mint()));
        let request = test::TestRequest::with_uri(path).insert_header(token).to_request();
        let response = test::call_service(&app, request).await;
        let status = response.status();
        let body = test::read_body(response).await;
        (status, String::from_utf8(body.into()).expect("text"))
    }

    #[actix_web::test]
    async fn every_route_is_protected() {
        let app = App::new().configure(api());
        assert_protected(app, &[("GET", "/api/orders"), ("GET", "/api/session")]).await;
    }

    #[actix_web::test]
    async fn a_good_token_gets_its_orders() {
        let token = issuer().token(Algorithm::ES256).claim("tenant", "acme");
        let orders = (StatusCode::OK, "orders of alice at acme\n".to_owned());
        assert_eq!(get("/api/orders", &token).await, orders);
    }

    #[actix_web::test]
    async fn a_token_without_tenant_is_unsuitable_for_orders_only() {
        let token = issuer().token(Algorithm::ES256);
        assert_eq!(get("/api/orders", &token).await.0, StatusCode::FORBIDDEN);
        assert_eq!(get("/api/session", &token).await.0, StatusCode::OK);
    }
}
