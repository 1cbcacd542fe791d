use core::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use spki::der::asn1::AnyRef;
use spki::der::{Decode as _, SliceReader, Tag};

use crate::debug_as_displayed::debug_as_displayed;

/// More than any path that webpki would follow: six certificates between a client's and a root.
const MAX_CERTIFICATES: usize = 8;
/// Two certificates of ML-DSA-87 take half of it, which are the largest of those in sight. rustls itself takes 64 KiB.
const MAX_BYTES: usize = 32 * 1024;

/// Takes any certificate of a client that proves to have its key, for tokens that are bound to one (RFC 8705 §6.2).
///
/// The signature of the handshake is really checked, by the algorithms of the provider: a client that presents the
/// certificate of another is refused before it sends a request. The client's own certificate must be readable, which to
/// webpki means X.509 of version 3: of one of version 1, the error of the handshake says so. Of a chain, at most 8
/// certificates and 32 KiB are taken, since a session keeps all of them.
///
/// Not checked: who issued the certificate, for what and until when, and whether it was revoked. Clients get no hint as
/// to which of their certificates to present. `WebPkiClientVerifier` of rustls is for servers that want either.
///
/// A client without a certificate is refused. [`optional`](Self::optional) lets it in.
///
/// ```
/// use std::sync::Arc;
///
/// use portcullis::tls::AnyClientCertificate;
/// use rustls::ServerConfig;
///
/// let builder = ServerConfig::builder();
/// let any = AnyClientCertificate::new(builder.crypto_provider());
/// let builder = builder.with_client_cert_verifier(Arc::new(any));
/// # let _ = builder;
/// ```
#[derive(Clone, Copy)]
pub struct AnyClientCertificate {
    algorithms: WebPkiSupportedAlgorithms,
    mandatory: bool,
}

impl AnyClientCertificate {
    /// Checks signatures by the algorithms of a provider: that of the configuration, as its builder's
    /// `crypto_provider` has it.
    pub fn new(provider: &CryptoProvider) -> Self {
        Self { algorithms: provider.signature_verification_algorithms, mandatory: true }
    }

    /// Lets clients without a certificate in as well, for an API that also takes tokens that are not bound.
    ///
    /// Not called: their handshake fails.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.mandatory = false;
        self
    }
}

impl ClientCertVerifier for AnyClientCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let certificates = others.len() + 1;
        let bytes = others.iter().fold(own.len(), |sum, it| sum.saturating_add(it.len()));
        if certificates > MAX_CERTIFICATES || bytes > MAX_BYTES {
            let error = Arc::new(ChainTooLong { certificates, bytes });
            return Err(CertificateError::Other(OtherError(error)).into());
        }
        // Before its signature is checked, for an error that says so.
        ParsedCertificate::try_from(own).map_err(|error| told(error, own))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for AnyClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyClientCertificate")
            .field("mandatory", &self.mandatory)
            .finish_non_exhaustive()
    }
}

/// The error of a certificate that rustls does not read. If that is of version 1, it says so: OpenSSL 3.0 issues such a one where it is given
/// no extensions.
fn told(error: Error, certificate: &[u8]) -> Error {
    if is_version_1(certificate) {
        return CertificateError::Other(OtherError(Arc::new(Version1))).into();
    }
    error
}

/// Whether it leaves out its version, which means the first (RFC 5280 §4.1): then its serial number comes first.
fn is_version_1(certificate: &[u8]) -> bool {
    let first = || -> spki::der::Result<Tag> {
        let signed = AnyRef::from_der(certificate)?;
        let of_issuer = AnyRef::decode(&mut SliceReader::new(signed.value())?)?;
        Tag::peek(&SliceReader::new(of_issuer.value())?)
    };
    first() == Ok(Tag::Integer)
}

/// A client sent a certificate that rustls does not read. rustls shows it by its `Debug`.
struct Version1;

impl fmt::Display for Version1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the client's certificate is of X.509 version 1, and only version 3 is read: issue it with an extension, by \
             `openssl x509 -req` with `-extfile`",
        )
    }
}

impl core::error::Error for Version1 {}

debug_as_displayed!(Version1);

/// A client sent more certificates than [`AnyClientCertificate`] takes. It stands in the error of the handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ChainTooLong {
    /// How many certificates there were.
    pub certificates: usize,
    /// How many bytes all of them had.
    pub bytes: usize,
}

impl fmt::Display for ChainTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { certificates, bytes } = self;
        write!(
            f,
            "the client sent {certificates} certificates of {bytes} bytes, and at most {MAX_CERTIFICATES} of {MAX_BYTES} are taken: \
             its own alone will do"
        )
    }
}

impl core::error::Error for ChainTooLong {}
