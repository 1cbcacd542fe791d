//! Which room of the core imports which, as ARCHITECTURE.md draws it: no arrow runs back up.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Room by room, those that it imports: `crate::room` in code that is not a test.
type Arrows = BTreeMap<String, BTreeSet<String>>;

fn source() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
}

/// The folder or file directly under `src` that each file of it belongs to, with the file's code.
fn files(folder: &Path, room: Option<&str>, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_str().expect("UTF-8");
        let room = room.unwrap_or(name);
        if path.is_dir() {
            if name != "tests" {
                files(&path, Some(room), found);
            }
        } else if path.extension().is_some_and(|it| it == "rs") && name != "tests" {
            let text = fs::read_to_string(&path).expect("a file");
            found.push((room.to_owned(), code(&text)));
        }
    }
}

/// Without comments, and without the tests at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// The first names of the paths that begin with `crate`: `a` and `b` of `crate::{a, b::c}`.
fn names_in(code: &str) -> Vec<String> {
    let first = |text: &str| -> String {
        text.trim().chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
    };
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => {
                list.split('}').next().unwrap_or_default().split(',').map(first).collect()
            }
            None => vec![first(rest)],
        })
        .collect()
}

fn arrows() -> Arrows {
    let mut found = Vec::new();
    files(source(), None, &mut found);
    let rooms: BTreeSet<_> = found.iter().map(|(room, _)| room.clone()).collect();
    let mut arrows = Arrows::new();
    for (room, code) in found.iter().filter(|(room, _)| room != "lib") {
        // What macros write for others names the root.
        let names = names_in(&code.replace("$crate::", ""));
        for name in names.into_iter().filter(|name| name != room) {
            // The root has a name of each room for users: through it, nobody would see which room is meant.
            assert!(rooms.contains(&name), "{room} imports `crate::{name}`: name its room");
            arrows.entry(room.clone()).or_default().insert(name);
        }
    }
    arrows
}

/// Where one gets to from a room.
fn reach<'a>(arrows: &'a Arrows, from: &'a str) -> BTreeSet<&'a str> {
    let (mut reached, mut todo) = (BTreeSet::new(), vec![from]);
    while let Some(room) = todo.pop() {
        for next in arrows.get(room).into_iter().flatten() {
            if reached.insert(next.as_str()) {
                todo.push(next);
            }
        }
    }
    reached
}

#[test]
fn no_arrow_between_rooms_runs_back_up() {
    let arrows = arrows();
    assert!(arrows.len() > 30 && arrows["verify"].contains("verifier"), "{arrows:?}");
    let mut circles = BTreeSet::new();
    for room in arrows.keys() {
        let reached = reach(&arrows, room);
        if reached.contains(room.as_str()) {
            let circle: Vec<_> = reached
                .into_iter()
                .filter(|other| reach(&arrows, other).contains(room.as_str()))
                .collect();
            circles.insert(circle);
        }
    }
    assert!(circles.is_empty(), "{circles:?}");
}

/// A file of the core by the path of its module, `keys::remote::fetch`, with its code.
fn modules() -> BTreeMap<String, String> {
    fn walk(folder: &Path, module: &str, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_stem().expect("a name").to_str().expect("UTF-8");
            if name == "tests" {
                continue;
            }
            let own = match (module, name) {
                (_, "lib") => continue,
                (module, "mod") => module.to_owned(),
                ("", name) => name.to_owned(),
                (module, name) => format!("{module}::{name}"),
            };
            if path.is_dir() {
                walk(&path, &own, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                found.insert(own, code(&fs::read_to_string(&path).expect("a file")));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(source(), "", &mut found);
    found
}

/// The paths that code in `module` names, from the root: `crate::a::{b, c}`, `super::a`, and `self::a`.
fn paths(module: &str, code: &str) -> Vec<String> {
    let code = code.replace("$crate::", "");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        let start =
            code[..at].rfind(|char: char| !char.is_alphanumeric() && char != '_' && char != ':');
        let head = &code[start.map_or(0, |it| it + 1)..at];
        let base = match head {
            "crate" => String::new(),
            "self" => module.to_owned(),
            "super" => parent(module),
            "super::super" => parent(&parent(module)),
            _ => continue,
        };
        let rest = &code[at + 2..];
        let list = match rest.strip_prefix('{') {
            // Braces within braces: names at any depth are taken as if they stood at the first.
            Some(list) => list.split("};").next().unwrap_or_default().split(',').collect(),
            None => vec![rest],
        };
        for item in list {
            let end = item
                .trim()
                .find(|char: char| !char.is_alphanumeric() && char != '_' && char != ':');
            let item = item.trim();
            let item = item[..end.unwrap_or(item.len())].trim_end_matches(':');
            found.push(if base.is_empty() { item.to_owned() } else { format!("{base}::{item}") });
        }
    }
    found
}

/// What a folder's own file passes on, it does not use.
fn without_re_exports(code: &str) -> String {
    let is_one = |statement: &&str| {
        let statement = statement.trim_start();
        ["pub use ", "pub(crate) use ", "pub(super) use "]
            .iter()
            .any(|it| statement.starts_with(it))
    };
    code.split_inclusive(';').filter(|it| !is_one(it)).collect()
}

fn parent(module: &str) -> String {
    module.rsplit_once("::").map_or_else(String::new, |(parent, _)| parent.to_owned())
}

/// Which file a path leads to: that of the longest module in it, and where this passes the name on from a file
/// within, that file.
fn target(modules: &BTreeMap<String, String>, path: &str) -> Option<String> {
    let mut module = path;
    while !modules.contains_key(module) {
        module = module.rsplit_once("::")?.0;
    }
    let name = path[module.len()..].trim_start_matches("::").split("::").next().unwrap_or_default();
    let code = &modules[module];
    let passed_on = code.split("use self::").skip(1).find_map(|rest| {
        let (statement, _) = rest.split_once(';')?;
        let (within, names) = statement.split_once("::")?;
        let names = names.trim_matches(['{', '}', ' ', '\n']).split(',').map(str::trim);
        let file = format!("{module}::{within}");
        (!name.is_empty() && names.into_iter().any(|it| it == name) && modules.contains_key(&file))
            .then_some(file)
    });
    Some(passed_on.unwrap_or_else(|| module.to_owned()))
}

#[test]
fn few_files_import_each_other() {
    let modules = modules();
    let mut arrows = Arrows::new();
    for (module, code) in &modules {
        let targets = paths(module, &without_re_exports(code))
            .into_iter()
            .filter_map(|path| target(&modules, &path));
        let targets = targets.filter(|it| it != module);
        arrows.insert(module.clone(), targets.collect());
    }
    let largest = arrows.keys().map(|module| {
        let reached = reach(&arrows, module);
        let is_back = |other: &&str| reach(&arrows, other).contains(module.as_str());
        reached.iter().copied().filter(is_back).collect::<Vec<_>>()
    });
    let largest = largest.max_by_key(Vec::len).expect("files");
    assert!(largest.len() > 1, "no test of anything: two files are known to import each other");
    // Those of `revocation`: a handle, its list and its options make one thing.
    assert!(largest.len() <= 7, "{largest:#?}");
}

#[test]
fn the_root_has_some_forty_names() {
    let list =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).expect("lib.rs");
    let (_, inlined) = list.split_once("pub use crate::{\n").expect("the list of names");
    let (inlined, _) = inlined.split_once("\n};").expect("its end");
    let names = inlined.split([',', '{']).filter(|it| it.chars().any(char::is_uppercase)).count();
    assert!((30..=42).contains(&names), "{names}");
}
