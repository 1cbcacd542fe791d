//! Keys that never leave where they are: in a KMS or an HSM.
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;

use portcullis::Algorithm;
use spki::der::asn1::UintRef;
use spki::der::{Decode, Reader, SliceReader};

use crate::debug_as_displayed::debug_as_displayed;

/// Makes keys that never leave it, and signs with them: a KMS or an HSM.
///
/// Think of a [`Seal`](crate::seal::Seal) first, which asks a KMS once for each key. A signer is asked for every token: that
/// is a round trip for each login and each refresh, out of a quota that an account often shares, and no token is issued
/// while it is away.
///
/// The ring rotates such keys as it does others: it has the signer make the next one ahead of time, and delete what signs
/// no longer. Every signature is verified before a token leaves.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis_issuer::signer::{Signature, Signer, SignerError, SignerKey};
/// # struct Client;
/// # impl Client {
/// #     async fn create_key(&self, _: &str) -> Result<(String, Vec<u8>), String> { Err(String::new()) }
/// #     async fn sign(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, String> { Err(String::new()) }
/// #     async fn schedule_deletion(&self, _: &str) -> Result<(), String> { Err(String::new()) }
/// # }
///
/// struct Kms(Client);
///
/// impl Signer for Kms {
///     async fn create(
///         &self,
///         algorithm: Algorithm,
///     ) -> Result<SignerKey, SignerError> {
///         let spec = match algorithm {
///             Algorithm::ES256 => "ECC_NIST_P256",
///             _ => return Err(SignerError::new("not for this algorithm")),
///         };
///         // What names the key there, and its public part as the KMS gives it.
///         let made = self.0.create_key(spec).await;
///         let (name, public_key_der) = made.map_err(SignerError::new)?;
///         Ok(SignerKey { name, public_key_der })
///     }
///
///     async fn sign(
///         &self,
///         name: &str,
///         _: Algorithm,
///         input: &[u8],
///     ) -> Result<Signature, SignerError> {
///         // As most of them answer for ECDSA; a token has another form.
///         let signature = self.0.sign(name, input).await;
///         signature.map(Signature::Der).map_err(SignerError::new)
///     }
///
///     async fn delete(&self, name: &str) -> Result<(), SignerError> {
///         self.0.schedule_deletion(name).await.map_err(SignerError::new)
///     }
/// }
/// # let _ = Kms(Client);
/// ```
pub trait Signer: Send + Sync + 'static {
    /// Makes a key for this algorithm.
    ///
    /// # Errors
    ///
    /// It does not sign with this algorithm, or cannot be asked.
    fn create(
        &self,
        algorithm: Algorithm,
    ) -> impl Future<Output = Result<SignerKey, SignerError>> + Send;

    /// Signs `input`, which it hashes itself, with the key of this name.
    ///
    /// # Errors
    ///
    /// It cannot be asked, or has no such key.
    fn sign(
        &self,
        name: &str,
        algorithm: Algorithm,
        input: &[u8],
    ) -> impl Future<Output = Result<Signature, SignerError>> + Send;

    /// Deletes the key of this name, which signs no longer, or never did. Called once, and not again where it failed: a
    /// program that ends at the wrong moment leaves a key behind. No row of the ring names it then.
    ///
    /// # Errors
    ///
    /// It cannot be asked.
    fn delete(&self, name: &str) -> impl Future<Output = Result<(), SignerError>> + Send;
}

/// A key that a [`Signer`] made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignerKey {
    /// What names it there. It stands in the ring's row, and is not a secret.
    pub name: String,
    /// Its public part: `SubjectPublicKeyInfo` in DER (RFC 5280 §4.1.2.7).
    pub public_key_der: Vec<u8>,
}

/// What a [`Signer`] signed.
#[derive(Clone, Eq, PartialEq)]
pub enum Signature {
    /// As it stands in a token (RFC 7518 §3): for ECDSA `r` and `s`, each as long as the curve's order.
    Jose(Vec<u8>),
    /// Of ECDSA, in DER: `Ecdsa-Sig-Value` (RFC 3279 §2.2.3).
    Der(Vec<u8>),
}

impl Signature {
    /// As it stands in a token. `None`: it is not one.
    pub(crate) fn into_jose(self, algorithm: Algorithm) -> Option<Vec<u8>> {
        match (self, algorithm) {
            (Self::Jose(bytes), _) => Some(bytes),
            (Self::Der(der), Algorithm::ES256) => fixed::<32>(&der),
            (Self::Der(der), Algorithm::ES384) => fixed::<48>(&der),
            (Self::Der(_), _) => None,
        }
    }
}

/// `r` and `s`, each in `N` bytes. Strict, as DER is: each number has one form.
fn fixed<const N: usize>(der: &[u8]) -> Option<Vec<u8>> {
    let numbers = || -> spki::der::Result<Option<Vec<u8>>> {
        let mut reader = SliceReader::new(der)?;
        let [r, s] = reader.sequence(|reader| -> spki::der::Result<_> {
            Ok([UintRef::decode(reader)?, UintRef::decode(reader)?])
        })?;
        reader.finish()?;
        let mut fixed = Vec::with_capacity(2 * N);
        for number in [r, s] {
            let bytes = number.as_bytes();
            let Some(missing) = N.checked_sub(bytes.len()) else { return Ok(None) };
            fixed.resize(fixed.len() + missing, 0);
            fixed.extend(bytes);
        }
        Ok(Some(fixed))
    };
    numbers().ok().flatten()
}

/// Shows its form and its length.
impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (form, bytes) = match self {
            Self::Jose(bytes) => ("Jose", bytes),
            Self::Der(bytes) => ("Der", bytes),
        };
        write!(f, "{form}({} bytes)", bytes.len())
    }
}

/// What is waited for, of whichever [`Signer`].
pub(crate) type Signing<'a, T> = Pin<Box<dyn Future<Output = Result<T, SignerError>> + Send + 'a>>;

/// A [`Signer`] of whichever type.
pub(crate) trait AnySigner: Send + Sync {
    fn create(&self, algorithm: Algorithm) -> Signing<'_, SignerKey>;
    fn sign<'a>(
        &'a self,
        name: &'a str,
        algorithm: Algorithm,
        input: &'a [u8],
    ) -> Signing<'a, Signature>;
    fn delete<'a>(&'a self, name: &'a str) -> Signing<'a, ()>;
}

impl<S: Signer> AnySigner for S {
    fn create(&self, algorithm: Algorithm) -> Signing<'_, SignerKey> {
        Box::pin(Signer::create(self, algorithm))
    }

    fn sign<'a>(
        &'a self,
        name: &'a str,
        algorithm: Algorithm,
        input: &'a [u8],
    ) -> Signing<'a, Signature> {
        Box::pin(Signer::sign(self, name, algorithm, input))
    }

    fn delete<'a>(&'a self, name: &'a str) -> Signing<'a, ()> {
        Box::pin(Signer::delete(self, name))
    }
}

/// A signer cannot do what it is asked.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub struct SignerError {
    /// Why, for logs. No secret.
    pub reason: String,
}

impl SignerError {
    /// It did not answer in time.
    pub(crate) fn late(limit: Duration) -> Self {
        Self::new(format!("it did not answer within {limit:?}"))
    }

    /// It cannot, for this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the signer cannot do it: {}", self.reason)
    }
}

impl core::error::Error for SignerError {}

debug_as_displayed!(SignerError);

#[cfg(test)]
mod tests {
    use super::*;

    fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
        let integer = |bytes: &[u8]| [&[2, bytes.len() as u8], bytes].concat();
        let body = [integer(r), integer(s)].concat();
        [&[0x30, body.len() as u8][..], &body].concat()
    }

    #[test]
    fn a_signature_in_der_becomes_two_numbers_of_full_length() {
        let long = [[0].as_slice(), &[0xff; 32]].concat();
        for (r, s) in [(&[1][..], &[2][..]), (&long, &[0x7f; 32]), (&[0x7f; 31], &long)] {
            let jose = Signature::Der(der(r, s)).into_jose(Algorithm::ES256).expect("a signature");
            assert_eq!(jose.len(), 64);
            let number = |bytes: &[u8]| {
                let digits: Vec<_> = bytes.iter().skip_while(|byte| **byte == 0).copied().collect();
                digits
            };
            assert_eq!((number(&jose[..32]), number(&jose[32..])), (number(r), number(s)));
        }
        let jose = Signature::Der(der(&[1], &[2])).into_jose(Algorithm::ES384).expect("one");
        assert_eq!((jose.len(), jose[47], jose[95]), (96, 1, 2));
    }

    #[test]
    fn what_is_not_a_signature_in_der_is_refused() {
        let good = der(&[1], &[2]);
        let too_long = [[1].as_slice(), &[0; 32]].concat();
        let trailing = [good.as_slice(), &[0]].concat();
        let negative = der(&[0x80], &[2]);
        let padded = der(&[0, 1], &[2]);
        let indefinite = [&[0x30, 0x80], &good[2..], &[0, 0]].concat();
        for bytes in [&[][..], &good[..7], &trailing, &negative, &padded, &indefinite] {
            assert_eq!(
                Signature::Der(bytes.to_vec()).into_jose(Algorithm::ES256),
                None,
                "{bytes:?}"
            );
        }
        assert_eq!(Signature::Der(der(&too_long, &[1])).into_jose(Algorithm::ES256), None);
        assert_eq!(Signature::Der(good).into_jose(Algorithm::RS256), None);
    }

    #[test]
    fn nothing_of_a_signature_is_shown() {
        assert_eq!(format!("{:?}", Signature::Jose(vec![7; 64])), "Jose(64 bytes)");
    }
}
