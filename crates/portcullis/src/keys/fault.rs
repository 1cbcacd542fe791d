use core::fmt;

use super::SecretFault;
use crate::signature::Algorithm;
use crate::token::JsonFault;

/// Why a key, or what should have held keys, cannot be used.
///
/// Names the fault, never the key material.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyFault {
    /// The text is not JSON as it must be.
    Json(JsonFault),
    /// The JWK set has no array `keys` (RFC 7517 §5).
    NotASet,
    /// More keys than are allowed: 100, unless a remote key set allows another number.
    TooManyKeys {
        /// How many there are.
        found: usize,
        /// How many are allowed.
        allowed: usize,
    },
    /// More than 256 KiB.
    TooLarge {
        /// How many bytes there are, or of a file, how many were read.
        length: usize,
    },
    /// No key that could be used. Those skipped are counted.
    NoUsableKey {
        /// Index and fault of each entry that was skipped, the first ten.
        skipped: Vec<(usize, Self)>,
    },
    /// A member is missing.
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// A member has the wrong type or is not strict base64url.
    Malformed {
        /// Its name.
        member: &'static str,
    },
    /// A private or symmetric member stands in what should be public (RFC 7517 §9.2). Whoever
    /// could read it can sign: replace the key.
    PrivateMember {
        /// Its name.
        member: &'static str,
    },
    /// A private key was given where a public one belongs. Whoever could read it can sign.
    PrivateKey {
        /// What it calls itself.
        label: String,
    },
    /// A public key was given where a shared secret belongs: anybody could sign with it.
    PublicKeyAsSecret,
    /// `use` or `key_ops` say that it is not for verifying signatures (RFC 7517 §4.2, §4.3).
    NotForSignatures,
    /// Its type or curve is none that this library verifies with.
    Unsupported,
    /// `alg` names no algorithm that this library verifies.
    UnknownAlgorithm,
    /// `alg` does not go with its type or curve.
    AlgorithmMismatch {
        /// The algorithm it names.
        algorithm: Algorithm,
    },
    /// An RSA modulus under 2048 bits (RFC 7518 §3.3) or over 8192 (a denial of service).
    ModulusSize {
        /// Its length.
        bits: usize,
    },
    /// An even RSA modulus is a product of no two odd primes.
    ModulusEven,
    /// An RSA exponent that is even, under 3 (with 1, every message is its own signature), or over
    /// 33 bits (a denial of service; the crypto library draws this line).
    Exponent,
    /// A point that is not on its curve (RFC 8725 §3.4), or a coordinate out of range.
    NotOnCurve,
    /// An Ed25519 point of small order: some of these verify any message.
    SmallOrder,
    /// Not PEM, or no block with a key in it.
    Pem,
    /// A PEM block that is no public key.
    PemLabel {
        /// What it calls itself.
        label: String,
    },
    /// Not DER of a public key.
    Der,
    /// The file, or the environment variable, cannot be read.
    Unreadable {
        /// Why.
        reason: String,
    },
    /// The key id is empty or longer than 1 KiB.
    KeyId,
    /// A file holds a shared secret that is refused.
    Secret(Box<SecretFault>),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(fault) => write!(f, "the key set {fault}"),
            Self::NotASet => f.write_str("not a JWK set: it has no array `keys`"),
            Self::TooManyKeys { found, allowed } => {
                write!(f, "{found} keys are more than the {allowed} allowed")
            }
            Self::TooLarge { length } => write!(f, "{length} bytes are more than the 256 KiB allowed"),
            Self::NoUsableKey { skipped } => {
                f.write_str("no usable key")?;
                for (at, (index, fault)) in skipped.iter().enumerate() {
                    write!(f, "{} key {index}: {fault}", if at == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
            Self::Missing { member } => write!(f, "`{member}` is missing"),
            Self::Malformed { member } => write!(f, "`{member}` is malformed"),
            Self::PrivateMember { member } => {
                write!(f, "carries the private or symmetric member `{member}`; publish public keys only, and replace this key")
            }
            Self::PrivateKey { label } => {
                write!(f, "a private key ({label}) where a public key belongs; give its public half, as `openssl pkey -pubout` writes it")
            }
            Self::PublicKeyAsSecret => {
                f.write_str("a public key given as a shared secret; anybody could sign with it: list it as a public key")
            }
            Self::NotForSignatures => f.write_str("`use` or `key_ops` say it is not for verifying signatures"),
            Self::Unsupported => f.write_str("a key type or curve that is not supported"),
            Self::UnknownAlgorithm => f.write_str("`alg` is not an algorithm that can be verified"),
            Self::AlgorithmMismatch { algorithm } => write!(f, "`alg` {algorithm} does not go with its type or curve"),
            Self::ModulusSize { bits } => write!(f, "an RSA modulus of {bits} bits; 2048 to 8192 are accepted"),
            Self::ModulusEven => f.write_str("an even RSA modulus"),
            Self::Exponent => f.write_str("an RSA exponent that is even, under 3 or over 33 bits"),
            Self::NotOnCurve => f.write_str("a point that is not on its curve"),
            Self::SmallOrder => f.write_str("an Ed25519 point of small order, under which forgeries verify"),
            Self::Pem => f.write_str("not PEM with a public key"),
            Self::PemLabel { label } => write!(f, "a PEM block `{label}` is no public key"),
            Self::Der => f.write_str("not a public key in DER (SPKI, PKCS#1 or an X.509 certificate)"),
            Self::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
            Self::Secret(fault) => fault.fmt(f),
            Self::KeyId => f.write_str("a key id that is empty or longer than 1 KiB"),
        }
    }
}

impl core::error::Error for KeyFault {}
