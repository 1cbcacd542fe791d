//! Why a token is refused.
use std::path::PathBuf;

use portcullis::explain::{ClaimCheck, Explanation, Facts, IssuerFacts, Outcome, Stage, Trust};
use portcullis::{Error, Policy, Requirement};
use portcullis_testkit::FixedClock;
use serde::Serialize;
use serde_json::Value;

use crate::input::TokenInput;
use crate::output::{Failure, Output, counted, json_text, shown};
use crate::time::{duration, instant, micros, time};
use crate::{Exit, block_on, policy};

/// Explain step by step why a policy refuses or accepts a token.
///
/// Prints each step of verification, also the steps after the one that refused the token. Then prints what the token
/// says, the keys of its issuer, and each rule about claims with what the token has. The signature is never shown.
///
/// Keys are fetched if the policy says so. Otherwise, nothing is sent anywhere.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The policy: a TOML file, or a JSON file whose name ends in .json
    #[arg(long, short, value_name = "FILE")]
    policy: PathBuf,

    #[command(flatten)]
    token: TokenInput,

    /// The time at which the token is judged, as seconds since 1970 or as 2026-12-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<i64>,

    /// A scope that a route asks for besides the policy. Can be given more than once
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    /// What a route asks for that the token does not have.
    forbidden: Option<String>,
}

pub(crate) fn run(options: &Options, output: &Output) -> Result<Exit, Failure> {
    let scopes = (!options.scope.is_empty()).then(|| Requirement::all_scopes(&options.scope));
    if let Some(fault) = scopes.as_ref().and_then(Requirement::fault) {
        return Err(Failure::fault(format!("--scope: {fault}")));
    }
    let policy = policy::read(&options.policy, options.at.map(FixedClock::at))?;
    let token = options.token.read(output)?;
    let explanation = block_on(policy.explain(&token))?;
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
    output.line(&format!("in {} µs, at {}", micros(facts.took), instant(facts.now.0)));

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
            let has = has.as_deref().map_or("nothing".to_owned(), spaced);
            [rule.clone(), met.to_owned(), needs.clone(), has]
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

/// A list or object of JSON so that it wraps, and any other text as it is.
fn spaced(text: &str) -> String {
    let value = if text.starts_with(['[', '{']) { serde_json::from_str(text).ok() } else { None };
    value.map_or_else(|| text.to_owned(), |value| json_text(&value))
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
                let member =
                    |(name, value): (&String, &Value)| format!("{name} {}", json_text(value));
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
