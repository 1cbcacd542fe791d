//! Tokens and key sets made to exhaust whoever reads them.
use base64::prelude::*;
use portcullis::error::{JsonFault, Part, TokenError};
use portcullis::keys::KeyFault;
use portcullis::{Algorithm, Error, KeySet};
use portcullis_attacks::{Door, NOW, policy_for, token, trusted};

use Algorithm::ES256;

const LIMIT: usize = 16 * 1024;

fn encode(text: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// A door that takes the largest tokens there are.
fn wide() -> Door {
    Door::new(policy_for([trusted(&[ES256])]).token_limit(64 * 1024))
}

/// A good payload with this member besides.
fn payload(member: &str) -> String {
    let exp = NOW + 300;
    format!(r#"{{"iss":"https://id.example","aud":"https://api.example","exp":{exp},{member}}}"#)
}

fn json(part: Part, fault: JsonFault) -> TokenError {
    TokenError::Json(part, fault)
}

#[test]
fn a_mebibyte_of_dots_is_refused_by_its_length() {
    let door = Door::trusting(&[ES256]);
    for length in [LIMIT + 1, 1 << 20] {
        let error = TokenError::TooLong { length, limit: LIMIT };
        door.refuses("dots", ".".repeat(length), error);
        door.refuses("letters", "A".repeat(length), error);
    }
    for dots in [3, 4, 100, LIMIT] {
        door.refuses("within", ".".repeat(dots), TokenError::Parts { found: dots + 1 });
    }
    let longest = "a.".repeat(LIMIT / 2);
    door.refuses("parts", longest, TokenError::Parts { found: LIMIT / 2 + 1 });
}

#[test]
fn a_good_token_over_the_limit_is_refused_and_one_at_the_limit_passes() {
    let padded =
        |spaces: usize| token(ES256).raw_payload(payload(r#""x":0"#) + &" ".repeat(spaces));
    let mint = |spaces: usize| padded(spaces).mint();
    let spaces = (0..LIMIT).rev().find(|spaces| {
        let length = mint(0).len() + spaces * 4 / 3;
        length <= LIMIT
    });
    let spaces = spaces.expect("a length");
    let fitting = (spaces - 4..spaces + 4).filter(|spaces| mint(*spaces).len() <= LIMIT).max();
    let (fitting, one_more) = (fitting.expect("one"), fitting.expect("one") + 1);
    let door = Door::trusting(&[ES256]);
    door.admits(&mint(fitting));
    let length = mint(one_more).len();
    door.refuses("over", mint(one_more), TokenError::TooLong { length, limit: LIMIT });
    // The limit is a setting, within bounds.
    wide().admits(&mint(one_more));
    for limit in [0, 64 * 1024 + 1, usize::MAX] {
        assert!(policy_for([trusted(&[ES256])]).token_limit(limit).build().is_err(), "{limit}");
    }
}

#[test]
fn a_header_over_4_kib_is_refused_whatever_is_in_it() {
    let header = |length: usize| {
        let start = r#"{"alg":"ES256","kid":"es256-1","x":""#;
        format!(r#"{start}{}"}}"#, "x".repeat(length - start.len() - 2))
    };
    let door = wide();
    door.admits(&token(ES256).raw_header(header(4096)).mint());
    let too_long = |length, limit| TokenError::PartTooLong { part: Part::Header, length, limit };
    for length in [4097, 4098, 4099, 10_000, 40_000] {
        let error = too_long(length, 4096);
        door.refuses(&length.to_string(), token(ES256).raw_header(header(length)).mint(), error);
        let garbage = token(ES256).raw_header(vec![b'['; length]).mint();
        door.refuses("garbage", garbage, error);
    }
    let chain = serde_json::json!([encode([0; 2000]), encode([0; 2000])]);
    let certified = token(ES256).header("x5c", chain).mint();
    let error = door.policy().verify_token_now(&certified).expect_err("a long header");
    assert!(matches!(error, Error::Token(TokenError::PartTooLong { limit: 4096, .. })), "{error}");
    // The limit is a setting, within bounds.
    let door = |limit| {
        Door::new(policy_for([trusted(&[ES256])]).token_limit(64 * 1024).header_limit(limit))
    };
    door(8 * 1024).admits(&certified);
    let long = token(ES256).raw_header(header(8 * 1024 + 1)).mint();
    door(8 * 1024).refuses("over", long, too_long(8 * 1024 + 1, 8 * 1024));
    door(16 * 1024).admits(&token(ES256).raw_header(header(16 * 1024)).mint());
}

#[test]
fn json_nested_ten_thousand_deep_is_refused_without_a_deep_stack() {
    // On a stack that ten thousand calls would not fit on.
    let run = || {
        let door = wide();
        let deep = |open: &str, close: &str, depth: usize| {
            format!("{}1{}", open.repeat(depth), close.repeat(depth))
        };
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"":"#, "}]")] {
            for depth in [17, 100, 127, 128, 129, 1_000, 4_000] {
                let text = payload(&format!(r#""x":{}"#, deep(open, close, depth)));
                let token = token(ES256).raw_payload(text).mint();
                let error = json(Part::Payload, JsonFault::TooDeep);
                door.refuses(&format!("{open} {depth}"), token, error);
            }
        }
        let x = payload(&format!(r#""x":{}"#, deep("[", "]", 10_000)));
        let error = json(Part::Payload, JsonFault::TooDeep);
        door.refuses("10,000", token(ES256).raw_payload(x).mint(), error);
        let open = payload(&format!(r#""x":{}"#, "[".repeat(40_000)));
        door.refuses("never closed", token(ES256).raw_payload(open).mint(), error);
        let list = token(ES256).raw_payload("[".repeat(40_000)).mint();
        door.refuses("no object", list, json(Part::Payload, JsonFault::NotAnObject));
        for claim in ["sub", "aud", "cnf", "events", "x"] {
            let text = payload("").replace(r#""aud":"https://api.example","#, "");
            let text = text.replace(",}", &format!(r#","{claim}":{}}}"#, deep("[", "]", 10_000)));
            door.refuses(claim, token(ES256).raw_payload(text).mint(), error);
        }
        // These are read as text, and are no numbers.
        for claim in ["nbf", "iat"] {
            let text = payload(&format!(r#""{claim}":{}"#, deep("[", "]", 10_000)));
            let error = TokenError::ClaimType { claim };
            door.refuses(claim, token(ES256).raw_payload(text).mint(), error);
        }
        for depth in [17, 128, 1_900] {
            let header = format!(r#"{{"alg":"ES256","x":{}}}"#, deep("[", "]", depth));
            let token = token(ES256).raw_header(header).mint();
            door.refuses("header", token, json(Part::Header, JsonFault::TooDeep));
        }
        for member in ["jwk", "x5c", "kid", "alg", "typ"] {
            let header = format!(r#"{{"{member}":{}}}"#, deep("[", "]", 1_900));
            let token = token(ES256).raw_header(header).mint();
            door.refuses(member, token, json(Part::Header, JsonFault::TooDeep));
        }
        let jwk = format!(r#"{{"kty":"EC","x":{}}}"#, deep("[", "]", 10_000));
        assert_eq!(KeySet::from_jwk(&jwk).err(), Some(KeyFault::Json(JsonFault::TooDeep)));
        let set = format!(r#"{{"keys":[{jwk}]}}"#);
        let skipped = vec![(0, KeyFault::Json(JsonFault::TooDeep))];
        assert_eq!(KeySet::from_jwks(set).err(), Some(KeyFault::NoUsableKey { skipped }));
        let set = format!(r#"{{"x":{},"keys":[]}}"#, deep("[", "]", 10_000));
        assert_eq!(KeySet::from_jwks(set).err(), Some(KeyFault::Json(JsonFault::TooDeep)));
        let set = format!(r#"{{"keys":{}}}"#, deep("[", "]", 10_000));
        assert!(matches!(KeySet::from_jwks(set).err(), Some(KeyFault::NoUsableKey { .. })));
    };
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(run).expect("a thread");
    thread.join().expect("no overflow, and every assertion held");
}

#[test]
fn sixteen_levels_are_enough_for_real_tokens_and_pass() {
    let nested = format!("{}1{}", r#"{"a":"#.repeat(15), "}".repeat(15));
    Door::trusting(&[ES256])
        .admits(&token(ES256).raw_payload(payload(&format!(r#""x":{nested}"#))).mint());
}

#[test]
fn thousands_of_members_are_read_and_a_duplicate_among_them_is_found() {
    let door = wide();
    let members: Vec<_> = (0..5_000).map(|i| format!(r#""m{i}":0"#)).collect();
    let members = members.join(",");
    door.admits(&token(ES256).raw_payload(payload(&members)).mint());
    let nested = payload(&format!(r#""x":[{{{members}}}]"#));
    door.admits(&token(ES256).raw_payload(nested).mint());
    let error = json(Part::Payload, JsonFault::DuplicateMember);
    for again in ["m0", "m23", "m24", "m4999", "iss", r"\u006d4999"] {
        let twice = payload(&format!(r#"{members},"{again}":1"#));
        door.refuses(again, token(ES256).raw_payload(twice).mint(), error);
    }
    let nested = payload(&format!(r#""x":[{{{members},"m1":1}}]"#));
    door.refuses("nested", token(ES256).raw_payload(nested).mint(), error);
    let members: Vec<_> = (0..400).map(|i| format!(r#""m{i}":0"#)).collect();
    let header = format!(r#"{{"alg":"ES256",{},"alg":"none"}}"#, members.join(","));
    let error = json(Part::Header, JsonFault::DuplicateMember);
    door.refuses("header", token(ES256).raw_header(header).mint(), error);
}

#[test]
fn many_audiences_do_not_hide_the_one_that_counts_and_over_256_are_not_read() {
    let door = wide();
    let many = |count| (0..count).map(|i| format!("https://{i}.example")).collect::<Vec<_>>();
    let error = portcullis::error::ClaimsError::Audience;
    door.refuses("without ours", token(ES256).audience(many(256)).mint(), error);
    let with_ours = |count| [many(count), vec!["https://api.example".to_owned()]].concat();
    door.admits(&token(ES256).audience(with_ours(255)).mint());
    for count in [256, 2_000] {
        let token = token(ES256).audience(with_ours(count)).mint();
        door.refuses(&count.to_string(), token, TokenError::TooManyAudiences);
    }
}

#[test]
fn text_that_is_not_one_json_object_in_utf_8_is_refused() {
    let door = Door::trusting(&[ES256]);
    let header = r#"{"alg":"ES256","kid":"es256-1"}"#;
    let claims = payload(r#""x":0"#);
    let odd = |good: &str| -> Vec<Vec<u8>> {
        let utf_16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let with = |before: &[u8], after: &[u8]| [before, good.as_bytes(), after].concat();
        let inside = good.as_bytes().strip_suffix(b"}").expect("an object");
        vec![
            with(b"\xef\xbb\xbf", b""),
            with(b"\0", b""),
            with(b"", b"\0"),
            with(b"", b"{}"),
            with(b"", b","),
            with(b"[", b"]"),
            with(b"\x0b", b""),
            with(b"\xc2\xa0", b""),
            with(b"", b"\xff"),
            with(b"", b"\xed\xa0\x80"), // a surrogate
            with(b"", b"\xc0\xaf"),     // overlong
            with(b"", b"\xc3"),         // cut in two
            [inside, b",\"y\":\"\xff\"}"].concat(),
            [inside, b",\"y\":\"\\ud800\"}"].concat(),
            [inside, b",\"y\":\"\n\"}"].concat(),
            [inside, b",\"y\":\"\\x41\"}"].concat(),
            [inside, b",}"].concat(),
            [inside, b",\"y\"}"].concat(),
            [inside, b",y:1}"].concat(),
            [inside, b",'y':1}"].concat(),
            [inside, b"/**/}"].concat(),
            inside.to_vec(),
            utf_16,
            b"null".to_vec(),
            b"\"\"".to_vec(),
            b"0".to_vec(),
            b" ".to_vec(),
        ]
    };
    for text in odd(header) {
        let what = String::from_utf8_lossy(&text).into_owned();
        let token = token(ES256).raw_header(text).mint();
        door.refuses(&what, token, json(Part::Header, JsonFault::NotAnObject));
    }
    for text in odd(&claims) {
        let what = String::from_utf8_lossy(&text).into_owned();
        let token = token(ES256).raw_payload(text).mint();
        door.refuses(&what, token, json(Part::Payload, JsonFault::NotAnObject));
    }
    // A character that starts in the header and ends in the payload.
    let cut = token(ES256)
        .raw_header([header.as_bytes(), b"\xc3"].concat())
        .raw_payload([b"\xa9", claims.as_bytes()].concat());
    door.refuses("cut", cut.mint(), json(Part::Header, JsonFault::NotAnObject));
}

#[test]
fn a_key_set_too_large_or_with_too_many_keys_is_refused() {
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let set = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec![key; count].join(","));
    assert!(KeySet::from_jwks(set(100)).is_ok());
    assert_eq!(
        KeySet::from_jwks(set(101)).err(),
        Some(KeyFault::TooManyKeys { found: 101, allowed: 100 })
    );
    let length = 256 * 1024 + 1;
    let large = set(1) + &" ".repeat(length - set(1).len());
    assert_eq!(KeySet::from_jwks(large).err(), Some(KeyFault::TooLarge { length }));
}

#[test]
fn a_huge_or_odd_rsa_key_does_not_come_to_be() {
    let odd = |bytes: usize| {
        let mut number = vec![0xff; bytes];
        number[0] = 0x80;
        encode(number)
    };
    let jwk = |n: &str, e: &str| {
        KeySet::from_jwk(format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#)).err()
    };
    assert_eq!(jwk(&odd(2048), "AQAB"), Some(KeyFault::ModulusSize { bits: 16_384 }));
    assert_eq!(jwk(&odd(20_000), "AQAB"), Some(KeyFault::ModulusSize { bits: 160_000 }));
    assert_eq!(jwk(&odd(128), "AQAB"), Some(KeyFault::ModulusSize { bits: 1_024 }));
    assert_eq!(jwk("AA", "AQAB"), Some(KeyFault::ModulusSize { bits: 0 }));
    assert_eq!(jwk("", "AQAB"), Some(KeyFault::Missing { member: "n" }));
    assert_eq!(jwk(&odd(256), ""), Some(KeyFault::Missing { member: "e" }));
    for exponent in ["AQ", "Ag", "AA", &odd(8), &odd(256)] {
        assert_eq!(jwk(&odd(256), exponent), Some(KeyFault::Exponent), "{exponent}");
    }
    let even = encode(vec![0x80; 256]);
    assert_eq!(jwk(&even, "AQAB"), Some(KeyFault::ModulusEven));
}
