//! What is in Redis, and the scripts that read and write it.
use core::time::Duration;
use std::collections::BTreeMap;
use std::time::SystemTime;

use portcullis::revocation::store::{Moment, RevocationEntry};
use redis::streams::StreamId;
use redis::{Script, Value};

use crate::connection::{Connection, incarnation};
use crate::error::RedisError;
use crate::protocol::Logged;

/// The layout of what is stored.
const FORMAT: &str = "2";

/// How many entries one script writes: for some milliseconds the server does nothing else.
pub(crate) const BATCH: usize = 500;

/// For how many seconds longer than its entries a bucket is kept: Redis drops it by its own clock.
const SLACK: u64 = 600;

/// How far Redis's clock may be from that of a process. Half of the slack, since two processes differ as well.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// For how long one who gives back what it holds is waited for, from one batch to the next.
const LEASE: Duration = Duration::from_secs(10);

/// What ends the name of the bucket whose entries are never over: what is revoked for ever, and lifts.
const NEVER: &str = "never";

const INITIALIZE: &str = include_str!("scripts/initialize.lua");
const HEARTBEAT: &str = include_str!("scripts/heartbeat.lua");
const PUBLISH: &str = include_str!("scripts/publish.lua");

/// The names of the keys. All of them have one hash tag, so that a cluster keeps them together.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) meta: String,
    pub(crate) log: String,
    pub(crate) buckets: String,
    pub(crate) publishing: String,
    bucket: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        let key = |name: &str| format!("{{{prefix}}}:revocations:{name}");
        Self {
            meta: key("meta"),
            log: key("log"),
            buckets: key("buckets"),
            publishing: key("publishing"),
            bucket: key("until:"),
        }
    }
}

/// Under which terms the store was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Terms {
    pub(crate) max_lifetime: Duration,
    pub(crate) leeway: Duration,
    /// Entries that are over within the same so many seconds are in one key, which Redis drops.
    pub(crate) width: u32,
}

impl Terms {
    pub(crate) fn new(max_lifetime: Duration, leeway: Duration) -> Self {
        let width = u32::try_from(max_lifetime.as_secs() / 16).unwrap_or(u32::MAX);
        Self { max_lifetime, leeway, width: width.max(60) }
    }
}

/// What a heartbeat says.
#[derive(Clone, Debug)]
pub(crate) struct Beat {
    /// Before it was sent.
    pub(crate) sent: Moment,
    pub(crate) epoch: String,
    /// The name of its last recovery, drawn at random: another one whenever the server is, or started anew.
    pub(crate) recovery: String,
    /// Somebody may have entries yet that the store lost.
    pub(crate) is_recovering: bool,
    /// The number of the last entry, and of which writing it is.
    pub(crate) sequence: u64,
    pub(crate) head: String,
    /// The key of the digests, once somebody chose it, and when that was.
    pub(crate) key: Option<[u8; 16]>,
    pub(crate) stamp: Option<u64>,
    pub(crate) terms: Terms,
    /// What the server's clock says, in milliseconds since 1970.
    pub(crate) time: u64,
}

/// What a heartbeat tells the store.
#[derive(Clone, Debug)]
pub(crate) struct Offer<'o> {
    /// A key of the digests, for a store without one.
    pub(crate) key: [u8; 16],
    pub(crate) fingerprint: u64,
    /// When it was chosen, where entries were made with it.
    pub(crate) stamp: Option<u64>,
    /// The recovery whose history is not the one that the member has.
    pub(crate) diverged: Option<&'o str>,
    /// Who gives back what it holds, and is waited for.
    pub(crate) publisher: Option<&'o str>,
}

/// The store, for any connection.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) keys: Keys,
    pub(crate) log_length: usize,
    /// How many replicas must have each write.
    pub(crate) durability: u64,
    pub(crate) timeout: Duration,
}

impl Layout {
    /// Makes the store, unless it is there.
    pub(crate) async fn initialize(
        &self,
        connection: &mut Connection,
        terms: Terms,
        window: Duration,
    ) -> Result<bool, RedisError> {
        let reply: Vec<Option<String>> = Script::new(INITIALIZE)
            .key(&self.keys.meta)
            .key(&self.keys.log)
            .key(&self.keys.buckets)
            .key(&self.keys.publishing)
            .arg(hex(&random()?))
            .arg(hex(&random()?))
            .arg(terms.max_lifetime.as_secs())
            .arg(terms.leeway.as_secs())
            .arg(terms.width)
            .arg(u64::try_from(window.as_millis()).unwrap_or(u64::MAX))
            .invoke_async(&mut connection.redis)
            .await?;
        if reply.is_empty() {
            self.wait(connection).await?;
            return Ok(true);
        }
        let seconds = |at: usize| {
            let text = reply.get(at)?.as_deref()?;
            text.parse().ok().map(Duration::from_secs)
        };
        if reply.first().and_then(Option::as_deref) != Some(FORMAT) {
            return Err(RedisError::Format);
        }
        let (Some(max_lifetime), Some(leeway)) = (seconds(1), seconds(2)) else {
            return Err(RedisError::Format);
        };
        if (max_lifetime, leeway) == (terms.max_lifetime, terms.leeway) {
            Ok(false)
        } else {
            Err(RedisError::OtherTerms { max_lifetime, leeway })
        }
    }

    pub(crate) async fn beat(
        &self,
        connection: &mut Connection,
        offer: &Offer<'_>,
    ) -> Result<Beat, RedisError> {
        // Once more where the connection's server became another one since it was asked.
        for _ in 0..2 {
            let sent = Moment::now();
            let mut pipe = redis::pipe();
            pipe.atomic()
                .cmd("INFO")
                .arg("server")
                .cmd("INFO")
                .arg("replication")
                .cmd("EVAL")
                .arg(HEARTBEAT)
                .arg(4)
                .arg(&self.keys.meta)
                .arg(&self.keys.log)
                .arg(&self.keys.buckets)
                .arg(&self.keys.publishing)
                .arg(&connection.incarnation)
                .arg(hex(&random()?))
                .arg(offer.diverged.unwrap_or_default())
                .arg(hex(&offer.key))
                .arg(offer.fingerprint.to_string())
                .arg(offer.stamp.map_or_else(String::new, |stamp| stamp.to_string()))
                .arg(offer.publisher.unwrap_or_default())
                .arg(lease(offer.publisher));
            let (server, replication, reply): (String, String, Vec<String>) =
                pipe.query_async(&mut connection.redis).await?;
            let now = incarnation(&format!("{server}\r\n{replication}"))?;
            if now == connection.incarnation {
                self.wait(connection).await?;
                let beat = read_beat(sent, &reply)?;
                check_clock(beat.time)?;
                return Ok(beat);
            }
            // What was said was said of another server's data.
            connection.incarnation = now;
        }
        Err(RedisError::OtherServer)
    }

    /// Waits until enough replicas have what this connection wrote.
    async fn wait(&self, connection: &mut Connection) -> Result<(), RedisError> {
        if self.durability == 0 {
            return Ok(());
        }
        let have: u64 = redis::cmd("WAIT")
            .arg(self.durability)
            // Half of what an answer may take.
            .arg((self.timeout / 2).as_millis().max(1) as u64)
            .query_async(&mut connection.redis)
            .await?;
        if have >= self.durability { Ok(()) } else { Err(RedisError::Durability { have }) }
    }

    /// Writes entries, in batches of one bucket each. Gives the number of the last.
    pub(crate) async fn publish(
        &self,
        connection: &mut Connection,
        entries: impl IntoIterator<Item = RevocationEntry>,
        width: u32,
        purpose: Purpose<'_>,
    ) -> Result<u64, RedisError> {
        let (publisher, writing) = match purpose {
            Purpose::Revoke { writing } => (None, Some(writing)),
            Purpose::GiveBack { publisher } => (Some(publisher), None),
        };
        let mut buckets = BTreeMap::<u64, Vec<RevocationEntry>>::new();
        for entry in entries {
            buckets.entry(bucket_end(entry.ends(), width)).or_default().push(entry);
        }
        let mut last = 0;
        for (end, entries) in buckets {
            let is_for_ever = end > u64::from(u32::MAX);
            let end = if is_for_ever { NEVER.to_owned() } else { end.to_string() };
            for batch in entries.chunks(BATCH) {
                let Some(fingerprint) = batch.first().map(RevocationEntry::fingerprint) else {
                    continue;
                };
                // Who revokes says one thing at a time.
                let counts_with = match purpose {
                    Purpose::Revoke { .. } => batch[0].counts_with(),
                    Purpose::GiveBack { .. } => None,
                };
                let (lift, most) = match &counts_with {
                    Some((lift, most)) => (&lift[..], *most),
                    None => (&[][..], 0),
                };
                let script = Script::new(PUBLISH);
                let mut call = script.prepare_invoke();
                call.key(&self.keys.meta)
                    .key(&self.keys.log)
                    .key(&self.keys.buckets)
                    .key(format!("{}{end}", self.keys.bucket))
                    .key(&self.keys.publishing)
                    .key(format!("{}{NEVER}", self.keys.bucket))
                    .arg(fingerprint)
                    .arg(self.log_length)
                    .arg(&end)
                    .arg(publisher.unwrap_or_default())
                    .arg(lease(publisher))
                    // What comes twice under one name could be of two histories.
                    .arg(writing.map_or_else(draw, |writing| Ok(writing.to_owned()))?)
                    .arg(u8::from(publisher.is_none()))
                    .arg(lift)
                    .arg(format!("{most:020}"));
                for entry in batch {
                    call.arg(&entry.key()[..])
                        .arg(format!("{:020}", entry.mark()))
                        .arg(format!("{:010}", entry.ends()));
                }
                let reply: Vec<String> = call.invoke_async(&mut connection.redis).await?;
                match reply.first().map(String::as_str) {
                    Some("ok") => {
                        let number = reply.get(1).and_then(|number| number.parse().ok());
                        last = number.ok_or(RedisError::Format)?;
                    }
                    Some("lifted") => return Err(RedisError::Lifted),
                    Some("other key") => return Err(RedisError::OtherKey),
                    Some("other format") => return Err(RedisError::Format),
                    _ => return Err(RedisError::Uninitialized),
                }
            }
        }
        self.wait(connection).await?;
        Ok(last)
    }

    /// Says that all is given back.
    pub(crate) async fn published(
        &self,
        connection: &mut Connection,
        publisher: &str,
    ) -> Result<(), RedisError> {
        let _: u64 = redis::cmd("ZREM")
            .arg(&self.keys.publishing)
            .arg(publisher)
            .query_async(&mut connection.redis)
            .await?;
        Ok(())
    }

    /// Of which writing the log's entry of this number is.
    pub(crate) async fn writing_of(
        &self,
        connection: &mut Connection,
        number: u64,
    ) -> Result<Option<String>, RedisError> {
        let id = format!("{number}-0");
        let found: redis::streams::StreamRangeReply = redis::cmd("XRANGE")
            .arg(&self.keys.log)
            .arg(&id)
            .arg(&id)
            .query_async(&mut connection.redis)
            .await?;
        Ok(found.ids.first().and_then(|entry| entry.get("n")))
    }

    /// The names of the buckets that the state is in.
    pub(crate) async fn buckets(
        &self,
        connection: &mut Connection,
    ) -> Result<Vec<String>, RedisError> {
        let mut all = redis::cmd("ZRANGE");
        all.arg(&self.keys.buckets).arg(0).arg(-1);
        Ok(all.query_async(&mut connection.redis).await?)
    }

    /// Some entries of a bucket from a cursor on, and the next cursor; 0 is the first, and comes when there are no
    /// more.
    pub(crate) async fn entries(
        &self,
        connection: &mut Connection,
        bucket: &str,
        cursor: u64,
        fingerprint: u64,
    ) -> Result<(u64, Vec<Stored>), RedisError> {
        let (next, fields): (u64, Vec<Vec<u8>>) = redis::cmd("HSCAN")
            .arg(bucket)
            .arg(cursor)
            .arg("COUNT")
            .arg(1000)
            .query_async(&mut connection.redis)
            .await?;
        let entries = fields.chunks_exact(2).map(|pair| match pair[1].split_at_checked(20) {
            Some((mark, ends)) => Stored::read(fingerprint, &pair[0], mark, ends),
            None => Stored::Unknown,
        });
        Ok((next, entries.collect()))
    }
}

/// What is written for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose<'p> {
    /// To be seen by all under this name, whether the store has it or not.
    Revoke { writing: &'p str },
    /// To be there. Who gives back is waited for.
    GiveBack { publisher: &'p str },
}

/// For how long who gives back is waited for, in milliseconds.
fn lease(publisher: Option<&str>) -> u64 {
    publisher.map_or(0, |_| LEASE.as_millis() as u64)
}

/// Redis drops what is over by its own clock: ahead of ours, it would do so too early.
fn check_clock(time: u64) -> Result<(), RedisError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let theirs = Duration::from_millis(time);
    if theirs.abs_diff(now) > CLOCK_TOLERANCE {
        return Err(RedisError::Clock { is_ahead: theirs > now, by: theirs.abs_diff(now) });
    }
    Ok(())
}

pub(crate) fn read_beat(sent: Moment, reply: &[String]) -> Result<Beat, RedisError> {
    if reply.is_empty() {
        return Err(RedisError::Uninitialized);
    }
    let [
        format,
        epoch,
        recovery,
        recovering,
        sequence,
        head,
        key,
        stamp,
        lifetime,
        leeway,
        width,
        time,
    ] = reply
    else {
        return Err(RedisError::Format);
    };
    if format != FORMAT {
        return Err(RedisError::Format);
    }
    let number = |text: &String| text.parse::<u64>().map_err(|_| RedisError::Format);
    let terms = Terms {
        max_lifetime: Duration::from_secs(number(lifetime)?),
        leeway: Duration::from_secs(number(leeway)?),
        width: u32::try_from(number(width)?).map_err(|_| RedisError::Format)?,
    };
    let key = if key.is_empty() { None } else { Some(unhex(key).ok_or(RedisError::Format)?) };
    Ok(Beat {
        sent,
        epoch: epoch.clone(),
        recovery: recovery.clone(),
        is_recovering: recovering != "0",
        sequence: number(sequence)?,
        head: head.clone(),
        key,
        stamp: if stamp.is_empty() { None } else { Some(number(stamp)?) },
        terms,
        time: number(time)?,
    })
}

/// In which second the bucket is dropped that has an entry of this end: after all of its entries are over.
/// Beyond what an entry can say: never.
fn bucket_end(ends: u32, width: u32) -> u64 {
    let width = u64::from(width.max(1));
    (u64::from(ends) / width + 1) * width + SLACK
}

/// An entry as it stands in the state and in the log.
pub(crate) enum Stored {
    Entry(RevocationEntry),
    /// Of a kind that this version does not know, or no entry at all. No policy here could enforce it.
    Unknown,
}

impl Stored {
    fn read(fingerprint: u64, key: &[u8], mark: &[u8], ends: &[u8]) -> Self {
        let number = |text| core::str::from_utf8(text).ok()?.parse::<u64>().ok();
        let entry = || {
            let ends = u32::try_from(number(ends)?).ok()?;
            RevocationEntry::from_stored(fingerprint, key, number(mark)?, ends)
        };
        entry().map_or(Self::Unknown, Self::Entry)
    }
}

/// An entry of the log: where it stands, and what it says. `None`: nobody here wrote it.
pub(crate) fn logged(fingerprint: u64, id: &StreamId) -> Option<(Logged<'_>, Stored)> {
    let bytes = |name: &str| match id.map.get(name) {
        Some(Value::BulkString(bytes)) => Some(bytes.as_slice()),
        _ => None,
    };
    let text = |name| core::str::from_utf8(bytes(name)?).ok();
    let number = id.id.strip_suffix("-0")?.parse().ok()?;
    let at = Logged { number, writing: text("n")?, before: text("b")? };
    let field = |name| bytes(name).unwrap_or_default();
    Some((at, Stored::read(fingerprint, field("k"), field("m"), field("e"))))
}

pub(crate) fn random() -> Result<[u8; 16], RedisError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|_| RedisError::Setting { fault: "the operating system has no random numbers" })?;
    Ok(bytes)
}

/// A name that nobody draws twice.
pub(crate) fn draw() -> Result<String, RedisError> {
    random().map(|bytes| hex(&bytes[..8]))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_outlives_its_entries_and_one_without_end_is_never_dropped() {
        for width in [60, 61, 900, 5_400, u32::MAX] {
            for ends in [0, 1, 59, 60, 61, 1_800_000_000, 4_000_000_000] {
                let end = bucket_end(ends, width);
                assert!(end >= u64::from(ends) + SLACK, "{ends} {width}");
                assert!(end <= u64::from(ends) + u64::from(width) + SLACK, "{ends} {width}");
            }
            assert!(bucket_end(u32::MAX, width) > u64::from(u32::MAX));
        }
    }

    #[test]
    fn a_key_is_the_same_after_it_was_written_as_text() {
        for key in [[0; 16], [255; 16], core::array::from_fn(|at| at as u8)] {
            assert_eq!(unhex(&hex(&key)), Some(key));
        }
        for text in ["", "0", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32)] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_store_says_that_is_not_ours_is_refused() {
        let good = [
            "2",
            "epoch",
            "recovery",
            "0",
            "17",
            "writing",
            "",
            "",
            "900",
            "30",
            "60",
            "1800000000000",
        ]
        .map(str::to_owned);
        let read = |reply: &[String]| read_beat(Moment::now(), reply);
        let beat = read(&good).unwrap();
        assert_eq!((&*beat.recovery, beat.sequence, beat.is_recovering), ("recovery", 17, false));
        assert_eq!(beat.terms, Terms::new(Duration::from_secs(900), Duration::from_secs(30)));
        assert_eq!(read(&[]).err(), Some(RedisError::Uninitialized));
        assert_eq!(read(&good[1..]).err(), Some(RedisError::Format));
        assert_eq!(read(&good[..1]).err(), Some(RedisError::Format));
        for (at, text) in
            [(0, "1"), (4, "-1"), (6, "short"), (7, "x"), (8, ""), (10, "4294967296"), (11, "")]
        {
            let mut reply = good.clone();
            reply[at] = text.to_owned();
            assert_eq!(read(&reply).err(), Some(RedisError::Format), "{at}");
        }
    }

    #[test]
    fn a_clock_that_is_minutes_off_is_an_error() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let at = |time: Duration| check_clock(u64::try_from(time.as_millis()).unwrap());
        assert_eq!(at(now), Ok(()));
        let off = CLOCK_TOLERANCE + Duration::from_secs(60);
        assert!(matches!(at(now + off), Err(RedisError::Clock { is_ahead: true, .. })));
        assert!(matches!(at(now - off), Err(RedisError::Clock { is_ahead: false, .. })));
    }
}
