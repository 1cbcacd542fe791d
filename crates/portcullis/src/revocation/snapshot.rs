//! What was revoked, in a file.
//!
//! A line that names the format, the secret of the digests, the bounds by which entries were kept, the entries, and
//! a digest of it all, which tells a file that is not whole.
use core::fmt;
use core::hash::Hasher;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use siphasher::sip128::{Hasher128, SipHasher24};

use super::digest::DigestKey;
use super::list::{ListBounds, RevocationEntry, RevocationList};
use crate::debug_as_displayed::debug_as_displayed;
use crate::signature::random_bytes;

const FORMAT: &[u8; 24] = b"portcullis revocation 2\n";

/// An entry's key, mark and end.
const ENTRY: usize = 17 + 8 + 4;

/// A snapshot of revocations cannot be written or read.
pub struct SnapshotError {
    path: PathBuf,
    fault: SnapshotFault,
}

#[derive(Debug)]
enum SnapshotFault {
    File(io::Error),
    Broken,
    Full,
    ListBounds,
}

impl SnapshotError {
    fn at(path: &Path) -> impl Fn(SnapshotFault) -> Self + Copy + '_ {
        |fault| Self { path: path.to_owned(), fault }
    }

    /// Whether there is no such file: there is none at the first start.
    pub fn is_not_found(&self) -> bool {
        matches!(&self.fault, SnapshotFault::File(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the revocations in `{}`: ", self.path.display())?;
        match &self.fault {
            SnapshotFault::File(error) => error.fmt(f),
            SnapshotFault::Broken => f.write_str(
                "this is not a file that was saved, or not all of one, so that what was revoked is not known",
            ),
            SnapshotFault::ListBounds => f.write_str(
                "they were kept for tokens of a shorter life, or for a smaller leeway, and what those need that are accepted now may have been dropped: set `max_lifetime` and `leeway` as before, or `refuse_issued_before_start`",
            ),
            SnapshotFault::Full => f.write_str("there is not enough room for them: raise `capacity`"),
        }
    }
}

debug_as_displayed!(SnapshotError);

impl core::error::Error for SnapshotError {}

impl From<io::Error> for SnapshotFault {
    fn from(error: io::Error) -> Self {
        // A file that ends too soon is not whole.
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Broken } else { Self::File(error) }
    }
}

pub(super) fn save(list: &RevocationList, path: &Path) -> Result<(), SnapshotError> {
    write(list, path).map_err(|error| SnapshotError::at(path)(SnapshotFault::File(error)))
}

fn write(list: &RevocationList, path: &Path) -> io::Result<()> {
    let (beside, file) = Beside::create(path)?;
    let key = list.key();
    let mut file = BufWriter::new(file);
    let mut hasher = SipHasher24::new_with_key(&key);
    let mut put = |bytes: &[u8]| {
        hasher.write(bytes);
        file.write_all(bytes)
    };
    let entries = list.entries();
    put(FORMAT)?;
    put(&key)?;
    put(&bounds(list.bounds()))?;
    put(&(entries.len() as u64).to_le_bytes())?;
    for entry in entries {
        put(&entry.key())?;
        put(&entry.mark().to_le_bytes())?;
        put(&entry.ends().to_le_bytes())?;
    }
    file.write_all(&hasher.finish128().as_bytes())?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    beside.put_at(path)
}

/// A file beside another, of a name that nobody can know beforehand, and that goes unless it is put in the
/// other's place. So it is nobody else's, and two who write at once do not meet.
struct Beside {
    path: PathBuf,
}

impl Beside {
    fn create(path: &Path) -> io::Result<(Self, File)> {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{:016x}.new", u64::from_le_bytes(random_bytes())));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        let file = options.open(&name)?;
        Ok((Self { path: name.into() }, file))
    }

    /// Whole or not at all, and after a power cut as well.
    fn put_at(self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        // That it has the name now stands in the folder. Elsewhere than on Unix, folders cannot be synced.
        #[cfg(unix)]
        {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Gone already where it was put in place.
        let _ = fs::remove_file(&self.path);
    }
}

/// Longest lifetime and leeway, in seconds. A lifetime of `u64::MAX`: there is no bound.
fn bounds(ListBounds { max_lifetime, leeway }: ListBounds) -> [u8; 16] {
    let mut bytes = [0; 16];
    let lifetime = max_lifetime.map_or(u64::MAX, |limit| limit.as_secs());
    bytes[..8].copy_from_slice(&lifetime.to_le_bytes());
    bytes[8..].copy_from_slice(&leeway.as_secs().to_le_bytes());
    bytes
}

/// Whether what was kept under these bounds is enough for a list.
fn is_enough(saved: [u8; 16], list: &RevocationList) -> bool {
    // In what follows, all that is older is refused.
    if list.refuses_issued_before().is_some() {
        return true;
    }
    let seconds = |bytes: &[u8; 16]| {
        let all = u128::from_le_bytes(*bytes);
        (all & u128::from(u64::MAX), all >> 64)
    };
    let ((lifetime, leeway), now) = (seconds(&saved), seconds(&bounds(list.bounds())));
    lifetime >= now.0 && leeway >= now.1
}

pub(super) fn restore(
    path: &Path,
    list: impl FnOnce(DigestKey) -> RevocationList,
) -> Result<RevocationList, SnapshotError> {
    let file = File::open(path).map_err(SnapshotFault::File);
    let read = file.and_then(|file| read(BufReader::new(file), list));
    read.map_err(SnapshotError::at(path))
}

fn read(
    mut file: impl Read,
    list: impl FnOnce(DigestKey) -> RevocationList,
) -> Result<RevocationList, SnapshotFault> {
    let (mut format, mut key) = ([0; FORMAT.len()], [0; 16]);
    let (mut bounds, mut count) = ([0; 16], [0; 8]);
    file.read_exact(&mut format)?;
    if format != *FORMAT {
        return Err(SnapshotFault::Broken);
    }
    file.read_exact(&mut key)?;
    file.read_exact(&mut bounds)?;
    file.read_exact(&mut count)?;
    let mut hasher = SipHasher24::new_with_key(&key);
    [&format[..], &key, &bounds, &count].into_iter().for_each(|bytes| hasher.write(bytes));
    let list = list(DigestKey(key));
    for _ in 0..u64::from_le_bytes(count) {
        let mut bytes = [0; ENTRY];
        file.read_exact(&mut bytes)?;
        hasher.write(&bytes);
        let entry = entry(list.fingerprint(), &bytes).ok_or(SnapshotFault::Broken)?;
        list.apply(&entry).map_err(|_| SnapshotFault::Full)?;
    }
    let mut digest = [0; 16];
    file.read_exact(&mut digest)?;
    let is_whole = digest == hasher.finish128().as_bytes() && file.read(&mut [0])? == 0;
    match is_whole {
        false => Err(SnapshotFault::Broken),
        true if !is_enough(bounds, &list) => Err(SnapshotFault::ListBounds),
        true => Ok(list),
    }
}

fn entry(fingerprint: u64, bytes: &[u8; ENTRY]) -> Option<RevocationEntry> {
    let (key, rest) = bytes.split_first_chunk::<17>()?;
    let (mark, ends) = rest.split_first_chunk::<8>()?;
    let ends = u32::from_le_bytes(ends.try_into().ok()?);
    RevocationEntry::from_stored(fingerprint, key, u64::from_le_bytes(*mark), ends)
}
