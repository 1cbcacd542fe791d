use core::fmt;
use core::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::refusal;
use crate::response::ResponseNeeds;

/// What a route answers, in no framework's types.
#[derive(Clone)]
pub struct Reply<E> {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    error: Option<E>,
}

impl<E> Reply<E> {
    /// An answer for nobody's cache (RFC 9111 §5.2.2.5), unless a header says otherwise, without a body.
    pub fn new(status: StatusCode) -> Self {
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self { status, headers, body: Bytes::new(), error: None }
    }

    /// With why the request failed.
    #[must_use]
    pub fn because(mut self, error: E) -> Self {
        self.error = Some(error);
        self
    }

    /// With this body, of a type such as `application/json`.
    #[must_use]
    pub fn with_body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body.into();
        self
    }

    /// With this header, in the place of those of its name.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    pub(super) fn with_value(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// With what the answer to a request that was let in needs besides.
    pub(super) fn needing(mut self, needs: &ResponseNeeds) -> Self {
        needs.add_to(&mut self.headers);
        self
    }

    /// With this header, beside those of its name, as `Set-Cookie` is repeated.
    #[must_use]
    pub fn with_another_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// 404 for nobody's cache: there is no such document.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND)
    }

    /// Which methods there are (RFC 9110 §15.5.6).
    #[must_use]
    pub fn allowing(mut self, methods: &'static str) -> Self {
        self.headers.insert(ALLOW, HeaderValue::from_static(methods));
        self
    }

    /// When to try again (RFC 9110 §10.2.3): after so many whole seconds, rounded up, and at least one.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.headers.insert(RETRY_AFTER, refusal::retry_after(wait));
        self
    }

    /// RFC 9110 §9.3.2: the response to HEAD has no body, and says how long it would be.
    #[must_use]
    pub fn without_body(mut self) -> Self {
        if !self.body.is_empty() {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
            self.body = Bytes::new();
        }
        self
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Every header, names in lower case. `content-length` only in answer to HEAD.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Why the request failed: for logs. The client learns only what the body says.
    pub fn error(&self) -> Option<&E> {
        self.error.as_ref()
    }

    /// Why the request failed.
    pub fn into_error(self) -> Option<E> {
        self.error
    }

    /// The response for frameworks on version 1 of the `http` crate. Why the request failed stands in
    /// its extensions.
    pub fn into_response<B: From<Bytes>>(self) -> http::Response<B>
    where
        E: Clone + Send + Sync + 'static,
    {
        let mut response = http::Response::new(self.body.into());
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if let Some(error) = self.error {
            response.extensions_mut().insert(error);
        }
        response
    }
}

impl<E: fmt::Debug> fmt::Debug for Reply<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status())
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
