//! Sites of others, and TLS for all.
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::Query;
use axum::http::HeaderValue;
use axum::http::header::SET_COOKIE;
use axum::response::{Html, IntoResponse as _, Response};
use serde::Deserialize;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

/// Listens on a free port.
pub(crate) async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

#[derive(Deserialize)]
struct Visit {
    /// What the page's server sets.
    cookie: Option<String>,
}

/// An empty page, under any name and path.
async fn page(Query(Visit { cookie }): Query<Visit>) -> Response {
    let page = Html("<!doctype html><title>a page</title>");
    match cookie.map(|cookie| HeaderValue::from_bytes(cookie.as_bytes()).expect("a header")) {
        Some(cookie) => ([(SET_COOKIE, cookie)], page).into_response(),
        None => page.into_response(),
    }
}

/// Serves pages on a port.
pub(crate) async fn serve_pages() -> u16 {
    let (listener, port) = listen().await;
    tokio::spawn(axum::serve(listener, Router::new().fallback(page)).into_future());
    port
}

/// Where a server of this machine listens.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Port(u16),
    Socket(PathBuf),
}

/// Ends TLS on a port, and hands on to a server what comes.
pub(crate) async fn serve_tls(to: Place) -> u16 {
    let own = rcgen::generate_simple_self_signed(["*.example".to_owned()]).expect("a certificate");
    let key = own.signing_key.serialize_der().try_into().expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("a key that fits its certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, to) = (acceptor.clone(), to.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                match to {
                    Place::Port(port) => {
                        let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                        copy_bidirectional(&mut client, &mut server).await
                    }
                    Place::Socket(path) => {
                        let mut server = UnixStream::connect(path).await?;
                        copy_bidirectional(&mut client, &mut server).await
                    }
                }
            });
        }
    });
    port
}
