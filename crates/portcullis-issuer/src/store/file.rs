use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use base64::prelude::*;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tokio::runtime::Handle;

use super::{LoadedRing, RingStore, RingVersion, StoreError, StoredRing, Swap};
use crate::debug_as_displayed::debug_as_displayed;
use crate::ring::KeyTimes;
use crate::row::{KeyRow, PrivatePart};
use crate::seal::Sealed;
use crate::time::StoreTime;

/// The most bytes of a file that is read, and so of one that is written: a ring has some 2 KiB for each key, and 64 keys at
/// most.
const MAX_BYTES: u64 = 1024 * 1024;

/// Rings in one file, for one process: a service without a database.
///
/// The file is replaced as a whole, and is on the disk when a change is done. Where the system has permissions, only its
/// owner may read it. A second process that opens it is refused, for as long as this one, or a clone of it, is there.
///
/// A file that is not there is an issuer's first start. Whoever deletes it makes every token void.
///
/// It has at most 1 MiB, which is enough for some dozens of issuers. A change that would make it larger is refused.
///
/// To look at the rings of a service that runs, take [`FileRing::read_only`].
#[derive(Clone)]
pub struct FileRing(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// Held by this process. `None`: it only reads.
    lock: Option<File>,
    /// One change at a time.
    writing: Mutex<()>,
}

impl FileRing {
    /// Takes this file, which need not be there yet. Its folder has to be.
    ///
    /// # Errors
    ///
    /// Another process has it, or the folder cannot be written to.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileRingError> {
        let path = path.into();
        // Beside it: the file itself is replaced by each change, and a lock stays with what was replaced.
        let mut lock_path = path.clone().into_os_string();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(&lock_path);
        let lock = lock.map_err(|error| FileRingError::io(&lock_path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FileRingError::Taken { path }),
            Err(TryLockError::Error(error)) => return Err(FileRingError::io(&lock_path, &error)),
        }
        Ok(Self(Arc::new(Inner { path, lock: Some(lock), writing: Mutex::new(()) })))
    }

    /// Reads this file, also while another process has it: each change replaces the file as a whole. It refuses to change
    /// anything, and needs no more than to read the file.
    pub fn read_only(path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Inner { path: path.into(), lock: None, writing: Mutex::new(()) }))
    }

    /// The issuers that have a ring in the file, in the order of their names. None, where it is not there.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not a file of rings.
    pub fn issuers(&self) -> Result<Vec<String>, StoreError> {
        self.0.read().map(|rings| rings.into_keys().collect())
    }

    /// Does this where it keeps no task of the program waiting: a disk may take seconds. Without a runtime, there is none that
    /// waits. What was begun is done also where nobody waits for it any more, and holds the file until then.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Ok(runtime) = Handle::try_current() else { return work(&self.0) };
        let inner = Arc::clone(&self.0);
        let done = runtime.spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(StoreError::new("the runtime ends, and nothing was done")),
        })
    }
}

impl Inner {
    fn read(&self) -> Result<BTreeMap<String, Ring>, StoreError> {
        let unreadable =
            |error: io::Error| StoreError::new(format!("the file cannot be read: {error}"));
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut text = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut text).map_err(unreadable)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(StoreError::new("the file is larger than 1 MiB"));
        }
        if text.starts_with(b"SQLite format 3\0") {
            return Err(StoreError::new(
                "the file is an SQLite database: take `SqliteRing` of portcullis-sqlx, or in the command `sqlite:` before its name",
            ));
        }
        serde_json::from_slice(&text).map_err(|error| {
            // What stands there is not told, but where.
            let (line, column) = (error.line(), error.column());
            StoreError::new(format!("the file is not one of rings: line {line}, column {column}"))
        })
    }

    /// All of it or nothing, whenever the machine stops.
    fn write(&self, text: &[u8]) -> io::Result<()> {
        let path = &self.path;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // Beside it, under a name that nobody knows beforehand, for its owner alone; gone again where this fails.
        let mut new = NamedTempFile::with_suffix_in(".new", folder)?;
        new.write_all(text)?;
        new.as_file().sync_all()?;
        new.persist(path).map_err(|error| error.error)?;
        // The name is of the folder.
        if cfg!(unix) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        let ring = self.read()?.remove(issuer).map(Ring::into_stored).transpose()?;
        // After the ring: a key that was made meanwhile would seem to be of the future.
        Ok(LoadedRing { now: SystemTime::now().into(), ring })
    }

    fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, StoreError> {
        if self.lock.is_none() {
            return Err(StoreError::new("the file was opened to be read, and not to be changed"));
        }
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rings = self.read()?;
        let current = rings.get(issuer).map(|ring| RingVersion(ring.version));
        if current != from {
            return Ok(Swap::Lost);
        }
        let version = current.map_or(1, |version| version.0.saturating_add(1));
        rings.insert(issuer.to_owned(), Ring::of(version, ring));
        let unwritten =
            |error: io::Error| StoreError::new(format!("the file cannot be written: {error}"));
        let text = serde_json::to_vec(&rings).map_err(|error| unwritten(error.into()))?;
        if text.len() as u64 > MAX_BYTES {
            // Nobody could read it again.
            return Err(StoreError::new(format!(
                "with this change the file would be larger than 1 MiB, and was left as it is; it has the rings of {} issuers: give some of them a file of their own, or take a database",
                rings.len()
            )));
        }
        self.write(&text).map_err(unwritten)?;
        Ok(Swap::Done)
    }
}

impl RingStore for FileRing {
    async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        let issuer = issuer.to_owned();
        self.work(move |inner| inner.load(&issuer)).await
    }

    async fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, StoreError> {
        let (issuer, ring) = (issuer.to_owned(), ring.clone());
        self.work(move |inner| inner.swap(&issuer, from, &ring)).await
    }
}

impl fmt::Debug for FileRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRing").field("path", &self.0.path).finish_non_exhaustive()
    }
}

/// A ring as it is written.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Ring {
    version: u64,
    longest_lifetime_ms: u64,
    keys: Vec<Key>,
    mac: String,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Key {
    key_id: String,
    algorithm: String,
    public_jwk: String,
    seal_id: Option<String>,
    sealed: Option<String>,
    signer_key: Option<String>,
    published_at: i64,
    signs_from: i64,
    signs_until: Option<i64>,
    verifies_until: Option<i64>,
    withdrawn_at: Option<i64>,
    is_private_kept: bool,
    mac: String,
}

impl Ring {
    fn of(version: u64, ring: &StoredRing) -> Self {
        let longest_lifetime_ms = u64::try_from(ring.longest_lifetime.as_millis());
        Self {
            version,
            longest_lifetime_ms: longest_lifetime_ms.unwrap_or(u64::MAX),
            keys: ring.keys.iter().map(Key::of).collect(),
            mac: BASE64_URL_SAFE_NO_PAD.encode(&ring.mac),
        }
    }

    fn into_stored(self) -> Result<(RingVersion, StoredRing), StoreError> {
        let broken = || StoreError::new("the file has a ring that is not one");
        let keys = self.keys.into_iter().map(Key::into_row).collect::<Option<_>>();
        let (keys, mac) = (keys.ok_or_else(broken)?, BASE64_URL_SAFE_NO_PAD.decode(self.mac));
        let (mac, longest_lifetime) =
            (mac.map_err(|_| broken())?, Duration::from_millis(self.longest_lifetime_ms));
        Ok((RingVersion(self.version), StoredRing { longest_lifetime, keys, mac }))
    }
}

impl Key {
    fn of(row: &KeyRow) -> Self {
        let KeyTimes {
            published_at,
            signs_from,
            signs_until,
            verifies_until,
            withdrawn_at,
            is_private_kept,
        } = row.times;
        let millis = |at: Option<StoreTime>| at.map(StoreTime::as_millis);
        let (seal_id, sealed, signer_key) = match &row.private {
            Some(PrivatePart::Sealed(Sealed { seal_id, bytes })) => {
                (Some(seal_id.clone()), Some(BASE64_URL_SAFE_NO_PAD.encode(bytes)), None)
            }
            Some(PrivatePart::AtSigner { name }) => (None, None, Some(name.clone())),
            None => (None, None, None),
        };
        Self {
            key_id: row.key_id.clone(),
            algorithm: row.algorithm.clone(),
            public_jwk: row.public_jwk.clone(),
            seal_id,
            sealed,
            signer_key,
            published_at: published_at.as_millis(),
            signs_from: signs_from.as_millis(),
            signs_until: millis(signs_until),
            verifies_until: millis(verifies_until),
            withdrawn_at: millis(withdrawn_at),
            is_private_kept,
            mac: BASE64_URL_SAFE_NO_PAD.encode(&row.mac),
        }
    }

    fn into_row(self) -> Option<KeyRow> {
        let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let private = match (self.seal_id, self.sealed, self.signer_key) {
            (Some(seal_id), Some(text), None) => {
                Some(PrivatePart::Sealed(Sealed { seal_id, bytes: bytes(&text)? }))
            }
            (None, None, Some(name)) => Some(PrivatePart::AtSigner { name }),
            (None, None, None) => None,
            _ => return None,
        };
        let time = StoreTime::from_millis;
        let times = KeyTimes {
            published_at: time(self.published_at),
            signs_from: time(self.signs_from),
            signs_until: self.signs_until.map(time),
            verifies_until: self.verifies_until.map(time),
            withdrawn_at: self.withdrawn_at.map(time),
            is_private_kept: self.is_private_kept,
        };
        Some(KeyRow {
            key_id: self.key_id,
            algorithm: self.algorithm,
            public_jwk: self.public_jwk,
            private,
            times,
            mac: bytes(&self.mac)?,
        })
    }
}

/// A file of rings cannot be taken.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum FileRingError {
    /// Another process has it.
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be opened.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
}

impl FileRingError {
    fn io(path: &Path, error: &io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), kind: error.kind() }
    }
}

impl fmt::Display for FileRingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { path } => write!(
                f,
                "another process has the ring in {}: a file is for one process; for several, take a database",
                path.display()
            ),
            Self::Unreadable { path, kind } => {
                write!(
                    f,
                    "{} cannot be opened: {kind}; see that its folder is there, and may be written to",
                    path.display()
                )
            }
        }
    }
}

impl core::error::Error for FileRingError {}

debug_as_displayed!(FileRingError);

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};
    use std::fs;
    use std::sync::mpsc;

    use super::*;

    const ISSUER: &str = "https://id.example";

    fn ring(keys: usize) -> StoredRing {
        let at = |at: i64| StoreTime::from_millis(1_800_000_000_000 + at);
        let row = |number: usize| KeyRow {
            key_id: format!("k{number}"),
            algorithm: "ES256".to_owned(),
            public_jwk: "{\"kty\":\"EC\"}".to_owned(),
            private: match number % 3 {
                0 => {
                    let (seal_id, bytes) = ("s".to_owned(), vec![0, 255, number as u8]);
                    Some(PrivatePart::Sealed(Sealed { seal_id, bytes }))
                }
                1 => Some(PrivatePart::AtSigner { name: format!("projects/p/keys/{number}") }),
                _ => None,
            },
            times: KeyTimes {
                published_at: at(0),
                signs_from: at(1),
                signs_until: Some(at(2)),
                verifies_until: None,
                withdrawn_at: Some(at(3)),
                is_private_kept: number.is_multiple_of(2),
            },
            mac: vec![1, 2, 3],
        };
        StoredRing {
            longest_lifetime: Duration::from_millis(900_001),
            keys: (0..keys).map(row).collect(),
            mac: vec![9, 8],
        }
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(future)
    }

    fn kept(store: &FileRing) -> Option<(RingVersion, StoredRing)> {
        now(store.load(ISSUER)).expect("a store").ring
    }

    #[test]
    fn what_was_changed_is_there_in_the_next_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ring.json");
        let store = FileRing::open(&path).expect("a file");
        assert_eq!(kept(&store), None);
        assert_eq!(now(store.swap(ISSUER, None, &ring(2))), Ok(Swap::Done));
        assert_eq!(now(store.swap("https://other.example", None, &ring(1))), Ok(Swap::Done));
        drop(store);
        let store = FileRing::open(&path).expect("a file");
        assert_eq!(kept(&store), Some((RingVersion(1), ring(2))));
        assert_eq!(now(store.swap(ISSUER, Some(RingVersion(1)), &ring(3))), Ok(Swap::Done));
        assert_eq!(kept(&store), Some((RingVersion(2), ring(3))));
    }

    /// A pipe, so that the reading begins before there is anything to read.
    #[cfg(unix)]
    #[test]
    fn the_clock_of_a_reading_is_not_before_what_was_written_while_it_waited() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ring.json");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("`mkfifo`").success());
        let reader = FileRing::read_only(&path);
        let reading = std::thread::spawn(move || reader.0.load(ISSUER));
        // It opens once the other side does.
        let mut pipe = OpenOptions::new().write(true).open(&path).expect("a pipe");
        let millis = || StoreTime::from(SystemTime::now());
        let opened = millis();
        while millis() == opened {}
        let written = millis();
        pipe.write_all(b"{}").expect("a reader");
        drop(pipe);
        let loaded = reading.join().expect("no panic").expect("a file");
        assert!(written <= loaded.now, "{written} and {}", loaded.now);
    }

    #[test]
    fn of_changes_for_one_version_one_is_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = FileRing::open(folder.path().join("ring.json")).expect("a file");
        assert_eq!(now(store.swap(ISSUER, Some(RingVersion(1)), &ring(1))), Ok(Swap::Lost));
        let threads = (0..8).map(|keys| {
            let store = store.clone();
            std::thread::spawn(move || now(store.swap(ISSUER, None, &ring(keys + 1))))
        });
        let threads: Vec<_> = threads.collect();
        let swaps = threads.into_iter().map(|it| it.join().expect("no panic").expect("a store"));
        assert_eq!(swaps.filter(|swap| *swap == Swap::Done).count(), 1);
        assert_eq!(kept(&store).map(|(version, _)| version), Some(RingVersion(1)));
    }

    #[test]
    fn a_second_process_is_refused_while_the_first_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ring.json");
        let store = FileRing::open(&path).expect("a file");
        let clone = store.clone();
        drop(store);
        let refused = FileRing::open(&path).expect_err("taken");
        assert_eq!(refused, FileRingError::Taken { path: path.clone() });
        drop(clone);
        assert!(FileRing::open(&path).is_ok());
    }

    #[test]
    fn who_only_reads_needs_no_turn_and_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ring.json");
        let reader = FileRing::read_only(&path);
        assert_eq!((kept(&reader), reader.issuers()), (None, Ok(Vec::new())));
        let store = FileRing::open(&path).expect("a file");
        for issuer in [ISSUER, "https://a.example"] {
            assert_eq!(now(store.swap(issuer, None, &ring(2))), Ok(Swap::Done));
        }
        assert_eq!(kept(&reader), kept(&store));
        let issuers = vec!["https://a.example".to_owned(), ISSUER.to_owned()];
        assert_eq!(reader.issuers(), Ok(issuers));
        let refused = now(reader.swap(ISSUER, Some(RingVersion(1)), &ring(3)));
        assert!(refused.is_err_and(|error| error.reason.contains("opened to be read")));
        assert_eq!(kept(&reader), Some((RingVersion(1), ring(2))));
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ring.json");
        let store = FileRing::open(&path).expect("a file");
        now(store.swap(ISSUER, None, &ring(1))).expect("a store");
        for entry in fs::read_dir(folder.path()).expect("a folder") {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{entry:?}");
        }
    }

    /// In a folder that others may write to, one of them could otherwise have this process overwrite a file of its own.
    #[cfg(unix)]
    #[test]
    fn a_link_that_somebody_laid_is_not_written_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("ring.json"), folder.path().join("other"));
        fs::write(&other, "kept").expect("a file");
        std::os::unix::fs::symlink(&other, folder.path().join("ring.json.new")).expect("a link");
        std::os::unix::fs::symlink(&other, &path).expect("a link");
        let store = FileRing::open(&path).expect("a file");
        assert!(now(store.swap(ISSUER, None, &ring(1))).is_err(), "it is not a ring");
        fs::remove_file(&path).expect("a link");
        assert_eq!(now(store.swap(ISSUER, None, &ring(1))), Ok(Swap::Done));
        assert_eq!(fs::read(&other).expect("a file"), b"kept");
    }

    fn once<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// With the one thread for what blocks held, nothing is done at once.
    #[test]
    fn a_slow_disk_keeps_no_task_of_the_program_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ring.json");
        let store = FileRing::open(&path).expect("a file");
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
        runtime.expect("a runtime").block_on(async {
            let (release, held) = mpsc::channel::<()>();
            let holder = tokio::task::spawn_blocking(move || held.recv());
            let stored = ring(1);
            let (mut swap, mut load) =
                (pin!(store.swap(ISSUER, None, &stored)), pin!(store.load(ISSUER)));
            assert_eq!(once(swap.as_mut()), Poll::Pending);
            assert_eq!(once(load.as_mut()), Poll::Pending);
            assert!(!path.exists());
            drop(release);
            assert!(holder.await.expect("no panic").is_err());
            assert_eq!(swap.await, Ok(Swap::Done));
            let loaded = load.await.expect("a store").ring;
            assert_eq!(loaded, Some((RingVersion(1), ring(1))));
        });
        // What was done holds the file no longer.
        drop(store);
        assert!(FileRing::open(&path).is_ok());
    }

    #[test]
    fn no_runtime_is_needed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = FileRing::open(folder.path().join("ring.json")).expect("a file");
        let stored = ring(1);
        assert_eq!(once(store.swap(ISSUER, None, &stored)), Poll::Ready(Ok(Swap::Done)));
        let Poll::Ready(Ok(loaded)) = once(store.load(ISSUER)) else { panic!("at once") };
        assert_eq!(loaded.ring, Some((RingVersion(1), stored)));
    }

    #[test]
    fn a_file_never_grows_beyond_what_can_be_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ring.json");
        let store = FileRing::open(&path).expect("a file");
        now(store.swap(ISSUER, None, &ring(2))).expect("a store");
        // To the byte.
        let of_length = |length: usize| {
            let mut ring = ring(1);
            ring.keys[0].public_jwk = "x".repeat(length);
            ring
        };
        let rings = BTreeMap::from([(ISSUER, Ring::of(2, &of_length(0)))]);
        let room = 1024 * 1024 - serde_json::to_vec(&rings).expect("JSON").len();
        let before = fs::read(&path).expect("a file");
        let refused = now(store.swap(ISSUER, Some(RingVersion(1)), &of_length(room + 1)));
        let told = refused.expect_err("too large").reason;
        assert!(told.contains("larger than 1 MiB") && told.contains("take a database"), "{told}");
        assert_eq!(fs::read(&path).expect("a file"), before);
        let largest = of_length(room);
        assert_eq!(now(store.swap(ISSUER, Some(RingVersion(1)), &largest)), Ok(Swap::Done));
        assert_eq!(fs::metadata(&path).expect("a file").len(), MAX_BYTES);
        assert_eq!(kept(&store), Some((RingVersion(2), largest)));
        // Full of what others have.
        let refused = now(store.swap("https://b.example", None, &ring(1)));
        let told = refused.expect_err("too large").reason;
        assert!(told.contains("the rings of 2 issuers"), "{told}");
        assert_eq!(now(store.swap(ISSUER, Some(RingVersion(2)), &ring(1))), Ok(Swap::Done));
        assert_eq!(now(store.swap("https://b.example", None, &ring(1))), Ok(Swap::Done));
    }

    /// As where its name is given without what says that it is a database.
    #[test]
    fn a_database_is_told_from_a_file_of_rings() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("orders.db");
        fs::write(&path, b"SQLite format 3\0\x10\0").expect("a file");
        let store = FileRing::open(&path).expect("a file");
        let refused = now(store.load(ISSUER)).expect_err("not a ring").to_string();
        assert!(refused.contains("`sqlite:`"), "{refused}");
    }

    /// As it is after the machine stopped, or somebody wrote into it.
    #[test]
    fn a_file_that_is_not_whole_is_a_fault_and_not_a_first_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ring.json");
        let store = FileRing::open(&path).expect("a file");
        now(store.swap(ISSUER, None, &ring(2))).expect("a store");
        let whole = fs::read(&path).expect("a file");
        let too_large = vec![b' '; 1024 * 1024 + 1];
        let broken = [&whole[..whole.len() - 1], b"", b"{}x", b"\xff", &too_large];
        for (at, text) in broken.into_iter().enumerate() {
            fs::write(&path, text).expect("a file");
            let error = now(store.load(ISSUER)).expect_err("not a ring");
            assert!(!error.reason.contains("kty"), "{error}");
            assert!(now(store.swap(ISSUER, None, &ring(1))).is_err(), "{at}");
            assert_eq!(fs::read(&path).expect("a file"), text, "{at}");
        }
        // A write that was never over leaves what was before.
        fs::write(&path, &whole).expect("a file");
        fs::write(folder.path().join("ring.json.new"), "half").expect("a file");
        assert_eq!(kept(&store), Some((RingVersion(1), ring(2))));
    }
}
