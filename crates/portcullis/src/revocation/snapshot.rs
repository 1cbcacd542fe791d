//! What was revoked, in a file.
//!
//! A line that names the format, the secret of the digests, the entries, and a digest of it all, which
//! tells a file that is not whole.
use core::fmt;
use core::hash::Hasher;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use siphasher::sip128::{Hasher128, SipHasher24};

use super::digest::DigestKey;
use super::list::{RevocationEntry, RevocationList};

const FORMAT: &[u8; 24] = b"portcullis revocation 1\n";

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
                "the file is not one that was saved, or not all of it: what was revoked is not known",
            ),
            SnapshotFault::Full => f.write_str("there is not enough room for them: raise `capacity`"),
        }
    }
}

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
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // What a writer left behind that broke off: others may be able to read it, or it leads elsewhere.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let key = list.key();
    let mut file = BufWriter::new(options.open(&beside)?);
    let mut hasher = SipHasher24::new_with_key(&key);
    let mut put = |bytes: &[u8]| {
        hasher.write(bytes);
        file.write_all(bytes)
    };
    let entries = list.entries();
    put(FORMAT)?;
    put(&key)?;
    put(&(entries.len() as u64).to_le_bytes())?;
    for entry in entries {
        put(&entry.key())?;
        put(&entry.mark().to_le_bytes())?;
        put(&entry.ends().to_le_bytes())?;
    }
    file.write_all(&hasher.finish128().as_bytes())?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    // Whole or not at all.
    fs::rename(&beside, path)
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
    let (mut format, mut key, mut count) = ([0; FORMAT.len()], [0; 16], [0; 8]);
    file.read_exact(&mut format)?;
    if format != *FORMAT {
        return Err(SnapshotFault::Broken);
    }
    file.read_exact(&mut key)?;
    file.read_exact(&mut count)?;
    let mut hasher = SipHasher24::new_with_key(&key);
    [&format[..], &key, &count].into_iter().for_each(|bytes| hasher.write(bytes));
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
    if is_whole { Ok(list) } else { Err(SnapshotFault::Broken) }
}

fn entry(fingerprint: u64, bytes: &[u8; ENTRY]) -> Option<RevocationEntry> {
    let (key, rest) = bytes.split_first_chunk::<17>()?;
    let (mark, ends) = rest.split_first_chunk::<8>()?;
    let ends = u32::from_le_bytes(ends.try_into().ok()?);
    RevocationEntry::stored(fingerprint, key, u64::from_le_bytes(*mark), ends)
}
