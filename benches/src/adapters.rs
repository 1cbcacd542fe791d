//! A route of axum and one of actix-web, with the policy in front and without, called in process.
use core::fmt;

use actix_web::dev::{Service, ServiceResponse};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, Error, web};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Request, Response};
use portcullis::{Policy, VerifyLayer};

use crate::call;
use crate::case::Case;

/// An axum app with one route.
#[derive(Debug)]
pub struct Axum(Router);

impl Axum {
    /// The route, behind `policy` if there is one.
    pub fn new(policy: Option<&Policy>) -> Self {
        let router = Router::new().route("/orders/{id}", get(async || "ok"));
        Self(match policy {
            Some(policy) => router.layer(VerifyLayer::new(policy.clone())),
            None => router,
        })
    }

    /// A request with the `index`th token of `case`.
    pub fn request(case: &Case, index: usize) -> Request<Body> {
        case.request(index).map(|()| Body::empty())
    }

    /// Calls the route.
    ///
    /// # Panics
    ///
    /// If it does not answer 200.
    pub fn call(&mut self, request: Request<Body>) -> Response<Body> {
        let response = call::call(&mut self.0, request);
        assert_eq!(response.status().as_u16(), 200);
        response
    }
}

type Handle = dyn Fn(actix_http::Request) -> u16;

/// An actix-web app with one route.
pub struct Actix(Box<Handle>);

impl Actix {
    /// The route, behind `policy` if there is one.
    pub fn new(policy: Option<&Policy>) -> Self {
        let app = App::new().route("/orders/{id}", web::get().to(async || "ok"));
        // Making the app needs a runtime, calling it does not.
        let runtime = actix_web::rt::System::new();
        Self(match policy {
            Some(policy) => {
                let app = app.wrap(portcullis_actix::Verify::new(policy.clone()));
                handle(runtime.block_on(init_service(app)))
            }
            None => handle(runtime.block_on(init_service(app))),
        })
    }

    /// A request with the `index`th token of `case`.
    pub fn request(case: &Case, index: usize) -> actix_http::Request {
        let request = case.request(index);
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
