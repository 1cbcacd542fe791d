//! A service that logs its own users in, in axum and in actix-web.
//!
//! ```console
//! cargo run -p first-party-login
//! ```
//!
//! serves its pages at <http://127.0.0.1:3000>. Sign up, log in from two browsers, end one session from the other, change the
//! password, log out everywhere. Stop the service and start it again: who was logged in still is. Another framework serves the
//! same:
//!
//! ```console
//! cargo run -p first-party-login -- --framework actix
//! ```
//!
//! Users, sessions and signing keys are in a SQLite file, `first-party-login.db` in the current folder. The root secret, with which
//! keys are sealed, is in `first-party-login.root`. Both are made by the first start. Several instances share a PostgreSQL, a copy of
//! the root secret, and a Redis by which each knows at once what another revoked:
//!
//! ```console
//! export DATABASE_URL=postgres://login:secret@127.0.0.1/login
//! cargo run -p first-party-login -- --database env:DATABASE_URL --redis redis://127.0.0.1
//! ```
//!
//! `--check` goes through the life of a session by itself, and shows what each step was answered.
//!
//! A program that keeps its tokens itself logs in by JSON:
//!
//! ```console
//! HERE=http://127.0.0.1:3000
//! JSON='content-type: application/json'
//! curl -i $HERE/api/signup -H "$JSON" -d '{"name":"alice","password":"correct horse"}'
//! curl $HERE/api/login -H "$JSON" -d '{"name":"alice","password":"correct horse","client":"native"}'
//! curl $HERE/api/me -H "Authorization: Bearer $ACCESS_TOKEN"
//! curl $HERE/oauth/token -d grant_type=refresh_token -d client_id=native -d refresh_token=$REFRESH_TOKEN
//! curl $HERE/oauth/revoke -d client_id=native -d token=$REFRESH_TOKEN
//! ```
//!
//! Read `service.rs` first, then `login.rs`. `axum_server.rs` and `actix_server.rs` say which path leads where, and nothing else.
//! What a real service needs besides: TLS, a bound on how often somebody may guess (RFC 6819 §4.4.3.5), a list of passwords
//! that leaked, and a way to come back for who forgot theirs.
mod actix_server;
mod answer;
mod api;
mod axum_server;
mod check;
mod database;
mod flags;
mod label;
mod login;
mod pages;
mod passwords;
mod root_secret;
mod service;
mod users;

use std::env;
use std::error::Error;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use serde_json::json;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::flags::{Flags, Framework};
use crate::service::Service;

/// The largest body of a request: names and passwords are short.
const BODY: usize = 16 * 1024;

#[tokio::main]
async fn main() -> ExitCode {
    // Says what happens to keys and sessions, and why a request was refused: at INFO, and with RUST_LOG=portcullis=debug for all.
    // Unlike `tracing_subscriber::fmt::init()`, on standard error: the standard output has the line that says where it
    // serves, alone.
    let levels = env::var("RUST_LOG").ok().and_then(|levels| levels.parse::<Targets>().ok());
    let levels = levels.unwrap_or_else(|| Targets::new().with_default(Level::INFO));
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    tracing_subscriber::registry().with(log).with(levels).init();
    let flags = Flags::parse();
    let done = if flags.check { check().await } else { run(flags).await.map(|()| true) };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the service answers as it should.
async fn check() -> Result<bool, Box<dyn Error>> {
    let report = check::run().await?;
    println!("{report}");
    Ok(report.is_good())
}

async fn run(flags: Flags) -> Result<(), Box<dyn Error>> {
    let flags = flags.checked()?;
    let service = Arc::new(Service::start(&flags).await?);
    let listener = TcpListener::bind(flags.listen);
    let listener = listener.map_err(|error| format!("--listen {}: {error}", flags.listen))?;
    listener.set_nonblocking(true)?;
    match flags.framework {
        Framework::Axum => axum_server::serve(listener, service).await?,
        Framework::Actix => actix_server::serve(listener, service).await?,
    }
    Ok(())
}

/// For who started it: where it serves. Connections are accepted from here on.
fn say_ready(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", json!({ "ready": true, "url": format!("http://{address}") }))?;
    out.flush()
}
