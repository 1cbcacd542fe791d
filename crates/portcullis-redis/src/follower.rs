//! Keeps a process's list in step with the store.
//!
//! What it proves before it calls the list fresh as of some moment:
//!
//! 1. a heartbeat sent after that moment said what the sequence is, on a server that takes writes;
//! 2. the list has every entry up to that number: from the state, or from a log without a gap;
//! 3. the store is the one that was read: same epoch, same term, and so the same server with the same
//!    data, or one whose recovery is over, and to which this process gave back what it held.
use core::pin::pin;
use core::time::Duration;
use std::collections::VecDeque;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use portcullis::{Moment, RevocationEntry, RevocationList, WeakRevocationList};
use redis::streams::StreamReadReply;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::connection::{Connection, Connector};
use crate::error::RedisError;
use crate::store::{Beat, Layout, Offer, Terms, logged};

/// For how long one read of the log waits for news. It costs a round trip when it is over.
const READ: Duration = Duration::from_secs(5);

/// How many entries of the log are read at once.
const MOST: usize = 1000;

/// How soon a connection that broke is tried again, and how seldom at most. A process must be back well
/// before a recovery is over.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_millis(500);

/// When a list without room for all looks again whether there is some.
const FULL_RETRY: Duration = Duration::from_secs(30);

/// How many heartbeats may wait for the log.
const WAITING: usize = 64;

pub(crate) struct Follower {
    pub(crate) connector: Connector,
    pub(crate) layout: Layout,
    pub(crate) heartbeat: Duration,
    pub(crate) terms: Terms,
    /// Who this is, while it gives back what it holds.
    pub(crate) id: String,
    list: WeakRevocationList,
    /// Which store the list was read from.
    origin: Option<Origin>,
    /// The log cannot be continued: all is read anew.
    is_behind: bool,
    /// The number of the last entry that the list has.
    position: u64,
    /// The number of the last entry that the store was heard to have.
    known: u64,
}

/// A store, from one recovery to the next.
#[derive(Eq, PartialEq)]
struct Origin {
    epoch: String,
    term: u64,
}

impl Origin {
    fn of(beat: &Beat) -> Self {
        Self { epoch: beat.epoch.clone(), term: beat.term }
    }
}

/// Two connections to one server: one that asks, and one that waits for the log.
pub(crate) struct Session {
    main: Connection,
    log: Connection,
    /// Heartbeats whose number the list has not reached yet.
    waiting: VecDeque<(u64, Moment)>,
}

/// Nobody has the list any more.
struct Over;

impl Follower {
    pub(crate) fn new(
        connector: Connector,
        layout: Layout,
        heartbeat: Duration,
        terms: Terms,
        id: String,
        list: &RevocationList,
    ) -> Self {
        let list = list.downgrade();
        Self {
            connector,
            layout,
            heartbeat,
            terms,
            id,
            list,
            origin: None,
            is_behind: true,
            position: 0,
            known: 0,
        }
    }

    /// Follows for as long as somebody has the list.
    pub(crate) async fn run(mut self, first: Session) {
        let mut session = Some(first);
        let mut delays = Self::delays();
        loop {
            let opened = match session.take() {
                Some(session) => Ok(session),
                None => self.start().await,
            };
            let ended = match opened {
                Ok(session) => {
                    delays = Self::delays();
                    match self.follow(session).await {
                        Ok(Over) => return,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            if self.list.upgrade().is_none() {
                return;
            }
            #[cfg(feature = "tracing")]
            tracing::warn!(error = %ended, "revocations are not followed");
            let delay = match ended {
                RedisError::Full => FULL_RETRY,
                _ => delays.next().unwrap_or(LAST_RETRY),
            };
            sleep(delay).await;
        }
    }

    fn delays() -> impl Iterator<Item = Duration> {
        ExponentialBuilder::default()
            .with_min_delay(FIRST_RETRY)
            .with_max_delay(LAST_RETRY)
            .with_jitter()
            .without_max_times()
            .build()
    }

    /// Connects, and brings the list up to date.
    pub(crate) async fn start(&mut self) -> Result<Session, RedisError> {
        let main = self.connector.open(Duration::ZERO).await?;
        let log = self.connector.open(READ).await?;
        // Numbers of one server's log say nothing of another's.
        if main.incarnation != log.incarnation {
            return Err(RedisError::OtherServer);
        }
        let mut session = Session { main, log, waiting: VecDeque::new() };
        let Some(list) = self.list.upgrade() else { return Ok(session) };
        let beat = self.beat(&mut session, &list).await?;
        self.settle(&mut session, &list, beat).await?;
        Ok(session)
    }

    async fn beat(&self, session: &mut Session, list: &RevocationList) -> Result<Beat, RedisError> {
        let offer = Offer {
            key: list.key(),
            fingerprint: list.fingerprint(),
            is_in_use: self.origin.is_some(),
        };
        let beat = self.layout.beat(&mut session.main, offer).await?;
        if session.main.incarnation != session.log.incarnation {
            return Err(RedisError::OtherServer);
        }
        if beat.terms != self.terms {
            let Terms { max_lifetime, leeway, .. } = beat.terms;
            return Err(RedisError::OtherTerms { max_lifetime, leeway });
        }
        Ok(beat)
    }

    /// Brings the list up to what a heartbeat said, from whichever store it came.
    async fn settle(
        &mut self,
        session: &mut Session,
        list: &RevocationList,
        beat: Beat,
    ) -> Result<(), RedisError> {
        let mut beat = beat;
        let origin = Origin::of(&beat);
        if self.origin.as_ref() != Some(&origin) {
            // A store that was just made has no key until somebody chose one.
            let key = beat.key.ok_or(RedisError::Uninitialized)?;
            if key != list.key() {
                list.restart(key);
            } else if self.origin.is_some() {
                self.give_back(session, list).await?;
            }
            self.is_behind = true;
        }
        if self.is_behind {
            // The position first, then all of the state, then what came meanwhile, from the log.
            beat = self.beat(session, list).await?;
            if Origin::of(&beat) != origin {
                // It became another store meanwhile, and that one was given nothing yet.
                return Err(RedisError::OtherServer);
            }
            list.begin();
            let take = |entry: &RevocationEntry| list.apply(entry).map_err(|_| RedisError::Full);
            self.layout.read(&mut session.main, list.fingerprint(), take).await?;
            self.position = beat.sequence;
            self.origin = Some(origin);
            self.is_behind = false;
        }
        self.wait_for(session, list, &beat);
        Ok(())
    }

    /// Writes all that the list has, and the store may have lost.
    async fn give_back(
        &self,
        session: &mut Session,
        list: &RevocationList,
    ) -> Result<(), RedisError> {
        let entries = list.entries();
        let count = entries.len();
        let width = self.terms.width;
        self.layout.publish(&mut session.main, entries, width, Some(&self.id)).await?;
        self.layout.published(&mut session.main, &self.id).await?;
        list.gave_back(count);
        Ok(())
    }

    /// The list is fresh as of this heartbeat once it has reached its number, unless others may still
    /// give back what the store lost.
    fn wait_for(&mut self, session: &mut Session, list: &RevocationList, beat: &Beat) {
        self.known = beat.sequence;
        if !beat.is_recovering && session.waiting.len() < WAITING {
            session.waiting.push_back((beat.sequence, beat.sent));
        }
        self.hear(session, list);
    }

    /// Says how far the list is.
    fn hear(&self, session: &mut Session, list: &RevocationList) {
        list.set_lag(self.known.saturating_sub(self.position));
        while let Some((number, sent)) = session.waiting.front().copied() {
            if number > self.position {
                break;
            }
            list.heard(sent);
            session.waiting.pop_front();
        }
    }

    async fn follow(&mut self, mut session: Session) -> Result<Over, RedisError> {
        let mut ticks = interval(self.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            let mut log = session.log.redis.clone();
            let (key, position) = (self.layout.keys.log.clone(), self.position);
            let mut news = pin!(async move {
                redis::cmd("XREAD")
                    .arg("COUNT")
                    .arg(MOST)
                    .arg("BLOCK")
                    .arg(READ.as_millis() as u64)
                    .arg("STREAMS")
                    .arg(key)
                    .arg(format!("{position}-0"))
                    .query_async::<Option<StreamReadReply>>(&mut log)
                    .await
            });
            // One read of the log stays under way while hearts beat.
            let read = loop {
                tokio::select! {
                    read = &mut news => break read?,
                    _ = ticks.tick() => {
                        let Some(list) = self.list.upgrade() else { return Ok(Over) };
                        let beat = self.beat(&mut session, &list).await?;
                        if self.origin.as_ref() != Some(&Origin::of(&beat)) {
                            return Err(RedisError::OtherServer);
                        }
                        self.wait_for(&mut session, &list, &beat);
                        self.check_gap(&mut session).await?;
                    }
                }
            };
            let Some(list) = self.list.upgrade() else { return Ok(Over) };
            self.take(read.as_ref(), &list)?;
            self.hear(&mut session, &list);
        }
    }

    /// Takes news of the log in, if it continues where the list is.
    fn take(
        &mut self,
        read: Option<&StreamReadReply>,
        list: &RevocationList,
    ) -> Result<(), RedisError> {
        let fingerprint = list.fingerprint();
        for id in read.into_iter().flat_map(|reply| &reply.keys).flat_map(|key| &key.ids) {
            let (number, entry) = logged(fingerprint, id).ok_or(RedisError::Format)?;
            if number <= self.position {
                continue;
            }
            if number != self.position + 1 {
                self.is_behind = true;
                return Err(RedisError::Gap);
            }
            if list.apply(&entry).is_err() {
                self.is_behind = true;
                return Err(RedisError::Full);
            }
            self.position = number;
        }
        Ok(())
    }

    /// Whether the log still has the next entry that the list needs.
    async fn check_gap(&mut self, session: &mut Session) -> Result<(), RedisError> {
        // A heartbeat that waits since the last one: the log should have brought its number.
        if session.waiting.len() < 2 || session.waiting[0].0 <= self.position {
            return Ok(());
        }
        let next: redis::streams::StreamRangeReply = redis::cmd("XRANGE")
            .arg(&self.layout.keys.log)
            .arg(format!("{}-0", self.position + 1))
            .arg("+")
            .arg("COUNT")
            .arg(1)
            .query_async(&mut session.main.redis)
            .await?;
        let next = next.ids.first().map(|id| id.id.as_str());
        if next == Some(&*format!("{}-0", self.position + 1)) {
            // It is there: the reader is only slow.
            Ok(())
        } else {
            self.is_behind = true;
            Err(RedisError::Gap)
        }
    }
}
