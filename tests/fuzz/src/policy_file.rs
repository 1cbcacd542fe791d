//! A policy file.
//!
//! Beside it lie key files and secrets, under the names that the corpus uses. Inputs that name other files, or that
//! would have keys fetched at once, are skipped: a fuzzer has no business there. What is asked:
//!
//! 1. nothing panics; a refusal lists at least one fault, each on a line that is there, and the same again;
//! 2. a policy that is made says of every issuer what has no default: its algorithms, its keys, and for whom it is;
//! 3. the same settings as data of another format make a policy as well, or do not as well.
use std::path::Path;
use std::sync::OnceLock;

use portcullis::config::{ConfigError, PolicyConfig};
use portcullis::{Algorithm, Policy};
use serde_json::json;
use tempfile::TempDir;
use toml::{Table, Value};

use crate::Outcome;
use crate::issuer;

/// Reads the text as a policy file.
///
/// # Panics
///
/// If a promise is broken.
pub fn check(input: &[u8]) -> Outcome {
    let Ok(text) = core::str::from_utf8(input) else { return Outcome::Skipped };
    let data: Option<Table> = text.parse().ok();
    if data.as_ref().is_some_and(|data| data.iter().any(|(key, value)| reaches_out(key, value))) {
        return Outcome::Skipped;
    }
    let verdict = Policy::from_toml_str(text, folder());
    let again = Policy::from_toml_str(text, folder());
    assert_eq!(verdict.as_ref().err(), again.as_ref().err(), "the second answer");
    if let Err(error) = &verdict {
        check_faults(error, text);
    }
    match data {
        Some(data) => {
            let other = data.try_into::<PolicyConfig>().expect("it takes whatever is there");
            let other = other.build(folder());
            assert_eq!(verdict.is_ok(), other.is_ok(), "{verdict:?} and {other:?}");
        }
        None => assert!(verdict.is_err(), "it is not TOML"),
    }
    let Ok(policy) = verdict else { return Outcome::Refused };
    check_policy(&policy);
    Outcome::Accepted
}

/// Whether a setting names a file that is not in the folder, a variable, or keys that are fetched while the
/// policy is built.
fn reaches_out(key: &str, value: &Value) -> bool {
    match value {
        Value::Table(table) => table.iter().any(|(key, value)| reaches_out(key, value)),
        Value::Array(list) => list.iter().any(|value| reaches_out(key, value)),
        Value::String(name) => match key {
            "file" | "jwks_file" | "pem_file" => !FILES.contains(&name.as_str()),
            "env" => true,
            _ => false,
        },
        _ => key == "load_at_start",
    }
}

const FILES: [&str; 5] = ["jwks.json", "key.pem", "secret", "secret.hex", "missing"];

/// The folder that paths start from.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, content: String| {
            std::fs::write(folder.path().join(name), content).expect("a file");
        };
        let jwk = issuer::key(Algorithm::ES256).public_jwk();
        write("jwks.json", json!({ "keys": [jwk] }).to_string());
        write("key.pem", issuer::key(Algorithm::EdDSA).public_pem().expect("a key pair"));
        write("secret", "mFQmXCRaSbnhTzHKHTGr85zwXOUmn9qBpzGRGCGJ0xE".to_owned());
        write("secret.hex", include_str!("../keys/hs256.hex").trim().to_owned());
        folder
    });
    folder.path()
}

fn check_faults(error: &ConfigError, text: &str) {
    let lines = text.split('\n').count();
    assert!(!error.faults().is_empty(), "a refusal has a reason");
    for fault in error.faults() {
        let is_there = fault.line.is_none_or(|line| (1..=lines).contains(&line));
        assert!(is_there, "{fault} of {lines} lines");
        assert!(!fault.problem.to_string().is_empty());
    }
    assert!(error.to_string().lines().count() > error.faults().len());
}

fn check_policy(policy: &Policy) {
    let described = policy.describe();
    assert!(!described.issuers.is_empty(), "a policy trusts somebody");
    assert!(!described.sources.is_empty(), "tokens come from somewhere");
    for issuer in &described.issuers {
        assert!(!issuer.algorithms.is_empty() && !issuer.keys.is_empty(), "{issuer:?}");
        let for_whom = issuer.audiences.len() + issuer.client_ids_instead_of_audience.len();
        assert!(for_whom > 0, "{issuer:?}");
        let is_bounded = issuer.max_lifetime_s.is_some_and(|seconds| seconds <= 30 * 24 * 3600);
        assert!(is_bounded || !described.dangerous.is_empty(), "{issuer:?}");
    }
    assert!((1..=65_536).contains(&described.token_limit));
    // No token of a stranger passes, whatever the policy says. Without an issuer, none is looked for.
    for token in ["", "..", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        assert!(policy.verify_token_now(token).is_err(), "{token}");
    }
}
