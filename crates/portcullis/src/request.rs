//! What verification may see of a request.
use core::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Extensions, Uri};

use crate::signature::sha256;

/// The parts of a request that decide about a token.
///
/// Implemented for [`http::Request`] and [`http::request::Parts`]. A framework with a request type
/// of its own implements it on a newtype, and nothing more. Names cross as text and values as
/// bytes, so that no version of the `http` crate matters.
///
/// ```
/// use portcullis::{Algorithm, RequestView};
/// use portcullis_testkit::TestIssuer;
///
/// /// A request as some platform hands it to a function.
/// struct Event {
///     path: String,
///     headers: Vec<(String, String)>, // names in lower case
/// }
///
/// impl RequestView for Event {
///     fn method(&self) -> &str {
///         "GET"
///     }
///     fn authority(&self) -> Option<&str> {
///         None
///     }
///     fn path(&self) -> Option<&str> {
///         Some(&self.path)
///     }
///     fn query(&self) -> Option<&str> {
///         None
///     }
///     fn header<'a>(
///         &'a self,
///         name: &'a str,
///     ) -> impl Iterator<Item = &'a [u8]> {
///         let fields = self.headers.iter().filter(move |(it, _)| it == name);
///         fields.map(|(_, value)| value.as_bytes())
///     }
/// }
///
/// let issuer = TestIssuer::new("https://id.example");
/// let token = issuer.token(Algorithm::ES256).mint();
/// let mut event = Event { path: "/orders".into(), headers: Vec::new() };
/// assert!(issuer.policy().verify_now(&event).is_err());
///
/// event.headers.push(("authorization".into(), format!("Bearer {token}")));
/// assert!(issuer.policy().verify_now(&event).is_ok());
/// ```
pub trait RequestView {
    /// The method, as it was sent: `GET`.
    fn method(&self) -> &str;

    /// The authority of the request's target, where it has one: always in HTTP/2, in HTTP/1 only
    /// for the absolute form. The `Host` header is asked for otherwise.
    fn authority(&self) -> Option<&str>;

    /// The path that the client asked for: percent-encoded as it was sent, and whole, though a
    /// router that nests others strips a prefix from what it hands on. The absolute form of a
    /// target counts by its path.
    ///
    /// `None`: whoever made the view is not told, as an interceptor of gRPC.
    fn path(&self) -> Option<&str>;

    /// The query, without the `?` and as it was sent.
    fn query(&self) -> Option<&str>;

    /// Every value of the header `name`, which is in lower case.
    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]>;

    /// Who is at the other end of the connection: the client, or the last proxy.
    /// Nothing that a header says of it counts.
    ///
    /// Not implemented: `None`, the address is not known.
    fn peer(&self) -> Option<PeerAddress> {
        None
    }

    /// What the connection's TLS handshake said of a certificate of the client.
    ///
    /// Not implemented: `None`, nobody says whether there is one.
    fn client_certificate(&self) -> Option<ClientCertificate> {
        None
    }

    /// The proof that a layer further out used for this request.
    ///
    /// Not implemented: `None`, and a policy that asks for proofs refuses a request that another one let in before it.
    fn used_proof(&self) -> Option<UsedProof> {
        None
    }
}

impl RequestView for http::request::Parts {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn authority(&self) -> Option<&str> {
        authority(&self.uri)
    }

    fn path(&self) -> Option<&str> {
        Some(self.uri.path())
    }

    fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values(&self.headers, name)
    }

    fn peer(&self) -> Option<PeerAddress> {
        peer(&self.extensions)
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        self.extensions.get().cloned()
    }

    fn used_proof(&self) -> Option<UsedProof> {
        self.extensions.get().cloned()
    }
}

impl<B> RequestView for http::Request<B> {
    fn method(&self) -> &str {
        self.method().as_str()
    }

    fn authority(&self) -> Option<&str> {
        authority(self.uri())
    }

    fn path(&self) -> Option<&str> {
        Some(self.uri().path())
    }

    fn query(&self) -> Option<&str> {
        self.uri().query()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        values(self.headers(), name)
    }

    fn peer(&self) -> Option<PeerAddress> {
        peer(self.extensions())
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        self.extensions().get().cloned()
    }

    fn used_proof(&self) -> Option<UsedProof> {
        self.extensions().get().cloned()
    }
}

fn authority(uri: &Uri) -> Option<&str> {
    uri.authority().map(http::uri::Authority::as_str)
}

#[inline]
fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    // Where nearly every token is: a name that is known need not be parsed.
    let values = match name {
        "authorization" => headers.get_all(AUTHORIZATION),
        name => headers.get_all(name),
    };
    values.into_iter().map(HeaderValue::as_bytes)
}

fn peer(extensions: &Extensions) -> Option<PeerAddress> {
    extensions.get().copied()
}

/// The address at the other end of the connection, as an extension of a request.
///
/// For services of tower, which are not told: whoever accepts the connection adds it to each of
/// its requests. axum's `ConnectInfo<SocketAddr>` and actix-web's own address do without.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum PeerAddress {
    /// It has an IP address, and a port.
    Ip(SocketAddr),
    /// It came over a Unix domain socket, whose peers have no address.
    UnixSocket,
}

impl PeerAddress {
    /// Its IP address, where it has one.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::UnixSocket => None,
        }
    }
}

/// What a TLS handshake said of the client's certificate, as an extension of a request.
///
/// Whoever terminates TLS makes it once for a connection, and adds it to each of its requests: to
/// their extensions in tower and axum, and in actix-web by `HttpServer::on_connect`. Where a
/// connection has no certificate it adds [`absent`](Self::absent), so that this differs from a
/// server that adds nothing.
///
/// ```
/// use portcullis::request::ClientCertificate;
///
/// // `peer_certificates()` of a connection of rustls: the client's own is
/// // first.
/// fn certificate<C: AsRef<[u8]>>(chain: Option<&[C]>) -> ClientCertificate {
///     match chain {
///         Some([leaf, ..]) => ClientCertificate::presented(leaf.as_ref()),
///         _ => ClientCertificate::absent(),
///     }
/// }
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(certificate(Some(&[[0x30, 0x82]])));
/// # use portcullis::RequestView;
/// # assert_eq!(request.client_certificate().unwrap().der(), Some(&[0x30, 0x82][..]));
/// ```
#[derive(Clone, Eq, PartialEq)]
pub struct ClientCertificate(Option<Arc<Presented>>);

#[derive(Eq, PartialEq)]
struct Presented {
    der: Box<[u8]>,
    sha256: [u8; 32],
}

impl ClientCertificate {
    /// The client presented the certificate with this DER, and proved that it has the key.
    ///
    /// The handshake must have checked that proof: a verifier of TLS that takes any signature lets
    /// a client present the certificate of anybody.
    pub fn presented(der: impl AsRef<[u8]>) -> Self {
        let der = der.as_ref();
        Self(Some(Arc::new(Presented { der: der.into(), sha256: sha256(der) })))
    }

    /// The client presented no certificate, or the connection has no TLS.
    pub fn absent() -> Self {
        Self(None)
    }

    /// The DER of the certificate, where there is one.
    pub fn der(&self) -> Option<&[u8]> {
        self.0.as_deref().map(|presented| &*presented.der)
    }

    /// SHA-256 of that DER, where there is a certificate: what `x5t#S256` says in base64url (RFC 8705 §3.1).
    pub fn sha256(&self) -> Option<&[u8; 32]> {
        self.0.as_deref().map(|presented| &presented.sha256)
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It names a person or a machine.
        f.write_str(if self.0.is_some() { "presented" } else { "absent" })
    }
}

/// That a policy used the proof of a request for this very request, as an extension of it. A layer puts it beside the
/// [`Admission`](crate::Admission), so that one further in does not take the proof for one that was used before.
///
/// Only verification makes one.
#[derive(Clone)]
pub struct UsedProof {
    /// The number of the rules that it was held to.
    pub(crate) rules: u64,
    /// The number of the store that remembers it.
    pub(crate) store: u64,
    /// Of the access token.
    pub(crate) token_hash: [u8; 32],
    text: Arc<[u8]>,
}

impl UsedProof {
    pub(crate) fn new((rules, store): (u64, u64), token_hash: [u8; 32], text: &[u8]) -> Self {
        Self { rules, store, token_hash, text: text.into() }
    }

    pub(crate) fn is_of(&self, token_hash: [u8; 32], text: &[u8]) -> bool {
        self.token_hash == token_hash && *self.text == *text
    }
}

/// Shows nothing of it.
impl fmt::Debug for UsedProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsedProof").finish_non_exhaustive()
    }
}

/// The only value of a header; nothing where there are several.
pub(crate) fn single<'a>(request: &'a impl RequestView, name: &'a str) -> Option<&'a [u8]> {
    let mut values = request.header(name);
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &'static str) -> http::Request<()> {
        let mut request = http::Request::new(());
        *request.uri_mut() = Uri::from_static(target);
        request
    }

    /// What both views of a request say of it.
    fn both<T: PartialEq + fmt::Debug>(
        request: http::Request<()>,
        of_request: impl Fn(&http::Request<()>) -> T,
        of_parts: impl Fn(&http::request::Parts) -> T,
    ) -> T {
        let said = of_request(&request);
        assert_eq!(of_parts(&request.into_parts().0), said);
        said
    }

    #[test]
    fn the_path_is_as_it_was_sent_whatever_the_form_of_the_target() {
        for (target, path) in [
            ("/", "/"),
            ("/a//b/", "/a//b/"),
            ("/a/%2E%2e/%2f?q=/b", "/a/%2E%2e/%2f"),
            ("/a/../b", "/a/../b"),
            ("http://api.example/a%20b?q", "/a%20b"),
            ("http://api.example", "/"),
            ("*", "*"),
        ] {
            let found = both(
                request(target),
                |request| RequestView::path(request).map(str::to_owned),
                |parts| RequestView::path(parts).map(str::to_owned),
            );
            assert_eq!(found.as_deref(), Some(path), "{target}");
        }
    }

    #[test]
    fn peer_and_certificate_are_what_the_extensions_say_and_nothing_else() {
        let silent = || {
            let mut request = request("/");
            for (name, value) in [("x-forwarded-for", "192.0.2.1"), ("client-cert", ":AAAA:")] {
                request.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            request
        };
        assert_eq!(both(silent(), RequestView::peer, RequestView::peer), None);
        let certificate = |request| {
            both(request, RequestView::client_certificate, RequestView::client_certificate)
        };
        assert_eq!(certificate(silent()), None);

        let mut told = silent();
        let address = SocketAddr::from(([198, 51, 100, 7], 4711));
        let address = PeerAddress::Ip(address);
        told.extensions_mut().insert(address);
        assert_eq!(both(told, RequestView::peer, RequestView::peer), Some(address));

        for said in [ClientCertificate::presented(*b"DER"), ClientCertificate::absent()] {
            let mut told = silent();
            told.extensions_mut().insert(said.clone());
            assert_eq!(certificate(told), Some(said));
        }
    }

    #[test]
    fn a_certificate_is_not_printed() {
        let certificate = ClientCertificate::presented(*b"alice");
        assert_eq!(certificate.der(), Some(&b"alice"[..]));
        assert_eq!(format!("{certificate:?}"), "presented");
        assert_eq!(ClientCertificate::absent().der(), None);
    }
}
