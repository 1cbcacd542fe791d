use super::*;

#[tokio::test]
async fn every_client_gets_what_is_expected() {
    let (own, issuer) = (Identity::new().expect("an identity"), issuer());
    let policy = policy(&issuer.jwks_of(&[Algorithm::ES256])).expect("a policy");
    let config = tls(&own).expect("a configuration");
    let servers = Servers::start(&config, &policy, 0).await.expect("servers");
    let cases = clients::cases(&issuer).expect("clients");
    let report = check::run(servers, &own, &cases).await.expect("a report");
    assert!(report.is_good(), "{report}");
}
