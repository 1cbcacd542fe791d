//! The policy in front of an axum app.
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::routing::get;
use portcullis_axum::{Policy, Verified, VerifyLayer};
use tokio::net::TcpListener;

use crate::User;

async fn orders(Verified(user): Verified<User>) -> String {
    format!("orders of {}\n", user.sub)
}

fn app(policy: Policy) -> Router {
    Router::new().route("/orders", get(orders)).layer(VerifyLayer::new(policy))
}

pub(crate) async fn start(policy: Policy, port: u16) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app(policy)).into_future());
    Ok(address)
}
