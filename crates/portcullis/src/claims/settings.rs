use core::fmt;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::error::{ClaimName, ClaimsError};
use crate::json::{Json, JsonText};
use crate::setting::{Setting, Voice};
use crate::token::{Binding, Parts};
use crate::verified::VerifiedToken;

/// See [`ClaimRules::leeway`].
pub(crate) const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);

/// See [`ClaimRules::max_lifetime`].
pub(crate) const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest lifetime that a policy allows without [`dangerous`](crate::dangerous): the longest that
/// providers let operators choose for an access token (Auth0: 2,592,000 s).
pub(crate) const LONGEST_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a policy, or one issuer of it, asks of claims.
///
/// ```
/// use std::time::Duration;
/// use portcullis::{ClaimRules, ClaimValue};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Tenant { tenant: String, suspended: bool }
///
/// let rules = ClaimRules::new()
///     .max_lifetime(Duration::from_secs(15 * 60))
///     .require("sub")
///     .forbid("act")
///     .exact("token_use", "access")
///     .one_of("region", ["eu", "us"])
///     .predicate("tenant is not suspended", |claims: &Tenant| !claims.suspended);
/// # let _ = rules;
/// ```
///
/// Setters may be called in any order, and rules add up: all of them hold. Of a duration there is
/// one: another is a fault of the policy. Rules of an issuer stand above those of the policy where
/// both name a duration; all other rules of both hold.
#[derive(Clone, Default)]
#[must_use]
pub struct ClaimRules {
    pub(crate) leeway: Setting<Duration>,
    pub(crate) max_lifetime: Setting<MaxLifetime>,
    pub(crate) max_age: Setting<Duration>,
    values: Vec<(Box<str>, ValueRule)>,
    predicates: Vec<Predicate>,
}

/// A bound on the lifetime of tokens: a [`Duration`], or by [`dangerous`](crate::dangerous) a
/// [longer one](crate::dangerous::long_lifetime) or [none](crate::dangerous::unlimited_lifetime).
///
/// ```compile_fail
/// # use portcullis::claims::MaxLifetime;
/// # use portcullis::ClaimRules;
/// let any = MaxLifetime { limit: None, is_dangerous: true };
/// let rules = ClaimRules::new().max_lifetime(any);
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaxLifetime {
    pub(crate) limit: Option<Duration>,
    pub(crate) is_dangerous: bool,
}

impl MaxLifetime {
    /// The one of both that lets tokens live longer.
    pub(crate) fn longer(self, other: Self) -> Self {
        match (self.limit, other.limit) {
            (Some(own), Some(theirs)) if own < theirs => other,
            (Some(_), None) => other,
            _ => self,
        }
    }
}

impl From<Duration> for MaxLifetime {
    fn from(limit: Duration) -> Self {
        Self { limit: Some(limit), is_dangerous: false }
    }
}

#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
enum ValueRule {
    Required,
    Forbidden,
    OneOf(Arc<[ClaimValue]>),
}

impl ValueRule {
    fn is_met_by(&self, value: Option<JsonText<'_>>) -> bool {
        match self {
            // RFC 7519 gives `null` no meaning; a claim that says nothing is as good as none.
            Self::Required => value.is_some_and(|value| value.scalar() != Json::Null),
            Self::Forbidden => value.is_none(),
            Self::OneOf(allowed) => value.is_some_and(|value| {
                let value = value.scalar();
                allowed.iter().any(|one| one.is(&value))
            }),
        }
    }
}

#[derive(Clone)]
struct Predicate {
    name: Arc<str>,
    holds: Arc<dyn Fn(&VerifiedToken) -> bool + Send + Sync>,
}

/// A value that a claim is compared with.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ClaimValue {
    /// A string, byte by byte.
    String(String),
    /// A number written without fraction and exponent.
    Integer(i64),
    /// `true` or `false`.
    Bool(bool),
}

impl From<&str> for ClaimValue {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for ClaimValue {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<i64> for ClaimValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for ClaimValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl ClaimValue {
    pub(crate) fn is(&self, json: &Json<'_>) -> bool {
        match (self, json) {
            (Self::String(own), Json::String(theirs)) => own == theirs,
            (Self::Integer(own), Json::Integer(theirs)) => i128::from(*own) == *theirs,
            (Self::Bool(own), Json::Bool(theirs)) => own == theirs,
            _ => false,
        }
    }
}

impl ClaimRules {
    /// No rules but the defaults of the setters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tolerates clocks that differ by `leeway`, whole seconds, at most 10 minutes.
    ///
    /// Times are compared in whole seconds: those of a token and the clock's are rounded down. So a token that
    /// was issued within this second passes without any leeway, and a fraction never lengthens a token's life,
    /// nor does it make a token younger for [`max_age`](Self::max_age) and revocation.
    ///
    /// If you do not call it: 30 s, several times what synchronised clocks differ, and short beside any
    /// token's life (RFC 7519 §4.1.4: "no more than a few minutes").
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway.say(Voice::Plain, leeway);
        self
    }

    /// Refuses a token that was made to live longer: `exp` less `iat`, or less the present where
    /// there is no `iat`. 1 s to 30 days, which is the longest that providers let operators choose.
    ///
    /// If you do not call it: 24 h, so that a token with an `exp` in ten years never passes by accident.
    /// Access tokens should live 5 to 15 minutes. Longer than 30 days:
    /// [`dangerous::long_lifetime`](crate::dangerous::long_lifetime); no bound at all:
    /// [`dangerous::unlimited_lifetime`](crate::dangerous::unlimited_lifetime).
    pub fn max_lifetime(mut self, limit: impl Into<MaxLifetime>) -> Self {
        self.max_lifetime.say(Voice::Plain, limit.into());
        self
    }

    /// Refuses a token that was issued longer ago, by `iat`, which it then must have.
    ///
    /// If you do not call it: the lifetime alone bounds its age.
    pub fn max_age(mut self, limit: Duration) -> Self {
        self.max_age.say(Voice::Plain, limit);
        self
    }

    /// Requires a claim, of whatever value but `null`.
    pub fn require(self, claim: impl Into<String>) -> Self {
        self.value(claim.into(), ValueRule::Required)
    }

    /// Refuses a token that has a claim, of whatever value.
    pub fn forbid(self, claim: impl Into<String>) -> Self {
        self.value(claim.into(), ValueRule::Forbidden)
    }

    /// Requires a claim to be exactly this string, integer or boolean.
    ///
    /// Where an issuer marks its ID and refresh tokens by a claim of its own, name the access
    /// token's: `exact("typ", "Bearer")` for Keycloak, `exact("token_use", "access")` for Cognito.
    pub fn exact(self, claim: impl Into<String>, value: impl Into<ClaimValue>) -> Self {
        self.one_of(claim, [value])
    }

    /// Requires a claim to be exactly one of these values. An array is none of them.
    pub fn one_of<V: Into<ClaimValue>>(
        self,
        claim: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        let values: BTreeSet<_> = values.into_iter().map(Into::into).collect();
        self.value(claim.into(), ValueRule::OneOf(values.into_iter().collect()))
    }

    /// Requires that the claims, read as a `T`, satisfy a predicate. `name` says in logs what was
    /// not met, and predicates are asked in the order of their names. Claims that are no `T` do not
    /// satisfy it.
    ///
    /// A handler that asks for the same `T` gets the value that was read here.
    pub fn predicate<T>(
        mut self,
        name: impl Into<String>,
        holds: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let holds =
            move |token: &VerifiedToken| token.claims::<T>().is_ok_and(|claims| holds(&claims));
        self.predicates.push(Predicate { name: name.into().into(), holds: Arc::new(holds) });
        self
    }

    fn value(mut self, claim: String, rule: ValueRule) -> Self {
        self.values.push((claim.into_boxed_str(), rule));
        self
    }

    /// Says what `other` says.
    pub(crate) fn add(&mut self, voice: Voice, other: Self) {
        let Self { leeway, max_lifetime, max_age, values, predicates } = other;
        self.leeway.add(voice, leeway);
        self.max_lifetime.add(voice, max_lifetime);
        self.max_age.add(voice, max_age);
        self.values.extend(values);
        self.predicates.extend(predicates);
    }

    /// These rules where they say something, and else those of `base`.
    pub(crate) fn over(&self, base: &Self) -> Self {
        Self {
            leeway: self.leeway.over(&base.leeway),
            max_lifetime: self.max_lifetime.over(&base.max_lifetime),
            max_age: self.max_age.over(&base.max_age),
            values: base.values.iter().chain(&self.values).cloned().collect(),
            predicates: base.predicates.iter().chain(&self.predicates).cloned().collect(),
        }
    }

    /// Settings of which two different words were said.
    pub(crate) fn contradicted(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("leeway", self.leeway.is_contradicted()),
            ("max_lifetime", self.max_lifetime.is_contradicted()),
            ("max_age", self.max_age.is_contradicted()),
        ];
        all.into_iter().filter_map(|(setting, is_contradicted)| is_contradicted.then_some(setting))
    }

    /// Whether a rule is about the claim of no name.
    pub(crate) fn has_nameless(&self) -> bool {
        self.values.iter().any(|(claim, _)| claim.is_empty())
    }

    pub(crate) fn forbids(&self, claim: &str) -> bool {
        self.about(claim).any(|rule| *rule == ValueRule::Forbidden)
    }

    pub(crate) fn asks_for(&self, claim: &str) -> bool {
        self.about(claim).any(|rule| *rule != ValueRule::Forbidden)
    }

    /// Whether a claim can have a value that these rules allow, where it can have only such as `is_possible`.
    pub(crate) fn allow_some(
        &self,
        claim: &str,
        is_possible: impl Fn(&ClaimValue) -> bool,
    ) -> bool {
        self.lists(claim).all(|values| values.iter().any(&is_possible))
    }

    fn about(&self, claim: &str) -> impl Iterator<Item = &ValueRule> {
        self.values.iter().filter(move |(own, _)| **own == *claim).map(|(_, rule)| rule)
    }

    /// The values that each rule about a claim allows.
    fn lists(&self, claim: &str) -> impl Iterator<Item = &[ClaimValue]> {
        self.about(claim).filter_map(|rule| match rule {
            ValueRule::OneOf(values) => Some(&**values),
            ValueRule::Required | ValueRule::Forbidden => None,
        })
    }

    /// Claims about which no token could meet all rules.
    pub(crate) fn contradictions(&self) -> impl Iterator<Item = &str> {
        let names: BTreeSet<&str> = self.values.iter().map(|(claim, _)| &**claim).collect();
        names.into_iter().filter(|name| {
            let is_empty = self.lists(name).next().is_some_and(|first| {
                !first.iter().any(|value| self.lists(name).all(|values| values.contains(value)))
            });
            is_empty || (self.forbids(name) && self.asks_for(name))
        })
    }

    pub(crate) fn compile(self, takes_bound: TakesBound) -> CompiledRules {
        let Self { leeway, max_lifetime, max_age, values, mut predicates } = self;
        // In an order of their own, so that the setters' does not decide what is asked first.
        let values: BTreeSet<_> = values.into_iter().collect();
        predicates.sort_by(|one, other| one.name.cmp(&other.name));
        CompiledRules {
            leeway: leeway.get().copied().unwrap_or(DEFAULT_LEEWAY),
            max_lifetime: max_lifetime.get().copied().unwrap_or(DEFAULT_MAX_LIFETIME.into()).limit,
            max_age: max_age.get().copied(),
            takes_bound,
            values: values.into_iter().collect(),
            predicates,
        }
    }
}

impl fmt::Debug for ClaimRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimRules")
            .field("leeway", &self.leeway)
            .field("max_lifetime", &self.max_lifetime)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// Which bound tokens are taken, since somebody checks that their sender has what they are bound to.
#[derive(Clone, Copy, Default)]
pub(crate) struct TakesBound {
    pub(crate) to_keys: bool,
    pub(crate) to_certificates: bool,
}

impl TakesBound {
    /// Whether all that a token is bound to is checked.
    pub(crate) fn has_all_of(self, binding: &Binding) -> bool {
        (self.to_keys || binding.key.is_none())
            && (self.to_certificates || binding.certificate.is_none())
            && !binding.is_other
    }
}

/// Rules as the pipeline uses them, every default filled in.
#[cfg_attr(feature = "remote-jwks", derive(Clone))]
pub(crate) struct CompiledRules {
    pub(crate) leeway: Duration,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) takes_bound: TakesBound,
    values: Vec<(Box<str>, ValueRule)>,
    predicates: Vec<Predicate>,
}

impl CompiledRules {
    pub(super) fn check_values(&self, parts: &Parts) -> Result<(), ClaimsError> {
        for (name, rule) in &self.values {
            if !rule.is_met_by(parts.claim(name)) {
                let name = Arc::from(&**name);
                return Err(ClaimsError::Rule(match rule {
                    ValueRule::Required => ClaimName::Required(name),
                    ValueRule::Forbidden => ClaimName::Forbidden(name),
                    ValueRule::OneOf(_) => ClaimName::Value(name),
                }));
            }
        }
        Ok(())
    }

    // On the way of every remembered token, where most policies have none.
    #[inline]
    pub(super) fn check_predicates(&self, token: &VerifiedToken) -> Result<(), ClaimsError> {
        match self.predicates.iter().find(|predicate| !(predicate.holds)(token)) {
            Some(predicate) => {
                Err(ClaimsError::Rule(ClaimName::Predicate(Arc::clone(&predicate.name))))
            }
            None => Ok(()),
        }
    }
}

#[cfg(feature = "explain")]
impl CompiledRules {
    /// The claims that must or must not be there, in words, and whether a token has it so.
    pub(crate) fn each_value<'a>(
        &'a self,
        parts: &'a Parts,
    ) -> impl Iterator<Item = (&'a str, String, bool)> {
        let values = self.values.iter();
        values.map(|(name, rule)| (&**name, rule.to_string(), rule.is_met_by(parts.claim(name))))
    }

    /// The same without a token.
    pub(crate) fn values(&self) -> impl Iterator<Item = String> {
        self.values.iter().map(|(name, rule)| format!("`{name}` {rule}"))
    }

    pub(crate) fn predicate_names(&self) -> impl Iterator<Item = &str> {
        self.predicates.iter().map(|predicate| &*predicate.name)
    }
}

#[cfg(feature = "explain")]
impl fmt::Display for ValueRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required => f.write_str("there, and not null"),
            Self::Forbidden => f.write_str("absent"),
            Self::OneOf(values) => {
                let values = values.iter().map(|value| match value {
                    ClaimValue::String(text) => format!("{text:?}"),
                    ClaimValue::Integer(number) => number.to_string(),
                    ClaimValue::Bool(value) => value.to_string(),
                });
                write!(f, "one of {}", values.collect::<Vec<_>>().join(", "))
            }
        }
    }
}
