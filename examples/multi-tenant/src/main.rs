//! Tokens of whichever tenant of a provider, each with keys of its own, in actix-web.
//!
//! ```console
//! cargo run -p example-multi-tenant
//! ```
//!
//! plays a provider with the tenants `acme` and `umbrella`, and prints a `curl` line for each. The
//! service knows neither of them before their first token comes. Since anybody can invent tenants, new
//! ones have a budget, 50 at once and then ten a second: beyond it they are told 503 and `Retry-After: 1`.
use std::error::Error;

use actix_web::{App, HttpServer, web};
use portcullis_actix::portcullis::{Algorithm, BuildError, Issuer, RemoteJwks};
use portcullis_actix::{Caller, Policy, Verify};
use portcullis_testkit::TestIssuer;
use portcullis_testkit::key_server::KeyServer;

/// Trusts each issuer `{provider}/{tenant}`, for this service. Its keys are found by discovery, and
/// verify nobody else's tokens.
fn policy(provider: &str) -> Result<Policy, BuildError> {
    let tenants = Issuer::template(format!("{provider}/{{tenant}}"))
        .algorithms([Algorithm::ES256])
        .keys(RemoteJwks::discovery())
        .audience("https://orders.example")
        .max_tenants(100); // at a time; anybody can invent some
    Policy::builder().issuer(tenants).build()
}

/// The issuer is the tenant: what it says of `sub` holds within it only (RFC 7519 §4.1.2).
async fn orders(caller: Caller) -> String {
    let tenant = caller.issuer().rsplit('/').next().unwrap_or_default();
    format!("orders of {} at {tenant}\n", caller.subject().unwrap_or("a client"))
}

fn api(policy: Policy) -> impl FnOnce(&mut web::ServiceConfig) {
    let scope =
        web::scope("/api").wrap(Verify::new(policy)).route("/orders", web::get().to(orders));
    |config| _ = config.service(scope)
}

/// For the demonstration only: a tenant, with its metadata and keys at the provider.
fn tenant(provider: &KeyServer, name: &str) -> TestIssuer {
    let issuer = TestIssuer::new(provider.url(&format!("/{name}")));
    let keys = format!("/{name}/jwks.json");
    provider.serve_keys(&keys, &issuer, &[Algorithm::ES256]);
    provider.serve_metadata(issuer.name(), &provider.url(&keys));
    issuer.audience("https://orders.example")
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    let provider = KeyServer::start();
    // Made once, and cloned: all workers share the tenants and their keys.
    let policy = policy(provider.origin())?;
    let server = HttpServer::new(move || App::new().configure(api(policy.clone())));
    let server = server.bind("127.0.0.1:0")?;
    let address = server.addrs()[0];
    for name in ["acme", "umbrella"] {
        let token = tenant(&provider, name).token(Algorithm::ES256).mint();
        println!("TOKEN='{token}'");
        println!("curl -i http://{address}/api/orders -H \"Authorization: Bearer $TOKEN\"");
    }
    Ok(server.run().await?)
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::test;

    use super::*;

    async fn get(policy: &Policy, token: String) -> (StatusCode, String) {
        let app = test::init_service(App::new().configure(api(policy.clone()))).await;
        let request = test::TestRequest::get().uri("/api/orders");
        let request = request.insert_header(("authorization", format!("Bearer {token}")));
        match test::try_call_service(&app, request.to_request()).await {
            Ok(response) => {
                let status = response.status();
                let body = test::read_body(response).await;
                (status, String::from_utf8(body.into()).expect("text"))
            }
            Err(error) => (error.as_response_error().status_code(), error.to_string()),
        }
    }

    #[actix_web::test]
    async fn a_tenant_that_nobody_listed_gets_its_orders() {
        let provider = KeyServer::start();
        let policy = policy(provider.origin()).expect("a policy");
        let acme = tenant(&provider, "acme").token(Algorithm::ES256);
        let orders = (StatusCode::OK, "orders of alice at acme\n".to_owned());
        assert_eq!(get(&policy, acme.mint()).await, orders);
    }

    #[actix_web::test]
    async fn a_tenant_cannot_sign_for_another() {
        let provider = KeyServer::start();
        let policy = policy(provider.origin()).expect("a policy");
        let (acme, umbrella) = (tenant(&provider, "acme"), tenant(&provider, "umbrella"));
        assert_eq!(get(&policy, acme.token(Algorithm::ES256).mint()).await.0, StatusCode::OK);
        let forged = umbrella.token(Algorithm::ES256).claim("iss", acme.name());
        assert_eq!(get(&policy, forged.mint()).await.0, StatusCode::UNAUTHORIZED);
    }

    #[actix_web::test]
    async fn an_issuer_elsewhere_is_not_even_asked_for_keys() {
        let provider = KeyServer::start();
        let policy = policy(provider.origin()).expect("a policy");
        let other = KeyServer::start();
        let stranger = tenant(&other, "acme").token(Algorithm::ES256);
        assert_eq!(get(&policy, stranger.mint()).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!((provider.all_hits(), other.all_hits()), (0, 0));
    }
}
