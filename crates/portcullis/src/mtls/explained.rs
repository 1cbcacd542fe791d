//! What explanations show of certificates: what a policy names, and what a request has of it.
use super::check::{HeaderValue, ShownCertificate};
use super::header::{self, CertificateHeaderFault, Form};
use super::settings::{CertificateSource, MtlsRules};
use crate::request::PeerAddress;

/// Who says which certificate a client presented, by the policy.
pub(crate) enum NamedSource<'r> {
    Tls,
    Header { name: &'r str, form: Form, proxies: Vec<String>, has_unix_socket: bool },
}

/// What a request has of it, whoever sent it.
pub(crate) enum Came {
    /// By TLS. `None`: nobody says. Within, `None`: the client presented none.
    Tls(Option<Option<[u8; 32]>>),
    Header {
        /// How many values there are: two stand for more.
        values: usize,
        peer: Option<PeerAddress>,
        is_listed: bool,
        /// Of a single value.
        read: Option<ReadHeader>,
    },
}

/// A header of one value.
pub(crate) struct ReadHeader {
    /// In bytes.
    pub(crate) length: usize,
    /// What it says: SHA-256 of a certificate, or that the client presented none.
    pub(crate) says: Result<Option<[u8; 32]>, CertificateHeaderFault>,
}

impl MtlsRules {
    pub(crate) fn named_source(&self) -> NamedSource<'_> {
        match &self.source {
            CertificateSource::Tls => NamedSource::Tls,
            CertificateSource::Header { name, form, proxies } => NamedSource::Header {
                name,
                form: *form,
                proxies: proxies.listed().collect(),
                has_unix_socket: proxies.have_unix_socket(),
            },
        }
    }

    pub(crate) fn came(&self, shown: &ShownCertificate<'_>) -> Came {
        match (&self.source, shown) {
            (
                CertificateSource::Header { form, proxies, .. },
                ShownCertificate::Header { value, peer },
            ) => Came::Header {
                values: match value {
                    HeaderValue::None => 0,
                    HeaderValue::One(_) => 1,
                    HeaderValue::Several => 2,
                },
                peer: *peer,
                is_listed: peer.is_some_and(|peer| proxies.have(peer)),
                read: match value {
                    HeaderValue::One(value) => {
                        Some(ReadHeader { length: value.len(), says: header::read(*form, value) })
                    }
                    HeaderValue::None | HeaderValue::Several => None,
                },
            },
            (_, ShownCertificate::Tls(said)) => {
                Came::Tls(said.as_ref().map(|said| said.sha256().copied()))
            }
            // What was shown is what this source names.
            (CertificateSource::Tls, ShownCertificate::Header { .. }) => Came::Tls(None),
        }
    }
}
