//! An explanation of a request says of the sender's certificate what the verdict says, and names the check.
#![cfg(feature = "explain")]
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::dpop::{Dpop, InProcessReplays};
use portcullis::explain::{Explanation, Outcome, SenderCheck, Stage};
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis::{Algorithm, Policy, UnixTime};
use portcullis_testkit::{SigningKey, TestIssuer, TokenBuilder};
use serde_json::json;

const NOW: i64 = 1_800_000_000;
const OWN: &[u8] = b"the DER of the client's certificate";
const OTHER: &[u8] = b"the DER of another";
const PROXY: [u8; 4] = [10, 0, 0, 7];
const STRANGER: [u8; 4] = [192, 0, 2, 1];

fn issuer() -> TestIssuer {
    TestIssuer::new("https://id.example").at(NOW)
}

fn by_header() -> Mtls {
    Mtls::from_header(CertificateHeader::client_cert()).trusted_proxies(["10.0.0.0/24", "10.1.0.1"])
}

fn policy(mtls: Mtls) -> Policy {
    issuer().policy_builder().mtls(mtls).build().expect("a policy")
}

fn token() -> TokenBuilder {
    issuer().token(Algorithm::ES256)
}

fn bound() -> String {
    token().bound_to_certificate(OWN).mint()
}

fn request(token: &str) -> http::Request<()> {
    let request = http::Request::get("/orders").header("authorization", format!("Bearer {token}"));
    request.body(()).expect("a request")
}

fn over_tls(token: &str, said: ClientCertificate) -> http::Request<()> {
    let mut request = request(token);
    request.extensions_mut().insert(said);
    request
}

fn from(token: &str, peer: [u8; 4], values: &[String]) -> http::Request<()> {
    let mut request = request(token);
    request.extensions_mut().insert(PeerAddress::Ip(SocketAddr::from((peer, 4711))));
    for value in values {
        request.headers_mut().append("client-cert", value.parse().expect("a value"));
    }
    request
}

fn written(der: &[u8]) -> String {
    CertificateHeader::client_cert().value_of(der)
}

fn digest(der: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(ClientCertificate::presented(der).sha256().expect("one"))
}

/// What is made of it, which is what the policy decides.
fn explain(policy: &Policy, request: &http::Request<()>) -> Explanation {
    let explanation = policy.explain_request_now(request).expect("a token");
    let decided = policy.verify_now(request).map(drop).map_err(|refused| refused.into_error());
    assert_eq!(explanation.verdict().map(drop).map_err(Clone::clone), decided);
    assert_eq!(unmet(&explanation).is_empty(), decided.is_ok(), "{explanation}");
    explanation
}

fn checks(explanation: &Explanation) -> &[SenderCheck] {
    explanation.facts().certificate.as_ref().map_or(&[], |seen| &seen.checks)
}

fn unmet(explanation: &Explanation) -> Vec<&'static str> {
    let unmet = checks(explanation).iter().filter(|check| check.met == Some(false));
    unmet.map(|check| check.check).collect()
}

fn told(explanation: &Explanation) -> Vec<(&'static str, &str, Option<&str>, Option<bool>)> {
    let told = checks(explanation).iter();
    told.map(|one| (one.check, &*one.needs, one.has.as_deref(), one.met)).collect()
}

#[test]
fn both_sides_of_each_check_are_told() {
    let (own, other) = (digest(OWN), digest(OTHER));
    let bound_to = format!("x5t#S256 {own}");
    let cnf = ("cnf", "nothing, or `x5t#S256`", Some(&*bound_to), Some(true));
    let token = bound();

    let by_tls = policy(Mtls::from_tls());
    let needs = "what the service's own TLS handshake saw";
    let presented = ("source", needs, Some("the client presented one"), Some(true));
    let seen = explain(&by_tls, &over_tls(&token, ClientCertificate::presented(OWN)));
    assert_eq!(told(&seen), [cnf, presented, ("x5t#S256", &own, Some(&*own), Some(true))]);
    let seen = explain(&by_tls, &over_tls(&token, ClientCertificate::presented(OTHER)));
    assert_eq!(told(&seen), [cnf, presented, ("x5t#S256", &own, Some(&*other), Some(false))]);
    let step = seen.facts().steps.last().expect("a step");
    assert_eq!((step.stage, step.outcome), (Stage::Sender, Outcome::Refused));
    assert!(seen.to_string().ends_with(&format!("x5t#S256: needs {own}, has {other}")), "{seen}");
    let seen = explain(&by_tls, &over_tls(&token, ClientCertificate::absent()));
    let none = ("source", needs, Some("the client presented none"), Some(true));
    assert_eq!(told(&seen), [cnf, none, ("x5t#S256", &own, None, Some(false))]);

    let by_header = policy(by_header());
    let written = written(OWN);
    let length = format!("{} bytes", written.len());
    let seen = explain(&by_header, &from(&token, PROXY, &[written]));
    let expected = [
        cnf,
        ("source", "one header `client-cert`", Some("one"), Some(true)),
        ("peer", "one of \"10.0.0.0/24\", \"10.1.0.1\"", Some("10.0.0.7"), Some(true)),
        ("form", "a certificate between colons (RFC 9440)", Some(&*length), Some(true)),
        ("x5t#S256", &own, Some(&*own), Some(true)),
    ];
    assert_eq!(told(&seen), expected);
}

#[test]
fn what_a_request_lacks_is_the_check_that_is_not_met() {
    let token = bound();
    let by_tls = policy(Mtls::from_tls());
    let seen = explain(&by_tls, &request(&token));
    assert_eq!(unmet(&seen), ["source", "x5t#S256"]);
    assert_eq!(checks(&seen)[1].has, None);
    // What a header says does not count there.
    let seen = explain(&by_tls, &from(&token, PROXY, &[written(OWN)]));
    assert_eq!(unmet(&seen), ["source", "x5t#S256"]);

    let by_header = policy(by_header());
    for (peer, values, expected) in [
        (PROXY, vec![], &["x5t#S256"][..]),
        (PROXY, vec![String::new()], &["x5t#S256"]),
        (PROXY, vec![written(OTHER)], &["x5t#S256"]),
        (PROXY, vec![written(OWN), written(OWN)], &["source", "x5t#S256"]),
        (PROXY, vec!["a".to_owned()], &["form", "x5t#S256"]),
        (STRANGER, vec![written(OWN)], &["peer"]),
        (STRANGER, vec![written(OTHER)], &["peer", "x5t#S256"]),
    ] {
        let seen = explain(&by_header, &from(&token, peer, &values));
        assert_eq!(unmet(&seen), expected, "{values:?}");
    }
    // Who sent no header is not asked.
    let none = explain(&by_header, &from(&token, STRANGER, &[]));
    let met: Vec<_> = checks(&none).iter().map(|check| check.met).collect();
    assert_eq!(met, [Some(true), Some(true), None, None, Some(false)]);
    let broken = explain(&by_header, &from(&token, PROXY, &["a".to_owned()]));
    let form = checks(&broken).iter().find(|check| check.check == "form").expect("a check");
    let said = "1 bytes: it is not written in the form that the policy names";
    assert_eq!(form.has.as_deref(), Some(said));
    // Nobody says who sent the header.
    let mut silent = request(&token);
    silent.headers_mut().insert("client-cert", written(OWN).parse().expect("a value"));
    let seen = explain(&by_header, &silent);
    assert_eq!(unmet(&seen), ["peer"]);
    assert_eq!(checks(&seen)[2].has, None);
}

#[test]
fn who_sent_a_token_without_a_binding_is_not_asked() {
    let token = token().mint();
    for request in [
        request(&token),
        over_tls(&token, ClientCertificate::presented(OTHER)),
        from(&token, STRANGER, &["a".to_owned(), "b".to_owned()]),
    ] {
        for mtls in [Mtls::from_tls(), by_header()] {
            let seen = explain(&policy(mtls.clone()), &request);
            let asked: Vec<_> = checks(&seen).iter().filter_map(|check| check.met).collect();
            assert_eq!(asked, [true], "{seen}");

            let seen = explain(&policy(mtls.required()), &request);
            assert_eq!(unmet(&seen), ["cnf"]);
            assert_eq!(checks(&seen)[0].needs, "`x5t#S256`: the policy requires it");
        }
    }
}

#[test]
fn of_both_bindings_each_is_told() {
    let issuer = issuer();
    let replays = InProcessReplays::new().started_at(UnixTime(NOW - 3600));
    let dpop = Dpop::new(replays).at("https://api.example");
    let builder = issuer.policy_builder().dpop(dpop).mtls(Mtls::from_tls());
    let policy = builder.build().expect("a policy");
    let key = SigningKey::generate(Algorithm::ES256);
    let token = token().bound_to(&key).bound_to_certificate(OWN).mint();
    let proof = issuer.proof(&key, "GET", "https://api.example/other").token(&token).mint();
    let mut request = over_tls(&token, ClientCertificate::presented(OTHER));
    let scheme = format!("DPoP {token}").parse().expect("a value");
    request.headers_mut().insert("authorization", scheme);
    request.headers_mut().insert("dpop", proof.parse().expect("a value"));
    let seen = explain(&policy, &request);
    assert_eq!(unmet(&seen), ["x5t#S256"]);
    let proof = seen.facts().proof.as_ref().expect("a proof");
    let of_proof: Vec<_> = proof.checks.iter().filter(|one| one.met == Some(false)).collect();
    assert!(matches!(&*of_proof, [one] if one.check == "htu"), "{of_proof:?}");
}

#[test]
fn it_is_looked_at_also_where_the_token_is_refused_and_only_in_a_request() {
    let policy = policy(Mtls::from_tls());
    let expired = token().bound_to_certificate(OWN).expired().mint();
    let seen = explain_refused(&policy, &over_tls(&expired, ClientCertificate::presented(OTHER)));
    assert_eq!(seen.refused_by(), Some(Stage::Screen));
    assert_eq!(unmet(&seen), ["x5t#S256"]);
    // A thumbprint that is none is told from none.
    let hex = token().claim("cnf", json!({ "x5t#S256": "00ff" })).mint();
    let seen = explain_refused(&policy, &over_tls(&hex, ClientCertificate::presented(OWN)));
    let has = "no `x5t#S256` that is SHA-256 in base64url";
    assert_eq!(checks(&seen)[0].has.as_deref(), Some(has));
    assert!(policy.explain_now(bound()).facts().certificate.is_none());
    let without = issuer().policy();
    let seen = explain_refused(&without, &over_tls(&bound(), ClientCertificate::presented(OWN)));
    assert!(seen.facts().certificate.is_none());
}

/// Of a token that is refused for another reason.
fn explain_refused(policy: &Policy, request: &http::Request<()>) -> Explanation {
    let explanation = policy.explain_request_now(request).expect("a token");
    assert!(explanation.verdict().is_err());
    explanation
}

#[test]
fn no_certificate_is_shown_and_debug_shows_no_digest() {
    let seen = explain(&policy(by_header()), &from(&bound(), PROXY, &[written(OWN)]));
    let shown = format!("{seen}{}", serde_json::to_string(&seen).expect("JSON"));
    assert!(shown.contains(&digest(OWN)));
    assert!(!shown.contains(&written(OWN)), "{shown}");
    let debug = format!("{:?}", seen.facts().certificate);
    assert!(debug.contains("peer") && !debug.contains(&digest(OWN)), "{debug}");
}

#[test]
fn a_policy_says_what_it_asks_of_certificates() {
    let described = |mtls| serde_json::to_value(policy(mtls).describe().mtls).expect("JSON");
    assert!(issuer().policy().describe().mtls.is_none());
    assert_eq!(
        described(Mtls::from_tls().required()),
        json!({
            "required": true,
            "header": null,
            "form": null,
            "trusted_proxies": [],
            "trusted_unix_socket": false,
        })
    );
    assert_eq!(
        described(by_header().trusted_proxies(["::ffff:10.2.0.0/112"]).trusted_unix_socket()),
        json!({
            "required": false,
            "header": "client-cert",
            "form": "client_cert",
            "trusted_proxies": ["10.0.0.0/24", "10.1.0.1", "10.2.0.0/16"],
            "trusted_unix_socket": true,
        })
    );
    for (header, form) in [
        (CertificateHeader::xfcc(), "xfcc"),
        (CertificateHeader::escaped_pem("X-A"), "escaped_pem"),
        (CertificateHeader::aws_alb_verify(), "escaped_pem"),
        (CertificateHeader::aws_alb_passthrough(), "escaped_pem_chain"),
        (CertificateHeader::base64_der("x-a"), "base64_der"),
        (CertificateHeader::hex_sha256("x-a"), "hex_sha256"),
    ] {
        let name = header.name().to_owned();
        let described = described(Mtls::from_header(header).trusted_proxies(["10.0.0.1"]));
        assert_eq!((&described["form"], &described["header"]), (&json!(form), &json!(name)));
    }
}

#[test]
fn what_a_header_writes_of_a_certificate_is_what_it_reads() {
    for header in [
        CertificateHeader::client_cert(),
        CertificateHeader::xfcc(),
        CertificateHeader::escaped_pem("x-a"),
        CertificateHeader::aws_alb_passthrough(),
        CertificateHeader::base64_der("x-a"),
        CertificateHeader::hex_sha256("x-a"),
    ] {
        let (name, value) = (header.name().to_owned(), header.value_of(OWN));
        let policy = policy(Mtls::from_header(header).trusted_proxies(["10.0.0.7"]));
        let mut request = from(&bound(), PROXY, &[]);
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
        request.headers_mut().insert(name, value.parse().expect("a value"));
        assert!(explain(&policy, &request).verdict().is_ok(), "{value}");
        // What a header may have, and a form would decode to something else.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"%:+/=".contains(&byte);
        assert!(value.bytes().all(is_plain), "{value}");
        assert!(!value.contains('%') || !value.contains('+'), "{value}");
    }
}
