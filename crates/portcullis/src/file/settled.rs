//! Which content of a file counts, though somebody may be writing to it.
use std::path::{Path, PathBuf};

use super::{Content, read};

/// Why a file is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// It is time to. Nobody knows whether somebody is writing to it.
    Routine,
    /// Somebody asks for it, who knows that it is whole.
    Requested,
}

/// A file, and the content that counts: what was there first, and then what two looks in a row found alike.
///
/// A file that is being written has a beginning that may be a policy of its own, and a weaker one.
pub(crate) struct Settled {
    pub(super) path: PathBuf,
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
        if look == Look::Requested || self.next.as_ref() == Some(&found) {
            self.content = found;
            self.next = None;
            return true;
        }
        self.next = Some(found);
        false
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Look::{Requested, Routine};
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
        assert!(file.look(Requested));
        assert_eq!(content(&file), Ok(&b"two"[..]));
        assert!(!file.look(Requested));
    }
}
