//! Issuers that are made when the first token of theirs comes.
//!
//! Whoever can send a request can invent tenants, each of which costs a fetch and some memory. So
//! there is one new issuer a second and a bound on all of them, and an issuer of which a token
//! verified never gives way to one of which none did.
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::fault::Fault;
use super::trusted::{Party, TrustedIssuer};
use crate::keys::KeysUnavailable;
use crate::keys::remote::{RemoteJwks, RemoteJwksOptions, SettingFault, TENANT};

/// What bounds the issuers of a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// How many there are at a time.
    pub(super) most: usize,
    /// How long after a new one comes the next.
    pub(super) interval: Duration,
}

impl Bounds {
    /// With the defaults of what is not said: see [`Issuer::max_tenants`](crate::Issuer::max_tenants).
    pub(super) fn of(most: Option<&usize>, interval: Option<&Duration>) -> Self {
        let interval = interval.copied().unwrap_or(Duration::from_secs(1));
        Self { most: most.copied().unwrap_or(1000), interval }
    }

    fn faults(self) -> impl Iterator<Item = SettingFault> {
        let intervals = Duration::from_millis(1)..=Duration::from_secs(60);
        let most = (self.most == 0)
            .then_some(SettingFault { setting: "max_tenants", allowed: "at least 1" });
        let interval = (!intervals.contains(&self.interval))
            .then_some(SettingFault { setting: "tenant_interval", allowed: "1 ms to 60 s" });
        most.into_iter().chain(interval)
    }
}

/// The longest tenant in a template. A UUID has 36 characters.
const MAX_LABEL: usize = 64;

/// The longest identifier that a predicate is asked about.
const MAX_ID: usize = 1024;

/// Which issuers are trusted.
#[derive(Clone)]
pub(super) enum TenantRule {
    Template { text: String, parts: Option<(String, String)> },
    Predicate(Arc<dyn Fn(&str) -> bool + Send + Sync>),
}

impl TenantRule {
    pub(super) fn template(text: String) -> Self {
        let parts = text
            .split_once(TENANT)
            .filter(|(before, after)| !after.contains(TENANT) && !is_open_host(before, after))
            .map(|(before, after)| (before.to_owned(), after.to_owned()));
        Self::Template { text, parts }
    }

    /// What a message calls it.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Template { text, .. } => text,
            Self::Predicate(_) => "(predicate)",
        }
    }

    /// Whether it could trust this issuer. What a predicate does, nobody knows beforehand.
    pub(super) fn may_be(&self, id: &str) -> bool {
        matches!(self, Self::Predicate(_)) || self.tenant(id).is_some()
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

/// Whether a tenant could choose the host, or the last label of its name.
fn is_open_host(before: &str, after: &str) -> bool {
    let is_in_host = before.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
    is_in_host && !after.split('/').next().unwrap_or_default().contains('.')
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
    bounds: Bounds,
    /// Read without a lock.
    known: ArcSwap<HashMap<Box<str>, Arc<Tenant>>>,
    /// When the last one was made. Held while one is.
    last: Mutex<Option<Instant>>,
}

/// An issuer that a rule has made.
pub(crate) struct Tenant {
    issuer: Arc<TrustedIssuer>,
    made: Instant,
    is_proven: AtomicBool,
}

impl Tenant {
    pub(super) fn issuer(&self) -> &Arc<TrustedIssuer> {
        &self.issuer
    }

    pub(super) fn prove(&self) {
        // Nearly always proven already: the line is then not fought over by all cores.
        if !self.is_proven.load(Ordering::Relaxed) {
            self.is_proven.store(true, Ordering::Relaxed);
        }
    }
}

impl Tenants {
    pub(super) fn new(
        rule: TenantRule,
        terms: TrustedIssuer,
        plans: Vec<RemoteJwksOptions>,
        bounds: Bounds,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let issuer = || rule.name().to_owned();
        // That the text is empty was said already.
        if matches!(&rule, TenantRule::Template { text, parts: None } if !text.is_empty()) {
            faults.push(Fault::Template { issuer: issuer() });
        }
        let found = bounds.faults();
        faults.extend(found.map(|fault| Fault::Tenants { issuer: issuer(), fault }));
        // What is wrong with the keys of any tenant is wrong with those of this one.
        let (example, label) = match &rule {
            TenantRule::Template { parts: Some((before, after)), .. } => {
                (format!("{before}tenant{after}"), Some("tenant"))
            }
            TenantRule::Template { parts: None, .. } => {
                ("https://id.example".to_owned(), Some("tenant"))
            }
            TenantRule::Predicate(_) => ("https://id.example".to_owned(), None),
        };
        for plan in &plans {
            if let Err(error) = plan.clone().for_tenant(label).check(&example) {
                faults.push(Fault::RemoteKeys { issuer: issuer(), error });
            }
        }
        Self {
            rule,
            terms: Arc::new(terms),
            plans,
            bounds,
            known: ArcSwap::default(),
            last: Mutex::new(None),
        }
    }

    /// Starts the keys that are at the same address for all of them.
    pub(super) fn start(mut self, faults: &mut Vec<Fault>) -> Self {
        let (own, shared): (Vec<_>, _) =
            self.plans.into_iter().partition(RemoteJwksOptions::is_of_one_tenant);
        let mut terms = TrustedIssuer::clone(&self.terms);
        for plan in shared {
            match plan.start_for(self.rule.name()) {
                Ok(remote) => terms.add(remote),
                Err(error) => {
                    let issuer = self.rule.name().to_owned();
                    faults.push(Fault::RemoteKeys { issuer, error });
                }
            }
        }
        self.plans = own;
        self.terms = Arc::new(terms);
        self
    }

    pub(crate) fn name(&self) -> &str {
        self.rule.name()
    }

    /// Whether both are one template. Two predicates are two rules.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        matches!(self.rule, TenantRule::Template { .. }) && self.name() == other.name()
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

    pub(super) fn remotes(&self) -> Vec<RemoteJwks> {
        // Those that all tenants have in common stand first in each.
        let shared = &self.terms.remotes;
        let known = self.known.load();
        let own = known.values().flat_map(|tenant| tenant.issuer.remotes.iter().skip(shared.len()));
        shared.iter().chain(own).cloned().collect()
    }

    pub(super) fn find(&self, id: &str) -> Option<Party<'_>> {
        if let Some(tenant) = self.known.load().get(id) {
            return Some(Party::Tenant(Arc::clone(tenant)));
        }
        self.rule.tenant(id).map(|_| Party::Stranger(self))
    }

    /// Makes an issuer, unless one was made just now, or there is no room.
    pub(super) fn settle(&self, id: &str) -> Result<Arc<Tenant>, KeysUnavailable> {
        let Bounds { most, interval } = self.bounds;
        let unavailable = KeysUnavailable { retry_after: Some(interval) };
        // A user's predicate does not run under the lock.
        self.rule.tenant(id).ok_or(unavailable)?;
        let label = self.rule.label(id);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load_full();
        if let Some(tenant) = known.get(id) {
            return Ok(Arc::clone(tenant));
        }
        let now = Instant::now();
        if last.is_some_and(|last| now.saturating_duration_since(last) < interval) {
            return Err(unavailable);
        }
        // Counts also where it fails: that costs time, and a line in the log.
        *last = Some(now);
        let mut next = HashMap::clone(&known);
        if next.len() >= most {
            let replaced = next.iter().filter(|(_, tenant)| tenant.gives_way());
            let oldest = replaced.min_by_key(|(_, tenant)| tenant.made).map(|(id, _)| id.clone());
            let Some(oldest) = oldest else {
                #[cfg(feature = "tracing")]
                tracing::warn!(rule = self.name(), most, "no room for a new issuer");
                return Err(KeysUnavailable::default());
            };
            next.remove(&oldest);
        }
        let mut issuer = TrustedIssuer { id: id.into(), ..TrustedIssuer::clone(&self.terms) };
        for plan in &self.plans {
            // Such as an identifier that a predicate trusts and that is no address.
            let remote = plan.clone().for_tenant(label).start_for(id).map_err(|error| {
                #[cfg(feature = "tracing")]
                tracing::warn!(rule = self.name(), %error, "no keys for a new issuer");
                let _ = error;
                KeysUnavailable::default()
            })?;
            issuer.add(remote);
        }
        let issuer = Arc::new(issuer);
        let tenant = Arc::new(Tenant { issuer, made: now, is_proven: AtomicBool::new(false) });
        next.insert(id.into(), Arc::clone(&tenant));
        self.known.store(Arc::new(next));
        Ok(tenant)
    }
}

impl Tenant {
    /// Whether a new one may take its place: none of its tokens ever verified, or its keys have
    /// been out of reach for so long that none could now.
    fn gives_way(&self) -> bool {
        !self.is_proven.load(Ordering::Relaxed)
            || self.issuer.keys.iter().all(|source| source.keys().is_empty())
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
    use crate::claims::ClaimRules;
    use crate::keys::remote::{
        AddressFault, HttpClient, HttpFuture, HttpRequest, RemoteJwksError, SettingFault,
    };
    use crate::keys::{KeySet, KeySource};
    use crate::policy::issuer::{Keys, WantsAlgorithms};
    use crate::policy::{Issuer, Policy, Trusted};
    use crate::presentation::Presentation;
    use crate::response::ResponseNeeds;
    use crate::signature::Algorithm;
    use crate::terms::Terms;
    use crate::time::SystemClock;

    const TEMPLATE: &str = "https://id.example/{tenant}/";

    const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    const WITHIN_THE_SECOND: KeysUnavailable = KeysUnavailable { retry_after: Some(INTERVAL) };

    const NO_ROOM: KeysUnavailable = KeysUnavailable { retry_after: None };

    /// A network that nobody is on.
    #[test]
    fn what_is_not_said_of_tenants_is_the_documented_default() {
        let Bounds { most, interval } = Bounds::of(None, None);
        assert_eq!((most, interval), (1000, Duration::from_secs(1)));
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

    fn rule(issuer: Issuer) -> Tenants {
        let mut faults = Vec::new();
        let rules = ClaimRules::new().compile();
        let terms = Arc::new(Terms {
            clock: Arc::new(SystemClock),
            scope_implies: None,
            presentation: Presentation::new().compile(),
            names_callers: false,
            response_needs: ResponseNeeds::default(),
            claims_types: AtomicUsize::default(),
        });
        let public = KeySet::empty();
        let Trusted::Each(tenants) = issuer.prepare(rules, &terms, &public, &mut faults) else {
            panic!("a rule and not one issuer")
        };
        assert_eq!(faults, []);
        tenants
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
    fn settle(tenants: &Tenants, tenant: &str) -> Result<(), KeysUnavailable> {
        tenants.settle(&id(tenant)).map(drop)
    }

    /// As [`settle`], and one of its tokens verifies.
    fn prove(tenants: &Tenants, tenant: &str) -> Result<(), KeysUnavailable> {
        tenants.settle(&id(tenant)).map(|tenant| tenant.prove())
    }

    fn is_known(tenants: &Tenants, tenant: &str) -> bool {
        matches!(tenants.find(&id(tenant)), Some(Party::Tenant(_)))
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
        ] {
            let expected = Fault::Template { issuer: text.to_owned() };
            assert_eq!(faults(vec![template(text)]), [expected]);
        }
        for (text, example, fault) in [
            ("http://id.example/{tenant}", "http://id.example/tenant", AddressFault::PlainHttp),
            ("{tenant}", "tenant", AddressFault::NotAUrl),
            ("https://id.example/?{tenant}", "https://id.example/", AddressFault::Extra),
        ] {
            let error = RemoteJwksError::Address { address: example.to_owned(), fault };
            let issuer = text.to_owned();
            assert_eq!(faults(vec![template(text)]), [Fault::RemoteKeys { issuer, error }]);
        }
        let at = |url: &str| complete(Issuer::template(TEMPLATE), RemoteJwks::url(url));
        let fault = AddressFault::PlainHttp;
        let address = "http://keys.example/tenant".to_owned();
        let error = RemoteJwksError::Address { address, fault };
        assert_eq!(
            faults(vec![at("http://keys.example/{tenant}")]),
            [Fault::RemoteKeys { issuer: TEMPLATE.to_owned(), error }]
        );
        let restless = remote().cool_down(Duration::ZERO);
        let fault = SettingFault { setting: "cool_down", allowed: "1 s to 1 h" };
        assert_eq!(
            faults(vec![complete(Issuer::matching(|_| true), restless)]),
            [Fault::RemoteKeys {
                issuer: "(predicate)".to_owned(),
                error: RemoteJwksError::Settings(vec![fault])
            }]
        );
        assert_eq!(
            faults(vec![template(TEMPLATE).max_tenants(0)]),
            [Fault::Tenants {
                issuer: TEMPLATE.to_owned(),
                fault: SettingFault { setting: "max_tenants", allowed: "at least 1" },
            }]
        );
        assert_eq!(
            faults(vec![template(TEMPLATE), template(TEMPLATE)]),
            [Fault::DuplicateIssuer { issuer: TEMPLATE.to_owned() }]
        );
        // Two predicates are two rules, and one tenant is room enough.
        let predicate = || complete(Issuer::matching(|_| true), remote()).max_tenants(1);
        assert_eq!(faults(vec![predicate(), predicate(), template(TEMPLATE)]), []);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_one_new_issuer_a_second() {
        let tenants = room_for(10);
        assert_eq!(settle(&tenants, "first"), Ok(()));
        for step in [0, 1, 998] {
            advance(Duration::from_millis(step)).await;
            assert_eq!(settle(&tenants, "second"), Err(WITHIN_THE_SECOND));
            assert!(!is_known(&tenants, "second"));
            // One that is known is no new one.
            assert_eq!(settle(&tenants, "first"), Ok(()));
        }
        advance(Duration::from_millis(1)).await;
        assert_eq!(settle(&tenants, "second"), Ok(()));
        assert_eq!(settle(&tenants, "third"), Err(WITHIN_THE_SECOND));
        assert_eq!(count(&tenants), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn new_issuers_come_as_fast_as_they_may() {
        let interval = Duration::from_millis(50);
        let tenants =
            rule(complete(Issuer::template(TEMPLATE), remote()).tenant_interval(interval));
        for tenant in ["first", "second", "third"] {
            assert_eq!(settle(&tenants, tenant), Ok(()));
            let refused = KeysUnavailable { retry_after: Some(interval) };
            assert_eq!(settle(&tenants, "early"), Err(refused));
            advance(interval).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_does_not_begin_the_second_anew() {
        let tenants = room_for(10);
        assert_eq!(settle(&tenants, "first"), Ok(()));
        for _ in 0..9 {
            advance(Duration::from_millis(100)).await;
            assert_eq!(settle(&tenants, "second"), Err(WITHIN_THE_SECOND));
        }
        advance(Duration::from_millis(100)).await;
        assert_eq!(settle(&tenants, "second"), Ok(()));
    }

    #[test]
    fn an_issuer_is_made_once_by_however_many_requests() {
        let tenants = room_for(10);
        let made: Vec<_> = std::thread::scope(|scope| {
            let settle = || tenants.settle(&id("acme")).expect("the first of its second");
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(settle)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(made.iter().all(|tenant| Arc::ptr_eq(tenant, &made[0])));
        assert_eq!(count(&tenants), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_unproven_issuer_gives_way_to_a_new_one() {
        let tenants = room_for(3);
        for tenant in ["a", "b", "c"] {
            assert_eq!(settle(&tenants, tenant), Ok(()));
            advance(INTERVAL).await;
        }
        for (new, gone) in [("d", "a"), ("e", "b"), ("a", "c")] {
            assert_eq!(settle(&tenants, new), Ok(()));
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
            assert_eq!(prove(&tenants, tenant), Ok(()));
            advance(INTERVAL).await;
        }
        for invented in 0..100 {
            assert_eq!(settle(&tenants, &invented.to_string()), Ok(()));
            assert!(is_known(&tenants, "a") && is_known(&tenants, "c"));
            assert_eq!(count(&tenants), 3);
            advance(INTERVAL).await;
        }
        assert_eq!(prove(&tenants, "d"), Ok(()));
        assert!(is_known(&tenants, "a") && is_known(&tenants, "c") && is_known(&tenants, "d"));
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_are_proven_and_there_is_no_room_new_ones_are_unavailable() {
        let ours = Keys::source(Ours::with_keys());
        let tenants = rule(complete(Issuer::template(TEMPLATE), ours).max_tenants(2));
        for tenant in ["a", "b"] {
            assert_eq!(prove(&tenants, tenant), Ok(()));
            advance(INTERVAL).await;
        }
        assert_eq!(settle(&tenants, "c"), Err(NO_ROOM));
        // Looking for room costs time, so it too happens once a second.
        assert_eq!(settle(&tenants, "d"), Err(WITHIN_THE_SECOND));
        advance(INTERVAL).await;
        assert_eq!(settle(&tenants, "d"), Err(NO_ROOM));
        assert_eq!(settle(&tenants, "a"), Ok(()));
        assert_eq!(count(&tenants), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_proven_issuer_whose_keys_are_out_of_reach_gives_way() {
        let ours = Ours::with_keys();
        let keys = Keys::source(ours.clone());
        let tenants = rule(complete(Issuer::template(TEMPLATE), keys).max_tenants(1));
        assert_eq!(prove(&tenants, "a"), Ok(()));
        advance(INTERVAL).await;
        assert_eq!(settle(&tenants, "b"), Err(NO_ROOM));
        advance(INTERVAL).await;
        *ours.0.lock().unwrap() = KeySet::empty();
        assert_eq!(settle(&tenants, "b"), Ok(()));
        assert!(is_known(&tenants, "b") && !is_known(&tenants, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn ten_thousand_invented_tenants_cost_no_more_than_there_is_room_for() {
        let tenants = room_for(20);
        let mut made = 0;
        for invented in 0..10_000 {
            made += usize::from(settle(&tenants, &format!("invented-{invented}")).is_ok());
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
            assert_eq!(settle(&tenants, tenant), Ok(()));
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
        assert!(matches!(tenants.find(&of_length(1024)), Some(Party::Stranger(_))));
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
        assert!(matches!(tenants.find(fickle), Some(Party::Stranger(_))));
        assert_eq!(tenants.settle(fickle).err(), Some(WITHIN_THE_SECOND));
        assert!(matches!(tenants.find(fickle), Some(Party::Stranger(_))));
        let panicked = catch_unwind(AssertUnwindSafe(|| tenants.settle(fickle).is_ok()));
        assert!(panicked.is_err());
        assert!(!tenants.last.is_poisoned());
        // Neither of them used up the second.
        assert!(tenants.settle("https://good.example").is_ok());
        assert_eq!(count(&tenants), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_predicate_may_take_its_time_without_holding_up_others() {
        let tenants = Arc::new_cyclic(|this: &Weak<Tenants>| {
            let this = this.clone();
            matching(move |_| this.upgrade().is_some_and(|tenants| tenants.last.try_lock().is_ok()))
        });
        assert!(tenants.settle("https://acme.example").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_identifier_that_is_no_address_makes_no_issuer() {
        let tenants = matching(|_| true);
        for id in [
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
        ] {
            assert!(matches!(tenants.find(id), Some(Party::Stranger(_))), "{id:?}");
            assert_eq!(tenants.settle(id).err(), Some(NO_ROOM), "{id:?}");
            assert_eq!(tenants.settle("https://id.example").err(), Some(WITHIN_THE_SECOND));
            assert_eq!(count(&tenants), 0);
            advance(INTERVAL).await;
        }
        assert!(tenants.settle("https://id.example").is_ok());
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
        assert_eq!(settle(&tenants, "acme"), Ok(()));
        let all = vec![Trusted::Each(tenants), Trusted::Each(rule(predicate))];
        let all = super::super::TrustedIssuers::start(all, &[], &mut Vec::new());
        assert_eq!(format!("{all:?}"), r#"["https://id.example/{tenant}/", "(predicate)"]"#);
    }
}
