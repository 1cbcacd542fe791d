//! Remote key sets under a paused clock, with a key server in memory.
mod discovery;
mod failure;
mod first_load;
mod freshness;
mod life;
mod limits;
mod unknown_key;

use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::*;
use crate::fetch::{FetchFault, HttpError, HttpFuture, HttpRequest, HttpResponse};
use crate::keys::{KeyError, KeyFault, KeysUnavailable, VerificationKey};
use crate::signature::Algorithm;
use crate::time::{Clock, UnixTime};
use crate::{Error, Issuer, Policy};

const ISSUER: &str = "https://id.example";
const KEYS: &str = "https://id.example/jwks";

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A key server. Its answers may change at any time.
#[derive(Clone, Debug, Default)]
struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    standing: HashMap<String, Reply>,
    next: VecDeque<Reply>,
    seen: Vec<Seen>,
}

/// A request that came.
#[derive(Clone)]
struct Seen {
    at: Instant,
    request: HttpRequest,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.request.headers.iter();
        headers.find_map(|(own, value)| (*own == name).then_some(value.as_str()))
    }
}

#[derive(Clone)]
enum Reply {
    Answer(HttpResponse),
    Fails(HttpError),
    Hangs,
    /// After some time.
    Late(Duration, Box<Self>),
    /// When it is told to.
    Held(Arc<Notify>, Box<Self>),
    Panics,
}

impl Reply {
    fn status(status: u16) -> Self {
        Self::Answer(HttpResponse { status, ..HttpResponse::default() })
    }

    fn text(text: impl Into<Vec<u8>>) -> Self {
        Self::Answer(HttpResponse { status: 200, headers: Vec::new(), body: text.into() })
    }

    fn set(keys: impl IntoIterator<Item = Value>) -> Self {
        let keys: Vec<_> = keys.into_iter().collect();
        Self::text(json!({ "keys": keys }).to_string())
    }

    /// A set of one key, under these ids.
    fn ids(ids: &[&str]) -> Self {
        Self::set(ids.iter().map(|id| jwk("p256", id)))
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer(response) = &mut self {
            response.headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    fn after(self, time: Duration) -> Self {
        Self::Late(time, Box::new(self))
    }

    fn future(self) -> HttpFuture {
        Box::pin(async move {
            match self {
                Self::Answer(response) => Ok(response),
                Self::Fails(error) => Err(error),
                Self::Hangs => core::future::pending().await,
                Self::Late(time, reply) => {
                    sleep(time).await;
                    reply.future().await
                }
                Self::Held(release, reply) => {
                    release.notified().await;
                    reply.future().await
                }
                Self::Panics => panic!("a client that panics"),
            }
        })
    }
}

impl Server {
    /// From now on answers so, where it was told nothing else.
    fn answers(&self, url: &str, reply: Reply) {
        self.state().standing.insert(url.to_owned(), reply);
    }

    /// Answers one request so.
    fn next(&self, reply: Reply) {
        self.state().next.push_back(reply);
    }

    fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    fn last(&self) -> Seen {
        self.seen().pop().expect("a request")
    }

    fn count(&self) -> usize {
        self.state().seen.len()
    }

    fn urls(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.request.url).collect()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no panic under the lock")
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl HttpClient for Server {
    fn get(&self, request: HttpRequest) -> HttpFuture {
        let mut state = self.state();
        let standing = state.standing.get(&request.url).cloned();
        state.seen.push(Seen { at: Instant::now(), request });
        let next = state.next.pop_front();
        next.or(standing).unwrap_or_else(|| Reply::status(404)).future()
    }
}

/// A key set whose driver runs in the runtime of the test.
struct Rig {
    remote: RemoteJwks,
    server: Server,
    events: Arc<Mutex<Vec<(Instant, RemoteKeysEvent)>>>,
    start: Instant,
}

impl Rig {
    /// Keys at [`KEYS`], where there are none yet.
    fn new() -> Self {
        Self::with(RemoteJwks::url(KEYS))
    }

    fn with(options: RemoteJwksOptions) -> Self {
        let server = Server::default();
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let observer = move |issuer: &str, event: &RemoteKeysEvent| {
            assert_eq!(issuer, ISSUER);
            told.lock().expect("no panic under the lock").push((Instant::now(), event.clone()));
        };
        let remote = start(options.on_event(observer).client(server.clone()));
        Self { remote, server, events, start: Instant::now() }
    }

    /// With keys of these ids, which have been loaded.
    async fn loaded(ids: &[&str]) -> Self {
        let rig = Self::new();
        rig.load(Reply::ids(ids)).await;
        rig
    }

    async fn load(&self, reply: Reply) {
        self.server.answers(KEYS, reply);
        soon(self.remote.ready()).await;
    }

    /// Lets all come to rest, and so much time pass.
    async fn pass(&self, time: Duration) {
        sleep(time).await;
    }

    async fn rest(&self) {
        self.pass(MILLISECOND).await;
    }

    async fn pass_to(&self, time: Duration) {
        sleep_until(self.start + time).await;
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The key of this id.
    fn key(&self, id: &str) -> Option<Arc<VerificationKey>> {
        self.remote.keys().iter().find(|key| key.id() == Some(id)).cloned()
    }

    fn ids(&self) -> Vec<String> {
        self.remote.keys().iter().map(|key| key.id().unwrap_or_default().to_owned()).collect()
    }

    fn seek(&self, id: &str) -> Option<KeyFuture> {
        self.remote.seek(&KeyQuery { key_id: Some(id), algorithm: Algorithm::ES256 })
    }

    /// A request with a token that names this key. Gives what it finds.
    async fn ask(&self, id: &str) -> Result<bool, KeysUnavailable> {
        if let Some(seek) = self.seek(id) {
            soon(seek).await?;
        }
        Ok(self.key(id).is_some())
    }

    /// A request of its own. Gives also when it was answered.
    fn spawn(&self, id: &str) -> JoinHandle<(Duration, Result<bool, KeysUnavailable>)> {
        let (remote, start, id) = (self.remote.clone(), self.start, id.to_owned());
        let seek = self.seek(&id);
        tokio::spawn(async move {
            let answer = match seek {
                Some(seek) => seek.await,
                None => Ok(()),
            };
            let has = || remote.keys().iter().any(|key| key.id() == Some(&id));
            (start.elapsed(), answer.map(|()| has()))
        })
    }

    fn events(&self) -> Vec<RemoteKeysEvent> {
        self.timed_events().into_iter().map(|(_, event)| event).collect()
    }

    fn timed_events(&self) -> Vec<(Instant, RemoteKeysEvent)> {
        self.events.lock().expect("no panic under the lock").clone()
    }

    fn names(&self) -> Vec<&'static str> {
        self.events().iter().map(name).collect()
    }

    fn fault(&self) -> KeyFetchFault {
        self.remote.health().last_error.expect("a failure").fault().clone()
    }

    /// A policy that trusts the issuer with these keys.
    fn policy(&self) -> Policy {
        let issuer = Issuer::new(ISSUER)
            .algorithms([Algorithm::ES256])
            .keys(self.remote.clone())
            .audience("https://orders.example");
        Policy::builder().issuer(issuer).clock(Noon).build().expect("a sound policy")
    }
}

/// Starts it in the runtime of the test.
fn start(options: RemoteJwksOptions) -> RemoteJwks {
    start_for(ISSUER, options)
}

fn start_for(issuer: &str, options: RemoteJwksOptions) -> RemoteJwks {
    let shared = options.prepare::<Server>(issuer.to_owned(), |_| unreachable!("it has one"));
    let shared = shared.expect("sound options");
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(drive(Arc::clone(&shared), stopped));
    let thread = Thread::get().expect("a thread");
    RemoteJwks {
        handle: Arc::new(Handle {
            shared,
            options: RemoteJwks::discovery(),
            _stop: stop,
            _thread: thread,
        }),
    }
}

fn name(event: &RemoteKeysEvent) -> &'static str {
    match event {
        RemoteKeysEvent::Refreshed { .. } => "refreshed",
        RemoteKeysEvent::Unchanged => "unchanged",
        RemoteKeysEvent::Failed { .. } => "failed",
        RemoteKeysEvent::UnknownKey => "unknown key",
        RemoteKeysEvent::Throttled { .. } => "throttled",
        RemoteKeysEvent::StaleServed { .. } => "stale served",
        RemoteKeysEvent::Expired => "expired",
    }
}

/// The public key of this name of `pem/keys.json`.
fn jwk(name: &str, id: &str) -> Value {
    let mut keys: Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/pem/keys.json"))
            .expect("the vectors");
    let mut jwk = keys[name]["jwk"].take();
    jwk["kid"] = id.into();
    jwk
}

/// Waits for what must not take for ever.
async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(HOUR, future).await.expect("an end")
}

/// What a future says without being waited for.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> UnixTime {
        UnixTime(1_800_000_000)
    }
}

/// A key of an issuer, and tokens signed with it.
struct Signer {
    pair: EcdsaKeyPair,
    id: &'static str,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { pair, id }
    }

    fn jwk(&self) -> Value {
        // SEC 1 §2.3.3: 04, x, y.
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        json!({ "kty": "EC", "crv": "P-256", "kid": self.id, "x": x, "y": y })
    }

    fn token(&self) -> String {
        let claims = json!({
            "iss": ISSUER,
            "sub": "alice",
            "aud": "https://orders.example",
            "exp": Noon.now().0 + 60,
        });
        let part = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let head = part(json!({ "alg": "ES256", "kid": self.id }));
        let text = format!("{head}.{}", part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).expect("a signature");
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// How a policy decides, if it does so at once.
fn at_once(policy: &Policy, token: &str) -> Option<Result<(), Error>> {
    let mut verdict = Box::pin(policy.verify_token(token));
    match poll_once(&mut verdict) {
        Poll::Ready(verdict) => Some(verdict.map(drop)),
        Poll::Pending => None,
    }
}
