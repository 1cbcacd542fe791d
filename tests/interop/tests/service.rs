//! A service as it is deployed: axum on a socket, and the keys of a real OpenID Provider.
use std::time::{Duration, Instant};

use axum::routing::get;
use axum::{Json, Router};
use portcullis::{Algorithm, Issuer, RemoteJwks};
use portcullis_axum::{Caller, Policy, Verified, VerifyLayer};
use portcullis_interop::{JwksMode, Provider};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What does not come true within this time never does.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Claims {
    sub: String,
    tenant: String,
}

async fn whoami(caller: Caller, Verified(claims): Verified<Claims>) -> Json<Value> {
    Json(json!({
        "subject": claims.sub,
        "tenant": claims.tenant,
        "client": caller.client_id(),
    }))
}

/// Starts the service, and returns the address of its route.
async fn serve(provider: &Provider) -> String {
    let issuer = Issuer::new(provider.issuer())
        .algorithms([Algorithm::ES256])
        .keys(RemoteJwks::discovery())
        .audience(Provider::audience(Algorithm::ES256));
    let policy = Policy::builder().issuer(issuer).build().expect("a policy without a fault");
    let app = Router::new().route("/whoami", get(whoami)).layer(VerifyLayer::new(policy));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}/whoami")
}

async fn ask(url: &str, token: Option<&str>) -> Response {
    let client = reqwest::Client::builder().no_proxy().build().expect("an HTTP client");
    let request = client.get(url);
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.expect("the service answers")
}

#[tokio::test]
async fn a_token_of_the_provider_is_let_in_and_the_handler_sees_its_claims() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let url = serve(&provider).await;
    let token = provider.token(Algorithm::ES256).await;
    let answer = ask(&url, Some(&token)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body, json!({ "subject": "svc", "tenant": "acme", "client": "svc" }));
}

#[tokio::test]
async fn no_token_and_a_token_for_another_service_are_refused() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let url = serve(&provider).await;
    let answer = ask(&url, None).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(answer.headers()["www-authenticate"], "Bearer");
    let foreign = provider.token_for("https://other.example/ES256").await;
    let answer = ask(&url, Some(&foreign)).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    // Neither was worth a fetch.
    assert_eq!(provider.hits().await.jwks, 0);
}

#[tokio::test]
async fn a_service_that_cannot_have_the_keys_is_unavailable_until_it_can() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let url = serve(&provider).await;
    let token = provider.token(Algorithm::ES256).await;
    provider.jwks_mode(JwksMode::Error).await;
    let answer = ask(&url, Some(&token)).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));

    provider.jwks_mode(JwksMode::Ok).await;
    let start = Instant::now();
    loop {
        // It waits for the next fetch, which is due within a second or two.
        match ask(&url, Some(&token)).await.status() {
            StatusCode::OK => break,
            status => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE),
        }
        assert!(start.elapsed() < DEADLINE);
    }
}
