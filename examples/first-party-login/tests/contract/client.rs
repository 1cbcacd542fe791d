//! A browser, as far as a service sees it, and programs that are none.
use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::{Method, redirect};
use serde_json::{Value, json};

use crate::server::LONG;

pub(crate) const PASSWORD: &str = "correct horse battery staple";

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// A member that is text.
    pub(crate) fn text(&self, member: &str) -> String {
        self.json()[member].as_str().unwrap_or_else(|| panic!("{member}: {self:?}")).to_owned()
    }

    pub(crate) fn cookies(&self) -> impl Iterator<Item = &str> {
        let cookies = self.headers.iter().filter(|(name, _)| name == SET_COOKIE.as_str());
        cookies.map(|(_, value)| &**value)
    }
}

/// A client without cookies, at one service.
#[derive(Clone)]
pub(crate) struct Client {
    inner: reqwest::Client,
    url: String,
}

impl Client {
    pub(crate) fn new(url: &str) -> Self {
        let inner = reqwest::Client::builder().redirect(redirect::Policy::none()).timeout(LONG);
        Self { inner: inner.build().expect("a client"), url: url.to_owned() }
    }

    /// Sends a request: these headers, and this body.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<String>,
    ) -> Seen {
        let method: Method = method.parse().expect("a method");
        let mut request = self.inner.request(method, format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body.into()).send().await.expect("a response");
        let status = response.status().as_u16();
        let text = |value: &reqwest::header::HeaderValue| {
            String::from_utf8(value.as_bytes().to_vec()).expect("UTF-8")
        };
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value))).collect();
        Seen { status, headers, body: response.text().await.expect("a body") }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Seen {
        self.send("GET", path, &[("authorization", &format!("Bearer {token}"))], "").await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Seen {
        self.send("POST", path, &[(CONTENT_TYPE.as_str(), JSON)], body.to_string()).await
    }

    pub(crate) async fn post_form(&self, path: &str, body: &str) -> Seen {
        self.send("POST", path, &[(CONTENT_TYPE.as_str(), FORM)], body).await
    }

    pub(crate) async fn sign_up(&self, name: &str) {
        let body = json!({ "name": name, "password": PASSWORD });
        let seen = self.post_json("/api/signup", &body).await;
        assert_eq!((seen.status, &*seen.body), (201, ""));
    }

    /// Logs in as a program that keeps its tokens itself.
    pub(crate) async fn log_in(&self, name: &str) -> Tokens {
        let body = json!({ "name": name, "password": PASSWORD, "client": "native" });
        let seen = self.post_json("/api/login", &body).await;
        assert_eq!(seen.status, 200, "{seen:?}");
        assert_eq!(seen.json()["token_type"], "Bearer");
        Tokens { access: seen.text("access_token"), refresh: seen.text("refresh_token") }
    }

    pub(crate) async fn refresh(&self, token: &str) -> Seen {
        let form = format!("grant_type=refresh_token&client_id=native&refresh_token={token}");
        self.post_form("/oauth/token", &form).await
    }
}

/// The tokens of a program that keeps them itself.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// A browser with its cookies, whose pages are the service's own.
pub(crate) struct Browser {
    client: Client,
    pub(crate) cookies: BTreeMap<String, String>,
}

pub(crate) const ACCESS: &str = "__Host-Http-access";
pub(crate) const REFRESH: &str = "__Host-Http-refresh";

impl Browser {
    pub(crate) fn new(url: &str) -> Self {
        Self { client: Client::new(url), cookies: BTreeMap::new() }
    }

    /// The same browser, and the service is at another address.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { client: Client::new(url), cookies: self.cookies.clone() }
    }

    /// As a page of this site sends it.
    pub(crate) async fn send_from(
        &mut self,
        site: &str,
        method: &str,
        path: &str,
        kind: Option<&str>,
        body: String,
    ) -> Seen {
        let cookies = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let mut headers = vec![("sec-fetch-site", site), ("user-agent", USER_AGENT)];
        headers.extend((!cookies.is_empty()).then_some((COOKIE.as_str(), &*cookies)));
        headers.extend(kind.map(|kind| (CONTENT_TYPE.as_str(), kind)));
        let seen = self.client.send(method, path, &headers, body).await;
        for cookie in seen.cookies() {
            let (pair, attributes) = cookie.split_once("; ").expect("attributes");
            let (name, value) = pair.split_once('=').expect("a pair");
            if attributes.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        seen
    }

    pub(crate) async fn get(&mut self, path: &str) -> Seen {
        self.send_from("same-origin", "GET", path, None, String::new()).await
    }

    /// With an empty body, as `fetch` sends it.
    pub(crate) async fn post(&mut self, path: &str) -> Seen {
        self.send_from("same-origin", "POST", path, None, String::new()).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Seen {
        self.send_from("same-origin", "DELETE", path, None, String::new()).await
    }

    pub(crate) async fn post_json(&mut self, path: &str, body: &Value) -> Seen {
        self.send_from("same-origin", "POST", path, Some(JSON), body.to_string()).await
    }

    pub(crate) async fn post_form(&mut self, path: &str, body: &str) -> Seen {
        self.send_from("same-origin", "POST", path, Some(FORM), body.to_owned()).await
    }

    pub(crate) async fn log_in(&mut self, name: &str) -> Seen {
        let body = json!({ "name": name, "password": PASSWORD });
        let seen = self.post_json("/api/login", &body).await;
        assert_eq!((seen.status, &*seen.body), (204, ""), "{seen:?}");
        seen
    }

    pub(crate) async fn is_logged_in(&mut self) -> bool {
        match self.get("/api/me").await.status {
            200 => true,
            401 => false,
            other => panic!("{other}"),
        }
    }

    /// What it has in this cookie.
    pub(crate) fn cookie(&self, name: &str) -> String {
        self.cookies.get(name).unwrap_or_else(|| panic!("no {name}")).clone()
    }

    /// The id of its session.
    pub(crate) async fn session(&mut self) -> String {
        self.get("/api/me").await.text("session")
    }
}

pub(crate) const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// Asks again and again until the answer is the one that is waited for.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begin.elapsed() < LONG, "it does not happen: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
