//! From what was said of a policy to the policy.
use core::sync::atomic::AtomicUsize;
use std::sync::Arc;

use super::PolicyBuilder;
use super::check::{contradiction, contradictions, rule_faults, said_twice};
use crate::cache::{self, TokenCache};
#[cfg(feature = "status-list")]
use crate::claims::StatusRule;
use crate::claims::TakesBound;
use crate::dpop::{Dpop, DpopRules, Purpose};
#[cfg(feature = "status-list")]
use crate::fetch::Thread;
use crate::issuers::{Trusted, TrustedIssuers};
use crate::keys::KeySet;
use crate::mtls::{Mtls, MtlsRules};
use crate::policy::fault::{BuildError, PolicyFault};
use crate::policy::{Issuer, Policy};
use crate::refusal::AskedProofs;
use crate::revocation::{IssuerRule, Sources};
use crate::setting::Shared;
use crate::signature::AlgorithmSet;
use crate::source::{AllowedOrigins, TokenSource};
#[cfg(feature = "status-list")]
use crate::status_list::StatusLists;
use crate::terms::Terms;
use crate::time::SystemClock;
use crate::token::{HeaderCache, TokenLimits};
use crate::verifier::{Rules, Verifier};

impl PolicyBuilder {
    /// Makes the policy.
    ///
    /// # Errors
    ///
    /// The policy would be weak, or could let nobody in. The error lists every fault.
    pub fn build(mut self) -> Result<Policy, BuildError> {
        let mut faults = self.faults();
        let dpop = self.dpop.get().map(|Shared(dpop)| Dpop::clone(dpop).compile(Purpose::Resource));
        let dpop = dpop.transpose();
        let dpop = dpop.unwrap_or_else(|found| {
            faults.extend(found.into_iter().map(PolicyFault::Dpop));
            None
        });
        let mtls = self.mtls.get().cloned().map(Mtls::compile).transpose();
        let mtls = mtls.unwrap_or_else(|found| {
            faults.extend(found.into_iter().map(PolicyFault::Mtls));
            None
        });
        let terms = Arc::new(self.terms(dpop.as_ref()));
        let (issuers, issuer_faults) = self.prepare_issuers(&terms);
        faults.extend(issuer_faults);
        BuildError::check(faults)?;
        // Last, since it may take a while: with nothing else at fault.
        let started = self.start(issuers)?;
        #[cfg(feature = "metrics")]
        terms.counters.begin();
        let cache = self.token_cache.get().copied().unwrap_or(cache::DEFAULT_BYTES);
        let anonymous = self.anonymous;
        if let Some(dpop) = &dpop {
            dpop.start(terms.clock.now());
        }
        let rules = self.rules(started, dpop, mtls, terms);
        Ok(Policy::fixed(Verifier { rules, cache: TokenCache::new(cache) }, anonymous))
    }

    /// What its tokens carry.
    fn terms(&mut self, dpop: Option<&DpopRules>) -> Terms {
        let proofs = dpop.map(|dpop| {
            let listed = AlgorithmSet::from_iter(dpop.algorithms.iter().copied());
            let names: Vec<_> = listed.iter().map(|algorithm| algorithm.to_string()).collect();
            AskedProofs { algorithms: names.join(" "), are_required: dpop.is_required }
        });
        let clock = self.clock.get().map(|Shared(clock)| Arc::clone(clock));
        let name = self.name.get().map(|name| name.as_str().into());
        Terms {
            #[cfg(feature = "metrics")]
            counters: crate::metrics::PolicyCounters::of(name.as_deref()),
            name,
            clock: clock.unwrap_or_else(|| Arc::new(SystemClock)),
            scope_implies: self.scope_implies.get().map(|Shared(implies)| Arc::clone(implies)),
            presentation: core::mem::take(&mut self.presentation).compile(proofs),
            nonces: dpop.and_then(|dpop| dpop.nonces.clone()),
            names_callers: self.names_callers,
            has_private_responses: !self.token_sources().iter().all(TokenSource::is_authorization),
            claims_types: AtomicUsize::new(0),
        }
    }

    fn token_sources(&self) -> Vec<TokenSource> {
        self.sources.get().cloned().unwrap_or_else(|| vec![TokenSource::bearer()])
    }

    /// What the tokens of each issuer are held to, and what is at fault about the issuers.
    fn prepare_issuers(&mut self, terms: &Arc<Terms>) -> (Vec<Trusted>, Vec<PolicyFault>) {
        let public = self.issuers.iter().flat_map(Issuer::public_keys);
        let public = public.fold(KeySet::empty(), |all, set| all.and(&set));
        let mut prepared: Vec<Trusted> = Vec::new();
        let mut faults = Vec::new();
        for issuer in core::mem::take(&mut self.issuers) {
            let name = issuer.name().to_owned();
            let (issuer, found) = self.prepare_issuer(issuer, terms, &public);
            faults.extend(found);
            if prepared.iter().any(|other| other.is_same_as(&issuer)) {
                faults.push(PolicyFault::DuplicateIssuer { issuer: name });
            }
            prepared.push(issuer);
        }
        (prepared, faults)
    }

    fn prepare_issuer(
        &self,
        issuer: Issuer,
        terms: &Arc<Terms>,
        public: &KeySet,
    ) -> (Trusted, Vec<PolicyFault>) {
        let name = issuer.name().to_owned();
        let place = format!("issuer `{name}`");
        let mut faults: Vec<_> =
            issuer.contradicted().map(|setting| said_twice(&place, setting)).collect();
        faults.extend(rule_faults(&place, issuer.rules()));
        let rules = issuer.rules().over(&self.rules);
        // What is wrong with the policy's own rules is said of the policy.
        if self.rules.contradictions().next().is_none() {
            faults.extend(contradictions(&place, &rules));
        }
        faults.extend(issuer.unmeetable(&rules).map(|claim| contradiction(&place, claim)));
        let rules = rules.compile(TakesBound {
            to_keys: self.dpop.get().is_some(),
            to_certificates: self.mtls.get().is_some(),
        });
        let rule = IssuerRule {
            name: &name,
            may_be: &|id| issuer.may_be(id),
            has_secret_without_id: issuer.has_secret_without_id(),
        };
        let of_revocations = self.enforced.iter().flat_map(|enforced| {
            let all = [enforced.check_rules(&rules, &rule), enforced.check_keys(&rule)];
            all.into_iter().filter_map(Result::err)
        });
        faults.extend(
            of_revocations.map(|fault| PolicyFault::Revocations { place: place.clone(), fault }),
        );
        let (trusted, found) = issuer.prepare(rules, terms, public);
        faults.extend(found);
        (trusted, faults)
    }

    /// Starts what is fetched.
    fn start(&self, issuers: Vec<Trusted>) -> Result<Started, BuildError> {
        #[cfg(feature = "remote-jwks")]
        let former: Vec<_> = self.former.iter().map(|rules| &rules.issuers).collect();
        #[cfg(not(feature = "remote-jwks"))]
        let former = [];
        let mut not_started = Vec::new();
        let issuers = TrustedIssuers::start(issuers, &former, &mut not_started);
        let faults = not_started.into_iter().map(PolicyFault::from);
        #[cfg(feature = "status-list")]
        let (status_lists, fault) = match self.start_status_lists() {
            Ok(lists) => (lists, None),
            Err(fault) => (None, Some(fault)),
        };
        #[cfg(feature = "status-list")]
        let faults = faults.chain(fault);
        BuildError::check(faults.collect())?;
        Ok(Started {
            issuers,
            #[cfg(feature = "status-list")]
            status_lists,
        })
    }

    /// The status lists with the thread that fetches them.
    #[cfg(feature = "status-list")]
    fn start_status_lists(&self) -> Result<Option<StartedLists>, PolicyFault> {
        let Some(Shared(lists)) = self.status_lists.get() else { return Ok(None) };
        let thread = StatusLists::thread().map_err(|error| PolicyFault::StatusLists { error })?;
        Ok(Some((StatusLists::clone(lists), thread)))
    }

    /// What tokens and their requests are held to.
    fn rules(
        mut self,
        started: Started,
        dpop: Option<DpopRules>,
        mtls: Option<MtlsRules>,
        terms: Arc<Terms>,
    ) -> Arc<Rules> {
        self.origins.sort_unstable();
        self.origins.dedup();
        let origins = self.origins.drain(..).map(String::into_boxed_str).collect();
        let default = TokenLimits::default();
        let rules = Rules {
            sources: self.token_sources(),
            precedence: self.precedence,
            origins: AllowedOrigins(origins),
            bad_cookie: self.bad_cookie.get().copied().unwrap_or_default(),
            limits: TokenLimits {
                token: self.token_limit.get().copied().unwrap_or(default.token),
                header: self.header_limit.get().copied().unwrap_or(default.header),
            },
            refuses_brought_keys: self.refuses_brought_keys,
            dpop: dpop.map(Box::new),
            mtls: mtls.map(Box::new),
            issuers: started.issuers,
            revocations: self.revocation_sources(),
            #[cfg(feature = "status-list")]
            status: StatusRule::default(),
            #[cfg(all(feature = "explain", feature = "status-list"))]
            plain_status_hosts: Vec::new(),
            headers: HeaderCache::default(),
            terms,
        };
        #[cfg(not(feature = "status-list"))]
        return Arc::new(rules);
        #[cfg(feature = "status-list")]
        with_status_lists(rules, started.status_lists)
    }

    fn revocation_sources(&mut self) -> Sources {
        let all = core::mem::take(&mut self.revocations);
        let unknown = self.unknown_revocation.get().copied().unwrap_or_default();
        let mut sources = Sources { all, enforced: Vec::new(), unknown };
        for enforced in core::mem::take(&mut self.enforced) {
            let enforced = enforced.compile();
            sources.all.push(Arc::new(enforced.clone()));
            sources.enforced.push(enforced);
        }
        sources
    }
}

/// What a policy has that goes on in the background.
struct Started {
    issuers: TrustedIssuers,
    #[cfg(feature = "status-list")]
    status_lists: Option<StartedLists>,
}

#[cfg(feature = "status-list")]
type StartedLists = (StatusLists, Arc<Thread>);

/// A list is verified by the rules that it is part of.
#[cfg(feature = "status-list")]
fn with_status_lists(mut rules: Rules, lists: Option<StartedLists>) -> Arc<Rules> {
    let Some((lists, thread)) = lists else { return Arc::new(rules) };
    rules.status = lists.rule();
    #[cfg(feature = "explain")]
    rules.plain_status_hosts.extend_from_slice(lists.plain_hosts());
    Arc::new_cyclic(|own| {
        let lists = lists.start(Arc::clone(&rules.terms.clock), thread, own.clone());
        rules.revocations.all.push(Arc::new(lists));
        rules
    })
}
