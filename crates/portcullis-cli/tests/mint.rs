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
fn a_bound_token_and_its_proof_are_accepted_by_its_policy_for_that_request_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &str| portcullis(folder.path(), arguments, input);
    let url = "https://api.example/orders/7?x=1";
    let mint =
        ["mint", "--policy-out", ".", "--at", NOW, "--dpop", "--method", "POST", "--url", url];
    let minted = run(&mint, "");
    assert_eq!(minted.code, 0, "{minted:?}");
    let curl = minted.stdout.trim_end();
    assert!(curl.starts_with("curl -X 'POST' -H 'Authorization: DPoP ey"), "{curl}");
    assert!(curl.ends_with(&format!(" '{url}'")) && curl.lines().count() == 1, "{curl}");
    let explain = ["explain", "--policy", "policy.toml", "--at", NOW];
    let ran = run(&explain, curl);
    assert!(ran.code == 0 && ran.stdout.starts_with("accepted, if"), "{ran:?}");
    for (more, code) in [
        (&["--method", "GET"][..], 1),
        (&["--url", "https://api.example/orders/8"], 1),
        (&["--url", "/orders/7"], 0),
    ] {
        let ran = run(&[&explain[..], more].concat(), curl);
        assert_eq!(ran.code, code, "{more:?}: {ran:?}");
    }
    // The next one is of the same key, and another proof.
    let again = run(&mint, "").stdout;
    assert_ne!(again.trim_end(), curl);
    assert_eq!(run(&explain, &again).code, 0);
    let value: Value =
        serde_json::from_str(&run(&[&mint[..], &["--json"]].concat(), "").stdout).unwrap();
    let curl = value["curl"].as_str().expect("a command");
    for part in ["token", "proof"] {
        assert!(curl.contains(value[part].as_str().expect("a token")), "{part}");
    }
    let nonce = run(&[&mint[..], &["--nonce", "abc-1", "--json"]].concat(), "");
    let value: Value = serde_json::from_str(&nonce.stdout).unwrap();
    let decoded = run(&["decode", "--json"], value["proof"].as_str().expect("a proof"));
    assert!(decoded.stdout.contains("abc-1"), "{decoded:?}");
}

#[test]
fn a_policy_that_was_there_and_takes_no_proofs_is_not_said_to_accept_a_bound_token() {
    let folder = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let ran = portcullis(folder.path(), &[&["mint", "--policy-out", "."], more].concat(), "");
        // As one line, whatever the width.
        ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let bound = ["--dpop", "--url", "https://api.example/orders"];
    assert!(run(&[]).ends_with("The policy that accepts it: ./policy.toml"), "{}", run(&[]));
    let told = run(&bound);
    assert!(
        told.contains("has no table `[dpop]`, and refuses the token")
            && told.ends_with("Add to it: [dpop] base_urls = [\"https://api.example\"]"),
        "{told}"
    );
    let der = folder.path().join("own.der");
    std::fs::write(&der, [0x30, 0]).unwrap();
    let certificate = ["--client-certificate", der.to_str().unwrap()];
    let told = run(&certificate);
    assert!(
        told.contains("has no table `[mtls]`, and refuses the token")
            && told.ends_with("Add to it: [mtls] certificate = \"tls\""),
        "{told}"
    );
    let told = run(&[&bound[..], &certificate].concat());
    assert!(told.contains("has no table `[dpop]` and no table `[mtls]`"), "{told}");
    let policy = folder.path().join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, format!("{text}\n[dpop]\nbase_urls = [\"https://api.example\"]"))
        .unwrap();
    assert!(run(&bound).ends_with("The policy that accepts it: ./policy.toml"));
}

#[test]
fn a_policy_that_was_there_and_refuses_the_token_is_not_said_to_accept_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = |more: &[&str]| {
        let mint = ["mint", "--policy-out", ".", "--at", NOW];
        let ran = portcullis(folder.path(), &[&mint[..], more].concat(), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let accepts = "The policy that accepts it: ./policy.toml";
    assert!(run(&["--alg", "ML-DSA-65"]).ends_with(accepts));
    for (more, says) in [
        (
            &[][..],
            "the token is signed with ES256, and the policy trusts the issuer with ML-DSA-65",
        ),
        (&["--alg", "ML-DSA-65", "--issuer", "https://other.example"], "`iss`"),
        (&["--alg", "ML-DSA-65", "--audience", "https://other.example"], "`aud`"),
        (&["--alg", "ML-DSA-65", "--expires-in", "2h"], "lives"),
    ] {
        let told = run(more);
        assert!(told.contains("The policy ./policy.toml refuses it: "), "{told}");
        assert!(told.contains(says), "{told}");
        assert!(told.ends_with("Change the policy, or give another folder"), "{told}");
    }
    assert!(run(&["--alg", "ML-DSA-65"]).ends_with(accepts));
    // As it was asked for.
    let told = run(&["--alg", "ML-DSA-65", "--expires-in=-5m"]);
    assert!(told.contains("refuses it: the token expired"), "{told}");
}

#[test]
fn a_token_is_bound_to_a_certificate_and_the_request_shows_it_as_the_policy_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &str| portcullis(folder.path(), arguments, input);
    std::fs::write(folder.path().join("own.der"), [0x30, 3, 1, 2, 3]).unwrap();
    let mint = ["mint", "--policy-out", ".", "--at", NOW, "--client-certificate", "own.der"];
    let token = run(&mint, "");
    assert!(token.code == 0 && token.stdout.starts_with("ey"), "{token:?}");
    let explain = ["explain", "--policy", "policy.toml", "--at", NOW];
    let ran = run(&[&explain[..], &["--client-certificate", "own.der"]].concat(), &token.stdout);
    assert_eq!(ran.code, 0, "{ran:?}");
    let decoded = run(&["decode", "--json"], &token.stdout);
    let value: Value = serde_json::from_str(&decoded.stdout).unwrap();
    // SHA-256 of the five bytes.
    let expected = serde_json::json!({ "x5t#S256": THUMBPRINT });
    assert_eq!(value.pointer("/claims/cnf"), Some(&expected), "{value}");

    let with_url = [&mint[..], &["--url", "https://api.example/orders"]].concat();
    let curl = run(&with_url, "").stdout;
    assert!(
        curl.starts_with("curl -H 'Authorization: Bearer ey")
            && curl
                .ends_with("' --cert CERTIFICATE.pem --key KEY.pem 'https://api.example/orders'\n"),
        "{curl}"
    );
    let policy = folder.path().join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    assert!(text.ends_with("\n[mtls]\ncertificate = \"tls\"\n"), "{text}");
    for (source, header) in [
        ("'client_cert'", "client-cert: :MAMBAgM=:"),
        ("'base64_der'\nheader = 'X-Cert'", "x-cert: MAMBAgM="),
        ("'xfcc'", "x-forwarded-client-cert: Hash="),
        ("'aws_alb_verify'", "x-amzn-mtls-clientcert-leaf: %2D%2D%2D%2D%2DBEGIN%20CERTIFICATE"),
        ("'aws_alb_passthrough'", "x-amzn-mtls-clientcert: %2D%2D%2D%2D%2DBEGIN%20CERTIFICATE"),
        ("'hex_sha256'\nheader = 'x-a'", "x-a: "),
    ] {
        let table = format!("certificate = {source}\ntrusted_proxies = ['10.0.0.7']");
        std::fs::write(&policy, text.replace("certificate = \"tls\"", &table)).unwrap();
        let curl = run(&with_url, "").stdout;
        assert!(curl.contains(&format!("' -H '{header}")), "{curl}");
        let ran = run(&[&explain[..], &["--peer", "10.0.0.7"]].concat(), &curl);
        assert_eq!(ran.code, 0, "{source}: {ran:?}");
    }
    let ran = run(&["mint", "--client-certificate", "policy.toml"], "");
    assert!(ran.code == 2 && ran.stderr.contains("not a certificate"), "{ran:?}");
}

/// Of `30 03 01 02 03`, by `openssl dgst -sha256 -binary | basenc --base64url`.
const THUMBPRINT: &str = "P25swlFhE42QZ_-tnp6q9Xu7gvujz4PE7DfvqWzzGLo";

#[test]
fn a_key_that_a_token_is_bound_to_is_made_once_and_kept_private() {
    let folder = tempfile::tempdir().unwrap();
    let url = ["--dpop", "--url", "https://api.example/"];
    let with_key = [&["mint", "--json", "--dpop-key", "client.key"][..], &url].concat();
    let thumbprint = || {
        let ran = portcullis(folder.path(), &with_key, "");
        let value: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
        let token = value["token"].as_str().expect("a token").to_owned();
        let decoded = portcullis(folder.path(), &["decode", "--json"], token);
        let value: Value = serde_json::from_str(&decoded.stdout).unwrap();
        value.pointer("/claims/cnf/jkt").unwrap_or_else(|| panic!("{value}")).clone()
    };
    assert_eq!(thumbprint(), thumbprint());
    assert!(folder.path().join("client.key").exists());
    for (arguments, says) in [
        (&["mint", "--dpop"][..], "--url"),
        (&["mint", "--url", "https://a.example"], "--dpop"),
        (&["mint", "--dpop", "--url", "api.example/x"], "https://api.example"),
        (&["mint", "--dpop", "--url", "https://a.example/'; rm x"], "https://api.example"),
        (&["mint", "--dpop", "--url", "https://a.example", "--method", "GE T"], "POST"),
        (&["mint", "--dpop", "--url", "https://a.example", "--nonce", "a b"], "DPoP-Nonce"),
    ] {
        let ran = portcullis(folder.path(), arguments, "");
        assert!(ran.code == 2 && ran.stderr.contains(says), "{arguments:?}: {ran:?}");
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
