//! Why a request does not show that its sender has the certificate of its token.
use core::fmt;

use super::header::CertificateHeaderFault;

/// The request does not show that its sender has the certificate that its token is bound to (RFC 8705 §3).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CertificateError {
    /// The client presented none.
    Missing,
    /// The request has no header that says that the client presented one: it did not, or the proxy writes another header.
    NoHeader,
    /// The client presented another one (`cnf.x5t#S256`).
    Other,
    /// The header in which a proxy says it cannot be read.
    Header(CertificateHeaderFault),
    /// There is such a header, and it came from a peer that the policy does not list.
    UntrustedProxy,
    /// The token is bound to a certificate, and was verified without a request.
    NoRequest,
    /// The token is bound to no certificate, and the policy takes only tokens that are.
    BindingRequired,
    /// Nobody says whether the client presented one: the server does not pass on what the handshake said.
    Unknown,
    /// Nobody says from which address the header came: the server does not pass on its peer.
    PeerUnknown,
}

impl CertificateError {
    /// A short name for logs and metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Missing | Self::NoHeader => "certificate_missing",
            Self::Other => "certificate_other",
            Self::Header(_) => "bad_certificate_header",
            Self::UntrustedProxy => "untrusted_proxy",
            Self::NoRequest | Self::BindingRequired => "wrong_binding",
            Self::Unknown | Self::PeerUnknown => "certificate_unavailable",
        }
    }

    /// Whether nobody can tell, so that the fault is not the client's: a 503.
    pub fn is_unavailable(self) -> bool {
        matches!(self, Self::Unknown | Self::PeerUnknown)
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the token is bound to a certificate, and the client presented none"),
            Self::NoHeader => f.write_str(
                "the token is bound to a certificate, and the request does not have the header that the policy reads it from: \
                 the client presented none, or the proxy writes another header",
            ),
            Self::Other => f.write_str("the client presented another certificate than that of the token (`cnf.x5t#S256`)"),
            Self::Header(fault) => write!(f, "the header with the client's certificate: {fault}"),
            Self::UntrustedProxy => f.write_str(
                "the header with the client's certificate came from a peer that `trusted_proxies` does not list",
            ),
            Self::NoRequest => f.write_str("the token is bound to a certificate, and was verified without the request that it came in"),
            Self::BindingRequired => f.write_str("the token is bound to no certificate, and the policy takes only tokens that are"),
            Self::Unknown => f.write_str(
                "the server does not say what its TLS handshake saw of the client's certificate: serve by `tls::serve` of portcullis-axum or \
                 `tls::bind` of portcullis-actix, or behind a proxy, name its header (`Mtls::from_header`). In a server of your own, is \
                 `on_connect` set before `bind`, and does each request have a `ClientCertificate`?",
            ),
            Self::PeerUnknown => f.write_str(
                "the server does not say from which address the header with the client's certificate came: in axum, serve \
                 `app.into_make_service_with_connect_info::<SocketAddr>()`. Elsewhere, does each request have a `PeerAddress`?",
            ),
        }
    }
}

impl core::error::Error for CertificateError {}
