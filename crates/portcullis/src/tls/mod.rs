//! The certificate that a client presented to this server's own TLS, by rustls (feature `rustls`).
//!
//! A token may be bound to a client's certificate (RFC 8705 §3). For that the handshake must ask for a certificate,
//! check that the client has its key, and tell each request. Three things here do so:
//!
//! 1. [`AnyClientCertificate`] asks, and checks the handshake's signature under the certificate's key.
//! 2. [`check`] tries a server's configuration before it serves: does it ask, and does it check the signature?
//! 3. [`client_certificate`] is what a finished handshake says to a request.
//!
//! The servers of axum and actix-web are wired by `portcullis_axum::tls` and `portcullis_actix::tls`, which call the
//! last two.
//!
//! # What is checked, and what is not
//!
//! A binding needs no chain of trust: the token names the hash of one certificate, and whoever has that certificate's
//! key is the client that the token was issued to. "In order to use the certificate as a proof-of-possession mechanism
//! it is not necessary for the resource server to validate the trust chain" (RFC 8705 §6.2). So
//! [`AnyClientCertificate`] takes self-signed certificates, and those that have expired or were revoked. It refuses a
//! client that does not have the key.
//!
//! Where certificates also decide who may connect at all, use
//! [`WebPkiClientVerifier`](rustls::server::WebPkiClientVerifier) of rustls with your roots. It checks the same
//! signature, and everything else here works with it alike.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use portcullis::tls::{self, AnyClientCertificate};
//! use rustls::ServerConfig;
//! use rustls::pki_types::{CertificateDer, PrivateKeyDer};
//!
//! fn config(
//!     chain: Vec<CertificateDer<'static>>,
//!     key: PrivateKeyDer<'static>,
//! ) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error>> {
//!     let builder = ServerConfig::builder();
//!     let any = AnyClientCertificate::new(builder.crypto_provider());
//!     let config = builder
//!         .with_client_cert_verifier(Arc::new(any.optional()))
//!         .with_single_cert(chain, key)?;
//!     let config = Arc::new(config);
//!     tls::check(&config)?;
//!     Ok(config)
//! }
//! # let key = rcgen::generate_simple_self_signed(["api.example".to_owned()])?;
//! # config(vec![key.cert.der().clone()], key.signing_key.into())?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # A connection that is kept
//!
//! The certificate of a connection is that of its handshake, for as long as it is open. A client that renews its
//! certificate needs a new token (RFC 8705 §6.3) and a new connection. A session that is resumed keeps the certificate
//! that it began with. TLS is not asked again in between: rustls offers neither renegotiation nor authentication after
//! the handshake, which RFC 8705 §3 leaves out as well.
mod any;
mod check;
#[cfg(test)]
mod tests;

use rustls::ServerConnection;

pub use self::any::{AnyClientCertificate, ChainTooLong};
pub use self::check::{TlsFault, check};
use crate::request::ClientCertificate;

/// What a connection's handshake says of the client's certificate: for each request of the connection, as its extension.
///
/// A certificate counts only if its verifier checked the handshake's signature, which [`check`] tries. Of a chain, it is
/// the first: the client's own.
///
/// A session that is resumed says what its first handshake said. `None`: the handshake is not over, and nothing can be
/// told yet.
///
/// ```
/// use portcullis::tls;
/// use rustls::ServerConnection;
///
/// // For whoever accepts connections and wraps a service for each of them.
/// fn tell<B>(connection: &ServerConnection, request: &mut http::Request<B>) {
///     if let Some(certificate) = tls::client_certificate(connection) {
///         request.extensions_mut().insert(certificate);
///     }
/// }
/// # let _ = tell::<()>;
/// ```
pub fn client_certificate(connection: &ServerConnection) -> Option<ClientCertificate> {
    if connection.is_handshaking() {
        return None;
    }
    Some(match connection.peer_certificates() {
        Some([own, ..]) => ClientCertificate::presented(own.as_ref()),
        _ => ClientCertificate::absent(),
    })
}
