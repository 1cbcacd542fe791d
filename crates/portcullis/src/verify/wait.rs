//! What a token waits for, and how it goes on.
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use super::recheck::check_again;
use super::verify;
use crate::admission::{Admission, Rejection};
use crate::error::{Error, RevocationError, RevocationUnavailable};
use crate::keys::{KeyError, KeysUnavailable, Seek};
use crate::revocation::PendingAnswers;
use crate::rules::Verifier;
use crate::terms::Generation;
use crate::verified::VerifiedToken;

/// Why a token is not verified, or not yet.
pub(crate) enum Blocked {
    Refused(Error),
    /// No key is known for it, and these may find one.
    Keys(Vec<Seek>),
    /// Whether it was revoked is not known yet.
    Revocation(Pending),
}

/// A token of which all is known but whether it was revoked.
pub(crate) struct Pending {
    pub(super) token: VerifiedToken,
    pub(super) generation: Generation,
    pub(super) answers: PendingAnswers,
}

impl Blocked {
    /// For who does not wait for what it waits for.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Keys(_) => KeyError::Unknown.into(),
            Self::Revocation(_) => {
                RevocationError::Unavailable(RevocationUnavailable::default()).into()
            }
        }
    }

    /// For who cannot wait: what may come counts as unavailable.
    pub(crate) fn into_error_now(self) -> Error {
        match self {
            Self::Keys(_) => KeyError::Unavailable(KeysUnavailable::default()).into(),
            other => other.into_error(),
        }
    }
}

impl<E: Into<Error>> From<E> for Blocked {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// Whether sources may be told to look for a key.
#[derive(Clone, Copy)]
pub(crate) enum Seeking {
    Possible,
    /// They were, and one of them may not have been able to.
    Over(Option<KeysUnavailable>),
}

/// Waits until all have looked for a key. What one of them could not do is told.
pub(super) async fn sought(seeks: Vec<Seek>) -> Option<KeysUnavailable> {
    let mut unavailable = None;
    for seek in seeks {
        if let Err(error) = seek.await {
            unavailable = Some(error);
        }
    }
    unavailable
}

/// Verifies the text of a token once what it waits for has come.
pub(crate) async fn resume(
    verifier: &Verifier,
    text: &[u8],
    blocked: Blocked,
) -> Result<VerifiedToken, Error> {
    let Verifier { rules, cache, .. } = verifier;
    let blocked = match blocked {
        Blocked::Keys(seeks) => {
            let unavailable = sought(seeks).await;
            // Waiting took time, and the keys may be others: all is asked anew.
            match verify(verifier, text, rules.terms.clock.now(), Seeking::Over(unavailable)) {
                Ok(token) => return Ok(token),
                Err(blocked) => blocked,
            }
        }
        blocked => blocked,
    };
    match blocked {
        Blocked::Refused(error) => Err(error),
        // Nobody is told to look twice.
        Blocked::Keys(_) => Err(KeyError::Unknown.into()),
        Blocked::Revocation(Pending { token, generation, answers }) => {
            let is_active = answers.settle().await?;
            let now = rules.terms.clock.now();
            check_again(rules, &token, now, Seeking::Over(None)).map_err(Blocked::into_error)?;
            if is_active {
                token.set_active_in(generation);
            }
            cache.insert(text, &token);
            Ok(token)
        }
    }
}

/// The future of [`Check::Wait`](crate::Check::Wait).
#[must_use = "futures do nothing unless polled"]
pub struct Waiting(Pin<Box<dyn Future<Output = Result<Admission, Rejection>> + Send>>);

impl Waiting {
    pub(crate) fn new(
        future: impl Future<Output = Result<Admission, Rejection>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(future))
    }
}

impl Future for Waiting {
    type Output = Result<Admission, Rejection>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}
