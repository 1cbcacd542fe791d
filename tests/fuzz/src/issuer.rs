//! An issuer whose keys are the same in every run, so that an input means the same in every run.
use std::sync::OnceLock;

use base64::prelude::*;
use portcullis::policy::{PolicyBuilder, WantsKeys};
use portcullis::{Algorithm, Issuer, KeySet, Keys, Policy, Secret};
use portcullis_testkit::{FixedClock, SigningKey};
use serde_json::json;

/// The time of every policy, in seconds since the Unix epoch.
pub const NOW: i64 = 1_800_000_000;

/// The `iss` of good tokens.
pub const ISSUER: &str = "https://issuer.example";

/// The `aud` of good tokens.
pub const AUDIENCE: &str = "https://api.example";

/// Tokens that were signed with these keys, one a line, in the order of [`Algorithm::ALL`]. They were made once.
pub fn good_tokens() -> impl Iterator<Item = &'static str> {
    include_str!("../tokens.txt").lines()
}

/// The good token of an algorithm.
///
/// # Panics
///
/// If the file lacks it.
pub fn good_token(algorithm: Algorithm) -> &'static str {
    let place = Algorithm::ALL.iter().position(|known| *known == algorithm);
    place.and_then(|place| good_tokens().nth(place)).expect("a token of every algorithm")
}

/// The key that signs with an algorithm.
///
/// # Panics
///
/// If the algorithm is newer than this list.
pub fn key(algorithm: Algorithm) -> &'static SigningKey {
    static KEYS: OnceLock<Vec<SigningKey>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| Algorithm::ALL.iter().map(|one| read(*one)).collect());
    keys.iter().find(|key| key.algorithm() == algorithm).expect("a key of every algorithm")
}

/// The text of a token: both parts as they are, and the signature of the algorithm's key.
pub fn sign(algorithm: Algorithm, header: &[u8], payload: &[u8]) -> String {
    let [header, payload] = [header, payload].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let input = format!("{header}.{payload}");
    let signature = key(algorithm).sign(input.as_bytes());
    format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// What an input has signed: `sign ALG`, and the two parts.
pub(crate) fn to_sign(input: &[u8]) -> Option<(Algorithm, &[u8], &[u8])> {
    let mut lines = input.strip_prefix(b"sign ")?.splitn(3, |byte| *byte == b'\n');
    let algorithm = core::str::from_utf8(lines.next()?).ok()?.parse().ok()?;
    Some((algorithm, lines.next()?, lines.next()?))
}

/// The text with what the names in it stand for. Bytes, since it need not be UTF-8.
pub(crate) fn with_names(text: &[u8], named: &[(&str, &str)]) -> Vec<u8> {
    let (mut rest, mut found) = (text, Vec::new());
    while let Some((first, behind)) = rest.split_first() {
        match named.iter().find(|(name, _)| rest.starts_with(name.as_bytes())) {
            Some((name, meaning)) => {
                found.extend(meaning.bytes());
                rest = &rest[name.len()..];
            }
            None => {
                found.push(*first);
                rest = behind;
            }
        }
    }
    found
}

/// Asserts that a text which was taken was signed once, as one of these.
pub(crate) fn assert_signed(text: &[u8], mut good: impl Iterator<Item = &'static str>) {
    let text = core::str::from_utf8(text).expect("JWTs are ASCII");
    let (input, _) = text.rsplit_once('.').expect("JWTs have full stops");
    let is_of_it = |good: &str| good.rsplit_once('.').is_some_and(|(signed, _)| signed == input);
    assert!(good.any(is_of_it), "nobody signed {text}");
}

/// One key serves either name.
pub(crate) fn is_ed25519(one: Algorithm, other: Algorithm) -> bool {
    [one, other].iter().all(|it| matches!(it, Algorithm::EdDSA | Algorithm::Ed25519))
}

/// Whether a key in a proof has this member. Those of ML-DSA say their `alg` (RFC 9964 §3).
pub fn is_of_proofs(key: &SigningKey, member: &str) -> bool {
    match member {
        "kid" | "use" => false,
        "alg" => key.algorithm().name().starts_with("ML-DSA"),
        _ => true,
    }
}

/// A token with all that a policy asks for.
pub fn mint(algorithm: Algorithm) -> String {
    let header = json!({ "alg": algorithm.name(), "kid": key(algorithm).id(), "typ": "at+jwt" });
    let payload = json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "client_id": "fuzz", "jti": algorithm.name(),
        "iat": NOW - 60, "exp": NOW + 600, "scope": "read write",
    });
    sign(algorithm, header.to_string().as_bytes(), payload.to_string().as_bytes())
}

/// A policy that trusts every key of the issuer, to be told of sources.
pub fn policy() -> PolicyBuilder {
    let public = Algorithm::ALL.iter().filter_map(|one| key(*one).public_jwk()).collect::<Vec<_>>();
    let public = KeySet::from_jwks(json!({ "keys": public }).to_string()).expect("good keys");
    let secrets = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512].map(|one| {
        let secret = key(one).secret().expect("a secret");
        Secret::new(secret).algorithm(one).id(key(one).id())
    });
    let issuer: Issuer<WantsKeys> = Issuer::new(ISSUER).algorithms(Algorithm::ALL.iter().copied());
    let issuer = issuer.keys(Keys::from(public).and(secrets)).audience(AUDIENCE);
    Policy::builder().issuer(issuer).clock(FixedClock::at(NOW))
}

/// All RSA algorithms share one key, as they do in key sets that name no algorithm; so a token is signed for one
/// and may name another.
fn read(algorithm: Algorithm) -> SigningKey {
    use Algorithm::{
        ES256, ES384, ES512, Ed25519, EdDSA, HS256, HS384, HS512, ML_DSA_44, ML_DSA_65, ML_DSA_87,
        PS256, PS384, PS512, RS256, RS384, RS512,
    };
    let pem = match algorithm {
        HS256 => return SigningKey::from_secret(HS256, hex(include_str!("../keys/hs256.hex"))),
        HS384 => return SigningKey::from_secret(HS384, hex(include_str!("../keys/hs384.hex"))),
        HS512 => return SigningKey::from_secret(HS512, hex(include_str!("../keys/hs512.hex"))),
        RS256 | RS384 | RS512 | PS256 | PS384 | PS512 => include_str!("../keys/rsa.pem"),
        ES256 => include_str!("../keys/p256.pem"),
        ES384 => include_str!("../keys/p384.pem"),
        ES512 => include_str!("../keys/p521.pem"),
        EdDSA | Ed25519 => include_str!("../keys/ed25519.pem"),
        ML_DSA_44 => include_str!("../keys/ml-dsa-44.pem"),
        ML_DSA_65 => include_str!("../keys/ml-dsa-65.pem"),
        ML_DSA_87 => include_str!("../keys/ml-dsa-87.pem"),
        other => panic!("no key was made for {other}"),
    };
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(body).expect("PEM holds base64");
    SigningKey::from_private_der(algorithm, &der).expect("a private key")
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).expect("ASCII"), 16);
    digits.map(|pair| byte(pair).expect("hex digits")).collect()
}
