use core::mem;
use core::task::{Context, Poll};

use http::{Extensions, Request, Response};
use tower_service::Service;

use super::{ResponseBody, ResponseFuture};
use crate::admission::Admission;
use crate::policy::{Policy, Verification};
use crate::response::ResponseNeeds;

/// The service that [`VerifyLayer`](super::VerifyLayer) makes.
#[derive(Clone, Debug)]
pub struct Verify<S> {
    inner: S,
    policy: Policy,
}

impl<S> Verify<S> {
    /// Lets into `inner` what `policy` admits.
    pub fn new(inner: S, policy: Policy) -> Self {
        Self { inner, policy }
    }

    /// Calls `inner` as the service itself does, but for how the policy is asked: by `start_verify`.
    ///
    /// For an adapter whose framework knows more of a request than the `http` crate, such as the path
    /// before its router stripped a prefix. It gives [`Policy::start_verify`] a
    /// [`RequestView`](crate::RequestView) of its own.
    pub fn call_checked<B, R>(
        &mut self,
        mut request: Request<B>,
        check: impl FnOnce(&Policy, &Request<B>) -> Verification,
    ) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone,
    {
        // A layer further out, of the same policy, decided already, and sees to the response. Only
        // verification makes an `Admission`.
        if request
            .extensions()
            .get::<Admission>()
            .is_some_and(|admission| admission.is_by(&self.policy))
        {
            return ResponseFuture::calling(self.inner.call(request), ResponseNeeds::default());
        }
        match check(&self.policy, &request) {
            Verification::Done(Ok(admission)) if admission.is_proven() => {
                self.call_proven(request, admission)
            }
            Verification::Done(Ok(admission)) => {
                // Not `let_in`: nothing has to be dropped should the service panic.
                let is_private = admission.has_private_responses();
                if let Some(former) = request.extensions_mut().insert(admission) {
                    forget(former);
                }
                let future = self.inner.call(request);
                ResponseFuture::calling(future, ResponseNeeds::caching(is_private))
            }
            Verification::Done(Err(rejection)) => ResponseFuture::refused(rejection),
            Verification::Pending(waiting) => {
                // The inner service that was polled ready is the one to call; a clone stays.
                let clone = self.inner.clone();
                let inner = mem::replace(&mut self.inner, clone);
                ResponseFuture::waiting(waiting, request, inner)
            }
        }
    }

    // Apart from the way of other requests, whose responses need nothing that has to be dropped.
    #[inline(never)]
    fn call_proven<B, R>(
        &mut self,
        mut request: Request<B>,
        admission: Admission,
    ) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>, Response = Response<R>> + Clone,
    {
        let needs = let_in(request.extensions_mut(), admission);
        ResponseFuture::calling(self.inner.call(request), needs)
    }
}

/// Drops what another policy put there, further out: mostly there is none.
#[cold]
fn forget(former: Admission) {
    drop(former);
}

/// Puts into a request what says who is let in, and says what its response needs.
pub(super) fn let_in(extensions: &mut Extensions, admission: Admission) -> ResponseNeeds {
    let needs = admission.response_needs();
    if let Some(used) = admission.used_proof() {
        extensions.insert(used);
    }
    extensions.insert(admission);
    needs
}

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture<S, B> {
        self.call_checked(request, Policy::start_verify)
    }
}
