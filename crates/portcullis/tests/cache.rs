//! Remembered tokens: what is remembered, and what each of them dies of.
//!
//! Every test here goes red when the rule that it names is taken out of the code.
#![expect(clippy::unwrap_used, reason = "a test may fail by it")]

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use portcullis::Algorithm::{self, ES256, HS256};
use portcullis::error::{ClaimsError, RevocationError, SignatureError};
use portcullis::keys::KeyError;
use portcullis::policy::TokenCacheStats;
use portcullis::revocation::{RevocationSource, RevocationStatus};
use portcullis::{
    ClaimRules, Error, Issuer, KeySet, KeySource, Keys, Policy, PolicyBuilder, Secret, UnixTime,
    VerifiedToken,
};
use portcullis_testkit::{FixedClock, SigningKey, TestIssuer, TokenBuilder, hostile};
use serde::Deserialize;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;
const NAME: &str = "https://issuer.example";
/// The default leeway.
const LEEWAY: i64 = 30;

fn provider() -> TestIssuer {
    TestIssuer::new(NAME).at(NOW)
}

fn builder(clock: &FixedClock, keys: impl Into<Keys>) -> PolicyBuilder {
    let issuer = Issuer::new(NAME)
        .algorithms([ES256, HS256])
        .keys(keys.into().and(Secret::new(SECRET)))
        .audience(TestIssuer::AUDIENCE);
    Policy::builder().clock(clock.clone()).issuer(issuer)
}

/// So that both algorithms have a key.
const SECRET: [u8; 32] =
    *b"\x8f\x1b\x93\xd0\x62\xa7\x3c\xee\x05\x48\xf9\x7d\x21\xb6\xc4\x0e\x9a\x57\xe3\x6c\x10\xd8\x2f\x84\xbb\x4e\x71\xa9\x36\xfd\xc2\x15";

fn keys_of(provider: &TestIssuer) -> KeySet {
    KeySet::from_jwks(provider.jwks_of(&[ES256])).unwrap()
}

/// Hits, misses and deaths since the last time, and how many tokens are remembered now.
struct Tally<'p>(&'p Policy, TokenCacheStats);

impl<'p> Tally<'p> {
    fn of(policy: &'p Policy) -> Self {
        Self(policy, policy.token_cache_stats())
    }

    fn next(&mut self) -> (u64, u64, u64, usize) {
        let (old, new) = (self.1, self.0.token_cache_stats());
        self.1 = new;
        (new.hits - old.hits, new.misses - old.misses, new.deaths - old.deaths, new.tokens)
    }
}

fn refusal(policy: &Policy, token: &str) -> Option<Error> {
    policy.verify_token_now(token).err()
}

#[test]
fn a_token_that_comes_again_is_a_hit_and_the_same_token() {
    let provider = provider();
    let policy = builder(&FixedClock::at(NOW), keys_of(&provider)).build().unwrap();
    let token = provider.token(ES256).subject("alice").mint();
    let mut tally = Tally::of(&policy);
    let first = policy.verify_token_now(&token).unwrap();
    assert_eq!(tally.next(), (0, 1, 0, 1));
    for _ in 0..3 {
        let again = policy.verify_token_now(&token).unwrap();
        assert_eq!(again.subject(), Some("alice"));
        assert_eq!(again.claims_json().as_ptr(), first.claims_json().as_ptr());
    }
    assert_eq!(tally.next(), (3, 0, 0, 1));
}

#[test]
fn nothing_is_remembered_where_the_policy_says_so() {
    let provider = provider();
    let policy = builder(&FixedClock::at(NOW), keys_of(&provider)).token_cache(0).build().unwrap();
    let token = provider.token(ES256).mint();
    let first = policy.verify_token_now(&token).unwrap();
    let again = policy.verify_token_now(&token).unwrap();
    assert_ne!(again.claims_json().as_ptr(), first.claims_json().as_ptr());
    assert_eq!(policy.token_cache_stats(), TokenCacheStats::default());
}

#[test]
fn a_refusal_is_not_remembered() {
    let provider = provider();
    let policy = builder(&FixedClock::at(NOW), keys_of(&provider)).build().unwrap();
    let forged = provider.impostor().token(ES256).mint();
    let expired = provider.token(ES256).expired().mint();
    let mut tally = Tally::of(&policy);
    for _ in 0..2 {
        assert_eq!(refusal(&policy, &forged), Some(SignatureError::new().into()));
        assert!(matches!(refusal(&policy, &expired), Some(Error::Claims(_))));
        assert!(matches!(refusal(&policy, "a.b.c"), Some(Error::Token(_))));
    }
    assert_eq!(tally.next(), (0, 6, 0, 0));
}

mod dies_of {
    use super::*;

    #[test]
    fn its_expiry_once_the_leeway_is_over() {
        let provider = provider();
        let clock = FixedClock::at(NOW);
        let policy = builder(&clock, keys_of(&provider)).build().unwrap();
        let token = provider.token(ES256).expires_at(NOW + 300).mint();
        assert_eq!(refusal(&policy, &token), None);
        let mut tally = Tally::of(&policy);
        clock.set(NOW + 300 + LEEWAY - 1);
        assert_eq!(refusal(&policy, &token), None);
        assert_eq!(tally.next(), (1, 0, 0, 1));
        let now = UnixTime(NOW + 300 + LEEWAY);
        clock.set(now.0);
        let expired = ClaimsError::Expired { at: UnixTime(NOW + 300), now };
        assert_eq!(refusal(&policy, &token), Some(expired.into()));
        assert_eq!(tally.next(), (0, 1, 1, 0));
    }

    #[test]
    fn a_clock_that_goes_back_before_its_time() {
        let provider = provider();
        let clock = FixedClock::at(NOW);
        let policy = builder(&clock, keys_of(&provider)).build().unwrap();
        let tokens = [
            provider.token(ES256).claim("nbf", NOW).mint(),
            provider.token(ES256).claim("iat", NOW).mint(),
        ];
        for token in &tokens {
            assert_eq!(refusal(&policy, token), None);
            clock.set(NOW - LEEWAY);
            assert_eq!(refusal(&policy, token), None);
            clock.set(NOW - LEEWAY - 1);
            assert!(refusal(&policy, token).is_some());
            clock.set(NOW);
        }
    }

    #[test]
    fn its_age() {
        let provider = provider();
        let clock = FixedClock::at(NOW);
        let limit = Duration::from_secs(60);
        let policy = builder(&clock, keys_of(&provider)).max_age(limit).build().unwrap();
        let token = provider.token(ES256).claim("iat", NOW).expires_at(NOW + 600).mint();
        assert_eq!(refusal(&policy, &token), None);
        clock.set(NOW + 60 + LEEWAY);
        assert_eq!(refusal(&policy, &token), None);
        clock.set(NOW + 60 + LEEWAY + 1);
        let age = Duration::from_secs(91);
        assert_eq!(refusal(&policy, &token), Some(ClaimsError::TooOld { age, limit }.into()));
    }

    #[test]
    fn its_secrets_accept_until() {
        let clock = FixedClock::at(NOW);
        let key = SigningKey::generate(HS256);
        let secret = Secret::new(key.secret().unwrap().to_vec()).accept_until(UnixTime(NOW + 10));
        let issuer = Issuer::new(NAME)
            .algorithms([HS256])
            .keys([secret, Secret::new(SECRET)])
            .audience(TestIssuer::AUDIENCE);
        let policy = Policy::builder().clock(clock.clone()).issuer(issuer).build().unwrap();
        let token = provider().token(HS256).without_header("kid").signed_by(&key).mint();
        assert_eq!(refusal(&policy, &token), None);
        clock.set(NOW + 9);
        assert_eq!(refusal(&policy, &token), None);
        clock.set(NOW + 10);
        assert_eq!(refusal(&policy, &token), Some(SignatureError::new().into()));
    }

    /// Keys that come and go without a word.
    #[derive(Clone, Debug)]
    struct Own(Arc<Mutex<KeySet>>);

    impl KeySource for Own {
        fn keys(&self) -> KeySet {
            self.0.lock().unwrap().clone()
        }
    }

    #[test]
    fn a_key_that_a_source_of_ones_own_no_longer_has() {
        let provider = provider();
        let own = Own(Arc::new(Mutex::new(keys_of(&provider))));
        let policy = builder(&FixedClock::at(NOW), Keys::source(own.clone())).build().unwrap();
        let token = provider.token(ES256).mint();
        assert_eq!(refusal(&policy, &token), None);
        // The same key, read anew.
        *own.0.lock().unwrap() = keys_of(&provider);
        let mut tally = Tally::of(&policy);
        assert_eq!(refusal(&policy, &token), None);
        assert_eq!(tally.next(), (1, 0, 0, 1));
        *own.0.lock().unwrap() = keys_of(&provider.impostor());
        assert_eq!(refusal(&policy, &token), Some(SignatureError::new().into()));
        assert_eq!(tally.next(), (0, 1, 1, 0));
    }

    #[test]
    fn a_key_that_its_file_no_longer_has() {
        let provider = provider();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwks.json");
        std::fs::write(&path, provider.jwks_of(&[ES256])).unwrap();
        let file = portcullis::KeyFile::jwks(&path).open().unwrap();
        let policy = builder(&FixedClock::at(NOW), file.clone()).build().unwrap();
        let token = provider.token(ES256).mint();
        assert_eq!(refusal(&policy, &token), None);
        std::fs::write(&path, provider.impostor().jwks_of(&[ES256])).unwrap();
        file.reload().unwrap();
        assert_eq!(refusal(&policy, &token), Some(SignatureError::new().into()));
        assert_eq!(policy.token_cache_stats().tokens, 0);
    }

    #[test]
    fn a_predicate_that_no_longer_holds() {
        #[derive(Deserialize)]
        struct Subject {
            sub: String,
        }
        let provider = provider();
        let banned = Arc::new(Mutex::new(String::new()));
        let list = Arc::clone(&banned);
        let rules = ClaimRules::new()
            .predicate::<Subject>("not banned", move |user| user.sub != *list.lock().unwrap());
        let policy =
            builder(&FixedClock::at(NOW), keys_of(&provider)).claims(rules).build().unwrap();
        let token = provider.token(ES256).subject("mallory").mint();
        assert_eq!(refusal(&policy, &token), None);
        assert_eq!(refusal(&policy, &token), None);
        "mallory".clone_into(&mut banned.lock().unwrap());
        assert_eq!(refusal(&policy, &token).map(|error| error.reason()), Some("claim_rule"));
    }

    #[test]
    fn its_policy_and_is_unknown_to_any_other() {
        let provider = provider();
        let clock = FixedClock::at(NOW);
        let keys = keys_of(&provider);
        let policy = builder(&clock, keys.clone()).build().unwrap();
        let token = provider.token(ES256).mint();
        assert_eq!(refusal(&policy, &token), None);
        // The same keys, and a rule that the token does not meet.
        let strict = builder(&clock, keys).require("department").build().unwrap();
        let mut tally = Tally::of(&strict);
        assert_eq!(refusal(&strict, &token).map(|error| error.reason()), Some("claim_missing"));
        assert_eq!(tally.next(), (0, 1, 0, 0));
        // A clone is the same policy.
        let clone = policy.clone().allow_anonymous();
        assert_eq!(refusal(&clone, &token), None);
        assert_eq!(policy.token_cache_stats().hits, 1);
    }

    #[cfg(feature = "remote-jwks")]
    #[tokio::test(start_paused = true)]
    async fn its_issuer_which_gave_way_to_another() {
        let tenant = |name: &str| TestIssuer::new(format!("https://id.example/{name}/")).at(NOW);
        let (acme, umbrella) = (tenant("acme"), tenant("umbrella"));
        let own = Own(Arc::new(Mutex::new(keys_of(&acme))));
        let issuer = Issuer::template("https://id.example/{tenant}/")
            .algorithms([ES256])
            .keys(Keys::source(own.clone()))
            .audience(TestIssuer::AUDIENCE)
            .max_tenants(1)
            .tenant_burst(1)
            .tenant_interval(Duration::from_secs(1));
        let policy = Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer).build().unwrap();
        let token = acme.token(ES256).mint();
        assert_eq!(refusal(&policy, &token), None);
        assert_eq!(refusal(&policy, &token), None);
        assert_eq!(policy.token_cache_stats().hits, 1);
        // Without keys it gives way; the next one finds some.
        *own.0.lock().unwrap() = KeySet::empty();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(refusal(&policy, &umbrella.token(ES256).mint()), Some(KeyError::Unknown.into()));
        // It has a token that verifies, and so the only place.
        *own.0.lock().unwrap() = keys_of(&umbrella);
        assert_eq!(refusal(&policy, &umbrella.token(ES256).mint()), None);
        *own.0.lock().unwrap() = keys_of(&acme);
        let reason = refusal(&policy, &token).map(|error| error.reason());
        assert_eq!(reason, Some("keys_unavailable"), "there is no room for it");
    }
}

/// What was revoked, as a fleet's picture of it: a set of token ids, and what becomes of a question.
#[derive(Clone, Debug, Default)]
struct Revoked(Arc<State>);

#[derive(Debug, Default)]
struct State {
    ids: Mutex<Vec<String>>,
    generation: AtomicU64,
    cannot_tell_changes: AtomicBool,
    answers_later: AtomicBool,
    is_down: AtomicBool,
    asked: AtomicUsize,
}

impl Revoked {
    fn revoke(&self, id: &str) {
        self.0.ids.lock().unwrap().push(id.to_owned());
        self.0.generation.fetch_add(1, Ordering::Release);
    }

    fn asked(&self) -> usize {
        self.0.asked.swap(0, Ordering::SeqCst)
    }
}

impl RevocationSource for Revoked {
    fn generation(&self) -> Option<u64> {
        let can_tell = !self.0.cannot_tell_changes.load(Ordering::SeqCst);
        can_tell.then(|| self.0.generation.load(Ordering::Acquire))
    }

    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        let is_revoked =
            self.0.ids.lock().unwrap().iter().any(|id| token.token_id() == Some(&**id));
        let is_down = self.0.is_down.load(Ordering::SeqCst);
        if self.0.answers_later.load(Ordering::SeqCst) {
            let answer = if is_down { Err(Default::default()) } else { Ok(is_revoked) };
            RevocationStatus::Later(Box::pin(async move {
                tokio::task::yield_now().await;
                answer
            }))
        } else if is_down {
            RevocationStatus::Unavailable(Default::default())
        } else if is_revoked {
            RevocationStatus::Revoked
        } else {
            RevocationStatus::Active
        }
    }
}

mod revocation {
    use super::*;

    const REVOKED: Error = Error::Revocation(RevocationError::Revoked);

    fn unavailable() -> Error {
        RevocationError::Unavailable(Default::default()).into()
    }

    fn token(provider: &TestIssuer, id: &str) -> TokenBuilder {
        provider.token(ES256).claim("jti", id)
    }

    #[test]
    fn counts_with_the_next_request_also_for_a_remembered_token() {
        let (provider, revoked) = (provider(), Revoked::default());
        let policy = builder(&FixedClock::at(NOW), keys_of(&provider))
            .revocation_source(revoked.clone())
            .build()
            .unwrap();
        let (good, bad) = (token(&provider, "good").mint(), token(&provider, "bad").mint());
        for _ in 0..3 {
            assert_eq!((refusal(&policy, &good), refusal(&policy, &bad)), (None, None));
        }
        assert_eq!(revoked.asked(), 2, "once for each token, while nothing changes");
        revoked.revoke("bad");
        let mut tally = Tally::of(&policy);
        assert_eq!((refusal(&policy, &good), refusal(&policy, &bad)), (None, Some(REVOKED)));
        assert_eq!(revoked.asked(), 2, "each again, once");
        assert_eq!(tally.next(), (1, 1, 1, 1));
        assert_eq!((refusal(&policy, &good), refusal(&policy, &bad)), (None, Some(REVOKED)));
        // The good one is known to be good; the revoked one is not remembered.
        assert_eq!(revoked.asked(), 1);
    }

    #[test]
    fn is_asked_for_every_request_where_nobody_can_tell_changes() {
        let (provider, revoked) = (provider(), Revoked::default());
        revoked.0.cannot_tell_changes.store(true, Ordering::SeqCst);
        let policy = builder(&FixedClock::at(NOW), keys_of(&provider))
            .revocation_source(revoked.clone())
            .build()
            .unwrap();
        let token = token(&provider, "a").mint();
        for _ in 0..3 {
            assert_eq!(refusal(&policy, &token), None);
        }
        assert_eq!(revoked.asked(), 3);
        assert_eq!(policy.token_cache_stats().hits, 2, "and the signature is not checked again");
    }

    #[test]
    fn that_cannot_be_told_is_a_503_and_costs_a_remembered_token_nothing() {
        let (provider, revoked) = (provider(), Revoked::default());
        let policy = builder(&FixedClock::at(NOW), keys_of(&provider))
            .revocation_source(revoked.clone())
            .build()
            .unwrap();
        let token = token(&provider, "a").mint();
        assert_eq!(refusal(&policy, &token), None);
        revoked.0.is_down.store(true, Ordering::SeqCst);
        revoked.0.generation.fetch_add(1, Ordering::SeqCst);
        let mut tally = Tally::of(&policy);
        for _ in 0..2 {
            assert_eq!(refusal(&policy, &token), Some(unavailable()));
        }
        revoked.0.is_down.store(false, Ordering::SeqCst);
        assert_eq!(refusal(&policy, &token), None);
        assert_eq!(tally.next(), (3, 0, 0, 1), "no signature was checked for any of them");
    }

    #[tokio::test]
    async fn that_comes_later_is_waited_for() {
        let (provider, revoked) = (provider(), Revoked::default());
        revoked.0.answers_later.store(true, Ordering::SeqCst);
        let policy = builder(&FixedClock::at(NOW), keys_of(&provider))
            .revocation_source(revoked.clone())
            .build()
            .unwrap();
        let token = token(&provider, "a").mint();
        assert_eq!(refusal(&policy, &token), Some(unavailable()), "it does not wait");
        let verified = policy.verify_token(&token).await.unwrap();
        assert_eq!(policy.recheck(&verified).await, Ok(()));
        assert_eq!(policy.recheck_now(&verified), Err(unavailable()));
        revoked.asked();
        // Remembered, under a generation that stands: nobody is asked.
        assert_eq!(refusal(&policy, &token), None);
        assert_eq!(revoked.asked(), 0);
        revoked.revoke("a");
        assert_eq!(policy.verify_token(&token).await.err(), Some(REVOKED));
        assert_eq!(policy.recheck(&verified).await, Err(REVOKED));
        revoked.0.is_down.store(true, Ordering::SeqCst);
        assert_eq!(policy.verify_token(&token).await.err(), Some(unavailable()));
        assert_eq!(policy.recheck(&verified).await, Err(unavailable()));
    }

    #[tokio::test]
    async fn of_several_sources_each_is_asked_and_one_that_knows_is_enough() {
        let provider = provider();
        let (one, other) = (Revoked::default(), Revoked::default());
        let policy = builder(&FixedClock::at(NOW), keys_of(&provider))
            .revocation_source(one.clone())
            .revocation_source(other.clone())
            .build()
            .unwrap();
        let token = token(&provider, "a").mint();
        assert_eq!(refusal(&policy, &token), None);
        one.0.is_down.store(true, Ordering::SeqCst);
        one.0.generation.fetch_add(1, Ordering::SeqCst);
        assert_eq!(refusal(&policy, &token), Some(unavailable()));
        other.revoke("a");
        assert_eq!(refusal(&policy, &token), Some(REVOKED));
        other.0.answers_later.store(true, Ordering::SeqCst);
        assert_eq!(policy.verify_token(&token).await.err(), Some(unavailable()));
        one.0.is_down.store(false, Ordering::SeqCst);
        assert_eq!(policy.verify_token(&token).await.err(), Some(REVOKED));
    }

    /// Revokes while it is asked, after it looked.
    #[derive(Debug, Default)]
    struct Late(AtomicU64, AtomicUsize);

    impl RevocationSource for Late {
        fn generation(&self) -> Option<u64> {
            Some(self.0.load(Ordering::Acquire))
        }

        fn status(&self, _: &VerifiedToken) -> RevocationStatus {
            if self.1.fetch_add(1, Ordering::SeqCst) == 0 {
                self.0.fetch_add(1, Ordering::Release);
                RevocationStatus::Active
            } else {
                RevocationStatus::Revoked
            }
        }
    }

    #[test]
    fn that_comes_while_the_source_is_asked_counts_with_the_next_request() {
        let provider = provider();
        let policy = builder(&FixedClock::at(NOW), keys_of(&provider))
            .revocation_source(Late::default())
            .build()
            .unwrap();
        let token = provider.token(ES256).mint();
        assert_eq!(refusal(&policy, &token), None);
        assert_eq!(refusal(&policy, &token), Some(REVOKED));
    }

    #[tokio::test]
    async fn while_its_answer_is_waited_for_a_token_can_expire() {
        #[derive(Debug)]
        struct Slow(FixedClock);
        impl RevocationSource for Slow {
            fn status(&self, _: &VerifiedToken) -> RevocationStatus {
                let clock = self.0.clone();
                RevocationStatus::Later(Box::pin(async move {
                    clock.advance(Duration::from_secs(3600));
                    Ok(false)
                }))
            }
        }
        let provider = provider();
        let clock = FixedClock::at(NOW);
        let policy = builder(&clock, keys_of(&provider))
            .revocation_source(Slow(clock.clone()))
            .build()
            .unwrap();
        let token = provider.token(ES256).expires_at(NOW + 600).mint();
        let error = policy.verify_token(&token).await.expect_err("it expired");
        assert_eq!(error.reason(), "expired");
        clock.set(NOW);
        let patient = builder(&clock, keys_of(&provider)).build().unwrap();
        let verified = patient.verify_token(&token).await.unwrap();
        clock.set(NOW + 3600);
        assert_eq!(patient.recheck(&verified).await.unwrap_err().reason(), "expired");
        assert_eq!(policy.token_cache_stats().tokens, 0);
    }
}

#[test]
fn a_token_with_another_signature_is_another_token() {
    let provider = provider();
    let policy = builder(&FixedClock::at(NOW), keys_of(&provider)).build().unwrap();
    let token = provider.token(ES256).mint();
    let mut tally = Tally::of(&policy);
    assert_eq!(refusal(&policy, &token), None);
    // It is as good, and verified for itself.
    assert_eq!(refusal(&policy, &hostile::ecdsa_twin(&token)), None);
    assert_eq!(tally.next(), (0, 2, 0, 2));
    // Respelled: the last character has four bits that say nothing.
    let (rest, last) = token.split_at(token.len() - 1);
    for other in (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"-_") {
        let respelled = format!("{rest}{}", char::from(other));
        let accepted = refusal(&policy, &respelled).is_none();
        assert_eq!(accepted, respelled.ends_with(last), "{}", char::from(other));
    }
    assert!(refusal(&policy, &format!("{token}=")).is_some());
    assert!(refusal(&policy, &format!("{token} ")).is_some());
}

#[test]
fn a_byte_changed_anywhere_is_another_token() {
    let provider = provider();
    let policy = builder(&FixedClock::at(NOW), keys_of(&provider)).build().unwrap();
    let token = provider.token(HS256).without_header("kid").signed_by(&own_secret()).mint();
    assert_eq!(refusal(&policy, &token), None);
    let hits = policy.token_cache_stats().hits;
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(refusal(&policy, &changed).is_some(), "byte {at}");
        assert!(refusal(&policy, &token[..at]).is_some(), "the first {at} bytes");
        assert!(refusal(&policy, &token[at + 1..]).is_some(), "without the first {}", at + 1);
    }
    assert_eq!(policy.token_cache_stats().hits, hits);
    assert_eq!(policy.token_cache_stats().tokens, 1);
}

fn own_secret() -> SigningKey {
    SigningKey::from_secret(HS256, SECRET)
}

#[test]
fn the_same_signature_under_other_claims_is_no_hit() {
    let provider = provider();
    let policy = builder(&FixedClock::at(NOW), keys_of(&provider)).build().unwrap();
    let (alice, root) =
        (provider.token(ES256).subject("alice").mint(), provider.token(ES256).subject("root"));
    assert_eq!(refusal(&policy, &alice), None);
    let signature = alice.rsplit_once('.').unwrap().1;
    let root = root.mint();
    let forged = format!("{}.{signature}", root.rsplit_once('.').unwrap().0);
    // Both have the bytes that the look-up starts from.
    assert_eq!(refusal(&policy, &forged), Some(SignatureError::new().into()));
}

mod bounds {
    use super::*;

    /// Tokens that are cheap to verify.
    fn tokens(count: usize) -> impl Iterator<Item = String> {
        let (provider, key) = (provider(), own_secret());
        (0..count).map(move |n| {
            let token = provider.token(HS256).without_header("kid").claim("n", n);
            token.signed_by(&key).mint()
        })
    }

    fn policy() -> Policy {
        let keys = keys_of(&provider());
        builder(&FixedClock::at(NOW), keys).token_cache(1 << 20).build().unwrap()
    }

    #[test]
    fn it_never_holds_more_bytes_than_it_may() {
        let policy = policy();
        for token in tokens(3_000) {
            assert_eq!(refusal(&policy, &token), None);
            let stats = policy.token_cache_stats();
            assert!(stats.bytes <= stats.capacity && stats.capacity == 1 << 20, "{stats:?}");
        }
        let stats = policy.token_cache_stats();
        assert_eq!(stats.misses, 3_000);
        assert_eq!(stats.tokens as u64 + stats.evictions, 3_000);
        assert!(stats.evictions > 1_000, "{stats:?}");
    }

    #[test]
    fn a_flood_of_one_time_tokens_does_not_empty_it() {
        let policy = policy();
        let hot: Vec<_> = tokens(100).collect();
        for token in hot.iter().chain(&hot) {
            assert_eq!(refusal(&policy, token), None);
        }
        for (n, token) in tokens(10_000).enumerate().skip(100) {
            assert_eq!(refusal(&policy, &token), None);
            // Each of the hot ones comes again with every hundredth other.
            assert_eq!(refusal(&policy, &hot[n % 100]), None);
        }
        let mut tally = Tally::of(&policy);
        for token in &hot {
            assert_eq!(refusal(&policy, token), None);
        }
        let (hits, ..) = tally.next();
        assert!(hits >= 95, "{hits} of 100 are still there");
    }

    #[test]
    fn a_token_too_large_for_it_is_verified_each_time() {
        let provider = provider();
        let policy = builder(&FixedClock::at(NOW), keys_of(&provider))
            .token_cache(1 << 20)
            .token_limit(64 * 1024)
            .build()
            .unwrap();
        let numbers = Value::from(vec![7; 12_000]);
        let token = provider.token(ES256).claim("numbers", numbers).mint();
        let small = policy.verify_token_now(provider.token(ES256).mint()).unwrap();
        assert_eq!(refusal(&policy, &token), None);
        assert_eq!(policy.token_cache_stats().tokens, 2);
        // Read as a tree it takes too much, and so it gives way as soon as handlers read trees.
        small.claims::<Value>().unwrap();
        for _ in 0..3 {
            let large = policy.verify_token_now(&token).unwrap();
            large.claims::<Value>().unwrap();
        }
        assert_eq!((policy.token_cache_stats().hits, policy.token_cache_stats().tokens), (1, 1));
    }

    #[test]
    fn what_claims_can_take_is_counted_once_a_handler_has_read_them() {
        let provider = provider();
        let bytes_of = |token: TokenBuilder| {
            let keys = keys_of(&provider);
            let policy = builder(&FixedClock::at(NOW), keys).build().unwrap();
            let token = token.mint();
            let verified = policy.verify_token_now(&token).unwrap();
            let unread = policy.token_cache_stats().bytes;
            // Not counted yet, and so not kept.
            let one = verified.claims::<Value>().unwrap();
            assert!(!Arc::ptr_eq(&one, &verified.claims::<Value>().unwrap()));
            assert_eq!(policy.token_cache_stats().bytes, unread);
            // Counted when it comes again, and kept from then on.
            let again = policy.verify_token_now(&token).unwrap();
            let read = policy.token_cache_stats().bytes;
            let one = again.claims::<Value>().unwrap();
            assert!(Arc::ptr_eq(&one, &verified.claims::<Value>().unwrap()));
            assert_eq!(policy.token_cache_stats().bytes, read);
            assert_eq!(
                (policy.token_cache_stats().hits, policy.token_cache_stats().tokens),
                (1, 1)
            );
            (unread, read)
        };
        let (unread, small) = bytes_of(provider.token(ES256));
        assert!(unread < 1536 && small < 4096, "{unread} {small}");
        let bytes_of = |token| bytes_of(token).1;
        // A number in a tree of values takes 16 times what it takes as text.
        let numbers = bytes_of(provider.token(ES256).claim("n", vec![7; 1_000]));
        assert!(numbers > small + 1_000 * 32, "{numbers}");
        // Strings with escapes do not stand in the text.
        let escaped = |length| provider.token(ES256).subject("é\n".repeat(length));
        let (short, long) = (bytes_of(escaped(1)), bytes_of(escaped(501)));
        // In the token, decoded, as claims, and by itself.
        assert!(long > short + 500 * (5 + 4 + 4 + 3), "{short} {long}");
    }
}

#[test]
fn no_request_waits_for_the_verification_of_anothers() {
    const LONG: Duration = Duration::from_secs(10);
    let provider = provider();
    let (begun, begins) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel();
    let goes_on = Mutex::new(Some(goes_on));
    // The first to ask stays until it is told to go on.
    let rules = ClaimRules::new().predicate::<Value>("takes its time", move |_| {
        let first = goes_on.lock().unwrap().take();
        if let Some(goes_on) = first {
            begun.send(()).unwrap();
            goes_on.recv_timeout(LONG).unwrap();
        }
        true
    });
    let policy = builder(&FixedClock::at(NOW), keys_of(&provider)).claims(rules).build().unwrap();
    let token = provider.token(ES256).mint();
    thread::scope(|scope| {
        let slow = scope.spawn(|| refusal(&policy, &token));
        begins.recv_timeout(LONG).unwrap();
        let (done, is_done) = mpsc::channel();
        let (policy, token) = (&policy, &token);
        scope.spawn(move || {
            // In full, and then remembered.
            let refused = [refusal(policy, token), refusal(policy, token)];
            done.send(refused).unwrap();
        });
        assert_eq!(is_done.recv_timeout(LONG), Ok([None, None]));
        go_on.send(()).unwrap();
        assert_eq!(slow.join().unwrap(), None);
    });
    let stats = policy.token_cache_stats();
    assert_eq!((stats.misses, stats.hits, stats.tokens), (2, 1, 1));
}

#[test]
fn tokens_that_come_and_go_on_many_threads_are_never_accepted_after_their_key_is_withdrawn() {
    const KEYS: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let provider = provider();
    let keys: Vec<_> = (0..KEYS).map(|_| SigningKey::generate(ES256)).collect();
    let jwks = |from: usize| {
        let keys: Vec<_> = keys[from..].iter().map(|key| key.public_jwk().unwrap()).collect();
        json!({ "keys": keys }).to_string()
    };
    std::fs::write(&path, jwks(0)).unwrap();
    let file = portcullis::KeyFile::jwks(&path).open().unwrap();
    let policy = builder(&FixedClock::at(NOW), file.clone()).build().unwrap();
    let tokens: Vec<Vec<_>> = keys
        .iter()
        .map(|key| {
            let token = |n: usize| provider.token(ES256).claim("n", n).signed_by(key).mint();
            (0..4).map(token).collect()
        })
        .collect();
    // How many keys are withdrawn for certain.
    let withdrawn = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let gone = withdrawn.load(Ordering::SeqCst);
                    for (index, tokens) in tokens.iter().enumerate() {
                        for token in tokens {
                            let is_accepted = refusal(&policy, token).is_none();
                            assert!(!is_accepted || index >= gone, "key {index} of {gone}");
                        }
                    }
                    if gone == KEYS - 1 {
                        break;
                    }
                }
            });
        }
        for gone in 1..KEYS {
            std::fs::write(&path, jwks(gone)).unwrap();
            file.reload().unwrap();
            withdrawn.store(gone, Ordering::SeqCst);
        }
    });
    assert!(policy.token_cache_stats().hits > 0);
    assert_eq!(policy.token_cache_stats().tokens, 4, "those of the last key");
}

#[test]
fn debug_shows_no_token() {
    let provider = provider();
    let policy = builder(&FixedClock::at(NOW), keys_of(&provider)).build().unwrap();
    assert_eq!(refusal(&policy, &provider.token(ES256).mint()), None);
    let shown = format!("{policy:?} {:?}", policy.token_cache_stats());
    assert!(shown.contains("tokens: 1") && !shown.contains("eyJ"), "{shown}");
}

#[test]
fn every_algorithm_is_remembered() {
    for &algorithm in Algorithm::ALL {
        let provider = provider();
        let issuer = provider.trusted(&[algorithm]);
        let policy = Policy::builder().clock(FixedClock::at(NOW)).issuer(issuer).build().unwrap();
        let token = provider.token(algorithm).mint();
        let mut tally = Tally::of(&policy);
        assert_eq!((refusal(&policy, &token), refusal(&policy, &token)), (None, None));
        assert_eq!(tally.next(), (1, 1, 0, 1), "{algorithm}");
    }
}
