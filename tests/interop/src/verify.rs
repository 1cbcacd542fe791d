use core::time::Duration;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::{DEADLINE, Tool, path};

/// A library of others that verifies tokens with keys from an address, in a process of its own that ends with this value.
#[derive(Debug)]
pub struct Verifier {
    _process: Child,
    tokens: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// Why a library of others refuses a token, in its own words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// The name of the error.
    pub name: String,
    /// What it says.
    pub why: String,
}

#[derive(Deserialize)]
struct Output {
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

    fn start(
        mut command: Command,
        issuer: &str,
        audience: &str,
        jwks_uri: &str,
        keep: Duration,
    ) -> Self {
        command.args([issuer, audience, jwks_uri, &keep.as_millis().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("it starts");
        let tokens = process.stdin.take().expect("piped");
        let answers = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { _process: process, tokens, answers }
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
        self.tokens.write_all(format!("{token}\n").as_bytes()).await.expect("a running process");
        let line = timeout(DEADLINE, self.answers.next_line()).await.expect("an answer in time");
        let line = line.expect("a line").expect("a running process");
        let Output { subject, refused, why } = serde_json::from_str(&line).expect("JSON");
        let refusal = || {
            let (name, why) = (refused.unwrap_or_default(), why.unwrap_or_default());
            Refused { name, why }
        };
        subject.ok_or_else(refusal)
    }
}
