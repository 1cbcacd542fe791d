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
//! 6. it is bound to no key and no certificate of its sender (`cnf`) but those that the policy checks;
//! 7. the claims that rules ask for are there and say what they must.
//!
//! An ID token mostly has the same `typ` as an access token, `JWT`, so that the type alone does not
//! keep it out: the audience does, since an ID token names a client, not an API. Never list a
//! client's id as an audience of an API.
mod audience;
mod ready_made;
mod settings;
mod standard;
#[cfg(feature = "status-list")]
mod status_rule;

use std::sync::Arc;

pub(crate) use self::audience::AudienceRule;
pub use self::ready_made::{OpenIdProfile, RegisteredClaims};
pub use self::settings::{ClaimRules, ClaimValue, MaxLifetime};
pub(crate) use self::settings::{
    CompiledRules, DEFAULT_LEEWAY, DEFAULT_MAX_LIFETIME, LONGEST_LIFETIME, TakesBound,
};
pub(crate) use self::standard::StandardRule;
#[cfg(feature = "explain")]
pub(crate) use self::standard::{age, lifetime};
#[cfg(feature = "status-list")]
pub(crate) use self::status_rule::StatusRule;
use crate::authentic::Authentic;
use crate::error::ClaimsError;
use crate::terms::IssuerTerms;
use crate::time::UnixTime;
use crate::token::{HeaderCache, Parts, TypeHeader};
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
    /// How errors and explanations name them.
    pub(crate) fn names(accepted: &[Self]) -> &'static str {
        match (accepted.contains(&Self::Jwt), accepted.contains(&Self::AccessToken)) {
            (true, true) => "`JWT`, none or `at+jwt`",
            (true, false) => "`JWT` or none",
            (false, _) => "`at+jwt`",
        }
    }

    fn matches(self, header: TypeHeader) -> bool {
        match self {
            Self::Jwt => matches!(header, TypeHeader::Absent | TypeHeader::Jwt),
            Self::AccessToken => header == TypeHeader::AccessToken,
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

impl IssuerRules {
    pub(crate) fn takes_access_tokens_only(&self) -> bool {
        self.types.iter().all(|accepted| *accepted == TokenType::AccessToken)
    }
}

/// A token whose claims satisfy the policy. [`check`] makes one, and the cache has some that
/// [`check_again`] says still are.
pub(crate) struct Valid(pub(crate) VerifiedToken);

impl Valid {
    /// Has the header found when it comes again. Only that of a valid token: whoever can send a request can write headers.
    pub(crate) fn remember_header(&self, headers: &HeaderCache, now: UnixTime) {
        headers.remember(self.0.parts(), now);
    }
}

/// Turns away what could never pass, before the signature is paid for. Nothing passes by it:
/// [`check`] asks all of it again.
pub(crate) fn screen(parts: &Parts, rules: &IssuerRules, now: UnixTime) -> Result<(), ClaimsError> {
    StandardRule::check_screen(parts, rules, now)
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
fn check_claims(parts: &Parts, rules: &IssuerRules, now: UnixTime) -> Result<(), ClaimsError> {
    StandardRule::check_all(parts, rules, now)?;
    rules.claims.check_values(parts)
}

/// Checks what may have changed about a token since it was checked: the time, and whatever the
/// policy's predicates look at.
pub(crate) fn check_again(
    token: &VerifiedToken,
    rules: &IssuerRules,
    now: UnixTime,
) -> Result<(), ClaimsError> {
    StandardRule::check_timed(token.parts(), rules, now)?;
    rules.claims.check_predicates(token)
}

/// The first second at which a token that meets these rules no longer does, if nothing but time passes.
pub(crate) fn end(token: &VerifiedToken, rules: &IssuerRules) -> Option<UnixTime> {
    StandardRule::TIMED.iter().filter_map(|rule| rule.end(token.parts(), rules)).min()
}
