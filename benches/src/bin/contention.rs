//! What a remembered token costs alone, and where two cores do nothing else on the same policy: in ns, the median
//! and the range of a few runs.
use std::hint::black_box;
use std::thread;
use std::time::Instant;

use portcullis::{Algorithm, Issuer, KeySet, Policy};
use portcullis_testkit::TestIssuer;

const RUNS: usize = 9;
const TOKENS: usize = 500;
const DECISIONS: usize = 2_000_000;

fn main() {
    let issuer = TestIssuer::new("https://id.example");
    let keys = KeySet::from_jwks(issuer.jwks_of(&[Algorithm::ES256])).expect("good keys");
    let trusted = Issuer::new("https://id.example")
        .algorithms([Algorithm::ES256])
        .keys(keys)
        .audience(TestIssuer::AUDIENCE);
    let policy = Policy::builder().issuer(trusted).build().expect("a policy");
    let request = || {
        let token = issuer.token(Algorithm::ES256).mint();
        let request = http::Request::builder().header("authorization", format!("Bearer {token}"));
        let request = request.body(()).expect("a request");
        drop(policy.start_verify(&request));
        request
    };
    let requests = [(); 2].map(|()| (0..TOKENS).map(|_| request()).collect::<Vec<_>>());
    let measure = |threads: usize| {
        let start = Instant::now();
        thread::scope(|scope| {
            for requests in &requests[..threads] {
                scope.spawn(|| {
                    for request in requests.iter().cycle().take(DECISIONS) {
                        drop(black_box(policy.start_verify(request)));
                    }
                });
            }
        });
        start.elapsed().as_nanos() / DECISIONS as u128
    };
    let mut runs = [(); RUNS].map(|()| [measure(1), measure(2)]);
    for threads in [1, 2] {
        runs.sort_unstable_by_key(|run| run[threads - 1]);
        let [low, middle, high] = [0, RUNS / 2, RUNS - 1].map(|index| runs[index][threads - 1]);
        println!("{threads} at once: {middle} ns a decision ({low} to {high})");
    }
}
