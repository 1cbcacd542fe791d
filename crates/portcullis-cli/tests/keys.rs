//! Key sets over real sockets: what would be used, and what would not and why.
mod common;

use insta::assert_snapshot;
use portcullis_testkit::TestIssuer;
use portcullis_testkit::key_server::{Answer, KeyServer};
use serde_json::json;

use self::common::{Ran, portcullis, settings};

const ALGORITHMS: [portcullis::Algorithm; 2] =
    [portcullis::Algorithm::ES256, portcullis::Algorithm::EdDSA];

fn keys(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    portcullis(folder.path(), &[&["keys"], arguments].concat(), "")
}

#[test]
fn a_set_is_shown_as_it_would_be_used() {
    let server = KeyServer::start();
    let issuer = TestIssuer::new("https://id.example");
    let mut set: serde_json::Value = serde_json::from_str(&issuer.jwks_of(&ALGORITHMS)).unwrap();
    let entries = set["keys"].as_array_mut().unwrap();
    // The bytes of real keys differ from run to run in nothing that is shown.
    entries.push(
        json!({ "kty": "RSA", "kid": "for encryption", "use": "enc", "n": "AQ", "e": "AQAB" }),
    );
    entries.push(json!({ "kty": "oct", "kid": "a secret", "k": "c2VjcmV0LWluLXB1YmxpYw" }));
    entries.push(json!({ "kty": "EC", "crv": "secp256k1", "kid": "\u{1b}[31m\u{202e}" }));
    server.answer(
        KeyServer::JWKS_PATH,
        Answer::json(set.to_string()).header("cache-control", "max-age=86400"),
    );
    let url = server.url(KeyServer::JWKS_PATH);
    let shown = keys(&[&url]);
    assert!(!shown.all().contains(['\u{1b}', '\u{202e}']) && !shown.all().contains("c2VjcmV0"));
    settings().bind(|| {
        assert_snapshot!("set", shown.snapshot());
        assert_snapshot!("set-json", keys(&[&url, "--json"]).snapshot());
    });
}

#[test]
fn discovery_leads_to_the_set() {
    let server = KeyServer::start();
    let issuer = server.issuer(&ALGORITHMS);
    let ran = keys(&["--issuer", issuer.name()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("es256-1") && ran.stdout.contains("jwks.json"), "{ran:?}");
    server.serve_metadata(issuer.name(), "http://keys.example/jwks.json");
    assert_eq!(keys(&["--issuer", issuer.name()]).code, 1);
}

#[test]
fn a_set_is_fetched_through_the_proxy_that_was_named() {
    // A server that is asked for an address of another takes the path alone.
    let proxy = KeyServer::start();
    let issuer = TestIssuer::new("https://id.example");
    proxy.serve_keys("/jwks.json", &issuer, &ALGORITHMS);
    let through = |proxy: &str| {
        let set = "http://keys.invalid/jwks.json";
        keys(&[set, "--allow-http", "keys.invalid", "--proxy", proxy])
    };
    let ran = through(proxy.url("/").trim_end_matches('/'));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("es256-1"), "{ran:?}");
    assert_eq!(proxy.hits("/jwks.json"), 1);
    let ran = through("user:hunter2@");
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("--proxy") && !ran.all().contains("hunter2"), "{ran:?}");
}

#[test]
fn each_fault_of_a_key_server_has_its_code_and_reason() {
    let server = KeyServer::start();
    let url = server.url("/keys");
    for (answer, code, reason) in [
        (Answer::html(), 1, "JSON"),
        (Answer::empty_set(), 1, "there is no usable key"),
        (Answer::many_keys(101), 1, "101"),
        (Answer::redirect("https://id.example/keys"), 1, "redirect"),
        (Answer::status(404), 1, "404"),
        (Answer::gzip_bomb(), 1, "more than the 262144 bytes"),
        (Answer::status(500), 3, "500"),
        (Answer::too_many_requests("7"), 3, "429"),
        (Answer::closed(), 3, "127.0.0.1"),
        (Answer::garbage(), 3, "127.0.0.1"),
    ] {
        server.answer("/keys", answer);
        for json in [&["--json"][..], &[]] {
            let ran = keys(&[&[url.as_str()], json].concat());
            assert_eq!(ran.code, code, "{ran:?}");
            assert!(ran.stdout.contains(reason), "{reason}: {ran:?}");
        }
    }
    drop(server);
    assert_eq!(keys(&[&url]).code, 3);
}

#[test]
fn plain_http_is_for_loopback_or_a_host_that_is_named() {
    let ran = keys(&["http://keys.invalid/jwks.json?key=hunter2"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--allow-http") && !ran.all().contains("hunter2"), "{ran:?}");
    let ran = keys(&["http://keys.invalid/jwks.json", "--allow-http", "keys.invalid"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    let ran = keys(&["https://user:hunter2@keys.invalid/jwks.json"]);
    assert!(ran.code == 2 && !ran.all().contains("hunter2"), "{ran:?}");
}

#[test]
fn a_file_is_read_by_the_same_rules() {
    let folder = tempfile::tempdir().unwrap();
    let run = || portcullis(folder.path(), &["keys", "jwks.json"], "");
    assert_eq!(run().code, 2);
    std::fs::write(folder.path().join("jwks.json"), r#"{"keys":[]}"#).unwrap();
    assert_eq!(run().code, 1);
    let issuer = TestIssuer::new("https://id.example");
    std::fs::write(folder.path().join("jwks.json"), issuer.jwks_of(&ALGORITHMS)).unwrap();
    settings().bind(|| assert_snapshot!("file", run().snapshot()));
}

#[test]
fn a_key_without_an_id_is_shown_with_what_it_can_be_revoked_by() {
    // RFC 8037 §A.2 and §A.3, behind a byte order mark.
    let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jwks.json"), format!("\u{feff}{set}")).unwrap();
    let ran = portcullis(folder.path(), &["keys", "jwks.json"], "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"), "{ran:?}");
}
