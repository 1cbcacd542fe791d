//! A tower service without a framework.
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request, Response};
use http_body::Body as _;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use portcullis::{Admission, Policy, Rejection, VerifyLayer};
use tower::{Layer, ServiceExt, service_fn};

use super::{ANONYMOUS, INSIDE, JSON, Member, OPEN, Server, Stop, TEXT, server};

type Body = Full<Bytes>;

pub(super) fn start(policy: &Policy, listener: TcpListener) -> io::Result<(Stop, Server)> {
    let protected = VerifyLayer::new(policy.clone()).layer(service_fn(answer));
    let optional = VerifyLayer::new(policy.clone().allow_anonymous()).layer(service_fn(answer));
    let routes = service_fn(move |request: Request<Incoming>| {
        let (protected, optional) = (protected.clone(), optional.clone());
        async move {
            Ok::<_, Infallible>(match request.uri().path() {
                "/whoami" | "/typed" | "/inside" => {
                    protected.oneshot(request).await?.map(Either::Left)
                }
                "/optional" | "/typed-optional" => {
                    optional.oneshot(request).await?.map(Either::Left)
                }
                _ => answer(request).await?.map(Either::Right),
            })
        }
    });
    server::start(routes, listener)
}

/// What stands behind the layer.
async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let head = request.method() == Method::HEAD;
    let admission = request.extensions().get::<Admission>();
    let answer = match request.uri().path() {
        "/whoami" | "/unprotected" => Admission::require(admission, head)
            .map(|token| response(JSON, token.claims_json().to_owned())),
        "/optional" | "/unprotected-optional" => {
            Admission::optional(admission, head).map(|token| {
                response(
                    TEXT,
                    token.and_then(|token| token.subject()).unwrap_or(ANONYMOUS).to_owned(),
                )
            })
        }
        "/typed" => Admission::require_claims::<Member>(admission, head)
            .map(|member| response(TEXT, member.to_string())),
        "/typed-optional" => Admission::optional_claims::<Member>(admission, head).map(|member| {
            response(TEXT, member.map_or(ANONYMOUS.to_owned(), |member| member.to_string()))
        }),
        "/inside" => Ok(response(TEXT, INSIDE.to_owned())),
        "/open" => Ok(response(TEXT, OPEN.to_owned())),
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
