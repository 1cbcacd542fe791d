//! What a token carries of the policy that verified it: enough to answer, and to be asked for more.
use core::time::Duration;
use std::sync::Arc;

use crate::presentation::CompiledPresentation;
use crate::response::ResponseNeeds;
use crate::time::Clock;

/// Whether a scope that is held, the first, implies another.
pub(crate) type ScopeImplies = dyn Fn(&str, &str) -> bool + Send + Sync;

/// The terms of one policy, the same for all of its issuers. Its address stands for the policy.
pub(crate) struct Terms {
    pub(crate) clock: Arc<dyn Clock>,
    /// Whether who holds one scope has another.
    pub(crate) scope_implies: Option<Arc<ScopeImplies>>,
    pub(crate) presentation: CompiledPresentation,
    /// Whether logs may say whose verified token was refused.
    pub(crate) names_callers: bool,
    pub(crate) response_needs: ResponseNeeds,
}

/// The terms of one issuer's tokens.
pub(crate) struct IssuerTerms {
    pub(crate) policy: Arc<Terms>,
    pub(crate) leeway: Duration,
    /// The claims that scopes are in.
    pub(crate) scope_claims: Vec<Box<str>>,
}
