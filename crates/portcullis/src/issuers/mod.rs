//! The issuers of a policy, as the pipeline asks for them.
#[cfg(feature = "remote-jwks")]
mod eviction;
#[cfg(feature = "remote-jwks")]
mod tenants;

use core::fmt;
use std::sync::Arc;

#[cfg(feature = "remote-jwks")]
pub(crate) use self::tenants::{Tenant, TenantBounds, TenantRule, Tenants};
use crate::claims::IssuerRules;
use crate::error::ClaimsError;
#[cfg(feature = "remote-jwks")]
use crate::fetch::SettingFault;
#[cfg(feature = "remote-jwks")]
use crate::keys::KeysUnavailable;
#[cfg(feature = "remote-jwks")]
use crate::keys::remote::{RemoteJwks, RemoteJwksError, RemoteJwksOptions};
use crate::keys::{KeySource, VerificationKey};
use crate::signature::Algorithm;
use crate::terms::IssuerTerms;
use crate::time::UnixTime;

/// An issuer with all that its tokens are held to.
#[cfg_attr(feature = "remote-jwks", derive(Clone))]
pub(crate) struct TrustedIssuer {
    pub(crate) rules: IssuerRules,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) keys: Vec<Arc<dyn KeySource>>,
    /// Some of the keys are of a source of the user's own, which takes keys away without a word.
    pub(crate) has_own_source: bool,
    /// Those of the keys that are remote.
    #[cfg(feature = "remote-jwks")]
    pub(crate) remotes: Vec<RemoteJwks>,
    pub(crate) requires_key_id: bool,
}

impl TrustedIssuer {
    #[cfg(feature = "remote-jwks")]
    pub(crate) fn add(&mut self, remote: RemoteJwks) {
        self.keys.push(Arc::new(remote.clone()));
        self.remotes.push(remote);
    }

    /// Whether a key that verified one of its tokens still may: its source withdraws it when it loses it.
    #[inline]
    pub(crate) fn accepts_cached_key(&self, key: &VerificationKey, now: UnixTime) -> bool {
        key.is_live(now) && (!self.may_lose_keys_unsaid() || key.is_in(&self.keys))
    }

    /// Whether keys may be gone that were not withdrawn.
    fn may_lose_keys_unsaid(&self) -> bool {
        #[cfg(feature = "remote-jwks")]
        if self.remotes.iter().any(RemoteJwks::is_overdue) {
            return true;
        }
        self.has_own_source
    }
}

/// Why an issuer does not start.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub(crate) enum IssuerFault {
    /// Its keys cannot be fetched.
    #[cfg(feature = "remote-jwks")]
    RemoteKeys { issuer: String, error: RemoteJwksError },
    /// A template without a tenant.
    #[cfg(feature = "remote-jwks")]
    Template { issuer: String },
    /// A bound of a rule.
    #[cfg(feature = "remote-jwks")]
    Tenants { issuer: String, fault: SettingFault },
    /// A tenant that is known, and none of the rule.
    #[cfg(feature = "remote-jwks")]
    KnownTenant { issuer: String, tenant: String },
}

/// One issuer, or a rule that makes them. Nothing is fetched yet.
pub(crate) enum Trusted {
    #[cfg(not(feature = "remote-jwks"))]
    One(TrustedIssuer),
    #[cfg(feature = "remote-jwks")]
    One(Box<TrustedIssuer>, Vec<RemoteJwksOptions>),
    #[cfg(feature = "remote-jwks")]
    Each(Box<Tenants>),
}

impl Trusted {
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            #[cfg(not(feature = "remote-jwks"))]
            (Self::One(one), Self::One(other)) => one.rules.id == other.rules.id,
            #[cfg(feature = "remote-jwks")]
            (Self::One(one, _), Self::One(other, _)) => one.rules.id == other.rules.id,
            #[cfg(feature = "remote-jwks")]
            (Self::Each(one), Self::Each(other)) => one.is_same_as(other),
            #[cfg(feature = "remote-jwks")]
            _ => false,
        }
    }
}

/// All of a policy.
#[derive(Default)]
pub(crate) struct TrustedIssuers {
    named: Vec<Arc<TrustedIssuer>>,
    #[cfg(feature = "remote-jwks")]
    tenants: Vec<Tenants>,
}

/// Whose token it is.
pub(crate) enum IssuerMatch<'r> {
    Named(&'r Arc<TrustedIssuer>),
    #[cfg(feature = "remote-jwks")]
    Tenant(&'r Tenants, Arc<Tenant>),
    /// An issuer that a rule trusts, and that is not made yet.
    #[cfg(feature = "remote-jwks")]
    Unresolved(&'r Tenants),
}

impl TrustedIssuers {
    /// Starts what is fetched, but for what these have already. What does not start goes to `faults`.
    pub(crate) fn start(
        all: Vec<Trusted>,
        former: &[&Self],
        faults: &mut Vec<IssuerFault>,
    ) -> Self {
        let mut started = Self::default();
        for trusted in all {
            match trusted {
                #[cfg(not(feature = "remote-jwks"))]
                Trusted::One(issuer) => started.named.push(Arc::new(issuer)),
                #[cfg(feature = "remote-jwks")]
                Trusted::One(mut issuer, plans) => {
                    for plan in plans {
                        let started =
                            former.iter().find_map(|former| former.remote(&issuer.rules.id, &plan));
                        let started = started.map_or_else(|| plan.start_for(&*issuer.rules.id), Ok);
                        match started {
                            Ok(remote) => issuer.add(remote),
                            Err(error) => {
                                let issuer = issuer.rules.id.to_string();
                                faults.push(IssuerFault::RemoteKeys { issuer, error });
                            }
                        }
                    }
                    started.named.push(Arc::new(*issuer));
                }
                #[cfg(feature = "remote-jwks")]
                Trusted::Each(tenants) => started.tenants.push(tenants.start(former, faults)),
            }
        }
        #[cfg(feature = "remote-jwks")]
        started.take_in(former, faults);
        #[cfg(not(feature = "remote-jwks"))]
        let _ = (former, faults);
        started
    }

    /// Makes the tenants that are known already, each of the rule that it is found by.
    #[cfg(feature = "remote-jwks")]
    fn take_in(&mut self, former: &[&Self], faults: &mut Vec<IssuerFault>) {
        for tenants in core::mem::take(&mut self.tenants) {
            let is_ours = |id: &str| {
                self.named.iter().all(|named| *named.rules.id != *id)
                    && !self.tenants.iter().any(|earlier| earlier.trusts(id))
            };
            let tenants = tenants.take_in(former, is_ours, faults);
            self.tenants.push(tenants);
        }
    }

    /// The rules that make issuers.
    #[cfg(feature = "remote-jwks")]
    pub(crate) fn each(&self) -> impl Iterator<Item = &Tenants> {
        self.tenants.iter()
    }

    /// Those that rules have made, and of which a token verified.
    #[cfg(feature = "remote-jwks")]
    pub(crate) fn known_tenants(&self) -> Vec<String> {
        self.tenants.iter().flat_map(Tenants::verified).collect()
    }

    /// The issuer that calls itself exactly so. Named ones before rules.
    pub(crate) fn find(&self, id: &str) -> Option<IssuerMatch<'_>> {
        let named =
            self.named.iter().find(|issuer| *issuer.rules.id == *id).map(IssuerMatch::Named);
        #[cfg(feature = "remote-jwks")]
        let named = named.or_else(|| self.tenants.iter().find_map(|tenants| tenants.find(id)));
        named
    }

    /// Why an issuer that is not found here is not trusted.
    pub(crate) fn untrusted(&self, id: &str) -> ClaimsError {
        let without_slash = |name: &str| name.strip_suffix('/').map_or(name.len(), str::len);
        let is_near = |name: &str| name[..without_slash(name)] == id[..without_slash(id)];
        let near = self.named.iter().find(|issuer| is_near(&issuer.rules.id));
        near.map_or(ClaimsError::Issuer, |issuer| ClaimsError::IssuerSlash {
            trusted: Arc::from(&*issuer.rules.id),
        })
    }

    /// The named issuer by whose terms a token of this policy verified: the one that [`find`](Self::find) finds by
    /// name, for the price of comparing addresses.
    pub(crate) fn by_terms(&self, terms: &IssuerTerms) -> Option<IssuerMatch<'_>> {
        let has_these = |issuer: &&Arc<TrustedIssuer>| core::ptr::eq(&*issuer.rules.terms, terms);
        self.named.iter().find(has_these).map(IssuerMatch::Named)
    }

    /// The keys of an issuer that are fetched as `plan` says.
    #[cfg(feature = "remote-jwks")]
    fn remote(&self, issuer: &str, plan: &RemoteJwksOptions) -> Option<RemoteJwks> {
        // It may have been one of a rule there.
        let Some(named) = self.named.iter().find(|named| *named.rules.id == *issuer) else {
            return self.tenants.iter().find_map(|tenants| tenants.remote(issuer, plan));
        };
        named.remotes.iter().find(|remote| remote.is_by(plan)).cloned()
    }

    /// Those that are named.
    #[cfg(any(feature = "explain", all(feature = "openapi", feature = "remote-jwks")))]
    pub(crate) fn named(&self) -> &[Arc<TrustedIssuer>] {
        &self.named
    }

    /// The rules that make others.
    #[cfg(all(feature = "explain", feature = "remote-jwks"))]
    pub(crate) fn tenants(&self) -> &[Tenants] {
        &self.tenants
    }

    /// Whether there is a key of every issuer that is named.
    pub(crate) fn have_keys(&self) -> bool {
        let has_one = |issuer: &Arc<TrustedIssuer>| {
            issuer.keys.iter().any(|source| !source.keys().is_empty())
        };
        self.named.iter().all(has_one)
    }

    /// How long ago the keys of each named issuer were fetched, of those that are.
    #[cfg(all(feature = "metrics", feature = "remote-jwks"))]
    pub(crate) fn key_ages(&self) -> impl Iterator<Item = (&str, core::time::Duration)> {
        self.named.iter().filter_map(|issuer| {
            let ages = issuer.remotes.iter().filter_map(|remote| remote.health().age);
            Some((&*issuer.rules.id, ages.max()?))
        })
    }

    #[cfg(feature = "remote-jwks")]
    pub(crate) fn remotes(&self) -> Vec<RemoteJwks> {
        let named = self.named_remotes();
        named.chain(self.tenants.iter().flat_map(Tenants::remotes)).collect()
    }

    /// As [`remotes`](Self::remotes), without those of tenants of which no token verified.
    #[cfg(feature = "remote-jwks")]
    pub(crate) fn known_remotes(&self) -> Vec<RemoteJwks> {
        self.named_remotes().chain(self.tenants.iter().flat_map(Tenants::known_remotes)).collect()
    }

    /// As [`remotes`](Self::remotes), without those of single tenants.
    #[cfg(feature = "remote-jwks")]
    pub(crate) fn common_remotes(&self) -> Vec<RemoteJwks> {
        self.named_remotes().chain(self.tenants.iter().flat_map(Tenants::common_remotes)).collect()
    }

    #[cfg(feature = "remote-jwks")]
    fn named_remotes(&self) -> impl Iterator<Item = RemoteJwks> {
        self.named.iter().flat_map(|issuer| issuer.remotes.iter().cloned())
    }
}

impl fmt::Debug for TrustedIssuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        list.entries(self.named.iter().map(|issuer| &issuer.rules.id));
        #[cfg(feature = "remote-jwks")]
        list.entries(self.tenants.iter().map(Tenants::name));
        list.finish()
    }
}

impl IssuerMatch<'_> {
    /// What the claims of its tokens are held to.
    pub(crate) fn rules(&self) -> &IssuerRules {
        &self.trusted().rules
    }

    /// What its tokens are held to. Of a stranger, all but identifier and keys.
    pub(crate) fn trusted(&self) -> &Arc<TrustedIssuer> {
        match self {
            Self::Named(issuer) => issuer,
            #[cfg(feature = "remote-jwks")]
            Self::Tenant(_, tenant) => tenant.trusted(),
            #[cfg(feature = "remote-jwks")]
            Self::Unresolved(tenants) => tenants.terms(),
        }
    }

    /// Whether it is an issuer, with its keys.
    pub(crate) fn is_resolved(&self) -> bool {
        match self {
            Self::Named(_) => true,
            #[cfg(feature = "remote-jwks")]
            Self::Tenant(..) => true,
            #[cfg(feature = "remote-jwks")]
            Self::Unresolved(_) => false,
        }
    }

    /// Makes an issuer of a stranger, if there is room for one.
    #[cfg(feature = "remote-jwks")]
    pub(crate) fn resolve(self, id: &str) -> Result<Self, KeysUnavailable> {
        match self {
            Self::Unresolved(tenants) => {
                tenants.resolve(id).map(|tenant| Self::Tenant(tenants, tenant))
            }
            resolved => Ok(resolved),
        }
    }

    /// Lets a token have its keys looked for.
    #[cfg(feature = "remote-jwks")]
    pub(crate) fn admit_lookup(&self) -> Result<(), KeysUnavailable> {
        match self {
            Self::Tenant(tenants, tenant) => tenants.admit_lookup(tenant),
            Self::Named(_) | Self::Unresolved(_) => Ok(()),
        }
    }

    /// One of its tokens has verified, for the first time or again.
    pub(crate) fn mark_verified(&self) {
        #[cfg(feature = "remote-jwks")]
        if let Self::Tenant(tenants, tenant) = self {
            tenants.mark_verified(tenant);
        }
    }
}
