use portcullis::KeySet;

use super::*;

fn generate(algorithm: Algorithm) -> (SigningKey, Zeroizing<Vec<u8>>) {
    SigningKey::generate(algorithm).expect("a key")
}

/// RFC 7638 §3.1.
#[test]
fn a_thumbprint_is_that_of_the_standards_example() {
    let members = concat!(
        r#"{"e":"AQAB","kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst"#,
        r#"n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQF"#,
        r#"h6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#,
    );
    assert_eq!(thumbprint(members), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn a_public_part_is_a_key_that_our_own_verification_takes_for_the_algorithm() {
    for algorithm in SigningKey::ALGORITHMS {
        let (key, _) = generate(algorithm);
        let Some(jwk) = key.public_jwk() else {
            assert_eq!(algorithm, Algorithm::HS256);
            continue;
        };
        let keys = KeySet::from_jwks(format!(r#"{{"keys":[{jwk}]}}"#)).expect("a key set");
        assert_eq!(keys.skipped(), [], "{algorithm}");
        // An Ed25519 key is for both names of its algorithm, whichever it says (RFC 9864 §2.2).
        let names = [Algorithm::EdDSA, Algorithm::Ed25519].contains(&algorithm);
        assert_eq!(keys.len(), if names { 2 } else { 1 }, "{algorithm}");
        for private in [
            "\"d\"", "\"p\"", "\"q\"", "\"dp\"", "\"dq\"", "\"qi\"", "\"k\"", "\"oth\"", "\"priv\"",
        ] {
            assert!(!jwk.contains(private), "{jwk}");
        }
        // As verification calls it (RFC 7638, RFC 9964 §6).
        let thumbprint = keys.iter().next().and_then(|key| key.thumbprint());
        assert_eq!(thumbprint, Some(key.id()), "{algorithm}");
        assert_eq!(key.id().len(), 43, "{algorithm}");
    }
}

#[test]
fn a_key_that_was_written_and_read_is_the_same_key() {
    for algorithm in SigningKey::ALGORITHMS {
        let (key, private) = generate(algorithm);
        let again = SigningKey::read(algorithm, &private, Some(key.id())).expect("the key");
        assert_eq!((again.id(), again.public_jwk()), (key.id(), key.public_jwk()), "{algorithm}");
        assert_eq!(again.algorithm(), algorithm);
        let sign = |key: &SigningKey| key.sign(b"eyJh.eyJz").expect("a signature");
        let (one, other) = (sign(&key), sign(&again));
        // The others are made with something at random.
        if [Algorithm::EdDSA, Algorithm::RS256, Algorithm::HS256].contains(&algorithm) {
            assert_eq!(one, other, "{algorithm}");
        }
        assert_eq!(one.len(), other.len(), "{algorithm}");
        assert_ne!(generate(algorithm).0.id(), key.id(), "{algorithm}");
    }
}

#[test]
fn what_is_not_a_private_key_for_the_algorithm_is_refused() {
    let (_, ed25519) = generate(Algorithm::EdDSA);
    for algorithm in [
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::ML_DSA_44,
    ] {
        for private in [&ed25519[..], b"", b"-----BEGIN PRIVATE KEY-----"] {
            let refused = SigningKey::read(algorithm, private, None).err();
            assert_eq!(refused, Some(KeyError::Private { algorithm }));
        }
    }
    for algorithm in Algorithm::ALL.iter().copied() {
        let is_known = SigningKey::ALGORITHMS.contains(&algorithm);
        assert_eq!(SigningKey::generate(algorithm).is_ok(), is_known, "{algorithm}");
    }
}

#[test]
fn nothing_of_a_private_part_is_shown() {
    let (key, private) = generate(Algorithm::HS256);
    let told = format!("{key:?}");
    assert_eq!(told, format!("SigningKey {{ id: {:?}, algorithm: HS256, .. }}", key.id()));
    assert!(!key.id().contains(&BASE64_URL_SAFE_NO_PAD.encode(&private[..6])));
}

/// Each parameter set has a length of its own, and a key of one is none of another.
#[test]
fn an_ml_dsa_key_is_of_one_parameter_set() {
    let all = [Algorithm::ML_DSA_44, Algorithm::ML_DSA_65, Algorithm::ML_DSA_87];
    for (made, length) in all.into_iter().zip([2420, 3309, 4627]) {
        let (key, private) = generate(made);
        assert_eq!(key.sign(b"eyJh.eyJz").map(|signature| signature.len()), Ok(length));
        for other in all.into_iter().filter(|other| *other != made) {
            let refused = SigningKey::read(other, &private, None).err();
            assert_eq!(refused, Some(KeyError::Private { algorithm: other }), "{made}");
        }
    }
}
