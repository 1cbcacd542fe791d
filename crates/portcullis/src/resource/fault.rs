//! What is wrong with a document, or with the policy beside it.
use core::fmt;

use super::document::MAX_DOCUMENT;
use crate::debug_as_displayed::debug_as_displayed;

/// A protected resource that is refused. Lists every fault at once.
#[derive(Clone, Eq, PartialEq)]
pub struct ProtectedResourceError {
    pub(super) faults: Vec<ResourceFault>,
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
                "scopes_supported: `{}` is not a scope: use printable ASCII without space, `\"` and `\\`; one for each",
                scope.escape_debug()
            ),
            Self::Empty { member } => write!(f, "{member} is empty: leave it out"),
            Self::SaidTwice { member } => {
                write!(f, "{member} is set twice, to different values: leave one out")
            }
            Self::Member { name } => write!(
                f,
                "the member `{}` has no name, is there twice, or has a meaning of its own: use the setter for it, if there is one",
                name.escape_debug()
            ),
            Self::NotJson { name } => {
                write!(
                    f,
                    "the value of the member `{}` cannot be written as JSON",
                    name.escape_debug()
                )
            }
            Self::TooLarge { bytes } => {
                write!(f, "the document has {bytes} bytes, and {MAX_DOCUMENT} are allowed")
            }
        }
    }
}

impl core::error::Error for ResourceFault {}

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
            Self::NotAUrl => "is not an absolute `https` URL: write it as `https://api.example/orders`, with characters outside ASCII percent-encoded",
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
pub enum ResourcePolicyFault {
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
    /// It says something else of tokens that are bound to a key (RFC 9449) than the policy does, or does not say that the policy
    /// takes no others.
    Dpop,
    /// It says something else of tokens that are bound to a certificate (RFC 8705) than the policy does, or does not say that the
    /// policy takes no others.
    Mtls,
}

impl fmt::Display for ResourcePolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audience { resource } => write!(
                f,
                "clients are sent to get tokens for `{resource}`, and an issuer that they get them from does not have it as an audience: add it to the audiences of that issuer"
            ),
            Self::AuthorizationServer { server } => write!(
                f,
                "the policy does not trust the authorization server `{server}` as an issuer, so that its tokens would be refused: write it as it stands in `iss`, or add it to the issuers"
            ),
            Self::NoBearer => f.write_str(
                "clients will send their tokens in `Authorization: Bearer`, which is not among the token sources: add `TokenSource::bearer()`",
            ),
            Self::Dpop => f.write_str(
                "the document does not say of tokens that are bound to a key (DPoP) what the policy does: give it `.dpop(&dpop)` with the one that the policy has",
            ),
            Self::Mtls => f.write_str(
                "the document does not say of tokens that are bound to a certificate what the policy does: give it `.tls_client_certificate_bound_access_tokens()` where the policy has `.mtls(…)`, and nowhere else",
            ),
        }?;
        f.write_str("; if that is what you want, name the document by `Presentation::resource_metadata` instead")
    }
}

impl core::error::Error for ResourcePolicyFault {}
