//! Tests of any tower service. **For tests only.** Feature `tower`.
use core::fmt::Display;
use core::future::poll_fn;

use http::{HeaderValue, Request, Response};
use tower_service::Service;

use crate::openapi::{self, OpenApi};
use crate::protected::{self, Answer, Assertion, Hints, Question};
use crate::routes::{Credentials, Routes};

const HINTS: Hints = Hints {
    policy: "See that the layer of its policy is around each of them.",
    requirement: "See that `RequireLayer` is around each of them, within `VerifyLayer`.",
};

/// Asks each route, a method and a path, once without a token and once with one that is none, with
/// an empty body; and each other method of these paths, and a CORS preflight, without a token.
///
/// For a service that takes requests of one body type; for axum's `Router`, which takes any, see
/// `axum::assert_protected` (feature `axum`). What a preflight may be answered stands there, too.
///
/// # Panics
///
/// If a listed route answers anything but 401 with a challenge for `Bearer`, or another method of its path
/// anything but that or 404, 405, 501: one message names all such routes. Also if the list is empty, or an
/// entry is no method or path.
///
/// ```
/// use core::convert::Infallible;
/// use http::{Request, Response};
/// use portcullis::tower::VerifyLayer;
/// use portcullis_testkit::{TestIssuer, tower::assert_protected};
/// use tower::ServiceBuilder;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let policy = TestIssuer::new("https://id.example").policy();
/// let greet = async |_: Request<String>| {
///     Ok::<_, Infallible>(Response::new("hello".to_owned()))
/// };
/// let service =
///     ServiceBuilder::new().layer(VerifyLayer::new(policy)).service_fn(greet);
/// assert_protected(&service, &[("GET", "/")]).await;
/// # }
/// ```
pub async fn assert_protected<'a, S, B, R>(service: &S, routes: impl Into<Routes<'a>>)
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
    B: Default,
{
    walk(service, Assertion::Protected, routes.into(), HINTS).await;
}

/// Asks each route, and each other method of these paths, with a token that the policy accepts and that may
/// do nothing: no scope, no role.
///
/// # Panics
///
/// If a route does not answer as a requirement does: see `axum::assert_forbidden`.
pub async fn assert_forbidden<'a, S, B, R>(
    service: &S,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
    B: Default,
{
    walk(service, Assertion::Forbidden(token.into()), routes.into(), HINTS).await;
}

/// Asks each route, and each other method of these paths, with a token that another policy accepts.
///
/// # Panics
///
/// If a route does not refuse it as a token of strangers: see `axum::assert_refused`.
pub async fn assert_refused<'a, S, B, R>(
    service: &S,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
    B: Default,
{
    walk(service, Assertion::Refused(token.into()), routes.into(), HINTS).await;
}

/// Asks each route with a token that gets in, with an empty body.
///
/// # Panics
///
/// If a route answers 401 or 403, is not there, or fails: see `axum::assert_accepted`.
pub async fn assert_accepted<'a, S, B, R>(
    service: &S,
    token: impl Into<Credentials>,
    routes: impl Into<Routes<'a>>,
) where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
    B: Default,
{
    walk(service, Assertion::Accepted(token.into()), routes.into(), HINTS).await;
}

/// Asks for every operation of an OpenAPI document whether the service does what it says of security.
///
/// # Panics
///
/// If it does not, or an operation cannot be asked for: see `axum::assert_openapi`.
pub async fn assert_openapi<S, B, R>(service: &S, document: OpenApi<'_>)
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
    B: Default,
{
    openapi::walk(document, async |question| ask(service.clone(), question).await).await;
}

pub(crate) async fn walk<S, B, R>(
    service: &S,
    assertion: Assertion,
    routes: Routes<'_>,
    hints: Hints,
) where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
    B: Default,
{
    protected::walk(assertion, routes, hints, async |question| {
        ask(service.clone(), question).await
    })
    .await;
}

pub(crate) async fn ask<S, B, R>(mut service: S, question: &Question<'_>) -> Result<Answer, String>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Display,
    B: Default,
{
    let Question { method, path, .. } = question;
    let request = Request::builder().method(*method).uri(*path);
    let request =
        question.fields().fold(request, |request, (name, value)| request.header(name, value));
    let request = request
        .body(B::default())
        .unwrap_or_else(|error| panic!("{method} {path} is not a route: {error}"));
    let text = |error: S::Error| error.to_string();
    poll_fn(|context| service.poll_ready(context)).await.map_err(text)?;
    let response = service.call(request).await.map_err(text)?;
    let fields = response.headers().iter();
    Ok(Answer::new(
        response.status().as_u16(),
        fields.map(|(name, value): (_, &HeaderValue)| (name.as_str(), value.as_bytes())),
        response.extensions().get(),
    ))
}
