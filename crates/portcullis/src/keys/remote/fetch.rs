//! One fetch of a key set: its metadata where they are asked for, then the set.
use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::time::Instant;
use url::Url;

use super::address::parse_named;
use super::caching::Caching;
use super::schedule::Moment;
use super::settings::Settings;
use crate::fetch::{
    AddressFault, HttpClient, HttpError, HttpRequest, HttpResponse, PlainHosts, retry_after,
};
use crate::json::{Json, JsonFault, read_tree};
use crate::keys::{KeyFault, KeySet};
use crate::messages::debug_as_displayed;
use crate::text::TextFault;

/// For how long metadata are gone by. They change less often than keys, and a fetch that fails
/// asks for them again.
const METADATA_FRESH_FOR: Duration = Duration::from_secs(60 * 60);

/// Where a key set is, and how it is fetched.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) issuer: String,
    pub(super) place: Place,
    pub(super) hosts: PlainHosts,
    pub(super) client: Arc<dyn HttpClient>,
    pub(super) settings: Settings,
}

#[derive(Debug)]
pub(super) enum Place {
    Keys(Url),
    /// Where documents may be that say where the keys are. The first that is the issuer's counts.
    Metadata([Url; 3]),
}

/// What one fetch remembers for the next.
#[derive(Debug, Default)]
pub(super) struct Memory {
    named: Option<Named>,
    validators: Option<Validators>,
}

/// What the metadata said.
#[derive(Debug)]
struct Named {
    keys: Url,
    at: Moment,
}

/// RFC 9110 §8.8, of the last set that was taken over.
#[derive(Debug)]
struct Validators {
    url: Url,
    etag: Option<String>,
    last_modified: Option<String>,
}

/// A good end of a fetch.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Nothing where the set did not change.
    pub(super) keys: Option<KeySet>,
    pub(super) caching: Caching,
}

impl Memory {
    /// Asks for the whole set next time.
    pub(super) fn forget_set(&mut self) {
        self.validators = None;
    }
}

impl Source {
    /// The address that stands for the whole.
    pub(super) fn address(&self) -> &Url {
        match &self.place {
            Place::Keys(url) | Place::Metadata([url, ..]) => url,
        }
    }

    pub(super) async fn fetch(
        &self,
        memory: &mut Memory,
        now: Moment,
    ) -> Result<Fetched, FetchError> {
        let url = match &self.place {
            Place::Keys(url) => url.clone(),
            Place::Metadata(addresses) => {
                let is_fresh = |named: &&Named| now < named.at.saturating_add(METADATA_FRESH_FOR);
                match memory.named.as_ref().filter(is_fresh) {
                    Some(named) => named.keys.clone(),
                    None => {
                        let keys = self.find_keys(addresses).await?;
                        memory.named = Some(Named { keys: keys.clone(), at: now });
                        keys
                    }
                }
            }
        };
        let fetched = self.fetch_keys(&url, memory).await;
        if fetched.is_err() {
            // They may be elsewhere by now.
            memory.named = None;
        }
        fetched
    }

    async fn fetch_keys(&self, url: &Url, memory: &mut Memory) -> Result<Fetched, FetchError> {
        let error = |fault| FetchError::new(url, fault);
        let validators = memory.validators.as_ref().filter(|known| known.url == *url);
        let mut headers = Vec::new();
        if let Some(etag) = validators.and_then(|known| known.etag.clone()) {
            headers.push(("if-none-match", etag));
        }
        if let Some(date) = validators.and_then(|known| known.last_modified.clone()) {
            headers.push(("if-modified-since", date));
        }
        let is_conditional = !headers.is_empty();
        let response = self.get(url, headers, self.settings.timeout).await?;
        let caching = Caching::read(&response);
        if response.status == 304 && is_conditional {
            return Ok(Fetched { keys: None, caching });
        }
        check_status(url, &response)?;
        let text =
            text(&response).map_err(|fault| error(FetchFault::Keys(KeyFault::Text(fault))))?;
        let keys = KeySet::from_jwks_text(text, self.settings.max_keys)
            .map_err(|fault| error(metadata_instead(text).unwrap_or(FetchFault::Keys(fault))))?;
        memory.validators = Some(Validators {
            url: url.clone(),
            etag: response.header("etag").map(str::to_owned),
            last_modified: response.header("last-modified").map(str::to_owned),
        });
        Ok(Fetched { keys: Some(keys), caching })
    }

    /// Reads the metadata, wherever they are: each document has to name the issuer, so that none is taken
    /// for another's. All of them together may take as long as two.
    async fn find_keys(&self, addresses: &[Url; 3]) -> Result<Url, FetchError> {
        let Settings { timeout, .. } = self.settings;
        let end = Instant::now() + timeout + timeout;
        let mut tried = Vec::new();
        for (at, url) in addresses.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            // Of an identifier without a path, two are the same.
            if addresses[..at].contains(url) || left.is_zero() {
                continue;
            }
            match self.find_keys_at(url, timeout.min(left)).await {
                Ok(keys) => return Ok(keys),
                Err(error) => {
                    let is_there = error.is_of_address();
                    tried.push(error);
                    if !is_there {
                        break;
                    }
                }
            }
        }
        Err(FetchError::of_all(tried))
    }

    async fn find_keys_at(&self, url: &Url, timeout: Duration) -> Result<Url, FetchError> {
        let response = self.get(url, Vec::new(), timeout).await?;
        check_status(url, &response)?;
        let error = |fault| FetchError::new(url, fault);
        let members = text(&response)
            .map_err(|_| JsonFault::NotAnObject)
            .and_then(read_tree)
            .map_err(|fault| error(FetchFault::Metadata(fault)))?;
        let member = |name: &'static str| {
            let value = members.iter().find_map(|(own, value)| (own == name).then_some(value));
            value.and_then(Json::as_str).ok_or_else(|| error(FetchFault::Missing { member: name }))
        };
        // OpenID Connect Discovery 1.0 §4.3, RFC 8414 §3.3: MUST be identical.
        let found = member("issuer")?;
        if found != self.issuer {
            let (expected, found) = (self.issuer.clone(), shown(found));
            return Err(error(FetchFault::Issuer { expected, found }));
        }
        let named = member("jwks_uri")?;
        let keys = parse_named(named, url, &self.hosts).and_then(|keys| {
            let is_bound = self.settings.same_origin.unwrap_or(false);
            let is_other = is_bound && keys.origin() != url.origin();
            if is_other { Err(AddressFault::OtherOrigin) } else { Ok(keys) }
        });
        keys.map_err(|fault| error(FetchFault::KeysAddress { address: shown(named), fault }))
    }

    async fn get(
        &self,
        url: &Url,
        headers: Vec<(&'static str, String)>,
        timeout: Duration,
    ) -> Result<HttpResponse, FetchError> {
        let max_bytes = self.settings.max_bytes;
        let mut all = vec![("accept", "application/json, */*;q=0.5".to_owned())];
        all.extend(headers);
        get(&*self.client, url, all, max_bytes, timeout).await
    }
}

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

fn text(response: &HttpResponse) -> Result<&str, TextFault> {
    crate::text::read(&response.body)
}

/// What to say of metadata that stand where a key set should.
fn metadata_instead(text: &str) -> Option<FetchFault> {
    let members = read_tree(text).ok()?;
    let keys = members.iter().find_map(|(name, value)| (name == "jwks_uri").then_some(value))?;
    Some(FetchFault::MetadataInstead { keys: shown(keys.as_str()?) })
}

/// Another party's text, for a message: no control characters, and no more than a line.
fn shown(text: &str) -> String {
    text.chars().take(256).flat_map(char::escape_debug).collect()
}

/// Why keys were not fetched.
#[derive(Clone, Eq, PartialEq)]
pub struct FetchError {
    url: String,
    fault: FetchFault,
    retry_after: Option<Duration>,
}

/// What went wrong with a fetch.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FetchFault {
    /// No connection, or it broke: in the words of the HTTP client.
    Connection(String),
    /// No whole answer in time.
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// An answer of more bytes than allowed, after decompression.
    TooLarge {
        /// How many are.
        allowed: usize,
    },
    /// A redirect, which is not followed.
    Redirect {
        /// The status.
        status: u16,
    },
    /// Another status than 200.
    Status {
        /// The status.
        status: u16,
    },
    /// The metadata are no JSON object.
    Metadata(JsonFault),
    /// A member of the metadata is missing, or no string.
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// The metadata are of another issuer (OpenID Connect Discovery 1.0 §4.3, RFC 8414 §3.3).
    Issuer {
        /// Who was asked for.
        expected: String,
        /// Who answered.
        found: String,
    },
    /// The address that the metadata name for the keys is not fetched from.
    KeysAddress {
        /// The address.
        address: String,
        /// Why.
        fault: AddressFault,
    },
    /// None of the addresses that were asked has the issuer's metadata: what each said.
    NoMetadata(Vec<FetchError>),
    /// What came is a document of metadata, and no key set.
    MetadataInstead {
        /// Where it says that the keys are.
        keys: String,
    },
    /// What came is no usable key set.
    Keys(KeyFault),
    /// The HTTP client panicked.
    Panicked,
    /// The last policy with these keys is gone.
    Ended,
}

impl FetchError {
    pub(crate) fn new(url: &Url, fault: FetchFault) -> Self {
        // A key for an interface may stand in the query.
        let mut url = url.clone();
        url.set_query(None);
        Self { url: url.into(), fault, retry_after: None }
    }

    /// The address that was asked, without its query.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What went wrong.
    pub fn fault(&self) -> &FetchFault {
        &self.fault
    }

    /// When the server wants to be asked again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What several addresses said, one at least.
    fn of_all(mut tried: Vec<Self>) -> Self {
        if tried.len() == 1 {
            return tried.remove(0);
        }
        let url = tried.first().map(|error| error.url.clone()).unwrap_or_default();
        let retry_after = tried.iter().filter_map(Self::retry_after).max();
        Self { url, fault: FetchFault::NoMetadata(tried), retry_after }
    }

    /// Whether another address of the same server may do better: this one had an answer, and the server
    /// did not ask to be left alone.
    fn is_of_address(&self) -> bool {
        match &self.fault {
            FetchFault::Connection(_)
            | FetchFault::Timeout { .. }
            | FetchFault::Status { status: 429 | 503 }
            | FetchFault::Panicked
            | FetchFault::Ended => false,
            FetchFault::TooLarge { .. }
            | FetchFault::Redirect { .. }
            | FetchFault::Status { .. }
            | FetchFault::Metadata(_)
            | FetchFault::Missing { .. }
            | FetchFault::Issuer { .. }
            | FetchFault::KeysAddress { .. }
            | FetchFault::NoMetadata(_)
            | FetchFault::MetadataInstead { .. }
            | FetchFault::Keys(_) => true,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let FetchFault::NoMetadata(tried) = &self.fault {
            f.write_str("no metadata of this issuer")?;
            return tried.iter().enumerate().try_for_each(|(at, error)| {
                write!(f, "{}{error}", if at == 0 { ": " } else { "; " })
            });
        }
        write!(f, "{}: ", self.url)?;
        match &self.fault {
            FetchFault::Connection(reason) => f.write_str(reason),
            FetchFault::Timeout { after } => write!(f, "no whole answer within {after:?}"),
            FetchFault::TooLarge { allowed } => write!(f, "more than the {allowed} bytes allowed"),
            FetchFault::Redirect { status } => {
                write!(f, "a redirect ({status}), which is not followed: configure where it leads")
            }
            FetchFault::Status { status } => write!(f, "status {status}"),
            FetchFault::Metadata(fault) => write!(f, "the metadata {fault}"),
            FetchFault::Missing { member } => {
                write!(f, "the metadata have no string `{member}`")
            }
            FetchFault::Issuer { expected, found } => {
                write!(f, "the metadata are of issuer `{found}`, not `{expected}`")?;
                if found.trim_end_matches('/') == expected.trim_end_matches('/') {
                    f.write_str(": the slash at the end counts; write it as the tokens do")?;
                }
                if found.contains('{') {
                    f.write_str(": the braces stand for each tenant; name its issuers by `Issuer::template`, in a policy file `template`, with `{tenant}` in their place")?;
                }
                Ok(())
            }
            FetchFault::KeysAddress { address, fault } => {
                write!(f, "`jwks_uri` is `{address}`: {fault}")
            }
            // Written above.
            FetchFault::NoMetadata(_) => Ok(()),
            FetchFault::MetadataInstead { keys } => write!(
                f,
                "this is a document of metadata, and no key set: use discovery instead of this address, or the `jwks_uri` that it names, `{keys}`"
            ),
            FetchFault::Keys(fault) => fault.fmt(f),
            FetchFault::Panicked => f.write_str("the HTTP client panicked"),
            FetchFault::Ended => f.write_str("the last policy with these keys is gone"),
        }
    }
}

debug_as_displayed!(FetchError);

impl core::error::Error for FetchError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(fault: FetchFault) -> FetchError {
        let url = Url::parse("https://id.example/jwks?key=secret").expect("an address");
        FetchError::new(&url, fault)
    }

    #[test]
    fn an_error_names_its_address_without_the_query() {
        let error = error(FetchFault::Status { status: 500 });
        assert_eq!(error.url(), "https://id.example/jwks");
        assert_eq!(error.to_string(), "https://id.example/jwks: status 500");
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn an_error_names_the_fault_and_the_way_out() {
        let named = "http://id.example/jwks".to_owned();
        for (fault, text) in [
            (FetchFault::Connection("refused".to_owned()), "refused"),
            (FetchFault::Timeout { after: Duration::from_secs(5) }, "no whole answer within 5s"),
            (FetchFault::TooLarge { allowed: 7 }, "more than the 7 bytes allowed"),
            (
                FetchFault::Redirect { status: 302 },
                "a redirect (302), which is not followed: configure where it leads",
            ),
            (
                FetchFault::Metadata(JsonFault::NotAnObject),
                "the metadata is not one JSON object in UTF-8",
            ),
            (FetchFault::Missing { member: "jwks_uri" }, "the metadata have no string `jwks_uri`"),
            (
                FetchFault::KeysAddress { address: named, fault: AddressFault::Downgrade },
                "`jwks_uri` is `http://id.example/jwks`: plain `http`, named by metadata that came over `https`",
            ),
            (FetchFault::Keys(KeyFault::NotASet), "not a JWK set: it has no array `keys`"),
            (FetchFault::Panicked, "the HTTP client panicked"),
            (FetchFault::Ended, "the last policy with these keys is gone"),
        ] {
            assert_eq!(error(fault).to_string(), format!("https://id.example/jwks: {text}"));
        }
    }

    #[test]
    fn only_a_slash_at_the_end_gets_the_hint_about_it() {
        let issuer = |found: &str, expected: &str| {
            let (found, expected) = (found.to_owned(), expected.to_owned());
            error(FetchFault::Issuer { expected, found }).to_string().contains("slash")
        };
        assert!(issuer("https://id.example/", "https://id.example"));
        assert!(issuer("https://id.example", "https://id.example/"));
        assert!(!issuer("https://id.example/a", "https://id.example"));
        assert!(!issuer("https://id.example", "https://id.test"));
    }

    #[test]
    fn text_of_others_is_one_short_line() {
        assert_eq!(shown("https://id.example/é"), "https://id.example/é");
        assert_eq!(shown("a\nb\u{1b}[0m`"), "a\\nb\\u{1b}[0m`");
        assert_eq!(shown(&"é".repeat(257)), "é".repeat(256));
    }

    #[test]
    fn another_address_is_asked_unless_the_server_is_away_or_busy() {
        let is_of_address = |fault| error(fault).is_of_address();
        for status in [204, 400, 401, 403, 404, 405, 406, 410, 418, 500, 501, 502, 504] {
            assert!(is_of_address(FetchFault::Status { status }), "{status}");
        }
        assert!(is_of_address(FetchFault::Redirect { status: 302 }));
        assert!(is_of_address(FetchFault::Metadata(JsonFault::NotAnObject)));
        for status in [429, 503] {
            assert!(!is_of_address(FetchFault::Status { status }), "{status}");
        }
        assert!(!is_of_address(FetchFault::Timeout { after: Duration::from_secs(5) }));
        assert!(!is_of_address(FetchFault::Connection("refused".to_owned())));
    }

    #[test]
    fn metadata_for_every_tenant_are_told_with_the_way_out() {
        let found = "https://id.example/{tenantid}/v2.0".to_owned();
        let expected = "https://id.example/common/v2.0".to_owned();
        let text = error(FetchFault::Issuer { expected, found }).to_string();
        assert!(text.contains("`Issuer::template`"), "{text}");
    }

    #[test]
    fn when_to_ask_again_counts_only_with_429_and_503() {
        let url = Url::parse("https://id.example/jwks").expect("an address");
        for (status, expected) in
            [(429, Some(7)), (503, Some(7)), (301, None), (404, None), (500, None), (502, None)]
        {
            let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
            let response = HttpResponse { status, headers, body: Vec::new() };
            let error = check_status(&url, &response).expect_err("a failure");
            assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{status}");
        }
    }
}
