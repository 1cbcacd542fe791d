//! One issuer: its name, whom its tokens are for, and how it signs.
use std::path::Path;

use super::claims::{read_claims, read_lifetime};
use super::keys::read_keys;
use super::scalar::{is_on, read_strings};
use super::{mistaken_key, remote};
use crate::claims::TokenType;
use crate::config::fault::Problem;
use crate::config::locate::{IssuerSite, Sites};
use crate::config::reader::{Faults, Table, Value};
use crate::policy::{Fault, Issuer};
use crate::signature::Algorithm;

/// Gives an issuer even where it misses something, so that its other faults are found too. What is
/// missing is noted: no policy is made of it.
pub(super) fn read_issuer(
    value: Value,
    base: &Path,
    sites: &mut Sites,
    faults: &mut Faults,
) -> Option<Issuer> {
    let mut table = value.table("a table", faults)?;
    let (name, identity) = read_identity(&mut table, sites, faults);
    let mut site =
        IssuerSite { name, identity, place: table.place.clone(), ..IssuerSite::default() };
    let algorithms =
        table.require("algorithms", faults).map(|value| read_algorithms(value, faults));
    let (mut lifetime, mut plain_hosts) = (None, None);
    let dangerous = table.take("dangerous").and_then(|value| value.table("a table", faults));
    if let Some(mut table) = dangerous {
        lifetime = read_lifetime(&mut table, faults);
        plain_hosts = remote::read_plain_hosts(table.take("allow_http"), faults);
        table.finish(faults);
    }
    let keys = table.require("keys", faults).and_then(|value| {
        value.table("a table: { jwks_file = \"…\" }, or with another origin of keys", faults)
    });
    let keys = keys.map(|table| read_keys(table, plain_hosts, base, &mut site, faults));
    let issuer = remote::issuer(&site)
        .algorithms(algorithms.unwrap_or_default())
        .keys(keys.unwrap_or_default());

    let audiences = table.take("audiences");
    let clients = table.take("client_ids_instead_of_audience");
    site.by_client = audiences.is_none() && clients.is_some();
    let names = match (audiences, clients) {
        (Some(value), other) => {
            if let Some(other) = other {
                faults.add(other.place, Problem::Conflict { with: value.place.clone() });
            }
            value.strings("a list of audiences: [\"https://api.example\"]", faults)
        }
        (None, Some(value)) => value.strings("a list of client ids", faults),
        (None, None) => {
            let keys = &["audiences", "client_ids_instead_of_audience"];
            faults.add(table.place.as_str(), Problem::MissingOneOf { keys });
            None
        }
    };
    // What is no list was noted: not to be told of as an empty list too.
    let names = names.map_or_else(
        || vec![table.place.clone()],
        |names| names.into_iter().map(|(_, name)| name).collect(),
    );
    let mut issuer = if site.by_client {
        issuer.client_ids_instead_of_audience(names)
    } else {
        issuer.audiences(names)
    };

    if let Some(types) = table.take("token_type").and_then(|value| read_types(value, faults)) {
        issuer = issuer.token_types(types);
    }
    if is_on(table.take("require_key_id"), faults) {
        issuer = issuer.require_key_id();
    }
    if is_on(table.take("numeric_ids"), faults) {
        issuer = issuer.numeric_ids();
    }
    if let Some(names) = read_strings(table.take("scope_claims"), "a list of claims", faults) {
        issuer = issuer.scope_claims(names);
    }
    issuer = remote::read_tenant_bounds(&mut table, issuer, &site, faults);
    issuer = issuer.claims(read_claims(table.take("claims"), lifetime, faults));
    sites.issuers.push(site);
    table.finish_with(faults, mistaken_key);
    Some(issuer)
}

/// A name that no other issuer has, and the place where it stands. Where it is missing, empty or
/// taken, which is noted, the place of the issuer does instead.
fn read_identity(table: &mut Table, sites: &Sites, faults: &mut Faults) -> (String, String) {
    let own = table.place.clone();
    let Some(value) = remote::take_identity(table, faults) else { return (own.clone(), own) };
    let place = value.place.clone();
    let Some(name) = value.string("a string: what stands in `iss`", faults) else {
        return (own, place);
    };
    let fault = if name.is_empty() {
        Fault::EmptyIssuer
    } else if sites.issuers.iter().any(|other| other.name == name) {
        Fault::DuplicateIssuer { issuer: name }
    } else {
        return (name, place);
    };
    faults.add(place.as_str(), Problem::Policy(fault));
    (own, place)
}

fn read_algorithms(value: Value, faults: &mut Faults) -> Vec<Algorithm> {
    let names = value.strings("a list of algorithms: [\"ES256\"]", faults);
    let algorithms = names.into_iter().flatten().filter_map(|(place, name)| {
        let algorithm = name.parse().ok();
        if algorithm.is_none() {
            faults.add(place, Problem::UnknownAlgorithm { name });
        }
        algorithm
    });
    algorithms.collect()
}

fn read_types(value: Value, faults: &mut Faults) -> Option<Vec<TokenType>> {
    const NAMES: &[&str] = &["jwt", "at+jwt"];
    const TYPES: [TokenType; 2] = [TokenType::Jwt, TokenType::AccessToken];
    if value.is_string() {
        return value.one_of(NAMES, &TYPES, faults).map(|one| vec![one]);
    }
    let items = value.list("\"jwt\", \"at+jwt\", or a list of both", faults)?;
    Some(items.into_iter().filter_map(|item| item.one_of(NAMES, &TYPES, faults)).collect())
}
