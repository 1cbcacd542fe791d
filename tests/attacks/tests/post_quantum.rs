//! Attacks on ML-DSA (RFC 9964): other parameters, other spellings, other signatures, and the way back to smaller ones.
use base64::prelude::*;
use portcullis::error::{Part, SignatureError, TokenError};
use portcullis::keys::{KeyError, KeyFault, MemberFault};
use portcullis::policy::PolicyFault;
use portcullis::{Algorithm, Issuer, KeySet, Keys, Secret, TokenSource};
use portcullis_attacks::{Door, issuer, policy_for, token, trusted, wrong_algorithm};
use portcullis_testkit::{SigningKey, TestIssuer, hostile};
use serde_json::{Value, json};

use Algorithm::{ES256, HS256, HS384, HS512, ML_DSA_44, ML_DSA_65, ML_DSA_87, RS256};

const ALL: [Algorithm; 3] = [ML_DSA_44, ML_DSA_65, ML_DSA_87];

fn signature_of(token: &str) -> Vec<u8> {
    let (_, signature) = token.rsplit_once('.').expect("a token");
    BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url")
}

fn jwk(algorithm: Algorithm) -> Value {
    issuer().key(algorithm).public_jwk().expect("a key pair")
}

fn with(mut jwk: Value, member: &str, value: impl Into<Value>) -> Value {
    jwk[member] = value.into();
    jwk
}

/// Why a set with this key alone has none.
fn fault(jwk: &Value) -> KeyFault {
    let set = json!({ "keys": [jwk] }).to_string();
    let Err(KeyFault::NoUsableKey { mut skipped }) = KeySet::from_jwks(set) else {
        panic!("the key is used: {jwk}")
    };
    skipped.remove(0).1
}

#[test]
fn a_key_of_one_parameter_set_verifies_nothing_under_another() {
    let door = Door::trusting(&ALL);
    for signer in ALL {
        door.admits(&token(signer).mint());
        for named in ALL.into_iter().filter(|named| *named != signer) {
            let what = format!("{signer} as {named}");
            let renamed = token(signer).header("alg", named.name());
            door.refuses(&what, renamed.mint(), KeyError::Unknown);
            let anonymous = token(signer).header("alg", named.name()).without_header("kid");
            door.refuses(&what, anonymous.mint(), SignatureError::new());
            // The key of one under the name of the other does not come to be.
            let named_so = with(jwk(signer), "alg", named.name());
            let lengths = MemberFault::Length {
                curve: named.name(),
                needed: length(named),
                found: length(signer),
            };
            let expected = KeyFault::Malformed { member: "pub", fault: lengths };
            assert_eq!(fault(&named_so), expected, "{what}");
        }
    }
}

/// FIPS 204, table 2.
fn length(algorithm: Algorithm) -> usize {
    match algorithm {
        ML_DSA_44 => 1312,
        ML_DSA_65 => 1952,
        _ => 2592,
    }
}

/// The crypto library would take them all for the same key: what was revoked or pinned by one spelling would pass in another.
#[test]
fn a_key_has_one_spelling_and_spki_in_pub_is_not_it() {
    for algorithm in ALL {
        let key = issuer().key(algorithm).clone();
        let spki = key.public_der().expect("DER");
        let of = |bytes: &[u8]| with(jwk(algorithm), "pub", BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let raw = BASE64_URL_SAFE_NO_PAD.decode(jwk(algorithm)["pub"].as_str().expect("pub"));
        let raw = raw.expect("base64url");
        for (what, bytes) in [
            ("SPKI", spki.clone()),
            ("a byte more", [&raw[..], &[0]].concat()),
            ("a byte less", raw[1..].to_vec()),
        ] {
            let fault = fault(&of(&bytes));
            let is_length = matches!(
                fault,
                KeyFault::Malformed { member: "pub", fault: MemberFault::Length { .. } }
            );
            assert!(is_length, "{algorithm} {what}: {fault}");
        }
        // As SPKI, it is read as such, and is the same key.
        let sets = [KeySet::from_der(&spki), KeySet::from_jwk(jwk(algorithm).to_string())];
        let thumbprints = sets.map(|set| {
            let set = set.expect("a key");
            set.iter().next().and_then(|key| key.thumbprint().map(str::to_owned))
        });
        assert_eq!(thumbprints, [key.thumbprint(), key.thumbprint()], "{algorithm}");
    }
}

/// Signatures under the right key that are of another text, or have another form: pure ML-DSA with an empty context is the
/// only one (RFC 9964 §5).
#[test]
fn a_context_a_hash_in_front_and_a_changed_length_are_refused() {
    let vectors = include_str!("../../../crates/portcullis/tests/vectors/bad-signatures.json");
    let vectors: Vec<Value> = serde_json::from_str(vectors).expect("JSON");
    let mut refused = 0;
    for algorithm in ALL {
        let of_it = |case: &&Value| case["alg"] == algorithm.name();
        for case in vectors.iter().filter(of_it) {
            let (name, token) = (case["name"].as_str().expect("a name"), &case["token"]);
            let token = token.as_str().expect("a token");
            let keys = KeySet::from_jwk(case["jwk"].to_string()).expect("a key");
            assert_eq!(keys.iter().next().map(|key| key.algorithm()), Some(algorithm));
            let issuer = Issuer::new("https://issuer.example").algorithms([algorithm]).keys(keys);
            let door = Door::new(policy_for([issuer.audience("https://api.example")]));
            if case["valid"] == true {
                door.admits(token);
                continue;
            }
            refused += 1;
            if name.ends_with("empty signature") {
                door.refuses(name, token, TokenError::Empty(Part::Signature));
            } else if name == "ML-DSA-87 one byte appended" {
                let (part, length, limit) = (Part::Signature, 4628, 4627);
                door.refuses(name, token, TokenError::PartTooLong { part, length, limit });
            } else {
                door.refuses(name, token, SignatureError::new());
            }
        }
    }
    assert_eq!(refused, 42);
}

type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

/// FIPS 204 §7.2, algorithm 21: where hints stand out of order, twice, or behind their end, other bytes say the same.
#[test]
fn hints_in_another_encoding_are_refused() {
    for (algorithm, most_hints, polynomials) in
        [(ML_DSA_44, 80, 4), (ML_DSA_65, 55, 6), (ML_DSA_87, 75, 8)]
    {
        let door = Door::trusting(&[algorithm]);
        // One that leaves room behind its hints, and has two in its first polynomial: nearly all are so.
        let (good, signature, hints) = (0..100)
            .find_map(|attempt| {
                let good = token(algorithm).claim("attempt", attempt).mint();
                let signature = signature_of(&good);
                let hints = signature.len() - most_hints - polynomials;
                let used = *signature.last().expect("a byte") as usize;
                let first = signature[hints + most_hints];
                (used < most_hints && first >= 2).then_some((good, signature, hints))
            })
            .expect("a signature with room");
        door.admits(&good);
        let counts = hints + most_hints;
        let changed = |change: Change<'_>| {
            let mut signature = signature.clone();
            change(&mut signature);
            hostile::with_signature(&good, &signature)
        };
        let cases: [(&str, Change<'_>); 6] = [
            ("two swapped", &|it| it.swap(hints, hints + 1)),
            ("one twice", &|it| it[hints + 1] = it[hints]),
            ("a byte behind the last", &|it| it[counts - 1] = 1),
            ("a count that falls", &|it| it[counts + 1] = 0),
            ("a count over all", &|it| it[counts + polynomials - 1] = 0xff),
            ("one more", &|it| it[counts + polynomials - 1] += 1),
        ];
        for (what, change) in cases {
            let forged = changed(change);
            assert_ne!(forged, good, "{algorithm} {what}");
            door.refuses(&format!("{algorithm} {what}"), forged, SignatureError::new());
        }
    }
}

#[test]
fn a_key_that_does_not_say_its_algorithm_is_not_used() {
    for algorithm in ALL {
        let mut without = jwk(algorithm);
        without.as_object_mut().expect("an object").remove("alg");
        assert_eq!(fault(&without), KeyFault::Missing { member: "alg" });
        // Nor by what the header of a token says.
        let set = json!({ "keys": [without, jwk(ES256)] }).to_string();
        let keys = KeySet::from_jwks(set).expect("another key");
        let issuer = Issuer::new(issuer().name()).algorithms([ES256, algorithm]).keys(keys);
        let refused = policy_for([issuer.audience(TestIssuer::AUDIENCE)]).build();
        let fault =
            PolicyFault::UnusableAlgorithm { issuer: "https://id.example".to_owned(), algorithm };
        assert_eq!(refused.expect_err("no key for it").faults(), [fault]);
        for other in [ES256, RS256, HS256] {
            let other_kind = with(jwk(algorithm), "alg", other.name());
            let expected = KeyFault::AlgorithmMismatch { algorithm: other };
            assert_eq!(self::fault(&other_kind), expected);
        }
    }
}

#[test]
fn a_key_in_the_spelling_of_an_older_draft_is_not_used() {
    for algorithm in ALL {
        let key = jwk(algorithm)["pub"].clone();
        for (kty, curve, member) in
            [("OKP", algorithm.name(), "x"), ("OKP", "ML-DSA", "pub"), ("ML-DSA", "", "x")]
        {
            let old = json!({ "kty": kty, "crv": curve, "alg": algorithm.name(), member: key });
            assert_eq!(fault(&old), KeyFault::Unsupported, "{kty} {curve}");
        }
    }
}

#[test]
fn a_key_with_its_seed_is_refused_as_one_that_leaked() {
    for algorithm in ALL {
        for seed in [json!(BASE64_URL_SAFE_NO_PAD.encode([7; 32])), json!("A"), json!({})] {
            let leaked = with(jwk(algorithm), "priv", seed);
            assert_eq!(fault(&leaked), KeyFault::PrivateMember { member: "priv" });
        }
    }
}

/// Who breaks ES256 gets in where ES256 is listed, and nowhere else.
#[test]
fn where_only_ml_dsa_65_is_listed_no_other_algorithm_lets_a_token_in() {
    let only = Door::trusting(&[ML_DSA_65]);
    only.admits(&token(ML_DSA_65).mint());
    for other in Algorithm::ALL.iter().copied().filter(|other| *other != ML_DSA_65) {
        let refused = wrong_algorithm(other, &[ML_DSA_65]);
        only.refuses(other.name(), token(other).mint(), refused.clone());
        // Also with the name of the good key.
        let renamed = token(other).key_id("ml-dsa-65-1").mint();
        only.refuses(other.name(), renamed, refused);
    }
    // In a list for going over, each algorithm has its own key.
    let both = Door::trusting(&[ES256, ML_DSA_65]);
    both.admits(&token(ES256).mint());
    both.admits(&token(ML_DSA_65).mint());
    let under_the_other = token(ES256).header("alg", "ML-DSA-65").mint();
    both.refuses("ES256 as ML-DSA-65", under_the_other, KeyError::Unknown);
    let under_the_other = token(ML_DSA_65).header("alg", "ES256").mint();
    both.refuses("ML-DSA-65 as ES256", under_the_other, KeyError::Unknown);
}

#[test]
fn an_ml_dsa_public_key_is_never_a_secret() {
    let secret = || Secret::new(issuer().secret(HS512));
    for algorithm in ALL {
        let keys = KeySet::from_jwks(issuer().jwks_of(&[algorithm])).expect("a key");
        let both = Issuer::new(issuer().name())
            .algorithms([HS256, HS384, HS512, algorithm])
            .keys(Keys::from(keys).and(secret()))
            .audience(TestIssuer::AUDIENCE);
        let (alone, both) = (Door::trusting(&[algorithm]), Door::new(policy_for([both])));
        let good = token(algorithm).mint();
        alone.admits(&good);
        both.admits(&good);
        let key: SigningKey = issuer().key(algorithm).clone();
        for forgery in hostile::public_key_as_secret_family(&good, &key) {
            let error = alone.policy().verify_token_now(&forgery.token).expect_err("refused");
            assert_eq!(error.reason(), "wrong_algorithm", "{}", forgery.what);
            both.refuses(&forgery.what, &forgery.token, SignatureError::new());
        }
        // Nor is one taken that was configured so.
        let key = jwk(algorithm)["pub"].as_str().expect("pub").to_owned();
        for (what, text) in [("whole", key.as_str()), ("a part", &key[..64])] {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url");
            let keys = KeySet::from_jwks(issuer().jwks_of(&[algorithm])).expect("a key");
            let issuer = Issuer::new(issuer().name())
                .algorithms([HS256, algorithm])
                .keys(Keys::from(keys).and(Secret::new(bytes)));
            let refused = policy_for([issuer.audience(TestIssuer::AUDIENCE)]).build();
            let error = refused.expect_err(what);
            assert!(matches!(error.faults(), [PolicyFault::Secret { .. }]), "{what}: {error}");
        }
    }
}

/// A signature of 4 KB is decoded only where the token is not too long by then.
#[test]
fn a_signature_longer_than_any_is_refused_by_its_length_under_any_algorithm() {
    let door = Door::trusting(&[ES256, ML_DSA_87]);
    for algorithm in [ES256, ML_DSA_87] {
        let good = token(algorithm).mint();
        door.admits(&good);
        for length in [4627, 3309, 2420, 1025, 1024] {
            let forged = hostile::with_signature(&good, &vec![7; length]);
            door.refuses(&format!("{algorithm} {length}"), forged, SignatureError::new());
        }
        let (part, length, limit) = (Part::Signature, 4629, 4627);
        let forged = hostile::with_signature(&good, &[7; 4629]);
        door.refuses("4629", forged, TokenError::PartTooLong { part, length, limit });
    }
}

#[test]
fn a_cookie_that_no_token_fits_into_does_not_build() {
    let cookie = || [TokenSource::cookie("__Host-token"), TokenSource::bearer()];
    let built =
        |algorithms: &[Algorithm]| policy_for([trusted(algorithms)]).sources(cookie()).build();
    for algorithms in [&[ML_DSA_65][..], &[ML_DSA_87], &[ML_DSA_65, ML_DSA_87]] {
        let listed = algorithms.iter().copied().collect();
        let name = "__Host-token".to_owned();
        let fault = PolicyFault::CookieTooSmall { name, listed };
        assert_eq!(built(algorithms).expect_err("no cookie").faults(), [fault]);
    }
    for algorithms in [&[ML_DSA_44][..], &[ES256, ML_DSA_65]] {
        assert!(built(algorithms).is_ok(), "{algorithms:?}");
    }
}
