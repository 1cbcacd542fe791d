//! A token in a cookie, with login, logout and the cross-site check, in actix-web.
//!
//! ```console
//! cargo run -p example-actix-cookie
//! ```
//!
//! prints `curl` lines, with a token, to paste: login, a note that your own page writes, one that
//! another site tries to write, logout.
use std::error::Error;

use actix_web::{App, HttpServer};
use example_actix_cookie::{COOKIE, api, policy};
use portcullis_actix::portcullis::{Algorithm, Issuer, KeySet, Policy, TokenCookie};
use portcullis_testkit::TestIssuer;

#[actix_web::main]
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

    let policy = policy(Policy::builder().issuer(issuer))?;
    let cookie = TokenCookie::new(COOKIE)?;
    let app = move || App::new().configure(api(policy.clone(), cookie.clone()));
    let server = HttpServer::new(app).bind("127.0.0.1:0")?;
    let url = format!("http://{}", server.addrs()[0]);
    let cookie = format!("-H 'Cookie: {COOKIE}={token}'");
    let json = "-H 'Content-Type: application/json'";
    println!("curl -i {url}/login {json} -d '{{\"token\":\"{token}\"}}'");
    println!("curl -i {url}/me/notes -X POST -H 'Sec-Fetch-Site: same-origin' {cookie}");
    println!("curl -i {url}/me/notes -X POST -H 'Sec-Fetch-Site: cross-site' {cookie}");
    println!("curl -i {url}/me/logout -X POST -H 'Sec-Fetch-Site: same-origin' {cookie}");
    Ok(server.run().await?)
}
