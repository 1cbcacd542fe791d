use portcullis_issuer::session::{
    Created, EndedAll, EndedSession, ListedAfter, NewSession, RaisedSubject, Rotation, SessionRead,
    SessionRow, SessionStore, SessionVersion, SubjectRead,
};
use portcullis_issuer::store::{StoreError, Swap};
use portcullis_issuer::{EndReason, SessionId, StoreTime};
use sqlx::{PgConnection, Postgres, Row as _};

use super::database::{Database, Query, SEEN, call};
use super::told::told_of_schemas;
use crate::call::Failure;
use crate::sessions::{self, session_store};
use crate::told::told;

/// The store's clock, when it is looked at: after whatever the statement waited for.
const NOW: &str = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// A session that is not over.
const IS_LIVE: &str = "t.ended_at IS NULL AND NOW < least(t.idle_until, t.ends_at)";

/// A session that was over before `$2`, and is over.
const WAS_OVER: &str = "(t.ended_at < $2 OR least(t.idle_until, t.ends_at) < least($2, NOW))";

const SUBJECT: &str = "\
    SELECT SEEN coalesce(v.version, 0) AS subject_version FROM portcullis_schema AS s \
    LEFT JOIN portcullis_subjects AS v ON v.issuer = $1 AND v.subject = $2";

const READ: &str = "\
    SELECT SEEN coalesce(v.version, 0) AS current_subject_version, SESSION FROM portcullis_schema AS s \
    LEFT JOIN portcullis_sessions AS t ON t.issuer = $1 AND t.id = $2 \
    LEFT JOIN portcullis_subjects AS v ON v.issuer = $1 AND v.subject = t.subject";

/// The subject's row is locked until the transaction ends: a login, and a logout everywhere, are one after the other.
const LOCK_SUBJECT: &str = "\
    INSERT INTO portcullis_subjects AS v (issuer, subject, version) VALUES ($1, $2, 0) \
    ON CONFLICT (issuer, subject) DO UPDATE SET version = v.version RETURNING version AS subject_version";

const END: &str = "\
    UPDATE portcullis_sessions SET ended_at = NOW, end_reason = $3, version = version + 1 \
    WHERE issuer = $1 AND id = $2 AND ended_at IS NULL RETURNING id";

/// The one that the login takes the place of, and the oldest where there are too many. Who waits for rows and has others takes
/// them by their ids, here and in `END_ALL`: else two may wait for each other.
const END_REPLACED: &str = "\
    UPDATE portcullis_sessions SET ended_at = NOW, end_reason = CASE WHEN id = $5 THEN $6 ELSE $3 END, version = version + 1 \
    WHERE issuer = $1 AND id = ANY(ARRAY(SELECT r.id FROM portcullis_sessions AS r \
    WHERE r.issuer = $1 AND r.id = ANY(array_append(ARRAY(SELECT t.id FROM portcullis_sessions AS t \
    WHERE t.issuer = $1 AND t.subject = $2 AND t.id IS DISTINCT FROM $5 AND IS_LIVE \
    ORDER BY t.created_at DESC, t.id DESC OFFSET $4), $5)) ORDER BY r.id FOR UPDATE)) AND ended_at IS NULL RETURNING id";

const INSERT: &str = "\
    INSERT INTO portcullis_sessions (issuer, id, subject, client, created_at, ends_at, details, binding, mac, \
    subject_version, version, generation, current_hash, previous_hash, salt, rotated_at, idle_until, ended_at, \
    end_reason) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";

/// One statement, with the settings of a change: each costs a round trip, and this is the one that every user waits for.
const ROTATE: &str = "\
    UPDATE portcullis_sessions AS t SET version = t.version + 1, generation = $4, current_hash = $5, \
    previous_hash = $6, salt = $7, rotated_at = CASE WHEN $8 THEN t.rotated_at ELSE NOW END, \
    idle_until = least(NOW + $9, t.ends_at), mac = $10 \
    FROM (SELECT CASE current_setting('synchronous_commit') \
    WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END AS is_set) AS settings \
    WHERE t.issuer = $1 AND t.id = $2 AND t.version = $3 AND IS_LIVE \
    AND coalesce(settings.is_set, '') IS NOT NULL";

const RAISE: &str = "\
    INSERT INTO portcullis_subjects AS v (issuer, subject, version, raised_at) \
    VALUES ($1, $2, greatest(1, NOW), NOW) ON CONFLICT (issuer, subject) \
    DO UPDATE SET version = greatest(v.version + 1, NOW), raised_at = NOW RETURNING version AS subject_version";

/// Also the one that is spared is taken in its order.
const END_ALL: &str = "\
    UPDATE portcullis_sessions SET ended_at = NOW, end_reason = $3, version = version + 1 \
    WHERE issuer = $1 AND id = ANY(ARRAY(SELECT t.id FROM portcullis_sessions AS t \
    WHERE t.issuer = $1 AND t.subject = $2 AND t.ended_at IS NULL ORDER BY t.id FOR UPDATE)) \
    AND ended_at IS NULL AND id IS DISTINCT FROM $4 RETURNING id";

const SPARE: &str = "\
    UPDATE portcullis_sessions SET subject_version = $4, version = version + 1 \
    WHERE issuer = $1 AND subject = $2 AND id = $3 AND ended_at IS NULL";

const LIST: &str = "\
    SELECT SEEN SESSION FROM portcullis_schema AS s LEFT JOIN LATERAL \
    (SELECT * FROM portcullis_sessions AS t WHERE t.issuer = $1 AND t.subject = $2 AND IS_LIVE \
    AND ($3::bigint IS NULL OR (t.created_at, t.id) < ($3, $4)) \
    ORDER BY t.created_at DESC, t.id DESC LIMIT $5) AS t ON true \
    ORDER BY t.created_at DESC, t.id DESC";

const ENDED: &str = "\
    SELECT SEEN t.id, t.ended_at FROM portcullis_schema AS s LEFT JOIN LATERAL \
    (SELECT id, ended_at FROM portcullis_sessions WHERE issuer = $1 AND ended_at >= $2 \
    AND ($3::bigint IS NULL OR (ended_at, id) > ($3, $4)) ORDER BY ended_at, id LIMIT $5) AS t ON true \
    ORDER BY t.ended_at, t.id";

/// A subject that is longer than any that this crate writes is not read.
const RAISED: &str = "\
    SELECT SEEN t.subject, t.version AS subject_version, t.raised_at FROM portcullis_schema AS s LEFT JOIN LATERAL \
    (SELECT subject, version, raised_at FROM portcullis_subjects WHERE issuer = $1 AND raised_at >= $2 \
    AND octet_length(subject) <= 1024 \
    AND ($3::bigint IS NULL OR (raised_at, subject) > ($3, $4)) ORDER BY raised_at, subject LIMIT $5) AS t \
    ON true ORDER BY t.raised_at, t.subject";

const NOT_ENDED: &str = "\
    SELECT id FROM portcullis_sessions WHERE issuer = $1 AND ($2::bytea IS NULL OR id > $2) AND ended_at IS NULL \
    ORDER BY id LIMIT $3";

/// What somebody else is changing is passed over: who waits for a row and has others may wait in a circle.
const PASSING_OVER: &str = "FOR UPDATE SKIP LOCKED";

const END_THESE: &str = "\
    UPDATE portcullis_sessions SET ended_at = NOW, end_reason = $3, version = version + 1 \
    WHERE issuer = $1 AND id = ANY($2) AND ended_at IS NULL";

const STEP: &str = "\
    SELECT id FROM portcullis_sessions WHERE issuer = $1 AND ($2::bytea IS NULL OR id > $2) ORDER BY id LIMIT $3";

/// Each by itself: a range, or a join, may be read as the whole table.
const PRUNE: &str = "\
    DELETE FROM portcullis_sessions AS t WHERE t.issuer = $1 AND t.id = ANY($3) AND WAS_OVER";

const ERASE_SESSIONS: &str = "\
    DELETE FROM portcullis_sessions AS t WHERE t.issuer = $1 AND t.subject = $3 AND WAS_OVER";

const ERASE_SUBJECT: &str = "\
    DELETE FROM portcullis_subjects AS v WHERE v.issuer = $1 AND v.subject = $3 \
    AND coalesce(v.raised_at, 0) < $2 AND NOT EXISTS \
    (SELECT FROM portcullis_sessions AS t WHERE t.issuer = $1 AND t.subject = $3)";

const IS_ERASED: &str = "\
    SELECT NOT EXISTS (SELECT FROM portcullis_sessions AS t WHERE t.issuer = $1 AND t.subject = $2) \
    AND NOT EXISTS (SELECT FROM portcullis_subjects AS v WHERE v.issuer = $1 AND v.subject = $2) AS is_erased";

/// Sessions in PostgreSQL, for any number of instances.
///
/// ```no_run
/// use portcullis_sqlx::PostgresSessions;
/// use sqlx::postgres::PgPoolOptions;
///
/// # async fn open() -> Result<PostgresSessions, Box<dyn std::error::Error>> {
/// let pool = PgPoolOptions::new()
///     .connect("postgres://orders@db.internal/orders")
///     .await?;
/// let sessions = PostgresSessions::new(pool).schema("auth")?;
/// sessions.migrate().await?; // or SQL of your own: see `postgres::SCHEMA`
/// # Ok(sessions) }
/// ```
///
/// A refresh is one reading and one change. The change stays on the page of the session's row (a *HOT* update), and waits for
/// nothing but the disk.
///
/// Clones are one store. A call that is cut short, by its deadline or because nobody waits for it any more, takes its
/// connection with it: the pool makes another.
#[derive(Clone)]
pub struct PostgresSessions(Database);

told!(
    PostgresSessions, Database, sqlx::PgPool,
    keeps: "Keeps sessions in the database of this pool. Nothing is asked yet.",
    deadline: "If you do not call it: 5 s. A login or a refresh waits for it, and is answered with 503 then. What took over 10 s is not gone by, so more than that is of no use."
);
told_of_schemas!(PostgresSessions);

session_store!(PostgresSessions, Postgres, PgConnection);

impl PostgresSessions {
    /// Ends a step of the sessions that were not ended, and gives it.
    async fn end_step_on(
        &self,
        connection: &mut PgConnection,
        issuer: &str,
        after: Option<SessionId>,
        reason: EndReason,
    ) -> Result<Vec<SessionId>, Failure> {
        let not_ended = format!("{NOT_ENDED} {PASSING_OVER}");
        let step = self.step_on(connection, &not_ended, issuer, after, sessions::END_STEP).await?;
        let ids: Vec<_> = step.iter().map(|id| id.as_bytes().to_vec()).collect();
        let ended = self.query(END_THESE).bind(issuer).bind(ids).bind(sessions::code(reason));
        ended.execute(connection).await?;
        Ok(step)
    }

    /// Looks at a step, and deletes of it. The last that it looked at, if there may be more.
    async fn prune_on(
        &self,
        connection: &mut PgConnection,
        issuer: &str,
        before: StoreTime,
        after: Option<SessionId>,
        most: usize,
    ) -> Result<Option<SessionId>, Failure> {
        let step = self.step_on(connection, STEP, issuer, after, most).await?;
        let ids: Vec<_> = step.iter().map(|id| id.as_bytes().to_vec()).collect();
        let pruned = self.query(PRUNE).bind(issuer).bind(before.as_millis()).bind(ids);
        pruned.execute(connection).await?;
        Ok(step.last().copied().filter(|_| step.len() == most))
    }
}
