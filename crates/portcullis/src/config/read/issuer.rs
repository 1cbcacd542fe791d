//! One issuer: its name, whom its tokens are for, and how it signs.
use super::claims::{Lifetime, read_claims, read_lifetime};
use super::keys::{PlainHosts, read_keys};
use super::{mistaken_key, remote};
use crate::claims::TokenType;
use crate::config::fault::ConfigProblem;
use crate::config::place::{IssuerSite, Sites};
use crate::config::reader::{Table, Value};
use crate::policy::{Issuer, PolicyFault, WantsAudience};
use crate::signature::Algorithm;

/// Gives an issuer even where it misses something, so that its other faults are found too. What is
/// missing is noted: no policy is made of it.
pub(super) fn read_issuer(value: &Value<'_>, sites: &mut Sites) -> Option<Issuer> {
    let mut table = value.table("a table")?;
    let (name, identity) = read_identity(&mut table, sites);
    let mut site =
        IssuerSite { name, identity, place: table.place.clone(), ..IssuerSite::default() };
    let algorithms = table.require("algorithms").map(|value| read_algorithms(&value));
    let (lifetime, plain_hosts) = read_dangerous(&mut table);
    let keys = table.require("keys").and_then(|value| {
        value.table("a table: { jwks_file = \"…\" }, or with another origin of keys")
    });
    let keys = keys.map(|table| read_keys(table, plain_hosts, &mut site));
    let issuer = remote::issuer(&site)
        .algorithms(algorithms.unwrap_or_default())
        .keys(keys.unwrap_or_default());
    let mut issuer = read_audiences(&mut table, issuer, &mut site);

    if let Some(types) = table.take("token_type").and_then(|value| read_types(&value)) {
        issuer = issuer.token_types(types);
    }
    if table.is_on("require_key_id") {
        issuer = issuer.require_key_id();
    }
    if table.is_on("numeric_ids") {
        issuer = issuer.numeric_ids();
    }
    if let Some(names) = table.strings("scope_claims", "a list of claims") {
        issuer = issuer.scope_claims(names);
    }
    issuer = remote::read_tenant_bounds(&mut table, issuer, &site);
    issuer = issuer.claims(read_claims(table.take("claims"), lifetime));
    sites.issuers.push(site);
    table.finish_with(mistaken_key);
    Some(issuer)
}

/// A name that no other issuer has, and the place where it stands. Where it is missing, empty or
/// taken, which is noted, the place of the issuer does instead.
fn read_identity(table: &mut Table<'_>, sites: &Sites) -> (String, String) {
    let own = table.place.clone();
    let Some(value) = remote::take_identity(table) else { return (own.clone(), own) };
    let Some(name) = value.string("a string: what stands in `iss`") else {
        return (own, value.place);
    };
    let fault = if name.is_empty() {
        PolicyFault::EmptyIssuer
    } else if sites.issuers.iter().any(|other| other.name == name) {
        PolicyFault::DuplicateIssuer { issuer: name.to_owned() }
    } else {
        return (name.to_owned(), value.place);
    };
    value.refuse(ConfigProblem::Policy(fault));
    (own, value.place)
}

pub(super) fn read_algorithms(value: &Value<'_>) -> Vec<Algorithm> {
    let names = value.placed_strings("a list of algorithms: [\"ES256\"]");
    let algorithms = names.into_iter().flatten().filter_map(|(value, name)| {
        let algorithm = name.parse().ok();
        if algorithm.is_none() {
            value.refuse(ConfigProblem::UnknownAlgorithm { name: name.to_owned() });
        }
        algorithm
    });
    algorithms.collect()
}

fn read_dangerous<'d>(table: &mut Table<'d>) -> (Lifetime<'d>, Option<PlainHosts<'d>>) {
    let dangerous = table.take("dangerous").and_then(|value| value.table("a table"));
    let Some(mut table) = dangerous else { return (None, None) };
    let lifetime = read_lifetime(&mut table);
    let plain_hosts = table.take("allow_http").and_then(remote::read_plain_hosts);
    table.finish();
    (lifetime, plain_hosts)
}

fn read_audiences(
    table: &mut Table<'_>,
    issuer: Issuer<WantsAudience>,
    site: &mut IssuerSite,
) -> Issuer {
    const KEYS: &[&str] = &["audiences", "client_ids_instead_of_audience"];
    let (audiences, clients) = (table.take(KEYS[0]), table.take(KEYS[1]));
    site.by_client = audiences.is_none() && clients.is_some();
    let names = match (&audiences, &clients) {
        (Some(audiences), clients) => {
            if let Some(clients) = clients {
                clients.refuse_beside(audiences);
            }
            audiences.strings("a list of audiences: [\"https://api.example\"]")
        }
        (None, Some(clients)) => clients.strings("a list of client ids"),
        (None, None) => {
            table.refuse(ConfigProblem::MissingOneOf { keys: KEYS });
            None
        }
    };
    // What is no list was noted: not to be told of as an empty list too.
    let names = names.unwrap_or_else(|| vec![table.place.as_str()]);
    if site.by_client {
        issuer.client_ids_instead_of_audience(names)
    } else {
        issuer.audiences(names)
    }
}

fn read_types(value: &Value<'_>) -> Option<Vec<TokenType>> {
    const NAMES: &[&str] = &["jwt", "at+jwt"];
    const TYPES: [TokenType; 2] = [TokenType::Jwt, TokenType::AccessToken];
    if value.is_string() {
        return value.one_of(NAMES, &TYPES).map(|one| vec![one]);
    }
    let items = value.list("\"jwt\", \"at+jwt\", or a list of both")?;
    Some(items.into_iter().filter_map(|item| item.one_of(NAMES, &TYPES)).collect())
}
