//! One policy in front of two servers, axum and actix-web, and what each kind of token gets there.
//!
//! ```console
//! cargo run -p quickstart              # starts both, prints curl lines to paste
//! cargo run -p quickstart -- --check   # starts both, sends all of it itself, prints the answers
//! ```
//!
//! Read the policy below first, then `axum_server.rs` and `actix_server.rs`: that is all that an
//! application needs. The rest plays the issuer and the clients, `tokens.rs` the bad ones, too.
mod actix_server;
mod axum_server;
mod check;
mod tokens;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use portcullis::{Algorithm, Issuer, KeySet, Policy};
use portcullis_testkit::TestIssuer;
use serde::Deserialize;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://orders.example";

/// One that every client knows, and one whose signatures a quantum computer does not forge.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::ES256, Algorithm::ML_DSA_65];

/// Whose tokens are accepted, signed how, for whom, and for how long.
fn policy(jwks: &str) -> Result<Policy, Box<dyn Error>> {
    let issuer = Issuer::new(ISSUER)
        .algorithms(ALGORITHMS)
        .keys(KeySet::from_jwks(jwks)?)
        .audience(AUDIENCE);
    Ok(Policy::builder().issuer(issuer).max_lifetime(Duration::from_secs(15 * 60)).build()?)
}

/// What the handlers of both servers want to know of a token.
#[derive(Deserialize)]
struct User {
    sub: String,
}

/// One policy behind an axum and an actix-web server.
#[derive(Parser)]
struct Options {
    /// Send every kind of token to both servers, print the answers, and fail if one is not as
    /// expected
    #[arg(long)]
    check: bool,

    /// The port of the axum server; actix-web gets the next one. 0: any that are free
    /// [default: 3001, with --check 0]
    #[arg(long)]
    port: Option<u16>,
}

/// Where the servers listen.
#[derive(Clone, Copy)]
struct Servers {
    axum: SocketAddr,
    actix: SocketAddr,
}

impl Servers {
    async fn start(policy: Policy, port: u16) -> Result<Self, Box<dyn Error>> {
        let next =
            if port == 0 { 0 } else { port.checked_add(1).ok_or("65535 has no next port")? };
        let axum = axum_server::start(policy.clone(), port).await?;
        Ok(Self { axum, actix: actix_server::start(policy, next)? })
    }

    fn urls(self) -> [(&'static str, String); 2] {
        [("axum", self.axum), ("actix-web", self.actix)]
            .map(|(name, address)| (name, format!("http://{address}/orders")))
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Options { check, port } = Options::parse();
    if !check {
        // Says why a request was refused. RUST_LOG=portcullis=debug shows those without a token, too.
        tracing_subscriber::fmt::init();
    }
    // The issuer is a stand-in from the test kit, for a demonstration only: its keys are made now.
    let issuer = TestIssuer::new(ISSUER).audience(AUDIENCE);
    let policy = policy(&issuer.jwks_of(&ALGORITHMS))?;
    let servers = Servers::start(policy, port.unwrap_or(if check { 0 } else { 3001 })).await?;

    let cases = tokens::cases(&issuer);
    if check {
        let report = check::run(servers, &cases).await?;
        println!("{report}");
        return Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    for case in &cases {
        println!("\n# {}: {}", case.name, case.about);
        // Of a line with a token in it, nobody would see the end.
        if let Some(token) = &case.token {
            println!("TOKEN='{token}'");
        }
        for (_, url) in servers.urls() {
            match case.token {
                Some(_) => println!("curl -i {url} -H \"Authorization: Bearer $TOKEN\""),
                None => println!("curl -i {url}"),
            }
        }
    }
    println!();
    for (name, url) in servers.urls() {
        println!("{name:<9} listens at {url}");
    }
    println!("Paste the lines above into another terminal. Ctrl-C ends both.");
    tokio::signal::ctrl_c().await?;
    Ok(ExitCode::SUCCESS)
}
