//! Shared secrets (RFC 7518 §3.2), rotated by overlapping *accept until* windows.
mod md5;
mod source;
mod strength;

use core::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

pub(crate) use self::source::AsKeySource;
pub use self::source::{SecretSet, SecretSource};
pub use self::strength::Weakness;
use super::file::{KeyFile, KeyFileError, KeyFileOptions};
use super::jwk::MAX_BYTES;
use super::{KeyFault, KeySet, VerificationKey, pem};
use crate::signature::{Algorithm, Family, Verifier};
use crate::text::{MARK, PEM_BEGIN, TextFault, is_utf_16_of_ascii};
use crate::time::UnixTime;

/// How a secret is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Encoding {
    /// As it is. One newline at the end of a file of text (`\n` or `\r\n`) does not belong to it. What
    /// else an editor or a shell may have added to a text is [refused](Stray).
    #[default]
    Raw,
    /// Base64url (RFC 4648 §5), with or without padding. White space around it is dropped, and a byte
    /// order mark in front.
    Base64url,
    /// Hexadecimal, either case. White space around it is dropped, and a byte order mark in front.
    Hex,
}

/// A secret shared with the issuer, for the `HS` algorithms.
///
/// To rotate without downtime, list the new secret beside the old one and say until when the old
/// one is accepted; then let the issuer sign with the new one.
///
/// ```no_run
/// use portcullis::{Encoding, Secret, UnixTime};
///
/// let secrets = [
///     Secret::file("/run/secrets/jwt-2026-11", Encoding::Base64url).id("2026-11"),
///     Secret::file("/run/secrets/jwt-2026-05", Encoding::Base64url)
///         .id("2026-05")
///         .accept_until(UnixTime(1_798_675_200)), // 2026-12-31
/// ];
/// # let _ = secrets;
/// ```
///
/// Building the policy refuses a secret that is shorter than the hash of an algorithm that it is
/// for (RFC 7518 §3.2), [too easy to guess](Weakness), or a public key: also the number `n`, `x` or `y`
/// or the thumbprint of one that the policy was given or has in a file (RFC 8725 §2.1).
#[derive(Clone)]
#[must_use]
pub struct Secret {
    id: Option<Box<str>>,
    algorithm: Option<Algorithm>,
    accept_until: Option<UnixTime>,
    origin: Origin,
}

#[derive(Clone)]
enum Origin {
    Memory(Zeroizing<Vec<u8>>, Encoding),
    File(PathBuf, Encoding),
    Environment(String, Encoding),
}

impl Secret {
    fn from_origin(origin: Origin) -> Self {
        Self { id: None, algorithm: None, accept_until: None, origin }
    }

    /// The secret itself.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self::from_origin(Origin::Memory(Zeroizing::new(secret.into()), Encoding::Raw))
    }

    /// The secret as text in `encoding`.
    pub fn encoded(text: impl Into<String>, encoding: Encoding) -> Self {
        Self::from_origin(Origin::Memory(Zeroizing::new(text.into().into_bytes()), encoding))
    }

    /// The content of a file, read when the policy is built and again whenever it changes: a
    /// broken or weak new content keeps the secret that was good. See [`KeyFile`].
    pub fn file(path: impl Into<PathBuf>, encoding: Encoding) -> Self {
        Self::from_origin(Origin::File(path.into(), encoding))
    }

    /// The value of an environment variable, read when the policy is built.
    pub fn env(name: impl Into<String>, encoding: Encoding) -> Self {
        Self::from_origin(Origin::Environment(name.into(), encoding))
    }

    /// Gives it an id, which tokens then have to name in `kid`, or name none.
    ///
    /// If you do not call it: it is tried for every token, and a policy that enforces the revocation of keys does not
    /// build.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into().into_boxed_str());
        self
    }

    /// Accepts it before `end` only, on the policy's clock.
    ///
    /// Called again, the earliest. If you do not call it: it is accepted as long as the policy lives.
    pub fn accept_until(mut self, end: impl Into<UnixTime>) -> Self {
        let end = end.into();
        self.accept_until = Some(self.accept_until.map_or(end, |before| before.min(end)));
        self
    }

    /// Uses it with this algorithm only.
    ///
    /// If you do not call it: it serves each `HS` algorithm that the issuer lists, and has to be as long as
    /// the longest of their hashes.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Its id, if it was given one.
    pub fn key_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(crate) fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// What a message about it calls it.
    pub(crate) fn label(&self) -> String {
        match (&self.id, &self.origin) {
            (_, Origin::File(path, _)) => format!("secret file {}", path.display()),
            (_, Origin::Environment(name, _)) => format!("secret in ${name}"),
            (Some(id), _) => format!("secret `{id}`"),
            (None, _) => "secret".to_owned(),
        }
    }

    /// Its bytes, for whoever derives keys of other kinds from it.
    ///
    /// It is judged as the secret of an issuer is, but for its length, and is read once: a file that changes is not read
    /// again.
    ///
    /// # Errors
    ///
    /// It cannot be read, is not in its encoding, is easy to guess, or is a public key.
    pub fn reveal(&self) -> Result<RevealedSecret, SecretFault> {
        let unreadable = |reason: String| SecretFault::Key(KeyFault::Unreadable { reason });
        let (text, encoding) = match &self.origin {
            Origin::Memory(bytes, encoding) => (bytes.clone(), *encoding),
            Origin::Environment(name, encoding) => (variable(name)?, *encoding),
            Origin::File(path, encoding) => {
                let content = crate::file::read(path, MAX_BYTES)
                    .map_err(|kind| unreadable(crate::file::unreadable_reason(kind)))?;
                if content.len() > MAX_BYTES {
                    return Err(SecretFault::Key(KeyFault::TooLarge { length: content.len() }));
                }
                (Zeroizing::new(of_file(&content, *encoding).to_vec()), *encoding)
            }
        };
        judge(&text, encoding, &KeySet::empty(), &[]).map(RevealedSecret)
    }

    /// Prepares it for an issuer with these algorithms, in a policy with these public keys.
    pub(crate) fn prepare(
        &self,
        listed: &[Algorithm],
        public: &KeySet,
    ) -> Result<Prepared, SecretFault> {
        if self.id.as_ref().is_some_and(|id| id.is_empty() || id.len() > 1024) {
            return Err(SecretFault::Key(KeyFault::KeyId));
        }
        let algorithms: Vec<_> = listed
            .iter()
            .copied()
            .filter(|algorithm| algorithm.family() == Family::Hmac)
            .filter(|algorithm| self.algorithm.is_none_or(|own| own == *algorithm))
            .collect();
        if algorithms.is_empty() {
            return Err(SecretFault::NoAlgorithm);
        }
        let binding = Binding {
            id: self.id.clone(),
            accept_until: self.accept_until,
            algorithms,
            public: public.clone(),
        };
        match &self.origin {
            Origin::Memory(bytes, encoding) => binding.bind(bytes, *encoding).map(Prepared::Fixed),
            Origin::Environment(name, encoding) => {
                binding.bind(&variable(name)?, *encoding).map(Prepared::Fixed)
            }
            Origin::File(path, encoding) => binding.watch(path, *encoding).map(Prepared::Watched),
        }
    }
}

/// The bytes of a secret, overwritten when they are dropped. `Debug` does not show them.
pub struct RevealedSecret(Zeroizing<Vec<u8>>);

impl RevealedSecret {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RevealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevealedSecret").finish_non_exhaustive()
    }
}

/// A secret ready for use.
pub(crate) enum Prepared {
    Fixed(KeySet),
    Watched(KeyFile),
}

/// What a secret's bytes become keys for.
struct Binding {
    id: Option<Box<str>>,
    accept_until: Option<UnixTime>,
    algorithms: Vec<Algorithm>,
    public: KeySet,
}

impl Binding {
    fn bind(&self, text: &[u8], encoding: Encoding) -> Result<KeySet, SecretFault> {
        let secret = judge(text, encoding, &self.public, &self.algorithms)?;
        let keys = self.algorithms.iter().filter_map(|algorithm| {
            let verifier = Verifier::hmac(*algorithm, &secret)?;
            Some(
                VerificationKey::new(*algorithm, self.id.as_deref(), verifier)
                    .accept_until(self.accept_until),
            )
        });
        Ok(KeySet::new(keys.collect(), Vec::new()))
    }

    fn watch(self, path: &Path, encoding: Encoding) -> Result<KeyFile, SecretFault> {
        let read = move |content: &[u8]| {
            // Only so much was read, and the start of a secret is another secret.
            if content.len() > MAX_BYTES {
                return Err(KeyFault::TooLarge { length: content.len() });
            }
            self.bind(of_file(content, encoding), encoding).map_err(|fault| match fault {
                SecretFault::Key(fault) => fault,
                fault => KeyFault::Secret(Box::new(fault)),
            })
        };
        KeyFileOptions::new(path, read).open().map_err(|KeyFileError { fault, .. }| match fault {
            KeyFault::Secret(fault) => *fault,
            fault => SecretFault::Key(fault),
        })
    }
}

/// The value of a variable of the environment.
fn variable(name: &str) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
    let value = std::env::var_os(name).ok_or_else(|| {
        SecretFault::Key(KeyFault::Unreadable { reason: "the variable is not set".to_owned() })
    })?;
    Ok(Zeroizing::new(value.into_encoded_bytes()))
}

/// The secret that is written so, if it may be one for `algorithms`, beside these public keys.
fn judge(
    text: &[u8],
    encoding: Encoding,
    public: &KeySet,
    algorithms: &[Algorithm],
) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
    let secret = decode(text, encoding)?;
    let is_shown = |secret: &[u8]| public.iter().any(|key| key.shows(secret));
    if is_public_key(&secret) || strength::any_spelling(&secret, is_shown) {
        return Err(SecretFault::Key(KeyFault::PublicKeyAsSecret));
    }
    // Before its length: "a published default" says more than "too short".
    if let Some(weakness) = strength::weakness(&secret).filter(|one| *one == Weakness::Published) {
        return Err(SecretFault::Weak(weakness));
    }
    if let Some(stray) = Stray::of(&secret).filter(|_| encoding == Encoding::Raw) {
        return Err(SecretFault::Stray(stray));
    }
    for algorithm in algorithms {
        let needed = hash_length(*algorithm);
        if secret.len() < needed {
            return Err(SecretFault::TooShort {
                algorithm: *algorithm,
                needed,
                found: secret.len(),
            });
        }
    }
    if let Some(weakness) = strength::weakness(&secret) {
        return Err(SecretFault::Weak(weakness));
    }
    Ok(secret)
}

/// What a file says of a secret in this encoding.
fn of_file(content: &[u8], encoding: Encoding) -> &[u8] {
    if encoding == Encoding::Raw { without_newline(content) } else { content }
}

/// Editors and `echo` add one newline to a text. In other bytes it is a byte like any other.
fn without_newline(content: &[u8]) -> &[u8] {
    match content.strip_suffix(b"\n").filter(|_| as_text(content).is_some()) {
        // A carriage return alone is a byte like any other.
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => content,
    }
}

fn decode(text: &[u8], encoding: Encoding) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
    const BASE64URL: GeneralPurpose = GeneralPurpose::new(
        &alphabet::URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    if is_utf_16_of_ascii(text) {
        return Err(SecretFault::Key(KeyFault::Text(TextFault::Utf16)));
    }
    let encoded = text.strip_prefix(MARK).unwrap_or(text).trim_ascii();
    let secret = match encoding {
        Encoding::Raw => Some(Zeroizing::new(text.to_vec())),
        Encoding::Base64url => BASE64URL.decode(encoded).ok().map(Zeroizing::new),
        Encoding::Hex => strength::from_hex(encoded),
    };
    secret.ok_or(SecretFault::Encoding(encoding))
}

/// What stands around a secret in [`Encoding::Raw`] and was hardly meant to be part of it: all tokens
/// would be refused. Looked for in text only, never in random bytes.
///
/// If it does belong to the secret, write the secret in [`Encoding::Hex`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stray {
    /// A byte order mark in front.
    ByteOrderMark,
    /// White space in front or at the end, beside the one newline of a file.
    WhiteSpace,
    /// Quotes around letters, digits and `+/=_-.`.
    Quotes,
}

impl Stray {
    fn of(secret: &[u8]) -> Option<Self> {
        let text = as_text(secret)?;
        // In other characters, both ends of a random text can be quotes by chance.
        let is_quoted = |quote| {
            let inner = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-.".contains(&byte);
            inner.is_some_and(|inner| inner.bytes().all(is_plain))
        };
        if secret.starts_with(MARK) {
            Some(Self::ByteOrderMark)
        } else if text.trim() != text {
            Some(Self::WhiteSpace)
        } else if is_quoted('"') || is_quoted('\'') {
            Some(Self::Quotes)
        } else {
            None
        }
    }
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByteOrderMark => "begins with a byte order mark",
            Self::WhiteSpace => "begins or ends with white space",
            Self::Quotes => "stands in quotes",
        })
    }
}

/// A text without control characters but for white space. Of 32 random bytes, less than one in a
/// million million is one.
fn as_text(secret: &[u8]) -> Option<&str> {
    let is_odd = |character: char| character.is_control() && !character.is_ascii_whitespace();
    core::str::from_utf8(secret).ok().filter(|text| !text.contains(is_odd))
}

/// The confusion of RFC 8725 §2.1, made by the one who configures: a public key as a secret.
fn is_public_key(secret: &[u8]) -> bool {
    let text = secret.trim_ascii_start();
    // A key of a type that is not supported here is public all the same.
    let is_der = |der: &[u8]| {
        !matches!(pem::read_der(der), Err(KeyFault::Der | KeyFault::PrivateKey { .. }))
    };
    // Anywhere: a space in front defeated the check of another library (CVE-2026-34950), and
    // `openssl x509 -text` writes pages of text there.
    text.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN)
        || is_ssh(text)
        || (text.starts_with(b"{") && serde_json::from_slice::<serde_json::Value>(text).is_ok())
        || is_der(secret)
        // The PEM text without its first and last line, as the consoles of some providers show it.
        || STANDARD.decode(without_white_space(text)).is_ok_and(|der| is_der(&der))
}

/// A public key as OpenSSH writes it. The encoded part starts with a length (RFC 4253 §6.6), whose
/// upper bytes are zero.
fn is_ssh(text: &[u8]) -> bool {
    const LENGTH: &[u8] = b" AAAA";
    (text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-sha2-"))
        && text.windows(LENGTH.len()).any(|window| window == LENGTH)
}

fn without_white_space(text: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect())
}

/// Bytes of the hash: RFC 7518 §3.2 asks for a key of this size or larger.
fn hash_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS512 => 64,
        Algorithm::HS384 => 48,
        _ => 32,
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("accept_until", &self.accept_until).finish_non_exhaustive()
    }
}

/// Why a shared secret is refused. Never says anything of its content.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretFault {
    /// The issuer lists no `HS` algorithm, or not the one that this secret is for.
    NoAlgorithm,
    /// It is not written in its encoding.
    Encoding(Encoding),
    /// Something stands around it that was hardly meant to be part of it.
    Stray(Stray),
    /// It is shorter than the hash (RFC 7518 §3.2).
    TooShort {
        /// The algorithm.
        algorithm: Algorithm,
        /// Bytes needed.
        needed: usize,
        /// Bytes found.
        found: usize,
    },
    /// It is too easy to guess.
    Weak(Weakness),
    /// It cannot be read, its id is not one, or it is a public key.
    Key(KeyFault),
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WAY_OUT: &str = "make one with `openssl rand -base64 48`, and give its text to both sides as it is: here by `Secret::new(text)`, in a policy file without `encoding`";
        match self {
            Self::NoAlgorithm => f.write_str("the issuer lists no algorithm that a shared secret works with: list HS256, HS384 or HS512"),
            Self::Encoding(Encoding::Base64url) => f.write_str("it is not base64url, which has letters, digits, `-` and `_`, and no bits to spare at its end (standard base64 has `+` and `/`)"),
            Self::Encoding(Encoding::Hex) => f.write_str("it is not hexadecimal (digits and `a` to `f`, two for each byte)"),
            Self::Encoding(Encoding::Raw) => f.write_str("it is not as it must be"),
            Self::Stray(stray) => write!(f, "it {stray}, which would be part of the secret: remove that or, if it belongs to the secret, give the secret in hexadecimal, as `Secret::encoded(text, Encoding::Hex)`"),
            Self::TooShort { algorithm, needed, found } => {
                write!(f, "it has {found} bytes, and {algorithm} needs {needed} (RFC 7518 section 3.2); {WAY_OUT}")
            }
            Self::Weak(weakness) => write!(f, "it {weakness}; {WAY_OUT}"),
            Self::Key(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for SecretFault {}
