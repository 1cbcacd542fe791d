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
