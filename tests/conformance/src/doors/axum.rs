//! An axum router, with the layer and the extractors.
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::Extensions;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, any};
use portcullis::authorize::Requires;
use portcullis_axum::{
    Authorized, AxumRequest, Caller, Policy, RequireLayer, Verified, VerifyLayer,
};

use super::{
    ANONYMOUS, CACHED, CACHING, Faulty, INSIDE, JSON, Member, OPEN, Others, ReadOrders, Refund,
    Server, SteppedUp, Stop, server,
};

pub(super) fn start(policy: &Policy, listener: TcpListener) -> io::Result<(Stop, Server)> {
    // `axum::serve` has no setting for the size of headers, so hyper serves this router.
    server::start(router(policy), introduce, listener)
}

/// As `into_make_service_with_connect_info` does, and TLS.
pub(super) fn introduce(extensions: &mut Extensions, peer: SocketAddr) {
    extensions.insert(ConnectInfo(peer));
    extensions.insert(super::certificate());
}

fn router(policy: &Policy) -> Router {
    let protected = VerifyLayer::new(policy.clone());
    let with_anonymous = VerifyLayer::new(policy.clone().allow_anonymous());
    Router::new()
        .route("/whoami", any(whoami).layer(protected.clone()))
        .route("/orders/{id}", any(whoami).layer(protected.clone()))
        .route("/optional", any(optional).layer(with_anonymous.clone()))
        .route("/typed", any(typed).layer(protected.clone()))
        .route("/inside", any(async || INSIDE).layer(protected.clone()))
        .route(
            "/cached",
            any(async || ([(CACHE_CONTROL, CACHING)], CACHED)).layer(protected.clone()),
        )
        .route("/typed-optional", any(typed_optional).layer(with_anonymous.clone()))
        .route("/authorized", any(authorized).layer(protected.clone()))
        .route("/scoped", required::<ReadOrders>(&protected))
        .route("/refund", required::<Refund>(&protected))
        .route("/stepped-up", required::<SteppedUp>(&protected))
        .route("/others", required::<Others>(&protected))
        .route("/faulty", required::<Faulty>(&protected))
        .route("/scoped-optional", required::<ReadOrders>(&with_anonymous))
        .route(
            "/unprotected-scoped",
            any(async || INSIDE).layer(RequireLayer::new(ReadOrders::requirement().clone())),
        )
        .nest("/nested", nested(&protected))
        .nest_service(
            "/service",
            Router::new().route("/{*rest}", any(seen).layer(protected.clone())),
        )
        .merge(Router::new().route("/merged/{*rest}", any(seen).layer(protected.clone())))
        .route("/unprotected-authorized", any(authorized))
        .route("/unprotected", any(whoami))
        .route("/unprotected-optional", any(optional))
        .route("/open", any(async || OPEN))
}

/// A router in a router, and a fallback.
fn nested(policy: &VerifyLayer) -> Router {
    let inner = Router::new().route("/{*rest}", any(seen)).layer(policy.clone());
    Router::new().nest("/twice", inner).fallback(any(seen).layer(policy.clone()))
}

fn required<R: Requires>(policy: &VerifyLayer) -> MethodRouter {
    any(async || INSIDE)
        .layer::<_, Infallible>(RequireLayer::new(R::requirement().clone()))
        .layer(policy.clone())
}

async fn seen(request: Request) -> String {
    super::seen(&AxumRequest::from(&request))
}

async fn authorized(_: Authorized<ReadOrders>) -> &'static str {
    INSIDE
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
