//! Signature bypass and algorithm confusion.
use std::io::ErrorKind;
use std::net::TcpListener;

use base64::prelude::*;
use portcullis::error::{ClaimsError, JsonFault, Part, SignatureError, TokenError};
use portcullis::keys::{KeyError, KeyFault, SecretFault};
use portcullis::policy::PolicyFault;
use portcullis::{Algorithm, Encoding, Error, Issuer, KeySet, KeySource, Keys, Secret};
use portcullis_attacks::{Door, issuer, policy_for, token, trusted, wrong_algorithm};
use portcullis_testkit::{SigningKey, TestIssuer, TokenBuilder, hostile};
use serde_json::{Value, json};

use Algorithm::{
    ES256, ES384, ES512, Ed25519, EdDSA, HS256, HS384, HS512, PS256, RS256, RS384, RS512,
};

/// The issuer as one that goes over from a shared secret to key pairs: both are trusted.
fn trusted_with_secret(secret: Secret) -> Issuer {
    let keys = KeySet::from_jwks(issuer().jwks_of(&[RS256, ES256, EdDSA])).expect("keys");
    Issuer::new(issuer().name())
        .algorithms([HS256, HS384, HS512, RS256, ES256, EdDSA])
        .keys(Keys::from(keys).and(secret))
        .audience(TestIssuer::AUDIENCE)
}

fn secret() -> Secret {
    Secret::new(issuer().secret(HS512))
}

fn encode(text: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().expect("three parts")
}

/// A JWK without the members that a header could stand in for.
fn bare(key: &SigningKey) -> Value {
    let mut jwk = key.public_jwk().expect("a key pair");
    for member in ["alg", "kid", "use"] {
        jwk.as_object_mut().expect("an object").remove(member);
    }
    jwk
}

fn jwks(keys: &[Value]) -> KeySet {
    KeySet::from_jwks(json!({ "keys": keys }).to_string()).expect("keys")
}

#[test]
fn every_spelling_of_none_is_refused_with_any_signature() {
    let door = Door::trusting(&[ES256]);
    let good = token(ES256).mint();
    door.admits(&good);
    for forgery in hostile::none_family(&good) {
        let error = if forgery.what.ends_with("an empty signature") {
            TokenError::Empty(Part::Signature)
        } else if forgery.what.ends_with("no third part") {
            TokenError::Parts { found: 2 }
        } else if forgery.what.starts_with("alg \"") {
            TokenError::AlgorithmUnknown
        } else {
            TokenError::AlgorithmMissing
        };
        door.refuses(&forgery.what, &forgery.token, error);
    }
}

#[test]
fn a_public_key_is_never_a_secret_however_it_is_spelled() {
    let only_public = Door::trusting(&[RS256, ES256, EdDSA]);
    let with_secret = Door::new(policy_for([trusted_with_secret(secret())]));
    let with_named_secret = Door::new(policy_for([trusted_with_secret(secret().id("hs-1"))]));
    for algorithm in [RS256, ES256, EdDSA] {
        let good = token(algorithm).mint();
        only_public.admits(&good);
        with_secret.admits(&good);
        let key = issuer().key(algorithm).clone();
        for forgery in hostile::public_key_as_secret_family(&good, &key) {
            let error = only_public.policy().verify_token_now(&forgery.token).expect_err("refused");
            assert!(matches!(&error, Error::Claims(ClaimsError::Algorithm { .. })), "{error:?}");
            only_public.refuses(&forgery.what, &forgery.token, error);
            // Here the algorithm is allowed, and the key id names the public key.
            with_secret.refuses(&forgery.what, &forgery.token, SignatureError::new());
            with_named_secret.refuses(&forgery.what, &forgery.token, KeyError::Unknown);
        }
        // Without a key id, so that every key is looked at.
        let anonymous = token(algorithm).without_header("kid").mint();
        for forgery in hostile::public_key_as_secret_family(&anonymous, &key) {
            with_secret.refuses(&forgery.what, &forgery.token, SignatureError::new());
            with_named_secret.refuses(&forgery.what, &forgery.token, SignatureError::new());
        }
    }
}

#[test]
fn a_public_key_configured_as_a_secret_is_refused_when_the_policy_is_built() {
    let key = issuer().key(RS256).clone();
    let (pem, der) = (key.public_pem().expect("PEM"), key.public_der().expect("DER"));
    let jwk = key.public_jwk().expect("a JWK").to_string();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    for (what, secret) in [
        ("PEM", Secret::new(pem.clone())),
        ("PEM with CRLF", Secret::new(pem.replace('\n', "\r\n"))),
        ("PEM after a space", Secret::new(format!(" {pem}"))),
        ("PEM after a byte order mark", Secret::new(format!("\u{feff}{pem}"))),
        ("PEM after the comment of a tool", Secret::new(format!("subject=CN = id\n{pem}"))),
        ("PEM in base64url", Secret::encoded(encode(&pem), Encoding::Base64url)),
        ("the text between the lines of PEM", Secret::new(body)),
        ("DER", Secret::new(der.clone())),
        ("DER in base64url", Secret::encoded(encode(&der), Encoding::Base64url)),
        ("a JWK", Secret::new(jwk)),
        ("a JWK set", Secret::new(issuer().jwks_of(&[RS256]))),
    ] {
        let issuer = Issuer::new("https://id.example").algorithms([HS256]).keys(secret);
        let error = policy_for([issuer.audience("a")]).build().expect_err(what);
        let [PolicyFault::Secret { fault, .. }] = error.faults() else { panic!("{what}: {error}") };
        assert_eq!(*fault, SecretFault::Key(KeyFault::PublicKeyAsSecret), "{what}");
    }
}

#[test]
fn a_key_without_alg_serves_no_algorithm_but_those_of_its_type_and_of_the_policy() {
    for rsa in [RS256, PS256] {
        let signers = [rsa, ES256, ES384, ES512, EdDSA, HS512];
        let keys: Vec<_> = signers[..5].iter().map(|one| bare(issuer().key(*one))).collect();
        let keys = Keys::from(jwks(&keys)).and(secret());
        // A key of ML-DSA is none without `alg`: see `post_quantum.rs`.
        let is_listed = |it: &Algorithm| !it.name().starts_with("ML-DSA");
        let everything = Issuer::new(issuer().name())
            .algorithms(Algorithm::ALL.iter().copied().filter(is_listed))
            .keys(keys)
            .audience(TestIssuer::AUDIENCE);
        let door = Door::new(policy_for([everything]));
        for signer in signers {
            for named in Algorithm::ALL.iter().copied().filter(is_listed) {
                let token = token(signer).header("alg", named.name()).without_header("kid").mint();
                let same_key = signer == EdDSA && named == Ed25519;
                if named == signer || same_key {
                    door.admits(&token);
                } else {
                    door.refuses(&format!("{signer} as {named}"), token, SignatureError::new());
                }
            }
        }
    }
}

#[test]
fn a_key_without_alg_is_not_used_with_an_algorithm_that_the_policy_does_not_list() {
    for algorithm in [RS256, ES256, EdDSA] {
        let keys = jwks(&[bare(issuer().key(algorithm))]);
        let issuer = Issuer::new(issuer().name())
            .algorithms([algorithm])
            .keys(keys)
            .audience(TestIssuer::AUDIENCE);
        let door = Door::new(policy_for([issuer]));
        door.admits(&token(algorithm).mint());
        for named in Algorithm::ALL.iter().copied().filter(|named| *named != algorithm) {
            let token = token(algorithm).header("alg", named.name()).mint();
            door.refuses(named.name(), token, wrong_algorithm(named, &[algorithm]));
        }
    }
}

#[test]
fn an_rsa_key_pinned_to_one_scheme_does_not_verify_another() {
    for (signer, published) in [(PS256, RS256), (RS256, PS256), (RS256, RS384), (RS256, RS512)] {
        // The key signs with one algorithm, and is published for another.
        let mut jwk = bare(issuer().key(signer));
        jwk["alg"] = published.name().into();
        jwk["kid"] = "pinned".into();
        let real = issuer().key(signer).public_jwk().expect("a key pair");
        let issuer = |keys: &[Value], algorithms: &[Algorithm]| {
            Issuer::new(issuer().name())
                .algorithms(algorithms.iter().copied())
                .keys(jwks(keys))
                .audience(TestIssuer::AUDIENCE)
        };
        let signed = || token(signer).key_id("pinned");
        let what = format!("{signer} as {published}");

        let alone = Door::new(policy_for([issuer(&[jwk.clone()], &[published])]));
        let renamed = signed().header("alg", published.name()).mint();
        alone.refuses(&what, &renamed, SignatureError::new());
        alone.refuses(&what, signed().mint(), wrong_algorithm(signer, &[published]));

        // Where both algorithms are listed, the key is found for its own only.
        let both = Door::new(policy_for([issuer(&[jwk, real], &[published, signer])]));
        both.admits(&token(signer).mint());
        both.refuses(&what, renamed, SignatureError::new());
        both.refuses(&what, signed().mint(), KeyError::Unknown);
    }
}

#[test]
fn an_empty_or_short_secret_is_refused_and_a_token_signed_with_it_too() {
    for (algorithm, needed) in [(HS256, 32), (HS384, 48), (HS512, 64)] {
        for length in [0, 1, needed - 1] {
            // Bytes that are no text, so that nothing else is wrong with it.
            let bytes: Vec<u8> = (128..).take(length).collect();
            let secret = Secret::new(bytes);
            let issuer = Issuer::new("i").algorithms([algorithm]).keys(secret).audience("a");
            let error = policy_for([issuer]).build().expect_err("too short");
            let [PolicyFault::Secret { fault, .. }] = error.faults() else { panic!("{error}") };
            assert_eq!(*fault, SecretFault::TooShort { algorithm, needed, found: length });
        }
    }
    let door = Door::new(policy_for([trusted_with_secret(secret())]));
    for algorithm in [HS256, HS384, HS512] {
        door.admits(
            &token(algorithm)
                .signed_by(&SigningKey::from_secret(algorithm, issuer().secret(HS512)))
                .mint(),
        );
        for weak in ["", "\0", "secret", "undefined", "null"] {
            let key = SigningKey::from_secret(algorithm, weak);
            door.refuses(weak, token(algorithm).signed_by(&key).mint(), SignatureError::new());
            let nameless = token(algorithm).signed_by(&key).without_header("kid").mint();
            door.refuses(weak, nameless, SignatureError::new());
        }
    }
}

#[test]
fn a_source_that_finds_no_key_is_an_unknown_key_and_never_an_empty_one() {
    #[derive(Debug)]
    struct Nothing;
    impl KeySource for Nothing {
        fn keys(&self) -> KeySet {
            KeySet::empty()
        }
    }
    let issuer = Issuer::new(issuer().name())
        .algorithms([HS256, RS256, ES256, EdDSA])
        .keys(Keys::source(Nothing).and(secret().id("named").algorithm(HS256)))
        .audience(TestIssuer::AUDIENCE);
    let door = Door::new(policy_for([issuer]));
    let empty = SigningKey::from_secret(HS256, "");
    door.refuses("an empty secret", token(HS256).signed_by(&empty).mint(), KeyError::Unknown);
    for algorithm in [RS256, ES256, EdDSA] {
        door.refuses("no public key", token(algorithm).mint(), KeyError::Unknown);
        let nameless = token(algorithm).without_header("kid").mint();
        door.refuses("no key id", nameless, KeyError::Unknown);
    }
}

#[test]
fn a_key_in_the_header_is_not_trusted() {
    let attacker = issuer().impostor();
    let key = attacker.key(ES256);
    let jwk = key.public_jwk().expect("a key pair");
    let forged = || token(ES256).signed_by(key).header("jwk", jwk.clone());
    let door = Door::trusting(&[ES256]);
    door.refuses("with the issuer's key id", forged().mint(), SignatureError::new());
    door.refuses("without a key id", forged().without_header("kid").mint(), SignatureError::new());
    door.refuses("with its own key id", forged().key_id("mine").mint(), KeyError::Unknown);
    let thumbprint = forged().key_id("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    door.refuses("with a thumbprint", thumbprint.mint(), KeyError::Unknown);
    let chain = json!([BASE64_STANDARD.encode(key.public_der().expect("a key pair"))]);
    let certified = token(ES256).signed_by(key).header("x5c", chain);
    door.refuses("with a certificate chain", certified.mint(), SignatureError::new());
    // A symmetric key, and a private one.
    let oct = json!({ "kty": "oct", "k": encode([7; 32]) });
    let mac = SigningKey::from_secret(HS256, [7; 32]);
    let with_secret = Door::new(policy_for([trusted_with_secret(secret())]));
    let own = token(HS256).signed_by(&mac).header("jwk", oct);
    with_secret.refuses("with its own secret", own.mint(), SignatureError::new());
    // It changes nothing about a good token either, which some issuers send so.
    door.admits(&token(ES256).header("jwk", jwk).mint());
}

#[test]
fn a_policy_can_refuse_tokens_that_bring_a_key() {
    let door = Door::new(policy_for([trusted(&[ES256])]).refuse_brought_keys());
    door.admits(&token(ES256).header("x5t", "AAAA").header("x5t#S256", "AAAA").mint());
    for (member, value) in [
        ("jwk", issuer().key(ES256).public_jwk().expect("a key pair")),
        ("jwk", json!({})),
        ("jwk", json!(null)),
        ("jku", json!("https://id.example/jwks.json")),
        ("x5u", json!("")),
        ("x5c", json!([])),
        ("x5c", json!(1)),
    ] {
        let token = token(ES256).header(member, value).mint();
        door.refuses(member, token, ClaimsError::EmbeddedKey);
    }
    let escaped = r#"{"alg":"ES256","kid":"es256-1","\u006a\u006Bu":"https://evil.example"}"#;
    door.refuses("escaped", token(ES256).raw_header(escaped).mint(), ClaimsError::EmbeddedKey);
}

#[test]
fn nothing_in_a_token_opens_a_connection() {
    let canary = TcpListener::bind("127.0.0.1:0").expect("a port");
    canary.set_nonblocking(true).expect("a socket");
    let url = format!("http://{}/jwks.json", canary.local_addr().expect("an address"));
    let attacker = issuer().impostor();
    let forged = || token(ES256).signed_by(attacker.key(ES256));
    let door = Door::trusting(&[ES256]);
    for member in ["jku", "x5u"] {
        for (id, error) in [
            (None, Error::Signature(SignatureError::new())),
            (Some("es256-1"), Error::Signature(SignatureError::new())),
            (Some("unknown"), Error::Key(KeyError::Unknown)),
        ] {
            let forged = forged().header(member, url.as_str());
            let forged = match id {
                Some(id) => forged.key_id(id),
                None => forged.without_header("kid"),
            };
            door.refuses(member, forged.mint(), error);
        }
        door.admits(&token(ES256).header(member, url.as_str()).mint());
    }
    let jwk = json!({ "kty": "EC", "jku": url, "x5u": url });
    door.refuses("in jwk", forged().header("jwk", jwk).mint(), SignatureError::new());
    door.refuses("kid", forged().key_id(url.as_str()).mint(), KeyError::Unknown);
    door.refuses("iss", forged().claim("iss", url.as_str()).mint(), ClaimsError::Issuer);
    for claim in ["jku", "jwks_uri", "status", "sub"] {
        door.admits(&token(ES256).claim(claim, url.as_str()).mint());
    }
    let connection = canary.accept().map(|(_, from)| from);
    assert_eq!(connection.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
}

#[test]
fn a_hostile_key_id_is_only_an_unknown_key() {
    let door = Door::trusting(&[ES256]);
    let long = "k".repeat(1024);
    for id in [
        "",
        " ",
        "../../dev/null",
        "..\\..\\windows\\win.ini",
        "/dev/null",
        "/proc/self/environ",
        "file:///etc/passwd",
        "' OR 1=1--",
        "es256-1' UNION SELECT 'x",
        "\"; DROP TABLE keys;--",
        "*)(uid=*))(|(uid=*",
        "$(touch owned)",
        "`id`",
        "| cat /etc/passwd",
        "${jndi:ldap://127.0.0.1/a}",
        "{{7*7}}",
        "%s%s%s%n",
        "es256-1\0",
        "\0",
        "es256-1 ",
        "ES256-1",
        "es256\u{2011}1",
        "\r\nSet-Cookie: a=b",
        "\u{1b}[2J",
        long.as_str(),
    ] {
        door.refuses(&format!("{id:?}"), token(ES256).key_id(id).mint(), KeyError::Unknown);
    }
}

#[test]
fn a_key_id_that_is_too_long_or_no_string_is_refused() {
    let door = Door::trusting(&[ES256]);
    let with = |id: Value| token(ES256).header("kid", id).mint();
    door.refuses("1 KiB and 1", with("k".repeat(1025).into()), TokenError::KeyIdTooLong);
    door.refuses("in characters", with("é".repeat(513).into()), TokenError::KeyIdTooLong);
    let huge = with("k".repeat(1 << 20).into());
    let length = huge.len();
    door.refuses("1 MiB", huge, TokenError::TooLong { length, limit: 16 * 1024 });
    for id in [
        json!(null),
        json!(1),
        json!(true),
        json!(1.5),
        json!([]),
        json!(["es256-1"]),
        json!({ "$ne": null }),
    ] {
        let what = id.to_string();
        door.refuses(&what, with(id), TokenError::HeaderType { member: "kid" });
    }
}

/// The length of a curve's coordinates, its order, and the one above.
fn orders() -> [(Algorithm, usize, Vec<u8>); 3] {
    let hex = |digits: &str| -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
        (0..digits.len()).step_by(2).map(digit).collect()
    };
    // SP 800-186 §3.2.1.3 to §3.2.1.5.
    [
        (ES256, 32, hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")),
        (
            ES384,
            48,
            hex(
                "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
            ),
        ),
        (
            ES512,
            66,
            hex(
                "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
            ),
        ),
    ]
}

#[test]
fn psychic_signatures_are_refused() {
    let door = Door::trusting(&[ES256, ES384, ES512]);
    for (algorithm, length, order) in orders() {
        let good = token(algorithm).mint();
        door.admits(&good);
        let signature = BASE64_URL_SAFE_NO_PAD.decode(parts(&good)[2]).expect("base64url");
        let (r, s) = signature.split_at(length);
        let mut above = order.clone();
        *above.last_mut().expect("bytes") += 1;
        let mut one = vec![0; length];
        one[length - 1] = 1;
        let odd =
            [vec![0; length], one, order.clone(), above, vec![0xff; length], vec![0x80; length]];
        let pairs = odd.iter().flat_map(|r| odd.iter().map(move |s| (r.as_slice(), s.as_slice())));
        let halves = odd.iter().flat_map(|x| [(r, x.as_slice()), (x.as_slice(), s)]);
        for (r, s) in pairs.chain(halves).chain([(s, r), (r, r), (s, s)]) {
            let forged = hostile::with_signature(&good, &[r, s].concat());
            door.refuses(&format!("{algorithm} {r:?} {s:?}"), forged, SignatureError::new());
        }
    }
}

#[test]
fn an_ecdsa_signature_of_another_form_or_length_is_refused() {
    let door = Door::trusting(&[ES256, ES384, ES512]);
    for (algorithm, length, _) in orders() {
        let good = token(algorithm).mint();
        let signature = BASE64_URL_SAFE_NO_PAD.decode(parts(&good)[2]).expect("base64url");
        let (r, s) = signature.split_at(length);
        let integer = |number: &[u8]| {
            let number = [&[0], number].concat(); // not negative
            let zeros = number.windows(2).take_while(|two| two[0] == 0 && two[1] < 0x80).count();
            let number = &number[zeros..];
            [&[2, u8::try_from(number.len()).expect("short")], number].concat()
        };
        let body = [integer(r), integer(s)].concat();
        let der = match u8::try_from(body.len()).expect("short") {
            short @ 0..0x80 => [&[0x30, short], body.as_slice()].concat(),
            long => [&[0x30, 0x81, long], body.as_slice()].concat(),
        };
        for (what, form) in [
            ("DER", der),
            ("one byte short", signature[1..].to_vec()),
            ("the last byte cut off", signature[..2 * length - 1].to_vec()),
            ("one zero in front", [&[0], &signature[..]].concat()),
            ("one zero behind", [&signature[..], &[0]].concat()),
            ("each half after a zero", [&[0], r, &[0], s].concat()),
            ("both halves one byte short", [&r[1..], &s[1..]].concat()),
            ("r only", r.to_vec()),
            ("twice", [&signature[..], &signature[..]].concat()),
            ("one byte", vec![0]),
        ] {
            let forged = hostile::with_signature(&good, &form);
            door.refuses(&format!("{algorithm} {what}"), forged, SignatureError::new());
        }
        door.refuses("a flipped bit", hostile::flip_signature_bit(&good), SignatureError::new());
    }
}

#[test]
fn an_ed25519_signature_is_the_only_one_of_its_token() {
    // RFC 8032 §5.1.7: S must be below the group's order L, or `S + L` would verify too.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let door = Door::trusting(&[EdDSA]);
    let good = token(EdDSA).mint();
    door.admits(&good);
    let signature = BASE64_URL_SAFE_NO_PAD.decode(parts(&good)[2]).expect("base64url");
    let (point, scalar) = signature.split_at(32);
    let mut carry = 0;
    let sum: Vec<u8> = scalar
        .iter()
        .zip(L)
        .map(|(a, b)| {
            let sum = u16::from(*a) + u16::from(b) + carry;
            carry = sum >> 8;
            sum.to_le_bytes()[0]
        })
        .collect();
    let mut identity = [0; 32];
    identity[0] = 1;
    for (what, form) in [
        ("S + L", [point, &sum].concat()),
        ("S = L", [point, &L].concat()),
        ("S = 0", [point, &[0; 32]].concat()),
        ("R = 0", [&[0; 32], scalar].concat()),
        ("R the identity", [&identity, scalar].concat()),
        ("R the identity, S = 0", [identity, [0; 32]].concat()),
        ("all zero", vec![0; 64]),
        ("all ones", vec![0xff; 64]),
        ("R only", point.to_vec()),
        ("one byte more", [&signature[..], &[0]].concat()),
    ] {
        door.refuses(what, hostile::with_signature(&good, &form), SignatureError::new());
    }
}

#[test]
fn an_rsa_signature_of_another_length_or_value_is_refused() {
    let door = Door::trusting(&[RS256, PS256]);
    for algorithm in [RS256, PS256] {
        let good = token(algorithm).mint();
        door.admits(&good);
        let signature = BASE64_URL_SAFE_NO_PAD.decode(parts(&good)[2]).expect("base64url");
        let mut one = [0; 256];
        one[255] = 1;
        for (what, form) in [
            ("zero", vec![0; 256]),
            ("one", one.to_vec()),
            ("all ones", vec![0xff; 256]),
            ("a zero in front", [&[0], &signature[..]].concat()),
            ("a zero behind", [&signature[..], &[0]].concat()),
            ("the first byte cut off", signature[1..].to_vec()),
            ("512 bytes", vec![1; 512]),
            ("1024 bytes", vec![1; 1024]),
            ("4627 bytes", vec![1; 4627]),
        ] {
            let forged = hostile::with_signature(&good, &form);
            door.refuses(&format!("{algorithm} {what}"), forged, SignatureError::new());
        }
        // Longer than that of any key.
        let long = hostile::with_signature(&good, &[1; 4630]);
        let error = TokenError::PartTooLong { part: Part::Signature, length: 4630, limit: 4627 };
        door.refuses("4630 bytes", long, error);
    }
}

#[test]
fn a_shortened_hmac_is_refused() {
    let door = Door::new(policy_for([trusted_with_secret(secret())]));
    for algorithm in [HS256, HS384, HS512] {
        let key = SigningKey::from_secret(algorithm, issuer().secret(HS512));
        let good = token(algorithm).signed_by(&key).mint();
        door.admits(&good);
        let mac = BASE64_URL_SAFE_NO_PAD.decode(parts(&good)[2]).expect("base64url");
        for length in [1, 10, 16, mac.len() / 2, mac.len() - 1] {
            let forged = hostile::with_signature(&good, &mac[..length]);
            door.refuses(&format!("{algorithm} cut to {length}"), forged, SignatureError::new());
        }
        let longer = hostile::with_signature(&good, &[&mac[..], &[0]].concat());
        door.refuses("one byte more", longer, SignatureError::new());
    }
}

#[test]
fn a_payload_under_a_foreign_signature_is_refused() {
    let door = Door::trusting(&[ES256, RS256]);
    let good = token(ES256).mint();
    let mut claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts(&good)[1]).expect("base64url"))
            .expect("JSON");
    claims["sub"] = "root".into();
    door.refuses("root", hostile::with_payload(&good, claims.to_string()), SignatureError::new());
    // The payload and signature of one token under the header of another.
    let other = token(RS256).mint();
    let spliced = format!("{}.{}.{}", parts(&other)[0], parts(&good)[1], parts(&good)[2]);
    door.refuses("spliced", spliced, SignatureError::new());
}

#[test]
fn a_key_of_small_order_does_not_come_to_be() {
    // Under the identity, `R = S·B` verifies every message.
    let mut identity = [0; 32];
    identity[0] = 1;
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(identity) });
    assert_eq!(KeySet::from_jwk(jwk.to_string()).err(), Some(KeyFault::SmallOrder));
}

/// A good token whose parts, but for the signature, were spelled by hand.
fn respelled(header: &str, payload: &str) -> String {
    let input = format!("{header}.{payload}");
    format!("{input}.{}", encode(issuer().key(ES256).sign(input.as_bytes())))
}

#[test]
fn base64url_has_one_spelling_even_under_a_good_signature() {
    let door = Door::trusting(&[ES256]);
    // Lengths that leave unused bits in the last character of each part.
    let header = encode(r#"{"alg":"ES256","kid":"es256-1" }"#);
    let claims = |spaces: usize| {
        format!(
            r#"{{"iss":"https://id.example","aud":"https://api.example","exp":1800000300}}{}"#,
            " ".repeat(spaces)
        )
    };
    let payload = (0..3).map(|n| encode(claims(n))).find(|text| text.len() % 4 == 3);
    let payload = payload.expect("one of three");
    assert_ne!(header.len() % 4, 0);
    let good = respelled(&header, &payload);
    door.admits(&good);

    let last = |text: &str| -> Vec<String> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let (rest, end) = text.split_at(text.len() - 1);
        let at = ALPHABET.iter().position(|c| *c == end.as_bytes()[0]).expect("base64url");
        let unused = if text.len() % 4 == 2 { 4 } else { 2 };
        (1..1 << unused).map(|bits| format!("{rest}{}", char::from(ALPHABET[at | bits]))).collect()
    };
    for spelling in last(&header) {
        let error = TokenError::Base64(Part::Header);
        door.refuses("bits in the header", respelled(&spelling, &payload), error);
    }
    for spelling in last(&payload) {
        let error = TokenError::Base64(Part::Payload);
        door.refuses("bits in the payload", respelled(&header, &spelling), error);
    }
    let [_, _, signature] = parts(&good);
    for spelling in last(signature) {
        let forged = format!("{header}.{payload}.{spelling}");
        door.refuses("bits in the signature", forged, TokenError::Base64(Part::Signature));
    }
    // One character more is no whole number of bytes.
    for (forged, part) in [
        (respelled(&format!("{header}AA"), &payload), Part::Header),
        (respelled(&header, &format!("{payload}AA")), Part::Payload),
        (format!("{good}AAA"), Part::Signature),
    ] {
        door.refuses("a length of 4n + 1", forged, TokenError::Base64(part));
    }
}

#[test]
fn a_byte_outside_the_alphabet_is_refused_in_every_part_even_under_a_good_signature() {
    let door = Door::trusting(&[ES256]);
    let good = token(ES256).mint();
    let [header, payload, signature] = parts(&good);
    for odd in [
        "=", "==", "+", "/", " ", "\t", "\n", "\r\n", "\0", "%2E", "%3D", ",", ";", "\"", "'", "{",
        "}", "~", "*", "@", "\u{e9}", "\u{a0}", "\u{2028}", "\u{ff0e}", "\u{feff}", "\u{200b}",
    ] {
        for (what, forged) in [
            (
                "in the header",
                respelled(&format!("{}{odd}{}", &header[..5], &header[5..]), payload),
            ),
            ("after the header", respelled(&format!("{header}{odd}"), payload)),
            ("before the payload", respelled(header, &format!("{odd}{payload}"))),
            ("after the payload", respelled(header, &format!("{payload}{odd}"))),
            ("in the signature", format!("{header}.{payload}.{odd}{signature}")),
        ] {
            let is_padding = odd.starts_with('=') && what.starts_with("after");
            let error = if is_padding { TokenError::Padding } else { TokenError::Character };
            door.refuses(&format!("{odd:?} {what}"), forged, error);
        }
    }
    // At the very ends, where a header's own white space is nobody's.
    door.refuses("padded", format!("{good}="), TokenError::Padding);
    for forged in [format!("={good}"), format!("\"{good}\""), format!("{good},")] {
        door.refuses(&forged, &forged, TokenError::Character);
    }
    for forged in [format!("{good}\n"), format!(" {good}"), format!("{good}\0")] {
        let error = door.policy().verify_token_now(&forged).err();
        assert_eq!(error, Some(TokenError::Character.into()), "{forged:?}");
    }
}

#[test]
fn standard_base64_is_refused_even_under_a_good_signature() {
    let door = Door::trusting(&[ES256]);
    let header = encode(r#"{"alg":"ES256","kid":"es256-1"}"#);
    // `???` and `>>>` are `Pz8_` and `Pj4-` in base64url.
    let claims = r#"{"iss":"https://id.example","aud":"https://api.example","exp":1800000300,"x":"???>>>???>>>?>?>"}"#;
    let payload = encode(claims);
    assert!(payload.contains('_') || payload.contains('-'));
    door.admits(&respelled(&header, &payload));
    let standard = payload.replace('_', "/").replace('-', "+");
    door.refuses("standard", respelled(&header, &standard), TokenError::Character);
    let mixed = payload.replace('-', "+");
    if mixed != payload {
        door.refuses("mixed", respelled(&header, &mixed), TokenError::Character);
    }
}

#[test]
fn more_or_fewer_parts_than_three_are_refused() {
    let door = Door::trusting(&[ES256]);
    let good = token(ES256).mint();
    let [header, payload, signature] = parts(&good);
    for (forged, found) in [
        (format!("..{good}"), 5),
        (format!(".{good}"), 4),
        (format!("{good}."), 4),
        (format!("{good}.."), 5),
        (format!("{header}..{payload}.{signature}"), 4),
        (format!("{header}.{payload}..{signature}"), 4),
        (format!("{good}.{good}"), 6),
        (format!("{header}.{payload}"), 2),
        (header.to_owned(), 1),
        (".".to_owned(), 2),
    ] {
        door.refuses(&forged, &forged, TokenError::Parts { found });
    }
    for (forged, part) in [
        (format!(".{payload}.{signature}"), Part::Header),
        (format!("{header}..{signature}"), Part::Payload),
        (format!("{header}.{payload}."), Part::Signature),
        ("..".to_owned(), Part::Header),
    ] {
        door.refuses(&forged, &forged, TokenError::Empty(part));
    }
}

#[test]
fn an_encrypted_token_is_refused() {
    let door = Door::trusting(&[RS256, ES256]);
    let [header, payload, signature] = parts(&token(ES256).mint()).map(str::to_owned);
    for (alg, enc) in [
        ("RSA-OAEP", "A256GCM"),
        ("dir", "A128CBC-HS256"),
        ("ECDH-ES", "A256GCM"),
        ("PBES2-HS256+A128KW", "A128GCM"),
        ("none", "none"),
    ] {
        let jwe =
            encode(json!({ "alg": alg, "enc": enc, "p2c": i32::MAX, "cty": "JWT" }).to_string());
        let parts = TokenError::Parts { found: 5 };
        door.refuses(alg, format!("{jwe}.{header}.{payload}.{signature}.AAAA"), parts);
        door.refuses(alg, format!("{jwe}..{payload}.{signature}."), parts);
        // CVE-2026-29000: five parts become three where somebody filters the empty ones.
        door.refuses(alg, format!("{jwe}.{payload}.{signature}"), TokenError::AlgorithmUnknown);
    }
    for alg in ["RSA1_5", "RSA-OAEP-256", "A128KW", "dir", "ECDH-ES+A128KW", "PBES2-HS512+A256KW"] {
        let token = token(ES256).header("alg", alg).header("enc", "A256GCM").mint();
        door.refuses(alg, token, TokenError::AlgorithmUnknown);
    }
}

#[test]
fn password_based_encryption_costs_nothing() {
    let door = Door::trusting(&[ES256]);
    let token = token(ES256)
        .header("alg", "PBES2-HS256+A128KW")
        .header("p2c", i64::MAX)
        .header("p2s", encode([0; 16]));
    door.refuses("p2c", token.mint(), TokenError::AlgorithmUnknown);
}

#[test]
fn a_nested_token_is_refused() {
    let door = Door::trusting(&[ES256]);
    let unsigned = hostile::none(&token(ES256).mint(), "none");
    let nested = |cty: &str| token(ES256).header("cty", cty).raw_payload(unsigned.clone());
    for cty in ["JWT", "jwt", "application/JWT", "Application/jwt"] {
        let error = TokenError::HeaderUnsupported { member: "cty" };
        door.refuses(cty, nested(cty).mint(), error);
        door.refuses(cty, token(ES256).header("cty", cty).mint(), error);
    }
    let text = TokenError::Json(Part::Payload, JsonFault::NotAnObject);
    door.refuses("not declared", token(ES256).raw_payload(unsigned.clone()).mint(), text);
    door.refuses("as another type", nested("application/json").mint(), text);
    let string = Value::from(unsigned).to_string();
    door.refuses("as a JSON string", token(ES256).raw_payload(string).mint(), text);
    for cty in [json!(1), json!(null), json!(["JWT"])] {
        let token = token(ES256).header("cty", cty).mint();
        door.refuses("of a wrong type", token, TokenError::HeaderType { member: "cty" });
    }
}

#[test]
fn the_json_serialization_and_its_polyglots_are_refused_before_any_json_is_read() {
    let door = Door::trusting(&[ES256]);
    let good = token(ES256).mint();
    let [protected, payload, signature] = parts(&good);
    let evil = encode(r#"{"sub":"root"}"#);
    for forged in [
        json!({ "payload": payload, "protected": protected, "signature": signature }).to_string(),
        json!({ "payload": payload, "signatures": [{ "protected": protected, "signature": signature }] })
            .to_string(),
        json!({ "payload": payload, "header": { "alg": "none" }, "signature": "" }).to_string(),
        // CVE-2022-39227: one text, which a lenient splitter and a JSON parser read differently.
        format!(
            r#"{{"  {protected}.{evil}.":"","protected":"{protected}","payload":"{payload}","signature":"{signature}"}}"#
        ),
        format!(r#"{{"{protected}.{payload}.{signature}":""}}"#),
        format!("{protected}.{payload}.{signature}{{}}"),
        format!("[{good}]"),
        format!("{good}#{evil}"),
    ] {
        door.refuses(&forged, &forged, TokenError::Character);
    }
}

#[test]
fn every_form_of_crit_is_refused() {
    let door = Door::trusting(&[ES256]);
    let error = TokenError::HeaderUnsupported { member: "crit" };
    for crit in [
        json!(["x"]),
        json!([]),
        json!("x"),
        json!(""),
        json!(null),
        json!(false),
        json!(0),
        json!({}),
        json!(["alg"]),
        json!(["kid", "typ"]),
        json!(["exp"]),
        json!(["b64"]),
        json!(["x", "x"]),
        json!([1]),
        json!([null]),
        json!([["x"]]),
        json!(["http://openbanking.org.uk/iat"]),
    ] {
        let what = crit.to_string();
        door.refuses(&what, token(ES256).header("crit", crit.clone()).mint(), error);
        door.refuses(&what, token(ES256).header("crit", crit).header("x", 1).mint(), error);
    }
    for header in [
        r#"{"alg":"ES256","kid":"es256-1","crit":["x"],"crit":["x"]}"#,
        r#"{"alg":"ES256","kid":"es256-1","\u0063rit":["x"]}"#,
        r#"{"crit":["x"],"alg":"none"}"#,
    ] {
        door.refuses(header, token(ES256).raw_header(header).mint(), error);
    }
}

#[test]
fn an_unencoded_payload_is_refused() {
    let door = Door::trusting(&[ES256]);
    for value in [json!(false), json!(true), json!(null), json!("false")] {
        let error = TokenError::HeaderUnsupported { member: "b64" };
        let token = || token(ES256).header("b64", value.clone());
        door.refuses("without crit", token().mint(), error);
        door.refuses("with crit", token().header("crit", json!(["b64"])).mint(), error);
    }
    let error = TokenError::HeaderUnsupported { member: "crit" };
    let header = r#"{"alg":"ES256","kid":"es256-1","crit":["b64"],"b64":false}"#;
    door.refuses("crit first", token(ES256).raw_header(header).mint(), error);
    // The payload itself, not encoded: signed over as RFC 7797 §3 has it.
    let header = encode(r#"{"alg":"ES256","kid":"es256-1","b64":false,"crit":["b64"]}"#);
    let raw = respelled(&header, r#"{"iss":"https://id.example"}"#);
    door.refuses("raw", raw, TokenError::Character);
    let detached = respelled(&header, "");
    door.refuses("detached", detached, TokenError::Empty(Part::Payload));
}

#[test]
fn a_compressed_payload_is_refused_whatever_the_method() {
    let door = Door::trusting(&[ES256]);
    for zip in [json!("DEF"), json!("def"), json!("GZ"), json!(""), json!(null), json!(1)] {
        let token = token(ES256).header("zip", zip.clone()).mint();
        door.refuses(&zip.to_string(), token, TokenError::HeaderUnsupported { member: "zip" });
    }
}

#[test]
fn a_member_that_occurs_twice_is_refused_at_any_depth_and_in_any_spelling() {
    let door = Door::trusting(&[ES256]);
    let duplicate = |part| TokenError::Json(part, JsonFault::DuplicateMember);
    for header in [
        r#"{"alg":"HS256","alg":"ES256","kid":"es256-1"}"#,
        r#"{"alg":"ES256","alg":"ES256","kid":"es256-1"}"#,
        r#"{"alg":"ES256","kid":"es256-1","\u0061lg":"HS256"}"#,
        r#"{"alg":"ES256","kid":"es256-1","kid":"other"}"#,
        r#"{"alg":"ES256","kid":"es256-1","typ":"JWT","t\u0079p":"at+jwt"}"#,
        r#"{"alg":"ES256","kid":"es256-1","x":{"y":1,"y":2}}"#,
        r#"{"alg":"ES256","kid":"es256-1","jwk":{"kty":"EC","kty":"oct"}}"#,
        r#"{"alg":"ES256","kid":"es256-1","x":[[{"":1,"":2}]]}"#,
    ] {
        let token = token(ES256).raw_header(header).mint();
        door.refuses(header, token, duplicate(Part::Header));
    }
    let with = |members: &str| -> TokenBuilder {
        let claims = format!(
            r#"{{"iss":"https://id.example","aud":"https://api.example","exp":1800000300,{members}}}"#
        );
        token(ES256).raw_payload(claims)
    };
    door.admits(&with(r#""sub":"alice""#).mint());
    for members in [
        r#""exp":1800000300"#,
        r#""exp":9999999999"#,
        r#""aud":"https://other.example""#,
        r#""\u0061ud":["https://other.example"]"#,
        r#""iss":"https://evil.example""#,
        r#""sub":"alice","sub":"root""#,
        r#""sub":"alice","\u0073\u0075\u0062":"root""#,
        r#""roles":null,"roles":["admin"]"#,
        r#""cnf":{"jkt":"a","jkt":"b"}"#,
        r#""cnf":{},"cnf":{}"#,
        r#""realm_access":{"roles":[],"x":{"y":[{"z":1,"\u007a":2}]}}"#,
        r#""a":1,"b":2,"\u0061":3"#,
        r#""":1,"":2"#,
    ] {
        door.refuses(members, with(members).mint(), duplicate(Part::Payload));
    }
    // Names that only look alike are different names (RFC 8725 §2.4, RFC 7515 §5.3).
    door.admits(&with(r#""SUB":"root","sub ":"root","s\u0443b":"root","sub":"alice""#).mint());
}

#[test]
fn a_token_signed_by_another_trusted_issuers_key_is_refused() {
    let other = TestIssuer::new("https://other.example").at(portcullis_attacks::NOW);
    let theirs = KeySet::from_jwks(other.jwks_of(&[ES256, EdDSA])).expect("keys");
    let theirs = Issuer::new(other.name())
        .algorithms([ES256, EdDSA])
        .keys(theirs)
        .audience(TestIssuer::AUDIENCE);
    let door = Door::new(policy_for([trusted(&[ES256]), theirs]));
    door.admits(&token(ES256).mint());
    door.admits(&other.token(ES256).mint());
    // Both have a key of this id.
    let confused = token(ES256).signed_by(other.key(ES256));
    door.refuses("the same key id", confused.mint(), SignatureError::new());
    let named = confused.key_id("es256-2").mint();
    door.refuses("an id that neither has", named, KeyError::Unknown);
    let nameless = token(ES256).signed_by(other.key(ES256)).without_header("kid").mint();
    door.refuses("no key id", nameless, SignatureError::new());
    // An algorithm that only the other is trusted with.
    let foreign = token(EdDSA).signed_by(other.key(EdDSA)).mint();
    door.refuses("their algorithm", foreign, wrong_algorithm(EdDSA, &[ES256]));
}

#[test]
fn an_impostor_with_the_same_names_is_refused() {
    let impostor = issuer().impostor();
    let door = Door::trusting(&[ES256, EdDSA]);
    for algorithm in [ES256, EdDSA] {
        door.admits(&token(algorithm).mint());
        door.refuses("same names", impostor.token(algorithm).mint(), SignatureError::new());
        let nameless = impostor.token(algorithm).without_header("kid").mint();
        door.refuses("no key id", nameless, SignatureError::new());
    }
}

#[test]
fn the_other_valid_signature_of_an_ecdsa_token_is_the_same_token() {
    // Anybody can compute it, so whatever remembers tokens must go by issuer and token id.
    let door = Door::trusting(&[ES256, ES384, ES512]);
    for algorithm in [ES256, ES384, ES512] {
        let good = token(algorithm).mint();
        let twin = hostile::ecdsa_twin(&good);
        let [good, twin] = [good, twin].map(|token| {
            let token = door.policy().verify_token_now(token).expect("a token");
            (
                token.issuer().to_owned(),
                token.token_id().map(str::to_owned),
                token.claims_json().to_owned(),
            )
        });
        assert_eq!(good, twin, "{algorithm}");
    }
}
