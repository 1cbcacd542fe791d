use super::*;

#[tokio::test]
async fn every_client_gets_what_is_expected() {
    let own = Identity::new().expect("an identity");
    let servers = Servers::start(&tls(&own).expect("a configuration"), 0).await.expect("servers");
    let cases = clients::cases().expect("clients");
    let report = check::run(servers, &own, &cases).await.expect("a report");
    assert!(report.is_good(), "{report}");
}
