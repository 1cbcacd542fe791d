//! Keys in each of their formats: a JWK set, a JWK, PEM, DER, and the text of a secret.
//!
//! What is asked:
//!
//! 1. nothing panics, a refusal says why, and the same bytes give the same keys again;
//! 2. a set that is read is JSON to an ordinary reader, and has an entry for all that is used or skipped;
//! 3. a JWK that is read has nothing private in it;
//! 4. no key verifies a signature that anybody can write: nothing, zeros, or the one that verifies under
//!    points of small order.
use base64::prelude::*;
use portcullis::keys::KeyFault;
use portcullis::{Algorithm, Encoding, Issuer, KeySet, Policy, Secret};
use portcullis_testkit::FixedClock;
use serde_json::{Value, json};

use crate::Outcome;
use crate::issuer::{AUDIENCE, ISSUER, NOW};

/// Members of a JWK that are private, or symmetric (RFC 7518 §6).
pub(crate) const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

type Reader = fn(&[u8]) -> Result<KeySet, KeyFault>;

/// Reads the bytes as keys.
///
/// # Panics
///
/// If a promise is broken.
pub fn check(input: &[u8]) -> Outcome {
    let readers: [Reader; 4] = [
        |input| KeySet::from_jwks(input),
        |input| KeySet::from_jwk(input),
        |input| KeySet::from_pem(input),
        |input| KeySet::from_der(input),
    ];
    let [jwks, jwk, pem, der] = readers.map(|read| {
        let (keys, again) = (read(input), read(input));
        match (&keys, &again) {
            (Ok(keys), Ok(again)) => assert_eq!(names(keys), names(again)),
            (Err(fault), Err(again)) => assert_eq!(fault, again),
            _ => panic!("read once, and not again"),
        }
        if let Err(fault) = &keys {
            assert!(!fault.to_string().is_empty());
        }
        keys.ok()
    });
    if let Some(set) = &jwks {
        let entries = json(input)["keys"].as_array().expect("a set has keys").len();
        assert!(set.skipped().len() < entries, "of {entries} entries one is used");
        assert!(set.skipped().iter().all(|skipped| skipped.index < entries));
    }
    if jwk.is_some() {
        let jwk = json(input);
        let says = |name: &&&str| jwk.get(**name).is_some_and(|member| !is_nothing(member));
        assert_eq!(PRIVATE.iter().find(says), None, "a private key is read");
    }
    let mut read = [jwks, jwk, pem, der].into_iter().flatten().peekable();
    let outcome = if read.peek().is_some() { Outcome::Accepted } else { Outcome::Refused };
    read.for_each(|keys| refuses_forgeries(&keys));
    // To judge a secret takes the longer the longer it is, and real ones are short.
    if input.len() <= 256 {
        secrets(input);
    }
    outcome
}

/// An empty member counts as absent.
pub(crate) fn is_nothing(member: &Value) -> bool {
    match member {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// A byte order mark in front is ignored.
fn json(input: &[u8]) -> Value {
    let text = input.strip_prefix("\u{feff}".as_bytes()).unwrap_or(input);
    serde_json::from_slice(text).expect("what is read as a JWK is JSON")
}

fn names(keys: &KeySet) -> Vec<(Algorithm, Option<&str>, Option<&str>)> {
    keys.iter().map(|key| (key.algorithm(), key.id(), key.thumbprint())).collect()
}

fn refuses_forgeries(keys: &KeySet) {
    assert!(!keys.is_empty(), "no keys are an error");
    let named = keys.with_key_id("id").expect("a good id");
    assert_eq!((named.len(), named.skipped()), (keys.len(), keys.skipped()));
    let mut algorithms: Vec<_> = keys.iter().map(|key| key.algorithm()).collect();
    algorithms.dedup();
    let issuer = Issuer::new(ISSUER).algorithms(algorithms.iter().copied());
    let issuer = issuer.keys(keys.clone()).audience(AUDIENCE);
    // Too many that one token could match are a fault of the policy.
    let Ok(policy) = Policy::builder().issuer(issuer).clock(FixedClock::at(NOW)).build() else {
        return;
    };
    let payload = json!({ "iss": ISSUER, "aud": AUDIENCE, "exp": NOW + 60 }).to_string();
    // R = the identity, S = 0.
    let identity = [&[1][..], &[0; 63]].concat();
    for algorithm in algorithms {
        for id in keys.iter().map(|key| key.id()).take(4) {
            let header = json!({ "alg": algorithm.name(), "kid": id.unwrap_or("id") }).to_string();
            for signature in [&[][..], &[0; 64], &[0; 96], &[0; 132], &[0; 256], &identity] {
                let parts = [header.as_bytes(), payload.as_bytes(), signature];
                let token = parts.map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
                assert!(policy.verify_token_now(&token).is_err(), "{token} is forged");
            }
        }
    }
}

/// As a secret, raw and encoded.
fn secrets(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for encoding in [Encoding::Raw, Encoding::Base64url, Encoding::Hex] {
        let issuer = Issuer::new(ISSUER)
            .algorithms([Algorithm::HS256])
            .keys([Secret::new(input), Secret::encoded(&*text, encoding)])
            .audience(AUDIENCE);
        if let Err(error) = Policy::builder().issuer(issuer).build() {
            assert!(!error.to_string().is_empty());
        }
    }
}
