//! Ends sessions.
use portcullis_issuer::SessionId;
use serde_json::json;

use super::shown::when;
use super::store::{Store, check_subject};
use super::{EndOptions, session_id};
use crate::Exit;
use crate::confirm::Question;
use crate::output::{Failure, Output, counted, shown};
use crate::store::Access;

/// Asked before everybody has to log in again.
const EVERY_SESSION: Question = Question {
    all: "--all ends every session of the issuer, and everybody has to log in again",
    happens: ["All sessions of", "end, and everybody has to log in again"],
};

/// What happens to tokens.
const WHAT_NOW: [&str; 2] = [
    "Refresh tokens of what ended are refused from now on.",
    "The services that run revoke the access tokens by themselves, within a second. Was the issuer of a service built without `revocations`? Then its access tokens are good until they are over, some minutes from now.",
];

pub(super) async fn run(options: &EndOptions, output: &Output) -> Result<Exit, Failure> {
    let store = options.meant.open(Access::Change)?;
    match (&options.id, &options.subject) {
        (Some(id), _) => one(&store, session_id(id)?, output).await,
        (None, Some(subject)) => all_of_subject(&store, subject, output).await,
        (None, None) => {
            EVERY_SESSION.ask(store.issuer, options.yes)?;
            all(&store, output).await
        }
    }
}

async fn one(store: &Store<'_>, id: SessionId, output: &Output) -> Result<Exit, Failure> {
    // Not read before: a row that cannot be read can be ended.
    let is_ended = store.end(id).await?;
    let read = if is_ended { None } else { Some(store.read(id).await?) };
    let before = read.as_ref().map(|read| (read.now, read.row.as_ref().and_then(|row| row.ended)));
    let (outcome, exit) = match before {
        None => ("ended", Exit::Good),
        Some((_, Some(_))) => ("was_ended", Exit::Good),
        Some((_, None)) => ("not_there", Exit::Refused),
    };
    if output.json {
        output.json(&json!({ "issuer": store.issuer, "id": id.to_string(), "outcome": outcome }));
        return Ok(exit);
    }
    match before {
        None => output.verdict(true, &format!("the session {id} is ended")),
        Some((now, Some(ended))) => output.verdict(
            true,
            &format!(
                "the session {id} was ended before, {}: {}",
                when(ended.at, now),
                ended.reason
            ),
        ),
        Some((_, None)) => {
            let issuer = shown(store.issuer);
            output.verdict(
                false,
                &format!("{issuer} has no session {id} in this store: nothing was ended"),
            );
            output.paragraph("`portcullis session explain` says why that may be.");
            return Ok(exit);
        }
    }
    what_now(output);
    Ok(exit)
}

async fn all_of_subject(
    store: &Store<'_>,
    subject: &str,
    output: &Output,
) -> Result<Exit, Failure> {
    check_subject(subject)?;
    let ended = store.end_all(subject).await?;
    if output.json {
        let ids: Vec<_> = ended.sessions.iter().map(SessionId::to_string).collect();
        output.json(&json!({
            "issuer": store.issuer,
            "subject": subject,
            "subject_version": ended.version,
            "ended": ids,
        }));
        return Ok(Exit::Good);
    }
    let (issuer, subject) = (shown(store.issuer), shown(subject));
    let sessions = counted(ended.sessions.len(), "session");
    output.verdict(
        true,
        &format!("{subject} is logged out everywhere at {issuer}: {sessions} ended"),
    );
    if ended.sessions.is_empty() {
        output.paragraph("Did you expect some? Then see that the subject is `sub` of the access tokens, and that --issuer is their `iss`.");
    }
    let version = ended.version;
    output.paragraph(&format!(
        "The subject is of version {version} now: logins that are under way do not begin."
    ));
    what_now(output);
    Ok(Exit::Good)
}

async fn all(store: &Store<'_>, output: &Output) -> Result<Exit, Failure> {
    let ended = store.end_everything().await?;
    if output.json {
        output.json(&json!({ "issuer": store.issuer, "ended": ended }));
        return Ok(Exit::Good);
    }
    let issuer = shown(store.issuer);
    let sessions = counted(usize::try_from(ended).unwrap_or(usize::MAX), "session");
    output.verdict(true, &format!("all sessions of {issuer} are over: {sessions} ended"));
    if ended == 0 {
        output.paragraph(
            "Did you expect some? Then see that --issuer is `iss` of the access tokens.",
        );
        return Ok(Exit::Good);
    }
    what_now(output);
    output.paragraph("Each takes an entry of the list of revocations. If the list is full, the service says so, and an access token that has no entry is good until it is over.");
    output.paragraph("Was a backup restored? The store has no session that began after the backup, so nothing revokes its access tokens: they are good until they are over.");
    Ok(Exit::Good)
}

fn what_now(output: &Output) {
    output.line("");
    for text in WHAT_NOW {
        output.paragraph(text);
    }
}
