//! Loads servers in turns, and compares what a request costs them. See the README of this folder.
mod cores;
mod load;
mod report;
mod server;
mod tokens;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use crate::cores::Cores;
use crate::load::{Burst, Load};
use crate::report::Report;
use crate::server::{Kind, Server, Variant};
use crate::tokens::Tokens;

type Fault = Box<dyn Error>;

const AXUM: Kind = Kind { name: "axum", program: "axum-server" };
const ACTIX_WEB: Kind = Kind { name: "actix-web", program: "actix-web-server" };
const JWT_AUTHORIZER: Kind = Kind { name: "jwt-authorizer", program: "jwt-authorizer-server" };

/// All that is measured. The bare server beside another of its kind tells the noise.
const COMPARISONS: [(Kind, Variant); 12] = [
    (AXUM, Variant::BARE),
    (AXUM, Variant::REMEMBERED),
    (AXUM, Variant::REMEMBERED_CLAIMS),
    (AXUM, Variant::FULL),
    (AXUM, Variant::FULL_CLAIMS),
    (ACTIX_WEB, Variant::BARE),
    (ACTIX_WEB, Variant::REMEMBERED),
    (ACTIX_WEB, Variant::REMEMBERED_CLAIMS),
    (ACTIX_WEB, Variant::FULL),
    (ACTIX_WEB, Variant::FULL_CLAIMS),
    (JWT_AUTHORIZER, Variant::BARE),
    (JWT_AUTHORIZER, Variant::FULL),
];

/// Loads servers in turns, and compares what a request costs them
#[derive(Parser)]
struct Options {
    /// How many times each server is loaded beside its bare one
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    pairs: u32,
    /// How long each time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// How many connections are kept alive
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Let the system choose cores; otherwise the server has one and the load another
    #[arg(long)]
    unpinned: bool,
    /// Servers (`axum`, `actix-web`, `jwt-authorizer`) or single variants of them (`axum/full`); all
    /// if there are none
    names: Vec<String>,
}

/// A server and its bare one, each loaded for a while, one right after the other.
#[derive(Clone, Copy)]
struct Pair {
    bare: Burst,
    server: Burst,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.server.micros / self.bare.micros
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("pairs: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Fault> {
    let chosen = chosen(&options.names)?;
    let version = Load::version()?;
    let cores = if options.unpinned { Cores::Any } else { Cores::own()? };
    let directory = tempfile::tempdir()?;
    let tokens = Tokens::new(directory.path())?;
    let load = Load::new(&tokens, cores, options.connections)?;

    let mut report = Report::default();
    for (kind, variant) in chosen {
        report.add(kind, variant, compare(kind, variant, &tokens, &load, cores, options)?);
    }
    report.print(options, &version, &tokens);
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<(Kind, Variant)>, Fault> {
    let is = |name: &str, (kind, variant): (Kind, Variant)| {
        name == kind.name || name == format!("{}/{}", kind.name, variant.name)
    };
    if let Some(name) = names.iter().find(|name| !COMPARISONS.iter().any(|one| is(name, *one))) {
        return Err(format!("there is no server `{name}`").into());
    }
    let all = COMPARISONS.into_iter();
    Ok(all.filter(|one| names.is_empty() || names.iter().any(|name| is(name, *one))).collect())
}

/// Loads a server and its bare one in turns. Both are up all the while.
fn compare(
    kind: Kind,
    variant: Variant,
    tokens: &Tokens,
    load: &Load,
    cores: Cores,
    options: &Options,
) -> Result<Vec<Pair>, Fault> {
    let bare = Server::start(kind, Variant::BARE, tokens, cores)?;
    let server = Server::start(kind, variant, tokens, cores)?;
    for warmed_up in [&bare, &server] {
        load.burst(warmed_up, 1)?;
    }
    let mut pairs = Vec::new();
    for number in 0..options.pairs {
        let pair = if number % 2 == 0 {
            let bare = load.burst(&bare, options.seconds)?;
            Pair { bare, server: load.burst(&server, options.seconds)? }
        } else {
            let server = load.burst(&server, options.seconds)?;
            Pair { server, bare: load.burst(&bare, options.seconds)? }
        };
        eprintln!(
            "{} {}, pair {}: {:.2} µs, bare {:.2} µs, ratio {:.3}",
            kind.name,
            variant.name,
            number + 1,
            pair.server.micros,
            pair.bare.micros,
            pair.ratio()
        );
        pairs.push(pair);
    }
    Ok(pairs)
}
