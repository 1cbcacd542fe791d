//! Envoy's own header: what certificates say of their owners in it, and modes in which clients write it.
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis_mtls_tests::{
    Client, Connection, Door, ENVOY, Identity, Proxy, Server, forms, recipe,
};

use super::Bound;

const XFCC: &str = "x-forwarded-client-cert";
/// All of it.
const DETAILS: &str = "subject: true, cert: true, chain: true, dns: true, uri: true";

/// A service whose policy goes by the header, and Envoy in front, which says it as told.
struct Fronted {
    proxy: Proxy,
    _service: Server,
}

impl Fronted {
    async fn new(bound: &Bound, mode: &str, details: &str) -> Self {
        let mtls = Mtls::from_header(CertificateHeader::xfcc()).trusted_proxies(["127.0.0.1"]);
        let service = Server::plain_behind(Door::Axum, bound.policy(mtls)).await;
        let chain = recipe::xfcc_but(mode, details);
        let proxy = Proxy::envoy(&Identity::new(), service.address.port(), &chain).await;
        Self { proxy, _service: service }
    }

    async fn connect(&self, presents: Option<&Identity>) -> Connection {
        let client = Client::new(Client::VERSIONS[2]);
        let client = presents.map_or(client.clone(), |identity| client.presenting(identity));
        client.connect(&self.proxy.address).await.expect("TLS")
    }
}

#[tokio::test]
async fn what_a_certificate_says_of_its_owner_is_read_past() {
    if !Proxy::or_leave_out(ENVOY) {
        return;
    }
    let hash = format!("Hash={}", "0".repeat(64));
    for name in [
        "a, b; c = d + e",
        &hash,
        &format!(";{hash}"),
        &format!("\";{hash};X=\""),
        &format!("\\\";{hash};X=\""),
        "\\",
        "\"",
        " # S\u{f6}hne ",
        "",
    ] {
        let bound = Bound::to(Identity::saying(name, &["spiffe://api.example/a", "b:=c"]));
        let fronted = Fronted::new(&bound, "SANITIZE_SET", DETAILS).await;
        let mut own = fronted.connect(Some(&bound.alice)).await;
        assert_eq!(bound.ask(&mut own, &[]).await, 200, "{name}");
        let another = Identity::saying(name, &[]);
        let mut another = fronted.connect(Some(&another)).await;
        assert_eq!(bound.ask(&mut another, &[]).await, 401, "{name}");
    }
}

/// Envoy writes addresses as they stand in the certificate, and its owner may have made that.
#[tokio::test]
async fn an_address_in_a_certificate_makes_it_nobody_elses() {
    if !Proxy::or_leave_out(ENVOY) {
        return;
    }
    let bound = Bound::new();
    for details in ["uri: true", "dns: true", DETAILS] {
        let fronted = Fronted::new(&bound, "SANITIZE_SET", details).await;
        for written in [forms::xfcc_hash(&bound.alice), forms::xfcc_cert(&bound.alice)] {
            let cert = written.split_once(';').map_or(&*written, |(_, cert)| cert);
            for (before, expected) in [
                ("", 401),
                (";", 401),
                ("x;", 401),
                (",", 401),
                ("x,", 401),
                ("\";", 401),
                ("\"", 401),
                ("\\", 401),
                // Such a request Envoy answers itself.
                ("\r\nX-Forwarded-Client-Cert: ", 503),
                ("\0", 503),
            ] {
                for address in [
                    format!("{before}{written}"),
                    format!("{before}{written};"),
                    format!("{before}{written},"),
                    format!("{before}{written};x=\""),
                    format!("{before}{cert}"),
                ] {
                    let bob = Identity::saying("bob", &[&address]);
                    let mut connection = fronted.connect(Some(&bob)).await;
                    let found = bound.ask(&mut connection, &[]).await;
                    assert_eq!(found, expected, "{details} {address:?}");
                }
            }
        }
    }
}

/// To its owner, too: whether it is one address or the beginning of another element cannot be told.
#[tokio::test]
async fn an_address_with_a_separator_is_refused_unless_envoy_leaves_addresses_out() {
    if !Proxy::or_leave_out(ENVOY) {
        return;
    }
    for address in ["spiffe://a/b;c", "spiffe://a/b,c", "spiffe://a/\"b\""] {
        let bound = Bound::to(Identity::saying("alice", &[address]));
        for (details, expected) in
            [("uri: true", 401), ("dns: true", 401), ("cert: true, subject: true", 200)]
        {
            let fronted = Fronted::new(&bound, "SANITIZE_SET", details).await;
            let mut connection = fronted.connect(Some(&bound.alice)).await;
            assert_eq!(bound.ask(&mut connection, &[]).await, expected, "{address} {details}");
        }
    }
}

#[tokio::test]
async fn an_element_that_envoy_appends_to_is_refused() {
    if !Proxy::or_leave_out(ENVOY) {
        return;
    }
    let bound = Bound::new();
    let victim = forms::xfcc_hash(&bound.alice);
    for details in ["", "uri: true", "dns: true", "subject: true, uri: true", DETAILS] {
        let fronted = Fronted::new(&bound, "APPEND_FORWARD", details).await;
        let mut own = fronted.connect(Some(&bound.alice)).await;
        assert_eq!(bound.ask(&mut own, &[]).await, 200, "{details}");
        // What Envoy writes of a certificate may close what its client began.
        for address in ["a:b", "\"", "\";x=y", "\",x=y", "\\\";x=y"] {
            let bob = Identity::saying("\";x=y", &[address]);
            for presents in [Some(&bob), None] {
                for forged in [
                    victim.clone(),
                    forms::xfcc_cert(&bound.alice),
                    format!("{victim};x=\""),
                    format!("{victim};Subject=\""),
                    format!("{victim};Subject=\"\\"),
                    format!("{victim};x="),
                    format!("x=\";{victim}"),
                ] {
                    let mut connection = fronted.connect(presents).await;
                    let found = bound.ask(&mut connection, &[(XFCC, &forged)]).await;
                    assert_eq!(found, 401, "{details} {address} {forged}");
                }
            }
        }
    }
}

/// No policy can tell: that is why the guide asks for `SANITIZE_SET`.
#[tokio::test]
async fn where_envoy_forwards_its_clients_header_they_may_be_anybody() {
    if !Proxy::or_leave_out(ENVOY) {
        return;
    }
    let (bound, bob) = (Bound::new(), Identity::new());
    let forged = forms::xfcc_hash(&bound.alice);
    for (mode, with_a_certificate, without) in [
        ("FORWARD_ONLY", 200, 401),
        ("ALWAYS_FORWARD_ONLY", 200, 200),
        ("SANITIZE", 401, 401),
        ("SANITIZE_SET", 401, 401),
    ] {
        let fronted = Fronted::new(&bound, mode, "cert: true").await;
        for (presents, expected) in [(Some(&bob), with_a_certificate), (None, without)] {
            let mut connection = fronted.connect(presents).await;
            let found = bound.ask(&mut connection, &[(XFCC, &forged)]).await;
            assert_eq!(found, expected, "{mode}");
        }
    }
}
