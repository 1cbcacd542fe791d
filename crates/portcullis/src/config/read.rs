//! Makes a policy's settings of a tree: which keys there are, and what each may say.
use core::cell::Cell;
use core::time::Duration;
use std::path::Path;

use jiff::Timestamp;
use jiff::civil;
use jiff::fmt::friendly::SpanParser;

use super::fault::{ConfigError, Problem};
use super::node::{Lines, Node};
use super::remote::{self, PlainHosts};
use super::sites::{IssuerSite, Sites};
use super::table::{Faults, Table, Value};
use crate::claims::{ClaimRules, ClaimValue, MaxLifetime, TokenType};
use crate::dangerous;
use crate::keys::{Encoding, KeyFile, Secret};
use crate::policy::{Fault, Issuer, Keys, Policy, PolicyBuilder};
use crate::presentation::Presentation;
use crate::rules::BadCookie;
use crate::signature::Algorithm;
use crate::source::{CookieError, SameSite, TokenCookie, TokenSource};
use crate::time::UnixTime;

/// The keys of the top level.
pub(super) const TOP_LEVEL: [&str; 13] = [
    "issuer",
    "claims",
    "sources",
    "prefer_header",
    "allowed_origins",
    "bad_cookie",
    "token_limit",
    "header_limit",
    "token_cache",
    "refuse_brought_keys",
    "allow_anonymous",
    "presentation",
    "dangerous",
];

/// What was read: a builder, where its settings came from, and what is wrong so far.
pub(super) struct Settings {
    builder: PolicyBuilder,
    sites: Sites,
    faults: Faults,
}

impl Settings {
    pub(super) fn read(root: Node, lines: Lines, base: &Path) -> Self {
        let mut settings = Self {
            builder: Policy::builder(),
            sites: Sites::default(),
            faults: Faults::new(lines),
        };
        if let Some(top) = Value::root(root).table("a table", &mut settings.faults) {
            settings.read_top(top, base);
        }
        settings
    }

    pub(super) fn into_builder(self) -> Result<PolicyBuilder, ConfigError> {
        let Self { builder, sites, mut faults } = self;
        if faults.is_empty() {
            return Ok(builder);
        }
        // Refused either way: say all that can be said, but for what the caller could still add.
        if let Err(refused) = builder.build() {
            sites.add(
                refused.faults().iter().filter(|fault| **fault != Fault::NoIssuer),
                &mut faults,
            );
        }
        Err(faults.into_error())
    }

    /// `finish` adds what data cannot say.
    pub(super) fn build(
        self,
        finish: impl FnOnce(PolicyBuilder) -> PolicyBuilder,
    ) -> Result<Policy, ConfigError> {
        let Self { builder, sites, mut faults } = self;
        match finish(builder).build() {
            Ok(policy) if faults.is_empty() => Ok(policy),
            Ok(_) => Err(faults.into_error()),
            Err(refused) => {
                sites.add(refused.faults(), &mut faults);
                Err(faults.into_error())
            }
        }
    }

    fn read_top(&mut self, mut top: Table, base: &Path) {
        let Self { sites, faults, .. } = self;
        let mut builder = Policy::builder();

        let issuers = top
            .take("issuer")
            .and_then(|value| value.list("a list of tables, each under `[[issuer]]`", faults));
        for value in issuers.into_iter().flatten() {
            if let Some(issuer) = read_issuer(value, base, sites, faults) {
                builder = builder.issuer(issuer);
            }
        }

        let dangerous = read_dangerous(top.take("dangerous"), faults);
        let claims = read_claims(top.take("claims"), dangerous.lifetime, faults);
        builder = builder.claims(claims);

        let sources = top.take("sources").and_then(|value| read_sources(value, faults));
        if sources.is_some() || !dangerous.sources.is_empty() {
            let mut sources =
                sources.unwrap_or_else(|| vec![(TokenSource::bearer(), top.at("sources"))]);
            sources.extend(dangerous.sources);
            sites.sources.clone_from(&sources);
            builder = builder.sources(sources.into_iter().map(|(source, _)| source));
        }

        if let Some(value) = top.take("allowed_origins") {
            let origins = value.strings("a list of origins: [\"https://app.example\"]", faults);
            sites.origins = origins.unwrap_or_default();
            builder =
                builder.allowed_origins(sites.origins.iter().map(|(_, origin)| origin.as_str()));
        }
        if let Some(value) = top.take("bad_cookie")
            && let Some(choice) = value.one_of(
                &["reject", "reject-and-clear", "anonymous"],
                &[BadCookie::Reject, BadCookie::RejectAndClear, BadCookie::Anonymous],
                faults,
            )
        {
            builder = builder.bad_cookie(choice);
        }
        if let Some(limit) =
            top.take("token_limit").and_then(|value| read_bytes(value, "1 to 65536 bytes", faults))
        {
            builder = builder.token_limit(limit);
        }
        if let Some(limit) =
            top.take("header_limit").and_then(|value| read_bytes(value, "1 to 16384 bytes", faults))
        {
            builder = builder.header_limit(limit);
        }
        if let Some(bytes) = top
            .take("token_cache")
            .and_then(|value| read_bytes(value, "0, or 1048576 to 1073741824 bytes", faults))
        {
            builder = builder.token_cache(bytes);
        }
        if is_on(top.take("prefer_header"), faults) {
            builder = builder.prefer_header();
        }
        if is_on(top.take("refuse_brought_keys"), faults) {
            builder = builder.refuse_brought_keys();
        }
        if is_on(top.take("allow_anonymous"), faults) {
            builder = builder.allow_anonymous();
        }
        if let Some(value) = top.take("presentation") {
            builder = builder.presentation(read_presentation(value, faults));
        }
        top.finish_with(faults, mistaken_key);
        self.builder = builder;
    }
}

/// Gives an issuer even where it misses something, so that its other faults are found too. What is
/// missing is noted: no policy is made of it.
fn read_issuer(
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

fn read_keys(
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

/// A key that nobody knows but whoever thinks that a secret could stand in a policy.
fn mistaken_key(key: &str, value: &Value, _: Option<&'static str>) -> Option<Problem> {
    let key = key.to_ascii_lowercase();
    let is_literal = value.is_string() && (key.contains("secret") || key.contains("password"));
    is_literal.then_some(Problem::LiteralSecret)
}

/// RFC 3339, fractions of a second dropped.
fn read_time(value: Value, faults: &mut Faults) -> Option<UnixTime> {
    let place = value.place.clone();
    let text = value.time("a date and time: 2026-12-31T00:00:00Z", faults)?;
    // In brackets stands the time zone of RFC 9557, which may contradict the offset.
    let time = if text.contains('[') { None } else { text.parse::<Timestamp>().ok() };
    match time {
        Some(time) => return Some(UnixTime(time.as_second())),
        None if text.parse::<civil::DateTime>().is_ok() && !text.contains('[') => {
            faults.add(place, Problem::NoOffset);
        }
        None => faults.add(place, Problem::Time),
    }
    None
}

fn read_claims(value: Option<Value>, lifetime: Lifetime, faults: &mut Faults) -> ClaimRules {
    let mut rules = ClaimRules::new();
    if let Some((_, limit)) = &lifetime {
        rules = rules.max_lifetime(*limit);
    }
    let Some(mut table) = value.and_then(|value| value.table("a table", faults)) else {
        return rules;
    };
    if let Some(leeway) = table.take("leeway").and_then(|value| read_duration(value, faults)) {
        rules = rules.leeway(leeway);
    }
    if let Some(value) = table.take("max_lifetime") {
        let place = value.place.clone();
        let limit = read_duration(value, faults);
        // Both would be a fault of the policy, too.
        match (lifetime, limit) {
            (Some((with, _)), _) => faults.add(place, Problem::Conflict { with }),
            (None, Some(limit)) => rules = rules.max_lifetime(limit),
            (None, None) => {}
        }
    }
    if let Some(limit) = table.take("max_age").and_then(|value| read_duration(value, faults)) {
        rules = rules.max_age(limit);
    }
    const NAMES: &str = "a list of claims: [\"sub\"]";
    let required = table.take("required").and_then(|value| value.strings(NAMES, faults));
    for (_, claim) in required.into_iter().flatten() {
        rules = rules.require(claim);
    }
    let forbidden = table.take("forbidden").and_then(|value| value.strings(NAMES, faults));
    for (_, claim) in forbidden.into_iter().flatten() {
        rules = rules.forbid(claim);
    }
    let exact = table.take("exact").and_then(|value| {
        value.table("a table of claims and their values: { token_use = \"access\" }", faults)
    });
    for (claim, value) in exact.into_iter().flat_map(Table::into_entries) {
        if let Some(value) = read_claim_value(value, faults) {
            rules = rules.exact(claim, value);
        }
    }
    let one_of = table.take("one_of").and_then(|value| {
        value.table("a table of claims and lists: { region = [\"eu\", \"us\"] }", faults)
    });
    for (claim, value) in one_of.into_iter().flat_map(Table::into_entries) {
        let place = value.place.clone();
        let Some(items) = value.list("a list of values: [\"eu\", \"us\"]", faults) else {
            continue;
        };
        if items.is_empty() {
            faults.add(place, Problem::Empty);
        }
        let values = items.into_iter().filter_map(|item| read_claim_value(item, faults));
        rules = rules.one_of(claim, values.collect::<Vec<_>>());
    }
    table.finish(faults);
    rules
}

fn read_claim_value(value: Value, faults: &mut Faults) -> Option<ClaimValue> {
    const EXPECTED: &str = "a string, an integer or a boolean";
    let place = value.place.clone();
    match value.into_node() {
        Node::String(text) => Some(text.into()),
        Node::Bool(value) => Some(value.into()),
        Node::Integer(number) => {
            let number = i64::try_from(number).ok();
            if number.is_none() {
                faults.add(place, Problem::OutOfRange { expected: "an integer of 64 bits" });
            }
            number.map(ClaimValue::from)
        }
        node => {
            faults.add(place, Problem::WrongType { expected: EXPECTED, found: node.kind() });
            None
        }
    }
}

pub(super) fn read_duration(value: Value, faults: &mut Faults) -> Option<Duration> {
    read_duration_in(value, Duration::from_secs(1), Problem::Duration, faults)
}

/// A duration that may have a part of a second.
#[cfg(feature = "remote-jwks")]
pub(super) fn read_fine_duration(value: Value, faults: &mut Faults) -> Option<Duration> {
    read_duration_in(value, Duration::from_millis(1), Problem::FineDuration, faults)
}

fn read_duration_in(
    value: Value,
    unit: Duration,
    otherwise: Problem,
    faults: &mut Faults,
) -> Option<Duration> {
    const PARSER: SpanParser = SpanParser::new();
    let place = value.place.clone();
    let text = value.string("a duration with its unit: \"15m\"", faults)?;
    let duration = PARSER.parse_unsigned_duration(&text).ok();
    let duration = duration.filter(|duration| duration.as_nanos() % unit.as_nanos() == 0);
    if duration.is_none() {
        faults.add(place, otherwise);
    }
    duration
}

/// Every source that can be read, and its place.
fn read_sources(value: Value, faults: &mut Faults) -> Option<Vec<(TokenSource, String)>> {
    let items = value.list("a list of sources: [\"bearer\"]", faults)?;
    let sources = items.into_iter().filter_map(|item| {
        let place = item.place.clone();
        Some((read_source(item, faults)?, place))
    });
    Some(sources.collect())
}

fn read_source(value: Value, faults: &mut Faults) -> Option<TokenSource> {
    if value.is_string() {
        return value.one_of(&["bearer"], &[()], faults).map(|()| TokenSource::bearer());
    }
    let expected =
        "\"bearer\", { cookie = \"…\" }, { header = \"…\" } or { websocket_protocol = \"…\" }";
    let mut table = value.table(expected, faults)?;
    let keys = &["cookie", "header", "websocket_protocol"];
    let [cookie, header, protocol] = keys.map(|key| table.take(key));
    let (prefix, same_site) = (table.take("prefix"), table.take("same_site"));
    for (value, needed, key) in [(&prefix, &header, "header"), (&same_site, &cookie, "cookie")] {
        if let Some(value) = value.as_ref().filter(|_| needed.is_none()) {
            faults.add(value.place.as_str(), Problem::Needs { key });
        }
    }
    let prefix = prefix.and_then(|value| value.string("a string", faults));
    let same_site = same_site.and_then(|value| read_same_site(value, faults));
    let source = match (cookie, header, protocol) {
        (Some(name), None, None) => {
            let source = name.string("the name of a cookie", faults).map(TokenSource::cookie);
            source.map(|source| same_site.into_iter().fold(source, TokenSource::with_same_site))
        }
        (None, Some(name), None) => {
            let source = name.string("the name of a header", faults).map(TokenSource::header);
            source.map(|source| prefix.into_iter().fold(source, TokenSource::with_prefix))
        }
        (None, None, Some(marker)) => {
            let marker = marker.string("the subprotocol before the token", faults);
            marker.map(TokenSource::websocket_protocol)
        }
        (None, None, None) => {
            faults.add(table.place.as_str(), Problem::MissingOneOf { keys });
            None
        }
        several => {
            let mut places = <[_; 3]>::from(several).into_iter().flatten().map(|one| one.place);
            if let (Some(with), Some(place)) = (places.next(), places.next()) {
                faults.add(place, Problem::Conflict { with });
            }
            None
        }
    };
    table.finish(faults);
    source
}

fn read_same_site(value: Value, faults: &mut Faults) -> Option<SameSite> {
    value.one_of(
        &["strict", "lax", "none"],
        &[SameSite::Strict, SameSite::Lax, SameSite::None],
        faults,
    )
}

/// A cookie of any name, which alone can have a path and a domain.
fn read_any_cookie(value: Value, faults: &mut Faults) -> Option<TokenSource> {
    const NAME: &str = "the name of a cookie";
    if value.is_string() {
        let place = value.place.clone();
        let name = value.string(NAME, faults)?;
        return checked(dangerous::cookie(name), place, faults).map(Into::into);
    }
    let mut table = value.table("the name of a cookie, or a table with its `name`", faults)?;
    let name = table.take("name");
    if name.is_none() {
        faults.add(table.at("name"), Problem::Missing);
    }
    let cookie = name.and_then(|value| {
        let place = value.place.clone();
        checked(dangerous::cookie(value.string(NAME, faults)?), place, faults)
    });
    let same_site = table.take("same_site").and_then(|value| read_same_site(value, faults));
    let mut attribute = |key, expected| {
        let value = table.take(key)?;
        Some((value.place.clone(), value.string(expected, faults)?))
    };
    let path = attribute("path", "a path: \"/api\"");
    let domain = attribute("domain", "the name of a domain: \"example.com\"");
    table.finish(faults);

    let mut cookie = cookie?.same_site(same_site.unwrap_or_default());
    if let Some((place, path)) = path {
        cookie = checked(cookie.path(path), place, faults)?;
    }
    if let Some((place, domain)) = domain {
        cookie = checked(cookie.domain(domain), place, faults)?;
    }
    Some(cookie.into())
}

fn checked(
    cookie: Result<TokenCookie, CookieError>,
    place: String,
    faults: &mut Faults,
) -> Option<TokenCookie> {
    cookie.map_err(|error| faults.add(place, Problem::Cookie(error))).ok()
}

#[derive(Default)]
struct Dangerous {
    lifetime: Lifetime,
    sources: Vec<(TokenSource, String)>,
}

fn read_dangerous(value: Option<Value>, faults: &mut Faults) -> Dangerous {
    let mut found = Dangerous::default();
    let Some(mut table) = value.and_then(|value| value.table("a table", faults)) else {
        return found;
    };
    found.lifetime = read_lifetime(&mut table, faults);
    if let Some(value) = table.take("query_parameter") {
        let place = value.place.clone();
        let name = value.string("the name of a query parameter", faults);
        found.sources.extend(name.map(|name| (dangerous::query(name), place)));
    }
    if let Some(value) = table.take("cookie") {
        let place = value.place.clone();
        found.sources.extend(read_any_cookie(value, faults).map(|source| (source, place)));
    }
    table.finish(faults);
    found
}

/// A bound on the lifetime that only `dangerous` may say, and its place.
type Lifetime = Option<(String, MaxLifetime)>;

fn read_lifetime(table: &mut Table, faults: &mut Faults) -> Lifetime {
    let place = table.at("unlimited_lifetime");
    let unlimited = is_on(table.take("unlimited_lifetime"), faults)
        .then(|| (place, dangerous::unlimited_lifetime()));
    let long = table.take("long_lifetime").and_then(|value| {
        let place = value.place.clone();
        Some((place, dangerous::long_lifetime(read_duration(value, faults)?)))
    });
    if let (Some((with, _)), Some((place, _))) = (&unlimited, &long) {
        faults.add(place.as_str(), Problem::Conflict { with: with.clone() });
    }
    unlimited.or(long)
}

fn read_bytes(value: Value, expected: &'static str, faults: &mut Faults) -> Option<usize> {
    let place = value.place.clone();
    let bytes = value.integer("a number of bytes", faults)?;
    let bytes = usize::try_from(bytes).ok();
    if bytes.is_none() {
        faults.add(place, Problem::OutOfRange { expected });
    }
    bytes
}

fn read_presentation(value: Value, faults: &mut Faults) -> Presentation {
    let mut presentation = Presentation::new();
    let Some(mut table) = value.table("a table", faults) else { return presentation };
    let mut text = |key| table.take(key)?.string("a string", faults);
    if let Some(realm) = text("realm") {
        presentation = presentation.realm(realm);
    }
    if let Some(url) = text("resource_metadata") {
        presentation = presentation.resource_metadata(url);
    }
    if let Some(base) = text("problem_base") {
        presentation = presentation.problem_base(base);
    }
    if let Some(scopes) = read_strings(table.take("scopes"), "a list of scopes", faults) {
        presentation = presentation.scopes(scopes);
    }
    if table.take("details").and_then(|value| value.boolean(faults)) == Some(false) {
        presentation = presentation.without_details();
    }
    table.finish(faults);
    presentation
}

fn read_strings(
    value: Option<Value>,
    expected: &'static str,
    faults: &mut Faults,
) -> Option<Vec<String>> {
    let strings = value?.strings(expected, faults)?;
    Some(strings.into_iter().map(|(_, text)| text).collect())
}

pub(super) fn is_on(value: Option<Value>, faults: &mut Faults) -> bool {
    value.and_then(|value| value.boolean(faults)).unwrap_or(false)
}
