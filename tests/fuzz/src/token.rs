//! A token against a policy with a key for each algorithm.
//!
//! An input is the text of a token; or, behind a line such as `sign ES256`, a line with a header and a payload,
//! which the issuer's key signs, so that claims are reached. What is asked:
//!
//! 1. nothing panics, and the same text gets the same answer when it comes again and when it is explained;
//! 2. a text passes only if the issuer signed it: up to the second full stop, it is one of the good tokens;
//! 3. what passes has a header and claims that an ordinary reader of JSON finds in it, and they are such
//!    as the policy asks for.
use std::sync::OnceLock;

use base64::prelude::*;
use portcullis::{Algorithm, Policy, VerifiedToken};
use serde_json::Value;

use crate::Outcome;
use crate::issuer::{self, AUDIENCE, ISSUER, NOW};

/// The leeway of a policy that is told of none, in seconds.
const LEEWAY: f64 = 30.0;

/// Asks the policy about a token.
///
/// # Panics
///
/// If a promise is broken.
pub fn check(input: &[u8]) -> Outcome {
    let Some((algorithm, header, payload)) = issuer::to_sign(input) else {
        return raw(input);
    };
    let text = issuer::sign(algorithm, header, payload);
    let Some(token) = verify(text.as_bytes()) else { return Outcome::Refused };
    assert_eq!(token.claims_json().as_bytes(), payload, "what is read is what was signed");
    let is_same_key =
        token.algorithm() == algorithm || issuer::is_ed25519(token.algorithm(), algorithm);
    assert!(is_same_key, "signed by {algorithm}, accepted as {}", token.algorithm());
    check_header(header, token.algorithm());
    check_claims(payload, &token);
    Outcome::Accepted
}

fn raw(text: &[u8]) -> Outcome {
    let Some(_) = verify(text) else { return Outcome::Refused };
    issuer::assert_signed(text, issuer::good_tokens());
    Outcome::Accepted
}

/// What the policy says, each of the ways to ask it.
fn verify(text: &[u8]) -> Option<VerifiedToken> {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    let policy = POLICY.get_or_init(|| issuer::policy().build().expect("a good policy"));
    let verdict = policy.verify_token_now(text);
    let again = policy.verify_token_now(text);
    assert_eq!(verdict.as_ref().err(), again.as_ref().err(), "the second answer");
    let explained = policy.explain_now(text);
    assert_eq!(verdict.as_ref().err(), explained.verdict().err(), "the explained answer");
    let words = explained.to_string();
    match &verdict {
        Ok(token) => {
            assert!(policy.recheck_now(token).is_ok(), "nothing changed");
            assert!(!policy.time_left(token).is_zero(), "it is accepted now");
        }
        Err(error) => assert!(words.contains(&error.to_string()), "{words}: {error}"),
    }
    verdict.ok()
}

fn check_header(header: &[u8], algorithm: Algorithm) {
    let header: Value = serde_json::from_slice(header).expect("the header is JSON");
    assert_eq!(header["alg"].as_str(), Some(algorithm.name()), "{header}");
    assert!(header.get("crit").is_none(), "extensions are not understood: {header}");
    let typ = header.get("typ").map(|typ| typ.as_str().expect("a type is text"));
    let typ = typ.map(|typ| typ.to_ascii_lowercase());
    let typ = typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ));
    assert!(matches!(typ, None | Some("jwt" | "at+jwt")), "{header}");
}

fn check_claims(payload: &[u8], token: &VerifiedToken) {
    let claims: Value = serde_json::from_slice(payload).expect("the payload is JSON");
    assert_eq!(claims["iss"].as_str(), Some(ISSUER), "{claims}");
    let is_for_us = match &claims["aud"] {
        Value::String(one) => one == AUDIENCE,
        Value::Array(several) => several.iter().any(|one| one == AUDIENCE),
        _ => false,
    };
    assert!(is_for_us, "{claims}");
    let now = NOW as f64;
    let seconds =
        |name: &str| claims.get(name).map(|time| time.as_f64().expect("times are numbers"));
    let expires = seconds("exp").expect("an expiry is there");
    assert!(now < expires + LEEWAY + 1.0, "expired: {claims}");
    assert!(expires < now + 24.0 * 3600.0 + LEEWAY + 1.0, "lives too long: {claims}");
    for begins in ["nbf", "iat"] {
        assert!(seconds(begins).is_none_or(|at| at <= now + LEEWAY + 1.0), "{begins}: {claims}");
    }
    assert!(claims.get("cnf").is_none_or(Value::is_null), "bound to a key: {claims}");
    assert_eq!(token.subject(), claims["sub"].as_str(), "{claims}");
    assert_eq!(token.token_id(), claims["jti"].as_str(), "{claims}");
}

/// The parts of a token, decoded: for the corpus.
///
/// # Panics
///
/// If it is not a token.
pub fn parts(token: &str) -> [Vec<u8>; 2] {
    let mut parts = token.split('.');
    [(), ()].map(|()| {
        let part = parts.next().expect("a token has three parts");
        BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url")
    })
}
