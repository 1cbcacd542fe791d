//! The thread that looks whether a file changed.
use core::time::Duration;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};

/// How often a file is looked at. Orchestrators take longer to bring a change to the file.
const INTERVAL: Duration = Duration::from_secs(1);

/// A thread that looks at a file once a second, until this is dropped.
///
/// The content is compared, by reading it: notifications of the operating system see neither network mounts
/// nor the symbolic links that orchestrators swap.
pub(crate) struct Watch {
    /// Wakes the thread by being dropped.
    _stop: mpsc::Sender<()>,
}

impl Watch {
    pub(crate) fn start<T: Send + Sync + 'static>(
        thread: &str,
        watched: &Arc<T>,
        look: fn(&T),
    ) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let watched = Arc::downgrade(watched);
        let watch = move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let Some(watched) = watched.upgrade() else { return };
                // A panic of an observer must not end the watch: what is taken out of the file would stay in
                // use. The panic hook has said so.
                let _ = catch_unwind(AssertUnwindSafe(|| look(&watched)));
            }
        };
        std::thread::Builder::new().name(thread.to_owned()).spawn(watch)?;
        Ok(Self { _stop: stop })
    }
}
