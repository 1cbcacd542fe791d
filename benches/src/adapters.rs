//! A route of axum and one of actix-web, with the policy in front and without, called in process.
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use actix_web::dev::{Service, ServiceResponse};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error, web};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response};
use portcullis::Policy;
use portcullis::tower::Verify;
use portcullis_axum::VerifyLayer;
use tower_layer::{Identity, Layer};

use crate::call::{self, Bare};
use crate::case::Case;

/// What stands in front of a route, or in its place.
#[derive(Clone, Copy, Debug)]
pub enum Front<'p> {
    /// Nothing.
    Nothing,
    /// Nothing; the handler verifies a signature of the case. So the framework's own code is as cold
    /// as after a policy that verifies one.
    Signature(&'static Case),
    /// A layer that does nothing: what the framework takes for any.
    Layer,
    /// A policy, as a layer of the app.
    Policy(&'p Policy),
    /// A policy, as a layer around the app: another place only in axum.
    Around(&'p Policy),
}

impl Front<'_> {
    /// What the handler does.
    fn handle(self) -> impl Fn() + Clone + Send + Sync + 'static {
        let case = match self {
            Self::Signature(case) => Some(case),
            Self::Nothing | Self::Layer | Self::Policy(_) | Self::Around(_) => None,
        };
        let calls = Arc::new(AtomicUsize::new(0));
        move || {
            if let Some(case) = case {
                assert!(case.verify_raw(calls.fetch_add(1, Ordering::Relaxed)));
            }
        }
    }
}

/// A tower service that answers at once.
#[derive(Debug)]
pub enum Tower {
    /// It, or it after a signature of the case, by how many came before.
    Bare(Option<(&'static Case, usize)>),
    /// It behind a policy.
    Protected(Verify<Bare>),
}

impl Tower {
    /// The service, behind `front`.
    pub fn new(front: Front<'_>) -> Self {
        match front {
            Front::Nothing | Front::Layer => Self::Bare(None),
            Front::Signature(case) => Self::Bare(Some((case, 0))),
            Front::Policy(policy) | Front::Around(policy) => {
                Self::Protected(Verify::new(Bare, policy.clone()))
            }
        }
    }

    /// Calls the service.
    ///
    /// # Panics
    ///
    /// If it does not answer 200.
    pub fn call(&mut self, request: Request<()>) {
        let status = match self {
            Self::Bare(signature) => {
                if let Some((case, calls)) = signature {
                    assert!(case.verify_raw(*calls));
                    *calls += 1;
                }
                call::call(&mut Bare, request).status()
            }
            Self::Protected(service) => call::call(service, request).status(),
        };
        assert_eq!(status.as_u16(), 200);
    }
}

/// An axum app with one route.
#[derive(Debug)]
pub struct Axum(Either);

#[derive(Debug)]
enum Either {
    App(Router),
    Around(portcullis_axum::Verify<Router>),
}

impl Axum {
    /// The route, behind `front`.
    pub fn new(front: Front<'_>) -> Self {
        let handle = front.handle();
        let handler = async move || {
            handle();
            "ok"
        };
        let router = Router::new().route("/orders/{id}", get(handler));
        let layer = |policy: &Policy| VerifyLayer::new(policy.clone());
        Self(match front {
            Front::Around(policy) => Either::Around(layer(policy).layer(router)),
            Front::Policy(policy) => Either::App(router.layer(layer(policy))),
            Front::Layer => Either::App(router.layer(Identity::new())),
            Front::Nothing | Front::Signature(_) => Either::App(router),
        })
    }

    /// A request with the `index`th token of `case`.
    pub fn request(case: &Case, index: usize) -> Request<Body> {
        Self::request_from(case.request(index))
    }

    /// `request` as one that the route takes.
    pub fn request_from(request: Request<()>) -> Request<Body> {
        request.map(|()| Body::empty())
    }

    /// Calls the route.
    ///
    /// # Panics
    ///
    /// If it does not answer 200.
    pub fn call(&mut self, request: Request<Body>) -> Response<Body> {
        let response = match &mut self.0 {
            Either::App(router) => call::call(router, request),
            Either::Around(service) => call::call(service, request),
        };
        assert_eq!(response.status().as_u16(), 200);
        response
    }
}

type Handle = dyn Fn(actix_http::Request) -> u16;

/// An actix-web app with one route.
pub struct Actix(Box<Handle>);

impl Actix {
    /// The route, behind `front`.
    pub fn new(front: Front<'_>) -> Self {
        let handle_call = front.handle();
        let handler = move || {
            handle_call();
            core::future::ready("ok")
        };
        let app = App::new().route("/orders/{id}", web::get().to(handler));
        // Making the app needs a runtime, calling it does not.
        let runtime = actix_web::rt::System::new();
        Self(match front {
            Front::Policy(policy) | Front::Around(policy) => {
                let app = app.wrap(portcullis_actix::Verify::new(policy.clone()));
                handle(runtime.block_on(init_service(app)))
            }
            Front::Layer => {
                let app = app.wrap_fn(|request, service| service.call(request));
                handle(runtime.block_on(init_service(app)))
            }
            Front::Nothing | Front::Signature(_) => handle(runtime.block_on(init_service(app))),
        })
    }

    /// A request with the `index`th token of `case`.
    pub fn request(case: &Case, index: usize) -> actix_http::Request {
        Self::request_from(&case.request(index))
    }

    /// `request` as one that the route takes.
    pub fn request_from(request: &Request<()>) -> actix_http::Request {
        let mut copy = TestRequest::with_uri(&request.uri().to_string());
        for (name, value) in request.headers() {
            copy = copy.insert_header((name.as_str(), value.as_bytes()));
        }
        copy.to_request()
    }

    /// Calls the route.
    ///
    /// # Panics
    ///
    /// If it does not answer 200.
    pub fn call(&self, request: actix_http::Request) {
        assert_eq!((self.0)(request), 200);
    }
}

fn handle<S, B>(service: S) -> Box<Handle>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error> + 'static,
{
    Box::new(move |request| {
        call::complete(service.call(request)).expect("the app answers").status().as_u16()
    })
}

impl fmt::Debug for Actix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Actix")
    }
}
