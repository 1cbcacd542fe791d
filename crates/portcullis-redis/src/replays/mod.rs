//! Used proofs (DPoP, RFC 9449 §11.1) that the instances of a service share.
mod memory;
mod shares;
mod store;
#[cfg(test)]
mod tests;
mod worker;

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use portcullis::UnixTime;
use portcullis::dpop::{ProofUse, Replays, ReplaysUnavailable, Spent};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::{Mutex, oneshot};

use self::memory::SLOT;
use self::store::{Answer, Entry, Layout};
use self::worker::{Question, State, Worker};
use crate::access::Access;
use crate::connection::{Place, failed};
use crate::error::RedisError;
use crate::thread::Thread;

/// What is so where nobody said otherwise; the setters say why.
const NAME: &str = "default";
const CAPACITY: usize = 1_000_000;
const TIMEOUT: Duration = Duration::from_secs(1);

/// The least room: less than what a few slots need says nothing about shares.
const LEAST: usize = 1000;

/// How many proofs may wait to be asked for. More could not be answered in time.
const WAITING: usize = 16_384;

/// The longest name.
const LONGEST_NAME: usize = 64;

/// When to try again, where nobody can tell.
const SOON: Duration = Duration::from_secs(1);

/// Remembers used proofs in a Redis that the instances of a service share: for [`Dpop::new`](portcullis::dpop::Dpop::new).
///
/// ```no_run
/// use portcullis::dpop::Dpop;
/// use portcullis_redis::{RedisError, RedisReplays};
///
/// async fn dpop() -> Result<Dpop, RedisError> {
///     let used = RedisReplays::server("rediss://orders:password@redis.internal")?
///         .name("orders") // a gateway in front has another
///         .connect()
///         .await?;
///     Ok(Dpop::new(used).at("https://api.example"))
/// }
/// ```
///
/// # What is promised
///
/// 1. Of all who come with one proof, at whatever instance and at the same time, one passes.
/// 2. Where the server lost its data, or may have, no proof passes that was made before: neither one that is judged by its client's
///    clock, nor one with a nonce of the time before. Their clients make new ones.
/// 3. Where it cannot be told whether a proof was used, the answer is 503. An answer that does not come in time is one of those: the
///    client makes a new proof.
/// 4. A holder of tokens (their issuer and subject) fills at most a sixteenth of the room, an issuer three quarters, and all of them the
///    [capacity](Self::capacity). Beyond that the answer is 503.
///
/// A server may have lost data when it was started anew (also with a log on disk), when another one took its place, when it was
/// emptied, or when its clock was put forward by more than 5 s. A master that gets its first replica counts as another one, too. Each
/// process asks once a second which server it is, and each use of a proof names the memory that it is for, so that one which was
/// emptied is noticed at once. After such a loss, proofs
/// that are judged by the clock are refused for 5 s and for as long as a client's clock may be ahead, which is 10 s if you do not
/// say otherwise. With [nonces](portcullis::dpop::Dpop::nonces), a client needs one more request.
///
/// # What is not promised
///
/// - *Exactly once, while two servers take writes.* A master that was cut off from the others takes proofs from the instances that
///   still reach it, and the one that took its place takes them from the rest. Proofs that are judged by the clock may pass once at
///   each. `min-replicas-to-write 1` with a short `min-replicas-max-lag` bounds how long that lasts. With nonces no proof passes at
///   both, since a nonce is of one memory.
/// - Behind a proxy that leads a connection to another server *without closing it*, a loss may go unnoticed for a second.
/// - A clock of the server that jumps ahead by more than 5 s and back again within a second may go unnoticed.
/// - A proof is remembered for as long as the policy that used it takes it. So a rollout to a wider window, or to no nonces, has a
///   gap: an instance with the new settings may take what one with the old settings used and forgot. Another
///   [name](Self::name) closes it. Within one process there is no gap.
/// - Who may write to Redis may make it forget.
///
/// # Clocks
///
/// A proof is over by the policy's clock, and is forgotten by the server's, 5 s after that. If the two differ by more, the answer is
/// 503: set both by one time source (NTP). In tests with a clock that stands still, that clock has to stand near the server's.
///
/// # What is in Redis
///
/// Under `{prefix}:replays:name:`, in one slot of a cluster: a key for each used proof, whose name is a keyed digest. Redis drops
/// it when the proof is over. It takes 180 to 210 bytes of the server's memory. Beside them, counts for the shares take at most
/// 1.3 MB for each 8 s, and are there for three times as long at most. The server must not drop keys on its own
/// (`maxmemory-policy noeviction`). When seven eighths of its memory are used, proofs are answered with 503, so that revocations
/// on the same server go on. A user of its own needs this (`ACL SETUSER`), with your prefix:
///
/// ```text
/// ~{portcullis}:replays:* +info +eval +hget +hmget +hset +time +set +bitfield +pexpireat
/// +multi +exec +select +ping
/// ```
///
/// By [`cluster`](Self::cluster) it asks for the slot as well: `+cluster|keyslot +cluster|slots`.
#[derive(Clone)]
#[must_use]
pub struct RedisReplays {
    access: Access,
    name: Option<String>,
    /// Said twice, and not alike.
    is_torn: bool,
    capacity: Option<usize>,
}

impl RedisReplays {
    fn new(access: Access) -> Self {
        Self { access, name: None, is_torn: false, capacity: None }
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

    /// Whose proofs these are: letters, digits, `-`, `_` and `.`, at most 64 of them. All instances of a service have the same name,
    /// and two services have two. A gateway that checks proofs and the backend behind it are two services: what the one has used, the
    /// other has not.
    ///
    /// Said twice, and not alike, it is a fault. If you do not call it: `default`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.is_torn |= self.name.as_ref().is_some_and(|before| *before != name);
        self.name = Some(name);
        self
    }

    /// What names of keys begin with, between braces.
    ///
    /// Said twice, and not alike, it is a fault. If you do not call it: `portcullis`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.access.prefix(prefix.into());
        self
    }

    /// For how many proofs there is room in Redis: at least 1000. They are counted over all instances, in slots of 8 s, to within what
    /// comes in 20 ms. With the usual window of 70 s, a million proofs are those of 8,900 requests a second, and of one holder, 558.
    /// They take 180 to 210 MB in Redis. Say the same at all instances.
    ///
    /// Called again, the fewest. If you do not call it: 1,000,000.
    pub fn capacity(mut self, proofs: usize) -> Self {
        self.capacity = Some(self.capacity.map_or(proofs, |before| before.min(proofs)));
        self
    }

    /// How long Redis may take for one answer, connections included. A request waits for at most twice as long, and is then
    /// answered with 503. While there is no connection, it does not wait.
    ///
    /// Called again, the shortest. If you do not call it: 1 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.access.timeout(timeout);
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

    fn layout(&self) -> Result<Layout, RedisError> {
        let name = self.name.as_deref().unwrap_or(NAME);
        let capacity = self.capacity.unwrap_or(CAPACITY);
        let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let fault = if let Some(fault) = self.access.fault() {
            fault
        } else if self.is_torn {
            "`name` is set twice, to different values: leave one out"
        } else if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_usual) {
            "`name` has 1 to 64 letters, digits, `-`, `_` and `.`"
        } else if self.access.answer_timeout(TIMEOUT).is_zero() {
            "`timeout` is longer than nothing"
        } else if capacity < LEAST {
            "`capacity` is at least 1000 proofs"
        } else {
            let capacity = u64::try_from(capacity).unwrap_or(u64::MAX).min(u32::MAX.into());
            return Ok(Layout::new(self.access.prefix_of_keys(), name, capacity));
        };
        Err(RedisError::Setting { fault })
    }

    /// Connects, and asks from then on, on a thread of its own, which ends with the last policy and handle that has the store. No
    /// runtime of the caller has to go on.
    ///
    /// # Errors
    ///
    /// A setting makes no sense, or the server cannot be used.
    pub async fn connect(&self) -> Result<UsedProofs, RedisError> {
        let layout = Arc::new(self.layout()?);
        let timeout = self.access.answer_timeout(TIMEOUT);
        let connector = self.access.connector(timeout, layout.memory.clone())?;
        let place = connector.place.clone();
        let (ask, questions) = mpsc::channel(WAITING);
        let (state, questions) = (Arc::new(State::new(timeout)), Arc::new(Mutex::new(questions)));
        let worker =
            Worker { connector, layout: Arc::clone(&layout), state: Arc::clone(&state), questions };
        let thread = Thread::start()?;
        let opened = thread.run({
            let worker = worker.clone();
            async move { worker.open().await }
        });
        let session = opened.await.ok_or_else(|| failed("the thread of used proofs ended"))??;
        // Nobody waits for it: it ends when nobody can ask.
        let (own, mut first) = (Arc::clone(&thread), Some(session));
        drop(thread.run(async move {
            own.keep_at("what asks for used proofs", || worker.clone().run(first.take())).await;
        }));
        let capacity = layout.capacity;
        Ok(UsedProofs { shared: Arc::new(Shared { place, capacity, state, ask }) })
    }
}

impl fmt::Debug for RedisReplays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisReplays")
            .field("place", &self.access.place)
            .field("prefix", &self.access.prefix_of_keys())
            .field("name", &self.name.as_deref().unwrap_or(NAME))
            .finish_non_exhaustive()
    }
}

/// Used proofs in Redis, from [`RedisReplays::connect`]. Clones are one store.
#[derive(Clone)]
pub struct UsedProofs {
    shared: Arc<Shared>,
}

struct Shared {
    place: Place,
    capacity: u64,
    state: Arc<State>,
    ask: Sender<Question>,
}

impl UsedProofs {
    /// Why nobody can tell at the moment which proofs were used. `None`: it can be told.
    pub fn error(&self) -> Option<RedisError> {
        self.shared.state.error()
    }
}

impl Replays for UsedProofs {
    fn spend(&self, proof: &ProofUse) -> Spent {
        let asked = Instant::now();
        let Some(memory) = self.shared.state.memory(asked) else { return unavailable(SOON) };
        if !memory.agrees_with(proof.now(), asked) {
            return unavailable(SOON);
        }
        if memory.may_have_forgotten(proof) {
            return Spent::Seen;
        }
        let (answer, told) = oneshot::channel();
        let entry = Entry::new(proof, &memory, self.shared.capacity);
        let question = Question { epoch: memory.epoch, entry, asked, answer };
        if self.shared.ask.try_send(question).is_err() {
            return unavailable(SOON);
        }
        Spent::Later(Box::pin(async move {
            match told.await {
                Ok(Answer::Fresh) => Ok(true),
                Ok(Answer::Seen) => Ok(false),
                Ok(Answer::NoRoom) => Err(after(Duration::from_secs(SLOT))),
                Err(_) => Err(after(SOON)),
            }
        }))
    }

    fn epoch(&self) -> u64 {
        self.shared.state.epoch()
    }

    fn birth(&self) -> Option<UnixTime> {
        let memory = self.shared.state.memory(Instant::now());
        memory.map(|memory| memory.birth_by_any_clock())
    }

    fn is_available(&self) -> bool {
        self.shared.state.memory(Instant::now()).is_some()
    }
}

fn after(retry_after: Duration) -> ReplaysUnavailable {
    ReplaysUnavailable { retry_after: Some(retry_after) }
}

fn unavailable(retry_after: Duration) -> Spent {
    Spent::Unavailable(after(retry_after))
}

impl fmt::Debug for UsedProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsedProofs")
            .field("place", &self.shared.place)
            .field("is_available", &self.is_available())
            .finish_non_exhaustive()
    }
}
