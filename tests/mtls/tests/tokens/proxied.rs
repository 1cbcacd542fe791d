//! Behind proxies, which say in a header what their client presented.
use std::net::Ipv4Addr;

use portcullis::Algorithm;
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis_mtls_tests::{
    Client, Door, ENVOY, HAPROXY, Identity, NGINX, Proxy, Server, forms, get_plain, recipe,
};

use super::Bound;

/// Through a proxy, of which the policy goes by this header, with clients that forge it.
async fn through(proxy: &Proxy, bound: &Bound, header: &str, forged: &str, what: &str) {
    let bob = Identity::new();
    for versions in Client::VERSIONS {
        let clients = [
            (Client::new(versions).presenting(&bound.alice), 200),
            (Client::new(versions).presenting_before(&bound.alice, &bob), 200),
            (Client::new(versions).presenting(&bob), 401),
            (Client::new(versions).presenting_before(&bob, &bound.alice), 401),
            (Client::new(versions), 401),
        ];
        for (client, expected) in clients {
            for _ in 0..2 {
                let mut connection = client.connect(&proxy.address).await.expect("TLS");
                for headers in [&[][..], &[(header, forged)], &[(header, forged), (header, "x")]] {
                    let found = bound.ask(&mut connection, headers).await;
                    assert_eq!(found, expected, "{what} {versions:?} {headers:?}");
                }
            }
        }
    }
}

/// Past the proxy, from an address that is not listed, and from the one that is.
async fn past(service: &Server, bound: &Bound, header: &str, forged: &str) {
    let authorization = format!("Bearer {}", bound.token);
    let headers = [("authorization", authorization.as_str()), (header, forged)];
    let from = |address| get_plain(address, &service.address, &headers);
    let outside = from(Ipv4Addr::new(127, 0, 0, 2)).await.expect("an answer");
    assert_eq!(outside.status, 401);
    // Whoever is at the proxy's address is the proxy.
    let inside = from(Ipv4Addr::LOCALHOST).await.expect("an answer");
    assert_eq!(inside.status, 200);
}

#[tokio::test]
async fn behind_nginx_a_token_is_for_who_presents_its_certificate() {
    if !Proxy::or_leave_out(NGINX) {
        return;
    }
    let (own, bound) = (Identity::new(), Bound::new());
    let header = CertificateHeader::escaped_pem("X-Client-Cert");
    for door in Door::ALL {
        let mtls = Mtls::from_header(header.clone()).trusted_proxies(["127.0.0.1"]);
        let service = Server::plain_behind(door, bound.policy(mtls)).await;
        let port = service.address.port();
        let server = format!(
            "location / {{
               proxy_set_header X-Client-Cert $ssl_client_escaped_cert;
               proxy_pass http://127.0.0.1:{port};
             }}"
        );
        let proxy = Proxy::nginx(&own, &server).await;
        let forged = forms::escaped_pem(&bound.alice);
        through(&proxy, &bound, "x-client-cert", &forged, "nginx").await;
        past(&service, &bound, "x-client-cert", &forged).await;
    }
}

#[tokio::test]
async fn behind_haproxy_a_token_is_for_who_presents_its_certificate() {
    if !Proxy::or_leave_out(HAPROXY) {
        return;
    }
    let (own, bound) = (Identity::new(), Bound::new());
    type Row = (CertificateHeader, &'static str, &'static str, fn(&Identity) -> String);
    let rows: [Row; 4] = [
        (
            CertificateHeader::base64_der("X-Client-Cert"),
            "x-client-cert",
            "%[ssl_c_der,base64]",
            forms::base64_der,
        ),
        (
            CertificateHeader::client_cert(),
            "client-cert",
            ":%[ssl_c_der,base64]:",
            forms::client_cert,
        ),
        (
            CertificateHeader::hex_sha256("X-Client-Cert-SHA256"),
            "x-client-cert-sha256",
            "%[ssl_c_der,sha2(256),hex]",
            forms::hex_sha256,
        ),
        // Envoy's form, which HAProxy can write as well.
        (
            CertificateHeader::xfcc(),
            "x-forwarded-client-cert",
            "Hash=%[ssl_c_der,sha2(256),hex]",
            forms::xfcc,
        ),
    ];
    for (form, header, value, forge) in rows {
        for door in Door::ALL {
            let mtls = Mtls::from_header(form.clone()).trusted_proxies(["127.0.0.1"]);
            let service = Server::plain_behind(door, bound.policy(mtls)).await;
            let rules = format!(
                "http-request del-header {header}
                 http-request set-header {header} {value} if {{ ssl_c_used }}"
            );
            let proxy = Proxy::haproxy(&own, service.address.port(), &rules).await;
            let forged = forge(&bound.alice);
            through(&proxy, &bound, header, &forged, header).await;
            past(&service, &bound, header, &forged).await;
        }
    }
}

#[tokio::test]
async fn behind_envoy_a_token_is_for_who_presents_its_certificate() {
    if !Proxy::or_leave_out(ENVOY) {
        return;
    }
    let (own, bound) = (Identity::new(), Bound::new());
    let all = "subject: true, cert: true, chain: true, dns: true, uri: true";
    type Row = (CertificateHeader, String, fn(&Identity) -> String);
    let rows: [Row; 6] = [
        (CertificateHeader::xfcc(), recipe::xfcc(), forms::xfcc_hash),
        (
            CertificateHeader::xfcc(),
            recipe::xfcc_but("SANITIZE_SET", "cert: true"),
            forms::xfcc_cert,
        ),
        (CertificateHeader::xfcc(), recipe::xfcc_but("SANITIZE_SET", all), forms::xfcc),
        (
            CertificateHeader::escaped_pem("X-Client-Cert"),
            recipe::header("X-Client-Cert", "%DOWNSTREAM_PEER_CERT%"),
            forms::escaped_pem,
        ),
        (
            CertificateHeader::hex_sha256("X-Client-Cert-SHA256"),
            recipe::header("X-Client-Cert-SHA256", "%DOWNSTREAM_PEER_FINGERPRINT_256%"),
            forms::lower_hex_sha256,
        ),
        (CertificateHeader::client_cert(), recipe::client_cert(), forms::client_cert),
    ];
    for (form, filter_chain, forge) in rows {
        for door in Door::ALL {
            let mtls = Mtls::from_header(form.clone()).trusted_proxies(["127.0.0.1"]);
            let service = Server::plain_behind(door, bound.policy(mtls)).await;
            let proxy = Proxy::envoy(&own, service.address.port(), &filter_chain).await;
            let forged = forge(&bound.alice);
            through(&proxy, &bound, form.name(), &forged, form.name()).await;
            past(&service, &bound, form.name(), &forged).await;
        }
    }
}

#[tokio::test]
async fn an_empty_header_of_haproxy_says_that_there_is_no_certificate() {
    if !Proxy::or_leave_out(HAPROXY) {
        return;
    }
    let (own, bound) = (Identity::new(), Bound::new());
    let header = CertificateHeader::base64_der("X-Client-Cert");
    let mtls = Mtls::from_header(header).trusted_proxies(["127.0.0.1"]);
    let service = Server::plain_behind(Door::Axum, bound.policy(mtls)).await;
    let rules = "http-request set-header X-Client-Cert %[ssl_c_der,base64]";
    let proxy = Proxy::haproxy(&own, service.address.port(), rules).await;
    let nobody = Client::new(Client::VERSIONS[2]);
    let mut connection = nobody.connect(&proxy.address).await.expect("TLS");
    assert_eq!(bound.ask(&mut connection, &[]).await, 401);
    // A token that is bound to nothing is not in its way.
    let unbound = bound.issuer.token(Algorithm::ES256).mint();
    let authorization = format!("Bearer {unbound}");
    let answer = connection.get("/", &[("authorization", &authorization)]).await;
    assert_eq!(answer.expect("an answer").status, 200);
}

/// Also where no Envoy is installed. What an Application Load Balancer of AWS writes is as its documentation has it.
#[tokio::test]
async fn what_envoy_and_aws_write_is_read() {
    let bound = Bound::new();
    type Row = (CertificateHeader, &'static str, fn(&Identity) -> String);
    let rows: [Row; 3] = [
        (CertificateHeader::xfcc(), "x-forwarded-client-cert", forms::xfcc),
        (CertificateHeader::aws_alb_verify(), "x-amzn-mtls-clientcert-leaf", forms::aws_leaf),
        (CertificateHeader::aws_alb_passthrough(), "x-amzn-mtls-clientcert", forms::aws_leaf),
    ];
    for (form, header, write) in rows {
        let mtls = Mtls::from_header(form).trusted_proxies(["127.0.0.1"]);
        let service = Server::plain_behind(Door::Axum, bound.policy(mtls)).await;
        let authorization = format!("Bearer {}", bound.token);
        for (value, expected) in
            [(write(&bound.alice), 200), (write(&Identity::new()), 401), ("x".to_owned(), 401)]
        {
            let headers = [("authorization", authorization.as_str()), (header, &value)];
            let answer = get_plain(Ipv4Addr::LOCALHOST, &service.address, &headers).await;
            assert_eq!(answer.expect("an answer").status, expected, "{header}");
        }
    }
}
