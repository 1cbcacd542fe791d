//! Compares the instructions that verification costs with the record in `counts.toml`.
//!
//! See "Instructions" in the README of this package.
use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use portcullis_benches::vectors::ACCEPTED;
use portcullis_benches::{Refused, Vectors};
use serde::Deserialize;
use serde_json::Value;

/// What a path may cost more than the record says, in percent. Runs of one build differ by less than
/// half a percent: see the README.
const TOLERANCE: f64 = 2.0;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/counts.toml");
const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors.json");

/// Instructions by the names of paths, in the order in which they are shown.
type Rows = Vec<(String, u64)>;

/// Compares the instructions that verification costs with the record.
#[derive(Parser)]
struct Arguments {
    /// Record what they are now.
    #[arg(long)]
    record: bool,
    /// Make other keys and tokens. Record after it.
    #[arg(long)]
    vectors: bool,
    /// Show the processor as this program sees it.
    #[arg(long, hide = true)]
    processor: bool,
}

fn main() -> ExitCode {
    let Arguments { record: records, vectors, processor: shows_processor } = Arguments::parse();
    if vectors {
        let vectors = serde_json::to_string_pretty(&Vectors::generate()).expect("JSON");
        fs::write(VECTORS, vectors + "\n").expect("the vectors are written");
        println!("{VECTORS} is written: what was recorded before was of other tokens");
    } else if shows_processor {
        println!("{}", processor());
    } else if records {
        fs::write(RECORD, record(&environment(), &count())).expect("the record is written");
        println!("{RECORD} is written");
    } else {
        return compare();
    }
    ExitCode::SUCCESS
}

/// What the counts depend on, other than this repository.
type Environment = BTreeMap<String, String>;

/// What `counts.toml` holds.
#[derive(Deserialize)]
struct Record {
    environment: Environment,
    #[serde(flatten)]
    tables: BTreeMap<String, BTreeMap<String, u64>>,
}

/// What is counted, one table of [`Record`] after the other.
struct Counts {
    tables: [(&'static str, Rows); 5],
    /// What was subtracted: none of it is ours.
    subtracted: Rows,
}

fn compare() -> ExitCode {
    let record = fs::read_to_string(RECORD).expect("the record");
    let record: Record = toml::from_str(&record).expect("a record");
    let environment = environment();
    let counts = count();

    let (mut dearer, mut cheaper, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    println!("| path | record | now | change |");
    println!("| --- | ---: | ---: | ---: |");
    for (table, rows) in &counts.tables {
        for (name, now) in rows {
            let name_of_row = format!("{table}: {name}");
            let Some(&before) = record.tables.get(*table).and_then(|rows| rows.get(name)) else {
                println!("| {name_of_row} | – | {now} | – |");
                unknown.push(name_of_row);
                continue;
            };
            let percent = (*now as f64 / before as f64 - 1.0) * 100.0;
            println!("| {name_of_row} | {before} | {now} | {percent:+.2} % |");
            match percent {
                percent if percent > TOLERANCE => dearer.push(name_of_row),
                percent if percent < -TOLERANCE => cheaper.push(name_of_row),
                _ => {}
            }
        }
    }
    println!();
    for (name, now) in &counts.subtracted {
        let before = record.tables.get("subtracted").and_then(|rows| rows.get(name));
        if before.is_some_and(|before| before != now) {
            println!("Not ours, and other than recorded: {name}: {now}");
        }
    }
    if !cheaper.is_empty() {
        println!("More than {TOLERANCE} % cheaper, lower the record: {}", cheaper.join(", "));
    }
    if !unknown.is_empty() {
        println!("Not in the record: {}", unknown.join(", "));
    }
    if !dearer.is_empty() {
        println!("More than {TOLERANCE} % dearer: {}", dearer.join(", "));
    }
    if environment != record.environment {
        println!("The record is of another environment, so this only reports:");
        for (name, here) in &environment {
            let there = record.environment.get(name).map_or("unknown", String::as_str);
            if there != here {
                println!("  {name}: {here}, recorded with {there}");
            }
        }
    } else if !dearer.is_empty() || !unknown.is_empty() {
        println!("`make counts RECORD=1` records what is so on purpose");
        return ExitCode::FAILURE;
    } else {
        println!("make counts: no path costs more than recorded");
    }
    ExitCode::SUCCESS
}

fn record(environment: &Environment, counts: &Counts) -> String {
    let mut record = String::from(
        "# Instructions: `make counts` compares, `make counts RECORD=1` writes this file.\n\
         # What the tables mean is in README.md.\n\n[environment]\n",
    );
    let quoted = |text: &str| Value::from(text).to_string();
    for (name, value) in environment {
        writeln!(record, "{name} = {}", quoted(value)).expect("memory");
    }
    let subtracted = ("subtracted", counts.subtracted.clone());
    for (table, rows) in counts.tables.iter().chain([&subtracted]) {
        writeln!(record, "\n[{table}]").expect("memory");
        for (name, now) in rows {
            writeln!(record, "{} = {now}", quoted(name)).expect("memory");
        }
    }
    record
}

/// Runs the benchmark `instructions`.
fn count() -> Counts {
    let output = Command::new(cargo())
        .args(["bench", "--locked", "--package", "portcullis-benches", "--bench", "instructions"])
        .args(["--", "--output-format=json", "--nosummary=true"])
        .env("PATH", path())
        // In several units, what is inlined depends on which functions share one, and that on the folder of the checkout: the
        // same commit took 2.3 % less for a verification in another folder.
        .env("CARGO_PROFILE_BENCH_CODEGEN_UNITS", "1")
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the benchmark fails");
    let output = String::from_utf8(output.stdout).expect("UTF-8");
    let all: BTreeMap<(String, String), u64> = output.lines().map(instructions).collect();
    let of = |function: &str, id: &str| all[&(function.to_owned(), id.to_owned())];
    let at = |function, place: usize| of(function, &format!("of_{place}"));

    let bare = of("bare", "of");
    let hs256 = at("raw", 0);
    let mut verification: Rows = (0..)
        .zip(ACCEPTED)
        .map(|(place, name)| (name.to_owned(), at("layer", place) - at("raw", place) - bare))
        .collect();
    verification.push(("HS256, typed claims".to_owned(), of("typed", "of") - hs256 - bare));
    let mut remembered: Rows = (0..)
        .zip(ACCEPTED)
        .map(|(place, name)| (name.to_owned(), at("remembered", place) - bare))
        .collect();
    remembered.push(("HS256, typed claims".to_owned(), of("remembered_typed", "of") - bare));
    let decision = (0..)
        .zip(Refused::NAMES)
        .map(|(place, name)| {
            let raw = if name == "bad signature" { of("raw_refused", "of") } else { 0 };
            (name.to_owned(), at("decision", place) - raw)
        })
        .collect();
    let response = (0..)
        .zip(Refused::NAMES)
        .map(|(place, name)| (name.to_owned(), at("response", place)))
        .collect();
    let adapters = [("axum", "axum"), ("actix-web", "actix")].map(|(name, function)| {
        (name.to_owned(), of(function, "protected") - of(function, "open") - hs256)
    });
    let mut subtracted: Rows = vec![("bare service".to_owned(), bare)];
    subtracted.extend(
        (0..).zip(ACCEPTED).map(|(place, name)| (format!("signature: {name}"), at("raw", place))),
    );
    subtracted.push(("signature: bad signature".to_owned(), of("raw_refused", "of")));
    subtracted.push(("axum".to_owned(), of("axum", "open")));
    subtracted.push(("actix-web".to_owned(), of("actix", "open")));
    Counts {
        tables: [
            ("verification", verification),
            ("remembered", remembered),
            ("decision", decision),
            ("response", response),
            ("adapters", adapters.into()),
        ],
        subtracted,
    }
}

/// Of a line that gungraun prints.
fn instructions(line: &str) -> ((String, String), u64) {
    let line: Value = serde_json::from_str(line).expect("JSON");
    let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let count = &line["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"]["new"];
    ((text("function_name"), text("id")), count.as_u64().expect("a count"))
}

fn environment() -> Environment {
    let valgrind = Command::new("valgrind")
        .args(["-q", "--tool=none"])
        .arg(env::current_exe().expect("the path of this program"))
        .arg("--processor")
        .output();
    let processor = valgrind.map_or_else(|_| Vec::new(), |output| output.stdout);
    [
        ("rustc", first_line("rustc", "--version")),
        ("valgrind", first_line("valgrind", "--version")),
        ("libc", first_line("getconf", "GNU_LIBC_VERSION")),
        ("processor", String::from_utf8_lossy(&processor).trim().to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn first_line(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let output = output.map_or_else(|_| Vec::new(), |output| output.stdout);
    String::from_utf8_lossy(&output).lines().next().unwrap_or("unknown").trim().to_owned()
}

/// As valgrind shows it, the processor decides which code of the crypto library, of base64 and of
/// memchr runs.
fn processor() -> String {
    let mut processor = env::consts::ARCH.to_owned();
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! add {
            ($($feature:tt)*) => {
                $(if is_x86_feature_detected!($feature) {
                    processor.push_str(concat!(" ", $feature));
                })*
            };
        }
        add!("sse4.2" "aes" "pclmulqdq" "avx" "avx2" "bmi1" "bmi2" "adx" "fma" "sha" "avx512f");
    }
    processor
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Where gungraun's runner is looked for: `install-counts.sh` puts it beside what cargo builds.
fn path() -> OsString {
    let mut tools = env::current_exe().expect("the path of this program");
    tools.pop();
    tools.pop();
    tools.extend(["tools", "bin"]);
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = [tools].into_iter().chain(env::split_paths(&path));
    env::join_paths(paths.collect::<Vec<PathBuf>>()).expect("no path has a colon")
}
