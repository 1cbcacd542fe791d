//! What arrives at a service behind nginx, HAProxy and Envoy, of honest clients and of those that write the proxy's header themselves.
//!
//! The configurations are those that the service's policy is made for. Three have a mistake that is easily made.
use std::net::Ipv4Addr;

use portcullis_mtls_tests::{
    Client, Door, ENVOY, HAPROXY, Identity, NGINX, Proxy, Server, forms, get_plain, recipe,
};

/// What a client may write, beside what the proxy adds.
const FORGED: [(&str, &str); 6] = [
    ("x-client-cert", "forged"),
    ("client-cert", ":forged:"),
    ("x-forwarded-client-cert", "Hash=forged"),
    ("X-Forwarded-Client-Cert", "Hash=\"forged"),
    ("x_client_cert", "forged"),
    ("x-client-cert", "forged again"),
];

/// A header with a certificate in it, and how a proxy writes it.
type Header = (&'static str, fn(&Identity) -> String);

const HAPROXY_HEADERS: [Header; 3] = [
    ("x-client-cert", forms::base64_der),
    ("client-cert", forms::client_cert),
    ("x-client-cert-sha256", forms::hex_sha256),
];

async fn nginx(own: &Identity, service: &Server) -> Proxy {
    let port = service.address.port();
    let server = format!(
        "proxy_set_header X-Client-Cert $ssl_client_escaped_cert;
         proxy_set_header Client-Cert \"\";
         location / {{ proxy_pass http://127.0.0.1:{port}; }}
         # A mistake: one header of its own, and it has none of those above.
         location /forgetful {{ proxy_pass http://127.0.0.1:{port}; proxy_set_header X-Other yes; }}"
    );
    Proxy::nginx(own, &server).await
}

async fn haproxy(own: &Identity, service: &Server) -> Proxy {
    let rules = "http-request del-header X-Client-Cert -m beg
                 http-request del-header Client-Cert
                 http-request set-header X-Client-Cert %[ssl_c_der,base64] if { ssl_c_used }
                 http-request set-header X-Client-Cert-SHA256 %[ssl_c_der,sha2(256),hex] if { ssl_c_used }
                 http-request set-header Client-Cert :%[ssl_c_der,base64]: if { ssl_c_used }";
    Proxy::haproxy(own, service.address.port(), rules).await
}

async fn envoy(own: &Identity, service: &Server, filter_chain: &str) -> Proxy {
    Proxy::envoy(own, service.address.port(), filter_chain).await
}

/// What arrives of clients with and without a certificate, which forge headers, in a session of their own and in one that is
/// resumed. `nothing`: the values of the header that says that there is none.
async fn arrives(proxy: &Proxy, headers: &[Header], nothing: &[&str], what: &str) {
    let alice = Identity::new();
    for versions in Client::VERSIONS {
        for presents in [Some(&alice), None] {
            let client = Client::new(versions);
            let client = presents.map_or(client.clone(), |identity| client.presenting(identity));
            for resumed in [false, true] {
                let mut connection = client.connect(&proxy.address).await.expect("a connection");
                assert_eq!(connection.is_resumed(), resumed, "{what} {versions:?}");
                for forged in [&FORGED[..], &[]] {
                    let answer = connection.get("/", forged).await.expect("an answer");
                    for (name, form) in headers {
                        let found = answer.header(name);
                        let said = format!("{what} {versions:?} {name} {resumed}");
                        match presents {
                            Some(identity) => assert_eq!(found, [form(identity)], "{said}"),
                            None => assert_eq!(found, nothing, "{said}"),
                        }
                    }
                    assert_eq!(answer.certificate(), "unknown", "the service itself has no TLS");
                    let peer = answer.said()["peer"].as_str().expect("a peer").to_owned();
                    assert!(peer.starts_with("127.0.0.1:"), "{what} {peer}");
                }
            }
        }
    }
}

#[tokio::test]
async fn nginx_hands_on_the_certificate_and_nothing_that_clients_forge() {
    if !Proxy::or_leave_out(NGINX) {
        return;
    }
    let own = Identity::new();
    for door in Door::ALL {
        let service = Server::plain(door).await;
        let proxy = nginx(&own, &service).await;
        arrives(&proxy, &[("x-client-cert", forms::escaped_pem)], &[], "nginx").await;

        let client = Client::new(Client::VERSIONS[0]);
        let mut connection = client.connect(&proxy.address).await.expect("a connection");
        let answer = connection.get("/", &FORGED).await.expect("an answer");
        // By itself, nginx drops names with an underscore.
        for name in ["client-cert", "x_client_cert"] {
            assert_eq!(answer.header(name), [""; 0], "{name}");
        }
    }
}

#[tokio::test]
async fn nginx_hands_on_what_clients_forge_where_a_location_sets_a_header_of_its_own() {
    if !Proxy::or_leave_out(NGINX) {
        return;
    }
    let (own, alice) = (Identity::new(), Identity::new());
    let service = Server::plain(Door::Axum).await;
    let proxy = nginx(&own, &service).await;
    let client = Client::new(Client::VERSIONS[2]).presenting(&alice);
    let mut connection = client.connect(&proxy.address).await.expect("a connection");
    let answer = connection.get("/forgetful", &FORGED).await.expect("an answer");
    assert_eq!(answer.header("x-client-cert"), ["forged", "forged again"]);
    assert_eq!(answer.header("client-cert"), [":forged:"]);
    assert_eq!(answer.header("x-other"), ["yes"]);
}

#[tokio::test]
async fn haproxy_hands_on_the_certificate_and_nothing_that_clients_forge() {
    if !Proxy::or_leave_out(HAPROXY) {
        return;
    }
    let own = Identity::new();
    for door in Door::ALL {
        let service = Server::plain(door).await;
        let proxy = haproxy(&own, &service).await;
        arrives(&proxy, &HAPROXY_HEADERS, &[], "HAProxy").await;

        // It takes a name with an underscore for another, and so must the service.
        let client = Client::new(Client::VERSIONS[0]);
        let mut connection = client.connect(&proxy.address).await.expect("a connection");
        let answer = connection.get("/", &FORGED).await.expect("an answer");
        assert_eq!(answer.header("x_client_cert"), ["forged"]);
    }
}

#[tokio::test]
async fn haproxy_sends_an_empty_header_or_the_clients_own_where_its_rules_say_so() {
    if !Proxy::or_leave_out(HAPROXY) {
        return;
    }
    let own = Identity::new();
    let service = Server::plain(Door::Axum).await;
    // Without a condition, it sets what is empty. With one and without `del-header`, the client's own stays.
    let rules = "http-request set-header X-Client-Cert %[ssl_c_der,base64]
                 http-request set-header Client-Cert :%[ssl_c_der,base64]: if { ssl_c_used }";
    let proxy = Proxy::haproxy(&own, service.address.port(), rules).await;
    let client = Client::new(Client::VERSIONS[2]);
    let mut connection = client.connect(&proxy.address).await.expect("a connection");
    let answer = connection.get("/", &FORGED).await.expect("an answer");
    assert_eq!(answer.header("x-client-cert"), [""]);
    assert_eq!(answer.header("client-cert"), [":forged:"]);
}

#[tokio::test]
async fn envoy_hands_on_the_certificate_and_nothing_that_clients_forge() {
    if !Proxy::or_leave_out(ENVOY) {
        return;
    }
    const XFCC: &str = "x-forwarded-client-cert";
    let own = Identity::new();
    let all = "subject: true, cert: true, chain: true, dns: true, uri: true";
    let rows: [(String, Header, &[&str]); 5] = [
        (recipe::xfcc(), (XFCC, forms::xfcc_hash), &[]),
        (recipe::xfcc_but("SANITIZE_SET", "cert: true"), (XFCC, forms::xfcc_cert), &[]),
        (recipe::xfcc_but("SANITIZE_SET", all), (XFCC, forms::xfcc), &[]),
        (
            recipe::header("X-Client-Cert", "%DOWNSTREAM_PEER_CERT%"),
            ("x-client-cert", forms::escaped_pem),
            &[""],
        ),
        (
            recipe::header("X-Client-Cert", "%DOWNSTREAM_PEER_FINGERPRINT_256%"),
            ("x-client-cert", forms::lower_hex_sha256),
            &[""],
        ),
    ];
    for door in Door::ALL {
        let service = Server::plain(door).await;
        for (filter_chain, header, nothing) in &rows {
            let proxy = envoy(&own, &service, filter_chain).await;
            arrives(&proxy, &[*header], nothing, "Envoy").await;
        }
        // It takes a name with an underscore for another, and so must the service.
        let proxy = envoy(&own, &service, &recipe::header("X-Client-Cert", "x")).await;
        let client = Client::new(Client::VERSIONS[0]);
        let mut connection = client.connect(&proxy.address).await.expect("a connection");
        let answer = connection.get("/", &FORGED).await.expect("an answer");
        assert_eq!(answer.header("x_client_cert"), ["forged"]);
        assert_eq!(answer.header("x-client-cert"), ["x"]);
    }
}

#[tokio::test]
async fn envoy_hands_on_what_clients_forge_where_it_has_nothing_to_set() {
    if !Proxy::or_leave_out(ENVOY) {
        return;
    }
    let own = Identity::new();
    let service = Server::plain(Door::Axum).await;
    // "Overwrite" is not done with what is empty, and without a certificate it is.
    let filter_chain = recipe::header("X-Client-Cert", "%DOWNSTREAM_PEER_CERT%");
    let forgetful = filter_chain.replace("keep_empty_value: true", "keep_empty_value: false");
    assert_ne!(forgetful, filter_chain);
    let proxy = envoy(&own, &service, &forgetful).await;
    let client = Client::new(Client::VERSIONS[2]);
    let mut connection = client.connect(&proxy.address).await.expect("a connection");
    let answer = connection.get("/", &FORGED).await.expect("an answer");
    assert_eq!(answer.header("x-client-cert"), ["forged", "forged again"]);
}

#[tokio::test]
async fn envoy_with_an_authority_takes_its_certificates_alone() {
    if !Proxy::or_leave_out(ENVOY) {
        return;
    }
    let (own, other) = (Identity::new(), Identity::new());
    let service = Server::plain(Door::Axum).await;
    let any = "trust_chain_verification: ACCEPT_UNTRUSTED";
    let authority = "trusted_ca: { filename: /etc/envoy/tls.pem }";
    let filter_chain = recipe::xfcc().replace(any, authority);
    let proxy = envoy(&own, &service, &filter_chain).await;
    for versions in Client::VERSIONS {
        let ask = async |client: Client| client.get(&proxy.address, "/").await;
        let answer = ask(Client::new(versions).presenting(&own)).await.expect("an answer");
        assert_eq!(answer.header("x-forwarded-client-cert"), [forms::xfcc_hash(&own)]);
        let answer = ask(Client::new(versions)).await.expect("an answer");
        assert_eq!(answer.header("x-forwarded-client-cert"), [""; 0]);
        let found = ask(Client::new(versions).presenting(&other)).await;
        assert!(found.is_err(), "{versions:?} {found:?}");
    }
}

#[tokio::test]
async fn proxies_refuse_a_client_with_the_certificate_of_another() {
    let (own, victim, thief) = (Identity::new(), Identity::new(), Identity::new());
    let service = Server::plain(Door::Axum).await;
    let mut proxies = Vec::new();
    if Proxy::or_leave_out(NGINX) {
        proxies.push(nginx(&own, &service).await);
    }
    if Proxy::or_leave_out(HAPROXY) {
        proxies.push(haproxy(&own, &service).await);
    }
    if Proxy::or_leave_out(ENVOY) {
        proxies.push(envoy(&own, &service, &recipe::xfcc()).await);
    }
    for proxy in proxies {
        for versions in Client::VERSIONS {
            let stolen = Client::new(versions).presenting_with(victim.certificate(), thief.key());
            let found = stolen.get(&proxy.address, "/").await;
            assert!(found.is_err(), "{versions:?} {found:?}");

            let right = Client::new(versions).presenting(&victim);
            assert!(right.get(&proxy.address, "/").await.is_ok(), "{versions:?}");
        }
    }
}

#[tokio::test]
async fn whoever_goes_around_the_proxy_comes_from_an_address_of_their_own() {
    let alice = Identity::new();
    for door in Door::ALL {
        let service = Server::plain(door).await;
        let (inside, header) = (Ipv4Addr::new(127, 0, 0, 2), forms::escaped_pem(&alice));
        let answer = get_plain(inside, &service.address, &[("x-client-cert", &header)]).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.header("x-client-cert"), [header], "{door:?}");
        let peer = answer.said()["peer"].as_str().expect("a peer").to_owned();
        assert!(peer.starts_with("127.0.0.2:"), "{door:?} {peer}");
    }
}
