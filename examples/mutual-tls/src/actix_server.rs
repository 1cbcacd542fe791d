use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use actix_web::{App, HttpRequest, HttpServer, web};
use portcullis::RequestView;
use portcullis_actix::{ActixRequest, tls};
use rustls::ServerConfig;

/// The routes of an application. Its requests say which certificate their client presented.
fn routes(config: &mut web::ServiceConfig) {
    let welcome = async |request: HttpRequest| {
        crate::welcome(ActixRequest(&request).client_certificate().as_ref())
    };
    config.route("/", web::get().to(welcome));
}

/// Starts it in the background.
pub(crate) fn start(config: Arc<ServerConfig>, port: u16) -> io::Result<SocketAddr> {
    let server = HttpServer::new(|| App::new().configure(routes)).workers(1);
    let server = tls::bind(server, (Ipv4Addr::LOCALHOST, port), config)?;
    let address = server.addrs()[0];
    tokio::spawn(server.disable_signals().run());
    Ok(address)
}
