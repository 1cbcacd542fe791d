use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use portcullis::authorize::Requires;
use portcullis::{Admission, VerifiedToken};
use serde::de::DeserializeOwned;

use crate::rejection::Rejection;
use crate::request::ActixRequest;

/// The verified claims, as a `T`. They are read once per token and shared.
///
/// ```
/// use portcullis_actix::Verified;
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
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Extraction::new(request, |found, view| Admission::require_claims(found, view).map(Self))
    }
}

/// The verified token: issuer, subject, id, audiences, client, expiry, and all claims as JSON.
///
/// ```
/// use portcullis_actix::Caller;
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

impl FromRequest for Caller {
    type Error = Rejection;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Extraction::new(request, |found, view| Ok(Self(Admission::require(found, view)?.clone())))
    }
}

/// [`Verified`] or [`Caller`], or `None` where the request had no token and the policy allows that.
///
/// Claims that do not fit `T` are still refused, and so is every request to a route that nothing protects. actix-web's
/// own `Option<Verified<T>>` makes `None` of every error, and no crate can change that: use this.
///
/// ```
/// use portcullis_actix::{Caller, Optional};
///
/// async fn home(Optional(caller): Optional<Caller>) -> String {
///     let name = caller.as_ref().and_then(|caller| caller.subject());
///     format!("hello {}", name.unwrap_or("stranger"))
/// }
/// # let _ = home;
/// ```
#[derive(Clone, Debug)]
pub struct Optional<E>(pub Option<E>);

impl<T: DeserializeOwned + Send + Sync + 'static> FromRequest for Optional<Verified<T>> {
    type Error = Rejection;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Extraction::new(request, |found, view| {
            Ok(Self(Admission::optional_claims(found, view)?.map(Verified)))
        })
    }
}

impl FromRequest for Optional<Caller> {
    type Error = Rejection;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Extraction::new(request, |found, view| {
            Ok(Self(Admission::optional(found, view)?.cloned().map(Caller)))
        })
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

impl<R: Requires> FromRequest for Authorized<R> {
    type Error = Rejection;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        Extraction::new(request, |found, view| {
            let token = Admission::authorize(found, R::requirement(), view)?;
            Ok(Self(token.clone(), PhantomData))
        })
    }
}

/// The future of this crate's extractors.
///
/// Decides when it is polled. actix-web makes the futures of all extractors of a handler before it polls the first, and
/// gives up at the first that fails: what the others would say is then not decided, and so told to no log or counter.
pub struct Extraction<E> {
    request: HttpRequest,
    decide: Decide<E>,
}

type Decide<E> = fn(Option<&Admission>, &ActixRequest<'_>) -> Result<E, portcullis::Rejection>;

impl<E> Extraction<E> {
    fn new(request: &HttpRequest, decide: Decide<E>) -> Self {
        Self { request: request.clone(), decide }
    }
}

impl<E> Future for Extraction<E> {
    type Output = Result<E, Rejection>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let decided = (self.decide)(self.request.extensions().get(), &ActixRequest(&self.request));
        Poll::Ready(decided.map_err(Rejection::from))
    }
}

impl<E> fmt::Debug for Extraction<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The request holds the token.
        f.debug_struct("Extraction").finish_non_exhaustive()
    }
}
