//! Tokens for tests that are bound to a key, each with a proof for a request (DPoP, RFC 9449).
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use portcullis::Algorithm;
use portcullis_testkit::{ProofBuilder, SigningKey, TestIssuer};

use super::key_at;
use crate::output::Failure;

/// The algorithm that every library for clients has.
const ALGORITHM: Algorithm = Algorithm::ES256;

/// What belongs to a proof.
#[derive(clap::Args)]
pub(super) struct ProofOptions {
    /// Bind the token to a key of its sender (DPoP), and print a `curl` command with the token and a proof for --url. With
    /// --policy-out, the key is kept in the folder, and the policy that is written accepts proofs for the host of --url
    #[arg(long, requires = "url")]
    dpop: bool,

    /// The private key that the token is bound to: a file with PKCS #8 of ES256, which is made if it is not there [default:
    /// test-key-dpop in the folder of --policy-out, or a key that is thrown away]
    #[arg(long, value_name = "FILE", requires = "dpop")]
    dpop_key: Option<PathBuf>,

    /// The address of the request that the proof is for (`htu`), as its client writes it
    #[arg(long, value_name = "URL", requires = "dpop", value_parser = url)]
    url: Option<String>,

    /// The method of the request that the proof is for (`htm`)
    #[arg(long, value_name = "METHOD", requires = "dpop", default_value = "GET", value_parser = method)]
    method: String,

    /// The nonce that the service answered with, in its header `DPoP-Nonce`
    #[arg(long, value_name = "NONCE", requires = "dpop", value_parser = nonce)]
    nonce: Option<String>,
}

/// An address, which a shell takes as it stands between quotes.
fn url(text: &str) -> Result<String, String> {
    let rest = ["https://", "http://"].into_iter().find_map(|scheme| {
        let start = text.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
    });
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !b"'\"\\`$".contains(&byte));
    match rest {
        Some(rest) if is_plain && !rest.starts_with(['/', '?', '#']) && !rest.is_empty() => {
            Ok(text.to_owned())
        }
        _ => Err("write it like https://api.example/orders/7".to_owned()),
    }
}

/// RFC 9110 §9.1: a token, in its case.
fn method(text: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#%&*+-.^_|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err("write it like GET or POST".to_owned());
    }
    Ok(text.to_owned())
}

/// RFC 9449 §8.1.
fn nonce(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it is what stands in the header `DPoP-Nonce`".to_owned());
    }
    Ok(text.to_owned())
}

/// A key that a token is bound to, and a request that a proof is for.
pub(super) struct Binding<'o> {
    pub(super) key: SigningKey,
    url: &'o str,
    options: &'o ProofOptions,
}

impl ProofOptions {
    /// What the token is bound to, if it is asked for.
    pub(super) fn binding(&self, folder: Option<&Path>) -> Result<Option<Binding<'_>>, Failure> {
        let Some(url) = self.url.as_deref().filter(|_| self.dpop) else { return Ok(None) };
        let path = self.dpop_key.clone().or(folder.map(|folder| folder.join("test-key-dpop")));
        let key = match path {
            Some(path) => key_at(&path, ALGORITHM)?,
            None => SigningKey::generate(ALGORITHM),
        };
        Ok(Some(Binding { key, url, options: self }))
    }
}

impl Binding<'_> {
    /// A proof for the request, and for this token.
    pub(super) fn proof(&self, issuer: &TestIssuer, token: &str) -> Result<String, Failure> {
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(|_| Failure::fault("no random bytes can be had"))?;
        // Without what a proof leaves out (RFC 9449 §4.2).
        let end = self.url.find(['?', '#']).unwrap_or(self.url.len());
        let proof = issuer.proof(&self.key, &self.options.method, &self.url[..end]);
        let proof = proof.token(token).claim("jti", BASE64_URL_SAFE_NO_PAD.encode(id));
        let nonce = self.options.nonce.as_deref();
        Ok(nonce
            .into_iter()
            .fold(proof, |proof, nonce| ProofBuilder::claim(proof, "nonce", nonce))
            .mint())
    }

    /// The request, for a shell.
    pub(super) fn curl(&self, token: &str, proof: &str) -> String {
        let method = match self.options.method.as_str() {
            "GET" => String::new(),
            "HEAD" => " --head".to_owned(),
            method => format!(" -X '{method}'"),
        };
        format!("curl{method} -H 'Authorization: DPoP {token}' -H 'DPoP: {proof}' '{}'", self.url)
    }

    /// Where the service is: the scheme and the host of the request.
    pub(super) fn base(&self) -> &str {
        let host = self.url.find("://").map_or(0, |at| at + "://".len());
        let end = self.url[host..].find(['/', '?', '#']).map_or(self.url.len(), |at| host + at);
        &self.url[..end]
    }
}
