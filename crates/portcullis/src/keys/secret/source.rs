//! Shared secrets that come and go while a policy runs.
use core::any::Any;
use core::fmt;

use super::{Prepared, Secret, SecretFault};
use crate::keys::{KeyFault, KeyFuture, KeyQuery, KeySet, KeySource};
use crate::signature::{Algorithm, Family};

/// Shared secrets at one moment: what a [`SecretSource`] has. A public key is never among them.
///
/// ```
/// use portcullis::keys::SecretSet;
/// use portcullis::{Algorithm, Encoding, Secret};
///
/// # let text = "b4Yq0YHhV0cW8g2mJm7Xn1dKzR5sT9uLpE3fQaC6iwo";
/// let secret = Secret::encoded(text, Encoding::Base64url).id("2026-11");
/// let secrets = SecretSet::new([secret.algorithm(Algorithm::HS256)])?;
/// assert_eq!(secrets.len(), 1);
/// # Ok::<_, portcullis::keys::SecretFault>(())
/// ```
#[derive(Clone)]
pub struct SecretSet(pub(crate) KeySet);

impl SecretSet {
    /// These secrets, read and judged once. Each needs an [id](Secret::id), by which it can be revoked, and is for the algorithm that [it says](Secret::algorithm), or for all `HS`
    /// algorithms.
    ///
    /// # Errors
    ///
    /// One has no id, cannot be read, is too short, easy to guess, or a public key.
    pub fn new(secrets: impl IntoIterator<Item = Secret>) -> Result<Self, SecretFault> {
        let hmac = Algorithm::ALL.iter().copied().filter(|it| it.family() == Family::Hmac);
        let hmac: Vec<_> = hmac.collect();
        let none = KeySet::empty();
        secrets.into_iter().try_fold(Self::empty(), |Self(all), secret| {
            if !secret.has_id() {
                return Err(SecretFault::Key(KeyFault::KeyId));
            }
            match secret.prepare(&hmac, &none)? {
                Prepared::Fixed(set) => Ok(Self(all.and(&set))),
                // It would be read again, by whom nobody knows.
                Prepared::Watched(file) => Ok(Self(all.and(&file.keys()))),
            }
        })
    }

    /// No secrets.
    pub fn empty() -> Self {
        Self(KeySet::empty())
    }

    /// How many there are, one for each algorithm that a secret serves.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Shows how many there are.
impl fmt::Debug for SecretSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretSet({})", self.len())
    }
}

/// Somewhere that an issuer's shared secrets come from and may change: for [`Keys::secret_source`](crate::Keys::secret_source).
///
/// As [`KeySource`] is for public keys. A secret that is gone from the set is accepted no longer, with the next request.
pub trait SecretSource: Any + fmt::Debug + Send + Sync {
    /// The secrets at this moment. Asked for every token: it must not wait, and should not lock.
    fn secrets(&self) -> SecretSet;

    /// Asked when [`secrets`](Self::secrets) holds none for a token: see [`KeySource::seek`].
    ///
    /// # Errors
    ///
    /// The future fails with [`KeysUnavailable`](crate::keys::KeysUnavailable) where it could not be found out whether there
    /// is such a secret.
    fn seek(&self, query: &KeyQuery<'_>) -> Option<KeyFuture> {
        let _ = query;
        None
    }

    /// Says in a few words what this source is: see [`KeySource::describe`].
    fn describe(&self) -> String;
}

/// One as the policy asks it.
#[derive(Debug)]
pub(crate) struct AsKeySource<S>(pub(crate) S);

impl<S: SecretSource> KeySource for AsKeySource<S> {
    fn keys(&self) -> KeySet {
        self.0.secrets().0
    }

    fn seek(&self, query: &KeyQuery<'_>) -> Option<KeyFuture> {
        self.0.seek(query)
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}
