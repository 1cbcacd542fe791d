//! What a policy comes to, for those who decide by it.
use std::sync::Arc;

use crate::cache::TokenCache;
#[cfg(feature = "status-list")]
use crate::claims::StatusRule;
use crate::dpop::DpopRules;
use crate::issuers::TrustedIssuers;
use crate::mtls::MtlsRules;
use crate::revocation::Sources;
use crate::source::{AllowedOrigins, Precedence, TokenSource};
use crate::terms::{Generation, Terms};
use crate::token::{HeaderCache, TokenLimits};

/// What verifies tokens, and the tokens that it verified. They hold the rules, which therefore know
/// nothing of them.
pub(crate) struct Verifier {
    pub(crate) rules: Arc<Rules>,
    pub(crate) cache: TokenCache,
}

/// What tokens and their requests are held to.
pub(crate) struct Rules {
    pub(crate) sources: Vec<TokenSource>,
    pub(crate) precedence: Precedence,
    pub(crate) origins: AllowedOrigins,
    pub(crate) bad_cookie: BadCookie,
    pub(crate) limits: TokenLimits,
    pub(crate) refuses_brought_keys: bool,
    /// `None`: tokens that are bound to a key of their sender are refused. In a box, as the next: most policies have neither,
    /// and every request asks.
    pub(crate) dpop: Option<Box<DpopRules>>,
    /// `None`: tokens that are bound to a certificate of their sender are refused.
    pub(crate) mtls: Option<Box<MtlsRules>>,
    pub(crate) issuers: TrustedIssuers,
    pub(crate) revocations: Sources,
    /// What is asked of the claim `status`.
    #[cfg(feature = "status-list")]
    pub(crate) status: StatusRule,
    /// Hosts of status lists that may be asked without TLS.
    #[cfg(all(feature = "explain", feature = "status-list"))]
    pub(crate) plain_status_hosts: Vec<String>,
    pub(crate) headers: HeaderCache,
    pub(crate) terms: Arc<Terms>,
}

impl Rules {
    /// What a token is marked with that is not revoked at this moment.
    pub(crate) fn generation(&self) -> Generation {
        self.terms.generation(self.revocations.generation())
    }

    /// Whether it matters who sent a token.
    #[inline]
    pub(crate) fn looks_at_senders(&self) -> bool {
        self.dpop.is_some() || self.mtls.is_some()
    }

    /// Whether it can be told which proofs were used, where any are taken.
    pub(crate) fn can_tell_proofs(&self) -> bool {
        let now = self.terms.clock.now();
        self.dpop.as_ref().is_none_or(|dpop| dpop.is_available(now))
    }
}

/// What a bad token in a cookie does: where a request without a token would pass, and for the removal of the cookie
/// where a token is required as well.
///
/// A browser sends a cookie with every request, the one for the login page included: under
/// [`Reject`](Self::Reject) a user whose token has expired stays locked out until the cookie goes.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum BadCookie {
    /// The request is refused.
    #[default]
    Reject,
    /// The request is refused, and the response takes the cookie away: the next one is anonymous.
    /// Also where a token is required.
    RejectAndClear,
    /// The request goes on as an anonymous one.
    Anonymous,
}
