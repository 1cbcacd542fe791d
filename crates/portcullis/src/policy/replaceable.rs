use core::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{FixedPolicy, Policy, PolicySource};

/// A policy that can be replaced while it serves.
///
/// Whoever has its [`policy`](Self::policy) - layers, routes, handlers - decides by the new one from the
/// next request on, and waits for nobody meanwhile. Only who has this value can replace it.
///
/// A request that waits for a key is decided by the policy that it came to. The new policy remembers no
/// tokens yet. Used proofs of keys are remembered where its [`Dpop`](crate::dpop::Dpop) is a clone of the former one's; else
/// those that were made before are refused. Connections that outlive a request ask the new one: [`Policy::recheck`].
///
/// ```
/// use portcullis::ReplaceablePolicy;
/// use portcullis_testkit::TestIssuer;
/// use portcullis::Algorithm;
///
/// let ours = TestIssuer::new("https://id.example");
/// let theirs = TestIssuer::new("https://other.example");
/// let token = theirs.token(Algorithm::ES256).mint();
///
/// let replaceable = ReplaceablePolicy::new(&ours.policy());
/// let policy = replaceable.policy(); // for `VerifyLayer::new`, and all else
/// assert!(policy.verify_token_now(&token).is_err());
///
/// replaceable.replace(&theirs.policy());
/// assert!(policy.verify_token_now(&token).is_ok());
/// ```
#[derive(Clone)]
pub struct ReplaceablePolicy(Arc<PolicySlot>);

/// Where the policy stands.
pub(super) struct PolicySlot {
    pub(super) current: ArcSwap<FixedPolicy>,
    /// What replaces it, for as long as anybody has the policy.
    #[cfg(feature = "config")]
    keeps: std::sync::OnceLock<Arc<dyn core::any::Any + Send + Sync>>,
}

impl ReplaceablePolicy {
    /// Starts with this policy.
    #[must_use]
    pub fn new(first: &Policy) -> Self {
        Self(Arc::new(PolicySlot {
            current: ArcSwap::from_pointee(first.as_fixed()),
            #[cfg(feature = "config")]
            keeps: std::sync::OnceLock::new(),
        }))
    }

    /// The policy, which is always the one that was put in last.
    ///
    /// [`Policy::allow_anonymous`] on it holds whatever it is replaced by.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { source: PolicySource::Replaceable(Arc::clone(&self.0)), anonymous: false }
    }

    /// Puts another one in its place. Of a replaceable policy, the one that it is now.
    pub fn replace(&self, next: &Policy) {
        let next = Arc::new(next.as_fixed());
        let take_over = |former: &FixedPolicy| {
            let rules = &next.verifier.rules;
            if let Some(dpop) = &rules.dpop {
                dpop.take_over(former.verifier.rules.dpop.as_deref(), rules.terms.clock.now());
            }
        };
        // Before the first request comes to it, and for what came to the former one until the last.
        take_over(&self.0.current.load());
        take_over(&self.0.current.swap(Arc::clone(&next)));
    }

    #[cfg(feature = "config")]
    pub(crate) fn keep(&self, what: Arc<dyn core::any::Any + Send + Sync>) {
        // Only once, by who made it.
        let _ = self.0.keeps.set(what);
    }

    #[cfg(feature = "config")]
    pub(crate) fn downgrade(&self) -> WeakReplaceablePolicy {
        WeakReplaceablePolicy(Arc::downgrade(&self.0))
    }
}

/// For what the policy keeps.
#[cfg(feature = "config")]
pub(crate) struct WeakReplaceablePolicy(std::sync::Weak<PolicySlot>);

#[cfg(feature = "config")]
impl WeakReplaceablePolicy {
    pub(crate) fn upgrade(&self) -> Option<ReplaceablePolicy> {
        self.0.upgrade().map(ReplaceablePolicy)
    }
}

impl Policy {
    fn as_fixed(&self) -> FixedPolicy {
        self.with(|active| FixedPolicy {
            verifier: Arc::clone(active.verifier),
            anonymous: active.anonymous,
        })
    }
}

impl fmt::Debug for ReplaceablePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReplaceablePolicy").field(&self.policy()).finish()
    }
}
