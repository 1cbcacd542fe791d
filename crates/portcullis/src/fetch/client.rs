//! The default HTTP client: reqwest with rustls.
use core::fmt;
use core::time::Duration;
use std::sync::OnceLock;

use super::http::{HttpClient, HttpError, HttpFuture, HttpRequest, HttpResponse};

/// What key servers see of us.
const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// [`HttpClient`] by reqwest: made by [`client`](crate::reqwest::client), and what a key set uses
/// that is given no other.
#[derive(Clone)]
pub struct ReqwestClient(::reqwest::Client);

impl ReqwestClient {
    pub(crate) fn new(builder: ::reqwest::ClientBuilder) -> Result<Self, ::reqwest::Error> {
        // An address that redirects is not the one that was configured, and may lead inside.
        let builder = builder.redirect(::reqwest::redirect::Policy::none()).referer(false);
        builder.build().map(Self)
    }
}

impl fmt::Debug for ReqwestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestClient").finish_non_exhaustive()
    }
}

impl HttpClient for ReqwestClient {
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
    if error.is_timeout() {
        return HttpError::Timeout;
    }
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
    HttpError::Failed(reason)
}

/// A client that is made when it is first used, by the thread that fetches: it reads the
/// certificates of the operating system.
pub(crate) struct DefaultClient {
    connect_timeout: Duration,
    proxy: Option<String>,
    secure: Made,
    /// For plain `http`, which a system without any certificates can do as well.
    plain: Made,
}

type Made = OnceLock<Result<ReqwestClient, HttpError>>;

impl DefaultClient {
    pub(super) fn new(connect_timeout: Duration, proxy: Option<String>) -> Self {
        Self { connect_timeout, proxy, secure: OnceLock::new(), plain: OnceLock::new() }
    }

    pub(super) fn is_of(&self, connect_timeout: Duration, proxy: Option<&str>) -> bool {
        self.connect_timeout == connect_timeout && self.proxy.as_deref() == proxy
    }

    fn make(
        &self,
        finish: impl FnOnce(::reqwest::ClientBuilder) -> ::reqwest::ClientBuilder,
    ) -> Result<ReqwestClient, HttpError> {
        let builder = ::reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(self.connect_timeout)
            // The environment does not decide where keys come from.
            .no_proxy()
            // Fetches are minutes apart.
            .pool_idle_timeout(Duration::from_secs(5));
        let builder = match &self.proxy {
            Some(proxy) => builder.proxy(::reqwest::Proxy::all(proxy).map_err(failed)?),
            None => builder,
        };
        ReqwestClient::new(finish(builder)).map_err(failed)
    }
}

impl fmt::Debug for DefaultClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DefaultClient").finish_non_exhaustive()
    }
}

impl HttpClient for DefaultClient {
    fn get(&self, request: HttpRequest) -> HttpFuture {
        let has_secure_proxy = self.proxy.as_ref().is_some_and(|own| own.starts_with("https:"));
        let client = if request.url.starts_with("http:") && !has_secure_proxy {
            self.plain.get_or_init(|| self.make(|builder| builder.tls_certs_only([])))
        } else {
            self.secure.get_or_init(|| self.make(core::convert::identity))
        };
        match client {
            Ok(client) => client.get(request),
            Err(error) => Box::pin(core::future::ready(Err(error.clone()))),
        }
    }
}
