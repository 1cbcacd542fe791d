//! What a policy asks of a list.
use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::kind::Revocable;
use super::list::RevocationList;
use super::source::{RevocationSource, RevocationStatus};
use crate::claims::CompiledRules;
use crate::error::{ClaimName, ClaimsError, Error};
use crate::json::Json;
use crate::keys::KeyError;
use crate::setting::{Setting, Voice, Words};
use crate::verified::VerifiedToken;

/// Which kinds of revocation a policy enforces, and in which claims it finds what they go by. Made by
/// [`Revocations::enforce`](super::Revocations::enforce).
///
/// A token that lacks what an enforced kind goes by could not be taken back, and is refused: a token
/// id, a `sid`, a version. All kinds need `iat`, since an entry is kept for as long as a token may live
/// from there.
///
/// Users log in and services do not, so that kinds can differ: by [issuer](Self::for_issuer), and for
/// [services](Self::service_clients) that share an issuer with users.
///
/// ```
/// use portcullis::{Policy, Revocable, Revocations};
/// use portcullis_testkit::TestIssuer;
///
/// let (users, machines) = (
///     TestIssuer::new("https://id.example"),
///     TestIssuer::new("https://machines.example"),
/// );
/// let revocations = Revocations::in_memory();
/// let enforced = revocations
///     .enforce([Revocable::Session, Revocable::Subject])
///     .for_issuer("https://machines.example", [Revocable::Client])
///     .service_clients("https://id.example", ["billing"]);
/// let policy = Policy::builder()
///     .issuer(users.trusted(&[portcullis::Algorithm::ES256]))
///     .issuer(machines.trusted(&[portcullis::Algorithm::ES256]))
///     .revocations(enforced)
///     .build()?;
///
/// let token = || users.token(portcullis::Algorithm::ES256).subject("it");
/// assert!(policy.verify_token_now(token().mint()).is_err());
/// assert!(policy.verify_token_now(token().claim("sid", "s").mint()).is_ok());
/// assert!(
///     policy
///         .verify_token_now(token().claim("client_id", "billing").mint())
///         .is_ok()
/// );
/// # Ok::<_, portcullis::BuildError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct EnforcedRevocations {
    list: RevocationList,
    kinds: Vec<Revocable>,
    of_issuers: Vec<OfIssuer>,
    token_id_claims: Vec<String>,
    session_claims: Vec<String>,
    version_claims: Vec<String>,
    client_claims: Vec<String>,
    words: Words,
}

/// What is different for one issuer.
#[derive(Clone)]
struct OfIssuer {
    id: String,
    /// Instead of the kinds of all.
    kinds: Setting<Vec<Revocable>>,
    service_clients: Vec<String>,
}

fn sorted(kinds: impl IntoIterator<Item = Revocable>) -> Vec<Revocable> {
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_unstable_by_key(|kind| kind.code());
    kinds.dedup();
    kinds
}

impl EnforcedRevocations {
    pub(super) fn new(list: RevocationList, kinds: impl IntoIterator<Item = Revocable>) -> Self {
        let claim = |name: &str| vec![name.to_owned()];
        Self {
            list,
            kinds: sorted(kinds),
            of_issuers: Vec::new(),
            token_id_claims: claim("jti"),
            session_claims: claim("sid"),
            version_claims: Vec::new(),
            client_claims: claim("client_id"),
            words: Words::default(),
        }
    }

    /// The kinds that are enforced for the tokens of this issuer, instead of those that
    /// [`enforce`](super::Revocations::enforce) lists for all: more, fewer, or none, so that nothing of it can be
    /// revoked here. An issuer of a [template](crate::Issuer::template) is named by its own identifier.
    ///
    /// Called for several issuers, all of it holds; two different words about one are a fault, and so is an issuer that
    /// the policy does not have. If you do not call it: the kinds of all.
    pub fn for_issuer(
        mut self,
        id: impl Into<String>,
        kinds: impl IntoIterator<Item = Revocable>,
    ) -> Self {
        self.of_issuer(id.into()).kinds.say(Voice::Plain, sorted(kinds));
        self
    }

    /// Clients of this issuer that are services, by the id in their tokens: nobody has logged in with them
    /// (RFC 6749 §4.4), so that their tokens need neither a session nor a version. What they do have of these is
    /// enforced, and so is every other kind. A client is found in the [`client_claims`](Self::client_claims);
    /// where a token names several, all have to be listed. A claim of a client, session or version that is there and
    /// cannot be read excuses nobody.
    ///
    /// List no client that users log in with: its tokens would pass without a session, and could not be revoked
    /// by one. Called again, all that all calls list. If you do not call it: each token needs what the enforced kinds go by.
    pub fn service_clients<C: Into<String>>(
        mut self,
        issuer: impl Into<String>,
        clients: impl IntoIterator<Item = C>,
    ) -> Self {
        let clients = clients.into_iter().map(Into::into);
        self.of_issuer(issuer.into()).service_clients.extend(clients);
        self
    }

    /// Claims that hold the id of a token. A token needs one of them, and is refused if any is revoked:
    /// so one policy serves issuers with different habits.
    ///
    /// If you do not call it: `jti` (RFC 7519 §4.1.7). Entra ID: `uti`.
    pub fn token_id_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect::<Vec<_>>();
        self.words.say("token_id_claims", &mut self.token_id_claims, names);
        self
    }

    /// Claims that hold the id of a session. As with [token ids](Self::token_id_claims).
    ///
    /// If you do not call it: `sid` (OpenID Connect Front-Channel Logout 1.0 §3).
    pub fn session_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect::<Vec<_>>();
        self.words.say("session_claims", &mut self.session_claims, names);
        self
    }

    /// Claims that hold the version of a subject: an integer that is not negative.
    ///
    /// If you do not call it: none, and no policy that enforces [`Revocable::Version`] builds: there is no standard
    /// name. Entra's `ver` is the version of a token's format, and of no use here.
    pub fn version_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect::<Vec<_>>();
        self.words.say("version_claims", &mut self.version_claims, names);
        self
    }

    /// Claims that hold the id of the client that asked for the token. As with
    /// [token ids](Self::token_id_claims).
    ///
    /// If you do not call it: `client_id` (RFC 8693 §4.3). Keycloak and Auth0: `azp`; Okta: `cid`; Entra ID: `azp`
    /// or `appid`.
    pub fn client_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect::<Vec<_>>();
        self.words.say("client_claims", &mut self.client_claims, names);
        self
    }

    fn of_issuer(&mut self, id: String) -> &mut OfIssuer {
        let at = self.of_issuers.iter().position(|own| own.id == id).unwrap_or_else(|| {
            let kinds = Setting::default();
            self.of_issuers.push(OfIssuer { id, kinds, service_clients: Vec::new() });
            self.of_issuers.len() - 1
        });
        &mut self.of_issuers[at]
    }

    /// The kinds that are enforced for some issuer.
    fn all_kinds(&self) -> impl Iterator<Item = Revocable> {
        let named = self.of_issuers.iter().filter_map(|own| own.kinds.get()).flatten();
        self.kinds.iter().chain(named).copied()
    }

    /// The kinds that may be enforced for tokens of a rule of the policy: of one issuer, or of each that it may be.
    fn kinds_of(&self, rule: &IssuerRule<'_>) -> Vec<Revocable> {
        let named = self.of_issuers.iter().filter(|own| (rule.may_be)(&own.id));
        let named: Vec<_> = named.filter_map(|own| Some((&own.id, own.kinds.get()?))).collect();
        match named.iter().find(|(id, _)| *id == rule.name) {
            Some((_, kinds)) => (*kinds).clone(),
            None => {
                let named = named.into_iter().flat_map(|(_, kinds)| kinds);
                sorted(self.kinds.iter().chain(named).copied())
            }
        }
    }

    /// The issuers that are named.
    pub(crate) fn issuers(&self) -> impl Iterator<Item = &str> {
        self.of_issuers.iter().map(|own| &*own.id)
    }

    fn claims_of(&self, kind: Revocable) -> &[String] {
        match kind {
            Revocable::Token => &self.token_id_claims,
            Revocable::Session => &self.session_claims,
            Revocable::Version => &self.version_claims,
            Revocable::Client => &self.client_claims,
            Revocable::Subject | Revocable::Issuer | Revocable::Key => &[],
        }
    }

    /// Whether an issuer's keys can be revoked, if they are to be.
    pub(crate) fn check_keys(&self, rule: &IssuerRule<'_>) -> Result<(), RevocationFault> {
        let is_enforced = self.kinds_of(rule).contains(&Revocable::Key);
        if is_enforced && rule.has_secret_without_id {
            Err(RevocationFault::NamelessSecret)
        } else {
            Ok(())
        }
    }

    /// Whether it can be asked at all.
    pub(crate) fn check(&self) -> Result<(), RevocationFault> {
        if let Some(setting) = self.words.contradicted().next() {
            return Err(RevocationFault::SaidTwice { setting });
        }
        if self.of_issuers.iter().any(|own| own.kinds.is_contradicted()) {
            return Err(RevocationFault::SaidTwice { setting: "for_issuer" });
        }
        if self.all_kinds().next().is_none() {
            return Err(RevocationFault::NoKind);
        }
        let mut services = self.of_issuers.iter().flat_map(|own| &own.service_clients).peekable();
        if services.peek().is_some() && self.client_claims.is_empty() {
            return Err(RevocationFault::NoClaim { kind: Revocable::Client });
        }
        if services.any(String::is_empty) {
            return Err(RevocationFault::NamelessClient);
        }
        let named = [Revocable::Token, Revocable::Session, Revocable::Version, Revocable::Client];
        let is_nameless = |kind: &Revocable| {
            let claims = self.claims_of(*kind);
            self.all_kinds().any(|own| own == *kind)
                && (claims.is_empty() || claims.iter().any(String::is_empty))
        };
        match named.into_iter().find(is_nameless) {
            Some(kind) => Err(RevocationFault::NoClaim { kind }),
            None => Ok(()),
        }
    }

    /// Whether entries outlive the tokens that pass these rules.
    pub(crate) fn check_rules(
        &self,
        rules: &CompiledRules,
        rule: &IssuerRule<'_>,
    ) -> Result<(), RevocationFault> {
        let kinds = self.kinds_of(rule);
        if kinds.is_empty() {
            return Ok(());
        }
        let bounds = self.list.bounds();
        match (rules.max_lifetime, bounds.max_lifetime) {
            (_, None) => {
                let needs_one =
                    |kind: &&Revocable| !matches!(kind, Revocable::Token | Revocable::Key);
                if let Some(kind) = kinds.iter().find(needs_one) {
                    return Err(RevocationFault::NoLifetime { kind: *kind });
                }
            }
            (None, Some(longest)) => {
                return Err(RevocationFault::Lifetime { lifetime: None, longest });
            }
            (Some(lifetime), Some(longest)) if lifetime > longest => {
                return Err(RevocationFault::Lifetime { lifetime: Some(lifetime), longest });
            }
            (Some(_), Some(_)) => {}
        }
        if rules.leeway > bounds.leeway {
            return Err(RevocationFault::Leeway { leeway: rules.leeway, most: bounds.leeway });
        }
        Ok(())
    }

    pub(crate) fn compile(self) -> Enforced {
        let check = |kind: &Revocable| Check {
            kind: *kind,
            claims: self.claims_of(*kind).iter().map(|claim| claim.as_str().into()).collect(),
        };
        let of_issuer = |own: &OfIssuer| {
            let kinds = own.kinds.get().unwrap_or(&self.kinds);
            let texts = own.service_clients.iter().map(|client| client.as_str().into());
            let checks = Checks {
                checks: kinds.iter().map(check).collect(),
                service_clients: texts.collect(),
            };
            (own.id.as_str().into(), checks)
        };
        let all =
            Checks { checks: self.kinds.iter().map(check).collect(), service_clients: Vec::new() };
        let of_issuers = self.of_issuers.iter().map(of_issuer).collect();
        let client = check(&Revocable::Client);
        let needs_issued_at = self.list.bounds().max_lifetime.is_some();
        Enforced { all, of_issuers: Arc::new(of_issuers), client, needs_issued_at, list: self.list }
    }
}

impl fmt::Debug for EnforcedRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnforcedRevocations").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

/// Of a rule of the policy, what a list has to fit to.
pub(crate) struct IssuerRule<'r> {
    /// Its issuer's identifier, if it is one.
    pub(crate) name: &'r str,
    /// Whether it may be this issuer.
    pub(crate) may_be: &'r dyn Fn(&str) -> bool,
    pub(crate) has_secret_without_id: bool,
}

/// Why a policy cannot enforce revocations as it is told to.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RevocationFault {
    /// No kind is enforced.
    NoKind,
    /// No claim is named for a kind that needs one, or an empty one.
    NoClaim {
        /// The kind.
        kind: Revocable,
    },
    /// A service's client has an empty name.
    NamelessClient,
    /// An issuer is named that the policy does not have.
    UnknownIssuer {
        /// The issuer.
        issuer: String,
    },
    /// The policy accepts tokens that live longer than entries are kept for.
    Lifetime {
        /// The policy's longest lifetime, or `None` where it has none.
        lifetime: Option<Duration>,
        /// The one of the revocations.
        longest: Duration,
    },
    /// Two different words about a setting of them: neither counts.
    SaidTwice {
        /// The setter.
        setting: &'static str,
    },
    /// The policy's leeway is larger than that of the revocations.
    Leeway {
        /// The policy's.
        leeway: Duration,
        /// That of the revocations.
        most: Duration,
    },
    /// Keys are revoked by id or thumbprint, and a secret without an id has neither.
    NamelessSecret,
    /// Without a longest lifetime, such an entry could never be dropped.
    NoLifetime {
        /// The kind.
        kind: Revocable,
    },
}

impl fmt::Display for RevocationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKind => f.write_str("no kind of revocation is enforced: name at least one"),
            Self::NoClaim { kind } => write!(
                f,
                "revocations of kind `{kind}` need the name of the claim to compare: set `{kind}_claims`",
                kind = match kind {
                    Revocable::Token => "token_id",
                    kind => kind.name(),
                }
            ),
            Self::NamelessClient => {
                f.write_str("`service_clients` lists clients by their id, and one is empty")
            }
            Self::UnknownIssuer { issuer } => write!(
                f,
                "the revocations name the issuer `{issuer}`, and the policy has no such issuer: write it as in `iss`, or leave it out"
            ),
            Self::Lifetime { lifetime: Some(lifetime), longest } => write!(
                f,
                "the policy lets tokens live {} s, and revocations are kept for tokens of {} s: set `max_lifetime` of both to the same",
                lifetime.as_secs(),
                longest.as_secs()
            ),
            Self::Lifetime { lifetime: None, longest } => write!(
                f,
                "the policy lets tokens live for ever, and revocations are kept for tokens of {} s: set `max_lifetime`",
                longest.as_secs()
            ),
            Self::Leeway { leeway, most } => write!(
                f,
                "the policy has a `leeway` of {} s, and revocations are kept for one of {} s: set the same in both",
                leeway.as_secs(),
                most.as_secs()
            ),
            Self::SaidTwice { setting } => {
                write!(f, "`{setting}` is set twice, to different values: leave one out")
            }
            Self::NamelessSecret => f.write_str(
                "revocations of kind `key` go by a key's id or thumbprint, and a shared secret has no thumbprint: give each secret an `id`",
            ),
            Self::NoLifetime { kind } => write!(
                f,
                "revocations of kind `{kind}` are kept by the longest lifetime of tokens: set `max_lifetime` for the revocations"
            ),
        }
    }
}

impl core::error::Error for RevocationFault {}

/// [`EnforcedRevocations`] as the pipeline asks them.
#[derive(Clone)]
pub(crate) struct Enforced {
    list: RevocationList,
    all: Checks,
    /// Instead, for these.
    of_issuers: Arc<HashMap<Box<str>, Checks>>,
    /// Where a token names its client.
    client: Check,
    needs_issued_at: bool,
}

/// What is asked of an issuer's tokens.
#[derive(Clone)]
struct Checks {
    checks: Vec<Check>,
    /// Tokens of these need neither session nor version.
    service_clients: Vec<Box<str>>,
}

impl Checks {
    fn has(&self, kind: Revocable) -> bool {
        self.checks.iter().any(|check| check.kind == kind)
    }
}

#[derive(Clone)]
struct Check {
    kind: Revocable,
    /// In which of its claims a token says what this goes by.
    claims: Vec<Arc<str>>,
}

impl Check {
    /// What the token says there, as far as it can be a name: an empty one cannot be revoked.
    fn texts<'t>(&self, token: &'t VerifiedToken) -> impl Iterator<Item = Cow<'t, str>> {
        let text = |claim: &Arc<str>| match &**claim {
            // As verification read them, which for some issuers takes numbers as well.
            "jti" => token.token_id().map(Cow::Borrowed),
            "client_id" => token.client_id().map(Cow::Borrowed),
            claim => token.claim(claim)?.string(),
        };
        let texts = self.claims.iter().filter_map(text);
        texts.filter(|text| !text.is_empty())
    }

    /// How many of its claims the token has, whatever they say.
    fn present(&self, token: &VerifiedToken) -> usize {
        self.claims.iter().filter(|claim| token.claim(claim).is_some()).count()
    }

    fn version(&self, token: &VerifiedToken) -> Option<u64> {
        let number = |claim: &Arc<str>| match token.claim(claim)?.scalar() {
            Json::Integer(number) => u64::try_from(number).ok(),
            _ => None,
        };
        // Of several, the lowest is the one that may be too low.
        self.claims.iter().filter_map(number).min()
    }

    fn lacks(&self) -> Error {
        let name = self.claims.first().map_or_else(|| "sub".into(), Arc::clone);
        ClaimsError::Rule(ClaimName::Required(name)).into()
    }

    /// Whether the token has what this goes by.
    fn check(&self, token: &VerifiedToken) -> Result<(), Error> {
        let has = match self.kind {
            Revocable::Token | Revocable::Session | Revocable::Client => {
                self.texts(token).next().is_some()
            }
            Revocable::Subject => subject(token).is_some(),
            Revocable::Version => subject(token).is_some() && self.version(token).is_some(),
            Revocable::Issuer => true,
            Revocable::Key => {
                let name = token.key().names().next();
                return name.map(drop).ok_or_else(|| KeyError::IdMissing.into());
            }
        };
        if has { Ok(()) } else { Err(self.lacks()) }
    }

    /// `None`: it has not what this goes by.
    fn takes_back(&self, list: &RevocationList, token: &VerifiedToken) -> Option<bool> {
        let (kind, issuer) = (self.kind, token.issuer());
        let issued = || u64::try_from(token.issued_at()?.0).ok();
        Some(match kind {
            Revocable::Token | Revocable::Session => {
                self.texts(token).any(|name| list.has(kind, issuer, &name, 0))
            }
            Revocable::Client => {
                let issued = issued()?;
                self.texts(token).any(|name| list.has(kind, issuer, &name, issued))
            }
            Revocable::Subject => list.has(kind, issuer, subject(token)?, issued()?),
            Revocable::Version => list.has(kind, issuer, subject(token)?, self.version(token)?),
            Revocable::Issuer => list.has(kind, issuer, issuer, issued()?),
            Revocable::Key => {
                let mut names = token.key().names().peekable();
                names.peek()?;
                names.any(|name| list.has(kind, issuer, name, 0))
            }
        })
    }
}

fn subject(token: &VerifiedToken) -> Option<&str> {
    token.subject().filter(|subject| !subject.is_empty())
}

impl Enforced {
    /// The kinds that are enforced for all issuers but those that are named.
    #[cfg(feature = "explain")]
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Revocable> {
        self.all.checks.iter().map(|check| check.kind)
    }

    /// What is different for issuers that are named: their kinds, and their services.
    #[cfg(feature = "explain")]
    pub(crate) fn of_issuers(&self) -> impl Iterator<Item = (&str, Vec<Revocable>, &[Box<str>])> {
        self.of_issuers.iter().map(|(id, own)| {
            let kinds = own.checks.iter().map(|check| check.kind).collect();
            (&**id, kinds, &*own.service_clients)
        })
    }

    /// Whether what this list has of the kind is refused: of this issuer, or of any.
    pub(crate) fn enforces(
        &self,
        kind: Revocable,
        list: &RevocationList,
        issuer: Option<&str>,
    ) -> bool {
        let of_issuer = |issuer| self.of_issuers.get(issuer).unwrap_or(&self.all).has(kind);
        let of_any = || self.all.has(kind) || self.of_issuers.values().any(|own| own.has(kind));
        self.list.is_same_as(list) && issuer.map_or_else(of_any, of_issuer)
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn stats(&self) -> super::RevocationStats {
        self.list.stats()
    }

    fn checks(&self, token: &VerifiedToken) -> &Checks {
        if self.of_issuers.is_empty() {
            return &self.all;
        }
        self.of_issuers.get(token.issuer()).unwrap_or(&self.all)
    }

    /// Whether a token may lack what a check goes by: a service's has nothing there, and not what cannot be read.
    fn excuses(&self, checks: &Checks, check: &Check, token: &VerifiedToken) -> bool {
        let services = &checks.service_clients;
        if services.is_empty() || !matches!(check.kind, Revocable::Session | Revocable::Version) {
            return false;
        }
        let is_service = |client: &str| services.iter().any(|own| **own == *client);
        let clients = || self.client.texts(token);
        clients().next().is_some()
            && clients().all(|client| is_service(&client))
            // One that cannot be read may be another.
            && clients().count() == self.client.present(token)
            && check.present(token) == 0
    }

    /// Whether a token that has just verified can be taken back at all.
    pub(crate) fn check_needs(&self, token: &VerifiedToken) -> Result<(), Error> {
        let checks = self.checks(token);
        if self.needs_issued_at && !checks.checks.is_empty() && token.issued_at().is_none() {
            return Err(ClaimsError::Missing { claim: "iat" }.into());
        }
        checks.checks.iter().try_for_each(|check| match check.check(token) {
            Err(_) if self.excuses(checks, check, token) => Ok(()),
            result => result,
        })
    }
}

impl RevocationSource for Enforced {
    fn generation(&self) -> Option<u64> {
        self.list.generation()
    }

    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        let checks = self.checks(token);
        // Of such an issuer nothing is revoked, so that there is nothing that the list could lack.
        if checks.checks.is_empty() {
            return RevocationStatus::Active;
        }
        // What is known counts, fresh or not.
        let is_old = self
            .list
            .refuses_issued_before()
            .is_some_and(|start| token.issued_at().is_none_or(|issued| issued < start));
        let is_revoked = |check: &Check| {
            let revoked = check.takes_back(&self.list, token);
            revoked.unwrap_or_else(|| !self.excuses(checks, check, token))
        };
        if is_old || checks.checks.iter().any(is_revoked) {
            return RevocationStatus::Revoked;
        }
        match self.list.check_fresh() {
            Ok(()) => RevocationStatus::Active,
            Err(unavailable) => RevocationStatus::Unavailable(unavailable),
        }
    }

    fn is_available(&self) -> bool {
        self.list.is_fresh()
    }
}

impl fmt::Debug for Enforced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Revocations").field(&self.list).finish()
    }
}
