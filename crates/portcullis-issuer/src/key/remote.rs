use core::fmt;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ML_DSA_44, ML_DSA_65, ML_DSA_87,
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::prelude::*;
use portcullis::Algorithm;
use serde::Deserialize;
use spki::SubjectPublicKeyInfoRef;
use spki::der::Decode;
use spki::der::asn1::{AnyRef, ObjectIdentifier};

use super::jwk::{PublicKey, rsa_numbers};
use super::{KeyError, RSA_BITS};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
// RFC 9881 §2.
const ML_DSA_44_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
const ML_DSA_65_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const ML_DSA_87_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");

/// A key whose private part is at a signer: what is known of it here.
pub(crate) struct RemoteKey {
    algorithm: Algorithm,
    /// What the signer calls it.
    name: String,
    public: PublicKey,
    verifying: Verifying,
}

/// What a signature is checked with.
enum Verifying {
    Point(UnparsedPublicKey<Vec<u8>>),
    Rsa(&'static RsaParameters, PublicKeyComponents<Vec<u8>>),
}

impl RemoteKey {
    /// Of a key that a signer just made.
    pub(crate) fn of_der(algorithm: Algorithm, name: String, der: &[u8]) -> Result<Self, KeyError> {
        let fault = || KeyError::OfSigner { algorithm };
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| fault())?;
        let bytes = info.subject_public_key.as_bytes().ok_or_else(fault)?;
        let curve = || {
            let parameters: AnyRef<'_> = info.algorithm.parameters?;
            parameters.decode_as::<ObjectIdentifier>().ok()
        };
        let wanted = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => (RSA, None),
            Algorithm::ES256 => (EC, Some(P256)),
            Algorithm::ES384 => (EC, Some(P384)),
            Algorithm::EdDSA | Algorithm::Ed25519 => (ED25519_OID, None),
            Algorithm::ML_DSA_44 => (ML_DSA_44_OID, None),
            Algorithm::ML_DSA_65 => (ML_DSA_65_OID, None),
            Algorithm::ML_DSA_87 => (ML_DSA_87_OID, None),
            _ => return Err(KeyError::Algorithm { algorithm }),
        };
        let found = (info.algorithm.oid, if wanted.1.is_some() { curve() } else { None });
        if found != wanted {
            return Err(fault());
        }
        if wanted.0 == RSA {
            let (n, e) = rsa_numbers(bytes).map_err(|_| fault())?;
            Self::of_rsa(algorithm, name, n.to_vec(), e.to_vec(), None)
        } else {
            Self::of_point(algorithm, name, bytes.to_vec(), None)
        }
    }

    /// Of a row, which has the public part as a JWK.
    pub(crate) fn of_jwk(
        algorithm: Algorithm,
        name: String,
        jwk: &str,
        key_id: &str,
    ) -> Result<Self, KeyError> {
        let fault = || KeyError::OfSigner { algorithm };
        let members: Members = serde_json::from_str(jwk).map_err(|_| fault())?;
        let bytes = |text: Option<&str>| {
            let bytes = text.and_then(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
            bytes.ok_or_else(fault)
        };
        let Members { x, y, n, e, public } = &members;
        match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => {
                let (n, e) = (bytes(n.as_deref())?, bytes(e.as_deref())?);
                Self::of_rsa(algorithm, name, n, e, Some(key_id))
            }
            Algorithm::ES256 | Algorithm::ES384 => {
                let point = [vec![4], bytes(x.as_deref())?, bytes(y.as_deref())?].concat();
                Self::of_point(algorithm, name, point, Some(key_id))
            }
            Algorithm::ML_DSA_44 | Algorithm::ML_DSA_65 | Algorithm::ML_DSA_87 => {
                Self::of_point(algorithm, name, bytes(public.as_deref())?, Some(key_id))
            }
            _ => Self::of_point(algorithm, name, bytes(x.as_deref())?, Some(key_id)),
        }
    }

    fn of_point(
        algorithm: Algorithm,
        name: String,
        point: Vec<u8>,
        key_id: Option<&str>,
    ) -> Result<Self, KeyError> {
        let (verification, public): (&'static dyn VerificationAlgorithm, _) = match algorithm {
            Algorithm::ES256 if point.len() == 65 => {
                (&ECDSA_P256_SHA256_FIXED, PublicKey::ec(algorithm, &point, key_id))
            }
            Algorithm::ES384 if point.len() == 97 => {
                (&ECDSA_P384_SHA384_FIXED, PublicKey::ec(algorithm, &point, key_id))
            }
            Algorithm::EdDSA | Algorithm::Ed25519 if point.len() == 32 => {
                (&ED25519, Some(PublicKey::okp(algorithm, &point, key_id)))
            }
            // The library takes SPKI in DER as well, of another length.
            Algorithm::ML_DSA_44 if point.len() == 1312 => {
                (&ML_DSA_44, Some(PublicKey::akp(algorithm, &point, key_id)))
            }
            Algorithm::ML_DSA_65 if point.len() == 1952 => {
                (&ML_DSA_65, Some(PublicKey::akp(algorithm, &point, key_id)))
            }
            Algorithm::ML_DSA_87 if point.len() == 2592 => {
                (&ML_DSA_87, Some(PublicKey::akp(algorithm, &point, key_id)))
            }
            _ => return Err(KeyError::OfSigner { algorithm }),
        };
        let public = public.ok_or(KeyError::OfSigner { algorithm })?;
        let verifying = Verifying::Point(UnparsedPublicKey::new(verification, point));
        Ok(Self { algorithm, name, public, verifying })
    }

    fn of_rsa(
        algorithm: Algorithm,
        name: String,
        n: Vec<u8>,
        e: Vec<u8>,
        key_id: Option<&str>,
    ) -> Result<Self, KeyError> {
        let parameters = match algorithm {
            Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
            _ => &RSA_PKCS1_2048_8192_SHA256,
        };
        let bits = n.len() * 8;
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::RsaSize { bits });
        }
        let public = PublicKey::rsa_of(algorithm, &n, &e, key_id);
        let verifying = Verifying::Rsa(parameters, PublicKeyComponents { n, e });
        Ok(Self { algorithm, name, public, verifying })
    }

    /// The algorithm that it signs with.
    pub(crate) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What the signer calls it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn id(&self) -> &str {
        self.public.id()
    }

    pub(crate) fn public_jwk(&self) -> &str {
        self.public.jwk().unwrap_or_default()
    }

    /// Whether the signer made `signature`, in the form of a token, for `input` with this key.
    pub(crate) fn is_signed(&self, input: &[u8], signature: &[u8]) -> bool {
        match &self.verifying {
            Verifying::Point(key) => key.verify(input, signature).is_ok(),
            Verifying::Rsa(parameters, key) => key.verify(parameters, input, signature).is_ok(),
        }
    }
}

#[derive(Deserialize)]
struct Members {
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    #[serde(rename = "pub")]
    public: Option<String>,
}

impl fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKey").field("id", &self.id()).finish_non_exhaustive()
    }
}
