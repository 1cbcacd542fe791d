//! Samples for the parameters of an operation.
use core::fmt::Write;

use serde_json::{Map, Value};

/// A parameter that needs a sample: see [`OpenApi::sample`](super::OpenApi::sample).
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'p> {
    pub(super) name: &'p str,
    pub(super) place: &'p str,
    pub(super) method: &'p str,
    pub(super) path: &'p str,
}

impl Parameter<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        self.name
    }

    /// Where it stands: `path` or `query`.
    pub fn place(&self) -> &str {
        self.place
    }

    /// The method of its operation.
    pub fn method(&self) -> &str {
        self.method
    }

    /// The path of its operation, as in the document.
    pub fn path(&self) -> &str {
        self.path
    }
}

/// A value that the document says, or one that its schema takes.
pub(super) fn sample<'d>(
    parameter: &'d Map<String, Value>,
    resolve: &dyn Fn(&'d Value) -> &'d Value,
) -> Option<String> {
    if let Some(text) = parameter.get("example").and_then(text) {
        return Some(text);
    }
    let examples = parameter.get("examples").and_then(Value::as_object);
    let mut examples = examples.into_iter().flat_map(|examples| examples.values());
    if let Some(text) = examples.find_map(|one| text(resolve(one).get("value")?)) {
        return Some(text);
    }
    of_schema(resolve(parameter.get("schema")?))
}

fn of_schema(schema: &Value) -> Option<String> {
    let said = ["example", "default", "const"].into_iter().filter_map(|name| schema.get(name));
    let listed = ["examples", "enum"].into_iter().filter_map(|name| schema.get(name)?.get(0));
    if let Some(text) = said.chain(listed).find_map(text) {
        return Some(text);
    }
    let word = |member: &str| schema.get(member).and_then(Value::as_str);
    // Since 3.1, a list of types may stand there.
    let kind = word("type").or_else(|| {
        let types = schema.get("type")?.as_array()?;
        types.iter().filter_map(Value::as_str).find(|one| *one != "null")
    })?;
    match kind {
        "boolean" => Some("true".to_owned()),
        "integer" | "number" => {
            // Whatever else narrows it, a person knows better.
            let least = schema.get("minimum").and_then(Value::as_i64).unwrap_or(1);
            let bounds = ["exclusiveMinimum", "multipleOf", "maximum"];
            let is_narrow = bounds.into_iter().any(|bound| schema.get(bound).is_some());
            (!is_narrow).then(|| least.to_string())
        }
        "string" if schema.get("pattern").is_some() => None,
        "string" => match word("format") {
            None => {
                let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(1);
                let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(64);
                let length = least.max(6).min(most);
                let is_possible = (1..=64).contains(&length) && length >= least;
                is_possible.then(|| "sample".chars().cycle().take(length as usize).collect())
            }
            Some("uuid") => Some("00000000-0000-4000-8000-000000000000".to_owned()),
            Some("date") => Some("2030-01-01".to_owned()),
            Some("date-time") => Some("2030-01-01T00:00:00Z".to_owned()),
            Some(_) => None,
        },
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// RFC 3986 §2.3: what is not unreserved is written as percents.
pub(super) fn encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sample_is_what_the_document_says_or_what_its_schema_takes() {
        for (parameter, expected) in [
            (json!({ "example": 7, "schema": { "example": 8 } }), Some("7")),
            (json!({ "examples": { "a": { "value": "x" } } }), Some("x")),
            (json!({ "schema": { "examples": ["y"] } }), Some("y")),
            (json!({ "schema": { "default": "d" } }), Some("d")),
            (json!({ "schema": { "type": "string", "enum": ["open", "shut"] } }), Some("open")),
            (json!({ "schema": { "type": "integer" } }), Some("1")),
            (json!({ "schema": { "type": "integer", "minimum": 10 } }), Some("10")),
            (json!({ "schema": { "type": ["null", "boolean"] } }), Some("true")),
            (json!({ "schema": { "type": "string" } }), Some("sample")),
            (json!({ "schema": { "type": "string", "minLength": 8 } }), Some("samplesa")),
            (json!({ "schema": { "type": "string", "maxLength": 2 } }), Some("sa")),
            (
                json!({ "schema": { "type": "string", "format": "uuid" } }),
                Some("00000000-0000-4000-8000-000000000000"),
            ),
            (json!({ "schema": { "type": "string", "pattern": "^a+$" } }), None),
            (json!({ "schema": { "type": "string", "format": "ipv6" } }), None),
            (json!({ "schema": { "type": "string", "maxLength": 0 } }), None),
            (json!({ "schema": { "type": "string", "minLength": 1000 } }), None),
            (json!({ "schema": { "type": "integer", "multipleOf": 3 } }), None),
            (json!({ "schema": { "type": "array" } }), None),
            (json!({ "schema": {} }), None),
            (json!({}), None),
        ] {
            let map = parameter.as_object().expect("an object");
            assert_eq!(sample(map, &|value| value).as_deref(), expected, "{parameter}");
        }
    }

    #[test]
    fn what_could_end_a_part_of_a_path_is_encoded() {
        assert_eq!(encoded("a/b?c#d e%f-._~ü"), "a%2Fb%3Fc%23d%20e%25f-._~%C3%BC");
    }
}
