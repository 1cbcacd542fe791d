//! Whether a token's bytes were signed by a key. The only module that names a crypto library.
mod algorithm;

use core::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ML_DSA_44,
    ML_DSA_65, ML_DSA_87, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm,
};
use aws_lc_rs::{digest, hmac, rand};

pub(crate) use self::algorithm::Family;
pub use self::algorithm::{Algorithm, AlgorithmSet, UnknownAlgorithm};

/// The signature does not verify under any key that it might be of.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SignatureError;

impl SignatureError {
    /// The error, for a comparison in a test.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the signature does not verify: another key signed the token, or it was changed; a shared secret must be read alike on both sides, as its text or decoded",
        )
    }
}

impl core::error::Error for SignatureError {}

/// A key, parsed once, and the one algorithm that it verifies.
#[derive(Clone)]
pub(crate) enum Verifier {
    Hmac(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Verifier {
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            // Compares in constant time, and the whole length of the hash.
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }

    /// RFC 7518 §3.2. `None`: not an HMAC algorithm.
    pub(crate) fn hmac(algorithm: Algorithm, secret: &[u8]) -> Option<Self> {
        let hash = match algorithm {
            Algorithm::HS256 => hmac::HMAC_SHA256,
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => return None,
        };
        Some(Self::Hmac(Box::new(hmac::Key::new(hash, secret))))
    }

    /// RFC 7518 §3.3 and §3.5. `None`: not an RSA algorithm, or not numbers the library takes.
    pub(crate) fn rsa(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let parameters: &'static RsaParameters = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            // The library takes a salt of the hash's length only, as RFC 7518 §3.5 has it.
            Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
            _ => return None,
        };
        let components = RsaPublicKeyComponents { n: modulus, e: exponent };
        components.to_parsed_public_key(parameters).ok().map(Self::Public)
    }

    /// RFC 7518 §3.4; `point` is uncompressed. `None`: not an ECDSA algorithm, or the point is not
    /// on its curve.
    pub(crate) fn ec(algorithm: Algorithm, point: &[u8]) -> Option<Self> {
        let parameters: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::ES256 => &ECDSA_P256_SHA256_FIXED,
            Algorithm::ES384 => &ECDSA_P384_SHA384_FIXED,
            Algorithm::ES512 => &ECDSA_P521_SHA512_FIXED,
            _ => return None,
        };
        ParsedPublicKey::new(parameters, point).ok().map(Self::Public)
    }

    /// RFC 8037 §3.1.
    pub(crate) fn ed25519(key: &[u8; 32]) -> Option<Self> {
        ParsedPublicKey::new(&ED25519, key).ok().map(Self::Public)
    }

    /// RFC 9964 §5: pure ML-DSA with an empty context. `None`: not an ML-DSA algorithm, or not a key of its parameter set.
    ///
    /// The library takes SPKI in DER as well: whoever calls it has looked at the length.
    pub(crate) fn ml_dsa(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        let parameters: &'static dyn VerificationAlgorithm = match algorithm {
            Algorithm::ML_DSA_44 => &ML_DSA_44,
            Algorithm::ML_DSA_65 => &ML_DSA_65,
            Algorithm::ML_DSA_87 => &ML_DSA_87,
            _ => return None,
        };
        ParsedPublicKey::new(parameters, key).ok().map(Self::Public)
    }

    /// A public key with its numbers as they are: the point of an elliptic curve, the DER of an RSA key.
    pub(crate) fn public_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Public(key) => Some(key.as_ref()),
            Self::Hmac(_) => None,
        }
    }

    /// Whether both verify the same signatures. Of two secrets, what they make of one text is compared, in
    /// constant time.
    pub(crate) fn verifies_alike(&self, other: &Self) -> bool {
        const TEXT: &[u8] = b"is it the same secret?";
        match (self, other) {
            (Self::Hmac(one), Self::Hmac(other)) => {
                hmac::verify(other, TEXT, hmac::sign(one, TEXT).as_ref()).is_ok()
            }
            _ => self.is_same_public_key(other),
        }
    }

    /// Whether both are the same public key for the same algorithm. Secrets are never compared.
    pub(crate) fn is_same_public_key(&self, other: &Self) -> bool {
        let key = self.public_bytes();
        key.is_some() && key == other.public_bytes()
    }
}

/// For names of what is public. What signs is hashed by the library.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(bytes);
    finish(context)
}

/// Of several parts, each with its length in front: no two lists are the same bytes.
pub(crate) fn sha256_of(parts: &[&str]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    finish(context)
}

fn finish(sha256: digest::Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(sha256.finish().as_ref());
    hash
}

/// Hashes as people take them of a word to make a secret of it.
pub(crate) fn common_hashes(bytes: &[u8]) -> [Vec<u8>; 4] {
    use digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
    [&SHA1_FOR_LEGACY_USE_ONLY, &SHA256, &SHA384, &SHA512]
        .map(|hash| digest::digest(hash, bytes).as_ref().to_vec())
}

/// Bytes that nobody can guess.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}

#[cfg(test)]
mod tests {
    mod json_web;
    mod wycheproof;

    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;
    use crate::authentic::Authentic;
    use crate::keys::{KeySet, Prepared, Secret, VerificationKey};
    use crate::token::{HeaderCache, SignatureBuffer, TokenLimits, Unverified};

    #[derive(Deserialize)]
    struct Case {
        name: String,
        valid: Option<bool>,
        alg: String,
        jwk: Value,
        token: String,
    }

    impl Case {
        /// Secrets without the checks of a [`Secret`]: those of the RFCs are published.
        fn verifier(&self) -> Verifier {
            let algorithm = Algorithm::from_name(&self.alg).expect(&self.alg);
            if self.jwk["kty"] == "oct" {
                let secret = decode(self.jwk["k"].as_str().unwrap());
                return Verifier::hmac(algorithm, &secret).unwrap();
            }
            let keys = KeySet::from_jwk(self.jwk.to_string()).expect(&self.name);
            let mut keys = keys.iter().filter(|key| key.algorithm() == algorithm);
            keys.next().expect(&self.name).verifier().clone()
        }

        fn message_and_signature(&self) -> (Vec<u8>, Vec<u8>) {
            let (message, signature) = self.token.rsplit_once('.').unwrap();
            (message.as_bytes().to_vec(), decode(signature))
        }
    }

    fn decode(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).expect(text)
    }

    fn known_answers() -> Vec<Case> {
        serde_json::from_str(include_str!("../../tests/vectors/known-answers.json")).unwrap()
    }

    fn bad_signatures() -> Vec<Case> {
        serde_json::from_str(include_str!("../../tests/vectors/bad-signatures.json")).unwrap()
    }

    #[test]
    fn the_published_examples_verify() {
        let cases = known_answers();
        let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
        let expected = [
            "RFC 7515 A.1",
            "RFC 7515 A.2",
            "RFC 7515 A.3",
            "RFC 7515 A.4",
            "RFC 7520 4.1",
            "RFC 7520 4.2",
            "RFC 7520 4.3",
            "RFC 7520 4.4",
            "RFC 8037 A.4",
            "RFC 9964 A.1 ML-DSA-44",
            "RFC 9964 A.1 ML-DSA-65",
            "RFC 9964 A.1 ML-DSA-87",
        ];
        assert_eq!(names, expected);
        for case in cases {
            let (message, signature) = case.message_and_signature();
            assert!(case.verifier().verify(&message, &signature), "{}", case.name);
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_published_example_does_not_verify() {
        for case in known_answers() {
            let verifier = case.verifier();
            let (mut message, mut signature) = case.message_and_signature();
            for at in 0..message.len() {
                message[at] ^= 1 << (at % 8);
                assert!(!verifier.verify(&message, &signature), "{}: message {at}", case.name);
                message[at] ^= 1 << (at % 8);
            }
            for at in 0..signature.len() {
                signature[at] ^= 1 << (at % 8);
                assert!(!verifier.verify(&message, &signature), "{}: signature {at}", case.name);
                signature[at] ^= 1 << (at % 8);
            }
            assert!(verifier.verify(&message, &signature), "{}: put back", case.name);
        }
    }

    #[test]
    fn a_published_example_verifies_under_no_other_examples_key() {
        let cases = known_answers();
        for case in &cases {
            let (message, signature) = case.message_and_signature();
            // RFC 7520 4.1 and 4.2 share one RSA key, under two algorithms.
            for other in cases.iter().filter(|other| other.name != case.name) {
                let verifies = other.verifier().verify(&message, &signature);
                assert!(!verifies, "{} under {}", case.name, other.name);
            }
        }
    }

    #[test]
    fn good_signatures_of_every_algorithm_verify() {
        let good: Vec<_> =
            bad_signatures().into_iter().filter(|case| case.valid == Some(true)).collect();
        for &algorithm in Algorithm::ALL {
            let name = format!("{algorithm} good");
            assert!(good.iter().any(|case| case.name == name), "{name} is not among the vectors");
        }
        for case in good {
            let (message, signature) = case.message_and_signature();
            assert!(case.verifier().verify(&message, &signature), "{}", case.name);
        }
    }

    #[test]
    fn bad_signatures_under_the_right_key_do_not_verify() {
        let bad: Vec<_> =
            bad_signatures().into_iter().filter(|case| case.valid == Some(false)).collect();
        assert_eq!(bad.len(), 198);
        for case in bad {
            let (message, signature) = case.message_and_signature();
            assert!(!case.verifier().verify(&message, &signature), "{}", case.name);
        }
    }

    #[test]
    fn a_verifier_is_made_of_its_own_kind_of_algorithm_only() {
        let case = |name: &str| {
            let mut cases = known_answers().into_iter();
            cases.find(|case| case.name == name).expect(name).jwk
        };
        let member = |jwk: &Value, name: &str| decode(jwk[name].as_str().expect(name));
        let rsa = case("RFC 7515 A.2");
        let (modulus, exponent) = (member(&rsa, "n"), member(&rsa, "e"));
        let ec = case("RFC 7515 A.3");
        let point = [vec![4], member(&ec, "x"), member(&ec, "y")].concat();
        let ml_dsa = member(&case("RFC 9964 A.1 ML-DSA-65"), "pub");
        for &algorithm in Algorithm::ALL {
            let family = algorithm.family();
            let of = |verifier: Option<Verifier>| verifier.is_some();
            assert_eq!(of(Verifier::hmac(algorithm, &[7; 64])), family == Family::Hmac);
            assert_eq!(of(Verifier::rsa(algorithm, &modulus, &exponent)), family == Family::Rsa);
            // A point of P-256 is none of the other curves.
            assert_eq!(of(Verifier::ec(algorithm, &point)), algorithm == Algorithm::ES256);
            // Nor is a key of one parameter set that of another.
            let is_65 = algorithm == Algorithm::ML_DSA_65;
            assert_eq!(of(Verifier::ml_dsa(algorithm, &ml_dsa)), is_65);
        }
    }

    /// A secret for HS256, as a policy would hold it.
    fn secret() -> (Vec<u8>, KeySet) {
        let bytes: Vec<u8> =
            (0..32u8).map(|at| at.wrapping_mul(167).wrapping_add(41) ^ 0x5a).collect();
        match Secret::new(bytes.clone()).prepare(&[Algorithm::HS256], &KeySet::empty()) {
            Ok(Prepared::Fixed(keys)) => (bytes, keys),
            _ => panic!("a good secret"),
        }
    }

    /// A token whose header says `alg`, whatever signs it.
    fn signed(alg: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}"}}"#));
        let input = format!("{header}.{}", URL_SAFE_NO_PAD.encode(r#"{"exp":1}"#));
        let signature = URL_SAFE_NO_PAD.encode(sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    fn check(
        token: &str,
        candidates: &[Arc<VerificationKey>],
    ) -> Result<Algorithm, SignatureError> {
        let mut buffer = SignatureBuffer::new();
        let (limits, headers) = (TokenLimits::default(), HeaderCache::default());
        let token = Unverified::parse(token.as_bytes(), limits, &headers, &mut buffer).unwrap();
        Authentic::check(token, candidates).map(|authentic| authentic.key.algorithm())
    }

    #[test]
    fn a_key_is_not_used_under_another_algorithm_even_if_it_was_looked_up_for_it() {
        let (secret, keys) = secret();
        let candidates: Vec<_> = keys.iter().cloned().collect();
        let mac = |input: &[u8]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input).as_ref().to_vec()
        };
        assert_eq!(check(&signed("HS256", mac), &candidates), Ok(Algorithm::HS256));
        for algorithm in Algorithm::ALL.iter().copied().filter(|one| *one != Algorithm::HS256) {
            let token = signed(algorithm.name(), mac);
            assert_eq!(check(&token, &candidates), Err(SignatureError), "{algorithm}");
        }
    }

    #[test]
    fn of_several_candidates_the_one_that_verifies_is_kept() {
        let (secret, keys) = secret();
        let Ok(Prepared::Fixed(others)) =
            Secret::new(secret.iter().map(|byte| byte ^ 0xff).collect::<Vec<_>>())
                .prepare(&[Algorithm::HS256], &KeySet::empty())
        else {
            panic!("a good secret")
        };
        let candidates: Vec<_> = others.iter().chain(keys.iter()).cloned().collect();
        let token = signed("HS256", |input| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input).as_ref().to_vec()
        });
        let mut buffer = SignatureBuffer::new();
        let (limits, headers) = (TokenLimits::default(), HeaderCache::default());
        let token = Unverified::parse(token.as_bytes(), limits, &headers, &mut buffer).unwrap();
        let Ok(authentic) = Authentic::check(token, &candidates) else { panic!("it is signed") };
        assert!(Arc::ptr_eq(&authentic.key, &candidates[1]));
    }

    #[test]
    fn a_token_without_candidates_does_not_verify() {
        assert_eq!(check(&signed("HS256", |_| vec![0; 32]), &[]), Err(SignatureError));
    }

    #[test]
    fn a_secret_is_never_the_same_public_key() {
        let (_, keys) = secret();
        let key = keys.iter().next().unwrap();
        assert!(!key.verifier().is_same_public_key(key.verifier()));
    }
}
