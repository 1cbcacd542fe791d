//! What is in Redis, and the scripts that read and write it.
use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis::{Moment, Publishing, RevocationEntry, RevocationStore, StoreError};
use redis::{Script, Value};
use tokio::sync::Mutex;

use crate::connection::{Connection, Connector, incarnation};
use crate::error::RedisError;

/// The layout of what is stored.
const FORMAT: &str = "1";

/// How many entries one script writes: for some milliseconds the server does nothing else.
pub(crate) const BATCH: usize = 500;

/// How far Redis's clock may be ahead of those of the processes, in seconds: it drops what is over.
const SLACK: u64 = 600;

/// For how long one who gives back what it holds is waited for, from one batch to the next.
const LEASE: Duration = Duration::from_secs(10);

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
    /// Goes up whenever the server is another one, or started anew.
    pub(crate) term: u64,
    /// Somebody may have entries yet that the store lost.
    pub(crate) is_recovering: bool,
    /// The number of the last entry.
    pub(crate) sequence: u64,
    /// The key of the digests, once somebody chose it.
    pub(crate) key: Option<[u8; 16]>,
    pub(crate) terms: Terms,
}

/// A key of the digests that a store without one may take.
#[derive(Clone, Copy)]
pub(crate) struct Offer {
    pub(crate) key: [u8; 16],
    pub(crate) fingerprint: u64,
    /// Entries were made with it.
    pub(crate) is_in_use: bool,
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
        offer: Offer,
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
                .arg(2)
                .arg(&self.keys.meta)
                .arg(&self.keys.publishing)
                .arg(&connection.incarnation)
                .arg(hex(&offer.key))
                .arg(offer.fingerprint.to_string())
                .arg(u8::from(offer.is_in_use));
            let (server, replication, reply): (String, String, Vec<String>) =
                pipe.query_async(&mut connection.redis).await?;
            let now = incarnation(&format!("{server}\r\n{replication}"))?;
            if now == connection.incarnation {
                self.wait(connection).await?;
                return read_beat(sent, &reply);
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

    /// Writes entries, in batches of one bucket each. `publisher`: who gives back what it holds, and is
    /// waited for.
    pub(crate) async fn publish(
        &self,
        connection: &mut Connection,
        entries: impl IntoIterator<Item = RevocationEntry>,
        width: u32,
        publisher: Option<&str>,
    ) -> Result<(), RedisError> {
        let mut buckets = BTreeMap::<u64, Vec<RevocationEntry>>::new();
        for entry in entries {
            buckets.entry(bucket_end(entry.ends(), width)).or_default().push(entry);
        }
        for (end, entries) in buckets {
            let is_for_ever = end > u64::from(u32::MAX);
            let end = if is_for_ever { "never".to_owned() } else { end.to_string() };
            for batch in entries.chunks(BATCH) {
                let Some(fingerprint) = batch.first().map(RevocationEntry::fingerprint) else {
                    continue;
                };
                let script = Script::new(PUBLISH);
                let mut call = script.prepare_invoke();
                call.key(&self.keys.meta)
                    .key(&self.keys.log)
                    .key(&self.keys.buckets)
                    .key(format!("{}{end}", self.keys.bucket))
                    .key(&self.keys.publishing)
                    .arg(fingerprint)
                    .arg(self.log_length)
                    .arg(&end)
                    .arg(publisher.unwrap_or_default())
                    .arg(LEASE.as_millis() as u64);
                for entry in batch {
                    call.arg(&entry.key()[..])
                        .arg(format!("{:020}", entry.mark()))
                        .arg(format!("{:010}", entry.ends()));
                }
                let reply: Vec<String> = call.invoke_async(&mut connection.redis).await?;
                match reply.first().map(String::as_str) {
                    Some("ok") => {}
                    Some("other key") => return Err(RedisError::OtherKey),
                    _ => return Err(RedisError::Uninitialized),
                }
            }
        }
        self.wait(connection).await
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

    /// Every entry of the state, in batches.
    pub(crate) async fn read(
        &self,
        connection: &mut Connection,
        fingerprint: u64,
        mut take: impl FnMut(&RevocationEntry) -> Result<(), RedisError>,
    ) -> Result<(), RedisError> {
        let buckets: Vec<String> = redis::cmd("ZRANGE")
            .arg(&self.keys.buckets)
            .arg(0)
            .arg(-1)
            .query_async(&mut connection.redis)
            .await?;
        for bucket in buckets {
            let mut cursor = 0_u64;
            loop {
                let (next, fields): (u64, Vec<Vec<u8>>) = redis::cmd("HSCAN")
                    .arg(&bucket)
                    .arg(cursor)
                    .arg("COUNT")
                    .arg(1000)
                    .query_async(&mut connection.redis)
                    .await?;
                for pair in fields.chunks_exact(2) {
                    let entry = match pair[1].split_at_checked(20) {
                        Some((mark, ends)) => entry(fingerprint, &pair[0], mark, ends),
                        None => None,
                    };
                    take(&entry.ok_or(RedisError::Format)?)?;
                }
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn read_beat(sent: Moment, reply: &[String]) -> Result<Beat, RedisError> {
    if reply.is_empty() {
        return Err(RedisError::Uninitialized);
    }
    let [format, epoch, term, recovering, sequence, key, _, lifetime, leeway, width] = reply else {
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
        term: number(term)?,
        is_recovering: recovering != "0",
        sequence: number(sequence)?,
        key,
        terms,
    })
}

/// In which second the bucket is dropped that has an entry of this end: after all of its entries are over.
/// Beyond what an entry can say: never.
fn bucket_end(ends: u32, width: u32) -> u64 {
    let width = u64::from(width.max(1));
    (u64::from(ends) / width + 1) * width + SLACK
}

/// An entry as it stands in the state and in the log.
pub(crate) fn entry(
    fingerprint: u64,
    key: &[u8],
    mark: &[u8],
    ends: &[u8],
) -> Option<RevocationEntry> {
    let mark = core::str::from_utf8(mark).ok()?.parse().ok()?;
    let ends = core::str::from_utf8(ends).ok()?.parse().ok()?;
    RevocationEntry::stored(fingerprint, key, mark, ends)
}

/// An entry of the log, and its number.
pub(crate) fn logged(
    fingerprint: u64,
    id: &redis::streams::StreamId,
) -> Option<(u64, RevocationEntry)> {
    let number = id.id.strip_suffix("-0")?.parse().ok()?;
    let bytes = |name: &str| match id.map.get(name) {
        Some(Value::BulkString(bytes)) => Some(bytes.as_slice()),
        _ => None,
    };
    Some((number, entry(fingerprint, bytes("k")?, bytes("m")?, bytes("e")?)?))
}

pub(crate) fn random() -> Result<[u8; 16], RedisError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|_| RedisError::Setting { fault: "the operating system has no random numbers" })?;
    Ok(bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 16]> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

/// What a process writes through.
pub(crate) struct Writer {
    connector: Connector,
    layout: Layout,
    width: u32,
    /// Opened when it is first needed, and again when it broke.
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Writer {
    pub(crate) fn new(connector: Connector, layout: Layout, width: u32) -> Self {
        Self { connector, layout, width, connection: Arc::default() }
    }
}

impl RevocationStore for Writer {
    fn publish(&self, entry: RevocationEntry) -> Publishing {
        let (connector, layout, width) = (self.connector.clone(), self.layout.clone(), self.width);
        let shared = Arc::clone(&self.connection);
        Box::pin(async move {
            let mut last = RedisError::Uninitialized;
            // A connection may have broken since it was used: then once more, on a new one. To write an
            // entry twice does no harm.
            for is_first in [true, false] {
                let mut connection = {
                    let mut kept = shared.lock().await;
                    match &*kept {
                        Some(connection) if is_first => connection.clone(),
                        _ => {
                            let opened = connector.open(Duration::ZERO).await;
                            let connection = opened.map_err(unacknowledged)?;
                            *kept = Some(connection.clone());
                            connection
                        }
                    }
                };
                match layout.publish(&mut connection, [entry], width, None).await {
                    Ok(()) => return Ok(()),
                    Err(error @ (RedisError::Connection { .. } | RedisError::Replica)) => {
                        last = error;
                    }
                    Err(error) => return Err(unacknowledged(error)),
                }
            }
            Err(unacknowledged(last))
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it ends here")]
fn unacknowledged(error: RedisError) -> StoreError {
    StoreError::new(error.to_string())
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("place", &self.connector).finish_non_exhaustive()
    }
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
        let good = ["1", "epoch", "3", "0", "17", "", "", "900", "30", "60"].map(str::to_owned);
        let read = |reply: &[String]| read_beat(Moment::now(), reply);
        let beat = read(&good).unwrap();
        assert_eq!((beat.term, beat.sequence, beat.is_recovering), (3, 17, false));
        assert_eq!(beat.terms, Terms::new(Duration::from_secs(900), Duration::from_secs(30)));
        assert_eq!(read(&[]).err(), Some(RedisError::Uninitialized));
        assert_eq!(read(&good[1..]).err(), Some(RedisError::Format));
        for (at, text) in [(0, "2"), (2, "x"), (4, "-1"), (5, "short"), (7, ""), (9, "4294967296")]
        {
            let mut reply = good.clone();
            reply[at] = text.to_owned();
            assert_eq!(read(&reply).err(), Some(RedisError::Format), "{at}");
        }
    }
}
