//! Which logins begin, and what ends for them.
use portcullis_issuer::session::{Created, SessionRow, SessionStore};
use portcullis_issuer::{EndReason, StoreTime};

use super::{Case, MANY, OVER, id, ids};

pub(super) async fn versions<S: SessionStore>(store: &S) {
    let promise = "to log out everywhere raises the version, to the store's clock in milliseconds \
        or above what it was";
    let case = Case::new(store, "versions", promise).await;
    let millis = |time: StoreTime| u64::try_from(time.as_millis()).unwrap_or(0);
    let mut last = 0;
    // Many of them within one millisecond, where the store is fast.
    for _ in 0..50 {
        let from = case.time().await;
        let version = case.end_all("alice", None, EndReason::SignedOutEverywhere).await.version;
        let until = case.time().await;
        assert!(version > last, "{promise}: it was {last}, and is {version}");
        assert!(version >= millis(from), "{promise}: it is {version}, and the clock {from}");
        let most = millis(until).max(last + 1);
        assert!(version <= most, "{promise}: it is {version}, and would be {most} at most");
        assert_eq!(case.version("alice").await, version, "{promise}: another is read");
        last = version;
    }
    assert_eq!(case.version("bob").await, 0, "{promise}: that of another subject is not raised");
}

pub(super) async fn of_another_version<S: SessionStore>(store: &S) {
    let promise = "a login begins only for the version that its subject has";
    let case = Case::new(store, "outdated", promise).await;
    let (there, of_another) = (case.live(1, "alice"), case.live(2, "bob"));
    case.put(&there).await;
    case.put(&of_another).await;
    let is_outdated = async |version: u64| {
        for replaces in [None, Some(there.id), Some(of_another.id)] {
            let row = SessionRow { subject_version: version, ..case.live(3, "alice") };
            let created = case.begin(&row, replaces, 1).await;
            assert_eq!(created, Created::Outdated, "{promise}: one of version {version}");
            case.has_none(row.id).await;
        }
    };
    let is_untouched = async |rows: &[&SessionRow]| {
        for row in rows {
            case.promising("nothing ends for a login that does not begin").has(row).await;
        }
    };
    for version in [1, 2, i64::MAX as u64] {
        is_outdated(version).await;
    }
    is_untouched(&[&there, &of_another]).await;

    // Spared, so that there is one that could end.
    let all = case.end_all("alice", Some(there.id), EndReason::CredentialsChanged).await;
    case.promising("to log out everywhere ends nothing of another subject").has(&of_another).await;
    let spared = case.row(there.id).await;
    for version in [0, 1, all.version - 1, all.version + 1, i64::MAX as u64] {
        is_outdated(version).await;
    }
    is_untouched(&[&spared, &of_another]).await;
    // Bob's is still 0.
    case.put(&case.live(4, "bob")).await;
    let row = SessionRow { subject_version: all.version, ..case.live(5, "alice") };
    case.put(&row).await;
    case.has(&row).await;
}

pub(super) async fn replaced<S: SessionStore>(store: &S) {
    let promise = "a login ends the session that it replaces, and says so";
    let case = Case::new(store, "replaces", promise).await;
    let elsewhere = Case::new(store, "replaces/elsewhere", promise).await;

    // Of its subject, and of another.
    for (number, subject) in [(1, "alice"), (2, "bob")] {
        let (old, new) = (case.live(number, subject), case.live(number + 10, "alice"));
        let bystander = case.live(number + 20, subject);
        case.put(&old).await;
        case.put(&bystander).await;
        // Of the same name, for another issuer.
        elsewhere.put(&old).await;
        let from = case.time().await;
        let ended = case.begin_for(&new, Some(old.id), MANY).await;
        assert_eq!(ended, [old.id], "{promise}: one of {subject}");
        let old_ended = case.has_ended(&old, EndReason::NewLogin, from).await;
        case.has(&new).await;
        case.has(&bystander).await;
        elsewhere.promising("the sessions of two issuers do not meet").has(&old).await;

        let case = case.promising("a login does not end again what was ended");
        case.later().await;
        let ended = case.begin_for(&case.live(number + 30, "alice"), Some(old.id), MANY).await;
        assert_eq!(ended, [], "{}: it is told as ended", case.promise);
        case.has(&old_ended).await;
    }

    let case = case.promising("a login ends no session that is not its issuer's");
    let other = elsewhere.live(50, "alice");
    elsewhere.put(&other).await;
    for (number, replaces) in [(51, other.id), (52, id(99))] {
        let row = case.live(number, "alice");
        let ended = case.begin_for(&row, Some(replaces), MANY).await;
        assert_eq!(ended, [], "{}: it is told as ended", case.promise);
        case.has(&row).await;
    }
    elsewhere.promising(case.promise).has(&other).await;

    // One whose time is over may end, or stay as it is.
    let case = case.promising("a login tells as ended what it ended, and nothing else");
    for (number, (_, over)) in OVER.iter().enumerate() {
        let mut old = case.live(number + 60, "alice");
        over(&mut old, case.now);
        case.put(&old).await;
        let from = case.time().await;
        let ended = case.begin_for(&case.live(number + 70, "alice"), Some(old.id), MANY).await;
        if ended.is_empty() {
            case.has(&old).await;
        } else {
            assert_eq!(ended, [old.id], "{}", case.promise);
            case.has_ended(&old, EndReason::NewLogin, from).await;
        }
    }
}

pub(super) async fn too_many<S: SessionStore>(store: &S) {
    let promise = "a login ends the oldest sessions beyond as many as there may be, and says so";
    let case = Case::new(store, "too many", promise).await;
    let elsewhere = Case::new(store, "too many/elsewhere", promise).await;
    // The oldest is not the one that was written first.
    for number in [3, 1, 5, 2, 4] {
        case.put(&case.live(number, "alice")).await;
        elsewhere.put(&case.live(number, "alice")).await;
    }
    case.put(&case.live(10, "bob")).await;
    let from = case.time().await;
    let ended = case.begin_for(&case.live(6, "alice"), None, 6).await;
    assert_eq!(ended, [], "{promise}: there may be six, and are six");
    let ended = case.begin_for(&case.live(7, "alice"), None, 4).await;
    assert_eq!(ended, ids([1, 2, 3]), "{promise}: there may be four of seven");
    for number in 1..=3 {
        case.has_ended(&case.live(number, "alice"), EndReason::TooMany, from).await;
    }
    for number in 4..=7 {
        case.has(&case.live(number, "alice")).await;
    }
    case.has(&case.live(10, "bob")).await;
    for number in 1..=5 {
        elsewhere.has(&case.live(number, "alice")).await;
    }
    for number in 11..15 {
        let ended = case.begin_for(&case.live(number, "alice"), None, 4).await;
        assert_eq!(ended, [id(number - 7)], "{promise}: one login more, one session less");
    }
    let ended = case.begin_for(&case.live(15, "alice"), None, 1).await;
    assert_eq!(ended, ids(11..15), "{promise}: there may be one");

    let case = case.promising("a session that a login replaces does not count as one of too many");
    for number in [20, 21, 22] {
        case.put(&case.live(number, "carol")).await;
    }
    let from = case.time().await;
    let ended = case.begin_for(&case.live(23, "carol"), Some(id(21)), 3).await;
    assert_eq!(ended, [id(21)], "{}: there may be three", case.promise);
    case.has_ended(&case.live(21, "carol"), EndReason::NewLogin, from).await;
    let ended = case.begin_for(&case.live(24, "carol"), Some(id(22)), 2).await;
    assert_eq!(ended, ids([20, 22]), "{}: there may be two", case.promise);
    case.has_ended(&case.live(22, "carol"), EndReason::NewLogin, from).await;
    case.has_ended(&case.live(20, "carol"), EndReason::TooMany, from).await;

    let case = case.promising("a session that is over does not count as one of too many");
    for number in [30, 31, 32] {
        case.put(&case.live(number, "dave")).await;
    }
    assert!(case.end(id(32), EndReason::SignedOut).await, "{}", case.promise);
    let ended_before = case.row(id(32)).await;
    let mut over = Vec::new();
    for (number, (_, past)) in OVER.iter().enumerate() {
        // Newer and older than those that go on.
        for number in [number + 33, number + 20] {
            let mut row = SessionRow { id: id(number + 100), ..case.live(number, "dave") };
            past(&mut row, case.now);
            case.put(&row).await;
            over.push(row);
        }
    }
    let ended = case.begin_for(&case.live(40, "dave"), None, 3).await;
    assert_eq!(ended, [], "{}: there are three that are not", case.promise);
    let ended = case.begin_for(&case.live(41, "dave"), None, 3).await;
    assert_eq!(ended, [id(30)], "{}: there are four that are not", case.promise);
    case.has(&ended_before).await;
    for row in &over {
        case.has(row).await;
    }
}
