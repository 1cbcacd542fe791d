use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use portcullis::{Algorithm, Secret};

use super::{LONGEST_LIFETIME, TokenIssuer};
use crate::keeper::{RingError, RingKeeper, Wanted};
use crate::key::SigningKey;
use crate::machine::{Machine, MachineTime};
use crate::ring::{Schedule, ScheduleFault};
use crate::root::{RootFault, RootSecrets};
use crate::store::RingStore;

/// Makes a [`TokenIssuer`]. What has no default is asked for in turn: algorithm, audiences, lifetime, root secrets, ring.
#[derive(Debug)]
#[must_use]
pub struct TokenIssuerBuilder<State> {
    issuer: String,
    state: State,
}

/// The builder wants to know what to sign with.
#[derive(Debug)]
pub struct WantsAlgorithm(());

/// The builder wants to know whom tokens are for.
#[derive(Debug)]
pub struct WantsAudiences(Algorithm);

/// The builder wants to know how long tokens live.
#[derive(Debug)]
pub struct WantsLifetime(Algorithm, Vec<String>);

/// The builder wants to know what keys are sealed with.
#[derive(Debug)]
pub struct WantsRootSecrets(Algorithm, Vec<String>, Duration);

/// The builder wants to know where the ring is kept.
#[derive(Debug)]
pub struct WantsRing(Algorithm, Vec<String>, Duration, Result<RootSecrets, Vec<RootFault>>);

/// The builder knows all that has no default.
pub struct Complete<S> {
    algorithm: Algorithm,
    audiences: Vec<String>,
    lifetime: Duration,
    root: Result<RootSecrets, Vec<RootFault>>,
    store: S,
    schedule: Schedule,
    time: Arc<dyn MachineTime>,
}

impl<S> fmt::Debug for Complete<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Complete").field("schedule", &self.schedule).finish_non_exhaustive()
    }
}

impl TokenIssuerBuilder<WantsAlgorithm> {
    pub(super) fn new(issuer: String) -> Self {
        Self { issuer, state: WantsAlgorithm(()) }
    }

    /// What new keys sign with: ES256, ES384, EdDSA or Ed25519 (two names of one algorithm, of which most verifiers know
    /// only the first), RS256 or PS256 (2048 bits).
    pub fn algorithm(self, algorithm: Algorithm) -> TokenIssuerBuilder<WantsAudiences> {
        TokenIssuerBuilder { issuer: self.issuer, state: WantsAudiences(algorithm) }
    }
}

impl TokenIssuerBuilder<WantsAudiences> {
    /// Whom tokens are for (`aud`): what services call themselves.
    pub fn audiences<A: Into<String>>(
        self,
        audiences: impl IntoIterator<Item = A>,
    ) -> TokenIssuerBuilder<WantsLifetime> {
        let audiences = audiences.into_iter().map(Into::into).collect();
        let state = WantsLifetime(self.state.0, audiences);
        TokenIssuerBuilder { issuer: self.issuer, state }
    }
}

impl TokenIssuerBuilder<WantsLifetime> {
    /// How long an access token lives: whole seconds, at most 24 hours. Minutes are usual: for so long a stolen one
    /// works.
    pub fn lifetime(self, lifetime: Duration) -> TokenIssuerBuilder<WantsRootSecrets> {
        let WantsLifetime(algorithm, audiences) = self.state;
        let state = WantsRootSecrets(algorithm, audiences, lifetime);
        TokenIssuerBuilder { issuer: self.issuer, state }
    }
}

impl TokenIssuerBuilder<WantsRootSecrets> {
    /// What private keys are sealed with at rest: see [`RootSecrets`].
    pub fn root_secrets(
        self,
        secrets: impl IntoIterator<Item = Secret>,
    ) -> TokenIssuerBuilder<WantsRing> {
        let WantsRootSecrets(algorithm, audiences, lifetime) = self.state;
        let state = WantsRing(algorithm, audiences, lifetime, RootSecrets::new(secrets));
        TokenIssuerBuilder { issuer: self.issuer, state }
    }
}

impl TokenIssuerBuilder<WantsRing> {
    /// Where the ring is kept, for all instances of the issuer.
    pub fn ring<S: RingStore>(self, store: S) -> TokenIssuerBuilder<Complete<S>> {
        let WantsRing(algorithm, audiences, lifetime, root) = self.state;
        let (schedule, time) = (Schedule::default(), Arc::new(Machine::new()));
        let state = Complete { algorithm, audiences, lifetime, root, store, schedule, time };
        TokenIssuerBuilder { issuer: self.issuer, state }
    }
}

impl<S: RingStore> TokenIssuerBuilder<Complete<S>> {
    /// When keys follow each other.
    ///
    /// If you do not call it: the defaults of [`Schedule`], 30 days for each.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.state.schedule = schedule;
        self
    }

    #[cfg(test)]
    pub(super) fn time(mut self, time: Arc<dyn MachineTime>) -> Self {
        self.state.time = time;
        self
    }

    /// Makes the issuer: reads its ring, or makes one where there never was one.
    ///
    /// # Errors
    ///
    /// Every fault of what was said, at once; or the ring cannot be had.
    pub async fn build(self) -> Result<TokenIssuer<S>, BuildError> {
        let Complete { algorithm, audiences, lifetime, root, store, schedule, time } = self.state;
        let mut faults = Vec::new();
        if self.issuer.is_empty() {
            faults.push(IssuerFault::NoIssuer);
        }
        // Without a public part, verifiers would need the secret.
        if !SigningKey::published_algorithms().any(|published| published == algorithm) {
            faults.push(IssuerFault::Algorithm { algorithm });
        }
        if audiences.is_empty() || audiences.iter().any(String::is_empty) {
            faults.push(IssuerFault::Audiences);
        }
        if lifetime > LONGEST_LIFETIME || lifetime.as_secs() == 0 || lifetime.subsec_nanos() != 0 {
            faults.push(IssuerFault::Lifetime { lifetime });
        } else {
            faults.extend(schedule.fault_for(lifetime).map(IssuerFault::Schedule));
        }
        faults.extend(schedule.faults().into_iter().map(IssuerFault::Schedule));
        let root = root.map_err(|found| faults.extend(found.into_iter().map(IssuerFault::Root)));
        let (true, Ok(root)) = (faults.is_empty(), root) else {
            return Err(BuildError::Faults(faults));
        };
        let settings = (algorithm, schedule, lifetime);
        let keeper = RingKeeper::new(self.issuer, settings, &root, store, time);
        let issuer = TokenIssuer::new(keeper, audiences);
        // What it issues has to pass. Asked before anything is written.
        if let Err(refused) = issuer.policy_builder().build() {
            let fault = IssuerFault::Policy { reason: refused.to_string() };
            return Err(BuildError::Faults(vec![fault]));
        }
        issuer.0.keeper.read(Wanted::First).await.map_err(BuildError::Ring)?;
        Ok(issuer)
    }
}

/// There is no issuer.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum BuildError {
    /// The settings are wrong.
    Faults(Vec<IssuerFault>),
    /// The ring cannot be had. Where the store is only away for a moment, try again.
    Ring(RingError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(faults) => {
                f.write_str("the issuer is refused:")?;
                faults.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
            }
            Self::Ring(error) => error.fmt(f),
        }
    }
}

/// As `Display`: a program that ends with it says why.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for BuildError {}

/// What is wrong with an issuer that was described.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IssuerFault {
    /// It has no identifier.
    NoIssuer,
    /// It cannot publish keys of this algorithm.
    Algorithm {
        /// Which.
        algorithm: Algorithm,
    },
    /// Its tokens would be for nobody.
    Audiences,
    /// Its tokens would live too long, or not at all.
    Lifetime {
        /// How long.
        lifetime: Duration,
    },
    /// An inequality of the schedule does not hold.
    Schedule(ScheduleFault),
    /// A root secret is refused.
    Root(RootFault),
    /// A policy for its tokens is refused.
    Policy {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for IssuerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIssuer => f.write_str(
                "the identifier of the issuer is empty: give it the address of the issuer",
            ),
            Self::Algorithm { algorithm } => write!(
                f,
                "{algorithm} has no keys that an issuer could publish: choose one of ES256, ES384, EdDSA, Ed25519, RS256, PS256"
            ),
            Self::Audiences => f.write_str(
                "there is no audience, or an empty one: say what the services call themselves",
            ),
            Self::Lifetime { lifetime } => write!(
                f,
                "access tokens that live {lifetime:?}: whole seconds from 1 to {} are accepted (24 h)",
                LONGEST_LIFETIME.as_secs()
            ),
            Self::Schedule(fault) => write!(f, "schedule: {fault}"),
            Self::Root(fault) => fault.fmt(f),
            Self::Policy { reason } => write!(f, "its own tokens would not pass: {reason}"),
        }
    }
}

impl core::error::Error for IssuerFault {}
