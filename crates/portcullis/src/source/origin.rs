//! How an origin is written.
use core::net::Ipv6Addr;

/// RFC 6454 §6.2: scheme, host and, unless it is the scheme's own, port; in lower case.
pub(crate) fn is_origin(origin: &str) -> bool {
    let Some((scheme @ ("http" | "https"), authority)) = origin.split_once("://") else {
        return false;
    };
    let (is_host, port) = if let Some(literal) = authority.strip_prefix('[') {
        let Some((address, port)) = literal.split_once(']') else { return false };
        let is_lower_case = !address.bytes().any(|byte| byte.is_ascii_uppercase());
        (is_lower_case && address.parse::<Ipv6Addr>().is_ok(), port)
    } else {
        let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        (is_host_name(name), port)
    };
    is_host && (port.is_empty() || port.strip_prefix(':').is_some_and(|port| is_port(scheme, port)))
}

/// The dot at the end of a name that is complete stays in an origin.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_good = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        !label.is_empty() && label.bytes().all(is_good)
    };
    name.strip_suffix('.').unwrap_or(name).split('.').all(is_label)
}

fn is_port(scheme: &str, port: &str) -> bool {
    let default = if scheme == "https" { 443 } else { 80 };
    // As it is written: without a sign, and without zeros in front.
    port.parse::<u16>().is_ok_and(|number| number != default && number.to_string() == port)
}
