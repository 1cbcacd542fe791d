use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use portcullis::authorize::Requires;
use portcullis::{Admission, VerifiedToken};
use serde::de::DeserializeOwned;

use crate::rejection::Rejection;
use crate::request::AxumRequest;

/// The verified claims, as a `T`. They are read once per token and shared.
///
/// ```
/// use portcullis_axum::Verified;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct User {
///     sub: String,
///     email: Option<String>,
/// }
///
/// async fn me(Verified(user): Verified<User>) -> String {
///     let email = user.email.as_deref().unwrap_or("no address");
///     format!("{}: {email}", user.sub)
/// }
/// # let _ = me;
/// ```
///
/// It holds an [`Arc`], so a field is borrowed (`user.sub`), and `user.sub.clone()` gives one to keep.
///
/// `Option<Verified<T>>` is `None` where the request had no token and the policy allows that. A bad
/// token is refused even there, and claims that are not a `T` are (403).
///
/// If axum says that a function is not a `Handler`, put `#[axum::debug_handler]` above it, and see that `T` is
/// `Deserialize` without borrowing, `Send`, `Sync` and `'static`.
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

impl<T, S> FromRequestParts<S> for Verified<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
    S: Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(Admission::require_claims(found(parts), &AxumRequest::from(&*parts))?))
    }
}

impl<T, S> OptionalFromRequestParts<S> for Verified<T>
where
    T: DeserializeOwned + Send + Sync + 'static,
    S: Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Ok(Admission::optional_claims(found(parts), &AxumRequest::from(&*parts))?.map(Self))
    }
}

/// The verified token: issuer, subject, id, audiences, client, expiry, and all claims as JSON.
///
/// `Option<Caller>` is `None` where the request had no token and the policy allows that.
///
/// ```
/// use portcullis_axum::Caller;
///
/// async fn orders(caller: Caller) -> String {
///     format!("orders of {}", caller.subject().unwrap_or("nobody"))
/// }
/// # let _ = orders;
/// ```
#[derive(Clone, Debug)]
pub struct Caller(pub VerifiedToken);

impl Deref for Caller {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(Admission::require(found(parts), &AxumRequest::from(&*parts))?.clone()))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Caller {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Rejection> {
        Ok(Admission::optional(found(parts), &AxumRequest::from(&*parts))?.cloned().map(Self))
    }
}

/// The verified token of a request that meets the requirement `R`, which so stands in the handler's signature.
///
/// ```
/// use portcullis_axum::Authorized;
/// use portcullis_axum::portcullis::{self, Requirement};
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

impl<R: Requires> Authorized<R> {
    /// Makes one of a verified token that meets the requirement, as for a unit test that calls a handler.
    ///
    /// # Errors
    ///
    /// The token does not meet the requirement, or nobody could.
    pub fn check(token: VerifiedToken) -> Result<Self, portcullis::Error> {
        R::requirement().check(&token)?;
        Ok(Self(token, PhantomData))
    }
}

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

impl<R: Requires, S: Sync> FromRequestParts<S> for Authorized<R> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let token =
            Admission::authorize(found(parts), R::requirement(), &AxumRequest::from(&*parts))?;
        Ok(Self(token.clone(), PhantomData))
    }
}

fn found(parts: &Parts) -> Option<&Admission> {
    parts.extensions.get()
}
