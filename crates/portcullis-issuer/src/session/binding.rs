//! The key that a session's refresh tokens are bound to.
use core::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::prelude::*;
use portcullis::dpop::GoodProof;

/// How a row says that what follows is the SHA-256 thumbprint of a key that proofs are made with (RFC 9449 §6.1). Another form
/// is of a later release, and nobody shows here that it holds.
const KEY: u8 = 1;

/// The thumbprint of a key (RFC 7638) that somebody showed to have, or has to show.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct KeyBinding([u8; 32]);

impl KeyBinding {
    #[cfg(test)]
    pub(crate) fn new(thumbprint: [u8; 32]) -> Self {
        Self(thumbprint)
    }

    /// The key of a proof.
    pub(crate) fn of_proof(proof: &GoodProof) -> Self {
        Self(*proof.thumbprint_bytes())
    }

    /// What a row says. `None`: it speaks of no such key.
    pub(crate) fn of_row(binding: &[u8]) -> Option<Self> {
        let (form, thumbprint) = binding.split_first()?;
        let thumbprint = thumbprint.try_into().ok()?;
        (*form == KEY).then_some(Self(thumbprint))
    }

    /// As a row keeps it.
    pub(crate) fn to_row(&self) -> Vec<u8> {
        [&[KEY], &self.0[..]].concat()
    }

    /// Whether a row speaks of this key. In constant time, as everything that a token is held against, though a thumbprint
    /// is not secret.
    pub(crate) fn is_of(&self, binding: &[u8]) -> bool {
        verify_slices_are_equal(&self.to_row(), binding).is_ok()
    }

    /// As tokens say it (`cnf.jkt`).
    pub(crate) fn thumbprint(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// Shows no key: it tells one device from another.
impl fmt::Debug for KeyBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyBinding").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_speaks_of_one_key_and_of_no_other_form() {
        let key = KeyBinding::new([7; 32]);
        let row = key.to_row();
        assert!(key.is_of(&row));
        assert_eq!(KeyBinding::of_row(&row).as_ref(), Some(&key));
        assert!(!KeyBinding::new([8; 32]).is_of(&row));
        for other in [&[][..], &[1], &[7; 32], &row[..32], &[&[2], &row[1..]].concat()] {
            assert!(KeyBinding::of_row(other).is_none(), "{other:?}");
            assert!(!key.is_of(other), "{other:?}");
        }
    }
}
