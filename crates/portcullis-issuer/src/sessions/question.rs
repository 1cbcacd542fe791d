//! What the application is asked at every login and refresh.
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use serde::Serialize;
use serde_json::{Map, Value};

use super::session::Session;
use crate::debug_as_displayed::debug_as_displayed;
use crate::session::EndReason;
use crate::token::{MintError, NoClaims};

/// Whether a session's subject may go on: what the application answers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer<C = NoClaims> {
    /// It may, and its access token says this besides: a value that serializes as an object, without any of the [reserved
    /// names](crate::RESERVED_CLAIMS).
    GoOn(C),
    /// It may not: the session ends for this reason.
    End(EndReason),
}

impl Answer {
    /// It may go on, and its access token says nothing of the application's own.
    pub fn go_on() -> Self {
        Self::GoOn(NoClaims {})
    }
}

/// The application cannot tell whether a subject may go on. The request is answered with 503, and nothing is consumed.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub struct Unanswered {
    /// Why, for logs. Nothing of the subject.
    pub reason: String,
}

impl Unanswered {
    /// It cannot tell, for this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the application cannot tell whether the subject may go on: {}", self.reason)
    }
}

impl core::error::Error for Unanswered {}

debug_as_displayed!(Unanswered);

/// What the answer comes to.
pub(super) enum Answered {
    GoOn(Map<String, Value>),
    End(EndReason),
    /// The claims are not an object.
    Fault(MintError),
}

type Asking = Pin<Box<dyn Future<Output = Result<Answered, Unanswered>> + Send>>;

/// The application's question, whatever its claims are.
pub(super) type Question = dyn Fn(Session) -> Asking + Send + Sync;

pub(super) fn boxed<F, C, Fut>(ask: F) -> Box<Question>
where
    F: Fn(Session) -> Fut + Send + Sync + 'static,
    C: Serialize,
    Fut: Future<Output = Result<Answer<C>, Unanswered>> + Send + 'static,
{
    Box::new(move |session| {
        let asked = ask(session);
        Box::pin(async move {
            Ok(match asked.await? {
                Answer::End(reason) => Answered::End(reason),
                Answer::GoOn(claims) => match serde_json::to_value(claims) {
                    Ok(Value::Object(claims)) => Answered::GoOn(claims),
                    Ok(_) | Err(_) => Answered::Fault(MintError::NotAnObject),
                },
            })
        })
    })
}
