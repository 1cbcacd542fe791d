//! Certificates of clients at a token endpoint (RFC 8705 §3, §4), where there is no access token yet.
use core::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::error::CertificateError;
use super::settings::MtlsRules;
use crate::request::RequestView;

/// Says which certificate a request to a token endpoint shows: of [`Mtls::for_token_endpoint`](super::Mtls::for_token_endpoint).
///
/// ```
/// use portcullis::mtls::{CertificateError, Mtls};
/// use portcullis::request::ClientCertificate;
///
/// let certificates = Mtls::from_tls().for_token_endpoint()?;
///
/// // As a server hands on what its handshake saw.
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(ClientCertificate::presented([0x30, 0x82]));
/// assert!(certificates.of(&request).is_ok_and(|shown| shown.is_some()));
///
/// request.extensions_mut().insert(ClientCertificate::absent());
/// assert_eq!(certificates.of(&request), Ok(None));
///
/// // A server that says nothing is not taken for a client without one.
/// let request = http::Request::new(());
/// assert_eq!(certificates.of(&request), Err(CertificateError::Unknown));
/// # Ok::<(), portcullis::mtls::MtlsFaults>(())
/// ```
#[derive(Clone)]
pub struct TokenEndpointCertificates(Arc<MtlsRules>);

impl TokenEndpointCertificates {
    pub(super) fn new(rules: MtlsRules) -> Self {
        Self(Arc::new(rules))
    }

    /// The certificate that the client of a request presented. `None`: it presented none, by the one place that says it.
    ///
    /// # Errors
    ///
    /// Nobody says which certificate it was ([`CertificateError::is_unavailable`]): answer 503. Or a proxy's header says it, and does
    /// not count or cannot be read: refuse the request. Neither is taken for a client without a certificate.
    pub fn of(
        &self,
        request: &impl RequestView,
    ) -> Result<Option<PresentedCertificate>, CertificateError> {
        let digest = self.0.digest(&self.0.shown(request))?;
        Ok(digest.map(PresentedCertificate))
    }

    /// Whether each client needs a certificate.
    pub fn are_required(&self) -> bool {
        self.0.is_required
    }
}

impl fmt::Debug for TokenEndpointCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpointCertificates")
            .field("are_required", &self.are_required())
            .finish_non_exhaustive()
    }
}

/// The certificate that the client of a request presented. Only [`TokenEndpointCertificates::of`] makes one.
#[derive(Clone, Eq, PartialEq)]
pub struct PresentedCertificate([u8; 32]);

impl PresentedCertificate {
    /// SHA-256 of its DER.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.0
    }

    /// The same in base64url, for the claim `cnf.x5t#S256` of a token (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// Shows nothing of it: it names a person or a machine.
impl fmt::Debug for PresentedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedCertificate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::mtls::{CertificateHeader, Mtls, MtlsFault, ProxyFault};
    use crate::request::ClientCertificate;

    #[test]
    fn all_that_is_wrong_with_the_settings_is_told() {
        let mtls = Mtls::from_header(CertificateHeader::hex_sha256("cookie"));
        let faults = mtls.trusted_proxies(["0.0.0.0/0"]).for_token_endpoint();
        let faults = faults.expect_err("two faults");
        let everybody = MtlsFault::Proxy { at: 0, fault: ProxyFault::Everybody };
        assert!(faults.iter().eq([&everybody, &MtlsFault::Header]), "{faults}");
        assert_eq!(faults.to_string().lines().count(), 2);
    }

    #[test]
    fn a_certificate_is_shown_by_its_thumbprint_and_by_nothing_that_tells_of_it_unasked() {
        let certificates = Mtls::from_tls().required().for_token_endpoint().expect("good settings");
        assert!(certificates.are_required());
        let mut request = http::Request::new(());
        // SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        request.extensions_mut().insert(ClientCertificate::presented("abc"));
        let shown = certificates.of(&request).expect("it is told").expect("there is one");
        assert_eq!(shown.thumbprint(), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        assert_eq!(shown.sha256()[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!(format!("{shown:?}"), "PresentedCertificate { .. }");
    }
}
