//! Apps that are wrong in one way each, and what is said of them.
use core::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use actix_web::{App, HttpMessage, web};
use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::MockConnectInfo;
use axum::http::{HeaderName, Request, Response, StatusCode};
use axum::middleware::map_request;
use axum::routing::{any, get};
use portcullis::dpop::{Dpop, InProcessReplays};
use portcullis::mtls::{CertificateHeader, Mtls};
use portcullis::request::{ClientCertificate, PeerAddress};
use portcullis::{Algorithm, Policy};
use portcullis_actix::Verify;
use portcullis_axum::{RequireLayer, VerifyLayer};
use tower::ServiceExt;

use super::walk::{attempts, message, message_over};
use super::{BadBinding, MtlsClient, MtlsRequest, PresentedCertificate};
use crate::protected::Question;
use crate::routes::{Credentials, Routes};
use crate::{TestIssuer, TokenBuilder};

const PROXY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
const OWN: [u8; 5] = [0x30, 3, 1, 2, 3];
const ROUTES: [(&str, &str); 1] = [("GET", "/orders")];

fn issuer() -> TestIssuer {
    TestIssuer::new("https://mtls.example").at(NOW)
}

fn token() -> TokenBuilder {
    issuer().token(Algorithm::ES256)
}

fn direct() -> MtlsClient {
    MtlsClient::new(token(), OWN)
}

fn proxied() -> MtlsClient {
    direct().behind_proxy(CertificateHeader::client_cert(), PROXY)
}

fn by_tls() -> Policy {
    issuer().policy_builder().mtls(Mtls::from_tls()).build().expect("a policy")
}

fn by_header() -> Policy {
    by_this(CertificateHeader::client_cert())
}

fn by_this(header: CertificateHeader) -> Policy {
    let mtls = Mtls::from_header(header).trusted_proxies(["10.0.0.0/24"]);
    issuer().policy_builder().mtls(mtls).build().expect("a policy")
}

fn orders() -> Router {
    Router::new().route("/orders", get(async || "orders"))
}

fn protected(policy: Policy) -> Router {
    orders().layer(VerifyLayer::new(policy))
}

/// What is found, without the headings.
fn lines(message: Option<String>) -> Vec<String> {
    let message = message.unwrap_or_default();
    message.lines().filter_map(|line| line.strip_prefix("  - ")).map(str::to_owned).collect()
}

async fn found(app: Router, client: &MtlsClient) -> Vec<String> {
    let routes = Routes::new(&ROUTES);
    let found = message(client, attempts(client), "assert_mtls", routes, async |route, attempt| {
        crate::tower::ask::<_, Body, _>(app.clone(), &attempt.question(route)).await
    });
    lines(found.await)
}

async fn found_in_actix<T, B>(app: App<T>, client: &MtlsClient) -> Vec<String>
where
    T: actix_web::dev::ServiceFactory<
            actix_web::dev::ServiceRequest,
            Config = (),
            Response = actix_web::dev::ServiceResponse<B>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    B: actix_web::body::MessageBody + 'static,
{
    let app = actix_web::test::init_service(app).await;
    let routes = Routes::new(&ROUTES);
    let found = message(client, attempts(client), "assert_mtls", routes, async |route, attempt| {
        let to_request = actix_web::test::TestRequest::to_request;
        crate::actix::ask(&app, &attempt.question(route), to_request).await
    });
    lines(found.await)
}

fn is_one(found: &[String], part: &str) {
    assert!(matches!(found, [one] if one.contains(part)), "{part}: {found:#?}");
}

#[actix_web::test]
async fn an_app_that_is_right_passes_in_each_framework() {
    for (policy, client) in [(by_tls(), direct()), (by_header(), proxied())] {
        crate::axum::assert_mtls(&protected(policy.clone()), &client, &ROUTES).await;
        let inner = async |_: Request<String>| Ok::<_, Infallible>(Response::new(String::new()));
        let service = tower::ServiceBuilder::new()
            .layer(portcullis::tower::VerifyLayer::new(policy.clone()))
            .service_fn(inner);
        crate::tower::assert_mtls(&service, &client, &ROUTES).await;
        let app = App::new().route("/orders", web::get().to(async || "orders"));
        crate::actix::assert_mtls(app.wrap(Verify::new(policy)), &client, &ROUTES).await;
    }
    // Each form of a header.
    for header in [
        CertificateHeader::xfcc(),
        CertificateHeader::escaped_pem("X-Cert"),
        CertificateHeader::aws_alb_passthrough(),
        CertificateHeader::base64_der("x-cert"),
        CertificateHeader::hex_sha256("x-cert"),
    ] {
        let client = direct().behind_proxy(header.clone(), PROXY);
        crate::axum::assert_mtls(&protected(by_this(header)), &client, &ROUTES).await;
    }
    // Where a binding is required, and where proofs pass as well.
    let required = issuer().policy_builder().mtls(Mtls::from_tls().required());
    let dpop = Dpop::new(InProcessReplays::new()).at("https://api.example");
    let policy = required.dpop(dpop).build().expect("a policy");
    assert_eq!(found(protected(policy), &direct()).await, [""; 0]);
}

#[actix_web::test]
async fn a_policy_without_rules_for_certificates_is_found() {
    let says = "Does the policy in front of this route have `.mtls(…)`?";
    for client in [direct(), proxied()] {
        is_one(&found(protected(issuer().policy()), &client).await, says);
        let app = App::new().route("/orders", web::get().to(async || "orders"));
        let app = app.wrap(Verify::new(issuer().policy()));
        is_one(&found_in_actix(app, &client).await, says);
    }
}

#[actix_web::test]
async fn a_policy_that_goes_by_another_source_is_found() {
    is_one(&found(protected(by_header()), &direct()).await, "say which, by `MtlsClient::behind");
    is_one(
        &found(protected(by_tls()), &proxied()).await,
        "name the header, by `Mtls::from_header`",
    );
    let other = by_this(CertificateHeader::xfcc());
    is_one(&found(protected(other), &proxied()).await, "does the policy name that header");
    let other = by_this(CertificateHeader::base64_der("client-cert"));
    is_one(&found(protected(other), &proxied()).await, "does the policy name the same form");
    let far = direct().behind_proxy(CertificateHeader::client_cert(), [10, 1, 0, 7]);
    is_one(&found(protected(by_header()), &far).await, "came from 10.1.0.7: list it");
}

#[actix_web::test]
async fn what_a_server_says_that_is_lost_on_the_way_is_found() {
    let lose = |mut request: Request<Body>| async {
        request.extensions_mut().clear();
        request
    };
    let lost = |policy| protected(policy).layer(map_request(lose));
    let says = "answered 503";
    is_one(&found(lost(by_tls()), &direct()).await, says);
    is_one(&found(lost(by_tls()), &direct()).await, "something between takes it away");
    is_one(&found(lost(by_header()), &proxied()).await, "The request said its peer");
    let app = App::new().route("/orders", web::get().to(async || "orders"));
    let app = app.wrap(Verify::new(by_tls())).wrap_fn(|request, service| {
        request.extensions_mut().remove::<ClientCertificate>();
        actix_web::dev::Service::call(service, request)
    });
    is_one(&found_in_actix(app, &direct()).await, says);
}

#[actix_web::test]
async fn a_bound_token_that_passes_without_its_certificate_is_found() {
    let open = found(orders(), &direct()).await;
    // With another, with none, with what nobody knows, and with each header.
    assert_eq!(open.len(), 11, "{open:#?}");
    let says = "with another certificate it answered 200. Something other than the policy";
    assert!(open[0].contains(says), "{open:#?}");
    let open = found(orders(), &proxied()).await;
    assert_eq!(open.len(), 8, "{open:#?}");

    // Another way in for those without a certificate.
    let choose = async |request: Request<Body>| {
        let certificate = request.extensions().get::<ClientCertificate>();
        let has_one = certificate.is_none_or(|one| one.der().is_some());
        let router = if has_one { protected(by_tls()) } else { orders() };
        router.oneshot(request).await
    };
    let app = Router::new().route("/orders", any(choose));
    let passed = found(app, &direct()).await;
    assert!(passed[0].contains(": without a certificate it answered 200"), "{passed:#?}");

    let app = App::new().route("/orders", web::get().to(async || "orders"));
    assert_eq!(found_in_actix(app, &direct()).await.len(), 11);
}

#[actix_web::test]
async fn a_header_that_is_taken_from_anybody_is_found() {
    // It is taken for what the service's own TLS saw.
    let take = async |mut request: Request<Body>| {
        let header = CertificateHeader::base64_der("x-arr-clientcert");
        if request.headers().get(header.name()).is_some_and(|it| it == &*header.value_of(OWN)) {
            request.extensions_mut().insert(ClientCertificate::presented(OWN));
        }
        request
    };
    let app = protected(by_tls()).layer(map_request(take));
    let says = "without a certificate, and with its own in the header `x-arr-clientcert`, it answered 200. Something takes the header from anybody";
    is_one(&found(app, &direct()).await, says);

    // All peers are said to be the proxy.
    let peer = MockConnectInfo(SocketAddr::from((PROXY, 1)));
    let passed = found(protected(by_header()).layer(peer), &proxied()).await;
    assert_eq!(passed.len(), 4, "{passed:#?}");
    assert!(passed[0].contains("from an address that is not the proxy's, it answered 200"));

    // A proxy in front of the proxy is believed.
    let forwarded = async |mut request: Request<Body>| {
        let address = request.headers().get("x-forwarded-for").and_then(|it| it.to_str().ok());
        if let Some(Ok(address)) = address.map(|text| text.parse::<std::net::IpAddr>()) {
            let peer = PeerAddress::Ip(SocketAddr::new(address, 1));
            request.extensions_mut().insert(peer);
        }
        request
    };
    let app = protected(by_header()).layer(map_request(forwarded));
    is_one(
        &found(app, &proxied()).await,
        "so in `x-forwarded-for`, it answered 200. Something takes the address",
    );
}

#[actix_web::test]
async fn a_wrong_binding_that_passes_is_found() {
    // A service that looks at bindings by itself, and at `x5t` as well.
    let lenient = async |request: Request<Body>| {
        let token = request.headers().get("authorization").and_then(|it| it.to_str().ok());
        let bad = BadBinding::WithoutHashName.bind(token_of_test(), OWN).mint();
        if token == Some(&format!("Bearer {bad}")) {
            return orders().oneshot(request).await;
        }
        protected(by_tls()).oneshot(request).await
    };
    let client = MtlsClient::new(token_of_test(), OWN);
    let app = Router::new().route("/orders", any(lenient));
    is_one(
        &found(app, &client).await,
        "a token that has `x5t` in place of `x5t#S256` it answered 200",
    );
}

/// Signs alike each time.
fn token_of_test() -> TokenBuilder {
    issuer().token(Algorithm::EdDSA).claim("jti", "1")
}

const NOW: i64 = 1_800_000_000;

#[actix_web::test]
async fn each_other_refusal_of_a_good_request_says_its_way_out() {
    let scoped = orders().route_layer(RequireLayer::scope("orders:read"));
    let scoped = scoped.layer(VerifyLayer::new(by_tls()));
    is_one(&found(scoped, &direct()).await, "give the client a token that may use the route");
    is_one(&found(Router::new(), &direct()).await, "answered 404: is there such a route?");
    let closed = Router::new().route("/orders", get(async || StatusCode::UNAUTHORIZED));
    is_one(&found(closed, &direct()).await, "answered 401, and Portcullis did not");
    let expired = MtlsClient::new(token().expired(), OWN);
    is_one(&found(protected(by_tls()), &expired).await, "a token that the policy accepts");
    let dpop = Dpop::new(InProcessReplays::new()).at("https://api.example").required();
    let both = issuer().policy_builder().mtls(Mtls::from_tls()).dpop(dpop).build();
    let both = protected(both.expect("a policy"));
    is_one(&found(both, &direct()).await, "`assert_dpop` asks for that");
    let (client, none) = (direct(), Routes::new(&[]));
    let found = message(&client, attempts(&client), "assert_mtls", none, async |_, _| {
        Err("nothing is asked".to_owned())
    });
    assert_eq!(found.await.as_deref(), Some("no routes were given to `assert_mtls`"));
}

/// A service behind a connection, as far as its client sees it.
async fn found_over(
    app: &Router,
    connect: impl Fn(&mut Request<Body>, PresentedCertificate),
) -> Vec<String> {
    let client = direct();
    let found = message_over(&client, Routes::new(&ROUTES), async |request: &MtlsRequest<'_>| {
        let built = Request::builder().method(request.method).uri(request.path);
        let fields = request.headers.iter();
        let built = fields.fold(built, |built, (name, value)| built.header(name, value));
        let mut built = built.body(Body::empty()).expect("a request");
        connect(&mut built, request.presents);
        let answer = app.clone().oneshot(built).await;
        answer.map(|answer| answer.status().as_u16())
    });
    lines(found.await)
}

fn presented(presents: PresentedCertificate) -> ClientCertificate {
    match presents {
        PresentedCertificate::Own => ClientCertificate::presented(OWN),
        PresentedCertificate::Other => ClientCertificate::presented(b"other"),
        PresentedCertificate::Nothing => ClientCertificate::absent(),
    }
}

#[actix_web::test]
async fn over_connections_a_server_that_says_nothing_and_a_proxy_that_lets_headers_through_are_found()
 {
    let tell = |request: &mut Request<Body>, presents| {
        request.extensions_mut().insert(presented(presents));
    };
    let direct = protected(by_tls());
    assert_eq!(found_over(&direct, tell).await, [""; 0]);
    is_one(&found_over(&direct, |_, _| {}).await, "answered 503. The server does not say");
    let without = protected(issuer().policy());
    is_one(&found_over(&without, tell).await, "answered 401. Does the policy in front");
    // It says the same of everybody.
    let same = |request: &mut Request<Body>, _| {
        request.extensions_mut().insert(ClientCertificate::presented(OWN));
    };
    let passed = found_over(&direct, same).await;
    assert!(passed[0].contains("with another certificate it answered 200"), "{passed:#?}");

    let proxy = |is_strict: bool| {
        move |request: &mut Request<Body>, presents| {
            let header = CertificateHeader::client_cert();
            let name = HeaderName::from_static("client-cert");
            if is_strict {
                request.headers_mut().remove(&name);
            }
            if let Some(der) = presented(presents).der() {
                let value = header.value_of(der).parse().expect("a value");
                request.headers_mut().insert(name, value);
            }
            let peer = PeerAddress::Ip(SocketAddr::from((PROXY, 1)));
            request.extensions_mut().insert(peer);
        }
    };
    let behind = protected(by_header());
    assert_eq!(found_over(&behind, proxy(true)).await, [""; 0]);
    let says = "with the header `client-cert` by itself, it answered 200. Does a proxy let";
    is_one(&found_over(&behind, proxy(false)).await, says);
}

#[actix_web::test]
async fn over_connections_a_server_may_take_none_without_a_good_certificate() {
    let client = direct();
    let refuse = |own: Result<u16, &'static str>| {
        let client = &client;
        async move {
            let send = async |request: &MtlsRequest<'_>| match request.presents {
                PresentedCertificate::Own if is_bad(client, request) => Ok(401),
                PresentedCertificate::Own => own,
                _ => Err("the handshake failed"),
            };
            lines(message_over(client, Routes::new(&ROUTES), send).await)
        }
    };
    assert_eq!(refuse(Ok(200)).await, [""; 0]);
    is_one(&refuse(Err("no route to host")).await, "failed: no route to host");
}

/// Whether its token is not the client's, of which no two are alike: by what it is bound to.
fn is_bad(client: &MtlsClient, request: &MtlsRequest<'_>) -> bool {
    let claims = |token: &str| crate::oracle::read(token).1["cnf"].clone();
    let sent = request.headers[0].1.trim_start_matches("Bearer ");
    claims(sent) != claims(&client.token())
}

#[test]
fn no_token_is_shown() {
    let client = direct();
    let question = Question::plain("GET", "/", Credentials::headers(&[("a", &client.token())]));
    let shown = format!("{client:?}{question:?}");
    assert!(!shown.contains("ey"), "{shown}");
}
