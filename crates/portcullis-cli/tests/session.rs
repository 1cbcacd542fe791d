//! Sessions of an issuer in a database: what is shown of them, why one ended, and what an operator ends.
#![cfg(feature = "store")]

mod common;

use std::time::{Duration, SystemTime};

use insta::{Settings, assert_snapshot};
use portcullis::{Algorithm, Encoding, Revocation, Revocations, Secret};
use portcullis_issuer::session::{
    Ended, NewSession, Previous, SessionRow, SessionStore as _, SessionVersion,
};
use portcullis_issuer::store::MemoryRing;
use portcullis_issuer::{
    Answer, EndReason, Lifetimes, RefreshError, RefreshRefusal, RefreshRequest, SessionId,
    Sessions, StoreTime, TokenIssuer,
};
use portcullis_sqlx::SqliteSessions;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use tokio::runtime::Runtime;

use self::common::{Ran, portcullis, portcullis_in, portcullis_with, settings};

const ISSUER: &str = "https://id.example";
const OTHER: &str = "https://other.example";
const ROOT: &str = "b4Yq0YHhV0cW8g2mJm7Xn1dKzR5sT9uLpE3fQaC6iwo";

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What nobody is shown.
const HASH: u8 = 0xab;
const SALT: u8 = 0xbc;
const MAC: u8 = 0xcd;

fn ago(time: Duration) -> StoreTime {
    StoreTime::from(SystemTime::now()).before(time)
}

fn within(time: Duration) -> StoreTime {
    StoreTime::from(SystemTime::now()).after(time)
}

fn id(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

/// A session of `alice`, which rotated five times.
fn row(number: u8) -> SessionRow {
    SessionRow {
        id: id(number),
        subject: "alice".to_owned(),
        client: "web".to_owned(),
        created_at: ago(3 * DAY + HOUR + u32::from(number) * MINUTE),
        ends_at: within(27 * DAY),
        details:
            r#"{"authenticated_at":1,"idle":2,"is_remembered":true,"label":"Firefox on Linux"}"#
                .to_owned(),
        binding: None,
        mac: vec![MAC; 32],
        subject_version: 0,
        version: SessionVersion(6),
        generation: 5,
        current_hash: [HASH; 32],
        previous: Some(Previous { hash: [HASH; 32], salt: [SALT; 16] }),
        rotated_at: ago(3 * HOUR + MINUTE),
        idle_until: within(4 * DAY),
        ended: None,
    }
}

/// Sessions in a file of SQLite.
struct Kept {
    folder: tempfile::TempDir,
    runtime: Runtime,
    pool: SqlitePool,
    store: SqliteSessions,
}

impl Kept {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let file = folder.path().join("app.db");
        let file = SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let pool = runtime.block_on(SqlitePool::connect_with(file)).expect("a file");
        let store = SqliteSessions::new(pool.clone());
        runtime.block_on(store.migrate()).expect("tables");
        Self { folder, runtime, pool, store }
    }

    fn keep_of(&self, issuer: &str, row: &SessionRow) {
        let new = NewSession { row, replaces: None, most: 1000 };
        self.runtime.block_on(self.store.create(issuer, new)).expect("a session");
    }

    fn keep(&self, row: &SessionRow) {
        self.keep_of(ISSUER, row);
    }

    fn sql(&self, text: &str) {
        let run = sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&self.pool);
        self.runtime.block_on(run).expect("good SQL");
    }

    fn row(&self, issuer: &str, number: u8) -> SessionRow {
        let read = self.runtime.block_on(self.store.read(issuer, id(number)));
        read.expect("a reading").row.expect("a session")
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        portcullis(self.folder.path(), &of(arguments), "")
    }

    fn run_in(&self, columns: &str, arguments: &[&str]) -> Ran {
        portcullis_in(columns, self.folder.path(), &of(arguments), "")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    fn explain(&self, number: u8) -> Ran {
        self.run(&["explain", &id(number).to_string()])
    }
}

fn of<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["session"], arguments, &["--store", "sqlite:app.db", "--issuer", ISSUER]].concat()
}

/// Without what differs from run to run.
fn of_now() -> Settings {
    let mut settings = settings();
    settings.add_filter(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}Z", "[date, and a time]");
    settings.add_filter(r#""ms": ?[0-9]+"#, r#""ms": "[ms]""#);
    settings.add_filter(r"[0-9]{13}", "[version]");
    settings.add_filter(r"\b[0-9]+ s ago", "[s] s ago");
    settings
}

#[test]
fn what_a_subject_has_is_listed() {
    let kept = Kept::new();
    let bare = |row: SessionRow| SessionRow { details: "{}".to_owned(), ..row };
    let bob = |row: SessionRow| bare(SessionRow { subject: "bob".to_owned(), ..row });
    let ended = Some(Ended { at: ago(HOUR), reason: EndReason::SignedOut });
    kept.keep(&row(1));
    kept.keep(&bare(SessionRow { client: "desktop".to_owned(), ..row(2) }));
    // These are over, and those of others.
    kept.keep(&SessionRow { ended, ..row(3) });
    kept.keep(&SessionRow { idle_until: ago(HOUR), ..row(4) });
    kept.keep(&bob(row(5)));
    kept.keep_of(OTHER, &row(6));
    let alice = ["list", "--subject", "alice"];
    of_now().bind(|| {
        assert_snapshot!("session-list", kept.run(&alice).snapshot());
        assert_snapshot!("session-list-narrow", kept.run_in("40", &alice).snapshot());
        let json = kept.run(&[&alice[..], &["--json"]].concat());
        assert_snapshot!("session-list-json", json.snapshot());
        let bob = kept.run(&["list", "--subject", "bob"]);
        assert_snapshot!("session-list-without-labels", bob.snapshot());
        let nobody = kept.run(&["list", "--subject", "carol"]);
        assert_snapshot!("session-list-none", nobody.snapshot());
    });
    // Logged out everywhere, and the store lost the end of them.
    kept.sql("INSERT INTO portcullis_subjects VALUES ('https://id.example', 'dora', 7, 1)");
    kept.sql("UPDATE portcullis_sessions SET subject = 'dora' WHERE subject = 'bob'");
    let ran = kept.run(&["list", "--subject", "dora"]);
    assert!(ran.code == 0 && ran.stdout.contains("no live session"), "{ran:?}");
    for subject in ["", &"x".repeat(1025)] {
        let ran = kept.run(&["list", "--subject", subject]);
        assert!(ran.code == 2 && ran.remark().contains("1 to 1024 bytes"), "{ran:?}");
    }
}

#[test]
fn a_long_list_is_whole_and_names_each_session_once() {
    let kept = Kept::new();
    for number in 0..=250 {
        kept.keep(&row(number));
    }
    let told = kept.json(&["list", "--subject", "alice"]);
    let sessions = told["sessions"].as_array().expect("a list");
    let ids: Vec<_> = sessions.iter().map(|it| it["id"].as_str().expect("text")).collect();
    // The newest first.
    let expected: Vec<_> = (0..=250).map(|number| id(number).to_string()).collect();
    assert_eq!(ids, expected);
}

#[test]
fn each_reason_is_told_with_what_happened_and_what_to_do() {
    let kept = Kept::new();
    let reasons = EndReason::ALL.into_iter().chain([EndReason::Unknown]);
    let mut told = String::new();
    for (reason, number) in reasons.zip(1..) {
        kept.keep(&SessionRow { ended: Some(Ended { at: ago(2 * HOUR), reason }), ..row(number) });
        let ran = kept.explain(number);
        assert_eq!((ran.code, ran.stderr.as_str()), (1, ""), "{ran:?}");
        let text = ran.stdout.split("\n\n subject").next().expect("text");
        told.push_str(&format!("=== {}\n{text}\n", reason.name()));
        let json = kept.json(&["explain", &id(number).to_string()]);
        assert_eq!((&json["standing"], &json["reason"]), (&"ended".into(), &reason.name().into()));
    }
    of_now().bind(|| assert_snapshot!("session-reasons", told));
}

#[test]
fn a_session_is_explained_however_it_stands() {
    let kept = Kept::new();
    kept.keep(&row(1));
    kept.keep(&SessionRow { idle_until: ago(2 * HOUR), ..row(2) });
    let end = ago(2 * HOUR);
    kept.keep(&SessionRow { idle_until: end, ends_at: end, generation: 0, ..row(3) });
    let of_dora = SessionRow { subject: "dora".to_owned(), ..row(4) };
    kept.keep(&of_dora);
    kept.sql("UPDATE portcullis_subjects SET version = 7, raised_at = 1 WHERE subject = 'dora'");
    // Over by itself, then ended, and then its subject was logged out everywhere.
    let ended = Some(Ended { at: ago(HOUR), reason: EndReason::Replay });
    let idle_until = ago(2 * HOUR);
    kept.keep(&SessionRow { subject: "erin".to_owned(), idle_until, ended, ..row(5) });
    kept.sql("UPDATE portcullis_subjects SET version = 9, raised_at = 1 WHERE subject = 'erin'");
    kept.keep_of(OTHER, &row(6));
    let key = Some([&[1][..], &[0x42; 32]].concat());
    kept.keep(&SessionRow { binding: key, ..row(7) });
    // Of a later release.
    kept.keep(&SessionRow { binding: Some(vec![4; 33]), ..row(8) });
    let certificate = Some([&[2][..], &[0x43; 32]].concat());
    kept.keep(&SessionRow { binding: certificate, ..row(9) });
    let both = Some([&[3][..], &[0x42; 32], &[0x43; 32]].concat());
    kept.keep(&SessionRow { binding: both, ..row(10) });
    of_now().bind(|| {
        let standings = [
            "goes-on",
            "idle",
            "expired",
            "outdated",
            "ended",
            "not-there",
            "bound",
            "bound-anew",
            "bound-certificate",
            "bound-both",
        ];
        for (standing, number) in standings.into_iter().zip(1..) {
            let ran = kept.explain(number);
            let goes_on = standing == "goes-on" || standing.starts_with("bound");
            assert_eq!(ran.code, i32::from(!goes_on), "{ran:?}");
            assert_snapshot!(format!("session-{standing}"), ran.snapshot());
            let arguments = ["explain", &id(number).to_string(), "--json"];
            assert_snapshot!(format!("session-{standing}-json"), kept.run(&arguments).snapshot());
        }
        let narrow = kept.run_in("40", &["explain", &id(5).to_string()]);
        assert_snapshot!("session-ended-narrow", narrow.snapshot());
    });
}

#[test]
fn one_session_ends_and_says_so_again() {
    let kept = Kept::new();
    for number in [1, 2] {
        kept.keep(&row(number));
    }
    kept.keep_of(OTHER, &row(3));
    let end = |number: u8| kept.run(&["end", &id(number).to_string()]);
    of_now().bind(|| {
        assert_snapshot!("session-end", end(1).snapshot());
        assert_snapshot!("session-end-again", end(1).snapshot());
        assert_snapshot!("session-end-not-there", end(3).snapshot());
    });
    let reason = |issuer, number| kept.row(issuer, number).ended.map(|ended| ended.reason);
    assert_eq!(reason(ISSUER, 1), Some(EndReason::Operator));
    assert_eq!((reason(ISSUER, 2), reason(OTHER, 3)), (None, None));
    for (number, outcome) in [(2, "ended"), (2, "was_ended"), (3, "not_there")] {
        let told = kept.json(&["end", &id(number).to_string()]);
        assert_eq!(told["outcome"], outcome, "{told}");
    }
}

#[test]
fn all_sessions_of_a_subject_end_and_its_version_is_raised() {
    let kept = Kept::new();
    for number in [1, 2] {
        kept.keep(&row(number));
    }
    kept.keep(&SessionRow { subject: "bob".to_owned(), ..row(3) });
    kept.keep_of(OTHER, &row(4));
    let end = ["end", "--subject", "alice"];
    of_now().bind(|| {
        assert_snapshot!("session-end-subject", kept.run(&end).snapshot());
        assert_snapshot!("session-end-subject-again", kept.run(&end).snapshot());
    });
    let is_ended = |issuer, number| kept.row(issuer, number).ended.is_some();
    assert!(is_ended(ISSUER, 1) && is_ended(ISSUER, 2));
    assert!(!is_ended(ISSUER, 3) && !is_ended(OTHER, 4));
    let told = kept.json(&["end", "--subject", "bob"]);
    assert_eq!(told["ended"], serde_json::json!([id(3).to_string()]));
    assert!(told["subject_version"].as_u64().expect("a number") > 0, "{told}");
}

#[test]
fn all_sessions_of_an_issuer_end_if_that_is_meant() {
    let kept = Kept::new();
    for number in 1..=20 {
        kept.keep(&SessionRow { subject: format!("user {number}"), ..row(number) });
    }
    kept.keep_of(OTHER, &row(21));
    let ran = kept.run(&["end", "--all"]);
    assert!(ran.code == 2 && ran.remark().contains("--yes"), "{ran:?}");
    assert_eq!(kept.row(ISSUER, 1).ended, None);
    of_now().bind(|| {
        assert_snapshot!("session-end-all", kept.run(&["end", "--all", "--yes"]).snapshot());
        let again = kept.run(&["end", "--all", "--yes"]);
        assert_snapshot!("session-end-all-again", again.snapshot());
    });
    assert!((1..=20).all(|number| kept.row(ISSUER, number).ended.is_some()));
    assert_eq!(kept.row(OTHER, 21).ended, None);
    assert_eq!(kept.json(&["end", "--all", "--yes"])["ended"], 0);
    let some = id(1).to_string();
    for arguments in [
        &["end"][..],
        &["end", &some, "--all"],
        &["end", "--all", "--subject", "alice"],
        &["end", &some, "--subject", "alice"],
        &["end", &some, "--yes"],
    ] {
        let ran = kept.run(arguments);
        assert!(ran.code == 2 && ran.remark().contains("Usage"), "{ran:?}");
    }
}

/// The service runs, and nothing else is done for it to know.
#[test]
fn a_service_that_runs_revokes_what_the_command_ends() {
    let kept = Kept::new();
    let revocations = Revocations::in_memory();
    let sessions = kept.runtime.block_on(async {
        let issuer = TokenIssuer::builder(ISSUER)
            .algorithm(Algorithm::ES256)
            .audiences(["https://orders.example"])
            .lifetime(15 * MINUTE)
            .root_secrets([Secret::encoded(ROOT, Encoding::Base64url)])
            .ring(MemoryRing::new())
            .revocations(revocations.clone())
            .refreshed_by_hand()
            .build();
        Sessions::builder(&issuer.await.expect("an issuer"))
            .store(kept.store.clone())
            .lifetimes(Lifetimes::aal1())
            .ask(async |_| Ok(Answer::go_on()))
            .build()
            .await
            .expect("sessions")
    });
    let begin = |label: &str| {
        kept.runtime.block_on(async {
            let attempt = sessions.attempt("alice").await.expect("an attempt");
            let login = attempt.succeeded("web").label(label);
            sessions.begin(login).await.expect("a session")
        })
    };
    let (phone, laptop) = (begin("a phone"), begin("a laptop"));
    let listed = kept.run(&["list", "--subject", "alice"]).stdout;
    for begun in [&phone, &laptop] {
        let sid = begun.session.id().to_string();
        let label = begun.session.label().expect("a label");
        assert!(listed.contains(&sid) && listed.contains(label), "{listed}");
        let ran = kept.run(&["explain", &sid]);
        assert!(ran.code == 0 && ran.stdout.contains("never rotated"), "{ran:?}");
    }
    let is_over = |begun: &portcullis_issuer::Begun| {
        let refused = kept.runtime.block_on(async {
            let request = RefreshRequest::new(begun.refresh.as_str(), "web");
            let refused = sessions.refresh(&request).await.err();
            sessions.catch_up().await.expect("all is there");
            refused
        });
        let (issuer, session) = (ISSUER.to_owned(), begun.session.id().to_string());
        let is_revoked =
            revocations.is_revoked(&Revocation::Session { issuer, session, until: None });
        let by_operator = RefreshRefusal::Ended(EndReason::Operator);
        assert_eq!(refused, is_revoked.then_some(RefreshError::Refused(by_operator)));
        is_revoked
    };
    assert_eq!(kept.run(&["end", &phone.session.id().to_string()]).code, 0);
    assert_eq!([&phone, &laptop].map(is_over), [true, false]);
    assert_eq!(kept.run(&["end", "--subject", "alice"]).code, 0);
    assert!(is_over(&laptop));
    let tablet = begin("a tablet");
    assert_eq!(kept.run(&["end", "--all", "--yes"]).code, 0);
    assert!(is_over(&tablet));
}

#[test]
fn text_of_strangers_is_shown_escaped() {
    let kept = Kept::new();
    let details = serde_json::json!({ "label": "\u{1b}[2J\u{202e}x" }).to_string();
    let (subject, client) = ("\u{1b}]0;x\u{7}".to_owned(), "a\nb\u{9b}c".to_owned());
    let ended = Some(Ended { at: ago(HOUR), reason: EndReason::Operator });
    let row = SessionRow { subject: subject.clone(), client, details, ..row(1) };
    kept.keep(&row);
    kept.keep(&SessionRow { id: id(2), ended, ..row });
    for arguments in [
        &["list", "--subject", &subject][..],
        &["explain", &id(1).to_string()],
        &["explain", &id(2).to_string()],
        &["end", "--subject", &subject],
    ] {
        for json in [&[][..], &["--json"]] {
            let ran = kept.run(&[arguments, json].concat());
            let is_raw = |char: &char| *char != '\n' && (char.is_control() || *char == '\u{202e}');
            assert!(!ran.all().contains(|char| is_raw(&char)), "{ran:?}");
        }
    }
}

#[test]
fn nothing_that_a_token_is_made_of_is_shown() {
    let kept = Kept::new();
    for number in 1..=5 {
        kept.keep(&row(number));
    }
    let ids = [1, 2, 3].map(|number| id(number).to_string());
    for arguments in [
        &["list", "--subject", "alice"][..],
        &["explain", &ids[0]],
        &["end", &ids[1]],
        &["explain", &ids[1]],
        &["end", "--subject", "alice"],
        &["end", "--all", "--yes"],
    ] {
        for json in [&[][..], &["--json"]] {
            let all = kept.run(&[arguments, json].concat()).all().to_lowercase();
            for byte in [HASH, SALT, MAC] {
                for text in [format!("{byte:02x}{byte:02x}"), format!("{byte}, {byte}")] {
                    assert!(!all.contains(&text), "{text}: {all}");
                }
            }
            // In base64, with the letters made small.
            for text in ["q6urq6", "vly8vl", "vlybvl", "zc3nzc"] {
                assert!(!all.contains(text), "{text}: {all}");
            }
        }
    }
}

/// It may be a token, which the history of a shell has already and a log need not have.
#[test]
fn what_does_not_name_a_session_is_not_shown() {
    let kept = Kept::new();
    for command in ["explain", "end"] {
        for text in ["pcl_rt_hunter2", "hunter2", "--hunter2", "-hunter2"] {
            let ran = kept.run(&[command, text]);
            assert!(ran.code == 2 && ran.remark().contains("does not name a session"), "{ran:?}");
            assert!(!ran.all().contains("hunter2"), "{ran:?}");
        }
    }
    // An id may begin as an option does.
    let dashes = SessionId::from_bytes([0xfb, 0xef, 0xbe, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert!(dashes.to_string().starts_with("----"), "{dashes}");
    kept.keep(&SessionRow { id: dashes, ..row(1) });
    assert_eq!(kept.run(&["explain", &dashes.to_string()]).code, 0);
    assert_eq!(kept.run(&["end", &dashes.to_string()]).code, 0);
}

/// Somebody else wrote it: the error of the service says to end it.
#[test]
fn a_row_that_cannot_be_read_can_be_ended() {
    let kept = Kept::new();
    kept.keep(&row(1));
    kept.sql("UPDATE portcullis_sessions SET details = hex(zeroblob(9000))");
    let ran = kept.explain(1);
    assert!(ran.code == 3 && ran.remark().contains("portcullis session end"), "{ran:?}");
    let ran = kept.run(&["end", &id(1).to_string()]);
    assert!(ran.code == 0 && ran.stdout.contains("ended"), "{ran:?}");
}

#[test]
fn a_store_that_cannot_be_had_is_told_and_its_password_is_not() {
    let kept = Kept::new();
    let at = |store: &str, more: &[&str]| {
        let arguments =
            ["session", "list", "--store", store, "--issuer", ISSUER, "--subject", "alice"];
        portcullis(kept.folder.path(), &[&arguments, more].concat(), "")
    };
    let postgres = "postgres://user:hunter2@127.0.0.1:1/app";
    for (store, more, code, reason) in [
        ("sessions.json", &[][..], 2, "sessions are kept in a database"),
        ("redis://localhost", &[], 2, "no store for `redis://`"),
        ("env:PORTCULLIS_NO_STORE", &[], 2, "--store env:PORTCULLIS_NO_STORE"),
        ("host=db password=hunter2", &[], 2, "not shown"),
        ("postgres://user:hunter2@[/app", &[], 2, "not an address of PostgreSQL"),
        (postgres, &[], 3, "cannot be asked"),
        (postgres, &["--table-prefix", "X"], 2, "--table-prefix"),
        (postgres, &["--table-schema", ""], 2, "--table-schema"),
        ("sqlite:nowhere.db", &[], 3, "cannot be asked"),
        ("sqlite:app.db", &["--table-schema", "auth"], 2, "for sessions in PostgreSQL"),
        ("sqlite:app.db", &["--table-prefix", "other_"], 3, "tables are not there"),
    ] {
        let ran = at(store, more);
        assert!(ran.code == code && ran.remark().contains(reason), "{store} {more:?}: {ran:?}");
        assert!(!ran.all().contains("hunter2"), "{ran:?}");
    }
    assert!(!kept.folder.path().join("nowhere.db").exists());
    let arguments = ["session", "list", "--store", "env:STORE_DB", "--issuer", ISSUER];
    let arguments = [&arguments[..], &["--subject", "alice"]].concat();
    let in_variable = |value| portcullis_with(("STORE_DB", value), kept.folder.path(), &arguments);
    assert_eq!(in_variable("sqlite:app.db").code, 0);
    for value in ["hunter2", "hunter2://x", "host=db password=hunter2", "postgres://u:hunter2@["] {
        let ran = in_variable(value);
        assert!(ran.code == 2 && ran.remark().contains("--store"), "{ran:?}");
        assert!(!ran.all().contains("hunter2"), "{ran:?}");
    }
}
