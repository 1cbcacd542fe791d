use core::fmt;
use core::time::Duration;
use std::panic::catch_unwind;
use std::sync::Arc;

use portcullis::dpop::TokenEndpointProofs;
use portcullis::{Algorithm, Clock, Revocations, Secret};
use serde_json::{Map, Value};
use tokio::runtime::Handle;

use super::publication::{Publication, PublicationFault};
use super::{LONGEST_LIFETIME, SessionKeys, TokenIssuer};
use crate::debug_as_displayed::debug_as_displayed;
use crate::keeper::{IssuerEvent, Parties, RingError, RingKeeper, Settings, Wanted, keep_fresh};
use crate::key::{ExistingKey, SigningKey};
use crate::machine::{Clocked, Machine, MachineTime};
use crate::ring::{Schedule, ScheduleFault};
use crate::root::{RootFault, RootSecrets};
use crate::seal::Seal;
use crate::signer::Signer;
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
    parties: Parties,
    metadata: Map<String, Value>,
    is_refreshed_by_hand: bool,
    time: Arc<dyn MachineTime>,
    /// The one of a test.
    clock: Option<Arc<dyn Clock>>,
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
    ///
    /// Or HS256, with secrets that nothing publishes: only the processes that share the ring can verify, and all of them can
    /// sign. For verifiers elsewhere, take one of the others.
    ///
    /// Or ML-DSA-44, ML-DSA-65 or ML-DSA-87 (RFC 9964), whose signatures a quantum computer does not forge. Tokens then have
    /// 3.8, 5 or 6.7 KB. Few verifiers know them, and no cookie holds a token of the last two: a browser's session ends in
    /// [`MintError::TooLongForCookie`](crate::MintError::TooLongForCookie).
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
        let state = Complete {
            algorithm,
            audiences,
            lifetime,
            root,
            store,
            schedule: Schedule::default(),
            parties: Parties::default(),
            metadata: Map::new(),
            is_refreshed_by_hand: false,
            time: Arc::new(Machine::new()),
            clock: None,
        };
        TokenIssuerBuilder { issuer: self.issuer, state }
    }
}

impl<S: RingStore> TokenIssuerBuilder<Complete<S>> {
    /// When keys follow each other.
    ///
    /// Keys that are there keep their times: another schedule holds for those that are made from then on.
    ///
    /// If you do not call it: the defaults of [`Schedule`], 30 days for each.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.state.schedule = schedule;
        self
    }

    /// What private keys are sealed with, where a KMS or an HSM is to hold the key that they are sealed with. What the root
    /// secrets sealed before is sealed anew with it, by and by. Have every instance able to open what one of them seals.
    ///
    /// If you do not call it: keys that come of the root secrets.
    pub fn seal(mut self, seal: impl Seal) -> Self {
        self.state.parties.seal = Some(Box::new(seal));
        self
    }

    /// What makes new keys, and signs with them, where private keys are never to leave a KMS or an HSM.
    ///
    /// If you do not call it: keys are made here, and sign here.
    pub fn signer(mut self, signer: impl Signer) -> Self {
        self.state.parties.signer = Some(Box::new(signer));
        self
    }

    /// Where withdrawn keys are revoked, so that policies which enforce it refuse their tokens with the next request. A key
    /// that the list names is withdrawn, whatever the store says: a backup does not bring it back, and to lift it from the list
    /// does not either.
    ///
    /// [`Sessions`](crate::Sessions) of the issuer revoke there what ends, and have a policy
    /// [enforce](crate::Sessions::enforced) it.
    ///
    /// If you do not call it: tokens of a withdrawn key pass until verifiers fetch the keys anew, and no sessions are built.
    pub fn revocations(mut self, revocations: Revocations) -> Self {
        self.state.parties.revocations = Some(revocations);
        self
    }

    /// Begins with a key that signs already, where there is no ring yet: see [`ExistingKey`].
    ///
    /// If you do not call it: with a new one.
    pub fn existing_key(mut self, key: ExistingKey) -> Self {
        self.state.parties.existing = Some(key);
        self
    }

    /// Says something more of the issuer in its [metadata](TokenIssuer::answer_metadata) (RFC 8414 §2), such as its
    /// `token_endpoint`. Said again under one name, the last counts.
    ///
    /// If you do not call it: they say its identifier, and where its keys are.
    pub fn metadata(mut self, member: impl Into<String>, value: impl Into<Value>) -> Self {
        self.state.metadata.insert(member.into(), value.into());
        self
    }

    /// Says in its [metadata](TokenIssuer::answer_metadata) which proofs of a key its token endpoint takes
    /// (`dpop_signing_alg_values_supported`, RFC 9449 §5.1): those that [`NativeSessions::dpop`] gets. Said again, the last counts.
    ///
    /// If you do not call it: they do not say, and clients ask for bearer tokens.
    ///
    /// [`NativeSessions::dpop`]: crate::NativeSessions::dpop
    pub fn dpop(self, proofs: &TokenEndpointProofs) -> Self {
        let names: Vec<_> = proofs.algorithms().iter().map(|algorithm| algorithm.name()).collect();
        self.metadata("dpop_signing_alg_values_supported", names)
    }

    /// Says in its [metadata](TokenIssuer::answer_metadata) that it binds access tokens to certificates of their clients
    /// (`tls_client_certificate_bound_access_tokens`, RFC 8705 §3.3), as [`NativeSessions::mtls`] has it do. Where clients with a
    /// certificate find its routes at another address, say that as well: [`metadata`](Self::metadata) takes `mtls_endpoint_aliases`
    /// (RFC 8705 §5).
    ///
    /// If you do not call it: they do not say, which means that it binds none.
    ///
    /// [`NativeSessions::mtls`]: crate::NativeSessions::mtls
    pub fn mtls(self) -> Self {
        self.metadata("tls_client_certificate_bound_access_tokens", true)
    }

    /// Tells `observer` what happens. Called again, all are told. It must not block: to look at the issuer's status then,
    /// have it wake a task.
    ///
    /// If you do not call it: only `tracing` is told, which always is (feature `tracing`).
    pub fn on_event(mut self, observer: impl Fn(&IssuerEvent) + Send + Sync + 'static) -> Self {
        self.state.parties.observers.add(observer);
        self
    }

    /// Reads the ring when [`TokenIssuer::refresh`] is called, and not by itself: for tests, and for programs that run no
    /// tokio. A tokio runtime in which it is called needs timers, where the store or a KMS has to be waited for.
    ///
    /// If you do not call it: a task of the tokio runtime that builds the issuer reads it.
    pub fn refreshed_by_hand(mut self) -> Self {
        self.state.is_refreshed_by_hand = true;
        self
    }

    /// Goes by this clock, for tests of your own in which time passes: a `FixedClock` of `portcullis-testkit`. Give the stores
    /// and the list of revocations the same. [Its policies](TokenIssuer::policy_builder) go by it, too.
    ///
    /// If you do not call it: by the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        self.state.time = Arc::new(Clocked::new(Arc::clone(&clock)));
        self.state.clock = Some(clock);
        self
    }

    #[cfg(test)]
    pub(crate) fn time(mut self, time: Arc<dyn MachineTime>) -> Self {
        self.state.time = time;
        self
    }

    /// Makes the issuer: reads its ring, or makes one where there never was one.
    ///
    /// # Errors
    ///
    /// Every fault of what was said, at once; or the ring cannot be had.
    pub async fn build(self) -> Result<TokenIssuer<S>, BuildError> {
        let Complete {
            algorithm,
            audiences,
            lifetime,
            root,
            store,
            schedule,
            parties,
            metadata,
            is_refreshed_by_hand,
            time,
            clock,
        } = self.state;
        let mut faults = Vec::new();
        if self.issuer.is_empty() {
            faults.push(IssuerFault::NoIssuer);
        }
        if !SigningKey::ALGORITHMS.contains(&algorithm) {
            faults.push(IssuerFault::Algorithm { algorithm });
        }
        if algorithm == Algorithm::HS256 && parties.signer.is_some() {
            faults.push(IssuerFault::SecretAtSigner);
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
        if parties.existing.as_ref().is_some_and(|key| !key.has_good_id()) {
            faults.push(IssuerFault::KeyId);
        }
        let runtime = Handle::try_current();
        // It panics where the runtime was built without timers.
        let has_time = || catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO))).is_ok();
        if !is_refreshed_by_hand && (runtime.is_err() || !has_time()) {
            faults.push(IssuerFault::NoRuntime);
        }
        let publication = Publication::new(&self.issuer, metadata);
        let publication = publication.map_err(|it| faults.push(IssuerFault::Publication(it)));
        let root = root.map_err(|found| faults.extend(found.into_iter().map(IssuerFault::Root)));
        let (true, Ok(root), Ok(publication)) = (faults.is_empty(), root, publication) else {
            return Err(BuildError::Faults(faults));
        };
        let session_keys = SessionKeys::of(&root, &self.issuer);
        let settings = Settings { issuer: self.issuer, algorithm, schedule, lifetime };
        let keeper = RingKeeper::new(settings, &root, store, parties, time);
        let by_hand = is_refreshed_by_hand;
        let issuer = TokenIssuer::new(keeper, session_keys, by_hand, audiences, publication, clock);
        // What it issues has to pass. Asked before anything is written.
        if let Err(refused) = issuer.policy_builder().build() {
            let fault = IssuerFault::Policy { reason: refused.to_string() };
            return Err(BuildError::Faults(vec![fault]));
        }
        let keeper = &issuer.0.keeper;
        match keeper.go_through(Wanted::First).await {
            // It was read. The rest is tried again, and observers are told.
            Ok(()) | Err(RingError::NotRevoked { .. }) => {}
            Err(error) => return Err(BuildError::Ring(error)),
        }
        keeper.tell_of_existing();
        if let (Ok(runtime), false) = (runtime, is_refreshed_by_hand) {
            runtime.spawn(keep_fresh(Arc::downgrade(keeper), schedule.reload_every()));
        }
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

impl core::error::Error for BuildError {}

debug_as_displayed!(BuildError);

/// What is wrong with an issuer that was described.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum IssuerFault {
    /// It has no identifier.
    NoIssuer,
    /// A ring does not sign with this algorithm.
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
    /// What it says of itself cannot be published.
    Publication(PublicationFault),
    /// The existing key has no id that a token could name, or too long a one.
    KeyId,
    /// A shared secret cannot be at a signer.
    SecretAtSigner,
    /// Nothing would read the ring.
    NoRuntime,
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
                "a ring does not sign with {algorithm}: choose one of ES256, ES384, EdDSA, Ed25519, RS256, PS256, HS256, ML-DSA-44, ML-DSA-65, ML-DSA-87"
            ),
            Self::SecretAtSigner => f.write_str(
                "HS256 signs with a secret that services share, and a signer keeps its keys: choose another algorithm, or leave the signer out",
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
            Self::Publication(fault) => fault.fmt(f),
            Self::KeyId => {
                f.write_str("the id of the existing key has 0 bytes or more than 1024: say what tokens call it")
            }
            Self::NoRuntime => f.write_str(
                "there is no tokio runtime with timers that could read the ring in the background: build the issuer inside of one (`enable_all`), or say `refreshed_by_hand` and call `refresh` about once a minute",
            ),
            Self::Policy { reason } => write!(f, "its own tokens would not pass: {reason}"),
        }
    }
}

impl core::error::Error for IssuerFault {}

debug_as_displayed!(IssuerFault);
