use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};

use actix_web::body::{self as bodies, BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use portcullis::response::ResponseNeeds;

/// What the core answers, in actix-web's types.
pub(crate) fn response<'a>(
    code: u16,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &[u8],
) -> HttpResponse {
    let mut builder = HttpResponseBuilder::new(status(code));
    let mut unsent_length = None;
    for (name, value) in headers {
        if name == "content-length" && body.is_empty() {
            unsent_length = core::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        }
        builder.append_header((name, value));
    }
    match unsent_length {
        Some(length) => builder.body(Unsent { length }),
        // It must not say that it is empty (RFC 9110 §8.6), which over HTTP/2 actix-web says of an empty body.
        None if code == 304 => builder.body(bodies::None::new()),
        None => builder.body(body.to_vec()),
    }
}

/// Adds what a response needs besides what its handler says.
#[inline]
pub(crate) fn add(needs: &ResponseNeeds, headers: &mut HeaderMap) {
    if !needs.is_empty() {
        add_all(needs, headers);
    }
}

fn add_all(needs: &ResponseNeeds, headers: &mut HeaderMap) {
    for (name, value) in needs.headers() {
        if !headers.contains_key(name) {
            let value = HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static(""));
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

pub(crate) fn status(code: u16) -> StatusCode {
    // Both versions of the `http` crate know the same codes.
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The body of a response to HEAD. actix-web writes `Content-Length` from the size of the body,
/// and no other.
struct Unsent {
    length: u64,
}

impl MessageBody for Unsent {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}
