//! How much longer a page takes whose server goes on with the session meanwhile.
//!
//! The page is a route of axum behind a policy, called in process. Its access token was seen before, as that of every page but
//! the first; then it is over, while the refresh token is young; then both are to be renewed. The three take turns.
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::routing::get;
use portcullis::{Revocations, TokenSource};
use portcullis_axum::{Caller, SilentRefreshLayer, VerifyLayer};
use portcullis_issuer::BrowserSessions;
use portcullis_issuer::routes::SilentRefresh;
use portcullis_issuer::store::MemoryRing;
use portcullis_stores_tests::{Database, SessionsIn, login_issuer, sessions};
use tower::ServiceExt as _;

use crate::{LATER, ROUNDS, SESSIONS, median};

/// Says of itself that it is over.
const OVER: &str = "eyJhbGciOiJub25lIn0.eyJleHAiOjF9.AAAA";

struct Pages {
    app: Router,
    /// The tokens of each session.
    tokens: Vec<(String, String)>,
}

impl Pages {
    async fn over(database: &Database) -> Self {
        database.ring().await;
        let revocations = Revocations::in_memory();
        let issuer = login_issuer(MemoryRing::new(), revocations.clone()).await;
        let issuer = issuer.expect("an issuer");
        let store = SessionsIn::open(&database.url).await;
        let sessions = sessions(&issuer, store).await.expect("sessions");
        let browser = BrowserSessions::new(sessions.clone(), "web").expect("a client");
        let policy = issuer
            .policy_builder()
            .sources([TokenSource::from(browser.access_cookie())])
            .revocations(sessions.enforced())
            .build()
            .expect("a policy");
        let app = Router::new()
            .route("/", get(async |_: Caller| "a page"))
            .layer(VerifyLayer::new(policy))
            .layer(SilentRefreshLayer::new(SilentRefresh::new(browser)));
        let mut tokens = Vec::new();
        for user in 0..SESSIONS {
            let attempt = sessions.attempt(format!("user {user}")).await.expect("an attempt");
            let begun = sessions.begin(attempt.succeeded("web")).await.expect("a session");
            tokens.push((begun.access.token, begun.refresh.as_str().to_owned()));
        }
        Self { app, tokens }
    }

    /// Asks for the page in each session. How long it took, in microseconds.
    async fn ask(&mut self, with_access: bool, sets: usize) -> f64 {
        let mut took = Vec::new();
        for (access, refresh) in &mut self.tokens {
            let access = if with_access { access.as_str() } else { OVER };
            let cookies = format!("__Host-Http-access={access}; __Host-Http-refresh={refresh}");
            let request = Request::get("/").header(COOKIE, cookies).body(Body::empty());
            let app = self.app.clone();
            let start = Instant::now();
            let answer = app.oneshot(request.expect("a request")).await.expect("an answer");
            took.push(start.elapsed().as_secs_f64() * 1e6);
            let set: Vec<_> = answer.headers().get_all(SET_COOKIE).iter().collect();
            assert_eq!((answer.status().as_u16(), set.len()), (200, sets));
            if let Some(cookie) = set.get(1) {
                let cookie = cookie.to_str().expect("text");
                let (_, token) = cookie.split_once('=').expect("a cookie");
                *refresh = token.split(';').next().unwrap_or_default().to_owned();
            }
        }
        median(took)
    }
}

/// Prints the table.
pub(crate) async fn print() {
    println!(
        "| database | a page, µs | its access token is over, µs more | the refresh token is rotated as well, µs more |"
    );
    println!("|---|---:|---:|---:|");
    let sqlite = Database::sqlite_with(sqlx::sqlite::SqliteJournalMode::Wal).await;
    for (name, database) in
        [("PostgreSQL", Database::postgres().await), ("SQLite (WAL, FULL)", sqlite)]
    {
        let mut pages = Pages::over(&database).await;
        // The policy sees each token for the first time.
        pages.ask(true, 0).await;
        let (mut plain, mut young, mut due) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let page = pages.ask(true, 0).await;
            plain.push(page);
            young.push(pages.ask(false, 1).await - page);
            database.sql(LATER).await;
            due.push(pages.ask(false, 2).await - page);
        }
        let [plain, young, due] = [plain, young, due].map(median);
        println!("| {name} | {plain:.0} | {young:.0} | {due:.0} |");
    }
}
