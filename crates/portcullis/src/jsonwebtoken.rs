//! The way over from the [`jsonwebtoken`] crate (feature `jsonwebtoken`).
//!
//! Its keys and its `Validation` become an [`Issuer`], if they say enough: `jsonwebtoken` checks
//! `iss` and `aud` only where it is told to, and only where the token has them. What a
//! `Validation` leaves open, or turns off, is refused here by name.
//!
//! ```
//! use jsonwebtoken::{Algorithm, DecodingKey, Validation};
//! use portcullis::{Policy, jsonwebtoken::issuer};
//!
//! # const SECRET: &[u8] = b"\x8f\x1b\x93\xd0\x62\xa7\x3c\xee\x05\x48\xf9\x7d\x21\xb6\xc4\x0e\x9a\x57\xe3\x6c\x10\xd8\x2f\x84\xbb\x4e\x71\xa9\x36\xfd\xc2\x15";
//! let key = DecodingKey::from_secret(SECRET);
//! let mut validation = Validation::new(Algorithm::HS256);
//! assert!(issuer(&validation, &[key.clone()]).is_err()); // whose tokens, and for whom?
//!
//! validation.set_issuer(&["https://id.example"]);
//! validation.set_audience(&["https://orders.example"]);
//! let policy = Policy::builder().issuer(issuer(&validation, &[key])?).build()?;
//! # let _ = policy;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing of `jsonwebtoken` is used to verify, and its process-wide crypto provider is neither
//! read nor set: no feature of it needs to be on.
use core::fmt;
use core::time::Duration;

use ::jsonwebtoken::jwk::{Jwk, JwkSet};
use ::jsonwebtoken::{AlgorithmFamily, DecodingKey, DecodingKeyKind, Validation};

use crate::claims::ClaimRules;
use crate::keys::{Curve, KeyFault, KeySet, PublicKey, Secret};
use crate::messages::debug_as_displayed;
use crate::policy::{Issuer, Keys};
use crate::signature::{Algorithm, UnknownAlgorithm};

/// An issuer as strict as `validation`, or stricter: what `jsonwebtoken` does not know, such as
/// the maximum lifetime and the token type, has Portcullis' defaults.
///
/// # Errors
///
/// `validation` leaves open what a policy must say, or turns a check off; or a key cannot be used.
pub fn issuer<'k>(
    validation: &Validation,
    keys: impl IntoIterator<Item = &'k DecodingKey>,
) -> Result<Issuer, ConversionError> {
    if !validation.validate_exp {
        return Err(ConversionError::TurnedOff { setting: "validate_exp" });
    }
    if !validation.validate_aud {
        return Err(ConversionError::TurnedOff { setting: "validate_aud" });
    }
    // A token would have to be refused before it expires, and is not here.
    if validation.reject_tokens_expiring_in_less_than != 0 {
        return Err(ConversionError::Unsupported {
            setting: "reject_tokens_expiring_in_less_than",
        });
    }
    let mut issuers = validation.iss.iter().flatten();
    let id = match (issuers.next(), issuers.next()) {
        (Some(id), None) => id,
        (None, _) => return Err(ConversionError::Open { setting: "iss" }),
        // Keys belong to one issuer (RFC 8725 §3.8): call this once for each.
        (Some(_), Some(_)) => return Err(ConversionError::Unsupported { setting: "iss" }),
    };
    let audiences = validation.aud.as_ref().filter(|audiences| !audiences.is_empty());
    let audiences = audiences.ok_or(ConversionError::Open { setting: "aud" })?;
    let algorithms = validation.algorithms.iter().map(|algorithm| Algorithm::try_from(*algorithm));
    let algorithms =
        algorithms.collect::<Result<Vec<_>, _>>().map_err(ConversionError::Algorithm)?;
    let mut all = Keys::default();
    for key in keys {
        all = all.and(Keys::try_from(key).map_err(ConversionError::Key)?);
    }
    let mut rules = ClaimRules::new().leeway(Duration::from_secs(validation.leeway));
    for claim in &validation.required_spec_claims {
        rules = rules.require(claim);
    }
    if let Some(subject) = &validation.sub {
        rules = rules.exact("sub", subject.as_str());
    }
    Ok(Issuer::new(id).algorithms(algorithms).keys(all).audiences(audiences).claims(rules))
}

impl TryFrom<::jsonwebtoken::Algorithm> for Algorithm {
    type Error = UnknownAlgorithm;

    fn try_from(algorithm: ::jsonwebtoken::Algorithm) -> Result<Self, UnknownAlgorithm> {
        // `Debug` prints the registered name; the type may grow.
        format!("{algorithm:?}").parse()
    }
}

impl TryFrom<&DecodingKey> for Keys {
    type Error = KeyFault;

    /// A shared secret, or a public key.
    fn try_from(key: &DecodingKey) -> Result<Self, KeyFault> {
        let public = match (key.family(), key.kind()) {
            (AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) => {
                return Ok(Secret::new(secret.as_slice()).into());
            }
            (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                PublicKey::Rsa { modulus: n.clone(), exponent: e.clone() }
            }
            (AlgorithmFamily::Rsa, DecodingKeyKind::SecretOrDer(der)) => {
                return Ok(KeySet::from_der(der)?.into());
            }
            (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(point)) => {
                match Curve::of_point(point) {
                    Some(curve) => PublicKey::from_point(curve, point)?,
                    None => return Ok(KeySet::from_der(point)?.into()),
                }
            }
            (AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(key)) => {
                match key.as_slice().try_into() {
                    Ok(key) => PublicKey::Ed25519(key),
                    Err(_) => return Ok(KeySet::from_der(key)?.into()),
                }
            }
            (_, DecodingKeyKind::RsaModulusExponent { .. }) => return Err(KeyFault::Unsupported),
        };
        Ok(KeySet::from_public_key(&public)?.into())
    }
}

impl TryFrom<&Jwk> for KeySet {
    type Error = KeyFault;

    /// As [`KeySet::from_jwk`]. Private members do not survive `jsonwebtoken`'s own reader: read
    /// the JSON itself where you can.
    fn try_from(jwk: &Jwk) -> Result<Self, KeyFault> {
        Self::from_jwk(serde_json::to_vec(jwk).map_err(|_| KeyFault::Unsupported)?)
    }
}

impl TryFrom<&JwkSet> for KeySet {
    type Error = KeyFault;

    /// As [`KeySet::from_jwks`]. Private members do not survive `jsonwebtoken`'s own reader: read
    /// the JSON itself where you can.
    fn try_from(set: &JwkSet) -> Result<Self, KeyFault> {
        Self::from_jwks(serde_json::to_vec(set).map_err(|_| KeyFault::Unsupported)?)
    }
}

/// A `Validation`, or a key, that does not make a policy.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum ConversionError {
    /// The setting leaves open what a policy must say.
    Open {
        /// Its name.
        setting: &'static str,
    },
    /// The setting turns a check off that a policy always makes.
    TurnedOff {
        /// Its name.
        setting: &'static str,
    },
    /// The setting has no counterpart, or not with this value.
    Unsupported {
        /// Its name.
        setting: &'static str,
    },
    /// An algorithm that is not known here.
    Algorithm(UnknownAlgorithm),
    /// A key that cannot be used.
    Key(KeyFault),
}

impl fmt::Display for ConversionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { setting } => {
                write!(f, "`Validation::{setting}` is not set: a policy must say it")
            }
            Self::TurnedOff { setting } => {
                write!(f, "`Validation::{setting}` is off: a policy cannot do without")
            }
            Self::Unsupported { setting } => {
                write!(
                    f,
                    "`Validation::{setting}` has no counterpart with this value: build the `Issuer` by hand"
                )
            }
            Self::Algorithm(error) => error.fmt(f),
            Self::Key(fault) => fault.fmt(f),
        }
    }
}

debug_as_displayed!(ConversionError);

impl core::error::Error for ConversionError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;

    const SECRET: &[u8] = b"\x8f\x1b\x93\xd0\x62\xa7\x3c\xee\x05\x48\xf9\x7d\x21\xb6\xc4\x0e\x9a\x57\xe3\x6c\x10\xd8\x2f\x84\xbb\x4e\x71\xa9\x36\xfd\xc2\x15";

    fn validation() -> Validation {
        let mut validation = Validation::new(::jsonwebtoken::Algorithm::HS256);
        validation.set_issuer(&["https://id.example"]);
        validation.set_audience(&["https://orders.example"]);
        validation
    }

    fn refused(change: impl FnOnce(&mut Validation)) -> ConversionError {
        let mut validation = validation();
        change(&mut validation);
        issuer(&validation, &[DecodingKey::from_secret(SECRET)]).expect_err("refused")
    }

    #[test]
    fn what_a_validation_leaves_open_or_turns_off_is_refused_by_name() {
        assert_eq!(refused(|v| v.iss = None), ConversionError::Open { setting: "iss" });
        assert_eq!(refused(|v| v.aud = None), ConversionError::Open { setting: "aud" });
        assert_eq!(
            refused(|v| v.validate_exp = false),
            ConversionError::TurnedOff { setting: "validate_exp" }
        );
        assert_eq!(
            refused(|v| v.validate_aud = false),
            ConversionError::TurnedOff { setting: "validate_aud" }
        );
        assert_eq!(
            refused(|v| v.set_issuer(&["a", "b"])),
            ConversionError::Unsupported { setting: "iss" }
        );
        let early = refused(|v| v.reject_tokens_expiring_in_less_than = 1);
        assert_eq!(
            early,
            ConversionError::Unsupported { setting: "reject_tokens_expiring_in_less_than" }
        );
    }

    #[test]
    fn every_algorithm_has_its_counterpart() {
        use ::jsonwebtoken::Algorithm as Theirs;
        let theirs =
            [AlgorithmFamily::Hmac, AlgorithmFamily::Rsa, AlgorithmFamily::Ec, AlgorithmFamily::Ed];
        for theirs in theirs.iter().flat_map(|family| family.algorithms()) {
            let ours = Algorithm::try_from(*theirs).expect("known");
            assert_eq!(ours.name().parse::<Theirs>().ok(), Some(*theirs));
        }
    }

    #[test]
    fn public_keys_of_every_family_come_over() {
        let pem = |name: &str| {
            std::fs::read(format!(
                "{}/tests/vectors/pem/{name}-spki.pem",
                env!("CARGO_MANIFEST_DIR")
            ))
            .expect("a file")
        };
        let keys = [
            DecodingKey::from_rsa_pem(&pem("rsa")),
            DecodingKey::from_ec_pem(&pem("p256")),
            DecodingKey::from_ec_pem(&pem("p384")),
            DecodingKey::from_ed_pem(&pem("ed25519")),
        ];
        let mut all = Keys::default();
        for key in keys {
            all = all.and(Keys::try_from(&key.expect("a key")).expect("usable"));
        }
        use Algorithm::{ES256, ES384, EdDSA, RS256};
        let issuer = Issuer::new("https://id.example")
            .algorithms([RS256, ES256, ES384, EdDSA])
            .keys(all)
            .audience("a");
        assert!(Policy::builder().issuer(issuer).build().is_ok());
    }

    #[test]
    fn a_weak_secret_is_refused_when_the_policy_is_built() {
        let issuer =
            issuer(&validation(), &[DecodingKey::from_secret(b"secret")]).expect("an issuer");
        assert!(Policy::builder().issuer(issuer).build().is_err());
    }
}
