//! The HTTP client that comes with the crate: reqwest with rustls.
mod builder;
mod fault;

use core::fmt;
use core::time::Duration;
use std::sync::OnceLock;

pub use self::builder::ClientBuilder;
use self::builder::Roots;
pub use self::fault::{ClientError, ClientFault, PemFault};
use super::http::{HttpClient, HttpError, HttpFuture, HttpRequest, HttpResponse};

/// The [`HttpClient`] that comes with the crate, made to order: for a private certificate authority, a
/// client certificate, or a proxy.
///
/// ```no_run
/// use portcullis::RemoteJwks;
/// use portcullis::fetch::Client;
///
/// let client = Client::builder()
///     .root_certificates(std::fs::read("/etc/ssl/private-ca.pem")?)
///     .client_certificate(
///         std::fs::read("/etc/ssl/tls.crt")?,
///         std::fs::read("/etc/ssl/tls.key")?,
///     )
///     .proxy("http://proxy.internal:3128")
///     .build()?;
/// let keys = RemoteJwks::discovery().client(client);
/// # let _ = keys;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// It is reqwest with rustls. Redirects are not followed, and the environment (`HTTPS_PROXY`) does not count.
/// Cheap to clone: clones share their connections.
#[derive(Clone)]
pub struct Client(::reqwest::Client);

impl Client {
    /// For what the default client does not do.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl HttpClient for Client {
    fn get(&self, request: HttpRequest) -> HttpFuture {
        let HttpRequest { url, headers, max_bytes, timeout } = request;
        let mut get = self.0.get(url).timeout(timeout);
        for (name, value) in headers {
            get = get.header(name, value);
        }
        Box::pin(async move {
            let mut response = get.send().await.map_err(failed)?;
            let headers = response.headers().iter().filter_map(|(name, value)| {
                Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
            });
            let headers = headers.collect();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(failed)? {
                if body.len() + chunk.len() > max_bytes {
                    return Err(HttpError::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(HttpResponse { status: response.status().as_u16(), headers, body })
        })
    }
}

fn failed(error: ::reqwest::Error) -> HttpError {
    if error.is_timeout() { HttpError::Timeout } else { HttpError::Failed(reason(error)) }
}

fn reason(error: ::reqwest::Error) -> String {
    // The cause is what an operator needs, such as "certificate has expired". The address is
    // said by whoever reports this.
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = core::error::Error::source(&error);
    while let Some(cause) = source {
        reason.push_str(": ");
        reason.push_str(&cause.to_string());
        source = cause.source();
    }
    reason
}

/// What fetches where no client is given. Made when it is first used, by the thread that fetches: it
/// reads the certificates of the operating system.
pub(crate) struct DefaultClient {
    options: ClientBuilder,
    secure: Made,
    /// For plain `http`, which a system without any certificates can do as well.
    plain: Made,
}

type Made = OnceLock<Result<Client, HttpError>>;

impl DefaultClient {
    pub(super) fn new(connect_timeout: Duration, proxy: Option<&str>) -> Self {
        let options = Client::builder().connect_timeout(connect_timeout);
        let options = match proxy {
            Some(proxy) => options.proxy(proxy),
            None => options,
        };
        Self { options, secure: OnceLock::new(), plain: OnceLock::new() }
    }

    pub(super) fn is_of(&self, connect_timeout: Duration, proxy: Option<&str>) -> bool {
        let ClientBuilder { connect_timeout: own, proxy: own_proxy, .. } = &self.options;
        *own == connect_timeout && own_proxy.as_deref() == proxy
    }

    fn make(&self, roots: Roots) -> Result<Client, HttpError> {
        self.options.finish(roots, None).map_err(failed)
    }
}

impl fmt::Debug for DefaultClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultClient").finish_non_exhaustive()
    }
}

impl HttpClient for DefaultClient {
    fn get(&self, request: HttpRequest) -> HttpFuture {
        let proxy = self.options.proxy.as_deref();
        let has_secure_proxy = proxy.is_some_and(|proxy| proxy.starts_with("https:"));
        let client = if request.url.starts_with("http:") && !has_secure_proxy {
            self.plain.get_or_init(|| self.make(Roots::Only(Vec::new())))
        } else {
            self.secure.get_or_init(|| self.make(Roots::System))
        };
        match client {
            Ok(client) => client.get(request),
            Err(error) => Box::pin(core::future::ready(Err(error.clone()))),
        }
    }
}
