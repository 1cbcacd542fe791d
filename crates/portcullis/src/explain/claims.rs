//! The rules about claims one by one, each by the function that decides, or its words.
use crate::error::{Claim, ClaimsError, Error};
use core::fmt::Display;

use serde_json::{Map, Value};

use super::{ClaimCheck, duration, instant, listed};
use crate::claims::{
    AudienceRule, CompiledRules, IssuerRules, TokenType, check_expiry, check_type,
};
use crate::time::UnixTime;
use crate::token::Parts;

/// What [`check`](crate::claims::check) asks, but for predicates, in its order.
pub(super) fn explain_claims(
    parts: &Parts,
    header: Option<&Map<String, Value>>,
    claims: Option<&Map<String, Value>>,
    expected: &IssuerRules,
    now: UnixTime,
) -> Vec<ClaimCheck> {
    let rules = &expected.claims;
    let payload = &parts.payload;
    let value = |name: &str| claims.and_then(|claims| claims.get(name)).map(Value::to_string);
    let typ = header.and_then(|header| header.get("typ")).map(Value::to_string);
    let leeway = format!("; leeway {}", duration(rules.leeway));
    let time = |at: Option<UnixTime>| at.map(|at| instant(at, now));
    let horizon = now.saturating_add(rules.leeway);
    let mut checks = Checks(Vec::new());

    let types = expected.types.iter().map(|accepted| match accepted {
        TokenType::Jwt => "`JWT` or none",
        TokenType::AccessToken => "`at+jwt`",
    });
    checks.add(
        "typ",
        types.collect::<Vec<_>>().join(", "),
        typ,
        check_type(parts, expected).is_ok(),
    );
    let is_for_us = expected.audience.check(parts).is_ok();
    match &expected.audience {
        AudienceRule::Audiences(ours) => {
            checks.add("aud", listed(ours), value("aud"), is_for_us);
        }
        AudienceRule::ClientIds(ours) => {
            let needs = format!("{}, and no `aud`", listed(ours));
            let has = value("aud").map(|aud| format!("`aud` {aud}")).or(value("client_id"));
            checks.add("client_id", needs, has, is_for_us);
        }
    }
    let needs = format!("later than now, {now}{leeway}");
    checks.add("exp", needs, time(payload.expires_at), check_expiry(parts, rules, now).is_ok());
    if let Some(claim) = payload.other_kind() {
        let needs = "absent: says that it is no access token".to_owned();
        checks.add(claim, needs, value(claim), false);
    }
    for (claim, at) in [("nbf", payload.not_before), ("iat", payload.issued_at)] {
        if at.is_some() {
            let needs = format!("not later than now, {now}{leeway}");
            checks.add(claim, needs, time(at), at.is_none_or(|at| at <= horizon));
        }
    }
    if let Some(limit) = rules.max_lifetime {
        let from = payload.issued_at.unwrap_or(now);
        let lifetime = payload.expires_at.map(|end| end.saturating_since(from));
        let needs = format!("at most {}", duration(limit));
        let is_met = lifetime.is_none_or(|lifetime| lifetime <= limit);
        checks.add("lifetime", needs, lifetime.map(duration), is_met);
    }
    if let Some(limit) = rules.max_age {
        let age = payload.issued_at.map(|issued| now.saturating_since(issued));
        let needs = format!("at most {}{leeway}", duration(limit));
        let is_met = age.is_some_and(|age| age <= limit.saturating_add(rules.leeway));
        checks.add("age", needs, age.map(duration), is_met);
    }
    if payload.is_bound {
        let needs = "absent: nobody checks that the sender has the key".to_owned();
        checks.add("cnf", needs, value("cnf"), false);
    }
    if expected.types.iter().all(|accepted| *accepted == TokenType::AccessToken) {
        for claim in ["sub", "client_id", "iat", "jti", "aud"] {
            let has = value(claim);
            let is_met = has.is_some();
            checks.add(claim, "there (RFC 9068)".to_owned(), has, is_met);
        }
    }
    for (name, rule, met) in rules.each_value(parts) {
        checks.add(name, rule.to_string(), value(name), met);
    }
    checks.0
}

/// What became of the predicates, where they were asked: they are the last thing that is.
pub(super) fn explain_predicates(
    rules: &CompiledRules,
    passed: bool,
    error: Option<&Error>,
) -> Vec<ClaimCheck> {
    let failed = match error {
        Some(Error::Claims(ClaimsError::Rule(Claim::Predicate(name)))) => Some(&**name),
        _ => None,
    };
    let check = |name: &str| {
        let met = if failed == Some(name) { Some(false) } else { passed.then_some(true) };
        ClaimCheck::new(name, "to hold".to_owned(), None, met)
    };
    rules.predicate_names().map(check).collect()
}

struct Checks(Vec<ClaimCheck>);

impl Checks {
    fn add(&mut self, rule: impl Display, needs: String, has: Option<String>, met: bool) {
        self.0.push(ClaimCheck::new(&rule.to_string(), needs, has, Some(met)));
    }
}
