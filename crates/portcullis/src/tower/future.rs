use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ResponseBody;
use super::service::let_in;
use crate::admission::Rejection;
use crate::response::ResponseNeeds;
use crate::verify::VerifyFuture;

pin_project! {
    /// The future of [`Verify`](super::Verify).
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, F> {
        Calling {
            #[pin]
            future: F,
            needs: ResponseNeeds,
        },
        Refused {
            rejection: Option<Rejection>,
        },
        Waiting {
            // In a box, since it is rare and would make every future larger.
            held: Option<Box<Held<S, B>>>,
        },
    }
}

/// What a request waits with.
struct Held<S, B> {
    waiting: VerifyFuture,
    request: Request<B>,
    inner: S,
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(super) fn calling(future: S::Future, needs: ResponseNeeds) -> Self {
        Self { state: State::Calling { future, needs } }
    }

    pub(super) fn refused(rejection: Rejection) -> Self {
        Self { state: State::Refused { rejection: Some(rejection) } }
    }

    pub(super) fn waiting(waiting: VerifyFuture, request: Request<B>, inner: S) -> Self {
        let held = Box::new(Held { waiting, request, inner });
        Self { state: State::Waiting { held: Some(held) } }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        const TWICE: &str = "a future is not polled after it was ready";
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Calling { future, needs } => {
                    return future.poll(context).map_ok(|mut response| {
                        needs.add_to(response.headers_mut());
                        response.map(ResponseBody::inner)
                    });
                }
                StateProjection::Refused { rejection } => {
                    return Poll::Ready(Ok(rejection.take().expect(TWICE).into_response()));
                }
                StateProjection::Waiting { held } => {
                    let waiting = &mut held.as_mut().expect(TWICE).waiting;
                    match ready!(Pin::new(waiting).poll(context)) {
                        Ok(admission) => {
                            let Held { mut request, mut inner, .. } = *held.take().expect(TWICE);
                            let needs = let_in(request.extensions_mut(), admission);
                            let future = inner.call(request);
                            state.set(State::Calling { future, needs });
                        }
                        Err(rejection) => return Poll::Ready(Ok(rejection.into_response())),
                    }
                }
            }
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
