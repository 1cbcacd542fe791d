//! What a policy adds to the responses of requests that it let in.
use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};

use crate::dpop::Nonce;

/// What the response to a request that was let in needs, besides what its handler says.
///
/// The layers see to it. A middleware of your own, which asks a policy itself, does so with each response:
///
/// ```
/// # use portcullis::Admission;
/// # fn answer(admission: &Admission, mut response: http::Response<()>) -> http::Response<()> {
/// admission.response_needs().add_to(response.headers_mut());
/// # response }
/// ```
///
/// # Caches
///
/// A shared cache stores no response to a request with `Authorization` unless it is told to (RFC 9111 §3.5). It knows
/// nothing of tokens in cookies, other headers or the query. Where a policy has such a source, each response is
/// `Cache-Control: private` (RFC 6750 §2.3), unless the handler has set that header: also that to a request without a
/// token, where the policy allows it, since the next one to the same address may have one; and whatever its status,
/// since 301, 404 and 410 are stored as well. Under other policies nothing is added.
///
/// There is no `Vary`: no shared cache stores what is private, and a browser's own would keep nothing past the next change
/// of any other cookie. A handler that sets `public`, or must not show a page to the next user of the same browser
/// (`no-store`), says so itself, and `Vary` with the former.
///
/// # Nonces
///
/// Where a policy asks proofs for [nonces](crate::dpop::Dpop::nonces), the response to a client that has not got the latest
/// one carries it in `DPoP-Nonce`, and is `no-store` unless the handler has set `Cache-Control` (RFC 9449 §8.2).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct ResponseNeeds(Needs);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
enum Needs {
    #[default]
    Nothing,
    Private,
    /// Not by value: layers keep this beside the future of their service, and move both.
    Nonce(Arc<Nonce>),
}

impl ResponseNeeds {
    #[inline]
    pub(crate) fn caching(is_private: bool) -> Self {
        Self(if is_private { Needs::Private } else { Needs::Nothing })
    }

    pub(crate) fn nonce(nonce: Arc<Nonce>) -> Self {
        Self(Needs::Nonce(nonce))
    }

    /// Whether it is nothing, as under most policies.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Needs::Nothing)
    }

    /// Headers, each to be added where the response has none of this name. Names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let (caching, nonce) = match &self.0 {
            Needs::Nothing => (None, None),
            Needs::Private => (Some("private"), None),
            // RFC 9449 §8.2.
            Needs::Nonce(nonce) => (Some("no-store"), Some(nonce)),
        };
        let caching = caching.map(|value| ("cache-control", value));
        caching.into_iter().chain(nonce.map(|nonce| ("dpop-nonce", nonce.as_str())))
    }

    /// Adds what these do not have.
    #[inline]
    pub fn add_to(&self, headers: &mut HeaderMap) {
        if !self.is_empty() {
            self.add_all_to(headers);
        }
    }

    fn add_all_to(&self, headers: &mut HeaderMap) {
        for (name, value) in self.headers() {
            if !headers.contains_key(name) {
                headers.insert(
                    name,
                    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("")),
                );
            }
        }
    }
}
