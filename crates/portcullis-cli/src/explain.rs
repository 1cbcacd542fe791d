//! Why a token is refused.
use std::path::PathBuf;

use portcullis::explain::{
    ClaimCheck, Explanation, Facts, IssuerFacts, Outcome, ProofCheck, ProofFacts, Stage,
    TokenFacts, Trust,
};
use portcullis::{Error, Policy, Requirement};
use portcullis_testkit::FixedClock;
use serde::Serialize;
use serde_json::{Value, json};

use crate::input::{SentInput, TokenInput};
use crate::output::{Failure, Output, counted, json_text, shown};
use crate::request::{Request, path_of};
use crate::time::{duration, instant, micros, time};
use crate::{Exit, block_on, policy};

/// Explain step by step why a policy refuses or accepts a token.
///
/// Prints each step of verification, also the steps after the one that refused the token. Then prints what the token
/// says, the keys of its issuer, and each rule about claims with what the token has. The signature is never shown.
///
/// Is the token bound to a key (DPoP)? Then give the request: its headers `Authorization: DPoP …` and `DPoP: …`, or the whole
/// `curl` command. Each check of the proof is printed, with both sides. The proof is not used, and can still be sent.
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

    /// The address that the request with the proof was sent to, or its path [default: that of the request or command that is
    /// given]
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// The method of that request [default: that of the request or command that is given, or GET]
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,

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
    let sent = options.token.read_sent(output)?;
    let explanation = match request_of(options, &sent, &policy, output)? {
        None => block_on(policy.explain(&sent.token))?,
        Some(request) => match block_on(policy.explain_request(&request))? {
            Ok(explanation) => explanation,
            Err(error) => return Ok(no_token(&error, output)),
        },
    };
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
        Some(_) if hangs_on_nonce(&explanation) => Exit::Unavailable,
        Some(_) => Exit::Refused,
    })
}

/// The request that a token came in, where the policy has rules for that.
fn request_of(
    options: &Options,
    sent: &SentInput,
    policy: &Policy,
    output: &Output,
) -> Result<Option<Request>, Failure> {
    let SentInput { token, scheme, request } = sent;
    let Some(dpop) = policy.describe().dpop else {
        if !request.proofs.is_empty() {
            output.remark("The policy has no table `[dpop]`: the proof is not looked at.");
        }
        return Ok(None);
    };
    let Some(url) = options.url.as_ref().or(request.target.as_ref()) else {
        if !request.proofs.is_empty() {
            return Err(Failure::fault(
                "there is a proof with the token: say where the request was sent, by --url and --method, or give the whole request",
            ));
        }
        return Ok(None);
    };
    let (path, is_below) = path_of(url, &dpop.base_urls);
    if !is_below {
        let bases = dpop.base_urls.join(", ");
        output.remark(&shown(&format!(
            "{url} is not below an address of the policy ({bases}): its path is judged as {path}"
        )));
    }
    let method = options.method.as_ref().or(request.method.as_ref());
    let scheme = match (scheme, request.proofs.is_empty()) {
        (Some("dpop"), _) | (None, false) => "DPoP",
        _ => "Bearer",
    };
    Ok(Some(Request {
        method: method.map_or("GET", String::as_str).to_owned(),
        path,
        authorization: [scheme.as_bytes(), b" ", token].concat(),
        proofs: request.proofs.clone(),
    }))
}

/// A request in which the policy finds no token.
fn no_token(error: &Error, output: &Output) -> Exit {
    let (reason, message) = (error.reason(), error.to_string());
    if output.json {
        let error = json!({ "reason": reason, "message": message });
        output.json(&json!({ "accepted": false, "error": error }));
    } else {
        output.verdict(false, &shown(&format!("refused ({reason}): {message}")));
    }
    Exit::Refused
}

/// Whether all that is left to know is whether the nonce of a proof was given out: only the service can tell.
fn hangs_on_nonce(explanation: &Explanation) -> bool {
    let is_of_nonce = explanation
        .verdict()
        .is_err_and(|error| ["nonce_old", "nonce_foreign"].contains(&error.reason()));
    let facts = explanation.facts();
    let proof = facts.proof.iter().flat_map(|proof| &proof.checks);
    let mut unmet = proof.filter(|check| check.met == Some(false));
    is_of_nonce && unmet.all(|check| check.check == "nonce")
}

fn print(explanation: &Explanation, forbidden: Option<&Error>, policy: &Policy, output: &Output) {
    let facts = explanation.facts();
    match (explanation.verdict(), forbidden) {
        (Ok(_), None) if is_proven(facts) => {
            output.verdict(true, "accepted, if the proof was not used before");
        }
        (Ok(_), None) => output.verdict(true, "accepted"),
        (Ok(_), Some(error)) => {
            let text = format!("accepted by the policy, and not by the route: {error}");
            output.verdict(false, &shown(&text));
        }
        (Err(_), _) if hangs_on_nonce(explanation) => output.verdict(
            false,
            "undecided: all else holds, and only the service knows which nonces it gave out",
        ),
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
            let met = shown_met(*met);
            let has = has.as_deref().map_or("nothing".to_owned(), |has| shortened(&spaced(has)));
            [rule.clone(), met.to_owned(), needs.clone(), has]
        });
        output.table(["claim", "met", "what it takes", "what the token has"], checks);
    }
    if let Some(proof) = &facts.proof {
        print_proof(proof, output);
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
    print_parts(&facts.token, output);
}

/// Whether a check passed, in a table.
fn shown_met(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "?",
    }
}

/// Whether a proof came that could be read.
fn is_proven(facts: &Facts) -> bool {
    facts.proof.as_ref().is_some_and(|proof| proof.proof.is_some())
}

/// How the token came, and what its proof says.
fn print_proof(proof: &ProofFacts, output: &Output) {
    output.line("");
    if let Some(proof) = &proof.proof {
        output.paragraph("What the proof says, which whoever sent it wrote:");
        print_parts(proof, output);
        output.line("");
    }
    let checks = proof.checks.iter().map(|check| {
        let ProofCheck { check, needs, has, met, .. } = check;
        let met = shown_met(*met);
        let has = match (has, *check) {
            (Some(has), _) => shortened(has),
            (None, "use") => "not asked: nothing is used here".to_owned(),
            (None, _) => "nothing".to_owned(),
        };
        [(*check).to_owned(), met.to_owned(), shortened(needs), has]
    });
    output.table(["proof", "met", "what it takes", "what came"], checks);
}

/// The beginnings of hashes, by which two of them are told apart (43 letters of base64url).
fn shortened(text: &str) -> String {
    const WHOLE: usize = 43;
    const SHOWN: usize = 8;
    let is_of_hash = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let words = text.split_inclusive(|letter| !is_of_hash(letter));
    let shown = words.map(|word| {
        let hash = word.trim_end_matches(|letter| !is_of_hash(letter));
        if hash.len() == WHOLE {
            format!("{}…{}", &hash[..SHOWN], &word[WHOLE..])
        } else {
            word.to_owned()
        }
    });
    shown.collect()
}

fn print_parts(token: &TokenFacts, output: &Output) {
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
