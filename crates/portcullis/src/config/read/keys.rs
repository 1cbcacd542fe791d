//! Where an issuer's keys come from: files, shared secrets, addresses.
use core::cell::Cell;

use super::{mistaken_key, remote};
use crate::config::fault::ConfigProblem;
use crate::config::place::IssuerSite;
use crate::config::reader::{Table, Value};
use crate::keys::{Encoding, KeyFile, Secret};
use crate::policy::{Keys, PolicyFault};
use crate::signature::Algorithm;

/// Hosts whose keys are fetched without TLS, and where they are named.
pub(super) type PlainHosts<'d> = (Value<'d>, Vec<&'d str>);

pub(super) fn read_keys(
    mut table: Table<'_>,
    plain_hosts: Option<PlainHosts<'_>>,
    site: &mut IssuerSite,
) -> Keys {
    let fetched = remote::read_keys(&mut table, plain_hosts, site);
    let [jwks_file, pem_file, secrets] =
        ["jwks_file", "pem_file", "secrets"].map(|key| table.take(key));
    // What is told of a secret that stands in the policy is enough.
    let has_literal = ["secret", "password"].iter().any(|key| table.has_text(key));
    let is_nowhere = fetched.is_none() && jwks_file.is_none() && pem_file.is_none();
    if is_nowhere && secrets.is_none() && !has_literal {
        table.refuse(ConfigProblem::MissingOneOf { keys: remote::ORIGINS });
    }
    let key_id = table.take("key_id");
    if let Some(key_id) = key_id.as_ref().filter(|_| pem_file.is_none()) {
        key_id.refuse(ConfigProblem::Needs { key: "pem_file" });
    }
    let key_id = key_id.and_then(|value| value.string("a string: what stands in `kid`"));

    let jwks_file = jwks_file.and_then(|value| Some((KeyFile::jwks(value.path()?), value)));
    let pem_file = pem_file.and_then(|value| {
        let file = KeyFile::pem(value.path()?);
        let file = match key_id {
            Some(id) => file.key_id(id),
            None => file,
        };
        Some((file, value))
    });
    let mut keys = fetched.unwrap_or_default();
    for (file, value) in [jwks_file, pem_file].into_iter().flatten() {
        match file.open() {
            Ok(file) => keys = keys.and(file),
            Err(error) => {
                let issuer = site.name.clone();
                value.refuse(ConfigProblem::Policy(PolicyFault::KeyFile { issuer, error }));
            }
        }
    }
    for value in secrets.and_then(|value| list_secrets(&value)).into_iter().flatten() {
        if let Some(secret) = read_secret(&value) {
            site.secrets.push((secret.label(), value.place));
            keys = keys.and(secret);
        }
    }
    table.finish_with(mistaken_key);
    keys
}

fn list_secrets<'d>(value: &Value<'d>) -> Option<Vec<Value<'d>>> {
    if value.is_string() {
        value.refuse(ConfigProblem::LiteralSecret);
        return None;
    }
    value.list("a list of tables: [{ file = \"…\" }]")
}

/// Gives no secret where something about it is so unclear that a further check would mislead.
fn read_secret(value: &Value<'_>) -> Option<Secret> {
    if value.is_string() {
        value.refuse(ConfigProblem::LiteralSecret);
        return None;
    }
    let mut table = value.table("a table: { file = \"…\" } or { env = \"…\" }")?;
    let (file, env) = (table.take("file"), table.take("env"));
    let encoding = match table.take("encoding") {
        None => Some(Encoding::Raw),
        Some(value) => value.one_of(
            &["raw", "base64url", "hex"],
            &[Encoding::Raw, Encoding::Base64url, Encoding::Hex],
        ),
    };
    let id = table.string("id", "a string");
    let algorithm = table.take("algorithm").map(|value| {
        value.one_of(
            &["HS256", "HS384", "HS512"],
            &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
        )
    });
    let accept_until = table.take("accept_until").and_then(|value| value.time());
    let is_literal = Cell::new(false);
    table.finish_with(|_, value, nearest| {
        (value.is_string() && nearest.is_none()).then(|| {
            is_literal.set(true);
            ConfigProblem::LiteralSecret
        })
    });

    let mut secret = match (file, env) {
        (Some(file), None) => Secret::file(file.path()?, encoding?),
        (None, Some(env)) => Secret::env(read_variable(&env)?, encoding?),
        (Some(file), Some(env)) => {
            env.refuse_beside(&file);
            return None;
        }
        (None, None) => {
            if !is_literal.get() {
                value.refuse(ConfigProblem::MissingOneOf { keys: &["file", "env"] });
            }
            return None;
        }
    };
    if let Some(id) = id {
        secret = secret.id(id);
    }
    if let Some(algorithm) = algorithm {
        secret = secret.algorithm(algorithm?);
    }
    if let Some(end) = accept_until {
        secret = secret.accept_until(end);
    }
    Some(secret)
}

/// POSIX.1 §8.1, lower case too. A secret in the place of its variable's name is mostly none.
fn read_variable<'d>(value: &Value<'d>) -> Option<&'d str> {
    let name = value.string("the name of an environment variable")?;
    let is_variable = !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_variable {
        value.refuse(ConfigProblem::EnvironmentName);
    }
    is_variable.then_some(name)
}
