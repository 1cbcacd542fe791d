//! What verification may see of a request.
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// The parts of a request that decide about a token.
///
/// Implemented for [`http::Request`] and [`http::request::Parts`]. A framework with a request type
/// of its own implements it on a newtype, and nothing more. Names cross as text and values as
/// bytes, so that no version of the `http` crate matters.
pub trait RequestView {
    /// The method, as it was sent: `GET`.
    fn method(&self) -> &str;

    /// The authority of the request's target, where it has one: always in HTTP/2, in HTTP/1 only
    /// for the absolute form. The `Host` header is asked for otherwise.
    fn authority(&self) -> Option<&str>;

    /// The query, without the `?` and as it was sent.
    fn query(&self) -> Option<&str>;

    /// Every value of the header `name`, which is in lower case.
    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;
}

impl RequestView for http::request::Parts {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn authority(&self) -> Option<&str> {
        self.uri.authority().map(http::uri::Authority::as_str)
    }

    fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values(&self.headers, name)
    }
}

impl<B> RequestView for http::Request<B> {
    fn method(&self) -> &str {
        self.method().as_str()
    }

    fn authority(&self) -> Option<&str> {
        self.uri().authority().map(http::uri::Authority::as_str)
    }

    fn query(&self) -> Option<&str> {
        self.uri().query()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values(self.headers(), name)
    }
}

fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    // Where nearly every token is: a name that is known need not be parsed.
    let values = match name {
        "authorization" => headers.get_all(AUTHORIZATION),
        name => headers.get_all(name),
    };
    values.into_iter().map(HeaderValue::as_bytes)
}

/// The only value of a header; nothing where there are several.
pub(crate) fn single<'a>(request: &'a impl RequestView, name: &'a str) -> Option<&'a [u8]> {
    let mut values = request.header(name);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}
