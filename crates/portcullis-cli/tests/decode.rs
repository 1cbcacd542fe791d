//! What a token says is told without a policy, and that nobody verified it.
mod common;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use insta::assert_snapshot;
use serde_json::{Value, json};

use self::common::{NOW, Ran, Trial, portcullis, settings, with_part};

const SECONDS: i64 = 1_800_000_000;

/// In a folder in which there is nothing.
fn decode(token: impl AsRef<[u8]>, more: &[&str]) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    portcullis(folder.path(), &[&["decode", "--at", NOW], more].concat(), token)
}

/// A token that nobody signed.
fn token_of(header: &Value, claims: &Value) -> String {
    let [header, claims] =
        [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.{}", "s".repeat(86))
}

/// Without anything that stands out.
fn plain() -> (Value, Value) {
    let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": "1" });
    let claims = json!({
        "iss": "https://id.example", "aud": "https://api.example", "sub": "alice",
        "iat": SECONDS - 60, "exp": SECONDS + 240,
    });
    (header, claims)
}

fn findings(ran: &Ran) -> Vec<String> {
    let value: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let names = value["findings"].as_array().expect("a list").iter();
    names.map(|finding| finding["name"].as_str().expect("text").to_owned()).collect()
}

#[test]
fn what_a_token_says_is_told_in_words() {
    let trial = Trial::new();
    let token = trial.mint(&["--expires-in=-652s", "--scope", "orders:read"]);
    settings().bind(|| {
        assert_snapshot!("decoded", decode(&token, &[]).snapshot());
        assert_snapshot!("decoded-json", decode(&token, &["--json"]).snapshot());
        let (header, mut claims) = plain();
        claims["cnf"] = json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" });
        claims["exp"] = json!(SECONDS + 30 * 86_400);
        let strange = with_part(
            &token_of(&header, &claims),
            0,
            &BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","jwk":{"kty":"oct"}}"#),
        );
        assert_snapshot!("decoded-strange", decode(strange, &[]).snapshot());
        assert_snapshot!("decoded-opaque", decode("hello", &[]).snapshot());
    });
}

#[test]
fn it_is_said_that_nothing_was_verified() {
    let (header, claims) = plain();
    let ran = decode(token_of(&header, &claims), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("NOT VERIFIED."), "{ran:?}");
    assert!(ran.stdout.contains("Nothing stands out."), "{ran:?}");
    let ran = decode(token_of(&header, &claims), &["--json"]);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["verified"], false);
    assert!(findings(&ran).is_empty(), "{ran:?}");
}

#[test]
fn each_thing_that_stands_out_has_its_name() {
    let change = |header: bool, name: &str, value: Value| {
        let (mut first, mut second) = plain();
        let part = if header { &mut first } else { &mut second };
        match value {
            Value::Null => drop(part.as_object_mut().unwrap().remove(name)),
            value => part[name] = value,
        }
        token_of(&first, &second)
    };
    for (finding, token) in [
        ("alg-none", change(true, "alg", json!("none"))),
        ("alg-none", change(true, "alg", json!("NonE"))),
        ("no-alg", change(true, "alg", Value::Null)),
        ("unknown-alg", change(true, "alg", json!("ES256K"))),
        ("unknown-alg", change(true, "alg", json!(1))),
        ("shared-secret", change(true, "alg", json!("HS256"))),
        ("brings-a-key", change(true, "jwk", json!({}))),
        ("brings-a-key", change(true, "jku", json!("https://evil.example"))),
        ("crit", change(true, "crit", json!(["b64"]))),
        ("nested", change(true, "cty", json!("JWT"))),
        ("other-type", change(true, "typ", json!("logout+jwt"))),
        ("id-token", change(false, "at_hash", json!("x"))),
        ("id-token", change(false, "nonce", json!("x"))),
        ("id-token", change(false, "typ", json!("ID"))),
        ("id-token", change(false, "token_use", json!("id"))),
        ("refresh-token", change(false, "typ", json!("Refresh"))),
        ("event-token", change(false, "events", json!({}))),
        ("bound", change(false, "cnf", json!({}))),
        ("no-iss", change(false, "iss", Value::Null)),
        ("no-aud", change(false, "aud", Value::Null)),
        ("no-exp", change(false, "exp", Value::Null)),
        ("expired", change(false, "exp", json!(SECONDS))),
        ("not-a-time", change(false, "exp", json!("tomorrow"))),
        ("not-a-time", change(false, "iat", json!("today"))),
        ("not-yet-valid", change(false, "nbf", json!(SECONDS + 1))),
        ("issued-in-future", change(false, "iat", json!(SECONDS + 1))),
        ("long-lived", change(false, "exp", json!(SECONDS + 86_400))),
        ("large", change(false, "pad", json!("x".repeat(9_000)))),
    ] {
        let ran = decode(&token, &["--json"]);
        assert_eq!((findings(&ran), ran.code), (vec![finding.to_owned()], 0), "{finding}");
        let text = decode(&token, &[]).stdout;
        assert!(text.contains(&format!("[{finding}]")), "{text}");
    }
    let milliseconds = change(false, "exp", json!(SECONDS * 1000));
    assert_eq!(findings(&decode(milliseconds, &["--json"])), ["milliseconds", "long-lived"]);
    let never = change(false, "exp", json!(SECONDS - 60));
    assert_eq!(findings(&decode(never, &["--json"])), ["expired", "no-lifetime"]);
    let scoped = token_of(
        &plain().0,
        &json!({
            "iss": "a", "aud": "b", "exp": SECONDS + 1, "nonce": "x", "scope": "orders:read",
        }),
    );
    assert!(findings(&decode(scoped, &["--json"])).is_empty());
}

#[test]
fn what_is_written_another_way_is_read_and_told() {
    let (header, claims) = plain();
    let token = token_of(&header, &claims);
    let twice =
        r#"{"iss":"https://id.example","iss":"https://evil.example","aud":"a","exp":1800000001}"#;
    let twice = with_part(&token, 1, &BASE64_URL_SAFE_NO_PAD.encode(twice));
    assert_eq!(findings(&decode(twice, &["--json"])), ["repeated"]);
    let padded = with_part(
        &token,
        0,
        &base64::prelude::BASE64_STANDARD.encode(r#"{"alg":"ES256","kid":"12"}"#),
    );
    assert!(padded.contains('='));
    assert_eq!(findings(&decode(padded, &["--json"])), ["not-base64url"]);
}

#[test]
fn encrypted_and_nested_tokens_are_told_apart() {
    let (header, claims) = plain();
    let inner = token_of(&header, &claims);
    let nested = with_part(&inner, 1, &BASE64_URL_SAFE_NO_PAD.encode(&inner));
    let ran = decode(&nested, &[]);
    assert!(ran.code == 0 && ran.stdout.contains("[nested]"), "{ran:?}");
    assert!(!ran.stdout.contains(inner.split('.').nth(1).unwrap()), "{ran:?}");

    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#);
    let encrypted = format!("{header}.key.iv.text.{}", "t".repeat(22));
    let ran = decode(&encrypted, &[]);
    assert!(ran.code == 0 && ran.stdout.contains("[encrypted]"), "{ran:?}");
    assert_eq!(findings(&decode(&encrypted, &["--json"])), ["encrypted"]);
}

#[test]
fn a_long_claim_is_shown_whole_and_wraps() {
    let (header, mut claims) = plain();
    let roles: Vec<String> = (0..80).map(|number| format!("role-{number}")).collect();
    claims["realm_access"] = json!({ "roles": roles });
    let ran = decode(token_of(&header, &claims), &[]);
    assert!(ran.stdout.contains("\"role-79\"]}"), "{ran:?}");
    assert!(ran.stdout.lines().all(|line| line.len() <= 80), "{ran:?}");
}

#[test]
fn the_signature_is_never_shown() {
    let trial = Trial::new();
    let signature = trial.token.rsplit('.').next().unwrap();
    for more in [&[][..], &["--json"]] {
        let ran = decode(&trial.token, more);
        assert!(ran.code == 0 && !ran.all().contains(signature), "{ran:?}");
    }
}

#[test]
fn what_is_no_jwt_ends_with_1_and_no_token_with_2() {
    for (token, code) in [
        ("hello", 1),
        ("a.b.c", 1),
        ("", 2),
        ("{\"error\":\"invalid_grant\"}", 2),
        ("eyJhbGciOiJFUzI1NiJ9.W10.", 1),
    ] {
        for more in [&[][..], &["--json"]] {
            let ran = decode(token, more);
            assert_eq!(ran.code, code, "{token}: {ran:?}");
        }
    }
    assert_eq!(decode([0xff, 0x00, 0x1b, b'['], &[]).code, 1);
    assert_eq!(decode(vec![b'a'; 10 * 1024 * 1024], &[]).code, 2);
}

#[test]
fn nothing_of_strangers_reaches_a_terminal_raw() {
    let bad = "\u{1b}[2J\u{202e}\u{9b}x\u{7}";
    let (mut header, mut claims) = plain();
    header["kid"] = json!(bad);
    header["typ"] = json!(bad);
    claims[bad] = json!(bad);
    claims["exp"] = json!(bad);
    for more in [&[][..], &["--json"]] {
        let all = decode(token_of(&header, &claims), more).all();
        assert!(!all.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\u{7}']), "{all:?}");
    }
}
