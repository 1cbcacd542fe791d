//! What operators see of sessions.
use core::fmt;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis::revocation::RevokeError;

use super::error::SessionsUnavailable;
use crate::session::{EndReason, SessionId};

/// What happened to sessions, as one process sees it. It names sessions by their public ids, and nobody.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SessionEvent {
    /// A session ended here.
    Ended {
        /// Which.
        session: SessionId,
        /// Why.
        reason: EndReason,
    },
    /// A refresh token came that is neither current nor a retry: the session ended for
    /// [`Replay`](EndReason::Replay) or [`LostRotation`](EndReason::LostRotation). Either a thief came, or the user after
    /// a thief; or a client kept an old token.
    Replayed {
        /// Which session.
        session: SessionId,
        /// Why it ended.
        reason: EndReason,
        /// How often the session had rotated when the token was written.
        presented: u32,
        /// How often it has.
        current: u32,
        /// How long ago it rotated last.
        age: Duration,
    },
    /// Sessions cannot go on. Said once, until they can.
    Failed(SessionsUnavailable),
    /// Sessions go on again.
    Recovered,
    /// A session ended, or a subject was logged out, and its access tokens could not be revoked: it is tried again each
    /// second, until they are over. Said once, until it can be done.
    NotRevoked {
        /// Why.
        error: RevokeError,
    },
    /// What had ended is revoked again.
    Revoked,
}

impl fmt::Display for SessionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { session, reason } => write!(f, "the session {session} ended: {reason}"),
            Self::Replayed { session, reason, presented, current, age } => write!(
                f,
                "the session {session} ended: {reason} (token of rotation {presented}, and the session is at {current} for {age:?})"
            ),
            Self::Failed(error) => write!(f, "sessions cannot go on: {error}"),
            Self::Recovered => f.write_str("sessions go on again"),
            Self::NotRevoked { error } => write!(
                f,
                "the access tokens of sessions that ended are not revoked yet, which is tried again: {error}"
            ),
            Self::Revoked => {
                f.write_str("the access tokens of all sessions that ended are revoked")
            }
        }
    }
}

impl SessionEvent {
    #[cfg(feature = "tracing")]
    fn trace(&self) {
        match self {
            Self::Ended { .. } | Self::Recovered | Self::Revoked => tracing::info!("{self}"),
            Self::Replayed { .. } => tracing::warn!("{self}"),
            Self::Failed(_) | Self::NotRevoked { .. } => tracing::error!("{self}"),
        }
    }

    #[cfg(not(feature = "tracing"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    fn trace(&self) {}
}

type Observer = dyn Fn(&SessionEvent) + Send + Sync;

/// Who is told.
#[derive(Default)]
pub(super) struct Observers {
    all: Vec<Arc<Observer>>,
    has_failed: AtomicBool,
}

impl Observers {
    pub(super) fn add(&mut self, observer: impl Fn(&SessionEvent) + Send + Sync + 'static) {
        self.all.push(Arc::new(observer));
    }

    pub(super) fn notify(&self, event: &SessionEvent) {
        event.trace();
        for observer in &self.all {
            // It is not ours: a panic ends neither the others nor the request. The panic hook has said so.
            let _ = catch_unwind(AssertUnwindSafe(|| observer(event)));
        }
    }

    pub(super) fn tell_failed(&self, error: &SessionsUnavailable) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            self.notify(&SessionEvent::Failed(error.clone()));
        }
    }

    pub(super) fn tell_done(&self) {
        if self.has_failed.load(Ordering::Relaxed) && self.has_failed.swap(false, Ordering::Relaxed)
        {
            self.notify(&SessionEvent::Recovered);
        }
    }
}
