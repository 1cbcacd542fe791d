//! A key that signs: its private part, here or at a signer, its public part as a JWK, and its id.
mod existing;
mod jwk;
mod remote;

use core::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING,
    ML_DSA_87_SIGNING, PqdsaKeyPair, PqdsaSigningAlgorithm, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair, RsaSignatureEncoding,
};
use aws_lc_rs::{digest, hmac};
use base64::prelude::*;
use portcullis::{Algorithm, Encoding, Secret};
use zeroize::Zeroizing;

pub use self::existing::{ExistingKey, ExistingKeyFault};
use self::jwk::PublicKey;

pub(crate) use self::remote::RemoteKey;
use crate::debug_as_displayed::debug_as_displayed;

/// Bits of a new RSA key: RFC 7518 §3.3 asks for 2048 and more, and each doubling makes a signature five times dearer.
const RSA_SIZE: KeySize = KeySize::Rsa2048;

/// Bits of an RSA key that is taken over: shorter ones are weak, and with longer ones a signature takes milliseconds.
const RSA_BITS: core::ops::RangeInclusive<usize> = 2048..=4096;

/// Bytes of a new shared secret: as many as the hash has (RFC 7518 §3.2).
const SECRET_LENGTH: usize = 32;

/// A key of a ring, ready to sign.
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    private: Private,
    public: PublicKey,
}

enum Private {
    Rsa { pair: RsaKeyPair, encoding: &'static RsaSignatureEncoding },
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    MlDsa(Box<PqdsaKeyPair>),
    // In a box, since it is by far the largest.
    Secret(Box<hmac::Key>, Zeroizing<Vec<u8>>),
}

/// What an algorithm's keys are.
enum Kind {
    Rsa(&'static RsaSignatureEncoding),
    Ecdsa(&'static EcdsaSigningAlgorithm),
    Ed25519,
    MlDsa(&'static PqdsaSigningAlgorithm),
    Secret,
}

impl Kind {
    fn of(algorithm: Algorithm) -> Result<Self, KeyError> {
        Ok(match algorithm {
            Algorithm::RS256 => Self::Rsa(&RSA_PKCS1_SHA256),
            Algorithm::PS256 => Self::Rsa(&RSA_PSS_SHA256),
            Algorithm::ES256 => Self::Ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => Self::Ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA | Algorithm::Ed25519 => Self::Ed25519,
            Algorithm::HS256 => Self::Secret,
            Algorithm::ML_DSA_44 => Self::MlDsa(&ML_DSA_44_SIGNING),
            Algorithm::ML_DSA_65 => Self::MlDsa(&ML_DSA_65_SIGNING),
            Algorithm::ML_DSA_87 => Self::MlDsa(&ML_DSA_87_SIGNING),
            _ => return Err(KeyError::Algorithm { algorithm }),
        })
    }
}

impl SigningKey {
    /// The algorithms that a ring signs with.
    pub(crate) const ALGORITHMS: [Algorithm; 10] = [
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
        Algorithm::Ed25519,
        Algorithm::RS256,
        Algorithm::PS256,
        Algorithm::HS256,
        Algorithm::ML_DSA_44,
        Algorithm::ML_DSA_65,
        Algorithm::ML_DSA_87,
    ];

    /// Makes a new key, and what is to be sealed of it.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<(Self, Zeroizing<Vec<u8>>), KeyError> {
        let private = match Kind::of(algorithm)? {
            Kind::Rsa(_) => pkcs8(&RsaKeyPair::generate(RSA_SIZE)?)?,
            Kind::Ecdsa(signing) => {
                Zeroizing::new(EcdsaKeyPair::generate(signing)?.to_pkcs8v1()?.as_ref().to_vec())
            }
            Kind::Ed25519 => pkcs8(&Ed25519KeyPair::generate()?)?,
            Kind::MlDsa(signing) => seed(&PqdsaKeyPair::generate(signing)?)?,
            Kind::Secret => {
                let mut secret = Zeroizing::new(vec![0; SECRET_LENGTH]);
                rand::fill(&mut secret)?;
                secret
            }
        };
        // Read as it will be, so that what cannot be read again is never published.
        Self::read(algorithm, &private, None).map(|key| (key, private))
    }

    /// Reads a private key: PKCS#8 (RFC 5958), or the bytes of a shared secret. Its id is `key_id`, or else that of a key
    /// pair the thumbprint of its public part (RFC 7638), so that it can be no other key's, and that of a secret at random.
    pub(crate) fn read(
        algorithm: Algorithm,
        private: &[u8],
        key_id: Option<&str>,
    ) -> Result<Self, KeyError> {
        let rejected = |_: KeyRejected| KeyError::Private { algorithm };
        let (private, public) = match Kind::of(algorithm)? {
            Kind::Rsa(encoding) => {
                let pair = RsaKeyPair::from_pkcs8(private).map_err(rejected)?;
                let bits = pair.public_modulus_len() * 8;
                if !RSA_BITS.contains(&bits) {
                    return Err(KeyError::RsaSize { bits });
                }
                let public = PublicKey::rsa(algorithm, pair.public_key().as_ref(), key_id);
                (Private::Rsa { pair, encoding }, public.ok_or(KeyError::Private { algorithm })?)
            }
            Kind::Ecdsa(signing) => {
                let pair = EcdsaKeyPair::from_pkcs8(signing, private).map_err(rejected)?;
                let public = PublicKey::ec(algorithm, pair.public_key().as_ref(), key_id);
                (Private::Ecdsa(pair), public.ok_or(KeyError::Private { algorithm })?)
            }
            Kind::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8(private).map_err(rejected)?;
                let public = PublicKey::okp(algorithm, pair.public_key().as_ref(), key_id);
                (Private::Ed25519(pair), public)
            }
            Kind::MlDsa(signing) => {
                let pair = PqdsaKeyPair::from_pkcs8(signing, private).map_err(rejected)?;
                let public = PublicKey::akp(algorithm, pair.public_key().as_ref(), key_id);
                (Private::MlDsa(Box::new(pair)), public)
            }
            Kind::Secret => {
                let key_id = match key_id {
                    Some(key_id) => key_id.to_owned(),
                    None => random_id()?,
                };
                (
                    Private::Secret(
                        Box::new(hmac::Key::new(hmac::HMAC_SHA256, private)),
                        Zeroizing::new(private.to_vec()),
                    ),
                    PublicKey::none(key_id),
                )
            }
        };
        Ok(Self { algorithm, private, public })
    }

    /// The algorithm that it signs with.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its id, by which tokens name it.
    pub(crate) fn id(&self) -> &str {
        self.public.id()
    }

    /// Its public part as a JWK with `kid`, `alg` and `use`. `None`: it is a shared secret, which has none.
    pub(crate) fn public_jwk(&self) -> Option<&str> {
        self.public.jwk()
    }

    /// A shared secret, to verify with. `None`: it is a key pair.
    pub(crate) fn secret(&self) -> Option<Secret> {
        let Private::Secret(_, bytes) = &self.private else { return None };
        let text = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let secret = Secret::encoded(text, Encoding::Base64url);
        Some(secret.id(self.id()).algorithm(self.algorithm))
    }

    /// Signs a token's text up to its second dot (RFC 7515 §5.1). An ECDSA signature is `r` and `s`, each as long as
    /// the curve's order (RFC 7518 §3.4).
    pub(crate) fn sign(&self, input: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(match &self.private {
            Private::Rsa { pair, encoding } => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &SystemRandom::new(), input, &mut signature)?;
                signature
            }
            Private::Ecdsa(pair) => pair.sign(&SystemRandom::new(), input)?.as_ref().to_vec(),
            Private::Ed25519(pair) => pair.sign(input).as_ref().to_vec(),
            // With something at random in it (FIPS 204 §3.4), and an empty context (RFC 9964 §5).
            Private::MlDsa(pair) => {
                let mut signature = vec![0; pair.algorithm().signature_len()];
                pair.sign(input, &mut signature)?;
                signature
            }
            Private::Secret(key, _) => hmac::sign(key, input).as_ref().to_vec(),
        })
    }
}

fn pkcs8(pair: &impl AsDer<Pkcs8V1Der<'static>>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    Ok(Zeroizing::new(pair.as_der()?.as_ref().to_vec()))
}

/// PKCS#8 with the seed and nothing else (RFC 9881 §6). Of a key that came without its seed, there is none.
fn seed(pair: &PqdsaKeyPair) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    Ok(Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec()))
}

/// 128 bits: nothing of the secret, and no other's.
fn random_id() -> Result<String, KeyError> {
    let mut id = [0; 16];
    rand::fill(&mut id)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(id))
}

/// RFC 7638 §3: of the members that make a key, in their order, without white space.
fn thumbprint(members: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id())
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Why a key cannot be made, read or used.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum KeyError {
    /// Rings do not sign with this algorithm.
    Algorithm {
        /// Which.
        algorithm: Algorithm,
    },
    /// It is not the private part of a key for this algorithm.
    Private {
        /// Which.
        algorithm: Algorithm,
    },
    /// An RSA key is too short, or too long.
    RsaSize {
        /// How many bits it has.
        bits: usize,
    },
    /// A signer made a key that is not one for this algorithm.
    OfSigner {
        /// Which.
        algorithm: Algorithm,
    },
    /// A signer gave a key that the ring has already.
    GivenBefore,
    /// The crypto library failed, as it does without memory or randomness.
    Crypto,
}

impl From<aws_lc_rs::error::Unspecified> for KeyError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Algorithm { algorithm } => write!(
                f,
                "{algorithm} is not an algorithm that a ring signs with: choose one of ES256, ES384, EdDSA, Ed25519, RS256, PS256, HS256, ML-DSA-44, ML-DSA-65, ML-DSA-87"
            ),
            Self::Private { algorithm } => write!(
                f,
                "it is not a private key for {algorithm}: it has to be of the type and curve of that algorithm, and not encrypted"
            ),
            Self::RsaSize { bits } => write!(
                f,
                "an RSA key of {bits} bits: {} to {} are accepted",
                RSA_BITS.start(),
                RSA_BITS.end()
            ),
            Self::OfSigner { algorithm } => write!(
                f,
                "the signer made a key whose public part is not one for {algorithm}: it has to be a SubjectPublicKeyInfo in DER, of the type and curve of that algorithm"
            ),
            Self::GivenBefore => f.write_str(
                "the signer gave a key that the ring has already: it has to make another each time that it is asked",
            ),
            Self::Crypto => {
                f.write_str("the crypto library failed: it has no memory or no randomness")
            }
        }
    }
}

impl core::error::Error for KeyError {}

debug_as_displayed!(KeyError);

#[cfg(test)]
mod tests;
