//! Attacks on an issuer, its ring of keys and the store that it is in; and what must not stand in a log of it.
use core::fmt::{Debug, Display};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::prelude::*;
use metrics_util::debugging::DebuggingRecorder;
use portcullis::{Algorithm, Revocable, Revocations, Secret};
use portcullis_issuer::StoreTime;
use portcullis_issuer::ring::Phase;
use portcullis_issuer::seal::{Seal, SealError, Sealed, SealedFor};
use portcullis_issuer::store::{MemoryRing, RingStore, StoreError, StoredRing};
use portcullis_issuer::{
    AccessToken, BuildError, Complete, PrivatePart, RingError, TokenIssuer, TokenIssuerBuilder,
};
use serde::Serialize;
use zeroize::Zeroizing;

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "https://orders.example";
const OLD: &str = "FbLYqGzO3sVdHcW0pTn8mXuJkR5eAi2w-old";
const NEW: &str = "u9KXr4MZQy7hBtDfN1vCjEaPgS6oLw3k-new";

type Issuing = TokenIssuer<MemoryRing>;

fn builder(store: &MemoryRing, secrets: &[&str]) -> TokenIssuerBuilder<Complete<MemoryRing>> {
    TokenIssuer::builder(ISSUER)
        .algorithm(Algorithm::ES256)
        .audiences([AUDIENCE])
        .lifetime(Duration::from_secs(15 * 60))
        .root_secrets(secrets.iter().map(|text| Secret::new(*text)))
        .ring(store.clone())
        .refreshed_by_hand()
}

async fn issuer(store: &MemoryRing) -> Issuing {
    builder(store, &[OLD]).build().await.expect("an issuer")
}

fn signing(issuer: &Issuing) -> String {
    let status = issuer.status().expect("a ring");
    let signing: Vec<_> = status.keys.iter().filter(|key| key.phase == Phase::Signing).collect();
    let [key] = signing[..] else { panic!("one key signs: {status:?}") };
    key.key_id.clone()
}

fn mint(issuer: &Issuing) -> String {
    issuer.mint_now(&AccessToken::of_user("alice", "web")).expect("a token").token
}

async fn stored(store: &MemoryRing) -> StoredRing {
    store.load(ISSUER).await.expect("a store").ring.expect("a ring").1
}

fn refusal(built: Result<Issuing, BuildError>) -> RingError {
    match built.expect_err("refused") {
        BuildError::Ring(error) => error,
        other => panic!("{other}"),
    }
}

/// Duende products 1072, Dex 976: two instances that start together were two issuers.
#[tokio::test(flavor = "multi_thread")]
async fn instances_that_start_and_withdraw_at_once_are_one_issuer_with_one_key_set() {
    for _ in 0..20 {
        let store = MemoryRing::new();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { issuer(&store).await })
            })
            .collect();
        let mut issuers = Vec::new();
        for task in tasks {
            issuers.push(task.await.expect("no panic"));
        }
        let first = signing(&issuers[0]);
        let agree = |issuers: &[Issuing]| {
            let (key, set) = (signing(&issuers[0]), issuers[0].key_set().expect("a set"));
            for other in issuers {
                assert_eq!(signing(other), key);
                assert_eq!(other.key_set().as_ref(), Ok(&set), "the same bytes");
                let policy = other.policy_builder().build().expect("a policy");
                assert!(policy.verify_token_now(mint(&issuers[0])).is_ok());
            }
            key
        };
        assert_eq!(agree(&issuers), first);
        assert_eq!(stored(&store).await.keys.len(), 2, "and nobody made a key too many");
        // All at once: the one key is withdrawn once, and what came after it is not.
        let tasks: Vec<_> = issuers
            .iter()
            .map(|issuer| {
                let (issuer, key) = (issuer.clone(), first.clone());
                tokio::spawn(async move { issuer.withdraw(&key).await })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic").expect("withdrawn");
        }
        for issuer in &issuers {
            issuer.refresh().await.expect("a ring");
        }
        assert_ne!(agree(&issuers), first);
        assert_eq!(stored(&store).await.keys.len(), 3);
    }
}

/// Duende 366, 397, 1284: an instance that could not open its keys made others, with each start.
#[tokio::test]
async fn an_instance_whose_root_secret_is_lost_or_wrong_makes_no_key_however_often_it_starts() {
    let store = MemoryRing::new();
    let before = issuer(&store).await;
    let (key, token, ring) = (signing(&before), mint(&before), stored(&store).await);
    for _ in 0..10 {
        let refused = refusal(builder(&store, &[NEW]).build().await);
        assert!(matches!(refused, RingError::Foreign(_)), "{refused}");
        assert!(builder(&store, &[]).build().await.is_err(), "lost");
        assert_eq!(stored(&store).await, ring);
    }
    let after = issuer(&store).await;
    assert_eq!(signing(&after), key);
    let policy = after.policy_builder().build().expect("a policy");
    assert!(policy.verify_token_now(&token).is_ok());
}

#[tokio::test]
async fn a_root_secret_is_replaced_step_by_step_while_tokens_of_every_step_pass() {
    let store = MemoryRing::new();
    let mut tokens = Vec::new();
    let key = signing(&issuer(&store).await);
    for secrets in [&[OLD][..], &[OLD, NEW], &[NEW, OLD], &[NEW]] {
        let issuer = builder(&store, secrets).build().await.expect("an issuer");
        assert_eq!(signing(&issuer), key);
        tokens.push(mint(&issuer));
        let policy = issuer.policy_builder().build().expect("a policy");
        for token in &tokens {
            assert!(policy.verify_token_now(token).is_ok());
        }
    }
    // Whoever has the old one alone, and a copy, has nothing.
    let refused = refusal(builder(&store, &[OLD]).build().await);
    assert!(matches!(refused, RingError::Foreign(_)), "{refused}");
}

/// What somebody with all rights in the database, and without the root secret, makes of it.
#[tokio::test]
async fn who_can_write_to_the_store_has_no_key_of_his_published_or_used() {
    type Attack = fn(&mut StoredRing, &StoredRing);
    let attacks: [(&str, Attack); 7] = [
        ("sealed parts are swapped", |ring, _| {
            let [one, other] = &mut ring.keys[..] else { panic!("two keys") };
            core::mem::swap(&mut one.private, &mut other.private);
        }),
        ("whole rows have their times swapped", |ring, _| {
            let [one, other] = &mut ring.keys[..] else { panic!("two keys") };
            core::mem::swap(&mut one.times, &mut other.times);
        }),
        ("a key of his own", |ring, his| ring.keys.push(his.keys[0].clone())),
        ("his public part", |ring, his| {
            ring.keys[0].public_jwk.clone_from(&his.keys[0].public_jwk);
        }),
        ("his whole ring", |ring, his| ring.clone_from(his)),
        ("the standby signs now", |ring, _| {
            for row in &mut ring.keys {
                row.times.signs_from = StoreTime::from_millis(0);
            }
        }),
        ("keys that never end", |ring, _| {
            for row in &mut ring.keys {
                (row.times.signs_until, row.times.verifies_until) = (None, None);
            }
        }),
    ];
    // His own installation, under a root secret that he knows.
    let his = MemoryRing::new();
    let attacker = builder(&his, &[NEW]).build().await.expect("an issuer");
    let (forged, his) = (mint(&attacker), stored(&his).await);
    for (what, attack) in attacks {
        let store = MemoryRing::new();
        let victim = issuer(&store).await;
        let (key, token, set) = (signing(&victim), mint(&victim), victim.key_set());
        let policy = victim.policy_builder().build().expect("a policy");
        store.tamper(ISSUER, |_, ring| attack(ring, &his));
        let foreign =
            |error: &RingError| matches!(error, RingError::Foreign(_) | RingError::ForeignRing(_));
        let refused = victim.refresh().await.expect_err("foreign");
        assert!(foreign(&refused), "{what}: {refused}");
        let refused = refusal(builder(&store, &[OLD]).build().await);
        assert!(foreign(&refused), "{what}: {refused}");
        // What runs goes by what it read, for as long as it may.
        assert_eq!((signing(&victim), victim.key_set()), (key, set), "{what}");
        assert!(policy.verify_token(&token).await.is_ok(), "{what}");
        assert!(policy.verify_token(&forged).await.is_err(), "{what}");
    }
}

/// A copy of the store, as of a backup that lies about: by another installation, under whatever name.
#[tokio::test]
async fn a_copy_of_the_store_signs_nothing_without_the_root_secret() {
    let store = MemoryRing::new();
    let victim = issuer(&store).await;
    let copy = MemoryRing::new();
    let (version, ring) = store.load(ISSUER).await.expect("a store").ring.expect("a ring");
    let swap = copy.swap(ISSUER, None, &ring).await;
    assert!(swap.is_ok() && version.0 == 1);
    let refused = refusal(builder(&copy, &[NEW]).build().await);
    assert!(matches!(refused, RingError::Foreign(_)), "{refused}");
    // No private part stands there in the clear: PKCS#8 begins with the name of its algorithm.
    for row in &ring.keys {
        let Some(PrivatePart::Sealed(sealed)) = &row.private else { panic!("{row:?}") };
        let name = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        assert!(!sealed.bytes.windows(name.len()).any(|window| window == name));
    }
    drop(victim);
}

#[tokio::test]
async fn tokens_of_a_stolen_key_are_refused_with_the_next_request_and_those_of_the_next_key_pass() {
    let store = MemoryRing::new();
    let revocations = Revocations::in_memory();
    let operator = builder(&store, &[OLD]).revocations(revocations.clone()).build().await;
    let (operator, other) = (operator.expect("an issuer"), issuer(&store).await);
    let enforced = revocations.enforce([Revocable::Key]);
    let policy = other.policy_builder().revocations(enforced).build().expect("a policy");
    let (stolen, key) = (mint(&other), signing(&other));
    for _ in 0..2 {
        assert!(policy.verify_token(&stolen).await.is_ok(), "and remembered");
    }
    operator.withdraw(&key).await.expect("withdrawn and revoked");
    let refused = policy.verify_token(&stolen).await.expect_err("revoked");
    assert_eq!(refused.reason(), "revoked");
    // One that has not read it yet signs on, and nobody takes it.
    let refused = policy.verify_token(mint(&other)).await.expect_err("revoked");
    assert_eq!(refused.reason(), "revoked");
    // The next is one that everybody had.
    assert!(policy.verify_token(mint(&operator)).await.is_ok());
    // Said again, by anybody, it does not touch the next.
    let next = signing(&operator);
    operator.withdraw(&key).await.expect("nothing to do");
    other.withdraw(&key).await.expect("nothing to do");
    assert_eq!((signing(&operator), signing(&other)), (next.clone(), next));
    let row = stored(&store).await.keys.into_iter().find(|row| row.key_id == key);
    assert_eq!(row.expect("its row").private, None, "there is nothing left to steal");
}

/// Seals with nothing, and remembers all that it was given: what must stand nowhere.
#[derive(Clone, Default)]
struct Witness(Arc<Mutex<Vec<Vec<u8>>>>);

impl Seal for Witness {
    fn id(&self) -> &str {
        "witness"
    }

    async fn seal(&self, private: &[u8], _: SealedFor<'_>) -> Result<Vec<u8>, SealError> {
        self.0.lock().expect("no panic").push(private.to_vec());
        Ok(private.iter().map(|byte| byte ^ 0x5a).collect())
    }

    async fn unseal(
        &self,
        sealed: &Sealed,
        _: SealedFor<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        Ok(sealed.bytes.iter().map(|byte| byte ^ 0x5a).collect::<Vec<_>>().into())
    }
}

/// All that was said in a log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::field::Visit for Log {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        self.0.lock().expect("no panic").push(format!("{}={value:?}", field.name()));
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::Id {
        span.record(&mut self.clone());
        tracing::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &tracing::Id) {}
    fn exit(&self, _: &tracing::Id) {}
}

impl Log {
    fn shown(&self, value: &(impl Debug + Display)) {
        self.debugged(value);
        self.0.lock().expect("no panic").push(value.to_string());
    }

    fn debugged(&self, value: &impl Debug) {
        let mut texts = self.0.lock().expect("no panic");
        texts.extend([format!("{value:?}"), format!("{value:#?}")]);
    }
}

/// Every spelling in which a part of `secret` may stand in a text, eight bytes at a time.
fn spellings(secret: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    for window in secret.windows(8) {
        all.push(window.iter().map(|byte| format!("{byte:02x}")).collect());
        let list: Vec<_> = window.iter().map(u8::to_string).collect();
        all.push(list.join(", "));
        // Of 6 bytes, eight characters, whatever stands before them.
        all.push(BASE64_URL_SAFE_NO_PAD.encode(&window[..6]));
        all.push(BASE64_STANDARD_NO_PAD.encode(&window[..6]));
        all.extend(core::str::from_utf8(window).ok().map(str::to_owned));
    }
    all
}

#[tokio::test]
async fn nothing_of_a_token_a_secret_or_a_private_part_is_in_a_log_an_error_or_a_metric() {
    #[derive(Serialize)]
    struct Own {
        nonce: &'static str,
    }
    let log = Log::default();
    // It hears what the other tests of this process say, too.
    tracing::subscriber::set_global_default(log.clone()).expect("the only one of this process");
    let witness = Witness::default();
    let mut secrets: Vec<Vec<u8>> = vec![OLD.into(), NEW.into()];
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256, Algorithm::HS256] {
        let store = MemoryRing::new();
        let heard = log.clone();
        let described = TokenIssuer::builder(ISSUER)
            .algorithm(algorithm)
            .audiences([AUDIENCE])
            .lifetime(Duration::from_secs(15 * 60))
            .root_secrets([Secret::new(OLD), Secret::new(NEW)])
            .ring(store.clone())
            .seal(witness.clone())
            .revocations(Revocations::in_memory())
            .on_event(move |event| heard.shown(event))
            .refreshed_by_hand();
        log.debugged(&described);
        let issuer = described.build().await.expect("an issuer");
        let alice = AccessToken::of_user("alice-the-subject", "web")
            .session("session-of-alice")
            .scopes(["orders:read"]);
        let minted = issuer.mint(&alice).await.expect("a token");
        secrets.extend(minted.token.split('.').map(Into::into));
        secrets.push(minted.token_id.clone().into());
        secrets.extend([b"alice-the-subject".to_vec(), b"session-of-alice".to_vec()]);
        let policy = issuer.policy_builder().build().expect("a policy");
        log.debugged(&(&issuer, issuer.keys(), &policy, &alice, &minted, issuer.status()));
        log.debugged(&stored(&store).await);
        log.debugged(&(store.load(ISSUER).await, &store));
        let request = http::Request::new(());
        log.debugged(&(issuer.answer_key_set(&request), issuer.answer_metadata(&request)));
        let key = signing(&issuer);
        issuer.withdraw(&key).await.expect("withdrawn");
        issuer.rotate().await.expect("turned");
        issuer.withdraw_all().await.expect("withdrawn");
        // What fails.
        log.shown(&issuer.withdraw("no such key").await.expect_err("unknown"));
        let own = alice.clone().claims(Own { nonce: "alice-the-subject" });
        log.shown(&issuer.mint(&own).await.expect_err("reserved"));
        let long = AccessToken::of_user("alice-the-subject".repeat(100), "web");
        log.shown(&issuer.mint(&long).await.expect_err("too long"));
        store.set_fault(Some(StoreError::new("connection refused")));
        log.shown(&issuer.refresh().await.expect_err("away"));
        store.set_fault(None);
        issuer.refresh().await.expect("a ring");
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || issuer.record_metrics());
        let recorded = snapshotter.snapshot().into_vec();
        assert!(recorded.len() >= 9, "{recorded:?}");
        log.debugged(&recorded);
        // Tampered with: a part that does not open, rows that are foreign.
        let changes: [fn(&mut StoredRing); 2] =
            [|ring| ring.keys[0].mac.clear(), |ring| drop(ring.keys.pop())];
        for change in changes {
            store.tamper(ISSUER, |_, ring| change(ring));
            log.shown(&issuer.refresh().await.expect_err("foreign"));
        }
        let refused = builder(&store, &["short-secret-of-mine"]).build().await;
        log.shown(&refused.expect_err("a short secret"));
    }
    secrets.push(b"short-secret-of-mine".to_vec());
    let private = witness.0.lock().expect("no panic").clone();
    assert!(private.len() >= 4 * 4, "{} private parts", private.len());
    for part in &private {
        // What is before it says which algorithm, in the same bytes for all; what is behind is public.
        secrets.push(part[part.len().min(36) - 32..].iter().copied().take(32).collect());
    }
    let texts = log.0.lock().expect("no panic").clone();
    let told = |needle: &str| texts.iter().any(|text| text.contains(needle));
    for needle in
        ["message=the key", "was withdrawn", "connection refused", "portcullis_issuer_ready"]
    {
        assert!(told(needle), "the log hears: {needle}");
    }
    // Most lines are there again and again.
    let lines: BTreeSet<_> = texts.iter().flat_map(|text| text.lines()).map(str::trim).collect();
    let all = lines.into_iter().collect::<Vec<_>>().join("\n");
    for secret in &secrets {
        for spelling in spellings(secret) {
            assert!(
                !all.contains(&spelling),
                "{spelling:?} in {:?}",
                texts.iter().find(|it| it.contains(&spelling))
            );
        }
    }
}
