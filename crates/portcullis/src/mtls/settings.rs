//! What a policy asks of the client's certificate.
use core::fmt;

use http::header::{AUTHORIZATION, COOKIE, HeaderName};

use super::endpoint::TokenEndpointCertificates;
use super::header::{CertificateHeader, Form};
use super::proxies::{Proxies, ProxyFault, read_range};
use crate::debug_as_displayed::list_of_faults;

/// Takes tokens that are bound to a certificate of their sender (RFC 8705 §3): for [`PolicyBuilder::mtls`](crate::PolicyBuilder::mtls).
///
/// A token names the certificate in `cnf` as `x5t#S256`, and is let in where the client presented that one in its TLS handshake. The
/// handshake has shown that the client has the key. Who issued the certificate and when it ends is not looked at: RFC 8705 §6.2 leaves that to
/// the authorization server, which bound the token to it.
///
/// There is one place that says which certificate it was, and it is never a second one that is asked instead.
///
/// ```
/// use portcullis::mtls::{CertificateHeader, Mtls};
///
/// // The service's own TLS.
/// let own = Mtls::from_tls();
/// // A proxy that terminates TLS, at one of these addresses.
/// let proxied = Mtls::from_header(CertificateHeader::client_cert())
///     .trusted_proxies(["10.0.0.0/24"]);
/// # let _ = (own, proxied);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub struct Mtls {
    /// `None`: the server's own TLS.
    header: Option<CertificateHeader>,
    proxies: Vec<String>,
    unix_socket: bool,
    pub(crate) is_required: bool,
}

impl Mtls {
    /// What the service's own TLS handshake saw: the [`ClientCertificate`](crate::request::ClientCertificate) of each request. A server
    /// that passes nothing on is not taken for a client without a certificate: a bound token is then answered with 503.
    pub fn from_tls() -> Self {
        Self { header: None, proxies: Vec::new(), unix_socket: false, is_required: false }
    }

    /// What a proxy that terminates TLS writes into a header. It counts only where the peer of the connection is one of
    /// [`trusted_proxies`](Self::trusted_proxies), without which the policy is not built.
    ///
    /// The proxy has to replace or remove the header that its own client sent: no policy can tell one from the other.
    pub fn from_header(header: CertificateHeader) -> Self {
        Self { header: Some(header), ..Self::from_tls() }
    }

    /// Addresses of proxies, and ranges of them: `10.0.0.7`, `10.0.0.0/24`, `2001:db8::/64`. Up to 64, and called again, these as well.
    ///
    /// The peer of the connection counts, and nothing that a header such as `X-Forwarded-For` says of it. The range of all addresses is
    /// refused.
    ///
    /// If you do not call it: nobody's header counts, and a policy that goes by one is not built.
    pub fn trusted_proxies(mut self, ranges: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.proxies.extend(ranges.into_iter().map(Into::into));
        self
    }

    /// The header counts as well where it came over a Unix domain socket ([`PeerAddress::UnixSocket`](crate::request::PeerAddress)): who may
    /// connect there, the file system says.
    ///
    /// If you do not call it: it does not count there.
    pub fn trusted_unix_socket(mut self) -> Self {
        self.unix_socket = true;
        self
    }

    /// Refuses tokens that are bound to no certificate.
    ///
    /// If you do not call it: they pass as bearer tokens, or with a proof of another key where the policy takes these.
    pub fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// Says which certificates clients of a token endpoint present, where there is no token yet that one could be held against.
    ///
    /// # Errors
    ///
    /// What is wrong with the settings.
    pub fn for_token_endpoint(self) -> Result<TokenEndpointCertificates, MtlsFaults> {
        self.compile().map(TokenEndpointCertificates::new).map_err(MtlsFaults)
    }

    /// What is wrong with it, or what tokens are held to.
    pub(crate) fn compile(self) -> Result<MtlsRules, Vec<MtlsFault>> {
        let Self { header, proxies, unix_socket, is_required } = self;
        let mut faults = Vec::new();
        let mut ranges = Vec::new();
        for (at, range) in proxies.iter().enumerate() {
            match read_range(range) {
                Ok(range) => ranges.push(range),
                Err(fault) => faults.push(MtlsFault::Proxy { at, fault }),
            }
        }
        let source = match header {
            None => {
                if unix_socket || !proxies.is_empty() {
                    faults.push(MtlsFault::ProxiesOfTls);
                }
                CertificateSource::Tls
            }
            Some(CertificateHeader { name, form }) => {
                if !Proxies::count_is_good(proxies.len(), unix_socket) {
                    faults.push(MtlsFault::Proxies { found: proxies.len() });
                }
                let is_other = [AUTHORIZATION.as_str(), COOKIE.as_str(), "dpop"].contains(&&*name);
                if is_other || HeaderName::from_bytes(name.as_bytes()).is_err() {
                    faults.push(MtlsFault::Header);
                }
                CertificateSource::Header {
                    name: name.into(),
                    form,
                    proxies: Proxies::new(ranges, unix_socket),
                }
            }
        };
        if faults.is_empty() { Ok(MtlsRules { source, is_required }) } else { Err(faults) }
    }
}

/// What a policy holds against certificates.
pub(crate) struct MtlsRules {
    pub(super) source: CertificateSource,
    pub(crate) is_required: bool,
}

/// Who says which certificate a client presented.
pub(super) enum CertificateSource {
    Tls,
    Header { name: Box<str>, form: Form, proxies: Proxies },
}

/// What is wrong with [`Mtls`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MtlsFault {
    /// A header is named, and nobody whose header counts, or too many.
    Proxies {
        /// How many there are.
        found: usize,
    },
    /// Proxies are listed, and the certificate is that of the service's own TLS.
    ProxiesOfTls,
    /// An entry is not the address of a proxy.
    Proxy {
        /// Its place, from 0.
        at: usize,
        /// Why.
        fault: ProxyFault,
    },
    /// The header's name is not one, or is that of a header with another meaning.
    Header,
}

impl fmt::Display for MtlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proxies { found: 0 } => f.write_str(
                "the client's certificate is read from a header, and no proxy is listed whose header counts: anybody could write it. List them in `trusted_proxies`, such as [\"10.0.0.0/24\"]",
            ),
            Self::Proxies { found } => {
                write!(f, "there are {found} addresses of trusted proxies, and at most 64 are accepted: write ranges")
            }
            Self::ProxiesOfTls => f.write_str(
                "proxies are listed whose header counts, and the certificate is that of the service's own TLS: name the header with `Mtls::from_header`, or leave the proxies out",
            ),
            Self::Proxy { at, fault } => write!(f, "trusted proxy {}: {fault}", at + 1),
            Self::Header => f.write_str(
                "the header with the client's certificate has a name that no header has, or that of `Authorization`, `Cookie` or `DPoP`: say the one that the proxy writes",
            ),
        }
    }
}

impl core::error::Error for MtlsFault {}

list_of_faults! {
    /// All that is wrong with an [`Mtls`] that was made for a token endpoint.
    MtlsFaults of MtlsFault
}
