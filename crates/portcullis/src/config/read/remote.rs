//! Keys from an address: where they are, how they are fetched, and issuers that are made on demand.
use core::time::Duration;

use super::scalar::{is_on, read_duration, read_fine_duration};
use crate::config::fault::Problem;
use crate::config::locate::IssuerSite;
use crate::config::reader::{Faults, Table, Value};
use crate::dangerous;
use crate::keys::remote::{RemoteJwks, RemoteJwksError, RemoteJwksOptions, Settings};
use crate::policy::{Fault, Issuer, Keys, WantsAlgorithms};

/// Where an issuer's keys may come from.
pub(super) const ORIGINS: &[&str] = &["jwks_url", "discovery", "jwks_file", "pem_file", "secrets"];

/// Where they may be fetched from.
const FETCHED_FROM: &[&str] = &["jwks_url", "discovery"];

type Setter<T> = fn(RemoteJwksOptions, T) -> RemoteJwksOptions;
type ReadDuration = fn(Value, &mut Faults) -> Option<Duration>;

/// Each with what reads it: those that may be less than a second may have parts of one.
const DURATIONS: [(&str, ReadDuration, Setter<Duration>); 10] = [
    ("fresh_for", read_duration, RemoteJwksOptions::fresh_for),
    ("min_fresh", read_duration, RemoteJwksOptions::min_fresh),
    ("max_fresh", read_duration, RemoteJwksOptions::max_fresh),
    ("cool_down", read_duration, RemoteJwksOptions::cool_down),
    ("max_wait", read_fine_duration, RemoteJwksOptions::max_wait),
    ("first_retry", read_fine_duration, RemoteJwksOptions::first_retry),
    ("max_retry", read_fine_duration, RemoteJwksOptions::max_retry),
    ("max_stale", read_duration, RemoteJwksOptions::max_stale),
    ("connect_timeout", read_fine_duration, RemoteJwksOptions::connect_timeout),
    ("timeout", read_fine_duration, RemoteJwksOptions::timeout),
];

/// The largest number of each type is out of bounds, and stands for all that the type cannot hold.
const NUMBERS: [(&str, Setter<usize>); 5] = [
    ("refresh_at_percent", |options, percent| {
        options.refresh_at_percent(percent.try_into().unwrap_or(u8::MAX))
    }),
    ("max_waiting", RemoteJwksOptions::max_waiting),
    ("max_waiting_without_keys", RemoteJwksOptions::max_waiting_without_keys),
    ("max_bytes", RemoteJwksOptions::max_bytes),
    ("max_keys", RemoteJwksOptions::max_keys),
];

/// Hosts whose keys are fetched without TLS.
pub(super) struct PlainHosts {
    place: String,
    hosts: Vec<String>,
}

/// What names an issuer, or many.
pub(super) fn take_identity(table: &mut Table, faults: &mut Faults) -> Option<Value> {
    let (id, template) = (table.take("id"), table.take("template"));
    match (&id, &template) {
        (Some(id), Some(template)) => {
            let with = id.place.clone();
            faults.add(template.place.as_str(), Problem::Conflict { with });
        }
        (None, None) => {
            let keys = &["id", "template"];
            faults.add(table.place.as_str(), Problem::MissingOneOf { keys });
        }
        _ => {}
    }
    // Were it the other, `max_tenants` would be told that it misses this.
    template.or(id)
}

pub(super) fn issuer(site: &IssuerSite) -> Issuer<WantsAlgorithms> {
    if site.is_template() {
        Issuer::template(site.name.as_str())
    } else {
        Issuer::new(site.name.as_str())
    }
}

/// Gives nothing where no keys are to be fetched, and no keys where it is unclear from where.
pub(super) fn read_keys(
    table: &mut Table,
    plain_hosts: Option<PlainHosts>,
    site: &mut IssuerSite,
    faults: &mut Faults,
) -> Option<Keys> {
    let url = table.take("jwks_url");
    // Whether it is on, where that can be said; off is as good as not there.
    let discovery =
        table.take("discovery").map(|value| (value.place.clone(), value.boolean(faults)));
    let discovery = discovery.filter(|(_, is_on)| *is_on != Some(false));
    if let (Some(url), Some((place, Some(_)))) = (&url, &discovery) {
        faults.add(place.as_str(), Problem::Conflict { with: url.place.clone() });
    }
    let is_asked_for = url.is_some() || discovery.is_some();
    site.is_discovered = url.is_none();
    let options = match url {
        Some(url) => {
            url.string("the address of a JWK set: \"https://…\"", faults).map(RemoteJwks::url)
        }
        None => discovery.and_then(|(_, is_on)| is_on).map(|_| RemoteJwks::discovery()),
    };
    let settings = read_settings(table, is_asked_for, site, faults);
    if let Some(unused) = plain_hosts.as_ref().filter(|_| !is_asked_for) {
        let keys = &["keys.jwks_url", "keys.discovery"];
        faults.add(unused.place.as_str(), Problem::NeedsOneOf { keys });
    }
    let hosts = plain_hosts.into_iter().flat_map(|plain| plain.hosts).map(dangerous::allow_http);
    let options = options.map(|mut options| {
        options.settings = settings;
        hosts.fold(options, RemoteJwksOptions::transport)
    });
    is_asked_for.then(|| options.map(Keys::from).unwrap_or_default())
}

/// Gives the defaults in the place of settings of which one is out of its bounds, so that building
/// finds what else there is.
fn read_settings(
    table: &mut Table,
    is_asked_for: bool,
    site: &IssuerSite,
    faults: &mut Faults,
) -> Settings {
    let mut take = |key, faults: &mut Faults| {
        let value = table.take(key)?;
        if !is_asked_for {
            faults.add(value.place.as_str(), Problem::NeedsOneOf { keys: FETCHED_FROM });
        }
        Some(value)
    };
    // Of an address that is fit: what is at fault with these are settings.
    let mut options = RemoteJwks::url("https://localhost");
    for (key, read, set) in DURATIONS {
        if let Some(duration) = take(key, faults).and_then(|value| read(value, faults)) {
            options = set(options, duration);
        }
    }
    for (key, set) in NUMBERS {
        let number = take(key, faults).and_then(|value| value.integer("a number", faults));
        if let Some(number) = number {
            options = set(options, number.try_into().unwrap_or(usize::MAX));
        }
    }
    let proxy = take("proxy", faults).and_then(|value| {
        value.string("the address of a proxy: \"http://proxy.internal:3128\"", faults)
    });
    if let Some(proxy) = proxy {
        options = options.proxy(proxy);
    }
    match take("same_origin", faults).and_then(|value| value.boolean(faults)) {
        Some(true) => options = options.same_origin(),
        // Of a single issuer, that is so anyway.
        Some(false) if site.is_template() => options = options.any_origin(),
        Some(false) | None => {}
    }
    let load_at_start = take("load_at_start", faults);
    let place = load_at_start.as_ref().map(|value| value.place.clone());
    if is_on(load_at_start, faults) {
        if site.is_template() {
            // Of issuers that are not known yet, there is nothing to load.
            faults
                .add(place.unwrap_or_default(), Problem::Conflict { with: site.identity.clone() });
        } else {
            options = options.load_at_start();
        }
    }
    match options.check(&site.name) {
        Err(RemoteJwksError::Settings(found)) => {
            for fault in &found {
                let follows = bound_of(fault.setting).is_some_and(|bound| {
                    found.iter().any(|other| other.setting == bound)
                        || faults.are_within(&table.at(bound))
                });
                if !follows {
                    let error = RemoteJwksError::Settings(vec![*fault]);
                    let fault_of_policy = Fault::RemoteKeys { issuer: site.name.clone(), error };
                    faults.add(table.at(fault.setting), Problem::Policy(fault_of_policy));
                }
            }
            Settings::default()
        }
        _ => options.settings,
    }
}

/// The setting that bounds another.
fn bound_of(setting: &str) -> Option<&'static str> {
    match setting {
        "min_fresh" => Some("max_fresh"),
        "max_retry" => Some("first_retry"),
        "max_stale" => Some("fresh_for"),
        _ => None,
    }
}

pub(super) fn read_plain_hosts(value: Option<Value>, faults: &mut Faults) -> Option<PlainHosts> {
    let value = value?;
    let place = value.place.clone();
    let hosts = value.strings("a list of hosts: [\"keycloak\"]", faults).unwrap_or_default();
    Some(PlainHosts { place, hosts: hosts.into_iter().map(|(_, host)| host).collect() })
}

pub(super) fn read_tenant_bounds(
    table: &mut Table,
    mut issuer: Issuer,
    site: &IssuerSite,
    faults: &mut Faults,
) -> Issuer {
    let mut take = |key, faults: &mut Faults| {
        let value = table.take(key)?;
        if !site.is_template() {
            faults.add(value.place.as_str(), Problem::Needs { key: "template" });
        }
        Some(value)
    };
    if let Some(value) = take("max_tenants", faults) {
        let place = value.place.clone();
        match value.integer("a number", faults).map(usize::try_from) {
            Some(Ok(tenants)) => issuer = issuer.max_tenants(tenants),
            Some(Err(_)) => faults.add(place, Problem::OutOfRange { expected: "1 or more" }),
            None => {}
        }
    }
    let known = take("known_tenants", faults);
    let expected = "a list of issuers as they stand in `iss`: [\"https://id.example/acme\"]";
    if let Some(known) = known.and_then(|value| value.strings(expected, faults)) {
        issuer = issuer.known_tenants(known.into_iter().map(|(_, id)| id));
    }
    if let Some(value) = take("tenant_burst", faults)
        && let Some(burst) = value.integer("a number", faults)
    {
        // What the type cannot hold is out of bounds, as is zero.
        issuer = issuer.tenant_burst(burst.try_into().unwrap_or(0));
    }
    let interval = take("tenant_interval", faults);
    match interval.and_then(|value| read_fine_duration(value, faults)) {
        Some(interval) => issuer.tenant_interval(interval),
        None => issuer,
    }
}
