use std::sync::Arc;

use super::{Asks, Node, Requirement};

/// One of the ways to meet a requirement: all of these at once.
#[derive(Clone, Default)]
pub(crate) struct Alternative {
    pub(crate) scopes: Vec<Arc<str>>,
    /// What it takes that is not a scope.
    beyond: Vec<Part>,
}

/// A part of a requirement that is not a scope.
#[derive(Clone)]
struct Part {
    part: Requirement,
    words: Arc<str>,
}

impl Part {
    /// Whether both ask for the same. Of two predicates nobody can tell.
    fn is(&self, other: &Self) -> bool {
        let is_same = match (&*self.part.node, &*other.part.node) {
            (Node::Leaf { asks: one, .. }, Node::Leaf { asks: other, .. }) => match (one, other) {
                (
                    Asks::Listed { path, item },
                    Asks::Listed { path: other_path, item: other_item },
                ) => path == other_path && item == other_item,
                (
                    Asks::Value { path, value },
                    Asks::Value { path: other_path, value: other_value },
                ) => path == other_path && value == other_value,
                (Asks::Acr(one), Asks::Acr(other)) => one == other,
                (Asks::MaxAge(one), Asks::MaxAge(other)) => one == other,
                (Asks::Scope(one), Asks::Scope(other)) => one == other,
                (Asks::Subject(one), Asks::Subject(other))
                | (Asks::Client(one), Asks::Client(other))
                | (Asks::Issuer(one), Asks::Issuer(other)) => one == other,
                _ => false,
            },
            _ => false,
        };
        is_same || Arc::ptr_eq(&self.part.node, &other.part.node)
    }
}

impl Alternative {
    /// What it takes that is not a scope, in words.
    pub(crate) fn beyond(&self) -> impl Iterator<Item = &str> {
        self.beyond.iter().map(|part| &*part.words)
    }

    /// Both at once.
    fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for scope in &other.scopes {
            if !both.scopes.contains(scope) {
                both.scopes.push(Arc::clone(scope));
            }
        }
        for part in &other.beyond {
            if !both.beyond.iter().any(|own| own.is(part)) {
                both.beyond.push(part.clone());
            }
        }
        both
    }

    /// Whether whoever has this has the other as well.
    fn contains(&self, other: &Self) -> bool {
        other.scopes.iter().all(|scope| self.scopes.contains(scope))
            && other.beyond.iter().all(|part| self.beyond.iter().any(|own| own.is(part)))
    }
}

impl Requirement {
    /// The ways to meet it, of which none contains another: its disjunctive normal form. `None`: there are more than
    /// `most`.
    pub(crate) fn alternatives(&self, most: usize) -> Option<Vec<Alternative>> {
        let of_one = |alternative| Some(vec![alternative]);
        match &*self.node {
            Node::All(parts) => {
                parts.iter().try_fold(vec![Alternative::default()], |before, part| {
                    let next = part.alternatives(most)?;
                    let pairs =
                        before.iter().flat_map(|one| next.iter().map(|other| one.and(other)));
                    smallest(pairs, most)
                })
            }
            Node::Any(parts) => parts.iter().try_fold(Vec::new(), |before, part| {
                smallest(before.into_iter().chain(part.alternatives(most)?), most)
            }),
            Node::Leaf { asks: Asks::Scope(scope), .. } => {
                of_one(Alternative { scopes: vec![Arc::clone(scope)], beyond: Vec::new() })
            }
            Node::Leaf { .. } | Node::Not(_) | Node::Faulty(_) => {
                let part = Part { part: self.clone(), words: self.to_string().into() };
                of_one(Alternative { scopes: Vec::new(), beyond: vec![part] })
            }
        }
    }
}

/// Those that contain no other, of two alike the first.
fn smallest(all: impl IntoIterator<Item = Alternative>, most: usize) -> Option<Vec<Alternative>> {
    let mut kept: Vec<Alternative> = Vec::new();
    for one in all {
        if kept.iter().any(|other| one.contains(other)) {
            continue;
        }
        kept.retain(|other| !other.contains(&one));
        kept.push(one);
    }
    (kept.len() <= most).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(requirement: &Requirement) -> Option<Vec<String>> {
        let alternatives = requirement.alternatives(16)?;
        let shown = alternatives.iter().map(|alternative| {
            let scopes = alternative.scopes.iter().map(|scope| &**scope);
            scopes.chain(alternative.beyond()).collect::<Vec<_>>().join(" + ")
        });
        Some(shown.collect())
    }

    fn scope(scope: &str) -> Requirement {
        Requirement::scope(scope)
    }

    #[test]
    fn each_alternative_is_one_way_to_meet_it() {
        let role = || Requirement::role("roles", "admin");
        for (requirement, expected) in [
            (scope("a"), &["a"][..]),
            (scope("a").and(scope("b")), &["a + b"]),
            (scope("a").or(scope("b")), &["a", "b"]),
            (scope("a").or(scope("b")).and(scope("c")), &["a + c", "b + c"]),
            (
                scope("a").or(scope("b")).and(scope("c").or(role())),
                &["a + c", "a + `admin` at `roles`", "b + c", "b + `admin` at `roles`"],
            ),
            (role(), &["`admin` at `roles`"]),
            (scope("a").and_not(role()), &["a + anything but `admin` at `roles`"]),
        ] {
            assert_eq!(shown(&requirement).expect("few"), expected, "{requirement}");
        }
    }

    #[test]
    fn an_alternative_that_contains_another_is_left_out() {
        let role = |role| Requirement::role("roles", role);
        for (requirement, expected) in [
            (scope("a").or(scope("a").and(scope("b"))), &["a"][..]),
            (scope("a").and(scope("b")).or(scope("b")), &["b"]),
            (scope("a").and(scope("a")), &["a"]),
            (role("x").or(role("x").and(scope("a"))), &["`x` at `roles`"]),
            (
                scope("a").and(role("x")).or(scope("a").and(role("y"))),
                &["a + `x` at `roles`", "a + `y` at `roles`"],
            ),
        ] {
            assert_eq!(shown(&requirement).expect("few"), expected, "{requirement}");
        }
    }

    #[test]
    fn two_values_of_a_claim_are_not_one_though_their_words_are_alike() {
        let plan = |plan: &str| Requirement::claim("plan", plan);
        let either = scope("a").and(plan("gold")).or(scope("a").and(scope("b")).and(plan("free")));
        let value = "the value of `plan` that is asked for";
        assert_eq!(
            shown(&either).expect("few"),
            [format!("a + {value}"), format!("a + b + {value}")]
        );
        let same = plan("gold");
        assert_eq!(shown(&same.clone().or(same.and(scope("a")))).expect("few"), [value]);
    }

    #[test]
    fn more_than_what_is_wanted_are_none() {
        let numbered = |count: usize| Requirement::any_scope((0..count).map(|it| format!("s{it}")));
        assert_eq!(shown(&numbered(16)).map(|all| all.len()), Some(16));
        assert_eq!(shown(&numbered(17)), None);
        let two = |name: &str| scope(&format!("{name}1")).or(scope(&format!("{name}2")));
        let all = |names: &[&str]| {
            names.iter().map(|name| two(name)).reduce(Requirement::and).expect("some")
        };
        assert_eq!(shown(&all(&["a", "b", "c", "d"])).map(|all| all.len()), Some(16));
        assert_eq!(shown(&all(&["a", "b", "c", "d", "e"])), None);
        // No more is made than that, however many there would be.
        let names: Vec<_> = (0..64).map(|it| format!("n{it}-")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(shown(&all(&names)), None);
    }
}
