//! What a policy is shown of a request. What the connection says besides is a row of the conformance table.
use std::net::SocketAddr;

use actix_web::test::{TestRequest, call_and_read_body, init_service};
use actix_web::{App, HttpMessage, HttpRequest, web};
use portcullis_actix::ActixRequest;
use portcullis_actix::portcullis::RequestView;
use portcullis_actix::portcullis::request::{ClientCertificate, PeerAddress};

async fn path(request: HttpRequest) -> String {
    ActixRequest(&request).path().expect("a path").to_owned()
}

#[actix_web::test]
async fn scopes_leave_the_path_whole() {
    let inner = web::scope("/b").route("/{rest:.*}", web::get().to(path));
    let app = App::new()
        .service(web::scope("/a").service(inner).default_service(web::to(path)))
        .service(web::scope("/{tenant}/x").default_service(web::to(path)))
        .default_service(web::to(path));
    let app = init_service(app).await;
    for target in ["/a/b/c", "/a/b/%63/%2F", "/a/elsewhere", "/acme/x/c", "/nowhere"] {
        let request = TestRequest::with_uri(&format!("{target}?q=/d")).to_request();
        assert_eq!(call_and_read_body(&app, request).await, target);
    }
    let absolute = TestRequest::with_uri("http://api.example/a/b/c").to_request();
    assert_eq!(call_and_read_body(&app, absolute).await, "/a/b/c");
}

#[test]
fn peer_and_certificate_are_those_of_connection_and_extensions() {
    let request = TestRequest::default().insert_header(("x-forwarded-for", "192.0.2.1"));
    let request = request.to_http_request();
    let view = ActixRequest(&request);
    assert_eq!((view.peer(), view.client_certificate()), (None, None));

    let address = SocketAddr::from(([198, 51, 100, 7], 4711));
    let request = TestRequest::default().peer_addr(address).to_http_request();
    let certificate = ClientCertificate::presented(*b"DER");
    request.extensions_mut().insert(certificate.clone());
    let view = ActixRequest(&request);
    let address = PeerAddress::Ip(address);
    assert_eq!((view.peer(), view.client_certificate()), (Some(address), Some(certificate)));
}

#[test]
fn a_view_prints_nothing_of_the_request() {
    let request = TestRequest::default().insert_header(("authorization", "Bearer x"));
    assert_eq!(format!("{:?}", ActixRequest(&request.to_http_request())), "ActixRequest { .. }");
}
