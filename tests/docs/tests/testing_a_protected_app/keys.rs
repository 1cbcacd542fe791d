use portcullis::Algorithm::ES256;
use portcullis::{Error, Issuer, RemoteJwks};
use portcullis_testkit::TestIssuer;
use portcullis_testkit::key_server::{Answer, KeyServer};

use super::*;

/// The policy, with keys that are found by discovery.
fn policy_by_discovery(issuer: &TestIssuer) -> Policy {
    let trusted = Issuer::new(issuer.name()).algorithms([ES256]).keys(RemoteJwks::discovery());
    let trusted = trusted.audience(TestIssuer::AUDIENCE);
    policy(Policy::builder().issuer(trusted)).expect("a policy")
}

async fn verify(policy: &Policy, token: &str) -> Result<(), &'static str> {
    policy.verify_token(token).await.map(drop).map_err(|error: Error| error.reason())
}

#[tokio::test]
async fn an_outage_is_no_fault_of_the_token() {
    let provider = KeyServer::start();
    let issuer = provider.issuer(&[ES256]);
    let policy = policy_by_discovery(&issuer);
    let token = issuer.token(ES256).claim("tenant", "acme").mint();

    provider.answer(KeyServer::JWKS_PATH, Answer::status(500));
    assert_eq!(verify(&policy, &token).await, Err("keys_unavailable")); // 503
    provider.serve_keys(KeyServer::JWKS_PATH, &issuer, &[ES256]);
    policy.remote_keys()[0].refresh_now().await.expect("keys");
    assert_eq!(verify(&policy, &token).await, Ok(()));
    provider.answer(KeyServer::JWKS_PATH, Answer::closed());
    policy.remote_keys()[0].refresh_now().await.expect_err("an outage");
    assert_eq!(verify(&policy, &token).await, Ok(())); // by the keys of before
}

#[tokio::test]
async fn a_key_that_the_provider_drops_lets_nobody_in() {
    let provider = KeyServer::start();
    let issuer = provider.issuer(&[ES256]);
    let policy = policy_by_discovery(&issuer);
    let former = issuer.token(ES256).claim("tenant", "acme").mint();
    assert_eq!(verify(&policy, &former).await, Ok(()));

    issuer.rotate(ES256);
    issuer.retire("es256-1");
    let latter = issuer.token(ES256).claim("tenant", "acme").mint();
    policy.remote_keys()[0].refresh_now().await.expect("keys"); // or waits for the next fetch
    assert_eq!(verify(&policy, &latter).await, Ok(()));
    assert_eq!(verify(&policy, &former).await, Err("keys_unavailable")); // 503: one answer may be an old one
    policy.remote_keys()[0].refresh_now().await.expect("keys");
    assert_eq!(verify(&policy, &former).await, Err("unknown_key")); // 401: two answers lack it
}
