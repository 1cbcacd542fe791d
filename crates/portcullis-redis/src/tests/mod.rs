//! Settings that make no sense are told before anything is asked of a server.
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn server() -> RedisRevocations {
    RedisRevocations::server("redis://127.0.0.1").expect("an address")
}

fn fault(settings: &RedisRevocations) -> Option<&'static str> {
    match settings.layout() {
        Ok(_) => None,
        Err(RedisError::Setting { fault }) => Some(fault),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn each_setting_that_makes_no_sense_is_named() {
    let second = Duration::from_secs(1);
    for (settings, named) in [
        (server().prefix(""), "`prefix` is a name"),
        (server().prefix("a{b"), "`prefix` is a name"),
        (server().prefix("a}b"), "`prefix` is a name"),
        (server().prefix("a").prefix("b"), "`prefix` is set twice"),
        (
            server().client_certificate("a", "b").client_certificate("a", "c"),
            "`client_certificate` is set twice",
        ),
        (server().heartbeat(Duration::ZERO), "longer than nothing"),
        (server().timeout(Duration::ZERO), "longer than nothing"),
        (server().max_staleness(second), "longer than `heartbeat`"),
        (server().heartbeat(MINUTE), "longer than `heartbeat`"),
        (server().max_staleness(60 * MINUTE + second), "at most an hour"),
        (server().log_length(0), "at least 1"),
    ] {
        assert!(fault(&settings).is_some_and(|fault| fault.contains(named)), "{named}");
    }
    for settings in [
        server(),
        server().prefix("a").prefix("a"),
        server().client_certificate("a", "b").client_certificate("a", "b"),
        server().max_staleness(60 * MINUTE),
        server().max_staleness(second + Duration::from_nanos(1)),
        server().log_length(1),
    ] {
        assert_eq!(fault(&settings), None);
    }
}

#[tokio::test]
async fn no_server_is_asked_under_a_setting_that_makes_no_sense() {
    let is_setting = |error| matches!(error, RedisError::Setting { .. });
    let nonsense = server().log_length(0);
    assert!(nonsense.connect().await.is_err_and(is_setting));
    assert!(nonsense.initialize(StoreTerms::new(MINUTE)).await.is_err_and(is_setting));
    let no_lifetime = StoreTerms::new(Duration::from_millis(999));
    assert!(server().initialize(no_lifetime).await.is_err_and(is_setting));
}

#[test]
fn of_a_setting_that_is_called_again_the_safer_word_counts() {
    let settings = server();
    assert_eq!(settings.longest_staleness(), MINUTE);
    assert_eq!(settings.beat_interval(), Duration::from_secs(1));
    assert_eq!(settings.answer_timeout(), Duration::from_secs(2));
    let layout = settings.layout().expect("the defaults");
    assert_eq!((layout.log_length, layout.durability), (100_000, 0));

    let [short, long] = [5, 50].map(Duration::from_secs);
    for [first, second] in [[short, long], [long, short]] {
        let settings = server().max_staleness(first).max_staleness(second);
        assert_eq!(settings.longest_staleness(), short);
        assert_eq!(server().heartbeat(first).heartbeat(second).beat_interval(), short);
        assert_eq!(server().timeout(first).timeout(second).answer_timeout(), short);
        let terms = StoreTerms::new(MINUTE).leeway(first).leeway(second);
        assert_eq!(terms.leeway, Some(long));
        let terms = StoreTerms::new(MINUTE).recovery(first).recovery(second);
        assert_eq!(terms.recovery, Some(long));
    }
    for [first, second] in [[2, 7], [7, 2]] {
        let settings = server().durability(first).durability(second);
        let settings = settings.log_length(first as usize).log_length(second as usize);
        let layout = settings.layout().expect("settings that make sense");
        assert_eq!((layout.log_length, layout.durability), (7, 7));
    }
}

#[test]
fn a_place_without_an_address_is_none() {
    let none = || RedisRevocations::cluster([]).err();
    assert_eq!(none(), Some(RedisError::Address));
    assert_eq!(
        RedisRevocations::sentinel([], "main", "redis://x").err(),
        Some(RedisError::Address)
    );
    assert_eq!(RedisRevocations::server("http://x").err(), Some(RedisError::Address));
}
