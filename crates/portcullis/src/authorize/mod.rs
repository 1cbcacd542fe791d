//! What a route asks of a verified token beyond the policy.
//!
//! A requirement passes if
//!
//! 1. the policy in front of the route verified a token, and the requirement makes sense;
//! 2. the token has what the requirement asks for: all parts of an *and*, one of an *or*, and nothing that is
//!    excluded.
//!
//! Of each part there are three answers: met, not met, and *cannot be told*, where a claim is there that cannot be
//! read as what it should be. What cannot be told does not pass, and neither does its exclusion: a list of groups
//! that is not a list excludes nobody by accident. A claim that is absent is not met.
//!
//! It is decided by the claims as they were signed, and by the policy's clock. What is missing is told all at
//! once: a client that has to come back for a second scope asks its user twice.
//!
//! Claims do not change, so a token that is remembered remembers also what it met. What goes by the clock, by a
//! predicate or by what one scope implies is decided each time.
#[cfg(feature = "openapi")]
mod alternatives;
mod held;
mod path;
mod typed;

use core::fmt;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use serde::de::DeserializeOwned;

#[cfg(feature = "openapi")]
pub(crate) use self::alternatives::Alternative;
pub use self::path::ClaimPath;
use self::path::{find, hides_in};
pub use self::typed::Requires;
use crate::claims::ClaimValue;
use crate::error::{Error, Forbidden, Remedy, RequirementFault};
use crate::json::{Json, JsonText, Quoted};
pub use crate::text::is_scope;
use crate::time::{UnixTime, numeric_date};
use crate::verified::VerifiedToken;

/// What a route asks of a verified token beyond the policy. The same value goes into a layer
/// ([`RequireLayer`](crate::tower::RequireLayer), and `Require` in actix-web), into an extractor by its type
/// ([`Requires`]), and into a plain call ([`check`](Self::check)).
///
/// ```
/// use std::time::Duration;
/// use portcullis::{Algorithm, Error, Requirement};
/// use portcullis_testkit::TestIssuer;
///
/// let refund = Requirement::scope("orders:write")
///     .and(
///         Requirement::role(["realm_access", "roles"], "accountant")
///             .or(Requirement::client("robot")),
///     )
///     .and(Requirement::max_age(Duration::from_secs(600)));
///
/// let issuer = TestIssuer::new("https://id.example");
/// let policy = issuer.policy();
/// let token = issuer
///     .token(Algorithm::ES256)
///     .claim("scope", "orders:read orders:write");
///
/// let robot = policy
///     .verify_token_now(token.clone().claim("client_id", "robot").mint())?;
/// let Err(Error::Forbidden(forbidden)) = refund.check(&robot) else {
///     panic!()
/// };
/// assert_eq!(
///     forbidden.missing().collect::<Vec<_>>(),
///     ["an authentication of the user in the last 600 s"]
/// );
/// # Ok::<_, Error>(())
/// ```
///
/// There is no operator for *not*, since `!a.and(b)` would mean `!(a.and(b))`. What is excluded is said by a name:
/// [`and_not`](Self::and_not) beside what is asked for, or [`anyone_but`](Self::anyone_but) alone.
///
/// ```
/// use portcullis::Requirement;
///
/// let write = Requirement::scope("orders:write")
///     .and_not(Requirement::role("groups", "suspended"));
/// assert_eq!(
///     write.to_string(),
///     "the scope `orders:write` and anything but `suspended` at `groups`"
/// );
/// ```
///
/// ```compile_fail
/// # use portcullis::Requirement;
/// let suspended = Requirement::role("groups", "suspended");
/// let write = !suspended.and(Requirement::scope("orders:write"));
/// ```
///
/// Made from texts of your own, not from what a request says. One that says nothing (a list of no scopes), or
/// what no challenge can carry, is met by nobody: its route answers 500, and [`fault`](Self::fault) says why.
#[derive(Clone)]
#[must_use]
pub struct Requirement {
    node: Arc<Node>,
    /// By which a token remembers that it met this. `None`: it may be met at one time and not at another.
    number: Option<NonZeroU64>,
}

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

type TokenPredicate = dyn Fn(&VerifiedToken) -> Met + Send + Sync;

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
    /// Scopes are in the claims `scope` and `scp`, or in those that
    /// [`Issuer::scope_claims`](crate::Issuer::scope_claims) names: a string, split at single spaces and nothing
    /// else (RFC 8693 §4.2), or a list of strings, as several providers send it, each of which is one scope
    /// and is not split. What one scope implies,
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
    ///
    /// Under an exclusion a token without the claim passes: where that must not be, ask for the claim in the
    /// policy ([`ClaimRules::require`](crate::ClaimRules::require)).
    pub fn role(path: impl Into<ClaimPath>, role: impl Into<String>) -> Self {
        let (path, role) = (path.into(), role.into());
        if let Some(fault) = path.fault() {
            return Self::faulty(fault);
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
        if let Some(fault) = path.fault() {
            return Self::faulty(fault);
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

    /// Claims that, read as a `T`, satisfy a predicate. `name` says in logs what was not met. Of claims that are
    /// not a `T` it cannot be told: they do not pass, under an exclusion either. What the provider left out of the token
    /// is absent here, whatever `_claim_names` says: let `T` ask for what an exclusion goes by, without a default.
    ///
    /// A handler that asks for the same `T` gets the value that was read here.
    pub fn predicate<T>(
        name: impl Into<String>,
        holds: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let holds = move |token: &VerifiedToken| match token.claims_if_shaped::<T>() {
            Some(claims) => Met::from(holds(&claims)),
            None => Met::Unknown,
        };
        Self::leaf(Asks::Predicate(Arc::new(holds)), name.into())
    }

    /// This and `other`.
    pub fn and(self, other: Self) -> Self {
        let mut parts = match &*self.node {
            Node::All(parts) => parts.clone(),
            _ => vec![self],
        };
        parts.push(other);
        Self::combine(parts, Node::All)
    }

    /// This or `other`. Clients are told the first that they can do something about.
    pub fn or(self, other: Self) -> Self {
        let mut parts = match &*self.node {
            Node::Any(parts) => parts.clone(),
            _ => vec![self],
        };
        parts.push(other);
        Self::combine(parts, Node::Any)
    }

    /// This, but not `excluded`.
    pub fn and_not(self, excluded: Self) -> Self {
        self.and(Self::anyone_but(excluded))
    }

    /// A token that does not meet `excluded`, whatever else it has or lacks: every other token that the policy
    /// accepts passes. One of which it cannot be told does not.
    pub fn anyone_but(excluded: Self) -> Self {
        match excluded.fault() {
            Some(_) => excluded,
            None => Self::of(Node::Not(excluded)),
        }
    }

    /// Why nobody can meet it, if so: for a test, or when a service starts.
    pub fn fault(&self) -> Option<&RequirementFault> {
        match &*self.node {
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
        // What one scope implies is for the policy to say, each time.
        let number = self.number.filter(|_| token.terms().policy.scope_implies.is_none());
        if number.is_some_and(|number| token.has_met(number)) {
            return Ok(());
        }
        // One at fault is met by nobody.
        if self.is_met_by(token) != Met::Yes {
            return Err(self.refuse(token));
        }
        if let Some(number) = number {
            token.remember_met(number);
        }
        Ok(())
    }

    #[cold]
    fn refuse(&self, token: &VerifiedToken) -> Error {
        if let Some(fault) = self.fault() {
            return Error::Requirement(fault.clone());
        }
        let Examined { missing, remedy } = self.examine(token);
        Error::Forbidden(Forbidden::new(missing, remedy))
    }

    fn of(node: Node) -> Self {
        /// No number is given twice: it takes centuries to come to the end of them.
        static NEXT: AtomicU64 = AtomicU64::new(1);

        let number = node.is_decided_by_claims_alone();
        let number = number.then(|| NEXT.fetch_add(1, Ordering::Relaxed));
        Self { node: Arc::new(node), number: number.and_then(NonZeroU64::new) }
    }

    fn leaf(asks: Asks, words: String) -> Self {
        Self::of(Node::Leaf { asks, words: words.into() })
    }

    fn faulty(fault: RequirementFault) -> Self {
        Self::of(Node::Faulty(fault))
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
            None => Self::of(node(parts)),
        }
    }

    fn is_met_by(&self, token: &VerifiedToken) -> Met {
        match &*self.node {
            Node::All(parts) => Met::all(parts.iter().map(|part| part.is_met_by(token))),
            Node::Any(parts) => Met::any(parts.iter().map(|part| part.is_met_by(token))),
            Node::Not(part) => part.is_met_by(token).not(),
            Node::Leaf { asks, .. } => asks.are_met_by(token),
            Node::Faulty(_) => Met::Unknown,
        }
    }

    /// What is missing, and what it takes. No part is left out because another is missing.
    fn examine(&self, token: &VerifiedToken) -> Examined {
        match &*self.node {
            Node::All(parts) => {
                let parts = parts.iter().map(|part| part.examine(token));
                parts.reduce(Examined::and).unwrap_or_default()
            }
            Node::Any(parts) => {
                let parts = parts.iter().map(|part| part.examine(token));
                Examined::any(parts.collect())
            }
            Node::Leaf { asks, words } => {
                let met = asks.are_met_by(token);
                Examined { missing: met.missing(words), remedy: asks.remedy(met == Met::Yes) }
            }
            Node::Not(_) | Node::Faulty(_) => {
                let missing = self.is_met_by(token).missing(self);
                let remedy = Remedy { is_out_of_reach: !missing.is_empty(), ..Remedy::default() };
                Examined { missing, remedy }
            }
        }
    }
}

impl Node {
    /// Whether the same token meets it always or never, so far as no scope implies another.
    fn is_decided_by_claims_alone(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().all(|part| part.number.is_some()),
            Self::Not(part) => part.number.is_some(),
            Self::Leaf { asks, .. } => match asks {
                Asks::Scope(_)
                | Asks::Listed { .. }
                | Asks::Value { .. }
                | Asks::Acr(_)
                | Asks::Subject(_)
                | Asks::Client(_)
                | Asks::Issuer(_) => true,
                Asks::MaxAge(_) | Asks::Predicate(_) => false,
            },
            Self::Faulty(_) => false,
        }
    }
}

/// Whether a token has what is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Met {
    Yes,
    No,
    /// It cannot be told: a claim is there that cannot be read as what it should be.
    Unknown,
}

impl Met {
    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }

    fn all(parts: impl Iterator<Item = Self>) -> Self {
        Self::any(parts.map(Self::not)).not()
    }

    /// One that is met will do, whatever is unknown of the others.
    fn any(parts: impl Iterator<Item = Self>) -> Self {
        let mut met = Self::No;
        for part in parts {
            match part {
                Self::Yes => return Self::Yes,
                Self::Unknown => met = Self::Unknown,
                Self::No => {}
            }
        }
        met
    }

    /// Whether one of the names in a list will do. Where not all of them are strings, or one hides `name`, it cannot
    /// be told.
    fn listed(value: JsonText<'_>, will_do: impl Fn(Quoted<'_>) -> bool, name: &str) -> Self {
        if !value.is_list() {
            return Self::Unknown;
        }
        let mut met = Self::No;
        for own in value.strings() {
            match own {
                None => return Self::Unknown,
                Some(own) if met == Self::No && will_do(own) => met = Self::Yes,
                Some(_) => {}
            }
        }
        // Most often one does, and the others need no closer look.
        met.unless(|| value.strings().flatten().any(|own| hides_in(&own.decoded(), name)))
    }

    /// This, or *cannot be told* where it is not met and `hides`.
    fn unless(self, hides: impl FnOnce() -> bool) -> Self {
        if self == Self::No && hides() { Self::Unknown } else { self }
    }

    /// What is missing for it, in words.
    fn missing(self, words: &(impl fmt::Display + ?Sized)) -> Vec<Arc<str>> {
        match self {
            Self::Yes => Vec::new(),
            Self::No => vec![words.to_string().into()],
            Self::Unknown => vec![format!("{words}, which its claims do not tell").into()],
        }
    }
}

impl From<bool> for Met {
    fn from(is_met: bool) -> Self {
        if is_met { Self::Yes } else { Self::No }
    }
}

/// What it asks for, in words: ``the scope `a` and (the scope `b` or the client `c`)``. A subject, and the value
/// of a claim, is not told.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            parts.iter().enumerate().try_for_each(|(index, part)| {
                f.write_str(if index > 0 { word } else { "" })?;
                match &*part.node {
                    Node::All(_) | Node::Any(_) => write!(f, "({part})"),
                    Node::Not(_) | Node::Leaf { .. } | Node::Faulty(_) => part.fmt(f),
                }
            })
        };
        match &*self.node {
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
struct Examined {
    /// Nothing: it is met.
    missing: Vec<Arc<str>>,
    /// What the token has of it included: a new one needs it as well.
    remedy: Remedy,
}

impl Examined {
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
    fn are_met_by(&self, token: &VerifiedToken) -> Met {
        match self {
            Self::Scope(scope) => has_scope(token, scope),
            Self::Listed { path, item } => path.lists(token, item),
            Self::Value { path, value } => path.find(token).is(|own| has_value(own, value)),
            Self::Acr(values) => find(token, "acr").is(|own| match own.string() {
                Some(acr) => values.iter().any(|value| **value == *acr).into(),
                None => Met::Unknown,
            }),
            Self::MaxAge(limit) => {
                find(token, "auth_time").is(|own| match numeric_date(own.as_written()) {
                    Some(at) => is_recent(at, *limit, token),
                    None => Met::Unknown,
                })
            }
            Self::Subject(subject) => is_named(token, ("sub", token.subject()), subject),
            Self::Client(client) => is_named(token, ("client_id", token.client_id()), client),
            Self::Issuer(issuer) => (token.issuer() == &**issuer).into(),
            Self::Predicate(holds) => holds(token),
        }
    }

    fn remedy(&self, is_met: bool) -> Remedy {
        let remedy = Remedy::default();
        match self {
            Self::Scope(scope) => {
                Remedy { scopes: vec![Arc::clone(scope)], needs_scope: !is_met, ..remedy }
            }
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

/// Whether a claim that was read with the token says this. Of one that stands elsewhere it cannot be told.
fn is_named(token: &VerifiedToken, (claim, own): (&str, Option<&str>), name: &str) -> Met {
    match own {
        Some(own) => (own == name).into(),
        None => find(token, claim).is(|_| Met::Unknown),
    }
}

/// Exactly this string, integer or boolean. Of a value of another type it cannot be told.
fn has_value(own: JsonText<'_>, value: &ClaimValue) -> Met {
    let own = own.scalar();
    match (&own, value) {
        (Json::String(_), ClaimValue::String(_))
        | (Json::Integer(_), ClaimValue::Integer(_))
        | (Json::Bool(_), ClaimValue::Bool(_)) => value.is(&own).into(),
        _ => Met::Unknown,
    }
}

fn has_scope(token: &VerifiedToken, scope: &str) -> Met {
    let terms = token.terms();
    let implies = terms.policy.scope_implies.as_deref();
    let is_implied_by =
        |held: &str| implies.is_some_and(|implies| is_scope(held) && implies(held, scope));
    // RFC 6749 §3.3: single spaces. Whatever else looks like one is part of a name.
    let in_text = |text: &str| {
        let met = text.split(' ').any(|own| own == scope || is_implied_by(own)).into();
        Met::unless(met, || text.split(' ').any(|own| hides_in(own, scope)))
    };
    let in_list = |own: Quoted<'_>| own.is(scope) || is_implied_by(&own.decoded());
    let claims = terms.scope_claims.iter().map(|name| {
        find(token, name).is(|value| {
            if value.has_word(scope) {
                return Met::Yes;
            }
            match value.string() {
                Some(text) => in_text(&text),
                None => Met::listed(value, in_list, scope),
            }
        })
    });
    Met::any(claims)
}

/// Whether `at` is at most `limit` and the leeway ago. An instant in the future tells nothing.
fn is_recent(at: UnixTime, limit: Duration, token: &VerifiedToken) -> Met {
    let (now, leeway) = (token.terms().policy.clock.now(), token.terms().leeway);
    if at > now.saturating_add(leeway) {
        return Met::Unknown;
    }
    let limit = limit.as_secs().saturating_add(leeway.as_secs());
    (now.saturating_since(at).as_secs() <= limit).into()
}
