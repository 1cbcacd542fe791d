//! Holds a [store of sessions](SessionStore) of your own to what such a store promises.
//!
//! ```
//! use portcullis_issuer::session::MemorySessions;
//! use portcullis_testkit::session_store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let store = MemorySessions::new(); // yours, without any session
//! session_store::conforms(async || store.clone()).await;
//! # }
//! ```
//!
//! What is asked, in this order:
//!
//! 1. The store's clock is the machine's within a minute, and does not go back.
//! 2. A session that is not there is not read. One that was written is read back, byte for byte: texts that could be taken for
//!    SQL, what is there and what is empty, the longest that there is, times from 0 to the last millisecond, the highest
//!    numbers.
//! 3. To log out everywhere raises the version of a subject each time, by the store's clock, and that of no other.
//! 4. A login begins only for the version that its subject has. Nothing ends for one that does not begin. It ends the session
//!    that it replaces, and the oldest beyond as many as there may be. Sessions that are over do not count.
//! 5. A rotation is done for the version that is there, and writes what it says and nothing else. None is done of a session
//!    that is over.
//! 6. A session ends once. The first reason and its time stay.
//! 7. To log out everywhere ends all sessions of a subject but the one that is spared, which becomes of the new version. No
//!    other subject's is touched.
//! 8. A list has the sessions of one subject that are not over, the newest first. Its pages have each of them once.
//! 9. What was ended, and whose version was raised, is found from a time on, that time included. The pages have each once,
//!    also where many happened at one time.
//! 10. What was over before a time is deleted, and nothing else. A session that is not over stays, whatever the time.
//! 11. Two issuers do not meet, and two subjects do not, however alike they are spelled.
//! 12. What one instance wrote, another reads.
//! 13. Of 64 rotations at once for one version, one is done. Of 64 that end one session, one ends it. Once a session was
//!     ended, no rotation of it is done. Each of 64 logouts everywhere raises the version. After one, no login of before goes
//!     on. Logins at once leave no more sessions than there may be.
//! 14. Who reads during changes reads a session, and the version of its subject, of one moment.
//!
//! What cannot be seen from outside is not asked: that a change is there after a crash, that nothing of a change is there which
//! was cut short, and that a store which is out of reach fails within seconds. Try those with the real thing.
mod apart;
mod at_once;
mod changes;
mod deleted;
mod found;
mod kept;
mod logins;
#[cfg(test)]
mod tests;

use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use portcullis_issuer::session::{
    Created, EndedAll, EndedSession, ListedAfter, NewSession, Previous, RaisedSubject, Rotation,
    SessionRead, SessionRow, SessionStore, SessionVersion,
};
use portcullis_issuer::store::{StoreError, Swap};
use portcullis_issuer::{EndReason, SessionId, StoreTime};
use tokio::task::yield_now;

/// How many changes are offered at once.
const AT_ONCE: usize = 64;

/// How many instances offer them.
const INSTANCES: usize = 4;

/// How often changes of two kinds meet.
const ROUNDS: usize = 32;

/// How far the store's clock may be off. An issuer asks for less; here, a slow machine is not to be taken for a wrong clock.
const OFF: Duration = Duration::from_secs(60);

/// How long the store's clock may show one millisecond.
const STANDS: Duration = Duration::from_secs(2);

/// More sessions than are made of one subject, and than are read at once.
const MANY: usize = 1000;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MILLISECOND: Duration = Duration::from_millis(1);

const EPOCH: StoreTime = StoreTime::from_millis(0);

/// Makes the time of a session over, by this clock.
type Over = fn(&mut SessionRow, StoreTime);

/// The ways in which the time of a session is over.
const OVER: [(&str, Over); 4] = [
    ("nobody came back", |row, now| row.idle_until = now.before(MINUTE)),
    ("nobody came back until just now", |row, now| row.idle_until = now),
    ("its end has passed", |row, now| row.ends_at = now.before(MINUTE)),
    ("its end is just now", |row, now| row.ends_at = now),
];

/// Asks a store for all that [`SessionStore`] promises, and this module lists.
///
/// `open` gives one instance's access to the store, each time to the same store: a clone of a handle, or another
/// connection. It has no sessions of issuers below `https://session-store.example`, and none of their subjects was logged
/// out; what is made there stays.
///
/// It needs a runtime of tokio, of any flavour. With one of several threads, changes are at once in earnest.
///
/// # Panics
///
/// A promise is broken, and the message says which; or the store fails.
pub async fn conforms<S: SessionStore>(open: impl AsyncFn() -> S) {
    let mut instances = Vec::new();
    for _ in 0..INSTANCES {
        instances.push(Arc::new(open().await));
    }
    let store = &*instances[0];
    kept::clock(store).await;
    kept::absent(store).await;
    kept::bytes(store).await;
    logins::versions(store).await;
    logins::of_another_version(store).await;
    logins::replaced(store).await;
    logins::too_many(store).await;
    changes::rotations(store).await;
    changes::rotations_of_what_is_over(store).await;
    changes::ends(store).await;
    changes::logouts_everywhere(store).await;
    found::lists(store).await;
    found::ended(store).await;
    found::raised(&instances[0]).await;
    deleted::pruned(store).await;
    deleted::erased(store).await;
    apart::issuers(store).await;
    apart::subjects(store).await;
    apart::other_instances(&instances).await;
    at_once::rotations(&instances).await;
    at_once::ends(&instances).await;
    at_once::rotations_against_ends(&instances).await;
    at_once::logouts(&instances).await;
    at_once::logins_against_logouts(&instances).await;
    at_once::logins(&instances).await;
    at_once::reading_during_changes(&instances).await;
}

/// A test with an issuer of its own, and a store that answers.
struct Case<'s, S> {
    store: &'s S,
    issuer: String,
    /// What is promised, for the message.
    promise: &'static str,
    /// The store's clock, when the test began.
    now: StoreTime,
}

impl<'s, S: SessionStore> Case<'s, S> {
    async fn new(store: &'s S, name: &str, promise: &'static str) -> Self {
        let mut case = Self { store, issuer: issuer(name), promise, now: EPOCH };
        case.now = case.time().await;
        case
    }

    /// The same, with another promise.
    fn promising(&self, promise: &'static str) -> Self {
        Self { store: self.store, issuer: self.issuer.clone(), promise, now: self.now }
    }

    /// A session that goes on, and shows in all of its parts which one it is. Those of higher numbers are newer.
    fn live(&self, number: usize, subject: &str) -> SessionRow {
        live(self.now, number, subject)
    }

    async fn time(&self) -> StoreTime {
        said("subject", self.store.subject(&self.issuer, "nobody").await).now
    }

    /// Asks until the store's clock shows a later millisecond, and gives that.
    async fn later(&self) -> StoreTime {
        let (from, asked) = (self.time().await, Instant::now());
        loop {
            let now = self.time().await;
            if now > from {
                return now;
            }
            assert!(asked.elapsed() < STANDS, "{}: it stands still at {now}", self.promise);
            yield_now().await;
        }
    }

    async fn version(&self, subject: &str) -> u64 {
        said("subject", self.store.subject(&self.issuer, subject).await).version
    }

    async fn read(&self, id: SessionId) -> SessionRead {
        said("read", self.store.read(&self.issuer, id).await)
    }

    async fn row(&self, id: SessionId) -> SessionRow {
        let row = self.read(id).await.row;
        row.unwrap_or_else(|| panic!("{}: {id:?} is not there", self.promise))
    }

    async fn begin(&self, row: &SessionRow, replaces: Option<SessionId>, most: usize) -> Created {
        begin(self.store, &self.issuer, NewSession { row, replaces, most }).await
    }

    /// Begins a session for which others end, and gives these in the order of their ids.
    async fn begin_for(
        &self,
        row: &SessionRow,
        replaces: Option<SessionId>,
        most: usize,
    ) -> Vec<SessionId> {
        match self.begin(row, replaces, most).await {
            Created::Done { mut ended } => {
                ended.sort_unstable();
                ended
            }
            Created::Outdated => {
                panic!("{}: a login of the subject's version did not begin", self.promise)
            }
        }
    }

    /// Begins a session for which none ends.
    async fn put(&self, row: &SessionRow) {
        let ended = self.begin_for(row, None, MANY).await;
        assert_eq!(ended, [], "{}: sessions ended for one that replaces none", self.promise);
    }

    async fn rotate(&self, id: SessionId, from: u64, to: &Rotation) -> Swap {
        rotate(self.store, &self.issuer, id, from, to).await
    }

    async fn end(&self, id: SessionId, reason: EndReason) -> bool {
        said("end", self.store.end(&self.issuer, id, reason).await)
    }

    /// Logs out everywhere, and gives what ended in the order of the ids.
    async fn end_all(&self, subject: &str, but: Option<SessionId>, reason: EndReason) -> EndedAll {
        let mut all = end_all(self.store, &self.issuer, subject, but, reason).await;
        all.sessions.sort_unstable();
        all
    }

    async fn list(
        &self,
        subject: &str,
        after: Option<ListedAfter>,
        limit: usize,
    ) -> Vec<SessionRow> {
        said("list", self.store.list(&self.issuer, subject, after, limit).await)
    }

    async fn ended(
        &self,
        since: StoreTime,
        after: Option<EndedSession>,
        limit: usize,
    ) -> Vec<EndedSession> {
        said("ended", self.store.ended(&self.issuer, since, after, limit).await)
    }

    async fn raised(
        &self,
        since: StoreTime,
        after: Option<&RaisedSubject>,
        limit: usize,
    ) -> Vec<RaisedSubject> {
        said("raised", self.store.raised(&self.issuer, since, after, limit).await)
    }

    async fn prune(
        &self,
        before: StoreTime,
        after: Option<SessionId>,
        limit: usize,
    ) -> Option<SessionId> {
        said("prune", self.store.prune(&self.issuer, before, after, limit).await)
    }

    async fn erase(&self, subject: &str, before: StoreTime) -> bool {
        said("erase", self.store.erase(&self.issuer, subject, before).await)
    }

    async fn has(&self, expected: &SessionRow) {
        same(&self.row(expected.id).await, expected, self.promise);
    }

    async fn has_none(&self, id: SessionId) {
        let row = self.read(id).await.row;
        assert!(row.is_none(), "{}: {id:?} is there, and should not be", self.promise);
    }

    /// That this session was ended since `from`, for this reason, and is else as it was. Gives what it is now.
    async fn has_ended(
        &self,
        before: &SessionRow,
        reason: EndReason,
        from: StoreTime,
    ) -> SessionRow {
        let (promise, id) = (self.promise, before.id);
        let found = self.row(id).await;
        let Some(ended) = found.ended else {
            panic!("{promise}: {id:?} was not ended");
        };
        assert_eq!(ended.reason, reason, "{promise}: {id:?} was ended for another reason");
        self.happened(ended.at, from, self.time().await, "the time of the end");
        let version = SessionVersion(before.version.0 + 1);
        same(&found, &SessionRow { version, ended: Some(ended), ..before.clone() }, promise);
        found
    }

    /// That this session rotated since `from`, and is else as it was. Gives what it is now.
    async fn has_rotated(&self, before: &SessionRow, to: &Rotation, from: StoreTime) -> SessionRow {
        let found = self.row(before.id).await;
        let until = self.time().await;
        let expected = SessionRow {
            version: SessionVersion(before.version.0 + 1),
            generation: to.generation,
            current_hash: to.current_hash,
            previous: Some(to.previous),
            rotated_at: if to.keeps_time { before.rotated_at } else { found.rotated_at },
            idle_until: found.idle_until,
            mac: to.mac.clone(),
            ..before.clone()
        };
        if !to.keeps_time {
            self.happened(found.rotated_at, from, until, "`rotated_at`");
        }
        let idle = |now: StoreTime| now.after(to.idle).min(before.ends_at);
        self.happened(found.idle_until, idle(from), idle(until), "`idle_until`");
        same(&found, &expected, self.promise);
        found
    }

    /// That this is a time of the store's clock between two others.
    fn happened(&self, at: StoreTime, from: StoreTime, until: StoreTime, what: &str) {
        let promise = self.promise;
        assert!(
            from <= at && at <= until,
            "{promise}: {what} is {at}, and by the store's clock it is from {from} to {until}"
        );
    }
}

fn issuer(name: &str) -> String {
    format!("https://session-store.example/{name}")
}

fn said<T>(method: &str, result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| panic!("`{method}` fails: {}", error.reason))
}

async fn begin<S: SessionStore>(store: &S, issuer: &str, new: NewSession<'_>) -> Created {
    said("create", store.create(issuer, new).await)
}

async fn rotate<S: SessionStore>(
    store: &S,
    issuer: &str,
    id: SessionId,
    from: u64,
    to: &Rotation,
) -> Swap {
    said("rotate", store.rotate(issuer, id, SessionVersion(from), to).await)
}

async fn end_all<S: SessionStore>(
    store: &S,
    issuer: &str,
    subject: &str,
    but: Option<SessionId>,
    reason: EndReason,
) -> EndedAll {
    said("end_all", store.end_all(issuer, subject, but, reason).await)
}

/// Ids in another order than that of the numbers, of bytes from 0 to 255.
fn id(number: usize) -> SessionId {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    SessionId::from_bytes((number as u128).wrapping_mul(ODD).to_be_bytes())
}

fn ids(numbers: impl IntoIterator<Item = usize>) -> Vec<SessionId> {
    let mut ids: Vec<_> = numbers.into_iter().map(id).collect();
    ids.sort_unstable();
    ids
}

fn byte(number: usize) -> u8 {
    number.to_be_bytes()[size_of::<usize>() - 1]
}

fn live(now: StoreTime, number: usize, subject: &str) -> SessionRow {
    let created_at = now.before(HOUR).after(Duration::from_millis(number as u64));
    SessionRow {
        id: id(number),
        subject: subject.to_owned(),
        client: format!("client {number}"),
        created_at,
        ends_at: now.after(30 * DAY),
        details: format!("{{\"label\":\"{number}\"}}"),
        // A store that loses it anywhere gives the session to whoever has a copy of a token.
        binding: Some(vec![1; 33]),
        mac: vec![byte(number); 32],
        subject_version: 0,
        version: SessionVersion(1),
        generation: 0,
        current_hash: [byte(number); 32],
        previous: None,
        rotated_at: created_at,
        idle_until: now.after(DAY),
        ended: None,
    }
}

/// A rotation that shows, in all of its parts, which one it is.
fn rotation(mark: usize) -> Rotation {
    let byte = byte(mark);
    Rotation {
        generation: u32::try_from(mark).unwrap_or(u32::MAX),
        current_hash: [byte; 32],
        previous: Previous { hash: [!byte; 32], salt: [byte; 16] },
        idle: 2 * HOUR,
        keeps_time: false,
        mac: vec![byte; 33],
    }
}

/// Each field by its name: `Debug` shows neither whose a session is nor a hash.
fn same(found: &SessionRow, expected: &SessionRow, promise: &str) {
    let SessionRow {
        id,
        subject,
        client,
        created_at,
        ends_at,
        details,
        binding,
        mac,
        subject_version,
        version,
        generation,
        current_hash,
        previous,
        rotated_at,
        idle_until,
        ended,
    } = expected;
    assert_eq!(found.id, *id, "{promise}: `id`");
    for (field, is_same) in [
        ("subject", found.subject == *subject),
        ("client", found.client == *client),
        ("details", found.details == *details),
        ("binding", found.binding == *binding),
        ("mac", found.mac == *mac),
        ("current_hash", found.current_hash == *current_hash),
        ("previous", found.previous == *previous),
    ] {
        assert!(is_same, "{promise}: `{field}` of {id:?} is another");
    }
    assert_eq!(found.created_at, *created_at, "{promise}: `created_at` of {id:?}");
    assert_eq!(found.ends_at, *ends_at, "{promise}: `ends_at` of {id:?}");
    assert_eq!(found.subject_version, *subject_version, "{promise}: `subject_version` of {id:?}");
    assert_eq!(found.version, *version, "{promise}: `version` of {id:?}");
    assert_eq!(found.generation, *generation, "{promise}: `generation` of {id:?}");
    assert_eq!(found.rotated_at, *rotated_at, "{promise}: `rotated_at` of {id:?}");
    assert_eq!(found.idle_until, *idle_until, "{promise}: `idle_until` of {id:?}");
    assert_eq!(found.ended, *ended, "{promise}: `ended` of {id:?}");
}
