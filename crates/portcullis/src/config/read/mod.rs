//! Makes a policy's settings of a tree: which keys there are, and what each may say.
mod claims;
mod issuer;
mod keys;
#[cfg_attr(not(feature = "remote-jwks"), path = "no_remote.rs")]
mod remote;
mod scalar;
mod source;

use std::path::Path;

use self::claims::{Lifetime, read_claims, read_lifetime};
use self::issuer::read_issuer;
use self::scalar::{is_on, read_bytes, read_strings};
use self::source::{read_any_cookie, read_sources};
use super::fault::{ConfigError, Problem};
use super::locate::Sites;
use super::node::{Lines, Node};
use super::reader::{Faults, Table, Value};
use crate::dangerous;
use crate::policy::{Fault, Policy, PolicyBuilder};
use crate::rules::BadCookie;
use crate::presentation::Presentation;
use crate::source::TokenSource;

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

/// A key that nobody knows but whoever thinks that a secret could stand in a policy.
fn mistaken_key(key: &str, value: &Value, _: Option<&'static str>) -> Option<Problem> {
    let key = key.to_ascii_lowercase();
    let is_literal = value.is_string() && (key.contains("secret") || key.contains("password"));
    is_literal.then_some(Problem::LiteralSecret)
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
