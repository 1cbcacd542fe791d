use super::*;

/// Each fetch after a failure begins when it was said that it would, to the timer's millisecond.
fn assert_retries_as_said(rig: &Rig) {
    let failures = rig.timed_events().into_iter().filter_map(|(at, event)| match event {
        RemoteKeysEvent::Failed { retry_in, .. } => Some((at, retry_in)),
        _ => None,
    });
    let fetches: Vec<_> = rig.server.seen().into_iter().map(|seen| seen.at).collect();
    for (at, (failed_at, retry_in)) in failures.enumerate() {
        let most = SECOND.saturating_mul(1 << at.min(10)).min(MINUTE);
        assert!((100 * MILLISECOND..=most).contains(&retry_in), "{retry_in:?} after {at}");
        // The first one loaded the keys.
        if let Some(next) = fetches.get(at + 2) {
            let late = next.saturating_duration_since(failed_at + retry_in);
            assert!(*next >= failed_at + retry_in && late <= 2 * MILLISECOND, "{at}: {late:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_the_next_try_comes_when_the_back_off_says() {
    let rig = Rig::loaded(&["a"]).await;
    rig.server.answers(KEYS, Reply::status(500));
    rig.pass(HOUR).await;
    assert!(rig.server.count() > 60, "{}", rig.server.count());
    assert_retries_as_said(&rig);
}

#[tokio::test(start_paused = true)]
async fn requests_cause_no_fetch_beside_the_back_off() {
    let rig = Rig::loaded(&["a"]).await;
    rig.server.answers(KEYS, Reply::Fails(HttpError::Failed("refused".to_owned())));
    rig.pass(5 * MINUTE).await;
    while rig.elapsed() < HOUR {
        drop(rig.seek("b"));
        rig.pass(500 * MILLISECOND).await;
    }
    assert_retries_as_said(&rig);
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_the_back_off_and_the_cool_down_counts_again() {
    let rig = Rig::loaded(&["a"]).await;
    rig.server.answers(KEYS, Reply::status(500));
    rig.pass(HOUR).await;
    rig.server.answers(KEYS, Reply::ids(&["a", "b"]));
    rig.pass(MINUTE + SECOND).await;
    assert_eq!(rig.ids(), ["a", "b"]);
    let health = rig.remote.health();
    assert_eq!((health.failures, health.last_error), (0, None));
    rig.pass(MINUTE).await;
    let count = rig.server.count();
    assert_eq!(rig.ask("c").await, Ok(false));
    assert_eq!(rig.server.count(), count + 1);
}

/// In how long it is tried again after this answer.
async fn retry_in(reply: Reply) -> Duration {
    let rig = Rig::loaded(&["a"]).await;
    rig.server.answers(KEYS, reply);
    rig.remote.refresh_now().await.expect_err("a failure");
    rig.rest().await;
    let failed = rig.events().into_iter().find_map(|event| match event {
        RemoteKeysEvent::Failed { retry_in, .. } => Some(retry_in),
        _ => None,
    });
    let retry_in = failed.expect("a failure");
    rig.pass(retry_in - 2 * MILLISECOND).await;
    assert_eq!(rig.server.count(), 2);
    rig.pass(3 * MILLISECOND).await;
    assert_eq!(rig.server.count(), 3);
    retry_in
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_says_when_to_ask_again() {
    for status in [429, 503] {
        let busy = |time: &str| Reply::status(status).with("retry-after", time);
        assert_eq!(retry_in(busy("90")).await, 90 * SECOND, "{status}");
        // A date too, and no more than an hour.
        assert_eq!(retry_in(busy("Fri, 01 Jan 2100 00:00:00 GMT")).await, HOUR, "{status}");
        assert_eq!(retry_in(busy("99999999999999999999")).await, HOUR, "{status}");
        // One that has passed, and none.
        for time in ["Fri, 01 Jan 1999 00:00:00 GMT", "soon"] {
            assert!(retry_in(busy(time)).await <= SECOND, "{status} {time}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_server_that_is_busy_says_when_to_ask_again() {
    for status in [301, 404, 500, 502] {
        let reply = Reply::status(status).with("retry-after", "90");
        assert!(retry_in(reply).await <= SECOND, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_serve_for_24_hours_after_the_last_success_and_then_none() {
    let (rig, signer) = (Rig::new(), Signer::new("a"));
    rig.load(Reply::set([signer.jwk()]).with("etag", "\"1\"")).await;
    let (policy, token) = (rig.policy(), signer.token());
    let verified = policy.verify_token(&token).await.unwrap();
    rig.server.answers(KEYS, Reply::status(500));
    rig.pass_to(DAY - MILLISECOND).await;
    assert_eq!(at_once(&policy, &token), Some(Ok(())));
    assert!(rig.remote.health().serves);
    rig.pass(2 * MILLISECOND).await;
    assert!(rig.remote.keys().is_empty());
    assert_eq!(rig.names().iter().filter(|name| **name == "expired").count(), 1);
    let unavailable = KeyError::Unavailable(KeysUnavailable::default());
    assert_eq!(policy.recheck_now(&verified), Err(unavailable.into()));
    // The keys cannot be had: that is not the client's fault.
    let refused = policy.verify_token(&token).await.unwrap_err();
    assert!(matches!(refused, Error::Key(KeyError::Unavailable(_))), "{refused:?}");
    let health = rig.remote.health();
    assert_eq!((health.serves, health.keys, health.generation), (false, 0, 1));
    assert!(health.age.unwrap() > DAY);
    // When the server is back, the set comes whole.
    rig.server.answers(KEYS, Reply::set([signer.jwk()]));
    rig.pass(MINUTE + SECOND).await;
    let after = rig.server.seen().into_iter().filter(|seen| seen.at > rig.start + DAY);
    assert!(after.clone().all(|seen| seen.header("if-none-match").is_none()));
    assert!(after.count() > 0);
    assert_eq!(at_once(&policy, &token), Some(Ok(())));
    assert_eq!(rig.remote.health().generation, 2);
}

#[tokio::test(start_paused = true)]
async fn word_of_no_change_after_the_keys_expired_brings_none_back() {
    let options = RemoteJwks::url(KEYS).fresh_for(MINUTE).max_stale(MINUTE).timeout(MINUTE);
    let rig = Rig::with(options);
    rig.load(Reply::ids(&["a"]).with("etag", "\"1\"")).await;
    rig.server.next(Reply::status(304).after(30 * SECOND));
    rig.server.answers(KEYS, Reply::ids(&["a"]));
    rig.pass_to(MINUTE + SECOND).await;
    assert_eq!(rig.names(), ["refreshed", "expired"]);
    assert!(rig.remote.keys().is_empty());
    assert_eq!(rig.server.last().header("if-none-match"), Some("\"1\""));
    rig.pass(MINUTE).await;
    assert_eq!(rig.names()[..4], ["refreshed", "expired", "failed", "refreshed"]);
    assert_eq!(rig.server.seen()[2].header("if-none-match"), None);
    assert_eq!(rig.ids(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn keys_that_come_at_the_moment_when_others_expire_are_served() {
    let options = RemoteJwks::url(KEYS).fresh_for(MINUTE).max_stale(MINUTE).timeout(MINUTE);
    let rig = Rig::with(options);
    rig.load(Reply::ids(&["a"])).await;
    let release = Arc::new(Notify::new());
    let set = Box::new(Reply::ids(&["b"]));
    rig.server.answers(KEYS, Reply::Held(Arc::clone(&release), set));
    rig.pass_to(59 * SECOND).await;
    assert_eq!(rig.server.count(), 2);
    // The set arrives, and before the driver knows, a request sees that the time of the old one
    // is over.
    release.notify_one();
    let mut later = Box::pin(tokio::time::advance(SECOND));
    assert!(poll_once(&mut later).is_pending());
    let request = rig.seek("b");
    rig.rest().await;
    assert_eq!(rig.ids(), ["b"]);
    assert!(rig.remote.health().serves);
    drop(request);
}

#[tokio::test(start_paused = true)]
async fn an_operator_is_told_why_a_fetch_failed_and_keys_go_on_serving() {
    let rig = Rig::loaded(&["a"]).await;
    rig.server.answers(KEYS, Reply::Fails(HttpError::Failed("connection refused".to_owned())));
    let error = rig.remote.refresh_now().await.unwrap_err();
    assert_eq!(error.to_string(), "https://id.example/jwks: connection refused");
    assert_eq!(rig.remote.health().last_error, Some(error));
    assert_eq!(rig.ids(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_asks_during_a_fetch_gets_the_one_after_it() {
    let rig = Rig::loaded(&["a"]).await;
    rig.server.next(Reply::ids(&["a"]).after(SECOND));
    rig.server.answers(KEYS, Reply::ids(&["b"]));
    let first = tokio::spawn({
        let remote = rig.remote.clone();
        async move { remote.refresh_now().await }
    });
    rig.rest().await;
    rig.remote.refresh_now().await.unwrap();
    assert_eq!(rig.ids(), ["b"]);
    assert_eq!(first.await.unwrap(), Ok(()));
    assert_eq!(rig.server.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_hangs_ends_after_5_seconds() {
    let rig = Rig::loaded(&["a"]).await;
    rig.server.answers(KEYS, Reply::Hangs);
    let error = rig.remote.refresh_now().await.unwrap_err();
    assert_eq!(*error.fault(), KeyFetchFault::Fetch(FetchFault::Timeout { after: 5 * SECOND }));
    assert_eq!(rig.server.last().request.timeout, 5 * SECOND);
    assert!(rig.elapsed() - 5 * SECOND <= MILLISECOND);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_panics_ends_the_fetch_only() {
    let rig = Rig::loaded(&["a"]).await;
    rig.server.answers(KEYS, Reply::Panics);
    for _ in 0..10 {
        let error = rig.remote.refresh_now().await.unwrap_err();
        assert_eq!(*error.fault(), KeyFetchFault::Panicked);
        assert_eq!(rig.ids(), ["a"]);
    }
    rig.server.answers(KEYS, Reply::ids(&["b"]));
    rig.pass(2 * MINUTE).await;
    assert_eq!(rig.ids(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn an_observer_that_panics_ends_nothing() {
    let told = Arc::new(Mutex::new(0));
    let count = Arc::clone(&told);
    let rig = Rig::with(RemoteJwks::url(KEYS).on_event(move |_, _| {
        if let Ok(mut count) = count.lock() {
            *count += 1;
        }
        panic!("an observer that panics");
    }));
    rig.load(Reply::ids(&["a"])).await;
    rig.server.answers(KEYS, Reply::status(500));
    rig.remote.refresh_now().await.unwrap_err();
    rig.server.answers(KEYS, Reply::ids(&["b"]));
    rig.pass(MINUTE).await;
    assert_eq!(rig.ids(), ["b"]);
    // Refreshed, failed, stale served, refreshed.
    assert!(*told.lock().unwrap() >= 4);
}

#[tokio::test(start_paused = true)]
async fn after_a_hundred_failures_of_every_kind_it_goes_on() {
    let rig = Rig::loaded(&["a"]).await;
    let kinds = [
        Reply::status(500),
        Reply::Panics,
        Reply::Fails(HttpError::Timeout),
        Reply::text("<html>"),
        Reply::Hangs,
    ];
    for kind in kinds.iter().cycle().take(100) {
        rig.server.answers(KEYS, kind.clone());
        rig.remote.refresh_now().await.unwrap_err();
    }
    assert_eq!(rig.remote.health().failures, 100);
    rig.server.answers(KEYS, Reply::ids(&["b"]));
    rig.pass(MINUTE + SECOND).await;
    assert_eq!(rig.ids(), ["b"]);
}
