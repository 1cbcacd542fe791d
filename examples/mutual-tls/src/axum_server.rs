//! The policy in front of an axum app, over TLS.
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use portcullis_axum::tls::{self, Tls};
use portcullis_axum::{Policy, Verified, VerifyLayer};
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::User;

async fn orders(Verified(user): Verified<User>) -> String {
    format!("orders of {}", user.sub)
}

fn app(policy: Policy) -> Router {
    Router::new().route("/orders", get(orders)).layer(VerifyLayer::new(policy))
}

/// Starts it in the background. Where a handshake fails, its operator is told why.
pub(crate) async fn start(
    config: Arc<ServerConfig>,
    policy: Policy,
    port: u16,
) -> Result<SocketAddr, Box<dyn Error>> {
    let tls = Tls::new(config)?;
    let tls = tls.on_failed_handshake(|peer, error| eprintln!("axum refused {peer}: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(tls::serve(listener, tls, app(policy)).into_future());
    Ok(address)
}
