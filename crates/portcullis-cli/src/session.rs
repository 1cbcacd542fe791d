//! The sessions of an issuer: which there are, why one ended, and how an operator ends them.
#[cfg(feature = "store")]
mod end;
#[cfg(feature = "store")]
mod explain;
#[cfg(feature = "store")]
mod list;
#[cfg(feature = "store")]
mod reasons;
#[cfg(feature = "store")]
mod shown;
#[cfg(feature = "store")]
mod store;

use clap::Subcommand;

use crate::Exit;
use crate::output::{Failure, Output};
#[cfg(not(feature = "store"))]
use crate::store::without_feature;
use crate::store::{Kept, TableOptions};

/// Show the sessions of an issuer, say why one ended, and end them.
///
/// An issuer of `portcullis-issuer` keeps its sessions in a database. The service looks after them by itself. These
/// commands are for who operates the service, and can be said while it runs. They need no root secret: they read and end,
/// and make no token. So they show what the database says, and do not check who wrote it there.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    List(ListOptions),
    Explain(ExplainOptions),
    End(EndOptions),
}

/// What `--store` says the place of.
const SESSIONS: Kept =
    Kept { option: "--store", what: "sessions", forms: "postgres://… or sqlite:FILE" };

/// Whose sessions are meant.
#[derive(clap::Args)]
struct Meant {
    /// Where the sessions are kept: postgres://… or sqlite:FILE, or env:NAME for an environment variable that says it. An
    /// address with a password belongs into a variable
    #[arg(long, value_name = "URL")]
    store: String,

    #[command(flatten)]
    tables: TableOptions,

    /// The identifier of the issuer (`iss`)
    #[arg(long, value_name = "ISSUER")]
    issuer: String,
}

/// List the sessions of a subject that are not over, the newest first.
#[derive(clap::Args)]
struct ListOptions {
    #[command(flatten)]
    meant: Meant,

    /// Whose sessions: `sub` of the access tokens
    #[arg(long, value_name = "NAME")]
    subject: String,
}

/// Say why a session ended, or until when it goes on.
///
/// With the reason comes what happened, and what an operator does about it. The store keeps a session for a day after it is
/// over.
#[derive(clap::Args)]
struct ExplainOptions {
    /// The session: `sid` of its access tokens
    #[arg(value_name = "SID", allow_hyphen_values = true)]
    id: String,

    #[command(flatten)]
    meant: Meant,
}

/// End a session, all sessions of a subject, or all sessions of an issuer.
///
/// Refresh tokens of what ended are refused at once. Services that run revoke the access tokens within a second, by
/// themselves.
///
/// Was a backup of the database restored? Then sessions that had ended are back. Run this with --all: everybody logs in
/// again.
#[derive(clap::Args)]
struct EndOptions {
    /// The session: `sid` of its access tokens
    #[arg(
        value_name = "SID",
        required_unless_present_any = ["subject", "all"],
        allow_hyphen_values = true
    )]
    id: Option<String>,

    /// Log this subject out everywhere: `sub` of the access tokens. A login that is under way does not begin
    #[arg(long, value_name = "NAME", conflicts_with = "id")]
    subject: Option<String>,

    /// End all sessions of the issuer
    #[arg(long, conflicts_with_all = ["id", "subject"])]
    all: bool,

    /// Do not ask whether all sessions are meant
    #[arg(long, requires = "all", conflicts_with_all = ["id", "subject"])]
    yes: bool,

    #[command(flatten)]
    meant: Meant,
}

#[cfg(not(feature = "store"))]
pub(crate) fn run(_: &Options, _: &Output) -> Result<Exit, Failure> {
    Err(without_feature(SESSIONS.option, "`portcullis session`"))
}

#[cfg(feature = "store")]
pub(crate) fn run(options: &Options, output: &Output) -> Result<Exit, Failure> {
    // A connection to a database lives in one runtime.
    crate::block_on(async {
        match &options.command {
            Command::List(options) => list::run(options, output).await,
            Command::Explain(options) => explain::run(options, output).await,
            Command::End(options) => end::run(options, output).await,
        }
    })?
}

/// The session of this id. It is not shown where it is none: a token may have been given for it.
#[cfg(feature = "store")]
fn session_id(text: &str) -> Result<portcullis_issuer::SessionId, Failure> {
    text.parse().map_err(|error| Failure::fault(format!("SID: {error}")))
}
