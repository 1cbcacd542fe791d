//! Tokens that only the holder of a certificate can use (RFC 8705).
mod check;
mod endpoint;
mod error;
#[cfg(feature = "explain")]
mod explained;
mod header;
mod proxies;
mod settings;

pub(crate) use self::check::{KNOWN_HEADER, KnownHeader, ShownCertificate};
pub use self::endpoint::{PresentedCertificate, TokenEndpointCertificates};
pub use self::error::CertificateError;
#[cfg(feature = "explain")]
pub(crate) use self::explained::{Came, NamedSource, ReadHeader};
pub use self::header::{CertificateHeader, CertificateHeaderFault};
pub use self::proxies::ProxyFault;
pub(crate) use self::settings::MtlsRules;
pub use self::settings::{Mtls, MtlsFault, MtlsFaults};
