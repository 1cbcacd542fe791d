//! Tests of any tower service. **For tests only.** Feature `tower`.
use core::fmt::Display;
use core::future::poll_fn;

use http::{HeaderValue, Request, Response, request};
use tower_service::Service;

use crate::dpop::{self, DpopClient, address};
use crate::mtls::{self, Connection, MtlsClient};
use crate::openapi::{self, OpenApi};
use crate::protected::{self, Answer, Assertion, Hints, Question};
use crate::routes::{Credentials, Routes};

const HINTS: Hints = Hints {
    policy: "See that the layer of its policy is around each of them.",
    requirement: "See that `RequireLayer` is around each of them, within `VerifyLayer`.",
};

pub(crate) const PATH_HINT: &str = "put the layer of the policy around whatever rewrites the path";

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

/// Asks whether a service takes a token that is bound to a key with a proof of that key, and in no other way (DPoP, RFC 9449).
///
/// `client` has a key, and a token that may use the routes. `base` is the address under which clients know the service, as
/// [`Dpop::at`](portcullis::dpop::Dpop::at) has it: a proof is for `base` and the path. Each listed route is asked
///
/// 1. with a good proof, which has to get in; where a nonce is asked for, with that nonce, once;
/// 2. as a bearer token, with a proof and without; without a proof; with the same proof again; with two of them;
/// 3. with each [`BadProof`](crate::BadProof), and where nonces are given out, without one and with another;
/// 4. with another good proof.
///
/// The second and the third have to be answered with 401 and a challenge for `DPoP`. The service is called for the others.
///
/// [`InProcessReplays`](portcullis::dpop::InProcessReplays) that have just begun refuse proofs that were made before, and for
/// 10 s after. So let them have begun earlier, by
/// [`started_at`](portcullis::dpop::InProcessReplays::started_at), or move a [`FixedClock`](crate::FixedClock) on by a
/// minute once the policy is built.
///
/// # Panics
///
/// If a route does anything else: one message names all of it, and the way out. Also if the client has no token, the list is
/// empty, or an entry is no method or path.
///
/// For an example, see `axum::assert_dpop`.
pub async fn assert_dpop<'a, S, B, R>(
    service: &S,
    client: &DpopClient,
    base: &str,
    routes: impl Into<Routes<'a>>,
) where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
    B: Default,
{
    dpop::walk(client, base, routes.into(), PATH_HINT, async |question| {
        ask(service.clone(), question).await
    })
    .await;
}

/// Asks whether a service takes a token that is bound to a certificate from who presented that certificate, and from nobody else
/// (RFC 8705).
///
/// `client` has a certificate, and says how its requests reach the service: over the service's own TLS, or through a proxy that
/// writes a header. Each request says what a server would say of its connection. Each listed route is asked
///
/// 1. with the client's certificate, which has to get in;
/// 2. with another certificate, with none, and from where nobody knows; over TLS, with its certificate in each header that
///    proxies write; behind a proxy, with the header from another address than the proxy's;
/// 3. with each [`BadBinding`](crate::BadBinding), and behind a proxy, with the header twice;
/// 4. with the client's certificate again.
///
/// The second and the third have to be answered with 401, or with 503 where nobody knows. The service is called for the others.
///
/// Whether the server in front of it says anything, only a real connection shows: see
/// [`assert_mtls_over`](crate::assert_mtls_over).
///
/// # Panics
///
/// If a route does anything else: one message names all of it, and the way out. Also if the list is empty, or an entry is
/// no method or path.
///
/// For an example, see `axum::assert_mtls`.
pub async fn assert_mtls<'a, S, B, R>(
    service: &S,
    client: &MtlsClient,
    routes: impl Into<Routes<'a>>,
) where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
    B: Default,
{
    mtls::walk(client, routes.into(), async |question| ask(service.clone(), question).await).await;
}

/// Sends a request with a client's token and a new proof, and once more if the answer tells a nonce and asks for it
/// (RFC 9449 §8, §9).
///
/// `base` is the address under which clients know the service. `finish` is given a request that has its method, path and
/// headers, and gives it a body, once for each try. For a token endpoint, the client has no token.
///
/// # Panics
///
/// If the service fails, or the method or the path is none.
pub async fn send_with_proof<S, B, R>(
    service: &S,
    client: &DpopClient,
    base: &str,
    (method, path): (&str, &str),
    finish: impl Fn(request::Builder) -> Request<B>,
) -> Response<R>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
{
    let url = address(base, path);
    let send = async || {
        let headers = client.headers(method, &url);
        let request = Request::builder().method(method).uri(path);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let sent = call(service.clone(), finish(request)).await;
        sent.unwrap_or_else(|error| panic!("{method} {path} failed: {error}"))
    };
    let first = send().await;
    let headers = first.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    if client.must_retry(&url, first.status().as_u16(), headers) { send().await } else { first }
}

async fn call<S, B, R>(mut service: S, request: Request<B>) -> Result<Response<R>, String>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Display,
{
    let text = |error: S::Error| error.to_string();
    poll_fn(|context| service.poll_ready(context)).await.map_err(text)?;
    service.call(request).await.map_err(text)
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

pub(crate) async fn ask<S, B, R>(service: S, question: &Question<'_>) -> Result<Answer, String>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Display,
    B: Default,
{
    let Question { method, path, .. } = question;
    let request = Request::builder().method(*method).uri(*path);
    let request =
        question.fields().fold(request, |request, (name, value)| request.header(name, value));
    let mut request = request
        .body(B::default())
        .unwrap_or_else(|error| panic!("{method} {path} is not a route: {error}"));
    let Connection { certificate, peer } = question.connection();
    if let Some(certificate) = certificate {
        request.extensions_mut().insert(certificate.clone());
    }
    if let Some(peer) = peer {
        request.extensions_mut().insert(*peer);
    }
    let response = call(service, request).await?;
    let fields = response.headers().iter();
    Ok(Answer::new(
        response.status().as_u16(),
        fields.map(|(name, value): (_, &HeaderValue)| (name.as_str(), value.as_bytes())),
        response.extensions().get(),
    ))
}
