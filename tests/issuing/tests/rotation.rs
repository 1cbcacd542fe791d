//! Keys follow each other under load, ten times in a minute: three issuing processes over one store, each with a clock of
//! its own, two of which are killed; three verifiers of ours, and one of others; and an emergency in the middle.
use std::collections::{HashMap, VecDeque};
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::prelude::*;
use portcullis::{Algorithm, Issuer, Policy, RemoteJwks, Revocable, Revocations, TokenType};
use portcullis_interop::Verifier as Foreign;
use portcullis_issuing_tests::{
    AUDIENCE, Balancer, Instance, LIFETIME, VERIFIER_CACHE, builder, open, schedule,
};
use serde_json::Value;
use tokio::sync::Mutex as Queue;
use tokio::task::JoinSet;

const PROGRAM: &str = env!("CARGO_BIN_EXE_issuing_instance");
const SECOND: Duration = Duration::from_secs(1);
/// More than anything here takes.
const LONG: Duration = Duration::from_secs(30);
/// As `schedule` has it, in whole seconds.
const LEEWAY: u64 = 1;
/// By how much the clocks of the instances are off.
const AHEAD_MILLIS: [i64; 3] = [-80, 0, 80];
/// How long each instance waits between two tokens: the machine has more to do than that.
const PACE: Duration = Duration::from_millis(5);

/// For how long there is load.
fn seconds() -> Duration {
    let seconds = env::var("PORTCULLIS_SOAK_SECONDS").ok().map(|text| text.parse());
    Duration::from_secs(seconds.transpose().expect("whole seconds").unwrap_or(10))
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A verifier of ours.
struct Verifier {
    name: &'static str,
    keys: RemoteJwks,
    policy: Policy,
}

impl Verifier {
    /// One that knows the identifier of the issuer, or the address of its keys. It asks anew within a second, and neither
    /// looks for a key that it does not know in between, nor waits: that a token passes is due to the schedule alone.
    async fn start(name: &'static str, issuer: &str, revocations: Option<&Revocations>) -> Self {
        let options = if name == "by address" {
            RemoteJwks::url(format!("{issuer}/.well-known/jwks.json"))
        } else {
            RemoteJwks::discovery()
        };
        let keys = options
            .fresh_for(SECOND)
            .min_fresh(SECOND)
            .max_fresh(SECOND)
            .cool_down(Duration::from_secs(60 * 60))
            .max_wait(Duration::ZERO)
            .first_retry(Duration::from_millis(100))
            .max_retry(Duration::from_millis(100))
            .start_for(issuer)
            .expect("settings in their bounds");
        let trusted = Issuer::new(issuer)
            .algorithms([Algorithm::ES256])
            .keys(keys.clone())
            .audience(AUDIENCE)
            .token_types([TokenType::AccessToken]);
        let policy = Policy::builder().issuer(trusted).leeway(Duration::from_secs(LEEWAY));
        let policy = match revocations {
            Some(list) => policy.revocations(list.enforce([Revocable::Key])),
            None => policy,
        };
        let policy = policy.build().expect("a policy");
        tokio::time::timeout(LONG, keys.ready()).await.expect("keys in time");
        Self { name, keys, policy }
    }

    /// How old its keys are.
    fn age(&self) -> Duration {
        self.keys.health().age.unwrap_or(Duration::MAX)
    }
}

/// A token, and where it comes from.
#[derive(Clone)]
struct Token {
    text: String,
    key_id: String,
    expires_at: u64,
    instance: usize,
    asked_at: Instant,
}

impl Token {
    fn read(answer: &str, instance: usize, asked_at: Instant) -> Option<Self> {
        let (expires_at, text) = answer.strip_prefix("minted ")?.split_once(' ')?;
        let header = BASE64_URL_SAFE_NO_PAD.decode(text.split('.').next()?).ok()?;
        let header: Value = serde_json::from_slice(&header).ok()?;
        let (text, key_id) = (text.to_owned(), header["kid"].as_str()?.to_owned());
        Some(Self { text, key_id, expires_at: expires_at.parse().ok()?, instance, asked_at })
    }

    /// Whether every verifier has to let it pass by its times.
    fn is_alive(&self) -> bool {
        unix_seconds() < self.expires_at + LEEWAY
    }
}

/// A token that was refused, and should not have been.
struct Refusal {
    at: Duration,
    verifier: &'static str,
    why: String,
    key_id: String,
    instance: usize,
    minted: Duration,
    /// How old the keys of the verifier were.
    age: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, verifier, why, key_id, instance, minted, age } = self;
        write!(
            f,
            "{at:.3?}: {verifier} with keys of {age:.3?} ago: {why}; key {key_id}, minted {minted:.3?} by instance {instance}"
        )
    }
}

/// What came of all of it.
#[derive(Default)]
struct Report {
    minted: u64,
    unavailable: u64,
    verified: HashMap<&'static str, u64>,
    verified_late: u64,
    /// In the order in which they first signed, and when.
    keys: Vec<(String, Duration)>,
    refusals: Vec<Refusal>,
    /// A verifier kept its keys for longer than the schedule was told: the machine stood still.
    out_of_terms: u64,
    /// Others could not fetch, of which they say nothing but that.
    not_told: u64,
    agreed: u64,
    agreed_at_once: u64,
    events: Vec<(Duration, String)>,
}

/// All that runs, as every task sees it.
struct World {
    begin: Instant,
    file: PathBuf,
    issuer: String,
    balancer: Balancer,
    instances: [Queue<Option<Instance>>; 3],
    verifiers: Vec<Verifier>,
    foreign: Option<Queue<Foreign>>,
    /// The key in other hands, and since when nobody signs with it who has read so.
    compromised: Mutex<Option<(String, Option<Instant>)>>,
    late: Mutex<VecDeque<Token>>,
    report: Mutex<Report>,
}

impl World {
    fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    fn say(&self, what: impl Into<String>) {
        locked(&self.report).events.push((self.elapsed(), what.into()));
    }

    async fn start_instance(&self, number: usize) -> Instance {
        let (program, ahead) = (Path::new(PROGRAM), AHEAD_MILLIS[number]);
        Instance::start(program, &self.issuer, &self.file, ahead).await
    }

    /// Has the balancer lead to the instances that there are.
    async fn lead(&self) {
        let mut ports = Vec::new();
        for instance in &self.instances {
            ports.extend(instance.lock().await.as_ref().map(Instance::port));
        }
        self.balancer.lead_to(ports);
    }

    fn is_compromised(&self, key_id: &str) -> bool {
        locked(&self.compromised).as_ref().is_some_and(|(compromised, _)| compromised == key_id)
    }

    async fn mint(&self, number: usize) -> Option<Token> {
        let mut instance = self.instances[number].lock().await;
        let asked_at = Instant::now();
        let answer = instance.as_mut()?.ask("mint").await?;
        drop(instance);
        let token = Token::read(&answer, number, asked_at);
        let mut report = locked(&self.report);
        let Some(token) = token else {
            report.unavailable += 1;
            report.events.push((self.elapsed(), format!("instance {number}: {answer}")));
            return None;
        };
        report.minted += 1;
        if report.keys.iter().all(|(key_id, _)| *key_id != token.key_id) {
            report.keys.push((token.key_id.clone(), self.elapsed()));
        }
        Some(token)
    }

    /// Every verifier accepts it, unless its key is in other hands.
    async fn verify(&self, token: &Token) {
        for verifier in &self.verifiers {
            let age = verifier.age();
            let verified = verifier.policy.verify_token(&token.text).await;
            let age = age.max(verifier.age());
            let why = verified.err().map(|error| format!("{} ({error})", error.reason()));
            self.judge(token, verifier.name, why, Some(age));
        }
        if let Some(foreign) = &self.foreign {
            let verified = foreign.lock().await.verify(&token.text).await;
            let why = verified.err().map(|refused| format!("{}: {}", refused.name, refused.why));
            self.judge(token, "jose", why, None);
        }
    }

    fn judge(
        &self,
        token: &Token,
        verifier: &'static str,
        why: Option<String>,
        age: Option<Duration>,
    ) {
        let is_compromised = self.is_compromised(&token.key_id);
        let mut report = locked(&self.report);
        let Some(why) = why else {
            *report.verified.entry(verifier).or_default() += 1;
            return;
        };
        if is_compromised || !token.is_alive() {
            return;
        }
        // A key that is not there has a code of its own, and so has all that is wrong with a token.
        if age.is_none()
            && ["ERR_JWKS_TIMEOUT", "ERR_JOSE_GENERIC", "TypeError"]
                .iter()
                .any(|it| why.starts_with(it))
        {
            report.not_told += 1;
            report.events.push((self.elapsed(), format!("jose: {why}")));
            return;
        }
        let slack = Duration::from_millis(200);
        if age.is_some_and(|age| age > VERIFIER_CACHE - slack) {
            report.out_of_terms += 1;
        }
        let minted = token.asked_at.duration_since(self.begin);
        let (key_id, instance) = (token.key_id.clone(), token.instance);
        report.refusals.push(Refusal {
            at: self.elapsed(),
            verifier,
            why,
            key_id,
            instance,
            minted,
            age,
        });
    }

    /// Mints at one instance until it is over.
    async fn load(&self, number: usize, until: Instant) {
        while Instant::now() < until {
            tokio::time::sleep(PACE).await;
            let Some(token) = self.mint(number).await else { continue };
            let withdrawn = locked(&self.compromised).clone();
            if let Some((key_id, Some(read_by))) = withdrawn
                && key_id == token.key_id
            {
                assert!(token.asked_at <= read_by, "instance {number} signs with a withdrawn key");
            }
            self.verify(&token).await;
            locked(&self.late).push_back(token);
        }
    }

    /// The oldest token, if it passes for no more than half a second.
    fn next_late(&self) -> Option<Token> {
        let soon = SystemTime::now() + Duration::from_millis(500);
        let soon = soon.duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970");
        let mut late = locked(&self.late);
        late.front().filter(|token| soon.as_secs() >= token.expires_at + LEEWAY)?;
        late.pop_front()
    }

    /// Verifies tokens again in the last half of a second in which they pass.
    async fn load_late(&self, until: Instant) {
        while Instant::now() < until {
            tokio::time::sleep(PACE).await;
            while let Some(token) = self.next_late() {
                if token.is_alive() {
                    self.verify(&token).await;
                    locked(&self.report).verified_late += 1;
                }
            }
        }
    }

    /// Ends a process as a loss of power does, in the middle of whatever it does, and starts it again.
    async fn kill(&self, number: usize) {
        let process = self.instances[number].lock().await.as_ref().map(Instance::process);
        let process = process.expect("it runs").to_string();
        let killed = Command::new("kill").args(["-KILL", &process]).status();
        assert!(killed.expect("`kill`").success());
        self.say(format!("instance {number} is killed"));
        drop(self.instances[number].lock().await.take());
        self.lead().await;
        let again = self.start_instance(number).await;
        *self.instances[number].lock().await = Some(again);
        self.lead().await;
        self.say(format!("instance {number} is there again"));
    }

    /// The key set of each instance, once all have read the ring.
    async fn key_sets(&self, client: &reqwest::Client) -> Option<Vec<(String, String)>> {
        let mut ports = Vec::new();
        for instance in &self.instances {
            let mut instance = instance.lock().await;
            let instance = instance.as_mut()?;
            ports.push(instance.port());
            let read = instance.ask("refresh").await?;
            assert!(read.starts_with("read "), "{read}");
        }
        let mut sets = Vec::new();
        for port in ports {
            let url = format!("http://127.0.0.1:{port}/.well-known/jwks.json");
            let response = client.get(url).send().await.ok()?;
            let etag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
            let etag = etag.unwrap_or_default().to_owned();
            sets.push((etag, response.text().await.ok()?));
        }
        Some(sets)
    }

    /// Again and again, all instances have one key set, in the same bytes. Where a key comes or goes between two readings,
    /// they have it with the next.
    async fn agree(&self, until: Instant) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        while Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let deadline = Instant::now() + LONG;
            let mut tries = 0;
            loop {
                tries += 1;
                let sets = self.key_sets(&client).await;
                if let Some(sets) = &sets
                    && sets.iter().all(|set| *set == sets[0] && !set.0.is_empty())
                {
                    let mut report = locked(&self.report);
                    report.agreed += 1;
                    report.agreed_at_once += u64::from(tries == 1);
                    break;
                }
                assert!(Instant::now() < deadline, "the instances do not agree: {sets:#?}");
            }
        }
    }

    /// A key is in other hands that signs since a moment ago: the one that stood by then is the youngest that ever has to
    /// take over.
    async fn emergency(&self, revocations: &Revocations) {
        let operator = builder(&self.issuer, open(&self.file).await.expect("a file"));
        let operator = operator.revocations(revocations.clone()).refreshed_by_hand();
        let operator = operator.build().await.expect("an issuer");
        let signing = || {
            let status = operator.status().expect("a ring");
            status.signing().expect("one signs").key_id.clone()
        };
        let before = signing();
        let turned = async {
            while signing() == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
                operator.refresh().await.expect("a ring");
            }
        };
        tokio::time::timeout(LONG, turned).await.expect("the next turn");
        let signing = signing();
        let token = async {
            loop {
                if let Some(token) = self.mint(1).await
                    && token.key_id == signing
                {
                    return token;
                }
            }
        };
        let token = tokio::time::timeout(LONG, token).await.expect("a token of the key");
        self.verify(&token).await;
        *locked(&self.compromised) = Some((signing.clone(), None));
        let begin = Instant::now();
        operator.withdraw(&signing).await.expect("withdrawn and revoked");
        self.say(format!("{signing} is withdrawn, which took {:.1?}", begin.elapsed()));
        // The clock of an instance may be off by two skews besides.
        let read_by = Instant::now() + schedule().stale_after() + Duration::from_millis(200);
        *locked(&self.compromised) = Some((signing.clone(), Some(read_by)));

        let enforcing = self.verifiers.iter().find(|it| it.name == "with revocations");
        let refused = enforcing.expect("one of them").policy.verify_token(&token.text).await;
        assert_eq!(refused.expect_err("with the next request").reason(), "revoked");
        // The others do when they have fetched the keys anew, of an instance that has read the ring.
        let fetched_by = begin + schedule().stale_after() + SECOND;
        let mut took = Vec::new();
        for verifier in &self.verifiers {
            let refused = async {
                loop {
                    let verified = verifier.policy.verify_token(&token.text).await;
                    let Err(error) = verified else {
                        let health = verifier.keys.health();
                        let fetched = Instant::now().checked_sub(health.age.unwrap_or_default());
                        let is_behind = fetched.is_none_or(|fetched| fetched < fetched_by);
                        assert!(
                            is_behind,
                            "{} has fetched the keys anew: {health:?}",
                            verifier.name
                        );
                        tokio::time::sleep(Duration::from_millis(5)).await;
                        continue;
                    };
                    return error.reason();
                }
            };
            let why = tokio::time::timeout(LONG, refused).await.expect("refused in time");
            // Where the machine stood still, its time was over first.
            let whys = ["unknown_key", "keys_unavailable", "revoked", "expired"];
            assert!(whys.contains(&why) && (why != "expired" || !token.is_alive()), "{why}");
            took.push(format!("{} after {:.1?} ({why})", verifier.name, begin.elapsed()));
        }
        if let Some(foreign) = &self.foreign {
            let refused = async {
                loop {
                    match foreign.lock().await.verify(&token.text).await {
                        Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                        Err(refused) => return refused,
                    }
                }
            };
            let why = tokio::time::timeout(LONG, refused).await.expect("refused in time");
            let is_over = why.name == "ERR_JWT_EXPIRED" && !token.is_alive();
            assert!(is_over || why.name == "ERR_JWKS_NO_MATCHING_KEY", "{why:?}");
            took.push(format!("jose after {:.1?} ({})", begin.elapsed(), why.name));
        }
        self.say(format!("its tokens are refused: {}", took.join(", ")));
        // And they stay so.
        while token.is_alive() {
            for verifier in &self.verifiers {
                let again = verifier.policy.verify_token(&token.text).await;
                assert!(again.is_err(), "{} lets it in again", verifier.name);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The tasks of one test end with it.
async fn world(revocations: &Revocations, folder: &Path) -> Arc<World> {
    assert_eq!(schedule().faults(), []);
    let balancer = Balancer::open().await;
    let (issuer, file) = (balancer.url(), folder.join("ring.db"));
    // At once, on an empty store.
    let start =
        |number: usize| Instance::start(Path::new(PROGRAM), &issuer, &file, AHEAD_MILLIS[number]);
    let (one, two, three) = tokio::join!(start(0), start(1), start(2));
    balancer.lead_to([one.port(), two.port(), three.port()]);
    let instances = [one, two, three].map(|instance| Queue::new(Some(instance)));
    let verifiers = vec![
        Verifier::start("by discovery", &issuer, None).await,
        Verifier::start("by address", &issuer, None).await,
        Verifier::start("with revocations", &issuer, Some(revocations)).await,
    ];
    let uri = format!("{issuer}/.well-known/jwks.json");
    let foreign = Foreign::jose_or_leave_out(&issuer, AUDIENCE, &uri, SECOND).map(Queue::new);
    Arc::new(World {
        begin: Instant::now(),
        file,
        issuer,
        balancer,
        instances,
        verifiers,
        foreign,
        compromised: Mutex::default(),
        late: Mutex::default(),
        report: Mutex::default(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_follow_each_other_under_load_and_no_good_token_is_refused() {
    let (load, folder) = (seconds(), tempfile::tempdir().expect("a folder"));
    let revocations = Revocations::in_memory();
    let world = world(&revocations, folder.path()).await;
    let until = world.begin + load;
    let mut tasks = JoinSet::new();
    for number in 0..world.instances.len() {
        let world = Arc::clone(&world);
        tasks.spawn(async move { world.load(number, until).await });
    }
    let own = Arc::clone(&world);
    // Those of the last minute, too.
    tasks.spawn(async move { own.load_late(until + LIFETIME + SECOND * 2).await });
    let own = Arc::clone(&world);
    tasks.spawn(async move { own.agree(until).await });
    let (own, list) = (Arc::clone(&world), revocations.clone());
    tasks.spawn(async move {
        let at = |part: f64| tokio::time::Instant::from_std(own.begin + load.mul_f64(part));
        tokio::time::sleep_until(at(0.1)).await;
        own.kill(0).await;
        tokio::time::sleep_until(at(0.2)).await;
        own.kill(2).await;
        // So that it is over before the load is.
        tokio::time::sleep_until(at(0.3)).await;
        own.emergency(&list).await;
    });
    while let Some(task) = tasks.join_next().await {
        if let Err(error) = task {
            let report = locked(&world.report);
            panic!("{error}; what happened: {:#?}, keys: {:#?}", report.events, report.keys);
        }
    }

    let report = locked(&world.report);
    let turns = report.keys.len() - 1;
    println!(
        "{} tokens, {} unavailable, {turns} rotations in {load:?}; accepted: {:?}, {} of them in their last half second; \
         {} times one key set at all instances, {} of them at first sight; {} refusals, {} of them by keys older than said; \
         jose could not tell {} times",
        report.minted,
        report.unavailable,
        report.verified,
        report.verified_late,
        report.agreed,
        report.agreed_at_once,
        report.refusals.len(),
        report.out_of_terms,
        report.not_told,
    );
    let history = || {
        let mut lines: Vec<_> = report.events.clone();
        let signs = report.keys.iter().map(|(id, at)| (*at, format!("{id} signs")));
        lines.extend(signs);
        lines.sort();
        let lines: Vec<_> = lines.iter().map(|(at, what)| format!("{at:.3?}: {what}")).collect();
        lines.join("\n")
    };
    println!("{}", history());
    let is_due = |refusal: &&Refusal| refusal.age.is_none_or(|age| age <= VERIFIER_CACHE);
    let refusals: Vec<_> = report.refusals.iter().filter(is_due).map(Refusal::to_string).collect();
    assert!(
        refusals.is_empty(),
        "{} good tokens were refused:\n{}\n\nwhat happened:\n{}",
        refusals.len(),
        refusals[..refusals.len().min(20)].join("\n"),
        history()
    );
    let expected = load.div_duration_f64(
        2 * (schedule().stale_after() + VERIFIER_CACHE + Duration::from_millis(200)),
    );
    assert!(turns as f64 >= expected.floor(), "{turns} rotations of {expected}:\n{}", history());
    assert!(report.minted > 10 * load.as_secs(), "{} tokens are no load", report.minted);
    assert!(report.verified_late > 0, "no token was verified late");
    assert!(report.unavailable * 20 < report.minted, "{}:\n{}", report.unavailable, history());
    assert!(report.agreed > load.as_secs() / 2, "{}", report.agreed);
}
