use crate::issuers::{Trusted, TrustedIssuers};
use crate::rules::{BadCookie, Rules, Verifier};
use core::fmt;
use core::net::Ipv6Addr;
use core::sync::atomic::AtomicUsize;
use core::time::Duration;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::Policy;
use super::fault::{BuildError, Fault};
use super::issuer::Issuer;
use super::resource;
use crate::cache::{self, TokenCache};
#[cfg(feature = "status-list")]
use crate::claims::StatusRule;
use crate::claims::{ClaimRules, ClaimValue, LONGEST_LIFETIME, MaxLifetime};
use crate::error::Error;
use crate::keys::KeySet;
use crate::presentation::Presentation;
use crate::refusal::Refusal;
use crate::resource::ProtectedResource;
use crate::response::ResponseNeeds;
use crate::revocation::{
    EnforcedRevocations, IssuerRule, Misfit, RevocationSource, Sources, UnknownRevocation,
};
use crate::setting::{Setting, Shared, Voice};
use crate::source::{AllowedOrigins, Kind, Precedence, TokenSource, is_cookie_name};
#[cfg(feature = "status-list")]
use crate::status_list::StatusLists;
use crate::terms::{ScopeImplies, Terms};
use crate::time::{Clock, SystemClock};
use crate::token::{KnownHeaders, TokenLimits};

/// RFC 7519 §4.1.4 speaks of "no more than a few minutes"; beyond ten, the clocks are wrong.
const MAX_LEEWAY: Duration = Duration::from_secs(10 * 60);

/// Makes a [`Policy`]. See [`Policy::builder`].
///
/// Setters may be called in any order, on a builder with the settings of a file as well:
///
/// - what has one value is said once: another value is a fault of the policy, unless it is said to
///   [overrule](Self::overrule);
/// - everything else adds up: issuers, rules for claims, origins, revocations;
/// - what is turned on stays on.
#[must_use]
pub struct PolicyBuilder {
    voice: Voice,
    issuers: Vec<Issuer>,
    rules: ClaimRules,
    sources: Setting<Vec<TokenSource>>,
    precedence: Precedence,
    origins: Vec<String>,
    bad_cookie: Setting<BadCookie>,
    token_limit: Setting<usize>,
    header_limit: Setting<usize>,
    refuses_brought_keys: bool,
    anonymous: bool,
    revocations: Vec<Arc<dyn RevocationSource>>,
    unknown_revocation: Setting<UnknownRevocation>,
    enforced: Vec<EnforcedRevocations>,
    #[cfg(feature = "status-list")]
    status_lists: Setting<Shared<StatusLists>>,
    token_cache: Setting<usize>,
    clock: Setting<Shared<dyn Clock>>,
    names_callers: bool,
    scope_implies: Setting<Shared<ScopeImplies>>,
    presentation: Presentation,
    protected_resource: Setting<ProtectedResource>,
    #[cfg(feature = "remote-jwks")]
    former: Vec<Arc<Rules>>,
}

impl PolicyBuilder {
    pub(super) fn new() -> Self {
        Self {
            voice: Voice::Plain,
            issuers: Vec::new(),
            rules: ClaimRules::default(),
            sources: Setting::default(),
            precedence: Precedence::None,
            origins: Vec::new(),
            bad_cookie: Setting::default(),
            token_limit: Setting::default(),
            header_limit: Setting::default(),
            refuses_brought_keys: false,
            anonymous: false,
            revocations: Vec::new(),
            unknown_revocation: Setting::default(),
            enforced: Vec::new(),
            #[cfg(feature = "status-list")]
            status_lists: Setting::default(),
            token_cache: Setting::default(),
            clock: Setting::default(),
            names_callers: false,
            scope_implies: Setting::default(),
            presentation: Presentation::default(),
            protected_resource: Setting::default(),
            #[cfg(feature = "remote-jwks")]
            former: Vec::new(),
        }
    }

    /// Trusts an issuer's tokens. Call it once for each issuer.
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Says what counts in the place of what is said otherwise, before or after: in a policy file, or by
    /// another part of the program.
    ///
    /// ```
    /// use portcullis::{PolicyBuilder, Presentation};
    ///
    /// # fn with_realm_of_this_stage(of_the_file: PolicyBuilder, realm: &str) -> PolicyBuilder {
    /// of_the_file.overrule(|code| code.presentation(Presentation::new().realm(realm)))
    /// # }
    /// ```
    ///
    /// It overrules what has one value. What adds up does so here as well, and rules of an issuer stand
    /// above those of the policy. Two that overrule differently are a fault.
    ///
    /// Not called: two different values of one setting are a fault, wherever they were said.
    pub fn overrule(mut self, say: impl FnOnce(Self) -> Self) -> Self {
        let voice = core::mem::replace(&mut self.voice, Voice::Overruling);
        Self { voice, ..say(self) }
    }

    /// Rules for the claims of every issuer's tokens, besides those that were said already. The setters
    /// below are short for this one.
    ///
    /// Not called: the defaults of [`ClaimRules`].
    pub fn claims(mut self, rules: ClaimRules) -> Self {
        self.rules.add(self.voice, rules);
        self
    }

    /// See [`ClaimRules::leeway`]. Not called: 30 s.
    pub fn leeway(self, leeway: Duration) -> Self {
        self.claims(ClaimRules::new().leeway(leeway))
    }

    /// See [`ClaimRules::max_lifetime`]. Not called: 24 h.
    pub fn max_lifetime(self, limit: impl Into<MaxLifetime>) -> Self {
        self.claims(ClaimRules::new().max_lifetime(limit))
    }

    /// See [`ClaimRules::max_age`]. Not called: no bound but the lifetime.
    pub fn max_age(self, limit: Duration) -> Self {
        self.claims(ClaimRules::new().max_age(limit))
    }

    /// See [`ClaimRules::require`]. Not called: only what verification itself needs is required.
    pub fn require(self, claim: impl Into<String>) -> Self {
        self.claims(ClaimRules::new().require(claim))
    }

    /// See [`ClaimRules::forbid`]. Not called: a token may have any claim but those that verification
    /// itself refuses.
    pub fn forbid(self, claim: impl Into<String>) -> Self {
        self.claims(ClaimRules::new().forbid(claim))
    }

    /// See [`ClaimRules::exact`]. Not called: a claim may have any value that verification itself lets
    /// pass.
    pub fn exact(self, claim: impl Into<String>, value: impl Into<ClaimValue>) -> Self {
        self.claims(ClaimRules::new().exact(claim, value))
    }

    /// See [`ClaimRules::one_of`]. Not called: as for [`exact`](Self::exact).
    pub fn one_of<V: Into<ClaimValue>>(
        self,
        claim: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.claims(ClaimRules::new().one_of(claim, values))
    }

    /// See [`ClaimRules::predicate`]. Not called: claims are asked nothing beyond the other rules.
    ///
    /// ```
    /// use portcullis::PolicyBuilder;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Tenant { suspended: bool }
    ///
    /// # fn finish(of_the_file: PolicyBuilder) -> PolicyBuilder {
    /// of_the_file.predicate("tenant is not suspended", |claims: &Tenant| !claims.suspended)
    /// # }
    /// ```
    pub fn predicate<T>(
        self,
        name: impl Into<String>,
        holds: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Self
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.claims(ClaimRules::new().predicate(name, holds))
    }

    /// Where a token may be. All places are looked at; a second token is refused.
    ///
    /// Not called: `Authorization: Bearer` only.
    pub fn sources(mut self, sources: impl IntoIterator<Item = TokenSource>) -> Self {
        self.sources.say(self.voice, sources.into_iter().collect());
        self
    }

    /// Takes the token in a header where a cookie carries one too.
    ///
    /// Not called: such a request is refused (400), since it is unclear for whom it speaks.
    pub fn prefer_header(mut self) -> Self {
        self.precedence = Precedence::Header;
        self
    }

    /// Origins besides the service's own whose pages may send unsafe requests with the cookie:
    /// `https://app.example`.
    ///
    /// With a cookie as source, a request with an unsafe method, an `Upgrade` (WebSocket) or a
    /// CONNECT passes only if the browser says that it comes from the same origin
    /// (`Sec-Fetch-Site`), or else by its `Origin`. Called again, the origins of all calls count. Not
    /// called: only the service's own pages.
    pub fn allowed_origins<O: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = O>,
    ) -> Self {
        self.origins.extend(origins.into_iter().map(Into::into));
        self
    }

    /// What a bad token in a cookie does where a request without a token would pass.
    ///
    /// Not called: [`BadCookie::Reject`].
    pub fn bad_cookie(mut self, choice: BadCookie) -> Self {
        self.bad_cookie.say(self.voice, choice);
        self
    }

    /// The largest token, in bytes, at most 64 KiB.
    ///
    /// Not called: 16 KiB; an Entra ID token with 200 groups has over 10.
    ///
    /// Servers have limits of their own, and answer 431 before the policy is asked: hyper, and so
    /// axum, takes 16 KiB of headers over HTTP/2 unless it is told otherwise; actix-web takes
    /// 128 KiB over HTTP/1.1.
    pub fn token_limit(mut self, bytes: usize) -> Self {
        self.token_limit.say(self.voice, bytes);
        self
    }

    /// The largest header of a token, in bytes and without base64url, at most 16 KiB. The
    /// [token limit](Self::token_limit) bounds it, too.
    ///
    /// Not called: 4 KiB. Headers have some 300 bytes, and those with a certificate chain (`x5c`) 2 KiB for
    /// each certificate. The chain is never followed, so that an issuer may as well leave it out.
    pub fn header_limit(mut self, bytes: usize) -> Self {
        self.header_limit.say(self.voice, bytes);
        self
    }

    /// Refuses tokens whose header has `jwk`, `jku`, `x5u` or `x5c`.
    ///
    /// Not called: these members are not looked at. They are never followed, either way.
    pub fn refuse_brought_keys(mut self) -> Self {
        self.refuses_brought_keys = true;
        self
    }

    /// See [`Policy::allow_anonymous`]. Not called: a request without a token is refused.
    pub fn allow_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Refuses what was revoked, of the kinds that are [enforced](crate::Revocations::enforce). Call it
    /// once for each list.
    ///
    /// Not called: a token is good until it expires.
    pub fn revocations(mut self, enforced: EnforcedRevocations) -> Self {
        self.enforced.push(enforced);
        self
    }

    /// Asks a source of your own whether a token was taken back. Call it once for each source.
    ///
    /// Not called: nobody is asked but [`revocations`](Self::revocations).
    pub fn revocation_source(mut self, source: impl RevocationSource) -> Self {
        self.revocations.push(Arc::new(source));
        self
    }

    /// What becomes of a token of which nobody can tell whether it was taken back: a store out of reach
    /// for longer than its staleness, a source that does not answer.
    ///
    /// Not called: it is refused, and the client told 503. The other choice is
    /// [`dangerous::accept_unknown_revocation`](crate::dangerous::accept_unknown_revocation).
    pub fn unknown_revocation(mut self, choice: UnknownRevocation) -> Self {
        self.unknown_revocation.say(self.voice, choice);
        self
    }

    /// Asks the list that a token names whether it was taken back, once it passed every other check.
    ///
    /// Not called: the claim `status` is not looked at.
    #[cfg(feature = "status-list")]
    pub fn status_lists(mut self, lists: StatusLists) -> Self {
        self.status_lists.say(self.voice, Shared(Arc::new(lists)));
        self
    }

    /// How many bytes the tokens may take that are remembered, 1 MiB to 1 GiB; 0 turns it off.
    ///
    /// A token that comes again, byte for byte, is then not verified in full: what cannot change is
    /// remembered, which is the signature and the claims. Whatever can is asked again for every
    /// request: the times, whether the key is still there, the policy's predicates, revocation. So
    /// it changes nothing but the time that it takes, and no revocation comes later for it.
    ///
    /// Tokens are kept in memory in plain text until they give way to others, or come again after
    /// they died. A token of 500 bytes is counted as 1.5 KiB, and as 1.1 KiB more for each of the two claims
    /// types that handlers read first. A large one that is full of small values finds no room, and is verified each time.
    ///
    /// Not called: 16 MiB, which is 10,000 tokens of 500 bytes, or 6,000 where handlers read a claims type. On, since it gives the same answers in a
    /// fraction of the time.
    pub fn token_cache(mut self, bytes: usize) -> Self {
        self.token_cache.say(self.voice, bytes);
        self
    }

    /// Names issuer, subject and token id in the event of a refusal (feature `tracing`) where the token had
    /// verified: a requirement of a route that it does not meet, claims of another shape.
    ///
    /// Not called: no event says anything of a token. Names of people in logs are personal data.
    pub fn name_callers_in_logs(mut self) -> Self {
        self.names_callers = true;
        self
    }

    /// Says of a scope that a token has, the first, whether it implies another, for
    /// [`Requirement::scope`](crate::Requirement::scope): `orders` may imply `orders:read`.
    ///
    /// Not called: a scope implies itself alone.
    ///
    /// ```
    /// # use portcullis::PolicyBuilder;
    /// # fn with_hierarchy(builder: PolicyBuilder) -> PolicyBuilder {
    /// builder.scope_implies(|held, asked| {
    ///     asked.strip_prefix(held).is_some_and(|rest| rest.starts_with(':'))
    /// })
    /// # }
    /// ```
    pub fn scope_implies(
        mut self,
        implies: impl Fn(&str, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.scope_implies.say(self.voice, Shared(Arc::new(implies)));
        self
    }

    /// How refusals look, besides what was said of it already.
    ///
    /// Not called: the defaults of [`Presentation`].
    pub fn presentation(mut self, presentation: Presentation) -> Self {
        self.presentation.add(self.voice, presentation);
        self
    }

    /// See [`Presentation::on_refusal`].
    ///
    /// Not called: refusals stay as they are.
    pub fn on_refusal(self, hook: impl Fn(&Error, &mut Refusal) + Send + Sync + 'static) -> Self {
        self.presentation(Presentation::new().on_refusal(hook))
    }

    /// Puts the address of the resource's document into every challenge, and holds the policy to the
    /// document: every authorization server must be an issuer that has the resource's identifier for an
    /// audience, and `Authorization: Bearer` among the sources. [`Presentation::resource_metadata`] puts any
    /// address there, and holds the policy to nothing; another address than the document's is a fault.
    ///
    /// Not called: the challenge says what the presentation does.
    pub fn protected_resource(mut self, resource: &ProtectedResource) -> Self {
        self.protected_resource.say(self.voice, resource.clone());
        self.presentation(Presentation::new().resource_metadata(resource.metadata_url()))
    }

    /// Takes over the remote keys of the policy that this one is to replace, for issuers that have the same
    /// settings of keys in both. So a [`ReplaceablePolicy`](crate::ReplaceablePolicy) is never without keys for it,
    /// and a provider that is down just then does no harm.
    ///
    /// Of a [template](Issuer::template) or predicate, this one knows the tenants that that one knew, as far as it
    /// trusts them and has room, those that were asked for last before others: none of them is a new one here. Which
    /// these are is looked at when this one is built; one that comes in between that and the replacement is new.
    ///
    /// Not called: all keys are fetched anew.
    #[cfg(feature = "remote-jwks")]
    pub fn succeeding(mut self, former: &Policy) -> Self {
        self.former.push(former.rules());
        self
    }

    /// The clock that tokens are held against.
    ///
    /// Not called: the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock.say(self.voice, Shared(Arc::new(clock)));
        self
    }

    /// Makes the policy.
    ///
    /// # Errors
    ///
    /// The policy would be weak, or could let nobody in. The error lists every fault.
    pub fn build(mut self) -> Result<Policy, BuildError> {
        let mut faults = Vec::new();
        if self.issuers.is_empty() {
            faults.push(Fault::NoIssuer);
        }
        let said_twice =
            |place: &str, setting| Fault::SaidTwice { place: place.to_owned(), setting };
        faults.extend(self.contradicted().map(|setting| said_twice("the policy", setting)));
        let sources = self.sources.get();
        // Without an issuer, that is fault enough.
        if let Some(resource) = self.protected_resource.get().filter(|_| !self.issuers.is_empty()) {
            let misfits = resource::misfits(resource, &self.issuers, sources.map(Vec::as_slice));
            faults.extend(misfits.into_iter().map(|misfit| Fault::ProtectedResource { misfit }));
        }
        for setting in self.presentation.unwritable() {
            faults.push(Fault::Text { setting });
        }
        let sources = sources.cloned().unwrap_or_else(|| vec![TokenSource::bearer()]);
        let cache = self.token_cache.get().copied().unwrap_or(cache::DEFAULT_BYTES);
        let terms = Arc::new(Terms {
            clock: self
                .clock
                .get()
                .map_or_else(|| Arc::new(SystemClock) as _, |Shared(clock)| Arc::clone(clock)),
            scope_implies: self.scope_implies.get().map(|Shared(implies)| Arc::clone(implies)),
            presentation: self.presentation.compile(),
            names_callers: self.names_callers,
            response_needs: ResponseNeeds::of(&sources),
            claims_types: AtomicUsize::new(0),
        });
        check_durations("the policy", &self.rules, &mut faults);
        check_rules("the policy", &self.rules, &mut faults);
        if self.rules.has_nameless() {
            faults.push(Fault::NamelessClaim { place: "the policy".to_owned() });
        }

        let public = self.issuers.iter().flat_map(Issuer::public_keys);
        let public = public.fold(KeySet::empty(), |all, set| all.and(&set));
        let strangers = self.enforced.iter().flat_map(EnforcedRevocations::issuers);
        let strangers = strangers.filter(|id| !self.issuers.iter().any(|own| own.may_be(id)));
        faults.extend(strangers.map(|id| Fault::Revocations {
            place: "the policy".to_owned(),
            misfit: Misfit::UnknownIssuer { issuer: id.to_owned() },
        }));
        let mut issuers: Vec<Trusted> = Vec::new();
        for issuer in self.issuers {
            let name = issuer.name().to_owned();
            let place = format!("issuer `{name}`");
            faults.extend(issuer.contradicted().map(|setting| said_twice(&place, setting)));
            check_durations(&place, issuer.rules(), &mut faults);
            if issuer.rules().has_nameless() {
                faults.push(Fault::NamelessClaim { place: place.clone() });
            }
            let rules = issuer.rules().over(&self.rules);
            // What is wrong with the policy's own rules was said above.
            if self.rules.contradictions().next().is_none() {
                check_rules(&place, &rules, &mut faults);
            }
            faults.extend(issuer.unmeetable(&rules).map(|claim| contradiction(&place, claim)));
            let rules = rules.compile();
            let rule = IssuerRule {
                name: &name,
                may_be: &|id| issuer.may_be(id),
                has_secret_without_id: issuer.has_secret_without_id(),
            };
            let misfits = self.enforced.iter().flat_map(|enforced| {
                let all = [enforced.check_rules(&rules, &rule), enforced.check_keys(&rule)];
                all.into_iter().filter_map(Result::err)
            });
            faults
                .extend(misfits.map(|misfit| Fault::Revocations { place: place.clone(), misfit }));
            let issuer = issuer.prepare(rules, &terms, &public, &mut faults);
            if issuers.iter().any(|other| other.is_same_as(&issuer)) {
                faults.push(Fault::DuplicateIssuer { issuer: name });
            }
            issuers.push(issuer);
        }

        let misfits = self.enforced.iter().filter_map(|enforced| enforced.check().err());
        faults.extend(
            misfits.map(|misfit| Fault::Revocations { place: "the policy".to_owned(), misfit }),
        );
        let unknown = self.unknown_revocation.get().copied().unwrap_or_default();
        let mut revocations = Sources { all: self.revocations, enforced: Vec::new(), unknown };
        for enforced in self.enforced {
            let enforced = enforced.compile();
            revocations.all.push(Arc::new(enforced.clone()));
            revocations.enforced.push(enforced);
        }

        check_sources(&sources, &mut faults);
        let mut limits = TokenLimits::default();
        if let Some(&limit) = self.token_limit.get() {
            if !(1..=TokenLimits::MAX).contains(&limit) {
                faults.push(Fault::TokenLimit { limit });
            }
            limits.token = limit;
        }
        if let Some(&limit) = self.header_limit.get() {
            if !(1..=TokenLimits::MAX_HEADER).contains(&limit) {
                faults.push(Fault::HeaderLimit { limit });
            }
            limits.header = limit;
        }
        if cache != 0 && !(cache::MIN_BYTES..=cache::MAX_BYTES).contains(&cache) {
            faults.push(Fault::TokenCache { bytes: cache });
        }
        self.origins.sort_unstable();
        self.origins.dedup();
        for origin in self.origins.iter().filter(|origin| !is_origin(origin)) {
            faults.push(Fault::Origin { origin: origin.clone() });
        }
        #[cfg(feature = "status-list")]
        faults.extend(
            self.status_lists
                .get()
                .into_iter()
                .flat_map(|Shared(lists)| lists.faults())
                .map(|error| Fault::StatusLists { error }),
        );
        BuildError::check(faults)?;
        // Last, since it may take a while: with nothing else at fault.
        let mut faults = Vec::new();
        #[cfg(feature = "remote-jwks")]
        let former: Vec<_> = self.former.iter().map(|rules| &rules.issuers).collect();
        #[cfg(not(feature = "remote-jwks"))]
        let former = [];
        let mut not_started = Vec::new();
        let issuers = TrustedIssuers::start(issuers, &former, &mut not_started);
        faults.extend(not_started.into_iter().map(Fault::from));
        #[cfg(feature = "status-list")]
        let status_lists =
            self.status_lists.get().and_then(|Shared(lists)| match StatusLists::thread() {
                Ok(thread) => Some((StatusLists::clone(lists), thread)),
                Err(error) => {
                    faults.push(Fault::StatusLists { error });
                    None
                }
            });
        BuildError::check(faults)?;

        let origins =
            AllowedOrigins(self.origins.into_iter().map(String::into_boxed_str).collect());
        let rules = Rules {
            sources,
            precedence: self.precedence,
            origins,
            bad_cookie: self.bad_cookie.get().copied().unwrap_or_default(),
            limits,
            refuses_brought_keys: self.refuses_brought_keys,
            issuers,
            revocations,
            #[cfg(feature = "status-list")]
            status: StatusRule::default(),
            #[cfg(all(feature = "explain", feature = "status-list"))]
            plain_status_hosts: Vec::new(),
            headers: KnownHeaders::default(),
            terms,
        };
        #[cfg(not(feature = "status-list"))]
        let rules = Arc::new(rules);
        // A list is verified by the rules that it is part of.
        #[cfg(feature = "status-list")]
        let rules = Arc::new_cyclic(|own| match status_lists {
            Some((lists, thread)) => {
                let mut rules = rules;
                rules.status = lists.rule();
                #[cfg(feature = "explain")]
                rules.plain_status_hosts.extend_from_slice(lists.plain_hosts());
                let lists = lists.start(Arc::clone(&rules.terms.clock), thread, own.clone());
                rules.revocations.all.push(Arc::new(lists));
                rules
            }
            None => rules,
        });
        #[cfg(feature = "metrics")]
        crate::metrics::describe();
        let cache = TokenCache::new(cache);
        Ok(Policy::fixed(Verifier { rules, cache }, self.anonymous))
    }
}

impl PolicyBuilder {
    /// Settings of which two different words were said.
    fn contradicted(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("sources", self.sources.is_contradicted()),
            ("bad_cookie", self.bad_cookie.is_contradicted()),
            ("token_limit", self.token_limit.is_contradicted()),
            ("header_limit", self.header_limit.is_contradicted()),
            ("token_cache", self.token_cache.is_contradicted()),
            ("unknown_revocation", self.unknown_revocation.is_contradicted()),
            #[cfg(feature = "status-list")]
            ("status_lists", self.status_lists.is_contradicted()),
            ("clock", self.clock.is_contradicted()),
            ("scope_implies", self.scope_implies.is_contradicted()),
            ("protected_resource", self.protected_resource.is_contradicted()),
        ];
        let own = all.into_iter().filter_map(|(setting, is_so)| is_so.then_some(setting));
        own.chain(self.rules.contradicted()).chain(self.presentation.contradicted())
    }
}

fn check_durations(place: &str, rules: &ClaimRules, faults: &mut Vec<Fault>) {
    if let Some(leeway) = rules.leeway.get().copied().filter(|leeway| *leeway > MAX_LEEWAY) {
        faults.push(Fault::Leeway { place: place.to_owned(), leeway });
    }
    let lifetime = rules.max_lifetime.get().copied();
    if let Some(MaxLifetime { limit: Some(lifetime), is_dangerous: false }) = lifetime
        && lifetime > LONGEST_LIFETIME
    {
        faults.push(Fault::Lifetime { place: place.to_owned(), lifetime });
    }
    let lifetime = lifetime.and_then(|lifetime| lifetime.limit);
    for (setting, limit) in [("max_lifetime", lifetime), ("max_age", rules.max_age.get().copied())]
    {
        if limit.is_some_and(|limit| limit.as_secs() == 0) {
            faults.push(Fault::ZeroDuration { place: place.to_owned(), setting });
        }
    }
}

fn check_rules(place: &str, rules: &ClaimRules, faults: &mut Vec<Fault>) {
    faults.extend(rules.contradictions().map(|claim| contradiction(place, claim)));
}

fn contradiction(place: &str, claim: &str) -> Fault {
    Fault::Contradiction { place: place.to_owned(), claim: claim.to_owned() }
}

fn check_sources(sources: &[TokenSource], faults: &mut Vec<Fault>) {
    if sources.is_empty() {
        faults.push(Fault::NoSource);
    }
    let is_again = |(at, source): (usize, &TokenSource)| {
        sources[..at].iter().any(|other| other.0.overlaps(&source.0))
    };
    if sources.iter().enumerate().any(is_again) {
        faults.push(Fault::DuplicateSource);
    }
    faults.extend(sources.iter().filter_map(|source| source_fault(&source.0)));
}

fn source_fault(source: &Kind) -> Option<Fault> {
    let (name, is_name) = match source {
        Kind::Bearer | Kind::Cookie { is_checked: true, .. } => return None,
        Kind::Header { name, .. } => match name.as_str() {
            "cookie" => return Some(Fault::CookieHeader),
            "sec-websocket-protocol" => return Some(Fault::WebSocketHeader),
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
        _ if !is_name => Some(Fault::SourceName { name }),
        Kind::Cookie { cookie, .. } if !cookie.is_host_only() => Some(Fault::CookiePrefix { name }),
        _ => None,
    }
}

/// RFC 6454 §6.2: scheme, host and, unless it is the scheme's own, port; in lower case.
fn is_origin(origin: &str) -> bool {
    let Some((scheme @ ("http" | "https"), authority)) = origin.split_once("://") else {
        return false;
    };
    let (is_host, port) = if let Some(literal) = authority.strip_prefix('[') {
        let Some((address, port)) = literal.split_once(']') else { return false };
        let is_lower_case = !address.bytes().any(|byte| byte.is_ascii_uppercase());
        (is_lower_case && address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        (is_host_name(name), port)
    };
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(|port| is_port(scheme, port)))
}

/// The dot at the end of a name that is complete stays in an origin.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_good = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        !label.is_empty() && label.bytes().all(is_good)
    };
    name.strip_suffix('.').unwrap_or(name).split('.').all(is_label)
}

fn is_port(scheme: &str, port: &str) -> bool {
    let default = if scheme == "https" { 443 } else { 80 };
    // As it is written: without a sign, and without zeros in front.
    port.parse::<u16>().is_ok_and(|number| number != default && number.to_string() == port)
}

impl fmt::Debug for PolicyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyBuilder").field("issuers", &self.issuers).finish_non_exhaustive()
    }
}
