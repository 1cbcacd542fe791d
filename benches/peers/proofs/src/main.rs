//! What it costs to check a DPoP proof (RFC 9449), beside the raw signature and other libraries, as markdown.
//!
//! All are given proofs of the same key, and take turns: see `rounds`.
use core::time::Duration;
use std::process::{Command, Stdio};

use clap::Parser;
use portcullis::Algorithm;

mod client;
#[path = "../../driver/src/lock.rs"]
mod lock;
mod probes;
mod raw;
mod resources;
#[path = "../../../src/rounds.rs"]
#[expect(unreachable_pub, reason = "public where it is at home")]
mod rounds;

use self::client::Client;
use self::lock::Lock;
use self::raw::{Signed, raw};
use self::resources::{Bare, Huskarl, Portcullis, Verifier, call};
use self::rounds::{Contender, Length, Rounds};

const ALGORITHMS: [Algorithm; 2] = [Algorithm::ES256, Algorithm::EdDSA];

/// What a check takes, the signature alone, what is more than it, all in nanoseconds, and the check beside Portcullis's.
type Cost = [f64; 4];

/// Measures what proofs cost a resource, and prints markdown.
#[derive(Parser)]
struct Arguments {
    /// How many processes measure, one after the other: where the system puts a process in memory decides on what some code takes.
    #[arg(long, value_name = "N", default_value_t = 15)]
    processes: usize,
    /// How often each contender has its turn, in each process.
    #[arg(long, value_name = "N", default_value_t = 25)]
    rounds: usize,
    /// How long a turn lasts, in microseconds. Some of it goes by off the clock: proofs are made.
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    micros: u64,
    /// Is one of these processes: measures, and prints bare numbers.
    #[arg(long, hide = true)]
    part: bool,
}

fn main() {
    let arguments = Arguments::parse();
    let Arguments { processes, rounds, micros, part } = arguments;
    let length = Length { rounds, turn: Duration::from_micros(micros) };
    if part {
        for cost in ALGORITHMS.iter().flat_map(|algorithm| measure(length, *algorithm)) {
            println!("{}", cost.map(|number| number.to_string()).join(" "));
        }
        return;
    }
    assert!(processes > 0, "without a process nothing is measured");
    println!("## Proofs of possession\n");
    print_refusals();
    let turn = length.turn;
    println!("\nµs. {processes} processes, {rounds} rounds of {turn:?} each, medians.\n");
    println!(
        "| proof | checked by | with | check | least–most | signature alone | more than it | × |"
    );
    println!("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |");
    let parts: Vec<_> = (0..processes).map(|_| run_part(length)).collect();
    let names = ALGORITHMS.iter().flat_map(|algorithm| names(*algorithm));
    for (row, name) in names.enumerate() {
        let costs: Vec<_> = parts.iter().map(|part| part[row]).collect();
        print_row(&name, &costs);
    }
}

/// What another process measures, row by row.
fn run_part(length: Length) -> Vec<Cost> {
    let program = std::env::current_exe().expect("this program");
    let (rounds, micros) = (length.rounds.to_string(), length.turn.as_micros().to_string());
    let arguments = ["--part", "--rounds", &rounds, "--micros", &micros];
    let part = Command::new(program).args(arguments).stderr(Stdio::inherit()).output();
    let part = part.expect("a process");
    assert!(part.status.success(), "a process ended with {}", part.status);
    let numbers = String::from_utf8(part.stdout).expect("numbers");
    let costs = numbers.lines().map(|line| {
        let cost: Vec<_> = line.split(' ').map(|it| it.parse().expect("a number")).collect();
        Cost::try_from(cost).expect("four numbers")
    });
    costs.collect()
}

/// What each process found, as a row.
fn print_row(name: &str, parts: &[Cost]) {
    let sorted = |column: usize| {
        let mut numbers: Vec<_> = parts.iter().map(|cost| cost[column]).collect();
        numbers.sort_by(f64::total_cmp);
        numbers
    };
    let median = |column| sorted(column)[parts.len() / 2];
    let checks = sorted(0);
    println!(
        "| {name} | {:.1} | {:.1}–{:.1} | {:.1} | {:.1} | {:.2} |",
        median(0) / 1e3,
        checks[0] / 1e3,
        checks[checks.len() - 1] / 1e3,
        median(1) / 1e3,
        median(2) / 1e3,
        median(3),
    );
}

fn print_refusals() {
    let [refusals, others] = ALGORITHMS.map(probes::ask_all);
    assert_eq!(refusals, others, "what is refused does not depend on the algorithm");
    println!("| a proof that is right, but | Portcullis | dpop-verifier | huskarl |");
    println!("| --- | --- | --- | --- |");
    for row in refusals {
        println!("| {} |", row.join(" | "));
    }
}

/// What the four take, as [`names`] names them.
fn measure(length: Length, algorithm: Algorithm) -> [Cost; 4] {
    let client = &Client::new(algorithm);
    let [aws, older, newer] = raw(client.key());
    let (mut layer, mut forgetful) =
        (Portcullis::remembering(client), Portcullis::forgetful(client));
    let (mut verifier, huskarl) = (Verifier::new(client), Huskarl::new());
    let (mut bare, mut bearer_layer) = (Bare, Portcullis::forgetful(client));
    let signed = |index| Signed::new(client.proof(index));
    let request = |index| client.ask(index).request();
    let rounds = Rounds::run(
        length,
        [
            Contender::new(signed, |proof| assert!(aws(&proof))),
            Contender::new(signed, |proof| assert!(older(&proof))),
            Contender::new(signed, |proof| assert!(newer(&proof))),
            Contender::new(request, |request| call(&mut bare, request)),
            Contender::new(request, |request| layer.pass(request)),
            Contender::new(|index| client.bearer(index), |it| bearer_layer.pass(it)),
            Contender::new(request, |request| forgetful.pass(request)),
            Contender::new(|index| client.ask(index), |ask| verifier.pass(&ask)),
            Contender::new(|index| client.bearer(index), |request| huskarl.pass(&request)),
            Contender::new(request, |request| huskarl.pass(&request)),
        ],
    );
    // Whose signature each is compared with.
    let alone = [0, 0, 1, 2];
    core::array::from_fn(|who| {
        [
            rounds.median_of(|round| checks(round)[who]),
            rounds.median(alone[who]),
            rounds.median_of(|round| checks(round)[who] - round[alone[who]]),
            rounds.median_of(|round| checks(round)[who] / checks(round)[0]),
        ]
    })
}

/// What the four take for a proof, of what the contenders took in a round.
fn checks(round: &[f64; 10]) -> [f64; 4] {
    let [_, _, _, bare, layer, bearer, forgetful, verifier, other_bearer, huskarl] = round;
    [layer - bare, forgetful - bearer, *verifier, huskarl - other_bearer]
}

/// The first columns: the algorithm, a library, and the cryptography that it brings.
fn names(algorithm: Algorithm) -> [String; 4] {
    let lock = Lock::read();
    let cryptography = if algorithm == Algorithm::ES256 { "p256" } else { "ed25519-dalek" };
    let versions = |path: &[&str]| {
        let path: Vec<_> = path.iter().copied().map(str::to_owned).collect();
        lock.versions("proofs", &path)
    };
    let aws = versions(&["aws-lc-rs"]).concat();
    let other = |path: &[&str]| {
        let versions = versions(path);
        format!("{} | {}", versions[0], versions[versions.len() - 1])
    };
    [
        format!("portcullis | {aws}"),
        format!("portcullis, remembers nothing | {aws}"),
        other(&["dpop-verifier", cryptography]),
        other(&["huskarl-resource-server", "huskarl-crypto-native", cryptography]),
    ]
    .map(|name| format!("{algorithm} | {name}"))
}
