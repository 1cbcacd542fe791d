//! Who wants to get in, with certificates that are made when it starts.
use std::error::Error;

use portcullis::Algorithm;
use portcullis_testkit::TestIssuer;
use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

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
    pub(crate) token: String,
    pub(crate) expected: Expected,
}

#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Expected {
    /// A good answer.
    Answer(String),
    /// A refusal, with this status.
    Refused(u16),
    /// The handshake fails, and no request gets through.
    NoConnection,
}

/// Every kind of client.
pub(crate) fn cases(issuer: &TestIssuer) -> Result<Vec<Case>, Box<dyn Error>> {
    let (alice, bob) = (Identity::new()?, Identity::new()?);
    let token = || issuer.token(Algorithm::ES256);
    let alices = token().bound_to_certificate(alice.certificate()).mint();
    let orders = || Expected::Answer("orders of alice".to_owned());
    Ok(vec![
        Case {
            name: "alice",
            about: "her certificate, and a token that is bound to it",
            presents: Some(Presents::new(&alice, &alice)),
            token: alices.clone(),
            expected: orders(),
        },
        Case {
            name: "bob",
            about: "a certificate of his own, and alice's token",
            presents: Some(Presents::new(&bob, &bob)),
            token: alices.clone(),
            expected: Expected::Refused(401),
        },
        Case {
            name: "thief",
            about: "alice's certificate, another key, and alice's token",
            presents: Some(Presents::new(&alice, &bob)),
            token: alices.clone(),
            expected: Expected::NoConnection,
        },
        Case {
            name: "nobody",
            about: "no certificate, and alice's token",
            presents: None,
            token: alices,
            expected: Expected::Refused(401),
        },
        Case {
            name: "unbound",
            about: "alice's certificate, and a token that is bound to none",
            presents: Some(Presents::new(&alice, &alice)),
            token: token().mint(),
            expected: Expected::Refused(401),
        },
    ])
}
