//! How a private key is kept at rest.
use core::fmt;
use core::future::{Future, ready};
use core::pin::Pin;
use core::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::prelude::*;
use zeroize::Zeroizing;

use crate::debug_as_displayed::debug_as_displayed;
use crate::root::{RootKey, RootSecrets};

/// What a key was sealed with, and what came of it.
#[derive(Clone, Eq, PartialEq)]
pub struct Sealed {
    /// Which sealing key it takes.
    pub seal_id: String,
    /// The sealed bytes, in the form of that seal.
    pub bytes: Vec<u8>,
}

/// Shows neither key nor ciphertext.
impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("seal_id", &self.seal_id).finish_non_exhaustive()
    }
}

/// Whose key is sealed: a sealed key opens for this alone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SealedFor<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// The key's id.
    pub key_id: &'a str,
    /// What it signs with.
    pub algorithm: &'a str,
}

impl SealedFor<'_> {
    /// What is authenticated beside the key: each part with its length in front. Not its times, some of which an emergency
    /// changes; those are covered by the MAC of the row.
    #[must_use]
    pub fn associated_data(self) -> Vec<u8> {
        fields([self.issuer, self.key_id, self.algorithm].map(str::as_bytes))
    }
}

/// Parts one after another, so that no other parts come to the same bytes.
pub(crate) fn fields<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        all.extend(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        all.extend(part);
    }
    all
}

/// Seals private keys at rest. Implement it where a KMS or an HSM holds the key that they are sealed with: it is asked
/// once for each private key that an instance did not have before, and not for a token.
///
/// If an issuer is given none, private keys are sealed with keys that come of its [root secrets](RootSecrets). Those are
/// needed all the same: rows are authenticated by them.
///
/// ```
/// use portcullis_issuer::seal::{Seal, SealError, Sealed, SealedFor};
/// use zeroize::Zeroizing;
/// # struct Client;
/// # impl Client {
/// #     async fn encrypt(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, String> { Ok(Vec::new()) }
/// #     async fn decrypt(&self, _: &[u8], _: &[u8]) -> Result<Vec<u8>, String> { Ok(Vec::new()) }
/// # }
///
/// /// Keys of a KMS, which encrypt for a context. To replace one, have every
/// /// instance accept the new one first, and seal with it after that.
/// struct Kms {
///     client: Client,
///     key: String,
///     accepted: Vec<String>,
/// }
///
/// impl Seal for Kms {
///     fn id(&self) -> &str {
///         &self.key
///     }
///
///     async fn seal(
///         &self,
///         private: &[u8],
///         whose: SealedFor<'_>,
///     ) -> Result<Vec<u8>, SealError> {
///         let context = whose.associated_data();
///         let sealed = self.client.encrypt(private, &context).await;
///         sealed.map_err(|error| SealError::unavailable(whose, error))
///     }
///
///     async fn unseal(
///         &self,
///         sealed: &Sealed,
///         whose: SealedFor<'_>,
///     ) -> Result<Zeroizing<Vec<u8>>, SealError> {
///         if !self.accepted.contains(&sealed.seal_id) {
///             return Err(SealError::no_key(whose, &sealed.seal_id));
///         }
///         let context = whose.associated_data();
///         let private = self.client.decrypt(&sealed.bytes, &context).await;
///         let private = private.map(Zeroizing::new);
///         private.map_err(|error| SealError::unavailable(whose, error))
///     }
/// }
/// # let _ = Kms { client: Client, key: String::new(), accepted: Vec::new() };
/// ```
pub trait Seal: Send + Sync + 'static {
    /// Names what [`seal`](Self::seal) seals with. It stands in rows and in messages. Keys that were sealed with another
    /// are sealed anew, by and by.
    fn id(&self) -> &str;

    /// Seals a private key, so that it opens for `whose` alone.
    ///
    /// # Errors
    ///
    /// It cannot be done now.
    fn seal(
        &self,
        private: &[u8],
        whose: SealedFor<'_>,
    ) -> impl Future<Output = Result<Vec<u8>, SealError>> + Send;

    /// Opens a sealed private key.
    ///
    /// # Errors
    ///
    /// It was sealed with something else, was changed, is another's, or nobody can tell now.
    fn unseal(
        &self,
        sealed: &Sealed,
        whose: SealedFor<'_>,
    ) -> impl Future<Output = Result<Zeroizing<Vec<u8>>, SealError>> + Send;
}

/// What is waited for, of whichever [`Seal`].
pub(crate) type Sealing<'a, T> = Pin<Box<dyn Future<Output = Result<T, SealError>> + Send + 'a>>;

/// A [`Seal`] of whichever type.
pub(crate) trait AnySeal: Send + Sync {
    fn seal_id(&self) -> &str;
    fn sealed<'a>(&'a self, private: &'a [u8], whose: SealedFor<'a>) -> Sealing<'a, Vec<u8>>;
    fn opened<'a>(
        &'a self,
        sealed: &'a Sealed,
        whose: SealedFor<'a>,
    ) -> Sealing<'a, Zeroizing<Vec<u8>>>;
}

impl<S: Seal> AnySeal for S {
    fn seal_id(&self) -> &str {
        Seal::id(self)
    }

    fn sealed<'a>(&'a self, private: &'a [u8], whose: SealedFor<'a>) -> Sealing<'a, Vec<u8>> {
        Box::pin(Seal::seal(self, private, whose))
    }

    fn opened<'a>(
        &'a self,
        sealed: &'a Sealed,
        whose: SealedFor<'a>,
    ) -> Sealing<'a, Zeroizing<Vec<u8>>> {
        Box::pin(Seal::unseal(self, sealed, whose))
    }
}

/// Seals private keys with keys that come of the [root secrets](RootSecrets): AES-256-GCM, with a nonce at random.
pub(crate) struct RootSeal(Vec<SealingKey>);

struct SealingKey {
    id: String,
    key: RandomizedNonceKey,
}

impl SealingKey {
    fn new(id: String, key: &RootKey) -> Self {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.as_bytes());
        Self { id, key: key.expect("AES-256 takes 32 bytes") }
    }
}

/// What names the sealing key of each root secret.
pub(crate) fn root_seal_ids(root: &RootSecrets, issuer: &str) -> Vec<String> {
    // Eight bytes tell four secrets apart, and say nothing of them: they are of a key of their own.
    let id = |id: &RootKey| BASE64_URL_SAFE_NO_PAD.encode(&id.as_bytes()[..8]);
    root.keys("seal id", issuer).iter().map(id).collect()
}

impl RootSeal {
    pub(crate) fn new(root: &RootSecrets, issuer: &str) -> Self {
        let ids = root_seal_ids(root, issuer);
        let keys = root.keys("seal", issuer);
        Self(ids.into_iter().zip(&keys).map(|(id, key)| SealingKey::new(id, key)).collect())
    }

    /// Whether one of these keys has this id.
    pub(crate) fn has(&self, seal_id: &str) -> bool {
        self.0.iter().any(|key| key.id == seal_id)
    }

    fn seal_now(&self, private: &[u8], whose: SealedFor<'_>) -> Vec<u8> {
        let SealingKey { key, .. } = &self.0[0];
        let mut bytes = private.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(whose.associated_data()), &mut bytes);
        let nonce = nonce.expect("a private key is shorter than AES-GCM's 64 GiB");
        bytes.splice(0..0, *nonce.as_ref());
        bytes
    }

    fn open_now(
        &self,
        sealed: &Sealed,
        whose: SealedFor<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let found = self.0.iter().find(|key| key.id == sealed.seal_id);
        let SealingKey { key, .. } =
            found.ok_or_else(|| SealError::no_key(whose, &sealed.seal_id))?;
        let broken = || SealError::broken(whose);
        let (nonce, text) = sealed.bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(broken)?;
        let mut bytes = Zeroizing::new(text.to_vec());
        let associated = Aad::from(whose.associated_data());
        let opened = key.open_in_place(Nonce::from(nonce), associated, &mut bytes);
        let length = opened.map_err(|_| broken())?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl Seal for RootSeal {
    fn id(&self) -> &str {
        &self.0[0].id
    }

    fn seal(
        &self,
        private: &[u8],
        whose: SealedFor<'_>,
    ) -> impl Future<Output = Result<Vec<u8>, SealError>> + Send {
        ready(Ok(self.seal_now(private, whose)))
    }

    fn unseal(
        &self,
        sealed: &Sealed,
        whose: SealedFor<'_>,
    ) -> impl Future<Output = Result<Zeroizing<Vec<u8>>, SealError>> + Send {
        ready(self.open_now(sealed, whose))
    }
}

/// Why a private key cannot be sealed, or had. It is never a reason to make another.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum SealError {
    /// None of the root secrets is the one that it was sealed with.
    NoKey {
        /// The id of the signing key.
        key_id: String,
        /// Which sealing key it takes.
        seal_id: String,
    },
    /// It does not open: it was changed, or put in the place of another.
    Broken {
        /// The id of the signing key.
        key_id: String,
    },
    /// What seals cannot be asked.
    Unavailable {
        /// The id of the signing key.
        key_id: String,
        /// Why, for logs. No secret.
        reason: String,
    },
}

impl SealError {
    /// It was sealed with a key that is not there.
    pub fn no_key(whose: SealedFor<'_>, seal_id: &str) -> Self {
        Self::NoKey { key_id: whose.key_id.to_owned(), seal_id: seal_id.to_owned() }
    }

    /// It does not open.
    pub fn broken(whose: SealedFor<'_>) -> Self {
        Self::Broken { key_id: whose.key_id.to_owned() }
    }

    /// What seals did not answer in time.
    pub(crate) fn late(whose: SealedFor<'_>, limit: Duration) -> Self {
        Self::unavailable(whose, format!("it did not answer within {limit:?}"))
    }

    /// What seals cannot be asked, for this reason, which stands in logs.
    pub fn unavailable(whose: SealedFor<'_>, reason: impl Into<String>) -> Self {
        Self::Unavailable { key_id: whose.key_id.to_owned(), reason: reason.into() }
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey { key_id, seal_id } => write!(
                f,
                "the signing key `{key_id}` is sealed with the sealing key `{seal_id}`, which this instance does not have: list the root secret that it comes of as well, or give it that key of the KMS"
            ),
            Self::Unavailable { key_id, reason } => {
                write!(f, "what seals the signing key `{key_id}` cannot be asked: {reason}")
            }
            Self::Broken { key_id } => write!(
                f,
                "the signing key `{key_id}` does not open: its row was changed, or stands in the place of another; restore the row from a backup, or call `TokenIssuer::withdraw` with this id on an instance that runs"
            ),
        }
    }
}

impl core::error::Error for SealError {}

debug_as_displayed!(SealError);

#[cfg(test)]
mod tests {
    use portcullis::Secret;

    use super::*;

    const OLD: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
    const NEW: &str = "u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new";
    const PRIVATE: &[u8] = b"the PKCS#8 of a key";
    const WHOSE: SealedFor<'_> =
        SealedFor { issuer: "https://id.example", key_id: "k1", algorithm: "ES256" };

    fn seal(secrets: &[&str]) -> RootSeal {
        let root = RootSecrets::new(secrets.iter().map(|text| Secret::new(*text)));
        RootSeal::new(&root.expect("good secrets"), WHOSE.issuer)
    }

    fn sealed(seal: &RootSeal) -> Sealed {
        Sealed { seal_id: seal.id().to_owned(), bytes: seal.seal_now(PRIVATE, WHOSE) }
    }

    #[test]
    fn what_was_sealed_opens_for_the_same_key_of_the_same_issuer_alone() {
        let seal = seal(&[OLD]);
        let sealed = sealed(&seal);
        assert_eq!(seal.open_now(&sealed, WHOSE).as_deref().map(Vec::as_slice), Ok(PRIVATE));
        let broken = |key_id: &str| Err(SealError::Broken { key_id: key_id.to_owned() });
        for other in [
            SealedFor { issuer: "https://id.examplek", ..WHOSE },
            SealedFor { key_id: "k2", ..WHOSE },
            SealedFor { key_id: "1", issuer: "https://id.examplek", ..WHOSE },
            SealedFor { algorithm: "ES384", ..WHOSE },
        ] {
            assert_eq!(seal.open_now(&sealed, other), broken(other.key_id), "{other:?}");
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_seen() {
        let seal = seal(&[OLD]);
        let sealed = sealed(&seal);
        for at in 0..sealed.bytes.len() {
            let mut changed = sealed.clone();
            changed.bytes[at] ^= 1;
            assert!(seal.open_now(&changed, WHOSE).is_err(), "{at}");
            changed.bytes.truncate(at);
            assert!(seal.open_now(&changed, WHOSE).is_err(), "{at}");
        }
    }

    #[test]
    fn each_sealing_is_another_text() {
        let seal = seal(&[OLD]);
        let sealed = sealed(&seal);
        assert_ne!(sealed.bytes, seal.seal_now(PRIVATE, WHOSE));
        assert!(!sealed.bytes.windows(PRIVATE.len()).any(|window| window == PRIVATE));
        assert!(!format!("{sealed:?}").contains(&format!("{:?}", sealed.bytes)));
    }

    /// Each list beside its neighbours, forwards and back.
    #[test]
    fn the_root_secret_is_replaced_in_four_steps_with_neighbours_side_by_side() {
        let steps = [&[OLD][..], &[OLD, NEW], &[NEW, OLD], &[NEW]].map(seal);
        for neighbours in steps.windows(2) {
            for (one, other) in [(0, 1), (1, 0)] {
                let sealed = sealed(&neighbours[one]);
                assert!(neighbours[other].open_now(&sealed, WHOSE).is_ok());
            }
        }
        // Two steps at once: who is behind cannot open, and says which key it lacks.
        let sealed = sealed(&steps[2]);
        assert_eq!(sealed.seal_id, steps[3].id());
        let (key_id, seal_id) = (WHOSE.key_id.to_owned(), steps[3].id().to_owned());
        let lacks = SealError::NoKey { key_id, seal_id };
        assert_eq!(steps[0].open_now(&sealed, WHOSE), Err(lacks));
    }
}
