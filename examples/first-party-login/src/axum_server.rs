//! The service in axum.
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use portcullis_axum::{AxumRequest, Verified, VerifyLayer};

use crate::answer::Answer;
use crate::service::{Service, User};
use crate::{BODY, pages, say_ready};

/// A route whose answer depends on the head of the request alone.
macro_rules! by_head {
    ($name:ident) => {
        async |State(service): State<Arc<Service>>, request: Request| {
            let (head, _) = request.into_parts();
            respond(service.$name(&AxumRequest::from(&head)).await)
        }
    };
}

/// A route that reads the body as well.
macro_rules! by_body {
    ($name:ident) => {
        async |State(service): State<Arc<Service>>, request: Request| {
            let (head, body) = request.into_parts();
            match to_bytes(body, BODY).await {
                Ok(body) => respond(service.$name(&AxumRequest::from(&head), &body).await),
                Err(_) => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
            }
        }
    };
}

fn respond(answer: Answer) -> Response {
    answer.map(Body::from)
}

async fn me(State(service): State<Arc<Service>>, Verified(user): Verified<User>) -> Response {
    respond(service.api_me(&user))
}

fn app(service: Arc<Service>) -> Router {
    Router::new()
        .route("/api/me", get(me))
        .layer(VerifyLayer::new(service.policy.clone())) // covers what stands before it
        .route("/api/signup", post(by_body!(api_sign_up)))
        .route("/api/login", post(by_body!(api_log_in)))
        .route("/api/password", post(by_body!(api_change_password)))
        .route("/", get(by_head!(home)))
        .route(
            "/signup",
            get(async |State(service): State<Arc<Service>>| respond(service.sign_up_page()))
                .post(by_body!(sign_up_form)),
        )
        .route(
            "/login",
            get(async |State(service): State<Arc<Service>>| respond(service.log_in_page()))
                .post(by_body!(log_in_form)),
        )
        .route("/continue", post(by_body!(continue_form)))
        .route("/logout", post(by_head!(log_out_form)))
        .route("/logout-everywhere", post(by_head!(log_out_everywhere_form)))
        .route("/devices", get(by_head!(devices)))
        .route("/devices/{id}/end", post(by_head!(end_device_form)))
        .route("/password", post(by_body!(password_form)))
        .route("/keys", get(by_head!(keys)))
        .route("/keys/rotate", post(by_head!(rotate_form)))
        .route("/style.css", get(async || respond(pages::style())))
        .route("/refresh.js", get(async || respond(pages::script())))
        .route("/icon.svg", get(async || respond(pages::icon())))
        .nest("/session", portcullis_axum::browser_sessions(service.browser.clone()))
        .nest("/sessions", portcullis_axum::own_sessions(service.own.clone()))
        .nest("/oauth", portcullis_axum::native_sessions(service.native.clone()))
        .merge(portcullis_axum::issuer_documents(service.issuer.clone()))
        .with_state(service)
}

pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    say_ready(listener.local_addr()?)?;
    axum::serve(listener, app(service)).await
}
