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
mod rules;
#[cfg(feature = "status-list")]
mod status;

use crate::error::ClaimsError;
use crate::terms::IssuerTerms;
use std::sync::Arc;

pub use self::rules::{ClaimRules, ClaimValue, MaxLifetime};
pub(crate) use self::rules::{
    CompiledRules, DEFAULT_LEEWAY, DEFAULT_MAX_LIFETIME, LONGEST_LIFETIME,
};
#[cfg(feature = "status-list")]
pub(crate) use self::status::StatusRule;
use crate::authentic::Authentic;
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
    pub(crate) fn check(&self, parts: &Parts) -> Result<(), ClaimsError> {
        let payload = parts.text.payload();
        let claims = &parts.payload;
        match (self, &claims.audiences) {
            // RFC 8725 §3.9: without `aud` it is nobody's. Compared byte by byte: no URL rules.
            (Self::Audiences(_), None) => Err(ClaimsError::AudienceMissing),
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

/// What the claims of one issuer's tokens are held to.
#[cfg_attr(feature = "remote-jwks", derive(Clone))]
pub(crate) struct IssuerRules {
    /// As it stands in `iss`.
    pub(crate) id: Box<str>,
    /// `sub` and `jti` may be numbers.
    pub(crate) numeric_ids: bool,
    pub(crate) audience: AudienceRule,
    pub(crate) types: Vec<TokenType>,
    pub(crate) claims: CompiledRules,
    /// What its tokens carry.
    pub(crate) terms: Arc<IssuerTerms>,
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
pub(crate) fn screen(parts: &Parts, rules: &IssuerRules, now: UnixTime) -> Result<(), ClaimsError> {
    check_ids(parts, rules)?;
    check_type(parts, rules)?;
    rules.audience.check(parts)?;
    check_expiry(parts, &rules.claims, now)
}

/// RFC 7519 §4.1.2, §4.1.7: a subject and a token's id are strings, unless the issuer may write numbers.
pub(crate) fn check_ids(parts: &Parts, rules: &IssuerRules) -> Result<(), ClaimsError> {
    match parts.payload.numeric_id {
        Some(claim) if !rules.numeric_ids => Err(ClaimsError::NumericId { claim }),
        _ => Ok(()),
    }
}

/// Checks an authentic token against everything the policy says of claims.
pub(crate) fn check(
    authentic: Authentic,
    rules: &IssuerRules,
    now: UnixTime,
) -> Result<Valid, ClaimsError> {
    check_claims(&authentic.parts, rules, now)?;
    let token = VerifiedToken::new(authentic, Arc::clone(&rules.terms));
    rules.claims.check_predicates(&token)?;
    Ok(Valid(token))
}

/// The same of a token that verified, perhaps by another policy.
pub(crate) fn check_anew(
    token: &VerifiedToken,
    rules: &IssuerRules,
    now: UnixTime,
) -> Result<(), ClaimsError> {
    check_claims(token.parts(), rules, now)?;
    rules.claims.check_predicates(token)
}

/// All but the policy's own functions, which see nothing that was not found in order.
///
/// What is asked beyond [`screen`] is told of authentic tokens alone: a stranger does not learn by trying which
/// claims a policy asks for.
fn check_claims(parts: &Parts, rules: &IssuerRules, now: UnixTime) -> Result<(), ClaimsError> {
    let claims = &parts.payload;
    // 1. Keys were looked up by issuer; this says the same once more, beside the other claims.
    if parts.issuer() != Some(&*rules.id) {
        return Err(ClaimsError::Issuer);
    }
    screen(parts, rules, now)?;
    if let Some(claim) = claims.other_kind() {
        return Err(ClaimsError::NotAnAccessToken { claim });
    }
    check_times(parts, &rules.claims, now)?;
    // RFC 7800 §3.1 lets a recipient ignore it, and so turn a bound token into a bearer token.
    if claims.is_bound {
        return Err(ClaimsError::SenderConstrained);
    }
    if rules.types.iter().all(|accepted| *accepted == TokenType::AccessToken) {
        check_profile(parts)?;
    }
    rules.claims.check_values(parts)
}

/// Checks what may have changed about a token since it was checked: the time, and whatever the
/// policy's predicates look at.
pub(crate) fn check_again(
    token: &VerifiedToken,
    rules: &IssuerRules,
    now: UnixTime,
) -> Result<(), ClaimsError> {
    check_times(token.parts(), &rules.claims, now)?;
    rules.claims.check_predicates(token)
}

pub(crate) fn check_type(parts: &Parts, rules: &IssuerRules) -> Result<(), ClaimsError> {
    // RFC 8725bis §3.11: a type that is there must be an expected one.
    if rules.types.iter().any(|accepted| accepted.matches(parts.header.typ)) {
        Ok(())
    } else {
        Err(ClaimsError::Type)
    }
}

/// RFC 7519 §4.1.4: the current time must be *before* the expiry.
pub(crate) fn check_expiry(
    parts: &Parts,
    rules: &CompiledRules,
    now: UnixTime,
) -> Result<(), ClaimsError> {
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
    ];
    match required.into_iter().find(|(_, present)| !present) {
        Some((claim, _)) => Err(ClaimsError::Missing { claim }),
        None if claims.audiences.is_none() => Err(ClaimsError::AudienceMissing),
        None => Ok(()),
    }
}
