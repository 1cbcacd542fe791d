//! What does not show on the wire: extensions, order of middleware, readiness, how often a token is
//! looked at.
use core::convert::Infallible;
use core::future::{Ready, ready};
use core::mem;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use portcullis::error::{CrossSiteError, ShapeError, SourceError};
use portcullis::tower::VerifyLayer;
use portcullis::{
    Admission, Algorithm, Clock, Error, Issuer, KeySet, Policy, TokenSource, UnixTime,
};
use portcullis_conformance::policies::{ISSUER, NOW, Variant, issuer};
use portcullis_testkit::{FixedClock, TestIssuer};
use serde::Deserialize;
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing::span;

type Body = Full<Bytes>;

#[derive(Deserialize)]
struct Tenant {
    #[expect(dead_code, reason = "only whether it is there matters")]
    tenant: String,
}

fn get(headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::default()).expect("a request")
}

fn bearer() -> String {
    format!("Bearer {}", issuer().token(Algorithm::ES256).mint())
}

fn with_token() -> Request<Body> {
    get(&[("authorization", &bearer())])
}

/// Answers who the policy says is asking.
async fn whoami(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let subject = request
        .extensions()
        .get::<Admission>()
        .and_then(|admission| Some(admission.token()?.subject()?.to_owned()));
    Ok(Response::new(Body::from(subject.unwrap_or_default())))
}

async fn text(response: Response<impl http_body::Body<Error: core::fmt::Debug>>) -> String {
    use http_body_util::BodyExt;
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.into()).expect("UTF-8")
}

/// Tells the time, and how often it was asked: once for each look at a token.
#[derive(Debug, Default)]
struct CountingClock(AtomicUsize);

impl Clock for CountingClock {
    fn now(&self) -> UnixTime {
        self.0.fetch_add(1, Ordering::SeqCst);
        UnixTime(NOW)
    }
}

impl CountingClock {
    fn asked(&self) -> usize {
        self.0.swap(0, Ordering::SeqCst)
    }
}

fn counted() -> (Policy, Arc<CountingClock>) {
    let clock = Arc::new(CountingClock::default());
    let keys = KeySet::from_jwks(issuer().jwks_of(&[Algorithm::ES256])).expect("keys");
    let policy = Policy::builder()
        .issuer(
            Issuer::new(ISSUER)
                .algorithms([Algorithm::ES256])
                .keys(keys)
                .audience(TestIssuer::AUDIENCE),
        )
        .clock(Arc::clone(&clock))
        .build()
        .expect("a policy");
    (policy, clock)
}

/// A policy about the header `x-inner` and another issuer.
fn inner_policy() -> Policy {
    let issuer = TestIssuer::new("https://inner.example");
    let keys = KeySet::from_jwks(issuer.jwks_of(&[Algorithm::ES256])).expect("keys");
    Policy::builder()
        .issuer(
            Issuer::new(issuer.name())
                .algorithms([Algorithm::ES256])
                .keys(keys)
                .audience(TestIssuer::AUDIENCE),
        )
        .sources([TokenSource::header("x-inner")])
        .build()
        .expect("a policy")
}

fn inner_token() -> String {
    TestIssuer::new("https://inner.example").token(Algorithm::ES256).subject("bob").mint()
}

/// The error that `/typed` has for a token without a tenant.
fn no_tenant() -> Error {
    let token = Variant::OneAlgorithm
        .policy()
        .verify_token_now(issuer().token(Algorithm::ES256).mint())
        .expect("a good token");
    let error: ShapeError = token.claims::<Tenant>().err().expect("no tenant");
    error.into()
}

/// How often a refusal was told: to the hook of a policy, and to operators.
#[derive(Clone, Default)]
struct Told {
    hook: Arc<AtomicUsize>,
    events: Arc<AtomicUsize>,
}

impl Told {
    fn policy(&self) -> Policy {
        let hook = Arc::clone(&self.hook);
        let keys = KeySet::from_jwks(issuer().jwks_of(&[Algorithm::ES256])).expect("keys");
        let issuer = Issuer::new(ISSUER)
            .algorithms([Algorithm::ES256])
            .keys(keys)
            .audience(TestIssuer::AUDIENCE);
        let builder = Policy::builder().issuer(issuer).clock(FixedClock::at(NOW));
        let builder = builder.on_refusal(move |_, refusal| {
            hook.fetch_add(1, Ordering::SeqCst);
            refusal.set_status(418);
        });
        builder.build().expect("a policy")
    }

    /// Until the guard is dropped, on this thread.
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(self.clone())
    }

    /// Since the last time.
    fn times(&self) -> (usize, usize) {
        (self.hook.swap(0, Ordering::SeqCst), self.events.swap(0, Ordering::SeqCst))
    }
}

impl tracing::Subscriber for Told {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "portcullis::refusal"
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.events.fetch_add(1, Ordering::SeqCst);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Each refused, by the policy or behind it.
fn refused() -> [Request<Body>; 4] {
    let mut head = get(&[]);
    *head.method_mut() = http::Method::HEAD;
    let mut grpc = get(&[("content-type", "application/grpc")]);
    *grpc.method_mut() = http::Method::POST;
    [get(&[]), with_token(), head, grpc]
}

#[test]
fn a_rejection_becomes_one_response_however_often_it_is_asked_for() {
    let told = Told::default();
    let policy = told.policy();
    let _listening = told.listen();
    let reject = || policy.verify_now(&get(&[])).expect_err("no token");
    drop(reject());
    assert_eq!(told.times(), (0, 1), "nobody is answered");
    let rejection = reject();
    for _ in 0..2 {
        assert_eq!((rejection.status(), rejection.refusal().status()), (418, 418));
    }
    assert_eq!(rejection.into_response::<Bytes>().status().as_u16(), 418);
    assert_eq!(told.times(), (1, 1));
    reject().into_grpc_status();
    assert_eq!(told.times(), (1, 1));
}

mod tower_service {
    use portcullis::tower::RequireLayer;

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_told_once() {
        let told = Told::default();
        let policy = told.policy();
        let _listening = told.listen();
        let layer = VerifyLayer::new(policy);
        let service = layer.layer(RequireLayer::scope("none").layer(service_fn(whoami)));
        for request in refused() {
            let response = service.clone().oneshot(request).await.expect("a response");
            assert_eq!((response.status().as_u16(), told.times()), (418, (1, 1)));
        }
    }

    #[derive(Debug, Eq, PartialEq)]
    struct OwnError(&'static str);

    /// Counts its clones, and can be called only after it was ready.
    struct Probe {
        ready: bool,
        clones: Arc<AtomicUsize>,
        answer: Result<(), &'static str>,
    }

    impl Probe {
        fn new() -> (Self, Arc<AtomicUsize>) {
            let clones = Arc::default();
            (Self { ready: false, clones: Arc::clone(&clones), answer: Ok(()) }, clones)
        }
    }

    impl Clone for Probe {
        fn clone(&self) -> Self {
            self.clones.fetch_add(1, Ordering::SeqCst);
            Self { ready: false, clones: Arc::clone(&self.clones), answer: self.answer }
        }
    }

    impl Service<Request<Body>> for Probe {
        type Response = Response<Body>;
        type Error = OwnError;
        type Future = Ready<Result<Response<Body>, OwnError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OwnError>> {
            self.ready = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            assert!(mem::take(&mut self.ready), "called without having been ready");
            ready(self.answer.map(|()| Response::new(Body::default())).map_err(OwnError))
        }
    }

    #[tokio::test]
    async fn why_a_request_was_refused_stands_in_the_extensions_of_the_response() {
        let layer = VerifyLayer::new(Variant::Cookie.policy());
        let service = layer.layer(service_fn(whoami));
        let response = service.clone().oneshot(get(&[])).await.expect("a response");
        let error = response.extensions().get::<Error>();
        assert_eq!(error, Some(&Error::Source(SourceError::Missing)));

        let cookie = format!("__Host-token={}", issuer().token(Algorithm::ES256).mint());
        let mut request = get(&[("cookie", &cookie)]);
        *request.method_mut() = http::Method::POST;
        let response = service.oneshot(request).await.expect("a response");
        assert_eq!(
            response.extensions().get::<Error>(),
            Some(&Error::CrossSite(CrossSiteError::new()))
        );
    }

    #[tokio::test]
    async fn why_a_request_was_refused_after_a_wait_stands_there_too() {
        let service = VerifyLayer::new(Variant::NoKeys.policy()).layer(service_fn(whoami));
        let response = service.oneshot(with_token()).await.expect("a response");
        let error = response.extensions().get::<Error>();
        assert_eq!(error.map(Error::reason), Some("keys_unavailable"));
    }

    #[tokio::test]
    async fn the_readied_service_is_called_and_not_cloned_where_nothing_is_waited_for() {
        let (probe, clones) = Probe::new();
        let mut service = VerifyLayer::new(Variant::OneAlgorithm.policy()).layer(probe);
        for _ in 0..2 {
            for request in [with_token(), get(&[])] {
                service.ready().await.expect("ready").call(request).await.expect("a response");
            }
        }
        assert_eq!(clones.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn the_readied_service_is_called_after_a_wait_and_a_clone_stays() {
        let (probe, clones) = Probe::new();
        let mut service = VerifyLayer::new(Variant::LateKeys.policy()).layer(probe);
        for waits in 1..3 {
            let response =
                service.ready().await.expect("ready").call(with_token()).await.expect("a response");
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(clones.load(Ordering::SeqCst), waits);
        }
    }

    #[tokio::test]
    async fn the_error_of_the_inner_service_passes_as_it_is() {
        for variant in [Variant::OneAlgorithm, Variant::LateKeys] {
            let (mut probe, _) = Probe::new();
            probe.answer = Err("out of order");
            let service = VerifyLayer::new(variant.policy()).layer(probe);
            let result = service.oneshot(with_token()).await;
            assert_eq!(result.err(), Some(OwnError("out of order")), "{variant:?}");
        }
    }

    #[derive(Clone)]
    struct Unready(Poll<Result<(), &'static str>>);

    impl Service<Request<Body>> for Unready {
        type Response = Response<Body>;
        type Error = &'static str;
        type Future = Ready<Result<Response<Body>, &'static str>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
            self.0
        }

        fn call(&mut self, _: Request<Body>) -> Self::Future {
            unreachable!("it is never ready")
        }
    }

    #[test]
    fn readiness_is_that_of_the_inner_service() {
        for readiness in [Poll::Pending, Poll::Ready(Err("closed"))] {
            let layer = VerifyLayer::new(Variant::OneAlgorithm.policy());
            let mut service = layer.layer(Unready(readiness));
            let mut context = Context::from_waker(Waker::noop());
            assert_eq!(Service::<Request<Body>>::poll_ready(&mut service, &mut context), readiness);
        }
    }

    #[tokio::test]
    async fn the_same_policy_twice_looks_at_a_token_once() {
        let (policy, clock) = counted();
        let layer = VerifyLayer::new(policy.clone());
        layer.layer(service_fn(whoami)).oneshot(with_token()).await.expect("a response");
        assert_eq!(clock.asked(), 1);

        let twice = layer.layer(layer.layer(service_fn(whoami)));
        let response = twice.oneshot(with_token()).await.expect("a response");
        assert_eq!(clock.asked(), 1);
        assert_eq!(text(response).await, "alice");

        let lenient = VerifyLayer::new(policy.allow_anonymous());
        let inside = lenient.layer(layer.layer(service_fn(whoami)));
        let response = inside.oneshot(with_token()).await.expect("a response");
        assert_eq!(clock.asked(), 1);
        assert_eq!(text(response).await, "alice");
    }

    #[tokio::test]
    async fn an_anonymous_request_does_not_pass_a_stricter_layer_of_the_same_policy() {
        let (policy, _) = counted();
        let strict = VerifyLayer::new(policy.clone());
        let lenient = VerifyLayer::new(policy.allow_anonymous());
        let service = lenient.layer(strict.layer(service_fn(whoami)));
        let response = service.oneshot(get(&[])).await.expect("a response");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn a_layer_of_another_policy_looks_anew_and_replaces_the_admission() {
        let outer = VerifyLayer::new(Variant::OneAlgorithm.policy());
        let service = outer.layer(VerifyLayer::new(inner_policy()).layer(service_fn(whoami)));
        let both = get(&[("authorization", &bearer()), ("x-inner", &inner_token())]);
        let response = service.clone().oneshot(both).await.expect("a response");
        assert_eq!(text(response).await, "bob");

        let response = service.oneshot(with_token()).await.expect("a response");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
}

mod axum_router {
    use axum::routing::get as route;
    use axum::{Extension, Router};
    use portcullis::refusal::ResponseForm;
    use portcullis_axum::{Caller, Rejection, RequireLayer, Verified};

    use super::*;

    async fn caller(Caller(token): Caller) -> String {
        token.subject().unwrap_or_default().to_owned()
    }

    async fn tenant(_: Verified<Tenant>) {}

    async fn ask(router: Router, request: Request<Body>) -> axum::response::Response {
        router.oneshot(request.map(axum::body::Body::new)).await.expect("infallible")
    }

    #[tokio::test]
    async fn why_a_request_was_refused_stands_in_the_extensions_of_the_response() {
        let layer = VerifyLayer::new(Variant::OneAlgorithm.policy());
        let response = ask(Router::new().route("/", route(caller)).layer(layer), get(&[])).await;
        let error = response.extensions().get::<Error>();
        assert_eq!(error, Some(&Error::Source(SourceError::Missing)));
    }

    #[tokio::test]
    async fn a_refusal_is_told_once_by_layer_extractor_and_handler() {
        let told = Told::default();
        let policy = told.policy();
        let _listening = told.listen();
        let handler = async |admission: Extension<Admission>| {
            let token = admission.token().ok_or(SourceError::Missing);
            let form = ResponseForm::default();
            token.map(drop).map_err(|error| Rejection::from(admission.reject(error, form)))
        };
        let extractors = async |_: Verified<Tenant>, _: Verified<Tenant>| "";
        let required = RequireLayer::scope("none");
        for (routes, policy) in [
            (route(extractors).post(extractors), policy.clone()),
            (route(caller).post(caller).layer(required), policy.clone()),
            (route(extractors).post(extractors), policy.clone().allow_anonymous()),
        ] {
            let router = Router::new().route("/", routes).layer(VerifyLayer::new(policy));
            for request in refused() {
                let response = ask(router.clone(), request).await;
                assert_eq!((response.status().as_u16(), told.times()), (418, (1, 1)));
            }
        }
        let layer = VerifyLayer::new(policy.allow_anonymous());
        let response = ask(Router::new().route("/", route(handler)).layer(layer), get(&[])).await;
        assert_eq!((response.status().as_u16(), told.times()), (418, (1, 1)));
    }

    #[tokio::test]
    async fn why_an_extractor_refused_stands_there_too() {
        let layer = VerifyLayer::new(Variant::OneAlgorithm.policy());
        let router = Router::new().route("/", route(tenant)).layer(layer);
        let response = ask(router, with_token()).await;
        assert_eq!(response.extensions().get::<Error>(), Some(&no_tenant()));

        let response = ask(Router::new().route("/", route(caller)), with_token()).await;
        assert_eq!(response.extensions().get::<Error>(), Some(&Error::NotInstalled));
    }

    #[tokio::test]
    async fn the_same_policy_twice_looks_at_a_token_once() {
        let (policy, clock) = counted();
        let layer = VerifyLayer::new(policy.clone());
        let router = Router::new().route("/", route(caller).layer(layer.clone())).layer(layer);
        let response = ask(router, with_token()).await;
        assert_eq!(clock.asked(), 1);
        assert_eq!(text(response).await, "alice");
    }

    #[tokio::test]
    async fn a_layer_of_another_policy_looks_anew_and_replaces_the_admission() {
        let router = Router::new()
            .route("/", route(caller).layer(VerifyLayer::new(inner_policy())))
            .layer(VerifyLayer::new(Variant::OneAlgorithm.policy()));
        let both = get(&[("authorization", &bearer()), ("x-inner", &inner_token())]);
        assert_eq!(text(ask(router.clone(), both).await).await, "bob");
        assert_eq!(ask(router, with_token()).await.status(), StatusCode::UNAUTHORIZED);
    }
}

mod actix_app {
    use actix_web::dev::{HttpServiceFactory, ServiceResponse};
    use actix_web::middleware::DefaultHeaders;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, HttpMessage, HttpRequest, web};
    use portcullis::refusal::ResponseForm;
    use portcullis_actix::{Caller, Rejection, Require, Verified, Verify};

    use super::*;

    async fn caller(Caller(token): Caller) -> String {
        token.subject().unwrap_or_default().to_owned()
    }

    async fn tenant(_: Verified<Tenant>) -> &'static str {
        ""
    }

    /// Asks an app that has a header added to each of its answers.
    async fn ask(
        routes: impl HttpServiceFactory + 'static,
        request: TestRequest,
    ) -> ServiceResponse<impl actix_web::body::MessageBody> {
        let outside = DefaultHeaders::new().add(("x-outside", "was here"));
        let app = init_service(App::new().wrap(outside).service(routes)).await;
        call_service(&app, request.to_request()).await
    }

    fn with_token() -> TestRequest {
        TestRequest::get().insert_header(("authorization", bearer()))
    }

    async fn status(routes: impl HttpServiceFactory + 'static, request: TestRequest) -> u16 {
        ask(routes, request).await.status().as_u16()
    }

    fn error<B>(response: &ServiceResponse<B>) -> Option<Error> {
        response.response().extensions().get::<Error>().cloned()
    }

    #[actix_web::test]
    async fn why_a_request_was_refused_stands_in_the_extensions_of_the_response() {
        let verify = Verify::new(Variant::OneAlgorithm.policy());
        let response = ask(web::resource("/").wrap(verify).to(caller), TestRequest::get()).await;
        assert_eq!(error(&response), Some(Error::Source(SourceError::Missing)));
    }

    #[actix_web::test]
    async fn a_refusal_is_told_once_by_middleware_extractor_and_handler() {
        let told = Told::default();
        let policy = told.policy();
        let _listening = told.listen();
        let handler = async |request: HttpRequest| {
            let extensions = request.extensions();
            let admission = extensions.get::<Admission>().expect("a policy in front");
            let error = SourceError::Missing;
            Err::<&str, _>(Rejection::from(admission.reject(error, ResponseForm::default())))
        };
        let extractors = async |_: Verified<Tenant>, _: Caller, _: Verified<Tenant>| "";
        let resource = |policy: &Policy| web::resource("/").wrap(Verify::new(policy.clone()));
        let anonymous = policy.clone().allow_anonymous();
        for request in refused() {
            let request = || {
                let (head, _) = request.clone().into_parts();
                let mut test =
                    TestRequest::default().method(head.method.as_str().parse().expect("a method"));
                for (name, value) in &head.headers {
                    test = test.append_header((name.as_str(), value.as_bytes()));
                }
                test
            };
            for (what, response) in [
                ("extractors", status(resource(&policy).to(extractors), request()).await),
                ("anonymous", status(resource(&anonymous).to(extractors), request()).await),
                ("handler", status(resource(&anonymous).to(handler), request()).await),
                (
                    "requirement",
                    status(
                        web::scope("/")
                            .wrap(Verify::new(policy.clone()))
                            .service(web::resource("").wrap(Require::scope("none")).to(caller)),
                        request(),
                    )
                    .await,
                ),
            ] {
                assert_eq!(response, 418, "{what}");
            }
            assert_eq!(told.times(), (4, 4));
        }
    }

    #[actix_web::test]
    async fn why_an_extractor_refused_stands_there_too() {
        let verify = Verify::new(Variant::OneAlgorithm.policy());
        let response = ask(web::resource("/").wrap(verify).to(tenant), with_token()).await;
        assert_eq!(error(&response), Some(no_tenant()));

        let response = ask(web::resource("/").to(caller), with_token()).await;
        assert_eq!(error(&response), Some(Error::NotInstalled));
    }

    #[actix_web::test]
    async fn middleware_further_out_runs_on_refusals() {
        for (variant, request) in [
            (Variant::OneAlgorithm, TestRequest::get()),
            (Variant::OneAlgorithm, with_token().insert_header(("authorization", "Bearer x"))),
            (Variant::NoKeys, with_token()),
            (Variant::LateKeys, with_token()),
        ] {
            let verify = Verify::new(variant.policy());
            let response = ask(web::resource("/").wrap(verify).to(tenant), request).await;
            assert!(response.status().as_u16() >= 400, "{variant:?}");
            let header = response.headers().get("x-outside").map(|value| value.as_bytes());
            assert_eq!(header, Some(&b"was here"[..]), "{variant:?}");
        }
    }

    #[actix_web::test]
    async fn the_same_policy_twice_looks_at_a_token_once() {
        let (policy, clock) = counted();
        let verify = Verify::new(policy);
        let response = ask(
            web::scope("/").wrap(verify.clone()).service(web::resource("").wrap(verify).to(caller)),
            with_token(),
        )
        .await;
        assert_eq!(clock.asked(), 1);
        assert_eq!(read_body(response).await, "alice");
    }

    #[actix_web::test]
    async fn a_layer_of_another_policy_looks_anew_and_replaces_the_admission() {
        let routes = || {
            web::scope("/")
                .wrap(Verify::new(Variant::OneAlgorithm.policy()))
                .service(web::resource("").wrap(Verify::new(inner_policy())).to(caller))
        };
        let response = ask(routes(), with_token().insert_header(("x-inner", inner_token()))).await;
        assert_eq!(read_body(response).await, "bob");

        let response = ask(routes(), with_token()).await;
        assert_eq!(response.status().as_u16(), 401);
    }

    #[actix_web::test]
    async fn an_anonymous_request_does_not_pass_a_stricter_layer_of_the_same_policy() {
        let (policy, _) = counted();
        let routes = web::scope("/")
            .wrap(Verify::new(policy.clone().allow_anonymous()))
            .service(web::resource("").wrap(Verify::new(policy)).to(async || "let in"));
        assert_eq!(ask(routes, TestRequest::get()).await.status().as_u16(), 401);
    }
}
