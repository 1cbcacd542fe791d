//! What lives in the state of an app and in handlers may be shared by threads. It compiles, or it does not.
use axum::Router;
use axum::response::IntoResponse;
use axum::routing::MethodRouter;
use portcullis_axum::portcullis::{self, Requirement};
use portcullis_axum::{
    Authorized, AxumRequest, Caller, Rejection, Require, RequireLayer, Verified, Verify,
    VerifyLayer,
};

portcullis::requirement! {
    /// May read.
    Reads = Requirement::scope("read");
}

const fn cloned<T: Clone + Send + Sync + 'static>() {}
const fn shared<T: Send + Sync>() {}
const fn answered<T: IntoResponse + Send + Sync + 'static>() {}

const _: () = {
    cloned::<VerifyLayer>();
    cloned::<RequireLayer>();
    cloned::<Verify<Router>>();
    cloned::<Require<MethodRouter>>();
    cloned::<Caller>();
    cloned::<Verified<String>>();
    cloned::<Authorized<Reads>>();
    shared::<AxumRequest<'static, http::request::Parts>>();
    answered::<Rejection>();
};

#[test]
fn it_compiled() {
    let _ = Reads;
}

#[cfg(feature = "rustls")]
const _: () = {
    use portcullis_axum::tls::{Connection, HandshakeError, Tls, TlsListener};

    cloned::<Tls>();
    cloned::<Connection<Router>>();
    shared::<HandshakeError>();
    shared::<TlsListener<tokio::net::TcpListener>>();
};
