use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use actix_web::dev::{self, ServerHandle};
use actix_web::rt::System;
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpRequest, HttpServer, web};
use axum::Router;
use axum::extract::Request;
use portcullis::Policy;
use portcullis::tls::AnyClientCertificate;
use portcullis_actix::{ActixRequest, Verify};
use portcullis_axum::tls::Tls;
use portcullis_axum::{AxumRequest, VerifyLayer};
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use tokio::task::JoinHandle;

use crate::{Identity, said};

/// Where something listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// A port of the loopback address.
    Port(u16),
    /// A socket of Unix.
    Socket(PathBuf),
}

/// A framework whose server is ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    /// axum, by `portcullis_axum::tls`.
    Axum,
    /// actix-web, by `portcullis_actix::tls`.
    Actix,
}

impl Address {
    /// The port.
    ///
    /// # Panics
    ///
    /// It has none.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Port(port) => *port,
            Self::Socket(path) => panic!("{} has no port", path.display()),
        }
    }
}

impl Door {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Axum, Self::Actix];
}

/// A server on a free port of the loopback address, which ends with this value.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: Address,
    running: Running,
}

#[derive(Debug)]
enum Running {
    Task(JoinHandle<()>),
    Actix(ServerHandle),
}

impl Server {
    /// A service that answers what it is [told](said), and takes any certificate or none.
    pub async fn start(door: Door, own: &Identity) -> Self {
        let any = AnyClientCertificate::new(&rustls::crypto::aws_lc_rs::default_provider());
        Self::with(door, tls_config(own, Arc::new(any.optional()))).await
    }

    /// A service that answers what it is told, under a configuration of rustls.
    ///
    /// # Panics
    ///
    /// The configuration is refused.
    pub async fn with(door: Door, config: ServerConfig) -> Self {
        match door {
            Door::Axum => Self::axum(Tls::new(config).expect("a good one"), axum_app()).await,
            Door::Actix => Self::actix(move |listener| {
                let server = HttpServer::new(|| App::new().configure(actix_app)).workers(1);
                Ok(portcullis_actix::tls::listen(server, listener, config)?.run())
            }),
        }
    }

    /// An app of axum, by `tls::serve`.
    pub async fn axum(tls: Tls, app: Router) -> Self {
        let (listener, address) = listen().await;
        let server = portcullis_axum::tls::serve(listener, tls, app).into_future();
        Self::task(address, server)
    }

    /// A service without TLS, as behind a proxy, that answers what it is told.
    pub async fn plain(door: Door) -> Self {
        match door {
            Door::Axum => Self::axum_plain(axum_app()).await,
            Door::Actix => Self::actix(|listener| {
                let server = HttpServer::new(|| App::new().configure(actix_app)).workers(1);
                Ok(server.listen(listener)?.run())
            }),
        }
    }

    /// The same behind a policy.
    pub async fn plain_behind(door: Door, policy: Policy) -> Self {
        match door {
            Door::Axum => Self::axum_plain(axum_app().layer(VerifyLayer::new(policy))).await,
            Door::Actix => Self::actix(move |listener| {
                let app = move || App::new().configure(actix_app).wrap(Verify::new(policy.clone()));
                Ok(HttpServer::new(app).workers(1).listen(listener)?.run())
            }),
        }
    }

    /// A service behind a policy, over TLS, that takes any certificate or none.
    pub async fn behind(door: Door, own: &Identity, policy: Policy) -> Self {
        let any = AnyClientCertificate::new(&rustls::crypto::aws_lc_rs::default_provider());
        let config = tls_config(own, Arc::new(any.optional()));
        match door {
            Door::Axum => {
                let app = axum_app().layer(VerifyLayer::new(policy));
                Self::axum(Tls::new(config).expect("a good one"), app).await
            }
            Door::Actix => Self::actix(move |listener| {
                let app = move || App::new().configure(actix_app).wrap(Verify::new(policy.clone()));
                let server = HttpServer::new(app).workers(1);
                Ok(portcullis_actix::tls::listen(server, listener, config)?.run())
            }),
        }
    }

    async fn axum_plain(app: Router) -> Self {
        let (listener, address) = listen().await;
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        Self::task(address, axum::serve(listener, app).into_future())
    }

    /// Anything that accepts connections of a listener.
    pub fn task(
        address: Address,
        server: impl Future<Output = io::Result<()>> + Send + 'static,
    ) -> Self {
        let task = tokio::spawn(async { server.await.expect("a server that goes on") });
        Self { address, running: Running::Task(task) }
    }

    /// A server of actix-web over a listener, in a thread of its own.
    ///
    /// # Panics
    ///
    /// It does not start.
    #[must_use]
    pub fn actix(
        start: impl FnOnce(TcpListener) -> io::Result<dev::Server> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = Address::Port(listener.local_addr().expect("its address").port());
        let (send_handle, handle) = mpsc::channel();
        thread::spawn(move || {
            System::new().block_on(async {
                let server = start(listener).expect("a server");
                let _ = send_handle.send(server.handle());
                server.await
            })
        });
        let running = Running::Actix(handle.recv().expect("a running server"));
        Self { address, running }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match &self.running {
            Running::Task(task) => task.abort(),
            // The command is sent by the call; the future only waits for its end.
            Running::Actix(server) => drop(server.stop(false)),
        }
    }
}

/// TLS with a certificate of the server's own, and a verifier of clients'.
///
/// # Panics
///
/// Its key does not fit.
pub fn tls_config(own: &Identity, verifier: Arc<dyn ClientCertVerifier>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(rustls::ALL_VERSIONS).expect("versions");
    let builder = builder.with_client_cert_verifier(verifier);
    let mut config = builder.with_single_cert(vec![own.certificate()], own.key()).expect("a key");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A free port of the loopback address.
///
/// # Panics
///
/// There is none.
pub async fn listen() -> (tokio::net::TcpListener, Address) {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    (listener, Address::Port(port))
}

/// Answers what it is [told](said).
pub fn axum_app() -> Router {
    Router::new().fallback(async |request: Request| {
        let headers =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        said::of(&AxumRequest::from(&request), headers).to_string()
    })
}

/// Answers what it is [told](said).
pub fn actix_app(config: &mut ServiceConfig) {
    let answer = async |request: HttpRequest| {
        let headers =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        said::of(&ActixRequest(&request), headers).to_string()
    };
    config.default_service(web::to(answer));
}
