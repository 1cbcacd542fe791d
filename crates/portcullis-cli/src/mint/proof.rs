//! Tokens for tests that are bound to a key, each with a proof for a request (DPoP, RFC 9449), or to a certificate (RFC 8705).
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use clap::ArgGroup;
use portcullis::Algorithm;
use portcullis::explain::{MtlsDescription, PolicyDescription};
use portcullis::mtls::CertificateHeader;
use portcullis_testkit::{ProofBuilder, SigningKey, TestIssuer, TokenBuilder};
use serde_json::json;

use super::key_at;
use crate::certificate;
use crate::output::Failure;

/// The algorithm that every library for clients has.
const ALGORITHM: Algorithm = Algorithm::ES256;

/// What a token is bound to, and the request that it is for.
#[derive(clap::Args)]
#[command(group(ArgGroup::new("binding").multiple(true)))]
pub(super) struct ProofOptions {
    /// Bind the token to a key of its sender (DPoP), and print a `curl` command with the token and a proof for --url. With
    /// --policy-out, the key is kept in the folder, and the policy that is written accepts proofs for the host of --url
    #[arg(long, requires = "url", group = "binding")]
    dpop: bool,

    /// The private key that the token is bound to: a file with PKCS #8 of ES256, which is made if it is not there [default:
    /// test-key-dpop in the folder of --policy-out, or a key that is thrown away]
    #[arg(long, value_name = "FILE", requires = "dpop")]
    dpop_key: Option<PathBuf>,

    /// Bind the token to the certificate in this file, PEM or DER (`cnf` with `x5t#S256`, RFC 8705). With --url, print a `curl` command:
    /// with the certificate, or with the header that the policy of --policy-out reads. With --dpop, the token is bound to both
    #[arg(long, value_name = "FILE", group = "binding")]
    client_certificate: Option<PathBuf>,

    /// The address of the request that the token, and the proof (`htu`), is for, as its client writes it
    #[arg(long, value_name = "URL", requires = "binding", value_parser = url)]
    url: Option<String>,

    /// The method of the request that the proof is for (`htm`)
    #[arg(long, value_name = "METHOD", requires = "url", default_value = "GET", value_parser = method)]
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

/// What a token is bound to, and a request that it is for.
pub(super) struct Binding<'o> {
    key: Option<SigningKey>,
    /// DER.
    certificate: Option<Vec<u8>>,
    options: &'o ProofOptions,
}

impl ProofOptions {
    /// What the token is bound to, if it is asked for.
    pub(super) fn binding(&self, folder: Option<&Path>) -> Result<Option<Binding<'_>>, Failure> {
        let certificate = self.client_certificate.as_deref().map(certificate::read).transpose()?;
        if !self.dpop {
            return Ok(certificate.map(|der| Binding {
                key: None,
                certificate: Some(der),
                options: self,
            }));
        }
        let path = self.dpop_key.clone().or(folder.map(|folder| folder.join("test-key-dpop")));
        let key = match path {
            Some(path) => key_at(&path, ALGORITHM)?,
            None => SigningKey::generate(ALGORITHM),
        };
        Ok(Some(Binding { key: Some(key), certificate, options: self }))
    }
}

impl Binding<'_> {
    pub(super) fn bind(&self, token: TokenBuilder) -> TokenBuilder {
        let token = match &self.key {
            Some(key) => token.bound_to(key),
            None => token,
        };
        match &self.certificate {
            Some(der) => token.bound_to_certificate(der),
            None => token,
        }
    }

    /// A proof for the request, and for this token, if it is bound to a key.
    pub(super) fn proof(
        &self,
        issuer: &TestIssuer,
        token: &str,
    ) -> Result<Option<String>, Failure> {
        let (Some(key), Some(url)) = (&self.key, &self.options.url) else { return Ok(None) };
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(|_| Failure::fault("no random bytes can be had"))?;
        // Without what a proof leaves out (RFC 9449 §4.2).
        let end = url.find(['?', '#']).unwrap_or(url.len());
        let proof = issuer.proof(key, &self.options.method, &url[..end]);
        let proof = proof.token(token).claim("jti", BASE64_URL_SAFE_NO_PAD.encode(id));
        let nonce = self.options.nonce.as_deref();
        let proof = nonce
            .into_iter()
            .fold(proof, |proof, nonce| ProofBuilder::claim(proof, "nonce", nonce));
        Ok(Some(proof.mint()))
    }

    /// The request, for a shell, if there is one. `policy`: who reads it.
    pub(super) fn curl(
        &self,
        token: &str,
        proof: Option<&str>,
        policy: Option<&PolicyDescription>,
    ) -> Option<String> {
        let url = self.options.url.as_ref()?;
        let method = match self.options.method.as_str() {
            "GET" => String::new(),
            "HEAD" => " --head".to_owned(),
            method => format!(" -X '{method}'"),
        };
        let (scheme, proof) = match proof {
            Some(proof) => ("DPoP", format!(" -H 'DPoP: {proof}'")),
            None => ("Bearer", String::new()),
        };
        let header = policy.and_then(|policy| header_of(policy.mtls.as_ref()?));
        let certificate = match (&self.certificate, header) {
            (None, _) => String::new(),
            (Some(der), Some(header)) => {
                format!(" -H '{}: {}'", header.name(), header.value_of(der))
            }
            // Whose files have which names, only the user knows.
            (Some(_), None) => " --cert CERTIFICATE.pem --key KEY.pem".to_owned(),
        };
        Some(format!(
            "curl{method} -H 'Authorization: {scheme} {token}'{proof}{certificate} '{url}'"
        ))
    }

    /// The tables that a policy needs, each with what it has at least.
    pub(super) fn tables(&self) -> Vec<(&'static str, String)> {
        let proofs =
            self.key.is_some().then(|| ("[dpop]", format!("base_urls = [{}]", json!(self.base()))));
        let certificates = self.certificate.is_some();
        let certificates = certificates.then(|| ("[mtls]", "certificate = \"tls\"".to_owned()));
        proofs.into_iter().chain(certificates).collect()
    }

    /// The tables that a policy lacks, so that it refuses the token.
    pub(super) fn missing_in(&self, policy: &PolicyDescription) -> Vec<(&'static str, String)> {
        let mut tables = self.tables();
        tables.retain(|(name, _)| match *name {
            "[dpop]" => policy.dpop.is_none(),
            _ => policy.mtls.is_none(),
        });
        tables
    }

    /// Where the service is: the scheme and the host of the request.
    fn base(&self) -> &str {
        let url = self.options.url.as_deref().unwrap_or_default();
        let host = url.find("://").map_or(0, |at| at + "://".len());
        let end = url[host..].find(['/', '?', '#']).map_or(url.len(), |at| host + at);
        &url[..end]
    }
}

/// The header in which the policy reads a certificate.
fn header_of(mtls: &MtlsDescription) -> Option<CertificateHeader> {
    // Which would end the quotes of a shell, and may stand in the name of a header (RFC 9110 §5.6.2).
    let name = mtls.header.as_deref().filter(|name| !name.contains('\''))?;
    let header = match mtls.form? {
        "client_cert" => CertificateHeader::client_cert(),
        "xfcc" => CertificateHeader::xfcc(),
        "escaped_pem" => CertificateHeader::escaped_pem(name),
        "escaped_pem_chain" => CertificateHeader::aws_alb_passthrough(),
        "base64_der" => CertificateHeader::base64_der(name),
        "hex_sha256" => CertificateHeader::hex_sha256(name),
        _ => return None,
    };
    Some(header)
}
