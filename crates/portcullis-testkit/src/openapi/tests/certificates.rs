//! Certificates beside tokens.
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis::request::ClientCertificate;

use super::*;

/// The bytes of no certificate, which nobody reads here.
const DER: &[u8] = b"a certificate";

fn with_mtls(mtls: Mtls) -> Router {
    let policy = issuer().policy_builder().mtls(mtls).build().expect("a policy");
    let orders = get(async |_: Authorized<Read>| "orders");
    Router::new().route("/orders", orders).layer(VerifyLayer::new(policy))
}

fn by_proxy() -> Mtls {
    Mtls::from_header(CertificateHeader::client_cert()).trusted_proxies(["10.0.0.7"])
}

pub(super) fn client() -> MtlsClient {
    MtlsClient::new(issuer().token(Algorithm::ES256), DER)
}

fn bound(wanted: &WantedToken<'_>) -> String {
    let token = issuer().token(Algorithm::ES256).scope(wanted.scope());
    match wanted.certificate() {
        Some(der) => token.bound_to_certificate(der).mint(),
        None => token.mint(),
    }
}

/// What is found of a client with a certificate.
pub(super) async fn found_of(app: &Router, security: &Value, client: &MtlsClient) -> Vec<String> {
    let document = at("/orders", security);
    lines(ask_with(app, OpenApi::new(&document, bound).mtls_client(client)).await)
}

#[tokio::test]
async fn a_certificate_beside_the_token_is_presented_and_needed() {
    let both = json!([{ "certificate": [], "token": ["orders:read"] }]);
    let proxied = client().behind_proxy(CertificateHeader::client_cert(), [10, 0, 0, 7]);
    let (tls, header) = (with_mtls(Mtls::from_tls().required()), with_mtls(by_proxy().required()));
    assert_eq!(found_of(&tls, &both, &client()).await, [""; 0]);
    assert_eq!(found_of(&header, &both, &proxied).await, [""; 0]);
    // By a way that the policy does not go by.
    let faults = found_of(&header, &both, &client()).await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains("with `orders:read` in `token` it answered 401"), "{faults:?}");
    // What a document leaves out, a client does not bring.
    assert_eq!(
        found_of(&tls, &json!([{ "token": ["orders:read"] }]), &client()).await,
        [
            "GET /orders: with `orders:read` in `token` it answered 401: the token is bound to no certificate, and the policy takes only tokens that are: the document does not say that it takes a certificate as well"
        ]
    );
    let too_many = json!([{ "certificate": [], "token": ["orders:read", "orders:list"] }]);
    assert_eq!(found_of(&tls, &too_many, &client()).await.len(), 2);
}

#[tokio::test]
async fn a_certificate_that_the_document_asks_for_and_the_app_does_not_is_found() {
    let both = json!([{ "certificate": [], "token": ["orders:read"] }]);
    // It holds bound tokens to their certificates, and takes others.
    assert_eq!(
        found_of(&with_mtls(Mtls::from_tls()), &both, &client()).await,
        [
            "GET /orders: with a token that is bound to no certificate, and without one, it answered 200, though its `security` asks for one"
        ]
    );
    // Whoever binds all tokens shows nothing of others.
    let document = at("/orders", &both);
    let client = client();
    let api = OpenApi::new(&document, |wanted: &WantedToken<'_>| {
        issuer().token(Algorithm::ES256).scope(wanted.scope()).bound_to_certificate(DER).mint()
    });
    let allowed = with_mtls(Mtls::from_tls());
    assert_eq!(lines(ask_with(&allowed, api.mtls_client(&client)).await), [""; 0]);
    // Everybody is taken for who has the certificate.
    let mistaken = async |mut request: Request, next: Next| {
        request.extensions_mut().insert(ClientCertificate::presented(DER));
        next.run(request).await
    };
    let app = with_mtls(Mtls::from_tls().required()).layer(from_fn(mistaken));
    assert_eq!(
        found_of(&app, &both, &client).await,
        [
            "GET /orders: without the certificate that its token is bound to it answered 200, though its `security` asks for one"
        ]
    );
}

#[tokio::test]
async fn a_certificate_in_place_of_a_token_is_found() {
    let certificate_alone = async |request: Request, next: Next| {
        let said = request.extensions().get::<ClientCertificate>();
        match said.and_then(ClientCertificate::sha256) {
            Some(_) => "orders".into_response(),
            None => next.run(request).await,
        }
    };
    let app = with_mtls(Mtls::from_tls().required()).layer(from_fn(certificate_alone));
    let both = json!([{ "token": ["orders:read"], "certificate": [] }]);
    assert_eq!(
        found_of(&app, &both, &client()).await,
        [
            "GET /orders: with a certificate and without a token it answered 200, though its `security` asks for one"
        ]
    );
}

#[tokio::test]
async fn a_certificate_that_nobody_gave_is_named_as_untested() {
    let both = json!([{ "certificate": [], "token": ["orders:read"] }]);
    assert_eq!(
        found(&with_mtls(Mtls::from_tls().required()), &at("/orders", &both)).await,
        [
            "GET /orders: asks for a certificate beside `token`: give a client that has one, by `OpenApi::mtls_client`"
        ]
    );
}

#[tokio::test]
async fn a_token_that_another_alternative_takes_without_a_certificate_is_not_refused_without_it() {
    let either = json!([
        { "certificate": [], "token": ["orders:read"] },
        { "token": ["orders:read"] },
    ]);
    assert_eq!(found_of(&with_mtls(Mtls::from_tls()), &either, &client()).await, [""; 0]);
}

#[tokio::test]
async fn an_alternative_with_a_certificate_is_not_met_without_one() {
    let either = json!([
        { "token": ["orders:read", "orders:list"] },
        { "certificate": [], "token": ["orders:read"] },
    ]);
    assert_eq!(
        found_of(&with_mtls(Mtls::from_tls()), &either, &client()).await,
        [
            "GET /orders: without the scope `orders:list` in `token` it answered 200, and not as a requirement does",
            "GET /orders: with a token that is bound to no certificate, and without one, it answered 200, though its `security` asks for one",
        ]
    );
}

#[tokio::test]
async fn a_server_that_does_not_say_that_there_was_no_certificate_is_found() {
    let silent = async |mut request: Request, next: Next| {
        let said = request.extensions().get::<ClientCertificate>();
        if said.is_some_and(|said| said.sha256().is_none()) {
            request.extensions_mut().remove::<ClientCertificate>();
        }
        next.run(request).await
    };
    let app = with_mtls(Mtls::from_tls().required()).layer(from_fn(silent));
    let both = json!([{ "certificate": [], "token": ["orders:read"] }]);
    let faults = found_of(&app, &both, &client()).await;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].contains("is bound to it answered 503: the server does not say"),
        "{faults:?}"
    );
}
