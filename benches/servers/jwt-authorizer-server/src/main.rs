//! A route of axum 0.7, with jwt-authorizer in front or without. Prints where it listens.
use std::error::Error;
use std::net::Ipv4Addr;

use axum::Router;
use axum::routing::get;
use clap::{Parser, ValueEnum};
use jwt_authorizer::{IntoLayer, JwtAuthorizer, RegisteredClaims, Validation};
use tokio::net::TcpListener;

/// What is in front of the route.
#[derive(Clone, Copy, ValueEnum)]
enum Variant {
    /// Nothing.
    Bare,
    /// The layer, which verifies every token in full.
    Full,
}

/// A route of axum 0.7
#[derive(Parser)]
struct Command {
    /// What is in front of the route
    variant: Variant,
    /// The file with the issuer's JWK set
    #[arg(long)]
    jwks: String,
    /// Whose tokens are accepted
    #[arg(long)]
    issuer: String,
    /// For whom they have to be
    #[arg(long)]
    audience: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Command { variant, jwks, issuer, audience } = Command::parse();
    let router = Router::new().route("/orders/:id", get(|| async { "ok" }));
    let router = match variant {
        Variant::Bare => router,
        Variant::Full => {
            // The leeway is the one that a policy of Portcullis has.
            let checks =
                Validation::new().iss(&[issuer]).aud(&[audience]).exp(true).nbf(true).leeway(30);
            let authorizer = JwtAuthorizer::<RegisteredClaims>::from_jwks(&jwks);
            router.layer(authorizer.validation(checks).build().await?.into_layer())
        }
    };

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}
