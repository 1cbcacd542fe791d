//! Files that may change while the service runs.
use core::time::Duration;
use std::fs::File;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
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

/// What a file holds, or why it cannot be read.
pub(crate) type Content = Result<Zeroizing<Vec<u8>>, io::ErrorKind>;

/// Why a file is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// It is time to. Nobody knows whether somebody is writing to it.
    Routine,
    /// Somebody asks for it, who knows that it is whole.
    Asked,
}

/// A file, and the content that counts: what was there first, and then what two looks in a row found alike.
///
/// A file that is being written has a beginning that may be a policy of its own, and a weaker one.
pub(crate) struct Settled {
    path: PathBuf,
    limit: usize,
    content: Content,
    /// Another one, which the last look found.
    next: Option<Content>,
}

impl Settled {
    /// Reads a file of at most `limit` bytes.
    pub(crate) fn open(path: &Path, limit: usize) -> Self {
        Self { path: path.to_owned(), limit, content: read(path, limit), next: None }
    }

    /// The content that counts.
    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// Reads the file again. Whether another content counts from now on.
    pub(crate) fn look(&mut self, look: Look) -> bool {
        let found = read(&self.path, self.limit);
        if found == self.content {
            self.next = None;
            return false;
        }
        if look == Look::Asked || self.next.as_ref() == Some(&found) {
            self.content = found;
            self.next = None;
            return true;
        }
        self.next = Some(found);
        false
    }
}

/// Reads a file of `limit` bytes, and one more of a larger one, which shows that it is.
pub(crate) fn read(path: &Path, limit: usize) -> Content {
    let read = || {
        // Opening a pipe would wait for whoever writes to it.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut content = Zeroizing::new(Vec::new());
        File::open(path)?.take(limit as u64 + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    read().map_err(|error: io::Error| error.kind())
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

#[cfg(test)]
mod tests {
    use super::Look::{Asked, Routine};
    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf, Settled) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "one").expect("a file");
        let file = Settled::open(&path, 16);
        (folder, path, file)
    }

    fn content(file: &Settled) -> Result<&[u8], io::ErrorKind> {
        file.content().as_ref().map(|content| &***content).map_err(|kind| *kind)
    }

    #[test]
    fn a_file_that_is_being_written_does_not_count_before_two_looks_find_it_alike() {
        let (_folder, path, mut file) = file();
        for part in ["t", "tw", "two"] {
            std::fs::write(&path, part).expect("a file");
            assert!(!file.look(Routine), "{part}");
            assert_eq!(content(&file), Ok(&b"one"[..]), "{part}");
        }
        assert!(file.look(Routine));
        assert_eq!(content(&file), Ok(&b"two"[..]));
        assert!(!file.look(Routine));
    }

    #[test]
    fn a_file_that_is_away_for_a_moment_or_comes_back_as_it_was_has_not_changed() {
        let (_folder, path, mut file) = file();
        std::fs::remove_file(&path).expect("it was there");
        assert!(!file.look(Routine));
        std::fs::write(&path, "one").expect("a file");
        assert!(!file.look(Routine));
        // What came before it does not count for what comes after it.
        std::fs::remove_file(&path).expect("it was there");
        assert!(!file.look(Routine));
        assert!(file.look(Routine));
        assert_eq!(content(&file), Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn who_asks_knows_that_the_file_is_whole() {
        let (_folder, path, mut file) = file();
        std::fs::write(&path, "two").expect("a file");
        assert!(file.look(Asked));
        assert_eq!(content(&file), Ok(&b"two"[..]));
        assert!(!file.look(Asked));
    }
}
