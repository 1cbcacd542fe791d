//! What operators see: an event for each refusal (feature `tracing`), and metrics (feature `metrics`). Without
//! these features it comes to nothing.
use crate::error::Error;
#[cfg(feature = "tracing")]
use crate::refusal::rows::{Answer, Severity};
use crate::verified::VerifiedToken;

/// A request is turned away. Said once for each, wherever that is decided.
///
/// `caller` is the token that verified, if one did and its names may be told.
pub(crate) fn refused(error: &Error, caller: Option<&VerifiedToken>) {
    #[cfg(feature = "metrics")]
    crate::metrics::count_refusal(error);
    #[cfg(feature = "tracing")]
    {
        let row = Answer::to(error).row();
        let (reason, status) = (error.reason(), row.status.as_u16());
        let issuer = caller.map(VerifiedToken::issuer);
        let subject = caller.and_then(VerifiedToken::subject);
        let token_id = caller.and_then(VerifiedToken::token_id);
        macro_rules! tell {
            ($level:ident) => {
                tracing::$level!(
                    target: "portcullis::refusal",
                    reason,
                    status,
                    code = row.code,
                    issuer,
                    subject,
                    token_id,
                    "{error}"
                )
            };
        }
        match row.severity {
            Severity::Routine => tell!(debug),
            Severity::Client => tell!(info),
            Severity::Dependency => tell!(warn),
            Severity::Fault => tell!(error),
        }
    }
    #[cfg(not(any(feature = "tracing", feature = "metrics")))]
    let _ = error;
    #[cfg(not(feature = "tracing"))]
    let _ = caller;
}

/// How long a decision takes.
pub(crate) struct Stopwatch {
    #[cfg(feature = "metrics")]
    start: std::time::Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            start: std::time::Instant::now(),
        }
    }

    /// A policy has decided about a request: whether one that it let in has a token.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(clippy::unused_self, reason = "as with the feature")
    )]
    pub(crate) fn decided(&self, decision: Result<bool, &Error>) {
        #[cfg(feature = "metrics")]
        crate::metrics::count_decision(decision, self.start.elapsed());
        #[cfg(not(feature = "metrics"))]
        let _ = decision;
    }
}
