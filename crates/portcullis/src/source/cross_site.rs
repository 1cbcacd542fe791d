//! The defence of cookies against requests that another site made a browser send.
use core::fmt;

use crate::request::{RequestView, single};

/// A cookie came with a request that another site may have caused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CrossSiteError;

impl fmt::Display for CrossSiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token in a cookie came with an unsafe request of another origin")
    }
}

impl core::error::Error for CrossSiteError {}

/// Origins, besides the service's own, whose pages may use the cookie: `https://app.example`.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowedOrigins(pub(crate) Vec<Box<str>>);

impl AllowedOrigins {
    /// Asked only of a request whose token came in a cookie.
    ///
    /// What passes:
    ///
    /// 1. a safe method (RFC 9110 §9.2.1) that opens no connection: neither `Upgrade` nor CONNECT,
    ///    since browsers let any site open a WebSocket, with cookies;
    /// 2. a request that the browser itself says comes from the same origin, or from the user
    ///    (`Sec-Fetch-Site: same-origin` or `none`; a page cannot set this header);
    /// 3. one with an `Origin` that is allowed;
    /// 4. where the browser is too old for `Sec-Fetch-Site`, one whose `Origin` is the host that
    ///    the request was sent to.
    ///
    /// A sibling subdomain (`same-site`) passes only if its origin is allowed. A client without
    /// either header is no browser: it can send the token in a header.
    pub(crate) fn check<V: RequestView + ?Sized>(&self, request: &V) -> Result<(), CrossSiteError> {
        let is_safe = matches!(request.method(), "GET" | "HEAD" | "OPTIONS" | "TRACE");
        if is_safe && request.header("upgrade").next().is_none() {
            return Ok(());
        }
        let mut sites = request.header("sec-fetch-site").peekable();
        let has_site = sites.peek().is_some();
        if matches!(single(request, "sec-fetch-site"), Some(b"same-origin" | b"none")) {
            return Ok(());
        }
        let origin = single(request, "origin").and_then(|origin| core::str::from_utf8(origin).ok());
        let Some(origin) = origin else { return Err(CrossSiteError) };
        // RFC 6454 §6.2: an origin is serialised in one way only.
        if self.0.iter().any(|allowed| **allowed == *origin) {
            return Ok(());
        }
        let host =
            request.authority().or_else(|| core::str::from_utf8(single(request, "host")?).ok());
        let own = origin.split_once("://").map(|(_, host)| host);
        match (own, host) {
            (Some(own), Some(host)) if !has_site && own.eq_ignore_ascii_case(host) => Ok(()),
            _ => Err(CrossSiteError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, headers: &[(&str, &str)]) -> Result<(), CrossSiteError> {
        let mut request =
            http::Request::builder().method(method).uri("/").header("host", "api.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        AllowedOrigins(vec!["https://app.example".into()]).check(&request)
    }

    #[test]
    fn safe_methods_pass_from_anywhere() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(
                check(
                    method,
                    &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")]
                ),
                Ok(())
            );
        }
    }

    #[test]
    fn an_unsafe_request_passes_by_what_the_browser_says() {
        for site in ["same-origin", "none"] {
            assert_eq!(check("POST", &[("sec-fetch-site", site)]), Ok(()), "{site}");
        }
        for site in ["same-site", "cross-site", "", "Same-Origin", "same-origin, none", "x"] {
            assert_eq!(check("POST", &[("sec-fetch-site", site)]), Err(CrossSiteError), "{site}");
            let own = [("sec-fetch-site", site), ("origin", "https://api.example")];
            assert_eq!(
                check("POST", &own),
                Err(CrossSiteError),
                "{site} beats an origin that looks own"
            );
            let allowed = [("sec-fetch-site", site), ("origin", "https://app.example")];
            assert_eq!(check("POST", &allowed), Ok(()), "{site}");
        }
        let twice = [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")];
        assert_eq!(check("POST", &twice), Err(CrossSiteError));
    }

    #[test]
    fn without_that_an_unsafe_request_passes_by_its_origin() {
        for origin in [
            "https://api.example",
            "http://api.example",
            "https://API.example",
            "https://app.example",
        ] {
            assert_eq!(check("DELETE", &[("origin", origin)]), Ok(()), "{origin}");
        }
        for origin in [
            "null",
            "https://evil.example",
            "https://api.example.evil",
            "https://evil@api.example",
            "https://api.example:8443",
            "https://api.example/",
            "api.example",
            "https://APP.example",
            "http://app.example",
            "",
        ] {
            assert_eq!(check("DELETE", &[("origin", origin)]), Err(CrossSiteError), "{origin}");
        }
        assert_eq!(check("DELETE", &[]), Err(CrossSiteError));
        let twice = [("origin", "https://api.example"), ("origin", "https://api.example")];
        assert_eq!(check("DELETE", &twice), Err(CrossSiteError));
    }

    #[test]
    fn a_connection_that_is_opened_counts_as_unsafe() {
        let foreign = ("origin", "https://evil.example");
        assert_eq!(check("GET", &[("upgrade", "websocket"), foreign]), Err(CrossSiteError));
        assert_eq!(
            check("GET", &[("upgrade", "WebSocket"), ("origin", "https://api.example")]),
            Ok(())
        );
        assert_eq!(check("CONNECT", &[foreign]), Err(CrossSiteError));
        assert_eq!(check("get", &[foreign]), Err(CrossSiteError), "methods are case-sensitive");
    }
}
