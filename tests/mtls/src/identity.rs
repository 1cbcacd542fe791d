use std::fmt::Write as _;

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate that its own key signed, and that key.
#[derive(Debug)]
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pem: String,
    pair: KeyPair,
}

impl Identity {
    /// A new key of P-256, and its certificate.
    ///
    /// # Panics
    ///
    /// There is no randomness.
    #[must_use]
    pub fn new() -> Self {
        Self::of(KeyPair::generate().expect("a key"))
    }

    /// Another certificate of the same key, as after a renewal.
    ///
    /// # Panics
    ///
    /// Never: the key was read before.
    #[must_use]
    pub fn renewed(&self) -> Self {
        Self::of(KeyPair::try_from(self.pair.serialized_der()).expect("a key"))
    }

    /// One that says of its owner what its owner likes: a common name, and addresses, each as a URI and as a name of DNS.
    ///
    /// # Panics
    ///
    /// An address is not ASCII.
    #[must_use]
    pub fn saying(name: &str, addresses: &[&str]) -> Self {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        parameters.distinguished_name.push(DnType::CommonName, name);
        for address in addresses {
            for kind in [SanType::URI, SanType::DnsName] {
                parameters.subject_alt_names.push(kind((*address).try_into().expect("ASCII")));
            }
        }
        Self::with(KeyPair::generate().expect("a key"), &parameters)
    }

    fn of(pair: KeyPair) -> Self {
        Self::with(pair, &CertificateParams::new(["localhost".to_owned()]).expect("a name"))
    }

    fn with(pair: KeyPair, parameters: &CertificateParams) -> Self {
        // No two of one key are alike, since signatures of ECDSA are not.
        let certificate = parameters.self_signed(&pair).expect("a certificate");
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::try_from(pair.serialize_der()).expect("a key"),
            pair,
        }
    }

    /// What the handshake presents.
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// What the handshake signs with.
    #[must_use]
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// SHA-256 of the certificate's DER (RFC 8705 §3.1).
    #[must_use]
    pub fn sha256(&self) -> Vec<u8> {
        digest(&SHA256, &self.certificate).as_ref().to_vec()
    }

    /// The same in hexadecimal digits.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        hex(&self.sha256())
    }

    /// The certificate as a file of proxies has it, without its key.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The key as a file of proxies has it.
    #[must_use]
    pub fn key_pem(&self) -> String {
        self.pair.serialize_pem()
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
