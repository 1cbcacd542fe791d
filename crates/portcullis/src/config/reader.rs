//! Takes a tree apart, and notes everything that is wrong with it on the way.
use super::fault::{ConfigError, ConfigFault, Problem};
use super::nearest::nearest;
use super::node::{Lines, Node, below};

/// What was found wrong so far.
pub(super) struct Faults {
    found: Vec<ConfigFault>,
    lines: Lines,
}

impl Faults {
    pub(super) fn new(lines: Lines) -> Self {
        Self { found: Vec::new(), lines }
    }

    pub(super) fn add(&mut self, place: impl Into<String>, problem: Problem) {
        let place = place.into();
        let line = self.lines.of(&place);
        self.found.push(ConfigFault { place, line, problem });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether something is wrong at a place, or within it.
    pub(super) fn are_within(&self, place: &str) -> bool {
        self.found.iter().any(|fault| {
            fault
                .place
                .strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    pub(super) fn into_error(self) -> ConfigError {
        ConfigError::new(self.found)
    }
}

/// A part of the tree, and where it was.
pub(super) struct Value {
    pub(super) place: String,
    node: Node,
}

impl Value {
    pub(super) fn root(node: Node) -> Self {
        Self { place: String::new(), node }
    }

    pub(super) fn is_string(&self) -> bool {
        matches!(self.node, Node::String(_))
    }

    pub(super) fn into_node(self) -> Node {
        self.node
    }

    fn wrong<T>(&self, expected: &'static str, faults: &mut Faults) -> Option<T> {
        let problem = Problem::WrongType { expected, found: self.node.kind() };
        faults.add(self.place.as_str(), problem);
        None
    }

    pub(super) fn string(self, expected: &'static str, faults: &mut Faults) -> Option<String> {
        match self.node {
            Node::String(text) => Some(text),
            _ => self.wrong(expected, faults),
        }
    }

    pub(super) fn boolean(self, faults: &mut Faults) -> Option<bool> {
        match self.node {
            Node::Bool(value) => Some(value),
            _ => self.wrong("true or false", faults),
        }
    }

    pub(super) fn integer(self, expected: &'static str, faults: &mut Faults) -> Option<i128> {
        match self.node {
            Node::Integer(number) => Some(number),
            _ => self.wrong(expected, faults),
        }
    }

    /// A date and time, which only some formats have a notation of their own for.
    pub(super) fn time(self, expected: &'static str, faults: &mut Faults) -> Option<String> {
        match self.node {
            Node::Datetime(text) | Node::String(text) => Some(text),
            _ => self.wrong(expected, faults),
        }
    }

    pub(super) fn list(self, expected: &'static str, faults: &mut Faults) -> Option<Vec<Self>> {
        let Self { place, node } = self;
        match node {
            Node::Array(items) => {
                let items = items.into_iter().enumerate();
                Some(
                    items
                        .map(|(index, node)| Self { place: format!("{place}[{index}]"), node })
                        .collect(),
                )
            }
            node => Self { place, node }.wrong(expected, faults),
        }
    }

    /// The strings of a list. What else is in it is a fault.
    pub(super) fn strings(
        self,
        expected: &'static str,
        faults: &mut Faults,
    ) -> Option<Vec<(String, String)>> {
        let items = self.list(expected, faults)?;
        let strings = items.into_iter().filter_map(|item| {
            let place = item.place.clone();
            Some((place, item.string("a string", faults)?))
        });
        Some(strings.collect())
    }

    /// The one of `values` that it says.
    pub(super) fn one_of<T: Copy>(
        self,
        names: &'static [&'static str],
        values: &[T],
        faults: &mut Faults,
    ) -> Option<T> {
        let place = self.place.clone();
        let text = self.string("a string", faults)?;
        let found = names.iter().position(|name| *name == text).and_then(|at| values.get(at));
        if found.is_none() {
            faults.add(place, Problem::UnknownValue { expected: names });
        }
        found.copied()
    }

    pub(super) fn table(self, expected: &'static str, faults: &mut Faults) -> Option<Table> {
        let Self { place, node } = self;
        let Node::Table(entries) = node else {
            return Self { place, node }.wrong(expected, faults);
        };
        let mut own: Vec<(String, Self)> = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let value = Self { place: below(&place, &key), node };
            if own.iter().any(|(other, _)| *other == key) {
                faults.add(value.place, Problem::DuplicateKey);
            } else {
                own.push((key, value));
            }
        }
        Some(Table { place, entries: own, known: Vec::new() })
    }
}

/// A table whose keys are taken out one by one. What is left at the [end](Self::finish) is unknown.
#[must_use]
pub(super) struct Table {
    pub(super) place: String,
    entries: Vec<(String, Value)>,
    known: Vec<&'static str>,
}

impl Table {
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        let at = self.entries.iter().position(|(own, _)| own == key)?;
        Some(self.entries.remove(at).1)
    }

    /// As [`take`](Self::take), of a key that has no default.
    pub(super) fn require(&mut self, key: &'static str, faults: &mut Faults) -> Option<Value> {
        let value = self.take(key);
        if value.is_none() {
            faults.add(self.at(key), Problem::Missing);
        }
        value
    }

    /// The place of one of its keys.
    pub(super) fn at(&self, key: &str) -> String {
        below(&self.place, key)
    }

    /// Whatever keys are left, for a table whose keys are names of the user's own.
    pub(super) fn into_entries(self) -> Vec<(String, Value)> {
        self.entries
    }

    pub(super) fn finish(self, faults: &mut Faults) {
        self.finish_with(faults, |_, _, _| None);
    }

    /// As [`finish`](Self::finish), where `judge` may know better what an unknown key is. It is
    /// told the key, its value and the known key of almost that name.
    pub(super) fn finish_with(
        self,
        faults: &mut Faults,
        judge: impl Fn(&str, &Value, Option<&'static str>) -> Option<Problem>,
    ) {
        for (key, value) in self.entries {
            let nearest = nearest(&key, &self.known);
            let problem = judge(&key, &value, nearest).unwrap_or_else(|| Problem::UnknownKey {
                nearest,
                known: self.known.clone(),
                is_of_top_level: !self.place.is_empty()
                    && super::read::TOP_LEVEL.contains(&key.as_str()),
            });
            faults.add(value.place, problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beside_a_place_is_not_within_it() {
        let mut faults = Faults::new(Lines::default());
        faults.add("issuer[1].keys.secrets[0]", Problem::Missing);
        for (place, is_within) in [
            ("issuer", true),
            ("issuer[1]", true),
            ("issuer[1].keys", true),
            ("issuer[1].key", false),
            ("issuer[1].keys.secrets[0]", true),
            ("issuer[1].keys.secrets[0].file", false),
            ("issuer[0]", false),
        ] {
            assert_eq!(faults.are_within(place), is_within, "{place}");
        }
    }
}
