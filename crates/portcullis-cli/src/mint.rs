//! Tokens for tests.
mod proof;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use portcullis::error::ClaimsError;
use portcullis::{Algorithm, Error, Policy, SystemClock};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer};
use serde_json::{Value, json};

use self::proof::{Binding, ProofOptions};
use crate::Exit;
use crate::output::{Failure, Output, shown};
use crate::time::{seconds, time};

const WARNING: &str = "FOR TESTS ONLY. Whoever has the folder can sign with its key. Never let anything important trust it.";

/// Make a token FOR TESTS ONLY, and a policy that accepts it.
///
/// Prints the token on standard output. With --policy-out, the private key is kept in that folder, where only its
/// owner can read it. Without it, the key is thrown away. Never let anything important trust this key.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The issuer of the token (`iss`)
    #[arg(long, value_name = "ISSUER", default_value = "https://id.example")]
    issuer: String,

    /// The service that the token is for (`aud`). Can be given more than once
    #[arg(long, value_name = "AUDIENCE", default_value = TestIssuer::AUDIENCE)]
    audience: Vec<String>,

    /// The user that the token is about (`sub`)
    #[arg(long, value_name = "SUBJECT", default_value = "alice")]
    subject: String,

    /// The algorithm that signs the token: ES256, RS256, EdDSA, ML-DSA-65, HS256 and others
    #[arg(long, value_name = "ALGORITHM", default_value = "ES256")]
    alg: Algorithm,

    /// How long the token is valid: 5m, 1h 30m, 30d. With a minus sign, it expired that long ago
    #[arg(long, value_name = "DURATION", default_value = "5m", allow_hyphen_values = true, value_parser = seconds)]
    expires_in: i64,

    /// A scope of the token (`scope`). Can be given more than once
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,

    /// Another claim. The value is JSON, or else text. Can be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = claim)]
    claim: Vec<(String, Value)>,

    /// The time at which the token is issued, as seconds since 1970 or as 2026-12-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<i64>,

    /// Write a policy that accepts the token into this folder, together with the keys. Files that are there stay as they
    /// are: the next token is signed with the same key
    #[arg(long, value_name = "FOLDER")]
    policy_out: Option<PathBuf>,

    #[command(flatten)]
    proof: ProofOptions,
}

fn claim(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("there is no `=`: write NAME=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

pub(crate) fn run(options: &Options, output: &Output) -> Result<Exit, Failure> {
    let mut issuer = TestIssuer::new(&options.issuer).clock(SystemClock);
    if let Some(at) = options.at {
        issuer = issuer.clock(FixedClock::at(at));
    }
    let key = match &options.policy_out {
        Some(folder) => {
            let name = format!("test-key-{}", options.alg.name().to_ascii_lowercase());
            key_at(&folder.join(name), options.alg)?
        }
        None => SigningKey::generate(options.alg),
    };
    let audience = match options.audience.as_slice() {
        [one] => Value::from(one.as_str()),
        several => json!(several),
    };
    // Only what is asked for is signed.
    let mut token = issuer.token(Algorithm::HS256).signed_by(&key).audience(audience);
    token = token.subject(&options.subject);
    if !options.scope.is_empty() {
        token = token.scope(options.scope.join(" "));
    }
    let now = options.at.unwrap_or_else(|| portcullis::Clock::now(&SystemClock).0);
    let end = now.saturating_add(options.expires_in);
    if options.expires_in <= 0 {
        token = token.claim("iat", end.saturating_sub(300));
    }
    token = token.expires_at(end);
    for (name, value) in &options.claim {
        token = token.claim(name, value.clone());
    }
    let binding = options.proof.binding(options.policy_out.as_deref())?;
    if let Some(binding) = &binding {
        token = binding.bind(token);
    }
    let token = token.mint();
    let proof = binding.as_ref().map(|binding| binding.proof(&issuer, &token)).transpose()?;
    let proof = proof.flatten();

    let policy = options.policy_out.as_ref().map(|folder| folder.join("policy.toml"));
    if let (Some(folder), Some(policy)) = (&options.policy_out, &policy) {
        write_policy(folder, policy, options, &key, binding.as_ref())?;
    }
    // Of one that cannot be read, others say why.
    let clock = options.at.map(FixedClock::at);
    let read = policy.as_ref().and_then(|path| crate::policy::read(path, clock).ok());
    let refused = read.as_ref().and_then(|policy| refusal(policy, &token));
    let described = read.map(|policy| policy.describe());
    let curl = binding.as_ref();
    let curl = curl.and_then(|one| one.curl(&token, proof.as_deref(), described.as_ref()));
    if output.json {
        let policy = policy.map(|path| path.display().to_string());
        let mut made = json!({ "token": token, "policy": policy, "warning": WARNING });
        if let Some(proof) = proof {
            made["proof"] = proof.into();
        }
        if let Some(curl) = curl {
            made["curl"] = curl.into();
        }
        output.made_json(&made);
        return Ok(Exit::Good);
    }
    // On standard output there is the token, or the request, and nothing else, for a pipe.
    output.made(curl.as_ref().unwrap_or(&token));
    match policy {
        Some(path) => {
            let name = shown(&path.display().to_string());
            // It was there before, and stayed as it was.
            let missing = binding.zip(described).map(|(binding, policy)| binding.missing_in(&policy));
            let end = match (refused, missing.unwrap_or_default().as_slice()) {
                (Some(error), _) => format!(
                    "The policy {name} refuses it: {}. Change the policy, or give another folder",
                    shown(&error.to_string())
                ),
                (None, []) => format!("The policy that accepts it: {name}"),
                (None, missing) => {
                    let names = missing.iter().map(|(table, _)| format!("`{table}`"));
                    let tables = missing.iter().map(|(table, line)| format!("{table} {line}"));
                    format!(
                        "The policy {name} was there, has no table {}, and refuses the token, which is bound. Add to it: {}",
                        names.collect::<Vec<_>>().join(" and no table "),
                        tables.collect::<Vec<_>>().join(" and ")
                    )
                }
            };
            output.remark(&format!("{WARNING} {end}"));
        }
        None => output.remark(
            "FOR TESTS ONLY. Its key was thrown away, so no policy accepts it. To keep the key and write a policy that accepts the token, give --policy-out FOLDER.",
        ),
    }
    Ok(Exit::Good)
}

/// Why a policy refuses the token, whoever sends it. `None`: it does not, or nobody can tell here.
fn refusal(policy: &Policy, token: &str) -> Option<Error> {
    policy.verify_token_now(token).err().filter(|error| {
        let is_of_sender = matches!(
            error,
            Error::Dpop(_) | Error::Certificate(_) | Error::Claims(ClaimsError::SenderConstrained)
        );
        !is_of_sender && !crate::policy::is_unavailable(error)
    })
}

/// The key in a file, made if it is not there.
fn key_at(path: &Path, algorithm: Algorithm) -> Result<SigningKey, Failure> {
    let fault = |path: &Path, error: &dyn core::fmt::Display| {
        Failure::fault(format!("{}: {error}", path.display()))
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(folder).map_err(|error| fault(folder, &error))?;
    if path.exists() {
        check_private(path)?;
        let content = fs::read(path).map_err(|error| fault(path, &error))?;
        let key = if is_hmac(algorithm) {
            Some(SigningKey::from_secret(algorithm, content))
        } else {
            SigningKey::from_private_der(algorithm, &content)
        };
        return key.ok_or_else(|| {
            fault(
                path,
                &"not a private key of this algorithm: remove the file, and a new key is made",
            )
        });
    }
    let mut key = SigningKey::generate(algorithm);
    if let Some(secret) = key.secret() {
        // Text, so that no byte of it is the newline that a file may end in.
        let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        key = SigningKey::from_secret(algorithm, text);
    }
    let content = key.private_der().or(key.secret().map(<[u8]>::to_vec)).unwrap_or_default();
    write_private(path, &content).map_err(|error| fault(path, &error))?;
    Ok(key)
}

/// A file that its owner alone can read, from the first byte on, and that was not there.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(content)
}

/// Who else can read the key of a folder can sign, and nobody knows of it.
fn check_private(path: &Path) -> Result<(), Failure> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let fault = |error: io::Error| Failure::fault(format!("{}: {error}", path.display()));
        let mode = fs::metadata(path).map_err(fault)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Failure::fault(format!(
                "{}: others can read this private key (its mode is {mode:03o}): remove the file, and a new key is made; or, if nobody else has the key, `chmod 600` it",
                path.display()
            )));
        }
    }
    Ok(())
}

fn is_hmac(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

/// A policy that accepts the token, unless there is one.
fn write_policy(
    folder: &Path,
    policy: &Path,
    options: &Options,
    key: &SigningKey,
    binding: Option<&Binding<'_>>,
) -> Result<(), Failure> {
    if policy.exists() {
        return Ok(());
    }
    let write = |path: &Path, text: &str| {
        fs::write(path, text)
            .map_err(|error| Failure::fault(format!("{}: {error}", path.display())))
    };
    let algorithm = options.alg.name();
    let keys = match key.public_jwk() {
        Some(jwk) => {
            let set = json!({ "keys": [jwk] });
            write(&folder.join("jwks.json"), &format!("{set:#}\n"))?;
            "{ jwks_file = \"jwks.json\" }".to_owned()
        }
        None => {
            let file = format!("test-key-{}", algorithm.to_ascii_lowercase());
            format!("{{ secrets = [{{ id = {:?}, file = {file:?} }}] }}", key.id())
        }
    };
    // A string of JSON is one of TOML.
    let (issuer, audiences) = (json!(options.issuer), json!(options.audience));
    let mut text = format!(
        "# For tests only: made by `portcullis mint`, beside the private key that it trusts.\n\
         [[issuer]]\n\
         id         = {issuer}\n\
         audiences  = {audiences}\n\
         algorithms = [\"{algorithm}\"]\n\
         keys       = {keys}\n\
         \n\
         [claims]\n\
         max_lifetime = \"1h\"\n"
    );
    for (table, line) in binding.map(Binding::tables).unwrap_or_default() {
        text.push_str(&format!("\n{table}\n{line}\n"));
    }
    write(policy, &text)
}
