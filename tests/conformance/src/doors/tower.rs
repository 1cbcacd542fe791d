//! A tower service without a framework.
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Extensions, Method, Request, Response};
use http_body::Body as _;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use portcullis::authorize::Requires;
use portcullis::request::PeerAddress;
use portcullis::tower::{RequireLayer, VerifyLayer};
use portcullis::{Admission, Policy, Rejection};
use tower::{Layer, ServiceExt, service_fn};

use super::{
    ANONYMOUS, CACHED, CACHING, Faulty, INSIDE, JSON, Member, OPEN, Others, ReadOrders, Refund,
    Server, SteppedUp, Stop, TEXT, server,
};

type Body = Full<Bytes>;

pub(super) fn start(policy: &Policy, listener: TcpListener) -> io::Result<(Stop, Server)> {
    let layer = VerifyLayer::new(policy.clone());
    let lenient = VerifyLayer::new(policy.clone().allow_anonymous());
    let protected = layer.layer(service_fn(answer));
    let optional = lenient.layer(service_fn(answer));
    let [scoped, refund, stepped_up, others, faulty] = [
        ReadOrders::requirement(),
        Refund::requirement(),
        SteppedUp::requirement(),
        Others::requirement(),
        Faulty::requirement(),
    ]
    .map(|requirement| RequireLayer::new(requirement.clone()).layer(service_fn(answer)));
    let scoped_optional = lenient.layer(scoped.clone());
    let unprotected_scoped = scoped.clone();
    let [scoped, refund, stepped_up, others, faulty] =
        [scoped, refund, stepped_up, others, faulty].map(|service| layer.layer(service));
    let routes = service_fn(move |request: Request<Incoming>| {
        let (protected, optional) = (protected.clone(), optional.clone());
        let required = match request.uri().path() {
            "/scoped" => Some(scoped.clone()),
            "/refund" => Some(refund.clone()),
            "/stepped-up" => Some(stepped_up.clone()),
            "/others" => Some(others.clone()),
            "/faulty" => Some(faulty.clone()),
            "/scoped-optional" => Some(scoped_optional.clone()),
            _ => None,
        };
        let unprotected_scoped = unprotected_scoped.clone();
        async move {
            if let Some(required) = required {
                return Ok::<_, Infallible>(
                    required.oneshot(request).await?.map(UnsyncBoxBody::new),
                );
            }
            Ok(match request.uri().path() {
                "/whoami" | "/typed" | "/inside" | "/authorized" | "/cached" => {
                    protected.oneshot(request).await?.map(UnsyncBoxBody::new)
                }
                path if is_seen(path) || is_order(path) => {
                    protected.oneshot(request).await?.map(UnsyncBoxBody::new)
                }
                "/optional" | "/typed-optional" => {
                    optional.oneshot(request).await?.map(UnsyncBoxBody::new)
                }
                "/unprotected-scoped" => {
                    unprotected_scoped.oneshot(request).await?.map(UnsyncBoxBody::new)
                }
                _ => answer(request).await?.map(UnsyncBoxBody::new),
            })
        }
    });
    server::start(routes, introduce, listener)
}

/// As a server of one's own that terminates TLS.
fn introduce(extensions: &mut Extensions, peer: SocketAddr) {
    extensions.insert(PeerAddress::Ip(peer));
    extensions.insert(super::certificate());
}

/// Where the frameworks put routers together.
fn is_seen(path: &str) -> bool {
    ["/nested/", "/service/", "/merged/"].iter().any(|prefix| path.starts_with(prefix))
}

/// `/orders/{id}`, as the frameworks read it.
fn is_order(path: &str) -> bool {
    path.strip_prefix("/orders/").is_some_and(|id| !id.is_empty() && !id.contains('/'))
}

/// What stands behind the layer.
async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let head = request.method() == Method::HEAD;
    let form = &request;
    let admission = request.extensions().get::<Admission>();
    let answer = match request.uri().path() {
        "/whoami" | "/unprotected" => Admission::require(admission, form)
            .map(|token| response(JSON, token.claims_json().to_owned())),
        "/optional" | "/unprotected-optional" => {
            Admission::optional(admission, form).map(|token| {
                response(
                    TEXT,
                    token.and_then(|token| token.subject()).unwrap_or(ANONYMOUS).to_owned(),
                )
            })
        }
        "/typed" => Admission::require_claims::<Member>(admission, form)
            .map(|member| response(TEXT, member.to_string())),
        "/typed-optional" => Admission::optional_claims::<Member>(admission, form).map(|member| {
            response(TEXT, member.map_or(ANONYMOUS.to_owned(), |member| member.to_string()))
        }),
        "/authorized" | "/unprotected-authorized" => {
            Admission::authorize(admission, ReadOrders::requirement(), form)
                .map(|_| response(TEXT, INSIDE.to_owned()))
        }
        "/inside"
        | "/scoped"
        | "/refund"
        | "/stepped-up"
        | "/others"
        | "/faulty"
        | "/scoped-optional"
        | "/unprotected-scoped" => Ok(response(TEXT, INSIDE.to_owned())),
        "/cached" => {
            let mut response = response(TEXT, CACHED.to_owned());
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(CACHING));
            Ok(response)
        }
        "/open" => Ok(response(TEXT, OPEN.to_owned())),
        path if is_order(path) => Admission::require(admission, form)
            .map(|token| response(JSON, token.claims_json().to_owned())),
        path if is_seen(path) => {
            Admission::require(admission, form).map(|_| response(TEXT, super::seen(form)))
        }
        _ => {
            let mut response = Response::new(Body::default());
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            Ok(response)
        }
    };
    Ok(match answer {
        // hyper leaves it to services to send no body in answer to HEAD over HTTP/2.
        Ok(response) if head => response.map(|_| Body::default()),
        Ok(response) => response,
        Err(rejection) => Rejection::into_response(rejection),
    })
}

fn response(content_type: &'static str, text: String) -> Response<Body> {
    let body = Body::from(text);
    Response::builder()
        .header(CONTENT_TYPE, content_type)
        .header(CONTENT_LENGTH, body.size_hint().lower())
        .body(body)
        .expect("the headers are constants and a number")
}
