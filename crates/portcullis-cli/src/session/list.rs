//! Which sessions a subject has.
use portcullis_issuer::StoreTime;
use portcullis_issuer::session::SessionRow;
use serde::Serialize;

use super::ListOptions;
use super::shown::{SessionShown, label, when};
use super::store::check_subject;
use crate::Exit;
use crate::output::{Failure, Output, counted, shown};
use crate::store::Access;
use crate::time::Instant;

/// What a program is told.
#[derive(Serialize)]
struct Listed<'r> {
    issuer: &'r str,
    subject: &'r str,
    subject_version: u64,
    now: Instant,
    sessions: Vec<SessionShown<'r>>,
}

pub(super) async fn run(options: &ListOptions, output: &Output) -> Result<Exit, Failure> {
    let subject = &options.subject;
    check_subject(subject)?;
    let store = options.meant.open(Access::Read)?;
    let mut rows = store.list(subject).await?;
    let read = store.subject(subject).await?;
    // The subject was logged out everywhere since, and the store has not ended them.
    rows.retain(|row| row.subject_version >= read.version);
    if output.json {
        output.json(&Listed {
            issuer: store.issuer,
            subject,
            subject_version: read.version,
            now: read.now.into(),
            sessions: rows.iter().map(SessionShown::of).collect(),
        });
        return Ok(Exit::Good);
    }
    let (issuer, subject) = (shown(store.issuer), shown(subject));
    let sessions = match rows.len() {
        0 => "no live session".to_owned(),
        count => counted(count, "live session"),
    };
    output.paragraph(&format!("{subject} has {sessions} at {issuer}"));
    if !rows.is_empty() {
        output.line("");
        print(&rows, read.now, output);
    }
    Ok(Exit::Good)
}

fn print(rows: &[SessionRow], now: StoreTime, output: &Output) {
    let of = |row: &SessionRow| {
        let times = [row.created_at, row.rotated_at, row.idle_until, row.ends_at];
        (row.id.to_string(), row.client.clone(), label(row), times.map(|at| when(at, now)))
    };
    let (began, used, idle, ends) = ("began", "used last", "over if unused", "ends");
    if rows.iter().any(|row| label(row).is_some()) {
        let rows = rows.iter().map(|row| {
            let (id, client, label, [at, used, idle, ends]) = of(row);
            [id, client, label.unwrap_or_default(), at, used, idle, ends]
        });
        output.table(["session", "client", "label", began, used, idle, ends], rows);
    } else {
        let rows = rows.iter().map(|row| {
            let (id, client, _, [at, used, idle, ends]) = of(row);
            [id, client, at, used, idle, ends]
        });
        output.table(["session", "client", began, used, idle, ends], rows);
    }
}
