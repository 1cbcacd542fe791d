//! Tokens that are bound to a certificate (RFC 8705): wrong bindings, a client, and whether an app holds tokens to their certificates.
mod bad;
mod client;
#[cfg(all(test, feature = "actix", feature = "axum"))]
mod tests;
#[cfg(any(feature = "actix", feature = "tower"))]
mod walk;

pub use self::bad::BadBinding;
pub use self::client::MtlsClient;
#[cfg(any(feature = "actix", feature = "tower"))]
pub(crate) use self::walk::{Connection, walk};
#[cfg(any(feature = "actix", feature = "tower"))]
pub use self::walk::{MtlsRequest, PresentedCertificate, assert_mtls_over};
