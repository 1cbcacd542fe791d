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
use portcullis::{Policy, middleware};
use tower_layer::Layer;
use tower_service::Service;

/// Puts a [`Policy`] in front of routes.
///
/// The same as [`portcullis::VerifyLayer`], which serves every tower stack, but for the response's
/// body: it stays the one that the route made, where axum would put the other's in a box.
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
pub struct VerifyLayer(portcullis::VerifyLayer);

impl VerifyLayer {
    /// Lets in what `policy` admits.
    pub fn new(policy: Policy) -> Self {
        Self(portcullis::VerifyLayer::new(policy))
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
pub struct Verify<S>(middleware::Verify<S>);

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<B>, Response = http::Response<R>> + Clone,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<S, B> {
        ResponseFuture { future: self.0.call(request) }
    }
}

pin_project! {
    /// The future of [`Verify`].
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        future: middleware::ResponseFuture<S, B>,
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = http::Response<R>>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // `Body::new` leaves a `Body` as it is.
        let response = self.project().future.poll(context);
        response.map_ok(|response| response.map(|body| body.fold(Body::new, Body::from)))
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
