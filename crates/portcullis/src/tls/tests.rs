//! Handshakes in memory, under TLS 1.2 and 1.3.
use std::sync::Arc;

use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    PKCS_RSA_SHA256, SignatureAlgorithm as KeyKind,
};
use rustls::ProtocolVersion::{self, TLSv1_2, TLSv1_3};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName,
    Error, HandshakeKind, PeerMisbehaved, RootCertStore, ServerConfig, ServerConnection,
    SignatureAlgorithm, SignatureScheme, SupportedProtocolVersion,
};

use super::check::deliver;
use super::*;

const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const KINDS: [&KeyKind; 4] =
    [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519, &PKCS_RSA_SHA256];

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn any() -> AnyClientCertificate {
    AnyClientCertificate::new(&provider())
}

/// A certificate that its own key signed, and that key.
#[derive(Debug)]
struct Identity {
    certificate: CertificateDer<'static>,
    key: Arc<dyn SigningKey>,
}

impl Identity {
    fn new(kind: &'static KeyKind) -> Self {
        let pair = KeyPair::generate_for(kind).expect("a key");
        let parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&pair).expect("a certificate").der().clone();
        let key = PrivateKeyDer::try_from(pair.serialize_der()).expect("a key");
        let key = provider().key_provider.load_private_key(key).expect("a key");
        Self { certificate, key }
    }
}

/// What a client presents, and what it signs with.
fn client_of(
    version: &'static SupportedProtocolVersion,
    server: &Identity,
    presents: Option<(CertificateDer<'static>, Arc<dyn SigningKey>)>,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).expect("a root");
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[version])
        .expect("versions")
        .with_root_certificates(roots);
    let Some((certificate, key)) = presents else {
        return Arc::new(builder.with_no_client_auth());
    };
    // Others follow a client's own, as those of whoever issued it do.
    let chain = vec![certificate, server.certificate.clone()];
    let own = Arc::new(CertifiedKey::new(chain, key));
    let mut config = builder.with_client_cert_resolver(Arc::new(Always(own)));
    config.resumption = Resumption::in_memory_sessions(1);
    Arc::new(config)
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn server_with(verifier: Arc<dyn ClientCertVerifier>, own: &Identity) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)
        .expect("versions")
        .with_client_cert_verifier(verifier);
    Arc::new(builder.with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
        CertifiedKey::new(vec![own.certificate.clone()], own.key.clone()),
    ))))
}

/// The server's side of a handshake, or its error.
fn shake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<ServerConnection, Error> {
    let name = "localhost".try_into().expect("a name");
    let mut client = ClientConnection::new(client.clone(), name).expect("a client");
    let mut server = ServerConnection::new(server.clone()).expect("a server");
    while server.is_handshaking() {
        deliver(&mut client, &mut server)
            .map_err(|error| *error.downcast::<Error>().expect("an error of rustls"))?;
        deliver(&mut server, &mut client).expect("a client that goes on");
    }
    Ok(server)
}

fn certificate_of(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<ClientCertificate, Error> {
    shake(client, server).map(|it| client_certificate(&it).expect("a handshake that is over"))
}

#[test]
fn any_certificate_is_taken_from_a_client_that_has_its_key() {
    let server = Identity::new(&PKCS_ECDSA_P256_SHA256);
    for version in VERSIONS {
        for kind in KINDS {
            let Identity { certificate, key } = Identity::new(kind);
            let client = client_of(version, &server, Some((certificate.clone(), key)));
            for verifier in [any(), any().optional()] {
                let found = certificate_of(&client, &server_with(Arc::new(verifier), &server));
                let der = certificate.as_ref();
                assert_eq!(found, Ok(ClientCertificate::presented(der)), "{version:?} {kind:?}");
            }
        }
    }
}

#[test]
fn a_certificate_of_another_is_refused_whatever_its_key_is() {
    let server = Identity::new(&PKCS_ECDSA_P256_SHA256);
    for version in VERSIONS {
        for kind in KINDS {
            let (victim, thief) = (Identity::new(kind), Identity::new(kind));
            let client = client_of(version, &server, Some((victim.certificate, thief.key)));
            for verifier in [any(), any().optional()] {
                let found = certificate_of(&client, &server_with(Arc::new(verifier), &server));
                let expected = Err(CertificateError::BadSignature.into());
                assert_eq!(found, expected, "{version:?} {kind:?}");
            }
        }
    }
}

#[test]
fn a_signature_under_a_scheme_that_nobody_offered_is_refused() {
    /// Says of its signatures that they are of another scheme.
    #[derive(Clone, Debug)]
    struct Claims(Arc<dyn SigningKey>, SignatureScheme);

    impl SigningKey for Claims {
        fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
            Some(Box::new(self.clone()))
        }

        fn algorithm(&self) -> SignatureAlgorithm {
            self.0.algorithm()
        }
    }

    impl Signer for Claims {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
            let own = self.0.choose_scheme(&any().supported_verify_schemes()).expect("a scheme");
            own.sign(message)
        }

        fn scheme(&self) -> SignatureScheme {
            self.1
        }
    }

    let server = Identity::new(&PKCS_ECDSA_P256_SHA256);
    let config = server_with(Arc::new(any()), &server);
    for version in VERSIONS {
        for scheme in [SignatureScheme::Unknown(0xfe00), SignatureScheme::ECDSA_SHA1_Legacy] {
            let Identity { certificate, key } = Identity::new(&PKCS_ECDSA_P256_SHA256);
            let client =
                client_of(version, &server, Some((certificate, Arc::new(Claims(key, scheme)))));
            let expected = PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme;
            assert_eq!(
                certificate_of(&client, &config),
                Err(expected.into()),
                "{version:?} {scheme:?}"
            );
        }
    }
}

#[test]
fn a_client_without_a_certificate_is_let_in_only_where_it_is_optional() {
    let server = Identity::new(&PKCS_ECDSA_P256_SHA256);
    for version in VERSIONS {
        let client = client_of(version, &server, None);
        let mandatory = certificate_of(&client, &server_with(Arc::new(any()), &server));
        assert_eq!(mandatory, Err(Error::NoCertificatesPresented), "{version:?}");

        let optional = certificate_of(&client, &server_with(Arc::new(any().optional()), &server));
        assert_eq!(optional, Ok(ClientCertificate::absent()), "{version:?}");
    }
}

#[test]
fn a_session_that_is_resumed_has_the_certificate_that_it_began_with() {
    let server = Identity::new(&PKCS_ECDSA_P256_SHA256);
    for version in VERSIONS {
        let config = server_with(Arc::new(any()), &server);
        let Identity { certificate, key } = Identity::new(&PKCS_ECDSA_P256_SHA256);
        let client = client_of(version, &server, Some((certificate.clone(), key)));
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let connection = shake(&client, &config).expect("a handshake");
            assert_eq!(connection.handshake_kind(), Some(kind), "{version:?}");
            let expected = ClientCertificate::presented(certificate.as_ref());
            assert_eq!(client_certificate(&connection), Some(expected), "{version:?} {kind:?}");
        }
    }
}

#[test]
fn nothing_is_said_before_the_handshake_is_over() {
    let server = Identity::new(&PKCS_ECDSA_P256_SHA256);
    let config = server_with(Arc::new(any().optional()), &server);
    let connection = ServerConnection::new(config).expect("a server");
    assert_eq!(client_certificate(&connection), None);
}

#[test]
fn what_is_not_a_certificate_of_version_3_is_refused() {
    // So long that its lengths take two bytes without its version as well.
    let Identity { certificate, .. } = Identity::new(&PKCS_ECDSA_P384_SHA384);
    let verify = |der: &[u8]| {
        any().verify_client_cert(&CertificateDer::from(der), &[], UnixTime::now()).map(|_| ())
    };
    assert_eq!(verify(&certificate), Ok(()));
    assert_eq!(verify(b"alice"), Err(CertificateError::BadEncoding.into()));
    assert_eq!(verify(b""), Err(CertificateError::BadEncoding.into()));
    let trailing = [&certificate, &b"!"[..]].concat();
    assert_eq!(verify(&trailing), Err(CertificateError::BadEncoding.into()));

    // Without its field, a certificate is of version 1.
    let version: &[u8] = &[0xa0, 3, 2, 1, 2];
    let at = certificate.windows(version.len()).position(|it| it == version).expect("a version");
    assert_eq!(at, 8, "after two sequences, whose lengths are two bytes");
    let mut first = [&certificate[..at], &certificate[at + version.len()..]].concat();
    for length in [2, 6] {
        let was = u16::from_be_bytes([first[length], first[length + 1]]);
        first[length..length + 2].copy_from_slice(&(was - 5).to_be_bytes());
    }
    let error = verify(&first).expect_err("version 1").to_string();
    assert!(error.contains("`openssl x509 -req` with `-extfile`"), "{error}");
    assert!(error.contains("is of X.509 version 1"), "{error}");
    // Of what is broken otherwise, nothing is said of its version.
    first.truncate(first.len() - 1);
    assert_eq!(verify(&first), Err(CertificateError::BadEncoding.into()));
}

#[test]
fn a_chain_is_taken_up_to_its_limits() {
    let Identity { certificate, .. } = Identity::new(&PKCS_ECDSA_P256_SHA256);
    let own = certificate.len();
    let verify = |others: &[usize]| {
        let others: Vec<_> =
            others.iter().map(|length| CertificateDer::from(vec![0; *length])).collect();
        any().verify_client_cert(&certificate, &others, UnixTime::now()).map(|_| ())
    };
    let too_long = |certificates, bytes| {
        let error = Arc::new(ChainTooLong { certificates, bytes });
        Err(CertificateError::Other(rustls::OtherError(error)).to_string())
    };
    for (others, expected) in [
        (&[1; 7][..], Ok(())),
        (&[1; 8], too_long(9, own + 8)),
        (&[32 * 1024 - own], Ok(())),
        (&[32 * 1024 - own + 1], too_long(2, 32 * 1024 + 1)),
    ] {
        let found = verify(others).map_err(|error| match error {
            Error::InvalidCertificate(error) => error.to_string(),
            other => other.to_string(),
        });
        assert_eq!(found, expected, "{} others", others.len());
    }
}

/// A verifier that people write: it takes any certificate, and under some versions of TLS any signature.
#[derive(Debug)]
struct Credulous {
    under: &'static [ProtocolVersion],
}

impl Credulous {
    fn believe(&self, version: ProtocolVersion) -> Result<HandshakeSignatureValid, Error> {
        if self.under.contains(&version) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }
}

impl ClientCertVerifier for Credulous {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.believe(TLSv1_2)
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.believe(TLSv1_3)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        any().supported_verify_schemes()
    }
}

#[test]
fn a_verifier_that_takes_any_signature_is_found_under_each_version() {
    let server = Identity::new(&PKCS_ECDSA_P256_SHA256);
    for (under, expected) in [
        (&[][..], Ok(())),
        (&[TLSv1_2], Err(TlsFault::SignatureUnchecked)),
        (&[TLSv1_3], Err(TlsFault::SignatureUnchecked)),
        (&[TLSv1_2, TLSv1_3], Err(TlsFault::SignatureUnchecked)),
    ] {
        let config = server_with(Arc::new(Credulous { under }), &server);
        assert_eq!(check(&config), expected, "{under:?}");
    }
}

#[test]
fn a_configuration_that_asks_for_no_certificate_is_found() {
    let server = Identity::new(&PKCS_ECDSA_P256_SHA256);
    let config = server_with(WebPkiClientVerifier::no_client_auth(), &server);
    assert_eq!(check(&config), Err(TlsFault::NotAsked));
}

#[test]
fn verifiers_that_check_signatures_are_found_right_whatever_else_is_set() {
    let server = Identity::new(&PKCS_ECDSA_P256_SHA256);
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).expect("a root");
    let webpki = WebPkiClientVerifier::builder_with_provider(roots.into(), provider());
    let webpki = webpki.allow_unauthenticated().build().expect("a verifier");
    for verifier in [Arc::new(any()) as Arc<_>, Arc::new(any().optional()), webpki] {
        let mut config = Arc::unwrap_or_clone(server_with(verifier, &server));
        assert_eq!(check(&Arc::new(config.clone())), Ok(()));

        config.alpn_protocols = vec![b"h2".to_vec()];
        config.max_early_data_size = 1024;
        assert_eq!(check(&Arc::new(config)), Ok(()));
    }
}

#[test]
fn faults_and_verifiers_say_what_to_do_and_show_no_certificate() {
    for (fault, word) in [
        (TlsFault::NotAsked, "with_client_cert_verifier"),
        (TlsFault::SignatureUnchecked, "signature"),
    ] {
        assert!(fault.to_string().contains(word), "{fault}");
        assert!(fault.to_string().contains("AnyClientCertificate"), "{fault}");
    }
    assert_eq!(format!("{:?}", any()), "AnyClientCertificate { mandatory: true, .. }");
}
