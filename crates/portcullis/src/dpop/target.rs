//! The address that a proof is for (`htu`), and the one that was asked for.
//!
//! Both are brought into one spelling first (RFC 9449 §4.3, RFC 3986 §6.2.2 and §6.2.3). Dot segments are the exception: they
//! are refused on both sides, where the RFC would take them away. Clients that browsers are made of never send them, and a
//! router that knows nothing of them takes `/a/../b` as it stands, so that a proof for `/b` would open another route.
use core::fmt;

/// The longest address that is read.
const MAX_LENGTH: usize = 2048;

/// Why a text is not an address of a service.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TargetFault {
    /// It is longer than 2 KiB.
    TooLong,
    /// It has a byte that no address has: white space, a control character, a backslash, or one outside of ASCII.
    Character,
    /// It does not begin with `https://` or `http://`.
    Scheme,
    /// It has a user or a password before its host.
    UserInfo,
    /// It has no host, or one that is percent-encoded. In the address of a service: one with `*`, or with another character that a
    /// name has not.
    Host,
    /// Its port is not a number up to 65535.
    Port,
    /// A `%` is not followed by two hexadecimal digits.
    Percent,
    /// A segment of its path is `.` or `..`, perhaps percent-encoded.
    DotSegment,
    /// It has a query or a fragment, which the address of a service has not.
    Query,
    /// It is `http://`, and its host is not this machine.
    Plain,
}

impl fmt::Display for TargetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is longer than 2 KiB",
            Self::Character => {
                "it has white space, a backslash, or another character that no address has"
            }
            Self::Scheme => "it does not begin with `https://`",
            Self::UserInfo => "it has a user before its host, which ends with `@`",
            Self::Host => {
                "it has no host, or one with `*` or another character that a host has not"
            }
            Self::Port => "its port is not a number up to 65535",
            Self::Percent => "a `%` in it is not followed by two hexadecimal digits",
            Self::DotSegment => "a segment of its path is `.` or `..`",
            Self::Query => "it has a query or a fragment",
            Self::Plain => {
                "it is `http://`, and its host is neither `localhost` nor a loopback address"
            }
        })
    }
}

impl core::error::Error for TargetFault {}

/// A part of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TargetPart {
    /// `https` or `http`.
    Scheme,
    /// The host.
    Host,
    /// The port.
    Port,
    /// The path.
    Path,
}

impl fmt::Display for TargetPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "scheme",
            Self::Host => "host",
            Self::Port => "port",
            Self::Path => "path",
        })
    }
}

/// An address without query and fragment, in the one spelling that all of its spellings have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Target {
    is_tls: bool,
    /// In lower case.
    host: String,
    port: u16,
    path: NormalPath,
}

/// A path in one spelling: what need not be percent-encoded is not, and what is has upper-case digits. Nothing else is changed:
/// letters, empty segments, a slash at the end, and `%2F`, which is no slash.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct NormalPath {
    text: String,
    /// Something was percent-encoded that need not be.
    was_encoded: bool,
}

impl Target {
    /// What a proof says (RFC 9449 §4.2): query and fragment do not count.
    pub(crate) fn read(text: &str) -> Result<Self, TargetFault> {
        let end = text.find(['?', '#']).unwrap_or(text.len());
        Self::read_whole(&text[..end])
    }

    /// The address below which a service is: `https://api.example`, or with a prefix that a proxy takes away,
    /// `https://example/api`.
    pub(crate) fn base(text: &str) -> Result<Self, TargetFault> {
        if text.contains(['?', '#']) {
            return Err(TargetFault::Query);
        }
        let mut base = Self::read_whole(text)?;
        let is_local = base.host == "localhost"
            || base
                .host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|ip: core::net::IpAddr| ip.is_loopback());
        if !base.is_tls && !is_local {
            return Err(TargetFault::Plain);
        }
        // A proof says it in full, so what stands for any host would be none (RFC 952, RFC 3986 §3.2.2).
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !base.host.starts_with('[') && !base.host.bytes().all(is_name) {
            return Err(TargetFault::Host);
        }
        base.path.text.truncate(base.path.text.trim_end_matches('/').len());
        Ok(base)
    }

    fn read_whole(text: &str) -> Result<Self, TargetFault> {
        if text.len() > MAX_LENGTH {
            return Err(TargetFault::TooLong);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(TargetFault::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(TargetFault::Scheme)?;
        let is_tls = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ => return Err(TargetFault::Scheme),
        };
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = authority_of(authority)?;
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        let path = NormalPath::read(if path.is_empty() { "/" } else { path })?;
        Ok(Self { is_tls, host, port, path })
    }

    /// The first part in which another address is not this one with a path below it.
    ///
    /// A router may take `/%61` for another route than `/a`. So who asks for the former has to have said so: what was sent for
    /// `/a` opens nothing else.
    pub(crate) fn differs_from(&self, claimed: &Self, path: &NormalPath) -> Option<TargetPart> {
        let below = claimed.path.text.strip_prefix(self.path.text.as_str());
        let is_said = claimed.path.was_encoded || !path.was_encoded;
        if self.is_tls != claimed.is_tls {
            Some(TargetPart::Scheme)
        } else if self.host != claimed.host {
            Some(TargetPart::Host)
        } else if self.port != claimed.port {
            Some(TargetPart::Port)
        } else if below != Some(&*path.text) || !is_said {
            Some(TargetPart::Path)
        } else {
            None
        }
    }
}

/// As it is compared.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_tls, host, port, path } = self;
        let (scheme, usual) = if *is_tls { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{host}")?;
        if *port != usual {
            write!(f, ":{port}")?;
        }
        path.fmt(f)
    }
}

/// Host and port, in one spelling.
fn authority_of(text: &str) -> Result<(String, Option<u16>), TargetFault> {
    if text.contains('@') {
        return Err(TargetFault::UserInfo);
    }
    // An IPv6 address has colons of its own.
    let end = match text.strip_prefix('[') {
        Some(inner) => inner.find(']').ok_or(TargetFault::Host)? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end);
    if host.is_empty() || host.contains('%') {
        return Err(TargetFault::Host);
    }
    let port = match port.strip_prefix(':') {
        // RFC 3986 §6.2.3: as if it were not there.
        Some("") => None,
        None if port.is_empty() => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().map_err(|_| TargetFault::Port)?)
        }
        Some(_) | None => return Err(TargetFault::Port),
    };
    Ok((host.to_ascii_lowercase(), port))
}

impl NormalPath {
    pub(crate) fn read(text: &str) -> Result<Self, TargetFault> {
        if text.len() > MAX_LENGTH {
            return Err(TargetFault::TooLong);
        }
        let (mut path, mut was_encoded) = (String::with_capacity(text.len()), false);
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let mut digit =
                        || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                    let (Some(high), Some(low)) = (digit(), digit()) else {
                        return Err(TargetFault::Percent);
                    };
                    let encoded =
                        u8::try_from(high * 16 + low).map_err(|_| TargetFault::Percent)?;
                    if is_unreserved(encoded) {
                        path.push(char::from(encoded));
                        was_encoded = true;
                    } else {
                        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                        let digit = |number: u8| char::from(DIGITS[usize::from(number & 15)]);
                        path.extend(['%', digit(encoded >> 4), digit(encoded)]);
                    }
                }
                b'\\' => return Err(TargetFault::Character),
                _ if byte.is_ascii_graphic() => path.push(char::from(byte)),
                _ => return Err(TargetFault::Character),
            }
        }
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(TargetFault::DotSegment);
        }
        Ok(Self { text: path, was_encoded })
    }
}

impl fmt::Display for NormalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normal(text: &str) -> Result<String, TargetFault> {
        Target::read(text).map(|target| target.to_string())
    }

    #[test]
    fn an_address_has_one_spelling() {
        for (text, expected) in [
            ("https://api.example", "https://api.example/"),
            ("https://api.example?x=1", "https://api.example/"),
            ("HTTPS://API.example:443/Orders", "https://api.example/Orders"),
            ("https://api.example:/orders", "https://api.example/orders"),
            ("https://api.example:0443/a", "https://api.example/a"),
            ("http://api.example:80/a", "http://api.example/a"),
            ("http://api.example:443/a", "http://api.example:443/a"),
            ("https://api.example/a?b#c", "https://api.example/a"),
            ("https://api.example/a#c?b", "https://api.example/a"),
            ("https://api.example/%7euser/%e2%82%ac", "https://api.example/~user/%E2%82%AC"),
            ("https://api.example/%61%2F%2f", "https://api.example/a%2F%2F"),
            ("https://[2001:DB8::1]:8443/a", "https://[2001:db8::1]:8443/a"),
            ("https://api.example//a//", "https://api.example//a//"),
            ("https://api.example/.well-known/..a", "https://api.example/.well-known/..a"),
            ("https://api.example/a+b;c=d,e:f@g", "https://api.example/a+b;c=d,e:f@g"),
        ] {
            assert_eq!(normal(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(normal(expected).as_deref(), Ok(expected), "twice changes nothing");
        }
    }

    #[test]
    fn what_is_no_address_of_a_service_is_refused() {
        let long = format!("https://api.example/{}", "a".repeat(MAX_LENGTH));
        for (text, fault) in [
            ("", TargetFault::Scheme),
            ("/orders", TargetFault::Scheme),
            ("api.example/orders", TargetFault::Scheme),
            ("ftp://api.example/", TargetFault::Scheme),
            ("wss://api.example/", TargetFault::Scheme),
            ("https:/api.example/", TargetFault::Scheme),
            ("https:///orders", TargetFault::Host),
            ("https://:443/", TargetFault::Host),
            ("https://api%2eexample/", TargetFault::Host),
            ("https://[::1/", TargetFault::Host),
            ("https://api.example@evil.example/", TargetFault::UserInfo),
            ("https://user:pw@api.example/", TargetFault::UserInfo),
            ("https://api.example:x/", TargetFault::Port),
            ("https://api.example:65536/", TargetFault::Port),
            ("https://api.example:+443/", TargetFault::Port),
            ("https://[::1]443/", TargetFault::Port),
            ("https://api.example/%", TargetFault::Percent),
            ("https://api.example/%2", TargetFault::Percent),
            ("https://api.example/%zz", TargetFault::Percent),
            ("https://api.example/a/../b", TargetFault::DotSegment),
            ("https://api.example/..", TargetFault::DotSegment),
            ("https://api.example/./b", TargetFault::DotSegment),
            ("https://api.example/%2e%2E/b", TargetFault::DotSegment),
            ("https://api.example/.%2e/b", TargetFault::DotSegment),
            ("https://api.example\\orders", TargetFault::Character),
            ("https://api.example/ orders", TargetFault::Character),
            ("https://api.example/\u{e9}", TargetFault::Character),
            ("https://api.example/\n", TargetFault::Character),
            (&long, TargetFault::TooLong),
        ] {
            assert_eq!(normal(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn a_base_is_an_address_over_tls_or_of_this_machine() {
        for (text, shown) in [
            ("https://api.example", "https://api.example"),
            ("https://example/api/", "https://example/api"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://[::1]", "http://[::1]"),
        ] {
            assert_eq!(Target::base(text).map(|base| base.to_string()).as_deref(), Ok(shown));
        }
        for (text, fault) in [
            ("http://api.example", TargetFault::Plain),
            ("http://127.0.0.1.example", TargetFault::Plain),
            ("https://api.example?x", TargetFault::Query),
            ("https://api.example/#", TargetFault::Query),
            ("https://*.api.example", TargetFault::Host),
            ("https://{tenant}.api.example", TargetFault::Host),
        ] {
            assert_eq!(Target::base(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn an_address_is_of_a_base_and_a_path_or_differs_in_a_part() {
        use TargetPart::{Host, Path, Port, Scheme};
        for (base, path, claimed, differs) in [
            ("https://api.example", "/orders", "https://api.example/orders", None),
            ("https://example/api", "/orders", "https://example/api/orders", None),
            ("https://example/api", "/", "https://example/api/", None),
            ("https://example/api", "/orders", "https://example/orders", Some(Path)),
            ("https://example/api", "/orders", "https://example/apiorders", Some(Path)),
            ("https://api.example", "/orders", "https://api.example/orders/", Some(Path)),
            ("https://api.example", "/orders", "https://api.example/Orders", Some(Path)),
            ("https://api.example", "/orders", "https://api.example//orders", Some(Path)),
            ("https://api.example", "/a/b", "https://api.example/a%2Fb", Some(Path)),
            ("https://api.example", "/a", "https://api.example/%61", None),
            ("https://api.example", "/%61", "https://api.example/%61", None),
            ("https://api.example", "/%61", "https://api.example/a", Some(Path)),
            ("https://api.example", "/%c3%a9", "https://api.example/%C3%A9", None),
            ("https://api.example", "/orders", "http://api.example:443/orders", Some(Scheme)),
            ("https://api.example", "/orders", "https://evil.example/orders", Some(Host)),
            ("https://api.example", "/orders", "https://api.example:8443/orders", Some(Port)),
        ] {
            let (base, claimed) = (Target::base(base).unwrap(), Target::read(claimed).unwrap());
            let path = NormalPath::read(path).unwrap();
            assert_eq!(base.differs_from(&claimed, &path), differs, "{claimed}");
        }
    }

    proptest! {
        #[test]
        fn to_normalise_twice_changes_nothing(text in "https?://[a-zA-Z0-9.-]{1,12}(:[0-9]{0,5})?(/[ -~]{0,8}){0,4}") {
            if let Ok(once) = normal(&text) {
                prop_assert_eq!(normal(&once), Ok(once.clone()));
            }
        }

        #[test]
        fn an_address_that_a_browser_writes_is_read_as_the_browser_reads_it(
            text in "(https?|HTTPS)://([a-zA-Z0-9-]{1,8}\\.){0,2}[a-zA-Z]{2,8}(:[0-9]{1,5})?(/([a-zA-Z0-9._~!$&'()*+,;=:@ \"<>`{}|^é-]|%[0-9a-fA-F]{2}|%2[eEfF]|\\.\\.?|\\\\){0,8}){0,4}(\\?[ -~]{0,8})?(#[ -~]{0,8})?"
        ) {
            let Ok(mut url) = url::Url::parse(&text) else { return Ok(()) };
            url.set_query(None);
            url.set_fragment(None);
            let own = Target::read(url.as_str()).expect("an address");
            let host = url.host_str().unwrap_or_default();
            prop_assert_eq!((own.is_tls, &*own.host), (url.scheme() == "https", host));
            prop_assert_eq!(Some(own.port), url.port_or_known_default());
            prop_assert_eq!(Ok(own.path), NormalPath::read(url.path()));
            // What was typed is the same address, or is refused. A browser encodes what RFC 3986 has in no address, and here it
            // stays as it is: the same on both sides, or another path.
            if let Ok(typed) = normal(&text)
                && !text.contains(['"', '<', '>', '`', '{', '}', '^'])
            {
                prop_assert_eq!(Ok(typed), normal(url.as_str()));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,64}") {
            let _ = (normal(&text), Target::base(&text), NormalPath::read(&text));
        }
    }
}
