use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};

/// The error of this crate's extractors, and why its middleware refuses. Answers as the middleware
/// in front of the route would.
#[derive(Clone, Debug)]
pub struct Rejection(portcullis::Rejection);

impl Rejection {
    /// Why.
    pub fn error(&self) -> &portcullis::Error {
        self.0.error()
    }
}

impl From<portcullis::Rejection> for Rejection {
    fn from(rejection: portcullis::Rejection) -> Self {
        Self(rejection)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        status(&self.0.refusal())
    }

    /// Why stands in the response's extensions.
    fn error_response(&self) -> HttpResponse {
        let refusal = self.0.refusal();
        let mut builder = HttpResponseBuilder::new(status(&refusal));
        for (name, value) in refusal.headers() {
            builder.append_header((name, value));
        }
        let mut response = match unsent_length(&refusal) {
            Some(length) => builder.body(Unsent { length }),
            None => builder.body(refusal.body().to_vec()),
        };
        response.extensions_mut().insert(self.0.error().clone());
        response
    }
}

/// How long the body would be that a response to HEAD does not have.
fn unsent_length(refusal: &portcullis::Refusal) -> Option<u64> {
    let (_, length) = refusal.headers().find(|(name, _)| *name == "content-length")?;
    core::str::from_utf8(length).ok()?.parse().ok().filter(|_| refusal.body().is_empty())
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

fn status(refusal: &portcullis::Refusal) -> StatusCode {
    // Both versions of the `http` crate know the same codes.
    StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
