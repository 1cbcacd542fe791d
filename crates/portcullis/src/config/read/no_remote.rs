//! In the place of `remote` where the feature is off: its keys are told what they need.
use super::keys::PlainHosts;
use crate::config::fault::ConfigProblem;
use crate::config::place::IssuerSite;
use crate::config::reader::{Table, Value};
use crate::policy::{Issuer, Keys, WantsAlgorithms};

/// Where an issuer's keys may come from.
pub(super) const ORIGINS: &[&str] = &["jwks_file", "pem_file", "secrets"];

/// The keys of `issuer.keys` that need the feature. The first two say where keys are fetched from.
const KEYS: [&str; 20] = [
    "jwks_url",
    "discovery",
    "fresh_for",
    "min_fresh",
    "max_fresh",
    "refresh_at_percent",
    "cool_down",
    "max_wait",
    "max_waiting",
    "max_waiting_without_keys",
    "first_retry",
    "max_retry",
    "max_stale",
    "connect_timeout",
    "timeout",
    "max_bytes",
    "max_keys",
    "same_origin",
    "load_at_start",
    "proxy",
];

pub(super) fn take_identity<'d>(table: &mut Table<'d>) -> Option<Value<'d>> {
    let (id, template) = (table.take("id"), table.take("template"));
    if id.is_none() && template.is_none() {
        table.refuse_at("id", ConfigProblem::Missing);
    }
    refuse(template);
    id
}

pub(super) fn issuer(site: &IssuerSite) -> Issuer<WantsAlgorithms> {
    Issuer::new(site.name.as_str())
}

/// Gives nothing where no keys are to be fetched.
pub(super) fn read_keys(
    table: &mut Table<'_>,
    _: Option<PlainHosts<'_>>,
    _: &mut IssuerSite,
) -> Option<Keys> {
    let values = KEYS.map(|key| table.take(key));
    let is_asked_for = values[..2].iter().any(Option::is_some);
    values.into_iter().for_each(refuse);
    is_asked_for.then(Keys::default)
}

pub(super) fn read_plain_hosts(value: Value<'_>) -> Option<PlainHosts<'_>> {
    refuse(Some(value));
    None
}

pub(super) fn read_tenant_bounds(table: &mut Table<'_>, issuer: Issuer, _: &IssuerSite) -> Issuer {
    for key in ["max_tenants", "known_tenants", "tenant_burst", "tenant_interval"] {
        refuse(table.take(key));
    }
    issuer
}

fn refuse(value: Option<Value<'_>>) {
    if let Some(value) = value {
        value.refuse(ConfigProblem::NeedsFeature { feature: "remote-jwks" });
    }
}
