//! TLS whose clients present certificates, in front of an app of actix-web (feature `rustls`).
//!
//! [`bind`] and [`listen`] take the place of `HttpServer::bind_rustls_0_23` and `listen_rustls_0_23`. They refuse a
//! configuration of rustls that asks no client for a certificate, or that does not check that the client has its key, and
//! see to it that each connection is asked for its certificate before it serves a request.
//!
//! A server that binds by itself calls `on_connect(client_certificate)`, **before** it binds. Afterwards, it has no effect
//! on what is bound already, and nothing says so. A request of such a server has no [`ClientCertificate`]. A policy takes
//! that for a mistake of the server, and not of the client.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use actix_web::{App, HttpServer, web};
//! use portcullis_actix::portcullis::tls::AnyClientCertificate;
//! use portcullis_actix::tls;
//! use rustls::ServerConfig;
//! use rustls::pki_types::{CertificateDer, PrivateKeyDer};
//!
//! async fn run(
//!     chain: Vec<CertificateDer<'static>>,
//!     key: PrivateKeyDer<'static>,
//! ) -> Result<(), Box<dyn std::error::Error>> {
//!     let builder = ServerConfig::builder();
//!     let any = AnyClientCertificate::new(builder.crypto_provider());
//!     let config = builder
//!         .with_client_cert_verifier(Arc::new(any))
//!         .with_single_cert(chain, key)?;
//!
//!     let server = HttpServer::new(|| {
//!         App::new().route("/", web::get().to(async || "hello"))
//!     });
//!     tls::bind(server, ("0.0.0.0", 443), config)?.run().await?;
//!     Ok(())
//! }
//! # let _ = run;
//! ```
//!
//! actix-web bounds handshakes itself: 256 for each worker, and three seconds for each of them
//! (`HttpServer::tls_handshake_timeout`).
use core::any::Any;
use core::fmt;
use std::io;
use std::net::{TcpListener, ToSocketAddrs};
use std::sync::Arc;

use actix_http::Request;
use actix_service::IntoServiceFactory;
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_tls::accept::rustls_0_23::reexports::ServerConfig;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Extensions, Response, Service, ServiceFactory};
use actix_web::rt::net::TcpStream;
use actix_web::{Error, HttpServer};
use portcullis::request::ClientCertificate;
use portcullis::tls::check;

/// Puts what a connection's handshake said of the client's certificate among the data of the connection: for
/// `HttpServer::on_connect`, where [`ActixRequest`](crate::ActixRequest) finds it.
///
/// - TLS by rustls 0.23: the certificate, or that there is none. It counts only if the verifier checks the handshake's
///   signature, which [`check`] tries.
/// - TCP without TLS, and a socket of Unix: that there is none.
/// - Any other connection, such as TLS by OpenSSL or by another version of rustls: nothing. Requests say nothing either,
///   and a policy cannot tell.
///
/// A callback of your own calls it:
///
/// ```
/// use actix_web::{App, HttpServer};
/// use portcullis_actix::tls::client_certificate;
///
/// # fn server() -> std::io::Result<()> {
/// let server = HttpServer::new(App::new)
///     .on_connect(|connection, data| {
///         client_certificate(connection, data);
///         data.insert("what else is to be known of it");
///     })
///     .bind(("127.0.0.1", 8080))?;
/// # let _ = server; Ok(()) }
/// ```
pub fn client_certificate(connection: &dyn Any, data: &mut Extensions) {
    if let Some(said) = said_by(connection) {
        data.insert(said);
    }
}

fn said_by(connection: &dyn Any) -> Option<ClientCertificate> {
    if let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>() {
        let (_, connection) = stream.get_ref();
        return portcullis::tls::client_certificate(connection);
    }
    let plain = connection.is::<TcpStream>();
    #[cfg(unix)]
    let plain = plain || connection.is::<actix_web::rt::net::UnixStream>();
    plain.then(ClientCertificate::absent)
}

/// Binds a server to addresses, with TLS that tells each request which certificate its client presented.
///
/// As `HttpServer::bind_rustls_0_23`, after `HttpServer::on_connect` with [`client_certificate`]. A callback that was
/// set before does not count here: one of your own calls [`client_certificate`], and [`check`] its configuration.
///
/// # Errors
///
/// The addresses cannot be bound. The configuration asks no client for a certificate, or does not check that the client
/// has its key: then the error is a [`TlsFault`](portcullis::tls::TlsFault).
pub fn bind<F, I, S, B>(
    server: HttpServer<F, I, S, B>,
    addresses: impl ToSocketAddrs,
    config: impl Into<Arc<ServerConfig>>,
) -> io::Result<HttpServer<F, I, S, B>>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let config = checked(config.into())?;
    server.on_connect(client_certificate).bind_rustls_0_23(addresses, config)
}

/// Serves a listener that is bound already, with TLS that tells each request which certificate its client presented.
///
/// As `HttpServer::listen_rustls_0_23`. All else is as [`bind`] has it.
///
/// # Errors
///
/// The listener cannot be used. The configuration asks no client for a certificate, or does not check that the client has
/// its key: then the error is a [`TlsFault`](portcullis::tls::TlsFault).
pub fn listen<F, I, S, B>(
    server: HttpServer<F, I, S, B>,
    listener: TcpListener,
    config: impl Into<Arc<ServerConfig>>,
) -> io::Result<HttpServer<F, I, S, B>>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let config = checked(config.into())?;
    server.on_connect(client_certificate).listen_rustls_0_23(listener, config)
}

fn checked(config: Arc<ServerConfig>) -> io::Result<ServerConfig> {
    check(&config).map_err(|fault| io::Error::new(io::ErrorKind::InvalidInput, fault))?;
    Ok(Arc::unwrap_or_clone(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(connection: &dyn Any) -> Option<ClientCertificate> {
        let mut data = Extensions::new();
        client_certificate(connection, &mut data);
        data.get().cloned()
    }

    #[actix_web::test]
    async fn a_connection_without_tls_has_no_certificate() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let stream = TcpStream::connect(address).await.expect("a connection");
        assert_eq!(said(&stream), Some(ClientCertificate::absent()));

        #[cfg(unix)]
        {
            let (stream, _) = actix_web::rt::net::UnixStream::pair().expect("sockets");
            assert_eq!(said(&stream), Some(ClientCertificate::absent()));
        }
    }

    #[actix_web::test]
    async fn nothing_is_said_of_a_connection_of_another_kind() {
        assert_eq!(said(&"OpenSSL"), None);
    }
}
