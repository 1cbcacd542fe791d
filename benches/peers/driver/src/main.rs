//! Makes the tokens, builds and starts the programs, tries what each refuses, lets them take turns,
//! and prints all of it as markdown: see the README of this workspace.
mod lock;
mod program;
mod tokens;

use std::io::Write;
use std::process::Command;

use clap::{Args, Parser};
use peer::SUBJECT;
use portcullis::Algorithm;
use tempfile::NamedTempFile;

use self::lock::Lock;
use self::program::Program;
use self::tokens::{PROBES, Tokens};

/// The packages with a program. What the others are compared with comes first.
const PROGRAMS: [&str; 8] = [
    "peer-portcullis",
    "peer-jsonwebtoken",
    "peer-axum-jwt-auth",
    "peer-axum-jose",
    "peer-tower-oauth2-resource-server",
    "peer-tower-oauth2-resource-server-aws-lc",
    "peer-oauth-resource-server",
    "peer-jwt-authorizer",
];

const ALGORITHMS: [Algorithm; 4] =
    [Algorithm::HS256, Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

#[derive(Args)]
struct Length {
    /// How often each program has its turn.
    #[arg(long, value_name = "N", default_value_t = 40)]
    rounds: usize,
    /// How long a turn lasts, in milliseconds.
    #[arg(long, value_name = "N", default_value_t = 20)]
    millis: u64,
}

/// A route with a library on it, and where it is in the programs.
struct Contender {
    program: usize,
    route: usize,
    name: String,
    cryptography: String,
    /// The status for each probe, by case.
    statuses: Vec<Vec<u16>>,
}

/// Measures routes of axum behind Portcullis and behind other libraries, and prints markdown.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    length: Length,
    /// Algorithms: HS256, RS256, ES256, EdDSA. Without one, all of them.
    #[arg(value_name = "ALGORITHM")]
    algorithms: Vec<Algorithm>,
}

fn main() {
    let Arguments { length, mut algorithms } = Arguments::parse();
    if algorithms.is_empty() {
        algorithms.extend(ALGORITHMS);
    }

    for package in PROGRAMS {
        program::build(package);
    }
    let tokens: Vec<_> = algorithms.iter().map(|&algorithm| Tokens::new(algorithm)).collect();
    let mut file = NamedTempFile::new().expect("a file");
    let cases = peer::Cases { cases: tokens.iter().map(Tokens::case).collect() };
    serde_json::to_writer(&mut file, &cases).expect("JSON");
    file.flush().expect("room for the file");

    let mut programs = PROGRAMS.map(|package| Program::start(package, file.path()));
    let lock = Lock::read();
    let mut contenders = Vec::new();
    for (index, program) in programs.iter_mut().enumerate() {
        eprintln!("trying {}", program.package());
        contenders.extend(try_program(index, program, &tokens, &lock));
    }

    print_heading(&length);
    for (case, algorithm) in algorithms.iter().enumerate() {
        eprintln!("measuring {algorithm}");
        println!("\n### {algorithm}\n");
        measure(&length, case, &mut programs, &contenders);
    }
    print_statuses(&contenders);
}

/// Good tokens must pass, with the right subject. What else passes is told.
fn try_program(
    index: usize,
    program: &mut Program,
    tokens: &[Tokens],
    lock: &Lock,
) -> Vec<Contender> {
    let hello = program.hello().clone();
    let engine = lock.versions(program.package(), &hello.engine);
    let (library, engine) = engine.split_first().expect("the library leads the way");
    let note = Some(hello.note.clone()).filter(|note| !note.is_empty());
    let cryptography = engine.iter().cloned().chain(note).collect::<Vec<_>>().join(", ");
    let mut contenders = Vec::new();
    for route in 0..hello.routes.len() {
        let mut statuses = vec![Vec::new(); tokens.len()];
        for &case in &hello.cases {
            for token in tokens[case].good() {
                let answer = program.call(route, case, token);
                let passed = answer.status == 200 && answer.body == SUBJECT;
                assert!(passed, "{} refuses a good token: {answer:?}", program.package());
            }
            if route > 0 {
                let mut status = |token| program.call(route, case, token).status;
                statuses[case] = tokens[case].bad().iter().map(|token| status(token)).collect();
            }
        }
        if route > 0 {
            let name = match hello.routes[route].as_str() {
                "" => library.clone(),
                name => format!("{library}, {name}"),
            };
            let cryptography = cryptography.clone();
            contenders.push(Contender { program: index, route, name, cryptography, statuses });
        }
    }
    contenders
}

fn measure(length: &Length, case: usize, programs: &mut [Program], contenders: &[Contender]) {
    let verifies = |contender: &&Contender| programs[contender.program].verifies(case);
    let contenders: Vec<_> = contenders.iter().filter(verifies).collect();
    let mut floors: Vec<_> = contenders.iter().map(|contender| (contender.program, 0)).collect();
    floors.dedup();
    let routes = contenders.iter().map(|contender| (contender.program, contender.route));
    let turns: Vec<_> = floors.iter().copied().chain(routes).collect();
    let place = |turn| turns.iter().position(|&other| other == turn).expect("a turn");

    let mut rounds = Vec::new();
    // The first round warms up.
    for round in 0..=length.rounds {
        let mut times = vec![0.0; turns.len()];
        for offset in 0..turns.len() {
            let index = (round + offset) % turns.len();
            let (program, route) = turns[index];
            times[index] = programs[program].run(route, case, length.millis * 1000) / 1e3;
        }
        if round > 0 {
            rounds.push(times);
        }
    }

    let median_of = |of: &dyn Fn(&[f64]) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(|times| of(times)).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ours = place((contenders[0].program, contenders[0].route));
    println!(
        "| library | on | checked | route, µs | without, µs | added, µs | route / Portcullis |"
    );
    println!("| --- | --- | --- | ---: | ---: | ---: | ---: |");
    for contender in contenders {
        let route = place((contender.program, contender.route));
        let floor = place((contender.program, 0));
        println!(
            "| {} | {} | {} | {:.2} | {:.2} | {:.2} | {:.2} |",
            contender.name,
            contender.cryptography,
            contender.checked(case).join(", "),
            median_of(&|times| times[route]),
            median_of(&|times| times[floor]),
            median_of(&|times| times[route] - times[floor]),
            median_of(&|times| times[route] / times[ours]),
        );
    }
}

impl Contender {
    fn checked(&self, case: usize) -> Vec<&'static str> {
        let statuses = self.statuses[case].iter();
        let refused = PROBES.iter().zip(statuses).filter(|&(_, &status)| status != 200);
        refused.map(|(probe, _)| probe.checks).collect()
    }
}

fn print_heading(length: &Length) {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_or_else(|_| b"unknown rustc".to_vec(), |output| output.stdout);
    println!("## Beside other libraries\n");
    println!(
        "{} ({cores} cores), {}. {} rounds of {} ms each, medians.",
        model.map_or("unknown processor", |(_, model)| model.trim()),
        String::from_utf8_lossy(&rustc).trim(),
        length.rounds,
        length.millis,
    );
    println!();
    println!("- **route**: a request through an axum route whose handler reads nine claims as a");
    println!("  struct and answers the subject, until the response is dropped. **without**: the");
    println!("  same route in the same program, without the library. **added**: the difference.");
    println!("- **checked**: what made it refuse a token that was right in all else.");
}

/// The rows are what was tried, since there are more of those than of the libraries.
fn print_statuses(contenders: &[Contender]) {
    println!("\n### Answers to bad tokens\n");
    let names: Vec<_> = (1..=contenders.len()).map(|number| number.to_string()).collect();
    println!("| token | {} |", names.join(" | "));
    println!("| --- |{}", " ---: |".repeat(contenders.len()));
    for (index, probe) in PROBES.iter().enumerate() {
        let cells: Vec<_> = contenders
            .iter()
            .map(|contender| {
                let cases = contender.statuses.iter().filter(|statuses| !statuses.is_empty());
                let mut statuses: Vec<_> = cases.map(|statuses| statuses[index]).collect();
                statuses.sort_unstable();
                statuses.dedup();
                let show = |status: u16| match status {
                    200 => "**200**".to_owned(),
                    status => status.to_string(),
                };
                statuses.into_iter().map(show).collect::<Vec<_>>().join(", ")
            })
            .collect();
        println!("| {} | {} |", probe.name, cells.join(" | "));
    }
    println!();
    for (number, contender) in names.iter().zip(contenders) {
        println!("{number}. {} on {}", contender.name, contender.cryptography);
    }

    for contender in contenders {
        let passes = |index: usize| {
            let mut cases = contender.statuses.iter().filter(|statuses| !statuses.is_empty());
            cases.any(|statuses| statuses[index] == 200)
        };
        let grave = PROBES.iter().enumerate();
        let grave = grave.filter(|&(index, probe)| probe.is_grave && passes(index));
        for (_, probe) in grave {
            println!("\n**{} accepts a token: {}.**", contender.name, probe.name);
            eprintln!("{} accepts a token: {}", contender.name, probe.name);
        }
    }
}
