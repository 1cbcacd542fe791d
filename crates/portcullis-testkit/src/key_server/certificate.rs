use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// How a server of HTTPS proves that it is `localhost`. **For tests only.**
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Certificate {
    /// For `localhost` and 127.0.0.1, signed by the
    /// [authority](super::KeyServer::certificate_pem), and in force.
    Good,
    /// As good, but signed by itself.
    SelfSigned,
    /// As good, but only until the end of 2001.
    Expired,
    /// As good, but for `elsewhere.example`.
    WrongHost,
}

/// What a server has of a certificate.
pub(super) struct Identity {
    pub(super) tls: TlsAcceptor,
    pub(super) authority_pem: String,
    /// What clients need where they are asked for a certificate.
    pub(super) client: Option<ClientPem>,
}

/// A certificate for clients, and its private key.
pub(super) struct ClientPem {
    pub(super) certificate: String,
    pub(super) key: String,
}

const WHY: &str = "aws-lc-rs signs with the keys that it made, and the names are fixed";

impl Certificate {
    pub(super) fn issue(self) -> Identity {
        self.issue_for(false)
    }

    /// The same, for a server that asks its clients for a certificate of its authority.
    pub(super) fn issue_mutual(self) -> Identity {
        self.issue_for(true)
    }

    fn issue_for(self, asks_clients: bool) -> Identity {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, "authority of the test kit");
        let key = KeyPair::generate().expect(WHY);
        let root = params.self_signed(&key).expect(WHY);
        let authority = Issuer::new(params, key);

        let names: &[&str] = match self {
            Self::WrongHost => &["elsewhere.example"],
            Self::Good | Self::SelfSigned | Self::Expired => &["localhost", "127.0.0.1"],
        };
        let names: Vec<_> = names.iter().copied().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).expect(WHY);
        params.distinguished_name.push(DnType::CommonName, "key server of the test kit");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if self == Self::Expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2001, 12, 31);
        }
        let key = KeyPair::generate().expect(WHY);
        let certificate = match self {
            Self::SelfSigned => params.self_signed(&key),
            Self::Good | Self::Expired | Self::WrongHost => params.signed_by(&key, &authority),
        };
        let chain = vec![certificate.expect(WHY).der().clone()];
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());

        // Named, so that neither a provider of the process is needed nor one becomes it.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (verifier, client) = if asks_clients {
            let mut roots = RootCertStore::empty();
            roots.add(root.der().clone()).expect(WHY);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            (verifier.build().expect("there is a root"), Some(client_of(&authority)))
        } else {
            (WebPkiClientVerifier::no_client_auth(), None)
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has what TLS 1.2 and 1.3 need")
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .expect("the key is that of the certificate");
        let tls = TlsAcceptor::from(Arc::new(config));
        Identity { tls, authority_pem: root.pem(), client }
    }
}

fn client_of(authority: &Issuer<'_, KeyPair>) -> ClientPem {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "client of the test kit");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().expect(WHY);
    let certificate = params.signed_by(&key, authority).expect(WHY).pem();
    ClientPem { certificate, key: key.serialize_pem() }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;
    use tokio_rustls::rustls::crypto::CryptoProvider;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{
        CertificateError, ClientConfig, Error, SupportedProtocolVersion, version,
    };

    use super::*;
    use crate::key_server::{Answer, KeyServer};

    /// Connects as a client that trusts the authority of the server, and goes by its URL.
    async fn connect_by(
        server: &KeyServer,
        name: &'static str,
        version: &'static SupportedProtocolVersion,
    ) -> Result<TlsStream<TcpStream>, Error> {
        let pem = server.certificate_pem().expect("a server of HTTPS");
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate"))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(server.address()).await.expect("the server listens");
        let name = ServerName::try_from(name).expect("a name");
        let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
        connected.map_err(|error| error.downcast().expect("an error of rustls"))
    }

    async fn refusal(certificate: Certificate) -> CertificateError {
        let server = KeyServer::start_tls(certificate);
        match connect_by(&server, "localhost", &version::TLS13).await {
            Err(Error::InvalidCertificate(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_good_certificate_is_trusted_by_both_names_and_all_answers_work() {
        let server = KeyServer::start_tls(Certificate::Good);
        assert_eq!(server.origin(), format!("https://localhost:{}", server.address().port()));
        server.answer("/honest", Answer::empty_set());
        server.answer("/truncated", Answer::truncated(r#"{"keys":[]}"#));
        for (name, version) in [("localhost", &version::TLS13), ("127.0.0.1", &version::TLS12)] {
            for path in ["/honest", "/truncated"] {
                let mut stream = connect_by(&server, name, version).await.unwrap();
                let request =
                    format!("GET {path} HTTP/1.1\r\nhost: id\r\nconnection: close\r\n\r\n");
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut got = Vec::new();
                // What is cut short ends without the word of TLS that it is the end.
                let end = stream.read_to_end(&mut got).await;
                assert_eq!(end.is_ok(), path == "/honest", "{name} {path}");
                assert!(got.ends_with(br#"{"keys":[]}"#), "{name} {path}");
            }
        }
        assert_eq!(server.all_hits(), 4);
    }

    #[tokio::test]
    async fn a_certificate_signed_by_itself_is_trusted_by_nobody() {
        assert_eq!(refusal(Certificate::SelfSigned).await, CertificateError::UnknownIssuer);
    }

    #[tokio::test]
    async fn an_expired_certificate_is_only_expired() {
        let fault = refusal(Certificate::Expired).await;
        assert!(matches!(fault, CertificateError::ExpiredContext { .. }), "{fault:?}");
    }

    #[tokio::test]
    async fn a_certificate_for_another_host_is_only_that() {
        let fault = refusal(Certificate::WrongHost).await;
        assert!(matches!(fault, CertificateError::NotValidForNameContext { .. }), "{fault:?}");
        let server = KeyServer::start_tls(Certificate::WrongHost);
        connect_by(&server, "elsewhere.example", &version::TLS13).await.unwrap();
    }

    #[test]
    fn the_process_gets_no_provider() {
        drop(KeyServer::start_tls(Certificate::Good));
        assert!(CryptoProvider::get_default().is_none());
    }
}
