//! What is remembered in place of names.
use core::fmt;
use core::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::what::Revocable;
use crate::signature::random_bytes;

/// Sixteen bytes that stand for what was revoked: of its kind, its issuer, and its name there.
///
/// `SipHash-2-4` with 128 bits under a secret key: who does not know the key can neither tell what a
/// digest stands for nor find two names with one.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Digest(pub(super) [u8; 16]);

/// The secret of the digests: of one process, or of the fleet that shares a store.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct DigestKey(pub(super) [u8; 16]);

impl DigestKey {
    /// Nobody's yet.
    pub(super) fn random() -> Self {
        Self(random_bytes())
    }

    /// A number that tells keys apart, and says nothing of them.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(b"fingerprint");
        hasher.finish()
    }

    pub(super) fn digest(&self, kind: Revocable, issuer: &str, name: &str) -> Digest {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        // With the length of the first, no two pairs are the same bytes.
        hasher.write(&[kind.code()]);
        hasher.write(&(issuer.len() as u64).to_le_bytes());
        hasher.write(issuer.as_bytes());
        hasher.write(name.as_bytes());
        Digest(hasher.finish128().as_bytes())
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(..)")
    }
}
