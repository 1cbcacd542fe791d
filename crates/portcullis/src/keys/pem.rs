//! PEM and DER: SPKI (RFC 5280 §4.1.2.7), PKCS#1 (RFC 8017 §A.1.1), X.509 certificates.
use spki::SubjectPublicKeyInfoRef;
use spki::der::asn1::{AnyRef, BitStringRef, ObjectIdentifier, UintRef};
use spki::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::Certificate;

use super::public::{Curve, ParameterSet, PublicKey};
use super::{KeyFault, jwk};
use crate::text::{TextFault, pem_blocks};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
// RFC 9881 §2.
const ML_DSA_44: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const ML_DSA_87: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// The public keys in `input`, which may hold several blocks.
pub(super) fn read_pem(input: &[u8]) -> Result<Vec<PublicKey>, KeyFault> {
    if input.len() > jwk::MAX_BYTES {
        return Err(KeyFault::TooLarge { length: input.len() });
    }
    if crate::text::read(input) == Err(TextFault::Utf16) {
        return Err(KeyFault::Text(TextFault::Utf16));
    }
    let blocks = pem_blocks(input).ok_or(KeyFault::Pem)?;
    // Before all else: `openssl ecparam -genkey` writes the key after a block of parameters.
    if let Some(block) = blocks.iter().find(|block| block.tag().contains("PRIVATE KEY")) {
        return Err(KeyFault::PrivateKey { label: label(block) });
    }
    blocks
        .iter()
        .map(|block| match block.tag() {
            "PUBLIC KEY" => from_spki(block.contents()),
            "RSA PUBLIC KEY" => from_pkcs1(block.contents()),
            "CERTIFICATE" => from_certificate(block.contents()),
            _ => Err(KeyFault::PemLabel { label: label(block) }),
        })
        .collect()
}

/// What a block calls itself, fit for a log.
fn label(block: &::pem::Pem) -> String {
    block.tag().chars().filter(|character| !character.is_control()).take(64).collect()
}

/// The public key in `input`, whichever of the three forms it has.
pub(super) fn read_der(input: &[u8]) -> Result<PublicKey, KeyFault> {
    let fault = match from_spki(input) {
        Err(KeyFault::Der) => KeyFault::Der,
        decided => return decided,
    };
    from_pkcs1(input).or_else(|_| from_certificate(input)).map_err(|error| {
        if is_private(input) {
            KeyFault::PrivateKey { label: "DER".to_owned() }
        } else if error == KeyFault::Der {
            fault
        } else {
            error
        }
    })
}

fn from_spki(input: &[u8]) -> Result<PublicKey, KeyFault> {
    let info = SubjectPublicKeyInfoRef::from_der(input).map_err(|_| KeyFault::Der)?;
    from_info(&info)
}

pub(super) fn from_certificate(input: &[u8]) -> Result<PublicKey, KeyFault> {
    let certificate = Certificate::from_der(input).map_err(|_| KeyFault::Der)?;
    let info = certificate
        .tbs_certificate()
        .subject_public_key_info()
        .to_der()
        .map_err(|_| KeyFault::Der)?;
    from_spki(&info)
}

fn from_info(info: &SubjectPublicKeyInfoRef<'_>) -> Result<PublicKey, KeyFault> {
    let key: BitStringRef<'_> = info.subject_public_key;
    let key = key.as_bytes().ok_or(KeyFault::Der)?;
    match info.algorithm.oid {
        RSA_ENCRYPTION => from_pkcs1(key),
        EC_PUBLIC_KEY => {
            let parameters: AnyRef<'_> = info.algorithm.parameters.ok_or(KeyFault::Der)?;
            let curve = match parameters
                .decode_as::<ObjectIdentifier>()
                .map_err(|_| KeyFault::Unsupported)?
            {
                P256 => Curve::P256,
                P384 => Curve::P384,
                P521 => Curve::P521,
                _ => return Err(KeyFault::Unsupported),
            };
            PublicKey::from_point(curve, key)
        }
        ED25519 => Ok(PublicKey::Ed25519(key.try_into().map_err(|_| KeyFault::Der)?)),
        ML_DSA_44 => ml_dsa(ParameterSet::N44, info, key),
        ML_DSA_65 => ml_dsa(ParameterSet::N65, info, key),
        ML_DSA_87 => ml_dsa(ParameterSet::N87, info, key),
        _ => Err(KeyFault::Unsupported),
    }
}

/// RFC 9881 §2: there are no parameters. §4: the key stands in the bit string as it is.
fn ml_dsa(
    parameters: ParameterSet,
    info: &SubjectPublicKeyInfoRef<'_>,
    key: &[u8],
) -> Result<PublicKey, KeyFault> {
    if info.algorithm.parameters.is_some() || key.len() != parameters.length() {
        return Err(KeyFault::Der);
    }
    Ok(PublicKey::MlDsa { parameters, key: key.to_vec() })
}

fn from_pkcs1(input: &[u8]) -> Result<PublicKey, KeyFault> {
    let numbers = || -> spki::der::Result<PublicKey> {
        let mut reader = SliceReader::new(input)?;
        let key = reader.sequence(|reader| {
            let modulus = UintRef::decode(reader)?.as_bytes().to_vec();
            let exponent = UintRef::decode(reader)?.as_bytes().to_vec();
            Ok::<_, spki::der::Error>(PublicKey::Rsa { modulus, exponent })
        })?;
        reader.finish()?;
        Ok(key)
    };
    numbers().map_err(|_| KeyFault::Der)
}

/// Whether it starts as PKCS#8 and PKCS#1 private keys and SEC 1 EC keys do: a sequence whose
/// first element is a version of 0 or 1.
fn is_private(input: &[u8]) -> bool {
    let version = || -> spki::der::Result<bool> {
        let outer = AnyRef::from_der(input)?;
        let mut reader = SliceReader::new(outer.value())?;
        Ok(matches!(UintRef::decode(&mut reader)?.as_bytes(), [0 | 1]))
    };
    version().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;
    use crate::keys::KeySet;
    use crate::signature::Algorithm;

    #[derive(Deserialize)]
    struct Expected {
        alg: String,
        jwk: Value,
        token: String,
    }

    fn keys() -> BTreeMap<String, Expected> {
        serde_json::from_str(include_str!("../../tests/vectors/pem/keys.json")).unwrap()
    }

    fn file(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/pem");
        std::fs::read(folder.join(name)).expect(name)
    }

    fn text(name: &str) -> String {
        String::from_utf8(file(name)).unwrap()
    }

    fn der(name: &str) -> Vec<u8> {
        ::pem::parse(file(name)).expect(name).into_contents()
    }

    fn verifies(set: &KeySet, expected: &Expected) -> bool {
        let algorithm: Algorithm = expected.alg.parse().unwrap();
        let (message, signature) = expected.token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let mut keys = set.iter().filter(|key| key.algorithm() == algorithm);
        keys.any(|key| key.verifier().verify(message.as_bytes(), &signature))
    }

    /// Every file that must load, and its key in `keys.json`.
    const GOOD: [(&str, &str); 9] = [
        ("rsa-spki.pem", "rsa"),
        ("rsa-pkcs1-public.pem", "rsa"),
        ("rsa-cert.pem", "rsa"),
        ("p256-spki.pem", "p256"),
        ("p256-cert.pem", "p256"),
        ("p384-spki.pem", "p384"),
        ("p521-spki.pem", "p521"),
        ("ed25519-spki.pem", "ed25519"),
        ("ed25519-cert.pem", "ed25519"),
    ];

    fn private(label: &str) -> KeyFault {
        KeyFault::PrivateKey { label: label.to_owned() }
    }

    fn label(label: &str) -> KeyFault {
        KeyFault::PemLabel { label: label.to_owned() }
    }

    /// Every file that must be refused, and why.
    fn bad() -> Vec<(&'static str, KeyFault)> {
        vec![
            ("ed25519-pkcs8-private.pem", private("PRIVATE KEY")),
            ("openssh-private.pem", private("OPENSSH PRIVATE KEY")),
            ("p256-pkcs8-private.pem", private("PRIVATE KEY")),
            ("p256-sec1-private.pem", private("EC PRIVATE KEY")),
            ("rsa-pkcs1-private.pem", private("RSA PRIVATE KEY")),
            ("rsa-pkcs8-private.pem", private("PRIVATE KEY")),
            ("rsa-pkcs8-encrypted-private.pem", private("ENCRYPTED PRIVATE KEY")),
            ("rsa-csr.pem", label("CERTIFICATE REQUEST")),
            ("rsa1024-spki.pem", KeyFault::ModulusSize { bits: 1024 }),
            ("rsa-pss-spki.pem", KeyFault::Unsupported),
            ("secp256k1-spki.pem", KeyFault::Unsupported),
            ("ed448-spki.pem", KeyFault::Unsupported),
            ("x25519-spki.pem", KeyFault::Unsupported),
            ("ssh-ed25519.pub", KeyFault::Pem),
        ]
    }

    #[test]
    fn every_file_of_the_vectors_is_tested() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/pem");
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        let mut expected = vec!["keys.json".to_owned(), "rsa-spki.der".to_owned()];
        expected.extend(GOOD.iter().map(|(name, _)| (*name).to_owned()));
        expected.extend(bad().into_iter().map(|(name, _)| name.to_owned()));
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn a_public_key_in_pem_verifies_its_token_and_no_other() {
        let keys = keys();
        for (name, key) in GOOD {
            let set = KeySet::from_pem(file(name)).expect(name);
            for (other, expected) in &keys {
                assert_eq!(verifies(&set, expected), other == key, "{name}: token of {other}");
            }
        }
    }

    #[test]
    fn a_public_key_in_der_verifies_its_token() {
        let keys = keys();
        for (name, key) in GOOD {
            let set = KeySet::from_der(der(name)).expect(name);
            assert!(verifies(&set, &keys[key]), "{name}");
        }
        let set = KeySet::from_der(file("rsa-spki.der")).unwrap();
        assert!(verifies(&set, &keys["rsa"]));
    }

    #[test]
    fn a_key_is_the_same_in_pem_and_in_a_jwk() {
        let keys = keys();
        for (name, key) in GOOD {
            let from_pem = KeySet::from_pem(file(name)).expect(name);
            let from_jwk = KeySet::from_jwk(keys[key].jwk.to_string()).expect(key);
            assert_eq!(from_pem.len(), from_jwk.len(), "{name}");
            for (one, other) in from_pem.iter().zip(from_jwk.iter()) {
                assert!(one.is_same_as(other), "{name}: {one:?}");
            }
        }
    }

    #[test]
    fn what_is_no_public_key_is_refused_by_name() {
        for (name, expected) in bad() {
            assert_eq!(KeySet::from_pem(file(name)).map(drop), Err(expected), "{name}");
        }
    }

    #[test]
    fn a_private_key_in_der_is_refused_as_one() {
        for name in [
            "ed25519-pkcs8-private.pem",
            "p256-pkcs8-private.pem",
            "p256-sec1-private.pem",
            "rsa-pkcs1-private.pem",
            "rsa-pkcs8-private.pem",
        ] {
            assert_eq!(KeySet::from_der(der(name)).map(drop), Err(private("DER")), "{name}");
        }
    }

    #[test]
    fn der_that_is_no_key_to_verify_with_is_refused() {
        for (name, expected) in [
            ("rsa1024-spki.pem", KeyFault::ModulusSize { bits: 1024 }),
            ("rsa-pss-spki.pem", KeyFault::Unsupported),
            ("secp256k1-spki.pem", KeyFault::Unsupported),
            ("x25519-spki.pem", KeyFault::Unsupported),
            ("rsa-csr.pem", KeyFault::Der),
            ("rsa-pkcs8-encrypted-private.pem", KeyFault::Der),
        ] {
            assert_eq!(KeySet::from_der(der(name)).map(drop), Err(expected), "{name}");
        }
        for bytes in [&b""[..], b"\x30\x00", b"0", &file("rsa-spki.pem"), &[0xff; 64]] {
            assert_eq!(KeySet::from_der(bytes).map(drop), Err(KeyFault::Der), "{bytes:?}");
        }
    }

    #[test]
    fn der_cut_short_or_with_something_behind_it_is_refused() {
        for (name, _) in GOOD {
            let der = der(name);
            for length in 0..der.len() {
                let cut = KeySet::from_der(&der[..length]).map(drop);
                assert_eq!(cut, Err(KeyFault::Der), "{name} cut to {length}");
            }
            let more = [der, vec![0]].concat();
            assert_eq!(KeySet::from_der(more).map(drop), Err(KeyFault::Der), "{name}");
        }
    }

    #[test]
    fn a_private_key_is_named_wherever_it_stands() {
        let public = text("rsa-spki.pem");
        let key = text("p256-sec1-private.pem");
        // What `openssl ecparam -genkey` writes first: the curve's name.
        let parameters =
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let broken = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
        for (what, pem) in [
            ("after a public key", format!("{public}{key}")),
            ("before a public key", format!("{key}{public}")),
            ("after parameters", format!("{parameters}{key}")),
            ("after a broken key", format!("{broken}{key}")),
        ] {
            let refused = KeySet::from_pem(pem).map(drop);
            assert_eq!(refused, Err(private("EC PRIVATE KEY")), "{what}");
        }
    }

    #[test]
    fn several_blocks_give_the_keys_of_each() {
        let keys = keys();
        let pem: String = ["p256-cert.pem", "ed25519-spki.pem", "p384-spki.pem"].map(text).concat();
        let set = KeySet::from_pem(pem).unwrap();
        assert_eq!(set.len(), 4); // one of them for both names of Ed25519
        for key in ["p256", "ed25519", "p384"] {
            assert!(verifies(&set, &keys[key]), "{key}");
        }
        assert!(!verifies(&set, &keys["rsa"]));
    }

    #[test]
    fn one_bad_block_refuses_the_file() {
        let pem = text("p256-spki.pem") + &text("rsa1024-spki.pem");
        assert_eq!(KeySet::from_pem(pem).map(drop), Err(KeyFault::ModulusSize { bits: 1024 }));
    }

    #[test]
    fn a_file_cut_short_is_refused_wherever_it_is_cut() {
        let first = text("p256-spki.pem");
        let both = format!("{first}{}", text("p384-spki.pem"));
        // Where the first key is whole and nothing of the second can be seen, nobody can know.
        let begins = first.len() + crate::text::PEM_BEGIN.len();
        for length in (1..first.trim_end().len()).chain(begins..both.trim_end().len()) {
            let refused = KeySet::from_pem(&both[..length]).map(drop);
            assert_eq!(refused, Err(KeyFault::Pem), "cut to {length}");
        }
        assert_eq!(KeySet::from_pem(both).map(|set| set.len()), Ok(2));
    }

    #[test]
    fn white_space_line_ends_and_text_around_the_blocks_do_not_matter() {
        let pem = text("p256-spki.pem");
        for (what, pem) in [
            ("CRLF", pem.replace('\n', "\r\n")),
            ("no newline at the end", pem.trim_end().to_owned()),
            ("text around", format!("Bag Attributes\n    friendlyName: x\n{pem}\nbye\n")),
            ("leading white space", format!(" \n\t{pem}")),
        ] {
            assert_eq!(KeySet::from_pem(pem).map(|set| set.len()), Ok(1), "{what}");
        }
    }

    #[test]
    fn what_is_not_pem_is_refused() {
        let pem = text("p256-spki.pem");
        for (what, pem) in [
            ("nothing", String::new()),
            ("text", "hello".to_owned()),
            ("a JWK", keys()["p256"].jwk.to_string()),
            ("other label at the end", pem.replace("END PUBLIC", "END RSA PUBLIC")),
            ("no base64", pem.replace('M', "!")),
            ("no label", pem.replace("PUBLIC KEY", "")),
        ] {
            assert_eq!(KeySet::from_pem(pem).map(drop), Err(KeyFault::Pem), "{what}");
        }
    }

    #[test]
    fn a_label_that_lies_about_its_content_is_refused() {
        let spki = text("rsa-spki.pem");
        for to in ["RSA PUBLIC KEY", "CERTIFICATE"] {
            let pem = spki.replace("PUBLIC KEY", to);
            assert_eq!(KeySet::from_pem(pem).map(drop), Err(KeyFault::Der), "{to}");
        }
        let private = text("rsa-pkcs8-private.pem").replace("PRIVATE", "PUBLIC");
        assert_eq!(KeySet::from_pem(private).map(drop), Err(KeyFault::Der));
    }

    #[test]
    fn a_label_in_a_fault_is_short_and_without_control_characters() {
        let name = format!("X\n\u{1b}[31m{}", "Y".repeat(100));
        let pem = format!("-----BEGIN {name}-----\nAAAA\n-----END {name}-----\n");
        let expected = format!("X[31m{}", "Y".repeat(59));
        assert_eq!(KeySet::from_pem(pem).map(drop), Err(label(&expected)));
    }

    #[test]
    fn compressed_points_are_not_supported() {
        let mut der = der("p256-spki.pem");
        // SubjectPublicKeyInfo of P-256: 26 bytes, then the point.
        let parity = der.last().unwrap() & 1;
        der.truncate(26 + 33);
        (der[1], der[24], der[26]) = (57, 34, 2 | parity);
        assert_eq!(KeySet::from_der(der).map(drop), Err(KeyFault::Unsupported));
    }

    #[test]
    fn more_than_256_kib_is_refused_unread() {
        let mut pem = file("p256-spki.pem");
        pem.resize(256 * 1024, b'\n');
        assert_eq!(KeySet::from_pem(&pem).map(|set| set.len()), Ok(1));
        pem.push(b'\n');
        let length = pem.len();
        assert_eq!(KeySet::from_pem(pem).map(drop), Err(KeyFault::TooLarge { length }));
    }
}
