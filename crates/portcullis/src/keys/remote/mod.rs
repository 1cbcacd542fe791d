//! Keys from an address: a JWKS endpoint, or one that an issuer's metadata name (feature
//! `remote-jwks`).
//!
#![doc = include_str!("../../guide/pictures.md")]
#![doc = include_str!("rotation.md")]
//!
//! # Defaults
//!
//! Each is a setter of [`RemoteJwksOptions`], and a key of the policy file.
//!
//! | | default | why |
//! | --- | --- | --- |
//! | `fresh_for` | 5 min | about as long as a withdrawn key works; short, and still one fetch in 4 min |
//! | `min_fresh`, `max_fresh` | 1 min, 1 h | bounds for `max-age` less `Age`: a header must neither cause a flood nor keep a withdrawn key alive for a day; `no-store` and `no-cache` mean the lower one |
//! | `refresh_at_percent` | 80, ±10 % at random | time to mend a failure before the set is stale; a fleet does not ask all at once |
//! | `cool_down` | 30 s after the begin of the last fetch | what one who invents key ids can cause; as in other libraries |
//! | `max_wait` | 2 s | longer, and clients give up |
//! | `max_waiting` | 64 requests | who invents key ids must not make requests pile up |
//! | `max_waiting_without_keys` | 2048 requests | before the first set everybody's token waits: a thousand requests a second, for the 2 s of `max_wait` |
//! | `first_retry`, `max_retry` | 1 s, doubled up to 60 s, full jitter | failures have a budget of their own: neither they nor unknown key ids use up the other's; `Retry-After` of 429 and 503 is honoured up to `max_fresh`, and while there are no keys up to `max_retry` |
//! | `max_stale` | 24 h | how long an outage may last, and a key live that was withdrawn in it |
//! | `connect_timeout`, `timeout` | 2 s, 5 s | half a second flaps with a server that is far away |
//! | `max_bytes`, `max_keys` | 256 KiB, 100 | sets with certificate chains have some 100 KiB; providers publish 2 to 10 keys |
//! | `same_origin` | off for one issuer, on for those of a template or predicate | large providers have their keys on another host; whoever runs a tenant's provider could have any address asked |
//! | `load_at_start` | off | a service starts while its provider is down |
//! | `proxy` | none, whatever the environment says | it would decide where keys come from |
//!
//! Not to be set: no redirect is followed; addresses are `https`, loopback and
//! [`dangerous::allow_http`](crate::dangerous::allow_http) aside; JSON nests 16 deep at most; RSA
//! has 2048 to 8192 bits; the content type says nothing, and the content has to be JSON; a set
//! without a usable key is refused; entries are read one by one; one that has a private or
//! symmetric member, or that cannot be used, is skipped and named in the [`RemoteKeysHealth`]; a key under
//! the id of another is a new key; keys that a set no longer has are not kept.
//!
//! An hour of sleep of the machine does not count as an hour here.
// A request goes `mod` → `driver` (is the key there, or may it be looked for?). A fetch goes
// `schedule` (when) → `driver` → `fetch` (what) → `client`.
mod address;
mod caching;
mod driver;
mod fetch;
mod schedule;
mod settings;
#[cfg(test)]
mod tests;
mod watch;

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, mpsc};

use tokio::sync::{oneshot, watch as channel};

pub(crate) use self::address::chooses_domain;
use self::address::metadata_addresses;
use self::driver::{Observer, Shared, drive};
use self::fetch::{KeyAddress, Source};
pub use self::fetch::{KeyFetchError, KeyFetchFault};
pub(crate) use self::settings::Settings;
pub use self::watch::{RemoteKeysEvent, RemoteKeysHealth};
use super::{KeyFuture, KeyQuery, KeySet, KeySource};
use crate::debug_as_displayed::debug_as_displayed;
use crate::fetch::{AddressFault, AllowHttp, HttpClient, PlainHosts, SettingFault, Thread, shown};
use crate::listeners::Listeners;
use crate::setting::{self, Words};

/// The keys that an issuer publishes at an address, kept current.
///
/// Made by [`RemoteJwksOptions`], mostly as part of a policy:
///
/// ```
/// use portcullis::{Algorithm, Issuer, Policy, RemoteJwks};
///
/// let policy = Policy::builder()
///     .issuer(
///         Issuer::new("https://id.example")
///             .algorithms([Algorithm::ES256])
///             .keys(RemoteJwks::discovery())
///             .audience("https://orders.example"),
///     )
///     .build()?;
/// # let _ = policy;
/// # Ok::<_, portcullis::BuildError>(())
/// ```
///
/// - Nothing is fetched before the first token asks for a key, [`ready`](Self::ready) is awaited or
///   [`load_at_start`](RemoteJwksOptions::load_at_start) says so.
/// - A token whose key is known is decided at once, whatever the key server does.
/// - The set is fetched anew, in the background, before it is no longer fresh.
/// - A token that names an unknown key waits for a fetch that it shares with all others; there is
///   at most one in each [cool-down](RemoteJwksOptions::cool_down), whatever tokens are sent.
///   It is refused as invalid (401) only after a fetch that succeeded; where the keys could not be
///   had, the answer is 503.
/// - A new set takes over if it has a usable key. A key that it lacks is refused with the next
///   request: with 503 until a further fetch lacks it too, since the answer may have come from a server that is
///   behind, then with 401.
/// - While the key server is down, the last good keys serve, for at most
///   [24 h](RemoteJwksOptions::max_stale). Whoever uses them looks at their age, so that they end though the
///   thread that fetches is blocked, or stayed behind in the process that this one was forked from. Then nobody waits
///   for it for longer than two seconds.
///
/// Cheap to clone. All sets of a program are fetched by one thread, which ends with the last clone
/// of the last of them, the last policy that has one and the last token that such a policy
/// verified. It is no part of any async runtime.
#[derive(Clone)]
pub struct RemoteJwks {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    /// What it was started by.
    options: RemoteJwksOptions,
    /// Ends the driver by being dropped.
    _stop: oneshot::Sender<()>,
    /// Ends with the last set.
    _thread: Arc<Thread>,
}

impl RemoteJwks {
    #[cfg(test)]
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }

    /// Whether its keys are too old to serve, and were not taken away yet.
    pub(crate) fn is_overdue(&self) -> bool {
        self.handle.shared.is_overdue()
    }

    /// Whether the next token would have it fetch once more what has failed to come ever since.
    pub(crate) fn would_try_again(&self) -> bool {
        self.handle.shared.would_try_again()
    }

    /// Whether it was started by these options, or the same.
    pub(crate) fn is_by(&self, options: &RemoteJwksOptions) -> bool {
        self.handle.options.is_same_as(options)
    }

    /// A JWK set at an address. In the keys of an issuer by
    /// [template](crate::Issuer::template), `{tenant}` in it stands for the tenant; without it, the
    /// set is one for all tenants.
    pub fn url(url: impl Into<String>) -> RemoteJwksOptions {
        RemoteJwksOptions::new(Some(url.into()))
    }

    /// The JWK set that an issuer's metadata name: those of OpenID Connect Discovery 1.0
    /// (`{issuer}/.well-known/openid-configuration`), or where that address has none, those of RFC 8414
    /// (`/.well-known/oauth-authorization-server` before the issuer's path), or OpenID's at
    /// `/.well-known/openid-configuration` before the path.
    ///
    /// The `issuer` in them must be the issuer's identifier, byte by byte. So the next address is asked after
    /// whatever answer has no such document: an error, a redirect, a page of HTML. Not where the server cannot be
    /// reached, is busy (429, 503), or took too long: all documents together may take twice the
    /// [time-out](RemoteJwksOptions::timeout). They are read again once an hour, and when a fetch of the keys
    /// fails.
    pub fn discovery() -> RemoteJwksOptions {
        RemoteJwksOptions::new(None)
    }

    /// The issuer whose keys these are.
    pub fn issuer(&self) -> &str {
        &self.handle.shared.source.issuer
    }

    /// Where they are fetched, or the metadata that name the place; without a query.
    pub(crate) fn address(&self) -> String {
        shown(self.handle.shared.source.address().as_str())
    }

    /// Where the metadata are that name the place, if they do.
    #[cfg(feature = "openapi")]
    pub(crate) fn discovery_address(&self) -> Option<String> {
        self.handle.options.url.is_none().then(|| self.address())
    }

    /// Hosts that may be asked without TLS.
    #[cfg(feature = "explain")]
    pub(crate) fn plain_hosts(&self) -> &[String] {
        &self.handle.shared.source.hosts.0
    }

    /// How long a set is fresh at most, and serves at most.
    #[cfg(feature = "explain")]
    pub(crate) fn bounds(&self) -> (Duration, Duration) {
        self.handle.options.bounds()
    }

    /// Waits until there are keys, however often that takes a new try.
    ///
    /// For a readiness probe, or before a server listens. To start only if the first fetch
    /// succeeds, call [`refresh_now`](Self::refresh_now) or set
    /// [`load_at_start`](RemoteJwksOptions::load_at_start).
    pub async fn ready(&self) {
        let mut serves = self.want();
        // The other end is in `self`.
        let _ = serves.wait_for(|serves| *serves).await;
    }

    /// Has keys fetched if there are none, without waiting for it.
    pub(crate) fn want(&self) -> channel::Receiver<bool> {
        self.handle.shared.want()
    }

    /// Fetches now, whatever was fetched before and whatever waits: for an operator who knows that
    /// a key was withdrawn.
    ///
    /// # Errors
    ///
    /// The fetch failed. Keys of before go on being served.
    pub async fn refresh_now(&self) -> Result<(), KeyFetchError> {
        Arc::clone(&self.handle.shared).refresh().await
    }

    /// How it is doing.
    pub fn health(&self) -> RemoteKeysHealth {
        self.handle.shared.health()
    }
}

impl KeySource for RemoteJwks {
    fn keys(&self) -> KeySet {
        self.handle.shared.keys()
    }

    fn seek(&self, query: &KeyQuery<'_>) -> Option<KeyFuture> {
        Some(Box::pin(self.handle.shared.seek(query)?.wait()))
    }

    fn describe(&self) -> String {
        self.address()
    }
}

impl fmt::Debug for RemoteJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJwks").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}

/// [`RemoteJwks`] before it has started. Give it to [`Issuer::keys`](crate::Issuer), or start it.
///
/// Durations and numbers out of their bounds, and settings that are said twice and not alike, are a fault of the
/// policy, or of [`start_for`](Self::start_for).
#[derive(Clone)]
#[must_use]
pub struct RemoteJwksOptions {
    /// Of the set; `None`: of the issuer's metadata.
    url: Option<String>,
    pub(crate) settings: Settings,
    hosts: PlainHosts,
    client: Option<setting::Shared<dyn HttpClient>>,
    observers: Listeners<Observer>,
    words: Words,
}

impl RemoteJwksOptions {
    fn new(url: Option<String>) -> Self {
        Self {
            url,
            settings: Settings::default(),
            hosts: PlainHosts::default(),
            client: None,
            observers: Listeners::default(),
            words: Words::default(),
        }
    }

    /// For how long a set is fresh whose answer has no `Cache-Control: max-age`. 1 s to 24 h.
    ///
    /// If you do not call it: 5 minutes. A key that was withdrawn works for about that long.
    pub fn fresh_for(mut self, duration: Duration) -> Self {
        self.words.say("fresh_for", &mut self.settings.fresh_for, duration);
        self
    }

    /// The shortest freshness that an answer's `max-age` (less `Age`) can ask for, and what
    /// `no-store` and `no-cache` mean. 1 s to [`max_fresh`](Self::max_fresh).
    ///
    /// If you do not call it: 1 minute, so that a server which forbids to store is not asked all the time.
    pub fn min_fresh(mut self, duration: Duration) -> Self {
        self.words.say("min_fresh", &mut self.settings.min_fresh, duration);
        self
    }

    /// The longest freshness that an answer's `max-age` can ask for, and the longest that a
    /// `Retry-After` is waited for while there are keys. 1 s to 24 h.
    ///
    /// If you do not call it: 1 h. A withdrawn key must not work for a day because a header said so.
    pub fn max_fresh(mut self, duration: Duration) -> Self {
        self.words.say("max_fresh", &mut self.settings.max_fresh, duration);
        self
    }

    /// At which part of its freshness a set is fetched anew, in percent, ±10 % at random. 1 to 90.
    ///
    /// If you do not call it: 80, so that a failure can be mended before the set is no longer fresh. The
    /// fetch is conditional (`ETag`, `Last-Modified`).
    pub fn refresh_at_percent(mut self, percent: u8) -> Self {
        self.words.say("refresh_at_percent", &mut self.settings.refresh_at_percent, percent);
        self
    }

    /// How long after the begin of any fetch an unknown key id causes the next one, at the
    /// earliest. 1 s to 1 h.
    ///
    /// If you do not call it: 30 s, as other libraries have it. Whoever sends tokens with invented ids causes
    /// no more fetches than this, and a key that is used before it was fetched works this late, at
    /// the latest.
    pub fn cool_down(mut self, duration: Duration) -> Self {
        self.words.say("cool_down", &mut self.settings.cool_down, duration);
        self
    }

    /// How long a request with an unknown key id, or before the first set, waits for a fetch. One
    /// that cannot begin within this time is not waited for. 0 to 60 s.
    ///
    /// If you do not call it: 2 s. A key server that takes longer has a problem, and so would its clients. With
    /// 0, an unknown key id gets 503 whenever a fetch is under way.
    pub fn max_wait(mut self, duration: Duration) -> Self {
        self.words.say("max_wait", &mut self.settings.max_wait, duration);
        self
    }

    /// How many requests wait at a time for a key that is not among those at hand. Others get 503 at once. 0 to 100000.
    ///
    /// If you do not call it: 64. Whoever invents key ids must not make requests pile up.
    pub fn max_waiting(mut self, requests: usize) -> Self {
        self.words.say("max_waiting", &mut self.settings.max_waiting, requests);
        self
    }

    /// How many requests wait at a time while there are no keys at all: after a start, or after an outage of over
    /// [`max_stale`](Self::max_stale). Others get 503 at once. 0 to 100000.
    ///
    /// If you do not call it: 2048. Then everybody's token waits, and not only one with an unknown key id, so that
    /// [`max_waiting`](Self::max_waiting) would turn good requests away. As many come to a service of a thousand
    /// requests a second within [`max_wait`](Self::max_wait); where more come, who waits longest would only be told
    /// 503 later. Each takes some 200 bytes here, its key id (at most 1 KiB), and what your server keeps of a request.
    pub fn max_waiting_without_keys(mut self, requests: usize) -> Self {
        let place = &mut self.settings.max_waiting_without_keys;
        self.words.say("max_waiting_without_keys", place, requests);
        self
    }

    /// How long after a first failure the next fetch begins, at the latest. Doubles with each
    /// further failure. 100 ms to 1 h.
    ///
    /// If you do not call it: 1 s. The time is chosen at random up to this (*full jitter*), so that a fleet
    /// does not come back all at once; a `Retry-After` of 429 and 503 is honoured.
    pub fn first_retry(mut self, duration: Duration) -> Self {
        self.words.say("first_retry", &mut self.settings.first_retry, duration);
        self
    }

    /// How long after a failure the next fetch begins, at the latest, however many there were. While there are no
    /// keys, also where a `Retry-After` asks for more. [`first_retry`](Self::first_retry) to 1 h.
    ///
    /// If you do not call it: 60 s. A key server that is back is found within this time.
    pub fn max_retry(mut self, duration: Duration) -> Self {
        self.words.say("max_retry", &mut self.settings.max_retry, duration);
        self
    }

    /// How long keys serve after the last fetch that succeeded. [`fresh_for`](Self::fresh_for) to
    /// 7 days.
    ///
    /// If you do not call it: 24 h. It bounds how long a key can live that was withdrawn while the server
    /// could not be reached, and how long an outage can last.
    pub fn max_stale(mut self, duration: Duration) -> Self {
        self.words.say("max_stale", &mut self.settings.max_stale, duration);
        self
    }

    /// For how long to wait for a connection, name and TLS included. 1 ms to 60 s. Of the default
    /// client only.
    ///
    /// If you do not call it: 2 s.
    pub fn connect_timeout(mut self, duration: Duration) -> Self {
        self.words.say("connect_timeout", &mut self.settings.connect_timeout, duration);
        self
    }

    /// For how long to wait for a whole answer. 1 ms to 60 s.
    ///
    /// If you do not call it: 5 s. Half a second, as others have it, flaps with a server that is far away.
    pub fn timeout(mut self, duration: Duration) -> Self {
        self.words.say("timeout", &mut self.settings.timeout, duration);
        self
    }

    /// How long an answer may be, decompressed, in bytes. 1 KiB to 4 MiB.
    ///
    /// If you do not call it: 256 KiB. Sets with certificate chains of a dozen keys have some 100 KiB.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.words.say("max_bytes", &mut self.settings.max_bytes, bytes);
        self
    }

    /// How many entries a set may have, usable or not. A larger one is refused whole. 1 to 1000.
    ///
    /// If you do not call it: 100. Providers publish 2 to 10.
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.words.say("max_keys", &mut self.settings.max_keys, keys);
        self
    }

    /// Refuses metadata that name keys at another scheme, host or port than their own.
    ///
    /// If you do not call it: any `https` address, since large providers have their keys on another host. But for an issuer of a
    /// [template](crate::Issuer::template) or predicate it is as if this were called: whoever runs the provider of
    /// such a tenant could otherwise have this program ask any address, one inside your network as well.
    pub fn same_origin(mut self) -> Self {
        self.words.say("same_origin", &mut self.settings.same_origin, Some(true));
        self
    }

    /// Takes keys from wherever metadata say, also for issuers of a [template](crate::Issuer::template) or predicate.
    /// The opposite of [`same_origin`](Self::same_origin): to say both is a fault.
    ///
    /// With a predicate that trusts providers which others run, each of them can then have this program send a `GET`
    /// to any `https` address that it reaches: it sees whether that answers in time, and nothing of the answer.
    ///
    /// If you do not call it: so for a single issuer, and for those of a template or predicate the same origin only.
    pub fn any_origin(mut self) -> Self {
        self.words.say("same_origin", &mut self.settings.same_origin, Some(false));
        self
    }

    /// Fetches before the policy is built, and refuses to build it if that fails. Blocks the
    /// thread that builds it, for at most the [time-out](Self::timeout) of each request.
    ///
    /// If you do not call it: the service starts even if the key server is down, and its tokens get 503 until
    /// there are keys.
    pub fn load_at_start(mut self) -> Self {
        self.settings.load_at_start = true;
        self
    }

    /// Fetches from a host without TLS. See [`dangerous::allow_http`](crate::dangerous::allow_http).
    ///
    /// If you do not call it: only from loopback.
    pub fn allow_http(mut self, allowed: AllowHttp) -> Self {
        self.hosts.0.push(allowed.0);
        self
    }

    /// A proxy to fetch through: `http://proxy.internal:3128`. Keys at `https` go through a tunnel, whose
    /// ends are this program and the key server. Of the default client only; for a proxy that wants a
    /// password, build a [`Client`](crate::fetch::Client).
    ///
    /// If you do not call it: no proxy. The variables of the environment (`HTTPS_PROXY`) do not count, since
    /// whoever sets them would decide where keys come from.
    pub fn proxy(mut self, address: impl Into<String>) -> Self {
        self.words.say("proxy", &mut self.settings.proxy, Some(address.into()));
        self
    }

    /// What fetches: a [`Client`](crate::fetch::Client) for a private certificate authority, a client
    /// certificate or a proxy with a password, or an HTTP library of your own.
    ///
    /// If you do not call it: reqwest with rustls and the certificates of the operating system.
    pub fn client(mut self, client: impl HttpClient) -> Self {
        let client: Arc<dyn HttpClient> = Arc::new(client);
        self.words.say("client", &mut self.client, Some(setting::Shared(client)));
        self
    }

    /// Is told the issuer and what happened to its keys, from the thread that fetches: it must not
    /// block, nor hold a policy or a handle with these keys, which would then never end.
    ///
    /// Called again, all are told. If you do not call it: nobody is, but for `tracing`.
    pub fn on_event(
        mut self,
        observer: impl Fn(&str, &RemoteKeysEvent) + Send + Sync + 'static,
    ) -> Self {
        self.observers.add(Arc::new(observer));
        self
    }

    /// Starts it for the issuer of this identifier: to wait for its keys, to see its health, or
    /// to give it to several policies, which then share one set.
    ///
    /// # Errors
    ///
    /// A setting is out of its bounds, the address is not fit, or the thread cannot be had. With
    /// [`load_at_start`](Self::load_at_start) also: the first fetch failed.
    pub fn start_for(self, issuer: impl Into<String>) -> Result<RemoteJwks, RemoteJwksError> {
        let loads = self.settings.load_at_start;
        let thread = Thread::get().map_err(|error| RemoteJwksError::Thread(error.to_string()))?;
        let shared = self.clone().prepare(issuer.into(), |settings| {
            thread.client(settings.connect_timeout, settings.proxy.as_deref())
        })?;
        let (stop, stopped) = oneshot::channel();
        thread.spawn(drive(Arc::clone(&shared), stopped));
        if loads {
            let (answer, answered) = mpsc::channel();
            let shared = Arc::clone(&shared);
            thread.spawn(async move {
                // Whoever asked waits for it.
                let _ = answer.send(shared.refresh().await);
            });
            match answered.recv() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(RemoteJwksError::FirstFetch(error)),
                Err(_) => return Err(RemoteJwksError::Thread("it ended".to_owned())),
            }
        }
        let handle = Handle { shared, options: self, _stop: stop, _thread: thread };
        Ok(RemoteJwks { handle: Arc::new(handle) })
    }

    /// Whether both fetch the same keys in the same way, and tell the same observers.
    fn is_same_as(&self, other: &Self) -> bool {
        let Self { url, settings, hosts, client, observers, words: _ } = self;
        *url == other.url
            && *settings == other.settings
            && hosts.0 == other.hosts.0
            && *client == other.client
            && *observers == other.observers
    }

    /// Finds the faults that starting would, but for those of a first fetch.
    pub(crate) fn check(&self, issuer: &str) -> Result<(), RemoteJwksError> {
        self.place(issuer).map(drop)
    }

    fn place(&self, issuer: &str) -> Result<KeyAddress, RemoteJwksError> {
        let mut faults = self.settings.faults();
        faults.extend(self.words.contradicted().map(SettingFault::said_twice));
        faults.extend(self.hosts.fault());
        if !faults.is_empty() {
            return Err(RemoteJwksError::Settings(faults));
        }
        let address = self.url.as_deref().unwrap_or(issuer);
        let place = match &self.url {
            _ if address.contains(['{', '}']) => Err(AddressFault::Tenant),
            Some(url) => self.hosts.parse(url).map(KeyAddress::Keys),
            None => metadata_addresses(issuer, &self.hosts).map(KeyAddress::Metadata),
        };
        place.map_err(|fault| RemoteJwksError::Address { address: shown(address), fault })
    }

    /// All but the driver.
    fn prepare<C: HttpClient>(
        self,
        issuer: String,
        default_client: impl FnOnce(&Settings) -> Arc<C>,
    ) -> Result<Arc<Shared>, RemoteJwksError> {
        let place = self.place(&issuer)?;
        let Self { settings, hosts, client, observers, .. } = self;
        let client = client.map_or_else(|| default_client(&settings) as _, |client| client.0);
        let source = Source { issuer, place, hosts, client, settings };
        Ok(Arc::new(Shared::new(source, observers)))
    }

    /// Whether a tenant would choose where its keys are.
    pub(crate) fn check_tenant(&self) -> Result<(), RemoteJwksError> {
        match &self.url {
            Some(url) if chooses_domain(url) => {
                let (address, fault) = (shown(url), AddressFault::TenantHost);
                Err(RemoteJwksError::Address { address, fault })
            }
            _ => Ok(()),
        }
    }

    /// Whether each issuer that a rule makes has keys of its own by these.
    pub(crate) fn is_of_one_tenant(&self) -> bool {
        self.url.as_ref().is_none_or(|url| url.contains(TENANT))
    }

    /// Where each tenant's keys are, and the hosts that may be asked for them without TLS.
    #[cfg(feature = "explain")]
    pub(crate) fn place_and_plain_hosts(&self) -> (Option<String>, &[String]) {
        (self.url.as_deref().map(shown), &self.hosts.0)
    }

    /// Whether metadata of a tenant may name keys of another origin.
    #[cfg(feature = "explain")]
    pub(crate) fn takes_any_origin(&self) -> bool {
        self.settings.same_origin == Some(false)
    }

    #[cfg(feature = "explain")]
    pub(crate) fn bounds(&self) -> (Duration, Duration) {
        (self.settings.max_fresh, self.settings.max_stale)
    }

    /// These options for an issuer that a rule makes, with what a template calls it.
    pub(crate) fn for_tenant(mut self, tenant: Option<&str>) -> Self {
        if let (Some(url), Some(tenant)) = (&mut self.url, tenant) {
            *url = url.replace(TENANT, tenant);
        }
        // Who runs a tenant's provider need not be trusted with more than that tenant.
        self.settings.same_origin.get_or_insert(true);
        // A request waits for it, and must not block.
        self.settings.load_at_start = false;
        self
    }
}

/// What stands for the tenant in a template.
pub(crate) const TENANT: &str = "{tenant}";

impl fmt::Debug for RemoteJwksOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJwksOptions")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Why remote keys do not start.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum RemoteJwksError {
    /// Settings are out of their bounds.
    Settings(Vec<SettingFault>),
    /// The address of the set, or the issuer's identifier that is to be one, is not fit.
    Address {
        /// The address, without user, query and fragment.
        address: String,
        /// Why.
        fault: AddressFault,
    },
    /// The first fetch failed, and [`load_at_start`](RemoteJwksOptions::load_at_start) was set.
    FirstFetch(KeyFetchError),
    /// The thread that fetches cannot be had.
    Thread(String),
}

impl fmt::Display for RemoteJwksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(faults) => {
                for (at, fault) in faults.iter().enumerate() {
                    write!(f, "{}{fault}", if at == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            Self::Address { address, fault } => write!(f, "`{}`: {fault}", address.escape_debug()),
            Self::FirstFetch(error) => error.fmt(f),
            Self::Thread(reason) => {
                write!(f, "the thread that fetches keys cannot be started: {reason}")
            }
        }
    }
}

debug_as_displayed!(RemoteJwksError);

impl core::error::Error for RemoteJwksError {}
