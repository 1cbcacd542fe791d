use core::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use crate::peer::Peer;
use crate::{Tool, path};

/// A library of others that verifies tokens with keys from an address, in a process of its own that ends with this value.
#[derive(Debug)]
pub struct Verifier(Peer);

/// Why a library of others refuses a token, in its own words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// The name of the error.
    pub name: String,
    /// What it says.
    pub why: String,
}

#[derive(Deserialize)]
pub(crate) struct Output {
    subject: Option<String>,
    refused: Option<String>,
    why: Option<String>,
}

impl Verifier {
    /// `jose` of npm, with `createRemoteJWKSet`, which keeps a set for so long; or says on stderr that the test is left
    /// out.
    ///
    /// # Panics
    ///
    /// Its tools are missing where they are required, or it does not start.
    pub fn jose_or_leave_out(
        issuer: &str,
        audience: &str,
        jwks_uri: &str,
        keep: Duration,
    ) -> Option<Self> {
        let mut command = Command::new("node");
        command.arg(path("provider/verify.mjs"));
        let is_there = Tool::Node.or_leave_out();
        is_there.then(|| Self::start(command, issuer, audience, jwks_uri, keep))
    }

    /// `PyJWT` of Python, with `PyJWKClient`; the rest as [`jose_or_leave_out`](Self::jose_or_leave_out).
    ///
    /// # Panics
    ///
    /// Its tools are missing where they are required, or it does not start.
    pub fn pyjwt_or_leave_out(
        issuer: &str,
        audience: &str,
        jwks_uri: &str,
        keep: Duration,
    ) -> Option<Self> {
        let mut command = Command::new(path(".venv/bin/python"));
        command.arg(path("python/verify.py"));
        let is_there = Tool::Python.or_leave_out();
        is_there.then(|| Self::start(command, issuer, audience, jwks_uri, keep))
    }

    /// `jwcrypto` of Python, for ML-DSA; the rest as [`jose_or_leave_out`](Self::jose_or_leave_out). It keeps no set.
    ///
    /// # Panics
    ///
    /// Its tools are missing where they are required, or it does not start.
    pub fn jwcrypto_or_leave_out(issuer: &str, audience: &str, jwks_uri: &str) -> Option<Self> {
        let mut command = Command::new(path(".venv/bin/python"));
        command.arg(path("python/verify_post_quantum.py"));
        let is_there = Tool::Python.or_leave_out();
        is_there.then(|| Self::start(command, issuer, audience, jwks_uri, Duration::ZERO))
    }

    fn start(
        mut command: Command,
        issuer: &str,
        audience: &str,
        jwks_uri: &str,
        keep: Duration,
    ) -> Self {
        command.args([issuer, audience, jwks_uri, &keep.as_millis().to_string()]);
        Self(Peer::start(command))
    }

    /// The subject of a token that it accepts.
    ///
    /// # Errors
    ///
    /// It refuses it.
    ///
    /// # Panics
    ///
    /// It does not answer.
    pub async fn verify(&mut self, token: &str) -> Result<String, Refused> {
        self.0.ask::<Output>(token).await.into_result()
    }
}

impl Output {
    pub(crate) fn into_result(self) -> Result<String, Refused> {
        let Self { subject, refused, why } = self;
        let refusal = || {
            let (name, why) = (refused.unwrap_or_default(), why.unwrap_or_default());
            Refused { name, why }
        };
        subject.ok_or_else(refusal)
    }
}
