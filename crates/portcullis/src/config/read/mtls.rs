//! What is asked of the client's certificate (RFC 8705).
use crate::config::fault::ConfigProblem;
use crate::config::place::Sites;
use crate::config::reader::{Table, Value};
use crate::mtls::{CertificateHeader, Mtls};

/// Where a policy looks for a certificate.
#[derive(Clone, Copy)]
enum Source {
    Tls,
    /// A header that has one name.
    Named(fn() -> CertificateHeader),
    /// A header whose name the proxy's configuration says.
    AnyName(fn(&str) -> CertificateHeader),
}

const SOURCES: [&str; 8] = [
    "tls",
    "client_cert",
    "xfcc",
    "aws_alb_verify",
    "aws_alb_passthrough",
    "escaped_pem",
    "base64_der",
    "hex_sha256",
];

const SOURCE_OF: [Source; SOURCES.len()] = [
    Source::Tls,
    Source::Named(CertificateHeader::client_cert),
    Source::Named(CertificateHeader::xfcc),
    Source::Named(CertificateHeader::aws_alb_verify),
    Source::Named(CertificateHeader::aws_alb_passthrough),
    Source::AnyName(|name| CertificateHeader::escaped_pem(name)),
    Source::AnyName(|name| CertificateHeader::base64_der(name)),
    Source::AnyName(|name| CertificateHeader::hex_sha256(name)),
];

/// What a list of proxies calls a Unix domain socket.
const UNIX_SOCKET: &str = "unix";

/// Gives it even where it misses something, so that its other faults are found too. What is missing is noted: no policy is made of it.
pub(super) fn read_mtls(value: &Value<'_>, sites: &mut Sites) -> Option<Mtls> {
    let mut table = value.table("a table: { certificate = \"tls\" }")?;
    let certificate = table.require("certificate");
    let source = certificate.and_then(|value| value.one_of(&SOURCES, &SOURCE_OF));
    let mut mtls = read_source(&mut table, source);
    let proxies = table.take("trusted_proxies").and_then(|value| {
        value.placed_strings("a list of addresses and ranges: [\"10.0.0.0/24\"]")
    });
    for (value, proxy) in proxies.into_iter().flatten() {
        if proxy == UNIX_SOCKET {
            mtls = mtls.trusted_unix_socket();
        } else {
            mtls = mtls.trusted_proxies([proxy]);
            sites.proxies.push(value.place);
        }
    }
    let mode =
        table.take("mode").and_then(|value| value.one_of(&["allowed", "required"], &[false, true]));
    table.finish();
    Some(if mode == Some(true) { mtls.required() } else { mtls })
}

fn read_source(table: &mut Table<'_>, source: Option<Source>) -> Mtls {
    let header = table.take("header");
    let name = header.as_ref().map(|value| value.string("the name of a header"));
    if let (Some(value), Some(Source::Tls | Source::Named(_))) = (&header, source) {
        value.refuse(ConfigProblem::Needs {
            key: "certificate = \"escaped_pem\", \"base64_der\" or \"hex_sha256\"",
        });
    }
    match (source, name) {
        (Some(Source::Named(make)), _) => Mtls::from_header(make()),
        (Some(Source::AnyName(make)), Some(Some(name))) => Mtls::from_header(make(name)),
        // What it says was noted.
        (Some(Source::AnyName(make)), Some(None)) => Mtls::from_header(make("noted")),
        (Some(Source::AnyName(make)), None) => {
            table.refuse_at("header", ConfigProblem::Missing);
            Mtls::from_header(make("noted"))
        }
        (Some(Source::Tls) | None, _) => Mtls::from_tls(),
    }
}
