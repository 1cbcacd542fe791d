use std::process::Stdio;

use portcullis::Algorithm;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::process::Command;
use tokio::time::timeout;

use crate::{DEADLINE, Tool, path};

/// A library of others that signs tokens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mint {
    /// `jose` of npm. Its keys say `use` and `alg`, its tokens `at+jwt`.
    Jose,
    /// `PyJWT` of Python. Its keys say `key_ops` or nothing, its tokens `JWT`.
    PyJwt,
    /// `jwcrypto` of Python, for ML-DSA. Its keys say `alg`, its tokens no type.
    JwCrypto,
}

/// A key set, and a token by each of its keys.
#[derive(Debug)]
pub struct Minted {
    /// The key set, as the library writes keys.
    pub jwks: String,
    /// The tokens, good for five minutes.
    pub tokens: Vec<(Algorithm, String)>,
}

#[derive(Deserialize)]
struct Output {
    jwks: Box<RawValue>,
    tokens: Vec<OutputToken>,
}

#[derive(Deserialize)]
struct OutputToken {
    alg: String,
    token: String,
}

impl Mint {
    /// Has it make a key and a token for each algorithm that it knows, or says on stderr that the
    /// test is left out.
    ///
    /// # Panics
    ///
    /// Its tools are missing where they are required, or it makes none.
    pub async fn or_leave_out(self, issuer: &str, audience: &str) -> Option<Minted> {
        let tool = match self {
            Self::Jose => Tool::Node,
            Self::PyJwt | Self::JwCrypto => Tool::Python,
        };
        if tool.or_leave_out() { Some(self.mint(issuer, audience).await) } else { None }
    }

    /// Has it make a key and a token for each algorithm that it knows.
    ///
    /// # Panics
    ///
    /// It makes none.
    pub async fn mint(self, issuer: &str, audience: &str) -> Minted {
        let mut command = match self {
            Self::Jose => {
                let mut command = Command::new("node");
                command.arg(path("provider/mint.mjs"));
                command
            }
            Self::PyJwt => {
                let mut command = Command::new(path(".venv/bin/python"));
                command.arg(path("python/mint.py"));
                command
            }
            Self::JwCrypto => {
                let mut command = Command::new(path(".venv/bin/python"));
                command.arg(path("python/mint_post_quantum.py"));
                command
            }
        };
        command.args([issuer, audience]).stdin(Stdio::null()).stderr(Stdio::inherit());
        let output = timeout(DEADLINE, command.kill_on_drop(true).output())
            .await
            .expect("it is done in time")
            .expect("it starts");
        assert!(output.status.success(), "{self:?}: {}", output.status);
        let output: Output = serde_json::from_slice(&output.stdout).expect("it prints JSON");
        let tokens = output.tokens.into_iter().map(|OutputToken { alg, token }| {
            (alg.parse().expect("an algorithm that Portcullis has too"), token)
        });
        Minted { jwks: output.jwks.get().to_owned(), tokens: tokens.collect() }
    }
}
