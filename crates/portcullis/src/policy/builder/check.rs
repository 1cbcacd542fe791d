//! What is at fault about what was said of a policy.
use core::time::Duration;
use std::collections::BTreeSet;

use super::PolicyBuilder;
use crate::cache;
use crate::claims::{ClaimRules, LONGEST_LIFETIME, MaxLifetime};
use crate::policy::fault::PolicyFault;
use crate::policy::{Issuer, resource};
use crate::revocation::{EnforcedRevocations, RevocationFault};
use crate::setting::Shared;
use crate::signature::{Algorithm, AlgorithmSet};
use crate::source::{Kind, TokenSource, is_cookie_name, is_origin};
use crate::token::TokenLimits;

/// RFC 7519 §4.1.4 speaks of "no more than a few minutes"; beyond ten, the clocks are wrong.
const MAX_LEEWAY: Duration = Duration::from_secs(10 * 60);

/// Bytes of a policy's name: it stands in every sample of its metrics.
const MAX_NAME: usize = 64;

/// Where a fault is that no issuer has.
const POLICY: &str = "the policy";

impl PolicyBuilder {
    /// What is at fault about the policy, whatever its issuers are.
    pub(super) fn faults(&self) -> Vec<PolicyFault> {
        let mut faults = Vec::new();
        faults.extend(self.issuers.is_empty().then_some(PolicyFault::NoIssuer));
        faults.extend(self.contradicted().map(|setting| said_twice(POLICY, setting)));
        faults.extend(self.name_fault());
        faults.extend(self.resource_faults());
        faults.extend(self.presentation.unwritable().map(|setting| PolicyFault::Text { setting }));
        faults.extend(rule_faults(POLICY, &self.rules));
        faults.extend(contradictions(POLICY, &self.rules));
        faults.extend(self.revocation_faults());
        faults.extend(self.sources.get().into_iter().flat_map(|sources| source_faults(sources)));
        faults.extend(self.cookie_fault());
        faults.extend(self.limit_faults());
        faults.extend(self.origin_faults());
        #[cfg(feature = "status-list")]
        faults.extend(self.status_faults());
        faults
    }

    /// Settings of which two different words were said.
    fn contradicted(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("name", self.name.is_contradicted()),
            ("sources", self.sources.is_contradicted()),
            ("bad_cookie", self.bad_cookie.is_contradicted()),
            ("token_limit", self.token_limit.is_contradicted()),
            ("header_limit", self.header_limit.is_contradicted()),
            ("token_cache", self.token_cache.is_contradicted()),
            ("unknown_revocation", self.unknown_revocation.is_contradicted()),
            #[cfg(feature = "status-list")]
            ("status_lists", self.status_lists.is_contradicted()),
            ("clock", self.clock.is_contradicted()),
            ("dpop", self.dpop.is_contradicted()),
            ("mtls", self.mtls.is_contradicted()),
            ("scope_implies", self.scope_implies.is_contradicted()),
            ("protected_resource", self.protected_resource.is_contradicted()),
        ];
        let own = all.into_iter().filter_map(|(setting, is_so)| is_so.then_some(setting));
        own.chain(self.rules.contradicted()).chain(self.presentation.contradicted())
    }

    fn name_fault(&self) -> Option<PolicyFault> {
        let is_name =
            |name: &str| (1..=MAX_NAME).contains(&name.len()) && !name.contains(char::is_control);
        let name = self.name.get().filter(|name| !is_name(name))?;
        Some(PolicyFault::Name { name: name.clone() })
    }

    fn resource_faults(&self) -> impl Iterator<Item = PolicyFault> {
        // Without an issuer, that is fault enough.
        let resource = self.protected_resource.get().filter(|_| !self.issuers.is_empty());
        let sources = self.sources.get().map(Vec::as_slice);
        let dpop = self.dpop.get().map(|Shared(dpop)| dpop.as_ref());
        let mtls = self.mtls.get();
        let faults = resource.map(|it| resource::faults(it, &self.issuers, sources, (dpop, mtls)));
        faults.into_iter().flatten().map(|fault| PolicyFault::ProtectedResource { fault })
    }

    /// What is enforced of issuers that are none, and what contradicts itself.
    fn revocation_faults(&self) -> impl Iterator<Item = PolicyFault> {
        let named = self.enforced.iter().flat_map(EnforcedRevocations::issuers);
        let unknown = named.filter(|id| !self.issuers.iter().any(|own| own.may_be(id)));
        let unknown = unknown.map(|id| RevocationFault::UnknownIssuer { issuer: id.to_owned() });
        let own = self.enforced.iter().filter_map(|enforced| enforced.check().err());
        unknown.chain(own).map(|fault| PolicyFault::Revocations { place: POLICY.to_owned(), fault })
    }

    /// A cookie that no token of any issuer fits into.
    fn cookie_fault(&self) -> Option<PolicyFault> {
        let mut cookies =
            self.sources.get().into_iter().flatten().filter_map(|source| match &source.0 {
                Kind::Cookie { cookie, .. } => Some(cookie.name()),
                _ => None,
            });
        let name = cookies.next()?;
        let listed: AlgorithmSet =
            self.issuers.iter().flat_map(Issuer::algorithms_listed).collect();
        let is_there = listed != AlgorithmSet::default();
        let fits_none = listed.iter().all(Algorithm::is_over_a_cookie);
        (is_there && fits_none)
            .then(|| PolicyFault::CookieTooSmall { name: name.to_owned(), listed })
    }

    fn limit_faults(&self) -> impl Iterator<Item = PolicyFault> {
        let token = self.token_limit.get().copied();
        let token = token.filter(|limit| !(1..=TokenLimits::MAX).contains(limit));
        let header = self.header_limit.get().copied();
        let header = header.filter(|limit| !(1..=TokenLimits::MAX_HEADER).contains(limit));
        let cache = self.token_cache.get().copied().filter(|bytes| *bytes != 0);
        let cache = cache.filter(|bytes| !(cache::MIN_BYTES..=cache::MAX_BYTES).contains(bytes));
        let found = [
            token.map(|limit| PolicyFault::TokenLimit { limit }),
            header.map(|limit| PolicyFault::HeaderLimit { limit }),
            cache.map(|bytes| PolicyFault::TokenCache { bytes }),
        ];
        found.into_iter().flatten()
    }

    fn origin_faults(&self) -> impl Iterator<Item = PolicyFault> {
        let wrong: BTreeSet<_> = self.origins.iter().filter(|origin| !is_origin(origin)).collect();
        wrong.into_iter().map(|origin| PolicyFault::Origin { origin: origin.clone() })
    }

    #[cfg(feature = "status-list")]
    fn status_faults(&self) -> impl Iterator<Item = PolicyFault> {
        let lists = self.status_lists.get().into_iter();
        let errors = lists.flat_map(|Shared(lists)| lists.faults());
        errors.map(|error| PolicyFault::StatusLists { error })
    }
}

pub(super) fn said_twice(place: &str, setting: &'static str) -> PolicyFault {
    PolicyFault::SaidTwice { place: place.to_owned(), setting }
}

/// Rules that no policy may have, each by itself.
pub(super) fn rule_faults(place: &str, rules: &ClaimRules) -> impl Iterator<Item = PolicyFault> {
    let leeway = rules.leeway.get().copied().filter(|leeway| *leeway > MAX_LEEWAY);
    let lifetime = rules.max_lifetime.get().copied();
    let too_long = match lifetime {
        Some(MaxLifetime { limit: Some(limit), is_dangerous: false }) => {
            Some(limit).filter(|limit| *limit > LONGEST_LIFETIME)
        }
        _ => None,
    };
    let is_zero = |limit: Option<Duration>| limit.is_some_and(|limit| limit.as_secs() == 0);
    let zero = |setting| PolicyFault::ZeroDuration { place: place.to_owned(), setting };
    let found = [
        leeway.map(|leeway| PolicyFault::Leeway { place: place.to_owned(), leeway }),
        too_long.map(|lifetime| PolicyFault::Lifetime { place: place.to_owned(), lifetime }),
        is_zero(lifetime.and_then(|it| it.limit)).then(|| zero("max_lifetime")),
        is_zero(rules.max_age.get().copied()).then(|| zero("max_age")),
        rules.has_nameless().then(|| PolicyFault::NamelessClaim { place: place.to_owned() }),
    ];
    found.into_iter().flatten()
}

/// Rules of which one is never met where the others are.
pub(super) fn contradictions(place: &str, rules: &ClaimRules) -> impl Iterator<Item = PolicyFault> {
    rules.contradictions().map(move |claim| contradiction(place, claim))
}

pub(super) fn contradiction(place: &str, claim: &str) -> PolicyFault {
    PolicyFault::Contradiction { place: place.to_owned(), claim: claim.to_owned() }
}

fn source_faults(sources: &[TokenSource]) -> Vec<PolicyFault> {
    let is_again = |(at, source): (usize, &TokenSource)| {
        sources[..at].iter().any(|other| other.0.overlaps(&source.0))
    };
    let found = [
        sources.is_empty().then_some(PolicyFault::NoSource),
        sources.iter().enumerate().any(is_again).then_some(PolicyFault::DuplicateSource),
    ];
    let own = sources.iter().filter_map(|source| source_fault(&source.0));
    found.into_iter().flatten().chain(own).collect()
}

fn source_fault(source: &Kind) -> Option<PolicyFault> {
    let (name, is_name) = match source {
        Kind::Bearer | Kind::Cookie { is_checked: true, .. } => return None,
        Kind::Header { name, .. } => match name.as_str() {
            "cookie" => return Some(PolicyFault::CookieHeader),
            "sec-websocket-protocol" => return Some(PolicyFault::WebSocketHeader),
            name => (name, http::HeaderName::from_bytes(name.as_bytes()).is_ok()),
        },
        Kind::Cookie { cookie, .. } => (cookie.name(), is_cookie_name(cookie.name())),
        // RFC 6455 §4.1: of the same characters.
        Kind::WebSocketProtocol { marker } => (marker.as_str(), is_cookie_name(marker)),
        Kind::Query { name } => {
            (name.as_str(), is_cookie_name(name) && !name.contains(['&', '%', '+']))
        }
    };
    let name = name.to_owned();
    match source {
        _ if !is_name => Some(PolicyFault::SourceName { name }),
        Kind::Cookie { cookie, .. } if !cookie.is_host_only() => {
            Some(PolicyFault::CookiePrefix { name })
        }
        _ => None,
    }
}
