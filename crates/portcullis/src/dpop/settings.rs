//! What a policy asks of proofs.
use core::fmt;
use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;

use super::endpoint::TokenEndpointProofs;
use super::error::{NonceFault, ServiceAddresses};
use super::nonces::{Nonce, NonceRules, Nonces, Taken};
use super::proof::ProofLimits;
use super::replays::Replays;
use super::target::{Target, TargetFault};
use crate::debug_as_displayed::list_of_faults;
use crate::keys::SecretFault;
use crate::signature::{Algorithm, Family};
use crate::time::UnixTime;

/// How old a proof may be. Clients make one for each request; what takes longer on its way than this is retried with
/// another.
const PAST: Duration = Duration::from_secs(60);

/// How far ahead its client's clock may be.
const FUTURE: Duration = Duration::from_secs(10);

/// The most that each side of the window may be (RFC 9449 §11.1: seconds or minutes).
pub(crate) const MAX_WINDOW: Duration = Duration::from_secs(300);

/// The most addresses of one service.
const MAX_BASES: usize = 16;

/// Takes tokens that are bound to a key of their sender, with a proof of who has it (RFC 9449): for
/// [`PolicyBuilder::dpop`](crate::PolicyBuilder::dpop).
///
/// ```
/// use portcullis::dpop::{Dpop, InProcessReplays};
///
/// let dpop = Dpop::new(InProcessReplays::new()).at("https://api.example");
/// # let _ = dpop;
/// ```
///
/// Clones share what was used: give policies of one service clones of one.
#[derive(Clone)]
#[must_use]
pub struct Dpop {
    replays: Arc<dyn Replays>,
    bases: Vec<String>,
    pub(crate) is_required: bool,
    algorithms: Vec<Algorithm>,
    past: Duration,
    future: Duration,
    nonces: Option<Nonces>,
    /// That of what it remembers: clones have the same.
    store: u64,
}

impl Dpop {
    /// Remembers used proofs there: at [one process](super::InProcessReplays), or in a store that instances share.
    pub fn new(replays: impl Replays) -> Self {
        Self {
            replays: Arc::new(replays),
            bases: Vec::new(),
            is_required: false,
            algorithms: vec![Algorithm::ES256, Algorithm::EdDSA, Algorithm::Ed25519],
            past: PAST,
            future: FUTURE,
            nonces: None,
            store: next_number(),
        }
    }

    /// The address under which clients know the service: `https://api.example`, or with a prefix that a proxy takes away,
    /// `https://example/api`. What is compared with a proof's `htu` is this and the path of the request, and nothing that the
    /// request says of its host: whoever sends it writes `Host` and `Forwarded` as they like.
    ///
    /// Called again, a proof may be for any of them; there may be 16. Without one, the policy is not built.
    pub fn at(mut self, url: impl Into<String>) -> Self {
        self.bases.push(url.into());
        self
    }

    /// Refuses tokens that are bound to no key.
    ///
    /// If you do not call it: they pass as bearer tokens.
    pub fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// The algorithms of proofs. Shared secrets are none: they prove nothing.
    ///
    /// If you do not call it: ES256, and EdDSA under both of its names. What a proof costs is its signature, and FAPI 2.0
    /// refuses RS256.
    ///
    /// With an ML-DSA algorithm, whose proofs bring large keys, one may have 16 KiB. Else, it may have 8 KiB.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// How old a proof may be, and how far ahead of this machine's its client's clock. Each is 300 s at most.
    ///
    /// If you do not call it: 60 s, and 10 s.
    pub fn window(mut self, past: Duration, future: Duration) -> Self {
        (self.past, self.future) = (past, future);
        self
    }

    /// Both sides of the window.
    #[cfg(feature = "config")]
    pub(crate) fn bounds(&self) -> (Duration, Duration) {
        (self.past, self.future)
    }

    /// Asks each proof for a nonce that the server gave out within the last minutes (RFC 9449 §9). It takes the place of the
    /// client's clock: clients whose clocks are wrong get in, and nobody makes proofs beforehand. A client's first request
    /// is answered with 401 and a nonce, and so is one after a pause.
    ///
    /// If you do not call it: proofs need none, and their times count.
    pub fn nonces(mut self, nonces: Nonces) -> Self {
        self.nonces = Some(nonces);
        self
    }

    /// The algorithms of proofs that it takes.
    pub(crate) fn algorithms_taken(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Checks the proofs of requests to a token endpoint.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings.
    pub fn for_token_endpoint(self) -> Result<TokenEndpointProofs, DpopFaults> {
        self.compile(Purpose::TokenEndpoint).map(TokenEndpointProofs::new).map_err(DpopFaults)
    }

    /// What is wrong with it, or what is held against proofs.
    pub(crate) fn compile(self, purpose: Purpose) -> Result<DpopRules, Vec<DpopFault>> {
        let Self { replays, bases, is_required, algorithms, past, future, nonces, store } = self;
        let mut faults = Vec::new();
        let mut targets = Vec::new();
        for (at, url) in bases.iter().enumerate() {
            match Target::base(url) {
                Ok(target) => targets.push(target),
                Err(fault) => faults.push(DpopFault::Base { at, fault }),
            }
        }
        if bases.is_empty() || bases.len() > MAX_BASES {
            faults.push(DpopFault::Bases { found: bases.len() });
        }
        if algorithms.is_empty() {
            faults.push(DpopFault::NoAlgorithm);
        }
        let shared = algorithms.iter().find(|algorithm| algorithm.family() == Family::Hmac);
        faults.extend(shared.map(|algorithm| DpopFault::Secret { algorithm: *algorithm }));
        if past.is_zero() || past > MAX_WINDOW || future > MAX_WINDOW {
            faults.push(DpopFault::Window { past, future });
        }
        if nonces.as_ref().is_some_and(Nonces::are_shared) && !replays.is_shared() {
            faults.push(DpopFault::SharedNonces);
        }
        let nonces = nonces.map(|nonces| nonces.compile(purpose, &targets)).transpose();
        let nonces = nonces.unwrap_or_else(|found| {
            faults.extend(found);
            None
        });
        if !faults.is_empty() {
            return Err(faults);
        }
        let nonces = nonces.map(|rules| GivenNonces { rules, replays: Arc::clone(&replays) });
        let number = next_number();
        let nonces = nonces.map(Arc::new);
        Ok(DpopRules {
            purpose,
            replays,
            service: ServiceAddresses::of(&targets),
            targets,
            is_required,
            limits: ProofLimits::of(&algorithms),
            algorithms,
            past,
            future,
            nonces,
            number,
            store,
            since: AtomicI64::new(i64::MIN),
        })
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop")
            .field("bases", &self.bases)
            .field("is_required", &self.is_required)
            .field("algorithms", &self.algorithms)
            .field("replays", &self.replays)
            .finish_non_exhaustive()
    }
}

/// A number that nothing else of this process has.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Where proofs are checked. What was used or given out in one place counts for nothing in the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Purpose {
    Resource,
    TokenEndpoint,
}

impl Purpose {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Resource => "resource",
            Self::TokenEndpoint => "token endpoint",
        }
    }
}

/// The nonces of a policy, as its store of used proofs has them.
pub(crate) struct GivenNonces {
    rules: NonceRules,
    replays: Arc<dyn Replays>,
}

impl GivenNonces {
    /// The one that is given out now.
    pub(crate) fn current(&self, now: UnixTime) -> Arc<Nonce> {
        self.rules.current(now, self.replays.epoch())
    }

    /// Takes a proof's, and says of which epoch it is.
    pub(super) fn take(
        &self,
        nonce: Option<&Nonce>,
        now: UnixTime,
    ) -> Result<(Taken, u64), NonceFault> {
        let epoch = self.replays.epoch();
        self.rules.take(nonce, now, epoch).map(|taken| (taken, epoch))
    }
}

/// What a policy holds against proofs.
pub(crate) struct DpopRules {
    pub(super) purpose: Purpose,
    /// That of these rules: no others have it.
    pub(super) number: u64,
    /// That of their store.
    pub(super) store: u64,
    /// When it took the place of one that remembers elsewhere.
    pub(super) since: AtomicI64,
    pub(crate) nonces: Option<Arc<GivenNonces>>,
    pub(super) replays: Arc<dyn Replays>,
    pub(super) targets: Vec<Target>,
    /// The same, for errors.
    pub(super) service: ServiceAddresses,
    pub(crate) is_required: bool,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) limits: ProofLimits,
    pub(super) past: Duration,
    pub(super) future: Duration,
}

impl DpopRules {
    /// It takes the place of another one, or of none. What that remembers elsewhere, or for a shorter time, is not known here:
    /// proofs that were made until now may have been used.
    pub(crate) fn take_over(&self, former: Option<&Self>, now: UnixTime) {
        let remembers_all = |former: &&Self| {
            let is_as_long = former.nonces.is_none() && former.past >= self.past;
            former.store == self.store && is_as_long
        };
        let since = match former.filter(remembers_all) {
            Some(former) => former.since.load(Ordering::Relaxed),
            None => now.0,
        };
        self.since.fetch_max(since, Ordering::Relaxed);
    }

    /// A policy begins to use it.
    pub(crate) fn start(&self, now: UnixTime) {
        self.replays.start(now);
    }

    /// Whether it can tell which proofs were used: also, of one that is made now.
    pub(crate) fn is_available(&self, now: UnixTime) -> bool {
        let since = UnixTime(self.since.load(Ordering::Relaxed));
        let begin = self.replays.birth().map_or(since, |birth| birth.max(since));
        let takes_new_ones = self.nonces.is_some() || now > begin.saturating_add(self.future);
        takes_new_ones && self.replays.is_available()
    }
}

/// What is wrong with a [`Dpop`].
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DpopFault {
    /// There is no address of the service, or too many.
    Bases {
        /// How many there are.
        found: usize,
    },
    /// An address is not one.
    Base {
        /// Its place, from 0.
        at: usize,
        /// Why.
        fault: TargetFault,
    },
    /// No algorithm is listed.
    NoAlgorithm,
    /// A shared secret proves nothing.
    Secret {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// Instances share nonces, and not what they remember of used proofs.
    SharedNonces,
    /// There is no secret for nonces, or too many.
    NonceSecrets {
        /// How many there are.
        found: usize,
    },
    /// A secret for nonces is too short.
    NonceSecretShort {
        /// Its place, from 0.
        at: usize,
        /// Its length in bytes.
        length: usize,
    },
    /// A secret for nonces is not one.
    NonceSecret {
        /// Its place, from 0.
        at: usize,
        /// Why.
        fault: SecretFault,
    },
    /// The window is empty, or too wide.
    Window {
        /// How old a proof may be.
        past: Duration,
        /// How far ahead.
        future: Duration,
    },
}

impl fmt::Display for DpopFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bases { found: 0 } => f.write_str(
                "DPoP has no address of this service to compare proofs with: say `.at(\"https://api.example\")`, as clients write it",
            ),
            Self::Bases { found } => {
                write!(f, "DPoP has {found} addresses, and at most {MAX_BASES} are accepted")
            }
            Self::Base { at, fault } => write!(f, "address {} of DPoP: {fault}; write it like `https://api.example`", at + 1),
            Self::NoAlgorithm => f.write_str("DPoP lists no algorithm: list ES256, or leave them out"),
            Self::Secret { algorithm } => write!(
                f,
                "DPoP lists {algorithm}, which is for shared secrets: a proof of one could be made by whoever checks it. Leave it out"
            ),
            Self::SharedNonces => f.write_str(
                "DPoP has nonces that instances share, and remembers used proofs in one process: each instance would take a proof once. Give it a store that instances share, such as `RedisReplays` (in a file, `replay` names it). Or leave out the secrets of nonces, by `Nonces::of_this_process` (in a file, `nonce_secrets`)",
            ),
            Self::NonceSecrets { found } => {
                write!(f, "the nonces of DPoP have {found} secrets: one to four are accepted")
            }
            Self::NonceSecretShort { at, length } => write!(
                f,
                "secret {} for the nonces of DPoP has {length} bytes: 32 random ones are needed, as `openssl rand 32` makes them",
                at + 1
            ),
            Self::NonceSecret { at, fault } => {
                write!(f, "secret {} for the nonces of DPoP: {fault}", at + 1)
            }
            Self::Window { past, future } => write!(
                f,
                "DPoP takes proofs that are up to {past:?} old and {future:?} ahead. How old must be more than nothing, and each is at most {MAX_WINDOW:?}"
            ),
        }
    }
}

impl core::error::Error for DpopFault {}

list_of_faults! {
    /// All that is wrong with a [`Dpop`].
    DpopFaults of DpopFault
}
