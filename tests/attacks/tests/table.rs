//! The table in the README of this crate names tests that are there.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../README.md");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The names in code of the last column, doctests that must not compile aside.
fn named() -> BTreeSet<&'static str> {
    let rows = TABLE.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let tests = rows.filter_map(|row| row.rsplit('|').next());
    let names = tests.flat_map(|tests| tests.split('`').skip(1).step_by(2));
    names
        .filter(|name| name.chars().all(is_of_name) && name.contains('_'))
        .filter(|name| *name != "compile_fail")
        .collect()
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Adds the names of all functions in the files of Rust in a folder.
fn add_functions(folder: &Path, functions: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type().expect("a kind").is_dir() {
            // What others wrote is in folders that begin so.
            if !name.starts_with('.') && name != "node_modules" && name != "target" {
                add_functions(&path, functions);
            }
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).expect("a file");
            let after = text.split("fn ").skip(1);
            let names = after.map(|rest| rest.chars().take_while(|it| is_of_name(*it)));
            functions.extend(names.map(String::from_iter));
        }
    }
}

#[test]
fn each_test_that_the_table_names_is_there() {
    let mut functions = BTreeSet::new();
    for folder in ["crates", "examples", "tests"] {
        add_functions(&Path::new(ROOT).join(folder), &mut functions);
    }
    let named = named();
    assert!(named.len() > 300, "the table is read: {}", named.len());
    let gone: Vec<_> = named.into_iter().filter(|name| !functions.contains(*name)).collect();
    assert!(gone.is_empty(), "{gone:#?}");
}
