//! One fetch of a key set: its metadata where they are asked for, then the set.
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use tokio::time::Instant;
use url::Url;

use super::address::parse_named;
use super::caching::Caching;
use super::schedule::Moment;
use super::settings::Settings;
use crate::debug_as_displayed::debug_as_displayed;
use crate::fetch::{
    AddressFault, FetchError, FetchFault, HttpClient, HttpResponse, PlainHosts, check_status, get,
    without_query,
};
use crate::json::{Json, JsonFault, read_tree};
use crate::keys::{KeyFault, KeySet, NotAnObject};
use crate::text::TextFault;

/// For how long metadata are gone by. They change less often than keys, and a fetch that fails
/// asks for them again.
const METADATA_FRESH_FOR: Duration = Duration::from_secs(60 * 60);

/// Where a key set is, and how it is fetched.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) issuer: String,
    pub(super) place: KeyAddress,
    pub(super) hosts: PlainHosts,
    pub(super) client: Arc<dyn HttpClient>,
    pub(super) settings: Settings,
}

#[derive(Debug)]
pub(super) enum KeyAddress {
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
            KeyAddress::Keys(url) | KeyAddress::Metadata([url, ..]) => url,
        }
    }

    pub(super) async fn fetch(
        &self,
        memory: &mut Memory,
        now: Moment,
    ) -> Result<Fetched, KeyFetchError> {
        let url = match &self.place {
            KeyAddress::Keys(url) => url.clone(),
            KeyAddress::Metadata(addresses) => {
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

    async fn fetch_keys(&self, url: &Url, memory: &mut Memory) -> Result<Fetched, KeyFetchError> {
        let error = |fault| KeyFetchError::new(url, fault);
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
            text(&response).map_err(|fault| error(KeyFetchFault::Keys(KeyFault::Text(fault))))?;
        let keys = KeySet::from_jwks_text(text, self.settings.max_keys)
            .map_err(|fault| error(metadata_instead(text).unwrap_or(KeyFetchFault::Keys(fault))))?;
        memory.validators = Some(Validators {
            url: url.clone(),
            etag: response.header("etag").map(str::to_owned),
            last_modified: response.header("last-modified").map(str::to_owned),
        });
        Ok(Fetched { keys: Some(keys), caching })
    }

    /// Reads the metadata, wherever they are: each document has to name the issuer, so that none is taken
    /// for another's. All of them together may take as long as two.
    async fn find_keys(&self, addresses: &[Url; 3]) -> Result<Url, KeyFetchError> {
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
        Err(KeyFetchError::of_all(tried))
    }

    async fn find_keys_at(&self, url: &Url, timeout: Duration) -> Result<Url, KeyFetchError> {
        let response = self.get(url, Vec::new(), timeout).await?;
        check_status(url, &response)?;
        let error = |fault| KeyFetchError::new(url, fault);
        let text =
            text(&response).map_err(|_| error(KeyFetchFault::Metadata(JsonFault::NotAnObject)))?;
        let members = read_tree(text).map_err(|fault| {
            error(match fault {
                JsonFault::NotAnObject => KeyFetchFault::MetadataNotAnObject(NotAnObject::of(text)),
                fault => KeyFetchFault::Metadata(fault),
            })
        })?;
        let member = |name: &'static str| {
            let value = members.iter().find_map(|(own, value)| (own == name).then_some(value));
            value
                .and_then(Json::as_str)
                .ok_or_else(|| error(KeyFetchFault::Missing { member: name }))
        };
        // OpenID Connect Discovery 1.0 §4.3, RFC 8414 §3.3: MUST be identical.
        let found = member("issuer")?;
        if found != self.issuer {
            let (expected, found) = (self.issuer.clone(), shown(found));
            return Err(error(KeyFetchFault::Issuer { expected, found }));
        }
        let named = member("jwks_uri")?;
        let keys = parse_named(named, url, &self.hosts).and_then(|keys| {
            let is_bound = self.settings.same_origin.unwrap_or(false);
            let is_other = is_bound && keys.origin() != url.origin();
            if is_other { Err(AddressFault::OtherOrigin) } else { Ok(keys) }
        });
        keys.map_err(|fault| {
            error(KeyFetchFault::KeysAddress { address: shown_address(named), fault })
        })
    }

    async fn get(
        &self,
        url: &Url,
        headers: Vec<(&'static str, String)>,
        timeout: Duration,
    ) -> Result<HttpResponse, KeyFetchError> {
        let max_bytes = self.settings.max_bytes;
        let mut all = vec![("accept", "application/json, */*;q=0.5".to_owned())];
        all.extend(headers);
        Ok(get(&*self.client, url, all, max_bytes, timeout).await?)
    }
}

fn text(response: &HttpResponse) -> Result<&str, TextFault> {
    crate::text::read(&response.body)
}

/// What to say of metadata that stand where a key set should.
fn metadata_instead(text: &str) -> Option<KeyFetchFault> {
    let members = read_tree(text).ok()?;
    let keys = members.iter().find_map(|(name, value)| (name == "jwks_uri").then_some(value))?;
    Some(KeyFetchFault::MetadataInstead { keys: shown_address(keys.as_str()?) })
}

/// Another party's text, for a message: no control characters, and no more than a line.
fn shown(text: &str) -> String {
    text.chars().take(256).flat_map(char::escape_debug).collect()
}

/// Another party's address, for a message: without a user and a query, which may be secrets.
fn shown_address(text: &str) -> String {
    shown(&crate::fetch::shown(text))
}

/// Why keys were not fetched.
#[derive(Clone, Eq, PartialEq)]
pub struct KeyFetchError {
    url: String,
    fault: KeyFetchFault,
    retry_after: Option<Duration>,
}

/// What went wrong with a fetch of keys.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyFetchFault {
    /// There was no answer, or none that is a success.
    Fetch(FetchFault),
    /// Something else than a JSON object stands where the metadata should be.
    MetadataNotAnObject(NotAnObject),
    /// The metadata are a JSON object that is not read, since two readers would not read the same.
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
    NoMetadata(Vec<KeyFetchError>),
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

impl KeyFetchError {
    pub(crate) fn new(url: &Url, fault: KeyFetchFault) -> Self {
        Self { url: without_query(url), fault, retry_after: None }
    }

    /// The address that was asked, without its query.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What went wrong.
    pub fn fault(&self) -> &KeyFetchFault {
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
        Self { url, fault: KeyFetchFault::NoMetadata(tried), retry_after }
    }

    /// Whether another address of the same server may do better: this one had an answer, and the server
    /// did not ask to be left alone.
    fn is_of_address(&self) -> bool {
        match &self.fault {
            KeyFetchFault::Fetch(fault) => match fault {
                FetchFault::Connection(_)
                | FetchFault::Timeout { .. }
                | FetchFault::Status { status: 429 | 503 } => false,
                FetchFault::TooLarge { .. }
                | FetchFault::Redirect { .. }
                | FetchFault::Status { .. } => true,
            },
            KeyFetchFault::Panicked | KeyFetchFault::Ended => false,
            KeyFetchFault::Metadata(_)
            | KeyFetchFault::MetadataNotAnObject(_)
            | KeyFetchFault::Missing { .. }
            | KeyFetchFault::Issuer { .. }
            | KeyFetchFault::KeysAddress { .. }
            | KeyFetchFault::NoMetadata(_)
            | KeyFetchFault::MetadataInstead { .. }
            | KeyFetchFault::Keys(_) => true,
        }
    }
}

impl From<FetchError> for KeyFetchError {
    fn from(error: FetchError) -> Self {
        let FetchError { url, fault, retry_after } = error;
        Self { url, fault: KeyFetchFault::Fetch(fault), retry_after }
    }
}

impl fmt::Display for KeyFetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let KeyFetchFault::NoMetadata(tried) = &self.fault {
            f.write_str("no address has metadata of this issuer")?;
            return tried.iter().enumerate().try_for_each(|(at, error)| {
                write!(f, "{}{error}", if at == 0 { ": " } else { "; " })
            });
        }
        write!(f, "{}: ", self.url)?;
        match &self.fault {
            KeyFetchFault::Fetch(fault) => fault.fmt(f),
            KeyFetchFault::MetadataNotAnObject(found) => {
                write!(f, "these are not the metadata: {found}")
            }
            KeyFetchFault::Metadata(fault) => write!(f, "the metadata {fault}"),
            KeyFetchFault::Missing { member } => {
                write!(f, "the metadata does not have `{member}` as a string")
            }
            KeyFetchFault::Issuer { expected, found } => {
                // A tenant's name may be of a token that nobody verified.
                let expected = shown(expected);
                write!(f, "the metadata is of the issuer `{found}`, not of `{expected}`")?;
                if found.trim_end_matches('/') == expected.trim_end_matches('/') {
                    f.write_str(": the slash at the end counts; write it as the tokens do")?;
                }
                if found.contains('{') {
                    f.write_str(": the braces stand for each tenant; name its issuers by `Issuer::template`, in a policy file `template`, with `{tenant}` in their place")?;
                }
                Ok(())
            }
            KeyFetchFault::KeysAddress { address, fault } => {
                write!(f, "`jwks_uri` is `{address}`: {fault}")
            }
            // Written above.
            KeyFetchFault::NoMetadata(_) => Ok(()),
            KeyFetchFault::MetadataInstead { keys } => write!(
                f,
                "this is a document of metadata, not a key set: use `RemoteJwks::discovery()` instead of this address, or the `jwks_uri` that it names, `{keys}`"
            ),
            KeyFetchFault::Keys(fault) => fault.fmt(f),
            KeyFetchFault::Panicked => f.write_str("the HTTP client panicked"),
            KeyFetchFault::Ended => f.write_str("the last policy with these keys is gone"),
        }
    }
}

debug_as_displayed!(KeyFetchError);

impl core::error::Error for KeyFetchError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(fault: KeyFetchFault) -> KeyFetchError {
        let url = Url::parse("https://id.example/jwks?key=secret").expect("an address");
        KeyFetchError::new(&url, fault)
    }

    #[test]
    fn an_error_names_its_address_without_the_query() {
        let error = error(KeyFetchFault::Fetch(FetchFault::Status { status: 500 }));
        assert_eq!(error.url(), "https://id.example/jwks");
        assert_eq!(
            error.to_string(),
            "https://id.example/jwks: the server answered with status 500"
        );
        assert!(!format!("{error:?}").contains("secret"));
    }

    /// It stands in each refusal while the keys are away.
    #[test]
    fn what_a_provider_writes_into_an_address_is_not_told() {
        let text = r#"{"jwks_uri":"https://u:pw@id.example/keys?code=SECRET#SECRET"}"#;
        let fault = metadata_instead(text).expect("metadata");
        let told = error(fault).to_string();
        assert!(told.contains("`https://id.example/keys`"), "{told}");
        assert!(!told.contains("pw") && !told.contains("SECRET"), "{told}");
        let (expected, found) = ("https://a\u{9b}31m".to_owned(), "https://b".to_owned());
        let told = error(KeyFetchFault::Issuer { expected, found }).to_string();
        assert!(!told.contains('\u{9b}'), "{told}");
    }

    #[test]
    fn an_error_names_the_fault_and_the_way_out() {
        let named = "http://id.example/jwks".to_owned();
        for (fault, text) in [
            (
                KeyFetchFault::Fetch(FetchFault::Status { status: 404 }),
                "the server answered with status 404",
            ),
            (
                KeyFetchFault::Metadata(JsonFault::NotAnObject),
                "the metadata is not one JSON object in UTF-8",
            ),
            (
                KeyFetchFault::Missing { member: "jwks_uri" },
                "the metadata does not have `jwks_uri` as a string",
            ),
            (
                KeyFetchFault::KeysAddress { address: named, fault: AddressFault::Downgrade },
                "`jwks_uri` is `http://id.example/jwks`: this is plain `http`, and the metadata that names it came over `https`: have the issuer publish an `https` address",
            ),
            (
                KeyFetchFault::Keys(KeyFault::NotASet),
                "this is not a JWK set: it has no array `keys`",
            ),
            (KeyFetchFault::Panicked, "the HTTP client panicked"),
            (KeyFetchFault::Ended, "the last policy with these keys is gone"),
        ] {
            assert_eq!(error(fault).to_string(), format!("https://id.example/jwks: {text}"));
        }
    }

    #[test]
    fn only_a_slash_at_the_end_gets_the_hint_about_it() {
        let issuer = |found: &str, expected: &str| {
            let (found, expected) = (found.to_owned(), expected.to_owned());
            error(KeyFetchFault::Issuer { expected, found }).to_string().contains("slash")
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
            assert!(is_of_address(KeyFetchFault::Fetch(FetchFault::Status { status })), "{status}");
        }
        assert!(is_of_address(KeyFetchFault::Fetch(FetchFault::Redirect { status: 302 })));
        assert!(is_of_address(KeyFetchFault::Metadata(JsonFault::NotAnObject)));
        for status in [429, 503] {
            assert!(
                !is_of_address(KeyFetchFault::Fetch(FetchFault::Status { status })),
                "{status}"
            );
        }
        assert!(!is_of_address(KeyFetchFault::Fetch(FetchFault::Timeout {
            after: Duration::from_secs(5)
        })));
        assert!(!is_of_address(KeyFetchFault::Fetch(FetchFault::Connection("refused".to_owned()))));
    }

    #[test]
    fn metadata_for_every_tenant_are_told_with_the_way_out() {
        let found = "https://id.example/{tenantid}/v2.0".to_owned();
        let expected = "https://id.example/common/v2.0".to_owned();
        let text = error(KeyFetchFault::Issuer { expected, found }).to_string();
        assert!(text.contains("`Issuer::template`"), "{text}");
    }
}
