//! What a remembered token knows of its sender, so that the next proof costs little more than its signature.
use std::sync::{Arc, OnceLock};

use super::proof::UnverifiedProof;
use super::replays::Holder;
use crate::keys::VerificationKey;
use crate::signature::{Family, sha256};

/// The longest header that is remembered, decoded: one with a key of an elliptic curve has half of that.
const MAX_HEADER: usize = 512;

/// What it takes at most, for who counts the bytes of a token: 1 KiB with the longest header, some 0.5 KiB that the library keeps of
/// the key, and the rest to be safe (`tests/allocations`).
pub(crate) const KNOWN_SENDER: usize = 2 * 1024;

/// What a token knows of who may use it, once that is known.
#[derive(Default)]
pub(crate) struct KnownSender(OnceLock<Box<Known>>);

pub(super) struct Known {
    /// Of the text of the token (`ath`).
    pub(super) token_hash: [u8; 32],
    pub(super) holder: Holder,
    pub(super) key: OnceLock<KnownKey>,
}

/// A header of proofs, which a client writes the same each time, and the key in it.
pub(super) struct KnownKey {
    header: Box<str>,
    key: Arc<VerificationKey>,
}

impl KnownKey {
    /// Its key, if a proof has this header.
    pub(super) fn of(&self, header: &str) -> Option<Arc<VerificationKey>> {
        (*self.header == *header).then(|| Arc::clone(&self.key))
    }
}

impl KnownSender {
    /// Of the token with this text.
    pub(super) fn of(&self, text: &[u8], holder: impl FnOnce() -> Holder) -> &Known {
        self.0.get_or_init(|| {
            Box::new(Known { token_hash: sha256(text), holder: holder(), key: OnceLock::new() })
        })
    }
}

impl Known {
    /// The key of a good proof, for the next one. Of a client that writes its header in several ways, the first is remembered.
    pub(super) fn remember(&self, proof: &UnverifiedProof<'_>) {
        let is_small = proof.key.algorithm().family() != Family::Rsa;
        if self.key.get().is_none()
            && is_small
            && let Some(header) =
                proof.new_header.as_ref().filter(|header| header.len() <= MAX_HEADER)
        {
            let (header, key) = (header.clone(), Arc::clone(&proof.key));
            let _ = self.key.set(KnownKey { header, key });
        }
    }
}
