//! Sessions over a store in memory that fails, or lets others in, before or after each call.
mod bound;
mod certificates;

use core::future::Future;
use core::time::Duration;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use portcullis::revocation::store::{PublishFuture, RevocationEntry, RevocationStore};
use portcullis::{Algorithm, Clock, Policy, Revocable, Revocation, Revocations, Secret, UnixTime};
use proptest::prelude::*;
use serde_json::json;

use crate::issuer::TokenIssuer;
use crate::machine::MachineTime;
use crate::refresh::{RefreshFormat, RefreshSecret};
use crate::ring::Phase;
use crate::session::{
    Created, EndedAll, EndedSession, ListedAfter, MemorySessions, NewSession, RaisedSubject,
    Rotation, SessionRead, SessionRow, SessionStore, SessionVersion, SubjectRead,
};
use crate::store::{MemoryRing, StoreError, Swap};
use crate::{
    AccessToken, Answer, BeginError, Begun, CompleteSessions, EndError, EndReason, LifetimeFault,
    Lifetimes, MintError, RefreshError, RefreshRefusal, RefreshRequest, RefreshToken, Refreshed,
    RetryWindow, RootSecrets, Session, SessionEvent, SessionId, Sessions, SessionsBuildError,
    SessionsBuilder, SessionsFault, SessionsUnavailable, StoreTime, Unanswered, dangerous,
};

const ISSUER: &str = "https://id.example";
const ROOT: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
const ACCESS: Duration = Duration::from_secs(15 * 60);
/// 2027-01-15.
const NOW: i64 = 1_800_000_000;
const YOUNG: u64 = 60;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// One time for machine, stores and policies.
#[derive(Clone, Debug, Default)]
struct Time(Arc<Mutex<Duration>>);

impl MachineTime for Time {
    fn elapsed(&self) -> Duration {
        *self.0.lock().expect("no panic")
    }

    fn wall(&self) -> StoreTime {
        StoreTime::from_millis(NOW * 1000).after(self.elapsed())
    }
}

impl Clock for Time {
    fn now(&self) -> UnixTime {
        self.wall().as_unix()
    }
}

/// What happens around a call of the store.
type Act = Box<dyn Fn(&MemorySessions) -> Option<When> + Send>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// It fails, and nothing was done.
    Before,
    /// It fails, and it was done.
    After,
}

/// A store that counts its calls, and does something else at one of them.
#[derive(Clone, Default)]
struct Scripted {
    inner: MemorySessions,
    calls: Arc<AtomicUsize>,
    writes: Arc<AtomicUsize>,
    /// At which call, from 1, and what.
    act: Arc<Mutex<Option<(usize, Act)>>>,
}

impl Scripted {
    fn at(&self, call: usize, act: impl Fn(&MemorySessions) -> Option<When> + Send + 'static) {
        self.calls.store(0, Ordering::Relaxed);
        *self.act.lock().expect("no panic") = Some((call, Box::new(act)));
    }

    fn as_it_is(&self) -> usize {
        *self.act.lock().expect("no panic") = None;
        self.calls.swap(0, Ordering::Relaxed)
    }

    async fn call<T>(
        &self,
        asked: impl AsyncFnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let when = match &*self.act.lock().expect("no panic") {
            Some((at, act)) if *at == call => act(&self.inner),
            _ => None,
        };
        match when {
            Some(When::Before) => Err(StoreError::new("scripted")),
            Some(When::After) => asked().await.and(Err(StoreError::new("scripted"))),
            None => asked().await,
        }
    }
}

/// Each method, by way of [`Scripted::call`].
macro_rules! scripted {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        impl SessionStore for Scripted {
            $(async fn $name(&self, issuer: &str, $($argument: $type),*) -> Result<$output, StoreError> {
                let is_write = ["create", "rotate", "end", "end_all"].contains(&stringify!($name));
                self.writes.fetch_add(usize::from(is_write), Ordering::Relaxed);
                self.call(async || self.inner.$name(issuer, $($argument),*).await).await
            })*
        }
    };
}

scripted! {
    fn subject(subject: &str) -> SubjectRead;
    fn create(new: NewSession<'_>) -> Created;
    fn read(id: SessionId) -> SessionRead;
    fn rotate(id: SessionId, from: SessionVersion, to: &Rotation) -> Swap;
    fn end(id: SessionId, reason: EndReason) -> bool;
    fn end_all(subject: &str, but: Option<SessionId>, reason: EndReason) -> EndedAll;
    fn list(subject: &str, after: Option<ListedAfter>, limit: usize) -> Vec<SessionRow>;
    fn ended(since: StoreTime, after: Option<EndedSession>, limit: usize) -> Vec<EndedSession>;
    fn raised(since: StoreTime, after: Option<&RaisedSubject>, limit: usize) -> Vec<RaisedSubject>;
    fn prune(before: StoreTime, after: Option<SessionId>, limit: usize) -> Option<SessionId>;
    fn erase(subject: &str, before: StoreTime) -> bool;
}

/// What the application answers.
type Says = Arc<Mutex<Result<Answer<serde_json::Value>, Unanswered>>>;

struct World {
    time: Time,
    ring: MemoryRing,
    store: Scripted,
    revocations: Revocations,
    says: Says,
    events: Arc<Mutex<Vec<SessionEvent>>>,
}

impl World {
    fn new() -> Self {
        let time = Time::default();
        let world = Self {
            revocations: Revocations::options().clock(time.clone()).in_memory(),
            time,
            ring: MemoryRing::new(),
            store: Scripted::default(),
            says: Arc::new(Mutex::new(Ok(Answer::GoOn(json!({}))))),
            events: Arc::default(),
        };
        world.set(Duration::ZERO);
        world
    }

    fn set(&self, elapsed: Duration) {
        *self.time.0.lock().expect("no panic") = elapsed;
        self.ring.set_now(self.time.wall());
        self.store.inner.set_now(self.time.wall());
    }

    fn advance(&self, by: u64) {
        self.set(self.time.elapsed() + seconds(by));
    }

    fn says(&self, says: Result<Answer<serde_json::Value>, Unanswered>) {
        *self.says.lock().expect("no panic") = says;
    }

    fn reasons(&self) -> Vec<EndReason> {
        let events = core::mem::take(&mut *self.events.lock().expect("no panic"));
        let reason = |event| match event {
            SessionEvent::Ended { reason, .. } | SessionEvent::Replayed { reason, .. } => {
                Some(reason)
            }
            _ => None,
        };
        events.into_iter().filter_map(reason).collect()
    }

    async fn issuer(&self) -> TokenIssuer<MemoryRing> {
        self.issuer_of(ACCESS).await
    }

    async fn issuer_of(&self, lifetime: Duration) -> TokenIssuer<MemoryRing> {
        self.issuer_by(Algorithm::ES256, lifetime).await
    }

    async fn issuer_by(&self, algorithm: Algorithm, lifetime: Duration) -> TokenIssuer<MemoryRing> {
        let builder = TokenIssuer::builder(ISSUER)
            .algorithm(algorithm)
            .audiences(["https://orders.example"])
            .lifetime(lifetime)
            .root_secrets([Secret::new(ROOT)])
            .ring(self.ring.clone())
            .revocations(self.revocations.clone())
            .time(Arc::new(self.time.clone()))
            .refreshed_by_hand();
        builder.build().await.expect("an issuer")
    }

    async fn builder(&self) -> SessionsBuilder<MemoryRing, CompleteSessions> {
        self.builder_for(&self.issuer().await)
    }

    fn builder_for(
        &self,
        issuer: &TokenIssuer<MemoryRing>,
    ) -> SessionsBuilder<MemoryRing, CompleteSessions> {
        let (says, events) = (self.says.clone(), self.events.clone());
        Sessions::builder(issuer)
            .store(self.store.clone())
            .lifetimes(Lifetimes::aal2())
            .ask(move |_| {
                let says = says.lock().expect("no panic").clone();
                async move { says }
            })
            .on_event(move |event| events.lock().expect("no panic").push(event.clone()))
    }

    async fn sessions(&self) -> Sessions {
        self.builder().await.build().await.expect("sessions")
    }

    async fn policy(&self) -> Policy {
        let kinds = [Revocable::Session, Revocable::Version, Revocable::Key];
        let enforced = self.revocations.enforce(kinds).version_claims(["subject_version"]);
        let builder = self.issuer().await.policy_builder().clock(self.time.clone());
        builder.revocations(enforced).build().expect("a policy")
    }
}

async fn begin(sessions: &Sessions) -> Begun {
    let attempt = sessions.attempt("alice").await.expect("an attempt");
    sessions.begin(attempt.succeeded("web")).await.expect("a session")
}

async fn refresh(sessions: &Sessions, token: &RefreshToken) -> Result<Refreshed, RefreshError> {
    sessions.refresh(&RefreshRequest::new(token.as_str(), "web")).await
}

fn refused(refusal: RefreshRefusal) -> Option<RefreshError> {
    Some(RefreshError::Refused(refusal))
}

fn ended(reason: EndReason) -> Option<RefreshError> {
    refused(RefreshRefusal::Ended(reason))
}

/// A session whose refresh token rotated, long enough ago for a replay: the tokens before and after.
async fn rotated(world: &World, sessions: &Sessions) -> (Begun, RefreshToken, RefreshToken) {
    let begun = begin(sessions).await;
    world.advance(YOUNG);
    let refreshed = refresh(sessions, &begun.refresh).await.expect("rotated");
    let (old, new) = (begun.refresh.clone(), refreshed.refresh.expect("another token"));
    (begun, old, new)
}

#[tokio::test]
async fn access_tokens_say_what_the_session_began_with_and_the_application_adds() {
    let world = World::new();
    let (sessions, policy) = (world.sessions().await, world.policy().await);
    let attempt = sessions.attempt("alice").await.expect("an attempt");
    let login = attempt.succeeded("web").acr("aal2").amr(["pwd", "otp"]).scopes(["read", "write"]);
    world.says(Ok(Answer::GoOn(json!({ "plan": "gold" }))));
    let begun = sessions.begin(login.label("Firefox")).await.expect("a session");
    world.advance(YOUNG);
    world.says(Ok(Answer::GoOn(json!({ "plan": "silver" }))));
    let refreshed = refresh(&sessions, &begun.refresh).await.expect("refreshed");
    for (minted, plan) in [(begun.access, "gold"), (refreshed.access, "silver")] {
        let token = policy.verify_token_now(&minted.token).expect("a good token");
        assert_eq!(token.subject(), Some("alice"));
        assert_eq!(SessionId::of(&token), Some(begun.session.id()));
        let claims = json!({
            "client_id": "web", "sid": begun.session.id().to_string(), "subject_version": 0,
            "auth_time": NOW, "acr": "aal2", "amr": ["pwd", "otp"], "scope": "read write",
            "plan": plan,
        });
        let said = token.claims::<serde_json::Value>().expect("an object");
        for (name, value) in claims.as_object().expect("an object") {
            assert_eq!(said.get(name), Some(value), "{name}");
        }
    }
    assert_eq!(refreshed.session.label(), Some("Firefox"));
}

#[tokio::test]
async fn a_young_token_goes_on_and_is_not_told_again() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    for age in [0, 30, YOUNG - 1] {
        world.set(seconds(age));
        let refreshed = refresh(&sessions, &begun.refresh).await.expect("kept");
        assert_eq!(refreshed.refresh, None, "{age}");
    }
    world.set(seconds(YOUNG));
    let refreshed = refresh(&sessions, &begun.refresh).await.expect("rotated");
    assert_ne!(refreshed.refresh.as_ref(), Some(&begun.refresh));
    assert!(refreshed.refresh.is_some());
}

#[tokio::test]
async fn a_retry_gets_the_same_token_at_every_process_and_after_a_restart() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (_, old, new) = rotated(&world, &sessions).await;
    for age in [0, 10, 29] {
        world.set(seconds(YOUNG + age));
        let retried = refresh(&world.sessions().await, &old).await.expect("a retry");
        assert_eq!(retried.refresh.as_ref(), Some(&new), "{age}");
    }
}

#[tokio::test]
async fn a_replay_ends_the_session_after_a_restart_too() {
    let world = World::new();
    let (_, old, new) = rotated(&world, &world.sessions().await).await;
    world.advance(30);
    let sessions = world.sessions().await;
    assert_eq!(refresh(&sessions, &old).await.err(), ended(EndReason::Replay));
    assert_eq!(refresh(&sessions, &new).await.err(), ended(EndReason::Replay));
    assert_eq!(world.reasons(), [EndReason::Replay], "once");
}

/// Others compare whole seconds, or moments.
#[tokio::test]
async fn a_replay_is_found_though_the_clock_stands_still() {
    let world = World::new();
    let sessions = world.builder().await.retry_window(Duration::ZERO).build().await;
    let sessions = sessions.expect("sessions");
    let begun = begin(&sessions).await;
    let mut tokens = vec![begun.refresh];
    for _ in 0..2 {
        let refreshed = refresh(&sessions, &tokens[tokens.len() - 1]).await.expect("rotated");
        tokens.push(refreshed.refresh.expect("another token"));
    }
    assert_eq!(refresh(&sessions, &tokens[0]).await.err(), ended(EndReason::Replay));
    assert_eq!(refresh(&sessions, &tokens[2]).await.err(), ended(EndReason::Replay));
}

#[tokio::test]
async fn the_grandparent_within_the_window_is_a_replay() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (begun, _, new) = rotated(&world, &sessions).await;
    world.advance(YOUNG);
    refresh(&sessions, &new).await.expect("rotated");
    assert_eq!(refresh(&sessions, &begun.refresh).await.err(), ended(EndReason::Replay));
}

#[tokio::test]
async fn a_user_and_a_thief_who_come_apart_are_found_at_the_second_use() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (_, _, shared) = rotated(&world, &sessions).await;
    world.advance(ACCESS.as_secs());
    // Its ring was read lately.
    let sessions = world.sessions().await;
    let thief = refresh(&sessions, &shared).await.expect("the thief goes first");
    world.advance(31);
    assert_eq!(refresh(&sessions, &shared).await.err(), ended(EndReason::Replay));
    let token = thief.refresh.expect("another token");
    assert_eq!(refresh(&sessions, &token).await.err(), ended(EndReason::Replay));
    assert!(world.policy().await.verify_token_now(&thief.access.token).is_err());
}

#[tokio::test]
async fn tokens_of_a_session_that_ended_end_nothing_else() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (_, old, new) = rotated(&world, &sessions).await;
    let other = begin(&sessions).await;
    sessions.sign_out(&RefreshRequest::new(new.as_str(), "web")).await.expect("signed out");
    assert_eq!(world.reasons(), [EndReason::SignedOut]);
    for token in [&old, &new] {
        assert_eq!(refresh(&sessions, token).await.err(), ended(EndReason::SignedOut));
        sessions.sign_out(&RefreshRequest::new(token.as_str(), "web")).await.expect("no matter");
    }
    assert_eq!(world.reasons(), []);
    refresh(&sessions, &other.refresh).await.expect("goes on");
}

/// What does not carry our tag is refused before the store is asked.
#[tokio::test]
async fn what_is_no_refresh_token_of_ours_asks_nothing_and_ends_nothing() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    let other_root = RootSecrets::new([Secret::new("u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new")]);
    let other_keys = other_root.expect("a good secret").keys("refresh", ISSUER);
    let secret = RefreshSecret::random().expect("random bytes");
    let foreign = RefreshFormat::new("pcl_rt_", &other_keys).write(begun.session.id(), 0, &secret);
    let token = begun.refresh.as_str();
    world.store.as_it_is();
    let texts = ["", "x", token.trim_end_matches(|_| true), &token[1..], &token[..104]];
    for text in texts.into_iter().chain([foreign.as_str(), &begun.access.token]) {
        let request = RefreshRequest::new(text, "web");
        assert_eq!(sessions.refresh(&request).await.err(), refused(RefreshRefusal::NotOurs));
        sessions.sign_out(&request).await.expect("no matter");
    }
    assert_eq!(world.store.as_it_is(), 0);
    refresh(&sessions, &begun.refresh).await.expect("goes on");
}

/// Only who has the root secret can write such a token, or somebody whose session is forgotten.
#[tokio::test]
async fn a_token_of_a_session_that_is_not_there_costs_one_reading() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    let keys =
        RootSecrets::new([Secret::new(ROOT)]).expect("a good secret").keys("refresh", ISSUER);
    let format = RefreshFormat::new("pcl_rt_", &keys);
    let (mut id, secret) = (*begun.session.id().as_bytes(), RefreshSecret::random());
    id[0] ^= 1;
    let token = format.write(SessionId::from_bytes(id), 0, &secret.expect("random bytes"));
    world.store.as_it_is();
    for _ in 0..100 {
        assert_eq!(refresh(&sessions, &token).await.err(), refused(RefreshRefusal::Unknown));
        assert_eq!(world.store.as_it_is(), 1);
    }
}

/// An emergency: the key that signs is withdrawn.
#[tokio::test]
async fn a_stolen_signing_key_ends_no_session_and_its_access_tokens_are_refused() {
    let world = World::new();
    let (issuer, policy) = (world.issuer().await, world.policy().await);
    let sessions = Sessions::builder(&issuer)
        .store(world.store.clone())
        .lifetimes(Lifetimes::aal2())
        .ask(async |_| Ok(Answer::go_on()));
    let sessions = sessions.build().await.expect("sessions");
    let begun = begin(&sessions).await;
    assert!(policy.verify_token(&begun.access.token).await.is_ok());
    let status = issuer.status().expect("a ring");
    let signs = status.keys.iter().find(|key| key.phase == Phase::Signing);
    issuer.withdraw(&signs.expect("a key").key_id).await.expect("withdrawn");
    let refused = policy.verify_token(&begun.access.token).await.expect_err("revoked");
    assert_eq!(refused.reason(), "revoked");
    let refreshed = refresh(&sessions, &begun.refresh).await.expect("goes on");
    assert!(policy.verify_token(&refreshed.access.token).await.is_ok());
    // And a refresh token is no access token, whoever signs.
    assert!(policy.verify_token(begun.refresh.as_str()).await.is_err());
}

#[tokio::test]
async fn another_clients_token_is_refused_and_neither_consumed_nor_ended() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (_, old, new) = rotated(&world, &sessions).await;
    world.advance(YOUNG);
    let writes = world.store.writes.load(Ordering::Relaxed);
    for token in [&old, &new] {
        let request = RefreshRequest::new(token.as_str(), "native");
        assert_eq!(sessions.refresh(&request).await.err(), refused(RefreshRefusal::Client));
        sessions.sign_out(&request).await.expect("no matter");
    }
    assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
    refresh(&sessions, &new).await.expect("goes on");
}

#[tokio::test]
async fn fewer_scopes_hold_for_one_access_token_and_others_are_refused() {
    let world = World::new();
    let (sessions, policy) = (world.sessions().await, world.policy().await);
    let attempt = sessions.attempt("alice").await.expect("an attempt");
    let login = attempt.succeeded("web").scopes(["read", "write"]);
    let begun = sessions.begin(login).await.expect("a session");
    let request = || RefreshRequest::new(begun.refresh.as_str(), "web");
    let scope = |refreshed: Refreshed| {
        let token = policy.verify_token_now(&refreshed.access.token).expect("a good token");
        token.claims::<serde_json::Value>().expect("an object").get("scope").cloned()
    };
    for (asked, expected) in
        [(Some("read"), "read"), (None, "read write"), (Some("write"), "write")]
    {
        let request = asked.map_or_else(request, |asked| request().scopes([asked]));
        let refreshed = sessions.refresh(&request).await.expect("refreshed");
        assert_eq!(scope(refreshed), Some(json!(expected)));
    }
    let twice = sessions.refresh(&request().scopes(["read", "read"])).await;
    assert_eq!(twice.err(), Some(RefreshError::Scope));
    for asked in ["admin", "rea", "read write", ""] {
        let asked = sessions.refresh(&request().scopes([asked])).await;
        assert_eq!(asked.err(), Some(RefreshError::Scope));
    }
    refresh(&sessions, &begun.refresh).await.expect("goes on");
}

/// What each way of going on asks of the store, in order.
const WAYS: [(&str, usize); 3] = [("keep", 2), ("again", 2), ("rotate", 2)];

/// A session that goes on in this way with this token.
async fn on_the_way(world: &World, sessions: &Sessions, way: &str) -> (SessionId, RefreshToken) {
    let (begun, old, new) = rotated(world, sessions).await;
    let token = match way {
        "keep" => new,
        "again" => old,
        _ => {
            world.advance(YOUNG);
            new
        }
    };
    world.store.as_it_is();
    (begun.session.id(), token)
}

#[tokio::test]
async fn an_end_during_a_refresh_is_seen_whenever_it_comes() {
    type End = fn(&MemorySessions, SessionId);
    let ends: [End; 2] = [
        |store, id| {
            now(store.end(ISSUER, id, EndReason::SignedOut)).expect("ended");
        },
        |store, _| {
            let reason = EndReason::SignedOutEverywhere;
            now(store.end_all(ISSUER, "alice", None, reason)).expect("ended");
        },
    ];
    for (way, calls) in WAYS {
        for end in ends {
            for call in 1..=calls {
                let world = World::new();
                let sessions = world.sessions().await;
                let (id, token) = on_the_way(&world, &sessions, way).await;
                world.store.at(call, move |store| {
                    end(store, id);
                    None
                });
                let error = refresh(&sessions, &token).await.expect_err("it ended");
                let is_ended = matches!(error, RefreshError::Refused(RefreshRefusal::Ended(_)));
                assert!(is_ended, "{way}, call {call}: {error}");
            }
            // While the application answers.
            let world = World::new();
            let store = world.store.inner.clone();
            let ending = Arc::new(Mutex::new(None));
            let to_end = ending.clone();
            let sessions = Sessions::builder(&world.issuer().await)
                .store(world.store.clone())
                .lifetimes(Lifetimes::aal2())
                .ask(move |_| {
                    if let Some(id) = *to_end.lock().expect("no panic") {
                        end(&store, id);
                    }
                    async { Ok(Answer::go_on()) }
                });
            let sessions = sessions.build().await.expect("sessions");
            let (id, token) = on_the_way(&world, &sessions, way).await;
            *ending.lock().expect("no panic") = Some(id);
            assert!(refresh(&sessions, &token).await.is_err(), "{way}");
        }
    }
}

/// What is ready at once.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = core::pin::pin!(future);
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        core::task::Poll::Ready(done) => done,
        core::task::Poll::Pending => panic!("it waits"),
    }
}

#[tokio::test]
async fn no_fault_at_any_step_consumes_a_token() {
    for (way, calls) in WAYS {
        for call in 1..=calls {
            for when in [When::Before, When::After] {
                for again in [None, Some(When::Before), Some(When::After)] {
                    let world = World::new();
                    let sessions = world.sessions().await;
                    let (_, token) = on_the_way(&world, &sessions, way).await;
                    for when in [Some(when), again].into_iter().flatten() {
                        world.store.at(call, move |_| Some(when));
                        let failed = refresh(&sessions, &token).await;
                        let is_away = matches!(failed, Err(RefreshError::Unavailable(_)));
                        // Where the change was done, the second time is a retry, which takes its own way.
                        assert!(is_away || again.is_some(), "{way} {call} {when:?}: {failed:?}");
                    }
                    world.store.as_it_is();
                    world.advance(9);
                    let refreshed = refresh(&sessions, &token).await;
                    let refreshed = refreshed.unwrap_or_else(|it| panic!("{way} {call}: {it}"));
                    let next = refreshed.refresh.unwrap_or(token);
                    world.advance(YOUNG);
                    refresh(&sessions, &next).await.expect("goes on");
                    assert_eq!(world.reasons(), []);
                }
            }
        }
    }
}

#[tokio::test]
async fn neither_the_application_nor_the_signer_consumes_a_token() {
    for (way, _) in WAYS {
        let world = World::new();
        let sessions = world.sessions().await;
        let (_, token) = on_the_way(&world, &sessions, way).await;
        let writes = world.store.writes.load(Ordering::Relaxed);
        world.says(Err(Unanswered::new("the database of users is away")));
        let failed = refresh(&sessions, &token).await;
        assert!(matches!(failed, Err(RefreshError::Unavailable(_))), "{way}");
        world.says(Ok(Answer::GoOn(json!({ "sub": "admin" }))));
        let reserved = RefreshError::Token(MintError::Reserved { claim: "sub" });
        assert_eq!(refresh(&sessions, &token).await.err(), Some(reserved));
        world.says(Ok(Answer::GoOn(json!("gold"))));
        let not_an_object = RefreshError::Token(MintError::NotAnObject);
        assert_eq!(refresh(&sessions, &token).await.err(), Some(not_an_object));
        world.says(Ok(Answer::GoOn(json!({}))));
        assert_eq!(world.store.writes.load(Ordering::Relaxed), writes, "{way}");
        refresh(&sessions, &token).await.expect("goes on");
    }
}

#[tokio::test]
async fn where_the_ring_was_not_read_for_too_long_nothing_goes_on_and_nothing_is_consumed() {
    let world = World::new();
    let issuer = world.issuer().await;
    let sessions = Sessions::builder(&issuer)
        .store(world.store.clone())
        .lifetimes(Lifetimes::aal2())
        .ask(async |_| Ok(Answer::go_on()));
    let sessions = sessions.build().await.expect("sessions");
    let (begun, other) = (begin(&sessions).await, begin(&sessions).await);
    world.advance(11 * 60);
    let failed = refresh(&sessions, &begun.refresh).await;
    assert!(matches!(failed, Err(RefreshError::Unavailable(_))), "{failed:?}");
    // To sign out, nothing needs to be signed.
    sessions.sign_out(&RefreshRequest::new(other.refresh.as_str(), "web")).await.expect("ended");
    issuer.refresh().await.expect("a ring");
    refresh(&sessions, &begun.refresh).await.expect("goes on");
}

#[tokio::test]
async fn a_session_ends_when_the_application_says_so() {
    for (way, _) in WAYS {
        let world = World::new();
        let (sessions, policy) = (world.sessions().await, world.policy().await);
        let (id, token) = on_the_way(&world, &sessions, way).await;
        let access = refresh(&sessions, &token).await.expect("goes on").access;
        world.says(Ok(Answer::End(EndReason::AccountDisabled)));
        let token = token.clone();
        assert_eq!(refresh(&sessions, &token).await.err(), ended(EndReason::AccountDisabled));
        world.says(Ok(Answer::GoOn(json!({}))));
        assert_eq!(refresh(&sessions, &token).await.err(), ended(EndReason::AccountDisabled));
        assert!(policy.verify_token_now(&access.token).is_err());
        let row = now(world.store.inner.read(ISSUER, id)).expect("a row").row.expect("a row");
        assert_eq!(row.ended.map(|ended| ended.reason), Some(EndReason::AccountDisabled));
    }
}

#[tokio::test]
async fn a_session_ends_in_time_however_often_it_is_used() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    let mut token = begun.refresh;
    let end = begun.session.ends_at();
    let mut last = begun.access.expires_at;
    while world.time.wall() < end {
        let refreshed = refresh(&world.sessions().await, &token).await.expect("goes on");
        last = refreshed.access.expires_at;
        assert!(last <= end.as_unix());
        token = refreshed.refresh.unwrap_or(token);
        world.advance(ACCESS.as_secs());
    }
    assert_eq!(last, end.as_unix());
    let sessions = world.sessions().await;
    assert_eq!(refresh(&sessions, &token).await.err(), refused(RefreshRefusal::Expired));
}

#[tokio::test]
async fn a_session_that_nobody_comes_back_to_is_over() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (_, _, token) = rotated(&world, &sessions).await;
    world.advance(3599);
    // Another issuer, whose ring was read lately.
    let refreshed = refresh(&world.sessions().await, &token).await.expect("goes on");
    world.advance(3600);
    let token = refreshed.refresh.expect("another token");
    let sessions = world.sessions().await;
    assert_eq!(refresh(&sessions, &token).await.err(), refused(RefreshRefusal::Idle));
}

#[tokio::test]
async fn logging_out_everywhere_refuses_access_tokens_at_once_but_here() {
    let world = World::new();
    let (sessions, policy) = (world.sessions().await, world.policy().await);
    let (here, there) = (begin(&sessions).await, begin(&sessions).await);
    let id = here.session.id();
    let reason = EndReason::SignedOutEverywhere;
    let count = sessions.end_all("alice", Some(id), reason).await.expect("ended");
    assert_eq!(count, 1);
    for begun in [&here, &there] {
        assert!(policy.verify_token_now(&begun.access.token).is_err());
    }
    assert_eq!(refresh(&sessions, &there.refresh).await.err(), ended(reason));
    let refreshed = refresh(&sessions, &here.refresh).await.expect("goes on");
    assert!(policy.verify_token_now(&refreshed.access.token).is_ok());
    assert!(policy.verify_token_now(&begin(&sessions).await.access.token).is_ok());
}

/// They have neither session nor version, and nobody has logged in with them.
#[tokio::test]
async fn tokens_of_services_pass_where_sessions_are_enforced_if_they_are_named() {
    let world = World::new();
    let issuer = world.issuer().await;
    let billing = issuer.mint_now(&AccessToken::of_service("billing")).expect("a token");
    let kinds = [Revocable::Session, Revocable::Version];
    let enforced = || world.revocations.enforce(kinds).version_claims(["subject_version"]);
    let policy = |enforced| {
        let builder = issuer.policy_builder().clock(world.time.clone());
        builder.revocations(enforced).build().expect("a policy")
    };
    assert!(policy(enforced()).verify_token_now(&billing.token).is_err());
    let named = policy(enforced().service_clients(ISSUER, ["billing"]));
    assert!(named.verify_token_now(&billing.token).is_ok());
    let other = issuer.mint_now(&AccessToken::of_service("web")).expect("a token");
    assert!(named.verify_token_now(&other.token).is_err());
}

#[tokio::test]
async fn a_login_under_way_does_not_survive_a_new_password() {
    let world = World::new();
    let sessions = world.sessions().await;
    let attempt = sessions.attempt("alice").await.expect("an attempt");
    // The old password was right. Then the new one is set.
    sessions.end_all("alice", None, EndReason::CredentialsChanged).await.expect("ended");
    let begun = sessions.begin(attempt.succeeded("web")).await;
    assert_eq!(begun.err(), Some(BeginError::LoggedOut));
    begin(&sessions).await;
}

#[tokio::test]
async fn a_login_that_takes_too_long_is_begun_anew() {
    let world = World::new();
    let sessions = world.sessions().await;
    let attempt = sessions.attempt("alice").await.expect("an attempt");
    world.advance(601);
    let begun = sessions.begin(attempt.succeeded("web")).await;
    assert_eq!(begun.err(), Some(BeginError::TooOld));
}

#[tokio::test]
async fn who_may_not_log_in_has_no_session() {
    let world = World::new();
    let sessions = world.sessions().await;
    world.says(Ok(Answer::End(EndReason::AccountDisabled)));
    let attempt = sessions.attempt("alice").await.expect("an attempt");
    let begun = sessions.begin(attempt.succeeded("web")).await;
    assert_eq!(begun.err(), Some(BeginError::Refused(EndReason::AccountDisabled)));
    assert!(sessions.list("alice", None, 9).await.expect("a list").is_empty());
    for (subject, length) in [(String::new(), 0), ("a".repeat(1025), 1025)] {
        let error = sessions.attempt(subject).await.expect_err("refused");
        assert_eq!(error, BeginError::Token(MintError::Text { claim: "sub", length }));
    }
}

#[tokio::test]
async fn a_login_ends_the_session_whose_token_came_along() {
    let world = World::new();
    let sessions = world.sessions().await;
    let before = begin(&sessions).await;
    for (token, reasons) in [("junk", vec![]), (before.refresh.as_str(), vec![EndReason::NewLogin])]
    {
        let attempt = sessions.attempt("bob").await.expect("an attempt");
        let login = attempt.succeeded("web").replaces(token);
        sessions.begin(login).await.expect("a session");
        assert_eq!(world.reasons(), reasons);
    }
    assert_eq!(refresh(&sessions, &before.refresh).await.err(), ended(EndReason::NewLogin));
    assert!(world.policy().await.verify_token_now(&before.access.token).is_err());
}

#[tokio::test]
async fn the_oldest_sessions_of_a_subject_end_when_there_are_too_many() {
    let world = World::new();
    let sessions = world.builder().await.sessions_per_subject(2).build().await.expect("sessions");
    let mut begun = Vec::new();
    for _ in 0..3 {
        begun.push(begin(&sessions).await);
        world.advance(1);
    }
    assert_eq!(refresh(&sessions, &begun[0].refresh).await.err(), ended(EndReason::TooMany));
    let list = sessions.list("alice", None, 9).await.expect("a list");
    let ids: Vec<_> = list.iter().map(Session::id).collect();
    assert_eq!(ids, [begun[2].session.id(), begun[1].session.id()]);
    let first = &list[0];
    let after = ListedAfter { created_at: first.created_at(), id: first.id() };
    let rest = sessions.list("alice", Some(after), 9).await.expect("a list");
    assert_eq!(rest.iter().map(Session::id).collect::<Vec<_>>(), ids[1..]);
}

/// As after the last step of a root secret's change.
#[tokio::test]
async fn a_session_of_another_root_secret_is_left_out_of_the_list_and_hides_no_other() {
    let world = World::new();
    let sessions = world.sessions().await;
    let mut own = Vec::new();
    for foreign in [true, false, true, true, false] {
        world.advance(1);
        let id = begin(&sessions).await.session.id();
        match foreign {
            true => world.store.inner.tamper(ISSUER, id, |row| row.mac = vec![0; 32]),
            false => own.insert(0, id),
        }
    }
    for page in [1, 2, 3] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let sessions = sessions.list("alice", after, page).await.expect("a list");
            listed.extend(sessions.iter().map(Session::id));
            if sessions.len() < page {
                break;
            }
            after = sessions
                .last()
                .map(|last| ListedAfter { created_at: last.created_at(), id: last.id() });
        }
        assert_eq!(listed, own, "{page} at a time");
    }
}

#[tokio::test]
async fn a_subject_that_no_database_takes_is_refused_before_one_is_asked() {
    let world = World::new();
    let sessions = world.sessions().await;
    world.store.as_it_is();
    let error = sessions.attempt("ali\0ce").await.expect_err("refused");
    assert_eq!(error, BeginError::Token(MintError::Nul { claim: "sub" }));
    assert_eq!(world.store.as_it_is(), 0);
    let login = sessions.attempt("alice").await.expect("an attempt").succeeded("we\0b");
    let error = sessions.begin(login).await.expect_err("refused");
    assert_eq!(error, BeginError::Token(MintError::Nul { claim: "client_id" }));
    assert!(world.events.lock().expect("no panic").is_empty());
}

/// It would delete what others have yet to revoke, or miss what ended.
#[tokio::test]
async fn a_process_whose_clock_is_wrong_deletes_nothing_and_says_so() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    sessions.end(begun.session.id(), EndReason::SignedOut).await.expect("ended");
    let now = world.time.wall();
    for wrong in [now.before(seconds(2 * 86_400)), now.after(seconds(86_400))] {
        world.store.inner.set_now(wrong);
        let failed = sessions.catch_up().await;
        let is_clock =
            matches!(failed, Err(EndError::Unavailable(SessionsUnavailable::Clock { .. })));
        assert!(is_clock, "{failed:?}");
        assert!(sessions.erase("alice").await.is_err());
    }
    world.store.inner.set_now(now);
    sessions.catch_up().await.expect("caught up");
    let row = world.store.read(ISSUER, begun.session.id()).await.expect("a store").row;
    assert!(row.is_some(), "it is kept for a day");
}

#[tokio::test]
async fn a_user_ends_sessions_of_their_own_alone() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    let id = begun.session.id();
    assert_eq!(sessions.end_of("bob", id).await, Ok(false));
    refresh(&sessions, &begun.refresh).await.expect("goes on");
    assert_eq!(sessions.end_of("alice", id).await, Ok(true));
    assert_eq!(
        refresh(&sessions, &begun.refresh).await.err(),
        ended(EndReason::SignedOutElsewhere)
    );
    assert_eq!(sessions.end_of("alice", id).await, Ok(false));
}

/// A failover that lost commits, or a backup that was restored.
#[tokio::test]
async fn an_end_that_the_store_lost_does_not_come_back() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (begun, old, new) = rotated(&world, &sessions).await;
    let id = begun.session.id();
    let before = now(world.store.inner.read(ISSUER, id)).expect("a row").row.expect("a row");
    sessions.end(id, EndReason::SignedOut).await.expect("ended");
    world.store.inner.tamper(ISSUER, id, |row| *row = before.clone());
    for token in [&new, &old] {
        assert!(refresh(&sessions, token).await.is_err());
    }
    assert_eq!(refresh(&sessions, &new).await.err(), ended(EndReason::Revoked));
}

#[tokio::test]
async fn a_version_that_the_store_lost_does_not_come_back_and_its_subject_logs_in() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    let id = begun.session.id();
    let before = now(world.store.inner.read(ISSUER, id)).expect("a row").row.expect("a row");
    sessions.end_all("alice", None, EndReason::SignedOutEverywhere).await.expect("ended");
    // A store without the subject's row.
    let restored = World { store: Scripted::default(), ..world };
    restored.store.inner.set_now(restored.time.wall());
    let new = NewSession { row: &before, replaces: None, most: 9 };
    now(restored.store.inner.create(ISSUER, new)).expect("created");
    let sessions = restored.sessions().await;
    assert_eq!(refresh(&sessions, &begun.refresh).await.err(), ended(EndReason::Revoked));
    restored.advance(1);
    let begun = begin(&sessions).await;
    assert!(restored.policy().await.verify_token_now(&begun.access.token).is_ok());
    refresh(&sessions, &begun.refresh).await.expect("goes on");
}

#[tokio::test]
async fn a_rotation_that_the_store_lost_ends_the_session() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    let id = begun.session.id();
    let before = now(world.store.inner.read(ISSUER, id)).expect("a row").row.expect("a row");
    world.advance(YOUNG);
    let refreshed = refresh(&sessions, &begun.refresh).await.expect("rotated");
    world.store.inner.tamper(ISSUER, id, |row| *row = before.clone());
    let token = refreshed.refresh.expect("another token");
    assert_eq!(refresh(&sessions, &token).await.err(), ended(EndReason::LostRotation));
    assert_eq!(refresh(&sessions, &begun.refresh).await.err(), ended(EndReason::LostRotation));
}

#[tokio::test]
async fn what_another_process_ended_is_revoked_here_when_it_is_looked_for_and_at_the_start() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    let id = begun.session.id();
    now(world.store.inner.end(ISSUER, id, EndReason::Operator)).expect("ended");
    let policy = world.policy().await;
    assert!(policy.verify_token_now(&begun.access.token).is_ok(), "nobody knows yet");
    sessions.catch_up().await.expect("looked");
    assert!(policy.verify_token_now(&begun.access.token).is_err());

    let forgetful = Revocations::options().clock(world.time.clone()).in_memory();
    world.advance(ACCESS.as_secs() - 1);
    let restarted = World { revocations: forgetful, ..world };
    let policy = restarted.policy().await;
    assert!(policy.verify_token_now(&begun.access.token).is_ok(), "nobody knows yet");
    restarted.sessions().await;
    assert!(policy.verify_token_now(&begun.access.token).is_err());
}

/// A store of revocations that is away, or not.
#[derive(Clone, Debug, Default)]
struct Away(Arc<AtomicBool>);

impl RevocationStore for Away {
    fn publish(&self, _: RevocationEntry) -> PublishFuture {
        let is_away = self.0.load(Ordering::Relaxed);
        Box::pin(async move {
            if is_away {
                Err(portcullis::revocation::store::StoreError::new("away"))
            } else {
                Ok(())
            }
        })
    }
}

#[tokio::test]
async fn what_ended_while_the_store_of_revocations_was_away_is_revoked_once_it_is_back() {
    let world = World::new();
    let away = Away::default();
    let options = Revocations::options().clock(world.time.clone());
    let list = options.shared([1; 16], seconds(60));
    let world = World { revocations: Revocations::new(list, away.clone()), ..world };
    let sessions = world.sessions().await;
    let (one, other) = (begin(&sessions).await, begin(&sessions).await);
    away.0.store(true, Ordering::Relaxed);
    let ended = sessions.end(one.session.id(), EndReason::SignedOut).await;
    assert!(matches!(ended, Err(EndError::NotRevoked(_))), "{ended:?}");
    let everywhere = sessions.end_all("alice", None, EndReason::SignedOutEverywhere).await;
    assert!(matches!(everywhere, Err(EndError::NotRevoked(_))), "{everywhere:?}");
    assert!(refresh(&sessions, &one.refresh).await.is_err(), "it ended all the same");
    for _ in 0..3 {
        world.advance(60);
        assert!(sessions.catch_up().await.is_err(), "still away");
    }
    let is_revoked = |id: SessionId| {
        let (issuer, session) = (ISSUER.to_owned(), id.to_string());
        world.revocations.is_revoked(&Revocation::Session { issuer, session, until: None })
    };
    assert!(!is_revoked(one.session.id()));
    away.0.store(false, Ordering::Relaxed);
    sessions.catch_up().await.expect("back");
    assert!(is_revoked(one.session.id()) && is_revoked(other.session.id()));
    assert!(world.revocations.version_needed(ISSUER, "alice").is_some());
    let told: Vec<_> = world.events.lock().expect("no panic").iter().cloned().collect();
    let is_told = |event: &&SessionEvent| {
        matches!(event, SessionEvent::NotRevoked { .. } | SessionEvent::Revoked)
    };
    assert_eq!(told.iter().filter(is_told).count(), 2, "once each: {told:?}");
}

#[tokio::test]
async fn whoever_writes_to_the_store_makes_no_session_their_own() {
    type Change = fn(&mut SessionRow);
    let changes: [Change; 3] = [
        |row| row.subject = "admin".to_owned(),
        |row| row.details = row.details.replace("3600000", "36000000"),
        |row| row.ends_at = row.ends_at.after(seconds(9999)),
    ];
    for change in changes {
        let world = World::new();
        let sessions = world.sessions().await;
        let begun = begin(&sessions).await;
        world.store.inner.tamper(ISSUER, begun.session.id(), change);
        let foreign = RefreshError::Unavailable(SessionsUnavailable::Foreign);
        assert_eq!(refresh(&sessions, &begun.refresh).await.err(), Some(foreign));
    }
}

/// All that a copy of the store has, in the form of a token, with and without the key of the tag.
#[tokio::test]
async fn a_copy_of_the_store_opens_no_session_not_even_with_the_key_of_the_tag() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (begun, ..) = rotated(&world, &sessions).await;
    let row = now(world.store.inner.read(ISSUER, begun.session.id())).expect("a row").row;
    let row = row.expect("a row");
    let previous = row.previous.expect("it rotated");
    let root = RootSecrets::new([Secret::new(ROOT)]).expect("a good secret");
    let format = RefreshFormat::new("pcl_rt_", &root.keys("refresh", ISSUER));
    let mut padded = [0; 32];
    padded[..16].copy_from_slice(&previous.salt);
    for bytes in [row.current_hash, previous.hash, padded] {
        for generation in [0, row.generation, row.generation + 1] {
            let secret = RefreshSecret::from_bytes(bytes);
            for secret in [secret.successor(&previous.salt, row.id), secret] {
                let token = format.write(row.id, generation, &secret);
                assert!(refresh(&sessions, &token).await.is_err());
            }
        }
    }
}

#[tokio::test]
async fn however_many_come_at_once_one_write_is_made_in_a_window() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    world.advance(YOUNG);
    let writes = world.store.writes.load(Ordering::Relaxed);
    let mut tokens = Vec::new();
    for _ in 0..200 {
        tokens.extend(refresh(&sessions, &begun.refresh).await.expect("goes on").refresh);
    }
    tokens.dedup();
    assert_eq!((tokens.len(), world.store.writes.load(Ordering::Relaxed)), (1, writes + 1));
}

#[tokio::test]
async fn a_clock_that_is_wrong_stops_sessions_and_consumes_nothing() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    for off in [31, 3600] {
        for wrong in [world.time.wall().after(seconds(off)), world.time.wall().before(seconds(off))]
        {
            world.store.inner.set_now(wrong);
            let error = refresh(&sessions, &begun.refresh).await.expect_err("refused");
            let is_clock =
                matches!(error, RefreshError::Unavailable(SessionsUnavailable::Clock { .. }));
            assert!(is_clock, "{error}");
        }
    }
    world.set(world.time.elapsed());
    refresh(&sessions, &begun.refresh).await.expect("goes on");
}

#[tokio::test]
async fn a_late_retry_goes_on_where_it_is_allowed_and_ends_what_it_displaced() {
    let world = World::new();
    let sessions = world.builder().await.late_retry(seconds(3600)).build().await;
    let sessions = sessions.expect("sessions");
    let (_, old, lost) = rotated(&world, &sessions).await;
    world.advance(300);
    let forked = refresh(&sessions, &old).await.expect("a late retry");
    let token = forked.refresh.expect("another token");
    assert_ne!(token, lost);
    let refreshed = refresh(&sessions, &token).await.expect("goes on");
    assert_eq!(refresh(&sessions, &lost).await.err(), ended(EndReason::Replay));
    let token = refreshed.refresh.unwrap_or(token);
    assert_eq!(refresh(&sessions, &token).await.err(), ended(EndReason::Replay));
}

#[tokio::test]
async fn what_is_over_for_a_day_is_deleted_and_what_is_not_stays() {
    let world = World::new();
    let sessions = world.sessions().await;
    let (ended_one, idle) = (begin(&sessions).await, begin(&sessions).await);
    sessions.end(ended_one.session.id(), EndReason::SignedOut).await.expect("ended");
    world.advance(24 * 3600 - 60);
    let young = begin(&world.sessions().await).await;
    let is_there = |begun: &Begun| {
        now(world.store.inner.read(ISSUER, begun.session.id())).expect("read").row.is_some()
    };
    world.sessions().await.catch_up().await.expect("looked");
    assert!(is_there(&ended_one) && is_there(&idle) && is_there(&young));
    world.advance(3600 + 120);
    world.sessions().await.catch_up().await.expect("looked");
    assert!(!is_there(&ended_one) && !is_there(&idle) && is_there(&young));
}

#[tokio::test]
async fn a_subject_is_erased_once_no_token_of_it_is_about() {
    let world = World::new();
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    let under_way = sessions.attempt("alice").await.expect("an attempt");
    assert_eq!(sessions.erase("alice").await, Ok(false), "other processes learn it from the store");
    assert!(refresh(&sessions, &begun.refresh).await.is_err());
    let login = sessions.begin(under_way.succeeded("web")).await;
    assert_eq!(login.err(), Some(BeginError::LoggedOut), "nor does a login under way begin");
    for _ in 0..17 {
        world.advance(60);
        assert_eq!(world.sessions().await.erase("alice").await, Ok(false), "not yet");
    }
    world.advance(120);
    assert_eq!(world.sessions().await.erase("alice").await, Ok(true));
    let read = now(world.store.inner.read(ISSUER, begun.session.id())).expect("read");
    assert_eq!((read.row, read.subject_version), (None, 0));
    // Who comes by that name afterwards is somebody else.
    let sessions = world.sessions().await;
    let begun = begin(&sessions).await;
    assert!(world.policy().await.verify_token_now(&begun.access.token).is_ok());
}

#[tokio::test]
async fn every_fault_of_sessions_is_told_at_once() {
    let world = World::new();
    let issuer = world.issuer().await;
    let window = seconds(61);
    let built = Sessions::builder(&issuer)
        .store(MemorySessions::new())
        .lifetimes(Lifetimes::aal3())
        .ask(async |_| Ok(Answer::go_on()))
        .retry_window(window)
        .late_retry(seconds(9))
        .token_prefix("acme rt")
        .sessions_per_subject(0)
        .build()
        .await;
    let error = built.expect_err("refused");
    let least = 2 * ACCESS;
    assert_eq!(
        error,
        SessionsBuildError::Faults(vec![
            SessionsFault::Window { window },
            SessionsFault::Lifetimes(LifetimeFault::Idle { idle: ACCESS, access: ACCESS, least }),
            SessionsFault::LateRetry { late: seconds(9), window },
            SessionsFault::Prefix,
            SessionsFault::NoSessions,
        ])
    );
    assert_eq!(format!("{error:?}").lines().count(), 6);
}

#[tokio::test]
async fn without_a_list_of_revocations_no_session_begins() {
    let world = World::new();
    let issuer = TokenIssuer::builder(ISSUER)
        .algorithm(Algorithm::ES256)
        .audiences(["https://orders.example"])
        .lifetime(ACCESS)
        .root_secrets([Secret::new(ROOT)])
        .ring(world.ring.clone())
        .time(Arc::new(world.time.clone()))
        .refreshed_by_hand();
    let issuer = issuer.build().await.expect("an issuer");
    let sessions = Sessions::builder(&issuer).store(world.store.clone());
    let sessions = sessions.lifetimes(Lifetimes::aal2()).ask(async |_| Ok(Answer::go_on()));
    let error = sessions.build().await.expect_err("refused");
    assert_eq!(error, SessionsBuildError::Faults(vec![SessionsFault::NoRevocations]));
    assert!(format!("{error:?}").contains(".revocations(Revocations::in_memory())"));
}

#[tokio::test]
async fn a_retry_window_that_is_long_beside_an_access_token_needs_leave_and_is_bounded_all_the_same()
 {
    let world = World::new();
    let access = seconds(60);
    let issuer = world.issuer_of(access).await;
    let build = async |window: RetryWindow| {
        let builder = Sessions::builder(&issuer).store(world.store.clone());
        let builder = builder.lifetimes(Lifetimes::aal2()).ask(async |_| Ok(Answer::go_on()));
        builder.retry_window(window).build().await.map(|_| ())
    };
    let refused = |fault| Err(SessionsBuildError::Faults(vec![fault]));

    let window = seconds(7);
    let fault = LifetimeFault::Window { window, access };
    assert_eq!(build(window.into()).await, refused(SessionsFault::Lifetimes(fault)));
    assert_eq!(build(dangerous::long_retry_window(window)).await, Ok(()));

    let window = seconds(61);
    let longest = build(dangerous::long_retry_window(window)).await;
    assert_eq!(longest, refused(SessionsFault::Window { window }));
}

#[tokio::test]
async fn sessions_do_not_begin_where_nobody_can_tell_what_ended() {
    let world = World::new();
    world.store.inner.set_fault(Some(StoreError::new("away")));
    let built = world.builder().await.build().await;
    assert!(matches!(built, Err(SessionsBuildError::Unavailable(_))), "{built:?}");
}

#[tokio::test]
async fn nothing_shows_a_token_or_whose_it_is() {
    let world = World::new();
    let sessions = world.sessions().await;
    let attempt = sessions.attempt("alice-the-subject").await.expect("an attempt");
    let login = attempt.succeeded("web").label("alice's phone");
    let mut told = format!("{login:?}");
    let begun = sessions.begin(login).await.expect("a session");
    world.advance(YOUNG);
    let request = RefreshRequest::new(begun.refresh.as_str(), "web");
    let refreshed = sessions.refresh(&request).await.expect("rotated");
    world.advance(30);
    let error = sessions.refresh(&request).await.expect_err("a replay");
    told += &format!("{begun:?} {request:?} {refreshed:?} {error:?} {error} {sessions:?}");
    told += &format!("{:?}", world.events.lock().expect("no panic"));
    for event in world.events.lock().expect("no panic").iter() {
        told += &event.to_string();
    }
    assert!(!told.contains("alice") && !told.contains("pcl_rt_"), "{told}");
    assert!(!told.contains(&begun.access.token) && told.contains("Replayed"), "{told}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Tabs that share a jar, one request after the other; each may lose its answer, and then tries again within the window.
    /// Whatever they do in whatever order, at whichever of two processes, nobody is logged out.
    #[test]
    fn an_honest_client_is_never_refused(
        steps in proptest::collection::vec((0_u64..600, any::<bool>(), any::<bool>()), 1..60)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let world = World::new();
            let mut jar = begin(&world.sessions().await).await.refresh;
            let mut has_lost = false;
            for (wait, is_second, is_lost) in steps {
                world.advance(if has_lost { wait % 30 } else { wait });
                let both = [world.sessions().await, world.sessions().await];
                let refreshed = refresh(&both[usize::from(is_second)], &jar).await;
                let refreshed = refreshed.expect("never refused");
                has_lost = is_lost && !has_lost;
                if !has_lost {
                    jar = refreshed.refresh.unwrap_or(jar);
                }
            }
            assert_eq!(world.reasons(), []);
        });
    }
}

#[tokio::test]
async fn who_holds_a_session_now_is_told_it_and_nothing_changes() {
    let world = World::new();
    let sessions = world.sessions().await;
    // The application and the signer are not asked.
    let (begun, old, new) = rotated(&world, &sessions).await;
    world.says(Err(Unanswered::new("away")));
    let id = begun.session.id();
    let session_of = async |token: &RefreshToken, client: &str| {
        let session = sessions.session_of(&RefreshRequest::new(token.as_str(), client)).await;
        session.map(|session| session.id())
    };
    let writes = world.store.writes.load(Ordering::Relaxed);
    assert_eq!(session_of(&new, "web").await, Ok(id));
    assert_eq!(session_of(&old, "web").await, Ok(id), "a retry");
    assert_eq!(session_of(&new, "app").await.err(), refused(RefreshRefusal::Client));
    world.advance(YOUNG);
    assert_eq!(session_of(&new, "web").await, Ok(id), "one that is to rotate");
    assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
    // Two hold it.
    assert_eq!(session_of(&old, "web").await.err(), ended(EndReason::Replay));
    assert_eq!(session_of(&new, "web").await.err(), ended(EndReason::Replay));
    assert_eq!(world.reasons(), [EndReason::Replay]);
}

/// What browsers keep of a cookie (RFC 6265bis §5.6) holds a token of ML-DSA-44, and none of the others.
#[tokio::test]
async fn a_token_of_ml_dsa_65_or_87_fits_into_no_cookie_and_no_session_begins() {
    for (algorithm, fits) in
        [(Algorithm::ML_DSA_44, true), (Algorithm::ML_DSA_65, false), (Algorithm::ML_DSA_87, false)]
    {
        let world = World::new();
        let issuer = world.issuer_by(algorithm, ACCESS).await;
        let sessions = world.builder_for(&issuer).build().await.expect("sessions");
        let browser = crate::BrowserSessions::new(sessions.clone(), "web").expect("a client");
        let capacity = browser.access_cookie().capacity();
        let attempt = sessions.attempt("alice").await.expect("an attempt");
        let writes = world.store.writes.load(Ordering::Relaxed);
        let begun = sessions.begin(attempt.succeeded("web").token_limit(capacity)).await;
        match begun {
            Ok(_) => assert!(fits, "{algorithm}"),
            Err(BeginError::Token(MintError::TooLongForCookie { length, limit })) => {
                assert!(!fits && length > 4096 && limit == capacity, "{algorithm}: {length}");
                assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
            }
            Err(error) => panic!("{algorithm}: {error}"),
        }
    }
}

#[tokio::test]
async fn an_access_token_that_its_client_cannot_keep_is_not_issued_and_nothing_is_consumed() {
    let world = World::new();
    let sessions = world.sessions().await;
    let length = begin(&sessions).await.access.token.len();
    let too_long = |limit| MintError::TooLongForCookie { length, limit };
    let login = async |limit| {
        let attempt = sessions.attempt("alice").await.expect("an attempt");
        sessions.begin(attempt.succeeded("web").token_limit(limit)).await
    };
    let writes = world.store.writes.load(Ordering::Relaxed);
    let refused = login(length - 1).await.err();
    assert_eq!(refused, Some(BeginError::Token(too_long(length - 1))));
    assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
    let begun = login(length).await.expect("a session");
    world.advance(YOUNG);
    let request = |limit| RefreshRequest::new(begun.refresh.as_str(), "web").token_limit(limit);
    let writes = world.store.writes.load(Ordering::Relaxed);
    let refused = sessions.refresh(&request(length - 1)).await.err();
    assert_eq!(refused, Some(RefreshError::Token(too_long(length - 1))));
    assert_eq!(world.store.writes.load(Ordering::Relaxed), writes);
    let refreshed = sessions.refresh(&request(length)).await.expect("the same token is right");
    assert!(refreshed.refresh.is_some());
}
