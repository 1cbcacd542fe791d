//! Rings of signing keys: what is shown of them, and what an operator has them do.
mod common;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use insta::{Settings, assert_snapshot};
use portcullis::{Algorithm, Encoding, Secret};
use portcullis_issuer::ring::{Phase, Schedule};
use portcullis_issuer::seal::{Seal, SealError, Sealed, SealedFor};
use portcullis_issuer::signer::{Signature, Signer, SignerError, SignerKey};
use portcullis_issuer::store::FileRing;
use portcullis_issuer::{
    Complete, ExistingKey, KeyStatus, RingStatus, RootSecrets, TokenIssuer, TokenIssuerBuilder,
};
use portcullis_testkit::SigningKey;
use serde_json::Value;
use zeroize::Zeroizing;

use self::common::{Ran, portcullis, portcullis_with, settings};

const ISSUER: &str = "https://id.example";
const ROOT: &str = "b4Yq0YHhV0cW8g2mJm7Xn1dKzR5sT9uLpE3fQaC6iwo";
const NEW_ROOT: &str = "Vt0aXk3nD9yCwR7bQh5ZpL2mJ8sGfU6eKx1iNoBTMrA";

/// When nine days of the fourth key are over, in the ring of `tests/ring`.
const LATER: &str = "1806825600";
/// Two minutes after the third key signed last.
const TURNED: &str = "1806048300";

/// One test at a time: a process that another one has just started has the locks of this one, until it becomes the command.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A ring that `portcullis-issuer` wrote, with a test of its own that is ignored.
struct Old(tempfile::TempDir, #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Old {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |file: &str, text: &[u8]| {
            std::fs::write(folder.path().join(file), text).expect("room");
        };
        write("ring.json", include_bytes!("ring/ring.json"));
        write("root", b"FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old");
        write("new-root", b"u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new");
        Self(folder, turn())
    }

    fn status(&self, more: &[&str]) -> Ran {
        let arguments = ["ring", "status", "--ring", "ring.json", "--root-encoding", "raw"];
        portcullis(self.0.path(), &[&arguments, more].concat(), "")
    }
}

/// A ring that a service made just now.
struct Ring(tempfile::TempDir, #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Ring {
    fn new() -> Self {
        Self::of(|builder| builder)
    }

    fn of(service: impl FnOnce(Builder) -> Builder) -> Self {
        let ring = Self(tempfile::tempdir().expect("a folder"), turn());
        ring.write("root.secret", ROOT);
        ring.write("new.secret", NEW_ROOT);
        drop(ring.service(service));
        ring
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).expect("room");
    }

    fn content(&self) -> Vec<u8> {
        std::fs::read(self.path().join("ring.json")).expect("a ring")
    }

    /// The service, as long as it is kept.
    fn service(&self, service: impl FnOnce(Builder) -> Builder) -> TokenIssuer<FileRing> {
        let builder = TokenIssuer::builder(ISSUER)
            .algorithm(Algorithm::EdDSA)
            .audiences(["https://orders.example"])
            .lifetime(Duration::from_secs(15 * 60))
            .root_secrets([Secret::encoded(ROOT, Encoding::Base64url)])
            .ring(FileRing::open(self.path().join("ring.json")).expect("a file"))
            .refreshed_by_hand();
        wait(service(builder).build()).expect("an issuer")
    }

    fn read(&self, root: &str) -> RingStatus {
        let root = RootSecrets::new([Secret::encoded(root, Encoding::Base64url)]);
        let root = root.expect("a good secret");
        let store = FileRing::read_only(self.path().join("ring.json"));
        let read = wait(RingStatus::read(&store, ISSUER, Some(&root)));
        read.expect("an authentic ring").expect("a ring")
    }

    fn signing(&self) -> String {
        self.read(ROOT).signing().expect("a key that signs").key_id.clone()
    }

    /// Without a root secret.
    fn bare(&self, arguments: &[&str]) -> Ran {
        let named = [&["ring"], arguments, &["--ring", "ring.json"]].concat();
        portcullis(self.path(), &named, "")
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.bare(&[arguments, &["--root-secret", "root.secret"]].concat())
    }
}

type Builder = TokenIssuerBuilder<Complete<FileRing>>;

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// Without what differs from ring to ring.
fn of_a_new_ring() -> Settings {
    let mut settings = settings();
    settings.add_filter(r"[\w-]{43}", "[key id: the thumbprint of its public part]");
    settings.add_filter(r"[\w-]{8}…", "[key id]…");
    settings.add_filter(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z", "[date, and a time]");
    settings.add_filter(r"\b[0-3]?[0-9] s (ago|more)", "[s] s $1");
    settings.add_filter(r"signed for [0-9]+ s", "signed for [s] s");
    settings
}

#[test]
fn a_ring_is_shown_with_what_each_key_does_and_what_is_next() {
    let old = Old::new();
    settings().bind(|| {
        let authentic = old.status(&["--at", LATER, "--root-secret", "root"]);
        assert_snapshot!("ring-status", authentic.snapshot());
        assert_snapshot!("ring-status-unchecked", old.status(&["--at", TURNED]).snapshot());
        let roots = ["--root-secret", "new-root", "--root-secret", "root"];
        let under_old = old.status(&[&["--at", TURNED], &roots[..]].concat());
        assert_snapshot!("ring-status-old-root", under_old.snapshot());
        let json = old.status(&["--at", TURNED, "--root-secret", "root", "--json"]);
        assert_snapshot!("ring-status-json", json.snapshot());
    });
}

#[test]
fn a_ring_that_nobody_looks_after_is_said_to_have_no_key_that_signs() {
    let ran = Old::new().status(&["--at", "1000000000"]);
    assert!(ran.code == 1 && ran.stdout.contains("none signs"), "{ran:?}");
    assert!(ran.stdout.contains("No key stands by"), "{ran:?}");
}

#[test]
fn a_ring_of_somebody_else_is_refused() {
    let ring = Ring::new();
    let ran = ring.bare(&["status", "--root-secret", "new.secret"]);
    assert!(ran.code == 1 && ran.stdout.is_empty(), "{ran:?}");
    assert!(ran.remark().contains("was not written with any of the"), "{ran:?}");
    // Whoever can write to the file, and has no root secret.
    let text = String::from_utf8(ring.content()).expect("JSON");
    ring.write("ring.json", &text.replacen("\"signs_from\":1", "\"signs_from\":2", 1));
    assert_eq!(ring.run(&["status"]).code, 1);
    assert_eq!(ring.run(&["rotate"]).code, 1);
    let ran = ring.bare(&["status"]);
    assert!(ran.stdout.contains("NOT AUTHENTICATED"), "{ran:?}");
}

#[test]
fn the_status_is_shown_while_the_service_runs_and_changes_nothing() {
    let ring = Ring::new();
    let service = ring.service(|builder| builder);
    let before = ring.content();
    for arguments in [&["status"][..], &["status", "--json"]] {
        assert_eq!(ring.run(arguments).code, 0);
    }
    assert_eq!(ring.content(), before);
    for arguments in [&["rotate"][..], &["compromised", "--all", "--yes"]] {
        let ran = ring.run(arguments);
        assert!(ran.code == 2 && ran.remark().contains("stop the service"), "{ran:?}");
    }
    assert_eq!(ring.content(), before);
    drop(service);
    assert_eq!(ring.run(&["rotate"]).code, 0);
}

#[test]
fn the_next_key_signs_as_soon_as_it_safely_can() {
    let ring = Ring::new();
    let before = ring.read(ROOT);
    let ran = ring.run(&["rotate"]);
    of_a_new_ring().bind(|| assert_snapshot!("ring-rotate", ran.snapshot()));
    let after = ring.read(ROOT);
    let [_, next] = before.keys.as_slice() else { panic!("{before:?}") };
    let turned = after.keys.iter().find(|key| key.key_id == next.key_id).expect("the same key");
    // It was published by this service when the ring was made, a day ahead of this.
    let ahead = turned.times.signs_from.since(turned.times.published_at);
    assert_eq!(ahead, Duration::from_secs(24 * 60 * 60));
    assert!(after.keys.iter().all(|key| key.algorithm == "EdDSA"), "{after:?}");
    // A second time, nothing is left to be done.
    let ran = ring.run(&["rotate"]);
    assert!(ran.code == 0 && ran.stdout.contains("nothing had to be changed"), "{ran:?}");
}

#[test]
fn after_a_change_the_service_goes_on_with_what_it_would_have_made_itself() {
    for days in [30, 7] {
        let interval = Duration::from_secs(days * 24 * 60 * 60);
        let service = |builder: Builder| builder.schedule(Schedule::new().interval(interval));
        let ring = Ring::of(service);
        assert_eq!(ring.run(&["rotate"]).code, 0);
        let made = ring.read(ROOT);
        let version = ring.service(service).status().expect("a ring").version;
        assert_eq!(version, made.version, "the service had nothing to change");
        let [.., before, last] = made.keys.as_slice() else { panic!("{made:?}") };
        assert_eq!(last.times.signs_from.since(before.times.signs_from), interval);
    }
}

#[test]
fn a_key_that_is_made_is_of_the_algorithm_of_the_newest() {
    // The first key is one that signed before, and the service goes on with another algorithm.
    let pem = include_bytes!("../../portcullis-issuer/tests/keys/p256-pkcs8.pem");
    let existing = ExistingKey::from_pem(Algorithm::ES256, pem).expect("a key");
    let ring = Ring::of(|builder| builder.existing_key(existing.with_key_id("2024-03")));
    let ran = ring.run(&["rotate"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(" 2024-03  "), "{ran:?}");
    let status = ring.read(ROOT);
    let algorithms: Vec<_> = status.keys.iter().map(|key| key.algorithm.as_str()).collect();
    assert_eq!(algorithms, ["ES256", "EdDSA", "EdDSA"]);
}

#[test]
fn a_compromised_key_is_withdrawn_and_the_one_that_stands_by_signs() {
    let ring = Ring::new();
    let stolen = ring.signing();
    let ran = ring.run(&["compromised", &stolen]);
    of_a_new_ring().bind(|| assert_snapshot!("ring-compromised", ran.snapshot()));
    let phase = |key_id: &str| {
        let keys = ring.read(ROOT).keys;
        keys.into_iter().find(|key| key.key_id == key_id).expect("a key").phase
    };
    assert_eq!(phase(&stolen), Phase::Withdrawn);
    assert_ne!(ring.signing(), stolen);
    let version = ring.read(ROOT).version;
    let ran = ring.run(&["compromised", &stolen, "--json"]);
    let told: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((ran.code, told["changes"].as_array().map(Vec::len)), (0, Some(0)));
    assert_eq!(ring.read(ROOT).version, version);
}

#[test]
fn all_keys_are_withdrawn_under_a_new_root_secret_if_that_is_meant() {
    let ring = Ring::new();
    let before = ring.read(ROOT);
    let arguments = ["compromised", "--all", "--root-secret", "new.secret"];
    let ran = ring.run(&arguments);
    assert!(ran.code == 2 && ran.remark().contains("--yes"), "{ran:?}");
    assert_eq!(ring.read(ROOT).version, before.version);
    let ran = ring.run(&[&arguments[..], &["--yes"]].concat());
    assert!(ran.code == 0 && ran.stdout.contains("all keys are withdrawn"), "{ran:?}");
    // The old secret is of no use any more.
    let after = ring.read(NEW_ROOT);
    let is_withdrawn = |key: &&KeyStatus| key.phase == Phase::Withdrawn;
    assert_eq!(after.keys.iter().filter(is_withdrawn).count(), before.keys.len());
    assert!(after.signing().is_some(), "{after:?}");
}

#[test]
fn what_cannot_be_changed_from_here_is_left_as_it_is() {
    let ring = Ring::new();
    let before = ring.content();
    for (ran, code, reason) in [
        (ring.bare(&["rotate"]), 2, "--root-secret"),
        (ring.run(&["rotate", "--table-prefix", "x_"]), 2, "for a ring in a database"),
        (ring.bare(&["rotate", "--root-secret", "new.secret"]), 1, "was not written"),
        (ring.run(&["compromised", "no-such-key"]), 2, "has no key"),
        // An id may begin as an option does.
        (ring.run(&["compromised", "-h_no-such-key"]), 2, "has no key `-h_no"),
        (ring.run(&["compromised"]), 2, "Usage"),
        (ring.run(&["rotate", "--schedule", "interval=1h"]), 2, "publish_ahead"),
        (ring.run(&["rotate", "--schedule", "often=1h"]), 2, "verifier_cache"),
        (ring.run(&["rotate", "--issuer", "https://other.example"]), 2, "no ring in this"),
        (ring.bare(&["rotate", "--root-secret", "nowhere"]), 2, "no such"),
    ] {
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.remark().contains(reason), "{reason}: {ran:?}");
        assert_eq!(ring.content(), before, "{reason}");
    }
}

/// The service of this ring published a key a day before the key before it signed.
#[test]
fn a_turn_that_could_come_before_verifiers_have_the_key_is_refused() {
    let old = Old::new();
    let rotate = |more: &[&str]| {
        let arguments = ["ring", "rotate", "--ring", "ring.json", "--root-encoding", "raw"];
        let roots = ["--root-secret", "root"];
        portcullis(old.0.path(), &[&arguments, &roots[..], more].concat(), "")
    };
    let ran = rotate(&["--schedule", "publish_ahead=13h", "--schedule", "verifier_cache=1h"]);
    assert!(ran.code == 2 && ran.remark().contains("publishes keys longer ahead"), "{ran:?}");
    assert_eq!(
        std::fs::read(old.0.path().join("ring.json")).unwrap(),
        include_bytes!("ring/ring.json")
    );
}

/// It seals by turning each bit.
struct Kms;

impl Seal for Kms {
    fn id(&self) -> &str {
        "kms"
    }

    async fn seal(&self, private: &[u8], _: SealedFor<'_>) -> Result<Vec<u8>, SealError> {
        Ok(private.iter().map(|byte| !byte).collect())
    }

    async fn unseal(
        &self,
        sealed: &Sealed,
        _: SealedFor<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        Ok(Zeroizing::new(sealed.bytes.iter().map(|byte| !byte).collect()))
    }
}

/// It makes keys, and keeps none.
struct Hsm;

impl Signer for Hsm {
    async fn create(&self, algorithm: Algorithm) -> Result<SignerKey, SignerError> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let public_key_der = SigningKey::generate(algorithm).public_der().unwrap_or_default();
        let name = format!("at-the-hsm-{}", MADE.fetch_add(1, Ordering::Relaxed));
        Ok(SignerKey { name, public_key_der })
    }

    async fn sign(&self, _: &str, _: Algorithm, _: &[u8]) -> Result<Signature, SignerError> {
        Err(SignerError::new("it signs nothing"))
    }

    async fn delete(&self, _: &str) -> Result<(), SignerError> {
        Ok(())
    }
}

/// A key that the command made would be kept by a root secret, and not as its service says.
#[test]
fn a_ring_whose_private_parts_are_elsewhere_is_shown_and_not_changed() {
    let kms: fn(Builder) -> Builder = |builder| builder.seal(Kms);
    let hsm: fn(Builder) -> Builder = |builder| builder.signer(Hsm);
    for (service, private) in [(kms, "other seal"), (hsm, "at a signer")] {
        let ring = Ring::of(service);
        let before = ring.content();
        let ran = ring.run(&["status"]);
        assert!(ran.code == 0 && ran.stdout.contains(private), "{ran:?}");
        let signing = ring.signing();
        let all = [&["rotate"][..], &["compromised", &signing], &["compromised", "--all", "--yes"]];
        for arguments in all {
            let ran = ring.run(arguments);
            assert!(ran.code == 2 && ran.remark().contains("`withdraw`"), "{ran:?}");
        }
        assert_eq!(ring.content(), before);
    }
}

#[test]
fn a_ring_is_found_by_its_issuer_and_its_address() {
    let ring = Ring::new();
    let store = FileRing::open(ring.path().join("ring.json")).expect("a file");
    let builder = TokenIssuer::builder("https://second.example")
        .algorithm(Algorithm::HS256)
        .audiences(["https://orders.example"])
        .lifetime(Duration::from_secs(15 * 60))
        .root_secrets([Secret::encoded(ROOT, Encoding::Base64url)])
        .ring(store)
        .refreshed_by_hand();
    drop(wait(builder.build()).expect("an issuer"));
    let ran = ring.run(&["status"]);
    assert!(ran.code == 2 && ran.remark().contains("https://second.example"), "{ran:?}");
    for issuer in [ISSUER, "https://second.example"] {
        let ran = ring.run(&["status", "--issuer", issuer]);
        assert!(ran.code == 0 && ran.stdout.starts_with(issuer), "{ran:?}");
    }
    let at = |ring_at: &str| portcullis(ring.path(), &["ring", "status", "--ring", ring_at], "");
    for (address, reason) in [
        ("nowhere.json", "no such file"),
        ("redis://localhost", "no store for `redis://`"),
        ("env:PORTCULLIS_NO_RING", "PORTCULLIS_NO_RING"),
        ("root.secret", "not one of rings"),
    ] {
        let ran = at(address);
        assert!(ran.code == 2 && ran.remark().contains(reason), "{ran:?}");
    }
    assert!(!ring.path().join("nowhere.json.lock").exists());
    #[cfg(not(feature = "store"))]
    for address in ["postgres://user:hunter2@db.example/app", "sqlite:app.db"] {
        let ran = at(address);
        assert!(ran.code == 2 && ran.remark().contains("--features store"), "{ran:?}");
        assert!(!ran.all().contains("hunter2"), "{ran:?}");
    }
}

/// Neither a root secret nor a private part is shown, whatever is done.
#[test]
fn nothing_secret_is_shown() {
    let ring = Ring::new();
    let rings: Value = serde_json::from_slice(&ring.content()).expect("JSON");
    let mut secrets = vec![ROOT.to_owned(), NEW_ROOT.to_owned()];
    for key in rings[ISSUER]["keys"].as_array().expect("keys") {
        secrets.extend(["sealed", "mac"].map(|name| key[name].as_str().expect("text").to_owned()));
    }
    let key_id = ring.signing();
    for arguments in [
        &["status"][..],
        &["rotate"],
        &["compromised", &key_id],
        &["compromised", "--all", "--yes"],
    ] {
        for json in [&["--json"][..], &[]] {
            let ran = ring.run(&[arguments, json].concat());
            assert_eq!(ran.code, 0, "{ran:?}");
            assert!(secrets.iter().all(|secret| !ran.all().contains(secret)), "{ran:?}");
        }
    }
}

#[cfg(feature = "store")]
#[test]
fn a_ring_in_a_database_is_shown_and_changed_while_its_service_runs() {
    use portcullis_sqlx::SqliteRing;
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("root.secret"), ROOT).expect("room");
    let file = folder.path().join("app.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let service = runtime.block_on(async {
        let file = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let ring = SqliteRing::new(SqlitePool::connect_with(file).await.expect("a database"));
        ring.migrate().await.expect("tables");
        let builder = TokenIssuer::builder(ISSUER)
            .algorithm(Algorithm::ES256)
            .audiences(["https://orders.example"])
            .lifetime(Duration::from_secs(15 * 60))
            .root_secrets([Secret::encoded(ROOT, Encoding::Base64url)])
            .ring(ring)
            .refreshed_by_hand();
        builder.build().await.expect("an issuer")
    });
    let run = |arguments: &[&str], more: &[&str]| {
        let named = ["--ring", "sqlite:app.db", "--root-secret", "root.secret"];
        portcullis(folder.path(), &[&["ring"], arguments, &named, more].concat(), "")
    };
    let ran = run(&["status"], &["--issuer", ISSUER]);
    assert!(ran.code == 0 && ran.stdout.contains("Authenticated"), "{ran:?}");
    let signing = service.status().expect("a ring").signing().expect("a key").key_id.clone();
    let ran = run(&["compromised", &signing], &["--issuer", ISSUER]);
    assert!(ran.code == 0 && ran.stdout.contains("with its next reading"), "{ran:?}");
    runtime.block_on(service.refresh()).expect("a ring");
    let status = service.status().expect("a ring");
    let withdrawn = status.keys.iter().find(|key| key.key_id == signing).expect("the key");
    assert_eq!(withdrawn.phase, Phase::Withdrawn);

    let other = ["--issuer", ISSUER, "--table-prefix", "other_"];
    let ran = run(&["status"], &other);
    assert!(ran.code == 3 && ran.remark().contains("tables are not there"), "{ran:?}");
    let ran = run(&["status"], &[]);
    assert!(ran.code == 2 && ran.remark().contains("--issuer is missing"), "{ran:?}");
    let ran = run(&["status"], &["--issuer", "https://other.example"]);
    assert!(ran.code == 2 && ran.remark().contains("there is no ring of the issuer"), "{ran:?}");
}

/// An address may have a password in it.
#[cfg(feature = "store")]
#[test]
fn a_database_that_is_away_is_told_and_its_password_is_not() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    for (address, code) in [
        ("postgres://user:hunter2@127.0.0.1:1/app", 3),
        ("postgres://user:hunter2@[/app", 2),
        ("sqlite:nowhere.db", 3),
    ] {
        let arguments = ["ring", "status", "--ring", address, "--issuer", ISSUER];
        let ran = portcullis(folder.path(), &arguments, "");
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(!ran.all().contains("hunter2"), "{ran:?}");
    }
    assert!(!folder.path().join("nowhere.db").exists());
}

/// Whatever it says, and however it is mistyped. In one file are rings of two issuers, and another one is not of rings.
#[test]
fn what_a_variable_says_of_the_ring_is_not_shown() {
    let ring = Ring::new();
    let text = String::from_utf8(ring.content()).expect("JSON");
    let of_two = text.replacen('{', "{\"https://a.example\":{\"version\":1,\"longest_lifetime_ms\":1,\"keys\":[],\"mac\":\"\"},", 1);
    ring.write("hunter2-two", &of_two);
    ring.write("hunter2-none", "{}");
    ring.write("hunter2-broken", "-");
    ring.write("hunter2-locked", &text);
    std::fs::create_dir(ring.path().join("hunter2-locked.lock")).expect("room");
    for value in [
        "host=db user=x password=hunter2",
        "host=db password=hunter2 options=a://b",
        "postgres:/u:hunter2@h",
        "redis://:hunter2@h",
        "hunter2://h",
        "hunter2.json",
        "hunter2-two",
        "hunter2-none",
        "hunter2-broken",
        "hunter2-locked",
    ] {
        for command in ["rotate", "status"] {
            let arguments =
                ["ring", command, "--ring", "env:RING_DB", "--root-secret", "new.secret"];
            let ran = portcullis_with(("RING_DB", value), ring.path(), &arguments);
            assert!(ran.code != 0 && ran.remark().contains("--ring env:RING_DB: "), "{ran:?}");
            assert!(!ran.all().contains("hunter2"), "{value}: {ran:?}");
        }
    }
    assert_eq!(std::fs::read(ring.path().join("hunter2-two")).unwrap(), of_two.as_bytes());
}

#[test]
fn a_password_in_what_is_given_as_the_ring_is_not_shown() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    for address in [
        "host=db user=x password=hunter2",
        "host=db user=x PassWord = hunter2",
        "Server=db;Pwd=hunter2",
        "host=db password=hunter2 options=a://b",
        "postgres:/u:hunter2@h",
        "u:hunter2@h",
        "mysql://u:hunter2@h/app",
        "env:postgres://u:hunter2@h/app",
    ] {
        let ran = portcullis(folder.path(), &["ring", "status", "--ring", address], "");
        assert!(ran.code == 2 && ran.remark().contains("not shown"), "{ran:?}");
        assert!(!ran.all().contains("hunter2"), "{ran:?}");
    }
}
