//! TLS whose clients present certificates, in front of an app of axum (feature `rustls`).
//!
//! [`serve`] takes the place of `axum::serve`. It has the same shape, and three differences:
//!
//! 1. Connections are accepted with rustls. [`Tls::new`] refuses a configuration that asks no client for a certificate, or
//!    does not check that the client has its key.
//! 2. Every request says what its connection's handshake said: the extensions [`ClientCertificate`], [`PeerAddress`] and
//!    axum's own `ConnectInfo<SocketAddr>` are there without `into_make_service_with_connect_info`. So nobody can forget it.
//! 3. Handshakes wait for each other no longer than [`Tls`] says, so that a slow client holds up nobody.
//!
//! A request that came in another way has no [`ClientCertificate`]. A policy takes that for a mistake of the server, and not
//! of the client.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use axum::{Router, routing::get};
//! use portcullis_axum::portcullis::tls::AnyClientCertificate;
//! use portcullis_axum::tls::{self, Tls};
//! use rustls::ServerConfig;
//! use rustls::pki_types::{CertificateDer, PrivateKeyDer};
//! use tokio::net::TcpListener;
//!
//! async fn run(
//!     chain: Vec<CertificateDer<'static>>,
//!     key: PrivateKeyDer<'static>,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let builder = ServerConfig::builder();
//!     let any = AnyClientCertificate::new(builder.crypto_provider());
//!     let mut config = builder
//!         .with_client_cert_verifier(Arc::new(any))
//!         .with_single_cert(chain, key)?;
//!     config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
//!
//!     let app = Router::new().route("/", get(async || "hello"));
//!     let listener = TcpListener::bind("0.0.0.0:443").await?;
//!     tls::serve(listener, Tls::new(config)?, app).await?;
//!     Ok(())
//! }
//! # let _ = run;
//! ```
//!
//! What the listener itself is to do, such as `set_nodelay`, goes to `ListenerExt::tap_io` of axum.
//!
//! # gRPC
//!
//! A service of tonic becomes a router, and is served in the same way:
//! `tls::serve(listener, tls, Routes::new(service).into_axum_router())`.
//!
//! # A server of your own
//!
//! Wrap the service of each connection. hyper and `axum-server` have a place for that:
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use axum::Router;
//! use portcullis_axum::tls::Connection;
//! use tokio::net::TcpStream;
//! use tokio_rustls::server::TlsStream;
//!
//! fn of_connection(
//!     app: &Router,
//!     stream: &TlsStream<TcpStream>,
//!     peer: SocketAddr,
//! ) -> Connection<Router> {
//!     let (_, connection) = stream.get_ref();
//!     Connection::new(app.clone(), connection, peer)
//! }
//! # let _ = of_connection;
//! ```
//!
//! Call [`portcullis::tls::check`] on its configuration where it starts.
//!
//! [`PeerAddress`]: portcullis::request::PeerAddress
//! [`ClientCertificate`]: portcullis::request::ClientCertificate
mod connection;
mod listener;

use core::convert::Infallible;
use core::fmt;
use core::time::Duration;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener, Serve};
use portcullis::tls::{TlsFault, check};
use tokio_rustls::rustls::ServerConfig;
use tower_service::Service;

pub use self::connection::{Connecting, Connection, EachConnection};
pub use self::listener::TlsListener;

/// Of a client far away with a slow machine, a full handshake takes a second or two. It is axum-server's limit as well.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Half of the files that a process of Linux may have open, where nobody says otherwise.
const MAX_HANDSHAKES: usize = 512;

/// Serves an app over TLS, as `axum::serve` does without: every request says what certificate its client presented.
///
/// `app` is what `axum::serve` takes: a `Router`, a `MethodRouter`, or a service that is made for each connection. What is
/// returned is axum's as well, with its `with_graceful_shutdown`.
///
/// The [module](self) has an example.
pub fn serve<L, M, S>(
    listener: L,
    tls: Tls,
    app: M,
) -> Serve<TlsListener<L>, EachConnection<M>, Connection<S>>
where
    L: Listener<Addr = SocketAddr>,
    M: for<'a> Service<IncomingStream<'a, TlsListener<L>>, Error = Infallible, Response = S>,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    axum::serve(TlsListener::new(listener, tls), EachConnection::new(app))
}

/// TLS for [`serve`]: a configuration of rustls, and the limits of its handshakes.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    timeout: Duration,
    max_handshakes: usize,
    on_failure: Option<Arc<OnFailure>>,
}

type OnFailure = dyn Fn(SocketAddr, &HandshakeError) + Send + Sync;

impl Tls {
    /// A configuration of rustls, whose verifier of clients is tried with a client that presents the certificate of another
    /// (see [`check`]).
    ///
    /// # Errors
    ///
    /// It asks no client for a certificate, or does not check that the client has its key.
    pub fn new(config: impl Into<Arc<ServerConfig>>) -> Result<Self, TlsFault> {
        let config = config.into();
        check(&config)?;
        Ok(Self {
            config,
            timeout: HANDSHAKE_TIMEOUT,
            max_handshakes: MAX_HANDSHAKES,
            on_failure: None,
        })
    }

    /// How long a handshake may take.
    ///
    /// Not called: ten seconds.
    #[must_use]
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many handshakes may be under way at once, at least one. While there are so many, others wait in the
    /// queue of the system, and one that has taken a second makes room for the next. So whoever opens connections and says
    /// nothing delays others by a second at most.
    ///
    /// Not called: 512.
    #[must_use]
    pub fn max_handshakes(mut self, count: usize) -> Self {
        self.max_handshakes = count.max(1);
        self
    }

    /// Is told of each handshake that failed, with the address of the other side. It should not wait: handshakes
    /// run where requests do.
    ///
    /// Not called: nobody is told. A client that has no certificate only sees that TLS fails.
    #[must_use]
    pub fn on_failed_handshake(
        mut self,
        tell: impl Fn(SocketAddr, &HandshakeError) + Send + Sync + 'static,
    ) -> Self {
        self.on_failure = Some(Arc::new(tell));
        self
    }

    fn tell(&self, peer: SocketAddr, error: &HandshakeError) {
        if let Some(tell) = &self.on_failure {
            tell(peer, error);
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("timeout", &self.timeout)
            .field("max_handshakes", &self.max_handshakes)
            .finish_non_exhaustive()
    }
}

/// Why a handshake failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// One side broke it off: the client went, or what it sent was refused. A client without a certificate is one such case.
    Failed(io::Error),
    /// It took longer than [`Tls::handshake_timeout`].
    TimedOut,
    /// It had taken a second when there were as many as [`Tls::max_handshakes`].
    MadeRoom,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed(error) => return write!(f, "the TLS handshake failed: {error}"),
            Self::TimedOut => "the TLS handshake took too long",
            Self::MadeRoom => "the TLS handshake had taken a second, and made room for others: there were as many as `max_handshakes`",
        })
    }
}

impl core::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::TimedOut | Self::MadeRoom => None,
        }
    }
}
