//! Tokens that a real OpenID Provider binds to a client's certificate (RFC 8705), over real TLS.
use portcullis::mtls::Mtls;
use portcullis::{Algorithm, Issuer, Policy, RemoteJwks};
use portcullis_interop::Provider;
use portcullis_mtls_tests::{Client, Door, Identity, Server, forms};

const ALGORITHM: Algorithm = Algorithm::ES256;

fn policy(provider: &Provider, mtls: Mtls) -> Policy {
    let issuer = Issuer::new(provider.issuer())
        .algorithms([ALGORITHM])
        .keys(RemoteJwks::discovery())
        .audience(Provider::audience(ALGORITHM));
    Policy::builder().issuer(issuer).mtls(mtls).build().expect("a policy")
}

async fn ask(client: &Client, server: &Server, token: &str) -> u16 {
    let mut connection = client.connect(&server.address).await.expect("TLS");
    let authorization = format!("Bearer {token}");
    connection.get("/", &[("authorization", &authorization)]).await.expect("an answer").status
}

#[tokio::test]
async fn a_token_of_a_provider_is_for_who_presents_the_certificate_that_it_saw() {
    let Some(provider) = Provider::or_leave_out().await else { return };
    let (own, alice, bob) = (Identity::new(), Identity::new(), Identity::new());
    let bound = provider.token_bound_to(ALGORITHM, &forms::base64_der(&alice)).await;
    let unbound = provider.token(ALGORITHM).await;
    for door in Door::ALL {
        let allowed = Server::behind(door, &own, policy(&provider, Mtls::from_tls())).await;
        let required = Mtls::from_tls().required();
        let required = Server::behind(door, &own, policy(&provider, required)).await;
        for versions in Client::VERSIONS {
            let client = || Client::new(versions);
            for (client, of_bound) in [
                (client().presenting(&alice), 200),
                (client().presenting(&bob), 401),
                (client(), 401),
            ] {
                for (server, of_unbound) in [(&allowed, 200), (&required, 401)] {
                    let found =
                        (ask(&client, server, &bound).await, ask(&client, server, &unbound).await);
                    assert_eq!(found, (of_bound, of_unbound), "{door:?} {versions:?}");
                }
            }
        }
    }
}
