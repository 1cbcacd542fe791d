//! Why a token is refused.
use std::path::PathBuf;

use portcullis::explain::{
    CertificateFacts, ClaimCheck, Explanation, Facts, IssuerFacts, MtlsDescription, Outcome,
    PolicyDescription, ProofFacts, SenderCheck, Stage, TokenFacts, Trust,
};
use portcullis::mtls::CertificateError;
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis::{Error, Policy, Requirement};
use portcullis_testkit::FixedClock;
use serde::Serialize;
use serde_json::{Value, json};

use crate::input::{SentInput, TokenInput};
use crate::output::{Failure, Output, counted, json_text, shown};
use crate::policy::is_unavailable;
use crate::request::{Request, path_of};
use crate::time::{duration, instant, micros, time};
use crate::{Exit, block_on, certificate, policy};

/// Explain step by step why a policy refuses or accepts a token.
///
/// Prints each step of verification, also the steps after the one that refused the token. Then prints what the token
/// says, the keys of its issuer, and each rule about claims with what the token has. The signature is never shown.
///
/// Is the token bound to a key (DPoP)? Then give the request: its headers `Authorization: DPoP …` and `DPoP: …`, or the whole
/// `curl` command. Each check of the proof is printed, with both sides. The proof is not used, and can still be sent.
///
/// Is it bound to a certificate (RFC 8705)? Then say which one the client presented: by --client-certificate, or where a proxy tells
/// it in a header, by the request with that header, and --peer.
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

    /// The certificate that the service's own TLS saw, in a file with PEM or DER; `none` for a client that presented none. For a policy
    /// with `certificate = "tls"` in its table `[mtls]`
    #[arg(long, value_name = "FILE")]
    client_certificate: Option<PathBuf>,

    /// The address that sent the request, as the service sees it: 10.0.0.7, or `unix` for a Unix domain socket. For a policy whose
    /// table `[mtls]` names a header, which counts if a trusted proxy sent it
    #[arg(long, value_name = "ADDRESS", value_parser = certificate::peer)]
    peer: Option<PeerAddress>,

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
    let description = policy.describe();
    let header = description.mtls.as_ref().and_then(|mtls| mtls.header.as_deref());
    let sent = options.token.read_sent(output, header)?;
    let explanation = match request_of(options, &sent, &description, output)? {
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
    let way_out = explanation.verdict().err().zip(description.mtls.as_ref());
    if let Some(way_out) = way_out.and_then(|(error, mtls)| way_out_of(error, mtls, &sent)) {
        output.remark(&way_out);
    }
    if output.json {
        let forbidden = forbidden.as_ref().map(ToString::to_string);
        output.json(&Report { explanation: &explanation, forbidden });
    } else {
        print(&explanation, forbidden.as_ref(), &policy, output);
    }
    Ok(match error {
        None => Exit::Good,
        Some(error) if is_unavailable(error) || hangs_on_nonce(&explanation) => Exit::Unavailable,
        Some(_) => Exit::Refused,
    })
}

/// The request that a token came in, where the policy has rules for that.
fn request_of(
    options: &Options,
    sent: &SentInput,
    policy: &PolicyDescription,
    output: &Output,
) -> Result<Option<Request>, Failure> {
    let SentInput { token, scheme, request } = sent;
    let has_proofs = !request.proofs.is_empty();
    if policy.dpop.is_none() && has_proofs {
        output.remark("The policy has no table `[dpop]`: the proof is not looked at.");
    }
    let client_certificate = told_certificate(options, policy.mtls.as_ref(), output)?;
    if policy.dpop.is_none() && policy.mtls.is_none() {
        return Ok(None);
    }
    let url = options.url.as_ref().or(request.target.as_ref());
    let path = match (&policy.dpop, url) {
        (Some(_), None) if has_proofs => {
            return Err(Failure::fault(
                "there is a proof with the token: say where the request was sent, by --url and --method, or give the whole request",
            ));
        }
        (Some(dpop), Some(url)) => path_at(url, &dpop.base_urls, output),
        (Some(_), None) if policy.mtls.is_none() => return Ok(None),
        // No proof is held against it.
        (Some(_), None) | (None, _) => "/".to_owned(),
    };
    let method = options.method.as_ref().or(request.method.as_ref());
    let scheme = match (scheme, has_proofs && policy.dpop.is_some()) {
        (Some("dpop"), _) | (None, true) => "DPoP",
        _ => "Bearer",
    };
    let header = policy.mtls.as_ref().and_then(|mtls| mtls.header.clone()).unwrap_or_default();
    Ok(Some(Request {
        method: method.map_or("GET", String::as_str).to_owned(),
        path,
        authorization: [scheme.as_bytes(), b" ", token].concat(),
        proofs: request.proofs.clone(),
        certificates: (header, request.certificates.clone()),
        client_certificate,
        peer: options.peer,
    }))
}

/// The path that the service sees.
fn path_at(url: &str, bases: &[String], output: &Output) -> String {
    let (path, is_below) = path_of(url, bases);
    if !is_below {
        let bases = bases.join(", ");
        output.remark(&shown(&format!(
            "{url} is not below an address of the policy ({bases}): its path is judged as {path}"
        )));
    }
    path
}

/// What the service's own TLS saw, as far as the policy asks. Says what is given in vain.
fn told_certificate(
    options: &Options,
    mtls: Option<&MtlsDescription>,
    output: &Output,
) -> Result<Option<ClientCertificate>, Failure> {
    let told = match options.client_certificate.as_deref() {
        None => None,
        Some(path) if path.as_os_str() == "none" => Some(ClientCertificate::absent()),
        Some(path) => Some(ClientCertificate::presented(certificate::read(path)?)),
    };
    match mtls {
        None if told.is_some() || options.peer.is_some() => output.remark(
            "The policy has no table `[mtls]`: who sent the request, and with which certificate, is not looked at.",
        ),
        Some(MtlsDescription { header: None, .. }) if options.peer.is_some() => output.remark(
            "The policy goes by the service's own TLS: --peer is not looked at.",
        ),
        Some(MtlsDescription { header: Some(header), .. }) if told.is_some() => {
            output.remark(&shown(&format!(
                "The policy goes by the header `{header}`: --client-certificate is not looked at. Give the request with that header, and --peer."
            )));
        }
        _ => {}
    }
    Ok(told)
}

/// What to give, where the certificate is what is not known.
fn way_out_of(error: &Error, mtls: &MtlsDescription, sent: &SentInput) -> Option<String> {
    let Error::Certificate(error) = error else { return None };
    match (error, &mtls.header) {
        (CertificateError::Unknown, _) => Some(
            "Say which certificate the client presented: by --client-certificate FILE, or `none`."
                .to_owned(),
        ),
        (CertificateError::PeerUnknown, _) => {
            Some("Say who sent the request to the service, by --peer ADDRESS.".to_owned())
        }
        (CertificateError::NoHeader, Some(header)) if sent.request.certificates.is_empty() => {
            Some(shown(&format!(
                "The policy reads the certificate from the header `{header}`, and the input has none: give the whole request, as the service gets it, and --peer ADDRESS."
            )))
        }
        _ => None,
    }
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

/// What only the service, or who looked at the request there, can tell.
fn undecided(explanation: &Explanation) -> Option<&'static str> {
    match explanation.verdict().err()? {
        _ if hangs_on_nonce(explanation) => {
            Some("all else holds, and only the service knows which nonces it gave out")
        }
        Error::Certificate(CertificateError::Unknown) => Some(
            "the token is bound to a certificate, and nothing says which one the client presented",
        ),
        Error::Certificate(CertificateError::PeerUnknown) => Some(
            "a header says which certificate the client presented, and nothing says who sent it",
        ),
        _ => None,
    }
}

fn print(explanation: &Explanation, forbidden: Option<&Error>, policy: &Policy, output: &Output) {
    let (facts, undecided) = (explanation.facts(), undecided(explanation));
    match (explanation.verdict(), forbidden, undecided) {
        (Ok(_), None, _) if is_proven(facts) => {
            output.verdict(true, "accepted, if the proof was not used before");
        }
        (Ok(_), None, _) => output.verdict(true, "accepted"),
        (Ok(_), Some(error), _) => {
            let text = format!("accepted by the policy, and not by the route: {error}");
            output.verdict(false, &shown(&text));
        }
        (Err(_), _, Some(why)) => output.verdict(false, &format!("undecided: {why}")),
        (Err(error), _, None) => {
            output.verdict(false, &shown(&format!("refused ({}): {error}", error.reason())));
        }
    }
    output.line(&format!("in {} µs, at {}", micros(facts.took), instant(facts.now.0)));

    output.line("");
    let steps = facts.steps.iter().map(|step| {
        // As wide for a fast step as for a slow one.
        let took = step.took.map(|took| format!("{:>7}", micros(took))).unwrap_or_default();
        let why = step.error.as_ref().map(ToString::to_string).unwrap_or_default();
        let (outcome, why) = match (step.outcome, undecided) {
            (Outcome::Refused, Some(why)) => ("undecided".to_owned(), why.to_owned()),
            (Outcome::Refused, None) => ("REFUSED".to_owned(), why),
            (other, _) => (other.to_string(), why),
        };
        [step.stage.to_string(), outcome, took, why]
    });
    output.table(["step", "outcome", "     µs", "why"], steps);

    print_token(facts, undecided.is_some(), output);
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
    if let Some(certificate) = &facts.certificate {
        print_certificate(certificate, output);
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
fn print_token(facts: &Facts, is_undecided: bool, output: &Output) {
    output.line("");
    output.paragraph(match facts.trust {
        Trust::Signed if is_undecided => "What the token says, which its issuer signed:",
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
    print_checks("proof", &proof.checks, output);
}

/// Whether the client presented the certificate that the token is bound to.
fn print_certificate(certificate: &CertificateFacts, output: &Output) {
    output.line("");
    print_checks("certificate", &certificate.checks, output);
}

fn print_checks(of: &str, checks: &[SenderCheck], output: &Output) {
    let rows = checks.iter().map(|check| {
        let SenderCheck { check, needs, has, met, .. } = check;
        let has = match (has, *check) {
            (Some(has), _) => shortened(has),
            (None, "use") => "not asked: nothing is used here".to_owned(),
            (None, _) => "nothing".to_owned(),
        };
        [(*check).to_owned(), shown_met(*met).to_owned(), shortened(needs), has]
    });
    output.table([of, "met", "what it takes", "what came"], rows);
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
