//! Rules for the claims of tokens.
use super::scalar::{is_on, read_duration};
use crate::claims::{ClaimRules, ClaimValue, MaxLifetime};
use crate::config::fault::Problem;
use crate::config::node::Node;
use crate::config::reader::{Faults, Table, Value};
use crate::dangerous;

pub(super) fn read_claims(
    value: Option<Value>,
    lifetime: Lifetime,
    faults: &mut Faults,
) -> ClaimRules {
    let mut rules = ClaimRules::new();
    if let Some((_, limit)) = &lifetime {
        rules = rules.max_lifetime(*limit);
    }
    let Some(mut table) = value.and_then(|value| value.table("a table", faults)) else {
        return rules;
    };
    if let Some(leeway) = table.take("leeway").and_then(|value| read_duration(value, faults)) {
        rules = rules.leeway(leeway);
    }
    if let Some(value) = table.take("max_lifetime") {
        let place = value.place.clone();
        let limit = read_duration(value, faults);
        // Both would be a fault of the policy, too.
        match (lifetime, limit) {
            (Some((with, _)), _) => faults.add(place, Problem::Conflict { with }),
            (None, Some(limit)) => rules = rules.max_lifetime(limit),
            (None, None) => {}
        }
    }
    if let Some(limit) = table.take("max_age").and_then(|value| read_duration(value, faults)) {
        rules = rules.max_age(limit);
    }
    const NAMES: &str = "a list of claims: [\"sub\"]";
    let required = table.take("required").and_then(|value| value.strings(NAMES, faults));
    for (_, claim) in required.into_iter().flatten() {
        rules = rules.require(claim);
    }
    let forbidden = table.take("forbidden").and_then(|value| value.strings(NAMES, faults));
    for (_, claim) in forbidden.into_iter().flatten() {
        rules = rules.forbid(claim);
    }
    let exact = table.take("exact").and_then(|value| {
        value.table("a table of claims and their values: { token_use = \"access\" }", faults)
    });
    for (claim, value) in exact.into_iter().flat_map(Table::into_entries) {
        if let Some(value) = read_claim_value(value, faults) {
            rules = rules.exact(claim, value);
        }
    }
    let one_of = table.take("one_of").and_then(|value| {
        value.table("a table of claims and lists: { region = [\"eu\", \"us\"] }", faults)
    });
    for (claim, value) in one_of.into_iter().flat_map(Table::into_entries) {
        let place = value.place.clone();
        let Some(items) = value.list("a list of values: [\"eu\", \"us\"]", faults) else {
            continue;
        };
        if items.is_empty() {
            faults.add(place, Problem::Empty);
        }
        let values = items.into_iter().filter_map(|item| read_claim_value(item, faults));
        rules = rules.one_of(claim, values.collect::<Vec<_>>());
    }
    table.finish(faults);
    rules
}

fn read_claim_value(value: Value, faults: &mut Faults) -> Option<ClaimValue> {
    const EXPECTED: &str = "a string, an integer or a boolean";
    let place = value.place.clone();
    match value.into_node() {
        Node::String(text) => Some(text.into()),
        Node::Bool(value) => Some(value.into()),
        Node::Integer(number) => {
            let number = i64::try_from(number).ok();
            if number.is_none() {
                faults.add(place, Problem::OutOfRange { expected: "an integer of 64 bits" });
            }
            number.map(ClaimValue::from)
        }
        node => {
            faults.add(place, Problem::WrongType { expected: EXPECTED, found: node.kind() });
            None
        }
    }
}

/// A bound on the lifetime that only `dangerous` may say, and its place.
pub(super) type Lifetime = Option<(String, MaxLifetime)>;

pub(super) fn read_lifetime(table: &mut Table, faults: &mut Faults) -> Lifetime {
    let place = table.at("unlimited_lifetime");
    let unlimited = is_on(table.take("unlimited_lifetime"), faults)
        .then(|| (place, dangerous::unlimited_lifetime()));
    let long = table.take("long_lifetime").and_then(|value| {
        let place = value.place.clone();
        Some((place, dangerous::long_lifetime(read_duration(value, faults)?)))
    });
    if let (Some((with, _)), Some((place, _))) = (&unlimited, &long) {
        faults.add(place.as_str(), Problem::Conflict { with: with.clone() });
    }
    unlimited.or(long)
}
