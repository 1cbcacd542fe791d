//! The layers of tower-http and of tower in front of ours, between them and behind them: around a service of tower, in
//! tonic and in axum. Each is compiled with the bounds that it, and the framework, have, and run.
//!
//! A new layer is one line of [`layers`]. A header after `=>` must stand in every response, refusals included.
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::routing::any;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue, ORIGIN, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use portcullis::Algorithm;
use portcullis_conformance::policies::{Variant, issuer};
use tonic::service::Routes;
use tonic::transport::Server;
use tower::buffer::BufferLayer;
use tower::filter::{AsyncFilterLayer, FilterLayer};
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer, RateLimitLayer};
use tower::load_shed::LoadShedLayer;
use tower::retry::{self, RetryLayer};
use tower::spawn_ready::SpawnReadyLayer;
use tower::util::{
    AndThenLayer, BoxCloneSyncServiceLayer, MapErrLayer, MapFutureLayer, MapRequestLayer,
    MapResponseLayer, MapResultLayer, ThenLayer, option_layer,
};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tower_http::add_extension::AddExtensionLayer;
use tower_http::auth::AsyncRequireAuthorizationLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::decompression::{DecompressionLayer, RequestDecompressionLayer};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_http::metrics::InFlightRequestsLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::on_early_drop::OnEarlyDropLayer;
use tower_http::propagate_header::PropagateHeaderLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveHeadersLayer;
use tower_http::set_header::{SetRequestHeaderLayer, SetResponseHeaderLayer};
use tower_http::timeout::{RequestBodyTimeoutLayer, ResponseBodyTimeoutLayer, TimeoutLayer};
use tower_http::trace::TraceLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(3600);

/// More than a test has requests.
const MANY: usize = 64;

const X: HeaderName = HeaderName::from_static("x-header");
const VALUE: HeaderValue = HeaderValue::from_static("value");

/// For each layer a test that takes it through every door. The layer is written down anew for each, since closures are
/// not generic.
macro_rules! layers {
    ($($name:ident: $layer:expr $(=> $header:literal)?;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let header: Option<&'static str> = [$($header)?].into_iter().next();
            {
                use portcullis::tower::{RequireLayer, VerifyLayer};
                check("tower", header, || stack!($layer).service(Plain)).await;
                check("tonic", header, || stack!($layer).service(grpc())).await;
                // What tonic's server asks of a layer. It never runs.
                let server = Server::builder().layer(stack!($layer)).add_routes(grpc());
                drop(server.serve(([127, 0, 0, 1], 0).into()));
                check("axum, core", header, || router().layer(handled!(stack!($layer)))).await;
            }
            {
                use portcullis_axum::{RequireLayer, VerifyLayer};
                check("axum", header, || router().layer(handled!(stack!($layer)))).await;
                check("around axum", header, || stack!($layer).service(router())).await;
            }
        }
    )*};
}

/// The layer in front, between and behind.
macro_rules! stack {
    ($layer:expr) => {
        ServiceBuilder::new()
            .layer($layer)
            .layer(VerifyLayer::new(Variant::OneAlgorithm.policy()))
            .layer($layer)
            .layer(RequireLayer::scope("orders:read"))
            .layer($layer)
    };
}

/// With what axum asks of a layer that can fail.
macro_rules! handled {
    ($stack:expr) => {
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(async |error: BoxError| {
                (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }))
            .map_err(BoxError::from)
            .layer($stack)
    };
}

layers! {
    // tower-http, in the order of its modules.
    add_extension: AddExtensionLayer::new("value");
    async_require_authorization: AsyncRequireAuthorizationLayer::new(
        async |request: Request<_>| Ok::<_, Response<_>>(request)
    );
    catch_panic: CatchPanicLayer::new();
    compression: CompressionLayer::new();
    cors: CorsLayer::permissive() => "access-control-allow-origin";
    decompression: DecompressionLayer::new();
    follow_redirect: FollowRedirectLayer::new();
    map_request_body: MapRequestBodyLayer::new(Body::new);
    map_response_body: MapResponseBodyLayer::new(Body::new);
    in_flight_requests: InFlightRequestsLayer::pair().0;
    normalize_path: NormalizePathLayer::trim_trailing_slash();
    on_early_drop: OnEarlyDropLayer::builder().on_future_drop(|_: &Request<_>| || ());
    propagate_header: PropagateHeaderLayer::new(ORIGIN) => "origin";
    propagate_request_id: PropagateRequestIdLayer::new(ORIGIN) => "origin";
    request_body_limit: RequestBodyLimitLayer::new(1024);
    request_body_timeout: RequestBodyTimeoutLayer::new(LONG);
    request_decompression: RequestDecompressionLayer::new();
    response_body_timeout: ResponseBodyTimeoutLayer::new(LONG);
    set_request_header: SetRequestHeaderLayer::overriding(X, VALUE);
    set_request_id: SetRequestIdLayer::x_request_id(MakeRequestUuid);
    set_response_header: SetResponseHeaderLayer::overriding(X, VALUE) => "x-header";
    set_sensitive_headers: SetSensitiveHeadersLayer::new([AUTHORIZATION]);
    timeout: TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LONG);
    trace: TraceLayer::new_for_http();
    trace_grpc: TraceLayer::new_for_grpc();
    validate_request_header: ValidateRequestHeaderLayer::accept("text/plain");
    // tower, in the order of its modules.
    buffer: BufferLayer::new(MANY);
    filter: FilterLayer::new(|request: Request<_>| Ok::<_, BoxError>(request));
    async_filter: AsyncFilterLayer::new(async |request: Request<_>| Ok::<_, BoxError>(request));
    concurrency_limit: ConcurrencyLimitLayer::new(MANY);
    global_concurrency_limit: GlobalConcurrencyLimitLayer::new(MANY);
    // What it makes cannot be cloned, and a buffer can.
    rate_limit: ServiceBuilder::new().buffer(MANY).layer(RateLimitLayer::new(MANY as u64, LONG));
    load_shed: LoadShedLayer::new();
    retry: RetryLayer::new(Never);
    spawn_ready: ServiceBuilder::new().buffer(MANY).layer(SpawnReadyLayer::new());
    tower_timeout: tower::timeout::TimeoutLayer::new(LONG);
    and_then: AndThenLayer::new(async |response: Response<_>| Ok::<_, BoxError>(response));
    boxed: BoxCloneSyncServiceLayer::new(tower::layer::util::Identity::new());
    map_err: MapErrLayer::new(BoxError::from);
    map_future: MapFutureLayer::new(|future| future);
    map_request: MapRequestLayer::new(|request: Request<_>| request);
    map_response: MapResponseLayer::new(|response: Response<_>| response);
    map_result: MapResultLayer::new(|result: Result<Response<_>, _>| result);
    option: option_layer(Some(AddExtensionLayer::new("value")));
    then: ThenLayer::new(async |result: Result<Response<_>, _>| result);
}

/// A service without a framework.
#[derive(Clone)]
struct Plain;

impl<B> Service<Request<B>> for Plain {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(Full::from(INSIDE))))
    }
}

fn router() -> Router {
    Router::new().route("/", any(async || INSIDE))
}

fn grpc() -> Routes {
    Routes::from(router()).prepare()
}

const INSIDE: &str = "inside";

/// Tries nothing again.
#[derive(Clone)]
struct Never;

impl<Q, R, E> retry::Policy<Q, R, E> for Never {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Q, _: &mut Result<R, E>) -> Option<Ready<()>> {
        None
    }

    fn clone_request(&mut self, _: &Q) -> Option<Q> {
        None
    }
}

/// The answers of the policy and of the requirement, and what stands behind them.
async fn check<S, B>(door: &str, header: Option<&str>, service: impl Fn() -> S)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
    B: http_body::Body<Error: Into<BoxError>>,
{
    let token = || issuer().token(Algorithm::ES256);
    let (good, poor) = (token().scope("orders:read").mint(), token().mint());
    for (token, status, body) in [
        (None, StatusCode::UNAUTHORIZED, "token-missing"),
        (Some("x"), StatusCode::UNAUTHORIZED, "token-invalid"),
        (Some(&*poor), StatusCode::FORBIDDEN, "scope-insufficient"),
        (Some(&*good), StatusCode::OK, INSIDE),
    ] {
        let mut request = Request::get("/").header(ORIGIN, "https://app.example");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = service().oneshot(request).await.map_err(Into::into);
        let (head, found) = response.expect(door).into_parts();
        assert_eq!(head.status, status, "{door}: {body}");
        let is_challenged = head.headers.contains_key(WWW_AUTHENTICATE);
        assert_eq!(is_challenged, status != StatusCode::OK, "{door}: {body}");
        let found = found.collect().await.map_err(Into::into).expect(door).to_bytes();
        let found = String::from_utf8_lossy(&found);
        assert!(found.contains(body), "{door}: {found}");
        if let Some(header) = header {
            assert!(head.headers.contains_key(header), "{door}: {body}: no {header}");
        }
    }
}

/// The CORS protocol of the Fetch standard: a preflight has no credentials, so whoever asks for some must not see it.
#[tokio::test]
async fn a_preflight_is_answered_by_the_layer_in_front_alone() {
    let preflight = || {
        let request = Request::options("/")
            .header(ORIGIN, "https://app.example")
            .header("access-control-request-method", "DELETE");
        request.body(Body::empty()).expect("a request")
    };
    let verify = || portcullis::tower::VerifyLayer::new(Variant::Plain.policy());
    let outside = ServiceBuilder::new().layer(CorsLayer::permissive()).layer(verify());
    let inside = ServiceBuilder::new().layer(verify()).layer(CorsLayer::permissive());
    for (status, response) in [
        (StatusCode::OK, outside.service(Plain).oneshot(preflight()).await),
        (StatusCode::UNAUTHORIZED, inside.service(Plain).oneshot(preflight()).await),
    ] {
        assert_eq!(response.expect("an answer").status(), status);
    }
}
