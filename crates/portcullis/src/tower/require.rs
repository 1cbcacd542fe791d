use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::ResponseBody;
use crate::admission::{Admission, Rejection};
use crate::authorize::Requirement;

/// Lets only tokens through that meet a [`Requirement`]. Stands behind [`VerifyLayer`](crate::tower::VerifyLayer), and
/// answers as it does; without one in front, with 500.
///
/// ```
/// use portcullis::tower::{RequireLayer, VerifyLayer};
/// use portcullis::Policy;
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
pub struct Require<S, A = Requirement> {
    inner: S,
    asked: A,
}

impl<S> Require<S> {
    /// Lets into `inner` what meets `requirement`.
    pub fn new(inner: S, requirement: Requirement) -> Self {
        Self::asking(inner, requirement)
    }
}

impl<S, A> Require<S, A> {
    /// For an adapter that asks for something else than one requirement, by [`call_checked`](Self::call_checked).
    pub fn asking(inner: S, asked: A) -> Self {
        Self { inner, asked }
    }

    /// Calls `inner` as the service itself does, but for how a request is judged: by `check`.
    ///
    /// For an adapter whose framework knows more of a request than the `http` crate, such as its route.
    pub fn call_checked<B, R>(
        &mut self,
        request: Request<B>,
        check: impl FnOnce(&A, &Request<B>) -> Result<(), Rejection>,
    ) -> RequireFuture<S::Future>
    where
        S: Service<Request<B>, Response = Response<R>>,
    {
        let state = match check(&self.asked, &request) {
            Ok(()) => State::Calling { future: self.inner.call(request) },
            Err(rejection) => State::Refused { rejection: Some(rejection) },
        };
        RequireFuture { state }
    }

    /// Whether `inner` takes a request, for an adapter.
    ///
    /// # Errors
    ///
    /// Those of `inner`.
    pub fn poll_inner_ready<B>(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<Request<B>>,
    {
        self.inner.poll_ready(context)
    }
}

impl<S, B, R> Service<Request<B>> for Require<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = RequireFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> RequireFuture<S::Future> {
        self.call_checked(request, |requirement, request| {
            let admission = request.extensions().get();
            Admission::authorize(admission, requirement, request).map(drop)
        })
    }
}

pin_project! {
    /// The future of [`Require`].
    pub struct RequireFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Calling {
            #[pin]
            future: F,
        },
        Refused {
            rejection: Option<Rejection>,
        },
    }
}

impl<F, R, E> Future for RequireFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Calling { future } => {
                future.poll(context).map_ok(|response| response.map(ResponseBody::inner))
            }
            StateProjection::Refused { rejection } => {
                let rejection =
                    rejection.take().expect("a future is not polled after it was ready");
                Poll::Ready(Ok(rejection.into_response()))
            }
        }
    }
}

impl<F> fmt::Debug for RequireFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequireFuture").finish_non_exhaustive()
    }
}
