//! The address of a proof (`htu`, RFC 9449 §4.2) against that of a service and the path of a request.
//!
//! An input has a line with an address, and perhaps one with the path of a request. The crate `url` reads addresses as browsers do,
//! and is the reference. What is asked:
//!
//! 1. nothing panics, and the same address gets the same answer again;
//! 2. an address as a browser writes it is for the service and the path that the browser finds in it, or is refused because it is
//!    too long, has a `%` that encodes nothing, or a character in its host that no name has;
//! 3. an address that is taken for that of a service and a path is, to the reference, the same address as theirs;
//! 4. an address with a segment that a browser would take away, `.` or `..`, is not taken as it stands;
//! 5. what is taken is taken in the one spelling of it as well, unless the path of the request is percent-encoded in vain, and with a
//!    query and a fragment.
use portcullis::dpop::{Dpop, DpopError, ProofFault, TargetFault};
use portcullis::{Algorithm, UnixTime};
use serde_json::json;
use url::Url;

use crate::Outcome;
use crate::issuer::{NOW, key};
use crate::proof::{Fresh, Sent};

/// The longest that is read.
const LONGEST: usize = 2048;

/// Asks about an address.
///
/// # Panics
///
/// If a promise is broken.
pub fn check(input: &[u8]) -> Outcome {
    let Ok(text) = core::str::from_utf8(input) else { return Outcome::Skipped };
    let (address, path) = text.split_once('\n').unwrap_or((text, "/"));
    let mut is_taken = false;
    if let Some(url) = browsers(address) {
        as_a_browser_writes_it(&url);
        let origin = url.origin().ascii_serialization();
        is_taken |= take(&origin, url.path(), address);
    }
    if let Some((base, own)) = split(address) {
        is_taken |= take(base, own, address);
        is_taken |= take(base, path, address);
    }
    if is_taken { Outcome::Accepted } else { Outcome::Refused }
}

/// What a browser makes of an address of a service.
fn browsers(address: &str) -> Option<Url> {
    Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

/// Up to the path, and the path.
fn split(address: &str) -> Option<(&str, &str)> {
    let address = address.split(['?', '#']).next()?;
    let authority = address.find("://")? + 3;
    let end = address[authority..].find('/').map_or(address.len(), |end| authority + end);
    let (base, path) = address.split_at(end);
    Some((base, if path.is_empty() { "/" } else { path }))
}

/// Whether its host is one that a service may have: browsers take `{` and `*` as well.
fn has_a_name(url: &Url) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    url.host_str().is_some_and(|host| host.starts_with('[') || host.bytes().all(is_name))
}

fn as_a_browser_writes_it(url: &Url) {
    let origin = url.origin().ascii_serialization();
    let written = format!("{origin}{}", url.path());
    match ask(&origin, url.path(), &written) {
        // The service has no such address: it is over 2 KiB, `http` and not of this machine, or no name of a host.
        None => {
            let is_plain = url.scheme() == "http";
            assert!(origin.len() > LONGEST || is_plain || !has_a_name(url), "{written}");
        }
        Some(Ok(())) => {}
        Some(Err(Refused::Address(TargetFault::TooLong))) => {
            assert!(written.len() > LONGEST, "{written}");
        }
        Some(Err(Refused::Address(TargetFault::Percent))) => {
            assert!(has_a_lone_percent(url.path()), "{written}");
        }
        Some(Err(refused)) => panic!("{written}: {refused:?}"),
    }
}

fn has_a_lone_percent(path: &str) -> bool {
    path.split('%').skip(1).any(|rest| {
        let digits = rest.as_bytes().get(..2);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Whether it is for this service and this path. What is taken is, to the reference as well.
fn take(base: &str, path: &str, address: &str) -> bool {
    if !matches!(ask(base, path, address), Some(Ok(()))) {
        return false;
    }
    let other = format!("{}{path}", base.trim_end_matches('/'));
    let same = |text: &str| {
        let url = browsers(text)?;
        Some((url.origin(), one_spelling(url.path())))
    };
    assert_eq!(same(address), same(&other), "{address} is taken for {other}");
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let (authority, own) = split(address).expect("it has a scheme and a host");
    let has_dots = |path: &str| path.split('/').any(|segment| matches!(segment, "." | ".."));
    assert!(!has_dots(&one_spelling(own)), "{address} is taken");
    let once = format!("{}{}", authority.to_ascii_lowercase(), one_spelling(own));
    for spelling in [&once, &format!("{address}?a=/../b"), &format!("{address}#/?x")] {
        // What is put behind it may be too much.
        if spelling.len() <= LONGEST {
            let answer = ask(base, path, spelling);
            // Whoever asks for a path that is encoded in vain has said so.
            let is_taken = spelling != &once || !is_encoded_in_vain(path);
            assert_eq!(answer == Some(Ok(())), is_taken, "{address} is taken, and {spelling}");
        }
    }
    true
}

/// Whether something in it is percent-encoded that need not be.
fn is_encoded_in_vain(path: &str) -> bool {
    let encoded = path.split('%').skip(1).filter_map(|piece| piece.get(..2));
    let mut bytes = encoded.filter_map(|digits| u8::from_str_radix(digits, 16).ok());
    bytes.any(is_unreserved)
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986 §6.2.2: what need not be encoded is not, and what is has upper-case digits.
fn one_spelling(path: &str) -> String {
    let mut pieces = path.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let byte = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if is_unreserved(byte) => {
                text.push(char::from(byte));
                text.push_str(&piece[2..]);
            }
            Some(byte) => text.push_str(&format!("%{byte:02X}{}", &piece[2..])),
            None => text.push_str(&format!("%{piece}")),
        }
    }
    text
}

#[derive(Debug, Eq, PartialEq)]
enum Refused {
    Address(TargetFault),
    /// It is for another service, or for another path.
    Other(DpopError),
}

/// Asks a token endpoint at this address about a proof that nobody signed: whether it is for the request comes first. `None`:
/// a service cannot have this address.
fn ask(base: &str, path: &str, address: &str) -> Option<Result<(), Refused>> {
    let dpop = Dpop::new(Fresh::default()).algorithms([Algorithm::EdDSA]).at(base);
    let endpoint = dpop.for_token_endpoint().ok()?;
    let header = json!({
        "typ": "dpop+jwt", "alg": "EdDSA", "jwk": key(Algorithm::EdDSA).public_jwk(),
    });
    let payload = json!({ "jti": "1", "htm": "GET", "htu": address, "iat": NOW });
    let [header, payload] = [header, payload].map(|part| encode(part.to_string().as_bytes()));
    let proof = format!("{header}.{payload}.{}", encode(&[0; 64]));
    let request = Sent::get(path, proof.as_bytes());
    let answer = endpoint.check(&request, UnixTime(NOW)).err();
    assert_eq!(endpoint.check(&request, UnixTime(NOW)).err(), answer, "the second answer");
    Some(match answer.expect("nobody signed it") {
        DpopError::Signature => Ok(()),
        DpopError::Proof(ProofFault::Target(fault)) => Err(Refused::Address(fault)),
        // The address would take more room than a proof has.
        DpopError::Proof(_) => Err(Refused::Address(TargetFault::TooLong)),
        other => Err(Refused::Other(other)),
    })
}

fn encode(bytes: &[u8]) -> String {
    use base64::prelude::*;
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
