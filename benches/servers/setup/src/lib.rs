//! What the servers behind Portcullis have in common: their command line, their policy, and the
//! claims that a handler reads.
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use portcullis::{Algorithm, Issuer, KeySet, Policy};
use serde::Deserialize;

/// What is in front of the route.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Variant {
    /// Nothing.
    Bare,
    /// The policy, which remembers the tokens that it verified: that is its default.
    Remembered,
    /// The policy, which verifies every token in full.
    Full,
}

/// The command line of a server.
#[derive(Args, Debug)]
pub struct Options {
    /// What is in front of the route
    pub variant: Variant,
    /// The handler reads the claims, typed
    #[arg(long)]
    pub claims: bool,
    /// The file with the issuer's JWK set
    #[arg(long)]
    pub jwks: PathBuf,
    /// Whose tokens are accepted
    #[arg(long)]
    pub issuer: String,
    /// For whom they have to be
    #[arg(long)]
    pub audience: String,
}

impl Options {
    /// The policy in front of the route, if there is one.
    ///
    /// # Errors
    ///
    /// If the file of keys cannot be read, or they make no policy.
    pub fn policy(&self) -> Result<Option<Policy>, Box<dyn Error>> {
        let issuer = Issuer::new(&*self.issuer)
            .algorithms([Algorithm::ES256])
            .keys(KeySet::from_jwks(fs::read(&self.jwks)?)?)
            .audience(&*self.audience);
        let builder = Policy::builder().issuer(issuer);
        let builder = match self.variant {
            Variant::Bare => return Ok(None),
            Variant::Remembered => builder,
            Variant::Full => builder.token_cache(0),
        };
        Ok(Some(builder.build()?))
    }
}

/// The claims of the tokens that the servers are asked with.
#[allow(missing_docs, reason = "registered claims")]
#[derive(Debug, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub exp: u64,
    pub nbf: u64,
    pub iat: u64,
    pub jti: String,
    pub client_id: String,
    pub scope: String,
}
