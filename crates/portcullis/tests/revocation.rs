//! The list of what was revoked, and what a policy makes of it.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use portcullis::Algorithm::{EdDSA, HS256, PS256};
use portcullis::error::{ClaimName, ClaimsError, RevocationError, RevocationUnavailable};
use portcullis::keys::KeyError;
use portcullis::policy::PolicyFault;
use portcullis::revocation::store::{
    Moment, PublishFuture, RevocationEntry, RevocationList, RevocationStore, StoreError,
};
use portcullis::revocation::{
    RevocationEvent, RevocationFault, RevocationSource, RevocationStatus, RevokeError, RevokedUntil,
};
use portcullis::{
    Error, Issuer, KeySet, KeySource, Keys, Policy, PolicyBuilder, Revocable, Revocation,
    Revocations, Secret, UnixTime, VerifiedToken, dangerous,
};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer, TokenBuilder};
use serde_json::json;

const NOW: i64 = 1_800_000_000;
const NAME: &str = "https://issuer.example";
const REVOKED: Error = Error::Revocation(RevocationError::Revoked);

fn provider() -> TestIssuer {
    TestIssuer::new(NAME).at(NOW)
}

fn token(id: &str) -> String {
    provider().token(EdDSA).claim("jti", id).mint()
}

fn builder() -> PolicyBuilder {
    provider().policy_builder()
}

fn policy(revocations: &Revocations) -> Policy {
    builder().revocations(revocations.enforce([Revocable::Token])).build().unwrap()
}

fn error(policy: &Policy, token: &str) -> Option<Error> {
    policy.verify_token_now(token).err()
}

fn unavailable(seconds: u64) -> Error {
    let retry_after = Some(Duration::from_secs(seconds));
    RevocationError::Unavailable(RevocationUnavailable::new().with_retry_after(retry_after)).into()
}

fn options() -> portcullis::revocation::RevocationOptions {
    Revocations::options().clock(FixedClock::at(NOW))
}

mod in_memory {
    use super::*;

    #[tokio::test]
    async fn each_kind_is_enforced_only_where_the_policy_says_so() {
        let revocations = options().in_memory();
        let token = provider()
            .token(EdDSA)
            .claim("jti", "id")
            .claim("sid", "session")
            .claim("ver", 3)
            .subject("alice")
            .claim("client_id", "app")
            .mint();
        let key_id = provider().key(EdDSA).id().to_owned();
        let policies: Vec<_> = Revocable::ALL
            .iter()
            .copied()
            .map(|kind| {
                let enforced = revocations.enforce([kind]).version_claims(["ver"]);
                (kind, builder().revocations(enforced).build().unwrap())
            })
            .collect();
        for (kind, revoke) in [
            (Revocable::Token, revocations.revoke_token(NAME, "id", None).await),
            (Revocable::Session, revocations.revoke_session(NAME, "session").await),
            (Revocable::Subject, revocations.revoke_subject(NAME, "alice", None).await),
            (Revocable::Version, revocations.revoke_versions_below(NAME, "alice", 4).await),
            (Revocable::Client, revocations.revoke_client(NAME, "app", None).await),
            (Revocable::Issuer, revocations.revoke_issuer(NAME, None).await),
            (Revocable::Key, revocations.revoke_key(NAME, key_id).await),
        ] {
            revoke.unwrap();
            assert_eq!(revocations.stats().entries(kind), 1, "{kind}");
        }
        for (kind, policy) in &policies {
            assert_eq!(error(policy, &token), Some(REVOKED), "{kind}");
        }
        // What is issued later, or in a later version, passes where it goes by that.
        let later = provider()
            .at(NOW + 60)
            .token(EdDSA)
            .claim("jti", "another")
            .claim("sid", "another")
            .claim("ver", 4)
            .subject("alice")
            .claim("client_id", "app")
            .mint();
        for (kind, enforced) in policies
            .iter()
            .map(|(kind, _)| (kind, revocations.enforce([*kind]).version_claims(["ver"])))
        {
            let policy =
                provider().at(NOW + 60).policy_builder().revocations(enforced).build().unwrap();
            let expected = (*kind == Revocable::Key).then_some(REVOKED);
            assert_eq!(error(&policy, &later), expected, "{kind}");
        }
    }

    mod keys {
        use super::*;

        /// Whether tokens of the issuer's key are refused, whatever they call it, once `name` is revoked.
        async fn is_refused(keys: impl Into<Keys>, name: &str) -> bool {
            let revocations = options().in_memory();
            revocations.revoke_key(NAME, name).await.unwrap();
            let policy = Policy::builder()
                .clock(FixedClock::at(NOW))
                .issuer(issuer(keys))
                .revocations(revocations.enforce([Revocable::Key]))
                .build()
                .unwrap();
            let token = || provider().token(EdDSA).claim("aud", AUDIENCE);
            let own = key().id().to_owned();
            let all = [token().without_header("kid"), token().key_id(own), token().key_id("x")];
            let errors = all.iter().map(|token| error(&policy, &token.mint()));
            // A key with an id serves no token that names another.
            let unknown = Some(KeyError::Unknown.into());
            let verdicts: Vec<_> = errors.filter(|error| *error != unknown).collect();
            assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "{verdicts:?}");
            verdicts[0] == Some(REVOKED)
        }

        const AUDIENCE: &str = "https://api.example";

        fn issuer(keys: impl Into<Keys>) -> Issuer {
            Issuer::new(NAME).algorithms([EdDSA]).keys(keys).audience(AUDIENCE)
        }

        fn key() -> SigningKey {
            provider().key(EdDSA).clone()
        }

        fn without_id() -> KeySet {
            KeySet::from_pem(key().public_pem().unwrap()).unwrap()
        }

        fn thumbprint() -> String {
            without_id().iter().next().unwrap().thumbprint().unwrap().to_owned()
        }

        #[tokio::test]
        async fn a_key_without_an_id_is_revoked_by_its_thumbprint_whatever_a_token_calls_it() {
            assert!(is_refused(without_id(), &thumbprint()).await);
        }

        #[tokio::test]
        async fn a_key_is_not_revoked_by_what_a_token_calls_it() {
            for name in ["x", key().id()] {
                assert!(!is_refused(without_id(), name).await, "{name}");
            }
            let named = without_id().with_key_id("own").unwrap();
            assert!(!is_refused(named.clone(), "x").await);
            assert!(is_refused(named, "own").await);
        }

        #[tokio::test]
        async fn a_key_with_an_id_is_revoked_by_its_thumbprint_as_well_wherever_it_is_listed() {
            let one = without_id().with_key_id("one").unwrap();
            assert!(is_refused(one.clone(), &thumbprint()).await);
            let other = without_id().with_key_id("x").unwrap();
            assert!(is_refused(one.and(&other).and(&without_id()), &thumbprint()).await);
        }

        #[tokio::test]
        async fn of_two_keys_with_one_id_both_are_revoked_by_it_and_one_by_its_thumbprint() {
            let other =
                KeySet::from_pem(SigningKey::generate(EdDSA).public_pem().unwrap()).unwrap();
            let twins = without_id().and(&other).with_key_id("twin").unwrap();
            assert!(is_refused(twins.clone(), "twin").await);
            assert!(is_refused(twins.clone(), &thumbprint()).await);
            let of_other = other.iter().next().unwrap().thumbprint().unwrap();
            assert!(!is_refused(twins, of_other).await);
        }

        #[test]
        fn the_keys_of_one_key_pair_have_one_thumbprint_for_each_algorithm_and_id() {
            let rsa = provider().key(PS256).public_pem().unwrap();
            let keys = KeySet::from_pem(rsa).unwrap();
            let named = keys.with_key_id("named").unwrap();
            let all: HashSet<_> =
                keys.iter().chain(named.iter()).map(|key| key.thumbprint()).collect();
            assert_eq!((keys.len(), all.len()), (6, 1));
        }

        #[test]
        fn a_secret_without_an_id_cannot_be_revoked_and_builds_no_policy_that_revokes_keys() {
            let secret = || Secret::new(provider().secret(HS256));
            let faults = |secret: Secret, kind| {
                let issuer = Issuer::new(NAME).algorithms([HS256]).keys(secret).audience(AUDIENCE);
                let revocations = options().in_memory().enforce([kind]);
                let policy = Policy::builder().issuer(issuer).revocations(revocations).build();
                policy.err().map(|error| error.faults().to_vec())
            };
            let fault = RevocationFault::NamelessSecret;
            let fault = PolicyFault::Revocations { place: format!("issuer `{NAME}`"), fault };
            assert_eq!(faults(secret(), Revocable::Key), Some(vec![fault]));
            assert_eq!(faults(secret().id("k"), Revocable::Key), None);
            assert_eq!(faults(secret(), Revocable::Token), None);
        }
    }

    #[tokio::test]
    async fn an_instant_is_inclusive_and_by_default_covers_a_fast_clock() {
        let mint = |issued: i64| {
            let token = provider().token(EdDSA).subject("alice").claim("iat", issued);
            token.without("nbf").expires_at(NOW + 600).mint()
        };
        let at = |offset: i64, until: Option<i64>| async move {
            let revocations = options().in_memory();
            let until = until.map(|until| UnixTime(NOW + until));
            revocations.revoke_subject(NAME, "alice", until).await.unwrap();
            let enforced = revocations.enforce([Revocable::Subject]);
            let policy = builder().revocations(enforced).build().unwrap();
            error(&policy, &mint(NOW + offset)) == Some(REVOKED)
        };
        assert!(at(0, Some(0)).await);
        assert!(!at(1, Some(0)).await);
        assert!(at(-1, Some(-1)).await);
        assert!(!at(0, Some(-1)).await);
        // 30 s is the leeway: no token is accepted that was issued later.
        assert!(at(30, None).await);
        assert!(!at(30, Some(29)).await);
    }

    #[tokio::test]
    async fn what_is_revoked_is_refused_with_the_next_request_of_a_remembered_token() {
        let revocations = options().in_memory();
        let policy = policy(&revocations);
        let (stolen, good) = (token("stolen"), token("good"));
        for _ in 0..3 {
            assert_eq!(error(&policy, &stolen), None);
            assert_eq!(error(&policy, &good), None);
        }
        let verified = policy.verify_token_now(&stolen).unwrap();
        revocations.revoke_token(NAME, "stolen", None).await.unwrap();
        assert_eq!(error(&policy, &stolen), Some(REVOKED));
        assert_eq!(error(&policy, &good), None);
        assert_eq!(policy.recheck_now(&verified), Err(REVOKED));
        assert_eq!(policy.recheck(&verified).await, Err(REVOKED));
    }

    #[test]
    fn no_look_up_misses_an_entry_while_the_list_grows() {
        const EACH: u64 = 20_000;
        let list = options().shared([7; 16], Duration::from_secs(60));
        list.record_contact(Moment::now());
        let entry = |number: u64| {
            // Spread as digests are.
            let mut key = [1; 17];
            let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            key[1..9].copy_from_slice(&mixed.to_le_bytes());
            key[9..].copy_from_slice(&mixed.rotate_left(23).to_le_bytes());
            RevocationEntry::from_stored(0, &key, 0, u32::MAX).unwrap()
        };
        let revocations = Revocations::new(list.clone(), NoStore);
        let policy = policy(&revocations);
        let stolen = token("stolen");
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        rt.block_on(revocations.revoke_token(NAME, "stolen", None)).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut count = 0;
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(error(&policy, &stolen), Some(REVOKED));
                    count += 1;
                }
                count
            });
            let writers: Vec<_> = (0..2)
                .map(|writer| {
                    let list = list.clone();
                    scope.spawn(move || {
                        for number in 0..EACH {
                            list.apply(&entry(writer * EACH + number)).unwrap();
                        }
                    })
                })
                .collect();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            is_over.store(true, Ordering::Relaxed);
            assert!(reader.join().unwrap() > 0);
        });
        let entries = revocations.stats().entries(Revocable::Token);
        assert_eq!(entries, usize::try_from(2 * EACH + 1).unwrap());
        assert_eq!(list.entries().len(), entries);
    }

    #[tokio::test]
    async fn what_was_issued_before_the_start_is_refused_where_it_is_asked_for() {
        let revocations = options().refuse_issued_before_start().in_memory();
        let policy = policy(&revocations);
        let mint = |issued: i64| provider().token(EdDSA).claim("iat", issued).mint();
        assert_eq!(error(&policy, &mint(NOW - 1)), Some(REVOKED));
        // A clock that is fast by the leeway writes this before the start.
        assert_eq!(error(&policy, &mint(NOW + 29)), Some(REVOKED));
        assert_eq!(error(&policy, &mint(NOW + 30)), None);
        let exact = options().leeway(Duration::ZERO).refuse_issued_before_start().in_memory();
        let exact = exact.enforce([Revocable::Token]);
        let policy = builder().leeway(Duration::ZERO).revocations(exact).build().unwrap();
        assert_eq!(error(&policy, &mint(NOW - 1)), Some(REVOKED));
        assert_eq!(error(&policy, &mint(NOW)), None);
    }

    #[test]
    fn a_list_has_room_for_a_million_unless_it_is_said_otherwise() {
        assert_eq!(Revocations::in_memory().stats().capacity, 1_000_000);
        let twice = Revocations::options().capacity(3).capacity(5).in_memory();
        assert_eq!(twice.stats().capacity, 3);
    }

    #[tokio::test]
    async fn what_happens_is_told_and_counted() {
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let revocations = options()
            .capacity(1)
            .on_event(move |event| told.lock().unwrap().push(*event))
            .in_memory();
        revocations.revoke_token(NAME, "one", None).await.unwrap();
        revocations.revoke_subject(NAME, "two", None).await.unwrap_err();
        let (token, subject) = (Revocable::Token, Revocable::Subject);
        assert_eq!(
            *events.lock().unwrap(),
            [
                RevocationEvent::Revoked { kind: token },
                RevocationEvent::Full { capacity: 1 },
                RevocationEvent::Failed { kind: subject },
            ]
        );
        let stats = revocations.stats();
        assert_eq!((stats.capacity, stats.changes, stats.refused), (1, 1, 1));
        assert_eq!((stats.is_fresh, stats.last_contact, stats.lag), (true, None, None));
        assert_eq!((stats.entries(token), stats.entries(subject)), (1, 0));
    }

    #[test]
    fn a_revocation_is_read_from_json_and_nothing_that_is_almost_one() {
        let read = |json: &str| serde_json::from_str::<Revocation>(json);
        let issuer = NAME.to_owned();
        for (json, expected) in [
            (
                r#"{"revoke":"token","issuer":"https://issuer.example","token_id":"id","until":1}"#,
                Revocation::Token {
                    issuer: issuer.clone(),
                    token_id: "id".into(),
                    until: Some(UnixTime(1).into()),
                },
            ),
            (
                r#"{"revoke":"session","issuer":"https://issuer.example","session":"s","until":"forever"}"#,
                Revocation::Session {
                    issuer: issuer.clone(),
                    session: "s".into(),
                    until: Some(RevokedUntil::ForEver),
                },
            ),
            (
                r#"{"revoke":"version","issuer":"https://issuer.example","subject":"alice","current":4}"#,
                Revocation::Version { issuer: issuer.clone(), subject: "alice".into(), current: 4 },
            ),
            (
                r#"{"revoke":"issuer","issuer":"https://issuer.example"}"#,
                Revocation::Issuer { issuer: issuer.clone(), issued_until: None },
            ),
            (
                r#"{"revoke":"key","issuer":"https://issuer.example","key_id":"key"}"#,
                Revocation::Key { issuer, key_id: "key".into(), until: None },
            ),
        ] {
            assert_eq!(read(json).unwrap(), expected);
        }
        for json in [
            "{}",
            r#"{"revoke":"everything","issuer":"a"}"#,
            r#"{"revoke":"token","issuer":"a"}"#,
            // A misspelled member must not make a revocation of something else.
            r#"{"revoke":"subject","issuer":"a","subject":"b","issued_untill":1}"#,
            r#"{"revoke":"version","issuer":"a","subject":"b","current":-1}"#,
            r#"{"revoke":"token","issuer":"a","token_id":"b","until":"soon"}"#,
            r#"{"revoke":"token","issuer":"a","token_id":"b","until":"for ever"}"#,
            r#"{"revoke":"subject","issuer":"a","subject":"b","issued_until":"forever"}"#,
            r#"{"revoke":"token","issuer":"a","token_id":"b","token_id":"c"}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}

mod snapshots {
    use super::*;

    async fn saved() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("revocations");
        let revocations = options().in_memory();
        revocations.revoke_token(NAME, "stolen", None).await.unwrap();
        revocations.revoke_subject(NAME, "mallory", None).await.unwrap();
        revocations.revoke_versions_below(NAME, "bob", u64::MAX).await.unwrap();
        revocations.revoke_key(NAME, "key").await.unwrap();
        revocations.save(&path).unwrap();
        (folder, path)
    }

    #[tokio::test]
    async fn what_was_saved_is_there_after_a_restart() {
        let (_folder, path) = saved().await;
        let revocations = options().restore(&path).unwrap();
        let enforced = revocations
            .enforce([Revocable::Token, Revocable::Subject, Revocable::Version, Revocable::Key])
            .version_claims(["ver"]);
        let policy = builder().revocations(enforced).build().unwrap();
        let token = |id: &str, subject: &str, version: u64| {
            let token = provider().token(EdDSA).claim("jti", id).subject(subject);
            token.claim("ver", version).mint()
        };
        assert_eq!(error(&policy, &token("good", "alice", 1)), None);
        assert_eq!(error(&policy, &token("stolen", "alice", 1)), Some(REVOKED));
        assert_eq!(error(&policy, &token("good", "mallory", 1)), Some(REVOKED));
        assert_eq!(error(&policy, &token("good", "bob", u64::MAX - 1)), Some(REVOKED));
        assert_eq!(error(&policy, &token("good", "bob", u64::MAX)), None);
        assert_eq!(revocations.stats().entries(Revocable::Key), 1);
        // And may be saved again, in place.
        revocations.revoke_token(NAME, "another", None).await.unwrap();
        revocations.save(&path).unwrap();
        let again = options().restore(&path).unwrap();
        assert_eq!(again.stats().entries(Revocable::Token), 2);
    }

    #[tokio::test]
    async fn what_is_over_is_not_brought_back() {
        let (_folder, path) = saved().await;
        let clock = FixedClock::at(NOW + 2 * 86_400);
        let revocations = Revocations::options().clock(clock).restore(&path).unwrap();
        assert_eq!(revocations.stats().entries(Revocable::Token), 0);
        assert_eq!(revocations.stats().entries(Revocable::Key), 1);
    }

    #[tokio::test]
    async fn a_file_that_is_not_whole_is_refused_byte_by_byte() {
        let (_folder, path) = saved().await;
        let whole = fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            options().restore(&path).err().map(|error| error.to_string())
        };
        assert_eq!(refused(&whole), None);
        for length in 0..whole.len() {
            let error = refused(&whole[..length]).unwrap();
            assert!(error.contains("not all of one"), "{length}: {error}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            assert!(refused(&flipped).is_some(), "{at}");
        }
        let longer = [&whole[..], b"x"].concat();
        assert!(refused(&longer).is_some());
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_or_finds_no_room_is_told() {
        let (folder, path) = saved().await;
        let missing = options().restore(folder.path().join("missing")).err().unwrap();
        assert!(missing.is_not_found(), "{missing}");
        let full = options().capacity(3).restore(&path).err().unwrap();
        assert!(full.to_string().contains("raise `capacity`") && !full.is_not_found(), "{full}");
        let unwritable = options().in_memory().save(folder.path()).err().unwrap();
        assert!(!unwritable.is_not_found(), "{unwritable}");
    }

    #[tokio::test]
    async fn what_was_kept_for_tokens_of_a_shorter_life_is_refused() {
        let (_folder, path) = saved().await;
        let day = Duration::from_secs(86_400);
        let restore = |lifetime: Duration, leeway: u64| {
            let options = options().max_lifetime(lifetime).leeway(Duration::from_secs(leeway));
            options.restore(&path).err().map(|error| error.to_string())
        };
        assert_eq!(restore(day, 30), None);
        assert_eq!(restore(day / 2, 10), None);
        for error in [restore(day * 2, 30), restore(day, 31)] {
            let error = error.unwrap();
            assert!(error.contains("set `max_lifetime` and `leeway` as before"), "{error}");
        }
        let unlimited = options().max_lifetime(dangerous::unlimited_lifetime());
        assert!(unlimited.restore(&path).is_err());
        // All that an entry could be missing for is refused anyway.
        let anew = options().max_lifetime(day * 2).refuse_issued_before_start();
        assert_eq!(anew.restore(&path).unwrap().stats().total(), 4);
    }

    #[tokio::test]
    async fn what_lies_beside_it_is_neither_written_nor_followed_and_nothing_is_left_behind() {
        let (folder, path) = saved().await;
        let beside = folder.path().join("revocations.new");
        fs::write(&beside, "somebody else's").unwrap();
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let revocations = options().restore(&path).unwrap();
        revocations.save(&path).unwrap();
        assert_eq!(fs::read(&beside).unwrap(), b"somebody else's");
        assert_eq!(names(), ["revocations", "revocations.new"]);
        // Nor where it fails.
        let taken = folder.path().join("folder");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("file"), "").unwrap();
        revocations.save(&taken).unwrap_err();
        assert_eq!(names(), ["folder", "revocations", "revocations.new"]);
    }

    #[tokio::test]
    async fn those_who_save_at_once_all_save_it_whole() {
        let (_folder, path) = saved().await;
        let revocations = options().restore(&path).unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        revocations.save(&path).unwrap();
                        assert_eq!(options().restore(&path).unwrap().stats().total(), 4);
                    }
                });
            }
        });
    }

    #[tokio::test]
    async fn a_lift_is_saved_with_the_rest() {
        let (_folder, path) = saved().await;
        let revocations = options().restore(&path).unwrap();
        let key = || Revocation::Key { issuer: NAME.into(), key_id: "key".into(), until: None };
        revocations.lift(&key()).await.unwrap();
        revocations.save(&path).unwrap();
        let again = options().restore(&path).unwrap();
        assert_eq!(again.stats().lifts, 1);
        // Lifted, and so neither revoked nor unknown.
        let changes = again.stats().changes;
        again.lift(&key()).await.unwrap();
        assert_eq!(again.stats().changes, changes);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn only_the_owner_reads_it_and_no_name_is_in_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let (_folder, path) = saved().await;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let bytes = fs::read(&path).unwrap();
        for name in ["stolen", "mallory", NAME] {
            assert!(!bytes.windows(name.len()).any(|window| window == name.as_bytes()), "{name}");
        }
    }
}

/// A store that acknowledges all.
#[derive(Debug)]
struct NoStore;

impl RevocationStore for NoStore {
    fn publish(&self, _: RevocationEntry) -> PublishFuture {
        Box::pin(async { Ok(()) })
    }
}

/// A store that keeps what it acknowledges, in that order.
#[derive(Clone, Debug, Default)]
struct Keeps(Arc<Mutex<Vec<RevocationEntry>>>);

impl RevocationStore for Keeps {
    fn publish(&self, entry: RevocationEntry) -> PublishFuture {
        let mut kept = self.0.lock().unwrap();
        // Whoever revokes did not know of this lift.
        let is_lifted = entry.counts_with().is_some_and(|(key, most)| {
            kept.iter().any(|kept| kept.key() == key && kept.mark() > most)
        });
        let result = if is_lifted { Err(StoreError::new("lifted")) } else { Ok(()) };
        if result.is_ok() {
            kept.push(entry);
        }
        Box::pin(async { result })
    }
}

/// A store that acknowledges nothing.
#[derive(Debug)]
struct Down;

impl RevocationStore for Down {
    fn publish(&self, _: RevocationEntry) -> PublishFuture {
        Box::pin(async { Err(StoreError::new("down")) })
    }
}

mod shared_by_a_fleet {
    use super::*;

    const STALENESS: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_list_is_believed_only_once_it_was_heard_and_not_after_it_was_lost() {
        let list = options().shared([1; 16], STALENESS);
        let revocations = Revocations::new(list.clone(), NoStore);
        let policy = policy(&revocations);
        let (token, stolen) = (token("good"), token("stolen"));
        assert_eq!(error(&policy, &token), Some(unavailable(5)));
        assert!(!policy.is_ready() && !revocations.is_fresh());
        list.record_contact(Moment::now());
        assert_eq!(error(&policy, &token), None);
        assert!(policy.is_ready() && revocations.is_fresh());
        revocations.revoke_token(NAME, "stolen", None).await.unwrap();
        list.record_loss();
        // Remembered or not; and what is known to be revoked is told as such.
        assert_eq!(error(&policy, &token), Some(unavailable(5)));
        assert_eq!(error(&policy, &stolen), Some(REVOKED));
        list.record_contact(Moment::now());
        assert_eq!(error(&policy, &token), None);
    }

    #[tokio::test]
    async fn what_the_store_does_not_acknowledge_is_not_revoked_and_told() {
        let list = options().shared([1; 16], STALENESS);
        list.record_contact(Moment::now());
        let revocations = Revocations::new(list, Down);
        let refused = revocations.revoke_token(NAME, "id", None).await;
        assert_eq!(refused, Err(RevokeError::Store(StoreError::new("down"))));
        assert_eq!(revocations.stats().entries(Revocable::Token), 0);
    }

    #[tokio::test]
    async fn at_the_bound_revoking_fails_before_the_fleet_has_what_nobody_has_room_for() {
        let list = options().capacity(1).shared([1; 16], STALENESS);
        list.record_contact(Moment::now());
        let store = Keeps::default();
        let revocations = Revocations::new(list, store.clone());
        let policy = policy(&revocations);
        revocations.revoke_token(NAME, "one", None).await.unwrap();
        let full = Err(RevokeError::Full { capacity: 1 });
        assert_eq!(revocations.revoke_token(NAME, "two", None).await, full);
        assert_eq!(store.0.lock().unwrap().len(), 1);
        // So that nobody is stale for it, and what is revoked stays so.
        assert_eq!(error(&policy, &token("two")), None);
        assert_eq!(error(&policy, &token("one")), Some(REVOKED));
        // What is there already takes no more.
        revocations.revoke_token(NAME, "one", None).await.unwrap();
        assert_eq!(revocations.stats().refused, 1);
    }

    #[tokio::test]
    async fn a_list_without_room_is_not_believed_until_all_was_read_anew() {
        let list = options().capacity(1).shared([1; 16], STALENESS);
        list.record_contact(Moment::now());
        let revocations = Revocations::new(list.clone(), NoStore);
        revocations.revoke_token(NAME, "one", None).await.unwrap();
        // The fleet has it, and this process says that it has not.
        let another = options().shared([1; 16], STALENESS);
        Revocations::new(another.clone(), NoStore).revoke_token(NAME, "two", None).await.unwrap();
        assert!(list.apply(&another.entries()[0]).is_err());
        assert!(!revocations.is_fresh());
        list.record_contact(Moment::now());
        assert!(!revocations.is_fresh());
        // Begun is not read, nor is it while it goes on, whatever was heard before.
        let reading = list.begin_reading();
        list.record_contact(Moment::now());
        assert!(!revocations.is_fresh());
        assert!(reading.finish().is_err() && !revocations.is_fresh());
        drop(list.begin_reading());
        assert!(!revocations.is_fresh());
    }

    /// A list for one entry at a time, which has one that is over at 120 s after `NOW`, and could not
    /// take in another that the store has.
    async fn without_room() -> (FixedClock, RevocationList, RevocationEntry) {
        let clock = FixedClock::at(NOW);
        let options = Revocations::options()
            .clock(clock.clone())
            .max_lifetime(Duration::from_secs(1))
            .leeway(Duration::ZERO);
        let list = options.clone().capacity(1).shared([1; 16], STALENESS);
        list.record_contact(Moment::now());
        Revocations::new(list.clone(), NoStore).revoke_token(NAME, "one", None).await.unwrap();
        clock.advance(Duration::from_secs(1));
        let another = options.shared([1; 16], STALENESS);
        Revocations::new(another.clone(), NoStore).revoke_token(NAME, "two", None).await.unwrap();
        let second = another.entries()[0];
        assert!(list.apply(&second).is_err());
        assert!(!is_fresh(&list) && !list.needs_reading());
        (clock, list, second)
    }

    #[tokio::test]
    async fn a_list_without_room_is_believed_once_the_follower_took_the_entry_in() {
        let (clock, list, second) = without_room().await;
        assert!(list.apply(&second).is_err() && !is_fresh(&list));
        // The first is over, and the second is not yet.
        clock.advance(Duration::from_secs(61));
        list.apply(&second).unwrap();
        assert!(is_fresh(&list));
        assert_eq!(list.entries(), [second]);
    }

    #[tokio::test]
    async fn a_list_without_room_is_believed_with_the_news_that_finds_some() {
        let (clock, list, second) = without_room().await;
        list.record_contact(Moment::now());
        assert!(!is_fresh(&list));
        clock.advance(Duration::from_secs(61));
        // Nobody told it of the entry again.
        list.record_contact(Moment::now());
        assert!(is_fresh(&list));
        assert_eq!(list.entries(), [second]);
    }

    #[tokio::test]
    async fn a_list_that_lacks_more_than_it_tries_again_is_not_believed_until_all_was_read() {
        let (clock, list, _) = without_room().await;
        for number in 0..2_000_u32 {
            let mut key = [1; 17];
            key[1..5].copy_from_slice(&number.to_le_bytes());
            let ends = u32::try_from(NOW + 62).unwrap();
            list.apply(&RevocationEntry::from_stored(list.fingerprint(), &key, 0, ends).unwrap())
                .unwrap_err();
        }
        assert!(list.needs_reading());
        clock.advance(Duration::from_secs(62 + 60));
        list.record_contact(Moment::now());
        assert!(list.needs_reading() && !is_fresh(&list));
        let reading = list.begin_reading();
        assert!(!is_fresh(&list));
        reading.finish().unwrap();
        assert!(!list.needs_reading() && is_fresh(&list));
    }

    fn is_fresh(list: &RevocationList) -> bool {
        Revocations::new(list.clone(), NoStore).is_fresh()
    }

    #[tokio::test]
    async fn a_list_that_starts_anew_forgets_all_and_makes_other_digests() {
        let list = options().shared([1; 16], STALENESS);
        list.record_contact(Moment::now());
        let revocations = Revocations::new(list.clone(), NoStore);
        let policy = policy(&revocations);
        revocations.revoke_token(NAME, "id", None).await.unwrap();
        let (entries, fingerprint) = (list.entries(), list.fingerprint());
        assert_eq!(entries[0].fingerprint(), fingerprint);
        list.restart([2; 16]);
        assert_eq!(revocations.stats().entries(Revocable::Token), 0);
        assert_ne!(list.fingerprint(), fingerprint);
        assert_eq!(error(&policy, &token("id")), Some(unavailable(5)));
        list.record_contact(Moment::now());
        // An entry under the old secret stands for nothing.
        list.apply(&entries[0]).unwrap();
        assert_eq!(error(&policy, &token("id")), None);
        revocations.revoke_token(NAME, "id", None).await.unwrap();
        assert_eq!(error(&policy, &token("id")), Some(REVOKED));
    }

    #[test]
    fn an_entry_is_the_same_after_it_was_stored() {
        let list = options().shared([1; 16], STALENESS);
        let revocations = Revocations::new(list.clone(), NoStore);
        let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
        rt.block_on(revocations.revoke_subject(NAME, "alice", UnixTime(NOW + 20))).unwrap();
        let [entry] = list.entries()[..] else { panic!("one entry") };
        assert_eq!((entry.kind(), entry.mark()), (Revocable::Subject, 1_800_000_020));
        assert_eq!(entry.ends(), 1_800_000_030 + 86_400 + 30 + 60);
        let stored = RevocationEntry::from_stored(
            entry.fingerprint(),
            &entry.key(),
            entry.mark(),
            entry.ends(),
        );
        assert_eq!(stored, Some(entry));
        for key in [&[][..], &[3; 16], &[3; 18], &[0; 17], &[8; 17]] {
            assert_eq!(RevocationEntry::from_stored(0, key, 0, 0), None, "{key:?}");
        }
        let lift = |mark| RevocationEntry::from_stored(0, &[0x87; 17], mark, u32::MAX);
        let one = lift(1).unwrap();
        assert_eq!((one.is_lift(), one.kind(), one.key()), (true, Revocable::Key, [0x87; 17]));
        assert_eq!(lift(65_536), None);
        for &kind in Revocable::ALL {
            assert_eq!(Revocable::from_code(kind.code()), Some(kind));
        }
    }
}

/// Times that no token could tell are mostly in milliseconds.
mod times {
    use super::*;

    const MILLISECONDS: UnixTime = UnixTime(NOW * 1000);

    fn everything(until: UnixTime) -> Vec<Revocation> {
        let (issuer, name) = (|| NAME.to_owned(), || "name".to_owned());
        let issued_until = Some(until);
        let until = Some(RevokedUntil::Time(until));
        vec![
            Revocation::Token { issuer: issuer(), token_id: name(), until },
            Revocation::Session { issuer: issuer(), session: name(), until },
            Revocation::Key { issuer: issuer(), key_id: name(), until },
            Revocation::Subject { issuer: issuer(), subject: name(), issued_until },
            Revocation::Client { issuer: issuer(), client: name(), issued_until },
            Revocation::Issuer { issuer: issuer(), issued_until },
        ]
    }

    #[tokio::test]
    async fn what_is_later_than_any_token_could_tell_is_refused_and_says_why() {
        let latest = UnixTime(NOW + 30);
        let longest = UnixTime(NOW + 30 + 86_400 + 60);
        let too_late = |revocation: &Revocation, at: UnixTime| match revocation.kind() {
            Revocable::Token | Revocable::Session | Revocable::Key => {
                RevokeError::EndsTooLate { until: at, latest: longest }
            }
            _ => RevokeError::IssuedTooLate { instant: at, latest },
        };
        let revocations = options().in_memory();
        for at in [MILLISECONDS, UnixTime(i64::MAX), UnixTime(longest.0 + 1)] {
            for revocation in everything(at) {
                let error = revocations.revoke(&revocation).await.unwrap_err();
                assert_eq!(error, too_late(&revocation, at), "{revocation:?}");
                assert!(error.to_string().contains("are these milliseconds?"), "{error}");
            }
        }
        assert_eq!(revocations.stats().total(), 0);
        for revocation in everything(UnixTime(latest.0 + 1)) {
            let may_end_then =
                matches!(revocation.kind(), Revocable::Token | Revocable::Session | Revocable::Key);
            assert_eq!(revocations.revoke(&revocation).await.is_ok(), may_end_then);
        }
        for at in [latest, UnixTime(NOW)] {
            for revocation in everything(at) {
                assert_eq!(revocations.revoke(&revocation).await, Ok(()), "{revocation:?}");
            }
        }
        let token = &everything(longest)[0];
        assert_eq!(revocations.revoke(token).await, Ok(()));
    }

    #[tokio::test]
    async fn nothing_is_for_ever_but_by_its_word() {
        let list = options().shared([1; 16], Duration::from_secs(60));
        let revocations = Revocations::new(list.clone(), NoStore);
        for revocation in everything(UnixTime(NOW + 30)) {
            revocations.revoke(&revocation).await.unwrap();
        }
        let most = u32::try_from(NOW + 30 + 86_400 + 30 + 60 + 60).unwrap();
        for entry in list.entries() {
            assert!(entry.ends() <= most, "{entry:?}");
        }
        let until = Some(RevokedUntil::ForEver);
        let (issuer, session) = (NAME.to_owned(), "for ever".to_owned());
        revocations.revoke(&Revocation::Session { issuer, session, until }).await.unwrap();
        // Who has a stolen key makes new tokens.
        revocations.revoke_key(NAME, "stolen").await.unwrap();
        let for_ever = list.entries().into_iter().filter(|entry| entry.ends() == u32::MAX);
        let mut kinds: Vec<_> = for_ever.map(|entry| entry.kind().name()).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["key", "session"]);
    }

    #[tokio::test]
    async fn without_a_bound_on_lifetimes_a_token_is_revoked_until_a_time_of_this_century() {
        let unlimited = options().max_lifetime(dangerous::unlimited_lifetime()).in_memory();
        let latest = UnixTime(4_102_444_800);
        assert_eq!(unlimited.revoke_token(NAME, "a", latest).await, Ok(()));
        for until in [MILLISECONDS, UnixTime(latest.0 + 1)] {
            let error = RevokeError::EndsTooLate { until, latest };
            assert_eq!(unlimited.revoke_token(NAME, "b", until).await, Err(error));
        }
        let (issuer, token_id) = (NAME.to_owned(), "c".to_owned());
        let until = Some(RevokedUntil::ForEver);
        let for_ever = Revocation::Token { issuer, token_id, until };
        assert_eq!(unlimited.revoke(&for_ever).await, Ok(()));
    }
}

/// The way back.
mod lifts {
    use proptest::prelude::*;

    use super::*;

    fn everything() -> Vec<Revocation> {
        let (issuer, name) = (|| NAME.to_owned(), || "it".to_owned());
        vec![
            Revocation::Token { issuer: issuer(), token_id: name(), until: None },
            Revocation::Session { issuer: issuer(), session: name(), until: None },
            Revocation::Subject { issuer: issuer(), subject: name(), issued_until: None },
            Revocation::Version { issuer: issuer(), subject: name(), current: 1_000_000_000_000 },
            Revocation::Client { issuer: issuer(), client: name(), issued_until: None },
            Revocation::Issuer { issuer: issuer(), issued_until: None },
            Revocation::Key { issuer: issuer(), key_id: key_id(), until: None },
        ]
    }

    fn key_id() -> String {
        provider().key(EdDSA).id().to_owned()
    }

    fn it() -> String {
        let token = provider().token(EdDSA).subject("it").claim("jti", "it").claim("sid", "it");
        token.claim("client_id", "it").claim("ver", 3).mint()
    }

    fn enforcing(revocations: &Revocations) -> Policy {
        let enforced = revocations.enforce(Revocable::ALL.iter().copied()).version_claims(["ver"]);
        builder().revocations(enforced).build().unwrap()
    }

    #[tokio::test]
    async fn what_was_revoked_by_mistake_passes_again_once_it_is_lifted() {
        let revocations = options().in_memory();
        let policy = enforcing(&revocations);
        for revocation in everything() {
            let kind = revocation.kind();
            let nothing = Err(RevokeError::NotRevoked(kind));
            assert_eq!(revocations.lift(&revocation).await, nothing, "{kind}");
            for _ in 0..3 {
                assert_eq!(error(&policy, &it()), None, "{kind}");
                revocations.revoke(&revocation).await.unwrap();
                assert_eq!(error(&policy, &it()), Some(REVOKED), "{kind}");
                revocations.lift(&revocation).await.unwrap();
                assert_eq!(error(&policy, &it()), None, "{kind}");
                // To try again does no harm.
                assert_eq!(revocations.lift(&revocation).await, Ok(()), "{kind}");
            }
        }
        assert_eq!(revocations.stats().lifts, 7);
        // What is not meant stays.
        revocations.revoke_token(NAME, "it", None).await.unwrap();
        revocations.revoke_session(NAME, "it").await.unwrap();
        revocations.lift(&everything()[0]).await.unwrap();
        assert_eq!(error(&policy, &it()), Some(REVOKED));
    }

    #[tokio::test]
    async fn a_name_alone_says_what_is_lifted() {
        let revocations = options().in_memory();
        let policy = enforcing(&revocations);
        let (issuer, name) = (|| NAME.to_owned(), || "it".to_owned());
        let until = Some(RevokedUntil::ForEver);
        let (milliseconds, current) = (Some(UnixTime(NOW * 1000)), 0);
        let otherwise = [
            Revocation::Token { issuer: issuer(), token_id: name(), until },
            Revocation::Session { issuer: issuer(), session: name(), until },
            Revocation::Subject { issuer: issuer(), subject: name(), issued_until: milliseconds },
            Revocation::Version { issuer: issuer(), subject: name(), current },
            Revocation::Client { issuer: issuer(), client: name(), issued_until: milliseconds },
            Revocation::Issuer { issuer: issuer(), issued_until: milliseconds },
        ];
        for (revocation, lifted) in everything().iter().zip(otherwise) {
            revocations.revoke(revocation).await.unwrap();
            assert_eq!(error(&policy, &it()), Some(REVOKED), "{}", lifted.kind());
            revocations.lift(&lifted).await.unwrap();
            assert_eq!(error(&policy, &it()), None, "{}", lifted.kind());
        }
    }

    #[tokio::test]
    async fn a_list_says_what_it_names_until_that_is_over_or_lifted() {
        let revocations = Revocations::in_memory();
        let key = |issuer: &str, key_id: &str| Revocation::Key {
            issuer: issuer.to_owned(),
            key_id: key_id.to_owned(),
            until: None,
        };
        let subject = Revocation::Subject {
            issuer: "https://id.example".to_owned(),
            subject: "k1".to_owned(),
            issued_until: None,
        };
        let named = key("https://id.example", "k1");
        assert!(!revocations.is_revoked(&named));
        revocations.revoke(&named).await.expect("revoked");
        assert!(revocations.is_revoked(&named));
        for other in [key("https://id.example", "k2"), key("https://id.example.org", "k1"), subject]
        {
            assert!(!revocations.is_revoked(&other), "another name, issuer or kind");
        }
        revocations.lift(&named).await.expect("lifted");
        assert!(!revocations.is_revoked(&named));
        revocations.revoke(&named).await.expect("revoked");
        assert!(revocations.is_revoked(&named), "again");
    }

    #[tokio::test]
    async fn a_list_says_which_version_a_subject_needs_until_that_is_over_or_lifted() {
        let clock = FixedClock::at(NOW);
        let revocations = Revocations::options().clock(clock.clone()).in_memory();
        let needed = |subject: &str| revocations.version_needed(NAME, subject);
        assert_eq!(needed("alice"), None);
        for (raised, expected) in [(7, 7), (5, 7), (8, 8)] {
            revocations.revoke_versions_below(NAME, "alice", raised).await.expect("revoked");
            assert_eq!(needed("alice"), Some(expected), "{raised}");
        }
        assert_eq!(needed("bob"), None);
        assert_eq!(revocations.version_needed("https://other.example", "alice"), None);
        let (issuer, subject) = (NAME.to_owned(), "alice".to_owned());
        revocations
            .lift(&Revocation::Version { issuer, subject, current: 0 })
            .await
            .expect("lifted");
        assert_eq!(needed("alice"), None);
        revocations.revoke_versions_below(NAME, "alice", 2).await.expect("revoked");
        assert_eq!(needed("alice"), Some(2));
        clock.set(NOW + 2 * 86_400);
        assert_eq!(needed("alice"), None);
    }

    #[tokio::test]
    async fn what_was_lifted_65_535_times_stays_revoked() {
        let list = options().shared([1; 16], Duration::from_secs(60));
        list.record_contact(Moment::now());
        let revocations = Revocations::new(list.clone(), NoStore);
        let policy = enforcing(&revocations);
        let key = &everything()[6];
        revocations.revoke(key).await.unwrap();
        revocations.lift(key).await.unwrap();
        let lift = list.entries().into_iter().find(RevocationEntry::is_lift).unwrap();
        let last = RevocationEntry::from_stored(lift.fingerprint(), &lift.key(), 65_535, u32::MAX);
        list.apply(&last.unwrap()).unwrap();
        revocations.revoke(key).await.unwrap();
        let refused = Err(RevokeError::LiftedTooOften(Revocable::Key));
        assert_eq!(revocations.lift(key).await, refused);
        assert_eq!(error(&policy, &it()), Some(REVOKED));
    }

    #[tokio::test]
    async fn a_lift_of_one_name_kind_or_issuer_lifts_no_other() {
        let revocations = options().in_memory();
        let policy = enforcing(&revocations);
        for revocation in everything() {
            revocations.revoke(&revocation).await.unwrap();
            let kind = revocation.kind();
            let lifted_elsewhere = |other: &Revocation| other.kind() != kind;
            for other in everything().iter().filter(|other| lifted_elsewhere(other)) {
                // Revoked, so that there is something to lift.
                revocations.revoke(other).await.unwrap();
                revocations.lift(other).await.unwrap();
            }
            for (issuer, name) in [("https://other.example", "it"), (NAME, "other")] {
                let (issuer, token_id) = (issuer.to_owned(), name.to_owned());
                let other = Revocation::Token { issuer, token_id, until: None };
                revocations.revoke(&other).await.unwrap();
                revocations.lift(&other).await.unwrap();
            }
            assert_eq!(error(&policy, &it()), Some(REVOKED), "{kind}");
            revocations.lift(&revocation).await.unwrap();
            assert_eq!(error(&policy, &it()), None, "{kind}");
        }
    }

    #[tokio::test]
    async fn to_lift_again_at_the_bound_takes_no_more_room() {
        let revocations = options().capacity(2).in_memory();
        let policy = enforcing(&revocations);
        let key = &everything()[6];
        revocations.revoke(key).await.unwrap();
        revocations.lift(key).await.unwrap();
        assert_eq!(revocations.stats().lifts, 1);
        assert_eq!(revocations.lift(key).await, Ok(()));
        let full = Err(RevokeError::Full { capacity: 2 });
        assert_eq!(revocations.revoke(key).await, full);
        assert_eq!(error(&policy, &it()), None);
    }

    #[tokio::test]
    async fn a_lower_version_counts_after_one_that_was_too_high() {
        let revocations = options().in_memory();
        let policy = enforcing(&revocations);
        let too_high = &everything()[3];
        revocations.revoke(too_high).await.unwrap();
        revocations.lift(too_high).await.unwrap();
        revocations.revoke_versions_below(NAME, "it", 3).await.unwrap();
        assert_eq!(error(&policy, &it()), None);
        revocations.revoke_versions_below(NAME, "it", 4).await.unwrap();
        assert_eq!(error(&policy, &it()), Some(REVOKED));
    }

    #[tokio::test]
    async fn a_lift_is_told_and_does_not_end_by_itself() {
        let events = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&events);
        let clock = FixedClock::at(NOW);
        let options = Revocations::options().clock(clock.clone());
        let revocations =
            options.on_event(move |event| told.lock().unwrap().push(*event)).in_memory();
        let key = &everything()[6];
        revocations.revoke(key).await.unwrap();
        revocations.lift(key).await.unwrap();
        let never = Revocation::Key { issuer: NAME.into(), key_id: "x".into(), until: None };
        revocations.lift(&never).await.unwrap_err();
        let kind = Revocable::Key;
        assert_eq!(
            *events.lock().unwrap(),
            [
                RevocationEvent::Revoked { kind },
                RevocationEvent::Lifted { kind },
                RevocationEvent::Failed { kind },
            ]
        );
        clock.advance(Duration::from_secs(20 * 365 * 86_400));
        let at = provider().at(NOW + 20 * 365 * 86_400);
        let enforced = revocations.enforce([Revocable::Key]);
        let policy = at.policy_builder().revocations(enforced).build().unwrap();
        assert_eq!(error(&policy, &at.token(EdDSA).mint()), None);
    }

    #[tokio::test]
    async fn who_had_not_heard_of_a_lift_is_not_told_that_it_revoked_what_is_lifted() {
        let store = Keeps::default();
        let new = || options().shared([1; 16], Duration::from_secs(60));
        let (list, late_list) = (new(), new());
        let revocations = Revocations::new(list.clone(), store.clone());
        let late = Revocations::new(late_list.clone(), store.clone());
        let key = &everything()[6];
        revocations.revoke(key).await.unwrap();
        revocations.lift(key).await.unwrap();
        let lifted = RevokeError::Store(StoreError::new("lifted"));
        assert_eq!(late.revoke(key).await, Err(lifted));
        for entry in store.0.lock().unwrap().iter() {
            late_list.apply(entry).unwrap();
        }
        late.revoke(key).await.unwrap();
        for entry in store.0.lock().unwrap().iter() {
            list.apply(entry).unwrap();
        }
        list.record_contact(Moment::now());
        assert_eq!(error(&enforcing(&revocations), &it()), Some(REVOKED));
    }

    #[tokio::test]
    async fn a_lift_reaches_no_further_than_what_whoever_lifts_knows_of() {
        let store = Keeps::default();
        let new = || options().shared([1; 16], Duration::from_secs(60));
        let (list, late_list) = (new(), new());
        let revocations = Revocations::new(list.clone(), store.clone());
        let late = Revocations::new(late_list.clone(), store.clone());
        let key = &everything()[6];
        revocations.revoke(key).await.unwrap();
        late_list.apply(&store.0.lock().unwrap()[0]).unwrap();
        // This was by mistake, and then it was not.
        revocations.lift(key).await.unwrap();
        let lift = store.0.lock().unwrap()[1];
        // A store that drops what is over never drops this.
        assert_eq!((lift.is_lift(), lift.ends()), (true, u32::MAX));
        revocations.revoke(key).await.unwrap();
        late.lift(key).await.unwrap();
        for entry in store.0.lock().unwrap().iter() {
            list.apply(entry).unwrap();
            late_list.apply(entry).unwrap();
        }
        for list in [list, late_list] {
            list.record_contact(Moment::now());
            let policy = enforcing(&Revocations::new(list, NoStore));
            assert_eq!(error(&policy, &it()), Some(REVOKED));
        }
    }

    #[test]
    fn whatever_the_order_in_which_entries_are_told_all_come_to_the_same() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) };
        // Of each kind, whether it is revoked or lifted.
        let words = prop::collection::vec((0..7_usize, any::<bool>()), 1..24);
        proptest!(config, |(words in words, order in any::<u64>())| {
            let store = Keeps::default();
            let list = || {
                let list = options().shared([1; 16], Duration::from_secs(60));
                list.record_contact(Moment::now());
                list
            };
            let revocations = Revocations::new(list(), store.clone());
            let (mut is_revoked, mut was_revoked) = ([false; 7], [false; 7]);
            for (kind, revokes) in words {
                let revocation = &everything()[kind];
                if revokes {
                    runtime.block_on(revocations.revoke(revocation)).unwrap();
                } else {
                    let lifted = runtime.block_on(revocations.lift(revocation));
                    prop_assert_eq!(lifted.is_ok(), was_revoked[kind]);
                }
                was_revoked[kind] |= revokes;
                is_revoked[kind] = revokes;
            }
            let expected = is_revoked.contains(&true).then_some(REVOKED);
            prop_assert_eq!(error(&enforcing(&revocations), &it()), expected.clone());

            let mut entries = store.0.lock().unwrap().clone();
            let count = u64::try_from(entries.len()).unwrap();
            // Some order, and some of them twice.
            entries.sort_by_key(|entry| order.rotate_left(u32::from(entry.key()[3]) + u32::try_from(entry.mark() % 64).unwrap()));
            let twice = usize::try_from(order % count.max(1)).unwrap();
            entries.extend_from_within(..twice.min(entries.len()));
            let other = list();
            for entry in &entries {
                let stored = RevocationEntry::from_stored(entry.fingerprint(), &entry.key(), entry.mark(), entry.ends());
                other.apply(&stored.unwrap()).unwrap();
            }
            prop_assert_eq!(error(&enforcing(&Revocations::new(other.clone(), NoStore)), &it()), expected.clone());
            // And from who has them.
            let third = list();
            for entry in other.entries().iter().rev() {
                third.apply(entry).unwrap();
            }
            prop_assert_eq!(error(&enforcing(&Revocations::new(third, NoStore)), &it()), expected);
        });
    }
}

/// Kinds differ by issuer, and for services.
mod by_issuer {
    use super::*;

    const MACHINES: &str = "https://machines.example";

    fn machines() -> TestIssuer {
        TestIssuer::new(MACHINES).at(NOW)
    }

    fn policy(enforced: portcullis::revocation::EnforcedRevocations) -> Policy {
        builder().issuer(machines().trusted(&[EdDSA])).revocations(enforced).build().unwrap()
    }

    fn lacks(claim: &str) -> Option<Error> {
        Some(Error::Claims(ClaimsError::Rule(ClaimName::Required(claim.into()))))
    }

    fn of_users() -> TokenBuilder {
        provider().token(EdDSA).subject("alice")
    }

    fn of_machines() -> TokenBuilder {
        machines().token(EdDSA).subject("billing").without("sid")
    }

    #[tokio::test]
    async fn a_kind_for_users_does_not_shut_out_another_issuers_services() {
        let revocations = options().in_memory();
        let kinds = [Revocable::Session, Revocable::Version, Revocable::Subject];
        let for_all = revocations.enforce(kinds).version_claims(["ver"]);
        let for_users = for_all.clone().for_issuer(MACHINES, [Revocable::Subject]);
        let (for_all, for_users) = (policy(for_all), policy(for_users));
        let service = of_machines().mint();
        assert_eq!(error(&for_all, &service), lacks("sid"));
        assert_eq!(error(&for_users, &service), None);
        assert_eq!(error(&for_users, &of_users().mint()), lacks("sid"));
        let login = of_users().claim("sid", "s").claim("ver", 1).mint();
        assert_eq!(error(&for_users, &login), None);

        // What is enforced of each is refused.
        revocations.revoke_session(NAME, "s").await.unwrap();
        assert_eq!(error(&for_users, &login), Some(REVOKED));
        revocations.revoke_session(MACHINES, "s").await.unwrap();
        assert_eq!(error(&for_users, &of_machines().claim("sid", "s").mint()), None);
        revocations.revoke_subject(MACHINES, "billing", None).await.unwrap();
        assert_eq!(error(&for_users, &service), Some(REVOKED));
    }

    #[tokio::test]
    async fn an_issuer_of_which_nothing_is_enforced_is_not_asked_about() {
        let list = options().shared([1; 16], Duration::from_secs(60));
        let revocations = Revocations::new(list.clone(), NoStore);
        let enforced = revocations.enforce([Revocable::Subject]).for_issuer(MACHINES, []);
        let policy = policy(enforced);
        revocations.revoke_subject(MACHINES, "billing", None).await.unwrap();
        assert_eq!(error(&policy, &of_machines().without("iat").mint()), None);
        // Nothing that the list could lack is of it.
        assert_eq!(error(&policy, &of_users().mint()), Some(unavailable(5)));
        assert_eq!(restarted(), (Some(REVOKED), None));
    }

    /// What a list comes to, of users and of machines, that refuses what was issued before it.
    fn restarted() -> (Option<Error>, Option<Error>) {
        let revocations = options().refuse_issued_before_start().in_memory();
        let enforced = revocations.enforce([Revocable::Subject]).for_issuer(MACHINES, []);
        let policy = policy(enforced);
        (error(&policy, &of_users().mint()), error(&policy, &of_machines().mint()))
    }

    #[tokio::test]
    async fn a_service_that_is_named_needs_no_session_and_nobody_else_goes_without() {
        let revocations = options().in_memory();
        let kinds = [Revocable::Session, Revocable::Version, Revocable::Token];
        let enforced = revocations.enforce(kinds).version_claims(["ver"]);
        let enforced =
            enforced.client_claims(["azp", "client_id"]).service_clients(NAME, ["billing"]);
        let policy = policy(enforced);
        let of =
            |client: &str| of_users().claim("azp", client).claim("jti", "t").without("client_id");
        assert_eq!(error(&policy, &of("billing").mint()), None);
        for (what, token) in [
            ("another client", of("web")),
            ("no client", of("billing").without("azp")),
            ("one of two", of("billing").claim("client_id", "web")),
            ("an empty one", of("")),
        ] {
            assert_eq!(error(&policy, &token.mint()), lacks("sid"), "{what}");
        }
        assert_eq!(error(&policy, &of("billing").claim("client_id", "billing").mint()), None);
        // Another issuer's client of that name is another.
        let foreign = of_machines().claim("azp", "billing").claim("jti", "t").without("client_id");
        assert_eq!(error(&policy, &foreign.mint()), lacks("sid"));
        // All else is needed as well, and what there is counts.
        assert_eq!(error(&policy, &of("billing").without("jti").mint()), lacks("jti"));
        let with_session = of("billing").claim("sid", "s").claim("ver", 1).mint();
        assert_eq!(error(&policy, &with_session), None);
        revocations.revoke_session(NAME, "s").await.unwrap();
        assert_eq!(error(&policy, &with_session), Some(REVOKED));
        revocations.revoke_versions_below(NAME, "alice", 2).await.unwrap();
        assert_eq!(error(&policy, &of("billing").claim("ver", 1).mint()), Some(REVOKED));
        revocations.revoke_token(NAME, "t", None).await.unwrap();
        assert_eq!(error(&policy, &of("billing").mint()), Some(REVOKED));
    }

    #[test]
    fn of_what_cannot_be_read_nobody_is_taken_for_a_service_without_a_session() {
        let enforced = options().in_memory().enforce([Revocable::Session, Revocable::Version]);
        let enforced = enforced.version_claims(["ver"]).client_claims(["client_id", "azp"]);
        let policy = policy(enforced.service_clients(NAME, ["billing"]));
        let service = || of_users().claim("client_id", "billing");
        assert_eq!(error(&policy, &service().mint()), None);
        for unreadable in [json!(7), json!(["web"]), json!({ "id": "web" }), json!(null), json!("")]
        {
            // Another client, perhaps.
            let token = service().claim("azp", unreadable.clone()).mint();
            assert_eq!(error(&policy, &token), lacks("sid"), "{unreadable}");
            // A session and a version, which could not be revoked.
            let token = service().claim("sid", unreadable.clone()).mint();
            assert_eq!(error(&policy, &token), lacks("sid"), "{unreadable}");
        }
        for unreadable in [json!("7"), json!(7.5), json!(-1), json!(null)] {
            let token = service().claim("ver", unreadable.clone()).mint();
            assert_eq!(error(&policy, &token), lacks("ver"), "{unreadable}");
        }
    }

    #[test]
    fn an_issuers_own_kinds_alone_have_to_fit_its_rules_and_keys() {
        let unlimited = options().max_lifetime(dangerous::unlimited_lifetime()).in_memory();
        let of_machines = [Revocable::Token, Revocable::Key];
        let enforced = unlimited.enforce([Revocable::Token]).for_issuer(MACHINES, of_machines);
        let _ = policy(enforced);
        let builder = || builder().issuer(machines().trusted(&[EdDSA]));
        let enforced = unlimited.enforce([Revocable::Token]);
        let enforced = enforced.for_issuer(MACHINES, [Revocable::Subject]);
        let error = builder().revocations(enforced).build().unwrap_err();
        let fault = RevocationFault::NoLifetime { kind: Revocable::Subject };
        let place = format!("issuer `{MACHINES}`");
        assert_eq!(error.faults(), [PolicyFault::Revocations { place, fault }]);

        let secret = |kinds: &[Revocable]| {
            let issuer = Issuer::new("https://secret.example").algorithms([HS256]);
            let issuer = issuer.keys(Secret::new(provider().secret(HS256))).audience("api");
            let enforced = options().in_memory().enforce([Revocable::Key]);
            let enforced = enforced.for_issuer("https://secret.example", kinds.iter().copied());
            builder().issuer(issuer).revocations(enforced).build().is_ok()
        };
        assert!(secret(&[Revocable::Token]) && !secret(&[Revocable::Token, Revocable::Key]));
    }
}

mod of_ones_own {
    use super::*;

    /// Says what it is told to.
    #[derive(Debug)]
    struct Says(fn() -> RevocationStatus);

    impl RevocationSource for Says {
        fn status(&self, _: &VerifiedToken) -> RevocationStatus {
            (self.0)()
        }
    }

    fn unknown() -> RevocationStatus {
        RevocationStatus::Unavailable(RevocationUnavailable::default())
    }

    fn later(answer: Result<bool, RevocationUnavailable>) -> RevocationStatus {
        RevocationStatus::Later(Box::pin(async move { answer }))
    }

    #[tokio::test]
    async fn what_nobody_can_tell_is_refused_unless_the_policy_says_otherwise_by_name() {
        let failed = || later(Err(RevocationUnavailable::default()));
        let unavailable =
            Error::Revocation(RevocationError::Unavailable(RevocationUnavailable::default()));
        let all: [(fn() -> RevocationStatus, _, _); 6] = [
            (|| RevocationStatus::Active, None, None),
            (|| RevocationStatus::Revoked, Some(REVOKED), Some(REVOKED)),
            (unknown, Some(unavailable.clone()), None),
            (|| later(Ok(false)), None, None),
            (|| later(Ok(true)), Some(REVOKED), Some(REVOKED)),
            (failed, Some(unavailable.clone()), None),
        ];
        let token = token("id");
        for (at, (says, refusing, accepting)) in all.into_iter().enumerate() {
            let policy = builder().revocation_source(Says(says)).build().unwrap();
            let open = builder()
                .revocation_source(Says(says))
                .unknown_revocation(dangerous::accept_unknown_revocation())
                .build()
                .unwrap();
            for _ in 0..2 {
                assert_eq!(policy.verify_token(&token).await.err(), refusing, "{at}");
                assert_eq!(open.verify_token(&token).await.err(), accepting, "{at}");
            }
        }
        // One that knows is heard, whatever another does not know.
        let both = builder()
            .revocation_source(Says(unknown))
            .revocation_source(Says(|| RevocationStatus::Revoked))
            .unknown_revocation(dangerous::accept_unknown_revocation())
            .build()
            .unwrap();
        assert_eq!(both.verify_token(&token).await.err(), Some(REVOKED));
        let waiting = builder()
            .revocation_source(Says(unknown))
            .revocation_source(Says(|| later(Ok(true))))
            .unknown_revocation(dangerous::accept_unknown_revocation())
            .build()
            .unwrap();
        assert_eq!(waiting.verify_token(&token).await.err(), Some(REVOKED));
    }

    /// Knows nothing until it is told that it does; its number stays.
    #[derive(Debug)]
    struct Wakes(Arc<AtomicBool>);

    impl RevocationSource for Wakes {
        fn generation(&self) -> Option<u64> {
            Some(0)
        }

        fn status(&self, _: &VerifiedToken) -> RevocationStatus {
            if self.0.load(Ordering::SeqCst) { RevocationStatus::Revoked } else { unknown() }
        }

        fn is_available(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
    }

    #[test]
    fn what_passed_since_nobody_could_tell_is_asked_about_again() {
        let knows = Arc::new(AtomicBool::new(false));
        let policy = builder()
            .revocation_source(Wakes(Arc::clone(&knows)))
            .unknown_revocation(dangerous::accept_unknown_revocation())
            .build()
            .unwrap();
        let token = token("id");
        assert!(!policy.is_ready());
        assert_eq!(error(&policy, &token), None);
        assert_eq!(error(&policy, &token), None);
        knows.store(true, Ordering::SeqCst);
        assert!(policy.is_ready());
        assert_eq!(error(&policy, &token), Some(REVOKED));
    }

    #[cfg(feature = "lookup")]
    #[tokio::test(start_paused = true)]
    async fn a_look_up_is_waited_for_within_its_limit() {
        use portcullis::revocation::RevocationLookup;
        use tokio::time::{Instant, sleep};

        let source = || {
            RevocationLookup::new(Duration::from_millis(50), async |token: VerifiedToken| {
                match token.token_id() {
                    Some("slow") => sleep(Duration::from_secs(60)).await,
                    Some("failing") => return Err(RevocationUnavailable::default()),
                    _ => sleep(Duration::from_millis(49)).await,
                }
                Ok(token.token_id() == Some("stolen"))
            })
        };
        let policy = builder().revocation_source(source()).build().unwrap();
        let open = builder()
            .revocation_source(source())
            .unknown_revocation(dangerous::accept_unknown_revocation())
            .build()
            .unwrap();
        let unavailable =
            Error::Revocation(RevocationError::Unavailable(RevocationUnavailable::default()));
        for (id, expected, when_open, millis) in [
            ("good", None, None, 49),
            ("stolen", Some(REVOKED), Some(REVOKED), 49),
            ("slow", Some(unavailable.clone()), None, 50),
            ("failing", Some(unavailable), None, 0),
        ] {
            let token = token(id);
            // Remembered or not, it is asked.
            for _ in 0..2 {
                let start = Instant::now();
                assert_eq!(policy.verify_token(&token).await.err(), expected, "{id}");
                let waited = start.elapsed().as_millis();
                assert!((millis..millis + 2).contains(&waited), "{id}: {waited} ms");
                assert_eq!(open.verify_token(&token).await.err(), when_open, "{id}");
            }
        }
    }
}

#[test]
fn a_policy_without_keys_is_not_ready() {
    #[derive(Debug)]
    struct Empty;

    impl KeySource for Empty {
        fn keys(&self) -> KeySet {
            KeySet::empty()
        }
    }

    let issuer = Issuer::new(NAME)
        .algorithms([EdDSA])
        .keys(Keys::source(Empty))
        .audience(TestIssuer::AUDIENCE);
    assert!(!Policy::builder().issuer(issuer).build().unwrap().is_ready());
    assert!(builder().build().unwrap().is_ready());
}

#[test]
fn what_a_store_calls_a_kind_never_changes() {
    // Entries in stores and snapshots outlive a release.
    let codes = Revocable::ALL.iter().map(|kind| (kind.code(), *kind));
    assert_eq!(
        codes.collect::<Vec<_>>(),
        [
            (1, Revocable::Token),
            (2, Revocable::Session),
            (3, Revocable::Subject),
            (4, Revocable::Version),
            (5, Revocable::Client),
            (6, Revocable::Issuer),
            (7, Revocable::Key),
        ]
    );
    for &kind in Revocable::ALL {
        assert_eq!(Revocable::from_code(kind.code()), Some(kind));
    }
    assert_eq!(Revocable::from_code(0).or(Revocable::from_code(8)), None);
}
