//! The policy files in the README make the policies that it says they make.
use std::fs;

use portcullis::{Algorithm, Policy};
use portcullis_testkit::TestIssuer;
use tempfile::tempdir;

const README: &str = include_str!("../../../README.md");

/// The block of TOML in which `text` stands.
fn block(text: &str) -> String {
    let blocks = README.split("```toml\n").skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default().trim());
    blocks.find(|block| block.contains(text)).expect(text).to_owned()
}

#[test]
fn the_policy_of_the_file_accepts_the_tokens_of_its_issuer() {
    let folder = tempdir().expect("a folder");
    let issuer = TestIssuer::new("https://id.example").audience("https://orders.example");
    fs::write(folder.path().join("jwks.json"), issuer.jwks_of(&[Algorithm::ES256]))
        .expect("a file");
    let policy = Policy::from_toml_str(&block("jwks_file"), folder.path()).expect("a policy");
    assert!(policy.verify_token_now(issuer.token(Algorithm::ES256).mint()).is_ok());
    let long = issuer.token(Algorithm::ES256).expires_in(core::time::Duration::from_secs(16 * 60));
    let refused = policy.verify_token_now(long.mint()).expect_err("over 15 minutes");
    assert_eq!(refused.reason(), "lives_too_long");
}

#[test]
fn the_secrets_of_the_rotation_make_a_policy() {
    const SECRETS: [(&str, &str); 2] = [
        ("jwt-2026-11", "jxuT0GKnPO4FSPl9IbbEDppX42wQ2C-Eu05xqTb9whU"),
        ("jwt-2026-05", "4Kq9mVwZt1Rz7HcYb3LxNf8Dg5JsQu2Po6Ae0TiWnXk"),
    ];
    let folder = tempdir().expect("a folder");
    for (file, secret) in SECRETS {
        fs::write(folder.path().join(file), secret).expect("a file");
    }
    let policy = format!(
        "[[issuer]]\nid = \"https://id.example\"\naudiences = [\"https://orders.example\"]\n\
         algorithms = [\"HS256\"]\n{}",
        block("accept_until")
    );
    Policy::from_toml_str(&policy, folder.path()).expect("a policy");
}

#[test]
fn the_keys_of_the_readme_are_found_by_discovery() {
    let policy = format!(
        "[[issuer]]\nid = \"https://id.example\"\naudiences = [\"https://orders.example\"]\n\
         algorithms = [\"ES256\"]\n{}",
        block("discovery")
    );
    let policy = Policy::from_toml_str(&policy, "").expect("a policy");
    assert_eq!(policy.remote_keys().len(), 1);
}

/// Told twice, to those who read the README and to those who read the crate's docs.
#[test]
fn the_story_of_a_rotation_is_that_of_the_crate() {
    let story = include_str!("../../../crates/portcullis/src/keys/remote/rotation.md");
    assert!(README.contains(story));
}
