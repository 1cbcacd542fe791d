//! What a policy is shown of a request, where axum knows more than the request says.
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, Request};
use axum::routing::get;
use http_body_util::BodyExt;
use portcullis_axum::AxumRequest;
use portcullis_axum::portcullis::RequestView;
use portcullis_axum::portcullis::request::{ClientCertificate, PeerAddress};
use tower::ServiceExt;

/// The path that the client asked for, and the one that axum left of it.
async fn paths(request: Request) -> String {
    let (head, _) = request.into_parts();
    format!("{} {}", AxumRequest::from(&head).path().expect("a path"), head.uri.path())
}

async fn ask(router: &Router, target: &str) -> String {
    let request = Request::get(target).body(Body::empty()).expect("a request");
    let response = router.clone().oneshot(request).await.expect("infallible");
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.into()).expect("text")
}

#[tokio::test]
async fn the_path_is_whole_though_a_router_strips_it() {
    let inner = || Router::new().route("/{*rest}", get(paths));
    let router = Router::new()
        .nest("/a", Router::new().nest("/b", inner()).fallback(paths))
        .nest("/{tenant}/x", inner())
        .nest_service("/service", inner())
        .merge(Router::new().route("/merged", get(paths)))
        .fallback(paths);
    for (target, seen) in [
        ("/a/b/c", "/a/b/c /c"),
        ("/a/b/%63/%2F?q=/d", "/a/b/%63/%2F /%63/%2F"),
        ("/a/elsewhere", "/a/elsewhere /elsewhere"),
        ("/acme/x/c", "/acme/x/c /c"),
        ("/service/c", "/service/c /c"),
        ("/merged", "/merged /merged"),
        ("/nowhere", "/nowhere /nowhere"),
        ("http://api.example/a/b/c", "/a/b/c /c"),
    ] {
        assert_eq!(ask(&router, target).await, seen, "{target}");
    }
}

#[test]
fn in_front_of_the_router_the_path_is_that_of_the_request() {
    let request = Request::get("/a/b?c").body(()).expect("a request");
    assert_eq!(AxumRequest::from(&request).path(), Some("/a/b"));
}

#[test]
fn the_peer_is_the_one_that_axum_tells_of_and_otherwise_the_extension() {
    let address = |last| SocketAddr::from(([192, 0, 2, last], 80));
    let mut request = Request::get("/").body(()).expect("a request");
    let peer = |request: &Request<()>| AxumRequest::from(request).peer();
    assert_eq!(peer(&request), None);
    request.extensions_mut().insert(PeerAddress::Ip(address(1)));
    assert_eq!(peer(&request), Some(PeerAddress::Ip(address(1))));
    request.extensions_mut().insert(MockConnectInfo(address(2)));
    assert_eq!(peer(&request), Some(PeerAddress::Ip(address(2))));
    request.extensions_mut().insert(ConnectInfo(address(3)));
    assert_eq!(peer(&request), Some(PeerAddress::Ip(address(3))));
}

#[test]
fn the_certificate_is_that_of_the_extension() {
    let mut request = Request::get("/").body(()).expect("a request");
    assert_eq!(AxumRequest::from(&request).client_certificate(), None);
    let certificate = ClientCertificate::presented(*b"DER");
    request.extensions_mut().insert(certificate.clone());
    assert_eq!(AxumRequest::from(&request).client_certificate(), Some(certificate));
}

#[test]
fn a_view_prints_nothing_of_the_request() {
    let request = Request::get("/secret").header("authorization", "Bearer x").body(());
    let request = request.expect("a request");
    assert_eq!(format!("{:?}", AxumRequest::from(&request)), "AxumRequest { .. }");
}
