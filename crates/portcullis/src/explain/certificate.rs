//! Whether who sent a token presented the certificate that it is bound to (RFC 8705), check by check.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::words::listed;
use super::{CertificateFacts, SenderCheck, reconcile};
use crate::mtls::{
    Came, CertificateError, CertificateHeaderFault, KnownHeader, MtlsRules, NamedSource,
    ReadHeader, ShownCertificate,
};
use crate::request::PeerAddress;
use crate::token::Binding;

/// The names of the checks, in the order in which they are told.
mod name {
    pub(super) const BINDING: &str = "cnf";
    pub(super) const SOURCE: &str = "source";
    pub(super) const PEER: &str = "peer";
    pub(super) const FORM: &str = "form";
    pub(super) const THUMBPRINT: &str = "x5t#S256";
}

impl CertificateFacts {
    /// `binding`: that of the token, which need not be one that holds.
    pub(super) fn of(
        rules: &MtlsRules,
        binding: Option<&Binding>,
        shown: &ShownCertificate<'_>,
    ) -> Self {
        let bound_to = binding.and_then(|binding| binding.certificate);
        let mut looked = Look { is_asked: bound_to.is_some(), checks: Vec::new() };
        let needs = if rules.is_required {
            "`x5t#S256`: the policy requires it"
        } else {
            "nothing, or `x5t#S256`"
        };
        let has = match (bound_to, binding) {
            (Some(digest), _) => Some(format!("x5t#S256 {}", encoded(digest))),
            (None, Some(_)) => Some("no `x5t#S256` that is SHA-256 in base64url".to_owned()),
            (None, None) => None,
        };
        let is_bound_enough = bound_to.is_some() || !rules.is_required;
        let binding = SenderCheck::new(name::BINDING, needs.to_owned(), has, Some(is_bound_enough));
        looked.checks.push(binding);
        let found = match (rules.named_source(), rules.came(shown)) {
            (
                NamedSource::Header { name, form, proxies, has_unix_socket },
                Came::Header { values, peer, is_listed, read },
            ) => {
                looked.check_source(&format!("one header `{name}`"), values);
                looked.check_peer(&proxies, has_unix_socket, peer, is_listed, values);
                looked.check_form(form.words(), read)
            }
            (_, came) => looked.check_tls(match came {
                Came::Tls(said) => said,
                Came::Header { .. } => None,
            }),
        };
        let needs = bound_to
            .map_or_else(|| "the certificate that the token is bound to".to_owned(), encoded);
        let met = bound_to.is_some() && bound_to == found;
        looked.say(name::THUMBPRINT, needs, found.map(encoded), Some(met));
        let error = rules.check(bound_to, shown, &KnownHeader::default()).err();
        reconcile(&mut looked.checks, error.map(|error| (Some(check_of(error)), error)));
        Self { checks: looked.checks }
    }
}

/// A look at a certificate. What it finds is told, and decides nothing.
struct Look {
    /// Whether the token is bound to one. Of another, nobody asks who sent it.
    is_asked: bool,
    checks: Vec<SenderCheck>,
}

impl Look {
    fn say(&mut self, check: &'static str, needs: String, has: Option<String>, met: Option<bool>) {
        let met = met.filter(|_| self.is_asked);
        self.checks.push(SenderCheck::new(check, needs, has, met));
    }

    /// What the service's own handshake saw.
    fn check_tls(&mut self, said: Option<Option<[u8; 32]>>) -> Option<[u8; 32]> {
        let has = said.map(|said| match said {
            Some(_) => "the client presented one",
            None => "the client presented none",
        });
        let needs = "what the service's own TLS handshake saw".to_owned();
        self.say(name::SOURCE, needs, has.map(str::to_owned), Some(said.is_some()));
        said.flatten()
    }

    fn check_source(&mut self, header: &str, values: usize) {
        let has = ["none", "one", "several"][values.min(2)];
        self.say(name::SOURCE, header.to_owned(), Some(has.to_owned()), Some(values < 2));
    }

    /// Whether the word of who sent the header counts.
    fn check_peer(
        &mut self,
        proxies: &[String],
        has_unix_socket: bool,
        peer: Option<PeerAddress>,
        is_listed: bool,
        values: usize,
    ) {
        let unix_socket = "a Unix domain socket";
        let needs = match (proxies, has_unix_socket) {
            ([], _) => unix_socket.to_owned(),
            (proxies, true) => format!("{}, or {unix_socket}", listed(proxies)),
            (proxies, false) => listed(proxies),
        };
        let has = peer.map(|peer| match peer {
            // As ranges are compared.
            PeerAddress::Ip(address) => address.ip().to_canonical().to_string(),
            PeerAddress::UnixSocket => unix_socket.to_owned(),
        });
        // Without a header, nobody is believed.
        let met = Some(is_listed).filter(|_| values > 0);
        self.say(name::PEER, needs, has, met);
    }

    /// What the header says.
    fn check_form(&mut self, needs: &str, read: Option<ReadHeader>) -> Option<[u8; 32]> {
        let (has, met) = match &read {
            None => (None, None),
            Some(ReadHeader { length, says }) => match says {
                Ok(None) => (Some("nothing: the client presented none".to_owned()), Some(true)),
                Ok(Some(_)) => (Some(format!("{length} bytes")), Some(true)),
                Err(fault) => (Some(format!("{length} bytes: {fault}")), Some(false)),
            },
        };
        self.say(name::FORM, needs.to_owned(), has, met);
        read.and_then(|read| read.says.ok().flatten())
    }
}

/// The check that an error is of.
fn check_of(error: CertificateError) -> &'static str {
    match error {
        CertificateError::BindingRequired | CertificateError::NoRequest => name::BINDING,
        CertificateError::Unknown | CertificateError::Header(CertificateHeaderFault::Several) => {
            name::SOURCE
        }
        CertificateError::UntrustedProxy | CertificateError::PeerUnknown => name::PEER,
        CertificateError::Header(_) => name::FORM,
        CertificateError::Missing | CertificateError::NoHeader | CertificateError::Other => {
            name::THUMBPRINT
        }
    }
}

fn encoded(digest: [u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(digest)
}
