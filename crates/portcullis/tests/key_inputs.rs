//! Keys and secrets as real providers and editors write them, and what is said of those that cannot be used.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::path::Path;

use base64::prelude::*;
use portcullis::Algorithm::{ES256, EdDSA, HS256, RS256};
use portcullis::{Algorithm, Encoding, Issuer, KeyFile, KeySet, Policy, Secret};
use serde_json::{Value, json};

const MARK: &str = "\u{feff}";

fn vector(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/pem");
    std::fs::read(folder.join(name)).unwrap()
}

/// The public key of this name of `pem/keys.json`.
fn jwk(name: &str) -> Value {
    let keys: Value = serde_json::from_slice(&vector("keys.json")).unwrap();
    keys[name]["jwk"].clone()
}

fn with(mut jwk: Value, member: &str, value: Value) -> Value {
    jwk[member] = value;
    jwk
}

fn without(mut jwk: Value, members: &[&str]) -> Value {
    jwk.as_object_mut().unwrap().retain(|name, _| !members.contains(&name.as_str()));
    jwk
}

/// What is said of an input that cannot be used.
fn said(keys: Result<KeySet, portcullis::keys::KeyFault>) -> String {
    keys.map(drop).unwrap_err().to_string()
}

fn of_jwk(jwk: &Value) -> String {
    said(KeySet::from_jwk(jwk.to_string()))
}

fn algorithms(keys: &KeySet) -> Vec<Algorithm> {
    keys.iter().map(|key| key.algorithm()).collect()
}

/// In UTF-16, as editors on Windows save it: with a mark or without, in either order.
fn in_utf16(text: &str) -> [Vec<u8>; 4] {
    let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = format!("{MARK}{text}");
    [little(text), big(text), little(&marked), big(&marked)]
}

mod members_that_say_nothing {
    use super::*;

    const NOTHING: [fn() -> Value; 3] = [|| json!(null), || json!(""), || json!([])];

    #[test]
    fn a_member_that_may_be_absent_and_says_nothing_is_absent() {
        let members = [
            "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "d", "p", "q", "dp",
            "dq", "qi", "oth", "k", "other",
        ];
        for name in ["rsa", "p256", "ed25519"] {
            let plain = KeySet::from_jwk(jwk(name).to_string()).unwrap();
            for member in members {
                for nothing in NOTHING {
                    let key = with(jwk(name), member, nothing());
                    let what = format!("{name}: {member}: {}", nothing());
                    let keys = KeySet::from_jwk(key.to_string()).expect(&what);
                    assert_eq!(algorithms(&keys), algorithms(&plain), "{what}");
                    assert_eq!(keys.iter().next().unwrap().id(), None, "{what}");
                }
            }
        }
    }

    #[test]
    fn a_key_written_with_every_member_there_is_reads_as_without_the_empty_ones() {
        let mut key = jwk("rsa");
        for member in ["crv", "d", "dp", "dq", "k", "p", "q", "qi", "x", "y", "x5t", "x5u", "kid"] {
            key[member] = json!(null);
        }
        for member in ["oth", "key_ops", "x5c"] {
            key[member] = json!([]);
        }
        let set = KeySet::from_jwks(json!({ "keys": [key] }).to_string()).unwrap();
        assert_eq!((set.len(), set.skipped().len()), (6, 0));
    }

    #[test]
    fn a_member_that_must_be_there_and_says_nothing_is_missing() {
        for (name, members) in [
            ("rsa", vec!["kty", "n", "e"]),
            ("p256", vec!["kty", "crv", "x", "y"]),
            ("ed25519", vec!["kty", "crv", "x"]),
        ] {
            for member in members {
                for nothing in NOTHING {
                    let said = of_jwk(&with(jwk(name), member, nothing()));
                    assert_eq!(said, format!("`{member}` is missing"), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_private_member_that_says_anything_refuses_the_key() {
        for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            let values =
                [json!("AA"), json!(" "), json!(0), json!(false), json!({}), json!([null])];
            for value in values {
                let said = of_jwk(&with(jwk("rsa"), member, value));
                assert!(said.contains(&format!("member `{member}`")), "{said}");
                assert!(said.contains("replace this key"), "{said}");
            }
        }
    }
}

mod text {
    use super::*;

    #[test]
    fn a_byte_order_mark_in_front_of_utf_8_is_not_part_of_the_text() {
        let folder = tempfile::tempdir().unwrap();
        let set = json!({ "keys": [jwk("p256")] });
        let marked = |text: &str| format!("{MARK}{text}");
        let pem = String::from_utf8(vector("p256-spki.pem")).unwrap();
        let (jwks_file, pem_file) = (folder.path().join("jwks"), folder.path().join("pem"));
        std::fs::write(&jwks_file, marked(&set.to_string())).unwrap();
        std::fs::write(&pem_file, marked(&pem)).unwrap();
        assert!(KeyFile::jwks(jwks_file).open().is_ok());
        assert!(KeyFile::pem(pem_file).open().is_ok());
        assert!(KeySet::from_jwks(marked(&set.to_string())).is_ok());
        assert!(KeySet::from_jwk(marked(&jwk("p256").to_string())).is_ok());
        assert!(KeySet::from_pem(marked(&pem)).is_ok());
        // One mark: a second one is not.
        assert!(KeySet::from_jwks(marked(&marked(&set.to_string()))).is_err());
    }

    #[test]
    fn utf_16_is_called_so() {
        let set = json!({ "keys": [jwk("p256")] }).to_string();
        let pem = String::from_utf8(vector("p256-spki.pem")).unwrap();
        for text in in_utf16(&set) {
            for said in [said(KeySet::from_jwks(&text)), said(KeySet::from_jwk(&text))] {
                assert_eq!(said, "the text is UTF-16: save it as UTF-8");
            }
        }
        for text in in_utf16(&pem) {
            assert_eq!(said(KeySet::from_pem(text)), "the text is UTF-16: save it as UTF-8");
        }
    }

    #[test]
    fn what_is_no_json_object_is_called_what_it_is() {
        let key = jwk("p256").to_string();
        for (text, expected) in [
            (
                b"{\"a\":\"\xfc\"}".to_vec(),
                "the text is not UTF-8, but Latin-1 perhaps: save it as UTF-8",
            ),
            (b"".to_vec(), "there is nothing, and a JSON object is needed"),
            (b" \n".to_vec(), "there is nothing, and a JSON object is needed"),
            (format!("[{key}]").into_bytes(), "this is a JSON list, and a JSON object is needed"),
            (b"null".to_vec(), "this is a JSON value, and a JSON object is needed"),
            (b"7".to_vec(), "this is a JSON value, and a JSON object is needed"),
            (b"\"key\"".to_vec(), "this is a JSON value, and a JSON object is needed"),
            (b"<!DOCTYPE html><html>".to_vec(), "this is HTML or XML, and a JSON object is needed"),
            (
                vector("p256-spki.pem"),
                "this is PEM, and a JSON object is needed: `KeySet::from_pem` reads it, and `pem_file` of a policy file",
            ),
            (b"{".to_vec(), "this is not JSON, or not all of it"),
            (format!("{key}{key}").into_bytes(), "this is not JSON, or not all of it"),
            (b"key".to_vec(), "this is not JSON, or not all of it"),
        ] {
            assert_eq!(said(KeySet::from_jwks(&text)), expected);
            assert_eq!(said(KeySet::from_jwk(&text)), expected);
        }
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_not_said_of_the_set() {
        let twice = r#"{"kty":"RSA","kty":"RSA"}"#;
        let set = format!(r#"{{"keys":[null,[],{twice},{}]}}"#, jwk("p256"));
        let set = KeySet::from_jwks(set).unwrap();
        let said: Vec<_> = set.skipped().iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "key 0: this is a JSON value, and a JSON object is needed",
                "key 1: this is a JSON list, and a JSON object is needed",
                "key 2: its JSON has a duplicate member",
            ]
        );
    }

    #[test]
    fn certificates_by_key_id_are_called_so() {
        let pem = String::from_utf8(vector("rsa-cert.pem")).unwrap();
        let said = said(KeySet::from_jwks(json!({ "id": pem }).to_string()));
        assert!(said.starts_with("these are certificates by key id, not a JWK set"), "{said}");
    }
}

mod members {
    use super::*;

    #[test]
    fn a_member_that_cannot_be_read_says_why() {
        let rsa = jwk("rsa");
        let n = rsa["n"].as_str().unwrap();
        let standard = BASE64_STANDARD.encode(BASE64_URL_SAFE_NO_PAD.decode(n).unwrap());
        let padded = BASE64_URL_SAFE.encode(BASE64_URL_SAFE_NO_PAD.decode(n).unwrap());
        for (n, why) in [
            (
                json!(standard),
                "is in standard base64 (`+` and `/`), and must be base64url (`-` and `_`)",
            ),
            (json!(padded), "has padding (`=`), which must be left out here"),
            (json!(format!("{n}\n")), "has white space in it"),
            (json!(format!("{n}*")), "is not base64url"),
            (json!(7), "is not a string"),
        ] {
            assert_eq!(of_jwk(&with(rsa.clone(), "n", n)), format!("`n` {why}"));
        }
        let ops = with(rsa, "key_ops", json!("verify"));
        assert_eq!(of_jwk(&ops), "`key_ops` is not a list");
    }

    #[test]
    fn a_coordinate_without_its_leading_zero_says_so() {
        for (name, member, curve, length) in
            [("p256", "x", "P-256", 32), ("p384", "y", "P-384", 48), ("p521", "x", "P-521", 66)]
        {
            let cut = |found: usize| {
                let number = BASE64_URL_SAFE_NO_PAD.encode(vec![1; found]);
                of_jwk(&with(jwk(name), member, json!(number)))
            };
            let (short, long) = (length - 1, length + 1);
            assert_eq!(
                cut(short),
                format!(
                    "`{member}` has {short} bytes where {curve} needs {length}: a zero in front was left out, and must not be"
                )
            );
            assert_eq!(
                cut(long),
                format!("`{member}` has {long} bytes where {curve} needs {length}")
            );
        }
    }
}

mod certificates {
    use super::*;

    fn certificate(name: &str) -> String {
        let pem = String::from_utf8(vector(name)).unwrap();
        pem.lines().filter(|line| !line.starts_with('-')).collect()
    }

    #[test]
    fn a_key_that_has_only_a_certificate_is_read_from_it() {
        for (name, file, expected) in [
            ("rsa", "rsa-cert.pem", RS256),
            ("p256", "p256-cert.pem", ES256),
            ("ed25519", "ed25519-cert.pem", EdDSA),
        ] {
            let plain = jwk(name);
            let only = without(plain.clone(), &["n", "e", "x", "y"]);
            let only = with(only, "x5c", json!([certificate(file), "not looked at"]));
            for key in [without(only.clone(), &["crv"]), with(only, "alg", json!(expected.name()))]
            {
                let keys = KeySet::from_jwk(key.to_string()).expect(name);
                assert!(algorithms(&keys).contains(&expected), "{name}");
            }
        }
    }

    #[test]
    fn a_certificate_of_another_key_than_the_members_refuses_the_key() {
        let own = with(jwk("rsa"), "x5c", json!([certificate("rsa-cert.pem")]));
        assert!(KeySet::from_jwk(own.to_string()).is_ok());
        for file in ["p256-cert.pem", "ed25519-cert.pem"] {
            let other = with(jwk("rsa"), "x5c", json!([certificate(file)]));
            assert_eq!(
                of_jwk(&other),
                "the certificate in `x5c` has another key than the other members of the JWK"
            );
        }
    }
}

mod secrets {
    use super::*;

    const GOOD: &str = "v8Qx3LrT0pZk7NsWd2Yb5Hc9Jf4MgA6e";

    fn said(secret: Secret) -> Option<String> {
        let issuer = Issuer::new("https://id.example").algorithms([HS256]).keys(secret);
        let built = Policy::builder().issuer(issuer.audience("a")).build();
        built.err().map(|error| error.to_string())
    }

    fn in_file(content: impl AsRef<[u8]>, encoding: Encoding) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        said(Secret::file(path, encoding))
    }

    #[test]
    fn what_an_editor_adds_to_a_raw_secret_refuses_it_by_name() {
        for (content, what) in [
            (format!("{MARK}{GOOD}"), "byte order mark"),
            (format!("{GOOD}\n\n"), "white space"),
            (format!("{GOOD}\r\n\r\n"), "white space"),
            (format!("{GOOD} "), "white space"),
            (format!("{GOOD} \n"), "white space"),
            (format!(" {GOOD}"), "white space"),
            (format!("\"{GOOD}\""), "quotes"),
            (format!("'{GOOD}'\n"), "quotes"),
        ] {
            let said = in_file(&content, Encoding::Raw).unwrap_or_default();
            assert!(said.contains(what), "{content:?}: {said}");
        }
        for content in in_utf16(GOOD) {
            let said = in_file(content, Encoding::Raw).unwrap_or_default();
            assert!(said.contains("UTF-16"), "{said}");
        }
        for good in [GOOD.to_owned(), format!("{GOOD}\n"), format!("{GOOD}\r\n")] {
            assert_eq!(in_file(good, Encoding::Raw), None);
        }
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_what_is_encoded() {
        let base64 = BASE64_URL_SAFE_NO_PAD.encode(GOOD);
        let hex: String = GOOD.bytes().map(|byte| format!("{byte:02x}")).collect();
        for (text, encoding) in [(base64, Encoding::Base64url), (hex, Encoding::Hex)] {
            assert_eq!(in_file(format!("{MARK}{text}\n"), encoding), None);
            for content in in_utf16(&text) {
                let said = in_file(content, encoding).unwrap_or_default();
                assert!(said.contains("UTF-16"), "{said}");
            }
        }
    }

    #[test]
    fn a_number_of_a_public_key_of_the_policy_is_not_a_secret() {
        for (name, algorithm, members) in [
            ("rsa", RS256, vec!["n"]),
            ("p256", ES256, vec!["x", "y"]),
            ("ed25519", EdDSA, vec!["x"]),
        ] {
            let keys = KeySet::from_jwk(jwk(name).to_string()).unwrap();
            let thumbprint = keys.iter().next().unwrap().thumbprint().unwrap();
            let numbers =
                members.iter().map(|member| jwk(name)[member].as_str().unwrap().to_owned());
            for text in numbers.chain([thumbprint.to_owned()]) {
                let bytes = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
                let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
                for secret in [
                    Secret::new(text.clone()),
                    Secret::new(bytes.clone()),
                    Secret::new(hex.clone()),
                    Secret::encoded(text.clone(), Encoding::Base64url),
                    Secret::encoded(hex, Encoding::Hex),
                    Secret::new(BASE64_STANDARD.encode(&bytes)),
                ] {
                    let issuer = Issuer::new("https://id.example").algorithms([HS256, algorithm]);
                    let both = portcullis::Keys::from(keys.clone()).and(secret);
                    let issuer = issuer.keys(both).audience("a");
                    let said = Policy::builder().issuer(issuer).build().map(drop).unwrap_err();
                    assert!(said.to_string().contains("public key"), "{name} {text}: {said}");
                }
            }
        }
    }

    #[test]
    fn a_hash_of_a_published_default_is_as_published() {
        for hash in [
            "5ebe2294ecd0e0f08eab7690d2a6ee69",         // MD5 of `secret`
            "d41d8cd98f00b204e9800998ecf8427e",         // of nothing
            "da39a3ee5e6b4b0d3255bfef95601890afd80709", // SHA-1 of nothing
            "5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8", // of `password`
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", // SHA-256 of nothing
            "5E884898DA28047151D0E56F8DC6292773603D0D6AABBDD62A11EF721D1542D8", // of `password`
            "K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=",                     // of `secret`
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        ] {
            let said = said(Secret::new(hash)).unwrap_or_default();
            assert!(said.contains("published"), "{hash}: {said}");
        }
    }
}
