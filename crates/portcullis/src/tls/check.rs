use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, ConnectionCommon, DigitallySignedStruct, Error,
    ServerConfig, ServerConnection, SideData, SignatureAlgorithm, SignatureScheme,
    SupportedProtocolVersion,
};

/// Of P-256, until the year 9965, and signed by its own key, which was thrown away.
const NOBODY: &[u8] = include_bytes!("nobody.der");
/// More flights than a handshake has.
const MAX_FLIGHTS: usize = 8;

/// Tries a server's configuration with a client that presents a certificate without its key, in memory and once for each
/// version of TLS.
///
/// Such a client must not get through the handshake. If it does, anybody may present anybody's certificate, and tokens
/// that are bound to one are worth no more than others. That is what comes of a verifier that was written to
/// take any certificate, and says of every signature that it holds.
///
/// It takes about a millisecond, and belongs where the server starts. The verifier and the resolver of the
/// server's certificate see one client each time, of the name `localhost`. Nothing is found out where the resolver has no
/// certificate for that name, or where the provider cannot check signatures of P-256.
///
/// # Errors
///
/// The configuration asks no client for a certificate, or it does not check the handshake's signature.
///
/// ```
/// use std::sync::Arc;
///
/// use portcullis::tls::{self, TlsFault};
/// use rustls::ServerConfig;
///
/// # let key = rcgen::generate_simple_self_signed(["api.example".to_owned()])?;
/// # let (chain, key) = (vec![key.cert.der().clone()], key.signing_key.into());
/// let config = ServerConfig::builder()
///     .with_no_client_auth()
///     .with_single_cert(chain, key)?;
/// assert_eq!(tls::check(&Arc::new(config)), Err(TlsFault::NotAsked));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn check(config: &Arc<ServerConfig>) -> Result<(), TlsFault> {
    ALL_VERSIONS.iter().try_for_each(|version| {
        let impostor = Impostor::default();
        // What fails did not let the client through, or tells nothing.
        match impostor.let_through(config, version) {
            Ok(Some(_)) if !impostor.was_asked() => Err(TlsFault::NotAsked),
            Ok(Some(Presented(true))) => Err(TlsFault::SignatureUnchecked),
            _ => Ok(()),
        }
    })
}

/// What is wrong with the TLS of a server whose clients present certificates.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TlsFault {
    /// No client is asked for a certificate, so no request has one.
    NotAsked,
    /// A client got through with a certificate and a signature that is not of its key.
    SignatureUnchecked,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAsked => {
                "this configuration of rustls asks no client for a certificate: give its builder a verifier by \
                 `with_client_cert_verifier`, such as `AnyClientCertificate`"
            }
            Self::SignatureUnchecked => {
                "the verifier of this configuration of rustls takes a certificate from a client that does not have its key: check \
                 the handshake's signature, as `AnyClientCertificate` and `WebPkiClientVerifier` do"
            }
        })
    }
}

impl core::error::Error for TlsFault {}

/// Whether a handshake that ended well left a certificate of the client.
struct Presented(bool);

/// A client that presents what it does not have the key of.
#[derive(Clone, Debug, Default)]
struct Impostor {
    asked: Arc<AtomicBool>,
}

impl Impostor {
    fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether the server's handshake ends well, and with a certificate. `None`: it does not end.
    fn let_through(
        &self,
        config: &Arc<ServerConfig>,
        version: &'static SupportedProtocolVersion,
    ) -> Result<Option<Presented>, Box<dyn core::error::Error>> {
        let provider = config.crypto_provider();
        let algorithms = provider.signature_verification_algorithms;
        let mut own = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TheServer(algorithms)))
            .with_client_cert_resolver(Arc::new(self.clone()));
        own.resumption = Resumption::disabled();

        let mut client = ClientConnection::new(Arc::new(own), "localhost".try_into()?)?;
        let mut server = ServerConnection::new(config.clone())?;
        for _ in 0..MAX_FLIGHTS {
            deliver(&mut client, &mut server)?;
            if !server.is_handshaking() {
                return Ok(Some(Presented(server.peer_certificates().is_some())));
            }
            deliver(&mut server, &mut client)?;
        }
        Ok(None)
    }
}

/// Hands what one side has to send to the other.
pub(super) fn deliver<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<(), Box<dyn core::error::Error>> {
    let mut sent = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut sent)?;
    }
    let mut rest = &*sent;
    while !rest.is_empty() {
        to.read_tls(&mut rest)?;
        to.process_new_packets()?;
    }
    Ok(())
}

impl ResolvesClientCert for Impostor {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        let chain = vec![CertificateDer::from(NOBODY)];
        Some(Arc::new(CertifiedKey::new(chain, Arc::new(NoKey))))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Signs without a key.
#[derive(Debug)]
struct NoKey;

impl SigningKey for NoKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&Self.scheme()).then(|| Box::new(Self) as Box<dyn Signer>)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for NoKey {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, Error> {
        // r and s are 1: well-formed, and the signature of nothing.
        Ok(vec![0x30, 6, 2, 1, 1, 2, 1, 1])
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// Takes the server as what it is: it stands in this process, and no byte leaves it.
#[derive(Debug)]
struct TheServer(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for TheServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
