//! What is said on the command line.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use jiff::SignedDuration;

/// A service that logs its own users in, with sessions that they can see and end.
#[derive(Parser)]
#[command(args_override_self = true)] // the last one counts
pub(crate) struct Flags {
    /// The web framework that serves it
    #[arg(long, value_enum, default_value = "axum")]
    pub(crate) framework: Framework,

    /// Where to listen: on the loopback, since it is plain http. Port 0 is any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,

    /// Where users, sessions and keys are kept: sqlite:FILE, postgres://…, or env:NAME for an environment variable that says
    /// it. An address with a password belongs into a variable
    #[arg(long, default_value = "sqlite:first-party-login.db")]
    pub(crate) database: String,

    /// The Redis through which several instances share what is revoked, redis://…, or env:NAME [default: none, the list of one
    /// instance in memory]
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<String>,

    /// The identifier of the issuer (`iss`), which names nobody's port: sessions outlive it
    #[arg(long, value_name = "URL", default_value = "https://login.example")]
    pub(crate) issuer: String,

    /// The file of the root secret. It is made if it is missing, for its owner alone [default: beside the SQLite file, and
    /// first-party-login.root for PostgreSQL]
    #[arg(long, value_name = "FILE")]
    pub(crate) root_secret: Option<PathBuf>,

    /// For how long a refresh token is good for a retry after it rotated
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) retry_window: Duration,

    /// How long an access token lives, at least ten times the retry window
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    pub(crate) access_lifetime: Duration,

    /// For demonstrations: signing keys follow each other each minute, and not after 30 days
    #[arg(long)]
    pub(crate) fast_keys: bool,

    /// Start a service in a folder of its own, go through the life of a session, show what each step was answered, and end
    #[arg(long)]
    pub(crate) check: bool,

    /// For tests: the retry window may be as long as an access token lives, and verifiers accept an expired token for 2 s more
    /// and not for 30 s
    #[arg(long)]
    pub(crate) test_times: bool,
}

/// The web framework that serves it.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Framework {
    Axum,
    Actix,
}

/// `90s`, `15m`, `1h 30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(duration).map_err(|_| "a duration below 0".to_owned())
}

/// What stands in the environment, for a flag that says `env:NAME`.
pub(crate) fn resolved(flag: &str, text: &str) -> Result<String, String> {
    match text.strip_prefix("env:") {
        Some(name) => std::env::var(name)
            .map_err(|_| format!("{flag}: the variable {name} is not set, or is not text")),
        None => Ok(text.to_owned()),
    }
}

impl Flags {
    /// Over plain http, whoever is on the way would read passwords and tokens.
    pub(crate) fn checked(self) -> Result<Self, String> {
        if self.listen.ip().is_loopback() {
            return Ok(self);
        }
        Err(format!(
            "--listen {}: over plain http it listens on the loopback alone, 127.0.0.1 or [::1]; in front of other \
             machines, put a proxy that ends TLS on this one",
            self.listen
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(arguments: &[&str]) -> Flags {
        Flags::parse_from(["first-party-login"].iter().chain(arguments))
    }

    #[test]
    fn every_flag_has_a_default() {
        let flags = flags(&[]).checked().expect("the loopback");
        assert_eq!(flags.retry_window, Duration::from_secs(30));
        assert_eq!(flags.access_lifetime, Duration::from_secs(15 * 60));
    }

    #[test]
    fn it_listens_on_the_loopback_alone() {
        for address in ["127.0.0.1:0", "127.0.0.2:80", "[::1]:3000"] {
            assert!(flags(&["--listen", address]).checked().is_ok(), "{address}");
        }
        for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
            let refused = flags(&["--listen", address]).checked().err().expect("refused");
            assert!(refused.contains("loopback alone"), "{refused}");
        }
    }

    #[test]
    fn a_duration_is_written_as_people_write_it() {
        assert_eq!(duration("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(90 * 60)));
        assert!(duration("30").is_err() && duration("-1s").is_err() && duration("").is_err());
    }
}
