//! The service in actix-web.
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, PayloadConfig, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use portcullis_actix::{ActixRequest, Verified, Verify};

use crate::answer::Answer;
use crate::service::{Service, User};
use crate::{BODY, pages, say_ready};

/// A route whose answer depends on the head of the request alone.
macro_rules! by_head {
    ($name:ident) => {
        async |service: Data<Service>, request: HttpRequest| {
            respond(service.$name(&ActixRequest(&request)).await)
        }
    };
}

/// A route that reads the body as well.
macro_rules! by_body {
    ($name:ident) => {
        async |service: Data<Service>, request: HttpRequest, body: Bytes| {
            respond(service.$name(&ActixRequest(&request), &body).await)
        }
    };
}

/// actix-web is on an earlier version of the `http` crate.
fn respond(answer: Answer) -> HttpResponse {
    let (head, body) = answer.into_parts();
    let status = StatusCode::from_u16(head.status.as_u16());
    let mut response = HttpResponse::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in &head.headers {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    response.body(body)
}

async fn me(service: Data<Service>, Verified(user): Verified<User>) -> HttpResponse {
    respond(service.api_me(&user))
}

fn routes(service: &Service, app: &mut ServiceConfig) {
    app.app_data(PayloadConfig::new(BODY))
        .service(web::resource("/api/me").wrap(Verify::new(service.policy.clone())).get(me))
        .service(web::resource("/api/signup").post(by_body!(api_sign_up)))
        .service(web::resource("/api/login").post(by_body!(api_log_in)))
        .service(web::resource("/api/password").post(by_body!(api_change_password)))
        .service(web::resource("/").get(by_head!(home)))
        .service(
            web::resource("/signup")
                .get(async |service: Data<Service>| respond(service.sign_up_page()))
                .post(by_body!(sign_up_form)),
        )
        .service(
            web::resource("/login")
                .get(async |service: Data<Service>| respond(service.log_in_page()))
                .post(by_body!(log_in_form)),
        )
        .service(web::resource("/continue").post(by_body!(continue_form)))
        .service(web::resource("/logout").post(by_head!(log_out_form)))
        .service(web::resource("/logout-everywhere").post(by_head!(log_out_everywhere_form)))
        .service(web::resource("/devices").get(by_head!(devices)))
        .service(web::resource("/devices/{id}/end").post(by_head!(end_device_form)))
        .service(web::resource("/password").post(by_body!(password_form)))
        .service(web::resource("/keys").get(by_head!(keys)))
        .service(web::resource("/keys/rotate").post(by_head!(rotate_form)))
        .service(web::resource("/style.css").get(async || respond(pages::style())))
        .service(web::resource("/refresh.js").get(async || respond(pages::script())))
        .service(web::resource("/icon.svg").get(async || respond(pages::icon())))
        .service(portcullis_actix::own_sessions("/sessions", service.own.clone()))
        .service(portcullis_actix::browser_sessions("/session", service.browser.clone()))
        .service(portcullis_actix::native_sessions("/oauth", service.native.clone()))
        .service(portcullis_actix::issuer_documents(service.issuer.clone()));
}

pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>) -> io::Result<()> {
    let app = move || {
        let data = Data::from(Arc::clone(&service));
        App::new().configure(|app| routes(&service, app)).app_data(data)
    };
    let server = HttpServer::new(app).workers(2).listen(listener)?;
    let address = server.addrs()[0];
    let server = server.run();
    say_ready(address)?;
    server.await
}
