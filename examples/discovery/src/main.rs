//! A resource server in front of an identity provider, whose keys it finds by discovery.
//!
//! ```console
//! cargo run -p example-discovery -- https://id.example https://orders.example
//! ```
//!
//! takes the issuer, exactly as it stands in `iss`, and what this service is called in `aud`.
//! Without them, it plays the provider itself, and prints a token to paste.
use std::error::Error;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use portcullis_axum::portcullis::{Algorithm, BuildError, Issuer, RemoteJwks};
use portcullis_axum::{Caller, Policy, VerifyLayer};
use portcullis_testkit::key_server::KeyServer;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What providers mostly sign with. List what yours does, and no more.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

fn policy(issuer: &str, audience: &str) -> Result<Policy, BuildError> {
    // With the feature `tracing`, which is on unless switched off, `tracing` is told as well.
    let keys = RemoteJwks::discovery().on_event(|issuer, event| eprintln!("{issuer}: {event}"));
    let issuer = Issuer::new(issuer).algorithms(ALGORITHMS).keys(keys).audience(audience);
    Policy::builder().issuer(issuer).build()
}

async fn orders(caller: Caller) -> String {
    format!("orders of {}\n", caller.subject().unwrap_or("a client"))
}

/// For the orchestrator: whether there are keys to verify tokens with, and how old they are.
async fn ready(State(policy): State<Policy>) -> (StatusCode, Json<Value>) {
    let keys =
        policy.remote_keys().into_iter().map(|keys| (keys.issuer().to_owned(), keys.health()));
    let keys: Vec<_> = keys.collect();
    let is_ready = keys.iter().all(|(_, health)| health.serves);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let keys = keys.into_iter().map(|(issuer, health)| {
        json!({
            "issuer": issuer,
            "keys": health.keys,
            "skipped": health.skipped.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "age": health.age.map(|age| age.as_secs()),
            "error": health.last_error.map(|error| error.to_string()),
        })
    });
    (status, Json(keys.collect()))
}

fn app(policy: Policy) -> Router {
    Router::new()
        .route("/orders", get(orders))
        .layer(VerifyLayer::new(policy.clone())) // covers what stands before it
        .route("/ready", get(ready).with_state(policy))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // For the demonstration only.
    let provider = KeyServer::start();
    let (issuer, audience, token) = match &arguments[..] {
        [issuer, audience] => (issuer.clone(), audience.clone(), "$TOKEN".to_owned()),
        [] => {
            let issuer = provider.issuer(&[Algorithm::ES256]).audience("https://orders.example");
            let token = issuer.token(Algorithm::ES256).mint();
            (issuer.name().to_owned(), "https://orders.example".to_owned(), token)
        }
        _ => return Err("usage: example-discovery [ISSUER AUDIENCE]".into()),
    };

    let policy = policy(&issuer, &audience)?;
    // Without this, the first request waits for the keys. With it, a provider that is down does
    // not keep the service from starting: its tokens get 503 until there are keys.
    if tokio::time::timeout(Duration::from_secs(10), policy.keys_ready()).await.is_err() {
        eprintln!("no keys yet: starting all the same");
    }

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    if token != "$TOKEN" {
        println!("TOKEN='{token}'");
    }
    println!("curl -i http://{address}/orders -H \"Authorization: Bearer $TOKEN\"");
    println!("curl -i http://{address}/ready");
    Ok(axum::serve(listener, app(policy)).await?)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use portcullis_testkit::key_server::Answer;
    use tower::ServiceExt;

    use super::*;

    const AUDIENCE: &str = "https://orders.example";

    async fn ask(app: &Router, path: &str, token: &str) -> (StatusCode, String) {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).expect("a request");
        let response = app.clone().oneshot(request).await.expect("a response");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.into()).expect("text"))
    }

    #[tokio::test]
    async fn keys_are_found_by_the_first_token_and_the_health_says_so() {
        let provider = KeyServer::start();
        let issuer = provider.issuer(&[Algorithm::ES256]).audience(AUDIENCE);
        let app = app(policy(issuer.name(), AUDIENCE).expect("a policy"));
        assert_eq!(ask(&app, "/ready", "").await.0, StatusCode::SERVICE_UNAVAILABLE);

        let token = issuer.token(Algorithm::ES256).mint();
        let orders = (StatusCode::OK, "orders of alice\n".to_owned());
        assert_eq!(ask(&app, "/orders", &token).await, orders);
        let (status, health) = ask(&app, "/ready", "").await;
        assert_eq!(status, StatusCode::OK);
        assert!(health.contains("\"keys\":1"), "{health}");
    }

    #[tokio::test]
    async fn a_provider_that_is_down_is_no_fault_of_the_token() {
        let provider = KeyServer::start();
        let issuer = provider.issuer(&[Algorithm::ES256]).audience(AUDIENCE);
        provider.answer("/.well-known/openid-configuration", Answer::status(503));
        let app = app(policy(issuer.name(), AUDIENCE).expect("a policy"));
        let token = issuer.token(Algorithm::ES256).mint();
        assert_eq!(ask(&app, "/orders", &token).await.0, StatusCode::SERVICE_UNAVAILABLE);
        let (status, health) = ask(&app, "/ready", "").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(health.contains("status 503"), "{health}");
    }
}
