use super::*;

#[tokio::test(start_paused = true)]
async fn a_token_with_a_new_key_is_let_in_the_first_time() {
    let (rig, old, new) = (Rig::new(), Signer::new("old"), Signer::new("new"));
    rig.load(Reply::set([old.jwk()])).await;
    let policy = rig.policy();
    rig.pass(MINUTE).await;
    rig.server.answers(KEYS, Reply::set([old.jwk(), new.jwk()]).after(SECOND));
    assert_eq!(at_once(&policy, &new.token()), None);
    policy.verify_token(new.token()).await.unwrap();
    assert_eq!(rig.elapsed(), 61 * SECOND);
    assert_eq!(rig.server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn requests_share_one_fetch() {
    let rig = Rig::loaded(&["a"]).await;
    rig.pass(MINUTE).await;
    rig.server.answers(KEYS, Reply::ids(&["a", "b"]).after(SECOND));
    let mut requests = Vec::new();
    for at in 0..60 {
        requests.push((at % 2 == 0, rig.spawn(if at % 2 == 0 { "b" } else { "c" })));
        rig.pass(10 * MILLISECOND).await;
    }
    for (is_there, request) in requests {
        assert_eq!(request.await.unwrap(), (61 * SECOND, Ok(is_there)));
    }
    assert_eq!(rig.server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn all_handles_and_policies_share_one_set() {
    let (rig, signer) = (Rig::new(), Signer::new("a"));
    rig.server.answers(KEYS, Reply::set([signer.jwk()]).after(SECOND));
    let policies: Vec<_> = (0..8).map(|_| rig.policy()).collect();
    let verdicts: Vec<_> = policies
        .into_iter()
        .map(|policy| {
            let token = signer.token();
            tokio::spawn(async move { policy.verify_token(token).await.map(drop) })
        })
        .collect();
    for verdict in verdicts {
        assert_eq!(verdict.await.unwrap(), Ok(()));
    }
    assert_eq!(rig.server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn there_is_one_fetch_in_30_seconds_counted_from_the_last_attempt() {
    let rig = Rig::new();
    rig.load(Reply::ids(&["a"]).after(4 * SECOND)).await;
    assert_eq!(rig.elapsed(), 4 * SECOND);
    rig.server.answers(KEYS, Reply::ids(&["a"]));
    rig.rest().await;
    while rig.elapsed() < 121 * SECOND {
        // Known since: there is none, as far as the last success knows.
        assert_eq!(rig.ask("b").await, Ok(false));
        rig.pass(70 * MILLISECOND).await;
    }
    let at: Vec<_> = rig.server.seen().iter().map(|seen| seen.at - rig.start).collect();
    assert_eq!(at, [0, 30, 60, 90, 120].map(Duration::from_secs));
}

#[tokio::test(start_paused = true)]
async fn within_the_cool_down_the_answer_comes_at_once() {
    let rig = Rig::loaded(&["a"]).await;
    for _ in 0..1000 {
        assert!(rig.seek("b").is_none());
    }
    assert_eq!(rig.remote.health().throttled, 1000);
    assert_eq!(rig.elapsed(), Duration::ZERO);
    rig.rest().await;
    assert_eq!(rig.names(), ["refreshed", "unknown key", "throttled"]);
}

#[tokio::test(start_paused = true)]
async fn who_comes_shortly_before_the_cool_down_ends_waits_for_the_fetch() {
    let rig = Rig::loaded(&["a"]).await;
    rig.server.answers(KEYS, Reply::ids(&["a", "b"]));
    rig.pass_to(28 * SECOND - MILLISECOND).await;
    assert_eq!(rig.ask("b").await, Ok(false));
    assert_eq!(rig.elapsed(), 28 * SECOND - MILLISECOND);
    rig.pass(10 * MILLISECOND).await;
    assert_eq!(rig.ask("b").await, Ok(true));
    assert_eq!(rig.elapsed(), 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn invented_keys_hold_up_neither_a_refresh_nor_a_new_key() {
    let options = RemoteJwks::url(KEYS).cool_down(HOUR);
    let rig = Rig::with(options);
    rig.load(Reply::ids(&["a"])).await;
    rig.server.answers(KEYS, Reply::ids(&["b"]));
    // Whoever invents keys has used up all that these may cause.
    while rig.elapsed() < 265 * SECOND {
        for id in ["x", "y", "z"] {
            assert!(rig.seek(id).is_none() || rig.elapsed() > 200 * SECOND);
        }
        rig.pass(100 * MILLISECOND).await;
    }
    assert_eq!(rig.server.count(), 2);
    assert_eq!(rig.ids(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn at_most_64_requests_wait_and_others_are_answered_at_once() {
    let rig = Rig::loaded(&["a"]).await;
    rig.pass_to(MINUTE).await;
    rig.server.answers(KEYS, Reply::ids(&["a", "b"]).after(SECOND));
    let requests: Vec<_> = (0..64).map(|_| rig.spawn("b")).collect();
    for _ in 0..10 {
        let full = Err(KeysUnavailable::new().with_retry_after(Some(SECOND)));
        assert_eq!(rig.ask("b").await, full);
    }
    assert_eq!(rig.elapsed(), MINUTE);
    assert_eq!(rig.remote.health().throttled, 10);
    for request in requests {
        assert_eq!(request.await.unwrap(), (MINUTE + SECOND, Ok(true)));
    }
    assert_eq!(rig.server.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_frees_its_place_and_cancels_nothing() {
    let rig = Rig::with(RemoteJwks::url(KEYS).max_waiting_without_keys(2));
    rig.server.answers(KEYS, Reply::ids(&["a"]).after(SECOND));
    let dropped = rig.seek("a").unwrap();
    let other = rig.spawn("a");
    let full = Err(KeysUnavailable::new().with_retry_after(Some(SECOND)));
    assert_eq!(rig.ask("a").await, full);
    // One that was never polled, and one that was.
    drop(dropped);
    let mut dropped = rig.seek("a").unwrap();
    assert!(poll_once(&mut dropped).is_pending());
    assert_eq!(rig.ask("a").await, full);
    drop(dropped);
    let last = rig.spawn("a");
    assert_eq!(other.await.unwrap(), (SECOND, Ok(true)));
    assert_eq!(last.await.unwrap(), (SECOND, Ok(true)));
    assert_eq!(rig.server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_goes_on_without_the_request_that_caused_it() {
    let rig = Rig::new();
    rig.server.answers(KEYS, Reply::ids(&["a"]).after(SECOND));
    drop(rig.seek("a"));
    rig.pass(SECOND + MILLISECOND).await;
    assert_eq!(rig.ids(), ["a"]);
}

/// A fetch of an old set begins, the key is published, and a request comes for it.
async fn published_during_a_fetch(cool_down: Duration) -> (Rig, Result<bool, KeysUnavailable>) {
    let rig = Rig::with(RemoteJwks::url(KEYS).cool_down(cool_down));
    rig.load(Reply::ids(&["a"])).await;
    rig.pass_to(MINUTE).await;
    rig.server.next(Reply::ids(&["a"]).after(1_500 * MILLISECOND));
    rig.server.answers(KEYS, Reply::ids(&["a", "b"]));
    let refresh = tokio::spawn({
        let remote = rig.remote.clone();
        async move { remote.refresh_now().await }
    });
    rig.pass(MILLISECOND).await;
    let answer = rig.ask("b").await;
    assert_eq!(refresh.await.unwrap(), Ok(()));
    assert_eq!(rig.elapsed(), MINUTE + 1_500 * MILLISECOND);
    (rig, answer)
}

#[tokio::test(start_paused = true)]
async fn a_key_published_after_a_fetch_began_is_looked_for_again_where_the_cool_down_allows() {
    let (rig, answer) = published_during_a_fetch(SECOND).await;
    assert_eq!(answer, Ok(true));
    assert_eq!(rig.server.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_published_after_a_fetch_began_waits_for_the_cool_down() {
    let (rig, answer) = published_during_a_fetch(30 * SECOND).await;
    assert_eq!(answer, Ok(false));
    assert_eq!(rig.server.count(), 2);
    // It comes without another request.
    rig.pass_to(MINUTE + 30 * SECOND + MILLISECOND).await;
    assert_eq!(rig.ids(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_came_after_the_request_looked_is_found_without_a_fetch() {
    let rig = Rig::loaded(&["a"]).await;
    // The request looked before the set came.
    let mut seek = rig.seek("a").unwrap();
    assert_eq!(poll_once(&mut seek), Poll::Ready(Ok(())));
    rig.rest().await;
    assert_eq!(rig.server.count(), 1);
    assert_eq!(rig.remote.health().throttled, 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_is_there_only_for_its_algorithm_and_any_serves_who_names_none() {
    let rig = Rig::loaded(&["a"]).await;
    let seek = |key_id, algorithm| rig.remote.seek(&KeyQuery { key_id, algorithm });
    assert!(seek(Some("a"), Algorithm::ES256).is_some());
    assert!(seek(None, Algorithm::ES256).is_some());
    assert!(seek(Some("a"), Algorithm::ES384).is_none());
    assert!(seek(None, Algorithm::ES384).is_none());
    assert!(seek(Some("A"), Algorithm::ES256).is_none());
    assert!(seek(Some(""), Algorithm::ES256).is_none());
}

#[tokio::test(start_paused = true)]
async fn unknown_is_invalid_only_where_the_last_fetch_succeeded() {
    let (rig, signer, stranger) = (Rig::new(), Signer::new("a"), Signer::new("b"));
    let (policy, token) = (rig.policy(), stranger.token());
    // Nothing was ever loaded.
    let refused = policy.verify_token(&token).await.unwrap_err();
    assert!(matches!(refused, Error::Key(KeyError::Unavailable(_))), "{refused:?}");
    // The last fetch succeeded.
    rig.load(Reply::set([signer.jwk()])).await;
    assert_eq!(at_once(&policy, &token), Some(Err(KeyError::Unknown.into())));
    rig.pass(MINUTE).await;
    let refused = policy.verify_token(&token).await.unwrap_err();
    assert_eq!(refused, KeyError::Unknown.into());
    // It failed.
    rig.server.answers(KEYS, Reply::status(503).with("retry-after", "7"));
    rig.remote.refresh_now().await.unwrap_err();
    let refused = policy.verify_token(&token).await.unwrap_err();
    let Error::Key(KeyError::Unavailable(unavailable)) = refused else { panic!("{refused}") };
    assert_eq!(unavailable.retry_after, Some(7 * SECOND));
    assert_eq!(at_once(&policy, &signer.token()), Some(Ok(())));
}
