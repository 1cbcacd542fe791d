//! Writes the corpora of tokens, proofs, addresses and keys anew, out of the vectors of the tests and the forgeries of the test kit:
//! `cargo run -p portcullis-fuzz-targets --bin seeds`. Those of requests and policy files are written by hand.
//!
//! ECDSA and PSS signatures are random, so each run writes others; with `--tokens` it writes the good tokens anew, too.
use std::fs;
use std::path::Path;

use base64::prelude::*;
use portcullis::Algorithm;
use portcullis_fuzz_targets::corpora::folder;
use portcullis_fuzz_targets::issuer::{good_token, is_of_proofs, key, mint, sign};
use portcullis_fuzz_targets::proof::good_proofs;
use portcullis_fuzz_targets::token::parts;
use portcullis_testkit::hostile;
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// What is longer costs much and tells nothing that a short one does not.
const LONGEST: usize = 4096;

/// RFC 9449, figures 2 and 13: their header, and the rest of each.
const FIGURE_HEADER: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19";
const FIGURES: [&str; 2] = [
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg",
    "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA",
];

fn main() -> Result<(), Failure> {
    if std::env::args().any(|argument| argument == "--tokens") {
        let tokens: String = Algorithm::ALL.iter().map(|one| mint(*one) + "\n").collect();
        let figures = FIGURES.iter().map(|rest| format!("{FIGURE_HEADER}.{rest}\n"));
        let proofs: String = figures.chain(public().map(|one| mint_proof(one) + "\n")).collect();
        // What is built with the old ones has to be built anew before it writes a corpus.
        fs::write(Path::new(HERE).join("proofs.txt"), proofs)?;
        return Ok(fs::write(Path::new(HERE).join("tokens.txt"), tokens)?);
    }
    tokens()?;
    proofs()?;
    addresses()?;
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

fn public() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.iter().copied().filter(|one| key(*one).secret().is_none())
}

fn proof_header(algorithm: Algorithm) -> Value {
    let mut jwk = key(algorithm).public_jwk().expect("a key pair");
    let key = key(algorithm);
    jwk.as_object_mut().expect("an object").retain(|name, _| is_of_proofs(key, name));
    json!({ "typ": "dpop+jwt", "alg": algorithm.name(), "jwk": jwk })
}

fn proof_payload() -> Value {
    json!({ "jti": "1", "htm": "GET", "htu": "https://api.example/orders", "iat": 1_800_000_000 })
}

fn mint_proof(algorithm: Algorithm) -> String {
    let parts = [proof_header(algorithm), proof_payload()];
    let [header, payload] = parts.map(|part| part.to_string().into_bytes());
    sign(algorithm, &header, &payload)
}

/// Proofs that hold, and what is nearly one, to be signed.
fn proofs() -> Result<(), Failure> {
    // Of mutations of what is signed already, hardly one holds.
    for (place, good) in good_proofs().enumerate().take(3) {
        write("proof", &format!("good {place}"), good)?;
        write("proof", &format!("flipped {place}"), hostile::flip_signature_bit(good))?;
    }
    let header = |alg: &str| format!(r#"{{"typ":"dpop+jwt","alg":"{alg}","jwk":{{jwk}}}}"#);
    let with_hash = |name: &str, value: Value| {
        let mut payload = proof_payload();
        payload["ath"] = json!("{ath}");
        payload[name] = value;
        payload.to_string()
    };
    let good = with_hash("jti", json!("2"));
    for algorithm in Algorithm::ALL.iter().map(|one| one.name()) {
        let sign = format!("sign {algorithm}\n{}\n{good}", header(algorithm));
        write("proof", &format!("sign {algorithm}"), sign)?;
    }
    let es256 = header("ES256");
    for (name, member, value) in [
        ("no hash", "ath", json!("")),
        ("other hash", "ath", json!("fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo")),
        ("method", "htm", json!("post")),
        ("address with a query", "htu", json!("https://api.example/orders?a=b#c")),
        ("address in capitals", "htu", json!("HTTPS://API.example:443/%7eorders")),
        ("address of this machine", "htu", json!("http://localhost:3000")),
        ("address elsewhere", "htu", json!("https://api.example@evil.example/")),
        ("dot segment", "htu", json!("https://api.example/a/../orders")),
        ("list of addresses", "htu", json!(["https://api.example/orders"])),
        ("long id", "jti", json!("j".repeat(257))),
        ("number as id", "jti", json!(1)),
        ("escaped id", "jti", json!("\u{0}\u{1f600}\"\\ é")),
        ("float", "iat", json!(1_799_999_999.5)),
        ("old", "iat", json!(1_799_999_000)),
        ("time as text", "iat", json!("1800000000")),
        ("begins", "nbf", json!(1_800_000_000)),
        ("over", "exp", json!(1_800_000_000)),
        ("nonce", "nonce", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("nested", "x", json!({ "a": [{ "b": [[[1e-7]]] }] })),
    ] {
        let sign = format!("sign ES256\n{es256}\n{}", with_hash(member, value));
        write("proof", &format!("claims {name}"), sign)?;
    }
    let twice = good.replacen('{', r#"{"\u006ati":"3","#, 1);
    write("proof", "claims twice", format!("sign ES256\n{es256}\n{twice}"))?;
    for (name, from, to) in [
        ("type", "dpop+jwt", "at+jwt"),
        ("long type", "dpop+jwt", "application/dpop+jwt"),
        ("none", "ES256", "none"),
        ("other algorithm", "ES256", "ES384"),
        ("crit", "\"typ\"", r#""crit":["exp"],"typ""#),
        ("kid", "\"typ\"", r#""kid":"1","x":null,"typ""#),
        ("key elsewhere", "\"typ\"", r#""jku":"https://a","typ""#),
        ("key twice", "\"typ\"", r#""jwk":{},"typ""#),
        ("no key", "\"jwk\"", "\"jwl\""),
        ("spaces", "\"jwk\":", "\"jwk\" :\t"),
    ] {
        let sign = format!("sign ES256\n{}\n{good}", es256.replacen(from, to, 1));
        write("proof", &format!("header {name}"), sign)?;
    }
    let jwk = proof_header(Algorithm::ES256);
    for (name, member, value) in [
        ("private", "d", json!("AAAA")),
        ("exported", "ext", json!(true)),
        ("for encryption", "use", json!("enc")),
        ("off the curve", "y", jwk["jwk"]["x"].clone()),
        ("short", "x", json!("AAAA")),
    ] {
        let mut header = jwk.clone();
        header["jwk"][member] = value;
        write("proof", &format!("key {name}"), format!("sign ES256\n{header}\n{good}"))?;
    }
    Ok(())
}

fn addresses() -> Result<(), Failure> {
    for (name, address) in [
        ("host", "https://api.example"),
        ("path", "https://api.example/orders\n/orders"),
        ("other path", "https://api.example/orders\n/Orders"),
        ("slash at the end", "https://api.example/orders/\n/orders"),
        ("empty segments", "https://api.example//a//\n//a//"),
        ("port", "https://api.example:8443/orders"),
        ("usual port", "https://api.example:443/orders"),
        ("empty port", "https://api.example:/orders"),
        ("zeros before a port", "https://api.example:0443/"),
        ("large port", "https://api.example:65536/"),
        ("capitals", "HTTPS://API.Example/Orders"),
        ("query", "https://api.example/a?b#c"),
        ("fragment", "https://api.example/a#c?b"),
        ("query without a path", "https://api.example?x=1"),
        ("unreserved", "https://api.example/%7euser/%61\n/~user/a"),
        ("encoded slash", "https://api.example/a%2fb\n/a/b"),
        ("encoded euro", "https://api.example/%e2%82%ac\n/%E2%82%AC"),
        ("lone percent", "https://api.example/%zz"),
        ("encoded percent", "https://api.example/%252e%252e/"),
        ("dot segments", "https://api.example/a/../b\n/b"),
        ("encoded dots", "https://api.example/a/%2e%2E/b\n/b"),
        ("dots in a name", "https://api.example/.well-known/..a"),
        ("user", "https://user:pw@api.example/"),
        ("host before a host", "https://api.example@evil.example/"),
        ("backslash", "https://api.example\\orders"),
        ("IPv4", "https://127.0.0.1/"),
        ("IPv4 in other words", "https://0x7f.1/"),
        ("IPv6", "https://[2001:DB8::1]:8443/a"),
        ("IPv6 with zeros", "https://[::0001]/"),
        ("IPv6 of this machine", "http://[::1]:3000/a"),
        ("this machine", "http://localhost:80/a"),
        ("plain", "http://api.example/"),
        ("dot behind a host", "https://api.example./"),
        ("other letters", "https://bücher.example/é"),
        ("a brace in a host", "https://user:pw..@api.e}ample/"),
        ("Punycode", "https://xn--bcher-kva.example/"),
        ("WebSocket", "wss://api.example/"),
        ("one slash", "https:/api.example/"),
        ("three slashes", "https:///orders"),
        ("delimiters", "https://api.example/a+b;c=d,e:f@g|h\"i"),
        ("line break", "https://api.example/\ta"),
    ] {
        write("htu", name, address)?;
    }
    Ok(())
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
