//! Protected resource metadata: RFC 9728.
mod address;
mod builder;
mod document;
mod fault;

use core::convert::Infallible;
use core::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    CACHE_CONTROL,
};

pub use self::builder::ProtectedResourceBuilder;
use self::document::Document;
pub use self::fault::{ProtectedResourceError, ResourceFault, ResourceMisfit, UrlFault};
use super::reply::Reply;
use crate::policy::Issuer;
use crate::request::RequestView;
use crate::setting::Words;
use crate::source::{Kind, TokenSource};

const METHODS: &str = "GET, HEAD, OPTIONS";

/// How long anybody may keep the document (§7.10). A client asks for it once per authorization, so that
/// longer would save next to nothing; and what changes in it is known everywhere within five minutes.
const CACHING: &str = "public, max-age=300";

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
/// let policy = Policy::builder().issuer(issuer).protected_resource(&resource).build()?;
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

    /// Answers a request for the document.
    pub fn answer(&self, request: &impl RequestView) -> Reply<Infallible> {
        let document = || {
            Reply::new(StatusCode::OK)
                .with_body("application/json", self.written.document.clone())
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

    /// What the document says that a policy of these issuers and sources would not keep.
    pub(crate) fn misfits(
        &self,
        issuers: &[Issuer],
        sources: Option<&[TokenSource]>,
    ) -> Vec<ResourceMisfit> {
        let accepts = |issuer: &Issuer| issuer.names_audience(self.identifier());
        let servers = &self.written.authorization_servers;
        let mut misfits = Vec::new();
        let mut is_audience = !servers.is_empty() || issuers.iter().any(accepts);
        for server in servers {
            let mut trusted = issuers.iter().filter(|issuer| issuer.may_be(server)).peekable();
            if trusted.peek().is_none() {
                misfits.push(ResourceMisfit::AuthorizationServer { server: server.clone() });
            } else if !trusted.any(accepts) {
                is_audience = false;
            }
        }
        if !is_audience {
            misfits.push(ResourceMisfit::Audience { resource: self.identifier().to_owned() });
        }
        if sources.is_some_and(|all| !all.iter().any(|source| matches!(source.0, Kind::Bearer))) {
            misfits.push(ResourceMisfit::NoBearer);
        }
        misfits
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
