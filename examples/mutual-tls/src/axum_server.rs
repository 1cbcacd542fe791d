use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use portcullis::RequestView;
use portcullis_axum::tls::{self, Tls};
use rustls::ServerConfig;
use tokio::net::TcpListener;

/// The app of an application. Its requests say which certificate their client presented.
fn app() -> Router {
    let welcome = async |request: Request| crate::welcome(request.client_certificate().as_ref());
    Router::new().route("/", get(welcome))
}

/// Starts it in the background. Where a client is refused, its operator is told why.
pub(crate) async fn start(
    config: Arc<ServerConfig>,
    port: u16,
) -> Result<SocketAddr, Box<dyn Error>> {
    let tls = Tls::new(config)?;
    let tls = tls.on_failed_handshake(|peer, error| eprintln!("axum refused {peer}: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(tls::serve(listener, tls, app()).into_future());
    Ok(address)
}
