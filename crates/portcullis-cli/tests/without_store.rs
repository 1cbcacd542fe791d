//! What is said where the command was built without its feature `store`.
#![cfg(not(feature = "store"))]

mod common;

use self::common::portcullis;

#[test]
fn sessions_need_the_feature_and_the_command_says_how_to_get_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = ["--store", "sqlite:app.db", "--issuer", "https://id.example"];
    let commands: [&[&str]; 3] =
        [&["list", "--subject", "alice"], &["explain", "x"], &["end", "--all", "--yes"]];
    for command in commands {
        let ran = portcullis(folder.path(), &[&["session"], command, &of].concat(), "");
        assert!(ran.code == 2 && ran.remark().contains("--features store"), "{ran:?}");
    }
}
