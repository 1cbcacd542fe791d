//! The response to a request that was turned away.
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The response to a request that was turned away, in no framework's types.
#[derive(Clone, Debug)]
pub struct RejectionResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl RejectionResponse {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Replaces the status code. One that is not of 300 to 599 changes nothing: a refusal may lead
    /// to a login page, but does not look like a success.
    pub fn set_status(&mut self, status: u16) {
        if let Some(status) =
            StatusCode::from_u16(status).ok().filter(|status| (300..600).contains(&status.as_u16()))
        {
            self.status = status;
        }
    }

    /// Every header, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// Replaces a header. A name or a value that cannot be one changes nothing; in particular,
    /// no line break gets through. How long the body is, the framework says.
    pub fn set_header(&mut self, name: &str, value: &str) {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
            && !matches!(name, CONTENT_LENGTH | TRANSFER_ENCODING)
        {
            self.headers.insert(name, value);
        }
    }

    /// Takes a header away.
    pub fn remove_header(&mut self, name: &str) {
        self.headers.remove(name);
    }

    /// The body. Problem details in JSON, unless the hook replaced it. None in answer to HEAD, where
    /// `content-length` says how long it would have been.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Replaces the body and its `Content-Type`.
    pub fn set_body(&mut self, content_type: &str, body: impl Into<Vec<u8>>) {
        self.set_header("content-type", content_type);
        self.body = body.into().into();
    }

    pub(crate) fn clear_cookie(&mut self, field: &str) {
        if let Ok(value) = HeaderValue::from_str(field) {
            self.headers.append(SET_COOKIE, value);
        }
    }
}
