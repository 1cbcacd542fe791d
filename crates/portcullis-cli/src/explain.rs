//! Why a token is refused.
use std::io::{IsTerminal as _, Read as _, stdin};
use std::path::PathBuf;

use jiff::Timestamp;
use portcullis::explain::{ClaimCheck, Explanation, Facts, IssuerFacts, Outcome, Stage, Trust};
use portcullis::{Error, Policy, Requirement};
use portcullis_testkit::FixedClock;
use serde::Serialize;
use serde_json::Value;

use crate::output::{Failure, MARK, Output, counted, duration, shown};
use crate::{Exit, block_on, policy};

/// Say why a policy refuses a token, step by step.
///
/// The steps go on behind the one that refused, as far as that needs no trust. Keys are fetched where the
/// policy says so.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The policy file
    #[arg(long, short)]
    policy: PathBuf,

    /// The token, alone or within a line such as `Authorization: Bearer …`. Better on standard input, which
    /// is read where this is not there: an argument stands in the shell's history and in the list of
    /// processes
    token: Option<String>,

    /// The time to hold it against, as seconds since 1970 or as 2026-12-31T12:00:00Z [default: now]
    #[arg(long, value_parser = time)]
    at: Option<i64>,

    /// A scope that a route asks for as well. May be there several times
    #[arg(long)]
    scope: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    /// What a route asks for that the token does not have.
    forbidden: Option<String>,
}

/// The most that is read. A policy takes tokens of 64 KiB at most.
const MOST: u64 = 1024 * 1024;

pub(crate) fn time(text: &str) -> Result<i64, String> {
    let seconds = text.parse().ok();
    let time = || text.parse::<Timestamp>().ok().map(Timestamp::as_second);
    seconds.or_else(time).ok_or_else(|| {
        "no time: write seconds since 1970, or 2026-12-31T12:00:00Z with the offset".to_owned()
    })
}

pub(crate) fn run(options: &Options, output: &Output) -> Result<Exit, Failure> {
    let scopes = (!options.scope.is_empty()).then(|| Requirement::all_scopes(&options.scope));
    if let Some(fault) = scopes.as_ref().and_then(Requirement::fault) {
        return Err(Failure::fault(format!("--scope: {fault}")));
    }
    let policy = policy::read(&options.policy, options.at.map(FixedClock::at))?;
    let input = match &options.token {
        Some(token) => token.clone().into_bytes(),
        None => read_input()?,
    };
    if matches!(*input, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        return Err(Failure::fault("standard input is UTF-16: give the token in UTF-8"));
    }
    let token = token_in(&input);
    if token.is_empty() {
        return Err(Failure::fault("there is no token: give it on standard input"));
    }
    let explanation = block_on(policy.explain(token))?;
    let forbidden = match (&scopes, explanation.verdict()) {
        (Some(scopes), Ok(token)) => scopes.check(token).err(),
        _ => None,
    };
    let error = explanation.verdict().err().or(forbidden.as_ref());
    if output.json {
        let forbidden = forbidden.as_ref().map(ToString::to_string);
        output.json(&Report { explanation: &explanation, forbidden });
    } else {
        print(&explanation, forbidden.as_ref(), &policy, output);
    }
    Ok(match error.map(Error::reason) {
        None => Exit::Good,
        Some("keys_unavailable" | "revocation_unavailable") => Exit::Unavailable,
        Some(_) => Exit::Refused,
    })
}

fn read_input() -> Result<Vec<u8>, Failure> {
    if stdin().is_terminal() {
        eprintln!("The token, and Ctrl-D:");
    }
    let mut input = Vec::new();
    let read = stdin().lock().take(MOST + 1).read_to_end(&mut input);
    read.map_err(|error| Failure::fault(format!("standard input: {error}")))?;
    if input.len() as u64 > MOST {
        return Err(Failure::fault("standard input has over 1 MiB: that is no token"));
    }
    Ok(input)
}

/// What follows the first `Bearer`, up to a space or quote, or else all of it.
fn token_in(input: &[u8]) -> &[u8] {
    const SCHEME: &[u8] = b"bearer ";
    let scheme = input.windows(SCHEME.len()).position(|text| text.eq_ignore_ascii_case(SCHEME));
    match scheme {
        None => input.strip_prefix(MARK).unwrap_or(input).trim_ascii(),
        Some(at) => {
            let rest = input[at + SCHEME.len()..].trim_ascii_start();
            let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
            &rest[..rest.iter().position(is_end).unwrap_or(rest.len())]
        }
    }
}

fn print(explanation: &Explanation, forbidden: Option<&Error>, policy: &Policy, output: &Output) {
    let facts = explanation.facts();
    match (explanation.verdict(), forbidden) {
        (Ok(_), None) => output.verdict(true, "accepted"),
        (Ok(_), Some(error)) => {
            let text = format!("accepted by the policy, and not by the route: {error}");
            output.verdict(false, &shown(&text));
        }
        (Err(error), _) => {
            output.verdict(false, &shown(&format!("refused ({}): {error}", error.reason())));
        }
    }
    output.line(&format!("in {} µs, at {}", micros(facts.took), at(facts)));

    output.line("");
    let steps = facts.steps.iter().map(|step| {
        // As wide for a fast step as for a slow one.
        let took = step.took.map(|took| format!("{:>7}", micros(took))).unwrap_or_default();
        let why = step.error.as_ref().map(ToString::to_string).unwrap_or_default();
        let outcome = match step.outcome {
            Outcome::Refused => "REFUSED".to_owned(),
            other => other.to_string(),
        };
        [step.stage.to_string(), outcome, took, why]
    });
    output.table(["step", "outcome", "     µs", "why"], steps);

    print_token(facts, output);
    if facts.issuer.is_none() {
        print_trusted(facts, policy, output);
    }
    if let Some(issuer) = &facts.issuer {
        print_keys(issuer, output);
    }
    if !facts.checks.is_empty() {
        output.line("");
        let checks = facts.checks.iter().map(|check| {
            let ClaimCheck { rule, needs, has, met, .. } = check;
            let met = match met {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "?",
            };
            let has = has.as_deref().unwrap_or("nothing");
            [rule.clone(), met.to_owned(), needs.clone(), has.to_owned()]
        });
        output.table(["claim", "met", "what it takes", "what the token has"], checks);
    }
    if !facts.revocation.is_empty() {
        output.line("");
        let answers =
            facts.revocation.iter().map(|one| [one.source.clone(), one.answer.to_string()]);
        output.table(["revocation by", "answer"], answers);
    }
}

/// What it says, and who says so.
fn print_token(facts: &Facts, output: &Output) {
    output.line("");
    output.paragraph(match facts.trust {
        Trust::Accepted => "What the token says, which its issuer signed:",
        Trust::Signed => "What the token says, which its issuer signed and the policy refuses:",
        _ => "What the token says. UNVERIFIED: whoever sent it may have written it.",
    });
    let token = &facts.token;
    let mut rows = vec![[
        "  size".to_owned(),
        format!("{} bytes, {}", token.bytes, counted(token.parts, "part")),
    ]];
    for (name, members) in [("header", &token.header), ("claims", &token.claims)] {
        let text = match members {
            None => "cannot be read".to_owned(),
            Some(members) => {
                let member = |(name, value): (&String, &Value)| format!("{name} {value}");
                members.iter().map(member).collect::<Vec<_>>().join(", ")
            }
        };
        rows.push([format!("  {name}"), text]);
    }
    output.table(["", ""], rows);
}

fn print_trusted(facts: &Facts, policy: &Policy, output: &Output) {
    let is_read = facts
        .steps
        .iter()
        .any(|step| step.stage == Stage::Token && matches!(step.outcome, Outcome::Passed));
    if !is_read {
        return;
    }
    output.line("");
    output.line("Issuers that the policy trusts, byte by byte:");
    let issuers = policy.describe().issuers;
    output.table(["", ""], issuers.into_iter().map(|issuer| ["  ".to_owned(), issuer.id]));
}

fn print_keys(issuer: &IssuerFacts, output: &Output) {
    output.line("");
    let algorithms = issuer.algorithms.join(", ");
    output.paragraph(&format!("Keys of {}, which may sign with {algorithms}:", shown(&issuer.id)));
    for remote in &issuer.remote {
        let age = remote.age_s.map(|age| format!(", fetched {} ago", duration(age)));
        let error = remote.last_error.as_ref().map(|error| format!(", last error: {error}"));
        let text = format!(
            "  from {}{}{}",
            remote.address,
            age.unwrap_or_default(),
            error.unwrap_or_default()
        );
        output.paragraph(&shown(&text));
        for skipped in &remote.skipped {
            output.paragraph(&shown(&format!("  skipped: {skipped}")));
        }
    }
    if issuer.keys.is_empty() {
        output.line("  none");
        return;
    }
    let keys = issuer.keys.iter().map(|key| {
        let id = key.id.clone().unwrap_or_else(|| "(none)".to_owned());
        [format!("  {id}"), key.kind.to_owned(), key.algorithm.to_owned(), key.role.to_string()]
    });
    output.table(["  key id", "type", "algorithm", "for this token"], keys);
}

fn micros(took: core::time::Duration) -> String {
    format!("{:.1}", took.as_secs_f64() * 1_000_000.0)
}

/// `1800000000 (2027-01-15T08:00:00Z)`.
fn at(facts: &Facts) -> String {
    let now = facts.now.0;
    match Timestamp::from_second(now) {
        Ok(time) => format!("{now} ({time})"),
        Err(_) => now.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_in_what_is_at_hand() {
        for input in [
            "a.b.c",
            " a.b.c\n",
            "Bearer a.b.c",
            "bearer  a.b.c ",
            "Authorization: Bearer a.b.c\r\n",
            "curl -H 'Authorization: Bearer a.b.c' https://api.example",
            "GET / HTTP/1.1\nauthorization: BEARER a.b.c\nhost: x",
        ] {
            assert_eq!(token_in(input.as_bytes()), b"a.b.c", "{input:?}");
        }
        assert_eq!(token_in(b"\xff\x00bearer"), b"\xff\x00bearer");
        assert_eq!(token_in(b"Bearer "), b"");
    }

    #[test]
    fn a_time_is_seconds_or_a_date_with_its_offset() {
        assert_eq!(time("1800000000"), Ok(1_800_000_000));
        assert_eq!(time("2027-01-15T08:00:00Z"), Ok(1_800_000_000));
        assert_eq!(time("2027-01-15T09:00:00+01:00"), Ok(1_800_000_000));
        assert!(time("2027-01-15T08:00:00").is_err());
    }
}
