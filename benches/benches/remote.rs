//! What remote keys cost beside keys in memory, and what an unknown key id does.
use divan::Bencher;
use portcullis::{Algorithm, Issuer, Keys, Policy, RemoteJwks};
use portcullis_testkit::TestIssuer;
use portcullis_testkit::key_server::{Answer, KeyServer};

fn main() {
    divan::main();
}

const ALGORITHM: Algorithm = Algorithm::ES256;

struct Remote {
    server: KeyServer,
    issuer: TestIssuer,
    policy: Policy,
}

fn policy(issuer: &TestIssuer, keys: impl Into<Keys>) -> Policy {
    let issuer = Issuer::new(issuer.name())
        .algorithms([ALGORITHM])
        .keys(keys)
        .audience(TestIssuer::AUDIENCE);
    Policy::builder().issuer(issuer).build().expect("a policy")
}

impl Remote {
    /// A policy whose keys have been fetched.
    fn new() -> Self {
        let server = KeyServer::start();
        let issuer = server.issuer(&[ALGORITHM]);
        let policy = policy(&issuer, RemoteJwks::discovery().load_at_start());
        Self { server, issuer, policy }
    }
}

fn bench(bencher: Bencher<'_, '_>, policy: &Policy, token: &str) {
    bencher.bench_local(|| policy.verify_token_now(token));
}

#[divan::bench(sample_count = 1000, sample_size = 4)]
fn known_key_in_memory(bencher: Bencher<'_, '_>) {
    let issuer = TestIssuer::new("https://id.example");
    let keys = portcullis::KeySet::from_jwks(issuer.jwks_of(&[ALGORITHM])).expect("keys");
    bench(bencher, &policy(&issuer, keys), &issuer.token(ALGORITHM).mint());
}

#[divan::bench(sample_count = 1000, sample_size = 4)]
fn known_key_remote(bencher: Bencher<'_, '_>) {
    let remote = Remote::new();
    bench(bencher, &remote.policy, &remote.issuer.token(ALGORITHM).mint());
}

#[divan::bench(sample_count = 1000, sample_size = 4)]
fn known_key_while_a_fetch_hangs(bencher: Bencher<'_, '_>) {
    let remote = Remote::new();
    let path = "/jwks.json";
    remote.server.answer(path, Answer::hang());
    let keys = remote.policy.remote_keys();
    let keys = keys[0].clone();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let _ = runtime.expect("a runtime").block_on(keys.refresh_now());
        });
        remote.server.wait_for_hits(path, 2);
        bench(bencher, &remote.policy, &remote.issuer.token(ALGORITHM).mint());
        drop(remote.server);
    });
}

#[divan::bench(sample_count = 1000, sample_size = 4)]
fn unknown_key_within_the_cool_down(bencher: Bencher<'_, '_>) {
    let remote = Remote::new();
    let token = remote.issuer.token(ALGORITHM).header("kid", "invented").mint();
    bench(bencher, &remote.policy, &token);
}
