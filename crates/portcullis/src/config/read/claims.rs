//! Rules for the claims of tokens.
use crate::claims::{ClaimRules, ClaimValue, MaxLifetime};
use crate::config::fault::ConfigProblem;
use crate::config::node::Node;
use crate::config::reader::{Table, Value};
use crate::dangerous;

/// A bound on the lifetime that only `dangerous` may say, and where it does.
pub(super) type Lifetime<'d> = Option<(Value<'d>, MaxLifetime)>;

pub(super) fn read_lifetime<'d>(table: &mut Table<'d>) -> Lifetime<'d> {
    let unlimited = table.take("unlimited_lifetime").filter(Value::is_on);
    let unlimited = unlimited.map(|value| (value, dangerous::unlimited_lifetime()));
    let long = table.take("long_lifetime").and_then(|value| {
        let limit = dangerous::long_lifetime(value.duration()?);
        Some((value, limit))
    });
    if let (Some((unlimited, _)), Some((long, _))) = (&unlimited, &long) {
        long.refuse_beside(unlimited);
    }
    unlimited.or(long)
}

pub(super) fn read_claims(value: Option<Value<'_>>, lifetime: Lifetime<'_>) -> ClaimRules {
    const NAMES: &str = "a list of claims: [\"sub\"]";
    let mut rules = ClaimRules::new();
    if let Some((_, limit)) = &lifetime {
        rules = rules.max_lifetime(*limit);
    }
    let Some(mut table) = value.and_then(|value| value.table("a table")) else { return rules };
    if let Some(leeway) = table.take("leeway").and_then(|value| value.duration()) {
        rules = rules.leeway(leeway);
    }
    if let Some(value) = table.take("max_lifetime") {
        let limit = value.duration();
        // Both would be a fault of the policy, too.
        match (lifetime, limit) {
            (Some((dangerous, _)), _) => value.refuse_beside(&dangerous),
            (None, Some(limit)) => rules = rules.max_lifetime(limit),
            (None, None) => {}
        }
    }
    if let Some(limit) = table.take("max_age").and_then(|value| value.duration()) {
        rules = rules.max_age(limit);
    }
    let required = table.strings("required", NAMES);
    rules = required.into_iter().flatten().fold(rules, ClaimRules::require);
    let forbidden = table.strings("forbidden", NAMES);
    rules = forbidden.into_iter().flatten().fold(rules, ClaimRules::forbid);
    let exact = table.take("exact").and_then(|value| {
        value.table("a table of claims and their values: { token_use = \"access\" }")
    });
    for (claim, value) in exact.into_iter().flat_map(Table::into_entries) {
        if let Some(value) = read_claim_value(&value) {
            rules = rules.exact(claim, value);
        }
    }
    let one_of = table.take("one_of").and_then(|value| {
        value.table("a table of claims and lists: { region = [\"eu\", \"us\"] }")
    });
    for (claim, value) in one_of.into_iter().flat_map(Table::into_entries) {
        if let Some(values) = read_claim_values(&value) {
            rules = rules.one_of(claim, values);
        }
    }
    table.finish();
    rules
}

fn read_claim_values(value: &Value<'_>) -> Option<Vec<ClaimValue>> {
    let items = value.list("a list of values: [\"eu\", \"us\"]")?;
    if items.is_empty() {
        value.refuse(ConfigProblem::Empty);
    }
    Some(items.iter().filter_map(read_claim_value).collect())
}

fn read_claim_value(value: &Value<'_>) -> Option<ClaimValue> {
    match value.node {
        Node::String(text) => Some(text.as_str().into()),
        Node::Bool(value) => Some((*value).into()),
        Node::Integer(number) => {
            let number = i64::try_from(*number).ok();
            if number.is_none() {
                value.refuse(ConfigProblem::OutOfRange { expected: "an integer of 64 bits" });
            }
            number.map(ClaimValue::from)
        }
        _ => value.wrong("a string, an integer or a boolean"),
    }
}
