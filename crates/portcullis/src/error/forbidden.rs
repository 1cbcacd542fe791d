use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use crate::debug_as_displayed::debug_as_displayed;

/// A verified token does not meet the [`Requirement`](crate::Requirement) of a route.
///
/// For logs and hooks. All of it comes from the requirement, nothing from the token.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Forbidden(Box<Details>);

/// In a box: every error would be as large.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Details {
    missing: Vec<Arc<str>>,
    remedy: Remedy,
}

/// What a token has to have so that it may pass, as far as a client can do anything about it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Remedy {
    /// Each once, in the order of the requirement.
    pub(crate) scopes: Vec<Arc<str>>,
    /// One of them is missing.
    pub(crate) needs_scope: bool,
    /// Any of these, the preferred one first.
    pub(crate) acr_values: Vec<Arc<str>>,
    pub(crate) max_age: Option<Duration>,
    /// The user would have to authenticate anew.
    pub(crate) needs_authentication: bool,
    /// No scope and no authentication will do.
    pub(crate) is_out_of_reach: bool,
}

impl Remedy {
    /// What it takes to have both.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for scope in other.scopes {
            if !self.scopes.contains(&scope) {
                self.scopes.push(scope);
            }
        }
        // Of two lists, what is in both; where nothing is, the first will be asked for.
        if self.acr_values.is_empty() {
            self.acr_values = other.acr_values;
        } else if self.acr_values.iter().any(|value| other.acr_values.contains(value)) {
            self.acr_values.retain(|value| other.acr_values.contains(value));
        }
        self.max_age = match (self.max_age, other.max_age) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.needs_scope |= other.needs_scope;
        self.needs_authentication |= other.needs_authentication;
        self.is_out_of_reach |= other.is_out_of_reach;
        self
    }
}

impl Forbidden {
    pub(crate) fn new(missing: Vec<Arc<str>>, remedy: Remedy) -> Self {
        Self(Box::new(Details { missing, remedy }))
    }

    /// What is missing, each in words: ``the scope `orders:write` ``. All of it at once, and nothing that
    /// the token has.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.0.missing.iter().map(|text| &**text)
    }

    /// The scopes that a token needs for the route, those that this one has included: a client asks for all of
    /// them (RFC 6750 §3, `scope`). Where one of several will do, the first. None where neither a
    /// scope nor an authentication is missing: a client that asked for them again would come back with the same.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let is_told = self.0.remedy.needs_scope || self.needs_authentication();
        self.0.remedy.scopes.iter().map(|scope| &**scope).filter(move |_| is_told)
    }

    /// The authentication contexts of which a token needs one, the preferred one first (RFC 9470 §3,
    /// `acr_values`).
    pub fn acr_values(&self) -> impl Iterator<Item = &str> {
        self.0.remedy.acr_values.iter().map(|value| &**value)
    }

    /// How long ago the user may have authenticated, at most (RFC 9470 §3, `max_age`).
    pub fn max_age(&self) -> Option<Duration> {
        self.0.remedy.max_age
    }

    /// Whether a stronger or more recent authentication of the user is what it takes, and nothing else but
    /// scopes is missing. The client is then told 401 with `insufficient_user_authentication` (RFC 9470 §3),
    /// and else 403 with `insufficient_scope`.
    pub fn needs_authentication(&self) -> bool {
        self.0.remedy.needs_authentication && !self.0.remedy.is_out_of_reach
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token lacks what the route needs: ")?;
        for (index, missing) in self.0.missing.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{missing}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Forbidden {}

/// A [`Requirement`](crate::Requirement) that says nothing, or what no challenge can carry. Nobody meets it, and
/// its route answers 500.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum RequirementFault {
    /// A list of nothing: everybody would meet it, or nobody.
    Empty {
        /// Of what.
        list: &'static str,
    },
    /// A scope with other characters than RFC 6749 §3.3 has, or without any.
    Scope {
        /// The text.
        scope: String,
    },
    /// An authentication context with other characters than RFC 6750 §3 has for a challenge, a space, or
    /// without any.
    AcrValue {
        /// The text.
        value: String,
    },
    /// A path to a claim without a name, or with an empty one.
    Path,
    /// A path that was written as one text with dots, which would be the name of one claim.
    DottedPath {
        /// The text.
        path: String,
    },
}

impl fmt::Display for RequirementFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the requirement of this route is not valid: ")?;
        match self {
            Self::Empty { list } => write!(f, "it lists no {list}: name at least one"),
            Self::Scope { scope } => write!(
                f,
                "{scope:?} is not a scope: use visible ASCII without `\"` and `\\`, and no space; list several one by one"
            ),
            Self::AcrValue { value } => write!(
                f,
                "{value:?} is not an authentication context: use visible ASCII without `\"` and `\\`, and no space"
            ),
            Self::Path => f.write_str("a path to a claim has no name, or an empty one"),
            Self::DottedPath { path } => write!(
                f,
                "`{path}` as one text is the name of one claim: write a path as a list of names, [\"{}\"], and a claim with such a name as a list of one, [\"{path}\"]",
                path.split('.').collect::<Vec<_>>().join("\", \"")
            ),
        }
    }
}

debug_as_displayed!(RequirementFault);

impl core::error::Error for RequirementFault {}
