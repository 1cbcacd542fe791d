//! The thread that follows and writes: no runtime of a caller has to go on for it.
use core::future::Future;
use core::time::Duration;
use std::sync::Arc;
use std::thread::Builder;

use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::connection::failed;
use crate::error::RedisError;

/// How long to wait before what panicked begins anew.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// A thread with a runtime of its own, which ends with the last that has this.
#[derive(Debug)]
pub(crate) struct Thread {
    handle: Handle,
    /// Ends it by being dropped.
    _stop: oneshot::Sender<()>,
}

impl Thread {
    pub(crate) fn start() -> Result<Arc<Self>, RedisError> {
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            // An error is the end that is waited for.
            let _ = runtime.block_on(stopped);
        };
        Builder::new().name("portcullis-redis".to_owned()).spawn(run).map_err(failed)?;
        Ok(Arc::new(Self { handle, _stop: stop }))
    }

    /// Runs `task` there, whether its answer is waited for or not. `None`: it panicked, or the thread ended.
    pub(crate) fn run<F>(&self, task: F) -> impl Future<Output = Option<F::Output>> + Send + use<F>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let task = self.handle.spawn(task);
        async move { task.await.ok() }
    }

    /// Runs what `begin` begins, until it ends. A panic is a fault of ours, and ends nothing: it begins anew. Logs name it by `what`.
    pub(crate) async fn keep_at<F>(
        &self,
        #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "for logs"))]
        what: &str,
        mut begin: impl FnMut() -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        while self.run(begin()).await.is_none() {
            #[cfg(feature = "tracing")]
            tracing::error!("{what} panicked, and begins anew");
            sleep(AFTER_PANIC).await;
        }
    }
}
