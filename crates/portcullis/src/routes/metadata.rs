//! The route of the metadata of a protected resource (RFC 9728).
use core::convert::Infallible;

use http::StatusCode;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    CACHE_CONTROL,
};

use super::reply::Reply;
use crate::request::RequestView;
use crate::resource::ProtectedResource;

const METHODS: &str = "GET, HEAD, OPTIONS";

/// How long anybody may keep the document (§7.10). A client asks for it once per authorization, so that
/// longer would save next to nothing; and what changes in it is known everywhere within five minutes.
const CACHING: &str = "public, max-age=300";

impl ProtectedResource {
    /// Answers a request for the document.
    pub fn answer(&self, request: &impl RequestView) -> Reply<Infallible> {
        let document = || {
            Reply::new(StatusCode::OK)
                .with_body("application/json", self.document().clone())
                .with_header(CACHE_CONTROL, CACHING)
                .with_header(ACCESS_CONTROL_ALLOW_ORIGIN, "*")
        };
        match request.method() {
            "GET" => document(),
            "HEAD" => document().without_body(),
            // Also of preflights: MCP clients in a browser send `MCP-Protocol-Version`.
            "OPTIONS" => Reply::new(StatusCode::NO_CONTENT)
                .allowing(METHODS)
                .with_header(ACCESS_CONTROL_ALLOW_ORIGIN, "*")
                .with_header(ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD")
                .with_header(ACCESS_CONTROL_ALLOW_HEADERS, "*"),
            _ => Reply::new(StatusCode::METHOD_NOT_ALLOWED).allowing(METHODS),
        }
    }
}
