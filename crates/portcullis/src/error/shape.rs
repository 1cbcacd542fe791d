use core::fmt;

/// Verified claims do not have the shape of the type that was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShapeError {
    type_name: &'static str,
    detail: String,
}

impl ShapeError {
    pub(crate) fn new<T>(error: &serde_json::Error) -> Self {
        // serde's messages quote values. Of those that do not, this one is worth having: the
        // name comes from the type.
        let message = error.to_string();
        let detail =
            match message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
                Some((field, _)) => format!("missing field `{field}`"),
                None => format!("at byte {} of the claims", error.column()),
            };
        Self { type_name: core::any::type_name::<T>(), detail }
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the claims are no `{}`: {}", self.type_name, self.detail)
    }
}

impl core::error::Error for ShapeError {}
