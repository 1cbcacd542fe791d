use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_axum::portcullis::{Issuer, RemoteJwks};
use portcullis_testkit::TestIssuer;
use portcullis_testkit::key_server::{Answer, KeyServer};

use super::*;

/// The policy, with keys that are found by discovery.
fn policy_by_discovery(issuer: &TestIssuer) -> Policy {
    let trusted = Issuer::new(issuer.name())
        .algorithms([ES256])
        .keys(RemoteJwks::discovery())
        .audience(TestIssuer::AUDIENCE);
    policy(Policy::builder().issuer(trusted)).expect("a policy")
}

async fn verify(policy: &Policy, token: &str) -> Result<(), &'static str> {
    match policy.verify_token(token).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.reason()),
    }
}

#[tokio::test]
async fn an_outage_is_no_fault_of_the_token() {
    let provider = KeyServer::start();
    let issuer = provider.issuer(&[ES256]);
    let policy = policy_by_discovery(&issuer);
    let keys = || policy.remote_keys().remove(0);
    let token = issuer.token(ES256).claim("tenant", "acme").mint();

    provider.answer(KeyServer::JWKS_PATH, Answer::status(500));
    assert_eq!(verify(&policy, &token).await, Err("keys_unavailable"));

    provider.serve_keys(KeyServer::JWKS_PATH, &issuer, &[ES256]);
    keys().refresh_now().await.expect("keys");
    assert_eq!(verify(&policy, &token).await, Ok(()));

    // The keys from before go on serving.
    provider.answer(KeyServer::JWKS_PATH, Answer::closed());
    keys().refresh_now().await.expect_err("an outage");
    assert_eq!(verify(&policy, &token).await, Ok(()));
}

#[tokio::test]
async fn a_key_that_the_provider_drops_lets_nobody_in() {
    let provider = KeyServer::start();
    let issuer = provider.issuer(&[ES256]);
    let policy = policy_by_discovery(&issuer);
    let keys = || policy.remote_keys().remove(0);
    let log_in = || issuer.token(ES256).claim("tenant", "acme").mint();
    let former = log_in();
    assert_eq!(verify(&policy, &former).await, Ok(()));

    issuer.rotate(ES256);
    issuer.retire("es256-1");
    let latter = log_in();
    keys().refresh_now().await.expect("keys");
    assert_eq!(verify(&policy, &latter).await, Ok(()));
    // 503: a single answer without the key may be an old one.
    assert_eq!(verify(&policy, &former).await, Err("keys_unavailable"));
    keys().refresh_now().await.expect("keys");
    // 401: two answers lack it.
    assert_eq!(verify(&policy, &former).await, Err("unknown_key"));
}
