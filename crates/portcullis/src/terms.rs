//! What a token carries of the policy that verified it: enough to answer, and to be asked for more.
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::sync::Arc;

use crate::dpop::{GivenNonces, Nonce};
#[cfg(feature = "metrics")]
use crate::metrics::PolicyCounters;
use crate::refusal::CompiledPresentation;
use crate::time::Clock;

/// Whether a scope that is held, the first, implies another.
pub(crate) type ScopeImplies = dyn Fn(&str, &str) -> bool + Send + Sync;

/// The terms of one policy, the same for all of its issuers. Its address stands for the policy.
pub(crate) struct Terms {
    /// What logs call the policy.
    #[cfg_attr(
        not(any(feature = "explain", feature = "tracing")),
        expect(dead_code, reason = "nobody is told")
    )]
    pub(crate) name: Option<Box<str>>,
    #[cfg(feature = "metrics")]
    pub(crate) counters: PolicyCounters,
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether who holds one scope has another.
    pub(crate) scope_implies: Option<Arc<ScopeImplies>>,
    pub(crate) presentation: CompiledPresentation,
    /// What proofs need, where the policy asks for it.
    pub(crate) nonces: Option<Arc<GivenNonces>>,
    /// Whether logs may say whose verified token was refused.
    pub(crate) names_callers: bool,
    /// Whether a shared cache may store no response, since a token may come elsewhere than in `Authorization`.
    pub(crate) has_private_responses: bool,
    /// How many claims types a token keeps: as many as were asked of one so far.
    pub(crate) claims_types: AtomicUsize,
}

impl Terms {
    /// The nonce that is given out now, where proofs need one.
    pub(crate) fn nonce(&self) -> Option<Arc<Nonce>> {
        self.nonces.as_ref().map(|nonces| nonces.current(self.clock.now()))
    }

    /// Has tokens keep this many claims types from now on, if they keep fewer.
    pub(crate) fn keep_claims_types(&self, count: usize) {
        self.claims_types.fetch_max(count, Ordering::Relaxed);
    }

    /// This state of the policy's revocation sources.
    pub(crate) fn generation(&self, number: u64) -> Generation {
        Generation { policy: core::ptr::from_ref(self).addr(), number }
    }
}

/// The terms of one issuer's tokens.
pub(crate) struct IssuerTerms {
    pub(crate) policy: Arc<Terms>,
    pub(crate) leeway: Duration,
    /// The claims that scopes are in.
    pub(crate) scope_claims: Vec<Box<str>>,
}

/// A state of the revocation sources of one policy. For another policy the number would mean another state,
/// so it is never compared without its policy.
#[derive(Clone, Copy)]
pub(crate) struct Generation {
    policy: usize,
    number: u64,
}

/// The number of sources that cannot tell.
pub(crate) const NEVER: u64 = u64::MAX;

impl Generation {
    /// Its number, if it is one of this policy's.
    pub(crate) fn number_in(self, policy: &Terms) -> Option<u64> {
        (self.policy == core::ptr::from_ref(policy).addr()).then_some(self.number)
    }
}
