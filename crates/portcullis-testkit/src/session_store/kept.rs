//! That what is written is read back, and what is not there is not.
use std::time::SystemTime;

use portcullis_issuer::session::{Previous, SessionRow, SessionStore, SessionVersion};
use portcullis_issuer::store::Swap;
use portcullis_issuer::{EndReason, SessionId, StoreTime};

use super::{Case, DAY, EPOCH, MANY, OFF, byte, id, issuer, rotation, said, same};

pub(super) async fn clock<S: SessionStore>(store: &S) {
    let promise = "the store's clock is that of the moment at which it is asked";
    let issuer = issuer("clock");
    let mut last = EPOCH;
    for asked in 0..6 {
        let now = if asked % 2 == 0 {
            said("subject", store.subject(&issuer, "alice").await).now
        } else {
            said("read", store.read(&issuer, id(1)).await).now
        };
        let machine = StoreTime::from(SystemTime::now());
        let off = now.since(machine).max(machine.since(now));
        assert!(off < OFF, "{promise}: it is off by {off:?} from the machine's");
        assert!(now >= last, "{promise}: it went back from {last} to {now}");
        last = now;
    }
    Case::new(store, "clock", promise).await.later().await;
}

pub(super) async fn absent<S: SessionStore>(store: &S) {
    let promise = "what is not there is not read";
    let case = Case::new(store, "absent", promise).await;
    assert_eq!(case.version("alice").await, 0, "{promise}: a version that was never raised is 0");
    case.has_none(id(1)).await;
    assert!(case.list("alice", None, MANY).await.is_empty(), "{promise}: `list`");
    assert!(case.ended(EPOCH, None, MANY).await.is_empty(), "{promise}: `ended`");
    assert!(case.raised(EPOCH, None, MANY).await.is_empty(), "{promise}: `raised`");
    assert_eq!(case.prune(case.now, None, MANY).await, None, "{promise}: `prune`");
    assert!(case.erase("alice", case.now).await, "{promise}: nothing is left, says `erase`");
    assert!(!case.end(id(1), EndReason::SignedOut).await, "{promise}: `end` ended it");
    assert_eq!(case.rotate(id(1), 1, &rotation(1)).await, Swap::Lost, "{promise}: `rotate`");
    // Neither of these made one.
    case.has_none(id(1)).await;
    case.put(&case.live(1, "alice")).await;
    case.has_none(id(2)).await;
}

pub(super) async fn bytes<S: SessionStore>(store: &S) {
    let promise = "what was written is read back, byte for byte";
    let case = Case::new(store, "bytes", promise).await;
    let rows = rows(case.now);
    for row in &rows {
        case.put(row).await;
        case.has(row).await;
    }
    for row in &rows {
        case.has(row).await;
        let listed = case.list(&row.subject, None, MANY).await;
        let is_live = case.now < row.idle_until.min(row.ends_at);
        let listed = listed.iter().find(|listed| listed.id == row.id);
        assert_eq!(listed.is_some(), is_live, "{promise}: {:?} is in the list", row.id);
        if let Some(listed) = listed {
            same(listed, row, promise);
        }
    }
}

/// Sessions of every form.
fn rows(now: StoreTime) -> Vec<SessionRow> {
    let last = StoreTime::from_millis(i64::MAX);
    // Of no pattern that a database could make shorter. Those of two bytes are cut in no character.
    let mut random = 1_u32;
    let mut letter = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from_u32(0x100 + (random >> 25)).unwrap_or('x')
    };
    let long: String = (0..512).map(|_| letter()).collect();
    let label: String = (0..8000).map(|_| letter()).collect();
    let texts = [
        "a",
        "\"'`;--\\%_\r\n\t",
        "'); DROP TABLE portcullis_sessions; --",
        "\u{fe}\u{1f511}\u{65e5}",
        &long,
        "NULL",
        " a ",
        "0",
        "\\x00",
        "$1 ?1 :a @a {} %s",
        "auth0|5f7c8ec7c33c6c004bbafe82",
    ];
    let details = [
        "{}".to_owned(),
        r#"{"label":""}"#.to_owned(),
        // As it was written, not as it would be written anew.
        "{ \"b\" : 1.0,\n\t\"a\":1e2 , \"a\":[ ] }".to_owned(),
        r#"{"label":"'); DROP TABLE portcullis_sessions; -- \" \\ \u0000 \u00fe þ 🔑"}"#.to_owned(),
        format!("{{\"label\":\"{label}\"}}{}", " ".repeat(16 * 1024 - 12 - label.len())),
        "\"\"".to_owned(),
    ];
    assert_eq!((long.len(), details[4].len()), (1024, 16 * 1024), "the longest that there is");
    let bindings = [None, Some(Vec::new()), Some((0..=255).collect()), Some(vec![0; 32])];
    let macs = [vec![1; 32], Vec::new(), (0..=255).collect(), vec![0]];
    let hashes =
        [[0; 32], [255; 32], core::array::from_fn(byte), *b"'; -- \\ 0123456789abcdefghijklmn"];
    let times = [EPOCH, now, last, now.after(DAY), StoreTime::from_millis(1)];
    let versions = [1, 2, i64::MAX as u64, u64::from(u32::MAX) + 1];
    let generations = [0, 1, u32::MAX, i32::MAX as u32 + 1];
    let special = [[0; 16], [255; 16], *b"'; --\\ %_\r\n\tabc\0"];
    let mut rows = Vec::new();
    for number in 0..texts.len() * 4 {
        let previous = Previous {
            hash: hashes[(number + 1) % hashes.len()],
            salt: special[number % special.len()],
        };
        rows.push(SessionRow {
            id: special.get(number).map_or(id(number), |bytes| SessionId::from_bytes(*bytes)),
            subject: texts[number % texts.len()].to_owned(),
            client: texts[(number + 1 + number / texts.len()) % texts.len()].to_owned(),
            created_at: times[number % 3],
            ends_at: times[(number + 2) % times.len()],
            details: details[number % details.len()].clone(),
            binding: bindings[(number / 2) % bindings.len()].clone(),
            mac: macs[(number / 3) % macs.len()].clone(),
            subject_version: 0,
            version: SessionVersion(versions[number % versions.len()]),
            generation: generations[(number / 2) % generations.len()],
            current_hash: hashes[number % hashes.len()],
            previous: (number % 3 > 0).then_some(previous),
            rotated_at: times[(number + 1) % times.len()],
            idle_until: times[(number / 3 + 3) % times.len()],
            ended: None,
        });
    }
    rows
}
