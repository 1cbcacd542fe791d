//! Keeps a process's list in step with the store, as [`Member`] decides.
//!
//! What it proves before it calls the list fresh as of some moment:
//!
//! 1. a heartbeat sent after that moment said what the sequence is, on a server that takes writes;
//! 2. the list has every entry up to that number: from the state, or from a log without a gap;
//! 3. the store is the one that was read: of the same recovery and history, or one whose recovery is over, and to which
//!    this process gave back what it held.
use core::pin::pin;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use portcullis::revocation::store::{Moment, RevocationEntry, RevocationList, WeakRevocationList};
use redis::streams::StreamReadReply;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::connection::{Connection, Connector, retry_delays};
use crate::error::RedisError;
use crate::own_revocations::{Own, Unmet};
use crate::protocol::{MOST_TOLD, Member, Next};
use crate::store::{Beat, Layout, Offer, Purpose, Stored, Terms, logged};

/// For how long one read of the log waits for news. It costs a round trip when it is over.
const READ: Duration = Duration::from_secs(5);

/// How many entries of the log are read at once.
const MOST: usize = 1000;

/// How seldom at most a connection that broke is tried again. A process must be back well before a recovery is over.
const LAST_RETRY: Duration = Duration::from_millis(500);

/// When a list without room for all looks again whether there is some.
const FULL_RETRY: Duration = Duration::from_secs(30);

/// How often who gives back says that it is at it: several times within its lease.
const RENEWAL: Duration = Duration::from_secs(2);

pub(crate) struct Follower {
    pub(crate) connector: Connector,
    pub(crate) layout: Layout,
    pub(crate) heartbeat: Duration,
    pub(crate) terms: Terms,
    /// Who this is, while it gives back what it holds.
    pub(crate) id: String,
    list: WeakRevocationList,
    member: Member,
    own: Arc<Own>,
    /// The number of the last entry that the store was heard to have.
    known: u64,
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
        own: Arc<Own>,
        list: &RevocationList,
    ) -> Self {
        Self {
            connector,
            layout,
            heartbeat,
            terms,
            id,
            list: list.downgrade(),
            member: Member::new(),
            own,
            known: 0,
        }
    }

    /// This one as it begins anew after it ended by a fault of ours: it knows nothing, but that what it holds may be
    /// lacking in the store.
    pub(crate) fn anew(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            layout: self.layout.clone(),
            heartbeat: self.heartbeat,
            terms: self.terms,
            id: self.id.clone(),
            list: self.list.clone(),
            member: self.member.anew(),
            own: Arc::clone(&self.own),
            known: 0,
        }
    }

    /// Follows for as long as somebody has the list.
    pub(crate) async fn run(mut self, first: Option<Session>) {
        let mut session = first;
        let mut delays = retry_delays(LAST_RETRY);
        loop {
            let opened = match session.take() {
                Some(session) => Ok(session),
                None => self.start().await,
            };
            let ended = match opened {
                Ok(session) => {
                    delays = retry_delays(LAST_RETRY);
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
        let unmet = self.own.unmet();
        // Who may have something to give back is waited for from its first word on.
        let may_give_back = self.member.is_survivor();
        let settled = match self.beat(&mut session, &list, may_give_back).await {
            Ok(beat) => self.settle(&mut session, &list, beat, unmet).await,
            Err(error) => Err(error),
        };
        // Who is done, or cannot, is not waited for any more: a store that nobody can use would be recovering for ever.
        let is_over = settled.as_ref().err().is_none_or(RedisError::lasts);
        if may_give_back && is_over {
            self.layout.published(&mut session.main, &self.id).await?;
        }
        settled.map(|()| session)
    }

    async fn beat(
        &self,
        session: &mut Session,
        list: &RevocationList,
        gives_back: bool,
    ) -> Result<Beat, RedisError> {
        let offer = Offer {
            key: list.key(),
            fingerprint: list.fingerprint(),
            stamp: self.member.stamp(),
            diverged: self.member.diverged(),
            publisher: gives_back.then_some(&*self.id),
        };
        let beat = self.layout.beat(&mut session.main, &offer).await?;
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
        unmet: Option<Unmet>,
    ) -> Result<(), RedisError> {
        let beat = match self.member.hear(&beat, list.key(), unmet)? {
            Next::Follow => beat,
            Next::Compare => {
                let position = self.member.position();
                let found = self.layout.writing_of(&mut session.main, position).await?;
                if self.member.compared(&beat, found.as_deref(), &self.own) {
                    beat
                } else {
                    self.read(session, list, true).await?
                }
            }
            Next::Read { restart, gives_back } => {
                if let Some(key) = restart {
                    list.restart(key);
                    self.member.has_restarted(&beat);
                }
                self.read(session, list, gives_back).await?
            }
        };
        self.wait_for(session, list, &beat);
        Ok(())
    }

    /// Reads all of the state and, where the store may lack some, gives back what the list has and the store has not.
    async fn read(
        &mut self,
        session: &mut Session,
        list: &RevocationList,
        gives_back: bool,
    ) -> Result<Beat, RedisError> {
        // What was acknowledged may have been so by another store.
        let gives_back = gives_back || self.own.unmet().is_some();
        // The position first, then all of the state, then what came meanwhile, from the log. From here on who gives
        // back is waited for.
        let beat = self.beat(session, list, gives_back).await?;
        let mut lacking = if gives_back {
            Lacking::of(self.own.give_back(|| list.entries()))
        } else {
            self.own.begin_anew();
            Lacking::of(Vec::new())
        };
        let (mut renewed, mut is_full) = (Instant::now(), false);
        let reading = list.begin_reading();
        for bucket in self.layout.buckets(&mut session.main).await? {
            let mut cursor = 0;
            loop {
                let fingerprint = list.fingerprint();
                let main = &mut session.main;
                let (next, entries) =
                    self.layout.entries(main, &bucket, cursor, fingerprint).await?;
                for entry in entries {
                    match entry {
                        Stored::Entry(entry) => {
                            lacking.has(&entry);
                            is_full |= reading.apply(&entry).is_err();
                        }
                        Stored::Unknown => list.record_unknown_entry(),
                    }
                }
                self.renew(session, list, gives_back, &mut renewed, &beat).await?;
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        if gives_back {
            let lacking = lacking.into_entries();
            let count = lacking.len();
            for some in lacking.chunks(GIVEN_AT_ONCE) {
                let (main, publisher) = (&mut session.main, &*self.id);
                let (entries, purpose) = (some.iter().copied(), Purpose::GiveBack { publisher });
                self.layout.publish(main, entries, self.terms.width, purpose).await?;
                self.renew(session, list, gives_back, &mut renewed, &beat).await?;
            }
            list.record_republished(count);
        }
        if is_full {
            return Err(RedisError::Full);
        }
        let unmet = self.own.unmet();
        let over = self.beat(session, list, gives_back).await?;
        self.member.has_read(&beat, &over, &self.own, unmet)?;
        if reading.finish().is_err() {
            self.member.is_lacking();
            return Err(RedisError::Full);
        }
        // Fresh as of this one, once the log has led from the first to it.
        Ok(over)
    }

    /// Says that it is still at it, and makes sure that it is still with the same store.
    async fn renew(
        &self,
        session: &mut Session,
        list: &RevocationList,
        gives_back: bool,
        renewed: &mut Instant,
        begun: &Beat,
    ) -> Result<(), RedisError> {
        if renewed.elapsed() < RENEWAL {
            return Ok(());
        }
        *renewed = Instant::now();
        let beat = self.beat(session, list, gives_back).await?;
        if beat.is_beside(begun) { Ok(()) } else { Err(RedisError::OtherHistory) }
    }

    /// The list is fresh as of this heartbeat once it has reached its number, unless others may still
    /// give back what the store lost.
    fn wait_for(&mut self, session: &mut Session, list: &RevocationList, beat: &Beat) {
        self.known = beat.sequence;
        if !beat.is_recovering && session.waiting.len() < MOST_TOLD {
            session.waiting.push_back((beat.sequence, beat.sent));
        }
        self.hear(session, list);
    }

    /// Says how far the list is.
    fn hear(&self, session: &mut Session, list: &RevocationList) {
        let position = self.member.position();
        list.set_lag(self.known.saturating_sub(position));
        while let Some((number, sent)) = session.waiting.front().copied() {
            if number > position {
                break;
            }
            list.record_contact(sent);
            session.waiting.pop_front();
        }
    }

    async fn follow(&mut self, mut session: Session) -> Result<Over, RedisError> {
        let mut ticks = interval(self.heartbeat);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        loop {
            let mut log = session.log.redis.clone();
            let (key, position) = (self.layout.keys.log.clone(), self.member.position());
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
                        if list.needs_reading() {
                            // Own revocations found no room, and the log may have led past them.
                            self.member.is_lacking();
                            return Err(RedisError::Full);
                        }
                        let unmet = self.own.unmet();
                        let beat = self.beat(&mut session, &list, false).await?;
                        if self.member.hear(&beat, list.key(), unmet)? != Next::Follow {
                            return Err(RedisError::OtherHistory);
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
        let ids = read.into_iter().flat_map(|reply| &reply.keys).flat_map(|key| &key.ids);
        for (at, entry) in ids.filter_map(|id| logged(fingerprint, id)) {
            if !self.member.meets(&at)? {
                continue;
            }
            match entry {
                Stored::Entry(entry) => {
                    if list.apply(&entry).is_err() {
                        self.member.is_lacking();
                        return Err(RedisError::Full);
                    }
                }
                Stored::Unknown => list.record_unknown_entry(),
            }
            self.member.has_taken(&at, &self.own)?;
        }
        Ok(())
    }

    /// Whether the log still has the next entry that the list needs.
    async fn check_gap(&mut self, session: &mut Session) -> Result<(), RedisError> {
        let position = self.member.position();
        // A heartbeat that waits since the last one: the log should have brought its number.
        if session.waiting.len() < 2 || session.waiting[0].0 <= position {
            return Ok(());
        }
        if self.layout.writing_of(&mut session.main, position + 1).await?.is_some() {
            // It is there: the reader is only slow.
            Ok(())
        } else {
            self.member.is_lacking();
            Err(RedisError::Gap)
        }
    }
}

/// How many entries are given back between two looks at whether it is still the same store.
const GIVEN_AT_ONCE: usize = 10_000;

/// What a list has, less what the store was found to have.
struct Lacking {
    /// By their keys.
    held: Vec<RevocationEntry>,
    is_there: Vec<bool>,
}

impl Lacking {
    fn of(mut held: Vec<RevocationEntry>) -> Self {
        held.sort_unstable_by_key(RevocationEntry::key);
        Self { is_there: vec![false; held.len()], held }
    }

    /// The store has this.
    fn has(&mut self, stored: &RevocationEntry) {
        if let Ok(at) = self.held.binary_search_by_key(&stored.key(), RevocationEntry::key) {
            let own = &self.held[at];
            self.is_there[at] = stored.mark() >= own.mark() && stored.ends() >= own.ends();
        }
    }

    fn into_entries(self) -> Vec<RevocationEntry> {
        let all = self.held.into_iter().zip(self.is_there);
        all.filter_map(|(entry, is_there)| (!is_there).then_some(entry)).collect()
    }
}
