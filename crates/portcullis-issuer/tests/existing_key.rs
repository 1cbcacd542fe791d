//! A ring begins with a key that signs already. The keys in `keys/` were made for these tests.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis::{Algorithm, Secret};
use portcullis_issuer::ring::Phase;
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{
    AccessToken, BuildError, Complete, ExistingKey, ExistingKeyFault, IssuerEvent, IssuerFault,
    KeyError, TokenIssuer, TokenIssuerBuilder,
};

const RSA_PKCS1: &str = include_str!("keys/rsa-pkcs1.pem");
const RSA_PKCS8: &str = include_str!("keys/rsa-pkcs8.pem");
const RSA_JWK: &str = include_str!("keys/rsa.jwk");
const P256_SEC1: &str = include_str!("keys/p256-sec1.pem");
const P256_PKCS8: &str = include_str!("keys/p256-pkcs8.pem");
const P256_JWK: &str = include_str!("keys/p256.jwk");
const P256_ENCRYPTED: &str = include_str!("keys/p256-encrypted.pem");
const P256_SEC1_ENCRYPTED: &str = include_str!("keys/p256-sec1-encrypted.pem");
const ED25519_PKCS8: &str = include_str!("keys/ed25519-pkcs8.pem");
const ED25519_JWK: &str = include_str!("keys/ed25519.jwk");
// As RFC 9881 §6 has it in three forms, by dilithium-py.
const ML_DSA_SEED: &str = include_str!("keys/ml-dsa-44-seed.pem");
const ML_DSA_BOTH: &str = include_str!("keys/ml-dsa-44-both.pem");
const ML_DSA_EXPANDED: &str = include_str!("keys/ml-dsa-44-expanded.pem");
const ML_DSA_JWK: &str = include_str!("keys/ml-dsa-44.jwk");

fn builder(store: &MemoryRing) -> TokenIssuerBuilder<Complete<MemoryRing>> {
    TokenIssuer::builder("https://id.example")
        .algorithm(Algorithm::EdDSA)
        .audiences(["https://orders.example"])
        .lifetime(Duration::from_secs(15 * 60))
        .root_secrets([Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old")])
        .ring(store.clone())
        .refreshed_by_hand()
}

async fn with(key: ExistingKey) -> TokenIssuer<MemoryRing> {
    builder(&MemoryRing::new()).existing_key(key).build().await.expect("an issuer")
}

fn signing(issuer: &TokenIssuer<MemoryRing>) -> (String, String) {
    let status = issuer.status().expect("a ring");
    let key = status.signing().expect("a key that signs");
    (key.key_id.clone(), key.algorithm.clone())
}

#[tokio::test]
async fn a_key_of_every_form_signs_and_its_tokens_of_before_pass() {
    use Algorithm::{ES256, Ed25519, EdDSA, ML_DSA_44, PS256, RS256};
    let pem = |algorithm, text: &str| ExistingKey::from_pem(algorithm, text).expect("a key");
    let jwk = |algorithm, text: &str| ExistingKey::from_jwk(algorithm, text).expect("a key");
    // Each line is one key.
    let same = [
        vec![pem(RS256, RSA_PKCS1), pem(RS256, RSA_PKCS8), jwk(RS256, RSA_JWK)],
        vec![pem(PS256, RSA_PKCS1), pem(PS256, RSA_PKCS8)],
        vec![pem(ES256, P256_SEC1), pem(ES256, P256_PKCS8), jwk(ES256, P256_JWK)],
        vec![pem(EdDSA, ED25519_PKCS8), jwk(EdDSA, ED25519_JWK)],
        vec![pem(Ed25519, ED25519_PKCS8)],
        vec![pem(ML_DSA_44, ML_DSA_SEED), pem(ML_DSA_44, ML_DSA_BOTH), jwk(ML_DSA_44, ML_DSA_JWK)],
    ];
    let what = AccessToken::of_user("alice", "web");
    for keys in same {
        let before = with(keys[0].clone().with_key_id("2019-07")).await;
        let token = before.mint_now(&what).expect("a token").token;
        for key in keys {
            let issuer = with(key.with_key_id("2019-07")).await;
            assert_eq!(signing(&issuer), signing(&before));
            assert_eq!(signing(&issuer).0, "2019-07");
            let policy = issuer.policy_builder().build().expect("a policy");
            assert!(policy.verify_token_now(&token).is_ok(), "{issuer:?}");
            // The next key stands by, and is of the settings.
            let status = issuer.status().expect("a ring");
            let standby = status.keys.iter().find(|key| key.phase == Phase::Standby);
            assert_eq!(standby.expect("one").algorithm, "EdDSA");
            let published = issuer.key_set().expect("keys").body;
            assert!(published.contains("\"kid\":\"2019-07\"") && !published.contains("\"d\""));
            assert!(!published.contains("\"priv\""));
        }
    }
}

#[tokio::test]
async fn a_jwk_is_called_what_it_says_and_a_key_without_a_name_by_its_thumbprint() {
    let jwk = ExistingKey::from_jwk(Algorithm::RS256, RSA_JWK).expect("a key");
    assert_eq!(signing(&with(jwk.clone()).await).0, "2019-07");
    assert_eq!(signing(&with(jwk.with_key_id("other")).await).0, "other");
    let pem = ExistingKey::from_pem(Algorithm::ES256, P256_SEC1).expect("a key");
    assert_eq!(signing(&with(pem).await).0.len(), 43);
    // A name with characters that JSON escapes.
    let pem = ExistingKey::from_pem(Algorithm::ES256, P256_SEC1).expect("a key");
    let issuer = with(pem.with_key_id("a\"b\\\u{1f600}")).await;
    let token = issuer.mint_now(&AccessToken::of_service("billing")).expect("a token").token;
    let policy = issuer.policy_builder().build().expect("a policy");
    assert!(policy.verify_token_now(&token).is_ok());
}

#[tokio::test]
async fn a_ring_that_is_there_stays_as_it_is() {
    let (store, told) = (MemoryRing::new(), Arc::new(Mutex::new(Vec::new())));
    let key = || ExistingKey::from_pem(Algorithm::ES256, P256_SEC1).expect("a key");
    let build = async |key: ExistingKey| {
        let list = told.clone();
        let builder = builder(&store).existing_key(key).on_event(move |event| {
            if matches!(event, IssuerEvent::NotTakenOver { .. }) {
                list.lock().expect("no panic").push(event.clone());
            }
        });
        builder.build().await.expect("an issuer")
    };
    let first = build(key().with_key_id("k1")).await;
    let second = build(key().with_key_id("k1")).await;
    assert_eq!(signing(&first), signing(&second));
    assert_eq!(*told.lock().expect("no panic"), []);
    // Another than the ring began with: told, and not taken.
    let third = build(key().with_key_id("k2")).await;
    assert_eq!(signing(&third), signing(&first));
    let key_id = "k2".to_owned();
    assert_eq!(*told.lock().expect("no panic"), [IssuerEvent::NotTakenOver { key_id }]);
}

#[test]
fn what_is_not_a_private_key_for_the_algorithm_is_refused_and_not_shown() {
    use Algorithm::{ES256, ES384, EdDSA, HS256, ML_DSA_44, ML_DSA_65, PS256, RS256};
    let private = |algorithm| ExistingKeyFault::Key(KeyError::Private { algorithm });
    let two = format!("{P256_SEC1}{ED25519_PKCS8}");
    let parameters_alone = &P256_SEC1[..P256_SEC1.find("-----BEGIN EC PRIVATE").expect("a block")];
    for (algorithm, pem, fault) in [
        (ES384, P256_SEC1, private(ES384)),
        (EdDSA, P256_SEC1, private(EdDSA)),
        (RS256, P256_PKCS8, private(RS256)),
        (ES256, ED25519_PKCS8, private(ES256)),
        (ES256, P256_ENCRYPTED, ExistingKeyFault::Encrypted),
        (ES256, P256_SEC1_ENCRYPTED, ExistingKeyFault::Encrypted),
        (ES256, two.as_str(), ExistingKeyFault::Pem),
        (ES256, parameters_alone, ExistingKeyFault::Pem),
        (ES256, "", ExistingKeyFault::Pem),
        (ES256, P256_JWK, ExistingKeyFault::Pem),
        (HS256, P256_SEC1, private(HS256)),
        // What is expanded cannot be turned back into its seed, which is all that a ring keeps.
        (ML_DSA_44, ML_DSA_EXPANDED, private(ML_DSA_44)),
        (ML_DSA_65, ML_DSA_SEED, private(ML_DSA_65)),
        (ML_DSA_44, ED25519_PKCS8, private(ML_DSA_44)),
        (EdDSA, ML_DSA_SEED, private(EdDSA)),
    ] {
        let refused = ExistingKey::from_pem(algorithm, pem).expect_err("a fault");
        assert_eq!(refused, fault, "{algorithm}");
    }
    let public = P256_JWK.replace("\"d\"", "\"x-d\"");
    let public_seedless = ML_DSA_JWK.replace("\"priv\"", "\"x-priv\"");
    let without_alg = ML_DSA_JWK.replace("\"alg\"", "\"x-alg\"");
    let other_public = ML_DSA_JWK.replace("\"pub\": \"1", "\"pub\": \"2");
    assert_ne!(other_public, ML_DSA_JWK);
    let short_seed = ML_DSA_JWK.replace("\"priv\": \"AAEC", "\"priv\": \"");
    assert_ne!(short_seed, ML_DSA_JWK);
    let off_curve = P256_JWK.replace("\"y\": \"", "\"y\": \"A");
    for (algorithm, jwk, fault) in [
        (ES256, public.as_str(), ExistingKeyFault::Jwk),
        (ML_DSA_44, &public_seedless, ExistingKeyFault::Jwk),
        (ES256, &off_curve, private(ES256)),
        (ES256, RSA_JWK, ExistingKeyFault::OtherAlgorithm { algorithm: ES256 }),
        (PS256, RSA_JWK, ExistingKeyFault::OtherAlgorithm { algorithm: PS256 }),
        (ES384, P256_JWK, private(ES384)),
        (EdDSA, P256_JWK, private(EdDSA)),
        // RFC 9964 §3: `alg` is required. §7.4: both parts go together.
        (ML_DSA_44, &without_alg, ExistingKeyFault::Jwk),
        (ML_DSA_44, &other_public, private(ML_DSA_44)),
        (ML_DSA_44, &short_seed, private(ML_DSA_44)),
        (ML_DSA_65, ML_DSA_JWK, ExistingKeyFault::OtherAlgorithm { algorithm: ML_DSA_65 }),
        (RS256, "{}", ExistingKeyFault::Jwk),
        (RS256, "", ExistingKeyFault::Jwk),
    ] {
        let refused = ExistingKey::from_jwk(algorithm, jwk).expect_err("a fault");
        assert_eq!(refused, fault, "{algorithm}");
    }
    let key = ExistingKey::from_pem(ES256, P256_SEC1).expect("a key").with_key_id("secret-name");
    assert_eq!(format!("{key:?}"), "ExistingKey { algorithm: ES256, .. }");
}

#[tokio::test]
async fn an_id_that_no_token_can_name_is_refused() {
    for key_id in [String::new(), "x".repeat(1025)] {
        let key = ExistingKey::from_pem(Algorithm::ES256, P256_SEC1).expect("a key");
        let built = builder(&MemoryRing::new()).existing_key(key.with_key_id(key_id)).build().await;
        let Err(BuildError::Faults(faults)) = built else { panic!("{built:?}") };
        assert_eq!(faults, [IssuerFault::KeyId]);
    }
}
