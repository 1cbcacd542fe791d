//! TOML and JSON with the line of each place.
use core::fmt;
use std::collections::HashMap;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{ConfigFault, ConfigProblem};
use super::node::{Node, below};

/// In which line of a text each place is.
#[derive(Clone, Default)]
pub(super) struct Lines(HashMap<String, usize>);

impl Lines {
    /// The line of a place, or else of what should have held it.
    pub(super) fn of(&self, mut place: &str) -> Option<usize> {
        loop {
            if let Some(line) = self.0.get(place) {
                return Some(*line);
            }
            place = &place[..place.rfind(['.', '['])?];
        }
    }
}

/// Reads TOML.
///
/// Not through serde, which would stop at the first fault and forget the lines.
pub(super) fn from_toml(text: &str) -> Result<(Node, Lines), Vec<ConfigFault>> {
    let starts = starts_of_lines(text);
    let line_of = |at: usize| starts.partition_point(|start| *start <= at);
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut faults = Vec::<ConfigFault>::new();
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        let line = line_of(at);
        // Of several in a line, the others mostly follow from the first.
        if faults.last().is_none_or(|last| last.line != Some(line)) {
            let start = starts.get(line - 1).copied().unwrap_or(0);
            let column = text.get(start..at).map_or(0, |before| before.chars().count()) + 1;
            let message = error.message().to_owned();
            faults.push(ConfigFault {
                place: String::new(),
                line: Some(line),
                problem: ConfigProblem::Syntax { format: "TOML", column, message },
            });
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut lines = Lines::default();
    let node = table(root.get_ref(), "", &line_of, &mut lines);
    Ok((node, lines))
}

/// Where each line begins.
fn starts_of_lines(text: &str) -> Vec<usize> {
    core::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn table(
    table: &DeTable<'_>,
    place: &str,
    line_of: &dyn Fn(usize) -> usize,
    lines: &mut Lines,
) -> Node {
    let entries = table.iter().map(|(key, node)| {
        let place = below(place, key.get_ref());
        lines.0.insert(place.clone(), line_of(key.span().start));
        (key.get_ref().clone().into_owned(), value(node, &place, line_of, lines))
    });
    Node::Table(entries.collect())
}

fn value(
    node: &Spanned<DeValue<'_>>,
    place: &str,
    line_of: &dyn Fn(usize) -> usize,
    lines: &mut Lines,
) -> Node {
    match node.get_ref() {
        DeValue::String(text) => Node::String(text.clone().into_owned()),
        DeValue::Integer(number) => Node::Integer(
            i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX),
        ),
        DeValue::Float(_) => Node::Float,
        DeValue::Boolean(value) => Node::Bool(*value),
        DeValue::Datetime(time) => Node::Datetime(time.to_string()),
        DeValue::Table(entries) => table(entries, place, line_of, lines),
        DeValue::Array(items) => {
            let items = items.iter().enumerate().map(|(index, item)| {
                let place = format!("{place}[{index}]");
                lines.0.insert(place.clone(), line_of(item.span().start));
                value(item, &place, line_of, lines)
            });
            Node::Array(items.collect())
        }
    }
}

/// Reads JSON.
pub(super) fn from_json(text: &str) -> Result<(Node, Lines), Vec<ConfigFault>> {
    let root = serde_json::from_str(text).map_err(|error| vec![json_fault(text, &error)])?;
    let mut places = JsonPlaces { text, starts: starts_of_lines(text), lines: Lines::default() };
    places.note_within(text, "");
    Ok((root, places.lines))
}

fn json_fault(text: &str, error: &serde_json::Error) -> ConfigFault {
    let line = text.split('\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    // It counts bytes.
    let before = line.get(..error.column()).unwrap_or(line);
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = error.to_string().replace(&place, "");
    ConfigFault {
        place: String::new(),
        line: Some(error.line()),
        problem: ConfigProblem::Syntax { format: "JSON", column: before.chars().count(), message },
    }
}

/// Notes the lines of what a JSON text holds.
struct JsonPlaces<'a> {
    text: &'a str,
    starts: Vec<usize>,
    lines: Lines,
}

impl<'a> JsonPlaces<'a> {
    /// Of all that is in one value. The text was read as a whole before, so nothing nests too deep.
    fn note_within(&mut self, value: &'a str, place: &str) {
        if let Ok(Members(members)) = serde_json::from_str(value) {
            for (key, value) in members {
                self.note_one(value, below(place, &key));
            }
        } else if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value) {
            for (index, value) in items.into_iter().enumerate() {
                self.note_one(value, format!("{place}[{index}]"));
            }
        }
    }

    fn note_one(&mut self, value: &'a RawValue, place: String) {
        // It is a part of the text.
        let at = value.get().as_ptr().addr() - self.text.as_ptr().addr();
        let line = self.starts.partition_point(|start| *start <= at);
        self.note_within(value.get(), &place);
        self.lines.0.entry(place).or_insert(line);
    }
}

/// The members of a JSON object, each with its text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}
