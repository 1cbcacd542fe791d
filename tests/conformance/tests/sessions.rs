//! The routes of sessions: what each request is answered by the core, by axum and by actix-web, the latter two over sockets, and
//! what becomes of the session.
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actix_web::HttpResponse;
use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use portcullis::error::SourceError;
use portcullis::routes::{BoundedBody, Reply};
use portcullis::source::CookieError;
use portcullis::{
    Algorithm, Policy, RequestView, Requirement, Revocable, Revocations, Secret, TokenSource,
    UnixTime,
};
use portcullis_actix::ActixRequest;
use portcullis_axum::AxumRequest;
use portcullis_conformance::client::{Answer, Protocol, Request, send};
use portcullis_conformance::doors::{Running, serve_actix, serve_axum};
use portcullis_issuer::routes::{ClientFault, SessionCookies, SessionRouteError};
use portcullis_issuer::session::MemorySessions;
use portcullis_issuer::store::{MemoryRing, StoreError};
use portcullis_issuer::{
    AccessToken, Answer as Says, BeginError, BrowserSessions, EndReason, Lifetimes, MintError,
    NativeSessions, OwnSessions, RefreshError, RefreshRefusal, RefreshRequest, SessionId, Sessions,
    StoreTime, TokenIssuer, Unanswered,
};
use portcullis_testkit::TestIssuer;
use serde_json::{Value, json};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://orders.example";
const ROOT: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
const APP: &str = "https://app.example";

const REFRESH: &str = "/session/refresh";
const LOGOUT: &str = "/session/logout";
const EVERYWHERE: &str = "/session/logout-everywhere";
const LOGIN: &str = "/login";
const NATIVE_LOGIN: &str = "/native-login";
const TOKEN: &str = "/oauth/token";
const REVOKE: &str = "/oauth/revoke";
const OWN: &str = "/sessions";

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// What does not work while a request is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Fault {
    #[default]
    None,
    /// The store of sessions is away.
    Store,
    /// The application cannot tell.
    Application,
    /// Its claims have a reserved name.
    Reserved,
    /// Its claims are longer than a cookie.
    Long,
    /// The subject may not go on.
    Disabled,
}

/// Which refresh token comes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Held {
    /// One that was just written.
    #[default]
    Young,
    /// One that is to rotate.
    Due,
    /// One that rotated a moment ago.
    Previous,
    /// One that rotated long ago.
    Replayed,
    /// Of a session that was ended.
    Ended,
    /// Of one that nobody came back to.
    Idle,
    /// Of another client's.
    OtherClient,
    /// Of a user who was logged out everywhere.
    LoggedOut,
}

/// A service of its own: what happens to its sessions, happens to no other's.
#[derive(Clone)]
struct Service {
    issuer: TokenIssuer<MemoryRing>,
    store: MemorySessions,
    sessions: Sessions,
    fault: Arc<Mutex<Fault>>,
    policy: Policy,
    browser: BrowserSessions,
    native: NativeSessions,
    own: OwnSessions,
}

/// What a request may speak of.
#[derive(Clone)]
struct Tokens {
    subject: String,
    session: SessionId,
    access: String,
    refresh: String,
    /// Of a login of the same user with another client.
    other: String,
}

impl Service {
    async fn new() -> Self {
        Self::with(Revocations::in_memory()).await
    }

    async fn with(revocations: Revocations) -> Self {
        let issuer = TokenIssuer::builder(ISSUER)
            .algorithm(Algorithm::ES256)
            .audiences([AUDIENCE])
            .lifetime(Duration::from_secs(15 * 60))
            .root_secrets([Secret::new(ROOT)])
            .ring(MemoryRing::new())
            .revocations(revocations.clone())
            .refreshed_by_hand();
        let issuer = issuer.build().await.expect("an issuer");
        let (store, fault) = (MemorySessions::new(), Arc::new(Mutex::new(Fault::None)));
        let said = Arc::clone(&fault);
        let sessions = Sessions::builder(&issuer)
            .store(store.clone())
            .lifetimes(Lifetimes::aal1())
            .ask(move |_| {
                let says = match *said.lock().expect("no panic") {
                    Fault::None | Fault::Store => Ok(Says::GoOn(json!({}))),
                    Fault::Application => Err(Unanswered::new("away")),
                    Fault::Reserved => Ok(Says::GoOn(json!({ "sub": "LEAK" }))),
                    Fault::Long => Ok(Says::GoOn(json!({ "long": "x".repeat(4096) }))),
                    Fault::Disabled => Ok(Says::End(EndReason::AccountDisabled)),
                };
                async move { says }
            });
        let sessions = sessions.build().await.expect("sessions");
        let browser = BrowserSessions::new(sessions.clone(), "web").expect("a client");
        let browser = browser.allowed_origins([APP]).expect("an origin");
        let kinds = [Revocable::Session, Revocable::Version];
        let enforced = revocations.enforce(kinds).version_claims(["subject_version"]);
        let policy = issuer
            .policy_builder()
            .revocations(enforced)
            .sources([TokenSource::bearer(), browser.access_cookie().into()])
            .build()
            .expect("a policy");
        let native = NativeSessions::new(sessions.clone(), ["app", "cli"]).expect("clients");
        // Whoever allows anonymous requests elsewhere does not open this.
        let own = OwnSessions::new(sessions.clone(), policy.clone().allow_anonymous())
            .may_end(Requirement::max_age(Duration::from_secs(600)));
        Self { issuer, store, sessions, fault, policy, browser, native, own }
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().expect("no panic") = fault;
        let away = (fault == Fault::Store).then(|| StoreError::new("connection refused"));
        self.store.set_fault(away);
    }

    /// A session of this client, and which of its tokens comes.
    async fn begin(&self, given: &Given, subject: &str) -> Tokens {
        let client = given.client;
        // The other one begins later, in whatever order they are listed.
        let now = StoreTime::from(SystemTime::now());
        self.store.set_now(now);
        let attempt = self.sessions.attempt(subject).await.expect("an attempt");
        let mut login = attempt
            .succeeded(if given.held == Held::OtherClient { "other" } else { client })
            .remember(given.is_remembered)
            .scopes(given.scopes.iter().copied())
            .label("Firefox");
        if given.is_long_ago {
            login = login.authenticated_at(UnixTime(1_700_000_000));
        }
        let begun = self.sessions.begin(login).await.expect("a session");
        let (id, token) = (begun.session.id(), begun.refresh.as_str().to_owned());
        let age = || {
            self.store.tamper(ISSUER, id, |row| {
                row.rotated_at = row.rotated_at.before(Duration::from_secs(120));
            });
        };
        let rotate = async || {
            let request = RefreshRequest::new(&token, client);
            self.sessions.refresh(&request).await.expect("rotated");
        };
        match given.held {
            Held::Young | Held::OtherClient => {}
            Held::Due => age(),
            Held::Previous => {
                age();
                rotate().await;
            }
            Held::Replayed => {
                age();
                rotate().await;
                age();
            }
            Held::Ended => {
                let ended = self.sessions.end(id, EndReason::Operator).await;
                assert_eq!(ended, Ok(true));
            }
            Held::Idle => {
                self.store.tamper(ISSUER, id, |row| row.idle_until = row.created_at);
            }
            Held::LoggedOut => {
                let ended = self.sessions.end_all(subject, None, EndReason::CredentialsChanged);
                assert_eq!(ended.await, Ok(1));
            }
        }
        self.store.set_now(now.after(Duration::from_secs(1)));
        let attempt = self.sessions.attempt(subject).await.expect("an attempt");
        let other = self.sessions.begin(attempt.succeeded("other")).await.expect("a session");
        Tokens {
            subject: subject.to_owned(),
            session: id,
            access: begun.access.token,
            refresh: token,
            other: other.refresh.as_str().to_owned(),
        }
    }

    /// How many sessions of a user are not over.
    async fn count(&self, subject: &str) -> usize {
        self.sessions.list(subject, None, 100).await.expect("a list").len()
    }

    async fn browser_login(
        &self,
        request: &impl RequestView,
    ) -> Result<SessionCookies, SessionRouteError> {
        let login = self.browser.check_login(request)?;
        let attempt = self.sessions.attempt("alice").await.expect("an attempt");
        let begun = self.sessions.begin(login.succeeded(attempt)).await.expect("a session");
        Ok(login.cookies(&begun)?)
    }

    async fn native_login(&self) -> Reply<SessionRouteError> {
        let attempt = self.sessions.attempt("alice").await.expect("an attempt");
        let login = attempt.succeeded("app").scopes(["read", "write"]);
        self.native.answer_login(&self.sessions.begin(login).await.expect("a session"))
    }

    fn router(&self) -> Router {
        let (own, native) = (self.clone(), self.clone());
        let login = any(async move |request: axum::extract::Request| {
            let (head, _) = request.into_parts();
            match own.browser_login(&AxumRequest::from(&head)).await {
                Ok(cookies) => {
                    let mut response = axum::response::Response::new("Welcome.".into());
                    cookies.add_to(response.headers_mut());
                    response
                }
                Err(error) => portcullis_axum::respond(error.reply()),
            }
        });
        let native_login = any(async move || portcullis_axum::respond(native.native_login().await));
        Router::new()
            .route(LOGIN, login)
            .route(NATIVE_LOGIN, native_login)
            .nest("/session", portcullis_axum::browser_sessions(self.browser.clone()))
            .nest("/oauth", portcullis_axum::native_sessions(self.native.clone()))
            .nest(OWN, portcullis_axum::own_sessions(self.own.clone()))
    }

    fn configure(&self, app: &mut actix_web::web::ServiceConfig) {
        use actix_web::web;
        let (own, native) = (self.clone(), self.clone());
        let login = web::to(move |request: actix_web::HttpRequest| {
            let own = own.clone();
            async move {
                match own.browser_login(&ActixRequest(&request)).await {
                    Ok(cookies) => {
                        let mut response = HttpResponse::Ok().body("Welcome.");
                        portcullis_actix::add_session_cookies(&cookies, response.headers_mut());
                        response
                    }
                    Err(error) => portcullis_actix::respond(error.reply()),
                }
            }
        });
        let native_login = web::to(move || {
            let native = native.clone();
            async move { portcullis_actix::respond(native.native_login().await) }
        });
        app.route(LOGIN, login)
            .route(NATIVE_LOGIN, native_login)
            .service(portcullis_actix::browser_sessions("/session", self.browser.clone()))
            .service(portcullis_actix::native_sessions("/oauth", self.native.clone()))
            .service(portcullis_actix::own_sessions(OWN, self.own.clone()));
    }

    /// What an adapter does, without one.
    async fn ask_core(&self, request: &Request) -> http::Response<Bytes> {
        let (head, body) = request.build(Protocol::Http1).into_parts();
        let bytes = body.collect().await.expect("bytes").to_bytes();
        let fill = |mut body: BoundedBody| {
            // Piece by piece, as it comes.
            let _ = bytes.chunks(1000).all(|piece| body.push(piece));
            body
        };
        let (browser, native) = (&self.browser, &self.native);
        let reply = match head.uri.path() {
            REFRESH => browser.refresh(&head, fill(browser.body())).await,
            LOGOUT => browser.log_out(&head, fill(browser.body())).await,
            EVERYWHERE => browser.log_out_everywhere(&head, fill(browser.body())).await,
            TOKEN => native.token(&head, fill(native.body())).await,
            REVOKE => native.revoke(&head, fill(native.body())).await,
            NATIVE_LOGIN => self.native_login().await,
            LOGIN => match self.browser_login(&head).await {
                Ok(cookies) => {
                    let mut response = http::Response::new(Bytes::from("Welcome."));
                    cookies.add_to(response.headers_mut());
                    return response;
                }
                Err(error) => error.reply(),
            },
            path => match self.own.admit(&head).await {
                Ok(owner) if path == OWN => owner.list(&head).await,
                Ok(owner) => owner.end(&head).await,
                Err(rejection) => return rejection.into_response(),
            },
        };
        reply.into_response()
    }
}

/// What is so before a request.
#[derive(Clone, Debug, Default)]
struct Given {
    held: Held,
    client: &'static str,
    is_remembered: bool,
    is_long_ago: bool,
    scopes: &'static [&'static str],
    fault: Fault,
}

/// A request, in which `ACCESS`, `REFRESH`, `OTHER` and `SESSION` stand for what it is given, and what it is answered, in which
/// they stand for what came.
#[derive(Clone, Debug)]
struct Row {
    what: String,
    given: Given,
    request: Request,
    expected: Answer,
}

impl Row {
    fn held(mut self, held: Held) -> Self {
        self.given.held = held;
        self.what += &format!(", {held:?}");
        self
    }

    fn fault(mut self, fault: Fault) -> Self {
        self.given.fault = fault;
        self.what += &format!(", {fault:?}");
        self
    }

    fn remembered(mut self) -> Self {
        self.given.is_remembered = true;
        self
    }

    fn scopes(mut self, scopes: &'static [&'static str]) -> Self {
        self.given.scopes = scopes;
        self
    }
}

fn row(client: &'static str, what: &str, request: Request, expected: &Answer) -> Row {
    let given = Given { client, ..Given::default() };
    Row { what: what.to_owned(), given, request, expected: expected.clone() }
}

/// How a request gets there.
enum Door {
    Core,
    Server(Running),
}

/// A service behind each door, and none that two share.
struct Doors(Vec<(&'static str, Service, Door)>);

/// Each row has a user of its own.
static USERS: AtomicUsize = AtomicUsize::new(100);

impl Doors {
    async fn open() -> Self {
        Self::with(Revocations::in_memory).await
    }

    async fn with(revocations: impl Fn() -> Revocations) -> Self {
        let listener = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let core = Service::with(revocations()).await;
        let axum = Service::with(revocations()).await;
        let axum_server = serve_axum(axum.router(), listener()).expect("a server");
        let actix = Service::with(revocations()).await;
        let own = actix.clone();
        let actix_server = serve_actix(move |app: &mut _| own.configure(app), listener());
        Self(vec![
            ("core", core, Door::Core),
            ("axum", axum, Door::Server(axum_server)),
            ("actix", actix, Door::Server(actix_server.expect("a server"))),
        ])
    }

    /// Asks through each door over each protocol, each time with tokens of their own, and hands each answer to `look`.
    async fn ask(&self, row: &Row, mut look: impl AsyncFnMut(&Service, &Tokens, &Answer)) {
        for (name, service, door) in &self.0 {
            let protocols = match door {
                Door::Core => &Protocol::ALL[..1],
                Door::Server(_) => &Protocol::ALL[..],
            };
            for protocol in protocols {
                let user = format!("user-{}", USERS.fetch_add(1, Ordering::Relaxed));
                let tokens = service.begin(&row.given, &user).await;
                let request = fill(&row.request, &tokens);
                service.set(row.given.fault);
                let answer = match door {
                    Door::Core => Answer::of_core(service.ask_core(&request).await),
                    Door::Server(running) => {
                        let answer = send(running.address(), *protocol, &request).await;
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

    async fn ask_all(&self, rows: &[Row]) {
        for row in rows {
            self.ask(row, async |_, _, _| {}).await;
        }
    }
}

/// What holds for every answer of these routes.
fn check_headers(answer: &Answer, what: &str) {
    assert_eq!(answer.header("cache-control").collect::<Vec<_>>(), [b"no-store"], "{what}");
    let has_cookie = answer.header("set-cookie").next().is_some();
    assert!(!has_cookie || matches!(answer.status, 200 | 204), "{what}: a refusal with a cookie");
    let shown = String::from_utf8_lossy(&answer.body);
    assert!(answer.status < 400 || !shown.contains("user-"), "{what}");
    assert!(!shown.contains("LEAK"), "{what}");
}

fn fill(request: &Request, tokens: &Tokens) -> Request {
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

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let length = body.len().to_string();
    let fixed = [("cache-control", "no-store"), ("content-length", length.as_str())];
    let fixed = fixed.iter().filter(|(name, _)| status != 204 || *name == "cache-control");
    let headers = fixed.chain(headers).map(|(name, value)| (*name, value.as_bytes()));
    Answer::new(status, headers, body)
}

fn problem(status: u16, title: &str, detail: &str, code: &str) -> Answer {
    let body = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}","code":"{code}"}}"#
    );
    answer(status, &[("content-type", PROBLEM)], &body)
}

fn with(mut answer: Answer, name: &str, value: &str) -> Answer {
    answer.headers.push((name.to_owned(), value.as_bytes().to_vec()));
    answer.headers.sort_unstable();
    answer
}

// Browsers.

const ACCESS_SET: &str = "__Host-Http-access=ACCESS; Path=/; Secure; HttpOnly; SameSite=Lax";
const REFRESH_SET: &str = "__Host-Http-refresh=REFRESH; Path=/; Secure; HttpOnly; SameSite=Strict";

fn access_alone() -> Answer {
    answer(204, &[("set-cookie", ACCESS_SET)], "")
}

fn both() -> Answer {
    answer(204, &[("set-cookie", ACCESS_SET), ("set-cookie", REFRESH_SET)], "")
}

fn both_for_30_days() -> Answer {
    let access = "__Host-Http-access=ACCESS; Max-Age=30d; Path=/; Secure; HttpOnly; SameSite=Lax";
    let refresh =
        "__Host-Http-refresh=REFRESH; Max-Age=30d; Path=/; Secure; HttpOnly; SameSite=Strict";
    answer(204, &[("set-cookie", access), ("set-cookie", refresh)], "")
}

fn cleared() -> Answer {
    let access = "__Host-Http-access=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax";
    let refresh = "__Host-Http-refresh=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Strict";
    answer(204, &[("set-cookie", access), ("set-cookie", refresh)], "")
}

fn over() -> Answer {
    let detail = "There is no session that goes on: log in.";
    with(problem(401, "Unauthorized", detail, "session-over"), "www-authenticate", "Bearer")
}

fn cross_site() -> Answer {
    let detail = "The request did not come from an allowed origin.";
    problem(403, "Forbidden", detail, "cross-site-request")
}

fn several() -> Answer {
    let detail = "The request carries more than one refresh cookie.";
    problem(400, "Bad Request", detail, "request-invalid")
}

fn away() -> Answer {
    let detail = "Sessions cannot be asked for at the moment. Nothing was lost: try again.";
    let answer = problem(503, "Service Unavailable", detail, "sessions-unavailable");
    with(answer, "retry-after", "1")
}

fn not_ended() -> Answer {
    let detail = "The session may not have ended everywhere: try again.";
    let answer = problem(503, "Service Unavailable", detail, "sessions-unavailable");
    with(answer, "retry-after", "1")
}

fn misconfigured() -> Answer {
    let detail = "No access token can be issued for this session.";
    problem(500, "Internal Server Error", detail, "misconfigured")
}

fn too_large() -> Answer {
    let detail = "The route takes no body, or a small one.";
    problem(413, "Payload Too Large", detail, "body-too-large")
}

fn wrong_method(methods: &str) -> Answer {
    let detail = "The route does not have this method.";
    let answer = problem(405, "Method Not Allowed", detail, "method-not-allowed");
    with(answer, "allow", methods)
}

fn without_body(mut answer: Answer) -> Answer {
    answer.body.clear();
    answer
}

/// A request of a page of the service, without a cookie.
fn page(path: &str) -> Request {
    Request::new("POST", path).header("sec-fetch-site", "same-origin")
}

const COOKIE: &str = "__Host-Http-refresh=REFRESH";

fn browser_page(path: &str) -> Request {
    page(path).header("cookie", COOKIE)
}

/// What any route of browsers refuses.
fn browser_refusals(path: &'static str) -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| {
        row("web", &format!("{path}: {what}"), request, expected)
    };
    let post = |with_cookie: bool| {
        let request = Request::new("POST", path);
        if with_cookie { request.header("cookie", COOKIE) } else { request }
    };
    let mut rows = Vec::new();
    for with_cookie in [true, false] {
        let what = if with_cookie { "with the cookie" } else { "without" };
        let evil = ("origin", "https://evil.example");
        let own = ("origin", "https://api.example");
        for headers in [
            &[][..],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), evil],
            &[("sec-fetch-site", "same-site"), own],
            &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "")],
            &[evil],
            &[("origin", "null")],
            &[("origin", "http://api.example")],
            &[own, own],
            &[("content-type", JSON)],
        ] {
            let request = headers
                .iter()
                .fold(post(with_cookie), |request, (name, value)| request.header(name, *value));
            rows.push(row(&format!("{headers:?} {what}"), request, &cross_site()));
        }
    }
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let request = Request { method, ..browser_page(path) };
        rows.push(row(method, request, &wrong_method("POST")));
    }
    let head = Request { method: "HEAD", ..browser_page(path) };
    rows.push(row("HEAD", head, &without_body(wrong_method("POST"))));
    for cookies in ["REFRESH; __Host-Http-refresh=REFRESH", "REFRESH; __Host-Http-refresh=x"] {
        let cookie = format!("__Host-Http-refresh={cookies}");
        rows.push(row("two cookies", page(path).header("cookie", cookie), &several()));
    }
    let planted = page(path).header("cookie", "__Host-Http-refresh=x").header("cookie", COOKIE);
    rows.push(row("two cookies in two fields", planted, &several()));
    let large = browser_page(path).body("x".repeat(1025));
    rows.push(row("a large body", large, &too_large()));
    rows.push(row("a large body without a cookie", page(path).body(vec![0; 4096]), &too_large()));
    rows
}

/// Requests that no other site caused.
fn own_requests(path: &str) -> Vec<Request> {
    let post = || Request::new("POST", path).header("cookie", COOKIE);
    vec![
        browser_page(path),
        browser_page(path).body("x".repeat(1024)),
        browser_page(path).header("content-type", JSON).body("{}"),
        post().header("sec-fetch-site", "none"),
        post().header("origin", "https://api.example"),
        post().header("sec-fetch-site", "same-site").header("origin", APP),
        page(path).header("cookie", format!("a=1; {COOKIE}; b=2")),
        page(path).header("cookie", "a=1").header("cookie", COOKIE),
        page(path).header("cookie", format!("__Host-Http-refresh=; {COOKIE}")),
    ]
}

/// Requests with no refresh token of ours.
fn strangers(path: &str) -> Vec<Request> {
    vec![
        page(path),
        page(path).header("cookie", "__Host-Http-refresh="),
        page(path).header("cookie", "__Host-Http-access=ACCESS"),
        page(path).header("authorization", "Bearer REFRESH"),
        page(&format!("{path}?refresh_token=REFRESH")),
        page(path).header("content-type", FORM).body("refresh_token=REFRESH"),
        page(path).header("cookie", "__Host-Http-refresh=x"),
        page(path).header("cookie", "__Host-Http-refresh=ACCESS"),
        page(path).header("cookie", "__host-http-refresh=REFRESH"),
        page(path).header("cookie", "__Host-Http-refresh=REFRESHx"),
        page(path).header("cookie", &b"__Host-Http-refresh=\xff\xfe"[..]),
    ]
}

fn refresh_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("web", what, request, expected);
    let refresh = |expected: &Answer| row("a refresh", browser_page(REFRESH), expected);
    let mut rows = browser_refusals(REFRESH);
    for request in own_requests(REFRESH) {
        rows.push(row("its own pages", request.clone(), &access_alone()));
        rows.push(row("its own pages", request, &both()).held(Held::Due));
    }
    rows.extend(strangers(REFRESH).into_iter().map(|it| row("a stranger", it, &over())));
    rows.extend([
        refresh(&both()).held(Held::Previous),
        refresh(&both_for_30_days()).held(Held::Due).remembered(),
        refresh(&both_for_30_days()).held(Held::Previous).remembered(),
        refresh(&over()).held(Held::Replayed),
        refresh(&over()).held(Held::Ended),
        refresh(&over()).held(Held::Idle),
        refresh(&over()).held(Held::OtherClient),
        refresh(&over()).held(Held::LoggedOut),
        refresh(&over()).held(Held::Due).fault(Fault::Disabled),
        refresh(&away()).held(Held::Due).fault(Fault::Application),
        refresh(&misconfigured()).held(Held::Due).fault(Fault::Reserved),
        refresh(&misconfigured()).held(Held::Due).fault(Fault::Long),
        row("without a cookie", page(REFRESH), &over()).fault(Fault::Store),
    ]);
    rows.extend(
        [Held::Young, Held::Due, Held::Previous, Held::Replayed, Held::Ended]
            .map(|held| refresh(&away()).held(held).fault(Fault::Store)),
    );
    rows
}

fn logout_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("web", what, request, expected);
    let mut rows = browser_refusals(LOGOUT);
    rows.extend(own_requests(LOGOUT).into_iter().map(|it| row("a logout", it, &cleared())));
    rows.extend(strangers(LOGOUT).into_iter().map(|it| row("without a session", it, &cleared())));
    rows.extend(
        [
            Held::Due,
            Held::Previous,
            Held::Replayed,
            Held::Ended,
            Held::Idle,
            Held::OtherClient,
            Held::LoggedOut,
        ]
        .map(|held| row("a logout", browser_page(LOGOUT), &cleared()).held(held)),
    );
    rows.extend(
        [Fault::Application, Fault::Reserved, Fault::Disabled]
            .map(|fault| row("a logout", browser_page(LOGOUT), &cleared()).fault(fault)),
    );
    rows.push(row("a logout", browser_page(LOGOUT), &not_ended()).fault(Fault::Store));
    rows.push(row("without a session", page(LOGOUT), &cleared()).fault(Fault::Store));
    rows
}

fn everywhere_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("web", what, request, expected);
    let logout = |expected: &Answer| row("everywhere", browser_page(EVERYWHERE), expected);
    let mut rows = browser_refusals(EVERYWHERE);
    rows.extend(own_requests(EVERYWHERE).into_iter().map(|it| row("everywhere", it, &cleared())));
    rows.extend(strangers(EVERYWHERE).into_iter().map(|it| row("a stranger", it, &over())));
    rows.extend([Held::Due, Held::Previous].map(|held| logout(&cleared()).held(held)));
    rows.extend(
        [Held::Replayed, Held::Ended, Held::Idle, Held::OtherClient, Held::LoggedOut]
            .map(|held| logout(&over()).held(held)),
    );
    // Nothing is issued and nobody is asked.
    rows.extend(
        [Fault::Application, Fault::Reserved, Fault::Long, Fault::Disabled]
            .map(|fault| logout(&cleared()).held(Held::Due).fault(fault)),
    );
    rows.push(logout(&away()).fault(Fault::Store));
    rows
}

fn login_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("web", what, request, expected);
    let cookies = [("set-cookie", ACCESS_SET), ("set-cookie", REFRESH_SET)];
    let mut welcome = answer(200, &cookies, "Welcome.");
    // What a framework says of a text, it says itself.
    welcome.headers.retain(|(name, _)| name != "content-type");
    let is_of_login = |row: &Row| row.expected == cross_site() || row.expected == several();
    let mut rows: Vec<_> = browser_refusals(LOGIN).into_iter().filter(is_of_login).collect();
    rows.extend(own_requests(LOGIN).into_iter().map(|it| row("a login", it, &welcome)));
    rows.push(row("the first login", page(LOGIN), &welcome));
    rows
}

// Native clients.

fn form(path: &str, body: &str) -> Request {
    Request::new("POST", path).header("content-type", FORM).body(body.to_owned())
}

fn oauth_error(status: u16, error: &str, description: &str) -> Answer {
    let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
    answer(status, &[("content-type", JSON)], &body)
}

fn missing() -> Answer {
    oauth_error(400, "invalid_request", "A parameter is missing.")
}

fn repeated() -> Answer {
    oauth_error(400, "invalid_request", "A parameter is there more than once.")
}

fn no_form() -> Answer {
    oauth_error(400, "invalid_request", "The request is not a POST of a form.")
}

fn unknown_client() -> Answer {
    oauth_error(400, "invalid_client", "There is no such client here.")
}

fn invalid_grant() -> Answer {
    oauth_error(400, "invalid_grant", "The refresh token is not valid for this client.")
}

fn granted(refresh: bool, scope: &str) -> Answer {
    let mut body = json!({ "access_token": "ACCESS", "token_type": "Bearer", "expires_in": 900 });
    if !scope.is_empty() {
        body["scope"] = scope.into();
    }
    if refresh {
        body["refresh_token"] = "REFRESH".into();
    }
    answer(200, &[("content-type", JSON)], &body.to_string())
}

const GOOD: &str = "grant_type=refresh_token&client_id=app&refresh_token=REFRESH";

/// What both endpoints refuse.
fn native_refusals(path: &'static str, good: &'static str) -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| {
        row("app", &format!("{path}: {what}"), request, expected)
    };
    let mut rows = Vec::new();
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"] {
        let request = Request { method, ..form(path, good) };
        rows.push(row(method, request, &answer(405, &[("allow", "POST")], "")));
    }
    let too_large = oauth_error(400, "invalid_request", "The body is too large, or broke off.");
    let large = format!("{good}&x={}", "x".repeat(16 * 1024));
    rows.push(row("a large body", form(path, &large), &too_large));
    for request in [
        Request::new("POST", path).body(good),
        Request::new("POST", path).header("content-type", JSON).body("{}"),
        Request::new("POST", path).header("content-type", "text/plain").body(good),
        form(path, good).header("content-type", FORM),
    ] {
        rows.push(row("no form", request, &no_form()));
    }
    for body in ["", "x=1", &good.replace("=app", "="), &good.replace("=REFRESH", "=")] {
        rows.push(row("a parameter is missing", form(path, body), &missing()));
    }
    // What stands elsewhere is not read.
    let query = format!("{path}?{good}");
    rows.push(row("in the query", form(&query, ""), &missing()));
    for again in ["client_id=app", "client_id="] {
        let body = format!("{good}&{again}");
        rows.push(row("a parameter twice", form(path, &body), &repeated()));
    }
    for client in ["web", "App", "app ", "%61pp%00", "x"] {
        let body = good.replace("=app", &format!("={client}"));
        rows.push(row("another client", form(path, &body), &unknown_client()));
    }
    let mut unauthenticated = unknown_client();
    unauthenticated.status = 401;
    let unauthenticated = with(unauthenticated, "www-authenticate", r#"Basic realm="client""#);
    for body in [good.replace("client_id=app&", ""), good.replace("=app", "=web")] {
        let request = form(path, &body).header("authorization", "Basic YXBwOg==");
        rows.push(row("authenticates", request, &unauthenticated));
    }
    rows
}

fn token_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("app", what, request, expected);
    let refresh = |expected: &Answer| row("a refresh", form(TOKEN, GOOD), expected);
    let scoped = |scope: &str, expected: &Answer| {
        let body = format!("{GOOD}&scope={scope}");
        row(scope, form(TOKEN, &body), expected).scopes(&["read", "write"])
    };
    let unsupported =
        oauth_error(400, "unsupported_grant_type", "There is the grant refresh_token alone.");
    let invalid_scope = oauth_error(400, "invalid_scope", "A scope was not granted.");
    let away = oauth_error(
        503,
        "temporarily_unavailable",
        "Sessions cannot be asked for at the moment. Nothing was lost: try again.",
    );
    let away = with(away, "retry-after", "1");
    let fault = oauth_error(500, "server_error", "No access token can be issued for this session.");
    let mut rows = native_refusals(TOKEN, GOOD);
    for grant in ["password", "authorization_code", "Refresh_token", "client_credentials"] {
        let body = GOOD.replace("=refresh_token&", &format!("={grant}&"));
        rows.push(row(grant, form(TOKEN, &body), &unsupported));
    }
    for again in ["grant_type=refresh_token", "refresh_token=REFRESH", "scope=a&scope=a"] {
        let body = format!("{GOOD}&{again}");
        rows.push(row("a parameter twice", form(TOKEN, &body), &repeated()));
    }
    let without_grant = GOOD.replace("grant_type=refresh_token", "grant_type=");
    rows.push(row("no grant", form(TOKEN, &without_grant), &missing()));
    for token in ["x", "ACCESS", "REFRESHx", "OTHER", "%ff"] {
        let body = GOOD.replace("=REFRESH", &format!("={token}"));
        rows.push(row(token, form(TOKEN, &body), &invalid_grant()));
    }
    let unknown = format!("{GOOD}&x=1&x=2&resource=a&client_secret=s");
    let with_header = form(TOKEN, GOOD).header("authorization", "Basic YXBwOg==");
    let cross_site = form(TOKEN, GOOD).header("sec-fetch-site", "cross-site");
    rows.extend([
        refresh(&granted(false, "")),
        refresh(&granted(true, "")).held(Held::Due),
        refresh(&granted(true, "")).held(Held::Previous),
        refresh(&granted(true, "read write")).held(Held::Due).scopes(&["read", "write"]),
        row("what nobody knows", form(TOKEN, &unknown), &granted(false, "")),
        row("a proxy's header", with_header, &granted(false, "")),
        row("nothing goes along", cross_site, &granted(false, "")),
        scoped("", &granted(false, "read write")),
        scoped("read", &granted(true, "read")).held(Held::Due),
        scoped("write+read", &granted(false, "write read")),
        scoped("admin", &invalid_scope).held(Held::Due),
        scoped("read+admin", &invalid_scope),
        scoped("read++write", &invalid_scope),
        scoped("+", &invalid_scope),
        scoped("read%22", &invalid_scope),
        refresh(&invalid_grant()).held(Held::Replayed),
        refresh(&invalid_grant()).held(Held::Ended),
        refresh(&invalid_grant()).held(Held::Idle),
        refresh(&invalid_grant()).held(Held::OtherClient),
        refresh(&invalid_grant()).held(Held::LoggedOut),
        refresh(&invalid_grant()).fault(Fault::Disabled),
        refresh(&away).held(Held::Due).fault(Fault::Store),
        refresh(&away).held(Held::Due).fault(Fault::Application),
        refresh(&fault).held(Held::Due).fault(Fault::Reserved),
        // Only cookies are so small.
        refresh(&granted(true, "")).held(Held::Due).fault(Fault::Long),
        row("a login", form(NATIVE_LOGIN, ""), &granted(true, "read write")),
    ]);
    rows
}

fn revoke_rows() -> Vec<Row> {
    const GOOD: &str = "client_id=app&token=REFRESH";
    let row = |what: &str, request, expected: &Answer| row("app", what, request, expected);
    let revoke = |expected: &Answer| row("a revocation", form(REVOKE, GOOD), expected);
    let done = answer(200, &[], "");
    let away = oauth_error(
        503,
        "temporarily_unavailable",
        "The session may not have ended everywhere: try again.",
    );
    let mut rows = native_refusals(REVOKE, GOOD);
    for token in ["x", "ACCESS", "REFRESHx", "OTHER"] {
        let body = GOOD.replace("=REFRESH", &format!("={token}"));
        rows.push(row(token, form(REVOKE, &body), &done));
    }
    for hint in ["refresh_token", "access_token", "x", "x&token_type_hint=y"] {
        let body = format!("{GOOD}&token_type_hint={hint}");
        rows.push(row(hint, form(REVOKE, &body), &done));
    }
    let twice = format!("{GOOD}&token=REFRESH");
    rows.extend([
        row("two tokens", form(REVOKE, &twice), &repeated()),
        revoke(&done),
        revoke(&done).held(Held::Due),
        revoke(&done).held(Held::Previous),
        revoke(&done).held(Held::Replayed),
        revoke(&done).held(Held::Ended),
        revoke(&done).held(Held::OtherClient),
        revoke(&done).held(Held::LoggedOut),
        revoke(&done).fault(Fault::Application),
        revoke(&with(away, "retry-after", "1")).fault(Fault::Store),
    ]);
    rows
}

// A user's own.

fn bearer(method: &'static str, target: &str) -> Request {
    Request::new(method, target).header("authorization", "Bearer ACCESS")
}

fn listed(sessions: &[(&str, bool)], has_next: bool) -> Answer {
    let sessions: Vec<_> = sessions
        .iter()
        .map(|(client, current)| {
            let label = (*client == "web").then_some("Firefox");
            json!({
                "id": "ID", "label": label, "client": client, "created_at": "TIME",
                "last_used_at": "TIME", "ends_at": "TIME", "current": current,
            })
        })
        .collect();
    let mut body = json!({ "sessions": sessions });
    if has_next {
        body["next"] = "NEXT".into();
    }
    answer(200, &[("content-type", JSON)], &body.to_string())
}

fn own_rows() -> Vec<Row> {
    let row = |what: &str, request, expected: &Answer| row("web", what, request, expected);
    let no_token = with(
        problem(401, "Unauthorized", "This resource needs an access token.", "token-missing"),
        "www-authenticate",
        "Bearer",
    );
    let page = "`limit` is a number from 1 to 100, and `after` the `next` of a page.";
    let no_page = problem(400, "Bad Request", page, "request-invalid");
    let unknown = problem(404, "Not Found", "The user has no such session.", "session-unknown");
    let one = format!("{OWN}/SESSION");
    let with_cookie = |request: Request| request.header("cookie", "__Host-Http-access=ACCESS");
    let mut rows = vec![
        row("no token", Request::new("GET", OWN), &no_token),
        row("no token", Request::new("DELETE", &*one), &no_token),
        row("by cookie", with_cookie(Request::new("GET", OWN)), &all()),
        row("the list", bearer("GET", OWN), &away()).fault(Fault::Store),
        row("an end", bearer("DELETE", &one), &answer(204, &[], "")),
        row("an end", bearer("DELETE", &one), &not_ended()).fault(Fault::Store),
        row("an unknown one", bearer("DELETE", &format!("{OWN}/AAECAwQFBgcICQoLDA0ODw")), &unknown),
        row("not an id", bearer("DELETE", &format!("{OWN}/x")), &unknown),
        row("another site", with_cookie(Request::new("DELETE", &*one)), &cross_site()),
        row(
            "its own page",
            with_cookie(Request::new("DELETE", &*one)).header("sec-fetch-site", "same-origin"),
            &answer(204, &[], ""),
        ),
    ];
    for query in ["limit=0", "limit=101", "limit=x", "limit=1&limit=1", "after=x"] {
        let request = bearer("GET", &format!("{OWN}?{query}"));
        rows.push(row(query, request, &no_page));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        rows.push(row(method, bearer(method, OWN), &wrong_method("GET, HEAD")));
    }
    for method in ["GET", "POST", "PUT", "PATCH"] {
        rows.push(row(method, bearer(method, &one), &wrong_method("DELETE")));
    }
    rows.push(row("HEAD", bearer("HEAD", &one), &without_body(wrong_method("DELETE"))));
    for limit in ["", "?limit=3", "?limit=100", "?x=1&x=2"] {
        rows.push(row("the list", bearer("GET", &format!("{OWN}{limit}")), &all()));
    }
    let first = listed(&[("other", false)], true);
    rows.push(row("a page", bearer("GET", &format!("{OWN}?limit=1")), &first));
    let mut old = row("too long ago", bearer("DELETE", &one), &stale());
    old.given.is_long_ago = true;
    let mut seen = row("seen, though long ago", bearer("GET", OWN), &all());
    seen.given.is_long_ago = true;
    rows.extend([old, seen]);
    rows
}

/// The session that asks, which began before the other.
fn all() -> Answer {
    listed(&[("other", false), ("web", true)], false)
}

fn stale() -> Answer {
    let detail = "A stronger or more recent authentication is needed.";
    let answer = problem(401, "Unauthorized", detail, "authentication-insufficient");
    let challenge = r#"Bearer error="insufficient_user_authentication", error_description="A stronger or more recent authentication is needed", max_age="600""#;
    with(answer, "www-authenticate", challenge)
}

#[tokio::test]
async fn a_browsers_session_goes_on_by_its_refresh_cookie() {
    Doors::open().await.ask_all(&refresh_rows()).await;
}

#[tokio::test]
async fn a_logout_clears_both_cookies_or_none() {
    Doors::open().await.ask_all(&logout_rows()).await;
}

#[tokio::test]
async fn a_logout_everywhere_needs_a_token_that_goes_on() {
    Doors::open().await.ask_all(&everywhere_rows()).await;
}

#[tokio::test]
async fn a_login_sets_both_cookies_for_a_page_of_the_service_alone() {
    Doors::open().await.ask_all(&login_rows()).await;
}

#[tokio::test]
async fn a_native_clients_session_goes_on_by_a_form() {
    Doors::open().await.ask_all(&token_rows()).await;
}

#[tokio::test]
async fn a_native_clients_session_is_revoked_by_a_form() {
    Doors::open().await.ask_all(&revoke_rows()).await;
}

#[tokio::test]
async fn users_see_their_sessions_and_end_them() {
    Doors::open().await.ask_all(&own_rows()).await;
}

/// Of every row: each is answered as it says, through each door.
#[test]
fn no_refusal_writes_a_cookie_and_no_answer_may_be_stored() {
    let all = [
        refresh_rows(),
        logout_rows(),
        everywhere_rows(),
        login_rows(),
        token_rows(),
        revoke_rows(),
        own_rows(),
    ];
    let rows: Vec<_> = all.into_iter().flatten().collect();
    assert!(rows.len() > 300, "{}", rows.len());
    for row in rows {
        check_headers(&row.expected, &row.what);
    }
}

// What becomes of a session.

/// The value of a cookie that an answer sets.
fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let values = answer.header("set-cookie").map(String::from_utf8_lossy);
    values
        .filter_map(|value| {
            let (own, rest) = value.split_once('=')?;
            let (token, _) = rest.split_once(';')?;
            (own == name).then(|| token.to_owned())
        })
        .next()
}

#[tokio::test]
async fn what_a_refresh_sets_is_good_and_of_the_same_session() {
    let doors = Doors::open().await;
    for held in [Held::Due, Held::Previous] {
        let row = row("web", "a refresh", browser_page(REFRESH), &both()).held(held);
        let look = async |service: &Service, tokens: &Tokens, answer: &Answer| {
            let access = cookie(answer, "__Host-Http-access").expect("an access token");
            let verified = service.policy.verify_token_now(&access).expect("a good token");
            assert_eq!(verified.subject(), Some(&*tokens.subject));
            let refresh = cookie(answer, "__Host-Http-refresh").expect("a refresh token");
            assert_ne!(refresh, tokens.refresh);
            let request = RefreshRequest::new(&refresh, "web");
            let refreshed = service.sessions.refresh(&request).await.expect("it goes on");
            assert_eq!(refreshed.session.id(), tokens.session);
        };
        doors.ask(&row, look).await;
    }
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_consumes_nothing() {
    let doors = Doors::open().await;
    for (path, fault, expected) in [
        (REFRESH, Fault::Store, away()),
        (REFRESH, Fault::Application, away()),
        (REFRESH, Fault::Reserved, misconfigured()),
        (REFRESH, Fault::Long, misconfigured()),
        (LOGOUT, Fault::Store, not_ended()),
        (EVERYWHERE, Fault::Store, away()),
    ] {
        for held in [Held::Due, Held::Previous] {
            let row = row("web", path, browser_page(path), &expected).held(held).fault(fault);
            let look = async |service: &Service, tokens: &Tokens, _: &Answer| {
                let request = RefreshRequest::new(&tokens.refresh, "web");
                let refreshed = service.sessions.refresh(&request).await;
                assert!(refreshed.is_ok_and(|it| it.refresh.is_some()), "{path} {fault:?}");
                assert_eq!(service.count(&tokens.subject).await, 2);
            };
            doors.ask(&row, look).await;
        }
    }
}

/// How many sessions of the user are there afterwards, of two.
#[tokio::test]
async fn a_request_ends_what_it_says_and_nothing_else() {
    let doors = Doors::open().await;
    let web = |path: &str, expected: &Answer| row("web", path, browser_page(path), expected);
    let revoke = |token: &str| {
        let body = format!("client_id=app&token={token}");
        row("app", REVOKE, form(REVOKE, &body), &answer(200, &[], ""))
    };
    let one = format!("{OWN}/SESSION");
    let done = answer(204, &[], "");
    let mut rows = vec![
        (web(REFRESH, &both()).held(Held::Due), 2),
        (web(REFRESH, &over()).held(Held::Replayed), 1),
        (web(REFRESH, &over()).held(Held::OtherClient), 2),
        (web(REFRESH, &over()).fault(Fault::Disabled), 1),
        (web(LOGOUT, &cleared()), 1),
        (web(LOGOUT, &cleared()).held(Held::Previous), 1),
        (web(LOGOUT, &cleared()).held(Held::Replayed), 1),
        (web(LOGOUT, &cleared()).held(Held::OtherClient), 2),
        (web(EVERYWHERE, &cleared()), 0),
        (web(EVERYWHERE, &cleared()).held(Held::Previous), 0),
        // Who has an old token from a log ends its session, as with any use of it, and no other.
        (web(EVERYWHERE, &over()).held(Held::Replayed), 1),
        (web(EVERYWHERE, &over()).held(Held::Ended), 1),
        (web(EVERYWHERE, &over()).held(Held::OtherClient), 2),
        (revoke("REFRESH"), 1),
        (revoke("REFRESH").held(Held::Replayed), 1),
        (revoke("OTHER"), 2),
        (revoke("ACCESS"), 2),
        (row("web", "its own", bearer("DELETE", &one), &done), 1),
    ];
    for request in strangers(EVERYWHERE) {
        rows.push((row("web", "a stranger", request, &over()), 2));
    }
    for path in [REFRESH, LOGOUT, EVERYWHERE] {
        rows.extend(browser_refusals(path).into_iter().map(|row| (row, 2)));
    }
    rows.extend(
        native_refusals(REVOKE, "client_id=app&token=REFRESH").into_iter().map(|it| (it, 2)),
    );
    for (row, left) in rows {
        let look = async |service: &Service, tokens: &Tokens, _: &Answer| {
            assert_eq!(service.count(&tokens.subject).await, left, "{}", row.what);
            // Its access token goes with it.
            if row.given.held == Held::Young {
                let verified = service.policy.verify_token_now(&tokens.access);
                assert_eq!(verified.is_err(), left < 2, "{}", row.what);
            }
        };
        doors.ask(&row, look).await;
    }
}

#[tokio::test]
async fn a_login_ends_the_session_whose_cookie_came_along() {
    let doors = Doors::open().await;
    for row in login_rows() {
        let has_cookie =
            row.request.headers.iter().any(|(name, value)| {
                *name == "cookie" && value.windows(7).any(|it| it == b"REFRESH")
            });
        let ends = row.expected.status == 200 && has_cookie;
        let look = async |service: &Service, tokens: &Tokens, answer: &Answer| {
            let left = if ends { 1 } else { 2 };
            assert_eq!(service.count(&tokens.subject).await, left, "{}", row.what);
            if let Some(access) = cookie(answer, "__Host-Http-access") {
                let verified = service.policy.verify_token_now(&access).expect("a good token");
                assert_eq!(verified.subject(), Some("alice"));
            }
        };
        doors.ask(&row, look).await;
    }
}

#[tokio::test]
async fn a_login_whose_token_fits_into_no_cookie_begins_no_session() {
    let service = Service::new().await;
    service.set(Fault::Long);
    let request = page(LOGIN).build(Protocol::Http1);
    let login = service.browser.check_login(&request).expect("of the service");
    let attempt = service.sessions.attempt("alice").await.expect("an attempt");
    let begun = service.sessions.begin(login.succeeded(attempt)).await;
    let Err(BeginError::Token(MintError::TooLongForCookie { length, limit })) = begun else {
        panic!("{begun:?}");
    };
    assert!(limit == 4096 - "__Host-Http-access".len() && length > limit, "{length} {limit}");
    assert_eq!(service.count("alice").await, 0);
    // Of another route's login, whose session began: no cookie is written.
    let attempt = service.sessions.attempt("alice").await.expect("an attempt");
    let begun = service.sessions.begin(attempt.succeeded("app")).await.expect("a session");
    let length = begun.access.token.len() + "__Host-Http-access".len();
    assert_eq!(login.cookies(&begun).err(), Some(CookieError::TooLong { length }));
}

/// Links of other sites, and safe methods, are no defence against other sites.
#[tokio::test]
async fn a_login_by_a_link_is_asked_for_by_name() {
    let service = Service::new().await;
    let request = Request::new("GET", LOGIN).header("sec-fetch-site", "cross-site");
    let request = request.build(Protocol::Http1);
    assert_eq!(service.browser.check_login(&request).err(), Some(SessionRouteError::Method));
    let login = service.browser.login_by_link(&request).expect("one cookie or none");
    let attempt = service.sessions.attempt("alice").await.expect("an attempt");
    let begun = service.sessions.begin(login.succeeded(attempt)).await.expect("a session");
    assert!(login.cookies(&begun).is_ok());
}

#[tokio::test]
async fn a_layer_that_refreshes_gets_the_cookie_from_links_too() {
    let service = Service::new().await;
    let lax = service.browser.clone().lax_refresh_cookie();
    let request = page(LOGOUT).build(Protocol::Http1);
    let cleared = lax.log_out(&request, lax.body()).await;
    let cookies: Vec<_> = cleared.headers().filter(|(name, _)| *name == "set-cookie").collect();
    assert!(cookies.iter().all(|(_, value)| value.ends_with(b"; SameSite=Lax")), "{cleared:?}");
}

#[tokio::test]
async fn a_user_ends_no_session_of_another_one() {
    let service = Service::new().await;
    let given = Given { client: "web", ..Given::default() };
    let alice = service.begin(&given, "alice").await;
    let bob = service.begin(&given, "bob").await;
    let target = format!("{OWN}/{}", bob.session);
    let request = fill(&bearer("DELETE", &target), &alice);
    let answer = Answer::of_core(service.ask_core(&request).await);
    assert_eq!(answer.status, 404);
    assert_eq!(service.count("bob").await, 2);
}

#[tokio::test]
async fn pages_follow_each_other_and_each_session_is_on_one() {
    let service = Service::new().await;
    let given = Given { client: "web", ..Given::default() };
    let mut tokens = service.begin(&given, "alice").await;
    for _ in 0..2 {
        tokens = service.begin(&given, "alice").await;
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    for size in [2, 2, 2, 0] {
        let target = format!("{OWN}?limit=2{next}");
        let request = fill(&bearer("GET", &target), &tokens);
        let answer = Answer::of_core(service.ask_core(&request).await);
        let page: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let sessions = page["sessions"].as_array().expect("a list");
        assert_eq!(sessions.len(), size, "{page}");
        seen.extend(sessions.iter().map(|session| session["id"].to_string()));
        assert_eq!(page.get("next").is_some(), size == 2, "{page}");
        next = page["next"].as_str().map_or_else(String::new, |after| format!("&after={after}"));
        let current = tokens.session.to_string();
        for session in sessions {
            assert_eq!(session["current"] == true, session["id"] == *current, "{page}");
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6);
    // The same as to GET, without it.
    let head = service.ask_core(&fill(&bearer("HEAD", OWN), &tokens)).await;
    let get = service.ask_core(&fill(&bearer("GET", OWN), &tokens)).await;
    assert_eq!(head.headers()["content-length"], get.body().len().to_string());
    assert!(head.body().is_empty());
}

/// A service may be called as a user is, and a user elsewhere as one here.
#[tokio::test]
async fn only_the_token_of_a_session_sees_sessions() {
    const OTHER: &str = "https://other.example";
    let service = Service::new().await;
    let given = Given { client: "web", ..Given::default() };
    let mut tokens = service.begin(&given, "alice").await;
    let session = tokens.session.to_string();
    let elsewhere = TestIssuer::new(OTHER);
    let policy = service.issuer.policy_builder().issuer(elsewhere.trusted(&[Algorithm::ES256]));
    let policy = policy.build().expect("a policy");
    let own = OwnSessions::new(service.sessions.clone(), policy.clone());
    let user = || AccessToken::of_user("alice", "web");
    let mint = async |token| service.issuer.mint(&token).await.expect("a token").token;
    for (what, token, status) in [
        ("of a service", mint(AccessToken::of_service("alice")).await, 403),
        ("of no session", mint(user()).await, 403),
        ("of no session of ours", mint(user().session("not-ours")).await, 403),
        (
            "of another issuer",
            elsewhere.token(Algorithm::ES256).subject("alice").claim("sid", &*session).mint(),
            403,
        ),
        ("of a session", mint(user().session(&session)).await, 200),
    ] {
        assert!(policy.verify_token_now(&token).is_ok(), "{what}");
        tokens.access = token;
        for method in ["GET", "DELETE"] {
            let target = if method == "GET" { OWN } else { "/sessions/AAECAwQFBgcICQoLDA0ODw" };
            let request = fill(&bearer(method, target), &tokens).build(Protocol::Http1);
            let found = match own.admit(&request).await {
                Ok(owner) if method == "GET" => owner.list(&request).await.status(),
                Ok(owner) => owner.end(&request).await.status(),
                Err(rejection) => rejection.status(),
            };
            let expected = if method == "DELETE" && status == 200 { 404 } else { status };
            assert_eq!(found, expected, "{what} {method}");
        }
    }
}

/// It ended, and its access tokens are good until they expire: that is tried again by itself, and by who logs out again.
#[tokio::test]
async fn an_end_that_is_not_revoked_is_to_be_tried_again() {
    let doors = Doors::with(|| Revocations::options().capacity(0).in_memory()).await;
    let revocation = "client_id=app&token=REFRESH";
    let away = oauth_error(
        503,
        "temporarily_unavailable",
        "The session may not have ended everywhere: try again.",
    );
    let rows = [
        row("web", LOGOUT, browser_page(LOGOUT), &not_ended()),
        row("web", LOGOUT, browser_page(LOGOUT), &not_ended()).held(Held::Previous),
        row("web", EVERYWHERE, browser_page(EVERYWHERE), &not_ended()),
        row("app", REVOKE, form(REVOKE, revocation), &with(away, "retry-after", "1")),
        row("web", OWN, bearer("DELETE", &format!("{OWN}/SESSION")), &not_ended()),
    ];
    for row in rows {
        let left = usize::from(row.request.target != EVERYWHERE);
        let look = async |service: &Service, tokens: &Tokens, _: &Answer| {
            assert_eq!(service.count(&tokens.subject).await, left, "{}", row.what);
        };
        doors.ask(&row, look).await;
    }
}

#[tokio::test]
async fn why_it_failed_stands_in_the_responses_extensions_and_names_nobody() {
    use tower::ServiceExt as _;
    let service = Service::new().await;
    let given = Given { client: "web", held: Held::Replayed, ..Given::default() };
    let tokens = service.begin(&given, "LEAK").await;
    let ask = async |request: &Request| {
        let request = fill(request, &tokens).build(Protocol::Http1);
        let response = service.router().oneshot(request).await.expect("it answers");
        response.extensions().get::<SessionRouteError>().cloned().expect("an error")
    };
    let replay = RefreshRefusal::Ended(EndReason::Replay);
    let expected = SessionRouteError::Refresh(RefreshError::Refused(replay));
    assert_eq!(ask(&browser_page(REFRESH)).await, expected);
    let expected = SessionRouteError::Cookie(SourceError::Missing);
    assert_eq!(ask(&page(REFRESH)).await, expected);
    let expected = SessionRouteError::Missing { parameter: "client_id" };
    assert_eq!(ask(&form(TOKEN, "grant_type=refresh_token&x=LEAK")).await, expected);
    service.set(Fault::Store);
    let error = ask(&browser_page(LOGOUT)).await;
    assert!(error.to_string().contains("connection refused"), "{error}");

    let request = browser_page(LOGIN).build(Protocol::Http1);
    let login = service.browser.check_login(&request).expect("of the service");
    let shown =
        format!("{:?} {:?} {:?} {login:?} {error:?}", service.browser, service.native, service.own);
    assert!(!shown.contains("LEAK") && !shown.contains("pcl_rt"), "{shown}");
}

#[tokio::test]
async fn a_client_or_an_origin_that_nobody_could_have_is_a_fault() {
    let service = Service::new().await;
    let sessions = || service.sessions.clone();
    let fault = |client: String| BrowserSessions::new(sessions(), client).err();
    assert_eq!(fault(String::new()), Some(ClientFault::Name { length: 0 }));
    assert_eq!(fault("x".repeat(1025)), Some(ClientFault::Name { length: 1025 }));
    assert_eq!(fault("x".repeat(1024)), None);
    let fault = |clients: &[&str]| NativeSessions::new(sessions(), clients.iter().copied()).err();
    assert_eq!(fault(&[]), Some(ClientFault::None));
    assert_eq!(fault(&["app", ""]), Some(ClientFault::Name { length: 0 }));
    let origin = service.browser.clone().allowed_origins(["app.example"]).err();
    assert!(origin.is_some_and(|fault| fault.origin == "app.example"));
}
