//! What holds of what a newcomer sees first: the README, the pages of the crates, the examples.
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref())
        .unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// What stands in a folder, in order.
fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn ends_with(path: &Path, end: &str) -> bool {
    path.extension().is_some_and(|it| it == end)
}

/// The folders of the crates that are published.
fn published() -> Vec<PathBuf> {
    let mut crates = entries(root().join("crates"));
    crates.retain(|folder| !read(folder.join("Cargo.toml")).contains("\npublish = false"));
    assert!(crates.len() >= 7, "{crates:?}");
    crates
}

#[test]
fn the_readme_is_8_kib_at_most() {
    let length = read(root().join("README.md")).len();
    assert!(length <= 8 * 1024, "{length} bytes: move something into the guide");
}

#[test]
fn every_published_crate_has_a_page_and_licences_of_its_own_and_stands_in_the_readme() {
    let readme = read(root().join("README.md"));
    for folder in published() {
        for file in ["README.md", "LICENSE-APACHE", "LICENSE-MIT"] {
            assert!(folder.join(file).exists(), "{}: {file}", folder.display());
        }
        let name = folder.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        assert!(readme.contains(&format!("[`{name}`](crates/{name})")), "{name}");
    }
}

/// Without one, nobody learns why a request was refused.
#[test]
fn every_example_has_a_subscriber() {
    let mut examples = entries(root().join("examples"));
    examples.retain(|path| path.is_dir());
    assert!(examples.len() >= 10, "{examples:?}");
    for folder in examples {
        let main = read(folder.join("src/main.rs"));
        assert!(main.contains("tracing_subscriber::"), "{}", folder.display());
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() {
            sources(&path, found);
        } else if ends_with(&path, "rs") {
            found.push(path);
        }
    }
}

/// The lines of Rust code that a reader sees of a page, with their numbers.
fn code<'t>(page: impl Iterator<Item = (usize, &'t str)>) -> Vec<(usize, &'t str)> {
    let mut found = Vec::new();
    // Inside of a fence: whether it is Rust.
    let mut fence = None;
    for (number, line) in page {
        match (line.strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(language), None) => {
                let first = language.split(',').next().unwrap_or_default();
                let is_rust =
                    ["", "rust", "no_run", "should_panic", "compile_fail"].contains(&first);
                fence = Some(is_rust);
            }
            // A `#` hides a line.
            (None, Some(true)) if line != "#" && !line.starts_with("# ") => {
                found.push((number, line));
            }
            _ => {}
        }
    }
    found
}

/// Pages of documentation on the web are not wider.
#[test]
fn code_on_pages_of_the_documentation_is_80_columns_wide_at_most() {
    let mut pages = entries(root().join("docs/guide"));
    pages.retain(|path| ends_with(path, "md"));
    let mut crates = Vec::new();
    for folder in published() {
        pages.push(folder.join("README.md"));
        sources(&folder.join("src"), &mut crates);
    }
    let (mut wide, mut seen) = (Vec::new(), 0);
    let mut look = |path: &Path, lines: Vec<(usize, &str)>| {
        seen += lines.len();
        // A `use` of one name cannot be broken.
        let is_wide = |line: &str| line.chars().count() > 80 && !line.starts_with("use ");
        let lines = lines.iter().filter(|(_, line)| is_wide(line));
        wide.extend(lines.map(|(number, line)| format!("{}:{number}: {line}", path.display())));
    };
    for path in &pages {
        look(path, code((1..).zip(read(path).lines())));
    }
    for path in &crates {
        let text = read(path);
        let docs = (1..).zip(text.lines()).filter_map(|(number, line)| {
            let line = line.trim_start();
            // The fence of an example that needs a feature.
            if line.starts_with("#![cfg_attr(") && line.ends_with("doc = \"```\")]") {
                return Some((number, "```"));
            }
            let text = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
            Some((number, text.strip_prefix(' ').unwrap_or(text)))
        });
        look(path, code(docs));
    }
    assert!(seen > 1000, "{seen} lines");
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}
