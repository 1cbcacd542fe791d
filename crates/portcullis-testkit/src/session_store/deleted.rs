//! What is deleted, and what stays.
use portcullis_issuer::session::{SessionRow, SessionStore};
use portcullis_issuer::{EndReason, SessionId, StoreTime};

use super::{Case, DAY, EPOCH, HOUR, MANY, MILLISECOND, id, ids};

pub(super) async fn pruned<S: SessionStore>(store: &S) {
    let promise = "what was over before a time is deleted, and nothing else";
    let case = Case::new(store, "pruned", promise).await;
    let elsewhere = Case::new(store, "pruned/elsewhere", promise).await;
    let before = case.now.before(HOUR);
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for number in 0..32 {
        let mut row = case.live(number, "alice");
        let is_gone = ends_around(&mut row, number, before);
        case.put(&row).await;
        elsewhere.put(&row).await;
        if is_gone { gone.push(row) } else { kept.push(row) }
    }
    let mut ended = Vec::new();
    for number in 32..36 {
        let row = case.live(number, "alice");
        case.put(&row).await;
        assert!(case.end(row.id, EndReason::SignedOut).await, "{promise}: one could not be ended");
        ended.push(case.row(row.id).await);
    }
    let version = case.end_all("bob", None, EndReason::Operator).await.version;

    let all = ids(0..36);
    let step = "a step looks at as many sessions as it is told, in the order of their ids";
    let last = case.prune(before, None, 5).await;
    assert_eq!(last, Some(all[4]), "{step}: the last that it looked at");
    for row in &gone {
        if row.id <= all[4] {
            case.has_none(row.id).await;
        } else {
            case.promising(step).has(row).await;
        }
    }
    let mut there: Vec<_> = all.iter().copied().filter(|id| *id > all[4]).collect();
    case.prune_from(before, last, 5, &there).await;
    for row in &gone {
        case.has_none(row.id).await;
    }
    for row in kept.iter().chain(&ended) {
        case.has(row).await;
    }

    // All that has been over up to now, but for those that ended no sooner than the first of them.
    let first = ended.iter().filter_map(|row| row.ended).map(|ended| ended.at).min();
    let first = first.unwrap_or(case.now);
    kept.retain(|row| row.idle_until.min(row.ends_at) >= first);
    there.clear();
    there.extend(all.iter().copied().filter(|id| gone.iter().all(|row| row.id != *id)));
    case.prune_from(first, None, 7, &there).await;
    there.retain(|id| kept.iter().chain(&ended).any(|row| row.id == *id));
    for id in &all {
        match kept.iter().chain(&ended).find(|row| row.id == *id) {
            Some(row) => case.has(row).await,
            None => case.has_none(*id).await,
        }
    }
    case.prune_from(first.after(MILLISECOND), None, 1, &there).await;
    for row in &ended {
        match row.ended {
            Some(ended) if ended.at == first => case.has_none(row.id).await,
            _ => case.has(row).await,
        }
    }

    // A time to come.
    case.prune(case.now.after(365 * DAY), None, MANY).await;
    for row in &ended {
        case.has_none(row.id).await;
    }
    for row in &kept {
        case.promising("a session that is not over is not deleted, whatever the time")
            .has(row)
            .await;
    }
    assert_eq!(case.version("bob").await, version, "{promise}: the version of a subject is not");
    for row in &gone {
        elsewhere.promising("nothing of another issuer is deleted").has(row).await;
    }
}

impl<S: SessionStore> Case<'_, S> {
    /// Prunes all after a session, step by step, where these are there.
    async fn prune_from(
        &self,
        before: StoreTime,
        mut after: Option<SessionId>,
        limit: usize,
        there: &[SessionId],
    ) {
        let promise =
            "step by step, all sessions are looked at, each once, in the order of their ids";
        let mut left = there;
        loop {
            let last = self.prune(before, after, limit).await;
            let Some(last) = last else {
                assert!(
                    left.len() <= limit,
                    "{promise}: {} were not looked at",
                    left.len() - limit
                );
                break;
            };
            let expected = left.get(limit - 1).copied();
            assert_eq!(Some(last), expected, "{promise}: the last of {limit}, after {after:?}");
            left = &left[limit..];
            after = Some(last);
        }
    }
}

/// Whether the session was over before this time, where it ends around it.
fn ends_around(row: &mut SessionRow, number: usize, before: StoreTime) -> bool {
    let (earlier, later) = (before.before(MILLISECOND), before.after(MILLISECOND));
    match number % 8 {
        0 => row.idle_until = earlier,
        1 => row.ends_at = earlier,
        2 => (row.idle_until, row.ends_at) = (EPOCH, later),
        3 => row.idle_until = before,
        4 => row.ends_at = before,
        5 => (row.idle_until, row.ends_at) = (later, before),
        // Goes on.
        _ => {}
    }
    number % 8 < 3
}

pub(super) async fn erased<S: SessionStore>(store: &S) {
    let promise = "of a subject, what was over before a time is deleted, and its version where \
        nothing else is left";
    let case = Case::new(store, "erased", promise).await;
    let elsewhere = Case::new(store, "erased/elsewhere", promise).await;
    let before = case.now.before(HOUR);
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for number in 0..16 {
        let mut row = case.live(number, "alice");
        let is_gone = ends_around(&mut row, number, before);
        let of_another = SessionRow { id: id(number + 50), ..row.clone() };
        let of_another = SessionRow { subject: "bob".to_owned(), ..of_another };
        case.put(&row).await;
        case.put(&of_another).await;
        elsewhere.put(&row).await;
        if is_gone {
            gone.push(row.clone());
        } else {
            kept.push(row.clone());
        }
        kept.push(of_another);
    }
    assert!(!case.erase("alice", before).await, "{promise}: sessions are left, and it says none");
    for row in &gone {
        case.has_none(row.id).await;
    }
    for row in &kept {
        case.has(row).await;
    }
    // A time to come.
    let to_come = case.now.after(365 * DAY);
    let going_on = "a session that is not over is not deleted, whatever the time";
    assert!(!case.erase("alice", to_come).await, "{going_on}: `erase` says that nothing is left");
    kept.retain(|row| row.subject == "bob" || row.idle_until.min(row.ends_at) > case.now);
    for row in &kept {
        case.promising(going_on).has(row).await;
    }

    // It was logged out everywhere, and both the ends and the version are of about one time.
    let all = case.end_all("alice", None, EndReason::AccountDisabled).await;
    assert!(!all.sessions.is_empty(), "{promise}: all were over before");
    let raised = case.raised(EPOCH, None, MANY).await;
    let [raised] = &raised[..] else {
        panic!("{promise}: {} versions were raised, and not one", raised.len());
    };
    let mut times = Vec::from([raised.at]);
    for id in &all.sessions {
        times.extend(case.row(*id).await.ended.map(|ended| ended.at));
    }
    let (first, last) = (times.iter().min().copied(), times.iter().max().copied());
    let (first, last) = (first.unwrap_or(raised.at), last.unwrap_or(raised.at));
    let is_left = case.erase("alice", first).await;
    assert!(!is_left, "{promise}: what is of that time is not over before it");
    for id in &all.sessions {
        case.row(*id).await;
    }
    assert_eq!(case.version("alice").await, all.version, "{promise}: the version stays with them");
    assert!(case.erase("alice", last.after(MILLISECOND)).await, "{promise}: all is over by then");
    for id in &all.sessions {
        case.has_none(*id).await;
    }
    assert_eq!(case.version("alice").await, 0, "{promise}: the version is left");
    assert!(case.raised(EPOCH, None, MANY).await.is_empty(), "{promise}: `raised` has it");
    assert!(case.erase("alice", to_come).await, "{promise}: nothing is left the second time");

    let case = case.promising("a version that was raised at a time or later is not deleted before");
    let version = case.end_all("carol", None, EndReason::Operator).await.version;
    let raised = case.raised(EPOCH, None, MANY).await;
    let [raised] = &raised[..] else {
        panic!("{}: {} versions were raised, and not one", case.promise, raised.len());
    };
    for before in [case.now.before(HOUR), raised.at] {
        let is_nothing_left = case.erase("carol", before).await;
        assert!(!is_nothing_left, "{}: it says that nothing is left", case.promise);
        assert_eq!(case.version("carol").await, version, "{}", case.promise);
    }
    let is_nothing_left = case.erase("carol", raised.at.after(MILLISECOND)).await;
    assert!(is_nothing_left, "{}: but after it is", case.promise);

    let case = case.promising("no version comes again, not after its subject was erased");
    case.later().await;
    let later = case.end_all("carol", None, EndReason::Operator).await.version;
    assert!(later > version, "{}: it was {version}, and is {later}", case.promise);

    for row in gone.iter().filter(|row| row.subject == "alice") {
        elsewhere.promising("nothing of another issuer is deleted").has(row).await;
    }
    for row in kept.iter().filter(|row| row.subject == "bob") {
        case.promising("nothing of another subject is deleted").has(row).await;
    }
}
