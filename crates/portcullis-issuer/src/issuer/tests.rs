use std::sync::Mutex;

use portcullis::{Algorithm, Clock, Error, Secret, UnixTime};

use super::*;
use crate::keeper::IssuerEvent;
use crate::machine::MachineTime;
use crate::ring::{Phase, Schedule, ScheduleFault};
use crate::root::RootFault;
use crate::row::{ForeignRing, ForeignRow};
use crate::store::{FileRing, LoadedRing, MemoryRing, RingVersion, StoreError, StoredRing, Swap};
use crate::time::StoreTime;
use crate::{RingError, RootSecrets};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://orders.example";
const ROOT: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// 2027-01-15.
const NOW: i64 = 1_800_000_000;

/// One time for machine, store and policies.
#[derive(Debug, Default)]
struct Time(Mutex<Duration>);

impl MachineTime for Time {
    fn elapsed(&self) -> Duration {
        *self.0.lock().expect("no panic")
    }

    fn wall(&self) -> StoreTime {
        StoreTime::from_millis(NOW * 1000).after(self.elapsed())
    }
}

#[derive(Debug)]
struct PolicyClock(Arc<Time>);

impl Clock for PolicyClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.wall().as_millis() / 1000)
    }
}

struct World {
    store: MemoryRing,
    time: Arc<Time>,
}

impl World {
    fn new() -> Self {
        let world = Self { store: MemoryRing::new(), time: Arc::default() };
        world.set(Duration::ZERO);
        world
    }

    fn set(&self, elapsed: Duration) {
        *self.time.0.lock().expect("no panic") = elapsed;
        self.store.set_now(self.time.wall());
    }

    async fn issuer(&self) -> TokenIssuer<MemoryRing> {
        let builder = builder_over(self.store.clone());
        let builder = builder.time(self.time.clone()).refreshed_by_hand();
        builder.build().await.expect("an issuer")
    }

    fn policy(&self, issuer: &TokenIssuer<MemoryRing>) -> Policy {
        let clock = PolicyClock(self.time.clone());
        issuer.policy_builder().clock(clock).build().expect("a policy")
    }
}

/// All that an issuer has to be told, and this store.
fn builder_over<S: RingStore>(store: S) -> TokenIssuerBuilder<Complete<S>> {
    TokenIssuer::builder(ISSUER)
        .algorithm(Algorithm::ES256)
        .audiences([AUDIENCE])
        .lifetime(LIFETIME)
        .root_secrets([Secret::new(ROOT)])
        .ring(store)
}

fn alice() -> AccessToken {
    AccessToken::of_user("alice", "web").scopes(["orders:read"])
}

fn signing_key(issuer: &TokenIssuer<MemoryRing>) -> String {
    let status = issuer.status().expect("a ring");
    let signing = status.keys.into_iter().find(|key| key.phase == Phase::Signing);
    signing.expect("a key that signs").key_id
}

#[tokio::test]
async fn what_one_instance_mints_passes_at_every_other() {
    let world = World::new();
    let (one, other) = (world.issuer().await, world.issuer().await);
    let minted = one.mint_now(&alice()).expect("a token");
    let token = world.policy(&other).verify_token_now(&minted.token).expect("a good token");
    assert_eq!(token.subject(), Some("alice"));
    assert_eq!(token.expires_at(), UnixTime(NOW + 900));
    assert_eq!(one.key_set(), other.key_set());
}

#[tokio::test]
async fn in_ten_rotations_no_token_is_refused_before_its_time() {
    let world = World::new();
    let (issuer, other) = (world.issuer().await, world.issuer().await);
    let policy = world.policy(&other);
    let mut signed_by = Vec::new();
    let mut young = Vec::new();
    // Every ten minutes, over ten months.
    for step in 0..10 * 30 * 24 * 6_u32 {
        world.set(step * Duration::from_secs(600));
        // Most of the time nobody is there.
        if step % 144 > 8 {
            continue;
        }
        issuer.refresh().await.expect("a ring");
        other.refresh().await.expect("a ring");
        let minted = issuer.mint_now(&alice()).expect("a token");
        let id = signing_key(&issuer);
        if signed_by.last() != Some(&id) {
            signed_by.push(id);
        }
        young.push(minted);
        let now = PolicyClock(world.time.clone()).now();
        young.retain(|minted: &Minted| minted.expires_at > now);
        for minted in &young {
            assert!(policy.verify_token_now(&minted.token).is_ok(), "{step}");
        }
    }
    assert!(signed_by.len() >= 10, "{}", signed_by.len());
}

#[tokio::test]
async fn after_an_emergency_tokens_of_the_key_are_refused_where_the_ring_was_read() {
    let world = World::new();
    let (issuer, other) = (world.issuer().await, world.issuer().await);
    let policy = world.policy(&other);
    let before = issuer.mint_now(&alice()).expect("a token");
    issuer.withdraw(&signing_key(&issuer)).await.expect("done");
    // With the key that the other instance knows already.
    let after = issuer.mint_now(&alice()).expect("a token");
    assert!(policy.verify_token_now(&after.token).is_ok());
    other.refresh().await.expect("a ring");
    assert!(matches!(policy.verify_token_now(&before.token), Err(Error::Key(_))));
    assert!(policy.verify_token_now(&after.token).is_ok());
}

#[tokio::test]
async fn a_key_that_an_instance_does_not_know_yet_is_looked_for_once() {
    let world = World::new();
    let (issuer, other) = (world.issuer().await, world.issuer().await);
    let policy = world.policy(&other);
    issuer.withdraw_all().await.expect("done");
    let minted = issuer.mint_now(&alice()).expect("a token");
    assert!(policy.verify_token(&minted.token).await.is_ok(), "it is read for the token");
    issuer.withdraw_all().await.expect("done");
    let minted = issuer.mint_now(&alice()).expect("a token");
    assert!(policy.verify_token(&minted.token).await.is_err(), "and not again at once");
    world.set(Duration::from_secs(5));
    assert!(policy.verify_token(&minted.token).await.is_ok());
}

/// Nobody could ask: that is not a no.
#[tokio::test]
async fn a_key_that_could_not_be_looked_for_is_unavailable_and_not_unknown() {
    let world = World::new();
    let (issuer, other) = (world.issuer().await, world.issuer().await);
    let policy = world.policy(&other);
    issuer.withdraw_all().await.expect("done");
    let minted = issuer.mint_now(&alice()).expect("a token");
    world.store.set_fault(Some(StoreError::new("connection refused")));
    for _ in 0..3 {
        let error = policy.verify_token(&minted.token).await.expect_err("nobody can tell");
        assert_eq!(error.reason(), "keys_unavailable");
    }
    world.store.set_fault(None);
    world.set(Duration::from_secs(5));
    assert!(policy.verify_token(&minted.token).await.is_ok());
}

#[tokio::test]
async fn without_its_store_an_instance_goes_on_for_a_bounded_time() {
    let world = World::new();
    let issuer = world.issuer().await;
    let policy = world.policy(&issuer);
    world.store.set_fault(Some(StoreError::new("connection refused")));
    world.set(Duration::from_secs(600));
    assert!(issuer.refresh().await.is_err());
    let minted = issuer.mint_now(&alice()).expect("a token");
    assert!(policy.verify_token(&minted.token).await.is_ok() && issuer.key_set().is_ok());
    world.set(Duration::from_secs(601));
    let refused = issuer.mint_now(&alice()).expect_err("too old");
    assert!(refused.is_unavailable(), "{refused}");
    assert_eq!(issuer.key_set().err().map(MintError::NotReady), Some(refused));
    assert!(!issuer.is_ready());
    // Unavailable is not invalid.
    let error = policy.verify_token(&minted.token).await.expect_err("nobody can tell");
    assert_eq!(error.reason(), "keys_unavailable");
    world.store.set_fault(None);
    issuer.refresh().await.expect("a ring");
    assert!(policy.verify_token(&minted.token).await.is_ok());
}

#[tokio::test]
async fn every_fault_of_an_issuer_is_told_at_once() {
    let refused = TokenIssuer::builder("")
        .algorithm(Algorithm::HS512)
        .audiences([""])
        .lifetime(Duration::from_secs(48 * 60 * 60))
        .root_secrets([])
        .ring(MemoryRing::new())
        .schedule(Schedule::new().interval(Duration::from_secs(60)))
        .build()
        .await
        .expect_err("faults");
    let BuildError::Faults(faults) = &refused else { panic!("{refused}") };
    assert_eq!(faults.len(), 6, "{refused}");
    assert!(faults.contains(&IssuerFault::Root(RootFault::Count { found: 0 })));
    assert_eq!(format!("{refused:?}"), refused.to_string());
    let lines: Vec<_> = refused.to_string().lines().map(str::len).collect();
    assert_eq!(lines.len(), 7);
}

#[tokio::test]
async fn keys_that_follow_each_other_too_quickly_for_their_tokens_are_refused() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let schedule = Schedule::new().publish_ahead(minutes(5)).verifier_cache(minutes(1));
    let refused = TokenIssuer::builder(ISSUER)
        .algorithm(Algorithm::EdDSA)
        .audiences([AUDIENCE])
        .lifetime(minutes(24 * 60))
        .root_secrets([Secret::new(ROOT)])
        .ring(MemoryRing::new())
        .schedule(schedule.stale(minutes(2)).interval(minutes(10)))
        .build()
        .await
        .expect_err("144 keys would be published");
    let BuildError::Faults(faults) = &refused else { panic!("{refused}") };
    assert!(matches!(faults[..], [IssuerFault::Schedule(ScheduleFault::TooManyKeys { .. })]));
}

#[tokio::test]
async fn settings_whose_tokens_our_own_policy_would_refuse_are_refused() {
    let refused = TokenIssuer::builder("https://id.example/.well-known/openid-configuration")
        .algorithm(Algorithm::EdDSA)
        .audiences([AUDIENCE])
        .lifetime(LIFETIME)
        .root_secrets([Secret::new(ROOT)])
        .ring(MemoryRing::new())
        .build()
        .await
        .expect_err("the address of metadata is not an issuer");
    let BuildError::Faults(faults) = &refused else { panic!("{refused}") };
    assert!(matches!(&faults[..], [IssuerFault::Policy { .. }]), "{refused}");
}

#[tokio::test]
async fn no_debug_shows_a_key_or_a_secret() {
    let issuer = World::new().issuer().await;
    let told = format!("{issuer:?} {:?}", issuer.keys());
    assert!(!told.contains(&signing_key(&issuer)) && !told.contains(ROOT), "{told}");
}

/// While a deployment is on its way, and after it.
#[tokio::test]
async fn tokens_of_other_settings_of_the_same_issuer_pass() {
    let world = World::new();
    let before = world.issuer().await;
    let builder = |algorithm, minutes: u64| {
        let builder = TokenIssuer::builder(ISSUER).algorithm(algorithm).audiences([AUDIENCE]);
        let builder = builder.lifetime(Duration::from_secs(60 * minutes));
        let builder = builder.root_secrets([Secret::new(ROOT)]).ring(world.store.clone());
        builder.time(world.time.clone()).refreshed_by_hand()
    };
    let others = [
        builder(Algorithm::EdDSA, 15).build().await.expect("an issuer"),
        builder(Algorithm::ES256, 60).build().await.expect("an issuer"),
        builder(Algorithm::ES256, 1).build().await.expect("an issuer"),
    ];
    for other in &others {
        for (mints, verifies) in [(&before, other), (other, &before)] {
            let minted = mints.mint_now(&alice()).expect("a token");
            let verified = world.policy(verifies).verify_token_now(&minted.token);
            assert!(verified.is_ok(), "{other:?} {verified:?}");
        }
    }
    // And of a key that was made by other settings.
    others[0].withdraw_all().await.expect("done");
    let minted = others[0].mint_now(&alice()).expect("a token");
    before.refresh().await.expect("a ring");
    assert!(world.policy(&before).verify_token_now(&minted.token).is_ok());
}

#[tokio::test]
async fn an_issuer_that_is_refused_leaves_no_ring() {
    let store = MemoryRing::new();
    let refused = TokenIssuer::builder("https://id.example/.well-known/openid-configuration")
        .algorithm(Algorithm::EdDSA)
        .audiences([AUDIENCE])
        .lifetime(LIFETIME)
        .root_secrets([Secret::new(ROOT)])
        .ring(store.clone())
        .build()
        .await;
    assert!(refused.is_err());
    let ring = store.load("https://id.example/.well-known/openid-configuration").await;
    assert_eq!(ring.expect("a store").ring, None);
}

/// Shared secrets: the same ring, and nothing of them is published.
#[tokio::test]
async fn tokens_of_a_shared_secret_pass_at_who_has_the_ring_and_turn_as_others_do() {
    let world = World::new();
    let build = async || {
        let builder = TokenIssuer::builder(ISSUER)
            .algorithm(Algorithm::HS256)
            .audiences([AUDIENCE])
            .lifetime(LIFETIME)
            .root_secrets([Secret::new(ROOT)])
            .ring(world.store.clone());
        let builder = builder.time(world.time.clone()).refreshed_by_hand();
        builder.build().await.expect("an issuer")
    };
    let (one, other) = (build().await, build().await);
    let policy = world.policy(&other);
    assert_eq!(&*one.key_set().expect("a set").body, r#"{"keys":[]}"#);
    let mut tokens = Vec::new();
    for minutes in 0..60 {
        world.set(Duration::from_secs(60 * minutes));
        one.refresh().await.expect("a ring");
        other.refresh().await.expect("a ring");
        if minutes == 24 {
            one.rotate().await.expect("turned");
        }
        tokens.push(one.mint_now(&alice()).expect("a token"));
        let now = UnixTime(NOW + 60 * i64::try_from(minutes).expect("few"));
        tokens.retain(|minted: &Minted| minted.expires_at > now);
        for minted in &tokens {
            assert!(policy.verify_token(&minted.token).await.is_ok(), "{minutes}");
        }
    }
    // One that stands by was young: a day.
    world.set(Duration::from_secs(25 * 60 * 60));
    one.refresh().await.expect("a ring");
    assert_eq!(one.status().expect("a ring").keys[1].phase, Phase::Signing);
    // Over: its private part is not kept longer than its tokens pass.
    let (_, ring) = world.store.load(ISSUER).await.expect("a store").ring.expect("a ring");
    assert_eq!(ring.keys.iter().filter(|row| row.private.is_some()).count(), 2);
    // An emergency: refused with the next request, where the ring was read.
    let before = one.mint_now(&alice()).expect("a token");
    other.refresh().await.expect("a ring");
    assert!(policy.verify_token(&before.token).await.is_ok());
    one.withdraw(&signing_key(&one)).await.expect("done");
    other.refresh().await.expect("a ring");
    assert!(policy.verify_token(&before.token).await.is_err());
}

/// What was verified and remembered, too.
#[tokio::test]
async fn a_remembered_token_of_a_withdrawn_key_is_refused_with_the_next_request() {
    let world = World::new();
    let (issuer, other) = (world.issuer().await, world.issuer().await);
    let policy = world.policy(&other);
    let minted = issuer.mint_now(&alice()).expect("a token");
    for _ in 0..2 {
        assert!(policy.verify_token(&minted.token).await.is_ok());
    }
    issuer.withdraw(&signing_key(&issuer)).await.expect("done");
    other.refresh().await.expect("a ring");
    assert!(policy.verify_token(&minted.token).await.is_err());
}

#[tokio::test]
async fn a_withdrawn_key_is_refused_with_the_next_request_where_revocations_are_enforced() {
    let world = World::new();
    let revocations = portcullis::Revocations::in_memory();
    let builder = builder_over(world.store.clone()).revocations(revocations.clone());
    let builder = builder.time(world.time.clone()).refreshed_by_hand();
    let issuer = builder.build().await.expect("an issuer");
    // It does not read the ring in the meantime.
    let other = world.issuer().await;
    let enforced = revocations.enforce([portcullis::Revocable::Key]);
    let clock = PolicyClock(world.time.clone());
    let policy = other.policy_builder().clock(clock).revocations(enforced).build();
    let policy = policy.expect("a policy");
    let minted = issuer.mint_now(&alice()).expect("a token");
    assert!(policy.verify_token(&minted.token).await.is_ok());
    issuer.withdraw(&signing_key(&issuer)).await.expect("done");
    let refused = policy.verify_token(&minted.token).await.expect_err("revoked");
    assert_eq!(refused.reason(), "revoked");
    let minted = issuer.mint_now(&alice()).expect("a token");
    assert!(policy.verify_token(&minted.token).await.is_ok(), "of the key that stood by");
}

/// Nobody calls `refresh`.
#[tokio::test(start_paused = true)]
async fn an_issuer_reads_its_ring_by_itself_for_as_long_as_it_is_there() {
    let world = World::new();
    let reads = Arc::new(Mutex::new(0));
    let count = Arc::clone(&reads);
    let builder =
        builder_over(world.store.clone()).on_event(move |_| *count.lock().expect("no panic") += 1);
    let issuer = builder.time(world.time.clone()).build().await.expect("an issuer");
    let other = world.issuer().await;
    let key = signing_key(&issuer);
    other.withdraw(&key).await.expect("done");
    assert_eq!(signing_key(&issuer), key, "not read yet");
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_ne!(signing_key(&issuer), key);
    drop(issuer);
    world.store.set_fault(Some(StoreError::new("connection refused")));
    let told = *reads.lock().expect("no panic");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(*reads.lock().expect("no panic"), told, "nothing reads it any more");
}

/// One that never answers keeps nobody waiting for it.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_given_up_and_asked_again() {
    #[derive(Clone)]
    struct Hanging(MemoryRing, Arc<Mutex<bool>>);
    impl RingStore for Hanging {
        async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
            if *self.1.lock().expect("no panic") {
                std::future::pending::<()>().await;
            }
            self.0.load(issuer).await
        }
        async fn swap(
            &self,
            issuer: &str,
            from: Option<RingVersion>,
            ring: &StoredRing,
        ) -> Result<Swap, StoreError> {
            self.0.swap(issuer, from, ring).await
        }
    }
    let hangs = Arc::new(Mutex::new(false));
    let builder = builder_over(Hanging(MemoryRing::new(), hangs.clone()));
    let issuer = builder.refreshed_by_hand().build().await.expect("an issuer");
    *hangs.lock().expect("no panic") = true;
    let begin = tokio::time::Instant::now();
    let error = RingError::Store(StoreError::new("it did not answer within 10s"));
    assert_eq!(issuer.refresh().await.err(), Some(error));
    assert!(begin.elapsed() <= Duration::from_secs(11));
    assert!(issuer.mint_now(&alice()).is_ok(), "by what was read");
    *hangs.lock().expect("no panic") = false;
    issuer.refresh().await.expect("a ring");
}

#[test]
fn without_a_runtime_an_issuer_says_what_would_read_its_ring() {
    let builder = || builder_over(MemoryRing::new());
    let built = futures_lite(builder().build()).expect_err("no runtime");
    assert!(matches!(&built, BuildError::Faults(faults) if *faults == [IssuerFault::NoRuntime]));
    let issuer = futures_lite(builder().refreshed_by_hand().build()).expect("an issuer");
    assert!(issuer.is_ready());
    // One without timers would end the task that reads, and nobody would hear of it.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let built = runtime.block_on(builder().build()).expect_err("no timers");
    assert!(matches!(&built, BuildError::Faults(faults) if *faults == [IssuerFault::NoRuntime]));
    let issuer = runtime.block_on(builder().refreshed_by_hand().build()).expect("an issuer");
    assert!(issuer.is_ready());
}

/// Polls what never waits, as an executor that is not tokio would.
fn futures_lite<T>(future: impl Future<Output = T>) -> T {
    let mut future = core::pin::pin!(future);
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        core::task::Poll::Ready(done) => done,
        core::task::Poll::Pending => panic!("it waits"),
    }
}

/// Neither clock may be the right one.
#[tokio::test]
async fn an_instance_whose_clock_is_off_publishes_and_does_not_sign() {
    let world = World::new();
    let issuer = world.issuer().await;
    assert!(issuer.is_ready());
    world.store.set_now(world.time.wall().after(Duration::from_secs(16)));
    assert!(matches!(issuer.refresh().await, Err(RingError::Clock { .. })));
    let off = Duration::from_secs(16);
    let refused = issuer.mint_now(&alice()).expect_err("it may be wrong");
    assert_eq!(refused, MintError::NotReady(IssuerNotReady::Clock { off }));
    assert!(refused.is_unavailable() && !issuer.is_ready() && issuer.key_set().is_ok());
    world.store.set_now(world.time.wall());
    issuer.refresh().await.expect("a ring");
    assert!(issuer.is_ready() && issuer.mint_now(&alice()).is_ok());
}

const NEW_ROOT: &str = "u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new";

fn root(texts: &[&str]) -> RootSecrets {
    RootSecrets::new(texts.iter().map(|text| Secret::new(*text))).expect("good secrets")
}

#[tokio::test]
async fn who_only_reads_the_store_sees_what_an_instance_does() {
    let world = World::new();
    let absent = RingStatus::read(&world.store, ISSUER, Some(&root(&[ROOT]))).await;
    assert_eq!(absent, Ok(None));
    let issuer = world.issuer().await;
    world.set(Duration::from_secs(60));
    issuer.rotate().await.expect("a ring");
    let read = RingStatus::read(&world.store, ISSUER, Some(&root(&[ROOT]))).await;
    let status = issuer.status().expect("a ring");
    // The store's clock is stopped, and the machine's is not.
    let read = read.expect("rows").map(|read| RingStatus { clock_offset: 0, ..read });
    assert_eq!(read, Some(status.clone()));
    assert!(status.is_authentic && status.keys.iter().all(|key| !key.is_under_old_root()));
    assert!(status.keys.iter().all(|key| key.row_root == Some(0) && key.seal_root == Some(0)));
}

#[tokio::test]
async fn what_was_not_authenticated_is_said_to_be_so() {
    let world = World::new();
    let issuer = world.issuer().await;
    let read = RingStatus::read(&world.store, ISSUER, None).await.expect("rows").expect("a ring");
    assert!(!read.is_authentic);
    assert!(read.keys.iter().all(|key| (key.row_root, key.seal_root) == (None, None)));
    assert!(read.keys.iter().all(|key| !key.is_sealed_anew && !key.is_under_old_root()));
    let times = |status: &RingStatus| status.keys.iter().map(|key| key.times).collect::<Vec<_>>();
    assert_eq!(times(&read), times(&issuer.status().expect("a ring")));
}

#[tokio::test]
async fn a_foreign_ring_has_no_status_and_an_old_root_secret_is_told() {
    let world = World::new();
    let issuer = world.issuer().await;
    let key_id = issuer.status().expect("a ring").keys[0].key_id.clone();
    let read =
        async |texts: &[&str]| RingStatus::read(&world.store, ISSUER, Some(&root(texts))).await;
    let error = read(&[NEW_ROOT]).await.expect_err("foreign");
    assert!(matches!(error, RingError::Foreign(ForeignRow { .. })), "{error}");
    let status = read(&[NEW_ROOT, ROOT]).await.expect("authentic").expect("a ring");
    assert!(status.keys.iter().all(|key| key.is_under_old_root() && !key.is_sealed_anew));
    world.store.tamper(ISSUER, |_, ring| ring.keys.retain(|row| row.key_id != key_id));
    assert_eq!(read(&[ROOT]).await, Err(RingError::ForeignRing(ForeignRing)));
    world.store.tamper(ISSUER, |_, ring| ring.keys.clear());
    assert_eq!(read(&[ROOT]).await, Err(RingError::NoKeys));
}

/// A file that goes by the time of a test.
struct FileOfThen(FileRing, MemoryRing);

impl RingStore for FileOfThen {
    async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        self.1.load(issuer).await
    }

    async fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, StoreError> {
        self.0.swap(issuer, from, ring).await?;
        self.1.swap(issuer, from, ring).await
    }
}

/// For the snapshots of the command: three turns, of which one was an emergency.
#[tokio::test]
#[ignore = "writes the ring of the tests of portcullis-cli anew"]
async fn write_the_ring_of_the_command() {
    let world = World::new();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../portcullis-cli/tests/ring/ring.json");
    let _ = std::fs::remove_file(path);
    let store = FileOfThen(FileRing::open(path).expect("a folder"), world.store.clone());
    let builder = builder_over(store);
    let builder = builder.time(world.time.clone()).refreshed_by_hand();
    let issuer = builder.build().await.expect("an issuer");
    let day = Duration::from_secs(24 * 60 * 60);
    let at = async |days: u32, minutes: u32| {
        world.set(days * day + minutes * Duration::from_secs(60));
        issuer.refresh().await.expect("a ring");
    };
    at(29, 1).await;
    at(30, 3).await;
    at(40, 0).await;
    let signing = issuer.status().and_then(|ring| Some(ring.signing()?.key_id.clone()));
    issuer.withdraw(&signing.expect("a key that signs")).await.expect("done");
    at(69, 1).await;
    at(70, 3).await;
    let _ = std::fs::remove_file(format!("{path}.lock"));
}

/// A minute's work of each instance.
#[tokio::test]
async fn a_reading_of_what_is_as_it_should_be_asks_the_store_once() {
    #[derive(Clone)]
    struct Counting(MemoryRing, Arc<Mutex<[usize; 2]>>);
    impl RingStore for Counting {
        async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
            self.1.lock().expect("no panic")[0] += 1;
            self.0.load(issuer).await
        }
        async fn swap(
            &self,
            issuer: &str,
            from: Option<RingVersion>,
            ring: &StoredRing,
        ) -> Result<Swap, StoreError> {
            self.1.lock().expect("no panic")[1] += 1;
            self.0.swap(issuer, from, ring).await
        }
    }
    let asked = Arc::new(Mutex::new([0, 0]));
    let builder = builder_over(Counting(MemoryRing::new(), asked.clone()));
    let issuer = builder.refreshed_by_hand().build().await.expect("an issuer");
    assert_eq!(*asked.lock().expect("no panic"), [2, 1], "made, and read");
    for _ in 0..10 {
        issuer.refresh().await.expect("a ring");
        issuer.mint_now(&alice()).expect("a token");
    }
    assert_eq!(*asked.lock().expect("no panic"), [12, 1]);
}

impl World {
    /// At this instant of the ring's clock.
    fn set_at(&self, at: StoreTime) {
        self.set(at.since(StoreTime::from_millis(NOW * 1000)));
    }

    /// An instance reads the ring by a clock that is ahead of the store's by as much as is allowed; or behind it.
    async fn read_off(&self, issuer: &TokenIssuer<MemoryRing>, seconds: i64) {
        let wall = self.time.wall().as_millis();
        self.store.set_now(StoreTime::from_millis(wall + 1000 * seconds));
        issuer.refresh().await.expect("a ring");
        self.store.set_now(self.time.wall());
    }
}

/// A verifier that keeps what an instance publishes now, and does not ask again. Its clock is behind by so many seconds.
fn verifier(world: &World, issuer: &TokenIssuer<MemoryRing>, behind: i64) -> Policy {
    #[derive(Debug)]
    struct Behind(PolicyClock, i64);
    impl Clock for Behind {
        fn now(&self) -> UnixTime {
            UnixTime(self.0.now().0 - self.1)
        }
    }
    let keys = issuer.key_set().expect("a set").body;
    let trusted = Issuer::new(ISSUER)
        .algorithms([Algorithm::ES256])
        .keys(portcullis::KeySet::from_jwks(&*keys).expect("keys"))
        .audience(AUDIENCE);
    let policy = Policy::builder().issuer(trusted);
    let clock = Behind(PolicyClock(world.time.clone()), behind);
    policy.clock(clock).build().expect("a policy")
}

/// Dex 2759: a new key signed at once, and whoever had fetched the keys a second before refused its tokens.
#[tokio::test]
async fn the_first_token_after_a_turn_passes_where_the_keys_were_fetched_before_it() {
    let cached = Duration::from_secs(12 * 60 * 60 + 10 * 60 + 30);
    for ago in [Duration::from_secs(1), cached] {
        for is_compromised in [false, true] {
            let world = World::new();
            let issuer = world.issuer().await;
            let before = signing_key(&issuer);
            let turn = issuer.status().expect("a ring").next_change().expect("the turn");
            // An instance does what is due while nobody turns anything.
            world.set_at(turn.before(Duration::from_secs(24 * 60 * 60)));
            issuer.refresh().await.expect("a ring");
            world.set_at(turn.before(ago));
            issuer.refresh().await.expect("a ring");
            let policy = verifier(&world, &issuer, 0);
            world.set_at(turn);
            issuer.refresh().await.expect("a ring");
            let after = signing_key(&issuer);
            assert_ne!(after, before, "it is the first");
            if is_compromised {
                // At that very moment, so that the youngest key has to sign.
                issuer.withdraw(&after).await.expect("withdrawn");
                assert!(![&before, &after].contains(&&signing_key(&issuer)));
            }
            let minted = issuer.mint_now(&alice()).expect("a token");
            let verified = policy.verify_token_now(&minted.token);
            assert!(verified.is_ok(), "{ago:?} {is_compromised} {verified:?}");
        }
    }
}

/// Dex 36, 829: a key was gone while its tokens were not.
#[tokio::test]
async fn the_last_token_of_a_key_passes_to_its_end_between_the_slowest_and_the_fastest_clock() {
    let world = World::new();
    let (slow, fast) = (world.issuer().await, world.issuer().await);
    let (old, turn) = (signing_key(&slow), slow.status().expect("a ring").next_change());
    let turn = turn.expect("the turn");
    let seconds = Duration::from_secs;
    // On its clock, a second before the turn, which was a while ago.
    world.set_at(turn.after(seconds(14)));
    world.read_off(&slow, -15).await;
    assert_eq!(signing_key(&slow), old);
    let minted = slow.mint_now(&alice()).expect("a token");
    fast.refresh().await.expect("a ring");
    assert_ne!(signing_key(&fast), old);

    // A verifier that is behind takes it for as long as its leeway lets it, with keys of an instance that is ahead.
    let end = StoreTime::from_millis(minted.expires_at.0 * 1000).after(seconds(30 + 15));
    world.set_at(end.before(seconds(1)));
    world.read_off(&fast, 15).await;
    let policy = verifier(&world, &fast, 15);
    let verified = policy.verify_token_now(&minted.token);
    assert!(verified.is_ok(), "{verified:?}");
    world.set_at(end);
    let refused = policy.verify_token_now(&minted.token).expect_err("over");
    assert_eq!(refused.reason(), "expired", "by its time, and not for want of a key");
    // And is not published for ever.
    world.set_at(end.after(seconds(2 * 60)));
    fast.refresh().await.expect("a ring");
    assert!(!fast.key_set().expect("a set").body.contains(&old));
}

/// Duende 1234, 764: another interval after a restart left an installation without a key, or made many.
#[tokio::test]
async fn settings_that_change_with_every_start_leave_no_gap_and_no_token_is_refused() {
    let hours = |count: u32| count * Duration::from_secs(60 * 60);
    let settings = [
        (Algorithm::ES256, 3 * 24, 1),
        (Algorithm::EdDSA, 20 * 24, 24),
        (Algorithm::ES256, 30 * 24, 1),
        (Algorithm::EdDSA, 2 * 24, 12),
        (Algorithm::ES384, 90 * 24, 24),
    ];
    let world = World::new();
    let build = async |step: u32| {
        let (algorithm, interval, lifetime) = settings[step as usize % settings.len()];
        let builder = TokenIssuer::builder(ISSUER).algorithm(algorithm).audiences([AUDIENCE]);
        let builder = builder.lifetime(hours(lifetime)).root_secrets([Secret::new(ROOT)]);
        let builder = builder.ring(world.store.clone());
        let builder = builder.schedule(Schedule::new().interval(hours(interval)));
        let builder = builder.time(world.time.clone()).refreshed_by_hand();
        builder.build().await.expect("an issuer")
    };
    let mut before = build(0).await;
    let (mut young, mut signed) = (Vec::<Minted>::new(), Vec::new());
    for step in 0..1000 {
        world.set(step * hours(12));
        // The one of before goes on beside it for a while.
        let issuer = build(step).await;
        before.refresh().await.expect("a ring");
        assert_eq!(before.key_set(), issuer.key_set(), "{step}");
        let status = issuer.status().expect("a ring");
        let signing = status.signing().expect("one signs");
        assert_eq!(signing_key(&before), signing.key_id, "{step}");
        if signed.last() != Some(&signing.key_id) {
            let ahead = signing.times.signs_from.since(signing.times.published_at);
            assert!(signed.is_empty() || ahead >= hours(24), "{step} {signing:?}");
            signed.push(signing.key_id.clone());
        }
        assert!(status.keys.len() <= 24, "{step} {}", status.keys.len());
        let now = UnixTime(world.time.wall().as_millis() / 1000);
        young.retain(|minted| minted.expires_at > now);
        young.extend([&before, &issuer].map(|it| it.mint_now(&alice()).expect("a token")));
        for minted in &young {
            for policy in [world.policy(&before), world.policy(&issuer)] {
                let verified = policy.verify_token_now(&minted.token);
                assert!(verified.is_ok(), "{step} {verified:?}");
            }
        }
        before = issuer;
    }
    assert!(signed.len() >= 5, "{}", signed.len());
}

/// A store that does something else than to answer, when it is told to.
#[derive(Clone, Default)]
struct Odd(MemoryRing, Arc<Mutex<Oddity>>);

#[derive(Clone, Copy, Default, PartialEq)]
enum Oddity {
    #[default]
    Answers,
    Panics,
    /// It swaps, and answers a moment later.
    IsSlow,
}

impl Odd {
    fn set(&self, oddity: Oddity) {
        *self.1.lock().expect("no panic") = oddity;
    }

    fn is(&self, oddity: Oddity) -> bool {
        *self.1.lock().expect("no panic") == oddity
    }

    async fn issuer(
        &self,
        revocations: &portcullis::Revocations,
        observer: impl Fn(&IssuerEvent) + Send + Sync + 'static,
    ) -> TokenIssuer<Self> {
        let builder =
            builder_over(self.clone()).revocations(revocations.clone()).on_event(observer);
        builder.build().await.expect("an issuer")
    }
}

impl RingStore for Odd {
    async fn load(&self, issuer: &str) -> Result<LoadedRing, StoreError> {
        assert!(!self.is(Oddity::Panics), "as it was told to");
        self.0.load(issuer).await
    }

    async fn swap(
        &self,
        issuer: &str,
        from: Option<RingVersion>,
        ring: &StoredRing,
    ) -> Result<Swap, StoreError> {
        let swapped = self.0.swap(issuer, from, ring).await;
        if self.is(Oddity::IsSlow) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        swapped
    }
}

/// As where a client goes away, or a request has a timeout.
#[tokio::test(start_paused = true)]
async fn a_withdrawal_that_nobody_waits_for_goes_on_to_its_end() {
    let (store, revocations) = (Odd::default(), portcullis::Revocations::in_memory());
    let issuer = store.issuer(&revocations, |_| {}).await;
    let status = issuer.status().expect("a ring");
    let key_id = status.signing().expect("one signs").key_id.clone();
    store.set(Oddity::IsSlow);
    let waited = tokio::time::timeout(Duration::from_millis(10), issuer.withdraw(&key_id)).await;
    assert!(waited.is_err(), "nobody waits");
    assert_eq!(issuer.status().expect("a ring").signing().expect("one signs").key_id, key_id);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_ne!(issuer.status().expect("a ring").signing().expect("one signs").key_id, key_id);
    let (issuer, until) = (ISSUER.to_owned(), None);
    assert!(revocations.is_revoked(&portcullis::Revocation::Key { issuer, key_id, until }));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_is_told_and_asked_again() {
    let (store, revocations) = (Odd::default(), portcullis::Revocations::in_memory());
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    let issuer = store
        .issuer(&revocations, move |event| list.lock().expect("no panic").push(event.clone()))
        .await;
    told.lock().expect("no panic").clear();
    store.set(Oddity::Panics);
    // In the background, and by hand.
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(issuer.refresh().await, Err(RingError::Interrupted));
    assert_eq!(*told.lock().expect("no panic"), [IssuerEvent::Failed(RingError::Interrupted)]);
    store.set(Oddity::Answers);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(told.lock().expect("no panic").last(), Some(&IssuerEvent::Recovered));
    assert_eq!(issuer.status().expect("a ring").failures, 2);
}
