use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_before_somebody_wants_a_key() {
    let rig = Rig::new();
    rig.pass(DAY).await;
    assert_eq!(rig.server.count(), 0);
    let health = rig.remote.health();
    assert!(!health.serves);
    assert_eq!((health.keys, health.generation, health.failures), (0, 0, 0));
    assert_eq!((health.age, health.last_success), (None, None));
    assert_eq!((health.last_error, health.cooling_down_until), (None, None));
}

#[tokio::test(start_paused = true)]
async fn the_first_request_waits_for_the_first_set() {
    let rig = Rig::new();
    rig.server.answers(KEYS, Reply::ids(&["a"]).after(SECOND));
    assert_eq!(rig.ask("a").await, Ok(true));
    assert_eq!(rig.elapsed(), SECOND);
    assert_eq!(rig.server.count(), 1);
    assert_eq!(rig.names(), ["refreshed"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_start_two_thousand_requests_at_once_wait_for_one_fetch_and_pass() {
    let rig = Rig::new();
    rig.server.answers(KEYS, Reply::ids(&["a"]).after(300 * MILLISECOND));
    let requests: Vec<_> = (0..2048).map(|_| rig.spawn("a")).collect();
    // More would only be told later that they came in vain.
    assert_eq!(rig.ask("a").await, Err(KeysUnavailable::new().with_retry_after(Some(SECOND))));
    for request in requests {
        assert_eq!(request.await.unwrap(), (300 * MILLISECOND, Ok(true)));
    }
    assert_eq!(rig.server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_cannot_close_the_service_for_an_hour() {
    for status in [429, 503] {
        let rig = Rig::new();
        rig.server.next(Reply::status(status).with("retry-after", "3600"));
        rig.server.answers(KEYS, Reply::ids(&["a"]));
        let refused = rig.policy().verify_token(Signer::new("a").token()).await.unwrap_err();
        assert_eq!(refused.unavailable(), Some(Some(MINUTE)));
        rig.pass(MINUTE - 2 * SECOND).await;
        // Waits for it: by now it is due soon enough.
        rig.pass(MILLISECOND).await;
        assert_eq!(rig.ask("a").await, Ok(true), "{status}");
        assert_eq!(rig.elapsed(), MINUTE, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_to_come_again_in_a_minute_whatever_the_key_server_asks_for() {
    let signer = Signer::new("new");
    let rig = Rig::loaded(&["a"]).await;
    rig.server.answers(KEYS, Reply::status(429).with("retry-after", "3600"));
    rig.remote.refresh_now().await.expect_err("a failure");
    let refused = rig.policy().verify_token(signer.token()).await.unwrap_err();
    let Error::Key(KeyError::Unavailable(unavailable)) = &refused else { panic!("{refused}") };
    assert_eq!(unavailable.retry_after, Some(HOUR));
    assert_eq!(refused.unavailable(), Some(Some(MINUTE)));
}

#[tokio::test(start_paused = true)]
async fn the_first_request_waits_two_seconds_at_most() {
    let rig = Rig::new();
    rig.server.answers(KEYS, Reply::ids(&["a"]).after(3 * SECOND));
    assert_eq!(rig.ask("a").await, Err(KeysUnavailable::new()));
    assert_eq!(rig.elapsed(), 2 * SECOND);
    // What it asked for comes all the same.
    rig.pass(SECOND + MILLISECOND).await;
    assert_eq!(rig.ids(), ["a"]);
    assert_eq!(rig.server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_before_the_first_set_is_unavailable_where_the_fetch_fails() {
    let rig = Rig::new();
    rig.server.answers(KEYS, Reply::status(500));
    let unavailable = rig.ask("a").await.unwrap_err();
    let Some(RemoteKeysEvent::Failed { retry_in, .. }) = rig.events().pop() else {
        panic!("no failure")
    };
    assert_eq!(unavailable.retry_after, Some(retry_in));
    // The log says why, also where no framework has an extension for it.
    let reason = format!("{KEYS}: the server answered with status 500");
    assert_eq!(unavailable.reason(), Some(&*reason));
    let text = KeyError::Unavailable(unavailable).to_string();
    assert_eq!(text, format!("the keys of the issuer are not available at the moment: {reason}"));
    // Nobody wants it any more.
    rig.pass(DAY).await;
    assert_eq!(rig.server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn ready_waits_until_there_are_keys_however_often_that_takes_a_new_try() {
    let rig = Rig::new();
    let ready = tokio::spawn({
        let remote = rig.remote.clone();
        async move { remote.ready().await }
    });
    rig.pass(HOUR).await;
    assert!(!ready.is_finished());
    assert!(rig.server.count() > 60, "{}", rig.server.count());
    rig.server.answers(KEYS, Reply::ids(&["a"]));
    ready.await.unwrap();
    assert_eq!(rig.ids(), ["a"]);
    // Those who are late need not wait.
    let count = rig.server.count();
    rig.remote.ready().await;
    assert_eq!(rig.server.count(), count);
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_ready_when_all_its_keys_are_and_fetches_them_at_once() {
    let rig = Rig::new();
    rig.server.answers(KEYS, Reply::ids(&["a"]).after(SECOND));
    let policy = rig.policy();
    policy.keys_ready().await;
    assert_eq!(rig.elapsed(), SECOND);
    assert_eq!(rig.ids(), ["a"]);
}

#[test]
fn what_loads_at_start_has_keys_when_it_has_started() {
    let server = Server::default();
    server.answers(KEYS, Reply::ids(&["a"]));
    let options = RemoteJwks::url(KEYS).client(server.clone()).load_at_start();
    let remote = options.start_for(ISSUER).unwrap();
    assert_eq!(remote.keys().len(), 1);
    assert_eq!(server.count(), 1);
}

#[test]
fn what_loads_at_start_does_not_start_if_the_first_fetch_fails() {
    let server = Server::default();
    let options = RemoteJwks::url(KEYS).client(server.clone()).load_at_start();
    let Err(RemoteJwksError::FirstFetch(error)) = options.start_for(ISSUER) else {
        panic!("it started")
    };
    assert_eq!(*error.fault(), KeyFetchFault::Fetch(FetchFault::Status { status: 404 }));
    assert_eq!(error.to_string(), "https://id.example/jwks: the server answered with status 404");
    assert_eq!(server.count(), 1);
}

#[test]
fn what_does_not_load_at_start_starts_without_a_fetch() {
    let server = Server::default();
    let remote = RemoteJwks::url(KEYS).client(server.clone()).start_for(ISSUER).unwrap();
    assert!(remote.keys().is_empty());
    assert_eq!(server.count(), 0);
}
