//! The route of the metadata of a protected resource (RFC 9728).
use core::convert::Infallible;

use super::document::PublicDocument;
use super::reply::Reply;
use crate::request::RequestView;
use crate::resource::ProtectedResource;

impl ProtectedResource {
    /// Answers a request for the document.
    pub fn answer(&self, request: &impl RequestView) -> Reply<Infallible> {
        PublicDocument::new("application/json", self.document().clone()).answer(request)
    }
}
