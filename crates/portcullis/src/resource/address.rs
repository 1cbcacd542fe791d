//! URLs that every parser reads alike.
use core::net::{Ipv4Addr, Ipv6Addr};

use super::fault::UrlFault;

pub(super) type Read<'u> = fn(&'u str) -> Result<Address<'u>, UrlFault>;

/// An absolute URL (RFC 3986 §4.3) in its parts. `query` has its `?`.
pub(super) struct Address<'u> {
    pub(super) origin: &'u str,
    pub(super) path: &'u str,
    pub(super) query: &'u str,
    fragment: Option<&'u str>,
    /// `https`, or a host that no network leads to.
    is_safe: bool,
}

impl<'u> Address<'u> {
    /// Takes only what all parsers read alike, and none writes otherwise.
    pub(super) fn parse(url: &'u str) -> Result<Self, UrlFault> {
        // RFC 3986 §2, without `'`, which browsers write otherwise in a query.
        let is_url_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&()*+,;=%".contains(&byte);
        if !url.bytes().all(is_url_byte) {
            return Err(UrlFault::NotAUrl);
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlFault::NotAUrl)?;
        let (is_https, default_port) = match scheme {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return Err(UrlFault::NotAUrl),
        };
        let (authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlFault::User);
        }
        let (host, port) = match authority.rfind(':').filter(|_| !authority.ends_with(']')) {
            Some(at) => (&authority[..at], Some(&authority[at + 1..])),
            None => (authority, None),
        };
        if let Some(port) = port {
            let number: u16 = port.parse().map_err(|_| UrlFault::NotAUrl)?;
            if number == default_port || number.to_string() != port {
                return Err(UrlFault::Spelling);
            }
        }
        let is_loopback = Host::parse(host)?.is_loopback();
        let (origin, rest) = url.split_at(scheme.len() + "://".len() + authority.len());
        let (rest, fragment) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (rest, None),
        };
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        Ok(Self { origin, path, query, fragment, is_safe: is_https || is_loopback })
    }

    /// An address that something is fetched from: §2 asks for `https`.
    pub(super) fn of_endpoint(url: &'u str) -> Result<Self, UrlFault> {
        let address = Self::parse(url)?;
        match (address.fragment, address.is_safe) {
            (Some(_), _) => Err(UrlFault::Fragment),
            (None, false) => Err(UrlFault::PlainHttp),
            (None, true) => Ok(address),
        }
    }

    /// RFC 8414 §2: no query either.
    pub(super) fn of_issuer(url: &'u str) -> Result<Self, UrlFault> {
        let address = Self::of_endpoint(url)?;
        if address.query.is_empty() { Ok(address) } else { Err(UrlFault::Query) }
    }

    /// §1.2, and a path that every router matches as it is written: none that is decoded first, or whose
    /// segments could mean parameters.
    pub(super) fn of_resource(url: &'u str) -> Result<Self, UrlFault> {
        let address = Self::of_endpoint(url)?;
        let is_plain = |segment: &str| {
            !matches!(segment, "." | "..")
                && !segment.starts_with(':')
                && !segment.contains(['%', '*', '[', ']'])
        };
        if address.path.split('/').all(is_plain) { Ok(address) } else { Err(UrlFault::Spelling) }
    }
}

enum Host<'u> {
    Name(&'u str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl<'u> Host<'u> {
    fn parse(text: &'u str) -> Result<Self, UrlFault> {
        if let Some(text) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Ipv6Addr = text.parse().map_err(|_| UrlFault::NotAUrl)?;
            return if address.to_string() == text {
                Ok(Self::V6(address))
            } else {
                Err(UrlFault::Spelling)
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::V4(address));
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(UrlFault::Spelling);
        }
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        };
        // Browsers take a name that ends in a number for an address.
        let last = text.rsplit('.').next().unwrap_or_default();
        let is_name = text.split('.').all(is_label)
            && !last.starts_with(|first: char| first.is_ascii_digit());
        if is_name { Ok(Self::Name(text)) } else { Err(UrlFault::NotAUrl) }
    }

    /// RFC 6761 §6.3 for the name.
    fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => *name == "localhost" || name.ends_with(".localhost"),
            Self::V4(address) => address.is_loopback(),
            Self::V6(address) => address.is_loopback(),
        }
    }
}

/// A URL for a message: without what may be a password in it.
pub(super) fn shown(url: &str) -> String {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest).to_owned()
}
