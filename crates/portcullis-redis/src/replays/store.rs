//! The memory of used proofs in Redis, and the scripts that read and write it.
use core::hash::Hasher as _;
use std::time::{Instant, SystemTime};

use portcullis::dpop::ProofUse;
use redis::Value;
use redis::aio::MultiplexedConnection;
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::memory::{CLOCK_TOLERANCE, Heard, Looked, Memory, SLOT, forgotten_at, room_in_slot};
use super::shares::{Place, Untold};
use crate::connection::{Connection, incarnation, is_master_that_keeps, memory};
use crate::error::RedisError;
use crate::store::{draw, hex, random, unhex};

/// The layout of what is stored.
const FORMAT: &str = "1";

const LOOK: &str = include_str!("../scripts/replays_look.lua");

/// For how many seconds after its slot the shares are kept: longer than two clocks may differ.
const SHARES: u64 = 2 * CLOCK_TOLERANCE.as_secs() + 2;

/// Of the server's memory, so much is left to others: an eighth.
const LEFT_TO_OTHERS: u64 = 8;

/// The store, for any connection.
pub(crate) struct Layout {
    pub(crate) memory: String,
    prefix: String,
    pub(crate) capacity: u64,
}

/// A proof that is to be marked as used.
pub(crate) struct Entry {
    digest: [u8; 16],
    forgotten_at: i64,
    pub(crate) place: Place,
}

/// What the store says of one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Fresh,
    Seen,
    NoRoom,
}

impl Entry {
    pub(crate) fn new(proof: &ProofUse, memory: &Memory, capacity: u64) -> Self {
        let hash = |bytes: &[u8; 32]| {
            let mut hasher = SipHasher24::new_with_key(&memory.key);
            hasher.write(bytes);
            hasher.finish128().as_bytes()
        };
        let short = |bytes| {
            let [first, second, ..] = hash(bytes);
            [first, second]
        };
        let slot = u64::try_from(proof.now().0).unwrap_or(0) / SLOT;
        let room = room_in_slot(capacity, proof);
        Self {
            digest: hash(proof.digest()),
            forgotten_at: forgotten_at(proof.until()),
            place: Place::new(slot, short(proof.holder()), short(proof.issuer()), room),
        }
    }
}

impl Layout {
    pub(crate) fn new(prefix: &str, name: &str, capacity: u64) -> Self {
        let prefix = format!("{{{prefix}}}:replays:{name}:");
        Self { memory: format!("{prefix}memory"), prefix, capacity }
    }

    /// Asks which memory it is. `lost`: of that epoch, proofs were lost, so that another one begins.
    pub(crate) async fn look(
        &self,
        connection: &mut Connection,
        lost: Option<u64>,
    ) -> Result<Looked, RedisError> {
        // Once more where the connection's server became another one since it was asked.
        for _ in 0..2 {
            let (sent, here) = (Instant::now(), now());
            let mut pipe = redis::pipe();
            pipe.atomic();
            for section in ["server", "replication", "memory"] {
                pipe.cmd("INFO").arg(section);
            }
            pipe.cmd("EVAL")
                .arg(LOOK)
                .arg(1)
                .arg(&self.memory)
                .arg(&connection.incarnation)
                .arg(draw()?)
                .arg(hex(&random()?))
                .arg(lost.map_or_else(String::new, |lost| hex(&lost.to_be_bytes())))
                .arg(here)
                .arg(CLOCK_TOLERANCE.as_millis().to_string());
            let (server, replication, memory, reply): (String, String, String, Vec<String>) =
                pipe.query_async(&mut connection.redis).await?;
            let info = [server, replication, memory].join("\r\n");
            is_master_that_keeps(&info)?;
            let incarnation = incarnation(&info)?;
            if incarnation == connection.incarnation {
                has_room(&info)?;
                return read(&reply, sent, here);
            }
            // What was said was said of another server's memory.
            connection.incarnation = incarnation;
        }
        Err(RedisError::OtherServer)
    }

    /// Marks proofs as used, in one memory, and says of each whether it was fresh. `None`: this is another memory.
    pub(crate) async fn spend(
        &self,
        redis: &mut MultiplexedConnection,
        epoch: u64,
        entries: &[Entry],
    ) -> Result<Option<Vec<bool>>, RedisError> {
        let mut pipe = redis::Pipeline::with_capacity(entries.len() + 1);
        for entry in entries {
            pipe.cmd("SET")
                .arg([self.prefix.as_bytes(), b"=", &entry.digest].concat())
                .arg("")
                .arg("PXAT")
                .arg(entry.forgotten_at)
                .arg("NX");
        }
        // After them: if it is this memory still, it was while they were marked. An epoch never comes again.
        pipe.cmd("HGET").arg(&self.memory).arg("epoch");
        // What is forgotten by then was perhaps never kept: `SET` answers `OK` to a time that is over.
        pipe.cmd("TIME");
        let mut reply: Vec<Value> = pipe.query_async(redis).await?;
        let Some(now) = reply.pop().as_ref().and_then(millis_of) else { return Ok(None) };
        let is_known = match reply.pop() {
            Some(Value::BulkString(found)) => found == hex(&epoch.to_be_bytes()).as_bytes(),
            _ => false,
        };
        if !is_known || reply.len() != entries.len() {
            return Ok(None);
        }
        let kept = |(answer, entry): (&Value, &Entry)| {
            matches!(answer, Value::Okay) && entry.forgotten_at > now
        };
        Ok(Some(reply.iter().zip(entries).map(kept).collect()))
    }

    /// Says how many more proofs there were in a slot, and asks how many there are.
    pub(crate) async fn count(
        &self,
        redis: &mut MultiplexedConnection,
        untold: &Untold,
    ) -> Result<Vec<u64>, RedisError> {
        let Untold { slot, more } = untold;
        let key = format!("{}shares:{slot}", self.prefix);
        let mut pipe = redis::pipe();
        let count = pipe.cmd("BITFIELD").arg(&key);
        for (at, more) in more {
            count.arg("INCRBY").arg("u32").arg(format!("#{at}")).arg(more);
        }
        let over = slot.saturating_add(1).saturating_mul(SLOT).saturating_add(SHARES);
        pipe.cmd("PEXPIREAT").arg(&key).arg(over.saturating_mul(1000)).ignore();
        let (counts,) = pipe.query_async(redis).await?;
        Ok(counts)
    }
}

/// What the server's clock says, in milliseconds since 1970.
fn millis_of(time: &Value) -> Option<i64> {
    let Value::Array(parts) = time else { return None };
    let [Value::BulkString(seconds), Value::BulkString(micros)] = parts.as_slice() else {
        return None;
    };
    let number = |text: &[u8]| str::from_utf8(text).ok()?.parse::<i64>().ok();
    number(seconds)?.checked_mul(1000)?.checked_add(number(micros)? / 1000)
}

/// What a look found, by the server's reply.
fn read(reply: &[String], sent: Instant, here: u64) -> Result<Looked, RedisError> {
    let number = |text: &String| text.parse::<u64>().map_err(|_| RedisError::Format);
    match reply {
        [format, time, found @ ..] if format == FORMAT => {
            let time = number(time)?;
            let found = match found {
                [] => {
                    let by = core::time::Duration::from_millis(time.abs_diff(here));
                    Err(RedisError::Clock { is_ahead: time > here, by })
                }
                [epoch, key, birth] => {
                    let epoch = u64::from_str_radix(epoch, 16).map_err(|_| RedisError::Format)?;
                    Ok((epoch, unhex(key).ok_or(RedisError::Format)?, number(birth)?))
                }
                _ => return Err(RedisError::Format),
            };
            Ok(Looked { heard: Heard { time, sent, received: Instant::now() }, found })
        }
        _ => Err(RedisError::Format),
    }
}

/// Whether proofs leave enough memory to others on the same server.
fn has_room(info: &str) -> Result<(), RedisError> {
    match memory(info) {
        Some((used, most)) if used >= most - most / LEFT_TO_OTHERS => Err(RedisError::Scarce),
        _ => Ok(()),
    }
}

/// In milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(used: u64, most: u64) -> String {
        format!("# Memory\r\nused_memory:{used}\r\nmaxmemory:{most}\r\n")
    }

    #[test]
    fn an_eighth_of_the_memory_is_left_to_others() {
        for (used, most, expected) in [
            (0, 0, Ok(())),
            (u64::MAX, 0, Ok(())),
            (699, 800, Ok(())),
            (700, 800, Err(RedisError::Scarce)),
            (900, 800, Err(RedisError::Scarce)),
        ] {
            assert_eq!(has_room(&info(used, most)), expected, "{used} {most}");
        }
    }

    #[test]
    fn what_a_server_says_that_is_not_ours_is_refused() {
        let at = Instant::now();
        let read = |reply: &[&str]| {
            let reply: Vec<_> = reply.iter().map(|text| (*text).to_owned()).collect();
            let looked = read(&reply, at, 5000)?;
            Ok((looked.heard.time, looked.found))
        };
        let key = "0f".repeat(16);
        let off = |is_ahead, millis| RedisError::Clock {
            is_ahead,
            by: core::time::Duration::from_millis(millis),
        };
        let found = Ok((0xabc, [15; 16], 6999));
        assert_eq!(read(&["1", "7000", "abc", &key, "6999"]), Ok((7000, found)));
        assert_eq!(read(&["1", "7000"]), Ok((7000, Err(off(true, 2000)))));
        assert_eq!(read(&["1", "1000"]), Ok((1000, Err(off(false, 4000)))));
        for reply in [
            &[][..],
            &["2"],
            &["1"],
            &["2", "7000", "abc", &key, "6999"],
            &["1", "x", "abc", &key, "6999"],
            &["1", "7000", "xyz", &key, "6999"],
            &["1", "7000", "abc", "0f", "6999"],
            &["1", "7000", "abc", &key, ""],
            &["1", "7000", "abc", &key],
        ] {
            assert_eq!(read(reply), Err(RedisError::Format), "{reply:?}");
        }
    }
}
