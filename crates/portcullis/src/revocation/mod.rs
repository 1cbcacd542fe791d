//! Whether a token was taken back.
//!
//! The step after the claims, and the last. A remembered token is asked about again whenever an
//! answer may have changed.
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

use crate::verified::VerifiedToken;

/// Somewhere that knows which tokens were taken back.
///
/// A policy [takes several](crate::PolicyBuilder::revocation). A token is refused if one of them
/// says that it was revoked, and, as unavailable (503), if one of them cannot tell.
///
/// ```
/// use std::collections::HashSet;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::{PoisonError, RwLock};
///
/// use portcullis::{RevocationSource, RevocationStatus, VerifiedToken};
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
}

impl<S: RevocationSource + ?Sized> RevocationSource for Arc<S> {
    fn generation(&self) -> Option<u64> {
        (**self).generation()
    }

    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        (**self).status(token)
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

/// Which tokens were taken back cannot be told at the moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RevocationUnavailable {
    /// How long a client should wait, where that is known. Rounded up to whole seconds.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for RevocationUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("which tokens were revoked cannot be told at the moment")
    }
}

impl core::error::Error for RevocationUnavailable {}

/// A token was taken back, or may have been.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RevocationError {
    /// It was taken back.
    Revoked,
    /// It cannot be told. Never the client's fault.
    Unavailable(RevocationUnavailable),
}

impl fmt::Display for RevocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked => f.write_str("the token was revoked"),
            Self::Unavailable(unavailable) => unavailable.fmt(f),
        }
    }
}

impl core::error::Error for RevocationError {}

/// All sources of a policy.
#[derive(Debug, Default)]
pub(crate) struct Revocations(pub(crate) Vec<Arc<dyn RevocationSource>>);

/// The [`Revocations::generation`] of sources that cannot tell.
pub(crate) const NEVER: u64 = u64::MAX;

/// Answers that have to be waited for.
pub(crate) struct PendingAnswers(Vec<RevocationAnswer>);

impl Revocations {
    /// Changes whenever an answer may: each source's number only goes up, so their sum does.
    pub(crate) fn generation(&self) -> u64 {
        let sum = self.0.iter().try_fold(0_u64, |sum, source| {
            source.generation().map(|generation| sum.wrapping_add(generation))
        });
        sum.unwrap_or(NEVER)
    }

    /// Asks all of them, so that what one knows does not hang on what another does not. Nothing
    /// where the token is active.
    pub(crate) fn ask(
        &self,
        token: &VerifiedToken,
    ) -> Result<Option<PendingAnswers>, RevocationError> {
        let mut unavailable = None;
        let mut pending = Vec::new();
        for source in &self.0 {
            match source.status(token) {
                RevocationStatus::Active => {}
                RevocationStatus::Revoked => return Err(RevocationError::Revoked),
                RevocationStatus::Unavailable(error) => unavailable = Some(error),
                RevocationStatus::Later(answer) => pending.push(answer),
            }
        }
        match unavailable {
            Some(error) => Err(RevocationError::Unavailable(error)),
            None => Ok((!pending.is_empty()).then_some(PendingAnswers(pending))),
        }
    }
}

impl PendingAnswers {
    /// Waits until all of them have said that the token is active.
    pub(crate) async fn settle(self) -> Result<(), RevocationError> {
        let mut unavailable = None;
        for answer in self.0 {
            match answer.await {
                Ok(false) => {}
                Ok(true) => return Err(RevocationError::Revoked),
                Err(error) => unavailable = Some(error),
            }
        }
        unavailable.map_or(Ok(()), |error| Err(RevocationError::Unavailable(error)))
    }
}
