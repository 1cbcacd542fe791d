//! Which addresses may be fetched from.
use core::fmt;

use url::{Host, Url};

use super::SettingFault;

/// An address that nothing is fetched from.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AddressFault {
    /// It is no absolute `http` or `https` URL with a host.
    NotAUrl,
    /// It has a user name or password, a fragment, or (an issuer's identifier) a query.
    Extra,
    /// It is plain `http`, and neither loopback nor a host that
    /// [`dangerous::allow_http`](crate::dangerous::allow_http) names: whoever is on the way could
    /// put keys of their own there.
    PlainHttp,
    /// The metadata came over `https`, and it names keys at plain `http`.
    Downgrade,
    /// The metadata name keys of another origin, and the same one was asked for, as it is for every issuer of a
    /// template or predicate.
    OtherOrigin,
    /// It is the address of an issuer's metadata, and the issuer's identifier was asked for.
    Metadata,
    /// What stands for `{tenant}` in it would be a host, or a name that anybody can register: whoever registers it
    /// would have its own keys there.
    TenantHost,
    /// Braces stand in it. Only `{tenant}` means something, where the issuer is one by
    /// [template](crate::Issuer::template).
    Tenant,
}

impl fmt::Display for AddressFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAUrl => "this is not an absolute `https` URL",
            Self::Extra => "the URL has a user name, a fragment or a query that it must not have: leave it out",
            Self::PlainHttp => "this is plain `http`, and whoever is on the way could replace the keys; use `https`, or for a host of a private network call `.allow_http(dangerous::allow_http(\"keycloak\"))` with the name of that host, in a policy file `dangerous.allow_http`",
            Self::Downgrade => "this is plain `http`, and the metadata that names it came over `https`: have the issuer publish an `https` address",
            Self::OtherOrigin => "this is another origin than that of the metadata: if it may be, call `any_origin`, in a policy file `same_origin = false`",
            Self::Metadata => "this is the address of metadata: give the issuer's identifier instead, which has no part `/.well-known/…`",
            Self::TenantHost => "`{tenant}` is a whole host name, the end of one, or all of one before a public suffix such as `com` or `co.uk`: whoever registers that name would have its own keys there",
            Self::Tenant => "braces are not filled in: only `{tenant}` is, and only where the issuer is a template (`Issuer::template`, in a policy file `template`)",
        })
    }
}

impl core::error::Error for AddressFault {}

/// Hosts besides loopback that may be asked without TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlainHosts(pub(crate) Vec<String>);

impl PlainHosts {
    /// Reads an address of a user's own.
    pub(crate) fn parse(&self, text: &str) -> Result<Url, AddressFault> {
        let url = parse_strictly(text).ok_or(AddressFault::NotAUrl)?;
        let host = url.host().ok_or(AddressFault::NotAUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&host) || self.0.iter().any(|own| *own == host.to_string()) => {}
            "http" => return Err(AddressFault::PlainHttp),
            _ => return Err(AddressFault::NotAUrl),
        }
        let is_plain = url.username().is_empty() && url.password().is_none();
        if is_plain && url.fragment().is_none() { Ok(url) } else { Err(AddressFault::Extra) }
    }

    /// What is wrong with the hosts.
    pub(crate) fn fault(&self) -> Option<SettingFault> {
        let is_bad = self.0.iter().any(|host| Host::parse(host).is_err());
        let allowed = "a host, without scheme and port";
        is_bad.then_some(SettingFault { setting: "allow_http", allowed })
    }
}

fn parse_strictly(text: &str) -> Option<Url> {
    // The parser is a browser's, and takes `https:\\evil.example\.id.example` for an address of
    // `evil.example`. An issuer is trusted by how its identifier reads.
    let is_strict = text.split_once("://").is_some_and(|(_, rest)| !rest.starts_with('/'))
        && !text.bytes().any(|byte| byte <= b' ' || byte == b'\\' || byte == 0x7f);
    Url::parse(text).ok().filter(|_| is_strict)
}

/// What is wrong with the address of a proxy.
pub(crate) fn proxy_fault(proxy: Option<&str>) -> Option<SettingFault> {
    let allowed = "`http://` or `https://` and a host, perhaps with a port, without user and path";
    let is_bad = proxy.is_some_and(|proxy| !is_proxy(proxy));
    is_bad.then_some(SettingFault { setting: "proxy", allowed })
}

/// Whether it is a scheme, a host and perhaps a port, and nothing that a log must not show.
fn is_proxy(text: &str) -> bool {
    parse_strictly(text).is_some_and(|url| {
        let origin = url.origin().ascii_serialization();
        matches!(url.scheme(), "http" | "https") && url.as_str() == format!("{origin}/")
    })
}

/// An address of a user's own for a message: without what may be a secret in it.
pub(crate) fn shown(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (before, after) = text.split_once("//").unwrap_or(("", text));
    let host = after.split('/').next().unwrap_or_default();
    match host.rsplit_once('@') {
        Some((user, _)) => format!("{before}//{}", &after[user.len() + 1..]),
        None => text.to_owned(),
    }
}

/// RFC 6761 §6.3 for the name.
fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// What [`dangerous::allow_http`](crate::dangerous::allow_http) allows.
#[derive(Clone, Debug)]
pub struct AllowHttp(pub(crate) String);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, AddressFault> {
        PlainHosts(vec!["keycloak".to_owned()]).parse(text).map(Into::into)
    }

    #[test]
    fn https_and_plain_http_of_loopback_and_of_hosts_that_were_named_are_fetched_from() {
        for text in [
            "https://id.example/jwks",
            "https://169.254.169.254/jwks",
            "https://id.example:8443/a?b=c",
            "http://localhost:8080/jwks",
            "http://id.localhost/jwks",
            "http://127.0.0.1/jwks",
            "http://127.8.9.1/jwks",
            "http://[::1]:80/jwks",
            "http://keycloak:8080/jwks",
            "HTTP://KEYCLOAK/jwks",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn other_addresses_are_not() {
        use AddressFault::{Extra, NotAUrl, PlainHttp};
        for (text, fault) in [
            ("http://id.example/jwks", PlainHttp),
            ("http://10.0.0.1/jwks", PlainHttp),
            ("http://169.254.169.254/latest", PlainHttp),
            ("http://localhost.example/jwks", PlainHttp),
            ("http://notlocalhost/jwks", PlainHttp),
            ("http://keycloak.example/jwks", PlainHttp),
            ("http://[::2]/jwks", PlainHttp),
            ("https://user@id.example/jwks", Extra),
            ("https://:password@id.example/jwks", Extra),
            ("https://id.example/jwks#keys", Extra),
            ("file:///etc/jwks.json", NotAUrl),
            ("data:application/json,{}", NotAUrl),
            ("ftp://id.example/jwks", NotAUrl),
            ("id.example/jwks", NotAUrl),
            ("https://", NotAUrl),
            ("https:id.example/jwks", NotAUrl),
            ("https:/id.example/jwks", NotAUrl),
            ("https:///id.example/jwks", NotAUrl),
            ("https:\\\\id.example/jwks", NotAUrl),
            ("https://evil.example\\.id.example/jwks", NotAUrl),
            (" https://id.example/jwks", NotAUrl),
            ("https://id.example/jw\tks", NotAUrl),
            ("https://id.example/jwks\n", NotAUrl),
            ("https://id.exam\u{7f}ple/jwks", NotAUrl),
            ("/jwks", NotAUrl),
            ("", NotAUrl),
        ] {
            assert_eq!(parse(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_message_shows_neither_password_nor_query() {
        for (text, expected) in [
            ("https://id.example/jwks", "https://id.example/jwks"),
            ("https://user:secret@id.example/a@b?key=secret#secret", "https://id.example/a@b"),
            ("http://user:sec@ret@id.example", "http://id.example"),
            ("user:secret@id.example/jwks", "//id.example/jwks"),
            ("id.example/jwks?secret", "id.example/jwks"),
            ("", ""),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_proxy_is_a_scheme_a_host_and_perhaps_a_port() {
        for text in [
            "http://proxy.internal:3128",
            "http://proxy.internal:3128/",
            "https://proxy.internal",
            "http://10.0.0.1:8080",
            "http://[::1]:3128",
        ] {
            assert!(is_proxy(text), "{text}");
        }
        for text in [
            "",
            "proxy.internal:3128",
            "http://",
            "http://user@proxy.internal",
            "http://user:password@proxy.internal:3128",
            "http://proxy.internal/path",
            "http://proxy.internal?a",
            "http://proxy.internal#a",
            "http:\\\\proxy.internal",
            "http:/proxy.internal",
            " http://proxy.internal",
            "socks5://proxy.internal",
            "ftp://proxy.internal",
        ] {
            assert!(!is_proxy(text), "{text}");
        }
    }
}
