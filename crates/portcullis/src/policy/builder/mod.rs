mod build;
mod check;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use serde::de::DeserializeOwned;

#[cfg(feature = "remote-jwks")]
use super::Policy;
use super::issuer::Issuer;
use crate::claims::{ClaimRules, ClaimValue, MaxLifetime};
use crate::dpop::Dpop;
use crate::mtls::Mtls;
use crate::refusal::{Presentation, Refused, RejectionResponse};
use crate::resource::ProtectedResource;
use crate::revocation::{EnforcedRevocations, RevocationSource, UnknownRevocation};
use crate::setting::{Setting, Shared, Voice};
use crate::source::{Precedence, TokenSource};
#[cfg(feature = "status-list")]
use crate::status_list::StatusLists;
use crate::terms::ScopeImplies;
use crate::time::Clock;
use crate::verifier::BadCookie;
#[cfg(feature = "remote-jwks")]
use crate::verifier::Rules;

/// Makes a [`Policy`](crate::Policy). See [`Policy::builder`](crate::Policy::builder).
///
/// Setters may be called in any order, on a builder with the settings of a file as well:
///
/// - what has one value is said once: another value is a fault of the policy, unless it is said to
///   [overrule](Self::overrule);
/// - everything else adds up: issuers, rules for claims, origins, revocations;
/// - what is turned on stays on.
///
/// ```
/// use std::time::Duration;
///
/// use portcullis::TokenSource;
/// use portcullis_testkit::TestIssuer;
///
/// let issuer = TestIssuer::new("https://id.example");
/// let builder = || issuer.policy_builder(); // with its keys and audience
/// let policy = builder()
///     .max_lifetime(Duration::from_secs(15 * 60))
///     .sources([TokenSource::bearer(), TokenSource::cookie("__Host-token")])
///     .require("sub")
///     .build()?;
/// # let _ = policy;
///
/// // Every fault is listed at once.
/// let faulty = builder().leeway(Duration::from_secs(3600)).token_limit(0);
/// assert_eq!(faulty.build().unwrap_err().faults().len(), 2);
/// # Ok::<_, portcullis::BuildError>(())
/// ```
#[must_use]
pub struct PolicyBuilder {
    voice: Voice,
    name: Setting<String>,
    issuers: Vec<Issuer>,
    rules: ClaimRules,
    sources: Setting<Vec<TokenSource>>,
    precedence: Precedence,
    origins: Vec<String>,
    bad_cookie: Setting<BadCookie>,
    token_limit: Setting<usize>,
    header_limit: Setting<usize>,
    refuses_brought_keys: bool,
    dpop: Setting<Shared<Dpop>>,
    mtls: Setting<Mtls>,
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
            name: Setting::default(),
            issuers: Vec::new(),
            rules: ClaimRules::default(),
            sources: Setting::default(),
            precedence: Precedence::None,
            origins: Vec::new(),
            bad_cookie: Setting::default(),
            token_limit: Setting::default(),
            header_limit: Setting::default(),
            refuses_brought_keys: false,
            dpop: Setting::default(),
            mtls: Setting::default(),
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

    /// What operators call this policy: the label `policy` of its metrics (feature `metrics`), and the field
    /// `policy` of its log events (feature `tracing`). 1 to 64 bytes without control characters. Give each policy of a program another name: under one
    /// name, what is counted adds up, and of a gauge such as `portcullis_ready` the policy counts that told it last.
    ///
    /// If you do not call it: metrics say `default`, and log events have no such field.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name.say(self.voice, name.into());
        self
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
    /// If you do not call it: two different values of one setting are a fault, wherever they were said.
    pub fn overrule(mut self, say: impl FnOnce(Self) -> Self) -> Self {
        let voice = core::mem::replace(&mut self.voice, Voice::Overruling);
        Self { voice, ..say(self) }
    }

    /// Rules for the claims of every issuer's tokens, besides those that were said already. The setters
    /// below are short for this one.
    ///
    /// If you do not call it: the defaults of [`ClaimRules`].
    pub fn claims(mut self, rules: ClaimRules) -> Self {
        self.rules.add(self.voice, rules);
        self
    }

    /// See [`ClaimRules::leeway`]. If you do not call it: 30 s.
    pub fn leeway(self, leeway: Duration) -> Self {
        self.claims(ClaimRules::new().leeway(leeway))
    }

    /// See [`ClaimRules::max_lifetime`]. If you do not call it: 24 h.
    pub fn max_lifetime(self, limit: impl Into<MaxLifetime>) -> Self {
        self.claims(ClaimRules::new().max_lifetime(limit))
    }

    /// See [`ClaimRules::max_age`]. If you do not call it: no bound but the lifetime.
    pub fn max_age(self, limit: Duration) -> Self {
        self.claims(ClaimRules::new().max_age(limit))
    }

    /// See [`ClaimRules::require`]. If you do not call it: only what verification itself needs is required.
    pub fn require(self, claim: impl Into<String>) -> Self {
        self.claims(ClaimRules::new().require(claim))
    }

    /// See [`ClaimRules::forbid`]. If you do not call it: a token may have any claim but those that verification
    /// itself refuses.
    pub fn forbid(self, claim: impl Into<String>) -> Self {
        self.claims(ClaimRules::new().forbid(claim))
    }

    /// See [`ClaimRules::exact`]. If you do not call it: a claim may have any value that verification itself lets
    /// pass.
    pub fn exact(self, claim: impl Into<String>, value: impl Into<ClaimValue>) -> Self {
        self.claims(ClaimRules::new().exact(claim, value))
    }

    /// See [`ClaimRules::one_of`]. If you do not call it: as for [`exact`](Self::exact).
    pub fn one_of<V: Into<ClaimValue>>(
        self,
        claim: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.claims(ClaimRules::new().one_of(claim, values))
    }

    /// See [`ClaimRules::predicate`]. If you do not call it: claims are asked nothing beyond the other rules.
    ///
    /// ```
    /// use portcullis::PolicyBuilder;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Tenant { suspended: bool }
    ///
    /// # fn finish(of_the_file: PolicyBuilder) -> PolicyBuilder {
    /// of_the_file.predicate("tenant is not suspended", |claims: &Tenant| {
    ///     !claims.suspended
    /// })
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
    /// If you do not call it: `Authorization: Bearer` only.
    pub fn sources(mut self, sources: impl IntoIterator<Item = TokenSource>) -> Self {
        self.sources.say(self.voice, sources.into_iter().collect());
        self
    }

    /// Takes the token in a header where a cookie carries one too.
    ///
    /// If you do not call it: such a request is refused (400), since it is unclear for whom it speaks.
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

    /// What a bad token in a cookie does: where a request without a token would pass, and for the removal of the cookie
    /// ([`BadCookie::RejectAndClear`]) where a token is required as well.
    ///
    /// If you do not call it: [`BadCookie::Reject`].
    pub fn bad_cookie(mut self, choice: BadCookie) -> Self {
        self.bad_cookie.say(self.voice, choice);
        self
    }

    /// The largest token, in bytes, at most 64 KiB.
    ///
    /// If you do not call it: 16 KiB; an Entra ID token with 200 groups has over 10.
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
    /// If you do not call it: 4 KiB. Headers have some 300 bytes, and those with a certificate chain (`x5c`) 2 KiB for
    /// each certificate. The chain is never followed, so that an issuer may as well leave it out.
    pub fn header_limit(mut self, bytes: usize) -> Self {
        self.header_limit.say(self.voice, bytes);
        self
    }

    /// Refuses tokens whose header has `jwk`, `jku`, `x5u` or `x5c`.
    ///
    /// If you do not call it: these members are not looked at. They are never followed, either way.
    pub fn refuse_brought_keys(mut self) -> Self {
        self.refuses_brought_keys = true;
        self
    }

    /// See [`Policy::allow_anonymous`](crate::Policy::allow_anonymous). If you do not call it: a request without a token is refused.
    pub fn allow_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Refuses what was revoked, of the kinds that are [enforced](crate::Revocations::enforce). Call it
    /// once for each list.
    ///
    /// If you do not call it: a token is good until it expires.
    pub fn revocations(mut self, enforced: EnforcedRevocations) -> Self {
        self.enforced.push(enforced);
        self
    }

    /// Asks a source of your own whether a token was taken back. Call it once for each source.
    ///
    /// If you do not call it: nobody is asked but [`revocations`](Self::revocations).
    pub fn revocation_source(mut self, source: impl RevocationSource) -> Self {
        self.revocations.push(Arc::new(source));
        self
    }

    /// What becomes of a token of which nobody can tell whether it was taken back: a store out of reach
    /// for longer than its staleness, a source that does not answer.
    ///
    /// If you do not call it: it is refused, and the client told 503. The other choice is
    /// [`dangerous::accept_unknown_revocation`](crate::dangerous::accept_unknown_revocation).
    pub fn unknown_revocation(mut self, choice: UnknownRevocation) -> Self {
        self.unknown_revocation.say(self.voice, choice);
        self
    }

    /// Asks the list that a token names whether it was taken back, once it passed every other check.
    ///
    /// If you do not call it: the claim `status` is not looked at.
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
    /// If you do not call it: 16 MiB, which is 10,000 tokens of 500 bytes, or 6,000 where handlers read a claims type. On, since it gives the same answers in a
    /// fraction of the time.
    pub fn token_cache(mut self, bytes: usize) -> Self {
        self.token_cache.say(self.voice, bytes);
        self
    }

    /// Names issuer, subject and token id in the event of a refusal (feature `tracing`) where the token had
    /// verified: a requirement of a route that it does not meet, claims of another shape.
    ///
    /// If you do not call it: no event says anything of a token. Names of people in logs are personal data.
    pub fn name_callers_in_logs(mut self) -> Self {
        self.names_callers = true;
        self
    }

    /// Says of a scope that a token has, the first, whether it implies another, for
    /// [`Requirement::scope`](crate::Requirement::scope): `orders` may imply `orders:read`.
    ///
    /// If you do not call it: a scope implies itself alone.
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
    /// If you do not call it: the defaults of [`Presentation`].
    pub fn presentation(mut self, presentation: Presentation) -> Self {
        self.presentation.add(self.voice, presentation);
        self
    }

    /// Sees every refusal, and may change or replace the response: [`Presentation::on_refusal`]. If you do not call it,
    /// refusals stay as they are.
    pub fn on_refusal(
        self,
        hook: impl Fn(Refused<'_>, &mut RejectionResponse) + Send + Sync + 'static,
    ) -> Self {
        self.presentation(Presentation::new().on_refusal(hook))
    }

    /// Puts the address of the resource's document into every challenge, and holds the policy to the
    /// document: every authorization server must be an issuer that has the resource's identifier for an
    /// audience, `Authorization: Bearer` among the sources, and [`dpop`](Self::dpop) and [`mtls`](Self::mtls) what it
    /// [says](crate::routes::ProtectedResourceBuilder::dpop). [`Presentation::resource_metadata`] puts any
    /// address there, and holds the policy to nothing; another address than the document's is a fault.
    ///
    /// If you do not call it: the challenge says what the presentation does.
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
    /// If you do not call it: all keys are fetched anew.
    #[cfg(feature = "remote-jwks")]
    pub fn reuse_keys_of(mut self, former: &Policy) -> Self {
        self.former.push(former.rules());
        self
    }

    /// Takes tokens that are bound to a key of their sender, with the scheme `DPoP` and a proof of who has the key (RFC 9449).
    ///
    /// Give policies of one service clones of one [`Dpop`], and a policy that takes the place of another the same: it remembers which
    /// proofs were used.
    ///
    /// If you do not call it: tokens with `cnf` are refused, since nobody checks what they are bound to.
    pub fn dpop(mut self, dpop: Dpop) -> Self {
        self.dpop.say(self.voice, Shared(Arc::new(dpop)));
        self
    }

    /// Takes tokens that are bound to a certificate of their sender (`cnf` with `x5t#S256`), from clients that presented it in their TLS
    /// handshake (RFC 8705 §3). They come with the scheme `Bearer`.
    ///
    /// A token that is bound to a key as well needs both, and so does a policy that [requires](Mtls::required) both.
    ///
    /// If you do not call it: tokens with `cnf` are refused, but for those that [`dpop`](Self::dpop) takes.
    pub fn mtls(mut self, mtls: Mtls) -> Self {
        self.mtls.say(self.voice, mtls);
        self
    }

    /// The clock that tokens are held against.
    ///
    /// If you do not call it: the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock.say(self.voice, Shared(Arc::new(clock)));
        self
    }
}

impl fmt::Debug for PolicyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyBuilder").field("issuers", &self.issuers).finish_non_exhaustive()
    }
}
