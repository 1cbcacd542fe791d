//! Lists, and the pages that they come in.
use std::collections::BTreeSet;
use std::sync::Arc;

use portcullis_issuer::session::{
    EndedSession, ListedAfter, RaisedSubject, SessionRow, SessionStore,
};
use portcullis_issuer::{EndReason, SessionId};
use tokio::task::JoinSet;

use super::{AT_ONCE, Case, EPOCH, MANY, MILLISECOND, MINUTE, OVER, end_all, id, ids, same};

pub(super) async fn lists<S: SessionStore>(store: &S) {
    let promise = "a list has the sessions of a subject that are not over, the newest first";
    let case = Case::new(store, "lists", promise).await;
    let elsewhere = Case::new(store, "lists/elsewhere", promise).await;
    let mut expected = Vec::new();
    for number in 0..13 {
        // Groups that began at one time, of ids in any order.
        let mut row = case.live(number, "alice");
        row.created_at = case.live(number % 4, "alice").created_at;
        if number == 5 {
            row.id = SessionId::from_bytes([255; 16]);
        }
        case.put(&row).await;
        expected.push(row);
    }
    expected.sort_by_key(|row| core::cmp::Reverse((row.created_at, row.id)));
    for (number, (_, over)) in OVER.iter().enumerate() {
        let mut row = case.live(number + 20, "alice");
        row.created_at = case.live(number, "alice").created_at;
        over(&mut row, case.now);
        case.put(&row).await;
    }
    let ended = case.live(30, "alice");
    case.put(&ended).await;
    assert!(case.end(ended.id, EndReason::SignedOut).await, "{promise}: one could not be ended");
    case.put(&case.live(31, "bob")).await;
    elsewhere.put(&case.live(32, "alice")).await;

    let found = case.list("alice", None, MANY).await;
    are_listed(&found, &expected, promise);
    for limit in [1, 2, 3, 4, 5, 12, 13, 14] {
        let promise = "the pages of a list have each session once, in its place";
        let mut left = &expected[..];
        let mut after = None;
        loop {
            let page = case.list("alice", after, limit).await;
            let (expected, later) = left.split_at(limit.min(left.len()));
            are_listed(&page, expected, promise);
            left = later;
            let Some(last) = page.last() else { break };
            after = Some(ListedAfter { created_at: last.created_at, id: last.id });
        }
    }
    // The session that a page begins after was ended meanwhile.
    let last = &expected[4];
    assert!(case.end(last.id, EndReason::SignedOutElsewhere).await, "{promise}");
    let after = Some(ListedAfter { created_at: last.created_at, id: last.id });
    let promise = "a page begins after a session, whether that is over or not";
    are_listed(&case.list("alice", after, 3).await, &expected[5..8], promise);
}

pub(super) fn are_listed(found: &[SessionRow], expected: &[SessionRow], promise: &str) {
    let ids = |rows: &[SessionRow]| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(ids(found), ids(expected), "{promise}");
    for (found, expected) in found.iter().zip(expected) {
        same(found, expected, promise);
    }
}

pub(super) async fn ended<S: SessionStore>(store: &S) {
    let promise = "what was ended at a time or later is found, in the order of time and id";
    let case = Case::new(store, "ended", promise).await;
    let elsewhere = Case::new(store, "ended/elsewhere", promise).await;
    elsewhere.put(&case.live(1, "alice")).await;
    assert!(elsewhere.end(id(1), EndReason::SignedOut).await, "{promise}: one could not be ended");

    for number in 1..=30 {
        case.put(&case.live(number, if number % 2 == 0 { "alice" } else { "bob" })).await;
    }
    let mut idle = case.live(31, "bob");
    idle.idle_until = case.now.before(MINUTE);
    case.put(&idle).await;
    // One by one, many at one time, and by logins.
    let mut all = ids([3, 5]);
    for id in &all {
        assert!(case.end(*id, EndReason::SignedOut).await, "{promise}: one could not be ended");
    }
    case.later().await;
    all.extend(case.end_all("alice", Some(id(2)), EndReason::Operator).await.sessions);
    case.later().await;
    all.extend(case.begin_for(&case.live(32, "carol"), Some(id(7)), MANY).await);
    all.extend(case.begin_for(&case.live(33, "bob"), None, 8).await);
    case.later().await;
    assert!(case.end(id(2), EndReason::Replay).await, "{promise}: one could not be ended");
    all.push(id(2));

    let mut expected = Vec::new();
    for id in all {
        let Some(ended) = case.row(id).await.ended else {
            panic!("{promise}: {id:?} was not ended, and is told as ended");
        };
        expected.push(EndedSession { id, at: ended.at });
    }
    expected.sort_unstable_by_key(|ended| (ended.at, ended.id));
    let found = case.ended(EPOCH, None, MANY).await;
    assert_eq!(found, expected, "{promise}: all of them");
    let times: BTreeSet<_> = expected.iter().map(|ended| ended.at).collect();
    for since in times.iter().flat_map(|at| [*at, at.after(MILLISECOND)]) {
        let later: Vec<_> = expected.iter().filter(|ended| ended.at >= since).copied().collect();
        let found = case.ended(since, None, MANY).await;
        assert_eq!(found, later, "{promise}: those since {since}");
    }
    let promise = "the pages of what was ended have each session once, in its place";
    let first = expected[0].at;
    for (since, limit) in [(EPOCH, 1), (first, 2), (EPOCH, 3), (first, 7), (EPOCH, expected.len())]
    {
        let mut left = &expected[..];
        let mut after = None;
        loop {
            let page = case.ended(since, after, limit).await;
            let (expected, later) = left.split_at(limit.min(left.len()));
            assert_eq!(page, expected, "{promise}: pages of {limit}");
            left = later;
            after = page.last().copied();
            if after.is_none() {
                break;
            }
        }
    }
}

pub(super) async fn raised<S: SessionStore>(store: &Arc<S>) {
    let promise =
        "whose version was raised at a time or later is found, in the order of time and name";
    let case = Case::new(&**store, "raised", promise).await;
    Case::new(&**store, "raised/elsewhere", promise)
        .await
        .end_all("subject 00", None, EndReason::Operator)
        .await;
    case.put(&case.live(1, "subject 99")).await;
    // Many of them at one time, where the store is fast. Their names are in one order by every collation.
    let from = case.time().await;
    let mut versions = JoinSet::new();
    for number in (0..AT_ONCE).rev() {
        let (store, issuer) = (Arc::clone(store), case.issuer.clone());
        versions.spawn(async move {
            let subject = format!("subject {number:02}");
            let all = end_all(&*store, &issuer, &subject, None, EndReason::Operator).await;
            (subject, all.version)
        });
    }
    let mut versions = versions.join_all().await;
    // Twice, and there once.
    case.later().await;
    let again = case.end_all("subject 07", None, EndReason::Operator).await.version;
    versions.retain(|(subject, _)| subject != "subject 07");
    versions.push(("subject 07".to_owned(), again));
    versions.sort_unstable();
    let until = case.time().await;

    let all = case.raised(EPOCH, None, MANY).await;
    for raised in &all {
        case.happened(raised.at, from, until, "the time at which it was raised");
    }
    let place = |raised: &RaisedSubject| (raised.at, raised.subject.clone());
    assert!(all.is_sorted_by_key(place), "{promise}: the order");
    let mut found: Vec<_> = all.iter().map(|it| (it.subject.clone(), it.version)).collect();
    found.sort_unstable();
    assert_eq!(found, versions, "{promise}: each subject once, with its version");
    let times: BTreeSet<_> = all.iter().map(|raised| raised.at).collect();
    for since in times.iter().flat_map(|at| [*at, at.after(MILLISECOND)]) {
        let later: Vec<_> = all.iter().filter(|raised| raised.at >= since).cloned().collect();
        let found = case.raised(since, None, MANY).await;
        assert!(found == later, "{promise}: those since {since}");
    }
    let promise = "the pages of whose version was raised have each subject once, in its place";
    let first = all[0].at;
    for (since, limit) in [(EPOCH, 1), (first, 2), (EPOCH, 7), (first, 63), (EPOCH, 64)] {
        let mut left = &all[..];
        let mut after: Option<RaisedSubject> = None;
        loop {
            let mut page = case.raised(since, after.as_ref(), limit).await;
            let (expected, later) = left.split_at(limit.min(left.len()));
            assert!(page == expected, "{promise}: pages of {limit}");
            left = later;
            after = page.pop();
            if after.is_none() {
                break;
            }
        }
    }
}
