//! Shared secrets that come and go while a policy runs.
use std::sync::{Arc, Mutex};

use portcullis::keys::{KeyFault, SecretFault, SecretSet, SecretSource};
use portcullis::{Algorithm, Encoding, Issuer, Keys, Policy, Secret};
use portcullis_testkit::TestIssuer;

/// Secrets that a program replaces.
#[derive(Clone, Debug)]
struct Vault(Arc<Mutex<SecretSet>>);

impl SecretSource for Vault {
    fn secrets(&self) -> SecretSet {
        self.0.lock().expect("no panic").clone()
    }

    fn describe(&self) -> String {
        "a vault".to_owned()
    }
}

fn set(issuer: &TestIssuer) -> SecretSet {
    let secret = Secret::new(issuer.secret(Algorithm::HS256)).id("hs256-1");
    SecretSet::new([secret.algorithm(Algorithm::HS256)]).expect("a good secret")
}

fn policy(vault: &Vault, algorithms: &[Algorithm]) -> Policy {
    let issuer = Issuer::new("https://id.example")
        .algorithms(algorithms.iter().copied())
        .keys(Keys::secret_source(vault.clone()))
        .audience("https://orders.example");
    Policy::builder().issuer(issuer).build().expect("a policy")
}

#[tokio::test]
async fn a_secret_that_is_gone_is_accepted_no_longer_and_a_new_one_is() {
    let (one, other) = (TestIssuer::new("https://id.example"), TestIssuer::new("https://other"));
    let vault = Vault(Arc::new(Mutex::new(set(&one))));
    let policy = policy(&vault, &[Algorithm::HS256]);
    let token = |issuer: &TestIssuer| {
        let token = issuer.token(Algorithm::HS256).claim("iss", "https://id.example");
        token.audience("https://orders.example").mint()
    };
    let (first, second) = (token(&one), token(&other));
    for _ in 0..2 {
        assert!(policy.verify_token(&first).await.is_ok());
        assert!(policy.verify_token(&second).await.is_err());
    }
    *vault.0.lock().expect("no panic") = set(&other);
    assert!(policy.verify_token(&first).await.is_err(), "also where it was remembered");
    assert!(policy.verify_token(&second).await.is_ok());
    *vault.0.lock().expect("no panic") = SecretSet::empty();
    assert!(policy.verify_token(&second).await.is_err());
}

#[test]
fn a_source_of_secrets_brings_no_public_keys() {
    let vault = Vault(Arc::new(Mutex::new(SecretSet::empty())));
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::HS256, Algorithm::ES256])
        .keys(Keys::secret_source(vault))
        .audience("https://orders.example");
    let refused = Policy::builder().issuer(issuer).build().expect_err("no key for ES256");
    assert!(refused.to_string().contains("ES256"), "{refused}");
}

#[test]
fn what_may_not_be_a_secret_is_not_among_them() {
    let secret = |text: &str| Secret::encoded(text, Encoding::Base64url);
    let good = "b4Yq0YHhV0cW8g2mJm7Xn1dKzR5sT9uLpE3fQaC6iwo";
    let refused = SecretSet::new([secret(good)]).expect_err("nobody could revoke it");
    assert_eq!(refused, SecretFault::Key(KeyFault::KeyId));
    let short = secret("b4Yq0YHhV0cW8g2mJm7Xn1dKzR5s").id("k");
    let refused = SecretSet::new([short.algorithm(Algorithm::HS256)]).expect_err("short");
    assert!(matches!(refused, SecretFault::TooShort { found: 21, .. }), "{refused}");
    let es256 = secret(good).id("k").algorithm(Algorithm::ES256);
    assert_eq!(SecretSet::new([es256]).expect_err("no secret"), SecretFault::NoAlgorithm);
    let all = SecretSet::new([secret(good).id("k").algorithm(Algorithm::HS256)]).expect("good");
    assert_eq!((format!("{all:?}"), all.len()), ("SecretSet(1)".to_owned(), 1));
}
