//! Problem details of a route's own.
use http::StatusCode;

use super::reply::Reply;
use crate::policy::Policy;
use crate::refusal;

/// What a route says of a request that failed: problem details (RFC 9457). It repeats nothing of the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The status code.
    pub status: StatusCode,
    /// A word for programs: lower case, with hyphens.
    pub code: &'static str,
    /// A few words, the same for each problem of this code.
    pub title: &'static str,
    /// A sentence for whoever reads it.
    pub detail: &'static str,
}

impl Problem {
    /// The answer that says so as refusals look without a [`Presentation`](crate::Presentation).
    pub fn reply<E>(self) -> Reply<E> {
        let Self { status, code, title, detail } = self;
        let body = refusal::without_policy().problem(status, (code, title, detail));
        Reply::new(status).with_body("application/problem+json", body)
    }

    /// The answer that says so as refusals of this policy look. Its hook does not see it.
    pub fn reply_of<E>(self, policy: &Policy) -> Reply<E> {
        let Self { status, code, title, detail } = self;
        let rules = policy.rules();
        let body = rules.terms.presentation.problem(status, (code, title, detail));
        Reply::new(status).with_body("application/problem+json", body)
    }
}
