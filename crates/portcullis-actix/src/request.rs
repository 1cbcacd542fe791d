use core::fmt;

use actix_web::{HttpMessage, HttpRequest};
use portcullis::RequestView;
use portcullis::request::{ClientCertificate, PeerAddress, UsedProof};

/// A request of actix-web, as the policy sees it: for calls of [`Policy::verify`](portcullis::Policy::verify)
/// and its like by hand, `policy.verify(&ActixRequest(&request))`.
///
/// A client's certificate is what an extension of the request says, and otherwise what `HttpServer::on_connect` has
/// put among the data of the connection, as `portcullis_actix::tls` does (feature `rustls`). Call `on_connect` before
/// `bind`: afterwards, it has no effect. Where TLS is not by rustls, the callback inserts a [`ClientCertificate`]:
///
/// ```
/// use actix_web::{App, HttpServer};
/// use portcullis_actix::portcullis::request::ClientCertificate;
///
/// # fn certificate(_: &dyn std::any::Any) -> ClientCertificate { ClientCertificate::absent() }
/// # fn server() {
/// let server = HttpServer::new(App::new).on_connect(|connection, data| {
///     data.insert::<ClientCertificate>(certificate(connection));
/// });
/// # let _ = server; }
/// ```
#[derive(Clone, Copy)]
pub struct ActixRequest<'a>(pub &'a HttpRequest);

// actix-web speaks version 0.2 of the `http` crate: names cross as text, values as bytes.
impl RequestView for ActixRequest<'_> {
    fn method(&self) -> &str {
        self.0.method().as_str()
    }

    fn authority(&self) -> Option<&str> {
        self.0.uri().authority().map(|authority| authority.as_str())
    }

    fn path(&self) -> Option<&str> {
        // Scopes match by parts of it, and leave it whole.
        Some(self.0.uri().path())
    }

    fn query(&self) -> Option<&str> {
        self.0.uri().query()
    }

    fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.headers().get_all(name).map(|value| value.as_bytes())
    }

    fn peer(&self) -> Option<PeerAddress> {
        // actix-web says nothing of who comes over a Unix domain socket: `on_connect` may.
        let of_connection = || self.0.conn_data().copied();
        self.0.peer_addr().map(PeerAddress::Ip).or_else(of_connection)
    }

    fn client_certificate(&self) -> Option<ClientCertificate> {
        let of_request = self.0.extensions().get().cloned();
        of_request.or_else(|| self.0.conn_data().cloned())
    }

    fn used_proof(&self) -> Option<UsedProof> {
        self.0.extensions().get().cloned()
    }
}

impl fmt::Debug for ActixRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The request holds the token.
        f.debug_struct("ActixRequest").finish_non_exhaustive()
    }
}
