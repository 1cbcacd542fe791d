//! Tokens of an issuer of ours, and its key set from its own route, at libraries of others.
use std::net::Ipv4Addr;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use portcullis::{Algorithm, Secret};
use portcullis_interop::Verifier;
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{AccessToken, TokenIssuer};
use serde_json::Value;
use tokio::net::TcpListener;

const AUDIENCE: &str = "https://orders.example";
const ROOT: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
const KEPT: Duration = Duration::from_secs(60);

/// All with a public key that an issuer signs with, but for ML-DSA, which hardly any library knows.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
    Algorithm::Ed25519,
    Algorithm::RS256,
    Algorithm::PS256,
];

/// The name of RFC 9864, which is younger than most libraries: only `EdDSA` is known to all.
const YOUNG: Algorithm = Algorithm::Ed25519;

/// An issuer that serves its documents until the test ends.
async fn serve(algorithm: Algorithm) -> TokenIssuer<MemoryRing> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let id = format!("http://{}", listener.local_addr().expect("an address"));
    let builder = TokenIssuer::builder(id)
        .algorithm(algorithm)
        .audiences([AUDIENCE])
        .lifetime(Duration::from_secs(5 * 60))
        .root_secrets([Secret::new(ROOT)])
        .ring(MemoryRing::new())
        .refreshed_by_hand();
    let issuer = builder.build().await.expect("an issuer");
    let documents = portcullis_axum::issuer_documents(issuer.clone());
    tokio::spawn(async move { axum::serve(listener, documents).await });
    issuer
}

fn jwks_uri(issuer: &TokenIssuer<MemoryRing>) -> String {
    format!("{}{}", issuer.id(), issuer.key_set_path())
}

async fn mint(issuer: &TokenIssuer<MemoryRing>) -> String {
    let token = AccessToken::of_user("alice", "web").scopes(["orders:read", "orders:write"]);
    issuer.mint(&token).await.expect("a token").token
}

/// The same with its last byte but one changed: of a signature, there is no other spelling of that.
fn forged(token: &str) -> String {
    let (at, last) = token.char_indices().rev().nth(1).expect("a signature");
    let other = if last == 'A' { 'B' } else { 'A' };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

#[tokio::test]
async fn jose_of_npm_accepts_tokens_of_every_algorithm() {
    for algorithm in ALGORITHMS {
        let issuer = serve(algorithm).await;
        let uri = jwks_uri(&issuer);
        let Some(mut jose) = Verifier::jose_or_leave_out(issuer.id(), AUDIENCE, &uri, KEPT) else {
            return;
        };
        let token = mint(&issuer).await;
        assert_eq!(jose.verify(&token).await, Ok("alice".to_owned()), "{algorithm}");
        let refused = jose.verify(&forged(&token)).await.expect_err("forged");
        assert_eq!(refused.name, "ERR_JWS_SIGNATURE_VERIFICATION_FAILED", "{algorithm}");
    }
}

#[tokio::test]
async fn pyjwt_accepts_tokens_of_every_algorithm_whose_name_it_knows() {
    for algorithm in ALGORITHMS {
        let issuer = serve(algorithm).await;
        let uri = jwks_uri(&issuer);
        let pyjwt = Verifier::pyjwt_or_leave_out(issuer.id(), AUDIENCE, &uri, KEPT);
        let Some(mut pyjwt) = pyjwt else { return };
        let token = mint(&issuer).await;
        let verified = pyjwt.verify(&token).await;
        if algorithm == YOUNG {
            // Of a set all of whose keys it leaves out. The way out: `EdDSA`, which is the same algorithm.
            assert_eq!(verified.expect_err("unknown").name, "PyJWKSetError");
            continue;
        }
        assert_eq!(verified, Ok("alice".to_owned()), "{algorithm}");
        let refused = pyjwt.verify(&forged(&token)).await.expect_err("forged");
        assert_eq!(refused.name, "InvalidSignatureError", "{algorithm}");
    }
}

#[tokio::test]
async fn jwcrypto_accepts_tokens_of_ml_dsa() {
    for algorithm in [Algorithm::ML_DSA_44, Algorithm::ML_DSA_65, Algorithm::ML_DSA_87] {
        let issuer = serve(algorithm).await;
        let uri = jwks_uri(&issuer);
        let jwcrypto = Verifier::jwcrypto_or_leave_out(issuer.id(), AUDIENCE, &uri);
        let Some(mut jwcrypto) = jwcrypto else { return };
        let token = mint(&issuer).await;
        assert_eq!(jwcrypto.verify(&token).await, Ok("alice".to_owned()), "{algorithm}");
        let refused = jwcrypto.verify(&forged(&token)).await.expect_err("forged");
        assert_eq!(refused.name, "JWTMissingKey", "{algorithm}: {}", refused.why);
    }
}

#[tokio::test]
async fn jsonwebtoken_accepts_tokens_of_every_algorithm_whose_name_it_knows() {
    for algorithm in ALGORITHMS {
        let issuer = serve(algorithm).await;
        let keys = reqwest::get(jwks_uri(&issuer)).await.expect("an answer");
        let keys: JwkSet = keys.json().await.expect("a key set");
        assert_eq!(keys.keys.len(), 2, "{algorithm}");
        let token = mint(&issuer).await;
        let header = decode_header(&token);
        if algorithm == YOUNG {
            assert!(header.is_err(), "`{algorithm}` is known by now: {header:?}");
            continue;
        }
        let header = header.expect("a header");
        let key = keys.find(header.kid.as_deref().expect("an id")).expect("its key");
        let key = DecodingKey::from_jwk(key).expect("a key");
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[issuer.id()]);
        let verified = decode::<Value>(&token, &key, &validation);
        assert_eq!(verified.expect("a good token").claims["sub"], "alice", "{algorithm}");
        assert!(decode::<Value>(&forged(&token), &key, &validation).is_err(), "{algorithm}");
    }
}
