mod keys;
mod prepare;

use core::fmt;
#[cfg(feature = "remote-jwks")]
use core::time::Duration;
#[cfg(feature = "remote-jwks")]
use std::sync::Arc;

pub use self::keys::Keys;
use self::keys::Part;
use crate::claims::{AudienceRule, ClaimRules, ClaimValue, TokenType};
#[cfg(feature = "remote-jwks")]
use crate::issuers::TenantRule;
use crate::keys::{KeySet, KeySource};
use crate::setting::{Setting, Voice, Words};
use crate::signature::Algorithm;

/// An issuer whose tokens are accepted: signed how, with which keys, and for whom.
///
/// None of the three has a default, so that a value of the type `Issuer` does not come about
/// before all were said:
///
/// ```
/// use portcullis::{Algorithm, Issuer, Secret};
///
/// # let generated = *b"\x8f\x1b\x93\xd0\x62\xa7\x3c\xee\x05\x48\xf9\x7d\x21\xb6\xc4\x0e\x9a\x57\xe3\x6c\x10\xd8\x2f\x84\xbb\x4e\x71\xa9\x36\xfd\xc2\x15";
/// let issuer: Issuer = Issuer::new("https://id.example")
///     .algorithms([Algorithm::HS256])
///     .keys(Secret::new(generated))
///     .audience("https://orders.example");
/// # let _ = issuer;
/// ```
///
/// ```compile_fail
/// # use portcullis::{Algorithm, Issuer, Secret};
/// // Whose audience?
/// let issuer: Issuer = Issuer::new("https://id.example")
///     .algorithms([Algorithm::HS256])
///     .keys(Secret::new([0; 32]));
/// ```
///
/// ```compile_fail
/// # use portcullis::{Algorithm, Issuer, KeySet, Policy};
/// // A policy does not take half an issuer either.
/// # fn half(keys: KeySet) {
/// let issuer = Issuer::new("https://id.example")
///     .algorithms([Algorithm::ES256])
///     .keys(keys);
/// let policy = Policy::builder().issuer(issuer);
/// # }
/// ```
///
/// ```compile_fail
/// # use portcullis::{Algorithm, Issuer, Secret};
/// // Signed how? The token does not choose.
/// let issuer: Issuer = Issuer::new("https://id.example")
///     .keys(Secret::new([0; 32]))
///     .audience("a");
/// ```
#[must_use]
pub struct Issuer<State = Complete> {
    id: Identity,
    state: State,
}

/// Whose tokens.
#[derive(Debug)]
enum Identity {
    One(String),
    #[cfg(feature = "remote-jwks")]
    Each(TenantRule),
}

impl Identity {
    /// What a message calls it.
    fn name(&self) -> &str {
        match self {
            Self::One(id) => id,
            #[cfg(feature = "remote-jwks")]
            Self::Each(rule) => rule.name(),
        }
    }
}

/// State of an [`Issuer`]: its algorithms must be listed.
#[derive(Debug)]
pub struct WantsAlgorithms(());

/// State of an [`Issuer`]: its keys must be given.
#[derive(Debug)]
pub struct WantsKeys {
    algorithms: Vec<Algorithm>,
}

/// State of an [`Issuer`]: whom its tokens are for must be said.
#[derive(Debug)]
pub struct WantsAudience {
    algorithms: Vec<Algorithm>,
    keys: Keys,
}

/// State of an [`Issuer`]: nothing without a default is open.
#[derive(Debug)]
pub struct Complete {
    algorithms: Vec<Algorithm>,
    keys: Keys,
    audience: AudienceRule,
    /// What a preset was told before there was an issuer.
    words: Words,
    types: Setting<Vec<TokenType>>,
    requires_key_id: bool,
    numeric_ids: bool,
    scope_claims: Setting<Vec<String>>,
    rules: ClaimRules,
    #[cfg(feature = "remote-jwks")]
    max_tenants: Setting<usize>,
    #[cfg(feature = "remote-jwks")]
    known_tenants: Vec<String>,
    #[cfg(feature = "remote-jwks")]
    tenant_burst: Setting<usize>,
    #[cfg(feature = "remote-jwks")]
    tenant_interval: Setting<Duration>,
}

impl Issuer<WantsAlgorithms> {
    /// The issuer that calls itself `id` in `iss`. Compared byte by byte, so the trailing slash
    /// counts (RFC 8725 §3.8, RFC 9068 §4).
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: Identity::One(id.into()), state: WantsAlgorithms(()) }
    }

    /// Every issuer of this form, with one `{tenant}` in it:
    ///
    /// ```
    /// use portcullis::{Algorithm, Issuer, Policy, RemoteJwks};
    ///
    /// let policy = Policy::builder()
    ///     .issuer(
    ///         Issuer::template("https://id.example/{tenant}/")
    ///             .algorithms([Algorithm::ES256])
    ///             .keys(RemoteJwks::discovery()) // each has its own
    ///             .audience("https://orders.example"),
    ///     )
    ///     .build()?;
    /// # let _ = policy;
    /// # Ok::<_, portcullis::BuildError>(())
    /// ```
    ///
    /// `{tenant}` stands for 1 to 64 of the characters `A` to `Z`, `a` to `z`, `0` to `9`, `-` and
    /// `_`: no dot and no slash, so that an address made of it leads nowhere else.
    ///
    /// `{tenant}` may be a part of the host only before a domain that others cannot register names in: not in
    /// `https://{tenant}.com`, nor in `https://{tenant}.co.uk`. Of the suffixes below which anybody can register,
    /// those of one label are refused, and below those of a country the usual ones, such as `co` and `com`; that a
    /// provider gives out names below its own domain to anybody, only you can know.
    ///
    /// An issuer is made when the first token of it comes, whose request waits for its keys. Since
    /// anybody can invent tenants, and a token is not verified before its keys are there, new ones have a budget:
    /// [50 at once](Issuer::tenant_burst), then [ten a second](Issuer::tenant_interval), each of which makes four
    /// requests at most. Where more want in, those come first that were asked for most often, and the tokens of the
    /// others get 503:
    ///
    /// | while somebody sends 2,000 tokens a second, each of … | a new tenant that asks ten times a second is let in |
    /// | --- | --- |
    /// | another invented tenant | within 0.3 s |
    /// | one of so many that each is named as often as helps most | within 40 s |
    ///
    /// A tenant is known once a token of it verified. One that is known waits for nobody, while it is one of
    /// [`max_tenants`](Issuer::max_tenants), and after it gave way to another comes in at once, whoever is invented.
    /// So do those that [are named](Issuer::known_tenants), from the start. A policy that
    /// [succeeds](crate::PolicyBuilder::reuse_keys_of) another knows the tenants of that one.
    ///
    /// Of [`max_tenants`](Issuer::max_tenants) at a time, those of which no token ever verified give way to new ones,
    /// and those whose keys have expired; then those of which no token verified in a minute, the longest ago first. New ones
    /// that may be invented drive out no more than a sixteenth of these, and wherever anybody can register as a tenant
    /// of the provider, they all may be real: name the tenants there, by [`new`](Self::new).
    ///
    /// Keys by [discovery](crate::RemoteJwks::discovery), and those of an address with `{tenant}` in it,
    /// are of each tenant alone; all other keys serve every tenant. Metadata of a tenant may name keys of their
    /// own origin only, unless [`any_origin`](crate::keys::remote::RemoteJwksOptions::any_origin) says otherwise.
    #[cfg(feature = "remote-jwks")]
    pub fn template(template: impl Into<String>) -> Self {
        Self {
            id: Identity::Each(TenantRule::template(template.into())),
            state: WantsAlgorithms(()),
        }
    }

    /// Every issuer that `is_trusted` says yes to, as [`template`](Self::template) otherwise. An
    /// identifier of over 1 KiB is not asked about.
    ///
    /// Whatever it says yes to is asked for keys, at an address that the sender of a token wrote:
    /// compare the whole identifier with what you know, never a part of it. The answer may name keys of
    /// the same origin only, unless [`any_origin`](crate::keys::remote::RemoteJwksOptions::any_origin) says otherwise.
    #[cfg(feature = "remote-jwks")]
    pub fn matching(is_trusted: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        let rule = TenantRule::Predicate(Arc::new(is_trusted));
        Self { id: Identity::Each(rule), state: WantsAlgorithms(()) }
    }

    /// The algorithms that it signs with, under exactly these names (RFC 8725 §3.1).
    ///
    /// List two of different strength, such as ES256 and ML-DSA-65, for as long as tokens of both come, and no longer: who can
    /// forge those of the weaker one gets in by them.
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Issuer<WantsKeys> {
        let mut listed: Vec<_> = algorithms.into_iter().collect();
        listed.sort_unstable();
        listed.dedup();
        Issuer { id: self.id, state: WantsKeys { algorithms: listed } }
    }
}

impl Issuer<WantsKeys> {
    /// Its keys: a [`KeySet`], a [`KeyFile`](crate::KeyFile), one or several [`Secret`](crate::Secret)s, remote keys (feature
    /// `remote-jwks`), or [`Keys`] of several origins. They never verify another issuer's tokens.
    pub fn keys(self, keys: impl Into<Keys>) -> Issuer<WantsAudience> {
        let state = WantsAudience { algorithms: self.state.algorithms, keys: keys.into() };
        Issuer { id: self.id, state }
    }
}

impl Issuer<WantsAudience> {
    /// What this service is called in `aud`.
    pub fn audience(self, audience: impl Into<String>) -> Issuer {
        self.audiences([audience])
    }

    /// What this service is called in `aud`: a token has to have at least one of these, byte by
    /// byte (RFC 7519 §4.1.3).
    pub fn audiences<A: Into<String>>(self, audiences: impl IntoIterator<Item = A>) -> Issuer {
        self.complete(AudienceRule::Audiences(boxed(audiences)))
    }

    /// For an issuer whose access tokens have no `aud`, such as Amazon Cognito: a token has to
    /// name one of these in `client_id`, and to have no `aud`.
    ///
    /// This says who asked for a token, not whom it is for: list only clients that talk to this
    /// service.
    pub fn client_ids_instead_of_audience<A: Into<String>>(
        self,
        clients: impl IntoIterator<Item = A>,
    ) -> Issuer {
        self.complete(AudienceRule::ClientIds(boxed(clients)))
    }

    fn complete(self, audience: AudienceRule) -> Issuer {
        let WantsAudience { algorithms, keys } = self.state;
        Issuer {
            id: self.id,
            state: Complete {
                algorithms,
                keys,
                audience,
                words: Words::default(),
                types: Setting::default(),
                requires_key_id: false,
                numeric_ids: false,
                scope_claims: Setting::default(),
                rules: ClaimRules::default(),
                #[cfg(feature = "remote-jwks")]
                max_tenants: Setting::default(),
                #[cfg(feature = "remote-jwks")]
                known_tenants: Vec::new(),
                #[cfg(feature = "remote-jwks")]
                tenant_burst: Setting::default(),
                #[cfg(feature = "remote-jwks")]
                tenant_interval: Setting::default(),
            },
        }
    }
}

impl Issuer {
    /// What its tokens may be signed with.
    pub(in crate::policy) fn algorithms_listed(&self) -> impl Iterator<Item = Algorithm> {
        self.state.algorithms.iter().copied()
    }
}

fn boxed<A: Into<String>>(items: impl IntoIterator<Item = A>) -> Vec<Box<str>> {
    items.into_iter().map(|item| item.into().into_boxed_str()).collect()
}

/// Setters may be called in any order. Those with one value are said once: another value is a fault of the
/// policy. Rules for claims add up.
impl Issuer {
    /// The token types that it issues for this service.
    ///
    /// If you do not call it: `JWT` (or none) and `at+jwt`, by type only, since providers differ; any other
    /// is refused. With [`TokenType::AccessToken`] alone, the claims of RFC 9068 are required.
    pub fn token_types(mut self, types: impl IntoIterator<Item = TokenType>) -> Self {
        self.state.types.say(Voice::Plain, types.into_iter().collect());
        self
    }

    /// Rules for the claims of its tokens, above those of the policy. Called again, all of them hold; two
    /// different durations are a fault.
    ///
    /// If you do not call it: the rules of the policy hold.
    pub fn claims(mut self, rules: ClaimRules) -> Self {
        self.state.rules.add(Voice::Plain, rules);
        self
    }

    /// Refuses tokens without `kid`.
    ///
    /// If you do not call it: such a token is tried with every key of its algorithm, at most
    /// [`MAX_CANDIDATES`](crate::keys::MAX_CANDIDATES), also where all keys have ids. Issuers may leave `kid` out (RFC 7515 §4.1.4), and
    /// those with one key, or with an old and a new one, do. What a token may cost is bounded without it,
    /// and who wants to cost much can name a key as well as none.
    pub fn require_key_id(mut self) -> Self {
        self.state.requires_key_id = true;
        self
    }

    /// Takes `sub` and `jti` also where the issuer writes them as numbers: a whole number from 0 to
    /// 2^64 - 1, whose digits then are the subject or the token's id. So `42` and `"42"` are one subject.
    ///
    /// If you do not call it: such a token is refused (RFC 7519 §4.1.2, §4.1.7: a string). A handler's own type reads a
    /// claim as it is written, as a number.
    pub fn numeric_ids(mut self) -> Self {
        self.state.numeric_ids = true;
        self
    }

    /// The claims that its tokens' scopes are in, for [`Requirement::scope`](crate::Requirement::scope): each a
    /// string of scopes with single spaces between them, or, but for `scope`, a list of strings. Those of all
    /// of them count.
    ///
    /// If you do not call it: `scope` (RFC 8693 §4.2) and `scp` (Entra ID: a string; Okta: a list). Auth0 with role-based
    /// access control has `permissions`.
    pub fn scope_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.state.scope_claims.say(Voice::Plain, names.into_iter().map(Into::into).collect());
        self
    }

    /// How many issuers of a [template](Issuer::template) or predicate there are at a time, at least
    /// one.
    ///
    /// If you do not call it: 1000. Each has its keys fetched every few minutes, once it had some.
    #[cfg(feature = "remote-jwks")]
    pub fn max_tenants(mut self, tenants: usize) -> Self {
        self.state.max_tenants.say(Voice::Plain, tenants);
        self
    }

    /// Issuers of a [template](Issuer::template) or predicate that come in at once after a start, whoever is invented
    /// meanwhile: each as it stands in `iss`. As many as [`max_tenants`](Self::max_tenants) at most. Called again, all
    /// of them count.
    ///
    /// They count as tenants of which a token verified before. Their keys are fetched when their first token comes, or
    /// all at once by [`Policy::keys_ready`](crate::Policy::keys_ready). Those that are known at some time are told by
    /// [`Policy::known_tenants`](crate::Policy::known_tenants): what that said before the last end of the program may
    /// be given here.
    ///
    /// If you do not call it: after a start, every tenant is new. Those of a policy that this one
    /// [succeeds](crate::PolicyBuilder::reuse_keys_of) are known all the same.
    #[cfg(feature = "remote-jwks")]
    pub fn known_tenants<T: Into<String>>(mut self, tenants: impl IntoIterator<Item = T>) -> Self {
        self.state.known_tenants.extend(tenants.into_iter().map(Into::into));
        self
    }

    /// How many new issuers of a [template](Issuer::template) or predicate come in at once, 1 to 10000, before each
    /// waits for the [interval](Self::tenant_interval). As many come in at once again when none came for as many
    /// intervals.
    ///
    /// If you do not call it: 50, which makes 200 requests to the provider at most. After a start without
    /// [known tenants](Self::known_tenants) every tenant is new.
    #[cfg(feature = "remote-jwks")]
    pub fn tenant_burst(mut self, tenants: usize) -> Self {
        self.state.tenant_burst.say(Voice::Plain, tenants);
        self
    }

    /// How long it takes from one new issuer of a [template](Issuer::template) or predicate to the next, after a
    /// [burst](Self::tenant_burst), 1 ms to 60 s. Tokens of others get 503 with this as `Retry-After`, a second at
    /// least.
    ///
    /// If you do not call it: 100 ms. So whoever invents tenants causes ten a second, each of which makes four requests at most:
    /// 40 requests a second to the provider, and a further fetch for a tenant that never had keys counts as a new one.
    /// With less, a tenant that is really new waits longer where invented names are repeated; with more, they
    /// cost the provider more.
    #[cfg(feature = "remote-jwks")]
    pub fn tenant_interval(mut self, interval: Duration) -> Self {
        self.state.tenant_interval.say(Voice::Plain, interval);
        self
    }

    pub(super) fn name(&self) -> &str {
        self.id.name()
    }

    /// Whether its tokens may be for this audience.
    pub(crate) fn names_audience(&self, audience: &str) -> bool {
        matches!(&self.state.audience, AudienceRule::Audiences(own) if own.iter().any(|own| **own == *audience))
    }

    /// Whether it could call itself so. What a predicate trusts, nobody knows beforehand.
    pub(crate) fn may_be(&self, id: &str) -> bool {
        match &self.id {
            Identity::One(own) => own == id,
            #[cfg(feature = "remote-jwks")]
            Identity::Each(rule) => rule.may_be(id),
        }
    }

    pub(super) fn rules(&self) -> &ClaimRules {
        &self.state.rules
    }

    /// The public keys that it has by now, as far as they are known.
    pub(super) fn public_keys(&self) -> impl Iterator<Item = KeySet> {
        self.state.keys.0.iter().filter_map(|part| match part {
            Part::Set(set) => Some(set.clone()),
            Part::File(file) => Some(file.keys()),
            #[cfg(feature = "remote-jwks")]
            Part::Remote(remote) => Some(remote.keys()),
            #[cfg(feature = "remote-jwks")]
            Part::Plan(_) => None,
            // A source of the user's own is asked for tokens only.
            Part::Source(_) | Part::Secret(_) | Part::SecretSource(_) => None,
        })
    }

    /// Whether it has a key that no revocation could name.
    pub(super) fn has_secret_without_id(&self) -> bool {
        let mut keys = self.state.keys.0.iter();
        keys.any(|part| matches!(part, Part::Secret(secret) if !secret.has_id()))
    }

    /// Of which a preset was told this.
    #[cfg(feature = "remote-jwks")]
    pub(crate) fn said_by(mut self, words: Words) -> Self {
        self.state.words = words;
        self
    }

    /// Settings of which two different words were said.
    pub(super) fn contradicted(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            ("token_types", self.state.types.is_contradicted()),
            ("scope_claims", self.state.scope_claims.is_contradicted()),
            #[cfg(feature = "remote-jwks")]
            ("max_tenants", self.state.max_tenants.is_contradicted()),
            #[cfg(feature = "remote-jwks")]
            ("tenant_burst", self.state.tenant_burst.is_contradicted()),
            #[cfg(feature = "remote-jwks")]
            ("tenant_interval", self.state.tenant_interval.is_contradicted()),
        ];
        let own = all.into_iter().filter_map(|(setting, is_so)| is_so.then_some(setting));
        own.chain(self.state.words.contradicted()).chain(self.state.rules.contradicted())
    }

    /// Claims of which these rules ask what its tokens cannot have, or forbid what they must.
    pub(super) fn unmeetable(&self, rules: &ClaimRules) -> impl Iterator<Item = &'static str> {
        let is_text = |value: &ClaimValue| matches!(value, ClaimValue::String(_));
        let is_time = |value: &ClaimValue| matches!(value, ClaimValue::Integer(_));
        let is_own = |value: &ClaimValue| match &self.id {
            Identity::One(id) => *value == ClaimValue::String(id.clone()),
            #[cfg(feature = "remote-jwks")]
            Identity::Each(_) => is_text(value),
        };
        let is_unmeetable = [
            // RFC 7519 §4.1 for the types; verification needs `iss` and `exp`.
            ("iss", rules.forbids("iss") || !rules.allow_some("iss", is_own)),
            ("exp", rules.forbids("exp") || !rules.allow_some("exp", is_time)),
            ("nbf", !rules.allow_some("nbf", is_time)),
            (
                "iat",
                !rules.allow_some("iat", is_time)
                    || (rules.forbids("iat") && rules.max_age.get().is_some()),
            ),
            (
                "aud",
                match &self.state.audience {
                    AudienceRule::Audiences(_) => {
                        rules.forbids("aud") || !rules.allow_some("aud", is_text)
                    }
                    AudienceRule::ClientIds(_) => rules.asks_for("aud"),
                },
            ),
        ];
        is_unmeetable.into_iter().filter_map(|(claim, is_so)| is_so.then_some(claim))
    }
}

impl<State: fmt::Debug> fmt::Debug for Issuer<State> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("id", &self.id).field("state", &self.state).finish()
    }
}
