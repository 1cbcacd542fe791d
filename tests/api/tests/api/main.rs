//! What the published library crates offer, held to the lists in `docs/api`; and the other crates
//! whose types the core's signatures name.
//!
//! Both are read from the JSON that rustdoc writes. Its format is not stable, so that a compiler newer
//! than `public_api` may write one that it does not read: see [`rustdoc::Apis::or_leave_out`].
mod rustdoc;

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::rustdoc::Apis;

/// Crates whose names may stand in public signatures of the core, each with the reason. A crate below
/// 1.0 may break with any release, and then so would we.
const NAMED_BY_THE_CORE: [(&str, &str); 11] = [
    ("alloc", "the language's own"),
    ("bytes", "1.0; bodies of `http-body` are made of them"),
    ("core", "the language's own"),
    ("http", "1.0; what tower services take and give"),
    ("http_body", "1.0; what the response's body is to those that send it"),
    (
        "rustls",
        "0.23; behind the feature of its name alone: whose configuration and verifier they are",
    ),
    ("serde_core", "1.0; where the traits of `serde` stand"),
    ("serde_json", "1.0; claims that are JSON"),
    ("std", "the language's own"),
    ("tower_layer", "0.3; the trait that makes a layer one, as every tower stack has it"),
    ("tower_service", "0.3; the trait that makes a service one, as every tower stack has it"),
];

#[test]
fn every_library_crate_offers_what_its_list_says() {
    let Some(apis) = Apis::or_leave_out() else { return };
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api"));
    let lists = apis.lists();
    if rustdoc::lists_are_written() {
        for (name, api) in lists {
            fs::write(folder.join(format!("{name}.txt")), api).expect("the list is written");
        }
        return;
    }
    let mut differences = String::new();
    for (name, api) in lists {
        let list = fs::read_to_string(folder.join(format!("{name}.txt"))).unwrap_or_default();
        let difference = difference(&list, api);
        if !difference.is_empty() {
            let _ = write!(differences, "\ndocs/api/{name}.txt\n{difference}");
        }
    }
    assert!(
        differences.is_empty(),
        "public APIs changed ('-' is in the list only, '+' in the code only):\n{differences}\n\
         If that is meant, `make api` writes the lists anew; the change is reviewed with them."
    );
}

#[test]
fn signatures_of_the_core_name_no_crate_that_is_not_listed() {
    let Some(apis) = Apis::or_leave_out() else { return };
    let mut named = BTreeMap::<&str, Vec<&str>>::new();
    for item in apis.lists()["portcullis"].lines() {
        for name in crates_in(item).into_iter().filter(|name| *name != "portcullis") {
            named.entry(name).or_default().push(item);
        }
    }
    let listed: BTreeSet<_> = NAMED_BY_THE_CORE.iter().map(|(name, _)| *name).collect();
    let unlisted: BTreeMap<_, _> =
        named.iter().filter(|(name, _)| !listed.contains(*name)).collect();
    assert!(unlisted.is_empty(), "the core's signatures name other crates: {unlisted:#?}");
    assert_eq!(named.into_keys().collect::<BTreeSet<_>>(), listed, "a crate is listed in vain");
}

/// The lines that only one of them has. An item stands on one line, with its whole path.
fn difference(list: &str, api: &str) -> String {
    let [list, api] = [list, api].map(|text| text.lines().collect::<BTreeSet<_>>());
    let removed = list.difference(&api).map(|line| (*line, '-'));
    let mut lines: Vec<_> = removed.chain(api.difference(&list).map(|line| (*line, '+'))).collect();
    lines.sort_unstable();
    lines.iter().fold(String::new(), |text, (line, sign)| text + &format!("{sign} {line}\n"))
}

/// The first names of the paths in an item: all paths are whole.
fn crates_in(item: &str) -> BTreeSet<&str> {
    item.split(|char: char| !char.is_alphanumeric() && !matches!(char, '_' | ':'))
        .filter_map(|path| path.split_once("::"))
        .map(|(first, _)| first)
        // Not `Self::Error`, `T::Item` or what follows `<T as Trait>`.
        .filter(|first| first.starts_with(|char: char| char.is_lowercase()))
        .collect()
}

#[test]
fn a_difference_shows_what_went_and_what_came() {
    assert_eq!(difference("a\nb\n", "a\nb\n"), "");
    assert_eq!(
        difference("fn a()\nfn b()\n", "fn a(u8)\nfn b()\nfn c()\n"),
        "- fn a()\n+ fn a(u8)\n+ fn c()\n"
    );
}

#[test]
fn crates_are_found_wherever_a_type_can_stand() {
    let item = "pub fn portcullis::X<S>::f<T: http::Y>(&self, &[a::B], Self::C) -> \
                core::result::Result<<T as d::E>::F, impl g::H<I = T::J> + 'static>";
    let crates = ["a", "core", "d", "g", "http", "portcullis"];
    assert_eq!(crates_in(item), BTreeSet::from(crates));
}
