//! The same policy in front of an actix-web app, over TLS.
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use portcullis_actix::{Policy, Verified, Verify, tls};
use rustls::ServerConfig;

use crate::User;

async fn orders(Verified(user): Verified<User>) -> String {
    format!("orders of {}", user.sub)
}

/// Starts it in the background.
pub(crate) fn start(
    config: Arc<ServerConfig>,
    policy: Policy,
    port: u16,
) -> io::Result<SocketAddr> {
    let app = move || {
        App::new().route("/orders", web::get().to(orders)).wrap(Verify::new(policy.clone()))
    };
    let server = HttpServer::new(app).workers(1);
    let server = tls::bind(server, (Ipv4Addr::LOCALHOST, port), config)?;
    let address = server.addrs()[0];
    tokio::spawn(server.disable_signals().run());
    Ok(address)
}
