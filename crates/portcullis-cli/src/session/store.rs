//! A store of sessions, by what `--store` says.
use portcullis_issuer::session::{
    EndedAll, ListedAfter, SessionRead, SessionRow, SessionStore as _, SubjectRead,
};
use portcullis_issuer::store::StoreError;
use portcullis_issuer::{EndReason, SessionId};
use portcullis_sqlx::{PostgresSessions, SqliteSessions};

use super::{Meant, SESSIONS};
use crate::Exit;
use crate::output::Failure;
use crate::store::{Access, Address, Place};

/// How many sessions are asked for at once.
const PAGE: usize = 100;

/// The most bytes of a subject, as of one that logs in.
const LONGEST_SUBJECT: usize = 1024;

/// The sessions of an issuer.
pub(super) struct Store<'m> {
    kept: In,
    pub(super) issuer: &'m str,
}

/// Where they are.
enum In {
    Postgres(PostgresSessions),
    Sqlite(SqliteSessions),
}

/// What the store that it is comes to.
macro_rules! ask {
    ($store:expr, |$it:ident| $call:expr) => {
        match &$store.kept {
            In::Postgres($it) => $call.await,
            In::Sqlite($it) => $call.await,
        }
        .map_err(|error| failure(&error))
    };
}

impl Meant {
    /// Opens the store. Its database is asked with the first call.
    pub(super) fn open(&self, access: Access) -> Result<Store<'_>, Failure> {
        let place = Place::new(&SESSIONS, &self.store);
        let address = place.address()?;
        self.tables.check(&address, &SESSIONS)?;
        let kept = match address {
            Address::Path(_) => {
                return Err(place.fault(format_args!(
                    "sessions are kept in a database: give {}",
                    SESSIONS.forms
                )));
            }
            Address::Postgres(address) => {
                let sessions = PostgresSessions::new(place.postgres(&address)?);
                let sessions = self.tables.prefixed(sessions, PostgresSessions::table_prefix)?;
                In::Postgres(self.tables.in_schema(sessions, PostgresSessions::schema)?)
            }
            Address::Sqlite(address) => {
                let sessions = SqliteSessions::new(place.sqlite(&address, access)?);
                In::Sqlite(self.tables.prefixed(sessions, SqliteSessions::table_prefix)?)
            }
        };
        Ok(Store { kept, issuer: &self.issuer })
    }
}

impl Store<'_> {
    pub(super) async fn subject(&self, subject: &str) -> Result<SubjectRead, Failure> {
        ask!(self, |it| it.subject(self.issuer, subject))
    }

    pub(super) async fn read(&self, id: SessionId) -> Result<SessionRead, Failure> {
        ask!(self, |it| it.read(self.issuer, id))
    }

    /// The sessions of a subject that are not over, page by page.
    pub(super) async fn list(&self, subject: &str) -> Result<Vec<SessionRow>, Failure> {
        let mut rows: Vec<SessionRow> = Vec::new();
        loop {
            let after =
                rows.last().map(|row| ListedAfter { created_at: row.created_at, id: row.id });
            let page = ask!(self, |it| it.list(self.issuer, subject, after, PAGE))?;
            let is_last = page.len() < PAGE;
            rows.extend(page);
            if is_last {
                return Ok(rows);
            }
        }
    }

    /// Whether it was there, and not ended before.
    pub(super) async fn end(&self, id: SessionId) -> Result<bool, Failure> {
        ask!(self, |it| it.end(self.issuer, id, EndReason::Operator))
    }

    pub(super) async fn end_all(&self, subject: &str) -> Result<EndedAll, Failure> {
        ask!(self, |it| it.end_all(self.issuer, subject, None, EndReason::Operator))
    }

    /// How many were ended.
    pub(super) async fn end_everything(&self) -> Result<u64, Failure> {
        ask!(self, |it| it.end_everything(self.issuer, EndReason::Operator))
    }
}

fn failure(error: &StoreError) -> Failure {
    let message = format!("the store of sessions cannot be asked: {}", error.reason);
    Failure { exit: Exit::Unavailable, ..Failure::fault(message) }
}

/// Refuses what is not a subject of any session.
pub(super) fn check_subject(subject: &str) -> Result<(), Failure> {
    if (1..=LONGEST_SUBJECT).contains(&subject.len()) {
        return Ok(());
    }
    Err(Failure::fault(format!(
        "--subject: this has {} bytes, and a subject has 1 to {LONGEST_SUBJECT} bytes",
        subject.len()
    )))
}
