//! What a fleet shares, over Redis: revocations, and used proofs of DPoP.
//!
//! [`RedisReplays`] has all about used proofs. The rest of this page is about revocations.
//!
//! Each process has the whole list in memory, and requests ask no server. What one process revokes, Redis acknowledges,
//! and the others read it from a log within milliseconds. The guide's page on
//! [revocation](portcullis::guide::revocation#a-fleet-over-redis) begins at what you want, and has a
//! [picture](portcullis::guide::revocation#when-the-store-fails) of what happens when Redis fails. This page has the
//! promise in full.
//!
//! # Example
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use portcullis_redis::{RedisRevocations, StoreTerms};
//!
//! # async fn start(provider: portcullis::PolicyBuilder) -> Result<(), Box<dyn std::error::Error>> {
//! let redis = RedisRevocations::server("rediss://:password@redis.internal")?;
//!
//! // Once, when the service is set up: it makes the store.
//! redis.initialize(StoreTerms::new(Duration::from_secs(15 * 60))).await?;
//!
//! // In each process.
//! let revocations = redis.connect().await?;
//! let policy = provider
//!     .max_lifetime(Duration::from_secs(15 * 60))
//!     .revocations(revocations.enforce([portcullis::Revocable::Token]))
//!     .build()?;
//!
//! revocations.revoke_token("https://id.example", "the token's id", None).await?;
//! # let _ = policy;
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! | feature | what it gives, and what it adds |
//! | --- | --- |
//! | `tracing` (on by default) | events about the connection and the store, and those of the core. Adds 2 crates: `tracing` |
//!
//! # What is promised
//!
//! A process is *fresh as of* a moment, and believed for [`max_staleness`](RedisRevocations::max_staleness)
//! from then; after that its policies answer 503, or
//! [accept what nobody can tell](portcullis::dangerous::accept_unknown_revocation).
//!
//! 1. While Redis keeps its data, a process that is fresh as of a moment refuses everything whose
//!    revocation was acknowledged before it, and not [lifted](Revocations::lift) since.
//! 2. After a loss of data or a failover, every process notices. None is fresh as of a later moment until
//!    the survivors have given back what they hold, and only what no survivor held is lost. Survivors are
//!    the processes that reach the store within its [recovery](StoreTerms::recovery) after the first did.
//! 3. With [`durability`](RedisRevocations::durability), an acknowledged revocation is in so many
//!    replicas, and so is every heartbeat: a master that was cut off from them makes nobody fresh.
//!
//! A server may go back to any earlier state, any number of times: by crashes, by failovers to replicas that lack the
//! last writes, by volumes that are restored. How this is kept:
//!
//! - The store is made once, by [`initialize`](RedisRevocations::initialize). A server without it is *not
//!   ready*, never *empty and fresh*: who lost its data says so.
//! - One script on the server counts a sequence up, writes the state and appends to the log. Each entry of the log has a
//!   random name, and names the one before it. Followers check that the log has no gap and that it is their history; where
//!   it has one (the log was trimmed, or lost), they read the whole state anew.
//! - A heartbeat is a write, so that no replica answers it, and carries which server it is (its run and its
//!   replication id). The first from another server, or from the same one after a restart, begins a
//!   recovery, and gives it a random name: a number in the data would come again when the data go back. Freshness counts from
//!   when the last heartbeat was sent whose number the list has reached.
//! - A survivor looks for its last entry in the log. Where it stands as it was, nothing was lost, and the survivor goes on.
//!   Else it reads the state, and gives back what the state lacks.
//! - A recovery lasts by the store's own count of time, to which no heartbeat adds more than two seconds: the server's clock
//!   may jump.
//! - A server is refused that may drop keys (`maxmemory-policy` other than `noeviction`), or whose clock is more than
//!   five minutes off.
//! - Before a revocation is acknowledged, the script looks whether its name was lifted oftener than the process knows
//!   ([`RedisError::Lifted`]): those who know would not go by it.
//!
//! What it does not do: without `durability`, Redis acknowledges what only its master has, and a master
//! that is cut off from its replicas, but not from a process, keeps that process fresh. Set
//! `min-replicas-to-write` on the server, or `durability` here. And where keys are put back *under a running server*
//! (`RESTORE`), survivors notice and give back, but who starts before they do cannot know: restart a server whose data you
//! restore. A revocation that is made where Redis has lost the lift of the same name, by a process that never heard of it, goes
//! with what was lifted once a survivor gives the lift back.
//!
//! # What is in Redis
//!
//! Under `{prefix}:revocations:`, in one slot of a cluster: digests of what was revoked (keyed, so that
//! they say nothing without the key, which stands beside them), an instant or version, and an end. Keys
//! are dropped by Redis when the last entry in them is over. An entry takes some 100 bytes, and as
//! many in the log, which has 100,000 entries at most. Tested with Redis 6.2, 7.0 and 8.0, and with Valkey 8.1 and 9.1.
//!
//! Give it a Redis of its own: heartbeats are writes, so that another application which fills the memory makes every list
//! stale ([`RedisError::Memory`]). A user of its own needs this (`ACL SETUSER`), with your prefix:
//!
//! ```text
//! ~{portcullis}:revocations:* +info +eval +evalsha +script|load +hmget +hset
//! +hget +hincrby
//! +hscan +exists +del +unlink +time +zadd +zrem +zcard +zrange
//! +zremrangebyscore +xadd +xread
//! +xrange +expireat +wait +multi +exec +select +ping
//! ```
//!
//! By [`cluster`](RedisRevocations::cluster) it asks for the slot as well: `+cluster|keyslot +cluster|slots`.
// The pages on the web say of each item which feature it needs (`make docs-rs`).
#![cfg_attr(docsrs, feature(doc_cfg))]
mod access;
mod address;
mod connection;
mod error;
mod follower;
mod own_revocations;
mod protocol;
mod replays;
mod store;
#[cfg(test)]
mod tests;
mod thread;
mod writer;

use core::time::Duration;
use core::{fmt, mem};
use std::sync::Arc;

use portcullis::revocation::store::RevocationList;
use portcullis::revocation::{RevocationEvent, RevocationOptions};
use portcullis::{Clock, Revocations};
use tokio::time::sleep;

use self::access::{Access, shortest};
use self::connection::{Connector, failed};
pub use self::error::RedisError;
use self::follower::{Follower, Session};
use self::own_revocations::Own;
pub use self::replays::{RedisReplays, UsedProofs};
use self::store::{Keys, Layout, Offer, Terms, draw, random};
use self::thread::Thread;
use self::writer::Writer;

/// What is so where nobody said otherwise; the setters say why.
const MAX_STALENESS: Duration = Duration::from_secs(60);
const HEARTBEAT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);
const LOG_LENGTH: usize = 100_000;
const LEEWAY: Duration = Duration::from_secs(30);
const RECOVERY: Duration = Duration::from_secs(10);

/// The longest that a list may be believed without news: an outage that lasts longer is one that somebody
/// notices, and revocation must not end with it.
const LONGEST_STALENESS: Duration = Duration::from_secs(60 * 60);

/// Revocations in a Redis that a fleet shares.
///
/// ```no_run
/// use std::time::Duration;
///
/// use portcullis::Revocations;
/// use portcullis_redis::{RedisError, RedisRevocations};
///
/// async fn connect() -> Result<Revocations, RedisError> {
///     RedisRevocations::server("rediss://orders:password@redis.internal")?
///         .max_staleness(Duration::from_secs(30)) // 503 after that
///         .durability(1) // acknowledged once a replica has it, too
///         .connect()
///         .await
/// }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisRevocations {
    access: Access,
    max_staleness: Option<Duration>,
    heartbeat: Option<Duration>,
    durability: u64,
    log_length: Option<usize>,
    options: RevocationOptions,
}

/// How the store is made. See [`RedisRevocations::initialize`].
///
/// ```
/// use std::time::Duration;
///
/// use portcullis_redis::StoreTerms;
///
/// let terms = StoreTerms::new(Duration::from_secs(15 * 60))
///     .recovery(Duration::from_secs(20));
/// # let _ = terms;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct StoreTerms {
    max_lifetime: Duration,
    leeway: Option<Duration>,
    recovery: Option<Duration>,
}

impl StoreTerms {
    /// For tokens that live at most so long, in whole seconds: policies with a longer
    /// [maximum lifetime](portcullis::PolicyBuilder::max_lifetime) do not build.
    pub fn new(max_lifetime: Duration) -> Self {
        Self { max_lifetime, leeway: None, recovery: None }
    }

    /// The largest leeway of the policies, in whole seconds.
    ///
    /// Called again, the largest. If you do not call it: 30 s, as for policies.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = self.leeway.max(Some(leeway));
        self
    }

    /// For how long after a loss or failover survivors may come back with what they hold, from the first
    /// one on. Nobody is fresh until then; their lists still serve, for their
    /// [staleness](RedisRevocations::max_staleness). A store that was just made takes as long before it
    /// is used, since it might be one that was lost.
    ///
    /// Called again, the longest. If you do not call it: 10 s. A process is back within a second of the server; Sentinels
    /// agree within a few.
    pub fn recovery(mut self, recovery: Duration) -> Self {
        self.recovery = self.recovery.max(Some(recovery));
        self
    }
}

impl RedisRevocations {
    fn new(access: Access) -> Self {
        Self {
            access,
            max_staleness: None,
            heartbeat: None,
            durability: 0,
            log_length: None,
            options: RevocationOptions::new(),
        }
    }

    /// One server: `redis://` or, with TLS, `rediss://`, then `[user:password@]host[:port][/database]`.
    ///
    /// # Errors
    ///
    /// It is no such address.
    pub fn server(url: &str) -> Result<Self, RedisError> {
        Access::server(url).map(Self::new)
    }

    /// The master of that name, which one of these Sentinels knows. User, password, database and TLS of
    /// `server` are for the master; its host is not used.
    ///
    /// # Errors
    ///
    /// One of them is no address.
    pub fn sentinel<'u>(
        sentinels: impl IntoIterator<Item = &'u str>,
        name: impl Into<String>,
        server: &str,
    ) -> Result<Self, RedisError> {
        Access::sentinel(sentinels, name.into(), server).map(Self::new)
    }

    /// A cluster, of which some nodes are named. All keys are in one slot.
    ///
    /// # Errors
    ///
    /// One of them is no address.
    pub fn cluster<'u>(nodes: impl IntoIterator<Item = &'u str>) -> Result<Self, RedisError> {
        Access::cluster(nodes).map(Self::new)
    }

    /// What names of keys begin with, between braces.
    ///
    /// Said twice, and not alike, it is a fault. If you do not call it: `portcullis`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.access.prefix(prefix.into());
        self
    }

    /// Trusts these certificates (PEM), and no others, with `rediss://`.
    ///
    /// Called again, those of each call. If you do not call it: those that the operating system trusts.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.access.root_certificates(&pem.into());
        self
    }

    /// Shows this certificate to a server that asks for one, with `rediss://`: a chain (PEM), its own first, and its private
    /// key (PEM). Redis asks for one unless it says `tls-auth-clients no`.
    ///
    /// Said twice, and not alike, it is a fault. If you do not call it: none is shown.
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.access.client_certificate(chain.into(), key.into());
        self
    }

    /// For how long the list is believed without news: longer than
    /// [a recovery](StoreTerms::recovery) takes, or each of them turns requests away.
    ///
    /// More than the heartbeat, and at most an hour. Called again, the shortest.
    ///
    /// If you do not call it: 60 s. It is how late a revocation can be where
    /// Redis is out of reach, and what an outage may last before requests are refused.
    pub fn max_staleness(mut self, staleness: Duration) -> Self {
        self.max_staleness = shortest(self.max_staleness, staleness);
        self
    }

    /// How often each process asks how far the log is. Revocations do not wait for it.
    ///
    /// Called again, the shortest. If you do not call it: 1 s.
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat = shortest(self.heartbeat, every);
        self
    }

    /// How long Redis may take for one answer, connections included.
    ///
    /// Called again, the shortest. If you do not call it: 2 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.access.timeout(timeout);
        self
    }

    /// How many replicas must have a write before it counts: a revocation that fewer have fails, and a
    /// heartbeat makes nobody fresh. `WAIT`, and so a copy in memory; a replica may still be the wrong
    /// one to promote if it is not the most recent.
    ///
    /// Called again, the most. If you do not call it: none, so that one server will do.
    pub fn durability(mut self, replicas: u32) -> Self {
        self.durability = self.durability.max(replicas.into());
        self
    }

    /// How many entries the log keeps, about. Whoever is further behind reads the whole state.
    ///
    /// Called again, the most. If you do not call it: 100,000.
    pub fn log_length(mut self, entries: usize) -> Self {
        self.log_length = self.log_length.max(Some(entries));
        self
    }

    /// For how many entries this process has room; see [`RevocationOptions::capacity`]. One that has not
    /// enough for all is not fresh.
    ///
    /// If you do not call it: 1,000,000.
    pub fn capacity(mut self, entries: usize) -> Self {
        self.options = self.options.capacity(entries);
        self
    }

    /// See [`RevocationOptions::clock`]. Redis has its own.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.options = self.options.clock(clock);
        self
    }

    /// See [`RevocationOptions::on_event`].
    pub fn on_event(mut self, observer: impl Fn(&RevocationEvent) + Send + Sync + 'static) -> Self {
        self.options = self.options.on_event(observer);
        self
    }

    fn longest_staleness(&self) -> Duration {
        self.max_staleness.unwrap_or(MAX_STALENESS)
    }

    fn beat_interval(&self) -> Duration {
        self.heartbeat.unwrap_or(HEARTBEAT)
    }

    fn answer_timeout(&self) -> Duration {
        self.access.answer_timeout(TIMEOUT)
    }

    fn connector(&self, layout: &Layout) -> Result<Connector, RedisError> {
        self.access.connector(self.answer_timeout(), layout.keys.meta.clone())
    }

    fn layout(&self) -> Result<Layout, RedisError> {
        let log_length = self.log_length.unwrap_or(LOG_LENGTH);
        let fault = if let Some(fault) = self.access.fault() {
            fault
        } else if self.beat_interval().is_zero() || self.answer_timeout().is_zero() {
            "`heartbeat` and `timeout` are longer than nothing"
        } else if self.longest_staleness() <= self.beat_interval() {
            "`max_staleness` is longer than `heartbeat`, or no process is ever fresh"
        } else if self.longest_staleness() > LONGEST_STALENESS {
            "`max_staleness` is at most an hour: whoever cuts a process off from Redis keeps revoked tokens alive for as long"
        } else if log_length == 0 {
            "`log_length` is at least 1"
        } else {
            return Ok(Layout {
                keys: Keys::new(self.access.prefix_of_keys()),
                log_length,
                durability: self.durability,
                timeout: self.answer_timeout(),
            });
        };
        Err(RedisError::Setting { fault })
    }

    /// Makes the store, if it is not there: once, when the fleet is set up, and again after Redis lost
    /// its data. `false`: it was there.
    ///
    /// It may be called by every process that starts, but then a server that lost its data heals itself,
    /// and what no process holds any more is forgotten without anybody having decided so.
    ///
    /// # Errors
    ///
    /// The server cannot be used, or the store is there with [other terms](RedisError::OtherTerms).
    pub async fn initialize(&self, terms: StoreTerms) -> Result<bool, RedisError> {
        if terms.max_lifetime.as_secs() == 0 {
            return Err(RedisError::Setting { fault: "`max_lifetime` is at least a second" });
        }
        let layout = self.layout()?;
        let mut connection = self.connector(&layout)?.open(Duration::ZERO).await?;
        let StoreTerms { max_lifetime, leeway, recovery } = terms;
        let leeway = leeway.unwrap_or(LEEWAY);
        let recovery = recovery.unwrap_or(RECOVERY);
        layout.initialize(&mut connection, Terms::new(max_lifetime, leeway), recovery).await
    }

    /// Connects, reads all, and follows from then on, on a thread of its own, which ends with the last policy and handle
    /// that has the list. No runtime of the caller has to go on.
    ///
    /// A store that was just made is waited for.
    ///
    /// # Errors
    ///
    /// The server cannot be used, there is no store, or there is not enough room for all entries.
    pub async fn connect(&self) -> Result<Revocations, RedisError> {
        let layout = self.layout()?;
        let connector = self.connector(&layout)?;
        let thread = Thread::start()?;
        let (settings, own) = (self.clone(), Arc::new(Own::default()));
        let started = thread.run({
            let (connector, layout, own) = (connector.clone(), layout.clone(), Arc::clone(&own));
            async move { settings.start(connector, layout, own).await }
        });
        let (list, terms, follower, session) = started.await.ok_or_else(ended)??;
        let writer =
            Writer::new(connector, layout, terms.width, own, list.clone(), Arc::clone(&thread));
        // Nobody waits for it: it ends with the list.
        let (own, mut next, mut first) = (Arc::clone(&thread), follower, Some(session));
        drop(thread.run(async move {
            let begin = || {
                let again = next.anew();
                mem::replace(&mut next, again).run(first.take())
            };
            own.keep_at("the follower of revocations", begin).await;
        }));
        Ok(Revocations::new(list, writer))
    }

    /// A list with all that the store has, and who follows it.
    async fn start(
        self,
        connector: Connector,
        layout: Layout,
        own: Arc<Own>,
    ) -> Result<(RevocationList, Terms, Follower, Session), RedisError> {
        let (key, terms) = self.first_beat(&connector, &layout).await?;
        let (heartbeat, staleness) = (self.beat_interval(), self.longest_staleness());
        let options = self.options.max_lifetime(terms.max_lifetime).leeway(terms.leeway);
        let list = options.shared(key, staleness);
        let mut follower = Follower::new(connector, layout, heartbeat, terms, draw()?, own, &list);
        let session = follower.start().await?;
        Ok((list, terms, follower, session))
    }

    /// The key of the digests, and the terms of the store. A new store has no key until its recovery is
    /// over.
    async fn first_beat(
        &self,
        connector: &Connector,
        layout: &Layout,
    ) -> Result<([u8; 16], Terms), RedisError> {
        let mut connection = connector.open(Duration::ZERO).await?;
        // A key that nobody has made entries with.
        let key = random()?;
        let fingerprint = self.options.clone().shared(key, self.longest_staleness()).fingerprint();
        let offer = Offer { key, fingerprint, stamp: None, diverged: None, publisher: None };
        loop {
            let beat = layout.beat(&mut connection, &offer).await?;
            if let Some(key) = beat.key {
                return Ok((key, beat.terms));
            }
            #[cfg(feature = "tracing")]
            tracing::debug!("the store of revocations is new: waiting for survivors of another");
            sleep(self.beat_interval().min(Duration::from_millis(100))).await;
        }
    }
}

fn ended() -> RedisError {
    failed("the thread of revocations ended")
}

impl fmt::Debug for RedisRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocations")
            .field("place", &self.access.place)
            .field("prefix", &self.access.prefix_of_keys())
            .finish_non_exhaustive()
    }
}
