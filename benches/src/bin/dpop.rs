//! What a proof of who has the key of a token costs (RFC 9449), as markdown: see the README of this package.
use core::time::Duration;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use allocation_counter::measure;
use clap::Parser;
use http::Request;
use portcullis::dpop::{Dpop, InProcessReplays, Nonces, ProofUse, Replays, Spent};
use portcullis::tower::VerifyLayer;
use portcullis::{Algorithm, Policy, UnixTime};
use portcullis_benches::call::{self, Bare};
use portcullis_benches::case::TOKENS;
use portcullis_benches::rounds::{Contender, Length, Rounds};
use portcullis_benches::sender::BASE;
use portcullis_benches::{Case, Client};
use tower_layer::Layer;

/// Measures requests with a proof beside the proof's signature alone, and prints markdown.
#[derive(Parser)]
struct Arguments {
    /// How often each contender has its turn.
    #[arg(long, value_name = "N", default_value_t = 401)]
    rounds: usize,
    /// How long a turn lasts, in microseconds. Most of it goes by off the clock: proofs are made.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    micros: u64,
    /// How many used proofs are remembered, to see what they take. Each is made and verified first.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    proofs: usize,
}

fn main() {
    let Arguments { rounds, micros, proofs } = Arguments::parse();
    let length = Length { rounds, turn: Duration::from_micros(micros) };
    println!("| proof | bytes | raw | bare service | portcullis | added | with nonces, added |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for algorithm in [
        Algorithm::ES256,
        Algorithm::EdDSA,
        Algorithm::ML_DSA_44,
        Algorithm::ML_DSA_65,
        Algorithm::ML_DSA_87,
    ] {
        print_proof(length, algorithm);
    }

    println!("\nA remembered bearer token, ns: the layer less the bare service.\n");
    println!("| policy | added | more than without proofs |");
    println!("| --- | ---: | ---: |");
    print_bearer(length);

    println!("\n`InProcessReplays`, filled in one thread.\n");
    println!("| used proofs | made within | MiB | bytes, each | ns to remember one |");
    println!("| ---: | --- | ---: | ---: | ---: |");
    print_replays(proofs);
}

/// Calls the service, and hears of a nonce.
fn ask(client: &Client, policy: &Policy) -> impl FnMut(Request<()>) {
    let mut service = VerifyLayer::new(policy.clone()).layer(Bare);
    move |request| {
        let response = call::call(&mut service, request);
        assert!(response.status().is_success(), "{}", response.status());
        client.hear(&response);
    }
}

fn print_proof(length: Length, algorithm: Algorithm) {
    let (client, nonces) = (Client::new(algorithm), Client::new(algorithm));
    let listed = [Algorithm::ES256, algorithm];
    let policy = client.policy(|dpop| dpop.algorithms(listed));
    let with_nonces =
        nonces.policy(|dpop| dpop.algorithms(listed).nonces(Nonces::of_this_process()));
    let rounds = Rounds::run(
        length,
        [
            Contender::new(
                |index| client.signed_proof(index),
                |proof| assert!(client.verify_raw(&proof)),
            ),
            Contender::new(|index| client.request(index), |request| call::call(&mut Bare, request)),
            Contender::new(|index| client.request(index), ask(&client, &policy)),
            Contender::new(|index| nonces.request(index), ask(&nonces, &with_nonces)),
        ],
    );
    let micros = |nanos: f64| nanos / 1e3;
    let [raw, bare, layer] = [0, 1, 2].map(|contender| micros(rounds.median(contender)));
    let added = micros(rounds.median_of(|[raw, bare, layer, _]| layer - raw - bare));
    let nonce = micros(rounds.median_of(|[raw, bare, _, nonces]| nonces - raw - bare));
    println!(
        "| {algorithm} | {} | {raw:.2} | {bare:.2} | {layer:.2} | {added:.2} | {nonce:.2} |",
        client.proof(0).len(),
    );
}

fn print_bearer(length: Length) {
    let case = Case::named("ES256");
    let client = Client::new(Algorithm::ES256);
    let (without, with) = (case.remembering().clone(), client.policy(|dpop| dpop));
    for index in 0..TOKENS {
        with.verify_token_now(case.token(index)).expect("a good token");
    }
    let layer = |policy: Policy| VerifyLayer::new(policy).layer(Bare);
    let (mut without, mut with) = (layer(without), layer(with));
    let rounds = Rounds::run(
        length,
        [
            Contender::new(|index| case.request(index), |request| call::call(&mut Bare, request)),
            Contender::new(
                |index| case.request(index),
                |request| call::call(&mut without, request),
            ),
            Contender::new(|index| case.request(index), |request| call::call(&mut with, request)),
        ],
    );
    let added = |contender: usize| rounds.median_of(|round| round[contender] - round[0]);
    let more = rounds.median_of(|[_, without, with]| with - without);
    println!("| without proofs | {:.0} | |", added(1));
    println!("| that takes proofs as well | {:.0} | {more:+.0} |", added(2));
}

/// How many issuers and holders share the room, so that none finds their part full.
const SHARING: usize = 64;

fn print_replays(proofs: usize) {
    for (name, seconds) in [("1 s", 1), ("1 min", 60)] {
        let uses = uses(proofs, seconds);
        let replays = InProcessReplays::with_capacity(2 * proofs).started_at(UnixTime(0));
        let begin = Instant::now();
        let taken = measure(|| {
            for proof in &uses {
                assert!(matches!(replays.spend(proof), Spent::Fresh));
            }
        });
        let nanos = begin.elapsed().as_secs_f64() * 1e9 / proofs as f64;
        assert_eq!(replays.len(), proofs);
        let bytes = taken.bytes_current as f64;
        println!(
            "| {proofs} | {name} | {:.1} | {:.1} | {nanos:.0} |",
            bytes / f64::from(1 << 20),
            bytes / proofs as f64,
        );
    }
}

/// Of different proofs that were made within so many seconds.
fn uses(count: usize, seconds: usize) -> Vec<ProofUse> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let some = || {
        let client = Client::new(Algorithm::EdDSA).standing_still();
        let catch = Catch::default();
        let endpoint = Dpop::new(catch.clone()).at(BASE).for_token_endpoint().expect("settings");
        for index in 0..count.div_ceil(cores) {
            let at = UnixTime(client.now().0 - (index % seconds) as i64);
            let proof = endpoint.check(&client.request_at(index, at), client.now());
            let part = (index % SHARING).to_string();
            let _ =
                proof.expect("a good proof").expect("a proof").spend(&part, &part, client.now());
        }
        catch.0.lock().expect("no panic").clone()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(some)).collect();
        let uses = threads.into_iter().flat_map(|thread| thread.join().expect("no panic"));
        uses.take(count).collect()
    })
}

/// Keeps what it is told.
#[derive(Clone, Debug, Default)]
struct Catch(Arc<Mutex<Vec<ProofUse>>>);

impl Replays for Catch {
    fn spend(&self, proof: &ProofUse) -> Spent {
        self.0.lock().expect("no panic").push(proof.clone());
        Spent::Fresh
    }

    fn epoch(&self) -> u64 {
        7
    }
}
