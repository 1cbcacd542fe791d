//! What aws-lc-rs itself says of a key, a signature and a token, for the tests of this crate.
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::prelude::*;
use portcullis::Algorithm;
use serde_json::Value;

use crate::SigningKey;

/// Whether the signature verifies under the secret, or else under what the JWK says.
pub(crate) fn verifies(key: &SigningKey, message: &[u8], signature: &[u8]) -> bool {
    let Some(jwk) = key.public_jwk() else {
        let secret = key.secret().expect("a key without public half is a secret");
        let secret = hmac::Key::new(hmac_algorithm(key.algorithm()), secret);
        return hmac::verify(&secret, message, signature).is_ok();
    };
    if let Some(parameters) = rsa_parameters(key.algorithm()) {
        let key = RsaPublicKeyComponents { n: member(&jwk, "n"), e: member(&jwk, "e") };
        return key.verify(parameters, message, signature).is_ok();
    }
    let mut point = member(&jwk, if jwk["kty"] == "AKP" { "pub" } else { "x" });
    if jwk["kty"] == "EC" {
        point.insert(0, 4);
        point.extend(member(&jwk, "y"));
    }
    let key = UnparsedPublicKey::new(verification(key.algorithm()), point);
    key.verify(message, signature).is_ok()
}

/// Whether the signature verifies under the key in the PEM text.
pub(crate) fn verifies_under_pem(
    key: &SigningKey,
    pem: &str,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(text).expect("PEM holds base64");
    let key = UnparsedPublicKey::new(verification(key.algorithm()), der);
    key.verify(message, signature).is_ok()
}

/// Whether the token's signature verifies under `key`.
pub(crate) fn accepts(key: &SigningKey, token: &str) -> bool {
    let (input, signature) = token.rsplit_once('.').expect("a compact token");
    verifies(key, input.as_bytes(), &decode(signature))
}

/// The header and the payload of a token.
pub(crate) fn read(token: &str) -> (Value, Value) {
    let parts: Vec<_> = token.split('.').collect();
    let json = |part| serde_json::from_slice(&decode(part)).expect("JSON");
    (json(parts[0]), json(parts[1]))
}

/// A member of a JWK, decoded.
pub(crate) fn member(jwk: &Value, name: &str) -> Vec<u8> {
    decode(jwk[name].as_str().expect("a string"))
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url without padding")
}

fn hmac_algorithm(algorithm: Algorithm) -> hmac::Algorithm {
    match algorithm {
        Algorithm::HS256 => hmac::HMAC_SHA256,
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        other => panic!("{other} is not an HMAC algorithm"),
    }
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn verification(algorithm: Algorithm) -> &'static dyn VerificationAlgorithm {
    match algorithm {
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::ES512 => &signature::ECDSA_P521_SHA512_FIXED,
        Algorithm::EdDSA | Algorithm::Ed25519 => &signature::ED25519,
        Algorithm::ML_DSA_44 => &signature::ML_DSA_44,
        Algorithm::ML_DSA_65 => &signature::ML_DSA_65,
        Algorithm::ML_DSA_87 => &signature::ML_DSA_87,
        other => rsa_parameters(other).expect("all others are RSA"),
    }
}
