use std::process::Stdio;

use portcullis::Algorithm;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{DEADLINE, Tool, path};

/// A certified OpenID Provider on loopback, in a process of its own that ends with this value, and
/// with the test's process.
///
/// It issues access tokens to the client `svc`, under any [`algorithm`](Self::ALGORITHMS) for the
/// audience of that name.
#[derive(Debug)]
pub struct Provider {
    issuer: String,
    client: reqwest::Client,
    /// Holds the standard input open, and with it the process.
    process: Child,
}

/// What becomes of the keys that signed until a rotation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OldKeys {
    /// They stay in the key set.
    Published,
    /// They are gone.
    Withdrawn,
}

/// What the endpoint of the key set answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JwksMode {
    /// The key set.
    Ok,
    /// Status 500.
    Error,
    /// 200, with a page of HTML.
    Garbage,
    /// 200, with a key set that has no key.
    Empty,
    /// Nothing, until there is another mode: then what that one answers.
    Hang,
}

/// How often the provider was asked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub struct Hits {
    /// For its metadata.
    pub discovery: u32,
    /// For its key set.
    pub jwks: u32,
}

/// How many logout tokens it sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub struct Logouts {
    /// That were answered 200 or 204.
    pub acknowledged: u32,
    /// That were not.
    pub failed: u32,
}

impl Provider {
    /// All that it signs with. Its keys name no algorithm: the one of RSA serves six, that of
    /// Ed25519 two.
    pub const ALGORITHMS: [Algorithm; 11] = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::EdDSA,
        Algorithm::Ed25519,
    ];

    /// Starts one, or says on stderr that the test is left out.
    ///
    /// # Panics
    ///
    /// Its tools are missing where they are required, or it does not start.
    pub async fn or_leave_out() -> Option<Self> {
        if Tool::Node.or_leave_out() { Some(Self::start().await) } else { None }
    }

    /// As [`or_leave_out`](Self::or_leave_out). Where a user of the client `web` logs out, it says so
    /// at this address.
    ///
    /// # Panics
    ///
    /// Its tools are missing where they are required, or it does not start.
    pub async fn with_logout_or_leave_out(url: &str) -> Option<Self> {
        if Tool::Node.or_leave_out() {
            Some(Self::start_with(&["--logout", url]).await)
        } else {
            None
        }
    }

    /// Starts one.
    ///
    /// # Panics
    ///
    /// It does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(flags: &[&str]) -> Self {
        let mut process = Command::new("node")
            .arg(path("provider/provider.mjs"))
            .arg("--stdin")
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js starts");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let line = timeout(DEADLINE, lines.next_line())
            .await
            .expect("the provider is ready in time")
            .expect("its output can be read")
            .expect("it says that it is ready");
        let ready: Value = serde_json::from_str(&line).expect("it says so as JSON");
        assert_eq!(ready["ready"], true, "{line}");
        let issuer = ready["issuer"].as_str().expect("it has an id").to_owned();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(DEADLINE)
            .build()
            .expect("an HTTP client needs no more than that");
        Self { issuer, client, process }
    }

    /// Its id, and the address that its metadata are found at.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom its tokens under an algorithm are for.
    pub fn audience(algorithm: Algorithm) -> String {
        format!("https://api.example/{algorithm}")
    }

    /// Has it issue an access token for that audience, good for five minutes.
    ///
    /// # Panics
    ///
    /// It issues none.
    pub async fn token(&self, algorithm: Algorithm) -> String {
        self.token_for(&Self::audience(algorithm)).await
    }

    /// Has it issue an access token for any audience whose last segment is the algorithm.
    ///
    /// # Panics
    ///
    /// It issues none.
    pub async fn token_for(&self, audience: &str) -> String {
        let request = self.client.post(format!("{}/token", self.issuer));
        Self::issued(request.basic_auth("svc", Some("svc-secret")), audience).await
    }

    /// Has it issue an access token for the audience of an algorithm, bound to the certificate with this DER in base64.
    ///
    /// # Panics
    ///
    /// It issues none.
    pub async fn token_bound_to(&self, algorithm: Algorithm, certificate: &str) -> String {
        let request = self.client.post(format!("{}/token", self.issuer));
        let request = request.basic_auth("mtls", Some("mtls-secret"));
        Self::issued(request.header("x-client-cert", certificate), &Self::audience(algorithm)).await
    }

    /// What it issues to the client that asks so.
    async fn issued(request: reqwest::RequestBuilder, audience: &str) -> String {
        let parameters = [
            ("grant_type", "client_credentials"),
            ("scope", "orders:read"),
            ("resource", audience),
        ];
        let answer = request.form(&parameters).send().await.expect("the provider answers");
        let answer: Value = answer.json().await.expect("it answers with JSON");
        match answer["access_token"].as_str() {
            Some(token) => token.to_owned(),
            None => panic!("no token for {audience}: {answer}"),
        }
    }

    /// Has it sign with new keys from now on.
    pub async fn rotate(&self, old: OldKeys) {
        self.control("rotate", json!({ "keep_old": old == OldKeys::Published })).await;
    }

    /// Changes what the endpoint of its key set answers.
    pub async fn jwks_mode(&self, mode: JwksMode) {
        let mode = match mode {
            JwksMode::Ok => "ok",
            JwksMode::Error => "500",
            JwksMode::Garbage => "garbage",
            JwksMode::Empty => "empty",
            JwksMode::Hang => "hang",
        };
        self.control("jwks_mode", json!({ "mode": mode })).await;
    }

    /// How often it was asked for what a verifier needs.
    pub async fn hits(&self) -> Hits {
        let hits = self.control("hits", Value::Null).await;
        serde_json::from_value(hits).expect("both are counted")
    }

    /// How many of its logout tokens were answered how.
    pub async fn logouts(&self) -> Logouts {
        let logouts = self.control("logouts", Value::Null).await;
        serde_json::from_value(logouts).expect("both are counted")
    }

    /// Ends it. Nothing answers at its address any more.
    ///
    /// # Panics
    ///
    /// It does not end, although its standard input has.
    pub async fn stop(&mut self) {
        drop(self.process.stdin.take());
        let ended = timeout(DEADLINE, self.process.wait()).await.expect("it ends in time");
        assert!(ended.expect("it was started here").success());
    }

    async fn control(&self, what: &str, body: Value) -> Value {
        let url = format!("{}/control/{what}", self.issuer);
        let answer = self.client.post(url).json(&body).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        answer.expect("the provider obeys").json().await.expect("it answers with JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_when_nobody_holds_its_standard_input() {
        let Some(mut provider) = Provider::or_leave_out().await else { return };
        provider.stop().await;
        let url = format!("{}/jwks", provider.issuer());
        assert!(provider.client.get(url).send().await.expect_err("it is gone").is_connect());
    }

    #[tokio::test]
    async fn what_hangs_is_answered_under_the_next_mode() {
        let Some(provider) = Provider::or_leave_out().await else { return };
        provider.jwks_mode(JwksMode::Hang).await;
        let url = format!("{}/jwks", provider.issuer());
        let asked = tokio::spawn(provider.client.get(url).send());
        let held = async { while provider.hits().await.jwks == 0 {} };
        timeout(DEADLINE, held).await.expect("it is asked");
        assert!(!asked.is_finished());
        provider.jwks_mode(JwksMode::Ok).await;
        let answer = asked.await.expect("it ran").expect("an answer").text().await.expect("a text");
        assert!(answer.contains("rsa-1"), "{answer}");
    }
}
