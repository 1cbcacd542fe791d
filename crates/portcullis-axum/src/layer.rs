use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use axum::extract::MatchedPath;
use axum_core::BoxError;
use axum_core::body::Body;
use axum_core::response::Response;
use bytes::Bytes;
use http::Request;
use pin_project_lite::pin_project;
use portcullis::tower::{self, ResponseBody};
use portcullis::{Admission, Policy, Rejection, Requirement, RouteTable};
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
///         .route(
///             "/orders",
///             get(async || "orders")
///                 .route_layer(RequireLayer::scope("orders:read")),
///         )
///         .layer(VerifyLayer::new(policy))
/// }
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireLayer(Asked);

/// What is asked for.
#[derive(Clone, Debug)]
enum Asked {
    Requirement(Requirement),
    ByRoute(Arc<RouteTable>),
}

impl Asked {
    fn check<B>(&self, request: &Request<B>) -> Result<(), Rejection> {
        let admission = request.extensions().get();
        let view = &AxumRequest::from(request);
        match self {
            Self::Requirement(requirement) => {
                Admission::authorize(admission, requirement, view).map(drop)
            }
            Self::ByRoute(table) => {
                let route = request.extensions().get().map(MatchedPath::as_str);
                table.check(admission, route, view)
            }
        }
    }
}

impl RequireLayer {
    /// Lets in what meets `requirement`.
    pub fn new(requirement: Requirement) -> Self {
        Self(Asked::Requirement(requirement))
    }

    /// Lets in what meets what the table has for the route, and refuses routes that the table does not have.
    ///
    /// The route is axum's [`MatchedPath`], which is whole where a router nests others. Take `route_layer` on the outermost
    /// router, after its last route, so that a path without a route stays at 404:
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use portcullis_axum::portcullis::{Requirement, RouteTable};
    /// use portcullis_axum::{Policy, RequireLayer, VerifyLayer};
    ///
    /// fn app(policy: Policy) -> Router {
    ///     let table = RouteTable::new()
    ///         .require("GET", "/orders/{id}", Requirement::scope("orders:read"));
    ///     Router::new()
    ///         .route("/orders/{id}", get(async || "an order"))
    ///         .route_layer(RequireLayer::by_route(table))
    ///         .layer(VerifyLayer::new(policy))
    /// }
    /// # let _ = app;
    /// ```
    pub fn by_route(table: RouteTable) -> Self {
        Self(Asked::ByRoute(Arc::new(table)))
    }

    /// Lets in what has this scope: see [`Requirement::scope`].
    pub fn scope(scope: impl Into<String>) -> Self {
        Self::new(Requirement::scope(scope))
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = Require<S>;

    fn layer(&self, inner: S) -> Require<S> {
        Require(tower::Require::asking(inner, self.0.clone()))
    }
}

/// The service that [`RequireLayer`] makes.
#[derive(Clone, Debug)]
pub struct Require<S>(tower::Require<S, Asked>);

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
        self.0.poll_inner_ready::<B>(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture { future: self.0.call_checked(request, Asked::check) }
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
