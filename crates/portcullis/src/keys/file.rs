//! Keys in a file that may change while the service runs.
use core::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::set::{Inner, Skipped};
use super::{KeyFault, KeySet, KeySource, jwk};
use crate::debug_as_displayed::debug_as_displayed;
use crate::file::{Content, FileStatus, FileUser, Settled, Watch, WatchedFile, unreadable_reason};
use crate::listeners::Listeners;

/// A file of public keys, read again whenever its content changes.
///
/// The content is compared once a second, by reading it: notifications of the operating system see
/// neither network mounts nor the symbolic links that orchestrators swap, and the file is small. Another one
/// counts when two looks in a row find it, so 1 to 2 s after the change: a file that is being written is not taken
/// over half. Still write it beside and rename it, as orchestrators do by swapping a link; a writer that pauses
/// for longer is not noticed, nor one that writes while the file is opened.
///
/// A new content replaces the keys only if it can be used. A broken one, or a file that went
/// missing, keeps the keys that were good and says so: to the [observer](KeyFileOptions::on_event),
/// in the [status](Self::status), and as a `tracing` warning (feature `tracing`). A key that is no
/// longer in the file is refused with the next request.
///
/// Cheap to clone. The thread that looks at the file ends when the last clone, and the last policy
/// with one, is gone.
///
/// ```no_run
/// use portcullis::KeyFile;
///
/// let keys = KeyFile::jwks("/etc/keys/jwks.json").open()?;
/// # let _ = keys;
/// # Ok::<_, portcullis::keys::KeyFileError>(())
/// ```
#[derive(Clone)]
pub struct KeyFile {
    file: Arc<WatchedFile<Keys>>,
    _watch: Arc<Watch>,
}

type Reader = dyn Fn(&[u8]) -> Result<KeySet, KeyFault> + Send + Sync;
type Observer = dyn Fn(&KeyFileEvent) + Send + Sync;

/// The keys of a file.
struct Keys {
    read: Box<Reader>,
    observers: Listeners<Observer>,
    current: ArcSwap<Inner>,
}

/// How a [`KeyFile`] is doing.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct KeyFileStatus {
    /// How many times new keys were taken over since the file was opened.
    pub reloads: u64,
    /// Why the file as it is now is not used, and keys read before are.
    pub fault: Option<KeyFault>,
}

/// What happened to a [`KeyFile`].
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum KeyFileEvent {
    /// Its new content is in use.
    Reloaded {
        /// The keys, which work for as long as the file has them.
        keys: KeySet,
    },
    /// Its new content cannot be used. The keys read before stay.
    Failed {
        /// Why.
        fault: KeyFault,
    },
}

/// In one line.
impl fmt::Display for KeyFileEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reloaded { keys } => {
                write!(f, "the key file changed, and its new keys are in use{}", Skipped(keys))
            }
            Self::Failed { fault } => write!(
                f,
                "the key file changed and cannot be used, and the keys before it stay in use: {fault}"
            ),
        }
    }
}

impl KeyFile {
    /// A file with a JWK set (see [`KeySet::from_jwks`]).
    pub fn jwks(path: impl Into<PathBuf>) -> KeyFileOptions {
        KeyFileOptions::new(path, |content| KeySet::from_jwks(content))
    }

    /// A file with public keys in PEM (see [`KeySet::from_pem`]).
    pub fn pem(path: impl Into<PathBuf>) -> KeyFileOptions {
        KeyFileOptions::new(path, |content| KeySet::from_pem(content))
    }

    /// Looks at the file now, and takes over what is there: call it when the file is whole.
    ///
    /// # Errors
    ///
    /// Its content cannot be used. The keys read before stay.
    pub fn reload(&self) -> Result<(), KeyFileError> {
        let path = self.file.path();
        self.file.reload().map_err(|fault| KeyFileError { path: path.to_owned(), fault })
    }

    /// How it is doing.
    pub fn status(&self) -> KeyFileStatus {
        let FileStatus { reloads, fault } = self.file.status();
        KeyFileStatus { reloads, fault }
    }
}

impl KeySource for KeyFile {
    fn keys(&self) -> KeySet {
        self.file.user().keys()
    }

    fn describe(&self) -> String {
        format!("the file {}", self.file.path().display())
    }
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile").field("path", &self.file.path()).finish_non_exhaustive()
    }
}

/// A [`KeyFile`] not opened yet.
#[must_use]
pub struct KeyFileOptions {
    path: PathBuf,
    read: Box<Reader>,
    observers: Listeners<Observer>,
}

impl KeyFileOptions {
    pub(super) fn new(
        path: impl Into<PathBuf>,
        read: impl Fn(&[u8]) -> Result<KeySet, KeyFault> + Send + Sync + 'static,
    ) -> Self {
        Self { path: path.into(), read: Box::new(read), observers: Listeners::default() }
    }

    /// Reads the keys under an id, which tokens then have to name. For PEM, which carries none.
    ///
    /// If you do not call it: keys have the ids that the file gives them.
    pub fn key_id(self, id: impl Into<String>) -> Self {
        let (read, id) = (self.read, id.into());
        Self { read: Box::new(move |content| read(content)?.with_key_id(&id)), ..self }
    }

    /// Is told when the file changed, from the thread that looks at it.
    ///
    /// Called again, all are told. If you do not call it: nobody is, but for `tracing`.
    pub fn on_event(mut self, observer: impl Fn(&KeyFileEvent) + Send + Sync + 'static) -> Self {
        self.observers.add(Arc::new(observer));
        self
    }

    /// Reads the file and starts to look at it.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no usable key.
    pub fn open(self) -> Result<KeyFile, KeyFileError> {
        let file = Arc::new(self.read()?);
        let watch = file.watch("portcullis-keys").map_err(|error| {
            let (path, fault) = (file.path().to_owned(), unreadable(error.kind()));
            KeyFileError { path, fault }
        })?;
        Ok(KeyFile { file, _watch: Arc::new(watch) })
    }

    /// Reads the file, at which nobody looks yet.
    fn read(self) -> Result<WatchedFile<Keys>, KeyFileError> {
        let Self { path, read, observers } = self;
        let file = Settled::open(&path, jwk::MAX_BYTES);
        let keys = keys_of(&*read, file.content()).map_err(|fault| KeyFileError { path, fault })?;
        let current = ArcSwap::new(keys.0);
        Ok(WatchedFile::new(file, Keys { read, observers, current }))
    }
}

impl fmt::Debug for KeyFileOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFileOptions").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Keys {
    fn keys(&self) -> KeySet {
        KeySet(self.current.load_full())
    }
}

impl FileUser for Keys {
    type New = KeySet;
    type Fault = KeyFault;

    fn take_over(&self, _: &Path, content: &Content) -> Option<Result<KeySet, KeyFault>> {
        Some(keys_of(&*self.read, content).map(|keys| {
            let old = self.keys();
            let keys = keys.succeeding(&old);
            // In this order: a key that stays is never missing.
            self.current.store(Arc::clone(&keys.0));
            old.give_way_to(&keys);
            keys
        }))
    }

    #[cfg_attr(
        not(feature = "tracing"),
        expect(unused_variables, reason = "only `tracing` is told the file")
    )]
    fn announce(&self, path: &Path, outcome: Result<KeySet, KeyFault>) {
        let event = match outcome {
            Ok(keys) => KeyFileEvent::Reloaded { keys },
            Err(fault) => KeyFileEvent::Failed { fault },
        };
        #[cfg(feature = "tracing")]
        match &event {
            KeyFileEvent::Reloaded { keys } => {
                tracing::info!(path = %path.display(), keys = keys.len(), "key file reloaded");
                for skipped in keys.skipped() {
                    tracing::warn!(path = %path.display(), %skipped, "key file entry skipped");
                }
            }
            KeyFileEvent::Failed { fault } => {
                tracing::warn!(path = %path.display(), %fault, "key file not usable, keys read before stay");
            }
        }
        self.observers.notify(|observer| observer(&event));
    }
}

fn keys_of(read: &Reader, content: &Content) -> Result<KeySet, KeyFault> {
    match content {
        Ok(content) => read(content),
        Err(kind) => Err(unreadable(*kind)),
    }
}

fn unreadable(kind: io::ErrorKind) -> KeyFault {
    KeyFault::Unreadable { reason: unreadable_reason(kind) }
}

/// A [`KeyFile`] cannot be used as it is.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: KeyFault,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key file {}: {}", self.path.display(), self.fault)
    }
}

debug_as_displayed!(KeyFileError);

impl core::error::Error for KeyFileError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Look;
    use crate::keys::{Encoding, Prepared, Secret, SecretFault, VerificationKey};
    use crate::signature::{Algorithm, Verifier};
    use crate::time::UnixTime;

    // Integration tests have the rest. They cannot tell the file of a secret to look again.

    const NOW: UnixTime = UnixTime(1_800_000_000);
    const OLD: &str = "hQ5zT8mW2xK9vB4nR7yC1dF6gJ3sL0pA";
    const NEW: &str = "e7UoXq2ZkV9wM4tH8bN1yR6cS3jD5fGi";

    fn secret_file(path: &Path) -> KeyFile {
        match Secret::file(path, Encoding::Raw)
            .id("k")
            .prepare(&[Algorithm::HS256], &KeySet::empty())
        {
            Ok(Prepared::Watched(file)) => file,
            _ => panic!("a good secret in a file"),
        }
    }

    fn only_key(file: &KeyFile) -> Arc<VerificationKey> {
        assert_eq!(file.keys().len(), 1);
        Arc::clone(file.keys().iter().next().unwrap())
    }

    #[track_caller]
    fn is(key: &VerificationKey, secret: &str) {
        let Some(Verifier::Hmac(own)) = Verifier::hmac(Algorithm::HS256, secret.as_bytes()) else {
            panic!("HS256 is an HMAC algorithm")
        };
        let mac = aws_lc_rs::hmac::sign(&own, b"message");
        assert!(key.verifier().verify(b"message", mac.as_ref()));
        assert_eq!(key.id(), Some("k"));
    }

    fn write(path: &Path, content: &str) {
        let new = path.with_extension("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    #[test]
    fn a_bundle_of_keys_that_is_being_written_is_not_taken_over_half() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.pem");
        let half = include_str!("../../tests/vectors/pem/p256-spki.pem");
        let bundle = &*[half, include_str!("../../tests/vectors/pem/p384-spki.pem")].concat();
        std::fs::write(&path, bundle).unwrap();
        let file = KeyFile::pem(&path).read().unwrap();
        let keys = || file.user().keys().len();
        for (content, left) in [(half, 2), (bundle, 2), (half, 2), (half, 1)] {
            std::fs::write(&path, content).unwrap();
            file.look(Look::Routine);
            assert_eq!(keys(), left);
        }
    }

    #[test]
    fn the_file_of_a_secret_is_rotated_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write(&path, &format!("{OLD}\n"));
        let file = secret_file(&path);
        let old = only_key(&file);
        is(&old, OLD);

        write(&path, &format!("{NEW}\n"));
        file.reload().unwrap();
        is(&only_key(&file), NEW);
        assert!(only_key(&file).is_live(NOW));
        assert!(!old.is_live(NOW));
    }

    #[test]
    fn a_bad_new_secret_keeps_the_good_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write(&path, OLD);
        let file = secret_file(&path);
        let old = only_key(&file);
        let too_short = |found| {
            let fault = SecretFault::TooShort { algorithm: Algorithm::HS256, needed: 32, found };
            KeyFault::Secret(Box::new(fault))
        };
        for (content, fault) in [
            ("", too_short(0)),
            ("\n", too_short(0)),
            (&NEW[1..], too_short(31)),
            ("-----BEGIN PUBLIC KEY-----\nAAAA", KeyFault::PublicKeyAsSecret),
        ] {
            write(&path, content);
            let refused = KeyFileError { path: path.clone(), fault };
            assert_eq!(file.reload(), Err(refused), "{content:?}");
            assert!(Arc::ptr_eq(&only_key(&file), &old));
            assert!(old.is_live(NOW));
        }
    }
}
