//! Sends every kind of token to both servers, over HTTP, and holds the answers against what is
//! expected and against each other.
use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;

use axum::body::{Body, Bytes};
use axum::http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use crate::Servers;
use crate::tokens::{Case, Expected};

/// What a server answered.
#[derive(Debug, Eq, PartialEq)]
struct Answer {
    status: u16,
    /// In no order, and without the date.
    headers: BTreeSet<(String, Vec<u8>)>,
    body: Bytes,
}

/// What a refusal says in its body (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

impl Answer {
    async fn fetch(
        client: &Client<HttpConnector, Body>,
        url: &str,
        token: Option<&str>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut request = Request::get(url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = client.request(request.body(Body::empty())?).await?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .filter(|(name, _)| *name != "date")
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .collect();
        Ok(Self { status, headers, body: response.into_body().collect().await?.to_bytes() })
    }

    /// The code, where the answer is a refusal, and the detail.
    fn told(&self) -> (Option<String>, String) {
        match serde_json::from_slice(&self.body) {
            Ok(Problem { code, detail }) => (Some(code), detail),
            Err(_) => (None, String::from_utf8_lossy(&self.body).trim().to_owned()),
        }
    }

    fn is(&self, expected: Expected) -> bool {
        let (code, detail) = self.told();
        self.status == expected.status
            && code.as_deref() == expected.code
            && detail == expected.detail
    }
}

/// A line of the table.
#[derive(Debug)]
struct Row {
    token: &'static str,
    server: &'static str,
    answer: Answer,
    expected: Expected,
    /// The other server answered the same, headers and body included.
    is_common: bool,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Report(Vec<Row>);

pub(crate) async fn run(servers: Servers, cases: &[Case]) -> Result<Report, Box<dyn Error>> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut rows = Vec::new();
    for Case { name, token, expected, .. } in cases {
        let [(one, one_url), (other, other_url)] = servers.urls();
        let first = Answer::fetch(&client, &one_url, token.as_deref()).await?;
        let second = Answer::fetch(&client, &other_url, token.as_deref()).await?;
        let is_common = first == second;
        for (server, answer) in [(one, first), (other, second)] {
            rows.push(Row { token: name, server, answer, expected: *expected, is_common });
        }
    }
    Ok(Report(rows))
}

impl Report {
    /// Whether every answer was the expected one, and the servers agreed.
    pub(crate) fn is_good(&self) -> bool {
        self.0.iter().all(Row::is_good)
    }
}

impl Row {
    fn is_good(&self) -> bool {
        self.is_common && self.answer.is(self.expected)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, server, answer, expected, is_common } = self;
        let (code, detail) = answer.told();
        let code = code.as_deref().unwrap_or("-");
        write!(f, "{token:<14}  {server:<9}  {:<6}  {code:<13}  {detail}", answer.status)?;
        if !answer.is(*expected) {
            let Expected { status, code, detail } = expected;
            write!(f, "\n  expected: {status} {} {detail}", code.unwrap_or("-"))?;
        }
        if !is_common {
            write!(f, "\n  not what the other server answers; all of it: {answer:?}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "TOKEN           SERVER     STATUS  CODE           DETAIL")?;
        self.0.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        match self.0.iter().filter(|row| !row.is_good()).count() {
            0 => write!(f, "\nAs expected, and the same from both servers, header by header."),
            bad => write!(f, "\n{bad} of {} answers are not as they should be.", self.0.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_testkit::TestIssuer;

    use super::*;
    use crate::{ALGORITHMS, AUDIENCE, ISSUER, policy, tokens};

    async fn start() -> (TestIssuer, Servers) {
        let issuer = TestIssuer::new(ISSUER).audience(AUDIENCE);
        let policy = policy(&issuer.jwks_of(&ALGORITHMS)).expect("a policy");
        (issuer, Servers::start(policy, 0).await.expect("two servers"))
    }

    #[tokio::test]
    async fn every_kind_of_token_gets_what_it_should_from_both_servers() {
        let (issuer, servers) = start().await;
        let report = run(servers, &tokens::cases(&issuer)).await.expect("answers");
        assert!(report.is_good(), "{report}");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_as_expected_fails_the_check() {
        let (issuer, servers) = start().await;
        let mut cases = tokens::cases(&issuer);
        cases[1].expected = cases[0].expected;
        let report = run(servers, &cases).await.expect("answers");
        assert!(!report.is_good());
        assert!(report.to_string().contains("\n  expected: 200 - orders of alice\n"), "{report}");
    }

    #[tokio::test]
    async fn servers_that_differ_fail_the_check() {
        let (issuer, mut servers) = start().await;
        // Another policy: it trusts other keys.
        servers.actix = {
            let stranger = TestIssuer::new("https://stranger.example");
            let policy = policy(&stranger.jwks_of(&ALGORITHMS)).expect("a policy");
            Servers::start(policy, 0).await.expect("two servers").actix
        };
        let report = run(servers, &tokens::cases(&issuer)).await.expect("answers");
        assert!(!report.is_good());
        assert!(report.to_string().contains("not what the other server answers"), "{report}");
    }
}
