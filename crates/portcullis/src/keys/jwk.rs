//! JWK and JWK sets (RFC 7517), entry by entry, strictly. A member that says nothing is absent.
//!
//! The reader is our own: others fail a whole set over one odd entry, or drop private members in
//! silence.
use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::value::RawValue;

use super::public::{Curve, ParameterSet, PublicKey};
use super::{KeyFault, MemberFault, NotAnObject, VerificationKey, pem};
use crate::json::{Json, JsonFault, read_object, read_tree};
use crate::signature::{Algorithm, Family};

/// The largest set read. Sets with certificate chains of a dozen keys have some 100 KiB.
pub(super) const MAX_BYTES: usize = 256 * 1024;

/// Providers publish 2 to 10 keys.
pub(super) const MAX_KEYS: usize = 100;

/// RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2 and RFC 9964 §3: what gives a key away.
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// How a member begins that is a certificate in PEM.
const CERTIFICATE: &str = "\"-----BEGIN CERTIFICATE-----";

/// The verification keys of each entry of a JWK set, or why it has none.
pub(super) fn read_set(input: &str, max_keys: usize) -> Result<Vec<Entry>, KeyFault> {
    let mut keys = None;
    let result = read_object(input, |name, value| {
        if name != "keys" {
            return value.skip();
        }
        // Entries stay text: what is wrong with one costs no other.
        let entries = serde_json::from_str::<Vec<&RawValue>>(value.raw()?).ok();
        let is_list = entries.is_some();
        keys = Some(entries);
        if is_list { Ok(()) } else { Err(JsonFault::NotAnObject) }
    });
    match (keys, result) {
        (None, Ok(())) if input.contains(CERTIFICATE) => Err(KeyFault::CertificatesById),
        (Some(None), _) | (None, Ok(())) => Err(KeyFault::NotASet),
        (_, Err(fault)) => Err(of_json(fault, input)),
        (Some(Some(entries)), Ok(())) if entries.len() > max_keys => {
            Err(KeyFault::TooManyKeys { found: entries.len(), allowed: max_keys })
        }
        (Some(Some(entries)), Ok(())) => {
            Ok(entries.into_iter().map(|entry| Entry::read(entry.get())).collect())
        }
    }
}

/// The verification keys of a single JWK.
pub(super) fn read_key(input: &[u8]) -> Result<Vec<VerificationKey>, KeyFault> {
    Entry::read(text(input, MAX_BYTES)?).keys
}

pub(super) struct Entry {
    /// As far as it could be read.
    pub(super) id: Option<String>,
    pub(super) keys: Result<Vec<VerificationKey>, KeyFault>,
}

/// The text of what has at most so many bytes.
pub(super) fn text(input: &[u8], max_bytes: usize) -> Result<&str, KeyFault> {
    if input.len() > max_bytes {
        return Err(KeyFault::TooLarge { length: input.len() });
    }
    crate::text::read(input).map_err(KeyFault::Text)
}

fn of_json(fault: JsonFault, input: &str) -> KeyFault {
    match fault {
        JsonFault::NotAnObject => KeyFault::NotAnObject(NotAnObject::of(input)),
        fault => KeyFault::Json(fault),
    }
}

impl Entry {
    fn read(input: &str) -> Self {
        match read_tree(input) {
            Err(fault) => Self { id: None, keys: Err(of_json(fault, input)) },
            Ok(mut members) => {
                members.retain(|(_, value)| says_something(value));
                let jwk = Jwk(members);
                Self {
                    id: jwk.get("kid").and_then(Json::as_str).map(str::to_owned),
                    keys: jwk.prepare(),
                }
            }
        }
    }
}

/// Whether a member counts as there. Some serializers write every member that a JWK can have, and
/// those that it has not as `null`, `""` or `[]`.
fn says_something(value: &Json<'_>) -> bool {
    match value {
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        _ => true,
    }
}

/// The members that say something.
struct Jwk<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

impl Jwk<'_> {
    fn get(&self, name: &str) -> Option<&Json<'_>> {
        self.0.iter().find_map(|(own, value)| (own == name).then_some(value))
    }

    fn string(&self, member: &'static str) -> Result<Option<&str>, KeyFault> {
        match self.get(member) {
            None => Ok(None),
            Some(value) => {
                let fault = MemberFault::Type { expected: "a string" };
                value.as_str().map(Some).ok_or_else(|| fault.of(member))
            }
        }
    }

    fn required(&self, member: &'static str) -> Result<&str, KeyFault> {
        self.string(member)?.ok_or(KeyFault::Missing { member })
    }

    /// Base64url without padding (RFC 7517 §1.1, RFC 7518 §2).
    fn bytes(&self, member: &'static str) -> Result<Vec<u8>, KeyFault> {
        let text = self.required(member)?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| MemberFault::of_base64url(text).of(member))
    }

    fn prepare(&self) -> Result<Vec<VerificationKey>, KeyFault> {
        // Before all else: whatever else is wrong with it, the key has to be replaced.
        if let Some(member) = PRIVATE_MEMBERS.into_iter().find(|member| self.get(member).is_some())
        {
            return Err(KeyFault::PrivateMember { member });
        }
        let kind = self.required("kty")?;
        // RFC 7517 §4.2 and §4.3.
        if self.string("use")?.is_some_and(|purpose| purpose != "sig") {
            return Err(KeyFault::NotForSignatures);
        }
        match self.get("key_ops") {
            None => {}
            Some(Json::Array(operations))
                if operations.iter().any(|one| one.as_str() == Some("verify")) => {}
            Some(Json::Array(_)) => return Err(KeyFault::NotForSignatures),
            Some(_) => return Err(MemberFault::Type { expected: "a list" }.of("key_ops")),
        }
        let algorithm = match self.string("alg")? {
            None => None,
            Some(name) => Some(Algorithm::from_name(name).ok_or(KeyFault::UnknownAlgorithm)?),
        };
        let id = self.string("kid")?;
        if id.is_some_and(|id| id.len() > 1024) {
            return Err(KeyFault::KeyId);
        }
        let key = self.public_key(kind, algorithm)?;
        if let Some(algorithm) = algorithm.filter(|algorithm| algorithm.family() == Family::Hmac) {
            return Err(KeyFault::AlgorithmMismatch { algorithm });
        }
        key.prepare(algorithm, id)
    }

    /// The key that the members make, or where there are none, that of the certificate.
    fn public_key(&self, kind: &str, algorithm: Option<Algorithm>) -> Result<PublicKey, KeyFault> {
        let members: &[&str] = match kind {
            "RSA" => &["n", "e"],
            "EC" => &["x", "y"],
            "OKP" => &["x"],
            // RFC 9964 §3: of all types, the only one that says nothing without `alg`.
            "AKP" if algorithm.is_none() => return Err(KeyFault::Missing { member: "alg" }),
            "AKP" => &["pub"],
            _ => return Err(KeyFault::Unsupported),
        };
        let curve = self.string("crv")?;
        if members.iter().all(|member| self.get(member).is_none())
            && let Some(certificate) = self.get("x5c")
        {
            let key = of_certificate(certificate)?;
            let (own_kind, own_curve) = key.kind();
            let is_of_kind = own_kind == kind && curve.is_none_or(|curve| own_curve == Some(curve));
            return if is_of_kind { Ok(key) } else { Err(KeyFault::OtherCertificate) };
        }
        let key = match (kind, curve) {
            ("RSA", _) => PublicKey::Rsa { modulus: self.bytes("n")?, exponent: self.bytes("e")? },
            ("AKP", _) => self.ml_dsa(algorithm)?,
            (_, None) => return Err(KeyFault::Missing { member: "crv" }),
            ("EC", Some("P-256")) => self.ec(Curve::P256)?,
            ("EC", Some("P-384")) => self.ec(Curve::P384)?,
            ("EC", Some("P-521")) => self.ec(Curve::P521)?,
            ("OKP", Some("Ed25519")) => {
                let x = self.bytes("x")?;
                let length = MemberFault::Length { curve: "Ed25519", needed: 32, found: x.len() };
                PublicKey::Ed25519(x.try_into().map_err(|_| length.of("x"))?)
            }
            _ => return Err(KeyFault::Unsupported),
        };
        // RFC 7517 §4.7: it must be of the same key. Of one that cannot be read, nothing is taken.
        let certified = self.get("x5c").and_then(|certificate| of_certificate(certificate).ok());
        if certified.is_some_and(|certified| certified.thumbprint().bytes != key.thumbprint().bytes)
        {
            return Err(KeyFault::OtherCertificate);
        }
        Ok(key)
    }

    fn ml_dsa(&self, algorithm: Option<Algorithm>) -> Result<PublicKey, KeyFault> {
        let algorithm = algorithm.ok_or(KeyFault::Missing { member: "alg" })?;
        let parameters =
            ParameterSet::of(algorithm).ok_or(KeyFault::AlgorithmMismatch { algorithm })?;
        let key = self.bytes("pub")?;
        let (needed, found) = (parameters.length(), key.len());
        let fault = MemberFault::Length { curve: algorithm.name(), needed, found };
        if found == needed {
            Ok(PublicKey::MlDsa { parameters, key })
        } else {
            Err(fault.of("pub"))
        }
    }

    fn ec(&self, curve: Curve) -> Result<PublicKey, KeyFault> {
        // RFC 7518 §6.2.1.2: coordinates have the curve's full length.
        let coordinate = |member| {
            let bytes = self.bytes(member)?;
            let (needed, found) = (curve.length(), bytes.len());
            let fault = MemberFault::Length { curve: curve.name(), needed, found };
            if found == needed { Ok(bytes) } else { Err(fault.of(member)) }
        };
        Ok(PublicKey::Ec { curve, x: coordinate("x")?, y: coordinate("y")? })
    }
}

/// The key of the first certificate of an `x5c`. Nothing else of it is looked at, nor of the others:
/// whoever vouches for the key set vouches for the key, as with a certificate in a file.
fn of_certificate(certificates: &Json<'_>) -> Result<PublicKey, KeyFault> {
    let Json::Array(certificates) = certificates else {
        return Err(MemberFault::Type { expected: "a list" }.of("x5c"));
    };
    // RFC 7517 §4.7: base64, unlike all else in a JWK.
    let first = certificates.first().and_then(Json::as_str);
    let der = first.and_then(|text| STANDARD.decode(text).ok());
    match der.map(|der| pem::from_certificate(&der)) {
        None | Some(Err(KeyFault::Der)) => Err(MemberFault::Certificate.of("x5c")),
        Some(key) => key,
    }
}

#[cfg(test)]
mod tests {
    use Algorithm::{
        ES256, ES384, ES512, Ed25519, EdDSA, HS256, ML_DSA_44, ML_DSA_65, ML_DSA_87, PS256, PS384,
        PS512, RS256, RS384, RS512,
    };
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::json::JsonFault;
    use crate::keys::KeySet;
    use crate::signature::Verifier;
    use crate::text::TextFault;

    #[derive(Deserialize)]
    struct Weak {
        name: String,
        usable: bool,
        jwk: Value,
        pem: Option<String>,
        order: Option<u8>,
        forged: Option<String>,
    }

    fn weak_keys() -> Vec<Weak> {
        serde_json::from_str(include_str!("../../tests/vectors/weak-keys.json")).unwrap()
    }

    /// A good key of this name in the vectors.
    fn jwk(name: &str) -> Value {
        let mut keys = weak_keys().into_iter().filter(|key| key.usable && key.name == name);
        keys.next().expect(name).jwk
    }

    fn with(mut jwk: Value, member: &str, value: Value) -> Value {
        jwk[member] = value;
        jwk
    }

    fn without(mut jwk: Value, member: &str) -> Value {
        jwk.as_object_mut().unwrap().remove(member);
        jwk
    }

    fn algorithms(jwk: &Value) -> Vec<Algorithm> {
        let keys = KeySet::from_jwk(jwk.to_string()).expect("a usable key");
        keys.iter().map(|key| key.algorithm()).collect()
    }

    fn fault(jwk: &Value) -> KeyFault {
        KeySet::from_jwk(jwk.to_string()).expect_err("an unusable key")
    }

    /// What the unusable keys of the vectors are refused for.
    fn faults() -> Vec<(&'static str, KeyFault)> {
        let text = |member| MemberFault::Type { expected: "a string" }.of(member);
        let length = |curve, needed, found| MemberFault::Length { curve, needed, found }.of("x");
        let private = |member| KeyFault::PrivateMember { member };
        let mismatch = |algorithm| KeyFault::AlgorithmMismatch { algorithm };
        vec![
            ("RSA 1024 bit", KeyFault::ModulusSize { bits: 1024 }),
            ("RSA 2047 bit", KeyFault::ModulusSize { bits: 2047 }),
            ("RSA 8193 bit", KeyFault::ModulusSize { bits: 8193 }),
            ("RSA 16384 bit", KeyFault::ModulusSize { bits: 16384 }),
            ("RSA e=1", KeyFault::Exponent),
            ("RSA e=2", KeyFault::Exponent),
            ("RSA e=65536", KeyFault::Exponent),
            ("RSA e=2^64+1", KeyFault::Exponent),
            ("RSA even modulus", KeyFault::ModulusEven),
            ("Ed25519 y=0 sign=0", KeyFault::SmallOrder),
            ("Ed25519 y=0 sign=1", KeyFault::SmallOrder),
            ("Ed25519 y=1 sign=0", KeyFault::SmallOrder),
            ("Ed25519 y=1 sign=1", KeyFault::SmallOrder),
            ("Ed25519 y=p-1 sign=0", KeyFault::SmallOrder),
            ("Ed25519 y=p-1 sign=1", KeyFault::SmallOrder),
            ("Ed25519 y=p sign=0", KeyFault::SmallOrder),
            ("Ed25519 y=p sign=1", KeyFault::SmallOrder),
            ("Ed25519 y=p+1 sign=0", KeyFault::SmallOrder),
            ("Ed25519 y=p+1 sign=1", KeyFault::SmallOrder),
            ("Ed25519 y=order 8 first sign=0", KeyFault::SmallOrder),
            ("Ed25519 y=order 8 first sign=1", KeyFault::SmallOrder),
            ("Ed25519 y=order 8 second sign=0", KeyFault::SmallOrder),
            ("Ed25519 y=order 8 second sign=1", KeyFault::SmallOrder),
            ("Ed25519 one byte short", length("Ed25519", 32, 31)),
            ("Ed25519 one byte long", length("Ed25519", 32, 33)),
            ("P-256 off the curve", KeyFault::NotOnCurve),
            ("P-256 x,y = 0", KeyFault::NotOnCurve),
            ("P-256 x >= p", KeyFault::NotOnCurve),
            ("P-384 off the curve", KeyFault::NotOnCurve),
            ("P-384 x,y = 0", KeyFault::NotOnCurve),
            ("P-384 x >= p", KeyFault::NotOnCurve),
            ("P-521 off the curve", KeyFault::NotOnCurve),
            ("P-521 x,y = 0", KeyFault::NotOnCurve),
            ("P-521 x >= p", KeyFault::NotOnCurve),
            ("P-256 leading zero of x stripped", length("P-256", 32, 31)),
            ("P-521 leading zero of x stripped", length("P-521", 66, 65)),
            ("P-256 x one byte too long", length("P-256", 32, 33)),
            ("crv P-256 with P-384 coordinates", length("P-256", 32, 48)),
            ("alg ES256 with crv P-384", mismatch(ES256)),
            ("alg RS256 with kty EC", mismatch(RS256)),
            ("alg HS256 with kty RSA", mismatch(HS256)),
            ("kty oct", private("k")),
            ("RSA private", private("d")),
            ("RSA private, d only", private("d")),
            ("EC private", private("d")),
            ("OKP private", private("d")),
            ("use=enc", KeyFault::NotForSignatures),
            ("key_ops=[sign]", KeyFault::NotForSignatures),
            ("alg RSA-OAEP", KeyFault::UnknownAlgorithm),
            ("secp256k1", KeyFault::UnknownAlgorithm), // its `alg` is ES256K
            ("X25519", KeyFault::Unsupported),
            ("Ed448", KeyFault::Unsupported),
            ("kty missing", KeyFault::Missing { member: "kty" }),
            ("kty number", text("kty")),
            ("n missing", KeyFault::Missing { member: "n" }),
            ("n with padding", MemberFault::Padding.of("n")),
            ("n not base64url", MemberFault::StandardBase64.of("n")),
            ("kid number", text("kid")),
        ]
    }

    #[test]
    fn a_weak_or_odd_key_is_refused_for_what_is_wrong_with_it() {
        let unusable: Vec<_> = weak_keys().into_iter().filter(|key| !key.usable).collect();
        let expected = faults();
        let names = |one: &[&str]| one.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            unusable.iter().map(|key| key.name.clone()).collect::<Vec<_>>(),
            names(&expected.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
        );
        for (key, (name, expected)) in unusable.iter().zip(expected) {
            assert_eq!(fault(&key.jwk), expected, "{name}");
        }
    }

    #[test]
    fn a_sound_key_is_loaded_for_the_algorithm_it_names() {
        let usable: Vec<_> = weak_keys().into_iter().filter(|key| key.usable).collect();
        assert_eq!(usable.len(), 8);
        for key in usable {
            let expected = match key.jwk["alg"].as_str() {
                // One key, two names.
                Some("EdDSA") => vec![EdDSA, Ed25519],
                Some(name) => vec![Algorithm::from_name(name).unwrap()],
                None => panic!("the vectors name algorithms"),
            };
            assert_eq!(algorithms(&key.jwk), expected, "{}", key.name);
        }
    }

    #[test]
    fn a_weak_key_in_pem_is_refused_as_the_same_key_in_a_jwk() {
        let mut seen = 0;
        for key in weak_keys() {
            let Some(pem) = &key.pem else { continue };
            seen += 1;
            let loaded = KeySet::from_pem(pem).map(drop);
            let expected = match faults().into_iter().find(|(name, _)| *name == key.name) {
                // PEM names no algorithm that could be unknown.
                Some(("secp256k1", _)) => Err(KeyFault::Unsupported),
                Some((_, fault)) => Err(fault),
                None => Ok(()),
            };
            assert_eq!(loaded, expected, "{}", key.name);
        }
        assert!(seen > 30, "{seen} keys");
    }

    #[test]
    fn under_a_key_of_small_order_the_crypto_library_would_accept_a_forgery() {
        let identities: Vec<_> =
            weak_keys().into_iter().filter(|key| key.order == Some(1)).collect();
        assert_eq!(identities.len(), 4);
        let mut accepted = 0;
        for key in identities {
            let x = URL_SAFE_NO_PAD.decode(key.jwk["x"].as_str().unwrap()).unwrap();
            let forged = key.forged.expect("a forgery under the identity");
            let (message, signature) = forged.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let verifier = Verifier::ed25519(&x.try_into().unwrap());
            // The library refuses some spellings by itself.
            accepted +=
                usize::from(verifier.is_some_and(|key| key.verify(message.as_bytes(), &signature)));
        }
        assert!(accepted > 0, "the check at load would not be needed");
    }

    #[test]
    fn a_key_without_alg_serves_each_algorithm_of_its_type_and_curve_and_no_other() {
        for (name, expected) in [
            ("RSA 2048", vec![RS256, RS384, RS512, PS256, PS384, PS512]),
            ("P-256", vec![ES256]),
            ("P-384", vec![ES384]),
            ("P-521", vec![ES512]),
            ("Ed25519", vec![EdDSA, Ed25519]),
        ] {
            assert_eq!(algorithms(&without(jwk(name), "alg")), expected, "{name}");
        }
    }

    #[test]
    fn an_ed25519_key_serves_both_names_whichever_it_names() {
        for alg in ["EdDSA", "Ed25519"] {
            let key = with(jwk("Ed25519"), "alg", alg.into());
            assert_eq!(algorithms(&key), [EdDSA, Ed25519], "{alg}");
        }
    }

    #[test]
    fn a_key_naming_one_rsa_algorithm_serves_no_other() {
        for algorithm in [RS256, RS384, RS512, PS256, PS384, PS512] {
            let key = with(jwk("RSA 2048"), "alg", algorithm.name().into());
            assert_eq!(algorithms(&key), [algorithm]);
        }
    }

    #[test]
    fn an_alg_of_another_type_or_curve_refuses_the_key() {
        for name in ["RSA 2048", "P-256", "P-384", "P-521", "Ed25519"] {
            let able = algorithms(&without(jwk(name), "alg"));
            for algorithm in Algorithm::ALL.iter().copied().filter(|one| !able.contains(one)) {
                let key = with(jwk(name), "alg", algorithm.name().into());
                assert_eq!(fault(&key), KeyFault::AlgorithmMismatch { algorithm }, "{name}");
            }
        }
    }

    #[test]
    fn an_alg_that_is_not_verified_here_refuses_the_key() {
        for alg in ["none", "None", " ", "rs256", "RS256 ", "ES256K", "RSA-OAEP", "Ed448", "RS1"] {
            let key = with(jwk("RSA 2048"), "alg", alg.into());
            assert_eq!(fault(&key), KeyFault::UnknownAlgorithm, "{alg:?}");
        }
    }

    #[test]
    fn a_private_or_symmetric_member_that_says_anything_refuses_the_key() {
        for member in PRIVATE_MEMBERS {
            for value in [json!("AA"), json!(" "), json!({}), json!([null]), json!(0), json!(false)]
            {
                for name in ["RSA 2048", "P-256", "Ed25519"] {
                    let key = with(jwk(name), member, value.clone());
                    assert_eq!(fault(&key), KeyFault::PrivateMember { member }, "{name} {value}");
                }
            }
        }
    }

    #[test]
    fn a_private_key_is_called_so_whatever_else_is_wrong_with_it() {
        let key = with(jwk("P-256"), "d", "AA".into());
        for (what, key) in [
            ("kty", without(key.clone(), "kty")),
            ("use", with(key.clone(), "use", "enc".into())),
            ("alg", with(key.clone(), "alg", "none".into())),
            ("kid", with(key.clone(), "kid", 1.into())),
            ("crv", with(key, "crv", "secp256k1".into())),
        ] {
            assert_eq!(fault(&key), KeyFault::PrivateMember { member: "d" }, "{what}");
        }
    }

    #[test]
    fn use_other_than_sig_refuses_the_key() {
        let key = jwk("P-256");
        assert_eq!(algorithms(&with(key.clone(), "use", "sig".into())), [ES256]);
        for purpose in ["enc", " ", "SIG", "sig ", "tls"] {
            let key = with(key.clone(), "use", purpose.into());
            assert_eq!(fault(&key), KeyFault::NotForSignatures, "{purpose:?}");
        }
        for purpose in [json!({}), json!(["sig"]), json!(1)] {
            let key = with(key.clone(), "use", purpose);
            assert_eq!(fault(&key), MemberFault::Type { expected: "a string" }.of("use"));
        }
    }

    #[test]
    fn key_ops_without_verify_refuses_the_key() {
        let key = jwk("P-256");
        for operations in [json!(["verify"]), json!(["sign", "verify"])] {
            assert_eq!(algorithms(&with(key.clone(), "key_ops", operations)), [ES256]);
        }
        for operations in
            [json!([null]), json!(["sign"]), json!(["Verify"]), json!([1]), json!([["verify"]])]
        {
            let key = with(key.clone(), "key_ops", operations.clone());
            assert_eq!(fault(&key), KeyFault::NotForSignatures, "{operations}");
        }
        for operations in [json!("verify"), json!(false), json!({ "verify": true })] {
            let key = with(key.clone(), "key_ops", operations.clone());
            let not_a_list = MemberFault::Type { expected: "a list" }.of("key_ops");
            assert_eq!(fault(&key), not_a_list, "{operations}");
        }
    }

    #[test]
    fn use_and_key_ops_must_both_allow_verifying() {
        let key = with(jwk("P-256"), "key_ops", json!(["verify"]));
        assert_eq!(fault(&with(key, "use", "enc".into())), KeyFault::NotForSignatures);
    }

    #[test]
    fn a_key_id_has_1_to_1024_bytes() {
        let id = |id: Value| with(jwk("P-256"), "kid", id);
        for good in ["k".to_owned(), "k".repeat(1024), "../../dev/null\n".to_owned()] {
            let keys = KeySet::from_jwk(id(good.as_str().into()).to_string()).unwrap();
            assert_eq!(keys.iter().next().unwrap().id(), Some(good.as_str()));
        }
        let keys = KeySet::from_jwk(without(jwk("P-256"), "kid").to_string()).unwrap();
        assert_eq!(keys.iter().next().unwrap().id(), None);
        for bad in ["k".repeat(1025), "é".repeat(513)] {
            assert_eq!(fault(&id(bad.into())), KeyFault::KeyId);
        }
        for bad in [json!(7), json!(["k"]), json!({}), json!(true)] {
            assert_eq!(fault(&id(bad)), MemberFault::Type { expected: "a string" }.of("kid"));
        }
    }

    #[test]
    fn members_that_are_missing_or_of_another_type_are_named() {
        for (name, members) in
            [("RSA 2048", vec!["n", "e"]), ("P-256", vec!["x", "y"]), ("Ed25519", vec!["x"])]
        {
            for member in members {
                let key = jwk(name);
                assert_eq!(fault(&without(key.clone(), member)), KeyFault::Missing { member });
                for value in [json!(1), json!({}), json!(["AA"])] {
                    let key = with(key.clone(), member, value);
                    let not_text = MemberFault::Type { expected: "a string" }.of(member);
                    assert_eq!(fault(&key), not_text, "{name}");
                }
            }
        }
        for curve in [json!(1), json!(["P-256"])] {
            let key = with(jwk("P-256"), "crv", curve);
            assert_eq!(fault(&key), MemberFault::Type { expected: "a string" }.of("crv"));
        }
    }

    #[test]
    fn a_type_or_curve_of_another_name_is_not_supported() {
        for (name, member, value) in [
            ("RSA 2048", "kty", "rsa"),
            ("P-256", "kty", "OKP"),
            ("P-256", "crv", "p-256"),
            ("P-256", "crv", "secp256k1"),
            ("P-256", "crv", "Ed25519"),
            ("Ed25519", "kty", "EC"),
            ("Ed25519", "crv", "X25519"),
        ] {
            let key = with(jwk(name), member, value.into());
            assert_eq!(fault(&key), KeyFault::Unsupported, "{name} with {member} {value}");
        }
        assert_eq!(fault(&without(jwk("P-256"), "crv")), KeyFault::Missing { member: "crv" });
    }

    /// A key of RFC 9964, A.1.
    fn akp(algorithm: Algorithm) -> Value {
        let cases: Vec<Value> =
            serde_json::from_str(include_str!("../../tests/vectors/known-answers.json")).unwrap();
        let mut cases = cases.into_iter().filter(|case| case["alg"] == algorithm.name());
        cases.next().expect("an example")["jwk"].take()
    }

    const ML_DSA: [(Algorithm, usize); 3] =
        [(ML_DSA_44, 1312), (ML_DSA_65, 1952), (ML_DSA_87, 2592)];

    #[test]
    fn an_akp_key_serves_the_algorithm_that_it_names_and_is_called_by_its_thumbprint() {
        for (algorithm, _) in ML_DSA {
            let jwk = akp(algorithm);
            assert_eq!(algorithms(&jwk), [algorithm]);
            let keys = KeySet::from_jwk(jwk.to_string()).unwrap();
            let key = keys.iter().next().unwrap();
            // The examples have their thumbprint as their id.
            assert_eq!(key.thumbprint(), jwk["kid"].as_str(), "{algorithm}");
            for purpose in [json!("sig"), json!("")] {
                assert_eq!(algorithms(&with(jwk.clone(), "use", purpose)), [algorithm]);
            }
            assert_eq!(fault(&with(jwk.clone(), "use", "enc".into())), KeyFault::NotForSignatures);
            let to_sign = with(jwk, "key_ops", json!(["sign"]));
            assert_eq!(fault(&to_sign), KeyFault::NotForSignatures);
        }
    }

    #[test]
    fn an_akp_key_without_alg_or_with_that_of_another_kind_is_refused() {
        for (algorithm, _) in ML_DSA {
            let jwk = akp(algorithm);
            for jwk in [without(jwk.clone(), "alg"), with(jwk.clone(), "alg", "".into())] {
                assert_eq!(fault(&jwk), KeyFault::Missing { member: "alg" });
            }
            for other in [ES256, RS256, Ed25519, HS256] {
                let jwk = with(jwk.clone(), "alg", other.name().into());
                assert_eq!(fault(&jwk), KeyFault::AlgorithmMismatch { algorithm: other });
            }
            for unknown in ["ML-DSA", "ML-DSA-45", "ml-dsa-44", "SLH-DSA-SHA2-128s", "HPKE-7"] {
                let jwk = with(jwk.clone(), "alg", unknown.into());
                assert_eq!(fault(&jwk), KeyFault::UnknownAlgorithm, "{unknown}");
            }
            assert_eq!(fault(&without(jwk, "pub")), KeyFault::Missing { member: "pub" });
        }
    }

    #[test]
    fn an_akp_key_of_another_length_is_refused_and_spki_is_named() {
        for (algorithm, needed) in ML_DSA {
            let jwk = akp(algorithm);
            let key = URL_SAFE_NO_PAD.decode(jwk["pub"].as_str().unwrap()).unwrap();
            assert_eq!(key.len(), needed);
            let front = [
                0x30, 0x82, 0, 0, 0x30, 0x0b, 0x06, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0x82, 0, 0,
                0,
            ];
            for bytes in [
                key[1..].to_vec(),
                [&key[..], &[0]].concat(),
                [&[0], &key[..]].concat(),
                vec![7; 1312 + 640 * usize::from(needed == 1312)],
                [&front[..], &key[..]].concat(),
            ] {
                let found = bytes.len();
                let jwk = with(jwk.clone(), "pub", URL_SAFE_NO_PAD.encode(&bytes).into());
                let expected = MemberFault::Length { curve: algorithm.name(), needed, found };
                assert_eq!(fault(&jwk), expected.of("pub"), "{found}");
                assert_eq!(
                    fault(&jwk).to_string().contains("SPKI"),
                    found == needed + 22,
                    "{found}"
                );
                assert!(!fault(&jwk).to_string().contains("zero in front"));
            }
        }
    }

    /// As an older draft had it, and one before that.
    #[test]
    fn an_ml_dsa_key_of_another_type_is_not_supported() {
        for (algorithm, _) in ML_DSA {
            let jwk = akp(algorithm);
            let x = jwk["pub"].clone();
            let okp = with(with(jwk.clone(), "kty", "OKP".into()), "crv", algorithm.name().into());
            assert_eq!(fault(&with(okp, "x", x.clone())), KeyFault::Unsupported);
            for kty in ["ML-DSA", "MLDSA", "LWE", "PQK", "akp"] {
                let jwk = with(with(jwk.clone(), "kty", kty.into()), "x", x.clone());
                assert_eq!(fault(&jwk), KeyFault::Unsupported, "{kty}");
            }
        }
    }

    #[test]
    fn base64url_with_trailing_bits_white_space_or_another_alphabet_is_malformed() {
        let x = jwk("Ed25519")["x"].as_str().unwrap().to_owned();
        let trailing = format!("{}p", &x[..x.len() - 1]); // `o` without its last bit
        for (text, why) in [
            (trailing, MemberFault::NotBase64url),
            (format!("{x}="), MemberFault::Padding),
            (format!("{x}\n"), MemberFault::WhiteSpace),
            (format!(" {x}"), MemberFault::WhiteSpace),
            (x.replace('_', "/"), MemberFault::StandardBase64),
        ] {
            let key = with(jwk("Ed25519"), "x", text.as_str().into());
            assert_eq!(fault(&key), why.of("x"), "{text:?}");
        }
    }

    #[test]
    fn leading_zeros_of_rsa_numbers_do_not_count() {
        let key = jwk("RSA 2048");
        let pad = |member: &str| {
            let number = URL_SAFE_NO_PAD.decode(key[member].as_str().unwrap()).unwrap();
            URL_SAFE_NO_PAD.encode([vec![0; 300], number].concat())
        };
        let padded = with(with(key.clone(), "n", pad("n").into()), "e", pad("e").into());
        assert_eq!(algorithms(&padded), [RS256]);
        // Nothing but zeros is nothing.
        for nothing in ["AA", "AAAA"] {
            let n = with(key.clone(), "n", nothing.into());
            assert_eq!(fault(&n), KeyFault::ModulusSize { bits: 0 });
            assert_eq!(fault(&with(key.clone(), "e", nothing.into())), KeyFault::Exponent);
        }
    }

    #[test]
    fn an_exponent_has_at_most_33_bits() {
        let exponent = |number: u64| {
            with(jwk("RSA 2048"), "e", URL_SAFE_NO_PAD.encode(number.to_be_bytes()).into())
        };
        assert_eq!(algorithms(&exponent((1 << 33) - 1)), [RS256]);
        assert_eq!(fault(&exponent((1 << 33) + 1)), KeyFault::Exponent);
    }

    #[test]
    fn a_key_that_is_not_one_json_object_is_refused() {
        let key = jwk("P-256").to_string();
        for (text, found) in [
            ("", NotAnObject::Nothing),
            ("null", NotAnObject::Value),
            ("7", NotAnObject::Value),
            ("\"key\"", NotAnObject::Value),
            ("[]", NotAnObject::List),
            ("{", NotAnObject::Other),
            ("\u{feff}\u{feff}{}", NotAnObject::Other),
            (&format!("{key}{key}"), NotAnObject::Other),
            (&format!("[{key}]"), NotAnObject::List),
            (&key.replace('"', "'"), NotAnObject::Other),
        ] {
            assert_eq!(
                KeySet::from_jwk(text).map(drop),
                Err(KeyFault::NotAnObject(found)),
                "{text}"
            );
        }
        let not_utf8 = [key.as_bytes(), b"\xff"].concat();
        assert_eq!(KeySet::from_jwk(not_utf8).map(drop), Err(KeyFault::Text(TextFault::NotUtf8)));
    }

    #[test]
    fn a_duplicate_member_in_any_spelling_refuses_the_key() {
        let key = jwk("P-256").to_string();
        let rest = key.strip_prefix('{').unwrap();
        for text in [
            format!(r#"{{"alg":"ES256",{rest}"#),
            format!(r#"{{"\u0061lg":"ES256",{rest}"#),
            format!(r#"{{"ext":{{"a":1,"\u0061":1}},{rest}"#),
        ] {
            assert_eq!(
                KeySet::from_jwk(&text).map(drop),
                Err(KeyFault::Json(JsonFault::DuplicateMember)),
                "{text}"
            );
        }
    }

    #[test]
    fn a_jwk_set_is_no_jwk() {
        let set = json!({ "keys": [jwk("P-256")] });
        assert_eq!(fault(&set), KeyFault::Missing { member: "kty" });
    }
}
