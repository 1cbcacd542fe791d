//! How a policy decides about a request.
use std::sync::Arc;

use super::Verification;
use crate::admission::{Admission, Rejection};
use crate::dpop::{DpopError, ReplaysUnavailable, SpentAnswer};
use crate::error::{Error, SourceError};
use crate::observe::Stopwatch;
use crate::refusal::{RefusalContext, WaitingRequest};
use crate::request::RequestView;
use crate::source::{self, Presented, TokenCookie};
use crate::verifier::{BadCookie, Verifier};
use crate::verify::{self, Incomplete, KeyLookup, OfSender, Sender, VerifyFuture};

/// A policy at one moment.
#[derive(Clone, Copy)]
pub(crate) struct ActivePolicy<'p> {
    pub(crate) verifier: &'p Arc<Verifier>,
    /// Whether a request without a token passes.
    pub(crate) anonymous: bool,
}

impl ActivePolicy<'_> {
    pub(super) fn start_verify(self, request: &impl RequestView) -> Verification {
        let stopwatch = Stopwatch::start();
        match self.decide(request) {
            Ok(decided) => {
                stopwatch.decided(&self.verifier.rules.terms, outcome(&decided));
                Verification::Done(decided)
            }
            Err((undecided, presented)) => {
                let rules = &self.verifier.rules;
                let is_asked_later =
                    matches!(undecided, Undecided::Token(_)) && rules.looks_at_senders();
                let sender = || Sender::of(rules, request, presented.is_dpop).into_owned();
                let sender = is_asked_later.then(sender);
                let waiting = Waiting { request: WaitingRequest::of(request), sender };
                self.wait(undecided, &presented, waiting, stopwatch)
            }
        }
    }

    /// As [`start_verify`](Self::start_verify), for who cannot wait.
    pub(super) fn verify_now(self, request: &impl RequestView) -> Result<Admission, Rejection> {
        let stopwatch = Stopwatch::start();
        let decided = self.decide(request).unwrap_or_else(|(undecided, presented)| {
            let error = match undecided {
                Undecided::Token(incomplete) => incomplete.into_error_now(),
                Undecided::Proof(..) => {
                    DpopError::Unavailable(ReplaysUnavailable::default()).into()
                }
            };
            self.refuse(error, presented.cookie, &request)
        });
        stopwatch.decided(&self.verifier.rules.terms, outcome(&decided));
        decided
    }

    /// Decides, unless something has to be waited for.
    fn decide<'r>(
        &'r self,
        request: &'r impl RequestView,
    ) -> Result<Result<Admission, Rejection>, (Undecided, Presented<'r>)> {
        let rules = &self.verifier.rules;
        let takes_dpop = rules.dpop.is_some();
        let presented = match source::find(&rules.sources, rules.precedence, takes_dpop, request) {
            Ok(presented) => presented,
            Err(SourceError::Missing | SourceError::DpopScheme) if self.anonymous => {
                return Ok(Ok(self.anonymous_admission()));
            }
            Err(error) => return Ok(Err(self.rejection(error, request))),
        };
        if let Some(cookie) = presented.cookie
            && let Err(error) = rules.origins.check(request, cookie)
        {
            return Ok(Err(self.rejection(error, request)));
        }
        let now = rules.terms.clock.now();
        let sender = || Some(Sender::of(rules, request, presented.is_dpop));
        let error = match verify::verify(self.verifier, presented.token, now, KeyLookup::Allowed) {
            Ok(token) => match token.sent(rules, presented.token, sender, now) {
                Ok(OfSender::Holds(admission)) => return Ok(Ok(admission)),
                Ok(OfSender::NeedsFreshProof(admission, answer)) => {
                    return Err((Undecided::Proof(admission, answer), presented));
                }
                Err(error) => error,
            },
            Err(Incomplete::Rejected(error)) => error,
            Err(incomplete) => return Err((Undecided::Token(incomplete), presented)),
        };
        Ok(self.refuse(error, presented.cookie, &request))
    }

    /// The policy that a request came to is the one that decides about it, whatever replaces it
    /// meanwhile.
    fn wait(
        self,
        undecided: Undecided,
        presented: &Presented<'_>,
        waiting: Waiting,
        stopwatch: Stopwatch,
    ) -> Verification {
        let Self { verifier, anonymous } = self;
        let verifier = Arc::clone(verifier);
        let token = Box::from(presented.token);
        let cookie = presented.cookie.cloned();
        Verification::Pending(VerifyFuture::new(async move {
            let Waiting { request, sender } = waiting;
            let decided = match decide_later(&verifier, &token, undecided, sender).await {
                Ok(admission) => Ok(admission),
                Err(error) => {
                    let active = ActivePolicy { verifier: &verifier, anonymous };
                    active.refuse(error, cookie.as_ref(), &request)
                }
            };
            stopwatch.decided(&verifier.rules.terms, outcome(&decided));
            decided
        }))
    }

    /// Refuses a token, which perhaps came in a cookie.
    fn refuse(
        self,
        error: Error,
        cookie: Option<&TokenCookie>,
        context: &impl RefusalContext,
    ) -> Result<Admission, Rejection> {
        let rules = &self.verifier.rules;
        // Unavailable is not invalid: what could not be decided neither passes as anonymous nor
        // costs the user the cookie.
        let is_invalid = error.unavailable().is_none();
        let reject = |error| Rejection::new(error, Some(Arc::clone(&rules.terms)), context);
        match (cookie, rules.bad_cookie) {
            (Some(_), BadCookie::Anonymous) if is_invalid && self.anonymous => {
                Ok(self.anonymous_admission())
            }
            (Some(cookie), BadCookie::RejectAndClear) if is_invalid => {
                Err(reject(error).clearing(cookie))
            }
            _ => Err(reject(error)),
        }
    }

    fn rejection(self, error: impl Into<Error>, request: &impl RequestView) -> Rejection {
        Rejection::new(error.into(), Some(Arc::clone(&self.verifier.rules.terms)), &request)
    }

    fn anonymous_admission(self) -> Admission {
        Admission::anonymous(Arc::clone(&self.verifier.rules.terms))
    }
}

/// What has to be waited for.
enum Undecided {
    Token(Incomplete),
    /// Whether the proof that it has is fresh.
    Proof(Admission, SpentAnswer),
}

/// What a request leaves for those who wait.
struct Waiting {
    request: WaitingRequest,
    /// Where a policy that looks at senders has not asked for it yet.
    sender: Option<Sender<'static>>,
}

async fn decide_later(
    verifier: &Arc<Verifier>,
    text: &[u8],
    undecided: Undecided,
    sender: Option<Sender<'static>>,
) -> Result<Admission, Error> {
    let (admission, answer) = match undecided {
        Undecided::Proof(admission, answer) => (admission, answer),
        Undecided::Token(incomplete) => {
            let token = verify::resume(verifier, text, incomplete).await?;
            let rules = &verifier.rules;
            match token.sent(rules, text, || sender, rules.terms.clock.now())? {
                OfSender::Holds(admission) => return Ok(admission),
                OfSender::NeedsFreshProof(admission, answer) => (admission, answer),
            }
        }
    };
    verify::await_fresh(answer).await?;
    Ok(admission)
}

/// What operators see of a decision.
fn outcome(decided: &Result<Admission, Rejection>) -> Result<bool, &Error> {
    decided.as_ref().map(|admission| admission.token().is_some()).map_err(Rejection::error)
}
