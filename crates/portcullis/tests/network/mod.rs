//! A network in memory, in the place of the real one.
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use portcullis::Algorithm;
use portcullis::fetch::{HttpClient, HttpFuture, HttpRequest, HttpResponse};
use portcullis_testkit::TestIssuer;
use tokio::sync::watch;

/// What each address answers, and who was asked. Clones are one network.
#[derive(Clone, Debug, Default)]
pub struct Network(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    pages: Mutex<HashMap<String, Page>>,
    asked: watch::Sender<Vec<String>>,
    is_held: watch::Sender<bool>,
}

#[derive(Clone, Debug)]
enum Page {
    Text(u16, String),
    /// The issuer's keys for `ES256`, as they are when asked for.
    Keys(TestIssuer),
}

impl Network {
    /// Nobody is there: every address answers 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `url` answers this.
    pub fn answer(&self, url: impl Into<String>, status: u16, text: impl Into<String>) {
        self.put(url, Page::Text(status, text.into()));
    }

    /// From now on `url` answers with the keys of `issuer`.
    pub fn serve_keys(&self, url: impl Into<String>, issuer: &TestIssuer) {
        self.put(url, Page::Keys(issuer.clone()));
    }

    /// An issuer with all that discovery takes.
    pub fn publish(&self, issuer: &TestIssuer) {
        let base = issuer.name().trim_end_matches('/');
        let keys = format!("{base}/keys");
        let metadata = metadata(issuer.name(), &keys);
        self.answer(format!("{base}/.well-known/openid-configuration"), 200, metadata);
        self.serve_keys(keys, issuer);
    }

    fn put(&self, url: impl Into<String>, page: Page) {
        self.0.pages.lock().expect("no panic").insert(url.into(), page);
    }

    /// No answer comes until [`release`](Self::release).
    pub fn hold(&self) {
        self.0.is_held.send_replace(true);
    }

    /// Answers come again.
    pub fn release(&self) {
        self.0.is_held.send_replace(false);
    }

    /// Every address that was asked, in this order.
    pub fn asked(&self) -> Vec<String> {
        self.0.asked.borrow().clone()
    }

    /// Waits until `url` was asked so often.
    pub async fn wait_for(&self, url: &str, times: usize) {
        let mut asked = self.0.asked.subscribe();
        let is_enough =
            |asked: &Vec<String>| asked.iter().filter(|one| *one == url).count() >= times;
        asked.wait_for(is_enough).await.expect("the other end is in `self`");
    }
}

impl HttpClient for Network {
    fn get(&self, request: HttpRequest) -> HttpFuture {
        self.0.asked.send_modify(|asked| asked.push(request.url.clone()));
        let mut is_held = self.0.is_held.subscribe();
        let network = self.clone();
        Box::pin(async move {
            is_held.wait_for(|is_held| !is_held).await.expect("the other end is in `network`");
            let page = network.0.pages.lock().expect("no panic").get(&request.url).cloned();
            let (status, body) = match page {
                None => (404, String::new()),
                Some(Page::Text(status, text)) => (status, text),
                Some(Page::Keys(issuer)) => (200, issuer.jwks_of(&[Algorithm::ES256])),
            };
            Ok(HttpResponse::new(status, body))
        })
    }
}

/// Metadata of this issuer.
pub fn metadata(issuer: &str, jwks_uri: &str) -> String {
    serde_json::json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string()
}
