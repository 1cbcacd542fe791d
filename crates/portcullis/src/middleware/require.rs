use core::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{ResponseBody, ResponseFuture};
use crate::admission::Admission;
use crate::authorize::Requirement;
use crate::response::ResponseNeeds;

/// Lets only tokens through that meet a [`Requirement`]. Stands behind [`VerifyLayer`](crate::VerifyLayer), and
/// answers as it does; without one in front, with 500.
///
/// ```
/// use portcullis::{Policy, RequireLayer, VerifyLayer};
/// use tower_layer::Layer;
///
/// # fn protect<S: Clone>(policy: &Policy, service: S) {
/// let service = RequireLayer::scope("orders:read").layer(service);
/// let service = VerifyLayer::new(policy.clone()).layer(service);
/// # let _ = service; }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct RequireLayer {
    requirement: Requirement,
}

impl RequireLayer {
    /// Lets in what meets `requirement`.
    pub fn new(requirement: Requirement) -> Self {
        Self { requirement }
    }

    /// Lets in what has this scope: see [`Requirement::scope`].
    pub fn scope(scope: impl Into<String>) -> Self {
        Self::new(Requirement::scope(scope))
    }
}

impl<S> Layer<S> for RequireLayer {
    type Service = Require<S>;

    fn layer(&self, inner: S) -> Require<S> {
        Require::new(inner, self.requirement.clone())
    }
}

/// The service that [`RequireLayer`] makes.
#[derive(Clone, Debug)]
pub struct Require<S> {
    inner: S,
    requirement: Requirement,
}

impl<S> Require<S> {
    /// Lets into `inner` what meets `requirement`.
    pub fn new(inner: S, requirement: Requirement) -> Self {
        Self { inner, requirement }
    }
}

impl<S, B, R> Service<Request<B>> for Require<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<S, B> {
        let admission = request.extensions().get();
        match Admission::authorize(admission, &self.requirement, &request) {
            Ok(_) => ResponseFuture::calling(self.inner.call(request), ResponseNeeds::default()),
            Err(rejection) => ResponseFuture::refused(rejection),
        }
    }
}
