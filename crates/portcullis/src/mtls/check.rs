//! Whether who sent a request has the certificate of its token.
use std::borrow::Cow;
use std::sync::OnceLock;

use super::error::CertificateError;
use super::header::{self, CertificateHeaderFault, Form};
use super::settings::{CertificateSource, MtlsRules};
use crate::request::{ClientCertificate, PeerAddress, RequestView};

/// The longest header that is remembered: a certificate with an RSA key of 4096 bits has 3 KB as percent-encoded PEM.
const MAX_KNOWN: usize = 4 * 1024;

/// What a remembered token takes at most for it, for who counts the bytes of a token.
pub(crate) const KNOWN_HEADER: usize = MAX_KNOWN + 64;

/// What a request says of its sender's certificate.
pub(crate) enum ShownCertificate<'r> {
    /// The server's TLS. `None`: it says nothing.
    Tls(Option<ClientCertificate>),
    /// A header, and from whom it came.
    Header { value: HeaderValue<'r>, peer: Option<PeerAddress> },
}

pub(crate) enum HeaderValue<'r> {
    None,
    One(Cow<'r, [u8]>),
    Several,
}

/// A header in which a proxy said the certificate that a token is bound to. It writes the same each time.
#[derive(Default)]
pub(crate) struct KnownHeader(OnceLock<Box<[u8]>>);

impl ShownCertificate<'_> {
    pub(crate) fn into_owned(self) -> ShownCertificate<'static> {
        match self {
            Self::Tls(certificate) => ShownCertificate::Tls(certificate),
            Self::Header { value, peer } => ShownCertificate::Header {
                value: match value {
                    HeaderValue::None => HeaderValue::None,
                    HeaderValue::One(value) => HeaderValue::One(Cow::Owned(value.into_owned())),
                    HeaderValue::Several => HeaderValue::Several,
                },
                peer,
            },
        }
    }
}

impl MtlsRules {
    /// What the source that the policy names says. No other is looked at.
    pub(crate) fn shown<'r>(&'r self, request: &'r impl RequestView) -> ShownCertificate<'r> {
        match &self.source {
            CertificateSource::Tls => ShownCertificate::Tls(request.client_certificate()),
            CertificateSource::Header { name, .. } => {
                let mut values = request.header(name);
                let value = match (values.next(), values.next()) {
                    (None, _) => HeaderValue::None,
                    (Some(value), None) => HeaderValue::One(Cow::Borrowed(value)),
                    (Some(_), Some(_)) => HeaderValue::Several,
                };
                ShownCertificate::Header { value, peer: request.peer() }
            }
        }
    }

    /// Holds the certificate that a token is bound to, if it is bound to one, against that of its sender.
    pub(crate) fn check(
        &self,
        bound_to: Option<[u8; 32]>,
        shown: &ShownCertificate<'_>,
        known: &KnownHeader,
    ) -> Result<(), CertificateError> {
        let Some(expected) = bound_to else {
            return if self.is_required { Err(CertificateError::BindingRequired) } else { Ok(()) };
        };
        let header = self.header(shown)?;
        if header.is_some_and(|(value, _)| known.is(value)) {
            return Ok(());
        }
        match self.digest(shown)? {
            None if header.is_none() && !matches!(shown, ShownCertificate::Tls(_)) => {
                Err(CertificateError::NoHeader)
            }
            None => Err(CertificateError::Missing),
            Some(found) if found != expected => Err(CertificateError::Other),
            Some(_) => {
                if let Some((value, _)) = header {
                    known.remember(value);
                }
                Ok(())
            }
        }
    }

    /// SHA-256 of the sender's certificate. `None`: the client presented none.
    pub(crate) fn digest(
        &self,
        shown: &ShownCertificate<'_>,
    ) -> Result<Option<[u8; 32]>, CertificateError> {
        if let ShownCertificate::Tls(certificate) = shown {
            let certificate = certificate.as_ref().ok_or(CertificateError::Unknown)?;
            return Ok(certificate.sha256().copied());
        }
        let Some((value, form)) = self.header(shown)? else { return Ok(None) };
        header::read(form, value).map_err(CertificateError::Header)
    }

    /// The header of a peer whose word counts. `None`: there is none, or none is looked at.
    fn header<'s>(
        &self,
        shown: &'s ShownCertificate<'_>,
    ) -> Result<Option<(&'s [u8], Form)>, CertificateError> {
        let (
            CertificateSource::Header { form, proxies, .. },
            ShownCertificate::Header { value, peer },
        ) = (&self.source, shown)
        else {
            return Ok(None);
        };
        if matches!(value, HeaderValue::None) {
            return Ok(None);
        }
        if !proxies.have(peer.ok_or(CertificateError::PeerUnknown)?) {
            return Err(CertificateError::UntrustedProxy);
        }
        match value {
            HeaderValue::One(value) => Ok(Some((value, *form))),
            HeaderValue::None | HeaderValue::Several => {
                Err(CertificateError::Header(CertificateHeaderFault::Several))
            }
        }
    }
}

impl KnownHeader {
    fn is(&self, value: &[u8]) -> bool {
        self.0.get().is_some_and(|known| **known == *value)
    }

    fn remember(&self, value: &[u8]) {
        if value.len() <= MAX_KNOWN {
            self.0.get_or_init(|| value.into());
        }
    }
}
