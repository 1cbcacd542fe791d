//! Which tokens are let in.
mod admitted;
mod builder;
mod decide;
mod fault;
mod issuer;
#[cfg(feature = "metrics")]
mod metrics;
mod replaceable;
mod resource;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

pub use self::builder::PolicyBuilder;
pub(crate) use self::decide::ActivePolicy;
pub use self::fault::{BuildError, PolicyFault};
pub use self::issuer::{Complete, Issuer, Keys, WantsAlgorithms, WantsAudience, WantsKeys};
use self::replaceable::PolicySlot;
pub use self::replaceable::ReplaceablePolicy;
#[cfg(feature = "config")]
pub(crate) use self::replaceable::WeakReplaceablePolicy;
use crate::admission::{Admission, Rejection};
pub use crate::cache::TokenCacheStats;
use crate::claims;
use crate::error::Error;
use crate::request::RequestView;
use crate::revocation::{Revocable, Revocations};
use crate::time::UnixTime;
use crate::verified::VerifiedToken;
pub use crate::verifier::BadCookie;
use crate::verifier::{Rules, Verifier};
pub use crate::verify::VerifyFuture;
use crate::verify::{self, Incomplete, KeyLookup};

/// Which tokens are let in, and what those are told that are not. Cheap to clone, and the same for
/// every framework.
///
/// Made by [`Policy::builder`], or from a file by [`config`](crate::config) (feature `config`). It never
/// changes, unless it is that of a [`ReplaceablePolicy`], whose holder alone can replace it.
///
/// ```
/// use portcullis::{Algorithm, Issuer, KeySet, Policy};
/// use portcullis_testkit::TestIssuer; // stands in for an identity provider
///
/// let provider = TestIssuer::new("https://id.example");
/// let keys = KeySet::from_jwks(provider.jwks_of(&[Algorithm::ES256]))?;
/// let policy = Policy::builder()
///     .issuer(
///         Issuer::new("https://id.example")
///             .algorithms([Algorithm::ES256])
///             .keys(keys)
///             .audience("https://api.example"),
///     )
///     .build()?;
///
/// // A request, by whatever framework:
/// let token = provider.token(Algorithm::ES256).subject("alice");
/// let request = http::Request::get("/orders")
///     .header("authorization", format!("Bearer {}", token.mint()))
///     .body(())?;
/// let admission = policy.verify_now(&request).map_err(|it| it.into_error())?;
/// assert_eq!(admission.token().and_then(|it| it.subject()), Some("alice"));
///
/// // The text of a token, however it came:
/// let refused = policy.verify_token_now(token.expired().mint()).unwrap_err();
/// assert_eq!(refused.reason(), "expired");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Policy {
    source: PolicySource,
    anonymous: bool,
}

#[derive(Clone)]
enum PolicySource {
    Fixed(Arc<Verifier>),
    Replaceable(Arc<PolicySlot>),
}

/// A policy that nobody replaces.
#[derive(Clone)]
struct FixedPolicy {
    verifier: Arc<Verifier>,
    anonymous: bool,
}

impl Policy {
    /// Starts a policy. It needs at least one [`Issuer`]: whose tokens are accepted, signed how,
    /// and for whom, has no default.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::new()
    }

    /// This policy, but a request without a token passes as an anonymous one. A request *with* a
    /// token that does not verify is still refused.
    ///
    /// If you do not call it: a request without a token is refused.
    #[must_use]
    pub fn allow_anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    /// Decides about a request: at once, unless a key or revocation source has to be waited for.
    ///
    /// This is what the layers of every framework call.
    pub fn start_verify(&self, request: &impl RequestView) -> Verification {
        self.with(|active| active.start_verify(request))
    }

    /// Decides about a request, and waits where [`start_verify`](Self::start_verify) has to.
    ///
    /// # Errors
    ///
    /// The request is refused.
    pub async fn verify(&self, request: &impl RequestView) -> Result<Admission, Rejection> {
        match self.start_verify(request) {
            Verification::Done(result) => result,
            Verification::Pending(waiting) => waiting.await,
        }
    }

    /// Decides about a request without ever waiting, for where nothing can be awaited: keys and revocations
    /// that would have to be waited for count as unavailable. So does a store of used [proofs](crate::dpop) that answers later, such
    /// as Redis, and the proof is used all the same: take [`verify`](Self::verify) there.
    ///
    /// Keys from an address are fetched in the background all the same: await `Policy::keys_ready` before requests
    /// come, or the first ones are refused.
    ///
    /// # Errors
    ///
    /// The request is refused.
    pub fn verify_now(&self, request: &impl RequestView) -> Result<Admission, Rejection> {
        self.with(|active| active.verify_now(request))
    }

    /// Verifies the text of a token, however it came: a first WebSocket message, a queue.
    ///
    /// # Errors
    ///
    /// The token does not verify, or its keys cannot be had.
    pub async fn verify_token(&self, token: impl AsRef<[u8]>) -> Result<VerifiedToken, Error> {
        let token = token.as_ref();
        let attempt = self.with(|ActivePolicy { verifier, .. }| {
            let now = verifier.rules.terms.clock.now();
            verify::verify(verifier, token, now, KeyLookup::Allowed)
                .map(|token| token.alone(&verifier.rules))
                .map_err(|incomplete| (Arc::clone(verifier), incomplete))
        });
        match attempt {
            Ok(token) => token,
            Err((verifier, incomplete)) => {
                verify::resume(&verifier, token, incomplete).await?.alone(&verifier.rules)
            }
        }
    }

    /// As [`verify_token`](Self::verify_token), without ever waiting: keys and revocations that
    /// would have to be waited for count as unavailable.
    ///
    /// # Errors
    ///
    /// The token does not verify, or what it takes cannot be had at once.
    pub fn verify_token_now(&self, token: impl AsRef<[u8]>) -> Result<VerifiedToken, Error> {
        let attempt = self.with(|ActivePolicy { verifier, .. }| {
            let now = verifier.rules.terms.clock.now();
            verify::verify(verifier, token.as_ref(), now, KeyLookup::Allowed)
                .map(|token| token.alone(&verifier.rules))
        });
        attempt.map_err(Incomplete::into_error_now)?
    }

    /// Decides again about a token that was verified before, for a connection that outlives a request: all that
    /// [`verify_token`](Self::verify_token) asks of the same text, but for its signature, which cannot have
    /// changed. Has it expired, has its key been withdrawn, was it revoked since? Where the policy was
    /// replaced, or another one verified the token: would this one accept it? Waits where
    /// a source of keys or revocations has to be waited for.
    ///
    /// # Errors
    ///
    /// The token would not be accepted, or what it takes to accept it cannot be had.
    pub async fn recheck(&self, token: &VerifiedToken) -> Result<(), Error> {
        let rules = self.rules();
        match verify::recheck(&rules, token, rules.terms.clock.now(), KeyLookup::Allowed) {
            Ok(()) => Ok(()),
            Err(incomplete) => verify::resume_recheck(&rules, token, incomplete).await,
        }
    }

    /// As [`recheck`](Self::recheck), without ever waiting: keys and revocations that would have to be waited
    /// for count as unavailable. So does a key that is gone from a set that is fetched: whether it was withdrawn, `recheck`
    /// says.
    ///
    /// # Errors
    ///
    /// The token would not be accepted, or what it takes to accept it cannot be had at once.
    pub fn recheck_now(&self, token: &VerifiedToken) -> Result<(), Error> {
        self.with(|ActivePolicy { verifier, .. }| {
            let rules = &*verifier.rules;
            verify::recheck(rules, token, rules.terms.clock.now(), KeyLookup::Allowed)
                .map_err(Incomplete::into_error_now)
        })
    }

    /// How long from now the token will still be accepted, leeway included and as long as its
    /// secret is, if nothing happens to its key. Nothing where it is over.
    pub fn time_left(&self, token: &VerifiedToken) -> Duration {
        let policy = self.rules();
        let Some(issuer) = policy.issuers.find(token.issuer()) else { return Duration::ZERO };
        // Every token that verified has one.
        let Some(end) = claims::end(token, issuer.rules()) else { return Duration::ZERO };
        let end = token.key().accepted_until().map_or(end, |until| end.min(until));
        end.saturating_since(policy.terms.clock.now())
    }

    /// The remote keys of its issuers, those of tenants that are known now included: to wait for
    /// them, to fetch them anew, or to see how they are.
    #[cfg(feature = "remote-jwks")]
    pub fn remote_keys(&self) -> Vec<crate::keys::remote::RemoteJwks> {
        self.rules().issuers.remotes()
    }

    /// Waits until the remote keys of every issuer that is named are there, and those that all tenants of a rule
    /// have in common, however often that takes a new try: for before a server listens, or for a readiness probe.
    ///
    /// Those of known tenants are fetched as well, and not waited for, as with [`is_ready`](Self::is_ready): one of them
    /// may be gone. To wait for one, there are its [`remote_keys`](Self::remote_keys).
    #[cfg(feature = "remote-jwks")]
    pub async fn keys_ready(&self) {
        // All at once.
        self.want_keys();
        let common = self.rules().issuers.common_remotes();
        for keys in common {
            keys.ready().await;
        }
    }

    /// The tenants of a [template](Issuer::template) or predicate that are known: of which a token verified, or that
    /// were named. As they stand in `iss`, in no order. For
    /// [`Issuer::known_tenants`] at the next start, from wherever you keep them.
    #[cfg(feature = "remote-jwks")]
    pub fn known_tenants(&self) -> Vec<String> {
        self.rules().issuers.known_tenants()
    }

    /// Has keys fetched that are not there, without waiting for them. Not those of tenants that may be invented.
    #[cfg(feature = "remote-jwks")]
    pub(crate) fn want_keys(&self) {
        self.rules().issuers.known_remotes().iter().for_each(|keys| drop(keys.want()));
    }

    /// Whether it can decide about tokens now: there are keys of every issuer that is named, every revocation source can tell, and
    /// the store of used [proofs](crate::dpop) can. For a readiness probe. Issuers that are made on demand do not
    /// count: one tenant's trouble is not the service's. [`Readiness`](crate::Readiness) is a route for it.
    pub fn is_ready(&self) -> bool {
        let rules = self.rules();
        rules.issuers.have_keys() && rules.revocations.are_available() && rules.can_tell_proofs()
    }

    /// How its remembered tokens do. All zero where it remembers none.
    pub fn token_cache_stats(&self) -> TokenCacheStats {
        self.with(|ActivePolicy { verifier, .. }| verifier.cache.stats())
    }

    /// The present, on the policy's clock.
    pub fn now(&self) -> UnixTime {
        self.rules().terms.clock.now()
    }

    /// Whether a request without a token passes.
    pub fn allows_anonymous(&self) -> bool {
        self.with(|active| active.anonymous)
    }

    /// The rules that hold now.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.with(|active| Arc::clone(&active.verifier.rules))
    }

    /// Whether what is revoked of this kind there is refused here: of this issuer, or of any.
    pub(crate) fn enforces(
        &self,
        kind: Revocable,
        revocations: &Revocations,
        issuer: Option<&str>,
    ) -> bool {
        let enforced = &self.rules().revocations.enforced;
        enforced.iter().any(|enforced| enforced.enforces(kind, revocations.list(), issuer))
    }

    fn fixed(verifier: Verifier, anonymous: bool) -> Self {
        Self { source: PolicySource::Fixed(Arc::new(verifier)), anonymous }
    }

    /// What is in force at one moment. Waits for nobody.
    pub(crate) fn with<R>(&self, look: impl FnOnce(ActivePolicy<'_>) -> R) -> R {
        let anonymous = self.anonymous;
        match &self.source {
            PolicySource::Fixed(verifier) => look(ActivePolicy { verifier, anonymous }),
            PolicySource::Replaceable(slot) => {
                let current = slot.current.load();
                let anonymous = anonymous || current.anonymous;
                look(ActivePolicy { verifier: &current.verifier, anonymous })
            }
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("issuers", &self.rules().issuers)
            .field("anonymous", &self.allows_anonymous())
            .finish_non_exhaustive()
    }
}

/// What [`Policy::start_verify`] decided.
#[derive(Debug)]
#[must_use]
pub enum Verification {
    /// It is decided.
    Done(Result<Admission, Rejection>),
    /// A key or revocation source has to be waited for. The future borrows nothing from the request.
    Pending(VerifyFuture),
}
