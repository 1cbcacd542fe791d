use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use portcullis::{Admission, VerifiedToken};
use serde::de::DeserializeOwned;

use crate::rejection::Rejection;

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
        let claims = Admission::require_claims(request.extensions().get(), is_head(request));
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
        let token = Admission::require(extensions.get(), is_head(request)).cloned();
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
        let claims = Admission::optional_claims(request.extensions().get(), is_head(request));
        ready(claims.map(|claims| Self(claims.map(Verified))).map_err(Rejection::from))
    }
}

impl FromRequest for Optional<Caller> {
    type Error = Rejection;
    type Future = Ready<Result<Self, Rejection>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let extensions = request.extensions();
        let token = Admission::optional(extensions.get(), is_head(request));
        ready(token.map(|token| Self(token.cloned().map(Caller))).map_err(Rejection::from))
    }
}

fn is_head(request: &HttpRequest) -> bool {
    request.method() == Method::HEAD
}
