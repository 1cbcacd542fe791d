//! Tokens that are bound to a certificate, over real TLS and behind real proxies.
mod envoy;
mod proxied;

use std::net::Ipv4Addr;

use portcullis::mtls::Mtls;
use portcullis::{Algorithm, Policy};
use portcullis_mtls_tests::{Client, Connection, Door, Identity, Server, forms, get_plain};
use portcullis_testkit::{
    MtlsClient, MtlsRequest, PresentedCertificate, TestIssuer, assert_mtls_over,
};

/// An issuer of tokens for one client.
struct Bound {
    issuer: TestIssuer,
    alice: Identity,
    token: String,
}

impl Bound {
    fn new() -> Self {
        Self::to(Identity::new())
    }

    fn to(alice: Identity) -> Self {
        let issuer = TestIssuer::new("https://id.example");
        let token = issuer.token(Algorithm::ES256).bound_to_certificate(alice.certificate());
        let token = token.mint();
        Self { issuer, alice, token }
    }

    fn policy(&self, mtls: Mtls) -> Policy {
        self.issuer.policy_builder().mtls(mtls).build().expect("a policy")
    }

    /// With which status a request with the token is answered.
    async fn ask(&self, connection: &mut Connection, headers: &[(&str, &str)]) -> u16 {
        let authorization = format!("Bearer {}", self.token);
        let headers = [&[("authorization", authorization.as_str())], headers].concat();
        connection.get("/", &headers).await.expect("an answer").status
    }
}

#[tokio::test]
async fn over_tls_a_token_is_for_who_presents_its_certificate() {
    let (own, bound, bob) = (Identity::new(), Bound::new(), Identity::new());
    for door in Door::ALL {
        let server = Server::behind(door, &own, bound.policy(Mtls::from_tls())).await;
        for versions in Client::VERSIONS {
            let clients = [
                (Client::new(versions).presenting(&bound.alice), 200),
                (Client::new(versions).presenting(&bob), 401),
                (Client::new(versions), 401),
            ];
            for (client, expected) in clients {
                // Twice: the second time, the session is resumed, and the token is remembered.
                for resumed in [false, true] {
                    let mut connection = client.connect(&server.address).await.expect("TLS");
                    assert_eq!(connection.is_resumed(), resumed);
                    let found = bound.ask(&mut connection, &[]).await;
                    assert_eq!(found, expected, "{door:?} {versions:?} {resumed}");
                    // What a header says does not count.
                    let said = forms::client_cert(&bound.alice);
                    let found = bound.ask(&mut connection, &[("client-cert", &said)]).await;
                    assert_eq!(found, expected, "{door:?} {versions:?} {resumed} with a header");
                }
            }
        }
    }
}

/// What the test kit's assertion asks, each time over a connection of its own.
fn headers<'a>(request: &'a MtlsRequest<'_>) -> Vec<(&'a str, &'a str)> {
    request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

impl Bound {
    fn client(&self) -> MtlsClient {
        MtlsClient::new(self.issuer.token(Algorithm::ES256), self.alice.certificate())
    }
}

#[tokio::test]
async fn the_assertion_of_the_test_kit_takes_servers_that_are_right() {
    let (own, bound, bob) = (Identity::new(), Bound::new(), Identity::new());
    for door in Door::ALL {
        let server = Server::behind(door, &own, bound.policy(Mtls::from_tls())).await;
        let send = async |request: &MtlsRequest<'_>| {
            let client = Client::new(Client::VERSIONS[0]);
            let client = match request.presents {
                PresentedCertificate::Own => client.presenting(&bound.alice),
                PresentedCertificate::Other => client.presenting(&bob),
                PresentedCertificate::Nothing => client,
            };
            let mut connection = client.connect(&server.address).await?;
            let answer = connection.get(request.path, &headers(request)).await;
            answer.map(|answer| answer.status)
        };
        assert_mtls_over(&bound.client(), &[("GET", "/")], send).await;
    }
}

#[tokio::test]
#[should_panic(expected = "it answered 503. The server does not say what its TLS handshake saw")]
async fn the_assertion_of_the_test_kit_finds_a_server_that_says_nothing() {
    let bound = Bound::new();
    let server = Server::plain_behind(Door::ALL[0], bound.policy(Mtls::from_tls())).await;
    let send = async |request: &MtlsRequest<'_>| {
        let answer = get_plain(Ipv4Addr::LOCALHOST, &server.address, &headers(request)).await;
        answer.map(|answer| answer.status)
    };
    assert_mtls_over(&bound.client(), &[("GET", "/")], send).await;
}

#[tokio::test]
async fn over_tls_a_stolen_certificate_opens_no_connection() {
    let (own, bound, thief) = (Identity::new(), Bound::new(), Identity::new());
    for door in Door::ALL {
        let server = Server::behind(door, &own, bound.policy(Mtls::from_tls())).await;
        for versions in Client::VERSIONS {
            let client = Client::new(versions);
            let client = client.presenting_with(bound.alice.certificate(), thief.key());
            // Under TLS 1.3, a client learns of it by its first request.
            let Ok(mut connection) = client.connect(&server.address).await else { continue };
            let authorization = format!("Bearer {}", bound.token);
            let answer = connection.get("/", &[("authorization", &authorization)]).await;
            assert!(answer.is_err(), "{door:?} {versions:?}");
        }
    }
}

#[tokio::test]
async fn a_renewed_certificate_needs_a_new_token() {
    let (own, bound) = (Identity::new(), Bound::new());
    let renewed = bound.alice.renewed();
    for door in Door::ALL {
        let server = Server::behind(door, &own, bound.policy(Mtls::from_tls())).await;
        for versions in Client::VERSIONS {
            let client = Client::new(versions).presenting(&bound.alice);
            let mut kept = client.connect(&server.address).await.expect("TLS");
            assert_eq!(bound.ask(&mut kept, &[]).await, 200);
            let other = Client::new(versions).presenting(&renewed);
            let mut other = other.connect(&server.address).await.expect("TLS");
            assert_eq!(bound.ask(&mut other, &[]).await, 401, "{door:?} {versions:?}");
            // On a connection that is kept, the old one counts until it ends.
            assert_eq!(bound.ask(&mut kept, &[]).await, 200);
        }
    }
}

#[tokio::test]
async fn a_server_that_does_not_say_what_it_saw_answers_503() {
    let bound = Bound::new();
    for door in Door::ALL {
        let server = Server::plain_behind(door, bound.policy(Mtls::from_tls())).await;
        let authorization = format!("Bearer {}", bound.token);
        let said = forms::client_cert(&bound.alice);
        let headers = [("authorization", authorization.as_str()), ("client-cert", &said)];
        let answer = get_plain(Ipv4Addr::LOCALHOST, &server.address, &headers).await;
        assert_eq!(answer.expect("an answer").status, 503, "{door:?}");
    }
}
