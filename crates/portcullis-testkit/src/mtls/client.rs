//! A client with a certificate.
use core::fmt;
use std::net::IpAddr;

use portcullis::mtls::CertificateHeader;

#[cfg(any(feature = "actix", feature = "tower"))]
use super::BadBinding;
use crate::TokenBuilder;

/// A client with a certificate, to which its tokens are bound (RFC 8705), and the way of its requests. **For tests only.**
///
/// It sends nothing. `assert_mtls` of the modules `tower`, `axum` and `actix` asks an app in its name, and
/// `assert_mtls_over` does over connections of your own.
///
/// ```
/// use portcullis::Algorithm;
/// use portcullis::mtls::CertificateHeader;
/// use portcullis_testkit::{MtlsClient, TestIssuer};
///
/// let issuer = TestIssuer::new("https://id.example");
/// let token = issuer.token(Algorithm::ES256).scope("orders:read");
/// // Its app ends TLS itself.
/// let direct = MtlsClient::new(token.clone(), b"DER of a certificate");
/// // A proxy at this address does.
/// let proxied = MtlsClient::new(token, b"DER of a certificate")
///     .behind_proxy(CertificateHeader::client_cert(), [10, 0, 0, 7]);
/// # let _ = (direct, proxied);
/// ```
#[derive(Clone)]
#[must_use]
pub struct MtlsClient {
    token: TokenBuilder,
    pub(super) der: Vec<u8>,
    pub(super) proxy: Option<(CertificateHeader, IpAddr)>,
}

impl MtlsClient {
    /// A client with the certificate of this DER. `token` may use the routes; it is bound to the certificate here.
    ///
    /// In front of an app within the process, nobody reads the certificate: any bytes will do.
    pub fn new(token: TokenBuilder, der: impl AsRef<[u8]>) -> Self {
        Self { token, der: der.as_ref().to_vec(), proxy: None }
    }

    /// Its requests come through a proxy at this address, which writes this header: what the policy has by
    /// [`Mtls::from_header`](portcullis::mtls::Mtls::from_header) and
    /// [`trusted_proxies`](portcullis::mtls::Mtls::trusted_proxies).
    ///
    /// When not called: the app ends TLS itself, as by [`Mtls::from_tls`](portcullis::mtls::Mtls::from_tls).
    pub fn behind_proxy(self, header: CertificateHeader, proxy: impl Into<IpAddr>) -> Self {
        Self { proxy: Some((header, proxy.into())), ..self }
    }

    /// Its token.
    #[must_use]
    pub fn token(&self) -> String {
        self.token.clone().without("cnf").bound_to_certificate(&self.der).mint()
    }

    /// A token that is bound to its certificate wrongly.
    #[cfg(any(feature = "actix", feature = "tower"))]
    pub(super) fn bad_token(&self, fault: BadBinding) -> String {
        fault.bind(self.token.clone(), &self.der).mint()
    }
}

/// Shows no token.
impl fmt::Debug for MtlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MtlsClient").field("proxy", &self.proxy).finish_non_exhaustive()
    }
}
