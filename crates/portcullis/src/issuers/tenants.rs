//! Issuers that are made when the first token of theirs comes.
//!
//! Whoever can send a request can invent tenants, each of which costs a fetch and some memory. Which of them comes in,
//! and which gives way, [`eviction`](super::eviction) decides; here are the issuers themselves.
use core::fmt;
use core::hash::BuildHasher as _;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::eviction::{Moment, Name, Newcomers, Pace, Standing, Verified, who_gives_way};
use super::{IssuerFault, IssuerMatch, TrustedIssuer, TrustedIssuers};
use crate::fetch::SettingFault;
use crate::keys::KeysUnavailable;
use crate::keys::remote::{RemoteJwks, RemoteJwksError, RemoteJwksOptions, TENANT, chooses_domain};

/// What bounds the issuers of a rule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TenantBounds {
    /// How many there are at a time.
    pub(crate) most: usize,
    /// How fast new ones come.
    pace: Pace,
}

impl TenantBounds {
    /// With the defaults of what is not said: see [`Issuer::max_tenants`](crate::Issuer::max_tenants).
    pub(crate) fn of(
        most: Option<&usize>,
        burst: Option<&usize>,
        interval: Option<&Duration>,
    ) -> Self {
        let pace = Pace {
            burst: burst.copied().unwrap_or(50),
            interval: interval.copied().unwrap_or(Duration::from_millis(100)),
        };
        Self { most: most.copied().unwrap_or(1000), pace }
    }

    fn faults(self) -> impl Iterator<Item = SettingFault> {
        let Pace { burst, interval } = self.pace;
        let intervals = Duration::from_millis(1)..=Duration::from_secs(60);
        let most = (self.most == 0)
            .then_some(SettingFault { setting: "max_tenants", allowed: "at least 1" });
        let burst = (!(1..=10_000).contains(&burst))
            .then_some(SettingFault { setting: "tenant_burst", allowed: "1 to 10000" });
        let interval = (!intervals.contains(&interval))
            .then_some(SettingFault { setting: "tenant_interval", allowed: "1 ms to 60 s" });
        most.into_iter().chain(burst).chain(interval)
    }
}

/// The longest tenant in a template. A UUID has 36 characters.
const MAX_LABEL: usize = 64;

/// The longest identifier that a predicate is asked about.
const MAX_ID: usize = 1024;

/// Which issuers are trusted.
#[derive(Clone)]
pub(crate) enum TenantRule {
    Template { text: String, parts: Option<(String, String)> },
    Predicate(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl TenantRule {
    pub(crate) fn template(text: String) -> Self {
        let parts = text
            .split_once(TENANT)
            .filter(|(_, after)| !after.contains(TENANT) && !chooses_domain(&text))
            .map(|(before, after)| (before.to_owned(), after.to_owned()));
        Self::Template { text, parts }
    }

    /// What a message calls it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Template { text, .. } => text,
            Self::Predicate(_) => "(predicate)",
        }
    }

    /// Whether it could trust this issuer. What a predicate does, nobody knows beforehand.
    pub(crate) fn may_be(&self, id: &str) -> bool {
        matches!(self, Self::Predicate(_)) || self.tenant(id).is_some()
    }

    /// What is at fault about it, its bounds and where its tenants have their keys.
    fn faults(&self, bounds: TenantBounds, plans: &[RemoteJwksOptions]) -> Vec<IssuerFault> {
        let issuer = || self.name().to_owned();
        // That the text is empty is said of the issuer.
        let is_none = matches!(self, Self::Template { text, parts: None } if !text.is_empty());
        let template = is_none.then(|| IssuerFault::Template { issuer: issuer() });
        let bounds = bounds.faults().map(|fault| IssuerFault::Tenants { issuer: issuer(), fault });
        // What is wrong with the keys of any tenant is wrong with those of this one.
        let example = match self {
            Self::Template { parts: Some((before, after)), .. } => format!("{before}tenant{after}"),
            Self::Template { parts: None, .. } | Self::Predicate(_) => {
                "https://id.example".to_owned()
            }
        };
        let label = matches!(self, Self::Template { .. }).then_some("tenant");
        let check = |plan: &RemoteJwksOptions| {
            plan.check_tenant().and_then(|()| plan.clone().for_tenant(label).check(&example))
        };
        let errors = plans.iter().filter_map(|plan| check(plan).err());
        let keys = errors.map(|error| IssuerFault::RemoteKeys { issuer: issuer(), error });
        template.into_iter().chain(bounds).chain(keys).collect()
    }

    /// The first of these that is none of its tenants.
    fn named_fault(&self, named: &[String], plans: &[RemoteJwksOptions]) -> Option<IssuerFault> {
        let is_tenant = |id: &String| {
            self.tenant(id).is_some_and(|_| {
                let label = self.label(id);
                plans.iter().all(|plan| plan.clone().for_tenant(label).check(id).is_ok())
            })
        };
        let stranger = named.iter().find(|id| !is_tenant(id))?;
        Some(IssuerFault::KnownTenant { issuer: self.name().to_owned(), tenant: stranger.clone() })
    }

    /// What stands for `{tenant}` in the addresses of an issuer that is trusted.
    fn label<'i>(&self, id: &'i str) -> Option<&'i str> {
        match self {
            Self::Template { .. } => self.tenant(id),
            // Whatever a predicate trusts is no part of an address.
            Self::Predicate(_) => None,
        }
    }

    /// The tenant of an issuer that is trusted. With a predicate, the issuer itself.
    fn tenant<'i>(&self, id: &'i str) -> Option<&'i str> {
        match self {
            Self::Template { parts, .. } => {
                let (before, after) = parts.as_ref()?;
                let label = id.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                let is_label = (1..=MAX_LABEL).contains(&label.len())
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
                is_label.then_some(label)
            }
            Self::Predicate(is_trusted) => (id.len() <= MAX_ID && is_trusted(id)).then_some(id),
        }
    }
}

impl fmt::Debug for TenantRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantRule").field(&self.name()).finish()
    }
}

/// A rule, and the issuers that it has made.
pub(crate) struct Tenants {
    rule: TenantRule,
    /// What all of them have in common.
    terms: Arc<TrustedIssuer>,
    /// The keys that each has for itself.
    plans: Vec<RemoteJwksOptions>,
    bounds: TenantBounds,
    /// Those that an operator named. Nothing once they are made.
    named: Vec<String>,
    /// Read without a lock.
    known: ArcSwap<Known>,
    /// Held while one is made.
    newcomers: Mutex<Newcomers>,
    hasher: RandomState,
    start: Instant,
}

type Known = HashMap<Arc<str>, Arc<Tenant>>;

/// An issuer that a rule has made.
pub(crate) struct Tenant {
    issuer: Arc<TrustedIssuer>,
    made: Moment,
    /// When a token of it last verified, in whole seconds.
    used: AtomicU64,
    has_verified: AtomicBool,
}

impl Tenant {
    pub(crate) fn trusted(&self) -> &Arc<TrustedIssuer> {
        &self.issuer
    }

    fn mark_verified(&self) {
        // Nearly always verified already: the line is then not fought over by all cores.
        if !self.has_verified.load(Ordering::Relaxed) {
            self.has_verified.store(true, Ordering::Relaxed);
        }
    }

    fn has_verified(&self) -> bool {
        self.has_verified.load(Ordering::Relaxed)
    }

    fn use_at(&self, now: Moment) {
        // Once a second, for the same reason.
        if self.used.load(Ordering::Relaxed) < now.as_secs() {
            self.used.store(now.as_secs(), Ordering::Relaxed);
        }
    }

    fn used(&self) -> Moment {
        Moment::from_secs(self.used.load(Ordering::Relaxed))
    }

    fn standing(&self) -> Standing {
        Standing {
            made: self.made,
            used: self.used(),
            has_verified: self.has_verified(),
            has_keys: self.issuer.keys.iter().any(|source| !source.keys().is_empty()),
        }
    }
}

/// A tenant of a policy that another one succeeds.
pub(crate) struct Former {
    id: Arc<str>,
    tenant: Arc<Tenant>,
    used: Instant,
}

impl Tenants {
    /// The rule, and what is at fault about it.
    pub(crate) fn new(
        rule: TenantRule,
        terms: TrustedIssuer,
        plans: Vec<RemoteJwksOptions>,
        bounds: TenantBounds,
        mut named: Vec<String>,
    ) -> (Self, Vec<IssuerFault>) {
        named.sort_unstable();
        named.dedup();
        let mut faults = rule.faults(bounds, &plans);
        // Of a rule that is at fault itself, nobody is a tenant.
        if faults.is_empty() {
            faults.extend(rule.named_fault(&named, &plans));
        }
        if named.len() > bounds.most && bounds.most > 0 {
            let allowed = "as many as `max_tenants` at most";
            let fault = SettingFault { setting: "known_tenants", allowed };
            faults.push(IssuerFault::Tenants { issuer: rule.name().to_owned(), fault });
        }
        let newcomers =
            Newcomers::new(bounds.pace, bounds.most, Verified::for_tenants(bounds.most));
        let tenants = Self {
            rule,
            terms: Arc::new(terms),
            plans,
            bounds,
            named,
            known: ArcSwap::default(),
            newcomers: Mutex::new(newcomers),
            hasher: RandomState::new(),
            start: Instant::now(),
        };
        (tenants, faults)
    }

    /// Starts the keys that are at the same address for all of them, but for what these have already.
    pub(crate) fn start(
        mut self,
        former: &[&TrustedIssuers],
        faults: &mut Vec<IssuerFault>,
    ) -> Self {
        let before = former.iter().flat_map(|former| former.each());
        let before: Vec<_> = before.filter(|other| other.name() == self.name()).collect();
        let (own, shared): (Vec<_>, _) =
            self.plans.into_iter().partition(RemoteJwksOptions::is_of_one_tenant);
        let mut terms = TrustedIssuer::clone(&self.terms);
        for plan in shared {
            let mut remotes = before.iter().flat_map(|other| &other.terms.remotes);
            let started = remotes.find(|remote| remote.is_by(&plan)).cloned();
            match started.map_or_else(|| plan.start_for(self.rule.name()), Ok) {
                Ok(remote) => terms.add(remote),
                Err(error) => {
                    let issuer = self.rule.name().to_owned();
                    faults.push(IssuerFault::RemoteKeys { issuer, error });
                }
            }
        }
        self.plans = own;
        self.terms = Arc::new(terms);
        self
    }

    /// Makes those that are known before any token came: the named ones, then of `former` those that were asked for
    /// last, as many as there is room for. `is_ours`: no other issuer stands before it.
    pub(crate) fn take_in(
        mut self,
        former: &[&TrustedIssuers],
        is_ours: impl Fn(&str) -> bool,
        faults: &mut Vec<IssuerFault>,
    ) -> Self {
        let before = former.iter().flat_map(|former| former.each());
        let mut candidates: Vec<Former> = before.flat_map(Self::former).collect();
        // What was there before goes on from where it was.
        if let Some(earliest) = former.iter().flat_map(|it| it.each()).map(|it| it.start).min() {
            self.start = self.start.min(earliest);
        }
        let is_unverified = |one: &Former| !one.tenant.has_verified();
        candidates.sort_by_key(|one| (is_unverified(one), core::cmp::Reverse(one.used)));
        let mut known = Known::new();
        let mut verified = Verified::for_tenants(self.bounds.most);
        // Those that gave way there come back at once here.
        let alike = former.iter().flat_map(|it| it.each()).find(|it| it.name() == self.name());
        if let Some(alike) = alike {
            self.hasher = alike.hasher.clone();
            let newcomers = alike.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
            newcomers.verified().iter().for_each(|name| verified.add(name));
        }
        let now = self.now();
        for id in core::mem::take(&mut self.named) {
            verified.add(self.name_of(&id));
            let own = candidates.iter().find(|one| *one.id == *id);
            match self.make(&id, own.map(|one| &*one.tenant)) {
                Ok(issuer) => {
                    let used = own.map_or(now, |one| self.moment(one.used));
                    let tenant = Tenant::new(issuer, now, used, true);
                    known.insert(id.into(), Arc::new(tenant));
                }
                Err(error) => {
                    let issuer = self.rule.name().to_owned();
                    faults.push(IssuerFault::RemoteKeys { issuer, error });
                }
            }
        }
        for Former { id, tenant, used } in candidates {
            let has_verified = tenant.has_verified();
            if known.contains_key(&id) || !is_ours(&id) || self.rule.tenant(&id).is_none() {
                continue;
            }
            if has_verified {
                verified.add(self.name_of(&id));
            }
            if known.len() < self.bounds.most
                && let Ok(issuer) = self.make(&id, Some(&tenant))
            {
                let tenant = Tenant::new(issuer, now, self.moment(used), has_verified);
                known.insert(id, Arc::new(tenant));
            }
        }
        self.known.store(Arc::new(known));
        let newcomers = Newcomers::new(self.bounds.pace, self.bounds.most, verified);
        self.newcomers = Mutex::new(newcomers);
        self
    }

    /// Its tenants, for the policy that takes its place.
    fn former(&self) -> Vec<Former> {
        let known = self.known.load();
        let all = known.iter().map(|(id, tenant)| Former {
            id: Arc::clone(id),
            tenant: Arc::clone(tenant),
            used: self.start + tenant.used(),
        });
        all.collect()
    }

    pub(crate) fn name(&self) -> &str {
        self.rule.name()
    }

    /// Whether both are one template. Two predicates are two rules.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        matches!(self.rule, TenantRule::Template { .. }) && self.name() == other.name()
    }

    /// Whether it could trust this issuer.
    pub(crate) fn trusts(&self, id: &str) -> bool {
        self.rule.tenant(id).is_some()
    }

    /// The keys that each has for itself.
    #[cfg(feature = "explain")]
    pub(crate) fn plans(&self) -> &[RemoteJwksOptions] {
        &self.plans
    }

    /// How many there are at a time.
    #[cfg(feature = "explain")]
    pub(crate) fn most(&self) -> usize {
        self.bounds.most
    }

    pub(crate) fn terms(&self) -> &Arc<TrustedIssuer> {
        &self.terms
    }

    pub(crate) fn remotes(&self) -> Vec<RemoteJwks> {
        self.remotes_of(|_| true)
    }

    /// Those that all have in common, and those of tenants of which a token verified, or that were named.
    pub(crate) fn known_remotes(&self) -> Vec<RemoteJwks> {
        self.remotes_of(Tenant::has_verified)
    }

    /// Those that all have in common.
    pub(crate) fn common_remotes(&self) -> Vec<RemoteJwks> {
        self.remotes_of(|_| false)
    }

    fn remotes_of(&self, is_meant: impl Fn(&Tenant) -> bool) -> Vec<RemoteJwks> {
        let known = self.known.load();
        let those = known.values().filter(|tenant| is_meant(tenant));
        let own = those.flat_map(|tenant| self.own_remotes(&tenant.issuer));
        self.terms.remotes.iter().chain(own).cloned().collect()
    }

    /// Those of one tenant alone. Those that all tenants have in common stand first in each.
    fn own_remotes<'i>(&self, issuer: &'i TrustedIssuer) -> impl Iterator<Item = &'i RemoteJwks> {
        issuer.remotes.iter().skip(self.terms.remotes.len())
    }

    /// The keys of a tenant that are fetched as `plan` says.
    pub(crate) fn remote(&self, id: &str, plan: &RemoteJwksOptions) -> Option<RemoteJwks> {
        let known = self.known.load();
        known.get(id)?.issuer.remotes.iter().find(|remote| remote.is_by(plan)).cloned()
    }

    /// Those of which a token verified, or that were named.
    pub(crate) fn verified(&self) -> Vec<String> {
        let known = self.known.load();
        let verified = known.iter().filter(|(_, tenant)| tenant.has_verified());
        verified.map(|(id, _)| id.to_string()).collect()
    }

    pub(crate) fn find(&self, id: &str) -> Option<IssuerMatch<'_>> {
        if let Some(tenant) = self.known.load().get(id) {
            return Some(IssuerMatch::Tenant(self, Arc::clone(tenant)));
        }
        self.rule.tenant(id).map(|_| IssuerMatch::Unresolved(self))
    }

    /// A token of it has verified, for the first time or again. Tokens that did not are anybody's, and would keep
    /// its place.
    pub(super) fn mark_verified(&self, tenant: &Tenant) {
        tenant.mark_verified();
        tenant.use_at(self.now());
    }

    /// Makes an issuer, unless others go first, or there is no room.
    pub(crate) fn resolve(&self, id: &str) -> Result<Arc<Tenant>, KeysUnavailable> {
        // A user's predicate does not run under the lock.
        self.rule.tenant(id).ok_or_else(|| self.come_again())?;
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load_full();
        if let Some(tenant) = known.get(id) {
            return Ok(Arc::clone(tenant));
        }
        let now = self.now();
        // A slot is used up also where what follows fails: that costs time, and a line in the log.
        if !newcomers.ask(now, self.name_of(id)) {
            return Err(self.come_again());
        }
        let most = self.bounds.most;
        let mut next = Known::clone(&known);
        if next.len() >= most {
            let all = next.iter().map(|(id, tenant)| (Arc::clone(id), tenant.standing()));
            let Some(gone) = who_gives_way(now, all) else {
                #[cfg(feature = "tracing")]
                tracing::warn!(rule = self.name(), most, "no room for a new issuer");
                return Err(KeysUnavailable::default());
            };
            if next.remove(&gone).is_some_and(|tenant| tenant.has_verified()) {
                newcomers.remember(self.name_of(&gone));
            }
        }
        // Such as an identifier that a predicate trusts and that is no address.
        let issuer = self.make(id, None).map_err(|error| {
            #[cfg(feature = "tracing")]
            tracing::warn!(rule = self.name(), %error, "no keys for a new issuer");
            // It names what a token says.
            let _ = error;
            KeysUnavailable::default()
        })?;
        let tenant = Arc::new(Tenant::new(issuer, now, now, false));
        next.insert(id.into(), Arc::clone(&tenant));
        self.known.store(Arc::new(next));
        Ok(tenant)
    }

    /// Lets a token have the keys of a tenant looked for. Each fetch for one that never had any costs a slot, so that
    /// no name that was invented is asked for again and again.
    pub(crate) fn admit_lookup(&self, tenant: &Tenant) -> Result<(), KeysUnavailable> {
        let is_barren = !tenant.has_verified()
            && self.own_remotes(&tenant.issuer).any(RemoteJwks::would_try_again);
        if !is_barren {
            return Ok(());
        }
        let mut newcomers = self.newcomers.lock().unwrap_or_else(PoisonError::into_inner);
        let name = self.name_of(&tenant.issuer.rules.id);
        if newcomers.ask(self.now(), name) { Ok(()) } else { Err(self.come_again()) }
    }

    /// The issuer of this identifier, with the keys that `before` had, as far as they are by the same settings.
    fn make(
        &self,
        id: &str,
        before: Option<&Tenant>,
    ) -> Result<Arc<TrustedIssuer>, RemoteJwksError> {
        let label = self.rule.label(id);
        let mut issuer = TrustedIssuer::clone(&self.terms);
        issuer.rules.id = id.into();
        for plan in &self.plans {
            let plan = plan.clone().for_tenant(label);
            let mut remotes = before.iter().flat_map(|tenant| &tenant.issuer.remotes);
            let remote = remotes.find(|remote| remote.is_by(&plan)).cloned();
            issuer.add(remote.map_or_else(|| plan.start_for(id), Ok)?);
        }
        Ok(Arc::new(issuer))
    }

    /// What a client is told whose tenant has to wait: the time to the next slot, a second at least.
    fn come_again(&self) -> KeysUnavailable {
        let wait = self.bounds.pace.interval.max(Duration::from_secs(1));
        KeysUnavailable::new().with_retry_after(Some(wait))
    }

    fn name_of(&self, id: &str) -> Name {
        Name(self.hasher.hash_one(id))
    }

    fn now(&self) -> Moment {
        self.moment(Instant::now())
    }

    fn moment(&self, instant: Instant) -> Moment {
        instant.saturating_duration_since(self.start)
    }
}

impl Tenant {
    fn new(issuer: Arc<TrustedIssuer>, made: Moment, used: Moment, has_verified: bool) -> Self {
        let used = AtomicU64::new(used.as_secs());
        Self { issuer, made, used, has_verified: AtomicBool::new(has_verified) }
    }
}

#[cfg(test)]
mod tests {
    const INTERVAL: Duration = Duration::from_secs(1);

    use core::panic::AssertUnwindSafe;
    use core::sync::atomic::AtomicUsize;
    use std::panic::catch_unwind;
    use std::sync::Weak;

    use tokio::time::advance;

    use super::*;
    use crate::claims::{ClaimRules, TakesBound};
    use crate::fetch::{AddressFault, HttpClient, HttpFuture, HttpRequest, SettingFault};
    use crate::issuers::Trusted;
    use crate::keys::remote::RemoteJwksError;
    use crate::keys::{KeySet, KeySource};
    use crate::policy::PolicyFault;
    use crate::policy::{Issuer, Keys, Policy, WantsAlgorithms};
    use crate::refusal::Presentation;
    use crate::signature::Algorithm;
    use crate::terms::Terms;
    use crate::time::SystemClock;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    const TEMPLATE: &str = "https://id.example/{tenant}/";

    const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    const WITHIN_THE_SECOND: KeysUnavailable =
        KeysUnavailable::new().with_retry_after(Some(INTERVAL));

    const NO_ROOM: KeysUnavailable = KeysUnavailable::new();

    /// A network that nobody is on.
    #[test]
    fn what_is_not_said_of_tenants_is_the_documented_default() {
        let TenantBounds { most, pace: Pace { burst, interval } } =
            TenantBounds::of(None, None, None);
        assert_eq!((most, burst, interval), (1000, 50, Duration::from_millis(100)));
    }

    #[derive(Debug)]
    struct Nowhere;

    impl HttpClient for Nowhere {
        fn get(&self, _: HttpRequest) -> HttpFuture {
            Box::pin(core::future::pending())
        }
    }

    /// A source whose keys come and go.
    #[derive(Clone, Debug)]
    struct Ours(Arc<Mutex<KeySet>>);

    impl Ours {
        fn with_keys() -> Self {
            let keys = KeySet::from_jwks(KEYS).expect("a good set");
            Self(Arc::new(Mutex::new(keys)))
        }
    }

    impl KeySource for Ours {
        fn keys(&self) -> KeySet {
            self.0.lock().expect("no panic").clone()
        }
    }

    fn remote() -> RemoteJwksOptions {
        RemoteJwks::discovery().client(Nowhere)
    }

    fn complete(issuer: Issuer<WantsAlgorithms>, keys: impl Into<Keys>) -> Issuer {
        issuer.algorithms([Algorithm::ES256]).keys(keys).audience("https://api.example")
    }

    /// One new issuer a second.
    fn rule(issuer: Issuer) -> Tenants {
        rule_of(issuer.tenant_burst(1).tenant_interval(INTERVAL))
    }

    fn rule_of(issuer: Issuer) -> Tenants {
        let rules = ClaimRules::new().compile(TakesBound::default());
        let terms = Arc::new(Terms {
            name: None,
            #[cfg(feature = "metrics")]
            counters: crate::metrics::PolicyCounters::of(None),
            clock: Arc::new(SystemClock),
            scope_implies: None,
            nonces: None,
            presentation: Presentation::new().compile(None),
            names_callers: false,
            has_private_responses: false,
            claims_types: AtomicUsize::default(),
        });
        let (trusted, faults) = issuer.prepare(rules, &terms, &KeySet::empty());
        assert_eq!(faults, []);
        let Trusted::Each(tenants) = trusted else { panic!("a rule and not one issuer") };
        *tenants
    }

    /// A template with room for so many.
    fn room_for(tenants: usize) -> Tenants {
        rule(complete(Issuer::template(TEMPLATE), remote()).max_tenants(tenants))
    }

    fn matching(is_trusted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Tenants {
        rule(complete(Issuer::matching(is_trusted), remote()))
    }

    fn id(tenant: &str) -> String {
        format!("https://id.example/{tenant}/")
    }

    /// Whether there is an issuer by now, or why not.
    fn resolve(tenants: &Tenants, tenant: &str) -> Result<(), KeysUnavailable> {
        tenants.resolve(&id(tenant)).map(drop)
    }

    /// As [`resolve`], and one of its tokens verifies.
    fn verified(tenants: &Tenants, tenant: &str) -> Result<(), KeysUnavailable> {
        tenants.resolve(&id(tenant)).map(|tenant| tenants.mark_verified(&tenant))
    }

    fn is_known(tenants: &Tenants, tenant: &str) -> bool {
        matches!(tenants.find(&id(tenant)), Some(IssuerMatch::Tenant(..)))
    }

    fn count(tenants: &Tenants) -> usize {
        tenants.known.load().len()
    }

    #[test]
    fn a_tenant_is_1_to_64_letters_digits_dashes_and_underscores() {
        let rule = TenantRule::template(TEMPLATE.to_owned());
        let longest = "x".repeat(64);
        for tenant in [
            "a",
            "0",
            "-",
            "_",
            "acme",
            "Acme-1_2",
            "ABCXYZabcxyz0189",
            "9f0d7e0c-6c8e-4a57-a30b-3f9b3f1f5a11",
            "{tenant}".trim_matches(['{', '}']),
            &longest,
        ] {
            assert_eq!(rule.tenant(&id(tenant)), Some(tenant));
        }
        let too_long = "x".repeat(65);
        for no_tenant in [
            "",
            ".",
            "..",
            "a.b",
            "acme.",
            "a/b",
            "acme/..",
            "../acme",
            "a\\b",
            "%2e",
            "%2e%2e",
            "%2Facme",
            "acme%00",
            "acme\0",
            "acme\n",
            "acme\r\nhost: evil.example",
            "acme\t",
            " acme",
            "a b",
            "acme?x=y",
            "acme#x",
            "acme@evil.example",
            "acme:80",
            "acme;x",
            "a,b",
            "a+b",
            "a~b",
            "*",
            "{tenant}",
            "café",
            "аcme", // Cyrillic
            "ａｃｍｅ",
            "acme\u{200b}",
            "acme\u{2215}b",
            "١",
            &too_long,
        ] {
            assert_eq!(rule.tenant(&id(no_tenant)), None, "{no_tenant:?}");
        }
    }

    #[test]
    fn an_issuer_has_all_of_the_template_byte_by_byte() {
        let tenant = |template: &str, id: &str| {
            TenantRule::template(template.to_owned()).tenant(id).map(str::to_owned)
        };
        for (template, id, found) in [
            (TEMPLATE, "https://id.example/acme/", Some("acme")),
            (TEMPLATE, "https://id.example/acme", None),
            (TEMPLATE, "https://id.example/acme//", None),
            (TEMPLATE, "https://id.example/", None),
            (TEMPLATE, "https://id.example//", None),
            (TEMPLATE, "https://id.example", None),
            (TEMPLATE, "http://id.example/acme/", None),
            (TEMPLATE, "HTTPS://id.example/acme/", None),
            (TEMPLATE, "https://ID.example/acme/", None),
            (TEMPLATE, "https://id.example:443/acme/", None),
            (TEMPLATE, "https://id.example.evil.example/acme/", None),
            (TEMPLATE, "https://evil.example/https://id.example/acme/", None),
            (TEMPLATE, " https://id.example/acme/", None),
            (TEMPLATE, "https://id.example/acme/ ", None),
            (TEMPLATE, TEMPLATE, None),
            (TEMPLATE, "", None),
            ("https://{tenant}.id.example", "https://acme.id.example", Some("acme")),
            ("https://{tenant}.id.example", "https://a.b.id.example", None),
            ("https://{tenant}.id.example", "https://evil.example/.id.example", None),
            ("https://{tenant}.id.example", "https://evil.example#.id.example", None),
            ("https://{tenant}.id.example", "https://.id.example", None),
            // No template, and so nobody's.
            ("https://id.example", "https://id.example", None),
            ("https://{tenant}/{tenant}", "https://a/a", None),
        ] {
            assert_eq!(tenant(template, id).as_deref(), found, "{template} {id}");
        }
    }

    #[test]
    fn a_rule_that_could_let_nobody_in_is_refused_when_the_policy_is_built() {
        let faults = |issuers: Vec<Issuer>| {
            let policy = issuers.into_iter().fold(Policy::builder(), |all, one| all.issuer(one));
            policy.build().err().map_or_else(Vec::new, |error| error.faults().to_vec())
        };
        let template = |text: &str| complete(Issuer::template(text), remote());
        for text in [
            "https://id.example",
            "https://{tenant}.example/{tenant}",
            "{Tenant}",
            // A tenant would be a host, or choose the domain.
            "https://{tenant}",
            "https://{tenant}/",
            "https://{tenant}:8443/a.b",
            "https://id-{tenant}/",
            "https://id.{tenant}/realm",
            "https://{tenant}.com/",
            "https://{tenant}.com:8443/",
            "https://{tenant}.co.uk",
            "https://{tenant}.CO.UK./",
            "https://id-{tenant}.com.au/a",
            "https://{tenant}./",
            "https://{tenant}.:443/",
            "https://{tenant}.com./",
            "https://{tenant}\u{3002}com/",
            "https://{tenant}.internal/",
        ] {
            let expected = PolicyFault::Template { issuer: text.to_owned() };
            assert_eq!(faults(vec![template(text)]), [expected]);
        }
        for (text, example, fault) in [
            ("http://id.example/{tenant}", "http://id.example/tenant", AddressFault::PlainHttp),
            ("{tenant}", "tenant", AddressFault::NotAUrl),
            ("https://id.example/?{tenant}", "https://id.example/", AddressFault::Extra),
        ] {
            let error = RemoteJwksError::Address { address: example.to_owned(), fault };
            let issuer = text.to_owned();
            assert_eq!(faults(vec![template(text)]), [PolicyFault::RemoteKeys { issuer, error }]);
        }
        let at = |url: &str| complete(Issuer::template(TEMPLATE), RemoteJwks::url(url));
        let fault = AddressFault::PlainHttp;
        let address = "http://keys.example/tenant".to_owned();
        let error = RemoteJwksError::Address { address, fault };
        assert_eq!(
            faults(vec![at("http://keys.example/{tenant}")]),
            [PolicyFault::RemoteKeys { issuer: TEMPLATE.to_owned(), error }]
        );
        let address = "https://keys-{tenant}.com/a".to_owned();
        let error = RemoteJwksError::Address { address, fault: AddressFault::TenantHost };
        assert_eq!(
            faults(vec![at("https://keys-{tenant}.com/a?b={tenant}")]),
            [PolicyFault::RemoteKeys { issuer: TEMPLATE.to_owned(), error }]
        );
        let restless = remote().cool_down(Duration::ZERO);
        let fault = SettingFault { setting: "cool_down", allowed: "1 s to 1 h" };
        assert_eq!(
            faults(vec![complete(Issuer::matching(|_| true), restless)]),
            [PolicyFault::RemoteKeys {
                issuer: "(predicate)".to_owned(),
                error: RemoteJwksError::Settings(vec![fault])
            }]
        );
        assert_eq!(
            faults(vec![template(TEMPLATE).max_tenants(0)]),
            [PolicyFault::Tenants {
                issuer: TEMPLATE.to_owned(),
                fault: SettingFault { setting: "max_tenants", allowed: "at least 1" },
            }]
        );
        assert_eq!(
            faults(vec![template(TEMPLATE).tenant_burst(0)]),
            [PolicyFault::Tenants {
                issuer: TEMPLATE.to_owned(),
                fault: SettingFault { setting: "tenant_burst", allowed: "1 to 10000" },
            }]
        );
        for tenant in ["acme", "https://id.example/a.b/", "https://id.example/acme", ""] {
            let (issuer, tenant) = (TEMPLATE.to_owned(), tenant.to_owned());
            assert_eq!(
                faults(vec![template(TEMPLATE).known_tenants([id("acme"), tenant.clone()])]),
                [PolicyFault::KnownTenant { issuer, tenant }]
            );
        }
        let of_any = complete(Issuer::matching(|_| true), remote()).known_tenants(["acme"]);
        let (issuer, tenant) = ("(predicate)".to_owned(), "acme".to_owned());
        assert_eq!(faults(vec![of_any]), [PolicyFault::KnownTenant { issuer, tenant }]);
        let allowed = "as many as `max_tenants` at most";
        let fault = SettingFault { setting: "known_tenants", allowed };
        let two = || template(TEMPLATE).known_tenants(["a", "b"].map(id));
        assert_eq!(faults(vec![two().max_tenants(2)]), []);
        assert_eq!(
            faults(vec![two().max_tenants(1)]),
            [PolicyFault::Tenants { issuer: TEMPLATE.to_owned(), fault }]
        );
        assert_eq!(
            faults(vec![template(TEMPLATE), template(TEMPLATE)]),
            [PolicyFault::DuplicateIssuer { issuer: TEMPLATE.to_owned() }]
        );
        // Two predicates are two rules, and one tenant is room enough.
        let predicate = || complete(Issuer::matching(|_| true), remote()).max_tenants(1);
        assert_eq!(faults(vec![predicate(), predicate(), template(TEMPLATE)]), []);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_one_new_issuer_a_second() {
        let tenants = room_for(10);
        assert_eq!(resolve(&tenants, "first"), Ok(()));
        for step in [0, 1, 998] {
            advance(Duration::from_millis(step)).await;
            assert_eq!(resolve(&tenants, "second"), Err(WITHIN_THE_SECOND));
            assert!(!is_known(&tenants, "second"));
            // One that is known is no new one.
            assert_eq!(resolve(&tenants, "first"), Ok(()));
        }
        advance(Duration::from_millis(1)).await;
        assert_eq!(resolve(&tenants, "second"), Ok(()));
        assert_eq!(resolve(&tenants, "third"), Err(WITHIN_THE_SECOND));
        assert_eq!(count(&tenants), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn new_issuers_come_as_fast_as_they_may() {
        for (interval, told) in [(50, 1000), (2000, 2000)].map(|(a, b)| (ms(a), ms(b))) {
            let issuer = complete(Issuer::template(TEMPLATE), remote());
            let tenants = rule_of(issuer.tenant_burst(2).tenant_interval(interval));
            assert_eq!(resolve(&tenants, "at-once"), Ok(()));
            for tenant in ["first", "second", "third"] {
                assert_eq!(resolve(&tenants, tenant), Ok(()));
                let refused = KeysUnavailable::new().with_retry_after(Some(told));
                assert_eq!(resolve(&tenants, &format!("before-{tenant}")), Err(refused));
                advance(interval).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_asked_for_more_often_comes_in_before_others() {
        let tenants = room_for(10);
        assert_eq!(resolve(&tenants, "first"), Ok(()));
        for tenant in ["twice", "once", "twice"] {
            assert_eq!(resolve(&tenants, tenant), Err(WITHIN_THE_SECOND));
        }
        advance(INTERVAL).await;
        // It is not here, and its place is kept.
        assert_eq!(resolve(&tenants, "new"), Err(WITHIN_THE_SECOND));
        assert_eq!(resolve(&tenants, "twice"), Ok(()));
        advance(INTERVAL).await;
        assert_eq!(resolve(&tenants, "once"), Ok(()));
        advance(INTERVAL).await;
        assert_eq!(resolve(&tenants, "new"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_nobody_asks_for_gives_way_and_comes_back_at_once() {
        let ours = Keys::source(Ours::with_keys());
        let tenants = rule(complete(Issuer::template(TEMPLATE), ours).max_tenants(2));
        assert_eq!(verified(&tenants, "idle"), Ok(()));
        advance(INTERVAL).await;
        assert_eq!(verified(&tenants, "used"), Ok(()));
        advance(59 * INTERVAL - ms(1)).await;
        assert_eq!(verified(&tenants, "used"), Ok(()));
        assert_eq!(resolve(&tenants, "new"), Err(NO_ROOM));
        advance(INTERVAL + ms(1)).await;
        assert_eq!(verified(&tenants, "new"), Ok(()));
        assert!(is_known(&tenants, "new") && is_known(&tenants, "used"));
        assert!(!is_known(&tenants, "idle"));
        // The second is over for new ones. Those in use do not make room for it, though.
        assert_eq!(resolve(&tenants, "idle"), Err(NO_ROOM));
        assert_eq!(resolve(&tenants, "newer"), Err(WITHIN_THE_SECOND));
        advance(60 * INTERVAL).await;
        assert_eq!(verified(&tenants, "newer"), Ok(()));
        assert_eq!(verified(&tenants, "idle"), Ok(()));
        assert_eq!(resolve(&tenants, "newest"), Err(WITHIN_THE_SECOND));
    }

    /// As a policy starts it that succeeds others.
    fn started(issuer: Issuer, former: &[&TrustedIssuers]) -> TrustedIssuers {
        let mut faults = Vec::new();
        let issuers =
            TrustedIssuers::start(vec![Trusted::Each(Box::new(rule(issuer)))], former, &mut faults);
        assert_eq!(faults, []);
        issuers
    }

    fn remote_of(issuers: &TrustedIssuers, tenant: &str) -> Option<RemoteJwks> {
        issuers.remotes().into_iter().find(|remote| remote.issuer() == id(tenant))
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_knows_the_tenants_of_the_one_that_it_succeeds() {
        let keys = remote();
        let keys = || keys.clone();
        let template = |keys| complete(Issuer::template(TEMPLATE), keys).max_tenants(4);
        let former = started(template(keys()), &[]);
        let rule_of_former = former.each().next().expect("a rule");
        for tenant in ["acme", "umbrella", "initech"] {
            assert_eq!(verified(rule_of_former, tenant), Ok(()));
            advance(INTERVAL).await;
        }
        assert_eq!(resolve(rule_of_former, "invented"), Ok(()));
        // By the same settings it has the same keys, and by others its own.
        let same = started(template(keys()).require_key_id(), &[&former]);
        let other = started(template(keys().cool_down(INTERVAL)), &[&former]);
        let moved = complete(Issuer::matching(|it| it.ends_with("a/")), keys()).max_tenants(4);
        let moved = started(moved, &[&former]);
        for (succeeding, tenants, shares_keys) in [
            (&same, &["acme", "initech", "umbrella"][..], true),
            (&other, &["acme", "initech", "umbrella"], false),
            (&moved, &["umbrella"], true),
        ] {
            let mut known = succeeding.known_tenants();
            known.sort();
            assert_eq!(known, tenants.iter().map(|tenant| id(tenant)).collect::<Vec<_>>());
            for tenant in tenants {
                let [old, new] =
                    [&former, succeeding].map(|it| remote_of(it, tenant).expect("keys"));
                assert_eq!(old.is_same_as(&new), shares_keys, "{tenant}");
            }
        }
        // Those that were asked for last, where there is less room; the others come in at once.
        let narrow = started(template(keys()).max_tenants(4), &[&former]);
        assert_eq!(narrow.known_tenants().len(), 3);
        let one = complete(Issuer::template(TEMPLATE), keys()).max_tenants(1);
        let narrow = started(one, &[&former]);
        assert_eq!(narrow.known_tenants(), [id("initech")]);
        advance(60 * INTERVAL).await;
        let rule = narrow.each().next().expect("a rule");
        assert_eq!(resolve(rule, "new"), Ok(()));
        assert_eq!(resolve(rule, "acme"), Ok(()));
        assert_eq!(resolve(rule, "newer"), Err(WITHIN_THE_SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn tenants_that_are_named_are_known_from_the_start() {
        let named = ["acme", "umbrella", "acme"].map(id);
        let issuer = complete(Issuer::template(TEMPLATE), remote()).max_tenants(2);
        let issuers = started(issuer.known_tenants(named), &[]);
        let mut known = issuers.known_tenants();
        known.sort();
        assert_eq!(known, ["acme", "umbrella"].map(id));
        let rule = issuers.each().next().expect("a rule");
        assert!(is_known(rule, "acme") && is_known(rule, "umbrella"));
        assert!(!is_known(rule, "other"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_does_not_begin_the_second_anew() {
        let tenants = room_for(10);
        assert_eq!(resolve(&tenants, "first"), Ok(()));
        for _ in 0..9 {
            advance(Duration::from_millis(100)).await;
            assert_eq!(resolve(&tenants, "second"), Err(WITHIN_THE_SECOND));
        }
        advance(Duration::from_millis(100)).await;
        assert_eq!(resolve(&tenants, "second"), Ok(()));
    }

    #[test]
    fn an_issuer_is_made_once_by_however_many_requests() {
        let tenants = room_for(10);
        let made: Vec<_> = std::thread::scope(|scope| {
            let resolve = || tenants.resolve(&id("acme")).expect("the first of its second");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(resolve)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(made.iter().all(|tenant| Arc::ptr_eq(tenant, &made[0])));
        assert_eq!(count(&tenants), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_unproven_issuer_gives_way_to_a_new_one() {
        let tenants = room_for(3);
        for tenant in ["a", "b", "c"] {
            assert_eq!(resolve(&tenants, tenant), Ok(()));
            advance(INTERVAL).await;
        }
        for (new, gone) in [("d", "a"), ("e", "b"), ("a", "c")] {
            assert_eq!(resolve(&tenants, new), Ok(()));
            assert!(is_known(&tenants, new) && !is_known(&tenants, gone), "{new}");
            assert_eq!(count(&tenants), 3);
            advance(INTERVAL).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_proven_issuer_never_gives_way_to_an_unproven_one() {
        let ours = Ours::with_keys();
        let issuer = complete(Issuer::template(TEMPLATE), Keys::source(ours)).max_tenants(3);
        let tenants = rule(issuer);
        for tenant in ["a", "c"] {
            assert_eq!(verified(&tenants, tenant), Ok(()));
            advance(INTERVAL).await;
        }
        for invented in 0..100 {
            assert_eq!(resolve(&tenants, &invented.to_string()), Ok(()));
            assert!(is_known(&tenants, "a") && is_known(&tenants, "c"));
            assert_eq!(count(&tenants), 3);
            advance(INTERVAL).await;
        }
        assert_eq!(verified(&tenants, "d"), Ok(()));
        assert!(is_known(&tenants, "a") && is_known(&tenants, "c") && is_known(&tenants, "d"));
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_proven_and_there_is_no_room_new_ones_are_unavailable() {
        let ours = Keys::source(Ours::with_keys());
        let tenants = rule(complete(Issuer::template(TEMPLATE), ours).max_tenants(2));
        for tenant in ["a", "b"] {
            assert_eq!(verified(&tenants, tenant), Ok(()));
            advance(INTERVAL).await;
        }
        assert_eq!(resolve(&tenants, "c"), Err(NO_ROOM));
        // Looking for room costs time, so it too happens once a second.
        assert_eq!(resolve(&tenants, "d"), Err(WITHIN_THE_SECOND));
        advance(INTERVAL).await;
        assert_eq!(resolve(&tenants, "d"), Err(NO_ROOM));
        assert_eq!(resolve(&tenants, "a"), Ok(()));
        assert_eq!(count(&tenants), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_proven_issuer_whose_keys_are_out_of_reach_gives_way() {
        let ours = Ours::with_keys();
        let keys = Keys::source(ours.clone());
        let tenants = rule(complete(Issuer::template(TEMPLATE), keys).max_tenants(1));
        assert_eq!(verified(&tenants, "a"), Ok(()));
        advance(INTERVAL).await;
        assert_eq!(resolve(&tenants, "b"), Err(NO_ROOM));
        advance(INTERVAL).await;
        *ours.0.lock().unwrap() = KeySet::empty();
        assert_eq!(resolve(&tenants, "b"), Ok(()));
        assert!(is_known(&tenants, "b") && !is_known(&tenants, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_invented_tenants_cost_no_more_than_there_is_room_for() {
        let tenants = room_for(20);
        let mut made = 0;
        for invented in 0..10_000 {
            made += usize::from(resolve(&tenants, &format!("invented-{invented}")).is_ok());
            assert!(count(&tenants) <= 20);
            advance(Duration::from_millis(100)).await;
        }
        assert_eq!((made, count(&tenants), tenants.remotes().len()), (1_000, 20, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_all_have_in_common_are_counted_once() {
        let shared = remote().start_for("https://keys.example").unwrap();
        let keys = Keys::from(shared).and(remote());
        let tenants = rule(complete(Issuer::template(TEMPLATE), keys));
        let issuers = |tenants: &Tenants| {
            let mut issuers: Vec<_> =
                tenants.remotes().iter().map(|keys| keys.issuer().to_owned()).collect();
            issuers.sort();
            issuers
        };
        assert_eq!(issuers(&tenants), ["https://keys.example"]);
        for tenant in ["acme", "umbrella"] {
            assert_eq!(resolve(&tenants, tenant), Ok(()));
            advance(INTERVAL).await;
        }
        assert_eq!(
            issuers(&tenants),
            ["https://id.example/acme/", "https://id.example/umbrella/", "https://keys.example"]
        );
    }

    #[test]
    fn a_predicate_is_asked_for_the_whole_identifier_of_at_most_1_kib() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let tenants = matching(move |id| {
            log.lock().expect("no panic").push(id.to_owned());
            id.starts_with("https://id.example/")
        });
        let start = "https://id.example/";
        let of_length = |length: usize| format!("{start}{}", "x".repeat(length - start.len()));
        assert!(matches!(tenants.find(&of_length(1024)), Some(IssuerMatch::Unresolved(_))));
        assert!(tenants.find(&of_length(1025)).is_none());
        assert!(tenants.find(&of_length(100_000)).is_none());
        assert!(tenants.find("https://other.example/").is_none());
        assert!(tenants.find("").is_none());
        let asked = asked.lock().unwrap();
        assert_eq!(*asked, [of_length(1024), "https://other.example/".to_owned(), String::new()]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_predicate_that_changes_its_mind_or_panics_makes_no_issuer_and_does_no_harm() {
        let calls = AtomicUsize::new(0);
        // Yes at first, and at the second look no, or worse.
        let tenants = matching(move |id| match calls.fetch_add(1, Ordering::SeqCst) {
            0 | 2 => true,
            1 => false,
            3 => panic!("a bug of the user's"),
            _ => id == "https://good.example",
        });
        let fickle = "https://fickle.example";
        assert!(matches!(tenants.find(fickle), Some(IssuerMatch::Unresolved(_))));
        assert_eq!(tenants.resolve(fickle).err(), Some(WITHIN_THE_SECOND));
        assert!(matches!(tenants.find(fickle), Some(IssuerMatch::Unresolved(_))));
        let panicked = catch_unwind(AssertUnwindSafe(|| tenants.resolve(fickle).is_ok()));
        assert!(panicked.is_err());
        assert!(!tenants.newcomers.is_poisoned());
        // Neither of them used up the second.
        assert!(tenants.resolve("https://good.example").is_ok());
        assert_eq!(count(&tenants), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_predicate_may_take_its_time_without_holding_up_others() {
        let tenants = Arc::new_cyclic(|this: &Weak<Tenants>| {
            let this = this.clone();
            matching(move |_| {
                this.upgrade().is_some_and(|tenants| tenants.newcomers.try_lock().is_ok())
            })
        });
        assert!(tenants.resolve("https://acme.example").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_identifier_that_is_no_address_makes_no_issuer() {
        let tenants = matching(|_| true);
        let bad = [
            "",
            "acme",
            "urn:acme",
            "/acme",
            "//id.example",
            " https://id.example",
            "https://id.example\n",
            "https://evil.example\\.id.example",
            "https:id.example",
            "https:///id.example",
            "https://",
            "https:///",
            "https://a b",
            "https://%00/",
            "https://id.example:99999",
            "https://[::1",
            "https://id.example/?tenant=acme",
            "https://id.example/#acme",
            "https://user@id.example",
            "https://:password@id.example",
            "http://id.example",
            "http://169.254.169.254/latest",
            "file:///etc/passwd",
            "data:,{}",
            "javascript:alert(1)",
            "\0",
            "\n\r",
            "https://id.exam\u{202e}ple\0",
        ];
        for (at, id) in bad.into_iter().enumerate() {
            assert!(matches!(tenants.find(id), Some(IssuerMatch::Unresolved(_))), "{id:?}");
            assert_eq!(tenants.resolve(id).err(), Some(NO_ROOM), "{id:?}");
            let other = format!("https://id.example/{at}");
            assert_eq!(tenants.resolve(&other).err(), Some(WITHIN_THE_SECOND));
            assert_eq!(count(&tenants), 0);
            advance(INTERVAL).await;
        }
        assert!(tenants.resolve("https://id.example").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn debug_names_the_rule_and_no_tenant() {
        let template = complete(Issuer::template(TEMPLATE), remote());
        let shown = format!("{template:?}");
        assert!(
            shown.starts_with(r#"Issuer { id: Each(TenantRule("https://id.example/{tenant}/"))"#)
        );
        let predicate = complete(Issuer::matching(|_| true), remote());
        assert!(
            format!("{predicate:?}").starts_with(r#"Issuer { id: Each(TenantRule("(predicate)"))"#)
        );
        let tenants = rule(template);
        assert_eq!(resolve(&tenants, "acme"), Ok(()));
        let all = vec![Trusted::Each(Box::new(tenants)), Trusted::Each(Box::new(rule(predicate)))];
        let all = TrustedIssuers::start(all, &[], &mut Vec::new());
        assert_eq!(format!("{all:?}"), r#"["https://id.example/{tenant}/", "(predicate)"]"#);
    }
}
