//! Protected resource metadata: RFC 9728.
mod address;
mod builder;
mod document;
mod fault;

use core::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use self::builder::ProtectedResourceBuilder;
use self::document::Document;
pub(crate) use self::document::Proofs;
pub use self::fault::{ProtectedResourceError, ResourceFault, ResourcePolicyFault, UrlFault};
use crate::setting::Words;

/// A protected resource, and the document that says who issues its tokens (RFC 9728): what a client asks
/// for that got a 401 and knows nothing else of the service.
///
/// 1. [`PolicyBuilder::protected_resource`](crate::PolicyBuilder::protected_resource) puts the address of
///    the document into every challenge (§5.1), and holds the policy to what the document says.
/// 2. The route of an adapter answers with it at [`metadata_path`](Self::metadata_path), without a token.
///
/// | request | answer |
/// | --- | --- |
/// | `GET`, `HEAD` | 200, `application/json`, `Cache-Control: public, max-age=300` |
/// | `OPTIONS` | 204 |
/// | any other | 405 |
///
/// The document is public, and written once: nothing of a request goes into it, neither `Host` nor a
/// forwarded name, and no cache can be made to keep another. So every origin may read it
/// (`Access-Control-Allow-Origin: *`): clients that run in a browser have to, and send headers of their own
/// with it.
///
/// ```
/// use portcullis::{Algorithm, Issuer, KeySet, Policy, ProtectedResource};
///
/// # fn policy(keys: KeySet) -> Result<Policy, Box<dyn std::error::Error>> {
/// let resource = ProtectedResource::builder("https://api.example/orders")
///     .authorization_servers(["https://id.example"])
///     .scopes_supported(["orders:read", "orders:write"])
///     .resource_name("Orders")
///     .build()?;
/// assert_eq!(
///     resource.metadata_url(),
///     "https://api.example/.well-known/oauth-protected-resource/orders",
/// );
///
/// let issuer = Issuer::new("https://id.example")
///     .algorithms([Algorithm::ES256])
///     .keys(keys)
///     .audience(resource.identifier()); // RFC 8707: what clients ask tokens for
/// let policy = Policy::builder()
///     .issuer(issuer)
///     .protected_resource(&resource)
///     .build()?;
/// # Ok(policy) }
///
/// let refused = ProtectedResource::builder("http://api.example/#orders")
///     .scopes_supported(["orders read"])
///     .build()
///     .unwrap_err();
/// assert_eq!(refused.faults().len(), 2);
/// # let _ = policy;
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct ProtectedResource {
    written: Arc<Written>,
}

#[derive(Eq, PartialEq)]
struct Written {
    identifier: String,
    metadata_url: String,
    /// The part of it in which the path stands.
    path: core::ops::Range<usize>,
    authorization_servers: Vec<String>,
    proofs: Option<Proofs>,
    takes_certificates: bool,
    document: Bytes,
}

impl ProtectedResource {
    /// The resource with this identifier (§1.2): an `https` URL without a fragment. It is what clients use
    /// as the address of the service, what they ask tokens for (RFC 8707), and so what should stand in
    /// `aud`. A path tells resources of one host apart; a query could, and is discouraged.
    ///
    /// It must be spelled as URL parsers spell it, since clients compare it byte by byte (§6): host in lower
    /// case, no default port, no `.` or `..`; and its path as routers match it: without percent-encoding,
    /// `*`, and a segment that begins with `:`. To try it out, `http` will do on loopback.
    pub fn builder(identifier: impl Into<String>) -> ProtectedResourceBuilder {
        ProtectedResourceBuilder {
            document: Document { resource: identifier.into(), ..Document::default() },
            words: Words::default(),
        }
    }

    /// The identifier.
    pub fn identifier(&self) -> &str {
        &self.written.identifier
    }

    /// Where the document stands (§3): the identifier, with the well-known part before its path. A path of
    /// `/` alone gives way to it (§3.1); a slash at the end of a longer one stays.
    pub fn metadata_url(&self) -> &str {
        &self.written.metadata_url
    }

    /// The path of [`metadata_url`](Self::metadata_url), for a route.
    pub fn metadata_path(&self) -> &str {
        &self.written.metadata_url[self.written.path.clone()]
    }

    /// What clients get at [`metadata_url`](Self::metadata_url).
    pub(crate) fn document(&self) -> &Bytes {
        &self.written.document
    }

    pub(crate) fn authorization_servers(&self) -> &[String] {
        &self.written.authorization_servers
    }

    /// What it says of tokens that are bound to a key.
    pub(crate) fn proofs(&self) -> Option<&Proofs> {
        self.written.proofs.as_ref()
    }

    /// Whether it says that tokens may be bound to a certificate.
    pub(crate) fn takes_certificates(&self) -> bool {
        self.written.takes_certificates
    }
}

impl fmt::Debug for ProtectedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectedResource")
            .field("identifier", &self.identifier())
            .field("metadata_url", &self.metadata_url())
            .finish_non_exhaustive()
    }
}
