//! A service of tonic, which is told the certificate by our server, and behind tonic's own TLS by a layer.
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::iter;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis::tls::AnyClientCertificate;
use portcullis_axum::tls::Tls;
use portcullis_mtls_tests::{Client, Identity, Server, listen, said, tls_config};
use rustls::crypto::aws_lc_rs::default_provider;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming, TlsConnectInfo};
use tonic::transport::{self, Certificate, ServerTlsConfig};
use tower::Service;
use tower::util::MapRequestLayer;

/// Answers what it is [told](said).
#[derive(Clone, Debug)]
struct Said;

impl NamedService for Said {
    const NAME: &'static str = "said";
}

impl Service<Request<Body>> for Said {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let text = said::of(&request, iter::empty()).to_string();
        let body = Full::from(text).map_err(|never| -> Status { match never {} });
        ready(Ok(Response::new(Body::new(body))))
    }
}

/// What tonic's own TLS knows of a connection. It goes in front of the policy's layer.
fn told<B>(mut request: Request<B>) -> Request<B> {
    type Info = TlsConnectInfo<TcpConnectInfo>;
    if let Some(info) = request.extensions().get::<Info>().cloned() {
        let said = match info.peer_certs().as_deref().map(Vec::as_slice) {
            Some([own, ..]) => ClientCertificate::presented(own.as_ref()),
            _ => ClientCertificate::absent(),
        };
        request.extensions_mut().insert(said);
        if let Some(peer) = info.get_ref().remote_addr() {
            request.extensions_mut().insert(PeerAddress::Ip(peer));
        }
    }
    request
}

async fn tells(server: &Server, alice: &Identity) {
    for versions in Client::VERSIONS.into_iter().filter(|(_, http2)| *http2) {
        for (client, expected) in [
            (Client::new(versions).presenting(alice), alice.thumbprint()),
            (Client::new(versions), "absent".to_owned()),
        ] {
            let mut connection = client.connect(&server.address).await.expect("a connection");
            let answer = connection.get("/said/Anything", &[]).await.expect("an answer");
            assert_eq!(answer.certificate(), expected, "{versions:?}");
            assert_eq!(answer.said()["peer"].as_str(), connection.own_address(), "{versions:?}");
        }
    }
}

#[tokio::test]
async fn our_server_tells_services_of_tonic() {
    let (own, alice) = (Identity::new(), Identity::new());
    let any = AnyClientCertificate::new(&default_provider()).optional();
    let tls = Tls::new(tls_config(&own, Arc::new(any))).expect("a good configuration");
    let server = Server::axum(tls, Routes::new(Said).into_axum_router()).await;
    tells(&server, &alice).await;
}

#[tokio::test]
async fn a_layer_tells_services_behind_the_tls_of_tonic() {
    let (own, alice) = (Identity::new(), Identity::new());
    let tls = ServerTlsConfig::new()
        .identity(transport::Identity::from_pem(own.pem(), own.key_pem()))
        .client_ca_root(Certificate::from_pem(alice.pem()))
        .client_auth_optional(true);
    let server = transport::Server::builder().tls_config(tls).expect("a good configuration");
    let server = server.layer(MapRequestLayer::new(told)).add_service(Said);
    let (listener, address) = listen().await;
    let serving = server.serve_with_incoming(TcpIncoming::from(listener));
    let server = Server::task(address, async { serving.await.map_err(std::io::Error::other) });
    tells(&server, &alice).await;

    let other = Client::new(Client::VERSIONS[3]).presenting(&Identity::new());
    assert!(other.get(&server.address, "/said/Anything").await.is_err(), "tonic asks for a chain");
}
