//! Tokens for tests, and a policy to hold them against.
mod common;

use insta::assert_snapshot;
use serde_json::{Value, json};

use self::common::{NOW, Trial, portcullis, settings};

#[test]
fn what_is_minted_is_accepted_by_its_policy_whatever_signs_it() {
    for algorithm in ["HS256", "HS512", "RS256", "PS384", "ES256", "ES512", "EdDSA", "Ed25519"] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["mint", "--alg", algorithm, "--policy-out", "new/demo", "--at", NOW];
        for _ in 0..2 {
            let minted = portcullis(folder.path(), &arguments, "");
            assert!(minted.stderr.contains("FOR TESTS ONLY"), "{minted:?}");
            let explain = ["explain", "--policy", "new/demo/policy.toml", "--at", NOW];
            let ran = portcullis(folder.path(), &explain, minted.stdout);
            assert_eq!(ran.code, 0, "{algorithm}: {ran:?}");
        }
    }
}

#[test]
fn claims_are_what_they_are_told_to_be() {
    let trial = Trial::new();
    let token = trial.mint(&[
        "--subject",
        "bob",
        "--audience",
        "a",
        "--audience",
        "b",
        "--scope",
        "x",
        "--scope",
        "y",
        "--expires-in",
        "1h 30m",
        "--claim",
        "n=1",
        "--claim",
        "t=one=two",
        "--claim",
        "l=[null]",
    ]);
    let value: Value = serde_json::from_str(&trial.explain(token, &["--json"]).stdout).unwrap();
    let claims = &value["token"]["claims"];
    for (name, expected) in [
        ("sub", json!("bob")),
        ("aud", json!(["a", "b"])),
        ("scope", json!("x y")),
        ("exp", json!(1_800_005_400)),
        ("n", json!(1)),
        ("t", json!("one=two")),
        ("l", json!([null])),
    ] {
        assert_eq!(claims[name], expected, "{name}");
    }
}

#[test]
fn what_stands_in_the_folder_stays() {
    let trial = Trial::new();
    let read = |file| std::fs::read_to_string(trial.folder.path().join(file)).unwrap();
    settings().bind(|| assert_snapshot!("policy", read("policy.toml")));
    let keys = read("jwks.json");
    trial.write("policy.toml", "mine");
    trial.mint(&["--audience", "https://bills.example"]);
    assert_eq!((read("policy.toml").as_str(), read("jwks.json")), ("mine", keys));
    trial.write("test-key-es256", "no key");
    let ran = trial.run(&["mint", "--policy-out", "."], "");
    assert!(ran.code == 2 && ran.stderr.contains("test-key-es256"), "{ran:?}");
}

#[test]
fn help_says_what_there_is_and_how_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    settings().bind(|| {
        assert_snapshot!("help", portcullis(folder.path(), &["--help"], "").snapshot());
        let commands = [
            "check",
            "completions",
            "decode",
            "explain",
            "keys",
            "man",
            "mint",
            "ring",
            "ring compromised",
            "ring rotate",
            "ring status",
            "schema",
            "secret",
            "secret rotate",
            "session",
            "session end",
            "session explain",
            "session list",
        ];
        for command in commands {
            let arguments: Vec<_> = command.split(' ').chain(["--help"]).collect();
            let ran = portcullis(folder.path(), &arguments, "");
            assert_snapshot!(format!("help-{}", command.replace(' ', "-")), ran.snapshot());
        }
    });
    assert_eq!(portcullis(folder.path(), &["chekc"], "").code, 2);
}

#[cfg(unix)]
#[test]
fn nobody_but_its_owner_reads_a_private_key() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    for algorithm in ["ES256", "HS256"] {
        let trial = Trial::new();
        trial.mint(&["--alg", algorithm]);
        let key = trial.folder.path().join(format!("test-key-{}", algorithm.to_ascii_lowercase()));
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        let ran = trial.run(&["mint", "--policy-out", ".", "--alg", algorithm], "");
        assert!(ran.code == 2 && ran.stderr.contains("its mode is 640"), "{ran:?}");
    }
    // What leads elsewhere is not written through.
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, folder.path().join("test-key-es256")).unwrap();
    let ran = portcullis(folder.path(), &["mint", "--policy-out", "."], "");
    assert!(ran.code == 2 && !elsewhere.exists(), "{ran:?}");
}
