//! The file of the root secret. In production, the secret comes from where your other secrets are, and is never made by
//! the service: `openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n'` makes it once.
use std::error::Error;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use base64::prelude::*;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

/// Makes the file, if there is none: 32 random bytes in base64url, readable for its owner alone.
pub(crate) fn make_if_missing(path: &Path) -> Result<(), Box<dyn Error>> {
    if path.try_exists()? {
        return Ok(());
    }
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)?;
    let text = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes));
    // Of two processes that start at once, the second finds the whole file of the first.
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?; // with mode 0600
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(failed) if failed.error.kind() != ErrorKind::AlreadyExists => Err(failed.error.into()),
        _ => Ok(()),
    }
}
