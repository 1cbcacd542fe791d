//! What it costs to hold a token against its sender's certificate (RFC 8705), as markdown: see the README of this package.
use core::time::Duration;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use http::{HeaderValue, Request};
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis::tower::VerifyLayer;
use portcullis::{Policy, PolicyBuilder};
use portcullis_benches::Case;
use portcullis_benches::call::{self, Bare};
use portcullis_benches::case::{self, TOKENS};
use portcullis_benches::rounds::{Contender, Length, Rounds};
use tower_layer::Layer;

/// Measures requests with remembered tokens that are bound to a certificate beside those that are bound to nothing, and prints markdown.
#[derive(Parser)]
struct Arguments {
    /// How often each contender has its turn.
    #[arg(long, value_name = "N", default_value_t = 2_001)]
    rounds: usize,
    /// How long a turn lasts, in microseconds.
    #[arg(long, value_name = "N", default_value_t = 500)]
    micros: u64,
}

const HEADER: &str = "x-client-cert";
const PROXY: [u8; 4] = [10, 0, 0, 7];
/// About as large as that of a key of P-256 with a few extensions.
const CERTIFICATE: [u8; 640] = [0x5a; 640];

fn main() {
    let Arguments { rounds, micros } = Arguments::parse();
    let length = Length { rounds, turn: Duration::from_micros(micros) };
    let case = Case::named("ES256");
    let token = || case.good().mint();
    let bound = || case.good().bound_to_certificate(CERTIFICATE).mint();
    let unbound: Vec<_> = (0..TOKENS).map(|_| token()).collect();
    let bound: Vec<_> = (0..TOKENS).map(|_| bound()).collect();
    let header = escaped_certificate(&CERTIFICATE);

    let by_header = Mtls::from_header(CertificateHeader::escaped_pem(HEADER))
        .trusted_proxies(["10.0.0.0/24", "2001:db8::/64"]);
    let policies = [
        (policy(case, &unbound, &header, |policy| policy), &unbound),
        (policy(case, &unbound, &header, |policy| policy.mtls(Mtls::from_tls())), &unbound),
        (policy(case, &bound, &header, |policy| policy.mtls(Mtls::from_tls())), &bound),
        (policy(case, &bound, &header, |policy| policy.mtls(by_header)), &bound),
    ];
    let [without, unbound, by_tls, by_header] = policies.map(|(policy, tokens)| {
        let mut service = VerifyLayer::new(policy).layer(Bare);
        let header = header.clone();
        Contender::new(
            move |index| request(&tokens[index % TOKENS], &header),
            move |request| call::call(&mut service, request),
        )
    });
    let rounds = Rounds::run(length, [without, unbound, by_tls, by_header]);
    println!(
        "A remembered token, ns: more than a bearer token under a policy without certificates.\n"
    );
    println!("| token | more |");
    println!("| --- | ---: |");
    for (contender, what) in [
        (1, "bound to nothing, under a policy that takes certificates"),
        (2, "bound to the certificate of the connection"),
        (3, "bound to the certificate in a proxy's header, which was seen before"),
    ] {
        let more = rounds.median_of(|times| times[contender] - times[0]);
        println!("| {what} | {more:+.0} |");
    }
    println!("\nThe header has {} bytes.", header.len());
}

/// A policy that has seen the tokens.
fn policy(
    case: &Case,
    tokens: &[String],
    header: &HeaderValue,
    change: impl FnOnce(PolicyBuilder) -> PolicyBuilder,
) -> Policy {
    let policy = case.unused_with(change);
    for token in tokens {
        policy.verify_now(&request(token, header)).expect("a good token");
    }
    policy
}

/// All requests are alike: each says its certificate in both ways.
fn request(token: &str, header: &HeaderValue) -> Request<()> {
    let mut request = case::request(Some(token));
    request.headers_mut().insert(HEADER, header.clone());
    request.extensions_mut().insert(PeerAddress::Ip(SocketAddr::from((PROXY, 4711))));
    request.extensions_mut().insert(certificate());
    request
}

/// As a server does, made once for a connection.
fn certificate() -> ClientCertificate {
    thread_local! {
        static OWN: ClientCertificate = ClientCertificate::presented(CERTIFICATE);
    }
    OWN.with(Clone::clone)
}

/// As nginx writes it: PEM of which all but what is unreserved is percent-encoded.
fn escaped_certificate(der: &[u8]) -> HeaderValue {
    let base64 = STANDARD.encode(der);
    let lines = base64.as_bytes().chunks(64).map(|line| [line, b"\n"].concat());
    let body: Vec<u8> = lines.flatten().collect();
    let pem =
        [b"-----BEGIN CERTIFICATE-----\n", &body[..], b"-----END CERTIFICATE-----\n"].concat();
    let escaped: String = pem
        .into_iter()
        .map(|byte| match byte {
            b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    HeaderValue::try_from(escaped).expect("a header")
}
