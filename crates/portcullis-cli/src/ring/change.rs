//! What an operator has the keys do.
use portcullis_issuer::ring::Phase;
use portcullis_issuer::{BuildError, KeyStatus, RingError, RingStatus, TokenIssuer};
use serde::Serialize;

use super::Opened;
pub(super) use super::plan::ScheduleSetting;
use super::plan::Settings;
use super::report::{self, Report};
use super::words::{does, moment};
use crate::Exit;
use crate::output::{Failure, Output, shown};

/// What is asked of a ring.
pub(super) enum Asked {
    Turn,
    Withdrawn(String),
    AllWithdrawn,
}

/// What a program is told of a change.
#[derive(Serialize)]
struct Changed<'a> {
    changes: Vec<Change>,
    ring: Report<'a>,
}

/// What became of a key.
#[derive(Serialize)]
struct Change {
    key_id: String,
    change: String,
}

pub(super) async fn run(
    opened: &Opened<'_>,
    asked: &Asked,
    said: &[ScheduleSetting],
    output: &Output,
) -> Result<Exit, Failure> {
    let root = &opened.meant.root;
    if root.count() == 0 {
        return Err(Failure::fault(
            "a ring is changed by who has its root secret: give it by --root-secret FILE, or --root-secret env:NAME",
        ));
    }
    let before = opened.read().await?;
    check_kept_here(&before)?;
    if let Asked::Withdrawn(key_id) = asked {
        check_known(&before, key_id)?;
    }
    let settings = Settings::of(&before, said)?;
    if let Asked::Turn = asked {
        settings.check_turn(&before)?;
    }
    let failure = |error: &RingError| opened.store.failure(&opened.meant.store.place(), error);
    let issuer = TokenIssuer::builder(&opened.issuer)
        .algorithm(settings.algorithm)
        // It mints nothing.
        .audiences(["portcullis ring"])
        .lifetime(settings.lifetime)
        .root_secrets(root.secrets())
        .ring(opened.store.clone())
        .schedule(settings.schedule)
        .refreshed_by_hand()
        .build()
        .await
        .map_err(|error| match error {
            BuildError::Ring(error) => failure(&error),
            BuildError::Faults(faults) => {
                let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
                Failure::fault(faults.join("; "))
            }
            other => Failure::fault(other.to_string()),
        })?;
    let done = match asked {
        Asked::Turn => issuer.rotate().await,
        Asked::Withdrawn(key_id) => issuer.withdraw(key_id).await,
        Asked::AllWithdrawn => issuer.withdraw_all().await,
    };
    done.map_err(|error| failure(&error))?;
    let after = opened.read().await?;
    let changes = changes(&before, &after);
    let ring = Report::new(&opened.issuer, &after, root.count());
    if output.json {
        output.json(&Changed { changes, ring });
        return Ok(Exit::Good);
    }
    print(asked, &changes, &after, output);
    output.line("");
    report::print(&ring, &after, output);
    output.paragraph(&settings.told());
    output.line("");
    for text in what_now(asked, opened.store.is_for_one_process()) {
        output.paragraph(text);
    }
    Ok(Exit::Good)
}

/// Refuses a ring whose private parts the service has somewhere else: what is made here would be kept here.
fn check_kept_here(status: &RingStatus) -> Result<(), Failure> {
    let fault = |key: &KeyStatus, what: &str| {
        Err(Failure::fault(format!(
            "the private part of the key {} is {what}: call `rotate`, `withdraw` or `withdraw_all` of the service's `TokenIssuer`, which has it",
            shown(&key.key_id)
        )))
    };
    if let Some(key) = status.keys.iter().find(|key| key.is_at_signer()) {
        return fault(key, "at a signer, and a key that is made here would not be");
    }
    match status.keys.iter().find(|key| key.seal_id.is_some() && key.seal_root.is_none()) {
        Some(key) => fault(
            key,
            "sealed with none of the root secrets that were given. Give the old one as well, behind the first; or, if it is sealed by a KMS",
        ),
        None => Ok(()),
    }
}

fn check_known(status: &RingStatus, key_id: &str) -> Result<(), Failure> {
    if status.keys.iter().any(|key| key.key_id == key_id) {
        return Ok(());
    }
    Err(Failure::fault(format!(
        "the ring has no key `{key_id}`: nothing was withdrawn; `portcullis ring status` shows its keys"
    )))
}

fn changes(before: &RingStatus, after: &RingStatus) -> Vec<Change> {
    let mut changes = Vec::new();
    for key in &after.keys {
        let was = before.keys.iter().find(|it| it.key_id == key.key_id);
        let is_same = was.is_some_and(|was| {
            (was.times, was.phase, &was.seal_id) == (key.times, key.phase, &key.seal_id)
        });
        if !is_same {
            let told = does(key, after.now);
            let change = if was.is_none() { format!("is new: {told}") } else { told };
            changes.push(Change { key_id: key.key_id.clone(), change });
        }
    }
    let is_gone = |key: &&KeyStatus| !after.keys.iter().any(|it| it.key_id == key.key_id);
    changes.extend(before.keys.iter().filter(is_gone).map(|key| Change {
        key_id: key.key_id.clone(),
        change: "is forgotten: it was over long ago".to_owned(),
    }));
    changes
}

fn print(asked: &Asked, changes: &[Change], after: &RingStatus, output: &Output) {
    let text = match asked {
        _ if changes.is_empty() => "nothing had to be changed".to_owned(),
        Asked::Turn => match next_turn(after) {
            Some(key) => {
                let [within, date] = moment(key.times.signs_from, after.now);
                format!("the key {} signs {within} ({date})", shown(&key.key_id))
            }
            None => "the next key signs".to_owned(),
        },
        Asked::Withdrawn(key_id) => format!("the key {} is withdrawn", shown(key_id)),
        Asked::AllWithdrawn => "all keys are withdrawn".to_owned(),
    };
    output.verdict(true, &text);
    output.line("");
    let rows = changes.iter().map(|change| [change.key_id.clone(), change.change.clone()]);
    output.table(["changed", "what it does now"], rows);
}

/// The key that signs next.
fn next_turn(status: &RingStatus) -> Option<&KeyStatus> {
    let standbys = status.keys.iter().filter(|key| key.phase == Phase::Standby);
    standbys.min_by_key(|key| key.times.signs_from)
}

/// What happens to tokens, and at verifiers.
fn what_now(asked: &Asked, is_stopped: bool) -> Vec<&'static str> {
    let reads = if is_stopped {
        "Start the service now: it takes this over when it starts."
    } else {
        "Each instance of the service takes this over with its next reading, within a minute."
    };
    let refused = "Then tokens of a withdrawn key are refused. Services that fetch the key set refuse them within 5 minutes. Is the issuer built with `revocations`? Then its next reading revokes the key, and services of Portcullis that enforce `Revocable::Key` refuse them with their next request. This command revokes nothing itself.";
    match asked {
        Asked::Turn => vec![
            reads,
            "No token is refused: the key that signs now is published until its tokens are over.",
        ],
        Asked::Withdrawn(_) => vec![
            reads,
            refused,
            "Who has no token of that key notices nothing. The others need a new token.",
        ],
        Asked::AllWithdrawn => vec![
            reads,
            refused,
            "Everybody needs a new token. Was the root secret in other hands as well? Then take it out of the list of every instance now.",
        ],
    }
}
