//! Calls of services, without a runtime.
use core::convert::Infallible;
use core::fmt;
use core::future::{Future, Ready, ready};
use core::marker::PhantomData;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use portcullis::{Admission, VerifiedToken};
use serde::de::DeserializeOwned;
use tower_service::Service;

/// A service that is always ready and answers at once: the floor of every number.
#[derive(Clone, Copy, Debug)]
pub struct Bare;

impl<B> Service<Request<B>> for Bare {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        drop(request);
        ready(Ok(Response::default()))
    }
}

/// As [`Bare`], but reads the claims of the verified token as a `T` first.
pub struct Reads<T>(PhantomData<fn() -> T>);

impl<T> Reads<T> {
    /// A service that reads a `T`.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for Reads<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Clone for Reads<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Reads<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reads")
    }
}

impl<B, T: DeserializeOwned + Send + Sync + 'static> Service<Request<B>> for Reads<T> {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let token = request.extensions().get().and_then(Admission::token);
        let claims = token.map(VerifiedToken::claims::<T>);
        drop(core::hint::black_box(claims).expect("the layer stands in front").expect("a `T`"));
        Bare.call(request)
    }
}

/// Calls `service`, which is ready and answers at the first poll.
///
/// # Panics
///
/// If it is not, does not, or fails.
pub fn call<S: Service<R, Error: fmt::Debug>, R>(service: &mut S, request: R) -> S::Response {
    let Poll::Ready(Ok(())) = service.poll_ready(&mut Context::from_waker(Waker::noop())) else {
        panic!("the service is ready")
    };
    complete(service.call(request)).expect("the service answers")
}

/// What `future` is ready with at its first poll.
///
/// # Panics
///
/// If it has to be polled again.
pub fn complete<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("decided at the first poll"),
    }
}
