//! Identity providers: what their access tokens look like, as an [`Issuer`] (feature `remote-jwks`).
//!
#![doc = include_str!("table.md")]
//!
//! A preset says nothing that you could not say with [`Issuer::new`]: which issuer, where its keys are, how it
//! signs, and what tells its access tokens from its ID tokens. Whom tokens are for is yours to say:
//!
//! ```
//! use portcullis::{Policy, Revocable, Revocations, provider};
//!
//! let id = provider::entra("72f988bf-86f1-41af-91ab-2d7cd011db47")?;
//! let revocations = Revocations::in_memory();
//! let enforced = revocations
//!     .enforce([Revocable::Token])
//!     .token_id_claims(id.token_id_claims());
//! let policy = Policy::builder()
//!     .issuer(id.audience("f1bd1a37-b8d0-40ea-8dea-0bb6a25b53f2"))
//!     .revocations(enforced)
//!     .build()?;
//! # let _ = policy;
//!
//! let wrong =
//!     provider::keycloak("https://id.example/", "orders").unwrap_err();
//! assert!(
//!     wrong
//!         .to_string()
//!         .starts_with("keycloak: `server` must be the server's URL")
//! );
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! What a route asks for, it finds with the paths of this module; scopes need none:
//!
//! ```
//! use portcullis::{Requirement, provider};
//!
//! let approve = Requirement::scope("orders:write")
//!     .and(Requirement::role(provider::KEYCLOAK_REALM_ROLES, "accountant"));
//! assert_eq!(approve.fault(), None);
//! ```
//!
//! Providers change, and most can be configured to do something else. A token that does not look as documented is
//! refused, never accepted: compare with one of yours. What a preset gets wrong for you, say by hand.
//!
//! No preset bounds lifetimes: [`max_lifetime`](crate::PolicyBuilder::max_lifetime) of the policy does, 24 h if it is not
//! called.
mod input;
mod presets;

use core::fmt;

pub use self::input::ProviderError;
pub use self::presets::{
    AUTH0_PERMISSIONS, COGNITO_GROUPS, ENTRA_GROUPS, ENTRA_ROLES, KEYCLOAK_REALM_ROLES, auth0,
    authentik, cognito, cognito_updated, entra, entra_any_tenant, firebase, google_iap,
    google_service_accounts, kanidm, keycloak, keycloak_client_roles, okta, ory, supabase, zitadel,
    zitadel_roles,
};
use crate::claims::{ClaimRules, TokenType};
use crate::keys::remote::RemoteJwks;
use crate::policy::{Issuer, Keys, WantsAlgorithms, WantsAudience};
use crate::setting::Words;
use crate::signature::Algorithm;

/// An identity provider by a preset of [this module](self), on its way to an [`Issuer`].
///
/// ```compile_fail
/// # use portcullis::{Policy, provider};
/// // Whose audience?
/// let auth0 = provider::auth0("acme.eu.auth0.com").unwrap();
/// let policy = Policy::builder().issuer(auth0);
/// ```
#[must_use]
pub struct Provider<Audience = ByAudience> {
    habits: Habits,
    issuer: Issuer<WantsAlgorithms>,
    algorithms: Vec<Algorithm>,
    keys: Keys,
    types: Vec<TokenType>,
    rules: ClaimRules,
    audience: Audience,
    words: Words,
}

/// State of a [`Provider`]: its access tokens name this service in `aud`.
#[derive(Debug)]
pub struct ByAudience(());

/// State of a [`Provider`]: its access tokens have no `aud`, unless the client asked for one.
#[derive(Debug)]
pub struct ByClient(());

/// State of a [`Provider`] whose tokens have an `aud` that is known.
#[derive(Debug)]
pub struct Known(String);

/// Where a provider's access tokens say something.
#[derive(Clone, Copy, Debug, Default)]
struct Habits {
    token_ids: &'static [&'static str],
    sessions: &'static [&'static str],
    clients: &'static [&'static str],
}

impl<Audience> Provider<Audience> {
    fn new(issuer: Issuer<WantsAlgorithms>, algorithms: &[Algorithm], audience: Audience) -> Self {
        Self {
            habits: Habits::default(),
            issuer,
            algorithms: algorithms.to_vec(),
            keys: RemoteJwks::discovery().into(),
            types: vec![TokenType::Jwt, TokenType::AccessToken],
            rules: ClaimRules::new(),
            audience,
            words: Words::default(),
        }
    }

    fn habits(mut self, habits: Habits) -> Self {
        self.habits = habits;
        self
    }

    fn rules(mut self, rules: ClaimRules) -> Self {
        self.rules = rules;
        self
    }

    /// Elsewhere than discovery says.
    fn published_at(mut self, keys: impl Into<Keys>) -> Self {
        self.keys = keys.into();
        self
    }

    fn types(mut self, types: &[TokenType]) -> Self {
        self.types = types.to_vec();
        self
    }

    /// Other keys: a [`KeySet`](crate::KeySet) in a test, or discovery with settings or a client of your own.
    ///
    /// If you do not call it: those that the provider publishes, as the preset says.
    pub fn keys(mut self, keys: impl Into<Keys>) -> Self {
        self.words.say_anew("keys");
        self.keys = keys.into();
        self
    }

    /// Other algorithms, for a provider that was configured to sign with them.
    ///
    /// If you do not call it: those that the preset lists, which are the provider's default.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let algorithms = algorithms.into_iter().collect::<Vec<_>>();
        self.words.say("algorithms", &mut self.algorithms, algorithms);
        self
    }

    /// The claims that hold the id of a token, for
    /// [`EnforcedRevocations::token_id_claims`](crate::revocation::EnforcedRevocations::token_id_claims). With none, tokens
    /// cannot be revoked one by one, and a policy that enforces it does not build.
    pub fn token_id_claims(&self) -> impl Iterator<Item = &'static str> + use<Audience> {
        self.habits.token_ids.iter().copied()
    }

    /// The claims that hold the id of a session, for
    /// [`EnforcedRevocations::session_claims`](crate::revocation::EnforcedRevocations::session_claims), likewise.
    pub fn session_claims(&self) -> impl Iterator<Item = &'static str> + use<Audience> {
        self.habits.sessions.iter().copied()
    }

    /// The claims that hold the id of the client that asked for a token, for
    /// [`EnforcedRevocations::client_claims`](crate::revocation::EnforcedRevocations::client_claims), likewise.
    pub fn client_claims(&self) -> impl Iterator<Item = &'static str> + use<Audience> {
        self.habits.clients.iter().copied()
    }

    fn finish(self, named: impl FnOnce(Issuer<WantsAudience>) -> Issuer) -> Issuer {
        named(self.issuer.algorithms(self.algorithms).keys(self.keys))
            .token_types(self.types)
            .claims(self.rules)
            .said_by(self.words)
    }
}

impl Provider<ByAudience> {
    /// What this service is called in `aud`: see the preset.
    pub fn audience(self, audience: impl Into<String>) -> Issuer {
        self.finish(|issuer| issuer.audience(audience))
    }

    /// What this service is called in `aud`: a token has to have at least one of these.
    pub fn audiences<A: Into<String>>(self, audiences: impl IntoIterator<Item = A>) -> Issuer {
        self.finish(|issuer| issuer.audiences(audiences))
    }
}

impl Provider<ByClient> {
    /// The clients that talk to this service, of which a token has to name one in `client_id`; one with an
    /// `aud` is refused. See [`Issuer::client_ids_instead_of_audience`].
    pub fn client_ids_instead_of_audience<A: Into<String>>(
        self,
        clients: impl IntoIterator<Item = A>,
    ) -> Issuer {
        self.finish(|issuer| issuer.client_ids_instead_of_audience(clients))
    }

    /// What this service is called in `aud`, where its clients ask for that: see the preset.
    pub fn audience(self, audience: impl Into<String>) -> Issuer {
        self.finish(|issuer| issuer.audience(audience))
    }
}

impl Provider<Known> {
    /// The issuer, with the audience that all its tokens have.
    pub fn issuer(mut self) -> Issuer {
        let audience = core::mem::take(&mut self.audience.0);
        self.finish(|issuer| issuer.audience(audience))
    }
}

impl<Audience> fmt::Debug for Provider<Audience> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("issuer", &self.issuer)
            .field("algorithms", &self.algorithms)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
