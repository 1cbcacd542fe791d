use core::fmt;
use core::str::FromStr;

use crate::debug_as_displayed::debug_as_displayed;

/// A signature algorithm of RFC 7518 §3.1, RFC 8037, RFC 9864 or RFC 9964.
///
/// There is no variant for `none`: a token without a signature cannot be asked for.
///
/// ```compile_fail
/// # use portcullis::Algorithm;
/// let unsigned = Algorithm::None;
/// ```
///
/// ```
/// # use portcullis::Algorithm;
/// assert!("none".parse::<Algorithm>().is_err());
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[allow(
    clippy::upper_case_acronyms,
    missing_docs,
    non_camel_case_types,
    reason = "the registered names say it all"
)]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    /// Ed25519 under its polymorphic name of RFC 8037, which most issuers still send.
    EdDSA,
    /// Ed25519 under its fully specified name of RFC 9864.
    ///
    /// The name in a token's header must be one that the policy lists, so this one and
    /// [`EdDSA`](Self::EdDSA) are two entries. A key serves either.
    Ed25519,
    /// ML-DSA of FIPS 204 with the parameter set 44, whose signatures a quantum computer does not forge (RFC 9964).
    ///
    /// A signature has 2420 bytes, and the token some 3.8 KB. No list has ML-DSA unless somebody writes it there.
    ML_DSA_44,
    /// ML-DSA with the parameter set 65 (RFC 9964). A signature has 3309 bytes, and the token some 5 KB: no cookie holds
    /// it.
    ML_DSA_65,
    /// ML-DSA with the parameter set 87 (RFC 9964). A signature has 4627 bytes, and the token some 6.7 KB: no cookie holds
    /// it.
    ML_DSA_87,
}

/// Some algorithms, in the order of [`Algorithm::ALL`].
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct AlgorithmSet(u32);

impl AlgorithmSet {
    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.iter().copied().filter(move |one| self.0 & Self::bit(*one) != 0)
    }

    const fn bit(algorithm: Algorithm) -> u32 {
        1 << algorithm as u32
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |all, one| all | Self::bit(one)))
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// `RS256, ES256`.
impl fmt::Display for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(at, algorithm)| {
            write!(f, "{}{algorithm}", if at == 0 { "" } else { ", " })
        })
    }
}

/// What kind of key an algorithm needs. A key is never used under another family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    Hmac,
    Rsa,
    Ec,
    Ed25519,
    MlDsa,
}

impl Algorithm {
    /// Every algorithm, in the order of the registry.
    pub const ALL: &'static [Self] = &[
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
        Self::Ed25519,
        Self::ML_DSA_44,
        Self::ML_DSA_65,
        Self::ML_DSA_87,
    ];

    /// The name that stands in a token's `alg` header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
            Self::Ed25519 => "Ed25519",
            Self::ML_DSA_44 => "ML-DSA-44",
            Self::ML_DSA_65 => "ML-DSA-65",
            Self::ML_DSA_87 => "ML-DSA-87",
        }
    }

    /// The algorithm of exactly this name: names are case-sensitive (RFC 7515 §4.1.1).
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::HS256,
            "HS384" => Self::HS384,
            "HS512" => Self::HS512,
            "RS256" => Self::RS256,
            "RS384" => Self::RS384,
            "RS512" => Self::RS512,
            "PS256" => Self::PS256,
            "PS384" => Self::PS384,
            "PS512" => Self::PS512,
            "ES256" => Self::ES256,
            "ES384" => Self::ES384,
            "ES512" => Self::ES512,
            "EdDSA" => Self::EdDSA,
            "Ed25519" => Self::Ed25519,
            "ML-DSA-44" => Self::ML_DSA_44,
            "ML-DSA-65" => Self::ML_DSA_65,
            "ML-DSA-87" => Self::ML_DSA_87,
            _ => return None,
        })
    }

    /// Whether the signature alone is longer than all that a cookie holds: 4412 and 6170 bytes in base64url.
    pub(crate) const fn is_over_a_cookie(self) -> bool {
        matches!(self, Self::ML_DSA_65 | Self::ML_DSA_87)
    }

    pub(crate) const fn family(self) -> Family {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => Family::Hmac,
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => {
                Family::Rsa
            }
            Self::ES256 | Self::ES384 | Self::ES512 => Family::Ec,
            Self::EdDSA | Self::Ed25519 => Family::Ed25519,
            Self::ML_DSA_44 | Self::ML_DSA_65 | Self::ML_DSA_87 => Family::MlDsa,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no algorithm that this crate verifies.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub struct UnknownAlgorithm;

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown algorithm; the known ones are")?;
        Algorithm::ALL.iter().try_for_each(|algorithm| write!(f, " {algorithm}"))
    }
}

debug_as_displayed!(UnknownAlgorithm);

impl core::error::Error for UnknownAlgorithm {}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::from_name(name).ok_or(UnknownAlgorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_is_known_by_its_name_and_by_no_other() {
        for &algorithm in Algorithm::ALL {
            let name = algorithm.name();
            assert_eq!(Algorithm::from_name(name), Some(algorithm));
            for other in [name.to_lowercase(), format!("{name} "), name[1..].to_owned()] {
                assert_eq!(Algorithm::from_name(&other), None, "{other}");
            }
        }
        assert_eq!(Algorithm::from_name("none"), None);
    }
}
