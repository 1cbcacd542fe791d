//! What is wrong with a policy file, what is doubtful, and what it accepts.
use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use portcullis::explain::{
    DpopDescription, IssuerDescription, KeyOrigin, MtlsDescription, PolicyDescription,
};
use serde::Serialize;
use serde_json::json;

use crate::output::{Failure, Output, counted, shown};
use crate::time::duration;
use crate::{Exit, policy};

/// Check a policy file for faults and risks, and say what it accepts.
///
/// Prints every fault with its line and place. A policy without faults is described in words, with a warning for each
/// setting that makes it weaker.
///
/// Keys are fetched if the policy says `load_at_start`. Otherwise, nothing is sent anywhere.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The policy: a TOML file, or a JSON file whose name ends in .json
    #[arg(value_name = "FILE")]
    policy: PathBuf,

    /// Exit with code 1 if there is a warning
    #[arg(long)]
    deny_warnings: bool,

    /// Accept this warning: it is still printed, but no longer counts. Its name is printed with the warning. Can be given
    /// more than once
    #[arg(long, value_name = "WARNING", value_parser = PossibleValuesParser::new(LINTS), hide_possible_values = true)]
    allow: Vec<String>,
}

#[derive(Clone, Copy, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Warning,
    /// A warning that somebody meant.
    Allowed,
    Note,
}

/// What is not a fault, and deserves a thought: its reason, and the way out.
#[derive(Serialize)]
struct Lint {
    level: Level,
    name: &'static str,
    /// The issuer, or nothing for the policy.
    issuer: Option<String>,
    message: String,
}

pub(crate) fn run(options: &Options, output: &Output) -> Result<Exit, Failure> {
    let policy = match policy::load(&options.policy) {
        Ok(policy) => policy,
        // There is a policy to judge.
        Err(failure) if failure.is_readable() => {
            if output.json {
                output.json(&json!({ "good": false, "faults": failure.faults }));
                return Ok(Exit::Refused);
            }
            return Err(Failure { exit: Exit::Refused, ..failure });
        }
        Err(failure) => return Err(failure),
    };
    let description = policy.describe();
    let mut lints = lints(&description);
    for lint in &mut lints {
        if lint.level == Level::Warning && options.allow.iter().any(|name| name == lint.name) {
            lint.level = Level::Allowed;
        }
    }
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

/// What a description calls the source of bearer tokens.
const BEARER: &str = "header `Authorization: Bearer`";

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
    let name = policy
        .name
        .as_ref()
        .map(|name| ["  the policy".to_owned(), format!("`{name}` in metrics and logs")]);
    let mut rows: Vec<_> = name.into_iter().collect();
    // RFC 9449 §7.1: with proofs, the header for bearer tokens has a second scheme.
    let source = |source: &String| match source.as_str() {
        BEARER if policy.dpop.is_some() => format!("{BEARER} or `DPoP`"),
        other => other.to_owned(),
    };
    let sources: Vec<_> = policy.sources.iter().map(source).collect();
    rows.push(["  the token in".to_owned(), sources.join(", ")]);
    if policy.has_cookie {
        let origins = match policy.allowed_origins.as_slice() {
            [] => "its own origin only".to_owned(),
            origins => format!("its own origin, {}", origins.join(", ")),
        };
        rows.push(["  unsafe requests from".to_owned(), origins]);
        let bad_cookie = match policy.bad_cookie {
            "reject-and-clear" => "is refused, and the response removes the cookie",
            "anonymous" => "is ignored: the request counts as one without a token",
            _ => "is refused",
        };
        rows.push(["  a bad cookie".to_owned(), bad_cookie.to_owned()]);
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
        [] => "no token can be revoked before it expires".to_owned(),
        sources => format!("asked of {}", sources.join(", ")),
    };
    rows.push(["  revocation".to_owned(), revocation]);
    rows.extend(binding_rows(policy));
    let details = if policy.presentation.details { "with its reason" } else { "by its code alone" };
    rows.push(["  a refusal is told".to_owned(), details.to_owned()]);
    output.table(["", ""], rows);
    if !lints.is_empty() {
        output.line("");
    }
    for Lint { level, name, issuer, message } in lints {
        let level = match level {
            Level::Warning => "warning",
            Level::Allowed => "allowed",
            Level::Note => "note",
        };
        let issuer = issuer.as_ref().map(|id| format!("{}: ", shown(id))).unwrap_or_default();
        output.paragraph(&format!("{level} [{name}]: {issuer}{}", shown(message)));
    }
}

/// What is asked of tokens that are bound to a key or a certificate.
fn binding_rows(policy: &PolicyDescription) -> Vec<[String; 2]> {
    let refused = |name: &str, why: &str| [format!("  {name}"), format!("are refused: {why}")];
    let no_proofs = "there is no table `[dpop]`";
    match (&policy.dpop, &policy.mtls) {
        (None, None) => {
            vec![refused("bound tokens", "there is no table `[dpop]`, and none `[mtls]`")]
        }
        (Some(dpop), None) => {
            let mut rows = proof_rows(dpop);
            rows.push(refused("bound to a certificate", "there is no table `[mtls]`"));
            rows
        }
        (None, Some(mtls)) => {
            let mut rows = certificate_rows(mtls);
            let unbound = if mtls.required { "are refused" } else { "pass as bearer tokens" };
            rows.push(["  others".to_owned(), unbound.to_owned()]);
            rows.push(refused("bound to a key", no_proofs));
            rows
        }
        (Some(dpop), Some(mtls)) => {
            let mut rows = proof_rows(dpop);
            rows.extend(certificate_rows(mtls));
            rows
        }
    }
}

/// What is asked of tokens that are bound to a certificate, and who says which one it was.
fn certificate_rows(mtls: &MtlsDescription) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    let mut row = |name: &str, text: String| rows.push([format!("  {name}"), text]);
    row("bound to a certificate", "pass where the client presented it".to_owned());
    match &mtls.header {
        None => row("certificates by", "the service's own TLS".to_owned()),
        Some(header) => {
            let form = mtls.form.unwrap_or_default();
            row("certificates by", format!("the header `{header}`, written as `{form}`"));
            let unix_socket = mtls.trusted_unix_socket.then(|| "a Unix domain socket".to_owned());
            let senders: Vec<_> = mtls.trusted_proxies.iter().cloned().chain(unix_socket).collect();
            row("header sent by", senders.join(" or "));
        }
    }
    rows
}

/// What is asked of tokens that are bound to a key, and of proofs of who has it.
fn proof_rows(dpop: &DpopDescription) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    let mut row = |name: &str, text: String| rows.push([format!("  {name}"), text]);
    row("bound to a key", "pass with the scheme DPoP and a proof".to_owned());
    let unbound = if dpop.required { "are refused" } else { "pass as bearer tokens" };
    row("others", unbound.to_owned());
    row("proofs for", dpop.base_urls.join(" or "));
    row("proofs signed by", dpop.algorithms.join(", "));
    let made = if dpop.nonces {
        "with a nonce of the last minutes".to_owned()
    } else {
        let (past, future) = (duration(dpop.past_s), duration(dpop.future_s));
        format!("at most {past} ago, and at most {future} ahead")
    };
    row("proofs made", made);
    let replays =
        if dpop.is_shared { "in a store that the program gives" } else { "in one process" };
    row("used proofs", format!("remembered {replays}"));
    rows
}

fn rows(issuer: &IssuerDescription) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    let mut row = |name: &str, text: String| rows.push([format!("  {name}"), text]);
    row("signed by", issuer.algorithms.join(", "));
    for KeyOrigin { from, is_remote, public_keys, secrets, .. } in &issuer.keys {
        let text = match (is_remote, public_keys, secrets) {
            (true, 0, _) => format!("fetched from {from}"),
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

/// Every lint, for `--allow`. What a policy file can weaken has one; the tests hold the two together.
const LINTS: [&str; 37] = [
    "allow-http",
    "anonymous",
    "any-tenant",
    "any-token-type",
    "bad-cookie-anonymous",
    "both-bindings",
    "cookie-of-any-name",
    "cookie-too-small",
    "dangerous",
    "issuer-is-an-address",
    "key-id-not-required",
    "keycloak-account",
    "keys-of-any-origin",
    "keys-of-several-issuers",
    "keys-without-tls",
    "large-headers",
    "large-tokens",
    "long-leeway",
    "long-lifetime",
    "no-allowed-origins",
    "no-audience",
    "no-revocation",
    "numeric-ids",
    "origin-without-tls",
    "prefer-header",
    "proofs-made-ahead",
    "proofs-never-read",
    "proofs-of-one-process",
    "proofs-without-tls",
    "several-issuers",
    "shared-secret-beside-key-pairs",
    "shared-secret-of-several",
    "slow-withdrawal",
    "token-in-query",
    "unbound-tokens",
    "unlimited-lifetime",
    "wide-proxies",
];

fn lints(policy: &PolicyDescription) -> Vec<Lint> {
    let mut lints = Vec::new();
    for issuer in &policy.issuers {
        let mut say = |level, name, message| {
            lints.push(Lint { level, name, issuer: Some(issuer.id.clone()), message });
        };
        lint_terms(issuer, &mut say);
        lint_keys(issuer, &mut say);
        lint_cookies(issuer, policy, &mut say);
    }
    let mut say = |level, name, message| lints.push(Lint { level, name, issuer: None, message });
    lint_dangerous(policy, &mut say);
    lint_requests(policy, &mut say);
    lint_whole(policy, &mut say);
    if let Some(dpop) = &policy.dpop {
        lint_proofs(dpop, policy, &mut say);
    }
    if let Some(mtls) = &policy.mtls {
        lint_certificates(mtls, &mut say);
    }
    lint_bindings(policy, &mut say);
    lints
}

/// Takes a lint: its level, its name and its text.
type Say<'a> = dyn FnMut(Level, &'static str, String) + 'a;

/// What the policy asked for by the names of `dangerous`.
fn lint_dangerous(policy: &PolicyDescription, say: &mut Say<'_>) {
    let mut warn = |name, message: &str| say(Level::Warning, name, message.to_owned());
    for weakened in &policy.dangerous {
        let (name, what) = weakened.split_once(['(', ' ']).unwrap_or((weakened, ""));
        let what = what.trim_matches(['(', ')']);
        match name {
            "unlimited_lifetime" => warn(
                "unlimited-lifetime",
                &format!(
                    "a leaked token of {what} may work for years: set `claims.max_lifetime`, and have the issuer renew its tokens"
                ),
            ),
            "query" => warn(
                "token-in-query",
                &format!(
                    "the token may stand in the query parameter `{what}`, and so in logs, histories and `Referer` headers: take it from the `Authorization` header"
                ),
            ),
            "cookie" => warn(
                "cookie-of-any-name",
                &format!(
                    "another site of the same domain can plant the cookie `{what}`, and so log a user into another's account: give it a name that begins with `__Host-`"
                ),
            ),
            "allow_http" => warn(
                "allow-http",
                &format!(
                    "keys may be fetched from {what} without TLS, and whoever is on the way can sign tokens: give it a certificate, and write `https`"
                ),
            ),
            // The issuer's `long-lifetime` says for how long.
            "long_lifetime" => {}
            _ => warn(
                "dangerous",
                &format!("weakened by {weakened}: see the module `dangerous` for what is lost"),
            ),
        }
    }
}

/// Which requests pass, and what is read of them.
fn lint_requests(policy: &PolicyDescription, say: &mut Say<'_>) {
    let mut warn = |name, message: &str| say(Level::Warning, name, message.to_owned());
    if policy.anonymous {
        warn(
            "anonymous",
            "a request without a token passes, and each handler has to ask whether there is a caller: leave out `allow_anonymous`, and put open routes outside the layer",
        );
    }
    if policy.bad_cookie == "anonymous" {
        warn(
            "bad-cookie-anonymous",
            "a request whose cookie is refused passes as one without a token: set `bad_cookie` to \"reject-and-clear\"",
        );
    }
    if policy.prefer_header {
        warn(
            "prefer-header",
            "of two tokens in a request one is not looked at, and what stands in front may go by that one: leave out `prefer_header`, so that such a request is refused",
        );
    }
    for origin in policy.allowed_origins.iter().filter(|origin| origin.starts_with("http://")) {
        warn(
            "origin-without-tls",
            &format!(
                "whoever is on the way to {origin} can write pages of it, which may use the cookie: serve it over `https`"
            ),
        );
    }
    if policy.header_limit > 4 * 1024 {
        warn(
            "large-headers",
            &format!(
                "anybody can have a header of {} bytes read before anything is known of it: leave out `header_limit`, unless the issuer's tokens carry certificates",
                policy.header_limit
            ),
        );
    }
    if policy.token_limit > 16 * 1024 {
        warn(
            "large-tokens",
            &format!(
                "anybody can have {} bytes read and decoded before anything is known of them: set `token_limit` to the size of the issuer's tokens",
                policy.token_limit
            ),
        );
    }
}

/// Tokens that browsers drop. Where no issuer has others, the policy does not build.
fn lint_cookies(issuer: &IssuerDescription, policy: &PolicyDescription, say: &mut Say<'_>) {
    let large: Vec<_> = issuer
        .algorithms
        .iter()
        .copied()
        .filter(|algorithm| ["ML-DSA-65", "ML-DSA-87"].contains(algorithm))
        .collect();
    if policy.has_cookie && !large.is_empty() {
        say(
            Level::Note,
            "cookie-too-small",
            format!(
                "a token of {} has over 4096 bytes, and browsers drop such a cookie: whoever has the token in a cookie needs another algorithm, such as ES256 or ML-DSA-44",
                large.join(" or ")
            ),
        );
    }
}

/// What no issuer and no request shows by itself.
fn lint_whole(policy: &PolicyDescription, say: &mut Say<'_>) {
    for origin in keys_of_several(&policy.issuers) {
        say(
            Level::Warning,
            "keys-of-several-issuers",
            format!(
                "several issuers have their keys from {origin}, and so each can sign in another's name: give each keys of its own"
            ),
        );
    }
    if policy.issuers.len() > 1 {
        say(Level::Note, "several-issuers", "subjects and client ids are unique only within an issuer: a requirement that names one has to name its issuer too".to_owned());
    }
    if policy.has_cookie && policy.allowed_origins.is_empty() {
        say(Level::Note, "no-allowed-origins", "with the cookie, only pages of the service's own origin may send unsafe requests: `allowed_origins` names others".to_owned());
    }
    if policy.revocation.sources.is_empty() {
        say(Level::Note, "no-revocation", "no token can be revoked before it expires; revocation is added in code: `PolicyBuilder::revocations`".to_owned());
    }
}

/// What proofs of a key are worth.
fn lint_proofs(dpop: &DpopDescription, policy: &PolicyDescription, say: &mut Say<'_>) {
    // RFC 9449 §11.2.
    let lifetimes = policy.issuers.iter().map(|issuer| issuer.max_lifetime_s);
    let longest = lifetimes.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other)));
    let limit = longest.flatten();
    if !dpop.nonces && limit.is_none_or(|limit| limit > 3600) {
        let lives = limit.map_or_else(
            || "may live for ever".to_owned(),
            |limit| format!("may live for {}", duration(limit)),
        );
        say(
            Level::Warning,
            "proofs-made-ahead",
            format!(
                "tokens {lives}, and whoever uses a client's key once can make proofs for all that time: set `dpop.nonces` to \"required\", or `claims.max_lifetime` to 1 h at most"
            ),
        );
    }
    // RFC 9449 §7.1: the scheme is one of `Authorization`.
    if !policy.sources.iter().any(|source| source == BEARER) {
        say(Level::Warning, "proofs-never-read", "tokens that are bound to a key come with the scheme DPoP in the header `Authorization`, and `sources` leaves that out: list \"bearer\", or leave out `[dpop]`".to_owned());
    }
    for base in dpop.base_urls.iter().filter(|base| base.starts_with("http://")) {
        say(
            Level::Warning,
            "proofs-without-tls",
            format!("proofs may be for {base}, without TLS: for development only; write `https`"),
        );
    }
    if !dpop.is_shared {
        say(Level::Note, "proofs-of-one-process", "used proofs are remembered in one process: of several instances, each takes a proof once; a store that they share is given in code, and named by `dpop.replay`".to_owned());
    }
}

/// What the word of a proxy is worth.
fn lint_certificates(mtls: &MtlsDescription, say: &mut Say<'_>) {
    for range in mtls.trusted_proxies.iter().filter(|range| is_wide(range)) {
        say(
            Level::Warning,
            "wide-proxies",
            format!(
                "whoever connects from {range} can say which certificate they have: list in `mtls.trusted_proxies` the addresses of the proxies alone, and let nothing else run there"
            ),
        );
    }
}

/// Whether a range has more addresses than the largest subnet of the usual clouds (`/16`), or of IPv6 more than a site (RFC 6177 §2).
fn is_wide(range: &str) -> bool {
    let Some((address, length)) = range.split_once('/') else { return false };
    let least = if address.contains(':') { 48 } else { 16 };
    length.parse::<u8>().is_ok_and(|length| length < least)
}

/// Whether tokens have to be bound.
fn lint_bindings(policy: &PolicyDescription, say: &mut Say<'_>) {
    let required = (
        policy.dpop.as_ref().map(|dpop| dpop.required),
        policy.mtls.as_ref().map(|mtls| mtls.required),
    );
    let (to, setting, has) = match required {
        (Some(true), Some(true)) => {
            return say(Level::Note, "both-bindings", "a token has to be bound to a key and to a certificate, and few issuers bind one to both: leave out one of `dpop.mode` and `mtls.mode`, unless yours does".to_owned());
        }
        (None, None) | (Some(true), _) | (_, Some(true)) => return,
        (Some(false), None) => ("no key", "`dpop.mode`", "bound tokens"),
        (None, Some(false)) => ("no certificate", "`mtls.mode`", "bound tokens"),
        (Some(false), Some(false)) => (
            "neither key nor certificate",
            "`dpop.mode` or `mtls.mode`",
            "tokens that are bound so",
        ),
    };
    say(
        Level::Note,
        "unbound-tokens",
        format!(
            "tokens that are bound to {to} pass as well, and a thief can use them: set {setting} to \"required\" once all clients have {has}"
        ),
    );
}

/// Whose tokens an issuer's are, and for how long.
fn lint_terms(issuer: &IssuerDescription, say: &mut Say<'_>) {
    let mut warn = |name, message| say(Level::Warning, name, message);
    if issuer.max_tenants.is_some() {
        warn("any-tenant", "whoever has a tenant there gets in: list the issuers that you mean, each by `id`, or hold a claim that names the tenant to a list, by `claims.one_of`".to_owned());
    }
    if issuer.audiences.is_empty() {
        warn("no-audience", "a token that a client got for another service is taken here as well: have the issuer name this service in `aud`, and list `audiences`".to_owned());
    }
    // Keycloak names its realms so, and `account` in most tokens of a user.
    if issuer.id.contains("/realms/") && issuer.audiences.iter().any(|name| name == "account") {
        warn("keycloak-account", "Keycloak puts `account` into the tokens of every client of the realm, so tokens for other services are accepted too: give this service a client of its own, add an audience mapper for it, and list that client's id".to_owned());
    }
    if issuer.id.contains("/.well-known/") {
        warn("issuer-is-an-address", "this is the address of a document, and no issuer calls itself that: copy the issuer from `iss` of a token".to_owned());
    }
    if let Some(limit) = issuer.max_lifetime_s.filter(|limit| *limit > 3600) {
        warn(
            "long-lifetime",
            format!(
                "a leaked token works for up to {}: set `claims.max_lifetime` to what the issuer needs, such as \"15m\"",
                duration(limit)
            ),
        );
    }
    if issuer.leeway_s > 60 {
        warn(
            "long-leeway",
            format!(
                "tokens work for {} after they expired, and synchronised clocks differ by less than a second: leave out `claims.leeway`",
                duration(issuer.leeway_s)
            ),
        );
    }
}

/// By which keys an issuer's tokens are verified, and which tokens they are.
fn lint_keys(issuer: &IssuerDescription, say: &mut Say<'_>) {
    let mut warn = |name, message| say(Level::Warning, name, message);
    let secrets: usize = issuer.keys.iter().map(|origin| origin.secrets).sum();
    if secrets > 0 && issuer.audiences.len() > 1 {
        warn("shared-secret-of-several", "each service that has the secret can sign tokens for the other audiences: use key pairs".to_owned());
    }
    if secrets > 0 && issuer.keys.iter().any(|origin| origin.is_remote || origin.public_keys > 0) {
        warn("shared-secret-beside-key-pairs", "each service that has the secret can sign in the issuer's name, key pairs or not: drop the secret, or end it by `accept_until`, once the issuer signs with a key pair".to_owned());
    }
    if issuer.most_candidates > 1 && !issuer.requires_key_id {
        warn("key-id-not-required", "of several keys, a token without `kid` is tried with each: set `require_key_id`, if the issuer's tokens have one".to_owned());
    }
    for origin in issuer.keys.iter().filter(|origin| origin.is_remote) {
        if origin.from.starts_with("http://") {
            warn(
                "keys-without-tls",
                format!(
                    "keys come from {} over plain http: for development only; write `https`",
                    origin.from
                ),
            );
        }
        if origin.any_origin {
            warn("keys-of-any-origin", "whoever may write the metadata of one of these issuers chooses a host that this service then connects to: leave out `same_origin = false`, or give the address by `jwks_url`".to_owned());
        }
        // The defaults: what is longer was asked for.
        if origin.max_fresh_s > Some(3600) || origin.max_stale_s > Some(24 * 3600) {
            let [fresh, stale] =
                [origin.max_fresh_s, origin.max_stale_s].map(|time| duration(time.unwrap_or(0)));
            warn(
                "slow-withdrawal",
                format!(
                    "a key that the issuer withdrew may count for {fresh}, and for {stale} while its key server cannot be reached: leave out `max_fresh` and `max_stale`, or lower them"
                ),
            );
        }
    }
    if issuer.numeric_ids {
        say(Level::Note, "numeric-ids", "a subject that is the number 42 and one that is the text \"42\" are one: leave out `numeric_ids` where the issuer writes text".to_owned());
    }
    if issuer.token_types.contains(&"jwt") {
        say(Level::Note, "any-token-type", "tokens of the type `JWT` or of none are taken: where the issuer's access tokens have the type `at+jwt`, set `token_type` to it, so that none of its other tokens is".to_owned());
    }
}

/// Files and addresses that more than one issuer has its keys from.
fn keys_of_several(issuers: &[IssuerDescription]) -> BTreeSet<&str> {
    let (mut seen, mut shared) = (BTreeSet::new(), BTreeSet::new());
    for issuer in issuers {
        let named = |origin: &&KeyOrigin| origin.is_remote || origin.from.starts_with("the file ");
        let own: BTreeSet<_> =
            issuer.keys.iter().filter(named).map(|origin| origin.from.as_str()).collect();
        for origin in own {
            if !seen.insert(origin) {
                shared.insert(origin);
            }
        }
    }
    shared
}
