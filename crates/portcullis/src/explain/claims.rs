//! The rules about claims one by one: what each needs, in words, beside what the token has.
use serde_json::{Map, Value};

use super::{ClaimCheck, instant, listed};
use crate::claims::{
    AudienceRule, CompiledRules, IssuerRules, StandardRule, TakesBound, TokenType, age, lifetime,
};
use crate::error::{ClaimName, ClaimsError, Error};
use crate::time::{InWords, ToTheSecond, UnixTime};
use crate::token::Parts;

/// A token beside the rules that its claims are held to.
pub(super) struct Claims<'a> {
    pub(super) parts: &'a Parts,
    pub(super) header: Option<&'a Map<String, Value>>,
    pub(super) claims: Option<&'a Map<String, Value>>,
    pub(super) rules: &'a IssuerRules,
    pub(super) now: UnixTime,
}

/// By which name a rule is listed, what it needs, and what the token has.
type Words = (&'static str, String, Option<String>);

impl Claims<'_> {
    /// Every rule that [`check`](crate::claims::check) walks, but for predicates, in its order, and whether it is met.
    pub(super) fn explain(&self) -> Vec<ClaimCheck> {
        let Self { parts, rules, now, .. } = *self;
        let standard = StandardRule::ALL.iter().filter_map(|rule| {
            let (name, needs, has) = self.words(*rule)?;
            let is_met = rule.check(parts, rules, now).is_ok();
            Some(ClaimCheck::new(name, needs, has, Some(is_met)))
        });
        let values = rules.claims.each_value(parts).map(|(name, needs, is_met)| {
            ClaimCheck::new(name, needs, self.value(name), Some(is_met))
        });
        standard.chain(values).collect()
    }

    /// `None`: the rule asks nothing of this token.
    fn words(&self, rule: StandardRule) -> Option<Words> {
        let Self { parts, rules, now, .. } = *self;
        let (claims, limits) = (&parts.payload, &rules.claims);
        let leeway = format!("; leeway {}", InWords(limits.leeway));
        let absent = |claim, why| (claim, format!("absent: {why}"), self.value(claim));
        let time = |at| instant(at, now);
        let exact = |duration| ToTheSecond(duration).to_string();
        Some(match rule {
            StandardRule::IdType => {
                let claim = claims.numeric_id.filter(|_| !rules.numeric_ids)?;
                (claim, "a string (RFC 7519)".to_owned(), self.value(claim))
            }
            StandardRule::Type => {
                let has = self.header.and_then(|header| header.get("typ")).map(Value::to_string);
                ("typ", TokenType::names(&rules.types).to_owned(), has)
            }
            StandardRule::Audience => match &rules.audience {
                AudienceRule::Audiences(ours) => ("aud", listed(ours), self.value("aud")),
                AudienceRule::ClientIds(ours) => {
                    let needs = format!("{}, and no `aud`", listed(ours));
                    let aud = self.value("aud").map(|aud| format!("`aud` {aud}"));
                    ("client_id", needs, aud.or(self.value("client_id")))
                }
            },
            StandardRule::Expiry => {
                ("exp", format!("later than now, {now}{leeway}"), claims.expires_at.map(time))
            }
            StandardRule::Kind => {
                absent(claims.other_kind()?, "says that it is not an access token")
            }
            StandardRule::NotBefore => {
                let from = claims.not_before?;
                ("nbf", format!("not later than now, {now}{leeway}"), Some(time(from)))
            }
            StandardRule::IssuedAt => {
                let from = claims.issued_at?;
                ("iat", format!("not later than now, {now}{leeway}"), Some(time(from)))
            }
            StandardRule::Lifetime => {
                let needs = format!("at most {}", ToTheSecond(limits.max_lifetime?));
                ("lifetime", needs, lifetime(parts, now).map(exact))
            }
            StandardRule::Age => {
                let needs = format!("at most {}{leeway}", ToTheSecond(limits.max_age?));
                ("age", needs, age(parts, now).map(exact))
            }
            StandardRule::SenderConstraint => {
                claims.binding.as_ref()?;
                match taken_bindings(rules.claims.takes_bound) {
                    Some(needs) => ("cnf", needs.to_owned(), self.value("cnf")),
                    None => absent("cnf", "nobody checks that the sender has the key"),
                }
            }
            StandardRule::Profile(claim) if rules.takes_access_tokens_only() => {
                (claim.name(), "there (RFC 9068)".to_owned(), self.value(claim.name()))
            }
            // The rules were looked up by the issuer.
            StandardRule::Issuer | StandardRule::Profile(_) => return None,
        })
    }

    /// A claim as JSON.
    fn value(&self, claim: &str) -> Option<String> {
        self.claims.and_then(|claims| claims.get(claim)).map(Value::to_string)
    }
}

/// What a policy takes of what a token is bound to. `None`: nothing.
fn taken_bindings(taken: TakesBound) -> Option<&'static str> {
    match (taken.to_keys, taken.to_certificates) {
        (true, true) => {
            Some("`jkt`, and a proof of the key, `x5t#S256`, and that certificate, or both")
        }
        (true, false) => Some("`jkt` alone, and a proof of the key"),
        (false, true) => Some("`x5t#S256` alone, and that certificate"),
        (false, false) => None,
    }
}

/// What became of the predicates, where they were asked: they are the last thing that is.
pub(super) fn explain_predicates(
    rules: &CompiledRules,
    passed: bool,
    error: Option<&Error>,
) -> Vec<ClaimCheck> {
    let failed = match error {
        Some(Error::Claims(ClaimsError::Rule(ClaimName::Predicate(name)))) => Some(&**name),
        _ => None,
    };
    let check = |name: &str| {
        let met = if failed == Some(name) { Some(false) } else { passed.then_some(true) };
        ClaimCheck::new(name, "to hold".to_owned(), None, met)
    };
    rules.predicate_names().map(check).collect()
}
