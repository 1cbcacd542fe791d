use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::future::Ready;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::EitherBody;
use actix_web::dev::{
    Extensions, Service, ServiceRequest, ServiceResponse, Transform, forward_ready,
};
use actix_web::{Error, HttpMessage, ResponseError};
use pin_project_lite::pin_project;
use portcullis::policy::{Verification, VerifyFuture};
use portcullis::request::UsedProof;
use portcullis::response::ResponseNeeds;
use portcullis::{Admission, Policy, Requirement, RouteTable};

use crate::rejection::Rejection;
use crate::request::ActixRequest;
use crate::response;

/// Puts a [`Policy`] in front of an app, a scope or a resource.
///
/// A refusal is a response, not an error, so that middleware further out runs as for any other.
///
/// ```
/// use actix_web::{App, web};
/// use portcullis_actix::{Policy, Verify};
///
/// # fn app(policy: Policy) {
/// let orders = web::resource("/orders").get(async || "orders");
/// let api = web::scope("/api").wrap(Verify::new(policy)).service(orders);
/// let app = App::new().service(api); // all else is open
/// # let _ = app; }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Verify {
    policy: Policy,
}

impl Verify {
    /// Lets in what `policy` admits.
    pub fn new(policy: Policy) -> Self {
        Self { policy }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Verify
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = VerifyService<S>;
    type InitError = ();
    type Future = Ready<Result<VerifyService<S>, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        std::future::ready(Ok(VerifyService {
            service: Rc::new(service),
            policy: self.policy.clone(),
        }))
    }
}

/// The service that [`Verify`] makes.
#[derive(Debug)]
pub struct VerifyService<S> {
    service: Rc<S>,
    policy: Policy,
}

impl<S, B> Service<ServiceRequest> for VerifyService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = ResponseFuture<S>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> ResponseFuture<S> {
        // A `Verify` further out, of the same policy, decided already, and sees to the response.
        let is_decided = request
            .extensions()
            .get::<Admission>()
            .is_some_and(|admission| admission.is_by(&self.policy));
        if is_decided {
            return ResponseFuture::calling(self.service.call(request), ResponseNeeds::default());
        }
        match self.policy.start_verify(&ActixRequest(request.request())) {
            Verification::Done(Ok(admission)) => {
                let needs = let_in(&mut request.extensions_mut(), admission);
                ResponseFuture::calling(self.service.call(request), needs)
            }
            Verification::Done(Err(rejection)) => ResponseFuture::refused(request, rejection),
            Verification::Pending(waiting) => {
                ResponseFuture::waiting(waiting, request, Rc::clone(&self.service))
            }
        }
    }
}

/// Puts into a request what says who is let in, and says what its response needs.
// Always inlined: it makes little of most requests.
#[inline(always)]
fn let_in(extensions: &mut Extensions, admission: Admission) -> ResponseNeeds {
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

/// Lets only tokens through that meet a [`Requirement`]. Stands behind [`Verify`], and answers as it does; without
/// one in front, with 500.
///
/// ```
/// use actix_web::{App, web};
/// use portcullis_actix::{Policy, Require, Verify};
///
/// # fn app(policy: Policy) {
/// let orders = web::resource("/orders")
///     .wrap(Require::scope("orders:read"))
///     .get(async || "orders");
/// let app = App::new().service(orders).wrap(Verify::new(policy));
/// # let _ = app; }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Require(Asked);

/// What is asked for.
#[derive(Clone, Debug)]
enum Asked {
    Requirement(Requirement),
    ByRoute(Arc<RouteTable>),
}

impl Asked {
    fn check(&self, request: &ServiceRequest) -> Result<(), portcullis::Rejection> {
        let extensions = request.extensions();
        let view = &ActixRequest(request.request());
        match self {
            Self::Requirement(requirement) => {
                Admission::authorize(extensions.get(), requirement, view).map(drop)
            }
            Self::ByRoute(table) => {
                table.check(extensions.get(), request.match_pattern().as_deref(), view)
            }
        }
    }
}

impl Require {
    /// Lets in what meets `requirement`.
    pub fn new(requirement: Requirement) -> Self {
        Self(Asked::Requirement(requirement))
    }

    /// Lets in what meets what the table has for the route, and refuses routes that the table does not have.
    ///
    /// The route is what `HttpRequest::match_pattern` says, which is whole within scopes: `/orders/{id}`. A path
    /// without a route is refused like a route that is not in the table.
    ///
    /// Of two resources that match one path and differ by their guards alone, `match_pattern` names the first: give both
    /// the same pattern, or `Authorized` to the handlers.
    ///
    /// ```
    /// use actix_web::{App, web};
    /// use portcullis_actix::portcullis::{Requirement, RouteTable};
    /// use portcullis_actix::{Policy, Require, Verify};
    ///
    /// # fn app(policy: Policy) {
    /// let table = RouteTable::new()
    ///     .require("GET", "/orders/{id}", Requirement::scope("orders:read"));
    /// let app = App::new()
    ///     .route("/orders/{id}", web::get().to(async || "an order"))
    ///     .wrap(Require::by_route(table))
    ///     .wrap(Verify::new(policy)); // the last one runs first
    /// # let _ = app; }
    /// ```
    pub fn by_route(table: RouteTable) -> Self {
        Self(Asked::ByRoute(Arc::new(table)))
    }

    /// Lets in what has this scope: see [`Requirement::scope`].
    pub fn scope(scope: impl Into<String>) -> Self {
        Self::new(Requirement::scope(scope))
    }
}

impl<S, B> Transform<S, ServiceRequest> for Require
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = RequireService<S>;
    type InitError = ();
    type Future = Ready<Result<RequireService<S>, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        std::future::ready(Ok(RequireService { service, asked: self.0.clone() }))
    }
}

/// The service that [`Require`] makes.
#[derive(Debug)]
pub struct RequireService<S> {
    service: S,
    asked: Asked,
}

impl<S, B> Service<ServiceRequest> for RequireService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = ResponseFuture<S>;

    forward_ready!(service);

    fn call(&self, request: ServiceRequest) -> ResponseFuture<S> {
        // Before the match: the extensions are borrowed no longer than that.
        let refused = self.asked.check(&request).err();
        match refused {
            None => ResponseFuture::calling(self.service.call(request), ResponseNeeds::default()),
            Some(rejection) => ResponseFuture::refused(request, rejection),
        }
    }
}

pin_project! {
    /// The future of [`VerifyService`] and [`RequireService`].
    pub struct ResponseFuture<S>
    where
        S: Service<ServiceRequest>,
    {
        #[pin]
        state: State<S, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        Calling {
            #[pin]
            future: F,
            needs: ResponseNeeds,
        },
        Refused {
            held: Option<(ServiceRequest, portcullis::Rejection)>,
        },
        Waiting {
            waiting: VerifyFuture,
            held: Option<(ServiceRequest, Rc<S>)>,
        },
    }
}

impl<S: Service<ServiceRequest>> ResponseFuture<S> {
    fn calling(future: S::Future, needs: ResponseNeeds) -> Self {
        Self { state: State::Calling { future, needs } }
    }

    fn refused(request: ServiceRequest, rejection: portcullis::Rejection) -> Self {
        Self { state: State::Refused { held: Some((request, rejection)) } }
    }

    fn waiting(waiting: VerifyFuture, request: ServiceRequest, service: Rc<S>) -> Self {
        Self { state: State::Waiting { waiting, held: Some((request, service)) } }
    }
}

impl<S, B> Future for ResponseFuture<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Output = Result<ServiceResponse<EitherBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        const TWICE: &str = "a future is not polled after it was ready";
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProjection::Calling { future, needs } => {
                    return future.poll(context).map_ok(|mut response| {
                        response::add(needs, response.headers_mut());
                        response.map_into_left_body()
                    });
                }
                StateProjection::Refused { held } => {
                    let (request, rejection) = held.take().expect(TWICE);
                    return Poll::Ready(Ok(respond(request, rejection)));
                }
                StateProjection::Waiting { waiting, held } => {
                    let result = ready!(Pin::new(waiting).poll(context));
                    let (request, service) = held.take().expect(TWICE);
                    match result {
                        Ok(admission) => {
                            let needs = let_in(&mut request.extensions_mut(), admission);
                            let future = service.call(request);
                            state.set(State::Calling { future, needs });
                        }
                        Err(rejection) => return Poll::Ready(Ok(respond(request, rejection))),
                    }
                }
            }
        }
    }
}

fn respond<B>(
    request: ServiceRequest,
    rejection: portcullis::Rejection,
) -> ServiceResponse<EitherBody<B>> {
    request.into_response(Rejection::from(rejection).error_response()).map_into_right_body()
}

impl<S: Service<ServiceRequest>> fmt::Debug for ResponseFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
