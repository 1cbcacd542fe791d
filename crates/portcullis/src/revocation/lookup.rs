//! A source that has to be waited for.
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;
use std::sync::Arc;

use super::source::{RevocationAnswer, RevocationSource, RevocationStatus};
use crate::error::RevocationUnavailable;
use crate::verified::VerifiedToken;

/// A [`RevocationSource`] of your own that has to be waited for, within a time limit: a service, a
/// database. It is asked for every request, remembered tokens included.
///
/// What takes longer, or fails, is *unavailable*: the client is told 503, unless the policy
/// [says otherwise](crate::PolicyBuilder::unknown_revocation). It needs a tokio runtime with time, as
/// axum and actix-web have.
///
/// ```
/// use std::time::Duration;
/// use portcullis::error::RevocationUnavailable;
/// use portcullis::revocation::RevocationLookup;
/// use portcullis::VerifiedToken;
///
/// async fn is_revoked(id: &str) -> std::io::Result<bool> {
///     Ok(id == "stolen") // a query
/// }
///
/// let source = RevocationLookup::new(
///     Duration::from_millis(50),
///     async |token: VerifiedToken| {
///         // Without an id it could not be taken back.
///         let Some(id) = token.token_id() else { return Ok(true) };
///         is_revoked(id).await.map_err(|_| RevocationUnavailable::default())
///     },
/// );
/// # let _ = source;
/// ```
pub struct RevocationLookup {
    limit: Duration,
    ask: Arc<Ask>,
}

type Ask = dyn Fn(VerifiedToken) -> RevocationAnswer + Send + Sync;

impl RevocationLookup {
    /// Asks `ask` whether a token was revoked, and waits for `limit` at most.
    pub fn new<F>(limit: Duration, ask: impl Fn(VerifiedToken) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<bool, RevocationUnavailable>> + Send + 'static,
    {
        let ask = move |token| -> RevocationAnswer { Box::pin(ask(token)) };
        Self { limit, ask: Arc::new(ask) }
    }
}

impl RevocationSource for RevocationLookup {
    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        let (limit, answer) = (self.limit, (self.ask)(token.clone()));
        let answer: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
            tokio::time::timeout(limit, answer)
                .await
                .unwrap_or_else(|_| Err(RevocationUnavailable::default()))
        });
        RevocationStatus::Later(answer)
    }
}

impl fmt::Debug for RevocationLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationLookup").field("limit", &self.limit).finish_non_exhaustive()
    }
}
