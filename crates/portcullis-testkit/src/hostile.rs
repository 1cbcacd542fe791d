//! Tokens that must be refused, made from a token that passes. **For tests only.**
//!
//! Every function takes a good token and changes one thing, so that the change is the only reason
//! to refuse it. (The exception is [`ecdsa_twin`], which is a valid token, only not the one that
//! was issued.) What is merely wrong rather than forged, an expired token or one for another
//! audience, a [`TokenBuilder`](crate::TokenBuilder) makes.
//!
//! All of them panic on a text that is not a signed compact token: that is a mistake of the test.
//!
//! # Example: forgeries
//!
//! ```
//! use portcullis::Algorithm;
//! use portcullis_testkit::{TestIssuer, hostile};
//!
//! let issuer = TestIssuer::new("https://id.example");
//! let token = issuer.token(Algorithm::ES256).mint();
//!
//! let mut forgeries = hostile::none_family(&token);
//! forgeries.extend(hostile::public_key_as_secret_family(
//!     &token,
//!     issuer.key(Algorithm::ES256),
//! ));
//! for forgery in forgeries {
//!     // Assert that the application refuses `forgery.token`.
//!     assert_ne!(forgery.token, token, "{}", forgery.what);
//! }
//! ```
use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::prelude::*;
use portcullis::Algorithm;
use serde_json::Value;

use crate::SigningKey;
use crate::key::halves;

/// A token that must be refused, and what was done to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Forgery {
    /// What is wrong with the token, for the message of an assertion.
    pub what: String,
    /// The token in its compact form.
    pub token: String,
}

/// The token with this `alg` and without a signature: the header, the payload, and nothing after
/// the second full stop, as RFC 7519 §6 spells an unsecured token.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{TestIssuer, hostile};
///
/// let token =
///     TestIssuer::new("https://id.example").token(Algorithm::ES256).mint();
/// assert!(hostile::none(&token, "nOnE").ends_with('.'));
/// ```
#[track_caller]
pub fn none(token: &str, alg: &str) -> String {
    let parts = Parts::of(token);
    format!("{}.", parts.input_with_alg(&Value::from(alg).to_string()))
}

/// The token with every spelling of "no algorithm" that a verifier has once fallen for, each
/// without a signature, without even the second full stop, with the signature of the good token,
/// and with one that is no signature.
#[track_caller]
pub fn none_family(token: &str) -> Vec<Forgery> {
    /// As they stand in the header.
    const SPELLINGS: [&str; 15] = [
        r#""none""#,
        r#""None""#,
        r#""NONE""#,
        r#""nOnE""#,
        r#""none ""#,
        r#"" none""#,
        r#""\u006eone""#,
        r#""none\u0000""#,
        r#""null""#,
        r#""""#,
        "null",
        "0",
        "false",
        "[]",
        "{}",
    ];
    let parts = Parts::of(token);
    let mut inputs: Vec<_> = SPELLINGS
        .into_iter()
        .map(|alg| (format!("alg {alg}"), parts.input_with_alg(alg)))
        .collect();
    inputs.push(("no alg".into(), parts.input_with_header(&text(&parts.header_without_alg()))));
    inputs
        .into_iter()
        .flat_map(|(alg, input)| {
            [
                ("an empty signature", format!("{input}.")),
                ("no third part", input.clone()),
                ("the signature of another token", format!("{input}.{}", parts.signature)),
                ("a signature of one zero", format!("{input}.AA")),
            ]
            .map(|(signature, token)| Forgery { what: format!("{alg}, {signature}"), token })
        })
        .collect()
}

/// The token as `HS256`, signed with the PEM text of the public key as if it were a secret: what
/// passes where the header chooses the algorithm and keys do not know their kind (CVE-2015-9235).
///
/// # Panics
///
/// If `key` is a secret, which has no public half.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{TestIssuer, hostile};
///
/// let issuer = TestIssuer::new("https://id.example");
/// let token = issuer.token(Algorithm::ES256).mint();
/// let forged =
///     hostile::public_key_as_secret(&token, issuer.key(Algorithm::ES256));
/// # _ = forged;
/// ```
#[track_caller]
pub fn public_key_as_secret(token: &str, key: &SigningKey) -> String {
    let Some(pem) = key.public_pem() else { panic!("{key:?} has no public half") };
    Parts::of(token).signed_with_secret(Algorithm::HS256, pem.as_bytes())
}

/// The token signed with each HMAC algorithm and each text of the public key as if it were a
/// secret: the PEM text and near misses of it (a space in front defeated a check, CVE-2026-34950),
/// DER, raw numbers, the JWK, its thumbprint; and nothing at all, the secret that a lookup that
/// fails may answer with (CVE-2026-44351).
///
/// # Panics
///
/// If `key` is a secret, which has no public half.
#[track_caller]
pub fn public_key_as_secret_family(token: &str, key: &SigningKey) -> Vec<Forgery> {
    let (Some(pem), Some(der), Some(raw), Some(jwk)) =
        (key.public_pem(), key.public_der(), key.public_raw(), key.public_jwk())
    else {
        panic!("{key:?} has no public half")
    };
    let number = ["n", "x", "pub"].into_iter().find_map(|name| jwk.get(name));
    let number = number.and_then(Value::as_str).unwrap_or_default();
    let secrets: [(&str, Vec<u8>); 12] = [
        ("the PEM text", pem.clone().into()),
        ("the PEM text with CRLF", pem.replace('\n', "\r\n").into()),
        ("the PEM text without the last line break", pem.trim_end().into()),
        ("the PEM text after a space", format!(" {pem}").into()),
        ("the PEM text after a line break", format!("\n{pem}").into()),
        ("the DER", der),
        ("the raw public key", raw.to_vec()),
        ("the modulus, x or pub", BASE64_URL_SAFE_NO_PAD.decode(number).unwrap_or_default()),
        ("the modulus, x or pub in base64url", number.into()),
        ("the JWK", jwk.to_string().into()),
        ("the thumbprint of the JWK", thumbprint(&jwk).into()),
        ("an empty secret", Vec::new()),
    ];
    let parts = Parts::of(token);
    secrets
        .into_iter()
        .flat_map(|(name, secret)| {
            [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512].map(|algorithm| Forgery {
                what: format!("{algorithm} with {name}"),
                token: parts.signed_with_secret(algorithm, &secret),
            })
        })
        .collect()
}

/// The token with the last bit of its signature inverted.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{TestIssuer, hostile};
///
/// let token =
///     TestIssuer::new("https://id.example").token(Algorithm::ES256).mint();
/// let flipped = hostile::flip_signature_bit(&token);
/// assert_ne!(flipped, token);
/// assert_eq!(hostile::flip_signature_bit(&flipped), token);
/// ```
#[track_caller]
pub fn flip_signature_bit(token: &str) -> String {
    let parts = Parts::of(token);
    let mut signature = parts.signature_bytes();
    *signature.last_mut().expect("`Parts` has a signature") ^= 1;
    parts.with_signature(&signature)
}

/// The token with these bytes as its signature: too few, too many, all zero.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{TestIssuer, hostile};
///
/// let token =
///     TestIssuer::new("https://id.example").token(Algorithm::ES256).mint();
/// let psychic = hostile::with_signature(&token, &[0; 64]); // CVE-2022-21449
/// # _ = psychic;
/// ```
#[track_caller]
pub fn with_signature(token: &str, signature: &[u8]) -> String {
    Parts::of(token).with_signature(signature)
}

/// The token with these bytes as its payload, under the signature of the former one.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{TestIssuer, hostile};
///
/// let token =
///     TestIssuer::new("https://id.example").token(Algorithm::ES256).mint();
/// let promoted = hostile::with_payload(&token, r#"{"sub":"root"}"#);
/// # _ = promoted;
/// ```
#[track_caller]
pub fn with_payload(token: &str, payload: impl AsRef<[u8]>) -> String {
    let Parts { header, signature, .. } = Parts::of(token);
    format!("{header}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(payload))
}

/// The other valid signature: the ECDSA token with `n - s` in place of `s`, which anybody can
/// compute.
///
/// This token is as valid as the first and passes. What must not happen is that it passes after the
/// first was revoked, or counts as another where a token may be used once.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_testkit::{TestIssuer, hostile};
///
/// let token =
///     TestIssuer::new("https://id.example").token(Algorithm::ES256).mint();
/// let twin = hostile::ecdsa_twin(&token);
/// assert_ne!(twin, token);
/// assert_eq!(hostile::ecdsa_twin(&twin), token);
/// ```
///
/// # Panics
///
/// If the token's `alg` is not `ES256`, `ES384` or `ES512`.
#[track_caller]
pub fn ecdsa_twin(token: &str) -> String {
    let parts = Parts::of(token);
    let header = parts.header();
    let order = match header["alg"].as_str() {
        Some("ES256") => P256_ORDER,
        Some("ES384") => P384_ORDER,
        Some("ES512") => P521_ORDER,
        _ => panic!("{} is not an ECDSA algorithm", header["alg"]),
    };
    let signature = parts.signature_bytes();
    let (r, s) = halves(&signature);
    parts.with_signature(&[r, &difference(&octets(order), s)].concat())
}

// The orders n of the curves' groups (SP 800-186 §3.2.1.3 to §3.2.1.5).
const P256_ORDER: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const P384_ORDER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
                          581a0db248b0a77aecec196accc52973";
const P521_ORDER: &str = "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa\
                          51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409";

fn octets(hex: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("the orders are hexadecimal");
    (0..hex.len()).step_by(2).map(octet).collect()
}

/// `a - b` of two big-endian numbers of the same length, `a` being the larger.
#[track_caller]
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    assert_eq!(a.len(), b.len(), "each half of the signature is as long as the order");
    let mut borrow = false;
    let mut digits: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let (digit, under) = a.overflowing_sub(*b);
            let (digit, under_again) = digit.overflowing_sub(borrow.into());
            borrow = under || under_again;
            digit
        })
        .collect();
    digits.reverse();
    digits
}

/// RFC 7638 §3 and RFC 9964 §6: the hash of the required members, in alphabetical order and without spaces.
pub(crate) fn thumbprint(jwk: &Value) -> String {
    let required: &[&str] = match jwk["kty"].as_str() {
        Some("AKP") => &["alg", "kty", "pub"],
        _ => &["crv", "e", "kty", "n", "x", "y"],
    };
    let members: Vec<_> = required
        .iter()
        .filter_map(|name| jwk.get(*name).map(|value| format!("\"{name}\":{value}")))
        .collect();
    let text = format!("{{{}}}", members.join(","));
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
}

/// A signed token in its three parts, still encoded.
struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    #[track_caller]
    fn of(token: &'a str) -> Self {
        let mut parts = token.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(header), Some(payload), Some(signature), None) if !signature.is_empty() => {
                Self { header, payload, signature }
            }
            _ => panic!("not a signed compact token: {token:?}"),
        }
    }

    #[track_caller]
    fn header(&self) -> BTreeMap<String, Value> {
        let header = BASE64_URL_SAFE_NO_PAD.decode(self.header).unwrap_or_default();
        serde_json::from_slice(&header).expect("the header of a good token is a JSON object")
    }

    #[track_caller]
    fn header_without_alg(&self) -> BTreeMap<String, Value> {
        let mut header = self.header();
        header.remove("alg");
        header
    }

    #[track_caller]
    fn signature_bytes(&self) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(self.signature).expect("a good signature is base64url")
    }

    /// What is before the signature, with this JSON text for `alg`.
    #[track_caller]
    fn input_with_alg(&self, alg: &str) -> String {
        let others = text(&self.header_without_alg());
        let comma = if others == "{}" { "" } else { "," };
        self.input_with_header(&format!("{{\"alg\":{alg}{comma}{}", &others[1..]))
    }

    fn input_with_header(&self, header: &str) -> String {
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), self.payload)
    }

    fn with_signature(&self, signature: &[u8]) -> String {
        let Self { header, payload, .. } = self;
        format!("{header}.{payload}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    #[track_caller]
    fn signed_with_secret(&self, algorithm: Algorithm, secret: &[u8]) -> String {
        let input = self.input_with_alg(&format!("{:?}", algorithm.name()));
        let signature = SigningKey::from_secret(algorithm, secret).sign(input.as_bytes());
        format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

fn text(header: &BTreeMap<String, Value>) -> String {
    serde_json::to_string(header).expect("a JSON value has a text")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{TestIssuer, oracle};

    fn issuer() -> TestIssuer {
        TestIssuer::new("https://issuer.example").at(1_800_000_000)
    }

    #[test]
    fn none_changes_the_algorithm_and_drops_the_signature() {
        let token = issuer().token(Algorithm::ES256).mint();
        let unsigned = none(&token, "nOnE");
        let (header, claims) = oracle::read(&unsigned);
        assert_eq!(header, json!({ "alg": "nOnE", "kid": "es256-1", "typ": "at+jwt" }));
        assert_eq!(claims, oracle::read(&token).1);
        assert!(unsigned.ends_with('.'));
    }

    #[test]
    fn the_none_family_names_no_algorithm_and_has_no_member_twice() {
        let token = issuer().token(Algorithm::ES256).mint();
        let family = none_family(&token);
        assert_eq!(family.len(), 16 * 4);
        for (index, Forgery { what, token }) in family.iter().enumerate() {
            let (header, _) = oracle::read(token);
            let alg = header.get("alg").and_then(Value::as_str).unwrap_or_default();
            assert!(alg.parse::<Algorithm>().is_err(), "{what}");
            assert_eq!(header["kid"], "es256-1", "{what}");
            let same = |other: &Forgery| other.token == *token || other.what == *what;
            assert!(!family[..index].iter().any(same), "{what} is there twice");
        }
    }

    #[test]
    fn an_escaped_none_stays_escaped() {
        let token = issuer().token(Algorithm::ES256).mint();
        let headers: Vec<_> = none_family(&token)
            .into_iter()
            .map(|forgery| oracle::decode(forgery.token.split('.').next().unwrap_or_default()))
            .collect();
        let escaped = br#"{"alg":"\u006eone","kid":"es256-1","typ":"at+jwt"}"#.as_slice();
        assert!(headers.iter().any(|header| header == escaped));
    }

    #[test]
    fn a_header_of_only_an_algorithm_stays_json() {
        let token =
            issuer().token(Algorithm::ES256).without_header("kid").without_header("typ").mint();
        assert_eq!(oracle::read(&none(&token, "none")).0, json!({ "alg": "none" }));
    }

    #[test]
    fn the_public_key_verifies_as_a_secret() {
        for algorithm in
            [Algorithm::RS256, Algorithm::ES512, Algorithm::Ed25519, Algorithm::ML_DSA_65]
        {
            let issuer = issuer();
            let key = issuer.key(algorithm);
            let token = issuer.token(algorithm).mint();
            let forged = public_key_as_secret(&token, key);
            assert_eq!(oracle::read(&forged).0["alg"], "HS256");
            assert_eq!(oracle::read(&forged).0["kid"], key.id());
            assert_eq!(oracle::read(&forged).1, oracle::read(&token).1);
            let pem = key.public_pem().expect("a key pair has a public half");
            let secret = SigningKey::from_secret(Algorithm::HS256, pem);
            assert!(oracle::accepts(&secret, &forged), "{algorithm}");

            let family = public_key_as_secret_family(&token, key);
            assert_eq!(family.len(), 12 * 3);
            assert_eq!(family[0].token, forged, "{}", family[0].what);
        }
    }

    #[test]
    fn no_two_of_the_public_key_family_are_the_same() {
        let issuer = issuer();
        let token = issuer.token(Algorithm::RS256).mint();
        let family = public_key_as_secret_family(&token, issuer.key(Algorithm::RS256));
        for (index, Forgery { what, token }) in family.iter().enumerate() {
            let same = |other: &Forgery| other.token == *token || other.what == *what;
            assert!(!family[..index].iter().any(same), "{what} is there twice");
        }
    }

    #[test]
    #[should_panic(expected = "has no public half")]
    fn a_secret_is_not_confused_with_a_public_key() {
        let issuer = issuer();
        let token = issuer.token(Algorithm::HS256).mint();
        public_key_as_secret(&token, issuer.key(Algorithm::HS256));
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        // The example of RFC 7638 §3.1.
        let jwk = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aP\
                  FFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl9\
                  3lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA\
                  ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3\
                  XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29",
        });
        assert_eq!(thumbprint(&jwk), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_flipped_bit_breaks_every_signature_but_changes_nothing_else() {
        let issuer = issuer();
        for &algorithm in Algorithm::ALL {
            let token = issuer.token(algorithm).mint();
            let flipped = flip_signature_bit(&token);
            assert_eq!(oracle::read(&flipped), oracle::read(&token), "{algorithm}");
            assert_eq!(flipped.len(), token.len(), "{algorithm}");
            assert!(!oracle::accepts(issuer.key(algorithm), &flipped), "{algorithm}");
        }
    }

    #[test]
    fn an_ecdsa_twin_verifies_and_differs() {
        let issuer = issuer();
        for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::ES512] {
            let token = issuer.token(algorithm).mint();
            let twin = ecdsa_twin(&token);
            assert_ne!(twin, token, "{algorithm}");
            assert_eq!(oracle::read(&twin), oracle::read(&token), "{algorithm}");
            assert!(oracle::accepts(issuer.key(algorithm), &twin), "{algorithm}");
            assert_eq!(ecdsa_twin(&twin), token, "{algorithm}");
        }
    }

    #[test]
    #[should_panic(expected = r#""EdDSA" is not an ECDSA algorithm"#)]
    fn an_ed25519_signature_has_no_twin() {
        ecdsa_twin(&issuer().token(Algorithm::EdDSA).mint());
    }

    #[test]
    fn a_foreign_payload_or_signature_breaks_the_token() {
        let issuer = issuer();
        let key = issuer.key(Algorithm::ES256);
        let token = issuer.token(Algorithm::ES256).mint();
        let promoted = with_payload(&token, r#"{"sub":"root"}"#);
        assert_eq!(oracle::read(&promoted).1, json!({ "sub": "root" }));
        assert!(!oracle::accepts(key, &promoted));
        assert!(!oracle::accepts(key, &with_signature(&token, &[0; 64])));
    }

    #[test]
    #[should_panic(expected = r#"not a signed compact token: "a.b.""#)]
    fn an_unsigned_token_is_no_start() {
        flip_signature_bit("a.b.");
    }
}
