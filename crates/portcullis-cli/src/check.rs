//! What is wrong with a policy file, what is doubtful, and what it accepts.
use std::path::PathBuf;

use portcullis::Policy;
use portcullis::explain::{IssuerDescription, KeyOrigin, PolicyDescription};
use serde::Serialize;
use serde_json::json;

use crate::output::{Failure, Output, counted, duration, shown};
use crate::{Exit, policy};

/// Find the faults of a policy file, and say in plain words what it accepts.
///
/// A policy that says `load_at_start` has its keys fetched; else nothing leaves the machine.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The policy file
    policy: PathBuf,

    /// End with 1 where there is a warning
    #[arg(long)]
    deny_warnings: bool,
}

#[derive(Clone, Copy, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Warning,
    Note,
}

/// What is no fault, and deserves a thought.
#[derive(Serialize)]
struct Lint {
    level: Level,
    name: &'static str,
    /// The issuer, or nothing for the policy.
    issuer: Option<String>,
    message: String,
}

pub(crate) fn run(options: &Options, output: &Output) -> Result<Exit, Failure> {
    let read = Policy::from_toml_file(&options.policy);
    let policy = match read {
        Ok(policy) => policy,
        Err(error) => {
            let failure = policy::failure(&options.policy, &error);
            if output.json {
                output.json(&json!({ "good": false, "faults": failure.faults }));
                return Ok(Exit::Refused);
            }
            return Err(Failure { exit: Exit::Refused, ..failure });
        }
    };
    let description = policy.describe();
    let lints = lints(&description);
    let warnings = lints.iter().filter(|lint| lint.level == Level::Warning).count();
    if output.json {
        output.json(&json!({ "good": true, "lints": lints, "policy": description }));
    } else {
        let name = shown(&options.policy.display().to_string());
        output
            .verdict(warnings == 0, &format!("{name}: no fault, {}", counted(warnings, "warning")));
        print(&description, &lints, output);
    }
    Ok(if warnings > 0 && options.deny_warnings { Exit::Refused } else { Exit::Good })
}

fn print(policy: &PolicyDescription, lints: &[Lint], output: &Output) {
    for issuer in &policy.issuers {
        output.line("");
        match issuer.max_tenants {
            None => output.paragraph(&format!("Tokens of {}", shown(&issuer.id))),
            Some(most) => output.paragraph(&format!(
                "Tokens of every issuer {}, {most} of them at a time",
                shown(&issuer.id)
            )),
        }
        output.table(["", ""], rows(issuer));
    }
    output.line("");
    output.line("Requests");
    let mut rows = vec![["  the token in".to_owned(), policy.sources.join(", ")]];
    if policy.has_cookie {
        let origins = match policy.allowed_origins.as_slice() {
            [] => "its own origin only".to_owned(),
            origins => format!("its own origin, {}", origins.join(", ")),
        };
        rows.push(["  unsafe requests from".to_owned(), origins]);
        rows.push(["  a bad cookie".to_owned(), policy.bad_cookie.to_owned()]);
        let both = if policy.prefer_header { "the header counts" } else { "refused" };
        rows.push(["  header and cookie".to_owned(), both.to_owned()]);
    }
    let anonymous = if policy.anonymous { "passes, anonymously" } else { "is refused" };
    rows.push(["  without a token".to_owned(), anonymous.to_owned()]);
    rows.push(["  size of a token".to_owned(), format!("at most {} bytes", policy.token_limit)]);
    let cache = match policy.token_cache {
        0 => "none".to_owned(),
        bytes => format!("up to {} KiB of them", bytes / 1024),
    };
    rows.push(["  tokens remembered".to_owned(), cache]);
    let revocation = match policy.revocation.sources.as_slice() {
        [] => "no token can be taken back before it expires".to_owned(),
        sources => format!("asked of {}", sources.join(", ")),
    };
    rows.push(["  revocation".to_owned(), revocation]);
    let details = if policy.presentation.details { "with its reason" } else { "by its code alone" };
    rows.push(["  a refusal is told".to_owned(), details.to_owned()]);
    output.table(["", ""], rows);
    if !lints.is_empty() {
        output.line("");
    }
    for Lint { level, name, issuer, message } in lints {
        let level = match level {
            Level::Warning => "warning",
            Level::Note => "note",
        };
        let issuer = issuer.as_ref().map(|id| format!("{}: ", shown(id))).unwrap_or_default();
        output.paragraph(&format!("{level} [{name}]: {issuer}{}", shown(message)));
    }
}

fn rows(issuer: &IssuerDescription) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    let mut row = |name: &str, text: String| rows.push([format!("  {name}"), text]);
    row("signed by", issuer.algorithms.join(", "));
    for KeyOrigin { from, is_remote, public_keys, secrets, .. } in &issuer.keys {
        let text = match (is_remote, public_keys, secrets) {
            (true, 0, _) => format!("fetched by {from}"),
            (_, keys, 0) => format!("{}, {from}", counted(*keys, "key")),
            (_, 0, secrets) => format!("{}, {from}", counted(*secrets, "shared secret")),
            (_, keys, secrets) => {
                format!("{}, {}, {from}", counted(*keys, "key"), counted(*secrets, "shared secret"))
            }
        };
        row("keys", text);
    }
    let key_id = if issuer.requires_key_id { "required" } else { "not required" };
    row("key id", key_id.to_owned());
    if issuer.audiences.is_empty() {
        let clients = issuer.client_ids_instead_of_audience.join(", ");
        row("audience", format!("none; asked for by the client {clients}"));
    } else {
        row("audience", issuer.audiences.join(" or "));
    }
    row("type", issuer.token_types.join(" or "));
    row("clocks differ by", format!("at most {}", duration(issuer.leeway_s)));
    let unlimited = || "unlimited".to_owned();
    row(
        "lives",
        issuer
            .max_lifetime_s
            .map_or_else(unlimited, |limit| format!("at most {}", duration(limit))),
    );
    if let Some(limit) = issuer.max_age_s {
        row("issued", format!("at most {} ago", duration(limit)));
    }
    row("scopes in", issuer.scope_claims.join(", "));
    for rule in &issuer.claim_rules {
        row("claim", rule.clone());
    }
    rows
}

fn lints(policy: &PolicyDescription) -> Vec<Lint> {
    let mut lints = Vec::new();
    for issuer in &policy.issuers {
        let mut say = |level, name, message: String| {
            lints.push(Lint { level, name, issuer: Some(issuer.id.clone()), message });
        };
        if let Some(limit) = issuer.max_lifetime_s.filter(|limit| *limit > 3600) {
            say(
                Level::Warning,
                "long-lifetime",
                format!(
                    "a leaked token works for up to {}: set `claims.max_lifetime` to what the issuer needs, such as \"15m\"",
                    duration(limit)
                ),
            );
        }
        if issuer.leeway_s > 60 {
            say(
                Level::Warning,
                "long-leeway",
                format!(
                    "tokens work for {} after they expired: synchronised clocks differ by less than a second",
                    duration(issuer.leeway_s)
                ),
            );
        }
        let secrets: usize = issuer.keys.iter().map(|origin| origin.secrets).sum();
        if secrets > 0 && issuer.audiences.len() > 1 {
            say(
                Level::Warning,
                "shared-secret-of-several",
                "each service that has the secret can sign tokens for the other audiences: use key pairs".to_owned(),
            );
        }
        if issuer.most_candidates > 1 && !issuer.requires_key_id {
            say(
                Level::Warning,
                "key-id-not-required",
                "of several keys, a token without `kid` is tried with each: set `require_key_id`, if the issuer's tokens have one".to_owned(),
            );
        }
        for origin in issuer.keys.iter().filter(|origin| origin.is_remote) {
            if origin.from.starts_with("http://") {
                say(
                    Level::Warning,
                    "keys-without-tls",
                    format!("keys come from {} over plain http: for development only", origin.from),
                );
            }
        }
    }
    let mut say =
        |level, name, message: String| lints.push(Lint { level, name, issuer: None, message });
    for weakened in &policy.dangerous {
        say(
            Level::Warning,
            "dangerous",
            format!("weakened by {weakened}: see the module `dangerous` for what is lost"),
        );
    }
    if policy.has_cookie && policy.allowed_origins.is_empty() {
        say(Level::Note, "no-allowed-origins", "with the cookie, only pages of the service's own origin may send unsafe requests: `allowed_origins` names others".to_owned());
    }
    if policy.revocation.sources.is_empty() {
        say(Level::Note, "no-revocation", "no token can be taken back before it expires; revocation is added in code: `PolicyBuilder::revocations`".to_owned());
    }
    lints
}
