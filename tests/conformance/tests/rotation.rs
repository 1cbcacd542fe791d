//! Keys from an address, through every door at once: they rotate under load, with and without
//! courtesy, under a flood of invented key ids, and while the key server hangs. All doors share one
//! key set, and what fetches it.
use std::env;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::keys::remote::{RemoteJwksOptions, RemoteKeysEvent};
use portcullis::policy::Verification;
use portcullis::{Algorithm, Issuer, Policy, RemoteJwks};
use portcullis_conformance::client::{Answer, Connection, Protocol, Request};
use portcullis_conformance::doors::{Door, Running};
use portcullis_testkit::TestIssuer;
use portcullis_testkit::key_server::{self, KeyServer};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

const PATH: &str = KeyServer::JWKS_PATH;
const ES256: &[Algorithm] = &[Algorithm::ES256];
const SECOND: Duration = Duration::from_secs(1);
/// More than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// Keep-alive connections through each door.
const CONNECTIONS: usize = 4;

/// A provider, and a set of its keys.
struct Keys {
    server: Arc<KeyServer>,
    issuer: TestIssuer,
    set: RemoteJwks,
    ends: watch::Receiver<Vec<End>>,
}

/// The end of a fetch.
#[derive(Clone, Debug)]
struct End {
    /// How many requests the key server had seen by then; the next fetch has not begun.
    hits: usize,
    /// The keys in use.
    ids: Vec<String>,
    /// Why it failed.
    error: Option<String>,
}

impl Keys {
    fn new(set: impl FnOnce(RemoteJwksOptions) -> RemoteJwksOptions) -> Self {
        let server = Arc::new(KeyServer::start());
        let issuer = server.issuer(ES256);
        let (ended, ends) = watch::channel(Vec::<End>::new());
        let seen_by = Arc::clone(&server);
        let options = RemoteJwks::url(server.url(PATH)).on_event(move |_, event| {
            let (ids, error) = match event {
                RemoteKeysEvent::Refreshed { keys, .. } => {
                    (Some(keys.iter().filter_map(|key| Some(key.id()?.to_owned())).collect()), None)
                }
                RemoteKeysEvent::Unchanged => (None, None),
                RemoteKeysEvent::Failed { error, .. } => (None, Some(error.to_string())),
                _ => return,
            };
            ended.send_modify(|ends| {
                let before = || ends.last().map(|end| end.ids.clone()).unwrap_or_default();
                let ids = ids.unwrap_or_else(before);
                ends.push(End { hits: seen_by.hits(PATH), ids, error });
            });
        });
        let set = set(options).start_for(issuer.name()).expect("the settings are in bounds");
        Self { server, issuer, set, ends }
    }

    async fn loaded(set: impl FnOnce(RemoteJwksOptions) -> RemoteJwksOptions) -> Self {
        let keys = Self::new(set);
        in_time(keys.set.ready()).await;
        keys
    }

    /// A policy of its own, with this set.
    fn policy(&self) -> Policy {
        Policy::builder()
            .issuer(
                Issuer::new(self.issuer.name())
                    .algorithms([Algorithm::ES256])
                    .keys(self.set.clone())
                    .audience(TestIssuer::AUDIENCE),
            )
            .build()
            .expect("a good policy")
    }

    /// Signed by the newest key.
    fn token(&self) -> String {
        self.issuer.token(Algorithm::ES256).mint()
    }

    /// The id of the newest key.
    fn id(&self) -> String {
        self.issuer.key(Algorithm::ES256).id().to_owned()
    }

    /// Waits for the first end of a fetch that is so.
    async fn end(&self, is_meant: impl Fn(&End) -> bool) -> End {
        let mut ends = self.ends.clone();
        let ends = in_time(ends.wait_for(|ends| ends.iter().any(&is_meant))).await;
        let ends = ends.expect("the key set has the other end");
        ends.iter().find(|end| is_meant(end)).expect("it was waited for").clone()
    }

    /// All fetches so far succeeded, and each was one request. Gives their number.
    #[track_caller]
    fn fetches(&self) -> usize {
        let ends = self.ends.borrow();
        for (n, end) in ends.iter().enumerate() {
            assert_eq!((end.hits, end.error.as_deref()), (n + 1, None), "fetch {n}");
        }
        ends.len()
    }
}

/// A server for each door, each with a policy of its own.
struct Doors(Vec<(Door, Running)>);

impl Doors {
    fn open(keys: &Keys) -> Self {
        let open = |door: Door| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            (door, door.start(&keys.policy(), listener).expect("a server"))
        };
        Self(Door::ALL.map(open).into())
    }

    fn addresses(&self) -> impl Iterator<Item = (Door, SocketAddr)> {
        self.0.iter().map(|(door, running)| (*door, running.address()))
    }

    /// Asks through each door once, at a time and over connections of their own.
    async fn ask(&self, token: &str) -> Vec<(Door, Answer)> {
        let mut requests = JoinSet::new();
        for (door, address) in self.addresses() {
            let token = token.to_owned();
            requests.spawn(async move { (door, connect(address).await.ask(&token).await) });
        }
        requests.join_all().await
    }
}

/// A connection that is kept, of HTTP/1.1.
struct Client(Connection);

async fn connect(address: SocketAddr) -> Client {
    Client(Connection::open(address, Protocol::Http1).await.expect("the door is open"))
}

impl Client {
    async fn ask(&mut self, token: &str) -> Answer {
        let request = Request::new("GET", "/optional").header("authorization", bearer(token));
        in_time(self.0.send(&request)).await.expect("an answer")
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[track_caller]
fn assert_accepted(door: Door, answer: &Answer) {
    let body = String::from_utf8_lossy(&answer.body);
    assert_eq!((answer.status, &*body), (200, "alice"), "{door:?}");
}

/// Clients that send the token of the hour without pause, and are accepted each time.
struct Traffic {
    token: watch::Sender<(usize, String)>,
    go_on: watch::Sender<bool>,
    clients: Vec<JoinHandle<Vec<Duration>>>,
    /// The number of the token with which each was last served.
    served: Vec<watch::Receiver<usize>>,
}

impl Traffic {
    async fn start(doors: &Doors, connections: usize, token: String) -> Self {
        let token = watch::Sender::new((0, token));
        let go_on = watch::Sender::new(true);
        let (mut clients, mut served) = (Vec::new(), Vec::new());
        for (door, address) in doors.addresses() {
            for _ in 0..connections {
                let (token, go_on) = (token.subscribe(), go_on.subscribe());
                let (serving, is_served) = watch::channel(usize::MAX);
                let mut client = connect(address).await;
                served.push(is_served);
                clients.push(tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    while *go_on.borrow() {
                        let (number, token) = token.borrow().clone();
                        let start = Instant::now();
                        let answer = client.ask(&token).await;
                        latencies.push(start.elapsed());
                        assert_accepted(door, &answer);
                        serving.send_replace(number);
                    }
                    latencies
                }));
            }
        }
        Self { token, go_on, clients, served }
    }

    /// From now on they send this one. Waits until nobody sends another.
    async fn switch_to(&mut self, token: String) {
        self.token.send_modify(|now| *now = (now.0 + 1, token));
        let number = self.token.borrow().0;
        for served in &mut self.served {
            // Ends also with the client, whose assertion failed.
            let is_served = in_time(served.wait_for(|last| *last == number)).await;
            is_served.expect("each request is accepted");
        }
    }

    /// How long each request took, in order of that.
    async fn stop(self) -> Vec<Duration> {
        self.go_on.send_replace(false);
        let mut all = Vec::new();
        for client in self.clients {
            all.extend(client.await.expect("each request is accepted"));
        }
        all.sort_unstable();
        all
    }
}

fn show(latencies: &[Duration]) -> String {
    let at = |percent| latencies[(latencies.len() - 1) * percent / 100];
    format!("{} requests, p50 {:.1?}, p99 {:.1?}", latencies.len(), at(50), at(99))
}

/// A test that waits for nothing shall fail, and not stop the others.
async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(LONG / 2, future).await.expect("what is waited for happens")
}

fn soak() -> Duration {
    const NAME: &str = "PORTCULLIS_SOAK_SECONDS";
    let seconds = env::var(NAME).map_or(2, |text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds)
}

/// As providers should: a key is in the set before it signs, and goes after the last token by it.
#[tokio::test]
async fn while_keys_rotate_with_courtesy_no_request_fails() {
    let keys = Keys::loaded(|options| {
        // A token whose key is not known waits for the fetch that is due anyway, and causes none.
        options.fresh_for(SECOND).refresh_at_percent(10).cool_down(LONG).max_wait(LONG)
    })
    .await;
    let doors = Doors::open(&keys);
    let mut traffic = Traffic::start(&doors, CONNECTIONS, keys.token()).await;
    let start = Instant::now();
    let mut rotations = 0;
    while rotations == 0 || start.elapsed() < soak() {
        let (old, former) = (keys.token(), keys.id());
        keys.issuer.rotate(Algorithm::ES256);
        let new = keys.id();
        keys.end(|end| end.ids.contains(&new)).await;
        traffic.switch_to(keys.token()).await;
        keys.issuer.retire(&former);
        keys.end(|end| end.ids == [new.as_str()]).await;
        for (door, answer) in doors.ask(&old).await {
            assert_eq!(answer.status, 401, "{door:?}: {former} is over");
        }
        rotations += 1;
    }
    let latencies = traffic.stop().await;
    let fetches = keys.fetches();
    println!("courteous: {rotations} rotations, {fetches} fetches; {}", show(&latencies));
}

/// As providers should not: a key signs as soon as there is one, and the former one is gone.
#[tokio::test]
async fn a_token_by_a_key_that_was_never_published_before_waits_and_passes() {
    let keys = Keys::loaded(|options| options.cool_down(SECOND).max_wait(LONG)).await;
    let policy = keys.policy();
    let doors = Doors::open(&keys);
    let mut clients = Vec::new();
    for (door, address) in doors.addresses() {
        for _ in 0..CONNECTIONS {
            clients.push((door, connect(address).await));
        }
    }
    for round in 1..=3 {
        let former = keys.id();
        keys.issuer.rotate(Algorithm::ES256);
        keys.issuer.retire(&former);
        let token = keys.token();
        let request = http::Request::get("/").header("authorization", bearer(&token)).body(());
        let check = policy.start_verify(&request.expect("a request"));
        assert!(matches!(check, Verification::Pending(_)), "{check:?}");

        let mut requests = JoinSet::new();
        for (door, mut client) in clients.drain(..) {
            let token = token.clone();
            requests.spawn(async move {
                let answer = client.ask(&token).await;
                assert_accepted(door, &answer);
                (door, client)
            });
        }
        while let Some(request) = requests.join_next().await {
            clients.push(request.expect("each request is accepted"));
        }
        assert_eq!(keys.end(|end| end.ids == [keys.id()]).await.hits, 1 + round);
        assert_eq!(keys.fetches(), 1 + round);
    }
}

/// How many refusals were of which kind.
#[derive(Debug, Default, PartialEq)]
struct Split {
    unknown: usize,
    unavailable: usize,
}

/// Sends tokens whose key ids nobody has heard of.
async fn flood(
    door: Door,
    mut client: Client,
    issuer: TestIssuer,
    name: String,
    n: usize,
) -> Split {
    let mut split = Split::default();
    for n in 0..n {
        let token = issuer.token(Algorithm::ES256).key_id(format!("{name}-{n}")).mint();
        let answer = client.ask(&token).await;
        match answer.status {
            401 => split.unknown += 1,
            503 if answer.header("retry-after").next().is_some() => split.unavailable += 1,
            _ => panic!("{door:?}: {answer:?}"),
        }
    }
    split
}

#[tokio::test]
async fn invented_key_ids_cause_one_fetch_a_cool_down_and_keep_no_key_out() {
    const REQUESTS: usize = 10_000;
    let start = Instant::now();
    let keys = Keys::loaded(|options| {
        options.cool_down(SECOND).max_wait(Duration::from_millis(100)).max_waiting(4)
    })
    .await;
    let doors = Doors::open(&keys);
    let mut traffic = Traffic::start(&doors, 1, keys.token()).await;
    let mut floods = JoinSet::new();
    let clients = Door::ALL.len() * CONNECTIONS;
    for (door, address) in doors.addresses() {
        for _ in 0..CONNECTIONS {
            let at = floods.len();
            let share = REQUESTS / clients + usize::from(at < REQUESTS % clients);
            let client = connect(address).await;
            floods.spawn(flood(door, client, keys.issuer.clone(), format!("of-{at}"), share));
        }
    }

    // Meanwhile, keys rotate in earnest.
    for _ in 0..2 {
        keys.issuer.rotate(Algorithm::ES256);
        let (token, id) = (keys.token(), keys.id());
        let before = keys.server.hits(PATH);
        // In the midst of the flood these may be refused, but not for good.
        for (door, answer) in doors.ask(&token).await {
            assert!([200, 401, 503].contains(&answer.status), "{door:?}: {answer:?}");
        }
        let next = keys.end(|end| end.hits > before).await;
        assert!(next.ids.contains(&id), "the next fetch brings it");
        for (door, answer) in doors.ask(&token).await {
            assert_accepted(door, &answer);
        }
        traffic.switch_to(token).await;
    }

    let mut split = Split::default();
    while let Some(one) = floods.join_next().await {
        let one = one.expect("each request is refused");
        split.unknown += one.unknown;
        split.unavailable += one.unavailable;
    }
    let latencies = traffic.stop().await;
    let (fetches, elapsed) = (keys.fetches(), start.elapsed());
    println!(
        "invented ids: {split:?}, {fetches} fetches in {elapsed:.1?}; known keys: {}",
        show(&latencies)
    );
    assert_eq!(split.unknown + split.unavailable, REQUESTS);
    assert!(fetches >= 3, "{fetches}: one to begin with, and one for each key");
    // The first, and then one in each cool-down that is over: a slow machine has more of them.
    assert!(fetches as u64 <= 1 + elapsed.as_secs(), "{fetches} fetches in {elapsed:?}");
}

#[tokio::test]
async fn while_the_key_server_hangs_no_request_with_a_known_key_waits() {
    let keys = Keys::loaded(|options| {
        let options = options.fresh_for(SECOND).refresh_at_percent(10).timeout(LONG);
        options.max_wait(Duration::from_millis(50)).max_waiting(1000)
    })
    .await;
    let policy = keys.policy();
    let doors = Doors::open(&keys);
    let token = keys.token();
    let mut traffic = Traffic::start(&doors, CONNECTIONS, token.clone()).await;
    for _ in 0..100 {
        traffic.switch_to(token.clone()).await;
    }
    let before = traffic.stop().await;

    keys.server.answer(PATH, key_server::Answer::hang());
    // One of them may have been answered yet, but not the next.
    let hits = keys.server.hits(PATH) + 1;
    keys.server.hit(PATH, hits).await;
    let fetches = keys.fetches();

    let request = http::Request::get("/").header("authorization", bearer(&token)).body(());
    let request = request.expect("a request");
    let mut traffic = Traffic::start(&doors, CONNECTIONS, token.clone()).await;
    let unknown = keys.issuer.token(Algorithm::ES256).key_id("of-nobody").mint();
    for round in 0..100 {
        for _ in 0..10 {
            let check = policy.start_verify(&request);
            assert!(matches!(check, Verification::Done(Ok(_))), "{check:?}");
        }
        // Those whose key is not known wait as long as is allowed, and learn that it is no fault of
        // theirs.
        if round % 25 == 0 {
            for (door, answer) in doors.ask(&unknown).await {
                assert_eq!(answer.status, 503, "{door:?}");
            }
        }
        traffic.switch_to(token.clone()).await;
    }
    let during = traffic.stop().await;
    // It hung all the time.
    assert_eq!((keys.fetches(), keys.server.hits(PATH)), (fetches, hits));
    println!("before the server hangs: {}; while it hangs: {}", show(&before), show(&during));
}

#[tokio::test]
async fn all_policies_and_workers_with_one_set_cause_one_fetch() {
    let keys = Keys::new(|options| options.max_wait(LONG).max_waiting(1000));
    keys.server.answer(PATH, key_server::Answer::keys(&keys.issuer, ES256).held());
    let several = [Doors::open(&keys), Doors::open(&keys), Doors::open(&keys)];
    let mut requests = JoinSet::new();
    for (door, address) in several.iter().flat_map(Doors::addresses) {
        for _ in 0..CONNECTIONS {
            let token = keys.token();
            let mut client = connect(address).await;
            requests.spawn(async move { assert_accepted(door, &client.ask(&token).await) });
        }
    }
    let count = requests.len();
    keys.server.hit(PATH, 1).await;
    keys.server.release();
    while let Some(request) = requests.join_next().await {
        request.expect("each request is accepted");
    }
    assert_eq!((keys.fetches(), keys.server.all_hits()), (1, 1), "{count} requests");
}
