//! Servers of axum and actix-web whose tokens only the holder of a certificate can use (RFC 8705), and who gets in there.
//!
//! ```console
//! cargo run -p example-mutual-tls              # starts both, prints curl lines to paste
//! cargo run -p example-mutual-tls -- --check   # starts both, sends every kind of client itself, prints who gets in
//! ```
//!
//! Read `tls` and `policy` below first, then `axum_server.rs` and `actix_server.rs`: that is all that an application needs. The rest
//! plays an issuer and the clients. Certificates are made when it starts.
mod actix_server;
mod axum_server;
mod check;
mod clients;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use portcullis::mtls::Mtls;
use portcullis::tls::AnyClientCertificate;
use portcullis::{Algorithm, Issuer, KeySet, Policy};
use portcullis_testkit::TestIssuer;
use rustls::ServerConfig;
use serde::Deserialize;

use self::clients::{Expected, Identity};

/// Clients are asked for a certificate. Any will do, since a token says which one is right, and so will none.
fn tls(own: &Identity) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder();
    let any = AnyClientCertificate::new(builder.crypto_provider()).optional();
    let builder = builder.with_client_cert_verifier(Arc::new(any));
    Ok(Arc::new(builder.with_single_cert(vec![own.certificate()], own.key())?))
}

/// Every token has to be bound to a certificate, and comes from who presented it.
fn policy(jwks: &str) -> Result<Policy, Box<dyn Error>> {
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(KeySet::from_jwks(jwks)?)
        .audience("https://orders.example");
    Ok(Policy::builder().issuer(issuer).mtls(Mtls::from_tls().required()).build()?)
}

/// For the demonstration only. Yours is a real issuer, which binds tokens to the certificate that it saw itself.
fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example").audience("https://orders.example")
}

#[derive(Deserialize)]
struct User {
    sub: String,
}

/// Servers of axum and actix-web, whose clients present certificates.
#[derive(Parser)]
struct Options {
    /// Send every kind of client to both servers, print who gets in, and fail if it is not as expected
    #[arg(long)]
    check: bool,

    /// The port of the axum server; actix-web gets the next one. 0: any that are free
    /// [default: 3443, with --check 0]
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
    async fn start(
        config: &Arc<ServerConfig>,
        policy: &Policy,
        port: u16,
    ) -> Result<Self, Box<dyn Error>> {
        let next =
            if port == 0 { 0 } else { port.checked_add(1).ok_or("65535 has no next port")? };
        let axum = axum_server::start(config.clone(), policy.clone(), port).await?;
        Ok(Self { axum, actix: actix_server::start(config.clone(), policy.clone(), next)? })
    }

    fn all(self) -> [(&'static str, SocketAddr); 2] {
        [("axum", self.axum), ("actix-web", self.actix)]
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let Options { check, port } = Options::parse();
    if !check {
        // Says why a request was refused.
        tracing_subscriber::fmt::init();
    }
    let (own, issuer) = (Identity::new()?, issuer());
    let policy = policy(&issuer.jwks_of(&[Algorithm::ES256]))?;
    let port = port.unwrap_or(if check { 0 } else { 3443 });
    let servers = Servers::start(&tls(&own)?, &policy, port).await?;

    let cases = clients::cases(&issuer)?;
    if check {
        let report = check::run(servers, &own, &cases).await?;
        println!("{report}");
        return Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    // The keys in it are worth nothing, and it goes with the program.
    let folder = tempfile::tempdir()?;
    let path = folder.path().display();
    fs::write(folder.path().join("server.pem"), own.pem())?;
    for case in &cases {
        println!("\n# {}: {}", case.name, case.about);
        if case.expected == Expected::NoConnection {
            println!("# curl sends no such pair. --check does.");
            continue;
        }
        let mut own = String::new();
        if let Some(presents) = &case.presents {
            let (certificate, key) = (format!("{}.pem", case.name), format!("{}.key", case.name));
            fs::write(folder.path().join(&certificate), &presents.pem)?;
            fs::write(folder.path().join(&key), &presents.key_pem)?;
            own = format!(" --cert {path}/{certificate} --key {path}/{key}");
        }
        for (_, address) in servers.all() {
            let port = address.port();
            let token = &case.token;
            println!(
                "curl -i --cacert {path}/server.pem{own} -H 'Authorization: Bearer {token}' https://localhost:{port}/orders"
            );
        }
    }
    println!();
    for (name, address) in servers.all() {
        println!("{name:<9} listens at https://localhost:{}/orders", address.port());
    }
    println!("Paste the lines above into another terminal. Ctrl-C ends both.");
    tokio::signal::ctrl_c().await?;
    Ok(ExitCode::SUCCESS)
}
