//! Takes a tree apart, and notes everything that is wrong with it on the way.
use core::cell::RefCell;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::fault::{ConfigError, ConfigFault, ConfigProblem};
use super::lines::Lines;
use super::nearest::nearest;
use super::node::{Node, below};

/// The keys of the top level: each is unknown elsewhere, and said to belong there.
pub(super) const TOP_LEVEL: [&str; 17] = [
    "name",
    "issuer",
    "claims",
    "sources",
    "prefer_header",
    "allowed_origins",
    "bad_cookie",
    "token_limit",
    "header_limit",
    "token_cache",
    "refuse_brought_keys",
    "allow_anonymous",
    "presentation",
    "dpop",
    "mtls",
    "dangerous",
    "$schema",
];

/// What all values of a tree share: where paths start, and what was found wrong so far.
pub(super) struct Reader<'d> {
    base: &'d Path,
    lines: Lines,
    faults: RefCell<Vec<ConfigFault>>,
}

impl<'d> Reader<'d> {
    pub(super) fn new(lines: Lines, base: &'d Path) -> Self {
        Self { base, lines, faults: RefCell::default() }
    }

    /// The tree as a whole.
    pub(super) fn root<'r>(&'r self, node: &'r Node) -> Value<'r> {
        Value { place: String::new(), node, reader: self }
    }

    pub(super) fn refuse(&self, place: impl Into<String>, problem: ConfigProblem) {
        let place = place.into();
        // What stands there until its variable is known says nothing of itself.
        if self.faults.borrow().iter().any(|it| it.place == place && it.problem.is_of_variable()) {
            return;
        }
        let line = self.lines.of(&place);
        self.faults.borrow_mut().push(ConfigFault { place, line, problem });
    }

    pub(super) fn has_faults(&self) -> bool {
        !self.faults.borrow().is_empty()
    }

    /// Whether something is wrong at a place, or within it.
    pub(super) fn has_faults_within(&self, place: &str) -> bool {
        self.faults.borrow().iter().any(|fault| {
            fault
                .place
                .strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    pub(super) fn into_error(self) -> ConfigError {
        ConfigError::new(self.faults.into_inner())
    }
}

/// A part of the tree, and where it is. What reads it as something that it is not notes that.
pub(super) struct Value<'d> {
    pub(super) place: String,
    pub(super) node: &'d Node,
    reader: &'d Reader<'d>,
}

impl<'d> Value<'d> {
    pub(super) fn refuse(&self, problem: ConfigProblem) {
        self.reader.refuse(self.place.as_str(), problem);
    }

    /// Notes that it cannot stand beside another.
    pub(super) fn refuse_beside(&self, other: &Self) {
        self.refuse(ConfigProblem::Conflict { with: other.place.clone() });
    }

    /// Notes that it is of another type. Gives nothing.
    pub(super) fn wrong<T>(&self, expected: impl Into<Cow<'static, str>>) -> Option<T> {
        self.refuse(ConfigProblem::WrongType {
            expected: expected.into(),
            found: self.node.kind(),
        });
        None
    }

    pub(super) fn is_string(&self) -> bool {
        matches!(self.node, Node::String(_))
    }

    pub(super) fn string(&self, expected: &'static str) -> Option<&'d str> {
        match self.node {
            Node::String(text) => Some(text),
            _ => self.wrong(expected),
        }
    }

    /// A path, which starts from the base.
    pub(super) fn path(&self) -> Option<PathBuf> {
        Some(self.reader.base.join(self.string("the path of a file")?))
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match self.node {
            Node::Bool(value) => Some(*value),
            _ => self.wrong("true or false"),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        self.boolean() == Some(true)
    }

    pub(super) fn integer(&self, expected: &'static str) -> Option<i128> {
        match self.node {
            Node::Integer(number) => Some(*number),
            _ => self.wrong(expected),
        }
    }

    pub(super) fn list(&self, expected: &'static str) -> Option<Vec<Self>> {
        let Node::Array(items) = self.node else { return self.wrong(expected) };
        let item = |(index, node)| {
            let place = format!("{}[{index}]", self.place);
            Self { place, node, reader: self.reader }
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// The strings of a list. What else is in it is a fault.
    pub(super) fn strings(&self, expected: &'static str) -> Option<Vec<&'d str>> {
        let strings = self.placed_strings(expected)?;
        Some(strings.into_iter().map(|(_, text)| text).collect())
    }

    /// As [`strings`](Self::strings), each with where it stands.
    pub(super) fn placed_strings(&self, expected: &'static str) -> Option<Vec<(Self, &'d str)>> {
        let items = self.list(expected)?.into_iter();
        Some(items.filter_map(|item| item.string("a string").map(|text| (item, text))).collect())
    }

    /// The one of `values` that it says.
    pub(super) fn one_of<T: Copy>(
        &self,
        names: &'static [&'static str],
        values: &[T],
    ) -> Option<T> {
        let Node::String(text) = self.node else {
            let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
            return self.wrong(format!("one of {}", quoted.join(", ")));
        };
        let found = names.iter().position(|name| name == text).and_then(|at| values.get(at));
        if found.is_none() {
            self.refuse(ConfigProblem::UnknownValue { expected: names });
        }
        found.copied()
    }

    pub(super) fn table(&self, expected: &'static str) -> Option<Table<'d>> {
        let Node::Table(entries) = self.node else { return self.wrong(expected) };
        let mut own: Vec<(&str, Self)> = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let value = Self { place: below(&self.place, key), node, reader: self.reader };
            if own.iter().any(|(other, _)| other == key) {
                value.refuse(ConfigProblem::DuplicateKey);
            } else {
                own.push((key, value));
            }
        }
        let (place, reader) = (self.place.clone(), self.reader);
        Some(Table { place, entries: own, known: Vec::new(), reader })
    }
}

/// A table whose keys are taken out one by one. What is left at the [end](Self::finish) is unknown.
#[must_use]
pub(super) struct Table<'d> {
    pub(super) place: String,
    entries: Vec<(&'d str, Value<'d>)>,
    known: Vec<&'static str>,
    reader: &'d Reader<'d>,
}

impl<'d> Table<'d> {
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.known.push(key);
        let at = self.entries.iter().position(|(own, _)| *own == key)?;
        Some(self.entries.remove(at).1)
    }

    /// Whether there is a text under this key, which nobody took yet.
    pub(super) fn has_text(&self, key: &str) -> bool {
        self.entries.iter().any(|(own, value)| *own == key && value.is_string())
    }

    /// As [`take`](Self::take), of a key that has no default.
    pub(super) fn require(&mut self, key: &'static str) -> Option<Value<'d>> {
        let value = self.take(key);
        if value.is_none() {
            self.refuse_at(key, ConfigProblem::Missing);
        }
        value
    }

    /// Takes a key that is off where it is not there.
    pub(super) fn is_on(&mut self, key: &'static str) -> bool {
        self.take(key).is_some_and(|value| value.is_on())
    }

    pub(super) fn string(&mut self, key: &'static str, expected: &'static str) -> Option<&'d str> {
        self.take(key)?.string(expected)
    }

    pub(super) fn strings(
        &mut self,
        key: &'static str,
        expected: &'static str,
    ) -> Option<Vec<&'d str>> {
        self.take(key)?.strings(expected)
    }

    pub(super) fn refuse(&self, problem: ConfigProblem) {
        self.reader.refuse(self.place.as_str(), problem);
    }

    /// Notes what is wrong with one of its keys, or that it is missing.
    pub(super) fn refuse_at(&self, key: &str, problem: ConfigProblem) {
        self.reader.refuse(self.at(key), problem);
    }

    /// Whether something is wrong with one of its keys, or within it.
    #[cfg(feature = "remote-jwks")]
    pub(super) fn has_faults_at(&self, key: &str) -> bool {
        self.reader.has_faults_within(&self.at(key))
    }

    /// The place of one of its keys.
    pub(super) fn at(&self, key: &str) -> String {
        below(&self.place, key)
    }

    /// Whatever keys are left, for a table whose keys are names of the user's own.
    pub(super) fn into_entries(self) -> Vec<(&'d str, Value<'d>)> {
        self.entries
    }

    pub(super) fn finish(self) {
        self.finish_with(|_, _, _| None);
    }

    /// As [`finish`](Self::finish), where `judge` may know better what an unknown key is. It is
    /// told the key, its value and the known key of almost that name.
    pub(super) fn finish_with(
        self,
        judge: impl Fn(&str, &Value<'_>, Option<&'static str>) -> Option<ConfigProblem>,
    ) {
        for (key, value) in self.entries {
            let nearest = nearest(key, &self.known);
            let problem =
                judge(key, &value, nearest).unwrap_or_else(|| ConfigProblem::UnknownKey {
                    nearest,
                    known: self.known.clone(),
                    is_of_top_level: !self.place.is_empty() && TOP_LEVEL.contains(&key),
                });
            value.refuse(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beside_a_place_is_not_within_it() {
        let reader = Reader::new(Lines::default(), Path::new(""));
        reader.refuse("issuer[1].keys.secrets[0]", ConfigProblem::Missing);
        for (place, is_within) in [
            ("issuer", true),
            ("issuer[1]", true),
            ("issuer[1].keys", true),
            ("issuer[1].key", false),
            ("issuer[1].keys.secrets[0]", true),
            ("issuer[1].keys.secrets[0].file", false),
            ("issuer[0]", false),
        ] {
            assert_eq!(reader.has_faults_within(place), is_within, "{place}");
        }
    }
}
