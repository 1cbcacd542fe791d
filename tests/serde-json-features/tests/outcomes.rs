//! What passes, what does not, and why: the same under every feature of `serde_json`.
use std::collections::BTreeMap;

use portcullis::error::{ClaimName, ClaimsError, JsonFault, Part, TokenError};
use portcullis::keys::{KeyFault, MemberFault, NotAnObject};
use portcullis::revocation::RevokedUntil;
use portcullis::{
    Algorithm, ClaimRules, Error, Issuer, KeySet, Policy, Revocation, Secret, UnixTime, dangerous,
};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer};
use serde::Deserialize;

const NOW: i64 = 1_800_000_000;
const SECRET: &[u8] = b"\x8f\x1b\x93\xd0\x62\xa7\x3c\xee\x05\x48\xf9\x7d\x21\xb6\xc4\x0e\x9a\x57\xe3\x6c\x10\xd8\x2f\x84\xbb\x4e\x71\xa9\x36\xfd\xc2\x15";

/// A good header.
const HEADER: &str = r#"{"alg":"HS256"}"#;

/// The members of a good payload.
const CLAIMS: &str = r#""iss":"https://id.example","aud":"https://api.example","exp":1800000300"#;

/// The members of a good payload but `exp`.
const TIMELESS: &str = r#""iss":"https://id.example","aud":"https://api.example""#;

fn policy(rules: ClaimRules) -> Policy {
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::HS256])
        .keys(Secret::new(SECRET))
        .audience("https://api.example")
        .claims(rules.max_lifetime(dangerous::unlimited_lifetime()));
    let policy = Policy::builder().issuer(issuer).clock(FixedClock::at(NOW));
    policy.token_limit(64 * 1024).build().expect("a policy")
}

/// No `serde_json` takes part in making it.
fn token(header: &str, payload: &str) -> String {
    let key = SigningKey::from_secret(Algorithm::HS256, SECRET);
    let token = TestIssuer::new("https://id.example").token(Algorithm::HS256).signed_by(&key);
    token.raw_header(header).raw_payload(payload).mint()
}

/// What a token is seen to say.
#[derive(Debug, PartialEq)]
struct Seen {
    subject: Option<String>,
    expires_at: i64,
    issued_at: Option<i64>,
}

fn outcome(policy: &Policy, header: &str, payload: &str) -> Result<Seen, Error> {
    let token = policy.verify_token_now(token(header, payload))?;
    assert_eq!(token.claims_json(), payload);
    Ok(Seen {
        subject: token.subject().map(str::to_owned),
        expires_at: token.expires_at().0,
        issued_at: token.issued_at().map(|at| at.0),
    })
}

const PASSES: Result<Seen, Error> =
    Ok(Seen { subject: None, expires_at: NOW + 300, issued_at: None });

const fn in_header(fault: JsonFault) -> Result<Seen, Error> {
    Err(Error::Token(TokenError::Json(Part::Header, fault)))
}

const fn in_payload(fault: JsonFault) -> Result<Seen, Error> {
    Err(Error::Token(TokenError::Json(Part::Payload, fault)))
}

const fn wrong(claim: &'static str) -> Result<Seen, Error> {
    Err(Error::Token(TokenError::ClaimType { claim }))
}

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("{}1{}", open.repeat(depth), close.repeat(depth))
}

#[test]
fn a_feature_that_was_asked_for_is_on() {
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    if cfg!(feature = "arbitrary_precision") {
        assert_eq!(value("1.10").to_string(), "1.10");
    }
    if cfg!(feature = "preserve_order") {
        assert_eq!(value(r#"{"b":1,"a":2}"#).to_string(), r#"{"b":1,"a":2}"#);
    }
    if cfg!(feature = "raw_value") {
        let raw: Box<serde_json::value::RawValue> = serde_json::from_str("[ 1 ]").expect("JSON");
        assert_eq!(raw.get(), "[ 1 ]");
    }
    #[cfg(feature = "unbounded_depth")]
    {
        let text = nested("[", "]", 200);
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        deserializer.disable_recursion_limit();
        assert!(serde_json::Value::deserialize(&mut deserializer).is_ok());
    }
    if cfg!(feature = "float_roundtrip") {
        let text = "31.245270191439438"; // read as …434 without
        assert_eq!(serde_json::from_str::<f64>(text).ok(), text.parse().ok());
    }
}

#[test]
fn headers() {
    use JsonFault::{DuplicateMember, NotAnObject, ReservedMember, TooDeep};
    let policy = policy(ClaimRules::new());
    let unknown = || Err(Error::Token(TokenError::AlgorithmUnknown));
    let missing = || Err(Error::Token(TokenError::AlgorithmMissing));
    let of_type = |member| Err(Error::Token(TokenError::HeaderType { member }));
    let unsupported = |member| Err(Error::Token(TokenError::HeaderUnsupported { member }));
    for (header, expected) in [
        (HEADER, PASSES),
        (r#" { "\u0061lg" : "HS25\u0036" } "#, PASSES),
        (r#"{"alg":"HS256","x":1,"y":-0.0,"z":1e5,"w":123456789012345678901234567890}"#, PASSES),
        (r#"{"alg":"HS256","x":[1,2.5,{"y":-3}]}"#, PASSES),
        (r#"{"alg":"none"}"#, unknown()),
        (r#"{"alg":"hs256"}"#, unknown()),
        (r#"{"alg":0}"#, missing()),
        (r#"{"alg":1e400}"#, in_header(NotAnObject)),
        (r#"{"alg":null}"#, missing()),
        (r#"{"alg":{}}"#, missing()),
        ("{}", missing()),
        (r#"{"alg":{"$serde_json::private::Number":"HS256"}}"#, in_header(ReservedMember)),
        (r#"{"alg":{"$serde_json::private::RawValue":"\"HS256\""}}"#, in_header(ReservedMember)),
        (r#"{"$serde_json::private::Number":"1","alg":"HS256"}"#, in_header(ReservedMember)),
        (r#"{"alg":"HS256","$serde_json::private::RawValue":"1"}"#, in_header(ReservedMember)),
        (r#"{"alg":"HS256","kid":1}"#, of_type("kid")),
        (r#"{"alg":"HS256","kid":1.5}"#, of_type("kid")),
        (r#"{"alg":"HS256","kid":-9223372036854775809}"#, of_type("kid")),
        (
            r#"{"alg":"HS256","kid":{"$serde_json::private::Number":"1"}}"#,
            in_header(ReservedMember),
        ),
        (r#"{"alg":"HS256","typ":1}"#, of_type("typ")),
        (r#"{"alg":"HS256","crit":1}"#, unsupported("crit")),
        (r#"{"alg":"HS256","b64":0}"#, unsupported("b64")),
        (r#"{"alg":"HS256","x":1,"x":1}"#, in_header(DuplicateMember)),
        (r#"{"alg":"HS256","x":{"y":1.0,"y":1}}"#, in_header(DuplicateMember)),
        (r#"{"alg":"HS256","x":01}"#, in_header(NotAnObject)),
        (r#"{"alg":"HS256","x":1.}"#, in_header(NotAnObject)),
        (r#"{"alg":"HS256","x":.5}"#, in_header(NotAnObject)),
        (r#"{"alg":"HS256","x":+1}"#, in_header(NotAnObject)),
        (r#"{"alg":"HS256","x":1e}"#, in_header(NotAnObject)),
        (r#"{"alg":"HS256","x":-}"#, in_header(NotAnObject)),
        (r#"{"alg":"HS256","x":1e309}"#, in_header(NotAnObject)),
        (r#"{"alg":"HS256","x":NaN}"#, in_header(NotAnObject)),
        (r#"{"alg":"HS256","x":Infinity}"#, in_header(NotAnObject)),
        (r#"{"alg":"HS256","x":"\ud800"}"#, in_header(NotAnObject)),
        (r#"{"alg":"HS256"}{}"#, in_header(NotAnObject)),
        ("1", in_header(NotAnObject)),
        ("1.5", in_header(NotAnObject)),
        ("[]", in_header(NotAnObject)),
    ] {
        assert_eq!(outcome(&policy, header, &format!("{{{CLAIMS}}}")), expected, "{header}");
    }
    for (depth, expected) in [
        (15, PASSES),
        (16, in_header(TooDeep)),
        (127, in_header(TooDeep)),
        (900, in_header(TooDeep)),
    ] {
        let header = format!(r#"{{"alg":"HS256","x":{}}}"#, nested("[", "]", depth));
        assert_eq!(outcome(&policy, &header, &format!("{{{CLAIMS}}}")), expected, "{depth}");
    }
}

#[test]
fn payloads() {
    use JsonFault::{DuplicateMember, NotAnObject, ReservedMember};
    let policy = policy(ClaimRules::new());
    let subject =
        |text: &str| Ok(Seen { subject: Some(text.to_owned()), ..PASSES.expect("it passes") });
    for (members, expected) in [
        (r#""x":null"#, PASSES),
        (r#""sub":"alice""#, subject("alice")),
        (r#""s\u0075b":"\u0061lice""#, subject("alice")),
        (r#""sub":"$serde_json::private::Number""#, subject("$serde_json::private::Number")),
        (r#""z":1,"a":[3,2,1],"m":{"z":1,"a":2}"#, PASSES),
        (r#""$serde_json":1,"$serde_json::private":{"Number":1}"#, PASSES),
        (r#""$SERDE_JSON::PRIVATE::NUMBER":"1""#, PASSES),
        (r#""$serde_json::private::Number":"1""#, in_payload(ReservedMember)),
        (r#""$serde_json::private::Number":1"#, in_payload(ReservedMember)),
        (r#""$serde_json::private::RawValue":"{}""#, in_payload(ReservedMember)),
        (r#""$serde_json::private::":1"#, in_payload(ReservedMember)),
        (r#""\u0024serde_json::private::Number":"1""#, in_payload(ReservedMember)),
        (r#""x":{"$serde_json::private::Number":"1"}"#, in_payload(ReservedMember)),
        (r#""x":{"$serde_json::private::Number":"not a number"}"#, in_payload(ReservedMember)),
        (r#""x":{"\u0024serde_json::private::Number":"1"}"#, in_payload(ReservedMember)),
        (r#""x":{"$serde_json::private::RawValue":"[1,2"}"#, in_payload(ReservedMember)),
        (r#""x":{"y":1,"$serde_json::private::Number":"1"}"#, in_payload(ReservedMember)),
        (r#""x":[[{"$serde_json::private::Number":"1"}]]"#, in_payload(ReservedMember)),
        (r#""sub":{"$serde_json::private::Number":"1"}"#, in_payload(ReservedMember)),
        (r#""aud":{"$serde_json::private::RawValue":"\"a\""}"#, in_payload(DuplicateMember)),
        (r#""cnf":{"$serde_json::private::Number":"1"}"#, in_payload(ReservedMember)),
        (r#""cnf":1"#, Err(Error::Claims(ClaimsError::SenderConstrained))),
        (r#""cnf":1.5e3"#, Err(Error::Claims(ClaimsError::SenderConstrained))),
        (r#""events":0"#, Err(Error::Claims(ClaimsError::NotAnAccessToken { claim: "events" }))),
        (r#""sub":1"#, Err(Error::Claims(ClaimsError::NumericId { claim: "sub" }))),
        (r#""sub":1.0"#, wrong("sub")),
        (r#""sub":123456789012345678901234567890"#, wrong("sub")),
        (r#""jti":[1]"#, wrong("jti")),
        (r#""client_id":{"a":1}"#, wrong("client_id")),
        (r#""x":1,"x":1"#, in_payload(DuplicateMember)),
        (r#""x":1,"\u0078":1"#, in_payload(DuplicateMember)),
        (r#""x":[1,{"y":1,"y":2.0}]"#, in_payload(DuplicateMember)),
        (r#""exp":1800000300"#, in_payload(DuplicateMember)),
        // The largest double, and the first number that rounds beyond it.
        (r#""x":1.7976931348623157e308"#, PASSES),
        (r#""x":179769313486231570000000000000000000000e270"#, PASSES),
        (r#""x":1.7976931348623159e308"#, in_payload(NotAnObject)),
        (r#""x":-1.7976931348623159e308"#, in_payload(NotAnObject)),
        (r#""x":00"#, in_payload(NotAnObject)),
        (r#""x":-01"#, in_payload(NotAnObject)),
        (r#""x":1e+"#, in_payload(NotAnObject)),
        (r#""x":0x1"#, in_payload(NotAnObject)),
        (r#""x":1_000"#, in_payload(NotAnObject)),
        (r#""x":1 2"#, in_payload(NotAnObject)),
        (r#""x":-Infinity"#, in_payload(NotAnObject)),
        (r#""x":"\ud800""#, in_payload(NotAnObject)),
        (r#""x":1,"#, in_payload(NotAnObject)),
    ] {
        let payload = format!("{{{CLAIMS},{members}}}");
        assert_eq!(outcome(&policy, HEADER, &payload), expected, "{members}");
    }
}

#[test]
fn numbers_that_nobody_looks_at() {
    let policy = policy(ClaimRules::new());
    let good = [
        "0",
        "-0",
        "0.0",
        "-0.0",
        "1",
        "-1",
        "1.0",
        "1.10",
        "1e0",
        "1E+0",
        "1e-0",
        "0e5",
        "0e999999999",
        "0.0e-99999",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
        "1.7976931348623157e308",
        "-1.7976931348623157e308",
        "4.9e-324",
        "1e-400",
        "-1e-400",
        "1e-99999999999999999999",
        "0.1000000000000000000000000000000000000000000000000000001",
        "31.245270191439438",
    ];
    let beyond = [
        "1e309",
        "-1e309",
        "1e400",
        "1.8e308",
        "1.7976931348623159e308",
        "1e99999",
        "-1e99999",
        "1e99999999999999999999",
        "10e308",
        "0.1e310",
    ];
    let lists = |text: &str| {
        [
            format!(r#""x":{text}"#),
            format!(r#""x":[{text}]"#),
            format!(r#""x":{{"y":[0,{text}]}}"#),
            format!(r#""x": {text} ,"y":{text}"#),
        ]
    };
    let digits = "7".repeat(308);
    let more_digits = "7".repeat(309);
    for (texts, expected) in [
        (&good[..], Ok(())),
        (&[digits.as_str()][..], Ok(())),
        (&beyond[..], Err(JsonFault::NotAnObject)),
        (&[more_digits.as_str()][..], Err(JsonFault::NotAnObject)),
    ] {
        for members in texts.iter().flat_map(|text| lists(text)) {
            let payload = format!("{{{CLAIMS},{members}}}");
            let expected = match expected {
                Ok(()) => PASSES,
                Err(fault) => in_payload(fault),
            };
            assert_eq!(outcome(&policy, HEADER, &payload), expected, "{members}");
        }
    }
}

#[test]
fn depth() {
    let policy = policy(ClaimRules::new());
    for (open, close, levels) in [("[", "]", 1), (r#"{"a":"#, "}", 1), (r#"[{"a":"#, "}]", 2)] {
        for depth in [1, 2, 14, 15, 16, 17, 126, 127, 128, 129, 500, 5_000] {
            let payload = format!("{{{CLAIMS},\"x\":{}}}", nested(open, close, depth));
            let expected =
                if depth * levels < 16 { PASSES } else { in_payload(JsonFault::TooDeep) };
            assert_eq!(outcome(&policy, HEADER, &payload), expected, "{open} {depth}");
        }
    }
    // A number is not a level, not even where it is handed over as a map.
    let payload = format!("{{{CLAIMS},\"x\":{}}}", nested("[", "]", 15).replace('1', "1.5e3"));
    assert_eq!(outcome(&policy, HEADER, &payload), PASSES);
    let deep = nested("[", "]", 5_000);
    for claim in ["nbf", "iat"] {
        let payload = format!("{{{CLAIMS},\"{claim}\":{deep}}}");
        assert_eq!(outcome(&policy, HEADER, &payload), wrong(claim));
    }
}

#[test]
fn times() {
    let policy = policy(ClaimRules::new());
    let at = |exp| Ok(Seen { expires_at: exp, ..PASSES.expect("it passes") });
    let expired =
        |at| Err(Error::Claims(ClaimsError::Expired { at: UnixTime(at), now: UnixTime(NOW) }));
    for (text, expected) in [
        ("1800000300", at(1_800_000_300)),
        ("1800000300.0", at(1_800_000_300)),
        ("1800000300.999", at(1_800_000_300)),
        ("1.8000003e9", at(1_800_000_300)),
        ("18000003E+2", at(1_800_000_300)),
        ("180000030000e-2", at(1_800_000_300)),
        ("9007199254740991.0", at(9_007_199_254_740_991)),
        ("9007199254740993", at(9_007_199_254_740_993)),
        ("9223372036854775807", at(i64::MAX)),
        ("0", expired(0)),
        ("-0", expired(0)),
        ("0e999999999999", expired(0)),
        ("1e-400", expired(0)),
        ("-0.1", wrong("exp")),
        ("-1", wrong("exp")),
        ("9007199254740993.0", wrong("exp")),
        ("9223372036854775808", wrong("exp")),
        ("18446744073709551615", wrong("exp")),
        ("18446744073709551616", wrong("exp")),
        ("1e18", wrong("exp")),
        ("1e309", wrong("exp")),
        ("1e99999999999999999999", wrong("exp")),
        (r#""1800000300""#, wrong("exp")),
        ("null", wrong("exp")),
        ("true", wrong("exp")),
        ("[1800000300]", wrong("exp")),
        ("{}", wrong("exp")),
        (r#"{"$serde_json::private::Number":"1800000300"}"#, wrong("exp")),
        (r#"{"$serde_json::private::RawValue":"1800000300"}"#, wrong("exp")),
        (r#"{"a":1,"a":2}"#, wrong("exp")),
        ("01800000300", in_payload(JsonFault::NotAnObject)),
        ("1800000300.", in_payload(JsonFault::NotAnObject)),
        ("+1800000300", in_payload(JsonFault::NotAnObject)),
        ("NaN", in_payload(JsonFault::NotAnObject)),
    ] {
        for payload in [
            format!(r#"{{{TIMELESS},"exp":{text}}}"#),
            format!(r#"{{"exp" : {text} ,{TIMELESS}}}"#),
            format!(r#"{{{TIMELESS},"\u0065xp":{text}}}"#),
        ] {
            assert_eq!(outcome(&policy, HEADER, &payload), expected, "{text}");
        }
    }
    let issued = |iat| Ok(Seen { issued_at: Some(iat), ..PASSES.expect("it passes") });
    for (text, expected) in [
        ("1799999999.9", issued(1_799_999_999)),
        ("1800000030.999", issued(1_800_000_030)),
        ("1.8e9", issued(1_800_000_000)),
        ("0", issued(0)),
        ("-1", wrong("iat")),
        ("\"1\"", wrong("iat")),
    ] {
        let payload = format!(r#"{{{CLAIMS},"iat":{text}}}"#);
        assert_eq!(outcome(&policy, HEADER, &payload), expected, "{text}");
    }
}

#[test]
fn rules_about_numbers() {
    let policy = policy(ClaimRules::new().exact("n", 1).require("r"));
    let unmet = |claim| Err(Error::Claims(ClaimsError::Rule(claim)));
    let value = || unmet(ClaimName::Value("n".into()));
    for (text, expected) in [
        ("1", PASSES),
        ("1.0", value()),
        ("1e0", value()),
        ("10e-1", value()),
        ("-1", value()),
        ("\"1\"", value()),
        ("true", value()),
        ("[1]", value()),
        ("{\"n\":1}", value()),
        ("18446744073709551617", value()),
        ("null", value()),
        (r#"{"$serde_json::private::Number":"1"}"#, in_payload(JsonFault::ReservedMember)),
    ] {
        let payload = format!(r#"{{{CLAIMS},"r":0.0,"n":{text}}}"#);
        assert_eq!(outcome(&policy, HEADER, &payload), expected, "{text}");
    }
    for (text, met) in [("0", true), ("-0", true), ("1e5", true), ("[]", true), ("null", false)] {
        let payload = format!(r#"{{{CLAIMS},"n":1,"r":{text}}}"#);
        let required = || unmet(ClaimName::Required("r".into()));
        let expected = if met { PASSES } else { required() };
        assert_eq!(outcome(&policy, HEADER, &payload), expected, "{text}");
    }
}

/// Thousands of numbers of every shape, counted by what becomes of them.
#[test]
fn a_crowd_of_numbers() {
    let policy = policy(ClaimRules::new());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % bound
    };
    let mut counts = [0_u32; 4];
    for _ in 0..4_000 {
        let mut text = String::new();
        if below(3) == 0 {
            text.push('-');
        }
        let length = if below(8) == 0 { 320 } else { 22 };
        for at in 0..=below(length) {
            let digit = if at == 0 { 1 + below(9) } else { below(10) };
            text.push(char::from_digit(u32::try_from(digit).expect("small"), 10).expect("a digit"));
        }
        if below(3) == 0 {
            text.push('.');
            for _ in 0..=below(20) {
                text.push(if below(2) == 0 { '0' } else { '5' });
            }
        }
        if below(3) == 0 {
            text.push_str(["e", "E", "e+", "e-"][usize::try_from(below(4)).expect("small")]);
            text.push_str(&below(330).to_string());
        }
        let unseen = outcome(&policy, HEADER, &format!(r#"{{{CLAIMS},"x":[{text}]}}"#));
        let exp = outcome(&policy, HEADER, &format!(r#"{{{TIMELESS},"exp":{text}}}"#));
        // What is out of range for a double is out of range everywhere.
        let finite = text.parse::<f64>().expect("a number").is_finite();
        assert_eq!(unseen.is_ok(), finite, "{text}");
        counts[0] += u32::from(unseen.is_ok());
        match exp {
            Ok(seen) => {
                assert!(seen.expires_at > NOW, "{text}");
                counts[1] += 1;
            }
            Err(Error::Claims(ClaimsError::Expired { .. })) => counts[2] += 1,
            Err(Error::Token(TokenError::ClaimType { claim: "exp" })) => counts[3] += 1,
            Err(error) => panic!("{text}: {error}"),
        }
    }
    assert_eq!(counts, [3_830, 651, 875, 2_474]);
}

#[test]
fn key_sets() {
    const GOOD: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let with = |member: &str| format!("{},{member}}}", &GOOD[..GOOD.len() - 1]);
    let json = |fault| KeyFault::Json(fault);
    let not_text =
        |member| KeyFault::Malformed { member, fault: MemberFault::Type { expected: "a string" } };
    for (entry, expected) in [
        (GOOD.to_owned(), None),
        (with(r#""x5t":1.50,"n":123456789012345678901234567890"#), None),
        (with(r#""y":[1,{"z":-0}]"#), None),
        (with(r#""kid":1"#), Some(not_text("kid"))),
        (with(r#""alg":1.5"#), Some(not_text("alg"))),
        (with(r#""d":1"#), Some(KeyFault::PrivateMember { member: "d" })),
        (with(r#""z":1e309"#), Some(KeyFault::NotAnObject(NotAnObject::Other))),
        (with(r#""x":1"#), Some(json(JsonFault::DuplicateMember))),
        (
            with(r#""z":{"$serde_json::private::Number":"1"}"#),
            Some(json(JsonFault::ReservedMember)),
        ),
        (with(r#""$serde_json::private::RawValue":"1""#), Some(json(JsonFault::ReservedMember))),
        (format!(r#"{{"x":{}}}"#, nested("[", "]", 16)), Some(json(JsonFault::TooDeep))),
        ("1".to_owned(), Some(KeyFault::NotAnObject(NotAnObject::Value))),
        ("1.5e3".to_owned(), Some(KeyFault::NotAnObject(NotAnObject::Value))),
        (
            r#"{"$serde_json::private::RawValue":"{}"}"#.to_owned(),
            Some(json(JsonFault::ReservedMember)),
        ),
    ] {
        assert_eq!(KeySet::from_jwk(&entry).err(), expected, "{entry}");
        let set = KeySet::from_jwks(format!(r#"{{"x":1.0,"keys":[{GOOD},{entry}]}}"#));
        let skipped = set.expect("one good key").skipped().first().map(|key| key.fault.clone());
        assert_eq!(skipped, expected, "{entry}");
    }
    for (set, expected) in [
        (format!(r#"{{"keys":[{GOOD}],"keys":[]}}"#), json(JsonFault::DuplicateMember)),
        (r#"{"keys":1}"#.to_owned(), KeyFault::NotASet),
        (r#"{"keys":1.5}"#.to_owned(), KeyFault::NotASet),
        (r#"{"keys":{"$serde_json::private::RawValue":"[]"}}"#.to_owned(), KeyFault::NotASet),
        (r#"{"$serde_json::private::RawValue":"1"}"#.to_owned(), json(JsonFault::ReservedMember)),
        (r#"{"x":1e309,"keys":[]}"#.to_owned(), KeyFault::NotAnObject(NotAnObject::Other)),
    ] {
        assert_eq!(KeySet::from_jwks(&set).err(), Some(expected), "{set}");
    }
}

#[test]
fn claims_of_a_handler() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Claims {
        level: u64,
        #[serde(default)]
        balance: i64,
        #[serde(default)]
        ratio: f64,
        #[serde(default)]
        list: Vec<u8>,
    }
    let policy = policy(ClaimRules::new().predicate("a level", |claims: &Claims| claims.level > 1));
    let read = |members: &str| {
        let token = policy.verify_token_now(token(HEADER, &format!("{{{CLAIMS},{members}}}")))?;
        let claims = token.claims::<Claims>()?;
        Ok((claims.level, claims.balance, claims.ratio, claims.list.clone()))
    };
    let unmet = || Err(Error::Claims(ClaimsError::Rule(ClaimName::Predicate("a level".into()))));
    for (members, expected) in [
        (r#""level":7"#, Ok((7, 0, 0.0, vec![]))),
        (
            r#""level":18446744073709551615,"balance":-9223372036854775808,"ratio":2.5e-1,"list":[1,255]"#,
            Ok((u64::MAX, i64::MIN, 0.25, vec![1, 255])),
        ),
        (r#""level":7,"ratio":3"#, Ok((7, 0, 3.0, vec![]))),
        (r#""level":1"#, unmet()),
        (r#""level":7.0"#, unmet()),
        (r#""level":-7"#, unmet()),
        (r#""level":"7""#, unmet()),
        (r#""level":18446744073709551616"#, unmet()),
        (r#""level":7,"list":[256]"#, unmet()),
        (r#""other":7"#, unmet()),
    ] {
        assert_eq!(read(members), expected, "{members}");
    }
}

#[test]
fn times_of_a_handler() {
    #[derive(Deserialize)]
    struct Times {
        exp: UnixTime,
        #[serde(flatten)]
        others: BTreeMap<String, serde_json::Value>,
        since: Option<UnixTime>,
    }
    let policy = policy(ClaimRules::new());
    let read = |since: &str| {
        let payload = format!(r#"{{{TIMELESS},"exp":1800000300.5,"since":{since}}}"#);
        let token = policy.verify_token_now(token(HEADER, &payload)).expect("a good token");
        let times = token.claims::<Times>().ok()?;
        assert_eq!((times.exp, times.others.len()), (token.expires_at(), 2));
        times.since
    };
    for (text, seconds) in [
        ("1800000000", 1_800_000_000),
        ("1800000000.0", 1_800_000_000),
        ("1800000000.999", 1_800_000_000),
        ("1.8e9", 1_800_000_000),
        ("-0", 0),
        ("9007199254740993", 9_007_199_254_740_993),
        ("9223372036854775807", i64::MAX),
    ] {
        assert_eq!(read(text), Some(UnixTime(seconds)), "{text}");
    }
    for text in ["-1", "-0.5", "1e18", "9223372036854775808", r#""1800000000""#, "[1]", "true"] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn revocations() {
    let text = str::to_owned;
    let (issuer, time) = (text("i"), Some(UnixTime(NOW)));
    let until = time.map(RevokedUntil::Time);
    for (json, revocation) in [
        (
            r#"{"revoke":"token","issuer":"i","token_id":"t","until":1800000000}"#,
            Revocation::Token { issuer: issuer.clone(), token_id: text("t"), until },
        ),
        (
            r#"{"until":null,"token_id":"t","issuer":"i","revoke":"token"}"#,
            Revocation::Token { issuer: issuer.clone(), token_id: text("t"), until: None },
        ),
        (
            r#"{"revoke":"session","issuer":"i","session":"s","until":1800000000}"#,
            Revocation::Session { issuer: issuer.clone(), session: text("s"), until },
        ),
        (
            r#"{"issued_until":1800000000,"revoke":"subject","issuer":"i","subject":"s"}"#,
            Revocation::Subject { issuer: issuer.clone(), subject: text("s"), issued_until: time },
        ),
        (
            r#"{"revoke":"version","issuer":"i","subject":"s","current":18446744073709551615}"#,
            Revocation::Version { issuer: issuer.clone(), subject: text("s"), current: u64::MAX },
        ),
        (
            r#"{"revoke":"client","issuer":"i","client":"c"}"#,
            Revocation::Client { issuer: issuer.clone(), client: text("c"), issued_until: None },
        ),
        (
            r#"{"revoke":"issuer","issuer":"i","issued_until":1800000000}"#,
            Revocation::Issuer { issuer: issuer.clone(), issued_until: time },
        ),
        (
            r#"{"revoke":"key","issuer":"i","key_id":"k","until":1800000000}"#,
            Revocation::Key { issuer: issuer.clone(), key_id: text("k"), until },
        ),
        (
            r#"{"revoke":"key","issuer":"i","key_id":"k","until":"forever"}"#,
            Revocation::Key {
                issuer: issuer.clone(),
                key_id: text("k"),
                until: Some(RevokedUntil::ForEver),
            },
        ),
        (
            r#"{"revoke":"key","issuer":"i","key_id":"k","until":1800000000.9}"#,
            Revocation::Key { issuer: issuer.clone(), key_id: text("k"), until },
        ),
        (
            r#"{"revoke":"issuer","issuer":"i","issued_until":1.8e9}"#,
            Revocation::Issuer { issuer: issuer.clone(), issued_until: time },
        ),
    ] {
        assert_eq!(serde_json::from_str(json).ok(), Some(revocation), "{json}");
    }
    for json in [
        r#"{"revoke":"token","issuer":"i","token_id":"t","until":-1}"#,
        r#"{"revoke":"token","issuer":"i","token_id":"t","until":"1800000000"}"#,
        r#"{"revoke":"token","issuer":"i","token_id":"t","until":99999999999999999999}"#,
        r#"{"revoke":"token","issuer":"i","token_id":"t","issued_until":1}"#,
        r#"{"revoke":"token","issuer":"i","token_id":"t","current":null}"#,
        r#"{"revoke":"token","issuer":"i"}"#,
        r#"{"revoke":"token","token_id":"t"}"#,
        r#"{"revoke":"token","issuer":"i","token_id":null}"#,
        r#"{"revoke":"subject","issuer":"i","subject":"s","subject":"t"}"#,
        r#"{"revoke":"subject","issuer":"i","subject":"s","session":"s"}"#,
        r#"{"revoke":"version","issuer":"i","subject":"s"}"#,
        r#"{"revoke":"version","issuer":"i","subject":"s","current":-1}"#,
        r#"{"revoke":"issuer","issuer":"i","subject":"s"}"#,
        r#"{"revoke":"nothing","issuer":"i"}"#,
        r#"{"revoke":7,"issuer":"i"}"#,
        r#"{"issuer":"i","token_id":"t"}"#,
    ] {
        assert_eq!(serde_json::from_str::<Revocation>(json).ok(), None, "{json}");
    }
}
