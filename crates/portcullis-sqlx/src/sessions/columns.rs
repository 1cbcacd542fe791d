//! The columns of a session, and the sessions that rows come to.
use core::time::Duration;

use portcullis_issuer::session::{
    Ended, EndedSession, Previous, RaisedSubject, SessionRow, SessionVersion,
};
use portcullis_issuer::store::StoreError;
use portcullis_issuer::{EndReason, SessionId, StoreTime};
use sqlx::{ColumnIndex, Decode, Row, Type};

use crate::bounded::{self, Bounded};
use crate::call::Failure;
use crate::columns;

/// What to do about a row that somebody else wrote.
const WAY_OUT: &str = "end the session by `portcullis session end`, or delete the row";

/// The columns of a session that have a bound.
const BOUNDED: [Bounded; 8] = [
    // What a token takes, as the client.
    Bounded { column: "t.subject", name: "subject", most: 1024 },
    Bounded { column: "t.client", name: "client", most: 1024 },
    // More than a token takes of them.
    Bounded { column: "t.details", name: "details", most: 16 * 1024 },
    // A key and a certificate have 65.
    Bounded { column: "t.binding", name: "binding", most: 256 },
    // HMAC-SHA-256 has 32, and the suite of `portcullis-testkit` writes one of each byte that there is.
    Bounded { column: "t.mac", name: "mac", most: 256 },
    Bounded { column: "t.current_hash", name: "current_hash", most: 32 },
    Bounded { column: "t.previous_hash", name: "previous_hash", most: 32 },
    Bounded { column: "t.salt", name: "salt", most: 16 },
];

/// What selects a session of the table `t`.
pub(crate) fn selected() -> String {
    format!(
        "t.id, t.created_at, t.ends_at, t.subject_version, t.version AS session_version, t.generation, \
         t.rotated_at, t.idle_until, t.ended_at, t.end_reason, {}",
        bounded::selected(&BOUNDED)
    )
}

/// What a database has to have for these columns.
macro_rules! read_from {
    ($(#[$docs:meta])* fn $name:ident($row:ident: $from:ty) -> $what:ty $body:block) => {
        $(#[$docs])*
        pub(crate) fn $name<'r, R: Row>($row: &'r $from) -> Result<$what, Failure>
        where
            &'static str: ColumnIndex<R>,
            String: Decode<'r, R::Database> + Type<R::Database>,
            Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
            i64: Decode<'r, R::Database> + Type<R::Database>,
        $body
    };
}

read_from! {
    /// The sessions of a reading, whose rows have none where there are none.
    fn sessions(rows: [R]) -> Vec<SessionRow> {
        bounded::check_read(rows, &BOUNDED, WAY_OUT)?;
        rows.iter().filter_map(|row| session(row).transpose()).collect()
    }
}

read_from! {
    /// The session of a row. `None`: it has none.
    fn session(row: R) -> Option<SessionRow> {
        let Some(id) = row.try_get::<Option<Vec<u8>>, _>("id")? else { return Ok(None) };
        let previous_hash: Option<Vec<u8>> = row.try_get("previous_hash")?;
        let previous = match (previous_hash, row.try_get::<Option<Vec<u8>>, _>("salt")?) {
            (None, None) => None,
            (Some(hash), Some(salt)) => {
                Some(Previous { hash: array("previous_hash", hash)?, salt: array("salt", salt)? })
            }
            (Some(_), None) | (None, Some(_)) => return Err(wrong("salt").into()),
        };
        let ended_at: Option<i64> = row.try_get("ended_at")?;
        let ended = match (ended_at, row.try_get::<Option<i64>, _>("end_reason")?) {
            (None, _) => None,
            // It ended, whatever for.
            (Some(at), code) => Some(Ended { at: StoreTime::from_millis(at), reason: reason(code) }),
        };
        let time = |name| row.try_get::<i64, _>(name).map(StoreTime::from_millis);
        Ok(Some(SessionRow {
            id: SessionId::from_bytes(array("id", id)?),
            subject: row.try_get("subject")?,
            client: row.try_get("client")?,
            created_at: time("created_at")?,
            ends_at: time("ends_at")?,
            details: row.try_get("details")?,
            binding: row.try_get("binding")?,
            mac: row.try_get("mac")?,
            subject_version: number("subject_version", row.try_get("subject_version")?)?,
            version: SessionVersion(number("version", row.try_get("session_version")?)?),
            generation: number("generation", row.try_get("generation")?)?,
            current_hash: array("current_hash", row.try_get("current_hash")?)?,
            previous,
            rotated_at: time("rotated_at")?,
            idle_until: time("idle_until")?,
            ended,
        }))
    }
}

read_from! {
    /// The ids of rows.
    fn ids(rows: [R]) -> Vec<SessionId> {
        let id = |row: &'r R| {
            let id = row.try_get::<Option<Vec<u8>>, _>("id").map_err(Failure::from);
            id.map(|id| id.map(|id| Ok(SessionId::from_bytes(array("id", id)?))).transpose())
        };
        rows.iter().map(id).filter_map(|id| id.and_then(|id| id).transpose()).collect()
    }
}

read_from! {
    /// The sessions that ended.
    fn ended(rows: [R]) -> Vec<EndedSession> {
        let ids = ids(rows)?.into_iter().zip(rows);
        ids.map(|(id, row)| {
            Ok(EndedSession { id, at: StoreTime::from_millis(row.try_get("ended_at")?) })
        })
        .collect()
    }
}

read_from! {
    /// The subjects whose version was raised.
    fn raised(rows: [R]) -> Vec<RaisedSubject> {
        let raised = |row: &'r R| {
            let Some(subject) = row.try_get("subject")? else { return Ok(None) };
            let version = number("version", row.try_get("subject_version")?)?;
            let at = StoreTime::from_millis(row.try_get("raised_at")?);
            Ok(Some(RaisedSubject { subject, version, at }))
        };
        rows.iter().map(raised).filter_map(Result::transpose).collect()
    }
}

read_from! {
    /// The store's clock at a reading.
    fn now(rows: [R]) -> StoreTime {
        Ok(StoreTime::from_millis(columns::first(rows)?.try_get("now")?))
    }
}

fn reason(code: Option<i64>) -> EndReason {
    EndReason::from_code(code.and_then(|code| u8::try_from(code).ok()).unwrap_or_default())
}

fn array<const N: usize>(name: &str, bytes: Vec<u8>) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| wrong(name))
}

/// A number that is not negative.
pub(crate) fn number<T: TryFrom<i64>>(name: &str, number: i64) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| wrong(name))
}

fn wrong(name: &str) -> StoreError {
    StoreError::new(format!(
        "the column {name} of a session is not as this release writes it: somebody else wrote it; {WAY_OUT}"
    ))
}

/// A session as its columns.
pub(crate) struct SessionColumns<'s> {
    pub(crate) row: &'s SessionRow,
    pub(crate) subject_version: i64,
    pub(crate) version: i64,
    pub(crate) generation: i64,
}

impl<'s> SessionColumns<'s> {
    /// # Errors
    ///
    /// A value is too long, or too large, to be read again.
    pub(crate) fn of(row: &'s SessionRow) -> Result<Self, StoreError> {
        let check = |name: &str, length| {
            bounded::check_written(&BOUNDED, name, length, "say less of the session")
        };
        check("subject", row.subject.len())?;
        check("client", row.client.len())?;
        check("details", row.details.len())?;
        check("binding", row.binding.as_ref().map_or(0, Vec::len))?;
        check("mac", row.mac.len())?;
        Ok(Self {
            row,
            subject_version: kept("subject_version", row.subject_version)?,
            version: kept("version", row.version.0)?,
            generation: row.generation.into(),
        })
    }
}

fn kept(name: &str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number)
        .map_err(|_| StoreError::new(format!("a {name} of {number} is not kept: it is too large")))
}

/// A limit of rows as it is said. At least one.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// The number of a reason as it is kept.
pub(crate) fn code(reason: EndReason) -> i64 {
    reason.code().into()
}

/// An id as it is compared with. `None`: with nothing.
pub(crate) fn bytes(id: Option<SessionId>) -> Option<Vec<u8>> {
    id.map(|id| id.as_bytes().to_vec())
}
