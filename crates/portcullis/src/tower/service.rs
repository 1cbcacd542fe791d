use core::mem;
use core::task::{Context, Poll};

use http::{Extensions, Request, Response};
use tower_service::Service;

use super::{ResponseBody, ResponseFuture};
use crate::admission::Admission;
use crate::policy::{Policy, Verification};
use crate::request::UsedProof;
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
            Verification::Done(Ok(admission)) => {
                let needs = let_in(request.extensions_mut(), admission);
                ResponseFuture::calling(self.inner.call(request), needs)
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
}

/// Puts into a request what says who is let in, and says what its response needs.
// Always inlined: it is on the way of every request, and makes little of most.
#[inline(always)]
pub(super) fn let_in(extensions: &mut Extensions, admission: Admission) -> ResponseNeeds {
    let needs = admission.response_needs();
    if let Some(used) = admission.used_proof() {
        insert(extensions, used);
    }
    extensions.insert(admission);
    needs
}

// Not inlined: few requests have one.
#[inline(never)]
fn insert(extensions: &mut Extensions, used: UsedProof) {
    extensions.insert(used);
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
