//! The same policy in front of an actix-web app.
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use actix_web::{App, HttpServer, web};
use portcullis_actix::{Policy, Verified, Verify};

use crate::User;

async fn orders(Verified(user): Verified<User>) -> String {
    format!("orders of {}\n", user.sub)
}

pub(crate) fn start(policy: Policy, port: u16) -> io::Result<SocketAddr> {
    let app = move || {
        App::new().route("/orders", web::get().to(orders)).wrap(Verify::new(policy.clone()))
    };
    let server = HttpServer::new(app).workers(1).bind((Ipv4Addr::LOCALHOST, port))?;
    let address = server.addrs()[0];
    tokio::spawn(server.disable_signals().run());
    Ok(address)
}
