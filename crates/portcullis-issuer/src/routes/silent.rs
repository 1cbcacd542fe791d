//! Pages of a server that go on with a session by themselves.
use core::fmt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::*;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use portcullis::RequestView;
use portcullis::routes::Reply;
use serde::Deserialize;
use tokio::sync::OnceCell;

use super::browser::BrowserSessions;
use super::cookies::SessionCookies;
use super::error::SessionRouteError;
use crate::sessions::{RefreshError, Refreshed};

/// Goes on with a session while a page is served: for pages that the server makes, whose users click on links and run no
/// script that refreshes.
///
/// It stands in front of the policy. A request whose access cookie is missing, over or revoked, and that has a refresh cookie,
/// is looked at: its session [goes on](crate::Sessions::refresh), the policy and the handler see a new access token, and the
/// response sets the cookies. Such a response is `Cache-Control: no-store`, whatever the handler said: a cache would give one
/// user the session of another.
///
/// | request | what happens |
/// | --- | --- |
/// | `GET` or `HEAD` | looked at |
/// | another method | left as it is: a form is refused, and its page is loaded anew. A refresh for a request that another site can cause by a form would be more than a page needs |
/// | a page that the browser only fetches ahead (`Sec-Purpose: prefetch`) | left as it is |
/// | a bearer token beside the cookies | left as it is: that one speaks |
/// | an access cookie that holds, or is no token | left as it is, for the policy to judge |
/// | a session that does not go on | left as it is: the policy refuses it, and no cookie is cleared |
/// | something is away | 503, as of the [route](BrowserSessions::refresh): whoever logged in is not sent to log in again |
///
/// The refresh token rotates when the handler has answered, and not before. So a handler that takes its time, fails, or never
/// answers costs nobody their session. One that sets a cookie of the session itself, as after a login or a logout, has the last word: none
/// is added then, and nothing rotates.
///
/// Many requests at once with one refresh token ask the store once in a process, and the application once; twice, where the
/// token rotates.
///
/// Its refresh cookie is `SameSite=Lax`, so that who follows a link from another site arrives logged in. Give the login and the
/// routes the [same sessions](Self::browser).
#[derive(Clone)]
#[must_use]
pub struct SilentRefresh {
    browser: BrowserSessions,
    flights: Arc<Mutex<Flights>>,
}

/// Refreshes on their way, by the hash of their token. By the token, and not by its session: who has an old one gets no answer
/// that is for the current one.
type Flights = HashMap<FlightKey, Outcome>;

type FlightKey = (Step, [u8; 32]);

/// What a refresh is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Step {
    /// For the handler. The refresh token stays as it is.
    Before,
    /// For the answer.
    After,
}

type Outcome = Arc<OnceCell<Result<Refreshed, RefreshError>>>;

/// Who waits for a refresh. It is off the list once it is done, or nobody waits for it any more: who comes later asks anew.
struct Flight<'f> {
    flights: &'f Mutex<Flights>,
    key: FlightKey,
    outcome: Outcome,
}

impl<'f> Flight<'f> {
    fn board(flights: &'f Mutex<Flights>, step: Step, token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let key = (step, hash);
        let outcome = Arc::clone(locked(flights).entry(key).or_default());
        Self { flights, key, outcome }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut flights = locked(self.flights);
        let listed = flights.get(&self.key).is_some_and(|it| Arc::ptr_eq(it, &self.outcome));
        // That of the list, and this one: nobody else waits, and nobody boards meanwhile.
        let is_last = Arc::strong_count(&self.outcome) == 2;
        if listed && (self.outcome.initialized() || is_last) {
            flights.remove(&self.key);
        }
    }
}

fn locked(flights: &Mutex<Flights>) -> MutexGuard<'_, Flights> {
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes of a request, before the policy looks at it.
#[derive(Debug)]
pub enum Silently {
    /// It goes on as it is.
    Pass,
    /// It goes on with other cookies, and so does its response.
    GoesOn(Box<GoingOn>),
    /// It is answered with this: something is away.
    Away(Reply<SessionRouteError>),
}

/// A session that goes on while its page is made. `Debug` does not show its tokens.
#[must_use = "the response needs its cookies"]
pub struct GoingOn {
    silent: SilentRefresh,
    /// The refresh token that came.
    token: String,
    refreshed: Refreshed,
    header: Vec<u8>,
    cookies: SessionCookies,
}

impl GoingOn {
    /// The `Cookie` header of the request, in the place of all that came.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// What the response is to have, once it is made. `own`: each `Set-Cookie` that it has.
    pub async fn cookies<'h>(self, own: impl IntoIterator<Item = &'h [u8]>) -> SessionCookies {
        let Self { silent, token, refreshed, cookies, .. } = self;
        let browser = &silent.browser;
        let names = browser.cookie_names().map(str::as_bytes);
        let mut own = own.into_iter().map(|value| value.split(|byte| *byte == b'=').next());
        if own.any(|name| name.is_some_and(|name| names.contains(&name.trim_ascii()))) {
            // A login, or a logout.
            return SessionCookies::none();
        }
        if !refreshed.is_due {
            return cookies;
        }
        match silent.refresh(Step::After, &token).await {
            Ok(rotated) => browser.cookies_of(&rotated).unwrap_or(cookies),
            // It ended while the page was made.
            Err(RefreshError::Refused(_)) => SessionCookies::none(),
            // The same token is right the next time.
            Err(_) => cookies,
        }
    }

    /// Puts them into the headers of a response.
    pub async fn add_to(self, headers: &mut HeaderMap) {
        let own: Vec<_> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        let cookies = self.cookies(own.iter().map(HeaderValue::as_bytes)).await;
        cookies.add_to(headers);
    }
}

impl fmt::Debug for GoingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoingOn").finish_non_exhaustive()
    }
}

impl SilentRefresh {
    /// For the sessions of a browser, whose refresh cookie is [lax](BrowserSessions::lax_refresh_cookie) from now on.
    pub fn new(browser: BrowserSessions) -> Self {
        Self { browser: browser.lax_refresh_cookie(), flights: Arc::default() }
    }

    /// The sessions with the cookies that this knows: for the login and the routes.
    pub fn browser(&self) -> BrowserSessions {
        self.browser.clone()
    }

    /// Looks at a request, and goes on with its session where that is needed.
    pub async fn look(&self, request: &impl RequestView) -> Silently {
        let Some(token) = self.needed(request) else { return Silently::Pass };
        let refreshed = self.refresh(Step::Before, token).await.map_err(SessionRouteError::from);
        let going_on = refreshed.and_then(|refreshed| {
            let cookies = self.browser.cookies_of(&refreshed)?;
            let header = self.header(request, &refreshed);
            let (silent, token) = (self.clone(), token.to_owned());
            Ok(GoingOn { silent, token, refreshed, header, cookies })
        });
        match going_on {
            Ok(going_on) => Silently::GoesOn(Box::new(going_on)),
            // The policy says so, to whom it says it.
            Err(SessionRouteError::Refresh(RefreshError::Refused(_))) => Silently::Pass,
            Err(error) => Silently::Away(error.reply()),
        }
    }

    /// The refresh token of a request that needs another access token.
    fn needed<'r>(&'r self, request: &'r impl RequestView) -> Option<&'r str> {
        let is_safe = matches!(request.method(), "GET" | "HEAD");
        if !is_safe || is_fetched_ahead(request) || has_bearer(request) {
            return None;
        }
        match self.browser.access_token_in(request) {
            // Two of them, for instance.
            Err(()) => return None,
            Ok(Some(token)) if !self.is_over(token) => return None,
            Ok(_) => {}
        }
        self.browser.refresh_token_in(request)
    }

    /// Whether it says that it has expired, or is of what the list of revocations names: of a session that ended, or from before
    /// its user was logged out everywhere but here. Nobody has verified what it says. Who lies gets what the refresh cookie is
    /// good for.
    fn is_over(&self, token: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Claims {
            exp: i64,
            sid: Option<String>,
            sub: Option<String>,
            subject_version: Option<u64>,
        }
        let payload = token.split(|byte| *byte == b'.').nth(1);
        let payload = payload.and_then(|payload| BASE64_URL_SAFE_NO_PAD.decode(payload).ok());
        let claims = payload.and_then(|json| serde_json::from_slice::<Claims>(&json).ok());
        claims.is_some_and(|Claims { exp, sid, sub, subject_version }| {
            let sessions = self.browser.sessions();
            exp <= sessions.wall().0
                || sessions.names(sid.as_deref(), sub.as_deref().zip(subject_version))
        })
    }

    /// One for all who come with this token at once. Whoever began it may go away: another goes on with it.
    async fn refresh(&self, step: Step, token: &str) -> Result<Refreshed, RefreshError> {
        let flight = Flight::board(&self.flights, step, token);
        let go_on = async || match step {
            Step::Before => self.browser.go_on_for_now(token).await,
            Step::After => self.browser.go_on(token).await,
        };
        flight.outcome.get_or_init(go_on).await.clone()
    }

    /// All cookies of a request, byte for byte, but those of the session as they are from now on.
    fn header(&self, request: &impl RequestView, refreshed: &Refreshed) -> Vec<u8> {
        let [access, refresh] = self.browser.cookie_names();
        let is_kept = |pair: &&[u8]| {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
            let is_renewed = name == refresh.as_bytes() && refreshed.refresh.is_some();
            !pair.is_empty() && name != access.as_bytes() && !is_renewed
        };
        let came = request.header("cookie").flat_map(|value| value.split(|byte| *byte == b';'));
        let mut pairs: Vec<_> =
            came.map(<[u8]>::trim_ascii).filter(is_kept).map(<[u8]>::to_vec).collect();
        pairs.push(format!("{access}={}", refreshed.access.token).into_bytes());
        if let Some(token) = &refreshed.refresh {
            pairs.push(format!("{refresh}={}", token.as_str()).into_bytes());
        }
        pairs.join(&b"; "[..])
    }
}

impl fmt::Debug for SilentRefresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SilentRefresh").field("browser", &self.browser).finish_non_exhaustive()
    }
}

/// Whether a token stands where a program puts one (RFC 6750 §2.1).
fn has_bearer(request: &impl RequestView) -> bool {
    let is_bearer = |value: &[u8]| {
        value
            .split_first_chunk()
            .is_some_and(|(scheme, _): (&[u8; 7], _)| scheme.eq_ignore_ascii_case(b"bearer "))
    };
    request.header("authorization").any(is_bearer)
}

/// Whether nobody looks at the page yet (`Sec-Purpose`, or `Purpose` of before).
fn is_fetched_ahead(request: &impl RequestView) -> bool {
    let says = |name| {
        let mut values = request.header(name);
        values.any(|value| value.windows(8).any(|part| part.eq_ignore_ascii_case(b"prefetch")))
    };
    says("sec-purpose") || says("purpose")
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::Request;
    use portcullis::{Algorithm, Revocations, Secret};
    use tokio::sync::Semaphore;
    use tokio::task::yield_now;

    use super::*;
    use crate::session::MemorySessions;
    use crate::store::MemoryRing;
    use crate::{Answer, Lifetimes, Sessions, TokenIssuer};

    /// An application that answers when it is let, and how often it was asked.
    struct World {
        silent: SilentRefresh,
        gate: Arc<Semaphore>,
        asked: Arc<AtomicUsize>,
        request: Request<()>,
    }

    impl World {
        async fn new() -> Self {
            let (gate, asked) = (Arc::new(Semaphore::new(1)), Arc::<AtomicUsize>::default());
            let issuer = TokenIssuer::builder("https://login.example")
                .algorithm(Algorithm::ES256)
                .audiences(["https://login.example"])
                .lifetime(Duration::from_secs(900))
                .root_secrets([Secret::new("FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old")])
                .ring(MemoryRing::new())
                .revocations(Revocations::in_memory())
                .refreshed_by_hand();
            let (opened, count) = (Arc::clone(&gate), Arc::clone(&asked));
            let sessions = Sessions::builder(&issuer.build().await.expect("an issuer"))
                .store(MemorySessions::new())
                .lifetimes(Lifetimes::aal1())
                .ask(move |_| {
                    count.fetch_add(1, Ordering::Relaxed);
                    let opened = Arc::clone(&opened);
                    async move {
                        opened.acquire().await.expect("it is not closed").forget();
                        Ok(Answer::go_on())
                    }
                });
            let sessions = sessions.build().await.expect("sessions");
            let attempt = sessions.attempt("alice").await.expect("an attempt");
            let begun = sessions.begin(attempt.succeeded("web")).await.expect("a session");
            asked.store(0, Ordering::Relaxed);
            let cookie = format!("__Host-Http-refresh={}", begun.refresh.as_str());
            let request = Request::get("/").header("cookie", cookie).body(()).expect("a request");
            let browser = BrowserSessions::new(sessions, "web").expect("a client");
            Self { silent: SilentRefresh::new(browser), gate, asked, request }
        }

        /// Has so many requests at once, and waits until the application was asked so often.
        async fn start(&self, count: usize, asked: usize) -> Vec<tokio::task::JoinHandle<bool>> {
            let look = || {
                let (silent, request) = (self.silent.clone(), self.request.clone());
                tokio::spawn(
                    async move { matches!(silent.look(&request).await, Silently::GoesOn(_)) },
                )
            };
            let tasks = (0..count).map(|_| look()).collect();
            while self.asked.load(Ordering::Relaxed) < asked {
                yield_now().await;
            }
            // All others come as far as they can.
            for _ in 0..100 {
                yield_now().await;
            }
            tasks
        }
    }

    #[tokio::test]
    async fn of_many_requests_at_once_one_asks() {
        let world = World::new().await;
        let tasks = world.start(50, 1).await;
        world.gate.add_permits(50);
        for task in tasks {
            assert!(task.await.expect("no panic"));
        }
        assert_eq!(world.asked.load(Ordering::Relaxed), 1);
        assert!(locked(&world.silent.flights).is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn where_the_one_who_asks_goes_away_another_asks() {
        let world = World::new().await;
        let mut tasks = world.start(3, 1).await;
        tasks.remove(0).abort();
        while world.asked.load(Ordering::Relaxed) < 2 {
            yield_now().await;
        }
        world.gate.add_permits(3);
        for task in tasks {
            assert!(task.await.expect("no panic"));
        }
        assert_eq!(world.asked.load(Ordering::Relaxed), 2);
        assert!(locked(&world.silent.flights).is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn who_comes_when_it_is_done_asks_anew_though_others_have_not_left() {
        let world = World::new().await;
        let flights = &world.silent.flights;
        let (first, second) = (
            Flight::board(flights, Step::Before, "token"),
            Flight::board(flights, Step::Before, "token"),
        );
        first.outcome.set(Err(RefreshError::Scope)).expect("it is not done");
        drop(first);
        let third = Flight::board(flights, Step::Before, "token");
        assert!(second.outcome.initialized() && !third.outcome.initialized());
        drop(second);
        assert!(locked(flights).contains_key(&third.key), "another's flight stays");
        drop(third);
        assert!(locked(flights).is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn where_all_go_away_nothing_is_kept() {
        let world = World::new().await;
        for task in world.start(3, 1).await {
            task.abort();
            assert!(task.await.is_err());
        }
        assert!(locked(&world.silent.flights).is_empty());
    }
}
