use core::fmt;
use core::time::Duration;

/// Redis cannot be used, or not now.
#[non_exhaustive]
#[derive(Clone, Eq, PartialEq)]
pub enum RedisError {
    /// An address is not `redis://` or `rediss://`, a host, and perhaps user, password, port and
    /// database.
    Address,
    /// The root certificates are not PEM, or there is none.
    Certificates,
    /// The client's certificate or its key is not PEM, is not there, or does not fit the other.
    ClientCertificate,
    /// A setting that makes no sense.
    Setting {
        /// Which, and what it may be.
        fault: &'static str,
    },
    /// No server was reached, or it did not answer in time.
    Connection {
        /// What the client says.
        reason: String,
    },
    /// The server is a replica: it takes no writes.
    Replica,
    /// The server may drop keys when its memory is full.
    Evicts {
        /// Its `maxmemory-policy`.
        policy: String,
    },
    /// Nobody made the store, or the server lost it.
    Uninitialized,
    /// The store was made by a version of this crate that this one does not know.
    Format,
    /// The store is there already, with other terms.
    OtherTerms {
        /// Its longest lifetime of tokens.
        max_lifetime: Duration,
        /// Its leeway.
        leeway: Duration,
    },
    /// There is no room for all entries of the store: raise
    /// [`capacity`](crate::RedisRevocations::capacity).
    Full,
    /// The log does not continue where it was read last.
    Gap,
    /// The log was read from another server than the state.
    OtherServer,
    /// The store went back to an earlier state, or is another one, though it calls itself the same: all is read
    /// anew, and what was lost is given back.
    OtherHistory,
    /// The server's clock is too far off: it drops what is over, and ahead of ours too early. For revocations, that is more
    /// than five minutes; for used proofs, five seconds.
    Clock {
        /// Whether it is ahead of that of this process.
        is_ahead: bool,
        /// By how much.
        by: Duration,
    },
    /// The server's memory is full.
    Memory,
    /// Seven eighths of the server's memory are used: what is left is not for used proofs, or revocations on the same server would
    /// stop.
    Scarce,
    /// The server does not know the used proofs any more that were in it, or some of them. Another memory begins.
    Forgotten,
    /// Another process lifted what is revoked here, and this one does not know of it yet: nobody would go by the
    /// revocation. Revoke again.
    Lifted,
    /// The digests' key in the store is another one than that of the entry.
    OtherKey,
    /// Fewer replicas than asked for have a write.
    Durability {
        /// How many have it.
        have: u64,
    },
}

impl RedisError {
    /// Whether to try again at once would come to the same.
    pub(crate) fn lasts(&self) -> bool {
        match self {
            Self::Connection { .. }
            | Self::Replica
            | Self::Gap
            | Self::OtherServer
            | Self::OtherHistory
            | Self::Lifted
            | Self::Forgotten
            | Self::Durability { .. } => false,
            Self::Address
            | Self::Certificates
            | Self::ClientCertificate
            | Self::Setting { .. }
            | Self::Evicts { .. }
            | Self::Uninitialized
            | Self::Format
            | Self::OtherTerms { .. }
            | Self::Full
            | Self::Clock { .. }
            | Self::Memory
            | Self::Scarce
            | Self::OtherKey => true,
        }
    }
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => f.write_str(
                "an address of Redis is `redis://` or, with TLS, `rediss://`, then `[user:password@]host[:port][/database]`",
            ),
            Self::Certificates => {
                f.write_str("the root certificates are not PEM, or none of them can be used")
            }
            Self::ClientCertificate => f.write_str(
                "the client's certificates or their key are not PEM, or do not fit each other",
            ),
            Self::Setting { fault } => f.write_str(fault),
            Self::Connection { reason } => write!(f, "Redis was not reached: {reason}"),
            Self::Replica => f.write_str(
                "this Redis server is a replica: name the master, or use `sentinel` or `cluster`",
            ),
            Self::Evicts { policy } => write!(
                f,
                "this Redis server drops keys when its memory is full (`maxmemory-policy {policy}`), and with them revocations or used proofs: set `noeviction`"
            ),
            Self::Uninitialized => f.write_str(
                "there is no store of revocations: make it once with `initialize`; if there was one, the server lost its data",
            ),
            Self::Format => f.write_str(
                "the store was made by another version: use that one, or another prefix",
            ),
            Self::OtherTerms { max_lifetime, leeway } => write!(
                f,
                "the store of revocations was made for tokens of {} s and a leeway of {} s: use the same, or another prefix",
                max_lifetime.as_secs(),
                leeway.as_secs()
            ),
            Self::Full => f.write_str(
                "there is no room for all revocations of the store: raise `capacity`",
            ),
            Self::Gap => f.write_str("the log of revocations has a gap"),
            Self::OtherServer => f.write_str("two connections led to two servers"),
            Self::OtherHistory => f.write_str(
                "the store of revocations went back to an earlier state, or is another one: what was lost is given back",
            ),
            Self::Clock { is_ahead, by } => write!(
                f,
                "the clock of this Redis server is {} s {} that of this process: set both by one time source (NTP)",
                by.as_secs(),
                if *is_ahead { "ahead of" } else { "behind" }
            ),
            Self::Memory => f.write_str(
                "the memory of this Redis server is full (`maxmemory`), so that it takes no writes: raise it, or give Portcullis a server of its own",
            ),
            Self::Scarce => f.write_str(
                "seven eighths of the memory of this Redis server are used (`maxmemory`), and the rest is not for used proofs: raise it, or lower `capacity`",
            ),
            Self::Forgotten => f.write_str(
                "this Redis server may have lost used proofs: those that were made before are refused, and clients make new ones",
            ),
            Self::Lifted => f.write_str(
                "another process lifted a revocation of this name just now, and this one has yet to hear of it: revoke again",
            ),
            Self::OtherKey => f.write_str("the store of revocations was made again in the meantime"),
            Self::Durability { have } => {
                write!(f, "only {have} replicas of Redis acknowledged the write")
            }
        }
    }
}

/// `unwrap` and a `main` that returns it print this: it has to name the way out.
impl fmt::Debug for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for RedisError {}

impl From<redis::RedisError> for RedisError {
    fn from(error: redis::RedisError) -> Self {
        match error.code() {
            Some("READONLY") => Self::Replica,
            Some("OOM") => Self::Memory,
            // What a server says may quote what it was sent.
            Some(code) => Self::Connection { reason: format!("the server answers {code}") },
            None => Self::Connection { reason: error.category().to_owned() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_the_message() {
        assert_eq!(format!("{:?}", RedisError::Address), RedisError::Address.to_string());
    }
}
