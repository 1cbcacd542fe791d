//! A proof of who has a key: a JWT of one request (RFC 9449 §4.2), read and not believed.
use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::ProofFault;
use super::known::KnownKey;
use super::nonces::Nonce;
use super::target::Target;
use crate::json::{self, JsonFault, Value};
use crate::keys::{self, VerificationKey};
use crate::signature::{Algorithm, Family};
use crate::time::{UnixTime, numeric_date};
use crate::token::{Decoded, SignatureBuffer};

/// How large a proof may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ProofLimits {
    pub(crate) proof: usize,
    /// Of the header, decoded: what is left is for the payload and the signature.
    header: usize,
}

impl ProofLimits {
    /// One with an RSA key of 4096 bits has 1.6 KB, with ES256 half a kilobyte.
    const USUAL: Self = Self { proof: 8 * 1024, header: 6 * 1024 };

    /// One of ML-DSA-87 has 11 KB: 3.5 KB of its header are the key, and 6 KB the signature.
    const WITH_ML_DSA: Self = Self { proof: 16 * 1024, header: 8 * 1024 };

    /// Of proofs with these algorithms: who lists no ML-DSA reads no more than before.
    pub(super) fn of(algorithms: &[Algorithm]) -> Self {
        let is_large = algorithms.iter().any(|algorithm| algorithm.family() == Family::MlDsa);
        if is_large { Self::WITH_ML_DSA } else { Self::USUAL }
    }
}

/// The longest id. A UUID has 36 bytes.
const MAX_ID: usize = 256;

/// What a proof is decoded into.
pub(super) struct ProofRoom {
    signature: SignatureBuffer,
    /// Header and payload.
    text: Vec<u8>,
}

impl ProofRoom {
    pub(super) fn new() -> Self {
        Self { signature: SignatureBuffer::new(), text: Vec::new() }
    }
}

/// A proof that nobody has verified.
pub(crate) struct UnverifiedProof<'p> {
    signing_input: &'p [u8],
    signature: &'p [u8],
    /// The key that it brings.
    pub(crate) key: Arc<VerificationKey>,
    /// Its header, decoded, where that was not known.
    pub(crate) new_header: Option<Box<str>>,
    pub(crate) claims: ProofClaims<'p>,
}

/// What a proof says.
#[derive(Debug)]
pub(crate) struct ProofClaims<'p> {
    pub(crate) id: Cow<'p, str>,
    pub(crate) method: Cow<'p, str>,
    pub(crate) target: Target,
    pub(crate) issued_at: UnixTime,
    pub(crate) not_before: Option<UnixTime>,
    pub(crate) expires_at: Option<UnixTime>,
    /// The hash of the access token that it goes with.
    pub(crate) token_hash: Option<[u8; 32]>,
    pub(crate) nonce: Option<Nonce>,
}

impl<'p> UnverifiedProof<'p> {
    /// Reads it, but for a header that is known.
    pub(crate) fn read(
        text: &'p [u8],
        limits: ProofLimits,
        room: &'p mut ProofRoom,
        known: Option<&KnownKey>,
    ) -> Result<Self, ProofFault> {
        let (length, limit) = (text.len(), limits.proof);
        if length > limit {
            return Err(ProofFault::TooLong { length, limit });
        }
        let Decoded { signing_input, signature, text: decoded, header_length } =
            Decoded::read(text, limits.header, &mut room.signature).map_err(ProofFault::Form)?;
        room.text = decoded;
        let decoded = core::str::from_utf8(&room.text).map_err(|_| ProofFault::Utf8)?;
        let parts = decoded.get(..header_length).zip(decoded.get(header_length..));
        let (header, payload) = parts.ok_or(ProofFault::Utf8)?;
        let (key, new_header) = match known.and_then(|known| known.of(header)) {
            Some(key) => (key, None),
            None => (Arc::new(read_header(header)?), Some(header.into())),
        };
        let claims = ProofClaims::read(payload)?;
        Ok(Self { signing_input, signature, key, new_header, claims })
    }

    /// Whether who has the key wrote it.
    pub(crate) fn is_signed(&self) -> bool {
        self.key.verifier().verify(self.signing_input, self.signature)
    }
}

/// The key that a header brings.
fn read_header(input: &str) -> Result<VerificationKey, ProofFault> {
    let (mut is_proof, mut algorithm, mut key) = (false, None, None);
    let mut member = |name: &str, value: Value<'_, '_>| -> Result<(), Fault> {
        match name {
            // Not a JWT of another kind that was signed with the same key (RFC 8725 §3.11).
            "typ" => is_proof = value.string()?.is_some_and(|typ| typ == "dpop+jwt"),
            "alg" => {
                let name = value.string()?;
                let found = name.and_then(|name| Algorithm::from_name(&name));
                algorithm = Some(found.ok_or(ProofFault::Algorithm)?);
            }
            "jwk" => key = Some(value.raw()?.to_owned()),
            // What changes how it is read, and keys elsewhere, which nobody fetches.
            "crit" | "b64" | "jku" | "x5u" | "x5c" => return Err(ProofFault::Header.into()),
            _ => value.skip()?,
        }
        Ok(())
    };
    json::read_object(input, |name, value| member(name, value))?;
    if !is_proof {
        return Err(ProofFault::Type);
    }
    let algorithm = algorithm.ok_or(ProofFault::Algorithm)?;
    let keys = keys::read_jwk(key.ok_or(ProofFault::KeyMissing)?.as_bytes());
    let keys = keys.map_err(|fault| ProofFault::Key(Box::new(fault)))?;
    let key = keys.into_iter().find(|key| key.algorithm() == algorithm);
    // A shared secret proves nothing: whoever has a proof of it would have it.
    let key = key.filter(|key| key.thumbprint().is_some()).ok_or(ProofFault::Algorithm)?;
    if algorithm.family() == Family::Rsa && key.is_costly() {
        return Err(ProofFault::KeyCost);
    }
    Ok(key)
}

impl<'p> ProofClaims<'p> {
    fn read(input: &'p str) -> Result<Self, ProofFault> {
        let (mut id, mut method, mut target, mut issued_at) = (None, None, None, None);
        let (mut not_before, mut expires_at, mut token_hash, mut nonce) = (None, None, None, None);
        let mut member = |name: &str, value: Value<'_, 'p>| -> Result<(), Fault> {
            match name {
                "jti" => id = Some(text("jti", value, MAX_ID)?),
                "htm" => method = Some(text("htm", value, MAX_ID)?),
                "htu" => {
                    let address = value.string()?.ok_or(ProofFault::Claim { claim: "htu" })?;
                    target = Some(Target::read(&address).map_err(ProofFault::Target)?);
                }
                "iat" => issued_at = Some(time("iat", value)?),
                "nbf" => not_before = Some(time("nbf", value)?),
                "exp" => expires_at = Some(time("exp", value)?),
                "nonce" => {
                    let text = value.string()?.ok_or(ProofFault::Claim { claim: "nonce" })?;
                    nonce = Some(Nonce::claimed(&text));
                }
                "ath" => {
                    let hash = value.string()?.unwrap_or_default();
                    let bytes = URL_SAFE_NO_PAD.decode(hash.as_bytes()).unwrap_or_default();
                    let bytes = bytes.try_into().map_err(|_| ProofFault::Claim { claim: "ath" });
                    token_hash = Some(bytes?);
                }
                _ => value.skip()?,
            }
            Ok(())
        };
        json::read_object(input, |name, value| member(name, value))?;
        let missing = |claim| ProofFault::Claim { claim };
        Ok(Self {
            id: id.ok_or_else(|| missing("jti"))?,
            method: method.ok_or_else(|| missing("htm"))?,
            target: target.ok_or_else(|| missing("htu"))?,
            issued_at: issued_at.ok_or_else(|| missing("iat"))?,
            not_before,
            expires_at,
            token_hash,
            nonce,
        })
    }
}

/// What stops the reading of a part.
enum Fault {
    Json(JsonFault),
    Proof(ProofFault),
}

impl From<Fault> for ProofFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Json(fault) => Self::Json(fault),
            Fault::Proof(fault) => fault,
        }
    }
}

impl From<JsonFault> for Fault {
    fn from(fault: JsonFault) -> Self {
        Self::Json(fault)
    }
}

impl From<ProofFault> for Fault {
    fn from(fault: ProofFault) -> Self {
        Self::Proof(fault)
    }
}

fn text<'p>(
    claim: &'static str,
    value: Value<'_, 'p>,
    longest: usize,
) -> Result<Cow<'p, str>, Fault> {
    let text = value.string()?.filter(|text| (1..=longest).contains(&text.len()));
    Ok(text.ok_or(ProofFault::Claim { claim })?)
}

fn time(claim: &'static str, value: Value<'_, '_>) -> Result<UnixTime, Fault> {
    let time = value.number()?.and_then(numeric_date);
    Ok(time.ok_or(ProofFault::Claim { claim })?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Any, json};

    use super::*;
    use crate::dpop::target::TargetFault;
    use crate::keys::KeyFault;
    use crate::signature::sha256;
    use crate::token::{Part, TokenError};

    /// RFC 9449, figures 2 and 13.
    const HEADER: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19";
    const AT_THE_TOKEN_ENDPOINT: &str = "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    const AT_THE_RESOURCE: &str = "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    const ACCESS_TOKEN: &[u8] = b"Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    const THUMBPRINT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

    fn read<T>(text: &str, look: impl FnOnce(UnverifiedProof<'_>) -> T) -> Result<T, ProofFault> {
        read_within(ProofLimits::USUAL, text, look)
    }

    fn read_within<T>(
        limits: ProofLimits,
        text: &str,
        look: impl FnOnce(UnverifiedProof<'_>) -> T,
    ) -> Result<T, ProofFault> {
        let mut room = ProofRoom::new();
        UnverifiedProof::read(text.as_bytes(), limits, &mut room, None).map(look)
    }

    const MAX_LENGTH: usize = ProofLimits::USUAL.proof;

    fn jwk() -> Any {
        let header = URL_SAFE_NO_PAD.decode(HEADER).unwrap();
        serde_json::from_slice::<Any>(&header).unwrap()["jwk"].clone()
    }

    fn header() -> Any {
        json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk() })
    }

    fn payload() -> Any {
        json!({ "jti": "1", "htm": "GET", "htu": "https://api.example/", "iat": 1_800_000_000 })
    }

    /// A proof that nobody signed.
    fn unsigned(header: &str, payload: &str) -> String {
        let [header, payload] = [header, payload].map(|text| URL_SAFE_NO_PAD.encode(text));
        format!("{header}.{payload}.AAAA")
    }

    fn fault(header: &Any, payload: &Any) -> Option<ProofFault> {
        read(&unsigned(&header.to_string(), &payload.to_string()), |_| ()).err()
    }

    #[test]
    fn the_proofs_of_the_specification_are_of_its_key_and_its_token() {
        for (rest, method, target, hash) in [
            (AT_THE_TOKEN_ENDPOINT, "POST", "https://server.example.com/token", None),
            (
                AT_THE_RESOURCE,
                "GET",
                "https://resource.example.org/protectedresource",
                Some(sha256(ACCESS_TOKEN)),
            ),
        ] {
            let text = format!("{HEADER}.{rest}");
            let look = |proof: UnverifiedProof<'_>| {
                assert!(proof.is_signed());
                assert_eq!(proof.key.thumbprint(), Some(THUMBPRINT));
                let ProofClaims { method: own, target: own_target, token_hash, .. } = proof.claims;
                assert_eq!((&*own, &*own_target.to_string()), (method, target));
                assert_eq!(token_hash, hash);
            };
            read(&text, look).expect("a proof");
            // A byte of the signature, or of what was signed, that is another.
            let at = text.len() - 10;
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            assert!(!read(&changed, |proof| proof.is_signed()).expect("a proof"));
        }
    }

    #[test]
    fn a_header_is_that_of_a_proof_with_a_public_key_and_nothing_else() {
        assert_eq!(fault(&header(), &payload()), None);
        let with = |name: &str, value: Any| {
            let mut header = header();
            header[name] = value;
            header
        };
        let with_key = |name: &str, value: Any| {
            let mut header = header();
            header["jwk"][name] = value;
            header
        };
        // What nobody knows is let be (RFC 7515 §4), and what WebCrypto exports.
        for header in [with("kid", json!("1")), with("x", json!({})), with_key("ext", json!(true))]
        {
            assert_eq!(fault(&header, &payload()), None, "{header}");
        }
        assert_eq!(fault(&with_key("key_ops", json!(["verify"])), &payload()), None);
        for typ in ["JWT", "at+jwt", "application/dpop+jwt", "DPOP+JWT", ""] {
            assert_eq!(fault(&with("typ", json!(typ)), &payload()), Some(ProofFault::Type));
        }
        for value in [json!(null), json!(1), json!(["dpop+jwt"])] {
            assert_eq!(fault(&with("typ", value), &payload()), Some(ProofFault::Type));
        }
        for alg in ["none", "HS256", "ES384", "RS256", "es256", ""] {
            let found = fault(&with("alg", json!(alg)), &payload());
            assert_eq!(found, Some(ProofFault::Algorithm), "{alg}");
        }
        for member in ["crit", "b64", "jku", "x5u", "x5c"] {
            let found = fault(&with(member, json!(["x"])), &payload());
            assert_eq!(found, Some(ProofFault::Header), "{member}");
        }
        for member in ["d", "k", "p", "q", "dp", "dq", "qi", "oth"] {
            let found = fault(&with_key(member, json!("AAAA")), &payload());
            let private = KeyFault::PrivateMember { member };
            assert_eq!(found, Some(ProofFault::Key(Box::new(private))), "{member}");
        }
        for header in [
            with("jwk", json!("key")),
            with("jwk", json!({})),
            with("jwk", json!({ "kty": "oct", "k": "c2VjcmV0" })),
            with_key("use", json!("enc")),
            with_key("key_ops", json!(["sign"])),
            with_key("alg", json!("ES384")),
            with_key("x", json!("AAAA")),
            with_key("x", json!(format!("{}=", jwk()["x"].as_str().unwrap()))),
            // A point that is not on the curve.
            with_key("x", jwk()["y"].clone()),
            with_key("crv", json!("secp256k1")),
        ] {
            let found = fault(&header, &payload());
            assert!(matches!(found, Some(ProofFault::Key(_))), "{header}: {found:?}");
        }
        for (member, expected) in [
            ("typ", ProofFault::Type),
            ("alg", ProofFault::Algorithm),
            ("jwk", ProofFault::KeyMissing),
        ] {
            let mut header = header();
            header.as_object_mut().unwrap().remove(member);
            assert_eq!(fault(&header, &payload()), Some(expected), "{member}");
        }
    }

    #[test]
    fn claims_are_there_once_and_of_their_types() {
        for claim in ["jti", "htm", "htu", "iat"] {
            let mut payload = payload();
            payload.as_object_mut().unwrap().remove(claim);
            assert_eq!(fault(&header(), &payload), Some(ProofFault::Claim { claim }));
        }
        for (claim, values) in [
            ("jti", vec![json!(1), json!(""), json!(["1"]), json!("x".repeat(257)), json!(null)]),
            ("htm", vec![json!(1), json!(""), json!(["GET"])]),
            ("htu", vec![json!(1), json!(["https://api.example/"]), json!(null)]),
            ("iat", vec![json!("1800000000"), json!(null), json!(-1), json!(1e300)]),
            ("nbf", vec![json!("1"), json!(null)]),
            ("exp", vec![json!("1"), json!([1])]),
            (
                "ath",
                vec![json!(1), json!(""), json!("AAAA"), json!(format!("{}=", "A".repeat(43)))],
            ),
        ] {
            for value in values {
                let mut payload = payload();
                payload[claim] = value.clone();
                let found = fault(&header(), &payload);
                assert_eq!(found, Some(ProofFault::Claim { claim }), "{claim}: {value}");
            }
        }
        let mut other = payload();
        other["htu"] = json!("https://a@b/");
        assert_eq!(fault(&header(), &other), Some(ProofFault::Target(TargetFault::UserInfo)));
        other = payload();
        other["iat"] = json!(1.8e9);
        other["anything"] = json!({ "else": [1] });
        assert_eq!(fault(&header(), &other), None);
    }

    #[test]
    fn what_has_two_readings_has_none() {
        let [header, payload] = [header(), payload()].map(|part| part.to_string());
        let twice = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
        for (header, payload) in [
            (twice(&header, r#""alg":"ES256""#), payload.clone()),
            (header.replace(r#""kty""#, r#""kty":"EC","kty""#), payload.clone()),
            (header.clone(), twice(&payload, r#""jti":"2""#)),
            (header.clone(), twice(&payload, r#""h\u0074u":"https://b/""#)),
            (header.clone(), format!("{payload}x")),
            (header.clone(), "[]".to_owned()),
            (
                header.clone(),
                twice(&payload, &format!(r#""x":{}1{}"#, "[".repeat(99), "]".repeat(99))),
            ),
        ] {
            let found = read(&unsigned(&header, &payload), |_| ()).err();
            assert!(matches!(found, Some(ProofFault::Json(_) | ProofFault::Key(_))), "{found:?}");
        }
        for (text, expected) in [
            (String::new(), ProofFault::Form(TokenError::Parts { found: 1 })),
            ("a.b".to_owned(), ProofFault::Form(TokenError::Parts { found: 2 })),
            (format!("{HEADER}.e30."), ProofFault::Form(TokenError::Empty(Part::Signature))),
            (
                "A".repeat(MAX_LENGTH + 1),
                ProofFault::TooLong { length: MAX_LENGTH + 1, limit: MAX_LENGTH },
            ),
        ] {
            assert_eq!(read(&text, |_| ()).err(), Some(expected));
        }
    }

    /// A key that costs much, or nothing, is refused before its signature is looked at.
    #[test]
    fn a_key_that_is_too_large_or_of_small_order_is_refused_when_it_is_read() {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let rsa =
            |bytes: usize| json!({ "kty": "RSA", "e": "AQAB", "n": encode(&vec![0xff; bytes]) });
        let of = |alg: &str, jwk: Any| {
            let header = json!({ "typ": "dpop+jwt", "alg": alg, "jwk": jwk });
            fault(&header, &payload())
        };
        for alg in ["RS256", "PS512"] {
            for (bytes, bits) in [(2048, 16_384), (1025, 8200), (128, 1024)] {
                let expected = ProofFault::Key(Box::new(KeyFault::ModulusSize { bits }));
                assert_eq!(of(alg, rsa(bytes)), Some(expected), "{alg} {bits}");
            }
            assert_eq!(of(alg, rsa(512)), None);
            assert_eq!(of(alg, rsa(513)), Some(ProofFault::KeyCost));
            let mut exponent = rsa(256);
            exponent["e"] = json!(encode(&[3, 0, 1]));
            assert_eq!(of(alg, exponent), Some(ProofFault::KeyCost));
            assert_eq!(of(alg, rsa(256)), None);
        }
        // Larger still, it does not fit into a proof.
        assert!(matches!(of("RS256", rsa(5000)), Some(ProofFault::TooLong { .. })));
        let point = |first: u8, rest: u8, last: u8| {
            let mut bytes = [rest; 32];
            (bytes[0], bytes[31]) = (first, last);
            json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(&bytes) })
        };
        // y = 0, y = 1, and y = -1.
        for jwk in [point(0, 0, 0), point(1, 0, 0), point(0xec, 0xff, 0x7f)] {
            for alg in ["EdDSA", "Ed25519"] {
                let found = of(alg, jwk.clone());
                assert_eq!(found, Some(ProofFault::Key(Box::new(KeyFault::SmallOrder))), "{jwk}");
            }
        }
    }

    /// 8 KiB of arrays, where the payload or a member of the header would be.
    #[test]
    fn json_that_is_nested_as_deeply_as_fits_is_refused() {
        let nested =
            |depth: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let header = header().to_string();
        let deep = unsigned(&header, &nested(2800));
        assert!(deep.len() > MAX_LENGTH - 512 && deep.len() <= MAX_LENGTH, "{}", deep.len());
        assert!(matches!(read(&deep, |_| ()).err(), Some(ProofFault::Json(_))));
        // It is not closed.
        let open = unsigned(&header, &format!(r#"{{"x":{}"#, "[".repeat(5600)));
        assert!(matches!(read(&open, |_| ()).err(), Some(ProofFault::Json(_))));
        let in_header = header.replacen('{', &nested(1400).replace("]}", "],"), 1);
        let in_header = unsigned(&in_header, &payload().to_string());
        assert!(matches!(read(&in_header, |_| ()).err(), Some(ProofFault::Json(_))));
    }

    #[test]
    fn a_proof_has_8_kib_or_16_where_ml_dsa_is_listed_and_not_a_byte_more() {
        let within = ProofLimits::of(&[Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS512]);
        assert_eq!(within, ProofLimits::USUAL);
        let large = ProofLimits::of(&[Algorithm::ES256, Algorithm::ML_DSA_44]);
        assert_eq!(large, ProofLimits::WITH_ML_DSA);
        let of_length = |length: usize| {
            // A part in base64url has any length but one more than a multiple of four, so that two are needed.
            let most = length * 3 / 4;
            let mut fillers =
                (0..4).flat_map(|more| (most - 1200..most).map(move |filler| (more, filler)));
            let text = fillers.find_map(|(more, filler)| {
                let (mut header, mut payload) = (header(), payload());
                header["x"] = json!("x".repeat(more));
                payload["x"] = json!("x".repeat(filler));
                let text = unsigned(&header.to_string(), &payload.to_string());
                (text.len() == length).then_some(text)
            });
            text.expect("a text of this length")
        };
        let longest = of_length(MAX_LENGTH);
        assert_eq!(read(&longest, |_| ()).err(), None);
        let longer = of_length(MAX_LENGTH + 1);
        let expected = ProofFault::TooLong { length: 8193, limit: 8192 };
        assert_eq!(expected.to_string(), "it has 8193 bytes, and at most 8192 are read");
        assert_eq!(read(&longer, |_| ()).err(), Some(expected));
        for length in [MAX_LENGTH + 1, 16 * 1024] {
            assert_eq!(read_within(large, &of_length(length), |_| ()).err(), None, "{length}");
        }
        let expected = ProofFault::TooLong { length: 16_385, limit: 16_384 };
        assert_eq!(read_within(large, &of_length(16_385), |_| ()).err(), Some(expected));
    }
}
