//! What a route asks of a verified token beyond the policy.
use core::fmt;
use std::sync::Arc;

/// A verified token does not meet a rule of the route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Forbidden {
    rule: Arc<str>,
}

impl Forbidden {
    pub(crate) fn new(rule: Arc<str>) -> Self {
        Self { rule }
    }

    /// The name of the rule, as whoever made it wrote it.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the token does not meet a rule of the route: {}", self.rule)
    }
}

impl core::error::Error for Forbidden {}
