use portcullis_axum::portcullis::Algorithm::ES256;
use portcullis_axum::portcullis::mtls::{CertificateHeader, Mtls};
use portcullis_testkit::axum::assert_mtls;
use portcullis_testkit::{MtlsClient, TestIssuer};

use super::*;

#[tokio::test]
async fn a_token_is_for_who_has_its_certificate() {
    let issuer = TestIssuer::new("https://id.example");
    let header = CertificateHeader::client_cert();
    let mtls = Mtls::from_header(header.clone());
    let mtls = mtls.trusted_proxies(["10.0.0.0/24"]);
    let builder = issuer.policy_builder().mtls(mtls);
    let app = app(policy(builder).expect("a policy"));

    let token = issuer.token(ES256).claim("tenant", "acme");
    let token = token.scope("orders:read");
    // Any bytes: the proxy, and not the service, reads the certificate.
    let client = MtlsClient::new(token, b"a certificate").behind_proxy(header, [10, 0, 0, 7]);
    assert_mtls(&app, &client, &[("GET", "/orders")]).await;
}
