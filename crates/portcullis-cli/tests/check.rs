//! A policy's faults stand in their places, and what is doubtful is told.
mod common;

use insta::assert_snapshot;
use serde_json::Value;

use self::common::{Trial, settings};

const DOUBTFUL: &str = r#"
sources = ["bearer", { cookie = "__Host-token" }]
allow_anonymous = true

[[issuer]]
id = "https://id.example"
audiences = ["https://api.example", "https://bills.example"]
algorithms = ["ES256", "HS256"]
keys = { jwks_file = "jwks.json", secrets = [
    { id = "1", file = "test-key-hs256" },
    { id = "2", file = "test-key-hs256" },
] }
[issuer.claims]
leeway = "2m"
max_lifetime = "12h"
required = ["sub"]
one_of = { tenant = ["acme", "initech"] }

[[issuer]]
template = "http://localhost/{tenant}"
client_ids_instead_of_audience = ["web"]
algorithms = ["RS256"]
keys = { jwks_url = "http://localhost/{tenant}/keys" }
require_key_id = true
[issuer.dangerous]
unlimited_lifetime = true
"#;

fn trial() -> Trial {
    let trial = Trial::new();
    trial.mint(&["--alg", "HS256"]);
    trial
}

#[test]
fn a_good_policy_is_told_in_plain_words() {
    let trial = trial();
    settings().bind(|| {
        assert_snapshot!("good", trial.run(&["check", "policy.toml"], "").snapshot());
        assert_snapshot!(
            "good-json",
            trial.run(&["check", "policy.toml", "--json"], "").snapshot()
        );
    });
    assert_eq!(trial.run(&["check", "policy.toml", "--deny-warnings"], "").code, 0);
}

#[test]
fn what_is_doubtful_is_told_and_can_be_denied() {
    let trial = trial();
    trial.write("policy.toml", DOUBTFUL);
    let ran = trial.run(&["check", "policy.toml"], "");
    settings().bind(|| assert_snapshot!("doubtful", ran.snapshot()));
    assert_eq!(trial.run(&["check", "policy.toml", "--deny-warnings"], "").code, 1);

    let ran = trial.run(&["check", "policy.toml", "--json"], "");
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    let names: Vec<_> = value["lints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|lint| lint["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "long-lifetime",
            "long-leeway",
            "shared-secret-of-several",
            "key-id-not-required",
            "keys-without-tls",
            "dangerous",
            "no-allowed-origins",
            "no-revocation",
        ]
    );
    let secret = std::fs::read_to_string(trial.folder.path().join("test-key-hs256")).unwrap();
    assert!(!ran.all().contains(&secret));
}

#[test]
fn faults_stand_in_their_places() {
    let trial = trial();
    trial.write(
        "policy.toml",
        "[[issuer]]\nid = \"https://id.example\"\naudience = [\"a\"]\nalgorithms = [\"RS265\"]\nkeys = { secrets = [{ value = \"hunter2\" }] }\n",
    );
    let ran = trial.run(&["check", "policy.toml"], "");
    settings().bind(|| assert_snapshot!("faults", ran.snapshot()));
    let ran = trial.run(&["check", "policy.toml", "--json"], "");
    settings().bind(|| assert_snapshot!("faults-json", ran.snapshot()));
    assert!(!ran.all().contains("hunter2"));
    assert_eq!(trial.run(&["check", "none.toml"], "").code, 1);
}
