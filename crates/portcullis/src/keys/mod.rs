//! Which key may have signed a token.
//!
//! - A [`VerificationKey`] is a key prepared for exactly one [`Algorithm`].
//! - A [`KeySet`] holds the keys read from a JWK set, PEM or DER. [`Secret`]s are shared keys, read
//!   from memory, a file or the environment. Both may serve one issuer.
//! - A [`KeySource`] gives the current set: a [`KeyFile`] re-reads its file when it changes, remote
//!   keys (feature `remote-jwks`) are fetched; or your own.
//!
//! The key id in a token only looks up: a key with an id serves tokens that name this id, a key
//! without one is a candidate for every token, and a token without an id sees all keys of its
//! algorithm. At most [`MAX_CANDIDATES`] are tried, fewer of those that take long.
mod candidates;
mod fault;
mod file;
mod jwk;
mod pem;
mod public;
#[cfg(feature = "remote-jwks")]
pub mod remote;
mod secret;
mod set;

use core::any::Any;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(crate) use self::candidates::Candidates;
pub use self::fault::{KeyFault, MemberFault, NotAnObject};
pub use self::file::{KeyFile, KeyFileError, KeyFileEvent, KeyFileOptions, KeyFileStatus};
pub(crate) use self::secret::{AsKeySource, Prepared};
pub use self::secret::{
    Encoding, RevealedSecret, Secret, SecretFault, SecretSet, SecretSource, Stray, Weakness,
};
pub use self::set::{KeySet, SkippedKey};
use crate::signature::{Algorithm, Verifier, sha256};
use crate::time::UnixTime;

/// How many keys are tried for one token: an attacker pays for none of them. Two secrets in a
/// rotation window, each in an old and a new spelling, are four.
///
/// A key whose signatures take long to check counts for two, so that no token costs a millisecond: keys
/// for `ES384` and `ES512`, and of RSA those of over 4096 bits, or with an exponent of over 17 bits. With
/// both, it counts for four. In µs on one core: ES256 59, Ed25519 47, ES384 235, ES512 400; RSA of 2048,
/// 4096, 8192 bits 20, 66, 258, and with an exponent of 33 bits 46, 169, 662; ML-DSA-44, -65 and -87 22, 36, 56.
pub const MAX_CANDIDATES: usize = 4;

/// A key, prepared once, with the one algorithm that it may be used with (RFC 8725 §3.1).
///
/// ```compile_fail
/// # use portcullis::keys::VerificationKey;
/// # use portcullis::Algorithm;
/// // There is no way to use it with another.
/// fn confuse(key: &mut VerificationKey) { key.algorithm = Algorithm::HS256; }
/// ```
pub struct VerificationKey {
    algorithm: Algorithm,
    id: Option<Box<str>>,
    thumbprint: Option<Arc<Thumbprint>>,
    /// How many of [`MAX_CANDIDATES`] it counts for.
    weight: usize,
    accept_until: Option<UnixTime>,
    withdrawn: AtomicBool,
    verifier: Verifier,
}

/// The hash of a public key (RFC 7638), and its text in base64url.
struct Thumbprint {
    bytes: [u8; 32],
    text: Box<str>,
}

impl Thumbprint {
    fn of(jwk: &str) -> Self {
        let bytes = sha256(jwk.as_bytes());
        Self { bytes, text: URL_SAFE_NO_PAD.encode(bytes).into() }
    }

    fn as_str(&self) -> &str {
        &self.text
    }
}

/// The keys of a single JWK, one for each algorithm that it can be used with.
pub(crate) fn read_jwk(input: &[u8]) -> Result<Vec<VerificationKey>, KeyFault> {
    jwk::read_key(input)
}

impl VerificationKey {
    fn new(algorithm: Algorithm, id: Option<&str>, verifier: Verifier) -> Self {
        Self {
            algorithm,
            id: id.map(Box::from),
            thumbprint: None,
            weight: 1,
            accept_until: None,
            withdrawn: AtomicBool::new(false),
            verifier,
        }
    }

    fn accept_until(mut self, end: Option<UnixTime>) -> Self {
        self.accept_until = end;
        self
    }

    /// Whether its signatures cost several times what those of usual keys of its kind do.
    pub(crate) fn is_costly(&self) -> bool {
        self.weight > 1
    }

    /// The algorithm it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its id, which a token names in `kid`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The thumbprint of a public key: SHA-256 in base64url (RFC 7638), the same for each algorithm
    /// and under each id. With or without an id, the key can be revoked by it.
    ///
    /// A shared secret has none: it would be a hash of the secret, by which the secret could be
    /// guessed (RFC 7638 §7).
    pub fn thumbprint(&self) -> Option<&str> {
        self.thumbprint.as_deref().map(Thumbprint::as_str)
    }

    /// The same, not encoded.
    pub(crate) fn thumbprint_bytes(&self) -> Option<[u8; 32]> {
        self.thumbprint.as_deref().map(|thumbprint| thumbprint.bytes)
    }

    /// What a revocation may call it. Nothing of this was written by who sent a token.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.id().into_iter().chain(self.thumbprint())
    }

    /// Whether it may still be used: its set still has it, and its *accept until* is not over.
    pub(crate) fn is_live(&self, now: UnixTime) -> bool {
        !self.withdrawn.load(Ordering::Acquire) && self.accept_until.is_none_or(|end| now < end)
    }

    /// When its *accept until* is over.
    pub(crate) fn accepted_until(&self) -> Option<UnixTime> {
        self.accept_until
    }

    fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn serves(&self, query: &KeyQuery<'_>) -> bool {
        self.algorithm == query.algorithm
            && match (&self.id, query.key_id) {
                (Some(own), Some(asked)) => **own == *asked,
                (None, _) | (_, None) => true,
            }
    }

    /// Whether these bytes are all or a part of a public key, long enough to be a secret, or its
    /// thumbprint.
    fn shows(&self, bytes: &[u8]) -> bool {
        let number = public::significant(bytes);
        let key = self.verifier.public_bytes().filter(|_| number.len() >= 16);
        key.is_some_and(|key| memchr::memmem::find(key, number).is_some())
            || self.thumbprint_bytes().is_some_and(|own| own == bytes)
    }

    /// Whether one of `sources` still has it. A source of the user's own may take keys away, and
    /// make those that stay anew, without a word.
    pub(crate) fn is_in(&self, sources: &[Arc<dyn KeySource>]) -> bool {
        sources.iter().any(|source| {
            source.keys().iter().any(|key| core::ptr::eq(&**key, self) || key.is_same_as(self))
        })
    }

    /// Whether both verify the same tokens, whatever they are called.
    pub(crate) fn verifies_alike(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
            || self.algorithm == other.algorithm && self.verifier.verifies_alike(&other.verifier)
    }

    fn is_same_as(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm
            && self.id == other.id
            && self.verifier.is_same_public_key(&other.verifier)
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// What a token says about its key. Written by whoever sent it: use it to look up, never to trust,
/// and never in a query language, a path or a log (RFC 8725bis §3.10).
#[non_exhaustive]
#[derive(Clone, Copy)]
pub struct KeyQuery<'a> {
    /// The `kid` of the token's header, at most 1 KiB.
    pub key_id: Option<&'a str>,
    /// The `alg` of the token's header, one that the issuer's policy lists.
    pub algorithm: Algorithm,
}

impl fmt::Debug for KeyQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyQuery").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Somewhere that an issuer's public keys come from and may change.
///
/// [`KeySet`] and [`KeyFile`] are sources, and with the feature `remote-jwks` `RemoteJwks`.
/// Implement it for your own: a vault, a database.
///
/// ```
/// use arc_swap::ArcSwap;
/// use portcullis::{Algorithm, Issuer, KeySet, KeySource, Keys};
///
/// /// Keys that a task of the program replaces by what the vault says.
/// #[derive(Debug)]
/// struct Vault(ArcSwap<KeySet>);
///
/// impl KeySource for Vault {
///     fn keys(&self) -> KeySet {
///         self.0.load().as_ref().clone()
///     }
/// }
///
/// fn issuer(vault: Vault) -> Issuer {
///     Issuer::new("https://id.example")
///         .algorithms([Algorithm::ES256])
///         .keys(Keys::source(vault))
///         .audience("https://orders.example")
/// }
/// # let _ = issuer;
/// ```
pub trait KeySource: Any + fmt::Debug + Send + Sync {
    /// The keys at this moment. Asked for every token: it must not wait, and should not lock.
    fn keys(&self) -> KeySet;

    /// Asked when [`keys`](Self::keys) holds none for a token. A source that can look further
    /// returns a future; when it is ready, the keys are looked at once more.
    ///
    /// Anybody can send tokens with an unknown key id: bound what this does. Without an
    /// implementation of yours, such a token is refused at once.
    ///
    /// # Errors
    ///
    /// The future fails with [`KeysUnavailable`] where it could not be found out whether there is
    /// such a key. The client is then told 503, never 401.
    fn seek(&self, query: &KeyQuery<'_>) -> Option<KeyFuture> {
        let _ = query;
        None
    }

    /// Says in a few words what this source is, for who reads what a policy accepts (feature `explain`): `the
    /// file keys.json`. No secret, and no key.
    ///
    /// Without an implementation of yours: the name of its type.
    fn describe(&self) -> String {
        let path = core::any::type_name::<Self>();
        let name = path.split('<').next().and_then(|path| path.rsplit("::").next());
        format!("the program's own source `{}`", name.unwrap_or(path))
    }
}

/// The future of [`KeySource::seek`].
pub type KeyFuture = Pin<Box<dyn Future<Output = Result<(), KeysUnavailable>> + Send>>;

/// The keys cannot be had at the moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
#[must_use]
pub struct KeysUnavailable {
    /// How long a client should wait, where that is known. It is told so in whole seconds, rounded up, and a minute at
    /// most.
    pub retry_after: Option<core::time::Duration>,
    /// Shared, since every request that misses a key has it while a key server is away.
    reason: Option<Arc<str>>,
}

impl KeysUnavailable {
    /// The keys cannot be had. Without [`with_retry_after`](Self::with_retry_after), a client is told to wait five seconds.
    pub const fn new() -> Self {
        Self { retry_after: None, reason: None }
    }

    /// How long a client should wait. `None`: nobody knows.
    pub const fn with_retry_after(mut self, wait: Option<core::time::Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Why they cannot be had, for logs: `the vault is sealed`. Clients never see it. Put no secret into it.
    pub fn with_reason(self, reason: impl Into<Arc<str>>) -> Self {
        Self { reason: Some(reason.into()), ..self }
    }

    /// Why they cannot be had, where the source said so. [`RemoteJwks`](remote::RemoteJwks) says how its last fetch
    /// failed: the address without user and query, and the fault.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

impl fmt::Display for KeysUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the keys of the issuer are not available at the moment")?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for KeysUnavailable {}

/// Why no key was found for a token.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyError {
    /// The issuer has no such key.
    Unknown,
    /// More keys match than [are tried](MAX_CANDIDATES), and the token does not say which.
    TooMany,
    /// The token names no key, and the policy asks for an id.
    IdMissing,
    /// The key that the token verified under has been withdrawn since.
    Withdrawn,
    /// The keys cannot be had. Never the client's fault.
    Unavailable(KeysUnavailable),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the issuer has no key that this token could be signed with"),
            Self::TooMany => f.write_str("more keys match than are tried, and the token does not name one: have the issuer send `kid`"),
            Self::IdMissing => f.write_str("the token does not name its key (`kid`), and the policy requires that"),
            Self::Withdrawn => f.write_str("the key that the token was verified with has been withdrawn since"),
            Self::Unavailable(unavailable) => unavailable.fmt(f),
        }
    }
}

impl core::error::Error for KeyError {}
