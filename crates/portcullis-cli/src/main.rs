//! The command `portcullis`: why a token is refused, what a policy accepts, what a provider's key set holds, which key an
//! issuer signs with, why a session ended.
//!
//! Whatever comes from a token, a file or a server is text of strangers: it is shown escaped. A token is
//! never shown whole, and its signature not at all.
mod certificate;
mod check;
mod confirm;
mod decode;
mod explain;
mod input;
mod keys;
mod manual;
mod mint;
mod output;
mod part;
mod pasted;
mod policy;
mod request;
mod ring;
mod root;
mod secret;
mod session;
mod store;
mod table;
mod time;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::output::{Failure, Output};

/// Check a JWT policy of Portcullis, and find out why it refuses a token.
#[derive(Parser)]
#[command(name = "portcullis", version, after_help = EXIT_CODES)]
struct Options {
    /// Print JSON, for programs
    #[arg(long, global = true, display_order = 100)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  The token is accepted, the policy has no faults, the key set can be used,
     a key of the ring signs, the session goes on, what was asked for is done
  1  The token is refused or cannot be decoded, the policy has faults (check),
     the key set cannot be used, no key of the ring signs, the ring is not of
     who has the root secret, the session is over or is not there
  2  The command line is wrong, a file cannot be read, the policy has faults
     (explain), a secret is refused
  3  Keys, revocations, a ring or sessions could not be fetched, so nobody can
     tell; or a nonce of a proof is known to the service alone";

#[derive(Subcommand)]
enum Command {
    Check(check::Options),
    Explain(explain::Options),
    Decode(decode::Options),
    Keys(keys::Options),
    Mint(mint::Options),
    Ring(ring::Options),
    Secret(secret::Options),
    Session(session::Options),
    Schema(manual::SchemaOptions),
    Completions(manual::CompletionsOptions),
    Man(manual::ManOptions),
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
        Command::Ring(options) => ring::run(options, &output),
        Command::Secret(options) => secret::run(&options, &output),
        Command::Session(options) => session::run(&options, &output),
        Command::Schema(_) => Ok(manual::schema(&output)),
        Command::Completions(options) => Ok(manual::completions(&options, &output)),
        Command::Man(options) => manual::man(&options, &output),
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
