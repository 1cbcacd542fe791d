//! A route of axum, with the policy in front or without. Prints where it listens.
use std::error::Error;
use std::net::Ipv4Addr;

use axum::Router;
use axum::routing::get;
use clap::Parser;
use portcullis_axum::{Verified, VerifyLayer};
use setup::{Claims, Options};
use tokio::net::TcpListener;

/// A route of axum
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Command { options } = Command::parse();
    let orders =
        if options.claims { get(async |_: Verified<Claims>| "ok") } else { get(async || "ok") };
    let router = Router::new().route("/orders/{id}", orders);
    let router = match options.policy()? {
        Some(policy) => router.layer(VerifyLayer::new(policy)),
        None => router,
    };

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}
