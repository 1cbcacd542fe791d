//! What a route asks of a verified token beyond the policy.
//!
//! A requirement passes if
//!
//! 1. the policy in front of the route verified a token, and the requirement makes sense;
//! 2. the token has what the requirement asks for: all parts of an *and*, one of an *or*, and not what a
//!    *not* excludes.
//!
//! It is decided by the claims as they were signed, and by the policy's clock. What is missing is told all at
//! once: a client that has to come back for a second scope asks its user twice.
mod forbidden;
mod path;
mod typed;

use core::fmt;
use core::ops::Not;
use core::time::Duration;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use self::forbidden::Remedy;
pub use self::forbidden::{Forbidden, RequirementFault};
pub use self::path::ClaimPath;
pub use self::typed::Requires;
use crate::claims::ClaimValue;
use crate::error::Error;
use crate::terms::IssuerTerms;
use crate::time::UnixTime;
use crate::token::numeric_date;
use crate::verified::VerifiedToken;

/// What a route asks of a verified token beyond the policy. The same value goes into a layer
/// ([`RequireLayer`](crate::RequireLayer), and `Require` in actix-web), into an extractor by its type
/// ([`Requires`]), and into a plain call ([`check`](Self::check)).
///
/// ```
/// use std::time::Duration;
/// use portcullis::{Algorithm, Error, Requirement};
/// use portcullis_testkit::TestIssuer;
///
/// let refund = Requirement::scope("orders:write")
///     .and(Requirement::role(["realm_access", "roles"], "accountant").or(Requirement::client("robot")))
///     .and(Requirement::max_age(Duration::from_secs(600)));
///
/// let issuer = TestIssuer::new("https://id.example");
/// let policy = issuer.policy();
/// let token = issuer.token(Algorithm::ES256).claim("scope", "orders:read orders:write");
///
/// let robot = policy.verify_token_now(token.clone().claim("client_id", "robot").mint())?;
/// let Err(Error::Forbidden(forbidden)) = refund.check(&robot) else { panic!() };
/// assert_eq!(forbidden.missing().collect::<Vec<_>>(), ["an authentication of the user in the last 600 s"]);
/// # Ok::<_, Error>(())
/// ```
///
/// Made from texts of your own, not from what a request says. One that says nothing (a list of no scopes), or
/// what no challenge can carry, is met by nobody: its route answers 500, and [`fault`](Self::fault) says why.
#[derive(Clone)]
#[must_use]
pub struct Requirement(Arc<Node>);

enum Node {
    All(Vec<Requirement>),
    Any(Vec<Requirement>),
    Not(Requirement),
    Leaf {
        asks: Asks,
        /// What it asks for, in words.
        words: Arc<str>,
    },
    /// Also what has a part that is at fault.
    Faulty(RequirementFault),
}

type TokenPredicate = dyn Fn(&VerifiedToken) -> bool + Send + Sync;

enum Asks {
    Scope(Arc<str>),
    Listed { path: ClaimPath, item: Box<str> },
    Value { path: ClaimPath, value: ClaimValue },
    Acr(Vec<Arc<str>>),
    MaxAge(Duration),
    Subject(Box<str>),
    Client(Box<str>),
    Issuer(Box<str>),
    Predicate(Arc<TokenPredicate>),
}

impl Requirement {
    /// The scope `scope` (RFC 6749 §3.3).
    ///
    /// Scopes are in the claims `scope` (RFC 8693 §4.2: a string, split at single spaces and nothing else) and
    /// `scp` (a string like it, or a list), or in those that
    /// [`Issuer::scope_claims`](crate::Issuer::scope_claims) names. What one scope implies,
    /// [`PolicyBuilder::scope_implies`](crate::PolicyBuilder::scope_implies) says.
    pub fn scope(scope: impl Into<String>) -> Self {
        let scope = scope.into();
        if is_scope(&scope) {
            let words = format!("the scope `{scope}`");
            Self::leaf(Asks::Scope(scope.into()), words)
        } else {
            Self::faulty(RequirementFault::Scope { scope })
        }
    }

    /// All of these scopes, at least one.
    pub fn all_scopes<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        Self::list("scope", scopes.into_iter().map(Self::scope), Node::All)
    }

    /// One of these scopes, of which there is at least one. Clients are told the first.
    pub fn any_scope<S: Into<String>>(scopes: impl IntoIterator<Item = S>) -> Self {
        Self::list("scope", scopes.into_iter().map(Self::scope), Node::Any)
    }

    /// The role, group or permission `role`, byte by byte, in the list at `path`: see [`ClaimPath`].
    pub fn role(path: impl Into<ClaimPath>, role: impl Into<String>) -> Self {
        let (path, role) = (path.into(), role.into());
        if path.is_empty() {
            return Self::faulty(RequirementFault::Path);
        }
        let words = format!("`{role}` at `{path}`");
        Self::leaf(Asks::Listed { path, item: role.into() }, words)
    }

    /// All of these roles, at least one.
    pub fn all_roles<S: Into<String>>(
        path: impl Into<ClaimPath>,
        roles: impl IntoIterator<Item = S>,
    ) -> Self {
        let path = path.into();
        Self::list("role", roles.into_iter().map(|role| Self::role(path.clone(), role)), Node::All)
    }

    /// One of these roles, of which there is at least one.
    pub fn any_role<S: Into<String>>(
        path: impl Into<ClaimPath>,
        roles: impl IntoIterator<Item = S>,
    ) -> Self {
        let path = path.into();
        Self::list("role", roles.into_iter().map(|role| Self::role(path.clone(), role)), Node::Any)
    }

    /// Exactly this string, integer or boolean at `path`: a tenant, a plan. A list that has it will not do.
    ///
    /// What is asked for is in no log and in no answer.
    pub fn claim(path: impl Into<ClaimPath>, value: impl Into<ClaimValue>) -> Self {
        let path = path.into();
        if path.is_empty() {
            return Self::faulty(RequirementFault::Path);
        }
        let words = format!("the value of `{path}` that is asked for");
        Self::leaf(Asks::Value { path, value: value.into() }, words)
    }

    /// A user who authenticated by one of these authentication contexts (`acr`, OpenID Connect Core §2), the
    /// preferred one first; at least one. Otherwise the client is told to let them (RFC 9470).
    pub fn acr_values<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Self {
        let values: Vec<Arc<str>> = values.into_iter().map(|value| value.into().into()).collect();
        if values.is_empty() {
            return Self::faulty(RequirementFault::Empty { list: "authentication context" });
        }
        if let Some(value) = values.iter().find(|value| !is_scope(value)) {
            return Self::faulty(RequirementFault::AcrValue { value: value.to_string() });
        }
        let words = format!("an authentication by `{}`", values.join("` or `"));
        Self::leaf(Asks::Acr(values), words)
    }

    /// A user who authenticated at most this long ago (`auth_time`, OpenID Connect Core §2), whole seconds, and
    /// the leeway of the policy. Otherwise the client is told to let them do it again (RFC 9470). A token
    /// without `auth_time`, or with one in the future, does not pass.
    pub fn max_age(limit: Duration) -> Self {
        let words = format!("an authentication of the user in the last {} s", limit.as_secs());
        Self::leaf(Asks::MaxAge(limit), words)
    }

    /// The subject (`sub`) `subject`. Unique only together with the [issuer](Self::issuer).
    pub fn subject(subject: impl Into<String>) -> Self {
        let asks = Asks::Subject(subject.into().into());
        Self::leaf(asks, "the subject that is asked for".to_owned())
    }

    /// A token that the client `client` asked for (`client_id`, RFC 9068 §2.2). Unique only together with the
    /// [issuer](Self::issuer). Where it stands in another claim, such as `azp`, take [`claim`](Self::claim).
    pub fn client(client: impl Into<String>) -> Self {
        let client = client.into();
        let words = format!("the client `{client}`");
        Self::leaf(Asks::Client(client.into()), words)
    }

    /// A token of this issuer, of those that the policy trusts: where each tenant has an issuer, the tenant.
    pub fn issuer(issuer: impl Into<String>) -> Self {
        let issuer = issuer.into();
        let words = format!("the issuer `{issuer}`");
        Self::leaf(Asks::Issuer(issuer.into()), words)
    }

    /// Claims that, read as a `T`, satisfy a predicate. `name` says in logs what was not met. Claims that are
    /// no `T` do not satisfy it.
    ///
    /// A handler that asks for the same `T` gets the value that was read here.
    pub fn predicate<T>(
        name: impl Into<String>,
        holds: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let holds =
            move |token: &VerifiedToken| token.claims::<T>().is_ok_and(|claims| holds(&claims));
        Self::leaf(Asks::Predicate(Arc::new(holds)), name.into())
    }

    /// This and `other`.
    pub fn and(self, other: Self) -> Self {
        let mut parts = match &*self.0 {
            Node::All(parts) => parts.clone(),
            _ => vec![self],
        };
        parts.push(other);
        Self::combine(parts, Node::All)
    }

    /// This or `other`. Clients are told the first that they can do something about.
    pub fn or(self, other: Self) -> Self {
        let mut parts = match &*self.0 {
            Node::Any(parts) => parts.clone(),
            _ => vec![self],
        };
        parts.push(other);
        Self::combine(parts, Node::Any)
    }

    /// Why nobody can meet it, if so: for a test, or when a service starts.
    pub fn fault(&self) -> Option<&RequirementFault> {
        match &*self.0 {
            Node::Faulty(fault) => Some(fault),
            Node::All(_) | Node::Any(_) | Node::Not(_) | Node::Leaf { .. } => None,
        }
    }

    /// Asks a token that a policy verified, by that policy's clock.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`]: it does not have what is asked for. [`Error::Requirement`]: nobody could meet it.
    pub fn check(&self, token: &VerifiedToken) -> Result<(), Error> {
        if let Some(fault) = self.fault() {
            return Err(Error::Requirement(fault.clone()));
        }
        let asked = Asked::new(token)?;
        if self.is_met_by(&asked) {
            return Ok(());
        }
        let Outcome { missing, remedy } = self.examine(&asked);
        Err(Error::Forbidden(Forbidden::new(missing, remedy)))
    }

    fn leaf(asks: Asks, words: String) -> Self {
        Self(Arc::new(Node::Leaf { asks, words: words.into() }))
    }

    fn faulty(fault: RequirementFault) -> Self {
        Self(Arc::new(Node::Faulty(fault)))
    }

    fn list(
        list: &'static str,
        parts: impl Iterator<Item = Self>,
        node: fn(Vec<Self>) -> Node,
    ) -> Self {
        let parts: Vec<_> = parts.collect();
        if parts.is_empty() {
            return Self::faulty(RequirementFault::Empty { list });
        }
        Self::combine(parts, node)
    }

    fn combine(parts: Vec<Self>, node: fn(Vec<Self>) -> Node) -> Self {
        match parts.iter().find_map(Self::fault) {
            Some(fault) => Self::faulty(fault.clone()),
            None => Self(Arc::new(node(parts))),
        }
    }

    fn is_met_by(&self, asked: &Asked<'_>) -> bool {
        match &*self.0 {
            Node::All(parts) => parts.iter().all(|part| part.is_met_by(asked)),
            Node::Any(parts) => parts.iter().any(|part| part.is_met_by(asked)),
            Node::Not(part) => !part.is_met_by(asked),
            Node::Leaf { asks, .. } => asks.are_met_by(asked),
            Node::Faulty(_) => false,
        }
    }

    /// What is missing, and what it takes. No part is left out because another is missing.
    fn examine(&self, asked: &Asked<'_>) -> Outcome {
        match &*self.0 {
            Node::All(parts) => {
                let parts = parts.iter().map(|part| part.examine(asked));
                parts.reduce(Outcome::and).unwrap_or_default()
            }
            Node::Any(parts) => {
                let parts = parts.iter().map(|part| part.examine(asked));
                Outcome::any(parts.collect())
            }
            Node::Leaf { asks, words } => {
                let is_met = asks.are_met_by(asked);
                let missing = if is_met { Vec::new() } else { vec![Arc::clone(words)] };
                Outcome { missing, remedy: asks.remedy(is_met) }
            }
            Node::Not(_) | Node::Faulty(_) if self.is_met_by(asked) => Outcome::default(),
            Node::Not(_) | Node::Faulty(_) => {
                let remedy = Remedy { is_out_of_reach: true, ..Remedy::default() };
                Outcome { missing: vec![self.to_string().into()], remedy }
            }
        }
    }
}

impl Not for Requirement {
    type Output = Self;

    /// A token that does not meet this one.
    fn not(self) -> Self {
        match self.fault() {
            Some(_) => self,
            None => Self(Arc::new(Node::Not(self))),
        }
    }
}

/// What it asks for, in words: ``the scope `a` and (the scope `b` or the client `c`)``. A subject, and the value
/// of a claim, is not told.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            parts.iter().enumerate().try_for_each(|(index, part)| {
                f.write_str(if index > 0 { word } else { "" })?;
                match &*part.0 {
                    Node::All(_) | Node::Any(_) => write!(f, "({part})"),
                    Node::Not(_) | Node::Leaf { .. } | Node::Faulty(_) => part.fmt(f),
                }
            })
        };
        match &*self.0 {
            Node::All(parts) => join(f, parts, " and "),
            Node::Any(parts) => join(f, parts, " or "),
            Node::Not(part) => {
                f.write_str("anything but ")?;
                join(f, core::slice::from_ref(part), "")
            }
            Node::Leaf { words, .. } => f.write_str(words),
            Node::Faulty(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Debug for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Requirement({self})")
    }
}

/// What a part of a requirement comes to.
#[derive(Default)]
struct Outcome {
    /// Nothing: it is met.
    missing: Vec<Arc<str>>,
    /// What the token has of it included: a new one needs it as well.
    remedy: Remedy,
}

impl Outcome {
    fn and(mut self, other: Self) -> Self {
        self.missing.extend(other.missing);
        Self { missing: self.missing, remedy: self.remedy.and(other.remedy) }
    }

    fn any(parts: Vec<Self>) -> Self {
        let is_met = parts.iter().position(|part| part.missing.is_empty());
        let is_in_reach = || parts.iter().position(|part| !part.remedy.is_out_of_reach);
        let chosen = is_met.or_else(is_in_reach).unwrap_or(0);
        let missing = if is_met.is_some() {
            Vec::new()
        } else {
            let parts = parts.iter().map(|part| match &*part.missing {
                [one] => one.to_string(),
                several => format!("({})", several.join(" and ")),
            });
            vec![parts.collect::<Vec<_>>().join(" or ").into()]
        };
        let remedy = parts.into_iter().nth(chosen).unwrap_or_default().remedy;
        Self { missing, remedy }
    }
}

impl Asks {
    fn are_met_by(&self, asked: &Asked<'_>) -> bool {
        let Asked { token, claims, terms } = asked;
        match self {
            Self::Scope(scope) => asked.has_scope(scope),
            Self::Listed { path, item } => path.lists(claims, item),
            Self::Value { path, value } => path.find(claims).is_some_and(|own| value.equals(own)),
            Self::Acr(values) => claims
                .get("acr")
                .and_then(Value::as_str)
                .is_some_and(|acr| values.iter().any(|value| **value == *acr)),
            Self::MaxAge(limit) => claims
                .get("auth_time")
                .and_then(Value::as_number)
                .and_then(|number| numeric_date(&number.to_string()))
                .is_some_and(|at| is_recent(at, *limit, terms.policy.clock.now(), terms.leeway)),
            Self::Subject(subject) => token.subject() == Some(&**subject),
            Self::Client(client) => token.client_id() == Some(&**client),
            Self::Issuer(issuer) => token.issuer() == &**issuer,
            Self::Predicate(holds) => holds(token),
        }
    }

    fn remedy(&self, is_met: bool) -> Remedy {
        let remedy = Remedy::default();
        match self {
            Self::Scope(scope) => Remedy { scopes: vec![Arc::clone(scope)], ..remedy },
            Self::Acr(values) => {
                let acr_values = values.clone();
                Remedy { acr_values, needs_authentication: !is_met, ..remedy }
            }
            Self::MaxAge(limit) => {
                let max_age = Some(Duration::from_secs(limit.as_secs()));
                Remedy { max_age, needs_authentication: !is_met, ..remedy }
            }
            Self::Listed { .. }
            | Self::Value { .. }
            | Self::Subject(_)
            | Self::Client(_)
            | Self::Issuer(_)
            | Self::Predicate(_) => Remedy { is_out_of_reach: !is_met, ..remedy },
        }
    }
}

/// Whom a requirement is asked of.
struct Asked<'t> {
    token: &'t VerifiedToken,
    claims: Arc<Value>,
    terms: &'t IssuerTerms,
}

impl<'t> Asked<'t> {
    fn new(token: &'t VerifiedToken) -> Result<Self, Error> {
        Ok(Self { token, claims: token.claims()?, terms: token.terms() })
    }

    fn has_scope(&self, scope: &str) -> bool {
        let implies = self.terms.policy.scope_implies.as_deref();
        let suffices = |held: &str| {
            held == scope || implies.is_some_and(|implies| is_scope(held) && implies(held, scope))
        };
        let claims = self.terms.scope_claims.iter();
        claims.filter_map(|name| Some((name, self.claims.get(&**name)?))).any(|(name, value)| {
            match value {
                // RFC 6749 §3.3: single spaces. Whatever else looks like one is part of a name.
                Value::String(text) => text.split(' ').any(suffices),
                // RFC 8693 §4.2: `scope` is a string.
                Value::Array(items) if **name != *"scope" => {
                    items.iter().all(Value::is_string)
                        && items.iter().filter_map(Value::as_str).any(suffices)
                }
                _ => false,
            }
        })
    }
}

/// RFC 6749 §3.3: what a scope may be written with, and so what a challenge can carry.
pub(crate) fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'))
}

fn is_recent(at: UnixTime, limit: Duration, now: UnixTime, leeway: Duration) -> bool {
    at <= now.saturating_add(leeway)
        && now.saturating_since(at).as_secs() <= limit.as_secs().saturating_add(leeway.as_secs())
}
