//! A service that logs users in, and what tests do to it.
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use portcullis::{Algorithm, Policy, Revocations, Secret, TokenSource};
use portcullis_axum::{AxumRequest, Caller};
use portcullis_browser::{API, Service, Stage};
use portcullis_issuer::session::{MemorySessions, SessionRow, SessionStore as _};
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{
    Answer, BrowserSessions, Lifetimes, SessionId, Sessions, StoreTime, TokenIssuer,
};
use serde_json::json;
use tokio::sync::Notify;

pub(crate) const ISSUER: &str = "https://login.example";
pub(crate) const LOGIN: &str = "https://api.app.example/login";
pub(crate) const REFRESH: &str = "https://api.app.example/session/refresh";
pub(crate) const LOGOUT: &str = "https://api.app.example/session/logout";
pub(crate) const ME: &str = "https://api.app.example/me";

/// The service, and what a test does to it.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) sessions: Sessions,
    pub(crate) browser: BrowserSessions,
    pub(crate) policy: Policy,
    pub(crate) store: MemorySessions,
    pub(crate) begun: Arc<Mutex<Vec<SessionId>>>,
    /// Lets answers go that are held.
    pub(crate) release: Arc<Notify>,
    /// Told when one is.
    pub(crate) held: Arc<Notify>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        let revocations = Revocations::in_memory();
        let issuer = TokenIssuer::builder(ISSUER)
            .algorithm(Algorithm::ES256)
            .audiences([ISSUER])
            .lifetime(Duration::from_secs(15 * 60))
            .root_secrets([Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old")])
            .ring(MemoryRing::new())
            .revocations(revocations.clone());
        let issuer = issuer.build().await.expect("an issuer");
        let store = MemorySessions::new();
        let sessions = Sessions::builder(&issuer)
            .store(store.clone())
            .lifetimes(Lifetimes::aal1())
            .ask(async |_| Ok(Answer::go_on()));
        let sessions = sessions.build().await.expect("sessions");
        let browser = BrowserSessions::new(sessions.clone(), "web").expect("a client");
        let policy = issuer
            .policy_builder()
            .sources([TokenSource::from(browser.access_cookie())])
            .revocations(sessions.enforced())
            .build()
            .expect("a policy");
        Self {
            sessions,
            browser,
            policy,
            store,
            begun: Arc::default(),
            release: Arc::default(),
            held: Arc::default(),
        }
    }

    /// The service, with these pages.
    pub(crate) async fn service(&self, pages: Router) -> Service {
        let app = Router::new()
            .route("/login", post(login))
            .route("/", get(async || Html("")))
            // The browser asks for it when it likes, which is to refresh nothing.
            .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
            .with_state(self.clone())
            .merge(pages)
            .nest("/session", portcullis_axum::browser_sessions(self.browser.clone()))
            .layer(middleware::from_fn_with_state(self.clone(), hold));
        Service::axum(app).await
    }

    /// The session that began last.
    pub(crate) fn last(&self) -> SessionId {
        *self.begun.lock().expect("no panic").last().expect("a session")
    }

    pub(crate) async fn row(&self) -> SessionRow {
        let read = self.store.read(ISSUER, self.last()).await.expect("a store");
        read.row.expect("a session")
    }

    /// A minute later.
    pub(crate) fn age(&self) {
        self.store.tamper(ISSUER, self.last(), |row| {
            let before = row.rotated_at.as_millis() - 61_000;
            row.rotated_at = StoreTime::from_millis(before);
        });
    }
}

/// Not stored, as a page has to be that is not to be seen after a logout.
pub(crate) async fn me(token: Caller) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], token.subject().unwrap_or_default().to_owned())
}

#[derive(serde::Deserialize)]
struct As {
    user: String,
}

async fn login(
    State(site): State<Site>,
    Query(As { user }): Query<As>,
    request: Request,
) -> Response {
    let login = match site.browser.check_login(&AxumRequest::from(&request)) {
        Ok(login) => login,
        Err(error) => return portcullis_axum::respond(error.reply()),
    };
    let attempt = site.sessions.attempt(user).await.expect("an attempt");
    let begun = site.sessions.begin(login.succeeded(attempt)).await.expect("a session");
    site.begun.lock().expect("no panic").push(begun.session.id());
    let mut response = StatusCode::NO_CONTENT.into_response();
    login.cookies(&begun).expect("cookies").add_to(response.headers_mut());
    response
}

/// Holds an answer that is asked to be held, until it is let go.
async fn hold(State(site): State<Site>, request: Request, next: Next) -> Response {
    let is_held = request.uri().query() == Some("hold");
    let response = next.run(request).await;
    if is_held {
        let released = site.release.notified();
        site.held.notify_one();
        released.await;
    }
    response
}

/// Logs a user in, in a page of the service.
pub(crate) async fn log_in(stage: &Stage, user: &str) {
    stage.open(API).await;
    assert_eq!(stage.fetch("POST", &format!("{LOGIN}?user={user}"), json!({})).await, "204");
}
