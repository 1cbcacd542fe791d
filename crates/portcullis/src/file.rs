//! Files that may change while the service runs.
use core::time::Duration;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};

use zeroize::Zeroizing;

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

/// Reads a file of `limit` bytes, and one more of a larger one, which shows that it is.
pub(crate) fn read(path: &Path, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    // Opening a pipe would wait for whoever writes to it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut content = Zeroizing::new(Vec::new());
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

/// Why a file cannot be read, in words of a user.
pub(crate) fn unreadable_reason(kind: io::ErrorKind) -> String {
    match kind {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::InvalidInput => "it is no regular file".to_owned(),
        io::ErrorKind::FileTooLarge => "it is too large".to_owned(),
        other => other.to_string(),
    }
}
