//! What only the holder of a refresh token has.
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::key::KeyError;
use crate::session::SessionId;

/// How many bytes a secret has, and its hash.
pub(crate) const SECRET: usize = 32;

/// How many bytes the salt has that a successor is derived with.
pub(crate) const SALT: usize = 16;

/// The secret of a refresh token. Nothing keeps it but the token.
pub(crate) struct RefreshSecret(Zeroizing<[u8; SECRET]>);

impl RefreshSecret {
    pub(crate) fn random() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; SECRET]);
        rand::fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    pub(crate) fn from_bytes(bytes: [u8; SECRET]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; SECRET] {
        &self.0
    }

    /// What is kept of it. It has 256 random bits, which no list of guesses reaches: a slow hash would cost time and gain
    /// nothing.
    pub(crate) fn hash(&self) -> [u8; SECRET] {
        let mut hash = [0; SECRET];
        hash.copy_from_slice(digest(&SHA256, &*self.0).as_ref());
        hash
    }

    /// The secret that follows it (RFC 5869). Who retries gets the same one, though nothing kept it. The salt is another
    /// for each rotation, so that an old secret leads to its own successor and no further.
    pub(crate) fn successor(&self, salt: &[u8; SALT], session: SessionId) -> Self {
        let info = [&b"portcullis/1/refresh successor"[..], session.as_bytes()];
        let mut next = Zeroizing::new([0; SECRET]);
        let prk = Salt::new(HKDF_SHA256, salt).extract(&*self.0);
        let filled = prk.expand(&info, Length).and_then(|okm| okm.fill(&mut *next));
        filled.expect("HKDF-SHA-256 gives up to 8160 bytes");
        Self(next)
    }
}

/// A salt for one rotation.
pub(crate) fn random_salt() -> Result<[u8; SALT], KeyError> {
    let mut salt = [0; SALT];
    rand::fill(&mut salt)?;
    Ok(salt)
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        SECRET
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_is_of_one_secret_one_salt_and_one_session() {
        let of = |secret: u8, salt: u8, session: u8| {
            let secret = RefreshSecret::from_bytes([secret; SECRET]);
            *secret.successor(&[salt; SALT], SessionId::from_bytes([session; 16])).as_bytes()
        };
        let mut all = [of(1, 1, 1), of(2, 1, 1), of(1, 2, 1), of(1, 1, 2)].to_vec();
        assert_eq!(of(1, 1, 1), all[0], "a retry gets the same");
        all.push([1; SECRET]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 5);
    }
}
