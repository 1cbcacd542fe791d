//! The signing keys of an issuer: what they do, and what an operator can have them do.
mod change;
mod plan;
mod report;
mod store;
mod words;

use clap::Subcommand;
use portcullis_issuer::RingStatus;

use self::change::{Asked, ScheduleSetting};
use self::report::Report;
use self::store::{Store, StoreOptions};
use crate::confirm::Question;
use crate::output::{Failure, Output};
use crate::root::RootOptions;
use crate::store::Access;
use crate::time::time;
use crate::{Exit, block_on};

/// Show the signing keys of an issuer, and change which one signs.
///
/// A ring holds the keys that an issuer of `portcullis-issuer` signs with. The service keeps it by itself. These commands
/// are for who operates the service.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Status(StatusOptions),
    Rotate(RotateOptions),
    Compromised(CompromisedOptions),
}

/// Which ring is meant.
#[derive(clap::Args)]
struct Meant {
    #[command(flatten)]
    store: StoreOptions,

    /// The identifier of the issuer (`iss`). It can be left out where the ring is kept in a file for one issuer
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,

    #[command(flatten)]
    root: RootOptions,
}

/// Show what each signing key does, until when, and what happens next.
///
/// It changes nothing, and can be asked while the service runs. With the root secrets of the issuer, it checks that nobody
/// else wrote the keys. Without, it says that it did not.
#[derive(clap::Args)]
struct StatusOptions {
    #[command(flatten)]
    meant: Meant,

    /// The time at which the ring is looked at, as seconds since 1970 or as 2026-12-31T12:00:00Z [default: now, by the clock
    /// of the store]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<i64>,
}

/// Have the next key sign as soon as it safely can.
///
/// That is when every instance has read that it will, and every verifier has it: in 11 minutes as a rule, and in a day at
/// most by the default schedule. No token is refused. It needs the root secret.
///
/// The key that is made to stand by is of the algorithm of the newest key. A ring whose private parts are at a signer, or
/// sealed by a KMS, is changed by its service alone.
#[derive(clap::Args)]
struct RotateOptions {
    #[command(flatten)]
    meant: Meant,

    /// A time of the service's `Schedule`, such as `publish_ahead=12h`: `interval`, `publish_ahead`, `verifier_cache`,
    /// `reload`, `stale`, `skew`, `leeway` or `margin`. Can be given more than once [default: as the ring shows it, and else that of `Schedule`]
    #[arg(long, value_name = "NAME=DURATION")]
    schedule: Vec<ScheduleSetting>,
}

/// Withdraw a signing key that may be in other hands.
///
/// The key that stands by signs at once: verifiers have it. Tokens of the withdrawn key are refused, and their users get
/// new ones. It needs the root secret.
///
/// Did somebody get both the store and the root secret? Then put a new root secret in front of the old one on every
/// instance, run this with --all and both secrets, and take the old one out. Every token is refused.
#[derive(clap::Args)]
struct CompromisedOptions {
    /// The id of the key, as `status` shows it
    #[arg(required_unless_present = "all", allow_hyphen_values = true)]
    key_id: Option<String>,

    /// Withdraw all keys that are there now, and make new ones
    #[arg(long, conflicts_with = "key_id")]
    all: bool,

    /// Do not ask whether all keys are meant
    #[arg(long, requires = "all")]
    yes: bool,

    #[command(flatten)]
    meant: Meant,

    /// As for `rotate`
    #[arg(long, value_name = "NAME=DURATION")]
    schedule: Vec<ScheduleSetting>,
}

/// Asked before every token is refused.
const EVERY_KEY: Question = Question {
    all: "--all withdraws every key, and every token is refused",
    happens: ["All keys of", "are withdrawn, and every token is refused"],
};

pub(crate) fn run(options: Options, output: &Output) -> Result<Exit, Failure> {
    // A connection to a database lives in one runtime.
    block_on(run_now(options, output))?
}

async fn run_now(options: Options, output: &Output) -> Result<Exit, Failure> {
    match options.command {
        Command::Status(options) => status(&options, output).await,
        Command::Rotate(RotateOptions { meant, schedule }) => {
            let opened = meant.open(Access::Change)?;
            change::run(&opened, &Asked::Turn, &schedule, output).await
        }
        Command::Compromised(CompromisedOptions { key_id, all: _, yes, meant, schedule }) => {
            let opened = meant.open(Access::Change)?;
            let asked = match key_id {
                Some(key_id) => Asked::Withdrawn(key_id),
                None => {
                    EVERY_KEY.ask(&opened.issuer, yes)?;
                    Asked::AllWithdrawn
                }
            };
            change::run(&opened, &asked, &schedule, output).await
        }
    }
}

/// A store that was opened, and whose ring in it is meant.
struct Opened<'a> {
    meant: &'a Meant,
    store: Store,
    issuer: String,
}

impl Meant {
    fn open(&self, access: Access) -> Result<Opened<'_>, Failure> {
        let store = store::open(&self.store, access)?;
        let issuer = store.issuer(&self.store.place(), self.issuer.as_deref())?;
        Ok(Opened { meant: self, store, issuer })
    }
}

impl Opened<'_> {
    /// What stands in the store, checked by the root secrets, where there are any.
    async fn read(&self) -> Result<RingStatus, Failure> {
        let root = self.meant.root.read()?;
        let read = RingStatus::read(&self.store, &self.issuer, root.as_ref()).await;
        let status = read.map_err(|error| self.store.failure(&self.meant.store.place(), &error))?;
        status.ok_or_else(|| {
            Failure::fault(format!(
                "there is no ring of the issuer `{}` in this store: a service that starts makes one",
                self.issuer
            ))
        })
    }
}

async fn status(options: &StatusOptions, output: &Output) -> Result<Exit, Failure> {
    let opened = options.meant.open(Access::Read)?;
    let mut status = opened.read().await?;
    if let Some(at) = options.at {
        status.now = portcullis_issuer::StoreTime::from_millis(at.saturating_mul(1000));
        status.keys.iter_mut().for_each(|key| key.phase = key.times.phase(status.now));
    }
    let report = Report::new(&opened.issuer, &status, options.meant.root.count());
    if output.json {
        output.json(&report);
    } else {
        report::print(&report, &status, output);
    }
    Ok(if status.signing().is_some() { Exit::Good } else { Exit::Refused })
}
