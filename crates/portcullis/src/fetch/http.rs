//! The little of HTTP that fetching takes.
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::time::Duration;

/// Fetches over HTTP: what a key set is asked for with, and with the feature `status-list` a list of
/// statuses.
///
/// The default is reqwest with rustls and the certificates of the operating system, and without
/// proxies. [`Client`](super::Client) is the same with a private certificate authority, a client
/// certificate or a proxy; any other HTTP library fits this trait.
///
/// All fetches of a program run on one thread: an implementation must not block it. It runs within
/// a tokio runtime that has I/O and time. They are also guarded from outside: a fetch that
/// takes longer than its [timeout](HttpRequest::timeout) is dropped, one that panics has failed,
/// and a body that is too large is refused.
pub trait HttpClient: fmt::Debug + Send + Sync + 'static {
    /// Sends a GET, and reads the answer.
    ///
    /// # Errors
    ///
    /// There is no whole answer: it could not be had, or is longer than
    /// [`max_bytes`](HttpRequest::max_bytes). An answer with an error status is an answer. A
    /// redirect is one too: do not follow it.
    fn get(&self, request: HttpRequest) -> HttpFuture;
}

/// The future of [`HttpClient::get`].
pub type HttpFuture = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send>>;

/// What to GET.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The address, `https` unless plain `http` was allowed.
    pub url: String,
    /// Header fields, with names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// How long the body may be, decompressed, in bytes. Stop reading beyond.
    pub max_bytes: usize,
    /// For how long to wait for the whole answer.
    pub timeout: Duration,
}

/// An answer, decompressed.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Header fields. Those whose values are no text may be left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpResponse {
    /// An answer without header fields.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Adds a header field.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The value of the only header of this name. One that is there twice says nothing.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// There was no whole answer.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HttpError {
    /// It did not come in time.
    Timeout,
    /// It is longer than allowed.
    TooLarge,
    /// Anything else, in words for an operator: not resolved, refused, no trusted certificate.
    Failed(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer came in time"),
            Self::TooLarge => f.write_str("the answer is too large"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl core::error::Error for HttpError {}

/// `Retry-After`, in seconds or as a date.
pub(crate) fn retry_after(response: &HttpResponse, now: std::time::SystemTime) -> Option<Duration> {
    let value = response.header("retry-after")?;
    seconds(value)
        .or_else(|| httpdate::parse_http_date(value.trim()).ok()?.duration_since(now).ok())
}

/// RFC 9111 §1.2.2: more than can be counted is as much as can be.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let text = text.trim().trim_matches('"');
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(text.parse().unwrap_or(u32::MAX.into())))
}

#[cfg(test)]
impl HttpResponse {
    pub(crate) fn with_headers(headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self { headers: headers.collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_to_come() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for (value, expected) in [
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("Fri, 15 Jan 2027 08:01:00 GMT", Some(60)),
            ("Fri, 15 Jan 2027 07:59:00 GMT", None),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            let found = retry_after(&HttpResponse::with_headers(&[("Retry-After", value)]), now);
            assert_eq!(found, expected.map(Duration::from_secs), "{value}");
        }
        assert_eq!(retry_after(&HttpResponse::with_headers(&[]), now), None);
    }
}
