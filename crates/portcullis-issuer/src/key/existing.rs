use core::fmt;

use aws_lc_rs::rsa::{KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, PqdsaKeyPair, RsaKeyPair};
use base64::prelude::*;
use portcullis::keys::SecretFault;
use portcullis::{Algorithm, Secret};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::{KeyError, Kind, SECRET_LENGTH, SigningKey, pkcs8, seed};

use crate::debug_as_displayed::debug_as_displayed;

/// A private key that signs already, for a new ring to begin with: so that moving to the ring logs nobody out.
///
/// Tokens that are out go on to verify, and the ring's next key follows as any other does. It is taken over once, when the
/// ring is made. Where there is a ring, it is not looked at: leave it in the program until each instance has started.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_issuer::ExistingKey;
///
/// # let text = "-----BEGIN PRIVATE KEY-----
/// # MC4CAQAwBQYDK2VwBCIEIFNEsdyQF3MlhKSELPmB8zISr4BTtLN51sn3a2ozh2cb
/// # -----END PRIVATE KEY-----";
/// // As it is called in the `kid` of the tokens that are out.
/// let key = ExistingKey::from_pem(Algorithm::EdDSA, text)?.with_key_id("2024-03");
/// # let _ = key;
/// # Ok::<_, portcullis_issuer::ExistingKeyFault>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct ExistingKey {
    algorithm: Algorithm,
    /// As a row keeps it.
    private: Zeroizing<Vec<u8>>,
    key_id: Option<String>,
}

impl ExistingKey {
    /// Of PEM: PKCS#8 (`PRIVATE KEY`, RFC 5958), PKCS#1 (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`, RFC 5915), not
    /// encrypted. `algorithm` is what it signs with, which PEM does not say. A key of ML-DSA has to have its seed (RFC 9881 §6).
    ///
    /// # Errors
    ///
    /// There is not exactly one private key, or it is not for this algorithm.
    pub fn from_pem(algorithm: Algorithm, pem: impl AsRef<[u8]>) -> Result<Self, ExistingKeyFault> {
        let blocks = pem::parse_many(pem).map_err(|_| ExistingKeyFault::Pem)?;
        let mut keys = blocks.iter().filter(|block| block.tag().ends_with("PRIVATE KEY"));
        let (Some(block), None) = (keys.next(), keys.next()) else {
            return Err(ExistingKeyFault::Pem);
        };
        // PKCS#8, or as OpenSSL encrypted the other forms (RFC 1421 §4.6.1.1).
        let is_encrypted = |block: &pem::Pem| {
            let kind = block.headers().get("Proc-Type");
            block.tag().starts_with("ENCRYPTED") || kind.is_some_and(|it| it.contains("ENCRYPTED"))
        };
        if is_encrypted(block) {
            return Err(ExistingKeyFault::Encrypted);
        }
        Self::of(algorithm, Form::Der(block.contents()), None)
    }

    /// Of a private JWK (RFC 7517). Its `kid`, where it has one, is what tokens call it.
    ///
    /// # Errors
    ///
    /// It is not a private key for this algorithm, or says another one in `alg`.
    pub fn from_jwk(algorithm: Algorithm, jwk: impl AsRef<[u8]>) -> Result<Self, ExistingKeyFault> {
        // What stands in it is not told.
        let jwk: Jwk = serde_json::from_slice(jwk.as_ref()).map_err(|_| ExistingKeyFault::Jwk)?;
        if jwk.alg.as_deref().is_some_and(|alg| alg != algorithm.name()) {
            return Err(ExistingKeyFault::OtherAlgorithm { algorithm });
        }
        if jwk.is_public() || jwk.lacks_alg() {
            return Err(ExistingKeyFault::Jwk);
        }
        let key_id = jwk.kid.clone();
        Self::of(algorithm, Form::Jwk(&jwk), key_id)
    }

    /// Of a secret that services share: for HS256. It has to have an [id](Secret::id); tokens without a `kid` pass, too.
    ///
    /// Who verifies with it goes on to until the ring's next key signs, 30 days later by default. Let that be a key pair, by
    /// [another algorithm](crate::TokenIssuerBuilder::algorithm): the next secret would be known to the instances of the
    /// issuer alone.
    ///
    /// # Errors
    ///
    /// It cannot be read, has no [id](Secret::id), is easy to guess, a public key, or shorter than 32 bytes (RFC 7518 §3.2).
    pub fn from_secret(secret: &Secret) -> Result<Self, ExistingKeyFault> {
        let key_id = secret.key_id().ok_or(ExistingKeyFault::NoId)?.to_owned();
        let revealed = secret.reveal().map_err(ExistingKeyFault::Secret)?;
        let (algorithm, found) = (Algorithm::HS256, revealed.as_bytes().len());
        if found < SECRET_LENGTH {
            let needed = SECRET_LENGTH;
            return Err(ExistingKeyFault::Secret(SecretFault::TooShort {
                algorithm,
                needed,
                found,
            }));
        }
        let private = Zeroizing::new(revealed.as_bytes().to_vec());
        Ok(Self { algorithm, private, key_id: Some(key_id) })
    }

    /// What the `kid` of tokens calls it: 1 to 1024 bytes.
    ///
    /// If you do not call it: the `kid` of a JWK, the id of a [`Secret`], or else a thumbprint (RFC 7638). Tokens without a
    /// `kid` pass under whichever.
    pub fn with_key_id(self, key_id: impl Into<String>) -> Self {
        Self { key_id: Some(key_id.into()), ..self }
    }

    fn of(
        algorithm: Algorithm,
        form: Form<'_>,
        key_id: Option<String>,
    ) -> Result<Self, ExistingKeyFault> {
        let private = form.read(algorithm).map_err(ExistingKeyFault::Key)?;
        // As it will be read.
        SigningKey::read(algorithm, &private, None).map_err(ExistingKeyFault::Key)?;
        Ok(Self { algorithm, private, key_id })
    }

    /// The key, and what is to be sealed of it.
    pub(crate) fn read(&self) -> Result<(SigningKey, Zeroizing<Vec<u8>>), KeyError> {
        let key = SigningKey::read(self.algorithm, &self.private, self.key_id.as_deref())?;
        Ok((key, self.private.clone()))
    }

    /// Whether tokens can call it so.
    pub(crate) fn has_good_id(&self) -> bool {
        self.key_id.as_ref().is_none_or(|id| (1..=1024).contains(&id.len()))
    }
}

#[derive(Clone, Copy)]
enum Form<'a> {
    Der(&'a [u8]),
    Jwk(&'a Jwk),
}

impl Form<'_> {
    /// As a row keeps it: PKCS#8.
    fn read(self, algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let rejected = KeyError::Private { algorithm };
        match Kind::of(algorithm)? {
            Kind::Rsa(_) => {
                let pair = match self {
                    Self::Der(der) => {
                        RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der))
                    }
                    Self::Jwk(jwk) => {
                        let parts = jwk.rsa().ok_or_else(|| rejected.clone())?;
                        RsaKeyPair::from_components(&parts)
                    }
                };
                pkcs8(&pair.map_err(|_| rejected)?)
            }
            Kind::Ecdsa(signing) => {
                let pair = match self {
                    Self::Der(der) => EcdsaKeyPair::from_private_key_der(signing, der),
                    Self::Jwk(jwk) => {
                        let (d, point) = jwk.ec().ok_or_else(|| rejected.clone())?;
                        EcdsaKeyPair::from_private_key_and_public_key(signing, &d, &point)
                    }
                };
                let pair = pair.map_err(|_| rejected)?;
                Ok(Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec()))
            }
            Kind::Ed25519 => {
                let pair = match self {
                    Self::Der(der) => Ed25519KeyPair::from_pkcs8(der),
                    Self::Jwk(jwk) => {
                        let (d, x) = jwk.okp().ok_or_else(|| rejected.clone())?;
                        Ed25519KeyPair::from_seed_and_public_key(&d, &x)
                    }
                };
                pkcs8(&pair.map_err(|_| rejected)?)
            }
            Kind::MlDsa(signing) => {
                let pair = match self {
                    Self::Der(der) => PqdsaKeyPair::from_pkcs8(signing, der),
                    Self::Jwk(jwk) => {
                        let (seed, public) = jwk.akp().ok_or_else(|| rejected.clone())?;
                        let pair = PqdsaKeyPair::from_seed(signing, &seed);
                        // RFC 9964 §7.4: one that does not go with the other was tampered with.
                        let is_of =
                            |pair: &PqdsaKeyPair| pair.public_key().as_ref() == public.as_slice();
                        if pair.as_ref().is_ok_and(|pair| !is_of(pair)) {
                            return Err(rejected);
                        }
                        pair
                    }
                };
                // Of an expanded key alone, the library writes nothing.
                seed(&pair.map_err(|_| rejected.clone())?).map_err(|_| rejected)
            }
            Kind::Secret => Err(rejected),
        }
    }
}

/// The members of a private JWK. All of them are wiped.
#[derive(Deserialize)]
struct Jwk {
    alg: Option<String>,
    kid: Option<String>,
    kty: String,
    x: Option<Member>,
    y: Option<Member>,
    n: Option<Member>,
    e: Option<Member>,
    d: Option<Member>,
    p: Option<Member>,
    q: Option<Member>,
    dp: Option<Member>,
    dq: Option<Member>,
    qi: Option<Member>,
    #[serde(rename = "pub")]
    public: Option<Member>,
    #[serde(rename = "priv")]
    private: Option<Member>,
}

struct Member(Zeroizing<String>);

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new).map(Self)
    }
}

type Bytes = Zeroizing<Vec<u8>>;

fn bytes(member: Option<&Member>) -> Option<Bytes> {
    BASE64_URL_SAFE_NO_PAD.decode(member?.0.as_bytes()).ok().map(Zeroizing::new)
}

impl Jwk {
    fn rsa(&self) -> Option<KeyPairComponents<Bytes>> {
        let Self { kty, n, e, d, p, q, dp, dq, qi, .. } = self;
        (kty == "RSA").then_some(())?;
        Some(KeyPairComponents {
            public_key: PublicKeyComponents { n: bytes(n.as_ref())?, e: bytes(e.as_ref())? },
            d: bytes(d.as_ref())?,
            p: bytes(p.as_ref())?,
            q: bytes(q.as_ref())?,
            dP: bytes(dp.as_ref())?,
            dQ: bytes(dq.as_ref())?,
            qInv: bytes(qi.as_ref())?,
        })
    }

    /// The private number, and the public point.
    fn ec(&self) -> Option<(Bytes, Vec<u8>)> {
        (self.kty == "EC").then_some(())?;
        let (x, y) = (bytes(self.x.as_ref())?, bytes(self.y.as_ref())?);
        Some((bytes(self.d.as_ref())?, [&[4][..], &x, &y].concat()))
    }

    fn okp(&self) -> Option<(Bytes, Bytes)> {
        (self.kty == "OKP").then_some(())?;
        Some((bytes(self.d.as_ref())?, bytes(self.x.as_ref())?))
    }

    /// Whether it is of a key pair, and has its public half alone.
    fn is_public(&self) -> bool {
        let is_pair = ["RSA", "EC", "OKP", "AKP"].contains(&&*self.kty);
        is_pair && self.d.is_none() && self.private.is_none()
    }

    /// Of all types, AKP alone has to say its `alg` (RFC 9964 §3).
    fn lacks_alg(&self) -> bool {
        self.kty == "AKP" && self.alg.is_none()
    }

    /// The seed, and the public key.
    fn akp(&self) -> Option<(Bytes, Bytes)> {
        (self.kty == "AKP").then_some(())?;
        Some((bytes(self.private.as_ref())?, bytes(self.public.as_ref())?))
    }
}

/// Shows nothing of the key.
impl fmt::Debug for ExistingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExistingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Why an existing key cannot be taken over. Says nothing of it.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum ExistingKeyFault {
    /// It is not PEM with one private key.
    Pem,
    /// It is encrypted.
    Encrypted,
    /// It is not a private JWK, or of the type AKP and without `alg`.
    Jwk,
    /// It says that it is for another algorithm.
    OtherAlgorithm {
        /// The one that was said.
        algorithm: Algorithm,
    },
    /// It is not a key for the algorithm.
    Key(KeyError),
    /// A secret has no id.
    NoId,
    /// It is not a secret that may be shared.
    Secret(SecretFault),
}

impl fmt::Display for ExistingKeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pem => f.write_str(
                "the existing key is not PEM with exactly one private key: take the file that the program signed with so far",
            ),
            Self::Encrypted => f.write_str(
                "the existing key is encrypted with a passphrase: decrypt it with `openssl pkey -in KEY -out PLAIN`, and delete the plain file after the first start",
            ),
            Self::Jwk => f.write_str(
                "the existing key is not a private JWK: one JSON object with `kty` and the private members, which are `d` and others, or \
                 `priv` of the type AKP, which has to have `alg` as well",
            ),
            Self::OtherAlgorithm { algorithm } => write!(
                f,
                "the existing key says another algorithm in `alg` than {algorithm}: take over what it signed with so far, new keys may sign with another"
            ),
            Self::Key(error) => write!(f, "the existing key: {error}"),
            Self::NoId => f.write_str(
                "the existing secret has no id: give it one by `Secret::id`, such as the year and month it was made in",
            ),
            Self::Secret(fault) => write!(f, "the existing secret: {fault}"),
        }
    }
}

impl core::error::Error for ExistingKeyFault {}

debug_as_displayed!(ExistingKeyFault);
