//! What requests see while a key server has its worst day: each fault over a real socket, through
//! the HTTP client that key sets have unless they are given another.
#![cfg(feature = "remote-jwks")]

use core::future::{Future, ready};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis::fetch::{Client, HttpClient, HttpFuture, HttpRequest, HttpResponse};
use portcullis::keys::remote::{KeyFetchError, RemoteJwksOptions, RemoteKeysEvent};
use portcullis::keys::{KeyError, KeyFault, KeysUnavailable};
use portcullis::policy::Verification;
use portcullis::{Algorithm, Error, Issuer, Policy, RemoteJwks};
use portcullis_testkit::TestIssuer;
use portcullis_testkit::key_server::{Answer, Certificate, KeyServer};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;

const ISSUER: &str = "https://id.example";
const PATH: &str = KeyServer::JWKS_PATH;
const ES256: &[Algorithm] = &[Algorithm::ES256];

const SECOND: Duration = Duration::from_secs(1);
/// How long after a failure the next fetch begins: the least that can be set, so that jitter has
/// no room.
const RETRY: Duration = Duration::from_millis(100);
/// The time-out where the server takes forever. An honest answer is there in less.
const SHORT: Duration = Duration::from_millis(1500);
/// More than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// What a request sees.
#[derive(Debug, PartialEq)]
enum Seen {
    Accepted,
    Refused(Error),
}

impl Seen {
    /// What a client could tell apart: why keys are unavailable is for the log.
    fn of(error: Error) -> Self {
        match error {
            Error::Key(KeyError::Unavailable(keys)) => unavailable(keys.retry_after),
            error => Self::Refused(error),
        }
    }
}

const ACCEPTED: Seen = Seen::Accepted;
/// 401.
const UNKNOWN: Seen = Seen::Refused(Error::Key(KeyError::Unknown));

/// 503, with how long to wait.
/// What is not there, and may come.
const IN_DOUBT: Error = Error::Key(KeyError::Unavailable(KeysUnavailable::new()));

const fn unavailable(retry_after: Option<Duration>) -> Seen {
    Seen::Refused(Error::Key(KeyError::Unavailable(
        KeysUnavailable::new().with_retry_after(retry_after),
    )))
}

const FOR_A_MOMENT: Seen = unavailable(Some(RETRY));

/// How a fetch ended.
#[derive(Clone, Debug, PartialEq)]
enum End {
    OtherKeys,
    SameKeys,
    /// And why.
    Failed(String),
}

impl End {
    fn says(&self, what: &str) -> bool {
        matches!(self, Self::Failed(why) if why.contains(what))
    }
}

/// What is waited for, and how long.
#[derive(Clone, Copy)]
struct Waits {
    timeout: Duration,
    cool_down: Duration,
    max_wait: Duration,
}

/// So long that nothing is given up.
const PATIENT: Waits = Waits { timeout: LONG, cool_down: SECOND, max_wait: LONG };

/// A key server, and a policy with its keys.
struct Scene {
    server: Arc<KeyServer>,
    issuer: TestIssuer,
    keys: RemoteJwks,
    policy: Policy,
    /// How each fetch ended, and how many requests the server had seen by then: no next fetch can
    /// have begun.
    ends: UnboundedReceiver<(End, usize)>,
}

impl Scene {
    /// Of a server that is honest, until told otherwise.
    fn new(
        server: KeyServer,
        set: impl FnOnce(RemoteJwksOptions, &KeyServer) -> RemoteJwksOptions,
    ) -> Self {
        Self::waiting(PATIENT, server, set)
    }

    fn waiting(
        waits: Waits,
        server: KeyServer,
        set: impl FnOnce(RemoteJwksOptions, &KeyServer) -> RemoteJwksOptions,
    ) -> Self {
        let url = server.url(PATH);
        Self::at(&url, waits, server, set)
    }

    /// The same, but the keys are looked for here.
    fn at(
        url: &str,
        Waits { timeout, cool_down, max_wait }: Waits,
        server: KeyServer,
        set: impl FnOnce(RemoteJwksOptions, &KeyServer) -> RemoteJwksOptions,
    ) -> Self {
        let server = Arc::new(server);
        let issuer = TestIssuer::new(ISSUER);
        server.serve_keys(PATH, &issuer, ES256);
        let (ended, ends) = mpsc::unbounded_channel();
        let seen_by = Arc::clone(&server);
        let options = RemoteJwks::url(url)
            .connect_timeout(LONG)
            .timeout(timeout)
            .cool_down(cool_down)
            .max_wait(max_wait)
            .first_retry(RETRY)
            .max_retry(RETRY)
            .on_event(move |_, event| {
                let end = match event {
                    RemoteKeysEvent::Refreshed { .. } => End::OtherKeys,
                    RemoteKeysEvent::Unchanged => End::SameKeys,
                    RemoteKeysEvent::Failed { error, .. } => End::Failed(error.to_string()),
                    _ => return,
                };
                // A scene that is over listens no more.
                _ = ended.send((end, seen_by.hits(PATH)));
            });
        let keys = set(options, &server).start_for(ISSUER).expect("the settings are in bounds");
        let policy = Policy::builder()
            .issuer(
                Issuer::new(ISSUER)
                    .algorithms([Algorithm::ES256])
                    .keys(keys.clone())
                    .audience(TestIssuer::AUDIENCE),
            )
            .build()
            .expect("a good policy");
        Self { server, issuer, keys, policy, ends }
    }

    /// With the set loaded.
    async fn loaded(
        server: KeyServer,
        set: impl FnOnce(RemoteJwksOptions, &KeyServer) -> RemoteJwksOptions,
    ) -> Self {
        let mut scene = Self::new(server, set);
        scene.load().await;
        scene
    }

    async fn load(&mut self) {
        self.refresh().await.expect("the server is honest yet");
        assert_eq!(self.end().await.0, End::OtherKeys);
    }

    async fn refresh(&self) -> Result<(), KeyFetchError> {
        in_time(self.keys.refresh_now()).await
    }

    fn token(&self) -> String {
        self.issuer.token(Algorithm::ES256).mint()
    }

    fn unknown(&self) -> String {
        self.issuer.token(Algorithm::ES256).key_id("of-nobody").mint()
    }

    /// What a request with this token sees, which waits where it has to.
    fn see(&self, token: String) -> impl Future<Output = Seen> + Send + 'static {
        let policy = self.policy.clone();
        async move {
            let verified = in_time(policy.verify_token(token)).await;
            verified.map_or_else(Seen::of, |_| ACCEPTED)
        }
    }

    /// What it sees without waiting.
    #[track_caller]
    fn see_at_once(&self, token: &str) -> Seen {
        let request = http::Request::get("/").header("authorization", format!("Bearer {token}"));
        match self.policy.start_verify(&request.body(()).expect("a request")) {
            Verification::Done(Ok(_)) => ACCEPTED,
            Verification::Done(Err(rejection)) => Seen::of(rejection.error().clone()),
            Verification::Pending(_) => panic!("the request has to wait"),
        }
    }

    /// How the next fetch ends, and the requests that the server has seen by then.
    async fn end(&mut self) -> (End, usize) {
        in_time(self.ends.recv()).await.expect("the key set has the other end")
    }

    /// Why the last fetch failed.
    fn last_error(&self) -> Option<String> {
        self.keys.health().last_error.map(|error| error.to_string())
    }
}

/// What comes of it without waiting.
fn at_first_poll<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A test that waits for nothing shall fail, and not stop the others.
async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(2 * LONG, future).await.expect("what is waited for happens")
}

/// One fault.
///
/// In each of them a request whose key is known is accepted without waiting, while the fetch is
/// under way and after it; and one fetch is one request.
struct Row {
    fault: &'static str,
    /// What the server answers; it may lead to another, which nobody must ask.
    answer: fn(&TestIssuer, internal: &KeyServer) -> Answer,
    timeout: Duration,
    /// What a request sees whose key is not known, where the set was loaded before.
    unknown: Seen,
    /// What the first request of all sees, with a good token.
    cold: Seen,
    /// What the health says of the last fetch; nothing if it succeeded.
    says: &'static str,
}

const WORKS: Row = Row {
    fault: "",
    answer: |_, _| Answer::hang(),
    timeout: LONG,
    unknown: UNKNOWN,
    cold: ACCEPTED,
    says: "",
};

const FAILS: Row = Row { unknown: FOR_A_MOMENT, cold: FOR_A_MOMENT, ..WORKS };

#[rustfmt::skip]
fn faults() -> Vec<Row> {
    vec![
        Row {
            fault: "no answer at all",
            answer: |_, _| Answer::hang(),
            timeout: SHORT, says: "no whole answer came within 1.5s", ..FAILS
        },
        Row {
            fault: "half an answer, and then nothing",
            answer: |_, _| Answer::hang_in_body(),
            timeout: SHORT, says: "no whole answer came within 1.5s", ..FAILS
        },
        Row {
            fault: "a byte a second",
            answer: |issuer, _| Answer::drip(issuer.jwks_of(ES256)),
            timeout: SHORT, says: "no whole answer came within 1.5s", ..FAILS
        },
        Row {
            fault: "a login page",
            answer: |_, _| Answer::html(),
            says: "this is HTML or XML, and a JSON object is needed", ..FAILS
        },
        Row {
            fault: "a redirect to an internal address",
            answer: |_, internal| Answer::redirect(internal.url(PATH)),
            says: "the server redirects (302), which is not followed", ..FAILS
        },
        Row {
            fault: "a redirect for good",
            answer: |_, internal| Answer::status(308).header("location", internal.url(PATH)),
            says: "the server redirects (308), which is not followed", ..FAILS
        },
        Row {
            fault: "a body without an end",
            answer: |_, _| Answer::endless(),
            says: "more than the 262144 bytes allowed", ..FAILS
        },
        Row {
            fault: "a head without an end",
            answer: |_, _| Answer::endless_headers(),
            says: "too large", ..FAILS
        },
        Row {
            fault: "a gzip bomb",
            answer: |_, _| Answer::gzip_bomb(),
            says: "more than the 262144 bytes allowed", ..FAILS
        },
        Row {
            fault: "honest gzip",
            answer: |issuer, _| Answer::gzip(issuer.jwks_of(ES256)),
            ..WORKS
        },
        Row {
            fault: "a set without a key",
            answer: |_, _| Answer::empty_set(),
            says: "there is no usable key", ..FAILS
        },
        Row {
            fault: "101 keys",
            answer: |_, _| Answer::many_keys(101),
            says: "the set has 101 keys, and 100 are allowed", ..FAILS
        },
        Row {
            fault: "one bad entry",
            answer: |issuer, _| Answer::one_bad_entry(issuer, ES256),
            ..WORKS
        },
        Row {
            fault: "500",
            answer: |_, _| Answer::status(500),
            says: "status 500", ..FAILS
        },
        Row {
            fault: "too many requests",
            answer: |_, _| Answer::too_many_requests("120"),
            unknown: unavailable(Some(Duration::from_secs(120))),
            // Without keys, the server's word does not close the service.
            says: "status 429", ..FAILS
        },
        Row {
            fault: "too many requests, for longer than a set may be fresh",
            answer: |_, _| Answer::too_many_requests("999999"),
            unknown: unavailable(Some(Duration::from_secs(3600))),
            says: "status 429", ..FAILS
        },
        Row {
            fault: "a connection that is cut",
            answer: |_, _| Answer::closed(),
            says: "connection closed", ..FAILS
        },
        Row {
            fault: "half an answer",
            answer: |issuer, _| Answer::truncated(issuer.jwks_of(ES256)),
            says: "end of file", ..FAILS
        },
        Row {
            fault: "no HTTP",
            answer: |_, _| Answer::garbage(),
            says: "invalid HTTP", ..FAILS
        },
    ]
}

async fn meet_after_it_was_loaded(row: &Row) {
    let fault = row.fault;
    let internal = KeyServer::start();
    let waits = Waits { timeout: row.timeout, ..PATIENT };
    let mut scene = Scene::waiting(waits, KeyServer::start(), |options, _| options);
    scene.load().await;
    internal.serve_keys(PATH, &scene.issuer, ES256);
    scene.server.answer(PATH, (row.answer)(&scene.issuer, &internal));
    let known = scene.token();

    let waiting = tokio::spawn(scene.see(scene.unknown()));
    scene.server.hit(PATH, 2).await;
    assert_eq!(scene.see_at_once(&known), ACCEPTED, "{fault}: while it is fetched");
    assert_eq!(waiting.await.expect("no panic"), row.unknown, "{fault}: an unknown key");
    // Whoever waits is told before others are.
    let (end, hits) = scene.end().await;
    assert_eq!((hits, internal.all_hits()), (2, 0), "{fault}: requests");

    assert_eq!(scene.see_at_once(&known), ACCEPTED, "{fault}: after it was fetched");
    let health = scene.keys.health();
    assert_eq!((health.serves, health.keys, health.generation), (true, 1, 1), "{fault}");
    let error = scene.last_error();
    if row.says.is_empty() {
        assert_eq!((end, error), (End::SameKeys, None), "{fault}");
    } else {
        let error = error.expect(fault);
        assert!(error.starts_with(&scene.server.url(PATH)), "{fault}: {error}");
        assert!(error.contains(row.says), "{fault}: {error}");
        assert!(end.says(row.says), "{fault}: {end:?}");
    }
}

async fn meet_at_a_cold_start(row: &Row) {
    let fault = row.fault;
    let internal = KeyServer::start();
    let waits = Waits { timeout: row.timeout, ..PATIENT };
    let mut scene = Scene::waiting(waits, KeyServer::start(), |options, _| options);
    internal.serve_keys(PATH, &scene.issuer, ES256);
    scene.server.answer(PATH, (row.answer)(&scene.issuer, &internal));

    assert_eq!(scene.see(scene.token()).await, row.cold, "{fault}");
    let (end, hits) = scene.end().await;
    assert_eq!((hits, internal.all_hits()), (1, 0), "{fault}: requests");
    let health = scene.keys.health();
    if row.says.is_empty() {
        assert_eq!((end, scene.last_error()), (End::OtherKeys, None), "{fault}");
        assert_eq!((health.serves, health.keys), (true, 1), "{fault}");
    } else {
        let error = scene.last_error().expect(fault);
        assert!(error.contains(row.says), "{fault}: {error}");
        assert!(end.says(row.says), "{fault}: {end:?}");
        assert_eq!((health.serves, health.keys), (false, 0), "{fault}");
        assert_eq!(health.age, None, "{fault}");
    }
}

/// All of them to their ends, so that each that fails is seen.
async fn all(mut tests: JoinSet<()>) {
    let mut failed = 0;
    while let Some(test) = tests.join_next().await {
        failed += usize::from(test.is_err());
    }
    assert_eq!(failed, 0, "how many failed");
}

#[tokio::test]
async fn a_set_that_was_loaded_outlives_every_fault() {
    let mut tests = JoinSet::new();
    for row in faults() {
        tests.spawn(async move { meet_after_it_was_loaded(&row).await });
    }
    all(tests).await;
}

#[tokio::test]
async fn at_a_cold_start_a_fault_is_the_servers_trouble_and_not_the_clients() {
    let mut tests = JoinSet::new();
    for row in faults() {
        tests.spawn(async move { meet_at_a_cold_start(&row).await });
    }
    all(tests).await;
}

#[tokio::test]
async fn nobody_waits_longer_than_allowed_for_a_server_that_hangs() {
    let waits = Waits { max_wait: Duration::from_millis(200), ..PATIENT };
    let scene = Scene::waiting(waits, KeyServer::start(), |options, _| options);
    scene.server.answer(PATH, Answer::hang());
    let waiting: Vec<_> = [(); 3].map(|()| tokio::spawn(scene.see(scene.token()))).into();
    scene.server.hit(PATH, 1).await;
    for waiting in waiting {
        // The fetch goes on, and nobody knows for how long.
        assert_eq!(waiting.await.unwrap(), unavailable(None));
    }
    assert_eq!(scene.server.hits(PATH), 1);
}

#[tokio::test]
async fn only_so_many_requests_wait_at_a_time() {
    let scene = Scene::new(KeyServer::start(), |options, _| options.max_waiting_without_keys(3));
    scene.server.answer(PATH, Answer::keys(&scene.issuer, ES256).held());
    // Each waits from its first poll on.
    let mut waiting = [(); 3].map(|()| Box::pin(scene.see(scene.token())));
    for one in &mut waiting {
        assert_eq!(at_first_poll(one.as_mut()), Poll::Pending);
    }
    assert_eq!(scene.see(scene.token()).await, unavailable(Some(SECOND)));
    assert_eq!(scene.keys.health().throttled, 1);
    // Whoever goes makes room.
    let [gone, second, third] = waiting;
    drop(gone);
    let mut late = Box::pin(scene.see(scene.token()));
    assert_eq!(at_first_poll(late.as_mut()), Poll::Pending);
    scene.server.hit(PATH, 1).await;
    scene.server.release();
    for one in [second, third, late] {
        assert_eq!(one.await, ACCEPTED);
    }
    assert_eq!(scene.server.hits(PATH), 1);
}

#[tokio::test]
async fn a_server_that_flaps_is_forgiven_each_time() {
    let mut scene = Scene::loaded(KeyServer::start(), |options, _| options).await;
    let honest = Answer::keys(&scene.issuer, ES256);
    scene.server.answer(PATH, Answer::cycle([Answer::status(500), honest]));
    let known = scene.token();
    let failed =
        End::Failed(format!("{}: the server answered with status 500", scene.server.url(PATH)));
    for round in 0..2 {
        // Waits for the end of the cool-down, then for the fetch.
        assert_eq!(scene.see(scene.unknown()).await, FOR_A_MOMENT, "{round}");
        assert_eq!(scene.see_at_once(&known), ACCEPTED, "{round}");
        // Nobody asks, and yet it is tried again.
        assert_eq!(scene.end().await, (failed.clone(), 2 + 2 * round));
        assert_eq!(scene.end().await, (End::SameKeys, 3 + 2 * round));
        let health = scene.keys.health();
        assert_eq!((scene.last_error(), health.failures), (None, 0), "{round}");
        assert_eq!(scene.see_at_once(&known), ACCEPTED, "{round}");
    }
}

#[tokio::test]
async fn a_cold_start_at_a_server_that_flaps_works_with_the_next_request() {
    let mut scene = Scene::new(KeyServer::start(), |options, _| options);
    let honest = Answer::keys(&scene.issuer, ES256);
    scene.server.answer(PATH, Answer::cycle([Answer::status(500), honest]));
    assert_eq!(scene.see(scene.token()).await, FOR_A_MOMENT);
    assert_eq!(scene.see(scene.token()).await, ACCEPTED);
    let failed =
        End::Failed(format!("{}: the server answered with status 500", scene.server.url(PATH)));
    assert_eq!(scene.end().await, (failed, 1));
    assert_eq!(scene.end().await, (End::OtherKeys, 2));
}

#[tokio::test]
async fn whoever_waits_for_keys_has_them_once_the_server_is_well() {
    let scene = Scene::new(KeyServer::start(), |options, _| options);
    scene
        .server
        .answer(PATH, Answer::each([Answer::status(500), Answer::closed(), Answer::html()]));
    let ready = tokio::spawn({
        let policy = scene.policy.clone();
        async move { policy.keys_ready().await }
    });
    scene.server.hit(PATH, 4).await;
    assert!(!ready.is_finished());
    scene.server.serve_keys(PATH, &scene.issuer, ES256);
    in_time(ready).await.unwrap();
    assert_eq!(scene.see_at_once(&scene.token()), ACCEPTED);
}

#[tokio::test]
async fn a_server_that_says_when_to_come_back_is_not_asked_before() {
    let waits = Waits { max_wait: 2 * SECOND, ..PATIENT };
    let mut scene = Scene::waiting(waits, KeyServer::start(), |options, _| options);
    scene.load().await;
    scene.server.answer(PATH, Answer::too_many_requests("120"));
    let minutes = Duration::from_secs(120);
    assert_eq!(scene.see(scene.unknown()).await, unavailable(Some(minutes)));
    assert_eq!(scene.end().await.1, 2);
    for _ in 0..100 {
        // Nobody waits for two minutes.
        let seen = at_first_poll(scene.see(scene.unknown()));
        let Poll::Ready(Seen::Refused(Error::Key(KeyError::Unavailable(unavailable)))) = seen
        else {
            panic!("{seen:?}")
        };
        assert!(unavailable.retry_after.is_some_and(|rest| rest <= minutes), "{unavailable:?}");
    }
    assert_eq!(scene.see_at_once(&scene.token()), ACCEPTED);
    assert_eq!(scene.server.hits(PATH), 2);
    // An operator may.
    let error = scene.refresh().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: the server answered with status 429", scene.server.url(PATH))
    );
    assert_eq!(scene.server.hits(PATH), 3);
}

#[tokio::test]
async fn a_key_that_was_taken_out_is_refused_with_the_next_request() {
    let waits = Waits { cool_down: LONG, max_wait: Duration::ZERO, ..PATIENT };
    let mut scene = Scene::waiting(waits, KeyServer::start(), |options, _| options);
    scene.load().await;
    let old = scene.token();
    let held = scene.policy.verify_token_now(&old).unwrap();
    scene.issuer.rotate(Algorithm::ES256);
    scene.issuer.retire("es256-1");
    let new = scene.token();
    assert_eq!(scene.see_at_once(&new), UNKNOWN, "nobody looks before the cool-down is over");
    assert_eq!(scene.policy.recheck_now(&held), Ok(()));

    scene.refresh().await.unwrap();
    assert_eq!(scene.end().await, (End::OtherKeys, 2));
    // One answer without it may be of a server that is behind.
    let seen = scene.see(old.clone()).await;
    assert!(matches!(seen, Seen::Refused(Error::Key(KeyError::Unavailable(_)))), "{seen:?}");
    assert_eq!(scene.policy.recheck_now(&held), Err(IN_DOUBT));
    assert_eq!(scene.see_at_once(&new), ACCEPTED);
    let health = scene.keys.health();
    assert_eq!((health.keys, health.generation), (1, 2));
    scene.refresh().await.unwrap();
    assert_eq!(scene.see_at_once(&old), UNKNOWN);
    assert_eq!(scene.policy.recheck(&held).await, Err(Error::Key(KeyError::Withdrawn)));
}

#[tokio::test]
async fn a_token_by_a_new_key_brings_the_new_set_and_ends_the_old_key() {
    let mut scene = Scene::loaded(KeyServer::start(), |options, _| options).await;
    let old = scene.token();
    let held = scene.policy.verify_token_now(&old).unwrap();
    scene.issuer.rotate(Algorithm::ES256);
    scene.issuer.retire("es256-1");

    assert_eq!(scene.see(scene.token()).await, ACCEPTED);
    assert_eq!(scene.end().await, (End::OtherKeys, 2));
    assert_eq!(scene.policy.recheck_now(&held), Err(IN_DOUBT));
    // Waits for one more fetch: it could have been published again.
    assert_eq!(scene.see(old).await, UNKNOWN);
    assert_eq!(scene.end().await, (End::SameKeys, 3));
}

#[tokio::test]
async fn a_key_that_was_published_while_a_fetch_was_under_way_is_found_by_the_next() {
    let mut scene = Scene::new(KeyServer::start(), |options, _| options);
    let before = Answer::json(scene.issuer.jwks_of(ES256)).held();
    scene.server.answer(PATH, before);
    let first = tokio::spawn(scene.see(scene.token()));
    scene.server.hit(PATH, 1).await;

    scene.issuer.rotate(Algorithm::ES256);
    let mut second = Box::pin(scene.see(scene.token()));
    assert_eq!(at_first_poll(second.as_mut()), Poll::Pending);
    scene.server.serve_keys(PATH, &scene.issuer, ES256);
    scene.server.release();
    assert_eq!(first.await.unwrap(), ACCEPTED);
    assert_eq!(second.await, ACCEPTED);
    assert_eq!(scene.end().await, (End::OtherKeys, 1));
    assert_eq!(scene.end().await, (End::OtherKeys, 2));
}

#[tokio::test]
async fn a_key_of_the_same_id_that_is_another_takes_the_old_ones_place() {
    let scene = Scene::loaded(KeyServer::start(), |options, _| options).await;
    let held = scene.policy.verify_token_now(scene.token()).unwrap();
    let other = scene.issuer.impostor();
    assert_eq!(other.key(Algorithm::ES256).id(), scene.issuer.key(Algorithm::ES256).id());
    scene.server.serve_keys(PATH, &other, ES256);
    scene.refresh().await.unwrap();
    assert_eq!(scene.policy.recheck_now(&held), Err(Error::Key(KeyError::Withdrawn)));
    assert!(scene.policy.verify_token_now(scene.token()).is_err());
    assert!(scene.policy.verify_token_now(other.token(Algorithm::ES256).mint()).is_ok());
}

#[tokio::test]
async fn a_bad_entry_costs_no_other_and_the_health_says_where_it_stands_and_why() {
    let scene = Scene::new(KeyServer::start(), |options, _| options);
    scene.server.answer(PATH, Answer::one_bad_entry(&scene.issuer, ES256));
    assert_eq!(scene.see(scene.token()).await, ACCEPTED);
    let health = scene.keys.health();
    let [skipped] = &health.skipped[..] else { panic!("one entry, not {:?}", health.skipped) };
    assert_eq!((skipped.index, skipped.key_id.as_deref()), (0, Some("broken")));
    assert_eq!(skipped.fault, KeyFault::Missing { member: "e" });
    assert_eq!((health.keys, scene.last_error()), (1, None));
    // And a set without it says so.
    scene.server.serve_keys(PATH, &scene.issuer, ES256);
    scene.refresh().await.unwrap();
    assert_eq!(scene.keys.health().skipped, []);
}

#[tokio::test]
async fn a_set_that_did_not_change_is_not_sent_again() {
    let mut scene = Scene::loaded(KeyServer::start(), |options, _| options).await;
    scene.refresh().await.unwrap();
    assert_eq!(scene.end().await, (End::SameKeys, 2));
    let requests = scene.server.requests();
    let condition = |n: usize| requests[n].header("if-none-match").is_some();
    assert_eq!((condition(0), condition(1)), (false, true));
    assert_eq!(scene.see_at_once(&scene.token()), ACCEPTED);
}

/// Asks for real, perhaps after one good answer that it has in store.
#[derive(Debug)]
struct First {
    answer: Mutex<Option<HttpResponse>>,
    then: Client,
}

impl First {
    fn new(is_loaded: bool, then: Client) -> Self {
        let body = TestIssuer::new(ISSUER).jwks_of(ES256).into_bytes();
        let answer = HttpResponse::new(200, body);
        Self { answer: Mutex::new(is_loaded.then_some(answer)), then }
    }
}

impl HttpClient for First {
    fn get(&self, request: HttpRequest) -> HttpFuture {
        match self.answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(answer) => Box::pin(ready(Ok(answer))),
            None => self.then.get(request),
        }
    }
}

/// A client that trusts only the authority of this server.
fn trusting(server: &KeyServer) -> Client {
    let pem = server.certificate_pem().expect("a server of HTTPS");
    Client::builder().root_certificates(pem).build().expect("good options")
}

/// What requests see where no connection comes about; the scene is told whether the set is to be
/// loaded before.
async fn meet_nobody(fault: &str, says: &str, scene: impl Fn(bool) -> Scene) {
    for is_loaded in [false, true] {
        let mut scene = scene(is_loaded);
        let known = scene.token();
        if is_loaded {
            scene.load().await;
            assert_eq!(scene.see(scene.unknown()).await, FOR_A_MOMENT, "{fault}");
            assert_eq!(scene.see_at_once(&known), ACCEPTED, "{fault}");
        } else {
            assert_eq!(scene.see(known).await, FOR_A_MOMENT, "{fault}");
        }
        let error = scene.last_error().expect(fault);
        assert!(error.contains(says), "{fault}: {error}");
        let (end, hits) = scene.end().await;
        assert!(end.says(says), "{fault}: {end:?}");
        assert_eq!(hits, 0, "{fault}");
    }
}

#[tokio::test]
async fn a_server_with_a_bad_certificate_is_told_nothing() {
    let mut tests = JoinSet::new();
    for (fault, certificate, says) in [
        ("signed by itself", Certificate::SelfSigned, "UnknownIssuer"),
        ("expired", Certificate::Expired, "expired"),
        ("of another host", Certificate::WrongHost, "not valid for name"),
    ] {
        let scene = move |is_loaded| {
            Scene::new(KeyServer::start_tls(certificate), |options, server| {
                options.client(First::new(is_loaded, trusting(server)))
            })
        };
        tests.spawn(meet_nobody(fault, says, scene));
    }
    all(tests).await;
}

#[tokio::test]
async fn no_certificate_is_trusted_for_being_on_this_machine() {
    for certificate in
        [Certificate::Good, Certificate::SelfSigned, Certificate::Expired, Certificate::WrongHost]
    {
        let mut scene = Scene::new(KeyServer::start_tls(certificate), |options, _| options);
        assert_eq!(scene.see(scene.token()).await, FOR_A_MOMENT, "{certificate:?}");
        let (end, hits) = scene.end().await;
        let End::Failed(error) = end else { panic!("{certificate:?}: {end:?}") };
        assert!(error.contains("certificate"), "{certificate:?}: {error}");
        assert_eq!(hits, 0, "{certificate:?}");
    }
}

#[tokio::test]
async fn a_good_certificate_of_an_authority_that_the_client_is_given_is_trusted() {
    let mut scene = Scene::new(KeyServer::start_tls(Certificate::Good), |options, server| {
        options.client(trusting(server))
    });
    assert_eq!(scene.see(scene.token()).await, ACCEPTED);
    assert_eq!(scene.end().await, (End::OtherKeys, 1));
    // And is as wary as the default one.
    let internal = KeyServer::start();
    internal.serve_keys(PATH, &scene.issuer, ES256);
    scene.server.answer(PATH, Answer::redirect(internal.url(PATH)));
    let error = scene.refresh().await.unwrap_err().to_string();
    assert!(error.contains("the server redirects (302)"), "{error}");
    assert_eq!(internal.all_hits(), 0);
    scene.server.answer(PATH, Answer::gzip(scene.issuer.jwks_of(ES256)));
    assert_eq!(scene.refresh().await, Ok(()));
    scene.server.answer(PATH, Answer::gzip_bomb());
    let error = scene.refresh().await.unwrap_err().to_string();
    assert!(error.contains("more than the 262144 bytes"), "{error}");
}

#[tokio::test]
async fn a_port_on_which_nobody_listens_is_an_outage_like_any_other() {
    let url = format!("http://127.0.0.1:1{PATH}");
    let scene = |is_loaded| {
        Scene::at(&url, PATIENT, KeyServer::start(), |options, _| {
            let client = Client::builder().build().expect("good options");
            options.client(First::new(is_loaded, client))
        })
    };
    meet_nobody("nobody listens", "connect", scene).await;
}

/// What the system says of the most memory that this process ever had, in KiB.
#[cfg(target_os = "linux")]
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_too_large_is_not_kept_in_memory() {
    let before = peak();
    for answer in [Answer::gzip_bomb(), Answer::endless(), Answer::endless_headers()] {
        let scene = Scene::new(KeyServer::start(), |options, _| options);
        scene.server.answer(PATH, answer);
        scene.refresh().await.unwrap_err();
    }
    // Other tests run beside it, none of which needs much. The bomb is 128 MiB.
    let grown = peak() - before;
    assert!(grown < 64 * 1024, "{grown} KiB");
}

/// Runs itself once more where the system has no certificates.
#[test]
fn plain_http_needs_no_certificates_of_the_system() {
    const INSIDE: &str = "PORTCULLIS_TEST_WITHOUT_CERTIFICATES";
    if std::env::var_os(INSIDE).is_some() {
        let server = KeyServer::start();
        let issuer = server.issuer(&[Algorithm::ES256]);
        RemoteJwks::discovery().load_at_start().start_for(issuer.name()).unwrap();
        let secure = RemoteJwks::url("https://localhost:1/keys").load_at_start().start_for("a");
        let refused = secure.unwrap_err().to_string();
        assert!(refused.contains("No CA certificates were loaded"), "{refused}");
        return;
    }
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "plain_http_needs_no_certificates_of_the_system"]);
    again.env(INSIDE, "").env("SSL_CERT_FILE", "/dev/null/none").env("SSL_CERT_DIR", "/dev/null");
    let output = again.output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
