//! How a policy decides about a request.
use std::sync::Arc;

use super::{BadCookie, Check, Verifier};
use crate::admission::{Admission, Rejection};
use crate::error::Error;
use crate::presentation::ResponseForm;
use crate::request::RequestView;
use crate::source::{self, Presented, SourceError};
use crate::verify::{self, Blocked, Seeking, Waiting};

/// A policy at one moment.
#[derive(Clone, Copy)]
pub(super) struct InForce<'p> {
    pub(super) verifier: &'p Arc<Verifier>,
    /// Whether a request without a token passes.
    pub(super) anonymous: bool,
}

impl InForce<'_> {
    pub(super) fn check<V: RequestView + ?Sized>(self, request: &V) -> Check {
        let rules = &self.verifier.rules;
        let presented = match source::find(&rules.sources, rules.precedence, request) {
            Ok(presented) => presented,
            Err(SourceError::Missing)
                if self.anonymous || (rules.admits_preflights && is_preflight(request)) =>
            {
                return Check::Done(Ok(self.anonymous_admission()));
            }
            Err(error) => return Check::Done(Err(self.rejection(error, request))),
        };
        if presented.cookie.is_some()
            && let Err(error) = rules.origins.check(request)
        {
            return Check::Done(Err(self.rejection(error, request)));
        }
        let now = rules.clock.now();
        match verify::verify(self.verifier, presented.token, now, Seeking::Possible) {
            Ok(token) => Check::Done(Ok(Admission::verified(token))),
            Err(Blocked::Refused(error)) => {
                Check::Done(self.refuse(error, presented.cookie, ResponseForm::of(request)))
            }
            Err(blocked) => self.wait(blocked, &presented, ResponseForm::of(request)),
        }
    }

    /// The policy that a request came to is the one that decides about it, whatever replaces it
    /// meanwhile.
    fn wait(self, blocked: Blocked, presented: &Presented<'_>, form: ResponseForm) -> Check {
        let Self { verifier, anonymous } = self;
        let verifier = Arc::clone(verifier);
        let token = Box::from(presented.token);
        let cookie = presented.cookie.map(Box::<str>::from);
        Check::Wait(Waiting::new(async move {
            match verify::resume(&verifier, &token, blocked).await {
                Ok(token) => Ok(Admission::verified(token)),
                Err(error) => {
                    let in_force = InForce { verifier: &verifier, anonymous };
                    in_force.refuse(error, cookie.as_deref(), form)
                }
            }
        }))
    }

    /// Refuses a token, which perhaps came in a cookie.
    fn refuse(
        self,
        error: Error,
        cookie: Option<&str>,
        form: ResponseForm,
    ) -> Result<Admission, Rejection> {
        let rules = &self.verifier.rules;
        // Unavailable is not invalid: what could not be decided neither passes as anonymous nor
        // costs the user the cookie.
        let is_invalid = error.unavailable().is_none();
        let rejection = Rejection::new(error, Some(Arc::clone(rules)), form);
        match (cookie, rules.bad_cookie) {
            (Some(_), BadCookie::Anonymous) if is_invalid && self.anonymous => {
                Ok(self.anonymous_admission())
            }
            (Some(name), BadCookie::RejectAndClear) if is_invalid => Err(rejection.clearing(name)),
            _ => Err(rejection),
        }
    }

    fn rejection<V: RequestView + ?Sized>(self, error: impl Into<Error>, request: &V) -> Rejection {
        Rejection::new(
            error.into(),
            Some(Arc::clone(&self.verifier.rules)),
            ResponseForm::of(request),
        )
    }

    fn anonymous_admission(self) -> Admission {
        Admission::anonymous(Arc::clone(&self.verifier.rules), self.anonymous)
    }
}

/// The CORS protocol of the Fetch standard: a preflight never carries credentials.
fn is_preflight<V: RequestView + ?Sized>(request: &V) -> bool {
    request.method() == "OPTIONS"
        && request.header("origin").next().is_some()
        && request.header("access-control-request-method").next().is_some()
}
