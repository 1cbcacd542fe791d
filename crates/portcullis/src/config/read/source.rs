//! Where in a request a token may stand.
use crate::config::fault::ConfigProblem;
use crate::config::reader::Value;
use crate::dangerous;
use crate::source::{CookieError, SameSite, TokenCookie, TokenSource};

/// A source, and its place.
pub(super) type PlacedSource = (TokenSource, String);

/// Every source that can be read.
pub(super) fn read_sources(value: &Value<'_>) -> Option<Vec<PlacedSource>> {
    let items = value.list("a list of sources: [\"bearer\"]")?;
    Some(items.into_iter().filter_map(|item| Some((read_source(&item)?, item.place))).collect())
}

fn read_source(value: &Value<'_>) -> Option<TokenSource> {
    const KEYS: &[&str; 3] = &["cookie", "header", "websocket_protocol"];
    if value.is_string() {
        return value.one_of(&["bearer"], &[()]).map(|()| TokenSource::bearer());
    }
    let mut table = value.table(
        "\"bearer\", { cookie = \"…\" }, { header = \"…\" } or { websocket_protocol = \"…\" }",
    )?;
    let [cookie, header, protocol] = KEYS.map(|key| table.take(key));
    let (prefix, same_site) = (table.take("prefix"), table.take("same_site"));
    for (value, needed, key) in [(&prefix, &header, "header"), (&same_site, &cookie, "cookie")] {
        if let Some(value) = value.as_ref().filter(|_| needed.is_none()) {
            value.refuse(ConfigProblem::Needs { key });
        }
    }
    let prefix = prefix.and_then(|value| value.string("a string"));
    let same_site = same_site.and_then(|value| read_same_site(&value));
    let source = match (cookie, header, protocol) {
        (Some(name), None, None) => {
            let source = name.string("the name of a cookie").map(TokenSource::cookie);
            source.map(|source| same_site.into_iter().fold(source, TokenSource::with_same_site))
        }
        (None, Some(name), None) => {
            let source = name.string("the name of a header").map(TokenSource::header);
            source.map(|source| prefix.into_iter().fold(source, TokenSource::with_prefix))
        }
        (None, None, Some(marker)) => {
            marker.string("the subprotocol before the token").map(TokenSource::websocket_protocol)
        }
        (None, None, None) => {
            value.refuse(ConfigProblem::MissingOneOf { keys: KEYS });
            None
        }
        several => {
            let mut several = <[_; 3]>::from(several).into_iter().flatten();
            if let (Some(first), Some(second)) = (several.next(), several.next()) {
                second.refuse_beside(&first);
            }
            None
        }
    };
    table.finish();
    source
}

fn read_same_site(value: &Value<'_>) -> Option<SameSite> {
    value.one_of(&["strict", "lax", "none"], &[SameSite::Strict, SameSite::Lax, SameSite::None])
}

/// A cookie of any name, which alone can have a path and a domain.
pub(super) fn read_any_cookie(value: &Value<'_>) -> Option<TokenSource> {
    let named = |value: &Value<'_>| {
        let name = value.string("the name of a cookie")?;
        checked(dangerous::unprefixed_cookie(name), value)
    };
    if value.is_string() {
        return named(value).map(Into::into);
    }
    let mut table = value.table("the name of a cookie, or a table with its `name`")?;
    let cookie = table.require("name").and_then(|value| named(&value));
    let same_site = table.take("same_site").and_then(|value| read_same_site(&value));
    let mut attribute = |key, expected| {
        let value = table.take(key)?;
        Some((value.string(expected)?, value))
    };
    let path = attribute("path", "a path: \"/api\"");
    let domain = attribute("domain", "the name of a domain: \"example.com\"");
    table.finish();

    let mut cookie = cookie?.same_site(same_site.unwrap_or_default());
    if let Some((path, value)) = path {
        cookie = checked(cookie.path(path), &value)?;
    }
    if let Some((domain, value)) = domain {
        cookie = checked(cookie.domain(domain), &value)?;
    }
    Some(cookie.into())
}

fn checked(cookie: Result<TokenCookie, CookieError>, value: &Value<'_>) -> Option<TokenCookie> {
    cookie.map_err(|error| value.refuse(ConfigProblem::Cookie(error))).ok()
}
