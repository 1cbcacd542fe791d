//! What the command prints about itself.
mod common;

use portcullis::config::SCHEMA;

use self::common::{Ran, portcullis};

fn run(arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().expect("a folder");
    portcullis(folder.path(), arguments, "")
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = run(&["completions", shell]);
        assert_eq!(ran.code, 0, "{ran:?}");
        for word in ["decode", "explain", "compromised", "deny-warnings", "policy-out"] {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "cmd"]).code, 2);
}

#[test]
fn there_is_a_manual_page_of_each_command() {
    let page = run(&["man"]);
    assert!(page.code == 0 && page.stdout.contains(".TH portcullis 1"), "{page:?}");
    assert!(page.stdout.contains("Exit codes"), "{page:?}");
    let page = run(&["man", "explain"]);
    assert!(page.code == 0 && page.stdout.contains(".TH portcullis-explain 1"), "{page:?}");
    assert!(page.stdout.contains("\\-\\-policy"), "{page:?}");
    let page = run(&["man", "ring", "status"]);
    assert!(page.code == 0 && page.stdout.contains(".TH portcullis-ring-status 1"), "{page:?}");
    assert_eq!(run(&["man", "explian"]).code, 2);
    assert_eq!(run(&["man", "ring", "explain"]).code, 2);

    let folder = tempfile::tempdir().unwrap();
    let ran = portcullis(folder.path(), &["man", "--out", "man/man1"], "");
    assert!(ran.code == 0 && ran.stdout.is_empty(), "{ran:?}");
    for page in
        ["", "-check", "-decode", "-man", "-ring", "-ring-status", "-secret-rotate", "-session-end"]
    {
        let page = format!("portcullis{page}.1");
        assert!(folder.path().join("man/man1").join(&page).is_file(), "{page}");
    }
}

#[test]
fn the_schema_is_that_of_the_library() {
    let ran = run(&["schema"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, SCHEMA));
}
