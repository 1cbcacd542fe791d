//! A real server behind a policy from a file, to aim tokens at.
//!
//! It prints one line of JSON when it is ready, and serves until it is killed.
use std::error::Error;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use portcullis::config::PolicyConfig;
use portcullis::dpop::InProcessReplays;
use portcullis::{Policy, UnixTime};
use portcullis_conformance::doors::{Door, Running};
use portcullis_testkit::FixedClock;

/// How long before a frozen time the memory of used proofs began, in seconds: longer than any proof is taken.
const BEFORE: i64 = 3600;

/// Serves /whoami, /orders/{id}, /optional, /open and others behind a policy.
#[derive(Debug, Parser)]
struct Flags {
    /// The framework.
    #[arg(long, value_enum)]
    door: Door,
    /// The policy, as TOML or JSON. Paths in it are relative to the file.
    #[arg(long)]
    policy: PathBuf,
    /// Where to listen. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Freezes the policy's clock at this Unix time, in seconds.
    #[arg(long, value_name = "UNIX_SECONDS")]
    now: Option<i64>,
}

fn main() -> ExitCode {
    // Flags that make no sense end here, with 2.
    let flags = Flags::parse();
    match start(&flags).and_then(|running| Ok(running.wait()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testbed: {error}");
            ExitCode::from(2)
        }
    }
}

fn start(flags: &Flags) -> Result<Running, Box<dyn Error>> {
    // Names every fault with its place, which the builder does not know.
    let policy = Policy::from_file(&flags.policy)?;
    let policy = match flags.now {
        None => policy,
        Some(now) => frozen(&flags.policy, now)?,
    };
    let running = flags.door.start(&policy, TcpListener::bind(flags.listen)?)?;
    let mut out = io::stdout().lock();
    writeln!(out, r#"{{"ready":true,"url":"http://{}"}}"#, running.address())?;
    out.flush()?;
    Ok(running)
}

/// The policy at a time that stands still. Proofs of that time were not used before, though the process has just begun.
fn frozen(path: &Path, now: i64) -> Result<Policy, Box<dyn Error>> {
    let began = UnixTime(now.saturating_sub(BEFORE));
    let config = PolicyConfig::from_file(path)?
        .replays("in_process", InProcessReplays::new().started_at(began));
    let builder = config.into_builder(path.parent().unwrap_or(path))?;
    Ok(builder.clock(FixedClock::at(now)).build()?)
}
