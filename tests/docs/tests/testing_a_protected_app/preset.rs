use portcullis_axum::portcullis::Algorithm::RS256;
use portcullis_axum::portcullis::provider;
use portcullis_testkit::TestIssuer;
use portcullis_testkit::key_server::KeyServer;

use super::*;

/// A realm of Keycloak, played on loopback.
fn realm() -> (KeyServer, TestIssuer) {
    let server = KeyServer::start();
    let realm = format!("{}/realms/shop", server.origin());
    let issuer = TestIssuer::new(&realm);
    server.serve_keys(KeyServer::JWKS_PATH, &issuer, &[RS256]);
    server.serve_metadata(&realm, &server.url(KeyServer::JWKS_PATH));
    (server, issuer)
}

#[tokio::test]
async fn a_token_of_the_provider_passes() {
    let (server, issuer) = realm();
    let preset = provider::keycloak(server.origin(), "shop").expect("a realm");
    let policy = Policy::builder().issuer(preset.audience("orders-api"));
    let policy = policy.build().expect("a policy");
    let token = issuer.token(RS256).audience("orders-api");
    let token = token.claim("typ", "Bearer").mint();
    assert!(policy.verify_token(token).await.is_ok());
}
