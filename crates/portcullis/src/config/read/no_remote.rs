//! In the place of `remote` where the feature is off: its keys are told what they need.
use crate::config::fault::Problem;
use crate::config::locate::IssuerSite;
use crate::config::reader::{Faults, Table, Value};
use crate::policy::{Issuer, Keys, WantsAlgorithms};

/// Where an issuer's keys may come from.
pub(super) const ORIGINS: &[&str] = &["jwks_file", "pem_file", "secrets"];

/// There are none.
pub(super) enum PlainHosts {}

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

pub(super) fn take_identity(table: &mut Table, faults: &mut Faults) -> Option<Value> {
    let (id, template) = (table.take("id"), table.take("template"));
    if id.is_none() && template.is_none() {
        faults.add(table.at("id"), Problem::Missing);
    }
    refuse(template, faults);
    id
}

pub(super) fn issuer(site: &IssuerSite) -> Issuer<WantsAlgorithms> {
    Issuer::new(site.name.as_str())
}

/// Gives nothing where no keys are to be fetched.
pub(super) fn read_keys(
    table: &mut Table,
    _: Option<PlainHosts>,
    _: &mut IssuerSite,
    faults: &mut Faults,
) -> Option<Keys> {
    let values = KEYS.map(|key| table.take(key));
    let is_asked_for = values[..2].iter().any(Option::is_some);
    for value in values {
        refuse(value, faults);
    }
    is_asked_for.then(Keys::default)
}

pub(super) fn read_plain_hosts(value: Option<Value>, faults: &mut Faults) -> Option<PlainHosts> {
    refuse(value, faults);
    None
}

pub(super) fn read_tenant_bounds(
    table: &mut Table,
    issuer: Issuer,
    _: &IssuerSite,
    faults: &mut Faults,
) -> Issuer {
    refuse(table.take("max_tenants"), faults);
    refuse(table.take("known_tenants"), faults);
    refuse(table.take("tenant_burst"), faults);
    refuse(table.take("tenant_interval"), faults);
    issuer
}

fn refuse(value: Option<Value>, faults: &mut Faults) {
    if let Some(value) = value {
        faults.add(value.place, Problem::NeedsFeature { feature: "remote-jwks" });
    }
}
