use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

/// What `asked` comes to, or `late` where that takes longer than `limit`.
///
/// Only what has to be waited for needs a timer. Where no tokio runs, nothing is bounded.
pub(crate) async fn within<T, E>(
    limit: Duration,
    asked: impl Future<Output = Result<T, E>>,
    late: impl FnOnce(Duration) -> E,
) -> Result<T, E> {
    let mut asked = pin!(asked);
    let at_once = poll_fn(|context| Poll::Ready(asked.as_mut().poll(context))).await;
    match at_once {
        Poll::Ready(answer) => answer,
        Poll::Pending if Handle::try_current().is_err() => asked.await,
        Poll::Pending => timeout(limit, asked).await.unwrap_or_else(|_| Err(late(limit))),
    }
}
