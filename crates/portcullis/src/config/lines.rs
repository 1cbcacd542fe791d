//! TOML with the line of each place.
use std::collections::HashMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{ConfigFault, ConfigProblem};
use super::node::{Node, below};

/// In which line of a TOML text each place is.
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
    let starts: Vec<_> =
        core::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
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
                problem: ConfigProblem::Syntax { column, message },
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
