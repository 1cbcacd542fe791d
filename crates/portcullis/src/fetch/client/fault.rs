//! What is wrong with the options of a client.
use core::fmt;

use crate::debug_as_displayed::debug_as_displayed;
use crate::fetch::SettingFault;

/// Why a [`Client`](super::Client) cannot be built: every fault at once.
#[derive(Clone, Eq, PartialEq)]
pub struct ClientError {
    faults: Vec<ClientFault>,
}

impl ClientError {
    pub(super) fn check(faults: Vec<ClientFault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self { faults }) }
    }

    /// Every fault, at least one.
    pub fn faults(&self) -> &[ClientFault] {
        &self.faults
    }
}

impl From<ClientFault> for ClientError {
    fn from(fault: ClientFault) -> Self {
        Self { faults: vec![fault] }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.faults
            .iter()
            .enumerate()
            .try_for_each(|(at, fault)| write!(f, "{}{fault}", if at == 0 { "" } else { "; " }))
    }
}

debug_as_displayed!(ClientError);

impl core::error::Error for ClientError {}

/// One fault of a client's options.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientFault {
    /// A setting is out of its bounds, or was said twice and not alike.
    Setting(SettingFault),
    /// The [root certificates](super::ClientBuilder::root_certificates) cannot be used.
    RootCertificates(PemFault),
    /// The [client certificate](super::ClientBuilder::client_certificate) or its private key cannot be used.
    ClientCertificate(PemFault),
    /// TLS cannot be had, in the words of the HTTP client: the operating system has no root certificates.
    Tls(String),
}

impl fmt::Display for ClientFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(fault) => fault.fmt(f),
            Self::RootCertificates(fault) => write!(f, "`root_certificates`: {fault}"),
            Self::ClientCertificate(fault) => write!(f, "`client_certificate`: {fault}"),
            Self::Tls(reason) => write!(
                f,
                "TLS is not available: {reason}; install root certificates (on Debian the package `ca-certificates`), or name your own with `root_certificates`"
            ),
        }
    }
}

impl core::error::Error for ClientFault {}

/// What is wrong with certificates and keys in PEM.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PemFault {
    /// The text has no block of PEM, or one that is incomplete.
    NotPem,
    /// A block among root certificates is something else than a certificate.
    NotACertificate {
        /// What the block calls itself.
        label: String,
    },
    /// The text with the client certificate has none.
    NoCertificate,
    /// The text with the private key has none.
    NoKey,
    /// The text with the private key has more than one.
    SeveralKeys,
    /// The private key is encrypted with a password.
    EncryptedKey,
    /// The TLS library refuses it, in its own words: a certificate that cannot be read, or a private key of
    /// another certificate.
    Unusable(String),
}

impl fmt::Display for PemFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPem => f.write_str(
                "this is not PEM, because it has no whole block from `-----BEGIN …-----` to `-----END …-----`; `openssl x509 -inform der` converts a certificate in DER",
            ),
            Self::NotACertificate { label } => {
                write!(f, "there is a block `{label}` among the certificates: remove it")
            }
            Self::NoCertificate => {
                f.write_str("there is no certificate: add the block `-----BEGIN CERTIFICATE-----`")
            }
            Self::NoKey => f.write_str("there is no private key: add the block `-----BEGIN PRIVATE KEY-----`"),
            Self::SeveralKeys => {
                f.write_str("there is more than one private key: keep the one that belongs to the certificate")
            }
            Self::EncryptedKey => f.write_str(
                "the private key is encrypted: decrypt it first, `openssl pkey -in ENCRYPTED -out KEY`",
            ),
            Self::Unusable(reason) => write!(f, "it cannot be used for TLS: {reason}"),
        }
    }
}

impl core::error::Error for PemFault {}
