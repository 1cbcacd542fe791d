//! A client's certificate in a file, and who sent a request.
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use portcullis::request::PeerAddress;

use crate::output::Failure;

/// The most that is read: a chain has some 10 KB.
const MOST: u64 = 1024 * 1024;

/// The DER of the certificate in a file with PEM or DER. Of several in PEM, the first is the client's own (RFC 8446 §4.4.2).
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fault =
        |message: &dyn core::fmt::Display| Failure::fault(format!("{}: {message}", path.display()));
    let file = File::open(path).map_err(|error| fault(&error))?;
    let mut content = Vec::new();
    file.take(MOST + 1).read_to_end(&mut content).map_err(|error| fault(&error))?;
    if content.len() as u64 > MOST {
        return Err(fault(&"it has over 1 MiB, and no certificate is as large"));
    }
    if is_der(&content) {
        return Ok(content);
    }
    of_pem(&content).ok_or_else(|| {
        fault(&"it is not a certificate: give PEM with `-----BEGIN CERTIFICATE-----`, or DER")
    })
}

fn of_pem(content: &[u8]) -> Option<Vec<u8>> {
    let text = core::str::from_utf8(content).ok()?;
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let digits: String = body.split_whitespace().collect();
    BASE64_STANDARD.decode(digits).ok().filter(|der| is_der(der))
}

/// Whether it is one SEQUENCE of DER and nothing else (X.690 §8.1.3).
fn is_der(content: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = content else { return false };
    let more = usize::from(length & 0x7f);
    match (*length, rest.split_at_checked(more)) {
        (0..0x80, _) => rest.len() == more,
        (_, Some((digits, rest))) if (1..=4).contains(&more) => {
            let length = digits.iter().fold(0_u64, |length, digit| length << 8 | u64::from(*digit));
            rest.len() as u64 == length
        }
        _ => false,
    }
}

/// `10.0.0.7`, `[2001:db8::1]:443`, or `unix` for a Unix domain socket.
pub(crate) fn peer(text: &str) -> Result<PeerAddress, String> {
    if text == "unix" {
        return Ok(PeerAddress::UnixSocket);
    }
    let address = text.parse::<SocketAddr>();
    let address = address.or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)));
    address
        .map(PeerAddress::Ip)
        .map_err(|_| "write an IP address, such as 10.0.0.7, or `unix`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(content: impl AsRef<[u8]>) -> Result<Vec<u8>, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("room");
        read(file.path()).map_err(|failure| failure.message)
    }

    #[test]
    fn pem_and_der_are_the_same_certificate() {
        let der = [0x30, 0x03, 1, 2, 3];
        let pem = "-----BEGIN CERTIFICATE-----\r\nMAMB\r\nAgM=\r\n-----END CERTIFICATE-----\n";
        assert_eq!(read_as(der), Ok(der.to_vec()));
        assert_eq!(read_as(pem), Ok(der.to_vec()));
        // A bag, as openssl writes it, and a chain: the first is the client's.
        let other = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(read_as(format!("Bag Attributes\n  a: b\n{pem}{other}")), Ok(der.to_vec()));
        let mut long = vec![0x30, 0x82, 0x01, 0x00];
        long.extend([7; 256]);
        assert_eq!(read_as(&long), Ok(long.clone()));
    }

    #[test]
    fn what_is_not_a_certificate_is_not_taken_for_one() {
        let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        let no_base64 = "-----BEGIN CERTIFICATE-----\nM*A=\n-----END CERTIFICATE-----\n";
        let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let whole: [&[u8]; 7] = [
            b"",
            b"text",
            b"\x30",
            b"\x30\x02\x01",
            b"\x30\x80",
            b"\x30\x02\x01\x02\x03",
            b"\x30\x85\x01",
        ];
        for content in whole.into_iter().chain([key, no_base64, no_der].map(str::as_bytes)) {
            let fault = read_as(content).expect_err("none");
            assert!(fault.contains("it is not a certificate"), "{content:?}: {fault}");
        }
        assert!(read_as(vec![0x30; 1024 * 1024 + 1]).expect_err("none").contains("over 1 MiB"));
    }

    #[test]
    fn a_peer_is_an_address_with_a_port_or_without() {
        for (text, ip) in [
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.7:443", "10.0.0.7"),
            ("::1", "::1"),
            ("[::1]:80", "::1"),
        ] {
            let found = peer(text).map(PeerAddress::ip);
            assert_eq!(found, Ok(ip.parse().ok()), "{text}");
        }
        assert_eq!(peer("unix"), Ok(PeerAddress::UnixSocket));
        for text in ["", "proxy.example", "10.0.0.0/24", "10.0.0.7:"] {
            assert!(peer(text).is_err(), "{text}");
        }
    }
}
