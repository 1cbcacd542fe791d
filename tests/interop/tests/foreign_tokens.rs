//! Tokens and keys by libraries of others, from an address.
use portcullis::{Algorithm, Issuer, Policy, RemoteJwks};
use portcullis_interop::{Mint, Minted};
use portcullis_testkit::key_server::{Answer, KeyServer};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://api.example";

/// What both libraries sign with.
const ALGORITHMS: [Algorithm; 10] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::ES512,
    Algorithm::EdDSA,
];

/// Verifies each of the tokens with keys from an address, and returns the algorithms.
async fn verified(minted: &Minted) -> Vec<Algorithm> {
    let server = KeyServer::start();
    server.answer("/jwks", Answer::json(&minted.jwks));
    let issuer = Issuer::new(ISSUER)
        .algorithms(minted.tokens.iter().map(|(algorithm, _)| *algorithm))
        .keys(RemoteJwks::url(server.url("/jwks")))
        .audience(AUDIENCE);
    let policy = Policy::builder().issuer(issuer).build().expect("a policy without a fault");
    let mut algorithms = Vec::new();
    for (algorithm, token) in &minted.tokens {
        let token = policy.verify_token(token).await;
        let token = token.unwrap_or_else(|error| panic!("{algorithm}: {error}"));
        assert_eq!(token.algorithm(), *algorithm);
        assert_eq!((token.subject(), token.client_id()), (Some("alice"), Some("svc")));
        algorithms.push(*algorithm);
    }
    assert_eq!(server.hits("/jwks"), 1);
    algorithms
}

#[tokio::test]
async fn jose_of_npm_signs_what_verifies() {
    let Some(minted) = Mint::Jose.or_leave_out(ISSUER, AUDIENCE).await else { return };
    let algorithms = verified(&minted).await;
    assert_eq!(algorithms[..10], ALGORITHMS);
    assert_eq!(algorithms[10..], [Algorithm::Ed25519]);
}

#[tokio::test]
async fn pyjwt_signs_what_verifies() {
    let Some(minted) = Mint::PyJwt.or_leave_out(ISSUER, AUDIENCE).await else { return };
    assert_eq!(verified(&minted).await, ALGORITHMS);
}

#[tokio::test]
async fn jwcrypto_signs_with_ml_dsa_what_verifies() {
    let Some(minted) = Mint::JwCrypto.or_leave_out(ISSUER, AUDIENCE).await else { return };
    let expected = [Algorithm::ML_DSA_44, Algorithm::ML_DSA_65, Algorithm::ML_DSA_87];
    assert_eq!(verified(&minted).await, expected);
}

#[tokio::test]
async fn a_key_set_of_one_library_verifies_no_token_of_the_other() {
    let Some(jose) = Mint::Jose.or_leave_out(ISSUER, AUDIENCE).await else { return };
    let Some(python) = Mint::PyJwt.or_leave_out(ISSUER, AUDIENCE).await else { return };
    let server = KeyServer::start();
    server.answer("/jwks", Answer::json(&jose.jwks));
    let issuer = Issuer::new(ISSUER)
        .algorithms(ALGORITHMS)
        .keys(RemoteJwks::url(server.url("/jwks")))
        .audience(AUDIENCE);
    let policy = Policy::builder().issuer(issuer).build().expect("a policy without a fault");
    let (_, good) = &jose.tokens[0];
    assert!(policy.verify_token(good).await.is_ok());
    for (algorithm, token) in &python.tokens {
        let error = policy.verify_token(token).await.expect_err("its key is not in the set");
        assert_eq!(error.reason(), "unknown_key", "{algorithm}");
    }
}
