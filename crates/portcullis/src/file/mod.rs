//! Files that may change while the service runs.
mod settled;
mod watch;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

pub(crate) use self::settled::{Look, Settled};
pub(crate) use self::watch::{FileStatus, FileUser, Watch, WatchedFile};

/// What a file holds, or why it cannot be read.
pub(crate) type Content = Result<Zeroizing<Vec<u8>>, io::ErrorKind>;

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
        io::ErrorKind::InvalidInput => "it is not a regular file".to_owned(),
        io::ErrorKind::FileTooLarge => "it is too large".to_owned(),
        other => other.to_string(),
    }
}
