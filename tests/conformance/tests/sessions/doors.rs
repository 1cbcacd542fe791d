//! A row of the table, and the doors that it is asked through.
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis::Revocations;
use portcullis_conformance::client::{Answer, Protocol, Request, send, send_broken};
use portcullis_conformance::doors::{Running, serve_actix, serve_axum};
use serde_json::Value;

use crate::answers::JSON;
use crate::service::{Fault, Given, Held, Service, Tokens};

/// A request, in which `ACCESS`, `REFRESH`, `OTHER` and `SESSION` stand for what it is given, and what it is answered, in which
/// they stand for what came.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) given: Given,
    pub(crate) request: Request,
    pub(crate) expected: Answer,
    /// How its body breaks off, if it does.
    pub(crate) broken: Option<Broken>,
}

/// What a request says of how long it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Broken {
    Length,
    Chunks,
}

impl Row {
    pub(crate) fn held(mut self, held: Held) -> Self {
        self.given.held = held;
        self.what += &format!(", {held:?}");
        self
    }

    pub(crate) fn fault(mut self, fault: Fault) -> Self {
        self.given.fault = fault;
        self.what += &format!(", {fault:?}");
        self
    }

    pub(crate) fn broken(mut self, broken: Broken) -> Self {
        self.what += &format!(", broken, {broken:?}");
        self.broken = Some(broken);
        self
    }

    pub(crate) fn remembered(mut self) -> Self {
        self.given.is_remembered = true;
        self
    }

    pub(crate) fn scopes(mut self, scopes: &'static [&'static str]) -> Self {
        self.given.scopes = scopes;
        self
    }
}

pub(crate) fn row(client: &'static str, what: &str, request: Request, expected: &Answer) -> Row {
    let given = Given { client, ..Given::default() };
    Row { what: what.to_owned(), given, request, expected: expected.clone(), broken: None }
}

/// How a request gets there.
pub(crate) enum Door {
    Core,
    Server(Running),
}

impl Door {
    /// What a request is answered that was sent as it is.
    pub(crate) async fn send(&self, service: &Service, request: &Request) -> Answer {
        match self {
            Self::Core => Answer::of_core(service.ask_core(request).await),
            Self::Server(running) => {
                send(running.address(), Protocol::Http1, request).await.expect("an answer")
            }
        }
    }
}

/// A service behind each door, and none that two share.
pub(crate) struct Doors(Vec<(&'static str, Service, Door)>);

/// Each row has a user of its own.
static USERS: AtomicUsize = AtomicUsize::new(100);

impl Doors {
    pub(crate) async fn open() -> Self {
        Self::with(Revocations::in_memory).await
    }

    pub(crate) async fn with(revocations: impl Fn() -> Revocations) -> Self {
        Self::to(async || Service::with(revocations()).await).await
    }

    /// To services that are made so, one for each door.
    pub(crate) async fn to(service: impl AsyncFn() -> Service) -> Self {
        let listener = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let core = service().await;
        let axum = service().await;
        let axum_server = serve_axum(axum.router(), listener()).expect("a server");
        let actix = service().await;
        let own = actix.clone();
        let actix_server = serve_actix(move |app: &mut _| own.configure(app), listener());
        Self(vec![
            ("core", core, Door::Core),
            ("axum", axum, Door::Server(axum_server)),
            ("actix", actix, Door::Server(actix_server.expect("a server"))),
        ])
    }

    pub(crate) fn into_each(self) -> Vec<(&'static str, Service, Door)> {
        self.0
    }

    /// Asks through each door over each protocol, each time with tokens of their own, and hands each answer to `look`.
    pub(crate) async fn ask(
        &self,
        row: &Row,
        mut look: impl AsyncFnMut(&Service, &Tokens, &Answer),
    ) {
        for (name, service, door) in &self.0 {
            let protocols = match door {
                Door::Server(_) if row.broken.is_none() => &Protocol::ALL[..],
                _ => &Protocol::ALL[..1],
            };
            for protocol in protocols {
                let user = format!("user-{}", USERS.fetch_add(1, Ordering::Relaxed));
                let tokens = service.begin(&row.given, &user).await;
                let request = fill(&row.request, &tokens);
                service.set(row.given.fault);
                let answer = match door {
                    Door::Core => {
                        let is_broken = row.broken.is_some();
                        Answer::of_core(service.ask_core_with(&request, is_broken).await)
                    }
                    Door::Server(running) => {
                        let address = running.address();
                        let answer = match row.broken {
                            None => send(address, *protocol, &request).await,
                            Some(broken) => {
                                let is_chunked = matches!(broken, Broken::Chunks);
                                send_broken(address, &request, is_chunked).await
                            }
                        };
                        answer.unwrap_or_else(|error| panic!("{}, {name}: {error}", row.what))
                    }
                };
                service.set(Fault::None);
                let what = format!("{}: {name} over {protocol:?}", row.what);
                assert_eq!(mask(&answer), row.expected, "{what}");
                check_headers(&answer, &what);
                look(service, &tokens, &answer).await;
            }
        }
    }

    pub(crate) async fn ask_all(&self, rows: &[Row]) {
        for row in rows {
            self.ask(row, async |_, _, _| {}).await;
        }
    }
}

/// What holds for every answer of these routes.
pub(crate) fn check_headers(answer: &Answer, what: &str) {
    assert_eq!(answer.header("cache-control").collect::<Vec<_>>(), [b"no-store"], "{what}");
    let has_cookie = answer.header("set-cookie").next().is_some();
    assert!(!has_cookie || matches!(answer.status, 200 | 204), "{what}: a refusal with a cookie");
    let shown = String::from_utf8_lossy(&answer.body);
    assert!(answer.status < 400 || !shown.contains("user-"), "{what}");
    assert!(!shown.contains("LEAK"), "{what}");
}

pub(crate) fn fill(request: &Request, tokens: &Tokens) -> Request {
    let fill = |text: &[u8]| {
        let Ok(text) = core::str::from_utf8(text) else { return text.to_vec() };
        text.replace("ACCESS", &tokens.access)
            .replace("REFRESH", &tokens.refresh)
            .replace("OTHER", &tokens.other)
            .replace("SESSION", &tokens.session.to_string())
            .into_bytes()
    };
    let headers = request.headers.iter().map(|(name, value)| (*name, fill(value))).collect();
    let target = String::from_utf8(fill(request.target.as_bytes())).expect("UTF-8");
    Request { target, headers, body: fill(&request.body).into(), ..request.clone() }
}

/// The kind of a token, in its place.
fn kind(text: &str) -> &str {
    match text {
        _ if text.starts_with("eyJ") => "ACCESS",
        _ if text.starts_with("pcl_rt_") => "REFRESH",
        _ => text,
    }
}

/// The answer without what differs from session to session.
fn mask(answer: &Answer) -> Answer {
    let mut masked = answer.clone();
    for (name, value) in &mut masked.headers {
        if name == "set-cookie" {
            let text = String::from_utf8(value.clone()).expect("ASCII");
            let (cookie, rest) = text.split_once('=').expect("a cookie");
            let (token, mut attributes) = rest.split_once("; ").expect("attributes");
            let life = attributes.strip_prefix("Max-Age=");
            let life = life.and_then(|rest| rest.split_once("; "));
            // 30 days, less what the test took.
            if let Some((life, rest)) = life
                && (2_591_000..=2_592_000).contains(&life.parse::<u64>().expect("seconds"))
            {
                attributes = rest;
                *value = format!("{cookie}={}; Max-Age=30d; {attributes}", kind(token)).into();
            } else {
                *value = format!("{cookie}={}; {attributes}", kind(token)).into();
            }
        }
    }
    if masked.header("content-type").eq([JSON.as_bytes()])
        && masked.header("content-length").eq([masked.body.len().to_string().as_bytes()])
    {
        let json = serde_json::from_slice(&masked.body).expect("JSON");
        masked.body = mask_json(json).to_string().into();
        let length = masked.body.len().to_string();
        let header = masked.headers.iter_mut().find(|(name, _)| name == "content-length");
        header.expect("a length").1 = length.into();
    }
    masked.headers.sort_unstable();
    masked
}

fn mask_json(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let masked = members.into_iter().map(|(name, value)| {
                let masked = match (&*name, &value) {
                    ("access_token" | "refresh_token", Value::String(token)) => kind(token).into(),
                    ("id", _) => "ID".into(),
                    ("next", _) => "NEXT".into(),
                    ("created_at" | "last_used_at" | "ends_at", Value::String(time)) => {
                        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
                        "TIME".into()
                    }
                    _ => mask_json(value),
                };
                (name, masked)
            });
            Value::Object(masked.collect())
        }
        Value::Array(items) => items.into_iter().map(mask_json).collect(),
        other => other,
    }
}
