use core::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    CACHE_CONTROL, ETAG,
};
use http::{HeaderValue, StatusCode};

use super::reply::Reply;
use crate::request::RequestView;

const METHODS: &str = "GET, HEAD, OPTIONS";

/// How long anybody may keep a document (RFC 9728 §7.10, and that of an issuer's keys). A client asks for it once in a
/// while, so that longer would save next to nothing; and what changes in it is known everywhere within five minutes.
const CACHING: &str = "public, max-age=300";

/// A document that anybody may read, at an address where clients look for it: metadata, or a key set.
///
/// GET and HEAD answer it, to scripts of every origin too, and say that anybody may keep it for five minutes. OPTIONS
/// answers 204, and every other method 405.
#[derive(Clone, Debug)]
pub struct PublicDocument {
    content_type: &'static str,
    body: Bytes,
    etag: Option<HeaderValue>,
}

impl PublicDocument {
    /// Of this content, of a type such as `application/json`.
    pub fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { content_type, body: body.into(), etag: None }
    }

    /// With this strong entity tag (RFC 9110 §8.8.3), without its quotes: letters, digits, `-` and `_`. Whoever has the
    /// document under it is answered 304 (§13.1.2).
    ///
    /// If you do not call it, or with other characters: it has none, and is sent each time.
    #[must_use]
    pub fn with_entity_tag(self, tag: &str) -> Self {
        let is_plain =
            tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let etag = HeaderValue::try_from(format!("\"{tag}\"")).ok();
        Self { etag: etag.filter(|_| is_plain && !tag.is_empty()), ..self }
    }

    /// Answers a request for a document that cannot be told now, for this reason: 503 for nobody's cache, to be asked again
    /// in a second. Methods other than GET and HEAD are answered as ever.
    pub fn unavailable<E>(request: &impl RequestView, error: E) -> Reply<E> {
        match request.method() {
            // Scripts may know that it is not for good.
            "GET" | "HEAD" => Reply::new(StatusCode::SERVICE_UNAVAILABLE)
                .retry_after(Duration::from_secs(1))
                .with_header(ACCESS_CONTROL_ALLOW_ORIGIN, "*")
                .because(error),
            _ => Self::new("", "").answer(request),
        }
    }

    /// Answers a request for the document. It never fails: `E` is what the route fails with otherwise.
    pub fn answer<E>(&self, request: &impl RequestView) -> Reply<E> {
        match request.method() {
            "GET" | "HEAD" if self.is_known(request) => {
                self.described(Reply::new(StatusCode::NOT_MODIFIED))
            }
            "GET" => self.whole(),
            "HEAD" => self.whole().without_body(),
            // Also of preflights: MCP clients in a browser send `MCP-Protocol-Version`.
            "OPTIONS" => Reply::new(StatusCode::NO_CONTENT)
                .allowing(METHODS)
                .with_header(ACCESS_CONTROL_ALLOW_ORIGIN, "*")
                .with_header(ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD")
                .with_header(ACCESS_CONTROL_ALLOW_HEADERS, "*"),
            _ => Reply::new(StatusCode::METHOD_NOT_ALLOWED).allowing(METHODS),
        }
    }

    fn whole<E>(&self) -> Reply<E> {
        let reply = Reply::new(StatusCode::OK);
        self.described(reply.with_body(self.content_type, self.body.clone()))
    }

    /// With what is said of the document, whether it is sent or known.
    fn described<E>(&self, reply: Reply<E>) -> Reply<E> {
        let reply =
            reply.with_header(CACHE_CONTROL, CACHING).with_header(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        match &self.etag {
            Some(etag) => reply.with_value(ETAG, etag.clone()),
            None => reply,
        }
    }

    /// Whether one of the entity tags of `If-None-Match` is the document's, by the weak comparison that RFC 9110 §13.1.2
    /// asks for; or any is.
    fn is_known(&self, request: &impl RequestView) -> bool {
        let Some(etag) = &self.etag else { return false };
        let mut tags =
            request.header("if-none-match").flat_map(|value| value.split(|it| *it == b','));
        tags.any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes()
        })
    }
}

#[cfg(test)]
mod tests {
    use core::convert::Infallible;

    use super::*;

    fn document() -> PublicDocument {
        PublicDocument::new("application/json", "{}").with_entity_tag("t-1")
    }

    fn answer(document: &PublicDocument, method: &str, known: &[&str]) -> Reply<Infallible> {
        let mut request = http::Request::builder().method(method);
        for value in known {
            request = request.header("if-none-match", *value);
        }
        document.answer(&request.body(()).expect("a request"))
    }

    #[test]
    fn who_has_it_is_told_so_and_gets_no_body() {
        for known in [
            &["\"t-1\""][..],
            &["W/\"t-1\""],
            &["*"],
            &["\"a\", \"t-1\""],
            &["\"a\"", "W/\"b\" ,\"t-1\" "],
        ] {
            for method in ["GET", "HEAD"] {
                let reply = answer(&document(), method, known);
                assert_eq!((reply.status(), reply.body()), (304, &b""[..]), "{method} {known:?}");
                let headers: Vec<_> = reply.headers().map(|(name, _)| name).collect();
                assert!(headers.contains(&"etag") && headers.contains(&"cache-control"));
                assert!(!headers.contains(&"content-type"));
            }
        }
    }

    #[test]
    fn who_has_another_gets_it_whole() {
        for known in [&[][..], &["\"t-2\""], &["t-1"], &["\"T-1\""], &["w/\"t-1\""], &[""]] {
            let reply = answer(&document(), "GET", known);
            assert_eq!((reply.status(), reply.body()), (200, &b"{}"[..]), "{known:?}");
        }
        let reply = answer(&document(), "HEAD", &[]);
        assert_eq!((reply.status(), reply.body()), (200, &b""[..]));
        assert!(reply.headers().any(|header| header == ("content-length", b"2")));
        assert_eq!(answer(&document(), "POST", &["*"]).status(), 405);
        assert_eq!(answer(&document(), "OPTIONS", &["*"]).status(), 204);
    }

    #[test]
    fn one_without_a_tag_is_never_known() {
        for document in [
            PublicDocument::new("application/json", "{}"),
            PublicDocument::new("application/json", "{}").with_entity_tag("a\"b"),
            PublicDocument::new("application/json", "{}").with_entity_tag(""),
        ] {
            assert_eq!(answer(&document, "GET", &["*"]).status(), 200);
        }
    }
}
