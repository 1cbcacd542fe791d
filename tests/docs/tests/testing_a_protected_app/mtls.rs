use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_axum::portcullis::mtls::{CertificateHeader, Mtls};
use portcullis_testkit::axum::assert_mtls;
use portcullis_testkit::{MtlsClient, TestIssuer};

use super::*;

#[tokio::test]
async fn a_token_is_for_who_has_its_certificate() {
    let issuer = TestIssuer::new("https://id.example");
    let header = CertificateHeader::client_cert();
    let mtls = Mtls::from_header(header.clone()).trusted_proxies(["10.0.0.0/24"]);
    let app = app(policy(issuer.policy_builder().mtls(mtls)).expect("a policy"));

    let token = issuer.token(ES256).scope("orders:read").claim("tenant", "acme");
    // Any bytes: the proxy, and not the service, reads the certificate.
    let client = MtlsClient::new(token, b"a certificate").behind_proxy(header, [10, 0, 0, 7]);
    assert_mtls(&app, &client, &[("GET", "/orders")]).await;
}
