//! Where an issuer's keys come from: files, shared secrets, addresses.
use core::cell::Cell;
use std::path::Path;

use super::mistaken_key;
use super::remote::{self, PlainHosts};
use super::scalar::read_time;
use crate::config::fault::Problem;
use crate::config::locate::IssuerSite;
use crate::config::reader::{Faults, Table, Value};
use crate::keys::{Encoding, KeyFile, Secret};
use crate::policy::{Fault, Keys};
use crate::signature::Algorithm;

pub(super) fn read_keys(
    mut table: Table,
    plain_hosts: Option<PlainHosts>,
    base: &Path,
    site: &mut IssuerSite,
    faults: &mut Faults,
) -> Keys {
    let path = |value: Option<Value>, faults: &mut Faults| {
        let value = value?;
        let place = value.place.clone();
        Some((place, base.join(value.string("the path of a file", faults)?)))
    };

    let fetched = remote::read_keys(&mut table, plain_hosts, site, faults);
    let jwks_file = table.take("jwks_file");
    let pem_file = table.take("pem_file");
    let listed = table.take("secrets");
    if fetched.is_none() && jwks_file.is_none() && pem_file.is_none() && listed.is_none() {
        let keys = remote::ORIGINS;
        faults.add(table.place.as_str(), Problem::MissingOneOf { keys });
    }
    let mut keys = fetched.unwrap_or_default();
    let key_id = table.take("key_id");
    if let Some(key_id) = key_id.as_ref().filter(|_| pem_file.is_none()) {
        faults.add(key_id.place.as_str(), Problem::Needs { key: "pem_file" });
    }
    let key_id = key_id.and_then(|value| value.string("a string: what stands in `kid`", faults));

    let jwks_file = path(jwks_file, faults).map(|(place, path)| (place, KeyFile::jwks(path)));
    let pem_file = path(pem_file, faults).map(|(place, path)| {
        let file = KeyFile::pem(path);
        (
            place,
            match key_id {
                Some(id) => file.key_id(id),
                None => file,
            },
        )
    });
    for (place, file) in [jwks_file, pem_file].into_iter().flatten() {
        match file.open() {
            Ok(file) => keys = keys.and(file),
            Err(error) => {
                let fault = Fault::KeyFile { issuer: site.name.clone(), error };
                faults.add(place, Problem::Policy(fault));
            }
        }
    }

    let listed = listed.and_then(|value| {
        if value.is_string() {
            faults.add(value.place, Problem::LiteralSecret);
            return None;
        }
        value.list("a list of tables: [{ file = \"…\" }]", faults)
    });
    for value in listed.into_iter().flatten() {
        let place = value.place.clone();
        if let Some(secret) = read_secret(value, base, faults) {
            site.secrets.push((secret.label(), place));
            keys = keys.and(secret);
        }
    }
    table.finish_with(faults, mistaken_key);
    keys
}

/// Gives no secret where something about it is so unclear that a further check would mislead.
fn read_secret(value: Value, base: &Path, faults: &mut Faults) -> Option<Secret> {
    if value.is_string() {
        faults.add(value.place, Problem::LiteralSecret);
        return None;
    }
    let mut table = value.table("a table: { file = \"…\" } or { env = \"…\" }", faults)?;
    let (file, env) = (table.take("file"), table.take("env"));
    let encoding = match table.take("encoding") {
        None => Some(Encoding::Raw),
        Some(value) => value.one_of(
            &["raw", "base64url", "hex"],
            &[Encoding::Raw, Encoding::Base64url, Encoding::Hex],
            faults,
        ),
    };
    let id = table.take("id").and_then(|value| value.string("a string", faults));
    let algorithm = table.take("algorithm").map(|value| {
        value.one_of(
            &["HS256", "HS384", "HS512"],
            &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
            faults,
        )
    });
    let accept_until = table.take("accept_until").and_then(|value| read_time(value, faults));
    let place = table.place.clone();
    let is_literal = Cell::new(false);
    table.finish_with(faults, |_, value, nearest| {
        (value.is_string() && nearest.is_none()).then(|| {
            is_literal.set(true);
            Problem::LiteralSecret
        })
    });

    let secret = match (file, env) {
        (Some(file), Some(env)) => {
            faults.add(env.place, Problem::Conflict { with: file.place });
            None
        }
        (Some(file), None) => {
            let path = file.string("the path of a file", faults)?;
            Some(Secret::file(base.join(path), encoding?))
        }
        (None, Some(env)) => {
            let place = env.place.clone();
            let name = env.string("the name of an environment variable", faults)?;
            if is_variable(&name) {
                Some(Secret::env(name, encoding?))
            } else {
                faults.add(place, Problem::EnvironmentName);
                None
            }
        }
        (None, None) => {
            if !is_literal.get() {
                faults.add(place, Problem::MissingOneOf { keys: &["file", "env"] });
            }
            None
        }
    };
    let mut secret = secret?;
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
fn is_variable(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
