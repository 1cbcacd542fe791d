//! Tests of any tower service. **For tests only.** Feature `tower`.
use core::fmt::Display;
use core::future::poll_fn;

use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response};
use tower_service::Service;

use crate::protected::{Answer, Probe, Report};

/// Asks each route, a method and a path, once without a token and once with one that is none, with
/// an empty body.
///
/// For a service that takes requests of one body type; for axum's `Router`, which takes any, see
/// `axum::assert_protected` (feature `axum`).
///
/// # Panics
///
/// If a route answers anything but 401 with a challenge for `Bearer`: one message names all such
/// routes. Also if the list is empty, or an entry is no method or path.
///
/// ```
/// use core::convert::Infallible;
/// use http::{Request, Response};
/// use portcullis::VerifyLayer;
/// use portcullis_testkit::{TestIssuer, tower::assert_protected};
/// use tower::ServiceBuilder;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let policy = TestIssuer::new("https://id.example").policy();
/// let greet = async |_: Request<String>| Ok::<_, Infallible>(Response::new("hello".to_owned()));
/// let service = ServiceBuilder::new().layer(VerifyLayer::new(policy)).service_fn(greet);
/// assert_protected(&service, &[("GET", "/")]).await;
/// # }
/// ```
pub async fn assert_protected<S, B, R>(service: &S, routes: &[(&str, &str)])
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
    B: Default,
{
    walk(service, routes, "See that the layer is around each of them.").await;
}

pub(crate) async fn walk<S, B, R>(service: &S, routes: &[(&str, &str)], hint: &str)
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Display,
    B: Default,
{
    let mut report = Report::default();
    for route in routes {
        report.walks();
        for probe in Probe::ALL {
            if !report.note(*route, probe, ask(service.clone(), *route, probe).await) {
                break;
            }
        }
    }
    report.conclude(hint);
}

async fn ask<S, B, R>(
    mut service: S,
    (method, path): (&str, &str),
    probe: Probe,
) -> Result<Answer, String>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Display,
    B: Default,
{
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .body(B::default())
        .unwrap_or_else(|error| panic!("{method} {path} is no route: {error}"));
    if let Some(value) = probe.authorization() {
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static(value));
    }
    let text = |error: S::Error| error.to_string();
    poll_fn(|context| service.poll_ready(context)).await.map_err(text)?;
    let response = service.call(request).await.map_err(text)?;
    let challenges = response.headers().get_all(WWW_AUTHENTICATE).iter();
    Ok(Answer::new(
        response.status().as_u16(),
        challenges.map(HeaderValue::as_bytes),
        response.extensions().get(),
    ))
}
