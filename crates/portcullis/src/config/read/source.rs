//! Where in a request a token may stand.
use crate::config::fault::Problem;
use crate::config::reader::{Faults, Value};
use crate::dangerous;
use crate::source::{CookieError, SameSite, TokenCookie, TokenSource};

/// Every source that can be read, and its place.
pub(super) fn read_sources(
    value: Value,
    faults: &mut Faults,
) -> Option<Vec<(TokenSource, String)>> {
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
pub(super) fn read_any_cookie(value: Value, faults: &mut Faults) -> Option<TokenSource> {
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
