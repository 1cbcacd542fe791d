//! The rules about claims that are the same for every policy, as data: what decides, what explains and what says
//! when a token ends go through one list.
use core::time::Duration;

use super::{IssuerRules, TokenType, check_ids};
use crate::error::ClaimsError;
use crate::time::UnixTime;
use crate::token::{Binding, Parts};

/// A rule that claims are held to, whatever else a policy asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum StandardRule {
    /// `iss` is the issuer whose rules these are.
    Issuer,
    /// `sub` and `jti` are strings.
    IdType,
    /// The `typ` header is one of those that are accepted.
    Type,
    /// `aud` names this service.
    Audience,
    /// `exp` is not over.
    Expiry,
    /// No claim says that it is another kind of token.
    Kind,
    /// `nbf` is not in the future.
    NotBefore,
    /// `iat` is not in the future.
    IssuedAt,
    /// It was not made to live longer than the policy allows.
    Lifetime,
    /// It was not issued longer ago than the policy allows.
    Age,
    /// It is bound to nothing of its sender that nobody checks.
    SenderConstraint,
    /// It has a claim that the profile of access tokens requires, where only these are accepted.
    Profile(ProfileClaim),
}

/// A claim that access tokens have (RFC 9068 §2.2). `iss` and `exp` are asked of every token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ProfileClaim {
    Subject,
    ClientId,
    IssuedAt,
    TokenId,
    Audience,
}

/// Makes a list of rules, and a function that holds a token to them in their order and stops at the first that it
/// does not meet. The function has the checks one below the other: a loop would cost a jump for each, and every
/// request with a remembered token walks a list.
macro_rules! list {
    ($(#[$doc:meta])* $list:ident, $check:ident: $($rule:expr),+ $(,)?) => {
        $(#[$doc])*
        #[allow(dead_code, reason = "some lists are only walked")]
        pub(crate) const $list: &'static [Self] = &[$($rule),+];

        #[inline]
        pub(super) fn $check(
            parts: &Parts,
            rules: &IssuerRules,
            now: UnixTime,
        ) -> Result<(), ClaimsError> {
            $($rule.check(parts, rules, now)?;)+
            Ok(())
        }
    };
}

impl StandardRule {
    list! {
        /// All of them, in the order in which they are asked.
        ALL, check_all:
        Self::Issuer,
        Self::IdType,
        Self::Type,
        Self::Audience,
        Self::Expiry,
        Self::Kind,
        Self::NotBefore,
        Self::IssuedAt,
        Self::Lifetime,
        Self::Age,
        Self::SenderConstraint,
        Self::Profile(ProfileClaim::Subject),
        Self::Profile(ProfileClaim::ClientId),
        Self::Profile(ProfileClaim::IssuedAt),
        Self::Profile(ProfileClaim::TokenId),
        Self::Profile(ProfileClaim::Audience),
    }

    list! {
        /// Those that may turn a token away before its signature is checked. What else is asked is told of authentic
        /// tokens alone: a stranger does not learn by trying which claims a policy asks for.
        SCREEN, check_screen:
        Self::IdType,
        Self::Type,
        Self::Audience,
        Self::Expiry,
    }

    list! {
        /// Those whose outcome time alone can change.
        TIMED, check_timed:
        Self::Expiry,
        Self::NotBefore,
        Self::IssuedAt,
        Self::Lifetime,
        Self::Age,
    }

    /// Holds a token to this rule.
    // Always inlined: where it is called, the rule is a constant.
    #[inline(always)]
    pub(crate) fn check(
        self,
        parts: &Parts,
        rules: &IssuerRules,
        now: UnixTime,
    ) -> Result<(), ClaimsError> {
        let claims = &parts.payload;
        let is_future = |at: UnixTime| at > now.saturating_add(rules.claims.leeway);
        let is_before_end = || self.end(parts, rules).is_some_and(|end| now < end);
        match self {
            // Keys were looked up by issuer; this says the same once more, beside the other claims.
            Self::Issuer => met(parts.issuer() == Some(&*rules.id), || ClaimsError::Issuer),
            Self::IdType => check_ids(parts, rules),
            // RFC 8725bis §3.11: a type that is there must be an expected one.
            Self::Type => {
                let is_accepted = |accepted: &TokenType| accepted.matches(parts.header.typ);
                met(rules.types.iter().any(is_accepted), || ClaimsError::Type {
                    found: parts.type_name(),
                    accepted: TokenType::names(&rules.types),
                })
            }
            Self::Audience => rules.audience.check(parts),
            Self::Expiry => {
                let at = claims.expires_at.ok_or(ClaimsError::Missing { claim: "exp" })?;
                met(is_before_end(), || ClaimsError::Expired { at, now })
            }
            Self::Kind => match claims.other_kind() {
                Some(claim) => Err(ClaimsError::NotAnAccessToken { claim }),
                None => Ok(()),
            },
            // RFC 7519 §4.1.5: not before, so at the very second it is valid.
            Self::NotBefore => match claims.not_before {
                Some(from) if is_future(from) => Err(ClaimsError::NotYetValid { from, now }),
                _ => Ok(()),
            },
            Self::IssuedAt => match claims.issued_at {
                Some(from) if is_future(from) => Err(ClaimsError::IssuedInFuture { from, now }),
                _ => Ok(()),
            },
            Self::Lifetime => match (rules.claims.max_lifetime, lifetime(parts, now)) {
                (Some(limit), Some(lifetime)) if lifetime > limit => {
                    Err(ClaimsError::LivesTooLong { lifetime, limit })
                }
                _ => Ok(()),
            },
            Self::Age => {
                let Some(limit) = rules.claims.max_age else { return Ok(()) };
                let age = age(parts, now).ok_or(ClaimsError::Missing { claim: "iat" })?;
                met(is_before_end(), || ClaimsError::TooOld { age, limit })
            }
            // RFC 7800 §3.1 lets a recipient ignore it, and so turn a bound token into a bearer token.
            Self::SenderConstraint => {
                // Whether the sender has what it is bound to, the request shows.
                let is_checked = |binding: &Binding| rules.claims.takes_bound.has_all_of(binding);
                let is_met = claims.binding.as_deref().is_none_or(is_checked);
                met(is_met, || ClaimsError::SenderConstrained)
            }
            Self::Profile(claim) => {
                met(!rules.takes_access_tokens_only() || claim.is_in(parts), || claim.missing())
            }
        }
    }

    /// The first second at which a token that meets this rule no longer does, if time alone can end that.
    #[inline(always)]
    pub(super) fn end(self, parts: &Parts, rules: &IssuerRules) -> Option<UnixTime> {
        let (claims, limits) = (&parts.payload, &rules.claims);
        match self {
            // RFC 7519 §4.1.4: the current time must be *before* the expiry.
            Self::Expiry => Some(claims.expires_at?.saturating_add(limits.leeway)),
            // The last second at which its age is still within the limit counts.
            Self::Age => {
                let last = limits.max_age?.saturating_add(limits.leeway);
                Some(claims.issued_at?.saturating_add(last).saturating_add(SECOND))
            }
            Self::Issuer
            | Self::IdType
            | Self::Type
            | Self::Audience
            | Self::Kind
            | Self::NotBefore
            | Self::IssuedAt
            | Self::Lifetime
            | Self::SenderConstraint
            | Self::Profile(_) => None,
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// How long it was made to live: from `iat`, or else from now, to `exp`.
pub(crate) fn lifetime(parts: &Parts, now: UnixTime) -> Option<Duration> {
    let from = parts.payload.issued_at.unwrap_or(now);
    Some(parts.payload.expires_at?.saturating_since(from))
}

/// How long ago it was issued.
pub(crate) fn age(parts: &Parts, now: UnixTime) -> Option<Duration> {
    Some(now.saturating_since(parts.payload.issued_at?))
}

fn met(is_met: bool, error: impl FnOnce() -> ClaimsError) -> Result<(), ClaimsError> {
    if is_met { Ok(()) } else { Err(error()) }
}

impl ProfileClaim {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Subject => "sub",
            Self::ClientId => "client_id",
            Self::IssuedAt => "iat",
            Self::TokenId => "jti",
            Self::Audience => "aud",
        }
    }

    fn is_in(self, parts: &Parts) -> bool {
        let claims = &parts.payload;
        match self {
            Self::Subject => claims.subject.is_some(),
            Self::ClientId => claims.client_id.is_some(),
            Self::IssuedAt => claims.issued_at.is_some(),
            Self::TokenId => claims.token_id.is_some(),
            Self::Audience => claims.audiences.is_some(),
        }
    }

    fn missing(self) -> ClaimsError {
        match self {
            Self::Audience => ClaimsError::AudienceMissing,
            Self::Subject | Self::ClientId | Self::IssuedAt | Self::TokenId => {
                ClaimsError::Missing { claim: self.name() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_asks_in_the_order_of_all() {
        let follows = |list: &[StandardRule]| {
            let mut all = StandardRule::ALL.iter();
            list.iter().all(|rule| all.any(|one| one == rule))
        };
        assert!(follows(StandardRule::SCREEN));
        assert!(follows(StandardRule::TIMED));
    }
}
