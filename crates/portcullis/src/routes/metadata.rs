//! Protected resource metadata: RFC 9728.
use core::convert::Infallible;
use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    CACHE_CONTROL,
};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::reply::Reply;
use crate::messages::debug_as_displayed;
use crate::policy::Issuer;
use crate::request::RequestView;
use crate::setting::Words;
use crate::signature::Algorithm;
use crate::source::{Kind, TokenSource};
use crate::text::is_scope;

/// §3: where the document stands, in front of the resource's own path.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

const METHODS: &str = "GET, HEAD, OPTIONS";

/// How long anybody may keep the document (§7.10). A client asks for it once per authorization, so that
/// longer would save next to nothing; and what changes in it is known everywhere within five minutes.
const CACHING: &str = "public, max-age=300";

/// The largest document. Clients bound what they read: 64 KiB is a quarter of what this library takes of
/// an issuer's metadata, and more than any list of scopes.
const MAX_DOCUMENT: usize = 64 * 1024;

/// What this library knows of §2, and what only it may set. Other members are
/// [yours](ProtectedResourceBuilder::member).
const OWN_MEMBERS: [&str; 15] = [
    "resource",
    "authorization_servers",
    "jwks_uri",
    "scopes_supported",
    "bearer_methods_supported",
    "resource_signing_alg_values_supported",
    "resource_name",
    "resource_documentation",
    "resource_policy_uri",
    "resource_tos_uri",
    "authorization_details_types_supported",
    // What they would promise does not hold, and what is signed nobody here could check.
    "tls_client_certificate_bound_access_tokens",
    "dpop_signing_alg_values_supported",
    "dpop_bound_access_tokens_required",
    "signed_metadata",
];

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
    pub fn answer<V: RequestView + ?Sized>(&self, request: &V) -> Reply<Infallible> {
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

/// Makes a [`ProtectedResource`]. A member that is not set, or is an empty list, is left out (§3.2).
///
/// There is no setter for
///
/// - `bearer_methods_supported`: it is `["header"]`, which every policy with a document has to take. No
///   other method is told of: a token in a URL stands in logs.
/// - `dpop_…` and `tls_client_certificate_bound_access_tokens`: policies refuse tokens that are bound to a
///   key.
/// - `signed_metadata`: what it says counts before what the document says (§2.2), and nobody would have
///   held the two together.
#[derive(Clone, Debug)]
#[must_use]
pub struct ProtectedResourceBuilder {
    document: Document,
    words: Words,
}

/// §2, in its order. §3.2: "Parameters with zero values MUST be omitted from the response."
#[derive(Clone, Debug, Default, Serialize)]
struct Document {
    resource: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_servers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<String>,
    bearer_methods_supported: [Header; 1],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resource_signing_alg_values_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_documentation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    authorization_details_types_supported: Vec<String>,
    #[serde(flatten)]
    members: Members,
}

/// The only bearer method.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
enum Header {
    #[default]
    Header,
}

/// Members of a user's own. Nothing where the value cannot be JSON.
#[derive(Clone, Debug, Default)]
struct Members(Vec<(String, Option<Box<RawValue>>)>);

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let are_values = self.0.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        serializer
            .collect_map(are_values.filter(|(_, value)| !matches!(value.get(), "null" | "[]")))
    }
}

impl ProtectedResourceBuilder {
    /// Who issues tokens for this resource: the identifiers of authorization servers (RFC 8414 §2), spelled
    /// as in [`Issuer::new`](crate::Issuer::new).
    ///
    /// Not called: the document does not say. MCP clients need one.
    pub fn authorization_servers<S: Into<String>>(
        mut self,
        servers: impl IntoIterator<Item = S>,
    ) -> Self {
        self.words.say(
            "authorization_servers",
            &mut self.document.authorization_servers,
            strings(servers),
        );
        self
    }

    /// Where the public keys are that the resource itself signs with. Not those of its tokens: these are
    /// its issuers' affair.
    ///
    /// Not called: it signs nothing.
    pub fn jwks_uri(mut self, url: impl Into<String>) -> Self {
        self.words.say("jwks_uri", &mut self.document.jwks_uri, Some(url.into()));
        self
    }

    /// The scopes that clients may ask for. Those of MCP ask for all of them when they know no better: name
    /// what the service needs to be of use, and neither `offline_access` nor what only administrators get.
    ///
    /// Not called: the document does not say.
    pub fn scopes_supported<S: Into<String>>(
        mut self,
        scopes: impl IntoIterator<Item = S>,
    ) -> Self {
        self.words.say("scopes_supported", &mut self.document.scopes_supported, strings(scopes));
        self
    }

    /// The algorithms that the resource itself signs with. `none` is none of them (§2).
    ///
    /// Not called: it signs nothing.
    pub fn resource_signing_alg_values_supported(
        mut self,
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Self {
        let names = algorithms.into_iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>();
        self.words.say(
            "resource_signing_alg_values_supported",
            &mut self.document.resource_signing_alg_values_supported,
            names,
        );
        self
    }

    /// What people call it. In another language (§2.1): `.member("resource_name#de", "Bestellungen")`,
    /// and likewise the three below.
    ///
    /// Not called: clients show its address.
    pub fn resource_name(mut self, name: impl Into<String>) -> Self {
        self.words.say("resource_name", &mut self.document.resource_name, Some(name.into()));
        self
    }

    /// Where developers read about it.
    ///
    /// Not called: the document does not say.
    pub fn resource_documentation(mut self, url: impl Into<String>) -> Self {
        self.words.say(
            "resource_documentation",
            &mut self.document.resource_documentation,
            Some(url.into()),
        );
        self
    }

    /// Where it says how clients may use its data.
    ///
    /// Not called: the document does not say.
    pub fn resource_policy_uri(mut self, url: impl Into<String>) -> Self {
        self.words.say(
            "resource_policy_uri",
            &mut self.document.resource_policy_uri,
            Some(url.into()),
        );
        self
    }

    /// Where its terms of service are.
    ///
    /// Not called: the document does not say.
    pub fn resource_tos_uri(mut self, url: impl Into<String>) -> Self {
        self.words.say("resource_tos_uri", &mut self.document.resource_tos_uri, Some(url.into()));
        self
    }

    /// Which types of `authorization_details` it understands (RFC 9396).
    ///
    /// Not called: the document does not say.
    pub fn authorization_details_types_supported<S: Into<String>>(
        mut self,
        types: impl IntoIterator<Item = S>,
    ) -> Self {
        self.words.say(
            "authorization_details_types_supported",
            &mut self.document.authorization_details_types_supported,
            strings(types),
        );
        self
    }

    /// A member of another specification, or of your own (§2). `null` and an empty list are left out.
    ///
    /// Not called: there are none.
    pub fn member(mut self, name: impl Into<String>, value: impl Serialize) -> Self {
        self.document.members.0.push((name.into(), to_raw_value(&value).ok()));
        self
    }

    /// Checks all that was set, and writes the document.
    ///
    /// # Errors
    ///
    /// The document would be misread, or say what does not hold. The error lists every fault.
    pub fn build(self) -> Result<ProtectedResource, ProtectedResourceError> {
        let Self { document, words } = self;
        let mut faults = document.check();
        faults.extend(words.contradicted().map(|member| ResourceFault::SaidTwice { member }));
        let written = serde_json::to_vec(&document).unwrap_or_default();
        if written.len() > MAX_DOCUMENT {
            faults.push(ResourceFault::TooLarge { bytes: written.len() });
        }
        let Document { resource: identifier, authorization_servers, .. } = document;
        let address = match Address::of_resource(&identifier) {
            Ok(address) if faults.is_empty() => address,
            Ok(_) => return Err(ProtectedResourceError { faults }),
            Err(fault) => {
                let identifier = shown(&identifier);
                faults.insert(0, ResourceFault::Identifier { identifier, fault });
                return Err(ProtectedResourceError { faults });
            }
        };
        let Address { origin, path, query, .. } = address;
        // §3.1: "any terminating slash (/) following the host component" gives way.
        let path = if path == "/" { "" } else { path };
        let metadata_url = format!("{origin}{WELL_KNOWN}{path}{query}");
        let path = origin.len()..metadata_url.len() - query.len();
        let document = Bytes::from(written);
        let written = Written { identifier, metadata_url, path, authorization_servers, document };
        Ok(ProtectedResource { written: Arc::new(written) })
    }
}

impl Document {
    /// What is wrong with all but the identifier.
    fn check(&self) -> Vec<ResourceFault> {
        let mut faults = Vec::new();
        let mut urls: Vec<(_, _, Read<'_>)> = Vec::new();
        for url in &self.authorization_servers {
            urls.push(("authorization_servers", url, Address::of_issuer));
        }
        let others: [(_, _, Read<'_>); 4] = [
            ("jwks_uri", &self.jwks_uri, Address::of_endpoint),
            ("resource_documentation", &self.resource_documentation, Address::parse),
            ("resource_policy_uri", &self.resource_policy_uri, Address::parse),
            ("resource_tos_uri", &self.resource_tos_uri, Address::parse),
        ];
        urls.extend(
            others.iter().filter_map(|(member, url, read)| Some((*member, url.as_ref()?, *read))),
        );
        for (member, url, read) in urls {
            if let Err(fault) = read(url) {
                faults.push(ResourceFault::Url { member, url: shown(url), fault });
            }
        }
        let scopes = self.scopes_supported.iter().filter(|scope| !is_scope(scope));
        faults.extend(scopes.map(|scope| ResourceFault::Scope { scope: scope.clone() }));
        if self.resource_name.as_deref() == Some("") {
            faults.push(ResourceFault::Empty { member: "resource_name" });
        }
        if self.authorization_details_types_supported.iter().any(String::is_empty) {
            faults.push(ResourceFault::Empty { member: "authorization_details_types_supported" });
        }
        let Members(members) = &self.members;
        for (at, (name, value)) in members.iter().enumerate() {
            let is_again = members[..at].iter().any(|(other, _)| other == name);
            if name.is_empty() || is_again || OWN_MEMBERS.contains(&name.as_str()) {
                faults.push(ResourceFault::Member { name: name.clone() });
            } else if value.is_none() {
                faults.push(ResourceFault::NotJson { name: name.clone() });
            }
        }
        faults
    }
}

fn strings<S: Into<String>>(items: impl IntoIterator<Item = S>) -> Vec<String> {
    items.into_iter().map(Into::into).collect()
}

type Read<'u> = fn(&'u str) -> Result<Address<'u>, UrlFault>;

/// An absolute URL (RFC 3986 §4.3) in its parts. `query` has its `?`.
struct Address<'u> {
    origin: &'u str,
    path: &'u str,
    query: &'u str,
    fragment: Option<&'u str>,
    /// `https`, or a host that no network leads to.
    is_safe: bool,
}

impl<'u> Address<'u> {
    /// Takes only what all parsers read alike, and none writes otherwise.
    fn parse(url: &'u str) -> Result<Self, UrlFault> {
        // RFC 3986 §2, without `'`, which browsers write otherwise in a query.
        let is_url_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&()*+,;=%".contains(&byte);
        if !url.bytes().all(is_url_byte) {
            return Err(UrlFault::NotAUrl);
        }
        let (scheme, rest) = url.split_once("://").ok_or(UrlFault::NotAUrl)?;
        let (is_https, default_port) = match scheme {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return Err(UrlFault::NotAUrl),
        };
        let (authority, _) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlFault::User);
        }
        let (host, port) = match authority.rfind(':').filter(|_| !authority.ends_with(']')) {
            Some(at) => (&authority[..at], Some(&authority[at + 1..])),
            None => (authority, None),
        };
        if let Some(port) = port {
            let number: u16 = port.parse().map_err(|_| UrlFault::NotAUrl)?;
            if number == default_port || number.to_string() != port {
                return Err(UrlFault::Spelling);
            }
        }
        let is_loopback = Host::parse(host)?.is_loopback();
        let (origin, rest) = url.split_at(scheme.len() + "://".len() + authority.len());
        let (rest, fragment) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment)),
            None => (rest, None),
        };
        let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        Ok(Self { origin, path, query, fragment, is_safe: is_https || is_loopback })
    }

    /// An address that something is fetched from: §2 asks for `https`.
    fn of_endpoint(url: &'u str) -> Result<Self, UrlFault> {
        let address = Self::parse(url)?;
        match (address.fragment, address.is_safe) {
            (Some(_), _) => Err(UrlFault::Fragment),
            (None, false) => Err(UrlFault::PlainHttp),
            (None, true) => Ok(address),
        }
    }

    /// RFC 8414 §2: no query either.
    fn of_issuer(url: &'u str) -> Result<Self, UrlFault> {
        let address = Self::of_endpoint(url)?;
        if address.query.is_empty() { Ok(address) } else { Err(UrlFault::Query) }
    }

    /// §1.2, and a path that every router matches as it is written: none that is decoded first, or whose
    /// segments could mean parameters.
    fn of_resource(url: &'u str) -> Result<Self, UrlFault> {
        let address = Self::of_endpoint(url)?;
        let is_plain = |segment: &str| {
            !matches!(segment, "." | "..")
                && !segment.starts_with(':')
                && !segment.contains(['%', '*', '[', ']'])
        };
        if address.path.split('/').all(is_plain) { Ok(address) } else { Err(UrlFault::Spelling) }
    }
}

enum Host<'u> {
    Name(&'u str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl<'u> Host<'u> {
    fn parse(text: &'u str) -> Result<Self, UrlFault> {
        if let Some(text) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let address: Ipv6Addr = text.parse().map_err(|_| UrlFault::NotAUrl)?;
            return if address.to_string() == text {
                Ok(Self::V6(address))
            } else {
                Err(UrlFault::Spelling)
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::V4(address));
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(UrlFault::Spelling);
        }
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
        };
        // Browsers take a name that ends in a number for an address.
        let last = text.rsplit('.').next().unwrap_or_default();
        let is_name = text.split('.').all(is_label)
            && !last.starts_with(|first: char| first.is_ascii_digit());
        if is_name { Ok(Self::Name(text)) } else { Err(UrlFault::NotAUrl) }
    }

    /// RFC 6761 §6.3 for the name.
    fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => *name == "localhost" || name.ends_with(".localhost"),
            Self::V4(address) => address.is_loopback(),
            Self::V6(address) => address.is_loopback(),
        }
    }
}

/// A URL for a message: without what may be a password in it.
fn shown(url: &str) -> String {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest).to_owned()
}

/// A protected resource that is refused. Lists every fault at once.
#[derive(Clone, Eq, PartialEq)]
pub struct ProtectedResourceError {
    faults: Vec<ResourceFault>,
}

impl ProtectedResourceError {
    /// Every fault, at least one.
    pub fn faults(&self) -> &[ResourceFault] {
        &self.faults
    }
}

impl fmt::Display for ProtectedResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the protected resource is refused:")?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

debug_as_displayed!(ProtectedResourceError);

impl core::error::Error for ProtectedResourceError {}

/// One reason why a protected resource is refused. Its text names the way out.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ResourceFault {
    /// An identifier that clients could not use, or would misread.
    Identifier {
        /// The identifier.
        identifier: String,
        /// Why.
        fault: UrlFault,
    },
    /// Another URL of which that is so.
    Url {
        /// Which member.
        member: &'static str,
        /// The URL.
        url: String,
        /// Why.
        fault: UrlFault,
    },
    /// Text that is no scope.
    Scope {
        /// The text.
        scope: String,
    },
    /// An empty text.
    Empty {
        /// Which member.
        member: &'static str,
    },
    /// Two different words about a member: neither counts.
    SaidTwice {
        /// The setter.
        member: &'static str,
    },
    /// A member of one's own without a name, with that of another, or with one that has a meaning here.
    Member {
        /// Its name.
        name: String,
    },
    /// A member whose value cannot be JSON.
    NotJson {
        /// Its name.
        name: String,
    },
    /// A document over 64 KiB.
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
    },
}

impl fmt::Display for ResourceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identifier { identifier, fault } => {
                write!(f, "the identifier `{}` {fault}", identifier.escape_debug())
            }
            Self::Url { member, url, fault } => {
                write!(f, "{member}: `{}` {fault}", url.escape_debug())
            }
            Self::Scope { scope } => write!(
                f,
                "scopes_supported: `{}` is no scope: printable ASCII without space, `\"` and `\\`; one for each",
                scope.escape_debug()
            ),
            Self::Empty { member } => write!(f, "{member}: is empty: leave it out"),
            Self::SaidTwice { member } => {
                write!(f, "{member}: is said twice, and not alike: leave one out")
            }
            Self::Member { name } => write!(
                f,
                "member `{}`: has no name, is there twice, or has a meaning of its own: use its setter, if there is one",
                name.escape_debug()
            ),
            Self::NotJson { name } => {
                write!(f, "member `{}`: its value cannot be JSON", name.escape_debug())
            }
            Self::TooLarge { bytes } => {
                write!(f, "a document of {bytes} bytes: {MAX_DOCUMENT} are the most")
            }
        }
    }
}

/// A URL that clients could not use, or would misread.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UrlFault {
    /// It is no absolute `https` URL in ASCII.
    NotAUrl,
    /// It is plain `http`, and its host is not this machine.
    PlainHttp,
    /// It has a user name.
    User,
    /// It has a fragment.
    Fragment,
    /// It has a query.
    Query,
    /// URL parsers spell it otherwise, or routers match it otherwise.
    Spelling,
}

impl fmt::Display for UrlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAUrl => "is no absolute `https` URL: write it as `https://api.example/orders`, other characters than those of ASCII encoded",
            Self::PlainHttp => "is plain `http`: whoever is on the way could name issuers of their own; use `https`",
            Self::User => "has a user name: leave it out",
            Self::Fragment => "has a fragment: leave it out",
            Self::Query => "has a query: leave it out",
            Self::Spelling => "is not spelled as clients will spell it: write the host in lower case, no default port; the path of a resource without `.`, `..`, `/:`, `%`, `*`, `[` and `]`",
        })
    }
}

impl core::error::Error for UrlFault {}

/// What the document of a protected resource says, and its policy does not keep.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ResourceMisfit {
    /// An issuer that clients are sent to does not have the resource's identifier for an audience; or, where
    /// they are sent to none, no issuer does.
    Audience {
        /// The identifier.
        resource: String,
    },
    /// An authorization server that is no issuer.
    AuthorizationServer {
        /// The server's identifier.
        server: String,
    },
    /// No token is taken from `Authorization: Bearer`.
    NoBearer,
}

impl fmt::Display for ResourceMisfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audience { resource } => write!(
                f,
                "`{resource}`, for which clients will get their tokens, is no audience of the issuers that they get them from: add it to the audiences"
            ),
            Self::AuthorizationServer { server } => write!(
                f,
                "the authorization server `{server}` is no issuer, so that its tokens would be refused: name it as it stands in `iss`, or trust it"
            ),
            Self::NoBearer => f.write_str(
                "its clients send their tokens in `Authorization: Bearer`, which is not among the sources: add it",
            ),
        }?;
        f.write_str("; where that is meant, name the document by `Presentation::resource_metadata`")
    }
}

impl core::error::Error for ResourceMisfit {}
