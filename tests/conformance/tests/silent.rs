//! Pages whose sessions go on while they are served, through axum and actix-web over real sockets.
use std::net::TcpListener;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorForbidden;
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpRequest, HttpResponse, web};
use axum::Router;
use axum::routing::any;
use portcullis::{Algorithm, Policy, Revocations, Secret, TokenSource};
use portcullis_axum::{Caller, SilentRefreshLayer, VerifyLayer};
use portcullis_conformance::client::{self, Answer, Protocol, Request};
use portcullis_conformance::doors::{Running, serve_actix, serve_axum};
use portcullis_issuer::routes::SilentRefresh;
use portcullis_issuer::session::{MemorySessions, SessionRow, SessionStore as _};
use portcullis_issuer::store::{MemoryRing, StoreError};
use portcullis_issuer::{
    Answer as MayGoOn, BrowserSessions, EndReason, Lifetimes, RefreshToken, SessionId, Sessions,
    StoreTime, TokenIssuer,
};

const ISSUER: &str = "https://login.example";
const ACCESS: &str = "__Host-Http-access";
const REFRESH: &str = "__Host-Http-refresh";
/// What the handler says itself.
const CACHEABLE: &str = "public, max-age=600";

#[derive(Clone)]
struct Pages {
    silent: SilentRefresh,
    policy: Policy,
    sessions: Sessions,
    store: MemorySessions,
}

impl Pages {
    async fn new() -> Self {
        let revocations = Revocations::in_memory();
        let issuer = TokenIssuer::builder(ISSUER)
            .algorithm(Algorithm::ES256)
            .audiences([ISSUER])
            .lifetime(Duration::from_secs(15 * 60))
            .root_secrets([Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old")])
            .ring(MemoryRing::new())
            .revocations(revocations.clone())
            .refreshed_by_hand();
        let issuer = issuer.build().await.expect("an issuer");
        let store = MemorySessions::new();
        let sessions = Sessions::builder(&issuer)
            .store(store.clone())
            .lifetimes(Lifetimes::aal1())
            .ask(async |_| Ok(MayGoOn::go_on()));
        let sessions = sessions.build().await.expect("sessions");
        let browser = BrowserSessions::new(sessions.clone(), "web").expect("a client");
        let source = TokenSource::from(browser.access_cookie());
        let policy =
            issuer.policy_builder().sources([source]).revocations(sessions.enforced()).build();
        let policy = policy.expect("a policy");
        Self { silent: SilentRefresh::new(browser), policy, sessions, store }
    }

    /// What the handler of a path does, and the headers of its answer.
    async fn handle(&self, path: &str, session: &str) -> Vec<(&'static str, String)> {
        let id: SessionId = session.parse().expect("a session");
        let row = self.store.read(ISSUER, id).await.expect("a store").row.expect("a session");
        let mut headers = vec![("x-version", row.version.0.to_string())];
        match path {
            "/login" => {
                let cookie = format!("{ACCESS}=bob; Path=/; Secure; HttpOnly");
                headers.extend([("set-cookie", "theme=dark".to_owned()), ("set-cookie", cookie)]);
            }
            "/log-out" => {
                self.sessions.end(id, EndReason::SignedOut).await.expect("ended");
            }
            "/away" => self.store.set_fault(Some(StoreError::new("away"))),
            _ => {
                let names = ["cache-control", "cdn-cache-control", "x-accel-expires"];
                headers.extend(names.map(|name| (name, CACHEABLE.to_owned())));
            }
        }
        headers
    }

    fn axum(&self) -> Router {
        let pages = self.clone();
        let page = any(async move |caller: Caller, request: axum::extract::Request| {
            let path = request.uri().path();
            let headers = pages.handle(path, &sid(caller.claims_json())).await;
            let subject = caller.subject().unwrap_or_default().to_owned();
            let came = request.headers().get_all("cookie").iter();
            let cookies = names(came.map(|it| it.as_bytes()));
            let mut answer = http::Response::new(format!("{subject} {cookies}"));
            for (name, value) in headers {
                answer.headers_mut().append(name, value.parse().expect("a value"));
            }
            answer
        });
        let fails = any(async || -> String { panic!("it fails") });
        Router::new()
            .route("/fails", fails)
            .route("/{page}", page)
            .layer(VerifyLayer::new(self.policy.clone()))
            .layer(SilentRefreshLayer::new(self.silent.clone()))
    }

    fn actix(&self, app: &mut web::ServiceConfig) {
        let pages = self.clone();
        let page = move |caller: portcullis_actix::Caller, request: HttpRequest| {
            let pages = pages.clone();
            async move {
                let headers = pages.handle(request.path(), &sid(caller.claims_json())).await;
                let subject = caller.subject().unwrap_or_default().to_owned();
                let cookies = names(request.headers().get_all("cookie").map(|it| it.as_bytes()));
                let mut answer = HttpResponse::Ok();
                for header in headers {
                    answer.append_header(header);
                }
                answer.body(format!("{subject} {cookies}"))
            }
        };
        app.service(
            web::resource("/{page}")
                .wrap(portcullis_actix::Verify::new(self.policy.clone()))
                .wrap(from_fn(fails))
                .wrap(portcullis_actix::silent_refresh(self.silent.clone()))
                .to(page),
        );
    }

    async fn begin(&self) -> (SessionId, RefreshToken, String) {
        let attempt = self.sessions.attempt("alice").await.expect("an attempt");
        let begun = self.sessions.begin(attempt.succeeded("web")).await.expect("a session");
        (begun.session.id(), begun.refresh, begun.access.token)
    }

    async fn row(&self, id: SessionId) -> SessionRow {
        self.store.read(ISSUER, id).await.expect("a store").row.expect("a session")
    }

    /// A minute later, for this session.
    fn age(&self, id: SessionId) {
        self.store.tamper(ISSUER, id, |row| {
            let before = row.rotated_at.as_millis() - 61_000;
            row.rotated_at = StoreTime::from_millis(before);
        });
    }
}

/// As a middleware of somebody's does, further in.
async fn fails<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    match request.path() {
        "/fails" => Err(ErrorForbidden("it fails")),
        _ => next.call(request).await,
    }
}

/// The session of a token that was verified.
fn sid(claims: &str) -> String {
    let claims: serde_json::Value = serde_json::from_str(claims).expect("JSON");
    claims["sid"].as_str().expect("a session").to_owned()
}

/// The names of the cookies that a handler sees, and how many headers they are in.
fn names<'r>(headers: impl Iterator<Item = &'r [u8]>) -> String {
    let headers: Vec<_> = headers.map(String::from_utf8_lossy).collect();
    let pairs = headers.iter().flat_map(|header| header.split("; "));
    let names: Vec<_> = pairs.filter_map(|pair| pair.split('=').next()).collect();
    format!("{} {}", headers.len(), names.join(","))
}

/// Both frameworks, each with pages of its own.
async fn doors() -> Vec<(&'static str, Pages, Running)> {
    let listener = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let axum = Pages::new().await;
    let axum_server = serve_axum(axum.axum(), listener()).expect("a server");
    let actix = Pages::new().await;
    let own = actix.clone();
    let actix_server = serve_actix(move |app: &mut _| own.actix(app), listener());
    vec![("axum", axum, axum_server), ("actix", actix, actix_server.expect("a server"))]
}

async fn ask(server: &Running, request: Request) -> Answer {
    client::send(server.address(), Protocol::Http1, &request).await.expect("an answer")
}

fn page(cookies: &[(&str, &str)]) -> Request {
    at("/page", cookies)
}

fn at(path: &str, cookies: &[(&str, &str)]) -> Request {
    let cookies = cookies.iter().map(|(name, value)| format!("{name}={value}"));
    Request::new("GET", path).header("cookie", cookies.collect::<Vec<_>>().join("; "))
}

fn cache(answer: &Answer) -> String {
    let found = answer.headers.iter().filter(|(name, _)| name == "cache-control");
    found
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect::<Vec<_>>()
        .join("|")
}

/// The names of the cookies that an answer sets.
fn set(answer: &Answer) -> Vec<String> {
    let found = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
    let name = |value: &[u8]| String::from_utf8_lossy(value).split('=').next().map(str::to_owned);
    let mut names: Vec<_> = found.filter_map(|(_, value)| name(value)).collect();
    names.sort_unstable();
    names
}

/// A token that says it is over. Nobody signed it.
fn expired() -> String {
    // {"alg":"none"} and {"exp":1}
    "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.AAAA".to_owned()
}

#[tokio::test]
async fn a_page_goes_on_with_a_session_whose_access_token_is_over_or_missing() {
    for (door, pages, server) in doors().await {
        let (id, refresh, _) = pages.begin().await;
        let refresh = refresh.as_str();
        for (cookies, seen) in [
            (&[(REFRESH, refresh)][..], "__Host-Http-refresh,__Host-Http-access"),
            (
                &[("theme", "d\u{e4}rk"), (ACCESS, &expired()), (REFRESH, refresh)],
                "theme,__Host-Http-refresh,__Host-Http-access",
            ),
        ] {
            let answer = ask(&server, page(cookies)).await;
            let body = format!("alice 1 {seen}");
            assert_eq!((answer.status, &*answer.body), (200, body.as_bytes()), "{door}");
            assert_eq!(set(&answer), [ACCESS], "{door}: it is young");
            assert_eq!(cache(&answer), "no-store", "{door}: and not what the handler says");
            for name in ["cdn-cache-control", "x-accel-expires"] {
                assert_eq!(answer.header(name).count(), 0, "{door}: {name}");
            }
        }
        pages.age(id);
        let answer = ask(&server, page(&[(REFRESH, refresh)])).await;
        assert_eq!((answer.status, set(&answer)), (200, vec![ACCESS.into(), REFRESH.into()]));
    }
}

#[tokio::test]
async fn what_is_not_due_is_left_as_it_is() {
    for (door, pages, server) in doors().await {
        let (_, refresh, access) = pages.begin().await;
        let refresh = refresh.as_str();
        let good = ask(&server, page(&[(ACCESS, &access), (REFRESH, refresh)])).await;
        assert!(good.status == 200 && good.body.starts_with(b"alice "), "{door}: {good:?}");
        assert_eq!((set(&good), cache(&good)), (vec![], CACHEABLE.to_owned()), "{door}");

        let mut post = page(&[(REFRESH, refresh)]).header("sec-fetch-site", "same-origin");
        post.method = "POST";
        let ahead = page(&[(REFRESH, refresh)]).header("sec-purpose", "prefetch;prerender");
        let no_token = page(&[(ACCESS, "junk"), (REFRESH, refresh)]);
        let two = page(&[(REFRESH, refresh), (REFRESH, refresh)]);
        let bearer = page(&[(REFRESH, refresh)]).header("authorization", "bearer x");
        for request in [post, ahead, no_token, two, bearer, page(&[])] {
            let answer = ask(&server, request.clone()).await;
            assert_eq!((answer.status, set(&answer)), (401, vec![]), "{door}: {request:?}");
        }
    }
}

#[tokio::test]
async fn a_session_that_is_over_is_refused_by_the_policy_and_no_cookie_is_cleared() {
    for (door, pages, server) in doors().await {
        let (id, refresh, _) = pages.begin().await;
        pages.sessions.end(id, EndReason::SignedOut).await.expect("ended");
        for token in [refresh.as_str(), "junk"] {
            let answer = ask(&server, page(&[(ACCESS, &expired()), (REFRESH, token)])).await;
            assert_eq!((answer.status, set(&answer)), (401, vec![]), "{door}");
        }
    }
}

#[tokio::test]
async fn where_sessions_cannot_be_asked_a_page_is_503_and_nobody_is_logged_out() {
    for (door, pages, server) in doors().await {
        let (id, refresh, _) = pages.begin().await;
        pages.store.set_fault(Some(StoreError::new("away")));
        let answer = ask(&server, page(&[(REFRESH, refresh.as_str())])).await;
        assert_eq!((answer.status, set(&answer)), (503, vec![]), "{door}");
        assert_eq!(cache(&answer), "no-store");
        pages.store.set_fault(None);
        let row = pages.row(id).await;
        assert_eq!((row.version.0, row.ended), (1, None));
        let answer = ask(&server, page(&[(REFRESH, refresh.as_str())])).await;
        assert_eq!(answer.status, 200, "{door}");
    }
}

/// So it may take longer than the retry window.
#[tokio::test]
async fn a_refresh_token_rotates_when_its_page_was_made() {
    for (door, pages, server) in doors().await {
        let (id, refresh, _) = pages.begin().await;
        pages.age(id);
        let answer = ask(&server, page(&[(REFRESH, refresh.as_str())])).await;
        assert_eq!(answer.header("x-version").collect::<Vec<_>>(), [b"1"], "{door}");
        assert_eq!(set(&answer), [ACCESS, REFRESH], "{door}");
        assert_eq!(pages.row(id).await.version.0, 2, "{door}");
    }
}

#[tokio::test]
async fn a_handler_that_fails_costs_nobody_the_session() {
    for (door, pages, server) in doors().await {
        let (id, refresh, _) = pages.begin().await;
        pages.age(id);
        let cookies = [(REFRESH, refresh.as_str())];
        let failed = client::send(server.address(), Protocol::Http1, &at("/fails", &cookies)).await;
        // A panic ends the connection of one, an error is the answer of the other.
        assert!(failed.is_ok_and(|it| it.status == 403) == (door == "actix"), "{door}");
        assert_eq!(pages.row(id).await.version.0, 1, "{door}");
        // It was long ago.
        pages.age(id);
        let answer = ask(&server, page(&cookies)).await;
        assert_eq!((answer.status, set(&answer).len()), (200, 2), "{door}");
    }
}

#[tokio::test]
async fn a_handler_that_sets_a_cookie_of_the_session_has_the_last_word() {
    for (door, pages, server) in doors().await {
        let (id, refresh, _) = pages.begin().await;
        pages.age(id);
        let answer = ask(&server, at("/login", &[(REFRESH, refresh.as_str())])).await;
        assert_eq!((answer.status, set(&answer)), (200, vec![ACCESS.into(), "theme".into()]));
        assert!(answer.header("set-cookie").any(|it| it.starts_with(b"__Host-Http-access=bob")));
        assert_eq!(
            (cache(&answer), pages.row(id).await.version.0),
            ("no-store".into(), 1),
            "{door}"
        );
    }
}

#[tokio::test]
async fn a_session_that_ends_while_its_page_is_made_gets_no_cookie() {
    for (door, pages, server) in doors().await {
        let (id, refresh, _) = pages.begin().await;
        pages.age(id);
        let answer = ask(&server, at("/log-out", &[(REFRESH, refresh.as_str())])).await;
        assert_eq!((answer.status, set(&answer)), (200, vec![]), "{door}");
    }
}

#[tokio::test]
async fn a_page_that_was_made_is_answered_though_its_token_cannot_rotate() {
    for (door, pages, server) in doors().await {
        let (id, refresh, _) = pages.begin().await;
        pages.age(id);
        let cookies = [(REFRESH, refresh.as_str())];
        let answer = ask(&server, at("/away", &cookies)).await;
        assert_eq!((answer.status, set(&answer)), (200, vec![ACCESS.to_owned()]), "{door}");
        pages.store.set_fault(None);
        let answer = ask(&server, page(&cookies)).await;
        assert_eq!(
            (answer.status, set(&answer).len()),
            (200, 2),
            "{door}: the same is right later"
        );
    }
}

/// As the one that changes the password, or the next user's after a page that came late.
#[tokio::test]
async fn an_access_token_that_was_revoked_is_made_anew_for_who_holds_a_session() {
    for (door, pages, server) in doors().await {
        let (id, refresh, access) = pages.begin().await;
        let (_, _, other) = pages.begin().await;
        pages
            .sessions
            .end_all("alice", Some(id), EndReason::CredentialsChanged)
            .await
            .expect("ended");
        for revoked in [access, other] {
            let answer =
                ask(&server, page(&[(ACCESS, &revoked), (REFRESH, refresh.as_str())])).await;
            assert_eq!((answer.status, set(&answer)), (200, vec![ACCESS.to_owned()]), "{door}");
        }
    }
}
