//! Keys from an address: where they are, how they are fetched, and issuers that are made on demand.
use core::time::Duration;

use super::keys::PlainHosts;
use crate::config::fault::ConfigProblem;
use crate::config::place::IssuerSite;
use crate::config::reader::{Table, Value};
use crate::dangerous;
use crate::keys::remote::{RemoteJwks, RemoteJwksError, RemoteJwksOptions, Settings};
use crate::policy::{Issuer, Keys, PolicyFault, WantsAlgorithms};

/// Where an issuer's keys may come from.
pub(super) const ORIGINS: &[&str] = &["jwks_url", "discovery", "jwks_file", "pem_file", "secrets"];

/// Where they may be fetched from.
const FETCHED_FROM: &[&str] = &["jwks_url", "discovery"];

type Setter<T> = fn(RemoteJwksOptions, T) -> RemoteJwksOptions;
type ReadDuration = fn(&Value<'_>) -> Option<Duration>;

const WHOLE: ReadDuration = |value| value.duration();
const FINE: ReadDuration = |value| value.fine_duration();

/// Each with what reads it: those that may be less than a second may have parts of one.
const DURATIONS: [(&str, ReadDuration, Setter<Duration>); 10] = [
    ("fresh_for", WHOLE, RemoteJwksOptions::fresh_for),
    ("min_fresh", WHOLE, RemoteJwksOptions::min_fresh),
    ("max_fresh", WHOLE, RemoteJwksOptions::max_fresh),
    ("cool_down", WHOLE, RemoteJwksOptions::cool_down),
    ("max_wait", FINE, RemoteJwksOptions::max_wait),
    ("first_retry", FINE, RemoteJwksOptions::first_retry),
    ("max_retry", FINE, RemoteJwksOptions::max_retry),
    ("max_stale", WHOLE, RemoteJwksOptions::max_stale),
    ("connect_timeout", FINE, RemoteJwksOptions::connect_timeout),
    ("timeout", FINE, RemoteJwksOptions::timeout),
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

/// What names an issuer, or many.
pub(super) fn take_identity<'d>(table: &mut Table<'d>) -> Option<Value<'d>> {
    let (id, template) = (table.take("id"), table.take("template"));
    match (&id, &template) {
        (Some(id), Some(template)) => template.refuse_beside(id),
        (None, None) => table.refuse(ConfigProblem::MissingOneOf { keys: &["id", "template"] }),
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
    table: &mut Table<'_>,
    plain_hosts: Option<PlainHosts<'_>>,
    site: &mut IssuerSite,
) -> Option<Keys> {
    let url = table.take("jwks_url");
    // Whether it is on, where that can be said; off is as good as not there.
    let discovery = table.take("discovery").map(|value| (value.boolean(), value));
    let discovery = discovery.filter(|(is_on, _)| *is_on != Some(false));
    if let (Some(url), Some((Some(_), discovery))) = (&url, &discovery) {
        discovery.refuse_beside(url);
    }
    let is_asked_for = url.is_some() || discovery.is_some();
    site.is_discovered = url.is_none();
    let options = match url {
        Some(url) => url.string("the address of a JWK set: \"https://…\"").map(RemoteJwks::url),
        None => discovery.and_then(|(is_on, _)| is_on).map(|_| RemoteJwks::discovery()),
    };
    let settings = read_settings(table, is_asked_for, site);
    if let Some((unused, _)) = plain_hosts.as_ref().filter(|_| !is_asked_for) {
        unused.refuse(ConfigProblem::NeedsOneOf { keys: &["keys.jwks_url", "keys.discovery"] });
    }
    let hosts = plain_hosts.into_iter().flat_map(|(_, hosts)| hosts).map(dangerous::allow_http);
    let options = options.map(|mut options| {
        options.settings = settings;
        hosts.fold(options, RemoteJwksOptions::allow_http)
    });
    is_asked_for.then(|| options.map(Keys::from).unwrap_or_default())
}

fn read_settings(table: &mut Table<'_>, is_asked_for: bool, site: &IssuerSite) -> Settings {
    let mut take = |key| {
        let value = table.take(key)?;
        if !is_asked_for {
            value.refuse(ConfigProblem::NeedsOneOf { keys: FETCHED_FROM });
        }
        Some(value)
    };
    // Of an address that is fit: what is at fault with these are settings.
    let mut options = RemoteJwks::url("https://localhost");
    for (key, read, set) in DURATIONS {
        if let Some(duration) = take(key).and_then(|value| read(&value)) {
            options = set(options, duration);
        }
    }
    for (key, set) in NUMBERS {
        if let Some(number) = take(key).and_then(|value| value.integer("a number")) {
            options = set(options, number.try_into().unwrap_or(usize::MAX));
        }
    }
    let proxy = take("proxy")
        .and_then(|value| value.string("the address of a proxy: \"http://proxy.internal:3128\""));
    if let Some(proxy) = proxy {
        options = options.proxy(proxy);
    }
    match take("same_origin").and_then(|value| value.boolean()) {
        Some(true) => options = options.same_origin(),
        // Of a single issuer, that is so anyway.
        Some(false) if site.is_template() => options = options.any_origin(),
        Some(false) | None => {}
    }
    if let Some(value) = take("load_at_start").filter(Value::is_on) {
        if site.is_template() {
            // Of issuers that are not known yet, there is nothing to load.
            value.refuse(ConfigProblem::Conflict { with: site.identity.clone() });
        } else {
            options = options.load_at_start();
        }
    }
    within_bounds(options, table, site)
}

/// Gives the defaults in the place of settings of which one is out of its bounds, so that building
/// finds what else there is.
fn within_bounds(options: RemoteJwksOptions, table: &Table<'_>, site: &IssuerSite) -> Settings {
    let Err(RemoteJwksError::Settings(found)) = options.check(&site.name) else {
        return options.settings;
    };
    for fault in &found {
        let follows = bound_of(fault.setting).is_some_and(|bound| {
            found.iter().any(|other| other.setting == bound) || table.has_faults_at(bound)
        });
        if !follows {
            let error = RemoteJwksError::Settings(vec![*fault]);
            let of_policy = PolicyFault::RemoteKeys { issuer: site.name.clone(), error };
            table.refuse_at(fault.setting, ConfigProblem::Policy(of_policy));
        }
    }
    Settings::default()
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

pub(super) fn read_plain_hosts(value: Value<'_>) -> Option<PlainHosts<'_>> {
    let hosts = value.strings("a list of hosts: [\"keycloak\"]").unwrap_or_default();
    Some((value, hosts))
}

pub(super) fn read_tenant_bounds(
    table: &mut Table<'_>,
    mut issuer: Issuer,
    site: &IssuerSite,
) -> Issuer {
    let mut take = |key| {
        let value = table.take(key)?;
        if !site.is_template() {
            value.refuse(ConfigProblem::Needs { key: "template" });
        }
        Some(value)
    };
    if let Some(value) = take("max_tenants") {
        match value.integer("a number").map(usize::try_from) {
            Some(Ok(tenants)) => issuer = issuer.max_tenants(tenants),
            Some(Err(_)) => value.refuse(ConfigProblem::OutOfRange { expected: "1 or more" }),
            None => {}
        }
    }
    let known = take("known_tenants").and_then(|value| {
        value.strings("a list of issuers as they stand in `iss`: [\"https://id.example/acme\"]")
    });
    if let Some(known) = known {
        issuer = issuer.known_tenants(known);
    }
    if let Some(burst) = take("tenant_burst").and_then(|value| value.integer("a number")) {
        // What the type cannot hold is out of bounds, as is zero.
        issuer = issuer.tenant_burst(burst.try_into().unwrap_or(0));
    }
    match take("tenant_interval").and_then(|value| value.fine_duration()) {
        Some(interval) => issuer.tenant_interval(interval),
        None => issuer,
    }
}
