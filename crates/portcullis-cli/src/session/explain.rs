//! Why a session ended, or until when it goes on.
use portcullis_issuer::session::{Ended, SessionRead, SessionRow};
use portcullis_issuer::{EndReason, SessionId, StoreTime};
use serde::Serialize;

use super::reasons::{Advice, EXPIRED, IDLE, OUTDATED, advice};
use super::shown::{SessionShown, bound_to, date, label, when};
use super::{ExplainOptions, session_id};
use crate::Exit;
use crate::output::{Failure, Output, shown};
use crate::store::Access;
use crate::time::Instant;

/// How a session stands.
#[derive(Clone, Copy)]
enum Standing {
    GoesOn,
    /// It was ended.
    Ended(Ended),
    /// Nobody came back until then.
    Idle(StoreTime),
    /// It lasted until then.
    Expired(StoreTime),
    /// Its subject was logged out everywhere, and the store has not ended it.
    Outdated,
}

impl Standing {
    /// As a refresh finds it.
    fn of(row: &SessionRow, read: &SessionRead) -> Self {
        match row.ended {
            Some(ended) => Self::Ended(ended),
            None => match over_by_itself(row, read.now) {
                Some(standing) => standing,
                None if row.subject_version < read.subject_version => Self::Outdated,
                None => Self::GoesOn,
            },
        }
    }

    /// Its name, for programs.
    fn name(self) -> &'static str {
        match self {
            Self::GoesOn => "goes_on",
            Self::Ended(_) => "ended",
            Self::Idle(_) => "idle",
            Self::Expired(_) => "expired",
            Self::Outdated => "outdated",
        }
    }

    /// Since when it is over. `None`: it goes on, or nobody can tell.
    fn over_since(self) -> Option<StoreTime> {
        match self {
            Self::Ended(Ended { at, .. }) | Self::Idle(at) | Self::Expired(at) => Some(at),
            Self::GoesOn | Self::Outdated => None,
        }
    }

    fn reason(self) -> Option<EndReason> {
        match self {
            Self::Ended(ended) => Some(ended.reason),
            _ => None,
        }
    }

    fn advice(self) -> Option<Advice> {
        match self {
            Self::GoesOn => None,
            Self::Ended(ended) => Some(advice(ended.reason)),
            Self::Idle(_) => Some(IDLE),
            Self::Expired(_) => Some(EXPIRED),
            Self::Outdated => Some(OUTDATED),
        }
    }

    fn verdict(self, id: SessionId, now: StoreTime) -> String {
        let why = match self {
            Self::GoesOn => return format!("{id} goes on"),
            Self::Ended(ended) => ended.reason.to_string(),
            Self::Idle(_) => "nobody came back".to_owned(),
            Self::Expired(_) => "its time was over".to_owned(),
            Self::Outdated => "its subject was logged out everywhere".to_owned(),
        };
        match self.over_since() {
            Some(at) => format!("{id} ended {} ({}): {why}", when(at, now), date(at)),
            None => format!("{id} is over: {why}"),
        }
    }
}

/// How it ended by this time without anybody's doing.
fn over_by_itself(row: &SessionRow, now: StoreTime) -> Option<Standing> {
    if row.idle_until.min(row.ends_at) > now {
        None
    } else if row.idle_until < row.ends_at {
        Some(Standing::Idle(row.idle_until))
    } else {
        Some(Standing::Expired(row.ends_at))
    }
}

/// What a program is told.
#[derive(Serialize)]
struct Explained<'r> {
    issuer: &'r str,
    now: Instant,
    standing: &'static str,
    /// What it was ended for.
    reason: Option<&'static str>,
    over_since: Option<Instant>,
    happened: Option<&'static str>,
    advice: Option<&'static str>,
    generation: u32,
    subject_version: u64,
    current_subject_version: u64,
    is_logged_out_everywhere: bool,
    session: SessionShown<'r>,
}

/// What a program is told of a session that is not there.
#[derive(Serialize)]
struct Missing<'r> {
    issuer: &'r str,
    now: Instant,
    standing: &'static str,
    id: String,
    /// One of these happened.
    maybe: [&'static str; 4],
}

pub(super) async fn run(options: &ExplainOptions, output: &Output) -> Result<Exit, Failure> {
    let id = session_id(&options.id)?;
    let store = options.meant.open(Access::Read)?;
    let read = store.read(id).await?;
    let Some(row) = &read.row else {
        if output.json {
            output.json(&Missing {
                issuer: store.issuer,
                now: read.now.into(),
                standing: "not_there",
                id: id.to_string(),
                maybe: MISSING,
            });
        } else {
            print_missing(id, store.issuer, output);
        }
        return Ok(Exit::Refused);
    };
    let standing = Standing::of(row, &read);
    if output.json {
        output.json(&explained(row, &read, store.issuer, standing));
    } else {
        print(row, &read, standing, output);
    }
    Ok(match standing {
        Standing::GoesOn => Exit::Good,
        _ => Exit::Refused,
    })
}

fn explained<'r>(
    row: &'r SessionRow,
    read: &SessionRead,
    issuer: &'r str,
    standing: Standing,
) -> Explained<'r> {
    let advice = standing.advice();
    Explained {
        issuer,
        now: read.now.into(),
        standing: standing.name(),
        reason: standing.reason().map(EndReason::name),
        over_since: standing.over_since().map(Instant::from),
        happened: advice.as_ref().map(|it| it.happened),
        advice: advice.as_ref().map(|it| it.advice),
        generation: row.generation,
        subject_version: row.subject_version,
        current_subject_version: read.subject_version,
        is_logged_out_everywhere: row.subject_version < read.subject_version,
        session: SessionShown::of(row),
    }
}

/// Why a session may not be there.
const MISSING: [&str; 4] = [
    "It was over for a day, and the service deleted it.",
    "Its subject was erased.",
    "It is of another issuer or installation. Compare `iss` of its access token with --issuer, and --store and the names of the tables with what the service says.",
    "The store lost it, as by a backup that was restored and is older than the session.",
];

fn print_missing(id: SessionId, issuer: &str, output: &Output) {
    let issuer = shown(issuer);
    output.verdict(false, &format!("{issuer} has no session {id} in this store"));
    output.paragraph("One of these holds:");
    for text in MISSING {
        output.paragraph(&format!("  {text}"));
    }
}

fn print(row: &SessionRow, read: &SessionRead, standing: Standing, output: &Output) {
    let now = read.now;
    output.verdict(standing.advice().is_none(), &standing.verdict(row.id, now));
    if let Some(Advice { happened, advice }) = standing.advice() {
        output.line("");
        output.paragraph(happened);
        output.paragraph(advice);
    }
    output.line("");
    let mut rows = vec![text("subject", &row.subject), text("client", &row.client)];
    rows.extend(label(row).map(|label| text("label", &label)));
    rows.extend(bound_to(row).map(|bound| text("bound to", &bound)));
    let mut times = vec![("began", row.created_at), ("used last", row.rotated_at)];
    times.extend([("over if unused", row.idle_until), ("ends at the latest", row.ends_at)]);
    times.extend(row.ended.map(|ended| ("was ended", ended.at)));
    rows.extend(times.into_iter().map(|(name, at)| [name.to_owned(), when(at, now), date(at)]));
    output.table(["", "", ""], rows);
    output.line("");
    let rotated = match row.generation {
        0 => "never rotated".to_owned(),
        1 => "rotated once".to_owned(),
        2 => "rotated twice".to_owned(),
        often => format!("rotated {often} times"),
    };
    let generation = row.generation;
    output.paragraph(&format!("Its refresh token {rotated} (generation {generation})."));
    for remark in remarks(row, read) {
        output.paragraph(&remark);
    }
}

/// What a session that is bound to a key asks of its client.
const BOUND: &str = "It goes on with a proof of its key alone (DPoP). Nothing comes of a refresh with one of its tokens and no such proof, and the session lives on. A client that lost the key logs in again.";

/// The same, of one that is bound to a certificate.
const BOUND_TO_CERTIFICATE: &str = "It goes on for a client that presents its certificate (mutual TLS), and for nobody else. Nothing comes of a refresh without it, and the session lives on. A client whose certificate was renewed logs in again.";

/// The same, of a form of a later release.
const BOUND_TO_UNKNOWN: &str =
    "Instances of this release do not go on with it: a later one wrote it.";

fn text(name: &str, text: &str) -> [String; 3] {
    [name.to_owned(), text.to_owned(), String::new()]
}

/// What else there is to know.
fn remarks(row: &SessionRow, read: &SessionRead) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(by_itself) = row.ended.and_then(|ended| over_by_itself(row, ended.at))
        && let Some(at) = by_itself.over_since()
    {
        told.push(format!("It was over before that, by itself: since {}.", date(at)));
    }
    if row.binding.is_some() {
        let key = row.key_thumbprint().map(|_| BOUND);
        let certificate = row.certificate_thumbprint().map(|_| BOUND_TO_CERTIFICATE);
        let unknown = (key.is_none() && certificate.is_none()).then_some(BOUND_TO_UNKNOWN);
        told.extend([key, certificate, unknown].into_iter().flatten().map(str::to_owned));
    }
    let (own, current) = (row.subject_version, read.subject_version);
    if own < current {
        told.push(format!(
            "Its subject was logged out everywhere after it began: the session is of the subject's version {own}, and the subject is at {current}."
        ));
    }
    told
}
