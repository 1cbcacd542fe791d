//! Rings and sessions in SQLite.
//!
//! For the instances of one machine, in any number of processes. A file on a network disk is not supported: locks do not
//! hold there, and two changes at once break it.
//!
//! - **Each change is on the disk before it counts.** A connection with `PRAGMA synchronous` below `FULL` is refused, and one
//!   whose `journal_mode` is `OFF`, or `MEMORY` on a file: a crash would lose what was said to be done. sqlx leaves both as they
//!   are, which is `FULL` and `DELETE`. `WAL` suits as well.
//! - **A change waits for another** as long as `SqliteConnectOptions::busy_timeout` says, 5 s if nobody said it, and no longer than
//!   the [deadline](SqliteRing::deadline).
//! - **The file is for its owner alone**: private keys in it are sealed, but who writes to it can do as if a key were
//!   gone. Set the rights of its folder.
//! - **In memory** (`sqlite::memory:`), the database ends with its connection. For tests, make a pool of one connection that
//!   is never closed: `max_connections(1)`, `idle_timeout(None)`, `max_lifetime(None)`.
mod database;
mod ring;
mod sessions;

pub use self::ring::SqliteRing;
pub use self::sessions::SqliteSessions;

/// The tables, as SQL, for migrations of one's own.
///
/// Put another prefix into the names, and tell [`SqliteRing`] the same.
pub const SCHEMA: &str = concat!(include_str!("schema.sql"), include_str!("sessions.sql"));
