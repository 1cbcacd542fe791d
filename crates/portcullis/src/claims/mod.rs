//! What an authentic token must say.
//!
//! What passes:
//!
//! 1. `iss` is exactly the issuer's identifier (RFC 7519 §4.1.1, RFC 8725 §3.8);
//! 2. the `typ` header is one of the [types](TokenType) accepted (RFC 8725 §3.11), and no claim
//!    says that it is an ID token or an event;
//! 3. `aud` names this service (RFC 7519 §4.1.3, RFC 8725 §3.9);
//! 4. now is before `exp`, not before `nbf`, and not before `iat`, within the leeway;
//! 5. it does not live longer than the [maximum lifetime](ClaimRules::max_lifetime), nor is it
//!    older than the maximum age;
//! 6. it is not bound to a key of its sender (`cnf`): nobody checked that binding;
//! 7. the claims that rules ask for are there and say what they must.
//!
//! An ID token mostly has the same `typ` as an access token, `JWT`, so that the type alone does not
//! keep it out: the audience does, since an ID token names a client, not an API. Never list a
//! client's id as an audience of an API.
#[cfg(feature = "explain")]
mod explain;
mod rules;

use crate::error::ClaimsError;
use core::fmt;
use std::sync::Arc;

#[cfg(feature = "explain")]
pub(crate) use self::explain::{explain, explain_predicates};
pub use self::rules::{ClaimRules, ClaimValue, MaxLifetime};
pub(crate) use self::rules::{
    CompiledRules, DEFAULT_LEEWAY, DEFAULT_MAX_LIFETIME, LONGEST_LIFETIME,
};
use crate::authentic::Authentic;
use crate::policy::TrustedIssuer;
use crate::time::UnixTime;
use crate::token::{KnownHeaders, Parts, TypeHeader};
use crate::verified::VerifiedToken;

/// The kinds of token that an issuer's tokens may be, by their `typ` header.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenType {
    /// `typ` is absent or `JWT`: what most providers send, in access and ID tokens alike.
    Jwt,
    /// `typ` is `at+jwt` (RFC 9068). Where it is the only type accepted, the claims that the
    /// profile requires must be there: `iss`, `exp`, `aud`, `sub`, `client_id`, `iat`, `jti`.
    AccessToken,
}

impl TokenType {
    fn matches(self, header: TypeHeader) -> bool {
        match self {
            Self::Jwt => matches!(header, TypeHeader::Absent | TypeHeader::Jwt),
            Self::AccessToken => header == TypeHeader::AccessToken,
        }
    }
}

/// How a token must name this service.
#[derive(Clone, Debug)]
pub(crate) enum AudienceRule {
    /// `aud` has one of these.
    Audiences(Vec<Box<str>>),
    /// There is no `aud`, and `client_id` is one of these.
    ClientIds(Vec<Box<str>>),
}

impl AudienceRule {
    fn check(&self, parts: &Parts) -> Result<(), ClaimsError> {
        let payload = parts.text.payload();
        let claims = &parts.payload;
        match (self, &claims.audiences) {
            // RFC 8725 §3.9: without `aud` it is nobody's. Compared byte by byte: no URL rules.
            (Self::Audiences(_), None) => Err(ClaimsError::Missing { claim: "aud" }),
            (Self::Audiences(ours), Some(theirs)) => {
                let named =
                    theirs.iter().any(|one| ours.iter().any(|our| **our == *one.get(payload)));
                if named { Ok(()) } else { Err(ClaimsError::Audience) }
            }
            // A token that does name an audience was not made under this habit.
            (Self::ClientIds(_), Some(_)) => Err(ClaimsError::Audience),
            (Self::ClientIds(ours), None) => match &claims.client_id {
                None => Err(ClaimsError::Missing { claim: "client_id" }),
                Some(client) if ours.iter().any(|our| **our == *client.get(payload)) => Ok(()),
                Some(_) => Err(ClaimsError::Audience),
            },
        }
    }
}

/// A token whose claims satisfy the policy. [`check`] makes one, and the cache has some that
/// [`check_again`] says still are.
pub(crate) struct Valid(pub(crate) VerifiedToken);

impl Valid {
    /// Has the header found when it comes again. Only that of a valid token: whoever can send a request can write headers.
    pub(crate) fn remember_header(&self, headers: &KnownHeaders, now: UnixTime) {
        headers.remember(self.0.parts(), now);
    }
}

/// Turns away what could never pass, before the signature is paid for. Nothing passes by it:
/// [`check`] asks all of it again.
pub(crate) fn screen(
    parts: &Parts,
    issuer: &TrustedIssuer,
    now: UnixTime,
) -> Result<(), ClaimsError> {
    check_ids(parts, issuer)?;
    check_type(parts, issuer)?;
    issuer.audience.check(parts)?;
    check_expiry(parts, &issuer.rules, now)
}

/// RFC 7519 §4.1.2, §4.1.7: a subject and a token's id are strings, unless the issuer may write numbers.
pub(crate) fn check_ids(parts: &Parts, issuer: &TrustedIssuer) -> Result<(), ClaimsError> {
    match parts.payload.numeric_id {
        Some(claim) if !issuer.numeric_ids => Err(ClaimsError::NumericId { claim }),
        _ => Ok(()),
    }
}

/// Checks an authentic token against everything the policy says of claims.
pub(crate) fn check(
    authentic: Authentic,
    issuer: &TrustedIssuer,
    now: UnixTime,
) -> Result<Valid, ClaimsError> {
    check_claims(&authentic.parts, issuer, now)?;
    let token = VerifiedToken::new(authentic, Arc::clone(&issuer.terms));
    issuer.rules.check_predicates(&token)?;
    Ok(Valid(token))
}

/// The same of a token that verified, perhaps by another policy.
pub(crate) fn check_anew(
    token: &VerifiedToken,
    issuer: &TrustedIssuer,
    now: UnixTime,
) -> Result<(), ClaimsError> {
    check_claims(token.parts(), issuer, now)?;
    issuer.rules.check_predicates(token)
}

/// All but the policy's own functions, which see nothing that was not found in order.
///
/// What is asked beyond [`screen`] is told of authentic tokens alone: a stranger does not learn by trying which
/// claims a policy asks for.
fn check_claims(parts: &Parts, issuer: &TrustedIssuer, now: UnixTime) -> Result<(), ClaimsError> {
    let claims = &parts.payload;
    // 1. Keys were looked up by issuer; this says the same once more, beside the other claims.
    if parts.issuer() != Some(&*issuer.id) {
        return Err(ClaimsError::Issuer);
    }
    screen(parts, issuer, now)?;
    if let Some(claim) = claims.other_kind() {
        return Err(ClaimsError::NotAnAccessToken { claim });
    }
    check_times(parts, &issuer.rules, now)?;
    // RFC 7800 §3.1 lets a recipient ignore it, and so turn a bound token into a bearer token.
    if claims.is_bound {
        return Err(ClaimsError::Bound);
    }
    if issuer.types.iter().all(|accepted| *accepted == TokenType::AccessToken) {
        check_profile(parts)?;
    }
    issuer.rules.check_values(parts)
}

/// Checks what may have changed about a token since it was checked: the time, and whatever the
/// policy's predicates look at.
pub(crate) fn check_again(
    token: &VerifiedToken,
    issuer: &TrustedIssuer,
    now: UnixTime,
) -> Result<(), ClaimsError> {
    check_times(token.parts(), &issuer.rules, now)?;
    issuer.rules.check_predicates(token)
}

fn check_type(parts: &Parts, issuer: &TrustedIssuer) -> Result<(), ClaimsError> {
    // RFC 8725bis §3.11: a type that is there must be an expected one.
    if issuer.types.iter().any(|accepted| accepted.matches(parts.header.typ)) {
        Ok(())
    } else {
        Err(ClaimsError::Type)
    }
}

/// RFC 7519 §4.1.4: the current time must be *before* the expiry.
fn check_expiry(parts: &Parts, rules: &CompiledRules, now: UnixTime) -> Result<(), ClaimsError> {
    let at = parts.payload.expires_at.ok_or(ClaimsError::Missing { claim: "exp" })?;
    if now < at.saturating_add(rules.leeway) {
        Ok(())
    } else {
        Err(ClaimsError::Expired { at, now })
    }
}

/// The time rules that hold again whenever a token is looked at anew.
fn check_times(parts: &Parts, rules: &CompiledRules, now: UnixTime) -> Result<(), ClaimsError> {
    check_expiry(parts, rules, now)?;
    let claims = &parts.payload;
    let horizon = now.saturating_add(rules.leeway);
    // RFC 7519 §4.1.5: not before, so at the very second it is valid.
    if let Some(from) = claims.not_before.filter(|from| *from > horizon) {
        return Err(ClaimsError::NotYetValid { from, now });
    }
    if let Some(from) = claims.issued_at.filter(|from| *from > horizon) {
        return Err(ClaimsError::IssuedInFuture { from, now });
    }
    if let (Some(limit), Some(end)) = (rules.max_lifetime, claims.expires_at) {
        let lifetime = end.saturating_since(claims.issued_at.unwrap_or(now));
        if lifetime > limit {
            return Err(ClaimsError::LivesTooLong { lifetime, limit });
        }
    }
    if let Some(limit) = rules.max_age {
        let issued = claims.issued_at.ok_or(ClaimsError::Missing { claim: "iat" })?;
        let age = now.saturating_since(issued);
        if age > limit.saturating_add(rules.leeway) {
            return Err(ClaimsError::TooOld { age, limit });
        }
    }
    Ok(())
}

/// RFC 9068 §2.2. `iss`, `exp` and `aud` were asked for already.
fn check_profile(parts: &Parts) -> Result<(), ClaimsError> {
    let claims = &parts.payload;
    let required = [
        ("sub", claims.subject.is_some()),
        ("client_id", claims.client_id.is_some()),
        ("iat", claims.issued_at.is_some()),
        ("jti", claims.token_id.is_some()),
        ("aud", claims.audiences.is_some()),
    ];
    match required.into_iter().find(|(_, present)| !present) {
        Some((claim, _)) => Err(ClaimsError::Missing { claim }),
        None => Ok(()),
    }
}
