//! Tokens that are taken for one that was seen before.
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use portcullis::error::{ClaimsError, CrossSiteError, RevocationError, SignatureError};
use portcullis::keys::KeyError;
use portcullis::revocation::{RevocationSource, RevocationStatus};
use portcullis::{
    Algorithm, Error, Issuer, KeySet, KeySource, Keys, Policy, TokenSource, UnixTime, VerifiedToken,
};
use portcullis_attacks::{Door, NOW, issuer, policy_for, request, token, trusted, wrong_algorithm};
use portcullis_testkit::{FixedClock, TestIssuer, hostile};

use Algorithm::{ES256, EdDSA, HS256, RS256};

/// A door that has seen `seen`, and remembers it.
fn door_that_knows(seen: &str) -> Door {
    let door = Door::trusting(&[ES256, EdDSA, RS256]);
    door.admits(seen);
    door.admits(seen);
    assert_eq!(
        (door.policy().token_cache_stats().tokens, door.policy().token_cache_stats().hits),
        (1, 1)
    );
    door
}

#[test]
fn a_token_that_is_like_a_remembered_one_in_part_is_not_it() {
    for algorithm in [ES256, EdDSA, RS256] {
        let seen = token(algorithm).subject("alice").claim("jti", "1").mint();
        let door = door_that_knows(&seen);
        let (signed, signature) = seen.rsplit_once('.').expect("a token");
        let (header, payload) = signed.split_once('.').expect("a token");
        let root = token(algorithm).subject("root").claim("jti", "1").mint();
        let other: Vec<_> = root.split('.').collect();
        for (what, forged) in [
            ("its signature", format!("{}.{}.{signature}", other[0], other[1])),
            ("its header and signature", format!("{header}.{}.{signature}", other[1])),
            ("its header and payload", format!("{header}.{payload}.{}", other[2])),
            ("its id and header", hostile::flip_signature_bit(&root)),
        ] {
            door.refuses(what, forged, SignatureError::new());
        }
        // The first and the last bytes are the same.
        let middle = seen.len() / 2;
        let swapped = if seen.as_bytes()[middle] == b'A' { 'B' } else { 'A' };
        let changed = format!("{}{swapped}{}", &seen[..middle], &seen[middle + 1..]);
        let request = portcullis_attacks::bearer(changed.as_bytes()).expect("a header");
        let answer = door.send(request);
        assert_eq!((answer.status, answer.reached), (401, 0));
        // None of this made it forget, and none of it was remembered.
        let before = door.policy().token_cache_stats();
        door.admits(&seen);
        let after = door.policy().token_cache_stats();
        assert_eq!((after.tokens, after.hits), (1, before.hits + 1));
    }
}

#[test]
fn the_same_id_of_another_issuer_is_another_token() {
    let other = TestIssuer::new("https://other.example").at(NOW);
    let theirs = Issuer::new(other.name())
        .algorithms([ES256])
        .keys(KeySet::from_jwks(other.jwks_of(&[ES256])).expect("keys"))
        .audience(TestIssuer::AUDIENCE);
    let door = Door::new(policy_for([trusted(&[ES256]), theirs]));
    let [ours, theirs] =
        [issuer(), other].map(|issuer| issuer.token(ES256).subject("1").claim("jti", "1").mint());
    for _ in 0..2 {
        for (token, issuer) in [(&ours, "https://id.example"), (&theirs, "https://other.example")] {
            let verified = door.policy().verify_token_now(token).expect("a good token");
            assert_eq!(verified.issuer(), issuer);
        }
    }
    assert_eq!(door.policy().token_cache_stats().tokens, 2);
}

#[test]
fn a_token_under_another_algorithm_or_spelling_is_another_token() {
    let seen = token(ES256).mint();
    let door = door_that_knows(&seen);
    // It is as good as the other, and has to prove so.
    door.admits(&hostile::ecdsa_twin(&seen));
    assert_eq!(door.policy().token_cache_stats().tokens, 2);
    let none = token(ES256).header("alg", "none").mint();
    door.refuses("none", none, portcullis::error::TokenError::AlgorithmUnknown);
    let hmac = token(HS256).mint();
    door.refuses("a secret", hmac, wrong_algorithm(HS256, &[RS256, ES256, EdDSA]));
    for (what, respelled) in [
        ("padding", format!("{seen}=")),
        ("a line feed", format!("{seen}\n")),
        ("a dot", format!("{seen}.")),
        ("a space in front", format!(" {seen}")),
    ] {
        assert!(door.policy().verify_token_now(respelled).is_err(), "{what}");
    }
}

/// Keys that come and go without a word.
#[derive(Clone, Debug)]
struct Vault(Arc<Mutex<KeySet>>);

impl KeySource for Vault {
    fn keys(&self) -> KeySet {
        self.0.lock().expect("no panic").clone()
    }
}

/// Knows ids of tokens that were revoked, and whether it knows anything.
#[derive(Clone, Debug, Default)]
struct Denylist(Arc<(Mutex<HashSet<String>>, AtomicU64, AtomicBool)>);

impl Denylist {
    fn change(&self, change: impl FnOnce(&mut HashSet<String>)) {
        change(&mut self.0.0.lock().expect("no panic"));
        self.0.1.fetch_add(1, Ordering::Release);
    }
}

impl RevocationSource for Denylist {
    fn generation(&self) -> Option<u64> {
        Some(self.0.1.load(Ordering::Acquire))
    }

    fn status(&self, token: &VerifiedToken) -> RevocationStatus {
        let ids = self.0.0.lock().expect("no panic");
        if self.0.2.load(Ordering::SeqCst) {
            return RevocationStatus::Unavailable(Default::default());
        }
        match token.token_id() {
            Some(id) if !ids.contains(id) => RevocationStatus::Active,
            _ => RevocationStatus::Revoked,
        }
    }
}

#[test]
fn a_remembered_token_outlives_neither_its_key_nor_its_time_nor_its_revocation() {
    let keys = |issuer: &TestIssuer| KeySet::from_jwks(issuer.jwks_of(&[ES256])).expect("keys");
    let vault = Vault(Arc::new(Mutex::new(keys(&issuer()))));
    let denylist = Denylist::default();
    let clock = FixedClock::at(NOW);
    let policy = || {
        let issuer = Issuer::new(issuer().name())
            .algorithms([ES256])
            .keys(Keys::source(vault.clone()))
            .audience(TestIssuer::AUDIENCE);
        Policy::builder().clock(clock.clone()).issuer(issuer)
    };
    let door = Door::new(policy().revocation_source(denylist.clone()));
    let seen = token(ES256).claim("jti", "seen").expires_at(NOW + 300).mint();
    let twin = hostile::ecdsa_twin(&seen);
    let both = [&seen, &twin];
    let admits = || both.iter().for_each(|token| door.admits(token));
    let refuses = |what: &str, error: Error| {
        both.iter().for_each(|token| door.refuses(what, token, error.clone()));
    };

    admits();
    denylist.change(|ids| ids.extend(["seen".to_owned()]));
    refuses("revoked", RevocationError::Revoked.into());
    denylist.change(HashSet::clear);
    admits();

    denylist.0.2.store(true, Ordering::SeqCst);
    denylist.change(|_| {});
    for token in both {
        let request = portcullis_attacks::bearer(token.as_bytes()).expect("a header");
        let error = RevocationError::Unavailable(Default::default());
        door.refuses_request("nobody can tell", request, 503, error);
    }
    denylist.0.2.store(false, Ordering::SeqCst);
    admits();

    *vault.0.lock().expect("no panic") = keys(&issuer().impostor());
    refuses("another key", SignatureError::new().into());
    *vault.0.lock().expect("no panic") = KeySet::empty();
    refuses("no key", KeyError::Unknown.into());
    *vault.0.lock().expect("no panic") = keys(&issuer());
    admits();

    clock.advance(Duration::from_secs(330));
    let now = UnixTime(NOW + 330);
    refuses("expired", ClaimsError::Expired { at: UnixTime(NOW + 300), now }.into());

    // What one policy remembers is nothing to another.
    clock.set(NOW);
    admits();
    let strict = Door::new(policy().require("department"));
    for token in both {
        let error = strict.policy().verify_token_now(token).err();
        assert_eq!(error.map(|error| error.reason()), Some("claim_missing"));
    }
}

#[test]
fn a_flood_of_tokens_neither_fills_the_memory_nor_drives_out_those_that_come_again() {
    let door = Door::new(policy_for([trusted(&[EdDSA])]).token_cache(1 << 20));
    let hot = token(EdDSA).mint();
    for _ in 0..2 {
        door.admits(&hot);
    }
    // Whoever has an account can have tokens made; whoever has none can make bad ones.
    for n in 0..2_000 {
        let good = token(EdDSA).claim("n", n).mint();
        assert!(door.policy().verify_token_now(hostile::flip_signature_bit(&good)).is_err());
        assert!(door.policy().verify_token_now(&good).is_ok());
        if n % 50 == 0 {
            door.admits(&hot);
        }
        let stats = door.policy().token_cache_stats();
        assert!(stats.bytes <= 1 << 20);
    }
    let before = door.policy().token_cache_stats().hits;
    door.admits(&hot);
    assert_eq!(door.policy().token_cache_stats().hits, before + 1);
}

#[test]
fn a_remembered_cookie_is_no_leave_for_another_site() {
    let door = Door::new(
        policy_for([trusted(&[ES256])])
            .sources([TokenSource::bearer(), TokenSource::cookie("__Host-token")]),
    );
    let seen = token(ES256).mint();
    door.admits(&seen);
    let cookie = format!("__Host-token={seen}");
    let headers = [
        ("cookie", &*cookie),
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ];
    let sent = request("POST", &headers);
    door.refuses_request("cross-site", sent, 403, Error::CrossSite(CrossSiteError::new()));
    let bearer = format!("Bearer {seen}");
    let both = request("GET", &[("cookie", &*cookie), ("authorization", &*bearer)]);
    door.refuses_request("two", both, 400, portcullis::error::SourceError::Several);
}
