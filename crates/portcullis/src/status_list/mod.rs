//! Whether a token was taken back, by a list that its issuer publishes (Token Status List,
//! draft-ietf-oauth-status-list; feature `status-list`).
//!
//! What passes, of a token that verified (§8.3):
//!
//! 1. it has no claim `status` with a `status_list`, unless one is [required](StatusLists::required);
//! 2. or the place that the claim names, of the list at the address that it names, says `VALID`.
//!
//! A list counts if
//!
//! 1. its address is `https`, without user and fragment, of the origin of the issuer's identifier or
//!    of an [allowed](StatusLists::allow_origin) one, and answers without a redirect;
//! 2. it is a token of the type `statuslist+jwt`, of the same issuer and signed by one of its keys;
//! 3. its `sub` is the address, byte by byte; `iat` is there; it has not expired, and is not older
//!    than one that was there before;
//! 4. it is one zlib stream, within the bounds here.
//!
//! A list is fetched when a token needs it, by the thread that fetches remote keys, and serves for its
//! `ttl` or until its `exp`. When four fifths of that are over, the next request has it fetched anew
//! and does not wait. When all of it is, requests wait for the new one.
mod bits;
mod driver;
mod fault;
mod list;
mod settings;
mod slots;

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Weak};

use url::{Origin, Url};

pub(crate) use self::driver::Checker;
use self::driver::Observer;
pub use self::fault::{StatusListError, StatusListFault, StatusListsError};
use self::settings::Settings;
use crate::claims::StatusRule;
use crate::fetch::{AllowHttp, HttpClient, PlainHosts, SettingFault, Thread};
use crate::listeners::Listeners;
use crate::setting::{self, Words};
use crate::time::Clock;
use crate::verifier::Rules;

/// Has a policy ask the lists that tokens name whether they were taken back: see
/// [`PolicyBuilder::status_lists`](crate::PolicyBuilder::status_lists).
///
/// ```
/// use portcullis::{Algorithm, Issuer, Policy, RemoteJwks, StatusLists};
///
/// let policy = Policy::builder()
///     .issuer(
///         Issuer::new("https://id.example")
///             .algorithms([Algorithm::ES256])
///             .keys(RemoteJwks::discovery())
///             .audience("https://orders.example"),
///     )
///     .status_lists(
///         StatusLists::new()
///             .allow_origin("https://status.example")
///             .required(),
///     )
///     .build()?;
/// # let _ = policy;
/// # Ok::<_, portcullis::BuildError>(())
/// ```
///
/// | a token … | is |
/// | --- | --- |
/// | whose status is `VALID` (0x00) | accepted |
/// | whose status is another one: `INVALID`, `SUSPENDED`, of an application's own | refused (401) as revoked |
/// | that names a place which the list does not have | refused (401) as revoked: the issuer never gave it a status |
/// | whose claim `status` is not what it must be | refused (401) as malformed |
/// | that has none | accepted, or refused (401) where one is [required](Self::required) |
/// | whose list cannot be had, be it for its address, its server, its signature or its content | refused (503), with `Retry-After` |
///
/// A token is taken back here at the latest when the list that did not say so has served its time:
/// after its `ttl`, [5 minutes](Self::fresh_for) where it has none, and never more than
/// [an hour](Self::max_fresh).
///
/// **A list has an `iss`.** The draft lets it out; here, the key of a list is looked up by its issuer,
/// who must be the token's.
///
/// Durations and numbers out of their bounds, and settings that are said twice and not alike, are a fault of the
/// policy.
#[derive(Clone)]
#[must_use]
pub struct StatusLists {
    settings: Settings,
    is_required: bool,
    origins: Vec<String>,
    hosts: PlainHosts,
    client: Option<setting::Shared<dyn HttpClient>>,
    observers: Listeners<Observer>,
    words: Words,
}

/// For how long to wait for a connection: as remote keys do, whose client it is.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

impl StatusLists {
    /// The defaults of the setters.
    pub fn new() -> Self {
        Self {
            settings: Settings::default(),
            is_required: false,
            origins: Vec::new(),
            hosts: PlainHosts::default(),
            client: None,
            observers: Listeners::default(),
            words: Words::default(),
        }
    }

    /// Refuses a token that names no list (401).
    ///
    /// If you do not call it: such a token passes, since the claim is optional (§6.1). An issuer that names a list
    /// in each of its tokens has no token without one, and an attacker cannot take it out.
    pub fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// Fetches lists of any issuer also from this origin: `https://status.example`. Call it once for
    /// each.
    ///
    /// If you do not call it: a list has the scheme, host and port of its issuer's identifier, and the list of an
    /// issuer whose identifier is no address is nowhere. The address stands in the token, and so the
    /// issuer writes it: in a policy of many tenants, one of them could else have this service send
    /// requests into its own network.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Fetches from a host without TLS. See [`dangerous::allow_http`](crate::dangerous::allow_http).
    /// The address must be of the issuer's origin or an allowed one all the same.
    ///
    /// If you do not call it: only from loopback.
    pub fn allow_http(mut self, allowed: AllowHttp) -> Self {
        self.hosts.0.push(allowed.0);
        self
    }

    /// For how long a list serves that has no `ttl`. 1 s to 24 h.
    ///
    /// If you do not call it: 5 minutes, as keys do. Headers such as `Cache-Control` do not count (§8.2).
    pub fn fresh_for(mut self, duration: Duration) -> Self {
        self.words.say("fresh_for", &mut self.settings.fresh_for, duration);
        self
    }

    /// The shortest time that a `ttl` can ask for (§11.5). 1 s to [`max_fresh`](Self::max_fresh).
    ///
    /// If you do not call it: 10 s, so that a `ttl` of 1 does not cause a fetch a second.
    pub fn min_fresh(mut self, duration: Duration) -> Self {
        self.words.say("min_fresh", &mut self.settings.min_fresh, duration);
        self
    }

    /// The longest time that a `ttl` can ask for (§11.5). 1 s to 24 h.
    ///
    /// If you do not call it: 1 h. A token that was taken back must not work for a day because its list said so.
    pub fn max_fresh(mut self, duration: Duration) -> Self {
        self.words.say("max_fresh", &mut self.settings.max_fresh, duration);
        self
    }

    /// Refuses a list that was issued longer ago, by its `iat`, whatever its `exp` says. 1 s or more.
    ///
    /// If you do not call it: `exp` alone says how old a list may be. One without `exp` is good for ever if its
    /// server goes on answering with it.
    pub fn max_age(mut self, limit: Duration) -> Self {
        self.words.say("max_age", &mut self.settings.max_age, Some(limit));
        self
    }

    /// How long after a first failure a list is fetched again. Doubles with each further failure.
    /// 100 ms to 1 h.
    ///
    /// If you do not call it: 1 s. Until then its tokens get 503 at once. A `Retry-After` of 429 and 503 is
    /// honoured up to 5 minutes.
    pub fn first_retry(mut self, duration: Duration) -> Self {
        self.words.say("first_retry", &mut self.settings.first_retry, duration);
        self
    }

    /// How long after a failure a list is fetched again, however many there were.
    /// [`first_retry`](Self::first_retry) to 1 h.
    ///
    /// If you do not call it: 60 s. A server that is back is found within this time.
    pub fn max_retry(mut self, duration: Duration) -> Self {
        self.words.say("max_retry", &mut self.settings.max_retry, duration);
        self
    }

    /// For how long to wait for a list, until it has come and is verified. Requests wait as long. 1 ms
    /// to 60 s.
    ///
    /// If you do not call it: 3 s. Longer, and clients give up.
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.words.say("timeout", &mut self.settings.timeout, duration);
        self
    }

    /// How long the token with a list may be, in bytes. 1 KiB to 16 MiB.
    ///
    /// If you do not call it: 1 MiB. A list of a million statuses takes at most 170 KiB (one bit each, half of
    /// them set).
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.words.say("max_bytes", &mut self.settings.max_bytes, bytes);
        self
    }

    /// How long a list may be, decompressed, in bytes. No more than that is ever made room for. 1 KiB to
    /// 64 MiB.
    ///
    /// If you do not call it: 4 MiB, which are 33 million tokens of one bit each. [As many](Self::max_lists) of
    /// them as there may be take 256 MiB. Lists are decompressed by the thread that also fetches keys:
    /// 64 MiB keep it for about a quarter of a second.
    pub fn max_list_bytes(mut self, bytes: usize) -> Self {
        self.words.say("max_list_bytes", &mut self.settings.max_list_bytes, bytes);
        self
    }

    /// How many lists are kept. 1 to 1000.
    ///
    /// If you do not call it: 64. One more, and the issuer that has the most gives one up: the one that was not
    /// asked for the longest time. So an issuer that invents addresses drives out its own lists. Of half
    /// as many at most are lists of one issuer fetched at a time; others get 503 for a second.
    pub fn max_lists(mut self, lists: usize) -> Self {
        self.words.say("max_lists", &mut self.settings.max_lists, lists);
        self
    }

    /// What fetches: a [`Client`](crate::fetch::Client) for a private certificate authority, a client
    /// certificate or a proxy, or an HTTP library of your own.
    ///
    /// If you do not call it: reqwest with rustls, the certificates of the operating system and no proxy.
    pub fn client(mut self, client: impl HttpClient) -> Self {
        let client: Arc<dyn HttpClient> = Arc::new(client);
        self.words.say("client", &mut self.client, Some(setting::Shared(client)));
        self
    }

    /// Is told of each list that could not be had, and why; of lists that are not even fetched, of one a
    /// second. Called by the thread that fetches, or on the request's way: it must not block.
    ///
    /// Called again, all are told. If you do not call it: nobody is, but for `tracing`.
    pub fn on_failure(
        mut self,
        observer: impl Fn(&StatusListError) + Send + Sync + 'static,
    ) -> Self {
        self.observers.add(Arc::new(observer));
        self
    }

    /// Hosts that may be asked without TLS.
    #[cfg(feature = "explain")]
    pub(crate) fn plain_hosts(&self) -> &[String] {
        &self.hosts.0
    }

    pub(crate) fn rule(&self) -> StatusRule {
        if self.is_required { StatusRule::Required } else { StatusRule::Optional }
    }

    /// What makes them unfit, all of it.
    pub(crate) fn faults(&self) -> Vec<StatusListsError> {
        let twice = self.words.contradicted().map(SettingFault::said_twice);
        let settings = self.settings.faults().chain(twice);
        let mut faults: Vec<_> = settings.map(StatusListsError::Setting).collect();
        faults.extend(self.hosts.fault().map(StatusListsError::Setting));
        let bad = self.origins.iter().filter(|origin| self.parse_origin(origin).is_none());
        faults.extend(bad.map(|origin| StatusListsError::Origin { origin: origin.clone() }));
        faults
    }

    fn parse_origin(&self, text: &str) -> Option<Origin> {
        let url = self.hosts.parse(text).ok()?;
        (url.path() == "/" && url.query().is_none()).then(|| Url::origin(&url))
    }

    /// What asks them. `rules` are those of the policy that it is for, by which a list is verified.
    pub(crate) fn start(
        self,
        clock: Arc<dyn Clock>,
        thread: Arc<Thread>,
        rules: Weak<Rules>,
    ) -> Checker {
        let origins = self.origins.iter().filter_map(|origin| self.parse_origin(origin)).collect();
        Checker::new(self, origins, clock, thread, rules)
    }

    /// The thread that fetches.
    pub(crate) fn thread() -> Result<Arc<Thread>, StatusListsError> {
        Thread::get().map_err(|error| StatusListsError::Thread(error.to_string()))
    }
}

impl Default for StatusLists {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for StatusLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusLists")
            .field("settings", &self.settings)
            .field("origins", &self.origins)
            .field("is_required", &self.is_required)
            .finish_non_exhaustive()
    }
}
