//! Fetching keys by a client of your own that is made with the `reqwest` crate.
use crate::fetch::ReqwestClient;

/// Makes an HTTP client for [`RemoteJwksOptions::client`](crate::remote::RemoteJwksOptions::client)
/// of a builder that knows your certificate authority, client certificate or proxy. Redirects are
/// switched off.
///
/// ```no_run
/// use std::time::Duration;
/// use portcullis::RemoteJwks;
///
/// let authority = reqwest::Certificate::from_pem(&std::fs::read("/etc/ssl/private-ca.pem")?)?;
/// let client = portcullis::reqwest::client(
///     reqwest::Client::builder()
///         .tls_certs_only([authority])
///         .connect_timeout(Duration::from_secs(2))
///         .no_proxy(),
/// )?;
/// let keys = RemoteJwks::discovery().client(client);
/// # let _ = keys;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The builder's.
pub fn client(builder: ::reqwest::ClientBuilder) -> Result<ReqwestClient, ::reqwest::Error> {
    ReqwestClient::new(builder)
}
