//! The defence of cookies against requests that another site made a browser send.
use core::fmt;

use super::TokenCookie;
use super::origin::is_origin;
use crate::debug_as_displayed::debug_as_displayed;
use crate::error::CrossSiteError;
use crate::request::{RequestView, single};

/// Origins, besides the service's own, whose pages may use a cookie: `https://app.example`. The default is none.
///
/// A policy makes this check where a token came in a cookie: see
/// [`PolicyBuilder::allowed_origins`](crate::PolicyBuilder::allowed_origins). It is here for routes that set a cookie, or
/// take one that no policy knows.
#[derive(Clone, Debug, Default)]
pub struct AllowedOrigins(pub(crate) Vec<Box<str>>);

impl AllowedOrigins {
    /// These origins as well.
    ///
    /// # Errors
    ///
    /// One is not written as browsers write an origin (RFC 6454 §6.2).
    pub fn allow<O: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = O>,
    ) -> Result<Self, OriginFault> {
        for origin in origins {
            let origin = origin.into();
            if !is_origin(&origin) {
                return Err(OriginFault { origin });
            }
            self.0.push(origin.into());
        }
        Ok(self)
    }

    /// Whether a request that carries this cookie, or is to be answered with it, comes from a page that may use it.
    ///
    /// What passes:
    ///
    /// 1. a safe method (RFC 9110 §9.2.1) that opens no connection: neither `Upgrade` nor CONNECT,
    ///    since browsers let any site open a WebSocket, with cookies;
    /// 2. a request that the browser itself says comes from the same origin, or from the user
    ///    (`Sec-Fetch-Site: same-origin` or `none`; a page cannot set this header);
    /// 3. one with an `Origin` that is allowed;
    /// 4. where the browser is too old for `Sec-Fetch-Site`, or the page came without TLS, one whose `Origin` is
    ///    the host and port that the request was sent to, by a scheme that the cookie can have come by.
    ///
    /// A sibling subdomain (`same-site`) passes only if its origin is allowed. A client without
    /// either header is no browser: it can send the token in a header.
    ///
    /// # Errors
    ///
    /// It does not, or nobody says so.
    pub fn check(
        &self,
        request: &impl RequestView,
        cookie: &TokenCookie,
    ) -> Result<(), CrossSiteError> {
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
        match host {
            Some(host) if !has_site && is_own(origin, host, cookie) => Ok(()),
            _ => Err(CrossSiteError),
        }
    }
}

/// An allowed origin that no browser would send.
#[derive(Clone, Eq, PartialEq)]
pub struct OriginFault {
    /// The origin.
    pub origin: String,
}

impl fmt::Display for OriginFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not an origin: write scheme, host and port as browsers do, `https://app.example`",
            self.origin.escape_debug()
        )
    }
}

impl core::error::Error for OriginFault {}

debug_as_displayed!(OriginFault);

/// Whether a page of `origin` is one of `host`'s own that the cookie can belong to (RFC 6454 §5).
///
/// The scheme by which the request was sent is not known, behind a proxy that ends TLS. A cookie whose name needs TLS
/// was set over TLS, and a page without may then be anybody's on the way; but not one of the browser's own machine,
/// where development goes without (Secure Contexts §3.1). For a cookie of any other name nobody promises TLS, and who
/// is on the way can set it anyway: there, `http` is as good.
fn is_own(origin: &str, host: &str, cookie: &TokenCookie) -> bool {
    let Some((scheme, own)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "https" => "443",
        "http" if !cookie.needs_tls() || is_loopback(own) => "80",
        _ => return false,
    };
    let (own, host) = (split_port(own), split_port(host));
    !own.0.is_empty()
        && own.0.eq_ignore_ascii_case(host.0)
        && own.1.unwrap_or(port) == host.1.unwrap_or(port)
}

/// Host and port. The colons of an IPv6 address stand in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Secure Contexts §3.1: hosts that are the browser's own machine.
fn is_loopback(authority: &str) -> bool {
    let (host, _) = split_port(authority);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host == "localhost"
        || host.ends_with(".localhost")
        || address.is_ok_and(|address: core::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, headers: &[(&str, &str)]) -> Result<(), CrossSiteError> {
        check_cookie("__Host-token", "api.example", method, headers)
    }

    fn check_cookie(
        cookie: &str,
        host: &str,
        method: &str,
        headers: &[(&str, &str)],
    ) -> Result<(), CrossSiteError> {
        let mut request = http::Request::builder().method(method).uri("/").header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let cookie = TokenCookie::unchecked(cookie.to_owned());
        AllowedOrigins(vec!["https://app.example".into()]).check(&request, &cookie)
    }

    #[test]
    fn an_origin_that_no_browser_would_send_is_refused() {
        let allow = |origins| AllowedOrigins::default().allow(origins);
        assert!(allow(["https://app.example", "http://localhost:3000"]).is_ok());
        for origin in ["https://app.example/", "app.example", "https://APP.example", "*", "null"] {
            let fault = allow(["https://app.example", origin]).err();
            assert_eq!(fault, Some(OriginFault { origin: origin.to_owned() }));
        }
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
        for origin in ["https://api.example", "https://API.example", "https://app.example"] {
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
            "http://api.example",
            "ftp://api.example",
            "chrome-extension://api.example",
            "HTTPS://api.example",
            "://api.example",
            "",
        ] {
            assert_eq!(check("DELETE", &[("origin", origin)]), Err(CrossSiteError), "{origin}");
        }
        assert_eq!(check("DELETE", &[]), Err(CrossSiteError));
        let twice = [("origin", "https://api.example"), ("origin", "https://api.example")];
        assert_eq!(check("DELETE", &twice), Err(CrossSiteError));
    }

    #[test]
    fn an_origin_is_own_by_scheme_host_and_port() {
        let is_own = |cookie: &str, host: &str, origin: &str| {
            check_cookie(cookie, host, "POST", &[("origin", origin)]).is_ok()
        };
        for (host, origin) in [
            ("api.example:443", "https://api.example"),
            ("api.example", "https://api.example:443"),
            ("api.example:8443", "https://api.example:8443"),
            ("[2001:db8::1]", "https://[2001:db8::1]"),
            ("[2001:db8::1]:443", "https://[2001:db8::1]"),
            ("localhost", "http://localhost"),
            ("localhost:80", "http://localhost"),
            ("localhost:3000", "http://localhost:3000"),
            ("app.localhost:3000", "http://app.localhost:3000"),
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("[::1]:3000", "http://[::1]:3000"),
        ] {
            for cookie in ["__Host-token", "__Secure-token", "token"] {
                assert!(is_own(cookie, host, origin), "{cookie} {host} {origin}");
            }
        }
        for (host, origin) in [
            ("api.example:80", "https://api.example"),
            ("api.example:8443", "https://api.example"),
            ("[2001:db8::1]", "https://[2001:db8::2]"),
            ("[::1]", "https://[::1]:8443"),
            ("localhost:443", "http://localhost"),
            ("localhost:3000", "http://localhost:3001"),
            ("localhost", "ws://localhost"),
        ] {
            for cookie in ["__Host-token", "__Secure-token", "token"] {
                assert!(!is_own(cookie, host, origin), "{cookie} {host} {origin}");
            }
        }
        for host in ["api.example", "localhost.example", "127.0.0.1.example", "10.0.0.1"] {
            let origin = format!("http://{host}");
            assert!(!is_own("__Host-token", host, &origin), "{origin}");
            assert!(!is_own("__Secure-token", host, &origin), "{origin}");
            assert!(is_own("token", host, &origin), "{origin}");
        }
        assert!(!is_own("token", "api.example", "ftp://api.example"));
        assert!(!is_own("token", "", "https://"), "no host is nobody's");
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
