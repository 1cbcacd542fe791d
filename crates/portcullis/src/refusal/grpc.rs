//! gRPC, where it differs from plain HTTP, in types of the `http` crate alone.
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::response::RejectionResponse;
use crate::request::{self, RequestView};

const GRPC: &str = "application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// gRPC over HTTP/2: `application/grpc`, perhaps with `+` and the encoding of the messages. Not `grpc-web`, which
/// a layer further out turns into it.
pub(crate) fn is_grpc(request: &impl RequestView) -> bool {
    // The protocol knows no other method.
    if request.method() != "POST" {
        return false;
    }
    let Some(value) = request::single(request, "content-type") else { return false };
    let Some((start, rest)) = value.split_at_checked(GRPC.len()) else { return false };
    start.eq_ignore_ascii_case(GRPC.as_bytes()) && matches!(rest.first(), None | Some(b'+' | b';'))
}

/// The metadata of a gRPC call: all that an interceptor sees of a request.
///
/// ```
/// use portcullis::grpc::{GrpcMetadata, GrpcStatus};
/// use portcullis::{Admission, Policy, Rejection};
///
/// // In tonic: `call.metadata().as_ref()`. The admission goes into
/// // `call.extensions_mut()`, and the status into
/// // `Status::with_metadata(code.into(), message, metadata)`, with
/// // `MetadataMap::from_headers(metadata)`.
/// fn verify(
///     policy: &Policy,
///     metadata: &http::HeaderMap,
/// ) -> Result<Admission, GrpcStatus> {
///     let verdict = policy.verify_now(&GrpcMetadata(metadata));
///     verdict.map_err(Rejection::into_grpc_status)
/// }
/// # let _ = verify;
/// ```
#[derive(Clone, Copy)]
pub struct GrpcMetadata<'a>(pub &'a HeaderMap);

impl RequestView for GrpcMetadata<'_> {
    fn method(&self) -> &str {
        "POST"
    }

    /// None: an interceptor is not told.
    fn authority(&self) -> Option<&str> {
        None
    }

    /// None: an interceptor is not told, and cannot guess.
    fn path(&self) -> Option<&str> {
        None
    }

    fn query(&self) -> Option<&str> {
        None
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.get_all(name).into_iter().map(HeaderValue::as_bytes)
    }
}

impl core::fmt::Debug for GrpcMetadata<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Its values hold a token.
        f.debug_struct("GrpcMetadata").finish_non_exhaustive()
    }
}

/// How a gRPC call ends that was turned away. The layers answer so themselves; it is for interceptors, and for
/// handlers and streams that refuse on their own.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct GrpcStatus {
    /// One of gRPC's status codes: `UNAUTHENTICATED` is 16.
    pub code: i32,
    /// One of a few fixed texts: printable ASCII without `%`, so that it stands in `grpc-message` as it is.
    pub message: &'static str,
    /// What else the client is told: `www-authenticate`, `retry-after`, headers that the hook has set.
    pub metadata: HeaderMap,
}

impl GrpcStatus {
    pub(crate) fn new(code: i32, message: &'static str, refusal: RejectionResponse) -> Self {
        let RejectionResponse { headers: mut metadata, .. } = refusal;
        metadata.remove(CONTENT_TYPE);
        Self { code, message, metadata }
    }

    /// Trailers-Only: gRPC over HTTP/2, "Responses". The status of HTTP stays what it is, where gRPC's own is 200: a
    /// client must go by `grpc-status` wherever there is one, and whoever writes the content type of a request must
    /// not make a refusal look like a success to a proxy that asks this service who may pass.
    pub(crate) fn into_trailers_only(self, status: StatusCode) -> RejectionResponse {
        let Self { code, message, metadata: mut headers } = self;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
        headers.insert(GRPC_STATUS, HeaderValue::from(code));
        headers.insert(GRPC_MESSAGE, HeaderValue::from_static(message));
        // Some frameworks would say so, and some not.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        RejectionResponse { status, headers, body: Bytes::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::Answer;
    use super::*;

    #[test]
    fn an_interceptor_knows_neither_path_nor_peer_nor_certificate() {
        let call = GrpcMetadata(&HeaderMap::new());
        assert_eq!((call.authority(), call.path(), call.query()), (None, None, None));
        assert_eq!((call.peer(), call.client_certificate()), (None, None));
    }

    #[test]
    fn every_text_stands_in_grpc_message_as_it_is() {
        for answer in Answer::ALL {
            for text in [answer.row().title, answer.row().detail] {
                // All else would have to be percent-encoded: gRPC over HTTP/2, "Responses".
                let is_plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'%';
                assert!(text.bytes().all(is_plain), "{text}");
            }
        }
    }
}
