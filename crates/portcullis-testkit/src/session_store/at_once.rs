//! Changes that meet.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use portcullis_issuer::EndReason;
use portcullis_issuer::session::{Created, NewSession, SessionStore};
use portcullis_issuer::store::Swap;
use tokio::task::{JoinSet, yield_now};

use super::{AT_ONCE, Case, INSTANCES, MANY, ROUNDS, begin, end_all, ids, rotate, rotation, said};

pub(super) async fn rotations<S: SessionStore>(instances: &[Arc<S>]) {
    let promise = "of rotations at once for one version, one is done";
    let case = Case::new(&*instances[0], "rotations at once", promise).await;
    let mut row = case.live(1, "alice");
    case.put(&row).await;
    for version in 1..4 {
        let from = case.time().await;
        let mut tasks = JoinSet::new();
        for mark in 0..AT_ONCE {
            let (store, issuer) = (Arc::clone(&instances[mark % INSTANCES]), case.issuer.clone());
            let (id, to) = (row.id, rotation(mark));
            tasks.spawn(async move { (mark, rotate(&*store, &issuer, id, version, &to).await) });
        }
        let mut done = tasks.join_all().await;
        done.retain(|(_, swap)| *swap == Swap::Done);
        let [(mark, _)] = done[..] else {
            panic!("{promise}: {} of {AT_ONCE} were, from {version}", done.len());
        };
        row = case.has_rotated(&row, &rotation(mark), from).await;
    }
}

pub(super) async fn ends<S: SessionStore>(instances: &[Arc<S>]) {
    let promise = "of all that end one session at once, one ends it";
    let case = Case::new(&*instances[0], "ends at once", promise).await;
    let row = case.live(1, "alice");
    case.put(&row).await;
    let from = case.time().await;
    let mut tasks = JoinSet::new();
    for mark in 0..AT_ONCE {
        let (store, issuer) = (Arc::clone(&instances[mark % INSTANCES]), case.issuer.clone());
        let (id, reason) = (row.id, EndReason::ALL[mark % EndReason::ALL.len()]);
        tasks.spawn(async move { (reason, said("end", store.end(&issuer, id, reason).await)) });
    }
    let mut done = tasks.join_all().await;
    done.retain(|(_, is_ended)| *is_ended);
    let [(reason, _)] = done[..] else {
        panic!("{promise}: {} of {AT_ONCE} say that they did", done.len());
    };
    case.has_ended(&row, reason, from).await;
}

pub(super) async fn rotations_against_ends<S: SessionStore>(instances: &[Arc<S>]) {
    const ROTATING: usize = 6;
    let promise = "once a session was ended, no rotation of it is done";
    let case = Case::new(&*instances[0], "rotations against ends", promise).await;
    for round in 0..ROUNDS {
        let subject = format!("subject {round}");
        let row = case.live(round, &subject);
        case.put(&row).await;
        let from = case.time().await;
        let (is_ended, rotated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for task in 0..ROTATING {
            let (store, issuer) = (Arc::clone(&instances[task % INSTANCES]), case.issuer.clone());
            let (is_ended, rotated) = (Arc::clone(&is_ended), Arc::clone(&rotated));
            let id = row.id;
            tasks.spawn(async move {
                let mut was_ended = false;
                while !was_ended {
                    let read = said("read", store.read(&issuer, id).await);
                    let version = read.row.map_or(0, |row| row.version.0);
                    was_ended = is_ended.load(Ordering::SeqCst);
                    let to = rotation(task);
                    if rotate(&*store, &issuer, id, version, &to).await == Swap::Done {
                        assert!(!was_ended, "{promise}: one was, of version {version}");
                        rotated.fetch_add(1, Ordering::SeqCst);
                    }
                    yield_now().await;
                }
            });
        }
        for _ in 0..round % 8 {
            yield_now().await;
        }
        // By itself, and with all of its subject.
        if round % 2 == 0 {
            let has_ended = case.end(row.id, EndReason::Operator).await;
            assert!(has_ended, "{promise}: it could not be ended during rotations");
        } else {
            let all = case.end_all(&subject, None, EndReason::Operator).await;
            assert_eq!(all.sessions, [row.id], "{promise}: it did not end during rotations");
        }
        is_ended.store(true, Ordering::SeqCst);
        tasks.join_all().await;
        let found = case.row(row.id).await;
        let Some(ended) = found.ended else {
            panic!("{promise}: it goes on after it was ended");
        };
        assert_eq!(ended.reason, EndReason::Operator, "{promise}: the reason");
        case.happened(ended.at, from, case.time().await, "the time of the end");
        let changes = rotated.load(Ordering::SeqCst) + 1;
        let promise = "every change makes the version of a session one more";
        assert_eq!(found.version.0, 1 + changes, "{promise}: after {changes} changes at once");
    }
}

pub(super) async fn logouts<S: SessionStore>(instances: &[Arc<S>]) {
    let promise = "each logout everywhere raises the version, also those at once";
    let case = Case::new(&*instances[0], "logouts at once", promise).await;
    for number in 0..AT_ONCE {
        case.put(&case.live(number, "alice")).await;
    }
    let mut tasks = JoinSet::new();
    for number in 0..AT_ONCE {
        let (store, issuer) = (Arc::clone(&instances[number % INSTANCES]), case.issuer.clone());
        tasks.spawn(async move {
            let reason = EndReason::SignedOutEverywhere;
            end_all(&*store, &issuer, "alice", None, reason).await
        });
    }
    let all = tasks.join_all().await;
    let versions: BTreeSet<_> = all.iter().map(|all| all.version).collect();
    assert_eq!(versions.len(), AT_ONCE, "{promise}: versions that are not of another");
    assert_eq!(versions.last(), Some(&case.version("alice").await), "{promise}: the last is read");
    let mut ended: Vec<_> = all.into_iter().flat_map(|all| all.sessions).collect();
    ended.sort_unstable();
    assert_eq!(ended, ids(0..AT_ONCE), "{promise}: each session ends once");
}

pub(super) async fn logins_against_logouts<S: SessionStore>(instances: &[Arc<S>]) {
    const LOGINS: usize = 12;
    let promise = "after a logout everywhere, no login of before goes on";
    let case = Case::new(&*instances[0], "logins against logouts", promise).await;
    for round in 0..ROUNDS {
        let subject = format!("subject {round}");
        let mut logins = JoinSet::new();
        let mut logouts = JoinSet::new();
        for task in 0..LOGINS {
            let (store, issuer) = (Arc::clone(&instances[task % INSTANCES]), case.issuer.clone());
            // One logout, or two.
            if task == 5 || task == 11 && round % 2 == 0 {
                let subject = subject.clone();
                logouts.spawn(async move {
                    for _ in 0..(round / 2 + task) % 4 {
                        yield_now().await;
                    }
                    let reason = EndReason::CredentialsChanged;
                    end_all(&*store, &issuer, &subject, None, reason).await.version
                });
                continue;
            }
            let mut row = case.live(round * LOGINS + task, &subject);
            logins.spawn(async move {
                let version = said("subject", store.subject(&issuer, &row.subject).await).version;
                row.subject_version = version;
                yield_now().await;
                let new = NewSession { row: &row, replaces: None, most: MANY };
                (row.id, begin(&*store, &issuer, new).await)
            });
        }
        let (logins, logouts) = (logins.join_all().await, logouts.join_all().await);
        let version = case.version(&subject).await;
        assert_eq!(logouts.iter().max(), Some(&version), "{promise}: the version");
        let listed = case.list(&subject, None, MANY).await;
        for (id, created) in logins {
            match created {
                Created::Outdated => case.has_none(id).await,
                Created::Done { ended } => {
                    assert_eq!(ended, [], "{promise}: a login ended others");
                    let row = case.row(id).await;
                    let (of, is_over) = (row.subject_version, row.ended.is_some());
                    assert!(
                        of == version || is_over,
                        "{promise}: one of version {of} does, and the subject has {version}"
                    );
                    let is_listed = listed.iter().any(|listed| listed.id == id);
                    assert_eq!(is_listed, !is_over, "{promise}: the list");
                }
            }
        }
    }
}

pub(super) async fn logins<S: SessionStore>(instances: &[Arc<S>]) {
    const MOST: usize = 4;
    let promise = "logins at once leave no more sessions than there may be";
    let case = Case::new(&*instances[0], "logins at once", promise).await;
    let replaced = case.live(AT_ONCE, "bob");
    case.put(&replaced).await;
    let mut tasks = JoinSet::new();
    for number in 0..AT_ONCE {
        let (store, issuer) = (Arc::clone(&instances[number % INSTANCES]), case.issuer.clone());
        let (row, replaces) = (case.live(number, "alice"), Some(replaced.id));
        tasks.spawn(async move {
            let new = NewSession { row: &row, replaces, most: MOST };
            begin(&*store, &issuer, new).await
        });
    }
    let mut left: BTreeSet<_> = ids(0..=AT_ONCE).into_iter().collect();
    for created in tasks.join_all().await {
        let Created::Done { ended } = created else {
            panic!("{promise}: a login of the subject's version did not begin");
        };
        for id in ended {
            assert!(left.remove(&id), "{promise}: {id:?} ended twice, or was not there");
            assert!(case.row(id).await.ended.is_some(), "{promise}: {id:?} did not end");
        }
    }
    let listed: BTreeSet<_> = case.list("alice", None, MANY).await.iter().map(|it| it.id).collect();
    assert_eq!(listed.len(), MOST, "{promise}: there may be {MOST}, and so many there are");
    assert_eq!(listed, left, "{promise}: those that did not end");
}

pub(super) async fn reading_during_changes<S: SessionStore>(instances: &[Arc<S>]) {
    let promise =
        "who reads during changes reads a session and the version of its subject of one moment";
    let case = Case::new(&*instances[0], "moments", promise).await;
    let row = case.live(0, "alice");
    case.put(&row).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    for store in &instances[1..] {
        let (store, issuer, is_over) =
            (Arc::clone(store), case.issuer.clone(), Arc::clone(&is_over));
        let id = row.id;
        readers.spawn(async move {
            let (mut last, mut last_of_subject) = (0, 0);
            while !is_over.load(Ordering::Relaxed) {
                let read = said("read", store.read(&issuer, id).await);
                let Some(row) = read.row else {
                    panic!("{promise}: it is not there");
                };
                // It is spared each time, and so is always of the version that its subject has.
                let (of, version) = (row.subject_version, read.subject_version);
                assert_eq!(of, version, "{promise}: one is from before, and one from after");
                let mark = usize::try_from(row.generation).unwrap_or_default();
                let to = rotation(mark);
                let previous = (mark > 0).then_some(to.previous);
                let is_whole = row.current_hash == to.current_hash && row.previous == previous;
                assert!(is_whole, "{promise}: a part is of another rotation");
                let (now, least) = (row.version.0, last.max(1));
                assert!(now >= least, "{promise}: it went back from {least} to {now}");
                assert!(version >= last_of_subject, "{promise}: the subject's version went back");
                (last, last_of_subject) = (now, version);
                yield_now().await;
            }
        });
    }
    for mark in 1..=ROUNDS {
        let version = 2 * mark as u64 - 1;
        let swap = case.rotate(row.id, version, &rotation(mark)).await;
        assert_eq!(swap, Swap::Done, "{promise}: it could not rotate during readings");
        yield_now().await;
        let all = case.end_all("alice", Some(row.id), EndReason::SignedOutEverywhere).await;
        assert_eq!(all.sessions, [], "{promise}: it was not spared during readings");
        yield_now().await;
    }
    is_over.store(true, Ordering::Relaxed);
    readers.join_all().await;
}
