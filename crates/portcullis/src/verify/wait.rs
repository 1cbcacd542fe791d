//! What a token waits for, and how it goes on.
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::recheck::check_again;
use super::sender::AnySender;
use super::verify;
use crate::admission::{Admission, Rejection};
use crate::error::{Error, RevocationError, RevocationUnavailable};
use crate::keys::{KeyError, KeyFuture, KeysUnavailable};
use crate::revocation::PendingAnswers;
use crate::terms::Generation;
use crate::verified::VerifiedToken;
use crate::verifier::Verifier;

/// Why a token is not verified, or not yet.
pub(crate) enum Incomplete {
    Rejected(Error),
    /// No key is known for it, and these may find one.
    NeedsKey(Vec<KeyFuture>),
    /// Whether it was revoked is not known yet.
    NeedsRevocation(Pending),
}

/// A token of which all is known but whether it was revoked.
pub(crate) struct Pending {
    pub(super) token: VerifiedToken,
    pub(super) generation: Generation,
    pub(super) answers: PendingAnswers,
}

impl Incomplete {
    /// For who does not wait for what it waits for.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Rejected(error) => error,
            Self::NeedsKey(_) => KeyError::Unknown.into(),
            Self::NeedsRevocation(_) => {
                RevocationError::Unavailable(RevocationUnavailable::default()).into()
            }
        }
    }

    /// For who cannot wait: what may come counts as unavailable.
    pub(crate) fn into_error_now(self) -> Error {
        match self {
            Self::NeedsKey(_) => KeyError::Unavailable(KeysUnavailable::default()).into(),
            other => other.into_error(),
        }
    }
}

impl<E: Into<Error>> From<E> for Incomplete {
    fn from(error: E) -> Self {
        Self::Rejected(error.into())
    }
}

/// Whether sources may be told to look for a key.
#[derive(Clone, Copy)]
pub(crate) enum KeyLookup<'a> {
    Allowed,
    /// They were, and one of them may not have been able to.
    Exhausted(Option<&'a KeysUnavailable>),
}

/// Where a key was missing, waits until all sources have looked for it, and tries `again`, once: nobody is told to
/// look twice. What one of them could not do is told. Waiting takes time, and keys may be others then: `again` asks
/// all anew.
pub(super) async fn after_keys<T>(
    incomplete: Incomplete,
    again: impl FnOnce(KeyLookup<'_>) -> Result<T, Incomplete>,
) -> Result<T, Incomplete> {
    let Incomplete::NeedsKey(lookups) = incomplete else { return Err(incomplete) };
    let mut unavailable = None;
    for lookup in lookups {
        if let Err(error) = lookup.await {
            unavailable = Some(error);
        }
    }
    again(KeyLookup::Exhausted(unavailable.as_ref()))
}

/// Verifies the text of a token once what it waits for has come.
pub(crate) async fn resume(
    verifier: &Verifier,
    text: &[u8],
    incomplete: Incomplete,
) -> Result<AnySender, Error> {
    let Verifier { rules, cache, .. } = verifier;
    let again = |lookup: KeyLookup<'_>| verify(verifier, text, rules.terms.clock.now(), lookup);
    let incomplete = match after_keys(incomplete, again).await {
        Ok(token) => return Ok(token),
        Err(incomplete) => incomplete,
    };
    let Incomplete::NeedsRevocation(Pending { token, generation, answers }) = incomplete else {
        return Err(incomplete.into_error());
    };
    let is_active = answers.wait().await?;
    let now = rules.terms.clock.now();
    check_again(rules, &token, now, KeyLookup::Exhausted(None)).map_err(Incomplete::into_error)?;
    if is_active {
        token.set_active_in(generation);
    }
    cache.insert(text, &token);
    Ok(AnySender(token))
}

/// The future of [`Verification::Pending`](crate::policy::Verification::Pending).
#[must_use = "futures do nothing unless polled"]
pub struct VerifyFuture(Pin<Box<dyn Future<Output = Result<Admission, Rejection>> + Send>>);

impl VerifyFuture {
    pub(crate) fn new(
        future: impl Future<Output = Result<Admission, Rejection>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for VerifyFuture {
    type Output = Result<Admission, Rejection>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for VerifyFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyFuture").finish_non_exhaustive()
    }
}
