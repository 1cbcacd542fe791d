//! An actix-web app, with its own middleware, extractors and server.
use std::io;
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::rt::System;
use actix_web::{App, Error, HttpRequest, HttpServer, Resource, Responder, web};
use portcullis::authorize::Requires;
use portcullis_actix::{
    ActixRequest, Authorized, Caller, Optional, Policy, Require, Verified, Verify,
};

use super::{
    ANONYMOUS, CACHED, CACHING, Faulty, INSIDE, JSON, Member, OPEN, Others, ReadOrders, Refund,
    Server, SteppedUp, Stop,
};

/// hyper has no such limit; actix-web's own of 5 s would end connections under a slow client.
const KEEP_ALIVE: Duration = Duration::from_secs(3600);

/// More than one, so that what they have in common counts.
const WORKERS: usize = 2;

pub(super) fn start(policy: &Policy, listener: TcpListener) -> io::Result<(Stop, Server)> {
    let policy = policy.clone();
    serve(listener, move |app| routes(app, &policy))
}

/// Serves an app that has these routes.
pub(super) fn serve(
    listener: TcpListener,
    configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> io::Result<(Stop, Server)> {
    let (send_handle, handle) = mpsc::channel();
    let thread = thread::Builder::new().name("door".into()).spawn(move || {
        System::new().block_on(async {
            let server = HttpServer::new(move || App::new().configure(configure.clone()))
                .workers(WORKERS)
                .on_connect(|_, data| _ = data.insert(super::certificate()))
                .disable_signals()
                .tcp_nodelay(true)
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(Duration::ZERO)
                .listen_auto_h2c(listener)?
                .run();
            let _ = send_handle.send(server.handle());
            server.await
        })
    })?;
    match handle.recv() {
        // The command is sent by the call; the future only waits for its end, as the caller does.
        Ok(handle) => Ok((Box::new(move || drop(handle.stop(false))), thread)),
        Err(_) => match thread.join() {
            Ok(Err(error)) => Err(error),
            _ => Err(io::Error::other("the server did not start")),
        },
    }
}

fn routes(app: &mut web::ServiceConfig, policy: &Policy) {
    let protected = Verify::new(policy.clone());
    let with_anonymous = Verify::new(policy.clone().allow_anonymous());
    app.service(web::resource("/whoami").wrap(protected.clone()).to(whoami))
        .service(web::resource("/orders/{id}").wrap(protected.clone()).to(whoami))
        .service(web::resource("/optional").wrap(with_anonymous.clone()).to(optional))
        .service(web::resource("/typed").wrap(protected.clone()).to(typed))
        .service(web::resource("/inside").wrap(protected.clone()).to(async || INSIDE))
        .service(web::resource("/cached").wrap(protected.clone()).to(cached))
        .service(web::resource("/typed-optional").wrap(with_anonymous.clone()).to(typed_optional))
        .service(web::resource("/authorized").wrap(protected.clone()).to(authorized))
        .service(required::<ReadOrders>("/scoped").wrap(protected.clone()))
        .service(required::<Refund>("/refund").wrap(protected.clone()))
        .service(required::<SteppedUp>("/stepped-up").wrap(protected.clone()))
        .service(required::<Others>("/others").wrap(protected.clone()))
        .service(required::<Faulty>("/faulty").wrap(protected.clone()))
        .service(required::<ReadOrders>("/scoped-optional").wrap(with_anonymous))
        .service(required::<ReadOrders>("/unprotected-scoped"))
        .service(
            web::scope("/nested")
                .service(
                    web::scope("/twice").wrap(protected.clone()).default_service(web::to(seen)),
                )
                .service(web::resource("/{rest:.*}").wrap(protected.clone()).to(seen)),
        )
        .service(web::scope("/service").wrap(protected.clone()).default_service(web::to(seen)))
        .service(web::resource("/merged/{rest:.*}").wrap(protected.clone()).to(seen))
        .service(web::resource("/unprotected-authorized").to(authorized))
        .service(web::resource("/unprotected").to(whoami))
        .service(web::resource("/unprotected-optional").to(optional))
        .service(web::resource("/open").to(async || OPEN));
}

fn required<R: Requires>(
    path: &str,
) -> Resource<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<R>>,
        Error = Error,
        InitError = (),
    > + use<R>,
> {
    web::resource(path).wrap(Require::new(R::requirement().clone())).to(async || INSIDE)
}

async fn seen(request: HttpRequest) -> String {
    super::seen(&ActixRequest(&request))
}

async fn authorized(_: Authorized<ReadOrders>) -> &'static str {
    INSIDE
}

async fn cached() -> impl Responder {
    CACHED.customize().insert_header((CACHE_CONTROL, CACHING))
}

async fn whoami(Caller(token): Caller) -> impl Responder {
    token.claims_json().to_owned().customize().insert_header((CONTENT_TYPE, JSON))
}

async fn optional(Optional(caller): Optional<Caller>) -> String {
    caller.as_ref().and_then(|caller| caller.subject()).unwrap_or(ANONYMOUS).to_owned()
}

async fn typed(Verified(member): Verified<Member>) -> String {
    member.to_string()
}

async fn typed_optional(Optional(member): Optional<Verified<Member>>) -> String {
    member.map_or(ANONYMOUS.to_owned(), |member| member.to_string())
}
