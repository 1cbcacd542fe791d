use core::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair, PqdsaSigningAlgorithm,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaKeyPair, RsaSignatureEncoding,
};
use base64::prelude::*;
use portcullis::Algorithm;
use serde_json::{Value, json};
use spki::der::asn1::UintRef;
use spki::der::{Decode, Reader, SliceReader};

/// One private key for exactly one [`Algorithm`], with an id. **For tests only.**
///
/// A [`TestIssuer`](crate::TestIssuer) has its own; make one by hand to play somebody else. Clones
/// are cheap and are the same key. `Debug` shows the algorithm and the id, nothing of the key.
///
/// # Example: an attacker who knows the name of a key, but not the key
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{SigningKey, TestIssuer};
///
/// let issuer = TestIssuer::new("https://id.example");
/// let forged = SigningKey::generate(Algorithm::ES256).with_id("es256-1");
/// assert_eq!(forged.id(), issuer.key(Algorithm::ES256).id());
/// assert_ne!(forged.public_jwk(), issuer.key(Algorithm::ES256).public_jwk());
///
/// let token = issuer.token(Algorithm::ES256).signed_by(&forged).mint();
/// # _ = token;
/// ```
///
/// # Example: the secret that an application is configured with
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{SigningKey, TestIssuer};
///
/// let key = SigningKey::from_secret(
///     Algorithm::HS256,
///     "Fz1yUo2Hr0dVqXw8nKc5LbTj3MsEgAiP",
/// );
/// let issuer = TestIssuer::new("https://id.example");
/// let token = issuer.token(Algorithm::HS256).signed_by(&key).mint();
/// # _ = token;
/// ```
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    algorithm: Algorithm,
    private: Arc<Private>,
}

enum Private {
    Hmac { hash: hmac::Algorithm, secret: Vec<u8> },
    Rsa { pair: Box<RsaKeyPair>, encoding: &'static RsaSignatureEncoding },
    Ecdsa { pair: EcdsaKeyPair, curve: &'static str },
    Ed25519(Ed25519KeyPair),
    MlDsa(Box<PqdsaKeyPair>),
}

impl SigningKey {
    /// A new key, whose id is the algorithm's name in lower case and `-1`: `es256-1`.
    ///
    /// RSA keys have 2048 bits, the least that RFC 7518 §3.3 allows, and take a noticeable while to
    /// make; secrets are as long as the hash, the least that §3.2 allows. Each call makes another
    /// key. A [`TestIssuer`](crate::TestIssuer) makes each of its keys once in a process instead.
    pub fn generate(algorithm: Algorithm) -> Self {
        Self { id: first_id(algorithm), algorithm, private: Arc::new(Private::generate(algorithm)) }
    }

    /// The key that is this secret, of any length and quality, for one of the HMAC algorithms.
    ///
    /// # Panics
    ///
    /// If `algorithm` is not `HS256`, `HS384` or `HS512`.
    #[track_caller]
    pub fn from_secret(algorithm: Algorithm, secret: impl Into<Vec<u8>>) -> Self {
        let Some(hash) = hmac_algorithm(algorithm) else {
            panic!("{algorithm} has no secret: its keys are key pairs")
        };
        let private = Arc::new(Private::Hmac { hash, secret: secret.into() });
        Self { id: first_id(algorithm), algorithm, private }
    }

    /// The key pair of [`private_der`](Self::private_der), for one of the algorithms that it fits: for a test
    /// that goes on where another process left off. `None`: it is none.
    pub fn from_private_der(algorithm: Algorithm, der: &[u8]) -> Option<Self> {
        let private = match Private::kind(algorithm)? {
            Kind::Rsa(encoding) => {
                let pair = Box::new(RsaKeyPair::from_pkcs8(der).ok()?);
                Private::Rsa { pair, encoding }
            }
            Kind::Ecdsa(signing, curve) => {
                Private::Ecdsa { pair: EcdsaKeyPair::from_pkcs8(signing, der).ok()?, curve }
            }
            Kind::Ed25519 => Private::Ed25519(Ed25519KeyPair::from_pkcs8(der).ok()?),
            Kind::MlDsa(signing) => {
                Private::MlDsa(Box::new(PqdsaKeyPair::from_pkcs8(signing, der).ok()?))
            }
        };
        Some(Self { id: first_id(algorithm), algorithm, private: Arc::new(private) })
    }

    /// Gives this key another id.
    #[must_use]
    pub fn with_id(self, id: impl Into<String>) -> Self {
        Self { id: id.into(), ..self }
    }

    /// The id: the `kid` of [its tokens](crate::TokenBuilder) and of its [JWK](Self::public_jwk).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The algorithm, and the only one, that this key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The public half as a JWK (RFC 7517, RFC 7518 §6, RFC 8037 §2, RFC 9964 §3) with `kid`, `alg` and `use`.
    ///
    /// `None` for a secret, which has no public half.
    pub fn public_jwk(&self) -> Option<Value> {
        let base64url = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &*self.private {
            Private::Hmac { .. } => return None,
            Private::Rsa { pair, .. } => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref());
                json!({ "kty": "RSA", "n": base64url(n), "e": base64url(e) })
            }
            Private::Ecdsa { pair, curve } => {
                // SEC 1 §2.3.3: a 4, then both coordinates, each as long as the field.
                let (x, y) = halves(&pair.public_key().as_ref()[1..]);
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            Private::Ed25519(pair) => {
                let x = base64url(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
            }
            Private::MlDsa(pair) => {
                json!({ "kty": "AKP", "pub": base64url(pair.public_key().as_ref()) })
            }
        };
        jwk["kid"] = self.id.as_str().into();
        jwk["alg"] = self.algorithm.name().into();
        jwk["use"] = "sig".into();
        Some(jwk)
    }

    /// The thumbprint of the public half: SHA-256 in base64url (RFC 7638). `None` for a secret.
    pub fn thumbprint(&self) -> Option<String> {
        self.public_jwk().as_ref().map(crate::hostile::thumbprint)
    }

    /// The public half as a `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7).
    ///
    /// `None` for a secret, which has no public half.
    pub fn public_der(&self) -> Option<Vec<u8>> {
        let der = match &*self.private {
            Private::Hmac { .. } => return None,
            Private::Rsa { pair, .. } => spki(pair.public_key()),
            Private::Ecdsa { pair, .. } => spki(pair.public_key()),
            Private::Ed25519(pair) => spki(pair.public_key()),
            Private::MlDsa(pair) => spki(pair.public_key()),
        };
        Some(der)
    }

    /// The public half as PEM, `-----BEGIN PUBLIC KEY-----` (RFC 7468 §13).
    ///
    /// `None` for a secret, which has no public half.
    pub fn public_pem(&self) -> Option<String> {
        let text = BASE64_STANDARD.encode(self.public_der()?);
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            // RFC 7468 §2: lines of 64 characters, but for the last.
            let (line, after) = rest.split_at(rest.len().min(64));
            pem.extend([line, "\n"]);
            rest = after;
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        Some(pem)
    }

    /// The private half in PKCS#8 (RFC 5208). `None` for a secret.
    pub fn private_der(&self) -> Option<Vec<u8>> {
        const WHY: &str = "a key in memory has a DER form";
        let der = match &*self.private {
            Private::Hmac { .. } => return None,
            Private::Rsa { pair, .. } => pkcs8(&**pair),
            Private::Ecdsa { pair, .. } => pair.to_pkcs8v1().expect(WHY).as_ref().to_vec(),
            Private::Ed25519(pair) => pkcs8(pair),
            Private::MlDsa(pair) => pair.to_pkcs8v1().expect(WHY).as_ref().to_vec(),
        };
        Some(der)
    }

    /// The secret of an HMAC key. `None` for a key pair.
    pub fn secret(&self) -> Option<&[u8]> {
        match &*self.private {
            Private::Hmac { secret, .. } => Some(secret),
            _ => None,
        }
    }

    /// Signs, and answers with the signature as JWS wants it: for ECDSA that is `r` and `s`, each
    /// as long as the curve's order (RFC 7518 §3.4).
    ///
    /// The signing input of a token is its text up to the second full stop (RFC 7515 §5.1). Mostly
    /// [`TokenBuilder::mint`](crate::TokenBuilder::mint) is the shorter way.
    pub fn sign(&self, signing_input: &[u8]) -> Vec<u8> {
        const WHY: &str = "a key pair of aws-lc-rs's own making signs anything";
        let random = SystemRandom::new();
        match &*self.private {
            Private::Hmac { hash, secret } => {
                hmac::sign(&hmac::Key::new(*hash, secret), signing_input).as_ref().to_vec()
            }
            Private::Rsa { pair, encoding } => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, signing_input, &mut signature).expect(WHY);
                signature
            }
            Private::Ecdsa { pair, .. } => {
                pair.sign(&random, signing_input).expect(WHY).as_ref().to_vec()
            }
            Private::Ed25519(pair) => pair.sign(signing_input).as_ref().to_vec(),
            Private::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                pair.sign(signing_input, &mut signature).expect(WHY);
                signature
            }
        }
    }

    /// The public half as the crypto library spells it: the PKCS#1 structure, the uncompressed
    /// point, the 32 bytes, or those of ML-DSA.
    pub(crate) fn public_raw(&self) -> Option<&[u8]> {
        match &*self.private {
            Private::Hmac { .. } => None,
            Private::Rsa { pair, .. } => Some(pair.public_key().as_ref()),
            Private::Ecdsa { pair, .. } => Some(pair.public_key().as_ref()),
            Private::Ed25519(pair) => Some(pair.public_key().as_ref()),
            Private::MlDsa(pair) => Some(pair.public_key().as_ref()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Private {
    fn generate(algorithm: Algorithm) -> Self {
        if let Some(hash) = hmac_algorithm(algorithm) {
            let mut secret = vec![0; hash.tag_len()];
            rand::fill(&mut secret).expect(RANDOM);
            return Self::Hmac { hash, secret };
        }
        match Self::kind(algorithm) {
            Some(Kind::Rsa(encoding)) => {
                let pair = Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect(RANDOM));
                Self::Rsa { pair, encoding }
            }
            Some(Kind::Ecdsa(signing, curve)) => {
                Self::Ecdsa { pair: EcdsaKeyPair::generate(signing).expect(RANDOM), curve }
            }
            Some(Kind::Ed25519) => Self::Ed25519(Ed25519KeyPair::generate().expect(RANDOM)),
            Some(Kind::MlDsa(signing)) => {
                Self::MlDsa(Box::new(PqdsaKeyPair::generate(signing).expect(RANDOM)))
            }
            // The enum is non-exhaustive, the two crates are released together, and a test of this
            // module signs with `Algorithm::ALL`.
            None => unreachable!("the test kit does not know {algorithm}"),
        }
    }

    /// `None`: it has no key pairs.
    fn kind(algorithm: Algorithm) -> Option<Kind> {
        Some(match algorithm {
            Algorithm::RS256 => Kind::Rsa(&RSA_PKCS1_SHA256),
            Algorithm::RS384 => Kind::Rsa(&RSA_PKCS1_SHA384),
            Algorithm::RS512 => Kind::Rsa(&RSA_PKCS1_SHA512),
            Algorithm::PS256 => Kind::Rsa(&RSA_PSS_SHA256),
            Algorithm::PS384 => Kind::Rsa(&RSA_PSS_SHA384),
            Algorithm::PS512 => Kind::Rsa(&RSA_PSS_SHA512),
            Algorithm::ES256 => Kind::Ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            Algorithm::ES384 => Kind::Ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            Algorithm::ES512 => Kind::Ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            Algorithm::EdDSA | Algorithm::Ed25519 => Kind::Ed25519,
            Algorithm::ML_DSA_44 => Kind::MlDsa(&ML_DSA_44_SIGNING),
            Algorithm::ML_DSA_65 => Kind::MlDsa(&ML_DSA_65_SIGNING),
            Algorithm::ML_DSA_87 => Kind::MlDsa(&ML_DSA_87_SIGNING),
            _ => return None,
        })
    }
}

/// Which key pairs an algorithm has.
enum Kind {
    Rsa(&'static RsaSignatureEncoding),
    Ecdsa(&'static EcdsaSigningAlgorithm, &'static str),
    Ed25519,
    MlDsa(&'static PqdsaSigningAlgorithm),
}

const RANDOM: &str = "aws-lc-rs makes a key unless the system is out of memory or randomness";

/// The id of the first key for `algorithm`.
fn first_id(algorithm: Algorithm) -> String {
    nth_id(algorithm, 1)
}

/// The id of the `n`th key for `algorithm`.
pub(crate) fn nth_id(algorithm: Algorithm, n: usize) -> String {
    format!("{}-{n}", algorithm.name().to_ascii_lowercase())
}

fn hmac_algorithm(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::HS256 => Some(hmac::HMAC_SHA256),
        Algorithm::HS384 => Some(hmac::HMAC_SHA384),
        Algorithm::HS512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}

fn spki(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
    key.as_der().expect("a key in memory has a DER form").as_ref().to_vec()
}

fn pkcs8(key: &impl AsDer<Pkcs8V1Der<'static>>) -> Vec<u8> {
    key.as_der().expect("a key in memory has a DER form").as_ref().to_vec()
}

pub(crate) fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.len() / 2)
}

/// Modulus and public exponent of an `RSAPublicKey ::= SEQUENCE { INTEGER, INTEGER }` (RFC 8017
/// §A.1.1), without leading zeros (RFC 7518 §6.3.1).
///
/// aws-lc-rs hands out the two numbers only under its feature `ring-io`, which would then be on for
/// whatever else the tested program does with aws-lc-rs.
fn rsa_numbers(der: &[u8]) -> (&[u8], &[u8]) {
    let numbers = SliceReader::new(der).and_then(|mut reader| {
        reader.sequence(|reader| {
            let modulus = UintRef::decode(reader)?.as_bytes();
            Ok::<_, spki::der::Error>((modulus, UintRef::decode(reader)?.as_bytes()))
        })
    });
    numbers.expect("aws-lc-rs writes RSAPublicKey structures")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle;

    /// Those with a public half.
    fn key_pairs() -> impl Iterator<Item = SigningKey> {
        Algorithm::ALL
            .iter()
            .copied()
            .map(SigningKey::generate)
            .filter(|key| key.secret().is_none())
    }

    #[test]
    fn a_key_pair_that_was_written_and_read_is_the_same_key() {
        for key in key_pairs() {
            let der = key.private_der().expect("a key pair");
            let again = SigningKey::from_private_der(key.algorithm(), &der).expect("the key");
            assert_eq!(again.public_jwk(), key.public_jwk(), "{}", key.algorithm());
            let signature = again.sign(b"eyJh.eyJz");
            assert!(oracle::verifies(&key, b"eyJh.eyJz", &signature), "{}", key.algorithm());
            assert!(SigningKey::from_private_der(Algorithm::HS256, &der).is_none());
            assert!(SigningKey::from_private_der(key.algorithm(), b"no key").is_none());
        }
        assert!(SigningKey::generate(Algorithm::HS256).private_der().is_none());
    }

    #[test]
    fn aws_lc_verifies_every_algorithm_under_the_jwk_or_the_secret() {
        for &algorithm in Algorithm::ALL {
            let key = SigningKey::generate(algorithm);
            let signature = key.sign(b"eyJh.eyJz");
            assert!(oracle::verifies(&key, b"eyJh.eyJz", &signature), "{algorithm}");
            assert!(!oracle::verifies(&key, b"eyJh.eyJy", &signature), "{algorithm}");
            let other = SigningKey::generate(algorithm);
            assert!(!oracle::verifies(&other, b"eyJh.eyJz", &signature), "{algorithm}");
        }
    }

    #[test]
    fn aws_lc_verifies_every_key_pair_under_the_pem() {
        for key in key_pairs() {
            let pem = key.public_pem().expect("a key pair has a public half");
            let signature = key.sign(b"eyJh.eyJz");
            assert!(oracle::verifies_under_pem(&key, &pem, b"eyJh.eyJz", &signature), "{key:?}");
        }
    }

    #[test]
    fn a_jwk_has_the_members_of_its_type_and_says_its_use() {
        let rsa = ["alg", "e", "kid", "kty", "n", "use"].as_slice();
        let ec = ["alg", "crv", "kid", "kty", "use", "x", "y"].as_slice();
        let okp = ["alg", "crv", "kid", "kty", "use", "x"].as_slice();
        let akp = ["alg", "kid", "kty", "pub", "use"].as_slice();
        for (algorithm, members, kty, crv, (number, octets)) in [
            (Algorithm::RS256, rsa, "RSA", None, ("n", 256)),
            (Algorithm::PS512, rsa, "RSA", None, ("n", 256)),
            (Algorithm::ES256, ec, "EC", Some("P-256"), ("y", 32)),
            (Algorithm::ES384, ec, "EC", Some("P-384"), ("y", 48)),
            (Algorithm::ES512, ec, "EC", Some("P-521"), ("x", 66)),
            (Algorithm::EdDSA, okp, "OKP", Some("Ed25519"), ("x", 32)),
            (Algorithm::Ed25519, okp, "OKP", Some("Ed25519"), ("x", 32)),
            (Algorithm::ML_DSA_44, akp, "AKP", None, ("pub", 1312)),
            (Algorithm::ML_DSA_65, akp, "AKP", None, ("pub", 1952)),
            (Algorithm::ML_DSA_87, akp, "AKP", None, ("pub", 2592)),
        ] {
            let key = SigningKey::generate(algorithm).with_id("k");
            let jwk = key.public_jwk().expect("a key pair has a public half");
            let mut names: Vec<_> = jwk.as_object().expect("a JWK").keys().collect();
            names.sort_unstable(); // unless something turned on serde_json's `preserve_order`
            assert_eq!(names, members, "{algorithm}");
            assert_eq!(jwk["kty"], kty, "{algorithm}");
            assert_eq!(jwk.get("crv").and_then(Value::as_str), crv, "{algorithm}");
            assert_eq!(jwk["alg"], algorithm.name(), "{algorithm}");
            assert_eq!(jwk["kid"], "k", "{algorithm}");
            assert_eq!(jwk["use"], "sig", "{algorithm}");
            assert_eq!(oracle::member(&jwk, number).len(), octets, "{algorithm}");
        }
    }

    #[test]
    fn an_rsa_exponent_is_65537_without_a_leading_zero() {
        let jwk = SigningKey::generate(Algorithm::RS256).public_jwk().expect("a key pair");
        assert_eq!(jwk["e"], "AQAB");
    }

    #[test]
    fn a_secret_is_as_long_as_the_hash_and_has_no_public_half() {
        for (algorithm, length) in
            [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)]
        {
            let key = SigningKey::generate(algorithm);
            assert_eq!(key.secret().map(<[u8]>::len), Some(length), "{algorithm}");
            assert_eq!(key.public_jwk(), None, "{algorithm}");
            assert_eq!(key.public_der(), None, "{algorithm}");
            assert_eq!(key.public_pem(), None, "{algorithm}");
        }
    }

    #[test]
    fn a_given_secret_signs_whatever_its_length() {
        for secret in ["", "s", "Fz1yUo2Hr0dVqXw8nKc5LbTj3MsEgAiP"] {
            let key = SigningKey::from_secret(Algorithm::HS256, secret);
            assert_eq!(key.secret(), Some(secret.as_bytes()));
            assert!(oracle::verifies(&key, b"a.b", &key.sign(b"a.b")), "{secret:?}");
        }
    }

    #[test]
    #[should_panic(expected = "ES256 has no secret")]
    fn a_key_pair_is_not_made_from_a_secret() {
        SigningKey::from_secret(Algorithm::ES256, "secret");
    }

    #[test]
    fn a_key_is_named_after_its_algorithm_until_it_is_given_an_id() {
        let key = SigningKey::generate(Algorithm::EdDSA);
        assert_eq!(key.id(), "eddsa-1");
        assert_eq!(key.with_id("mine").id(), "mine");
    }

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let key = SigningKey::from_secret(Algorithm::HS256, "hunter2");
        assert_eq!(format!("{key:?}"), r#"SigningKey { id: "hs256-1", algorithm: HS256, .. }"#);
    }

    #[test]
    fn pem_lines_have_64_characters() {
        let pem = SigningKey::generate(Algorithm::ES256).public_pem().expect("a key pair");
        let lengths: Vec<_> = pem.lines().map(str::len).collect();
        assert_eq!(lengths, [26, 64, 60, 24]);
        assert!(pem.ends_with("-----\n"));
    }
}
