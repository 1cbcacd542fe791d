//! Writes the corpora of tokens and keys anew, out of the vectors of the tests and the forgeries of the test kit:
//! `cargo run -p portcullis-fuzz-targets --bin seeds`. Those of requests and policy files are written by hand.
//!
//! ECDSA and PSS signatures are random, so each run writes others; with `--tokens` it writes the good tokens anew, too.
use std::fs;
use std::path::Path;

use base64::prelude::*;
use portcullis::Algorithm;
use portcullis_fuzz_targets::corpora::folder;
use portcullis_fuzz_targets::issuer::{good_token, key, mint};
use portcullis_fuzz_targets::token::parts;
use portcullis_testkit::hostile;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// What is longer costs much and tells nothing that a short one does not.
const LONGEST: usize = 4096;

fn main() -> Result<(), Failure> {
    if std::env::args().any(|argument| argument == "--tokens") {
        let tokens: String = Algorithm::ALL.iter().map(|one| mint(*one) + "\n").collect();
        // What is built with the old ones has to be built anew before it writes a corpus.
        return Ok(fs::write(Path::new(HERE).join("tokens.txt"), tokens)?);
    }
    tokens()?;
    keys()
}

fn write(target: &str, name: &str, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    if content.as_ref().len() > LONGEST {
        return Ok(());
    }
    let folder = folder().join(target);
    fs::create_dir_all(&folder)?;
    let letters = name.chars().map(|char| if char.is_alphanumeric() { char } else { '-' });
    Ok(fs::write(folder.join(letters.collect::<String>()), content)?)
}

fn vectors(file: &str) -> Result<Vec<u8>, Failure> {
    let folder = Path::new(HERE).join("../../crates/portcullis/tests/vectors");
    Ok(fs::read(folder.join(file))?)
}

fn tokens() -> Result<(), Failure> {
    for &algorithm in Algorithm::ALL {
        let good = good_token(algorithm);
        let [header, payload] = parts(good);
        write("token", &format!("good {algorithm}"), good)?;
        let to_sign = [b"sign ", algorithm.name().as_bytes(), b"\n", &header, b"\n", &payload];
        write("token", &format!("sign {algorithm}"), to_sign.concat())?;
        write("token", &format!("flipped {algorithm}"), hostile::flip_signature_bit(good))?;
        write("token", &format!("empty {algorithm}"), hostile::with_signature(good, &[]))?;
    }
    write("token", "ecdsa twin", hostile::ecdsa_twin(good_token(Algorithm::ES256)))?;
    let good = good_token(Algorithm::RS256);
    // A few of each: the fuzzer finds the way from one to the next.
    let none = hostile::none_family(good).into_iter().step_by(7);
    let confused = hostile::public_key_as_secret_family(good, key(Algorithm::RS256));
    for forgery in none.chain(confused.into_iter().step_by(7)) {
        write("token", &format!("forged {}", forgery.what), forgery.token)?;
    }
    for case in serde_json::from_slice::<Vec<Value>>(&vectors("bad-signatures.json")?)? {
        let (name, token) = (case["name"].as_str(), case["token"].as_str());
        // One algorithm of each kind, and not each number for each other.
        if let (Some(name), Some(token)) = (name, token)
            && ["ES256", "PS256", "RS256", "EdDSA", "HS256"].iter().any(|it| name.starts_with(it))
            && !name.contains(", s")
        {
            write("token", &format!("bad {name}"), token)?;
        }
    }
    claims()
}

/// Claims and headers that are nearly good, or good and unusual, to be signed.
fn claims() -> Result<(), Failure> {
    let [header, payload] = parts(good_token(Algorithm::HS256));
    let (header, payload): (Value, Value) =
        (serde_json::from_slice(&header)?, serde_json::from_slice(&payload)?);
    let cases = [
        ("audiences", json!({ "aud": ["a", "https://api.example"] })),
        ("no audience", json!({ "aud": null })),
        ("expired", json!({ "exp": 1_799_999_000 })),
        ("float", json!({ "exp": 1_800_000_060.5, "nbf": 1.8e9 })),
        ("huge expiry", json!({ "exp": u64::MAX })),
        ("future", json!({ "nbf": 1_800_000_600, "iat": 1_800_000_600 })),
        ("bound", json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } })),
        ("nested", json!({ "realm_access": { "roles": ["a", { "b": [[[[1e-7]]]] }] } })),
        ("escaped", json!({ "sub": "\u{0}\u{1f600}\"\\ é", "": null })),
        ("other issuer", json!({ "iss": "https://issuer.example/" })),
    ];
    for (name, members) in cases {
        let mut payload = payload.clone();
        for (name, value) in members.as_object().into_iter().flatten() {
            payload[name] = value.clone();
        }
        write("token", &format!("claims {name}"), format!("sign HS256\n{header}\n{payload}"))?;
    }
    let headers = [
        ("crit", json!({ "crit": ["exp"] })),
        ("b64", json!({ "b64": false, "crit": ["b64"] })),
        ("jwk", json!({ "jwk": { "kty": "oct", "k": "AA" } })),
        ("typ", json!({ "typ": "application/AT+JWT" })),
        ("ID token", json!({ "typ": "dpop+jwt" })),
        ("no alg", json!({ "alg": null })),
        ("other alg", json!({ "alg": "HS512" })),
        ("unknown key", json!({ "kid": "../../dev/null" })),
    ];
    for (name, members) in headers {
        let mut header = header.clone();
        for (name, value) in members.as_object().into_iter().flatten() {
            header[name] = value.clone();
        }
        write("token", &format!("header {name}"), format!("sign HS256\n{header}\n{payload}"))?;
    }
    let twice = payload.to_string().replacen('{', r#"{"\u0065xp":1,"#, 1);
    write("token", "claims twice", format!("sign HS256\n{header}\n{twice}"))
}

fn keys() -> Result<(), Failure> {
    for &algorithm in Algorithm::ALL {
        let Some(jwk) = key(algorithm).public_jwk() else { continue };
        write("keys", &format!("jwk {algorithm}"), jwk.to_string())?;
        write("keys", &format!("jwks {algorithm}"), json!({ "keys": [jwk] }).to_string())?;
    }
    let all: Vec<_> = Algorithm::ALL.iter().filter_map(|one| key(*one).public_jwk()).collect();
    write("keys", "jwks of all", json!({ "keys": all }).to_string())?;
    for case in serde_json::from_slice::<Vec<Value>>(&vectors("weak-keys.json")?)? {
        let name = case["name"].as_str().unwrap_or_default();
        write("keys", &format!("weak {name}"), case["jwk"].to_string())?;
    }
    for file in fs::read_dir(Path::new(HERE).join("../../crates/portcullis/tests/vectors/pem"))? {
        let name = file?.file_name().into_string().map_err(|_| "not UTF-8")?;
        let content = vectors(&format!("pem/{name}"))?;
        if let Ok(text) = core::str::from_utf8(&content)
            && text.starts_with("-----BEGIN ")
        {
            let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
            if let Ok(der) = BASE64_STANDARD.decode(body) {
                write("keys", &format!("der {name}"), der)?;
            }
        }
        write("keys", &format!("file {name}"), content)?;
    }
    Ok(())
}
