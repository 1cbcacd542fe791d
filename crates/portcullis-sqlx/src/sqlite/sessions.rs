use portcullis_issuer::session::{
    Created, EndedAll, EndedSession, ListedAfter, NewSession, RaisedSubject, Rotation, SessionRead,
    SessionRow, SessionStore, SessionVersion, SubjectRead,
};
use portcullis_issuer::store::{StoreError, Swap};
use portcullis_issuer::{EndReason, SessionId, StoreTime};
use sqlx::{Row as _, Sqlite, SqliteConnection};

use super::database::{Database, Query, SEEN, call};
use crate::call::Failure;
use crate::sessions::{self, session_store};
use crate::told::told;

/// The store's clock, which is the machine's.
const NOW: &str = "CAST(unixepoch('subsec') * 1000 AS INTEGER)";

/// A session that is not over.
const IS_LIVE: &str = "t.ended_at IS NULL AND NOW < min(t.idle_until, t.ends_at)";

/// A session that was over before `?2`, and is over.
const WAS_OVER: &str = "(t.ended_at < ?2 OR min(t.idle_until, t.ends_at) < min(?2, NOW))";

const SUBJECT: &str = "\
    SELECT SEEN NOW AS now, coalesce(v.version, 0) AS subject_version FROM portcullis_schema AS s \
    LEFT JOIN portcullis_subjects AS v ON v.issuer = ?1 AND v.subject = ?2";

const READ: &str = "\
    SELECT SEEN NOW AS now, coalesce(v.version, 0) AS current_subject_version, SESSION FROM portcullis_schema AS s \
    LEFT JOIN portcullis_sessions AS t ON t.issuer = ?1 AND t.id = ?2 \
    LEFT JOIN portcullis_subjects AS v ON v.issuer = ?1 AND v.subject = t.subject";

/// The subject's row is there from the first login on.
const LOCK_SUBJECT: &str = "\
    INSERT INTO portcullis_subjects AS v (issuer, subject, version) VALUES (?1, ?2, 0) \
    ON CONFLICT (issuer, subject) DO UPDATE SET version = v.version RETURNING version AS subject_version";

const END: &str = "\
    UPDATE portcullis_sessions SET ended_at = NOW, end_reason = ?3, version = version + 1 \
    WHERE issuer = ?1 AND id = ?2 AND ended_at IS NULL RETURNING id";

/// The one that the login takes the place of, and the oldest where there are too many.
const END_REPLACED: &str = "\
    UPDATE portcullis_sessions SET ended_at = NOW, end_reason = CASE WHEN id = ?5 THEN ?6 ELSE ?3 END, version = version + 1 \
    WHERE issuer = ?1 AND (id = ?5 OR id IN (SELECT t.id FROM portcullis_sessions AS t \
    WHERE t.issuer = ?1 AND t.subject = ?2 AND t.id IS NOT ?5 AND IS_LIVE \
    ORDER BY t.created_at DESC, t.id DESC LIMIT -1 OFFSET ?4)) AND ended_at IS NULL RETURNING id";

const INSERT: &str = "\
    INSERT INTO portcullis_sessions (issuer, id, subject, client, created_at, ends_at, details, binding, mac, \
    subject_version, version, generation, current_hash, previous_hash, salt, rotated_at, idle_until, ended_at, \
    end_reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";

const ROTATE: &str = "\
    UPDATE portcullis_sessions AS t SET version = t.version + 1, generation = ?4, current_hash = ?5, \
    previous_hash = ?6, salt = ?7, rotated_at = CASE WHEN ?8 THEN t.rotated_at ELSE NOW END, \
    idle_until = min(NOW + ?9, t.ends_at), mac = ?10 \
    WHERE t.issuer = ?1 AND t.id = ?2 AND t.version = ?3 AND IS_LIVE";

const RAISE: &str = "\
    INSERT INTO portcullis_subjects AS v (issuer, subject, version, raised_at) \
    VALUES (?1, ?2, max(1, NOW), NOW) ON CONFLICT (issuer, subject) \
    DO UPDATE SET version = max(v.version + 1, NOW), raised_at = NOW RETURNING version AS subject_version";

const END_ALL: &str = "\
    UPDATE portcullis_sessions SET ended_at = NOW, end_reason = ?3, version = version + 1 \
    WHERE issuer = ?1 AND subject = ?2 AND ended_at IS NULL AND id IS NOT ?4 RETURNING id";

const SPARE: &str = "\
    UPDATE portcullis_sessions SET subject_version = ?4, version = version + 1 \
    WHERE issuer = ?1 AND subject = ?2 AND id = ?3 AND ended_at IS NULL";

const LIST: &str = "\
    SELECT SEEN SESSION FROM portcullis_schema AS s LEFT JOIN \
    (SELECT * FROM portcullis_sessions AS t WHERE t.issuer = ?1 AND t.subject = ?2 AND IS_LIVE \
    AND (?3 IS NULL OR (t.created_at, t.id) < (?3, ?4)) \
    ORDER BY t.created_at DESC, t.id DESC LIMIT ?5) AS t ON true \
    ORDER BY t.created_at DESC, t.id DESC";

const ENDED: &str = "\
    SELECT SEEN t.id, t.ended_at FROM portcullis_schema AS s LEFT JOIN \
    (SELECT id, ended_at FROM portcullis_sessions WHERE issuer = ?1 AND ended_at >= ?2 \
    AND (?3 IS NULL OR (ended_at, id) > (?3, ?4)) ORDER BY ended_at, id LIMIT ?5) AS t ON true \
    ORDER BY t.ended_at, t.id";

/// A subject that is longer than any that this crate writes is not read.
const RAISED: &str = "\
    SELECT SEEN t.subject, t.version AS subject_version, t.raised_at FROM portcullis_schema AS s LEFT JOIN \
    (SELECT subject, version, raised_at FROM portcullis_subjects WHERE issuer = ?1 AND raised_at >= ?2 \
    AND octet_length(subject) <= 1024 \
    AND (?3 IS NULL OR (raised_at, subject) > (?3, ?4)) ORDER BY raised_at, subject LIMIT ?5) AS t \
    ON true ORDER BY t.raised_at, t.subject";

const NOT_ENDED: &str = "\
    SELECT id FROM portcullis_sessions WHERE issuer = ?1 AND (?2 IS NULL OR id > ?2) AND ended_at IS NULL \
    ORDER BY id LIMIT ?3";

const END_THESE: &str = "\
    UPDATE portcullis_sessions SET ended_at = NOW, end_reason = ?3, version = version + 1 \
    WHERE issuer = ?1 AND (?2 IS NULL OR id > ?2) AND id <= ?4 AND ended_at IS NULL";

const STEP: &str = "\
    SELECT id FROM portcullis_sessions WHERE issuer = ?1 AND (?2 IS NULL OR id > ?2) ORDER BY id LIMIT ?3";

const PRUNE: &str = "\
    DELETE FROM portcullis_sessions AS t WHERE t.issuer = ?1 AND (?3 IS NULL OR t.id > ?3) AND t.id <= ?4 AND WAS_OVER";

const ERASE_SESSIONS: &str = "\
    DELETE FROM portcullis_sessions AS t WHERE t.issuer = ?1 AND t.subject = ?3 AND WAS_OVER";

const ERASE_SUBJECT: &str = "\
    DELETE FROM portcullis_subjects AS v WHERE v.issuer = ?1 AND v.subject = ?3 \
    AND coalesce(v.raised_at, 0) < ?2 AND NOT EXISTS \
    (SELECT 1 FROM portcullis_sessions AS t WHERE t.issuer = ?1 AND t.subject = ?3)";

const IS_ERASED: &str = "\
    SELECT NOT EXISTS (SELECT 1 FROM portcullis_sessions AS t WHERE t.issuer = ?1 AND t.subject = ?2) \
    AND NOT EXISTS (SELECT 1 FROM portcullis_subjects AS v WHERE v.issuer = ?1 AND v.subject = ?2) AS is_erased";

/// Sessions in SQLite, for the instances of one machine.
///
/// ```
/// use portcullis_sqlx::SqliteSessions;
/// use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir();
/// # let file = folder.join(format!("portcullis-sessions-{}.db", std::process::id()));
/// let options = SqliteConnectOptions::new()
///     .filename(&file)
///     .create_if_missing(true);
/// let pool = SqlitePoolOptions::new().connect_with(options).await?;
/// let sessions = SqliteSessions::new(pool);
/// sessions.migrate().await?;
/// # std::fs::remove_file(file)?;
/// # Ok(()) }
/// ```
///
/// Clones are one store. The store's clock is the machine's.
#[derive(Clone)]
pub struct SqliteSessions(Database);

told!(
    SqliteSessions, Database, sqlx::SqlitePool,
    keeps: "Keeps sessions in the database of this pool. Nothing is asked yet.",
    deadline: "If you do not call it: 5 s. A login or a refresh waits for it, and is answered with 503 then. What took over 10 s is not gone by, so more than that is of no use."
);

session_store!(SqliteSessions, Sqlite, SqliteConnection);

impl SqliteSessions {
    /// Ends a step of the sessions that were not ended, and gives it.
    async fn end_step_on(
        &self,
        connection: &mut SqliteConnection,
        issuer: &str,
        after: Option<SessionId>,
        reason: EndReason,
    ) -> Result<Vec<SessionId>, Failure> {
        let step = self.step_on(connection, NOT_ENDED, issuer, after, sessions::END_STEP).await?;
        if let Some(last) = step.last() {
            let ended = self.query(END_THESE).bind(issuer).bind(sessions::bytes(after));
            let ended = ended.bind(sessions::code(reason)).bind(last.as_bytes().to_vec());
            ended.execute(connection).await?;
        }
        Ok(step)
    }

    /// Looks at a step, and deletes of it. The last that it looked at, if there may be more.
    async fn prune_on(
        &self,
        connection: &mut SqliteConnection,
        issuer: &str,
        before: StoreTime,
        after: Option<SessionId>,
        most: usize,
    ) -> Result<Option<SessionId>, Failure> {
        let step = self.step_on(connection, STEP, issuer, after, most).await?;
        let Some(last) = step.last().copied() else { return Ok(None) };
        let pruned = self.query(PRUNE).bind(issuer).bind(before.as_millis());
        let pruned = pruned.bind(sessions::bytes(after)).bind(last.as_bytes().to_vec());
        pruned.execute(connection).await?;
        Ok(Some(last).filter(|_| step.len() == most))
    }
}
