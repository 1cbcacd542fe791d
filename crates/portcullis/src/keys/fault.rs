use core::fmt;

use serde::de::IgnoredAny;

use super::SecretFault;
use crate::debug_as_displayed::debug_as_displayed;
use crate::json::JsonFault;
use crate::signature::{Algorithm, Family};
use crate::text::TextFault;

/// Why a key, or what should have held keys, cannot be used.
///
/// Names the fault, never the key material.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum KeyFault {
    /// Bytes that are not text in UTF-8.
    Text(TextFault),
    /// Something else where a JSON object belongs: a key set or one of its entries.
    NotAnObject(NotAnObject),
    /// A JSON object that is not as it must be.
    Json(JsonFault),
    /// An object with a certificate in PEM for each key id, where a JWK set belongs.
    CertificatesById,
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
    /// A member cannot be read.
    Malformed {
        /// Its name.
        member: &'static str,
        /// Why.
        fault: MemberFault,
    },
    /// The first certificate in `x5c` is of another key than the other members (RFC 7517 §4.7).
    OtherCertificate,
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
            Self::Text(fault) => write!(f, "the text {fault}"),
            Self::NotAnObject(found) => found.fmt(f),
            Self::Json(fault) => write!(f, "its JSON {fault}"),
            Self::CertificatesById => f.write_str("these are certificates by key id, not a JWK set: give the address of the JWK set (Google has both: `/oauth2/v3/certs`, and `/service_accounts/v1/jwk/` for accounts)"),
            Self::NotASet => f.write_str("this is not a JWK set: it has no array `keys`"),
            Self::TooManyKeys { found, allowed } => {
                write!(f, "the set has {found} keys, and {allowed} are allowed")
            }
            Self::TooLarge { length } => write!(f, "this has {length} bytes, and 256 KiB are allowed"),
            Self::NoUsableKey { skipped } => {
                f.write_str("there is no usable key")?;
                for (at, (index, fault)) in skipped.iter().enumerate() {
                    write!(f, "{} key {index}: {fault}", if at == 0 { ":" } else { ";" })?;
                }
                Ok(())
            }
            Self::Missing { member } => write!(f, "`{member}` is missing"),
            Self::Malformed { member, fault } => write!(f, "`{member}` {fault}"),
            Self::OtherCertificate => f.write_str("the certificate in `x5c` has another key than the other members of the JWK"),
            Self::PrivateMember { member } => {
                write!(f, "it has the private or symmetric member `{member}`: publish only public keys, and replace this key")
            }
            Self::PrivateKey { label } => {
                write!(f, "this is a private key ({label}), and a public key is needed: give its public half, as `openssl pkey -pubout` writes it")
            }
            Self::PublicKeyAsSecret => {
                f.write_str("this is a public key, and was given as a shared secret: anybody could sign with it; pass it to `Keys` as a public key, such as `KeySet::from_pem`")
            }
            Self::NotForSignatures => f.write_str("`use` or `key_ops` say that it is not for verifying signatures"),
            Self::Unsupported => f.write_str("its key type or curve is not supported"),
            Self::UnknownAlgorithm => f.write_str("`alg` is not an algorithm that can be verified"),
            Self::AlgorithmMismatch { algorithm } => write!(f, "`alg` {algorithm} does not go with its type or curve"),
            Self::ModulusSize { bits } => write!(f, "its RSA modulus has {bits} bits, and 2048 to 8192 are accepted"),
            Self::ModulusEven => f.write_str("its RSA modulus is even"),
            Self::Exponent => f.write_str("its RSA exponent is even, under 3 or over 33 bits"),
            Self::NotOnCurve => f.write_str("its point is not on its curve"),
            Self::SmallOrder => f.write_str("its Ed25519 point has a small order, so that forged signatures would verify"),
            Self::Pem => f.write_str("this is not PEM with a public key"),
            Self::PemLabel { label } => write!(f, "a PEM block `{label}` is not a public key"),
            Self::Der => f.write_str("this is not a public key in DER (SPKI, PKCS#1 or an X.509 certificate)"),
            Self::Unreadable { reason } => write!(f, "cannot be read: {reason}"),
            Self::Secret(fault) => fault.fmt(f),
            Self::KeyId => f.write_str("its key id is empty or longer than 1 KiB"),
        }
    }
}

debug_as_displayed!(KeyFault);

impl core::error::Error for KeyFault {}

/// What stands where a JSON object belongs.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotAnObject {
    /// Nothing, or white space.
    Nothing,
    /// JSON, and a list.
    List,
    /// JSON, and neither an object nor a list.
    Value,
    /// HTML or XML: an error page perhaps, or the page for people.
    Markup,
    /// PEM.
    Pem,
    /// Text that is not JSON, or breaks off.
    Other,
}

impl NotAnObject {
    pub(crate) fn of(text: &str) -> Self {
        let text = text.trim_ascii();
        let is_json = || serde_json::from_str::<IgnoredAny>(text).is_ok();
        match text.as_bytes() {
            [] => Self::Nothing,
            [b'<', ..] => Self::Markup,
            _ if text.starts_with("-----BEGIN ") => Self::Pem,
            [b'{', ..] => Self::Other,
            [b'[', ..] if is_json() => Self::List,
            _ if is_json() => Self::Value,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for NotAnObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "there is nothing, and a JSON object is needed",
            Self::List => "this is a JSON list, and a JSON object is needed",
            Self::Value => "this is a JSON value, and a JSON object is needed",
            Self::Markup => "this is HTML or XML, and a JSON object is needed",
            Self::Pem => {
                "this is PEM, and a JSON object is needed: `KeySet::from_pem` reads it, and `pem_file` of a policy file"
            }
            Self::Other => "this is not JSON, or not all of it",
        })
    }
}

/// Why a member of a JWK cannot be read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MemberFault {
    /// Another JSON type.
    Type {
        /// The type that it must have.
        expected: &'static str,
    },
    /// Base64 with `+` or `/`, which base64url has not (RFC 4648 §5).
    StandardBase64,
    /// Padding, which is left out of a JWK (RFC 7515 §2).
    Padding,
    /// White space in or around what is encoded.
    WhiteSpace,
    /// Not base64url for another reason: a byte of no alphabet, or not all of it.
    NotBase64url,
    /// A coordinate that is not as long as its curve's are (RFC 7518 §6.2.1.2), or a key of ML-DSA that is not as long as
    /// its parameter set's are (RFC 9964 §5).
    Length {
        /// The curve, or the algorithm.
        curve: &'static str,
        /// The bytes that it must have.
        needed: usize,
        /// The bytes that there are.
        found: usize,
    },
    /// A list whose first entry is not a certificate in base64 (RFC 7517 §4.7).
    Certificate,
}

impl MemberFault {
    pub(super) fn of(self, member: &'static str) -> KeyFault {
        KeyFault::Malformed { member, fault: self }
    }

    /// Why `text` is not base64url without padding.
    pub(super) fn of_base64url(text: &str) -> Self {
        if text.contains(|character: char| character.is_ascii_whitespace()) {
            Self::WhiteSpace
        } else if text.contains(['+', '/']) {
            Self::StandardBase64
        } else if text.ends_with('=') {
            Self::Padding
        } else {
            Self::NotBase64url
        }
    }
}

fn is_ml_dsa(name: &str) -> bool {
    Algorithm::from_name(name).is_some_and(|algorithm| algorithm.family() == Family::MlDsa)
}

impl fmt::Display for MemberFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type { expected } => write!(f, "is not {expected}"),
            Self::StandardBase64 => f.write_str(
                "is in standard base64 (`+` and `/`), and must be base64url (`-` and `_`)",
            ),
            Self::Padding => f.write_str("has padding (`=`), which must be left out here"),
            Self::WhiteSpace => f.write_str("has white space in it"),
            Self::NotBase64url => f.write_str("is not base64url"),
            Self::Length { curve, needed, found } => {
                write!(f, "has {found} bytes where {curve} needs {needed}")?;
                if is_ml_dsa(curve) {
                    // RFC 9881 §4: around the key stand 22 bytes.
                    return match found.checked_sub(*needed) {
                        Some(22) => f.write_str(": this is SPKI in DER, and the key alone is needed, without what stands in front of it"),
                        _ => Ok(()),
                    };
                }
                // One of 256 coordinates begins with a zero, one of 65536 with two.
                match needed.saturating_sub(*found) {
                    1 | 2 => f.write_str(": a zero in front was left out, and must not be"),
                    _ => Ok(()),
                }
            }
            Self::Certificate => f.write_str("does not begin with a certificate in base64"),
        }
    }
}

impl core::error::Error for MemberFault {}
