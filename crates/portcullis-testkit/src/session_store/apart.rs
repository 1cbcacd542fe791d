//! Issuers and subjects that do not meet, and instances that do.
use std::sync::Arc;

use portcullis_issuer::EndReason;
use portcullis_issuer::session::{Created, EndedSession, SessionRow, SessionStore};
use portcullis_issuer::store::Swap;

use super::found::are_listed;
use super::{Case, DAY, EPOCH, INSTANCES, MANY, id, rotation};
use crate::alike;

pub(super) async fn issuers<S: SessionStore>(store: &S) {
    let promise = "the sessions of two issuers do not meet";
    let alike = alike::issuers();
    let mut cases = Vec::new();
    for (mark, name) in alike.iter().enumerate() {
        let case = Case::new(store, name, promise).await;
        case.has_none(id(1)).await;
        // Of the same id and subject, and else of its own.
        let row = SessionRow { id: id(1), ..case.live(mark, "alice") };
        case.put(&row).await;
        cases.push((case, row, 0));
    }
    for (mark, (case, row, version)) in cases.iter_mut().enumerate() {
        case.has(row).await;
        let from = case.time().await;
        match mark % 4 {
            0 => {}
            1 => {
                let swap = case.rotate(row.id, 1, &rotation(mark)).await;
                assert_eq!(swap, Swap::Done, "{promise}: one could not rotate");
                *row = case.has_rotated(row, &rotation(mark), from).await;
            }
            2 => {
                let is_ended = case.end(row.id, EndReason::SignedOut).await;
                assert!(is_ended, "{promise}: one could not be ended");
                *row = case.has_ended(row, EndReason::SignedOut, from).await;
            }
            _ => {
                *version = case.end_all("alice", None, EndReason::Operator).await.version;
                *row = case.has_ended(row, EndReason::Operator, from).await;
            }
        }
    }
    // What one deletes is there for the others.
    let (deleting, ended, _) = &cases[2];
    let to_come = deleting.now.after(DAY);
    assert!(deleting.erase("alice", to_come).await, "{promise}: something is left");
    cases[3].0.prune(to_come, None, MANY).await;
    deleting.has_none(ended.id).await;
    cases[3].0.has_none(ended.id).await;
    for (mark, (case, row, version)) in cases.iter().enumerate() {
        assert_eq!(case.version("alice").await, *version, "{promise}: the version");
        let raised = case.raised(EPOCH, None, MANY).await;
        assert_eq!(raised.len(), usize::from(*version > 0), "{promise}: `raised`");
        if [2, 3].contains(&mark) {
            continue;
        }
        case.has(row).await;
        let ended: Vec<_> =
            row.ended.iter().map(|it| EndedSession { id: row.id, at: it.at }).collect();
        assert_eq!(case.ended(EPOCH, None, MANY).await, ended, "{promise}: `ended`");
        let listed: Vec<_> = row.ended.is_none().then(|| row.clone()).into_iter().collect();
        are_listed(&case.list("alice", None, MANY).await, &listed, promise);
    }
}

pub(super) async fn subjects<S: SessionStore>(store: &S) {
    let promise = "the sessions of two subjects do not meet";
    let case = Case::new(store, "subjects", promise).await;
    let long = "s".repeat(1023);
    let (long_a, long_b) = (format!("{long}a"), format!("{long}b"));
    let alike = [
        "alice",
        "Alice",
        "ALICE",
        "alice ",
        " alice",
        "alice\t",
        "alic_",
        "alic%",
        "%",
        "_",
        "*",
        "al'ic\"e",
        "alice--",
        "al\\ice",
        "\u{e4}lice",
        "a\u{308}lice",
        "alice\u{200b}",
        "\u{ff41}lice",
        "1",
        "01",
        "1.0",
        &long_a,
        &long_b,
        &long,
    ];
    let mut rows = Vec::new();
    for (number, subject) in alike.into_iter().enumerate() {
        let row = case.live(number, subject);
        let ended = case.begin_for(&row, None, 1).await;
        assert_eq!(ended, [], "{promise}: the login of {subject:?} ended another's");
        rows.push(row);
    }
    let mut versions = Vec::new();
    for (number, row) in rows.iter_mut().enumerate() {
        let listed = case.list(&row.subject, None, MANY).await;
        are_listed(&listed, core::slice::from_ref(row), promise);
        let mut version = 0;
        if number % 2 == 1 {
            let from = case.time().await;
            let all = case.end_all(&row.subject, None, EndReason::Operator).await;
            assert_eq!(all.sessions, [row.id], "{promise}: of {:?} ended", row.subject);
            *row = case.has_ended(row, EndReason::Operator, from).await;
            version = all.version;
        }
        versions.push(version);
    }
    let raised = case.raised(EPOCH, None, MANY).await;
    assert_eq!(raised.len(), rows.len() / 2, "{promise}: `raised`");
    for (row, version) in rows.iter().zip(&versions) {
        let found = case.version(&row.subject).await;
        assert_eq!(found, *version, "{promise}: the version of {:?}", row.subject);
        let found = raised.iter().find(|it| it.subject == row.subject).map_or(0, |it| it.version);
        assert_eq!(found, *version, "{promise}: what was raised of {:?}", row.subject);
        case.has(row).await;
    }
    for row in rows.iter().skip(1).step_by(4) {
        let is_nothing_left = case.erase(&row.subject, case.now.after(DAY)).await;
        assert!(is_nothing_left, "{promise}: something of {:?} is left", row.subject);
    }
    for (number, (row, version)) in rows.iter().zip(&versions).enumerate() {
        let is_erased = number % 4 == 1;
        let version = if is_erased { 0 } else { *version };
        let found = case.version(&row.subject).await;
        assert_eq!(found, version, "{promise}: the version of {:?}", row.subject);
        if is_erased {
            case.has_none(row.id).await;
        } else {
            case.has(row).await;
        }
    }
}

pub(super) async fn other_instances<S: SessionStore>(instances: &[Arc<S>]) {
    let promise = "what one instance wrote, another reads";
    for (number, store) in instances.iter().enumerate() {
        let other = &instances[(number + 1) % INSTANCES];
        let case = Case::new(&**store, "shared", promise).await;
        let other = Case::new(&**other, "shared", promise).await;
        let subject = format!("subject {number}");
        let row = case.live(number, &subject);
        case.put(&row).await;
        for instance in instances {
            Case::new(&**instance, "shared", promise).await.has(&row).await;
        }
        let swap = other.rotate(row.id, 1, &rotation(number)).await;
        assert_eq!(swap, Swap::Done, "{promise}: the other does not find it");
        let row = case.has_rotated(&row, &rotation(number), EPOCH).await;
        let all = other.end_all(&subject, Some(row.id), EndReason::SignedOutEverywhere).await;
        assert_eq!(case.version(&subject).await, all.version, "{promise}: the version");
        let created = case.begin(&case.live(number + 10, &subject), None, MANY).await;
        assert_eq!(created, Created::Outdated, "{promise}: a login of before the logout");
        assert!(case.end(row.id, EndReason::SignedOut).await, "{promise}: one could not be ended");
        for instance in instances {
            let instance = Case::new(&**instance, "shared", promise).await;
            instance.has(&case.row(row.id).await).await;
            assert!(instance.list(&subject, None, MANY).await.is_empty(), "{promise}: `list`");
            let ended = instance.ended(EPOCH, None, MANY).await;
            assert_eq!(ended.len(), number + 1, "{promise}: `ended`");
        }
    }
}
