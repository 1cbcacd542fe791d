//! An axum router, with the layer and the extractors.
use std::io;
use std::net::TcpListener;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::any;
use portcullis_axum::{Caller, Policy, Verified, VerifyLayer};

use super::{ANONYMOUS, INSIDE, JSON, Member, OPEN, Server, Stop, server};

pub(super) fn start(policy: &Policy, listener: TcpListener) -> io::Result<(Stop, Server)> {
    // `axum::serve` has no setting for the size of headers, so hyper serves this router.
    server::start(router(policy), listener)
}

fn router(policy: &Policy) -> Router {
    let protected = VerifyLayer::new(policy.clone());
    let with_anonymous = VerifyLayer::new(policy.clone().allow_anonymous());
    Router::new()
        .route("/whoami", any(whoami).layer(protected.clone()))
        .route("/optional", any(optional).layer(with_anonymous.clone()))
        .route("/typed", any(typed).layer(protected.clone()))
        .route("/inside", any(async || INSIDE).layer(protected))
        .route("/typed-optional", any(typed_optional).layer(with_anonymous))
        .route("/unprotected", any(whoami))
        .route("/unprotected-optional", any(optional))
        .route("/open", any(async || OPEN))
}

async fn whoami(Caller(token): Caller) -> impl IntoResponse {
    ([(CONTENT_TYPE, JSON)], token.claims_json().to_owned())
}

async fn optional(caller: Option<Caller>) -> String {
    caller.as_ref().and_then(|caller| caller.subject()).unwrap_or(ANONYMOUS).to_owned()
}

async fn typed(Verified(member): Verified<Member>) -> String {
    member.to_string()
}

async fn typed_optional(member: Option<Verified<Member>>) -> String {
    member.map_or(ANONYMOUS.to_owned(), |member| member.to_string())
}
