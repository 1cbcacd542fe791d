//! Optional authentication by a cookie, with login and logout, in axum.
//!
//! ```console
//! cargo run -p example-axum-optional-cookie
//! ```
//!
//! prints `curl` lines, with a token, to paste: who am I without and with the cookie, login, logout.
use std::error::Error;

use example_axum_optional_cookie::{COOKIE, app, policy};
use portcullis_axum::portcullis::{Algorithm, Issuer, KeySet, Policy};
use portcullis_testkit::TestIssuer;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Says why a request was refused: at INFO for bad tokens, and with RUST_LOG=portcullis=debug for all.
    tracing_subscriber::fmt::init();
    // For the demonstration only. Yours are the keys of a real issuer, and the token comes from it.
    let demo = TestIssuer::new("https://id.example").audience("https://orders.example");
    let token = demo.token(Algorithm::ES256).mint();
    let issuer = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(KeySet::from_jwks(demo.jwks_of(&[Algorithm::ES256]))?)
        .audience("https://orders.example");

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let json = "-H 'Content-Type: application/json'";
    println!("curl -i {url}/");
    println!("curl -i {url}/login {json} -d '{{\"token\":\"{token}\"}}'");
    println!("curl -i {url}/ -H 'Cookie: {COOKIE}={token}'");
    println!("curl -i {url}/logout -X POST -H 'Origin: {url}' -H 'Cookie: {COOKIE}={token}'");
    let policy = policy(Policy::builder().issuer(issuer))?;
    Ok(axum::serve(listener, app(policy)?).await?)
}
