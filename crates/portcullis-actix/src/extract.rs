use std::fmt;
use std::future::{Ready, ready};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use portcullis::{Admission, Requires, ResponseForm, VerifiedToken};
use serde::de::DeserializeOwned;

use crate::rejection::Rejection;
use crate::request::View;

/// The verified claims, as a `T`. They are read once per token and shared.
#[derive(Debug)]
pub struct Verified<T>(pub Arc<T>);

impl<T> Clone for Verified<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> FromRequest for Verified<T> {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let claims = Admission::require_claims(request.extensions().get(), form(request));
        ready(claims.map(Self).map_err(Rejection::from))
    }
}

/// The verified token: issuer, subject, id, audiences, client, expiry, and all claims as JSON.
#[derive(Clone, Debug)]
pub struct Caller(pub VerifiedToken);

impl Deref for Caller {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}

impl FromRequest for Caller {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let token = Admission::require(extensions.get(), form(request)).cloned();
        ready(token.map(Self).map_err(Rejection::from))
    }
}

/// [`Verified`] or [`Caller`], or `None` where the request had no token and the policy allows that.
///
/// Claims that are no `T`, and a route that nothing protects, are still refused. actix-web's own
/// `Option<Verified<T>>` makes `None` of every error, and no crate can change that: use this.
#[derive(Clone, Debug)]
pub struct Optional<E>(pub Option<E>);

impl<T: DeserializeOwned + Send + Sync + 'static> FromRequest for Optional<Verified<T>> {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let claims = Admission::optional_claims(request.extensions().get(), form(request));
        ready(claims.map(|claims| Self(claims.map(Verified))).map_err(Rejection::from))
    }
}

impl FromRequest for Optional<Caller> {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let token = Admission::optional(extensions.get(), form(request));
        ready(token.map(|token| Self(token.cloned().map(Caller))).map_err(Rejection::from))
    }
}

/// The verified token of a request that meets the requirement `R`, which so stands in the handler's signature.
///
/// ```
/// use portcullis_actix::Authorized;
/// use portcullis_actix::portcullis::{self, Requirement};
///
/// portcullis::requirement! {
///     /// May see orders.
///     pub ReadOrders = Requirement::scope("orders:read");
/// }
///
/// async fn orders(caller: Authorized<ReadOrders>) -> String {
///     format!("orders of {}", caller.subject().unwrap_or("nobody"))
/// }
/// # let _ = orders;
/// ```
pub struct Authorized<R>(pub VerifiedToken, PhantomData<R>);

impl<R> Clone for Authorized<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<R> fmt::Debug for Authorized<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authorized").field(&self.0).finish()
    }
}

impl<R> Deref for Authorized<R> {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}

impl<R: Requires> FromRequest for Authorized<R> {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let token = Admission::authorize(extensions.get(), R::requirement(), form(request));
        ready(token.map(|token| Self(token.clone(), PhantomData)).map_err(Rejection::from))
    }
}

fn form(request: &HttpRequest) -> ResponseForm {
    ResponseForm::of(&View(request))
}
