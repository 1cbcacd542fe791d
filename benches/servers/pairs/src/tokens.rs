//! The key, the tokens that every server accepts, and those that none does.
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::{Algorithm, Clock, SystemClock};
use portcullis_testkit::{TestIssuer, TokenBuilder};

use crate::Fault;

/// How many tokens are in rotation.
pub(crate) const COUNT: usize = 200;

pub(crate) const ISSUER: &str = "https://id.example/realms/main";
pub(crate) const AUDIENCE: &str = "https://orders.example";
const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
const HOUR: i64 = 60 * 60;

/// What the servers and the load generator read, in files.
pub(crate) struct Tokens {
    pub(crate) jwks: PathBuf,
    pub(crate) file: PathBuf,
    pub(crate) good: Vec<String>,
    pub(crate) bad: Vec<(&'static str, String)>,
}

impl Tokens {
    pub(crate) fn new(directory: &Path) -> Result<Self, Fault> {
        let issuer = TestIssuer::new(ISSUER).audience(AUDIENCE);
        let jwks = directory.join("jwks.json");
        fs::write(&jwks, issuer.jwks_of(&[Algorithm::ES256]))?;
        let good: Vec<_> = (0..COUNT).map(|user| token(&issuer, user).mint()).collect();
        let file = directory.join("tokens");
        fs::write(&file, good.join("\n"))?;

        let now = SystemClock.now().0;
        let a_token = || token(&issuer, 0);
        let bad = [
            ("forged", a_token().signed_by(issuer.impostor().key(Algorithm::ES256))),
            ("of another issuer", a_token().claim("iss", "https://id.example/realms/other")),
            ("for another audience", a_token().audience("https://bills.example")),
            ("expired", a_token().claim("nbf", now - 2 * HOUR).expired()),
            ("not valid yet", a_token().claim("nbf", now + HOUR)),
        ]
        .map(|(what, token)| (what, token.mint()));
        Ok(Self { jwks, file, good, bad: bad.into() })
    }

    /// The length of a token.
    pub(crate) fn bytes(&self) -> usize {
        self.good[0].len()
    }
}

/// One user's token: nine claims of the usual kind.
fn token(issuer: &TestIssuer, user: usize) -> TokenBuilder {
    issuer
        .token(Algorithm::ES256)
        .expires_in(LIFETIME)
        .subject(format!("6f1e5c1e-8f0b-4a7e-9f55-{user:012x}"))
        .claim("nbf", SystemClock.now().0)
        .claim("client_id", "orders-web")
        .scope("orders:read orders:write profile")
}
