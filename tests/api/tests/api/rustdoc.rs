use core::fmt;
use std::collections::{BTreeMap, HashSet};
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::thread;

use public_api::{PublicApi, PublicItem};
use serde::Deserialize;

/// Says whether a format that is not read fails the tests (`required`), and whether the lists are
/// written anew (`write`). Not set: such tests are left out.
const SETTING: &str = "PORTCULLIS_API";

/// A version of Rust that writes a format which `public_api` reads.
const READABLE: &str = "1.95";

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The public APIs of the library crates under `crates/`, with every feature.
#[derive(Debug)]
pub(crate) struct Apis(BTreeMap<String, String>);

impl Apis {
    /// The APIs. Where rustdoc of the installed compiler writes a format that is not read, says on stderr
    /// that the test is left out; where the APIs are required, it fails.
    pub(crate) fn or_leave_out() -> Option<&'static Self> {
        // For all tests of the process.
        static APIS: LazyLock<Result<Apis, Unreadable>> = LazyLock::new(Apis::read);
        let unreadable = match &*APIS {
            Ok(apis) => return Some(apis),
            Err(unreadable) => unreadable,
        };
        let thread = thread::current();
        // Where tests run one after the other, it is the main thread.
        let test = thread.name().filter(|name| *name != "main").unwrap_or("a test");
        let message = leave_out(test, unreadable, env::var_os(SETTING).as_deref());
        // `eprintln!` would be captured, and a test that is left out passes: nobody would see it.
        let _ = writeln!(io::stderr(), "{}", message.unwrap_or_else(|message| panic!("{message}")));
        None
    }

    /// By the names of crates: an item on each line, without what every type has (auto traits and
    /// blanket implementations).
    pub(crate) fn lists(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    fn read() -> Result<Self, Unreadable> {
        let crates = library_crates();
        let folder = document(&crates);
        let list = |name: String| {
            let file = folder.join(name.replace('-', "_")).with_extension("json");
            Ok((name, list(&file)?))
        };
        crates.into_iter().map(list).collect::<Result<_, _>>().map(Self)
    }
}

/// Whether the lists are written anew instead of being compared.
pub(crate) fn lists_are_written() -> bool {
    env::var_os(SETTING).is_some_and(|setting| setting == "write")
}

fn library_crates() -> Vec<String> {
    let folders = fs::read_dir(Path::new(ROOT).join("crates")).expect("a folder");
    let folders = folders.map(|entry| entry.expect("an entry"));
    let libraries = folders.filter(|folder| folder.path().join("src/lib.rs").is_file());
    libraries.map(|folder| folder.file_name().into_string().expect("UTF-8")).collect()
}

/// Has rustdoc describe these crates as JSON, and returns the folder with the files.
fn document(crates: &[String]) -> PathBuf {
    // A folder of its own: build scripts look at `RUSTC_BOOTSTRAP`, so that this and all else that is
    // built would undo each other.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("api");
    // All at once, so that they share what they depend on.
    let output = Command::new(env!("CARGO"))
        .args(["doc", "--locked", "--no-deps", "--lib", "--all-features", "--target-dir"])
        .arg(&target)
        .args(crates.iter().flat_map(|name| ["--package", name]))
        .current_dir(ROOT)
        // Only nightly compilers have this without being told so.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTDOCFLAGS", "-Zunstable-options --output-format=json --cap-lints=allow")
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("doc")
}

fn list(json: &Path) -> Result<String, Unreadable> {
    let api = public_api::Builder::from_rustdoc_json(json);
    match api.omit_auto_trait_impls(true).omit_blanket_impls(true).build() {
        Ok(api) => Ok(telling(&api)),
        Err(public_api::Error::SerdeJsonError(_)) => {
            let json = fs::read(json).expect("a file");
            Err(serde_json::from_slice(&json).expect("JSON of rustdoc"))
        }
        Err(error) => panic!("{}: {error}", json.display()),
    }
}

/// Each path of an item, and once what belongs to it; but nothing that another line tells already: that
/// a type implements a trait tells which functions it has by it, though not its associated types.
fn telling(api: &PublicApi) -> String {
    let items: Vec<_> = api.items().map(|item| (item, item.to_string())).collect();
    let ids = |is_meant: fn(&str) -> bool| -> HashSet<_> {
        items.iter().filter(|(_, text)| is_meant(text)).map(|(item, _)| item.id()).collect()
    };
    let modules = ids(|text| text.starts_with("pub mod "));
    let implementations = ids(|text| text.starts_with("impl") && text.contains(" for "));
    let stands_in = |item: &PublicItem, parents: &HashSet<_>| {
        item.parent_id().is_some_and(|parent| parents.contains(&parent))
    };
    let mut seen = HashSet::new();
    let mut list = String::new();
    for (item, text) in &items {
        let is_new = seen.insert(item.id()) || stands_in(item, &modules);
        let is_told = stands_in(item, &implementations)
            && !text.starts_with("pub type ")
            && !text.starts_with("pub const ");
        // What macros write for themselves.
        let is_internal =
            text.contains("::__private::") || text.contains("core::marker::StructuralPartialEq");
        if is_new && !is_told && !is_internal {
            list.push_str(text);
            list.push('\n');
        }
    }
    list
}

/// A format of rustdoc's JSON that `public_api` does not read.
#[derive(Debug, Deserialize, Eq, PartialEq)]
struct Unreadable {
    format_version: u32,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "rustdoc of this compiler writes its JSON in the format {}, which public-api does not \
             read; that of Rust {READABLE} writes one that it reads",
            self.format_version
        )
    }
}

/// What to say of a test that is left out, or of one that must not be.
fn leave_out(
    test: &str,
    unreadable: &Unreadable,
    setting: Option<&OsStr>,
) -> Result<String, String> {
    match setting.map(OsStr::as_encoded_bytes) {
        None | Some(b"") => Ok(format!("left out: {test}: {unreadable}")),
        Some(b"required" | b"write") => Err(format!("{unreadable} ({SETTING} is set)")),
        Some(_) => Err(format!("{SETTING} can only be `required` or `write`")),
    }
}

#[test]
fn a_format_that_is_not_read_is_named() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("format-9999.json");
    fs::write(&json, r#"{"root": {"0": 0}, "format_version": 9999}"#).expect("a file");
    assert_eq!(list(&json), Err(Unreadable { format_version: 9999 }));
}

#[test]
fn a_test_is_left_out_only_where_the_lists_are_not_required() {
    let unreadable = Unreadable { format_version: 9999 };
    for setting in [None, Some(OsStr::new(""))] {
        let message = leave_out("it_compares", &unreadable, setting).expect("a message");
        assert!(message.starts_with("left out: it_compares: "), "{message}");
        assert!(message.contains("the format 9999") && message.contains("Rust 1.95"), "{message}");
    }
    for setting in ["required", "write", "optional"] {
        assert!(leave_out("it_compares", &unreadable, Some(OsStr::new(setting))).is_err());
    }
}
