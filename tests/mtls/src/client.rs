use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme, SupportedProtocolVersion,
};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{Address, DEADLINE, Identity};

/// A version of TLS, and whether HTTP/2 is spoken over it.
pub type Versions = (&'static SupportedProtocolVersion, bool);

/// A client of rustls, which presents a certificate or none. It remembers its sessions.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    presents: Arc<Presents>,
    http2: bool,
}

impl Client {
    /// Each version of TLS with each version of HTTP.
    pub const VERSIONS: [Versions; 4] =
        [(&TLS12, false), (&TLS12, true), (&TLS13, false), (&TLS13, true)];

    /// One that presents nothing yet.
    ///
    /// # Panics
    ///
    /// Never: rustls knows the version.
    #[must_use]
    pub fn new((tls, http2): Versions) -> Self {
        let presents = Arc::new(Presents::default());
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(&[tls]).expect("a version");
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer))
            .with_client_cert_resolver(presents.clone());
        config.resumption = Resumption::in_memory_sessions(8);
        config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        Self { config: Arc::new(config), presents, http2 }
    }

    /// From now on, it presents this certificate, and has its key.
    #[must_use]
    pub fn presenting(self, identity: &Identity) -> Self {
        self.presenting_with(identity.certificate(), identity.key())
    }

    /// From now on, it presents this certificate, and signs with that key.
    ///
    /// # Panics
    ///
    /// The key cannot be read.
    #[must_use]
    pub fn presenting_with(
        self,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Self {
        self.presenting_chain(vec![certificate], key)
    }

    /// From now on, it presents this certificate and that of another behind it, as if the other had issued it.
    #[must_use]
    pub fn presenting_before(self, identity: &Identity, other: &Identity) -> Self {
        self.presenting_chain(vec![identity.certificate(), other.certificate()], identity.key())
    }

    fn presenting_chain(
        self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Self {
        let key = default_provider().key_provider.load_private_key(key).expect("a key");
        let presented = Arc::new(CertifiedKey::new(chain, key));
        *self.presents.0.lock().expect("no panic") = Some(presented);
        self
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// The handshake fails, as far as the client sees of it. Under TLS 1.3 it learns no earlier than by the first request that
    /// the server refused its certificate.
    ///
    /// # Panics
    ///
    /// It takes too long.
    pub async fn connect(&self, address: &Address) -> io::Result<Connection> {
        let connecting = async {
            match address {
                Address::Port(port) => {
                    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).await?;
                    let own = stream.local_addr()?.to_string();
                    Ok(Connection { own: Some(own), ..self.over(stream).await? })
                }
                Address::Socket(path) => self.over(UnixStream::connect(path).await?).await,
            }
        };
        timeout(DEADLINE, connecting).await.expect("a server that answers in time")
    }

    /// Opens a connection, and asks for a path over it.
    ///
    /// # Errors
    ///
    /// The handshake or the request fails.
    pub async fn get(&self, address: &Address, path: &str) -> io::Result<Answer> {
        self.connect(address).await?.get(path, &[]).await
    }

    async fn over<S>(&self, stream: S) -> io::Result<Connection>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let stream = TlsConnector::from(self.config.clone()).connect(name, stream).await?;
        let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        let sender = if self.http2 {
            let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
            let (sender, connection) = handshake.await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            Sender::Http2(sender)
        } else {
            Sender::http1(stream).await?
        };
        Ok(Connection { sender, resumed, own: None })
    }
}

/// Asks for `/` without TLS, from an address of this machine: what somebody does who is beside the proxy, and not behind it.
///
/// # Errors
///
/// There is no answer.
pub async fn get_plain(
    from: Ipv4Addr,
    address: &Address,
    headers: &[(&str, &str)],
) -> io::Result<Answer> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect((Ipv4Addr::LOCALHOST, address.port()).into()).await?;
    let own = Some(stream.local_addr()?.to_string());
    let mut connection = Connection { sender: Sender::http1(stream).await?, resumed: false, own };
    connection.get("/", headers).await
}

/// A connection that is kept.
#[derive(Debug)]
pub struct Connection {
    sender: Sender,
    resumed: bool,
    own: Option<String>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn http1<S>(stream: S) -> io::Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let handshake = http1::handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self::Http1(sender))
    }
}

impl Connection {
    /// Whether its session is one of before.
    #[must_use]
    pub fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// The client's address, where it has one.
    #[must_use]
    pub fn own_address(&self) -> Option<&str> {
        self.own.as_deref()
    }

    /// Asks for a path, with some headers.
    ///
    /// # Errors
    ///
    /// The connection ends without an answer.
    ///
    /// # Panics
    ///
    /// The answer takes too long, or a header cannot be sent.
    pub async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        self.send("GET", path, headers, "").await
    }

    /// Posts the fields of a form.
    ///
    /// # Errors
    ///
    /// The connection ends without an answer.
    ///
    /// # Panics
    ///
    /// The answer takes too long.
    pub async fn post(&mut self, path: &str, form: &str) -> io::Result<Answer> {
        let form_type = ("content-type", "application/x-www-form-urlencoded");
        self.send("POST", path, &[form_type], form).await
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> io::Result<Answer> {
        let mut request = Request::builder().method(method).uri(match self.sender {
            Sender::Http1(_) => path.to_owned(),
            Sender::Http2(_) => format!("https://localhost{path}"),
        });
        if matches!(self.sender, Sender::Http1(_)) {
            request = request.header("host", "localhost");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).expect("a request");
        let answer = async {
            let response = match &mut self.sender {
                Sender::Http1(sender) => sender.send_request(request).await,
                Sender::Http2(sender) => sender.send_request(request).await,
            };
            let (head, body) = response.map_err(io::Error::other)?.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            Ok(Answer { status: head.status.as_u16(), body })
        };
        timeout(DEADLINE, answer).await.expect("an answer in time")
    }
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// What the service was told of the request.
    ///
    /// # Panics
    ///
    /// It is not such an answer.
    #[must_use]
    pub fn said(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// A body in JSON.
    ///
    /// # Panics
    ///
    /// It is something else.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// What the service was told of the client's certificate.
    ///
    /// # Panics
    ///
    /// It is not such an answer.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.said()["certificate"].as_str().expect("text").to_owned()
    }

    /// The values of a header of the request.
    ///
    /// # Panics
    ///
    /// It is not such an answer.
    #[must_use]
    pub fn header(&self, name: &str) -> Vec<String> {
        let said = self.said();
        let headers = said["headers"].as_array().expect("headers").iter();
        headers
            .filter(|header| header[0] == name)
            .map(|header| header[1].as_str().expect("text").to_owned())
            .collect()
    }
}

/// What is presented, which may change while sessions are remembered.
#[derive(Debug, Default)]
struct Presents(Mutex<Option<Arc<CertifiedKey>>>);

impl ResolvesClientCert for Presents {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.lock().expect("no panic").clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Which server it is does not matter here: all of them are of the test.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider().signature_verification_algorithms.supported_schemes()
    }
}
