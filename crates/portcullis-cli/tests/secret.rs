//! A shared secret takes the place of another, and no token is refused.
mod common;

use insta::assert_snapshot;
use portcullis::Algorithm;
use portcullis_testkit::{SigningKey, TestIssuer};
use serde_json::{Value, json};

use self::common::{NOW, Ran, portcullis, settings};

const OLD: &str = "Jq8vXw2nQ0cLrT5bYkZ1mHsD7uGfPe4aKx9iNoBTMrC3";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        folder.write("old", OLD);
        folder
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.path().join(file), text).expect("room");
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.path().join(file)).expect("text")
    }

    fn has(&self, file: &str) -> bool {
        self.0.path().join(file).exists()
    }

    fn rotate(&self, more: &[&str]) -> Ran {
        let arguments = ["secret", "rotate", "--old", "old", "--out", "new", "--at", NOW];
        portcullis(self.0.path(), &[&arguments, more].concat(), "")
    }
}

#[test]
fn both_sides_of_the_change_are_written_and_the_secret_is_not_shown() {
    let folder = Folder::new();
    let ran = folder.rotate(&["--old-id", "2026-11"]);
    assert!(!ran.all().contains(&folder.read("new")) && !ran.all().contains(OLD), "{ran:?}");
    settings().bind(|| assert_snapshot!("secret-rotate", ran.snapshot()));
    let folder = Folder::new();
    let ran = folder.rotate(&["--lifetime", "15m", "--within", "2h", "--json"]);
    assert!(!ran.all().contains(&folder.read("new")) && !ran.all().contains(OLD), "{ran:?}");
    settings().bind(|| assert_snapshot!("secret-rotate-json", ran.snapshot()));
}

/// The entries that were printed, in a policy of a service.
#[test]
fn tokens_of_both_pass_until_the_old_secret_is_over() {
    for (alg, algorithm) in [("HS256", Algorithm::HS256), ("HS384", Algorithm::HS384)] {
        let folder = Folder::new();
        folder.write("old", &OLD.repeat(2).replacen("Jq8v", "9zKd", 1));
        let ran = folder.rotate(&["--lifetime", "1h", "--within", "1h", "--alg", alg]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let (_, entries) = ran.stdout.split_once("# Below [[issuer]]").expect("entries");
        let (_, entries) = entries.split_once('\n').expect("entries");
        let head = |entries: &str| {
            format!(
                "[[issuer]]\nid = \"https://id.example\"\naudiences = [{:?}]\nalgorithms = [{alg:?}]\n{entries}\n[claims]\nmax_lifetime = \"1h\"\n",
                TestIssuer::AUDIENCE
            )
        };
        folder.write("policy.toml", &head(entries));
        let new = {
            use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
            BASE64_URL_SAFE_NO_PAD.decode(folder.read("new")).expect("base64url")
        };
        assert_eq!(new.len(), if alg == "HS256" { 32 } else { 48 });
        let new = SigningKey::from_secret(algorithm, new).with_id("2027-01-15");
        let old = SigningKey::from_secret(algorithm, folder.read("old"));
        // Two hours and 30 s from now on.
        let end = 1_800_007_230;
        let passes = |key: &SigningKey, has_id: bool, at: i64| {
            let issuer = TestIssuer::new("https://id.example").at(at);
            let token = issuer.token(Algorithm::HS256).signed_by(key);
            let token = if has_id { token } else { token.without_header("kid") };
            let at = at.to_string();
            let explain = ["explain", "--policy", "policy.toml", "--at", &at];
            let ran = portcullis(folder.0.path(), &explain, token.mint());
            assert!(ran.code < 2, "{ran:?}");
            ran.code == 0
        };
        assert!(passes(&old, false, 1_800_000_000) && passes(&new, true, 1_800_000_000));
        assert!(passes(&old, false, end - 1) && passes(&new, true, end - 1));
        assert!(!passes(&old, false, end) && passes(&new, true, end));
    }
}

#[test]
fn a_policy_in_json_takes_the_same_entries() {
    let folder = Folder::new();
    let ran = folder.rotate(&["--json"]);
    let told: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let policy = json!({
        "issuer": [{
            "id": "https://id.example",
            "audiences": [TestIssuer::AUDIENCE],
            "algorithms": ["HS256"],
            "keys": { "secrets": told["secrets"] },
        }],
    });
    folder.write("policy.json", &policy.to_string());
    let ran = portcullis(folder.0.path(), &["check", "policy.json"], "");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[cfg(unix)]
#[test]
fn nobody_but_its_owner_reads_the_new_secret() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    assert_eq!(folder.rotate(&[]).code, 0);
    let mode = std::fs::metadata(folder.0.path().join("new")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nothing else is left behind.
    assert_eq!(std::fs::read_dir(folder.0.path()).unwrap().count(), 2);
}

#[test]
fn what_is_there_stays() {
    let folder = Folder::new();
    folder.write("new", "mine");
    for more in [&[][..], &["--dry-run"]] {
        let ran = folder.rotate(more);
        assert!(ran.code == 2 && ran.remark().contains("is there already"), "{ran:?}");
        assert_eq!(folder.read("new"), "mine");
    }
}

#[test]
fn a_dry_run_says_what_would_be_and_writes_nothing() {
    let folder = Folder::new();
    let dry = folder.rotate(&["--dry-run"]);
    assert!(dry.code == 0 && dry.stdout.contains("dry run") && !folder.has("new"), "{dry:?}");
    let ran = folder.rotate(&[]);
    let entries = |ran: &Ran| ran.stdout.split_once("Do this").map(|(_, it)| it.to_owned());
    assert_eq!(entries(&dry), entries(&ran));
}

#[test]
fn an_old_secret_that_the_library_refuses_is_refused() {
    let folder = Folder::new();
    folder.write("published", "secret");
    folder.write("short", "Tz8Vw2nQ0cLrX5bYkJ1m");
    for (old, more, reason) in [
        ("published", &[][..], "published"),
        ("short", &[], "has 20 bytes, and HS256 needs 32"),
        ("old", &["--alg", "HS512"], "HS512 needs 64"),
        ("old", &["--old-encoding", "hex"], "not hexadecimal"),
        ("nowhere", &[], "cannot be read"),
        ("env:PORTCULLIS_NOT_SET", &[], "not set"),
        ("old", &["--old-id", "a", "--id", "a"], "another by --id"),
        ("old", &["--alg", "ES256"], "HS384"),
        ("old", &["--lifetime=-1h"], "--lifetime"),
    ] {
        let arguments = ["secret", "rotate", "--old", old, "--out", "new"];
        let ran = portcullis(folder.0.path(), &[&arguments, more].concat(), "");
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.remark().contains(reason), "{reason}: {ran:?}");
        assert!(!folder.has("new"), "{reason}");
    }
}
