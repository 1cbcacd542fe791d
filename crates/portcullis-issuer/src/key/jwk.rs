use base64::prelude::*;
use portcullis::Algorithm;
use spki::der::asn1::UintRef;
use spki::der::{Decode, Reader, SliceReader};

use super::thumbprint;

/// The public part of a key. It has no place for anything private.
pub(super) struct PublicKey {
    id: String,
    /// `None`: a shared secret has no public part.
    jwk: Option<String>,
}

impl PublicKey {
    /// `key_id` of these is what tokens call the key: that of one which was there before. `None`: its thumbprint.
    ///
    /// RFC 7518 §6.2.1, of a point in SEC 1 §2.3.3: a 4, then both coordinates.
    pub(super) fn ec(algorithm: Algorithm, point: &[u8], key_id: Option<&str>) -> Option<Self> {
        let curve = match algorithm {
            Algorithm::ES384 => "P-384",
            _ => "P-256",
        };
        let (4, coordinates) = point.split_first().map(|(form, rest)| (*form, rest))? else {
            return None;
        };
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let (x, y) = (base64url(x), base64url(y));
        let members = format!(r#""crv":"{curve}","kty":"EC","x":"{x}","y":"{y}""#);
        Some(Self::of(algorithm, &members, key_id))
    }

    /// RFC 8037 §2.
    pub(super) fn okp(algorithm: Algorithm, point: &[u8], key_id: Option<&str>) -> Self {
        let x = base64url(point);
        Self::of(algorithm, &format!(r#""crv":"Ed25519","kty":"OKP","x":"{x}""#), key_id)
    }

    /// RFC 9964 §3. Its thumbprint is of `alg` as well (§6).
    pub(super) fn akp(algorithm: Algorithm, key: &[u8], key_id: Option<&str>) -> Self {
        let members = format!(r#""kty":"AKP","pub":"{}""#, base64url(key));
        let id = key_id.map_or_else(
            || thumbprint(&format!(r#"{{"alg":"{algorithm}",{members}}}"#)),
            str::to_owned,
        );
        Self::named(algorithm, &members, id)
    }

    /// RFC 7518 §6.3.1, of an `RSAPublicKey` (RFC 8017 §A.1.1).
    pub(super) fn rsa(algorithm: Algorithm, der: &[u8], key_id: Option<&str>) -> Option<Self> {
        let (modulus, exponent) = rsa_numbers(der).ok()?;
        Some(Self::rsa_of(algorithm, modulus, exponent, key_id))
    }

    /// Of an RSA key's numbers, without leading zeros.
    pub(super) fn rsa_of(
        algorithm: Algorithm,
        modulus: &[u8],
        exponent: &[u8],
        key_id: Option<&str>,
    ) -> Self {
        let (n, e) = (base64url(modulus), base64url(exponent));
        Self::of(algorithm, &format!(r#""e":"{e}","kty":"RSA","n":"{n}""#), key_id)
    }

    pub(super) fn none(id: String) -> Self {
        Self { id, jwk: None }
    }

    /// `members` are those that make the key, in the order of their names. None needs an escape.
    fn of(algorithm: Algorithm, members: &str, key_id: Option<&str>) -> Self {
        let id = key_id.map_or_else(|| thumbprint(&format!("{{{members}}}")), str::to_owned);
        Self::named(algorithm, members, id)
    }

    fn named(algorithm: Algorithm, members: &str, id: String) -> Self {
        let kid = serde_json::Value::from(id.as_str());
        let jwk = format!(r#"{{{members},"kid":{kid},"alg":"{algorithm}","use":"sig"}}"#);
        Self { id, jwk: Some(jwk) }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn jwk(&self) -> Option<&str> {
        self.jwk.as_deref()
    }
}

fn base64url(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Modulus and exponent, without leading zeros (RFC 7518 §6.3.1). aws-lc-rs hands them out only under a feature that
/// would then be on for the whole program.
pub(super) fn rsa_numbers(der: &[u8]) -> spki::der::Result<(&[u8], &[u8])> {
    SliceReader::new(der)?.sequence(|reader| {
        let modulus = UintRef::decode(reader)?.as_bytes();
        Ok((modulus, UintRef::decode(reader)?.as_bytes()))
    })
}
