//! Makes a policy's settings of a tree: which keys there are, and what each may say.
mod claims;
mod dpop;
mod issuer;
mod keys;
mod mtls;
#[cfg_attr(not(feature = "remote-jwks"), path = "no_remote.rs")]
mod remote;
mod scalar;
mod source;

use std::path::Path;

use self::claims::{Lifetime, read_claims, read_lifetime};
use self::dpop::read_dpop;
use self::issuer::read_issuer;
use self::mtls::read_mtls;
use self::source::{PlacedSource, read_any_cookie, read_sources};
use super::environment::Unfilled;
use super::fault::{ConfigError, ConfigProblem};
use super::lines::Lines;
use super::node::Node;
use super::place::Sites;
use super::reader::{Reader, Table, Value};
use super::stores::Stores;
use crate::dangerous;
use crate::policy::{Policy, PolicyBuilder, PolicyFault};
use crate::refusal::Presentation;
use crate::source::TokenSource;
use crate::verifier::BadCookie;

type Set<T> = fn(PolicyBuilder, T) -> PolicyBuilder;

/// Each with the numbers of bytes that it may be.
const LIMITS: [(&str, &str, Set<usize>); 3] = [
    ("token_limit", "1 to 65536 bytes", PolicyBuilder::token_limit),
    ("header_limit", "1 to 16384 bytes", PolicyBuilder::header_limit),
    ("token_cache", "0, or 1048576 to 1073741824 bytes", PolicyBuilder::token_cache),
];

/// A setter that takes nothing.
type Switch = fn(PolicyBuilder) -> PolicyBuilder;

const SWITCHES: [(&str, Switch); 3] = [
    ("prefer_header", PolicyBuilder::prefer_header),
    ("refuse_brought_keys", PolicyBuilder::refuse_brought_keys),
    ("allow_anonymous", PolicyBuilder::allow_anonymous),
];

/// What was read: a builder, where its settings came from, and what is wrong so far.
pub(super) struct Settings<'d> {
    builder: PolicyBuilder,
    sites: Sites,
    reader: Reader<'d>,
}

impl<'d> Settings<'d> {
    pub(super) fn read(
        root: &Node,
        lines: Lines,
        base: &'d Path,
        unfilled: Vec<Unfilled>,
        stores: &Stores,
    ) -> Self {
        let reader = Reader::new(lines, base);
        for (place, problem) in unfilled {
            reader.refuse(place, problem);
        }
        let mut sites = Sites::default();
        let top = reader.root(root).table("a table");
        let builder = top.map_or_else(Policy::builder, |top| read_top(top, stores, &mut sites));
        Self { builder, sites, reader }
    }

    pub(super) fn into_builder(self) -> Result<PolicyBuilder, ConfigError> {
        let Self { builder, sites, reader } = self;
        if !reader.has_faults() {
            return Ok(builder);
        }
        // Refused either way: say all that can be said, but for what the caller could still add.
        if let Err(refused) = builder.build() {
            let found = refused.faults().iter().filter(|fault| **fault != PolicyFault::NoIssuer);
            sites.refuse(found, &reader);
        }
        Err(reader.into_error())
    }

    /// `finish` adds what data cannot say.
    pub(super) fn build(
        self,
        finish: impl FnOnce(PolicyBuilder) -> PolicyBuilder,
    ) -> Result<Policy, ConfigError> {
        let Self { builder, sites, reader } = self;
        match finish(builder).build() {
            Ok(policy) if !reader.has_faults() => return Ok(policy),
            Ok(_) => {}
            Err(refused) => sites.refuse(refused.faults(), &reader),
        }
        Err(reader.into_error())
    }
}

fn read_top(mut top: Table<'_>, stores: &Stores, sites: &mut Sites) -> PolicyBuilder {
    let mut builder = Policy::builder();

    if let Some(name) = top.string("name", "a string") {
        builder = builder.name(name);
    }
    let issuers = top.take("issuer");
    let issuers = issuers.and_then(|value| value.list("a list of tables, each under `[[issuer]]`"));
    for value in issuers.into_iter().flatten() {
        if let Some(issuer) = read_issuer(&value, sites) {
            builder = builder.issuer(issuer);
        }
    }

    let dangerous = read_dangerous(top.take("dangerous"));
    builder = builder.claims(read_claims(top.take("claims"), dangerous.lifetime));

    let sources = top.take("sources").and_then(|value| read_sources(&value));
    if sources.is_some() || !dangerous.sources.is_empty() {
        sites.sources = sources.unwrap_or_else(|| vec![(TokenSource::bearer(), top.at("sources"))]);
        sites.sources.extend(dangerous.sources);
        builder = builder.sources(sites.sources.iter().map(|(source, _)| source.clone()));
    }

    let origins = top.take("allowed_origins");
    let origins = origins
        .and_then(|value| value.placed_strings("a list of origins: [\"https://app.example\"]"));
    for (value, origin) in origins.into_iter().flatten() {
        builder = builder.allowed_origins([origin]);
        sites.origins.push((value.place, origin.to_owned()));
    }

    let choice = top.take("bad_cookie").and_then(|value| {
        value.one_of(
            &["reject", "reject-and-clear", "anonymous"],
            &[BadCookie::Reject, BadCookie::RejectAndClear, BadCookie::Anonymous],
        )
    });
    if let Some(choice) = choice {
        builder = builder.bad_cookie(choice);
    }
    for (key, expected, set) in LIMITS {
        if let Some(bytes) = top.take(key).and_then(|value| value.bytes(expected)) {
            builder = set(builder, bytes);
        }
    }
    for (key, turn_on) in SWITCHES {
        if top.is_on(key) {
            builder = turn_on(builder);
        }
    }
    if let Some(value) = top.take("presentation") {
        builder = builder.presentation(read_presentation(&value));
    }
    let dpop = top.take("dpop").and_then(|value| read_dpop(&value, stores, sites));
    if let Some(dpop) = dpop {
        builder = builder.dpop(dpop);
    }
    let mtls = top.take("mtls").and_then(|value| read_mtls(&value, sites));
    if let Some(mtls) = mtls {
        builder = builder.mtls(mtls);
    }
    // For editors.
    let _ = top.string("$schema", "the address of a JSON Schema");
    top.finish_with(mistaken_key);
    builder
}

/// A key that nobody knows but whoever thinks that a secret could stand in a policy.
fn mistaken_key(key: &str, value: &Value<'_>, _: Option<&'static str>) -> Option<ConfigProblem> {
    let key = key.to_ascii_lowercase();
    let is_literal = value.is_string() && (key.contains("secret") || key.contains("password"));
    is_literal.then_some(ConfigProblem::LiteralSecret)
}

#[derive(Default)]
struct Dangerous<'d> {
    lifetime: Lifetime<'d>,
    sources: Vec<PlacedSource>,
}

fn read_dangerous(value: Option<Value<'_>>) -> Dangerous<'_> {
    let mut found = Dangerous::default();
    let Some(mut table) = value.and_then(|value| value.table("a table")) else { return found };
    found.lifetime = read_lifetime(&mut table);
    if let Some(value) = table.take("query_parameter") {
        let name = value.string("the name of a query parameter");
        found.sources.extend(name.map(|name| (dangerous::token_in_url(name), value.place)));
    }
    if let Some(value) = table.take("cookie") {
        found.sources.extend(read_any_cookie(&value).map(|source| (source, value.place)));
    }
    table.finish();
    found
}

fn read_presentation(value: &Value<'_>) -> Presentation {
    let mut presentation = Presentation::new();
    let Some(mut table) = value.table("a table") else { return presentation };
    if let Some(realm) = table.string("realm", "a string") {
        presentation = presentation.realm(realm);
    }
    if let Some(url) = table.string("resource_metadata", "a string") {
        presentation = presentation.resource_metadata(url);
    }
    if let Some(base) = table.string("problem_base", "a string") {
        presentation = presentation.problem_base(base);
    }
    if let Some(scopes) = table.strings("scopes", "a list of scopes") {
        presentation = presentation.scopes(scopes);
    }
    if table.take("details").and_then(|value| value.boolean()) == Some(false) {
        presentation = presentation.without_details();
    }
    table.finish();
    presentation
}
