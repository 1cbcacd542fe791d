use super::*;

/// From here on, whoever fetches keys does not come to it: its thread is blocked, or stayed behind in the process that
/// this one was forked from.
fn pass_unseen(time: Duration) {
    let mut passing = core::pin::pin!(tokio::time::advance(time));
    let _ = passing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn keys_do_not_serve_beyond_their_time_though_nobody_comes_to_take_them_away() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().expect("a runtime");
    let (signer, other) = (Signer::new("a"), Signer::new("b"));
    let (rig, policy, verified) = runtime.block_on(async {
        let rig = Rig::new();
        rig.load(Reply::set([signer.jwk()])).await;
        let policy = rig.policy();
        let verified = policy.verify_token(signer.token()).await.expect("a good token");
        (rig, policy, verified)
    });
    let _context = runtime.enter();
    let remembered = signer.token();
    let left = DAY - rig.remote.health().age.expect("keys");
    pass_unseen(left - MILLISECOND);
    assert_eq!(at_once(&policy, &remembered), Some(Ok(())));
    assert_eq!(policy.recheck_now(&verified), Ok(()));
    pass_unseen(MILLISECOND);
    let unavailable = || Err(KeyError::Unavailable(KeysUnavailable::default()).into());
    // One that is remembered, one that is not, and an open connection.
    assert!(!matches!(at_once(&policy, &remembered), Some(Ok(()))));
    assert!(!matches!(at_once(&policy, &signer.token()), Some(Ok(()))));
    assert_eq!(policy.recheck_now(&verified), unavailable());
    let health = rig.remote.health();
    assert_eq!((health.serves, health.keys), (false, 0));
    // Who does not come within two seconds may never do: nobody waits for it.
    pass_unseen(3 * SECOND);
    for token in [&remembered, &signer.token(), &other.token()] {
        assert_eq!(at_once(&policy, token), Some(unavailable()));
    }
}
use crate::signature::SignatureError;

/// Finds out for how long answers with these headers are fresh: they are asked for anew at 80 % of
/// that, ±10 %.
async fn is_fresh_for(headers: &[(&str, &str)], time: Duration) {
    let rig = Rig::new();
    let set = Reply::ids(&["a"]);
    let set = headers.iter().fold(set, |set, (name, value)| set.with(name, value));
    rig.load(set).await;
    rig.pass(time * 72 / 100 - MILLISECOND).await;
    assert_eq!(rig.server.count(), 1, "{headers:?}");
    rig.pass(time * 16 / 100 + 3 * MILLISECOND).await;
    assert_eq!(rig.server.count(), 2, "{headers:?}");
    assert_eq!(rig.names(), ["refreshed", "unchanged"]);
}

#[tokio::test(start_paused = true)]
async fn a_set_is_fresh_for_5_minutes() {
    is_fresh_for(&[], 5 * MINUTE).await;
    is_fresh_for(&[("cache-control", "public")], 5 * MINUTE).await;
    is_fresh_for(&[("expires", "Thu, 01 Dec 2044 16:00:00 GMT")], 5 * MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_say_for_how_long_it_is_fresh_less_its_age() {
    is_fresh_for(&[("cache-control", "max-age=600")], 10 * MINUTE).await;
    is_fresh_for(&[("cache-control", "max-age=600"), ("age", "420")], 3 * MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_fresh_for_less_than_a_minute() {
    is_fresh_for(&[("cache-control", "max-age=59")], MINUTE).await;
    is_fresh_for(&[("cache-control", "max-age=0")], MINUTE).await;
    is_fresh_for(&[("cache-control", "max-age=600"), ("age", "600")], MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn no_answer_is_fresh_for_more_than_an_hour() {
    is_fresh_for(&[("cache-control", "max-age=3600")], HOUR).await;
    is_fresh_for(&[("cache-control", "max-age=3601")], HOUR).await;
    is_fresh_for(&[("cache-control", "max-age=86400")], HOUR).await;
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_stored_is_fresh_for_a_minute() {
    is_fresh_for(&[("cache-control", "no-store")], MINUTE).await;
    is_fresh_for(&[("cache-control", "no-cache, max-age=600")], MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn a_set_that_did_not_change_is_not_sent_again() {
    let rig = Rig::new();
    let tagged = Reply::ids(&["a"]).with("etag", "W/\"1\"").with("last-modified", "yesterday");
    rig.load(tagged).await;
    let first = rig.server.last();
    assert_eq!(first.header("accept"), Some("application/json, */*;q=0.5"));
    assert_eq!((first.header("if-none-match"), first.header("if-modified-since")), (None, None));
    let key = rig.key("a").unwrap();

    rig.server.answers(KEYS, Reply::status(304).with("cache-control", "max-age=1200"));
    rig.pass(5 * MINUTE).await;
    assert_eq!(rig.server.count(), 2);
    let second = rig.server.last();
    assert_eq!(second.header("if-none-match"), Some("W/\"1\""));
    assert_eq!(second.header("if-modified-since"), Some("yesterday"));
    assert_eq!(rig.names(), ["refreshed", "unchanged"]);
    assert!(Arc::ptr_eq(&key, &rig.key("a").unwrap()));
    assert!(key.is_live(Noon.now()));

    // It counts as a success, and says how fresh the set is.
    let health = rig.remote.health();
    assert!(health.age.unwrap() < 2 * MINUTE);
    assert_eq!((health.generation, health.failures, health.last_error), (1, 0, None));
    rig.pass(12 * MINUTE).await;
    assert_eq!(rig.server.count(), 2);

    // The validators are still those of the set at hand, and one that changed comes whole.
    rig.server.answers(KEYS, Reply::ids(&["b"]).with("etag", "\"2\""));
    rig.pass(6 * MINUTE).await;
    assert_eq!(rig.server.seen()[2].header("if-none-match"), Some("W/\"1\""));
    assert_eq!(rig.ids(), ["b"]);
    rig.pass(5 * MINUTE).await;
    let last = rig.server.last();
    assert_eq!(last.header("if-none-match"), Some("\"2\""));
    assert_eq!(last.header("if-modified-since"), None);
}

#[tokio::test(start_paused = true)]
async fn keys_live_on_where_every_answer_is_that_nothing_changed() {
    let rig = Rig::new();
    rig.load(Reply::ids(&["a"]).with("etag", "\"1\"")).await;
    rig.server.answers(KEYS, Reply::status(304));
    rig.pass(3 * DAY).await;
    assert_eq!(rig.ids(), ["a"]);
    assert!(rig.names()[1..].iter().all(|name| *name == "unchanged"));
}

#[tokio::test(start_paused = true)]
async fn word_of_no_change_that_was_not_asked_for_is_a_failure() {
    let rig = Rig::loaded(&["a"]).await;
    rig.server.answers(KEYS, Reply::status(304));
    let error = rig.remote.refresh_now().await.unwrap_err();
    assert_eq!(*error.fault(), KeyFetchFault::Fetch(FetchFault::Status { status: 304 }));
    assert_eq!(rig.ids(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_sent_again_with_the_same_keys_changes_nothing() {
    let rig = Rig::loaded(&["a", "b"]).await;
    let key = rig.key("a").unwrap();
    // In another order, and with one entry that is of no use.
    rig.server.answers(
        KEYS,
        Reply::set([
            jwk("p256", "b"),
            json!({ "kty": "AKP", "alg": "SLH-DSA", "kid": "c" }),
            jwk("p256", "a"),
        ]),
    );
    rig.remote.refresh_now().await.unwrap();
    assert_eq!(rig.names(), ["refreshed", "unchanged"]);
    let health = rig.remote.health();
    assert_eq!((health.generation, health.skipped.len()), (1, 1));
    assert!(Arc::ptr_eq(&key, &rig.key("a").unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_known_key_is_decided_about_at_once_while_a_fetch_hangs() {
    let (rig, signer) = (Rig::new(), Signer::new("a"));
    rig.load(Reply::set([signer.jwk()])).await;
    let (policy, token) = (rig.policy(), signer.token());
    rig.server.answers(KEYS, Reply::Hangs);
    let refresh = tokio::spawn({
        let remote = rig.remote.clone();
        async move { remote.refresh_now().await }
    });
    rig.rest().await;
    assert_eq!(rig.server.count(), 2);
    let waits = rig.spawn("b");
    rig.rest().await;
    assert!(!waits.is_finished() && !refresh.is_finished());
    assert_eq!(at_once(&policy, &token), Some(Ok(())));
    // And whatever went wrong before.
    rig.pass(23 * HOUR).await;
    assert_eq!(at_once(&policy, &token), Some(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_taken_away_is_refused_with_the_next_request() {
    let (rig, old, new) = (Rig::new(), Signer::new("old"), Signer::new("new"));
    rig.load(Reply::set([old.jwk(), new.jwk()])).await;
    let policy = rig.policy();
    let verified = policy.verify_token(old.token()).await.unwrap();
    assert_eq!(policy.recheck_now(&verified), Ok(()));

    rig.server.answers(KEYS, Reply::set([new.jwk()]));
    rig.remote.refresh_now().await.unwrap();
    // Refused, but only another answer without it can say that it is gone.
    let unavailable = KeysUnavailable::new().with_retry_after(Some(30 * SECOND));
    let doubtful: Error = KeyError::Unavailable(unavailable).into();
    assert_eq!(at_once(&policy, &old.token()), Some(Err(doubtful.clone())));
    assert_eq!(at_once(&policy, &new.token()), Some(Ok(())));
    // What was let in before is not either.
    assert_eq!(policy.recheck(&verified).await, Err(doubtful));
    rig.remote.refresh_now().await.unwrap();
    assert_eq!(at_once(&policy, &old.token()), Some(Err(KeyError::Unknown.into())));
    assert_eq!(policy.recheck(&verified).await, Err(KeyError::Withdrawn.into()));
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_makes_no_good_token_invalid() {
    let (rig, old, new) = (Rig::new(), Signer::new("old"), Signer::new("new"));
    rig.load(Reply::set([old.jwk(), new.jwk()])).await;
    let policy = rig.policy();
    rig.pass(MINUTE).await;
    // Of a node that is behind.
    rig.server.next(Reply::set([old.jwk()]));
    rig.remote.refresh_now().await.unwrap();
    for _ in 0..3 {
        let refused = policy.verify_token(new.token()).await.unwrap_err();
        assert!(matches!(refused, Error::Key(KeyError::Unavailable(_))), "{refused:?}");
        // One that never was there is invalid at once, as ever.
        let unknown = policy.verify_token(Signer::new("x").token()).await.unwrap_err();
        assert_eq!(unknown, KeyError::Unknown.into());
        rig.pass(9 * SECOND).await;
    }
    assert_eq!(at_once(&policy, &old.token()), Some(Ok(())));
    // The next fetch has been asked for, and comes from another node.
    rig.pass(4 * SECOND).await;
    assert_eq!(at_once(&policy, &new.token()), Some(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn the_same_id_with_other_material_is_another_key() {
    let (rig, old, new) = (Rig::new(), Signer::new("a"), Signer::new("a"));
    rig.load(Reply::set([old.jwk()])).await;
    let key = rig.key("a").unwrap();
    rig.server.answers(KEYS, Reply::set([new.jwk()]));
    rig.remote.refresh_now().await.unwrap();
    assert!(!key.is_live(Noon.now()));
    assert!(rig.key("a").unwrap().is_live(Noon.now()));
    assert_eq!(rig.remote.health().generation, 2);
    assert_eq!(at_once(&rig.policy(), &new.token()), Some(Ok(())));
    let refused = at_once(&rig.policy(), &old.token());
    assert_eq!(refused, Some(Err(SignatureError.into())));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_taken_away_is_kept_for_no_outage() {
    let rig = Rig::loaded(&["a", "b"]).await;
    let key = rig.key("a").unwrap();
    rig.server.answers(KEYS, Reply::ids(&["b"]));
    rig.remote.refresh_now().await.unwrap();
    rig.server.answers(KEYS, Reply::status(500));
    rig.remote.refresh_now().await.unwrap_err();
    assert_eq!(rig.ids(), ["b"]);
    assert!(!key.is_live(Noon.now()));
    let asked = rig.ask("a").await;
    assert!(matches!(asked, Err(KeysUnavailable { retry_after: Some(_), .. })), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_set_without_a_usable_key_does_not_take_over() {
    let rig = Rig::loaded(&["a"]).await;
    let private = |member: &str| {
        let mut key = jwk("p256", "b");
        key[member] = "AA".into();
        key
    };
    for (set, skipped) in [
        (Reply::set([]), vec![]),
        (
            Reply::set([private("d"), json!({ "kty": "oct", "k": "AA" })]),
            vec![
                (0, KeyFault::PrivateMember { member: "d" }),
                (1, KeyFault::PrivateMember { member: "k" }),
            ],
        ),
    ] {
        rig.server.answers(KEYS, set);
        let error = rig.remote.refresh_now().await.unwrap_err();
        assert_eq!(*error.fault(), KeyFetchFault::Keys(KeyFault::NoUsableKey { skipped }));
        assert_eq!(rig.ids(), ["a"]);
        assert_eq!(rig.remote.health().last_error, Some(error));
    }
    assert!(rig.key("a").unwrap().is_live(Noon.now()));
}

#[tokio::test(start_paused = true)]
async fn entries_of_no_use_cost_no_other_and_are_counted_with_a_reason() {
    let rig = Rig::new();
    let mut private = jwk("p256", "leaked");
    private["d"] = "AA".into();
    rig.load(Reply::set([private, json!({ "kty": "LWE" }), json!(7), jwk("p256", "a")])).await;
    assert_eq!(rig.ids(), ["a"]);
    let health = rig.remote.health();
    let skipped: Vec<_> = health.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(
        skipped,
        [
            "key 0 (`leaked`): it has the private or symmetric member `d`: publish only public keys, and replace this key",
            "key 1: its key type or curve is not supported",
            "key 2: this is a JSON value, and a JSON object is needed",
        ]
    );
    let Some(RemoteKeysEvent::Refreshed { keys, .. }) = rig.events().pop() else {
        panic!("no new keys")
    };
    assert_eq!(keys.skipped(), health.skipped);
}
