//! Ways round the certificate that a token is bound to (RFC 8705): what refusals say of it.
use std::collections::BTreeSet;
use std::net::SocketAddr;

use http::Request;
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis::{Algorithm, Error};
use portcullis_attacks::{Door, policy_for, token, trusted};

const ES256: Algorithm = Algorithm::ES256;
/// What a certificate says of a person, as text and in the base64 of a header.
const LEAK: &[u8] = b"LEAK of somebody";
const LEAK_IN_BASE64: &str = "TEVBSyBvZiBzb21lYm9keQ==";

fn door(mtls: Mtls) -> Door {
    Door::new(policy_for([trusted(&[ES256])]).mtls(mtls))
}

fn peer(last: u8) -> PeerAddress {
    PeerAddress::Ip(SocketAddr::from(([10, 0, 0, last], 4711)))
}

/// A token that is bound to another certificate, with what a request says of its own.
fn request(tell: impl FnOnce(&mut Request<()>)) -> Request<()> {
    let token = token(ES256).bound_to_certificate(b"another").mint();
    let mut request =
        portcullis_attacks::request("GET", &[("authorization", &format!("Bearer {token}"))]);
    tell(&mut request);
    request
}

fn said(request: &mut Request<()>, values: &[&str], peer: Option<PeerAddress>) {
    for value in values {
        request.headers_mut().append("client-cert", value.parse().expect("a header"));
    }
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
}

#[test]
fn nothing_that_a_certificate_says_comes_back() {
    let by_header = Mtls::from_header(CertificateHeader::client_cert());
    let by_header = by_header.trusted_proxies(["10.0.0.7"]);
    let value = format!(":{LEAK_IN_BASE64}:");
    let presented = ClientCertificate::presented(LEAK);
    let unbound = token(ES256).mint();
    let unbound =
        portcullis_attacks::request("GET", &[("authorization", &format!("Bearer {unbound}"))]);
    let mut reasons = BTreeSet::new();
    for (mtls, request) in [
        (Mtls::from_tls(), request(|it| drop(it.extensions_mut().insert(presented)))),
        (
            Mtls::from_tls(),
            request(|it| {
                it.extensions_mut().insert(ClientCertificate::absent());
            }),
        ),
        (Mtls::from_tls(), request(|_| ())),
        (Mtls::from_tls().required(), unbound),
        (by_header.clone(), request(|it| said(it, &[&value], Some(peer(7))))),
        (by_header.clone(), request(|it| said(it, &[&value, &value], Some(peer(7))))),
        (by_header.clone(), request(|it| said(it, &[LEAK_IN_BASE64], Some(peer(7))))),
        (by_header.clone(), request(|it| said(it, &["LEAK"], Some(peer(7))))),
        (by_header.clone(), request(|it| said(it, &[&value], Some(peer(8))))),
        (by_header.clone(), request(|it| said(it, &[&value], None))),
    ] {
        let answer = door(mtls).send(request);
        assert_eq!(answer.reached, 0);
        let shown = format!("{:?} {:?} {}", answer.headers, answer.error, answer.body);
        for leak in ["LEAK", LEAK_IN_BASE64, "10.0.0.", "another"] {
            assert!(!shown.contains(leak), "{shown}");
        }
        reasons.insert(answer.error.expect("a refusal").reason());
    }
    // The list above is of use only as long as it meets all there is.
    let at = |reason| Error::REASONS.iter().position(|it| *it == reason).expect("a reason");
    let of_certificates = &Error::REASONS[at("wrong_binding")..=at("certificate_unavailable")];
    assert_eq!(reasons, of_certificates.iter().copied().collect());
}
