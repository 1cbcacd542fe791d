//! Secrets, public keys, key files and key sources, as a policy uses them.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use base64::prelude::*;
use portcullis::Algorithm::{
    self, ES256, ES384, ES512, Ed25519, EdDSA, HS256, HS384, HS512, ML_DSA_44, ML_DSA_65,
    ML_DSA_87, PS256, RS256,
};
use portcullis::error::{ClaimsError, SignatureError, TypeName};
use portcullis::keys::{
    KeyError, KeyFault, KeyFileError, KeyFileEvent, KeyFileStatus, KeyFuture, KeyQuery,
    KeysUnavailable, NotAnObject, SecretFault, Stray, Weakness,
};
use portcullis::policy::PolicyFault;
use portcullis::{
    BuildError, Encoding, Error, Issuer, KeyFile, KeySet, KeySource, Keys, Policy, Secret, UnixTime,
};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer, TokenBuilder, hostile};
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = TestIssuer::AUDIENCE;

const BAD_SIGNATURE: Error = Error::Signature(SignatureError::new());
const UNKNOWN_KEY: Error = Error::Key(KeyError::Unknown);

fn test_issuer() -> TestIssuer {
    TestIssuer::new(ISSUER).at(NOW)
}

fn issuer(algorithms: &[Algorithm], keys: impl Into<Keys>) -> Issuer {
    Issuer::new(ISSUER).algorithms(algorithms.iter().copied()).keys(keys).audience(AUDIENCE)
}

fn build(issuer: Issuer) -> Result<Policy, BuildError> {
    Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer).build()
}

fn policy(algorithms: &[Algorithm], keys: impl Into<Keys>) -> Policy {
    build(issuer(algorithms, keys)).expect("a good policy")
}

/// The faults of a policy that is refused.
fn faults(issuer: Issuer) -> Vec<PolicyFault> {
    build(issuer).expect_err("the policy is weak").faults().to_vec()
}

/// Why the policy refuses the token; `None` where it accepts it.
fn refusal(policy: &Policy, token: impl AsRef<[u8]>) -> Option<Error> {
    policy.verify_token_now(token).err()
}

/// The error of a token by an algorithm that is not listed.
fn wrong_algorithm(found: Algorithm, listed: &[Algorithm]) -> Error {
    ClaimsError::Algorithm { found, trusted: listed.iter().copied().collect() }.into()
}

fn jwks(keys: &[&SigningKey]) -> KeySet {
    let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().expect("a key pair")).collect();
    KeySet::from_jwks(json!({ "keys": keys }).to_string()).expect("usable keys")
}

/// A set with this key, but without a `kid`.
fn without_id(key: &SigningKey) -> KeySet {
    KeySet::from_pem(key.public_pem().expect("a key pair")).expect("a usable key")
}

/// The result of a future that has nothing to wait for.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

mod foreign_tokens {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Foreign {
        now: i64,
        issuer: String,
        audience: String,
        jwks: Value,
        secrets: Vec<ForeignSecret>,
        tokens: Vec<ForeignToken>,
    }

    #[derive(serde::Deserialize)]
    struct ForeignSecret {
        kid: String,
        alg: String,
        k: String,
    }

    #[derive(serde::Deserialize)]
    struct ForeignToken {
        by: String,
        alg: String,
        kid: String,
        token: String,
    }

    impl Foreign {
        fn read() -> Self {
            serde_json::from_str(include_str!("vectors/foreign-tokens.json")).unwrap()
        }

        /// Trusts all keys and secrets, under these algorithms.
        fn policy(&self, algorithms: &[Algorithm]) -> Policy {
            let secrets = self.secrets.iter().filter_map(|secret| {
                let algorithm: Algorithm = secret.alg.parse().unwrap();
                algorithms.contains(&algorithm).then(|| {
                    Secret::encoded(secret.k.as_str(), Encoding::Base64url)
                        .id(secret.kid.as_str())
                        .algorithm(algorithm)
                })
            });
            let keys = KeySet::from_jwks(self.jwks.to_string()).unwrap();
            assert_eq!(keys.skipped(), []);
            let issuer = Issuer::new(&self.issuer)
                .algorithms(algorithms.iter().copied())
                .keys(secrets.collect::<Keys>().and(keys))
                .audience(&self.audience)
                .require_key_id();
            Policy::builder().clock(FixedClock::at(self.now)).issuer(issuer).build().unwrap()
        }
    }

    #[test]
    fn a_token_of_every_other_library_is_accepted_under_its_algorithm() {
        let foreign = Foreign::read();
        let policy = foreign.policy(Algorithm::ALL);
        for &algorithm in Algorithm::ALL {
            let minted = foreign.tokens.iter().filter(|token| token.alg == algorithm.name());
            let expected = match algorithm {
                // PyJWT and Authlib have no algorithm of that name.
                Ed25519 => 3,
                // jwcrypto, and a library that is not one of JOSE.
                ML_DSA_44 | ML_DSA_65 | ML_DSA_87 => 2,
                _ => 5,
            };
            assert_eq!(minted.count(), expected, "{algorithm}");
        }
        for token in &foreign.tokens {
            let what = format!("{} by {}", token.alg, token.by);
            let verified = policy.verify_token_now(&token.token).expect(&what);
            assert_eq!(verified.algorithm().name(), token.alg, "{what}");
            assert_eq!(verified.key_id(), Some(token.kid.as_str()), "{what}");
            assert_eq!(verified.subject(), Some("alice"), "{what}");
        }
    }

    #[test]
    fn a_token_of_every_other_library_is_refused_where_only_its_algorithm_is_not_listed() {
        let foreign = Foreign::read();
        for &missing in Algorithm::ALL {
            let listed: Vec<_> =
                Algorithm::ALL.iter().copied().filter(|one| *one != missing).collect();
            let policy = foreign.policy(&listed);
            for token in &foreign.tokens {
                let expected =
                    (token.alg == missing.name()).then(|| wrong_algorithm(missing, &listed));
                let what = format!("{} by {} without {missing}", token.alg, token.by);
                assert_eq!(refusal(&policy, &token.token), expected, "{what}");
            }
        }
    }

    #[test]
    fn a_token_of_another_library_is_refused_under_another_ones_key() {
        let mut foreign = Foreign::read();
        // Give each key the id of the key of the same algorithm made by the next library.
        let next = |id: &str| {
            let (library, algorithm) = id.split_once('-').unwrap();
            let others: &[&str] = if algorithm.starts_with("ML-DSA") {
                &["jwcrypto", "dilithium"]
            } else {
                &["jose", "joserfc", "jwcrypto"]
            };
            let at = others.iter().position(|one| *one == library)?;
            Some(format!("{}-{algorithm}", others[(at + 1) % others.len()]))
        };
        let keys = foreign.jwks["keys"].as_array_mut().unwrap();
        keys.retain(|key| next(key["kid"].as_str().unwrap()).is_some());
        for key in keys {
            key["kid"] = next(key["kid"].as_str().unwrap()).into();
        }
        foreign.secrets.retain(|secret| next(&secret.kid).is_some());
        for secret in &mut foreign.secrets {
            secret.kid = next(&secret.kid).unwrap();
        }
        let policy = foreign.policy(Algorithm::ALL);
        for token in foreign.tokens.iter().filter(|token| next(&token.kid).is_some()) {
            let what = format!("{} by {}", token.alg, token.by);
            assert_eq!(refusal(&policy, &token.token), Some(BAD_SIGNATURE), "{what}");
        }
    }
}

mod secrets {
    use super::*;

    /// 64 bytes, so that they serve each of the algorithms.
    fn secret() -> Vec<u8> {
        test_issuer().secret(HS512).to_vec()
    }

    fn token(secret: &[u8]) -> String {
        let key = SigningKey::from_secret(HS256, secret);
        test_issuer().token(HS256).signed_by(&key).without_header("kid").mint()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a policy with `given` accepts tokens signed with `expected`.
    #[track_caller]
    fn is(given: Secret, expected: &[u8]) {
        let policy = policy(&[HS256], given);
        assert_eq!(refusal(&policy, token(expected)), None);
        let mut other = expected.to_vec();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(refusal(&policy, token(&other)), Some(BAD_SIGNATURE));
    }

    /// Why the secret is refused for these algorithms.
    fn fault(algorithms: &[Algorithm], secret: Secret) -> SecretFault {
        match &faults(issuer(algorithms, secret))[..] {
            [PolicyFault::Secret { fault, .. }] => fault.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_secret_is_the_same_in_each_encoding() {
        let secret = secret();
        is(Secret::new(secret.clone()), &secret);
        let unpadded = BASE64_URL_SAFE_NO_PAD.encode(&secret);
        let padded = BASE64_URL_SAFE.encode(&secret);
        assert_ne!(unpadded, padded);
        for text in [unpadded, padded.clone(), format!(" {padded}\r\n\n")] {
            is(Secret::encoded(text, Encoding::Base64url), &secret);
        }
        let lower = hex(&secret);
        for text in [lower.to_uppercase(), format!("\n{lower} \n"), lower] {
            is(Secret::encoded(text, Encoding::Hex), &secret);
        }
        // Raw text is not decoded.
        is(Secret::encoded(padded.as_str(), Encoding::Raw), padded.as_bytes());
    }

    #[test]
    fn a_secret_not_written_in_its_encoding_is_refused() {
        let secret = secret();
        // 67 bytes, so that the last character has bits to spare; the first are `-_-_`.
        let base64url = BASE64_URL_SAFE_NO_PAD.encode([&[0xfb, 0xff, 0xbf], &secret[..]].concat());
        let hex = hex(&secret);
        for (text, encoding) in [
            // The other base64 alphabet; a space inside; trailing bits; half a byte.
            (base64url.replace('-', "+").replace('_', "/"), Encoding::Base64url),
            (base64url.replacen('-', "- ", 1), Encoding::Base64url),
            (format!("{}9", &base64url[..base64url.len() - 1]), Encoding::Base64url),
            (hex[1..].to_owned(), Encoding::Hex),
            (hex.replacen(&hex[..1], "g", 1), Encoding::Hex),
            (format!("0x{hex}"), Encoding::Hex),
            (format!("é{hex}"), Encoding::Hex),
        ] {
            let refused = fault(&[HS256], Secret::encoded(text.as_str(), encoding));
            assert_eq!(refused, SecretFault::Encoding(encoding), "{text}");
        }
    }

    #[test]
    fn a_secret_is_read_from_a_file_in_each_encoding() {
        let folder = tempfile::tempdir().unwrap();
        let secret = secret();
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let text = BASE64_URL_SAFE.encode(&secret);
        let path = write("base64url", format!("\n{text}\r\n\n").as_bytes());
        is(Secret::file(path, Encoding::Base64url), &secret);
        let path = write("hex", format!(" {}\n", hex(&secret)).as_bytes());
        is(Secret::file(path, Encoding::Hex), &secret);
        is(Secret::file(write("raw", text.as_bytes()), Encoding::Raw), text.as_bytes());
    }

    #[test]
    fn one_newline_at_the_end_of_a_file_of_text_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let text = BASE64_STANDARD.encode(secret());
        for written in ["", "\n", "\r\n"] {
            std::fs::write(&path, format!("{text}{written}")).unwrap();
            is(Secret::file(&path, Encoding::Raw), text.as_bytes());
        }
        for written in ["\n\n", "\r\n\r\n", "\n\r\n", "\r", "\r\r\n", "\n\r", " ", "\u{a0}"] {
            std::fs::write(&path, format!("{text}{written}")).unwrap();
            let refused = fault(&[HS256], Secret::file(&path, Encoding::Raw));
            assert_eq!(refused, SecretFault::Stray(Stray::WhiteSpace), "{written:?}");
        }
    }

    #[test]
    fn a_newline_at_the_end_of_a_file_of_random_bytes_belongs_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for end in [&b"\n"[..], b"\r\n", b" "] {
            let mut bytes = secret();
            bytes[0] = 0xff;
            bytes.extend(end);
            std::fs::write(&path, &bytes).unwrap();
            is(Secret::file(&path, Encoding::Raw), &bytes);
        }
    }

    #[test]
    fn a_secret_of_more_than_256_kib_is_refused_rather_than_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mut content = secret().repeat(4 * 1024);
        assert_eq!(content.len(), 256 * 1024);
        content.push(0);
        std::fs::write(&path, &content).unwrap();
        assert_eq!(
            fault(&[HS256], Secret::file(&path, Encoding::Raw)),
            SecretFault::Key(KeyFault::TooLarge { length: 256 * 1024 + 1 })
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none");
        let expected = PolicyFault::Secret {
            issuer: ISSUER.into(),
            secret: format!("secret file {}", path.display()),
            fault: SecretFault::Key(KeyFault::Unreadable {
                reason: "there is no such file".into(),
            }),
        };
        assert_eq!(faults(issuer(&[HS256], Secret::file(&path, Encoding::Raw))), [expected]);
    }

    #[test]
    fn an_environment_variable_that_is_not_set_is_named() {
        let expected = PolicyFault::Secret {
            issuer: ISSUER.into(),
            secret: "secret in $PORTCULLIS_TEST_NOT_SET".into(),
            fault: SecretFault::Key(KeyFault::Unreadable {
                reason: "the variable is not set".into(),
            }),
        };
        let secret = Secret::env("PORTCULLIS_TEST_NOT_SET", Encoding::Raw);
        assert_eq!(faults(issuer(&[HS256], secret)), [expected]);
    }

    /// A process cannot set a variable of its own in safe code, so this test calls itself.
    #[test]
    fn a_secret_is_read_from_an_environment_variable_as_it_is() {
        const NAME: &str = "PORTCULLIS_TEST_SECRET";
        const SECRET: &str = "kD9x!vQ2#mZ7&pL4*tR8^wN1(eJ6)yB3-";
        if std::env::var_os(NAME).is_some() {
            is(Secret::env(NAME, Encoding::Raw), SECRET.as_bytes());
            is(Secret::env("PORTCULLIS_TEST_HEX", Encoding::Hex), SECRET.as_bytes());
            return;
        }
        let test =
            std::thread::current().name().expect("tests run in threads of their name").to_owned();
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &test])
            .env(NAME, SECRET)
            .env("PORTCULLIS_TEST_HEX", hex(SECRET.as_bytes()))
            .output()
            .unwrap();
        let report = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && report.contains("1 passed"), "{report}");
    }

    #[test]
    fn a_secret_is_as_long_as_the_hash_of_each_algorithm_it_is_for() {
        let secret = secret();
        let of = |length| Secret::new(&secret[..length]);
        let too_short =
            |algorithm, needed, found| SecretFault::TooShort { algorithm, needed, found };
        for (algorithm, needed) in [(HS256, 32), (HS384, 48), (HS512, 64)] {
            policy(&[algorithm], of(needed));
            for found in [needed - 1, 1, 0] {
                let refused = fault(&[algorithm], of(found));
                assert_eq!(refused, too_short(algorithm, needed, found), "{algorithm}");
            }
        }
        // For all that are listed, unless it says for which.
        let all = [HS512, HS256, HS384];
        assert_eq!(fault(&all, of(40)), too_short(HS384, 48, 40));
        assert_eq!(fault(&all, of(63)), too_short(HS512, 64, 63));
        policy(&[HS256], of(40));
        assert_eq!(
            faults(issuer(&[HS256, HS512], of(40).algorithm(HS256))),
            [PolicyFault::UnusableAlgorithm { issuer: ISSUER.into(), algorithm: HS512 }]
        );
    }

    #[test]
    fn the_length_that_counts_is_that_of_the_decoded_secret() {
        let secret = secret();
        let short = &secret[..31];
        let refused = SecretFault::TooShort { algorithm: HS256, needed: 32, found: 31 };
        let base64url = BASE64_URL_SAFE_NO_PAD.encode(short);
        assert_eq!(fault(&[HS256], Secret::encoded(base64url, Encoding::Base64url)), refused);
        assert_eq!(fault(&[HS256], Secret::encoded(hex(short), Encoding::Hex)), refused);
    }

    #[test]
    fn a_secret_that_is_easy_to_guess_is_refused_for_the_reason() {
        for (secret, weakness) in [
            ("a".repeat(64), Weakness::AllEqual),
            ("kD9x!vQ2#mZ7&pL4".repeat(2), Weakness::Repeating),
            ("your-256-bit-secret".to_owned(), Weakness::Published),
            ("a-string-secret-at-least-256-bits-long".to_owned(), Weakness::Published),
        ] {
            let refused = fault(&[HS256], Secret::new(secret.as_str()));
            assert_eq!(refused, SecretFault::Weak(weakness), "{secret}");
            let hex = Secret::encoded(hex(secret.as_bytes()), Encoding::Hex);
            assert_eq!(fault(&[HS256], hex), SecretFault::Weak(weakness), "{secret}");
        }
    }

    #[test]
    fn what_is_published_is_said_to_be_so_rather_than_too_short() {
        let short = Secret::new("secret");
        assert_eq!(fault(&[HS512], short), SecretFault::Weak(Weakness::Published));
        // The other reasons for weakness come after the length.
        assert_eq!(
            fault(&[HS512], Secret::new("a".repeat(63))),
            SecretFault::TooShort { algorithm: HS512, needed: 64, found: 63 }
        );
    }

    #[test]
    fn a_secret_verifies_under_its_own_algorithm_only() {
        let secret = secret();
        let mint = |algorithm| {
            let key = SigningKey::from_secret(algorithm, secret.clone());
            test_issuer().token(HS256).signed_by(&key).mint()
        };
        let every = policy(&[HS256, HS384, HS512], Secret::new(secret.clone()));
        for algorithm in [HS256, HS384, HS512] {
            assert_eq!(refusal(&every, mint(algorithm)), None, "{algorithm}");
        }
        let others = test_issuer().secret(HS256).to_vec();
        let own = policy(
            &[HS256, HS512],
            [Secret::new(secret.clone()).algorithm(HS512), Secret::new(others).algorithm(HS256)],
        );
        assert_eq!(refusal(&own, mint(HS512)), None);
        assert_eq!(refusal(&own, mint(HS256)), Some(BAD_SIGNATURE));
        assert_eq!(refusal(&own, mint(HS384)), Some(wrong_algorithm(HS384, &[HS256, HS512])));
    }

    #[test]
    fn a_secret_for_an_algorithm_that_is_not_listed_is_refused() {
        let good = || Secret::new(secret());
        for (algorithms, secret) in [
            (&[RS256][..], good()),
            (&[HS256], good().algorithm(HS384)),
            (&[RS256, HS256], good().algorithm(RS256)),
        ] {
            assert_eq!(fault(algorithms, secret), SecretFault::NoAlgorithm, "{algorithms:?}");
        }
    }

    #[test]
    fn an_id_that_no_token_can_name_is_refused() {
        for id in [String::new(), "k".repeat(1025)] {
            let refused = fault(&[HS256], Secret::new(secret()).id(id));
            assert_eq!(refused, SecretFault::Key(KeyFault::KeyId));
        }
        policy(&[HS256], Secret::new(secret()).id("k".repeat(1024)));
    }

    #[test]
    fn a_public_key_as_a_secret_is_refused_in_every_spelling() {
        let mut spellings: Vec<(String, Vec<u8>)> = Vec::new();
        for algorithm in [RS256, ES256, EdDSA] {
            let issuer = test_issuer();
            let key = issuer.key(algorithm);
            let (pem, der) = (key.public_pem().unwrap(), key.public_der().unwrap());
            let jwk = key.public_jwk().unwrap();
            let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            for (what, text) in [
                ("PEM", pem.clone()),
                ("PEM with CRLF", pem.replace('\n', "\r\n")),
                ("PEM without the last line break", pem.trim_end().to_owned()),
                ("PEM after a space", format!(" {pem}")),
                ("PEM after a line break", format!("\r\n\t{pem}")),
                ("PEM after text", format!("Public-Key: (256 bit)\n{pem}")),
                ("PEM after a byte order mark", format!("\u{feff}{pem}")),
                ("base64 of the DER", body),
                (
                    "base64 of the DER in lines",
                    pem.replace('-', " ")
                        .replace("BEGIN PUBLIC KEY", "")
                        .replace("END PUBLIC KEY", ""),
                ),
                ("JWK", jwk.to_string()),
                ("JWK after a space", format!("\n {jwk}")),
                ("JWK set", json!({ "keys": [jwk] }).to_string()),
            ] {
                spellings.push((format!("{algorithm} {what}"), text.into_bytes()));
            }
            spellings.push((format!("{algorithm} DER"), der));
        }
        let file = |name: &str| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/pem");
            std::fs::read(folder.join(name)).unwrap()
        };
        for name in [
            "rsa-pkcs1-public.pem",
            "rsa-cert.pem",
            "p256-cert.pem",
            "secp256k1-spki.pem",
            "ssh-ed25519.pub",
            "rsa-spki.der",
        ] {
            spellings.push((name.to_owned(), file(name)));
        }
        // Types that cannot be verified with are public all the same.
        for name in ["secp256k1-spki.pem", "ed448-spki.pem", "rsa1024-spki.pem"] {
            let text = String::from_utf8(file(name)).unwrap();
            let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
            let der = BASE64_STANDARD.decode(&body).unwrap();
            spellings.push((format!("DER of {name}"), der));
        }
        for (what, secret) in spellings {
            assert_eq!(
                fault(&[HS256], Secret::new(secret.clone())),
                SecretFault::Key(KeyFault::PublicKeyAsSecret),
                "{what}"
            );
            let encoded = Secret::encoded(BASE64_URL_SAFE.encode(&secret), Encoding::Base64url);
            assert_eq!(
                fault(&[HS256], encoded),
                SecretFault::Key(KeyFault::PublicKeyAsSecret),
                "{what} in base64url"
            );
        }
    }

    #[test]
    fn a_secret_that_only_looks_a_little_like_a_key_is_none() {
        let secret = BASE64_STANDARD.encode(secret());
        for start in ["", "{", "ssh-", "MII", "-----BEGIN", "\u{1}\u{2}0"] {
            policy(&[HS256], Secret::new(format!("{start}{secret}")));
        }
    }

    #[test]
    fn no_text_shows_a_secret() {
        let text = "kD9x!vQ2#mZ7&pL4*tR8^wN1(eJ6)yB3-";
        let secret = Secret::new(text).id("secret-id");
        assert_eq!(format!("{secret:?}"), "Secret { accept_until: None, .. }");
        let refused = build(issuer(&[HS512], secret)).unwrap_err();
        for shown in [refused.to_string(), format!("{refused:?}")] {
            assert!(!shown.contains("kD9x"), "{shown}");
        }
        let refused = build(issuer(&[HS256], Secret::encoded(text, Encoding::Hex))).unwrap_err();
        for shown in [refused.to_string(), format!("{refused:?}")] {
            assert!(!shown.contains("kD9x"), "{shown}");
        }
    }
}

mod rotation {
    use super::*;

    const END: i64 = NOW + 1000;

    fn signed_by(key: &SigningKey) -> TokenBuilder {
        // Lives as long as the policy allows.
        test_issuer().token(HS256).signed_by(key).expires_in(Duration::from_secs(7200))
    }

    fn old_and_new() -> (SigningKey, SigningKey, Keys) {
        let old = SigningKey::generate(HS256).with_id("2026-05");
        let new = SigningKey::generate(HS256).with_id("2026-11");
        let of = |key: &SigningKey| Secret::new(key.secret().unwrap()).id(key.id());
        let keys = [of(&old).accept_until(UnixTime(END)), of(&new)].into();
        (old, new, keys)
    }

    fn policy_at(clock: &FixedClock, keys: Keys) -> Policy {
        Policy::builder().clock(clock.clone()).issuer(issuer(&[HS256], keys)).build().unwrap()
    }

    #[test]
    fn the_old_secret_is_accepted_until_the_second_before_its_end() {
        let (old, new, keys) = old_and_new();
        let clock = FixedClock::at(NOW);
        let policy = policy_at(&clock, keys);
        let (by_old, by_new) = (signed_by(&old).mint(), signed_by(&new).mint());
        let unnamed = signed_by(&old).without_header("kid").mint();
        for (at, accepted) in [(NOW, true), (END - 1, true), (END, false), (END + 1, false)] {
            clock.set(at);
            assert_eq!(refusal(&policy, &by_new), None, "{at}");
            let refused = |error| (!accepted).then_some(error);
            assert_eq!(refusal(&policy, &by_old), refused(UNKNOWN_KEY), "{at}");
            // It may be of the new secret, for all that it says.
            assert_eq!(refusal(&policy, &unnamed), refused(BAD_SIGNATURE), "{at}");
        }
    }

    #[test]
    fn a_token_verified_under_the_old_secret_is_withdrawn_at_its_end() {
        let (old, new, keys) = old_and_new();
        let clock = FixedClock::at(NOW);
        let policy = policy_at(&clock, keys);
        let by_old = policy.verify_token_now(signed_by(&old).mint()).unwrap();
        let by_new = policy.verify_token_now(signed_by(&new).mint()).unwrap();
        clock.set(END - 1);
        assert_eq!(policy.recheck_now(&by_old), Ok(()));
        clock.set(END);
        assert_eq!(policy.recheck_now(&by_old), Err(Error::Key(KeyError::Withdrawn)));
        assert_eq!(policy.recheck_now(&by_new), Ok(()));
    }

    #[test]
    fn each_secret_serves_tokens_that_name_it_or_none() {
        let (old, new, keys) = old_and_new();
        let policy = policy_at(&FixedClock::at(NOW), keys);
        for key in [&old, &new] {
            assert_eq!(refusal(&policy, signed_by(key).mint()), None);
            assert_eq!(refusal(&policy, signed_by(key).without_header("kid").mint()), None);
            assert_eq!(refusal(&policy, signed_by(key).key_id("2027").mint()), Some(UNKNOWN_KEY));
        }
        let crossed = signed_by(&old).key_id("2026-11").mint();
        assert_eq!(refusal(&policy, crossed), Some(BAD_SIGNATURE));
    }
}

mod families {
    use super::*;

    #[test]
    fn a_secret_and_a_key_set_serve_one_issuer() {
        let test = test_issuer();
        let keys = Keys::from(Secret::new(test.secret(HS256))).and(jwks(&[test.key(ES256)]));
        let policy = policy(&[HS256, ES256], keys);
        for algorithm in [HS256, ES256] {
            let verified =
                policy.verify_token_now(test.token(algorithm).without_header("kid").mint());
            assert_eq!(verified.map(|token| token.algorithm()), Ok(algorithm));
        }
    }

    #[test]
    fn a_public_key_never_verifies_as_a_secret_even_where_secrets_are_listed_too() {
        let test = test_issuer();
        for algorithm in [RS256, PS256, ES256, EdDSA] {
            let key = test.key(algorithm);
            let secret = Secret::new(test.secret(HS512));
            let id_of_the_key = Secret::new(test.secret(HS512)).id(key.id());
            for keys in [
                Keys::from(secret.clone()).and(jwks(&[key])),
                Keys::from(jwks(&[key])).and(secret.clone()),
                Keys::from(without_id(key)).and(secret),
                Keys::from(id_of_the_key).and(jwks(&[key])),
            ] {
                let policy = policy(&[HS256, HS384, HS512, algorithm], keys);
                let token = test.token(algorithm).mint();
                assert_eq!(refusal(&policy, &token), None);
                for unnamed in [false, true] {
                    let token = test.token(algorithm);
                    let token = if unnamed { token.without_header("kid") } else { token }.mint();
                    for forgery in hostile::public_key_as_secret_family(&token, key) {
                        let refused = refusal(&policy, &forgery.token);
                        assert_eq!(refused, Some(BAD_SIGNATURE), "{algorithm}: {}", forgery.what);
                    }
                }
            }
        }
    }

    #[test]
    fn where_no_secret_has_its_id_the_forgery_has_no_key_at_all() {
        let test = test_issuer();
        let key = test.key(ES256);
        let keys = Keys::from(Secret::new(test.secret(HS512)).id("static")).and(jwks(&[key]));
        let policy = policy(&[HS256, HS384, HS512, ES256], keys);
        for forgery in hostile::public_key_as_secret_family(&test.token(ES256).mint(), key) {
            assert_eq!(refusal(&policy, &forgery.token), Some(UNKNOWN_KEY), "{}", forgery.what);
        }
    }

    #[test]
    fn a_secret_and_a_public_key_of_one_id_each_verify_their_own() {
        let test = test_issuer();
        let secret = SigningKey::generate(HS256).with_id("k");
        let key = SigningKey::generate(ES256).with_id("k");
        let keys = Keys::from(Secret::new(secret.secret().unwrap()).id("k")).and(jwks(&[&key]));
        let policy = policy(&[HS256, ES256], keys);
        for (signer, named) in [(&secret, "ES256"), (&key, "HS256")] {
            let token = test.token(HS256).signed_by(signer);
            assert_eq!(refusal(&policy, token.mint()), None);
            let token = test.token(HS256).signed_by(signer).header("alg", named);
            assert_eq!(refusal(&policy, token.mint()), Some(BAD_SIGNATURE), "{named}");
        }
    }

    #[test]
    fn keys_never_cross_from_one_issuer_to_another() {
        let (one, other) = (test_issuer(), TestIssuer::new("https://other.example").at(NOW));
        let trusted = |test: &TestIssuer| {
            Issuer::new(test.name())
                .algorithms([ES256])
                .keys(jwks(&[test.key(ES256)]))
                .audience(AUDIENCE)
        };
        let policy = Policy::builder()
            .clock(FixedClock::at(NOW))
            .issuer(trusted(&one))
            .issuer(trusted(&other))
            .build()
            .unwrap();
        assert_eq!(one.key(ES256).id(), other.key(ES256).id());
        for (named, signer) in [(&one, &other), (&other, &one)] {
            assert_eq!(refusal(&policy, named.token(ES256).mint()), None);
            for token in [named.token(ES256), named.token(ES256).without_header("kid")] {
                let forged = token.signed_by(signer.key(ES256)).mint();
                assert_eq!(refusal(&policy, forged), Some(BAD_SIGNATURE));
            }
        }
    }

    /// The RSA key of the vectors, which signs under either scheme.
    struct Rsa(RsaKeyPair);

    impl Rsa {
        fn read() -> Self {
            let pem = include_str!("vectors/pem/rsa-pkcs8-private.pem");
            let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            Self(RsaKeyPair::from_pkcs8(&BASE64_STANDARD.decode(text).unwrap()).unwrap())
        }

        fn set(alg: Option<Algorithm>) -> KeySet {
            let mut keys: Value =
                serde_json::from_str(include_str!("vectors/pem/keys.json")).unwrap();
            let mut jwk = keys["rsa"]["jwk"].take();
            jwk["kid"] = "k".into();
            if let Some(alg) = alg {
                jwk["alg"] = alg.name().into();
            }
            KeySet::from_jwk(jwk.to_string()).unwrap()
        }

        fn token(&self, algorithm: Algorithm, id: Option<&str>) -> String {
            let token = test_issuer().token(HS256).header("alg", algorithm.name());
            let token = match id {
                Some(id) => token.key_id(id),
                None => token.without_header("kid"),
            };
            let token = token.mint();
            let (input, _) = token.rsplit_once('.').unwrap();
            let encoding: &'static dyn RsaEncoding = match algorithm {
                RS256 => &RSA_PKCS1_SHA256,
                _ => &RSA_PSS_SHA256,
            };
            let mut signature = vec![0; self.0.public_modulus_len()];
            self.0.sign(encoding, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
            hostile::with_signature(&token, &signature)
        }
    }

    #[test]
    fn an_rsa_key_that_names_ps256_verifies_no_rs256_token() {
        let rsa = Rsa::read();
        let other = test_issuer().key(RS256).clone();
        let keys = Keys::from(Rsa::set(Some(PS256))).and(jwks(&[&other]));
        let policy = policy(&[RS256, PS256], keys);
        assert_eq!(refusal(&policy, rsa.token(PS256, Some("k"))), None);
        assert_eq!(refusal(&policy, rsa.token(PS256, None)), None);
        assert_eq!(refusal(&policy, rsa.token(RS256, Some("k"))), Some(UNKNOWN_KEY));
        assert_eq!(refusal(&policy, rsa.token(RS256, None)), Some(BAD_SIGNATURE));
    }

    #[test]
    fn an_rsa_key_without_alg_serves_what_the_policy_lists() {
        let rsa = Rsa::read();
        for (listed, rs256, ps256) in [
            (&[RS256][..], None, Some(wrong_algorithm(PS256, &[RS256]))),
            (&[PS256], Some(wrong_algorithm(RS256, &[PS256])), None),
            (&[RS256, PS256], None, None),
        ] {
            let policy = policy(listed, Rsa::set(None));
            assert_eq!(refusal(&policy, rsa.token(RS256, Some("k"))), rs256, "{listed:?}");
            assert_eq!(refusal(&policy, rsa.token(PS256, Some("k"))), ps256, "{listed:?}");
        }
    }

    #[test]
    fn an_ed25519_key_serves_the_names_that_the_policy_lists() {
        let test = test_issuer();
        for signer in [test.key(EdDSA), test.key(Ed25519)] {
            let mint = |alg| test.token(EdDSA).signed_by(signer).header("alg", alg).mint();
            for (listed, eddsa, ed25519) in [
                (&[EdDSA][..], None, Some(wrong_algorithm(Ed25519, &[EdDSA]))),
                (&[Ed25519], Some(wrong_algorithm(EdDSA, &[Ed25519])), None),
                (&[EdDSA, Ed25519], None, None),
            ] {
                let policy = policy(listed, jwks(&[signer]));
                assert_eq!(refusal(&policy, mint("EdDSA")), eddsa, "{listed:?}");
                assert_eq!(refusal(&policy, mint("Ed25519")), ed25519, "{listed:?}");
            }
        }
    }

    #[test]
    fn a_key_without_alg_serves_no_other_family_or_curve_whatever_a_token_says() {
        let test = test_issuer();
        let signers = [test.key(RS256), test.key(ES256), test.key(ES384), test.key(EdDSA)];
        let keys = signers.iter().fold(KeySet::empty(), |keys, key| keys.and(&without_id(key)));
        let policy = policy(&[RS256, ES256, ES384, EdDSA], keys);
        for signer in signers {
            for named in [RS256, ES256, ES384, EdDSA] {
                let token = test.token(HS256).signed_by(signer).header("alg", named.name()).mint();
                let expected = (signer.algorithm() != named).then_some(BAD_SIGNATURE);
                assert_eq!(refusal(&policy, token), expected, "{} as {named}", signer.algorithm());
            }
        }
    }
}

mod lookup {
    use super::*;

    fn keys_without_id(count: usize) -> (Vec<SigningKey>, KeySet) {
        let keys: Vec<_> = (0..count).map(|_| SigningKey::generate(ES256)).collect();
        let set = keys.iter().fold(KeySet::empty(), |set, key| set.and(&without_id(key)));
        (keys, set)
    }

    fn keys_with_ids(count: usize) -> Vec<SigningKey> {
        (0..count).map(|at| SigningKey::generate(ES256).with_id(format!("k{at}"))).collect()
    }

    fn too_many(found: usize) -> Vec<PolicyFault> {
        vec![PolicyFault::TooManyCandidates { issuer: ISSUER.into(), algorithm: ES256, found }]
    }

    #[test]
    fn four_keys_without_id_are_all_tried() {
        let (keys, set) = keys_without_id(4);
        let policy = policy(&[ES256], set);
        for key in &keys {
            for token in [
                test_issuer().token(ES256).signed_by(key),
                test_issuer().token(ES256).signed_by(key).without_header("kid"),
            ] {
                assert_eq!(refusal(&policy, token.mint()), None);
            }
        }
        let other = SigningKey::generate(ES256);
        let forged = test_issuer().token(ES256).signed_by(&other).mint();
        assert_eq!(refusal(&policy, forged), Some(BAD_SIGNATURE));
    }

    #[test]
    fn a_fifth_key_that_a_token_could_match_refuses_the_policy() {
        let (_, set) = keys_without_id(5);
        assert_eq!(faults(issuer(&[ES256], set.clone())), too_many(5));
        // An id in the token does not help where the keys have none.
        assert_eq!(faults(issuer(&[ES256], set).require_key_id()), too_many(5));
        // The bound is for all origins together.
        let (_, four) = keys_without_id(4);
        let keys = Keys::from(four).and(jwks(&[&SigningKey::generate(ES256)]));
        assert_eq!(faults(issuer(&[ES256], keys)), too_many(5));
    }

    #[test]
    fn of_keys_whose_signatures_take_long_two_are_tried() {
        for algorithm in [ES384, ES512] {
            let keys: Vec<_> = (0..3).map(|_| SigningKey::generate(algorithm)).collect();
            let two = keys[..2].iter().fold(KeySet::empty(), |set, key| set.and(&without_id(key)));
            let policy = policy(&[algorithm], two.clone());
            for key in &keys[..2] {
                let token = test_issuer().token(algorithm).signed_by(key);
                assert_eq!(refusal(&policy, token.mint()), None);
            }
            let three = two.and(&without_id(&keys[2]));
            let fault =
                PolicyFault::TooManyCandidates { issuer: ISSUER.into(), algorithm, found: 3 };
            assert_eq!(faults(issuer(&[algorithm], three.clone())), [fault]);
            // Of a source of one's own, nothing is known before.
            let source = Keys::source(three);
            let policy = build(issuer(&[algorithm], source)).unwrap();
            let token = test_issuer().token(algorithm).signed_by(&keys[0]).mint();
            assert_eq!(refusal(&policy, token), Some(Error::Key(KeyError::TooMany)));
        }
    }

    #[test]
    fn of_keys_with_ids_a_token_that_names_one_costs_one() {
        let keys: Vec<_> =
            (0..3).map(|at| SigningKey::generate(ES512).with_id(format!("k{at}"))).collect();
        let set = jwks(&keys.iter().collect::<Vec<_>>());
        let policy = build(issuer(&[ES512], set).require_key_id()).unwrap();
        for key in &keys {
            let token = test_issuer().token(ES512).signed_by(key);
            assert_eq!(refusal(&policy, token.mint()), None);
        }
    }

    #[test]
    fn any_number_of_keys_with_ids_will_do_where_tokens_must_name_one() {
        let keys = keys_with_ids(20);
        let set = jwks(&keys.iter().collect::<Vec<_>>());
        assert_eq!(faults(issuer(&[ES256], set.clone())), too_many(20));
        let policy = build(issuer(&[ES256], set).require_key_id()).unwrap();
        for key in &keys {
            let token = test_issuer().token(ES256).signed_by(key);
            assert_eq!(refusal(&policy, token.mint()), None);
        }
    }

    #[test]
    fn a_token_without_key_id_is_refused_where_one_is_required() {
        let test = test_issuer();
        let (with_id, without) = (jwks(&[test.key(ES256)]), without_id(test.key(ES256)));
        for set in [with_id, without] {
            let policy = build(issuer(&[ES256], set).require_key_id()).unwrap();
            assert_eq!(refusal(&policy, test.token(ES256).mint()), None);
            let unnamed = test.token(ES256).without_header("kid").mint();
            assert_eq!(refusal(&policy, unnamed), Some(Error::Key(KeyError::IdMissing)));
        }
    }

    #[test]
    fn a_key_with_an_id_serves_tokens_that_name_it_or_none() {
        let test = test_issuer();
        let policy = policy(&[ES256], jwks(&[test.key(ES256)]));
        assert_eq!(refusal(&policy, test.token(ES256).mint()), None);
        assert_eq!(refusal(&policy, test.token(ES256).without_header("kid").mint()), None);
        for id in
            ["", "es256-2", "ES256-1", "es256-1 ", "es256-1\0", "../../dev/null", "' OR 1=1--"]
        {
            let token = test.token(ES256).key_id(id).mint();
            assert_eq!(refusal(&policy, token), Some(UNKNOWN_KEY), "{id:?}");
        }
    }

    #[test]
    fn a_key_without_an_id_serves_tokens_that_name_any() {
        let test = test_issuer();
        let policy = policy(&[ES256], without_id(test.key(ES256)));
        for id in ["", "es256-1", "es256-2", "../../dev/null"] {
            assert_eq!(refusal(&policy, test.token(ES256).key_id(id).mint()), None, "{id:?}");
        }
        assert_eq!(refusal(&policy, test.token(ES256).without_header("kid").mint()), None);
    }

    #[test]
    fn a_key_given_an_id_afterwards_serves_tokens_that_name_it() {
        let test = test_issuer();
        let set = without_id(test.key(ES256)).with_key_id("mine").unwrap();
        let policy = policy(&[ES256], set);
        assert_eq!(refusal(&policy, test.token(ES256).key_id("mine").mint()), None);
        assert_eq!(refusal(&policy, test.token(ES256).mint()), Some(UNKNOWN_KEY));
    }

    #[test]
    fn a_key_id_spelled_with_escapes_is_the_same_id() {
        let test = test_issuer();
        let policy = policy(&[ES256], jwks(&[test.key(ES256)]));
        let header = r#"{"alg":"ES256","kid":"\u0065s256-1"}"#;
        assert_eq!(refusal(&policy, test.token(ES256).raw_header(header).mint()), None);
    }

    #[test]
    fn of_several_keys_of_one_id_each_is_tried() {
        let (one, other) = (SigningKey::generate(ES256), SigningKey::generate(ES256));
        let policy = build(issuer(&[ES256], jwks(&[&one, &other])).require_key_id()).unwrap();
        for key in [&one, &other] {
            assert_eq!(refusal(&policy, test_issuer().token(ES256).signed_by(key).mint()), None);
        }
    }
}

mod sources {
    use super::*;

    /// A source that gets its keys only when it is asked to look for one.
    #[derive(Debug)]
    struct Vault {
        has: Arc<Mutex<KeySet>>,
        finds: Result<KeySet, KeysUnavailable>,
        asked: Arc<AtomicUsize>,
    }

    impl KeySource for Vault {
        fn keys(&self) -> KeySet {
            self.has.lock().unwrap().clone()
        }

        fn seek(&self, _: &KeyQuery<'_>) -> Option<KeyFuture> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let (has, finds) = (Arc::clone(&self.has), self.finds.clone());
            Some(Box::pin(async move {
                *has.lock().unwrap() = finds?;
                Ok(())
            }))
        }
    }

    /// A policy with a vault that has a key for `ES256`, and how often the vault was asked.
    fn vault(finds: Result<KeySet, KeysUnavailable>) -> (Policy, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let has = Arc::new(Mutex::new(jwks(&[test_issuer().key(ES256)])));
        let source = Vault { has, finds, asked: Arc::clone(&asked) };
        (policy(&[ES256, ES384], Keys::source(source)), asked)
    }

    fn unavailable(seconds: u64) -> KeysUnavailable {
        KeysUnavailable::new().with_retry_after(Some(Duration::from_secs(seconds)))
    }

    #[test]
    fn a_key_found_by_looking_further_verifies() {
        let test = test_issuer();
        let token = test.token(ES384).mint();
        let (policy, asked) = vault(Ok(jwks(&[test.key(ES256), test.key(ES384)])));
        let verified = ready(policy.verify_token(&token));
        assert_eq!(verified.map(|token| token.algorithm()), Ok(ES384));
        // From then on it is known.
        assert_eq!(refusal(&policy, &token), None);
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn where_nobody_waits_a_key_that_has_to_be_looked_for_is_unavailable() {
        let test = test_issuer();
        let (policy, _) = vault(Ok(jwks(&[test.key(ES384)])));
        let expected = Error::Key(KeyError::Unavailable(KeysUnavailable::default()));
        assert_eq!(refusal(&policy, test.token(ES384).mint()), Some(expected));
    }

    #[test]
    fn a_source_that_cannot_be_asked_is_unavailable() {
        let (policy, _) = vault(Err(unavailable(7)));
        let refused = ready(policy.verify_token(test_issuer().token(ES384).mint())).err();
        assert_eq!(refused, Some(Error::Key(KeyError::Unavailable(unavailable(7)))));
    }

    #[test]
    fn a_key_not_found_by_looking_further_is_unknown() {
        let test = test_issuer();
        let (policy, asked) = vault(Ok(jwks(&[test.key(ES256)])));
        let refused = ready(policy.verify_token(test.token(ES384).mint())).err();
        assert_eq!(refused, Some(UNKNOWN_KEY));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_key_found_that_did_not_sign_the_token_refuses_it() {
        let test = test_issuer();
        let (policy, _) = vault(Ok(jwks(&[test.impostor().key(ES384)])));
        let refused = ready(policy.verify_token(test.token(ES384).mint())).err();
        assert_eq!(refused, Some(BAD_SIGNATURE));
    }

    #[test]
    fn a_key_without_an_id_does_not_hide_the_one_that_a_token_names() {
        let test = test_issuer();
        let other = test.impostor();
        let pem = other.key(ES384).public_pem().unwrap();
        for (finds, expected) in [
            (Ok(jwks(&[test.key(ES384)])), None),
            (Ok(jwks(&[test.key(ES256)])), Some(BAD_SIGNATURE)),
            (Err(unavailable(7)), Some(Error::Key(KeyError::Unavailable(unavailable(7))))),
        ] {
            let asked = Arc::<AtomicUsize>::default();
            let source =
                Vault { has: Arc::new(Mutex::new(KeySet::empty())), finds, asked: asked.clone() };
            let keys = Keys::from(KeySet::from_pem(&pem).unwrap()).and(Keys::source(source));
            let policy = policy(&[ES384], keys);
            // The key without an id is good for its own tokens, whatever id they name.
            assert_eq!(refusal(&policy, other.token(ES384).mint()), None);
            let anonymous = test.token(ES384).without_header("kid").mint();
            assert_eq!(refusal(&policy, anonymous), Some(BAD_SIGNATURE));
            assert_eq!(asked.load(Ordering::SeqCst), 0);
            assert_eq!(ready(policy.verify_token(test.token(ES384).mint())).err(), expected);
            assert_eq!(asked.load(Ordering::SeqCst), 1);
        }
    }

    #[test]
    fn a_source_is_not_asked_for_what_is_known_or_refused_anyway() {
        let test = test_issuer();
        let (policy, asked) = vault(Err(unavailable(7)));
        let unknown = || test.token(ES384);
        for (token, expected) in [
            (test.token(ES256).mint(), None),
            (hostile::flip_signature_bit(&test.token(ES256).mint()), Some(BAD_SIGNATURE)),
            (
                unknown().claim("iss", "https://else.example").mint(),
                Some(Error::Claims(ClaimsError::Issuer)),
            ),
            (
                unknown().audience("https://else.example").mint(),
                Some(Error::Claims(ClaimsError::Audience)),
            ),
            (
                unknown().header("alg", "RS256").mint(),
                Some(wrong_algorithm(RS256, &[ES256, ES384])),
            ),
            (
                unknown().typ("dpop+jwt").mint(),
                Some(Error::Claims(ClaimsError::Type {
                    found: TypeName::new("dpop+jwt"),
                    accepted: "`JWT`, none or `at+jwt`",
                })),
            ),
            (
                unknown().expires_at(NOW - 30).mint(),
                Some(Error::Claims(ClaimsError::Expired {
                    at: UnixTime(NOW - 30),
                    now: UnixTime(NOW),
                })),
            ),
        ] {
            assert_eq!(ready(policy.verify_token(token)).err(), expected);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn where_one_of_two_sources_cannot_be_asked_an_unknown_key_is_unavailable() {
        let vault = |finds| Vault {
            has: Arc::new(Mutex::new(KeySet::empty())),
            finds,
            asked: Arc::default(),
        };
        let test = test_issuer();
        for (one, other) in [
            (Err(unavailable(7)), Ok(jwks(&[test.key(ES256)]))),
            (Ok(jwks(&[test.key(ES256)])), Err(unavailable(7))),
        ] {
            let keys = Keys::source(vault(one)).and(Keys::source(vault(other)));
            let policy = policy(&[ES256, ES384], keys);
            assert_eq!(ready(policy.verify_token(test.token(ES256).mint())).err(), None);
            let refused = ready(policy.verify_token(test.token(ES384).mint())).err();
            assert_eq!(refused, Some(Error::Key(KeyError::Unavailable(unavailable(7)))));
        }
    }

    #[test]
    fn more_candidates_than_are_tried_refuse_a_token_that_does_not_say_which() {
        let keys: Vec<_> =
            (0..5).map(|at| SigningKey::generate(ES256).with_id(format!("k{at}"))).collect();
        let source = Vault {
            has: Arc::new(Mutex::new(jwks(&keys.iter().collect::<Vec<_>>()))),
            finds: Err(KeysUnavailable::default()),
            asked: Arc::default(),
        };
        let policy = policy(&[ES256], Keys::source(source));
        let token = || test_issuer().token(ES256).signed_by(&keys[4]);
        assert_eq!(refusal(&policy, token().mint()), None);
        let unnamed = token().without_header("kid").mint();
        assert_eq!(refusal(&policy, unnamed), Some(Error::Key(KeyError::TooMany)));
    }
}

/// Puts a file in the place of another at once, as editors and orchestrators do.
fn replace(path: &Path, content: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, content).unwrap();
    std::fs::rename(new, path).unwrap();
}

mod files {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn jwks_text(keys: &[&SigningKey]) -> String {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().unwrap()).collect();
        json!({ "keys": keys }).to_string()
    }

    /// What happened, in words.
    fn observed(
        file: portcullis::keys::KeyFileOptions,
    ) -> (KeyFile, Receiver<Result<usize, KeyFault>>) {
        let (sender, events) = mpsc::channel();
        let file = file.on_event(move |event| {
            let event = match event {
                KeyFileEvent::Reloaded { keys } => Ok(keys.len()),
                KeyFileEvent::Failed { fault } => Err(fault.clone()),
                other => panic!("{other:?}"),
            };
            // The test may be over.
            let _ = sender.send(event);
        });
        (file.open().expect("a good file"), events)
    }

    fn status(reloads: u64, fault: Option<KeyFault>) -> KeyFileStatus {
        let mut status = KeyFileStatus::default();
        (status.reloads, status.fault) = (reloads, fault);
        status
    }

    struct Fixture {
        // Holds the folder.
        _folder: tempfile::TempDir,
        path: std::path::PathBuf,
        /// `k0` and on.
        keys: Vec<SigningKey>,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("jwks.json");
            let keys: Vec<_> =
                (0..3).map(|at| SigningKey::generate(ES256).with_id(format!("k{at}"))).collect();
            Self { _folder: folder, path, keys }
        }

        fn write(&self, keys: &[usize]) {
            let keys: Vec<_> = keys.iter().map(|at| &self.keys[*at]).collect();
            replace(&self.path, &jwks_text(&keys));
        }

        fn token(&self, key: usize) -> String {
            test_issuer().token(ES256).signed_by(&self.keys[key]).mint()
        }

        /// For each key, whether its tokens are accepted.
        fn accepted(&self, policy: &Policy) -> [bool; 3] {
            [0, 1, 2].map(|key| match refusal(policy, self.token(key)) {
                None => true,
                Some(UNKNOWN_KEY) => false,
                Some(error) => panic!("k{key}: {error}"),
            })
        }

        fn error(&self, fault: KeyFault) -> KeyFileError {
            let mut error = KeyFile::jwks(self.path.with_extension("none")).open().unwrap_err();
            error.path = self.path.clone();
            error.fault = fault;
            error
        }
    }

    #[test]
    fn new_content_replaces_the_keys() {
        let fixture = Fixture::new();
        fixture.write(&[0, 1]);
        let (file, events) = observed(KeyFile::jwks(&fixture.path));
        let policy = policy(&[ES256], file.clone());
        assert_eq!(fixture.accepted(&policy), [true, true, false]);
        assert_eq!(file.status(), status(0, None));

        fixture.write(&[1, 2]);
        assert_eq!(file.reload(), Ok(()));
        assert_eq!(fixture.accepted(&policy), [false, true, true]);
        assert_eq!(file.status(), status(1, None));
        assert_eq!(events.recv_timeout(LONG), Ok(Ok(2)));
    }

    #[test]
    fn the_same_content_is_no_event() {
        let fixture = Fixture::new();
        fixture.write(&[0]);
        let (file, events) = observed(KeyFile::jwks(&fixture.path));
        assert_eq!(file.reload(), Ok(()));
        fixture.write(&[0]);
        assert_eq!(file.reload(), Ok(()));
        assert_eq!(file.status(), status(0, None));
        assert_eq!(events.try_recv(), Err(mpsc::TryRecvError::Empty));
    }

    #[test]
    fn a_token_of_a_removed_key_is_withdrawn_and_of_a_kept_key_is_not() {
        let fixture = Fixture::new();
        fixture.write(&[0, 1]);
        let file = KeyFile::jwks(&fixture.path).open().unwrap();
        let policy = policy(&[ES256], file.clone());
        let removed = policy.verify_token_now(fixture.token(0)).unwrap();
        let kept = policy.verify_token_now(fixture.token(1)).unwrap();
        assert_eq!(policy.recheck_now(&removed), Ok(()));

        fixture.write(&[2, 1]);
        file.reload().unwrap();
        assert_eq!(policy.recheck_now(&removed), Err(Error::Key(KeyError::Withdrawn)));
        assert_eq!(policy.recheck_now(&kept), Ok(()));
        assert_eq!(refusal(&policy, fixture.token(0)), Some(UNKNOWN_KEY));

        // Back again, it verifies, and whoever is asked again is told what the text would be.
        fixture.write(&[0, 1]);
        file.reload().unwrap();
        assert_eq!(refusal(&policy, fixture.token(0)), None);
        assert_eq!(policy.recheck_now(&removed), Ok(()));
    }

    #[test]
    fn a_key_replaced_under_its_own_id_is_withdrawn() {
        let fixture = Fixture::new();
        fixture.write(&[0]);
        let file = KeyFile::jwks(&fixture.path).open().unwrap();
        let policy = policy(&[ES256], file.clone());
        let verified = policy.verify_token_now(fixture.token(0)).unwrap();
        let successor = SigningKey::generate(ES256).with_id("k0");
        replace(&fixture.path, &jwks_text(&[&successor]));
        file.reload().unwrap();
        assert_eq!(policy.recheck_now(&verified), Err(Error::Key(KeyError::Withdrawn)));
        assert_eq!(refusal(&policy, fixture.token(0)), Some(BAD_SIGNATURE));
    }

    #[test]
    fn broken_content_keeps_the_good_keys_and_says_so() {
        let fixture = Fixture::new();
        fixture.write(&[0, 1]);
        let (file, events) = observed(KeyFile::jwks(&fixture.path));
        let policy = policy(&[ES256], file.clone());
        let verified = policy.verify_token_now(fixture.token(0)).unwrap();
        let not = KeyFault::NotAnObject;
        let private = (0, KeyFault::PrivateMember { member: "k" });
        for (content, fault) in [
            (String::new(), not(NotAnObject::Nothing)),
            ("<html>".to_owned(), not(NotAnObject::Markup)),
            (jwks_text(&[&fixture.keys[2]])[..100].to_owned(), not(NotAnObject::Other)),
            ("{}".to_owned(), KeyFault::NotASet),
            (r#"{"keys":[]}"#.to_owned(), KeyFault::NoUsableKey { skipped: vec![] }),
            (
                r#"{"keys":[{"kty":"oct","k":"AA"}]}"#.to_owned(),
                KeyFault::NoUsableKey { skipped: vec![private] },
            ),
            (" ".repeat(300 * 1024), KeyFault::TooLarge { length: 256 * 1024 + 1 }),
        ] {
            replace(&fixture.path, &content);
            assert_eq!(file.reload(), Err(fixture.error(fault.clone())));
            assert_eq!(file.status(), status(0, Some(fault.clone())));
            assert_eq!(events.recv_timeout(LONG), Ok(Err(fault.clone())));
            assert_eq!(fixture.accepted(&policy), [true, true, false]);
            assert_eq!(policy.recheck_now(&verified), Ok(()));
            // Said once, and still true.
            assert_eq!(file.reload(), Err(fixture.error(fault)));
            assert_eq!(events.try_recv(), Err(mpsc::TryRecvError::Empty));
        }
        fixture.write(&[0, 2]);
        assert_eq!(file.reload(), Ok(()));
        assert_eq!(file.status(), status(1, None));
        assert_eq!(fixture.accepted(&policy), [true, false, true]);
        assert_eq!(policy.recheck_now(&verified), Ok(()));
    }

    #[test]
    fn a_missing_file_keeps_the_good_keys_until_it_is_back() {
        let fixture = Fixture::new();
        fixture.write(&[0]);
        let (file, events) = observed(KeyFile::jwks(&fixture.path));
        let policy = policy(&[ES256], file.clone());
        std::fs::remove_file(&fixture.path).unwrap();
        let missing = KeyFault::Unreadable { reason: "there is no such file".into() };
        assert_eq!(file.reload(), Err(fixture.error(missing.clone())));
        assert_eq!(events.recv_timeout(LONG), Ok(Err(missing)));
        assert_eq!(fixture.accepted(&policy), [true, false, false]);

        // The very content that was good before: the fault is over.
        fixture.write(&[0]);
        assert_eq!(file.reload(), Ok(()));
        assert_eq!(file.status(), status(1, None));
        assert_eq!(fixture.accepted(&policy), [true, false, false]);
    }

    #[test]
    fn a_bad_entry_beside_a_good_one_is_no_fault_of_the_file() {
        let fixture = Fixture::new();
        fixture.write(&[0]);
        let file = KeyFile::jwks(&fixture.path).open().unwrap();
        let good = fixture.keys[1].public_jwk().unwrap();
        let set = json!({ "keys": [{ "kty": "odd" }, good] }).to_string();
        replace(&fixture.path, &set);
        assert_eq!(file.reload(), Ok(()));
        assert_eq!(file.keys().skipped().len(), 1);
        assert_eq!(fixture.accepted(&policy(&[ES256], file)), [false, true, false]);
    }

    #[cfg(unix)]
    #[test]
    fn keys_change_when_an_orchestrator_swaps_its_symbolic_link() {
        use std::os::unix::fs::symlink;

        let fixture = Fixture::new();
        let folder = fixture.path.parent().unwrap();
        // What the kubelet does: jwks.json -> ..data/jwks.json, ..data -> ..2026_01.
        let version = |name: &str, key: usize| {
            std::fs::create_dir(folder.join(name)).unwrap();
            let content = jwks_text(&[&fixture.keys[key]]);
            std::fs::write(folder.join(name).join("jwks.json"), content).unwrap();
            symlink(name, folder.join("..data_tmp")).unwrap();
            std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        };
        version("..2026_01", 0);
        symlink("..data/jwks.json", &fixture.path).unwrap();
        let file = KeyFile::jwks(&fixture.path).open().unwrap();
        let policy = policy(&[ES256], file.clone());
        assert_eq!(fixture.accepted(&policy), [true, false, false]);

        version("..2026_02", 1);
        std::fs::remove_dir_all(folder.join("..2026_01")).unwrap();
        file.reload().unwrap();
        assert_eq!(fixture.accepted(&policy), [false, true, false]);
        assert_eq!(file.status(), status(1, None));
    }

    #[test]
    fn pem_files_are_watched_too_and_their_keys_get_the_id() {
        let fixture = Fixture::new();
        replace(&fixture.path, &fixture.keys[0].public_pem().unwrap());
        let file = KeyFile::pem(&fixture.path).key_id("k0").open().unwrap();
        let policy = policy(&[ES256], file.clone());
        let verified = policy.verify_token_now(fixture.token(0)).unwrap();
        assert_eq!(refusal(&policy, fixture.token(1)), Some(UNKNOWN_KEY));

        let both: String = [0, 1].map(|key| fixture.keys[key].public_pem().unwrap()).concat();
        replace(&fixture.path, &both);
        file.reload().unwrap();
        assert_eq!(policy.recheck_now(&verified), Ok(()));
        let by_second = test_issuer().token(ES256).signed_by(&fixture.keys[1]).key_id("k0").mint();
        assert_eq!(refusal(&policy, &by_second), None);

        // Cut in the middle of the second key: neither is lost.
        replace(&fixture.path, &both[..both.len() - 40]);
        assert_eq!(file.reload(), Err(fixture.error(KeyFault::Pem)));
        assert_eq!(refusal(&policy, &by_second), None);
    }

    #[test]
    fn a_file_that_is_no_good_at_first_is_not_opened() {
        let fixture = Fixture::new();
        let missing = KeyFault::Unreadable { reason: "there is no such file".into() };
        assert_eq!(KeyFile::jwks(&fixture.path).open().err(), Some(fixture.error(missing)));
        replace(&fixture.path, "{}");
        let opened = KeyFile::jwks(&fixture.path).open().err();
        assert_eq!(opened, Some(fixture.error(KeyFault::NotASet)));
        assert_eq!(KeyFile::pem(&fixture.path).open().err(), Some(fixture.error(KeyFault::Pem)));
        fixture.write(&[0]);
        for id in [String::new(), "k".repeat(1025)] {
            let opened = KeyFile::jwks(&fixture.path).key_id(id).open().err();
            assert_eq!(opened, Some(fixture.error(KeyFault::KeyId)));
        }
    }

    #[test]
    fn neither_a_file_nor_its_options_show_keys() {
        let fixture = Fixture::new();
        fixture.write(&[0]);
        let options = KeyFile::jwks(&fixture.path);
        let shown = format!("KeyFileOptions {{ path: {:?}, .. }}", fixture.path);
        assert_eq!(format!("{options:?}"), shown);
        let shown = format!("KeyFile {{ path: {:?}, .. }}", fixture.path);
        assert_eq!(format!("{:?}", options.open().unwrap()), shown);
    }

    thread_local! {
        /// Dropped when the thread that set it ends.
        static END: std::cell::RefCell<Option<mpsc::Sender<()>>> =
            const { std::cell::RefCell::new(None) };
    }

    #[test]
    fn a_change_is_noticed_by_itself_as_long_as_somebody_has_the_file_and_no_longer() {
        let fixture = Fixture::new();
        fixture.write(&[0]);
        let (changed, changes) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        // Called from the thread that looks at the file, whose end drops what it has.
        let ends = Mutex::new(Some(end));
        let file = KeyFile::jwks(&fixture.path)
            .on_event(move |_| {
                if let Some(end) = ends.lock().unwrap().take() {
                    END.with_borrow_mut(|slot| *slot = Some(end));
                }
                let _ = changed.send(std::thread::current().name().map(str::to_owned));
            })
            .open()
            .unwrap();
        let policy = policy(&[ES256], file.clone());
        drop(file);
        fixture.write(&[1]);
        assert_eq!(changes.recv_timeout(LONG), Ok(Some("portcullis-keys".to_owned())));
        assert_eq!(fixture.accepted(&policy), [false, true, false]);

        assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Empty));
        drop(policy);
        assert_eq!(ended.recv_timeout(LONG), Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn an_observer_that_panics_does_not_end_the_watch() {
        let fixture = Fixture::new();
        fixture.write(&[0]);
        let (changed, changes) = mpsc::channel();
        let file = KeyFile::jwks(&fixture.path)
            .on_event(move |_| {
                let _ = changed.send(());
                // Quietly: the panic hook is for those that are not on purpose.
                std::panic::resume_unwind(Box::new("on purpose"));
            })
            .open()
            .unwrap();
        let policy = policy(&[ES256], file);
        for (keys, accepted) in [(1, [false, true, false]), (2, [false, false, true])] {
            fixture.write(&[keys]);
            assert_eq!(changes.recv_timeout(LONG), Ok(()));
            assert_eq!(fixture.accepted(&policy), accepted);
        }
    }
}
