//! What holds of every page of the guide: its links lead somewhere, its pictures are embedded, it says where to go next.
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide");
const EMBEDDED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/portcullis/src/guide/pictures.md");
const LINKS: &str = include_str!("../../../crates/portcullis/src/guide/links.md");

/// The names of the files in a folder that end so, in order.
fn names(folder: &str, end: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|it| it.expect("an entry").file_name().into_string().expect("UTF-8"));
    names.filter(|name| name.ends_with(end)).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(GUIDE).join(name)).expect("a file of the guide")
}

/// The pages of the guide, the table of contents included.
fn pages() -> Vec<(String, String)> {
    names(GUIDE, ".md").into_iter().map(|name| (name.clone(), read(&name))).collect()
}

/// A page without its code.
fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect()
}

/// `[label]: target` at the beginning of a line.
fn definitions(page: &str) -> Vec<(&str, &str)> {
    let lines = page.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    lines.filter(|(label, _)| !label.contains(']')).collect()
}

/// The labels that links of a page go by: `label` in `[text][label]`.
fn labels(page: &str) -> BTreeSet<String> {
    let ends = prose(page);
    let labels = ends.split("][").skip(1).map(|rest| rest.split(']').next().unwrap_or_default());
    labels.map(str::to_owned).collect()
}

/// The anchors of a page's headings, as forges and rustdoc make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let page = prose(page);
    let titles = page.lines().filter_map(|line| line.strip_prefix('#'));
    let anchor = |title: &str| {
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|it| it.is_alphanumeric() || " -_".contains(*it));
        kept.map(|it| if it == ' ' { '-' } else { it }).collect()
    };
    titles.map(anchor).collect()
}

/// What is compiled: a page is a doctest of this crate, or stands in files of their own.
const DOCTESTS: &str = include_str!("../src/lib.rs");
const IN_FILES: &str = "testing.md";

#[test]
fn the_code_of_each_page_is_compiled() {
    for (name, page) in pages() {
        let is_doctest = DOCTESTS.contains(&format!("docs/guide/{name}\")"));
        let has_code = page.contains("\n```rust");
        assert!(is_doctest || !has_code || name == IN_FILES, "{name} is no doctest of this crate");
    }
}

/// A picture as a definition whose address has the picture in it.
fn embedded(name: &str) -> String {
    let svg = read(&format!("pictures/{name}"));
    let line = svg.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let mut text = format!("[pictures/{name}]: data:image/svg+xml,");
    for byte in line.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:/;=,".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text + "\n"
}

#[test]
fn the_embedded_pictures_are_those_of_the_guide() {
    let pictures = names(&format!("{GUIDE}/pictures"), ".svg");
    let text: String = pictures.iter().map(|name| embedded(name)).collect();
    if std::env::var_os("PORTCULLIS_PICTURES").is_some_and(|it| it == "write") {
        fs::write(EMBEDDED, &text).expect("a file that can be written");
    }
    let written = fs::read_to_string(EMBEDDED).unwrap_or_default();
    assert!(written == text, "a picture has changed: `make pictures` embeds it again");
}

#[test]
fn every_picture_says_in_words_what_it_shows_and_asks_no_network() {
    for name in names(&format!("{GUIDE}/pictures"), ".svg") {
        let svg = read(&format!("pictures/{name}"));
        for part in ["role=\"img\"", "<title", "<desc", "prefers-color-scheme: dark"] {
            assert!(svg.contains(part), "{name}: {part}");
        }
        let addresses = svg.matches("://").count();
        assert_eq!(addresses, 1, "{name}: only the name of the format is an address");
    }
}

#[test]
fn every_link_to_a_page_or_picture_leads_there_on_a_forge_and_in_rustdoc() {
    let embedded = fs::read_to_string(EMBEDDED).unwrap_or_default();
    let in_rustdoc: BTreeSet<_> =
        definitions(LINKS).into_iter().chain(definitions(&embedded)).collect();
    let mut used = BTreeSet::new();
    for (name, page) in pages() {
        let on_a_forge = definitions(&page);
        let defined: BTreeSet<_> =
            on_a_forge.iter().map(|(label, _)| (*label).to_owned()).collect();
        assert_eq!(labels(&page), defined, "{name}: a link without its definition, or the reverse");
        for (label, target) in on_a_forge {
            assert_eq!(label, target, "{name}");
            let (file, anchor) = label.split_once('#').unwrap_or((label, ""));
            assert!(Path::new(GUIDE).join(file).exists(), "{name}: {label}");
            assert!(anchor.is_empty() || anchors(&read(file)).contains(anchor), "{name}: {label}");
            used.insert(label.to_owned());
        }
    }
    let labels: BTreeSet<_> = in_rustdoc.iter().map(|(label, _)| (*label).to_owned()).collect();
    assert_eq!(labels, used, "links.md has what pages link to");
    for (label, target) in definitions(LINKS) {
        assert_eq!(format!("crate::guide::{}", label.replacen(".md", "", 1)), target);
    }
}

#[test]
fn every_page_begins_with_what_the_reader_wants_and_ends_with_where_to_go_next() {
    for (name, page) in pages().into_iter().filter(|(name, _)| name != "README.md") {
        let first = page.split("\n\n").next().unwrap_or_default();
        assert!(first.starts_with("You ") && first.contains("want"), "{name}: {first}");
        let (_, next) = page.rsplit_once("\n## ").expect("a heading");
        assert!(next.starts_with("Next\n") && next.contains("\n- ["), "{name}: {next}");
        assert!(labels(&read("README.md")).contains(&name), "{name} is not in the contents");
    }
}
