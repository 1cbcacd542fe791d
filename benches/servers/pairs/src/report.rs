//! What was measured, as Markdown.
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::server::{Kind, Variant};
use crate::tokens::{self, Tokens};
use crate::{Options, Pair};

/// What the servers are built with, and how the version starts where there is more than one.
const CRATES: [(&str, &str); 6] = [
    ("portcullis", ""),
    ("axum", "0.8."),
    ("actix-web", ""),
    ("jwt-authorizer", ""),
    ("axum", "0.7."),
    ("jsonwebtoken", "9."),
];

/// The rows of the table.
#[derive(Default)]
pub(crate) struct Report(Vec<(Kind, Variant, Vec<Pair>)>);

impl Report {
    pub(crate) fn add(&mut self, kind: Kind, variant: Variant, pairs: Vec<Pair>) {
        self.0.push((kind, variant, pairs));
    }

    pub(crate) fn print(&self, options: &Options, wrk: &str, tokens: &Tokens) {
        let Options { pairs, seconds, connections, unpinned, .. } = options;
        println!("## Whole servers\n");
        println!("{}\n", machine());
        println!(
            "| server | variant | CPU µs a request | requests/s | core had | core awaited | more than bare, µs | ratio to bare | quartiles | all pairs |"
        );
        println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        for (kind, variant, pairs) in &self.0 {
            let all = |of: fn(&Pair) -> f64| Sorted::new(pairs.iter().map(of));
            let ratio = all(Pair::ratio);
            println!(
                "| {} | {} | {:.2} | {:.0} | {:.0} % | {:.0} % | {:.2} | {:.3} | {:.3} to {:.3} | {:.3} to {:.3} |",
                kind.name,
                if *variant == Variant::BARE { "bare, beside itself" } else { variant.name },
                all(|pair| pair.server.micros).at(0.5),
                all(|pair| pair.server.rate).at(0.5),
                all(|pair| pair.server.busy).at(0.5) * 100.0,
                all(|pair| pair.server.waited).at(0.5) * 100.0,
                all(|pair| pair.server.micros - pair.bare.micros).at(0.5),
                ratio.at(0.5),
                ratio.at(0.25),
                ratio.at(0.75),
                ratio.at(0.0),
                ratio.at(1.0),
            );
        }

        println!();
        println!(
            "- Load: {wrk}, 1 thread, {connections} connections that are kept alive, {} ES256 tokens of {} bytes in rotation, in requests to bare servers as well.",
            tokens::COUNT,
            tokens.bytes()
        );
        println!(
            "- {pairs} pairs: a server and its bare one, both up all the while, are loaded for {seconds} s each, right after each other, in an order that changes with every pair. Ratios and differences are taken within a pair. All but the ratios are medians of bursts."
        );
        println!(
            "- CPU time is the sum of the server's threads (`/proc/PID/task/*/schedstat`, in nanoseconds), its system calls included. {}",
            if *unpinned {
                "The system chose the cores."
            } else {
                "The server had one core, and wrk another."
            }
        );
        println!(
            "- A core that was awaited was busy with something else: the less of that, the better. One that was neither had nor awaited was idle."
        );
        println!(
            "- \"bare, beside itself\" is one bare process beside another: the noise of all this."
        );
        println!(
            "- No request failed. Before, each server answered 200 to all tokens; those with a layer 401 without one, and to tokens forged, expired, not valid yet, of another issuer, and for another audience."
        );
    }
}

struct Sorted(Vec<f64>);

impl Sorted {
    fn new(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value at this part of the way, between two in proportion.
    fn at(&self, part: f64) -> f64 {
        let place = part * (self.0.len() - 1) as f64;
        let (below, above) = (self.0[place.floor() as usize], self.0[place.ceil() as usize]);
        below + (above - below) * place.fract()
    }
}

fn machine() -> String {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = available_parallelism().map_or(0, usize::from);
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc.map_or_else(|_| b"unknown rustc".to_vec(), |output| output.stdout);
    let versions = CRATES.map(|(name, start)| version(name, start));
    format!(
        "{} ({cores} cores), {}; {}",
        model.map_or("unknown processor", |(_, model)| model.trim()),
        String::from_utf8_lossy(&rustc).trim(),
        versions.join(", ")
    )
}

/// A crate and its version in the lock file, of those that start so.
fn version(name: &str, start: &str) -> String {
    let entry = format!("name = \"{name}\"\nversion = \"{start}");
    let lock = include_str!("../../Cargo.lock");
    let rest = lock.split_once(&entry).and_then(|(_, rest)| rest.split('"').next());
    format!("{name} {start}{}", rest.unwrap_or("unknown"))
}
