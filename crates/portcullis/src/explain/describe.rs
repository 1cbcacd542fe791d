//! What a policy accepts.
#[cfg(feature = "remote-jwks")]
use core::any::Any;
#[cfg(feature = "remote-jwks")]
use core::time::Duration;
use std::collections::BTreeSet;

use serde::Serialize;

use super::steps::kind;
use super::words::type_of;
use crate::claims::{AudienceRule, IssuerRules, LONGEST_LIFETIME, TokenType};
use crate::dpop::DpopRules;
#[cfg(feature = "remote-jwks")]
use crate::issuers::Tenants;
use crate::issuers::TrustedIssuer;
use crate::keys::KeySet;
#[cfg(feature = "remote-jwks")]
use crate::keys::KeySource;
#[cfg(feature = "remote-jwks")]
use crate::keys::remote::RemoteJwks;
use crate::mtls::{MtlsRules, NamedSource};
use crate::revocation::Revocable;
use crate::signature::{Algorithm, Family};
use crate::source::{Kind, Precedence, TokenSource};
use crate::verifier::{BadCookie, Rules, Verifier};

/// What a policy accepts, as data: for a tool that shows it or judges it. No secret is in it. From
/// [`Policy::describe`](crate::Policy::describe).
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct PolicyDescription {
    /// What metrics and logs call it, if it has a name.
    pub name: Option<String>,
    /// Whose tokens.
    pub issuers: Vec<IssuerDescription>,
    /// Where a token may be.
    pub sources: Vec<String>,
    /// Whether one of these is a cookie.
    pub has_cookie: bool,
    /// Origins besides the service's own whose pages may use the cookie.
    pub allowed_origins: Vec<String>,
    /// What a bad token in a cookie does where a request without a token would pass.
    pub bad_cookie: &'static str,
    /// Whether the token in a header counts where a cookie carries one too.
    pub prefer_header: bool,
    /// Whether a request without a token passes.
    pub anonymous: bool,
    /// The largest token, in bytes.
    pub token_limit: usize,
    /// The largest header of one, in bytes.
    pub header_limit: usize,
    /// How many bytes remembered tokens may take.
    pub token_cache: u64,
    /// Whether tokens with `jwk`, `jku`, `x5u` or `x5c` are refused.
    pub refuse_brought_keys: bool,
    /// What can be taken back.
    pub revocation: RevocationDescription,
    /// What is asked of tokens that are bound to a key, and of proofs of who has it. `None`: such tokens are refused.
    pub dpop: Option<DpopDescription>,
    /// What is asked of tokens that are bound to a certificate. `None`: such tokens are refused.
    pub mtls: Option<MtlsDescription>,
    /// How refusals look.
    pub presentation: PresentationDescription,
    /// What was weakened, by the names of [`dangerous`](crate::dangerous).
    pub dangerous: Vec<String>,
}

/// An issuer that a policy trusts, or a rule that makes issuers.
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct IssuerDescription {
    /// What stands in `iss`; of a rule its template.
    pub id: String,
    /// For a rule: how many issuers of it there are at a time.
    pub max_tenants: Option<usize>,
    /// What it may sign with.
    pub algorithms: Vec<&'static str>,
    /// Where its keys come from.
    pub keys: Vec<KeyOrigin>,
    /// Whether tokens without `kid` are refused.
    pub requires_key_id: bool,
    /// Whether `sub` and `jti` may be numbers.
    pub numeric_ids: bool,
    /// With how many keys, of those there are now, a token without `kid` would be tried at most.
    pub most_candidates: usize,
    /// What this service is called in `aud`.
    pub audiences: Vec<String>,
    /// The clients that count instead, of tokens without `aud`.
    pub client_ids_instead_of_audience: Vec<String>,
    /// The types of token.
    pub token_types: Vec<&'static str>,
    /// The claims that scopes are in.
    pub scope_claims: Vec<String>,
    /// How far clocks may differ, in seconds.
    pub leeway_s: u64,
    /// How long a token may live, in seconds. `None`: for ever.
    pub max_lifetime_s: Option<u64>,
    /// How old a token may be, in seconds.
    pub max_age_s: Option<u64>,
    /// What else is asked of claims, in words.
    pub claim_rules: Vec<String>,
}

/// Where keys come from.
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct KeyOrigin {
    /// The address, or what the source says of itself (see
    /// [`KeySource::describe`](crate::KeySource::describe)).
    pub from: String,
    /// Whether they are fetched.
    pub is_remote: bool,
    /// Of keys that are fetched: whether the metadata of issuers that a rule lets in may name any host for them.
    pub any_origin: bool,
    /// Of keys that are fetched: how long a set counts at most before it is fetched anew, in seconds.
    pub max_fresh_s: Option<u64>,
    /// Of keys that are fetched: how long they serve at most while none can be fetched, in seconds.
    pub max_stale_s: Option<u64>,
    /// How many public keys there are now.
    pub public_keys: usize,
    /// How many shared secrets there are now.
    pub secrets: usize,
}

/// What can be taken back.
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct RevocationDescription {
    /// Who is asked, by type.
    pub sources: Vec<String>,
    /// The kinds of revocation that are enforced for all issuers but those that are named.
    pub kinds: Vec<&'static str>,
    /// What is different for issuers that are named, in the order of their names.
    pub issuers: Vec<IssuerRevocations>,
}

/// What can be taken back of one issuer.
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct IssuerRevocations {
    /// Its identifier.
    pub issuer: String,
    /// The kinds of revocation that are enforced for it.
    pub kinds: Vec<&'static str>,
    /// Clients whose tokens need neither a session nor a version.
    pub service_clients: Vec<String>,
}

/// What is asked of proofs of who has the key that a token is bound to (RFC 9449).
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct DpopDescription {
    /// Whether tokens that are bound to no key are refused.
    pub required: bool,
    /// The addresses that proofs are for, as they are compared: each with the path of the request behind it.
    pub base_urls: Vec<String>,
    /// The algorithms of proofs.
    pub algorithms: Vec<&'static str>,
    /// How old a proof may be, in seconds. Where nonces are asked for, they count in its place.
    pub past_s: u64,
    /// How far ahead its client's clock may be, in seconds.
    pub future_s: u64,
    /// Whether a proof has to have a nonce that the service gave out.
    pub nonces: bool,
    /// Where used proofs are remembered, by type.
    pub replays: String,
    /// Whether instances of the service share what they remember of used proofs.
    pub is_shared: bool,
}

/// What is asked of the certificate that a token is bound to (RFC 8705).
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct MtlsDescription {
    /// Whether tokens that are bound to no certificate are refused.
    pub required: bool,
    /// The header in which a proxy says which certificate it was. `None`: the service's own TLS says it.
    pub header: Option<String>,
    /// How that header is written: `client_cert`, `xfcc`, `escaped_pem`, `escaped_pem_chain`, `base64_der` or `hex_sha256`.
    pub form: Option<&'static str>,
    /// Addresses and ranges of the proxies whose header counts.
    pub trusted_proxies: Vec<String>,
    /// Whether the header counts as well where it came over a Unix domain socket.
    pub trusted_unix_socket: bool,
}

/// How refusals look.
#[non_exhaustive]
#[derive(Clone, Debug, Serialize)]
pub struct PresentationDescription {
    /// The realm.
    pub realm: Option<String>,
    /// The URL of the metadata (RFC 9728).
    pub resource_metadata: Option<String>,
    /// Whether clients are told more than a code.
    pub details: bool,
}

impl PolicyDescription {
    pub(super) fn of(verifier: &Verifier, anonymous: bool) -> Self {
        let rules = &*verifier.rules;
        let mut dangerous = Vec::new();
        let issuers = IssuerDescription::all(rules, &mut dangerous);
        dangerous.extend(rules.sources.iter().filter_map(weakness));
        #[cfg(feature = "status-list")]
        dangerous.extend(rules.plain_status_hosts.iter().map(|host| format!("allow_http({host})")));
        if rules.revocations.unknown.is_accepted {
            dangerous.push("accept_unknown_revocation".to_owned());
        }
        Self {
            name: rules.terms.name.as_deref().map(str::to_owned),
            issuers,
            sources: rules.sources.iter().map(place).collect(),
            has_cookie: rules.sources.iter().any(|one| matches!(one.0, Kind::Cookie { .. })),
            allowed_origins: rules.origins.0.iter().map(ToString::to_string).collect(),
            bad_cookie: match rules.bad_cookie {
                BadCookie::Reject => "reject",
                BadCookie::RejectAndClear => "reject-and-clear",
                BadCookie::Anonymous => "anonymous",
            },
            prefer_header: rules.precedence == Precedence::Header,
            anonymous,
            token_limit: rules.limits.token,
            header_limit: rules.limits.header,
            token_cache: verifier.cache.stats().capacity,
            refuse_brought_keys: rules.refuses_brought_keys,
            revocation: RevocationDescription::of(rules),
            dpop: rules.dpop.as_deref().map(DpopDescription::of),
            mtls: rules.mtls.as_deref().map(MtlsDescription::of),
            presentation: PresentationDescription::of(rules),
            dangerous,
        }
    }
}

impl RevocationDescription {
    fn of(rules: &Rules) -> Self {
        let enforced = &rules.revocations.enforced;
        let is_enforced =
            |kind: &Revocable| enforced.iter().any(|one| one.kinds().any(|own| own == *kind));
        let of_issuers = enforced.iter().flat_map(|one| one.of_issuers());
        let mut issuers: Vec<_> = of_issuers
            .map(|(issuer, kinds, clients)| IssuerRevocations {
                issuer: issuer.to_owned(),
                kinds: kinds.into_iter().map(Revocable::name).collect(),
                service_clients: clients.iter().map(ToString::to_string).collect(),
            })
            .collect();
        issuers.sort_by(|one, other| one.issuer.cmp(&other.issuer));
        Self {
            sources: rules.revocations.all.iter().map(|source| type_of(source)).collect(),
            kinds: Revocable::ALL
                .iter()
                .copied()
                .filter(is_enforced)
                .map(Revocable::name)
                .collect(),
            issuers,
        }
    }
}

impl DpopDescription {
    fn of(rules: &DpopRules) -> Self {
        let (past, future) = rules.window();
        Self {
            required: rules.is_required,
            base_urls: rules.base_urls(),
            algorithms: rules.algorithms.iter().map(|one| one.name()).collect(),
            past_s: past.as_secs(),
            future_s: future.as_secs(),
            nonces: rules.nonces.is_some(),
            replays: type_of(&rules.replays()),
            is_shared: rules.replays().is_shared(),
        }
    }
}

impl MtlsDescription {
    fn of(rules: &MtlsRules) -> Self {
        let of_tls = Self {
            required: rules.is_required,
            header: None,
            form: None,
            trusted_proxies: Vec::new(),
            trusted_unix_socket: false,
        };
        match rules.named_source() {
            NamedSource::Tls => of_tls,
            NamedSource::Header { name, form, proxies, has_unix_socket } => Self {
                header: Some(name.to_owned()),
                form: Some(form.name()),
                trusted_proxies: proxies,
                trusted_unix_socket: has_unix_socket,
                ..of_tls
            },
        }
    }
}

impl PresentationDescription {
    fn of(rules: &Rules) -> Self {
        let presentation = rules.terms.presentation.settings();
        Self {
            realm: presentation.realm.get().cloned(),
            resource_metadata: presentation.resource_metadata.get().cloned(),
            details: !presentation.without_details,
        }
    }
}

impl IssuerDescription {
    /// Those that are named, and the rules that make issuers.
    fn all(rules: &Rules, dangerous: &mut Vec<String>) -> Vec<Self> {
        let named = rules.issuers.named().iter();
        #[cfg_attr(not(feature = "remote-jwks"), expect(unused_mut, reason = "no rules then"))]
        let mut all: Vec<_> = named.map(|issuer| Self::of(issuer, dangerous)).collect();
        #[cfg(feature = "remote-jwks")]
        all.extend(rules.issuers.tenants().iter().map(|rule| Self::of_tenants(rule, dangerous)));
        all
    }

    #[cfg(feature = "remote-jwks")]
    fn of_tenants(tenants: &Tenants, dangerous: &mut Vec<String>) -> Self {
        let mut issuer = Self::of(tenants.terms(), dangerous);
        issuer.id = tenants.name().to_owned();
        issuer.max_tenants = Some(tenants.most());
        for plan in tenants.plans() {
            let (address, hosts) = plan.place_and_plain_hosts();
            dangerous.extend(hosts.iter().map(|host| format!("allow_http({host})")));
            let any_origin = address.is_none() && plan.takes_any_origin();
            let from = address.unwrap_or_else(|| {
                let origin = if any_origin { ", at any origin" } else { "" };
                format!("the metadata of each issuer{origin}")
            });
            let origin = KeyOrigin::remote(from, plan.bounds(), 0);
            issuer.keys.push(KeyOrigin { any_origin, ..origin });
        }
        issuer
    }

    fn of(issuer: &TrustedIssuer, dangerous: &mut Vec<String>) -> Self {
        let TrustedIssuer { rules, algorithms, .. } = issuer;
        let IssuerRules { id, audience, types, terms, claims: rules, .. } = rules;
        let texts = |names: &[Box<str>]| names.iter().map(ToString::to_string).collect();
        let (audiences, clients) = match audience {
            AudienceRule::Audiences(names) => (texts(names), Vec::new()),
            AudienceRule::ClientIds(names) => (Vec::new(), texts(names)),
        };
        match rules.max_lifetime {
            None => dangerous.push(format!("unlimited_lifetime ({id})")),
            Some(limit) if limit > LONGEST_LIFETIME => {
                dangerous.push(format!("long_lifetime ({id})"));
            }
            Some(_) => {}
        }
        let predicates = rules.predicate_names().map(str::to_owned);
        Self {
            id: id.to_string(),
            max_tenants: None,
            algorithms: algorithms.iter().map(|algorithm| algorithm.name()).collect(),
            keys: origins(issuer, dangerous),
            requires_key_id: issuer.requires_key_id,
            numeric_ids: issuer.rules.numeric_ids,
            most_candidates: algorithms
                .iter()
                .map(|one| {
                    issuer.keys.iter().map(|source| source.keys().most_matches(*one, false)).sum()
                })
                .max()
                .unwrap_or(0),
            audiences,
            client_ids_instead_of_audience: clients,
            token_types: types
                .iter()
                .map(|accepted| match accepted {
                    TokenType::Jwt => "jwt",
                    TokenType::AccessToken => "at+jwt",
                })
                .collect(),
            scope_claims: texts(&terms.scope_claims),
            leeway_s: rules.leeway.as_secs(),
            max_lifetime_s: rules.max_lifetime.map(|limit| limit.as_secs()),
            max_age_s: rules.max_age.map(|limit| limit.as_secs()),
            claim_rules: rules.values().chain(predicates).collect(),
        }
    }
}

#[cfg_attr(
    not(feature = "remote-jwks"),
    expect(unused_variables, clippy::ptr_arg, reason = "of remote keys")
)]
fn origins(issuer: &TrustedIssuer, dangerous: &mut Vec<String>) -> Vec<KeyOrigin> {
    let origins = issuer.keys.iter().map(|source| {
        let keys = source.keys();
        let public_keys = count(&keys, |algorithm| algorithm.family() != Family::Hmac);
        #[cfg(feature = "remote-jwks")]
        if let Some(remote) = (&**source as &dyn Any).downcast_ref::<RemoteJwks>() {
            let hosts = remote.plain_hosts().iter();
            dangerous.extend(hosts.map(|host| format!("allow_http({host})")));
            return KeyOrigin::remote(remote.describe(), remote.bounds(), public_keys);
        }
        KeyOrigin {
            from: source.describe().chars().take(MAX_NAME).collect(),
            is_remote: false,
            any_origin: false,
            max_fresh_s: None,
            max_stale_s: None,
            public_keys,
            secrets: count(&keys, |algorithm| algorithm.family() == Family::Hmac),
        }
    });
    origins.collect()
}

/// The most characters of what a source says of itself: more is not a name.
const MAX_NAME: usize = 160;

#[cfg(feature = "remote-jwks")]
impl KeyOrigin {
    fn remote(from: String, (fresh, stale): (Duration, Duration), public_keys: usize) -> Self {
        let (max_fresh_s, max_stale_s) = (Some(fresh.as_secs()), Some(stale.as_secs()));
        Self {
            from,
            is_remote: true,
            any_origin: false,
            max_fresh_s,
            max_stale_s,
            public_keys,
            secrets: 0,
        }
    }
}

/// How many keys there are, where one may serve several algorithms under one id or none.
fn count(keys: &KeySet, is_counted: impl Fn(Algorithm) -> bool) -> usize {
    let mut count = 0;
    let counted = Algorithm::ALL.iter().copied().filter(|algorithm| is_counted(*algorithm));
    // Whether two serve the same algorithms is told by their type, of EC by the curve, and of ML-DSA by the parameter set.
    let group = |algorithm: Algorithm| match algorithm.family() {
        Family::Ec | Family::MlDsa => algorithm.name(),
        _ => kind(algorithm),
    };
    let mut groups: Vec<_> = counted.map(group).collect();
    groups.dedup();
    for name in groups {
        let of_group = || keys.iter().filter(|key| group(key.algorithm()) == name);
        let ids: BTreeSet<_> = of_group().filter_map(|key| key.id()).collect();
        let without_id = |algorithm| {
            of_group().filter(|key| key.id().is_none() && key.algorithm() == algorithm).count()
        };
        count += ids.len() + Algorithm::ALL.iter().copied().map(without_id).max().unwrap_or(0);
    }
    count
}

/// The name in [`dangerous`](crate::dangerous) of a source that stands there.
fn weakness(source: &TokenSource) -> Option<String> {
    match &source.0 {
        Kind::Query { name } => Some(format!("query({name})")),
        Kind::Cookie { cookie, .. } if !cookie.is_host_only() => {
            Some(format!("cookie({})", cookie.name()))
        }
        Kind::Bearer
        | Kind::Header { .. }
        | Kind::Cookie { .. }
        | Kind::WebSocketProtocol { .. } => None,
    }
}

fn place(source: &TokenSource) -> String {
    match &source.0 {
        Kind::Bearer => "header `Authorization: Bearer`".to_owned(),
        Kind::Header { name, prefix } if prefix.is_empty() => format!("header `{name}`"),
        Kind::Header { name, prefix } => format!("header `{name}` after {prefix:?}"),
        Kind::Cookie { cookie, .. } => format!("cookie `{}`", cookie.name()),
        Kind::WebSocketProtocol { marker } => format!("WebSocket subprotocol after `{marker}`"),
        Kind::Query { name } => format!("query parameter `{name}`"),
    }
}
