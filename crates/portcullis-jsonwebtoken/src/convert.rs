//! The conversions, once for every version of `jsonwebtoken`: as far as they need it, all are alike.
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::error::UnknownAlgorithm;
use portcullis::keys::KeyFault;
use portcullis::{Algorithm, ClaimRules, Issuer, KeySet, Keys, Secret};
use serde_json::{Value, json};

use super::jsonwebtoken::jwk::{Jwk, JwkSet};
use super::jsonwebtoken::{self, AlgorithmFamily, DecodingKey, DecodingKeyKind, Validation};
use crate::ConversionError;

/// Makes an issuer that is as strict as `validation`, or stricter.
///
/// What `jsonwebtoken` does not know, such as the maximum lifetime and the token type, has the
/// defaults of Portcullis.
///
/// # Errors
///
/// `validation` leaves open what a policy must say, or turns a check off; or a key cannot be used.
pub fn issuer<'k>(
    validation: &Validation,
    decoding_keys: impl IntoIterator<Item = &'k DecodingKey>,
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
    let algorithms = validation.algorithms.iter().map(|theirs| algorithm(*theirs));
    let algorithms =
        algorithms.collect::<Result<Vec<_>, _>>().map_err(ConversionError::Algorithm)?;
    let mut all = Keys::default();
    for key in decoding_keys {
        all = all.and(keys(key).map_err(ConversionError::Key)?);
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

/// Gives the algorithm of the same name.
///
/// `jsonwebtoken` has neither ES512 nor ML-DSA: list those for an [`Issuer`] that is made without it.
///
/// # Errors
///
/// Portcullis does not know it.
pub fn algorithm(theirs: jsonwebtoken::Algorithm) -> Result<Algorithm, UnknownAlgorithm> {
    // `Debug` prints the registered name; the type may grow.
    format!("{theirs:?}").parse()
}

/// Gives the shared secret, or the public key, of a decoding key.
///
/// # Errors
///
/// The key cannot be used. Whether a secret is strong enough, the policy says when it is built.
pub fn keys(key: &DecodingKey) -> Result<Keys, KeyFault> {
    let jwk = match (key.family(), key.kind()) {
        (AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret)) => {
            return Ok(Secret::new(secret.as_slice()).into());
        }
        (AlgorithmFamily::Rsa, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            json!({ "kty": "RSA", "n": number(n), "e": number(e) })
        }
        (AlgorithmFamily::Ec, DecodingKeyKind::SecretOrDer(bytes)) => match point(bytes) {
            Some(jwk) => jwk,
            None => return Ok(KeySet::from_der(bytes)?.into()),
        },
        (AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(key)) if key.len() == 32 => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": number(key) })
        }
        (AlgorithmFamily::Rsa | AlgorithmFamily::Ed, DecodingKeyKind::SecretOrDer(der)) => {
            return Ok(KeySet::from_der(der)?.into());
        }
        (_, DecodingKeyKind::RsaModulusExponent { .. }) => return Err(KeyFault::Unsupported),
    };
    Ok(KeySet::from_jwk(jwk.to_string())?.into())
}

/// Reads a key as [`KeySet::from_jwk`] does.
///
/// Private members do not survive `jsonwebtoken`'s own reader: read the JSON itself where you can.
///
/// # Errors
///
/// The key cannot be used.
pub fn jwk(jwk: &Jwk) -> Result<KeySet, KeyFault> {
    KeySet::from_jwk(serde_json::to_vec(jwk).map_err(|_| KeyFault::Unsupported)?)
}

/// Reads a key set as [`KeySet::from_jwks`] does.
///
/// Private members do not survive `jsonwebtoken`'s own reader: read the JSON itself where you can.
///
/// # Errors
///
/// No key of the set can be used.
pub fn jwks(set: &JwkSet) -> Result<KeySet, KeyFault> {
    KeySet::from_jwks(serde_json::to_vec(set).map_err(|_| KeyFault::Unsupported)?)
}

/// The JWK of an uncompressed point (SEC 1 §2.3.3), whose length tells the curve.
fn point(bytes: &[u8]) -> Option<Value> {
    let (4, coordinates) = bytes.split_first()? else { return None };
    let (curve, length) = [("P-256", 32), ("P-384", 48), ("P-521", 66)]
        .into_iter()
        .find(|(_, length)| coordinates.len() == 2 * length)?;
    let (x, y) = coordinates.split_at(length);
    Some(json!({ "kty": "EC", "crv": curve, "x": number(x), "y": number(y) }))
}

fn number(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use portcullis::Policy;

    use super::*;

    const SECRET: &[u8] = b"\x8f\x1b\x93\xd0\x62\xa7\x3c\xee\x05\x48\xf9\x7d\x21\xb6\xc4\x0e\x9a\x57\xe3\x6c\x10\xd8\x2f\x84\xbb\x4e\x71\xa9\x36\xfd\xc2\x15";

    /// The constructor that is the same in all versions.
    fn secret(bytes: &[u8]) -> DecodingKey {
        let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
        DecodingKey::from_base64_secret(&base64).expect("base64")
    }

    fn validation() -> Validation {
        let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
        validation.set_issuer(&["https://id.example"]);
        validation.set_audience(&["https://orders.example"]);
        validation
    }

    fn refused(change: impl FnOnce(&mut Validation)) -> ConversionError {
        let mut validation = validation();
        change(&mut validation);
        issuer(&validation, &[secret(SECRET)]).expect_err("refused")
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
        use jsonwebtoken::Algorithm as Theirs;
        let theirs =
            [AlgorithmFamily::Hmac, AlgorithmFamily::Rsa, AlgorithmFamily::Ec, AlgorithmFamily::Ed];
        for theirs in theirs.iter().flat_map(|family| family.algorithms()) {
            let ours = algorithm(*theirs).expect("known");
            assert_eq!(ours.name().parse::<Theirs>().ok(), Some(*theirs));
        }
    }

    /// A public key of the vectors of the core.
    fn pem(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../portcullis/tests/vectors/pem");
        std::fs::read(format!("{folder}/{name}-spki.pem")).expect("a file")
    }

    #[test]
    fn public_keys_of_every_family_come_over() {
        let theirs = [
            DecodingKey::from_rsa_pem(&pem("rsa")),
            DecodingKey::from_ec_pem(&pem("p256")),
            DecodingKey::from_ec_pem(&pem("p384")),
            DecodingKey::from_ed_pem(&pem("ed25519")),
        ];
        let mut all = Keys::default();
        for key in theirs {
            all = all.and(keys(&key.expect("a key")).expect("usable"));
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
        let issuer = issuer(&validation(), &[secret(b"secret")]).expect("an issuer");
        assert!(Policy::builder().issuer(issuer).build().is_err());
    }
}
