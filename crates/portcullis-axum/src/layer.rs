use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use axum_core::BoxError;
use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use http::Request;
use pin_project_lite::pin_project;
use portcullis::tower::{self, ResponseBody};
use portcullis::{Policy, Requirement};
use tower_layer::Layer;
use tower_service::Service;

use crate::request::AxumRequest;

/// Puts a [`Policy`] in front of routes.
///
/// The same as [`portcullis::tower::VerifyLayer`], which serves every tower stack, but for two things. The policy sees what
/// axum alone knows, by [`AxumRequest`]: behind `Router::nest`, the path that the client asked for. And the
/// response's body stays the one that the route made, where axum would put the other's in a box.
///
/// `Router::layer` takes some 0.1 µs a request for any layer. Around the whole app there is no such
/// price:
///
/// ```
/// use axum::{Router, ServiceExt, extract::Request};
/// use portcullis_axum::{Policy, VerifyLayer};
/// use tower::Layer;
///
/// # async fn serve(app: Router, policy: Policy) -> std::io::Result<()> {
/// let app = VerifyLayer::new(policy).layer(app);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// axum::serve(listener, ServiceExt::<Request>::into_make_service(app)).await
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct VerifyLayer(tower::VerifyLayer);

impl VerifyLayer {
    /// Lets in what `policy` admits.
    pub fn new(policy: Policy) -> Self {
        Self(tower::VerifyLayer::new(policy))
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify(self.0.layer(inner))
    }
}

/// The service that [`VerifyLayer`] makes.
#[derive(Clone, Debug)]
pub struct Verify<S>(tower::Verify<S>);

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<B>, Response = http::Response<R>> + Clone,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseFuture<tower::ResponseFuture<S, B>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let future = self.0.call_checked(request, |policy, request| {
            policy.start_verify(&AxumRequest::from(request))
        });
        ResponseFuture { future }
    }
}

/// Lets only tokens through that meet a [`Requirement`]. Stands behind [`VerifyLayer`], and answers as it does;
/// without one in front, with 500.
///
/// For one handler take [`Authorized`](crate::Authorized), which stands among its arguments and cannot be left
/// behind: in a chain of methods, `post(…).route_layer(…).delete(…)`, a layer covers only those before it, and
/// `DELETE` would ask for nothing. `assert_forbidden` of `portcullis-testkit` finds that.
///
/// Take `route_layer`, which leaves a path without a route at 404:
///
/// ```
/// use axum::{Router, routing::{get, post}};
/// use portcullis_axum::{Policy, RequireLayer, VerifyLayer};
///
/// fn app(policy: Policy) -> Router {
///     Router::new()
///         .route("/orders", get(async || "orders").route_layer(RequireLayer::scope("orders:read")))
///         .layer(VerifyLayer::new(policy))
/// }
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireLayer(tower::RequireLayer);

impl RequireLayer {
    /// Lets in what meets `requirement`.
    pub fn new(requirement: Requirement) -> Self {
        Self(tower::RequireLayer::new(requirement))
    }

    /// Lets in what has this scope: see [`Requirement::scope`].
    pub fn scope(scope: impl Into<String>) -> Self {
        Self::new(Requirement::scope(scope))
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = Require<S>;

    fn layer(&self, inner: S) -> Require<S> {
        Require(self.0.layer(inner))
    }
}

/// The service that [`RequireLayer`] makes.
#[derive(Clone, Debug)]
pub struct Require<S>(tower::Require<S>);

impl<S, B, R> Service<Request<B>> for Require<S>
where
    S: Service<Request<B>, Response = http::Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseFuture<tower::RequireFuture<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Service::<Request<B>>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture { future: self.0.call(request) }
    }
}

pin_project! {
    /// The future of [`Verify`] and [`Require`].
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<http::Response<ResponseBody<R>>, E>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // `Body::new` leaves a `Body` as it is.
        let response = self.project().future.poll(context);
        response.map_ok(|response| response.map(|body| body.fold(Body::new, Body::from)))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
