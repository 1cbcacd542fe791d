//! Fetching over HTTP, for key sets (feature `remote-jwks`) and status lists (feature `status-list`).
//!
//! [`Client`] is the HTTP client that comes with the crate, for a private certificate authority, a client
//! certificate or a proxy; [`HttpClient`] is the trait for any other.
//!
//! Whatever client is used: nothing is fetched from plain `http` but loopback and hosts that are named by
//! [`dangerous::allow_http`](crate::dangerous::allow_http), no redirect is followed, and an answer that is too
//! long or comes too late is none. All fetches of a program run on one thread of their own.
mod address;
mod client;
mod error;
mod fault;
mod http;
mod thread;

use core::time::Duration;
use std::time::SystemTime;

use url::Url;

pub use self::address::{AddressFault, AllowHttp};
pub(crate) use self::address::{PlainHosts, proxy_fault, shown};
pub use self::client::{Client, ClientBuilder, ClientError, ClientFault, PemFault};
pub use self::error::{FetchError, FetchFault};
pub use self::fault::SettingFault;
use self::http::retry_after;
pub use self::http::{HttpClient, HttpError, HttpFuture, HttpRequest, HttpResponse};
pub(crate) use self::thread::Thread;
#[cfg(feature = "remote-jwks")]
pub(crate) use self::{error::without_query, http::seconds};

/// Asks for a whole answer, of whatever status, and guards the client from outside.
pub(crate) async fn get(
    client: &dyn HttpClient,
    url: &Url,
    headers: Vec<(&'static str, String)>,
    max_bytes: usize,
    timeout: Duration,
) -> Result<HttpResponse, FetchError> {
    let request = HttpRequest { url: url.as_str().to_owned(), headers, max_bytes, timeout };
    let response = tokio::time::timeout(timeout, client.get(request)).await;
    let fault = match response.unwrap_or(Err(HttpError::Timeout)) {
        Ok(response) if response.body.len() <= max_bytes => return Ok(response),
        Ok(_) | Err(HttpError::TooLarge) => FetchFault::TooLarge { allowed: max_bytes },
        Err(HttpError::Timeout) => FetchFault::Timeout { after: timeout },
        Err(HttpError::Failed(reason)) => FetchFault::Connection(reason),
    };
    Err(FetchError::new(url, fault))
}

/// That the answer is one of success.
pub(crate) fn check_status(url: &Url, response: &HttpResponse) -> Result<(), FetchError> {
    let fault = match response.status {
        200 => return Ok(()),
        // 304 is none, and was not asked for.
        status @ (300..=303 | 305..=399) => FetchFault::Redirect { status },
        status => FetchFault::Status { status },
    };
    let is_asked = matches!(response.status, 429 | 503);
    let asked = retry_after(response, SystemTime::now()).filter(|_| is_asked);
    Err(FetchError { retry_after: asked, ..FetchError::new(url, fault) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_to_ask_again_counts_only_with_429_and_503() {
        let url = Url::parse("https://id.example/jwks").expect("an address");
        for (status, expected) in
            [(429, Some(7)), (503, Some(7)), (301, None), (404, None), (500, None), (502, None)]
        {
            let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
            let response = HttpResponse { status, headers, body: Vec::new() };
            let error = check_status(&url, &response).expect_err("a failure");
            assert_eq!(error.retry_after, expected.map(Duration::from_secs), "{status}");
        }
    }
}
