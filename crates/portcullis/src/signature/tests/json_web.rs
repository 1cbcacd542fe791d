//! Project Wycheproof's vectors of JSON Web Signature and JSON Web Key: forged tokens, and keys that must not be used.
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wycheproof_ng_kdf_jose::json_web::{TestName, TestSet};

use super::super::*;
use crate::keys::{Candidates, Encoding, KeySet, KeySource, Secret, SecretFault};
use crate::time::UnixTime;
use crate::token::{HeaderCache, Parts, SignatureBuffer, TokenLimits, Unverified};

/// The keys of a vector, as a service is given them: public ones by their set, secrets each by itself.
enum Keys {
    Public(Arc<dyn KeySource>),
    Secrets(Vec<(String, Algorithm, Verifier)>),
}

impl Keys {
    /// `None`: they are refused.
    fn read(key_or_set: &Value) -> Option<Self> {
        let list = key_or_set["keys"].as_array().cloned();
        let list = list.unwrap_or_else(|| vec![key_or_set.clone()]);
        if list.iter().all(|key| key["kty"] == "oct") {
            return list.iter().map(secret).collect::<Option<_>>().map(Self::Secrets);
        }
        let set = KeySet::from_jwks(json!({ "keys": list }).to_string()).ok()?;
        Some(Self::Public(Arc::new(set)))
    }

    fn verifies(&self, parts: &Parts, input: &[u8], signature: &[u8]) -> bool {
        let query = parts.key_query();
        match self {
            Self::Public(set) => Candidates::find(&[Arc::clone(set)], &query, UnixTime(0))
                .is_ok_and(|keys| keys.iter().any(|key| key.verifier().verify(input, signature))),
            Self::Secrets(secrets) => secrets
                .iter()
                .filter(|(id, algorithm, _)| {
                    query.algorithm == *algorithm && query.key_id.is_none_or(|asked| asked == id)
                })
                .any(|(_, _, key)| key.verify(input, signature)),
        }
    }
}

/// The secrets of these vectors are published, or count upwards; that they are weak is not what the vectors are about.
fn secret(jwk: &Value) -> Option<(String, Algorithm, Verifier)> {
    let (id, algorithm) = (jwk["kid"].as_str()?, jwk["alg"].as_str()?.parse().ok()?);
    let secret = Secret::encoded(jwk["k"].as_str()?, Encoding::Base64url).id(id);
    match secret.prepare(&[algorithm], &KeySet::empty()) {
        Ok(_) | Err(SecretFault::Weak(_)) => {}
        Err(_) => return None,
    }
    let bytes = URL_SAFE_NO_PAD.decode(jwk["k"].as_str()?).ok()?;
    Some((id.to_owned(), algorithm, Verifier::hmac(algorithm, &bytes)?))
}

/// Whether the text is read, and signed by one of the keys. The payloads of these vectors are not claims, so others
/// stand in for them while the text is read.
fn verifies(keys: &Keys, text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    let [header, payload, signature] = parts[..] else { return false };
    if URL_SAFE_NO_PAD.decode(payload).is_err() {
        return false;
    }
    let readable = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("{}"));
    let (limits, headers) = (TokenLimits::default(), HeaderCache::default());
    let mut buffer = SignatureBuffer::new();
    Unverified::parse(readable.as_bytes(), limits, &headers, &mut buffer).is_ok_and(|token| {
        keys.verifies(&token.parts, format!("{header}.{payload}").as_bytes(), token.signature)
    })
}

/// Vectors that are decided otherwise than they say, with what is said here and why.
const OTHERWISE: [(TestName, usize, bool, &str); 10] = [
    (TestName::JsonWebSignature, 346, false, "the key is for PS256, and the token says PS384"),
    (TestName::JsonWebSignature, 347, false, "the key is for ES521, which does not exist"),
    (TestName::JsonWebSignature, 350, false, "the key is for PS256, and the token says PS384"),
    (TestName::JsonWebSignature, 351, false, "the key is for ES521, which does not exist"),
    (TestName::JsonWebSignature, 367, true, "it is 357, byte by byte, which is valid"),
    (TestName::JsonWebSignature, 370, true, "it is 357, byte by byte, which is valid"),
    (TestName::JsonWebSignature, 372, false, "`?` is not of the alphabet (RFC 7515 §2)"),
    (TestName::JsonWebSignature, 373, false, "`?` is not of the alphabet (RFC 7515 §2)"),
    (TestName::JsonWebKey, 7, true, "nobody asks how the primes of a key were made (ROCA)"),
    (TestName::JsonWebCrypto, 46, true, "nobody asks how the primes of a key were made (ROCA)"),
];

#[test]
fn json_web_vectors_are_decided_as_they_say_but_for_a_few() {
    for (name, verified, refused) in [
        (TestName::JsonWebSignature, 42, 359),
        (TestName::JsonWebKey, 6, 20),
        (TestName::JsonWebCrypto, 5, 44),
    ] {
        let (mut tally, mut otherwise) = ((0, 0), Vec::new());
        for group in TestSet::load(name).unwrap().test_groups {
            let keys = Keys::read(&group.public_key.or(group.private_key).expect("keys"));
            // Encrypted tokens are of another kind.
            for test in group.tests.into_iter().filter(|test| test.jwe.is_none()) {
                // What is not text is the other form of a signed token, as JSON.
                let jws = test.jws.expect("a signed token");
                let text = jws.as_str().map_or_else(|| jws.to_string(), str::to_owned);
                let verifies = keys.as_ref().is_some_and(|keys| verifies(keys, &text));
                *(if verifies { &mut tally.0 } else { &mut tally.1 }) += 1;
                // None is merely acceptable.
                if verifies == test.result.must_fail() {
                    otherwise.push((test.tc_id, verifies));
                }
            }
        }
        let expected = OTHERWISE.iter().filter(|(of, ..)| *of == name);
        let expected: Vec<_> = expected.map(|(_, id, verifies, _)| (*id, *verifies)).collect();
        assert_eq!(otherwise, expected, "{name:?}");
        assert_eq!(tally, (verified, refused), "{name:?}");
    }
}
