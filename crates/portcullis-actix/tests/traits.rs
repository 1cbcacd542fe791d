//! What an app is made of goes to each of its workers. It compiles, or it does not.
use actix_web::ResponseError;
use portcullis_actix::portcullis::{self, Requirement};
use portcullis_actix::{Authorized, Caller, Optional, Rejection, Require, Verified, Verify};

portcullis::requirement! {
    /// May read.
    Reads = Requirement::scope("read");
}

const fn cloned<T: Clone + Send + Sync + 'static>() {}
const fn answered<T: ResponseError + Send + Sync + 'static>() {}

const _: () = {
    cloned::<Verify>();
    cloned::<Require>();
    cloned::<Caller>();
    cloned::<Verified<String>>();
    cloned::<Optional<Caller>>();
    cloned::<Authorized<Reads>>();
    answered::<Rejection>();
};

#[test]
fn it_compiled() {
    let _ = Reads;
}
