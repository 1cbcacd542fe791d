//! The policy files in the guide make the policies that it says they make.
use std::fs;

use portcullis::{Algorithm, Policy};
use portcullis_testkit::TestIssuer;
use tempfile::tempdir;

const QUICK_START: &str = include_str!("../../../docs/guide/quick_start.md");
const KEYS: &str = include_str!("../../../docs/guide/keys.md");

/// The block of TOML on a page in which `text` stands.
fn block(page: &str, text: &str) -> String {
    let blocks = page.split("```toml\n").skip(1);
    let mut blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default().trim());
    blocks.find(|block| block.contains(text)).expect(text).to_owned()
}

#[test]
fn the_file_of_the_quick_start_accepts_the_tokens_of_its_issuer_by_their_lifetime() {
    let file = block(QUICK_START, "[[issuer]]");
    assert_eq!(Policy::from_toml_str(&file, "").expect("a policy").remote_keys().len(), 1);

    let folder = tempdir().expect("a folder");
    let issuer = TestIssuer::new("https://id.example/realms/orders").audience("orders-api");
    fs::write(folder.path().join("jwks.json"), issuer.jwks_of(&[Algorithm::RS256]))
        .expect("a file");
    let file = file.replace("{ discovery = true }", "{ jwks_file = \"jwks.json\" }");
    let policy = Policy::from_toml_str(&file, folder.path()).expect("a policy");
    let token = || issuer.token(Algorithm::RS256).claim("typ", "Bearer");
    assert!(policy.verify_token_now(token().mint()).is_ok());
    let long = token().expires_in(core::time::Duration::from_secs(16 * 60));
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
        block(KEYS, "accept_until")
    );
    Policy::from_toml_str(&policy, folder.path()).expect("a policy");
}
