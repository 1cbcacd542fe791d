//! What rotates and ends sessions, one change at a time.
use core::time::Duration;

use portcullis_issuer::EndReason;
use portcullis_issuer::session::{Previous, Rotation, SessionRow, SessionStore, SessionVersion};
use portcullis_issuer::store::Swap;

use super::{Case, DAY, HOUR, MINUTE, OVER, id, ids, rotation};

pub(super) async fn rotations<S: SessionStore>(store: &S) {
    let promise = "a rotation is done for the version that is there, and writes what it says";
    let case = Case::new(store, "rotations", promise).await;
    let bystander = case.live(2, "alice");
    case.put(&bystander).await;
    let mut row = SessionRow {
        subject: "alice".to_owned(),
        binding: Some(vec![1; 32]),
        rotated_at: case.now.before(HOUR),
        ..case.live(1, "alice")
    };
    case.put(&row).await;
    let changes: [fn(&mut Rotation); 10] = [
        |to| to.keeps_time = true,
        |_| {},
        |to| to.mac = Vec::new(),
        |to| (to.mac, to.keeps_time) = ((0..=255).collect(), true),
        |to| to.generation = u32::MAX,
        |to| (to.generation, to.current_hash) = (0, [0; 32]),
        |to| to.previous = Previous { hash: [0; 32], salt: [0; 16] },
        |to| to.idle = Duration::from_millis(86_400_001),
        // Beyond the end of the session.
        |to| (to.idle, to.keeps_time) = (100 * 365 * DAY, true),
        |to| to.idle = MINUTE,
    ];
    for (mark, change) in changes.iter().enumerate() {
        let mut to = rotation(mark + 1);
        change(&mut to);
        let version = row.version.0;
        for other in [0, version - 1, version + 1, i64::MAX as u64, u64::MAX] {
            let swap = case.rotate(row.id, other, &rotation(99)).await;
            assert_eq!(swap, Swap::Lost, "{promise}: {version} is there, and it is for {other}");
        }
        case.has(&row).await;
        let from = case.time().await;
        let swap = case.rotate(row.id, version, &to).await;
        assert_eq!(swap, Swap::Done, "{promise}: it is for {version}, which is there");
        row = case.has_rotated(&row, &to, from).await;
        let swap = case.rotate(row.id, version, &to).await;
        assert_eq!(swap, Swap::Lost, "{promise}: it was done already");
        case.has(&row).await;
    }
    case.has(&bystander).await;

    // No longer than the session lasts, where that is a matter of minutes.
    let mut short = SessionRow { ends_at: case.now.after(10 * MINUTE), ..case.live(3, "alice") };
    short.idle_until = case.now.after(5 * MINUTE);
    case.put(&short).await;
    let from = case.time().await;
    assert_eq!(case.rotate(short.id, 1, &rotation(3)).await, Swap::Done, "{promise}");
    let short = case.has_rotated(&short, &rotation(3), from).await;
    assert_eq!(short.idle_until, short.ends_at, "{promise}: `idle_until` is after `ends_at`");
}

pub(super) async fn rotations_of_what_is_over<S: SessionStore>(store: &S) {
    let promise = "no rotation is done of a session that is over";
    let case = Case::new(store, "over", promise).await;
    for (number, (how, over)) in OVER.iter().enumerate() {
        let mut row = case.live(number + 1, "alice");
        over(&mut row, case.now);
        case.put(&row).await;
        for version in [1, 2] {
            let swap = case.rotate(row.id, version, &rotation(9)).await;
            assert_eq!(swap, Swap::Lost, "{promise}: {how}");
        }
        case.has(&row).await;
    }
    let ended = case.live(10, "alice");
    case.put(&ended).await;
    assert!(case.end(ended.id, EndReason::SignedOut).await, "{promise}: it could not be ended");
    let ended = case.row(ended.id).await;
    for version in [1, 2, 3] {
        let swap = case.rotate(ended.id, version, &rotation(9)).await;
        assert_eq!(swap, Swap::Lost, "{promise}: it was ended");
    }
    case.has(&ended).await;
    // Over from the moment on at which it rotates.
    let row = case.live(11, "alice");
    case.put(&row).await;
    let to = Rotation { idle: Duration::ZERO, ..rotation(11) };
    let from = case.time().await;
    assert_eq!(case.rotate(row.id, 1, &to).await, Swap::Done, "{promise}: this one is not");
    let row = case.has_rotated(&row, &to, from).await;
    let swap = case.rotate(row.id, 2, &rotation(12)).await;
    assert_eq!(swap, Swap::Lost, "{promise}: it rotated, to be over at once");
    case.has(&row).await;

    let case = case.promising("a rotation is done only of a session of its issuer");
    let elsewhere = Case::new(store, "over/elsewhere", case.promise).await;
    let other = elsewhere.live(20, "alice");
    elsewhere.put(&other).await;
    for unknown in [other.id, id(99)] {
        let swap = case.rotate(unknown, 1, &rotation(9)).await;
        assert_eq!(swap, Swap::Lost, "{}: {unknown:?} is not", case.promise);
        case.has_none(unknown).await;
    }
    elsewhere.has(&other).await;
}

pub(super) async fn ends<S: SessionStore>(store: &S) {
    let promise = "a session ends once, and keeps the first reason and its time";
    let case = Case::new(store, "ends", promise).await;
    let bystander = case.live(100, "alice");
    case.put(&bystander).await;
    for (number, reason) in EndReason::ALL.into_iter().enumerate() {
        let mut row = case.live(number, "alice");
        case.put(&row).await;
        if number % 2 == 0 {
            let from = case.time().await;
            assert_eq!(case.rotate(row.id, 1, &rotation(number)).await, Swap::Done, "{promise}");
            row = case.has_rotated(&row, &rotation(number), from).await;
        }
        let from = case.time().await;
        assert!(case.end(row.id, reason).await, "{promise}: the first end says that it did not");
        let row = case.has_ended(&row, reason, from).await;
        case.later().await;
        for other in EndReason::ALL {
            assert!(!case.end(row.id, other).await, "{promise}: another end says that it did");
        }
        case.has(&row).await;
    }
    case.has(&bystander).await;

    // One whose time is over may end, or stay as it is.
    let case = case.promising("whoever ends a session hears whether it did");
    for (number, (_, over)) in OVER.iter().enumerate() {
        let mut row = case.live(number + 50, "alice");
        over(&mut row, case.now);
        case.put(&row).await;
        let from = case.time().await;
        if case.end(row.id, EndReason::Operator).await {
            case.has_ended(&row, EndReason::Operator, from).await;
            assert!(!case.end(row.id, EndReason::Replay).await, "{}", case.promise);
        } else {
            case.has(&row).await;
        }
    }

    let case = case.promising("nobody ends a session of another issuer");
    let elsewhere = Case::new(store, "ends/elsewhere", case.promise).await;
    let (other, alike) = (case.live(200, "alice"), case.live(201, "alice"));
    elsewhere.put(&other).await;
    elsewhere.put(&alike).await;
    case.put(&alike).await;
    assert!(!case.end(other.id, EndReason::SignedOut).await, "{}", case.promise);
    assert!(!case.end(id(999), EndReason::SignedOut).await, "{}: it is unknown", case.promise);
    assert!(case.end(alike.id, EndReason::SignedOut).await, "{}: but this is", case.promise);
    elsewhere.has(&other).await;
    elsewhere.has(&alike).await;
}

pub(super) async fn logouts_everywhere<S: SessionStore>(store: &S) {
    let promise =
        "to log out everywhere ends all sessions of the subject but the one that is spared";
    let case = Case::new(store, "everywhere", promise).await;
    let elsewhere = Case::new(store, "everywhere/elsewhere", promise).await;
    let [first, spared, third, ended] = [1, 2, 3, 4].map(|number| case.live(number, "alice"));
    let bob = case.live(10, "bob");
    for row in [&first, &spared, &third, &ended, &bob] {
        case.put(row).await;
        elsewhere.put(row).await;
    }
    assert!(case.end(ended.id, EndReason::SignedOut).await, "{promise}: one could not be ended");
    let ended = case.row(ended.id).await;

    let from = case.later().await;
    let all = case.end_all("alice", Some(spared.id), EndReason::CredentialsChanged).await;
    assert_eq!(all.sessions, ids([1, 3]), "{promise}: these are told");
    for row in [&first, &third] {
        case.has_ended(row, EndReason::CredentialsChanged, from).await;
    }
    let lifted = SessionRow { subject_version: all.version, version: SessionVersion(2), ..spared };
    case.promising("the session that is spared becomes of the new version").has(&lifted).await;
    case.promising("what was ended keeps the first reason and its time").has(&ended).await;
    case.has(&bob).await;
    for number in [1, 2, 3, 4] {
        elsewhere.has(&case.live(number, "alice")).await;
    }
    let read = async |case: &Case<'_, S>, id, subject, expected| {
        let promise = "a version is the subject's, whoever asks for it";
        let version = case.read(id).await.subject_version;
        assert_eq!(version, expected, "{promise}: `read`, of {subject}");
        assert_eq!(case.version(subject).await, expected, "{promise}: `subject`, of {subject}");
    };
    for row in [&first, &lifted, &ended] {
        read(&case, row.id, "alice", all.version).await;
    }
    read(&case, bob.id, "bob", 0).await;
    read(&elsewhere, first.id, "alice", 0).await;

    // The one that was spared goes on, and may be spared again.
    let from = case.time().await;
    assert_eq!(case.rotate(lifted.id, 2, &rotation(2)).await, Swap::Done, "{promise}: it goes on");
    let rotated = case.has_rotated(&lifted, &rotation(2), from).await;
    let all = case.end_all("alice", Some(spared.id), EndReason::SignedOutEverywhere).await;
    assert_eq!(all.sessions, [], "{promise}: there is only the one that is spared");
    let lifted = SessionRow { subject_version: all.version, version: SessionVersion(4), ..rotated };
    case.has(&lifted).await;

    let case = case.promising("only a session of the subject that was not ended is spared");
    let from = case.time().await;
    let all = case.end_all("alice", Some(bob.id), EndReason::Application).await;
    assert_eq!(all.sessions, [lifted.id], "{}: another subject's is not", case.promise);
    case.has_ended(&lifted, EndReason::Application, from).await;
    case.has(&bob).await;
    read(&case, bob.id, "bob", 0).await;
    let other = elsewhere.live(20, "alice");
    elsewhere.put(&other).await;
    for (number, but) in [(30, ended.id), (31, id(99)), (32, other.id)] {
        let version = case.version("alice").await;
        let row = SessionRow { subject_version: version, ..case.live(number, "alice") };
        case.put(&row).await;
        let from = case.time().await;
        let all = case.end_all("alice", Some(but), EndReason::Operator).await;
        assert_eq!(all.sessions, [row.id], "{}: {but:?} is not", case.promise);
        case.has_ended(&row, EndReason::Operator, from).await;
        case.has(&ended).await;
    }
    elsewhere.has(&other).await;

    for (number, reason) in EndReason::ALL.into_iter().enumerate() {
        let version = case.version("alice").await;
        let row = SessionRow { subject_version: version, ..case.live(number + 40, "alice") };
        case.put(&row).await;
        let from = case.time().await;
        let all = case.end_all("alice", None, reason).await;
        assert_eq!(all.sessions, [row.id], "{promise}: this one is told");
        case.has_ended(&row, reason, from).await;
    }
    case.has(&bob).await;

    // Those whose time is over may end, or stay as they are.
    let case = case.promising("to log out everywhere tells what it ended, and nothing else");
    let mut rows = Vec::new();
    for (number, (_, over)) in OVER.iter().enumerate() {
        let mut row = case.live(number + 60, "carol");
        over(&mut row, case.now);
        case.put(&row).await;
        rows.push(row);
    }
    let from = case.time().await;
    let all = case.end_all("carol", None, EndReason::Operator).await;
    for row in &rows {
        if all.sessions.contains(&row.id) {
            case.has_ended(row, EndReason::Operator, from).await;
        } else {
            case.has(row).await;
        }
    }
}
