//! Shared secrets, and how one takes the place of another.
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use clap::Subcommand;
use portcullis::config::{ConfigProblem, PolicyConfig};
use portcullis::policy::PolicyFault;
use portcullis::{Algorithm, Clock as _, SystemClock};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::Exit;
use crate::output::{Failure, Fault, Output, shown};
use crate::root::{Place, Written};
use crate::time::{duration, seconds, time, utc};

/// Replace a shared secret without refusing a token.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Rotate(RotateOptions),
}

/// Make a new shared secret, and write both sides of the change from the old one.
///
/// For services that share a secret with who signs (HS256), by a policy file. The new secret is at random, and is written
/// into a file that its owner alone can read. It is never printed. What is printed are the entries of the policy file, and
/// what to deploy in which order.
///
/// Is the old secret in other hands? Then nothing of it may be accepted any longer: list the new one alone, and every token
/// is refused.
#[derive(clap::Args)]
struct RotateOptions {
    /// The old secret: a file with it, or env:NAME for an environment variable
    #[arg(long, value_name = "FILE|env:NAME")]
    old: String,

    /// How the old secret is written, as the policy says
    #[arg(long, value_name = "ENCODING", value_enum, default_value = "raw")]
    old_encoding: Written,

    /// The id of the old secret, if the policy gives it one
    #[arg(long, value_name = "ID")]
    old_id: Option<String>,

    /// The file that the new secret is written into. It must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// The id of the new secret, which tokens name in `kid` [default: the date]
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// The algorithm that both secrets are for: HS256, HS384 or HS512
    #[arg(long, value_name = "ALGORITHM", default_value = "HS256", value_parser = algorithm)]
    alg: Algorithm,

    /// How long a token lives at most. The default is the most that an issuer of Portcullis gives
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = positive)]
    lifetime: i64,

    /// How long it takes at most until the signer signs with the new secret. The default is a day for the
    /// deployment of the verifiers, and then of the signer
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = positive)]
    within: i64,

    /// For how long verifiers accept a token beyond its expiry. The default is that of a policy
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = positive)]
    leeway: i64,

    /// The time from which it is counted, as seconds since 1970 or as 2026-12-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<i64>,

    /// Check the old secret and print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

fn positive(text: &str) -> Result<i64, String> {
    seconds(text).and_then(|time| {
        if time < 0 { Err("not a duration that can be waited for".to_owned()) } else { Ok(time) }
    })
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    match text {
        "HS256" => Ok(Algorithm::HS256),
        "HS384" => Ok(Algorithm::HS384),
        "HS512" => Ok(Algorithm::HS512),
        _ => Err("not an algorithm with a shared secret: HS256, HS384 or HS512".to_owned()),
    }
}

/// As long as the hash (RFC 7518 §3.2).
fn length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 32,
    }
}

pub(crate) fn run(options: &Options, output: &Output) -> Result<Exit, Failure> {
    match &options.command {
        Command::Rotate(options) => rotate(options, output),
    }
}

/// An entry of `issuer.keys.secrets`.
struct Entry<'a> {
    id: Option<&'a str>,
    place: Place<'a>,
    encoding: Written,
    accept_until: Option<&'a str>,
}

impl Entry<'_> {
    /// For a policy in JSON.
    fn json(&self) -> Value {
        let mut members = serde_json::Map::new();
        if let Some(id) = self.id {
            members.insert("id".to_owned(), id.into());
        }
        let (name, text) = match self.place {
            Place::File(path) => ("file", path),
            Place::Variable(variable) => ("env", variable),
        };
        members.insert(name.to_owned(), text.into());
        members.insert("encoding".to_owned(), self.encoding.name().into());
        if let Some(end) = self.accept_until {
            members.insert("accept_until".to_owned(), end.into());
        }
        Value::Object(members)
    }

    /// For a policy in TOML.
    fn toml(&self) -> String {
        let mut text = "[[issuer.keys.secrets]]\n".to_owned();
        for (name, value) in self.json().as_object().into_iter().flatten() {
            let line = match value.as_str() {
                // A date and time needs no quotes.
                Some(end) if name == "accept_until" => format!("{name:<12} = {end}\n"),
                // A string of JSON is one of TOML.
                _ => format!("{name:<12} = {value}\n"),
            };
            text.push_str(&line);
        }
        text
    }
}

fn rotate(options: &RotateOptions, output: &Output) -> Result<Exit, Failure> {
    let now = options.at.unwrap_or_else(|| SystemClock.now().0);
    let sign_by = now.saturating_add(options.within);
    let end = sign_by.saturating_add(options.lifetime).saturating_add(options.leeway);
    let told = |at: i64| {
        utc(at).ok_or_else(|| Failure::fault("the times come to more than the year 9999"))
    };
    let (end_told, sign_by_told) = (told(end)?, told(sign_by)?);
    let id = match &options.id {
        Some(id) => id.clone(),
        None => told(now)?.split('T').next().unwrap_or_default().to_owned(),
    };
    if options.old_id.as_deref() == Some(id.as_str()) {
        return Err(Failure::fault(format!(
            "both secrets would have the id `{id}`: give the new one another by --id"
        )));
    }
    let out = options.out.to_str().ok_or_else(|| {
        Failure::fault("--out: a policy names files in UTF-8, and this name is not in it")
    })?;
    let old = |accept_until| Entry {
        id: options.old_id.as_deref(),
        place: Place::of(&options.old),
        encoding: options.old_encoding,
        accept_until,
    };
    check(&old(None).toml(), options.alg, "the old secret is refused:")?;
    let (new, old) = (
        Entry {
            id: Some(&id),
            place: Place::File(out),
            encoding: Written::Base64url,
            accept_until: None,
        },
        old(Some(&end_told)),
    );
    let entries = format!("{}\n{}", new.toml(), old.toml());
    if options.dry_run {
        if options.out.exists() {
            return Err(exists(&options.out));
        }
    } else {
        write(&options.out, options.alg)?;
        check(&entries, options.alg, "the new policy is refused:")?;
    }
    let steps = [
        format!("Copy {out} to where the secrets of your verifiers and of your signer are, over a channel that nobody reads."),
        "Put the entries below into the policy of every verifier, in the place of that of the old secret, and deploy the verifiers. They accept tokens of both.".to_owned(),
        format!("When all of them run with it, let the signer sign with the new secret, and name \"{id}\" in `kid`: by {sign_by_told} at the latest."),
        format!("After {end_told}, take the entry of the old secret out, and destroy the old secret. From then on it is refused."),
    ];
    if output.json {
        output.json(&json!({
            "dry_run": options.dry_run,
            "file": out,
            "id": id,
            "sign_by": sign_by,
            "accept_until": end,
            "secrets": [new.json(), old.json()],
            "steps": steps,
        }));
        return Ok(Exit::Good);
    }
    let file = shown(out);
    output.verdict(
        true,
        &if options.dry_run {
            format!("a new secret would be in {file}, and was not made: this is a dry run")
        } else {
            format!("a new secret is in {file}, which its owner alone can read")
        },
    );
    output.paragraph(&format!(
        "The old one is accepted until {end_told}: {} until the signer has changed over, {} for its last token, {} of leeway.",
        for_words(options.within),
        for_words(options.lifetime),
        for_words(options.leeway),
    ));
    output.line("");
    output.line("Do this, in this order:");
    let rows = steps.iter().enumerate().map(|(at, step)| [format!("{}.", at + 1), step.clone()]);
    output.table(["", ""], rows);
    output.line("");
    output.line("# Below [[issuer]]. Paths start at the folder of the policy.");
    entries.trim_end().lines().for_each(|line| output.line(line));
    Ok(Exit::Good)
}

fn for_words(seconds: i64) -> String {
    duration(u64::try_from(seconds).unwrap_or_default())
}

/// Whether a policy with these entries loads, by the rules of the library.
fn check(entries: &str, algorithm: Algorithm, message: &str) -> Result<(), Failure> {
    let policy = format!(
        "[[issuer]]\nid = \"https://id.example\"\naudiences = [\"https://api.example\"]\nalgorithms = [\"{algorithm}\"]\n\n{entries}"
    );
    let built = PolicyConfig::from_toml_str(&policy).and_then(|config| config.build(""));
    let Err(error) = built else { return Ok(()) };
    let faults = error.faults().iter().map(|fault| Fault {
        line: None,
        place: String::new(),
        message: match &fault.problem {
            // The issuer is one of ours.
            ConfigProblem::Policy(PolicyFault::Secret { secret, fault, .. }) => {
                format!("{secret}: {fault}")
            }
            problem => problem.to_string(),
        },
        is_of_file: false,
    });
    Err(Failure { faults: faults.collect(), ..Failure::fault(message) })
}

fn exists(path: &Path) -> Failure {
    Failure::fault(format!(
        "--out {}: the file is there already, and may be a secret that is in use: name another",
        path.display()
    ))
}

/// A secret at random, in a file that is there as a whole or not at all, for its owner alone.
fn write(path: &Path, algorithm: Algorithm) -> Result<(), Failure> {
    let fault = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => exists(path),
        _ => Failure::fault(format!("--out {}: {error}", path.display())),
    };
    let mut secret = Zeroizing::new(vec![0; length(algorithm)]);
    rand::fill(&mut secret)
        .map_err(|_| Failure::fault("this machine gives no randomness: nothing was written"))?;
    let text = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(&*secret));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder).map_err(fault)?;
    file.write_all(text.as_bytes()).map_err(fault)?;
    file.as_file().sync_all().map_err(fault)?;
    file.persist_noclobber(path).map_err(|error| fault(error.error))?;
    // The name is of the folder.
    if cfg!(unix) {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)?;
    }
    Ok(())
}
