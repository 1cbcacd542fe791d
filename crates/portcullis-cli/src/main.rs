//! The command `portcullis`: why a token is refused, what a policy accepts, what a provider's key set holds.
//!
//! Whatever comes from a token, a file or a server is text of strangers: it is shown escaped. A token is
//! never shown whole, and its signature not at all.
mod check;
mod decode;
mod explain;
mod input;
mod keys;
mod mint;
mod output;
mod part;
mod pasted;
mod policy;
mod table;
mod time;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::output::{Failure, Output};

/// Why is a token refused? What does a policy accept? What does a provider's key set hold?
#[derive(Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES)]
struct Options {
    /// Print JSON, for machines
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  accepted; the policy is good; the key set is usable
  1  the token is refused or cannot be decoded; the policy has faults (check); the key set is not usable
  2  the command, a file or the policy (explain) is at fault
  3  it cannot be told: keys or revocations are out of reach";

#[derive(Subcommand)]
enum Command {
    /// Find the faults of a policy file, and say in plain words what it accepts
    Check(check::Options),
    /// Say why a policy refuses a token, step by step
    Explain(explain::Options),
    /// Show what a token says, without verifying it
    Decode(decode::Options),
    /// Show a key set as Portcullis would use it
    Keys(keys::Options),
    /// Make a token FOR TESTS ONLY, and a policy that accepts it
    Mint(mint::Options),
}

/// How the command ends.
#[derive(Clone, Copy)]
enum Exit {
    Good = 0,
    Refused = 1,
    Fault = 2,
    Unavailable = 3,
}

fn main() -> ExitCode {
    let command = Options::command().term_width(output::width().min(output::WIDEST_PARAGRAPH));
    let parsed = command.try_get_matches().and_then(|found| Options::from_arg_matches(&found));
    let options = match parsed {
        Ok(options) => options,
        Err(error) => {
            // It quotes what it does not understand: a token, perhaps.
            let text = output::without_tokens(&error.to_string());
            return if error.use_stderr() {
                eprint!("{text}");
                ExitCode::from(Exit::Fault as u8)
            } else {
                print!("{text}");
                ExitCode::SUCCESS
            };
        }
    };
    let output = Output::new(options.json);
    let ended = match options.command {
        Command::Check(options) => check::run(&options, &output),
        Command::Explain(options) => explain::run(&options, &output),
        Command::Decode(options) => decode::run(&options, &output),
        Command::Keys(options) => keys::run(options, &output),
        Command::Mint(options) => mint::run(&options, &output),
    };
    let exit = ended.unwrap_or_else(|Failure { exit, message, faults }| {
        output.failure(&message, &faults);
        exit
    });
    ExitCode::from(exit as u8)
}

/// For what waits.
fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::fault(format!("no runtime: {error}")))?;
    Ok(runtime.block_on(future))
}
