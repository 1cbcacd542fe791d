//! Who is asked, and what they may say.
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use std::sync::Arc;

use super::enforce::Enforced;
use crate::error::{Error, RevocationError, RevocationUnavailable};
use crate::terms::NEVER;
use crate::verified::VerifiedToken;

/// Somewhere that knows which tokens were taken back.
///
/// A policy [takes several](crate::PolicyBuilder::revocation_source). A token is refused if one of them
/// says that it was revoked, and, as unavailable (503), if one of them cannot tell.
///
/// ```
/// use std::collections::HashSet;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::{PoisonError, RwLock};
///
/// use portcullis::revocation::{RevocationSource, RevocationStatus};
/// use portcullis::VerifiedToken;
///
/// /// Token ids of one issuer, in memory.
/// #[derive(Debug, Default)]
/// struct Revoked {
///     ids: RwLock<HashSet<String>>,
///     changes: AtomicU64,
/// }
///
/// impl Revoked {
///     fn revoke(&self, id: String) {
///         self.ids.write().unwrap_or_else(PoisonError::into_inner).insert(id);
///         // After the entry is there: see `generation`.
///         self.changes.fetch_add(1, Ordering::Release);
///     }
/// }
///
/// impl RevocationSource for Revoked {
///     fn generation(&self) -> Option<u64> {
///         Some(self.changes.load(Ordering::Acquire))
///     }
///
///     fn status(&self, token: &VerifiedToken) -> RevocationStatus {
///         let ids = self.ids.read().unwrap_or_else(PoisonError::into_inner);
///         match token.token_id() {
///             Some(id) if !ids.contains(id) => RevocationStatus::Active,
///             // What has no id could never be taken back.
///             _ => RevocationStatus::Revoked,
///         }
///     }
/// }
/// ```
pub trait RevocationSource: fmt::Debug + Send + Sync + 'static {
    /// A number that goes up after every change by which an answer could become another one: a new
    /// entry, contact lost or found again.
    ///
    /// A token that was active under a number is not asked about again while the number stays, so
    /// that for a remembered token an unchanged picture costs this call alone. Whoever revokes must
    /// make the entry visible first and raise the number then (`Release`, and here `Acquire`): a
    /// revocation counts from then on.
    ///
    /// `None`: nobody can tell, and [`status`](Self::status) is asked for every request. This is the
    /// implementation you get without one of yours.
    fn generation(&self) -> Option<u64> {
        None
    }

    /// Whether this token was taken back. It passed every other check of the policy.
    ///
    /// Asked on the request's way: it must not wait. An answer that has to be waited for is
    /// [`RevocationStatus::Later`].
    fn status(&self, token: &VerifiedToken) -> RevocationStatus;

    /// Whether it can tell at the moment: for [`Policy::is_ready`](crate::Policy::is_ready). It
    /// decides about no token.
    ///
    /// `true` is the implementation you get without one of yours.
    fn is_available(&self) -> bool {
        true
    }
}

impl<S: RevocationSource + ?Sized> RevocationSource for Arc<S> {
    fn generation(&self) -> Option<u64> {
        (**self).generation()
    }

    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        (**self).status(token)
    }

    fn is_available(&self) -> bool {
        (**self).is_available()
    }
}

/// What a [`RevocationSource`] says of a token.
#[non_exhaustive]
pub enum RevocationStatus {
    /// It was not taken back.
    Active,
    /// It was.
    Revoked,
    /// It cannot be told. The token is refused, and the client told 503, never 401.
    Unavailable(RevocationUnavailable),
    /// It can be told once this is ready. Bound the time that it takes: a request waits for it.
    Later(RevocationAnswer),
}

/// The future of [`RevocationStatus::Later`]: whether the token was revoked.
pub type RevocationAnswer =
    Pin<Box<dyn Future<Output = Result<bool, RevocationUnavailable>> + Send>>;

impl fmt::Debug for RevocationStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("Active"),
            Self::Revoked => f.write_str("Revoked"),
            Self::Unavailable(unavailable) => unavailable.fmt(f),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

/// What becomes of a token of which nobody can tell whether it was taken back.
///
/// For [`PolicyBuilder::unknown_revocation`](crate::PolicyBuilder::unknown_revocation). The other
/// choice is made by [`dangerous::accept_unknown_revocation`](crate::dangerous::accept_unknown_revocation).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct UnknownRevocation {
    pub(crate) is_accepted: bool,
}

/// Whom a policy asks.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) all: Vec<Arc<dyn RevocationSource>>,
    /// Those among them that name what a token needs.
    pub(crate) enforced: Vec<Enforced>,
    pub(crate) unknown: UnknownRevocation,
}

/// What the sources of a policy say of a token that none of them says was taken back.
pub(crate) enum RevocationOutcome {
    Active,
    /// Nobody can tell, and the policy accepts that.
    Unknown,
    Later(PendingAnswers),
}

/// Answers that have to be waited for.
pub(crate) struct PendingAnswers {
    answers: Vec<RevocationAnswer>,
    unknown: UnknownRevocation,
    /// Another source could not tell, and that is accepted.
    is_unknown: bool,
}

impl Sources {
    /// Changes whenever an answer may: each source's number only goes up, so their sum does.
    pub(crate) fn generation(&self) -> u64 {
        let sum = self.all.iter().try_fold(0_u64, |sum, source| {
            source.generation().map(|generation| sum.wrapping_add(generation))
        });
        sum.unwrap_or(NEVER)
    }

    /// Whether a token that has just verified can be taken back at all.
    pub(crate) fn check_needs(&self, token: &VerifiedToken) -> Result<(), Error> {
        self.enforced.iter().try_for_each(|enforced| enforced.check_needs(token))
    }

    /// Asks all of them, so that what one knows does not hang on what another does not.
    pub(crate) fn ask(&self, token: &VerifiedToken) -> Result<RevocationOutcome, RevocationError> {
        let mut unavailable = None;
        let mut answers = Vec::new();
        for source in &self.all {
            match source.status(token) {
                RevocationStatus::Active => {}
                RevocationStatus::Revoked => return Err(RevocationError::Revoked),
                RevocationStatus::Unavailable(error) => unavailable = Some(error),
                RevocationStatus::Later(answer) => answers.push(answer),
            }
        }
        match unavailable {
            Some(error) if !self.unknown.is_accepted => Err(RevocationError::Unavailable(error)),
            _ if !answers.is_empty() => {
                let is_unknown = unavailable.is_some();
                Ok(RevocationOutcome::Later(PendingAnswers {
                    answers,
                    unknown: self.unknown,
                    is_unknown,
                }))
            }
            Some(_) => Ok(RevocationOutcome::Unknown),
            None => Ok(RevocationOutcome::Active),
        }
    }

    /// Whether all of them can tell.
    pub(crate) fn are_available(&self) -> bool {
        self.all.iter().all(|source| source.is_available())
    }
}

impl PendingAnswers {
    /// Waits until all of them have answered. Whether they say that the token is active; if not,
    /// nobody can tell, and the policy accepts that.
    pub(crate) async fn wait(self) -> Result<bool, RevocationError> {
        let mut unavailable = None;
        for answer in self.answers {
            match answer.await {
                Ok(false) => {}
                Ok(true) => return Err(RevocationError::Revoked),
                Err(error) => unavailable = Some(error),
            }
        }
        match unavailable {
            Some(error) if !self.unknown.is_accepted => Err(RevocationError::Unavailable(error)),
            unavailable => Ok(unavailable.is_none() && !self.is_unknown),
        }
    }
}
