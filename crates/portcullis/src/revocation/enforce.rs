//! What a policy asks of a list.
use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::sync::Arc;

use super::list::RevocationList;
use super::source::{RevocationSource, RevocationStatus};
use super::what::Revocable;
use crate::claims::{Claim, ClaimsError, CompiledRules};
use crate::error::Error;
use crate::keys::KeyError;
use crate::setting::Words;
use crate::token::Json;
use crate::verified::VerifiedToken;

/// Which kinds of revocation a policy enforces, and in which claims it finds what they go by. Made by
/// [`Revocations::enforce`](super::Revocations::enforce).
///
/// A token that lacks what an enforced kind goes by could not be taken back, and is refused: a token
/// id, a `sid`, a version. All kinds need `iat`, since an entry is kept for as long as a token may live
/// from there.
#[derive(Clone)]
#[must_use]
pub struct EnforcedRevocations {
    list: RevocationList,
    kinds: Vec<Revocable>,
    token_id_claims: Vec<String>,
    session_claims: Vec<String>,
    version_claims: Vec<String>,
    client_claims: Vec<String>,
    words: Words,
}

impl EnforcedRevocations {
    pub(super) fn new(list: RevocationList, kinds: impl IntoIterator<Item = Revocable>) -> Self {
        let mut own = Vec::new();
        for kind in kinds {
            if !own.contains(&kind) {
                own.push(kind);
            }
        }
        let claim = |name: &str| vec![name.to_owned()];
        Self {
            list,
            kinds: own,
            token_id_claims: claim("jti"),
            session_claims: claim("sid"),
            version_claims: Vec::new(),
            client_claims: claim("client_id"),
            words: Words::default(),
        }
    }

    /// Claims that hold the id of a token. A token needs one of them, and is refused if any is revoked:
    /// so one policy serves issuers with different habits.
    ///
    /// Not called: `jti` (RFC 7519 §4.1.7). Entra ID: `uti`.
    pub fn token_id_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect::<Vec<_>>();
        self.words.say("token_id_claims", &mut self.token_id_claims, names);
        self
    }

    /// Claims that hold the id of a session. As with [token ids](Self::token_id_claims).
    ///
    /// Not called: `sid` (OpenID Connect Front-Channel Logout 1.0 §3).
    pub fn session_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect::<Vec<_>>();
        self.words.say("session_claims", &mut self.session_claims, names);
        self
    }

    /// Claims that hold the version of a subject: an integer that is not negative.
    ///
    /// Not called: none, and no policy that enforces [`Revocable::Version`] builds: there is no standard
    /// name. Entra's `ver` is the version of a token's format, and of no use here.
    pub fn version_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect::<Vec<_>>();
        self.words.say("version_claims", &mut self.version_claims, names);
        self
    }

    /// Claims that hold the id of the client that asked for the token. As with
    /// [token ids](Self::token_id_claims).
    ///
    /// Not called: `client_id` (RFC 8693 §4.3). Keycloak and Auth0: `azp`; Okta: `cid`; Entra ID: `azp`
    /// or `appid`.
    pub fn client_claims<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let names = names.into_iter().map(Into::into).collect::<Vec<_>>();
        self.words.say("client_claims", &mut self.client_claims, names);
        self
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
    pub(crate) fn check_keys(&self, has_secret_without_id: bool) -> Result<(), Misfit> {
        let is_enforced = self.kinds.contains(&Revocable::Key);
        if is_enforced && has_secret_without_id { Err(Misfit::NamelessSecret) } else { Ok(()) }
    }

    /// Whether it can be asked at all.
    pub(crate) fn check(&self) -> Result<(), Misfit> {
        if self.kinds.is_empty() {
            return Err(Misfit::NoKind);
        }
        if let Some(setting) = self.words.contradicted().next() {
            return Err(Misfit::SaidTwice { setting });
        }
        let named = [Revocable::Token, Revocable::Session, Revocable::Version, Revocable::Client];
        let is_nameless = |kind: &Revocable| {
            let claims = self.claims_of(*kind);
            self.kinds.contains(kind) && (claims.is_empty() || claims.iter().any(String::is_empty))
        };
        match named.into_iter().find(is_nameless) {
            Some(kind) => Err(Misfit::NoClaim { kind }),
            None => Ok(()),
        }
    }

    /// Whether entries outlive the tokens that pass these rules.
    pub(crate) fn check_rules(&self, rules: &CompiledRules) -> Result<(), Misfit> {
        let bounds = self.list.bounds();
        match (rules.max_lifetime, bounds.max_lifetime) {
            (_, None) => {
                let needs_one =
                    |kind: &&Revocable| !matches!(kind, Revocable::Token | Revocable::Key);
                if let Some(kind) = self.kinds.iter().find(needs_one) {
                    return Err(Misfit::NoLifetime { kind: *kind });
                }
            }
            (None, Some(longest)) => return Err(Misfit::Lifetime { lifetime: None, longest }),
            (Some(lifetime), Some(longest)) if lifetime > longest => {
                return Err(Misfit::Lifetime { lifetime: Some(lifetime), longest });
            }
            (Some(_), Some(_)) => {}
        }
        if rules.leeway > bounds.leeway {
            return Err(Misfit::Leeway { leeway: rules.leeway, most: bounds.leeway });
        }
        Ok(())
    }

    pub(crate) fn compile(self) -> Enforced {
        let checks = self.kinds.iter().map(|kind| Check {
            kind: *kind,
            claims: self.claims_of(*kind).iter().map(|claim| claim.as_str().into()).collect(),
        });
        let checks = checks.collect();
        let needs_issued_at = self.list.bounds().max_lifetime.is_some();
        Enforced { checks, needs_issued_at, list: self.list }
    }
}

impl fmt::Debug for EnforcedRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnforcedRevocations").field("kinds", &self.kinds).finish_non_exhaustive()
    }
}

/// Why a policy cannot enforce revocations as it is told to.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Misfit {
    /// No kind is enforced.
    NoKind,
    /// No claim is named for a kind that needs one, or an empty one.
    NoClaim {
        /// The kind.
        kind: Revocable,
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

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKind => f.write_str("no kind of revocation is enforced: name at least one"),
            Self::NoClaim { kind } => write!(
                f,
                "revocations of kind `{kind}` need the name of the claim that they go by: `{kind}_claims`",
                kind = match kind {
                    Revocable::Token => "token_id",
                    kind => kind.name(),
                }
            ),
            Self::Lifetime { lifetime: Some(lifetime), longest } => write!(
                f,
                "tokens may live {} s, and revocations are kept for tokens of {} s: shorten the one or lengthen the other (`max_lifetime`)",
                lifetime.as_secs(),
                longest.as_secs()
            ),
            Self::Lifetime { lifetime: None, longest } => write!(
                f,
                "tokens may live for ever, and revocations are kept for tokens of {} s: set `max_lifetime`",
                longest.as_secs()
            ),
            Self::Leeway { leeway, most } => write!(
                f,
                "a leeway of {} s, and revocations are kept for one of {} s: set the same",
                leeway.as_secs(),
                most.as_secs()
            ),
            Self::SaidTwice { setting } => {
                write!(f, "`{setting}` is said twice, and not alike: leave one out")
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

/// [`EnforcedRevocations`] as the pipeline asks them.
#[derive(Clone)]
pub(crate) struct Enforced {
    list: RevocationList,
    checks: Vec<Check>,
    needs_issued_at: bool,
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
        ClaimsError::Rule(Claim::Required(name)).into()
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
    #[cfg(feature = "explain")]
    pub(crate) fn has(&self, kind: Revocable) -> bool {
        self.checks.iter().any(|check| check.kind == kind)
    }

    /// Whether what this list has of the kind is refused.
    pub(crate) fn enforces(&self, kind: Revocable, list: &RevocationList) -> bool {
        self.list.is_same_as(list) && self.checks.iter().any(|check| check.kind == kind)
    }

    #[cfg(feature = "metrics")]
    pub(crate) fn stats(&self) -> super::RevocationStats {
        self.list.stats()
    }

    /// Whether a token that has just verified can be taken back at all.
    pub(crate) fn check_needs(&self, token: &VerifiedToken) -> Result<(), Error> {
        if self.needs_issued_at && token.issued_at().is_none() {
            return Err(ClaimsError::Missing { claim: "iat" }.into());
        }
        self.checks.iter().try_for_each(|check| check.check(token))
    }
}

impl RevocationSource for Enforced {
    fn generation(&self) -> Option<u64> {
        self.list.generation()
    }

    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        // What is known counts, fresh or not.
        let is_old = self
            .list
            .refuses_issued_before()
            .is_some_and(|start| token.issued_at().is_none_or(|issued| issued < start));
        let is_revoked =
            |check: &Check| check.takes_back(&self.list, token).is_none_or(|revoked| revoked);
        if is_old || self.checks.iter().any(is_revoked) {
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
