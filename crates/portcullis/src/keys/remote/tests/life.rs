use super::*;

#[tokio::test(start_paused = true)]
async fn the_driver_ends_with_the_last_handle() {
    let rig = Rig::loaded(&["a"]).await;
    let key = rig.key("a").unwrap();
    let Rig { remote, server, .. } = rig;
    let clone = remote.clone();
    drop(remote);
    sleep(10 * MINUTE).await;
    let count = server.count();
    assert!(count > 1, "{count}");
    assert!(key.is_live(Noon.now()));
    drop(clone);
    sleep(DAY).await;
    assert_eq!(server.count(), count);
    // Keys that nobody keeps current are not served.
    assert!(!key.is_live(Noon.now()));
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_when_the_last_handle_goes_are_unavailable() {
    let rig = Rig::new();
    rig.server.answers(KEYS, Reply::ids(&["a"]).after(SECOND));
    let [waits, unpolled] = [rig.seek("a").unwrap(), rig.seek("a").unwrap()];
    let waits = tokio::spawn(waits);
    rig.rest().await;
    let Rig { remote, start, .. } = rig;
    drop(remote);
    assert_eq!(soon(waits).await.unwrap(), Err(KeysUnavailable::new()));
    assert_eq!(soon(unpolled).await, Err(KeysUnavailable::new()));
    assert_eq!(start.elapsed(), MILLISECOND);
}

#[tokio::test(start_paused = true)]
async fn after_the_end_nobody_waits_for_ever() {
    let rig = Rig::loaded(&["a"]).await;
    let shared = Arc::clone(&rig.remote.handle.shared);
    drop(rig);
    sleep(MILLISECOND).await;
    let query = KeyQuery { key_id: Some("b"), algorithm: Algorithm::ES256 };
    let answer = shared.seek(&query).expect("no word of the key").wait();
    let answer = soon(answer).await;
    assert_eq!(answer, Err(KeysUnavailable::new()));
    let error = soon(shared.refresh()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{KEYS}: the last policy with these keys is gone"));
}

#[tokio::test(start_paused = true)]
async fn a_policy_keeps_its_keys_current() {
    let rig = Rig::loaded(&["a"]).await;
    let policy = rig.policy();
    let Rig { remote, server, .. } = rig;
    drop(remote);
    server.answers(KEYS, Reply::ids(&["b"]));
    sleep(5 * MINUTE).await;
    assert_eq!(policy.remote_keys()[0].keys().iter().next().unwrap().id(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_said_in_order() {
    let rig = Rig::loaded(&["a"]).await;
    rig.pass_to(5 * MINUTE).await;
    assert_eq!(rig.names(), ["refreshed", "unchanged"]);
    // At 4 to 4:24 minutes, so that this is after the cool-down.
    assert_eq!(rig.ask("b").await, Ok(false));
    rig.rest().await;
    assert_eq!(rig.names()[2..], ["unknown key", "unchanged"]);
    assert_eq!(rig.ask("b").await, Ok(false));
    assert_eq!(rig.ask("b").await, Ok(false));
    rig.rest().await;
    assert_eq!(rig.names()[4..], ["unknown key", "throttled"]);
    let Some(RemoteKeysEvent::Throttled { ends_in }) = rig.events().pop() else {
        panic!("another event")
    };
    assert_eq!(ends_in, 30 * SECOND - MILLISECOND);
    let loaded_at = rig.elapsed() - rig.remote.health().age.unwrap();

    rig.server.answers(KEYS, Reply::status(500));
    rig.remote.refresh_now().await.unwrap_err();
    rig.rest().await;
    assert_eq!(rig.names()[6..8], ["failed", "stale served"]);
    let events = rig.timed_events();
    let (at, RemoteKeysEvent::StaleServed { age, ends_in }) = &events[7] else {
        panic!("another event")
    };
    assert_eq!(rig.start + loaded_at + *age, *at);
    assert_eq!(*age + *ends_in, DAY);
    let RemoteKeysEvent::Failed { error, .. } = &events[6].1 else { panic!("another event") };
    assert_eq!(*error.fault(), KeyFetchFault::Fetch(FetchFault::Status { status: 500 }));

    rig.pass(DAY).await;
    let names = rig.names();
    let expired = names.iter().position(|name| *name == "expired").unwrap();
    assert!(names[8..expired].chunks(2).all(|pair| pair[0] == "failed"));
    assert!(names[expired + 1..].iter().all(|name| *name == "failed"));
    // Without keys, unknown ones are no news.
    rig.server.answers(KEYS, Reply::ids(&["b"]));
    rig.pass(MINUTE + SECOND).await;
    let events = rig.events();
    let refreshed = events.iter().rev().find_map(|event| match event {
        RemoteKeysEvent::Refreshed { generation, keys } => Some((*generation, keys.len())),
        _ => None,
    });
    assert_eq!(refreshed, Some((2, 1)));
}

#[tokio::test(start_paused = true)]
async fn health_says_how_it_is() {
    let rig = Rig::new();
    rig.load(Reply::set([jwk("p256", "a"), jwk("rsa", "b"), json!({ "kty": "odd" })])).await;
    rig.pass(10 * SECOND).await;
    let health = rig.remote.health();
    // RSA without `alg` serves six algorithms.
    assert_eq!((health.serves, health.keys, health.skipped.len()), (true, 7, 1));
    assert_eq!((health.generation, health.failures, health.throttled), (1, 0, 0));
    assert_eq!(health.age, Some(10 * SECOND));
    let cools_down = health.cooling_down_until.unwrap();
    // Both were counted from one reading of the clock.
    let last = health.last_success.unwrap();
    assert_eq!(cools_down.duration_since(last).unwrap(), 30 * SECOND);
    rig.pass(20 * SECOND).await;
    assert_eq!(rig.remote.health().cooling_down_until, None);

    rig.server.answers(KEYS, Reply::status(503).with("retry-after", "40"));
    rig.remote.refresh_now().await.unwrap_err();
    let health = rig.remote.health();
    assert_eq!((health.serves, health.failures, health.generation), (true, 1, 1));
    assert_eq!(health.age, Some(30 * SECOND));
    assert_eq!(rig.fault(), KeyFetchFault::Fetch(FetchFault::Status { status: 503 }));
    let (cools_down, last) = (health.cooling_down_until.unwrap(), health.last_success.unwrap());
    assert_eq!(cools_down.duration_since(last).unwrap(), 70 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_said_shows_a_key_id() {
    let (rig, asked) = (Rig::loaded(&["served-id"]).await, "asked-for-id");
    let mut said = Vec::new();
    assert_eq!(rig.ask(asked).await, Ok(false));
    rig.rest().await;
    rig.server.answers(KEYS, Reply::set([json!({ "kty": "odd", "kid": "skipped-id" })]));
    let error = rig.remote.refresh_now().await.unwrap_err();
    said.push(format!("{error} {error:?}"));
    let seek = rig.ask(asked).await.unwrap_err();
    said.push(format!("{seek} {seek:?}"));
    rig.server.answers(KEYS, Reply::ids(&["served-id", "new-id"]));
    rig.remote.refresh_now().await.unwrap();
    rig.pass(DAY).await;
    said.extend(rig.events().iter().map(|event| format!("{event} {event:?}")));
    said.push(format!("{:?} {:?}", rig.remote, rig.remote.handle.shared));
    said.push(format!("{:?}", rig.remote.health()));
    for name in ["refreshed", "unchanged", "failed", "unknown key", "throttled", "stale served"] {
        assert!(rig.names().contains(&name), "{name}");
    }
    for text in said {
        assert!(
            !text.contains("-id\"") && !text.contains("-id`") && !text.contains("-for-id"),
            "{text}"
        );
        assert!(!text.contains("served-id") && !text.contains("skipped-id"), "{text}");
    }
}
