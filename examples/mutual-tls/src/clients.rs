//! Who wants to get in, with certificates that are made when it starts.
use std::error::Error;

use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::x5t;

/// A certificate that its own key signed, and that key.
pub(crate) struct Identity(CertifiedKey<rcgen::KeyPair>);

impl Identity {
    pub(crate) fn new() -> Result<Self, rcgen::Error> {
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).map(Self)
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.0.cert.der().clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.signing_key.serialize_der()).into()
    }

    pub(crate) fn pem(&self) -> String {
        self.0.cert.pem()
    }
}

/// What a client presents, and what it signs the handshake with.
pub(crate) struct Presents {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) pem: String,
    pub(crate) key_pem: String,
}

impl Presents {
    fn new(certificate: &Identity, key: &Identity) -> Self {
        Self {
            certificate: certificate.certificate(),
            key: key.key(),
            pem: certificate.pem(),
            key_pem: key.0.signing_key.serialize_pem(),
        }
    }
}

/// A client, and what becomes of it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) presents: Option<Presents>,
    pub(crate) expected: Expected,
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Expected {
    /// The server's answer.
    Answer(String),
    /// The handshake fails, and no request gets through.
    NoConnection,
}

/// Every kind of client.
pub(crate) fn cases() -> Result<Vec<Case>, Box<dyn Error>> {
    let (alice, bob) = (Identity::new()?, Identity::new()?);
    let hello =
        |identity: &Identity| Expected::Answer(format!("hello {}", x5t(&identity.certificate())));
    Ok(vec![
        Case {
            name: "alice",
            about: "a certificate of her own, and its key",
            presents: Some(Presents::new(&alice, &alice)),
            expected: hello(&alice),
        },
        Case {
            name: "bob",
            about: "another certificate, and its key",
            presents: Some(Presents::new(&bob, &bob)),
            expected: hello(&bob),
        },
        Case {
            name: "thief",
            about: "alice's certificate, which is no secret, and another key",
            presents: Some(Presents::new(&alice, &bob)),
            expected: Expected::NoConnection,
        },
        Case {
            name: "nobody",
            about: "no certificate",
            presents: None,
            expected: Expected::Answer("hello, whoever you are".to_owned()),
        },
    ])
}
