//! Keys from the address of a real OpenID Provider, which rotates them and breaks down.
use std::time::{Duration, Instant};

use portcullis::{Algorithm, Error, Issuer, Keys, Policy, RemoteJwks, VerifiedToken};
use portcullis_interop::{Hits, JwksMode, OldKeys, Provider};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What does not come true within this time never does.
const DEADLINE: Duration = Duration::from_secs(60);

/// Fetches soon again: after a good fetch, and after one that failed. Is patient: a machine with
/// other work is not a key server that is broken.
fn keys(provider: &Provider) -> RemoteJwks {
    RemoteJwks::discovery()
        .timeout(DEADLINE)
        .max_wait(DEADLINE)
        .cool_down(Duration::from_secs(1))
        .first_retry(Duration::from_millis(100))
        .max_retry(Duration::from_millis(200))
        .start_for(provider.issuer())
        .expect("an address on loopback")
}

fn policy(provider: &Provider, algorithm: Algorithm, keys: impl Into<Keys>) -> Policy {
    let issuer = Issuer::new(provider.issuer())
        .algorithms([algorithm])
        .keys(keys)
        .audience(Provider::audience(algorithm));
    Policy::builder().issuer(issuer).build().expect("a policy without a fault")
}

fn reason(result: &Result<VerifiedToken, Error>) -> &'static str {
    match result {
        Ok(_) => "verified",
        Err(error) => error.reason(),
    }
}

async fn ready(keys: &RemoteJwks) {
    timeout(DEADLINE, keys.ready()).await.expect("the provider is well");
}

/// Waits until the provider was asked for its keys so often.
async fn asked_for_keys(provider: &Provider, count: u32) {
    let asked = async { while provider.hits().await.jwks < count {} };
    timeout(DEADLINE, asked).await.expect("it is asked");
}

#[tokio::test]
async fn a_token_of_every_algorithm_verifies_with_the_keys_that_discovery_finds() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let keys = keys(&provider);
    for algorithm in Provider::ALGORITHMS {
        let policy = policy(&provider, algorithm, keys.clone());
        let token = policy.verify_token(provider.token(algorithm).await).await;
        let token = token.unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        assert_eq!(token.algorithm(), algorithm);
        assert_eq!((token.subject(), token.client_id()), (Some("svc"), Some("svc")));
        assert!(token.is_typed_access_token());
    }
    assert_eq!(provider.hits().await, Hits { discovery: 1, jwks: 1 });
}

#[tokio::test]
async fn a_provider_that_calls_itself_something_else_is_refused_and_both_names_are_told() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let issuer = format!("{}/", provider.issuer());
    let keys = RemoteJwks::discovery().start_for(&issuer).expect("an address on loopback");
    let error = keys.refresh_now().await.expect_err("it has no slash").to_string();
    let names = format!("`{}`, not of `{issuer}`", provider.issuer());
    assert!(error.contains(&names), "{error}");
    assert!(error.contains("the slash at the end counts"), "{error}");
    assert_eq!(provider.hits().await, Hits { discovery: 1, jwks: 0 });
}

#[tokio::test]
async fn requests_that_come_before_the_keys_share_one_fetch() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let policy = policy(&provider, Algorithm::ES256, keys(&provider));
    let token = provider.token(Algorithm::ES256).await;
    assert_eq!(provider.hits().await, Hits { discovery: 0, jwks: 0 });

    provider.jwks_mode(JwksMode::Hang).await;
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (policy, token) = (policy.clone(), token.clone());
        requests.spawn(async move { policy.verify_token(token).await });
    }
    asked_for_keys(&provider, 1).await;
    assert!(requests.try_join_next().is_none(), "all of them wait");
    provider.jwks_mode(JwksMode::Ok).await;
    for result in requests.join_all().await {
        assert_eq!(reason(&result), "verified");
    }
    assert_eq!(provider.hits().await, Hits { discovery: 1, jwks: 1 });
}

#[tokio::test]
async fn after_a_rotation_that_keeps_the_old_keys_old_and_new_tokens_pass() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let policy = policy(&provider, Algorithm::RS256, keys(&provider));
    let old = provider.token(Algorithm::RS256).await;
    assert_eq!(reason(&policy.verify_token(&old).await), "verified");

    provider.rotate(OldKeys::Published).await;
    let new = provider.token(Algorithm::RS256).await;
    assert_eq!(reason(&policy.verify_token(&new).await), "verified");
    assert_eq!(reason(&policy.verify_token_now(&old)), "verified");
    assert_eq!(provider.hits().await.jwks, 2);
}

#[tokio::test]
async fn after_a_rotation_that_withdraws_the_old_keys_only_new_tokens_pass() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let policy = policy(&provider, Algorithm::ES256, keys(&provider));
    let old = provider.token(Algorithm::ES256).await;
    let verified = policy.verify_token(&old).await.expect("its key is published");
    assert_eq!(policy.recheck_now(&verified), Ok(()));

    provider.rotate(OldKeys::Withdrawn).await;
    let new = provider.token(Algorithm::ES256).await;
    assert_eq!(reason(&policy.verify_token(&new).await), "verified");
    assert_eq!(reason(&policy.verify_token(&old).await), "unknown_key");
    // A connection that it opened ends as well.
    let error = policy.recheck(&verified).await.expect_err("its key is gone");
    assert_eq!(error.reason(), "key_withdrawn");
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_after_a_refresh_that_was_asked_for() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let keys = keys(&provider);
    let policy = policy(&provider, Algorithm::EdDSA, keys.clone());
    let old = provider.token(Algorithm::EdDSA).await;
    assert_eq!(reason(&policy.verify_token(&old).await), "verified");

    provider.rotate(OldKeys::Withdrawn).await;
    keys.refresh_now().await.expect("the provider is well");
    assert_eq!(reason(&policy.verify_token(&old).await), "unknown_key");
    let new = provider.token(Algorithm::EdDSA).await;
    assert_eq!(reason(&policy.verify_token_now(&new)), "verified");
}

#[tokio::test]
async fn tokens_by_unknown_keys_do_not_make_the_provider_busy() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let keys = RemoteJwks::discovery().max_wait(DEADLINE).cool_down(Duration::from_secs(60 * 60));
    let policy = policy(&provider, Algorithm::ES384, keys);
    let token = provider.token(Algorithm::ES384).await;
    assert_eq!(reason(&policy.verify_token(token).await), "verified");
    for _ in 0..3 {
        provider.rotate(OldKeys::Published).await;
        let unknown = provider.token(Algorithm::ES384).await;
        assert_eq!(reason(&policy.verify_token(unknown).await), "unknown_key");
    }
    assert_eq!(provider.hits().await, Hits { discovery: 1, jwks: 1 });
}

#[tokio::test]
async fn while_the_endpoint_is_broken_known_keys_serve_and_unknown_ones_are_unavailable() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let keys = keys(&provider);
    let policy = policy(&provider, Algorithm::PS256, keys.clone());
    ready(&keys).await;
    for (mode, message) in [
        (JwksMode::Error, "the server answered with status 500"),
        (JwksMode::Garbage, "this is HTML or XML, and a JSON object is needed"),
        (JwksMode::Empty, "there is no usable key"),
    ] {
        let old = provider.token(Algorithm::PS256).await;
        provider.jwks_mode(mode).await;
        provider.rotate(OldKeys::Withdrawn).await;
        let error = keys.refresh_now().await.expect_err("the endpoint is broken").to_string();
        let beginning = format!("{}/jwks: {message}", provider.issuer());
        assert!(error.starts_with(&beginning), "{mode:?}: {error}");
        assert_eq!(reason(&policy.verify_token_now(&old)), "verified", "{mode:?}");
        let new = provider.token(Algorithm::PS256).await;
        assert_eq!(reason(&policy.verify_token(&new).await), "keys_unavailable", "{mode:?}");

        provider.jwks_mode(JwksMode::Ok).await;
        let start = Instant::now();
        loop {
            match reason(&policy.verify_token(&new).await) {
                "verified" => break,
                // By a fetch that began before the endpoint was well again.
                "keys_unavailable" if start.elapsed() < DEADLINE => {}
                reason => panic!("{mode:?}: {reason}"),
            }
        }
        assert_eq!(reason(&policy.verify_token(&old).await), "unknown_key", "{mode:?}");
    }
}

#[tokio::test]
async fn keys_of_a_provider_that_is_gone_go_on_being_served() {
    let Some(mut provider) = Provider::or_leave_out().await else { return };
    let keys = keys(&provider);
    let policy = policy(&provider, Algorithm::ES512, keys.clone());
    ready(&keys).await;
    let token = provider.token(Algorithm::ES512).await;

    provider.stop().await;
    keys.refresh_now().await.expect_err("nobody is there");
    assert_eq!(reason(&policy.verify_token_now(&token)), "verified");
}

#[tokio::test]
async fn while_the_endpoint_hangs_tokens_by_known_keys_do_not_wait() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let keys = keys(&provider);
    let policy = policy(&provider, Algorithm::Ed25519, keys.clone());
    ready(&keys).await;
    let token = provider.token(Algorithm::Ed25519).await;

    provider.jwks_mode(JwksMode::Hang).await;
    let refresh = tokio::spawn(async move { keys.refresh_now().await });
    asked_for_keys(&provider, 2).await;
    assert_eq!(reason(&policy.verify_token_now(&token)), "verified");
    assert!(!refresh.is_finished());

    provider.jwks_mode(JwksMode::Ok).await;
    refresh.await.expect("it ran").expect("the endpoint is well again");
}
