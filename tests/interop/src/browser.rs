use std::collections::BTreeMap;

use portcullis::Algorithm;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::{DEADLINE, Provider};

/// Where the client `web` lives. Nobody listens there.
const CALLBACK: &str = "http://127.0.0.1:9/callback";
const BYE: &str = "http://127.0.0.1:9/bye";

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A user's browser, and the client `web` that it is led back to.
#[derive(Debug)]
pub struct Browser<'p> {
    provider: &'p Provider,
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
    id_token: Option<String>,
}

impl<'p> Browser<'p> {
    /// One without any cookie.
    ///
    /// # Panics
    ///
    /// There is no HTTP client.
    pub fn new(provider: &'p Provider) -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DEADLINE)
            .build()
            .expect("an HTTP client needs no more than that");
        Self { provider, client, cookies: BTreeMap::new(), id_token: None }
    }

    /// Logs in with the code flow, and returns the user's access token.
    ///
    /// # Panics
    ///
    /// The provider does not let the user in.
    pub async fn log_in(&mut self, user: &str, algorithm: Algorithm) -> String {
        let audience = Provider::audience(algorithm);
        let parameters = [
            ("client_id", "web"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid orders:read"),
            ("resource", &audience),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let mut url = self.url("/auth");
        url.query_pairs_mut().extend_pairs(parameters);
        let mut answer = self.send(Method::GET, url, None).await;
        let code = loop {
            if answer.status() == StatusCode::OK {
                // A page of the provider's: it asks who is there, or whether the client may.
                let page = answer.text().await.expect("a page");
                let form = vec![
                    ("prompt", attribute(&page, "name=\"prompt\" value=\"")),
                    ("login", user.to_owned()),
                    ("password", "any".to_owned()),
                ];
                let action = self.url(&attribute(&page, "action=\""));
                answer = self.send(Method::POST, action, Some(form)).await;
                continue;
            }
            let next = location(&answer);
            let next = self.url("/").join(&next).expect("an address");
            if next.as_str().starts_with(CALLBACK) {
                let code = next.query_pairs().find(|(name, _)| name == "code");
                break code.unwrap_or_else(|| panic!("no code: {next}")).1.into_owned();
            }
            answer = self.send(Method::GET, next, None).await;
        };
        let answer = self
            .client
            .post(self.url("/token"))
            .basic_auth("web", Some("web-secret"))
            .form(&[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", CALLBACK),
                ("code_verifier", VERIFIER),
                ("resource", &audience),
            ])
            .send()
            .await;
        let tokens: Value = answer.expect("an answer").json().await.expect("JSON");
        self.id_token = tokens["id_token"].as_str().map(str::to_owned);
        tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned()
    }

    /// Logs out at the provider (OpenID Connect RP-Initiated Logout 1.0), which then tells the client.
    ///
    /// # Panics
    ///
    /// Nobody is logged in, or the provider does not do it.
    pub async fn log_out(&mut self) {
        let id_token = self.id_token.take().expect("somebody is logged in");
        let mut url = self.url("/session/end");
        url.query_pairs_mut().extend_pairs([
            ("id_token_hint", id_token.as_str()),
            ("post_logout_redirect_uri", BYE),
        ]);
        let page = self.send(Method::GET, url, None).await.text().await.expect("a page");
        let form = vec![
            ("xsrf", attribute(&page, "name=\"xsrf\" value=\"")),
            ("logout", "yes".to_owned()),
        ];
        let action = self.url(&attribute(&page, "action=\""));
        let answer = self.send(Method::POST, action, Some(form)).await;
        assert!(location(&answer).starts_with(BYE), "{answer:?}");
    }

    fn url(&self, path: &str) -> Url {
        let base = Url::parse(self.provider.issuer()).expect("an address");
        base.join(path).expect("an address")
    }

    async fn send(
        &mut self,
        method: Method,
        url: Url,
        form: Option<Vec<(&str, String)>>,
    ) -> Response {
        let cookies: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut request = self.client.request(method, url).header(COOKIE, cookies.join("; "));
        if let Some(form) = form {
            request = request.form(&form);
        }
        let answer = request.send().await.expect("the provider answers");
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("a text");
            let pair = cookie.split(';').next().and_then(|pair| pair.split_once('='));
            let (name, value) = pair.expect("a name and a value");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

fn location(answer: &Response) -> String {
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    location.unwrap_or_else(|| panic!("no way on: {answer:?}")).to_owned()
}

/// What stands after `start`, up to the quotation mark.
fn attribute(page: &str, start: &str) -> String {
    let rest = page.split_once(start).and_then(|(_, rest)| rest.split_once('"'));
    rest.unwrap_or_else(|| panic!("no {start} in {page}")).0.to_owned()
}
