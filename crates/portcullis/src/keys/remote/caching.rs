//! For how long an answer says that its keys are fresh.
use core::time::Duration;

use crate::fetch::{HttpResponse, seconds};

/// What an answer says about when to ask again (RFC 9111, RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Caching {
    /// `max-age` less `Age`.
    pub(super) max_age: Option<Duration>,
    /// `no-store` or `no-cache`.
    pub(super) no_store: bool,
}

impl Caching {
    /// Not by a library: `headers` has these, and brings SHA-1 and a second base64.
    pub(super) fn read(response: &HttpResponse) -> Self {
        let mut caching = Self::default();
        let fields =
            response.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case("cache-control"));
        for directive in fields.flat_map(|(_, value)| value.split(',')) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => caching.no_store = true,
                "max-age" => caching.max_age = caching.max_age.or(seconds(value)),
                _ => {}
            }
        }
        let age = response.header("age").and_then(seconds).unwrap_or_default();
        caching.max_age = caching.max_age.map(|max_age| max_age.saturating_sub(age));
        caching
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_counts_less_what_the_answer_has_aged() {
        for (headers, max_age) in [
            (&[][..], None),
            (&[("cache-control", "public")], None),
            (&[("cache-control", "max-age=300")], Some(300)),
            (&[("Cache-Control", "public, Max-Age=300, immutable")], Some(300)),
            (&[("cache-control", "max-age=\"300\"")], Some(300)),
            (&[("cache-control", "public"), ("cache-control", "max-age=300")], Some(300)),
            (&[("cache-control", "max-age=300, max-age=900")], Some(300)),
            (&[("cache-control", "max-age=300"), ("age", "100")], Some(200)),
            (&[("cache-control", "max-age=300"), ("age", "301")], Some(0)),
            (&[("cache-control", "max-age=300"), ("age", "old")], Some(300)),
            (&[("cache-control", "max-age=300"), ("age", "1"), ("age", "2")], Some(300)),
            (&[("cache-control", "max-age=-1")], None),
            (&[("cache-control", "max-age=")], None),
            (&[("cache-control", "max-age=1e3")], None),
            (&[("cache-control", "s-maxage=300")], None),
            (&[("cache-control", "max-age=99999999999999999999")], Some(u64::from(u32::MAX))),
        ] {
            let caching = Caching::read(&HttpResponse::with_headers(headers));
            let max_age = max_age.map(Duration::from_secs);
            assert_eq!(caching, Caching { max_age, no_store: false }, "{headers:?}");
        }
        for value in ["no-store", "no-cache", "private, No-Store", "max-age=300, no-cache=\"x\""] {
            assert!(
                Caching::read(&HttpResponse::with_headers(&[("cache-control", value)])).no_store,
                "{value}"
            );
        }
    }
}
